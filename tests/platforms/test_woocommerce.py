"""WooCommerce's oddities: pings, error documents, naive times, metadata, refunds beside totals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from prisjakt_relay.errors import UnreadableError
from prisjakt_relay.platforms import shop_from, woocommerce
from prisjakt_relay.platforms.interface import PaymentState
from prisjakt_relay.shop import Shop

CLICK = "239cd31f-9d43-4cb4-b8dc-2057fe18c289_1b05fa7f1c34d125"


def shop(**choices: object) -> Shop:
    return shop_from(
        {
            "platform": "woocommerce",
            "pixel_id": "717d5a6d-ccc5-4c29-808c-9eda931d42ca",
            "signing_secrets": ["secret"],
            **choices,
        }
    )


# Two lamps for 144 and a book for 50, shipping for 39.20, gift wrapping for 10 without VAT; VAT of
# 25 % on lamps (36) and shipping (9.80), of 6 % on the book (3).
ORDER: dict[str, Any] = {
    "id": 17,
    "number": "NO-1026",
    "status": "processing",
    "currency": "SEK",
    "created_via": "checkout",
    "date_created": "2026-11-21T00:23:06",
    "date_created_gmt": "2026-11-20T23:23:06",
    "date_modified_gmt": "2026-11-20T23:26:33",
    "date_paid": "2026-11-21T00:26:31",
    "date_paid_gmt": "2026-11-20T23:26:31",
    "prices_include_tax": True,
    "total": "292.00",
    "total_tax": "48.80",
    "shipping_total": "39.20",
    "shipping_tax": "9.80",
    "line_items": [
        {"quantity": 2, "total": "144.00", "total_tax": "36.00", "price": 72},
        {"quantity": 1, "total": "50.00", "total_tax": "3.00", "price": 50},
    ],
    "fee_lines": [{"total": "10.00", "total_tax": "0.00"}],
    "meta_data": [],
    "refunds": [],
}

LAMP_BACK = {"id": 22, "reason": "", "total": "-90.00", "total_tax": "-18.00"}
BOOK_BACK = {"id": 23, "reason": "", "total": "-53.00", "total_tax": "-3.00"}


def refund_without_tax(total: object) -> dict[str, Any]:
    return {"id": 24, "reason": "", "total": total}


@pytest.mark.parametrize("prices_include_tax", [True, False])
@pytest.mark.parametrize(
    ("choice", "amount"),
    [
        ("total", "292.00"),
        ("total_excl_tax", "243.20"),
        ("goods", "233.00"),
        ("goods_excl_tax", "194.00"),
    ],
)
def test_amounts_of_an_order_as_placed(choice: str, amount: str, prices_include_tax: bool) -> None:
    """Goods have no shipping and no fees; totals mean the same however prices are entered."""
    order = ORDER | {"prices_include_tax": prices_include_tax}

    read = woocommerce.normalise(order, shop(amount=choice))

    assert (read.gross, read.net, read.currency) == (Decimal(amount), Decimal(amount), "SEK")


@pytest.mark.parametrize(
    ("refunds", "choice", "net"),
    [
        ([LAMP_BACK], "total", "202.00"),
        ([LAMP_BACK], "total_excl_tax", "171.20"),  # 202 - (48.80 - 18)
        ([LAMP_BACK], "goods", "161.18"),  # 233 * 202 / 292 = 161.1849
        ([LAMP_BACK], "goods_excl_tax", "134.21"),  # 194 * 202 / 292 = 134.2055
        ([BOOK_BACK, LAMP_BACK], "total", "149.00"),
        ([BOOK_BACK, LAMP_BACK], "total_excl_tax", "121.20"),  # 149 - (48.80 - 21)
        ([BOOK_BACK, LAMP_BACK], "goods", "118.89"),  # 233 * 149 / 292 = 118.8938
        ([BOOK_BACK, LAMP_BACK], "goods_excl_tax", "98.99"),  # 194 * 149 / 292 = 98.9932
        ([refund_without_tax("-90.00")], "total", "202.00"),
        ([refund_without_tax("-90.00")], "total_excl_tax", "168.24"),  # tax: 48.80 * 90 / 292
        ([refund_without_tax("-90.00")], "goods", "161.18"),
        ([refund_without_tax("90.00")], "total", "202.00"),
        ([refund_without_tax(-90)], "total", "202.00"),
        ([LAMP_BACK, refund_without_tax("-0.00")], "total_excl_tax", "171.20"),
        ([refund_without_tax("-292.00")], "total_excl_tax", "0.00"),
        ([refund_without_tax("-292.00")], "goods", "0.00"),
    ],
)
def test_amounts_after_refunds(refunds: list[Any], choice: str, net: str) -> None:
    """`total` never changes; a refund's tax is its own, or in proportion where it is not given."""
    read = woocommerce.normalise(ORDER | {"refunds": refunds}, shop(amount=choice))

    assert read.net == Decimal(net)
    assert read.gross == woocommerce.normalise(ORDER, shop(amount=choice)).gross


