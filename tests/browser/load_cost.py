"""How long the snippet takes a page on load, in Chromium: `python -m tests.browser.load_cost`.

The script stands inline between two readings of the page's clock, in pages that hold nothing else:
in a browser process that has never seen the shop, and again on a later page of the same visit. The
yardstick is a page that reads `document.cookie` once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median
from threading import Thread
from urllib.parse import urlsplit

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.progress import track
from rich.table import Table
from tests.browser.browsers import CHROMIUM_SWITCHES, executable
from tests.browser.site import source
from tests.browser.visitor import CLICK

LOADS = 31
SCRIPTS = {"/snippet": source("capture"), "/yardstick": "document.cookie"}
VISITS = {
    "without a click id": ("/snippet", "/snippet"),
    "landing, then another page": (f"/snippet?pjclid={CLICK}", "/snippet"),
    "yardstick: document.cookie": ("/yardstick", "/yardstick"),
}


class Handler(BaseHTTPRequestHandler):
    """A page with a script between two readings of a clock that is exact to 5 µs."""

    def do_GET(self) -> None:
        script = SCRIPTS[urlsplit(self.path).path]
        page = (
            "<!doctype html><link rel=icon href=data:,><title>shop</title>"
            "<script>wp_has_consent = () => true; began = performance.now()</script>"
            f"<script>{script}</script><script>ended = performance.now()</script>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def shop() -> Iterator[int]:
    """A shop's port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def times(browser: Browser, port: int, number: int, paths: tuple[str, ...]) -> list[float]:
    """Milliseconds on each page of one visit by somebody new."""
    context = browser.new_context()
    page = context.new_page()
    found = []
    for path in paths:
        page.goto(f"http://www.shop-{number}.localhost:{port}{path}")
        found.append(page.evaluate("ended - began"))
    context.close()
    return found


def measure(loads: int) -> dict[str, list[float]]:
    """Medians of the first and of a later page, by kind of visit."""
    program = executable("chromium", "chromium-browser", "google-chrome")
    with shop() as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(CHROMIUM_SWITCHES))
        visits: dict[str, list[list[float]]] = {name: [] for name in VISITS}
        for number in track(range(loads), "Loading pages", console=Console(stderr=True)):
            for name, paths in VISITS.items():
                visits[name].append(times(browser, port, number, paths))
        browser.close()
    return {
        name: [median(page) for page in zip(*rows, strict=True)] for name, rows in visits.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.load_cost", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--loads", type=int, default=LOADS, help="visits of each kind")
    arguments = parser.parse_args()

    figures = measure(arguments.loads)
    if arguments.json:
        print(json.dumps({"loads": arguments.loads, "median_ms": figures}, indent=2))  # noqa: T201
        return
    table = Table("visit", title=f"Milliseconds on load, medians of {arguments.loads} visits")
    for column in ("first page, fresh process", "later page"):
        table.add_column(column, justify="right")
    for name, pages in figures.items():
        table.add_row(name, *(f"{value:.2f}" for value in pages))
    Console().print(table)


if __name__ == "__main__":
    main()
