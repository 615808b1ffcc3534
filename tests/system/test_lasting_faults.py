# SPDX-License-Identifier: LGPL-2.1-or-later
"""What healthd lives on, and for how long, does not do its part: journald, disks, memory, reloads."""

import contextlib
import os
import pathlib
import signal
import tempfile
import time

import pytest

from process import wait_until

SERVICE = "healthd.service"
# Of 400 requests a second, on a machine that does other things, too: there was a load.
LOAD_MIN = 100
OLD_MEMORY_CGROUP = pathlib.Path("/sys/fs/cgroup/memory")
FAST = "Interval=500ms\nTimeout=300ms\nRetryInterval=200ms\nFailAfter=2\nPassAfter=1\n" \
       "BreakerAfter=0\nWatchdog=no\n"
REDIS = f"[Check]\nType=redis\n{FAST}[Redis]\nAddress=127.0.0.1:6379\n"
FILE = f"[Check]\nType=file\n{FAST}[File]\nPath=/srv/switch\n"


@pytest.fixture(autouse=True)
def services(machine):
    """Redis runs when a test begins."""
    machine.enter("systemctl", "start", "redis-server")


def resident_kib(machine):
    pid = machine.host_pid(int(machine.show("MainPID")))
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def pause(machine, unit):
    """SIGSTOP; returns what lets it go on."""
    pid = machine.host_pid(int(machine.properties(unit)["MainPID"]))
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def transitions(machine, check):
    return [entry["HEALTH_STATUS"] for entry in machine.journal(f"HEALTH_CHECK={check}")
            if "HEALTH_PREVIOUS" in entry]


def test_a_journald_that_hangs_holds_up_nobody(machine):
    machine.configure({"redis": REDIS}, service="WatchdogSec=30s\n")
    machine.wait_status("redis", "healthy")
    before = len(transitions(machine, "redis"))
    go_on = pause(machine, "systemd-journald.service")
    try:
        with machine.steady_client(200, "/health/live") as (result, _):
            for _ in range(3):
                redis_goes_on = pause(machine, "redis-server.service")
                machine.wait_status("redis", "unhealthy")
                redis_goes_on()
                machine.wait_status("redis", "healthy")
        lag_ms = machine.curl("/health")[1]["checks"]["application_metrics"]["details"][
            "loop_lag_ms"]
    finally:
        go_on()
    assert result["failed"] == 0 and result["per_second"] > LOAD_MIN, result
    # Seconds, were an entry written on the loop; this machine may be busy.
    assert lag_ms < 1000
    assert machine.show("NRestarts") == "0"
    wait_until("the entries are written", lambda: transitions(machine, "redis")[before:] == [
        "unhealthy", "healthy"] * 3, timeout=20)


def test_a_full_disk_costs_the_file_and_says_so(machine):
    machine.configure({"redis": REDIS})
    machine.wait_status("redis", "healthy")
    machine.enter("mount", "-t", "tmpfs", "-o", "size=16k,mode=0755", "tmpfs", "/var/lib/healthd")
    try:
        machine.enter("chown", "healthd:", "/var/lib/healthd")
        machine.enter("dd", "if=/dev/zero", "of=/var/lib/healthd/full", "bs=4k", check=False)
        since = machine.now()
        machine.enter("systemctl", "restart", SERVICE)
        machine.wait_status("redis", "healthy")
        machine.enter("systemctl", "stop", SERVICE)
        assert machine.show("Result") == "success"
        said = [text for text in machine.unit_texts(SERVICE, since) if "Cannot save" in text]
        assert said and "No space left on device" in said[0], said
        assert machine.enter("ls", "/var/lib/healthd").stdout.split() == ["full"]
        machine.enter("systemctl", "start", SERVICE)
        machine.wait_status("redis", "healthy")
    finally:
        machine.enter("systemctl", "stop", SERVICE)
        machine.enter("umount", "/var/lib/healthd")


def test_a_full_run_costs_nothing(machine):
    """Neither what it checks, nor what it says, nor a restart."""
    machine.configure({"redis": REDIS, "file": FILE})
    machine.enter("touch", "/srv/switch")
    machine.wait_status("file", "healthy")
    used = int(machine.enter("df", "--output=used", "-k", "/run").stdout.split()[1])
    machine.enter("mount", "-o", f"remount,size={used + 64}k", "/run")
    try:
        machine.enter("dd", "if=/dev/zero", "of=/run/full", "bs=4k", check=False)
        machine.enter("rm", "/srv/switch")
        since = machine.wait_status("file", "unhealthy")["since"]
        pid = machine.show("MainPID")
        machine.enter("systemctl", "kill", "--signal=KILL", SERVICE)
        wait_until("another process", lambda: machine.show("MainPID") not in ("0", pid), timeout=20)
        # Also what was remembered is there: it is in no file.
        assert machine.wait_status("file", "unhealthy")["since"] == since
    finally:
        machine.enter("rm", "-f", "/run/full")
        machine.enter("mount", "-o", "remount,size=20%", "/run")


