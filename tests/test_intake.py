"""What a signed delivery becomes: a conversion, or the first reason for none that matches."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prisjakt_relay.conversion import AMOUNT_LIMIT, Conversion
from prisjakt_relay.errors import UnreadableError
from prisjakt_relay.intake import Decision, assess, decide
from prisjakt_relay.local.deliveries import RECORDED_UNTIL as NOW
from prisjakt_relay.local.deliveries import load
from prisjakt_relay.outcomes import Reason
from prisjakt_relay.platforms import PLATFORMS, shop_from
from prisjakt_relay.platforms.interface import Document
from prisjakt_relay.shop import Shop

MEBIBYTE = 1024 * 1024

UUID = "239cd31f-9d43-4cb4-b8dc-2057fe18c289"
CLICK = f"{UUID}_1b05fa7f1c34d125"
OTHER = "a70a2d14-b4f3-4ead-9644-f96e8279e5ca_c3d717ebf3b80680"

PAID = {
    "shopify": load("shopify", "orders-create-paid"),
    "woocommerce": load("woocommerce", "made-purchase-paid"),
}
TOTAL = {"shopify": Decimal("1666.30"), "woocommerce": Decimal("1745.00")}
ITEMS = {"shopify": 3, "woocommerce": 4}

on_both = pytest.mark.parametrize("platform", PAID)


def shop_of(platform: str, **choices: Any) -> Shop:
    return shop_from(
        {
            "platform": platform,
            "pixel_id": "36746cdf-cf62-4dff-bc5b-fb2df41ecb4d",
            "signing_secrets": ["secret"],
            **choices,
        }
    )


def headers_of(platform: str) -> dict[str, str]:
    return {name.lower(): value for name, value in PAID[platform].headers}


def order_of(platform: str) -> dict[str, Any]:
    order: dict[str, Any] = json.loads(PAID[platform].body)
    return order


def with_body(
    platform: str, body: bytes, *, headers: Mapping[str, str] | None = None, **choices: Any
) -> Decision:
    return decide(
        PLATFORMS[platform],
        "demo",
        shop_of(platform, **choices),
        headers_of(platform) | dict(headers or {}),
        body,
        NOW,
    )


def decided(platform: str, changes: Mapping[str, Any], **choices: Any) -> Decision:
    """The decision about a paid order with other values in some of its fields."""
    return with_body(platform, json.dumps(order_of(platform) | dict(changes)).encode(), **choices)


def converted(platform: str, changes: Mapping[str, Any], **choices: Any) -> Conversion:
    decision = decided(platform, changes, **choices)
    assert decision.conversion is not None, decision
    return decision.conversion


def carrying(platform: str, *click_ids: object) -> dict[str, Any]:
    if platform == "shopify":
        return {"note_attributes": [{"name": "pjclid", "value": value} for value in click_ids]}
    return {"meta_data": [{"id": 1, "key": "pjclid", "value": value} for value in click_ids]}


def created(platform: str, moment: datetime) -> dict[str, Any]:
    if platform == "shopify":
        return {"created_at": moment.isoformat()}
    return {"date_created_gmt": moment.replace(tzinfo=None).isoformat()}


# What is queued


@on_both
def test_a_paid_order_becomes_a_purchase(platform: str) -> None:
    decision = decided(platform, carrying(platform, CLICK))

    order_id = str(order_of(platform)["id"])
    assert decision == Decision(order_id=order_id, conversion=decision.conversion)
    assert decision.conversion == Conversion(
        platform=platform,
        shop="demo",
        order_id=order_id,
        order_reference=order_id,
        event_name="purchase",
        event_time=datetime.fromisoformat(PAID[platform].expected["conversion"]["event_time"]),
        amount=TOTAL[platform],
        currency="SEK",
        number_of_items=ITEMS[platform],
        click_id=CLICK,
        void=False,
        revision=PAID[platform].expected["conversion"]["revision"],
        received_at=NOW,
    )


@pytest.mark.parametrize(
    ("changes", "choices", "event_name"),
    [
        ({}, {}, "purchase"),
        ({"test": True}, {}, "test-purchase"),
        ({"test": None}, {}, "purchase"),
        (carrying("shopify", UUID), {}, "test-purchase"),
        (carrying("shopify", UUID.upper()), {}, "test-purchase"),
        ({}, {"mode": "live"}, "purchase"),
        ({}, {"mode": "test"}, "test-purchase"),
        ({"financial_status": "voided"}, {"mode": "test"}, "test-purchase"),
    ],
)
def test_tests_are_told_from_purchases(
    changes: dict[str, Any], choices: dict[str, Any], event_name: str
) -> None:
    assert converted("shopify", changes, **choices).event_name == event_name


def test_a_bare_uuid_makes_a_test_on_woocommerce_too() -> None:
    bare = carrying("woocommerce", UUID)

    assert converted("woocommerce", bare).event_name == "test-purchase"
    assert converted("woocommerce", {}, mode="test").event_name == "test-purchase"
    assert converted("woocommerce", {"test": True}).event_name == "purchase"


@pytest.mark.parametrize(
    ("updated_at", "revision"),
    [
        ("2026-11-21T00:12:33+01:00", 1795216353000),
        ("2026-11-20T23:12:33.0019Z", 1795216353001),
        ("1970-01-01T00:00:00.001Z", 1),
        ("1969-12-31T23:59:59Z", 0),
        ("0001-01-01T00:00:00Z", 0),
        (None, 1795216351000),
    ],
)
def test_the_revision_is_the_time_of_the_orders_last_change(
    updated_at: str | None, revision: int
) -> None:
    assert converted("shopify", {"updated_at": updated_at}).revision == revision


@on_both
def test_the_event_time_is_that_of_the_order_in_utc(platform: str) -> None:
    moment = datetime(2026, 11, 19, 8, 30, 15, tzinfo=UTC)

    assert converted(platform, created(platform, moment)).event_time == moment


@pytest.mark.parametrize(
    ("platform", "pattern", "reference"),
    [
        ("shopify", "{id}", "6204817342681"),
        ("shopify", "{number}", "1001"),
        ("shopify", "{name}", "#1001"),
        ("shopify", "SE-{number}", "SE-1001"),
        ("shopify", "{id}/{number}/{name}", "6204817342681/1001/#1001"),
        ("shopify", "{{{id}}}", "{6204817342681}"),
        ("woocommerce", "{id}", "301"),
        ("woocommerce", "{number}", "301"),
        ("woocommerce", "NO-{name}", "NO-301"),
    ],
)
def test_the_reference_follows_the_shops_pattern(
    platform: str, pattern: str, reference: str
) -> None:
    conversion = converted(platform, {}, order_reference=pattern)

    assert conversion.order_reference == reference
    assert conversion.order_id == str(order_of(platform)["id"])


def test_a_reference_is_of_one_to_a_hundred_characters() -> None:
    longest = converted("shopify", {"name": "é" * 97}, order_reference="SE-{name}")
    assert longest.order_reference == "SE-" + "é" * 97

    for name in ("é" * 98, "x" * 100_000):
        decision = decided("shopify", {"name": name}, order_reference="SE-{name}")
        assert decision.reason is Reason.UNREADABLE
        assert decision.problem == "order_reference: is not of 1 to 100 characters"
    shortest = converted("shopify", {"name": "7"}, order_reference="{name}")
    assert shortest.order_reference == "7"
    for nameless in ({"name": ""}, {"name": None}):
        decision = decided("shopify", nameless, order_reference="{name}")
        assert decision.reason is Reason.UNREADABLE


@pytest.mark.parametrize("missing", ["", None])
@pytest.mark.parametrize(
    ("platform", "field", "pattern"),
    [
        ("shopify", "order_number", "SE-{number}"),
        ("shopify", "name", "SE-{name}-{id}"),
        ("woocommerce", "number", "NO-{number}"),
        ("woocommerce", "number", "NO-{name}"),
    ],
)
def test_no_reference_is_made_of_what_an_order_does_not_have(
    platform: str, field: str, pattern: str, missing: str | None
) -> None:
    """All orders without a number would share one, and only the first would be reported."""
    decision = decided(platform, {field: missing}, order_reference=pattern)

    assert decision.reason is Reason.UNREADABLE
    assert decision.problem in (
        "number: is missing, and order_reference needs it",
        "name: is missing, and order_reference needs it",
    )
    assert decided(platform, {field: missing}).conversion is not None


def test_braces_in_an_orders_name_are_no_pattern() -> None:
    named = {"name": "{id.__class__}{0}"}

    assert converted("shopify", named, order_reference="{name}").order_reference == named["name"]


# Which reason is given


@dataclass
class Spoiler:
    """What makes one reason apply to an order that is fine otherwise."""

    order: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    cut: bool = False


SPOILERS = {
    Reason.OFF: Spoiler(choices={"mode": "off"}),
    Reason.TOPIC: Spoiler(headers={"x-shopify-topic": "orders/edited"}),
    Reason.UNREADABLE: Spoiler(cut=True),
    Reason.TEST_DELIVERY: Spoiler(order={"id": 820982911946154508}),
    Reason.SOURCE: Spoiler(order={"source_name": "pos"}),
    Reason.NO_CLICK_ID: Spoiler(order=carrying("shopify")),
    Reason.INVALID_CLICK_ID: Spoiler(order=carrying("shopify", CLICK[:-1])),
    Reason.TOO_OLD: Spoiler(order=created("shopify", NOW - timedelta(days=61))),
    Reason.PAYMENT_PENDING: Spoiler(order={"financial_status": "pending"}),
    Reason.CANCELLED: Spoiler(
        order={"cancelled_at": "2026-11-20T23:45:18Z"}, choices={"corrections": False}
    ),
    Reason.UNSUPPORTED_CURRENCY: Spoiler(order={"currency": "USD", "presentment_currency": "USD"}),
    Reason.AMOUNT_OUT_OF_RANGE: Spoiler(
        order={"total_price": "0.00", "current_total_price": "0.00"}
    ),
}

# Of these only one can be true of an order.
EXCLUSIVE = [
    {Reason.NO_CLICK_ID, Reason.INVALID_CLICK_ID},
    {Reason.PAYMENT_PENDING, Reason.CANCELLED},
]


def spoilt(*spoilers: Spoiler) -> Decision:
    order = order_of("shopify")
    headers: dict[str, str] = {}
    choices: dict[str, Any] = {}
    for spoiler in spoilers:
        order |= spoiler.order
        headers |= spoiler.headers
        choices |= spoiler.choices
    body = json.dumps(order).encode()
    if any(spoiler.cut for spoiler in spoilers):
        body = body[:-1]
    return with_body("shopify", body, headers=headers, **choices)


def test_every_reason_of_a_signed_delivery_is_tried_in_its_order() -> None:
    """A ping is not signed: the platforms' own tests tell it from a delivery."""
    assert [Reason.PING, *SPOILERS] == list(Reason)


