# SPDX-License-Identifier: LGPL-2.1-or-later
"""The harness itself: the container boots, runs units, and leaves nothing behind."""

import os

import pytest

from container import Container, Unavailable, cgroup_root

UNIT = """
[Service]
Type=notify
NotifyAccess=all
ExecStart=/bin/sh -c "systemd-notify --ready --status=well; exec sleep 1000"
"""


@pytest.fixture(scope="module")
def bare():
    try:
        with Container() as container:
            yield container
    except Unavailable as reason:
        pytest.skip(str(reason))


def test_boots_without_a_failed_unit(bare):
    assert bare.enter("systemctl", "is-system-running").stdout.strip() == "running"
    assert bare.enter("systemctl", "list-units", "--failed", "--plain", "-q").stdout == ""


def test_command_in_a_unit_gives_output_and_exit_code(bare):
    result = bare.run("sh", "-c", "echo out; echo err >&2; cat /proc/self/cgroup; exit 3",
                      check=False)
    assert result.returncode == 3
    assert result.stdout.startswith("out\n") and result.stderr == "err\n"
    assert "/system.slice/run-" in result.stdout


def test_notify_service(bare):
    bare.write_file("/etc/systemd/system/well.service", UNIT)
    bare.enter("systemctl", "daemon-reload")
    cursor = bare.cursor()
    bare.enter("systemctl", "start", "well.service")
    assert bare.properties("well.service")["StatusText"] == "well"
    messages = [entry["MESSAGE"] for entry in bare.journal("UNIT=well.service", since=cursor)]
    assert "Started well.service." in messages


def test_servers_start_on_demand(bare):
    assert bare.enter("systemctl", "is-active", "redis-server", check=False).returncode != 0
    bare.enter("systemctl", "start", "redis-server", "nginx", "postgresql")
    assert bare.run("redis-cli", "ping").stdout == "PONG\n"


def test_nothing_is_left_behind():
    try:
        with Container() as container:
            base, cgroup = container.base, container.cgroup
            assert cgroup.parent == cgroup_root() and base.exists()
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert not base.exists() and not cgroup.exists()
    with open(f"/proc/{os.getpid()}/mounts", encoding="utf-8") as file:
        assert str(base) not in file.read()
