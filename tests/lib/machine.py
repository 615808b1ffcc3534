# SPDX-License-Identifier: LGPL-2.1-or-later
"""A container with healthd installed, configured and asked from outside."""

import json

from container import Container
from process import wait_until

SERVICE = "healthd.service"


class Machine(Container):
    """A container with healthd installed, and what the tests ask of it."""

    def configure(self, checks=(), conf="", service=""):
        """Replaces the whole configuration and restarts healthd with it.

        The checks of the machine's resources and of its failed units are masked: a busy test
        machine is no finding, and neither is what tests do to its services.
        """
        self.enter("rm", "-rf", "/etc/healthd", "/etc/systemd/system/healthd.service.d")
        self.write_file("/etc/healthd/healthd.conf", conf or "# nothing\n")
        for name in ("system_resources", "failed_units"):
            self.write_file(f"/etc/healthd/checks/{name}.check", "")
        for name, text in dict(checks).items():
            self.write_check(name, text)
        self.write_file("/etc/systemd/system/healthd.service.d/test.conf",
                        "[Service]\n" + service)
        self.enter("systemctl", "daemon-reload")
        self.enter("systemctl", "reset-failed")
        # Not "restart": each test begins without a memory of the one before.
        self.enter("systemctl", "stop", SERVICE)
        self.enter("rm", "-f", "/var/lib/healthd/state")
        self.enter("systemctl", "start", "healthd.socket", "healthd-http.socket", SERVICE)

    def write_check(self, name, text):
        self.write_file(f"/etc/healthd/checks/{name}.check", text)

    def curl(self, path, http=False):
        """(status, JSON) of an endpoint, over the unix socket or over HTTP."""
        where = ["http://127.0.0.1:9797" + path] if http else [
            "--unix-socket", "/run/healthd/healthd.sock", "http://localhost" + path]
        output = self.enter("curl", "--silent", "--show-error", "--max-time", "10",
                            "--write-out", "\n%{http_code}", *where).stdout
        body, status = output.rsplit("\n", 1)
        return int(status), json.loads(body)

    def wait_status(self, name, status, timeout=20):
        def settled():
            check = self.curl("/health")[1]["checks"].get(name)
            return check if check and check["status"] == status else None
        return wait_until(f"check {name} is {status}", settled, timeout, pause=0.05)

    def show(self, name):
        """One property of the service."""
        return self.properties(SERVICE)[name]
