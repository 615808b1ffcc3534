# SPDX-License-Identifier: LGPL-2.1-or-later
"""Type=redis against real servers, and against some that only claim to be one."""

import time

import pytest

import servers
from acceptor import Acceptor
from process import free_port, wait_until

COMMON = ("[Check]\nType=redis\nInterval=1s\nRetryInterval=200ms\nFailAfter=1\nPassAfter=1\n"
          "Timeout=500ms\n")
SLOW = COMMON.replace("Interval=1s", "Interval=60s", 1).replace("RetryInterval=200ms",
                                                                "RetryInterval=60s")
PASSWORD = "s3cr3t-Passw0rd"


def section(address, *lines):
    return "\n".join(["[Redis]", f"Address={address}", *lines, ""])


def tcp(server):
    return f"127.0.0.1:{server.port}"




def test_details(daemon, redis):
    redis.cli("RPUSH", "jobs", "a", "b", "c")
    redis.cli("SET", "load", "1.5")
    daemon.write_check("tcp", COMMON + section(tcp(redis), "Command=LLEN jobs"))
    daemon.write_check("socket", COMMON + section(redis.socket, "Command=GET load"))
    daemon.write_check("kept", COMMON + section(tcp(redis), "Connection=persistent", "Database=1",
                                                "Command=LRANGE jobs 0 -1"))
    daemon.write_check("name", COMMON + section(f"localhost:{redis.port}", "Info=tcp_port os",
                                                "Command=GET nothing"))
    daemon.write_check("all", COMMON + section(tcp(redis), "Info=all", "Command=ECHO hello"))
    daemon.start()
    checks = daemon.first_results("tcp", "socket", "kept", "name", "all")
    for name in ("tcp", "socket", "kept", "name", "all"):
        assert checks[name]["status"] == "healthy", checks[name]
        details = checks[name]["details"]
        assert details["connected"] is True
        assert details["ping"] == "PONG"
        assert details["role"] == "master"
        assert details["replication_lag"] == 0
        assert details["connected_clients"] >= 1
        assert details["used_memory"] > 100000
        assert details["redis_version"].count(".") == 2
        assert 0 < details["ping_ms"] < 500
    assert checks["tcp"]["details"]["reply"] == 3
    assert checks["socket"]["details"]["reply"] == 1.5
    assert checks["kept"]["details"]["reply"] == 0
    assert "reply" not in checks["name"]["details"]
    assert checks["name"]["details"]["tcp_port"] == redis.port
    assert checks["name"]["details"]["os"].startswith("Linux")
    assert "tcp_port" not in checks["tcp"]["details"]
    assert checks["all"]["details"]["reply"] == "hello"
    assert len(checks["all"]["details"]) > 100


def test_a_kept_connection_is_used_again(daemon, redis):
    daemon.write_check("kept", COMMON.replace("Interval=1s", "Interval=200ms", 1) +
                       section(tcp(redis), "Connection=persistent"))
    daemon.write_check("new", COMMON.replace("Interval=1s", "Interval=200ms", 1) +
                       section(redis.socket, "Info=total_connections_received"))
    daemon.start()
    daemon.wait_details("kept", connect_ms=0)
    clients = redis.cli("CLIENT", "LIST").splitlines()
    assert sum(f"laddr=127.0.0.1:{redis.port}" in client for client in clients) == 1
    assert daemon.check("new")["details"]["connect_ms"] > 0


def test_conditions_on_any_field(daemon, redis):
    daemon.write_check("queue", COMMON + "UnhealthyWhen=reply > 2\n" +
                       section(tcp(redis), "Command=LLEN jobs"))
    daemon.write_check("field", COMMON + "DegradedWhen=mem_fragmentation_ratio > 0\n"
                       "UnhealthyWhen=total_commands_processed < 0\n" + section(tcp(redis)))
    daemon.write_check("percent", COMMON + "DegradedWhen=used_memory_peak_perc > 0%\n" +
                       section(tcp(redis)))
    daemon.write_check("absent", COMMON + "UnhealthyWhen=no_such_field > 1\n" +
                       section(tcp(redis)))
    daemon.start()
    daemon.wait_status("queue", "healthy")
    field = daemon.wait_status("field", "degraded")
    assert field["details"]["mem_fragmentation_ratio"] > 0
    assert "mem_fragmentation_ratio > 0" in field["reason"]
    daemon.wait_status("percent", "degraded")
    assert "no_such_field" in daemon.wait_status("absent", "error")["reason"]
    redis.cli("RPUSH", "jobs", "a", "b", "c")
    assert daemon.wait_status("queue", "unhealthy")["reason"] == "reply > 2 (is 3)"
    redis.cli("DEL", "jobs")
    daemon.wait_status("queue", "healthy")


