"""The deliveries that load is made of: as recorded, but each an order of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from tests.benchmark.load_generator import Answer
from tests.benchmark.load_orders import (
    SECRET,
    SHOP,
    Orders,
    Template,
    amount,
    carries,
    click_id,
    order_id,
    shop_document,
)

from prisjakt_relay.intake import decide
from prisjakt_relay.outcomes import Reason
from prisjakt_relay.platforms import PLATFORMS, shop_from

SHOPIFY = PLATFORMS["shopify"]


@pytest.fixture(scope="module")
def orders() -> Orders:
    return Orders()


def _parts(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    return {name: value for name, _, value in (line.partition(": ") for line in lines)}, body


@pytest.mark.parametrize("number", [0, 1, 7, 40, 59_990, 59_999])
def test_a_delivery_is_signed_and_as_long_as_it_says(orders: Orders, number: int) -> None:
    headers, body = _parts(orders.request(number))

    SHOPIFY.verify(headers, body, (SECRET,), datetime.now(UTC))
    assert int(headers["content-length"]) == len(body)
    assert headers["x-shopify-order-id"] == order_id(number)


@pytest.mark.parametrize("number", [0, 50, 59_990])
def test_one_with_a_click_id_becomes_its_own_conversion(orders: Orders, number: int) -> None:
    headers, body = _parts(orders.request(number))
    shop = shop_from(shop_document())

    found = decide(SHOPIFY, SHOP, shop, headers, body, datetime.now(UTC)).conversion

    assert found is not None
    assert found.order_id == order_id(number)
    assert found.amount == amount(number)
    assert found.click_id == click_id(number)
    assert found.event_name == "purchase"


def test_the_others_have_none(orders: Orders) -> None:
    headers, body = _parts(orders.request(1))
    shop = shop_from(shop_document())

    decision = decide(SHOPIFY, SHOP, shop, headers, body, datetime.now(UTC))

    assert decision.reason is Reason.NO_CLICK_ID
    assert decision.order_id == order_id(1)


def test_one_in_ten_carries_a_click_id() -> None:
    assert sum(map(carries, range(1000))) == 100


def test_signed_beforehand_is_signed_the_same(orders: Orders) -> None:
    when_wanted = [orders.request(n) for n in range(20)]

    orders.sign(range(20))

    assert [orders.request(n) for n in range(20)] == when_wanted


@pytest.mark.parametrize("number", [0, 1])
def test_lambda_gets_the_very_delivery(orders: Orders, number: int) -> None:
    event = json.loads(orders.event(number))
    headers, body = _parts(orders.request(number))

    assert event["body"].encode() == body
    assert event["headers"].items() <= headers.items()
    assert event["pathParameters"] == {"platform": "shopify", "shop": SHOP}


def test_a_gap_must_be_somewhere() -> None:
    """Else a recording that changed would make every order the same."""
    with pytest.raises(ValueError, match="no amount"):
        Template.of(b"nothing", {b"1666.30": "amount"})


def test_an_answer_is_whole_when_its_body_is() -> None:
    answer = Answer()

    assert answer.add(b"HTTP/1.1 503 Service Unavailable\r\nContent-Le") is None
    assert answer.add(b"ngth: 4\r\n\r\nno") is None
    assert answer.add(b"t.") == (503, False)


def test_an_answer_says_when_the_connection_ends() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    assert Answer().add(answer) == (200, True)


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_what_is_no_answer_is_none_that_was_taken(answer: bytes) -> None:
    assert Answer().add(answer) == (502, True)
