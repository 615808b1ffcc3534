# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boots a real systemd in a container, with healthd installed by meson.

A Debian tree (debian_tree.py) of the host's own release, or of the one that HEALTHD_TEST_SUITE names.
Each test file unpacks it onto a fresh tmpfs and boots it with systemd-nspawn.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import debian_tree
import elf_notes
from debian_tree import Unavailable, host_suite, libc_call, tree_suite
from process import children, end_process, kill_tree, process_tree, wait_until

BASE = ["curl", "dbus", "polkitd", "systemd", "systemd-sysv"]
# These start with the machine otherwise; tests start them when they want them.
SERVERS = {"nginx-light": "nginx.service", "postgresql": "postgresql.service",
           "redis-server": "redis-server.service"}


def require_machine():
    """Raises Unavailable unless this machine can boot a container, and says what is missing."""
    debian_tree.require_tools("systemd-nspawn", "nsenter")
    with open("/proc/mounts", encoding="utf-8") as file:
        if not any(line.split()[2] == "cgroup2" for line in file):
            raise Unavailable("no cgroup2 file system is mounted here, which systemd needs")


def linked_libraries(binary):
    """The shared libraries a program or library built here is linked with, name -> path."""
    output = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    return {words[0]: words[2] for words in map(str.split, output.splitlines())
            if len(words) > 2 and words[1] == "=>"}


def libraries(binary):
    """The same, and those it loads at run time, with theirs."""
    found = linked_libraries(binary)
    for name, path in elf_notes.dlopen_libraries(binary).items():
        found |= {name: path} | linked_libraries(path)
    return found


def library_packages(binary):
    """The packages of the shared libraries a program built here needs, found by the loader."""
    paths = sorted({os.path.realpath(path) for path in libraries(binary).values()})
    result = subprocess.run(["dpkg-query", "-S", *paths], capture_output=True, text=True,
                            check=False).stdout
    return sorted({line.split(":", 1)[0] for line in result.splitlines()})


def cgroup_root():
    """Where cgroup2 is mounted: alone, or beside version 1 hierarchies."""
    with open("/proc/mounts", encoding="utf-8") as file:
        return pathlib.Path(next(line.split()[1] for line in file if line.split()[2] == "cgroup2"))


def remove_cgroup(path):
    """Removes a cgroup and those below it, once nothing runs in them."""
    for directory, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)


