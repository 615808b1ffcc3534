# SPDX-License-Identifier: LGPL-2.1-or-later
"""Asks a program that only answers when it is asked: what Prometheus does for its exporters."""

import http.client
import threading
import time

KEPT_S = 1  # servers close connections on which nothing is asked for longer


class Scraper:
    """Asks every path once an interval, one after the other, over a connection that is kept.

    An answer must have one of the statuses and hold the text. The first one that does not ends it,
    and the end of the `with` says so.
    """

    def __init__(self, port, paths, interval_s, text, statuses=(200,)):
        self.port, self.paths, self.interval_s = port, paths, interval_s
        self.text, self.statuses = text.encode(), statuses
        self.wrong = None
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.ask_all, daemon=True)

    def ask_all(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        due, pause = time.monotonic(), self.interval_s / len(self.paths)
        while not self.wrong:
            for path in self.paths:
                try:
                    if pause > KEPT_S:
                        connection.close()
                    connection.request("GET", path)
                    response = connection.getresponse()
                    body = response.read()
                except (OSError, http.client.HTTPException) as error:
                    self.wrong = f"{path}: {error}"
                    break
                if response.status not in self.statuses or self.text not in body:
                    self.wrong = f"{path} answers {response.status}: {body[:200]!r}"
                    break
                # A server that is slower than the pace is asked again at once, and not twice.
                due = max(due + pause, time.monotonic())
                if self.ending.wait(max(0, due - time.monotonic())):
                    connection.close()
                    return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        self.ending.set()
        self.thread.join(15)
        if self.wrong and kind is None:
            raise RuntimeError(self.wrong)
