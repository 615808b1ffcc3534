# SPDX-License-Identifier: LGPL-2.1-or-later
"""Asks at a steady rate and prints a summary as JSON. Takes orders on standard input.

usage: steady_client.py RATE PATH[,PATH...] ADDRESS...
       (ADDRESS: /SOCKET or HOST:PORT; RATE is for each; of several paths one at random)

Every request is a new connection and begins on time, whatever became of the ones before it: a
server that hangs for a second meets all the requests of that second.

    kill PID   SIGKILL, at a moment when no answer is under way: what a server had begun to answer
               when it was killed is lost, and nobody could help that
    kill-now PID
               SIGKILL, at a random moment
    stop       the end
"""

import asyncio
import json
import os
import random
import signal
import socket
import sys
import threading
import time


def connect(address):
    """Connecting waits for nothing here: the kernel completes it, whatever the server does."""
    if address.startswith("/"):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(address)
    else:
        host, port = address.rsplit(":", 1)
        client = socket.create_connection((host, int(port)), timeout=5)
    return client


def join_chunks(text):
    """The body of an answer in pieces; one that ends too early is a lost one."""
    pieces, at, length = [], 0, None
    while length != 0:
        begin = text.index(b"\r\n", at) + 2
        length = int(text[at:begin], 16)
        at = begin + length + 2
        if text[at - 2:at] != b"\r\n":
            raise ValueError("the answer ends too early")
        pieces.append(text[begin:at - 2])
    return b"".join(pieces)


class Progress:
    """How far a request has come, for those that get no answer."""

    def __init__(self):
        self.begin = time.monotonic()
        self.text = "not connected"

    def note(self, text):
        self.text = f"{text} after {1000 * (time.monotonic() - self.begin):.2f} ms"


async def ask(address, path, progress):
    with connect(address) as client:
        progress.note("connected")
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                       .encode())
        progress.note("asked")
        client.setblocking(False)
        answer = bytearray()
        while data := await asyncio.get_running_loop().sock_recv(client, 65536):
            answer += data
            progress.note(f"{len(answer)} bytes")
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")):
        raise ValueError(f"answer {answer[:60]!r}")
    if b"\r\nTransfer-Encoding: chunked" in head:
        body = join_chunks(body)
    elif f"\r\nContent-Length: {len(body)}\r\n".encode() not in head + b"\r\n":
        raise ValueError(f"{len(body)} bytes after {head!r}")
    if b"\r\nContent-Type: application/json" in head:
        json.loads(body)


async def timed(address, path, results):
    progress = Progress()
    try:
        await asyncio.wait_for(ask(address, path, progress), 20)
        error = None
    except Exception as caught:  # every kind of failure counts
        last = progress.text
        progress.note(f"{type(caught).__name__} {caught}")
        error = f"{address}: {last}, {progress.text}"
    results.append((time.monotonic() - progress.begin, error))


async def main(rate, paths, addresses):
    results, tasks = [], set()
    loop = asyncio.get_running_loop()
    order = loop.run_in_executor(None, sys.stdin.readline)
    begin, due = time.monotonic(), time.monotonic()
    while True:
        if order.done():
            words = (await order).split()
            if not words or words[0] == "stop":
                break
            if tasks and words[0] == "kill":
                await asyncio.wait(tasks)
            delay = 0 if words[0] == "kill" else random.uniform(0, 1 / rate)
            threading.Timer(delay, os.kill, (int(words[1]), signal.SIGKILL)).start()
            order = loop.run_in_executor(None, sys.stdin.readline)
        for address in addresses:
            task = asyncio.create_task(timed(address, random.choice(paths), results))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        due += 1 / rate
        await asyncio.sleep(max(0, due - time.monotonic()))
    seconds = time.monotonic() - begin
    if tasks:
        await asyncio.wait(tasks)
    errors = [error for _, error in results if error]
    print(json.dumps({
        "requests": len(results), "per_second": len(results) / seconds, "failed": len(errors),
        "errors": errors[:10], "worst_ms": 1000 * max(duration for duration, _ in results),
    }))


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]))
