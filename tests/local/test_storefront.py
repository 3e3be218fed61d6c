"""The demo storefront: carts as Shopify keeps them, orders that the relay takes, what is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from prisjakt_relay.conversion import is_click_id, is_test_click_id
from prisjakt_relay.errors import SignatureError
from prisjakt_relay.intake import Decision, assess, decide
from prisjakt_relay.local import deliveries, front, project
from prisjakt_relay.local import storefront_orders as orders
from prisjakt_relay.local.prisjakt_model import Call, PrisjaktModel
from prisjakt_relay.local.shop_system import Delivery
from prisjakt_relay.local.shop_systems import Heard, ShopSystems
from prisjakt_relay.local.storefront import create_storefront, money, scripts
from prisjakt_relay.local.storefront_orders import Line, Purchase
from prisjakt_relay.local.storefront_shops import (
    KEPT,
    LINES_SHOWN,
    SHOPIFY,
    WOOCOMMERCE,
    House,
    Storefront,
)
from prisjakt_relay.local.system import sample_shops
from prisjakt_relay.platforms import PLATFORMS, shop_from

NOW = datetime(2026, 11, 21, 9, 30, 15, 250_000, tzinfo=UTC)
SIGNED = "239cd31f-9d43-4cb4-b8dc-2057fe18c289_1b05fa7f1c34d125"
BARE = "239cd31f-9d43-4cb4-b8dc-2057fe18c289"
LAMP, BULB, HOOK = (product.id for product in SHOPIFY.products)
KETTLE, CUP, TOWEL = (product.id for product in WOOCOMMERCE.products)
HOUSES = pytest.mark.parametrize("house", [SHOPIFY, WOOCOMMERCE], ids=lambda each: each.platform)


class Relay:
    """Keeps what it is sent and answers with the relay's own decision."""

    def __init__(self, shops: dict[str, Any]) -> None:
        self.shops = {name: shop_from(document) for name, document in shops.items()}
        self.sent: list[Delivery] = []
        self.decisions: list[Decision] = []

    def __call__(self, delivery: Delivery) -> Heard:
        self.sent.append(delivery)
        _, _, platform_name, name = path_of(delivery).split("/")
        platform, shop = PLATFORMS[platform_name], self.shops[name]
        headers = headers_of(delivery)
        try:
            platform.verify(headers, delivery.body, shop.signing_secrets, NOW)
        except SignatureError:
            return Heard(401, {"title": "Signature not accepted"})
        decision = decide(platform, name, shop, headers, delivery.body, NOW + timedelta(minutes=1))
        self.decisions.append(decision)
        if decision.conversion is None:
            return Heard(200, {"outcome": "ignored", "reason": decision.reason})
        reference = decision.conversion.order_reference
        return Heard(200, {"outcome": "queued", "order_reference": reference})

    @property
    def last(self) -> Decision:
        return self.decisions[-1]


class Demo:
    """A storefront with everything around it faked, and a browser's view of it."""

    def __init__(self, shops: dict[str, Any] | None = None, *, simulated: bool = True) -> None:
        self.relay = Relay(sample_shops() if shops is None else shops)
        self.model = PrisjaktModel(clock=lambda: NOW, new_id=lambda: "id-1") if simulated else None
        self.systems = ShopSystems(
            lambda: self.relay.shops,
            address="http://127.0.0.1:8787",
            deliver=self.relay,
            give_access=lambda *_: None,
            clock=lambda: NOW,
            random=random(),
        )
        self.state = Storefront(
            lambda: self.relay.shops,
            systems=self.systems,
            model=self.model,
            prisjakt_url="https://someone:secret@prisjakt.example/click-conversion?key=secret",
            later=lambda work: work(),
            clock=lambda: NOW,
            random=random(),
        )
        self.app = create_storefront(self.state)
        self.browser: FlaskClient = self.app.test_client()

    def update(self, **content: Any) -> dict[str, Any]:
        answer = self.browser.post("/shopify/cart/update.js", json=content)
        assert answer.status_code == 200, answer.text
        cart = answer.json
        assert isinstance(cart, dict)
        return cart

    def cart(self) -> Any:
        return self.browser.get("/shopify/cart.js").json

    def report(self, event: dict[str, Any]) -> None:
        """What the relay's sender would do."""
        assert self.model is not None
        pixel = sample_shops()["demo-shopify"]["pixel_id"]
        path = f"/click-conversion/pixels/{pixel}/events"
        headers = {"content-type": "application/json"}
        body = json.dumps(event).encode()
        answer = self.model.answer(Call(method="POST", path=path, headers=headers, body=body))
        assert answer.status == 201

    def order(self, house: House, **form: str) -> str:
        """Buy what is in the cart; where the thank-you page is."""
        answer = self.browser.post(f"{house.root}checkout", data=form)
        assert answer.status_code == 303
        return str(answer.headers["Location"])

    def buy(self, house: House, product_id: int, quantity: int = 1, **form: str) -> str:
        add = "cart/add" if house is SHOPIFY else "cart"
        name = "id" if house is SHOPIFY else "add-to-cart"
        self.browser.post(f"{house.root}{add}", data={name: product_id, "quantity": quantity})
        return self.order(house, **form)

    def state_of(self, thanks: str) -> dict[str, Any]:
        answer = self.browser.get(f"/orders/{thanks.rsplit('/', 1)[1]}.json").json
        assert isinstance(answer, dict)
        return answer

    def received(self) -> dict[str, Any]:
        answer = self.browser.get("/prisjakt.json").json
        assert isinstance(answer, dict)
        return answer


