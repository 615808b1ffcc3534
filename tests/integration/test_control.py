# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an administrator may ask for over the unix socket: silences, breakers, runs, reloads."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from process import wait_until

IDLE = "[Check]\nType=application\nInterval=1h\n"
FAST = "[Check]\nType=redis\nInterval=300ms\nTimeout=250ms\nRetryInterval=100ms\n" \
       "FailAfter=2\nPassAfter=1\n{keys}[Redis]\nAddress=127.0.0.1:{port}\n"
SILENCE = {"check": "self", "duration": "2h", "reason": "ticket 42"}
ASK = """
import http.client, socket, sys
connection = http.client.HTTPConnection("localhost", timeout=10)
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(sys.argv[1])
connection.request("POST", "/control/run", body='{"check":"self"}')
response = connection.getresponse()
print(response.status, response.read().decode())
"""


def ask(daemon, verb, body="", via="unix", method="POST"):
    """(status, JSON, headers) of a request; body: a text, or something to be made JSON."""
    connection = daemon.connect(via)
    try:
        connection.request(method, f"/control/{verb}",
                           body=json.dumps(body) if isinstance(body, (dict, list)) else body)
        response = connection.getresponse()
        text = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, json.loads(text), headers
    finally:
        connection.close()


@pytest.fixture
def idle(daemon):
    daemon.write_check("self", IDLE)
    daemon.start()
    daemon.wait_status("self", "healthy")
    return daemon


def said(daemon, text):
    return [line for line in daemon.stderr().splitlines() if text in line]


def test_a_silence_is_shown_told_and_ended(idle):
    begin = time.time()
    status, reply, headers = ask(idle, "silence", SILENCE)
    assert status == 200 and headers["cache-control"] == "no-store", reply
    assert (reply["id"], reply["check"], reply["checks"]) == (1, "self", 1)
    assert abs(reply["until"] - begin - 7200) < 5
    assert idle.check("self")["silenced"] == {
        "id": 1, "until": reply["until"], "author": reply["author"], "reason": "ticket 42"}
    assert reply["author"] == ("root" if os.geteuid() == 0 else f"uid {os.geteuid()}")
    wait_until("the journal", lambda: said(idle, 'silenced "self" for 2h (checks: 1): ticket 42'))
    # Again: the same silence, with another end.
    assert ask(idle, "silence", SILENCE | {"duration": "1min"})[1]["id"] == 1
    assert ask(idle, "unsilence", {"id": 2})[0] == 404
    assert ask(idle, "unsilence", {"check": "self"})[0] == 200
    assert "silenced" not in idle.check("self")
    wait_until("the journal", lambda: said(idle, 'ended the silence of "self"'))
    status, reply, _ = ask(idle, "unsilence", {"check": "self"})
    assert status == 404 and "no silence" in reply["detail"]


def test_silences_are_listed(idle):
    assert idle.get("/health/silences").json["silences"] == []
    begin = time.time()
    ask(idle, "silence", SILENCE)
    ask(idle, "silence", SILENCE | {"check": "s*", "duration": "1s"})
    answer = idle.get("/health/silences")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache")
    first, second = answer.json["silences"]
    assert list(first) == ["id", "check", "reason", "author", "since", "until"]
    assert (first["id"], first["check"], first["reason"]) == (1, "self", "ticket 42")
    assert first["author"] == ("root" if os.geteuid() == 0 else f"uid {os.geteuid()}")
    assert begin - 1 < first["since"] < time.time() + 1
    assert abs(first["until"] - first["since"] - 7200) < 0.001
    assert (second["id"], second["check"]) == (2, "s*")
    # Gone when their time is over, and when they are ended.
    wait_until("the second one is over",
               lambda: [one["id"] for one in idle.get("/health/silences").json["silences"]] == [1])
    ask(idle, "unsilence", {"id": 1})
    assert idle.get("/health/silences").json["silences"] == []


def test_a_silence_ends_by_itself(idle):
    assert ask(idle, "silence", SILENCE | {"check": "s*", "duration": "1s"})[0] == 200
    assert "silenced" in idle.check("self")
    idle.wait_for(lambda answer: "silenced" not in answer.json["checks"]["self"], 5)
    wait_until("the journal", lambda: said(idle, 'The silence of "s*" by '), 5)
    assert len(said(idle, "is over.")) == 1


