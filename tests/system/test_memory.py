# SPDX-License-Identifier: LGPL-2.1-or-later
"""What healthd remembers, over every way in which it can end under a real systemd."""

import json
import time
import uuid

import pytest

from process import wait_until

SERVICE = "healthd.service"
FAST = "Interval=300ms\nTimeout=250ms\nRetryInterval=100ms\nFailAfter=2\nPassAfter=2\n"
LOST = (f"[Check]\nType=redis\n{FAST}Watchdog=no\nBreakerAfter=4\nBreakerReset=1h\n"
        "[Redis]\nAddress=127.0.0.1:6390\n")
NEVER_WELL = (f"[Check]\nType=redis\n{FAST}BreakerAfter=0\n"
              "[Redis]\nAddress=127.0.0.1:6390\n")
BACKUP = f"[Check]\nType=heartbeat\n{FAST}Watchdog=no\n[Heartbeat]\nEvery=1h\n"
STARTED = "MESSAGE_ID=49476084b6b748e78eaa5bd739fc423f"


def remembered(machine, **configuration):
    """A state worth keeping: settled, with an open breaker. Returns what /health says of it."""
    machine.configure({"lost": LOST}, **configuration)
    return wait_until("the breaker is open", lambda: (
        lambda check: check if check["breaker"]["position"] == "open" else None)(
            machine.curl("/health")[1]["checks"]["lost"]), 20)


def status_text(machine):
    return machine.properties(SERVICE).get("StatusText", "")


def history(machine):
    return machine.curl("/health/history?check=lost")[1]


def wait_new_process(machine, pid):
    wait_until("a new process", lambda: int(machine.show("MainPID")) not in (0, pid), 20)
    wait_until("it is ready", lambda: machine.show("ActiveState") == "active", 20)


def end_process(machine, how):
    """Ends the service in one of the ways it can, and waits until there is another process."""
    pid = int(machine.show("MainPID"))
    if how == "restart":
        machine.enter("systemctl", "restart", SERVICE)
    elif how == "sigkill":
        machine.enter("systemctl", "kill", "--signal=KILL", SERVICE)
    elif how == "watchdog":
        # What systemd's watchdog sends, to a daemon whose loop hangs.
        machine.enter("systemctl", "kill", "--signal=ABRT", SERVICE)
    else:
        machine.enter("systemctl", "stop", SERVICE)
        machine.enter("systemctl", "start", SERVICE)
    wait_new_process(machine, pid)


def control(machine, verb, body, *user):
    """(status, JSON) of a request over the unix socket, by root or by somebody with setpriv."""
    output = machine.enter(*(("setpriv", *user) if user else ()), "curl", "--silent",
                           "--show-error", "--max-time", "10", "--unix-socket",
                           "/run/healthd/healthd.sock", "--write-out", "\n%{http_code}",
                           "--data", json.dumps(body), f"http://localhost/control/{verb}").stdout
    text, status = output.rsplit("\n", 1)
    return int(status), json.loads(text)


@pytest.mark.parametrize("how", ["restart", "sigkill", "watchdog"])
def test_everything_survives_a_restart(machine, how):
    before = remembered(machine)
    results = history(machine)["availability"]["24h"]
    end_process(machine, how)
    after = machine.curl("/health")[1]["checks"]["lost"]
    assert after["status"] == "unhealthy"
    assert after["consecutive_failures"] == before["consecutive_failures"]
    assert after["since"] == before["since"]
    assert after["breaker"]["position"] == "open"
    assert abs(after["breaker"]["next_attempt"] - before["breaker"]["next_attempt"]) < 1
    assert history(machine)["availability"]["24h"] == results
    # And the server is left alone as it was promised: no new result.
    time.sleep(1)
    assert history(machine)["availability"]["24h"] == results


