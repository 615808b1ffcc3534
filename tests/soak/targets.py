# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is checked in a soak: real servers, files, programs and jobs, each with its faults.

A target knows how to break and to mend itself, tells its Source, and writes the check files.
"""

import contextlib
import json
import mmap
import os
import pathlib
import socket
import sys
import time

import liar
import servers
from healthd import UnixConnection
from oracle import DEGRADED, ERROR, HEALTHY, UNHEALTHY, Source
from process import wait_until


class ServerTarget:
    """A server that can be killed, hung and restarted, with all the checks that ask it."""

    faults = ("kill", "hang", "restart")

    def __init__(self, server):
        self.server = server
        self.source = Source(f"{server.name} on port {server.port}")
        self.value = Source(f"the answers of {self.source.name}")
        self.fault = None

    def break_it(self, random):
        self.fault = random.choice(self.faults)
        if self.fault == "wrong":
            self.answer(random.choice([DEGRADED, UNHEALTHY]))
            return
        with self.source.becoming(UNHEALTHY):
            if self.fault == "kill":
                self.server.kill9()
            elif self.fault == "hang":
                self.server.sigstop()
            else:
                self.server.stop()
                self.server.start()
                self.wait_for_answer()
        if self.fault == "restart":
            self.source.set(HEALTHY)

    def mend(self):
        if self.fault in ("kill", "hang"):
            with self.source.becoming(HEALTHY):
                if self.fault == "kill":
                    self.server.start()
                else:
                    self.server.sigcont()
                self.wait_for_answer()
        elif self.fault == "wrong":
            self.answer(HEALTHY)
        self.fault = None

    def wait_for_answer(self):
        """A server that goes on has those to serve first who had waited, or have left."""
        wait_until(f"{self.source.name} answers", self.answers, 60)

    def answers(self):
        return self.server.is_ready()

    def answer(self, state):
        raise NotImplementedError

    def close(self):
        self.server.close()


def says(port, request, start):
    """Whether what listens there has that answer."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(request)
        return client.recv(100).startswith(start)
    return False


class RedisTarget(ServerTarget):
    """The length of a key is its answer: lost by a crash, it is well again."""

    faults = ("kill", "hang", "restart", "wrong")

    def __init__(self):
        super().__init__(servers.Redis(arguments=["--maxclients", "4000"]).start())

    def answer(self, state):
        words = {HEALTHY: "DEL state", DEGRADED: "SET state x", UNHEALTHY: "SET state xx"}[state]
        with self.value.becoming(state), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(self.server.socket)
            client.sendall(words.encode() + b"\r\n")
            assert client.recv(100)[:1] in b"+:"

    def mend(self):
        if self.fault in ("kill", "restart"):
            self.value.set(HEALTHY)
        super().mend()

    def check(self, random):
        kind = random.choice(["redis", "redis", "tcp", "queue"])
        where = random.choice([f"127.0.0.1:{self.server.port}", self.server.socket])
        if kind == "tcp":
            return kind, "", f"[TCP]\nAddress={where}\nSend=PING\\r\\n\nExpect=PONG\n", False
        if kind == "queue":
            return kind, "", ("[Queue]\nBackend=redis-list\nQueue=jobs\n"
                              f"Address={where}\n"), False
        conditions = "UnhealthyWhen=reply > 1\nDegradedWhen=reply > 0\n"
        return kind, conditions, (f"[Redis]\nAddress={where}\nCommand=STRLEN state\n"
                                  f"Connection={random.choice(['fresh', 'persistent'])}\n"), True


