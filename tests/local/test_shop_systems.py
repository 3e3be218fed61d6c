"""The shop systems of the local system: one for each shop, as the relay knows it at the time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from threading import Event, Thread
from typing import Any

import pytest
from tests.conftest import PATIENCE
from tests.platform_api.shop_session import ShopSession

from prisjakt_relay.local import deliveries
from prisjakt_relay.local.exchange import Call
from prisjakt_relay.local.shop_system import Delivery
from prisjakt_relay.local.shop_systems import Heard, ShopSystems, deliver
from prisjakt_relay.local.shop_systems_server import create_app
from prisjakt_relay.local.system import sample_shops
from prisjakt_relay.platform_api import PLATFORM_APIS, access
from prisjakt_relay.platform_api.interface import Moment
from prisjakt_relay.platform_api.subscriptions import IN_ORDER, examined
from prisjakt_relay.platforms import shop_from
from prisjakt_relay.platforms.interface import Document
from prisjakt_relay.shop import Shop

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
ADDRESS = "http://127.0.0.1:8787"
SAMPLES = {"shopify": "orders-create-paid", "woocommerce": "9.8.1-paid"}
PLACED = {"shopify": "orders/create", "woocommerce": "order.created"}
PLATFORMS = pytest.mark.parametrize("platform", ["shopify", "woocommerce"])


class Relay:
    """The shops that the relay has, what it was sent, and the access that was written for it."""

    def __init__(self, time_scale: float = 1.0) -> None:
        self.shops: dict[str, Shop] = {}
        self.status = 200
        self.sent: list[Delivery] = []
        self.heard: list[tuple[str, str, int]] = []
        self.access: dict[str, Mapping[str, str]] = {}
        self.was_sent = Event()
        self.systems = ShopSystems(
            lambda: self.shops,
            address=ADDRESS,
            deliver=self.take,
            give_access=self.access.__setitem__,
            time_scale=time_scale,
            clock=lambda: NOW,
            random=Random(7),  # noqa: S311  # the same every time
        )
        self.systems.listen(
            lambda name, delivery, heard: self.heard.append((name, delivery.topic, heard.status))
        )

    def take(self, delivery: Delivery) -> Heard:
        self.sent.append(delivery)
        if len(self.sent) > 1:
            self.was_sent.set()
        return Heard(self.status, {})

    def add(self, name: str, platform: str, **changes: Any) -> None:
        self.shops[name] = shop_from(sample_shops()[f"demo-{platform}"] | changes)


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay()
    yield made
    made.systems.close()


def order_of(platform: str) -> Document:
    order: Document = json.loads(deliveries.load(platform, SAMPLES[platform]).body)
    return order


@PLATFORMS
def test_a_system_starts_with_its_webhooks_and_sends_nothing_of_its_own(
    relay: Relay, platform: str
) -> None:
    relay.add("mine", platform)
    assert relay.systems.put("mine", order_of(platform), PLACED[platform])

    (delivery,) = relay.sent
    assert delivery.address == f"{ADDRESS}/webhooks/{platform}/mine"
    assert relay.heard == [("mine", PLACED[platform], 200)]


def test_a_platform_without_an_api_has_no_system(relay: Relay) -> None:
    relay.add("mine", "shopify")
    relay.shops["mine"] = replace(relay.shops["mine"], platform="another")

    relay.systems.follow_the_relay()

    assert relay.systems.of("mine") is None
    assert not relay.systems.put("mine", order_of("shopify"), PLACED["shopify"])
    assert relay.sent == []


@PLATFORMS
def test_the_access_that_is_written_lets_the_relay_in(relay: Relay, platform: str) -> None:
    relay.add("mine", platform)
    system = relay.systems.of("mine")
    assert system is not None
    order = order_of(platform)
    system.put(order)

    way = access.from_document(relay.access["mine"], platform)
    api = PLATFORM_APIS[platform](
        way, ShopSession(system, way.address), clock=lambda: NOW, wait=lambda _: None
    )
    where = f"{ADDRESS}/webhooks/{platform}/mine"

    assert way.address == f"{ADDRESS}/systems/mine"
    assert way.storefront == f"{ADDRESS}/{platform}"
    assert list(api.check()) == []
    assert {each.state for each in examined(api.webhooks(), api.topics, where)} <= IN_ORDER
    pages = api.orders(datetime(2026, 10, 1, tzinfo=UTC), NOW, by=Moment.CREATED)
    assert [each["id"] for page in pages for each in page.orders] == [order["id"]]


def test_at_shopify_the_apps_secret_is_the_newest_that_the_relay_takes(relay: Relay) -> None:
    relay.add("mine", "shopify", signing_secrets=["old", "new"])
    relay.systems.of("mine")

    assert relay.access["mine"]["client_secret"] == "new"


def test_a_shop_that_the_relay_does_not_have_has_no_system(relay: Relay) -> None:
    assert relay.systems.of("nobody") is None
    assert relay.systems.answer("nobody", Call(method="GET", path="/")) is None
    assert not relay.systems.put("nobody", {"id": 1}, "orders/create")


def test_systems_come_and_go_with_the_relays_shops(relay: Relay) -> None:
    relay.add("mine", "shopify")
    relay.systems.follow_the_relay()
    before = relay.systems.of("mine")
    assert list(relay.access) == ["mine"]

    relay.add("yours", "woocommerce")
    relay.systems.follow_the_relay()
    assert list(relay.access) == ["mine", "yours"]
    assert relay.systems.of("mine") is before
    gone = relay.shops.pop("mine")
    relay.systems.follow_the_relay()
    relay.shops["mine"] = gone
    assert relay.systems.of("mine") is not before


def test_a_renewed_secret_of_shopifys_app_signs_from_then_on_and_orders_stay(relay: Relay) -> None:
    relay.add("mine", "shopify", signing_secrets=["old"])
    order = order_of("shopify")
    relay.systems.put("mine", order)
    before = relay.systems.of("mine")

    relay.add("mine", "shopify", signing_secrets=["old", "new"])
    assert relay.systems.of("mine") is before
    relay.add("mine", "shopify", signing_secrets=["new"])
    after = relay.systems.of("mine")

    assert after is not None
    assert after is not before
    assert list(after.orders) == [str(order["id"])]
    assert relay.access["mine"]["client_secret"] == "new"


def test_webhooks_of_woocommerce_keep_the_secret_that_they_have(relay: Relay) -> None:
    relay.add("mine", "woocommerce", signing_secrets=["old"])
    before = relay.systems.of("mine")

    relay.add("mine", "woocommerce", signing_secrets=["new"])

    assert relay.systems.of("mine") is before


def test_a_shop_of_another_platform_under_the_same_name_has_another_system(relay: Relay) -> None:
    relay.add("mine", "shopify")
    relay.systems.put("mine", order_of("shopify"))

    relay.add("mine", "woocommerce")
    system = relay.systems.of("mine")

    assert system is not None
    assert system.orders == {}
    assert "consumer_key" in relay.access["mine"]


def test_what_shopify_could_not_deliver_it_delivers_later() -> None:
    relay = Relay(time_scale=1e-6)
    relay.add("mine", "shopify")
    relay.status = 503

    relay.systems.put("mine", order_of("shopify"), "orders/create")

    assert relay.was_sent.wait(PATIENCE)
    relay.systems.close()
    assert relay.sent[0].body == relay.sent[1].body
    assert relay.heard[0] == ("mine", "orders/create", 503)


def test_closed_systems_deliver_nothing_later() -> None:
    relay = Relay()
    for name in ("mine", "yours"):
        relay.add(name, "shopify")
    relay.status = 503
    relay.systems.put("mine", order_of("shopify"), "orders/create")
    (waiting,) = relay.systems._timers

    relay.systems.close()
    relay.systems.put("yours", order_of("shopify"), "orders/create")

    waiting.join(PATIENCE)
    assert not waiting.is_alive()
    assert relay.systems._timers == {waiting}
    assert len(relay.sent) == 2


def test_a_systems_calls_come_one_at_a_time(relay: Relay) -> None:
    """Its API is asked from several threads, and deliveries are tried again by others."""
    relay.add("mine", "woocommerce")
    answered: list[bool] = []
    asking = Thread(
        target=lambda: relay.systems.answer("mine", Call(method="GET", path="/")), daemon=True
    )

    def take(_: Delivery) -> Heard:
        asking.start()
        asking.join(0.05)
        answered.append(not asking.is_alive())
        return Heard(200, {})

    relay.systems.deliver = take
    relay.systems.put("mine", order_of("woocommerce"), "order.created")
    asking.join(PATIENCE)

    assert answered == [False]
    assert not asking.is_alive()


@pytest.mark.parametrize("domain", [None, "mine.example"])
def test_woocommerce_names_the_shops_own_address(relay: Relay, domain: str | None) -> None:
    relay.add("mine", "woocommerce", **({"domain": domain} if domain else {}))
    relay.systems.put("mine", order_of("woocommerce"), "order.created")

    source = relay.sent[0].headers["X-WC-Webhook-Source"]

    assert source == (f"https://{domain}/" if domain else f"{ADDRESS}/systems/mine/")


@pytest.mark.parametrize(
    "address", ["https://prisjakt.example/webhooks/shopify/x", "http://127.0.0.1:9/webhooks"]
)
def test_what_cannot_be_delivered_on_this_machine_gets_no_answer(address: str) -> None:
    heard = deliver(Delivery(address=address, topic="orders/create", order_id="1"))

    assert heard.status == 0
    assert str(heard.body["title"]).startswith("no answer: ")


def test_each_api_is_served_below_its_shops_name(relay: Relay) -> None:
    relay.add("mine", "woocommerce")
    browser = create_app(relay.systems).test_client()

    orders = browser.get("/mine/wp-json/wc/v3/orders?per_page=5")
    other = browser.get("/mine/?rest_route=/wc/v3/nothing")

    assert orders.status_code == 401
    assert b"woocommerce_rest_cannot_view" in orders.data
    assert other.status_code == 404
    assert b"rest_no_route" in other.data
    assert browser.get("/nobody/wp-json/wc/v3/orders").status_code == 404
    assert browser.post("/mine/admin/oauth/access_token").status_code == 404


def test_an_outage_is_the_shops_own(relay: Relay) -> None:
    for name in ("mine", "yours"):
        relay.add(name, "woocommerce")
    browser = create_app(relay.systems).test_client()
    system = relay.systems.of("mine")
    assert system is not None

    system.outage = 502

    assert browser.get("/mine/wp-json/wc/v3/orders").status_code == 502
    assert browser.get("/yours/wp-json/wc/v3/orders").status_code == 401
