# SPDX-License-Identifier: LGPL-2.1-or-later
"""healthctl: what each command prints, in a pipe and in a terminal, and what it exits with.

The texts expected are in healthctl/*.txt. HEALTHCTL_GOLDEN=write writes them anew.
"""

import json
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest

import servers
from healthd import Healthd, binary
from process import free_port, wait_until

GOLDEN = pathlib.Path(__file__).parent / "healthctl"
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


@pytest.fixture(scope="module", name="zoo")
def fixture_zoo():
    with Zoo() as zoo:
        yield zoo


@pytest.fixture(name="idle")
def fixture_idle(daemon):
    daemon.write_check("self", "[Check]\nType=application\nInterval=1h\n")
    daemon.start()
    daemon.wait_status("self", "healthy")
    return daemon


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


@pytest.mark.parametrize("name, arguments, numbers", [
    ("status", [], False),
    ("status-glob", ["status", "re*", "cache", "--no-legend"], False),
    ("list", ["list"], False),
    ("list-names", ["list", "-q"], False),
    ("show-refused", ["show", "refused"], True),
    ("show-several", ["show", "blocked", "quiet", "broken", "waiting"], True),
    ("history", ["history", "flaps"], True),
    ("silences", ["silence"], False),
    ("cat", ["cat", "cache", "broken"], False),
])
def test_golden(zoo, name, arguments, numbers):
    if arguments and arguments[0] == "cat":
        arguments = [*arguments, f"--config-dir={zoo.config}"]
    result = ask(zoo, *arguments)
    assert result.returncode == 0, result
    golden(name, normal(result.stdout, zoo, numbers))


def test_golden_without_utf8(zoo):
    text = say(zoo, env={"LC_ALL": "C"})
    assert text.isascii()
    golden("status-ascii", re.sub(r"SPAN [.~!?]+", "SPAN BARS", normal(text, zoo)))


def test_the_last_results_are_bars(zoo):
    assert re.search(r"^● flaps +healthy +\S.* (▁█)+▁+ +\[flapping\]$", say(zoo), re.M)
    assert re.search(r"^\* flaps +healthy +\S.* (\.!)+\.+ +\[flap", say(zoo, env={"LC_ALL": "C"}), re.M)
    assert re.search("Results: (▁█)+▁+\n", say(zoo, "show", "flaps"))


def test_what_was_measured(zoo):
    text = say(zoo, "show", "cache")
    assert re.search(r"^ +Measured: connected +true$", text, re.M)
    assert re.search(r"^ +ping +PONG$", text, re.M)
    assert re.search(r"^ +connected_clients +\d+$", text, re.M)
    assert "Type: redis, required\n" in text and "Availability: 100.00 % in 1h (0 of " in text


def test_nothing_is_cut_or_coloured_in_a_pipe(zoo):
    text = say(zoo)
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) > 100
    assert "COLUMNS" not in text


def no_control_characters(text):
    return not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", text)


@pytest.mark.parametrize("arguments", [["status"], ["list"], ["show", "evil"],
                                       ["history", "evil"], ["check", "evil"],
                                       ["run", "evil"]])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_what_a_server_says_does_a_terminal_no_harm(zoo, arguments, locale):
    result = ask(zoo, *arguments, env={"LC_ALL": locale})
    assert no_control_characters(result.stdout) and result.stderr == ""
    if arguments[0] in ("status", "show", "check"):
        assert "<script>alert(1)</script>" in result.stdout


HOSTILE = {"status": "unhealthy", "timestamp": 1, "uptime": 1, "checks": {"a\x1b]0;x\x07b": {
    "status": "unhealthy", "type": "x\x9by", "reason": "\x1b[2J\u202e\x9b1m\n\rz",
    "recent": "hu\x1b", "since": 1, "silenced": {"author": "\x1bc", "reason": "\x1bc", "until": 9},
    "blocked_by": "\x1bc", "breaker": {"position": "\x1bc"}, "description": "\x1bc",
    "details": {"\x1bc": "\x1bc"}}}}


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("arguments", [["status"], ["list"], ["list", "-q"], ["show", "x"],
                                       ["history", "x"], ["check", "x"], ["check"], ["reload"],
                                       ["show", "x", "--json=pretty"], ["list", "--json=short"]])
