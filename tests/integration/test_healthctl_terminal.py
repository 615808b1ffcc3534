# SPDX-License-Identifier: LGPL-2.1-or-later
"""healthctl in a terminal: widths, colours, pager, monitor, completion."""

import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from healthctl import GOLDEN, REDIS, environment, golden, normal, program
from process import wait_until


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


# A list is cut where a column ends, which differs with how long ago something was.
@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("name, words", [
    ("show-refused", "show refused"),
    ("show-several", "show blocked quiet broken waiting"),
    ("history", "history flaps"),
    ("silences", "silence"),
])
def test_a_terminal_shows_what_a_pipe_gets(zoo, terminal, name, words, width):
    """The texts are those of the pipe, but for the ends of lines; and none is lost."""
    tmux = terminal(width, 100)
    assert max(map(len, tmux.ask(zoo, f"{words} --no-pager").splitlines())) <= width
    # Lines that the terminal broke are one again; those that healthctl broke are put together here.
    shown = tmux.run("capture-pane", "-p", "-J").split("\nend1 ", maxsplit=1)[0]

    def together(text):
        return re.sub(r"\s+", "", normal(text, zoo, numbers=True))
    assert together(shown) == together((GOLDEN / f"{name}.txt").read_text(encoding="utf-8"))


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
