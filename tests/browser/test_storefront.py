"""The whole way: a click, an answer to the banner, an order, and what Prisjakt then holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from itertools import count

import pytest
from tests.browser.browsers import Browser
from tests.browser.customer import Customer
from tests.conftest import ports
from tests.operations.patients import spoilt

from prisjakt_relay.local.prisjakt_records import Event
from prisjakt_relay.local.system import LocalSystem, sample_shops

PORT = ports("storefront")
SHOPS = {"shopify": "demo-shopify", "woocommerce": "demo-woocommerce-strict"}
NUMBERS = count(1)  # of domains, so that nobody is known from before
SIGNED = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}_[0-9a-f]{16}")


@pytest.fixture(scope="module")
def system() -> Iterator[LocalSystem]:
    """The local system with one shop of each kind, neither of which looks at landing pages."""
    documents = sample_shops()
    shops = {name: documents[name] for name in SHOPS.values()}
    with LocalSystem(port=PORT, shops=shops, time_scale=0.01) as running:
        yield running


@pytest.fixture(params=sorted(SHOPS))
def customer(
    request: pytest.FixtureRequest, browser: Browser, system: LocalSystem
) -> Iterator[Customer]:
    """Somebody new in a shop; no page on the way may have an error."""
    assert system.model
    system.model.forget()
    yield Customer(browser, request.param, f"http://www.story-{next(NUMBERS)}.localhost:{PORT}/")
    assert browser.errors() == []


def held(system: LocalSystem) -> list[Event]:
    assert system.model
    return list(system.model.events.values())


def test_a_purchase_arrives_with_the_click_id_of_the_landing_page(
    customer: Customer, system: LocalSystem
) -> None:
    click_id = customer.come("listing")
    assert SIGNED.fullmatch(click_id)
    customer.answer("yes")
    customer.until(f"document.cookie.includes('pjclid={click_id}')")

    order = customer.buy()

    (event,) = held(system)
    assert event.event_name == "purchase"
    assert event.signed_click_id == click_id
    assert event.amount > Decimal(0)
    assert event.number_of_items == order["held"]["items"]


def test_a_test_purchase_arrives_as_one(customer: Customer, system: LocalSystem) -> None:
    click_id = customer.come("test")
    customer.answer("yes")

    customer.buy()

    (event,) = held(system)
    assert event.event_name == "test-purchase"
    assert event.signed_click_id == click_id


def test_a_dead_order_says_what_explains_it(customer: Customer, system: LocalSystem) -> None:
    customer.come("listing")
    customer.answer("yes")
    customer.until("document.cookie.includes('pjclid=')")
    with ExitStack() as spoiling:
        for name in SHOPS.values():
            pixel_id = str(sample_shops()[name]["pixel_id"])
            spoiling.enter_context(spoilt(system, pixel_id, kind="status", status=400, times=1_000))

        order = customer.buy()

    assert order["said"] == "dead"
    explained = "dead: see prisjakt-relay order "
    customer.until(f"document.querySelector('#steps .bad').innerText.includes('{explained}')")


def test_who_declines_is_not_reported(customer: Customer, system: LocalSystem) -> None:
    customer.come("listing")
    customer.answer("no")

    order = customer.buy()

    assert {sent["reason"] for sent in order["sent"]} == {"no_click_id"}
    assert held(system) == []


def test_who_did_not_come_from_prisjakt_is_not_reported(
    customer: Customer, system: LocalSystem
) -> None:
    customer.come("direct")
    customer.answer("yes")

    order = customer.buy()

    assert {sent["reason"] for sent in order["sent"]} == {"no_click_id"}
    assert held(system) == []
