# SPDX-License-Identifier: LGPL-2.1-or-later
"""healthd as a service under a real systemd, from installed files."""

import json
import re
import time

import pytest

import servers
from process import wait_until

SERVICE = "healthd.service"
OWN = "_SYSTEMD_UNIT=healthd.service"
FAST = "Interval=1s\nTimeout=800ms\nRetryInterval=200ms\nFailAfter=2\nPassAfter=2\n"
REDIS = f"[Check]\nType=redis\n{FAST}Groups=stores\n[Redis]\nAddress=127.0.0.1:6379\n"
REDIS_NO_WATCHDOG = REDIS.replace("Groups=", "Watchdog=no\nGroups=")
WITHHELD = "e5222abf46e44f78bdd2b02202756be8"


@pytest.fixture(autouse=True)
def redis(machine):
    """Redis runs when a test begins."""
    machine.enter("systemctl", "start", "redis-server")


def steady_client(machine, rate=200, path="/health/live"):
    return machine.steady_client(rate, path)


def main_pid(machine):
    return int(machine.show("MainPID"))


def test_fresh_install_says_something_true(machine):
    machine.configure()
    machine.enter("rm", "-rf", "/etc/healthd")
    machine.enter("systemctl", "restart", SERVICE)
    for http in (False, True):
        status, health = machine.curl("/health", http)
        assert (status, health["status"]) in ((200, "healthy"), (200, "degraded"),
                                              (503, "unhealthy"))
        assert {"status", "timestamp", "uptime", "checks"} <= set(health)
        details = health["checks"]["system_resources"]["details"]
        assert {"cpu_percent", "memory_percent", "disk_percent"} <= set(details)
        assert "failed_units" in health["checks"]["failed_units"]["details"]
    assert machine.curl("/health/live")[0] == 200


def test_start_returns_when_ready(machine):
    machine.configure({"redis": REDIS})
    machine.enter("systemctl", "stop", SERVICE)
    machine.enter("systemctl", "start", SERVICE)
    assert machine.show("ActiveState") == "active" and machine.show("SubState") == "running"
    # ReadyWhen=checked: every check has a result by then.
    status, health = machine.curl("/health")
    assert status == 200 and health["checks"]["redis"]["status"] == "healthy"


def test_status_is_one_line_that_says_what_is_wrong(machine):
    machine.configure({"redis": REDIS_NO_WATCHDOG})
    assert machine.show("StatusText").startswith("healthy")
    machine.enter("systemctl", "stop", "redis-server")
    machine.wait_status("redis", "unhealthy")
    text = wait_until("a status about redis", lambda: (
        lambda line: line if line.startswith("unhealthy") else None)(machine.show("StatusText")))
    assert "redis" in text and "127.0.0.1:6379" in text
    shown = machine.enter("systemctl", "status", "--no-pager", SERVICE).stdout
    assert f'Status: "{text}"' in shown


def test_each_transition_is_in_the_journal_once(machine):
    machine.configure({"sessions": REDIS_NO_WATCHDOG})
    machine.enter("systemctl", "stop", "redis-server")
    machine.wait_status("sessions", "unhealthy")
    time.sleep(1)
    machine.enter("systemctl", "start", "redis-server")
    machine.wait_status("sessions", "healthy")
    entries = machine.journal("HEALTH_CHECK=sessions")
    assert [entry["HEALTH_STATUS"] for entry in entries] == ["unhealthy", "healthy"]
    assert [entry["HEALTH_PREVIOUS"] for entry in entries] == ["healthy", "unhealthy"]
    assert [entry["PRIORITY"] for entry in entries] == ["3", "5"]
    for entry in entries:
        assert entry["HEALTH_TYPE"] == "redis" and entry["HEALTH_GROUPS"] == "stores"
        assert int(entry["HEALTH_DURATION_USEC"]) > 0
        assert entry["_SYSTEMD_UNIT"] == SERVICE
    assert "127.0.0.1:6379" in entries[0]["HEALTH_REASON"]
    assert int(entries[0]["HEALTH_FAILURES"]) >= 2
    assert machine.journal("HEALTH_CHECK=sessions", "HEALTH_STATUS=unhealthy") == [entries[0]]

    explained = machine.enter("journalctl", "--no-pager", "-x", "HEALTH_CHECK=sessions").stdout
    assert explained.count("Subject: The check sessions is healthy") == 1
    assert explained.count("Subject: The check sessions is unhealthy") == 1
    assert "HEALTH_" not in explained.replace("journalctl HEALTH_CHECK=", "")


