# SPDX-License-Identifier: LGPL-2.1-or-later
"""Type=tcp against Redis, PostgreSQL and nginx, and against servers that misbehave."""

import shutil
import socket
import subprocess
import sys
import threading

import pytest

import servers
from acceptor import Acceptor
from hostile import Hostile
from process import can_connect, free_port, wait_until

COMMON = ("[Check]\nType=tcp\nInterval=500ms\nRetryInterval=200ms\nFailAfter=1\nPassAfter=1\n"
          "Timeout=1s\n")
PATIENT = COMMON.replace("Timeout=1s", "Timeout=5s")


def section(address, *lines):
    return "\n".join(["[TCP]", f"Address={address}", *lines, ""])


def run_checks(daemon, sections, common=COMMON, **options):
    """One check of each section; returns their first results."""
    return daemon.run_checks({name: common + text for name, text in sections.items()}, **options)


class Greeter(Acceptor):
    """Speaks first, as mail servers do, without being asked."""
    keeps = True

    def __init__(self, words):
        self.words = words
        super().__init__()

    def converse(self, connection):
        connection.sendall(self.words)


def test_details(daemon, redis, postgres):
    address = f"127.0.0.1:{redis.port}"
    # PostgreSQL's SSLRequest: eight bytes, answered by one.
    ssl_request = r"Send=\x00\x00\x00\x08\x04\xd2\x16\x2f"
    checks = run_checks(daemon, {
        "connect": section(address),
        "name": section(f"localhost:{redis.port}"),
        "answer": section(address, r"Send=PING\r\n"),
        "expect": section(address, r"Send=PING\r\n", r"Expect=^\+PONG\r\n"),
        "socket": section(redis.socket, r"Send=PING\r\n", "Expect=PONG"),
        "error": "DegradedWhen=banner ~ ^-ERR\n" + section(address, r"Send=NONSENSE\r\n"),
        "binary": section(f"127.0.0.1:{postgres.port}", ssl_request, r"Expect=^\x4e$"),
    }, PATIENT)
    for name, check in checks.items():
        if name != "error":
            assert check["status"] == "healthy", (name, check)
        assert check["details"]["connected"] is True
        assert 0 < check["details"]["connect_ms"] < 5000
        assert "certificate_days_left" not in check["details"]
    assert set(checks["connect"]["details"]) == {"connected", "connect_ms"}
    for name in ("answer", "expect", "socket"):
        assert checks[name]["details"]["banner"] == "+PONG"
        assert checks[name]["details"]["response_ms"] > 0
    assert checks["error"]["status"] == "degraded"
    assert checks["binary"]["details"]["banner"] == "N"


def test_expectations(daemon):
    greeting = b"\r\n220 mail.example ESMTP\r\n250 \x00\xff[1]\r\n"
    with Greeter(greeting) as server:
        address = f"127.0.0.1:{server.port}"
        good = {
            "line": r"Expect=^220 [a-z.]+ ESMTP\r$",
            "second_line": "Expect=^250 ",
            "nul": r"Expect=250 \x00\xff",
            "any_byte": r"Expect=^250 ..\[1\]",
            "special_byte": r"Expect=\x5b1\x5d\r\n",
            "backslash": r"Expect=(220|\\n)",
        }
        bad = {
            "absent": "Expect=^354",
            "not_a_dot": r"Expect=mail\x2bexample",
            "no_newline": r"Expect=ESMTP.+250",
        }
        checks = run_checks(daemon, {name: section(address, line)
                                     for name, line in (good | bad).items()})
    for name in good:
        assert checks[name]["status"] == "healthy", (name, checks[name])
        assert checks[name]["details"]["banner"] == "220 mail.example ESMTP"
    for name, line in bad.items():
        assert checks[name]["error"] == (
            f"timed out after 1s: {address} sent {len(greeting)} bytes, which {line} does not "
            "match: 220 mail.example ESMTP")
        assert checks[name]["details"]["connected"] is True
        assert "response_ms" not in checks[name]["details"]


def test_what_comes_in_pieces(daemon):
    """The answer is put together, whatever the packets are."""
    def serve(listener):
        connection, _ = listener.accept()
        with connection:
            for byte in b"+HELLO\r\n":
                connection.sendall(bytes([byte]))
                threading.Event().wait(0.02)
            connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        checks = run_checks(daemon, {"web": section(
            f"127.0.0.1:{listener.getsockname()[1]}", r"Expect=^\+HELLO\r\n")},
            PATIENT.replace("Interval=500ms", "Interval=60s", 1))
    assert checks["web"]["status"] == "healthy", checks["web"]


