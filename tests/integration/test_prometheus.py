# SPDX-License-Identifier: LGPL-2.1-or-later
"""/metrics, as Prometheus and its strictest reader see it."""

import gzip
import json
import subprocess
import urllib.parse
import urllib.request

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as prometheus_text

from process import end_process, free_port, wait_until

SELF = "[Check]\nType=application\nInterval=200ms\n"
GONE = "[Check]\nType=http\nInterval=200ms\nRetryInterval=100ms\nFailAfter=2\nBreakerAfter=3\n" \
       "BreakerReset=1h\nBreakerMaxReset=1h\n[HTTP]\nURL=http://127.0.0.1:{port}/\n"
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


def samples(daemon, headers=None, via="unix"):
    """{(name, label pairs): value} of what is served now, read by a strict parser."""
    answer = daemon.get("/metrics", via=via, headers=headers or {})
    assert answer.status == 200
    parse = openmetrics if headers else prometheus_text
    return {(sample.name, frozenset(sample.labels.items())): sample.value
            for family in parse.text_string_to_metric_families(answer.text)
            for sample in family.samples}


def value(found, metric, /, **labels):
    return found[(metric, frozenset(labels.items()))]


@pytest.fixture
def watched(daemon):
    daemon.write_check("self", SELF)
    daemon.write_check("gone", GONE.format(port=free_port()))
    daemon.start()
    daemon.wait_status("self", "healthy")
    daemon.wait_status("gone", "unhealthy")
    wait_until("the breaker opens", lambda: daemon.check("gone")["breaker"]["position"] == "open")
    return daemon


@pytest.mark.parametrize("headers", [None, OPENMETRICS], ids=["prometheus", "openmetrics"])
def test_what_is_served_is_what_is_so(watched, headers):
    found = samples(watched, headers)
    assert value(found, "healthd_status", state="unhealthy") == 1
    assert value(found, "healthd_status", state="healthy") == 0
    assert value(found, "healthd_check_status", check="gone", type="http", state="unhealthy") == 1
    assert value(found, "healthd_check_status", check="self", type="application",
                 state="healthy") == 1
    assert value(found, "healthd_check_runs_total", check="gone", result="unhealthy") == 3
    assert value(found, "healthd_check_runs_total", check="self", result="healthy") >= 1
    assert value(found, "healthd_check_consecutive_failures", check="gone") == 3
    assert value(found, "healthd_breaker_state", check="gone", state="open") == 1
    assert value(found, "healthd_check_value", check="self", name="active_tasks") == 0
    last = value(found, "healthd_check_last_success_timestamp_seconds", check="self")
    assert abs(last - watched.check("self")["checked_at"]) < 5
    assert ("healthd_check_last_success_timestamp_seconds", frozenset({("check", "gone")})) \
        not in found
    bucket = "healthd_check_duration_seconds_bucket"
    assert value(found, bucket, check="gone", le="+Inf") == 3 == \
        value(found, "healthd_check_duration_seconds_count", check="gone")
    assert value(found, bucket, check="gone", le="30.0") == 3


def test_counters_grow(watched):
    before = samples(watched)
    for _ in range(5):
        watched.get("/health/live")
    watched.get("/made/up")
    labels = {"check": "self", "result": "healthy"}
    seen = value(before, "healthd_check_runs_total", **labels)
    wait_until("more results", lambda: value(samples(watched), "healthd_check_runs_total",
                                             **labels) >= seen + 2)
    found = samples(watched)
    assert value(found, "healthd_http_requests_total", endpoint="/health/live", code="200") == 5
    assert value(found, "healthd_http_requests_total", endpoint="other", code="404") == 1
    assert value(found, "healthd_http_request_duration_seconds_count") >= 6
    assert value(found, "healthd_check_start_delay_seconds_count") >= 1


def test_promtool_has_nothing_to_say(watched):
    text = watched.get("/metrics").text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                          text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_whoever_sees_no_details_gets_statuses(daemon):
    daemon.write_conf("[Server]\nDetails=never\n")
    daemon.write_check("self", SELF)
    daemon.start()
    daemon.wait_status("self", "healthy")
    found = samples(daemon)
    names = {name for name, _ in found}
    assert "healthd_check_status" in names and "healthd_loop_lag_seconds" in names
    assert not names & {"healthd_check_value", "healthd_check_runs_total", "healthd_breaker_state"}


def metrics_of(daemon, **headers):
    """(headers, bytes) of /metrics as they come."""
    connection = daemon.connect("unix")
    try:
        connection.request("GET", "/metrics", headers={name.replace("_", "-"): value
                                                       for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_it_is_compressed_for_those_who_ask(watched, accept):
    plain_headers, plain = metrics_of(watched, Accept=accept, Accept_Encoding="identity")
    headers, packed = metrics_of(watched, Accept=accept, Accept_Encoding="br, gzip;q=0.5")
    assert headers["Content-Encoding"] == "gzip" and "Content-Encoding" not in plain_headers
    assert len(packed) < len(plain) / 3 and int(headers["Content-Length"]) == len(packed)
    names = [{line.split()[2] for line in text.splitlines() if line.startswith(b"# TYPE")}
             for text in (plain, gzip.decompress(packed))]
    assert names[0] == names[1]
    # To a cache in between the two are different answers.
    for each in (headers, plain_headers):
        assert each["Vary"] == "Accept, Accept-Encoding"
        assert each["Content-Type"].startswith(accept)
        assert "ETag" not in each and each["Cache-Control"] == "no-cache"
    # Nor does one get what another has asked for.
    for _ in range(5):
        assert gzip.decompress(metrics_of(watched, Accept_Encoding="gzip")[1])[:1] == b"#"
        assert metrics_of(watched, Accept_Encoding="gzip;q=0")[1][:1] == b"#"


def prometheus_query(port, query):
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def test_a_real_prometheus_scrapes_it(watched, tmp_path):
    port = free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text("global: {scrape_interval: 500ms}\nscrape_configs:\n"
                      "- job_name: healthd\n  static_configs:\n"
                      f"  - targets: ['127.0.0.1:{watched.port}']\n", encoding="utf-8")
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data",
             f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        def found():
            try:
                return prometheus_query(port, 'healthd_check_status{state="unhealthy"} == 1')
            except OSError:
                return None
        wait_until("a scrape", found, timeout=60)
        assert [result["metric"]["check"] for result in found()] == ["gone"]
        assert prometheus_query(port, "up")[0]["value"][1] == "1"
        # It asked in the newer form.
        assert prometheus_query(port, "healthd_build_info")[0]["metric"]["version"]
    finally:
        end_process(server)


def test_a_file_for_node_exporter(daemon):
    path = daemon.directory / "healthd.prom"
    daemon.write_conf(f"[Server]\nTextfile={path}\n")
    daemon.write_check("self", SELF)
    daemon.start()
    wait_until("the file", path.exists, 20)
    families = list(prometheus_text.text_string_to_metric_families(path.read_text()))
    assert "healthd_build_info" in {family.name for family in families}
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in daemon.directory.glob("healthd.prom*")] == ["healthd.prom"]


def test_a_file_that_cannot_be_written_is_said_once(daemon):
    daemon.write_conf("[Server]\nTextfile=/proc/healthd.prom\n")
    daemon.write_check("self", SELF)
    daemon.start()
    wait_until("it is said", lambda: "Textfile=/proc/healthd.prom cannot be written" in
               daemon.stderr(), 20)
