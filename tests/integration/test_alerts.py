# SPDX-License-Identifier: LGPL-2.1-or-later
"""Alerts, told to real receivers, some of which are away, slow or broken."""

import hashlib
import hmac
import json
import os
import pathlib
import socket
import time

import pytest

from alerts import (WEBHOOK, alert, control, said, start_and_fail, stays, write_alert,
                    write_check)
from process import free_port, wait_until
from receivers import Alertmanager, Mail, Webhook

SECRET = "correct horse battery staple"


def test_a_failure_and_its_recovery_are_told(daemon, service, webhook):
    write_check(daemon, service, keys="Description=The shop\nGroups=web money\n")
    write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, keys="", sink=""))
    daemon.start()
    daemon.wait_status("shop", "healthy")
    service.down()
    wait_until("the failure", lambda: len(webhook.requests) == 1)
    message = webhook.messages()[0]
    event = message["events"][0]
    assert (message["alert"], message["test"]) == ("ops", False)
    assert message["subject"] == f"{socket.gethostname()}: shop is unhealthy"
    assert (event["check"], event["state"], event["status"]) == ("shop", "firing", "unhealthy")
    assert (event["description"], event["groups"]) == ("The shop", "web money")
    assert "service.sock" in event["reason"] and event["type"] == "tcp"
    assert abs(event["since"] - time.time()) < 20
    stays("told once", lambda: len(webhook.requests) == 1)
    assert alert(daemon, "ops")["open"] == 1
    service.up()
    wait_until("the recovery", lambda: len(webhook.requests) == 2)
    recovery = webhook.messages()[1]["events"][0]
    assert (recovery["state"], recovery["id"]) == ("resolved", event["id"])
    assert recovery["until"] >= recovery["since"] == event["since"]
    shown = alert(daemon, "ops")
    assert (shown["state"], shown["open"], shown["waiting"], shown["sent"]) == ("idle", 0, 0, 2)
    wait_until("the journal", lambda: len(said(daemon, "The alert ops was sent")) == 2)
    assert 'healthd_alerts_total{alert="ops",result="sent"} 2' in daemon.get("/metrics").text


def test_who_is_asked_about_what(daemon, service, webhook):
    other, late = Webhook().start(), Webhook().start()
    try:
        write_check(daemon, service, "shop-a", "Groups=web\n")
        write_check(daemon, service, "shop-b")
        write_alert(daemon, "by-glob", WEBHOOK.format(url=webhook.url, sink="",
                                                      keys="Checks=x* *-b\nSendResolved=no\n"))
        write_alert(daemon, "by-group", WEBHOOK.format(url=other.url, keys="Groups=web\n",
                                                       sink=""))
        write_alert(daemon, "late", WEBHOOK.format(url=late.url, keys="After=1h\n", sink=""))
        daemon.start()
        for name in ("shop-a", "shop-b"):
            daemon.wait_status(name, "healthy")
        service.down()
        wait_until("both", lambda: webhook.requests and other.requests)
        service.up()
        wait_until("the recovery", lambda: len(other.requests) == 2)
        stays("only what was asked for", lambda: webhook.events() == [("shop-b", "firing")]
              and other.events() == [("shop-a", "firing"), ("shop-a", "resolved")])
        assert not late.requests
        assert alert(daemon, "late")["waiting"] == alert(daemon, "late")["open"] == 0
    finally:
        other.close()
        late.close()


def test_what_fails_together_is_one_message(daemon, service, webhook):
    for i in range(20):
        write_check(daemon, service, f"shop{i}")
    write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, sink="", keys="Merge=3s\n"))
    daemon.start()
    daemon.wait_for(lambda answer: all(check["status"] == "healthy"
                                       for check in answer.json["checks"].values()))
    service.down()
    wait_until("all", lambda: len(webhook.events()) == 20, 20)
    assert len(webhook.requests) <= 2
    assert "checks fail" in webhook.messages()[0]["subject"]


