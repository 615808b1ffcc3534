# SPDX-License-Identifier: LGPL-2.1-or-later
"""A container in which healthd and monit are services with nothing to do but their default checks."""

import os
import shutil

import measure
from container import linked_libraries
from machine import SERVICE, Machine
from peer_servers import CYCLE_S, Monit, find_program, monit_default_checks
from process import wait_until
from subject import QUIET_SYSTEM

MONIT_UNIT = "[Service]\nExecStart=/usr/bin/monit -I -c /etc/monitrc\n"
# As many as a small host has: monit looks at each of them.
OTHER_PROCESSES = 100
OTHERS_UNIT = (f"[Service]\nExecStart=/bin/sh -c 'for i in $(seq {OTHER_PROCESSES}); do "
               "sleep infinity & done; wait'\n")
QUIET_DROP_IN = "/etc/healthd/checks/system_resources.check.d/bench.conf"


class IdleMachine(Machine):
    """Its bus may be used from outside, too: `bus` is its address."""

    def install(self):
        super().install()
        program = find_program("monit")
        shutil.copy(program, self.root / "usr/bin/monit")
        for path in linked_libraries(program).values():
            if not (self.root / path.lstrip("/")).exists():
                shutil.copy(path, self.root / "usr/local/lib")
        self.in_tree("ldconfig")
        monit = Monit(monit_default_checks(), CYCLE_S)
        self.write_file("/etc/monitrc", monit.config.read_text("utf-8").replace(
            str(monit.directory), "/run"), 0o600)
        monit.close()
        self.write_file("/etc/systemd/system/monit.service", MONIT_UNIT)
        self.write_file("/etc/systemd/system/others.service", OTHERS_UNIT)
        self.write_file(QUIET_DROP_IN, QUIET_SYSTEM)

    @property
    def bus(self):
        return f"unix:path={self.path('/run/dbus/system_bus_socket')}"

    def start_idle(self):
        """Returns the processes by who, on the measured core, after each check has passed."""
        self.enter("systemctl", "start", "monit.service", "others.service")
        wait_until("all checks have run", self.all_checked, 60, 0.2)
        wrong = {name: check.get("reason") for name, check in self.checks().items()
                 if check["status"] != "healthy"}
        if wrong:
            raise RuntimeError(f"default checks fail in the container: {wrong}")
        pids = {}
        for who, unit in (("healthd", SERVICE), ("monit", "monit.service")):
            pids[who] = [self.host_pid(int(self.properties(unit)["MainPID"]))]
            for task in measure.tasks(*pids[who]):
                os.sched_setaffinity(task, measure.MEASURED)
        return pids

    def checks(self):
        return self.curl("/health")[1]["checks"]

    def all_checked(self):
        return all(check["checked_at"] for check in self.checks().values())
