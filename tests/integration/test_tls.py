# SPDX-License-Identifier: LGPL-2.1-or-later
"""TLS, client certificates and tokens on the TCP port: who is let in, and who never is."""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import threading
import time
import urllib.request

import pytest

import servers
from process import can_connect, wait_until

SELF = "[Check]\nType=application\nInterval=1h\n"
TOKEN = "0123456789abcdef0123456789abcdef"
OTHER_TOKEN = "fedcba9876543210fedcba9876543210"
SANITIZED = "asan" in os.environ.get("HEALTHD_BINARY", "")


class Identities:
    """Authorities and certificates, made once."""

    def __init__(self):
        self.ours = servers.Certificates()
        self.others = servers.Certificates()
        self.server = self.ours.issue("server", purpose="serverAuth")
        self.renewed = self.ours.issue("renewed", purpose="serverAuth")
        self.client = self.ours.issue("client", purpose="clientAuth")
        self.plain_client = self.ours.issue("plain-client")
        self.expired = self.ours.issue("expired", days=-1, purpose="clientAuth")
        self.untrusted = self.others.issue("untrusted", purpose="clientAuth")
        # Signed by nobody we know, and with the name of our authority.
        self.self_signed = self.others.ca, self.others.directory / "ca.key"

    def close(self):
        self.ours.close()
        self.others.close()


@pytest.fixture(scope="module")
def ids():
    identities = Identities()
    yield identities
    identities.close()


class Door:
    """A daemon whose TCP port asks for what it was configured to ask for."""

    def __init__(self, daemon, ids):
        self.daemon = daemon
        self.ids = ids
        self.directory = daemon.directory
        daemon.write_check("self", SELF)

    def install(self, name, source):
        """A file of the configuration, replaced at once as certbot and its like do."""
        target, new = self.directory / name, self.directory / f"{name}.new"
        if isinstance(source, str):
            new.write_text(source, encoding="ascii")
        else:
            shutil.copy(source, new)
        new.chmod(0o600)
        new.rename(target)
        return target

    def configure(self, identity=None, ca=None, token=None, details=None, more=""):
        lines = ["[Server]", more]
        certificate, key = identity or self.ids.server
        lines.append(f"Certificate={self.install('server.crt', certificate)}")
        lines.append(f"Key={self.install('server.key', key)}")
        if ca:
            lines.append(f"ClientCA={self.install('client-ca.crt', ca)}")
        if token:
            lines.append(f"Token={self.install('token', token)}")
        if details:
            lines.append(f"Details={details}")
        self.daemon.write_conf("\n".join(lines) + "\n")

    def start(self, *arguments, **options):
        self.daemon.start(*arguments, **options)
        wait_until("a result", lambda: self.daemon.get("/health", via="unix").json["checks"]
                   ["self"]["status"] == "healthy")

    def reload(self):
        """SIGHUP; returns once it was handled, and whether it was accepted."""
        said = self.daemon.stderr().count("Reload")
        self.daemon.reload()
        wait_until("the reload", lambda: self.daemon.stderr().count("Reload") > said)
        return "refused" not in self.daemon.stderr().rsplit("Reload", 1)[1].splitlines()[0]

    def context(self, identity=None, **options):
        context = ssl.create_default_context(cafile=self.ids.ours.ca)
        if identity:
            context.load_cert_chain(*identity)
        for name, value in options.items():
            setattr(context, name, value)
        return context

    def connect(self, identity=None, timeout=20, **options):
        return http.client.HTTPSConnection("127.0.0.1", self.daemon.port, timeout=timeout,
                                           context=self.context(identity, **options))

    def ask(self, identity=None, token=None, path="/health", connection=None, headers=None,
            **options):
        """(status, body as text, headers) of one request."""
        own = connection or self.connect(identity, **options)
        try:
            headers = dict(headers or {})
            if token is not None:
                headers["Authorization"] = f"Bearer {token}"
            own.request("GET", path, headers=headers)
            answer = own.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            if not connection:
                own.close()

    def shown(self):
        """The certificate that the daemon shows now, in DER."""
        with socket.create_connection(("127.0.0.1", self.daemon.port), timeout=20) as plain, \
                self.context().wrap_socket(plain, server_hostname="127.0.0.1") as client:
            return client.getpeercert(binary_form=True)


