"""What the commands of the pages are about: shops and orders in the shared local system."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, Final

from tests.cli.calling import local
from tests.cli.orders import asked_until, credentials, model, outcomes
from tests.conftest import PATIENCE
from tests.operations.dying import dying_shop

from prisjakt_relay.local.deliveries import RECORDED_UNTIL, load
from prisjakt_relay.local.shop_system import ShopSystem
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import shop_documents
from prisjakt_relay.operations.stack import Stack

SECRET: Final = "secretOfThePages1"
WRITTEN: Final = date(2026, 11, 21)  # when the pages' examples were today

# How the pages call shops and orders.
SHOPS: Final = ("SHOP", "my-shop", "OTHER", "demo-kiosk")
ORDERS: Final = ("ORDER", "ID", "5712345678901", "5712345678902", "6001", "6002", "529552")
EVENTS: Final = ("EVENT_ID", "0b7e1f64-5f4f-4c4e-9b0e-5d7d2a3c1f10")
CLICKS: Final = ("CLICK_ID", "239cd31f-9d43-4cb4-b8dc-2057fe18c289")
FINGERPRINTS: Final = ("FINGERPRINT", "1f3c9a07")
WEBHOOKS: Final = ("12",)

_SAMPLES: Final = {
    "shopify": ("orders-create-paid", "orders/create"),
    "woocommerce": ("made-purchase-paid", "order.created"),
}
_ids = count(7_600_000_000_001)

Names = dict[str, str]  # a page's word, and what stands for it here


def until(condition: Callable[[], Any]) -> None:
    """Functions take a moment."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def of_today(word: str) -> str:
    """A date of the examples, as far from today as it was from the day when they were written."""
    if word == "DATE":
        return datetime.now(UTC).date().isoformat()
    if not re.fullmatch(r"2026-\d\d-\d\d", word):
        return word
    return (datetime.now(UTC).date() + (date.fromisoformat(word) - WRITTEN)).isoformat()


@dataclass
class World:
    """The system, and shops of the tests' own in it."""

    system: LocalSystem
    stack: Stack
    known: Names = field(default_factory=dict)

    def no_shop(self) -> Names:
        """A name that is free."""
        return dict.fromkeys(SHOPS, f"docs-{uuid.uuid4().hex[:8]}")

    def new_shop(self, platform: str = "woocommerce") -> Names:
        """A shop with access to its system, webhooks and two signing secrets."""
        names = self.no_shop()
        document = {"platform": platform, "pixel_id": str(uuid.uuid4()), **credentials()}
        document["signing_secrets"] = [SECRET, f"{SECRET}2"]  # type: ignore[assignment]
        self.system.aws.put_shop(names["SHOP"], document)
        self.shop_system(names["SHOP"])
        marks = dict.fromkeys(FINGERPRINTS, shop_documents.fingerprint(SECRET))
        return names | marks

    def shop_with_webhook(self) -> Names:
        names = self.new_shop()
        listed = local("webhooks", "list", names["SHOP"], "--json")
        webhook = str(listed.json["webhooks"][0]["id"])
        return names | dict.fromkeys(WEBHOOKS, webhook)

    def shop_that_sold(self) -> Names:
        """The same one for all who only look."""
        if not self.known:
            names = self.new_shop()
            order = self.sells(names["SHOP"])
            (event,) = [
                event
                for event in list(model(self.system).events.values())
                if event.external_event_id == order
            ]
            self.known = (
                names
                | dict.fromkeys(ORDERS, order)
                | dict.fromkeys(EVENTS, str(event.id))
                | dict.fromkeys(CLICKS, str(event.click_id))
            )
        return self.known

    def seller(self) -> Names:
        """One of its own, for who changes something."""
        names = self.new_shop()
        return names | dict.fromkeys(ORDERS, self.sells(names["SHOP"]))

    def shop_with_dead(self) -> Names:
        shop = dying_shop(self.system, self.stack, **credentials())
        order = shop.dies().order_id
        other = shop.dies().order_id
        names = dict.fromkeys(SHOPS, shop.name) | dict.fromkeys(ORDERS, order)
        return names | {"6002": other}

    def shop_system(self, shop: str) -> ShopSystem:
        """The simulated one, which the local system makes within moments."""
        until(lambda: self.system.shop_systems.of(shop) is not None)
        found = self.system.shop_systems.of(shop)
        assert found is not None
        return found

    def sells(self, shop: str, *, platform: str = "woocommerce") -> str:
        """An order that has got to Prisjakt, as ledger and log know."""
        order = self.places(shop, platform=platform)
        asked_until(lambda told: "reported" in outcomes(told), "order", shop, order)
        return order

    def is_settled(self, shop: str, order: str) -> None:
        """What was put on the queue has got to Prisjakt, and the ledger knows."""
        until(lambda: self._is_reported(order))
        until(lambda: local("reconcile", shop, "--json").json["differences"] == [])

    def _is_reported(self, order: str) -> bool:
        events = list(model(self.system).events.values())
        return any(event.external_event_id == order for event in events)

    def places(self, shop: str, *, platform: str = "woocommerce") -> str:
        """An order of ten minutes ago, with the deliveries that the shop's system makes."""
        sample, topic = _SAMPLES[platform]
        ago = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
        delivery = load(platform, sample).moved(ago - RECORDED_UNTIL, None)
        order: dict[str, Any] = json.loads(delivery.body) | {"id": next(_ids)}
        self.shop_system(shop)
        assert self.system.shop_systems.put(shop, order, topic)
        return str(order["id"])