def test_a_silenced_failure_counts_but_is_told_quietly(daemon, redis):
    daemon.write_check("cache", FAST.format(keys="Groups=fast\n", port=redis.port))
    daemon.write_check("self", IDLE)
    daemon.start()
    daemon.wait_for(lambda answer: answer.json["status"] == "healthy")
    assert ask(daemon, "silence", SILENCE | {"check": "cache"})[0] == 200
    redis.stop()
    daemon.wait_status("cache", "unhealthy")
    assert daemon.get("/health").status == 503
    for path in ("/health", "/health/ready", "/health/groups/fast"):
        assert daemon.get(path).status == 503, path
        assert daemon.get(path + "?exclude=silenced").status == 200, path
    assert list(daemon.get("/health?exclude=silenced").json["checks"]) == ["self"]
    answer = daemon.get("/health?exclude=others")
    assert answer.status == 400 and "silenced" in answer.json["detail"]
    (line,) = wait_until("the journal", lambda: said(daemon, "cache is unhealthy, silenced by "))
    assert "HEALTH_SILENCED_BY=" in line
    redis.start()
    daemon.wait_status("cache", "healthy")
    (line,) = wait_until("the journal", lambda: said(daemon, "cache is healthy"))
    assert "silenced" not in line and "HEALTH_SILENCED_BY=" not in line


def test_a_maintenance_window(daemon):
    begin, end = time.time() - 86400, time.time() + 86400
    window = "..".join(time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) for at in (begin, end))
    daemon.write_check("open", IDLE + f"Maintenance={window}\nFailAfter=1\n"
                       "UnhealthyWhen=open_fds > 0\n")
    daemon.write_check("shut", IDLE + "Maintenance=2001-01-01 00:00..2001-01-02 00:00\n")
    daemon.start()
    daemon.wait_status("shut", "healthy")
    check = daemon.wait_status("open", "unhealthy")
    assert check["maintenance"] is True
    assert abs(check["maintenance_until"] - end) <= 60
    assert "maintenance" not in daemon.check("shut")
    wait_until("the journal", lambda: said(daemon, "open is unhealthy, silenced by maintenance: "))
    assert daemon.get("/health").status == 503
    assert daemon.get("/health?exclude=silenced").status == 200
    daemon.write_check("shut", IDLE + "Maintenance=Sux 02:00..04:00\n")
    result = daemon.verify()
    assert result.returncode != 0 and "shut.check:4" in result.stdout + result.stderr


def test_a_breaker_is_reset_and_nothing_runs_through_an_open_one(daemon, redis):
    redis.stop()
    daemon.write_check("cache", FAST.format(
        keys="BreakerAfter=2\nBreakerReset=1h\n", port=redis.port))
    daemon.start()
    daemon.wait_for(lambda answer: answer.json["checks"]["cache"]["breaker"]["position"] == "open")
    status, reply, _ = ask(daemon, "run", {"check": "cache"})
    assert status == 409 and "breaker is open" in reply["detail"]
    redis.start()
    assert ask(daemon, "reset-breaker", {"check": "cache"})[0] == 200
    assert daemon.wait_status("cache", "healthy", 3)["breaker"]["position"] == "closed"
    wait_until("the journal", lambda: said(daemon, "the breaker is closed, reset by "))
    status, reply, _ = ask(daemon, "reset-breaker", {"check": "cache"})
    assert status == 200 and "already" in reply["detail"]


def test_run_now(idle):
    before = idle.check("self")["checked_at"]
    status, reply, _ = ask(idle, "run", {"check": "self"})
    assert (status, reply["detail"]) == (202, "the check runs now")
    idle.wait_for(lambda answer: answer.json["checks"]["self"]["checked_at"] > before, 2)
    assert idle.check("self")["next_run"] > time.time() + 3000
    idle.write_check("broken", "[Check]\nType=nothing\n")
    assert ask(idle, "run", {"check": "broken"})[0] == 404


def test_a_check_with_mistakes_cannot_run(daemon):
    daemon.write_check("broken", "[Check]\nType=nothing\n")
    daemon.start()
    status, reply, _ = ask(daemon, "run", {"check": "broken"})
    assert status == 409 and "unknown type" in reply["detail"]


