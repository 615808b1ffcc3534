# SPDX-License-Identifier: LGPL-2.1-or-later
"""Type=exec: plug-ins of Debian's monitoring-plugins as they are, and some that behave badly."""

import json
import os
import pathlib
import shutil
import signal
import tempfile
import time

import pytest

import servers
from mounts import hung_mount
from process import children, has_ended, wait_until

PLUGINS = pathlib.Path("/usr/lib/nagios/plugins")
COMMON = ("[Check]\nType=exec\nInterval=60s\nRetryInterval=60s\nFailAfter=1\nPassAfter=1\n"
          "Timeout=30s\nBreakerAfter=0\n")
PASSWORD = "s3cr3t-Passw0rd"

needs_plugins = pytest.mark.skipif(not (PLUGINS / "check_icmp").exists(),
                                   reason="monitoring-plugins are not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="plug-ins must belong to root")


@pytest.fixture
def directory():
    path = pathlib.Path(tempfile.mkdtemp(prefix="healthd-plugins-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def write_plugin(directory, name, text, mode=0o755):
    path = directory / name
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def exec_check(command, *lines, common=COMMON):
    """lines: of [Check] if they are conditions, else of [Exec]."""
    conditions = [line for line in lines if "When=" in line]
    keys = [line for line in lines if "When=" not in line]
    return "\n".join([common + "\n".join(conditions), "[Exec]", f"Command={command}", *keys, ""])


def shell(script):
    quoted = script.replace("\\", "\\\\").replace('"', '\\"')
    return f'/bin/sh -c "{quoted}"'



def result_of(daemon, command, *lines, **options):
    daemon.write_check("plugin", exec_check(command, *lines, **options))
    daemon.start()
    return daemon.first_results("plugin")["plugin"]


# --- plug-ins as they are ---

def plugin_table(nginx, postgres, dnsmasq, directory):
    """(plug-in, arguments, a condition that holds, another that does not)"""
    stale = directory / "traffic.log"
    now = int(time.time())
    stale.write_text(f"{now} 100 200\n" + 3 * f"{now} 10 20 30 40\n", encoding="utf-8")
    web = f"-H 127.0.0.1 -p {nginx.port}"
    return [
        ("check_load", "-w 1000,1000,1000 -c 2000,2000,2000", "load15 < 1000", "load1_warn != 1000"),
        ("check_disk", "-w 1% -c 1% -p /", "/_unit == B", "/ <= 0"),
        ("check_procs", "-w 100000 -c 200000", "procs > 1", "procs_crit < 200000"),
        ("check_users", "-w 1000 -c 2000", "users >= 0", "users > 1000"),
        ("check_swap", "-w 1% -c 1% -n ok", "swap >= 0", "swap < 0"),
        ("check_file_age", "-f /etc/passwd -w 9000000000 -c 9000000000", "size > 10", "age < 0"),
        ("check_apt", "-n", "available_upgrades >= 0", "critical_updates < 0"),
        ("check_icmp", "127.0.0.1", "pl == 0 and rta < 1000", "rta_unit != ms"),
        ("check_host", "127.0.0.1", "rta < 1000", "pkt < 1"),
        ("check_rta_multi", "127.0.0.1", "rtmax < 1000", "pl > 50"),
        ("check_ping", "-4 -H 127.0.0.1 -p 1 -w 900,20% -c 990,40%", "rta < 900", "pl_warn != 20"),
        ("check_tcp", web, "time < 10", "time_max != 10"),
        ("check_http", web, "size > 10", "size_unit != B"),
        ("check_dns", f"-H db1.test -s {dnsmasq.host} -a 10.1.2.3", "time < 20", "time < 0"),
        ("check_pgsql", f"-H {postgres.directory} -P {postgres.port} -l postgres -d postgres",
         "time < 10", "time_unit != s"),
        ("check_dig", f"-H {dnsmasq.host} -l db1.test -a 10.1.2.3", "time < 20",
         "time < 0"),
        ("check_mrtg", f"-F {stale} -a AVG -v 1 -w 1000 -c 2000 -l Bytes -u B", "Bytes == 10",
         "Bytes > 10"),
        ("check_mrtgtraf", f"-F {stale} -a AVG -w 1000,1000 -c 2000,2000", "in == 10 and out == 20",
         "in != 10"),
        ("negate", f"{PLUGINS}/check_load -w 0,0,0 -c 0,0,0", "load1 >= 0", "load1_crit != 0"),
        ("urlize", f"http://x.test {PLUGINS}/check_procs -w 100000", "procs > 1", "procs < 1"),
        ("check_dummy", "0 fine", "exit_status == 0", "message != \"OK: fine\""),
        ("check_cluster", "-h -d 0,1,0 -w 2 -c 3", "message ~ 2.up", "exit_status > 0"),
        ("check_log", f"-F /etc/passwd -O {directory}/old -q nothing-such", "exit_status == 0",
         "message ~ error"),
    ]


@needs_root  # ICMP, and the port of a name server
@needs_plugins
def test_unchanged_plugins(daemon, nginx, postgres, directory):
    # check_dns knows no other port.
    host = f"127.53.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
    with servers.Dnsmasq("--host-record=db1.test,10.1.2.3", "--local=/test/", host=host,
                         port=53) as dnsmasq:
        table = plugin_table(nginx, postgres, dnsmasq, directory)
        for name, arguments, holds, wrong in table:
            command = f"{PLUGINS}/{name} {arguments}"
            daemon.write_check(name, exec_check(command, f"UnhealthyWhen={wrong}"))
            daemon.write_check(f"{name}-bad", exec_check(command, f"UnhealthyWhen={holds}"))
        daemon.start()
        names = [name for name, *_ in table]
        checks = daemon.first_results(*names, *(f"{name}-bad" for name in names), timeout=120)
    for name, _, holds, _ in table:
        print(f"{name:16} {checks[name].get('details', {}).get('message', '')}")
        assert checks[name]["status"] == "healthy", f"{name}: {checks[name]}"
        assert checks[name]["details"]["exit_status"] == 0
        bad = checks[f"{name}-bad"]
        assert bad["status"] == "unhealthy", (name, bad)
        assert holds.split(" and ", maxsplit=1)[0] in bad["reason"], bad
    with_performance = [name for name in names if len(checks[name]["details"]) > 2]
    assert len(with_performance) >= 20, with_performance


@needs_plugins
def test_exit_statuses(daemon):
    for status, name in enumerate(["fine", "poor", "bad", "unknown"]):
        daemon.write_check(name, exec_check(f"{PLUGINS}/check_dummy {status} told"))
    daemon.start()
    checks = daemon.first_results("fine", "poor", "bad", "unknown")
    assert checks["fine"]["status"] == "healthy"
    assert checks["fine"]["details"] == {"exit_status": 0, "message": "OK: told"}
    assert checks["poor"]["status"] == "degraded"
    assert checks["poor"]["reason"] == "WARNING: told"
    assert checks["bad"]["status"] == "unhealthy"
    assert checks["bad"]["error"] == "CRITICAL: told"
    assert checks["unknown"]["status"] == "error"
    assert checks["unknown"]["error"] == "the plug-in could not find out: UNKNOWN: told"


def test_a_bad_answer_does_not_open_the_breaker(daemon):
    common = COMMON.replace("60s", "100ms").replace("BreakerAfter=0", "BreakerAfter=2")
    daemon.write_check("plugin", exec_check(shell("echo bad; exit 2"), common=common))
    daemon.start()
    answer = daemon.wait_for(
        lambda answer: answer.json["checks"]["plugin"].get("consecutive_failures", 0) >= 5)
    assert answer.json["checks"]["plugin"]["breaker"]["position"] == "closed"


def test_performance_data_of_all_lines(daemon):
    check = result_of(daemon, shell(
        "printf \"OK | 'a b'=1ms;@2:3;~:4;0;9 n=U\\nlong text\\nmore | c=5%%\\nd=6\\n\""))
    assert check["status"] == "healthy", check
    assert check["details"] == {
        "exit_status": 0, "message": "OK", "a_b": 1, "a_b_unit": "ms", "a_b_warn": "@2:3",
        "a_b_crit": "~:4", "a_b_min": 0, "a_b_max": 9, "c": 5, "c_unit": "%", "d": 6}


def test_json(daemon):
    def tell(value):
        return shell("echo '" + json.dumps(value).replace("\\", "\\\\") + "'")
    cases = {
        "fine": {"details": {"n": 1.5, "s": "text", "b": True, "z": None}},
        "judged": {"status": "healthy", "details": {"n": 11}},
        "poor": {"status": "degraded", "message": "slow"},
        "bad": {"status": "unhealthy", "message": "broken", "details": {"n": 2}},
        "gone": {"status": "unreachable", "message": "connecting: refused"},
        "lost": {"status": "error", "message": "no licence"},
        "wrong": {"status": "great"},
    }
    for name, value in cases.items():
        lines = ["UnhealthyWhen=n > 10"] if name == "judged" else []
        daemon.write_check(name, exec_check(tell(value), "Format=json", *lines))
    daemon.write_check("garbage", exec_check(shell("echo '{} and more'"), "Format=json"))
    daemon.write_check("failed", exec_check(shell("echo why >&2; exit 1"), "Format=json"))
    daemon.write_check("deep", exec_check(shell("head -c 200000 /dev/zero | tr '\\0' '['"),
                                          "Format=json"))
    daemon.start()
    checks = daemon.first_results(*cases, "garbage", "failed", "deep")
    assert checks["fine"]["status"] == "healthy"
    assert checks["fine"]["details"] == {"n": 1.5, "s": "text", "b": True}
    assert checks["judged"]["status"] == "unhealthy"
    assert checks["poor"]["status"] == "degraded"
    assert checks["bad"]["status"] == "unhealthy"
    assert checks["bad"]["error"] == "broken"
    assert checks["bad"]["details"]["n"] == 2
    assert checks["gone"]["status"] == "unhealthy"
    for name, part in {"lost": "no licence", "wrong": '"status" is none of',
                       "garbage": "byte 4 of 12", "failed": "exited with status 1: why",
                       "deep": "one JSON object"}.items():
        assert checks[name]["status"] == "error", checks[name]
        assert part in checks[name]["error"]


# --- what cannot be run ---

@needs_root
def test_a_plugin_on_a_file_system_that_hangs(daemon, directory):
    hung = directory / "mnt"
    hung.mkdir()
    (directory / "link").symlink_to(hung / "plug-in")
    common = COMMON.replace("Timeout=30s", "Timeout=1s").replace("=60s", "=500ms")
    with hung_mount(hung):
        daemon.write_check("there", exec_check(hung / "plug-in", common=common))
        daemon.write_check("link", exec_check(directory / "link", common=common))
        script = write_plugin(directory, "script", f"#!{hung}/python3\n")
        daemon.write_check("script", exec_check(script, common=common))
        daemon.write_check("slow", exec_check(shell("sleep 60"), common=common))
        daemon.write_check("well", exec_check(shell("exit 0"), common=common))
        daemon.write_check("self", "[Check]\nType=application\nInterval=200ms\n")
        daemon.start()
        for name in ("there", "link", "script"):
            # Nobody knows how what it checks is.
            check = daemon.wait_status(name, "error")
            assert "could not be started in that time: its file system" in check["error"], check
            assert "timed out after 1s" in check["error"], check
        assert "had not ended" in daemon.wait_status("slow", "unhealthy")["error"]
        # Nobody else waits for it.
        before = daemon.check("well")["checked_at"]
        daemon.wait_for(lambda answer: answer.json["checks"]["well"]["checked_at"] > before + 2)
        assert daemon.check("well")["status"] == "healthy"
        assert daemon.check("self")["details"]["loop_lag_ms"] < 1000
        for name in ("there", "link", "script", "slow", "well"):
            daemon.remove_check(name)
        daemon.reload()
        wait_until("what hung is killed, and leaves no zombie",
                   lambda: len(children(daemon.process.pid)) == 0)


def test_what_starts_them_is_not_there(daemon, directory):
    daemon.write_check("plugin", exec_check(shell("echo OK")))
    daemon.start(env={"HEALTHD_HELPER_DIRECTORY": str(directory)})
    assert "start-program is not there" in daemon.wait_status("plugin", "error")["error"]


@needs_root
def test_plugins_of_others_are_refused(daemon, directory):
    plugins = {
        "foreign": ("chown root:root", lambda path: os.chown(path, 65534, 0)),
        "open": ("chmod go-w", lambda path: path.chmod(0o757)),
        "group": ("chmod go-w", lambda path: (os.chown(path, 0, 65534), path.chmod(0o775))),
        "plain": ("chmod 755", lambda path: path.chmod(0o644)),
        "interpreter": ("interpreter", lambda path: path.write_text("#!/no/such\n")),
        "nothing": ("neither a program", lambda path: path.write_text("echo OK\n")),
        "missing": ("is not there", lambda path: path.unlink()),
    }
    for name, (_, spoil) in plugins.items():
        spoil(write_plugin(directory, name, "#!/bin/sh\necho OK\n"))
        daemon.write_check(name, exec_check(directory / name))
    (directory / "public").mkdir()
    write_plugin(directory / "public", "inside", "#!/bin/sh\necho OK\n")
    (directory / "public").chmod(0o777)
    daemon.write_check("inside", exec_check(directory / "public/inside"))
    plugins["inside"] = ("everybody can write", None)
    write_plugin(directory, "good", "#!/bin/sh\necho OK\n")
    daemon.write_check("good", exec_check(directory / "good"))
    daemon.start()
    checks = daemon.first_results("good", *plugins)
    assert checks["good"]["status"] == "healthy", checks["good"]
    for name, (part, _) in plugins.items():
        assert checks[name]["status"] == "error", (name, checks[name])
        assert part in checks[name]["error"], (name, checks[name])


@needs_root
def test_it_is_looked_at_before_every_run(daemon, directory):
    path = write_plugin(directory, "plugin", "#!/bin/sh\necho OK\n")
    daemon.write_check("plugin", exec_check(path, common=COMMON.replace("60s", "100ms")))
    daemon.start()
    daemon.wait_status("plugin", "healthy")
    path.chmod(0o777)
    assert "chmod go-w" in daemon.wait_status("plugin", "error")["error"]
    path.chmod(0o755)
    daemon.wait_status("plugin", "healthy")


def test_bad_ends(daemon):
    cases = {
        "crash": ("kill -SEGV $$", "SIGSEGV"),
        "killed": ("kill -KILL $$", "by somebody else"),
        "absent": ("no-such-command", "status 127 (a command or library it needs was not found"),
        "odd": ("echo 'odd thing' >&2; exit 77", "exited with status 77: odd thing"),
        "long": ("head -c 300000 /dev/zero", "more than 256 KiB"),
        "endless": ("yes", "wrote more than 16 MiB"),
        "endless-errors": ("yes >&2", "wrote more than 16 MiB"),
    }
    for name, (script, _) in cases.items():
        daemon.write_check(name, exec_check(shell(script)))
    daemon.start()
    checks = daemon.first_results(*cases)
    for name, (_, part) in cases.items():
        assert checks[name]["status"] == "error", (name, checks[name])
        assert part in checks[name]["error"], (name, checks[name])


def test_configuration(daemon):
    mistakes = {
        "relative": ("Command=check_disk -w 1", "not an absolute path"),
        "shell": ("Command=/bin/ls | /bin/wc", "there is no shell"),
        "quote": ("Command=/bin/ls 'x", "closing quote"),
        "secret": ("Command=/bin/ls -p credential:db", "hand the credential over by Environment="),
        "user": ("Command=/bin/ls\nUser=root", "Type=unit"),
        "variable": ("Command=/bin/ls\nEnvironment=\"A=b\"", "write NAME=VALUE"),
        "missing": ("Environment=A=b", "Command= is missing"),
    }
    for name, (keys, _) in mistakes.items():
        daemon.write_check(name, f"{COMMON}[Exec]\n{keys}\n")
    text = daemon.verify().stderr
    for name, (_, part) in mistakes.items():
        lines = [line for line in text.splitlines() if f"{name}.check" in line]
        assert len(lines) == 1 and part in lines[0], (name, text)


# --- what it is given ---

def test_environment_is_clean(daemon, directory):
    credentials = directory / "credentials"
    credentials.mkdir()
    (credentials / "db").write_text(PASSWORD + "\n", encoding="utf-8")
    seen = directory / "seen"
    daemon.write_check("plugin", exec_check(
        shell(f"env >{seen}; ls /proc/self/fd >>{seen}; pwd >>{seen}; echo OK"),
        "Environment=DB_PASSWORD=credential:db", "Environment=LANG=de_DE.UTF-8",
        "Environment=WORDS=a  b='c'"))
    daemon.start(env={"CREDENTIALS_DIRECTORY": str(credentials), "LISTEN_X": "1", "SECRET": "x"},
                 notify=True, watchdog_usec=30_000_000)
    assert daemon.first_results("plugin")["plugin"]["status"] == "healthy"
    lines = seen.read_text(encoding="utf-8").splitlines()
    marks = [line for line in lines if line.startswith("HEALTHD_RUN=")]
    assert len(marks) == 1
    lines.remove(marks[0])
    assert sorted(lines[:-5]) == sorted([
        f"DB_PASSWORD={PASSWORD}", "LANG=de_DE.UTF-8", "WORDS=a  b='c'", "HOME=/", "PWD=/",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
    assert lines[-5:] == ["0", "1", "2", "3", "/"]  # 3 is what ls reads


def test_secrets_stay_secret(daemon, directory):
    credentials = directory / "credentials"
    credentials.mkdir()
    (credentials / "db").write_text(PASSWORD + "\n", encoding="utf-8")
    other = "an0ther-Passw0rd"
    daemon.write_check("said", exec_check(
        shell(f'echo "logged in with $A and $B | a=1"; exit 2'),
        "Environment=A=credential:db", f"Environment=B={other}"))
    daemon.write_check("complained", exec_check(
        shell("echo \"$A\" >&2; exit 9"), "Environment=A=credential:db"))
    daemon.write_check("hanging", exec_check(
        shell("sleep 1000"), "Environment=A=credential:db",
        common=COMMON.replace("30s", "1s")))
    daemon.write_check("wrong", exec_check("/bin/ls", f"Environment=A B={other}"))
    daemon.start(env={"CREDENTIALS_DIRECTORY": str(credentials)})
    process = wait_until("the plug-in runs", lambda: children(daemon.process.pid))[0]
    command_line = pathlib.Path(f"/proc/{process}/cmdline").read_bytes().decode()
    checks = daemon.first_results("said", "complained", "hanging")
    assert checks["said"]["error"] == "logged in with *** and ***"
    assert checks["complained"]["error"].endswith("status 9: ***")
    text = command_line + daemon.stderr() + daemon.verify().stderr
    for path in ("/health", "/health/checks/said", "/health/history?check=said"):
        text += daemon.get(path).text
    assert PASSWORD not in text
    assert other not in text


# --- the deadline ---

STUBBORN = """#!/bin/sh
trap '' TERM INT HUP
echo $$ >>{pids}
(trap '' TERM; echo grandchild; sleep 1000) &
(sleep 1000 & sleep 1000) &
setsid sh -c 'echo $$ >>{others}; trap "" TERM; sleep 1000 & sleep 1000' &
while :; do sleep 1000; done
"""


def stat_of(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, _, group = text.rsplit(")", 1)[1].split()[:3]
    return state, int(group)


def members(groups):
    """Whatever is in one of these process groups, zombies too."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    stats = {pid: stat_of(pid) for pid in pids}
    return {pid: stat for pid, stat in stats.items() if stat and stat[1] in groups}


@needs_root
def test_150_stubborn_plugins(daemon, directory):
    pids = directory / "pids"
    plugin = write_plugin(directory, "stubborn", STUBBORN.format(pids=pids, others=directory / "others"))
    common = COMMON.replace("30s", "10s")
    names = [f"stubborn{number}" for number in range(150)]
    for name in names:
        daemon.write_check(name, exec_check(plugin, common=common))
    daemon.write_check("quick", exec_check(shell("echo OK"), common=COMMON.replace("60s", "500ms")))
    daemon.start()

    def started():
        return pids.exists() and len(pids.read_text(encoding="utf-8").split()) == 150
    wait_until("150 plug-ins run", started, 60)
    groups = {int(word) for word in pids.read_text(encoding="utf-8").split()}
    others = directory / "others"  # those that left the groups
    wait_until("all left", lambda: len(others.read_text(encoding="utf-8").split()) == 150, 60)
    groups |= {int(word) for word in others.read_text(encoding="utf-8").split()}
    assert len(members(groups)) > 600
    checks = daemon.first_results(*names, timeout=60)
    for name in names:
        assert checks[name]["status"] == "unhealthy"
        assert checks[name]["error"].startswith("timed out after 10s: ")
        assert "had not ended" in checks[name]["error"]
    assert checks["quick"]["status"] == "healthy"
    wait_until("all of them are gone, zombies too", lambda: not members(groups), 20)
    own = [stat_of(pid) for pid in children(daemon.process.pid)]
    assert not [stat for stat in own if stat and stat[0] == "Z"]


def test_the_end_of_the_daemon_ends_them(daemon, directory):
    pids = directory / "pids"
    plugin = write_plugin(directory, "stubborn", STUBBORN.format(pids=pids, others=directory / "others"))
    for number in range(5):
        daemon.write_check(f"stubborn{number}", exec_check(plugin))
    daemon.start()
    others = directory / "others"
    wait_until("they run", lambda: others.exists() and len(others.read_text().split()) == 5, 60)
    groups = {int(word) for word in (pids.read_text() + others.read_text()).split()}
    daemon.terminate()
    wait_until("all of them are gone, zombies too", lambda: not members(groups), 20)


def test_background_processes_do_not_delay_the_result(daemon, directory):
    pid = directory / "pid"
    check = result_of(daemon, shell(f"sleep 1000 & echo $! >{pid}; echo OK"))
    assert check["status"] == "healthy"
    wait_until("it is gone", lambda: has_ended(int(pid.read_text(encoding="utf-8"))))


def test_a_stopped_plugin(daemon):
    check = result_of(daemon, shell("kill -STOP $$"), common=COMMON.replace("30s", "1s"))
    assert check["status"] == "unhealthy"
    assert "had not ended" in check["error"]
    wait_until("it is gone", lambda: not children(daemon.process.pid))


def test_reload_kills_what_runs(daemon):
    daemon.write_check("plugin", exec_check(shell("sleep 1000"), common=COMMON))
    daemon.start()
    first = wait_until("it runs", lambda: children(daemon.process.pid))
    daemon.write_check("plugin", exec_check(shell("echo OK"), common=COMMON))
    daemon.reload()
    daemon.wait_status("plugin", "healthy")
    wait_until("the old one is gone", lambda: not set(children(daemon.process.pid)) & set(first))


def test_sigchld_may_be_ignored_by_whoever_starts_us(daemon):
    daemon.write_check("plugin", exec_check(shell("echo OK")))
    daemon.start(preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert daemon.first_results("plugin")["plugin"]["status"] == "healthy"
