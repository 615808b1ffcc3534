# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guards=: services that never call sd_notify, restarted by systemd's watchdog when a check fails."""

import json
import os
import re
import signal
import time

import pytest

from process import wait_until

SERVICE = "healthd.service"
REDIS = "redis-server.service"
FAST = "[Check]\nType=redis\nInterval=500ms\nTimeout=300ms\nRetryInterval=100ms\nFailAfter=3\n" \
       "PassAfter=1\nBreakerAfter=0\nWatchdog=no\nGuards={unit}\n{keys}" \
       "[Redis]\nAddress=127.0.0.1:{port}\n"
STEADY = FAST.replace("Interval=500ms", "Interval=1s").replace("RetryInterval=100ms",
                                                                "RetryInterval=1s")
# The unit was started long ago to every test but those about just that.
SOON = "GuardCooldown=10s\nGuardGrace=0\n"


def opt_in(machine, unit, *options):
    return machine.enter("healthctl", "adopt", *options, unit).stdout


def guard(machine, keys=SOON, unit=REDIS, port=6379, pace=FAST, **options):
    machine.configure({"sessions": pace.format(unit=unit, keys=keys, port=port)}, **options)
    machine.wait_status("sessions", "healthy")


def wait_text(machine, unit, since, text, timeout=30):
    return wait_until(f"{text!r} in the journal of {unit}", lambda: [
        line for line in machine.unit_texts(unit, since) if text in line], timeout)[0]


def stop_process(machine, unit=REDIS):
    pid = int(machine.properties(unit)["MainPID"])
    os.kill(machine.host_pid(pid), signal.SIGSTOP)
    return pid


@pytest.fixture(scope="module", autouse=True)
def adopted(machine):
    machine.enter("systemctl", "start", "healthd-guard.socket", REDIS)
    opt_in(machine, REDIS)


@pytest.fixture(autouse=True)
def old_redis(machine):
    """Started so long ago that no guard waits for it, and running."""
    machine.enter("systemctl", "reset-failed")
    machine.enter("systemctl", "start", REDIS)
    wait_until("the unit is old", lambda: float(machine.enter(
        "cat", "/proc/uptime").stdout.split()[0]) - int(machine.properties(REDIS)[
            "InactiveExitTimestampMonotonic"]) / 1e6 > 11, timeout=20)


def journal_time(machine, unit, since, text):
    """When the first entry of a unit with this text was written, in seconds of the real time."""
    machine.enter("journalctl", "--sync")
    return min(int(entry["__REALTIME_TIMESTAMP"]) / 1e6 for entry in map(json.loads, machine.enter(
        "journalctl", "--no-pager", "-o", "json", "-u", unit,
        f"--since=@{since}").stdout.splitlines()) if text in entry["MESSAGE"])


def test_a_hanging_service_is_aborted_and_restarted_by_systemd(machine):
    guard(machine, pace=STEADY)
    since = machine.now()
    pid = stop_process(machine)
    stopped = time.time()
    line = wait_text(machine, REDIS, since, "Watchdog request (last status: healthd: ")
    # FailAfter= times RetryInterval=, and a second.
    assert journal_time(machine, REDIS, since, "Watchdog request") - stopped < 3 * 1 + 1
    assert "sessions unhealthy: timed out after 300ms" in line
    wait_until("another process", lambda: machine.properties(REDIS)["MainPID"] not in
               ("0", str(pid)), timeout=120)
    machine.wait_status("sessions", "healthy")
    acted = [entry for entry in machine.journal("HEALTH_TARGET_UNIT=" + REDIS)
             if "is aborted by its watchdog" in entry["MESSAGE"]]
    assert {entry["HEALTH_CHECK"] for entry in acted if "HEALTH_CHECK" in entry} == {"sessions"}
    metrics = machine.enter("curl", "-s", "--unix-socket", "/run/healthd/healthd.sock",
                            "http://x/metrics").stdout
    assert f'healthd_guard_actions_total{{unit="{REDIS}",result="acted"}} 1' in metrics


