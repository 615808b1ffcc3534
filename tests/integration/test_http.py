# SPDX-License-Identifier: LGPL-2.1-or-later
"""Type=http against nginx, and against servers that misbehave."""

import contextlib
import subprocess

import pytest

import servers
from hostile import Hostile
from mounts import two_addresses
from process import free_port, wait_until

COMMON = ("[Check]\nType=http\nInterval=500ms\nRetryInterval=200ms\nFailAfter=1\nPassAfter=1\n"
          "Timeout=1s\n")
PASSWORD = "s3cr3t-Passw0rd"
TOKEN = "t0ken-of-th3-tests"
MIB = 1024 * 1024

WEB = """
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    server {{
        listen 127.0.0.1:{port};
        listen unix:{directory}/web.sock;
        default_type text/plain;
        location = / {{ return 200 "ok\\n"; }}
        location /json {{
            return 200 '{{"queues":[{{"depth":12,"name":"orders"}}],"up":true,"none":null}}\\n';
        }}
        location /broken {{ return 500 "out of order"; }}
        location /lines {{ return 200 "first line\\nversion: 4.2-rc1\\nlast line\\n"; }}
        location /headers {{
            add_header X-Depth 12;
            add_header X-Cache "HIT 0x12";
            return 200 "ok";
        }}
        location /connection {{ return 200 "request $connection_requests"; }}
        location /echo {{
            return 200 "auth=$http_authorization; x-secret=$http_x_secret; to=$http_host";
        }}
        # Only what is passed on has the body in a variable, and asks for a password.
        location /request {{
            proxy_pass http://127.0.0.1:{port}/request-is;
            proxy_set_header Host $http_host;
            proxy_set_header X-Body $request_body;
        }}
        location /request-is {{
            return 200 "$request_method|$content_type|$http_x_body|$http_x_one|$http_x_two|";
        }}
        location /basic {{
            auth_basic tests;
            auth_basic_user_file {directory}/users;
            proxy_pass http://127.0.0.1:{port}/;
        }}
        location /token {{
            if ($http_authorization != "Bearer {token}") {{ return 401; }}
            return 200 "welcome";
        }}
        location /moved-1 {{ return 302 /moved-2; }}
        location /moved-2 {{ return 301 /moved-3; }}
        location /moved-3 {{ return 308 /echo; }}
        location /to-request {{ return 302 /request; }}
        location /again {{ return 307 /request; }}
        location /to-file {{ return 302 file:///etc/hostname; }}
        location /away {{ return 302 http://127.0.0.1:{other}/echo; }}
        location /away-again {{ return 307 http://127.0.0.1:{other}/echo; }}
        location /to-name {{ return 302 http://localhost:{port}/echo; }}
        location /to-login {{ return 302 http://somebody:word@127.0.0.1:{other}/echo; }}
        location /after-scheme {{
            if ($http_authorization ~ "^[A-Za-z]+ +(.*)$") {{ return 200 "it is $1"; }}
            return 401;
        }}
        location /leak {{ return 200 "s3cr3t%2DPassw0rd"; }}
        location /to-nobody {{ return 302 http://no-such-host.invalid/; }}
    }}
    server {{
        listen 127.0.0.1:{other};
        return 200 "other: auth=$http_authorization; x-secret=$http_x_secret; to=$http_host";
    }}
    server {{ listen 127.0.0.1:{h2c} http2; return 200 "ok"; }}
    server {{
        listen 127.0.0.1:{tls} ssl http2;
        listen 127.0.0.2:{tls} ssl http2;
        return 200 "request $connection_requests";
    }}
    server {{
        listen 127.0.0.1:{soon} ssl;
        ssl_certificate {soon_certificate};
        ssl_certificate_key {soon_key};
        return 200 "ok";
    }}
    server {{
        listen 127.0.0.1:{mutual} ssl;
        ssl_client_certificate {ca};
        ssl_verify_client on;
        return 200 $ssl_client_s_dn;
    }}
"""


@pytest.fixture(scope="module")
def web(certificates):
    certificate, key = certificates.issue("web")
    soon_certificate, soon_key = certificates.issue("soon", days=5)
    # With its authority, as servers send it: what expires first counts.
    with open(soon_certificate, "a", encoding="ascii") as file:
        file.write(certificates.ca.read_text())
    ports = {name: free_port() for name in ("other", "h2c", "tls", "soon", "mutual")}
    server = servers.Nginx(WEB, token=TOKEN, ca=certificates.ca, certificate=certificate, key=key,
                           soon_certificate=soon_certificate, soon_key=soon_key, **ports)
    (server.directory / "users").write_text(f"monitor:{{PLAIN}}{PASSWORD}\n", encoding="ascii")
    with server:
        yield server


def url(server, path="/", port="port", scheme="http", host="127.0.0.1"):
    number = server.values[port] if port != "port" else server.port
    return f"{scheme}://{host}:{number}{path}"