@pytest.mark.parametrize("reason", SPOILERS)
def test_a_delivery_that_is_not_queued_has_its_reason(reason: Reason) -> None:
    decision = spoilt(SPOILERS[reason])

    assert decision.reason is reason
    assert decision.conversion is None
    assert (decision.problem is not None) == (reason is Reason.UNREADABLE)


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in combinations(SPOILERS, 2) if set(pair) not in EXCLUSIVE],
)
def test_the_first_reason_that_matches_is_given(first: Reason, second: Reason) -> None:
    assert spoilt(SPOILERS[first], SPOILERS[second]).reason is first
    assert spoilt(SPOILERS[second], SPOILERS[first]).reason is first


@pytest.mark.parametrize("reason", [Reason.OFF, Reason.TOPIC])
def test_the_order_id_is_named_even_if_the_order_is_not_looked_at(reason: Reason) -> None:
    assert spoilt(SPOILERS[reason]).order_id == "6204817342681"
    assert spoilt(SPOILERS[reason], SPOILERS[Reason.UNREADABLE]).order_id is None
    assert spoilt(SPOILERS[reason], Spoiler(order={"id": None})).reason is reason


@pytest.mark.parametrize(
    ("reason", "changes", "headers", "choices"),
    [
        (Reason.OFF, {}, {}, {"mode": "off"}),
        (Reason.TOPIC, {}, {"x-wc-webhook-topic": "order.deleted"}, {}),
        (Reason.UNREADABLE, {"meta_data": "x"}, {}, {}),
        (Reason.SOURCE, {"created_via": "subscription"}, {}, {}),
        (Reason.NO_CLICK_ID, {"meta_data": []}, {}, {}),
        (Reason.INVALID_CLICK_ID, carrying("woocommerce", "x"), {}, {}),
        (Reason.TOO_OLD, created("woocommerce", NOW - timedelta(days=61)), {}, {}),
        (Reason.PAYMENT_PENDING, {"status": "checkout-draft"}, {}, {}),
        (Reason.CANCELLED, {"status": "failed"}, {}, {"corrections": False}),
        (Reason.UNSUPPORTED_CURRENCY, {"currency": "PLN"}, {}, {}),
        (Reason.AMOUNT_OUT_OF_RANGE, {"total": "0"}, {}, {}),
    ],
)
def test_woocommerce_orders_have_the_same_reasons(
    reason: Reason, changes: dict[str, Any], headers: dict[str, str], choices: dict[str, Any]
) -> None:
    decision = decided("woocommerce", changes, headers=headers, **choices)

    assert (decision.reason, decision.order_id) == (reason, "301")