@contextlib.contextmanager
def without_memory(machine):
    """healthd's process may take no more of it, by the kernel's limit for a cgroup."""
    pid = machine.host_pid(int(machine.show("MainPID")))
    if not OLD_MEMORY_CGROUP.exists():
        machine.enter("systemctl", "set-property", "--runtime", SERVICE, "MemorySwapMax=0",
                      "MemoryMax=1M")
        yield
        machine.enter("systemctl", "set-property", "--runtime", SERVICE, "MemoryMax=infinity",
                      "MemorySwapMax=infinity")
        return
    cgroup = pathlib.Path(tempfile.mkdtemp(prefix="healthd-test-", dir=OLD_MEMORY_CGROUP))
    try:
        (cgroup / "memory.limit_in_bytes").write_text("128K", encoding="ascii")
        (cgroup / "cgroup.procs").write_text(str(pid), encoding="ascii")
        yield
    finally:
        wait_until("the cgroup is empty",
                   lambda: not (cgroup / "cgroup.procs").read_text(encoding="ascii"))
        cgroup.rmdir()


def test_killed_for_memory_it_comes_back_with_what_it_knew(machine):
    machine.configure({"redis": REDIS, "file": FILE})
    machine.enter("rm", "-f", "/srv/switch")
    since = machine.wait_status("file", "unhealthy")["since"]
    pid = machine.show("MainPID")
    with without_memory(machine):
        # Each connection takes some.
        machine.enter("sh", "-c", "for i in $(seq 40); do curl -s -o /dev/null --max-time 5 "
                      "--unix-socket /run/healthd/healthd.sock http://x/metrics & done; wait",
                      check=False)
        wait_until("the kernel kills it", lambda: machine.show("MainPID") != pid, timeout=20)
    machine.wait_status("redis", "healthy", timeout=30)
    assert machine.wait_status("file", "unhealthy")["since"] == since
    assert any("status=9/KILL" in text for text in machine.unit_texts(SERVICE, "0"))


def test_a_read_only_etc(machine):
    machine.configure({"redis": REDIS})
    machine.enter("mount", "--bind", "-o", "ro", "/etc", "/etc")
    machine.enter("mount", "-o", "remount,bind,ro", "/etc")
    try:
        machine.enter("systemctl", "restart", SERVICE)
        machine.enter("systemctl", "reload", SERVICE)
        machine.wait_status("redis", "healthy")
        refused = machine.enter("healthctl", "adopt", "redis-server.service", check=False)
        assert refused.returncode != 0
        assert "Read-only file system" in refused.stderr and "/etc" in refused.stderr
    finally:
        machine.enter("umount", "/etc")


def test_a_thousand_reloads_under_load(machine):
    """And as many signals as fast as they can be sent, which become fewer reloads."""
    machine.configure({"redis": REDIS, "file": FILE})
    machine.enter("touch", "/srv/switch")
    machine.wait_status("file", "healthy")

    def reload(times):
        answers = machine.enter("curl", "--silent", "--data", "", "--unix-socket",
                                "/run/healthd/healthd.sock", "--output", "/dev/null",
                                "--write-out", "%{http_code}\n",
                                f"http://x/control/reload?[1-{times}]").stdout.split()
        assert answers == ["200"] * times

    reload(100)
    before = resident_kib(machine)
    with machine.steady_client(200, "/health") as (result, _):
        reload(900)
        pid = machine.host_pid(int(machine.show("MainPID")))
        for _ in range(1000):
            os.kill(pid, signal.SIGHUP)
            time.sleep(0.001)
        machine.wait_status("file", "healthy")
    assert result["failed"] == 0 and result["per_second"] > LOAD_MIN, result
    assert machine.show("NRestarts") == "0" and machine.show("ActiveState") == "active"
    assert resident_kib(machine) < before + 4096
    assert machine.curl("/health")[1]["checks"]["redis"]["consecutive_failures"] == 0
