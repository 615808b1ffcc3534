# SPDX-License-Identifier: LGPL-2.1-or-later
"""healthd@.service: a monitor for one service; and the gates: of a service's start, of a boot."""

import os
import signal
import time

import pytest

from process import wait_until

CHECK = "[Check]\nType=redis\nInterval=500ms\nTimeout=400ms\nRetryInterval=100ms\nFailAfter=2\n" \
        "PassAfter=1\n{keys}[Redis]\nAddress=127.0.0.1:{port}\n"
REDIS = "/usr/bin/redis-server --port {port} --save ''"
GATE = "ExecStartPost=+/usr/bin/healthctl wait --fresh --check=gated --timeout={}\n"


def monitor(machine, name, check, conf=""):
    """Starts healthd@NAME.service with one check, and a watchdog that is quick."""
    machine.enter("rm", "-rf", f"/var/lib/healthd/instances/{name}")
    machine.write_file(f"/etc/healthd/instances/{name}/healthd.conf", conf)
    machine.write_file(f"/etc/healthd/instances/{name}/checks/main.check", check)
    machine.write_file(f"/etc/systemd/system/healthd@{name}.service.d/test.conf",
                       "[Service]\nWatchdogSec=2s\nRestartSec=200ms\n")
    machine.enter("systemctl", "daemon-reload")
    machine.enter("systemctl", "enable", "--now", f"healthd@{name}.service", timeout=30)


def write_service(machine, name, text, unit=""):
    machine.write_file(f"/etc/systemd/system/{name}.service", f"[Unit]\n{unit}[Service]\n{text}")
    machine.enter("systemctl", "daemon-reload")


def pid_of(machine, name):
    return int(machine.properties(f"{name}.service")["MainPID"])


def status(machine, name, check="main"):
    """What the instance says of its check."""
    done = machine.enter("healthctl", f"--instance={name}", "is-healthy", check, check=False)
    return done.stdout.strip()


def ask(machine, *arguments):
    return machine.enter("healthctl", *arguments, check=False)


@pytest.fixture(autouse=True)
def tidy(machine):
    yield
    machine.enter("systemctl", "stop", "orders.service", "gated.service", "healthd@orders.service",
                  "healthd@orders.socket", check=False)
    machine.enter("systemctl", "reset-failed")


def test_an_instance_has_its_own_configuration_socket_and_memory(machine):
    monitor(machine, "orders", CHECK.format(port=7201, keys="Watchdog=no\n"))
    assert machine.enter("healthctl", "--instance=orders", "-q", "list").stdout == "main\n"
    assert "main" not in machine.enter("healthctl", "-q", "list").stdout.split()
    assert "Address" in machine.enter("healthctl", "--instance=orders", "cat", "main").stdout
    stat = machine.enter("stat", "-c", "%a %U", "/run/healthd/instances/orders.sock",
                         "/var/lib/healthd/instances/orders")
    assert stat.stdout == "666 root\n755 healthd\n"
    machine.enter("systemctl", "stop", "healthd@orders.service")
    machine.enter("test", "-s", "/var/lib/healthd/instances/orders/state")
    machine.enter("systemctl", "start", "healthd@orders.service")
    # A mistake changes nothing and is said by the reload.
    machine.write_file("/etc/healthd/instances/orders/checks/main.check", "[Check]\nTypo=x\n")
    assert machine.enter("systemctl", "reload", "healthd@orders.service", check=False).returncode
    done = ask(machine, "--instance=orders", "verify")
    assert done.returncode == 1 and "/etc/healthd/instances/orders/checks/main.check:2" \
        in done.stderr


def test_a_mistyped_instance_does_not_start(machine):
    done = machine.enter("systemctl", "start", "healthd@ordres.service", check=False)
    assert done.returncode == 1 and "Assertion failed" in done.stderr
    done = ask(machine, "--instance=../orders", "status")
    assert done.returncode == 1 and "write NAME of healthd@NAME.service" in done.stderr
    done = machine.enter("healthd", "--instance=../orders", "--verify", check=False)
    assert done.returncode == 1 and "is not the name of an instance" in done.stderr


def test_an_instance_is_ready_before_its_first_check(machine):
    """Else a service that is started after its monitor, which checks it, would never be."""
    monitor(machine, "orders", "[Check]\nType=exec\nInterval=60s\nTimeout=50s\n"
            "[Exec]\nCommand=/bin/sleep 40\n")
    assert machine.properties("healthd@orders.service")["ActiveState"] == "active"
    assert status(machine, "orders") == "unknown"