@pytest.fixture
def demo() -> Iterator[Demo]:
    made = Demo()
    yield made
    made.state.close()


def path_of(delivery: Delivery) -> str:
    return urlsplit(delivery.address).path


def headers_of(delivery: Delivery) -> dict[str, str]:
    return {name.lower(): value for name, value in delivery.headers.items()}


def random() -> Random:
    return Random(7)  # noqa: S311  # the same every time


def purchase(*lines: Line, paid: bool = True) -> Purchase:
    return Purchase(
        id=6_200_000_000_001, number=1007, token="a" * 32, placed_at=NOW, lines=lines, paid=paid
    )


def test_updating_attributes_touches_only_the_keys_sent(demo: Demo) -> None:
    demo.update(attributes={"pjclid": SIGNED, "gift": "yes"})

    assert demo.update(attributes={"pjclid": ""})["attributes"] == {"pjclid": "", "gift": "yes"}
    assert demo.update()["attributes"] == {"pjclid": "", "gift": "yes"}
    assert demo.update(attributes={"pjclid": None, "n": 1})["attributes"] == {
        "pjclid": "",
        "gift": "yes",
        "n": "1",
    }


def test_attributes_come_as_a_form_too(demo: Demo) -> None:
    form = {"attributes[pjclid]": SIGNED, f"updates[{LAMP}]": "2"}
    cart: Any = demo.browser.post("/shopify/cart/update.js", data=form).json

    assert cart["attributes"] == {"pjclid": SIGNED}
    assert [(item["id"], item["quantity"]) for item in cart["items"]] == [(LAMP, 2)]
    assert cart["total_price"] == 259_800


def test_private_attributes_are_hidden_from_scripts_and_on_the_order(demo: Demo) -> None:
    assert demo.update(attributes={"__pjclid": SIGNED})["attributes"] == {}

    demo.buy(SHOPIFY, LAMP)

    assert demo.relay.last.conversion is not None
    assert demo.relay.last.conversion.click_id == SIGNED


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({"data": "not json", "content_type": "application/json"}, 400),
        ({"json": ["pjclid"]}, 400),
        ({"json": {"attributes": ["pjclid"]}}, 400),
        ({"json": {"attributes": {"a": "x" * 6_000}}}, 422),
        ({"json": {"attributes": {"x" * 6_000: "a"}}}, 422),
        ({"json": {"attributes": {str(number): "x" for number in range(300)}}}, 422),
        ({"data": b"x" * 100_000, "content_type": "application/json"}, 413),
    ],
)
def test_an_update_that_is_none_changes_nothing(
    demo: Demo, content: dict[str, Any], status: int
) -> None:
    demo.update(attributes={"pjclid": SIGNED})

    assert demo.browser.post("/shopify/cart/update.js", **content).status_code == status
    assert demo.cart()["attributes"] == {"pjclid": SIGNED}


def test_scripts_can_read_which_cart_it_is(demo: Demo) -> None:
    token = demo.cart()["token"]
    cookie = demo.browser.get_cookie("cart")

    assert cookie is not None
    assert cookie.value == token
    assert not cookie.http_only
    assert cookie.max_age == 14 * 24 * 3600
    assert demo.cart()["token"] == cookie.value


