# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chromium without a screen, driven over WebDriver: a fresh profile each time."""

import json
import shutil
import tempfile
import urllib.parse

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from process import wait_until

ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-default-apps", "--disable-extensions", "--disable-dev-shm-usage",
             "--hide-scrollbars", "--force-device-scale-factor=1", "--lang=en")


class Browser:
    """Always close() it."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="healthd-browser-")
        options = webdriver.ChromeOptions()
        for argument in (*ARGUMENTS, f"--user-data-dir={self.profile}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(
            shutil.which("chromedriver") or "chromedriver"))
        self.driver.set_page_load_timeout(120)
        self.driver.set_script_timeout(120)
        self.errors = []  # of the console
        self.requests = []  # addresses

    def close(self):
        try:
            self.driver.quit()
        finally:
            shutil.rmtree(self.profile, ignore_errors=True)

    def command(self, name, **parameters):
        """One command of the Chrome DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, parameters)

    def show(self, width=1280, height=900, dark=False, reduced_motion=False):
        """Size and colours from now on."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height,
                     deviceScaleFactor=1, mobile=False)
        self.command("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion",
             "value": "reduce" if reduced_motion else "no-preference"}])

    def open(self, address):
        self.driver.get(address)

    def run(self, script, *arguments):
        """Runs a function's body in the page and returns what it returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, what, script, *arguments, timeout=60):
        """Waits until the script returns something true."""
        return self.wait_until(what, lambda: self.run(script, *arguments), timeout)

    def wait_until(self, what, predicate, timeout=60):
        try:
            return wait_until(what, predicate, timeout, 0.05)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; the page says:\n{self.text('body')}") from error

    def press(self, key):
        """A key by its name in selenium.webdriver.common.keys, such as Tab."""
        ActionChains(self.driver).send_keys(getattr(Keys, key.upper())).perform()

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def collect(self):
        """Adds what the browser has logged meanwhile to errors and requests."""
        self.errors += [entry["message"] for entry in self.driver.get_log("browser")
                        if entry["level"] in ("SEVERE", "WARNING")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = message["params"]["request"]["url"]
                # The browser's own pages are none of anybody's requests.
                if urllib.parse.urlsplit(address).scheme in ("http", "https", "ws", "wss"):
                    self.requests.append(address)

    def hosts(self):
        """Every host that anything was asked of."""
        self.collect()
        return {urllib.parse.urlsplit(address).netloc for address in self.requests}

    def accessible(self):
        """What a screen reader gets: (role, name, properties) of every node that is not ignored."""
        nodes = self.command("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", ""),
                 {item["name"]: item["value"].get("value") for item in node.get("properties", [])})
                for node in nodes if not node["ignored"]]
