# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks of systemd's units, by a real systemd, over a real D-Bus broker."""

import os
import signal
import time

import pytest

from process import wait_until

FAST = "Interval=1s\nTimeout=800ms\nRetryInterval=200ms\nFailAfter=2\nPassAfter=2\n"
# One that runs only when something happens: what is seen, systemd's signal told.
SLOW = "Interval=10min\nTimeout=10s\nRetryInterval=200ms\nFailAfter=2\nPassAfter=2\n"


def check(section, common=FAST):
    return f"[Check]\nType=unit\nRequired=no\nWatchdog=no\n{common}[Unit]\n{section}\n"


def write_unit(machine, name, text):
    machine.write_file(f"/run/systemd/system/{name}", text)


def service(command, more=""):
    return f"[Service]\nExecStart=/bin/sh -c '{command}'\n{more}\n"


@pytest.fixture(scope="module", autouse=True)
def units(machine):
    """What the checks look at."""
    write_unit(machine, "steady.service", service("exec sleep infinity"))
    write_unit(machine, "busy.service", service("while :; do :; done",
                                                "CPUAccounting=yes\nMemoryAccounting=yes"))
    write_unit(machine, "burnt.service",
               service("i=0; while [ $$i -lt 2000000 ]; do i=$$((i+1)); done; exec sleep infinity",
                       "CPUAccounting=yes"))
    write_unit(machine, "broken.service", service("exit 7"))
    write_unit(machine, "crashing.service",
               service("sleep 0.3; exit 1", "Restart=always\nRestartSec=100ms\n"
                                            "[Unit]\nStartLimitIntervalSec=0"))
    write_unit(machine, "job.service", service("true", "Type=oneshot"))
    write_unit(machine, "lazy.service", service("exec sleep infinity", "[Unit]\nWants=lazy.socket"))
    write_unit(machine, "lazy.socket", "[Socket]\nListenStream=/run/lazy.sock\n")
    write_unit(machine, "worker@.service", service("exec sleep infinity"))
    write_unit(machine, "stuck.service", service("exec sleep infinity", "Type=oneshot"))
    write_unit(machine, "stuck.timer",
               "[Timer]\nOnActiveSec=0\nOnCalendar=*:*:0/1\nAccuracySec=1ms\n")
    write_unit(machine, "failing-job.service", service("exit 1", "Type=oneshot"))
    write_unit(machine, "failing-job.timer", "[Timer]\nOnActiveSec=0\nOnUnitInactiveSec=1h\n")
    write_unit(machine, "quiet.timer", "[Timer]\nOnCalendar=yearly\nUnit=job.service\n")
    machine.enter("systemctl", "mask", "--runtime", "hidden.service")
    machine.enter("systemctl", "daemon-reload")


@pytest.fixture(autouse=True)
def everything_stopped(machine):
    yield
    machine.enter("systemctl", "stop", "steady", "busy", "burnt", "broken", "crashing", "lazy.socket",
                  "lazy", "worker@*", "stuck.timer", "stuck", "failing-job.timer", "quiet.timer",
                  check=False)
    machine.enter("systemctl", "reset-failed")


def wait_reason(machine, name, text, timeout=20):
    """Waits until the last result's reason contains a text, and returns the check."""
    def said():
        state = machine.curl("/health")[1]["checks"][name]
        return state if text in state.get("reason", "") else None
    return wait_until(f"{name} says {text}", said, timeout, pause=0.05)


def test_a_running_service(machine):
    machine.enter("systemctl", "start", "steady", "busy")
    machine.configure({"steady": check("Unit=steady"), "busy": check("Unit=busy.service")})
    details = machine.wait_status("steady", "healthy")["details"]
    properties = machine.properties("steady")
    assert (details["load_state"], details["active_state"], details["sub_state"]) == (
        "loaded", "active", "running")
    assert details["result"] == "success" and details["problem"] == "none"
    assert details["restarts"] == 0 and details["main_pid"] == int(properties["MainPID"])
    # systemd counts only what the kernel's controllers here let it.
    if properties["TasksCurrent"].isdigit():
        assert details["tasks"] == 1
    if properties["MemoryCurrent"].isdigit():
        assert 0 < details["memory"] < 64 * 1024 * 1024
    assert details["cpu_percent"] < 20 and 0 < details["since_s"] < 300
    time.sleep(2)
    assert 5 < machine.curl("/health")[1]["checks"]["busy"]["details"]["cpu_percent"] < 110


def test_processor_time_is_that_since_the_run_before(machine):
    machine.configure({"burnt": check("Unit=burnt")})
    machine.enter("systemctl", "start", "burnt")

    def cpu_percent():
        return machine.curl("/health")[1]["checks"]["burnt"]["details"]["cpu_percent"]
    wait_until("it burns", lambda: cpu_percent() > 5, 20)
    pid = machine.properties("burnt")["MainPID"]
    wait_until("it has ended that",
               lambda: machine.enter("cat", f"/proc/{pid}/comm").stdout == "sleep\n", 60)
    # On average since its start it would take minutes until then.
    wait_until("it rests", lambda: cpu_percent() < 1, 10)


