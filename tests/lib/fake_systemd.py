# SPDX-License-Identifier: LGPL-2.1-or-later
"""A private message bus, and something on it that answers under systemd's name.

Only for faults that the real one does not have on demand. Run as a program it is the one who
answers: fake_systemd.py ADDRESS FILE, where FILE says how (see ANSWERS).
"""

import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

NAME = "org.freedesktop.systemd1"
CONFIG = """<busconfig>
<type>custom</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
<allow own="*"/><allow user="*"/></policy></busconfig>
"""


class FakeSystemd:
    """Use broker() and systemd() to start the two, and how() to say what is answered."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="healthd-bus-"))
        self.path = self.directory / "bus"
        self.address = f"unix:path={self.path}"
        self.answers = self.directory / "answers"
        self.config = self.directory / "bus.conf"
        self.config.write_text(CONFIG.format(path=self.path), encoding="utf-8")
        self.processes = {}
        self.how("well")

    def how(self, answer):
        self.answers.write_text(answer, encoding="utf-8")

    def callers(self):
        """The names on the bus of all the connections that have asked for something."""
        with open(f"{self.answers}.callers", encoding="utf-8") as file:
            return set(file.read().split())

    def start(self, name, *command, ready):
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.processes[name] = process
        line = process.stdout.readline()
        assert ready in line, f"{name} did not start: {line!r}"
        return self

    def broker(self):
        return self.start("broker", "dbus-daemon", f"--config-file={self.config}", "--nofork",
                          "--nopidfile", "--print-address", ready="unix:path=")

    def systemd(self):
        return self.start("systemd", sys.executable, __file__, self.address, str(self.answers),
                          ready="answering")

    def signal(self, name, number):
        self.processes[name].send_signal(number)

    def stop(self, name):
        process = self.processes.pop(name)
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        process.stdout.close()

    def close(self):
        for name in list(self.processes):
            self.stop(name)
        shutil.rmtree(self.directory, ignore_errors=True)


def answer_loop(address, answers):
    """Answers until it is killed."""
    # pylint: disable=import-error,import-outside-toplevel
    import dbus
    import dbus.bus
    import dbus.lowlevel
    import dbus.mainloop.glib
    from gi.repository import GLib

    def unit(**changes):
        values = {
            "LoadState": "loaded", "ActiveState": "active", "SubState": "running",
            "Result": "success", "Type": "simple", "TriggeredBy": dbus.Array([], signature="s"),
            "TasksCurrent": dbus.UInt64(3), "MemoryCurrent": dbus.UInt64(4096),
            "CPUUsageNSec": dbus.UInt64(0), "NRestarts": dbus.UInt32(2),
            "MainPID": dbus.UInt32(77), "ExecMainStatus": dbus.Int32(0),
            "X-Unheard-Of": dbus.Struct((1, "x")),
        }
        return dbus.Dictionary(values | changes, signature="sv")

    def late_timer():
        now = int(time.time() * 1000000)
        return unit(SubState="waiting", Unit="job.service", AccuracyUSec=dbus.UInt64(60000000),
                    NextElapseUSecRealtime=dbus.UInt64(now - 10 * 60000000),
                    TimersCalendar=dbus.Array([("OnCalendar", "daily", dbus.UInt64(now))],
                                              signature="(sst)"))

    def entry(name, state="failed"):
        return (name, "", "loaded", state, state, "", "/", dbus.UInt32(0), "", "/")

    def entries(*items):
        return dbus.Array(items, signature="(ssssssouso)")

    listing = "a(ssssssouso)"
    failed = ("a.service", "b.service", "c.mount", "d.timer", "e.service", "f.service", "g.socket")
    # What is answered to (GetAll, a list): a signature and the values, or an error's name.
    ways = {
        "well": (("a{sv}", unit()), (listing, entries())),
        "late": (("a{sv}", late_timer()), (listing, entries(entry("job.timer", "active")))),
        "failed": (("a{sv}", unit()), (listing, entries(*map(entry, failed)))),
        "huge": (("a{sv}", unit()),
                 (listing, entries(*(entry(f"unit-{n}.service") for n in range(60000))))),
        "refuse": ("org.example.No", "org.example.No"),
        "garbage-text": (("s", "nonsense"), ("s", "nonsense")),
        "garbage-empty": (("", None), ("", None)),
        "garbage-list": (("as", dbus.Array(["x"], signature="s")), ("as", ["x"])),
        "garbage-types": (("a{sv}", unit(ActiveState=dbus.UInt32(1))),
                          ("a(sss)", dbus.Array([("a", "b", "c")], signature="(sss)"))),
        "garbage-nothing": (("a{sv}", dbus.Dictionary({}, signature="sv")), ("u", dbus.UInt32(1))),
    }

    def on_message(connection, message):
        if message.get_type() != 1 or message.get_destination() != NAME:
            return 1  # HANDLER_RESULT_NOT_YET_HANDLED
        how = answers.read_text(encoding="utf-8")
        with open(f"{answers}.callers", "a", encoding="utf-8") as file:
            file.write(message.get_sender() + "\n")
        member = message.get_member()
        if member == "Subscribe":
            connection.send_message(dbus.lowlevel.MethodReturnMessage(message))
        elif how != "silent":
            way = ways[how][0 if member == "GetAll" else 1]
            if isinstance(way, str):
                reply = dbus.lowlevel.ErrorMessage(message, way, "you may not know")
            else:
                reply = dbus.lowlevel.MethodReturnMessage(message)
                if way[0]:
                    reply.append(way[1], signature=way[0])
            connection.send_message(reply)
        return 0  # HANDLER_RESULT_HANDLED

    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    connection = dbus.bus.BusConnection(address)
    connection.add_message_filter(on_message)
    connection.request_name(NAME)
    print("answering", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    answer_loop(sys.argv[1], pathlib.Path(sys.argv[2]))
