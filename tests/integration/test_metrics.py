# SPDX-License-Identifier: LGPL-2.1-or-later
"""Type=metrics against prometheus-node-exporter and prometheus, and what is no exposition."""

import contextlib
import os
import pathlib
import urllib.request

import pytest

import servers
from hostile import Hostile

COMMON = ("[Check]\nType=metrics\nInterval=500ms\nRetryInterval=200ms\nFailAfter=1\nPassAfter=1\n"
          "Timeout=2s\n")
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def exporter():
    server = servers.NodeExporter()
    with server:
        yield server


@pytest.fixture
def prometheus():
    with servers.Prometheus() as server:
        yield server


def url(server, path="/metrics", scheme="http"):
    return f"{scheme}://127.0.0.1:{server.port}{path}"


def section(address, *lines):
    return "\n".join(["[Metrics]", f"URL={address}", *lines, ""])



def run_checks(daemon, sections, common=COMMON, **options):
    """One check of each section; returns their first results."""
    return daemon.run_checks({name: common + text for name, text in sections.items()}, **options)


def test_values_of_a_real_exporter(daemon, exporter):
    with open("/proc/meminfo", encoding="ascii") as file:
        total = int(file.readline().split()[1]) * 1024
    checks = run_checks(daemon, {"node": section(
        url(exporter), "Metric=load:node_load1", "Metric=total:node_memory_MemTotal_bytes",
        'Metric=linux:node_uname_info{sysname="Linux",release!=""}',
        'Metric=idle:rate(node_cpu_seconds_total{mode="idle"})',
        'Metric=cpus:count(node_cpu_seconds_total{mode="idle"})',
        'Metric=collector:min(node_scrape_collector_success{collector=~"loadavg|meminfo"})',
        'Metric=nothing:sum(node_no_such_thing) or -1')})
    node = checks["node"]
    assert node["status"] == "healthy", node
    details = node["details"]
    assert details["total"] == total
    assert details["load"] >= 0
    assert details["linux"] == 1 and details["collector"] == 1 and details["nothing"] == -1
    assert details["cpus"] >= 1
    assert details["idle"] is None  # it needs two scrapes
    assert details["absent"] == "none"
    assert details["samples"] > 200 and details["body_size"] > 10000
    details = daemon.wait_for(
        lambda answer: answer.json["checks"]["node"]["details"]["idle"] is not None
    ).json["checks"]["node"]["details"]
    assert 0 <= details["idle"] <= details["cpus"] * 1.2


def test_conditions(daemon, exporter):
    metric = "Metric=total:node_memory_MemTotal_bytes\n"
    checks = run_checks(daemon, {
        name: condition + section(url(exporter), metric + 'Metric=idle:rate(node_cpu_seconds_total)')
        for name, condition in {
            "fine": "UnhealthyWhen=total < 1M\n",
            "broken": "UnhealthyWhen=total > 1M\n",
            "poor": "DegradedWhen=total > 1M\n",
            # Not judged while there is no rate.
            "rate": "Interval=60s\nUnhealthyWhen=idle >= 0\nDegradedWhen=idle != -1\n",
        }.items()})
    assert checks["fine"]["status"] == "healthy"
    assert checks["broken"]["status"] == "unhealthy"
    assert "total > 1M (is " in checks["broken"]["reason"]
    assert checks["poor"]["status"] == "degraded"
    assert checks["rate"]["status"] == "healthy", checks["rate"]
    assert checks["rate"]["details"]["idle"] is None


def test_rate_is_judged_from_the_second_scrape_on(daemon, exporter):
    daemon.write_check("rate", COMMON + "UnhealthyWhen=idle >= 0\n" + section(
        url(exporter), "Metric=idle:rate(node_cpu_seconds_total)"))
    daemon.start()
    daemon.wait_status("rate", "unhealthy")


def test_absent(daemon, exporter):
    address = url(exporter)
    checks = run_checks(daemon, {
        "typo": section(address, "Metric=load:node_laod1"),
        "half": section(address, "Metric=runs:process_start_time"),
        "labels": section(address, 'Metric=linux:node_uname_info{sysname="Minix"}'),
        "far": section(address, "Metric=rate:rate(orders_shipped_total)", "Metric=load:node_load1"),
        "allowed": "UnhealthyWhen=\nUnhealthyWhen=load > 100000\n" + section(
            address, "Metric=none:orders", "Metric=load:node_load1"),
        "judged": "UnhealthyWhen=load > 100000\n" + section(address, "Metric=load:node_laod1"),
    }, COMMON + "BreakerAfter=1\n")
    for name, said in {
            "typo": "load: there is no node_laod1, is node_load1 meant?",
            "half": "runs: there is no process_start_time, is process_start_time_seconds meant?",
            "labels": "linux: no series of node_uname_info has these labels",
            "far": "rate: there is no orders_shipped_total",
            "judged": "is node_load1 meant?",
    }.items():
        assert checks[name]["status"] == "unhealthy", checks[name]
        assert said in checks[name]["reason"], checks[name]
        # The server is there and answers: nothing speaks for asking it less often.
        assert checks[name]["breaker"]["position"] == "closed"
    assert checks["far"]["details"]["load"] >= 0
    assert checks["allowed"]["status"] == "healthy"


