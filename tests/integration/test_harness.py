# SPDX-License-Identifier: LGPL-2.1-or-later
"""The harness itself: every real server starts, dies, hangs and comes back."""

import socket
import subprocess

import pytest

import servers
from process import can_connect


def every_server():
    return [servers.Redis, servers.Nginx, servers.Postgres]


@pytest.mark.parametrize("kind", every_server())
def test_server_dies_and_comes_back(kind):
    with kind() as server:
        address = ("127.0.0.1", server.port)
        assert can_connect(address)
        server.kill9()
        assert not can_connect(address)
        server.start()
        assert can_connect(address)
        server.stop()
        assert not can_connect(address)


@pytest.mark.parametrize("kind", every_server())
def test_server_hangs_and_goes_on(kind):
    with kind() as server:
        server.sigstop()
        with socket.create_connection(("127.0.0.1", server.port), timeout=1) as client:
            client.settimeout(0.2)
            client.sendall(b"PING\r\n")
            with pytest.raises(TimeoutError):
                client.recv(1)
        server.sigcont()
        assert server.is_ready()


def test_redis_password_and_tls(certificates):
    with servers.Redis(password="s3cret", certificates=certificates) as redis:
        command = ["redis-cli", "-p", str(redis.tls_port), "--tls", "--cacert", certificates.ca]
        assert redis.cli("PING") == "PONG"
        assert "NOAUTH" in subprocess.run([*command, "PING"], capture_output=True, text=True,
                                          check=False).stdout
        assert subprocess.run([*command, "PING"], capture_output=True, text=True, check=True,
                              env={"REDISCLI_AUTH": "s3cret"}).stdout == "PONG\n"


def test_postgres_password_and_tls(certificates):
    with servers.Postgres(password="s3cret", certificates=certificates) as postgres:
        assert postgres.sql("SELECT 6 * 7") == "42"
        uri = f"host=localhost hostaddr=127.0.0.1 port={postgres.port} user=postgres " \
              f"sslmode=verify-full sslrootcert={certificates.ca}"
        command = [postgres.binaries / "psql", "-w", "-XAtqc", "SHOW ssl", uri]
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert refused.returncode != 0 and "password" in refused.stderr
        assert subprocess.run(command, capture_output=True, text=True, check=True,
                              env={"PGPASSWORD": "s3cret"}).stdout == "on\n"
