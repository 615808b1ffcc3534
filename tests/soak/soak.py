# SPDX-License-Identifier: LGPL-2.1-or-later
"""healthd with many checks for a long time, among servers that fail at random; see run().

usage: soak.py [--minutes=N] [--checks=N] [--seed=N]    (environment: as the integration tests)
"""

import argparse
import collections
import heapq
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import steady_client
import targets
import yardstick
from healthd import Healthd
from oracle import HEALTHY, REMEMBERED, Machine, Rule
from process import wait_until

REQUESTS_PER_SECOND = 100
PAUSE = 0.5  # between two looks at everything


class Pace:
    """Intervals and how long faults last: quick for a test, lifelike for a soak."""

    def __init__(self, seconds, n_checks):
        short = n_checks <= 200
        self.seconds = seconds
        self.intervals = [0.5, 1] if short else [1, 2, 3, 5]
        self.timeouts = [1] if short else [2]
        self.retries = [0.2, 0.5] if short else [0.5, 1]
        self.results = [1, 2] if short else [1, 2, 3]
        self.breaker = 1 if short else 4
        self.reload_every = 3 if short else 10
        self.calm_every = 3600 if short else min(300, seconds / 8)
        self.warm_up = 5 if short else min(60, seconds / 5)
        self.blip = (0.2, 3)
        self.fault = (4, 9) if short else (15, 40)
        self.rest = (3, 8) if short else (20, 60)

    def settings(self, rng, counted):
        retry, interval = rng.choice(self.retries), rng.choice(self.intervals)
        breaker = rng.random() < 0.4
        return {"interval": interval, "retry": min(retry, interval),
                "timeout": rng.choice(self.timeouts), "fail_after": rng.choice(self.results),
                "pass_after": rng.choice(self.results), "breaker": self.breaker * breaker,
                "counted": counted}


class SoakCheck:
    """One check: its file, and what it promises."""

    def __init__(self, name, rule, kind, conditions, section):
        self.name = name
        self.rule = rule
        self.kind = kind
        self.conditions = conditions
        self.section = section
        self.required = kind not in ("exec", "file")

    def text(self):
        s = self.rule.settings
        breaker = (f"BreakerAfter=5\nBreakerReset=1s\nBreakerMaxReset={s['breaker']}s\n"
                   if s["breaker"] else "BreakerAfter=0\n")
        return (f"[Check]\nType={self.kind}\nInterval={s['interval'] * 1000:.0f}ms\n"
                f"RetryInterval={s['retry'] * 1000:.0f}ms\nTimeout={s['timeout']}s\n"
                f"FailAfter={s['fail_after']}\nPassAfter={s['pass_after']}\n"
                f"Required={'yes' if self.required else 'no'}\nGroups={self.kind}\n"
                f"{breaker}{self.conditions}{self.section}")


class Faults:
    """Breaks and mends targets at random moments; those in one queue one after the other."""

    def __init__(self, pace, seed, queue, problems):
        self.pace = pace
        self.rng = random.Random(seed)
        self.problems = problems
        self.lock = threading.Lock()  # held while something is done
        self.stopped = threading.Event()
        self.calm = False
        self.broken = set()
        self.queue = [(time.monotonic() + self.rng.uniform(0, pace.rest[1]), i, target)
                      for i, target in enumerate(queue)]
        heapq.heapify(self.queue)
        self.count = collections.Counter()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self):
        try:
            while not self.stopped.wait(0.02):
                with self.lock:
                    self.step()
        except Exception:  # whatever it is ends the soak
            self.problems.append("injecting faults failed:\n" + traceback.format_exc())

    def step(self):
        due, number, target = self.queue[0]
        if self.calm or time.monotonic() < due:
            return
        heapq.heappop(self.queue)
        if target in self.broken:
            self.mend(target)
            pause = self.rng.uniform(*self.pace.rest)
        else:
            target.break_it(self.rng)
            self.broken.add(target)
            self.count[type(target).__name__] += 1
            pause = self.rng.uniform(*(self.pace.blip if self.rng.random() < 0.3
                                       else self.pace.fault))
        heapq.heappush(self.queue, (time.monotonic() + pause, number, target))

    def mend(self, target):
        target.mend()
        self.broken.discard(target)

    def mend_all(self):
        """And nothing new until calm is False again."""
        with self.lock:
            self.calm = True
            for target in list(self.broken):
                self.mend(target)

    def stop(self):
        self.stopped.set()
        self.thread.join()