def test_observing_only_says_it(machine):
    guard(machine, SOON + "GuardMode=observe\n")
    since = machine.now()
    pid = stop_process(machine)
    wait_text(machine, SERVICE, since, f"{REDIS} would be aborted by its watchdog: sessions")
    os.kill(machine.host_pid(pid), signal.SIGCONT)
    machine.wait_status("sessions", "healthy")
    assert machine.properties(REDIS)["MainPID"] == str(pid)


def test_a_unit_that_did_not_opt_in_is_left_alone(machine):
    machine.write_file("/etc/systemd/system/other.service",
                       "[Service]\nExecStart=/usr/bin/redis-server --port 7001 --save ''\n")
    machine.enter("systemctl", "daemon-reload")
    machine.enter("systemctl", "start", "other.service")
    time.sleep(11)
    guard(machine, unit="other.service", port=7001)
    since = machine.now()
    pid = stop_process(machine, "other.service")
    line = wait_text(machine, SERVICE, since, "cannot act on other.service")
    assert "run as root: healthctl adopt other.service" in line
    time.sleep(2)
    assert sum("cannot act on" in line for line in machine.unit_texts(SERVICE, since)) == 1
    assert machine.properties("other.service")["MainPID"] == str(pid)
    os.kill(machine.host_pid(pid), signal.SIGKILL)


def test_a_unit_that_has_just_started_is_given_time(machine):
    guard(machine, "GuardCooldown=10s\nGuardGrace=1h\n")
    since = machine.now()
    pid = stop_process(machine)
    line = wait_text(machine, SERVICE, since, f"{REDIS} is left alone: it started less than 1h")
    assert "sessions is unhealthy" in line
    # Also among the unit's own entries.
    wait_text(machine, REDIS, since, f"{REDIS} is left alone: it started less than 1h")
    os.kill(machine.host_pid(pid), signal.SIGCONT)
    machine.wait_status("sessions", "healthy")


def test_silenced_blocked_and_faulty_checks_guard_nothing(machine):
    guard(machine)
    since = machine.now()
    machine.enter("curl", "-s", "--unix-socket", "/run/healthd/healthd.sock", "-d",
                  '{"check":"sessions","duration":"1h","reason":"maintenance"}',
                  "http://x/control/silence")
    pid = stop_process(machine)
    machine.wait_status("sessions", "unhealthy")
    wait_text(machine, SERVICE, since, f"sessions is unhealthy, and {REDIS} is left alone: the "
              "check is silenced")
    time.sleep(2)
    assert sum("is left alone" in line for line in machine.unit_texts(SERVICE, since)) == 1
    assert machine.properties(REDIS)["MainPID"] == str(pid)
    os.kill(machine.host_pid(pid), signal.SIGCONT)
    assert not [line for line in machine.unit_texts(REDIS, since) if "Watchdog request" in line]


def test_a_check_that_is_blocked_says_so(machine):
    machine.configure({
        "network": "[Check]\nType=file\nInterval=500ms\nFailAfter=1\nPassAfter=1\nWatchdog=no\n"
                   "[File]\nPath=/run/network-is-up\n",
        "sessions": FAST.format(unit=REDIS, keys=SOON + "DependsOn=network\n", port=6379)})
    since = machine.now()
    pid = stop_process(machine)
    wait_text(machine, SERVICE, since, f"{REDIS} is left alone: what the check depends on fails")
    os.kill(machine.host_pid(pid), signal.SIGCONT)
    machine.wait_status("sessions", "healthy")
    assert machine.properties(REDIS)["MainPID"] == str(pid)


