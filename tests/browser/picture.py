"""The README's picture of the demo storefront: `make picture`, after a change of its looks."""

from __future__ import annotations

from tests.browser.browsers import Chromium, chromium
from tests.browser.customer import Customer

from prisjakt_relay.local import project
from prisjakt_relay.local.system import LocalSystem, sample_shops

PORT = 18807


def main() -> None:
    """Buy in both shops, then show the hall with what Prisjakt received."""
    hall = f"http://www.shop.localhost:{PORT}/"
    with LocalSystem(port=PORT, shops=sample_shops(), time_scale=0.01), chromium() as browser:
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
        browser.page.screenshot(path=project.root() / "docs" / "storefront.png")


if __name__ == "__main__":
    main()