@on_both
def test_an_order_without_a_click_id_is_not_looked_at_any_further(platform: str) -> None:
    def refuse(document: Document, shop: Shop) -> NoReturn:
        raise AssertionError(document, shop)

    decision = decide(
        replace(PLATFORMS[platform], normalise=refuse),
        "demo",
        shop_of(platform),
        headers_of(platform),
        json.dumps(order_of(platform) | carrying(platform)).encode(),
        NOW,
    )

    assert decision.reason is Reason.NO_CLICK_ID


# Source


HOST = {"shopify": "prisjakt-relay-demo.myshopify.com", "woocommerce": "demo-woocommerce.example"}
HOST_HEADER = {"shopify": "x-shopify-shop-domain", "woocommerce": "x-wc-webhook-source"}


@on_both
def test_a_delivery_of_another_store_is_ignored_with_a_word_for_the_alarm(platform: str) -> None:
    assert decided(platform, {}, domain=HOST[platform]).conversion is not None
    assert decided(platform, {}, domain=HOST[platform].upper()).conversion is not None
    assert decided(platform, {}).conversion is not None

    decision = decided(platform, {}, domain="another.example")
    assert (decision.reason, decision.problem) == (Reason.SOURCE, "domain")
    assert decision.order_id == str(order_of(platform)["id"])


@on_both
def test_a_delivery_that_does_not_name_its_store_is_taken(platform: str) -> None:
    """The header is not signed: the signature alone has to do where it is missing."""
    nameless = {HOST_HEADER[platform]: ""}

    assert decided(platform, {}, headers=nameless, domain="another.example").conversion is not None


@pytest.mark.parametrize(
    ("platform", "source", "choices", "excluded"),
    [
        ("shopify", "web", {}, False),
        ("shopify", "pos", {}, True),
        ("shopify", "POS", {}, False),
        ("shopify", "pos2", {}, False),
        ("shopify", "subscription_contract", {}, True),
        ("shopify", "subscription_contract_checkout_one", {}, True),
        ("shopify", "my_subscription_contract", {}, False),
        ("shopify", "shopify_draft_order", {}, False),
        ("shopify", "pos", {"excluded_sources": []}, False),
        ("shopify", "web", {"excluded_sources": ["pos", "w*"]}, True),
        ("shopify", "1830279", {"excluded_sources": ["1830279"]}, True),
        ("woocommerce", "checkout", {}, False),
        ("woocommerce", "", {}, False),
        ("woocommerce", "subscription", {}, True),
        ("woocommerce", "admin", {"excluded_sources": ["admin", "rest-*"]}, True),
        ("woocommerce", "rest-api", {"excluded_sources": ["admin", "rest-*"]}, True),
        ("woocommerce", "subscription", {"excluded_sources": []}, False),
    ],
)
def test_sources_that_the_shop_excludes_are_ignored(
    platform: str, source: str, choices: dict[str, Any], excluded: bool
) -> None:
    name = "source_name" if platform == "shopify" else "created_via"

    decision = decided(platform, {name: source}, **choices)

    assert decision.reason is (Reason.SOURCE if excluded else None)
    assert decision.problem is None


