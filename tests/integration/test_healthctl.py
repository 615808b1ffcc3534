# SPDX-License-Identifier: LGPL-2.1-or-later
"""healthctl: what each command prints, in a pipe and in a terminal, and what it exits with.

The texts expected are in healthctl/*.txt. HEALTHCTL_GOLDEN=write writes them anew.
"""

import json
import re
import subprocess
import time

import pytest

from healthctl import CHECK, REDIS, ask, complaint, environment, golden, normal, program, say
from process import wait_until


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


# --- help -------------------------------------------------------------------------------------


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
