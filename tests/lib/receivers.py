# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who is told by alerts: a webhook, an Alertmanager, a mail server."""

import email
import email.policy
import http.server
import json
import os
import ssl
import subprocess
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from process import free_port
from servers import Server


class Webhook:
    """An endpoint of the user's own: keeps what it is sent, and misbehaves when told to."""

    def __init__(self, port=None):
        self.port = port or free_port()
        self.requests = []  # (path, headers, body)
        self.status = 200
        self.hang = threading.Event()
        self.released = threading.Event()
        self.server = None
        self.thread = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook"

    def start(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.hang.is_set():
                    receiver.released.wait(60)
                    self.close_connection = True
                    return
                receiver.requests.append((self.path, dict(self.headers), body))
                self.send_response(receiver.status)
                self.end_headers()
                self.wfile.write(b"taken" if receiver.status == 200 else b"no room here")

            def log_message(self, *arguments):  # pylint: disable=arguments-differ
                pass

        self.released.clear()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def stop(self):
        if not self.server:
            return
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)
        self.server = None

    close = stop

    def messages(self):
        return [json.loads(body) for _, _, body in list(self.requests)]

    def events(self):
        """(check, state) of everything received, oldest first."""
        return [(event["check"], event["state"]) for message in self.messages()
                for event in message["events"]]


class Alertmanager(Server):
    """prometheus-alertmanager that hands on to a webhook, quickly."""

    def __init__(self, webhook_url):
        super().__init__("alertmanager")
        self.webhook_url = webhook_url

    def command(self):
        config = self.directory / "alertmanager.yml"
        config.write_text(json.dumps({
            "route": {"receiver": "hook", "group_by": ["check"], "group_wait": "100ms",
                      "group_interval": "200ms", "repeat_interval": "1h"},
            "receivers": [{"name": "hook", "webhook_configs": [
                {"url": self.webhook_url, "send_resolved": True}]}]}), encoding="ascii")
        return ["prometheus-alertmanager", f"--config.file={config}",
                f"--storage.path={self.directory}/data", "--cluster.listen-address=",
                f"--web.listen-address=127.0.0.1:{self.port}"]

    def amtool(self, *arguments):
        return subprocess.run(["amtool", f"--alertmanager.url=http://127.0.0.1:{self.port}",
                               *arguments], capture_output=True, text=True, check=True,
                              timeout=30, env=os.environ).stdout


class Mail:
    """An SMTP server, with STARTTLS and a login if there are certificates."""

    def __init__(self, certificate=None, key=None, login=None):
        self.messages = []  # (sender, recipients, email.message)
        self.login = login
        self.logins = []
        self.port = free_port()
        options = {}
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            options = {"tls_context": context, "require_starttls": True}
        if login:
            options |= {"authenticator": self.authenticate, "auth_required": True}
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)

    def authenticate(self, _server, _session, _envelope, _mechanism, data):
        given = (data.login.decode(), data.password.decode())
        self.logins.append(given)
        return AuthResult(success=given == self.login)

    async def handle_DATA(self, _server, _session, envelope):  # pylint: disable=invalid-name
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.messages.append((envelope.mail_from, envelope.rcpt_tos, message))
        return "250 taken"

    def start(self):
        self.controller.start()
        return self

    def close(self):
        self.controller.stop()


class FdStore:
    """systemd's descriptor store, for a daemon that is killed and started again."""

    def __init__(self, notify):
        self.notify = notify

    def start(self, daemon, **options):
        """Starts the daemon with what the one before had kept."""
        kept = dict(self.notify.kept)
        if not kept:
            return daemon.start(notify=True, **options)
        names, descriptors = zip(*kept.items())
        moves = " ".join(f"{3 + i}<&{fd}" for i, fd in enumerate(descriptors))
        # Moved out of the way first: any of them may have another's number.
        script = f'exec {moves}; LISTEN_FDS={len(names)} LISTEN_FDNAMES={":".join(names)} ' \
                 'LISTEN_PID=$$ exec "$@"'
        return daemon.start(notify=True, prefix=("bash", "-c", script, "bash"),
                            pass_fds=descriptors, **options)
