# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of alerts have in common: a service that comes and goes, alerts, how they fare."""

import json
import os
import socket
import time

from receivers import FdStore

CHECK = "[Check]\nType=tcp\nInterval=200ms\nRetryInterval=100ms\nFailAfter=2\nPassAfter=2\n" \
        "BreakerAfter=0\n{keys}[TCP]\nAddress={path}\n"
WEBHOOK = "[Alert]\nType=webhook\nMerge=200ms\n{keys}[Webhook]\nURL={url}\n{sink}"


class Service:
    """What checks look at: a unix socket that listens, or does not."""

    def __init__(self, path):
        self.path = str(path)
        self.listener = None

    def up(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(4096)
        return self

    def down(self):
        if self.listener:
            self.listener.close()
            os.unlink(self.path)
        self.listener = None


def write_alert(daemon, name, text):
    (daemon.config / "alerts").mkdir(exist_ok=True)
    (daemon.config / "alerts" / f"{name}.alert").write_text(text, encoding="utf-8")


def write_check(daemon, service, name="shop", keys=""):
    daemon.write_check(name, CHECK.format(path=service.path, keys=keys))


def start_and_fail(daemon, service):
    """A start with descriptors kept, and then a failure. Returns the store, to start from anew."""
    daemon.start(notify=True)
    store = FdStore(daemon.notify)
    daemon.wait_status("shop", "healthy")
    service.down()
    return store


def control(daemon, verb, body):
    connection = daemon.connect("unix")
    try:
        connection.request("POST", f"/control/{verb}", body=json.dumps(body))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def alert(daemon, name):
    return next(each for each in daemon.get("/health/alerts").json["alerts"]
                if each["name"] == name)


def said(daemon, text):
    return [line for line in daemon.stderr().splitlines() if text in line]


def stays(what, predicate, seconds=1.5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert predicate(), what
        time.sleep(0.05)
