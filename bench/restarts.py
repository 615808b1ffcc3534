# SPDX-License-Identifier: LGPL-2.1-or-later
"""Requests that are lost while healthd is restarted, killed and aborted, under a real systemd."""

import os
import random
import signal
import time

import measure
from container import Unavailable
from machine import SERVICE, Machine
from measure import Row, table
from process import wait_until

RATE = 200  # requests a second, on each of the two sockets
CHECK = ("[Check]\nType=redis\nInterval=1s\nTimeout=800ms\nRetryInterval=200ms\nFailAfter=2\n"
         "PassAfter=2\nWatchdog={watchdog}\n[Redis]\nAddress=127.0.0.1:6379\n")
# The budget is there so that this does not go on; here it must.
CONF = "[Watchdog]\nRestartBudget=32/1s\n"
# On the measured core, as everything that is measured: a client that shares one with it is stopped
# between its connect() and its request, for as long as others want that core.
SERVICE_SETTINGS = f"WatchdogSec=3s\nCPUAffinity={min(measure.MEASURED)}\n"


def main_pid(machine):
    return int(machine.show("MainPID"))


def next_pid(machine, pid):
    return wait_until("another process", lambda: main_pid(machine) not in (0, pid), 30, 0.05)


def restart(machine):
    pid = main_pid(machine)
    machine.enter("systemctl", "restart", SERVICE)
    next_pid(machine, pid)


def kill_within(machine, least_s, most_s):
    """Not by the client: its threads take turns when it makes a call, which is no random moment."""
    pid = main_pid(machine)
    victim = machine.host_pid(pid)
    time.sleep(random.uniform(least_s, most_s))
    os.kill(victim, signal.SIGKILL)
    next_pid(machine, pid)


def kill(machine):
    """At any moment of a process that has nothing left to catch up with."""
    kill_within(machine, 0.5, 1.5)


def kill_young(machine):
    """While it answers those that have waited since the kill before."""
    kill_within(machine, 0, 0.1)


def abort(machine):
    """A check that feeds the watchdog fails until systemd aborts healthd."""
    pid = main_pid(machine)
    machine.enter("systemctl", "stop", "redis-server")
    next_pid(machine, pid)
    machine.enter("systemctl", "start", "redis-server")
    machine.wait_status("redis", "healthy", timeout=30)


def measure_lost(machine, times, happen, watchdog="no"):
    """Returns the requests that were made and lost, and the slowest answer (ms)."""
    machine.enter("systemctl", "start", "redis-server")
    machine.configure({"redis": CHECK.format(watchdog=watchdog)}, CONF, SERVICE_SETTINGS)
    machine.wait_status("redis", "healthy")
    cursor = machine.cursor()
    with machine.steady_client(RATE) as (result, _):
        for _ in range(times):
            happen(machine)
    aborts = [entry for entry in machine.journal(since=cursor)
              if "Watchdog timeout" in str(entry.get("MESSAGE"))]
    if len(aborts) != (times if happen is abort else 0):
        raise RuntimeError(f"{len(aborts)} watchdog aborts during {times} times {happen.__name__}")
    if result["per_second"] < 0.9 * 2 * RATE:
        raise RuntimeError(f"{result['per_second']:.0f} requests a second were made")
    return result


def bench_restarts(scale, build):
    kinds = (("restarts", scale.restarts, restart, "no"),
             ("SIGKILLs at any moment", scale.restarts, kill, "no"),
             ("SIGKILLs just after a start", scale.restarts, kill_young, "no"),
             ("watchdog aborts", scale.aborts, abort, "yes"))
    try:
        with table(f"Restarts, {RATE} requests a second on each of two sockets") as rows, \
                Machine(build) as machine:
            for what, times, happen, watchdog in kinds:
                result = measure_lost(machine, times, happen, watchdog)
                rows += [Row(f"{times} {what}, lost requests", [(result["failed"], None)],
                             ("<=", 0), "{:.0f}"),
                         Row("  of how many", [(result["requests"], None)], format_="{:.0f}"),
                         Row("  the slowest answer, ms", [(result["worst_ms"], None)])]
    except Unavailable as reason:
        raise RuntimeError(str(reason)) from reason
