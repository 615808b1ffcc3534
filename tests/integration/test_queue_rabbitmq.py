# SPDX-License-Identifier: LGPL-2.1-or-later
"""Type=queue with Backend=rabbitmq-http and amqp against a real RabbitMQ, and against others."""

import json
import os
import socket
import struct
import subprocess
import time

import pytest

import brokers
import hostile
import servers
from acceptor import Acceptor
from process import free_port, wait_until

COMMON = ("[Check]\nType=queue\nInterval=1s\nRetryInterval=200ms\nFailAfter=1\nPassAfter=1\n"
          "Timeout=4s\nBreakerAfter=0\n")
BACKENDS = ["rabbitmq-http", "amqp"]
USER = "n0-such-us3r"
PASSWORD = "wr0ng-Passw0rd"

amqp_runs = pytest.mark.skipif(os.geteuid() != 0,
                               reason="only what belongs to root is run as a helper")


def pytest_generate_tests(metafunc):
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", [BACKENDS[0], pytest.param(BACKENDS[1], marks=amqp_runs)])


@pytest.fixture(scope="module")
def certificates():
    authority = servers.Certificates()
    yield authority
    authority.close()


@pytest.fixture(scope="module")
def server(certificates):
    with brokers.RabbitMq(certificates) as rabbitmq:
        yield rabbitmq


@pytest.fixture
def rabbitmq(server):
    server.purge()
    return server


def section(port, backend, *lines, user="watcher", password=None, queue="orders"):
    return "\n".join(["[Queue]", f"Backend={backend}", f"Address=127.0.0.1:{port}",
                      f"Username={user}", f"Password={password or user}", f"Queue={queue}",
                      *lines, ""])


def queue(server, backend, *lines, **keys):
    port = server.port if backend == "amqp" else server.management_port
    return section(port, backend, *lines, **keys)



def test_details_of_the_management_plugin(daemon, rabbitmq):
    daemon.write_check("queue", COMMON + queue(rabbitmq, "rabbitmq-http"))
    daemon.start()
    # What never happened is a rate of 0; the plug-in collects every five seconds.
    details = daemon.wait_details("queue", queue_size=0)
    assert details["state"] == "running" and details["type"] == "classic"
    assert details["ack_rate"] == 0 and details["alarms"] == 0
    rabbitmq.publish(5)
    with rabbitmq.consume(prefetch=2):
        details = daemon.wait_details("queue", queue_size=3, unacknowledged=2, messages=5,
                                      consumers=1)
    assert details["connected"] is True
    daemon.wait_details("queue", queue_size=5, unacknowledged=0, consumers=0)

    def is_counted():
        rabbitmq.publish(1)
        return daemon.check("queue")["details"]["publish_rate"] > 0
    wait_until("what is published becomes a rate", is_counted, 30, pause=0.3)


@amqp_runs
def test_details_of_a_passive_declare(daemon, rabbitmq):
    daemon.write_check("queue", COMMON + queue(rabbitmq, "amqp", user="plain"))
    daemon.start()
    rabbitmq.publish(5)
    with rabbitmq.consume(prefetch=2):
        details = daemon.wait_details("queue", queue_size=3, consumers=1)
    assert set(details) == {"connected", "connect_ms", "queue_size", "consumers"}
    daemon.wait_details("queue", queue_size=5, consumers=0)


def test_a_backlog_breaks_a_condition(daemon, rabbitmq, backend):
    daemon.write_check("queue", COMMON + "UnhealthyWhen=queue_size >= 3\n" +
                       queue(rabbitmq, backend))
    daemon.start()
    daemon.wait_status("queue", "healthy", 30)
    rabbitmq.publish(3)
    assert daemon.wait_status("queue", "unhealthy", 30)["reason"] == "queue_size >= 3 (is 3)"
    rabbitmq.purge()
    daemon.wait_status("queue", "healthy", 30)