# Click id


@on_both
@pytest.mark.parametrize(
    ("values", "taken"),
    [
        ([CLICK], CLICK),
        ([f" {CLICK}\n"], CLICK),
        ([OTHER, CLICK], CLICK),
        ([CLICK, "", None], CLICK),
        ([CLICK, "cut-off"], CLICK),
        ([CLICK, {"newsletter": 2}], CLICK),
        ([CLICK, ["x"], 7, True], CLICK),
        ([UUID], UUID),
    ],
    ids=repr,
)
def test_the_last_usable_click_id_is_taken(platform: str, values: list[object], taken: str) -> None:
    assert converted(platform, carrying(platform, *values)).click_id == taken


@on_both
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], Reason.NO_CLICK_ID),
        ([""], Reason.NO_CLICK_ID),
        ([None, ""], Reason.NO_CLICK_ID),
        (["x"], Reason.INVALID_CLICK_ID),
        ([CLICK[:-1]], Reason.INVALID_CLICK_ID),
        ([f"{CLICK} {CLICK}"], Reason.INVALID_CLICK_ID),
        ([{"pjclid": CLICK}], Reason.INVALID_CLICK_ID),
        ([[CLICK]], Reason.INVALID_CLICK_ID),
        ([0], Reason.INVALID_CLICK_ID),
        ([False], Reason.INVALID_CLICK_ID),
        (["\ud800"], Reason.INVALID_CLICK_ID),
    ],
    ids=repr,
)
def test_without_a_usable_click_id_nothing_is_reported(
    platform: str, values: list[object], reason: Reason
) -> None:
    decision = decided(platform, carrying(platform, *values))

    assert (decision.reason, decision.conversion) == (reason, None)


def landed(platform: str, address: object, *click_ids: object) -> dict[str, Any]:
    changes = carrying(platform, *click_ids)
    if platform == "shopify":
        return changes | {"landing_site": address}
    entry = {"id": 2, "key": "_wc_order_attribution_session_entry", "value": address}
    return {"meta_data": [*changes["meta_data"], entry]}


@on_both
def test_the_landing_page_counts_only_where_the_shop_chose_it(platform: str) -> None:
    changes = landed(platform, f"https://shop.example/?pjclid={CLICK}")

    assert decided(platform, changes).reason is Reason.NO_CLICK_ID
    assert converted(platform, changes, landing_page_fallback=True).click_id == CLICK


@on_both
def test_the_landing_page_counts_only_if_nothing_else_carries_a_click_id(platform: str) -> None:
    address = f"/?pjclid={CLICK}"

    for blank in ("", None):
        changes = landed(platform, address, blank)
        assert converted(platform, changes, landing_page_fallback=True).click_id == CLICK
    changes = landed(platform, address, OTHER)
    assert converted(platform, changes, landing_page_fallback=True).click_id == OTHER
    decision = decided(platform, landed(platform, address, "x"), landing_page_fallback=True)
    assert decision.reason is Reason.INVALID_CLICK_ID


@on_both
@pytest.mark.parametrize(
    ("address", "outcome"),
    [
        (f"/?pjclid={OTHER}&pjclid={CLICK}", CLICK),
        (f"/?pjclid={CLICK}&pjclid=", CLICK),
        (f"/?pjclid={CLICK}&pjclid=x", CLICK),
        ("/?pjclid=x", Reason.INVALID_CLICK_ID),
        ("/?pjclid=", Reason.NO_CLICK_ID),
        ("/", Reason.NO_CLICK_ID),
        ("https://[", Reason.NO_CLICK_ID),
        (None, Reason.NO_CLICK_ID),
        ({}, Reason.NO_CLICK_ID),
    ],
    ids=repr,
)
def test_the_last_usable_click_id_of_a_landing_page_is_taken(
    platform: str, address: object, outcome: str
) -> None:
    decision = decided(platform, landed(platform, address), landing_page_fallback=True)

    assert (decision.conversion.click_id if decision.conversion else decision.reason) == outcome


# Age


@on_both
@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (timedelta(days=60), None),
        (timedelta(days=60, seconds=1), Reason.TOO_OLD),
        (timedelta(days=60, microseconds=1), Reason.TOO_OLD),
        (timedelta(days=365 * 2000), Reason.TOO_OLD),
        (timedelta(0), None),
        (timedelta(days=-1), None),
    ],
)
def test_an_order_is_too_old_after_sixty_days(
    platform: str, age: timedelta, reason: Reason | None
) -> None:
    assert decided(platform, created(platform, NOW - age)).reason is reason


@on_both
@pytest.mark.parametrize("age", [timedelta(days=-1, seconds=-1), timedelta(days=-3650)])
def test_an_order_of_the_future_is_told_as_a_clock_that_is_wrong(
    platform: str, age: timedelta
) -> None:
    """Its later, true changes would look older, and be superseded."""
    decision = decided(platform, created(platform, NOW - age))

    assert decision.reason is Reason.UNREADABLE
    assert str(decision.problem).startswith("created_at: ")


