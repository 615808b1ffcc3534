# SPDX-License-Identifier: LGPL-2.1-or-later
"""Other architectures: all compiles without a warning, and the unit tests pass where they can run."""

import pytest

from debian_tree import BuildTree, Unavailable, tree_suite

KINDS = {"i386": "ELF 32-bit LSB pie executable, Intel", "arm64": "ELF 64-bit LSB pie executable, ARM"}


@pytest.fixture(scope="module")
def tree():
    try:
        with BuildTree(tree_suite()) as found:
            yield found
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("architecture", KINDS)
def test_compiles_without_a_warning(tree, architecture):
    result = tree.run("tests/cross", architecture, capture_output=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert KINDS[architecture] in result.stdout
    assert "warning" not in result.stderr, result.stderr