def test_nobody_is_accused_before_what_the_check_depends_on_was_looked_at(machine):
    """With FailAfter=1 the effect settles long before the cause is looked for."""
    up = machine.path("/run/network-is-up")
    with open(up, "w", encoding="ascii"):
        pass
    machine.configure({
        "network": "[Check]\nType=file\nInterval=5s\nFailAfter=1\nPassAfter=1\nWatchdog=no\n"
                   "[File]\nPath=/run/network-is-up\n",
        "sessions": FAST.format(unit=REDIS, keys=SOON + "DependsOn=network\nFailAfter=1\n",
                                port=6379)})
    machine.wait_status("network", "healthy")
    machine.wait_status("sessions", "healthy")
    since = machine.now()
    os.unlink(up)
    pid = stop_process(machine)
    wait_text(machine, SERVICE, since, f"{REDIS} is left alone: what the check depends on")
    machine.wait_status("network", "unhealthy")
    time.sleep(1)
    os.kill(machine.host_pid(pid), signal.SIGCONT)
    assert not [line for line in machine.unit_texts(REDIS, since) if "Watchdog request" in line]
    assert machine.properties(REDIS)["MainPID"] == str(pid)


def test_a_check_that_observes_keeps_no_other_from_acting(machine):
    machine.configure({
        "a-look": FAST.format(unit=REDIS, keys=SOON + "GuardMode=observe\n", port=6379),
        "sessions": FAST.format(unit=REDIS, keys=SOON, port=6379)})
    machine.wait_status("a-look", "healthy")
    machine.wait_status("sessions", "healthy")
    since = machine.now()
    stop_process(machine)
    line = wait_text(machine, REDIS, since, "Watchdog request (last status: healthd: ")
    assert "healthd: sessions unhealthy" in line
    machine.wait_status("sessions", "healthy", timeout=120)


def test_a_check_that_cannot_be_carried_out_accuses_nobody(machine):
    machine.configure({"sessions": f"[Check]\nType=exec\nInterval=500ms\nFailAfter=2\n"
                                   f"Watchdog=no\nGuards={REDIS}\n{SOON}"
                                   "[Exec]\nCommand=/nowhere/plugin\n"})
    since = machine.now()
    pid = machine.properties(REDIS)["MainPID"]
    line = wait_text(machine, SERVICE, since, f"{REDIS} is left alone: the check could not be")
    assert line.startswith("sessions is error")
    assert machine.properties(REDIS)["MainPID"] == pid


def test_a_unit_without_a_main_process_is_refused_with_a_reason(machine):
    machine.write_file("/etc/systemd/system/once.service", "[Service]\nType=oneshot\n"
                       "RemainAfterExit=yes\nExecStart=/bin/true\n")
    # By hand: healthctl adopt refuses it.
    machine.write_file("/etc/systemd/system/once.service.d/50-healthd.conf",
                       "[Service]\nNotifyAccess=main\nX-HealthdGuard=yes\n")
    machine.enter("systemctl", "daemon-reload")
    machine.enter("systemctl", "start", "once.service")
    time.sleep(11)
    since = machine.now()
    machine.configure({"sessions": FAST.format(unit="once.service", keys=SOON, port=7003)})
    wait_text(machine, SERVICE, since,
              "cannot act on once.service: once.service has no main process")
    machine.enter("systemctl", "stop", "once.service")


def test_what_verify_asks_systemd_about(machine):
    units = {"absent": "", "oneshot": "Type=oneshot\nExecStart=/bin/true\n",
             "stranger": "ExecStart=/bin/sleep 1h\nRestart=always\n",
             "lost": "ExecStart=/bin/sleep 1h\n",
             "own": "ExecStart=/bin/sleep 1h\nRestart=always\nWatchdogSec=30s\n",
             "good": "ExecStart=/bin/sleep 1h\nRestart=on-failure\n"}
    for name, text in units.items():
        if text:
            machine.write_file(f"/etc/systemd/system/v-{name}.service", f"[Service]\n{text}")
    machine.enter("systemctl", "daemon-reload")
    for name in ("lost", "own", "good"):
        opt_in(machine, f"v-{name}.service")
    # systemd does not tell of a unit that is not running whether it has a watchdog.
    machine.enter("systemctl", "start", "v-own.service")
    machine.configure({name: FAST.format(unit=f"v-{name}.service", port=6379, keys=SOON +
                                         ("GuardMode=feed\n" if name == "own" else ""))
                       for name in units})
    done = machine.enter("healthd", "--verify")
    said = {name: [line for line in done.stderr.splitlines() if f"v-{name}.service" in line]
            for name in units}
    assert [len(said[name]) for name in units] == [1, 1, 1, 1, 1, 0], done.stderr
    for name, why in (("absent", "systemd has no such unit"), ("oneshot", "Type=oneshot"),
                      ("stranger", 'run as root "healthctl adopt"'),
                      ("lost", "Restart=on-failure"), ("own", "WatchdogSec= of its own")):
        assert f"checks/{name}.check:10: Guards=v-{name}.service: " in said[name][0]
        assert why in said[name][0]
    # The daemon's own user is told the same: the reload is not refused for it.
    machine.enter("systemctl", "reload", SERVICE)
    machine.enter("systemctl", "stop", "v-own.service")