def test_silenced_checks_are_not_told_but_their_recovery_is(daemon, service, webhook):
    write_check(daemon, service, "shop")
    write_check(daemon, service, "cellar")
    write_check(daemon, service, "attic", "DependsOn=shop\n")
    write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, sink="", keys=""))
    daemon.start()
    for name in ("shop", "cellar", "attic"):
        daemon.wait_status(name, "healthy")
    assert control(daemon, "silence", {"check": "cellar", "duration": "1h", "reason": "x"})[0] == 200
    service.down()
    for name in ("shop", "cellar", "attic"):
        daemon.wait_status(name, "unhealthy")
    wait_until("the cause", webhook.events)
    stays("nothing but the cause", lambda: webhook.events() == [("shop", "firing")])
    # Once it is told, a silence does not keep the recovery back.
    assert control(daemon, "silence", {"check": "shop", "duration": "1h", "reason": "x"})[0] == 200
    service.up()
    wait_until("the recovery", lambda: len(webhook.events()) == 2)
    stays("no more", lambda: webhook.events()[1:] == [("shop", "resolved")])


def test_flapping_is_told_once(daemon, service, webhook):
    write_check(daemon, service)
    write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, sink="", keys="Merge=100ms\n"))
    daemon.start()
    daemon.wait_status("shop", "healthy")
    for _ in range(4):
        service.down()
        daemon.wait_status("shop", "unhealthy")
        service.up()
        daemon.wait_status("shop", "healthy")
    assert daemon.check("shop")["flapping"]
    for _ in range(3):
        service.down()
        daemon.wait_status("shop", "unhealthy")
        service.up()
        daemon.wait_status("shop", "healthy")
    # 7 failures: as many as before it counted as flapping, and one for all the others.
    before = webhook.events()
    assert len(before) <= 8 and before[-1] == ("shop", "firing"), before
    wait_until("calm", lambda: webhook.events()[-1] == ("shop", "resolved"), 30)
    assert len(webhook.events()) == len(before) + 1


def test_a_receiver_that_is_away_for_the_whole_outage(daemon, service, webhook):
    """Kill -9 in between: what is to be told survives, and each thing arrives once."""
    write_check(daemon, service)
    write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, sink="", keys=""))
    webhook.stop()
    store = start_and_fail(daemon, service)
    daemon.wait_status("shop", "unhealthy")
    wait_until("it tries", lambda: alert(daemon, "ops")["failed"] >= 1)
    daemon.kill()
    store.start(daemon)
    wait_until("it tries again", lambda: alert(daemon, "ops")["failed"] >= 1)
    service.up()
    daemon.wait_status("shop", "healthy")
    daemon.kill()
    webhook.start()
    store.start(daemon)
    wait_until("both", lambda: len(webhook.events()) == 2, 30)
    stays("each once", lambda: webhook.events() == [("shop", "firing"), ("shop", "resolved")])
    assert "service.sock" in webhook.messages()[0]["events"][0]["reason"]
    assert alert(daemon, "ops")["waiting"] == 0


def test_what_was_told_is_not_told_again_after_a_kill(daemon, service, webhook):
    write_check(daemon, service)
    write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, sink="", keys=""))
    store = start_and_fail(daemon, service)
    wait_until("the failure", lambda: len(webhook.requests) == 1)
    wait_until("noted", lambda: alert(daemon, "ops")["sent"] == 1)
    daemon.kill()
    service.up()
    store.start(daemon)
    wait_until("the recovery", lambda: len(webhook.requests) == 2, 30)
    stays("once", lambda: webhook.events() == [("shop", "firing"), ("shop", "resolved")])


def test_a_receiver_that_refuses_is_tried_again(daemon, service, webhook):
    write_check(daemon, service)
    webhook.status = 503
    write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, sink="", keys=""))
    daemon.start()
    daemon.wait_status("shop", "healthy")
    service.down()
    wait_until("three attempts", lambda: alert(daemon, "ops")["failed"] >= 3, 30)
    shown = alert(daemon, "ops")
    assert shown["detail"].endswith("status 503: no room here") and shown["state"] == "failing"
    assert len(said(daemon, "The alert ops cannot be sent")) == 1
    webhook.status = 200
    wait_until("sent", lambda: alert(daemon, "ops")["sent"] == 1, 30)
    wait_until("the journal", lambda: said(daemon, "The alert ops works again after"))