# Payment


REPORTED_UNDER = {
    "draft": set[str](),
    "pending": {"placed"},
    "secured": {"placed", "secured"},
    "paid": {"placed", "secured", "paid"},
}

NOT_PAID = {"date_paid": None, "date_paid_gmt": None}

STATES: list[tuple[str, dict[str, Any], str]] = [
    ("shopify", {"financial_status": "pending"}, "pending"),
    ("shopify", {"financial_status": "expired"}, "pending"),
    ("shopify", {"financial_status": None}, "pending"),
    ("shopify", {"financial_status": "authorized"}, "secured"),
    ("shopify", {"financial_status": "partially_paid"}, "secured"),
    ("shopify", {"financial_status": "paid"}, "paid"),
    ("shopify", {"financial_status": "partially_refunded"}, "paid"),
    ("woocommerce", {"status": "pending", **NOT_PAID}, "pending"),
    ("woocommerce", {"status": "on-hold", **NOT_PAID}, "pending"),
    ("woocommerce", {"status": "checkout-draft", **NOT_PAID}, "draft"),
    ("woocommerce", {"status": "auto-draft", **NOT_PAID}, "draft"),
    ("woocommerce", {"status": "processing", **NOT_PAID}, "secured"),
    ("woocommerce", {"status": "processing"}, "paid"),
    ("woocommerce", {"status": "completed"}, "paid"),
    ("woocommerce", {"status": "completed", **NOT_PAID}, "paid"),
    ("woocommerce", {"status": "packad"}, "paid"),
    ("woocommerce", {"status": "packad", **NOT_PAID}, "pending"),
]


@pytest.mark.parametrize("report_when", ["placed", "secured", "paid"])
@pytest.mark.parametrize(("platform", "changes", "state"), STATES)
def test_an_order_is_reported_once_its_money_is_as_sure_as_the_shop_asks(
    platform: str, changes: dict[str, Any], state: str, report_when: str
) -> None:
    decision = decided(platform, changes, report_when=report_when)

    reported = report_when in REPORTED_UNDER[state]
    assert decision.reason is (None if reported else Reason.PAYMENT_PENDING)
    assert (decision.conversion is not None) == reported


@on_both
def test_secured_money_is_what_a_shop_asks_for_by_default(platform: str) -> None:
    for of, changes, state in STATES:
        if of == platform:
            reported = decided(platform, changes).conversion is not None
            assert reported == (state in ("secured", "paid"))


VOID: list[tuple[str, dict[str, Any]]] = [
    ("shopify", {"financial_status": "voided"}),
    ("shopify", {"financial_status": "refunded"}),
    ("shopify", {"cancelled_at": "2026-11-20T23:45:18Z"}),
    ("shopify", {"cancelled_at": "2026-11-20T23:45:18Z", "financial_status": "pending"}),
    ("shopify", {"current_total_price": "0.00"}),
    ("shopify", {"current_total_price": "-0.01"}),
    ("shopify", {"current_total_price": "0.00", "financial_status": "pending"}),
    ("shopify", {"financial_status": "voided", "total_price": "0", "current_total_price": "0"}),
    ("shopify", {"financial_status": "voided", "total_price": "9" * 12}),
    ("woocommerce", {"status": "cancelled"}),
    ("woocommerce", {"status": "failed"}),
    ("woocommerce", {"status": "refunded"}),
    ("woocommerce", {"refunds": [{"total": "-1745.00"}]}),
    ("woocommerce", {"refunds": [{"total": "-1000.00"}, {"total": "-745.00"}]}),
    ("woocommerce", {"refunds": [{"total": "-1745.01"}]}),
    ("woocommerce", {"status": "on-hold", "refunds": [{"total": "-1745.00"}]}),
]


@pytest.mark.parametrize(("platform", "changes"), VOID)
@pytest.mark.parametrize("report_when", ["placed", "secured", "paid"])
def test_a_void_order_is_queued_as_such(
    platform: str, changes: dict[str, Any], report_when: str
) -> None:
    """The receiver cannot know whether the order was reported before."""
    conversion = converted(platform, changes, report_when=report_when)

    assert conversion.void
    assert (conversion.amount, conversion.number_of_items) == (Decimal(0), 0)
    assert conversion.currency == "SEK"


@pytest.mark.parametrize(("platform", "changes"), VOID)
def test_a_void_order_is_cancelled_at_a_shop_without_corrections(
    platform: str, changes: dict[str, Any]
) -> None:
    decision = decided(platform, changes, corrections=False)

    assert (decision.reason, decision.conversion) == (Reason.CANCELLED, None)


@pytest.mark.parametrize("choice", ["total", "total_excl_tax", "goods", "goods_excl_tax"])
def test_an_order_refunded_in_full_is_void_whatever_amount_is_reported(choice: str) -> None:
    nothing_left = {"current_total_price": "0.00", "current_total_tax": "0.00"}
    refunds = [{"total": "-1745.00", "total_tax": "-349.00"}]

    assert converted("shopify", nothing_left, amount=choice).void
    assert converted("woocommerce", {"refunds": refunds}, amount=choice).void


@on_both
def test_an_order_refunded_in_part_is_not_void(platform: str) -> None:
    changes = {"current_total_price": "0.01", "refunds": [{"total": "-1744.99"}]}

    conversion = converted(platform, changes, corrections=False)

    assert not conversion.void
    assert (conversion.amount, conversion.number_of_items) == (Decimal("0.01"), ITEMS[platform])


