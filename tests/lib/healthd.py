# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the healthd under test (environment HEALTHD_BINARY) and asks it things."""

import collections
import fcntl
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from process import can_connect, end_process, free_port, wait_until

SANITIZER_MARKS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
                   "Assertion `", "detected memory leaks")

# headers: a dictionary with lower-case names; json: None if the body is none.
Answer = collections.namedtuple("Answer", "status headers json text")


def binary():
    path = os.environ.get("HEALTHD_BINARY")
    if not path:
        raise RuntimeError("set HEALTHD_BINARY to the healthd to test, such as build/src/healthd")
    return path


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class NotifySocket:
    """Stands in for systemd's notify socket: collects what sd_notify() sends."""

    def __init__(self, directory):
        self.path = str(pathlib.Path(directory, "notify"))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.kept = {}  # name: descriptor, given with FDSTORE=1
        self.messages = []  # (monotonic time, {name: value})
        self.reading = threading.Event()
        self.reading.set()
        self.thread = threading.Thread(target=self.receive, daemon=True)
        self.thread.start()

    def pause(self):
        """Stops reading, so that the queue fills up."""
        self.reading.clear()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"X_WAKE=1", self.path)

    def resume(self):
        self.reading.set()

    def receive(self):
        while True:
            self.reading.wait()
            try:
                data, ancillary, _, _ = socket.recv_fds(self.socket, 8192, 16)
            except OSError:
                return
            lines = data.decode("utf-8", "replace").splitlines()
            fields = dict(line.split("=", 1) for line in lines if "=" in line)
            self.keep(fields, ancillary)
            if not data:
                return
            self.messages.append((time.monotonic(), fields))

    def keep(self, fields, descriptors):
        """The descriptor store: by name, as systemd has it."""
        name = fields.get("FDNAME")
        if "FDSTOREREMOVE" in fields and name in self.kept:
            os.close(self.kept.pop(name))
        for descriptor in descriptors:
            # Out of the way of those a started daemon gets.
            high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 100)
            os.close(descriptor)
            if "FDSTORE" in fields:
                self.kept[name] = high
            else:
                os.close(high)

    def values(self, name):
        """Every value received for a name, oldest first."""
        return [fields[name] for _, fields in list(self.messages) if name in fields]

    def times(self, name):
        return [when for when, fields in list(self.messages) if name in fields]

    def last(self, name):
        values = self.values(name)
        return values[-1] if values else None

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self.path)
        self.thread.join(5)
        self.socket.close()
        for descriptor in self.kept.values():
            os.close(descriptor)