@pytest.fixture
def door(daemon, ids):
    return Door(daemon, ids)


def der(path):
    return ssl.PEM_cert_to_DER_cert(path.read_text(encoding="ascii"))


def error_of(text):
    return json.loads(text)["detail"]


# ---- who is let in ----

def test_whoever_has_certificate_and_token_is_served_and_nobody_else(door, ids):
    door.configure(ca=ids.ours.ca, token=TOKEN)
    door.start()
    for identity in (ids.client, ids.plain_client):
        status, text, headers = door.ask(identity, TOKEN)
        assert status == 200 and json.loads(text)["status"] == "healthy"
        assert "WWW-Authenticate" not in headers
    for name, identity, said in (
            ("missing", None, "a client certificate is asked for"),
            ("expired", ids.expired, "expired"),
            ("untrusted", ids.untrusted, "not one of those that are trusted"),
            ("self-signed", ids.self_signed, "not one of those that are trusted"),
            ("for servers only", ids.server, "not one of those that are trusted")):
        status, text, _ = door.ask(identity, TOKEN)
        assert (status, said in error_of(text)) == (403, True), (name, status, text)
    for token in (OTHER_TOKEN, TOKEN[:-1], TOKEN + "x", "", TOKEN.upper()):
        status, text, headers = door.ask(ids.client, token)
        assert status == 401 and "invalid_token" in headers["WWW-Authenticate"]
        assert list(json.loads(text)) == ["detail"]
    status, text, headers = door.ask(ids.client)
    assert (status, headers["WWW-Authenticate"]) == (401, 'Bearer realm="healthd"')
    # Both are told to come in with less than both; nothing is read from a stranger.
    assert door.ask(None, None)[0] == 403


@pytest.mark.parametrize("path", ["/", "/health/live", "/metrics", "/status.js", "/made/up",
                                  "/control/run"])
def test_every_path_is_behind_the_door(door, ids, path):
    door.configure(token=TOKEN)
    door.start()
    assert door.ask(path=path)[0] == 401
    assert door.ask(token=TOKEN, path=path)[0] in (200, 404, 405)


def test_a_token_gives_no_control(door):
    door.configure(token=TOKEN)
    door.start()
    with contextlib.closing(door.connect()) as connection:
        connection.request("POST", "/control/run", json.dumps({"check": "self"}),
                           {"Authorization": f"Bearer {TOKEN}"})
        assert connection.getresponse().status == 403


def test_the_unix_socket_asks_for_nothing(door, ids):
    door.configure(ca=ids.ours.ca, token=TOKEN, details="local")
    door.start()
    assert "details" in door.daemon.get(via="unix").json["checks"]["self"]
    connection = door.daemon.connect("unix")
    connection.request("POST", "/control/run", json.dumps({"check": "self"}))
    assert connection.getresponse().status == 202
    connection.close()


def test_nothing_is_said_in_the_clear(door):
    door.configure()
    door.start()
    with pytest.raises((OSError, http.client.HTTPException)):
        door.daemon.get(via="tcp")
    assert door.ask()[0] == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_new_versions_are_spoken(door, ids, version):
    door.configure(ca=ids.ours.ca)
    door.start()
    assert door.ask(ids.client, minimum_version=version, maximum_version=version)[0] == 200


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_not(door, version):
    door.configure()
    door.start()
    context = door.context()
    # Else OpenSSL does not offer them.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = version, version
    with socket.create_connection(("127.0.0.1", door.daemon.port), timeout=20) as plain, \
            pytest.raises(OSError):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


