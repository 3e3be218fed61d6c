"""Reading a platform's order without trusting it: the value, or an error that names the field."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from prisjakt_relay.conversion import CENT, CURRENCIES, ITEMS_LIMIT
from prisjakt_relay.errors import UnreadableError
from prisjakt_relay.shop import CurrencyChoice

_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_ID: Final = re.compile(r"[1-9][0-9]{0,39}")
_BEYOND: Final = Decimal(10) ** 12  # larger figures are cut to this: still beyond every limit
_FINEST: Final = Decimal("1e-12")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # half a character: nothing could store it


def identifier(document: dict[str, Any], field: str) -> str:
    """A positive whole number, as a string from here on."""
    value = document.get(field)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**40:
        return str(value)
    if isinstance(value, str) and _ID.fullmatch(value):
        return value
    raise UnreadableError(field, "is missing or not an id")


def identifiers(document: dict[str, Any], field: str) -> list[str]:
    """A list of ids; empty if it is absent or null."""
    values = document.get(field)
    if values is None:
        return []
    if not isinstance(values, list):
        raise UnreadableError(field, "is not a list")
    return [identifier({field: value}, field) for value in values]


def text(document: dict[str, Any], field: str) -> str:
    """A text that can be stored; "" if it is absent or null."""
    value = document.get(field)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**40:
        return str(value)
    if not isinstance(value, str) or _LONE_SURROGATE.search(value):
        raise UnreadableError(field, "is not a text")
    return value


def flag(document: dict[str, Any], field: str) -> bool:
    value = document.get(field)
    if value is not None and not isinstance(value, bool):
        raise UnreadableError(field, "is not true or false")
    return bool(value)


def decimal(document: dict[str, Any], field: str, path: str = "") -> Decimal:
    """An amount of money: a decimal string, or a JSON number."""
    value: Any = document.get(field)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if is_integer or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite():
        raise UnreadableError(f"{path}{field}", "is missing or not a number")
    if value.copy_abs() > _BEYOND:  # abs() would round, and overflow for 1e1000000
        return _BEYOND.copy_sign(value)
    if -value.as_tuple().exponent > 12:  # type: ignore[operator]  # finite: an int
        return value.quantize(_FINEST, ROUND_HALF_UP)
    return value


def has(document: dict[str, Any], field: str) -> bool:
    return document.get(field) is not None


def rows(document: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """A list of objects; empty if it is absent or null."""
    value = document.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise UnreadableError(field, "is not a list of objects")
    return value


def currency(document: dict[str, Any], field: str) -> str:
    value = document.get(field)
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise UnreadableError(field, "is missing or not a currency code")
    return value


def instant(document: dict[str, Any], field: str, *, naive_is_utc: bool = False) -> datetime:
    """A moment in UTC. A time without offset is refused unless the platform means UTC by it."""
    value = document.get(field)
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type]  # TypeError is caught
        if moment.tzinfo is None:
            if not naive_is_utc:
                raise ValueError
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise UnreadableError(field, "is missing or not a time") from None


def items(quantities: Iterable[Decimal], field: str) -> int:
    """Their sum, a broken one (1.5 kg) counted up."""
    total = Decimal(0)
    for quantity in quantities:
        if quantity < 0:
            raise UnreadableError(field, "is negative")
        total += quantity
    whole = math.ceil(total)
    if whole > ITEMS_LIMIT:
        raise UnreadableError(field, "is too large")
    return whole


def cents(amount: Decimal) -> Decimal:
    """At most two decimals, half up; what has fewer stays as the shop has it."""
    if -amount.as_tuple().exponent <= 2:  # type: ignore[operator]  # finite: an int
        return amount
    return amount.quantize(CENT, ROUND_HALF_UP)


def share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """`amount` in the proportion part : whole, in cents; all of it where there is no whole."""
    if part == whole or whole == 0:
        return amount
    return cents(amount * part / whole)


def takes_presentment(choice: CurrencyChoice, shop: str, presentment: str) -> bool:
    """Whether the buyer's currency is reported: by choice, or since only it is Prisjakt's."""
    if choice is CurrencyChoice.PRESENTMENT:
        return presentment in CURRENCIES or shop not in CURRENCIES
    return shop not in CURRENCIES and presentment in CURRENCIES


def click_ids_in_address(value: object) -> list[str]:
    """Every `pjclid` in the query of an address that a visitor supplied, in order."""
    if not isinstance(value, str) or "pjclid" not in value:
        return []
    try:
        return parse_qs(urlsplit(value).query, max_num_fields=200).get("pjclid", [])
    except ValueError:
        return []
