# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pytest plug-in that speaks TAP: `pytest -p tap FILE`, which is how meson runs these tests.

TAP goes to standard output, everything else pytest says to standard error.
"""

import os

import pytest


def first_line(report):
    """Why a test failed, for the list of failures at the end of a long run."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return (crash.message if crash else report.longreprtext).strip().split("\n", 1)[0][:200]


class TapReporter:
    def __init__(self, stream):
        self.stream = stream
        self.number = 0
        self.done = set()

    def line(self, text):
        print(text, file=self.stream, flush=True)

    def result(self, word, name, rest=""):
        self.number += 1
        self.line(f"{word} {self.number} - {name.replace('#', '_')}{rest}")

    def pytest_collection_finish(self, session):
        self.line("TAP version 13")
        self.line(f"1..{len(session.items)}")

    def pytest_collectreport(self, report):
        if report.failed:
            self.line(f"Bail out! cannot load {report.nodeid}")

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.split("::", 1)[-1]
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "expected failure"
            self.result("ok", name, " # SKIP " + reason.removeprefix("Skipped: "))
            self.done.add(name)
        elif report.failed and name not in self.done:
            self.result("not ok", f"{name}: {first_line(report)}")
            for text in report.longreprtext.splitlines():
                self.line("# " + text)
            self.done.add(name)
        elif report.when == "teardown" and name not in self.done:
            self.result("ok", name)
        elif report.failed:
            self.line(f"Bail out! {name} failed once more while cleaning up")


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    config.pluginmanager.register(TapReporter(STREAM), "tap-reporter")


# Taken over at import: pytest has not begun to capture file descriptors yet.
STREAM = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
