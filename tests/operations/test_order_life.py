"""How an order is found: by its id, by an id within its reference, by its reference."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.cli.orders import new_shop

from prisjakt_relay.aws import Service
from prisjakt_relay.errors import StorageError
from prisjakt_relay.ledger import KEPT, Facts, Record, Status, to_item
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import order_life, shops
from prisjakt_relay.operations.explanations import OUTCOMES, REASONS, Explanation
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.outcomes import Outcome, Reason

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def shop(local_system: LocalSystem) -> str:
    return new_shop(local_system, order_reference="{name}")[0]


def keep(stack: Stack, shop: str, order_id: str, **more: Any) -> None:
    values: dict[str, Any] = {
        "shop": shop,
        "platform": "shopify",
        "order_id": order_id,
        "event_name": "purchase",
        "pixel_id": "p",
        "external_id": order_id,
        "currency": "SEK",
        "event_time": NOW.isoformat().replace("+00:00", "Z"),
        "click_id": "239cd31f-9d43-4cb4-b8dc-2057fe18c289",
        "received_at": NOW,
        "wanted": Facts(revision=1, void=False, amount=Decimal(1), items=1),
        "updated_at": NOW,
        "expires_at": NOW + KEPT,
        "status": Status.REPORTED,
    }
    stack.store.put(to_item(Record(**values | more)), previous=None)


def found(stack: Stack, shop: str, wanted: str, **choices: Any) -> str | None:
    document = replace(shops.shop(stack, shop), **choices)
    life = order_life.found(stack, shop, document, wanted, NOW - timedelta(days=1), NOW)
    return None if life is None else life.order_id


def days_ago(days: int) -> str:
    return (NOW - timedelta(days=days)).isoformat().replace("+00:00", "Z")


def test_an_id_goes_before_the_same_reference_of_another_order(stack: Stack, shop: str) -> None:
    keep(stack, shop, "1", external_id="2")
    keep(stack, shop, "2", external_id="3")

    assert found(stack, shop, "2") == "2"
    assert found(stack, shop, "3") == "2"


@pytest.mark.parametrize("days", [0, 1, 59, 90, 240, 448])
def test_a_reference_is_found_as_long_as_the_ledger_keeps_the_order(
    stack: Stack, shop: str, days: int
) -> None:
    keep(stack, shop, "1", external_id="#1001", event_time=days_ago(days))

    assert found(stack, shop, "#1001") == "1"


def test_the_newest_order_of_a_reference_is_meant(stack: Stack, shop: str) -> None:
    """Shops begin to count anew; days that do not matter are not searched."""
    for order_id, days in (("1", 60), ("2", 20), ("3", 40)):
        keep(stack, shop, order_id, external_id="R", event_time=days_ago(days))
    searched: list[None] = []

    newest = order_life.id_of_reference(stack, shop, "R", NOW, on_day=lambda: searched.append(None))

    assert newest == "2"
    assert len(searched) == 21


def test_an_order_that_is_dated_tomorrow_is_found(stack: Stack, shop: str) -> None:
    """The shop system's clock may be ahead."""
    keep(stack, shop, "1", external_id="R", event_time=days_ago(-1))

    assert found(stack, shop, "R") == "1"


def test_the_reference_of_another_shop_is_not_found(
    stack: Stack, shop: str, local_system: LocalSystem
) -> None:
    keep(stack, shop, "1", external_id="R")
    other, _ = new_shop(local_system, order_reference="{name}")

    assert found(stack, other, "R") is None


def test_an_order_id_may_hold_anything(stack: Stack, shop: str) -> None:
    keep(stack, shop, "1#2#purchase", external_id="R", event_name="test-purchase")

    assert found(stack, shop, "R") == "1#2#purchase"


@pytest.mark.parametrize(
    ("pattern", "reference"),
    [("SE-{id}", "SE-77"), ("{id}", "77"), ("{id}/{id}", "77/77"), ("({id}).", "(77).")],
)
def test_the_id_is_taken_from_a_reference_that_holds_it(
    stack: Stack, shop: str, pattern: str, reference: str
) -> None:
    """Without the index: it may be one that was ignored, of which only the logs know."""
    keep(stack, shop, "77", external_id="something else")

    assert found(stack, shop, reference, order_reference=pattern) == "77"


@pytest.mark.parametrize(
    ("pattern", "reference"),
    [("SE-{id}", "NO-77"), ("{id}/{id}", "77/78"), ("{id}.", "77x"), ("{id}{name}", "77x")],
)
def test_no_id_is_taken_from_a_reference_that_does_not_fit(
    stack: Stack, shop: str, pattern: str, reference: str
) -> None:
    keep(stack, shop, "77", external_id="something else")
    keep(stack, shop, "78", external_id="something else, too")

    assert found(stack, shop, reference, order_reference=pattern) is None


def test_a_reference_from_before_the_pattern_changed_is_found(stack: Stack, shop: str) -> None:
    keep(stack, shop, "1", external_id="SE-1001")

    assert found(stack, shop, "SE-1001", order_reference="SE-{id}") == "1"


def test_a_day_of_several_pages_is_read_to_its_end(
    stack: Stack, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for order_id in ("1", "2", "3"):
        keep(stack, shop, order_id, external_id=f"R{order_id}")
    real = Service.call

    def one_a_page(self: Service, operation: str, parameters: dict[str, Any]) -> Any:
        return real(
            self, operation, parameters | {"Limit": 1} if "IndexName" in parameters else parameters
        )

    monkeypatch.setattr(Service, "call", one_a_page)

    assert [found(stack, shop, f"R{order_id}") for order_id in "123"] == ["1", "2", "3"]


def test_a_table_that_does_not_answer_is_an_error_and_no_order(
    stack: Stack, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> Any:
        raise StorageError("Query: no answer")

    monkeypatch.setattr(Service, "call", away)

    with pytest.raises(StorageError):
        order_life.id_of_reference(stack, shop, "R", NOW)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"outcome": "ignored", "reason": "no_click_id"}, REASONS[Reason.NO_CLICK_ID]),
        ({"outcome": "unreadable", "service": "sender"}, OUTCOMES[Outcome.UNREADABLE]),
        ({"outcome": "waiting", "cause": "its turn"}, Explanation("its turn")),
        ({"outcome": "ignored", "reason": "a_newer_one"}, Explanation("nothing to report")),
        ({"outcome": "a_newer_one"}, Explanation("a_newer_one")),
    ],
)
def test_words_of_another_version_are_shown_as_they_are(
    line: dict[str, Any], expected: Explanation
) -> None:
    assert order_life._entry({"service": "receiver", "at": NOW, **line}).explanation == expected
