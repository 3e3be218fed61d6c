"""A shop of a test's own, orders of it, and what the ledger and Prisjakt hold of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, Final

from tests.cli.orders import credentials, model, new_shop
from tests.platform_api.api_double import ApiDouble

from prisjakt_relay import ledger
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.intake import assess
from prisjakt_relay.ledger import Facts, Record
from prisjakt_relay.local.deliveries import load
from prisjakt_relay.local.prisjakt_model import Event
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import shops
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.platform_api.interface import Moment, Page
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.platforms.interface import Document
from prisjakt_relay.shop import Shop

HOURS: Final = timedelta(hours=1)
CLICK_ID: Final = "a70a2d14-b4f3-4ead-9644-f96e8279e5ca_c3d717ebf3b80680"

_ids = count(7_300_000_000_001)


@dataclass
class PagedApi(ApiDouble):
    """A shop's API that has these pages, whatever is asked for, and then fails if it is to."""

    pages: list[Page] = field(default_factory=list)
    failure: BaseException | None = None

    def orders(self, since: datetime, until: datetime, *, by: Moment) -> Iterator[Page]:
        self.asked.append((since, until, by))
        yield from self.pages
        if self.failure is not None:
            raise self.failure


def paged(*orders: Document, at_once: int = 2) -> PagedApi:
    """An API that gives these orders, so many on a page."""
    parts = [orders[start : start + at_once] for start in range(0, len(orders), at_once)]
    return PagedApi(pages=[Page(part, moment_of(part[-1])) for part in parts])


def moment_of(order: Document) -> datetime:
    return datetime.fromisoformat(order["created_at"])


@dataclass(frozen=True)
class ShopWithOrders:
    """A shop whose ledger is written by hand. `now` is when it was made."""

    system: LocalSystem
    stack: Stack
    name: str
    pixel_id: str
    now: datetime

    @property
    def shop(self) -> Shop:
        return shops.shop(self.stack, self.name)

    def order(
        self, age: timedelta = 3 * HOURS, *, changed: timedelta | None = None, **fields: Any
    ) -> Document:
        """A paid order that was made so long ago, and last changed so long ago."""
        order: Document = json.loads(load("shopify", "orders-create-paid").body)
        moments = {
            "created_at": (self.now - age).isoformat(),
            "updated_at": (self.now - (age if changed is None else changed)).isoformat(),
        }
        attributes = {"note_attributes": [{"name": "pjclid", "value": CLICK_ID}]}
        return order | {"id": next(_ids)} | moments | attributes | fields

    def conversion(self, order: Document) -> Conversion:
        decision = assess(PLATFORMS["shopify"], self.name, self.shop, order, self.now)
        assert decision.conversion is not None, decision
        return decision.conversion

    def knows(
        self,
        order: Document,
        became: Callable[[Record, Facts], Record] | None = None,
        *,
        updated: timedelta = HOURS,
        **fields: Any,
    ) -> Record:
        """The order is in the ledger as `became` leaves it, by default as reported."""
        conversion = self.conversion(order)
        then = self.now - updated
        record = ledger.claimed(
            None, conversion, pixel_id=self.pixel_id, corrects=True, now=then, token="t"
        ).record
        record = (became or is_reported)(record, Facts.of(conversion))
        record = replace(record, version=1, updated_at=then, **fields)
        assert self.stack.store.put(ledger.to_item(record), previous=None)
        return record

    def is_shown(self, record: Record) -> None:
        """Prisjakt holds it as the ledger says."""
        self.has_event(
            record.external_id, datetime.fromisoformat(record.event_time), str(record.wanted.amount)
        )

    def has_event(self, reference: str, at: datetime, amount: str) -> None:
        """Prisjakt holds an event of three items; there may be one of this reference already."""
        event = Event(
            id=str(uuid.uuid4()),
            pixel_id=self.pixel_id,
            signed_click_id=CLICK_ID,
            external_event_id=reference,
            event_name="purchase",
            event_time=at,
            amount=Decimal(amount),
            currency="SEK",
            number_of_items=3,
            received_at=self.now,
        )
        model(self.system).events[event.id] = event


def shop_with_orders(system: LocalSystem, stack: Stack, **choices: Any) -> ShopWithOrders:
    """Of its own pixel, and with credentials unless they are None."""
    given = credentials() | choices
    name, pixel_id = new_shop(system, **{k: v for k, v in given.items() if v is not None})
    now = datetime.now(UTC).replace(microsecond=0)
    return ShopWithOrders(system, stack, name, str(given.get("pixel_id", pixel_id)), now)


def is_reported(record: Record, facts: Facts) -> Record:
    """As the sender leaves what Prisjakt took."""
    return replace(ledger.reported(record, facts, certain=True), reported_at=record.updated_at)