def test_another_virtual_host_and_a_name_to_encode(daemon, rabbitmq, backend):
    daemon.write_check("queue", COMMON + queue(rabbitmq, backend, "VirtualHost=shop",
                                               user="admin", queue="a/b c"))
    daemon.start()
    daemon.wait_details("queue", queue_size=0, connected=True)


def test_what_is_missing_is_named(daemon, rabbitmq, backend):
    lost = free_port()
    daemon.write_check("queue", COMMON + queue(rabbitmq, backend, queue="nope"))
    daemon.write_check("host", COMMON + queue(rabbitmq, backend, "VirtualHost=nope"))
    daemon.write_check("permission", COMMON + queue(rabbitmq, backend, user="nobody"))
    daemon.write_check("password", COMMON + queue(rabbitmq, backend, password=PASSWORD))
    daemon.write_check("broker", COMMON + section(lost, backend))
    daemon.write_check("name", COMMON + section(lost, backend).replace("127.0.0.1", "no.invalid"))
    daemon.start()
    expected = {
        "queue": ["there is no", "queue", "check Queue="],
        "host": ["virtual host", "check VirtualHost=", "rabbitmqctl list_vhosts"],
        "permission": ["has no permission in", "virtual host", "rabbitmqctl set_permissions"],
        "password": ["the log-in was refused: check Username= and Password="],
        "broker": [f"127.0.0.1:{lost}", "is the broker running"],
        "name": ["no.invalid", "check the host in Address="],
    }
    for name, texts in expected.items():
        check = daemon.wait_status(name, "unhealthy")
        for text in texts:
            assert text in check["error"], check
        assert check["details"]["connected"] is (name not in ("broker", "name"))
    assert PASSWORD not in daemon.get("/health").text
    assert PASSWORD not in daemon.stderr()


def test_a_missing_queue_leaves_the_breaker_closed(daemon, rabbitmq, backend):
    common = COMMON.replace("BreakerAfter=0", "BreakerAfter=2")
    daemon.write_check("queue", common + queue(rabbitmq, backend, queue="nope"))
    daemon.write_check("password", common + queue(rabbitmq, backend, password=PASSWORD))
    daemon.start()
    checks = daemon.wait_for(lambda answer: (
        answer.json["checks"]["queue"].get("consecutive_failures", 0) > 4 and
        answer.json["checks"]["password"]["breaker"]["position"] == "open"), 30).json["checks"]
    assert checks["queue"]["breaker"]["position"] == "closed"


def test_a_user_who_may_not_use_the_management_plugin(daemon, rabbitmq):
    daemon.write_check("queue", COMMON + queue(rabbitmq, "rabbitmq-http", user="plain",
                                               password="plain"))
    daemon.start()
    error = daemon.wait_status("queue", "unhealthy")["error"]
    assert "may not use the management plug-in: rabbitmqctl set_user_tags" in error


