"""Somebody who visits the shop with a browser, and what can be said of them afterwards."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

from tests.browser.browsers import Browser, Cookie
from tests.browser.site import DEADLINE, Site, Storefront

CLICK = "239cd31f-9d43-4cb4-b8dc-2057fe18c289_1b05fa7f1c34d125"
OTHER = "7e57d004-2b97-4e7a-b45f-5387367791cd_Zz09aQ7kLm2xVb81"
BARE = "8d7e6f50-1a2b-4c3d-9e8f-0a1b2c3d4e5f"
DAY = 86_400_000
MONTH = 30 * DAY


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def cookies_of(click_id: str, at: int) -> list[str]:
    """What `Visitor.stored` says of a click."""
    return [f"pjclid={click_id}", f"pjclid_at={at}"]


class Visitor:
    """Somebody whom a shop sees for the first time."""

    def __init__(self, browser: Browser, site: Site, domain: str) -> None:
        self._browser = browser
        self._domain = domain
        self._address = ""
        self._errors: list[str] = []
        self.site = site

    def visit(
        self,
        path: str = "/",
        *,
        at: str = "",
        scheme: str = "http",
        shop: Storefront | None = None,
        **changes: Any,
    ) -> None:
        """Go to a page: on a subdomain if `at` says so, with a storefront changed as told."""
        self.site.storefront = replace(shop or Storefront(), **changes)
        address = self.site.address(self.host(at), path, scheme)
        self._keep_errors()
        if self._address.partition("#")[0] == address.partition("#")[0] and "#" in address:
            self._browser.open("about:blank")  # or the browser would only scroll
        self._address = address
        self._browser.open(address)

    def host(self, at: str = "") -> str:
        """The shop's bare domain, or a subdomain."""
        return f"{at}.{self._domain}" if at else self._domain

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        return self._browser.run(expression)

    def do(self, statements: str) -> Any:
        """Run JavaScript statements on the page; what they return."""
        return self.run(f"(async () => {{ {statements} }})()")

    def until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + DEADLINE
        while not self.run(f"!!({expression})"):
            assert time.monotonic() < end, f"never true: {expression}"

    def settle(self) -> None:
        """Wait until the page has no request and no timer outstanding."""
        self.run("witness.settled()")

    @property
    def id(self) -> str | None:
        """The click id that may be used, None if there is none."""
        value = self.run("pjclid.get()")
        assert value is None or isinstance(value, str)
        return value or None

    @property
    def fields(self) -> list[str]:
        """What the page's fields for the click id hold."""
        values = self.run("[...document.getElementsByName('pjclid')].map((field) => field.value)")
        assert isinstance(values, list)
        return values

    @property
    def events(self) -> list[str]:
        """The snippet's events on this page, in order."""
        names = self.run("witness.events")
        assert isinstance(names, list)
        return names

    @property
    def writes(self) -> list[str]:
        """What was written to `document.cookie` on this page."""
        texts = self.run("witness.writes")
        assert isinstance(texts, list)
        return texts

    @property
    def stored(self) -> list[str]:
        """The snippet's cookies as the page sees them; one that is there twice is listed twice."""
        text = self.run("document.cookie")
        return sorted(pair for pair in text.split("; ") if pair.startswith("pjclid"))

    @property
    def left_behind(self) -> dict[str, list[str]]:
        """All that scripts stored for this host, by kind, empty if nothing."""
        kinds: dict[str, list[str]] = self.run(
            "({ cookies: document.cookie ? document.cookie.split('; ') : [],"
            " local: Object.keys(localStorage), session: Object.keys(sessionStorage) })"
        )
        return {kind: names for kind, names in kinds.items() if names}

    @property
    def jar(self) -> dict[str, Cookie]:
        """The snippet's cookies as the browser keeps them, of which there is one each."""
        cookies = [c for c in self._browser.cookies() if c.name.startswith("pjclid")]
        assert len(cookies) == len({cookie.name for cookie in cookies}), cookies
        return {cookie.name: cookie for cookie in cookies}

    def plant(self, *cookies: str, at: str = "", **storage: object) -> None:
        """Set cookies, and entries of `localStorage`, as something else would have."""
        self.visit("/before", at=at, snippets=())
        for cookie in cookies:
            self.run(f"document.cookie = {json.dumps(cookie)}")
        for name, value in storage.items():
            text = value if isinstance(value, str) else json.dumps(value)
            self.run(f"localStorage.setItem({json.dumps(name)}, {json.dumps(text)})")

    def plant_click(self, click_id: str, at: int, *, max_age: int = MONTH) -> None:
        """Set the two cookies as the snippet would have, at a time."""
        rest = f"path=/; samesite=lax; domain={self.host()}; max-age={max_age // 1000}"
        self.plant(f"pjclid={click_id}; {rest}", f"pjclid_at={at}; {rest}")

    def leave(self) -> list[str]:
        """Leave the page; all errors there were on all pages."""
        self._keep_errors()
        self._browser.open("about:blank")
        return self._errors + self._browser.errors()

    def _keep_errors(self) -> None:
        if self._address:
            self._errors += self.run("globalThis.witness?.errors ?? []")