@pytest.fixture
def locked():
    with servers.Redis(password=PASSWORD) as server:
        yield server


def test_log_in(daemon, locked):
    locked.cli("ACL", "SETUSER", "monitor", "on", ">monitor-pw", "+ping", "+info")
    locked.cli("ACL", "SETUSER", "pinger", "on", ">pinger-pw", "+ping")
    locked.cli("ACL", "SETUSER", "nobody", "on", ">nobody-pw")
    address = tcp(locked)
    daemon.write_check("right", COMMON + section(address, f"Password={PASSWORD}", "Database=3"))
    daemon.write_check("user", COMMON + section(address, "Username=monitor", "Password=monitor-pw"))
    daemon.write_check("pinger", COMMON + section(address, "Username=pinger", "Password=pinger-pw"))
    daemon.write_check("nobody", COMMON + section(address, "Username=nobody", "Password=nobody-pw"))
    daemon.write_check("wrong", COMMON + section(address, "Password=wrong-one"))
    daemon.write_check("none", COMMON + section(address))
    daemon.write_check("database", COMMON + section(address, f"Password={PASSWORD}",
                                                    "Database=999"))
    daemon.write_check("command", COMMON + section(address, f"Password={PASSWORD}",
                                                   "Command=NONSENSE 1"))
    daemon.start()
    checks = daemon.first_results("right", "user", "pinger", "nobody", "wrong", "none",
                                  "database", "command")
    for name in ("right", "user", "pinger"):
        assert checks[name]["status"] == "healthy", checks[name]
    assert "role" in checks["user"]["details"]
    assert "role" not in checks["pinger"]["details"]
    for name, said, hint in (("nobody", "PING with: NOPERM", "ACL SETUSER"),
                             ("wrong", "AUTH with: WRONGPASS", "check Username= and Password="),
                             ("none", "PING with: NOAUTH", "set Password="),
                             ("database", "SELECT with: ERR DB index", "check Database="),
                             ("command", "NONSENSE with: ERR unknown command", "")):
        check = checks[name]
        assert check["status"] == "unhealthy"
        assert f"{address} answered {said}" in check["error"]
        assert hint in check["error"]
        assert check["details"]["connected"] is True


def test_tls(daemon, certificates):
    with servers.Redis(certificates=certificates) as server:
        address, ca = f"localhost:{server.tls_port}", f"CAFile={certificates.ca}"
        daemon.write_check("right", COMMON + section(address, "TLS=yes", ca))
        daemon.write_check("kept", COMMON + section(address, "TLS=yes", ca,
                                                    "Connection=persistent"))
        daemon.write_check("stranger", COMMON + section(address, "TLS=yes"))
        daemon.write_check("name", COMMON + section(address, "TLS=yes", ca,
                                                    "ServerName=other.example"))
        daemon.write_check("plain", COMMON + section(address))
        daemon.start()
        checks = daemon.first_results("right", "kept", "stranger", "name", "plain")
        for name in ("right", "kept"):
            assert checks[name]["status"] == "healthy", checks[name]
            assert checks[name]["details"]["ping"] == "PONG"
        for name, cause in (("stranger", "certificate"), ("name", "other.example"),
                            ("plain", "set TLS=yes")):
            assert checks[name]["status"] == "unhealthy"
            assert f"localhost (127.0.0.1:{server.tls_port})" in checks[name]["error"]
            assert cause in checks[name]["error"]
        daemon.wait_details("kept", connect_ms=0)
        server.kill9()
        daemon.wait_status("kept", "unhealthy", 5)


def test_refused_and_back(daemon, redis):
    daemon.write_check("tcp", COMMON + section(tcp(redis)))
    daemon.write_check("socket", COMMON + section(redis.socket))
    daemon.write_check("nowhere", COMMON + section("no-such-host.invalid"))
    daemon.start()
    daemon.wait_status("tcp", "healthy")
    assert "resolving no-such-host.invalid" in daemon.wait_status("nowhere", "unhealthy")["error"]
    redis.kill9()
    check = daemon.wait_status("tcp", "unhealthy")
    assert check["error"] == f"connecting to {tcp(redis)}: Connection refused"
    assert check["details"] == {"connected": False}
    assert redis.socket in daemon.wait_status("socket", "unhealthy")["error"]
    redis.start()
    daemon.wait_status("tcp", "healthy")
    daemon.wait_status("socket", "healthy")


