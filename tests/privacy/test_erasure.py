"""The erasure as a message: what it carries, what it never does, and what older senders make of
it."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sender.world import START

from prisjakt_relay.conversion import Conversion
from prisjakt_relay.erasure import MOST_ORDERS, Erasure, of_orders
from prisjakt_relay.errors import MessageError
from prisjakt_relay.local import project

QUEUED = sorted((project.root() / "events" / "queue").glob("erasure-*.json"))


def of_some(**changes: Any) -> Erasure:
    fields: dict[str, Any] = {
        "platform": "shopify",
        "shop": "alfa",
        "received_at": START,
        "order_ids": ("1001", "1002"),
    }
    return Erasure(**(fields | changes))


ERASURES = [
    of_some(),
    of_some(order_ids=()),
    of_some(order_ids=(), whole_shop=True),
    of_some(order_ids=(), whole_shop=True, from_day=date(2026, 11, 1)),
    of_some(order_ids=(), whole_shop=True, second=True),
]


@pytest.mark.parametrize("wish", ERASURES)
def test_a_message_says_what_was_wished(wish: Erasure) -> None:
    assert Erasure.from_message(wish.to_message()) == wish


def test_nothing_of_the_customer_fits_into_it() -> None:
    """Ids of orders, and whose they are; a new field needs a thought about privacy."""
    assert set(json.loads(of_some().to_message())) == {
        "version",
        "kind",
        "platform",
        "shop",
        "received_at",
        "order_ids",
    }


@pytest.mark.parametrize("file", QUEUED, ids=lambda file: file.name)
def test_messages_of_every_version_are_read(file: Any) -> None:
    assert Erasure.from_message(file.read_text()).order_ids == ("6204817399001", "6204817399002")


def test_fields_of_a_newer_sender_are_left_alone() -> None:
    newer = json.loads(of_some().to_message()) | {"version": 2, "reason": {"new": True}}

    assert Erasure.from_message(json.dumps(newer)) == of_some()


@pytest.mark.parametrize("wish", ERASURES)
def test_a_sender_that_only_knows_conversions_sets_it_aside(wish: Erasure) -> None:
    """It can read none of its fields as a conversion's: the message goes to `DeadLetters`."""
    with pytest.raises(MessageError):
        Conversion.from_message(wish.to_message())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "conversion"),
        ("kind", None),
        ("version", 0),
        ("version", True),
        ("version", "1"),
        ("platform", ""),
        ("shop", 7),
        ("shop", "x" * 256),
        ("received_at", None),
        ("received_at", "yesterday"),
        ("received_at", "2026-11-21T00:00:00"),
        ("order_ids", None),
        ("order_ids", "1001"),
        ("order_ids", [1001]),
        ("order_ids", [""]),
        ("whole_shop", 1),
        ("second", "no"),
        ("from_day", "monday"),
        ("from_day", 20261101),
    ],
)
def test_a_spoilt_field_is_named(field: str, value: object) -> None:
    spoilt = json.loads(of_some().to_message()) | {field: value}

    with pytest.raises(MessageError) as refused:
        Erasure.from_message(json.dumps(spoilt))

    assert refused.value.field == field


@pytest.mark.parametrize("text", ["", "[]", "7", "{", "[" * 100_000])
def test_what_is_no_message_is_told(text: str) -> None:
    with pytest.raises(MessageError) as refused:
        Erasure.from_message(text)

    assert refused.value.field == "body"


@given(st.lists(st.integers(1, 2 * MOST_ORDERS), max_size=3 * MOST_ORDERS))
def test_a_long_list_is_several_messages_with_each_order_once(numbers: list[int]) -> None:
    ids = [str(number) for number in numbers]

    wishes = of_orders(ids, "shopify", "alfa", START)

    assert [each for wish in wishes for each in wish.order_ids] == list(dict.fromkeys(ids))
    assert all(1 <= len(wish.order_ids) <= MOST_ORDERS for wish in wishes)
