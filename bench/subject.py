# SPDX-License-Identifier: LGPL-2.1-or-later
"""The healthd that is measured, how long everything takes, and how a section is repeated."""

import pathlib
import shutil
import sys

import measure
from healthd import Healthd

HERE = pathlib.Path(__file__).resolve().parent

# What is served must not depend on how busy this machine is kept here.
QUIET_SYSTEM = "[Check]\nUnhealthyWhen=\n"


class Scale:
    """How often and how long everything is measured: 40 minutes in all, or 7 with --quick.

    pairs, long_pairs: of the rows that have a target; few_pairs: of those that are there to see.
    """

    def __init__(self, quick):
        self.pairs = 2 if quick else 5
        self.few_pairs = 1 if quick else 2
        self.load_s = 1 if quick else 2
        self.connections = (64,) if quick else (1, 16, 64, 256)
        self.window_s = 1.2 if quick else 3.6
        self.starts = 5 if quick else 11
        self.idle_s = 31
        self.idle_windows = 1 if quick else 5
        self.many_s = 3 if quick else 8
        self.many = (1000, 10000) if quick else (10, 100, 1000, 10000)
        self.some_s = 3
        self.restarts = 2 if quick else 100
        self.aborts = 1 if quick else 20
        self.detections = 2 if quick else 7
        self.long_pairs = 1 if quick else 5  # of what takes its time
        self.peer_window_s = 2 if quick else 3


def default_checks(daemon):
    """What a fresh install runs, but for the limits of system_resources."""
    for file in (HERE.parent / "checks").glob("*.check"):
        shutil.copy(file, daemon.config / "checks")
    drop_ins = daemon.config / "checks/system_resources.check.d"
    drop_ins.mkdir()
    (drop_ins / "bench.conf").write_text(QUIET_SYSTEM, encoding="utf-8")


class Measured:
    """A healthd on the measured core, with the checks that fill() writes."""

    def __init__(self, fill, env=None):
        self.daemon = Healthd()
        self.env = env
        fill(self.daemon)

    def __enter__(self):
        try:
            with measure.on_measured_core():
                self.daemon.start(wait=False, env=self.env)
            self.daemon.wait_listening()
        except BaseException:
            self.daemon.close()
            raise
        return self.daemon

    def __exit__(self, *_):
        self.daemon.close()


def wait_checked(daemon):
    daemon.wait_for(lambda answer: all(check["checked_at"]
                                       for check in answer.json["checks"].values()))


def again(function, *arguments, **options):
    """A server that stalls for a moment fails checks, which is not what is measured here."""
    for _ in range(2):
        try:
            return function(*arguments, **options)
        except RuntimeError as error:
            print(f"once more: {error}", file=sys.stderr)
    return function(*arguments, **options)
