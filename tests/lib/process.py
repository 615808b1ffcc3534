# SPDX-License-Identifier: LGPL-2.1-or-later
"""Small things every harness needs: waiting with a bound, free ports, process trees."""

import os
import random
import signal
import socket
import subprocess
import time


CLAIMS = []  # the sockets that say which ports are this process's


def wait_until(what, predicate, timeout=10.0, pause=0.02):
    """Returns the predicate's first true value; after the timeout raises, naming what was awaited."""
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout} s: {what}")
        time.sleep(pause)


def server_ports():
    """In an order of this process's own: below those that the kernel gives to clients, if it can be."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        end = int(file.read().split()[0])
    ports = range(10000, end if end > 15000 else 65536)
    return iter(random.sample(ports, len(ports)))


PORTS = server_ports()


def claim_port(port):
    """Whether this process has the port now, until it ends, before all tests that run beside it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0healthd-test-port-{port}")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        return False
    CLAIMS.append(claim)
    return True


def free_port():
    """
    A port on which nobody listens, now or until this process ends, unless told to: a server may bind
    it long after, while others connect and start servers of their own.
    """
    return next(filter(claim_port, PORTS))


def can_connect(address):
    """address: (host, port) or the path of a unix socket."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address)
        except OSError:
            return False
        return True


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def process_tree(pid):
    """The process and all its descendants: servers call setsid(), so a group is not enough."""
    tree = [pid]
    for child in children(pid):
        tree += process_tree(child)
    return tree


def has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def signal_tree(process, number):
    """Signals a Popen and its descendants, none of which is anybody else's. Returns their pids."""
    if process.poll() is not None:
        return []
    tree = process_tree(process.pid)
    for pid in tree:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
    return tree


def kill_tree(process):
    """SIGKILL for all of them; returns when they are gone, sockets and all."""
    tree = signal_tree(process, signal.SIGKILL)
    process.wait()
    wait_until("killed processes end", lambda: all(has_ended(pid) for pid in tree))


def end_process(process, number=signal.SIGTERM, timeout=10.0):
    """Asks a Popen to end, insists after the timeout, and reaps it. Returns its exit status."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            kill_tree(process)
    return process.wait()
