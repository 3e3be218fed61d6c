"""The erasure: what the relay has to forget of a shop's orders, as JSON on the queue.

Asked for by the shop system in a customer's or the shop's name, or by an operator. It carries the
ids of orders and nothing of the customer. It is a kind of its own beside `conversion.Conversion`,
told by the field `kind`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from prisjakt_relay.errors import MessageError

KIND: Final = "erasure"
VERSION: Final = 1
MOST_ORDERS: Final = 1_000  # of one message: some 20 kB, and a part of one invocation of the sender
_LONGEST: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """These orders, or all of the shop: `whole_shop`.

    A whole shop is gone through day by day; `from_day` is where the next message goes on. A
    `second` look comes later, for what was on its way during the first.
    """

    platform: str
    shop: str
    received_at: datetime
    order_ids: tuple[str, ...] = ()
    whole_shop: bool = False
    from_day: date | None = None
    second: bool = False

    def to_message(self) -> str:
        message: dict[str, Any] = {
            "version": VERSION,
            "kind": KIND,
            "platform": self.platform,
            "shop": self.shop,
            "received_at": self.received_at.astimezone(UTC).isoformat(timespec="milliseconds"),
        }
        if self.whole_shop:
            message |= {
                "whole_shop": True,
                "from_day": self.from_day.isoformat() if self.from_day else None,
                "second": self.second,
            }
        else:
            message["order_ids"] = list(self.order_ids)
        return json.dumps(message, separators=(",", ":"))

    @classmethod
    def from_message(cls, text: str) -> Erasure:
        """Read one; fields that it does not know are left alone. Raises `MessageError`."""
        try:
            message: Any = json.loads(text)
        except (ValueError, RecursionError):
            raise MessageError("body") from None
        if not isinstance(message, dict):
            raise MessageError("body")
        if message.get("kind") != KIND:
            raise MessageError("kind")
        version = message.get("version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise MessageError("version")
        whole_shop = _flag(message, "whole_shop")
        return cls(
            platform=_word(message.get("platform"), "platform"),
            shop=_word(message.get("shop"), "shop"),
            received_at=_moment(message),
            order_ids=() if whole_shop else _order_ids(message),
            whole_shop=whole_shop,
            from_day=_from_day(message),
            second=_flag(message, "second"),
        )


def of_orders(
    order_ids: Iterable[str], platform: str, shop: str, received_at: datetime
) -> list[Erasure]:
    """As many messages as that takes, each order once."""
    each = list(dict.fromkeys(order_ids))
    return [
        Erasure(
            platform=platform,
            shop=shop,
            received_at=received_at,
            order_ids=tuple(each[start : start + MOST_ORDERS]),
        )
        for start in range(0, len(each), MOST_ORDERS)
    ]


def of_shop(platform: str, shop: str, received_at: datetime) -> Erasure:
    return Erasure(platform=platform, shop=shop, received_at=received_at, whole_shop=True)


def _word(value: object, field: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST or not value.isprintable():
        raise MessageError(field)  # half a character is not printable either: nothing stores it
    return value


def _flag(message: dict[str, Any], field: str) -> bool:
    value = message.get(field, False)
    if not isinstance(value, bool):
        raise MessageError(field)
    return value


def _order_ids(message: dict[str, Any]) -> tuple[str, ...]:
    values = message.get("order_ids")
    if not isinstance(values, list):
        raise MessageError("order_ids")
    return tuple(_word(value, "order_ids") for value in values)


def _moment(message: dict[str, Any]) -> datetime:
    try:
        moment = datetime.fromisoformat(message["received_at"])
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise MessageError("received_at") from None


def _from_day(message: dict[str, Any]) -> date | None:
    value = message.get("from_day")
    try:
        return None if value is None else date.fromisoformat(value)
    except (TypeError, ValueError):
        raise MessageError("from_day") from None
