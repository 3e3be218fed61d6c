"""Shopify's three requests at the receiver: https://shopify.dev/docs/apps/build/compliance."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.receiver.test_webhook import UNAVAILABLE, UNSIGNED, Relay, lower

from prisjakt_relay.erasure import MOST_ORDERS
from prisjakt_relay.local.deliveries import Delivery
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.platforms.interface import no_privacy_requests

NAMES = ("customers-data-request", "customers-redact", "shop-redact")
ORDERS = ("6204817399001", "6204817399002")
PERSONAL = ("test@example.se", "+46701234567", "7034519871321", "68127735961", "myshopify")

every_request = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def relay(now: Any, samples: dict[str, Delivery]) -> Relay:
    return Relay(now, samples)


def sample(relay: Relay, name: str) -> Delivery:
    return relay.samples[f"shopify/{name}"]


def sent(relay: Relay, name: str, body: bytes | None = None) -> Any:
    """The sample, or another body under its topic, rightly signed."""
    found = sample(relay, name)
    body = found.body if body is None else body
    secret = relay.documents[found.shop]["signing_secrets"][0]
    headers = {name.lower(): value for name, value in found.signed(body, secret, relay.now)}
    return relay.post(found.platform, found.shop, headers, body)


def changed(relay: Relay, name: str, **changes: Any) -> bytes:
    return json.dumps(json.loads(sample(relay, name).body) | changes).encode()


@every_request
@pytest.mark.parametrize("mode", ["live", "test", "off"])
def test_a_request_is_accepted_whatever_the_shops_mode(name: str, mode: str, relay: Relay) -> None:
    """Who reports nothing any more may still have to forget."""
    relay.documents[sample(relay, name).shop]["mode"] = mode

    given = sent(relay, name)

    assert (given.status, given.headers) == (200, {})
    topic = lower(sample(relay, name))["x-shopify-topic"]
    assert given.body == {"outcome": "accepted", "request": topic}
    assert relay.queued == []


@every_request
def test_a_request_with_a_wrong_signature_is_refused(name: str, relay: Relay) -> None:
    found = sample(relay, name)

    assert relay.post(found.platform, found.shop, lower(found), found.body + b" ") == UNSIGNED
    assert relay.to_erase == []


@every_request
def test_a_request_of_another_store_is_ignored_with_an_alarm(name: str, relay: Relay) -> None:
    """One app's secret signs for several stores: the other's customers are not this shop's."""
    relay.documents[sample(relay, name).shop]["domain"] = "another.myshopify.com"

    given = sent(relay, name)

    assert given.body == {"outcome": "ignored", "reason": "source"}
    ((event, line),) = relay.lines
    assert (event, line["problem"]) == ("request_refused", "domain: another store asks")
    assert line["request"] == lower(sample(relay, name))["x-shopify-topic"]
    assert "another.myshopify.com" not in repr(relay.lines)
    assert relay.to_erase == []


def test_a_customers_orders_are_queued_to_be_erased(relay: Relay) -> None:
    sent(relay, "customers-redact")

    (wish,) = relay.to_erase
    assert (wish.platform, wish.shop, wish.order_ids) == ("shopify", "demo-shopify", ORDERS)
    assert (wish.received_at, wish.whole_shop) == (relay.now, False)


def test_a_shop_that_left_is_queued_to_be_erased(relay: Relay) -> None:
    sent(relay, "shop-redact")

    (wish,) = relay.to_erase
    assert (wish.shop, wish.order_ids, wish.whole_shop) == ("demo-shopify-app", (), True)


def test_a_whole_shop_is_forgotten_only_if_its_document_names_the_store(relay: Relay) -> None:
    """Without it, another store of the same app that leaves would take this shop's orders along."""
    del relay.documents["demo-shopify-app"]["domain"]

    assert sent(relay, "shop-redact").body == {"outcome": "ignored", "reason": "source"}
    ((event, line),) = relay.lines
    assert event == "request_refused"
    assert line["problem"] == "domain: is missing in the shop document"
    assert relay.to_erase == []