ZERO_DECIMALS: dict[str, Any] = {
    **ORDER,
    "total": "902",
    "total_tax": "180",
    "line_items": [{"quantity": 3, "total": "682", "total_tax": "171"}],
    "refunds": [{"id": 22, "total": "-399", "total_tax": "-80"}],
}


@pytest.mark.parametrize(
    ("choice", "gross", "net"),
    [
        ("total", "902", "503"),
        ("total_excl_tax", "722", "403"),
        ("goods", "853", "475.68"),  # 853 * 503 / 902 = 475.6752
        ("goods_excl_tax", "682", "380.32"),  # 682 * 503 / 902 = 380.3171
    ],
)
def test_amounts_of_a_shop_without_decimals(choice: str, gross: str, net: str) -> None:
    read = woocommerce.normalise(ZERO_DECIMALS, shop(amount=choice))

    assert (str(read.gross), str(read.net)) == (gross, net)


@pytest.mark.parametrize(
    ("total", "reported"),
    [("292.004", "292.00"), ("292.005", "292.01"), ("292.5", "292.5"), (292, "292")],
)
def test_amounts_are_rounded_half_up_to_two_decimals_at_most(total: object, reported: str) -> None:
    read = woocommerce.normalise(ORDER | {"total": total}, shop())

    assert (str(read.gross), str(read.net)) == (reported, reported)


def test_a_shop_without_taxes_may_leave_them_out() -> None:
    order = {name: value for name, value in ORDER.items() if name != "total_tax"}
    order["line_items"] = [{"quantity": 1, "total": "50.00"}]
    order["refunds"] = [refund_without_tax("-92.00")]

    for choice, gross, net in (
        ("total_excl_tax", "292.00", "200.00"),
        ("goods", "50.00", "34.25"),  # 50 * 200 / 292 = 34.2466
        ("goods_excl_tax", "50.00", "34.25"),
    ):
        read = woocommerce.normalise(order, shop(amount=choice))

        assert (read.gross, read.net) == (Decimal(gross), Decimal(net))


@pytest.mark.parametrize(
    ("changes", "choice", "field"),
    [
        ({"total": None}, "total", r"total"),
        ({"total_tax": "much"}, "total", r"total_tax"),
        ({"refunds": [{"id": 1}]}, "total", r"refunds\[\]\.total"),
        ({"refunds": [LAMP_BACK | {"total_tax": ""}]}, "total", r"refunds\[\]\.total_tax"),
        ({"refunds": {}}, "total", r"refunds"),
        ({"line_items": [{"quantity": "x"}]}, "total", r"line_items\[\]\.quantity"),
        ({"line_items": [{"quantity": 1}]}, "goods", r"line_items\[\]\.total"),
        (
            {"line_items": [{"quantity": 1, "total": "1", "total_tax": {}}]},
            "goods",
            r"line_items\[\]\.total_tax",
        ),
    ],
)
def test_an_unreadable_amount_is_named_where_it_is(
    changes: dict[str, Any], choice: str, field: str
) -> None:
    with pytest.raises(UnreadableError, match=rf"^{field}: "):
        woocommerce.normalise(ORDER | changes, shop(amount=choice))


UNPAID = {"date_paid": None, "date_paid_gmt": None}


