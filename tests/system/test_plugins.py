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


def test_all_of_a_plugin_is_gone_after_its_deadline(machine):
    machine.configure({"stubborn": plugin(
        machine, "stubborn", "trap '' TERM\nsleep 987654 &\nsetsid sleep 987654 &\nsleep 987654\n")})
    assert "had not ended" in machine.wait_status("stubborn", "unhealthy")["error"]
    wait_until("none is left in the service", lambda: "sleep" not in machine.enter(
        "systemctl", "status", "--no-pager", "healthd", check=False).stdout, 20)
    # Nor a zombie, below it or elsewhere.
    names = machine.enter("sh", "-c", "cat /proc/[0-9]*/comm", check=False).stdout.split()
    assert "sleep" not in names and "stubborn" not in names