@pytest.mark.parametrize("connection", ["fresh", "persistent"])
def test_hang(daemon, redis, connection):
    daemon.write_check("redis", COMMON + section(tcp(redis), f"Connection={connection}"))
    daemon.start()
    daemon.wait_status("redis", "healthy")
    redis.sigstop()
    check = daemon.wait_status("redis", "unhealthy")
    assert check["error"] == f"timed out after 500ms: no answer from {tcp(redis)} to PING"
    assert 499 <= check["duration_ms"] < 2000
    assert check["details"]["connected"] is True
    redis.sigcont()
    daemon.wait_status("redis", "healthy")


def test_a_blocking_command_is_cut_off(daemon, redis):
    daemon.write_check("redis", COMMON + section(tcp(redis), "Command=BLPOP nothing 30"))
    daemon.start()
    check = daemon.wait_status("redis", "unhealthy")
    assert check["error"].endswith("to BLPOP")
    assert check["details"]["ping"] == "PONG"


@pytest.mark.parametrize("where", ["tcp", "socket"])
def test_the_end_of_a_kept_connection_runs_the_check_at_once(daemon, redis, where):
    address = tcp(redis) if where == "tcp" else redis.socket
    daemon.write_check("redis", SLOW + section(address, "Connection=persistent"))
    daemon.start()
    daemon.wait_status("redis", "healthy")
    redis.kill9()
    daemon.wait_status("redis", "unhealthy", 5)


def test_a_closed_connection_alone_is_no_failure(daemon, redis):
    daemon.write_check("redis", SLOW + section(tcp(redis), "Connection=persistent"))
    daemon.start()
    first = daemon.wait_status("redis", "healthy")
    redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_until("it runs again", lambda: daemon.check("redis")["checked_at"] > first["checked_at"],
               5)
    check = daemon.check("redis")
    assert (check["status"], check["consecutive_failures"]) == ("healthy", 0)
    assert check["details"]["connect_ms"] > 0


def test_replication(daemon, redis):
    with servers.Redis(arguments=["--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1",
                                  str(redis.port)]) as replica:
        daemon.write_check("master", COMMON + section(tcp(redis), "Info=connected_slaves"))
        daemon.write_check("replica", COMMON + "UnhealthyWhen=replication_lag > 2\n" +
                           section(tcp(replica)))
        daemon.start()
        daemon.wait_details("replica", timeout=30, master_link_status="up")
        details = daemon.wait_status("replica", "healthy")["details"]
        assert details["role"] == "slave"
        assert daemon.check("master")["details"]["connected_slaves"] == 1
        redis.kill9()
        check = daemon.wait_status("replica", "unhealthy")
        assert check["details"]["master_link_status"] == "down"
        assert check["details"]["replication_lag"] > 2


class Impostor(Acceptor):
    """Says the same to everyone, then closes or waits."""

    def __init__(self, words, close=False):
        self.words = words
        self.keeps = not close
        super().__init__()

    def converse(self, connection):
        connection.sendall(self.words)


IMPOSTORS = {
    "http": (b"HTTP/1.1 400 Bad Request\r\n\r\n", False, "does not speak Redis's protocol"),
    "full": (b"-ERR max number of clients reached\r\n", True, "raise maxclients"),
    "loading": (b"-LOADING Redis is loading\r\n", False, "when its data set is loaded"),
    "closing": (b"+PONG\r\n", True, "closed the connection instead of answering INFO"),
    "silent": (b"+PONG\r\n$5\r\nabc", False, "to INFO"),
    "echo": (b"+PING\r\n", False, "did not answer PING with PONG"),
    "nil": (b"+PONG\r\n$-1\r\n", False, "did not answer INFO with text"),
    "flood": (b"+PONG\r\n$9999999\r\n" + b"x" * 2000000, False, "more than 1 MiB"),
    "array": (b"*2147483647\r\n", False, "a reply is too large"),
    "nested": (b"+PONG\r\n" + b"*1\r\n" * 100, False, "does not speak Redis's protocol"),
}