@pytest.mark.parametrize("policy, authenticated, stranger", [
    ("local", True, True), ("always", True, True), ("never", False, False),
    ("authenticated", True, True)])
def test_details_for_loopback(door, policy, authenticated, stranger):
    """Over TLS, loopback is loopback; the remote ones are in test_endpoints.py."""
    door.configure(token=TOKEN, details=policy)
    door.start()
    assert ("details" in json.loads(door.ask(token=TOKEN)[1])["checks"]["self"]) is authenticated
    door.configure(details=policy)
    assert door.reload()
    assert ("details" in json.loads(door.ask()[1])["checks"]["self"]) is stranger


def test_a_certificate_with_its_key_and_what_is_above_it_in_one_file(door, ids):
    """In the wrong order, too: the certificate that the key belongs to need only be the first."""
    certificate, key = ids.server
    path = door.install("all.pem", certificate.read_text() + ids.ours.ca.read_text()
                        + key.read_text())
    door.daemon.write_conf(f"[Server]\nCertificate={path}\n")
    assert door.daemon.verify().stderr == ""
    door.start()
    assert door.ask()[0] == 200


def test_credentials(door, ids):
    directory = door.directory / "credentials"
    directory.mkdir()
    for name, path in (("cert", ids.server[0]), ("key", ids.server[1]), ("ca", ids.ours.ca)):
        shutil.copy(path, directory / name)
    (directory / "token").write_text(f"{OTHER_TOKEN}\n{TOKEN}\n")
    door.daemon.write_conf("[Server]\nCertificate=credential:cert\nKey=credential:key\n"
                           "ClientCA=credential:ca\nToken=credential:token\n")
    # As ExecReload= does, from whom systemd hides them.
    for environment in ({}, {"CREDENTIALS_DIRECTORY": "/run/there-is-none"},
                        {"CREDENTIALS_DIRECTORY": str(directory)}):
        result = door.daemon.verify(env=environment)
        assert (result.returncode, result.stderr) == (0, "")
    door.start(env={"CREDENTIALS_DIRECTORY": str(directory)})
    # During a change both are known.
    for token in (TOKEN, OTHER_TOKEN):
        assert door.ask(ids.client, token)[0] == 200
    assert door.ask(ids.client, "x" * 32)[0] == 401


def test_when_the_certificate_expires_is_a_metric(door, ids):
    """Of those that are sent, the first to expire counts."""
    def expiry():
        text = door.daemon.get("/metrics", via="unix").text
        name = "healthd_tls_certificate_expiry_timestamp_seconds"
        return [float(line.split()[1]) for line in text.splitlines()
                if line.startswith(name + " ")]

    soon = ids.ours.issue("soon", days=3)
    door.configure(identity=soon)
    door.start()
    assert abs(expiry()[0] - time.time() - 3 * 86400) < 3600
    door.configure()
    assert door.reload()
    assert abs(expiry()[0] - time.time() - 30 * 86400) < 3600
    door.daemon.write_conf("")
    assert door.reload()
    assert not expiry()


def test_large_answers(door):
    """With more than 500 checks they are made in pieces while they are sent."""
    for number in range(600):
        door.daemon.write_check(f"self{number}", SELF)
    door.configure()
    door.start()
    with contextlib.closing(door.connect()) as kept:
        for path in ("/metrics", "/health"):
            status, text, _ = door.ask(connection=kept, path=path)
            assert status in (200, 503) and all(f'self{number}"' in text for number in range(600))
            assert len(text) > 100000


# ---- Prometheus ----