class Healthd:
    """One daemon with a configuration directory of its own; always close() it."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="healthd-run-"))
        self.config = self.directory / "config"
        (self.config / "checks").mkdir(parents=True)
        self.socket = str(self.directory / "healthd.sock")
        self.port = free_port()
        self.process = None
        self.notify = None
        self.stderr_path = self.directory / "stderr"
        self.expected_statuses = (0, -signal.SIGKILL)

    def write_conf(self, text):
        (self.config / "healthd.conf").write_text(text, encoding="utf-8")

    def write_check(self, name, text):
        (self.config / "checks" / f"{name}.check").write_text(text, encoding="utf-8")

    def remove_check(self, name):
        (self.config / "checks" / f"{name}.check").unlink()

    def environment(self, extra=None, notify=False, watchdog_usec=0):
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                       "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
                                       "CREDENTIALS_DIRECTORY", "JOURNAL_STREAM")}
        if notify or watchdog_usec:
            if not self.notify:
                self.notify = NotifySocket(self.directory)
            environment["NOTIFY_SOCKET"] = self.notify.path
        if watchdog_usec:
            environment["WATCHDOG_USEC"] = str(watchdog_usec)
        return environment | (extra or {})

    def start(self, *arguments, env=None, notify=False, watchdog_usec=0, wait=True, prefix=(),
              **options):
        """Starts the daemon on a unix socket and a port. prefix: a command to run it under."""
        command = [*prefix, binary(), f"--config-dir={self.config}", f"--listen={self.socket}",
                   f"--listen=127.0.0.1:{self.port}", *arguments]
        with open(self.stderr_path, "ab") as stderr:
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                command, env=self.environment(env, notify, watchdog_usec),
                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, **options)
        if wait:
            self.wait_listening()
        return self

    def wait_listening(self, timeout=20):
        def listening():
            if self.process.poll() is not None:
                raise RuntimeError(f"healthd ended with status {self.process.returncode}:\n"
                                   f"{self.stderr()}")
            return can_connect(self.socket) and can_connect(("127.0.0.1", self.port))
        wait_until("healthd listens", listening, timeout)

    def verify(self, *arguments, env=None):
        """Runs `healthd --verify` on the same configuration. Returns a CompletedProcess."""
        return subprocess.run([binary(), "--verify", f"--config-dir={self.config}", *arguments],
                              env=self.environment(env), capture_output=True, text=True,
                              timeout=30, check=False)

    def connect(self, via="tcp", timeout=10):
        if via == "unix":
            return UnixConnection(self.socket, timeout)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def get(self, path="/health", headers=None, via="tcp", method="GET", timeout=10):
        connection = self.connect(via, timeout)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            text = response.read().decode("utf-8")
            try:
                value = json.loads(text)
            except ValueError:
                value = None
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, value, text)
        finally:
            connection.close()

    def check(self, name):
        """What /health says of one check."""
        return self.get("/health").json["checks"][name]

    def wait_for(self, predicate, timeout=15.0, path="/health"):
        """Waits until predicate(answer) is true and returns that answer."""
        last = None

        def satisfied():
            nonlocal last
            last = self.get(path)
            return last if predicate(last) else None
        try:
            return wait_until("the answer hoped for", satisfied, timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; the last was {last}\n{self.stderr()}") from error

    def wait_status(self, name, status, timeout=15.0):
        """Waits until a check has settled on a status and returns what /health says of it."""
        return self.wait_for(lambda answer: answer.json["checks"][name]["status"] == status,
                             timeout).json["checks"][name]

    def wait_details(self, name, timeout=30.0, **wanted):
        """Waits until these details of a check have these values and returns all its details."""
        def told(answer):
            details = answer.json["checks"][name].get("details", {})
            return all(details.get(key) == value for key, value in wanted.items())
        return self.wait_for(told, timeout).json["checks"][name]["details"]

    def first_results(self, *names, timeout=60.0):
        """Waits until each of these checks has run once and returns what /health says of all."""
        def done(answer):
            return all(answer.json["checks"][name]["checked_at"] for name in names)
        return self.wait_for(done, timeout).json["checks"]

    def run_checks(self, texts, timeout=60.0, **options):
        """Starts with a check of each text; returns their first results."""
        for name, text in texts.items():
            self.write_check(name, text)
        self.start(**options)
        return self.first_results(*texts, timeout=timeout)

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def stderr(self):
        if not self.stderr_path.exists():
            return ""
        return self.stderr_path.read_text(encoding="utf-8", errors="replace")

    def terminate(self, timeout=20):
        """SIGTERM; fails unless the daemon ends cleanly and no sanitizer has complained."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"healthd did not end within {timeout} s:\n"
                                     f"{self.stderr()}") from None
        self.check_clean()

    def kill(self):
        """SIGKILL: for tests that need a crash. check_clean() does not apply afterwards."""
        self.process.kill()
        self.process.wait()

    def check_clean(self):
        text = self.stderr()
        for mark in SANITIZER_MARKS:
            assert mark not in text, text
        status = self.process.returncode
        assert status in self.expected_statuses, f"healthd ended with status {status}:\n{text}"

    def close(self):
        try:
            if self.process:
                self.terminate()
        finally:
            if self.process:
                end_process(self.process)
            if self.notify:
                self.notify.close()
            shutil.rmtree(self.directory, ignore_errors=True)
