# SPDX-License-Identifier: LGPL-2.1-or-later
"""healthd-guard: who may ask it, what it refuses, and what systemd does when it does not."""

import subprocess

import pytest

from process import wait_until

GUARD = "healthd-guard.service"
DROP_IN = "[Service]\nNotifyAccess=main\nX-HealthdGuard=yes\n"
# The directory is entered while it still may be; who connects is then another.
CLIENT = """
import contextlib, os, socket, sys, time
directory, uid, gid, text, times, pause = sys.argv[1:]
os.chdir(directory)
os.setgroups([])
os.setresgid(*[int(gid)] * 3)
os.setresuid(*[int(uid)] * 3)
for _ in range(int(times)):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as guard:
        guard.settimeout(30)
        guard.connect("guard.sock")
        # A stranger is answered before he asks: nobody need take his question.
        time.sleep(float(pause))
        with contextlib.suppress(ConnectionError):
            guard.send(bytes.fromhex(text))
        print(guard.recv(4096).decode())
"""
REASON = "orders-http unhealthy: status_code 500"


def ask_raw(machine, text, user="healthd", times=1, pause=0):
    """What the guard answers to a user of the machine, a line for each packet sent after a pause."""
    uid, gid = (machine.enter("id", option, user).stdout.strip() for option in ("-u", "-g"))
    return subprocess.run(
        ["/usr/bin/python3", "-c", CLIENT, machine.path("/run/healthd"), uid, gid,
         text.encode().hex(), str(times), str(pause)], capture_output=True, text=True,
        timeout=120, check=False)


def ask(machine, unit, action="trigger", reason=REASON):
    done = ask_raw(machine, f"UNIT={unit}\nACTION={action}\nREASON={reason}\n")
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


def opt_in(machine, unit, text=DROP_IN):
    machine.write_file(f"/etc/systemd/system/{unit}.d/50-healthd.conf", text)
    machine.enter("systemctl", "daemon-reload")


def write_service(machine, unit, text):
    machine.write_file(f"/etc/systemd/system/{unit}", f"[Service]\n{text}")
    opt_in(machine, unit)
    machine.enter("systemctl", "start", unit)


def restarts(machine, unit):
    return int(machine.properties(unit)["NRestarts"])


@pytest.fixture(scope="module", autouse=True)
def guard(machine):
    machine.enter("systemctl", "start", "healthd-guard.socket")


def test_an_unmodified_service_is_aborted_by_its_own_watchdog(machine):
    unit = "redis-server.service"
    opt_in(machine, unit)
    machine.enter("systemctl", "start", unit)
    pid = machine.properties(unit)["MainPID"]
    since = machine.now()
    assert ask(machine, unit, "look") == f"done {unit} could be aborted by its watchdog: {REASON}"
    assert machine.properties(unit)["MainPID"] == pid
    assert ask(machine, unit) == f"done {unit} is aborted by its watchdog: {REASON}"
    wait_until("another process", lambda: machine.properties(unit)["MainPID"] not in ("0", pid)
               and machine.properties(unit)["ActiveState"] == "active", timeout=20)
    texts = machine.unit_texts(unit, since)
    watchdog = f"{unit}: Watchdog request (last status: healthd: {REASON})!"
    assert watchdog in texts, texts
    # What the guard said stands with the unit, before what systemd did.
    assert texts.index(f"{unit} is aborted by its watchdog: {REASON}") < texts.index(watchdog)


def test_who_may_ask(machine):
    since = machine.now()
    refused = ask_raw(machine, "UNIT=redis-server.service\nACTION=look\nREASON=x\n", "daemon")
    assert refused.returncode != 0 and "PermissionError" in refused.stderr
    machine.enter("chmod", "666", "/run/healthd/guard.sock")
    for times, pause in ((50, 0), (1, 0.2)):
        refused = ask_raw(machine, "UNIT=redis-server.service\nACTION=look\nREASON=x\n", "daemon",
                          times, pause)
        assert refused.stdout == "refused only the user healthd may ask\n" * times, refused.stderr
    machine.enter("chmod", "660", "/run/healthd/guard.sock")
    # Said, but not among the entries of the unit that a stranger names.
    assert any("only the user healthd may ask" in line for line in machine.unit_texts(GUARD, since))
    assert not any("may ask" in line
                   for line in machine.unit_texts("redis-server.service", since))


