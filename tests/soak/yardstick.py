# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures, over and over, how long programs wait for their turn on this machine.

usage: yardstick.py    (reads lines of pids, until the end; prints lines "BEGIN END WAITED", in seconds)

WAITED is the longer of two. What a probe is made of, done by nobody that is tested: to wake up, some
words to and fro between two programs, the start of a third as a plug-in is. And how long one of those
processes has been kept from its work without having been seen asleep in between, by the kernel's count
of its running: a process with much to do waits longer than one with little.
"""

import os
import select
import socket
import sys
import time

PAUSE = 0.1
ROUND_TRIPS = 5


class Process:
    """One of those that are watched."""

    def __init__(self, pid):
        self.directory = f"/proc/{pid}"
        self.at = time.monotonic()
        self.ran, self.waited = self.counters()
        self.in_a_row = 0

    def counters(self):
        """Seconds it has run, and seconds it was ready to run and did not."""
        with open(f"{self.directory}/schedstat", encoding="ascii") as file:
            ran, waited, _ = file.read().split()
        return int(ran) / 1e9, int(waited) / 1e9

    def state(self):
        with open(f"{self.directory}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    def look(self):
        state, now, (ran, waited) = self.state(), time.monotonic(), self.counters()
        elapsed, just_waited = now - self.at, waited - self.waited
        rest = elapsed - just_waited - (ran - self.ran)
        if state == "D":
            # A program is being started, whose turn it is that is waited for.
            self.in_a_row += just_waited + rest
        elif state == "R" and rest < elapsed / 2:
            self.in_a_row += just_waited
        else:
            self.in_a_row = just_waited
        self.at, self.ran, self.waited = now, ran, waited
        return self.in_a_row


class Watched:
    def __init__(self):
        self.processes = {}

    def set(self, pids):
        self.processes = {pid: self.processes.get(pid) for pid in pids}

    def longest_wait(self):
        longest = 0
        for pid, process in list(self.processes.items()):
            try:
                if process:
                    longest = max(longest, process.look())
                else:
                    self.processes[pid] = Process(pid)
            except (FileNotFoundError, ProcessLookupError):
                del self.processes[pid]  # killed: there will be another one
        return longest


def partner():
    """A process that says what it is told."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        while word := theirs.recv(1):
            theirs.sendall(word)
        os._exit(0)
    theirs.close()
    return ours


def probe(connection):
    for _ in range(ROUND_TRIPS):
        connection.sendall(b"x")
        connection.recv(1)
    os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", "exec /bin/true"], {}), 0)


def main():
    connection = partner()
    watched = Watched()
    while True:
        due = time.monotonic() + PAUSE
        if select.select([sys.stdin], [], [], PAUSE)[0]:
            line = sys.stdin.readline()
            if not line:
                return
            watched.set(line.split())
            time.sleep(max(0, due - time.monotonic()))
        probe(connection)
        waited = watched.longest_wait()
        end = time.monotonic()
        waited = max(waited, end - due)
        print(f"{min(due, end - waited):.3f} {end:.3f} {waited:.3f}", flush=True)


if __name__ == "__main__":
    main()
