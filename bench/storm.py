# SPDX-License-Identifier: LGPL-2.1-or-later
"""How late the loop is while a thousand checks fail within a second."""

import pathlib
import socket
import tempfile
import time

from alerts import Service
from checks import COUNTER
from measure import Row, print_table
from process import wait_until
from subject import Measured

# So many checks fail within a second, and whoever is told of it hangs.
TRANSITIONS = 1000
LAG_WINDOW_S = 11  # two windows of healthd's own maximum


def loop_lag_ms(daemon):
    """The worst of the last five to ten seconds. One check alone: to render all of them is lag."""
    return daemon.get("/health/checks/counter").json["checks"]["counter"]["details"]["loop_lag_ms"]


def storm_checks(daemon, service, url, alerts):
    daemon.write_check("counter", COUNTER)
    for i in range(TRANSITIONS):
        daemon.write_check(f"check-{i}", "[Check]\nType=tcp\nInterval=1s\nFailAfter=1\n"
                           f"BreakerAfter=0\n[TCP]\nAddress={service.path}\n")
    (daemon.config / "alerts").mkdir()
    for i in range(alerts):
        (daemon.config / f"alerts/ops-{i}.alert").write_text(
            f"[Alert]\nType=webhook\n[Webhook]\nURL={url}\n", encoding="ascii")


def check_storm(daemon, alerts):
    """All have failed, and of each it was remembered or counted that it is to be told."""
    health = daemon.get(timeout=60).json
    if sum(check["status"] == "unhealthy" for check in health["checks"].values()) != TRANSITIONS:
        raise RuntimeError("not all checks have failed")
    for alert in daemon.get("/health/alerts").json["alerts"]:
        # On a busy machine some fail before, or twice.
        if alert["waiting"] > 512 // alerts or alert["waiting"] + alert["dropped"] < TRANSITIONS:
            raise RuntimeError(f"neither remembered nor counted: {alert}")


def measure_storm(alerts):
    """The worst lag of the loop (ms) before 1000 checks fail within a second, and while they do.

    alerts: how many there are, each for a receiver that takes connections and never answers.
    """
    with tempfile.TemporaryDirectory() as directory, \
            socket.create_server(("127.0.0.1", 0), backlog=64) as hanging:
        service = Service(pathlib.Path(directory, "sock")).up()
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}/"
        with Measured(lambda daemon: storm_checks(daemon, service, url, alerts)) as daemon:
            wait_until("all pass", lambda: daemon.get("/health/ready").status == 200, 60, 0.5)
            time.sleep(LAG_WINDOW_S)
            before = loop_lag_ms(daemon)
            service.down()
            time.sleep(4)
            lag = loop_lag_ms(daemon)
            check_storm(daemon, alerts)
        return before, lag


def bench_alerts(scale, _):
    lags = {0: [], 1: [], 20: []}
    before = []
    for _ in range(scale.few_pairs):
        for alerts, rows in lags.items():
            calm, lag = measure_storm(alerts)
            before.append((calm, None))
            rows.append((lag, None))
    print_table(f"{TRANSITIONS} failures in a second, lag of the loop",
                [Row("before them, ms", before),
                 Row("without an alert, ms", lags[0]),
                 Row("one alert whose receiver hangs, ms", lags[1], ("<=", 20)),
                 Row("twenty of them, ms", lags[20], ("<=", 20))])