def helpers(port):
    """Arguments and environment of each check-amqp that asks this port."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline, \
                    open(f"/proc/{pid}/environ", "rb") as environ:
                found.append((cmdline.read(), environ.read()))
        except OSError:
            pass
    return [pair for pair in found if b"check-amqp" in pair[0] and f":{port}".encode() in pair[0]]


def helper_option(port, name):
    """The value of an option of the check-amqp that asks this port, if there is one."""
    for arguments, _ in helpers(port):
        for word in arguments.decode().split("\0"):
            if word.startswith(f"--{name}="):
                return word.split("=", 1)[1]
    return None


@amqp_runs
def test_the_login_is_in_no_argument_and_no_environment(daemon):
    """Looked for in every process, while the helper waits for a broker that hangs."""
    with hostile.Hostile("silent") as peer:
        daemon.write_check("queue", COMMON + section(peer.port, "amqp", user=USER,
                                                     password=PASSWORD))
        daemon.start()

        found = wait_until("the helper runs", lambda: helpers(peer.port))
        for arguments, environment in found:
            for secret in (USER, PASSWORD):
                assert secret.encode() not in arguments + environment
            assert b"--name=healthd queue" in arguments
        daemon.wait_status("queue", "unhealthy")


def test_tls(daemon, rabbitmq, certificates, backend):
    port = rabbitmq.tls_port if backend == "amqp" else rabbitmq.management_tls_port
    trusted = section(port, backend, "TLS=yes", f"CAFile={certificates.ca}")
    daemon.write_check("trusted", COMMON + trusted)
    daemon.write_check("unknown", COMMON + section(port, backend, "TLS=yes"))
    daemon.write_check("host", COMMON + trusted.replace("127.0.0.1", "localhost"))
    daemon.write_check("plain", COMMON + section(port, backend))
    daemon.start()
    daemon.wait_status("trusted", "healthy")
    daemon.wait_status("host", "healthy")
    assert "certificate" in daemon.wait_status("unknown", "unhealthy")["error"]
    daemon.wait_status("plain", "unhealthy")


@amqp_runs
def test_time_that_passed_before_the_helper_started_is_no_longer_its(daemon):
    """The deadline is an instant: a helper that had to wait for its turn has what is left."""
    with hostile.Hostile("silent") as peer:
        daemon.write_check("queue", COMMON + section(peer.port, "amqp"))
        daemon.start()
        word = wait_until("the helper runs", lambda: helper_option(peer.port, "deadline-usec"))
        assert 0 < int(word) / 1e6 - time.monotonic() < 4
        for name in ("amqp", "kafka"):
            started = time.monotonic()
            deadline = started + 1
            time.sleep(0.7)
            ended = subprocess.run(
                [f"{os.environ['HEALTHD_HELPER_DIRECTORY']}/check-{name}", "--queue=orders",
                 "--group=x", f"--address=127.0.0.1:{peer.port}",
                 f"--deadline-usec={deadline * 1e6:.0f}"],
                input="somebody\nsecret\n", capture_output=True, text=True, timeout=20, check=True)
            assert json.loads(ended.stdout)["status"] == "unreachable", ended
            assert time.monotonic() - started < 1.6


class SlowToClose(Acceptor):
    """A broker that tells what is in the queue after a while, and does not answer a Close."""

    START = struct.pack(">HHBBI", 10, 10, 0, 9, 0) + b"\0\0\0\5PLAIN\0\0\0\5en_US"
    ANSWERS = {
        (10, 11): (0, struct.pack(">HHHIH", 10, 30, 10, 131072, 0)),
        (10, 40): (0, struct.pack(">HHB", 10, 41, 0)),
        (20, 10): (1, struct.pack(">HHI", 20, 11, 0)),
        (50, 10): (1, struct.pack(">HHB", 50, 11, 6) + b"orders" + struct.pack(">II", 7, 2)),
    }

    def __init__(self, delay):
        self.delay = delay
        self.closes = 0
        super().__init__()

    def converse(self, connection):
        def send(channel, method):
            connection.sendall(struct.pack(">BHI", 1, channel, len(method)) + method + b"\xce")
        stream = connection.makefile("rb")
        stream.read(8)
        send(0, self.START)
        while head := stream.read(7):
            method = stream.read(struct.unpack(">BHI", head)[2] + 1)
            kind = struct.unpack(">HH", method[:4])
            self.closes += kind == (10, 50)
            if kind == (50, 10):
                time.sleep(self.delay)
            if kind in self.ANSWERS:
                send(*self.ANSWERS[kind])


@amqp_runs
def test_what_a_broker_said_is_not_lost_by_its_close(daemon):
    with SlowToClose(delay=1.5) as broker:
        daemon.write_check("queue", COMMON + section(broker.port, "amqp"))
        daemon.start()
        check = daemon.wait_for(
            lambda answer: answer.json["checks"]["queue"]["checked_at"]).json["checks"]["queue"]
        assert check["status"] == "healthy", check
        assert check["details"]["queue_size"] == 7 and broker.closes == 1


@amqp_runs
def test_a_certificate_for_another_name(daemon, rabbitmq, certificates):
    daemon.write_check("queue", COMMON + section(
        rabbitmq.tls_port, "amqp", "TLS=yes", f"CAFile={certificates.ca}").replace(
            "127.0.0.1", "127.0.0.2"))
    daemon.start()
    error = daemon.wait_status("queue", "unhealthy")["error"]
    assert "its certificate is for another name than the host in Address=" in error


def test_an_alarm_of_the_broker(daemon, rabbitmq):
    daemon.write_check("queue", COMMON + "DegradedWhen=alarms > 0\n" +
                       queue(rabbitmq, "rabbitmq-http"))
    daemon.start()
    daemon.wait_status("queue", "healthy")
    rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        check = daemon.wait_status("queue", "degraded")
        assert check["details"]["alarm"] == f"memory on test{rabbitmq.port}@localhost"
    finally:
        rabbitmq.ctl("set_vm_memory_high_watermark", "0.4")
    daemon.wait_status("queue", "healthy")


def test_a_hanging_broker_costs_the_deadline(daemon, rabbitmq, backend):
    daemon.write_check("queue", COMMON + queue(rabbitmq, backend))
    daemon.start()
    daemon.wait_status("queue", "healthy", 30)
    rabbitmq.sigstop()
    try:
        check = daemon.wait_status("queue", "unhealthy", 30)
        assert "no answer" in check["error"], check
        assert check["details"]["connected"] is False
        assert daemon.get("/health/live").status == 200
    finally:
        rabbitmq.sigcont()
    daemon.wait_status("queue", "healthy", 30)


def test_a_restarted_broker(daemon, rabbitmq):
    daemon.write_check("http", COMMON + queue(rabbitmq, "rabbitmq-http", "Connection=persistent"))
    if os.geteuid() == 0:
        daemon.write_check("amqp", COMMON + queue(rabbitmq, "amqp"))
    daemon.start()
    names = list(daemon.wait_for(lambda answer: answer.json["status"] == "healthy", 30)
                 .json["checks"])
    rabbitmq.stop()
    for name in names:
        assert "is the broker running" in daemon.wait_status(name, "unhealthy", 30)["error"]
    rabbitmq.start()
    for name in names:
        daemon.wait_status(name, "healthy", 60)


@pytest.mark.parametrize("behaviour", ["endless_body", "no_answer", "not_http", "silent",
                                       "slow_body", "deep_json"])
def test_a_peer_that_is_no_broker(daemon, backend, behaviour):
    with hostile.Hostile(behaviour) as peer:
        daemon.write_check("queue", COMMON + section(peer.port, backend))
        daemon.start()
        check = daemon.wait_status("queue", "unhealthy", 30)
        assert f"127.0.0.1:{peer.port}" in check["error"]
        assert check["details"]["connected"] is False


@amqp_runs
def test_a_broker_that_stops_listening(daemon):
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        daemon.write_check("queue", COMMON + section(port.getsockname()[1], "amqp"))
        daemon.start()
        error = daemon.wait_status("queue", "unhealthy")["error"]
    assert "nobody accepts connections there (is the broker running?" in error


def test_a_helper_that_is_not_there(daemon, tmp_path):
    daemon.write_check("queue", COMMON + section(5672, "amqp"))
    verified = daemon.verify(env={"HEALTHD_HELPER_DIRECTORY": str(tmp_path)})
    assert verified.returncode != 0
    assert (f"queue.check:10: Backend=amqp is the work of {tmp_path}/check-amqp, which is not "
            "there: install the package healthd-amqp, or build healthd with librabbitmq"
            ) in verified.stderr


@amqp_runs
def test_a_helper_of_somebody_else_is_not_run(daemon, tmp_path):
    helper = tmp_path / "check-amqp"
    helper.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n", encoding="utf-8")
    helper.chmod(0o755)
    os.chown(helper, 65534, 65534)
    daemon.write_check("queue", COMMON + section(5672, "amqp"))
    daemon.start(env={"HEALTHD_HELPER_DIRECTORY": str(tmp_path)})
    assert "belongs to the user 65534" in daemon.wait_status("queue", "error")["error"]
    assert not (tmp_path / "ran").exists()