class Prometheus(servers.Server):
    """Real, with the configuration that is shipped for a network, but for its paths."""

    def __init__(self, ids, identity, token, target):
        super().__init__("prometheus")
        text = (pathlib.Path(os.environ["HEALTHD_SOURCE"]) / "contrib/prometheus"
                / "prometheus-tls.yml").read_text(encoding="utf-8")
        (self.directory / "token").write_text(token + "\n", encoding="ascii")
        for name, path in {"ca.crt": ids.ours.ca, "client.crt": identity[0],
                           "client.key": identity[1],
                           "token": self.directory / "token"}.items():
            assert (old := f"/etc/prometheus/healthd/{name}") in text
            text = text.replace(old, str(path))
        (self.directory / "prometheus.yml").write_text(
            "global: {scrape_interval: 500ms}\n" + text, encoding="utf-8")
        (self.directory / "healthd-targets.json").write_text(
            json.dumps([{"targets": [target]}]), encoding="utf-8")

    def command(self):
        return ["prometheus", "--config.file=prometheus.yml",
                f"--storage.tsdb.path={self.directory}/data",
                f"--web.listen-address=127.0.0.1:{self.port}"]

    def ask(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}",
                                        timeout=10) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def target(self):
        """(health, last error) once it was scraped."""
        def scraped():
            found = ((self.ask("targets") or {}).get("activeTargets") or [{}])[0]
            return found.get("health") in ("up", "down") and (found["health"], found["lastError"])
        return wait_until("a scrape", scraped, 60)


def test_a_real_prometheus_scrapes_across_a_network(door, ids):
    door.configure(ca=ids.ours.ca, token=TOKEN, details="authenticated")
    door.start()
    target = f"localhost:{door.daemon.port}"
    for identity, token, expected in (
            (ids.client, TOKEN, ("up", "")),
            (ids.untrusted, TOKEN, ("down", "server returned HTTP status 403 Forbidden")),
            (ids.client, OTHER_TOKEN, ("down", "server returned HTTP status 401 Unauthorized"))):
        with Prometheus(ids, identity, token, target) as prometheus:
            assert prometheus.target() == expected
            # What the administrator lets only those see who have shown who they are.
            if expected[0] == "up":
                wait_until("details", lambda: prometheus.ask(
                    "query?query=healthd_check_value")["result"])


# ---- mistakes ----

def mistakes(door, ids):
    """{lines of [Server]: what is said of them}"""
    server, key = ids.server
    encrypted = door.directory / "encrypted.key"
    ids.ours.openssl("pkey", "-in", str(key), "-aes128", "-passout", "pass:test",
                     "-out", str(encrypted))
    (door.directory / "short").write_text("secret\n")
    (door.directory / "noise").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n"
                                          "-----END CERTIFICATE-----\n")
    return {
        f"Certificate={server}\nKey={ids.client[1]}": (3, "is not that of the certificate"),
        f"Certificate={server}": (2, "no private key that can be read"),
        f"Key={key}": (2, "Key= needs Certificate="),
        f"ClientCA={ids.ours.ca}": (2, "ClientCA= needs Certificate="),
        f"Certificate=/absent\nKey={key}": (2, "Certificate=/absent: there is no such file"),
        f"Certificate={door.directory}/noise\nKey={key}": (2, "cannot be read"),
        f"Certificate={key}\nKey={key}": (2, "has no certificate in it"),
        f"Certificate={server}\nKey={encrypted}": (3, "is encrypted"),
        f"Certificate={server}\nKey={key}\nClientCA={key}": (4, "has no certificate in it"),
        f"Token={TOKEN}": (2, "Token=: write the absolute path of a file, or credential:NAME"),
        f"Token={door.directory}/short": (2, "openssl rand -hex 32"),
        "Token=credential:absent": (2, 'the credential "absent" is not there'),
        f"Certificat={server}\nKey={key}": (2, 'did you mean "Certificate="?'),
        f"[Serer]\nCertificate={server}\nKey={key}": (2, "did you mean [Server]?"),
        "TLSCertificate=/x": (2, "unknown key"),
        "Colour=blue": (2, "unknown key"),
        "[Sevrer]\nColour=blue": (2, "unknown section"),
        f"Certificate={server}\nKey={key}\nToken /file": (4, "needs"),
    }


