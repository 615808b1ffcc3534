# SPDX-License-Identifier: LGPL-2.1-or-later
"""healthctl: what it says when something is wrong. Each message of an error path is here, but for
those that need a real systemd or polkit: tests/system/test_guarded.py, test_alert_unit.py.
"""

import json
import os
import pwd
import re
import socket
import socketserver
import subprocess
import threading

import pytest

from fake_systemd import FakeSystemd
from healthctl import complaint, environment, program, say


@pytest.mark.parametrize("arguments, text", [
    (["stauts"], 'There is no command "stauts"; did you mean "status"? See healthctl --help.'),
    (["frobnicate"], 'There is no command "frobnicate". See healthctl --help.'),
    (["show"], 'healthctl show needs the name of a check; "healthctl list" shows them.'),
    (["is-ready", "x"], 'healthctl is-ready: "x" is one argument too many. See healthctl --help.'),
    (["show", "cahce"], 'There is no check "cahce"; did you mean "cache"? "healthctl list" lists '
                        'them all.'),
    (["history", "x\x1b["], 'There is no check "x [". "healthctl list" lists them all.'),
    (["status", "zz*"], 'There is no check "zz*". "healthctl list" lists them all.'),
    (["history", "broken"], '"broken" has no history: its file has mistakes. See healthctl show '
                            'broken'),
    (["--json=xml"], "--json=xml: write pretty, short or off."),
    (["wait", "--timeout=soon"], "--timeout=soon is no time span: write for example 90s or 5min."),
    (["--instance=a/b"], "--instance=a/b: write NAME of healthd@NAME.service."),
    (["alert", "tset", "x"], "Unknown: alert tset. Write: healthctl alert test NAME"),
    (["alert", "test", "x"], 'there is no alert "x". /health/alerts lists them all.'),
    (["adopt", "nginx"], "nginx: write the full name of a service, as orders.service."),
    (["abandon", "healthd.service"], "healthd.service: healthd does not guard itself; its own "
                                     "watchdog does."),
    (["--socket=/etc/passwd/x"], "Cannot connect to /etc/passwd/x: Not a directory. Is it the "
                                 "socket of a healthd?"),
    (["beat", "x", "--exit-status=300"], "--exit-status=300: write a number from 0 to 255."),
    (["silence", "web"], "For how long, and why? Write for example: healthctl silence web "
                         '--for=2h --reason="moving the cache, ticket 42"'),
    (["silence", "cahce", "--for=1h", "--reason=x"], 'there is no check "cahce"; did you mean '
                                                     '"cache"? /health lists them all.'),
    (["silence", "web", "--for=x", "--reason=x"], '"x" is no time span; write for example 90s, 2h '
     'or 3d; send for example {"check":"redis-*","duration":"2h","reason":"moving the cache, '
     'ticket 42"}'),
    (["unsilence", "77"], "there is no silence 77; /health/silences lists them"),
    (["run", "refused"], 'The breaker of "refused" is open: its server is left alone for a while. '
                         'To close it and run the check: healthctl reset-breaker refused'),
    (["beat", "cache"], '"cache" is no check of Type=heartbeat, so nobody calls in for it'),
])
def test_mistakes_say_what_to_do(zoo, arguments, text):
    assert complaint(zoo, *arguments) == text


def test_fresh_is_for_checks(zoo):
    assert complaint(zoo, "wait", "--fresh", status=4) == "--fresh is for checks: name them."


def test_unknown_options(zoo):
    text = complaint(zoo, "--nonsense")
    assert "--nonsense" in text and text.endswith("See healthctl --help.")


@pytest.mark.parametrize("arguments, status", [([], 1), (["show", "x"], 1), (["is-healthy"], 4),
                                               (["is-ready"], 4), (["run", "x"], 1),
                                               (["wait", "--timeout=100ms"], 4)])
def test_the_daemon_is_not_there(daemon, arguments, status):
    text = complaint(daemon, *arguments, status=status)
    assert text == (f"healthd is not running: there is no {daemon.socket}. Start it with: "
                    "systemctl start healthd.socket")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(daemon.socket)
    text = complaint(daemon, *arguments, status=status)
    assert text == (f"healthd is not running: nobody listens on {daemon.socket}. Start it with: "
                    "systemctl start healthd.socket")


def test_nagios_without_a_daemon(daemon):
    text = say(daemon, "check", "x", "--nagios", status=3)
    assert text.startswith("HEALTHD UNKNOWN - healthd is not running: ")


def test_something_else_is_listening(daemon, nginx):
    text = complaint(daemon, f"--socket={'x' * 200}")
    assert "is no path of a unix socket: it is too long" in text
    nginx.stop()
    path = nginx.directory / "nginx.sock"
    nginx.write_config(f"server {{{{ listen unix:{path}; location / {{{{ return 200 'x'; }}}} }}}}")
    nginx.is_ready = path.exists
    nginx.start()
    text = complaint(daemon, f"--socket={path}")
    assert text.startswith(f"What answers on {path} is no healthd")