class PostgresTarget(ServerTarget):
    faults = ("kill", "hang", "restart", "wrong")

    def __init__(self):
        super().__init__(servers.Postgres(settings=["max_connections=400"]).start())
        self.server.sql("CREATE TABLE soak (value int); INSERT INTO soak VALUES (1)")

    def answer(self, state):
        value = {HEALTHY: 1, DEGRADED: 50, UNHEALTHY: 1000}[state]
        with self.value.becoming(state):
            self.server.sql(f"UPDATE soak SET value = {value}")

    def check(self, random):
        keep = random.choice(["fresh", "persistent", "persistent"])
        return "postgresql", "UnhealthyWhen=value > 100\nDegradedWhen=value > 10\n", (
            "[PostgreSQL]\n"
            f"ConnectionString=host=127.0.0.1 port={self.server.port} user=postgres\n"
            f"Query=SELECT value FROM soak\nConnection={keep}\n"), True


class NginxTarget(ServerTarget):
    def __init__(self):
        super().__init__(servers.Nginx().start())

    def answers(self):
        return says(self.server.port, b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 200")

    def check(self, random):
        return "http", "", (f"[HTTP]\nURL=http://127.0.0.1:{self.server.port}/\n"
                            f"Connection={random.choice(['fresh', 'persistent'])}\n"), False


class DnsTarget(ServerTarget):
    def __init__(self):
        super().__init__(servers.Dnsmasq("--local=/test/",
                                         "--host-record=soak.test,10.0.0.1").start())

    def check(self, _):
        return "dns", "", ("[DNS]\nName=soak.test\nRecordType=A\nExpect=10.0.0.1\n"
                           f"Server=127.0.0.1:{self.server.port}\n"), False


class LiarServer(servers.Server):
    """liar.py, and the file with its modes."""

    SLOTS = 4096

    def __init__(self):
        super().__init__("liar")
        path = self.directory / "modes"
        path.write_bytes(bytes(self.SLOTS))
        with open(path, "r+b") as file:
            self.modes = mmap.mmap(file.fileno(), 0)
        self.used = 0

    def command(self):
        return [sys.executable, pathlib.Path(liar.__file__), self.port, self.directory / "modes"]

    def close(self):
        super().close()
        self.modes.close()


class LiarTarget(ServerTarget):
    """Itself a server like the others; each check has an answer of its own besides."""

    def __init__(self):
        super().__init__(LiarServer().start())

    def answers(self):
        return says(self.server.port, b"PING 0\r\n", b"+PONG")

    def slot(self, random):
        self.server.used += 1
        number = self.server.used
        kind = random.choice(["http", "http", "tcp", "metrics"])
        url = f"http://127.0.0.1:{self.server.port}/{kind}/{number}"
        keep = f"Connection={random.choice(['fresh', 'persistent'])}\n"
        conditions = "UnhealthyWhen=value > 100\nDegradedWhen=value > 10\n"
        if kind == "tcp":
            conditions = ""
            keys = (f"[TCP]\nAddress=127.0.0.1:{self.server.port}\nSend=PING {number}\\r\\n\n"
                    "Expect=PONG\n")
        elif kind == "metrics":
            keys = f"[Metrics]\nURL={url}\nMetric=value:soak_value\n{keep}"
        else:
            keys = f"[HTTP]\nURL={url}\nJson=value:/value\n{keep}"
        return LiarSlot(self.server, number, kind), kind, conditions, keys


class LiarSlot:
    """One answer of the liar's."""

    TRUTH = {
        "http": {liar.ODD: DEGRADED, liar.HIGH: UNHEALTHY, liar.FAILED: UNHEALTHY,
                 liar.HANG: UNHEALTHY, liar.TRICKLE: UNHEALTHY, liar.RESET: UNHEALTHY,
                 liar.GARBAGE: UNHEALTHY, liar.CUT: UNHEALTHY, liar.OTHER: ERROR},
        "metrics": {liar.ODD: DEGRADED, liar.HIGH: UNHEALTHY, liar.FAILED: UNHEALTHY,
                    liar.HANG: UNHEALTHY, liar.TRICKLE: UNHEALTHY, liar.RESET: UNHEALTHY,
                    liar.CUT: UNHEALTHY},
        "tcp": {liar.HANG: UNHEALTHY, liar.RESET: UNHEALTHY, liar.GARBAGE: UNHEALTHY},
    }

    def __init__(self, server, number, kind):
        self.modes = server.modes
        self.number = number
        self.truth = self.TRUTH[kind]
        self.source = Source(f"answer {number} of the liar")

    def break_it(self, random):
        mode = random.choice(list(self.truth))
        with self.source.becoming(self.truth[mode]):
            self.modes[self.number] = mode

    def mend(self):
        with self.source.becoming(HEALTHY):
            self.modes[self.number] = liar.OK


class FileSlot:
    """A file that is there or not."""

    def __init__(self, directory, number):
        self.path = directory / f"file{number}"
        self.path.touch()
        self.source = Source(str(self.path))

    def break_it(self, _):
        with self.source.becoming(UNHEALTHY):
            self.path.unlink()

    def mend(self):
        with self.source.becoming(HEALTHY):
            self.path.touch()

    def check(self):
        return "file", "", f"[File]\nPath={self.path}\n"


class ExecSlot:
    """A plug-in that exits with what a file says, or hangs."""

    TRUTH = {"1": DEGRADED, "2": UNHEALTHY, "3": ERROR, "hang": UNHEALTHY}

    def __init__(self, directory, number):
        self.path = directory / f"exec{number}"
        self.source = Source(str(self.path))
        self.write("0")

    def write(self, word):
        new = self.path.with_suffix(".new")
        new.write_text(word + "\n", encoding="ascii")
        os.rename(new, self.path)

    def break_it(self, random):
        word = random.choice(list(self.TRUTH))
        with self.source.becoming(self.TRUTH[word]):
            self.write(word)

    def mend(self):
        with self.source.becoming(HEALTHY):
            self.write("0")

    def check(self):
        return "exec", "", (f"[Exec]\nCommand=/bin/sh -c 'read word <{self.path}; "
                            "test $word = hang && exec sleep 1000; echo it is $word; exit $word'\n")


class HeartbeatSlot:
    """A job that calls in every second, until it is silent or its runs fail."""

    EVERY = 1.0
    MISSED = 5.0  # Every= and Grace= together

    def __init__(self, daemon, name):
        self.daemon = daemon
        self.name = name
        self.source = Source(f"job {name}")
        self.exit_status = 0
        self.silent = False
        self.called = self.heard = self.due = time.monotonic()

    def check(self):
        return "heartbeat", "", "[Heartbeat]\nEvery=3s\nGrace=2s\n"

    def call(self):
        called = time.monotonic()
        connection = UnixConnection(self.daemon.socket)
        body = json.dumps({"check": self.name, "exit_status": self.exit_status})
        connection.request("POST", "/control/beat", body=body)
        answer = connection.getresponse()
        assert answer.status == 200, f"a beat of {self.name}: {answer.status} {answer.read()}"
        connection.close()
        # It was heard at some moment between these two.
        self.called, self.heard = called, time.monotonic()
        self.due = self.heard + self.EVERY

    def beat(self):
        missed = self.called + self.MISSED
        self.call()
        if self.heard > missed and self.source.state == HEALTHY:
            # Nobody can be blamed for having missed it.
            self.source.log += [(missed, self.heard, UNHEALTHY), (missed, self.heard, HEALTHY)]

    def break_it(self, random):
        if random.random() < 0.5:
            # Nothing is wrong until a call is missed; mend() may be sooner.
            self.silent = True
            self.source.log.append((self.called + self.MISSED, self.heard + self.MISSED,
                                    UNHEALTHY))
            return
        with self.source.becoming(UNHEALTHY):
            self.exit_status = 7
            self.call()

    def mend(self):
        self.exit_status = 0
        with self.source.becoming(HEALTHY):
            self.call()
        if self.silent and self.source.log[-2][0] > self.heard:
            self.source.log = self.source.log[:-2] + self.source.log[-1:]
        self.silent = False
