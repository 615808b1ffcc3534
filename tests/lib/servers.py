# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real servers for the tests, each in a temporary directory and on free loopback ports."""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

from process import (can_connect, end_process, free_port, kill_tree, process_tree, signal_tree,
                     wait_until)


class Server:
    """What all servers share. After start() it accepts connections; stop() is always safe."""

    user = None  # who it must run as when the tests run as root
    stop_signal = signal.SIGTERM
    start_timeout = 20.0

    def __init__(self, name):
        self.name = name
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"healthd-{name}-"))
        self.directory.chmod(0o755)
        self.port = free_port()
        self.process = None
        self.log = self.directory / "log"
        if self.must_switch_user():
            shutil.chown(self.directory, self.user, self.user)

    def must_switch_user(self):
        return self.user is not None and os.geteuid() == 0

    def command(self):
        raise NotImplementedError

    def is_ready(self):
        return can_connect(("127.0.0.1", self.port))

    def as_user(self, command):
        if not self.must_switch_user():
            return command
        try:
            pwd.getpwnam(self.user)
        except KeyError:
            raise RuntimeError(f"no user {self.user} here: install the {self.name} package") \
                from None
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups",
                "--reset-env", "--", *command]

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                self.as_user([str(word) for word in self.command()]), stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, cwd=self.directory)
        try:
            wait_until(f"{self.name} accepts connections", self.answers_or_ended,
                       self.start_timeout)
        except (TimeoutError, RuntimeError) as error:
            self.kill9()
            raise RuntimeError(f"{error}\n{self.log_text()}") from error
        return self

    def answers_or_ended(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with status {self.process.returncode}")
        return self.is_ready()

    def log_text(self):
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def stop(self):
        """An orderly end; the data stays, start() works again."""
        if self.process:
            self.sigcont()
            end_process(self.process, self.stop_signal)

    def kill9(self):
        """What `kill -9` of every process of the server does."""
        if self.process:
            kill_tree(self.process)

    def sigstop(self):
        """A server that hangs: connections are accepted by the kernel and never served."""
        signal_tree(self.process, signal.SIGSTOP)

    def sigcont(self):
        signal_tree(self.process, signal.SIGCONT)

    def close(self):
        """stop() and forget the data."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()


class Certificates:
    """A certificate authority and what it signed, made by openssl."""

    def __init__(self, directory=None):
        self.owned = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="healthd-ca-"))
        self.directory.chmod(0o755)
        self.ca = self.directory / "ca.crt"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-days", "30", "-subj", "/CN=healthd test CA",
                     "-keyout", "ca.key", "-out", "ca.crt")

    def openssl(self, *arguments, stdin=None):
        result = subprocess.run(["openssl", *arguments], cwd=self.directory, capture_output=True,
                                text=True, input=stdin, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"openssl {' '.join(arguments)}: {result.stderr}")

    def issue(self, name, days=30, hosts=("DNS:localhost", "IP:127.0.0.1"), purpose=None):
        """Returns the paths (certificate, key) of a new certificate signed by this authority."""
        certificate, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        extensions = f"subjectAltName={','.join(hosts)}\n"
        if purpose:
            extensions += f"extendedKeyUsage={purpose}\n"
        (self.directory / f"{name}.ext").write_text(extensions, encoding="ascii")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                     "-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext",
                     "-out", f"{name}.crt")
        return certificate, key

    def close(self):
        if self.owned:
            shutil.rmtree(self.directory, ignore_errors=True)


class Redis(Server):
    """redis-server with a port (plain or, with certificates, TLS) and a unix socket."""

    def __init__(self, password=None, certificates=None, arguments=()):
        super().__init__("redis")
        self.socket = str(self.directory / "redis.sock")
        self.password = password
        self.arguments = list(arguments)
        self.tls_port = 0
        self.certificates = certificates
        if certificates:
            self.tls_port = free_port()
            certificate, key = certificates.issue("redis")
            self.arguments += ["--tls-port", self.tls_port, "--tls-cert-file", certificate,
                               "--tls-key-file", key, "--tls-ca-cert-file", certificates.ca,
                               "--tls-auth-clients", "no"]

    def command(self):
        command = ["redis-server", "--port", self.port, "--bind", "127.0.0.1",
                   "--unixsocket", self.socket, "--unixsocketperm", "777", "--save", "",
                   "--dir", self.directory, "--daemonize", "no"]
        if self.password:
            command += ["--requirepass", self.password]
        return command + self.arguments

    def is_ready(self):
        return super().is_ready() and self.cli("PING").startswith(("PONG", "NOAUTH", "MASTERAUTH"))

    def cli(self, *words):
        """Runs one command over the unix socket and returns the reply as redis-cli prints it."""
        environment = dict(os.environ)
        if self.password:
            environment["REDISCLI_AUTH"] = self.password
        return subprocess.run(["redis-cli", "-s", self.socket, *words], capture_output=True,
                              text=True, env=environment, timeout=10, check=False).stdout.strip()


class Postgres(Server):
    """A fresh cluster: role postgres without a password, or with one by SCRAM over TCP."""

    user = "postgres"
    stop_signal = signal.SIGINT  # "fast": does not wait for clients

    def __init__(self, password=None, certificates=None, settings=()):
        super().__init__("postgresql")
        self.binaries = self.find_binaries()
        self.data = self.directory / "data"
        self.password = password
        self.socket_directory = str(self.directory)
        initdb = [self.binaries / "initdb", "-D", self.data, "-U", "postgres", "--no-sync",
                  "--no-instructions", "--locale=C", "--encoding=UTF8", "--auth-local=trust",
                  f"--auth-host={'scram-sha-256' if password else 'trust'}"]
        if password:
            (self.directory / "password").write_text(password + "\n", encoding="utf-8")
            initdb.append(f"--pwfile={self.directory / 'password'}")
        subprocess.run(self.as_user([str(word) for word in initdb]), check=True,
                       stdout=subprocess.DEVNULL, cwd=self.directory)
        self.settings = ["fsync=off", *settings]
        if certificates:
            self.use_certificate(*certificates.issue("postgresql"))

    @staticmethod
    def find_binaries():
        versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"),
                          key=lambda path: int(path.parts[-3]))
        if not versions:
            raise RuntimeError("no PostgreSQL server here: ./dev test installs it")
        return versions[-1].parent

    def use_certificate(self, certificate, key):
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            target = self.directory / name
            shutil.copy(source, target)
            target.chmod(0o600)
            if self.must_switch_user():
                shutil.chown(target, self.user, self.user)
            option = "ssl_cert_file" if name.endswith("crt") else "ssl_key_file"
            self.settings.append(f"{option}={target}")
        self.settings.append("ssl=on")

    def command(self):
        options = [word for setting in self.settings for word in ("-c", setting)]
        return [self.binaries / "postgres", "-D", self.data, "-p", self.port, "-c",
                "listen_addresses=127.0.0.1", "-k", self.socket_directory, *options]

    def is_ready(self):
        ready = subprocess.run([self.binaries / "pg_isready", "-q", "-t", "2", "-h",
                                self.socket_directory, "-p", str(self.port)], check=False)
        return ready.returncode == 0

    def sql(self, text):
        """Runs statements as the superuser over the unix socket and returns the bare output."""
        result = subprocess.run(
            [self.binaries / "psql", "-h", self.socket_directory, "-p", str(self.port), "-U",
             "postgres", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", text],
            capture_output=True, text=True, timeout=20, check=False)
        if result.returncode != 0:
            raise RuntimeError(f"psql: {result.stderr}")
        return result.stdout.strip()

    def backends(self):
        """How many processes serve clients or have just been forked to."""
        return len(process_tree(self.process.pid)) - 1


class Nginx(Server):
    """nginx with the given contents of its http {} block, {port} and {directory} filled in."""

    DEFAULT = """
        server {{
            listen 127.0.0.1:{port};
            location / {{ return 200 "ok\\n"; }}
        }}
    """

    stop_signal = signal.SIGQUIT

    def __init__(self, http=DEFAULT, **values):
        super().__init__("nginx")
        self.http = http
        self.values = values
        self.write_config(http)

    def write_config(self, http):
        """Replaces the http {} block; takes effect at the next start() or reload()."""
        body = http.format(port=self.port, directory=self.directory, **self.values)
        (self.directory / "nginx.conf").write_text(f"""
            daemon off;
            pid {self.directory}/nginx.pid;
            error_log stderr;
            worker_processes 1;
            events {{ worker_connections 512; }}
            http {{
                access_log off;
                client_body_temp_path {self.directory}/body;
                proxy_temp_path {self.directory}/proxy;
                fastcgi_temp_path {self.directory}/fastcgi;
                uwsgi_temp_path {self.directory}/uwsgi;
                scgi_temp_path {self.directory}/scgi;
                {body}
            }}
        """, encoding="utf-8")

    def command(self):
        return [shutil.which("nginx") or "/usr/sbin/nginx", "-e", "stderr", "-p", self.directory,
                "-c", self.directory / "nginx.conf"]

    def reload(self):
        self.process.send_signal(signal.SIGHUP)


class Dnsmasq(Server):
    """dnsmasq with the given options; addresses of names are also read from hosts, by reload()."""

    def __init__(self, *options, host="127.0.0.1", port=None):
        super().__init__("dnsmasq")
        self.host = host
        self.port = port or self.port
        self.options = options
        self.hosts = self.directory / "hosts"
        self.hosts.touch()

    def command(self):
        return [shutil.which("dnsmasq") or "/usr/sbin/dnsmasq", "--keep-in-foreground",
                "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=", "--local-ttl=60",
                f"--pid-file={self.directory}/pid", f"--addn-hosts={self.hosts}",
                f"--listen-address={self.host}", "--bind-interfaces", f"--port={self.port}",
                "--log-facility=-", *self.options]

    def is_ready(self):
        return can_connect((self.host, self.port))

    def reload(self):
        self.process.send_signal(signal.SIGHUP)


class NodeExporter(Server):
    """prometheus-node-exporter, with TLS if it gets certificates."""

    def __init__(self, certificates=None):
        super().__init__("node-exporter")
        self.arguments = []
        if certificates:
            certificate, key = certificates.issue("node-exporter")
            web = self.directory / "web.yml"
            web.write_text(f"tls_server_config:\n  cert_file: {certificate}\n"
                           f"  key_file: {key}\n", encoding="utf-8")
            self.arguments.append(f"--web.config.file={web}")

    def command(self):
        return ["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{self.port}",
                *self.arguments]


class Prometheus(Server):
    """prometheus, which scrapes nothing and tells of itself."""

    def __init__(self):
        super().__init__("prometheus")

    def command(self):
        config = self.directory / "prometheus.yml"
        config.write_text("scrape_configs: []\n", encoding="utf-8")
        return ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.directory}/db",
                f"--web.listen-address=127.0.0.1:{self.port}"]


class BlackHole:
    """A bound UDP socket that never answers: a name server that has gone silent."""

    def __init__(self, host, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


@contextlib.contextmanager
def full_backlog(host, port=0):
    """A port that neither accepts nor refuses: the kernel drops what asks for a connection."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