def test_adding_and_clearing(demo: Demo) -> None:
    demo.update(attributes={"pjclid": SIGNED})
    one: Any = demo.browser.post("/shopify/cart/add.js", json={"id": LAMP, "quantity": 2}).json
    two: Any = demo.browser.post(
        "/shopify/cart/add.js", json={"items": [{"id": LAMP}, {"id": HOOK, "quantity": 3}]}
    ).json

    assert (one["id"], one["quantity"], one["line_price"]) == (LAMP, 2, 259_800)
    assert [(item["id"], item["quantity"]) for item in two["items"]] == [(LAMP, 3), (HOOK, 3)]
    assert demo.browser.post("/shopify/cart/add.js", json={"id": 1}).status_code == 404
    assert demo.browser.post("/shopify/cart/add.js", json={"items": []}).status_code == 400
    cleared: Any = demo.browser.post("/shopify/cart/clear.js").json
    assert (cleared["item_count"], cleared["attributes"]) == (0, {"pjclid": SIGNED})


def test_an_order_at_the_shopify_like_shop_is_taken(demo: Demo) -> None:
    demo.browser.get(f"/shopify/products/skrivbordslampa?pjclid={SIGNED}")
    demo.update(attributes={"pjclid": SIGNED}, updates={str(LAMP): 1, str(BULB): 2})
    page = demo.browser.get("/shopify/checkout").text

    thanks = demo.order(SHOPIFY)

    conversion = demo.relay.last.conversion
    assert conversion is not None
    assert money(conversion.amount) == money(Decimal("1846.00"))
    assert money(conversion.amount) in page
    assert (conversion.currency, conversion.number_of_items) == ("SEK", 3)
    assert (conversion.click_id, conversion.event_name) == (SIGNED, "purchase")
    assert conversion.event_time == NOW.replace(microsecond=0)
    (delivery,) = demo.relay.sent
    assert path_of(delivery) == "/webhooks/shopify/demo-shopify"
    assert json.loads(delivery.body)["landing_site"] == (
        f"/shopify/products/skrivbordslampa?pjclid={SIGNED}"
    )
    assert demo.state_of(thanks)["sent"] == [
        {"topic": "orders/create", "status": 200, "outcome": "queued", "reason": None}
    ]
    assert SIGNED in demo.browser.get(thanks).text


def test_the_buyer_gets_a_new_cart_without_attributes(demo: Demo) -> None:
    before = demo.update(attributes={"pjclid": SIGNED})["token"]

    demo.buy(SHOPIFY, LAMP)

    after = demo.cart()
    assert after["token"] != before
    assert (after["attributes"], after["item_count"]) == ({}, 0)
    assert demo.order(SHOPIFY) == "/shopify/cart"
    assert len(demo.relay.sent) == 1


def test_an_order_at_the_woocommerce_like_shop_is_taken(demo: Demo) -> None:
    demo.browser.set_cookie("pjclid", SIGNED)
    demo.browser.post("/woocommerce/cart", data={"add-to-cart": CUP, "quantity": 2})
    demo.browser.post("/woocommerce/cart", data={"add-to-cart": TOWEL})
    page = demo.browser.get("/woocommerce/checkout").text

    demo.order(WOOCOMMERCE, pjclid=BARE)

    conversion = demo.relay.last.conversion
    assert conversion is not None
    assert money(conversion.amount) == money(Decimal("496.50"))
    assert money(conversion.amount) in page
    assert '<input type="hidden" name="pjclid">' in page
    assert (conversion.currency, conversion.number_of_items) == ("SEK", 3)
    assert conversion.click_id == SIGNED, "the cookie comes first"
    assert demo.relay.sent[0].topic == "order.created"


def test_the_hidden_field_carries_the_id_where_cookies_do_not(demo: Demo) -> None:
    demo.browser.set_cookie("pjclid", "no-click-id")

    demo.buy(WOOCOMMERCE, KETTLE, pjclid=BARE)

    assert demo.relay.last.conversion is not None
    assert demo.relay.last.conversion.click_id == BARE
    assert demo.relay.last.conversion.event_name == "test-purchase"


@HOUSES
def test_without_a_click_id_the_relay_has_nothing_to_report(demo: Demo, house: House) -> None:
    demo.browser.get(house.root)

    thanks = demo.buy(house, house.products[0].id)

    assert demo.relay.last.reason == "no_click_id"
    assert demo.state_of(thanks)["sent"][0]["reason"] == "no_click_id"


