# SPDX-License-Identifier: LGPL-2.1-or-later
"""What spares a server that is gone, and whoever reads of it: the breaker and DependsOn=."""

import http.server
import signal
import threading
import time

import pytest

import servers
from acceptor import Acceptor
from process import wait_until

RESET = 1
MAX_RESET = 3


class HangingUp(Acceptor):
    """Counts who comes, and hangs up."""

    def __init__(self):
        self.times = []
        super().__init__()

    def converse(self, connection):
        self.times.append(time.monotonic())


def said(daemon, text):
    return [line for line in daemon.stderr().splitlines() if text in line]


def test_a_server_that_is_gone_is_left_alone(daemon):
    """Counted by the server: five failures, then one connection a wait, which doubles."""
    with HangingUp() as gone:
        daemon.write_check("cache", "[Check]\nType=redis\nInterval=1h\nRetryInterval=100ms\n"
                           f"BreakerAfter=5\nBreakerReset={RESET}s\nBreakerMaxReset={MAX_RESET}s\n"
                           f"FailAfter=5\n[Redis]\nAddress=127.0.0.1:{gone.port}\n")
        daemon.start()
        wait_until("nine connections", lambda: len(gone.times) >= 9, 60)
        # And none comes between: the next one is due after as long again.
        time.sleep(MAX_RESET / 2)
        waits = [after - before for before, after in zip(gone.times, gone.times[1:])]
        assert len(waits) == 8, waits
        assert sum(waits[:4]) < 4 * RESET, waits
        # An instant less: the server's clock begins when it has accepted.
        for wait, least in zip(waits[4:], [RESET, 2 * RESET, MAX_RESET, MAX_RESET]):
            assert wait > least - 0.1, waits
        assert waits[-1] < 2 * MAX_RESET, waits
        cache = daemon.check("cache")
        assert (cache["status"], cache["breaker"]["position"]) == ("unhealthy", "open")
        assert time.time() - 1 < cache["breaker"]["next_attempt"] == cache["next_run"]
        assert len(said(daemon, "the breaker is open")) == 1
    redis = servers.Redis()
    try:
        redis.port = gone.port
        redis.start()
        daemon.wait_for(lambda answer:
                        answer.json["checks"]["cache"]["breaker"] == {"position": "closed"})
        wait_until("the journal", lambda: said(daemon, "the breaker is closed"))
        # Each probe sends one INFO; this one is counted when it has been answered.
        assert "cmdstat_info:calls=1," in redis.cli("INFO", "commandstats")
    finally:
        redis.close()


WATCHED = "[Check]\nType=redis\nInterval=1h\nRetryInterval=100ms\nFailAfter=2\nPassAfter=3\n" \
          "BreakerAfter=2\nBreakerReset=1h\n[Redis]\nAddress=127.0.0.1:{port}\n"


def test_what_holds_the_watchdog_back_is_looked_at_once_more(daemon):
    """A server that is gone is asked one time more, half-way to the kill."""
    with HangingUp() as gone:
        daemon.write_check("cache", WATCHED.format(port=gone.port))
        daemon.start(watchdog_usec=3_000_000)
        wait_until("it is withheld", lambda: said(daemon, "Not feeding the watchdog"))
        assert len(gone.times) == 2
        wait_until("one more", lambda: len(gone.times) == 3)
        fed = daemon.notify.times("WATCHDOG")[-1]
        assert gone.times[-1] - fed > 1.9, "it is spared until then"
        time.sleep(1.5)
        assert len(gone.times) == 3
        assert daemon.check("cache")["breaker"]["position"] == "open"


def test_a_server_that_is_back_while_its_breaker_waits_costs_no_restart(daemon, redis):
    daemon.write_check("cache", WATCHED.format(port=redis.port))
    redis.stop()
    daemon.start(watchdog_usec=9_000_000)
    wait_until("it is withheld", lambda: said(daemon, "Not feeding the watchdog"))
    fed = daemon.notify.times("WATCHDOG")[-1]
    redis.start()
    wait_until("it is fed again", lambda: daemon.notify.times("WATCHDOG")[-1] > fed, 30)
    # Before systemd would have killed it.
    assert daemon.notify.times("WATCHDOG")[-1] - fed < 9
    assert daemon.check("cache")["status"] == "healthy"


@pytest.mark.parametrize("fault", ["kill9", "sigstop"])
def test_an_outage_is_said_once(daemon, nginx, fault):
    """The gateway is asked far less often than the fifty that depend on it."""
    keys = "[Check]\nType=http\nTimeout=1s\nRetryInterval=300ms\nPassAfter=1\n{keys}[HTTP]\n" \
           f"URL=http://127.0.0.1:{nginx.port}/\n"
    daemon.write_check("gateway", keys.format(keys="Interval=1min\nFailAfter=1\n"))
    names = [f"shop{number:02}" for number in range(50)]
    for name in names:
        daemon.write_check(name, keys.format(
            keys="Interval=500ms\nFailAfter=3\nDependsOn=gateway\n"))
    daemon.start()
    daemon.wait_for(lambda answer: answer.json["status"] == "healthy", 30)
    getattr(nginx, fault)()
    daemon.wait_for(lambda answer: all(answer.json["checks"][name]["status"] == "unhealthy"
                                       for name in ["gateway", *names]), 60)
    wait_until("the journal", lambda: len(said(daemon, " is unhealthy")) >= 51)
    told = [line for line in said(daemon, " is unhealthy") if "blocked by gateway" not in line]
    assert len(told) == 1 and "gateway is unhealthy" in told[0], told
    assert len(said(daemon, " is unhealthy, blocked by gateway")) == 50


class InTwoSteps(http.server.BaseHTTPRequestHandler):
    """Sends whoever comes on to another page, after a while."""

    asked = threading.Event()

    def do_GET(self):
        if self.path == "/":
            self.asked.set()
            time.sleep(0.3)
        self.send_response(302 if self.path == "/" else 200)
        self.send_header("Location", "/further")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_while_healthd_does_not_run_nobody_is_late(daemon):
    """What came in the meantime is heard, and there is time to go on."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), InTwoSteps) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        daemon.write_check("shop", "[Check]\nType=http\nInterval=1s\nTimeout=1s\nFailAfter=1\n"
                           "BreakerAfter=0\n[HTTP]\nFollowRedirects=1\n"
                           f"URL=http://127.0.0.1:{server.server_port}/\n")
        daemon.start()
        daemon.wait_status("shop", "healthy")
        for _ in range(3):
            InTwoSteps.asked.clear()
            assert InTwoSteps.asked.wait(10)
            daemon.process.send_signal(signal.SIGSTOP)
            time.sleep(2)
            daemon.process.send_signal(signal.SIGCONT)
            stopped = time.time()
            daemon.wait_for(lambda answer:
                            answer.json["checks"]["shop"]["checked_at"] > stopped)
        assert not said(daemon, "shop is unhealthy")
        server.shutdown()


def test_a_reload_mends_a_check_whose_own_file_was_right(daemon):
    """What was missing was another file."""
    daemon.write_check("shop", "[Check]\nType=application\nInterval=1s\nDependsOn=gateway\n")
    daemon.start()
    assert "there is no check of this name" in daemon.wait_status("shop", "error")["error"]
    daemon.write_check("gateway", "[Check]\nType=application\nInterval=1s\n")
    daemon.reload()
    daemon.wait_status("shop", "healthy")
