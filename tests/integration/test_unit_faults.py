# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks of units when the bus, or who answers on it, is at fault. The real ones: tests/system."""

import signal
import time

import pytest

from fake_systemd import FakeSystemd
from process import wait_until

FAST = "Interval=500ms\nTimeout=400ms\nRetryInterval=100ms\nFailAfter=2\nPassAfter=1\n"


def check(section="", common=FAST):
    return f"[Check]\nType=unit\nBreakerAfter=0\n{common}[Unit]\n{section}\n"


@pytest.fixture
def bus():
    fake = FakeSystemd()
    yield fake
    fake.close()


def start(daemon, bus, **checks):
    for name, text in checks.items():
        daemon.write_check(name, text)
    daemon.start(env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
    return daemon


def wait_reason(daemon, name, text, timeout=20):
    return daemon.wait_for(lambda answer: text in answer.json["checks"][name].get("reason", ""),
                           timeout).json["checks"][name]


def test_what_is_asked_and_answered(daemon, bus):
    bus.broker().systemd()
    start(daemon, bus, one=check("Unit=one"), host=check())
    details = daemon.wait_status("one", "healthy")["details"]
    assert (details["tasks"], details["memory"], details["restarts"], details["main_pid"]) == (
        3, 4096, 2, 77)
    assert details["cpu_percent"] == 0 and details["problem"] == "none"
    assert daemon.wait_status("host", "healthy")["details"]["failed_units"] == 0
    bus.how("failed")
    state = daemon.wait_status("host", "unhealthy")
    assert state["details"]["failed_units"] == 7
    assert state["reason"].endswith("e.service: failed; and 2 more)")


def test_a_timer_that_did_not_elapse(daemon, bus):
    bus.broker().systemd()
    bus.how("late")
    start(daemon, bus, late=check("Timers=*\nGrace=5min"), patient=check("Timers=yes"))
    state = daemon.wait_status("late", "unhealthy")
    # Ten minutes late, one of which is the timer's own accuracy.
    assert "job.timer: overdue by 9min" in state["reason"]
    assert state["details"]["overdue_units"] == "job.timer"
    assert daemon.wait_status("patient", "healthy")["details"]["overdue"] == 0


@pytest.mark.parametrize("how", ["garbage-text", "garbage-empty", "garbage-list", "garbage-types",
                                 "garbage-nothing"])
def test_garbage(daemon, bus, how):
    bus.broker().systemd()
    bus.how(how)
    start(daemon, bus, one=check("Unit=one"), host=check(), glob=check("Unit=*"),
          timers=check("Timers=yes"), several=check("Unit=a b c"))
    for name in ("one", "host", "glob", "timers", "several"):
        assert "is not understood" in daemon.wait_status(name, "error")["reason"]
    bus.how("well")
    daemon.wait_status("one", "healthy")
    daemon.wait_status("host", "healthy")


def test_a_refusal(daemon, bus):
    bus.broker().systemd()
    bus.how("refuse")
    start(daemon, bus, one=check("Unit=one"), host=check())
    for name in ("one", "host"):
        reason = daemon.wait_status(name, "error")["reason"]
        assert reason == "systemd refused: you may not know (org.example.No)"


def test_no_answer_costs_the_deadline(daemon, bus):
    bus.broker().systemd()
    bus.how("silent")
    start(daemon, bus, one=check("Unit=one"), host=check(), timers=check("Timers=yes"))
    for name in ("one", "host", "timers"):
        reason = daemon.wait_status(name, "error")["reason"]
        assert reason == "timed out after 400ms: systemd did not answer over the system bus"
    # After 16 calls the connection is given up with them: what waits in it must not pile up.
    wait_until("a second connection", lambda: len(bus.callers()) > 1, 30)
    assert daemon.get("/health/live").status == 200
    bus.how("well")
    for name in ("one", "host", "timers"):
        daemon.wait_status(name, "healthy")
    # It ends, and reloads, with a call under way.
    bus.how("silent")
    daemon.wait_status("one", "error")
    daemon.write_check("one", check("Unit=two"))
    daemon.reload()
    daemon.wait_for(lambda answer: answer.json["checks"]["one"]["status"] == "unknown")


def test_a_list_without_end(daemon, bus):
    bus.broker().systemd()
    bus.how("huge")
    start(daemon, bus, host=check(common="Interval=1s\nTimeout=30s\nFailAfter=1\n"))
    state = daemon.wait_status("host", "unhealthy", timeout=60)
    assert state["details"]["failed_units"] == 10000
    assert "and 9995 more" in state["reason"]


def test_nobody_has_the_name(daemon, bus):
    bus.broker().systemd()
    start(daemon, bus, one=check("Unit=one"))
    daemon.wait_status("one", "healthy")
    bus.stop("systemd")
    assert "systemd is not on the system bus" in daemon.wait_status("one", "error")["reason"]
    bus.systemd()
    daemon.wait_status("one", "healthy")


def test_a_broker_that_comes_and_goes(daemon, bus):
    start(daemon, bus, one=check("Unit=one"), other=check("Unit=other"))
    for name in ("one", "other"):
        reason = daemon.wait_status(name, "error")["reason"]
        assert reason == f"no system bus at {bus.path}: are systemd and dbus running?"
    for _ in range(3):
        bus.broker().systemd()
        daemon.wait_status("one", "healthy")
        daemon.wait_status("other", "healthy")
        bus.stop("broker")
        bus.stop("systemd")
        daemon.wait_status("one", "error")


def test_a_broker_that_hangs_from_the_start(daemon, bus):
    bus.broker()
    bus.signal("broker", signal.SIGSTOP)
    start(daemon, bus, one=check("Unit=one"), host=check())
    for name in ("one", "host"):
        reason = daemon.wait_status(name, "error")["reason"]
        assert reason == "timed out after 400ms: the system bus did not answer: does dbus hang?"
    assert daemon.get("/health/live").status == 200
    # Nor does its end wait for it.
    daemon.terminate()


def test_the_end_while_a_broker_hangs(daemon, bus):
    bus.broker().systemd()
    start(daemon, bus, one=check("Unit=one"), host=check())
    daemon.wait_status("one", "healthy")
    bus.signal("broker", signal.SIGSTOP)
    daemon.wait_status("one", "error")
    daemon.terminate()


def test_an_address_that_would_be_looked_up(daemon):
    daemon.write_check("one", check("Unit=one"))
    daemon.start(env={"DBUS_SYSTEM_BUS_ADDRESS": "tcp:host=bus.invalid,port=1"})
    assert "not a single unix: address" in daemon.wait_status("one", "error")["reason"]


@pytest.mark.parametrize("section, expected", [
    ("Unit=a/b", ":4: Unit=a/b: not the name of a unit"),
    ("Unit=worker@", ":4: Unit=worker@: a template; name an instance"),
    ("Unit=" + "x" * 300, ":4: Unit=: longer than the name of a unit may be"),
    ("Timers=backup.service", ":4: Timers=backup.service: not a timer"),
    ("Timers=yes backup", None),
    ("Grace=soon", ":4: Grace=soon: not a time span"),
    ("Units=a", ':4: unknown key "Units=" in [Unit]; did you mean "Unit="?'),
    ("Unit=a b.socket c@1 d-*.service [ef].mount\\x2dx", None),
    ("Timers=no", None),
])
def test_mistakes(daemon, section, expected):
    daemon.write_check("one", f"[Check]\nType=unit\n[Unit]\n{section}\n")
    result = daemon.verify()
    if expected:
        assert result.returncode == 1 and expected in result.stderr
    else:
        assert (result.returncode, result.stderr) == (0, "")


def test_many_checks_share_one_connection(daemon, bus):
    bus.broker().systemd()
    start(daemon, bus, **{f"unit{number}": check(f"Unit=unit{number}.service")
                          for number in range(60)})
    wait_until("all are healthy", lambda: daemon.get("/health").json["status"] == "healthy", 30)
    assert len(bus.callers()) == 1


def test_a_check_that_passes_before_systemd_answers_accuses_nobody(daemon, bus, redis):
    bus.broker().systemd()
    daemon.write_check("sessions", "[Check]\nType=redis\nBreakerAfter=0\nGuards=orders.service\n"
                       f"GuardMode=observe\nGuardGrace=0\nGuardCooldown=10s\n{FAST}"
                       f"[Redis]\nAddress=127.0.0.1:{redis.port}\n")
    daemon.start(env={"DBUS_SYSTEM_BUS_ADDRESS": bus.address})
    daemon.wait_status("sessions", "healthy")
    bus.signal("systemd", signal.SIGSTOP)
    redis.stop()
    daemon.wait_status("sessions", "unhealthy")
    redis.start()
    daemon.wait_status("sessions", "healthy")
    bus.signal("systemd", signal.SIGCONT)
    time.sleep(1)
    assert "would be aborted" not in daemon.stderr()
    redis.stop()
    wait_until("the next time", lambda: "would be aborted" in daemon.stderr())