def test_mistakes_are_named_with_their_line(door, ids):
    directory = {"CREDENTIALS_DIRECTORY": str(door.directory)}
    for lines, (line, said) in mistakes(door, ids).items():
        door.daemon.write_conf(f"[Server]\n{lines}\n")
        result = door.daemon.verify(env=directory)
        place = f"{door.daemon.config}/healthd.conf:{line}: "
        assert result.returncode == 1
        assert any(place in each and (said in each or said == "needs")
                   for each in result.stderr.splitlines()), (lines, result.stderr)
        assert TOKEN not in result.stderr and "PRIVATE KEY--" not in result.stderr.replace(
            '"-----BEGIN PRIVATE KEY-----"', "")


def test_with_a_mistake_at_the_start_nobody_comes_in(door, ids):
    """Neither in the clear nor without being asked; until it is corrected."""
    for number, lines in enumerate(mistakes(door, ids)):
        if number % (4 if SANITIZED else 1):
            continue
        door.daemon.write_conf(f"[Server]\n{lines}\n")
        door.daemon.start(wait=False)
        wait_until("it listens", lambda: can_connect(door.daemon.socket))
        wait_until("the port is there", lambda: can_connect(("127.0.0.1", door.daemon.port)))
        with pytest.raises((OSError, http.client.HTTPException)):
            door.daemon.get(via="tcp")
        with pytest.raises((OSError, http.client.HTTPException)):
            door.ask()
        assert door.daemon.get("/health/live", via="unix").status == 200
        wait_until("it is said", lambda: "Nobody is let in over TCP" in door.daemon.stderr())
        if number == 0:
            door.configure(token=TOKEN)
            assert door.reload()
            assert door.ask(token=TOKEN, path="/health/live")[0] == 200 and door.ask()[0] == 401
        door.daemon.terminate()
        door.daemon.stderr_path.unlink()


@pytest.mark.parametrize("lines", ["Textfile=relative\n", "Details=sometimes\n", "X-Colour=blue\n",
                                   "[Health]\nReadyWhen=cheked\nColour=blue\n"])
def test_other_mistakes_close_nothing(door, lines):
    door.daemon.write_conf(f"[Server]\n{lines}")
    door.start()
    assert door.daemon.get(via="tcp").status == 200


def test_a_mistake_in_details_shows_them_to_nobody(door):
    door.daemon.write_conf("[Server]\nDetails=nevr\n")
    door.start()
    for via in "tcp", "unix":
        assert "details" not in door.daemon.get("/health", via=via).json["checks"]["self"]
    door.daemon.write_conf("[Server]\nDetails=local\n")
    assert door.reload()
    assert "details" in door.daemon.get("/health", via="tcp").json["checks"]["self"]


def test_a_masked_configuration_opens_the_port_and_says_so(door):
    """To mask it is an act of the administrator's, or a full disk's."""
    said = f"{door.daemon.config}/healthd.conf: is empty or a link to /dev/null, which masks"
    door.configure(token=TOKEN)
    door.start()
    assert door.ask()[0] == 401 and said not in door.daemon.stderr()
    door.daemon.write_conf("")
    assert door.reload()
    assert door.daemon.get(via="tcp").status == 200
    wait_until("it is said", lambda: said in door.daemon.stderr())
    assert said in (verified := door.daemon.verify()).stderr and verified.returncode == 0
    # What a drop-in says counts.
    drop_ins = door.daemon.config / "healthd.conf.d"
    drop_ins.mkdir()
    (drop_ins / "door.conf").write_text(f"[Server]\nToken={door.directory}/token\n")
    assert door.reload()
    assert door.daemon.get(via="tcp").status == 401
    assert said not in door.daemon.verify().stderr