# Currency and amount


@on_both
@pytest.mark.parametrize("currency", ["DKK", "EUR", "GBP", "NOK", "NZD", "SEK"])
def test_prisjakts_currencies_are_reported(platform: str, currency: str) -> None:
    changes = {"currency": currency, "presentment_currency": currency}

    assert converted(platform, changes).currency == currency


def test_no_currency_but_prisjakts_is_reported_not_even_a_void_order() -> None:
    dollars = {"currency": "USD", "presentment_currency": "CHF"}

    for void in ({}, {"financial_status": "voided"}):
        for choice in ("shop", "presentment"):
            decision = decided("shopify", dollars | void, currency=choice)
            assert decision.reason is Reason.UNSUPPORTED_CURRENCY


def presented(amount: str) -> dict[str, Any]:
    bag = {
        "shop_money": {"amount": "1666.30", "currency_code": "USD"},
        "presentment_money": {"amount": amount, "currency_code": "EUR"},
    }
    return {"total_price_set": bag, "current_total_price_set": bag, "presentment_currency": "EUR"}


@pytest.mark.parametrize(
    ("own", "choice", "currency", "amount"),
    [
        ("SEK", "shop", "SEK", "1666.30"),
        ("SEK", "presentment", "EUR", "149.10"),
        ("USD", "shop", "EUR", "149.10"),
        ("USD", "presentment", "EUR", "149.10"),
    ],
)
def test_amount_and_currency_are_taken_together(
    own: str, choice: str, currency: str, amount: str
) -> None:
    conversion = converted("shopify", presented("149.10") | {"currency": own}, currency=choice)

    assert (conversion.currency, conversion.amount) == (currency, Decimal(amount))


@on_both
@pytest.mark.parametrize(
    ("total", "amount"),
    [
        ("0.01", "0.01"),
        ("0.005", "0.01"),
        ("902", "902"),
        (902, "902"),
        (902.5, "902.5"),
        (1e3, "1000.0"),
        ("999999999", "999999999"),
        ("999999999.004", "999999999.00"),
        ("0", None),
        ("0.00", None),
        ("0.004", None),
        ("-0.00", None),
        ("-5.00", None),
        ("999999999.01", None),
        ("999999999.005", None),
        ("9" * 40, None),
        (1e300, None),
    ],
)
def test_an_amount_is_above_nothing_and_within_prisjakts_limit(
    platform: str, total: object, amount: str | None
) -> None:
    """A free order is nothing to report: Prisjakt's lower limit may or may not include 0."""
    decision = decided(
        platform, {"total": total, "total_price": total, "current_total_price": total}
    )

    if amount is None:
        assert (decision.reason, decision.conversion) == (Reason.AMOUNT_OUT_OF_RANGE, None)
    else:
        assert decision.conversion is not None
        assert json.loads(decision.conversion.to_message())["amount"] == amount


def test_an_order_that_was_free_at_first_is_reported_once_it_costs_something() -> None:
    conversion = converted("shopify", {"total_price": "0.00", "current_total_price": "49.00"})

    assert (conversion.amount, conversion.void) == (Decimal("49.00"), False)


@pytest.mark.parametrize(
    ("platform", "choice", "amount"),
    [
        ("shopify", "total", "1666.30"),
        ("shopify", "total_excl_tax", "1333.04"),  # 1666.30 - 333.26
        ("shopify", "goods", "1617.30"),  # without shipping at 49.00
        ("shopify", "goods_excl_tax", "1293.84"),  # 1617.30 - 233.82 - 89.64
        ("woocommerce", "total", "1745.00"),
        ("woocommerce", "total_excl_tax", "1396.00"),  # 1745.00 - 349.00
        ("woocommerce", "goods", "1696.00"),  # without shipping at 39.20 + 9.80
        ("woocommerce", "goods_excl_tax", "1356.80"),  # 1696.00 - 339.20
    ],
)
def test_the_amount_is_the_one_that_the_shop_chose(platform: str, choice: str, amount: str) -> None:
    assert converted(platform, {}, amount=choice).amount == Decimal(amount)


# Bodies that are no orders


def order_json(platform: str) -> str:
    return PAID[platform].body.decode()


