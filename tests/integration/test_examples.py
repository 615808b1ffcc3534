# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commented example files: each is right, and each check type has one."""

import os
import pathlib
import re
import shutil

import pytest

EXAMPLES = pathlib.Path(os.environ["HEALTHD_SOURCE"], "checks", "examples")
FILES = sorted(path.name for path in EXAMPLES.glob("*.check"))


def types_of_this_build(daemon):
    daemon.write_check("unknown", "[Check]\nType=no-such-type-at-all\n")
    said = daemon.verify().stderr
    daemon.remove_check("unknown")
    return re.search(r"the types are:((?: [a-z-]+)+)", said).group(1).split()


def type_of(name):
    return re.search(r"^Type=(.*)$", (EXAMPLES / name).read_text(), re.MULTILINE).group(1)


@pytest.mark.parametrize("name", FILES)
def test_an_example_is_right(daemon, name):
    if type_of(name) not in types_of_this_build(daemon):
        pytest.skip(f"built without Type={type_of(name)}")
    shutil.copy(EXAMPLES / name, daemon.config / "checks")
    result = daemon.verify()
    assert result.returncode == 0, result.stderr
    assert not result.stderr, result.stderr


def uncommented(text):
    """With what is commented out but could be set: "#Key=value"."""
    return re.sub(r"^#([A-Z][A-Za-z]*=)", r"\1", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", FILES)
def test_what_is_commented_out_is_right_too(daemon, name):
    if type_of(name) not in types_of_this_build(daemon):
        pytest.skip(f"built without Type={type_of(name)}")
    daemon.write_check(name.removesuffix(".check"), uncommented((EXAMPLES / name).read_text()))
    result = daemon.verify()
    assert result.returncode == 0, result.stderr


def test_every_type_has_an_example(daemon):
    assert set(types_of_this_build(daemon)) <= {type_of(name) for name in FILES}


def test_every_example_explains_itself():
    for name in FILES:
        assert (EXAMPLES / name).read_text().startswith("# "), name
