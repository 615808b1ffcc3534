# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a check costs healthd and other monitors. The servers count what they were asked."""

import collections
import contextlib
import re
import time
import urllib.request

import measure
from measure import against, table
from peer_servers import BlackboxExporter, FastApi, Monit
from process import process_tree
from scraper import Scraper
from servers import Nginx, Postgres, Redis
from subject import Measured, again, wait_checked

# Monit's cycle is a second at least: so everybody checks once a second.
INTERVAL_S = 1
N_CHECKS = 50
# monit does one check after the other, and waits for some 55 ms in each of PostgreSQL.
N_POSTGRES_CHECKS = 10
SETTLE_S = 2
PLUGINS = "/usr/lib/nagios/plugins"

NGINX = """
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "ok\\n"; }}
        location = /status {{ stub_status; }}
    }}
"""

# count, count_kept: how many checks the server has seen over connections that are fresh or kept;
# None: it cannot tell. Each of the others: how a peer is told to do such a check, or None.
Kind = collections.namedtuple(
    "Kind", "name n_checks healthd count count_kept monit blackbox fastapi plugin")


class Counter:
    """A figure of the server's that asking for it makes grow by a known number."""

    def __init__(self, read, own):
        self.read, self.own, self.readings = read, own, 0

    def __call__(self):
        self.readings += 1
        return self.read() - self.own * self.readings


def redis_kind(redis):
    def counter(name, share):
        def read():
            return int(re.search(rf"{name}:(\d+)", redis.cli("INFO", "stats"))[1]) / share
        return Counter(read, 1 / share)
    return Kind(
        "redis", N_CHECKS, f"Type=redis\n[Redis]\nAddress=127.0.0.1:{redis.port}\n",
        counter("total_connections_received", 1),
        counter("total_commands_processed", 2),  # PING and INFO
        f"port {redis.port} protocol redis",
        f"/probe?module=redis&target=127.0.0.1:{redis.port}", "redis",
        rf'{PLUGINS}/check_tcp -H 127.0.0.1 -p {redis.port} -E -s "PING\\r\\n" -e +PONG')


def postgres_kind(postgres):
    # A database of its own: psql, which asks for the figure, does not count then.
    postgres.sql("CREATE DATABASE bench")

    def sessions():
        return int(postgres.sql("SELECT sessions FROM pg_stat_database WHERE datname = 'bench'"))
    return Kind(
        "postgresql", N_POSTGRES_CHECKS,
        "Type=postgresql\n[PostgreSQL]\nHost=127.0.0.1\nUser=postgres\n"
        f"Database=bench\nPort={postgres.port}\n", Counter(sessions, 0), None,
        f'port {postgres.port} protocol pgsql username "postgres" password "none" database "bench"',
        None, "database",
        f"{PLUGINS}/check_pgsql -H 127.0.0.1 -P {postgres.port} -l postgres -d bench")


def http_kind(nginx):
    def requests():
        with urllib.request.urlopen(f"http://127.0.0.1:{nginx.port}/status") as answer:
            return int(answer.read().split(b"\n")[2].split()[2])
    count = Counter(requests, 1)
    return Kind(
        "http", N_CHECKS, f"Type=http\n[HTTP]\nURL=http://127.0.0.1:{nginx.port}/\n", count, count,
        f'port {nginx.port} protocol http request "/"',
        f"/probe?module=http&target=http://127.0.0.1:{nginx.port}/", "external_api",
        f"{PLUGINS}/check_http -I 127.0.0.1 -p {nginx.port} -u /")


def window(kind, pids, count, seconds, cpu=measure.cpu_usec):
    """Returns CPU time (us) a check. monit pauses for a second between its rounds: less is done."""
    begin, checks, used = time.monotonic(), count(), cpu(pids)
    time.sleep(seconds)
    used, checks = cpu(pids) - used, count() - checks
    rate = checks / (time.monotonic() - begin)
    wanted = kind.n_checks / INTERVAL_S
    if not 0.4 * wanted < rate < 1.3 * wanted:
        raise RuntimeError(f"{rate:.1f} checks a second instead of {wanted:.0f}")
    return used / checks


def with_programs(pids):
    return measure.cpu_usec(pids) + sum(measure.reaped_cpu_usec(pid) for pid in pids)


def runs(daemon):
    """healthd's own count, for what the server does not count."""
    text = daemon.get("/metrics").text
    return sum(int(word) for word in re.findall(r"^healthd_check_runs_total{.*} (\d+)", text,
                                                re.MULTILINE))


