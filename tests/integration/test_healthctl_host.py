# SPDX-License-Identifier: LGPL-2.1-or-later
"""healthctl --host=: what is given to ssh, and a real sshd on loopback."""

import contextlib
import getpass
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from healthctl import ask, complaint, normal, program, say
from healthd import binary
from process import can_connect, end_process, free_port, wait_until

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin")
REASON = 'it\'s "$HOME" `id` \\ $(id); * -- ü'


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


def make_key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text(encoding="ascii").strip()


class Sshd:
    """On a port of its own, with keys of its own; whoever runs the tests may log in."""

    def __init__(self, directory):
        self.directory, self.port = directory, free_port()
        self.host_key = make_key(directory / "host-key")
        (directory / "authorized").write_text(make_key(directory / "key") + "\n", encoding="ascii")
        sanitizers = "".join(f' "{name}={value}"' for name, value in os.environ.items()
                             if name.endswith("SAN_OPTIONS"))
        (directory / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {directory}/host-key\n"
            f"AuthorizedKeysFile {directory}/authorized\nPidFile none\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\n"
            f'SetEnv "PATH={pathlib.Path(program()).parent}:{pathlib.Path(binary()).parent}:'
            f'/usr/bin:/bin" "LC_ALL=C.UTF-8"{sanitizers}\n', encoding="ascii")
        # healthctl runs the first ssh there is: the real one, with a configuration of ours.
        (directory / "bin").mkdir()
        wrapper = directory / "bin/ssh"
        wrapper.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {directory}/ssh_config "$@"\n',
                           encoding="ascii")
        wrapper.chmod(0o755)
        (directory / "ssh_config").write_text(
            f"Host db1\nHostName 127.0.0.1\nPort {self.port}\nIdentityFile {directory}/key\n"
            f"IdentitiesOnly yes\nBatchMode yes\nStrictHostKeyChecking yes\nLogLevel ERROR\n"
            f"HostKeyAlias db1\nUserKnownHostsFile {directory}/known\n"
            "GlobalKnownHostsFile /dev/null\n", encoding="ascii")
        self.trust(self.host_key)
        self.log = open(directory / "log", "wb")  # pylint: disable=consider-using-with
        self.process = None

    def trust(self, key):
        (self.directory / "known").write_text(f"db1 {key}\n", encoding="ascii")

    @property
    def path(self):
        return f"{self.directory}/bin:/usr/bin:/bin"

    def start(self):
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", 0o755, exist_ok=True)
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [SSHD, "-D", "-e", "-f", str(self.directory / "sshd_config")],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_until("sshd listens", lambda: can_connect(("127.0.0.1", self.port)))
        return self

    def close(self):
        if self.process:
            end_process(self.process)
        self.log.close()


@pytest.fixture(name="sshd")
def fixture_sshd(tmp_path):
    if not SSHD or not shutil.which("ssh"):
        pytest.skip("needs ssh and sshd")
    with contextlib.closing(Sshd(tmp_path)) as server:
        yield server.start()


def there(sshd):
    return f"--host={getpass.getuser()}@db1", {"PATH": sshd.path}


def test_another_host(zoo, sshd):
    host, env = there(sshd)
    for arguments in (["status"], ["list", "-q"], ["show", "evil"]):
        assert normal(say(zoo, host, *arguments, env=env), zoo) == \
            normal(say(zoo, *arguments), zoo), arguments
    # Exit statuses and errors are those of the healthctl there.
    result = ask(zoo, host, "is-healthy", "web", env=env)
    assert (result.returncode, result.stdout) == (3, "unhealthy\n"), result
    assert complaint(zoo, host, "show", "cahce", env=env).startswith('There is no check "cahce"; did')
    assert json.loads(say(zoo, host, "show", "cache", "--json=short", env=env))["checks"]["cache"]
    # And nothing is taken apart on the way that belongs together.
    assert "Silenced until" in say(zoo, host, "silence", "cache", "--for=1h", f"--reason={REASON}",
                                   env=env)
    mine = [silence for silence in json.loads(say(zoo, "silence", "--json=short"))["silences"]
            if silence["check"] == "cache"]
    assert [silence["reason"] for silence in mine] == [REASON]
    say(zoo, host, "unsilence", str(mine[0]["id"]), env=env)


def test_another_host_in_a_terminal(zoo, sshd, terminal):
    tmux = terminal(100, 60, PATH=sshd.path)
    host, _ = there(sshd)
    text = tmux.ask(zoo, f"status --no-pager {host}", colours=True)
    assert re.search("\x1b\\[31m●\x1b[^u]*web", text)
    assert max(map(len, re.sub("\x1b\\[[0-9;]*m", "", text).splitlines())) <= 100
    text = tmux.ask(zoo, f"status --no-pager {host}", before="export NO_COLOR=1; ", colours=True)
    assert "\x1b" not in text and "● web" in text


def test_a_host_that_is_another_or_not_there(zoo, sshd):
    host, env = there(sshd)
    sshd.trust(make_key(sshd.directory / "other"))
    result = ask(zoo, host, "reload", env=env)
    assert result.returncode == 255 and "Host key verification failed" in result.stderr, result
    sshd.trust(sshd.host_key)
    end_process(sshd.process)
    result = ask(zoo, host, "status", env=env)
    assert result.returncode == 255 and "Connection refused" in result.stderr, result
