# SPDX-License-Identifier: LGPL-2.1-or-later
"""Instructions (callgrind) and system calls (strace) a check. A busy machine changes little."""

import os
import re
import signal
import subprocess
import time

from healthd import Healthd
from process import children

N_CHECKS = 50
INTERVAL_MS = 500
# What a check costs is the difference of a long run and a short one: no start, no end.
RUNS_S = (3, 9)

CALLGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
STRACE = ("strace", "-f", "-c")


def count(wrapper, text):
    """What the wrapper counted in all, from what it wrote at the end."""
    if wrapper is CALLGRIND:
        return int(re.search(r"Collected : (\d+)", text).group(1))
    total = next(line for line in text.splitlines() if line.endswith(" total"))
    return int(total.split()[3])


def run_bare(wrapper, seconds, program, port, mode):
    """Returns how many checks it made, and the count."""
    command = [*wrapper, program, port, mode, N_CHECKS, INTERVAL_MS, 1000, seconds * 1000, 1]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                            check=True)
    return int(result.stdout.split()[0]), count(wrapper, result.stderr)


def run_healthd(wrapper, seconds, check):
    daemon = Healthd()
    output = daemon.directory / "counted"
    option = f"--log-file={output}" if wrapper is CALLGRIND else f"--output={output}"
    try:
        for i in range(N_CHECKS):
            daemon.write_check(f"check-{i}", f"[Check]\nInterval={INTERVAL_MS}ms\n{check}")
        daemon.start(prefix=(*wrapper, option), wait=False)
        daemon.wait_listening(60)
        time.sleep(seconds)
        failing = [state.get("error") for state in daemon.get("/health").json["checks"].values()
                   if state["status"] != "healthy"]
        if failing:
            raise RuntimeError(f"{len(failing)} checks fail; {failing[0]}")
        # valgrind is healthd itself; strace has it as its child, and would not pass the signal on.
        pid = daemon.process.pid
        os.kill(pid if wrapper is CALLGRIND else children(pid)[0], signal.SIGTERM)
        daemon.process.wait(60)
        n_checks = int(re.search(r"Stopped after (\d+) probes", daemon.stderr()).group(1))
        return n_checks, count(wrapper, output.read_text(encoding="utf-8"))
    finally:
        daemon.close()


def a_check(run, wrapper, *arguments):
    (n_short, short), (n_long, long) = (run(wrapper, seconds, *arguments) for seconds in RUNS_S)
    return (long - short) / (n_long - n_short)


def pairs(check, program, port, mode):
    """Returns (healthd, bare loop) in instructions and in system calls, of user code only."""
    return [(a_check(run_healthd, wrapper, check), a_check(run_bare, wrapper, program, port, mode))
            for wrapper in (CALLGRIND, STRACE)]
