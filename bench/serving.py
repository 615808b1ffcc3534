# SPDX-License-Identifier: LGPL-2.1-or-later
"""Requests a second, and what a request costs."""

import contextlib
import re
import subprocess

import measure
from measure import Row, print_table
from process import process_tree, wait_until
from servers import Nginx
from subject import Measured, default_checks, wait_checked


def nginx_text(text):
    """A word for nginx.conf. It takes at most 4096 bytes, so long ones are put together."""
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    parts = [quoted[i:i + 3000] for i in range(0, len(quoted), 3000)]
    sets = "".join(f"set $part{i} '{part}';\n" for i, part in enumerate(parts[1:]))
    rest = "".join(f"$part{i}" for i in range(len(parts) - 1))
    return sets, f"'{parts[0]}{rest}'"


def nginx_like(answers):
    """nginx that answers the same bodies, with the same headers, without looking at anything."""
    locations = ""
    for path, answer in answers.items():
        sets, body = nginx_text(answer.text)
        headers = "".join(f"add_header {name} '{answer.headers[name]}';\n"
                          for name in ("cache-control", "etag", "x-content-type-options")
                          if name in answer.headers)
        locations += f"""location = {path} {{
            default_type application/json;
            {headers} {sets}
            return 200 {body};
        }}
        """
    # keepalive_requests: by default nginx would close every connection after 1000 requests.
    return Nginx("""
        keepalive_requests 1000000000;
        server_tokens off;
        server {{
            listen 127.0.0.1:{port};
            {locations}
        }}
    """, locations=locations)


def with_worker(nginx):
    """The kernel accepts connections before there is a worker to serve them."""
    def tree():
        pids = process_tree(nginx.process.pid)
        return pids if len(pids) > 1 else None
    return wait_until("a worker of nginx", tree)


def load(port, path, pids, seconds):
    """Returns requests a second, CPU time a request, and the share of a core that was used."""
    begin = measure.cpu_usec(pids)
    result = subprocess.run(["wrk", "-t1", "-c64", f"-d{seconds}s",
                             f"http://127.0.0.1:{port}{path}"],
                            capture_output=True, text=True, check=True)
    used = measure.cpu_usec(pids) - begin
    requests, elapsed = re.search(r"(\d+) requests in ([\d.]+)s", result.stdout).groups()
    if "Non-2xx" in result.stdout or "Socket errors" in result.stdout or int(requests) == 0:
        raise RuntimeError(f"wrk on {path}:\n{result.stdout}")
    return (int(requests) / float(elapsed), used / int(requests), used / 1e6 / float(elapsed))


def bench_serving(scale, _):
    rows = []
    paths = ("/health/live", "/health")
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(Measured(default_checks))
        wait_checked(daemon)
        answers = {path: daemon.get(path) for path in paths}
        with measure.on_measured_core():
            nginx = stack.enter_context(nginx_like(answers))
        healthd_pids, nginx_pids = [daemon.process.pid], with_worker(nginx)
        for path in paths:
            load(daemon.port, path, healthd_pids, 1)
            load(nginx.port, path, nginx_pids, 1)
            pairs = [(load(daemon.port, path, healthd_pids, scale.load_s),
                      load(nginx.port, path, nginx_pids, scale.load_s))
                     for _ in range(scale.pairs)]
            name = f"{path} ({len(answers[path].text)} bytes)"
            rates, times, shares = ([(ours[i], theirs[i]) for ours, theirs in pairs]
                                    for i in range(3))
            target = (">=", 0.9) if path == "/health/live" else None
            rows += [Row(f"{name}, requests/s", rates, target, "{:.0f}"),
                     Row(f"{name}, CPU us a request", times, format_="{:.2f}"),
                     Row(f"{name}, share of its core", shares, format_="{:.2f}")]
    print_table("Serving, 64 kept connections", "nginx", rows)