def test_a_withdrawn_consent_leaves_no_click_id_on_the_order(demo: Demo) -> None:
    demo.update(attributes={"pjclid": SIGNED})
    demo.update(attributes={"pjclid": ""})

    demo.buy(SHOPIFY, LAMP)

    assert demo.relay.last.reason == "no_click_id"


@pytest.mark.parametrize(
    ("consent", "reason"), [("allow", None), ("deny", "no_click_id"), (None, "no_click_id")]
)
def test_woocommerce_remembers_the_entry_page_with_consent_only(
    demo: Demo, consent: str | None, reason: str | None
) -> None:
    """The sample shop has `landing_page_fallback`, so that the entry page alone would report."""
    demo.browser.get(f"/woocommerce/product/kopp?pjclid={SIGNED}")
    if consent is not None:
        demo.browser.set_cookie("wp_consent_marketing", consent)

    demo.buy(WOOCOMMERCE, CUP)

    assert demo.relay.last.reason == reason
    assert (SIGNED in demo.relay.sent[0].body.decode()) is (reason is None)


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", f"{SIGNED}x", f"x{BARE}", ""])
def test_hostile_ids_are_ignored(demo: Demo, hostile: str) -> None:
    demo.browser.set_cookie("pjclid", hostile)
    woocommerce = demo.buy(WOOCOMMERCE, CUP, pjclid=hostile)
    demo.update(attributes={"pjclid": hostile})
    shopify = demo.buy(SHOPIFY, LAMP)

    assert all(decision.conversion is None for decision in demo.relay.decisions)
    assert "pjclid" not in {row["key"] for row in json.loads(demo.relay.sent[0].body)["meta_data"]}
    for page in (woocommerce, shopify):
        assert "<script>alert" not in demo.browser.get(page).text


@HOUSES
def test_the_delivery_is_signed_over_its_own_bytes(demo: Demo, house: House) -> None:
    demo.buy(house, house.products[0].id)
    (delivery,) = demo.relay.sent
    platform = PLATFORMS[house.platform]
    headers = headers_of(delivery)
    secrets = sample_shops()[f"demo-{house.platform}"]["signing_secrets"]

    platform.verify(headers, delivery.body, secrets[-1:], NOW)
    with pytest.raises(SignatureError):
        platform.verify(headers, delivery.body + b" ", secrets, NOW)
    assert platform.topic(headers, {}) == house.placed


@HOUSES
def test_a_cancelled_order_is_void(demo: Demo, house: House) -> None:
    demo.browser.set_cookie("pjclid", SIGNED)
    demo.update(attributes={"pjclid": SIGNED})
    thanks = demo.buy(house, house.products[1].id, 2)
    token = thanks.rsplit("/", 1)[1]

    answer = demo.browser.post(f"/orders/{token}/cancel")
    demo.browser.post(f"/orders/{token}/cancel")

    assert answer.headers["Location"] == thanks
    placed, cancelled = (decision.conversion for decision in demo.relay.decisions)
    assert placed is not None
    assert cancelled is not None
    assert (cancelled.void, cancelled.amount, cancelled.order_id) == (
        True,
        Decimal(0),
        placed.order_id,
    )
    assert cancelled.revision > placed.revision, "also within one second"
    assert demo.relay.sent[1].topic == house.cancelled
    assert demo.state_of(thanks)["cancelled"] is True


@HOUSES
def test_an_order_that_is_paid_later_is_reported_later(demo: Demo, house: House) -> None:
    demo.browser.set_cookie("pjclid", SIGNED)
    demo.update(attributes={"pjclid": SIGNED})
    thanks = demo.buy(house, house.products[0].id, payment="later")
    token = thanks.rsplit("/", 1)[1]

    assert demo.relay.last.reason == "payment_pending"
    assert "Pay it now" in demo.browser.get(thanks).text
    demo.browser.post(f"/orders/{token}/pay")
    demo.browser.post(f"/orders/{token}/pay")
    assert demo.relay.last.conversion is not None
    assert len(demo.relay.sent) == 2
    assert demo.relay.sent[1].topic == house.paid


def test_a_cancelled_order_is_not_paid(demo: Demo) -> None:
    token = demo.buy(SHOPIFY, LAMP, payment="later").rsplit("/", 1)[1]
    demo.browser.post(f"/orders/{token}/cancel")
    demo.browser.post(f"/orders/{token}/pay")

    assert [delivery.topic for delivery in demo.relay.sent] == ["orders/create", "orders/cancelled"]
    assert json.loads(demo.relay.sent[1].body)["financial_status"] == "voided"


