# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's packages: what is in them, and the life of a machine that installs, upgrades and purges them.

All of it is of the release that HEALTHD_TEST_SUITE names: a package for another one than this
machine's is built in a tree of that. The tests with `machine` are one story, in the order of the file.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess

import pytest

import elf_notes
from container import Container, Unavailable
from debian_tree import BuildTree, host_suite, tree_suite
from process import wait_until

SOURCE = pathlib.Path(os.environ["HEALTHD_SOURCE"])
SOCKETS = ["healthd.socket", "healthd-http.socket", "healthd-guard.socket"]
NAMES = ["healthctl", "healthd", "healthd-amqp", "healthd-kafka"]
# Where a package may leave traces; logs, package lists and caches are the machine's.
LOOKED_AT = ["etc", "usr", "opt", "root", "srv", "home", "var"]
NOT_LOOKED_AT = ("var/log/", "var/cache/", "var/lib/apt/", "var/lib/dpkg/", "var/tmp/",
                 "var/lib/systemd/random-seed", "etc/.pwd.lock")
# The user stays, by policy: files of its number may be anywhere.
ACCOUNTS = ("passwd", "group", "shadow", "gshadow")


def call(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


class Builder:
    """Builds packages: here, or in a tree of another release."""

    def __init__(self, tree=None):
        self.tree = tree

    def build(self, directory):
        """All packages of this tree, in this directory."""
        if not self.tree:
            call(str(SOURCE / "dev"), "package", str(directory), "deb")
            return directory
        inside = self.tree.path("/tmp") / directory.name
        self.run("./dev", "package", f"/tmp/{directory.name}", "deb")
        shutil.copytree(inside, directory, dirs_exist_ok=True)
        return directory

    def run(self, *command):
        """Runs a program of that release, beginning in the sources; fails with its output."""
        if not self.tree:
            return call(*command, cwd=SOURCE)
        result = self.tree.run(*command, capture_output=True)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


@pytest.fixture(scope="module")
def builder():
    if not shutil.which("dpkg-buildpackage"):
        pytest.skip("Debian's packages are built on Debian")
    try:
        if tree_suite() == host_suite():
            yield Builder()
        else:
            with BuildTree(tree_suite()) as tree:
                yield Builder(tree)
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def built(builder, tmp_path_factory):
    """The directory with all packages of this tree."""
    return builder.build(tmp_path_factory.mktemp("packages"))


def package(directory, name):
    return next(directory.glob(f"{name}_[0-9]*.deb"))


def field(path, name):
    return call("dpkg-deb", "-f", str(path), name).strip()


def unpacked(path, directory):
    directory.mkdir()
    call("dpkg-deb", "-R", str(path), str(directory))
    return directory


# ---- what is in them


def test_lintian_has_nothing_to_say(builder, built):
    changes = next(built.glob("*.changes"))
    if builder.tree:
        changes = f"/tmp/{built.name}/{changes.name}"
    assert builder.run("lintian", "--allow-root", "--pedantic", "--fail-on", "none",
                       str(changes)) == ""
    # There is nothing to explain, because nothing was silenced.
    assert not list(SOURCE.glob("debian/**/*lintian-overrides"))


def test_compiler_was_told_to_harden(built):
    result = subprocess.run(["blhc", "--debian", "--bindnow", str(built / "deb.log")],
                            capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_programs_are_hardened(built, tmp_path):
    programs = 0
    for name in NAMES:
        tree = unpacked(package(built, name), tmp_path / name)
        for path in tree.rglob("*"):
            if not path.is_file() or path.read_bytes()[:4] != b"\x7fELF":
                continue
            programs += 1
            header = call("readelf", "--wide", "-hld", str(path))
            symbols = call("readelf", "--wide", "--dyn-syms", str(path))
            assert "DYN (Position-Independent Executable" in header, path
            assert "GNU_RELRO" in header and "BIND_NOW" in header, path
            assert re.search(r"GNU_STACK.* RW ", header), path
            assert "__stack_chk_fail" in symbols, path
            assert re.search(r"__\w+_chk@", symbols.replace("__stack_chk_fail", "")), path
            assert path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID) == 0, path
            # Intel's CET, where dpkg asks for it. The program bears no mark for the loader all the
            # same: the C library's start-up objects bear none, and every part of it must.
            if tree_suite() != "bookworm":
                assert call("objdump", "-d", str(path)).count("endbr64") > 20, path
    assert programs == 9


def file_names(path):
    """The files of a package, without directories."""
    lines = call("dpkg-deb", "-c", str(path)).splitlines()
    return {line.split()[5].removeprefix(".") for line in lines if not line.startswith("d")}


def below(directory, *patterns):
    """Files of the source tree by pattern, relative to a directory of it."""
    found = {str(path.relative_to(SOURCE / directory)) for pattern in patterns
             for path in SOURCE.glob(f"{directory}/{pattern}") if path.is_file()}
    assert found, patterns
    return found


def test_every_file_is_in_its_place(built):
    """From the source tree, so what somebody adds to that must come out here."""
    doc = "/usr/share/doc/healthd/"
    units = "/lib/systemd/system/" if tree_suite() == "bookworm" else "/usr/lib/systemd/system/"
    expected = {name: {f"/usr/share/doc/{name}/copyright", f"/usr/share/doc/{name}/changelog.gz"}
                for name in NAMES}
    for page in below("man", "*.scd"):
        page = page.removesuffix(".scd")
        owner = "healthctl" if page.startswith("healthctl") else "healthd"
        expected[owner].add(f"/usr/share/man/man{page[-1]}/{page}.gz")
    expected["healthctl"] |= {
        "/usr/bin/healthctl", "/usr/share/bash-completion/completions/healthctl",
        "/usr/share/zsh/vendor-completions/_healthctl"}
    expected["healthd"] |= {
        "/usr/sbin/healthd", "/usr/bin/healthd-exec", "/usr/lib/healthd/check-file",
        "/usr/lib/healthd/healthd-guard", "/usr/lib/healthd/start-program",
        "/usr/lib/healthd/write-file",
        "/usr/lib/systemd/catalog/healthd.catalog", "/usr/lib/sysusers.d/healthd.conf",
        "/usr/lib/tmpfiles.d/healthd.conf", doc + "README.Debian", doc + "README.md.gz",
        doc + "CHANGELOG.md.gz", doc + "SECURITY.md.gz"}
    expected["healthd"] |= {units + name.removesuffix(".in") for name in below("units", "*.in")}
    expected["healthd"] |= {f"/usr/lib/healthd/checks/{name}" for name in below("checks", "*.check")}
    expected["healthd"] |= {f"{doc}examples/{name}" for name in below("checks/examples", "*")}
    expected["healthd"] |= {f"{doc}alerts/{name}" for name in below("alerts", "examples/*")}
    expected["healthd"] |= {f"{doc}contrib/{name}" for name in below(
        "contrib", "README.md", "*/*.*", "*/*/*")}
    expected["healthd-amqp"].add("/usr/lib/healthd/check-amqp")
    expected["healthd-kafka"].add("/usr/lib/healthd/check-kafka")
    for name in NAMES:
        # debhelper compresses what is longer than 4 KiB.
        plain = {path.removesuffix(".gz") for path in file_names(package(built, name))}
        assert plain == {path.removesuffix(".gz") for path in expected[name]}, name


def test_each_package_needs_its_own_libraries(built):
    needs = field(package(built, "healthd"), "Depends")
    assert "librabbitmq" not in needs and "librdkafka" not in needs and "libsmartcols" not in needs
    assert "librabbitmq" in field(package(built, "healthd-amqp"), "Depends")
    assert "librdkafka" in field(package(built, "healthd-kafka"), "Depends")


def test_what_is_loaded_later_is_recommended(builder, built, tmp_path):
    tree = unpacked(package(built, "healthd"), tmp_path / "tree")
    notes = elf_notes.dlopen_notes(str(tree / "usr/sbin/healthd"))
    assert len(notes) == 4
    recommended = re.split(r",\s*", field(package(built, "healthd"), "Recommends"))
    directory = call("dpkg-architecture", "-q", "DEB_HOST_MULTIARCH").strip()
    for note in notes:
        owner = builder.run("dpkg-query", "-S", f"*/{directory}/{note['soname'][0]}").split(":")[0]
        assert owner in recommended, note
        assert owner not in field(package(built, "healthd"), "Depends")


def test_second_build_is_the_same_to_the_byte(builder, built, tmp_path):
    again = builder.build(tmp_path / "again")
    debs = [path.name for path in built.glob("*.deb")]
    assert len(debs) == 2 * len(NAMES), "with the symbols for debuggers"
    for name in debs:
        assert hashlib.sha256((built / name).read_bytes()).digest() == \
            hashlib.sha256((again / name).read_bytes()).digest(), f"{name} differs"


def test_version_is_of_the_project(built):
    version = json.loads(call("meson", "introspect", "--projectinfo",
                              str(SOURCE / "meson.build")))["version"]
    for name in NAMES:
        assert field(package(built, name), "Version") == version


# ---- the life of a machine


def snapshot(machine):
    """Every path below LOOKED_AT with its type, mode, owner and contents."""
    root = pathlib.Path(machine.path("/"))
    found = {}
    for top in LOOKED_AT:
        for directory, directories, files in os.walk(root / top):
            for name in directories + files:
                path = pathlib.Path(directory, name)
                short = str(path.relative_to(root))
                if (short + "/").startswith(NOT_LOOKED_AT):
                    continue
                status = path.lstat()
                contents = ""
                if stat.S_ISLNK(status.st_mode):
                    contents = os.readlink(path)
                elif stat.S_ISREG(status.st_mode):
                    contents = contents_without_accounts(path, short)
                found[short] = (status.st_mode, status.st_uid, contents)
    return found


def contents_without_accounts(path, short):
    data = path.read_bytes()
    if short.removeprefix("etc/").rstrip("-") in ACCOUNTS:
        lines = data.splitlines()
        return b"\n".join(line for line in lines if not line.startswith(b"healthd:"))
    return hashlib.sha256(data).hexdigest()


def needed(built):
    """The packages that ours need or recommend, the first of alternatives."""
    words = [word for name in ("healthd", "healthctl") for kind in ("Depends", "Recommends")
             for word in field(package(built, name), kind).split(",")]
    names = {re.match(r" *([a-z0-9.+-]*)", word).group(1) for word in words}
    return sorted(names - {"", *NAMES})


@pytest.fixture(scope="module")
def machine(built):
    try:
        with Container(packages=["autopkgtest", "dpkg-dev", *needed(built)]) as container:
            for path in built.glob("*.deb"):
                shutil.copy(path, container.path("/tmp"))
            # It has no network: apt knows of nothing but what is given to it.
            container.enter("sh", "-c", "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*")
            yield container
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def before(machine):
    """What the machine looks like without healthd."""
    return snapshot(machine)


def newer(built, directory):
    """The daemon's package with a higher version, and nothing else."""
    tree = unpacked(package(built, "healthd"), directory / "tree")
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", r"\g<0>+next", control.read_text()))
    call("dpkg-deb", "--root-owner-group", "-b", str(tree), str(directory / "newer.deb"))
    return directory / "newer.deb"


def apt(machine, *words):
    return machine.enter("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-qq",
                         "--no-install-recommends", *words, timeout=180)


def health(machine, *where):
    output = machine.enter("curl", "--silent", "--show-error", "--max-time", "10", *where).stdout
    return json.loads(output)


def state(machine, unit):
    return machine.enter("systemctl", "is-active", unit, check=False).stdout.strip()


def test_installation_starts_all(machine, before, built):
    assert not [path for path in before if "healthd" in path]
    cursor = machine.cursor()
    apt(machine, "install", f"/tmp/{package(built, 'healthd').name}",
        f"/tmp/{package(built, 'healthctl').name}")
    for unit in SOCKETS + ["healthd.service"]:
        assert state(machine, unit) == "active", unit
        assert machine.enter("systemctl", "is-enabled", unit).stdout.strip() == "enabled", unit
    assert machine.enter("systemctl", "is-enabled", "healthd-guard.service").stdout == "static\n"
    local = health(machine, "--unix-socket", "/run/healthd/healthd.sock", "http://localhost/health")
    assert set(local["checks"]) == {"application_metrics", "failed_units", "system_resources"}
    assert health(machine, "http://127.0.0.1:9797/health")["checks"].keys() == \
        local["checks"].keys()
    assert local["checks"]["failed_units"]["status"] == "healthy"
    assert not [entry for entry in machine.journal(since=cursor)
                if "healthd" in str(entry.get("MESSAGE")) and int(entry.get("PRIORITY", 6)) <= 3
                and "system_resources" not in str(entry.get("MESSAGE"))]
    catalog = machine.enter("journalctl", "--dump-catalog",
                            "8b07e578b39b4610b46c8d3a3b37bc58").stdout
    assert "healthd" in catalog


def test_ordinary_user_sees_the_status(machine):
    result = machine.enter("runuser", "-u", "nobody", "--", "healthctl", "status", check=False)
    assert result.stderr == "" and "system_resources" in result.stdout
    refused = machine.enter("runuser", "-u", "nobody", "--", "healthctl", "silence", "failed_units",
                            "--for=1h", check=False)
    assert refused.returncode != 0


def test_configuration_is_found_and_verified(machine):
    machine.write_file("/etc/healthd/checks/own.check", "[Check]\nType=tcp\nInterval=1s\n"
                       "Watchdog=no\n[TCP]\nAddress=127.0.0.1:9797\n")
    machine.enter("healthd", "--verify")
    machine.enter("systemctl", "reload", "healthd")

    def checked():
        return health(machine, "http://127.0.0.1:9797/health")["checks"].get("own", {}).get(
            "status") == "healthy"
    wait_until("the check of our own", checked)


def test_upgrade_loses_no_request_and_no_state(machine, built, tmp_path):
    shutil.copy(newer(built, tmp_path), machine.path("/tmp/newer.deb"))
    machine.enter("healthctl", "silence", "own", "--for=1h", "--reason=the upgrade")
    machine.enter("curl", "--silent", "http://127.0.0.1:9797/health")

    def facts():
        service = machine.properties("healthd.service")
        sockets = [machine.properties(unit)["ActiveEnterTimestampMonotonic"] for unit in SOCKETS]
        return service["MainPID"], sockets
    pid, sockets = facts()
    cursor = machine.cursor()
    with machine.steady_client() as (result, _):
        machine.enter("dpkg", "-i", "/tmp/newer.deb", timeout=180)
    pid_after, sockets_after = facts()
    assert pid_after not in ("0", pid), "the daemon is the old one"
    assert sockets_after == sockets, "a socket was restarted"
    assert machine.enter("dpkg-query", "-W", "-f", "${Version}", "healthd").stdout.endswith("+next")
    assert result["failed"] == 0 and result["per_second"] > 300, result
    after = health(machine, "http://127.0.0.1:9797/health")["checks"]["own"]
    assert after["silenced"], after
    # Not through "unknown": the status and its age were handed over.
    assert not machine.journal("HEALTH_CHECK=own", since=cursor)
    assert pathlib.Path(machine.path("/etc/healthd/checks/own.check")).exists()


def test_what_was_switched_off_stays_so(machine):
    # Only a mask keeps the service from starting its own socket.
    machine.enter("systemctl", "mask", "--now", "healthd-http.socket")
    machine.enter("systemctl", "disable", "--now", "healthd-guard.socket")
    machine.enter("dpkg", "-i", "/tmp/newer.deb", timeout=180)
    for unit, how in ("healthd-http.socket", "masked"), ("healthd-guard.socket", "disabled"):
        enabled = machine.enter("systemctl", "is-enabled", unit, check=False).stdout.strip()
        assert (enabled, state(machine, unit)) == (how, "inactive"), unit
    assert state(machine, "healthd.service") == "active"
    machine.enter("systemctl", "unmask", "healthd-http.socket")


def test_removal_keeps_configuration_and_state_and_nothing_else(machine, before):
    apt(machine, "remove", "healthd", "healthctl")
    for unit in SOCKETS + ["healthd.service", "healthd-guard.service"]:
        assert state(machine, unit) in ("inactive", "unknown"), unit
    left = {path for path in snapshot(machine) if path not in before}
    expected = re.compile(r"etc/healthd(/checks(/own\.check)?)?$|var/lib/healthd(/.*)?$|"
                          r"etc/systemd/system/[a-z.-]*\.wants(/healthd[a-z-]*\.(service|socket))?$|"
                          r"var/lib/systemd/deb-systemd-helper-enabled|etc/(passwd|group|g?shadow)-$")
    assert not [path for path in left if not expected.match(path)]
    assert "etc/healthd/checks/own.check" in left and "var/lib/healthd" in left
    assert machine.enter("sh", "-c", "ls -d /run/healthd* || true").stdout == ""
    assert machine.enter("sh", "-c", "pgrep -l healthd || true").stdout == ""


def test_purge_leaves_nothing_but_the_user(machine, before):
    machine.enter("rm", "-r", "/etc/healthd")
    apt(machine, "purge", "healthd", "healthctl")
    after = snapshot(machine)
    backups = {f"etc/{name}-" for name in ACCOUNTS}
    assert {path for path in set(after) - set(before)} - backups == set()
    assert set(before) - set(after) == set()
    changed = [path for path in before if before[path] != after[path] and path not in backups]
    assert not changed, changed
    assert machine.enter("getent", "passwd", "healthd").stdout.startswith("healthd:")
    assert machine.enter("systemctl", "list-units", "--all", "--plain", "-q", "healthd*").stdout == ""


def test_autopkgtest_passes(machine, built):
    """The real program, with the runner for machines that may be thrown away."""
    shutil.copytree(SOURCE / "debian", machine.path("/tmp/source/debian"))
    debs = [f"/tmp/{package(built, name).name}" for name in ("healthd", "healthctl")]
    result = machine.enter("autopkgtest", "--no-built-binaries",
                           "--ignore-restrictions=isolation-container", *debs, "/tmp/source", "--", "null",
                           check=False, timeout=300)
    output = result.stdout + result.stderr
    names = re.findall(r"(?m)^Tests: (\w+)$", (SOURCE / "debian/tests/control").read_text())
    # 2 and 8 are for tests that were skipped.
    assert result.returncode == 0 and len(names) >= 2, output
    for name in names:
        assert re.search(rf"(?m)^{name} +PASS$", output), output
