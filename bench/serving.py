# SPDX-License-Identifier: LGPL-2.1-or-later
"""Requests a second, and what a request costs."""

import collections
import contextlib
import re
import subprocess
import time
import urllib.request

import measure
from measure import Row, against, table
from peer_servers import BlackboxExporter, FastApi, Monit, monit_default_checks
from process import process_tree, wait_until
from servers import Nginx, NodeExporter, Redis
from subject import Measured, wait_checked

LIVE = "/health/live"
FULL = "/health"
N_CHECKS = 100
MAIN_CONNECTIONS = 64  # those of the targets

# keepalive_requests: by default nginx would close every connection after 1000 requests.
NGINX = """
    keepalive_requests 1000000000;
    server_tokens off;
    sendfile on;
    tcp_nopush on;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type application/json;
        location = /status {{ stub_status; }}
        location = /health/live {{
            {headers}
            return 200 '{body}';
        }}
        location = /health {{ alias {directory}/health.json; }}
    }}
"""

# A figure of one server, path, number of connections and way to use them.
Load = collections.namedtuple("Load", "rate cost share")


class Subject:
    """A running server: its port, its processes, and how many requests it says it has answered."""

    def __init__(self, port, pids, answered=None):
        self.port, self.pids, self.answered = port, pids, answered
        self.before = answered() if answered else 0
        self.asked = 0

    def verify(self):
        """At the end, because healthd's metrics are made anew only after a result of a check."""
        wait_until(f"the server knows of {self.asked} requests",
                   lambda: self.answered() - self.before >= self.asked, 20, 0.2)


def nginx_like(daemon):
    """nginx that answers the live body from its configuration, and the full one from a file."""
    live, full = daemon.get(LIVE), daemon.get(FULL)
    headers = "".join(f"add_header {name} '{live.headers[name]}';\n"
                      for name in ("cache-control", "etag", "x-content-type-options")
                      if name in live.headers)
    nginx = Nginx(NGINX, headers=headers, body=live.text)
    (nginx.directory / "health.json").write_text(full.text, encoding="utf-8")
    # healthd's limit is on connections that wait, nginx's on all.
    config = nginx.directory / "nginx.conf"
    config.write_text(config.read_text("utf-8").replace("worker_connections 512",
                                                        "worker_connections 4096"), "utf-8")
    return nginx


def with_worker(nginx):
    """The kernel accepts connections before there is a worker to serve them."""
    def tree():
        pids = process_tree(nginx.process.pid)
        return pids if len(pids) > 1 else None
    return wait_until("a worker of nginx", tree)


def fetch(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.read().decode()


def nginx_answered(nginx):
    return int(fetch(nginx.port, "/status").split("\n")[2].split()[2])


def healthd_answered(daemon):
    return sum(int(word) for word in re.findall(r"^healthd_http_requests_total(?:{.*})? (\d+)",
                                                daemon.get("/metrics").text, re.MULTILINE))


def load(subject, path, seconds, connections=MAIN_CONNECTIONS, kept=True):
    """wrk with one thread."""
    begin = measure.cpu_usec(subject.pids)
    close = [] if kept else ["-H", "Connection: close"]
    result = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
                             *close, f"http://127.0.0.1:{subject.port}{path}"],
                            capture_output=True, text=True, check=True)
    used = measure.cpu_usec(subject.pids) - begin
    requests, elapsed = re.search(r"(\d+) requests in ([\d.]+)s", result.stdout).groups()
    if "Non-2xx" in result.stdout or "Socket errors" in result.stdout or int(requests) == 0:
        raise RuntimeError(f"wrk on {path}:\n{result.stdout}")
    subject.asked += int(requests)
    return Load(int(requests) / float(elapsed), used / int(requests),
                used / 1e6 / float(elapsed))


def columns(ours, theirs, field):
    return [(getattr(our, field), getattr(their, field)) for our, their in zip(ours, theirs)]


def compare(scale, subjects, path, connections, kept):
    """All subjects in turn. The first one is healthd."""
    loads = collections.defaultdict(list)
    what = f"{path}, {connections} {'kept' if kept else 'fresh'}"
    main = connections == MAIN_CONNECTIONS and kept
    pairs, seconds = (scale.pairs, scale.load_s) if main else (scale.few_pairs, 1)
    for subject in subjects.values():
        load(subject, path, 1, connections, kept)  # warm
    for _ in range(pairs):
        for who, subject in subjects.items():
            loads[who].append(load(subject, path, seconds, connections, kept))
    targets = {(LIVE, "nginx"): (">=", 1.0), (LIVE, "FastAPI"): (">=", 12),
               (FULL, "nginx, file"): (">=", 0.9)} if main else {}
    rows = []
    for who in list(subjects)[1:]:
        ours, theirs = loads["healthd"], loads[who]
        rows += [against(who, f"{what}, requests/s", columns(ours, theirs, "rate"),
                         targets.get((path, who)), format_="{:.0f}",
                         better="more" if main or connections == 1 else None),
                 against(who, "  CPU us a request", columns(ours, theirs, "cost"),
                         format_="{:.2f}", better=None)]
        if main:
            rows.append(against(who, "  share of its core", columns(ours, theirs, "share"),
                                format_="{:.2f}"))
    return rows