def test_what_a_daemon_says_does_a_terminal_no_harm(daemon, nginx, arguments, locale):
    nginx.stop()
    (nginx.directory / "health").write_text(json.dumps(HOSTILE, ensure_ascii=arguments[0] == "list"))
    nginx.write_config("""server {{ listen unix:{directory}/sock; root {directory};
        location / {{ rewrite ^ /health break; }}
        location /control {{ default_type text/plain; return 409 '{{"detail":"\x1b[31m"}}'; }} }}
    """)
    nginx.is_ready = (nginx.directory / "sock").exists
    nginx.start()
    result = ask(daemon, f"--socket={nginx.directory}/sock", *arguments, env={"LC_ALL": locale})
    assert no_control_characters(result.stdout) and no_control_characters(result.stderr), result
    assert "Sanitizer" not in result.stderr and (result.stdout or result.stderr)


def test_json_is_what_the_daemon_says(zoo):
    short = say(zoo, "status", "--json=short")
    assert short.count("\n") == 1 and no_control_characters(short.strip())
    shown, plain = json.loads(short), zoo.get("/health", via="unix").json
    assert shown["checks"].keys() == plain["checks"].keys()
    for name, check in plain["checks"].items():
        assert shown["checks"][name].get("checked_at") == check.get("checked_at"), name
        assert shown["checks"][name].get("details") == check.get("details"), name
    pretty = say(zoo, "show", "cache", "--json=pretty")
    assert json.loads(pretty)["history"]["check"] == "cache"
    assert '\n    "status": "' in pretty and '\n        "cache": {' in pretty
    assert list(json.loads(say(zoo, "list", "ca*", "--json=short"))["checks"]) == ["cache"]


# --- for scripts ------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, status, word", [
    (["is-healthy"], 3, "unhealthy\n"),
    (["is-healthy", "cache"], 0, "healthy\n"),
    (["is-healthy", "slow"], 3, "degraded\n"),
    (["is-healthy", "cache", "web"], 3, "healthy\nunhealthy\n"),
    (["is-healthy", "waiting"], 3, "unknown\n"),
    (["is-healthy", "web", "-q"], 3, ""),
    (["is-healthy", "nothing"], 4, ""),
    (["is-ready"], 3, "not ready\n"),
    (["is-ready", "-q"], 3, ""),
    (["wait", "cache", "slow"], 0, ""),
    (["wait", "--check=web", "--timeout=300ms"], 3, ""),
    (["wait", "--check=nothing", "--timeout=1min"], 4, ""),
])
def test_exit_status(zoo, arguments, status, word):
    result = ask(zoo, *arguments)
    assert (result.returncode, result.stdout) == (status, word), result


def test_ready(idle):
    assert say(idle, "is-ready") == "ready\n"
    assert say(idle, "is-healthy") == "healthy\n"
    assert say(idle, "wait", "--timeout=1min") == ""


def test_wait_waits_for_the_daemon_and_its_checks(daemon, redis):
    redis.stop()
    daemon.write_check("redis", "[Check]\nType=redis\nInterval=200ms\nFailAfter=1\nPassAfter=1\n"
                                "BreakerAfter=0\n" + REDIS.format(port=redis.port))
    assert ask(daemon, "wait", "--timeout=300ms").returncode == 4
    with subprocess.Popen([program(), f"--socket={daemon.socket}", "wait", "--check=redis"],
                          env=environment()) as waiting:
        daemon.start()
        daemon.wait_status("redis", "unhealthy")
        time.sleep(0.5)
        assert waiting.poll() is None
        redis.start()
        assert waiting.wait(30) == 0


@pytest.mark.parametrize("name, status, start", [
    ("cache", 0, "HEALTHD OK - cache is healthy | 'duration_ms'="),
    ("slow", 1, "HEALTHD WARNING - slow is degraded: connected_clients >= 1 (is "),
    ("web", 2, "HEALTHD CRITICAL - web is unhealthy: "),
    ("evil", 2, "HEALTHD CRITICAL - evil is unhealthy: "),
    ("broken", 3, "HEALTHD UNKNOWN - broken is error: "),
    ("waiting", 3, "HEALTHD UNKNOWN - waiting is unknown: no result yet [optional] |"),
    ("cash", 3, "HEALTHD UNKNOWN - There is no check \"cash\"; did you mean \"cache\"?"),
])
def test_nagios(zoo, name, status, start):
    text = say(zoo, "check", name, "--nagios", status=status)
    assert text.startswith(start) and text.count("\n") == 1
    assert text.count("|") == (0 if name == "cash" else 1)
    for item in re.findall(r"'[^']+'=\S+", text):
        assert re.fullmatch(r"'[^'=]+'=-?[0-9.e+-]+(ms|s|%|B|c)?", item), item


