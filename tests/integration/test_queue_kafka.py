# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Type=queue with Backend=kafka. Debian has no Kafka: what runs here are the mock brokers of
librdkafka in a process of their own. They speak the protocol over TCP and answer with the errors
they are told to, but they are no Kafka: log-in (SASL), TLS and the broker's own ACLs never ran. Where
there is a Kafka, HEALTHD_TEST_KAFKA="HOST:PORT TOPIC GROUP" has the last test ask it.
"""

import json
import os
import select
import socket
import subprocess
import time

import pytest

import brokers
import hostile
from process import free_port

COMMON = ("[Check]\nType=queue\nInterval=1s\nRetryInterval=200ms\nFailAfter=1\nPassAfter=1\n"
          "Timeout=4s\nBreakerAfter=0\n")

# Kinds of requests and errors, by their numbers in Kafka's protocol.
OFFSET_FETCH = 9
LIST_OFFSETS = 2
UNKNOWN_TOPIC = 3
TOPIC_AUTHORIZATION_FAILED = 29
GROUP_AUTHORIZATION_FAILED = 30

pytestmark = [
    pytest.mark.skipif(not brokers.KafkaMock.is_built(), reason="built without librdkafka"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only what belongs to root is run as a helper"),
]


def section(address, *lines, queue="orders", group="billing"):
    return "\n".join(["[Queue]", "Backend=kafka", f"Address={address}", f"Queue={queue}",
                      f"Group={group}", *lines, ""])


@pytest.fixture
def kafka():
    with brokers.KafkaMock() as mock:
        yield mock


def test_lag_of_a_group(daemon, kafka):
    daemon.write_check("lag", COMMON + section(kafka.address))
    daemon.write_check("backlog", COMMON + "UnhealthyWhen=queue_size > 15\n" +
                       section(f"127.0.0.1:{free_port()}, {kafka.address}"))
    daemon.start()
    details = daemon.wait_status("lag", "healthy")["details"]
    # Of ten messages in each partition: four read, all read, none read.
    assert details == {"connected": True, "queue_size": 16, "lag": 16, "lag_max": 10,
                       "messages": 30, "partitions": 3}
    assert daemon.wait_status("backlog", "unhealthy")["reason"] == "queue_size > 15 (is 16)"


def test_what_is_missing_is_named(daemon, kafka):
    kafka.order("topic", "nope", UNKNOWN_TOPIC)
    daemon.write_check("topic", COMMON + section(kafka.address, queue="nope"))
    daemon.write_check("group", COMMON + section(kafka.address, group="nope"))
    daemon.write_check("broker", COMMON + section(f"127.0.0.1:{free_port()}"))
    daemon.write_check("name", COMMON + section("no-host.invalid"))
    daemon.start()
    expected = {
        "topic": "there is no such topic: check Queue=",
        "group": "the group \"nope\" has never committed anything in the topic \"orders\"",
        "broker": "Connection refused",
        "name": "the name cannot be resolved: check the hosts in Address=",
    }
    for name, text in expected.items():
        check = daemon.wait_status(name, "unhealthy")
        assert text in check["error"], check
        assert check["details"]["connected"] is (name in ("topic", "group"))


def test_what_is_not_allowed_is_named(daemon, kafka):
    kafka.order("topic", "orders", TOPIC_AUTHORIZATION_FAILED)
    daemon.write_check("queue", COMMON + section(kafka.address))
    daemon.start()
    daemon.wait_for(lambda answer: "the user may not look at this topic" in
                    answer.json["checks"]["queue"].get("error", ""))
    kafka.order("topic", "orders", 0)
    daemon.wait_status("queue", "healthy")
    kafka.order("request", OFFSET_FETCH, GROUP_AUTHORIZATION_FAILED)
    daemon.wait_for(lambda answer: "the user may not look at this group" in
                    answer.json["checks"]["queue"].get("error", ""))
    kafka.order("request", OFFSET_FETCH, 0)
    daemon.wait_status("queue", "healthy")


def test_brokers_that_hang_and_that_die(daemon, kafka):
    daemon.write_check("queue", COMMON + section(kafka.address))
    daemon.start()
    daemon.wait_status("queue", "healthy")
    kafka.sigstop()
    try:
        check = daemon.wait_status("queue", "unhealthy", timeout=30)
        # Its own deadline, or on a busy machine that of healthd, which kills it.
        assert "no answer" in check["error"]
        assert check["details"]["connected"] is False
    finally:
        kafka.sigcont()
    daemon.wait_status("queue", "healthy")
    kafka.kill9()
    assert "is the broker running?" in daemon.wait_status("queue", "unhealthy")["error"]


@pytest.mark.parametrize("behaviour", ["endless_body", "silent", "no_answer", "not_http"])
def test_a_peer_that_is_no_kafka(daemon, behaviour):
    with hostile.Hostile(behaviour) as peer:
        daemon.write_check("queue", COMMON + section(f"127.0.0.1:{peer.port}"))
        daemon.start()
        check = daemon.wait_status("queue", "unhealthy", timeout=30)
        assert f"127.0.0.1:{peer.port}" in check["error"]
        assert check["details"]["connected"] is False


def test_what_was_found_does_not_wait_for_the_end_of_the_client(kafka, tmp_path):
    """librdkafka waits for its threads, and one of them for a name that nobody resolves."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        try:
            host = f"127.54.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
            silent.bind((host, 53))
        except OSError as error:
            pytest.skip(f"may not be a name server: {error}")
        (tmp_path / "resolv.conf").write_text(f"nameserver {host}\n", encoding="ascii")
        (tmp_path / "nsswitch.conf").write_text("hosts: dns\n", encoding="ascii")
        program = f"{os.environ['HEALTHD_HELPER_DIRECTORY']}/check-kafka"
        command = (f"mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && "
                   f"mount --bind {tmp_path}/nsswitch.conf /etc/nsswitch.conf && "
                   f"exec {program} --address={kafka.address},no-host.test:9092 --queue=orders "
                   "--group=billing --deadline-usec=")
        # Which broker is asked first is a matter of chance.
        while not select.select([silent], [], [], 0)[0]:
            started = time.monotonic()
            ended = subprocess.run(["unshare", "-m", "sh", "-c", f"{command}{(started + 3) * 1e6:.0f}"],
                                   stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                   timeout=60, check=True)
            duration = time.monotonic() - started
        assert json.loads(ended.stdout)["details"]["queue_size"] == 16
        assert duration < 3


