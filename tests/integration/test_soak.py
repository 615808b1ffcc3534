# SPDX-License-Identifier: LGPL-2.1-or-later
"""The soak of ./dev soak in small: so that it works when it is wanted, and can fail."""

import os
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "soak"))

import soak  # pylint: disable=wrong-import-position


def test_nothing_is_said_that_is_not_true():
    seed = int(os.environ.get("HEALTHD_SOAK_SEED") or random.randrange(1 << 31))
    problems, done = soak.run(25, 100, seed)
    assert not problems, "\n".join([f"HEALTHD_SOAK_SEED={seed}", *problems])
    # What may be either way at the moment is not judged: most of the time it must not be so, unless
    # this machine had no time for anybody.
    assert done.strict > (500 if done.world.machine.longest < 0.25 else 0)


def test_a_server_that_hangs_unknown_to_the_oracle_is_noticed():
    # At once, or when the machine has time.
    problems, _ = soak.run(200, 40, 1, hidden_fault=True)
    assert problems and "is unhealthy, must be ['healthy']" in problems[0], problems
