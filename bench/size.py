# SPDX-License-Identifier: LGPL-2.1-or-later
"""The first answer, memory, and what an idle daemon costs."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

import measure
from healthd import Healthd
from measure import Row, print_table
from process import end_process
from serving import with_worker
from servers import Nginx
from subject import Measured, default_checks, wait_checked

MINIMAL_PSS_KIB = 3584  # 3.5 MB


def answers_200(port):
    with socket.socket() as client:
        client.settimeout(1)
        try:
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return client.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


def first_answer_ms(start, port):
    """From before the exec to the first 200, asked for every millisecond."""
    with measure.on_measured_core():
        begin = time.monotonic()
        process = start()
    try:
        while not answers_200(port):
            if process.poll() is not None or time.monotonic() > begin + 20:
                raise RuntimeError(f"no answer from {process.args[0]}")
            time.sleep(0.001)
        return (time.monotonic() - begin) * 1000
    finally:
        end_process(process)


def start_healthd(daemon):
    daemon.start(wait=False)
    return daemon.process


def bench_start(scale):
    daemon, nginx = Healthd(), Nginx()
    default_checks(daemon)
    try:
        def start_nginx():
            # Not nginx.start(), which waits.
            return subprocess.Popen([str(word) for word in nginx.command()],
                                    stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pairs = [(first_answer_ms(lambda: start_healthd(daemon), daemon.port),
                  first_answer_ms(start_nginx, nginx.port)) for _ in range(scale.starts)]
    finally:
        daemon.close()
        nginx.close()
    return [Row("exec to the first answer, ms", pairs)]


def bench_idle(scale):
    """Of healthd with the default checks; nginx beside it for its memory."""
    with Measured(default_checks) as daemon, Nginx() as nginx:
        wait_checked(daemon)
        pids = [daemon.process.pid]
        time.sleep(1)
        begin, cpu, wakes = time.monotonic(), measure.cpu_usec(pids), measure.wake_ups(pids[0])
        time.sleep(scale.idle_s)
        elapsed = time.monotonic() - begin
        cpu, wakes = measure.cpu_usec(pids) - cpu, measure.wake_ups(pids[0]) - wakes
        ours, theirs = measure.memory_kib(pids), measure.memory_kib(with_worker(nginx))
    return [Row("PSS, KiB", [(ours[0], theirs[0])], format_="{:.0f}"),
            Row("  of that anonymous", [(ours[1], theirs[1])], format_="{:.0f}"),
            Row("wake-ups a second", [(wakes / elapsed, None)], format_="{:.2f}"),
            Row("CPU us a second", [(cpu / elapsed, None)])]


def copy_libraries(target):
    """Those healthd links with, but for the C library's, which every process of a host shares."""
    output = subprocess.run(["ldd", os.environ["HEALTHD_BINARY"]], check=True, text=True,
                            capture_output=True).stdout
    for name, path in re.findall(r"^\t(\S+) => (\S+)", output, re.MULTILINE):
        if not re.match(r"lib(c|m|resolv)\.so", name):
            shutil.copy(path, pathlib.Path(target, name))


def bench_minimal():
    """As if nothing else on the host used a library of healthd's: no page of one is shared."""
    with tempfile.TemporaryDirectory() as directory:
        copy_libraries(directory)
        with Measured(default_checks, {"LD_LIBRARY_PATH": directory}) as daemon:
            wait_checked(daemon)
            time.sleep(1)
            maps = pathlib.Path(f"/proc/{daemon.process.pid}/maps").read_text(encoding="utf-8")
            if re.search(r"/lib(pq|hiredis|curl|crypto)\.so", maps):
                raise RuntimeError("the default checks have loaded what a minimal install lacks")
            pss, anonymous = measure.memory_kib([daemon.process.pid])
    return [Row("minimal install, no page shared, PSS, KiB", [(pss, None)],
                ("<=", MINIMAL_PSS_KIB), "{:.0f}"),
            Row("  of that anonymous", [(anonymous, None)], format_="{:.0f}")]


def bench_size(scale, _):
    print_table("Start and idle, with the default checks", "nginx",
                bench_start(scale) + bench_idle(scale) + bench_minimal())
