# SPDX-License-Identifier: LGPL-2.1-or-later
"""So many checks that what is said of all of them is made in pieces, while it is sent."""

import json
import os
import re
import socket
import time

import pytest
from prometheus_client import parser as prometheus_text
from prometheus_client.openmetrics import parser as openmetrics

from process import wait_until

MANY = 1200
CHECK = "[Check]\nType=application\nInterval=1h\nGroups={group}\n"


def write_checks(daemon, numbers):
    for i in numbers:
        daemon.write_check(f"check-{i:05}", CHECK.format(group="odd" if i % 2 else "even"))


@pytest.fixture
def many(daemon):
    write_checks(daemon, range(MANY))
    daemon.start()
    wait_until("all checks pass", lambda: daemon.get("/health/ready").status == 200)
    return daemon


@pytest.mark.parametrize("via", ["tcp", "unix"])
def test_all_of_it_is_said_once(many, via):
    answer = many.get("/health", via=via)
    assert answer.status == 200
    assert list(answer.json["checks"]) == [f"check-{i:05}" for i in range(MANY)]
    group = many.get("/health/groups/odd", via=via).json["checks"]
    assert list(group) == [f"check-{i:05}" for i in range(1, MANY, 2)]
    assert len(many.get("/health?recent=yes", via=via).json["checks"]) == MANY


@pytest.mark.parametrize("headers, parse", [
    ({}, prometheus_text),
    ({"Accept": "application/openmetrics-text"}, openmetrics)], ids=["prometheus", "openmetrics"])
def test_metrics_stand_by_family(many, headers, parse):
    text = many.get("/metrics", headers=headers).text
    families = list(parse.text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    for family in families:
        if family.name == "healthd_check_status":
            checks = [sample.labels["check"] for sample in family.samples]
            assert checks == [f"check-{i:05}" for i in range(MANY) for _ in range(5)]
    assert families[-1].name.startswith("healthd_journal_dropped")


def test_head_and_old_clients(many):
    assert many.get("/health", method="HEAD").text == ""
    with socket.create_connection(("127.0.0.1", many.port), timeout=20) as client:
        client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        received = b""
        while data := client.recv(65536):
            received += data
    head, body = received.split(b"\r\n\r\n", 1)
    assert b" 200 " in head.split(b"\r\n")[0] and len(json.loads(body)["checks"]) == MANY


def test_a_failure_is_a_503_in_pieces_too(many):
    many.write_check("check-00007", CHECK.format(group="odd") + "FailAfter=1\n"
                     "UnhealthyWhen=open_fds > 0\n")
    many.reload()
    many.wait_status("check-00007", "unhealthy")
    answer = many.get("/health")
    assert answer.status == 503 and answer.json["status"] == "unhealthy"


def read_slowly(many, path, meanwhile):
    """Reads a little of an answer, has something done, and reads the rest."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", many.port))
        client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        received = client.recv(100)
        meanwhile()
        while data := client.recv(65536):
            received += data
    return received.split(b"\r\n\r\n", 1)[1].decode()


def test_a_reload_while_it_is_sent(many):
    """What was there all the time is said once; the rest may be said or not."""
    def change():
        for i in range(0, MANY, 3):
            many.remove_check(f"check-{i:05}")
        write_checks(many, range(MANY, MANY + 300))
        many.reload()
        wait_until("the new checks", lambda: f"check-{MANY + 299:05}" in
                   many.get("/health?recent=yes").json["checks"])
    kept = {f"check-{i:05}" for i in range(MANY) if i % 3}
    body = read_slowly(many, "/metrics", change)
    series = re.findall(r'^healthd_check_required\{check="([^"]+)"\}', body, re.MULTILINE)
    assert len(series) == len(set(series)) and kept <= set(series)
    assert "healthd_journal_dropped" in body


def test_readers_who_leave_cost_nothing(many):
    def descriptors():
        return len(os.listdir(f"/proc/{many.process.pid}/fd"))

    before = descriptors()
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", many.port), timeout=20) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            client.recv(100)
    wait_until("their connections are gone", lambda: descriptors() <= before)
    assert many.get("/health").status == 200


def test_a_stop_while_it_is_sent(many):
    """It is sent to its end, or its end is missing: never what looks whole and is not."""
    with socket.create_connection(("127.0.0.1", many.port), timeout=20) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        received = client.recv(100)
        many.process.terminate()
        time.sleep(0.2)
        while data := client.recv(65536):
            received += data
    assert received.endswith(b"0\r\n\r\n")
    many.terminate()


def test_a_reader_may_take_its_time(many):
    """Longer than a client may take for its request: a minute."""
    body = read_slowly(many, "/metrics", lambda: time.sleep(12.5))
    names = re.findall(r"^# TYPE (\S+)", body, re.MULTILINE)
    assert len(names) == len(set(names)) and names[-1] == "healthd_journal_dropped_total"
