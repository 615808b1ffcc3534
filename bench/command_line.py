# SPDX-License-Identifier: LGPL-2.1-or-later
"""healthctl with thousands of checks."""

import os
import subprocess
import time

from measure import Row, against, print_table
from process import wait_until
from subject import Measured

MANY_CHECKS = 10000


def timed_ms(command):
    """How long a command takes, from before it is started to its end; its output is read."""
    begin = time.monotonic()
    result = subprocess.run([str(word) for word in command], capture_output=True, check=False,
                            env=os.environ | {"LC_ALL": "C.UTF-8"})
    elapsed = (time.monotonic() - begin) * 1000
    if result.returncode != 0 or not result.stdout:
        raise RuntimeError(f"{command[0]}: {result.stderr.decode(errors='replace')}")
    return elapsed


def bench_healthctl(scale, build):
    """Beside curl, which asks for the same bytes and shows them to nobody."""
    def fill(daemon):
        for i in range(MANY_CHECKS):
            degraded = "DegradedWhen=probes >= 0\n" if i % 100 == 0 else ""
            daemon.write_check(f"check-{i}", "[Check]\nType=application\nInterval=1h\n"
                               f"FailAfter=1\nUnhealthyWhen=\n{degraded}")
    with Measured(fill) as daemon:
        wait_until("all have run", lambda: '"unknown"' not in daemon.get(timeout=60).text, 120, 1)
        healthctl = (build / "src/healthctl/healthctl", f"--socket={daemon.socket}")
        curl = ("curl", "--silent", "--show-error", "--unix-socket", daemon.socket)
        size = len(daemon.get("/health?recent=yes", timeout=60).text)
        pairs = {"status": [], "list": []}
        for _ in range(3 * scale.pairs):
            for verb, times in pairs.items():
                times.append((timed_ms((*healthctl, verb)),
                              timed_ms((*curl, "http://localhost/health?recent=yes"))))
    rows = []
    for verb, times in pairs.items():
        more = [(ours - theirs, None) for ours, theirs in times]
        rows += [against("curl", f"{verb}, ms", times),
                 Row("  more than curl, ms", more, ("<=", 100))]
    print_table(f"healthctl, {MANY_CHECKS} checks in {size / 1e6:.1f} MB", rows)
