"""What the tests of the client share: ids, an event, and a simulated Prisjakt with a memory."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from tests.sender.world import CLICK_ID, START

from prisjakt_relay.local.prisjakt_model import Answer, Call, PrisjaktModel
from prisjakt_relay.local.prisjakt_model import Event as Stored
from prisjakt_relay.prisjakt.auth import HeaderPair, OAuth
from prisjakt_relay.prisjakt.models import PurchaseEvent

PIXEL = "36746cdf-cf62-4dff-bc5b-fb2df41ecb4d"
SHOP = 123_456
SECRET = "hush-hush"
PAIR = HeaderPair("shop-1", SECRET)
OAUTH = OAuth("shop-1", SECRET)


def now() -> datetime:
    return START


def event(**changes: Any) -> PurchaseEvent:
    fields: dict[str, Any] = {
        "event_name": "purchase",
        "event_time": datetime(2026, 11, 20, 23, 30, tzinfo=UTC),
        "external_event_id": "1001",
        "amount": Decimal("996.50"),
        "currency": "SEK",
        "number_of_items": 3,
        "signed_click_id": CLICK_ID,
    }
    return PurchaseEvent.model_validate(fields | changes)


def numbered(number: int) -> str:
    """A UUID that is as good as any, and tells its number."""
    return str(UUID(int=number, version=4))


class Recorder(PrisjaktModel):
    """The simulated Prisjakt, which also remembers what it was asked."""

    def __init__(self, **settings: Any) -> None:
        numbers = count(1)
        super().__init__(**{"clock": now, "new_id": lambda: numbered(next(numbers)), **settings})
        self.calls: list[Call] = []

    def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        return super().answer(call)

    def store(self, moment: datetime, *, amount: str = "1", currency: str = "SEK") -> str:
        """Have an event of that moment, and return its id."""
        event_id = numbered(1_000_000 + len(self.events))
        self._store(
            Stored(
                id=event_id,
                pixel_id=PIXEL,
                signed_click_id=CLICK_ID,
                external_event_id=None,
                event_name="purchase",
                event_time=moment,
                amount=Decimal(amount),
                currency=currency,
                number_of_items=None,
                received_at=self.clock(),
            )
        )
        return event_id