def test_several_series_need_a_function(daemon, exporter):
    check = run_checks(daemon, {"many": section(
        url(exporter), "Metric=seconds:node_cpu_seconds_total")})["many"]
    assert check["status"] == "error"
    assert 'node_cpu_seconds_total{cpu="0",mode="idle"}' in check["error"]
    assert "sum( )" in check["error"]


def ask(prometheus, n):
    for _ in range(n):
        with urllib.request.urlopen(url(prometheus, "/-/healthy"), timeout=10) as answer:
            answer.read()


def test_rate_and_restart_of_the_server(daemon, prometheus):
    ask(prometheus, 50)
    daemon.write_check("shop", COMMON + section(
        url(prometheus), 'Metric=asked:rate(prometheus_http_requests_total{handler="/-/healthy"})',
        'Metric=total:sum(prometheus_http_requests_total{handler="/-/healthy"}) or 0',
        'Metric=scraped:rate(promhttp_metric_handler_requests_total{code="200"})',
        "Metric=started:process_start_time_seconds"))
    daemon.start()
    daemon.wait_for(lambda answer: answer.json["checks"]["shop"].get("details", {}).get("asked")
                    is not None)
    ask(prometheus, 20)
    highest = 0

    def rose(answer):
        nonlocal highest
        highest = max(highest, answer.json["checks"]["shop"]["details"]["asked"] or 0)
        return highest > 0 and answer.json["checks"]["shop"]["details"]["asked"] == 0
    details = daemon.wait_for(rose).json["checks"]["shop"]["details"]
    assert details["total"] >= 70
    assert highest <= 20 / 0.4

    # The counter begins anew; a rate is never negative, and not the whole of the old count.
    prometheus.stop()
    daemon.wait_status("shop", "unhealthy")
    prometheus.start()
    ask(prometheus, 1)

    def back(answer):
        now = answer.json["checks"]["shop"].get("details", {})
        if now.get("scraped") is not None:
            assert 0 <= now["scraped"] < 20
        return now.get("started", 0) > details["started"] and now["asked"] == 0
    after = daemon.wait_for(back, 30).json["checks"]["shop"]["details"]
    assert after["total"] < details["total"]


def test_server_that_hangs(daemon, prometheus):
    daemon.write_check("shop", COMMON + section(
        url(prometheus), "Metric=started:process_start_time_seconds"))
    daemon.start()
    daemon.wait_status("shop", "healthy")
    prometheus.sigstop()
    check = daemon.wait_status("shop", "unhealthy")
    assert "no answer from 127.0.0.1" in check["error"]
    prometheus.sigcont()
    daemon.wait_status("shop", "healthy", 30)


def test_wrong_addresses(daemon, exporter, prometheus):
    metric = "Metric=load:node_load1"
    port = servers.free_port()
    checks = run_checks(daemon, {
        "404": section(url(prometheus, "/nowhere"), metric),
        "page": section(url(exporter, "/"), metric),
        "nobody": section(f"http://127.0.0.1:{port}/metrics", metric),
        "judged": "UnhealthyWhen=load > 5\n" + section(url(prometheus, "/nowhere"), metric),
    })
    for check in checks.values():
        assert check["status"] == "unhealthy", check
    for name in ("404", "judged"):
        assert checks[name]["reason"] == "status_code != 200 (is 404)"
        assert checks[name]["details"]["status_code"] == 404
    page = checks["page"]["error"]
    assert 'line 1 ("<html>") is no metric in the Prometheus text format' in page, page
    assert "most often /metrics" in page
    assert f"GET http://127.0.0.1:{exporter.port}/: " in page
    assert "Connection refused" in checks["nobody"]["error"]