def test_tls(daemon, certificates):
    stranger = servers.Certificates()
    certificate, key = certificates.issue("web", days=90)
    # The authority expires before the server's own certificate.
    with open(certificate, "a", encoding="ascii") as file:
        file.write(certificates.ca.read_text())
    old_certificate, old_key = certificates.issue("old", days=-1)
    ports = {"old": free_port(), "own": free_port(), "clear": free_port()}
    web = servers.Nginx("""
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        server {{ listen 127.0.0.1:{port} ssl; return 200 "ok"; }}
        server {{ listen 127.0.0.1:{clear}; }}
        server {{
            listen 127.0.0.1:{old} ssl;
            ssl_certificate {old_certificate};
            ssl_certificate_key {old_key};
        }}
        server {{
            listen 127.0.0.1:{own} ssl;
            ssl_certificate {stranger};
            ssl_certificate_key {stranger_key};
        }}
    """, certificate=certificate, key=key, old_certificate=old_certificate, old_key=old_key,
                        stranger=stranger.ca, stranger_key=stranger.directory / "ca.key", **ports)
    address, ca = f"127.0.0.1:{web.port}", f"CAFile={certificates.ca}"
    ask = [r"Send=GET\s/ HTTP/1.0\r\n\r\n", r"Expect=^HTTP/1\.[01] 200 "]
    try:
        with web, servers.Redis() as plain:
            checks = run_checks(daemon, {
                "right": section(address, "TLS=yes", ca, *ask),
                "bare": section(address, "TLS=yes", ca),
                "name": section(address, "TLS=yes", ca, "ServerName=localhost"),
                "wrong_name": section(address, "TLS=yes", ca, "ServerName=orders.example"),
                "expired": section(f"127.0.0.1:{ports['old']}", "TLS=yes", ca),
                "unknown": section(address, "TLS=yes", f"CAFile={stranger.ca}"),
                "system": section(address, "TLS=yes"),
                "own": section(f"127.0.0.1:{ports['own']}", "TLS=yes", ca),
                "not_tls": section(f"127.0.0.1:{ports['clear']}", "TLS=yes", ca),
                "hears_no_tls": section(f"127.0.0.1:{plain.port}", "TLS=yes", ca),
                "in_the_clear": section(address, *ask),
            }, PATIENT)
    finally:
        stranger.close()
    for name in ("right", "bare", "name"):
        assert checks[name]["status"] == "healthy", checks[name]
        details = checks[name]["details"]
        assert 28.9 <= details["certificate_days_left"] <= 30
        assert details["certificate_subject"] == "CN = web"
        assert details["certificate_issuer"] == "CN = healthd test CA"
    assert checks["right"]["details"]["banner"].startswith("HTTP/1.")
    said = {
        "wrong_name": ("orders.example", "issued for other names"),
        "expired": ("certificate has expired", "renew it"),
        "unknown": ("its authority is not trusted here",),
        "system": ("its authority is not trusted here",),
        "own": ("self-signed certificate", "nobody but itself"),
        "not_tls": ("SSL", "(does it speak TLS there?)"),
        "hears_no_tls": ("timed out after 5s: setting up TLS with 127.0.0.1:",),
        "in_the_clear": ("which Expect=",),
    }
    for name, texts in said.items():
        assert checks[name]["status"] == "unhealthy", checks[name]
        for text in texts:
            assert text in checks[name]["error"], checks[name]
    for name in ("wrong_name", "expired", "unknown", "own"):
        assert "connecting to 127.0.0.1:" in checks[name]["error"]
        assert checks[name]["details"]["connected"] is False


def test_refused_hang_and_back(daemon, redis):
    place = f"127.0.0.1:{redis.port}"
    daemon.write_check("redis", COMMON + section(place, r"Send=PING\r\n", "Expect=PONG"))
    daemon.write_check("any", COMMON + section(place, r"Send=PING\r\n"))
    daemon.write_check("nowhere", COMMON + section("no-such-host.invalid:1"))
    daemon.write_check("socket", COMMON + section("/nonexistent/x"))
    daemon.start()
    daemon.wait_status("redis", "healthy")
    daemon.wait_status("any", "healthy")
    assert daemon.wait_status("nowhere", "unhealthy")["error"].startswith(
        "resolving no-such-host.invalid: ")
    assert daemon.wait_status("socket", "unhealthy")["error"] == (
        "connecting to /nonexistent/x: No such file or directory")
    redis.sigstop()
    check = daemon.wait_status("redis", "unhealthy")
    assert check["error"] == f"timed out after 1s: {place} sent nothing; waited for Expect=PONG"
    assert daemon.wait_status("any", "unhealthy")["error"] == (
        f"timed out after 1s: {place} sent nothing; waited for an answer to Send=")
    redis.sigcont()
    daemon.wait_status("redis", "healthy")
    redis.kill9()
    check = daemon.wait_status("redis", "unhealthy")
    assert check["error"] == f"connecting to {place}: Connection refused"
    assert check["details"] == {"connected": False}
    redis.start()
    daemon.wait_status("redis", "healthy")


def test_a_port_that_is_silent(daemon):
    with servers.full_backlog("127.0.0.1") as port:
        checks = run_checks(daemon, {"tcp": section(f"127.0.0.1:{port}")})
    assert checks["tcp"]["error"] == f"timed out after 1s: connecting to 127.0.0.1:{port}"


