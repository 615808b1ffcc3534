# SPDX-License-Identifier: LGPL-2.1-or-later
"""When alerts are told: After=, Reminder=, receivers that were away, and what a reload changes."""

import time

from alerts import (WEBHOOK, alert, control, said, start_and_fail, stays, write_alert,
                    write_check)
from process import wait_until
from receivers import Alertmanager, Mail, Webhook


def test_after_leaves_out_what_is_over_soon(daemon, service, webhook):
    write_check(daemon, service)
    write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, sink="", keys="After=4s\n"))
    daemon.start()
    daemon.wait_status("shop", "healthy")
    service.down()
    daemon.wait_status("shop", "unhealthy")
    assert (alert(daemon, "ops")["waiting"], alert(daemon, "ops")["open"]) == (0, 0)
    service.up()
    daemon.wait_status("shop", "healthy")
    stays("neither it nor its recovery", lambda: not webhook.requests, 5)
    service.down()
    since = daemon.wait_status("shop", "unhealthy")["since"]
    wait_until("the failure", webhook.requests.__len__)
    assert time.time() - since >= 4
    event = webhook.messages()[0]["events"][0]
    assert event["state"] == "firing" and abs(event["since"] - since) < 0.001
    service.up()
    wait_until("the recovery", lambda: webhook.events() == [("shop", "firing"),
                                                            ("shop", "resolved")])


def test_after_goes_on_over_a_kill(daemon, service, webhook):
    write_check(daemon, service)
    write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, sink="", keys="After=5s\n"))
    store = start_and_fail(daemon, service)
    since = daemon.wait_status("shop", "unhealthy")["since"]
    time.sleep(3)
    daemon.kill()
    store.start(daemon)
    begun = time.time()
    wait_until("the failure", webhook.requests.__len__)
    # Counted from the failure, not from the start.
    assert time.time() - since >= 5 and time.time() - begun < 5
    assert abs(webhook.messages()[0]["events"][0]["since"] - since) < 0.001


def test_reminders_of_what_lasts_but_not_of_what_is_silenced(daemon, service, webhook):
    """Takes a minute, the shortest Reminder= there is."""
    mail = Mail().start()
    try:
        write_check(daemon, service)
        write_check(daemon, service, "cellar")
        write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, sink="", keys="Reminder=1min\n"))
        write_alert(daemon, "mail", "[Alert]\nType=email\nMerge=0\nReminder=1min\nChecks=shop\n"
                    f"[Email]\nURL=smtp://127.0.0.1:{mail.port}\nFrom=healthd@example.com\n"
                    "To=ops@example.com\n")
        daemon.start()
        for name in ("shop", "cellar"):
            daemon.wait_status(name, "healthy")
        service.down()
        wait_until("both are told", lambda: {("shop", "firing"), ("cellar", "firing")}
                   == set(webhook.events()) and len(mail.messages) == 1)
        n_told, told = len(webhook.requests), time.monotonic()
        assert control(daemon, "silence",
                       {"check": "cellar", "duration": "1h", "reason": "known"})[0] == 200
        wait_until("the reminder", lambda: len(webhook.requests) > n_told
                   and len(mail.messages) > 1, 90)
        # A quarter sooner at most, where others are reminded of then.
        assert time.monotonic() - told >= 40
        events = [event for message in webhook.messages() for event in message["events"]]
        shop = [event for event in events if event["check"] == "shop"]
        assert [event["reminder"] for event in shop] == [False, True]
        assert (shop[0]["id"], shop[0]["since"]) == (shop[1]["id"], shop[1]["since"])
        assert len([event for event in events if event["check"] == "cellar"]) == 1
        assert [message["Subject"].split(": ", 1)[1] for _, _, message in mail.messages] \
            == ["shop is unhealthy", "shop is still unhealthy"]
        # The journal is told of failures, not of reminders.
        assert len(said(daemon, "The alert mail was sent")) == 1
        service.up()
        wait_until("the recoveries", lambda: {("shop", "resolved"), ("cellar", "resolved")}
                   <= set(webhook.events()))
        wait_until("by mail", lambda: "healthy again" in mail.messages[-1][2].get_content())
    finally:
        mail.close()