class Container:
    """A booted machine. Use it as a context manager; it always cleans up."""

    def __init__(self, build_directory=None, packages=None, more_packages=()):
        """build_directory: what `meson install` takes healthd from; None: a tree without it.

        packages: what the tree has beside the base; without them, the servers that tests start and
        the libraries healthd is linked with. more_packages: beside those, too.
        """
        self.build_directory = build_directory
        self.packages = packages
        self.more_packages = list(more_packages)
        self.process = None
        self.leader = 0
        self.base = None
        self.root = None
        self.cgroup = None
        self.console = None
        self.commands = []

    def __enter__(self):
        try:
            self.prepare()
            self.boot()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def prepare(self):
        require_machine()
        packages = self.packages
        if packages is None:
            packages = list(SERVERS)
            # Libraries have other packages, or other names, elsewhere: those are brought along.
            if tree_suite() == host_suite():
                packages += library_packages(os.environ["HEALTHD_BINARY"])
            packages += self.more_packages
        archive = debian_tree.archived(tree_suite(), BASE + packages, ["--variant=minbase"])
        self.base = debian_tree.unpack(archive, "healthd-container-")
        self.root = self.base / "root"
        for server, service in SERVERS.items():
            if server in packages:
                self.in_tree("systemctl", "disable", service)
        # One failed unit of the tree's own would make the machine "degraded".
        self.in_tree("systemctl", "mask", "apt-daily.timer", "apt-daily-upgrade.timer",
                     "e2scrub_all.timer", "fstrim.timer", "dpkg-db-backup.timer")
        (self.root / "etc/machine-id").write_text("")
        (self.root / "var/log/journal").mkdir(exist_ok=True)
        if self.build_directory:
            self.install()

    def install(self):
        """What a package does: files, user, catalog, units enabled. The boot makes /run/healthd."""
        subprocess.run(["meson", "install", "-C", str(self.build_directory), "--no-rebuild",
                        "--quiet", "--destdir", str(self.root)], check=True,
                       stdout=subprocess.DEVNULL)
        if tree_suite() != host_suite():
            self.bring_libraries()
        self.in_tree("systemd-sysusers")
        self.in_tree("journalctl", "--update-catalog")
        self.in_tree("systemctl", "enable", "healthd.socket", "healthd-http.socket",
                     "healthd.service")

    def bring_libraries(self):
        """Copies what our programs link with or load, and a tree of another release does not have."""
        programs = ["/usr/sbin/healthd", "/usr/bin/healthctl"]
        programs += [f"/usr/lib/healthd/{path.name}"
                     for path in (self.root / "usr/lib/healthd").iterdir() if path.is_file()]
        ours = {}
        for program in programs:
            ours |= libraries(str(self.root / program.lstrip("/")))
        (self.root / "usr/local/lib").mkdir(parents=True, exist_ok=True)
        there = self.in_tree("ldconfig", "-p")
        for name, path in elf_notes.dlopen_libraries(str(self.root / "usr/sbin/healthd")).items():
            if f"\t{name} " not in there:
                shutil.copy(path, self.root / "usr/local/lib" / name)
                programs.append(f"/usr/local/lib/{name}")
        while missing := {line.split()[0] for program in programs
                          for line in self.in_tree("ldd", program).splitlines()
                          if "not found" in line}:
            for name in missing:
                shutil.copy(ours[name], self.root / "usr/local/lib" / name)
            self.in_tree("ldconfig")

    def in_tree(self, *command):
        """Runs a command in the tree before it is booted."""
        result = subprocess.run(["chroot", str(self.root), *command], capture_output=True,
                                text=True, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} in the tree: {result.stderr.strip()}")
        return result.stdout

    def boot(self, timeout=60):
        # A cgroup of its own: containers that share one corrupt each other's units.
        for stale in cgroup_root().glob("healthd-test-*"):
            if not os.path.exists(f"/proc/{stale.name.rsplit('-', 1)[1]}"):
                remove_cgroup(stale)
        self.cgroup = pathlib.Path(tempfile.mkdtemp(prefix="healthd-test-", dir=cgroup_root(),
                                                    suffix=f"-{os.getpid()}"))
        procs = str(self.cgroup / "cgroup.procs")

        def enter_cgroup():
            with open(procs, "w", encoding="ascii") as file:
                file.write("0")
            # The container ends with the test, even one that was killed.
            libc_call("prctl", 1, signal.SIGKILL)

        self.console = open(self.base / "console", "wb")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["systemd-nspawn", "--quiet", "-D", str(self.root), "--register=no", "--keep-unit",
             "--private-network", f"--machine={self.cgroup.name.replace('_', '-')}", "--boot",
             "--kill-signal=SIGRTMIN+3", "--console=pipe", "--link-journal=no",
             "--resolv-conf=off", "--timezone=off"],
            env=os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT,
            preexec_fn=enter_cgroup)
        try:
            wait_until("the container's init", self.find_leader, timeout=20)
            wait_until("the container's systemd answers", self.state, timeout=timeout)
            state = self.enter("systemctl", "is-system-running", "--wait", check=False).stdout
        except TimeoutError as error:
            raise RuntimeError(f"{error}\n{self.console_text()}") from error
        return state.strip()

    def find_leader(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"systemd-nspawn ended: {self.console_text()}")
        for pid in children(self.process.pid):
            with contextlib.suppress(OSError):
                name = pathlib.Path("/proc", str(pid), "comm").read_text(encoding="ascii").strip()
                if name == "systemd":
                    self.leader = pid
                    return True
        return False

    def state(self):
        result = self.enter("systemctl", "is-system-running", check=False)
        return result.stdout.strip() in ("starting", "running", "degraded")

    def console_text(self):
        if self.base and (self.base / "console").exists():
            return (self.base / "console").read_text(errors="replace")[-4000:]
        return ""

    def enter(self, *command, check=True, timeout=60, stdin=None):
        """Runs a command in the container, in no unit: for looking. Returns a CompletedProcess."""
        result = subprocess.run(["nsenter", "-t", str(self.leader), "-a", *command], text=True,
                                capture_output=True, timeout=timeout, input=stdin, check=False)
        if check and result.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: exit {result.returncode}\n"
                               f"{result.stdout}{result.stderr}")
        return result

    def run(self, *command, check=True, timeout=60, properties=()):
        """Runs a command as a unit of the container, with its exit code and output."""
        options = [f"--property={text}" for text in properties]
        return self.enter("systemd-run", "--quiet", "--wait", "--pipe", "--collect", *options,
                          "--", *command, check=check, timeout=timeout)

    def spawn(self, *command):
        """Starts a command as a unit of the container and returns its Popen, output in pipes."""
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["nsenter", "-t", str(self.leader), "-a", "systemd-run", "--quiet", "--wait", "--pipe",
             "--collect", "--", *command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.commands.append(process)
        return process

    def spawn_outside(self, *command):
        """Starts a program of this machine in the container's network, and returns its Popen."""
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["nsenter", "-t", str(self.leader), "--net", *command], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.commands.append(process)
        return process

    @contextlib.contextmanager
    def steady_client(self, rate=200, path="/health/live"):
        """Asks both sockets of healthd all the time, and sums up at the end.

        Yields a dictionary, filled in at the end, and what sends an order to steady_client.py.
        """
        result = {}

        def order(text):
            client.stdin.write(text + "\n")
            client.stdin.flush()
        script = pathlib.Path(__file__).with_name("steady_client.py")
        client = self.spawn_outside("/usr/bin/python3", str(script), str(rate), path,
                                    self.path("/run/healthd/healthd.sock"), "127.0.0.1:9797")
        try:
            time.sleep(0.5)
            yield result, order
            time.sleep(0.5)
        finally:
            output, errors = client.communicate("stop\n", timeout=60)
            print(output, errors, file=sys.stderr)
        result.update(json.loads(output))

    def path(self, path):
        """Where this machine finds a file of the running container, sockets included."""
        return f"/proc/{self.leader}/root/{path.lstrip('/')}"

    def write_file(self, path, text, mode=0o644):
        """Writes a file as the container sees it: its /run is another file system than the tree's."""
        target = pathlib.Path(self.path(path)) if self.leader else self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)

    def cursor(self):
        """A point in the journal, for journal()."""
        self.enter("journalctl", "--sync")
        output = self.enter("journalctl", "--no-pager", "-n", "0", "--show-cursor").stdout
        return output.rsplit("-- cursor: ", 1)[1].strip()

    def journal(self, *matches, since=None):
        """The journal's entries as dictionaries, oldest first.

        matches: FIELD=value, all of which must hold. since: a cursor. The two are not given to
        journalctl together: it then leaves out the first entry that matches.
        """
        self.enter("journalctl", "--sync")
        arguments = ["--after-cursor=" + since] if since else list(matches)
        output = self.enter("journalctl", "--no-pager", "--quiet", "-o", "json", "--all",
                            *arguments).stdout
        wanted = dict(match.split("=", 1) for match in matches)
        return [entry for entry in map(json.loads, output.splitlines())
                if all(entry.get(field) == value for field, value in wanted.items())]

    def now(self):
        """A time for unit_texts()."""
        self.enter("journalctl", "--sync")
        return self.enter("date", "+%s.%6N").stdout.strip()

    def unit_texts(self, unit, since):
        """What `journalctl -u` shows of a unit since then, as texts.

        Not since a cursor: it then leaves out the first entry of the unit.
        """
        self.enter("journalctl", "--sync")
        return self.enter("journalctl", "--no-pager", "-o", "cat", "-u", unit,
                          f"--since=@{since}").stdout.splitlines()

    def host_pid(self, pid):
        """The pid on this machine of a process of the container."""
        for candidate in process_tree(self.leader):
            with contextlib.suppress(OSError):
                status = pathlib.Path(f"/proc/{candidate}/status").read_text(encoding="utf-8")
                names = next(line for line in status.splitlines() if line.startswith("NSpid:"))
                if int(names.split()[-1]) == pid:
                    return candidate
        raise ProcessLookupError(f"no process {pid} in the container")

    def properties(self, unit):
        """What `systemctl show` says of a unit, as a dictionary."""
        output = self.enter("systemctl", "show", unit).stdout
        return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)

    def reboot(self):
        """Halts the machine in order and boots the same tree: /var stays, /run is new."""
        self.halt()
        return self.boot()

    def halt(self):
        for command in self.commands:
            end_process(command)
        self.commands = []
        if self.process:
            if self.process.poll() is None:
                # nspawn hands SIGTERM on as --kill-signal=, an orderly halt.
                self.process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(20)
                kill_tree(self.process)
        self.leader = 0
        if self.console:
            self.console.close()
        if self.cgroup:
            remove_cgroup(self.cgroup)

    def stop(self):
        self.halt()
        if self.base:
            debian_tree.remove(self.base)
            self.base = None