class World:
    """The servers, the checks of them, and the daemon."""

    def __init__(self, pace, n_checks, seed):
        self.pace = pace
        self.rng = random.Random(seed)
        self.daemon = Healthd()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="healthd-soak-"))
        self.machine = Machine()
        self.servers, self.slots, self.heartbeats = [], [], []
        self.checks = {}
        self.start_servers(4 if n_checks > 200 else 2)
        for number in range(n_checks):
            self.add(number)

    def start_servers(self, n_redis):
        makers = [targets.RedisTarget] * n_redis + [targets.PostgresTarget, targets.NginxTarget,
                                                    targets.DnsTarget, targets.LiarTarget]
        for make in makers:
            self.servers.append(make())
        self.liar = self.servers[-1]

    def add(self, number):
        name = f"c{number:04}"
        share = number % 100
        server = slot = None
        if share < 6:
            slot = targets.ExecSlot(self.directory, number)
            described = slot.check()
        elif share < 12:
            slot = targets.FileSlot(self.directory, number)
            described = slot.check()
        elif share < 17:
            slot = targets.HeartbeatSlot(self.daemon, name)
            self.heartbeats.append(slot)
            described = slot.check()
        elif share < 50:
            server = self.liar
            slot, *described = server.slot(self.rng)
        else:
            # PostgreSQL forks for each connection: it gets fewer checks than its share.
            weights = [8 if isinstance(s, targets.RedisTarget) else 5 for s in self.servers[:-1]]
            server = self.rng.choices(self.servers[:-1], weights)[0]
            *described, valued = server.check(self.rng)
            own = server.value if valued else targets.Source("nothing else")
        if slot:
            own = slot.source
            self.slots.append(slot)
        counted = described[0] != "heartbeat"
        rule = Rule(own, server.source if server else None, self.pace.settings(self.rng, counted),
                    self.machine)
        self.checks[name] = SoakCheck(name, rule, *described)

    def write(self, check):
        self.daemon.write_check(check.name, check.text())

    def start(self):
        for check in self.checks.values():
            self.write(check)
        begin = time.monotonic()
        self.daemon.start()
        for slot in self.heartbeats:
            slot.beat()
        for check in self.checks.values():
            check.rule.born = (begin, time.monotonic())

    def forget(self):
        before = time.monotonic() - REMEMBERED - 60
        for source in [s.source for s in self.servers + self.slots] + \
                [s.value for s in self.servers]:
            source.forget(before)
        self.machine.forget(before)

    def pids(self):
        processes = [self.daemon.process] + [server.server.process for server in self.servers]
        return [process.pid for process in processes]

    def close(self):
        try:
            self.daemon.close()
        finally:
            for server in self.servers:
                server.close()
            subprocess.run(["rm", "-rf", str(self.directory)], check=False)