def test_a_daemon_that_says_nothing(daemon):
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(daemon.socket)
        mute.listen()
        text = complaint(daemon)
    assert text == (f"healthd accepts connections on {daemon.socket}, but has not answered for 25 "
                    "s. Look at: systemctl status healthd; journalctl -u healthd")


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user: needs root")
def test_who_may_not(idle):
    nobody = pwd.getpwnam("nobody")
    for path in (idle.directory, idle.config):
        path.chmod(0o755)
    become = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    for arguments in (["run", "self"], ["reload"], ["unsilence", "1"], ["reset-breaker", "self"],
                      ["silence", "self", "--for=1h", "--reason=x"]):
        text = complaint(idle, *arguments, **become)
        assert text.startswith("Permission denied: only root, healthd's own user and members of "
                               "the group healthd may ask for this"), text
        assert text.endswith("usermod -aG healthd USER")
    assert "self" in say(idle, "status", **become)
    os.chmod(idle.socket, 0o600)
    text = complaint(idle, **become)
    assert text.startswith(f"{idle.socket} may not be opened by this user.")


def test_details_never(daemon):
    daemon.write_conf("[Server]\nDetails=never\n")
    daemon.write_check("self", "[Check]\nType=application\nInterval=1h\n")
    daemon.start()
    daemon.wait_status("self", "healthy")
    assert re.search(r"● self +healthy +- *$", say(daemon), re.M)
    assert "Status: healthy\n" in say(daemon, "show", "self")
    text = complaint(daemon, "history", "self")
    assert "Details= in healthd.conf" in text


def test_output_that_cannot_be_written(zoo):
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([program(), f"--socket={zoo.socket}"], stdout=full, check=False,
                                stderr=subprocess.PIPE, text=True, env=environment(), timeout=30)
    assert result.returncode == 1
    assert result.stderr == "Cannot write the output: No space left on device.\n"


class Canned(socketserver.ThreadingUnixStreamServer):
    """Answers by path, whatever is asked: a pair of status and text, or nothing at all."""

    daemon_threads = True

    def __init__(self, path, answers):
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                way = self.rfile.readline().split()[1].decode().split("?")[0]
                length = 0
                while (line := self.rfile.readline().strip()):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                self.rfile.read(length)
                if way in answers:
                    status, text = answers[way]
                    self.wfile.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n"
                                     f"Connection: close\r\n\r\n{text}".encode())
        super().__init__(path, Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


TESTED = json.dumps({"alerts": [{"name": "ops", "test": {"id": 5, "state": "sending"}}]})
FAILED = TESTED.replace('"sending"', '"failed", "detail": "nobody listens"')


@pytest.mark.parametrize("arguments, answers, text", [
    ([], {}, "healthd ended the connection without an answer (Server returned nothing (no "
             "headers, no data)). Look at: journalctl -u healthd"),
    ([], {"/health": (200, "{}")}, "healthd's answer has no checks in it."),
    (["show", "x"], {"/health/checks/x": (200, '{"checks":{}}')},
     "healthd's answer has no check in it."),
    (["reload"], {"/control/reload": (500, "{}")}, "healthd refused, and not why."),
    (["reload"], {"/control/reload": (409, '{"detail":"not now"}')}, "not now"),
    (["history", "x"], {"/health/checks/x": (403, '{"detail":"not you"}')}, "not you"),
    (["alert", "test", "ops"], {"/control/alert-test": (202, '{"id":5}'),
                                "/health/alerts": (200, '{"alerts":[]}')},
     'The alert "ops" was changed or tested by somebody else meanwhile; try it again.'),
    (["alert", "test", "ops", "--timeout=300ms"],
     {"/control/alert-test": (202, '{"id":5}'), "/health/alerts": (200, TESTED)},
     'The test of "ops" has not ended within 300ms; GET /health/alerts tells how it ends.'),
    (["alert", "test", "ops"],
     {"/control/alert-test": (202, '{"id":5}'), "/health/alerts": (200, FAILED)},
     'The alert "ops" cannot be sent: nobody listens.'),
])
def test_answers_that_are_none(daemon, arguments, answers, text):
    with Canned(daemon.socket, answers) as server:
        said = complaint(daemon, *arguments)
        server.shutdown()
    assert said == text


def test_who_reads_the_configuration_is_not_there(daemon):
    if os.path.exists("/usr/sbin/healthd"):
        pytest.skip("/usr/sbin/healthd is there")
    for verb in ("verify", "cat"):
        assert complaint(daemon, verb, env={"PATH": "/nowhere"}) == (
            "/usr/sbin/healthd cannot be run, and it is what reads the configuration. Is the package "
            "healthd installed in full?")


def test_systemd_is_not_there_or_says_no(daemon):
    text = complaint(daemon, "adopt", "nginx.service",
                     env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere/bus"})
    assert text == ("Cannot ask systemd: No such file or directory. Is this host running systemd, "
                    "and dbus.service?")
    fake = FakeSystemd().broker().systemd()
    try:
        fake.how("refuse")
        text = complaint(daemon, "adopt", "nginx.service",
                         env={"DBUS_SYSTEM_BUS_ADDRESS": fake.address})
        assert text == "Cannot ask systemd about nginx.service: you may not know."
    finally:
        fake.close()
