"""The simulated Shopify store: what its pages say of the API, and its webhooks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.platform_api.shopify_store import (
    CLIENT_SECRET,
    START,
    TOKEN,
    Store,
    clicked,
    order,
    without,
)

from prisjakt_relay.local.exchange import Answer, Call
from prisjakt_relay.local.shop_system import ShopSystem
from prisjakt_relay.local.shopify_system import Subscription
from prisjakt_relay.platforms import shopify

HOOK = "https://relay.example/webhooks/shopify/shop-1"
PATH = "/admin/api/2026-07/graphql.json"
ORDERS = "query($first:Int,$after:String){orders(first:$first,after:$after,sortKey:UPDATED_AT)"
PAGED = ORDERS + "{nodes{id updatedAt}edges{cursor node{name}}pageInfo{hasNextPage endCursor}}}"


@pytest.fixture
def store() -> Store:
    return Store()


def ask(store: Store, query: str, token: str = TOKEN, /, **variables: Any) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    call = Call(method="POST", path=PATH, headers={"x-shopify-access-token": token}, body=body)
    answer = store.system.answer(call)
    assert answer.status == 200
    assert isinstance(answer.body, dict)
    return answer.body


def data(store: Store, query: str, /, **variables: Any) -> Any:
    body = ask(store, query, **variables)
    assert "errors" not in body
    return body["data"]


def errors(store: Store, query: str, /, **variables: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(store, query, **variables)["errors"]
    return found


def test_it_is_a_shop_system(store: Store) -> None:
    system: ShopSystem = store.system

    assert system.orders == {}


@pytest.mark.parametrize(
    "query",
    [
        "{orders(first:1){nodes{order_number}}}",
        "{orders(first:1){nodes{totalPriceSet}}}",
        "{orders(first:1,sortKey:UPDATED){nodes{id}}}",
        "{nodes{id}}",
        "{orders(first:",
        "",
    ],
)
def test_what_shopify_would_not_understand_is_refused(store: Store, query: str) -> None:
    assert errors(store, query)
    assert errors(store, query) == errors(store, query)


def test_a_field_that_is_unknown_is_refused_by_its_code(store: Store) -> None:
    [error] = errors(store, "{order(id:1){landing_site}}")

    assert error["extensions"] == {"code": "undefinedField"}


@pytest.mark.parametrize("first", [None, 0, 251, -1])
def test_a_page_has_from_1_to_250_rows(store: Store, first: int | None) -> None:
    assert "first" in errors(store, PAGED, first=first)[0]["message"]


def test_at_most_250_nodes_are_asked_for_at_once(store: Store) -> None:
    ids = [f"gid://shopify/Order/{number}" for number in range(251)]

    assert (
        "input array size"
        in errors(store, "query($i:[ID!]!){nodes(ids:$i){id}}", i=ids)[0]["message"]
    )


def test_nodes_that_are_not_there_are_null(store: Store) -> None:
    store.put(order(5))
    ids = ["gid://shopify/Order/4", "gid://shopify/Order/5", "gid://shopify/Product/5", "5"]

    assert data(store, "query($i:[ID!]!){nodes(ids:$i){__typename id}}", i=ids) == {
        "nodes": [None, {"__typename": "Order", "id": ids[1]}, None, None]
    }


def test_pages_follow_one_another_by_cursor(store: Store) -> None:
    store.put(*(order(number, START + timedelta(seconds=number % 2)) for number in range(1, 6)))
    found, after = [], None
    for expected in (True, True, False):
        page = data(store, PAGED, first=2, after=after)["orders"]
        found += [node["id"].rpartition("/")[2] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        assert page["edges"][-1]["cursor"] == after
        assert page["pageInfo"]["hasNextPage"] is expected

    assert found == ["2", "4", "1", "3", "5"]
    assert data(store, PAGED, first=2, after=after)["orders"] == {
        "nodes": [],
        "edges": [],
        "pageInfo": {"hasNextPage": False, "endCursor": None},
    }


def test_the_newest_come_first_in_reverse(store: Store) -> None:
    query = (
        "query($after:String){orders(first:2,after:$after,sortKey:CREATED_AT,reverse:true)"
        "{nodes{name}pageInfo{endCursor}}}"
    )
    store.put(*(order(number, START + timedelta(seconds=number)) for number in range(1, 5)))
    first = data(store, query)["orders"]
    second = data(store, query, after=first["pageInfo"]["endCursor"])["orders"]

    assert [node["name"] for node in first["nodes"]] == ["#4", "#3"]
    assert [node["name"] for node in second["nodes"]] == ["#2", "#1"]


@pytest.mark.parametrize("cursor", ["", "x", "é", "bnVsbA==", "WzFd"])
def test_a_cursor_that_is_none_is_refused(store: Store, cursor: str) -> None:
    assert "Invalid cursor" in errors(store, PAGED, first=1, after=cursor)[0]["message"]


def test_a_cursor_of_another_sorting_is_refused(store: Store) -> None:
    store.put(order(1))
    cursor = data(store, PAGED, first=1)["orders"]["pageInfo"]["endCursor"]
    other = PAGED.replace("UPDATED_AT", "CREATED_AT")

    assert "sort" in errors(store, other, first=1, after=cursor)[0]["message"]
    assert (
        "not simulated" in errors(store, PAGED.replace("UPDATED_AT", "ID"), first=1)[0]["message"]
    )


def test_paging_ends_at_its_limit() -> None:
    store = Store(most_paged=5)
    store.put(*(order(number) for number in range(1, 10)))
    cursor = data(store, PAGED, first=3)["orders"]["pageInfo"]["endCursor"]

    assert "limited" in errors(store, PAGED, first=3, after=cursor)[0]["message"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("updated_at:>='2026-11-20T12:00:01Z'", ["#1", "#2", "#3"]),
        (
            "updated_at:>'2026-11-20T12:00:01Z' AND updated_at:<='2026-11-20T12:00:03Z'",
            ["#2", "#3"],
        ),
        ('updated_at:>"2026-11-20T13:00:01+01:00" updated_at:<"2026-11-20T12:00:03Z"', ["#2"]),
        ("created_at:<'2026-11-20T12:00:02Z'", ["#1"]),
        ("updated_on:<'2026-11-20T12:00:02Z'", ["#1", "#2", "#3"]),
        ("", ["#1", "#2", "#3"]),
    ],
)
def test_orders_are_searched_by_moment_and_other_terms_do_nothing(
    store: Store, search: str, found: list[str]
) -> None:
    store.put(*(order(number, START + timedelta(seconds=number)) for number in range(1, 4)))
    query = "query($q:String){orders(first:9,sortKey:CREATED_AT,query:$q){nodes{name}}}"

    assert [each["name"] for each in data(store, query, q=search)["orders"]["nodes"]] == found


def test_an_order_that_a_test_puts_in_itself_is_found_as_it_is_now(store: Store) -> None:
    store.system.orders["1"] = order(1)
    data(store, PAGED, first=1)
    store.system.orders["1"] = order(1, START + timedelta(hours=1))

    node = data(store, PAGED, first=1)["orders"]["nodes"][0]
    assert node["updatedAt"] == "2026-11-20T13:00:00Z"


def test_what_a_sparse_order_leaves_out_has_its_usual_value(store: Store) -> None:
    body = order(7)
    del body["updated_at"], body["note_attributes"]
    store.put(body)
    money = "{shopMoney{amount currencyCode}presentmentMoney{amount currencyCode}}"
    fields = (
        "name number test taxesIncluded cancelledAt createdAt updatedAt legacyResourceId "
        "presentmentCurrencyCode customAttributes{key}customerJourneySummary{ready lastVisit"
        f"{{landingPage}}}}totalPriceSet{money}currentTotalPriceSet{money}totalTaxSet{money}"
        f"currentTotalTaxSet{money}subtotalPriceSet{money}lineItems(first:1){{nodes{{id quantity "
        f"currentQuantity isGiftCard name originalUnitPriceSet{money}taxLines{{rate}}"
        "discountAllocations{allocatedAmountSet{shopMoney{amount}}}}}"
    )

    def bag(amount: str) -> dict[str, Any]:
        money = {"amount": amount, "currencyCode": "SEK"}
        return {"shopMoney": money, "presentmentMoney": money}

    query = f'{{order(id:"gid://shopify/Order/7"){{{fields}}}}}'
    assert data(store, query)["order"] == {
        "name": "#7",
        "number": 1001,
        "test": False,
        "taxesIncluded": True,
        "cancelledAt": None,
        "createdAt": "2026-11-20T12:00:00Z",
        "updatedAt": "2026-11-20T12:00:00Z",
        "legacyResourceId": "7",
        "presentmentCurrencyCode": "SEK",
        "customAttributes": [],
        "customerJourneySummary": {"ready": True, "lastVisit": None},
        "totalPriceSet": bag("100.0"),
        "currentTotalPriceSet": bag("100.0"),
        "totalTaxSet": bag("0.0"),
        "currentTotalTaxSet": bag("0.0"),
        "subtotalPriceSet": bag("100.0"),
        "lineItems": {
            "nodes": [
                {
                    "id": "gid://shopify/LineItem/70000",
                    "quantity": 1,
                    "currentQuantity": 1,
                    "isGiftCard": False,
                    "name": "",
                    "originalUnitPriceSet": bag("0.0"),
                    "taxLines": [],
                    "discountAllocations": [],
                }
            ]
        },
    }


@pytest.mark.parametrize(
    ("query", "requested", "actual"),
    [
        ("{orders(first:50,sortKey:CREATED_AT){nodes{id}}}", 52, 5),
        ("{orders(first:50,sortKey:CREATED_AT){edges{node{id}}}}", 52, 5),
        ("{orders(first:50,sortKey:CREATED_AT){nodes{customAttributes{key}}}}", 102, 6),
        (
            "{orders(first:5,sortKey:CREATED_AT){nodes{totalPriceSet{shopMoney{amount}}}"
            "pageInfo{hasNextPage}}}",
            17,
            11,
        ),
        ("{orders(first:2,sortKey:CREATED_AT){nodes{lineItems(first:10){nodes{id}}}}}", 28, 10),
        ('{order(id:"gid://shopify/Order/1"){id}}', 1, 1),
        ('{order(id:"gid://shopify/Order/9"){id}}', 1, 0),
        ('{nodes(ids:["gid://shopify/Order/1","x"]){id ...on Order{id}}}', 2, 1),
        ('{nodes(ids:["gid://shopify/Order/1","x"]){...on Order{customAttributes{key}}}}', 4, 2),
        ("{currentAppInstallation{accessScopes{handle}}}", 2, 2),
        ('mutation{webhookSubscriptionDelete(id:"x"){userErrors{message}}}', 10, 10),
    ],
)
def test_queries_cost_what_they_ask_for_and_then_what_they_got(
    store: Store, query: str, requested: int, actual: int
) -> None:
    store.put(clicked(1), order(2), order(3))

    cost = ask(store, query)["extensions"]["cost"]

    assert (cost["requestedQueryCost"], cost["actualQueryCost"]) == (requested, actual)


def test_what_a_query_got_is_taken_out_of_the_bucket_and_comes_back() -> None:
    store = Store(bucket_size=300.0, restore_rate=10.0)
    store.put(*(order(number) for number in range(1, 251)))

    def level() -> Any:
        return ask(store, PAGED.replace("edges{cursor node{name}}", ""), first=250)["extensions"][
            "cost"
        ]["throttleStatus"]

    first = level()
    refused = ask(store, PAGED.replace("edges{cursor node{name}}", ""), first=250)
    assert first == {"maximumAvailable": 300.0, "currentlyAvailable": 48, "restoreRate": 10.0}
    assert refused["errors"][0]["extensions"]["code"] == "THROTTLED"
    assert "data" not in refused
    assert refused["extensions"]["cost"]["actualQueryCost"] is None
    assert store.system.throttled == 1
    store.now += timedelta(seconds=20.5)
    assert level()["currentlyAvailable"] == 1
    store.now += timedelta(hours=1)
    assert level()["currentlyAvailable"] == 48
    assert (store.system.calls, store.system.throttled, store.system.spent) == (4, 1, 756)


def test_one_query_costs_at_most_1000_points(store: Store) -> None:
    query = ORDERS + "{nodes{totalPriceSet{shopMoney{amount}presentmentMoney{amount}}}}}"

    [error] = errors(store, query, first=250)

    assert error["extensions"] == {"code": "MAX_COST_EXCEEDED", "cost": 1002, "maxCost": 1000}
    assert data(store, query, first=249)


@pytest.mark.parametrize(
    "query",
    [
        PAGED,
        'query($first:Int,$after:String){order(id:"gid://shopify/Order/1"){lineItems(first:$first,'
        "after:$after){nodes{id}}}}",
        'query($first:Int,$after:String){nodes(ids:["gid://shopify/Order/1"]){...on Order{'
        "lineItems(first:$first,after:$after){nodes{id}}}}}",
    ],
)
def test_orders_need_the_right_to_read_them(query: str) -> None:
    store = without(Store(), ["read_orders"])
    store.put(order(1))

    [error] = errors(store, query, first=1)

    assert error["extensions"]["code"] == "ACCESS_DENIED"
    assert "read_orders" in error["message"]


def call(method: str = "POST", path: str = PATH, body: bytes = b"{}", token: str = TOKEN) -> Call:
    return Call(method=method, path=path, headers={"x-shopify-access-token": token}, body=body)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (call("GET"), 404),
        (call(path="/admin/api/2026-07/orders.json"), 404),
        (call(path="/admin/api/2026-08/graphql.json"), 404),
        (call(path="/"), 404),
        (call(token="another"), 401),
        (call(token=""), 401),
        (call(body=b"{"), 400),
        (call(body=b"[]"), 400),
        (call(body=b"{}"), 400),
        (call(path="/admin/oauth/access_token"), 400),
        (call("GET", "/admin/oauth/access_token"), 404),
    ],
)
def test_what_is_no_query_of_the_app_is_refused(store: Store, request_: Call, status: int) -> None:
    assert store.system.answer(request_).status == status


def test_an_outage_answers_everything_and_does_nothing(store: Store) -> None:
    store.system.outage = 502

    assert store.system.answer(call()).status == 502
    assert store.system.answer(call(path="/admin/oauth/access_token")).status == 502
    assert store.system.calls == 2


def token(store: Store, **changes: str) -> Answer:
    form = {
        "grant_type": "client_credentials",
        "client_id": "client",
        "client_secret": CLIENT_SECRET,
        **changes,
    }
    body = "&".join(f"{name}={value}" for name, value in form.items()).encode()
    return store.system.answer(
        Call(method="POST", path="/admin/oauth/access_token", headers={}, body=body)
    )


def test_a_token_is_valid_for_a_day() -> None:
    store = Store(access_token=None)
    body = token(store).body
    assert isinstance(body, dict)
    assert (body["scope"], body["expires_in"]) == ("read_orders", 86_399)

    assert "data" in ask(store, PAGED, body["access_token"], first=1)
    store.now += timedelta(seconds=86_399)
    assert store.system.answer(call(token=body["access_token"])).status == 401


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "wrong"}, "application_cannot_be_found"),
        ({"grant_type": "password"}, "invalid_request"),
    ],
)
def test_wrong_credentials_get_no_token(store: Store, changes: dict[str, str], error: str) -> None:
    answer = token(store, **changes)

    assert (answer.status, answer.body) == (400, {"error": error})


def subscribe(store: Store, *topics: str, **changes: Any) -> None:
    for number, topic in enumerate(topics):
        store.system.subscriptions[str(number)] = Subscription(str(number), topic, HOOK, **changes)


def test_a_change_is_delivered_to_the_webhooks_of_its_topics_signed(store: Store) -> None:
    subscribe(store, "ORDERS_CREATE", "ORDERS_UPDATED", "ORDERS_CANCELLED")

    store.system.put(clicked(1), "orders/create", "orders/updated")

    assert [each.topic for each in store.sent] == ["orders/create", "orders/updated"]
    for each in store.sent:
        shopify.PLATFORM.verify(each.headers, each.body, [CLIENT_SECRET], datetime.now(UTC))
        assert shopify.PLATFORM.topic(each.headers, {}) == each.topic
        assert shopify.PLATFORM.host(each.headers) == "demo.myshopify.com"
        assert (each.address, each.order_id) == (HOOK, "1")
        assert json.loads(each.body) == clicked(1)
    assert len({each.headers["x-shopify-webhook-id"] for each in store.sent}) == 2


def test_bodies_are_cut_to_the_fields_that_are_included(store: Store) -> None:
    fields = ("id", "line_items.quantity", "line_items.price", "total_price_set.shop_money", "nil")
    subscribe(store, "ORDERS_CREATE", includeFields=fields)
    bag = {"shop_money": {"amount": "1"}, "presentment_money": {"amount": "2"}}
    lines = [{"quantity": 1, "price": "5.00", "sku": "x"}, {"quantity": 2}]

    store.system.put(order(1, line_items=lines, total_price_set=bag), "orders/create")

    assert json.loads(store.sent[0].body) == {
        "id": 1,
        "line_items": [{"quantity": 1, "price": "5.00"}, {"quantity": 2}],
        "total_price_set": {"shop_money": {"amount": "1"}},
    }


def test_what_fails_is_delivered_again_unchanged_within_four_hours(store: Store) -> None:
    subscribe(store, "ORDERS_CREATE")
    store.status = None
    store.system.put(order(1), "orders/create")
    waited = 0.0
    while store.due:
        [(seconds, again)] = store.due
        store.due.clear()
        waited += seconds
        if len(store.sent) == 5:
            store.system.subscriptions["0"].failures = 0  # something else arrived
            store.system.put(order(1, total_price="7.00"))
        again()

    assert len(store.sent) == 9
    assert len({each.body for each in store.sent}) == 1
    assert 3.9 * 3600 < waited <= 4 * 3600
    assert store.system.subscriptions


def test_eight_failures_in_a_row_delete_the_webhook(store: Store) -> None:
    subscribe(store, "ORDERS_CREATE", "ORDERS_UPDATED")
    store.status = 500
    for number in range(1, 8):
        store.system.put(order(number), "orders/create")
    assert set(store.system.subscriptions) == {"0", "1"}
    store.system.put(order(8), "orders/create")

    assert set(store.system.subscriptions) == {"1"}
    for _, again in store.due:
        again()
    assert len(store.sent) == 8


def test_a_success_ends_a_row_of_failures(store: Store) -> None:
    subscribe(store, "ORDERS_CREATE")
    for status in [500] * 7 + [204] + [301] * 7:
        store.status = status
        store.system.put(order(1), "orders/create")

    assert store.system.subscriptions["0"].failures == 7


def test_a_webhook_that_is_removed_during_a_delivery_stays_removed(store: Store) -> None:
    subscribe(store, "ORDERS_CREATE")
    store.status = 500
    store.also = store.system.subscriptions.clear

    store.system.put(order(1), "orders/create")

    assert len(store.sent) == 1
    assert store.due == []


def test_a_deaf_shop_delivers_nothing_and_counts_no_failure(store: Store) -> None:
    subscribe(store, "ORDERS_CREATE")
    store.system.deaf = True

    store.system.put(order(1), "orders/create")

    assert store.sent == []
    assert store.due == []
    assert store.system.subscriptions["0"].failures == 0
    assert "1" in store.system.orders


CREATE = (
    "mutation($w:WebhookSubscriptionInput!){webhookSubscriptionCreate(topic:ORDERS_PAID,"
    "webhookSubscription:$w){webhookSubscription{id topic uri format includeFields}"
    "userErrors{field message}}}"
)


def test_a_webhook_that_is_made_sends_everything_as_json_unless_told_otherwise(
    store: Store,
) -> None:
    made = data(store, CREATE, w={"uri": HOOK})["webhookSubscriptionCreate"]

    assert made["userErrors"] == []
    assert made["webhookSubscription"] == {
        "id": "gid://shopify/WebhookSubscription/1000000001",
        "topic": "ORDERS_PAID",
        "uri": HOOK,
        "format": "JSON",
        "includeFields": [],
    }


def test_one_address_has_one_webhook_of_a_topic(store: Store) -> None:
    data(store, CREATE, w={"uri": HOOK})

    again = data(store, CREATE, w={"uri": HOOK})["webhookSubscriptionCreate"]

    assert again["webhookSubscription"] is None
    assert "already been taken" in again["userErrors"][0]["message"]


@pytest.mark.parametrize("wanted", [{}, {"uri": ""}, {"uri": "http://relay.example"}])
def test_a_webhook_needs_an_encrypted_address(store: Store, wanted: dict[str, Any]) -> None:
    refused = data(store, CREATE, w=wanted)["webhookSubscriptionCreate"]

    assert refused["userErrors"][0]["message"] == "Address is invalid"
    assert store.system.subscriptions == {}