@pytest.mark.parametrize("unit, why", [
    ("nginx.service", "did not opt in; run as root: healthctl adopt nginx.service"),
    ("../../tmp/x.service", "this is not the name of a service"),
    ("..service", "this is not the name of a service"),
    ("a" * 300 + ".service", "this is not the name of a service"),
    ("redis-server", "this is not the name of a service"),
    ("dbus.socket", "this is not the name of a service"),
    ("healthd.service", "healthd.service is healthd's own"),
    ("healthd-guard.service", "healthd-guard.service is healthd's own"),
    ("nobody.service", "nobody.service did not opt in"),
])
def test_units_that_are_refused(machine, unit, why):
    answer = ask(machine, unit)
    assert answer.startswith("refused ") and why in answer


def test_bad_requests_are_refused(machine):
    for text in ("UNIT=a.service\nACTION=look\n", "nonsense", "UNIT=a.service\nREASON=x\n",
                 "UNIT=a.service\nACTION=look\nREASON=" + "x" * 2000, "UNIT=a\0b\nACTION=\nREASON="):
        done = ask_raw(machine, text)
        assert done.stdout.startswith("refused wanted: UNIT=, ACTION=, REASON= "), text
    assert "no such action" in ask(machine, "redis-server.service", "stop")


@pytest.mark.parametrize("make_unsafe", [
    ["chmod", "666"], ["chown", "healthd"], ["sh", "-c", 'mv "$0" "$0.real"; ln -s "$0.real" "$0"'],
    ["sed", "-i", "s/^X-/# X-/"],
])
def test_only_root_can_let_a_unit_opt_in(machine, make_unsafe):
    path = "/etc/systemd/system/redis-server.service.d/50-healthd.conf"
    machine.enter(*make_unsafe, path)
    assert "did not opt in" in ask(machine, "redis-server.service", "look")
    machine.enter("rm", "-f", path, path + ".real")
    opt_in(machine, "redis-server.service")
    assert ask(machine, "redis-server.service", "look").startswith("done ")


@pytest.mark.parametrize("kind, text", [
    ("simple", "Type=simple\nExecStart=/bin/sleep 1h\n"),
    ("exec", "Type=exec\nExecStart=/bin/sleep 1h\n"),
    ("forking", "Type=forking\nExecStart=/bin/sh -c 'sleep 1h &'\n"),
    ("notify", "Type=notify\nNotifyAccess=main\n"
               "ExecStart=/bin/sh -c 'systemd-notify --ready; exec sleep 1h'\n"),
])
def test_each_type_that_has_a_main_process_works(machine, kind, text):
    unit = f"kind-{kind}.service"
    write_service(machine, unit, text + "Restart=on-watchdog\nRestartSec=100ms\n")
    assert ask(machine, unit).startswith("done "), kind
    wait_until("a restart", lambda: restarts(machine, unit) == 1, timeout=20)
    machine.enter("systemctl", "stop", unit)


def test_what_has_no_main_process_is_refused_with_a_reason(machine):
    write_service(machine, "once.service",
                  "Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n")
    assert ask(machine, "once.service") == "refused once.service has no main process"
    machine.enter("systemctl", "stop", "once.service")
    answer = ask(machine, "once.service")
    assert "not loaded" in answer or "is inactive (dead): it is acted on only" in answer


def test_a_unit_on_its_way_is_left_alone(machine):
    write_service(machine, "slow.service", "Type=exec\nExecStart=/bin/sleep 1h\n"
                  "ExecStop=/bin/sleep 3\n")
    machine.enter("systemctl", "stop", "--no-block", "slow.service")
    answer = ask(machine, "slow.service")
    assert answer == ("refused slow.service is deactivating (stop): it is acted on only while it "
                      "is active")


def test_feeding_and_disarming(machine):
    write_service(machine, "armed.service", "Type=exec\nExecStart=/bin/sleep 1h\n")
    assert ask(machine, "armed.service", "arm").startswith("done ")
    assert machine.properties("armed.service")["WatchdogUSec"] == "3min 1s"
    assert ask(machine, "armed.service", "note").startswith("refused armed.service is left alone: ")
    assert ask(machine, "armed.service", "disarm").startswith("done ")
    assert machine.properties("armed.service")["WatchdogUSec"] == "0"


