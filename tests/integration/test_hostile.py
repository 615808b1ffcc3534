# SPDX-License-Identifier: LGPL-2.1-or-later
"""Peers that mean harm, many times over: each costs the deadline and the caps, and nothing stays.

What ran is printed as a table.
"""

import contextlib
import os
import time

import pytest

from hostile import Hostile
from process import wait_until

SANITIZED = "asan" in os.environ.get("HEALTHD_BINARY", "")
# Sanitizers find a leak after one round.
ROUNDS = 30 if SANITIZED else 200
TIMEOUT_MS = 300
COMMON = (f"[Check]\nType={{}}\nInterval=100ms\nRetryInterval=100ms\nTimeout={TIMEOUT_MS}ms\n"
          "FailAfter=1\nBreakerAfter=0\nWatchdog=no\n")
LATE = f"timed out after {TIMEOUT_MS}ms"

HTTP = {
    "endless_body": "larger than 1 MiB",
    "huge_length": "larger than 1 MiB",
    "huge_length_silent": LATE,
    "huge_chunk": "larger than 1 MiB",
    "endless_chunks": "",
    "endless_chunk_size": "",
    "endless_chunk_extension": LATE,
    "endless_trailers": "larger than 64 KiB",
    "bad_chunks": "hunk",
    "large_headers": "larger than 64 KiB",
    "endless_headers": "larger than 64 KiB",
    "endless_header": "larger than 64 KiB",
    "endless_interim": "larger than 64 KiB",
    "nul_header": "Nul byte",
    "odd_status": "",
    "slow_body": LATE,
    "slow_header": LATE,
    "silent": LATE,
    "early_close": "transfer closed",
    "cut_headers": "in the middle of the headers",
    "no_answer": "Empty reply",
    "not_http": "HTTP/0.9",
    "noise": "",
    "deep_json": "is not JSON",
    "deep_closed_json": "is not JSON",
    "cut_json": "is not JSON",
    "gzip_bomb": "is not JSON",
    "redirect_loop": "more redirects than FollowRedirects= allows",
    "redirect_file": "no http or https URL",
    "redirect_gopher": "no http or https URL",
    "redirect_nowhere": "no http or https URL",
}
# Expressions for which the C library needs the square of the length: seconds to hours.
COSTLY = {"full_body": "takes too long to look for BodyMatch="}
# What may leave something in a connection that is kept.
KEPT = {name: HTTP[name] for name in (
    "endless_body", "endless_trailers", "endless_interim", "bad_chunks", "nul_header", "silent",
    "early_close", "deep_json", "redirect_loop", "redirect_file")}
TLS = {"noise": "TLS", "silent": LATE, "no_answer": "TLS", "not_http": "TLS",
       "endless_line": "TLS", "slow_banner": ""}
TCP = {
    "endless_banner": "bytes and more, which Expect=",
    "endless_line": "bytes and more, which Expect=",
    "noise": "bytes and more, which Expect=",
    "slow_banner": LATE,
    "nul_banner": "and closed the connection, which Expect=",
    "silent": LATE,
    "no_answer": "sent nothing and closed the connection",
}
REDIS = {
    "huge_bulk": "", "huge_array": "", "deep_array": "", "endless_line": "", "noise": "",
    "not_http": "", "silent": LATE, "slow_banner": "", "no_answer": "closed the connection",
    "redis_latin1": "answered",
}
POSTGRESQL = {
    "huge_message": "", "endless_notices": "", "endless_line": "", "noise": "", "not_http": "",
    "silent": LATE, "slow_banner": "", "no_answer": "",
}
METRICS = {
    "endless_series": "", "endless_label": "", "endless_headers": "larger than 64 KiB",
    "slow_body": LATE, "deep_json": "", "redirect_file": "", "gzip_bomb": "",
}

# Each: the type, what its section says of a port, and what is said of each peer.
SUITES = {
    "http": ("http", "[HTTP]\nURL=http://127.0.0.1:{}/\nFollowRedirects=5\nJson=depth:/depth\n"
                     "BodyMatch=(x+)\nResponseHeader=flood:X-Flood\n", HTTP),
    "http_kept": ("http", "[HTTP]\nURL=http://127.0.0.1:{}/\nFollowRedirects=5\n"
                          "Json=depth:/depth\nConnection=persistent\n", KEPT),
    "http_costly": ("http", "[HTTP]\nURL=http://127.0.0.1:{}/\nBodyMatch=x+y\n", COSTLY),
    "tcp_costly": ("tcp", "[TCP]\nAddress=127.0.0.1:{}\nSend=x\nExpect=[a-z]+!\n",
                   {"endless_line": "takes too long to look for Expect="}),
    "http2": ("http", "[HTTP]\nURL=http://127.0.0.1:{}/\nHTTPVersion=2\n",
              {"noise": "", "silent": LATE, "not_http": "", "endless_body": ""}),
    "https": ("http", "[HTTP]\nURL=https://127.0.0.1:{}/\n", TLS),
    "tcp": ("tcp", "[TCP]\nAddress=127.0.0.1:{}\nSend=x\nExpect=^354 \\x00\n", TCP),
    "tcp_tls": ("tcp", "[TCP]\nAddress=127.0.0.1:{}\nTLS=yes\nSend=x\nExpect=^354\n", TLS),
    "redis": ("redis", "[Redis]\nAddress=127.0.0.1:{}\n", REDIS),
    "postgresql": ("postgresql", "[PostgreSQL]\nConnectionString=host=127.0.0.1 port={} user=u\n",
                   POSTGRESQL),
    "metrics": ("metrics", "[Metrics]\nURL=http://127.0.0.1:{}/\nMetric=requests:requests_total\n",
                METRICS),
}

