# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clocks that jump, a machine that sleeps, a process that stands still: none is anybody's failure."""

import contextlib
import json
import os
import pathlib
import re
import signal
import time

import pytest

import servers
from faults import Faults
from process import wait_until

DAY_S = 24 * 3600
FAST = "Interval=200ms\nTimeout=1s\nRetryInterval=100ms\nFailAfter=2\nPassAfter=1\n"


@pytest.fixture(name="redis")
def running_redis():
    with servers.Redis() as redis:
        yield redis


@pytest.fixture(name="faults")
def shared_faults(daemon):
    faults = Faults(daemon.directory)
    yield faults
    faults.close()


@pytest.fixture(name="watched")
def watching(daemon, faults, redis):
    daemon.write_check("self", f"[Check]\nType=application\n{FAST}")
    daemon.write_check("kept", f"[Check]\nType=redis\n{FAST}[Redis]\nAddress=127.0.0.1:"
                               f"{redis.port}\nConnection=persistent\n")
    daemon.write_check("fresh", f"[Check]\nType=redis\n{FAST}[Redis]\nAddress=127.0.0.1:"
                                f"{redis.port}\n")
    daemon.start(env=faults.environment())
    wait_until("all pass", lambda: daemon.get("/health/ready").status == 200)
    return daemon


def runs(daemon):
    return {name: check["details"]["probes"] for name, check in
            daemon.get("/health").json["checks"].items() if name == "self"}["self"]


def check_goes_on(daemon, expected_s, names=("self", "kept", "fresh")):
    """Checks go on at their pace, nothing is stale or failed, and times are as the clock says."""
    before = runs(daemon)
    wait_until("checks go on", lambda: runs(daemon) >= before + 10, timeout=10)
    answer = daemon.get("/health")
    assert answer.status == 200
    for name in names:
        check = answer.json["checks"][name]
        assert check["status"] == "healthy" and check["consecutive_failures"] == 0, name
        assert 0 <= check["age"] < 3
        assert abs(check["checked_at"] - expected_s) < 60
    assert abs(answer.json["timestamp"] - expected_s) < 60
    assert daemon.get("/health/history?check=kept").status == 200
    assert daemon.get("/metrics").status == 200


@pytest.mark.parametrize("jumps", [[DAY_S, 0], [-DAY_S, 0], [400 * DAY_S, -400 * DAY_S, 0]],
                         ids=["forward", "back", "wildly"])
def test_the_clock_on_the_wall_jumps(watched, faults, jumps):
    for jump in jumps:
        faults.set_clock(jump)
        check_goes_on(watched, time.time() + jump)
    assert " is unhealthy" not in watched.stderr() and " is unknown" not in watched.stderr()


def silences(daemon):
    return daemon.get("/health/silences", via="unix").json["silences"]


def silence(daemon):
    connection = daemon.connect("unix")
    connection.request("POST", "/control/silence", json.dumps(
        {"check": "kept", "duration": "1h", "reason": "a test"}))
    assert connection.getresponse().status == 200
    connection.close()


def test_a_silence_ends_by_the_clock_on_the_wall(watched, faults):
    silence(watched)
    assert len(silences(watched)) == 1
    faults.set_clock(2 * 3600)
    wait_until("it is over", lambda: not silences(watched))


def test_after_a_sleep_all_checks_run_and_nobody_failed(daemon, faults, redis):
    """Not even those whose network comes back late; but what stays away is unhealthy."""
    redis_check = f"[Redis]\nAddress=127.0.0.1:{redis.port}\n"
    daemon.write_check("self", f"[Check]\nType=application\n{FAST}")
    daemon.write_check("kept", f"[Check]\nType=redis\n{FAST}{redis_check}Connection=persistent\n")
    daemon.write_check("hourly", f"[Check]\nType=redis\nInterval=1h\nRetryInterval=1h\nTimeout=5s\n"
                                 f"FailAfter=1\n{redis_check}")
    daemon.start(env=faults.environment(), watchdog_usec=10 * 1000000)
    wait_until("all pass", lambda: daemon.get("/health/ready").status == 200)
    redis.sigstop()
    faults.sleep(daemon.process.pid, 8 * 3600)
    # Its answer is awaited: the one before is of yesterday.
    wait_until("it is old", lambda: 8 * 3600 <= daemon.check("hourly")["age"] < 8 * 3600 + 60)
    wait_until("it hangs", lambda: "timed out" in (daemon.check("kept").get("error") or ""))
    wait_until("the hourly one ran", lambda: daemon.check("hourly")["age"] < 60)
    assert "timed out" in daemon.check("hourly")["error"]
    for name in ("kept", "hourly"):
        assert daemon.check(name)["status"] == "healthy", daemon.check(name)
    redis.sigcont()
    wait_until("it passes", lambda: daemon.check("kept")["last_status"] == "healthy")
    check_goes_on(daemon, time.time() + 8 * 3600, ("self", "kept"))
    fed = len(daemon.notify.times("WATCHDOG"))
    wait_until("it is fed", lambda: len(daemon.notify.times("WATCHDOG")) > fed)
    assert "The machine was asleep for 8h. All checks run now" in daemon.stderr()
    for text in (" is unhealthy", " is unknown", "Not feeding"):
        assert text not in daemon.stderr()
    redis.kill9()
    check = daemon.wait_status("kept", "unhealthy", timeout=60)
    assert check["since"] >= time.time() + 8 * 3600 - 60


def test_what_was_wrong_before_a_sleep_is_not_left_so_for_long(daemon, faults, redis):
    """That it failed once more, before the network was back, says nothing of how it is now."""
    daemon.write_check("hourly", "[Check]\nType=redis\nInterval=1h\nRetryInterval=200ms\nTimeout=5s\n"
                       f"FailAfter=1\nPassAfter=1\nBreakerAfter=0\n[Redis]\n"
                       f"Address=127.0.0.1:{redis.port}\n")
    redis.stop()
    daemon.start(env=faults.environment())
    before = daemon.wait_status("hourly", "unhealthy")["checked_at"]
    faults.sleep(daemon.process.pid, 8 * 3600)
    daemon.wait_for(lambda answer: answer.json["checks"]["hourly"]["checked_at"] > before + 7200)
    redis.start()
    daemon.wait_status("hourly", "healthy")


def test_the_timer_that_is_there_to_be_cancelled_never_elapses(watched):
    """Not where the clock is decades ahead either: the loop would spin."""
    directory = pathlib.Path(f"/proc/{watched.process.pid}/fdinfo")
    timers = []
    for fd in os.listdir(directory):
        with contextlib.suppress(OSError):  # closed meanwhile
            timers += re.findall(r"clockid: 0\n(?:.*\n)*it_value: \((\d+)",
                                 (directory / fd).read_text(encoding="ascii"))
    (left_s,) = timers
    assert int(left_s) > 100 * 365 * DAY_S


def test_a_silence_is_over_after_a_sleep(watched, faults):
    silence(watched)
    faults.sleep(watched.process.pid, 2 * 3600)
    wait_until("it is over, and this is said", lambda: "is over." in watched.stderr(), timeout=10)


def test_a_pause_of_the_machine_is_no_failure(watched):
    """As on a host that stops its guests: every deadline is over at once."""
    for _ in range(5):
        os.kill(watched.process.pid, signal.SIGSTOP)
        time.sleep(1.7)
        os.kill(watched.process.pid, signal.SIGCONT)
        time.sleep(0.7)
    check_goes_on(watched, time.time())
    assert " is unhealthy" not in watched.stderr() and " is unknown" not in watched.stderr()