def ask_in_a_row(subject, path, seconds):
    """One request after the other, for what takes too long to be asked 64 times at once."""
    begin, used, count = time.monotonic(), measure.cpu_usec(subject.pids), 0
    while time.monotonic() < begin + seconds or count < 3:
        fetch(subject.port, path)
        count += 1
    subject.asked += count
    elapsed, used = time.monotonic() - begin, measure.cpu_usec(subject.pids) - used
    return Load(count / elapsed, used / count, used / 1e6 / elapsed)


def fastapi_full(scale, healthd, fastapi, redis):
    """FastAPI does its checks in the request: the server that they ask has counted them."""
    seen, fastapi.asked = connections_seen(redis), 0
    pairs = [(ask_in_a_row(healthd, FULL, scale.load_s), ask_in_a_row(fastapi, FULL, scale.load_s))
             for _ in range(scale.few_pairs)]
    if connections_seen(redis) - seen < N_CHECKS * fastapi.asked:
        raise RuntimeError("FastAPI's service has answered without its checks")
    ours, theirs = zip(*pairs)
    what = f"{FULL} with {N_CHECKS} checks, one at a time"
    return [against("FastAPI", f"{what}, requests/s", columns(ours, theirs, "rate"),
                    format_="{:.0f}", better="more"),
            against("FastAPI", "  CPU us a request", columns(ours, theirs, "cost"),
                    format_="{:.1f}", better=None)]


def connections_seen(redis):
    return int(re.search(r"total_connections_received:(\d+)", redis.cli("INFO", "stats"))[1])


def hundred_checks(redis):
    def fill(daemon):
        for i in range(N_CHECKS):
            daemon.write_check(f"check-{i}", "[Check]\nType=redis\nInterval=30s\n[Redis]\n"
                               f"Address=127.0.0.1:{redis.port}\nConnection=persistent\n")
    return fill


def others(scale, healthd):
    """What the others have that comes nearest: one answer that says that they live."""
    rows = []
    for server, path, kept, ours in (
            (BlackboxExporter(), "/-/healthy", True, LIVE),
            (Monit(monit_default_checks(), 30), "/_ping", False, LIVE),
            (NodeExporter(), "/metrics", True, "/metrics")):
        with measure.on_measured_core():
            server.start()
        try:
            peer = Subject(server.port, process_tree(server.process.pid))
            pairs = [(load(healthd, ours, 1, 1, kept), load(peer, path, 1, 1, kept))
                     for _ in range(scale.few_pairs)]
            mine, theirs = zip(*pairs)
            name = server.name.replace("-exporter", "")
            rows += [against(name, f"{ours}, 1 {'kept' if kept else 'fresh'}, requests/s",
                             columns(mine, theirs, "rate"), format_="{:.0f}", better="more"),
                     against(name, "  CPU us a request", columns(mine, theirs, "cost"),
                             format_="{:.2f}")]
        finally:
            server.close()
    return rows


def bench_serving(scale, _):
    with contextlib.ExitStack() as stack:
        rows = stack.enter_context(table("Serving"))
        redis = stack.enter_context(Redis())
        daemon = stack.enter_context(Measured(hundred_checks(redis)))
        wait_checked(daemon)
        size = len(daemon.get(FULL).text)
        with measure.on_measured_core():
            nginx = stack.enter_context(nginx_like(daemon))
            fastapi = stack.enter_context(FastApi(f"redis*{N_CHECKS}", redis=redis))
        subjects = {
            "healthd": Subject(daemon.port, [daemon.process.pid], lambda: healthd_answered(daemon)),
            "nginx": Subject(nginx.port, with_worker(nginx), lambda: nginx_answered(nginx)),
            "FastAPI": Subject(fastapi.port, process_tree(fastapi.process.pid)),
        }
        for connections in scale.connections:
            for kept in (True, False):
                rows += compare(scale, subjects, LIVE, connections, kept)
        files = {"healthd": subjects["healthd"], "nginx, file": subjects["nginx"]}
        for connections in scale.connections:
            for kept in (True, False):
                rows += compare(scale, files, FULL, connections, kept)
        rows += fastapi_full(scale, subjects["healthd"], subjects["FastAPI"], redis)
        rows += others(scale, subjects["healthd"])
        subjects["healthd"].verify()
        subjects["nginx"].verify()
        rows.append(Row(f"{FULL} with {N_CHECKS} checks, bytes", [(size, None)], format_="{:.0f}"))