def test_a_target_that_can_never_get_well_costs_its_budget_and_no_more(machine):
    """Nobody listens on the port, whatever is done; and a restart of healthd forgets nothing."""
    machine.write_file("/etc/systemd/system/lost.service",
                       "[Service]\nExecStart=/bin/sleep 1h\nRestart=on-watchdog\n"
                       "RestartSec=100ms\n")
    machine.enter("systemctl", "daemon-reload")
    opt_in(machine, "lost.service")
    machine.enter("systemctl", "start", "lost.service")
    time.sleep(10)
    since = machine.now()
    machine.configure({"sessions": FAST.format(unit="lost.service", port=7002,
                                               keys=SOON + "GuardBudget=2/1h\n")})
    wait_until("one restart", lambda: machine.properties("lost.service")["NRestarts"] == "1",
               timeout=30)
    machine.enter("systemctl", "restart", SERVICE)
    wait_until("the second one", lambda: machine.properties("lost.service")["NRestarts"] == "2",
               timeout=40)
    wait_text(machine, SERVICE, since, "GuardBudget=2/1h is spent")
    time.sleep(13)
    assert machine.properties("lost.service")["NRestarts"] == "2"
    said = [line for line in machine.unit_texts(SERVICE, since)
            if "GuardBudget=2/1h is spent" in line]
    assert len(said) == 1
    machine.enter("systemctl", "stop", "lost.service")


def test_healthd_killed_again_and_again_hurts_nobody(machine):
    units = [f"many{number}.service" for number in range(10)]
    for number, unit in enumerate(units):
        machine.write_file(f"/etc/systemd/system/{unit}",
                           f"[Service]\nExecStart=/usr/bin/redis-server --port {7100 + number} "
                           "--save ''\nRestart=always\n")
    machine.enter("systemctl", "daemon-reload")
    for unit in units:
        opt_in(machine, unit)
    machine.enter("systemctl", "start", *units)
    machine.configure({
        f"many{number}": FAST.format(unit=unit, port=7100 + number,
                                     keys=SOON + ("GuardMode=feed\n" if number % 2 else ""))
        for number, unit in enumerate(units)}, service="RestartSec=200ms\n")
    wait_until("feeding", lambda: machine.properties("many1.service")["WatchdogUSec"] == "3min 1s")
    for _ in range(10):
        pid = int(machine.show("MainPID"))
        os.kill(machine.host_pid(pid), signal.SIGKILL)
        wait_until("another process", lambda pid=pid: int(machine.show("MainPID")) not in (0, pid),
                   timeout=20)
    wait_until("feeding", lambda: machine.properties("many1.service")["WatchdogUSec"] == "3min 1s")
    assert [machine.properties(unit)["NRestarts"] for unit in units] == ["0"] * 10
    # A clean stop disarms, and so does what runs after a kill that nobody follows.
    machine.enter("systemctl", "stop", SERVICE)
    wait_until("disarmed", lambda: machine.properties("many1.service")["WatchdogUSec"] == "0")
    machine.enter("systemctl", "start", SERVICE)
    wait_until("feeding", lambda: machine.properties("many3.service")["WatchdogUSec"] == "3min 1s")
    # The main process alone: after a kill of the whole cgroup by systemd 257, which leaves it to the
    # kernel, some kernels kill what is started into that cgroup next, and that is ExecStopPost=.
    machine.enter("systemctl", "kill", "--kill-whom=main", "-s", "KILL", SERVICE)
    machine.enter("systemctl", "stop", SERVICE)
    wait_until("disarmed", lambda: machine.properties("many3.service")["WatchdogUSec"] == "0")
    assert [machine.properties(unit)["NRestarts"] for unit in units] == ["0"] * 10
    machine.enter("systemctl", "stop", *units)


