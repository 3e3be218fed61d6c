"""The conversion: the few facts of an order that leave the receiver, as JSON on the queue.

A plain dataclass, not a pydantic model: the receiver would pay for the import at every start.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

from prisjakt_relay.errors import MessageError

CURRENCIES: Final = frozenset({"DKK", "EUR", "GBP", "NOK", "NZD", "SEK"})
AMOUNT_LIMIT: Final = Decimal(999_999_999)
ITEMS_LIMIT: Final = 999_999_999
REFERENCE_LIMIT: Final = 100
CENT: Final = Decimal("0.01")  # each of the six currencies has two decimals

PURCHASE: Final = "purchase"
TEST_PURCHASE: Final = "test-purchase"

OLDEST: Final = timedelta(days=60)  # that an order may be when it comes
AHEAD: Final = timedelta(days=1)  # of ours, that a shop's clock may be

VERSION: Final = 1

_UUID_V4 = r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-4[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}"
_SIGNED_CLICK_ID: Final = re.compile(_UUID_V4 + r"_[0-9A-Za-z]{16}")
_BARE_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # half a character: no table stores it
_AMOUNT: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,2})?")

T = TypeVar("T")


def is_click_id(text: str) -> bool:
    """A signed click id, or the bare UUID that marks a test."""
    return bool(_SIGNED_CLICK_ID.fullmatch(text)) or is_test_click_id(text)


def is_test_click_id(text: str) -> bool:
    """A UUID without signature: Prisjakt takes it for test purchases only."""
    return bool(_BARE_UUID.fullmatch(text))


def utc_text(moment: datetime) -> str:
    """ISO 8601 in UTC with whole seconds and `Z`, the form that Prisjakt documents."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """One order's wish to be reported, as of one revision of the order."""

    platform: str
    shop: str
    order_id: str
    order_reference: str
    event_name: str
    event_time: datetime
    amount: Decimal
    currency: str
    number_of_items: int
    click_id: str
    void: bool
    revision: int
    received_at: datetime

    def to_message(self) -> str:
        return json.dumps(
            {
                "version": VERSION,
                "platform": self.platform,
                "shop": self.shop,
                "order_id": self.order_id,
                "order_reference": self.order_reference,
                "event_name": self.event_name,
                "event_time": utc_text(self.event_time),
                "amount": format(self.amount, "f"),
                "currency": self.currency,
                "number_of_items": self.number_of_items,
                "click_id": self.click_id,
                "void": self.void,
                "revision": self.revision,
                "received_at": self.received_at.astimezone(UTC).isoformat(timespec="milliseconds"),
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_message(cls, text: str) -> Conversion:
        """Read a message of any version ever queued; fields it does not know are left alone."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            raise MessageError("body") from None
        if not isinstance(message, dict):
            raise MessageError("body")
        _read(message, "version", _positive)
        return cls(
            platform=_read(message, "platform", _text),
            shop=_read(message, "shop", _text),
            order_id=_read(message, "order_id", _text),
            order_reference=_read(message, "order_reference", _reference),
            event_name=_read(message, "event_name", _event_name),
            event_time=_read(message, "event_time", _instant),
            amount=_read(message, "amount", _amount),
            currency=_read(message, "currency", _currency),
            number_of_items=_read(message, "number_of_items", _items),
            click_id=_read(message, "click_id", _click_id),
            void=_read(message, "void", _flag),
            revision=_read(message, "revision", _revision),
            received_at=_read(message, "received_at", _instant),
        )


def _read(message: Mapping[str, Any], field: str, parse: Callable[[Any], T]) -> T:
    try:
        return parse(message[field])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise MessageError(field) from None


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError


def _text(value: object, limit: int = 255) -> str:
    _require(isinstance(value, str) and 1 <= len(value) <= limit)
    _require(not _LONE_SURROGATE.search(str(value)))
    return str(value)


def _reference(value: object) -> str:
    return _text(value, REFERENCE_LIMIT)


def _event_name(value: object) -> str:
    _require(value in (PURCHASE, TEST_PURCHASE))
    return str(value)


def _currency(value: object) -> str:
    _require(value in CURRENCIES)
    return str(value)


def _click_id(value: object) -> str:
    _require(isinstance(value, str) and is_click_id(value))
    return str(value)


def _amount(value: object) -> Decimal:
    _require(isinstance(value, str) and bool(_AMOUNT.fullmatch(value)))
    return Decimal(str(value))


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _positive(value: object) -> int:
    number = _whole(value)
    _require(number >= 1)
    return number


def _items(value: object) -> int:
    number = _whole(value)
    _require(0 <= number <= ITEMS_LIMIT)
    return number


def _revision(value: object) -> int:
    number = _whole(value)
    _require(0 <= number < 2**53)
    return number


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _instant(value: object) -> datetime:
    _require(isinstance(value, str))
    moment = datetime.fromisoformat(str(value))
    _require(moment.tzinfo is not None)
    return moment.astimezone(UTC)
