# SPDX-License-Identifier: LGPL-2.1-or-later
"""Type=queue with Backend=redis-list and redis-stream, against real servers."""

import os
import pathlib

import pytest

import servers
from process import free_port, wait_until

COMMON = ("[Check]\nType=queue\nInterval=1s\nRetryInterval=200ms\nFailAfter=1\nPassAfter=1\n"
          "Timeout=500ms\n")
PASSWORD = "s3cr3t-Passw0rd"


def section(server, backend, queue, *lines):
    return "\n".join(["[Queue]", f"Backend={backend}", f"Address={tcp(server)}", f"Queue={queue}",
                      *lines, ""])


def redis_list(server, queue="jobs", *lines):
    return section(server, "redis-list", queue, *lines)


def redis_stream(server, queue="events", *lines):
    return section(server, "redis-stream", queue, *lines)


def tcp(server):
    return f"127.0.0.1:{server.port}"




def fill_stream(server, n_entries=5, stream="events"):
    for number in range(n_entries):
        server.cli("XADD", stream, f"{number + 1}-0", "number", str(number))


def read_group(server, count, group="workers", consumer="one", stream="events"):
    server.cli("XREADGROUP", "GROUP", group, consumer, "COUNT", str(count), "STREAMS", stream, ">")


def test_list(daemon, redis):
    redis.cli("RPUSH", "jobs", "a", "b", "c")
    daemon.write_check("jobs", COMMON + "DegradedWhen=queue_size >= 4\n"
                       "UnhealthyWhen=queue_size >= 5\n" + redis_list(redis))
    daemon.write_check("none", COMMON + redis_list(redis, "no-such-list"))
    daemon.write_check("wanted", COMMON + "UnhealthyWhen=queue_size == 0\n" +
                       redis_list(redis, "no-such-list"))
    daemon.start()
    details = daemon.wait_status("jobs", "healthy")["details"]
    assert details["connected"] is True
    assert details["queue_size"] == 3
    assert set(details) == {"connected", "connect_ms", "queue_size"}
    assert daemon.wait_status("none", "healthy")["details"]["queue_size"] == 0
    assert daemon.wait_status("wanted", "unhealthy")["reason"] == "queue_size == 0 (is 0)"
    redis.cli("RPUSH", "jobs", "d")
    daemon.wait_status("jobs", "degraded")
    redis.cli("RPUSH", "jobs", "e")
    assert daemon.wait_status("jobs", "unhealthy")["reason"] == "queue_size >= 5 (is 5)"
    redis.cli("DEL", "jobs")
    daemon.wait_status("jobs", "healthy")


def test_stream(daemon, redis):
    fill_stream(redis)
    redis.cli("XGROUP", "CREATE", "events", "workers", "0")
    redis.cli("XGROUP", "CREATE", "events", "readers", "$")
    read_group(redis, 2)
    read_group(redis, 1, consumer="two")
    daemon.write_check("stream", COMMON + redis_stream(redis))
    daemon.write_check("workers", COMMON + "UnhealthyWhen=lag > 3\nDegradedWhen=queue_size > 2\n" +
                       redis_stream(redis, "events", "Group=workers"))
    daemon.write_check("readers", COMMON + redis_stream(redis, "events", "Group=readers"))
    daemon.start()
    checks = daemon.first_results("stream", "workers", "readers")
    for name, wanted in (
            ("stream", {"queue_size": 5, "groups": 2, "unacknowledged": 3, "consumers": 2}),
            ("workers", {"messages": 5, "queue_size": 2, "lag": 2, "unacknowledged": 3,
                         "consumers": 2}),
            ("readers", {"messages": 5, "queue_size": 0, "lag": 0, "unacknowledged": 0,
                         "consumers": 0})):
        assert checks[name]["status"] == "healthy", checks[name]
        details = checks[name]["details"]
        del details["connect_ms"]
        assert details == wanted | {"connected": True}
    redis.cli("XACK", "events", "workers", "1-0", "2-0")
    daemon.wait_details("workers", unacknowledged=1, queue_size=2)
    redis.cli("XADD", "events", "6-0", "number", "5")
    daemon.wait_status("workers", "degraded")
    redis.cli("XADD", "events", "7-0", "number", "6")
    assert daemon.wait_status("workers", "unhealthy")["reason"] == "lag > 3 (is 4)"
    read_group(redis, 10)
    daemon.wait_status("workers", "healthy")
    daemon.wait_details("workers", unacknowledged=5, queue_size=0)


