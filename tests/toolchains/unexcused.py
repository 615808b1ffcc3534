# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is left of an analyzer's warnings (standard input) when the excused ones are gone.

usage: unexcused.py ANALYZER FILE    (a line of the file: ANALYZER SOURCE NAME REASON)

Only src/ counts. An excuse for nothing is wrong, too.
"""

import re
import sys

WARNING = re.compile(r"(?:\.\./)?(src/[\w./-]+):\d+:\d+: warning: (.*) \[([^]]+)\]$")
LEAK = re.compile(r"Potential (leak of memory|memory leak)")


def excuses(path, analyzer):
    """{(source, name of the warning)} of this analyzer."""
    found = set()
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split(None, 3)
            if words and words[0] == analyzer:
                assert len(words) == 4, f"without a reason: {line}"
                found.add((words[1], words[2]))
    return found


def main(analyzer, path):
    left, excused, used = set(), excuses(path, analyzer), set()
    for line in sys.stdin:
        match = WARNING.match(line.strip())
        if not match or LEAK.match(match[2]):
            continue
        if (match[1], match[3]) in excused:
            used.add((match[1], match[3]))
        else:
            left.add(line.strip())
    print(*sorted(left), sep="\n")
    for source, name in excused - used:
        print(f"{path}: {analyzer} finds no {name} in {source} any more")
    sys.exit(bool(left or excused - used))


if __name__ == "__main__":
    main(*sys.argv[1:])