@pytest.mark.parametrize("how", ["restart", "sigkill", "watchdog", "stop and start"])
def test_a_silence_survives(machine, how):
    remembered(machine)
    status, reply = control(machine, "silence", {"check": "l*", "duration": "2h", "reason": "t 42"})
    assert status == 200, reply
    silenced = machine.curl("/health")[1]["checks"]["lost"]["silenced"]
    assert silenced == {"id": reply["id"], "until": reply["until"], "author": "root",
                        "reason": "t 42"}
    end_process(machine, how)
    assert machine.curl("/health")[1]["checks"]["lost"]["silenced"] == silenced
    status, reply = control(machine, "unsilence", {"id": reply["id"]})
    assert status == 200, reply
    end_process(machine, how)
    assert "silenced" not in machine.curl("/health")[1]["checks"]["lost"]


@pytest.mark.parametrize("user, expected", [
    (("--reuid=nobody", "--regid=nogroup", "--clear-groups"), 403),
    (("--reuid=nobody", "--regid=healthd", "--clear-groups"), 202),
    (("--reuid=nobody", "--regid=nogroup", "--groups=daemon,healthd"), 202),
    (("--reuid=nobody", "--regid=nogroup", "--groups=daemon"), 403),
    (("--reuid=healthd", "--regid=nogroup", "--clear-groups"), 202),
    ((), 202),
])
def test_who_may_control(machine, user, expected):
    machine.configure()
    machine.wait_status("application_metrics", "healthy")
    status, reply = control(machine, "run", {"check": "application_metrics"}, *user)
    assert status == expected, reply


def test_history_survives_stop_and_start(machine):
    remembered(machine)
    before = history(machine)
    machine.enter("systemctl", "stop", SERVICE)
    machine.enter("systemctl", "start", SERVICE)
    after = history(machine)
    assert after["availability"]["24h"]["count"] >= before["availability"]["24h"]["count"]
    assert after["transitions"][:1] == before["transitions"][:1]


def test_a_reboot_keeps_what_has_wall_times(machine):
    # A service's /proc/sys has the boot id of the host, which goes on: until /run is new, another.
    machine.write_file("/run/boot_id", f"{uuid.uuid4()}\n")
    remembered(machine, service="BindReadOnlyPaths=-/run/boot_id:/proc/sys/kernel/random/boot_id\n")
    machine.write_check("backup", BACKUP)
    machine.enter("systemctl", "reload", SERVICE)
    assert control(machine, "beat", {"check": "backup", "exit_status": 5})[0] == 200
    assert control(machine, "silence", {"check": "l*", "duration": "2h", "reason": "t 42"})[0] == 200
    machine.wait_status("backup", "unhealthy")
    before, trend = machine.curl("/health")[1]["checks"], history(machine)
    machine.reboot()
    after = machine.wait_status("lost", "unhealthy")
    assert after["silenced"] == before["lost"]["silenced"]
    # A boot may have mended it: the status begins anew, and so does its breaker.
    assert after["since"] > before["lost"]["since"]
    recalled = history(machine)
    assert recalled["availability"]["24h"]["count"] > trend["availability"]["24h"]["count"]
    assert recalled["transitions"][:len(trend["transitions"])] == trend["transitions"]
    backup = machine.wait_status("backup", "unhealthy")
    assert backup["reason"] == "the last run ended with exit status 5"
    assert backup["details"]["beats"] == 1
    assert backup["details"]["age_s"] > before["backup"]["details"]["age_s"]
    this_boot = machine.enter("cat", "/proc/sys/kernel/random/boot_id").stdout.replace("-", "")
    assert not machine.journal("MESSAGE_ID=523cd6abccca48e7b6764f4d90276bc3",
                               f"_BOOT_ID={this_boot.strip()}")


def test_the_reason_survives_a_restart(machine):
    before = remembered(machine)
    end_process(machine, "sigkill")
    assert machine.curl("/health")[1]["checks"]["lost"]["reason"] == before["reason"]
    wait_until("the status line", lambda: before["reason"] in status_text(machine))