def test_who_speaks_for_a_program_reads_none_of_it(daemon):
    """healthd-exec runs as the program's user, who may not read what the host's healthd does."""
    daemon.write_check("self", SELF)
    daemon.write_check("other", "[Check]\nType=redis\n[Redis]\nPassword=credential:absent\n")
    daemon.write_conf("[Server]\nCertificate=/absent\nToken=/absent\nColour=blue\n")
    (daemon.config / "alerts").mkdir()
    (daemon.config / "alerts" / "all.alert").write_text("[Alert]\nType=webhook\n", encoding="ascii")
    daemon.start("--check=self", f"--wrapped={os.getpid()}", notify=True)
    daemon.reload()
    wait_until("the reload", lambda: "Reloaded: 1 checks" in daemon.stderr())
    assert "absent" not in daemon.stderr() and "alert" not in daemon.stderr()
    # Its own mistakes are refused.
    daemon.write_check("self", SELF + "Intervall=2h\n")
    daemon.reload()
    wait_until("it is refused", lambda: "Reload refused" in daemon.stderr())
    assert 'did you mean "Interval="?' in daemon.stderr() and "absent" not in daemon.stderr()


def test_a_reload_with_mistakes_changes_nothing(door, ids):
    door.configure(ca=ids.ours.ca, token=TOKEN)
    door.start()
    for lines in mistakes(door, ids):
        door.daemon.write_conf(f"[Server]\n{lines}\nDetails=never\n")
        assert not door.reload()
    assert door.shown() == der(ids.server[0])
    status, text, _ = door.ask(ids.client, TOKEN)
    assert status == 200 and "details" in json.loads(text)["checks"]["self"]
    assert door.ask(ids.client)[0] == 401 and door.ask(token=TOKEN)[0] == 403


def test_what_is_probably_not_meant(door, ids):
    old = ids.ours.issue("old-server", days=-1)
    door.configure(identity=old, token=TOKEN, details="authenticated")
    (door.directory / "server.key").chmod(0o644)
    said = door.daemon.verify()
    assert said.returncode == 0
    conf = f"{door.daemon.config}/healthd.conf"
    assert f"warning: {conf}:3: Certificate={door.directory}/server.crt has expired on" \
        in said.stderr
    assert f"{conf}:4: Key={door.directory}/server.key can be read by every user" in said.stderr
    assert "Token" not in said.stderr and "Details" not in said.stderr
    door.daemon.write_conf(f"[Server]\nToken={door.directory}/token\n")
    assert "Token=" in (text := door.daemon.verify().stderr) and "in the clear" in text
    door.daemon.write_conf("[Server]\nDetails=authenticated\n")
    assert "nobody is authenticated" in door.daemon.verify().stderr


# ---- reload ----

class Askers:
    """Clients that ask without a pause, on kept connections and on new ones."""

    def __init__(self, door, identity, token, kept=3, fresh=3):
        self.door, self.identity, self.token = door, identity, token
        self.failures, self.answers = [], 0
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(keep,), daemon=True)
                        for keep in [True] * kept + [False] * fresh]

    def run(self, keep):
        connection = self.door.connect(self.identity) if keep else None
        while not self.stop.is_set():
            try:
                status, text, _ = self.door.ask(self.identity, self.token, connection=connection)
                if status != 200 or json.loads(text)["status"] != "healthy":
                    self.failures.append((keep, status, text))
                self.answers += 1
            except Exception as error:  # every kind of failure counts
                self.failures.append((keep, repr(error)))
        if connection:
            # Never closed by the daemon: it would have connected anew by itself.
            self.door.kept_ports.append(connection.sock and connection.sock.getsockname()[1])
            connection.close()

    def __enter__(self):
        self.door.kept_ports = []
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)


