# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long it takes from the death of a server to the first answer that says so."""

import http.client
import json
import pathlib
import random
import threading
import time

import measure
from measure import Row, against, print_table
from peer_servers import Monit
from servers import Redis
from subject import Measured

# What both can do: monit's cycle is a second at least, and its time-outs are whole seconds.
INTERVAL_MS = 1000
FAIL_AFTER = 2
TIMEOUT_MS = 1000
GRACE_MS = 10
LOST_MS = 30000
ASK_EVERY_S = 0.001

CHECK = (f"[Check]\nInterval={INTERVAL_MS}ms\nTimeout={TIMEOUT_MS}ms\nFailAfter={FAIL_AFTER}\n"
         "PassAfter=1\nBreakerAfter=0\nType=redis\n[Redis]\nAddress=127.0.0.1:{port}\n"
         "Connection={mode}\n")
MODES = ("fresh", "persistent")


class Watcher(threading.Thread):
    """Waits, asking every millisecond, until a predicate holds; then time_ms is when that was."""

    def __init__(self, predicate, since):
        super().__init__(daemon=True)
        self.predicate, self.since = predicate, since
        self.time_ms = None
        self.start()

    def run(self):
        while self.time_ms is None and time.monotonic() < self.since + LOST_MS / 1000:
            # Asked before, so that the answer is not older than this.
            if self.predicate():
                self.time_ms = (time.monotonic() - self.since) * 1000
            time.sleep(ASK_EVERY_S)

    def result(self):
        self.join(LOST_MS / 1000 + 15)
        if self.time_ms is None:
            raise RuntimeError("a failure was not detected")
        return self.time_ms


class Asked:
    """/health over a kept connection."""

    def __init__(self, daemon):
        self.connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=10)

    def status(self, name):
        self.connection.request("GET", f"/health/checks/{name}")
        return json.loads(self.connection.getresponse().read())["checks"][name]["status"]


def monit_check(port, seen):
    """It is said to have detected what it acts on: the program that it runs then makes a file."""
    return ("check host redis with address 127.0.0.1\n"
            f"    if failed port {port} protocol redis with timeout {TIMEOUT_MS // 1000} seconds "
            f"for {FAIL_AFTER} cycles\n    then exec \"/usr/bin/touch {seen}\"\n")


def one(daemon, redis, seen, harm, repair):
    """Harms Redis at a random moment of the interval; returns what each took (ms) by who."""
    time.sleep(2 * INTERVAL_MS / 1000 + random.uniform(0, INTERVAL_MS / 1000))
    seen.unlink(missing_ok=True)
    since = time.monotonic()
    harm(redis)
    watchers = {"monit": Watcher(seen.exists, since)}
    for mode in MODES:
        watchers[mode] = Watcher(lambda mode=mode, asked=Asked(daemon):
                                 asked.status(mode) == "unhealthy", since)
    try:
        return {who: watcher.result() for who, watcher in watchers.items()}
    finally:
        repair(redis)
        daemon.wait_for(lambda answer: all(check["status"] == "healthy"
                                           for check in answer.json["checks"].values()), 30)


def rows_of(what, times, limit):
    rows = []
    for mode in MODES:
        pairs = [(time[mode], time["monit"]) for time in times]
        slowest = tuple(max(column) for column in zip(*pairs))
        rows += [against("monit", f"{what}, {mode}, ms", pairs, better="less"),
                 against("monit", "  the slowest, ms", [slowest]),
                 Row("  beyond what was promised, ms", [(slowest[0] - limit, None)],
                     ("<=", GRACE_MS))]
    return rows


def bench_detection(scale, _):
    killed, hung = [], []
    with Redis() as redis:
        def fill(daemon):
            for mode in MODES:
                daemon.write_check(mode, CHECK.format(port=redis.port, mode=mode))
        with Measured(fill) as daemon:
            seen = pathlib.Path(daemon.directory, "seen-by-monit")
            monit = Monit(monit_check(redis.port, seen), INTERVAL_MS // 1000)
            try:
                with measure.on_measured_core():
                    monit.start()
                daemon.wait_for(lambda answer: answer.status == 200)
                for _ in range(scale.detections):
                    killed.append(one(daemon, redis, seen, Redis.kill9, Redis.start))
                    hung.append(one(daemon, redis, seen, Redis.sigstop, Redis.sigcont))
            finally:
                monit.close()
    limit = INTERVAL_MS * FAIL_AFTER
    print_table(f"Detection, FailAfter={FAIL_AFTER}, each {INTERVAL_MS} ms",
                rows_of("Redis killed", killed, limit)
                + rows_of("Redis hangs", hung, limit + TIMEOUT_MS))