def test_a_service_is_restarted_with_its_monitor(machine):
    write_service(machine, "orders", f"ExecStart={REDIS.format(port=7202)}\n",
                  "PartOf=healthd@orders.service\n")
    machine.enter("systemctl", "start", "orders.service")
    monitor(machine, "orders", CHECK.format(port=7202, keys=""))
    wait_until("health", lambda: status(machine, "orders") == "healthy")
    pid = pid_of(machine, "orders")
    os.kill(machine.host_pid(pid), signal.SIGSTOP)
    wait_until("another process", lambda: pid_of(machine, "orders") not in (0, pid), timeout=60)
    wait_until("health", lambda: status(machine, "orders") == "healthy", timeout=60)
    assert machine.properties("orders.service")["ActiveState"] == "active"
    assert machine.properties("healthd@orders.service")["NRestarts"] == "1"


def test_the_restart_budget_holds_for_both(machine):
    """What restarts do not help is left running."""
    write_service(machine, "orders", "ExecStart=/bin/sleep 1h\n",
                  "PartOf=healthd@orders.service\n")
    machine.enter("systemctl", "start", "orders.service")
    first = pid_of(machine, "orders")
    monitor(machine, "orders", CHECK.format(port=7203, keys=""),
            "[Watchdog]\nRestartBudget=2/1h\n")
    wait_until("the budget is spent", lambda: "restart budget spent" in machine.properties(
        "healthd@orders.service").get("StatusText", ""), timeout=90)
    assert machine.properties("healthd@orders.service")["NRestarts"] == "2"
    last = wait_until("the service", lambda: pid_of(machine, "orders"))
    assert last != first
    time.sleep(6)
    assert machine.properties("healthd@orders.service")["NRestarts"] == "2"
    assert pid_of(machine, "orders") == last


def gate(machine, command, timeout, keys="PassAfter=2\nBreakerAfter=2\nBreakerReset=10min\n"):
    """A service whose start ends when its check passes, with a check that would run in an hour."""
    check = CHECK.format(port=7204, keys=keys).replace("Interval=500ms", "Interval=1h", 1)
    machine.configure({"gated": check.replace("PassAfter=1\n", "", 1)})
    write_service(machine, "gated", f"Type=exec\nExecStart={command}\nTimeoutStartSec=60s\n"
                  + GATE.format(timeout))


def test_a_service_is_started_when_its_check_passes(machine):
    gate(machine, f"/bin/sh -c 'sleep 2; exec {REDIS.format(port=7204)}'".replace("''", '""'),
         "50s")
    # The check knows the service as it was before: down, its breaker open.
    machine.wait_status("gated", "unhealthy")
    machine.enter("systemctl", "start", "gated.service")
    assert machine.curl("/health/checks/gated")[1]["status"] == "healthy"


def test_a_service_that_never_passes_is_not_started(machine):
    gate(machine, REDIS.format(port=7204), "40s")
    machine.enter("systemctl", "start", "gated.service")
    assert machine.curl("/health/checks/gated")[1]["status"] == "healthy"
    # What the check said of the process before is no news of this one.
    machine.enter("systemctl", "stop", "gated.service")
    write_service(machine, "gated", "Type=exec\nExecStart=/bin/sleep 1h\n" + GATE.format("3s"))
    since = machine.cursor()
    assert machine.enter("systemctl", "start", "gated.service", check=False).returncode == 1
    assert machine.properties("gated.service")["Result"] == "exit-code"
    said = [entry["MESSAGE"] for entry in machine.journal("_SYSTEMD_UNIT=gated.service",
                                                          since=since)]
    assert any(text.startswith("Still waiting for gated (") and "after 3s" in text
               for text in said), said


def test_waiting_for_new_results_needs_checks(machine):
    done = ask(machine, "wait", "--fresh")
    assert done.returncode == 4 and "--fresh is for checks" in done.stderr


def healthy_target(machine):
    return machine.enter("systemctl", "is-active", "healthd-healthy.target",
                         check=False).stdout.strip()


def test_the_host_that_does_not_get_healthy_fails_the_boot_gate(machine):
    machine.configure({"gated": CHECK.format(port=7205, keys="Watchdog=no\n")})
    machine.write_file("/etc/systemd/system/healthd-healthy.service.d/test.conf",
                       "[Service]\nExecStart=\nExecStart=/usr/bin/healthctl wait --timeout=3s\n")
    machine.enter("systemctl", "daemon-reload")
    done = machine.enter("systemctl", "start", "healthd-healthy.target", check=False)
    assert done.returncode == 1 and healthy_target(machine) == "inactive"
    said = [entry["MESSAGE"] for entry in machine.journal(
        "_SYSTEMD_UNIT=healthd-healthy.service")]
    assert "Still waiting for gated after 3s." in said


def test_a_healthy_host_passes_the_boot_gate(machine):
    machine.configure()
    machine.enter("rm", "-rf", "/etc/systemd/system/healthd-healthy.service.d")
    machine.enter("systemctl", "daemon-reload")
    machine.enter("systemctl", "reset-failed")
    assert healthy_target(machine) == "inactive"
    machine.enter("systemctl", "enable", "healthd-healthy.service", "healthd-healthy.target")
    machine.reboot()
    wait_until("the gate", lambda: healthy_target(machine) == "active", timeout=60)
    machine.enter("systemctl", "start", "boot-complete.target")