def test_what_is_armed_is_fed_also_while_it_reloads(machine):
    write_service(machine, "reloads.service", "Type=exec\nExecStart=/bin/sleep 1h\n"
                  "ExecReload=/bin/sleep 30\n")
    assert ask(machine, "reloads.service", "arm").startswith("done ")
    machine.enter("systemctl", "reload", "--no-block", "reloads.service")
    wait_until("reloading", lambda: machine.properties("reloads.service")["ActiveState"]
               == "reloading")
    assert "is reloading (reload)" in ask(machine, "reloads.service")
    assert ask(machine, "reloads.service", "arm").startswith("done ")
    assert ask(machine, "reloads.service", "disarm").startswith("done ")
    # Now it is as any other, and not armed.
    assert "is reloading (reload)" in ask(machine, "reloads.service", "arm")
    machine.enter("systemctl", "stop", "reloads.service")


def test_what_it_is_told_is_made_printable(machine):
    opt_in(machine, "redis-server.service")
    machine.enter("systemctl", "start", "redis-server.service")
    since = machine.cursor()
    assert "x  [31m red" in ask(machine, "redis-server.service", "look", "x \x1b[31m red")
    machine.enter("journalctl", "--sync")
    entry = [entry for entry in machine.journal(since=since)
             if entry.get("HEALTH_ACTION") == "look"][-1]
    assert entry["HEALTH_REASON"] == "x  [31m red"
    assert entry["MESSAGE"].endswith("by its watchdog: x  [31m red")


@pytest.mark.parametrize("window", ["30s", "3min"])
def test_a_watchdog_of_the_unit_s_own_is_not_replaced(machine, window):
    write_service(machine, "own.service", 
                  f"Type=exec\nExecStart=/bin/sleep 1h\nWatchdogSec={window}\n")
    for action in ("arm", "disarm"):
        answer = ask(machine, "own.service", action)
        assert answer.startswith("refused own.service has WatchdogSec= of its own"), answer
        assert machine.properties("own.service")["WatchdogUSec"] == window
    assert ask(machine, "own.service", "look").startswith("done ")
    machine.enter("systemctl", "stop", "own.service")


def test_nobody_else_is_hit_when_the_process_is_just_gone(machine):
    """The unit restarts all the time: whatever is hit must be itself."""
    write_service(machine, "hasty.service", "Type=exec\nExecStart=/bin/sleep 0.02\n"
                  "Restart=always\nRestartSec=1ms\nStartLimitIntervalSec=0\n")
    since = machine.cursor()
    done = ask_raw(machine, f"UNIT=hasty.service\nACTION=trigger\nREASON={REASON}\n", times=1000)
    answers = done.stdout.splitlines()
    assert len(answers) == 1000, done.stderr
    assert {answer.split()[0] for answer in answers} <= {"done", "refused"}, set(answers)
    machine.enter("systemctl", "stop", "hasty.service")
    hit = {entry["UNIT"] for entry in machine.journal(since=since)
           if "Watchdog request" in str(entry["MESSAGE"])}
    assert hit <= {"hasty.service"}
    assert machine.properties("redis-server.service")["ActiveState"] == "active"


def test_without_its_capability_it_fails_and_says_so(machine):
    machine.write_file(f"/etc/systemd/system/{GUARD}.d/none.conf",
                       "[Service]\nCapabilityBoundingSet=\n")
    machine.enter("systemctl", "daemon-reload")
    machine.enter("systemctl", "stop", GUARD)
    answer = ask(machine, "redis-server.service")
    assert answer.startswith("failed cannot notify") and "needs CAP_SYS_ADMIN" in answer
    assert machine.properties("redis-server.service")["ActiveState"] == "active"
    machine.enter("rm", "-r", f"/etc/systemd/system/{GUARD}.d")
    machine.enter("systemctl", "daemon-reload")
    machine.enter("systemctl", "stop", GUARD)


def test_it_exits_when_nobody_asks(machine):
    ask(machine, "redis-server.service", "look")
    assert machine.properties(GUARD)["ActiveState"] == "active"
    wait_until("the exit", lambda: machine.properties(GUARD)["ActiveState"] == "inactive",
               timeout=45)
    assert machine.properties(GUARD)["Result"] == "success"


def test_its_sandbox(machine):
    path = machine.enter("systemctl", "show", "-P", "FragmentPath", GUARD).stdout.strip()
    done = machine.enter("systemd-analyze", "security", "--no-pager", "--offline=true",
                         "--threshold=30", path, check=False)
    assert done.returncode == 0, done.stdout
