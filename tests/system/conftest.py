# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the system tests: one booted container for each file."""

import os
import subprocess

import pytest

from container import Unavailable
from machine import Machine


@pytest.fixture(scope="module")
def machine(request):
    """PACKAGES of the test's file are in its tree, too."""
    try:
        container = Machine(os.environ["HEALTHD_BUILD"],
                            more_packages=getattr(request.module, "PACKAGES", ()))
        with container:
            yield container
            check_clean(container)
    except Unavailable as reason:
        pytest.skip(str(reason))


def check_clean(container):
    """healthd must not have crashed of its own, whatever the tests did to it."""
    texts = [str(entry.get("MESSAGE")) for entry in container.journal()]
    for mark in ("AddressSanitizer", "status=11/SEGV", "Assertion `", "status=31/SYS"):
        assert not [text for text in texts if mark in text], mark


@pytest.fixture(autouse=True)
def show_journal_on_failure(request):
    """A failed test shows what healthd and systemd had to say."""
    yield
    report = getattr(request.node, "report", None)
    container = request.node.funcargs.get("machine")
    if report is not None and report.failed and container:
        print(subprocess.run(
            ["nsenter", "-t", str(container.leader), "-a", "journalctl", "--no-pager", "-n", "60"],
            capture_output=True, text=True, check=False).stdout)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.report = outcome.get_result()
