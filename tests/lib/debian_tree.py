# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian trees in memory: made once by mmdebstrap, kept as archives outside the repository.

Run as a program, it runs a command on the sources in a tree that has what healthd is built with:

    python3 tests/lib/debian_tree.py RELEASE COMMAND [ARGUMENT...]

All mounts are made in a mount namespace of this process, so they end with it, however it ends.
"""

import ctypes
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

TOOLS = ["mmdebstrap", "zstd", "tar", "mount", "unshare"]
ARCHIVES_KEPT = 10
CLONE_NEWNS = 0x00020000
SKIP_HINT = "run ./dev test as root on a machine (or in a container) that may mount and unshare"
SOURCE = pathlib.Path(__file__).resolve().parents[2]
NO_DOCUMENTATION = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
# What the builds in a tree are for, beside the machine's own architecture: ./dev cross.
FOREIGN = ["i386", "arm64"]
# What can be installed for one architecture at a time: the last one replaces the others.
ALONE = ["libpq-dev", "librdkafka-dev", "libsasl2-dev"]


class Unavailable(Exception):
    """This machine cannot do this; the text says why."""


def libc_call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")


def require_tools(*more):
    """Raises Unavailable unless this is root with the tools that trees take."""
    if os.geteuid() != 0:
        raise Unavailable(f"not root: {SKIP_HINT}")
    missing = [tool for tool in [*TOOLS, *more] if not shutil.which(tool)]
    if missing:
        raise Unavailable(f"{', '.join(missing)} not installed: ./dev test installs it")
    try:
        subprocess.run(["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--net",
                        "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"namespaces refused ({error.stderr.decode().strip()}): {SKIP_HINT}") \
            from error


def enter_mount_namespace():
    libc_call("unshare", CLONE_NEWNS)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def host_suite():
    with open("/etc/os-release", encoding="utf-8") as file:
        words = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
    if words.get("ID") != "debian" or "VERSION_CODENAME" not in words:
        raise Unavailable("the container is a Debian tree of the host's release; this is not Debian")
    return words["VERSION_CODENAME"]


def tree_suite():
    """The release of the tree: another one than the host's has another systemd."""
    return os.environ.get("HEALTHD_TEST_SUITE") or host_suite()


def archived(suite, packages, options=(), key="", mirror=()):
    """The path of the archive of a tree, made when it is not there or older than this month.

    key: what else makes this tree another one.
    """
    packages = sorted(set(packages))
    digest = hashlib.sha256(" ".join([suite, *packages, key]).encode()).hexdigest()[:12]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    directory = pathlib.Path(home, "healthd-tests")
    directory.mkdir(parents=True, exist_ok=True)
    archive = directory / f"{suite}-{time.strftime('%Y-%m')}-{digest}.tar.zst"
    with open(directory / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if archive.exists():
            return archive
        print(f"making {archive}, a minute or two", file=sys.stderr, flush=True)
        # Whoever was killed left its own behind.
        for partial in directory.glob("partial-*"):
            partial.unlink()
        partial = archive.with_name("partial-" + archive.name)
        try:
            subprocess.run(
                ["mmdebstrap", "--quiet", "--include=" + ",".join(packages),
                 "--dpkgopt=force-unsafe-io", *NO_DOCUMENTATION, *options, suite, str(partial)]
                + (os.environ.get("HEALTHD_TEST_MIRROR", "").split() or list(mirror)),
                check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
            partial.rename(archive)
        finally:
            partial.unlink(missing_ok=True)
        by_age = sorted(directory.glob("*.tar.zst"), key=lambda path: path.stat().st_mtime)
        for old in by_age[:-ARCHIVES_KEPT]:
            old.unlink()
    return archive


def unpack(archive, prefix):
    """Unpacks a tree in memory. Returns the directory for remove(); the tree is "root" in it."""
    enter_mount_namespace()
    base = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(base)], check=True)
        (base / "root").mkdir()
        subprocess.run(["tar", "--zstd", "--numeric-owner", "-xpf", str(archive), "-C",
                        str(base / "root")], check=True)
    except BaseException:
        remove(base)
        raise
    return base


def remove(base):
    subprocess.run(["umount", "--recursive", "--lazy", str(base)], check=False,
                   capture_output=True)
    base.rmdir()


def build_archive(suite):
    """A tree with what debian/control asks for, for all architectures, and lintian."""
    native = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True,
                            text=True).stdout.strip()
    packages = ["build-essential", "lintian", *(f"crossbuild-essential-{name}" for name in FOREIGN)]
    install = "apt-get -y -qq --no-install-recommends"
    commands = "set -e; cd /tmp/sources; export DEBIAN_FRONTEND=noninteractive; " + "; ".join(
        f"{install} build-dep --host-architecture {name} -P {profiles} .; "
        f"{install} install libcmocka-dev:{name}"
        for name, profiles in [*((name, "cross,nocheck") for name in FOREIGN), (native, "nocheck")])
    # Of the others what lies in their architecture's own directory is put beside it.
    alone = " ".join(f"{package}:{name}" for package in ALONE for name in FOREIGN)
    commands += (f"; cd /tmp; apt-get -qq download {alone}; for package in *.deb; do "
                 "dpkg-deb --fsys-tarfile $package >package.tar; "
                 "tar -xf package.tar -C / --wildcards './usr/lib/*/*'; rm $package package.tar; done")
    control = SOURCE / "debian/control"
    lines = control.read_text(encoding="utf-8").split("\nPackage:", 1)[0].splitlines()
    wanted = " ".join(line for line in lines if line[:1] == " " and "<" not in line)
    # Only the main archive: that of security updates may be of another day for each architecture,
    # and libraries of different versions cannot be installed beside each other.
    return archived(suite, packages, [
        "--variant=apt", "--architectures=" + ",".join([native, *FOREIGN]),
        f"--customize-hook=mkdir -p \"$1/tmp/sources/debian\"; cp '{control}' \"$1/tmp/sources/debian/\"",
        f"--customize-hook=chroot \"$1\" sh -c '{commands}'",
        "--customize-hook=rm -r \"$1/tmp/sources\"; chroot \"$1\" apt-get clean",
    ], key=commands + wanted, mirror=["http://deb.debian.org/debian"])


class BuildTree:
    """A tree to build in, with the sources at /healthd. Use it as a context manager."""

    def __init__(self, suite):
        self.suite = suite
        self.base = None

    def __enter__(self):
        require_tools()
        self.base = unpack(build_archive(self.suite), "healthd-build-")
        try:
            root = self.base / "root"
            (root / "healthd").mkdir()
            for options, source, target in (["--bind", "-oro"], SOURCE, "healthd"), \
                    (["--rbind"], "/dev", "dev"), (["-tproc"], "proc", "proc"), \
                    (["-tsysfs", "-oro"], "sysfs", "sys"):
                subprocess.run(["mount", *options, str(source), str(root / target)], check=True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        remove(self.base)

    def path(self, path):
        """Where this machine finds a file of the tree."""
        return self.base / "root" / path.lstrip("/")

    def run(self, *command, **options):
        """Runs a command in the tree, beginning in the sources, which it cannot write to."""
        return subprocess.run(
            ["chroot", str(self.path("/")), "env", "--chdir=/healthd", "--ignore-environment",
             "HOME=/root", "LANG=C.UTF-8", f"PATH={os.environ['PATH']}", *command],
            check=False, stdin=subprocess.DEVNULL, text=True, **options)


def main(suite, *command):
    try:
        with BuildTree(suite) as tree:
            return tree.run(*command).returncode
    except Unavailable as reason:
        print(reason, file=sys.stderr)
        return 77


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
