# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every call in turn fails: while healthd starts, while it works, while it reloads.

Whatever fails, healthd ends with a sentence or goes on; it neither crashes, hangs nor spins, it
never calls healthy what is not, and it is well again once the fault is over.
"""

import errno
import os
import signal
import time

import pytest

import servers
from faults import CALLS, Faults
from process import free_port, wait_until

# How many of the calls of a kind fail in turn; all of them are a matter of an hour.
MOST = int(os.environ.get("HEALTHD_TEST_FAULTS", "16"))
# Of ours: no verdict on a server.
SHORTAGES = (errno.EMFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC)
# A second: how often the loop waits, and the call that fails is tried again. Some 700 when nothing
# fails. Not in CPU time, of which a busy machine gives a loop that spins little, and takes much for
# one that does not; such a machine can only lower this, and a loop that spins is at 100 000 and more.
TURNS_MAX = 5000
# How glibc ends a program that it has no memory for: the dynamic linker, before main() or for what a
# library that is loaded has for each thread; and who reads nsswitch.conf.
GLIBC_ENDS = {127: "cannot allocate memory for thread-local data: ABORT",
              -signal.SIGABRT: "nss_database_reload_1: Assertion `ret > 0' failed"}
COMMON = ("[Check]\nType={}\nInterval=100ms\nRetryInterval=100ms\nTimeout=2s\nFailAfter=1\n"
          "PassAfter=1\nBreakerAfter=0\n")


@pytest.fixture(scope="module", name="peers")
def running_peers():
    peers = [servers.Nginx(), servers.Redis(), servers.Postgres()]
    try:
        yield [peer.start() for peer in peers]
    finally:
        for peer in peers:
            peer.close()


@pytest.fixture(name="faults")
def shared_faults(daemon):
    faults = Faults(daemon.directory)
    yield faults
    faults.close()


def write_checks(daemon, peers):
    """What each check must say in the end; a check of the name down has nobody to ask."""
    nginx, redis, postgres = peers
    down = free_port()
    checks = {
        "http": ("http", f"[HTTP]\nURL=http://127.0.0.1:{nginx.port}/\n"),
        "name": ("http", f"[HTTP]\nURL=http://localhost:{nginx.port}/\nConnection=persistent\n"),
        "redis": ("redis", f"[Redis]\nAddress=127.0.0.1:{redis.port}\n"),
        "kept": ("redis", f"[Redis]\nAddress={redis.socket}\nConnection=persistent\n"),
        "postgresql": ("postgresql", "[PostgreSQL]\nConnectionString=host=127.0.0.1 "
                                     f"port={postgres.port} user=postgres dbname=postgres\n"),
        "exec": ("exec", "[Exec]\nCommand=/bin/sh -c \"echo OK\"\n"),
        "self": ("application", ""),
        "down-tcp": ("tcp", f"[TCP]\nAddress=127.0.0.1:{down}\n"),
        "down-redis": ("redis", f"[Redis]\nAddress=127.0.0.1:{down}\n"),
        "down-rabbitmq": ("queue", f"[Queue]\nBackend=rabbitmq-http\nAddress=127.0.0.1:{down}\n"
                                   "Queue=q\nUsername=u\nPassword=p\n"),
        "down-exec": ("exec", "[Exec]\nCommand=/bin/sh -c \"exit 2\"\n"),
    }
    for name, (kind, section) in checks.items():
        daemon.write_check(name, COMMON.format(kind) + section)
    return list(checks)


def is_true(name, check):
    return check["status"] == ("unhealthy" if name.startswith("down") else "healthy")


def look(daemon, timeout=2):
    """What /health says of the checks; None if nobody answers. Nothing false in it."""
    try:
        checks = daemon.get("/health", timeout=timeout).json["checks"]
    except (OSError, TypeError, ValueError):
        return None
    for name, check in checks.items():
        assert not name.startswith("down") or check["status"] != "healthy", (name, check)
    return checks


def wait_well(daemon, what, names, timeout=20):
    """Until every check says what is true, of a result that came after now."""
    begin = time.time()
    last = None

    def well():
        nonlocal last
        assert daemon.process.poll() is None, f"{what}: it ended:\n{daemon.stderr()}"
        last = look(daemon)
        return last and set(last) == set(names) and all(
            is_true(name, check) and (check["checked_at"] or 0) > begin
            for name, check in last.items())
    try:
        wait_until(f"{what}: every check says what is true", well, timeout)
    except TimeoutError as error:
        wrong = {name: check for name, check in (last or {}).items()
                 if not is_true(name, check) or (check["checked_at"] or 0) <= begin}
        raise AssertionError(f"{error}; wrong: {wrong}\n{daemon.stderr()}") from error


def begin(daemon, faults, **options):
    daemon.expected_statuses = (0, 1)
    daemon.start(env=faults.environment(), wait=False, **options)


def turns(count):
    """Which of so many calls: all of them, or some, spread."""
    most = min(count, MOST)
    return sorted({1 + i * count // most for i in range(most)})


def test_a_server_is_not_accused_of_what_healthd_cannot_watch(daemon, faults, peers):
    """At once, too, and not at the deadline."""
    daemon.write_check("web", "[Check]\nType=http\nInterval=2s\nRetryInterval=2s\nTimeout=30s\n"
                       f"FailAfter=1\n[HTTP]\nURL=http://127.0.0.1:{peers[0].port}/\n")
    begin(daemon, faults)
    daemon.wait_listening()
    daemon.wait_status("web", "healthy")
    # Nobody is answered meanwhile.
    faults.arm("epoll_ctl", errno.ENOSPC)
    said = "healthd cannot watch the connection: No space left on device"
    wait_until("it is said", lambda: said in daemon.stderr(), 30)
    faults.disarm()
    results = daemon.get("/health/history?check=web").json["samples"]
    assert {result["status"] for result in results} == {"healthy", "error"}
    assert max(result["duration_ms"] for result in results) < 3000
    daemon.wait_status("web", "healthy")

@pytest.mark.parametrize("call", CALLS)
def test_while_it_starts(daemon, faults, peers, call):
    names = write_checks(daemon, peers)
    faults.arm(call, first=1, count=0)
    begin(daemon, faults)
    daemon.wait_listening()
    wait_well(daemon, "nothing fails", names)
    count = faults.seen
    daemon.terminate()
    assert count > 0 or call == "write", "it is never called"
    ends = glibc_ends = 0
    for n in turns(count):
        for error in CALLS[call]:
            what = f"{call} {n} of {count} fails with {errno.errorcode[error]}"
            daemon.stderr_path.unlink()
            faults.arm(call, error, n, 1)
            begin(daemon, faults)
            wait_until(what, lambda: daemon.process.poll() is not None or look(daemon), 20)
            if daemon.process.poll() is None:
                # A file that could not be read is named, and the next reload tries it again. The
                # journal's thread may be late. Memory is not the file's: then none is accused.
                if call != "malloc" and "cannot be read" in daemon.stderr() + str(look(daemon)):
                    daemon.reload()
                wait_well(daemon, what, names)
            if call == "malloc" and daemon.process.poll() in GLIBC_ENDS:
                assert GLIBC_ENDS[daemon.process.returncode] in daemon.stderr(), \
                    (what, daemon.stderr())
                glibc_ends += 1
                continue
            daemon.terminate()
            if daemon.process.returncode != 0:
                ends += 1
                assert "Cannot start: " in daemon.stderr() or "Out of memory" in daemon.stderr() \
                    or "The event loop failed: " in daemon.stderr(), (what, daemon.stderr())
    print(f"{call}: {count} calls, {len(turns(count))} failed in turn, {ends} ends with a sentence, "
          f"{glibc_ends} by glibc")


@pytest.mark.parametrize("call", CALLS)
def test_while_it_works(daemon, faults, peers, call):
    names = write_checks(daemon, peers)
    begin(daemon, faults)
    daemon.wait_listening()
    wait_well(daemon, "nothing fails", names)
    for error in CALLS[call]:
        # One in a row of calls, each time another one.
        for n in turns(200):
            faults.arm(call, error, n, 1)
            deadline = time.monotonic() + 0.2
            while not faults.failed and time.monotonic() < deadline and daemon.process.poll() is None:
                look(daemon)
        what = f"{call} fails with {errno.errorcode[error]}"
        # All of them, for a while; but these two are no state that lasts.
        if daemon.process.poll() is None and error not in (errno.EINTR, errno.ECONNABORTED):
            faults.disarm()
            wait_well(daemon, f"one {what}", names)
            waits = faults.waits
            faults.arm(call, error)
            start = time.monotonic()
            while time.monotonic() < start + 1 and daemon.process.poll() is None:
                checks = look(daemon, timeout=0.2) or {}
                time.sleep(0.02)  # to be asked all the time takes time, too
                for name in ("redis", "kept") if error in SHORTAGES else ():
                    assert checks.get(name, {}).get("status") != "unhealthy", (what, checks[name])
            waits = faults.waits - waits
            taken = time.monotonic() - start
            assert (waits + faults.seen) / taken < TURNS_MAX, \
                f"{what}: it spins: in {taken:.1f} s {waits} waits and {faults.seen} calls"
            faults.disarm()
        if daemon.process.poll() is not None:
            assert daemon.process.returncode == 1 and "failed: " in daemon.stderr(), \
                (what, daemon.process.returncode, daemon.stderr())
            print(f"{what}: {daemon.stderr().splitlines()[-1]}")
            begin(daemon, faults)
            daemon.wait_listening()
        wait_well(daemon, what, names)
    faults.disarm()
    daemon.terminate()


def test_a_reload_for_which_memory_is_short_changes_nothing(daemon, faults, peers):
    """Or all of it is done: nothing in between."""
    both = write_checks(daemon, peers)
    new = [name for name in both if name != "http"] + ["other"]
    section = (daemon.config / "checks" / "http.check").read_text(encoding="utf-8")
    guarded = section.replace("[HTTP]", "Guards={}.service\n[HTTP]")
    daemon.write_check("http", guarded.format("orders"))
    begin(daemon, faults, notify=True)
    daemon.wait_listening()
    wait_well(daemon, "nothing fails", both)
    outcomes = {"Reload refused": 0, "Reloaded: ": 0}
    names, wanted = both, new

    def said():
        return sum(daemon.stderr().count(text) for text in outcomes)

    def reload(what, first, count):
        before = said()
        for name in ("http", "other"):
            (daemon.config / "checks" / f"{name}.check").unlink(missing_ok=True)
        name = "http" if "http" in wanted else "other"
        daemon.write_check(name, guarded.format(f"unit-{time.monotonic_ns()}"))
        faults.arm("malloc", errno.ENOMEM, first, count)
        daemon.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 2
        while said() == before and time.monotonic() < end:
            time.sleep(0.01)
        seen = faults.seen
        faults.disarm()
        if said() == before:
            # There was no memory for the sentence.
            return set(look(daemon)) == set(wanted), seen
        last = [text for line in daemon.stderr().splitlines() for text in outcomes if text in line]
        outcomes[last[-1]] += 1
        refused = last[-1] == "Reload refused"
        wait_until(f"{what}: the status line says {last[-1]}",
                   lambda: ("reload refused" in daemon.notify.last("STATUS")) == refused, 20)
        return last[-1] == "Reloaded: ", seen

    done, calls = reload("nothing fails", 1, 0)
    assert done
    names, wanted = wanted, names
    for n in turns(calls * 2) if MOST < calls else range(1, calls + 1):
        what = f"malloc {n} of about {calls} of a reload fails"
        done, _ = reload(what, n, 1)
        if done:
            names, wanted = wanted, names
        wait_well(daemon, what, names, 10)
    print(outcomes)
    daemon.terminate()