def test_a_receiver_that_hangs_holds_up_nobody(daemon, service, webhook):
    """1000 failures within a second; how late the loop is then, bench/run --only=alerts says."""
    other = Webhook().start()
    try:
        webhook.hang.set()
        for i in range(1000):
            daemon.write_check(f"shop{i}", "[Check]\nType=tcp\nInterval=1s\nFailAfter=1\n"
                               f"BreakerAfter=0\n[TCP]\nAddress={service.path}\n")
        write_alert(daemon, "stuck", WEBHOOK.format(url=webhook.url, sink="",
                                                    keys="Timeout=2s\n"))
        write_alert(daemon, "well", WEBHOOK.format(url=other.url, sink="", keys=""))
        daemon.start()
        daemon.wait_for(lambda answer: all(check["status"] == "healthy"
                                           for check in answer.json["checks"].values()), 40)
        service.down()
        # Half of the room is each one's, and the others that fail are counted.
        wait_until("what has room", lambda: len(set(other.events())) == 256, 60)
        wait_until("all fail", lambda: alert(daemon, "stuck")["dropped"] == 1000 - 256, 60)
        no_room = said(daemon, "The alert stuck has no room")
        assert len(no_room) == 1 and "256 failures are remembered at most" in no_room[0]
        assert alert(daemon, "stuck")["waiting"] == 256
        assert f'{{alert="stuck",result="dropped"}} {1000 - 256}' in daemon.get("/metrics").text
        wait_until("the deadline", lambda: alert(daemon, "stuck")["failed"] >= 2, 30)
        shown = alert(daemon, "stuck")
        assert "not within Timeout=2s" in shown["detail"] and shown["sent"] == 0
        webhook.hang.clear()
        webhook.released.set()
        wait_until("the same for both", lambda: len(set(webhook.events())) == 256, 60)
        service.up()
        for receiver in (webhook, other):
            wait_until("all recoveries", lambda r=receiver: len(set(r.events())) >= 512, 60)
        for name in ("stuck", "well"):
            wait_until("nothing is left", lambda n=name: alert(daemon, n)["open"] == 0, 60)
            wait_until("it is said", lambda n=name: said(
                daemon, f"The alert {n} has room again. {1000 - 256} failures were left out"), 60)
    finally:
        other.close()


def test_alertmanager_is_told_until_it_is_over(daemon, service, webhook):
    server = Alertmanager(webhook.url).start()
    try:
        write_check(daemon, service)
        write_alert(daemon, "am", "[Alert]\nType=alertmanager\nMerge=1s\n[Alertmanager]\n"
                    f"URL=http://127.0.0.1:{server.port}/\nResend=1s\nLabel=team=web\n")
        server.stop()
        store = start_and_fail(daemon, service)
        daemon.wait_status("shop", "unhealthy")
        wait_until("it tries", lambda: alert(daemon, "am")["failed"] >= 1)
        daemon.kill()
        server.start()
        store.start(daemon)
        wait_until("firing", lambda: webhook.requests, 30)
        # It is told every second, says that it holds for four, and is not forgotten.
        wait_until("resends", lambda: alert(daemon, "am")["sent"] >= 7, 30)
        assert len(webhook.requests) == 1
        labels = webhook.messages()[0]["alerts"][0]["labels"]
        assert labels == {"alertname": "HealthdCheck", "check": "shop", "job": "healthd",
                          "instance": socket.gethostname(), "severity": "critical",
                          "team": "web"}
        assert "shop" in server.amtool("alert", "query")
        # The journal does not tell of resends.
        assert len(said(daemon, "The alert am")) <= 2
        service.up()
        wait_until("resolved", lambda: len(webhook.requests) == 2, 30)
        assert [message["status"] for message in webhook.messages()] == ["firing", "resolved"]
    finally:
        server.close()


def test_alertmanager_away_for_the_whole_outage(daemon, service, webhook):
    server = Alertmanager(webhook.url).start()
    try:
        server.stop()
        write_check(daemon, service)
        write_alert(daemon, "am", "[Alert]\nType=alertmanager\nMerge=3s\n[Alertmanager]\n"
                    f"URL=http://127.0.0.1:{server.port}\n")
        store = start_and_fail(daemon, service)
        wait_until("it tries", lambda: alert(daemon, "am")["failed"] >= 1)
        daemon.kill()
        service.up()
        store.start(daemon)
        daemon.wait_status("shop", "healthy")
        server.start()
        wait_until("both", lambda: len(webhook.requests) == 2, 60)
        stays("each once", lambda: [message["status"] for message in webhook.messages()]
              == ["firing", "resolved"])
    finally:
        server.close()


