# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel says about processes, where they run, and how pairs of figures are compared."""

import contextlib
import os
import pathlib
import statistics

CORES = sorted(os.sched_getaffinity(0))
MEASURED = {CORES[0]}   # what is measured, and nothing else of ours
OTHERS = {CORES[-1]}    # load generators, servers, this harness


@contextlib.contextmanager
def on_measured_core():
    """What is started inside runs on the measured core; what was started before does not."""
    os.sched_setaffinity(0, MEASURED)
    try:
        yield
    finally:
        os.sched_setaffinity(0, OTHERS)


def tasks(pid):
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


def cpu_usec(pids):
    """CPU time that the living threads of the processes have used so far."""
    total = 0
    for pid in pids:
        for task in tasks(pid):
            # As utime + stime in stat, but in nanoseconds instead of hundredths of a second.
            text = pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text(encoding="ascii")
            total += int(text.split()[0])
    return total / 1000


def wake_ups(pid):
    """How often threads of the process have gone to sleep so far."""
    total = 0
    for task in tasks(pid):
        status = pathlib.Path(f"/proc/{pid}/task/{task}/status").read_text(encoding="utf-8")
        for line in status.splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total


def memory_kib(pids):
    """Returns (PSS, the part of it that is nobody else's and not backed by a file)."""
    pss = anonymous = 0
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
        for line in text.splitlines():
            if line.startswith("Pss:"):
                pss += int(line.split()[1])
            if line.startswith("Pss_Anon:"):
                anonymous += int(line.split()[1])
    return pss, anonymous


class Row:
    """One line of the table, from pairs (healthd, the other) that were measured in turn."""

    def __init__(self, what, pairs, target=None, format_="{:.1f}"):
        self.what = what
        self.pairs = pairs
        self.target = target
        self.format = format_

    def columns(self):
        if self.pairs[0][1] is None:
            healthd = statistics.median(pair[0] for pair in self.pairs)
            return [self.what, self.format.format(healthd), "", "", "", self.verdict(healthd)]
        healthd, other = (statistics.median(column) for column in zip(*self.pairs))
        ratios = [pair[0] / pair[1] for pair in self.pairs]
        return [self.what, self.format.format(healthd), self.format.format(other),
                f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f}-{max(ratios):.2f}",
                self.verdict(statistics.median(ratios))]

    def verdict(self, value):
        if not self.target:
            return ""
        sign, limit = self.target
        met = value >= limit if sign == ">=" else value <= limit
        return f"{sign} {limit}{'' if met else ', missed'}"


def print_table(title, other, rows):
    lines = [[title, "healthd", other, "ratio", "range", "target"]]
    lines += [row.columns() for row in rows]
    widths = [44, 10, 10, 6, 10, 0]
    print()
    for line in lines:
        cells = [f"{cell:<{width}}" if i in (0, 5) else f"{cell:>{width}}"
                 for i, (cell, width) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip(), flush=True)