def test_a_lag_that_redis_cannot_tell(daemon, redis):
    """Where the group stands in the middle, and an entry behind it was deleted."""
    fill_stream(redis)
    redis.cli("XGROUP", "CREATE", "events", "workers", "2-0")
    redis.cli("XDEL", "events", "4-0")
    daemon.write_check("events", COMMON + redis_stream(redis, "events", "Group=workers"))
    daemon.write_check("limit", COMMON + "UnhealthyWhen=lag > 3\n" +
                       redis_stream(redis, "events", "Group=workers"))
    daemon.start()
    details = daemon.wait_status("events", "healthy")["details"]
    assert details["messages"] == 4
    assert "lag" not in details and "queue_size" not in details
    assert "lag" in daemon.wait_status("limit", "error")["reason"]


def test_what_is_not_there(daemon, redis):
    redis.cli("RPUSH", "jobs", "a")
    fill_stream(redis)
    redis.cli("XGROUP", "CREATE", "empty", "workers", "$", "MKSTREAM")
    daemon.write_check("stream", COMMON + redis_stream(redis, "no-such-stream"))
    daemon.write_check("group", COMMON + redis_stream(redis, "events", "Group=nobody"))
    daemon.write_check("no_list", COMMON + redis_list(redis, "events"))
    daemon.write_check("no_stream", COMMON + redis_stream(redis, "jobs"))
    daemon.write_check("empty", COMMON + redis_stream(redis, "empty", "Group=workers"))
    daemon.write_check("database", COMMON + redis_stream(redis, "events", "Database=3"))
    daemon.start()
    checks = daemon.first_results("stream", "group", "no_list", "no_stream", "empty",
                                  "database")
    assert checks["empty"]["status"] == "healthy", checks["empty"]
    assert checks["empty"]["details"]["queue_size"] == 0
    for name, said in (
            ("stream", 'there is no stream "no-such-stream": check Queue= and Database='),
            ("group", 'the stream "events" has no group "nobody": check Group='),
            ("no_list", 'the key "events" is no list: see what it is by "redis-cli TYPE events", '
             'then correct Queue=, or write Backend=redis-stream'),
            ("no_stream", 'the key "jobs" is no stream: see what it is by "redis-cli TYPE jobs", '
             'then correct Queue=, or write Backend=redis-list'),
            ("database", 'there is no stream "events": check Queue= and Database=')):
        assert checks[name]["status"] == "unhealthy"
        assert f"{tcp(redis)}: {said}" in checks[name]["error"]
        assert checks[name]["details"]["connected"] is True


@pytest.fixture
def locked():
    with servers.Redis(password=PASSWORD) as server:
        yield server


def test_log_in(daemon, locked):
    fill_stream(locked)
    locked.cli("RPUSH", "jobs", "a")
    locked.cli("ACL", "SETUSER", "monitor", "on", ">monitor-pw", "~jobs", "~events", "+llen",
               "+xlen", "+xinfo|groups")
    locked.cli("ACL", "SETUSER", "stranger", "on", ">stranger-pw", "~other", "+llen", "+xlen")
    locked.cli("ACL", "SETUSER", "half", "on", ">half-pw", "~events", "+xlen")
    monitor = ("Username=monitor", "Password=monitor-pw")
    daemon.write_check("right", COMMON + redis_list(locked, "jobs", f"Password={PASSWORD}"))
    daemon.write_check("user", COMMON + redis_list(locked, "jobs", *monitor))
    daemon.write_check("stream", COMMON + redis_stream(locked, "events", *monitor))
    daemon.write_check("wrong", COMMON + redis_list(locked, "jobs", "Password=wrong-one"))
    daemon.write_check("none", COMMON + redis_list(locked))
    daemon.write_check("stranger", COMMON + redis_list(locked, "jobs", "Username=stranger",
                                                       "Password=stranger-pw"))
    daemon.write_check("half", COMMON + redis_stream(locked, "events", "Username=half",
                                                     "Password=half-pw"))
    daemon.start()
    checks = daemon.first_results("right", "user", "stream", "wrong", "none", "stranger",
                                  "half")
    for name in ("right", "user", "stream"):
        assert checks[name]["status"] == "healthy", checks[name]
    for name, said, hint in (
            ("wrong", "WRONGPASS", "check Username= and Password="),
            ("none", "NOAUTH", "set Password="),
            ("stranger", "NOPERM", "(allow it: ACL SETUSER stranger ~jobs +llen)"),
            ("half", "NOPERM", "(allow it: ACL SETUSER half ~events +xlen +xinfo|groups)")):
        assert checks[name]["status"] == "unhealthy"
        assert said in checks[name]["error"] and hint in checks[name]["error"]
    # What the message says to do must be what helps.
    locked.cli("ACL", "SETUSER", "stranger", "~jobs", "+llen")
    locked.cli("ACL", "SETUSER", "half", "~events", "+xlen", "+xinfo|groups")
    daemon.wait_status("stranger", "healthy")
    daemon.wait_status("half", "healthy")
    assert PASSWORD not in daemon.get("/health").text
    daemon.terminate()
    assert PASSWORD not in daemon.stderr()


