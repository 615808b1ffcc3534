# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel says about processes, where they run, and how pairs of figures are compared."""

import contextlib
import math
import mmap
import os
import pathlib
import statistics
import time

CORES = sorted(os.sched_getaffinity(0))
MEASURED = {CORES[0]}   # what is measured, and nothing else of ours
OTHERS = {CORES[-1]}    # load generators, servers, this harness
SLEEP_S = 5
SLEEPING_PAGES = 4000


@contextlib.contextmanager
def on_measured_core():
    """What is started inside runs on the measured core; what was started before does not."""
    os.sched_setaffinity(0, MEASURED)
    try:
        yield
    finally:
        os.sched_setaffinity(0, OTHERS)


def stall_after_sleep_usec():
    """What the first touch of a page takes after a sleep, and a second touch does not.

    Next to nothing, unless the host of a virtual machine takes back what it does not use.
    """
    with mmap.mmap(-1, SLEEPING_PAGES * mmap.PAGESIZE) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        touch(memory)
        time.sleep(SLEEP_S)
        first = touch(memory)
        return (first - touch(memory)) / SLEEPING_PAGES / 1000


def touch(memory):
    """Returns the nanoseconds that it took."""
    begin = time.perf_counter_ns()
    for at in range(0, len(memory), mmap.PAGESIZE):
        memory[at] = 1
    return time.perf_counter_ns() - begin


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


def reaped_cpu_usec(pid):
    """CPU time of all the programs that the process has run and waited for, in steps of 10 ms."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    words = text.rsplit(")", 1)[1].split()
    return (int(words[13]) + int(words[14])) * 1e6 / os.sysconf("SC_CLK_TCK")


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
    """One line of the table, from pairs (healthd, the other) that were measured in turn.

    The target is for the ratio, or for healthd's figure if there is no other. better: what the
    picture shows of the row: "less" or "more" of it is good; None: it is not in the picture.
    """

    def __init__(self, what, pairs, target=None, format_="{:.1f}", other=None, better=None):
        self.what = what
        self.pairs = pairs
        self.target = target
        self.format = format_
        self.other = other
        self.better = better

    def compared(self):
        return self.pairs[0][1] is not None

    def ratios(self):
        return [ours / theirs if theirs else math.inf for ours, theirs in self.pairs]

    def ratio(self):
        return statistics.median(self.ratios())

    def columns(self):
        if not self.compared():
            healthd = statistics.median(pair[0] for pair in self.pairs)
            return [self.what, self.format.format(healthd), "", "", "", "", self.verdict(healthd)]
        healthd, other = (statistics.median(column) for column in zip(*self.pairs))
        ratios = self.ratios()
        return [self.what, self.format.format(healthd), self.format.format(other), self.other or "",
                f"{self.ratio():.2f}", f"{min(ratios):.2f}-{max(ratios):.2f}",
                self.verdict(self.ratio())]

    def verdict(self, value):
        if not self.target:
            return ""
        sign, limit = self.target
        met = value >= limit if sign == ">=" else value <= limit
        return f"{sign} {limit:g}{'' if met else ', missed'}"


def against(other, what, pairs, target=None, **options):
    """A row whose pairs are of healthd and of that other program."""
    return Row(what, pairs, target, other=other, **options)


@contextlib.contextmanager
def table(title):
    """Gives the list of rows to fill. Those there are are printed, whatever ends it."""
    rows = []
    try:
        yield rows
    finally:
        if rows:
            print_table(title, rows)


TABLE = []  # (title, rows), as they were printed: what the picture is made of


def print_table(title, rows):
    TABLE.append((title, rows))
    lines = [[title, "healthd", "other", "which", "ratio", "range", "target"]]
    lines += [row.columns() for row in rows]
    widths = [48, 10, 10, 13, 6, 13, 0]
    print()
    for line in lines:
        cells = [f"{cell:<{width}}" if i in (0, 3, 6) else f"{cell:>{width}}"
                 for i, (cell, width) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip(), flush=True)
