"""Shopify's oddities: states, money in two currencies, gift cards and tips, cart attributes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from prisjakt_relay.errors import UnreadableError
from prisjakt_relay.platforms import shop_from, shopify
from prisjakt_relay.platforms.interface import PaymentState
from prisjakt_relay.shop import Shop

CLICK = "239cd31f-9d43-4cb4-b8dc-2057fe18c289_1b05fa7f1c34d125"


def shop(**choices: object) -> Shop:
    return shop_from(
        {
            "platform": "shopify",
            "pixel_id": "36746cdf-cf62-4dff-bc5b-fb2df41ecb4d",
            "signing_secrets": ["secret"],
            **choices,
        }
    )


def money(**amounts: str) -> dict[str, Any]:
    """Each amount in the shop's kronor, and in the buyer's euro at ten kronor."""
    fields: dict[str, Any] = dict(amounts)
    for name, amount in amounts.items():
        fields[f"{name}_set"] = {
            "shop_money": {"amount": amount, "currency_code": "SEK"},
            "presentment_money": {"amount": str(Decimal(amount) / 10), "currency_code": "EUR"},
        }
    return fields


def line(quantity: int, price: str, tax: str = "", discount: str = "", **more: Any) -> Any:
    return {
        "quantity": quantity,
        "current_quantity": quantity,
        "gift_card": False,
        **money(price=price),
        "tax_lines": [money(price=tax)] if tax else [],
        "discount_allocations": [money(amount=discount)] if discount else [],
        **more,
    }


ORDER: dict[str, Any] = {
    "id": 6204817342681,
    "name": "#1166X01",
    "order_number": 1166,
    "created_at": "2026-11-21T00:12:31+01:00",
    "updated_at": "2026-11-21T00:12:33+01:00",
    "currency": "SEK",
    "presentment_currency": "EUR",
    "financial_status": "paid",
    "cancelled_at": None,
    "test": False,
    "source_name": "web",
}

# Two lamps at 100 less a discount of 20, a book at 53, a gift card of 200, shipping at 49, a tip
# of 10; VAT of 25 % on lamps (36) and shipping (9.80), of 6 % on the book (3): in the prices.
TAXES_INCLUDED: dict[str, Any] = {
    **ORDER,
    "taxes_included": True,
    **money(
        subtotal_price="433.00",
        total_price="492.00",
        current_total_price="492.00",
        total_tax="48.80",
        current_total_tax="48.80",
        total_tip_received="10.00",
    ),
    "line_items": [
        line(2, "100.00", tax="36.00", discount="20.00"),
        line(1, "53.00", tax="3.00"),
        line(1, "200.00", gift_card=True),
    ],
}

# The same goods to the same customer, from a shop whose prices are without VAT.
TAXES_ADDED: dict[str, Any] = {
    **TAXES_INCLUDED,
    "taxes_included": False,
    **money(subtotal_price="394.00"),
    "line_items": [
        line(2, "80.00", tax="36.00", discount="16.00"),
        line(1, "50.00", tax="3.00"),
        line(1, "200.00", gift_card=True),
    ],
}

# One lamp sent back: 90, of which 18 are VAT.
REFUND = money(current_total_price="402.00", current_total_tax="30.80")

both_kinds_of_prices = pytest.mark.parametrize(
    "order", [TAXES_INCLUDED, TAXES_ADDED], ids=["taxes included", "taxes added"]
)


def without(order: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in order.items() if name not in fields}


@both_kinds_of_prices
@pytest.mark.parametrize(
    ("choice", "amount"),
    [
        ("total", "492.00"),
        ("total_excl_tax", "443.20"),
        ("goods", "233.00"),
        ("goods_excl_tax", "194.00"),
    ],
)
def test_amounts_of_an_order_as_placed(order: dict[str, Any], choice: str, amount: str) -> None:
    """The total has the tip and the gift card in it; goods have neither, and no shipping."""
    read = shopify.normalise(order, shop(amount=choice))

    assert (read.gross, read.net, read.currency) == (Decimal(amount), Decimal(amount), "SEK")


@both_kinds_of_prices
@pytest.mark.parametrize(
    ("choice", "gross", "net"),
    [
        ("total", "492.00", "402.00"),
        ("total_excl_tax", "443.20", "371.20"),
        ("goods", "233.00", "190.38"),  # 233 * 402 / 492 = 190.378
        ("goods_excl_tax", "194.00", "158.51"),  # 194 * 402 / 492 = 158.512
    ],
)
def test_amounts_after_a_refund(order: dict[str, Any], choice: str, gross: str, net: str) -> None:
    read = shopify.normalise(order | REFUND, shop(amount=choice))

    assert (read.gross, read.net) == (Decimal(gross), Decimal(net))


@both_kinds_of_prices
def test_tax_of_a_refund_that_is_not_given_is_in_proportion(order: dict[str, Any]) -> None:
    """48.80 * 402 / 492 = 39.87 of the tax are left, and 402 - 39.87 = 362.13."""
    refunded = without(order | REFUND, "current_total_tax", "current_total_tax_set")

    read = shopify.normalise(refunded, shop(amount="total_excl_tax"))

    assert (read.gross, read.net) == (Decimal("443.20"), Decimal("362.13"))


@both_kinds_of_prices
@pytest.mark.parametrize(
    ("choice", "gross", "net"),
    [
        ("total", "49.20", "40.20"),
        ("total_excl_tax", "44.32", "37.12"),
        ("goods", "23.30", "19.04"),  # 23.30 * 40.20 / 49.20 = 19.0378
        ("goods_excl_tax", "19.40", "15.85"),  # 19.40 * 40.20 / 49.20 = 15.8512
    ],
)
def test_amounts_in_the_buyers_currency(
    order: dict[str, Any], choice: str, gross: str, net: str
) -> None:
    chosen = shop(amount=choice, currency="presentment")

    read = shopify.normalise(order | REFUND, chosen)

    assert (read.gross, read.net, read.currency) == (Decimal(gross), Decimal(net), "EUR")


@both_kinds_of_prices
def test_a_discount_on_a_gift_card_is_no_discount_on_goods(order: dict[str, Any]) -> None:
    """The card costs 150 instead of 200: 50 less in subtotal and total, the goods as before."""
    cheaper = money(
        subtotal_price=str(Decimal(order["subtotal_price"]) - 50),
        total_price="442.00",
        current_total_price="442.00",
    )
    lines = [*order["line_items"][:2], line(1, "200.00", discount="50.00", gift_card=True)]

    for currency, goods in (("shop", "233.00"), ("presentment", "23.30")):
        read = shopify.normalise(
            {**order, **cheaper, "line_items": lines}, shop(amount="goods", currency=currency)
        )

        assert (read.gross, read.net) == (Decimal(goods), Decimal(goods))


def test_several_gift_cards_of_one_line_are_all_money() -> None:
    lines = [line(3, "100.00", gift_card=True), line(1, "133.00")]

    read = shopify.normalise({**TAXES_INCLUDED, "line_items": lines}, shop(amount="goods"))

    assert read.gross == Decimal("133.00")


@pytest.mark.parametrize(
    ("total", "reported"),
    [
        ("492", "492"),
        ("492.004", "492.00"),
        ("492.005", "492.01"),
        ("492.014999", "492.01"),
        (492, "492"),
        (Decimal("492.5"), "492.5"),
    ],
)
def test_amounts_are_rounded_half_up_to_two_decimals_at_most(total: object, reported: str) -> None:
    read = shopify.normalise(
        TAXES_INCLUDED | {"total_price": total, "current_total_price": total}, shop()
    )

    assert (str(read.gross), str(read.net)) == (reported, reported)


def test_without_current_total_the_order_counts_as_placed() -> None:
    """Bodies of before 2021, and shops that leave the field out of their subscription."""
    old = without(TAXES_INCLUDED, "current_total_price", "current_total_price_set")

    for currency, total in (("shop", "492.00"), ("presentment", "49.20")):
        read = shopify.normalise(old, shop(currency=currency))

        assert (read.gross, read.net) == (Decimal(total), Decimal(total))


@pytest.mark.parametrize(
    ("choice", "own", "bought", "currency", "net"),
    [
        ("shop", "SEK", "SEK", "SEK", "492.00"),
        ("shop", "SEK", "EUR", "SEK", "492.00"),
        ("shop", "SEK", "USD", "SEK", "492.00"),
        ("shop", "SEK", None, "SEK", "492.00"),
        ("shop", "USD", "EUR", "EUR", "49.20"),
        ("shop", "USD", "CHF", "USD", "492.00"),
        ("presentment", "SEK", "EUR", "EUR", "49.20"),
        ("presentment", "SEK", "USD", "SEK", "492.00"),
        ("presentment", "SEK", None, "SEK", "492.00"),
        ("presentment", "USD", "EUR", "EUR", "49.20"),
        ("presentment", "USD", "CHF", "CHF", "49.20"),
    ],
)
def test_the_amount_follows_the_currency(
    choice: str, own: str, bought: str | None, currency: str, net: str
) -> None:
    order = TAXES_INCLUDED | {"currency": own, "presentment_currency": bought}

    read = shopify.normalise(order, shop(currency=choice))

    assert (read.currency, read.net) == (currency, Decimal(net))


def test_an_order_in_one_currency_needs_no_second_amounts() -> None:
    refunded = TAXES_INCLUDED | REFUND
    plain = {name: value for name, value in refunded.items() if not name.endswith("_set")}

    for bought in ("SEK", None):
        read = shopify.normalise(
            plain | {"presentment_currency": bought}, shop(currency="presentment")
        )

        assert (read.currency, read.net) == ("SEK", Decimal("402.00"))


@pytest.mark.parametrize(
    "bag",
    [None, "", [], {}, {"shop_money": {"amount": "1.00"}}, {"presentment_money": "49.20"}],
    ids=repr,
)
def test_an_amount_without_the_buyers_currency_is_unreadable(bag: object) -> None:
    order = TAXES_INCLUDED | {"total_price_set": bag}

    with pytest.raises(UnreadableError, match=r"^total_price_set\.presentment_money: is missing$"):
        shopify.normalise(order, shop(currency="presentment"))


@pytest.mark.parametrize(
    ("spoilt", "field"),
    [
        ({"tax_lines": [{"price": "x"}]}, "line_items[].tax_lines[].price"),
        ({"gift_card": True, "price": None}, "line_items[].price"),
        ({"gift_card": True, "quantity": "x"}, "line_items[].quantity"),
        (
            {"gift_card": True, "discount_allocations": [{"amount": {}}]},
            "line_items[].discount_allocations[].amount",
        ),
        ({"current_quantity": "x"}, "line_items[].current_quantity"),
        ({"current_quantity": None, "quantity": None}, "line_items[].quantity"),
    ],
)
def test_an_unreadable_amount_is_named_where_it_is(spoilt: dict[str, Any], field: str) -> None:
    order = TAXES_INCLUDED | {"line_items": [line(1, "53.00", tax="3.00") | spoilt]}

    with pytest.raises(UnreadableError) as caught:
        shopify.normalise(order, shop(amount="goods"))

    assert str(caught.value) == f"{field}: is missing or not a number"


def test_an_unreadable_amount_of_the_buyer_is_named_where_it_is() -> None:
    spoilt = line(1, "53.00", tax="3.00")
    spoilt["tax_lines"][0]["price_set"]["presentment_money"]["amount"] = "three"

    with pytest.raises(UnreadableError) as caught:
        shopify.normalise(
            TAXES_INCLUDED | {"line_items": [spoilt]}, shop(amount="goods", currency="presentment")
        )

    assert caught.value.field == "line_items[].tax_lines[].price_set.presentment_money.amount"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (None, PaymentState.PENDING),
        ("pending", PaymentState.PENDING),
        ("expired", PaymentState.PENDING),
        ("a_word_of_tomorrow", PaymentState.PENDING),
        ("authorized", PaymentState.SECURED),
        ("partially_paid", PaymentState.SECURED),
        ("paid", PaymentState.PAID),
        ("partially_refunded", PaymentState.PAID),
        ("refunded", PaymentState.VOID),
        ("voided", PaymentState.VOID),
    ],
)
def test_the_financial_status_says_how_sure_the_money_is(
    status: str | None, state: PaymentState
) -> None:
    order = TAXES_INCLUDED | {"financial_status": status}

    assert shopify.normalise(order, shop()).state is state
    assert (
        shopify.normalise(order | {"cancelled_at": "2026-11-21T00:45:18+01:00"}, shop()).state
        is PaymentState.VOID
    )


def test_items_are_those_that_are_left() -> None:
    lines = [
        {"quantity": 2, "current_quantity": 1},
        {"quantity": 3, "current_quantity": 0},
        {"quantity": 4, "current_quantity": None},
        {"quantity": 5},
    ]

    read = shopify.normalise(TAXES_INCLUDED | {"line_items": lines}, shop())

    assert read.number_of_items == 10


def test_facts_that_no_amount_depends_on() -> None:
    read = shopify.normalise(TAXES_INCLUDED, shop())

    assert (read.number, read.name) == ("1166", "#1166X01")
    assert read.created_at == datetime(2026, 11, 20, 23, 12, 31, tzinfo=UTC)
    assert read.updated_at == datetime(2026, 11, 20, 23, 12, 33, tzinfo=UTC)
    assert not read.test
    assert shopify.normalise(TAXES_INCLUDED | {"test": True}, shop()).test


def test_an_order_that_was_never_updated_is_as_old_as_itself() -> None:
    read = shopify.normalise(without(TAXES_INCLUDED, "updated_at"), shop())

    assert read.updated_at == read.created_at


def test_a_time_without_offset_is_refused() -> None:
    """Shopify always says where its clock stands; a guess could be a day off."""
    with pytest.raises(UnreadableError, match=r"^created_at: "):
        shopify.normalise(TAXES_INCLUDED | {"created_at": "2026-11-21T00:12:31"}, shop())


def attribute(name: object, value: object) -> dict[str, object]:
    return {"name": name, "value": value}


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        (None, []),
        ([], []),
        ([attribute("gift_note", "x"), attribute("PJCLID", "x"), attribute(" pjclid", "x")], []),
        ([attribute("pjclid", CLICK)], [CLICK]),
        ([attribute("_pjclid", CLICK)], [CLICK]),
        ([attribute("__pjclid", CLICK)], [CLICK]),
        (
            [attribute("__pjclid", "3"), attribute("_pjclid", "2"), attribute("pjclid", "1")],
            ["1", "2", "3"],
        ),
        ([attribute("pjclid", "old"), attribute("pjclid", "new")], ["new", "old"]),
        ([attribute("pjclid", ""), attribute("pjclid", None), attribute("_pjclid", "2")], ["2"]),
        ([attribute("pjclid", {"a": 1}), attribute("pjclid", 7)], [7, {"a": 1}]),
        ([None, "pjclid", ["pjclid", CLICK], 7, {"name": "pjclid"}, {"value": CLICK}], []),
        ([attribute(["pjclid"], CLICK), attribute({}, CLICK), attribute(None, CLICK)], []),
    ],
)
def test_click_ids_come_most_trusted_name_and_last_value_first(
    attributes: object, found: list[object]
) -> None:
    assert shopify.click_ids({"note_attributes": attributes}) == found


def test_an_order_without_attributes_has_no_click_id() -> None:
    assert shopify.click_ids({}) == []


@pytest.mark.parametrize("attributes", ["", "pjclid", 7, True, {"pjclid": CLICK}], ids=repr)
def test_attributes_that_are_no_list_are_unreadable(attributes: object) -> None:
    with pytest.raises(UnreadableError, match=r"^note_attributes: is not a list$"):
        shopify.click_ids({"note_attributes": attributes})


@pytest.mark.parametrize(
    ("landing_site", "found"),
    [
        (f"/lamp?utm_source=prisjakt&pjclid={CLICK}", [CLICK]),
        (f"https://shop.example/?pjclid={CLICK}", [CLICK]),
        ("/wallets/checkouts.json", []),
        (None, []),
        ([], []),
    ],
)
def test_the_landing_page_is_the_orders_own(landing_site: object, found: list[str]) -> None:
    assert shopify.landing_page({"landing_site": landing_site, "referring_site": "?pjclid=x"}) == (
        found
    )


@pytest.mark.parametrize(
    ("headers", "order", "is_test"),
    [
        ({}, {"id": 820982911946154508}, True),
        ({}, {"id": "820982911946154508", "test": False}, True),
        ({"x-shopify-test": "true"}, {"id": 1, "test": True}, True),
        ({"x-shopify-test": " TRUE "}, {"id": 1, "test": True, "note_attributes": []}, True),
        ({}, {"id": 1, "test": True}, False),
        ({"x-shopify-test": "false"}, {"id": 1, "test": True}, False),
        ({"x-shopify-test": "true"}, {"id": 1, "test": False}, False),
        ({"x-shopify-test": "true"}, {"id": 1, "test": "true"}, False),
        (
            {"x-shopify-test": "true"},
            {"id": 1, "test": True, "note_attributes": [attribute("pjclid", CLICK)]},
            False,
        ),
    ],
)
def test_only_a_canned_notification_is_a_test_delivery(
    headers: dict[str, str], order: dict[str, Any], is_test: bool
) -> None:
    """The header is not signed: alone, it must not make an order disappear."""
    assert shopify.is_test_delivery(headers, order) is is_test


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ({}, None),
        ({"x-shopify-shop-domain": " "}, None),
        ({"x-shopify-shop-domain": "Demo.MyShopify.com"}, "demo.myshopify.com"),
    ],
)
def test_the_store_names_itself(header: dict[str, str], host: str | None) -> None:
    assert shopify.host(header) == host


def test_the_topics_are_those_that_carry_the_whole_order() -> None:
    for topic in ("orders/create", "orders/paid", "orders/updated", "orders/cancelled"):
        assert topic in shopify.PLATFORM.topics
    assert shopify.topic({"x-shopify-topic": " Orders/Create "}, {}) == "orders/create"
    assert shopify.topic({}, {}) not in shopify.PLATFORM.topics
    for topic in ("refunds/create", "orders/edited", "orders/delete", "orders/fulfilled"):
        assert topic not in shopify.PLATFORM.topics


def test_the_source_is_a_text_or_an_apps_number() -> None:
    assert shopify.source({"source_name": "pos"}) == "pos"
    assert shopify.source({"source_name": 1830279}) == "1830279"
    assert shopify.source({}) == ""


def test_shopify_sends_no_ping() -> None:
    assert not shopify.is_ping({}, b"webhook_id=1")


def test_the_answer_comes_before_shopify_stops_waiting() -> None:
    """It hangs up after five seconds; the last of them belongs to the way there and back."""
    assert timedelta(seconds=1) < shopify.PLATFORM.answer_within < timedelta(seconds=4)