def test_tls_and_a_socket(daemon, certificates):
    with servers.Redis(certificates=certificates) as server:
        server.cli("RPUSH", "jobs", "a")
        daemon.write_check("tls", COMMON + f"""[Queue]
Backend=redis-list
Address=localhost:{server.tls_port}
TLS=yes
CAFile={certificates.ca}
Queue=jobs
Connection=persistent
""")
        daemon.write_check("socket", COMMON + f"""[Queue]
Backend=redis-list
Address={server.socket}
Queue=jobs
""")
        daemon.start()
        for name in ("tls", "socket"):
            assert daemon.wait_status(name, "healthy")["details"]["queue_size"] == 1
        daemon.wait_details("tls", connect_ms=0)


@pytest.mark.parametrize("connection", ["fresh", "persistent"])
def test_hang(daemon, redis, connection):
    fill_stream(redis)
    daemon.write_check("list", COMMON + redis_list(redis, "jobs", f"Connection={connection}"))
    daemon.write_check("stream", COMMON + redis_stream(redis, "events",
                                                       f"Connection={connection}"))
    daemon.start()
    daemon.wait_status("list", "healthy")
    daemon.wait_status("stream", "healthy")
    redis.sigstop()
    for name, command in (("list", "LLEN"), ("stream", "XLEN")):
        check = daemon.wait_status(name, "unhealthy")
        assert check["error"] == f"timed out after 500ms: no answer from {tcp(redis)} to {command}"
        assert check["details"]["connected"] is True
    redis.sigcont()
    daemon.wait_status("list", "healthy")
    daemon.wait_status("stream", "healthy")


def test_restart(daemon, redis):
    for name, connection in (("fresh", "fresh"), ("kept", "persistent")):
        daemon.write_check(name, COMMON + redis_list(redis, "jobs", f"Connection={connection}"))
    daemon.start()
    daemon.wait_status("fresh", "healthy")
    daemon.wait_status("kept", "healthy")
    redis.kill9()
    said = (f"connecting to {tcp(redis)}: Connection refused "
            "(is a Redis server there? check Address=)")
    for name in ("fresh", "kept"):
        # What was under way when the server died says something else.
        check = daemon.wait_for(lambda answer, name=name: answer.json["checks"][name].get("error")
                                == said).json["checks"][name]
        assert check["details"] == {"connected": False}
    redis.start()
    daemon.wait_status("fresh", "healthy")
    daemon.wait_status("kept", "healthy")


def test_the_end_of_a_kept_connection_runs_the_check_at_once(daemon, redis):
    daemon.write_check("jobs", COMMON.replace("Interval=1s", "Interval=60s", 1) +
                       redis_list(redis, "jobs", "Connection=persistent"))
    daemon.start()
    first = daemon.wait_status("jobs", "healthy")
    redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_until("it runs again", lambda: daemon.check("jobs")["checked_at"] > first["checked_at"],
               10)
    assert daemon.check("jobs")["status"] == "healthy"


@pytest.mark.parametrize("lines, said", [
    (["Backend=redis-list"], "Queue= is missing"),
    (["Backend=redis-list", "Queue=jobs", "Group=workers"], "Group= means nothing to "
     "Backend=redis-list"),
    (["Backend=redis-stream", "Queue=jobs", "VirtualHost=x"], "VirtualHost= means nothing"),
    (["Backend=redis-list", "Queue=jobs", "Address=/run/redis.sock", "TLS=yes"], "unix socket"),
    (["Backend=redis-list", "Queue=jobs", "Address=localhost:99999"], "127.0.0.1:6379"),
    (["Backend=redis-lists", "Queue=jobs"], "redis-list"),
])
def test_mistakes_are_explained(daemon, lines, said):
    daemon.write_check("queue", COMMON + "\n".join(["[Queue]", *lines, ""]))
    result = daemon.verify()
    assert result.returncode != 0
    assert "queue.check:" in result.stderr
    assert said in result.stderr


def test_nobody_there(daemon):
    port = free_port()
    daemon.write_check("queue", COMMON + f"[Queue]\nBackend=redis-stream\nAddress=127.0.0.1:{port}"
                       "\nQueue=events\n")
    daemon.start()
    assert "(is a Redis server there? check Address=)" in daemon.wait_status("queue",
                                                                             "unhealthy")["error"]


def test_the_example(daemon):
    example = pathlib.Path(os.environ["HEALTHD_SOURCE"], "checks/examples/queue-redis.check")
    daemon.write_check("orders", example.read_text(encoding="utf-8"))
    result = daemon.verify()
    assert result.returncode == 0, result.stderr
