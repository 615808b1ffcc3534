# SPDX-License-Identifier: LGPL-2.1-or-later
"""The first answer, memory, and what an idle daemon costs."""

import contextlib
import grp
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

import measure
from debian_tree import Unavailable, enter_mount_namespace
from healthd import Healthd
from idle import IdleMachine
from measure import Row, against, table
from peer_servers import (CYCLE_S, BlackboxExporter, FastApi, Monit, find_program,
                          monit_default_checks)
from process import end_process, process_tree
from scraper import Scraper
from serving import with_worker
from servers import Nginx, NodeExporter
from subject import Measured, default_checks, wait_checked

MINIMAL_PSS_KIB = 3584  # 3.5 MB
# The tutorial's checks of the machine; those of servers have no part in the others either.
FASTAPI_CHECKS = "system_resources application_metrics"

# Who: how it is made, and what answers 200 as soon as it is there.
PEERS = {
    "monit": (lambda: Monit(monit_default_checks(), CYCLE_S), "/_ping"),
    "nginx": (Nginx, "/"),
    "blackbox": (BlackboxExporter, "/-/healthy"),
    "node": (NodeExporter, "/"),
    "FastAPI": (lambda: FastApi(FASTAPI_CHECKS), "/health/live"),
}
# What does its work when it is asked is asked as often as the others look by themselves.
ASKED = {"node": ("/metrics", "\nnode_load1 "), "FastAPI": ("/health", '"system_resources"')}
TARGETS = {"first": {"monit": ("<=", 0.5)}, "CPU": {"monit": ("<=", 0.1)}}


def answers_200(port, path):
    with socket.socket() as client:
        client.settimeout(1)
        try:
            client.connect(("127.0.0.1", port))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            return client.recv(64).startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))
        except OSError:
            return False


def first_answer_ms(start, port, path):
    """From before the exec to the first 200, asked for five times a millisecond."""
    with measure.on_measured_core():
        begin = time.monotonic()
        process = start()
    try:
        while not answers_200(port, path):
            if process.poll() is not None or time.monotonic() > begin + 20:
                raise RuntimeError(f"no answer from {process.args}")
            time.sleep(0.0002)
        return (time.monotonic() - begin) * 1000
    finally:
        end_process(process)


def start_healthd(daemon):
    daemon.start(wait=False)
    return daemon.process


