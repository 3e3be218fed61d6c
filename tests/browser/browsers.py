"""Three real browsers behind one small interface: Chromium, Firefox and WebKitGTK.

Chromium is driven by Playwright, Firefox over WebDriver BiDi (https://w3c.github.io/webdriver-bidi/),
WebKitGTK by Selenium. Each starts once and has one tab: a context for each test would take longer
than most tests, and WebKit has none. What keeps tests apart is that each has a domain of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from warnings import catch_warnings, simplefilter

import websocket
from playwright.sync_api import Browser as PlaywrightBrowser
from playwright.sync_api import ConsoleMessage, Error, sync_playwright
from selenium import webdriver
from selenium.webdriver.common.webdriver import LocalWebDriver
from selenium.webdriver.webkitgtk.options import Options
from selenium.webdriver.webkitgtk.service import Service

SECONDS = 30.0
LIBRARIES = Path("/usr/lib")  # where Debian keeps WebKit's browser, which is on no PATH
CHROMIUM_SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.localhost 127.0.0.1, MAP * ~NOTFOUND",
)
FIREFOX_PREFERENCES = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.server": "",
}


@dataclass(frozen=True)
class Cookie:
    """What a browser's own jar says of a cookie; a domain with a leading dot covers subdomains."""

    name: str
    value: str
    domain: str
    path: str
    secure: bool
    same_site: str
    expires: float | None  # seconds since 1970


class Browser(Protocol):
    """A running browser with one tab; a test goes to hosts where no other test was."""

    def open(self, url: str) -> None:
        """Go there, and wait until the page and what it includes is loaded."""

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise; undefined is None."""

    def errors(self) -> list[str]:
        """Uncaught exceptions and console errors since it was last asked, if the engine tells."""

    def cookies(self) -> list[Cookie]:
        """What the jar keeps for the page on show."""


def as_json(expression: str) -> str:
    """An expression whose value every driver can carry: text, or null for undefined."""
    return f"(async () => JSON.stringify(await ({expression})) ?? null)()"


def from_json(value: str | None) -> Any:
    return None if value is None else json.loads(value)


def executable(*names: str) -> str:
    """The first of these programs that is installed; that none is, is an error."""
    for name in names:
        if found := shutil.which(name):
            return found
    raise FileNotFoundError(f"not installed: {' or '.join(names)}")


# --- Chromium -------------------------------------------------------------------------------------


class Chromium:
    """Chromium, by Playwright."""

    def __init__(self, browser: PlaywrightBrowser) -> None:
        self._errors: list[str] = []
        self._context = browser.new_context(ignore_https_errors=True)
        self._context.set_default_timeout(SECONDS * 1000)
        self.page = self._context.new_page()
        self.page.on("console", self._on_console)
        self.page.on("pageerror", self._on_exception)

    def _on_console(self, message: ConsoleMessage) -> None:
        # A request that the server refuses is reported as an error, whoever handles it.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self._errors.append(f"{message.text} at {message.location}")

    def _on_exception(self, error: Error) -> None:
        self._errors.append(str(error))

    def open(self, url: str) -> None:
        self.page.goto(url, wait_until="load")

    def run(self, expression: str) -> Any:
        return from_json(self.page.evaluate(as_json(expression)))

    def errors(self) -> list[str]:
        errors, self._errors = self._errors, []
        return errors

    def cookies(self) -> list[Cookie]:
        return [
            Cookie(
                name=cookie["name"],
                value=cookie["value"],
                domain=cookie["domain"],
                path=cookie["path"],
                secure=cookie["secure"],
                same_site=cookie["sameSite"],
                expires=cookie["expires"] if cookie["expires"] >= 0 else None,
            )
            for cookie in self._context.cookies(self.page.url)
        ]


@contextmanager
def chromium() -> Iterator[Browser]:
    """The installed Chromium without a window."""
    program = executable("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, headless=True, args=list(CHROMIUM_SWITCHES)
        )
        try:
            yield Chromium(browser)
        finally:
            browser.close()


# --- Firefox --------------------------------------------------------------------------------------


class Firefox:
    """Firefox, spoken to over WebDriver BiDi."""

    def __init__(self, address: str) -> None:
        # Firefox refuses connections that say which page they come from.
        self._socket = websocket.create_connection(address, timeout=SECONDS, suppress_origin=True)
        self._numbers = count(1)
        self._log: list[dict[str, Any]] = []
        self.ask("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
        self.ask("session.subscribe", events=["log.entryAdded"])
        self._tab: str = self.ask("browsingContext.create", type="tab")["context"]

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and read on until its answer; what is logged meanwhile is kept."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message: dict[str, Any] = json.loads(self._socket.recv())
            if message.get("method") == "log.entryAdded":
                self._log.append(message["params"])
            elif message.get("id") == number:
                if message["type"] == "error":
                    raise RuntimeError(f"{method}: {message['error']}: {message['message']}")
                result: dict[str, Any] = message["result"]
                return result

    def open(self, url: str) -> None:
        self.ask("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def run(self, expression: str) -> Any:
        answer = self.ask(
            "script.evaluate",
            expression=as_json(expression),
            target={"context": self._tab},
            awaitPromise=True,
        )
        if answer["type"] == "exception":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return from_json(answer["result"].get("value"))

    def errors(self) -> list[str]:
        log, self._log = self._log, []
        return [entry["text"] for entry in log if entry["level"] == "error"]

    def cookies(self) -> list[Cookie]:
        jar = self.ask("storage.getCookies", partition={"type": "context", "context": self._tab})
        return [
            Cookie(
                name=cookie["name"],
                value=cookie["value"]["value"],
                domain=cookie["domain"],
                path=cookie["path"],
                secure=cookie["secure"],
                same_site=cookie["sameSite"].capitalize(),
                expires=cookie.get("expiry"),
            )
            for cookie in jar["cookies"]
        ]

    def quit(self) -> None:
        self.ask("browser.close")
        self._socket.close()


@contextmanager
def firefox() -> Iterator[Browser]:
    """The installed Firefox without a window, with a profile and a home that vanish."""
    program = executable("firefox-esr", "firefox")
    with TemporaryDirectory() as home, ExitStack() as stack:
        Path(home, "user.js").write_text(
            "".join(
                f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
                for name, value in FIREFOX_PREFERENCES.items()
            )
        )
        process = subprocess.Popen(  # noqa: S603
            [program, "--headless", "--no-remote", "--profile", home, "--remote-debugging-port=0"],
            env={**os.environ, "HOME": home},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        stack.callback(end, process)
        browser = Firefox(f"{address_of(process)}/session")
        stack.callback(browser.quit)
        yield browser


def address_of(process: subprocess.Popen[str]) -> str:
    """Where Firefox listens: it says so once it does."""
    assert process.stderr
    for line in process.stderr:
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", line):
            return found[1]
    raise RuntimeError("Firefox ended before it listened")


def end(process: subprocess.Popen[Any]) -> None:
    """Wait for a process that was told to end, and make it if it does not."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(SECONDS / 3)
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.stderr:
        process.stderr.close()


