"""A simulated Shopify store in a time of its own, and the client that reads it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from tests.platform_api.shop_session import ShopSession

from prisjakt_relay.local.shop_system import Delivery
from prisjakt_relay.local.shopify_system import ShopifySystem
from prisjakt_relay.platform_api.access import Access
from prisjakt_relay.platform_api.interface import Moment
from prisjakt_relay.platform_api.shopify import ShopifyApi
from prisjakt_relay.platforms.interface import Document

ADDRESS = "https://demo.myshopify.com"
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CLICK_ID = "a70a2d14-b4f3-4ead-9644-f96e8279e5ca_c3d717ebf3b80680"
CLIENT_SECRET = "hush-hush"
TOKEN = "shpat_given"


def order(number: int, moment: datetime = START, **changes: Any) -> Document:
    """No more than what an order must have."""
    return {
        "id": number,
        "created_at": moment.isoformat(),
        "updated_at": moment.isoformat(),
        "currency": "SEK",
        "total_price": "100.00",
        "financial_status": "paid",
        "source_name": "web",
        "note_attributes": [],
        "line_items": [{"quantity": 1}],
        **changes,
    }


def clicked(number: int, moment: datetime = START, **changes: Any) -> Document:
    """One that carries a click id."""
    attributes = [{"name": "pjclid", "value": CLICK_ID}]
    return order(number, moment, **{"note_attributes": attributes, **changes})


class Store:
    """`waits` are the client's, and pass at once; what has to be done `later` is done by hand;
    `also` happens with every delivery."""

    def __init__(self, **settings: Any) -> None:
        self.now = START + timedelta(days=1)
        self.waits: list[float] = []
        self.sent: list[Delivery] = []
        self.status: int | None = 200
        self.due: list[tuple[float, Any]] = []
        self.also: Callable[[], None] = lambda: None
        ids = count(1)
        self.system = ShopifySystem(
            "demo.myshopify.com",
            clock=lambda: self.now,
            new_id=lambda: f"id-{next(ids)}",
            send=self._send,
            later=lambda seconds, do: self.due.append((seconds, do)),
            client_id="client",
            client_secret=CLIENT_SECRET,
            **{"access_token": TOKEN, **settings},
        )
        self.session = ShopSession(self.system, ADDRESS)

    def _send(self, delivery: Delivery) -> int | None:
        self.sent.append(delivery)
        self.also()
        return self.status

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)

    def api(self, *, landing_pages: bool = False, **access: str) -> ShopifyApi:
        return ShopifyApi(
            Access(address=ADDRESS, **(access or {"access_token": TOKEN})),
            self.session,
            clock=lambda: self.now,
            wait=self.wait,
            landing_pages=landing_pages,
        )

    def own_api(self) -> ShopifyApi:
        """With a token that it asks for itself."""
        return self.api(client_id="client", client_secret=CLIENT_SECRET)

    def put(self, *orders: Document) -> None:
        for each in orders:
            self.system.put(each)

    def read(
        self,
        *,
        api: ShopifyApi | None = None,
        since: datetime = START - timedelta(days=2),
        until: datetime = START + timedelta(days=2),
        by: Moment = Moment.UPDATED,
    ) -> list[Document]:
        pages = (api or self.api()).orders(since, until, by=by)
        return [each for page in pages for each in page.orders]

    def read_ids(self, **interval: Any) -> list[int]:
        return [each["id"] for each in self.read(**interval)]


def without(store: Store, rights: Collection[str]) -> Store:
    store.system.scopes -= set(rights)
    return store