@HOUSES
def test_every_choice_of_amount_fits_the_total(house: House) -> None:
    """Lines, VAT and delivery add up, whatever the relay is asked to report."""
    lines = tuple(Line(product, 3) for product in house.products)
    bought = purchase(*lines)
    sample = deliveries.load(house.platform, house.sample)
    if house is SHOPIFY:
        order = orders.shopify_order(
            json.loads(sample.body),
            bought,
            cart_token="c",
            attributes={"pjclid": SIGNED},
            landing_site=None,
        )
    else:
        order = orders.woocommerce_order(
            json.loads(sample.body),
            bought,
            address="https://shop.example/",
            click_id=SIGNED,
            session_entry=None,
        )
    amounts = {}
    for choice in ("total", "total_excl_tax", "goods", "goods_excl_tax"):
        document = sample_shops()[f"demo-{house.platform}"] | {"amount": choice}
        shop = shop_from(document)
        decision = assess(PLATFORMS[house.platform], "x", shop, order, NOW)
        assert decision.conversion is not None, decision
        amounts[choice] = decision.conversion.amount

    assert amounts["total"] == bought.total
    assert amounts["total"] - amounts["total_excl_tax"] == bought.tax
    assert amounts["goods"] == bought.goods == bought.total - Decimal("49.00")
    goods_tax = bought.tax - Decimal("9.80")
    assert amounts["goods"] - amounts["goods_excl_tax"] == goods_tax


@HOUSES
def test_nothing_of_the_sample_order_is_left(demo: Demo, house: House) -> None:
    """No click id, total or product of the recorded order gets into the made one."""
    demo.buy(house, house.products[0].id)
    body = demo.relay.sent[0].body.decode()

    for trace in (
        "239cd31f",
        "a70a2d14",
        "1666.30",
        "996.50",
        "HOST10",
        "Kaffebryggare",
        "some_key",
    ):
        assert trace not in body


@HOUSES
def test_a_shop_with_a_domain_gets_deliveries_of_that_domain(house: House) -> None:
    shops = {"mine": sample_shops()[f"demo-{house.platform}"] | {"domain": "mine.example"}}
    demo = Demo(shops)
    demo.browser.set_cookie("pjclid", SIGNED)
    if house is SHOPIFY:  # the other is not there
        demo.update(attributes={"pjclid": SIGNED})

    demo.buy(house, house.products[0].id)

    assert demo.relay.last.conversion is not None
    assert path_of(demo.relay.sent[0]) == f"/webhooks/{house.platform}/mine"
    assert PLATFORMS[house.platform].host(headers_of(demo.relay.sent[0])) == "mine.example"


def test_a_shop_that_is_off_says_so() -> None:
    demo = Demo({"mine": sample_shops()["demo-shopify"] | {"mode": "off"}})

    assert "ignores every order" in demo.browser.get("/shopify/").text
    demo.buy(SHOPIFY, LAMP)
    assert demo.relay.last.reason == "off"


def test_without_a_shop_of_the_platform_the_page_says_how_to_get_one() -> None:
    demo = Demo({"mine": sample_shops()["demo-shopify"]})

    for path in ("/woocommerce/", "/woocommerce/product/kopp", "/woocommerce/checkout"):
        answer = demo.browser.get(path)
        assert answer.status_code == 404
        assert "shop add my-shop --platform woocommerce --local" in answer.text
    assert "no WooCommerce shop" in demo.browser.get("/").text
    assert demo.browser.get("/shopify/").status_code == 200


@HOUSES
def test_a_shop_added_later_takes_over_and_orders_keep_their_own(house: House) -> None:
    """Its document is asked for with every page; an earlier order is paid at the earlier shop."""
    document = sample_shops()[f"demo-{house.platform}"]
    demo = Demo({"first": document})
    earlier = demo.buy(house, house.products[0].id, payment="later")

    demo.relay.shops = {"second": shop_from(document)} | demo.relay.shops
    assert "<code>second</code>" in demo.browser.get(house.root).text
    demo.buy(house, house.products[0].id)
    demo.browser.post(f"/orders/{earlier.rsplit('/', 1)[1]}/pay")

    assert [path_of(delivery).rsplit("/", 1)[1] for delivery in demo.relay.sent] == [
        "first",
        "second",
        "first",
    ]


