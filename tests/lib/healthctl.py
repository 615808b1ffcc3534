# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs healthctl in a pipe or in a terminal, and has a daemon with a check in every state."""

import os
import pathlib
import re
import socket
import subprocess

import servers
from healthd import Healthd, binary
from process import free_port, wait_until

GOLDEN = pathlib.Path(__file__).parent.parent / "integration/healthctl"
EVIL = r'x\u001b[31m\u009b1m\u202e\u0007<script>alert(1)</script>|y'
NGINX = """
    server {{
        listen 127.0.0.1:{port};
        default_type application/json;
        location / {{ return 200 '{{"word":"ok"}}'; }}
        location /broken {{ return 500 "no"; }}
        location /evil {{ return 200 '{{"word":"EVIL"}}'; }}
    }}
""".replace("EVIL", EVIL)
# Each runs once, at the start, and then when it is told to.
CHECK = "[Check]\nType={type}\nInterval=1h\nFailAfter=1\nPassAfter=1\nBreakerReset=1h\n" \
        "BreakerMaxReset=1h\n{keys}\n"
REDIS = "[Redis]\nAddress=127.0.0.1:{port}\n"


def program():
    return str(pathlib.Path(os.environ["HEALTHD_BUILD"]) / "src/healthctl/healthctl")


def environment(**extra):
    kept = {name: value for name, value in os.environ.items()
            if name.endswith("SAN_OPTIONS") or name in ("HOME", "TZ")}
    return {"PATH": f"{pathlib.Path(binary()).parent}:/usr/bin:/bin", "LC_ALL": "C.UTF-8",
            "TERM": "xterm-256color"} | kept | extra


def ask(daemon, *arguments, env=None, **options):
    """Runs healthctl; standard output and error in a pipe."""
    return subprocess.run([program(), f"--socket={daemon.socket}", *arguments], check=False,
                          capture_output=True, encoding="utf-8", timeout=60,
                          env=environment(**(env or {})), **options)


def say(daemon, *arguments, status=0, **options):
    """What it prints; it must exit with this status, and complain only if that is not 0."""
    result = ask(daemon, *arguments, **options)
    assert result.returncode == status, result
    if status == 0:
        assert result.stderr == "", result
    return result.stdout


def complaint(daemon, *arguments, status=1, **options):
    result = ask(daemon, *arguments, **options)
    assert result.returncode == status, result
    assert result.stdout == "", result
    return result.stderr.strip()


class Zoo(Healthd):
    """A daemon with a check in every state there is."""

    def __init__(self):
        super().__init__()
        self.redis, self.frozen = servers.Redis(), servers.Redis()
        self.nginx = servers.Nginx(NGINX)
        self.refused = free_port()

    def add(self, name, kind, keys, section):
        self.write_check(name, CHECK.format(type=kind, keys=keys) + section)

    def add_checks(self):
        redis, web = REDIS.format(port=self.redis.port), f"http://127.0.0.1:{self.nginx.port}"
        self.add("cache", "redis", "Description=The cache\nGroups=shop\n", redis)
        self.add("slow", "redis", "DegradedWhen=connected_clients >= 1\n", redis)
        self.add("flaps", "redis", "UnhealthyWhen=reply != 1\n", redis + "Command=GET flap\n")
        self.add("web", "http", "", f"[HTTP]\nURL={web}/broken\n")
        self.add("quiet", "http", "Required=no\n", f"[HTTP]\nURL={web}/broken\n")
        self.add("blocked", "http", "DependsOn=refused\n", f"[HTTP]\nURL={web}/broken\n")
        self.add("evil", "http", "UnhealthyWhen=word != ok\n",
                 f"[HTTP]\nURL={web}/evil\nJson=word:/word\n")
        self.add("refused", "redis", "BreakerAfter=2\n", REDIS.format(port=self.refused))
        self.add("waiting", "redis", "Timeout=1h\nRequired=no\n",
                 REDIS.format(port=self.frozen.port))
        self.write_check("broken", "[Check]\nTyp=redis\n")

    def flap(self):
        for value in range(8):
            self.redis.cli("SET", "flap", str(value % 2))
            ask(self, "run", "flaps", "-q")
            if self.check("flaps").get("flapping"):
                break
        self.redis.cli("SET", "flap", "1")
        ask(self, "run", "flaps", "-q")

    def settle(self):
        self.wait_for(lambda answer: all(check.get("checked_at") for name, check
                                         in answer.json["checks"].items()
                                         if name not in ("broken", "waiting")), 30)
        self.flap()
        while self.check("refused")["breaker"]["position"] != "open":
            ask(self, "run", "refused", "-q")
        say(self, "silence", "qui*", "--for=2h", "--reason=moving it, ticket 42")

    def __enter__(self):
        self.redis.start()
        self.frozen.start()
        self.frozen.sigstop()
        self.nginx.start()
        self.redis.cli("SET", "flap", "1")
        self.add_checks()
        self.start()
        self.settle()
        return self

    def __exit__(self, *_):
        try:
            self.close()
        finally:
            for server in (self.nginx, self.frozen, self.redis):
                server.close()


