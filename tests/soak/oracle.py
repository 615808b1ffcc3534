# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a check may say at a moment, from what was done to the servers and nothing else.

A Source is one thing that can go wrong and what is true of it; a Rule has the settings of a check
and its sources. Rule.allowed(asked, answered) is the set of statuses that are right for an answer
which was made somewhere between those two moments. Times are of time.monotonic().
"""

import contextlib
import time

HEALTHY, DEGRADED, UNHEALTHY, ERROR, UNKNOWN = "healthy", "degraded", "unhealthy", "error", "unknown"
PASSING = {HEALTHY, DEGRADED}

# healthd shortens an interval by at most five per cent.
JITTER = 0.05
# A first run begins within a second.
SPLAY = 1.0
# A probe may be this late by healthd's own doing: its loop makes a whole /metrics or loads a thousand
# checks in that time.
OWN = 0.1
# And by what this machine took for such a thing at that time (see Machine), this many times over: two
# programs do not meet the same delays.
FACTOR = 2
# How long the truth is remembered: longer than any status takes.
REMEMBERED = 300


class Source:
    """The truth about one thing, in the order of time."""

    def __init__(self, name, state=HEALTHY):
        self.name = name
        # (begin, end, state): until begin what was before, from end on state, between them either.
        self.log = [(0.0, 0.0, state)]

    @property
    def state(self):
        return self.log[-1][2]

    @contextlib.contextmanager
    def becoming(self, state):
        """Something is done now that makes it so; until it is done, either may be true."""
        begin = time.monotonic()
        self.log.append((begin, float("inf"), state))
        yield
        self.log[-1] = (begin, time.monotonic(), state)

    def set(self, state, at=None):
        at = at or time.monotonic()
        self.log.append((at, at, state))

    def possible(self, begin, end):
        """What may have been true at some moment of that time."""
        states = set()
        log = self.log
        for i, (starts, _, state) in enumerate(log):
            ends = log[i + 1][1] if i + 1 < len(log) else float("inf")
            if starts <= end and ends >= begin:
                states.add(state)
        return states

    def forget(self, before):
        while len(self.log) > 1 and self.log[1][1] < before:
            self.log.pop(0)


class Machine:
    """How long programs waited for their turn here, by seconds, from what yardstick.py says."""

    def __init__(self):
        self.worst = {}
        self.known = 0.0
        self.longest = 0.0

    def note(self, begin, end, waited):
        for second in range(int(begin), int(end) + 1):
            self.worst[second] = max(self.worst.get(second, 0), waited)
        self.known = end
        self.longest = max(self.longest, waited)

    def waited(self, begin, end):
        return max(self.worst.get(second, 0) for second in range(int(begin), int(end) + 1))

    def forget(self, before):
        for second in [second for second in list(self.worst) if second < before]:
            del self.worst[second]


class Rule:
    """The promises of one check. server: a Source that hides the others while it fails, or None."""

    def __init__(self, own, server, settings, machine):
        self.own = own
        self.server = server
        self.settings = settings  # interval timeout retry fail_after pass_after breaker counted
        self.machine = machine
        self.born = (0.0, 0.0)  # when it was last loaded anew

    def truth(self, begin, end):
        begin = max(begin, self.born[0])
        states = self.own.possible(begin, end)
        if self.server:
            server = self.server.possible(begin, end)
            if server == {UNHEALTHY}:
                states = {UNHEALTHY}
            else:
                states |= server - {HEALTHY}
        # Where half of its time goes by with waiting, a time-out is nobody's fault.
        if FACTOR * self.machine.waited(begin, end) >= self.settings["timeout"] / 2:
            states |= {UNHEALTHY, ERROR}
        return states

    def late(self, moment, within, results):
        """How much later so many results may be that are promised within that time."""
        return results * (OWN + FACTOR * self.machine.waited(moment - 2 * within, moment))

    def first_verdict(self, asked):
        """How long it may take from loading until something is known."""
        s = self.settings
        promised = SPLAY + s["timeout"] + (s["fail_after"] - 1) * max(s["retry"], s["timeout"])
        return promised + self.late(asked, promised, s["fail_after"])

    def settles_within(self, state, asked):
        """How long, at the worst, until a state that stays is the status, whatever was before."""
        s = self.settings
        pause = max(s["interval"], s["timeout"])
        results = s["pass_after"] if state == HEALTHY else max(s["fail_after"], s["pass_after"])
        promised = (s["breaker"] * (1 + JITTER) + pause + (results - 1) * pause + s["timeout"])
        return promised + self.late(asked, promised, results + 1)

    def fails_within(self, asked):
        """The same for a failure after nothing but success: it is looked at more often."""
        s = self.settings
        promised = (s["interval"] + s["timeout"] +
                    (s["fail_after"] - 1) * max(s["retry"], s["timeout"]))
        return promised + self.late(asked, promised, s["fail_after"] + 1)

    def soonest(self, state, asked):
        """How long at least it must have been true before it can be the status."""
        s = self.settings
        if not s["counted"]:
            return 0
        # A result that counts first may be of a probe that began this much before.
        before = self.late(asked, self.settles_within(state, asked), 1)
        if state == HEALTHY:
            # Or it had been waiting for the server to go on.
            return (s["pass_after"] - 1) * s["interval"] * (1 - JITTER) - s["timeout"] - before
        return (s["fail_after"] - 1) * min(s["retry"], s["interval"]) * (1 - JITTER) - before

    def remembered(self, asked):
        """How far back what was true may still matter: to where it had long been the same."""
        longest = self.settles_within(HEALTHY, asked) + self.settles_within(UNHEALTHY, asked)
        back = longest
        while back + longest < REMEMBERED and asked - back > self.born[0] and \
                len(self.truth(asked - back - longest, asked - back)) > 1:
            back += longest / 4
        return asked - back

    def settled(self, asked, answered, states):
        """What it must be by now, if that is one thing; else all that it may be."""
        now = self.truth(answered, answered)
        if len(now) > 1:
            return states
        state, = now
        if self.truth(asked - self.settles_within(state, asked), answered) == now:
            return now
        if state == UNHEALTHY and states <= {HEALTHY, UNHEALTHY} and \
                self.truth(asked - self.fails_within(asked), answered) == now:
            return now
        return states

    def allowed(self, asked, answered):
        since = self.remembered(asked)
        states = self.truth(since, answered)
        kinds = states - {HEALTHY}
        states = self.settled(asked, answered, states)
        # Failures of different kinds count together; which comes when is not judged.
        if len(kinds) <= 1 and self.born[1] < since:
            states = {state for state in states if self.soonest(state, asked) <= 0 or
                      state in self.truth(since, answered - self.soonest(state, asked))}
        if asked < self.born[1] + self.first_verdict(asked):
            states = states | {UNKNOWN}
        return states