def start_peer(server):
    # Not server.start(), which waits.
    return subprocess.Popen([str(word) for word in server.command()], cwd=server.directory,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def bench_start(scale):
    rows = []
    for who, (make, path) in PEERS.items():
        daemon, server = Healthd(), make()
        default_checks(daemon)
        try:
            pairs = [(first_answer_ms(lambda: start_healthd(daemon), daemon.port, "/health/live"),
                      first_answer_ms(lambda: start_peer(server), server.port, path))
                     for _ in range(scale.starts)]
        finally:
            daemon.close()
            server.close()
        rows.append(against(who, "exec to the first answer, ms", pairs,
                            TARGETS["first"].get(who), better="less"))
    return rows


def idle_window(pids, seconds):
    """Returns wake-ups and CPU time (us), both a second, by who."""
    def look():
        return {who: (sum(measure.wake_ups(pid) for pid in tree), measure.cpu_usec(tree))
                for who, tree in pids.items()}
    begin, before = time.monotonic(), look()
    time.sleep(seconds)
    elapsed, after = time.monotonic() - begin, look()
    return {who: [(new - old) / elapsed for old, new in zip(before[who], after[who])]
            for who in pids}


def start_peers(stack):
    """All of them, each with its processes; who must be asked to do anything is asked."""
    pids = {}
    for who, (make, path) in PEERS.items():
        with measure.on_measured_core():
            server = stack.enter_context(make())
        if who == "nginx":
            with_worker(server)
        if not answers_200(server.port, path):
            raise RuntimeError(f"{who} does not answer")
        pids[who] = process_tree(server.process.pid)
        if who in ASKED:
            ask, text = ASKED[who]
            stack.enter_context(Scraper(server.port, [ask], CYCLE_S, text, (200, 503)))
    return pids


def expect_passing(daemon):
    wrong = {name: check.get("reason") for name, check in daemon.get().json["checks"].items()
             if check["status"] != "healthy"}
    if wrong:
        raise RuntimeError(f"default checks fail: {wrong}")


def idle_rows(windows, where=""):
    """windows: what idle_window() gave, each time."""
    rows = []
    for who in windows[0]:
        if who == "monit" or who in ASKED:  # the others have nothing to do
            wakes, cpu = ([(window["healthd"][i], window[who][i]) for window in windows]
                          for i in range(2))
            rows += [against(who, f"idle{where}, CPU us a second", cpu, TARGETS["CPU"].get(who),
                             better="less"),
                     against(who, "  wake-ups a second", wakes, format_="{:.2f}")]
    return rows


def bench_idle(scale, build):
    """All of them at once with nothing to do but their checks, so they have the same windows."""
    with contextlib.ExitStack() as stack:
        # healthd asks a real systemd for failed units: that of the container.
        machine = stack.enter_context(IdleMachine(build))
        inside = machine.start_idle()
        daemon = stack.enter_context(Measured(default_checks,
                                              {"DBUS_SYSTEM_BUS_ADDRESS": machine.bus}))
        pids = {"healthd": [daemon.process.pid], **start_peers(stack)}
        wait_checked(daemon)
        time.sleep(2)
        expect_passing(daemon)
        both = {**pids, **{f"{who} inside": tree for who, tree in inside.items()}}
        windows = [idle_window(both, scale.idle_s) for _ in range(scale.idle_windows)]
        memory = {who: measure.memory_kib(tree) for who, tree in pids.items()}
    rows = idle_rows([{who: window[who] for who in pids} for window in windows])
    rows += idle_rows([{who: window[f"{who} inside"] for who in inside} for window in windows],
                      " in a container")
    for who in PEERS:
        sizes, anonymous = zip(memory["healthd"], memory[who])
        rows += [against(who, "PSS, KiB", [sizes], format_="{:.0f}",
                         better=None if who == "monit" else "less"),
                 against(who, "  of that anonymous", [anonymous], format_="{:.0f}")]
    return rows


def copy_libraries(program, target):
    """Those it links with, but for the C library's, which every process of a host shares."""
    output = subprocess.run(["ldd", program], check=True, text=True, capture_output=True).stdout
    for name, path in re.findall(r"^\t(\S+) => (\S+)", output, re.MULTILINE):
        if not re.match(r"lib(c|m|resolv)\.so", name):
            shutil.copy(path, pathlib.Path(target, name))


def minimal_healthd():
    with tempfile.TemporaryDirectory() as directory:
        copy_libraries(os.environ["HEALTHD_BINARY"], directory)
        with Measured(default_checks, {"LD_LIBRARY_PATH": directory}) as daemon:
            wait_checked(daemon)
            time.sleep(2)  # it gives memory back a second after its start
            maps = pathlib.Path(f"/proc/{daemon.process.pid}/maps").read_text(encoding="utf-8")
            if re.search(r"/lib(pq|hiredis|curl|crypto)\.so", maps):
                raise RuntimeError("the default checks have loaded what a minimal install lacks")
            return measure.memory_kib([daemon.process.pid])


def minimal_monit():
    with tempfile.TemporaryDirectory() as directory:
        copy_libraries(find_program("monit"), directory)
        with Monit(monit_default_checks(), CYCLE_S, directory) as monit:
            if not answers_200(monit.port, "/"):  # its page, which shows what it has found
                raise RuntimeError("monit does not answer")
            time.sleep(1)
            maps = pathlib.Path(f"/proc/{monit.process.pid}/maps").read_text(encoding="utf-8")
            if f"{directory}/libssl" not in maps:
                raise RuntimeError("monit shares its libraries with others")
            return measure.memory_kib(process_tree(monit.process.pid))


def bench_minimal(scale):
    """As if nothing else on the host used a library of theirs: no page of one is shared."""
    pairs = [(minimal_healthd(), minimal_monit()) for _ in range(scale.pairs)]
    sizes, anonymous = ([(ours[i], theirs[i]) for ours, theirs in pairs] for i in range(2))
    return [Row("minimal install, no page shared, PSS, KiB", [(ours, None) for ours, _ in sizes],
                ("<=", MINIMAL_PSS_KIB), "{:.0f}"),
            against("monit", "minimal install, no page shared, PSS, KiB", sizes, ("<=", 1.0),
                    format_="{:.0f}", better="less"),
            against("monit", "  of that anonymous", anonymous, format_="{:.0f}")]


def have_group():
    """The group that a package makes, in a mount namespace of ours.

    Without it healthd's look-up goes through all that nsswitch.conf names, at each start.
    """
    with contextlib.suppress(KeyError):
        grp.getgrnam("healthd")
        return
    if os.geteuid() != 0:
        return
    enter_mount_namespace()
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as copy:
        copy.write(pathlib.Path("/etc/group").read_text("utf-8") + "healthd:x:65533:\n")
        copy.flush()
        os.chmod(copy.name, 0o644)
        subprocess.run(["mount", "--bind", copy.name, "/etc/group"], check=True)


def bench_size(scale, build):
    with table("Start and idle, with the default checks") as rows:
        try:
            have_group()
            rows += bench_start(scale)
            rows += bench_minimal(scale)
            rows += bench_idle(scale, build)
        except Unavailable as reason:
            raise RuntimeError(str(reason)) from reason