@pytest.mark.parametrize(
    ("status", "unpaid", "paid"),
    [
        ("checkout-draft", PaymentState.DRAFT, PaymentState.DRAFT),
        ("auto-draft", PaymentState.DRAFT, PaymentState.DRAFT),
        ("trash", PaymentState.DRAFT, PaymentState.DRAFT),
        ("pending", PaymentState.PENDING, PaymentState.PENDING),
        ("on-hold", PaymentState.PENDING, PaymentState.PENDING),
        ("processing", PaymentState.SECURED, PaymentState.PAID),
        ("completed", PaymentState.PAID, PaymentState.PAID),
        ("packad", PaymentState.PENDING, PaymentState.PAID),
        ("", PaymentState.PENDING, PaymentState.PAID),
        ("cancelled", PaymentState.VOID, PaymentState.VOID),
        ("failed", PaymentState.VOID, PaymentState.VOID),
        ("refunded", PaymentState.VOID, PaymentState.VOID),
    ],
)
def test_status_and_payment_date_say_how_sure_the_money_is(
    status: str, unpaid: PaymentState, paid: PaymentState
) -> None:
    """`packad` is a status of a shop's own: it says nothing until there is a payment date."""
    order = ORDER | {"status": status}

    assert woocommerce.normalise(order | UNPAID, shop()).state is unpaid
    assert woocommerce.normalise(order, shop()).state is paid
    for either in ("date_paid", "date_paid_gmt"):
        assert woocommerce.normalise(order | {either: None}, shop()).state is paid


@pytest.mark.parametrize(
    ("quantities", "count"), [([], 0), ([2, 1], 3), ([Decimal("1.5")], 2), (["0.5", 1], 2)]
)
def test_items_are_those_ordered_a_broken_number_counted_up(
    quantities: list[Any], count: int
) -> None:
    lines = [{"quantity": quantity, "total": "1.00"} for quantity in quantities]

    read = woocommerce.normalise(ORDER | {"line_items": lines, "refunds": [LAMP_BACK]}, shop())

    assert read.number_of_items == count


def test_the_gmt_times_are_utc_although_they_do_not_say_so() -> None:
    read = woocommerce.normalise(ORDER, shop())

    assert read.created_at == datetime(2026, 11, 20, 23, 23, 6, tzinfo=UTC)
    assert read.updated_at == datetime(2026, 11, 20, 23, 26, 33, tzinfo=UTC)


def test_an_order_that_was_never_modified_is_as_old_as_itself() -> None:
    read = woocommerce.normalise(ORDER | {"date_modified_gmt": None}, shop())

    assert read.updated_at == read.created_at


def test_an_order_without_gmt_times_is_unreadable() -> None:
    """Version 1 of the API has none, and its others are of no known time zone."""
    with pytest.raises(UnreadableError, match=r"^date_created_gmt: "):
        woocommerce.normalise(ORDER | {"date_created_gmt": None}, shop())


def test_number_and_name_are_the_same() -> None:
    read = woocommerce.normalise(ORDER, shop())

    assert (read.number, read.name) == ("NO-1026", "NO-1026")
    assert not read.test


def meta(key: object, value: object) -> dict[str, object]:
    return {"id": 1, "key": key, "value": value}


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        (None, []),
        ([], []),
        ([meta("is_vat_exempt", "no"), meta("PJCLID", CLICK), meta("pjclid_time", "1")], []),
        ([meta("pjclid", CLICK)], [CLICK]),
        ([meta("_pjclid", CLICK)], [CLICK]),
        ([meta("__pjclid", CLICK)], [CLICK]),
        ([meta("__pjclid", "3"), meta("_pjclid", "2"), meta("pjclid", "1")], ["1", "2", "3"]),
        ([meta("pjclid", "old"), meta("pjclid", "new")], ["new", "old"]),
        ([meta("pjclid", ""), meta("pjclid", None), meta("pjclid", []), meta("pjclid", {})], []),
        (
            [meta("pjclid", {"a": 1}), meta("pjclid", 7), meta("pjclid", False)],
            [False, 7, {"a": 1}],
        ),
        ([{}, {"key": "pjclid"}, {"value": CLICK}, meta(None, CLICK), meta(["pjclid"], CLICK)], []),
    ],
)
def test_click_ids_come_most_trusted_key_and_last_value_first(
    metadata: object, found: list[object]
) -> None:
    assert woocommerce.click_ids({"meta_data": metadata}) == found


@pytest.mark.parametrize("metadata", ["", 7, {"pjclid": CLICK}, [None], [["pjclid", CLICK]]])
def test_metadata_that_is_no_list_of_objects_is_unreadable(metadata: object) -> None:
    with pytest.raises(UnreadableError, match=r"^meta_data: is not a list of objects$"):
        woocommerce.click_ids({"meta_data": metadata})