def section(address, *lines):
    return "\n".join(["[HTTP]", f"URL={address}", *lines, ""])



def run_checks(daemon, sections, common=COMMON, **options):
    """One check of each section; returns their first results."""
    return daemon.run_checks({name: common + text for name, text in sections.items()}, **options)


def wait_next_result(daemon, name, timeout=10):
    before = daemon.check(name)["checked_at"]
    daemon.wait_for(lambda answer: answer.json["checks"][name]["checked_at"] > before, timeout)


def matched(check):
    assert check["status"] == "healthy", check
    return check["details"]["body_match_text"]


def test_details(daemon, web):
    checks = run_checks(daemon, {
        "plain": section(url(web)),
        "name": section(url(web, host="localhost")),
        "socket": section("http://orders.example/echo", f"Socket={web.directory}/web.sock",
                          "BodyMatch=to=(.*)"),
    })
    details = checks["plain"]["details"]
    assert checks["plain"]["status"] == "healthy", checks["plain"]
    assert details["available"] is True
    assert details["status_code"] == 200
    assert details["body_size"] == 3
    assert details["remote_ip"] == "127.0.0.1"
    assert details["http_version"] == 1.1
    assert details["dns_ms"] == 0
    for name in ("connect_ms", "first_byte_ms"):
        assert 0 < details[name] < 1000
    for name in ("tls_ms", "certificate_days_left", "body_match"):
        assert name not in details
    assert checks["name"]["status"] == "healthy", checks["name"]
    assert checks["name"]["details"]["dns_ms"] > 0
    assert matched(checks["socket"]) == "orders.example"
    assert "remote_ip" not in checks["socket"]["details"]


def test_statuses(daemon, web):
    checks = run_checks(daemon, {
        "broken": section(url(web, "/broken")),
        "absent": "UnhealthyWhen=\nUnhealthyWhen=status_code != 404\n" +
                  section(url(web, "/broken/../nothing")),
        "slow": "DegradedWhen=first_byte_ms > 0\n" + section(url(web)),
        "redirect": section(url(web, "/moved-1")),
    })
    assert checks["broken"]["status"] == "unhealthy"
    assert checks["broken"]["reason"] == "status_code != 200 (is 500)"
    assert checks["broken"]["details"]["available"] is False
    assert checks["broken"]["details"]["body_size"] == len("out of order")
    assert "error" not in checks["broken"]
    assert checks["absent"]["status"] == "healthy", checks["absent"]
    assert checks["slow"]["status"] == "degraded"
    assert checks["redirect"]["reason"] == "status_code != 200 (is 302)"


def test_json_and_match(daemon, web):
    json_lines = ["Json=depth:/queues/0/depth", "Json=queue:/queues/0/name", "Json=up:/up",
                  "Json=none:/none", "Json=list:/queues"]
    address = url(web, "/json")
    checks = run_checks(daemon, {
        "values": section(address, *json_lines),
        "deep": "UnhealthyWhen=depth >= 10 and queue == orders\n" + section(address, *json_lines),
        "absent": "UnhealthyWhen=other > 1\n" + section(address, "Json=other:/queues/7/depth"),
        "no_json": section(url(web, "/lines"), "Json=depth:/depth"),
        "match": section(url(web, "/lines"), "BodyMatch=^version: ([0-9.]+)"),
        "no_match": section(url(web, "/lines"), "BodyMatch=line version"),
        "no_match_is_well": "UnhealthyWhen=\nUnhealthyWhen=body_match == yes\n" +
                            section(url(web, "/lines"), "BodyMatch=line version"),
        "body": "UnhealthyWhen=body !~ ^last\n" + section(url(web, "/lines")),
        "headers": "DegradedWhen=depth > 10\nUnhealthyWhen=cache == MISS\n" +
                   section(url(web, "/headers"), "ResponseHeader=depth:x-depth",
                           "ResponseHeader=cache:X-Cache", "ResponseHeader=none:X-None"),
        "text": 'DegradedWhen=body_match_text ~ "rc"\n' +
                section(url(web, "/lines"), "BodyMatch=version: (.*)"),
    })
    details = checks["values"]["details"]
    assert checks["values"]["status"] == "healthy", checks["values"]
    assert (details["depth"], details["queue"], details["up"]) == (12, "orders", True)
    assert not {"none", "list"} & set(details)
    assert checks["deep"]["status"] == "unhealthy"
    assert "depth >= 10 (is 12)" in checks["deep"]["reason"]
    assert checks["absent"]["status"] == "error"
    assert "other" in checks["absent"]["reason"]
    assert checks["no_json"]["status"] == "unhealthy"
    assert "(status 200) is not JSON" in checks["no_json"]["error"]
    assert checks["no_json"]["details"]["status_code"] == 200
    assert matched(checks["match"]) == "4.2"
    assert checks["match"]["details"]["body_match"] is True
    assert checks["no_match"]["status"] == "unhealthy"
    assert checks["no_match"]["reason"] == "body_match == no (is false)"
    assert checks["no_match"]["details"]["body_match"] is False
    assert checks["no_match_is_well"]["status"] == "healthy"
    assert checks["body"]["status"] == "unhealthy"
    assert checks["body"]["details"]["body"].startswith("first line version: 4.2")
    assert checks["headers"]["status"] == "degraded"
    assert checks["headers"]["details"]["depth"] == 12
    assert checks["headers"]["details"]["cache"] == "HIT 0x12"
    assert "none" not in checks["headers"]["details"]
    assert "body" not in checks["headers"]["details"]
    assert checks["text"]["status"] == "degraded"