def test_certificates_reloaded_under_load_lose_no_request(door, ids):
    door.configure(ca=ids.ours.ca, token=f"{TOKEN}\n{OTHER_TOKEN}")
    door.start()
    with Askers(door, ids.client, TOKEN) as askers:
        seen = set()
        for round_number in range(10 if SANITIZED else 30):
            identity = (ids.renewed, ids.server)[round_number % 2]
            door.configure(identity=identity, ca=ids.ours.ca, token=f"{OTHER_TOKEN}\n{TOKEN}")
            assert door.reload()
            shown = door.shown()
            assert shown == der(identity[0])
            seen.add(shown)
        assert len(seen) == 2
    assert not askers.failures, askers.failures[:5]
    assert askers.answers > 100


def test_a_kept_connection_stays_and_is_judged_by_the_new_configuration(door, ids):
    door.configure(ca=ids.ours.ca, token=TOKEN)
    door.start()
    with contextlib.closing(door.connect(ids.client)) as kept:
        assert door.ask(connection=kept, token=TOKEN)[0] == 200
        port = kept.sock.getsockname()[1]
        door.configure(identity=ids.renewed, ca=ids.ours.ca, token=OTHER_TOKEN)
        assert door.reload()
        # The same connection, the new token.
        assert door.ask(connection=kept, token=OTHER_TOKEN)[0] == 200
        assert kept.sock.getsockname()[1] == port
        door.configure(identity=ids.renewed, ca=ids.others.ca, token=OTHER_TOKEN)
        assert door.reload()
        status, text, _ = door.ask(connection=kept, token=OTHER_TOKEN)
        assert status == 403 and "not one of those" in text
    assert door.ask(ids.untrusted, OTHER_TOKEN)[0] == 200
    assert door.ask(ids.client, OTHER_TOKEN)[0] == 403


def test_a_kept_connection_in_the_clear_is_not_served_once_there_is_tls(door):
    door.daemon.write_conf("")
    door.start()
    with contextlib.closing(door.daemon.connect("tcp")) as kept:
        kept.request("GET", "/health")
        assert (answer := kept.getresponse()).status == 200 and answer.read()
        door.configure()
        assert door.reload()
        kept.request("GET", "/health")
        assert kept.getresponse().status == 403
    assert door.ask()[0] == 200
    door.daemon.write_conf("")
    assert door.reload()
    assert door.daemon.get(via="tcp").status == 200


def test_a_clean_stop_answers_what_has_begun(door, ids):
    door.configure(ca=ids.ours.ca, token=TOKEN)
    door.start()
    with socket.create_connection(("127.0.0.1", door.daemon.port), timeout=20) as plain, \
            door.context(ids.client).wrap_socket(plain, server_hostname="127.0.0.1") as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        wait_until("it is read", lambda: door.daemon.get("/health", via="unix").status == 200)
        door.daemon.process.terminate()
        time.sleep(0.3)
        client.sendall(f"Authorization: Bearer {TOKEN}\r\n\r\n".encode())
        answer = b""
        while data := client.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 200") and b"Connection: close" in answer
    assert door.daemon.process.wait(10) == 0


# ---- peers that mean harm ----

