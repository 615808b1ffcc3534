# SPDX-License-Identifier: LGPL-2.1-or-later
"""SECURITY.md names the tests that show what it claims: they must be there."""

import os
import pathlib
import re

SOURCE = pathlib.Path(os.environ["HEALTHD_SOURCE"])
NAMED = re.compile(r"`(tests/[\w/.-]+)::(\w+)`")


def claims():
    """The rows of its tables of claims."""
    lines = (SOURCE / "SECURITY.md").read_text(encoding="utf-8").splitlines()
    begins = [i for i, line in enumerate(lines) if line == "| claim | shown by |"]
    for begin in begins:
        for line in lines[begin + 2:]:
            if not line.startswith("|"):
                break
            yield line


def is_there(path, name):
    text = (SOURCE / path).read_text(encoding="utf-8")
    if path.endswith(".c"):
        return f"static void {name}(void **state)" in text and \
            re.search(rf"(?:cmocka_unit_test\w*|LOOP_TEST)\(\s*{name}\b", text)
    return f"\ndef {name}(" in text


def test_each_claim_names_a_test():
    rows = list(claims())
    assert len(rows) > 20
    assert [row for row in rows if not NAMED.search(row)] == []


def test_each_named_test_is_there():
    named = NAMED.findall((SOURCE / "SECURITY.md").read_text(encoding="utf-8"))
    assert [f"{path}::{name}" for path, name in named if not is_there(path, name)] == []