def test_nagios_of_the_host(zoo):
    text = say(zoo, "check", "--nagios", status=2)
    assert text.startswith("HEALTHD CRITICAL - 2 of 10 checks are healthy; ")
    assert text.endswith("| 'unknown'=1 'healthy'=2 'degraded'=1 'unhealthy'=5 'error'=1\n")


# --- acting -----------------------------------------------------------------------------------


def test_run_prints_the_new_result(zoo):
    before = zoo.check("cache")["checked_at"]
    text = say(zoo, "run", "cache")
    assert zoo.check("cache")["checked_at"] > before
    assert "cache - The cache" in text and re.search(r"Last result: healthy, .*took", text)
    assert re.search(r"ping +PONG", text)
    assert say(zoo, "run", "web", "-q", status=3) == ""


def test_run_waits_no_longer_than_it_is_told(zoo):
    text = complaint(zoo, "run", "waiting", "--timeout=300ms")
    assert 'The run of "waiting" has not ended within 300ms' in text


def test_silences(idle):
    assert say(idle, "silence") == "Nothing is silenced.\n"
    text = say(idle, "silence", "se*", "--for=2h", "--reason=a reason")
    assert re.search(r"^Silenced until .* \(id 1, checks: 1\)", text)
    assert "[silenced for 1h 59min by " in say(idle)
    assert re.search(r"^ *1 se\* +1h 59min +\S+ +a reason", say(idle, "silence"), re.M)
    assert say(idle, "unsilence", "1") == 'the silence of "se*" has ended\n'
    say(idle, "silence", "self", "--for=1h", "--reason=again", "-q")
    assert json.loads(say(idle, "silence", "--json=short"))["silences"][0]["check"] == "self"
    assert say(idle, "unsilence", "self", "-q") == ""


def test_reload(idle):
    assert say(idle, "reload") == "reloaded: 1 checks\n"
    idle.write_check("other", "[Check]\nTyp=application\n")
    assert "reload refused, nothing was changed" in complaint(idle, "reload")


def test_reset_breaker(daemon, redis):
    redis.stop()
    daemon.write_check("redis", CHECK.format(type="redis", keys="BreakerAfter=1\n") +
                       REDIS.format(port=redis.port))
    daemon.start()
    daemon.wait_for(lambda answer: answer.json["checks"]["redis"]["breaker"]["position"] == "open")
    text = complaint(daemon, "run", "redis")
    assert text.endswith("healthctl reset-breaker redis")
    redis.start()
    assert "the breaker is closed" in say(daemon, "reset-breaker", "redis")
    daemon.wait_status("redis", "healthy")


def test_beat(daemon):
    daemon.write_check("backup", "[Check]\nType=heartbeat\nFailAfter=1\nPassAfter=1\n"
                                 "[Heartbeat]\nEvery=1d\n")
    daemon.write_check("self", "[Check]\nType=application\nInterval=1h\n")
    daemon.start()
    assert say(daemon, "beat", "backup") == ""
    assert daemon.wait_status("backup", "healthy")["details"]["beats"] == 1
    say(daemon, "beat", "backup", "--start")
    wait_until("it runs", lambda: daemon.check("backup")["details"]["running"] is True)
    say(daemon, "beat", "backup", "--exit-status=7")
    details = daemon.wait_status("backup", "unhealthy")["details"]
    assert details["last_exit_status"] == 7 and details["beats"] == 3
    say(daemon, "beat", "backup", "--finish")
    daemon.wait_status("backup", "healthy")
    assert "no check of Type=heartbeat" in complaint(daemon, "beat", "self")
    assert "--start when it begins" in complaint(daemon, "beat", "backup", "--start", "--finish")


# --- the configuration ------------------------------------------------------------------------


def test_verify_is_offline(daemon):
    daemon.write_check("good", "[Check]\nType=application\n")
    directory = f"--config-dir={daemon.config}"
    assert say(daemon, "verify", directory) == ""
    daemon.write_check("bad", "[Check]\nTyp=application\n")
    assert 'bad.check:2: unknown key "Typ="' in complaint(daemon, "verify", directory)
    text = complaint(daemon, "verify", env={"PATH": "/nowhere"})
    assert "cannot be run" in text or "healthd" in text