def test_the_landing_page_is_that_of_the_orders_attribution() -> None:
    entry = "_wc_order_attribution_session_entry"
    order = {
        "meta_data": [
            meta("_wc_order_attribution_referrer", "https://shop.example/?pjclid=referrer"),
            meta(entry, "https://shop.example/?pjclid=first"),
            meta(entry, {"address": "?pjclid=object"}),
            meta(entry, f"https://shop.example/?utm_source=x&pjclid={CLICK}"),
        ]
    }

    assert woocommerce.landing_page(order) == ["first", CLICK]
    assert woocommerce.landing_page({}) == []


@pytest.mark.parametrize(
    ("order", "source"),
    [
        ({}, ""),
        ({"created_via": "store-api"}, "store-api"),
        ({"created_via": "subscription"}, "subscription"),
        ({"created_via": "", "meta_data": [meta("_subscription_renewal", "17")]}, "subscription"),
        ({"created_via": "x", "meta_data": [meta("_subscription_switch", "1")]}, "x"),
    ],
)
def test_a_renewal_is_told_by_what_made_it_or_by_its_metadata(
    order: dict[str, Any], source: str
) -> None:
    assert woocommerce.source(order) == source


@pytest.mark.parametrize(
    ("headers", "body", "is_ping"),
    [
        ({}, b"webhook_id=1", True),
        ({"content-type": "application/x-www-form-urlencoded"}, b"webhook_id=40213", True),
        ({"x-wc-webhook-signature": ""}, b"webhook_id=1", False),
        ({}, b"webhook_id=", False),
        ({}, b"webhook_id=1&a=b", False),
        ({}, b"webhook_id=1\n", False),
        ({}, b" webhook_id=1", False),
        ({}, b"webhook_id=" + b"1" * 21, False),
        ({}, b'{"id":1}', False),
        ({}, b"", False),
    ],
)
def test_only_the_unsigned_form_of_a_saved_webhook_is_a_ping(
    headers: dict[str, str], body: bytes, is_ping: bool
) -> None:
    assert woocommerce.is_ping(headers, body) is is_ping


def test_an_error_document_is_no_order() -> None:
    """Signed and delivered like one, when the order is gone or the webhook's user lost rights."""
    document = {"code": "woocommerce_rest_cannot_view", "message": "No.", "data": {"status": 401}}

    with pytest.raises(UnreadableError) as caught:
        woocommerce.order_id(document)

    assert str(caught.value) == "code: is there instead of an order: the shop sent an error"
    assert woocommerce.order_id({"id": 17, "code": "a field of a plug-in"}) == "17"


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ({}, None),
        ({"x-wc-webhook-source": ""}, None),
        ({"x-wc-webhook-source": "https://Shop.Example/"}, "shop.example"),
        ({"x-wc-webhook-source": "http://shop.localhost:8088/subfolder/"}, "shop.localhost"),
        ({"x-wc-webhook-source": " https://shop.example "}, "shop.example"),
        ({"x-wc-webhook-source": "shop.example"}, None),
        ({"x-wc-webhook-source": "https://[/"}, None),
    ],
)
def test_the_store_names_itself_by_its_address(header: dict[str, str], host: str | None) -> None:
    assert woocommerce.host(header) == host


def test_the_topics_are_those_that_carry_the_whole_order() -> None:
    topics = woocommerce.PLATFORM.topics

    for topic in ("order.created", "order.updated", "order.restored"):
        assert topic in topics
    assert woocommerce.topic({"x-wc-webhook-topic": " Order.Updated "}, {}) == "order.updated"
    assert woocommerce.topic({}, {}) not in topics
    for topic in ("order.deleted", "action.woocommerce_order_status_processing", "coupon.created"):
        assert topic not in topics


def test_no_delivery_is_a_mere_test() -> None:
    assert not woocommerce.is_test_delivery({"x-shopify-test": "true"}, {"id": 1, "test": True})


def test_the_answer_takes_no_longer_than_fifteen_seconds() -> None:
    """WooCommerce waits a minute, delivers one by one, and never sends again."""
    assert timedelta(seconds=5) < woocommerce.PLATFORM.answer_within < timedelta(seconds=15)