def test_a_service_that_fails_is_seen_at_once(machine):
    machine.enter("systemctl", "start", "steady")
    machine.configure({"steady": check("Unit=steady", SLOW)})
    machine.wait_status("steady", "healthy")
    # The second run is not due for five minutes.
    machine.enter("systemctl", "kill", "--signal=KILL", "steady")
    state = machine.wait_status("steady", "unhealthy")
    assert "steady.service: failed (signal)" in state["reason"]
    assert state["details"]["result"] == "signal" and state["details"]["tasks"] == 0
    assert machine.journal("HEALTH_CHECK=steady", "HEALTH_STATUS=unhealthy")


def test_a_failure_among_many_is_seen_at_once(machine):
    machine.enter("systemctl", "start", "worker@1", "worker@2", "worker@3")
    machine.configure({"host": check("Ignore=worker@3.service", SLOW),
                       "workers": check("Unit=worker@*.service\nIgnore=worker@3.service", SLOW)})
    for name in ("host", "workers"):
        machine.wait_status(name, "healthy")
    machine.enter("systemctl", "kill", "--signal=KILL", "worker@3")
    time.sleep(1)
    machine.enter("systemctl", "kill", "--signal=KILL", "worker@2")
    for name in ("host", "workers"):
        assert "worker@2.service: failed" in machine.wait_status(name, "unhealthy")["reason"]


def test_failures_are_told_apart(machine):
    machine.configure({
        "broken": check("Unit=broken"), "missing": check("Unit=nobody"),
        "hidden": check("Unit=hidden"), "stopped": check("Unit=steady"),
    })
    machine.enter("systemctl", "start", "broken")
    assert "(exit-code, status 7)" in wait_reason(machine, "broken", "broken.service: failed")["reason"]
    assert "correct the name" in wait_reason(machine, "missing", "not-found")["reason"]
    assert "unmask" in wait_reason(machine, "hidden", "masked")["reason"]
    assert "systemctl start" in wait_reason(machine, "stopped", "steady.service: inactive")["reason"]
    for name in ("broken", "missing", "hidden", "stopped"):
        assert machine.wait_status(name, "unhealthy")["breaker"]["position"] == "closed"
    assert machine.curl("/health")[1]["status"] == "degraded"


def test_a_service_that_crashes_again_and_again(machine):
    machine.configure({"crashing": check("Unit=crashing").replace(
        "[Unit]", "UnhealthyWhen=restarts > 3\n[Unit]")})
    machine.enter("systemctl", "start", "crashing")

    def restarts():
        return machine.curl("/health")[1]["checks"]["crashing"]["details"]["restarts"]
    wait_until("four restarts", lambda: restarts() > 3, timeout=40)
    # At most moments it is active: the count tells.
    machine.wait_status("crashing", "unhealthy")
    wait_reason(machine, "crashing", "restarts > 3")


def test_inactive_is_well_for_jobs_and_for_what_a_socket_starts(machine):
    machine.enter("systemctl", "start", "job", "lazy.socket")
    machine.configure({"job": check("Unit=job"), "lazy": check("Unit=lazy")})
    assert machine.wait_status("job", "healthy")["details"]["active_state"] == "inactive"
    lazy = machine.wait_status("lazy", "healthy")["details"]
    assert lazy["active_state"] == "inactive" and lazy["memory"] == 0
    machine.enter("systemctl", "stop", "lazy.socket")
    state = machine.wait_status("lazy", "unhealthy")
    assert "and so is lazy.socket, which starts it" in state["reason"]


def test_globs(machine):
    machine.enter("systemctl", "start", "worker@1", "worker@2", "worker@3")
    machine.configure({"workers": check("Unit=worker@*.service\nIgnore=worker@3.*"),
                       "none": check("Unit=nobody-*.service"),
                       "list": check("Unit=worker@1 worker@3.service")})
    details = machine.wait_status("workers", "healthy")["details"]
    assert (details["matched"], details["active"], details["failed"]) == (2, 2, 0)
    assert details["worst_unit"] == "none"
    assert "no loaded unit matches" in machine.wait_status("none", "unhealthy")["reason"]
    machine.enter("systemctl", "kill", "--signal=KILL", "worker@2", "worker@3")
    state = machine.wait_status("workers", "unhealthy")
    assert state["details"]["worst_unit"] == "worker@2.service"
    assert state["details"]["failed"] == 1 and "worker@3" not in state["reason"]
    state = machine.wait_status("list", "unhealthy")
    assert state["details"]["worst_unit"] == "worker@3.service"
    assert (state["details"]["matched"], state["details"]["active"]) == (2, 1)


