"""The reconciler's surroundings without a network: the sender's, and an API for each shop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tests.platform_api.api_double import ApiDouble
from tests.sender.world import CLICK_ID, CREDENTIALS, START, Clock, Line
from tests.sender.world import World as SenderWorld

from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import HeldError, PlatformAccessError, StorageError
from prisjakt_relay.intake import assess
from prisjakt_relay.ledger import Record, from_item
from prisjakt_relay.local.deliveries import load
from prisjakt_relay.platform_api.interface import PlatformApi, Webhook
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.platforms.interface import Document
from prisjakt_relay.prisjakt.auth import credentials_of
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.reconciler.hourly import Ports, reconcile
from prisjakt_relay.reconciler.progress import Progress, ProgressBook
from prisjakt_relay.shop import Shop

ADDRESS = "https://relay.example/webhooks"
RUN = timedelta(seconds=900)
PAID: Document = json.loads(load("shopify", "orders-create-paid").body)


def order(id_: str, at: datetime, *, click_id: str | None = CLICK_ID, **more: Any) -> Document:
    """A paid order, made and last changed at that moment."""
    attributes = [] if click_id is None else [{"name": "pjclid", "value": click_id}]
    return PAID | {
        "id": int(id_),
        "created_at": at.isoformat(),
        "updated_at": at.isoformat(),
        "note_attributes": attributes,
        **more,
    }


class World:
    """One reconciler, a sender behind its queue, and the shops `alfa` and `beta`, on the list."""

    def __init__(self) -> None:
        self.sender = SenderWorld()
        self.clock: Clock = self.sender.clock
        self.store = self.sender.store
        self.book = ProgressBook(self.store)
        self.apis: dict[str, ApiDouble] = {}
        for name, document in self.sender.documents.items():
            document |= CREDENTIALS
            self.apis[name] = ApiDouble()
            address = f"{ADDRESS}/shopify/{name}"
            self.apis[name].hooks = [
                Webhook(id=str(number), topic=topic, address=address)
                for number, topic in enumerate(ApiDouble.topics, 1)
            ]
            self.book.add(name, START)
        self.queued: list[Conversion] = []
        self.queue_fails_after: int | None = None
        self.reads: list[list[str]] = []
        self.turn: datetime | None = None
        self.lines: list[Line] = []

    def run(self, seconds: float = RUN.total_seconds(), *, scale: float = 1.0) -> list[Line]:
        """One invocation; returns what it told."""
        before = len(self.lines)
        ports = Ports(
            book=self.book,
            shop=self._shop,
            api=self._api,
            prisjakt=self._prisjakt,
            records=self._records,
            enqueue=self._enqueue,
            webhook_address=ADDRESS,
            clock=self.clock,
            emit=self._emit,
            scale=scale,
        )
        reconcile(ports, self.clock() + timedelta(seconds=seconds))
        return self.lines[before:]

    def sell(self, name: str, *orders: Document) -> None:
        """Orders of a shop of which no webhook tells."""
        self.apis[name].put(*orders)

    def deliver(self, name: str, *orders: Document, at: datetime | None = None) -> None:
        """Orders whose webhooks arrived at that moment, or half an hour ago, and were reported."""
        now, self.clock.now = self.clock.now, at or self.clock.now - timedelta(minutes=30)
        self.sell(name, *orders)
        for each in orders:
            decision = assess(PLATFORMS["shopify"], name, self._shop(name), each, self.clock())
            assert decision.conversion is not None
            self.sender.add(decision.conversion)
        self.sender.run()
        self.clock.now = now

    def progress(self, name: str = "alfa") -> Progress:
        return self.book.get(name)

    def only(self, name: str) -> ApiDouble:
        """Take every other shop off the list."""
        for other in self.book.shops():
            if other != name:
                self.book.remove(other)
        return self.apis[name]

    def _shop(self, name: str) -> Shop:
        return self.sender.ports.shops.get(name, self.clock() + timedelta(seconds=10))

    def _api(self, name: str, shop: Shop) -> PlatformApi:
        if name not in self.apis:
            raise PlatformAccessError(f"no way into the {shop.platform} shop")
        return self.apis[name]

    def _prisjakt(self, name: str, shop: Shop) -> PrisjaktClient | None:
        credentials = credentials_of(shop)
        if credentials is None:
            return None
        return self.sender.ports.prisjakt.using(credentials, partial(self._take_turn, name))

    def _take_turn(self, _name: str, counts: bool) -> None:
        if counts and self.turn is not None:
            raise HeldError("this hour's requests to Prisjakt are used up", self.turn)

    def _records(self, keys: Sequence[str]) -> Mapping[str, Record]:
        self.reads.append(list(keys))
        items = {key: self.store.get(key) for key in keys}
        return {key: from_item(item) for key, item in items.items() if item}

    def _enqueue(self, conversion: Conversion) -> None:
        if self.queue_fails_after is not None and len(self.queued) >= self.queue_fails_after:
            raise StorageError("SendMessage: nobody there")
        self.queued.append(conversion)
        self.sender.add(conversion)

    def _emit(self, event: str, *, age: float | None = None, **fields: Any) -> None:
        self.lines.append(Line(event, age, fields))
