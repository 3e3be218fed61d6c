"""Orders and webhooks of a Shopify store, read and written over its Admin API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from tests.platform_api.shopify_store import (
    ADDRESS,
    CLICK_ID,
    START,
    TOKEN,
    Store,
    clicked,
    order,
    without,
)

from prisjakt_relay.errors import PlatformAccessError, PlatformRefusedError
from prisjakt_relay.intake import assess, decide
from prisjakt_relay.local.deliveries import Delivery
from prisjakt_relay.local.exchange import Answer
from prisjakt_relay.local.shopify_system import Subscription
from prisjakt_relay.outcomes import Reason
from prisjakt_relay.platform_api import shopify as client
from prisjakt_relay.platform_api.interface import Moment, Page, Webhook
from prisjakt_relay.platform_api.shopify import WEBHOOK_FIELDS
from prisjakt_relay.platforms import shop_from
from prisjakt_relay.platforms.interface import Document
from prisjakt_relay.platforms.shopify import PLATFORM
from prisjakt_relay.shop import AmountChoice, CurrencyChoice, Shop

HOOK = "https://relay.example/webhooks/shopify/shop-1"
MINUTE = timedelta(minutes=1)
SINCE, UNTIL = START - timedelta(days=2), START + timedelta(days=2)


@pytest.fixture
def store() -> Store:
    return Store()


def shop(**choices: object) -> Shop:
    return shop_from(
        {
            "platform": "shopify",
            "pixel_id": "36746cdf-cf62-4dff-bc5b-fb2df41ecb4d",
            "signing_secrets": ["secret"],
            **choices,
        }
    )


EVERY_CHOICE = [
    shop(amount=amount, currency=currency, landing_page_fallback=fallback, excluded_sources=[])
    for amount, currency, fallback in product(AmountChoice, CurrencyChoice, (True, False))
]


@pytest.fixture(scope="session")
def deliveries(samples: dict[str, Delivery]) -> dict[str, Delivery]:
    return {name: each for name, each in samples.items() if each.platform == "shopify"}


@pytest.fixture(scope="session")
def bodies(deliveries: dict[str, Delivery]) -> dict[str, Document]:
    """Those of the deliveries that are of orders."""
    parsed = {name: json.loads(each.body) for name, each in deliveries.items()}
    return {name: body for name, body in parsed.items() if "id" in body}


def gifts() -> Document:
    """Two currencies, taxes beside the prices, a discounted gift card, lines that are gone."""

    def bag(shop_amount: str, presentment: str) -> dict[str, Any]:
        return {
            "shop_money": {"amount": shop_amount, "currency_code": "JPY"},
            "presentment_money": {"amount": presentment, "currency_code": "EUR"},
        }

    def line(**changes: Any) -> dict[str, Any]:
        return {
            "quantity": 2,
            "current_quantity": 1,
            "gift_card": False,
            "price": "2000",
            "price_set": bag("2000", "12.50"),
            "tax_lines": [{"price": "400", "price_set": bag("400", "2.50")}],
            "discount_allocations": [],
            **changes,
        }

    totals = {
        "total_price": ("14319", "89.49"),
        "current_total_price": ("12000", "75.00"),
        "total_tax": ("2400", "15.00"),
        "current_total_tax": ("2000", "12.50"),
        "subtotal_price": ("13319", "83.24"),
    }
    discount = {"amount": "500", "amount_set": bag("500", "3.125")}
    return {
        "id": 77,
        "name": "SE-77",
        "order_number": 77,
        "created_at": START.isoformat(),
        "updated_at": START.isoformat(),
        "cancelled_at": None,
        "test": False,
        "source_name": None,
        "financial_status": None,
        "currency": "JPY",
        "presentment_currency": "EUR",
        **{name: pair[0] for name, pair in totals.items()},
        **{f"{name}_set": bag(*pair) for name, pair in totals.items()},
        "taxes_included": False,
        "note_attributes": [{"name": "pjclid", "value": CLICK_ID}, {"name": "x", "value": None}],
        "landing_site": "/?pjclid=one&pjclid=two",
        "line_items": [
            line(),
            line(gift_card=True, tax_lines=[], discount_allocations=[discount]),
            line(current_quantity=0),
        ],
    }


def kept(value: Any, like: Any) -> Any:
    """Of a webhook's body what the other one has as well, times as moments."""
    if isinstance(like, dict):
        return {name: kept(value.get(name), each) for name, each in like.items()}
    if isinstance(like, list) and isinstance(value, list) and len(like) == len(value):
        return [kept(*pair) for pair in zip(value, like, strict=True)]
    return value