def test_a_damaged_file_is_refused_and_said(machine):
    remembered(machine)
    machine.enter("systemctl", "stop", SERVICE)
    machine.enter("sh", "-c", "printf XXXX | dd of=/var/lib/healthd/state bs=1 seek=4 conv=notrunc")
    cursor = machine.cursor()
    machine.enter("systemctl", "start", SERVICE)
    said = machine.journal("MESSAGE_ID=523cd6abccca48e7b6764f4d90276bc3", since=cursor)
    assert len(said) == 1 and "begin anew" in said[0]["MESSAGE"]
    assert machine.show("ActiveState") == "active"


def test_reload_keeps_unchanged_checks_and_drops_removed_ones(machine):
    before = remembered(machine)
    machine.write_check("second", LOST)
    machine.enter("systemctl", "reload", SERVICE)
    wait_until("the second one", lambda: "second" in machine.curl("/health")[1]["checks"])
    after = machine.curl("/health")[1]["checks"]["lost"]
    assert after["breaker"]["position"] == "open"
    assert abs(after["breaker"]["next_attempt"] - before["breaker"]["next_attempt"]) < 1
    # The new memfd is the one that comes back.
    pid = int(machine.show("MainPID"))
    machine.enter("systemctl", "kill", "--signal=KILL", SERVICE)
    wait_new_process(machine, pid)
    assert machine.curl("/health")[1]["checks"]["lost"]["since"] == before["since"]
    assert machine.show("NFileDescriptorStore") == "1"
    machine.enter("rm", "/etc/healthd/checks/second.check")
    machine.enter("systemctl", "reload", SERVICE)
    wait_until("it is gone", lambda: "second" not in machine.curl("/health")[1]["checks"])
    assert machine.curl("/health/history?check=second")[0] == 404


def test_restart_budget(machine):
    """A check that can never get well: three restarts, then it stays up and says so."""
    machine.configure({"never": NEVER_WELL}, conf="[Watchdog]\nRestartBudget=3/1h\n",
                      service="WatchdogSec=2\nRestartSec=100ms\n")
    restarts = int(machine.show("NRestarts"))
    wait_until("the budget is spent", lambda: "restart budget spent" in
               status_text(machine), 60)
    time.sleep(6)
    assert int(machine.show("NRestarts")) == restarts + 3
    status, health = machine.curl("/health")
    assert status == 503 and "127.0.0.1:6390" in health["checks"]["never"]["error"]
    assert "restart budget spent" in machine.enter("systemctl", "status", "--no-pager",
                                                   SERVICE).stdout
    said = machine.journal("MESSAGE_ID=6289fcd898094962aa4e1b21d7e35ad3")
    assert len(said) == 1 and "3 restarts" in said[0]["MESSAGE"]
    # When it gets well, the budget is given back.
    machine.write_check("never", NEVER_WELL.replace("6390", "6379"))
    machine.enter("systemctl", "start", "redis-server")
    machine.enter("systemctl", "reload", SERVICE)
    wait_until("healthy", lambda: status_text(machine).startswith("healthy: "), 20)
    wait_until("budget", lambda: "budget" not in status_text(machine), 20)


def test_a_server_that_is_back_in_time_costs_no_restart(machine):
    """Its breaker would have waited for an hour."""
    machine.enter("systemctl", "stop", "redis-server")
    machine.configure({"cache": LOST.replace("Watchdog=no\n", "").replace("6390", "6379")},
                      service="WatchdogSec=9\n")
    pid = machine.show("MainPID")
    wait_until("it is withheld", lambda: said_by(machine, pid, "Not feeding the watchdog"), 20)
    machine.enter("systemctl", "start", "redis-server")
    wait_until("it is fed again", lambda: said_by(machine, pid, "Feeding the watchdog again"), 20)
    time.sleep(9)
    assert machine.show("MainPID") == pid
    assert machine.curl("/health")[1]["checks"]["cache"]["status"] == "healthy"


def said_by(machine, pid, text):
    return [entry for entry in machine.journal(f"_PID={pid}") if text in entry["MESSAGE"]]