def test_the_configuration(daemon):
    daemon.write_check("group", COMMON + "[Queue]\nBackend=kafka\nQueue=orders\n")
    daemon.write_check("address", COMMON + section("kafka1:9092,/run/kafka"))
    daemon.write_check("user", COMMON + section("kafka1", "Password=x"))
    daemon.write_check("mechanism", COMMON + section("kafka1", "Mechanism=SCRAM-SHA-512"))
    verified = daemon.verify()
    assert verified.returncode != 0
    for text in ("group.check:10: Backend=kafka needs Group=",
                 "address.check:11: Address= must be one broker or several: kafka1:9092",
                 "user.check:14: Password= needs Username=",
                 "mechanism.check:14: Mechanism= needs Username= and Password="):
        assert text in verified.stderr, verified.stderr


def test_a_login_of_more_than_one_line_is_refused(daemon, tmp_path):
    """The last line end of a credential is not part of it; another one would cut it."""
    for name, text in ("one", "secret\n"), ("two", "sec\nret"), ("empty", "secret\n\n"):
        (tmp_path / name).write_text(text, encoding="ascii")
    daemon.write_check("one", COMMON + section("kafka1", "Username=a", "Password=credential:one"))
    refused = {"user.check:14: Username=": ("credential:two", "credential:one"),
               "word.check:15: Password=": ("credential:one", "credential:two"),
               "end.check:15: Password=": ("credential:one", "credential:empty")}
    for said, (user, password) in refused.items():
        daemon.write_check(said.split(".")[0], COMMON + section(
            "kafka1", f"Username={user}", f"Password={password}"))
    verified = daemon.verify(env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "one.check" not in verified.stderr
    for said in refused:
        assert f"{said} is more than one line" in verified.stderr, verified.stderr


def test_a_real_kafka(daemon):
    """Of what is there, only that it can be measured."""
    if "HEALTHD_TEST_KAFKA" not in os.environ:
        pytest.skip("no Kafka in Debian: log-in, TLS and ACLs of a real broker were not tried; set "
                    "HEALTHD_TEST_KAFKA='HOST:PORT TOPIC GROUP' to try one")
    address, topic, group = os.environ["HEALTHD_TEST_KAFKA"].split()
    daemon.write_check("queue", COMMON + section(address, queue=topic, group=group))
    daemon.start()
    details = daemon.wait_status("queue", "healthy", 30)["details"]
    assert details["connected"] is True and details["lag"] >= 0 and details["partitions"] > 0