def client_hello(door):
    """The first bytes that a client would send."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = door.context().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_whoever_does_not_finish_the_handshake_is_cut_off(door, ids):
    """By our deadline, whatever they sent; meanwhile all others are served, and nothing spins."""
    door.configure(ca=ids.ours.ca, token=TOKEN)
    door.start()
    hello = client_hello(door)
    address = ("127.0.0.1", door.daemon.port)
    beginnings = [b"", hello[:3], hello[:len(hello) // 2], hello, b"GET / HTTP/1.1\r\n"[:3]]
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(address, timeout=30))
                   for _ in range(20) for _ in beginnings]
        begun = time.monotonic()
        for number, client in enumerate(clients):
            client.sendall(beginnings[number % len(beginnings)])
        dripping = stack.enter_context(socket.create_connection(address, timeout=30))
        before = cpu_seconds(door.daemon.process.pid)
        slowest, dripped = 0, 0
        while time.monotonic() - begun < 5:
            asked = time.monotonic()
            assert door.ask(ids.client, TOKEN)[0] == 200
            slowest = max(slowest, time.monotonic() - asked)
            dripping.sendall(hello[dripped:dripped + 1])
            dripped += 1
            time.sleep(0.2)
        assert slowest < 2
        for client in clients + [dripping]:
            # The answer to a whole ClientHello may come first.
            with contextlib.suppress(ConnectionResetError):
                while client.recv(65536):
                    pass
        took = time.monotonic() - begun
        assert 9 < took < 20, took
        assert cpu_seconds(door.daemon.process.pid) - before < (3 if SANITIZED else 1)
    assert door.ask(ids.client, TOKEN)[0] == 200


def test_connections_by_tls_count_too(door, ids):
    """256 of them, whether they have shaken hands or not, and the unix socket is free of them."""
    door.configure(token=TOKEN)
    door.start()
    address = ("127.0.0.1", door.daemon.port)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(address, timeout=20))
                for _ in range(246)]
        kept = [door.connect() for _ in range(10)]
        for connection in kept:
            stack.callback(connection.close)
            assert door.ask(connection=connection, token=TOKEN)[0] == 200
        waiting = socket.create_connection(address, timeout=1)
        stack.callback(waiting.close)
        waiting.sendall(client_hello(door))
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        assert door.daemon.get(via="unix").status == 200
        assert door.ask(connection=kept[0], token=TOKEN)[0] == 200
        held.pop().close()
        assert waiting.recv(1)


def test_noise_does_no_harm(door, ids):
    door.configure(ca=ids.ours.ca, token=TOKEN)
    door.start()
    hello = client_hello(door)
    for number in range(60):
        data = bytearray(hello)
        data[number * 7 % len(data)] ^= 1 << number % 8
        with socket.create_connection(("127.0.0.1", door.daemon.port), timeout=20) as client:
            # Refused as early as may be: perhaps in the middle of it.
            with contextlib.suppress(OSError):
                client.sendall(bytes(data) if number % 2 else os.urandom(600))
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
    # A bare end of the connection, as a scanner of ports leaves it.
    for _ in range(20):
        socket.create_connection(("127.0.0.1", door.daemon.port)).close()
    assert door.ask(ids.client, TOKEN)[0] == 200


def test_no_body_is_read_from_a_stranger(door):
    door.configure(token=TOKEN)
    door.start()
    with socket.create_connection(("127.0.0.1", door.daemon.port), timeout=20) as plain, \
            door.context().wrap_socket(plain, server_hostname="127.0.0.1") as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 401")
        rest = client.recv(65536)
        while rest and (data := client.recv(65536)):
            rest += data
        assert not rest or rest.startswith(b"{")


# ---- secrets ----

def test_neither_key_nor_token_is_shown(door, ids):
    door.configure(ca=ids.ours.ca, token=TOKEN, details="always")
    with open(door.daemon.config / "healthd.conf", "a", encoding="ascii") as file:
        file.write(f"[Server]\nTokn={OTHER_TOKEN}\n[Sever]\nToken={OTHER_TOKEN}\n")
    key = ids.server[1].read_text().splitlines()[1]
    shown = door.daemon.verify("--cat")
    door.daemon.write_conf((door.daemon.config / "healthd.conf").read_text().split("Tokn")[0])
    door.start()
    texts = [door.daemon.verify().stderr, door.daemon.stderr()]
    for path in ("/health", "/metrics", "/health/alerts", "/made/up"):
        texts.append(door.ask(ids.client, TOKEN, path)[1])
        texts.append(door.ask(ids.client, OTHER_TOKEN, path)[1])
    with open(f"/proc/{door.daemon.process.pid}/cmdline", encoding="ascii") as file:
        texts.append(file.read())
    for text in texts + [shown.stdout, shown.stderr]:
        assert TOKEN not in text and OTHER_TOKEN not in text and key not in text