def test_passing_results_write_no_line(machine):
    checks = {f"redis{number}": REDIS.replace("Interval=1s", "Interval=100ms")
              for number in range(30)}
    machine.configure(checks, conf="[Health]\nReadyWhen=healthy\n")
    cursor = machine.cursor()
    time.sleep(5)
    assert machine.journal(OWN, since=cursor) == []
    machine.enter("systemctl", "stop", SERVICE)
    last = [entry["MESSAGE"] for entry in machine.journal(OWN, since=cursor)]
    probes = [int(text.split()[2]) for text in last if text.startswith("Stopped after")]
    assert probes and probes[0] > 1000


def test_reload(machine):
    machine.configure({"redis": REDIS})
    pid = main_pid(machine)
    machine.write_check("second", REDIS)
    machine.enter("systemctl", "reload", SERVICE)
    machine.wait_status("second", "healthy")
    assert main_pid(machine) == pid

    machine.write_check("third", "[Check]\nType=redis\nIntervall=1s\n")
    cursor = machine.cursor()
    refused = machine.enter("systemctl", "reload", SERVICE, check=False)
    assert refused.returncode != 0
    time.sleep(0.5)
    assert set(machine.curl("/health")[1]["checks"]) == {"redis", "second",
                                                         "application_metrics"}
    assert main_pid(machine) == pid and machine.show("ActiveState") == "active"
    texts = [entry["MESSAGE"] for entry in machine.journal(OWN, since=cursor)]
    assert [text for text in texts if "third.check:3" in text and "Interval" in text]


def test_reload_with_credentials(machine):
    """systemd hides them from the process that verifies, and only from that one."""
    machine.write_file("/etc/healthd/secrets/orders", "a secret\n", 0o600)
    secret = "Password=credential:orders\n"
    checks = {"redis": REDIS_NO_WATCHDOG + secret,
              "orders": f"[Check]\nType=postgresql\n{FAST}Required=no\nWatchdog=no\n"
                        "[PostgreSQL]\nConnectionString=credential:orders\n"}
    machine.configure({"redis": checks["redis"]},
                      service="LoadCredential=orders:/etc/hostname\n")
    pid = main_pid(machine)
    machine.write_check("orders", checks["orders"].replace(
        "ConnectionString=credential:orders", "Host=127.0.0.1\nUser=x\n" + secret))
    machine.enter("systemctl", "reload", SERVICE)
    machine.wait_status("orders", "unhealthy")
    assert main_pid(machine) == pid
    # Whatever the credential holds, the process that cannot see it must not judge it.
    machine.write_check("orders", checks["orders"])
    verified = machine.enter("systemctl", "reload", SERVICE, check=False)
    assert verified.returncode == 0, verified.stderr


def test_sighup_with_a_broken_configuration_changes_nothing(machine):
    machine.configure({"redis": REDIS})
    machine.write_check("third", "[Check]\nType=redis\nIntervall=1s\n")
    cursor = machine.cursor()
    machine.enter("systemctl", "kill", "--kill-whom=main", "--signal=HUP", SERVICE)
    wait_until("the refusal in the journal", lambda: machine.journal(
        "MESSAGE_ID=d3a943f1912945d9ad99c6e0c7e55990", since=cursor))
    assert "third" not in machine.curl("/health")[1]["checks"]
    wait_until("active again", lambda: machine.show("ActiveState") == "active")


def test_settled_unhealthy_check_lets_the_watchdog_expire(machine):
    machine.configure({"redis": REDIS}, service="WatchdogSec=3s\n")
    pid, restarts = main_pid(machine), int(machine.show("NRestarts"))
    cursor = machine.cursor()
    with steady_client(machine) as (result, _):
        machine.enter("systemctl", "stop", "redis-server")
        wait_until("a restart", lambda: int(machine.show("NRestarts")) > restarts, timeout=30,
                   pause=0.1)
        machine.enter("systemctl", "start", "redis-server")
        machine.wait_status("redis", "healthy", timeout=30)
    assert main_pid(machine) != pid
    entries = machine.journal(since=cursor)
    reasons = [number for number, entry in enumerate(entries)
               if entry.get("MESSAGE_ID") == WITHHELD]
    timeouts = [number for number, entry in enumerate(entries)
                if "Watchdog timeout" in str(entry["MESSAGE"])]
    assert reasons and timeouts and reasons[0] < timeouts[0]
    assert "redis" in entries[reasons[0]]["HEALTH_REASON"]
    assert "redis" in entries[reasons[0]]["MESSAGE"]
    assert result["failed"] == 0 and result["requests"] > 1000, result


