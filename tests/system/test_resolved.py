# SPDX-License-Identifier: LGPL-2.1-or-later
"""systemd-resolved hangs, and is gone: that is the fault of no server whose address is known."""

import os
import signal

import pytest

from process import wait_until

PACKAGES = ["dnsmasq-base", "iproute2", "libnss-resolve", "systemd-resolved"]
RESOLVED = "systemd-resolved.service"
ZONE = "corp.example"
TIMEOUT_S = 2
FAST = f"[Check]\nInterval=500ms\nTimeout={TIMEOUT_S}s\nRetryInterval=200ms\nFailAfter=1\n" \
       "PassAfter=1\nBreakerAfter=0\nWatchdog=no\n"
REDIS = FAST + "Type=redis\n[Redis]\nAddress={}:6379\n"
# More than there are threads that look names up.
NAMES = [f"name-{n}" for n in range(24)]
CHECKS = {
    "address": REDIS.format("127.0.0.1"),
    "known": REDIS.format("known." + ZONE),
    "lookup": FAST + f"Type=dns\n[DNS]\nName=lookup.{ZONE}\n",
    "application_metrics": "[Check]\nType=application\nInterval=200ms\n",
}


@pytest.fixture(name="named", scope="module")
def machine_with_names(machine):
    """Names of the zone are found by way of resolved alone."""
    machine.write_file("/etc/systemd/resolved.conf.d/test.conf",
                       "[Resolve]\nDNS=127.0.0.2\nDomains=~.\nDNSSEC=no\nLLMNR=no\n"
                       "MulticastDNS=no\nCache=no\n")
    machine.enter("systemd-run", "--unit=names", "dnsmasq", "--keep-in-foreground", "--no-resolv",
                  "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.2",
                  "--user=root", f"--address=/{ZONE}/127.0.0.1")
    # Without a link that is up and has an address, resolved asks nobody.
    machine.enter("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    machine.enter("ip", "addr", "add", "192.0.2.1/24", "dev", "up0")
    for link in ("up0", "up1"):
        machine.enter("ip", "link", "set", link, "up")
    machine.enter("systemctl", "restart", RESOLVED)
    machine.enter("systemctl", "start", "redis-server")
    assert "resolve" in machine.enter("grep", "hosts:", "/etc/nsswitch.conf").stdout
    wait_until("names are found", lambda: machine.enter(
        "getent", "ahosts", "known." + ZONE, check=False).stdout.startswith("127.0.0.1"), timeout=20)
    return machine


def hang(machine):
    pid = machine.host_pid(int(machine.properties(RESOLVED)["MainPID"]))
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


def stop(machine):
    machine.enter("systemctl", "stop", RESOLVED)
    return lambda: machine.enter("systemctl", "start", RESOLVED)


@pytest.mark.parametrize("way", [hang, stop])
def test_names_fail_alone_and_come_back(named, way):
    named.configure(CHECKS)
    for name in CHECKS:
        named.wait_status(name, "healthy")
    come_back = way(named)
    try:
        # Nobody has asked for these before, so there is nothing to fall back on.
        for name in NAMES:
            named.write_check(name, REDIS.format(f"{name}.{ZONE}"))
        named.enter("systemctl", "reload", "healthd.service")
        for name in ["lookup", *NAMES]:
            check = named.wait_status(name, "unhealthy")
            assert way is stop or f"timed out after {TIMEOUT_S}s" in check["error"], check
            assert f"{name}.{ZONE}" in check["error"], check
        before = named.curl("/health")[1]["checks"]

        def run_on():
            checks = named.curl("/health")[1]["checks"]
            return all(checks[name]["checked_at"] > before[name]["checked_at"] + 3
                       for name in ("address", "known"))
        wait_until("those whose address is known run on", run_on, timeout=20)
        checks = named.curl("/health")[1]["checks"]
        for name in ("address", "known"):
            assert checks[name]["status"] == "healthy", checks[name]
            assert checks[name]["consecutive_failures"] == 0, checks[name]
        # Seconds, were a name looked up on the loop; this machine may be busy.
        assert checks["application_metrics"]["details"]["loop_lag_ms"] < 1000
    finally:
        come_back()
    for name in [*CHECKS, *NAMES]:
        named.wait_status(name, "healthy")
    assert not [entry for entry in named.journal("HEALTH_CHECK=address")
                if entry.get("HEALTH_STATUS") == "unhealthy"]
    assert named.show("NRestarts") == "0"