SECRETIVE = {
    "redis": ("[Check]\nType=redis\n# Password=in-a-comment\n[Redis]\nAddress=localhost:1\n"
              "Password=hidden-1\nUsername=shown\n"),
    "typo": "[Check]\nType=redis\n[Redis]\nPasswort=hidden-2\nAddress=hidden-3\n",
    "postgresql": ("[Check]\nType=postgresql\n[PostgreSQL]\n"
                   "ConnectionString=host=h password=hidden-4\n"),
    "quoted": ("[Check]\nType=postgresql\n[PostgreSQL]\n"
               "ConnectionString=host=h password='hidden-\\'5'\n"),
    "http": "[Check]\nType=http\n[HTTP]\nURL=http://u:hidden-6@shown/\n",
    "token": "[Check]\nType=http\n[HTTP]\nURL=http://shown/\nToken=hidden-7\n",
    "body": ("[Check]\nType=http\n[HTTP]\nURL=http://shown/\nMethod=POST\n"
             'Body={"password":"hidden-10"}\n'),
    # Too short to be taken out of a text; in capitals, which no temporary directory has.
    "short": "[Check]\nType=redis\n[Redis]\nAddress=shown:1\nPassword=ZQ\n",
    "environment": ("[Check]\nType=exec\n[Exec]\nCommand=/bin/true shown\n"
                    "Environment=DB_PASSWORD=hidden-9\n"),
    "untyped": "[Check]\nDescription=shown\n[Anything]\nSecret=hidden-8\n",
    "reference": "[Check]\nType=redis\n[Redis]\nPassword=credential:shown\n",
}


@pytest.mark.parametrize("name", SECRETIVE)
def test_cat_shows_no_secret(daemon, name):
    daemon.write_check(name, SECRETIVE[name])
    text = ask(daemon, "cat", name, f"--config-dir={daemon.config}").stdout
    assert f"# {daemon.config}/checks/{name}.check\n[Check]\n" in text
    assert "hidden" not in text and "ZQ" not in text and "in-a-comment" not in text
    if "shown" in SECRETIVE[name]:
        assert "shown" in text
    if name != "reference":
        assert "***" in text


def test_cat_says_where_each_line_came_from(daemon):
    daemon.write_conf("[Server]\nDetails=always\n")
    daemon.write_check("self", "[Check]\nType=application\nInterval=1h\n")
    drop_in = daemon.config / "checks" / "self.check.d"
    drop_in.mkdir()
    (drop_in / "local.conf").write_text("[Check]\nInterval=2h\n", encoding="utf-8")
    assert say(daemon, "cat", f"--config-dir={daemon.config}") == (
        f"# {daemon.config}/healthd.conf\n[Server]\nDetails=always\n\n"
        f"# {daemon.config}/checks/self.check\n[Check]\nType=application\nInterval=1h\n\n"
        f"# {daemon.config}/checks/self.check.d/local.conf\n[Check]\nInterval=2h\n")
    assert say(daemon, "cat", "healthd.conf", f"--config-dir={daemon.config}").count("#") == 1
    assert 'did you mean "self"?' in complaint(daemon, "cat", "shelf",
                                               f"--config-dir={daemon.config}")


# --- mistakes ---------------------------------------------------------------------------------


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


# --- help, other hosts, completions -----------------------------------------------------------


def test_help_fits_a_screen(daemon):
    for arguments in (["--help"], ["-h"], ["help"]):
        text = say(daemon, *arguments)
        assert text.count("\n") <= 23 and max(map(len, text.splitlines())) < 80
    for verb in ("status", "list", "show", "history", "monitor", "run", "wait", "is-healthy",
                 "is-ready", "silence", "unsilence", "reset-breaker", "beat", "reload", "verify",
                 "cat", "check"):
        assert re.search(rf"\b{verb}\b", text), verb
    assert re.fullmatch(r"healthctl \d+\.\d+\.\d+\n", say(daemon, "--version"))
    assert say(daemon, "version") == say(daemon, "-V")


