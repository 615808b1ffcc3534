# SPDX-License-Identifier: LGPL-2.1-or-later
"""The status page, in a real Chromium."""

import base64
import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import tempfile
import time

import pytest

pytest.importorskip("selenium", reason="needs chromium-driver and python3-selenium")

import ansi  # pylint: disable=wrong-import-position
from browser import Browser  # pylint: disable=wrong-import-position

OFTEN = "Interval=500ms\nRetryInterval=500ms\nFailAfter=1\nPassAfter=1\nBreakerAfter=0\n"
PASSING = "[Check]\nType=application\nInterval=1h\n"
FAILING = PASSING + "FailAfter=1\nUnhealthyWhen=open_fds > 0\n"
SCRIPT = "<script>alert(1)</script>"

needs_root = pytest.mark.skipif(os.geteuid() != 0,
                                reason="root alone may silence, and own plug-ins")


@pytest.fixture(scope="module")
def chromium():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def page(daemon, chromium):
    """The browser, not yet on the page. At the end nothing may have gone wrong in it."""
    chromium.show()
    chromium.collect()
    chromium.errors.clear()
    chromium.requests.clear()
    yield chromium
    hosts = chromium.hosts()
    chromium.open("about:blank")
    assert not chromium.errors
    assert hosts == {f"127.0.0.1:{daemon.port}"}


