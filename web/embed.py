# SPDX-License-Identifier: LGPL-2.1-or-later
"""Prints a C header with the files named: `static const unsigned char web_NAME[]` for each."""

import pathlib
import sys

print("/* SPDX-License-Identifier: LGPL-2.1-or-later */\n#pragma once")
for path in map(pathlib.Path, sys.argv[1:]):
    name = path.name.replace(".", "_").replace("-", "_")
    print(f"\nstatic const unsigned char web_{name}[] = {{")
    content = path.read_bytes()
    for begin in range(0, len(content), 16):
        print("        " + " ".join(f"{byte}," for byte in content[begin:begin + 16]))
    print("};")
