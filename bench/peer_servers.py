# SPDX-License-Identifier: LGPL-2.1-or-later
"""Other programs that do (some of) what healthd does, configured for the same work."""

import pathlib
import shutil

from servers import Server

HERE = pathlib.Path(__file__).resolve().parent
CYCLE_S = 30  # of monit where it has default checks: the interval of healthd's shipped ones


def find_program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


class Monit(Server):
    """monit in the foreground, one cycle each so many seconds, with these `check` statements."""

    def __init__(self, checks, cycle_s=1, library_path=None):
        super().__init__("monit")
        self.settings = [f"LD_LIBRARY_PATH={library_path}"] if library_path else []
        self.config = self.directory / "monitrc"
        # It keeps its state in files; these are its own names for them.
        files = "".join(f"set {name}file {self.directory}/{name}\n"
                        for name in ("pid", "id", "state"))
        self.config.write_text(
            f"set daemon {cycle_s}\n{files}set httpd port {self.port} and\n"
            f"    use address 127.0.0.1\n    allow 127.0.0.1\n{checks}", encoding="utf-8")
        self.config.chmod(0o600)  # it insists

    def command(self):
        return ["env", *self.settings, find_program("monit"), "-I", "-c", self.config]


def monit_default_checks():
    """As healthd's shipped ones: the machine and its file system, each 30 s; it knows no units."""
    return ("check system machine\n"
            "    if cpu usage >= 80% for 3 cycles then alert\n"
            "    if memory usage >= 85% for 3 cycles then alert\n"
            "check filesystem root with path /\n"
            "    if space usage >= 90% for 3 cycles then alert\n")


class BlackboxExporter(Server):
    """prometheus-blackbox-exporter: it probes what it is asked for, when it is asked."""

    CONFIG = """
modules:
  http:
    prober: http
    http:
      preferred_ip_protocol: ip4
  redis:
    prober: tcp
    tcp:
      preferred_ip_protocol: ip4
      query_response:
      - send: PING
      - expect: "^.PONG"
"""

    def __init__(self):
        super().__init__("blackbox-exporter")
        self.config = self.directory / "blackbox.yml"
        self.config.write_text(self.CONFIG, encoding="utf-8")

    def command(self):
        return ["prometheus-blackbox-exporter", f"--config.file={self.config}",
                f"--web.listen-address=127.0.0.1:{self.port}"]


class FastApi(Server):
    """peers/fastapi_service.py under uvicorn; of PostgreSQL it asks the database bench."""

    def __init__(self, checks, redis=None, postgres=None, http=None):
        super().__init__("fastapi")
        self.settings = [f"CHECKS={checks}"]
        for name, server, url in (("REDIS", redis, "redis://127.0.0.1:{}"),
                                  ("DATABASE", postgres,
                                   "postgresql://postgres@127.0.0.1:{}/bench"),
                                  ("API", http, "http://127.0.0.1:{}/")):
            if server:
                self.settings.append(f"{name}={url.format(server.port)}")

    def command(self):
        return ["env", *self.settings, "PYTHONDONTWRITEBYTECODE=1", "/usr/bin/python3", "-m",
                "uvicorn", f"--app-dir={HERE / 'peers'}", "--host=127.0.0.1",
                f"--port={self.port}", "--no-access-log", "--log-level=warning",
                "--loop=uvloop", "--http=httptools", "--backlog=2048", "fastapi_service:app"]
