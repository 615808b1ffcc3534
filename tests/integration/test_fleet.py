# SPDX-License-Identifier: LGPL-2.1-or-later
"""What contrib/ ships for many hosts, with the real programs that it is for."""

import contextlib
import csv
import http.server
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import pytest

import servers
from healthd import Healthd
from process import free_port, wait_until

CONTRIB = pathlib.Path(os.environ["HEALTHD_SOURCE"]) / "contrib"
FLEET = 20
# A check fails while its page is missing.
PAGE = "[Check]\nType=http\nInterval=1s\nRetryInterval=500ms\nFailAfter=2\nPassAfter=1\n" \
       "Groups=shop\n[HTTP]\nURL=http://127.0.0.1:{port}/{page}\n"
PAGES = "server {{ listen 127.0.0.1:{port}; root {directory}; }}"


def shipped(name, replacements):
    """The text of a file of contrib/, with addresses and times of the test; all must be in it."""
    text = (CONTRIB / name).read_text(encoding="utf-8")
    for old, new in replacements.items():
        assert old in text, f"{old} is not in contrib/{name}"
        text = text.replace(old, str(new))
    return text


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=60, check=False, **options)
    return done.returncode, done.stdout + done.stderr


def ask(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


class Host:
    """A healthd whose check, shop, passes while a page is there."""

    def __init__(self, pages):
        self.daemon = Healthd()
        self.page = pages.directory / f"page-{self.daemon.port}"
        self.page.touch()
        self.daemon.write_conf("[Server]\nDetails=always\n")
        self.daemon.write_check("shop", PAGE.format(port=pages.port, page=self.page.name))
        (self.daemon.config / "alerts").mkdir()
        (self.daemon.config / "alerts/log.alert").write_text(
            "[Alert]\nType=exec\nMerge=0\n[Exec]\nCommand=/usr/bin/true\n", encoding="ascii")

    def fail(self):
        self.page.unlink()

    def recover(self):
        self.page.touch()


@pytest.fixture(scope="module")
def pages():
    with servers.Nginx(PAGES) as server:
        yield server


@pytest.fixture
def host(pages):
    """Started, and its check is healthy."""
    one = Host(pages)
    try:
        one.daemon.start()
        one.daemon.wait_status("shop", "healthy", 30)
        yield one
    finally:
        one.daemon.close()


class Webhook:
    """Gets what Alertmanager sends: (status, alert name, instance, check), oldest first."""

    def __init__(self):
        received = self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                received.extend((alert["status"], alert["labels"]["alertname"],
                                 alert["labels"].get("instance"), alert["labels"].get("check"))
                                for alert in body["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Alertmanager(servers.Server):
    def __init__(self, webhook_port):
        super().__init__("alertmanager")
        (self.directory / "alertmanager.yml").write_text(shipped("prometheus/alertmanager.yml", {
            "http://127.0.0.1:9099/": f"http://127.0.0.1:{webhook_port}/",
            "group_wait: 30s": "group_wait: 1s", "group_interval: 5m": "group_interval: 1s"}),
            encoding="utf-8")

    def command(self):
        return ["prometheus-alertmanager", "--config.file=alertmanager.yml",
                f"--storage.path={self.directory}/data", "--cluster.listen-address=",
                f"--web.listen-address=127.0.0.1:{self.port}"]


class Prometheus(servers.Server):
    def __init__(self, alertmanager_port, targets):
        super().__init__("prometheus")
        (self.directory / "prometheus.yml").write_text(shipped("prometheus/prometheus.yml", {
            "15s": "1s", "127.0.0.1:9093": f"127.0.0.1:{alertmanager_port}"}), encoding="utf-8")
        shutil.copy(CONTRIB / "prometheus/healthd.rules.yml", self.directory)
        (self.directory / "healthd-targets.json").write_text(
            json.dumps([{"targets": targets}]), encoding="utf-8")

    def command(self):
        return ["prometheus", "--config.file=prometheus.yml",
                f"--storage.tsdb.path={self.directory}/data",
                f"--web.listen-address=127.0.0.1:{self.port}"]

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5):
                return True
        except OSError:
            return False

    def query(self, text):
        answer = ask(f"http://127.0.0.1:{self.port}/api/v1/query?"
                     + urllib.parse.urlencode({"query": text}))
        assert answer["status"] == "success"
        return answer["data"]["result"]

    def wait_query(self, text, predicate=bool, timeout=90):
        last = []

        def satisfied():
            last[:] = self.query(text)
            return predicate(last)
        try:
            wait_until(text, satisfied, timeout, pause=0.5)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; the last was {last}") from error
        return last


@pytest.fixture(scope="module")
def fleet(pages):
    with contextlib.ExitStack() as stack:
        hosts = []
        for _ in range(FLEET):
            # One by one: each has its port before the next one looks for a free one.
            hosts.append(Host(pages))
            stack.callback(hosts[-1].daemon.close)
            hosts[-1].daemon.start()
        yield hosts


@pytest.fixture(scope="module")
def webhook():
    receiver = Webhook()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def prometheus(fleet, webhook):
    with Alertmanager(webhook.port) as alertmanager, \
            Prometheus(alertmanager.port,
                       [f"127.0.0.1:{host.daemon.port}" for host in fleet]) as server:
        yield server


def dashboard_targets():
    board = json.loads((CONTRIB / "grafana/healthd.json").read_text(encoding="utf-8"))
    return [(panel["title"], target["expr"]) for panel in board["panels"]
            for target in panel["targets"]]


def test_prometheus_scrapes_the_fleet_and_alertmanager_tells_of_a_failure(fleet, prometheus,
                                                                          webhook):
    prometheus.wait_query('up{job="healthd"} == 1', lambda found: len(found) == FLEET)
    prometheus.wait_query("healthd_check:alertable == 1", lambda found: len(found) == FLEET)
    prometheus.wait_query('healthd:hosts:count{state="healthy"}',
                          lambda found: found and found[0]["value"][1] == str(FLEET))
    failing = fleet[7]
    instance = f"127.0.0.1:{failing.daemon.port}"
    told = [("firing", "HealthdCheckUnhealthy", instance, "shop"),
            ("resolved", "HealthdCheckUnhealthy", instance, "shop")]
    failing.fail()
    wait_until("the webhook is told of the failure", lambda: webhook.received, 90, pause=0.2)
    assert webhook.received == told[:1]
    failing.recover()
    wait_until("the webhook is told of the end", lambda: len(webhook.received) > 1, 120, pause=0.2)
    assert webhook.received == told


def test_a_silence_keeps_the_shipped_rule_quiet(fleet, prometheus, webhook):
    silenced = fleet[3]
    before = list(webhook.received)
    connection = silenced.daemon.connect("unix")
    connection.request("POST", "/control/silence",
                       json.dumps({"check": "shop", "duration": "1h", "reason": "the test"}))
    assert connection.getresponse().status == 200
    connection.close()
    instance = f'instance="127.0.0.1:{silenced.daemon.port}"'
    prometheus.wait_query(f"healthd_check:alertable{{{instance}}} == 0")
    silenced.fail()
    try:
        prometheus.wait_query(f'healthd_check_status{{{instance},state="unhealthy"}} == 1')
        # Scrapes and evaluations go on every second.
        seen = float(prometheus.query("time()")[1])
        wait_until("some evaluations", lambda: float(prometheus.query("time()")[1]) > seen + 5)
        assert not prometheus.query(f"ALERTS{{{instance}}}")
        assert webhook.received == before
    finally:
        silenced.recover()


def test_each_query_of_the_dashboard_has_an_answer(fleet, prometheus):
    fleet[0].fail()
    try:
        prometheus.wait_query('healthd_check_status{state="unhealthy"} == 1')
        for title, query in dashboard_targets():
            for name, value in {"$__rate_interval": "30s", "$__range": "30s", "$job": ".*",
                                "$instance": ".*", "$check": ".*"}.items():
                query = query.replace(name, value)
            assert "$" not in query
            prometheus.wait_query(query)
            # NaN: nothing happened yet, or the query makes no sense.
            assert any(result["value"][1] != "NaN"
                       for result in prometheus.wait_query(query, timeout=60)), (title, query)
    finally:
        fleet[0].recover()


def test_the_dashboard_is_consistent():
    board = json.loads((CONTRIB / "grafana/healthd.json").read_text(encoding="utf-8"))
    variables = {variable["name"] for variable in board["templating"]["list"]}
    panels = board["panels"]
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", board["uid"]) and board["schemaVersion"] >= 36
    assert "id" not in board  # of one Grafana; an import with it overwrites a stranger's
    assert len({panel["id"] for panel in panels}) == len(panels)
    covered = set()
    for panel in panels:
        assert panel["title"] and panel["type"] and panel["targets"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "$datasource"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        area = panel["gridPos"]
        assert 0 <= area["x"] and area["x"] + area["w"] <= 24
        cells = {(x, y) for x in range(area["x"], area["x"] + area["w"])
                 for y in range(area["y"], area["y"] + area["h"])}
        assert not cells & covered, panel["title"]
        covered |= cells
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            used = set(re.findall(r"\$(\w+)", target["expr"] + target["legendFormat"]))
            assert used - {"__rate_interval", "__range"} <= variables, target["expr"]


def test_promtool_and_amtool_accept_what_is_shipped(tmp_path):
    shutil.copytree(CONTRIB / "prometheus", tmp_path / "prometheus")
    directory = tmp_path / "prometheus"
    (directory / "healthd-targets.json").write_text("[]", encoding="utf-8")
    for command in (["promtool", "check", "rules", "--lint-fatal", "healthd.rules.yml"],
                    ["promtool", "test", "rules", "healthd.test.yml"],
                    ["promtool", "check", "config", "prometheus.yml"],
                    ["promtool", "check", "config", "--syntax-only", "prometheus-tls.yml"],
                    ["amtool", "check-config", "alertmanager.yml"]):
        status, output = run(*command, cwd=directory)
        assert status == 0, output


class Haproxy(servers.Server):
    """With the shipped configuration: host1 and host2 are 127.0.0.2 and 127.0.0.3."""

    def __init__(self, health_port, service_port):
        super().__init__("haproxy")
        self.socket = self.directory / "stats"
        (self.directory / "haproxy.cfg").write_text(shipped("haproxy/haproxy.cfg", {
            "127.0.0.1:8000": f"127.0.0.1:{self.port}", "port 9797": f"port {health_port}",
            "192.0.2.1:8080": f"127.0.0.2:{service_port}",
            "192.0.2.2:8080": f"127.0.0.3:{service_port}"}), encoding="utf-8")
        (self.directory / "test.cfg").write_text(f"global\n        stats socket {self.socket}\n",
                                                 encoding="utf-8")

    def command(self):
        return [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", "test.cfg", "-f",
                "haproxy.cfg"]

    def server_status(self, name):
        with socket.socket(socket.AF_UNIX) as stats:
            stats.connect(str(self.socket))
            stats.sendall(b"show stat\n")
            text = stats.makefile(encoding="ascii").read().lstrip("# ")
        return next(row["status"] for row in csv.DictReader(io.StringIO(text))
                    if row["svname"] == name)

    def who_answers(self):
        """Who serves the next six requests."""
        found = set()
        for _ in range(6):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as answer:
                found.add(answer.read().decode().strip())
        return found


SERVICE = """
    server {{ listen 127.0.0.1:{port}; return 204; }}
    server {{ listen 127.0.0.2:{port}; location / {{ return 200 "host1\\n"; }} }}
    server {{ listen 127.0.0.3:{port}; location / {{ return 200 "host2\\n"; }} }}
"""


def test_haproxy_takes_a_host_out_within_two_intervals_and_back(pages):
    port = free_port()
    text = (CONTRIB / "haproxy/haproxy.cfg").read_text(encoding="utf-8")
    interval = int(re.search(r" inter (\d+)s", text).group(1))
    with contextlib.ExitStack() as stack:
        hosts = [Host(pages), Host(pages)]
        for number, host in enumerate(hosts, 2):
            stack.callback(host.daemon.close)
            host.daemon.start(f"--listen=127.0.0.{number}:{port}")
            host.daemon.wait_status("shop", "healthy", 30)
        service = stack.enter_context(servers.Nginx(SERVICE))
        haproxy = stack.enter_context(Haproxy(port, service.port))
        wait_until("both serve", lambda: haproxy.who_answers() == {"host1", "host2"}, 30)
        hosts[0].fail()
        hosts[0].daemon.wait_status("shop", "unhealthy", 30)
        failed = time.monotonic()
        wait_until("HAProxy takes host1 out", lambda: haproxy.server_status("host1") == "DOWN", 60)
        assert time.monotonic() - failed < 2 * interval
        assert haproxy.who_answers() == {"host2"}
        hosts[0].recover()
        wait_until("HAProxy takes host1 back", lambda: haproxy.server_status("host1") == "UP", 60)
        assert haproxy.who_answers() == {"host1", "host2"}


def test_keepalived_and_what_it_runs(host, tmp_path):
    interface = next(name for _, name in socket.if_nameindex() if name != "lo")
    config = shipped("keepalived/keepalived.conf", {"interface eth0": f"interface {interface}"})
    (tmp_path / "keepalived.conf").write_text(config, encoding="utf-8")
    status, output = run(shutil.which("keepalived") or "/usr/sbin/keepalived", "--config-test",
                         f"--use-file={tmp_path / 'keepalived.conf'}")
    # 2.2.7 ends a test of a good configuration with SIGTERM to itself where a reaper is its parent.
    assert output == "" and status in (0, -signal.SIGTERM)
    command = re.search(r'script "(.*)"', config).group(1)
    assert ":9797/" in command
    words = command.replace(":9797/", f":{host.daemon.port}/").split()
    assert run(*words)[0] == 0
    host.fail()
    host.daemon.wait_status("shop", "unhealthy", 30)
    assert run(*words)[0] == 22


def test_consul_is_given_an_address_that_answers(host):
    definition = json.loads((CONTRIB / "consul/healthd.json").read_text(encoding="utf-8"))
    check, = definition["service"]["checks"]
    address = urllib.parse.urlparse(check["http"])
    assert address.netloc == "127.0.0.1:9797"
    headers = {name: ", ".join(values) for name, values in check["header"].items()}
    assert host.daemon.get(address.path, headers, method=check["method"]).status == 200
    host.fail()
    host.daemon.wait_status("shop", "unhealthy", 30)
    assert host.daemon.get(address.path, headers, method=check["method"]).status == 503


ENTRY = """\
__CURSOR=s=00000000000000000000000000000001;i=1;b=00000000000000000000000000000002;m=1;t=1;x=1
__REALTIME_TIMESTAMP=1795400500000000
__MONOTONIC_TIMESTAMP=1000000
_BOOT_ID=00000000000000000000000000000002
_MACHINE_ID=00000000000000000000000000000003
_HOSTNAME=host1
MESSAGE=shop is unhealthy
HEALTH_CHECK=shop
HEALTH_STATUS=unhealthy

"""


class JournalRemote(servers.Server):
    """Started as the shipped drop-in says."""

    def __init__(self):
        super().__init__("journal-remote")
        self.output = self.directory / "remote"
        self.output.mkdir()

    def command(self):
        text = shipped("journal/systemd-journal-remote.service.d/fleet.conf", {
            "--listen-http=-3": f"--listen-http=127.0.0.1:{self.port}",
            "/var/log/journal/remote/": f"{self.output}/"})
        mode = setting(shipped("journal/journal-remote.conf", {}), "SplitMode")
        return [*setting(text, "ExecStart").split(), f"--split-mode={mode}"]


def setting(text, name):
    """The last value of a key of a unit or its like."""
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)[-1]


def test_the_journals_of_the_fleet_come_together(tmp_path):
    journal = tmp_path / "host1.journal"
    status, output = run("/usr/lib/systemd/systemd-journal-remote", "--split-mode=none",
                         f"--output={journal}", "-", input=ENTRY)
    assert status == 0, output
    with JournalRemote() as collector:
        text = shipped("journal/journal-upload.conf",
                       {"192.0.2.100:19532": f"127.0.0.1:{collector.port}"})
        status, output = run("/usr/lib/systemd/systemd-journal-upload",
                             f"--url={setting(text, 'URL')}", f"--file={journal}", "--follow=no",
                             f"--save-state={tmp_path}/state")
        assert status == 0, output
        collector.stop()
        status, output = run("journalctl", "-D", collector.output, "-o", "json",
                             "HEALTH_STATUS=unhealthy", "_HOSTNAME=host1")
    assert status == 0 and json.loads(output)["HEALTH_CHECK"] == "shop"
