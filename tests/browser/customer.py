"""Somebody who clicks through a shop of the demo storefront, up to what Prisjakt then holds."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import Any

from playwright.sync_api import Error
from selenium.common.exceptions import WebDriverException
from tests.browser.browsers import Browser

SECONDS = 60.0
BETWEEN_PAGES = (Error, RuntimeError, WebDriverException)  # while there is no page to ask

REQUESTS = "performance.getEntriesByType('resource')"  # those that were answered


class Customer:
    """Somebody new in a shop like Shopify's or WooCommerce's."""

    def __init__(self, browser: Browser, platform: str, hall: str) -> None:
        self._browser = browser
        self._platform = platform
        self._hall = hall
        self._click_id = ""

    def come(self, visit: str) -> str:
        """Enter the shop by one of the hall's doors; the click id of the landing address, or ''."""
        self._browser.open(self._hall)
        form = f"form[action$='/{self._platform}']"
        self._follow(f'document.querySelector("{form} button[value={visit}]")', "form.buy")
        found = re.search(r"pjclid=([^&#]+)", str(self._browser.run("location.search")))
        self._click_id = found[1] if found else ""
        return self._click_id

    def answer(self, answer: str) -> None:
        """Say yes or no to the banner."""
        self.until("document.querySelector('#banner:not([hidden])')")
        self._browser.run(f"void document.querySelector('[data-answer={answer}]').click()")
        if answer == "yes" and self._click_id and self._platform == "shopify":
            # People take longer than a request: two at once, of somebody who has no cart yet, would
            # make two carts, of which only one has the click id.
            self.until(f"{REQUESTS}.some((each) => each.name.includes('/cart/update.js'))")

    def buy(self) -> dict[str, Any]:
        """Product, cart, checkout, order; what became of it, once nothing is outstanding."""
        self._follow("document.querySelector('form.buy button')", "button[name=checkout]")
        self._browser.open(f"{self._hall}{self._platform}/checkout")
        self._follow("document.querySelector('form.checkout button')", "#steps")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            order: dict[str, Any] = self._browser.run(
                "fetch(document.getElementById('steps').dataset.state).then((a) => a.json())"
            )
            answers = {sent["outcome"] for sent in order["sent"]}
            if order["held"] or order["said"] == "dead" or answers == {"ignored"}:
                return order
        raise AssertionError(f"still outstanding: {order}")

    def until(self, expression: str) -> None:
        """Wait until an expression is true on the page."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            with suppress(*BETWEEN_PAGES):
                if self._browser.run(f"!!({expression})"):
                    return
        address = self._browser.run("location.href + ' ' + document.readyState")
        raise AssertionError(f"never true at {address}: {expression}")

    def _follow(self, element: str, then: str) -> None:
        """Click on what leads to another page, and wait for what that page has."""
        self._browser.run(f"void ({element}).click()")
        self.until(f"document.querySelector('{then}') && document.readyState === 'complete'")