def test_mail_goes_out_encrypted_and_logged_in(daemon, service, certificates):
    mail = Mail(*certificates.issue("mail"), login=("healthd", SECRET)).start()
    try:
        credentials = daemon.directory / "credentials"
        credentials.mkdir()
        (credentials / "mail").write_text(SECRET + "\n", encoding="ascii")
        write_check(daemon, service, "shop", "Description=Größe\n")
        write_alert(daemon, "mail", "[Alert]\nType=email\nMerge=200ms\n[Email]\n"
                    f"URL=smtp://localhost:{mail.port}\nFrom=healthd@example.com\n"
                    "To=ops@example.com boss@example.com\nStartTLS=required\n"
                    f"Username=healthd\nPassword=credential:mail\nCAFile={certificates.ca}\n")
        daemon.start(env={"CREDENTIALS_DIRECTORY": str(credentials)})
        daemon.wait_status("shop", "healthy")
        service.down()
        wait_until("the mail", lambda: mail.messages, 20)
        sender, recipients, message = mail.messages[0]
        assert sender == "healthd@example.com"
        assert recipients == ["ops@example.com", "boss@example.com"]
        assert message["Subject"] == f"{socket.gethostname()}: shop is unhealthy"
        assert message["To"] == "ops@example.com, boss@example.com"
        assert message["Auto-Submitted"] == "auto-generated"
        assert "shop is unhealthy" in message.get_content()
        assert mail.logins == [("healthd", SECRET)]
        service.up()
        wait_until("the recovery", lambda: len(mail.messages) == 2, 20)
        assert "shop is healthy again" in mail.messages[1][2].get_content()
        assert SECRET not in daemon.stderr()
    finally:
        mail.close()


def test_mail_without_tls_is_refused_elsewhere(daemon, service):
    mail = Mail().start()
    try:
        write_check(daemon, service)
        write_alert(daemon, "mail", "[Alert]\nType=email\nMerge=0\n[Email]\n"
                    f"URL=smtp://127.0.0.1:{mail.port}\nFrom=healthd@example.com\n"
                    "To=ops@example.com\nStartTLS=required\n")
        daemon.start()
        daemon.wait_status("shop", "healthy")
        service.down()
        wait_until("it fails", lambda: alert(daemon, "mail")["failed"] >= 1)
        assert "StartTLS=no" in alert(daemon, "mail")["detail"] and not mail.messages
    finally:
        mail.close()


def script(daemon, text):
    path = daemon.directory / "tell"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    path.chmod(0o755)
    return path


def write_exec(daemon, path):
    write_alert(daemon, "program", f"[Alert]\nType=exec\nMerge=100ms\n[Exec]\nCommand={path} now\n"
                                   "Environment=WHO=somebody\n")


def test_a_program_gets_json(daemon, service):
    out = daemon.directory / "out"
    write_check(daemon, service)
    write_exec(daemon, script(daemon, f'{{ echo "$1 $WHO"; cat; }} > {out}.new; mv {out}.new {out}'))
    daemon.start()
    daemon.wait_status("shop", "healthy")
    service.down()
    wait_until("the program", out.exists, 20)
    first, message = out.read_text(encoding="utf-8").split("\n", 1)
    assert first == "now somebody" and json.loads(message)["events"][0]["check"] == "shop"


def test_a_program_of_others_is_not_run(daemon, service):
    out = daemon.directory / "out"
    path = script(daemon, f"touch {out}")
    write_check(daemon, service)
    write_exec(daemon, path)
    path.chmod(0o777)
    daemon.start()
    daemon.wait_status("shop", "healthy")
    service.down()
    wait_until("it is refused", lambda: alert(daemon, "program")["failed"] >= 1, 20)
    assert str(path) in alert(daemon, "program")["detail"] and not out.exists()


def test_a_webhook_signs_what_its_template_says(daemon, webhook):
    template = daemon.directory / "message.json"
    template.write_text('{"text": "$$ ${subject}: ${reason}", "key": "${id}", "do": "${action}"}',
                        encoding="ascii")
    daemon.write_check("self", "[Check]\nType=application\n")
    write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, keys="",
                                              sink=f"Template={template}\nSecret={SECRET}\n"))
    daemon.start()
    status, reply = control(daemon, "alert-test", {"alert": "ops"})
    assert status == 202
    wait_until("the end", lambda: alert(daemon, "ops")["test"]["state"] == "delivered")
    shown = alert(daemon, "ops")["test"]
    assert shown["id"] == reply["id"] and shown["detail"].endswith("status 200: taken")
    _, headers, body = webhook.requests[0]
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Healthd-Signature-256"] == f"sha256={digest}"
    assert headers["Content-Type"] == "application/json"
    message = json.loads(body)
    assert message["text"].startswith(f"$ TEST {socket.gethostname()}: alert-test is unhealthy")
    assert message["do"] == "trigger" and len(message["key"]) == 16


