# SPDX-License-Identifier: LGPL-2.1-or-later
"""Type=unit: what polkit lets healthd start, and what is said when it does not."""

import os
import pathlib

import pytest

from process import wait_until

EXAMPLES = pathlib.Path(os.environ["HEALTHD_SOURCE"], "alerts", "examples")
RULES = "/etc/polkit-1/rules.d/50-healthd-alerts.rules"
CHECK = "[Check]\nType=file\nInterval=1s\nRetryInterval=1s\nFailAfter=1\nPassAfter=1\n" \
        "BreakerAfter=0\nRequired=no\nWatchdog=no\n[File]\nPath=/srv/flag\n"
# Says who was called, and by what unit.
PAGER = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo \"$0 %p %I\" >>/srv/called' told\n"


@pytest.fixture(scope="module", autouse=True)
def units(machine):
    for name in ("page-me@", "all-clear@", "other@"):
        machine.write_file(f"/etc/systemd/system/{name}.service", PAGER)
    machine.enter("systemctl", "daemon-reload")


@pytest.fixture(autouse=True)
def configuration(machine):
    """The example as it is shipped, and one alert that asks for what the rule does not cover."""
    text = (EXAMPLES / "unit.alert").read_text(encoding="utf-8")
    machine.enter("sh", "-c", f"rm -f {RULES} /srv/called; mkdir -p /srv; touch /srv/flag")
    restart_polkit(machine)
    machine.configure({"the-shop": CHECK})
    machine.write_file("/etc/healthd/alerts/pager.alert",
                       text.replace("Type=unit", "Type=unit\nMerge=0")
                       .replace("#ResolvedUnit", "ResolvedUnit"))
    machine.write_file("/etc/healthd/alerts/other.alert",
                       "[Alert]\nType=unit\nChecks=none\n[Unit]\nUnit=other@.service\n")
    machine.enter("systemctl", "reload", "healthd.service")
    machine.wait_status("the-shop", "healthy")


def restart_polkit(machine):
    """It notices new rules by itself, at some time."""
    machine.enter("systemctl", "restart", "polkit.service")


def allow(machine):
    """What the man page tells an administrator to do."""
    machine.write_file(RULES, (EXAMPLES / "unit.rules").read_text(encoding="utf-8"))
    restart_polkit(machine)


def called(machine):
    return machine.enter("cat", "/srv/called", check=False).stdout.splitlines()


def alert_test(machine, name):
    return machine.enter("healthctl", "alert", "test", name, check=False)


def test_without_a_rule_it_is_refused_and_says_what_to_do(machine):
    done = alert_test(machine, "pager")
    assert done.returncode == 1
    assert r"starting page-me@alert\x2dtest.service: " in done.stderr
    assert "a polkit rule must let the user healthd start it: see healthd.alert(5)" in done.stderr
    assert not called(machine)
    machine.enter("rm", "/srv/flag")
    machine.wait_status("the-shop", "unhealthy")
    wait_until("it fails", lambda: fares(machine, "pager")["failed"] >= 1)
    # Once there is a rule, what was to be told is told: nobody has to do anything about it.
    allow(machine)
    wait_until("the unit", lambda: called(machine) == ["told page-me the-shop"], 60)


def fares(machine, name):
    alerts = machine.curl("/health/alerts")[1]["alerts"]
    return next(alert for alert in alerts if alert["name"] == name)


def test_with_the_rule_that_is_shipped_units_are_started(machine):
    allow(machine)
    done = alert_test(machine, "pager")
    assert done.returncode == 0, done.stderr
    assert r'The alert "pager" was delivered: starting page-me@alert\x2dtest.service: done' \
        in done.stdout
    wait_until("the test", lambda: called(machine) == ["told page-me alert-test"])
    machine.enter("rm", "/srv/flag")
    wait_until("the failure", lambda: called(machine)[1:] == ["told page-me the-shop"], 20)
    machine.enter("touch", "/srv/flag")
    wait_until("the recovery", lambda: called(machine)[2:] == ["told all-clear the-shop"], 20)


def test_the_rule_lets_nothing_else_through(machine):
    allow(machine)
    done = alert_test(machine, "other")
    assert done.returncode == 1 and "polkit rule" in done.stderr, done
    # Nor may the same user stop what it may start, or somebody else start it.
    for user, verb in (("healthd", "stop"), ("nobody", "start")):
        refused = machine.enter("setpriv", f"--reuid={user}", "--clear-groups", "systemctl",
                                "--no-ask-password", verb, "page-me@x.service", check=False)
        assert refused.returncode != 0, (user, verb, refused)
    assert not called(machine)


def test_a_unit_that_is_not_there(machine):
    allow(machine)
    machine.enter("mv", "/etc/systemd/system/page-me@.service", "/srv/away.service")
    machine.enter("systemctl", "daemon-reload")
    try:
        done = alert_test(machine, "pager")
        assert done.returncode == 1 and "not found" in done.stderr, done
        assert "polkit" not in done.stderr
    finally:
        machine.enter("mv", "/srv/away.service", "/etc/systemd/system/page-me@.service")
        machine.enter("systemctl", "daemon-reload")