@pytest.fixture
def directory():
    path = pathlib.Path(tempfile.mkdtemp(prefix="healthd-page-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def file_check(path, *lines):
    """A check that fails while the file is absent."""
    return "\n".join(["[Check]", "Type=file", OFTEN + "\n".join(lines), "[File]", f"Path={path}",
                      ""])


def shell_check(script, *lines):
    return "\n".join(["[Check]", "Type=exec", OFTEN + "\n".join(lines), "[Exec]",
                      f'Command=/bin/sh -c "{script}"', ""])


def open_page(page, daemon, checks):
    page.open(f"http://127.0.0.1:{daemon.port}/")
    page.wait("the checks", "return document.querySelectorAll('.check').length >= arguments[0]",
              checks)


def row(page, name):
    """What the row of a check says, as a dictionary of the parts' texts. (Not innerText: a
    part that is out of sight is not laid out and has none.)"""
    return page.run("""
        const item = [...document.querySelectorAll(".check")].find(
                (item) => item.querySelector(".name").textContent === arguments[0]);
        const text = (name) => item.querySelector(name)?.textContent ?? null;
        return item && { status: item.dataset.status, word: text(".word"), why: text(".why"),
                         marks: text(".marks"), when: text(".when") };""", name)


def wait_row(page, name, predicate, what="the row"):
    def found():
        shown = row(page, name)
        return shown if shown and predicate(shown) else None
    return page.wait_until(what, found)


def names(page):
    """The names of the checks from the top to the bottom, those that are shown."""
    return page.run("return [...document.querySelectorAll('.check .name')]"
                    ".filter((name) => name.closest('.check').checkVisibility())"
                    ".map((name) => name.textContent)")


def silence(daemon, **order):
    connection = daemon.connect("unix")
    connection.request("POST", "/control/silence", json.dumps(order))
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()


def test_a_failure_is_shown_within_two_seconds_and_so_is_the_recovery(daemon, page, directory):
    flag = directory / "flag"
    flag.touch()
    daemon.write_check("flag", file_check(flag))
    for name in ("alpha", "beta"):
        daemon.write_check(name, PASSING)
    daemon.start()
    for name in ("flag", "alpha", "beta"):
        daemon.wait_status(name, "healthy")
    open_page(page, daemon, 3)
    assert page.text("h1") == f"127.0.0.1:{daemon.port} is healthy"
    assert names(page) == ["alpha", "beta", "flag"]
    page.run("window.same = document.querySelector('.check:last-child');"
             "same.querySelector('summary').focus()")

    # The machine may be busy: one of three must be in time.
    delays = []
    for _ in range(3):
        page.run("""
            window.seen = 0;
            window.watcher = new MutationObserver(() => {
                    if (!window.seen && document.querySelector("#overall").innerText
                        .endsWith("is unhealthy"))
                            window.seen = Date.now() / 1000;
            });
            watcher.observe(document.querySelector("#overall"),
                            { subtree: true, characterData: true, childList: true });""")
        flag.unlink()
        settled = daemon.wait_status("flag", "unhealthy", 60)["since"]
        seen = page.wait("the failure", "return window.seen")
        delays.append(seen - settled)
        shown = wait_row(page, "flag", lambda shown: shown["word"] == "unhealthy")
        assert str(flag) in shown["why"] and re.match(r"for \d+s checked \d+s ago", shown["when"])
        assert names(page) == ["flag", "alpha", "beta"]
        page.wait("the news", "return document.querySelector('#news').textContent.startsWith("
                  "'flag is unhealthy: ')")
        assert page.run("return document.title").startswith("unhealthy: ")
        flag.touch()
        wait_row(page, "flag", lambda shown: shown["word"] == "healthy")
        page.wait("the verdict", "return document.querySelector('#verdict').innerText ==="
                  " 'is healthy'")
        page.wait("the news", "return document.querySelector('#news').textContent ==="
                  " 'flag is healthy'")
    print("seconds from settled to seen:", delays)
    assert min(delays) < 2
    assert names(page) == ["alpha", "beta", "flag"]
    assert page.run("return same.isConnected && document.activeElement === "
                    "same.querySelector('summary')"), "the row is another one, or lost the focus"


def describe_everything(daemon, directory):
    """One check of each kind."""
    daemon.write_check("up", PASSING + "Groups=shop web\nDescription=What passes\n")
    daemon.write_check("down", FAILING + "Groups=shop\n")
    daemon.write_check("slow", PASSING + "DegradedWhen=open_fds > 0\nGroups=shop\n")
    daemon.write_check("broken", "[Check]\nType=nonsense\nRequired=no\n")
    daemon.write_check("new", "[Check]\nType=exec\nInterval=1h\nTimeout=10min\nRequired=no\n"
                              "[Exec]\nCommand=/bin/sleep 600\n")
    daemon.write_check("flaps", shell_check(
        f"if [ -e {directory}/f ]; then rm {directory}/f; else : > {directory}/f; exit 2; fi",
        "Required=no").replace("500ms", "200ms"))
    daemon.write_check("behind", FAILING + "DependsOn=down\nRequired=no\n")
    days = [time.strftime("%Y-%m-%d", time.localtime(time.time() + days * 86400))
            for days in (-1, 2)]
    daemon.write_check("window", FAILING + f"Maintenance={days[0]} 00:00..{days[1]} 00:00\n"
                       "Required=no\n")
    daemon.write_check("closed", "[Check]\nType=tcp\nRequired=no\n" +
                       OFTEN.replace("BreakerAfter=0", "BreakerAfter=2\nBreakerReset=10min") +
                       "[TCP]\nAddress=127.0.0.1:1\n")
    daemon.start()
    for name, status in (("up", "healthy"), ("down", "unhealthy"), ("slow", "degraded"),
                         ("broken", "error"), ("behind", "unhealthy"), ("window", "unhealthy")):
        daemon.wait_status(name, status, 60)
    silence(daemon, check="slow", duration="2h", reason=f"tuning {SCRIPT}")
    daemon.wait_for(lambda answer: answer.json["checks"]["closed"]["breaker"]["position"] == "open"
                    and answer.json["checks"]["flaps"].get("flapping"), 90)


@needs_root
def test_statuses_and_marks_are_told_by_word_and_shape_to_everybody(daemon, page, directory):
    describe_everything(daemon, directory)
    open_page(page, daemon, 10)
    wait_row(page, "slow", lambda shown: "silenced" in shown["marks"])
    marks = {"behind": "blocked by down", "window": "maintenance", "closed": "breaker open",
             "flaps": "flapping"}
    for name, mark in marks.items():
        assert mark in row(page, name)["marks"], name
    assert page.text("#silence-list").startswith("slow until ")
    assert f"by root: tuning {SCRIPT}" in page.text("#silence-list")
    assert page.text("section h2").startswith("shop"), "the group with what fails comes first"
    assert names(page)[:3] == ["down", "slow", "up"]

    shapes = page.run("""
        const shapes = {};
        for (const item of document.querySelectorAll(".check"))
                shapes[item.querySelector(".word").textContent] =
                        getComputedStyle(item.querySelector(".shape")).clipPath;
        return shapes;""")
    assert {"healthy", "degraded", "unhealthy", "error", "unknown"} <= set(shapes)
    assert len(set(shapes.values())) == len(shapes), "two statuses have one shape"

    tree = page.accessible()
    roles = {role for role, _, _ in tree}
    assert {"main", "banner", "search", "contentinfo", "navigation", "heading", "region",
            "list"} <= roles
    controls = [(role, name) for role, name, _ in tree if role in (
        "DisclosureTriangle", "button", "link", "searchbox", "checkbox", "textbox", "region")]
    assert len(controls) > 15 and all(name for _, name in controls), controls
    heard = [name for role, name, _ in tree if role == "DisclosureTriangle"]
    assert any(name.startswith("down unhealthy open_fds > 0") for name in heard), heard
    assert any(name.startswith("slow degraded") and " silenced " in name for name in heard)
    assert any(name.startswith("up healthy What passes") for name in heard)
    assert any(role == "heading" and name.endswith("is unhealthy") for role, name, _ in tree)
    # Each thing that takes the focus shows that it has it.
    page.run("document.activeElement.blur()")
    for _ in range(5):
        page.press("Tab")
        assert page.run("const style = getComputedStyle(document.activeElement);"
                        "return document.activeElement !== document.body && "
                        "style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1")


def contrast(page, selector):
    """The contrast of an element's text with what is behind it, as WCAG computes it."""
    return page.run("""
        const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
        const luminance = ([red, green, blue]) => {
                const linear = [red, green, blue].map((value) => value / 255 <= 0.04045
                        ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
                return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
        };
        const element = document.querySelector(arguments[0]);
        let behind = element;
        while (channels(getComputedStyle(behind).backgroundColor)[3] === 0)
                behind = behind.parentElement;
        const levels = [getComputedStyle(element).color,
                        getComputedStyle(behind).backgroundColor]
                .map((colour) => luminance(channels(colour))).sort((a, b) => a - b);
        return (levels[1] + 0.05) / (levels[0] + 0.05);""", selector)


@needs_root
def test_both_colour_schemes_and_a_telephone(daemon, page, directory):
    daemon.write_check("a" * 120, FAILING + f"Description={'long' * 60}\nGroups={'g' * 90}\n")
    describe_everything(daemon, directory)
    open_page(page, daemon, 11)
    page.run("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    page.wait("charts", "return document.querySelectorAll('svg.chart').length > 10")
    backgrounds = set()
    for dark in (False, True):
        for width in (1280, 360):
            page.show(width, 800, dark, reduced_motion=True)
            assert page.run("return document.documentElement.scrollWidth") <= width
            assert page.run("return getComputedStyle(document.querySelector('main'))"
                            ".transitionProperty") in ("all", "none", "")
            backgrounds.add(page.run("return getComputedStyle(document.body).backgroundColor"))
            for status in ("healthy", "degraded", "unhealthy", "error", "unknown"):
                assert contrast(page, f".check[data-status={status}] .word") >= 4.5, (dark, status)
            for selector in ("#summary", ".when", ".facts dt", ".span", ".marks span", "h2 small",
                             "#verdict"):
                assert contrast(page, selector) >= 4.5, (dark, selector)
    assert len(backgrounds) == 2


def test_charts_of_what_is_opened_and_nothing_else(daemon, page, directory):
    (directory / "flag").touch()
    daemon.write_check("flag", file_check(directory / "flag", "Description=A flag"))
    daemon.write_check("other", PASSING)
    daemon.start()
    daemon.wait_status("flag", "healthy")
    open_page(page, daemon, 2)
    time.sleep(2)
    page.collect()
    assert not [address for address in page.requests if "history" in address]
    # By keyboard alone: the skip link, the filter, the box, the first check.
    for _ in range(4):
        page.press("Tab")
    page.press("Enter")
    page.wait("the charts", "return document.querySelectorAll('svg.chart').length === 3")
    images = [name for role, name, _ in page.accessible() if role == "image"]
    assert len(images) == 3
    assert re.match(r"Latency of the last \d+ results: 0 of \d+ failed; half took up to [\d.]+ ms, "
                    r"99 % up to [\d.]+ ms", images[0])
    assert re.match(r"Latency, 30min: the line is the mean, [\d.]+ ms overall", images[1])
    assert re.match(r"Availability, 30min: 100\.00 % in 1 h \(0 of \d+ failed\)", images[2])
    facts = page.text(".facts")
    assert "A flag" in facts and re.search(r"Breaker\nclosed", facts)
    assert "exists\ntrue" in page.text(".history ~ .facts")

    (directory / "flag").unlink()
    page.wait("the failure in the chart", "return document.querySelectorAll('.chart .bad').length")
    page.wait("the change", "return document.querySelector('.changes').innerText.includes("
              "'from healthy to unhealthy')")
    assert page.run("return document.querySelectorAll('svg.chart').length") == 3
    page.collect()
    asked = {address for address in page.requests if "history" in address}
    assert asked == {f"http://127.0.0.1:{daemon.port}/health/history?check=flag"}


@pytest.mark.parametrize("how", ["hangs", "is started again"])
def test_lost_contact_is_said_and_ends_by_itself(daemon, page, how):
    daemon.write_check("self", PASSING)
    daemon.start()
    daemon.wait_status("self", "healthy")
    open_page(page, daemon, 1)
    assert page.run("return document.querySelector('#contact').hidden")
    page.run("window.same = document.querySelector('.check')")
    if how == "hangs":
        daemon.process.send_signal(signal.SIGSTOP)
    else:
        daemon.terminate()
    try:
        page.wait("the loss", "return !document.querySelector('#contact').hidden")
        assert re.match(r"No contact with healthd since \d\d:\d\d:\d\d: "
                        + ("there is no answer within 5 s" if how == "hangs"
                           else "it cannot be reached"), page.text("#contact-lost"))
        assert ("alert", True) in {(role, "No contact" in page.text("#contact-lost"))
                                   for role, _, _ in page.accessible()}
        page.wait("how long ago", "return /That was \\d+s ago/.test("
                  "document.querySelector('#contact-age').innerText)")
        assert page.run("return document.title").startswith("no contact: ")
        assert names(page) == ["self"], "what was known stays"
    finally:
        if how == "hangs":
            daemon.process.send_signal(signal.SIGCONT)
        else:
            daemon.start()
    page.wait("contact", "return document.querySelector('#contact').hidden && "
              "document.title.startsWith('healthy: ')")
    assert page.run("return same.isConnected")
    page.collect()
    page.errors = [error for error in page.errors
                   if "net::ERR_" not in error or "/health?recent" not in error]


# healthd takes no such name, so one of its answers gets it on the way to the page.
RENAME = """
    const fetched = window.fetch;
    window.alert = () => { window.harmed = true; };
    window.fetch = async (path, options) => {
            const response = await fetched(path.replaceAll(encodeURIComponent(NAME), "plain"),
                                           options);
            if (response.status !== 200)
                    return response;
            return new Response((await response.text()).replaceAll('"plain"', JSON.stringify(NAME)),
                                { headers: response.headers });
    };"""


@needs_root
def test_names_and_texts_that_mean_harm_are_texts(daemon, page):
    hostile = ["plain", "__proto__", "constructor", "toString"]
    for name in hostile:
        daemon.write_check(name, shell_check(f"echo '{SCRIPT}<img src=x onerror=alert(1)>'; exit 2",
                                             f"Description={SCRIPT}",
                                             f"Groups={SCRIPT} <b>bold</b>"))
    daemon.start()
    for name in hostile:
        daemon.wait_status(name, "unhealthy", 60)
        silence(daemon, check=name, duration="1h", reason=f"{SCRIPT}<img src=x onerror=alert(1)>")
    hostile[0] = SCRIPT
    added = page.command("Page.addScriptToEvaluateOnNewDocument",
                         source=RENAME.replace("NAME", json.dumps(SCRIPT)))
    open_page(page, daemon, 8)
    for name in hostile:
        assert SCRIPT in row(page, name)["why"], name
    assert page.run("return [...document.querySelectorAll('h2 span')].map("
                    "(title) => title.textContent)") == ["<b>bold</b>", SCRIPT]
    page.run("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
    page.wait("the charts", "return document.querySelectorAll('svg.chart').length === 24")
    page.wait("the silences", "return document.querySelectorAll('#silence-list li').length === 4")
    # Their own elements, and those of the page itself.
    assert page.run("return document.scripts.length") == 1
    assert not page.run("return document.querySelectorAll('img, iframe, object, [onerror]').length")
    assert page.run("return [...document.querySelectorAll('b')].every((b) => "
                    "b.parentElement.matches('figcaption, li'))")
    assert page.run("return [...document.querySelectorAll('.facts dd')].some((fact) => "
                    "fact.textContent === arguments[0])", SCRIPT)
    page.collect()
    assert not page.errors
    # And if one did become markup, the policy would stop it.
    page.run("document.querySelector('#note').innerHTML = arguments[0]",
             "<img src=x onerror=alert(1)>")
    page.run("document.querySelector('#note').append(Object.assign("
             "document.createElement('script'), { textContent: 'alert(1)' }))")
    time.sleep(1)
    assert page.run("return window.harmed === undefined")
    page.command("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])
    page.collect()
    assert any("Content Security Policy" in error for error in page.errors)
    page.errors.clear()


def test_statuses_alone_for_who_may_not_see_details(daemon, page):
    daemon.write_conf("[Server]\nDetails=never\n")
    daemon.write_check("up", PASSING + "Groups=secret\nDescription=secret\n")
    daemon.write_check("down", FAILING)
    daemon.start()
    daemon.wait_status("down", "unhealthy")
    daemon.wait_status("up", "healthy")
    open_page(page, daemon, 2)
    assert names(page) == ["down", "up"]
    assert row(page, "down") == {"status": "unhealthy", "word": "unhealthy", "why": None,
                                 "marks": None, "when": None}
    assert "Details=" in page.text("#note") and "secret" not in page.text("body")
    assert page.run("return document.querySelectorAll('details').length") == 0
    time.sleep(2)
    page.collect()
    assert not [address for address in page.requests
                if re.search("history|silences|checks/", address)]
    # Told otherwise, the page follows.
    daemon.write_conf("[Server]\nDetails=always\n")
    daemon.reload()
    wait_row(page, "down", lambda shown: shown["why"] and "open_fds" in shown["why"])
    assert page.run("return document.querySelector('#note').hidden")


def test_the_filter(daemon, page):
    for name, text in (("orders-db", PASSING + "Groups=shop\n"), ("orders-web", FAILING),
                       ("mail", PASSING + "Description=Outgoing Letters\n")):
        daemon.write_check(name, text)
    daemon.start()
    daemon.wait_status("orders-web", "unhealthy")
    daemon.wait_status("mail", "healthy")
    open_page(page, daemon, 3)

    def typed(text):
        page.run("document.querySelector('#filter').value = ''")
        page.driver.find_element("id", "filter").send_keys(text)
        return names(page), page.text("#shown")

    assert typed("ORDERS") == (["orders-db", "orders-web"], "2 of 3 shown")
    assert typed("shop")[0] == ["orders-db"]
    assert typed("open_fds")[0] == ["orders-web"]
    assert typed("letters")[0] == ["mail"]
    assert typed("nobody") == ([], "0 of 3 shown")
    assert page.run("return [...document.querySelectorAll('h2')].every("
                    "(title) => !title.checkVisibility())")
    page.run("document.querySelector('#filter').value = ''")
    page.driver.find_element("id", "only-failing").click()
    assert (names(page), page.text("#shown")) == (["orders-web"], "1 of 3 shown")


def test_a_thousand_checks_are_updated_in_place(daemon, page, directory):
    (directory / "flag").touch()
    for number in range(1000):
        daemon.write_check(f"check-{number:04}", PASSING + f"Groups=group-{number % 10}\n")
    daemon.write_check("flag", file_check(directory / "flag", "Groups=group-0"))
    daemon.start()
    daemon.wait_for(lambda answer: answer.json["status"] == "healthy", 120)
    open_page(page, daemon, 1001)
    page.wait("all of them", "return document.querySelector('#summary').innerText.startsWith("
              "'1001 healthy')")
    page.run("""
        window.same = new Set(document.querySelectorAll(".check"));
        window.moved = 0;
        new MutationObserver((records) => {
                for (const record of records)
                        window.moved += [...record.addedNodes].filter(
                                (node) => node.nodeType === 1).length;
        }).observe(document.querySelector("#groups"), { subtree: true, childList: true });""")
    (directory / "flag").unlink()
    wait_row(page, "flag", lambda shown: shown["word"] == "unhealthy")
    assert names(page)[0] == "flag"
    (directory / "flag").touch()
    wait_row(page, "flag", lambda shown: shown["word"] == "healthy")
    assert names(page)[-1] == "check-0999" and names(page).index("flag") == 100
    assert page.run("return [...document.querySelectorAll('.check')].every("
                    "(item) => same.has(item))")
    assert page.run("return moved") < 30, "one check changed, and more was moved"


def test_the_page_rests_while_nobody_looks(daemon, page):
    daemon.write_check("self", PASSING)
    daemon.start()
    daemon.wait_status("self", "healthy")
    open_page(page, daemon, 1)
    page.run("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    time.sleep(3)
    page.collect()
    before = len(page.requests)
    time.sleep(3)
    page.collect()
    assert len(page.requests) == before
    page.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")

    def asked():
        page.collect()
        return len(page.requests) > before
    page.wait_until("a question", asked)


def show_terminal(daemon, page, terminal, target):
    """What healthctl says of the same host, in a real terminal of 116 columns."""
    tmux = terminal(116, 60)
    for name, words in (("status", "status"), ("show", "show orders-db")):
        # As somebody would have typed it, and with the name of the host as on the page.
        text = tmux.ask(daemon, f"{words} --no-pager", colours=True)
        text = re.sub(r"^.*--no-pager.*\n", "", text).strip("\n").replace(socket.gethostname(), "shop1")
        for dark in (False, True):
            picture = target / f"healthctl-{name}-{'dark' if dark else 'light'}.png"
            html = ansi.page(f"$ healthctl{'' if words == 'status' else ' ' + words}\n{text}", dark)
            page.show(1000, 400, dark)
            page.open("data:text/html;base64," + base64.b64encode(html.encode()).decode())
            width, height = page.run("const box = document.querySelector('pre')"
                                     ".getBoundingClientRect(); return [box.width, box.height]")
            page.show(math.ceil(width), math.ceil(height), dark)
            page.driver.save_screenshot(str(picture))


def make_screenshots(daemon, page, terminal):
    target = pathlib.Path(os.environ["HEALTHD_SCREENSHOTS"])
    often = OFTEN.replace("500ms", "1s")
    daemon.write_check("orders-web", "[Check]\nType=http\nDescription=The shop answers\n"
                       "Groups=shop\n"
                       + often + f"[HTTP]\nURL=http://127.0.0.1:{daemon.port}/health/live\n")
    daemon.write_check("nightly-export", file_check("/var/backups/export.sql", "Required=no",
                                                    "Groups=jobs").replace("500ms", "1s"))
    daemon.write_check("orders-db", "[Check]\nType=tcp\nDescription=Orders database\n"
                       "Groups=shop\n" +
                       often.replace("BreakerAfter=0", "BreakerAfter=5\nBreakerReset=10min") +
                       f"[TCP]\nAddress=127.0.0.1:{daemon.port}\n")
    daemon.write_check("carts", "[Check]\nType=http\nGroups=shop\nDependsOn=orders-db\n"
                       f"Required=no\n{often}[HTTP]\nURL=http://127.0.0.1:8081/cart\n")
    for name, text in (("application_metrics", "Type=application\nDescription=healthd itself"),
                       ("memory", "Type=system\nUnhealthyWhen=\nUnhealthyWhen=memory_percent > 95\n"
                                  "Description=Memory of this machine")):
        daemon.write_check(name, f"[Check]\n{text}\n{often}Groups=host\n")
    daemon.start()
    time.sleep(45)
    daemon.write_check("orders-db", (daemon.config / "checks/orders-db.check").read_text("utf-8")
                       .replace(f"127.0.0.1:{daemon.port}", "127.0.0.1:5432"))
    daemon.reload()
    silence(daemon, check="nightly-*", duration="2h", reason="moving the queue, ticket 42")
    time.sleep(15)
    open_page(page, daemon, 6)
    page.run("document.querySelector('#host').textContent = 'shop1.example.com'")
    page.run("[...document.querySelectorAll('details')].find((box) => "
             "box.innerText.includes('orders-web')).open = true")
    page.wait("charts", "return document.querySelectorAll('svg.chart').length === 3")
    for dark in (False, True):
        page.show(1000, 980, dark)
        time.sleep(1)
        page.driver.save_screenshot(str(target / f"status-page-{'dark' if dark else 'light'}.png"))
    show_terminal(daemon, page, terminal, target)


# It tests nothing: ./dev screenshots makes the pictures of the README by it.
if "HEALTHD_SCREENSHOTS" in os.environ:
    test_screenshots = make_screenshots