class Usage:
    """What the process takes, at quiet moments, when each must be as it was."""

    def __init__(self, pid, seconds):
        self.pid = pid
        self.long = seconds >= 1800
        self.quiet = []

    def status(self, field):
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(field + ":"))

    def note(self, seconds=4):
        """The least of a few looks: probes under way come and go."""
        looks = []
        for _ in range(seconds * 10):
            looks.append((self.status("RssAnon"), len(os.listdir(f"/proc/{self.pid}/fd")),
                          self.status("Threads")))
            time.sleep(0.1)
        self.quiet.append(tuple(min(column) for column in zip(*looks)))

    def problems(self, sanitized):
        kib, descriptors, threads = zip(*self.quiet)
        found = []
        # What is made once is made early: the last third is compared with the one before. In five
        # minutes "early" is not over: 1000 checks have 21 MiB in the first, 25 after a quarter.
        half = kib[len(kib) // 3:len(kib) * 2 // 3] or kib
        allowed = 1.05 if self.long else 1.25 if len(kib) > 5 else 1.5
        if not sanitized and statistics.median(kib[-len(half):]) > \
                statistics.median(half) * allowed + 1024:
            found.append(f"memory grows, KiB at quiet moments: {kib}")
        if descriptors[-1] > descriptors[0] + 3:
            found.append(f"descriptors grow, at quiet moments: {descriptors}")
        # The threads of the resolver come when they are needed, and stay.
        if threads[-1] > max(threads[:-1] + (18,)):
            found.append(f"threads grow, at quiet moments: {threads}")
        return found


class Soak:
    def __init__(self, seconds, n_checks, seed, hidden_fault=False):
        self.pace = Pace(seconds, n_checks)
        self.seed = seed
        self.hidden_fault = hidden_fault
        self.problems = []
        self.judged = self.strict = self.reloads = 0
        self.rng = random.Random(seed + 1)
        self.world = World(self.pace, n_checks, seed)
        self.faults = [Faults(self.pace, seed + 2 + i, [server], self.problems)
                       for i, server in enumerate(self.world.servers)]
        self.faults.append(Faults(self.pace, seed + 100, self.world.slots, self.problems))
        self.usage = self.client = None
        self.ended = threading.Event()
        self.beside = []
        self.absent = None  # a check whose file is away

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def start_client(self):
        names = list(self.world.checks)[1:]  # the first comes and goes
        paths = ["/health/live", "/health/ready", "/metrics", "/health", "/health/groups/http",
                 *[f"/health/checks/{name}" for name in self.rng.sample(names, 8)],
                 *[f"/health/history?check={name}" for name in self.rng.sample(names, 2)]]
        self.client = subprocess.Popen(  # pylint: disable=consider-using-with
            [sys.executable, steady_client.__file__, str(REQUESTS_PER_SECOND / 2),
             ",".join(paths), self.world.daemon.socket, f"127.0.0.1:{self.world.daemon.port}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def judge_client(self):
        output, _ = self.client.communicate("stop\n", timeout=60)
        told = json.loads(output)
        self.say(f"{told['requests']} requests, {told['per_second']:.0f} a second, "
                 f"{told['failed']} lost, the slowest {told['worst_ms']:.0f} ms")
        if told["failed"]:
            self.problems.append(f"{told['failed']} requests lost: {told['errors']}")
        if told["per_second"] < REQUESTS_PER_SECOND * 0.8:
            self.problems.append(f"only {told['per_second']:.0f} requests a second were asked")

    def look(self):
        """Asks for everything and compares it with the truth."""
        machine = self.world.machine
        asked = time.monotonic()
        answer = self.world.daemon.get("/health", via="unix", timeout=30)
        answered = time.monotonic()
        wait_until("it is known how this machine was", lambda: machine.known > answered, 60)
        said = answer.json["checks"]
        expected = set(self.world.checks) - {self.absent}
        if set(said) != expected:
            self.problems.append(f"checks too many or missing: {set(said) ^ expected}")
        for name in expected & set(said):
            self.judge(self.world.checks[name], said[name], asked, answered)
        self.judge_overall(answer)

    def judge(self, check, said, asked, answered):
        allowed = check.rule.allowed(asked, answered)
        self.judged += 1
        self.strict += len(allowed) == 1
        if said["status"] not in allowed and len(self.problems) < 20:
            now = time.monotonic()
            sources = [check.rule.own] + ([check.rule.server] if check.rule.server else [])
            truth = {source.name: [(round(a - now, 2), round(b - now, 2), state)
                                   for a, b, state in source.log[-5:]] for source in sources}
            self.problems.append(
                f"{check.name} ({check.kind}) is {said['status']}, must be {sorted(allowed)}\n"
                f"  truth, seconds from now: {truth}\n  {check.rule.settings}, loaded "
                f"{check.rule.born[1] - now:.1f} s\n  {json.dumps(said)[:600]}")

    def judge_overall(self, answer):
        """What the statuses of the very same answer come to, unless it was made in pieces."""
        if answer.headers.get("transfer-encoding") == "chunked":
            return
        bad = {name for name, check in answer.json["checks"].items()
               if check["status"] not in ("healthy", "degraded")}
        required = any(self.world.checks[name].required for name in bad)
        degraded = bad or any(check["status"] == "degraded"
                              for check in answer.json["checks"].values())
        status = "unhealthy" if required else "degraded" if degraded else "healthy"
        if (answer.json["status"], answer.status) != (status, 503 if required else 200):
            self.problems.append(f"the host is {answer.json['status']} ({answer.status}) where "
                                 f"its checks make it {status}")

    def control_reload(self):
        connection = self.world.daemon.connect("unix", 30)
        connection.request("POST", "/control/reload")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    def reload(self):
        self.reloads += 1
        world = self.world
        kind = self.rng.choice(["same", "signal", "changed", "changed", "broken"])
        if kind == "signal":
            world.daemon.reload()
            return
        changed = []
        if kind == "changed":
            candidates = [check for check in list(world.checks.values())[1:]
                          if check.kind != "heartbeat"]
            changed = self.rng.sample(candidates, len(candidates) // 50 + 1)
            changed += self.come_and_go(list(world.checks.values())[0])
        elif kind == "broken":
            world.daemon.write_check("broken", "[Check]\nType=tcp\nInterval=soon\n")
        begin = time.monotonic()
        for check in changed:
            before = check.rule.settings
            # What is the same as before would go on as if nothing had happened.
            while check.rule.settings == before:
                check.rule.settings = self.pace.settings(self.rng, before["counted"])
            world.write(check)
        status = self.control_reload()
        for check in changed:
            check.rule.born = (begin, time.monotonic())
        if kind == "broken":
            world.daemon.remove_check("broken")
        if status != (409 if kind == "broken" else 200):
            self.problems.append(f"a reload ({kind}) was answered with {status}:\n"
                                 f"{world.daemon.stderr()[-2000:]}")

    def come_and_go(self, check):
        """Takes a check's file away, or gives it back. Returns a list of what is new."""
        if self.absent:
            self.absent = None
            return [check]
        self.world.daemon.remove_check(check.name)
        self.absent = check.name
        return []

    def calm_down(self):
        """All is mended, all is well: how much does it take now?"""
        for faults in self.faults:
            faults.mend_all()
        self.world.forget()

        def well():
            time.sleep(PAUSE)
            self.look()
            answer = self.world.daemon.get("/health", via="unix", timeout=30)
            return all(check["status"] == HEALTHY for check in answer.json["checks"].values())
        wait_until("all checks are healthy when all is mended", well, 120, 0.3)
        self.usage.note()
        self.say(f"{self.judged} statuses judged, {self.reloads} reloads; quiet: "
                 "%d KiB, %d descriptors, %d threads" % self.usage.quiet[-1])
        for faults in self.faults:
            faults.calm = False

    def watch_machine(self):
        """What this machine lets programs wait, above all those that have to do with the checks."""
        try:
            self.listen_to_yardstick()
        except Exception:
            self.problems.append("measuring this machine failed:\n" + traceback.format_exc())

    def listen_to_yardstick(self):
        with subprocess.Popen([sys.executable, yardstick.__file__], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as measuring:
            told = None
            for line in measuring.stdout:
                if self.ended.is_set():
                    measuring.stdin.close()
                    break
                self.world.machine.note(*map(float, line.split()))
                pids = self.world.pids()
                if pids != told:
                    told = pids
                    print(*pids, file=measuring.stdin, flush=True)

    def beat(self):
        """The jobs that call in, on time whatever else goes on."""
        try:
            while not self.ended.wait(0.05):
                for slot in self.world.heartbeats:
                    with self.faults[-1].lock:
                        if not slot.silent and time.monotonic() >= slot.due:
                            slot.beat()
        except Exception:
            self.problems.append("calling in failed:\n" + traceback.format_exc())

    def hide_a_fault(self):
        """One that the oracle is not told: it must be noticed, or the oracle is blind."""
        self.world.liar.server.sigstop()

    def steady(self, seconds):
        """The faults, the requests and the looks, until the time is up or something is wrong."""
        end = time.monotonic() + seconds
        next_reload = time.monotonic() + self.pace.reload_every
        next_calm = time.monotonic() + self.pace.calm_every
        while time.monotonic() < end and not self.problems:
            self.look()
            if time.monotonic() > next_reload:
                next_reload += self.pace.reload_every
                self.reload()
            if time.monotonic() > next_calm:
                self.calm_down()
                next_calm = time.monotonic() + self.pace.calm_every
            time.sleep(PAUSE)

    def soak(self):
        world = self.world
        world.start()
        self.usage = Usage(world.daemon.process.pid, self.pace.seconds)
        for work in (self.beat, self.watch_machine):
            self.beside.append(threading.Thread(target=work, daemon=True))
            self.beside[-1].start()
        self.start_client()
        self.steady(self.pace.warm_up)
        self.calm_down()
        if self.hidden_fault:
            self.hide_a_fault()
        else:
            for faults in self.faults:
                faults.thread.start()
        self.steady(self.pace.seconds - self.pace.warm_up)
        if not self.problems:
            self.calm_down()
            self.problems += self.usage.problems("asan" in os.environ["HEALTHD_BINARY"])
        self.judge_client()

    def close(self):
        self.ended.set()
        for faults in self.faults:
            faults.stopped.set()
        for thread in self.beside + [faults.thread for faults in self.faults]:
            if thread.is_alive():
                thread.join(30)
        if self.client and self.client.poll() is None:
            self.client.kill()
        for server in self.world.servers:
            if server.server.process:
                server.server.sigcont()
        self.world.close()


def run(seconds, n_checks, seed, hidden_fault=False):
    """Returns what was wrong (an empty list: nothing) and the Soak with its counts."""
    soak = Soak(seconds, n_checks, seed, hidden_fault)
    try:
        soak.soak()
    except Exception:
        soak.problems.append(traceback.format_exc())
    finally:
        soak.close()
    return soak.problems, soak


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(";")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--checks", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    options = parser.parse_args()
    print(f"seed {options.seed}", file=sys.stderr, flush=True)
    problems, soak = run(options.minutes * 60, options.checks, options.seed)
    for problem in problems:
        print(problem)
    print(f"{soak.judged} statuses judged, {soak.strict} of them with one right answer; "
          f"{sum((faults.count for faults in soak.faults), collections.Counter())}; "
          f"this machine let programs wait {soak.world.machine.longest:.2f} s at most")
    if problems:
        print(f"failed with seed {options.seed}: ./dev soak {options.minutes:g} {options.seed}")
    print(f"{not problems:d} passed, {bool(problems):d} failed, 0 skipped")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
