# SPDX-License-Identifier: LGPL-2.1-or-later
"""From ten to ten thousand checks, each once a second."""

import re
import resource
import time

import measure
from checks import measure_bare
from measure import Row, against, table
from peer_servers import Monit
from process import process_tree, wait_until
from servers import Redis
from subject import Measured, again

# The loop that is compared keeps its connections, too. monit does one check after the other, and
# begins a round a second after the last one ended: it is asked to do no more than a thousand.
MOST = 10000
MOST_MONIT = 1000
INTERVAL_MS = 1000
START_DELAY = "healthd_check_start_delay_seconds"


def connect_s(n_checks):
    """Until each has its connection and its place in the interval."""
    return 6 if n_checks > 1000 else 2.5


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


def measure_many(redis, n_checks, seconds):
    """CPU time (us) a check, checks a second, 99th percentile of how late they start (ms), PSS."""
    def fill(daemon):
        for i in range(n_checks):
            daemon.write_check(f"check-{i}", f"[Check]\nInterval={INTERVAL_MS}ms\n"
                               "Timeout=10s\nBreakerAfter=0\nType=redis\n[Redis]\n"
                               f"Address=127.0.0.1:{redis.port}\nConnection=persistent\n")
    with Measured(fill) as daemon:
        pids = [daemon.process.pid]
        wait_until("all checks pass", lambda: daemon.get("/health/ready").status == 200, 60, 0.5)
        time.sleep(connect_s(n_checks))
        delays = start_delays(daemon)
        begin, runs, cpu = time.monotonic(), runs_seen(redis), measure.cpu_usec(pids)
        time.sleep(seconds)
        elapsed, runs = time.monotonic() - begin, runs_seen(redis) - runs
        cpu, pss = measure.cpu_usec(pids) - cpu, measure.memory_kib(pids)[0]
        delays_after = start_delays(daemon)
        if daemon.get("/health/ready").status != 200:
            raise RuntimeError("checks fail: the server does not keep up")
        if daemon.get("/health/history?check=check-0").json["availability"]["1h"]["count"] == 0:
            raise RuntimeError("there is no history")
    return cpu / runs, runs / elapsed, histogram_quantile(delays, delays_after, 0.99) * 1000, pss


def measure_monit(redis, n_checks, seconds):
    """CPU time (us) a check, checks a second, PSS. It sends a PING and a QUIT each time."""
    checks = "".join(f"check host check-{i} with address 127.0.0.1\n    if failed port {redis.port}"
                     " protocol redis with timeout 2 seconds then alert\n" for i in range(n_checks))
    monit = Monit(checks, INTERVAL_MS // 1000)
    try:
        with measure.on_measured_core():
            monit.start()
        pids = process_tree(monit.process.pid)
        time.sleep(connect_s(n_checks))
        begin, runs, cpu = time.monotonic(), runs_seen(redis), measure.cpu_usec(pids)
        time.sleep(seconds)
        elapsed, runs = time.monotonic() - begin, runs_seen(redis) - runs
        return (measure.cpu_usec(pids) - cpu) / runs, runs / elapsed, measure.memory_kib(pids)[0]
    finally:
        monit.close()


def start_delays(daemon):
    return parse_histogram(daemon.get("/metrics", timeout=60).text, START_DELAY)


def runs_seen(redis):
    """Checks that the server has answered, a PING and an INFO each. Asking healthd costs time."""
    return int(re.search(r"total_commands_processed:(\d+)", redis.cli("INFO", "stats"))[1]) / 2


def allow_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MOST + 1000
    if hard < needed:
        raise RuntimeError(f"the limit of open files is {hard}: {needed} are needed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))


def rows_of(redis, n_checks, scale, build):
    seconds = scale.many_s if n_checks == MOST else scale.some_s
    ours, bare, nested, monit = [], [], [], []
    for turn in range(scale.long_pairs if n_checks == MOST else scale.few_pairs):
        for loop in (bare, nested):
            loop.append(again(measure_bare, build / "bench/bare-redis", redis.port, "persistent",
                              turn, seconds, n_checks=n_checks, interval_ms=INTERVAL_MS,
                              settle_ms=round(connect_s(n_checks) * 1000), nested=loop is nested))
        ours.append(again(measure_many, redis, n_checks, seconds))
        if n_checks <= MOST_MONIT:
            monit.append(again(measure_monit, redis, n_checks, seconds))
    cpu, rates, delays, pss = (list(column) for column in zip(*ours))
    most = n_checks == MOST
    rows = [against("nested loop", f"{n_checks} Redis checks, CPU us a check",
                    list(zip(cpu, nested)), ("<=", 1.15) if most else None,
                    better="less" if most else None),
            against("bare loop", f"{n_checks} Redis checks, CPU us a check", list(zip(cpu, bare)))]
    if monit:
        their_cpu, their_rates, their_pss = (list(column) for column in zip(*monit))
        return rows + [
            against("monit", f"{n_checks} Redis checks, CPU us a check", list(zip(cpu, their_cpu)),
                    better="less" if n_checks == MOST_MONIT else None),
            against("monit", "  checks a second", list(zip(rates, their_rates)), format_="{:.0f}"),
            against("monit", "  PSS, KiB", list(zip(pss, their_pss)), format_="{:.0f}")]
    return rows + [
        Row("  checks a second", [(rate, None) for rate in rates], (">=", 0.95 * n_checks),
            "{:.0f}"),
        Row("  99th percentile of the start's delay, ms", [(delay, None) for delay in delays],
            ("<=", 20)),
        Row("  PSS, KiB", [(size, None) for size in pss], format_="{:.0f}")]


def bench_scale(scale, build):
    allow_descriptors()
    arguments = ("--maxclients", MOST + 100, "--tcp-backlog", 4096)
    with table("Many checks, each once a second") as rows, Redis(arguments=arguments) as redis:
        for n_checks in scale.many:
            rows += rows_of(redis, n_checks, scale, build)
