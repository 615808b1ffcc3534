# SPDX-License-Identifier: LGPL-2.1-or-later
"""Thousands of checks, each once a second."""

import re
import resource
import time

import measure
from checks import measure_bare
from measure import Row, print_table
from process import wait_until
from servers import Redis
from subject import Measured, again

# The loop that is compared keeps its connections, too.
MANY_CHECKS = 10000
MANY_INTERVAL_MS = 1000
MANY_CONNECT_S = 6  # until each has its connection and its place in the interval
START_DELAY = "healthd_check_start_delay_seconds"


def parse_histogram(text, name):
    """Counts by upper bound (s), as they stand: each with all below it."""
    found = re.findall(rf'^{name}_bucket{{le="([^"]+)"}} (\d+)', text, re.MULTILINE)
    return {float(bound): int(count) for bound, count in found}


def histogram_quantile(before, after, part):
    """As Prometheus has it: somewhere in a bucket in proportion, so that bucket's end at worst."""
    counts = {bound: after[bound] - before[bound] for bound in sorted(after)}
    wanted, below, count_below = part * max(counts.values()), 0.0, 0
    for bound, count in counts.items():
        if count >= wanted:
            share = (wanted - count_below) / max(count - count_below, 1)
            return below + (bound - below) * share if bound != float("inf") else bound
        below, count_below = bound, count
    return float("inf")


def measure_many(redis, seconds):
    """CPU time (us) a check, checks a second, 99th percentile of how late they start (ms)."""
    def fill(daemon):
        for i in range(MANY_CHECKS):
            daemon.write_check(f"check-{i}", f"[Check]\nInterval={MANY_INTERVAL_MS}ms\n"
                               "Timeout=10s\nBreakerAfter=0\nType=redis\n[Redis]\n"
                               f"Address=127.0.0.1:{redis.port}\nConnection=persistent\n")
    with Measured(fill) as daemon:
        pids = [daemon.process.pid]
        wait_until("all checks pass", lambda: daemon.get("/health/ready").status == 200, 60, 0.5)
        time.sleep(MANY_CONNECT_S)
        delays = start_delays(daemon)
        begin, runs, cpu = time.monotonic(), runs_seen(redis), measure.cpu_usec(pids)
        time.sleep(seconds)
        elapsed, runs = time.monotonic() - begin, runs_seen(redis) - runs
        cpu = measure.cpu_usec(pids) - cpu
        delays_after = start_delays(daemon)
        if daemon.get("/health/ready").status != 200:
            raise RuntimeError("checks fail: the server does not keep up")
        if daemon.get("/health/history?check=check-0").json["availability"]["1h"]["count"] == 0:
            raise RuntimeError("there is no history")
    return cpu / runs, runs / elapsed, histogram_quantile(delays, delays_after, 0.99) * 1000


def start_delays(daemon):
    return parse_histogram(daemon.get("/metrics", timeout=60).text, START_DELAY)


def runs_seen(redis):
    """Checks that the server has answered, a PING and an INFO each. Asking healthd costs time."""
    return int(re.search(r"total_commands_processed:(\d+)", redis.cli("INFO", "stats"))[1]) / 2


def bench_scale(scale, build):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MANY_CHECKS + 1000
    if hard < needed:
        raise RuntimeError(f"the limit of open files is {hard}: {needed} are needed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    pairs, rates, delays = [], [], []
    arguments = ("--maxclients", MANY_CHECKS + 100, "--tcp-backlog", 4096)
    with Redis(arguments=arguments) as redis:
        for turn in range(min(scale.pairs, 3)):
            bare = again(measure_bare, build / "bench/bare-redis", redis.port, "persistent", turn,
                         scale.many_s, MANY_CHECKS, MANY_INTERVAL_MS, MANY_CONNECT_S * 1000)
            cpu, rate, delay = again(measure_many, redis, scale.many_s)
            pairs.append((cpu, bare))
            rates.append((rate, None))
            delays.append((delay, None))
    print_table(f"{MANY_CHECKS} Redis checks, each once a second", "bare loop",
                [Row("kept connections, CPU us a check", pairs, ("<=", 1.3)),
                 Row("  checks a second", rates, (">=", 0.95 * MANY_CHECKS), "{:.0f}"),
                 Row("  99th percentile of the start's delay, ms", delays, ("<=", 50))])
