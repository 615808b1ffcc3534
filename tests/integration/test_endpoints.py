# SPDX-License-Identifier: LGPL-2.1-or-later
"""The HTTP server: answers, caching, refusals, limits, slow clients, a clean end."""

import concurrent.futures
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import time

import pytest

from healthd import binary
from process import can_connect, free_port, wait_until

PASSING = "[Check]\nType=application\nInterval={interval}\nGroups=own web\n"
FAILING = "[Check]\nType=application\nInterval={interval}\nFailAfter=1\nRequired={required}\n" \
          "Groups=bad\nUnhealthyWhen=open_fds > 0\n"
ENDPOINTS = ["/", "/health", "/health/live", "/health/ready",
             "/health/history?check=NAME[&since=SECONDS]", "/health/silences", "/health/alerts",
             "/metrics", "/health/checks/NAME", "/health/groups/NAME"]


def started(daemon, interval="1h", **options):
    """A daemon with one check that passed and will not run again soon."""
    daemon.write_check("self", PASSING.format(interval=interval))
    daemon.start(**options)
    daemon.wait_status("self", "healthy")
    return daemon


def talk(daemon, data, timeout=5):
    """Sends bytes and returns everything that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=timeout) as client:
        client.sendall(data)
        return read_all(client)


def read_all(client):
    received = b""
    while True:
        data = client.recv(65536)
        if not data:
            return received
        received += data


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Clients:
    """Many connections that do nothing, or next to nothing."""

    def __init__(self, daemon, count, data=b"", path=None):
        self.sockets = []
        for _ in range(count):
            client = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
            client.settimeout(20)
            client.connect(path or ("127.0.0.1", daemon.port))
            client.sendall(data)
            self.sockets.append(client)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.sockets:
            client.close()


def test_health_says_what_is_known_of_each_check(daemon):
    started(daemon)
    answer = daemon.get("/health")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert int(answer.headers["content-length"]) == len(answer.text)
    assert answer.json["status"] == "healthy"
    assert abs(answer.json["timestamp"] - time.time()) < 5
    assert 0 < answer.json["uptime"] < 60
    check = answer.json["checks"]["self"]
    assert check["status"] == check["last_status"] == "healthy"
    assert check["type"] == "application"
    assert check["required"] is True
    assert check["consecutive_failures"] == 0
    assert check["details"]["open_fds"] > 3
    assert check["duration_ms"] >= 0
    assert 0 <= check["age"] < 60
    assert abs(check["checked_at"] + check["age"] - answer.json["timestamp"]) < 1
    assert check["since"] <= check["checked_at"] + 1
    assert 3000 < check["next_run"] - time.time() <= 3600
    assert "error" not in check and "reason" not in check


def test_recent_results_in_place_of_details(daemon):
    daemon.write_check("up", PASSING.format(interval="100ms"))
    daemon.write_check("down", FAILING.format(interval="100ms", required="no"))
    daemon.start()
    shown = daemon.wait_for(lambda answer: all(len(check["recent"]) == 20 for check
                                               in answer.json["checks"].values()),
                            path="/health?recent=yes").json["checks"]
    assert shown["up"]["recent"] == "h" * 20 and shown["down"]["recent"] == "u" * 20
    assert "details" not in shown["up"] and shown["up"]["type"] == "application"
    group = daemon.get("/health/groups/own?recent=yes").json["checks"]
    assert list(group) == ["up"] and group["up"]["recent"] == "h" * 20
    plain = daemon.get("/health").json["checks"]["up"]
    assert "recent" not in plain and plain["details"]["open_fds"] > 0
    refused = daemon.get("/health?recent=20")
    assert refused.status == 400 and "yes" in refused.json["detail"]


def test_live_and_ready(daemon):
    started(daemon)
    live, ready = daemon.get("/health/live"), daemon.get("/health/ready")
    assert (live.status, live.json["status"]) == (200, "alive")
    assert live.headers["cache-control"] == "no-cache"
    assert (ready.status, ready.json["status"]) == (200, "ready")
    assert all(abs(answer.json["timestamp"] - time.time()) < 5 for answer in (live, ready))


def test_only_a_failing_required_check_is_503(daemon):
    daemon.write_check("bad", FAILING.format(interval="1h", required="yes"))
    daemon.write_check("optional", FAILING.format(interval="1h", required="no")
                       .replace("Groups=bad", "Groups=spare"))
    started(daemon)
    daemon.wait_status("bad", "unhealthy")
    daemon.wait_status("optional", "unhealthy")
    answer = daemon.get("/health")
    assert (answer.status, answer.json["status"]) == (503, "unhealthy")
    assert answer.json["checks"]["bad"]["reason"].startswith("open_fds > 0 (is ")
    ready = daemon.get("/health/ready")
    assert (ready.status, ready.json) == (503, {"detail": "Service not ready",
                                                "failing": ["bad"]})
    assert daemon.get("/health/live").status == 200
    expected = {"/health/checks/self": (200, "healthy"), "/health/checks/bad": (503, "unhealthy"),
                "/health/checks/optional": (503, "unhealthy"),
                "/health/groups/own": (200, "healthy"), "/health/groups/bad": (503, "unhealthy"),
                "/health/groups/spare": (200, "degraded")}
    for path, (status, word) in expected.items():
        answer = daemon.get(path)
        assert (answer.status, answer.json["status"]) == (status, word), path
    assert list(daemon.get("/health/checks/bad").json["checks"]) == ["bad"]
    assert list(daemon.get("/health/groups/own").json["checks"]) == ["self"]


def test_a_broken_check_file_is_an_error_with_its_message(daemon):
    daemon.write_check("broken", "[Check]\nType=application\nRequired=no\nIntervall=3s\n")
    started(daemon)
    check = daemon.check("broken")
    assert check["status"] == "error"
    assert "broken.check:4" in check["error"] and "Interval" in check["error"]
    assert check["checked_at"] is None and "details" not in check


def test_unchanged_state_is_304(daemon):
    started(daemon)
    first = daemon.get("/health")
    etag = first.headers["etag"]
    assert re.fullmatch(r'W/"[0-9a-f]+-[0-9a-f]+-[0-9a-f]+d"', etag)
    for held in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        answer = daemon.get("/health", headers={"If-None-Match": held})
        assert (answer.status, answer.text) == (304, ""), held
        assert answer.headers["etag"] == etag
    assert daemon.get("/health", headers={"If-None-Match": 'W/"other"'}).status == 200
    assert daemon.get("/health/ready", headers={"If-None-Match": "*"}).status == 304
    assert "etag" not in daemon.get("/health/live").headers


def test_a_new_result_is_shown_at_once(daemon):
    started(daemon, interval="100ms")
    etag = daemon.get("/health").headers["etag"]
    begin = time.monotonic()
    seen = 0
    while seen < 4:
        answer = daemon.get("/health", headers={"If-None-Match": etag})
        if answer.status == 200:
            seen += 1
            etag = answer.headers["etag"]
        time.sleep(0.02)
    assert time.monotonic() - begin < 2


def test_a_failure_is_never_304(daemon):
    daemon.write_check("bad", FAILING.format(interval="1h", required="yes"))
    daemon.start()
    daemon.wait_status("bad", "unhealthy")
    answer = daemon.get("/health")
    for held in (answer.headers["etag"], "*"):
        assert daemon.get("/health", headers={"If-None-Match": held}).status == 503


def test_always_200_is_for_who_shows_it(daemon):
    daemon.write_check("bad", FAILING.format(interval="1h", required="yes"))
    daemon.start()
    daemon.wait_status("bad", "unhealthy")
    for path in ("/health", "/health/checks/bad", "/health/groups/bad", "/health/ready"):
        plain, shown = daemon.get(path), daemon.get(f"{path}?always=200")
        assert (plain.status, shown.status) == (503, 200), path
        assert set(plain.json) == set(shown.json) and shown.json.get("status") != "healthy"
        held = {"If-None-Match": shown.headers["etag"]}
        assert daemon.get(f"{path}?always=200", headers=held).status == 304
        assert daemon.get(path, headers=held).status == 503
    assert daemon.get("/health/checks/nobody?always=200").status == 404
    refused = daemon.get("/health?always=204")
    assert refused.status == 400 and "200" in refused.json["detail"]


def test_the_page_is_served_with_a_strict_policy(daemon):
    started(daemon)
    types = {"/": "text/html; charset=utf-8", "/status.css": "text/css; charset=utf-8",
             "/status.js": "text/javascript; charset=utf-8", "/icon.svg": "image/svg+xml"}
    size = 0
    for path, media_type in types.items():
        for via, accept in (("tcp", "text/html"), ("unix", "*/*")):
            answer = daemon.get(path, via=via, headers={"Accept": accept})
            assert (answer.status, answer.headers["content-type"]) == (200, media_type), path
        size += len(answer.text.encode())
        assert answer.headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
            "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-cache"
        held = {"If-None-Match": answer.headers["etag"]}
        again = daemon.get(path, headers=held)
        assert (again.status, again.text) == (304, "")
        assert daemon.get(path, headers={"If-None-Match": 'W/"other"'}).status == 200
        head = daemon.get(path, method="HEAD")
        assert (head.status, head.text) == (200, "")
        assert int(head.headers["content-length"]) == len(answer.text.encode())
        refused = daemon.get(path, method="POST")
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
    assert size < 60000
    page = daemon.get("/").text
    assert not re.search(r"<style|<script(?! src=\"status.js\" defer></script>)| style=| on\w+=|//",
                         page)


def test_groups_are_named_to_who_sees_details(daemon):
    daemon.write_check("alone", PASSING.format(interval="1h").replace("Groups=own web\n", ""))
    started(daemon)
    checks = daemon.get("/health").json["checks"]
    assert checks["self"]["groups"] == ["own", "web"] and "groups" not in checks["alone"]


def test_caches_hold_an_answer_until_the_next_run_at_most(daemon):
    started(daemon, interval="60s")
    answer = daemon.get("/health")
    seconds = int(re.fullmatch(r"private, max-age=(\d+)", answer.headers["cache-control"])[1])
    assert 0 < seconds < answer.json["checks"]["self"]["next_run"] - time.time()
    daemon.write_check("often", PASSING.format(interval="1s"))
    daemon.reload()
    daemon.wait_for(lambda answer: "often" in answer.json["checks"])
    assert daemon.get("/health").headers["cache-control"] == "no-cache"


def test_asking_runs_no_check(daemon, redis):
    daemon.write_check("redis", "[Check]\nType=redis\nInterval=1h\n[Redis]\n"
                       f"Address=127.0.0.1:{redis.port}\n")
    daemon.start()
    daemon.wait_status("redis", "healthy")
    before = redis.cli("INFO", "commandstats"), daemon.check("redis")["checked_at"]
    for path in ("/health", "/health/ready", "/health/checks/redis", "/metrics", "/",
                 "/health/history?check=redis"):
        for via in ("unix", "tcp"):
            assert daemon.get(path, via=via).status == 200
    pings = re.compile(r"cmdstat_ping:calls=(\d+)")
    after = redis.cli("INFO", "commandstats"), daemon.check("redis")["checked_at"]
    assert pings.findall(after[0]) == pings.findall(before[0]) != []
    assert after[1] == before[1]


def test_head_is_get_without_the_body(daemon):
    started(daemon)
    for path in ("/health", "/health/live", "/health/checks/self", "/nowhere"):
        get, head = daemon.get(path), daemon.get(path, method="HEAD")
        assert (head.status, head.text) == (get.status, "")
        assert abs(int(head.headers["content-length"]) - len(get.text)) < 30
        assert head.headers.get("etag") == get.headers.get("etag")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_405(daemon, method):
    started(daemon)
    answer = daemon.get("/health", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json["detail"]


def test_unknown_paths_are_404_and_say_what_there_is(daemon):
    started(daemon)
    for path in ("/index.html", "/healthy", "/health/", "/health/live/", "/health/checks/",
                 "/HEALTH"):
        answer = daemon.get(path)
        assert (answer.status, answer.json["endpoints"]) == (404, ENDPOINTS), path
    for path, detail in (("/health/checks/nobody", "there is no check of this name"),
                         ("/health/groups/nobody", "no check is in a group of this name")):
        answer = daemon.get(path)
        assert answer.status == 404 and detail in answer.json["detail"]
    assert daemon.get("/health?verbose=1").status == 200
    assert daemon.get("/health/checks/%73elf").status == 200


def test_large_requests_are_refused_as_json(daemon):
    started(daemon)
    for size in (1100, 5000, 16384):
        answer = daemon.get("/health?" + "a" * size)
        assert answer.status == 414 and "1 KiB" in answer.json["detail"], size
    assert daemon.get("/health?" + "a" * 1000).status == 200
    for size in (8500, 16000, 16384, 20000):
        answer = daemon.get("/health", headers={"X-Large": "a" * size})
        assert answer.status == 431 and "8 KiB" in answer.json["detail"], size
    assert daemon.get("/health", headers={"X-Large": "a" * 7000}).status == 200


def test_what_is_larger_than_the_request_memory_is_refused_too(daemon):
    started(daemon)
    begin = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Large: "
    assert talk(daemon, begin + b"a" * 60000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    assert talk(daemon, b"GET /" + b"a" * 60000 + b" HTTP/1.1\r\n\r\n").startswith(
        b"HTTP/1.1 414 ")
    assert daemon.get("/health/live").status == 200


def test_bodies_are_read_away_up_to_a_limit(daemon):
    started(daemon)
    begin = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    answer = talk(daemon, begin + b"Content-Length: 5000\r\n\r\n" + b"x" * 5000)
    assert answer.startswith(b"HTTP/1.1 200 ")
    answer = talk(daemon, begin + b"Content-Length: 100000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    answer = talk(daemon, begin + b"Transfer-Encoding: chunked\r\n\r\n" + 4 * chunk +
                  b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=5) as client:
        with pytest.raises(OSError):  # closed, not swallowed without end
            client.sendall(begin + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(1000):
                client.sendall(chunk)
    assert daemon.get("/health/live").status == 200


def test_malformed_requests_do_no_harm(daemon):
    started(daemon)
    for data in (b"\r\n\r\n\xff\xfe\r\n\r\n", b"GET\r\n\r\n", b"GET / FOO/9\r\n\r\n",
                 b"GET /health/checks/%00%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                 b"GET /health HTTP/1.1\r\nContent-Length: -1\r\n\r\n"):
        answer = talk(daemon, data)
        assert not answer or re.match(rb"HTTP/1\.1 (4|5)\d\d ", answer), data
    assert daemon.get("/health/live").status == 200


def test_pipelined_requests_are_answered_in_order(daemon):
    started(daemon)
    paths = [b"/health/live", b"/nowhere", b"/health/ready"] * 20 + [b"/health/live"]
    data = b"".join(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" for path in paths[:-1])
    data += b"GET " + paths[-1] + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", talk(daemon, data))
    assert statuses == [b"200", b"404", b"200"] * 20 + [b"200"]


def test_http_1_0(daemon):
    started(daemon)
    answer = talk(daemon, b"GET /health/live HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.") and b" 200 " in answer and b"alive" in answer


def test_one_connection_serves_many_requests(daemon):
    started(daemon)
    for via in ("tcp", "unix"):
        connection = daemon.connect(via)
        connection.connect()
        kept = connection.sock
        for path in ENDPOINTS[1:4] * 30:
            connection.request("GET", path)
            response = connection.getresponse()
            assert json.loads(response.read()) and response.status == 200
        assert connection.sock is kept
        connection.close()


def test_details_never(daemon):
    daemon.write_conf("[Server]\nDetails=never\n")
    daemon.write_check("broken", "[Check]\nType=nonsense\nRequired=no\n")
    started(daemon)
    for via in ("tcp", "unix"):
        answer = daemon.get("/health", via=via)
        assert set(answer.json) == {"status", "timestamp", "uptime", "checks"}
        assert answer.json["checks"] == {"broken": {"status": "error"},
                                         "self": {"status": "healthy"}}
        assert not answer.headers["cache-control"].startswith("private")
        assert daemon.get("/health/checks/self", via=via).json["checks"] == {
            "self": {"status": "healthy"}}
        answer = daemon.get("/health/silences", via=via)
        assert (answer.status, list(answer.json)) == (403, ["detail"])
        # Their labels name units.
        assert "healthd_guard_actions" not in daemon.get("/metrics", via=via).text


@pytest.mark.parametrize("policy, detailed", [
    ("local", False), ("always", True), ("authenticated", False), ("authenticated-by-token", True)])
def test_details_for_a_remote_peer(daemon, policy, detailed):
    """Remote as far as addresses go: a network of its own, and an address that is not loopback."""
    inside = ["unshare", "--net", "sh", "-c",
              "ip link set lo up && ip address add 192.0.2.1/32 dev lo && exec \"$@\"", "sh"]
    if not shutil.which("unshare") or not shutil.which("ip") or \
            subprocess.run([*inside, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs root and ip(8) to make a network namespace")
    token = daemon.directory / "token"
    token.write_text("0123456789abcdef\n")
    asks_for_token = f"Token={token}\n" if "token" in policy else ""
    daemon.write_conf(f"[Server]\nDetails={policy.removesuffix('-by-token')}\n{asks_for_token}")
    daemon.write_check("self", PASSING.format(interval="1h"))
    daemon.start("--listen=192.0.2.1:9797", "--listen=[::]:9798", prefix=inside, wait=False)
    wait_until("healthd listens", lambda: can_connect(daemon.socket))
    enter = ["nsenter", "--net", f"--target={daemon.process.pid}", "curl", "-sS", "-H",
             "Authorization: Bearer 0123456789abcdef"]

    def checks(*arguments):
        text = subprocess.run([*enter, *arguments], capture_output=True, text=True, timeout=10,
                              check=True).stdout
        return json.loads(text)["checks"]["self"]

    wait_until("a result", lambda: daemon.get("/health", via="unix").json["checks"]["self"]
               ["status"] == "healthy")
    assert ("details" in checks("http://192.0.2.1:9797/health")) is detailed
    assert ("details" in checks("http://192.0.2.1:9798/health")) is detailed
    for local in ("http://127.0.0.1:9798/health", "http://[::1]:9798/health",
                  f"http://127.0.0.1:{daemon.port}/health"):
        assert "details" in checks(local), local
    assert "details" in daemon.get("/health", via="unix").json["checks"]["self"]


def test_slow_clients_do_not_delay_the_unix_socket(daemon):
    started(daemon)
    slow = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: "
    with Clients(daemon, 100), Clients(daemon, 100, slow) as slow_ones:
        for _ in range(20):
            for client in slow_ones.sockets:
                client.sendall(b"a")
            begin = time.monotonic()
            assert daemon.get("/health", via="unix").status == 200
            assert time.monotonic() - begin < 0.05


def test_each_kind_of_peer_has_its_own_limit(daemon):
    started(daemon)
    with Clients(daemon, 256):
        with Clients(daemon, 1, b"GET /health/live HTTP/1.0\r\n\r\n") as waiting:
            waiting.sockets[0].settimeout(0.5)
            with pytest.raises(TimeoutError):
                waiting.sockets[0].recv(1)
            before = cpu_seconds(daemon.process.pid)
            time.sleep(1)
            assert cpu_seconds(daemon.process.pid) - before < 0.1
            assert daemon.get("/health/live", via="unix").status == 200
    assert daemon.get("/health/live", timeout=2).status == 200
    with Clients(daemon, 256, path=daemon.socket):
        assert daemon.get("/health/live", timeout=2).status == 200
    assert daemon.get("/health/live", via="unix", timeout=2).status == 200


def drip(daemon, first, again):
    """Sends something at first and again twice a second, until cut off."""
    with Clients(daemon, 1, first) as clients:
        client = clients.sockets[0]
        client.settimeout(0.5)
        while True:
            try:
                client.sendall(again)
                if not client.recv(4096):
                    return
            except TimeoutError:
                continue
            except OSError:
                return


def ask_without_listening(daemon):
    """Asks until no answer fits between the two any more, then waits to be cut off."""
    with Clients(daemon, 1) as clients:
        client = clients.sockets[0]
        client.settimeout(1)
        with pytest.raises(OSError):
            while True:
                client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        poll = select.poll()
        poll.register(client, 0)
        assert poll.poll(20000)


def keep_asking(daemon):
    """Longer than the deadline, which is one for each request."""
    connection = daemon.connect()
    connection.connect()
    kept = connection.sock
    end = time.monotonic() + 13
    while time.monotonic() < end:
        connection.request("GET", "/health/live")
        assert json.loads(connection.getresponse().read())["status"] == "alive"
        assert connection.sock is kept
        time.sleep(1)
    connection.close()


def test_whoever_takes_longer_than_the_deadline_is_cut_off(daemon):
    started(daemon)
    clients = {
        "idle": (drip, b"", b""),
        "slow": (drip, b"GET /health HTTP/1.1\r\nX-Slow: ", b"a"),
        "half": (drip, b"GET /hea", b""),
        "body": (drip, b"GET /health HTTP/1.1\r\nContent-Length: 99\r\n\r\n", b"x"),
        "deaf": (ask_without_listening,),
    }

    def seconds_of(client, *arguments):
        begin = time.monotonic()
        client(daemon, *arguments)
        return time.monotonic() - begin

    with concurrent.futures.ThreadPoolExecutor(len(clients) + 1) as pool:
        asking = pool.submit(keep_asking, daemon)
        ends = {name: pool.submit(seconds_of, *client) for name, client in clients.items()}
        asking.result()
        for name, end in ends.items():
            assert 9 < end.result() < 12.5 + 4 * (name == "deaf"), name


def test_running_out_of_descriptors_costs_no_cpu_and_passes(daemon):
    started(daemon)
    pid = daemon.process.pid
    hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    limit = open_descriptors(pid) + 5
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
    with Clients(daemon, 20):
        wait_until("the descriptors run out", lambda: open_descriptors(pid) >= limit)
        before = cpu_seconds(pid)
        time.sleep(2)
        assert cpu_seconds(pid) - before < 0.2
        assert daemon.process.poll() is None
    # The same limit still holds.
    for via in ("tcp", "unix"):
        assert daemon.get("/health/live", via=via, timeout=3).status == 200


def test_a_request_that_has_begun_is_answered_at_the_end(daemon):
    started(daemon)
    with Clients(daemon, 1, b"GET /health HTTP/1.1\r\nHost: x\r\n") as begun, \
            Clients(daemon, 1, b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n") as idle:
        assert idle.sockets[0].recv(4096).startswith(b"HTTP/1.1 200 ")
        time.sleep(0.1)
        daemon.process.send_signal(signal.SIGTERM)
        assert read_all(idle.sockets[0]) == b""
        assert daemon.process.poll() is None
        assert not can_connect(("127.0.0.1", daemon.port))
        begun.sockets[0].sendall(b"\r\n")
        answer = read_all(begun.sockets[0])
    assert answer.startswith(b"HTTP/1.1 200 ") and b"\r\nConnection: close\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == "healthy"
    assert daemon.process.wait(5) == 0
    assert not os.path.exists(daemon.socket)


def test_a_request_that_comes_just_at_the_end_is_answered(daemon):
    started(daemon)
    with Clients(daemon, 1) as clients:
        time.sleep(0.1)
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(0.03)
        clients.sockets[0].sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_all(clients.sockets[0]).startswith(b"HTTP/1.1 200 ")
    assert daemon.process.wait(5) == 0


def listen_error(daemon, address):
    done = subprocess.run([binary(), f"--config-dir={daemon.config}", f"--listen={address}"],
                          env=daemon.environment(), capture_output=True, text=True, timeout=10,
                          check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_a_socket_left_behind_is_replaced_and_one_in_use_is_not(daemon):
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(daemon.socket)
    started(daemon)
    assert os.stat(daemon.socket).st_mode & 0o777 == 0o666
    message = listen_error(daemon, daemon.socket)
    assert f"cannot listen on {daemon.socket}: Address already in use" in message
    assert daemon.get("/health/live", via="unix").status == 200


def test_what_cannot_be_listened_on_is_explained(daemon):
    started(daemon)
    message = listen_error(daemon, f"127.0.0.1:{daemon.port}")
    assert "Address already in use" in message and "--listen=" in message
    assert "HOST:PORT" in listen_error(daemon, "127.0.0.1")
    assert "number" in listen_error(daemon, f"example.invalid:{free_port()}")
    plain = daemon.directory / "plain"
    plain.write_text("kept", encoding="utf-8")
    assert "no socket" in listen_error(daemon, plain)
    assert plain.read_text(encoding="utf-8") == "kept"


def test_health_json_of_the_ietf(daemon):
    started(daemon)
    accept = {"Accept": "application/health+json, application/json;q=0.9"}
    plain = daemon.get("/health")
    answer = daemon.get("/health", headers=accept)
    assert answer.headers["content-type"] == "application/health+json"
    assert answer.headers["vary"] == plain.headers["vary"] == "Accept"
    assert answer.headers["etag"] != plain.headers["etag"]
    assert answer.json["status"] == "pass" and plain.json["status"] == "healthy"
    time = answer.json["checks"]["self:responseTime"][0]
    assert time["status"] == "pass" and time["observedUnit"] == "ms"
    # Each stays what it is, whoever asked before.
    assert daemon.get("/health").json["status"] == "healthy"
    assert daemon.get("/health/checks/self", headers=accept).json["status"] == "pass"
    assert daemon.get("/health/ready", headers=accept).json["status"] == "ready"
    assert daemon.get("/health", headers={**accept, "If-None-Match": answer.headers["etag"]}
                      ).status == 304


def ask_all(address, count):
    """So many connections, each with its request, before anybody is answered."""
    clients = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(count)]
    for client in clients:
        client.settimeout(10)
        client.connect(address)
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return clients


def count_lost(clients):
    """Those that neither have a whole answer nor wait for the next process. Closes them."""
    lost = 0
    for client in clients:
        answer = b""
        client.setblocking(False)
        try:
            while data := client.recv(4096):
                answer += data
        except BlockingIOError:
            answer = b"waits"
        except ConnectionResetError:
            pass
        lost += answer != b"waits" and not answer.rstrip().endswith(b"}")
        client.close()
    return lost


def test_a_kill_loses_no_more_than_the_request_under_way(daemon, tmp_path):
    """What was accepted is answered before more is; what waits outlives the process."""
    address = str(tmp_path / "kept.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen(512)
        # As systemd passes it.
        prefix = ("bash", "-c", 'export LISTEN_FDS=1 LISTEN_PID=$$; exec 3<&$1; shift; exec "$@"',
                  "bash", str(listener.fileno()))
        for delay_ms in range(8):
            daemon.start(prefix=prefix, pass_fds=[listener.fileno()])
            os.kill(daemon.process.pid, signal.SIGSTOP)
            clients = ask_all(address, 300)
            os.kill(daemon.process.pid, signal.SIGCONT)
            clients[0].recv(1, socket.MSG_PEEK)  # it has begun
            time.sleep(delay_ms / 1000)
            daemon.process.kill()
            daemon.process.wait()
            assert count_lost(clients) <= 1
            while select.select([listener], [], [], 0)[0]:
                listener.accept()[0].close()