def test_host_runs_healthctl_there(daemon):
    ssh = daemon.directory / "ssh"
    ssh.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    ssh.chmod(0o755)
    env = {"PATH": f"{daemon.directory}:/usr/bin:/bin", "NO_COLOR": "1"}
    text = say(daemon, "-H", "me@db1", "silence", "-q", "it's", "--for=2h", env=env)
    assert text.splitlines() == [
        "-T", "--", "me@db1",
        f"NO_COLOR=1 healthctl '--socket={daemon.socket}' '--quiet' '--for=2h' -- 'silence' "
        "'it'\\''s'"]
    # The shell there takes it apart as it was meant.
    words = subprocess.run(["sh", "-c", "set -- " + text.splitlines()[3] + '; shift; echo "$6 $7"'],
                           capture_output=True, text=True, check=True).stdout
    assert words.strip() == "silence it's"
    text = complaint(daemon, "--host=db1", env={"PATH": "/nowhere"})
    assert text == "Cannot run ssh (No such file or directory): --host= needs it."


# --- in a terminal ----------------------------------------------------------------------------


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
        return f"^end{self.commands} "

    def ask(self, daemon, words, before="", colours=False, status=0):
        """What the screen shows when the command has ended."""
        end = self.begin(daemon, words, before)
        text = self.wait_for(end, colours)
        assert re.search(f"{end}{status}$", text, re.M), text
        return re.split(end, text, flags=re.M)[0]

    def close(self):
        subprocess.run([*self.command, "kill-server"], check=False, capture_output=True)


@pytest.fixture(name="terminal")
def fixture_terminal(tmp_path):
    if not shutil.which("tmux"):
        pytest.skip("needs tmux")
    opened = []

    def open_terminal(width, height=40, **variables):
        opened.append(Tmux(tmp_path, width, height, **variables))
        return opened[-1]
    yield open_terminal
    for terminal in opened:
        terminal.close()


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_is_filled_and_not_overrun(zoo, terminal, width):
    tmux = terminal(width, 60)
    # Where lines are broken differs with how long ago it was; a word that is too long is broken.
    text = tmux.ask(zoo, "status --no-pager '[!b]*' blocked")
    golden(f"status-{width}",
           normal(re.sub(r"\s+", " ", text).replace(" ●", "\n●"), zoo))
    lines = text.splitlines()
    why = lines[2].index("WHY")
    assert max(map(len, lines)) <= width and max(map(len, lines)) > width / 2
    assert all(line[:why].isspace() or line.startswith("●") for line in [line for line in lines[3:-1] if line]), text
    text = tmux.ask(zoo, "list --no-pager")
    assert all(len(line) < width for line in text.splitlines()) and "The cache" in text


def test_colours_unless_they_are_not_wanted(zoo, terminal):
    tmux = terminal(120, 60)
    text = tmux.ask(zoo, "status --no-pager", colours=True)
    assert re.search("\x1b\\[31m●\x1b[^u]*web", text)
    text = tmux.ask(zoo, "status --no-pager", before="export NO_COLOR=1; ", colours=True)
    assert "\x1b" not in text and "● web" in text
    assert "\x1b" not in tmux.ask(zoo, "status --no-pager", colours=True,
                                  before="NO_COLOR= TERM=dumb; export NO_COLOR TERM; ")


def test_fifty_checks_fit_a_screen(daemon, terminal):
    for number in range(50):
        daemon.write_check(f"service-{number:02}", "[Check]\nType=application\nInterval=1h\n" +
                           ("FailAfter=1\nUnhealthyWhen=open_fds > 0\n" if number < 2 else ""))
    daemon.start()
    daemon.wait_for(lambda answer: sum(check["status"] == "healthy" for check
                                       in answer.json["checks"].values()) == 48)
    tmux = terminal(80, 24)
    text = tmux.ask(daemon, "status --no-pager")
    assert re.search(r"^● service-01 unhealthy", text, re.M)
    assert "2 unhealthy, 48 healthy" in text and "service-49" in text
    # Those asked for by name are shown in full.
    assert "● service-39 healthy" in tmux.ask(daemon, "status --no-pager 'service-3*'")


def test_pager(zoo, terminal):
    tmux = terminal(100, 12)
    end = tmux.begin(zoo, "list")
    assert not re.search(end, tmux.wait_for("^lines 1-|^:|\\(END\\)"), re.M)
    tmux.key("q")
    tmux.wait_for(end + "0")
    paged = "export SYSTEMD_PAGER='sed s/^/paged:/'; "
    assert "paged:cache" in tmux.ask(zoo, "list", before=paged)
    assert "paged" not in tmux.ask(zoo, "list --no-pager")
    tmux.type("export SYSTEMD_PAGER=/nowhere/pager")
    assert "paged" not in tmux.ask(zoo, "show web")