def expect_healthy(daemon):
    wrong = [state.get("error") or state.get("reason")
             for state in daemon.get("/health").json["checks"].values()
             if state["status"] != "healthy"]
    if wrong:
        raise RuntimeError(f"{len(wrong)} checks fail; {wrong[0]}")


def measure_healthd(kind, check, turn, seconds, count=None, cpu=measure.cpu_usec):
    def fill(daemon):
        for i in range(kind.n_checks):
            daemon.write_check(f"check-{turn}-{i}", f"[Check]\nInterval={INTERVAL_S}s\n{check}")
    with Measured(fill) as daemon:
        time.sleep(SETTLE_S)
        wait_checked(daemon)
        expect_healthy(daemon)
        cost = window(kind, [daemon.process.pid], count or (lambda: runs(daemon)), seconds, cpu)
        expect_healthy(daemon)
    return cost


def measure_server(kind, server, scraper, seconds):
    """A peer, and the scraper that it needs to do anything (or None)."""
    try:
        with measure.on_measured_core():
            server.start()
        with scraper or contextlib.nullcontext():
            time.sleep(SETTLE_S)
            cost = window(kind, process_tree(server.process.pid), kind.count, seconds)
        if "failed protocol test" in server.log_text():  # how monit says it
            raise RuntimeError(server.log_text())
        return cost
    finally:
        server.close()


def measure_monit(kind, seconds):
    checks = "".join(f"check host check-{i} with address 127.0.0.1\n    if failed {kind.monit} "
                     "with timeout 2 seconds then alert\n" for i in range(kind.n_checks))
    return measure_server(kind, Monit(checks, INTERVAL_S), None, seconds)


def measure_blackbox(kind, seconds):
    server = BlackboxExporter()
    # The number is there for nobody, but keeps the paths apart in a log.
    paths = [f"{kind.blackbox}&check={i}" for i in range(kind.n_checks)]
    scraper = Scraper(server.port, paths, INTERVAL_S, "\nprobe_success 1\n")
    return measure_server(kind, server, scraper, seconds)


def measure_fastapi(kind, servers, seconds):
    server = FastApi(f"{kind.fastapi}*{kind.n_checks}", *servers)
    scraper = Scraper(server.port, ["/health"], INTERVAL_S, '"status":"healthy"')
    return measure_server(kind, server, scraper, seconds)


def ways_to_check(kind, servers, seconds):
    """Who, how its checks are measured in which turn, and whether that has a target."""
    plugin = f"Type=exec\n[Exec]\nCommand={kind.plugin}\n"
    kept = f"{kind.healthd}Connection=persistent\n"
    ways = {
        "fresh": (lambda turn: measure_healthd(kind, f"{kind.healthd}Connection=fresh\n", turn,
                                               seconds, kind.count), True),
        "persistent": (lambda turn: measure_healthd(kind, kept, turn, seconds, kind.count_kept),
                       False),
        "monit": (lambda _: measure_monit(kind, seconds), True),
        "blackbox": (lambda _: measure_blackbox(kind, seconds), False),
        "FastAPI": (lambda _: measure_fastapi(kind, servers, seconds), False),
        "plug-in": (lambda turn: measure_healthd(kind, plugin, turn, seconds, kind.count,
                                                 with_programs), True),
    }
    if not kind.blackbox:
        del ways["blackbox"]
    return ways


def measure_kind(kind, servers, scale):
    """Everybody in turn; returns lists of figures by who."""
    costs = collections.defaultdict(list)
    for turn in range(scale.long_pairs):
        for who, (measure_cost, named) in ways_to_check(kind, servers, scale.peer_window_s).items():
            if named or turn < scale.few_pairs:
                try:
                    costs[who].append(again(measure_cost, turn))
                except RuntimeError as error:
                    raise RuntimeError(f"{kind.name}, {who}: {error}") from error
    return costs


def bench_peer_checks(scale, _):
    with table("Checks, each once a second, and peers") as rows, \
            Redis() as redis, Postgres() as postgres, Nginx(NGINX) as nginx:
        servers = (redis, postgres, nginx)
        kinds = [redis_kind(redis), postgres_kind(postgres), http_kind(nginx)]
        for kind in kinds:
            costs = measure_kind(kind, servers, scale)
            for peer, target in (("monit", 1.0), ("blackbox", None), ("FastAPI", None),
                                 ("plug-in", 0.1)):
                if costs[peer]:
                    rows.append(against(peer, f"{kind.name}, fresh, CPU us a check",
                                        list(zip(costs["fresh"], costs[peer])),
                                        ("<=", target) if target else None, better="less"))
            rows.append(against("monit", f"{kind.name}, kept by healthd, CPU us a check",
                                list(zip(costs["persistent"], costs["monit"]))))
