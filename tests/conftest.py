# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the integration tests."""

import pytest

import servers
from alerts import Service
from healthd import Healthd


@pytest.fixture
def daemon():
    """A Healthd to configure and start(); its end must be clean."""
    healthd = Healthd()
    yield healthd
    healthd.close()


@pytest.fixture(scope="module")
def certificates():
    authority = servers.Certificates()
    yield authority
    authority.close()


def running(server):
    """Starts a server for a fixture, and mends what a test has done to it."""
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def redis():
    yield from running(servers.Redis())


@pytest.fixture
def nginx():
    yield from running(servers.Nginx())


@pytest.fixture
def postgres():
    yield from running(servers.Postgres())


@pytest.fixture
def service(daemon):
    thing = Service(daemon.directory / "service.sock").up()
    yield thing
    thing.down()


@pytest.fixture
def webhook():
    # Not above: it takes a library that only alerts need.
    from receivers import Webhook  # pylint: disable=import-outside-toplevel
    receiver = Webhook().start()
    yield receiver
    receiver.close()