def test_check_that_opts_out_leaves_the_watchdog_alone(machine):
    machine.configure({"redis": REDIS_NO_WATCHDOG}, service="WatchdogSec=3s\n")
    pid = main_pid(machine)
    machine.enter("systemctl", "stop", "redis-server")
    machine.wait_status("redis", "unhealthy")
    time.sleep(5)
    assert main_pid(machine) == pid and machine.curl("/health")[0] == 503


def test_no_request_fails_through_restarts(machine):
    machine.configure({"redis": REDIS})
    with steady_client(machine) as (result, _):
        for _ in range(3):
            pid = main_pid(machine)
            machine.enter("systemctl", "restart", SERVICE)
            assert main_pid(machine) != pid
    assert result["failed"] == 0 and result["per_second"] > 300, result


def test_no_request_fails_through_sigkill(machine):
    machine.configure({"redis": REDIS})
    with steady_client(machine) as (result, order):
        for _ in range(3):
            pid = main_pid(machine)
            order(f"kill {machine.host_pid(pid)}")
            wait_until("another process", lambda: main_pid(machine) not in (0, pid), timeout=20)
            machine.wait_status("redis", "healthy")
    assert machine.show("NRestarts") == "3"
    assert result["failed"] == 0 and result["per_second"] > 300, result


def test_sigkill_at_any_moment_loses_no_more_than_the_request_under_way(machine):
    kills = 5
    machine.configure({"redis": REDIS})
    with steady_client(machine) as (result, order):
        for _ in range(kills):
            pid = main_pid(machine)
            order(f"kill-now {machine.host_pid(pid)}")
            wait_until("another process", lambda: main_pid(machine) not in (0, pid), timeout=20)
            time.sleep(0.5)
    assert result["failed"] <= kills and result["per_second"] > 300, result


def test_stop_is_clean(machine):
    machine.configure({"redis": REDIS})
    cursor = machine.cursor()
    begin = time.monotonic()
    machine.enter("systemctl", "stop", SERVICE)
    assert time.monotonic() - begin < 5
    assert machine.show("Result") == "success" and machine.show("ExecMainStatus") == "0"
    assert machine.show("ActiveState") == "inactive"
    assert machine.journal("MESSAGE_ID=807aabea85754bb7bf60dd14c75e21dd", since=cursor)


def test_request_starts_the_service(machine):
    machine.configure({"redis": REDIS})
    machine.enter("systemctl", "stop", SERVICE)
    assert machine.curl("/health/live")[0] == 200
    machine.enter("systemctl", "stop", SERVICE)
    assert machine.curl("/health/live", http=True)[0] == 200


def test_taken_port_costs_only_http(machine):
    machine.enter("systemctl", "stop", SERVICE, "healthd-http.socket", "healthd.socket")
    machine.write_file("/etc/nginx/conf.d/taken.conf",
                       "server { listen 127.0.0.1:9797; return 204; }\n")
    machine.enter("systemctl", "restart", "nginx")
    try:
        machine.enter("systemctl", "start", "healthd-http.socket", check=False)
        machine.enter("systemctl", "start", "healthd.socket")
        assert machine.properties("healthd-http.socket")["ActiveState"] == "failed"
        assert machine.curl("/health/live")[0] == 200
    finally:
        machine.enter("systemctl", "stop", "nginx")
        machine.enter("systemctl", "restart", "healthd.socket", "healthd-http.socket", SERVICE,
                      check=False)


def test_credential_is_read_and_never_shown(machine):
    secret = "kei8Chahquoo"
    machine.enter("redis-cli", "CONFIG", "SET", "requirepass", secret)
    try:
        machine.write_file("/etc/healthd-secret", secret + "\n", mode=0o600)
        machine.configure({"redis": REDIS + "Password=credential:redis\n"},
                          service="LoadCredential=redis:/etc/healthd-secret\n")
        machine.wait_status("redis", "healthy")
        pid = main_pid(machine)
        shown = [machine.curl("/health")[1], machine.journal(OWN),
                 machine.enter("cat", f"/proc/{pid}/cmdline", f"/proc/{pid}/environ").stdout]
        assert secret not in str(shown)
    finally:
        machine.enter("redis-cli", "-a", secret, "CONFIG", "SET", "requirepass", "")