def timed(document: Document) -> Document:
    moments = ("created_at", "updated_at", "cancelled_at")
    return document | {
        name: datetime.fromisoformat(document[name])
        for name in moments
        if document.get(name) is not None
    }


def same_as_webhook(body: Document) -> None:
    store = Store()
    store.put(body)
    [read] = store.read(api=store.api(landing_pages=True))
    now = datetime.fromisoformat(body["created_at"]) + timedelta(hours=1)
    if PLATFORM.click_ids(body) or PLATFORM.landing_page(body):
        assert set(read) == {field.partition(".")[0] for field in WEBHOOK_FIELDS}
        for line in read["line_items"]:
            of_lines = {field for field in WEBHOOK_FIELDS if field.startswith("line_items.")}
            assert {f"line_items.{name}" for name in line} == of_lines
    assert timed(read) == timed(kept(body, read))
    for choices in EVERY_CHOICE:
        by_webhook = assess(PLATFORM, "shop-1", choices, body, now)
        assert assess(PLATFORM, "shop-1", choices, read, now) == by_webhook


def test_what_is_read_is_what_the_webhook_told_field_by_field(bodies: dict[str, Document]) -> None:
    assert len(bodies) > 10
    for body in bodies.values():
        same_as_webhook(body)


def test_two_currencies_gift_cards_and_removed_lines_are_read_as_the_webhook_tells_them() -> None:
    same_as_webhook(gifts())


@pytest.mark.parametrize("name", ["total_tax", "subtotal_price"])
def test_amounts_that_shopify_may_leave_out_are_null(store: Store, name: str) -> None:
    store.put(clicked(1))
    store.read()
    [*_, full] = store.session.given
    assert isinstance(full.body, dict)
    field = {"total_tax": "totalTaxSet", "subtotal_price": "subtotalPriceSet"}[name]
    full.body["data"]["nodes"][0][field] = None
    store.session.answers = store.session.given

    [read] = store.read()

    assert read[name] is None
    assert read[f"{name}_set"] is None


