# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guards=, as far as the configuration goes: what is refused, and what --verify warns of."""

import contextlib
import os
import pathlib
import socket
import subprocess
import time

import pytest

CHECK = "[Check]\nType={type}\nGuards=orders.service\nWatchdog=no\n[{section}]\n{keys}\n"
WARNING = "orders.check:3: Guards=orders.service: the check asks {}, which seems to be another host"


@pytest.mark.parametrize("unit, why", [
    ("a" * 300 + ".service", "write the full name of a service"),
    ("orders", "write the full name of a service"),
    ("orders-*.service", "write the full name of a service"),
    ("../orders.service", "write the full name of a service"),
    ("orders.timer", "write the full name of a service"),
    ("healthd.service", "healthd does not guard itself"),
])
def test_a_unit_that_cannot_be_guarded_is_refused(daemon, unit, why):
    daemon.write_check("orders", f"[Check]\nType=application\nGuards=x.service {unit}\n")
    result = daemon.verify()
    assert result.returncode == 1
    assert "orders.check:3: " in result.stderr and why in result.stderr


@pytest.mark.parametrize("kind, section, keys, host", [
    ("http", "HTTP", "URL=http://user:secret@db.example.com:8080/health", "db.example.com"),
    ("http", "HTTP", "URL=http://192.0.2.1/", "192.0.2.1"),
    ("http", "HTTP", "URL=http://[2001:db8::1]:81/", "[2001:db8::1]"),
    ("metrics", "Metrics", "URL=http://192.0.2.1/metrics\nMetric=load:node_load1", "192.0.2.1"),
    ("tcp", "TCP", "Address=192.0.2.1:25", "192.0.2.1"),
    ("redis", "Redis", "Address=cache1:6379", "cache1"),
    ("postgresql", "PostgreSQL", "ConnectionString=host=db1,db2 dbname=orders", "db1"),
    ("postgresql", "PostgreSQL", "Host=db1", "db1"),
    ("queue", "Queue", "Backend=redis-list\nAddress=192.0.2.1:6379\nQueue=jobs", "192.0.2.1"),
    ("queue", "Queue", "Backend=kafka\nAddress=k1:9092,k2:9092\nQueue=jobs\nGroup=g", "k1"),
])
def test_a_guard_on_a_check_of_another_host_is_warned_of(daemon, kind, section, keys, host):
    text = CHECK.format(type=kind, section=section, keys=keys)
    daemon.write_check("orders", text)
    result = daemon.verify()
    assert result.returncode == 0, result.stderr
    assert "warning: " in result.stderr and WARNING.format(host) in result.stderr
    assert "secret" not in result.stderr
    # What guards nothing is nobody's business.
    daemon.write_check("orders", text.replace("Guards=", "# "))
    assert "warning" not in daemon.verify().stderr


@pytest.mark.parametrize("kind, section, keys", [
    ("http", "HTTP", "URL=http://localhost:8080/health"),
    ("http", "HTTP", f"URL=http://{socket.gethostname()}:8080/"),
    ("http", "HTTP", "URL=http://[::1]:8080/"),
    ("http", "HTTP", "URL=http://db.example.com/\nSocket=/run/orders.sock"),
    ("tcp", "TCP", "Address=127.0.0.2:25"),
    ("redis", "Redis", "Address=/run/redis.sock"),
    ("redis", "Redis", "Address=127.0.0.1:6379"),
    ("postgresql", "PostgreSQL", "Host=/run/postgresql"),
    ("postgresql", "PostgreSQL", "Database=orders"),
    ("queue", "Queue", "Backend=redis-list\nQueue=jobs"),
    ("file", "File", "Path=/etc/passwd"),
])
def test_a_guard_on_a_check_of_this_host_is_not(daemon, kind, section, keys):
    daemon.write_check("orders", CHECK.format(type=kind, section=section, keys=keys))
    result = daemon.verify()
    assert result.returncode == 0 and "another host" not in result.stderr, result.stderr


def test_the_warning_is_logged_and_the_check_runs(daemon):
    daemon.write_check("orders", CHECK.format(type="tcp", section="TCP", keys="Address=192.0.2.1:9"))
    daemon.start()
    assert daemon.get("/health/checks/orders").json["checks"]["orders"]["type"] == "tcp"
    assert WARNING.format("192.0.2.1") in daemon.stderr()
    daemon.reload()
    daemon.terminate()
    assert daemon.stderr().count("seems to be another host") == 2


@contextlib.contextmanager
def guard_on(path):
    """healthd-guard as its socket unit starts it."""
    program = pathlib.Path(os.environ["HEALTHD_HELPER_DIRECTORY"], "healthd-guard")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        # LISTEN_PID= must be the program's own.
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["bash", "-c", "export LISTEN_FDS=1 LISTEN_PID=$$; exec 3<&$1; exec \"$2\"", "bash",
             str(listener.fileno()), str(program)], pass_fds=[listener.fileno()])
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be root and a stranger")
def test_a_stranger_does_not_hold_the_guard(tmp_path):
    for directory in (tmp_path, *list(tmp_path.parents)[:-2]):
        directory.chmod(directory.stat().st_mode | 0o055)
    path = tmp_path / "guard"
    mute = ("import socket, sys, time\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            "s.connect(sys.argv[1])\nprint('connected', flush=True)\n"
            "print(s.recv(1000).decode(), flush=True)\ntime.sleep(8)\n")
    with guard_on(path), \
            subprocess.Popen(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                              "/usr/bin/python3", "-c", mute, str(path)],
                             stdout=subprocess.PIPE, text=True) as stranger:
        assert stranger.stdout.readline() == "connected\n"
        started = time.monotonic()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as root:
            root.settimeout(10)
            root.connect(str(path))
            root.send(b"UNIT=x\nACTION=look\nREASON=test")
            assert root.recv(1000) == b"refused this is not the name of a service"
        assert time.monotonic() - started < 1.5
        assert "only the user healthd may ask" in stranger.stdout.readline()
        stranger.kill()