@HOUSES
def test_an_order_of_a_shop_that_was_removed_is_told_to_nobody(house: House) -> None:
    demo = Demo({"first": sample_shops()[f"demo-{house.platform}"]})
    thanks = demo.buy(house, house.products[0].id, payment="later")

    demo.relay.shops = {}
    answer = demo.browser.post(f"/orders/{thanks.rsplit('/', 1)[1]}/pay")

    assert answer.status_code == 303
    assert demo.state_of(thanks)["paid"] is True
    assert len(demo.relay.sent) == 1


@HOUSES
def test_lost_webhooks_never_reach_the_relay_and_the_orders_are_in_the_shop(
    demo: Demo, house: House
) -> None:
    """The switch is on the hall's page, and the thank-you page says what became of the order."""
    demo.browser.set_cookie("pjclid", SIGNED)
    demo.update(attributes={"pjclid": SIGNED})
    demo.browser.post(f"/lose/{house.platform}", data={"deliveries": "lost"})
    lost = demo.buy(house, house.products[0].id)

    hall = demo.browser.get("/").text
    assert demo.relay.sent == []
    assert demo.state_of(lost)["sent"] == [
        {"topic": house.placed, "status": None, "outcome": "lost", "reason": None}
    ]
    assert f"prisjakt-relay reconcile demo-{house.platform} --local" in hall
    assert hall.count("Lose the next webhooks</button>") == 1, "the other shop's"
    system = demo.systems.of(f"demo-{house.platform}")
    assert system is not None
    placed = demo.state.placed(lost.rsplit("/", 1)[1])
    assert placed is not None
    assert list(system.orders) == [str(placed.purchase.id)]

    demo.browser.post(f"/lose/{house.platform}", data={"deliveries": "arrive"})
    demo.browser.post(f"/orders/{lost.rsplit('/', 1)[1]}/cancel")
    assert demo.relay.last.conversion is not None
    assert demo.relay.last.conversion.void


def test_a_lost_order_that_is_found_later_is_shown_as_received(demo: Demo) -> None:
    demo.update(attributes={"pjclid": SIGNED})
    demo.browser.post("/lose/shopify", data={"deliveries": "lost"})
    thanks = demo.buy(SHOPIFY, LAMP)
    placed = demo.state.placed(thanks.rsplit("/", 1)[1])
    assert placed is not None

    demo.report(
        {
            "event_name": "purchase",
            "external_event_id": str(placed.purchase.id),
            "data": {"amount": 1348, "currency": "SEK"},
            "signed_click_id": SIGNED,
        }
    )

    assert demo.state_of(thanks)["held"]["amount"] == "1348.00"


def test_losing_webhooks_of_a_shop_that_is_not_there_is_no_error() -> None:
    demo = Demo({"mine": sample_shops()["demo-shopify"]})

    assert demo.browser.post("/lose/woocommerce", data={"deliveries": "lost"}).status_code == 303
    assert demo.browser.post("/lose/magento").status_code == 404


@HOUSES
def test_without_a_webhook_nothing_is_sent_and_the_page_says_so(demo: Demo, house: House) -> None:
    system: Any = demo.systems.of(f"demo-{house.platform}")
    (system.subscriptions if house is SHOPIFY else system.webhooks).clear()

    thanks = demo.buy(house, house.products[0].id)

    assert demo.state_of(thanks)["sent"] == [
        {"topic": house.placed, "status": None, "outcome": "unsent", "reason": None}
    ]


def test_the_hall_says_for_whom_each_shop_sells_and_how_to_add_one(demo: Demo) -> None:
    page = demo.browser.get("/").text

    for name in ("demo-shopify", "demo-woocommerce"):
        assert f"<code>{name}</code>" in page
    assert "prisjakt-relay shop add my-shop --local --port 80" in page
    assert "any client id with any secret" in " ".join(page.split())


@HOUSES
@pytest.mark.parametrize(("visit", "signed"), [("listing", True), ("test", False)])
def test_one_enters_with_a_fresh_click_id(
    demo: Demo, house: House, visit: str, signed: bool
) -> None:
    path = f"/enter/{house.platform}"
    first, second = (
        str(demo.browser.post(path, data={"visit": visit}).headers["Location"]) for _ in range(2)
    )

    landing, _, click_id = first.partition("?pjclid=")
    assert first != second
    assert ("_" in click_id) is signed
    assert demo.browser.get(landing).status_code == 200
    direct = demo.browser.post(path, data={"visit": "direct"}).headers["Location"]
    assert direct == landing