def test_socket_login_and_tls(daemon, exporter, certificates):
    with contextlib.ExitStack() as stack:
        tls = stack.enter_context(servers.NodeExporter(certificates))
        front = stack.enter_context(servers.Nginx("""
            server {{
                listen 127.0.0.1:{port};
                listen unix:{directory}/metrics.sock;
                location /accept {{ return 200 "accepts{{what=\\"$http_accept\\"}} 1\n"; }}
                location / {{
                    if ($http_authorization != "Bearer t0ken") {{ return 401; }}
                    proxy_pass http://127.0.0.1:{exporter};
                }}
            }}
        """, exporter=exporter.port))
        load = "Metric=load:node_load1"
        checks = run_checks(daemon, {
            "socket": section("http://localhost/metrics", f"Socket={front.directory}/metrics.sock",
                              "Token=t0ken", load),
            "stranger": section(url(front), load),
            "tls": section(url(tls, scheme="https"), f"CAFile={certificates.ca}", load),
            "distrust": section(url(tls, scheme="https"), load),
            "accept": section(url(front, "/accept"), "Metric=a:accepts{what=~\"text/plain;.*\"}"),
            "own": section(url(front, "/accept"), 'Metric=a:accepts{what="text/html"}',
                           "Header=Accept: text/html"),
        })
    for name in ("socket", "tls", "accept", "own"):
        assert checks[name]["status"] == "healthy", checks[name]
    assert checks["stranger"]["details"]["status_code"] == 401
    assert "certificate" in checks["distrust"]["error"]
    assert "t0ken" not in str(checks) + daemon.stderr()


HOSTILE = {
    "endless_body": "is longer than the 64 KiB",
    "endless_label": "is longer than the 64 KiB",
    "endless_series": "larger than 16 MiB",
    "huge_length_silent": "no answer from",
    "early_close": "transfer closed with",
    "slow_body": "no end while reading the body",
    "cut_series": "as if the rest were cut off",
    "deep_json": "is longer than the 64 KiB",
    "not_http": "HTTP/0.9",
    "redirect_loop": "more redirects",
}


def test_hostile_servers(daemon, exporter):
    with contextlib.ExitStack() as stack:
        hostile = {name: stack.enter_context(Hostile(name)) for name in HOSTILE}
        daemon.write_check("well", COMMON + section(url(exporter), "Metric=load:node_load1"))
        checks = run_checks(daemon, {
            name: section(f"http://127.0.0.1:{server.port}/", "FollowRedirects=5",
                          "Metric=requests:sum(requests_total)", "Metric=rate:rate(requests_total)")
            for name, server in hostile.items()
        }, COMMON.replace("Interval=500ms", "Interval=60s", 1))
        for name, said in HOSTILE.items():
            assert said in checks[name]["error"], checks[name]
            assert checks[name]["status"] == "unhealthy"
            # What the two kernels hold between them was sent too.
            assert hostile[name].sent < 16 * MIB + 16 * MIB
            if said.startswith("is longer"):
                assert hostile[name].sent < 16 * MIB
        daemon.wait_status("well", "healthy")


def test_example(daemon, exporter):
    example = pathlib.Path(os.environ["HEALTHD_SOURCE"], "checks/examples/metrics.check")
    text = example.read_text(encoding="utf-8")
    assert text.count("URL=http://127.0.0.1:9100/metrics") == 1
    # The machine that tests may be busy.
    assert text.count("load > 16") == 1
    daemon.write_check("example", text.replace("9100", str(exporter.port))
                       .replace("load > 16", "load > 100000"))
    daemon.start()
    details = daemon.wait_status("example", "healthy")["details"]
    assert details["absent"] == "none"
    assert details["inodes_free"] > 0 and details["load"] >= 0


def test_refused(daemon):
    address = "http://127.0.0.1:9100/metrics"
    cases = {
        "none": (section(address), "Metric= is missing; write for example Metric=load:node_load1"),
        "url": ("[Metrics]\nMetric=load:node_load1\n", "write URL=http://127.0.0.1:9100/metrics"),
        "name": (section(address, "Metric=node_load1"), "name.check:5: "),
        "range": (section(address, "Metric=load:node_load1", "Metric=e:rate(errors_total[5m])"),
                  "range.check:6: "),
        "twice": (section(address, "Metric=a:b", "Metric=a:c"), "named \"a\" above already"),
        "taken": (section(address, "Metric=samples:b"), "measured anyway"),
    }
    for name, (text, _) in cases.items():
        daemon.write_check(name, "[Check]\nType=metrics\n" + text)
    answer = daemon.verify()
    assert answer.returncode != 0
    for _, said in cases.values():
        assert said in answer.stderr + answer.stdout, answer