def test_monitor_is_live_resizes_and_leaves_the_terminal_as_it_was(daemon, redis, terminal):
    daemon.write_check("redis", "[Check]\nType=redis\nInterval=200ms\nFailAfter=1\nPassAfter=1\n" +
                       REDIS.format(port=redis.port))
    daemon.start()
    daemon.wait_status("redis", "healthy")
    tmux = terminal(120, 20)
    end = tmux.begin(daemon, "monitor")
    assert "healthd up" in tmux.wait_for("^● redis +healthy")
    redis.stop()
    assert "monitor" not in tmux.wait_for("^● redis +unhealthy")
    tmux.run("resize-window", "-x", "60", "-y", "8")
    wait_until("redrawn", lambda: "healthd up" not in tmux.screen(), 10)
    tmux.wait_for("^● redis +unhealthy")
    tmux.run("resize-window", "-x", "120", "-y", "20")
    tmux.wait_for("healthd up")
    tmux.key("C-c")
    assert "● redis" not in tmux.wait_for(end + "0")
    end = tmux.begin(daemon, "monitor")
    tmux.wait_for("^● redis +unhealthy")
    daemon.terminate()
    tmux.wait_for("healthd is not running")
    daemon.start()
    tmux.wait_for("^● redis +")
    tmux.type("q", enter=False)
    tmux.wait_for(end + "0")
    # What is typed is echoed, line by line, as it was before.
    tmux.type("clear; stty -a | grep -o '.icanon\\|.echo '; echo done")
    assert re.search("^ icanon\n echo$", tmux.wait_for("^done"), re.M)


def test_monitor_in_a_pipe_is_a_line_for_each_change(daemon, redis):
    daemon.write_check("redis", "[Check]\nType=redis\nInterval=200ms\nFailAfter=1\nPassAfter=1\n" +
                       "BreakerAfter=0\n" + REDIS.format(port=redis.port))
    daemon.start()
    daemon.wait_status("redis", "healthy")
    with subprocess.Popen([program(), f"--socket={daemon.socket}", "monitor"], env=environment(),
                          stdout=subprocess.PIPE, text=True) as monitor:
        time.sleep(1.5)
        redis.stop()
        line = monitor.stdout.readline()
        assert re.search(r" redis unhealthy: .*Connection refused", line), line
        redis.start()
        assert monitor.stdout.readline().rstrip().endswith(" redis healthy")
        monitor.terminate()


def test_wait_shows_what_for(zoo, terminal):
    tmux = terminal(80, 10)
    end = tmux.begin(zoo, "wait web cache --timeout=3s")
    tmux.wait_for("^Waiting for web, ")
    text = tmux.wait_for(end + "3")
    assert "Still waiting for web after 3s." in text and "Waiting for web, " not in text


def completion(path):
    return pathlib.Path(os.environ["HEALTHD_SOURCE"]) / "shell-completion" / path


@pytest.mark.parametrize("shell, setup", [
    ("bash", [f"bash --norc --noprofile", f". {completion('bash/healthctl')}"]),
    ("zsh", ["zsh -f", f"fpath=({completion('zsh')} $fpath); autoload -U compinit; compinit -D -u",
             "zstyle ':completion:*' list-colors ''"]),
])
def test_completion(zoo, terminal, shell, setup):
    if not shutil.which(shell):
        pytest.skip(f"needs {shell}")
    tmux = terminal(160, 30)
    for line in [f"PATH={pathlib.Path(program()).parent}:$PATH", *setup, "PS1='$ '", "clear"]:
        tmux.type(line)
        time.sleep(0.3)
    for typed, completed in (("his", "history "), ("--socket=SOCKET show cac", "show cache "),
                             ("is-healthy --socket=SOCKET wai", " waiting "),
                             ("--socket=SOCKET unsilence ", "unsilence 1 "),
                             ("--json=pr", "--json=pretty ")):
        tmux.type(f"healthctl {typed.replace('SOCKET', zoo.socket)}", enter=False)
        tmux.key("Tab")
        tmux.type("#", enter=False)
        tmux.wait_for(re.escape(completed) + "#")
        tmux.key("C-u")
        tmux.type("clear")
    tmux.type(f"healthctl --socket={zoo.socket} reset-breaker ", enter=False)
    tmux.key("Tab")
    tmux.key("Tab")
    tmux.wait_for(r"blocked +broken")