def says(text):
    """Lines of a check that is healthy only if the body is this; what is secret is not hidden."""
    pattern = "".join("\\" + c if c in ".[]{}()*+?^$|\\" else c for c in text)
    return ["BodyMatch=^" + pattern + "$"]


def test_requests(daemon, web):
    address, form = url(web, "/request"), "application/x-www-form-urlencoded"
    checks = run_checks(daemon, {
        "get": section(address, *says("GET|||||")),
        "headers": section(address, "Header=X-One: 1", "Header=X-Two: two: 2",
                                   *says("GET|||1|two: 2|")),
        "body": section(address, "Body=hello", *says(f"POST|{form}|hello|||")),
        "json": section(address, 'Body={"a":1}',
                                *says('POST|application/json|{"a":1}|||')),
        "typed": section(address, "Body=[1]", "Header=content-type: text/x-list",
                                 *says("POST|text/x-list|[1]|||")),
        "put": section(address, "Method=PUT", "Body=hello",
                               *says(f"PUT|{form}|hello|||")),
        "empty": section(address, "Method=POST", *says(f"POST|{form}||||")),
        "delete": section(address, "Method=DELETE", *says("DELETE|||||")),
        "host": section(url(web, "/echo"), "Header=Host: orders.example",
                                *says("auth=; x-secret=; to=orders.example")),
        # A redirect that does not repeat the request makes a GET of it.
        "to_get": section(url(web, "/to-request"), "Body=hello", "FollowRedirects=1",
                                  *says("GET|||||")),
        "again": section(url(web, "/again"), "Body=hello", "Header=X-One: 1",
                                 "FollowRedirects=1", *says(f"POST|{form}|hello|1||")),
        "not_so": section(address, *says("POST|||||")),
        "head": section(url(web), "Method=HEAD"),
    })
    assert checks.pop("not_so")["status"] == "unhealthy"
    for check in checks.values():
        assert check["status"] == "healthy", check
    assert checks["head"]["details"]["body_size"] == 0


def test_what_is_sent(daemon):
    with Hostile("no_answer") as server:
        run_checks(daemon, {"web": section(f"http://127.0.0.1:{server.port}/a?b=c", "Body=[1]",
                                           "Header=content-type: text/x-list")})
        lines = server.requests[0].decode("ascii").split("\r\n")
    assert lines[0] == "POST /a?b=c HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines
    assert [line for line in lines if line.startswith("User-Agent: healthd/")]
    assert [line for line in lines if line.lower().startswith("content-type")] == [
        "content-type: text/x-list"]
    assert lines[-2:] == ["", "[1]"]


