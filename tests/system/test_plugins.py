# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plug-ins in the sandbox of the installed service."""

from process import wait_until

COMMON = ("[Check]\nType=exec\nRequired=no\nWatchdog=no\nInterval=1min\nTimeout=2s\n"
          "FailAfter=1\nPassAfter=1\nBreakerAfter=0\n")


def plugin(machine, name, text):
    """Installs a plug-in and returns a check that runs it."""
    machine.write_file(f"/usr/local/lib/healthd/{name}", "#!/bin/sh\n" + text, mode=0o755)
    return f"{COMMON}[Exec]\nCommand=/usr/local/lib/healthd/{name}\n"


def test_what_a_plugin_may_do(machine):
    check = plugin(machine, "tell", 'echo "OK: $(id -un), $(pwd), ${NOTIFY_SOCKET:-unset}'
                   '${CREDENTIALS_DIRECTORY:-unset}|a=1s;2"; touch /etc/x || :\n')
    machine.configure({"tell": check})
    details = machine.wait_status("tell", "healthy")["details"]
    assert details == {"exit_status": 0, "message": "OK: healthd, /, unsetunset", "a": 1,
                       "a_unit": "s", "a_warn": 2}
    assert machine.enter("test", "-e", "/etc/x", check=False).returncode != 0


# What each tries works for root in a shell of the same machine; "would" makes sure of that.
ATTEMPTS = """
try() { name=$1; shift; "$@" >/dev/null 2>&1 && done="$done $name"; }
try shadow cat /etc/shadow
for directory in /etc /usr /run /var/lib /root /run/healthd /run/systemd/system; do
        try "$directory" mkdir "$directory/would"
        rmdir "$directory/would" 2>/dev/null
done
try check sh -c 'echo "[Check]" >/etc/healthd/checks/forged.check'
try mount sh -c 'mount -t tmpfs none /mnt && umount /mnt'
try namespace unshare --user true
try signal kill -0 1
try stop systemctl stop would.service
try memory cat /proc/1/environ
try user setpriv --reuid=root true
"""


def test_what_neither_a_plugin_nor_healthd_can_do(machine):
    """A plug-in has the rights of healthd itself: who takes that over has them, too."""
    machine.write_file("/etc/systemd/system/would.service",
                       "[Service]\nExecStart=/bin/sleep 1d\n")
    machine.enter("systemctl", "daemon-reload")
    machine.enter("systemctl", "start", "would.service")
    check = plugin(machine, "attempt", f'{ATTEMPTS}caps=$(grep -E "^(Cap|NoNew|Seccomp:)" '
                   '/proc/self/status | tr -s "\\t\\n" "  ")\necho "OK: it could:$done; $caps"\n')
    machine.configure({"attempt": check})
    said = machine.wait_status("attempt", "healthy")["details"]["message"]
    assert said.startswith("it could:; ") or said.startswith("OK: it could:; "), said
    for word in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert f"{word}: 0000000000000000" in said, said
    assert "NoNewPrivs: 1" in said and "Seccomp: 2" in said, said
    assert machine.properties("would.service")["ActiveState"] == "active"
    # The attempts are sound: root, outside of the sandbox, succeeds in all of them.
    able = machine.enter("sh", "-c", ATTEMPTS + 'echo "$done"').stdout.split()
    machine.enter("rm", "-f", "/etc/healthd/checks/forged.check")
    assert able == ["shadow", "/etc", "/usr", "/run", "/var/lib", "/root", "/run/healthd",
                    "/run/systemd/system", "check", "mount", "namespace", "signal", "stop", "memory",
                    "user"]


def test_all_of_a_plugin_is_gone_after_its_deadline(machine):
    machine.configure({"stubborn": plugin(
        machine, "stubborn", "trap '' TERM\nsleep 987654 &\nsetsid sleep 987654 &\nsleep 987654\n")})
    assert "had not ended" in machine.wait_status("stubborn", "unhealthy")["error"]
    wait_until("none is left in the service", lambda: "sleep" not in machine.enter(
        "systemctl", "status", "--no-pager", "healthd", check=False).stdout, 20)
    # Nor a zombie, below it or elsewhere.
    names = machine.enter("sh", "-c", "cat /proc/[0-9]*/comm", check=False).stdout.split()
    assert "sleep" not in names and "stubborn" not in names
