"""The field rules of the simulated Prisjakt API, and the refusals that name what breaks them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from prisjakt_relay.local.exchange import Call
from prisjakt_relay.local.prisjakt_exchange import ProblemError

Rule = tuple[str, Callable[[Any], bool]]
Errors = dict[str, tuple[str, object]]

UNPARSEABLE: Final = (ValueError, ArithmeticError, RecursionError)


def _pattern(message: str, pattern: str) -> Rule:
    matches = re.compile(pattern).fullmatch
    return message, lambda value: isinstance(value, str) and bool(matches(value))


def _choice(*choices: str) -> Rule:
    return f"must be one of {', '.join(choices)}", lambda value: value in choices


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return is_number and 0 <= value <= 999_999_999


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(_TIME.fullmatch(value) and instant(value))
    except ValueError:
        return False


def _are_roles(value: object) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) == len({str(role) for role in value})
        and all(role in _CREATABLE_ROLES for role in value)
    )


_UUID: Final = r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_UUID_V4: Final = r"(?=.{14}4.{4}[89ABab])" + _UUID
_SIGNATURE: Final = r"_[0-9A-Za-z]{16}"
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z",
)
_CREATABLE_ROLES: Final = ("event_publisher", "shop_user")
_UTC_TIME: Final = ("must be an ISO 8601 date and time in UTC", _is_time)

PIXEL_ID_RULES: Final = {"pixel_id": _pattern("must be a v4 UUID", _UUID_V4)}
SHOP_ID_RULES: Final = {
    "shop_id": _pattern("must be a whole number from 1 to 999999", "[1-9][0-9]{0,5}")
}

EVENT_OPTIONAL: Final = {"event_time", "external_event_id", "data.number_of_items"}
_EVENT_RULES: Final[dict[str, Rule]] = {
    "event_name": _choice("purchase", "test-purchase"),
    "event_time": _UTC_TIME,
    "external_event_id": _pattern("must be a string of 1 to 100 characters", r"(?s:.{1,100})"),
    "data": ("must be an object", lambda value: isinstance(value, dict)),
    "data.amount": ("must be a number between 0 and 999999999", _is_number),
    "data.currency": _choice("DKK", "EUR", "GBP", "NOK", "NZD", "SEK"),
    "data.number_of_items": (
        "must be a whole number between 0 and 999999999",
        lambda value: _is_number(value) and value == int(value),
    ),
    "signed_click_id": _pattern("must be a v4 UUID, _ and 16 characters", _UUID_V4 + _SIGNATURE),
}
_TEST_RULES: Final = {
    **_EVENT_RULES,
    "signed_click_id": _pattern("must be a UUID, signed or not", f"{_UUID}({_SIGNATURE})?"),
}
# Whether an array may hold tests is open: the reference that describes it knows only purchases.
BATCH_RULES: Final = {**_EVENT_RULES, "event_name": _choice("purchase")}

PIXEL_RULES: Final[dict[str, Rule]] = {
    "enabled": ("must be true or false", lambda value: isinstance(value, bool))
}
CLIENT_RULES: Final[dict[str, Rule]] = {
    "roles": (f"must be an array of some of {', '.join(_CREATABLE_ROLES)}, each once", _are_roles)
}

INTERVAL_RULES: Final[dict[str, Rule]] = {"from": _UTC_TIME, "to": _UTC_TIME}
PAGE_RULES: Final[dict[str, Rule]] = {
    **INTERVAL_RULES,
    "page": _pattern("must be a whole number from 1", "[1-9][0-9]{0,8}"),
    "per_page": _pattern("must be a whole number from 1 to 100", "[1-9][0-9]?|100"),
}
LIST_RULES: Final = {**PAGE_RULES, "event_name": _EVENT_RULES["event_name"]}
LIST_OPTIONAL: Final = {"page", "per_page", "event_name"}

_ABSENT: Final = object()


def event_rules(body: Mapping[str, Any]) -> Mapping[str, Rule]:
    """A test need not carry a signed click id."""
    return _TEST_RULES if body.get("event_name") == "test-purchase" else _EVENT_RULES


def validate(
    given: Mapping[str, Any], rules: Mapping[str, Rule], optional: Collection[str] = ()
) -> None:
    """Hold every field against its rule, and refuse with all that fail."""
    if errors := check(given, rules, optional):
        raise invalid(errors)


def check(
    given: object, rules: Mapping[str, Rule], optional: Collection[str] = (), prefix: str = ""
) -> Errors:
    """What fails of the fields, dotted where nested, their names with the prefix before them."""
    errors: Errors = {}
    for name, (message, holds) in rules.items():
        value = _at(given, name)
        if value is _ABSENT:
            if name not in optional:
                errors[prefix + name] = ("is required", None)
        elif not holds(value):
            errors[prefix + name] = (message, value)
    return errors


def _at(given: object, name: str) -> object:
    for part in name.split("."):
        given = given.get(part, _ABSENT) if isinstance(given, Mapping) else _ABSENT
    return given


def invalid(errors: Errors) -> ProblemError:
    return ProblemError(
        400,
        "Request validation failed",
        f"Request contains invalid fields: {', '.join(errors)}. See field_errors for more details.",
        field_errors={
            name: {"message": text, "value": bad} for name, (text, bad) in errors.items()
        },
    )


def json_object(call: Call) -> dict[str, Any]:
    body = json_body(call)
    if not isinstance(body, dict):
        raise invalid({"body": ("must be an object", body)})
    return body


def json_body(call: Call) -> Any:
    media_type = call.headers.get("content-type", "")
    if media_type.partition(";")[0].strip().lower() != "application/json":
        raise invalid({"content-type": ("must be application/json", media_type)})
    try:
        return parse(call.body)
    except UNPARSEABLE:
        raise invalid({"body": ("must be JSON", None)}) from None


def parse(body: bytes) -> Any:
    return json.loads(body, parse_float=Decimal, parse_constant=str)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