def test_log_in(daemon, web, tmp_path):
    (tmp_path / "web-token").write_text(TOKEN + "\n", encoding="utf-8")
    basic, token = url(web, "/basic"), url(web, "/token")
    checks = run_checks(daemon, {
        "by_url": section(url(web, "/basic", host=f"monitor:{PASSWORD}@127.0.0.1")),
        "by_url_escaped": section(url(web, "/basic", host="monitor:s3cr3t%2DPassw0rd@127.0.0.1")),
        "by_keys": section(basic, "Username=monitor", f"Password={PASSWORD}"),
        "nobody": section(basic),
        "wrong": section(basic, "Username=monitor", "Password=another-password"),
        "token": section(token, "Token=credential:web-token"),
        "no_token": section(token),
        "header": section(token, f"Header=Authorization: Bearer {TOKEN}"),
        "socket": section("http://localhost/token", f"Socket={web.directory}/web.sock",
                          f"Token={TOKEN}"),
    }, env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    for name in ("by_url", "by_url_escaped", "by_keys", "token", "header", "socket"):
        assert checks[name]["status"] == "healthy", checks[name]
    for name in ("nobody", "wrong", "no_token"):
        assert checks[name]["reason"] == "status_code != 200 (is 401)"


def test_redirects(daemon, web):
    far, token, match = url(web, "/moved-1"), f"Token={TOKEN}", "BodyMatch=(.*)"
    secret = ["Header=X-Secret: hidden-words", match]
    checks = run_checks(daemon, {
        "within": section(far, "FollowRedirects=3", token, *secret),
        "past": section(far, "FollowRedirects=2"),
        "file": section(url(web, "/to-file"), "FollowRedirects=5"),
        "away": section(url(web, "/away"), "FollowRedirects=5", token, *secret),
        "away_basic": section(url(web, "/away", host=f"monitor:{PASSWORD}@127.0.0.1"),
                              "FollowRedirects=5", match),
        "to_login": section(url(web, "/to-login"), "FollowRedirects=5", match),
        "name": section(url(web, "/to-name"), "FollowRedirects=5", token, *secret),
        "body": section(url(web, "/away-again"), "FollowRedirects=5", "Body=hello"),
        "nobody": section(url(web, "/to-nobody"), "FollowRedirects=5"),
        "socket": section("http://localhost/away", f"Socket={web.directory}/web.sock", match,
                          "FollowRedirects=1"),
    })
    here, other = f"127.0.0.1:{web.port}", f"127.0.0.1:{web.values['other']}"
    assert matched(checks["within"]) == f"auth=Bearer ***; x-secret=***; to={here}"
    nothing = "auth=; x-secret=; to="
    for name in ("away", "away_basic", "to_login", "socket"):
        assert matched(checks[name]) == f"other: {nothing}{other}"
    assert matched(checks["name"]) == f"{nothing}localhost:{web.port}"
    for name, said in (("past", "more redirects than FollowRedirects= allows"),
                       ("file", "no http or https URL"),
                       ("body", "another server, where the body is not sent"),
                       ("nobody", "resolving no-such-host.invalid: ")):
        assert checks[name]["status"] == "unhealthy"
        assert said in checks[name]["error"]
        assert checks[name]["error"].startswith(("GET", "POST")) and here in checks[name]["error"]
        assert checks[name]["details"] == {"available": False}


def test_tls(daemon, web, certificates):
    stranger = servers.Certificates()
    tls, ca = url(web, port="tls", scheme="https"), f"CAFile={certificates.ca}"
    mutual = url(web, port="mutual", scheme="https")
    client, key = certificates.issue("client")
    sections = {
        "right": section(tls, ca),
        "name": section(url(web, port="tls", scheme="https", host="localhost"), ca),
        "soon": "DegradedWhen=certificate_days_left < 14\n" +
                section(url(web, port="soon", scheme="https"), ca),
        "system": section(tls),
        "wrong": section(tls, f"CAFile={stranger.ca}"),
        "no_ca": section(tls, f"CAFile={stranger.directory}/absent.crt"),
        "wrong_name": section(url(web, port="tls", scheme="https", host="127.0.0.2"), ca),
        "plain": section(url(web, scheme="https"), ca),
        "client": section(mutual, ca, f"Certificate={client}", f"Key={key}", "BodyMatch=CN=(.*)"),
        "nobody": section(mutual, ca),
    }
    try:
        checks = run_checks(daemon, sections, COMMON.replace("Timeout=1s", "Timeout=5s"))
    finally:
        stranger.close()
    for name in ("right", "name"):
        assert checks[name]["status"] == "healthy", checks[name]
        assert 28.9 <= checks[name]["details"]["certificate_days_left"] <= 30
        assert checks[name]["details"]["tls_ms"] > 0
    assert checks["soon"]["status"] == "degraded"
    assert 3.9 <= checks["soon"]["details"]["certificate_days_left"] <= 5
    assert checks["soon"]["reason"].startswith("certificate_days_left < 14 (is ")
    for name, said in (("system", "certificate"), ("wrong", "certificate"),
                       ("no_ca", "absent.crt"), ("wrong_name", "127.0.0.2"), ("plain", "SSL")):
        assert checks[name]["status"] == "unhealthy", checks[name]
        assert said in checks[name]["error"]
        assert ": connecting to 127.0.0." in checks[name]["error"]
        assert checks[name]["details"]["available"] is False
    assert matched(checks["client"]) == "client"
    assert checks["nobody"]["reason"] == "status_code != 200 (is 400)"


def test_a_certificate_for_something_else(daemon, certificates):
    """Refused by OpenSSL for a reason that we have nothing to add to."""
    certificate, key = certificates.issue("for-clients", purpose="clientAuth")
    with servers.Nginx("""
            server {{
                listen 127.0.0.1:{port} ssl;
                ssl_certificate {certificate};
                ssl_certificate_key {key};
            }}
            """, certificate=certificate, key=key) as server:
        said = run_checks(daemon, {"purpose": section(f"https://127.0.0.1:{server.port}/",
                                                      f"CAFile={certificates.ca}")})["purpose"]
    assert said["status"] == "unhealthy" and "purpose" in said["error"], said


def test_http_version(daemon, web, certificates):
    tls, ca = url(web, port="tls", scheme="https"), f"CAFile={certificates.ca}"
    clear = url(web, port="h2c")
    checks = run_checks(daemon, {
        "tls_default": section(tls, ca),
        "tls_old": section(tls, ca, "HTTPVersion=1.1"),
        "tls_new": section(tls, ca, "HTTPVersion=2"),
        "clear_new": section(clear, "HTTPVersion=2"),
        "clear_default": section(url(web)),
        "unable": section(url(web), "HTTPVersion=2"),
    }, COMMON.replace("Timeout=1s", "Timeout=5s"))
    for name, version in (("tls_default", 2), ("tls_old", 1.1), ("tls_new", 2), ("clear_new", 2),
                          ("clear_default", 1.1)):
        assert checks[name]["status"] == "healthy", checks[name]
        assert checks[name]["details"]["http_version"] == version
    assert checks["unable"]["status"] == "unhealthy"


def test_kept_connections(daemon, web, certificates):
    quick = COMMON.replace("Interval=500ms", "Interval=100ms", 1).replace("Timeout=1s",
                                                                          "Timeout=5s")
    tls = url(web, port="tls", scheme="https")
    ca, match = f"CAFile={certificates.ca}", "BodyMatch=request ([0-9]+)"
    run_checks(daemon, {
        "kept": section(url(web, "/connection"), "Connection=persistent", match),
        "kept_tls": section(tls, ca, "Connection=persistent", match),
        "kept_socket": section("http://localhost/connection", f"Socket={web.directory}/web.sock",
                               "Connection=persistent", match),
        "fresh": section(url(web, "/connection"), match),
    }, quick)
    for name in ("kept", "kept_tls", "kept_socket"):
        check = daemon.wait_for(lambda answer, name=name: int(
            answer.json["checks"][name]["details"]["body_match_text"]) >= 3).json["checks"][name]
        assert check["status"] == "healthy", check
        assert check["details"]["connect_ms"] == 0
    check = daemon.check("kept_tls")
    assert check["details"]["tls_ms"] == 0
    assert check["details"]["certificate_days_left"] > 28
    check = daemon.check("fresh")
    assert matched(check) == "1"
    assert check["details"]["connect_ms"] > 0


@pytest.mark.parametrize("end", ["stop", "kill9"])
def test_a_restart_between_runs_is_no_failure(daemon, nginx, end):
    daemon.write_check("web", COMMON.replace("Interval=500ms", "Interval=5s", 1).replace(
        "FailAfter=1", "FailAfter=3").replace("RetryInterval=200ms", "RetryInterval=2s") +
        section(url(nginx), "Connection=persistent"))
    daemon.start()
    daemon.wait_status("web", "healthy")
    wait_next_result(daemon, "web")
    getattr(nginx, end)()
    nginx.start()
    wait_next_result(daemon, "web")
    assert daemon.check("web")["status"] == "healthy"
    assert daemon.check("web")["details"]["connect_ms"] > 0
    assert "web is unhealthy" not in daemon.stderr()


@pytest.mark.parametrize("kind", ["plain", "tls", "socket"])
def test_the_end_of_a_kept_connection_runs_the_check(daemon, certificates, kind):
    certificate, key = certificates.issue("kept")
    tls = free_port()
    slow = COMMON.replace("Interval=500ms", "Interval=1min", 1).replace("Timeout=1s", "Timeout=5s")
    with servers.Nginx("""
        server {{
            listen 127.0.0.1:{port};
            listen 127.0.0.1:{tls} ssl http2;
            listen unix:{directory}/web.sock;
            ssl_certificate {certificate};
            ssl_certificate_key {key};
            return 200;
        }}
    """, certificate=certificate, key=key, tls=tls) as web:
        lines = {"plain": [f"http://127.0.0.1:{web.port}/"],
                 "tls": [f"https://127.0.0.1:{tls}/", f"CAFile={certificates.ca}"],
                 "socket": ["http://localhost/", f"Socket={web.directory}/web.sock"]}[kind]
        daemon.write_check("kept", slow + section(*lines, "Connection=persistent"))
        daemon.write_check("fresh", slow + section(*lines))
        daemon.start()
        daemon.wait_status("kept", "healthy")
        daemon.wait_status("fresh", "healthy")
        web.kill9()
        # Whatever that run meets: the last process of the server may still be about to end.
        daemon.wait_status("kept", "unhealthy", timeout=10)
        assert daemon.check("fresh")["status"] == "healthy"


def test_the_address_of_a_name_changes(daemon, tmp_path):
    """A kept connection is not used for an address that the name has no more."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.252\n", encoding="ascii")
    mount = ["unshare", "--mount", "sh", "-c",
             f'mount --bind {resolv} /etc/resolv.conf && exec "$@"', "sh"]
    if subprocess.run([*mount, "true"], check=False).returncode != 0:
        pytest.skip("needs another /etc/resolv.conf, which only root can make")
    with servers.Nginx("server {{ listen 127.0.0.1:{port}; listen 127.0.0.5:{port}; "
                       "return 200 $server_addr; }}") as web, \
            servers.Dnsmasq("--local=/test/", host="127.0.0.252", port=53) as names:
        names.hosts.write_text("127.0.0.1 web.test\n", encoding="ascii")
        names.reload()
        daemon.write_check("web", COMMON + section(f"http://web.test:{web.port}/",
                                                   "Connection=persistent", "BodyMatch=(.*)"))
        daemon.start(prefix=mount)
        daemon.wait_status("web", "healthy")
        daemon.wait_for(lambda answer: answer.json["checks"]["web"]["details"].get(
            "connect_ms") == 0)
        assert matched(daemon.check("web")) == "127.0.0.1"
        names.hosts.write_text("127.0.0.5 web.test\n", encoding="ascii")
        names.reload()
        daemon.wait_for(lambda answer: answer.json["checks"]["web"]["details"].get(
            "body_match_text") == "127.0.0.5")
        assert daemon.check("web")["details"]["remote_ip"] == "127.0.0.5"
        assert "web is unhealthy" not in daemon.stderr()


def test_a_kept_connection_that_is_dead_is_tried_once_more(daemon):
    with Hostile("one_answer") as server:
        daemon.write_check("web", COMMON.replace("Interval=500ms", "Interval=100ms", 1) +
                           section(f"http://127.0.0.1:{server.port}/", "Connection=persistent"))
        daemon.start()
        wait_until("five connections", lambda: len(server.connections) >= 5)
        assert daemon.check("web")["status"] == "healthy"
        assert "web is unhealthy" not in daemon.stderr()


def test_refused_and_back(daemon, nginx):
    daemon.write_check("fresh", COMMON + section(url(nginx)))
    daemon.write_check("kept", COMMON + section(url(nginx), "Connection=persistent"))
    daemon.write_check("socket", COMMON + section("http://localhost/", "Socket=/nonexistent/x"))
    daemon.write_check("nowhere", COMMON + section("http://no-such-host.invalid/"))
    daemon.start()
    daemon.wait_status("fresh", "healthy")
    daemon.wait_status("kept", "healthy")
    checks = daemon.first_results("socket", "nowhere")
    assert checks["socket"]["error"] == ("GET http://localhost/: connecting to /nonexistent/x: "
                                         "No such file or directory")
    assert checks["nowhere"]["error"].startswith(
        "GET http://no-such-host.invalid/: resolving no-such-host.invalid: ")
    nginx.kill9()
    for name in ("fresh", "kept"):
        daemon.wait_status(name, "unhealthy")
        # The end of the kept connection is seen while the last process of the server still ends.
        refused = (f"GET {url(nginx)}: connecting to 127.0.0.1:{nginx.port}: "
                   "Connection refused")
        check = daemon.wait_for(lambda answer, name=name, text=refused: answer.json["checks"][name]
                                .get("error") == text).json["checks"][name]
        assert check["details"]["available"] is False
        assert "status_code" not in check["details"]
    nginx.start()
    daemon.wait_status("fresh", "healthy")
    daemon.wait_status("kept", "healthy")


@pytest.mark.parametrize("connection", ["fresh", "persistent"])
def test_hang(daemon, nginx, connection):
    daemon.write_check("web", COMMON + section(url(nginx), f"Connection={connection}"))
    daemon.write_check("tls", COMMON + section(url(nginx, scheme="https")))
    daemon.start()
    daemon.wait_status("web", "healthy")
    nginx.sigstop()
    check = daemon.wait_status("web", "unhealthy")
    place = f"127.0.0.1:{nginx.port}"
    assert check["error"] == (f"timed out after 1s: GET {url(nginx)}: no answer from {place} "
                              "while waiting for the first byte")
    assert 999 <= check["duration_ms"] < 3000
    assert check["details"]["available"] is False
    daemon.wait_for(lambda answer: answer.json["checks"]["tls"]["error"] ==
                    f"timed out after 1s: GET {url(nginx, scheme='https')}: no answer from "
                    f"{place} while setting up TLS")
    nginx.sigcont()
    daemon.wait_status("web", "healthy")


def test_a_port_that_is_silent(daemon):
    with servers.full_backlog("127.0.0.1") as port:
        checks = run_checks(daemon, {"web": section(f"http://127.0.0.1:{port}/")})
        assert checks["web"]["error"] == (f"timed out after 1s: GET http://127.0.0.1:{port}/: no "
                                          f"answer from 127.0.0.1:{port} while connecting")


def test_every_address_is_tried(daemon, tmp_path):
    """The first address refuses or is silent, the second one answers."""
    mount = two_addresses(tmp_path)
    both = "".join(f"server {{{{ listen {address}; return 200; }}}}"
                   for address in ("127.0.0.1:{port}", "127.0.0.3:{refused}",
                                   "127.0.0.3:{silent}"))
    with servers.full_backlog("127.0.0.1") as silent, servers.Nginx(both, refused=free_port(),
                                                            silent=silent) as web:
        checks = run_checks(daemon, {
            "refused": section(url(web, port="refused", host="two.test")),
            "silent": section(url(web, port="silent", host="two.test")),
            "all": section(f"http://two.test:{free_port()}/"),
        }, COMMON.replace("Timeout=1s", "Timeout=5s"), prefix=mount)
    for name in ("refused", "silent"):
        assert checks[name]["status"] == "healthy", checks[name]
        assert checks[name]["details"]["remote_ip"] == "127.0.0.3"
    assert checks["refused"]["duration_ms"] < 1000
    assert 2000 <= checks["silent"]["duration_ms"] < 4000
    assert "connecting to two.test (127.0.0.3:" in checks["all"]["error"]


HOSTILE = {
    "endless_body": "the body is larger than 1 MiB",
    "huge_length": "the body is larger than 1 MiB",
    "huge_length_silent": "timed out after 1s",
    "large_headers": "the headers are larger than 64 KiB",
    "endless_headers": "the headers are larger than 64 KiB",
    "endless_header": "the headers are larger than 64 KiB",
    "endless_interim": "the headers are larger than 64 KiB",
    "slow_body": "no end while reading the body",
    "slow_header": "timed out after 1s",
    "silent": "while waiting for the first byte",
    "early_close": "transfer closed",
    "no_answer": "Empty reply",
    "not_http": "HTTP/0.9",
    "bad_chunks": "hunk",
    "deep_json": "is not JSON",
    "cut_json": "is not JSON",
    "redirect_loop": "more redirects than FollowRedirects= allows",
    "redirect_nowhere": "no http or https URL",
}


def test_hostile_servers(daemon, nginx):
    with contextlib.ExitStack() as stack:
        hostile = {name: stack.enter_context(Hostile(name)) for name in HOSTILE}
        daemon.write_check("well", COMMON.replace("Interval=500ms", "Interval=200ms", 1) +
                           section(url(nginx)))
        daemon.write_check("self", "[Check]\nType=application\nInterval=200ms\n")
        checks = run_checks(daemon, {
            name: section(f"http://127.0.0.1:{server.port}/", "FollowRedirects=5",
                          "Json=depth:/depth", "BodyMatch=(x+)")
            for name, server in hostile.items()
        }, COMMON.replace("Interval=500ms", "Interval=60s", 1))
        for name, said in HOSTILE.items():
            assert said in checks[name]["error"], checks[name]
            assert checks[name]["status"] == "unhealthy"
            assert checks[name]["duration_ms"] < 2000
            assert checks[name]["details"].get("body_size", 0) < MIB + 128 * 1024
            # What the two kernels hold between them was sent too.
            assert hostile[name].sent < 16 * MIB
        assert len(hostile["redirect_loop"].connections) == 6
        assert checks["early_close"]["details"]["status_code"] == 200
        assert checks["early_close"]["details"]["available"] is False
        assert daemon.get("/health/live", timeout=1).status == 200
        assert daemon.check("self")["details"]["loop_lag_ms"] < 500
        wait_next_result(daemon, "well")
        assert daemon.check("well")["status"] == "healthy"
        assert "well is unhealthy" not in daemon.stderr()


def test_the_deadline_of_a_short_check_holds(daemon):
    """Dripping servers and many of them: no one's deadline waits for another's."""
    with Hostile("slow_body") as drip, Hostile("slow_header") as header:
        checks = run_checks(daemon, {
            f"{name}-{i}": section(f"http://127.0.0.1:{server.port}/")
            for name, server in (("body", drip), ("header", header)) for i in range(10)
        }, COMMON.replace("Timeout=1s", "Timeout=300ms"))
        for check in checks.values():
            assert 299 <= check["duration_ms"] < 1200


def test_secrets(daemon, web, tmp_path):
    (tmp_path / "web-token").write_text(TOKEN + "\n", encoding="utf-8")
    (tmp_path / "web-header").write_text("X-Secret: from-a-credential\n", encoding="utf-8")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    echo, match = url(web, "/echo"), "BodyMatch=(.*)"
    after_scheme = url(web, "/after-scheme")
    closed = f"127.0.0.1:{free_port()}"
    secrets = [PASSWORD, TOKEN, "from-a-credential", "hidden-words", "dXNlcjpodHRw", "lone-token",
               "query-key"]
    names = {
        "token": section(echo, "Token=credential:web-token", match),
        "url": section(f"http://monitor:{PASSWORD}@{closed}/?key=query-key"),
        "lone": section(f"http://lone-token@{closed}/"),
        "written": section(url(web, "/leak", host="monitor:s3cr3t%2DPassw0rd@127.0.0.1"), match),
        "header": section(echo, "Header=X-Secret:   hidden-words  ", match),
        "bearer": section(echo, "Header=Authorization: Bearer hidden-words", match),
        "after_bearer": section(after_scheme, "Header=Authorization: Bearer hidden-words", match),
        "after_basic": section(after_scheme, "Header=Authorization:Basic   dXNlcjpodHRw ", match),
        "basic": section(echo, "Header=authorization:basic   dXNlcjpodHRw", match),
        "own_scheme": section(echo, "Header=Authorization: ApiKey hidden-words", match),
        "credential": section(echo, "Header=credential:web-header", match),
        "harmless": section(echo, "Header=Host: orders.example", "Header=X-Tenant: connection",
                            match),
    }
    checks = run_checks(daemon, names, env=environment)
    daemon.write_check("broken", COMMON + section(echo, f"Password={PASSWORD}", "Tokn=1"))
    daemon.write_check("header-broken", COMMON + section(echo, f"Header={TOKEN}"))
    assert matched(checks["token"]).startswith("auth=Bearer ***;")
    assert "x-secret=***;" in matched(checks["header"])
    assert "x-secret=***;" in matched(checks["credential"])
    assert matched(checks["written"]) == "***"
    assert matched(checks["harmless"]) == "auth=; x-secret=; to=orders.example"
    for name in ("after_bearer", "after_basic"):
        assert matched(checks[name]) == "it is ***"
    for name in ("bearer", "basic", "own_scheme"):
        assert "***; x-secret=;" in matched(checks[name])
    for name in ("url", "lone"):
        assert checks[name]["error"] == (f"GET http://{closed}/: connecting to {closed}: "
                                         "Connection refused")
    health = daemon.get("/health").text
    verification = daemon.verify(env=environment)
    assert "Token" in verification.stderr and "Header=Name: value" in verification.stderr
    with open(f"/proc/{daemon.process.pid}/cmdline", encoding="utf-8") as file:
        cmdline = file.read()
    daemon.terminate()
    for text in (health, verification.stdout, verification.stderr, cmdline, daemon.stderr()):
        assert not [secret for secret in secrets if secret in text]


MISTAKES = {
    "no_url": ([], "URL= is missing"),
    "scheme": (["URL=ftp://127.0.0.1/"], "must begin with http:// or https://"),
    "url": (["URL=http://127.0.0.1:port/"], "URL="),
    "method": (["URL=http://h/", "Method=get"], "a word in capitals"),
    "header": (["URL=http://h/", "Header=X-One 1"], "Header=Name: value"),
    "both": (["URL=http://h/", "Token=abcdef", "Username=u"], "exclude each other"),
    "twice": (["URL=http://u:abcdef@h/", "Username=u"], "give them once"),
    "password": (["URL=http://h/", "Password=abcdef"], "needs Username="),
    "key": (["URL=https://h/", "Key=/k"], "needs Certificate="),
    "json": (["URL=http://h/", "Json=depth"], "Json=name:/pointer"),
    "pointer": (["URL=http://h/", "Json=depth:x"], "JSON pointer"),
    "detail": (["URL=http://h/", "Json=status_code:/x"], "choose another name"),
    "header_name": (["URL=http://h/", "ResponseHeader=X-Cache"], "ResponseHeader=name:Header-Name"),
    "header_of": (["URL=http://h/", "ResponseHeader=c:X-Cache: y"], "the name of a header"),
    "header_detail": (["URL=http://h/", "ResponseHeader=body:X"], "choose another name"),
    "match": (["URL=http://h/", "BodyMatch=("], "regular expression"),
    "redirects": (["URL=http://h/", "FollowRedirects=21"], "FollowRedirects="),
    "version": (["URL=http://h/", "HTTPVersion=3"], "HTTPVersion="),
    "connection": (["URL=http://h/", "Connection=forever"], "persistent"),
}


def test_mistakes_are_explained(daemon):
    for name, (lines, _) in MISTAKES.items():
        daemon.write_check(name, COMMON + "\n".join(["[HTTP]", *lines, ""]))
    result = daemon.verify()
    assert result.returncode != 0
    for name, (_, said) in MISTAKES.items():
        lines = [line for line in result.stderr.splitlines() if f"/{name}.check" in line]
        assert len(lines) == 1 and said in lines[0], (name, lines)
    assert "header.check:10: Header=: it must be written as" in result.stderr
    assert "abcdef" not in result.stdout + result.stderr


def test_who_verifies_needs_no_credentials(daemon):
    daemon.write_check("web", COMMON + section("https://h/", "Header=credential:header",
                                               "Username=u", "Password=credential:password",
                                               "Body=credential:body"))
    assert daemon.verify().returncode == 0
