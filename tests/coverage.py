# SPDX-License-Identifier: LGPL-2.1-or-later
"""Line coverage of a build with -Db_coverage=true: the total, by folder, and of the parsers.

usage: coverage.py BUILD    (from the top of the tree; fails if a parser is below its limit)
"""

import collections
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

PARSER_LIMIT = 95.0

# Whatever reads bytes that others made up: users, servers, programs, clients, files that survive.
PARSERS = {
    "configuration": ["config/config-file", "config/config-table", "config/config-value",
                      "config/config-command", "config/http-keys", "check/condition",
                      "check/maintenance", "base/pattern", "base/string-util", "base/time-util",
                      "base/unit-name", "io/address", "probe/metric-selector",
                      "probe/label-matcher"],
    "HTTP servers": ["io/http-url", "io/http-result", "io/json-pointer", "probe/exposition",
                     "probe/metric-names", "io/certificate"],
    "Redis": ["io/redis-reader", "probe/redis-info"],
    "name servers": ["io/dns-message"],
    "plug-ins": ["probe/plugin", "probe/nagios-performance"],
    "kept state": ["publish/state-image", "publish/state-store", "check/check-state",
                   "check/history", "check/silence", "publish/restart-budget"],
    "clients": ["publish/control", "publish/http-gate", "publish/routes"],
    "alert templates": ["alert/template", "alert/email-text"],
    "healthctl": ["healthctl/json", "healthctl/host-view"],
    "healthd-guard": ["publish/guard-record"],
}


def gcov(build, notes):
    """What gcov says of these notes, each a dictionary with "files"."""
    with tempfile.TemporaryDirectory() as directory:
        paths = [str(path.resolve()) for path in notes]
        for start in range(0, len(paths), 50):
            subprocess.run(["gcov", "--json-format", *paths[start:start + 50]], cwd=directory,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            for result in pathlib.Path(directory).glob("*.gz"):
                with gzip.open(result, "rt", encoding="utf-8") as file:
                    yield json.load(file)
                result.unlink()


def lines_of(build):
    """{file below src/: {line: how often}}; a file that is compiled twice counts once."""
    lines = collections.defaultdict(collections.Counter)
    source = pathlib.Path("src").resolve()
    for told in gcov(build, sorted(build.glob("src/**/*.gcno"))):
        base = pathlib.Path(told["current_working_directory"])
        for file in told["files"]:
            path = (base / file["file"]).resolve()
            if not path.is_relative_to(source):
                continue
            counts = lines[str(path.relative_to(source))]
            for line in file["lines"]:
                counts[line["line_number"]] += line["count"]
    return lines


def percent(counts):
    run = sum(count > 0 for count in counts)
    return 100 * run / len(counts) if counts else 100.0


def spans(numbers):
    """[1, 2, 3, 7] as "1-3 7"."""
    text, first = [], None
    numbers = sorted(numbers)
    for i, number in enumerate(numbers):
        first = number if first is None else first
        if i + 1 == len(numbers) or numbers[i + 1] != number + 1:
            text.append(f"{first}-{number}" if first != number else f"{number}")
            first = None
    return " ".join(text)


def print_folders(lines):
    folders = collections.defaultdict(list)
    for name, counts in lines.items():
        folders[name.rpartition("/")[0] or "."] += counts.values()
    print(f"{'folder':34} {'lines':>6} {'run':>7}")
    for name, counts in sorted(folders.items()):
        print(f"src/{name:30} {len(counts):6} {percent(counts):6.1f}%")


def print_parsers(lines):
    """Returns the names of those below the limit."""
    poor = []
    print(f"\n{'parser':34} {'lines':>6} {'run':>7}  not run")
    for kind, names in PARSERS.items():
        print(kind)
        for name in names:
            counts = lines[name + ".c"]
            if not counts:
                sys.exit(f"coverage: src/{name}.c was not compiled: mend the table in {__file__}")
            value = percent(list(counts.values()))
            missed = spans([line for line, count in counts.items() if count == 0])
            print(f"  {name:32} {len(counts):6} {value:6.1f}%  {missed}")
            if value <= PARSER_LIMIT:
                poor.append(name)
    return poor


def main():
    lines = lines_of(pathlib.Path(sys.argv[1]))
    print_folders(lines)
    poor = print_parsers(lines)
    total = [count for counts in lines.values() for count in counts.values()]
    print(f"\ntotal: {percent(total):.1f}% of {len(total)} lines")
    for name in poor:
        print(f"src/{name}.c: not more than {PARSER_LIMIT:.0f}% of its lines were run")
    sys.exit(bool(poor))


if __name__ == "__main__":
    main()
