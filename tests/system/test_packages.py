# SPDX-License-Identifier: LGPL-2.1-or-later
"""The packages: what is in them, and the life of a machine that installs, upgrades and purges them.

The tests with `machine` are one story, in the order of the file.
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


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The directory with all packages of this tree."""
    if not shutil.which("dpkg-buildpackage"):
        pytest.skip("the packages for both are built on Debian")
    directory = tmp_path_factory.mktemp("packages")
    call(str(SOURCE / "dev"), "package", str(directory))
    return directory


def package(directory, name, kind="deb"):
    separator = "_" if kind == "deb" else "-"
    return next(directory.glob(f"{name}{separator}[0-9]*.{kind}"))


def unpacked(path, directory):
    directory.mkdir()
    call("dpkg-deb", "-R", str(path), str(directory))
    return directory


# ---- what is in them


def test_lintian_has_nothing_to_say(built):
    changes = next(built.glob("*.changes"))
    assert call("lintian", "--allow-root", "--pedantic", "--fail-on", "none", str(changes)) == ""


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
    assert programs >= 7


def test_each_package_has_its_own(built):
    def files(name):
        return call("dpkg-deb", "-c", str(package(built, name)))
    assert "/usr/bin/healthctl\n" in files("healthctl")
    assert "/usr/lib/healthd/check-amqp\n" in files("healthd-amqp")
    assert "/usr/lib/healthd/check-kafka\n" in files("healthd-kafka")
    daemon = files("healthd")
    for path in ("/usr/sbin/healthd\n", "/usr/bin/healthd-exec\n", "/system_resources.check\n",
                 "/healthd.catalog\n", "/examples/redis.check\n", "/healthd.check.5.gz\n",
                 "/README.Debian"):
        assert path in daemon, path
    for word in ("check-amqp\n", "check-kafka\n", "healthctl\n"):
        assert word not in daemon
    needs = call("dpkg-deb", "-f", str(package(built, "healthd")), "Depends")
    assert "librabbitmq" not in needs and "librdkafka" not in needs and "libsmartcols" not in needs


def test_what_is_loaded_later_is_recommended(built, tmp_path):
    def field(name):
        return call("dpkg-deb", "-f", str(package(built, "healthd")), name)
    recommended = re.split(r",\s*", field("Recommends").strip())
    tree = unpacked(package(built, "healthd"), tmp_path / "tree")
    notes = elf_notes.dlopen_notes(str(tree / "usr/sbin/healthd"))
    assert len(notes) == 4
    for note in notes:
        path = elf_notes.dlopen_libraries(str(tree / "usr/sbin/healthd"))[note["soname"][0]]
        owner = call("dpkg-query", "-S", os.path.realpath(path)).split(":")[0]
        assert owner in recommended and owner not in field("Depends")
    wanted = call("rpm", "-qp", "--nosignature", "--recommends",
                  str(package(built, "healthd", "rpm")))
    assert {"hiredis", "libcurl", "libpq", "openssl-libs"} <= \
        {line.split("(")[0] for line in wanted.split()}


def test_second_build_is_the_same_to_the_byte(built, tmp_path):
    call(str(SOURCE / "dev"), "package", str(tmp_path / "again"), "deb")
    for path in built.glob("*.deb"):
        again = tmp_path / "again" / path.name
        assert hashlib.sha256(path.read_bytes()).digest() == \
            hashlib.sha256(again.read_bytes()).digest(), f"{path.name} differs"


def test_version_is_of_the_project(built):
    version = json.loads(call("meson", "introspect", "--projectinfo",
                              str(SOURCE / "meson.build")))["version"]
    for name in NAMES:
        assert call("dpkg-deb", "-f", str(package(built, name)), "Version").strip() == version
        path = str(package(built, name, "rpm"))
        assert call("rpm", "-qp", "--nosignature", "--qf", "%{VERSION}", path) == version


def test_rpm_has_the_same_split_and_starts_nothing_twice(built):
    def query(name, *options):
        return call("rpm", "-qp", "--nosignature", *options, str(package(built, name, "rpm")))
    assert "/usr/bin/healthctl\n" in query("healthctl", "-l")
    assert "/usr/lib/healthd/check-amqp\n" in query("healthd-amqp", "-l")
    assert "/usr/lib/healthd/check-kafka\n" in query("healthd-kafka", "-l")
    daemon = query("healthd", "-l")
    assert "/usr/sbin/healthd\n" in daemon and "/check-amqp" not in daemon
    debian = call("dpkg-deb", "-c", str(package(built, "healthd")))
    units = set(re.findall(r"/(healthd[^/]*\.(?:service|socket|target))\n", debian))
    assert units and units == set(re.findall(r"/(healthd[^/]*\.(?:service|socket|target))\n",
                                             daemon))
    scripts = query("healthd", "--scripts")
    assert "%" not in re.sub(r"%\w*\)", "", scripts), "a macro nobody knew"
    after, before = scripts.split("preuninstall scriptlet")
    assert after.index("systemd-sysusers") < after.index("systemd-tmpfiles") < \
        after.index("preset healthd.socket")
    assert "try-restart" not in before.split("postuninstall scriptlet")[0]
    assert "restart healthd.service healthd-guard.service" in before
    assert not re.search(r"restart .*\.socket", scripts)


@pytest.mark.skipif(os.geteuid() != 0, reason="rpm --root needs root")
def test_rpm_installs_into_a_tree(built, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    rpms = [str(package(built, name, "rpm")) for name in NAMES]
    call("rpm", "--root", str(tree), "--initdb")
    call("rpm", "--root", str(tree), "-i", "--nodeps", "--noscripts", "--nosignature", *rpms)
    assert os.access(tree / "usr/sbin/healthd", os.X_OK)
    assert (tree / "etc/healthd/checks").is_dir()
    assert call("rpm", "--root", str(tree), "-Va", "--nodeps", "--nosignature") == ""
    # What others require goes last, as rpm does it by itself with dependencies.
    for name in sorted(NAMES, reverse=True):
        call("rpm", "--root", str(tree), "-e", "--nodeps", "--noscripts", name)
    assert not [path for path in tree.rglob("heal*")], "left behind by rpm -e"


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


@pytest.fixture(scope="module")
def machine(built):
    try:
        with Container() as container:
            for path in built.glob("*.deb"):
                shutil.copy(path, container.path("/tmp"))
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
