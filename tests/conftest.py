# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the integration tests."""

import shutil

import pytest

# Their assertions say as much as those of the tests.
pytest.register_assert_rewrite("alerts", "healthctl")

# pylint: disable=wrong-import-position
import servers
from alerts import Service
from healthctl import Tmux, Zoo
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


@pytest.fixture(scope="module", name="zoo")
def fixture_zoo():
    with Zoo() as zoo:
        yield zoo


@pytest.fixture(name="idle")
def fixture_idle(daemon):
    daemon.write_check("self", "[Check]\nType=application\nInterval=1h\n")
    daemon.start()
    daemon.wait_status("self", "healthy")
    return daemon


@pytest.fixture(name="terminal")
def fixture_terminal(tmp_path):
    if not shutil.which("tmux"):
        pytest.skip("needs tmux")
    opened = []

    def open_terminal(width, height=40, **variables):
        opened.append(Tmux(tmp_path, width, height, **variables))
        return opened[-1]
    yield open_terminal
    for terminal in opened:
        terminal.close()
