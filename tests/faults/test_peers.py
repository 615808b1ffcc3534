# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every server in every bad way, in one table: what its checks say while it lasts, and afterwards.

What lies in HTTP, Redis, PostgreSQL, DNS and bare TCP is in test_hostile.py, test_dns.py and the
tests of each type; here are the ways of a connection, the same for all of them.
"""

import contextlib
import socket
import struct
import threading
import time

import pytest

import servers
from acceptor import Acceptor

COMMON = ("[Check]\nType={}\nInterval=200ms\nRetryInterval=200ms\nTimeout=500ms\nFailAfter=1\n"
          "PassAfter=1\nBreakerAfter=0\n")
LATE = "timed out after 500ms"


class Proxy(Acceptor):
    """Between a check and its server. mode: "through", or one of MODES."""

    def __init__(self, address):
        self.address = address
        self.mode = "through"
        super().__init__()

    def converse(self, connection):
        if self.mode == "reset_at_once":
            reset(connection)
            return
        with socket.create_connection(self.address) as far:
            threading.Thread(target=self.pass_on, args=(connection, far, False),
                             daemon=True).start()
            self.pass_on(far, connection, True)

    def pass_on(self, source, sink, is_answer):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.mode == "half_open" or is_answer and self.mode == "mute":
                    continue
                if is_answer and self.mode in ANSWERS:
                    ANSWERS[self.mode](sink, data)
                    continue
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def turn(self, mode):
        """From now on; what was connected stays so, unless all is reset: kept ones must notice."""
        self.mode = mode
        if mode == "reset_at_once":
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # A thread that reads from it holds it.
    connection.shutdown(socket.SHUT_RD)
    connection.close()


def reset_in_between(sink, data):
    sink.sendall(data[:len(data) // 2])
    reset(sink)


def end_in_between(sink, data):
    sink.sendall(data[:len(data) // 2])
    sink.shutdown(socket.SHUT_RDWR)


def trickle(sink, data):
    for byte in data:
        sink.sendall(bytes([byte]))
        time.sleep(0.2)


def lie(sink, data):
    sink.sendall(bytes(byte ^ 0x55 for byte in data))


ANSWERS = {"reset_in_between": reset_in_between, "end_in_between": end_in_between,
           "trickle": trickle, "lie": lie}
MODES = ["reset_at_once", "half_open", "mute", *ANSWERS]
# Those that are silent, not wrong.
SILENT = {"half_open", "mute", "trickle"}


@pytest.fixture(scope="module", name="peers")
def running_peers():
    peers = {"nginx": servers.Nginx(), "redis": servers.Redis(), "postgres": servers.Postgres()}
    try:
        yield {name: peer.start() for name, peer in peers.items()}
    finally:
        for peer in peers.values():
            peer.close()


# The type, its server, its section for a port.
TABLE = {
    "http": ("http", "nginx", "[HTTP]\nURL=http://127.0.0.1:{}/\n"),
    "http-kept": ("http", "nginx", "[HTTP]\nURL=http://127.0.0.1:{}/\nConnection=persistent\n"),
    "redis": ("redis", "redis", "[Redis]\nAddress=127.0.0.1:{}\n"),
    "redis-kept": ("redis", "redis", "[Redis]\nAddress=127.0.0.1:{}\nConnection=persistent\n"),
    "queue-redis": ("queue", "redis", "[Queue]\nBackend=redis-list\nAddress=127.0.0.1:{}\n"
                                      "Queue=jobs\n"),
    "postgresql": ("postgresql", "postgres", "[PostgreSQL]\nConnectionString=host=127.0.0.1 "
                                             "port={} user=postgres dbname=postgres\n"),
    "postgresql-kept": ("postgresql", "postgres",
                        "[PostgreSQL]\nConnectionString=host=127.0.0.1 port={} user=postgres "
                        "dbname=postgres\nConnection=persistent\n"),
    "tcp": ("tcp", "redis", "[TCP]\nAddress=127.0.0.1:{}\nSend=PING\\r\\n\nExpect=^.PONG\\r\\n\n"),
}


def test_ways_of_a_connection(daemon, peers):
    with contextlib.ExitStack() as stack:
        proxies = {}
        for name, (kind, server, section) in TABLE.items():
            proxies[name] = stack.enter_context(contextlib.closing(
                Proxy(("127.0.0.1", peers[server].port))))
            daemon.write_check(name, COMMON.format(kind) + section.format(proxies[name].port))
        daemon.write_check("self", "[Check]\nType=application\nInterval=200ms\n")
        daemon.start()

        def wait_all(status, since):
            return daemon.wait_for(lambda answer: all(
                answer.json["checks"][name]["status"] == status and
                (answer.json["checks"][name]["checked_at"] or 0) > since
                for name in TABLE), 30).json["checks"]
        wait_all("healthy", time.time())
        for mode in MODES:
            for proxy in proxies.values():
                proxy.turn(mode)
            # A result that was under way is none of this mode's.
            checks = wait_all("unhealthy", time.time() + 0.5)
            for name in TABLE:
                error = checks[name]["error"]
                assert error, (mode, name, checks[name])
                assert mode not in SILENT or LATE in error, (mode, name, error)
            for proxy in proxies.values():
                proxy.turn("through")
            wait_all("healthy", time.time() + 0.5)
            print(mode, {name: checks[name]["error"][:60] for name in TABLE})
        assert daemon.check("self")["details"]["loop_lag_ms"] < 1000


@pytest.mark.parametrize("way", ["killed", "stopped"])
def test_servers_that_die_or_hang(daemon, way):
    """Connections that are kept too: through them nobody is told of it."""
    with contextlib.ExitStack() as stack:
        peers = {"nginx": servers.Nginx(), "redis": servers.Redis(), "postgres": servers.Postgres()}
        for peer in peers.values():
            stack.callback(peer.close)
            peer.start()
        for name, (kind, server, section) in TABLE.items():
            daemon.write_check(name, COMMON.format(kind) + section.format(peers[server].port))
        daemon.start()
        for name in TABLE:
            daemon.wait_status(name, "healthy")
        for peer in peers.values():
            if way == "killed":
                peer.kill9()
            else:
                peer.sigstop()
        for name in TABLE:
            error = daemon.wait_status(name, "unhealthy")["error"]
            assert way == "killed" or LATE in error, (name, error)
        for peer in peers.values():
            if way == "killed":
                peer.start()
            else:
                peer.sigcont()
        for name in TABLE:
            daemon.wait_status(name, "healthy", 30)
