# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server whose every answer can be made wrong, by a byte of a file that the test maps.

usage: liar.py PORT MODES    (/http/N and /metrics/N over HTTP, or a line "PING N": byte N decides)

The file outlives the server, so it lies on after a kill and a restart as before.
"""

import asyncio
import mmap
import socket
import struct
import sys

OK, ODD, HIGH, FAILED, HANG, TRICKLE, RESET, GARBAGE, CUT, OTHER = range(10)
VALUES = {ODD: 50, HIGH: 1000}


def content(kind, mode):
    if mode == OTHER:
        return b'{"other": 1}' if kind == b"http" else b"soak_other 1\n"
    value = VALUES.get(mode, 1)
    return b'{"value": %d}' % value if kind == b"http" else b"soak_value %d\n" % value


def respond(kind, mode):
    """The whole answer, and how much of it is sent."""
    body = content(kind, mode)
    status = b"500 Internal Server Error" if mode == FAILED else b"200 OK"
    length = len(body) + (100 if mode == CUT else 0)
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, length, body)


async def trickle(writer, answer):
    for byte in answer:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def say(reader, writer, mode, answer):
    """Returns whether the conversation goes on."""
    if mode == HANG:
        await reader.read()
    elif mode == TRICKLE:
        await trickle(writer, answer)
    elif mode == RESET:
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif mode == GARBAGE:
        writer.write(b"\x16\x03\x01\x00\xff\x00 nothing you know\r\n\r\n")
    else:
        writer.write(answer)
        return mode != CUT
    return False


class Liar:
    def __init__(self, modes):
        self.modes = modes

    async def converse(self, reader, writer):
        going_on = True
        while going_on:
            line = await reader.readline()
            if line.startswith(b"PING "):
                number = int(line.split()[1])
                going_on = await say(reader, writer, self.modes[number], b"+PONG\r\n")
                continue
            words = line.split()
            if len(words) != 3:
                return
            while (await reader.readline()).strip():
                pass
            _, kind, number = words[1].split(b"/")
            mode = self.modes[int(number)]
            going_on = await say(reader, writer, mode, respond(kind, mode))

    async def serve(self, reader, writer):
        try:
            await self.converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def main(port, path):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as modes:
        server = await asyncio.start_server(Liar(modes).serve, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
