"""The README's pictures of what opens in a browser: `make picture`, after their looks change."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.browser.browsers import Chromium, chromium
from tests.browser.customer import Customer
from tests.operations.past_orders import seed

from prisjakt_relay.local import project
from prisjakt_relay.local.system import LocalSystem, sample_shops

PORT = 18807  # no test's, and always the same, since the pictures show it
DOCS = project.root() / "docs"
SHOP = "my-shop"


def main() -> None:
    """The storefront after two purchases; the report and the doctor of a shop with a past."""
    hall = f"http://www.shop.localhost:{PORT}/"
    with (
        LocalSystem(port=PORT, shops=sample_shops(), time_scale=0.01) as system,
        chromium() as browser,
    ):
        assert isinstance(browser, Chromium)
        for platform in ("woocommerce", "shopify"):
            customer = Customer(browser, platform, hall)
            customer.come("listing")
            customer.answer("yes")
            customer.until("document.cookie.includes('pjclid=')")
            customer.buy()
        browser.page.set_viewport_size({"width": 1080, "height": 1010})
        browser.open(hall)
        customer.until("document.querySelectorAll('tbody tr').length > 1")
        browser.page.screenshot(path=DOCS / "storefront.png")

        credentials = {"prisjakt_client_id": "me", "prisjakt_client_secret": "any"}
        system.aws.put_shop(SHOP, sample_shops()["demo-shopify"] | credentials)
        seed(system.aws, system.outputs["LedgerTable"], 2_000, SHOP)
        for command, height in (("report", 1000), ("doctor", 1330)):
            page(browser, command, height)


def page(browser: Chromium, command: str, height: int) -> None:
    """What a command writes with `--out`, as wide as a small window."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "page.html"
        where = ["--local", "--port", str(PORT), "--out", str(out)]
        program = [sys.executable, "-c", "from prisjakt_relay.cli.app import main; main()"]
        subprocess.run([*program, command, SHOP, *where], check=False)  # noqa: S603  # our own
        browser.page.set_viewport_size({"width": 1080, "height": height})
        browser.page.goto(out.as_uri())
        browser.page.screenshot(path=DOCS / f"{command}.png")


if __name__ == "__main__":
    main()