def test_click_ids_are_of_the_documented_form() -> None:
    signed, bare = (orders.click_id(random(), signed=kind) for kind in (True, False))

    assert is_click_id(signed)
    assert not is_test_click_id(signed)
    assert is_test_click_id(bare)
    assert bare[14] == "4"


def test_the_live_view_has_events_and_lines_without_secrets(demo: Demo) -> None:
    thanks = demo.buy(SHOPIFY, LAMP)
    order_id = str(demo.state.placed(thanks.rsplit("/", 1)[1]).purchase.id)  # type: ignore[union-attr]
    event = {
        "event_name": "purchase",
        "event_time": "2026-11-21T09:30:15Z",
        "external_event_id": order_id,
        "data": {"amount": 1348, "currency": "SEK", "number_of_items": 1},
        "signed_click_id": SIGNED,
    }
    demo.report(event)
    line = {"service": "sender", "shop": "demo-shopify", "order_id": order_id}
    for message in ("reported", "corrected", "corrected"):
        demo.state.on_line(line | {"message": message, "timestamp": "2026-11-21T09:30:16.1Z"})
    demo.state.on_line({"service": "receiver", "message": "ignored", "secret": "x" * 9})

    seen = demo.received()

    (row,) = seen["events"]
    assert (row["amount"], row["currency"], row["items"]) == ("1348.00", "SEK", 1)
    assert (row["shop"], row["reference"], row["click_id"]) == ("demo-shopify", order_id, SIGNED)
    assert row["corrections"] == 2
    assert [each["message"] for each in seen["lines"]] == [
        "ignored",
        "corrected",
        "corrected",
        "reported",
    ]
    assert "secret" not in seen["lines"][0]
    assert seen["lines"][3]["time"] == "09:30:16"
    text = json.dumps(seen)
    assert "demoShopifySecret1" not in text
    assert "Testsson" not in text


def test_the_live_view_tells_what_the_reconciler_found_and_leaves_its_measures_out(
    demo: Demo,
) -> None:
    line = {"service": "reconciler", "shop": "demo-shopify"}
    for message in ("order_silence", "click_silence"):
        demo.state.on_line(line | {"message": message, "OrderSilence": 1.5})
    demo.state.on_line(line | {"message": "recovered", "order_id": "1", "standing": "missed"})

    (seen,) = demo.received()["lines"]

    assert (seen["message"], seen["order_id"], seen["standing"]) == ("recovered", "1", "missed")


def test_the_thank_you_page_follows_the_order_to_prisjakt(demo: Demo) -> None:
    demo.update(attributes={"pjclid": SIGNED})
    thanks = demo.buy(SHOPIFY, LAMP)
    conversion = demo.relay.last.conversion
    assert conversion is not None
    assert demo.state_of(thanks)["held"] is None

    event = {
        "event_name": "purchase",
        "external_event_id": conversion.order_reference,
        "data": {"amount": 1348, "currency": "SEK"},
        "signed_click_id": SIGNED,
    }
    demo.report(event)

    assert demo.state_of(thanks)["held"]["amount"] == "1348.00"


def test_reports_to_another_prisjakt_are_named_without_what_the_address_hides() -> None:
    demo = Demo(simulated=False)

    seen = demo.received()

    assert (seen["address"], seen["events"]) == ("https://prisjakt.example/click-conversion", [])
    for path in ("/", "/prisjakt"):
        page = demo.browser.get(path).text
        assert "https://prisjakt.example/click-conversion" in page
        assert "secret" not in page


def test_the_oldest_are_forgotten_first(demo: Demo) -> None:
    first = demo.state.cart_or_new(SHOPIFY, "")
    for _ in range(KEPT):
        demo.state.cart_or_new(SHOPIFY, "")
    for number in range(LINES_SHOWN + 5):
        demo.state.on_line({"service": "sender", "message": str(number)})

    assert demo.state.cart(SHOPIFY, first.token) is None
    assert len(demo.received()["lines"]) == LINES_SHOWN


def test_starting_over_ends_every_cookie_on_every_domain(demo: Demo) -> None:
    answer = demo.browser.post("/start-over", headers={"Host": "www.shop.localhost:8787"})
    ended = [cookie for cookie in answer.headers.getlist("Set-Cookie") if "pjclid=;" in cookie]

    assert [
        ("Domain=" + domain in each)
        for domain, each in zip(
            ("www.shop.localhost", "shop.localhost", "localhost"), ended[1:], strict=True
        )
    ] == [True] * 3
    assert all("Max-Age=0" in cookie for cookie in ended)


