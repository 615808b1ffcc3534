# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers that misbehave, one way each: over HTTP, and in what they say without it."""

import gzip
import os
import socket
import time

from acceptor import Acceptor

OK = b"HTTP/1.1 200 OK\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def endless(connection, start, block):
    connection.sendall(start)
    while True:
        connection.sendall(block)


def drip(connection, start):
    connection.sendall(start)
    while True:
        time.sleep(0.05)
        connection.sendall(b"x")


def crumble(connection, crumb):
    """In many small pieces, each for itself."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        time.sleep(0.001)
        connection.sendall(crumb)


def say(connection, words):
    """And hang up, in an orderly way."""
    connection.sendall(words)
    connection.shutdown(socket.SHUT_WR)


def say_and_wait(connection, words):
    connection.sendall(words)
    connection.recv(65536)


def answer_once(connection, words):
    """A kept connection that looks well until it is used again."""
    connection.sendall(words)
    connection.recv(65536)
    connection.close()


def noise(connection):
    """Random bytes for ever: no TLS, no HTTP/2, nothing."""
    while True:
        connection.sendall(os.urandom(4096))


# What each does once it has the request. An exception ends the connection.
BEHAVIOURS = {
    "endless_body": (endless, OK + b"\r\n", b"x" * 65536),
    "full_body": (say, OK + b"\r\n" + b"x" * (1 << 20)),
    "huge_length": (endless, OK + b"Content-Length: 2147483648\r\n\r\n", b"x" * 65536),
    "huge_length_silent": (say_and_wait, OK + b"Content-Length: 2147483648\r\n\r\n"),
    "large_headers": (say, OK + (b"X-Large: " + b"y" * 1000 + b"\r\n") * 100 + b"\r\n"),
    "endless_headers": (endless, OK, b"X-Flood: " + b"y" * 1000 + b"\r\n"),
    "endless_header": (endless, OK + b"X-Flood: ", b"y" * 4096),
    "endless_interim": (endless, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "slow_body": (drip, OK + b"Content-Length: 1000000\r\n\r\n"),
    "slow_header": (drip, OK + b"X-Slow: "),
    "silent": (say_and_wait, b""),
    "early_close": (say, OK + b"Content-Length: 1000\r\n\r\nonly this"),
    "cut_headers": (say, OK + b"Content-Type: text/plain\r\nContent-Le"),
    "no_answer": (say, b""),
    "not_http": (say, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
    "bad_chunks": (say, OK + b"Transfer-Encoding: chunked\r\n\r\nno number\r\n"),
    "deep_json": (say, OK + b"\r\n" + b"[" * 1000000),
    "cut_json": (say, OK + b"\r\n" + b'{"depth": 1'),
    "redirect_loop": (say, b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
    "deep_closed_json": (say, OK + b"\r\n" + b"[" * 100000 + b"]" * 100000),
    "redirect_file": (say, MOVED + b"file:///etc/hostname\r\n\r\n"),
    "redirect_gopher": (say, MOVED + b"gopher://127.0.0.1:6379/_FLUSHALL\r\n\r\n"),
    "endless_chunks": (endless, CHUNKED, b"1\r\nx\r\n" * 1000),
    "endless_chunk_size": (endless, CHUNKED, b"0" * 4096),
    "endless_chunk_extension": (endless, CHUNKED + b"1;", b"x" * 4096),
    "endless_trailers": (endless, CHUNKED + b"0\r\n", b"X-Flood: " + b"y" * 1000 + b"\r\n"),
    "huge_chunk": (endless, CHUNKED + b"7fffffffffffffff\r\n", b"x" * 65536),
    "nul_header": (say, OK + b"X-Nul: a\0b\r\nContent-Length: 2\r\n\r\nok"),
    "odd_status": (say, b"HTTP/1.1 -1 Huh\r\n\r\n"),
    "gzip_bomb": (say, OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(1 << 26))),
    "noise": (noise,),
    "redirect_nowhere": (say, b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n"
                              b"Content-Length: 0\r\n\r\n"),
    "endless_banner": (endless, b"", b"220 " + b"z" * 60000 + b"\r\n"),
    "slow_banner": (drip, b"220-"),
    "crumbs": (crumble, b"abcdefghijklmnop"),
    "nul_banner": (say, b"\x00\x01\x00SQL\x00\xff\r\nmore\r\n"),
    "endless_series": (endless, OK + b"\r\n", b'requests_total{code="200"} 1\n' * 2000),
    "endless_label": (endless, OK + b"\r\n" + b'requests_total{code="', b"x" * 4096),
    "cut_series": (say, OK + b"\r\n" + b"requests_total 12"),
    "huge_bulk": (endless, b"$2147483647\r\n", b"x" * 65536),
    "huge_array": (say_and_wait, b"*2147483647\r\n"),
    "deep_array": (endless, b"", b"*1\r\n" * 10000),
    "endless_line": (endless, b"+", b"x" * 65536),
    "huge_message": (endless, b"E\x7f\xff\xff\xff", b"x" * 65536),
    "endless_notices": (endless, b"", b"N\x00\x00\x00\x10SNOTICE\x00M!\x00\x00" * 1000),
    "redis_latin1": (say, b"-ERR f\xfcr\x07 Sie\r\n"),
    "one_answer": (answer_once, OK + b"Content-Length: 2\r\n\r\nok"),
}


class Counted:
    """A socket that counts what the peer's kernel has taken."""

    def __init__(self, connection, server):
        self.connection = connection
        self.server = server

    def sendall(self, data):
        left = memoryview(data)
        while left:
            n = self.connection.send(left)
            self.server.sent += n
            left = left[n:]

    def __getattr__(self, name):
        return getattr(self.connection, name)


class Hostile(Acceptor):
    """Misbehaves."""

    def __init__(self, behaviour):
        self.act, *self.arguments = BEHAVIOURS[behaviour]
        self.sent = 0
        self.requests = []  # what was received first on each connection
        super().__init__()

    def converse(self, connection):
        connection.settimeout(10)
        self.requests.append(connection.recv(65536))
        self.act(Counted(connection, self), *self.arguments)
        # Only the peer's end ends it: what was said is not lost.
        while connection.recv(65536):
            pass
