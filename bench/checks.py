# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a check costs, against a loop that does the same with the same library."""

import subprocess
import time

import counts
import measure
from measure import against, print_table, table
from servers import Nginx, Postgres, Redis
from subject import Measured, again

# So many, so often; every bare loop keeps the same pace. The first run comes within an interval,
# the second finds its place half an interval to a whole one later.
N_CHECKS = 50
INTERVAL_MS = 500
SETTLE_MS = 1000

# The counter of probes, which is read at both ends of a window.
COUNTER = "[Check]\nType=application\nInterval=200ms\n"


def count_probes(daemon):
    """Returns how many probes had been run at which time (s), by healthd's own counter."""
    check = daemon.get("/health/checks/counter").json["checks"]["counter"]
    return check["details"]["probes"], check["checked_at"]


def healthd_window(daemon, seconds):
    """Returns CPU time (us) and probes, both a second."""
    begin, begin_cpu = time.monotonic(), measure.cpu_usec([daemon.process.pid])
    begin_probes, begin_counted = count_probes(daemon)
    time.sleep(seconds)
    probes, counted = count_probes(daemon)
    end, end_cpu = time.monotonic(), measure.cpu_usec([daemon.process.pid])
    return ((end_cpu - begin_cpu) / (end - begin),
            (probes - begin_probes) / (counted - begin_counted))


def measure_base(seconds):
    """What the counter alone costs."""
    with Measured(lambda daemon: daemon.write_check("counter", COUNTER)) as daemon:
        time.sleep(1)
        return healthd_window(daemon, seconds)


def measure_checks(check, turn, seconds, base):
    """Returns CPU time (us) a check: all that healthd used, and that less what it uses anyway."""
    def fill(daemon):
        daemon.write_check("counter", COUNTER)
        for i in range(N_CHECKS):
            # The name decides about a check's place in its interval: another one each turn.
            daemon.write_check(f"check-{turn}-{i}", f"[Check]\nInterval={INTERVAL_MS}ms\n{check}")
    with Measured(fill) as daemon:
        time.sleep(SETTLE_MS / 1000)
        cpu, probes = healthd_window(daemon, seconds)
        health = daemon.get("/health").json
        if health["status"] != "healthy":
            wrong = [f"{name} is {state['status']}: {state.get('error') or state.get('reason')}"
                     for name, state in health["checks"].items() if state["status"] != "healthy"]
            raise RuntimeError(f"{len(wrong)} checks fail; {wrong[0]}")
    rate = probes - base[1]
    return cpu / rate, (cpu - base[0]) / rate


def measure_bare(program, port, mode, turn, seconds, *, n_checks=N_CHECKS, interval_ms=INTERVAL_MS,
                 settle_ms=SETTLE_MS, nested=False):
    with measure.on_measured_core():
        result = subprocess.run([program, str(port), mode, str(n_checks), str(interval_ms),
                                 str(settle_ms), str(round(seconds * 1000)), str(turn)]
                                + ["nested"] * nested,
                                capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{program}: {result.stderr}")
    checks, _, cpu, _ = (int(word) for word in result.stdout.split())
    return cpu / checks


def check_kinds(redis, postgres, http):
    return (
        ("redis", redis.port, f"Type=redis\n[Redis]\nAddress=127.0.0.1:{redis.port}\n"),
        ("postgresql", postgres.port,
         "Type=postgresql\n[PostgreSQL]\nHost=127.0.0.1\nUser=postgres\nDatabase=postgres\n"
         f"Port={postgres.port}\n"),
        ("http", http.port, f"Type=http\n[HTTP]\nURL=http://127.0.0.1:{http.port}/\n"),
    )


def bench_checks(scale, build):
    base = measure_base(scale.window_s)
    with table(f"Checks, {N_CHECKS * 1000 // INTERVAL_MS} a second") as rows, \
            Redis() as redis, Postgres() as postgres, Nginx() as http:
        for name, port, check in check_kinds(redis, postgres, http):
            for mode in ("fresh", "persistent"):
                whole, pairs = [], []
                for turn in range(scale.pairs if mode == "persistent" else scale.few_pairs):
                    bare = again(measure_bare, build / f"bench/bare-{name}", port, mode, turn,
                                 scale.window_s)
                    gross, net = again(measure_checks, f"{check}Connection={mode}\n", turn,
                                       scale.window_s, base)
                    pairs.append((net, bare))
                    whole.append((gross, bare))
                limit = 1.15 if mode == "persistent" else 1.3
                rows += [against("bare loop", f"{name}, {mode}, CPU us a check", pairs,
                                 ("<=", limit), better="less"),
                         against("bare loop", "  with idle work and the counter", whole)]


def bench_counts(_, build):
    rows = []
    with Redis() as redis, Postgres() as postgres, Nginx() as http:
        for name, port, check in check_kinds(redis, postgres, http):
            for mode in ("fresh", "persistent"):
                instructions, calls = counts.pairs(f"{check}Connection={mode}\n",
                                                   build / f"bench/bare-{name}", port, mode)
                rows += [against("bare loop", f"{name}, {mode}, instructions a check",
                                 [instructions], format_="{:.0f}"),
                         against("bare loop", f"{name}, {mode}, system calls a check", [calls])]
    print_table("Counts", rows)
