# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every made-up server begins with: it accepts, and talks to each peer in a thread."""

import contextlib
import socket
import threading


class Acceptor:
    """On a free loopback port, at once. close() it, or use it as a context manager.

    converse(connection) is for a server to write. The connection is closed when it returns, unless
    keeps is true; an OSError in it (the peer is gone) is no error.
    """
    keeps = False

    def __init__(self):
        self.connections = []  # all that came, in order
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError):
            self.converse(connection)
        if not self.keeps:
            connection.close()

    def converse(self, connection):
        raise NotImplementedError

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(5)
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
