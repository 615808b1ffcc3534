# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mounts that only root can make: a file system in a bad way, another /etc/hosts."""

import contextlib
import ctypes
import os
import subprocess

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


def two_addresses(directory):
    """What a program is run under that is to find two.test at 127.0.0.1 and then at 127.0.0.3."""
    hosts = directory / "hosts"
    hosts.write_text("127.0.0.1 localhost two.test\n127.0.0.3 two.test\n", encoding="ascii")
    mount = ["unshare", "--mount", "sh", "-c",
             f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
    order = subprocess.run([*mount, "getent", "ahosts", "two.test"], capture_output=True,
                           text=True, check=False).stdout.split()
    if not order or order[0] != "127.0.0.1":
        pytest.skip("needs a name with two addresses, which only root can make")
    return mount