@pytest.mark.parametrize("host", ["127.0.0.1:8787", "www.shop.localhost:8787"])
def test_any_host_is_served_and_nothing_comes_from_elsewhere(demo: Demo, host: str) -> None:
    for path in ("/", "/prisjakt", "/shopify/", "/shopify/cart", "/woocommerce/product/kopp"):
        answer = demo.browser.get(path, headers={"Host": host})

        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert 'src="http' not in answer.text
        assert 'href="http' not in answer.text


def test_names_are_escaped(demo: Demo) -> None:
    page = demo.browser.get("/woocommerce/product/kopp").text

    assert "Kopp &#34;Blå&#34; &amp; vit" in page


@pytest.mark.parametrize(
    "path",
    [
        "/shopify/products/none",
        "/woocommerce/product/none",
        "/shopify/thank-you/none",
        "/orders/none.json",
        "/nowhere",
        "/snippet/../../template.yaml",
        "/snippet/capture.js",
        "/snippet/capture-0.0.0.js",
        "/snippet/capture-0.0.0.js.map",
    ],
)
def test_what_is_not_there_is_not_found(demo: Demo, path: str) -> None:
    assert demo.browser.get(path).status_code == 404


def test_the_built_scripts_are_in_the_pages(
    demo: Demo, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tmp_path / "snippet" / "dist"
    built.mkdir(parents=True)
    for name in ("capture-1.9.0.js", "capture-1.10.0.js", "shopify-1.0.0.js", "capture-x.js"):
        (built / name).write_text("// " + name)
    monkeypatch.setattr(project, "root", lambda: tmp_path)

    assert scripts(SHOPIFY) == ["shopify-1.0.0.js", "capture-1.10.0.js"]
    assert scripts(WOOCOMMERCE) == ["capture-1.10.0.js"]
    page = demo.browser.get("/shopify/").text
    assert '<script defer data-consent="required" src="/snippet/capture-1.10.0.js">' in page
    with demo.browser.get("/snippet/shopify-1.0.0.js") as answer:
        assert (answer.get_data(), answer.mimetype) == (b"// shopify-1.0.0.js", "text/javascript")


def test_the_checkout_of_shopify_runs_no_code_of_the_theme(demo: Demo) -> None:
    demo.update(updates={str(LAMP): 1})
    page = demo.browser.get("/shopify/checkout").text

    assert "/snippet/" not in page
    assert 'id="banner"' not in page


def test_quantities_are_changed_and_bounded(demo: Demo) -> None:
    demo.update(updates={str(LAMP): 5_000, str(HOOK): 1})
    demo.browser.post("/shopify/cart", data={f"updates[{HOOK}]": "0"})
    cart = demo.cart()

    assert [(item["id"], item["quantity"]) for item in cart["items"]] == [(LAMP, 99)]
    demo.browser.post("/woocommerce/cart", data={"add-to-cart": CUP, "quantity": "many"})
    answer = demo.browser.post(
        "/woocommerce/cart", data={f"cart[{CUP}][qty]": "4", "checkout": "1"}
    )
    assert answer.headers["Location"] == "/woocommerce/checkout"
    assert 'value="4"' in demo.browser.get("/woocommerce/cart").text
    assert demo.browser.post("/woocommerce/cart", data={"add-to-cart": "1"}).status_code == 404


def test_an_empty_cart_has_no_checkout(demo: Demo) -> None:
    for house in (SHOPIFY, WOOCOMMERCE):
        answer = demo.browser.get(f"{house.root}checkout")
        assert answer.headers["Location"] == f"{house.root}cart"
        assert "It is empty" in demo.browser.get(f"{house.root}cart").text


@pytest.mark.parametrize(
    ("path", "webhook"),
    [("/webhooks/shopify/x", True), ("/webhooks", True), ("/", False), ("/webhooksx", False)],
)
def test_only_webhooks_go_to_the_relay(path: str, webhook: bool) -> None:
    assert front._is_webhook(path) is webhook


def test_nothing_of_a_product_is_not_added(demo: Demo) -> None:
    answer = demo.browser.post(
        "/shopify/cart/add.js", json={"id": SHOPIFY.products[0].id, "quantity": 0}
    )

    assert answer.status_code == 422
