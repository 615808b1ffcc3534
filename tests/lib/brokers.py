# SPDX-License-Identifier: LGPL-2.1-or-later
"""Message brokers for the tests, in the manner of servers.py."""

import base64
import hashlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from process import can_connect, end_process, free_port, wait_until
from servers import Server


class RabbitMq(Server):
    """
    RabbitMQ with its management plug-in, and TLS for both if there are certificates. Users, with
    their names as passwords:

        admin    may do everything
        watcher  may look at the virtual host "/" (tag management)
        plain    may log in to "/", but has no tag: not for the management plug-in
        nobody   has the tag, and permissions nowhere
    """

    user = "rabbitmq"
    start_timeout = 120.0
    program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    control = "/usr/lib/rabbitmq/bin/rabbitmqctl"

    USERS = {"admin": "administrator", "watcher": "management", "plain": "", "nobody": "management"}
    PERMISSIONS = [("admin", "/", ".*"), ("admin", "shop", ".*"), ("watcher", "/", "^$"),
                   ("plain", "/", "^$")]
    QUEUES = [("/", "orders"), ("/", "other"), ("shop", "a/b c")]

    def __init__(self, certificates=None):
        super().__init__("rabbitmq")
        if not os.path.exists(self.program):
            raise RuntimeError("no RabbitMQ here: ./dev test installs it")
        self.management_port = free_port()
        self.tls_port = free_port()
        self.management_tls_port = free_port()
        self.stomp_port = free_port()
        self.epmd_port = free_port()
        self.epmd = None
        self.certificates = certificates
        self.write_definitions()
        self.write_config()
        (self.directory / "plugins").write_text("[rabbitmq_management,rabbitmq_stomp].\n",
                                                encoding="utf-8")

    @staticmethod
    def hash_password(password):
        salt = b"salt"
        digest = hashlib.sha256(salt + password.encode()).digest()
        return base64.b64encode(salt + digest).decode()

    def write_definitions(self):
        definitions = {
            "users": [{"name": name, "password_hash": self.hash_password(name), "tags": tag,
                       "hashing_algorithm": "rabbit_password_hashing_sha256"}
                      for name, tag in self.USERS.items()],
            "vhosts": [{"name": "/"}, {"name": "shop"}],
            "permissions": [{"user": user, "vhost": vhost, "configure": pattern, "write": pattern,
                             "read": pattern} for user, vhost, pattern in self.PERMISSIONS],
            "queues": [{"vhost": vhost, "name": name, "durable": True, "auto_delete": False,
                        "arguments": {}} for vhost, name in self.QUEUES],
        }
        (self.directory / "definitions.json").write_text(json.dumps(definitions), encoding="utf-8")

    def write_config(self):
        lines = [f"listeners.tcp.local = 127.0.0.1:{self.port}",
                 "management.tcp.ip = 127.0.0.1",
                 f"management.tcp.port = {self.management_port}",
                 f"stomp.listeners.tcp.local = 127.0.0.1:{self.stomp_port}",
                 f"load_definitions = {self.directory}/definitions.json",
                 "log.console = true", "log.file = false"]
        if self.certificates:
            certificate, key = self.readable_certificate()
            for prefix in ("ssl_options", "management.ssl"):
                lines += [f"{prefix}.cacertfile = {self.directory}/ca.crt",
                          f"{prefix}.certfile = {certificate}", f"{prefix}.keyfile = {key}"]
            # The certificate knows nothing of 127.0.0.2.
            lines += [f"listeners.ssl.local = 127.0.0.1:{self.tls_port}",
                      f"listeners.ssl.other = 127.0.0.2:{self.tls_port}",
                      "ssl_options.verify = verify_none", "management.ssl.ip = 127.0.0.1",
                      f"management.ssl.port = {self.management_tls_port}"]
        (self.directory / "rabbitmq.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def readable_certificate(self):
        names = []
        for source in (*self.certificates.issue("rabbitmq"), self.certificates.ca):
            names.append(self.directory / pathlib.Path(source).name)
            shutil.copy(source, names[-1])
            names[-1].chmod(0o644)
        return names[:2]

    def with_environment(self, command):
        variables = {
            "HOME": self.directory, "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin:/usr/sbin",
            "ERL_EPMD_PORT": self.epmd_port, "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_DIST_PORT": free_port(),
            "RABBITMQ_MNESIA_BASE": self.directory / "mnesia",
            "RABBITMQ_LOG_BASE": self.directory,
            "RABBITMQ_GENERATED_CONFIG_DIR": self.directory / "generated",
            "RABBITMQ_CONFIG_FILE": self.directory / "rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": self.directory / "advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.directory / "plugins",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        return ["env", *(f"{name}={value}" for name, value in variables.items()), *command]

    def command(self):
        return self.with_environment([self.program])

    def start(self):
        """With an epmd of its own: the one that RabbitMQ starts by itself stays for ever."""
        with open(self.log, "ab") as log:
            self.epmd = subprocess.Popen(  # pylint: disable=consider-using-with
                self.as_user([str(word) for word in self.with_environment(
                    ["epmd", "-port", self.epmd_port, "-address", "127.0.0.1"])]),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)
        wait_until("epmd listens", lambda: can_connect(("127.0.0.1", self.epmd_port)))
        return super().start()

    def is_ready(self):
        if not super().is_ready():
            return False
        try:
            return self.api("GET", "/api/queues/%2F/orders")["name"] == "orders"
        except OSError:
            return False

    def stop(self):
        super().stop()
        if self.epmd:
            end_process(self.epmd)

    def api(self, method, path, body=None):
        """One request to the management plug-in as admin."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.management_port}{path}", method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": "Basic " + base64.b64encode(b"admin:admin").decode(),
                     "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
            return json.loads(text) if text else None

    def ctl(self, *words):
        subprocess.run(self.as_user([str(word) for word in self.with_environment(
            [self.control, *words])]), check=True, timeout=60, stdout=subprocess.DEVNULL)

    def publish(self, n, queue="orders", vhost="/"):
        for _ in range(n):
            answer = self.api("POST", f"/api/exchanges/{urllib.parse.quote(vhost, safe='')}"
                              "/amq.default/publish",
                              {"properties": {}, "routing_key": queue, "payload": "x",
                               "payload_encoding": "string"})
            assert answer["routed"]

    def purge(self, queue="orders"):
        self.api("DELETE", f"/api/queues/%2F/{queue}/contents")

    def consume(self, queue="orders", prefetch=1):
        """A consumer that takes messages and acknowledges none, until the socket is closed."""
        client = socket.create_connection(("127.0.0.1", self.stomp_port), timeout=10)
        client.sendall(b"CONNECT\nlogin:admin\npasscode:admin\nhost:/\naccept-version:1.2\n\n\0")
        assert client.recv(4096).startswith(b"CONNECTED")
        client.sendall(f"SUBSCRIBE\nid:1\nack:client-individual\nprefetch-count:{prefetch}\n"
                       f"destination:/amq/queue/{queue}\n\n\0".encode())
        return client


class Nats(Server):
    """nats-server with its monitoring port and JetStream, in two accounts: SHOP and BACK."""

    CONFIG = """
        host: 127.0.0.1
        port: {port}
        http: "127.0.0.1:{monitoring_port}"
        {jetstream}
        accounts {{
            SHOP {{ {account} users: [ {{ user: shop, password: shop }} ] }}
            BACK {{ {account} users: [ {{ user: back, password: back }} ] }}
        }}
    """

    def __init__(self, jetstream=True):
        super().__init__("nats-server")
        self.monitoring_port = free_port()
        store = f'jetstream {{ store_dir: "{self.directory}" }}'
        (self.directory / "nats.conf").write_text(self.CONFIG.format(
            port=self.port, monitoring_port=self.monitoring_port,
            jetstream=store if jetstream else "",
            account="jetstream: enabled," if jetstream else ""), encoding="utf-8")

    def command(self):
        return [shutil.which("nats-server") or "/usr/sbin/nats-server", "-c",
                self.directory / "nats.conf"]

    def is_ready(self):
        return super().is_ready() and can_connect(("127.0.0.1", self.monitoring_port))

    def client(self, user="shop"):
        return NatsClient(self.port, user)


class NatsClient:
    """As much of NATS's protocol as JetStream's API needs."""

    def __init__(self, port, user):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rwb")
        self.file.readline()
        self.send(f'CONNECT {{"verbose":false,"user":"{user}","pass":"{user}"}}\r\nSUB inbox 1')

    def send(self, text):
        self.file.write(text.encode() + b"\r\n")
        self.file.flush()

    def ask(self, subject, value):
        """Publishes and returns what is answered, as JSON if it is that."""
        text = json.dumps(value)
        self.send(f"PUB {subject} inbox {len(text)}\r\n{text}")
        while True:
            line = self.file.readline().decode()
            if line.startswith("PING"):
                self.send("PONG")
            elif line.startswith("MSG"):
                answer = json.loads(self.file.read(int(line.split()[-1]) + 2))
                assert "error" not in answer, answer
                return answer

    def add_stream(self, name):
        self.ask(f"$JS.API.STREAM.CREATE.{name}", {"name": name, "subjects": [f"{name}.>"]})

    def delete_stream(self, name):
        self.ask(f"$JS.API.STREAM.DELETE.{name}", {})

    def add_consumer(self, stream, name):
        self.ask(f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}",
                 {"stream_name": stream,
                  "config": {"durable_name": name, "ack_policy": "explicit"}})

    def publish(self, stream, n):
        for i in range(n):
            self.ask(f"{stream}.new", {"number": i})

    def take(self, stream, consumer):
        """Has one message delivered, and does not acknowledge it."""
        self.ask(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}", {"batch": 1})

    def close(self):
        self.file.close()
        self.socket.close()


class KafkaMock(Server):
    """The mock brokers of librdkafka (kafka-mock.c): Kafka's protocol, but no Kafka."""

    def __init__(self):
        super().__init__("kafka-mock")
        self.program = pathlib.Path(os.environ["HEALTHD_BUILD"], "tests/kafka-mock")
        self.address = None

    @staticmethod
    def is_built():
        return pathlib.Path(os.environ["HEALTHD_BUILD"], "tests/kafka-mock").exists()

    def command(self):
        return [self.program]

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                [str(self.program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                cwd=self.directory, text=True)
        self.address = self.process.stdout.readline().strip()
        if not self.address:
            self.kill9()
            raise RuntimeError(f"the mock brokers did not start\n{self.log_text()}")
        return self

    def order(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n"
