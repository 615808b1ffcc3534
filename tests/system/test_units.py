# SPDX-License-Identifier: LGPL-2.1-or-later
"""The unit files and what is installed beside them, as systemd sees them."""

import pathlib
import re

import os

import pytest

UNITS = ["healthd.service", "healthd.socket", "healthd-http.socket", "healthd-guard.service",
         "healthd-guard.socket", "healthd@orders.service",
         "healthd@orders.socket", "healthd-healthy.service", "healthd-healthy.target"]


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_about_a_unit(machine, unit):
    # It exits with 0 on unknown keys: what it prints counts.
    result = machine.enter("systemd-analyze", "verify", "--man=no", unit, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_sandbox(machine):
    path = machine.enter("systemctl", "show", "-P", "FragmentPath", "healthd.service").stdout
    result = machine.enter("systemd-analyze", "security", "--no-pager", "--offline=true",
                           "--threshold=20", path.strip(), check=False)
    assert result.returncode == 0, result.stdout


def test_socket_directory_is_not_the_service_s(machine):
    text = machine.enter("systemctl", "cat", "healthd.service").stdout
    assert not re.search(r"^RuntimeDirectory=(.* )?healthd( |$)", text, re.MULTILINE)
    stat = machine.enter("stat", "-c", "%a %U", "/run/healthd", "/run/healthd/healthd.sock")
    assert stat.stdout == "755 root\n666 root\n"


def test_user(machine):
    passwd = machine.enter("getent", "passwd", "healthd").stdout
    assert passwd.endswith("nologin\n")
    properties = machine.properties("healthd.service")
    assert properties["User"] == "healthd" and properties["UMask"] == "0077"


def test_every_message_has_a_catalog_entry(machine):
    header = pathlib.Path(os.environ["HEALTHD_SOURCE"], "src/publish/journal-messages.h")
    identifiers = re.findall(r'"([0-9a-f]{32})"', header.read_text(encoding="utf-8"))
    assert len(identifiers) > 10
    for identifier in identifiers:
        entry = machine.enter("journalctl", "--dump-catalog", identifier).stdout
        assert "Defined-By: healthd" in entry and len(entry.splitlines()) > 8


def test_shipped_checks_are_sound(machine):
    result = machine.enter("healthd", "--verify", check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