def test_both_receivers_away_and_two_kills(daemon, service, webhook):
    """For the whole outage, of an Alertmanager and of a webhook: each is told once of each."""
    behind = Webhook().start()
    server = Alertmanager(behind.url).start()
    try:
        server.stop()
        webhook.stop()
        write_check(daemon, service)
        write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, sink="", keys=""))
        # group_wait is 100 ms there, so firing and resolved must not come in one request.
        write_alert(daemon, "am", "[Alert]\nType=alertmanager\nMerge=3s\n[Alertmanager]\n"
                    f"URL=http://127.0.0.1:{server.port}\n")
        store = start_and_fail(daemon, service)
        wait_until("both try", lambda: alert(daemon, "ops")["failed"] >= 1
                   and alert(daemon, "am")["failed"] >= 1, 20)
        daemon.kill()
        store.start(daemon)
        wait_until("both try again", lambda: alert(daemon, "ops")["failed"] >= 1
                   and alert(daemon, "am")["failed"] >= 1, 20)
        service.up()
        daemon.wait_status("shop", "healthy")
        daemon.kill()
        server.start()
        webhook.start()
        store.start(daemon)
        wait_until("all four", lambda: len(webhook.events()) == len(behind.requests) == 2, 60)
        stays("each once", lambda: webhook.events() == [("shop", "firing"), ("shop", "resolved")]
              and [message["status"] for message in behind.messages()] == ["firing", "resolved"], 4)
        for name in ("ops", "am"):
            shown = alert(daemon, name)
            assert (shown["open"], shown["waiting"]) == (0, 0)
    finally:
        server.close()
        behind.close()


def reload(daemon, text):
    before = len(said(daemon, text))
    daemon.reload()
    wait_until(text, lambda: len(said(daemon, text)) > before)


def test_a_reload_adds_changes_and_removes_alerts(daemon, service, webhook):
    moved = Webhook().start()
    try:
        write_check(daemon, service)
        write_check(daemon, service, "cellar")
        daemon.start()
        service.down()
        daemon.wait_status("shop", "unhealthy")
        daemon.wait_status("cellar", "unhealthy")
        # A new one is told of what fails already.
        write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, sink="",
                                                  keys="Checks=shop\nReminder=1h\n"))
        reload(daemon, "Reloaded: ")
        wait_until("what fails", lambda: webhook.events() == [("shop", "firing")])
        wait_until("noted", lambda: alert(daemon, "ops")["sent"] == 1)
        # One with mistakes changes nothing, and is named.
        write_alert(daemon, "ops", "[Alert]\nType=webhok\n")
        reload(daemon, 'did you mean "webhook"')
        assert alert(daemon, "ops")["state"] == "idle" and alert(daemon, "ops")["open"] == 1
        # At another address: who was told of the failure was this alert, so it tells the rest.
        write_alert(daemon, "ops", WEBHOOK.format(url=moved.url, sink="", keys=""))
        reload(daemon, "Reloaded: ")
        # It covers the cellar now, too.
        wait_until("what is new", lambda: moved.events() == [("cellar", "firing")])
        stays("told once", lambda: webhook.events() == [("shop", "firing")]
              and moved.events() == [("cellar", "firing")])
        # A check that is gone is over.
        daemon.remove_check("cellar")
        reload(daemon, "Reloaded: ")
        wait_until("the end of it", lambda: moved.events()[1:] == [("cellar", "resolved")])
        gone = moved.messages()[1]["events"][0]
        assert (gone["status"], gone["reason"]) == ("gone", "the check is not configured any more")
        # Without the alert, nobody is told anything; that is said.
        (daemon.config / "alerts/ops.alert").unlink()
        reload(daemon, "Alerts that are not configured any more told of 1 failures")
        service.up()
        daemon.wait_status("shop", "healthy")
        stays("silent", lambda: len(webhook.requests) == 1 and len(moved.requests) == 2)
        assert daemon.get("/health/alerts").json["alerts"] == []
    finally:
        moved.close()


def test_a_reload_while_a_message_is_on_its_way(daemon, service, webhook):
    webhook.hang.set()
    write_check(daemon, service)
    write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, sink="", keys=""))
    daemon.start()
    daemon.wait_status("shop", "healthy")
    service.down()
    wait_until("it hangs", lambda: alert(daemon, "ops")["state"] == "sending")
    # Unchanged: it goes on. Changed: it ends, and begins anew.
    reload(daemon, "Reloaded: ")
    assert alert(daemon, "ops")["state"] == "sending"
    webhook.hang.clear()
    write_alert(daemon, "ops", WEBHOOK.format(url=webhook.url, sink="", keys="Reminder=1h\n"))
    reload(daemon, "Reloaded: ")
    wait_until("the failure", lambda: webhook.events() == [("shop", "firing")])
    stays("told once", lambda: webhook.events() == [("shop", "firing")])
    webhook.released.set()
