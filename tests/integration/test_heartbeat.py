# SPDX-License-Identifier: LGPL-2.1-or-later
"""Type=heartbeat: jobs that call in, over the unix socket."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

CHECK = "[Check]\nType=heartbeat\nInterval=200ms\nRetryInterval=100ms\nFailAfter=1\nPassAfter=1\n" \
        "{check}[Heartbeat]\nEvery={every}\n{keys}"
CALL = """
import http.client, socket, sys
connection = http.client.HTTPConnection("localhost", timeout=10)
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(sys.argv[1])
connection.request("POST", sys.argv[2], body=sys.argv[3])
response = connection.getresponse()
print(response.status, response.read().decode())
"""


def write(daemon, name="backup", every="1h", keys="", check=""):
    daemon.write_check(name, CHECK.format(every=every, keys=keys, check=check))


def beat(daemon, via="unix", **body):
    """(status, detail) of one call."""
    connection = daemon.connect(via)
    try:
        connection.request("POST", "/control/beat", body=json.dumps({"check": "backup"} | body))
        response = connection.getresponse()
        return response.status, json.loads(response.read())["detail"]
    finally:
        connection.close()


def beat_as(daemon, user, path="/control/beat", body='{"check":"backup"}'):
    os.chmod(daemon.directory, 0o755)
    os.chmod(daemon.socket, 0o666)
    return subprocess.run([shutil.which("setpriv"), f"--reuid={user}", "--regid=65534",
                           "--clear-groups", sys.executable, "-c", CALL, daemon.socket, path, body],
                          capture_output=True, text=True, timeout=20, check=True).stdout


def test_a_call_is_judged_at_once(daemon):
    write(daemon, check="Interval=1h\nRetryInterval=1h\n")
    daemon.start()
    # Nothing is known before the first call, and that holds nothing up.
    daemon.wait_for(lambda answer: answer.json["checks"]["backup"]["next_run"] or 0 > 0)
    waiting = daemon.check("backup")
    assert (waiting["status"], waiting["checked_at"]) == ("unknown", None)
    assert beat(daemon) == (200, "noted")
    backup = daemon.wait_status("backup", "healthy", 5)
    assert backup["details"]["age_s"] < 5
    assert (backup["details"]["beats"], backup["details"]["running"]) == (1, False)
    beat(daemon)
    daemon.wait_for(lambda answer: answer.json["checks"]["backup"]["details"]["beats"] == 2)


def test_who_never_calls_is_missed_and_so_is_who_stops(daemon):
    # The breaker spares nobody here: it would only keep calls from being heard.
    write(daemon, every="2s", keys="Grace=0\n", check="BreakerAfter=1\nBreakerReset=1h\n")
    daemon.start()
    assert daemon.check("backup")["status"] == "unknown"
    missed = daemon.wait_status("backup", "unhealthy", 10)
    assert missed["reason"].startswith("never called in, and that for 2s"), missed
    assert "healthctl beat backup" in missed["reason"]
    beat(daemon)
    daemon.wait_status("backup", "healthy")
    missed = daemon.wait_status("backup", "unhealthy", 10)
    assert missed["reason"].startswith("last called in 2s"), missed
    assert missed["details"]["age_s"] > 2
    assert missed["breaker"]["position"] == "closed"


def test_runs_say_how_they_ended(daemon):
    write(daemon)
    daemon.start()
    assert beat(daemon, status="start")[0] == 200
    running = daemon.wait_status("backup", "healthy")
    assert running["details"]["running"] is True
    time.sleep(0.3)
    assert beat(daemon, status="finish", exit_status=3)[0] == 200
    failed = daemon.wait_status("backup", "unhealthy")
    assert failed["reason"] == "the last run ended with exit status 3"
    assert (failed["details"]["last_exit_status"], failed["details"]["running"]) == (3, False)
    assert 0.3 <= failed["details"]["duration_s"] < 20
    # What starts again has failed until it has not.
    beat(daemon, status="start")
    daemon.wait_for(lambda answer: answer.json["checks"]["backup"]["details"]["running"])
    assert daemon.check("backup")["status"] == "unhealthy"
    beat(daemon, exit_status=0)
    daemon.wait_status("backup", "healthy")


def test_a_run_that_does_not_end_is_missed(daemon):
    write(daemon, every="2s", keys="Grace=0\n")
    daemon.start()
    beat(daemon, status="start")
    daemon.wait_status("backup", "healthy")
    missed = daemon.wait_status("backup", "unhealthy")
    assert missed["reason"].startswith("a run began 2s"), missed
    # It was killed and never said so; the next one does not hide that.
    beat(daemon, status="start")
    missed = daemon.wait_for(lambda answer: "the one before" in
                             answer.json["checks"]["backup"]["reason"]).json["checks"]["backup"]
    assert missed["status"] == "unhealthy"
    beat(daemon, status="finish")
    daemon.wait_status("backup", "healthy")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_who_may_call(daemon):
    write(daemon, keys="User=games 12345\n")
    daemon.start()
    assert beat_as(daemon, 65534).startswith("403 ")
    assert "User=" in beat_as(daemon, 65534)
    assert daemon.check("backup")["status"] == "unknown"
    assert beat_as(daemon, "games").startswith("200 ")
    assert beat_as(daemon, 12345).startswith("200 ")
    daemon.wait_for(lambda answer: answer.json["checks"]["backup"].get("details", {})
                    .get("beats") == 2)
    # That one may call in, and nothing else.
    assert beat_as(daemon, "games", "/control/run").startswith("403 ")
    assert beat(daemon, via="tcp")[0] == 403


@pytest.mark.parametrize("body, hint", [
    ({"status": "begin"}, "neither start nor finish"),
    ({"status": "start", "exit_status": 0}, "no \"exit_status\" yet"),
    ({"exit_status": 256}, "from 0 to 255"),
    ({"exit_status": "0"}, "from 0 to 255"),
    ({"exitstatus": 0}, "did you mean \"exit_status\""),
])
def test_mistakes_are_explained(daemon, body, hint):
    write(daemon)
    daemon.start()
    status, detail = beat(daemon, **body)
    assert status == 400 and hint in detail, detail
    assert daemon.check("backup")["status"] == "unknown"


def test_only_a_heartbeat_is_called_in_for(daemon):
    daemon.write_check("backup", "[Check]\nType=application\n")
    daemon.start()
    status, detail = beat(daemon)
    assert status == 409 and "Type=heartbeat" in detail
    assert beat(daemon, check="backdup")[0] == 404


@pytest.mark.parametrize("lines, said", [
    ("", "Every= is missing in [Heartbeat]"),
    ("Every=1d\nUser=nobodyhere\n", "backup.check:5: User=nobodyhere: there is no such"),
    ("Every=0\n", "backup.check:4: Every=0"),
])
def test_configuration_mistakes_are_explained(daemon, lines, said):
    daemon.write_check("backup", "[Check]\nType=heartbeat\n[Heartbeat]\n" + lines)
    answer = daemon.verify()
    assert answer.returncode != 0 and said in answer.stderr + answer.stdout, answer


def test_the_last_call_survives_a_restart(daemon, tmp_path):
    """By the file: what a stop and a boot leave."""
    write(daemon, every="1h")
    daemon.start(env={"STATE_DIRECTORY": str(tmp_path)})
    beat(daemon, status="start")
    beat(daemon, status="finish", exit_status=7)
    daemon.wait_status("backup", "unhealthy")
    before = daemon.check("backup")
    daemon.terminate()
    assert (pathlib.Path(tmp_path) / "state").exists()
    time.sleep(1)
    daemon.start(env={"STATE_DIRECTORY": str(tmp_path)})
    after = daemon.wait_for(lambda answer: answer.json["checks"]["backup"].get("details")).json
    after = after["checks"]["backup"]
    assert after["details"]["beats"] == 2 and after["details"]["last_exit_status"] == 7
    assert after["details"]["duration_s"] == before["details"]["duration_s"]
    assert 1 <= after["details"]["age_s"] - before["details"]["age_s"] < 30
    assert after["status"] == "unhealthy"