@pytest.mark.parametrize("other", ["customers-redact", "customers-data-request"])
def test_a_request_about_one_customer_is_none_about_the_shop(other: str, relay: Relay) -> None:
    """Its topic is not signed, and it never grows too old."""
    about = json.loads(sample(relay, other).body) | {
        "shop_domain": "prisjakt-relay-demo.myshopify.com"
    }

    given = sent(relay, "shop-redact", json.dumps(about).encode())

    assert given.body["reason"] == "unreadable"
    assert "about the whole shop" in relay.lines[-1][1]["problem"]
    assert relay.to_erase == []


@every_request
def test_a_delivery_of_something_else_is_no_request_whatever_its_topic_says(
    name: str, relay: Relay
) -> None:
    """No signature covers headers: whoever has one signed order could change its topic."""
    order = sample(relay, "orders-create-paid")

    given = sent(relay, name, order.body)

    assert given.body["reason"] == "unreadable"
    assert relay.lines[-1][1]["problem"] == "shop_domain: is missing"
    assert relay.to_erase == []


def test_a_long_list_is_several_messages(relay: Relay) -> None:
    ids = list(range(1, 2 * MOST_ORDERS + 2))

    assert sent(relay, "customers-redact", changed(relay, "customers-redact", orders_to_redact=ids))

    assert [len(wish.order_ids) for wish in relay.to_erase] == [MOST_ORDERS, MOST_ORDERS, 1]


@pytest.mark.parametrize("ids", [[], None])
def test_a_customer_without_orders_needs_nothing(ids: Any, relay: Relay) -> None:
    given = sent(
        relay, "customers-redact", changed(relay, "customers-redact", orders_to_redact=ids)
    )

    assert given.body["outcome"] == "accepted"
    assert relay.to_erase == []


@pytest.mark.parametrize("name", ["customers-redact", "shop-redact"])
def test_while_the_queue_is_away_the_shop_system_is_asked_to_send_again(
    name: str, relay: Relay
) -> None:
    relay.queue_fails = True

    assert sent(relay, name) == UNAVAILABLE


def test_a_request_for_data_is_counted_and_names_the_orders(relay: Relay) -> None:
    sent(relay, "customers-data-request")

    ((event, line),) = relay.lines
    assert event == "data_requested"
    assert line == {
        "outcome": "accepted",
        "request": "customers/data_request",
        "platform": "shopify",
        "shop": "demo-shopify",
        "orders": 2,
        "order_ids": ORDERS,
    }
    assert relay.to_erase == []


def test_the_line_of_a_request_for_data_names_a_hundred_orders_at_most(relay: Relay) -> None:
    body = changed(relay, "customers-data-request", orders_requested=list(range(1, 251)))

    sent(relay, "customers-data-request", body)

    ((_, line),) = relay.lines
    assert (line["orders"], len(line["order_ids"])) == (250, 100)


@every_request
def test_nothing_of_the_customer_gets_into_line_message_or_answer(name: str, relay: Relay) -> None:
    given = sent(relay, name)

    written = repr(relay.lines) + repr([each.to_message() for each in relay.to_erase])
    assert [word for word in PERSONAL if word in written + repr(given)] == []


@pytest.mark.parametrize("mode", ["live", "off"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b'{"orders_to_redact": []}',
        b'{"shop_domain": "a.example", "orders_to_redact": 7}',
        b'{"shop_domain": "a.example", "orders_to_redact": [{"id": 7}]}',
        b'{"shop_domain": "a.example", "orders_to_redact": ["x"]}',
        b'{"shop_domain": "a.example", "orders_to_redact": [-1]}',
    ],
)
def test_a_request_that_cannot_be_read_raises_the_alarm(
    mode: str, body: bytes, relay: Relay
) -> None:
    """A retry would bring the same bytes: somebody has to look."""
    relay.documents["demo-shopify"]["mode"] = mode

    given = sent(relay, "customers-redact", body)

    assert (given.status, given.body) == (200, {"outcome": "ignored", "reason": "unreadable"})
    assert [event for event, _ in relay.lines] == ["unreadable"]
    assert relay.to_erase == []


def test_a_platform_without_such_requests_needs_nothing() -> None:
    assert PLATFORMS["woocommerce"].privacy is no_privacy_requests
    assert no_privacy_requests({"x-wc-webhook-topic": "customers/redact"}, {}) is None