SPAN = r"\d+(\.\d+)?(us|ms|s|min|h|d|month|w|y)( \d+(us|ms|s|min|h|d|w))?"


def normal(text, daemon, numbers=False):
    """Without what differs between two runs and two hosts."""
    text = text.replace(str(daemon.config), "CONFIG").replace(str(daemon.socket), "SOCKET")
    for name in ("redis", "frozen", "nginx"):
        if hasattr(daemon, name):
            text = text.replace(f":{getattr(daemon, name).port}", f":{name.upper()}")
    text = text.replace(f":{getattr(daemon, 'refused', 'no port')}", ":REFUSED")
    text = re.sub(rf"\b{re.escape(socket.gethostname())}\b", "HOST", text)
    text = re.sub(r"[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+", "TIME", text)
    text = re.sub(r"\d+\.\d+ ms", "N ms", text)
    text = re.sub(rf"\b{SPAN}\b", "SPAN", text)
    text = re.sub(r"the types are:[^;\n]*", "the types are: TYPES", text)
    text = re.sub(r"by (root|uid \d+)\b", "by WHOM", text)
    text = re.sub("[▁▂▅█]+", "BARS", text)
    # What a type measures is not of this test.
    text = re.sub(r"(Measured: \S+).*\n( +\S+ .*\n)*?(?= +[A-Z][a-z ]+:)", r"\1 ...\n", text)
    if numbers:
        text = re.sub(r"\b\d+(\.\d+)*\b", "N", text)
    return "\n".join(re.sub(r" +", " ", line).rstrip() for line in text.splitlines()) + "\n"


def golden(name, text):
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("HEALTHCTL_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


class Tmux:
    """A terminal of a certain size that runs one shell."""

    def __init__(self, directory, width, height, **variables):
        self.command = ["tmux", "-S", str(directory / "tmux"), "-f", "/dev/null"]
        self.commands = 0
        shell = ["env", "-i", *(f"{name}={value}" for name, value
                                in environment(**variables).items() if name != "TERM"),
                 "TERM=screen-256color", "PS1=$ ", "sh"]
        self.run("new-session", "-d", "-x", str(width), "-y", str(height), *shell)

    def run(self, *words):
        return subprocess.run([*self.command, *words], check=True, capture_output=True,
                              encoding="utf-8", env=environment(), timeout=20).stdout

    def type(self, text, enter=True):
        self.run("send-keys", "-l", text)
        if enter:
            self.run("send-keys", "Enter")

    def key(self, key):
        self.run("send-keys", key)

    def screen(self, colours=False):
        return self.run("capture-pane", "-p", *(["-e"] if colours else []))

    def wait_for(self, pattern, colours=False):
        """Waits until the screen shows the pattern; returns the screen."""
        def shown():
            text = self.screen(colours)
            return text if re.search(pattern, text, re.M) else None
        try:
            return wait_until(pattern, shown, 20, 0.1)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.screen()}") from error

    def begin(self, daemon, words, before=""):
        """Types a healthctl command on a cleared screen; returns what the screen ends with."""
        self.commands += 1
        self.type(f"{before}clear; {program()} --socket={daemon.socket} {words}; "
                  f"echo end{self.commands} $?")
        # With colours, what ends those of the line before may stand first.
        return rf"^(?:\x1b\[[0-9;]*m)*end{self.commands} "

    def ask(self, daemon, words, before="", colours=False, status=0):
        """What the screen shows when the command has ended."""
        end = self.begin(daemon, words, before)
        text = self.wait_for(end, colours)
        assert re.search(f"{end}{status}$", text, re.M), text
        return re.split(end, text, flags=re.M)[0]

    def close(self):
        subprocess.run([*self.command, "kill-server"], check=False, capture_output=True)