def test_what_was_armed_without_an_answer_is_disarmed(machine):
    """healthd is stopped while the guard has not come to its order yet."""
    machine.configure()
    machine.enter("systemctl", "restart", "healthd-guard.service")
    pid = machine.host_pid(int(machine.properties("healthd-guard.service")["MainPID"]))
    os.kill(pid, signal.SIGSTOP)
    guard(machine, SOON + "GuardMode=feed\n")
    machine.enter("systemctl", "stop", SERVICE)
    os.kill(pid, signal.SIGCONT)
    wait_until("the end", lambda: machine.show("ActiveState") == "inactive")
    time.sleep(1)
    assert machine.properties(REDIS)["WatchdogUSec"] == "0"


def test_feeding_is_refused_where_a_restart_of_healthd_takes_too_long(machine):
    since = machine.now()
    guard(machine, SOON + "GuardMode=feed\n", service="WatchdogSec=90s\n")
    wait_text(machine, SERVICE, since, "GuardMode=feed is refused: three times WatchdogSec=")
    assert machine.properties(REDIS)["WatchdogUSec"] == "0"


def test_restarting_gracefully(machine):
    assert "50-healthd-redis-server.service.rules" in opt_in(machine, REDIS, "--restart")
    machine.enter("systemctl", "restart", "polkit.service")
    guard(machine, SOON + "GuardMode=restart\n", port=6379)
    begin = machine.now()
    before = machine.properties(REDIS)["MainPID"]
    # It answers nobody, and still ends when it is told to.
    machine.enter("redis-cli", "CONFIG", "SET", "requirepass", "changed")
    wait_text(machine, SERVICE, begin, f"{REDIS} is restarted: sessions unhealthy: ")
    machine.wait_status("sessions", "healthy")
    assert machine.properties(REDIS)["MainPID"] != before
    assert not [line for line in machine.unit_texts(REDIS, begin) if "Watchdog" in line]


def test_adopting_and_abandoning(machine):
    drop_in = "/etc/systemd/system/nginx.service.d/50-healthd.conf"
    said = opt_in(machine, "nginx.service", "--dry-run")
    assert f"Would write {drop_in}" in said and "X-HealthdGuard=yes" in said
    assert machine.enter("test", "-e", drop_in, check=False).returncode
    said = opt_in(machine, "nginx.service")
    assert f"Wrote {drop_in}" in said and "Reloaded systemd" in said
    assert "nginx.service has Restart=no: it stays down" in said
    assert "Guards=nginx.service" in said
    assert machine.properties("nginx.service")["NotifyAccess"] == "main"
    said = opt_in(machine, "nginx.service")
    assert f"{drop_in} is there already." in said and "Reloaded" not in said
    said = machine.enter("healthctl", "abandon", "nginx.service").stdout
    assert f"Removed {drop_in}" in said and "Reloaded systemd" in said
    assert machine.properties("nginx.service")["NotifyAccess"] == "none"
    said = machine.enter("healthctl", "abandon", "nginx.service").stdout
    assert said == "nginx.service was not adopted.\n"


def test_an_alias_is_adopted_by_the_name_of_its_unit(machine):
    machine.write_file("/etc/systemd/system/orders-real.service",
                       "[Service]\nExecStart=/bin/sleep 1h\n[Install]\nAlias=shop.service\n")
    machine.enter("systemctl", "enable", "orders-real.service")
    said = opt_in(machine, "shop.service")
    assert said.startswith("shop.service is another name of orders-real.service; guard that one.\n")
    assert "Wrote /etc/systemd/system/orders-real.service.d/50-healthd.conf" in said
    assert "Guards=orders-real.service" in said
    said = machine.enter("healthctl", "abandon", "shop.service").stdout
    assert "Removed /etc/systemd/system/orders-real.service.d/50-healthd.conf" in said


