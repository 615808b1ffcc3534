# SPDX-License-Identifier: LGPL-2.1-or-later
"""File systems in a bad way."""

import contextlib
import ctypes
import os

import pytest

LIBC = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2


@contextlib.contextmanager
def hung_mount(path):
    """A file system whose server is there and never answers: a FUSE that nobody serves."""
    try:
        fuse = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error}")
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other"
    try:
        if LIBC.mount(b"hung", bytes(path), b"fuse", 0, options.encode("ascii")) != 0:
            pytest.skip(f"may not mount: {os.strerror(ctypes.get_errno())}")
        yield
    finally:
        LIBC.umount2(bytes(path), MNT_DETACH)
        os.close(fuse)