# Where this machine does not come after, more visitors would only wait for each other.
COSTS_US_MOST = {"http", "http_costly", "tcp_costly", "metrics"}
# How many each peer has, and those that cost the whole time, which are met less often.
VISITORS = {True: (1, 5), False: (3, 10)}


class Watcher:
    """What /health says of each check, over and over: the worst duration, every error."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.worst_ms = {}
        self.errors = {}
        self.lag_ms = 0

    def look(self):
        for name, check in self.daemon.get("/health").json["checks"].items():
            if not check.get("checked_at"):
                continue
            name = name.split("-")[0]
            self.worst_ms[name] = max(self.worst_ms.get(name, 0), check["duration_ms"])
            self.errors.setdefault(name, set()).add(check.get("error") or check.get("reason"))
            assert name in ("self", "well") or check["status"] != "healthy", (name, check)
        own = self.daemon.check("self").get("details", {})
        self.lag_ms = max(self.lag_ms, own.get("loop_lag_ms", 0))


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def resident_kib(daemon):
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def wait_rounds(watcher, peers, rounds):
    """Until every peer has been met that often (a kept connection is met once more)."""
    def met():
        watcher.look()
        return all(len(peer.connections) >= rounds for peer in peers.values())
    wait_until(f"{rounds} rounds", met, timeout=400, pause=0.1)


def settled(daemon, limit):
    """Descriptors once nothing is under way; the last connections may still be closing."""
    deadline = time.monotonic() + 10
    while descriptors(daemon) > limit and time.monotonic() < deadline:
        time.sleep(0.1)
    return descriptors(daemon)


def print_table(suite, peers, expected, watcher):
    print(f"\n{suite}: {ROUNDS} rounds each, loop lag at most {watcher.lag_ms:.0f} ms")
    for name in expected:
        said = min((error for error in watcher.errors[name] if error), key=len, default="")
        print(f"  {name:24} {len(peers[name].connections):5} met {watcher.worst_ms[name]:6.0f} ms "
              f"at worst  {said[:100]}")


@pytest.mark.parametrize("suite", SUITES)
def test_nothing_stays(daemon, nginx, capsys, suite):
    kind, section, expected = SUITES[suite]
    quick, slow = VISITORS[suite in COSTS_US_MOST]
    daemon.write_check("self", "[Check]\nType=application\nInterval=200ms\n")
    daemon.write_check("well", COMMON.format("http").replace("300ms", "5s") +
                       f"[HTTP]\nURL=http://127.0.0.1:{nginx.port}/\n")
    with contextlib.ExitStack() as stack:
        peers = {name: stack.enter_context(Hostile(name)) for name in expected}
        names = []
        for name, peer in peers.items():
            for copy in range(slow if expected[name] == LATE else quick):
                names.append(f"{name}-{copy}")
                daemon.write_check(names[-1], COMMON.format(kind) + section.format(peer.port))
        daemon.start()
        watcher = Watcher(daemon)
        wait_rounds(watcher, peers, ROUNDS // 4)
        before_kib = resident_kib(daemon)
        wait_rounds(watcher, peers, ROUNDS)
        grown_kib = resident_kib(daemon) - before_kib
        assert daemon.check("well")["status"] == "healthy"
        with capsys.disabled():
            print_table(suite, peers, expected, watcher)
        for name in names:
            daemon.remove_check(name)
        daemon.reload()
        daemon.wait_for(lambda answer: set(answer.json["checks"]) == {"self", "well"})
    for name, said in expected.items():
        # With many that flood, even a quick peer may be too late.
        assert any(said in (error or "") or LATE in (error or "")
                   for error in watcher.errors[name]), \
            (name, watcher.errors[name])
        # Generous: the machine may be loaded, and then a run has its time once more. What does not
        # end runs into seconds.
        assert watcher.worst_ms[name] < 2 * TIMEOUT_MS + 2000, name
    # What every daemon has: listeners, epolls, timers, a connection or two.
    limit = 40
    assert settled(daemon, limit) <= limit
    # Sanitizers keep freed memory for a while.
    assert SANITIZED or grown_kib < 4096, f"{grown_kib} KiB more than after the first rounds"