def padded(size: int) -> bytes:
    """The order with so much space after it that it is of this size."""
    return PAID["shopify"].body.ljust(size)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"\0",
        b"webhook_id=1",
        b"null",
        b"true",
        b"7",
        b'"order"',
        b"[]",
        b'[{"id":1}]',
        b"{",
        b"{}",
        b"{'id':1}",
        b'{"id":1}{"id":2}',
        b'{"id":1,}',
        b'{"id":1}\0',
        b'{"id":1,"total":NaN}',
        b'{"id":1,"total":Infinity}',
        b'{"id":1,"total":-Infinity}',
        b'{"id":1,"total":1e99999999999999999999}',
        b'{"id":1,"total":-1e-99999999999999999999}',
        b'{"id":' + b"9" * 5000 + b"}",
        b'{"id":1,"name":"\xff"}',
        b'{"id":1,"name":"\xc3"}',
        b'{"id":1,"name":"\xc0\xaf"}',
        b"\xff\xfe{",
        b"\xef\xbb\xbf",
        b"[" * MEBIBYTE,
        b'{"a":' * (MEBIBYTE // 5),
        b"[" * (MEBIBYTE // 2) + b"]" * (MEBIBYTE // 2),
        b'{"id":1,"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
        PAID["shopify"].body[:-1],
        PAID["woocommerce"].body[1:],
        PAID["woocommerce"].body[: len(PAID["woocommerce"].body) // 2],
        b'{"order":' + PAID["woocommerce"].body + b"}",
        padded(MEBIBYTE + 1),
        b"x" * (MEBIBYTE + 1),
    ],
    ids=lambda body: f"{body[:20]!r} of {len(body)}",
)
@on_both
def test_a_body_that_is_no_order_is_unreadable(platform: str, body: bytes) -> None:
    decision = with_body(platform, body)

    assert (decision.reason, decision.conversion) == (Reason.UNREADABLE, None)
    assert_names_fields_only(decision.problem, set())


def test_a_body_of_a_mebibyte_is_still_read() -> None:
    assert with_body("shopify", padded(MEBIBYTE)).conversion is not None


def test_of_a_field_that_is_there_twice_the_last_counts() -> None:
    body = PAID["shopify"].body[:-1] + b',"name":"#2","order_number":7,"order_number":8}'

    conversion = with_body("shopify", body, order_reference="{name}-{number}").conversion

    assert conversion is not None
    assert conversion.order_reference == "#2-8"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32-be"])
@on_both
def test_an_order_in_another_unicode_encoding_is_the_same_order(
    platform: str, encoding: str
) -> None:
    body = order_json(platform).encode(encoding)

    assert with_body(platform, body) == with_body(platform, PAID[platform].body)


# Orders with hostile values


REPLACEMENTS = [
    "null",
    '""',
    '"x"',
    "-1",
    "1.5",
    "1e400",
    "-1e1000000",
    "1e-1000000",
    "true",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "[{}]",
    "9" * 40,
    '"' + "9" * 40 + '"',
    '"0.000000000001"',
    r'"\ud800"',
    '"9999-12-31T23:59:59-14:00"',
]

PROBLEMS = (
    r"is missing or not (an id|a number|a time|a currency code)|is missing|is negative|is too large"
    r"|is not (a text|true or false|a list|a list of objects|JSON|an object|of 1 to 100 characters)"
    r"|is missing, and order_reference needs it"
    r"|is larger than 1 MiB|is there instead of an order: the shop sent an error"
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every field, and of each list the last element, from the outside in."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*path, key))
    elif isinstance(value, list) and value:
        yield from places(value[-1], (*path, -1))


def names_in(value: Any) -> set[str]:
    return {str(part) for path in places(value) for part in path}


def assert_names_fields_only(problem: str | None, known: set[str]) -> None:
    assert problem is not None
    named, says = problem.split(": ", 1)
    assert re.fullmatch(PROBLEMS, says), problem
    own = {"body", "id", "code", "order_reference", "presentment_money", "amount"}
    parts = {part.removesuffix("[]") for part in named.split(".")}
    assert parts <= known | own, problem


def assert_sound(decision: Decision, known: set[str]) -> None:
    """Either a conversion that the sender can read and Prisjakt can take, or a named reason."""
    if decision.conversion is None:
        assert decision.reason is not None
        if decision.reason is Reason.UNREADABLE:
            assert_names_fields_only(decision.problem, known)
        else:
            assert decision.problem is None
        return
    conversion = decision.conversion
    message = conversion.to_message()
    assert Conversion.from_message(message).to_message() == message
    assert conversion.amount == 0 if conversion.void else 0 < conversion.amount <= AMOUNT_LIMIT
    assert (decision.reason, decision.problem) == (None, None)


@pytest.mark.parametrize(
    ("platform", "sample", "choices"),
    [
        ("shopify", "orders-create-paid", {"landing_page_fallback": True}),
        (
            "shopify",
            "orders-create-presentment",
            {"amount": "goods_excl_tax", "currency": "presentment", "order_reference": "{name}"},
        ),
        ("shopify", "orders-create-authorized", {"amount": "total_excl_tax"}),
        ("woocommerce", "made-partial-refund", {"landing_page_fallback": True}),
        ("woocommerce", "made-partial-refund", {"amount": "total_excl_tax"}),
        (
            "woocommerce",
            "made-partial-refund",
            {"amount": "goods", "report_when": "placed", "order_reference": "{number}"},
        ),
    ],
)
def test_no_value_of_any_field_breaks_anything(
    platform: str, sample: str, choices: dict[str, Any]
) -> None:
    """Each field of an order, however deep, is replaced by each of the values above in turn."""
    order = json.loads(load(platform, sample).body)
    known = names_in(order)
    shop = shop_of(platform, **choices)
    outcomes = set()
    for path in list(places(order)):
        holder = order
        for part in path[:-1]:
            holder = holder[part]
        before, holder[path[-1]] = holder[path[-1]], "@here@"
        text = json.dumps(order)
        holder[path[-1]] = before
        for value in REPLACEMENTS:
            body = text.replace('"@here@"', value).encode()
            decision = decide(PLATFORMS[platform], "demo", shop, headers_of(platform), body, NOW)
            assert_sound(decision, known)
            outcomes.add(decision.reason)

    assert {None, Reason.UNREADABLE, Reason.INVALID_CLICK_ID} <= outcomes


numbers = st.from_regex(r"[+-]?[0-9]{1,45}(\.[0-9]{1,30})?", fullmatch=True)
times = st.datetimes().map(datetime.isoformat) | st.datetimes().map(lambda m: f"{m.isoformat()}Z")
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | numbers
    | times
    | st.sampled_from(["SEK", "EUR", "USD", CLICK, UUID, "pjclid", "paid", "processing", "{id}"])
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "key", "value", "quantity", "price", "total", "total_tax", "amount"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
READ = {
    "shopify": [
        *("id", "name", "order_number", "source_name", "test", "financial_status"),
        *("created_at", "updated_at", "cancelled_at", "note_attributes", "landing_site"),
        *("currency", "presentment_currency", "taxes_included", "line_items"),
        *("total_price", "current_total_price", "total_price_set", "current_total_price_set"),
        *("total_tax", "current_total_tax", "total_tax_set", "current_total_tax_set"),
        *("subtotal_price", "subtotal_price_set"),
    ],
    "woocommerce": [
        *("id", "number", "created_via", "status", "meta_data", "code"),
        *("date_created_gmt", "date_modified_gmt", "date_paid", "date_paid_gmt"),
        *("currency", "total", "total_tax", "line_items", "refunds"),
    ],
}
any_choices = st.fixed_dictionaries(
    {
        "amount": st.sampled_from(["total", "total_excl_tax", "goods", "goods_excl_tax"]),
        "currency": st.sampled_from(["shop", "presentment"]),
        "report_when": st.sampled_from(["placed", "secured", "paid"]),
        "order_reference": st.sampled_from(["{id}", "{number}", "{name}-{id}"]),
        "corrections": st.booleans(),
        "landing_page_fallback": st.booleans(),
    }
)


@on_both
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_values_together_break_anything(platform: str, data: st.DataObject) -> None:
    """Some fields of an order hold anything that JSON can hold, under any choice of the shop."""
    order = order_of(platform)
    changes = data.draw(st.dictionaries(st.sampled_from(READ[platform]), json_values, max_size=4))
    decision = decided(platform, changes, **data.draw(any_choices))

    assert_sound(decision, names_in(order) | names_in(changes))


@on_both
@settings(deadline=None, max_examples=200)
@given(body=st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_body_breaks_anything(platform: str, body: bytes) -> None:
    decision = with_body(platform, body)

    assert decision.reason in (Reason.UNREADABLE, Reason.NO_CLICK_ID)
    assert decision.conversion is None


@on_both
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_an_order_is_normalised_or_names_the_field_that_is_not_right(
    platform: str, data: st.DataObject
) -> None:
    fields = st.fixed_dictionaries({}, optional=dict.fromkeys(READ[platform], json_values))
    text = json.dumps(data.draw(fields)).replace("NaN", "0").replace("Infinity", "1")
    document = json.loads(text, parse_float=Decimal)
    shop = shop_of(platform, **data.draw(any_choices))

    try:
        order = PLATFORMS[platform].normalise(document, shop)
    except UnreadableError as error:
        assert_names_fields_only(str(error), names_in(document) | set(READ[platform]))
    else:
        assert order.created_at.tzinfo is UTC
        assert order.net.is_finite()


# An order that did not come by webhook


def assessed(platform: str, changes: Mapping[str, Any], **choices: Any) -> Decision:
    """What becomes of a paid order with other values in some fields, as the shop's API tells it."""
    order = json.loads(json.dumps(order_of(platform) | dict(changes)), parse_float=Decimal)
    return assess(PLATFORMS[platform], "demo", shop_of(platform, **choices), order, NOW)


@on_both
@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"mode": "test"},
        {"mode": "off"},
        {"report_when": "paid"},
        {"amount": "goods_excl_tax"},
        {"order_reference": "SE-{number}"},
        {"excluded_sources": ["*"]},
    ],
)
def test_an_order_is_judged_alike_however_it_comes(platform: str, choices: dict[str, Any]) -> None:
    carried = carrying(platform, CLICK)

    assert assessed(platform, carried, **choices) == decided(platform, carried, **choices)