def test_reload(idle):
    ask(idle, "silence", SILENCE)
    idle.write_check("second", IDLE)
    status, reply, _ = ask(idle, "reload")
    assert (status, reply["detail"]) == (200, "reloaded: 2 checks")
    assert set(idle.get("/health").json["checks"]) == {"self", "second"}
    assert "silenced" in idle.check("self")
    idle.write_check("second", "[Check]\nTyp=application\n")
    status, reply, _ = ask(idle, "reload", {})
    assert status == 409 and "nothing was changed" in reply["detail"]
    assert idle.check("second")["status"] in ("healthy", "unknown")


@pytest.mark.parametrize("verb", ["silence", "unsilence", "reset-breaker", "run", "reload"])
def test_only_by_post_and_only_over_the_unix_socket(idle, verb):
    for via in ("unix", "tcp"):
        status, reply, headers = ask(idle, verb, method="GET", via=via)
        assert (status, headers["allow"]) == (405, "POST") and "POST" in reply["detail"]
    status, reply, _ = ask(idle, verb, SILENCE, via="tcp")
    assert status == 403 and "unix socket" in reply["detail"] and "root" in reply["detail"]
    assert "silenced" not in idle.check("self")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_somebody_else_is_refused(idle):
    os.chmod(idle.directory, 0o755)
    os.chmod(idle.socket, 0o666)
    output = subprocess.run([sys.executable, "-c", ASK, idle.socket], user=65534, group=65534,
                            extra_groups=[4, 5], capture_output=True, text=True, timeout=20,
                            check=True).stdout
    assert output.startswith("403 ") and "members of the group healthd" in output
    assert idle.get("/health", via="unix").status == 200


@pytest.mark.parametrize("verb", ["silence", "reset-breaker", "run"])
def test_an_unknown_check_is_404_with_the_nearest(idle, verb):
    body = {"check": "sefl"} | ({"duration": "1h", "reason": "x"} if verb == "silence" else {})
    status, reply, _ = ask(idle, verb, body)
    assert status == 404 and 'did you mean "self"?' in reply["detail"]
    assert ask(idle, "nothing", {})[0] == 404


@pytest.mark.parametrize("verb, body, hint", [
    ("silence", "", "are all needed"),
    ("silence", "{", "no JSON object"),
    ("silence", "[]", "no JSON object"),
    ("silence", '{"check":"self"} x', "no JSON object"),
    ("silence", SILENCE | {"duration": "soon"}, "no time span"),
    ("silence", SILENCE | {"duration": 7}, '"duration" is no text'),
    ("silence", SILENCE | {"duration": "31d"}, "30 days"),
    ("silence", SILENCE | {"reason": " "}, "reason is missing"),
    ("silence", SILENCE | {"reason": "a\nb"}, "control characters"),
    ("silence", SILENCE | {"reasn": "b"}, 'did you mean "reason"?'),
    ("unsilence", {}, "either"),
    ("unsilence", {"check": "self", "id": 1}, "either"),
    ("unsilence", {"id": 1.5}, "not the number"),
    ("unsilence", {"id": -1}, "not the number"),
    ("unsilence", {"id": "1"}, "not the number"),
    ("run", {"check": ""}, "an empty one"),
    ("run", {}, '"check" is missing'),
    ("reload", {"check": "self"}, "not known here"),
    ("run", b"[" * 60000, "no JSON object"),
])
def test_mistakes_are_explained(idle, verb, body, hint):
    status, reply, _ = ask(idle, verb, body)
    assert status == 400 and hint in reply["detail"], reply
    assert "silenced" not in idle.check("self")


def test_a_large_body_is_refused(idle):
    # Only announced: it is refused before it is sent.
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(idle.socket)
        client.sendall(b"POST /control/run HTTP/1.1\r\nHost: x\r\nContent-Length: 66000\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")
    assert ask(idle, "run", b" " * 60000 + b'{"check":"self"}')[0] == 202


def test_orders_on_one_connection(idle):
    """Nothing of a body stays for the next request."""
    connection = idle.connect("unix")
    for body, expected in (('{"check":"self"}', 202), ("", 400), ('{"check":"self"}', 202)):
        connection.request("POST", "/control/run", body=body)
        response = connection.getresponse()
        response.read()
        assert response.status == expected
    connection.close()