# --- WebKit ---------------------------------------------------------------------------------------


class WebKit:
    """WebKitGTK's own small browser, by Selenium."""

    def __init__(self, driver: LocalWebDriver) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        self._driver.get(url)

    def run(self, expression: str) -> Any:
        value, error = self._driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            f"{as_json(expression)}.then((value) => done([value, null]),"
            " (error) => done([null, String(error)]))"
        )
        if error:
            raise RuntimeError(error)
        return from_json(value)

    def errors(self) -> list[str]:
        return []  # its driver has no word for them; the pages tell by themselves

    def cookies(self) -> list[Cookie]:
        return [
            Cookie(
                name=cookie["name"],
                value=cookie["value"],
                domain=cookie["domain"],
                path=cookie["path"],
                secure=cookie["secure"],
                same_site=cookie.get("sameSite", ""),
                expires=cookie.get("expiry"),
            )
            for cookie in self._driver.get_cookies()
        ]


@contextmanager
def webkit() -> Iterator[Browser]:
    """WebKitGTK on a screen of its own, with a home that vanishes."""
    program = executable("MiniBrowser", *map(str, LIBRARIES.glob("*/webkit2gtk-4.1/MiniBrowser")))
    with TemporaryDirectory() as home, screen() as display:
        options = Options()
        options.binary_location = program
        options.add_argument("--automation")
        options.set_capability("acceptInsecureCerts", True)
        service = Service(
            executable_path=executable("WebKitWebDriver"),
            env={**os.environ, "DISPLAY": display, "HOME": home},
        )
        with catch_warnings():  # Selenium's own of itself
            simplefilter("ignore", DeprecationWarning)
            driver = webdriver.WebKitGTK(options=options, service=service)
        try:
            driver.set_page_load_timeout(SECONDS)
            driver.set_script_timeout(SECONDS)
            yield WebKit(driver)
        finally:
            driver.quit()  # or WebKitWebDriver stays behind


@contextmanager
def screen() -> Iterator[str]:
    """An X server without a screen, and its name; it chooses a free number by itself."""
    reading, writing = os.pipe()
    process = subprocess.Popen(  # noqa: S603
        [executable("Xvfb"), "-displayfd", str(writing), "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as numbers:
            number = numbers.readline().strip()
        if not number:
            raise RuntimeError("Xvfb ended before it had a screen")
        yield f":{number}"
    finally:
        process.terminate()
        end(process)


ENGINES: dict[str, Callable[[], AbstractContextManager[Browser]]] = {
    "chromium": chromium,
    "firefox": firefox,
    "webkit": webkit,
}