@on_both
def test_what_is_said_of_a_delivery_is_not_asked_of_an_order(platform: str) -> None:
    """An API has no topic and no signature, and is that of the shop."""
    decision = assessed(platform, carrying(platform, CLICK), domain="elsewhere.example")

    assert decision.conversion is not None
    assert decided(platform, carrying(platform, CLICK), domain="elsewhere.example").reason


@on_both
def test_an_order_of_a_shop_that_is_off_is_named(platform: str) -> None:
    order_id = str(order_of(platform)["id"])

    assert assessed(platform, {}, mode="off") == Decision(order_id=order_id, reason=Reason.OFF)


@on_both
@pytest.mark.parametrize("mode", ["live", "off"])
def test_an_order_without_an_id_is_unreadable_and_says_so(platform: str, mode: str) -> None:
    decision = assessed(platform, {"id": None}, mode=mode)

    assert (decision.order_id, decision.reason) == (None, Reason.UNREADABLE)
    assert (decision.problem or "").startswith("id")


@on_both
@pytest.mark.parametrize(
    "value", [None, True, -1, 1.5, "", "\ud800", [], {}, [None], {"a": [1]}, 10**400]
)
def test_no_value_of_an_order_breaks_anything(platform: str, value: Any) -> None:
    order = order_of(platform) | carrying(platform, CLICK)
    shop = shop_of(platform, landing_page_fallback=True)

    for name in order:
        spoilt = order | {name: value}
        decision = assess(PLATFORMS[platform], "demo", shop, spoilt, NOW)
        assert (decision.conversion is None) is not (decision.reason is None), name