HOSTILE = {
    "endless_banner": "bytes and more, which Expect=^354 does not match: 220 zzz",
    "slow_banner": "which Expect=^354 does not match: 220-xx",
    "nul_banner": "bytes and closed the connection, which Expect=^354 does not match: ? ?SQL??",
    "silent": "sent nothing; waited for Expect=^354",
    "no_answer": "sent nothing and closed the connection; waited for Expect=^354 (if it speaks TLS",
}


def test_a_peer_that_sends_crumbs_is_the_one_to_blame(daemon):
    """Each crumb has all of it searched anew; the expression alone is not too much."""
    with Hostile("crumbs") as peer:
        check = run_checks(daemon, {"crumbs": section(
            f"127.0.0.1:{peer.port}", "Send=x", "Expect=[a-z]{5}!")}, PATIENT)["crumbs"]
        assert check["status"] == "unhealthy", check
        assert "in so many pieces" in check["error"], check
        assert check["details"]["banner"].startswith("abcdef")


def test_hostile_servers(daemon):
    servers_by_name = {name: Hostile(name) for name in HOSTILE}
    try:
        for server in servers_by_name.values():
            server.__enter__()
        checks = run_checks(daemon, {
            name: section(f"127.0.0.1:{server.port}", "Send=x", "Expect=^354")
            for name, server in servers_by_name.items()
        }, COMMON.replace("Interval=500ms", "Interval=60s", 1))
        for name, said in HOSTILE.items():
            assert said in checks[name]["error"], checks[name]
            assert checks[name]["status"] == "unhealthy"
            assert checks[name]["duration_ms"] < 2000
    finally:
        for server in servers_by_name.values():
            server.__exit__()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "0.0.0.0"])
def test_nobody_is_there_but_healthd_itself(daemon, host):
    """Where the port asked for is one that the kernel gives to clients, and gives to this one."""
    port = daemon.port + 1
    inside = ["unshare", "--net", "sh", "-c", "ip link set lo up && "
              f"echo {port} {port} >/proc/sys/net/ipv4/ip_local_port_range && exec \"$@\"", "sh"]
    meet = ("import socket, sys; s = socket.create_connection((sys.argv[1].strip('[]'), "
            f"{port})); assert s.getsockname() == s.getpeername()")
    if not shutil.which("unshare") or not shutil.which("ip") or subprocess.run(
            [*inside, sys.executable, "-c", meet, host], capture_output=True,
            check=False).returncode != 0:
        pytest.skip("needs root and ip(8) to make a network namespace where this happens")
    daemon.write_check("down", COMMON.replace("Interval=500ms", "Interval=60s", 1)
                       .replace("RetryInterval=200ms", "RetryInterval=60s")
                       + section(f"{host}:{port}"))
    daemon.start(prefix=inside, wait=False)
    wait_until("healthd listens", lambda: can_connect(daemon.socket))

    def result():
        check = daemon.get("/health", via="unix").json["checks"]["down"]
        return check["checked_at"] and check
    check = wait_until("a result", result)
    assert check["status"] == "unhealthy" and "Connection refused" in check["error"], check
    # Nor does a connection that is over keep the port from the server that is to come.
    subprocess.run(["nsenter", "--net", f"--target={daemon.process.pid}", sys.executable, "-c",
                    f"import socket; socket.socket().bind(('', {port}))"], check=True)


def test_a_credential_is_sent(daemon, redis, tmp_path):
    (tmp_path / "word").write_text(r"ECHO s3cr3t-w0rd\r\n" + "\n", encoding="ascii")
    checks = run_checks(daemon, {
        "redis": section(f"127.0.0.1:{redis.port}", "Send=credential:word",
                         r"Expect=s3cr3t-w0rd\r\n"),
    }, env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert checks["redis"]["status"] == "healthy", checks["redis"]
    assert daemon.verify().returncode == 0


MISTAKES = {
    "no_address": ([], "Address= is missing"),
    "no_port": (["Address=mail.example"], "must be host:port"),
    "escape": (["Address=h:1", r"Send=\q"], r"escapes of C"),
    "half_byte": (["Address=h:1", r"Send=\x1"], "two digits"),
    "pattern": (["Address=h:1", "Expect=("], "regular expression"),
    "pattern_byte": (["Address=h:1", r"Expect=\xg0"], "hexadecimal"),
    "ca": (["Address=h:1", "CAFile=/ca"], "need TLS=yes"),
    "socket": (["Address=/run/x", "TLS=yes"], "unix socket"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained(daemon, name):
    lines, said = MISTAKES[name]
    daemon.write_check(name, COMMON + "\n".join(["[TCP]", *lines, ""]))
    result = daemon.verify()
    assert result.returncode != 0
    found = [line for line in result.stderr.splitlines() if f"/{name}.check" in line]
    assert len(found) == 1 and said in found[0], found