def test_a_test_says_what_went_wrong(daemon):
    daemon.write_check("self", "[Check]\nType=application\n")
    write_alert(daemon, "ops", WEBHOOK.format(url=f"http://127.0.0.1:{free_port()}/", keys="",
                                              sink=""))
    write_alert(daemon, "broken", "[Alert]\nType=webhok\n")
    daemon.start()
    assert control(daemon, "alert-test", {"alert": "ops"})[0] == 202
    wait_until("the end", lambda: alert(daemon, "ops")["test"]["state"] == "failed")
    assert "Connection refused" in alert(daemon, "ops")["test"]["detail"]
    status, reply = control(daemon, "alert-test", {"alert": "opps"})
    assert status == 404 and 'did you mean "ops"' in reply["detail"]
    assert control(daemon, "alert-test", {"alert": "broken"})[0] == 409
    assert control(daemon, "alert-test", {})[0] == 400
    # A file with mistakes takes nothing else down, and is seen.
    assert alert(daemon, "broken")["state"] == "broken"
    assert 'did you mean "webhook"' in alert(daemon, "broken")["problem"]
    assert said(daemon, "broken.alert:2: Type=webhok")


@pytest.mark.parametrize("text, complaint", [
    ("[Alert]\nType=webhook\n", "URL= is missing"),
    ("[Alert]\nType=webhook\nSeverity=bad\n[Webhook]\nURL=http://x/\n", "not one of: degraded"),
    ("[Alert]\nType=webhook\n[Webhook]\nURL=http://x/\nTemplate=/nowhere\n", "cannot be read"),
    ("[Alert]\nType=webhook\n[Webhook]\nURL=http://x/\nTemplate={bad}\n",
     "line 2: ${chek} is not known; did you mean ${check}?"),
    ("[Alert]\nType=email\n[Email]\nURL=smtp://mx\nFrom=a@b\nTo=c\n", "no plain address"),
    ("[Alert]\nType=email\n[Email]\nURL=smtp://mx\nFrom=a@b\nTo=c@d\nStartTLS=no\nUsername=u\n"
     "Password=p\n", "for all to read"),
    ("[Alert]\nType=email\n[Email]\nURL=http://mx\nFrom=a@b\nTo=c@d\n", "must be smtp://"),
    ("[Alert]\nType=exec\n", "Command= is missing"),
    ("[Alert]\nType=unit\n[Unit]\nUnit=page me\n", "the name of a unit"),
    ("[Alert]\nType=alertmanager\n[Alertmanager]\nURL=http://x\nResend=1ms\n", "Resend=1ms"),
])
def test_mistakes_are_named(daemon, text, complaint):
    bad = daemon.directory / "bad.json"
    bad.write_text('{\n"${chek}"}', encoding="ascii")
    write_alert(daemon, "ops", text.replace("{bad}", str(bad)))
    result = daemon.verify()
    assert result.returncode == 1 and complaint in result.stderr, result.stderr


EXAMPLES = pathlib.Path(os.environ["HEALTHD_SOURCE"], "alerts", "examples")


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.alert")))
def test_an_example_is_right(daemon, name):
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert text.startswith("# ")
    write_alert(daemon, name.removesuffix(".alert"),
                text.replace("/usr/share/doc/healthd/alerts/examples", str(EXAMPLES)))
    result = daemon.verify()
    assert result.returncode == 0 and not result.stderr, result.stderr


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.json")))
def test_a_template_makes_json(daemon, webhook, name):
    daemon.write_check("self", "[Check]\nType=application\n")
    write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, keys="",
                                              sink=f"Template={EXAMPLES / name}\n"))
    daemon.start()
    control(daemon, "alert-test", {"alert": "ops"})
    wait_until("the message", lambda: webhook.requests)
    assert "alert-test is unhealthy" in json.dumps(json.loads(webhook.requests[0][2]))