def test_the_port_has_its_certificate_from_credentials(machine, tmp_path):
    """Files that root alone may read; renewed by a restart, since systemd hands them over then."""
    authority = servers.Certificates(tmp_path)
    token = "0123456789abcdef0123456789abcdef"

    def install(name):
        for file, kind in zip(authority.issue(name, purpose="serverAuth"), ("crt", "key")):
            machine.write_file(f"/etc/healthd-tls/host.{kind}", file.read_text(), mode=0o600)

    def ask(*options, url="https://127.0.0.1:9797/health/checks/application_metrics"):
        """(status, who the server says it is, the body)"""
        answer = machine.enter("curl", "--silent", "--verbose", "--max-time", "10", "--cacert",
                               "/etc/healthd-tls/ca.crt", "--write-out", "\n%{http_code}", *options,
                               url, check=False)
        who = re.search(r"subject: CN ?= ?(\S+)", answer.stderr)
        body, status = answer.stdout.rsplit("\n", 1)
        return int(status), who and who[1], body

    machine.write_file("/etc/healthd-tls/ca.crt", authority.ca.read_text())
    machine.write_file("/etc/healthd-tls/token", token + "\n", mode=0o600)
    install("first")
    names = {"host.crt": "Certificate", "host.key": "Key", "token": "Token"}
    machine.configure(
        conf="[Server]\nDetails=authenticated\n" + "".join(
            f"{key}=credential:{name}\n" for name, key in names.items()),
        service="".join(f"LoadCredential={name}:/etc/healthd-tls/{name}\n" for name in names))
    bearer = ["--header", f"Authorization: Bearer {token}"]
    machine.wait_status("application_metrics", "healthy")
    status, who, body = ask(*bearer)
    assert (status, who) == (200, "first")
    assert "details" in json.loads(body)["checks"]["application_metrics"]
    assert ask()[:2] == (401, "first")
    assert ask(*bearer, url="http://127.0.0.1:9797/health")[0] == 0

    install("second")
    since = machine.now()
    machine.enter("systemctl", "reload", SERVICE)
    wait_until("the reload", lambda: any(text.startswith("Reloaded") for text in
                                         machine.unit_texts(SERVICE, since)))
    # systemd 252 has handed them over again by then, 257 does not.
    assert ask(*bearer)[:2] in ((200, "first"), (200, "second"))
    machine.enter("systemctl", "restart", SERVICE)
    assert ask(*bearer)[:2] == (200, "second")
    # Without one of them nobody is let in, and what is missing is said.
    machine.enter("rm", "/etc/healthd-tls/token")
    machine.write_file("/etc/systemd/system/healthd.service.d/test.conf", "[Service]\n" + "".join(
        f"LoadCredential={name}:/etc/healthd-tls/{name}\n" for name in ("host.crt", "host.key")))
    machine.enter("systemctl", "daemon-reload")
    since = machine.now()
    machine.enter("systemctl", "restart", SERVICE)
    assert ask(*bearer)[0] == 0 and machine.curl("/health/live")[0] == 200
    said = "\n".join(machine.unit_texts(SERVICE, since))
    assert 'the credential "token" is not there; add LoadCredential=token:' in said
    assert "Nobody is let in over TCP" in said and token not in said and "PRIVATE" not in said


def test_a_library_may_come_later(machine):
    """As on a host without libpq5: what is loaded when it is needed is moved away."""
    machine.enter("sh", "-c", "mkdir /root/away && mv /usr/lib/*/libpq.so.5* /root/away/")
    try:
        machine.configure({
            "database": f"[Check]\nType=postgresql\n{FAST}Watchdog=no\n[PostgreSQL]\n"
                        "Host=127.0.0.1\nUser=nobody\n",
            "redis": REDIS,
        }, conf="[Health]\nReadyWhen=started\n")
        reason = machine.wait_status("database", "error")["error"]
        assert "libpq.so.5: cannot open shared object file" in reason and "; install " in reason
        assert machine.wait_status("redis", "healthy")
        refused = machine.enter("healthd", "--verify", check=False)
        assert refused.returncode == 1 and "libpq.so.5" in refused.stderr
    finally:
        machine.enter("sh", "-c", "mv /root/away/* /usr/lib/*-linux-gnu*/ && rmdir /root/away")
    machine.enter("systemctl", "reload", SERVICE)
    # Nobody listens there, which takes a libpq to find out.
    reason = machine.wait_status("database", "unhealthy")["error"]
    assert "Connection refused" in reason
