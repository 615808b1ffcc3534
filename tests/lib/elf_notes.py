# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a program's file says it may load at run time: the ELF notes of systemd and the UAPI group."""

import json
import re
import struct
import subprocess

DLOPEN = (b"FDO\0", 0x407c0c0a)


def split_notes(data):
    """Yields owner, type and description of each note of a section."""
    def padded(size):
        return (size + 3) & ~3
    while data:
        name_size, size, kind = struct.unpack_from("=III", data)
        begin = 12 + padded(name_size)
        yield data[12:12 + name_size], kind, data[begin:begin + size]
        data = data[begin + padded(size):]


def dlopen_notes(program):
    """The descriptions: dictionaries with feature, description, priority and a list soname."""
    data = subprocess.run(["objcopy", "--dump-section", ".note.dlopen=/dev/stdout", program,
                           "/dev/null"], capture_output=True, check=False).stdout
    found = []
    for owner, kind, text in split_notes(data):
        assert (owner, kind) == DLOPEN, (owner, kind)
        found += json.loads(text.rstrip(b"\0"))
    return found


def dlopen_libraries(program):
    """soname -> path on this machine, for those that are here."""
    cache = subprocess.run(["ldconfig", "-p"], check=True, capture_output=True, text=True).stdout
    paths = {}
    for name, path in re.findall(r"^\t(\S+) .* => (\S+)$", cache, re.MULTILINE):
        paths.setdefault(name, path)
    names = [name for note in dlopen_notes(program) for name in note["soname"]]
    return {name: paths[name] for name in names if name in paths}