def test_failed_units_as_shipped(machine):
    machine.configure()
    machine.enter("rm", "/etc/healthd/checks/failed_units.check")
    machine.enter("systemctl", "reload", "healthd")
    state = machine.wait_status("failed_units", "healthy")
    assert state["details"]["failed_units"] == 0 and state["required"] is False
    machine.enter("systemctl", "start", "broken")
    state = wait_reason(machine, "failed_units", "broken.service: failed", timeout=60)
    assert state["details"]["failed_units"] == 1
    machine.write_file("/etc/healthd/checks/failed_units.check.d/local.conf",
                       "[Check]\nInterval=1s\nFailAfter=1\n[Unit]\nIgnore=brok*.service\n")
    machine.enter("systemctl", "reload", "healthd")
    assert machine.wait_status("failed_units", "healthy")["details"]["failed_units"] == 0
    machine.enter("systemctl", "start", "failing-job", check=False)
    state = machine.wait_status("failed_units", "unhealthy")
    assert "failing-job.service: failed" in state["reason"]
    status, health = machine.curl("/health")
    assert (status, health["status"]) == (200, "degraded")


def test_timers(machine):
    machine.configure({
        "stuck": check("Timers=stuck.timer\nGrace=2s"),
        "patient": check("Timers=stuck.timer"),
        "failing": check("Timers=failing-job"),
        "all": check("Timers=yes\nIgnore=stuck.timer failing-job.timer"),
        "stopped": check("Timers=nobody.timer"),
    })
    machine.enter("systemctl", "start", "stuck.timer", "failing-job.timer", "quiet.timer")
    state = wait_reason(machine, "stuck", "stuck.timer: stuck.service has been running for")
    assert (state["details"]["overdue"], state["details"]["overdue_units"]) == (1, "stuck.timer")
    machine.wait_status("patient", "healthy")
    state = wait_reason(machine, "failing", "failing-job.timer: failing-job.service failed")
    assert state["details"]["failed_timers"] == 1 and state["details"]["overdue"] == 0
    details = machine.wait_status("all", "healthy")["details"]
    assert details["timers"] >= 1 and "failed_units" not in details
    assert "not-found" in machine.wait_status("stopped", "unhealthy")["reason"]


def broker_pid(machine):
    return machine.host_pid(int(machine.properties("dbus.service")["MainPID"]))


def test_a_restart_of_the_broker_is_survived(machine):
    machine.enter("systemctl", "start", "steady")
    machine.configure({"steady": check("Unit=steady"), "slow": check("Unit=steady", SLOW)})
    machine.wait_status("steady", "healthy")
    pid = machine.show("MainPID")
    machine.enter("systemctl", "stop", "dbus.socket", "dbus.service")
    state = machine.wait_status("steady", "error")
    assert "system bus at /run/dbus/system_bus_socket" in state["reason"]
    machine.enter("systemctl", "start", "dbus.socket", "dbus.service")
    machine.wait_status("steady", "healthy")
    # Signals come again on the new connection.
    machine.enter("systemctl", "kill", "--signal=KILL", "steady")
    machine.wait_status("slow", "unhealthy")
    assert machine.show("MainPID") == pid


def test_a_broker_that_hangs_costs_the_deadline_only(machine):
    machine.enter("systemctl", "start", "steady")
    machine.configure({"steady": check("Unit=steady\n")})
    machine.wait_status("steady", "healthy")
    broker = broker_pid(machine)
    os.kill(broker, signal.SIGSTOP)
    try:
        state = machine.wait_status("steady", "error")
        assert "timed out after 800ms: systemd did not answer" in state["reason"]
        for _ in range(20):
            assert machine.curl("/health/live")[0] == 200
        # Long enough for the connection to be given up, and for a new one to hang too.
        machine.write_check("steady", check("Unit=steady").replace(
            "Interval=1s", "Interval=100ms\nBreakerAfter=0").replace("800ms", "100ms"))
        os.kill(machine.host_pid(int(machine.show("MainPID"))), signal.SIGHUP)
        wait_reason(machine, "steady", "does dbus hang?", timeout=40)
        assert machine.curl("/health/live")[0] == 200
    finally:
        os.kill(broker, signal.SIGCONT)
    machine.wait_status("steady", "healthy")
    os.kill(broker, signal.SIGSTOP)
    try:
        # Its end does not wait for the broker either.
        pid = machine.show("MainPID")
        os.kill(machine.host_pid(int(pid)), signal.SIGTERM)
        wait_until("healthd is gone and back", lambda: machine.show("MainPID") not in (pid, "0"))
    finally:
        os.kill(broker, signal.SIGCONT)


def test_the_sandbox_lets_the_daemon_ask(machine):
    machine.configure({"own": check("Unit=healthd")})
    details = machine.wait_status("own", "healthy")["details"]
    assert details["main_pid"] == int(machine.show("MainPID"))
    assert machine.show("User") == "healthd"
