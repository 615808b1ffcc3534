# SPDX-License-Identifier: LGPL-2.1-or-later
"""Type=queue with Backend=nats against real servers, and against some that only claim to be one."""

import pytest

import brokers
import hostile
import servers
from process import free_port, wait_until

COMMON = ("[Check]\nType=queue\nInterval=1s\nRetryInterval=200ms\nFailAfter=1\nPassAfter=1\n"
          "Timeout=2s\nBreakerAfter=0\n")


ANSWER = """
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 '{answer}'; }}
    }}
"""


def section(port, *lines, queue="orders"):
    return "\n".join(["[Queue]", "Backend=nats", f"Address=127.0.0.1:{port}", f"Queue={queue}",
                      *lines, ""])


@pytest.fixture(scope="module")
def server():
    with brokers.Nats() as nats:
        for user in ("shop", "back"):
            client = nats.client(user)
            for stream in ("orders", user):
                client.add_stream(stream)
            client.close()
        yield nats


@pytest.fixture
def nats(server):
    """The server with an empty stream "orders" of the account SHOP, read by "billing"."""
    client = server.client()
    client.delete_stream("orders")
    client.add_stream("orders")
    client.add_consumer("orders", "billing")
    client.close()
    return server


def shop(nats, *lines, queue="orders"):
    return section(nats.monitoring_port, "VirtualHost=SHOP", *lines, queue=queue)


def test_details_of_a_stream_and_a_consumer(daemon, nats):
    client = nats.client()
    client.publish("orders", 5)
    client.take("orders", "billing")
    client.close()
    daemon.write_check("stream", COMMON + shop(nats))
    daemon.write_check("consumer", COMMON + shop(nats, "Group=billing", "Connection=persistent"))
    daemon.write_check("backlog", COMMON + "DegradedWhen=queue_size >= 4\n" +
                       shop(nats, "Group=billing"))
    daemon.start()
    details = daemon.wait_status("stream", "healthy")["details"]
    assert details == {"connected": True, "broker_status": "ok", "messages": 5, "queue_size": 5,
                       "bytes": details["bytes"], "consumers": 1}
    details = daemon.wait_status("consumer", "healthy")["details"]
    assert details == {"connected": True, "broker_status": "ok", "messages": 5, "queue_size": 4,
                       "lag": 4, "unacknowledged": 1, "redelivered": 0, "waiting_pulls": 0,
                       "bytes": details["bytes"], "consumers": 1}
    assert daemon.wait_status("backlog", "degraded")["reason"] == "queue_size >= 4 (is 4)"


def test_what_is_missing_is_named(daemon, nats):
    port = nats.monitoring_port
    daemon.write_check("stream", COMMON + shop(nats, queue="nope"))
    daemon.write_check("consumer", COMMON + shop(nats, "Group=nope"))
    daemon.write_check("account", COMMON + section(port, "VirtualHost=NOPE"))
    daemon.write_check("ambiguous", COMMON + section(port))
    daemon.write_check("unique", COMMON + section(port, queue="back"))
    daemon.write_check("other", COMMON + shop(nats, queue="back"))
    daemon.write_check("broker", COMMON + section(free_port()))
    daemon.write_check("name", COMMON + section(port).replace("127.0.0.1", "no-host.invalid"))
    daemon.write_check("port", COMMON + section(nats.port))
    daemon.start()
    expected = {
        "stream": "no stream \"nope\" is on this server: check Queue=",
        "consumer": "the stream \"orders\" has no consumer \"nope\": check Group=",
        "account": "no account \"NOPE\" with JetStream is here: check VirtualHost=",
        "ambiguous": "several accounts have a stream \"orders\": say whose by VirtualHost=",
        "other": "no stream \"back\" is on this server",
        "broker": "Connection refused (is the broker running, and is http_port set",
        "name": "(check the host in Address=)",
    }
    for name, text in expected.items():
        check = daemon.wait_status(name, "unhealthy")
        assert text in check["error"], check
        assert check["details"]["connected"] is (name not in ("broker", "name"))
    assert daemon.wait_status("unique", "healthy")["details"]["messages"] == 0
    daemon.wait_status("port", "unhealthy")


def test_without_jetstream(daemon):
    with brokers.Nats(jetstream=False) as plain:
        daemon.write_check("queue", COMMON + section(plain.monitoring_port))
        daemon.start()
        error = daemon.wait_status("queue", "unhealthy")["error"]
        assert "does not run JetStream: enable it" in error


def test_a_hanging_server_costs_the_deadline(daemon, nats):
    daemon.write_check("queue", COMMON + shop(nats))
    daemon.start()
    daemon.wait_status("queue", "healthy")
    nats.sigstop()
    try:
        check = daemon.wait_status("queue", "unhealthy")
        assert "/healthz: no answer from 127.0.0.1" in check["error"]
        assert daemon.get("/health/live").status == 200
    finally:
        nats.sigcont()
    daemon.wait_status("queue", "healthy")


def test_a_restarted_server(daemon, nats):
    daemon.write_check("fresh", COMMON + shop(nats))
    daemon.write_check("kept", COMMON + shop(nats, "Connection=persistent"))
    daemon.start()
    for name in ("fresh", "kept"):
        daemon.wait_status(name, "healthy")
    nats.stop()
    for name in ("fresh", "kept"):
        assert "Connection refused" in daemon.wait_status(name, "unhealthy")["error"]
    nats.start()
    for name in ("fresh", "kept"):
        assert daemon.wait_status(name, "healthy")["details"]["messages"] == 0


@pytest.mark.parametrize("behaviour", sorted(hostile.BEHAVIOURS))
def test_a_hostile_peer_costs_at_most_the_deadline(daemon, behaviour):
    with hostile.Hostile(behaviour) as peer:
        daemon.write_check("queue", COMMON + section(peer.port))
        daemon.start()
        check = daemon.wait_status("queue", "unhealthy")
        assert f"GET http://127.0.0.1:{peer.port}/healthz" in check["error"]
        assert "queue_size" not in check["details"]


@pytest.mark.parametrize("answer", [
    "[]", "null", "{}", '{"status":1}', '{"status":"ok"}', '{"status":"ok","account_details":{}}',
    '{"status":"ok","server_id":"x","account_details":[1,{"stream_detail":[null,{"name":7}]}]}',
    '{"status":"ok","server_id":"x","account_details":'
    '[{"stream_detail":[{"name":"orders","state":"none","consumer_detail":{"name":"x"}}]}]}',
])
def test_json_of_another_kind(daemon, answer):
    """Both questions are answered with the same: none of these can be a stream with numbers."""
    with servers.Nginx(ANSWER, answer=answer) as peer:
        daemon.write_check("queue", COMMON + "UnhealthyWhen=queue_size > 0\n" +
                           section(peer.port))
        daemon.start()
        wait_until("a result", lambda: daemon.check("queue")["status"] in ("unhealthy", "error"))
