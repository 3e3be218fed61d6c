"""Every limit that Prisjakt documents for an event holds before the event is sent."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.sender.world import BARE_CLICK_ID, CLICK_ID

from prisjakt_relay.prisjakt.models import Pixel, PurchaseEvent

EVENT: dict[str, Any] = {
    "event_name": "purchase",
    "event_time": datetime(2026, 11, 20, 23, 30, tzinfo=UTC),
    "external_event_id": "1001",
    "amount": Decimal("996.50"),
    "currency": "SEK",
    "number_of_items": 3,
    "signed_click_id": CLICK_ID,
}


def event(**changes: Any) -> PurchaseEvent:
    return PurchaseEvent.model_validate(EVENT | changes)


def test_the_body_is_the_documented_one() -> None:
    assert json.loads(event().to_json()) == {
        "event_name": "purchase",
        "event_time": "2026-11-20T23:30:00Z",
        "external_event_id": "1001",
        "data": {"amount": 996.5, "currency": "SEK", "number_of_items": 3},
        "signed_click_id": CLICK_ID,
    }


@given(st.decimals(0, 999_999_999, places=2))
def test_the_amount_is_a_number_with_the_very_digits(amount: Decimal) -> None:
    body = json.loads(event(amount=amount).to_json(), parse_float=Decimal)

    assert body["data"]["amount"] == amount


@pytest.mark.parametrize("amount", ["1E+2", "0E-2", "100.0", "0"])
def test_a_whole_amount_is_a_whole_number(amount: str) -> None:
    body = json.loads(event(amount=Decimal(amount)).to_json())

    assert body["data"]["amount"] == Decimal(amount)
    assert type(body["data"]["amount"]) is int


def test_the_time_is_told_in_utc() -> None:
    helsinki = timezone(timedelta(hours=2))
    body = json.loads(event(event_time=datetime(2026, 1, 1, 1, tzinfo=helsinki)).to_json())

    assert body["event_time"] == "2025-12-31T23:00:00Z"


@pytest.mark.parametrize(
    "fits",
    [
        {"event_name": "test-purchase"},
        {"event_name": "test-purchase", "signed_click_id": BARE_CLICK_ID},
        {"external_event_id": "x"},
        {"external_event_id": "å" * 100},
        {"amount": Decimal(0)},
        {"amount": Decimal("0.01")},
        {"amount": Decimal("999999999.00")},
        {"number_of_items": 0},
        {"number_of_items": 999_999_999},
        {"signed_click_id": CLICK_ID.upper()},
        *({"currency": currency} for currency in ("DKK", "EUR", "GBP", "NOK", "NZD", "SEK")),
    ],
)
def test_what_is_within_the_limits_is_taken(fits: dict[str, Any]) -> None:
    assert event(**fits).model_dump() == EVENT | fits


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_name", "refund"),
        ("event_name", ""),
        ("event_time", datetime(2026, 1, 1)),  # noqa: DTZ001
        ("event_time", "2026-01-01T00:00:00Z"),
        ("external_event_id", ""),
        ("external_event_id", "x" * 101),
        ("external_event_id", 1001),
        ("amount", Decimal("-0.01")),
        ("amount", Decimal("999999999.01")),
        ("amount", Decimal("1.001")),
        ("amount", Decimal("NaN")),
        ("amount", Decimal("Infinity")),
        ("amount", 9.5),
        ("amount", "9.50"),
        ("currency", "USD"),
        ("currency", "sek"),
        ("number_of_items", -1),
        ("number_of_items", 1_000_000_000),
        ("number_of_items", 1.0),
        ("number_of_items", True),
        ("signed_click_id", ""),
        ("signed_click_id", BARE_CLICK_ID),
        ("signed_click_id", f"{CLICK_ID}0"),
        ("signed_click_id", f" {CLICK_ID}"),
        ("signed_click_id", CLICK_ID.replace("-4", "-1", 1)),
        ("refund", True),
    ],
)
def test_what_breaks_a_limit_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        event(**{field: value})

    assert [".".join(map(str, error["loc"])) for error in refused.value.errors()] == [field]


@pytest.mark.parametrize("field", EVENT)
def test_every_field_is_required(field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PurchaseEvent.model_validate({k: v for k, v in EVENT.items() if k != field})

    assert [error["loc"] for error in refused.value.errors()] == [(field,)]


def test_a_test_still_needs_something_like_a_click_id() -> None:
    with pytest.raises(ValidationError, match="signed_click_id"):
        event(event_name="test-purchase", signed_click_id="test")


def test_an_event_cannot_be_changed_after_its_check() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        event().amount = Decimal(-1)  # type: ignore[misc]


def test_an_answer_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Pixel(id="1", enabled=True).enabled = False  # type: ignore[misc]


def test_answers_cost_nothing_until_one_is_read() -> None:
    """The sender imports them all at its start, and reads few of them."""
    code = """
from pydantic import BaseModel
from prisjakt_relay.prisjakt import client, models
found = [each for each in vars(models).values() if isinstance(each, type)]
built = [each.__name__ for each in found if getattr(each, "__pydantic_complete__", False)]
print(*sorted(set(built) - {"BaseModel", "_Answer"}))
"""

    built = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)  # noqa: S603

    assert built.stdout.split() == ["PurchaseEvent"]