def test_the_rule_is_for_the_unit_and_no_other(machine):
    """To JavaScript "\\x2d" is a dash: another unit."""
    machine.write_file("/etc/systemd/system/a\\x2db.service",
                       "[Service]\nExecStart=/bin/sleep 1h\n")
    machine.enter("systemctl", "daemon-reload")
    said = opt_in(machine, "a\\x2db.service", "--restart", "--dry-run")
    assert 'action.lookup("unit") == "a\\\\x2db.service" &&' in said


@pytest.mark.parametrize("unit, why", [
    ("nginx", "write the full name of a service"),
    ("../x.service", "write the full name of a service"),
    ("nobody.service", "systemd has no such unit (not-found)"),
    ("healthd.service", "healthd does not guard itself"),
    ("systemd-tmpfiles-setup.service", "Type=oneshot: it has no main process"),
])
def test_what_cannot_be_adopted(machine, unit, why):
    done = machine.enter("healthctl", "adopt", unit, check=False)
    assert done.returncode == 1 and why in done.stderr


def test_who_may_not_adopt(machine):
    def ask(verb):
        return machine.enter("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                             "healthctl", verb, "nginx.service", check=False)
    directory = "/etc/systemd/system/nginx.service.d"
    drop_in = f"{directory}/50-healthd.conf"
    assert ask("adopt").stderr == f"Cannot write {drop_in}: Permission denied. Run this as root.\n"
    opt_in(machine, "nginx.service")
    assert ask("abandon").stderr == f"Cannot remove {drop_in}: Permission denied. Run this as root.\n"
    # Who may write there, and still not reload systemd.
    machine.enter("chown", "-R", "nobody", directory)
    done = ask("abandon")
    assert f"Removed {drop_in}" in done.stdout
    assert re.fullmatch(r"Cannot reload systemd: .*\. Run: systemctl daemon-reload\n", done.stderr), done
    machine.enter("systemctl", "daemon-reload")


NGINX = "nginx.service"


@pytest.fixture(scope="module", name="nginx")
def adopted_nginx(machine):
    """Debian's own, on a port of its own, which answers 500 as long as a file is there."""
    machine.enter("rm", "-f", "/etc/nginx/sites-enabled/default")
    machine.write_file("/etc/nginx/conf.d/test.conf",
                       "server { listen 127.0.0.1:7080; location / {\n"
                       "if (-f /run/ill) { return 500; }\nreturn 200; } }\n")
    machine.write_file(f"/etc/systemd/system/{NGINX}.d/test.conf",
                       "[Service]\nRestart=on-failure\nRestartSec=200ms\nTimeoutAbortSec=2s\n"
                       "ExecStartPre=/bin/rm -f /run/ill\n")
    machine.enter("systemctl", "daemon-reload")
    opt_in(machine, NGINX)
    machine.enter("systemctl", "start", NGINX)
    time.sleep(11)


@pytest.mark.parametrize("how", ["answers 500", "hangs"])
def test_an_unmodified_nginx(machine, nginx, how):  # pylint: disable=unused-argument
    check = FAST.format(unit=NGINX, keys=SOON, port=7080)
    machine.configure({"sessions": check.replace("Type=redis", "Type=http")
                      .split("[Redis]", maxsplit=1)[0] + "[HTTP]\nURL=http://127.0.0.1:7080/\n"})
    machine.wait_status("sessions", "healthy")
    since = machine.now()
    pid = machine.properties(NGINX)["MainPID"]
    if how == "hangs":
        machine.enter("systemctl", "kill", "-s", "STOP", NGINX)
        why = "timed out after 300ms"
    else:
        machine.enter("touch", "/run/ill")
        why = "status_code != 200 (is 500)"
    line = wait_text(machine, NGINX, since, "Watchdog request (last status: healthd: sessions")
    assert why in line
    wait_until("another process", lambda: machine.properties(NGINX)["MainPID"] not in ("0", pid),
               timeout=60)
    machine.wait_status("sessions", "healthy")