def test_impostors(daemon):
    impostors = {name: Impostor(words, close) for name, (words, close, _) in IMPOSTORS.items()}
    try:
        for name, impostor in impostors.items():
            daemon.write_check(name, COMMON + section(tcp(impostor)))
        daemon.start()
        checks = daemon.first_results(*IMPOSTORS)
        for name, (_, _, said) in IMPOSTORS.items():
            assert said in checks[name]["error"]
            assert tcp(impostors[name]) in checks[name]["error"]
            assert checks[name]["status"] == "unhealthy"
    finally:
        for impostor in impostors.values():
            impostor.close()


def test_a_server_that_always_hangs_up_is_not_hammered(daemon):
    impostor = Impostor(b"+PONG\r\n$0\r\n\r\n", close=False)
    try:
        daemon.write_check("redis", SLOW + section(tcp(impostor), "Connection=persistent"))
        daemon.start()
        daemon.wait_status("redis", "healthy")
        end = time.monotonic() + 1
        while time.monotonic() < end:
            for connection in list(impostor.connections):
                connection.close()
            time.sleep(0.01)
        assert len(impostor.connections) <= 3
    finally:
        impostor.close()


class OneAnswer(Impostor):
    """Answers the first request of a connection and closes at the second."""

    def converse(self, connection):
        if connection.recv(4096):
            connection.sendall(self.words)
            connection.recv(4096)


def test_a_kept_connection_that_is_dead_is_tried_once_more(daemon):
    server = OneAnswer(b"+PONG\r\n$0\r\n\r\n", close=True)
    try:
        daemon.write_check("redis", COMMON.replace("Interval=1s", "Interval=100ms", 1) +
                           section(tcp(server), "Connection=persistent"))
        daemon.start()
        daemon.wait_for(lambda _: len(server.connections) >= 5)
        assert "redis is unhealthy" not in daemon.stderr()
        assert daemon.check("redis")["status"] == "healthy"
    finally:
        server.close()


def test_secrets(daemon, locked, tmp_path):
    (tmp_path / "redis-pw").write_text(PASSWORD + "\n", encoding="utf-8")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    address = tcp(locked)
    daemon.write_check("credential", COMMON + section(address, "Password=credential:redis-pw",
                                                      f"Command=ECHO {PASSWORD}"))
    daemon.write_check("literal", COMMON + section(address, f"Password={PASSWORD}",
                                                   "Command=NONSENSE"))
    daemon.write_check("broken", COMMON + section(address, f"Password={PASSWORD}", "Datbase=1"))
    daemon.write_check("refused", COMMON + section(f"127.0.0.1:{free_port()}",
                                                   f"Password={PASSWORD}"))
    daemon.start(env=environment)
    checks = daemon.first_results("credential", "literal", "refused")
    assert checks["credential"]["status"] == "healthy"
    assert PASSWORD not in daemon.get("/health").text
    with open(f"/proc/{daemon.process.pid}/cmdline", encoding="utf-8") as file:
        assert PASSWORD not in file.read()
    verification = daemon.verify(env=environment)
    assert "Database" in verification.stdout + verification.stderr
    assert PASSWORD not in verification.stdout + verification.stderr
    daemon.terminate()
    assert PASSWORD not in daemon.stderr()


@pytest.mark.parametrize("lines, said", [
    (["Address=localhost:99999"], "host:port"),
    (["Address=/run/redis.sock", "TLS=yes"], "unix socket"),
    (["CAFile=/etc/ssl/ca.pem"], "TLS=yes"),
    (["ServerName=other.example"], "TLS=yes"),
    (["Username=me"], "needs Password="),
    (["Connection=forever"], "persistent"),
    (["Database=many"], "Database="),
])
def test_mistakes_are_explained(daemon, lines, said):
    daemon.write_check("redis", COMMON + "\n".join(["[Redis]", *lines, ""]))
    result = daemon.verify()
    assert result.returncode != 0
    number = len(COMMON.splitlines()) + 1 + len(lines)
    assert f"redis.check:{number}: " in result.stderr
    assert said in result.stderr


def test_what_a_credential_holds_is_not_judged_without_it(daemon):
    daemon.write_check("redis", COMMON + section("localhost", "Username=me",
                                                 "Password=credential:x"))
    result = daemon.verify()
    assert result.returncode == 0, result.stderr


def test_a_mistake_in_a_drop_in_is_named_there(daemon):
    daemon.write_check("redis", COMMON + section("localhost"))
    drop_in = daemon.config / "checks" / "redis.check.d" / "10-x.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("\n[Redis]\nAddress=localhost:99999\n", encoding="utf-8")
    result = daemon.verify()
    assert result.returncode != 0
    assert "redis.check.d/10-x.conf:3: " in result.stderr
