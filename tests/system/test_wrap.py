# SPDX-License-Identifier: LGPL-2.1-or-later
"""healthd-exec: a program with its checks beside it, in the program's own unit."""

import os
import signal

import pytest

from process import wait_until

CHECK = "[Check]\nType=redis\nInterval=500ms\nTimeout=400ms\nRetryInterval=100ms\nFailAfter=2\n" \
        "PassAfter=1\n[Redis]\nAddress=127.0.0.1:7777\n"
REDIS = "/usr/bin/redis-server --port 7777 --save '' --daemonize no"
WRAP = "/usr/bin/healthd-exec --config-dir=/etc/orders --check=orders -- "
SERVICE = "[Service]\nType=notify\nNotifyAccess=all\nWatchdogSec=3s\nTimeoutAbortSec=2s\n" \
          "TimeoutStopSec=3s\nRestart=on-watchdog\nRestartSec=100ms\nLimitCORE=infinity\n" \
          "ExecStart={}\n"


def write(machine, unit, command, more=""):
    machine.write_file(f"/etc/systemd/system/{unit}.service", SERVICE.format(command) + more)
    machine.enter("systemctl", "daemon-reload")


def show(machine, unit):
    return machine.properties(f"{unit}.service")


@pytest.fixture(autouse=True)
def orders(machine):
    machine.write_file("/etc/orders/checks/orders.check", CHECK)
    # Not asked for, broken, and none of the program's business.
    machine.write_file("/etc/orders/checks/other.check", "[Check]\nType=nonsense\n")
    yield
    machine.enter("systemctl", "stop", "orders.service", check=False)
    machine.enter("systemctl", "reset-failed")


def test_a_program_is_ready_when_its_checks_pass_and_fed_while_they_do(machine):
    write(machine, "orders", WRAP + REDIS)
    machine.enter("systemctl", "start", "orders")
    status = show(machine, "orders")
    pid = int(status["MainPID"])
    assert status["ActiveState"] == "active" and status["StatusText"].startswith("healthy")
    assert machine.enter("cat", f"/proc/{pid}/comm").stdout == "redis-server\n"
    environment = machine.enter("cat", f"/proc/{pid}/environ").stdout
    assert "NOTIFY_SOCKET" not in environment and "WATCHDOG" not in environment

    since = machine.now()
    os.kill(machine.host_pid(pid), signal.SIGSTOP)
    wait_until("a restart", lambda: show(machine, "orders")["NRestarts"] == "1", timeout=30)
    wait_until("health", lambda: show(machine, "orders")["ActiveState"] == "active", timeout=30)
    text = "\n".join(machine.unit_texts("orders.service", since))
    said = text.index("Not feeding the watchdog: orders unhealthy: timed out after 400ms: no answer")
    assert said < text.index("systemd restarts this unit") < text.index("Watchdog timeout")
    assert "nonsense" not in text


def test_stopping_leaves_nobody_behind(machine):
    write(machine, "orders", WRAP + REDIS)
    machine.enter("systemctl", "start", "orders")
    group = show(machine, "orders")["ControlGroup"]
    procs = machine.enter("cat", f"/sys/fs/cgroup{group}/cgroup.procs").stdout.split()
    assert len(procs) == 2
    machine.enter("systemctl", "stop", "orders")
    status = show(machine, "orders")
    assert (status["ActiveState"], status["Result"]) == ("inactive", "success")
    assert all(machine.enter("test", "-e", f"/proc/{pid}", check=False).returncode
               for pid in procs)


ENDINGS = {
    "exit": "/bin/sh -c 'sleep 0.3; exit 3'",
    "success": "/bin/sleep 0.3",
    "crash": "/bin/sh -c 'sleep 0.3; kill -BUS $$$$'",
    "killed": "/bin/sh -c 'sleep 0.3; kill -KILL $$$$'",
    "missing": "/nowhere/at/all",
}


@pytest.mark.parametrize("name", ENDINGS)
def test_an_end_is_what_it_is_without_us(machine, name):
    seen = {}
    for unit, wrap in (("plain", ""), ("orders", WRAP)):
        write(machine, unit, wrap + ENDINGS[name], "Type=exec\nRestart=no\nWatchdogSec=0\n")
        machine.enter("systemctl", "start", unit, check=False)
        wait_until("the end", lambda unit=unit: show(machine, unit)["ActiveState"] in
                   ("failed", "inactive"), timeout=20)
        status = show(machine, unit)
        seen[unit] = [status[key] for key in ("Result", "ExecMainCode", "ExecMainStatus")]
    assert seen["orders"] == seen["plain"]


def test_a_program_that_ignores_sigterm_is_stopped_as_without_us(machine):
    seen = {}
    for unit, wrap in (("plain", ""), ("orders", WRAP)):
        write(machine, unit, wrap + "/bin/sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'",
              "Type=exec\nRestart=no\nWatchdogSec=0\nTimeoutStopSec=1s\n")
        machine.enter("systemctl", "start", unit)
        machine.enter("systemctl", "stop", unit)
        status = show(machine, unit)
        seen[unit] = [status[key] for key in ("Result", "ExecMainCode", "ExecMainStatus")]
    assert seen["orders"] == seen["plain"]
    assert seen["plain"] == ["timeout", "2", str(int(signal.SIGKILL))]


def test_a_check_that_is_not_there_is_said(machine):
    write(machine, "orders", WRAP.replace("--check=orders", "--check=ordres") + REDIS,
          "TimeoutStartSec=2s\n")
    since = machine.now()
    machine.enter("systemctl", "start", "orders", check=False)
    text = "\n".join(machine.unit_texts("orders.service", since))
    assert "--check=ordres: there is no checks/ordres.check in the configuration" in text


def test_by_hand_it_only_runs_the_program(machine):
    done = machine.enter("/usr/bin/healthd-exec", "--check=orders", "--", "echo", "--check=x")
    assert done.stdout == "--check=x\n"
    done = machine.enter("/usr/bin/healthd-exec", "--", "echo", check=False)
    assert done.returncode == 1 and "give at least one --check=NAME" in done.stderr