@pytest.mark.parametrize(
    ("currency", "told", "written"),
    [
        ("SEK", "49.0", "49.00"),
        ("SEK", "0.0", "0.00"),
        ("SEK", "-5", "-5.00"),
        ("SEK", "49.999", "49.999"),
        ("SEK", "100", "100.00"),
        ("JPY", "14319.0", "14319"),
        ("JPY", "14300.0", "14300"),
        ("JPY", "0.5", "0.5"),
        ("KWD", "1.5", "1.500"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(
    store: Store, currency: str, told: str, written: str
) -> None:
    store.put(clicked(1, currency=currency, total_price=told))

    [read] = store.read()

    assert read["total_price"] == written


def recorded(document: Document, read: set[str], path: str = "") -> Document:
    """The same, and `read` fills with what anybody asks it for."""

    class Recording(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            read.add(f"{path}{name}")
            value = super().get(name, default)
            below = f"{path}{name}."
            if isinstance(value, list):
                return [recorded(row, read, below) for row in value]
            return recorded(value, read, below) if isinstance(value, dict) else value

        __getitem__ = get

    return Recording(document)


def covers(fields: tuple[str, ...], path: str) -> bool:
    return any(path == field or path.startswith(f"{field}.") for field in fields)


def test_the_webhooks_fields_are_those_that_intake_reads(bodies: dict[str, Document]) -> None:
    read: set[str] = set()
    now = START + timedelta(hours=1)
    own_currency = gifts() | {"currency": "SEK", "presentment_currency": "SEK"}
    for body, choices in product([*bodies.values(), gifts(), own_currency], EVERY_CHOICE):
        assess(PLATFORM, "shop-1", choices, recorded(body, read), now)

    leaves = {path for path in read if not any(other.startswith(f"{path}.") for other in read)}
    assert [path for path in sorted(leaves) if not covers(WEBHOOK_FIELDS, path)] == []
    assert [f for f in WEBHOOK_FIELDS if not any(covers((f,), path) for path in read)] == []


def test_deliveries_cut_to_the_webhooks_fields_are_decided_alike(
    deliveries: dict[str, Delivery], shops: dict[str, Shop], now: datetime
) -> None:
    for delivery in deliveries.values():
        store = Store()
        store.system.subscriptions["1"] = Subscription(
            "1", "ORDERS_CREATE", HOOK, includeFields=WEBHOOK_FIELDS
        )
        body = json.loads(delivery.body)
        if "id" not in body:
            continue  # no order: Shopify sends it to other webhooks
        store.system.put(body, "orders/create")
        headers = {name.lower(): value for name, value in delivery.headers}
        for choices in (shops[delivery.shop], *EVERY_CHOICE):
            decided = [
                decide(PLATFORM, delivery.shop, choices, headers, content, now)
                for content in (store.sent[0].body, delivery.body)
            ]
            assert decided[0] == decided[1]
        assert len(store.sent[0].body) < len(delivery.body)


def test_orders_without_a_click_id_are_read_briefly(store: Store) -> None:
    store.put(order(1, source_name="pos"), clicked(2))

    brief, full = store.read()

    assert set(brief) == {"id", "created_at", "updated_at", "source_name", "note_attributes"}
    assert assess(PLATFORM, "s", shop(), brief, store.now).reason is Reason.SOURCE
    assert "line_items" in full
    assert len(store.session.calls) == 2


@pytest.mark.parametrize("landing_pages", [True, False])
def test_landing_pages_are_asked_for_where_they_are_wanted(
    store: Store, landing_pages: bool
) -> None:
    page = f"https://shop.example/lamps?pjclid={CLICK_ID}"
    store.put(order(1, landing_site=page), order(2, landing_site=None), order(3, landing_site=""))

    found, *others = store.read(api=store.api(landing_pages=landing_pages))

    assert found.get("landing_site") == (f"/lamps?pjclid={CLICK_ID}" if landing_pages else None)
    assert ("line_items" in found) is landing_pages
    assert [each.get("landing_site") for each in others] == [None, "/" if landing_pages else None]
    asked = [b"landingPage" in call.body for call in store.session.calls]
    assert asked == ([True, True] if landing_pages else [False])


def test_an_address_that_is_none_is_left_as_it_is(store: Store) -> None:
    store.put(order(1, landing_site="https://[shop"))

    [read] = store.read(api=store.api(landing_pages=True))

    assert read["landing_site"] == "https://[shop"


@pytest.mark.parametrize("by", list(Moment))
def test_orders_come_oldest_first_of_the_interval_only(store: Store, by: Moment) -> None:
    moments = {1: 30, 2: 10, 3: 20, 4: -1, 5: 60, 6: 0, 7: 59}
    store.put(*(order(number, START + minutes * MINUTE) for number, minutes in moments.items()))

    api = store.api()
    pages = list(api.orders(START, START + timedelta(hours=1), by=by))

    assert [[each["id"] for each in page.orders] for page in pages] == [[6, 2, 3, 1, 7]]
    assert pages[0].complete_until == START + timedelta(hours=1)


def test_the_moment_asked_for_is_the_one_that_counts(store: Store) -> None:
    store.put(order(1, created_at=(START - timedelta(days=5)).isoformat()))

    assert store.read_ids(by=Moment.UPDATED) == [1]
    assert store.read_ids(by=Moment.CREATED) == []


@pytest.mark.parametrize("length", [timedelta(0), -MINUTE])
def test_an_empty_interval_is_complete_at_once(store: Store, length: timedelta) -> None:
    since = START + timedelta(milliseconds=1)

    pages = list(store.api().orders(since, since + length, by=Moment.UPDATED))

    assert pages == [Page((), since + length)]
    assert store.session.calls == []


def test_an_interval_without_orders_is_one_page(store: Store) -> None:
    assert list(store.api().orders(SINCE, UNTIL, by=Moment.UPDATED)) == [Page((), UNTIL)]


def test_parts_of_seconds_miss_nothing(store: Store) -> None:
    store.put(order(1, START), order(2, START + timedelta(seconds=1)))
    since = START + timedelta(milliseconds=700)

    assert store.read_ids(since=since, until=since + timedelta(milliseconds=600)) == [1, 2]


def test_pages_tell_how_far_they_are_complete(store: Store) -> None:
    store.put(*(order(number, START + number * MINUTE) for number in range(1, 601)))

    pages = list(store.api().orders(SINCE, UNTIL, by=Moment.UPDATED))

    assert [len(page.orders) for page in pages] == [250, 250, 100]
    ends = [START + 126 * MINUTE, START + 376 * MINUTE, UNTIL]
    assert [page.complete_until for page in pages] == ends


def test_a_change_of_this_minute_says_nothing_of_how_far_a_page_is_complete(store: Store) -> None:
    store.put(*(order(number, START + number * MINUTE) for number in range(1, 251)))
    store.put(*(order(1000 + number, store.now - MINUTE) for number in range(1, 301)))

    first, second, last = store.api().orders(SINCE, UNTIL, by=Moment.UPDATED)

    assert first.complete_until == second.complete_until == START + 126 * MINUTE
    assert last.complete_until == UNTIL


@pytest.mark.parametrize("late", [100, 249, 250])
def test_an_order_that_is_newer_than_its_place_says_nothing_of_how_far_a_page_is_complete(
    store: Store, late: int
) -> None:
    """The index by which Shopify sorts was behind for longer than usual."""
    store.put(*(order(number, START + number * MINUTE) for number in range(1, 601)))
    answer = store.system.answer

    def outdated(call: Any) -> Answer:
        body = json.loads(answer(call).content)
        for node in body["data"]["orders"]["nodes"]:
            if node["id"].endswith(f"/{late}"):
                node["updatedAt"] = (store.now - 10 * MINUTE).isoformat()
        return Answer(200, body=body)

    store.system.answer = outdated  # type: ignore[method-assign]

    page = next(iter(store.api().orders(SINCE, UNTIL, by=Moment.UPDATED)))

    assert START < page.complete_until <= START + 250 * MINUTE


def test_orders_that_change_while_others_are_paged_make_nobody_miss_any(store: Store) -> None:
    store.put(*(order(number, START + number * MINUTE) for number in range(1, 601)))
    until = store.now
    seen: set[int] = set()
    changed = {5, 249, 250, 251, 300, 499, 599}
    for page in store.api().orders(SINCE, until, by=Moment.UPDATED):
        seen |= {each["id"] for each in page.orders}
        store.now += MINUTE
        store.put(*(clicked(number, store.now) for number in changed))

    assert set(range(1, 601)) - seen <= changed
    assert set(store.read_ids(since=until, until=store.now + MINUTE)) == changed


def test_an_order_that_changes_inside_the_interval_is_read_again(store: Store) -> None:
    store.put(*(order(number, START + number * MINUTE) for number in range(1, 301)))
    pages = store.api().orders(SINCE, UNTIL, by=Moment.UPDATED)
    seen = [each["id"] for each in next(pages).orders]
    store.put(clicked(1, store.now, total_price="7.00"))
    rest = [each for page in pages for each in page.orders]

    assert [*seen, *(each["id"] for each in rest)] == [*range(1, 301), 1]
    assert rest[-1]["total_price"] == "7.00"


def test_an_order_that_changes_between_the_two_steps_is_the_newer_one(store: Store) -> None:
    store.put(clicked(1), clicked(2))
    answer = store.system.answer

    def changing(call: Any) -> Answer:
        if b"nodes(ids" in call.body:
            store.put(clicked(1, store.now, total_price="7.00"))
            del store.system.orders["2"]
        return answer(call)

    store.system.answer = changing  # type: ignore[method-assign]

    [read] = store.read()

    assert (read["id"], read["total_price"]) == (1, "7.00")
    assert datetime.fromisoformat(read["updated_at"]) == store.now


def test_paging_begins_anew_before_shopify_would_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_PAGING", 500)
    store = Store(most_paged=600)
    store.put(*(order(number, START + number * MINUTE) for number in range(1, 1201)))

    seen = store.read_ids()

    assert sorted(set(seen)) == list(range(1, 1201))
    assert len(seen) < 1500


def test_paging_cannot_begin_anew_within_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_PAGING", 250)
    store = Store()
    store.put(*(order(number) for number in range(1, 601)))

    assert store.read_ids(since=START) == list(range(1, 601))


def test_lines_of_large_orders_are_read_to_the_end(store: Store) -> None:
    lines = [{"quantity": number + 1, "price": "1.00"} for number in range(200)]
    store.put(clicked(1, line_items=lines), clicked(2, line_items=lines[:10]), clicked(3))

    read = store.read()

    assert [len(each["line_items"]) for each in read] == [200, 10, 1]
    assert [line["quantity"] for line in read[0]["line_items"]] == list(range(1, 201))


def test_a_large_order_that_is_deleted_while_it_is_read_stops_nothing(store: Store) -> None:
    store.put(clicked(1, line_items=[{"quantity": 1}] * 30), clicked(2))
    answer = store.system.answer

    def deleting(call: Any) -> Answer:
        if b"order(id" in call.body:
            del store.system.orders["1"]
        return answer(call)

    store.system.answer = deleting  # type: ignore[method-assign]

    assert store.read_ids() == [1, 2]


def test_an_interval_that_shopify_does_not_keep_to_is_noticed(store: Store) -> None:
    store.put(order(1))
    store.read()
    store.session.answers = [store.session.given[0]]

    with pytest.raises(PlatformRefusedError, match="does not keep to the interval"):
        store.read(since=START + MINUTE)


def test_a_cursor_that_does_not_move_on_ends_the_paging(store: Store) -> None:
    store.put(*(order(number) for number in range(1, 301)))
    store.read()
    store.session.answers = [store.session.given[0]] * 2

    with pytest.raises(PlatformRefusedError, match=r"orders\.pageInfo\.endCursor is not another"):
        store.read()


def test_an_answer_without_nodes_for_the_ids_is_refused(store: Store) -> None:
    store.put(clicked(1))
    store.read()
    store.session.answers = [store.session.given[0], Answer(200, body={"data": {"nodes": []}})]

    with pytest.raises(PlatformRefusedError, match="nodes is not as long as the list of ids"):
        store.read()


def too_dear() -> Answer:
    code = {"code": "MAX_COST_EXCEEDED", "cost": 1066, "maxCost": 1000}
    return Answer(200, body={"errors": [{"message": "too dear", "extensions": code}]})


def test_what_is_too_dear_is_asked_for_in_smaller_pages(store: Store) -> None:
    store.put(*(order(number) for number in range(1, 101)))
    store.session.answers = [too_dear(), too_dear()]

    assert store.read_ids() == list(range(1, 101))
    sizes = [json.loads(call.body)["variables"]["first"] for call in store.session.calls]
    assert sizes == [250, 125, 62, 62]


def test_a_full_order_that_is_too_dear_is_read_with_fewer_lines(store: Store) -> None:
    store.put(*(clicked(number, line_items=[{"quantity": 1}] * 15) for number in range(1, 3)))
    store.read()
    store.session.answers = [store.session.given[0], *[too_dear()] * 3]
    store.session.calls.clear()

    assert [len(each["line_items"]) for each in store.read()] == [15, 15]
    asked = [json.loads(call.body)["variables"] for call in store.session.calls[1:6]]
    assert [(len(each["ids"]), each["lines"]) for each in asked[:4]] == [
        (2, 10),
        (2, 10),
        (1, 10),
        (1, 5),
    ]


def test_what_stays_too_dear_is_refused(store: Store) -> None:
    store.session.answers = [too_dear()] * 20

    with pytest.raises(PlatformRefusedError, match="however little"):
        store.read()


def test_first_sizes_are_never_too_dear(store: Store) -> None:
    page = f"/?pjclid={CLICK_ID}"
    many = [{"quantity": 1, "price": "1.00"}] * 100
    store.put(*(order(number, landing_site=page, line_items=many) for number in range(1, 8)))

    for landing_pages in (True, False):
        store.read(api=store.api(landing_pages=landing_pages))

    bodies = [answer.body for answer in store.session.given]
    assert all(isinstance(body, dict) and "errors" not in body for body in bodies)


def test_the_right_to_read_orders_is_checked(store: Store) -> None:
    assert list(store.api().check()) == []
    assert len(store.session.calls) == 1
    assert list(without(store, ["read_orders"]).api().check()) == ["read_orders"]


def test_who_may_write_orders_may_read_them() -> None:
    assert list(Store(scopes=["write_orders"]).api().check()) == []


def test_webhooks_are_made_with_what_intake_reads_and_no_more(store: Store) -> None:
    api = store.api()

    made = [api.create_webhook(topic, HOOK, "ignored") for topic in api.topics]

    assert [each.topic for each in made] == list(api.topics)
    assert {(each.address, each.problems) for each in made} == {(HOOK, ())}
    assert api.webhooks() == made
    assert {tuple(each.includeFields) for each in store.system.subscriptions.values()} == {
        WEBHOOK_FIELDS
    }
    assert b"ignored" not in b"".join(call.body for call in store.session.calls)


def test_making_a_webhook_twice_makes_it_once(store: Store) -> None:
    api = store.api()
    api.create_webhook("orders/create", "https://elsewhere.example", "")
    made = api.create_webhook("orders/create", HOOK, "")

    assert api.create_webhook("orders/create", HOOK, "") == made
    assert len(api.webhooks()) == 2


def test_a_webhook_that_shopify_does_not_make_is_an_error_that_says_why(store: Store) -> None:
    with pytest.raises(PlatformRefusedError, match="does not make a webhook of orders/create: Ad"):
        store.api().create_webhook("orders/create", "ftp://relay.example", "")


def subscription(number: int, topic: str = "ORDERS_CREATE", **changes: Any) -> Subscription:
    return Subscription(
        f"gid://shopify/WebhookSubscription/{number}",
        topic,
        **{"uri": HOOK, "includeFields": WEBHOOK_FIELDS, **changes},
    )


def subscribe(store: Store, *subscriptions: Subscription) -> None:
    store.system.subscriptions = {each.id: each for each in subscriptions}


def test_webhooks_of_orders_are_listed_with_their_problems(store: Store) -> None:
    without_taxes = [field for field in WEBHOOK_FIELDS if "tax_lines" not in field]
    subscribe(
        store,
        subscription(1, "ORDERS_PARTIALLY_FULFILLED"),
        subscription(2, "PRODUCTS_UPDATE"),
        subscription(3, filter="total_price:>100"),
        subscription(4, includeFields=without_taxes),
        subscription(5, includeFields=[]),
        subscription(6, includeFields=[*WEBHOOK_FIELDS, "email"], format="XML"),
        subscription(7, includeFields=[*without_taxes, "line_items"], filter=""),
    )

    found = {each.id[-1]: each for each in store.api().webhooks()}

    assert found["1"].topic == "orders/partially_fulfilled"
    assert {number: each.problems for number, each in found.items()} == {
        "1": (),
        "3": ("has a filter",),
        "4": ("leaves out line_items.tax_lines",),
        "5": ("sends more than is needed",),
        "6": ("is not JSON", "sends more than is needed"),
        "7": ("sends more than is needed",),
    }


def test_webhooks_are_listed_to_the_end(store: Store) -> None:
    subscribe(store, *(subscription(n, uri=f"https://{n}.example") for n in range(1, 251)))

    assert len(store.api().webhooks()) == 250


def test_a_webhook_is_mended_in_its_place(store: Store) -> None:
    subscribe(store, subscription(1, filter="x:y", includeFields=["id"], uri="https://old.example"))
    [broken] = store.api().webhooks()

    mended = store.api().replace_webhook(broken, HOOK, "")

    assert mended == Webhook(id=broken.id, topic="orders/create", address=HOOK)
    assert store.api().webhooks() == [mended]


def test_a_webhook_that_keeps_what_is_wrong_with_it_is_made_anew(store: Store) -> None:
    subscribe(store, subscription(1, filter="x:y"))
    [broken] = store.api().webhooks()
    kept_as_it_is = {
        "id": broken.id,
        "topic": "ORDERS_CREATE",
        "uri": HOOK,
        "format": "JSON",
        "includeFields": list(WEBHOOK_FIELDS),
        "filter": "x:y",
    }
    change = {"webhookSubscription": kept_as_it_is, "userErrors": []}
    store.session.answers = [Answer(200, body={"data": {"change": change}})]

    mended = store.api().replace_webhook(broken, HOOK, "")

    assert mended.id != broken.id
    assert store.api().webhooks() == [mended]


def test_a_webhook_whose_place_is_taken_gives_way(store: Store) -> None:
    subscribe(store, subscription(1, uri="https://old.example"), subscription(2))
    first, second = store.api().webhooks()

    assert store.api().replace_webhook(first, HOOK, "") == second
    assert store.api().webhooks() == [second]


def test_a_webhook_that_is_gone_is_made_anew(store: Store) -> None:
    gone = Webhook(id="gid://shopify/WebhookSubscription/99", topic="orders/create", address=HOOK)

    assert store.api().replace_webhook(gone, HOOK, "").address == HOOK


def test_a_webhook_is_removed_once_and_again(store: Store) -> None:
    webhook = store.api().create_webhook("orders/create", HOOK, "")

    store.api().remove_webhook(webhook)
    store.api().remove_webhook(webhook)

    assert store.api().webhooks() == []


def test_a_webhook_that_stays_is_an_error(store: Store) -> None:
    webhook = store.api().create_webhook("orders/create", HOOK, "")
    change = {"deletedWebhookSubscriptionId": None, "userErrors": [{"message": "Not now"}]}
    store.session.answers = [Answer(200, body={"data": {"change": change}})]

    with pytest.raises(PlatformRefusedError, match="does not remove the webhook: Not now"):
        store.api().remove_webhook(webhook)


def test_without_the_right_webhooks_are_not_made(store: Store) -> None:
    with pytest.raises(PlatformRefusedError, match="cannot create a webhook"):
        without(store, ["read_orders"]).api().create_webhook("orders/create", HOOK, "")


def test_without_the_right_orders_are_not_read(store: Store) -> None:
    with pytest.raises(PlatformAccessError, match="orders; give the app the right read_orders"):
        without(store, ["read_orders"]).read()


RUBBISH: list[Any] = [None, True, Decimal("1.5"), "\ud800\x00é", ["\udfff"], {}]


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    steps: list[tuple[Any, Any]] = list(value.items()) if isinstance(value, dict) else []
    if isinstance(value, list):
        steps = list(enumerate(value))[:1]
    for step, below in steps:
        yield from places(below, (*place, step))


def spoilt(value: Any, place: tuple[Any, ...], rubbish: Any) -> Any:
    if not place:
        return rubbish
    step, *rest = place
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[step] = spoilt(value[step], tuple(rest), rubbish)
    return changed


def webhook() -> Webhook:
    return Webhook(id="gid://shopify/WebhookSubscription/1", topic="orders/create", address=HOOK)


CALLS: dict[str, Callable[[Store], object]] = {
    "read": lambda store: store.read(api=store.api(landing_pages=True)),
    "check": lambda store: store.api().check(),
    "list": lambda store: store.api().webhooks(),
    "create": lambda store: store.api().create_webhook("orders/paid", HOOK, ""),
    "replace": lambda store: store.api().replace_webhook(webhook(), HOOK, ""),
    "remove": lambda store: store.api().remove_webhook(webhook()),
}


def filled() -> Store:
    store = Store()
    body = gifts()
    store.put(body | {"line_items": body["line_items"] * 4})
    subscribe(store, subscription(1))
    return store


@pytest.mark.parametrize("name", CALLS)
def test_no_answer_makes_anything_else_than_an_error_of_its_own(name: str) -> None:
    good, store = filled(), filled()
    CALLS[name](good)
    said: list[str] = []
    tried = 0
    for number, answer in enumerate(good.session.given):
        for place, rubbish in product(places(answer.body), RUBBISH):
            store.session.answers = list(good.session.given)
            store.session.answers[number] = Answer(200, body=spoilt(answer.body, place, rubbish))
            tried += 1
            try:
                CALLS[name](store)
            except PlatformRefusedError as error:
                said.append(str(error))
    assert tried / 4 < len(said) < tried
    for each in set(said):
        assert each.encode().decode().isprintable()
        assert TOKEN not in each
        assert ADDRESS not in each


@pytest.mark.parametrize("time", ["2026-11-20T12:00:00", "yesterday", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_no_moment_is_refused(store: Store, time: str) -> None:
    store.put(order(1))
    store.read()
    place = ("data", "orders", "nodes", 0, "updatedAt")
    store.session.answers = [Answer(200, body=spoilt(store.session.given[0].body, place, time))]

    with pytest.raises(PlatformRefusedError, match=r"orders\.nodes\.updatedAt is not a time"):
        store.read()
