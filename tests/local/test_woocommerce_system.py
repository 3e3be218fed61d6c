"""The simulated WooCommerce: its rules, one by one, as the plug-in has them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest

from prisjakt_relay.local.deliveries import Delivery as Sample
from prisjakt_relay.local.deliveries import load_all
from prisjakt_relay.local.exchange import Answer, Call
from prisjakt_relay.local.shop_system import Delivery, ShopSystem
from prisjakt_relay.local.woocommerce_system import WooCommerceSystem
from prisjakt_relay.platforms import woocommerce
from prisjakt_relay.platforms.interface import Document

ADDRESS = "https://shop.example"
LOOPBACK = "http://localhost:8080/shop"
KEY, SECRET = "ck_1", "cs_1"
RELAY = "https://relay.example/webhooks/woocommerce/shop"
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ORDERS = "/wp-json/wc/v3/orders"
WEBHOOKS = "/wp-json/wc/v3/webhooks"
BASIC = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()


class Shop:
    """A simulated WooCommerce, what it sent, and a clock that stands still."""

    def __init__(self, address: str = ADDRESS, **settings: Any) -> None:
        self.now = START
        self.sent: list[Delivery] = []
        self.status: int | None = 200
        self.jobs: list[tuple[float, Callable[[], None]]] = []
        ids = count(1)
        self.system = WooCommerceSystem(
            address,
            clock=lambda: self.now,
            new_id=lambda: f"id{next(ids)}",
            send=self.send,
            later=lambda seconds, job: self.jobs.append((seconds, job)),
            consumer_key=KEY,
            consumer_secret=SECRET,
            **settings,
        )

    def send(self, delivery: Delivery) -> int | None:
        self.sent.append(delivery)
        return self.status

    def call(
        self, method: str, path: str, body: object = None, /, **query: str
    ) -> tuple[int, Any, Answer]:
        answer = self.system.answer(
            Call(
                method=method,
                path=path,
                query=query,
                headers={"authorization": BASIC, "content-type": "application/json"},
                body=b"" if body is None else json.dumps(body).encode(),
            )
        )
        try:
            return answer.status, json.loads(answer.content), answer
        except ValueError:
            return answer.status, None, answer

    def get(self, **query: str) -> Any:
        status, body, _ = self.call("GET", ORDERS, **query)
        assert status == 200, body
        return body

    def register(self, topic: str = "order.updated", **more: object) -> int:
        wanted = {"topic": topic, "delivery_url": RELAY, "secret": "whsec"}
        status, body, _ = self.call("POST", WEBHOOKS, wanted | more)
        assert status == 201, body
        return int(body["id"])


def order(number: int, moment: datetime = START, **more: Any) -> Document:
    wire = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return {
        "id": number,
        "status": "processing",
        "date_created_gmt": wire,
        "date_modified_gmt": wire,
        **more,
    }


def code(answered: tuple[int, Any, Answer]) -> tuple[int, str]:
    status, body, _ = answered
    assert body["data"]["status"] == status
    return status, body["code"]


def test_it_is_a_shop_system() -> None:
    system: ShopSystem = Shop().system

    assert system.orders == {}


# Orders


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"per_page": "101"}, "per_page"),
        ({"per_page": "0"}, "per_page"),
        ({"per_page": "many"}, "per_page"),
        ({"page": "0"}, "page"),
        ({"order": "up"}, "order"),
        ({"orderby": "updated"}, "orderby"),
        ({"status": "any,strange"}, "status"),
        ({"dates_are_gmt": "perhaps"}, "dates_are_gmt"),
        ({"modified_after": "2026-11-20"}, "modified_after"),
        ({"modified_before": "2026-13-40T12:00:00"}, "modified_before"),
        ({"before": "2026-11-20T12:00"}, "before"),
    ],
)
def test_a_parameter_that_is_not_as_declared_is_refused_and_named(
    query: dict[str, str], wrong: str
) -> None:
    answered = Shop().call("GET", ORDERS, **query)

    assert code(answered) == (400, "rest_invalid_param")
    assert list(answered[1]["data"]["params"]) == [wrong]


def test_an_old_version_cannot_sort_by_modification() -> None:
    refused = Shop(knows_modified=False).call("GET", ORDERS, orderby="modified")

    assert code(refused) == (400, "rest_invalid_param")
    assert list(refused[1]["data"]["params"]) == ["orderby"]
    assert Shop().call("GET", ORDERS, orderby="modified")[0] == 200


def test_pages_are_of_ten_unless_something_else_is_asked_for_and_are_counted() -> None:
    shop = Shop()
    for number in range(1, 26):
        shop.system.put(order(number))

    _, rows, answer = shop.call("GET", ORDERS, orderby="id", order="asc", page="3")
    assert [row["id"] for row in rows] == [21, 22, 23, 24, 25]
    assert (answer.headers["X-WP-Total"], answer.headers["X-WP-TotalPages"]) == ("25", "3")
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert len(shop.get()) == 10
    assert shop.get(page="4") == []
    assert [row["id"] for row in shop.get(orderby="id", per_page="2")] == [25, 24]


def test_bounds_are_exclusive() -> None:
    shop = Shop()
    for number in range(5):
        shop.system.put(order(number + 1, START + timedelta(seconds=number)))

    found = shop.get(
        dates_are_gmt="true",
        modified_after="2026-11-20T12:00:01",
        modified_before="2026-11-20T12:00:04",
        orderby="modified",
        order="asc",
    )

    assert [row["id"] for row in found] == [3, 4]


def test_a_bound_in_utc_that_says_so_is_compared_as_the_shop_s_own_time() -> None:
    """WordPress' trap: 12:00Z becomes 13:00 in Stockholm, and is compared with UTC."""
    shop = Shop()
    shop.system.put(order(1, START + timedelta(minutes=30)))

    assert shop.get(dates_are_gmt="true", modified_after="2026-11-20T12:00:00") != []
    assert shop.get(dates_are_gmt="true", modified_after="2026-11-20T12:00:00Z") == []


def test_without_dates_are_gmt_bounds_are_of_the_shop_s_own_clocks() -> None:
    shop = Shop()
    shop.system.put(order(1, START, date_created="2026-11-20T13:00:00"))

    assert shop.get(after="2026-11-20T12:59:59") != []
    assert shop.get(after="2026-11-20T13:00:00") == []
    assert shop.get(after="2026-11-20T11:59:59Z") != []


def test_a_time_that_the_shop_s_clocks_skip_is_an_hour_later() -> None:
    shop = Shop()
    shop.system.put(order(1, datetime(2027, 3, 28, 3, 0, tzinfo=UTC)))

    assert shop.get(dates_are_gmt="1", modified_after="2027-03-28T01:59:59") != []
    assert shop.get(dates_are_gmt="1", modified_after="2027-03-28T02:10:00") == []


def test_orders_of_the_same_second_are_sorted_by_id() -> None:
    shop = Shop()
    for number in (10, 9, 100):
        shop.system.put(order(number))

    for orderby in ("modified", "date", "id"):
        found = shop.get(orderby=orderby, order="asc")
        assert [row["id"] for row in found] == [9, 10, 100]


def test_any_status_is_none_of_the_trash() -> None:
    shop = Shop()
    for number, status in enumerate(["processing", "packad", "trash", "checkout-draft"], 1):
        shop.system.put(order(number, status=status))

    assert [row["id"] for row in shop.get(orderby="id", order="asc")] == [1, 2, 4]
    assert [row["id"] for row in shop.get(status="trash")] == [3]
    assert [row["id"] for row in shop.get(status="processing,trash", orderby="id")] == [3, 1]


def test_only_the_fields_that_are_asked_for_are_told() -> None:
    shop = Shop()
    shop.system.put(order(1, billing={"email": "somebody@example.com"}))

    assert shop.get(_fields="id, status,nothing") == [{"id": 1, "status": "processing"}]


def test_an_answer_is_compact_ascii_with_escaped_slashes() -> None:
    shop = Shop()
    shop.system.put(order(1, payment_url="https://shop.example/å"))

    _, _, answer = shop.call("GET", ORDERS, _fields="payment_url")

    assert answer.content == rb'[{"payment_url":"https:\/\/shop.example\/\u00e5"}]'


# Who asks


def test_nobody_may_not_look_and_is_not_told_that_the_key_is_unknown() -> None:
    system = Shop().system
    wrong = "Basic " + base64.b64encode(b"ck_other:cs_1").decode()

    for headers in ({}, {"authorization": wrong}, {"authorization": "Basic ?"}):
        answer = system.answer(Call(method="GET", path=ORDERS, headers=headers))
        assert (answer.status, json.loads(answer.content)["code"]) == (
            401,
            "woocommerce_rest_cannot_view",
        )


def test_a_wrong_secret_is_told() -> None:
    wrong = "Basic " + base64.b64encode(b"ck_1:cs_other").decode()

    answer = Shop().system.answer(Call(method="GET", path=ORDERS, headers={"authorization": wrong}))

    document = json.loads(answer.content)
    assert document["code"] == "woocommerce_rest_authentication_error"
    assert document["message"] == "Consumer secret is invalid."


@pytest.mark.parametrize(
    ("address", "settings", "status"),
    [
        (ADDRESS, {}, 200),
        (ADDRESS, {"drops_authorization": True}, 401),
        (ADDRESS, {"behind_proxy": True}, 401),
        (LOOPBACK, {}, 401),
    ],
)
def test_a_key_in_the_header_counts_over_https_if_it_arrives(
    address: str, settings: dict[str, bool], status: int
) -> None:
    assert Shop(address, **settings).call("GET", ORDERS)[0] == status


@pytest.mark.parametrize(("address", "status"), [(ADDRESS, 200), (LOOPBACK, 401)])
def test_a_key_in_the_query_counts_over_https(address: str, status: int) -> None:
    shop = Shop(address, drops_authorization=True)

    answered = shop.call("GET", ORDERS, consumer_key=KEY, consumer_secret=SECRET)

    assert answered[0] == status


@pytest.mark.parametrize(
    ("permissions", "reads", "writes"),
    [("read", 200, 401), ("write", 401, 200), ("read_write", 200, 200)],
)
def test_a_key_may_do_what_it_is_for(permissions: str, reads: int, writes: int) -> None:
    shop = Shop(permissions=permissions)

    answers = [shop.call("GET", ORDERS), shop.call("POST", f"{WEBHOOKS}/batch", {})]

    assert [answered[0] for answered in answers] == [reads, writes]
    refused = [code(each)[1] for each in answers if each[0] == 401]
    assert set(refused) <= {"woocommerce_rest_authentication_error"}


def test_a_user_who_may_not_manage_the_shop_is_forbidden_everything() -> None:
    shop = Shop()
    number = shop.register()
    shop.system.manages = False

    one = f"{WEBHOOKS}/{number}"
    wanted = {"topic": "order.updated", "delivery_url": RELAY}
    answers = {
        "view": shop.call("GET", ORDERS),
        "create": shop.call("POST", WEBHOOKS, wanted),
        "edit": shop.call("PUT", one, {"status": "paused"}),
        "delete": shop.call("DELETE", one, force="true"),
        "batch": shop.call("POST", f"{WEBHOOKS}/batch", {}),
    }

    for what, answered in answers.items():
        assert code(answered) == (403, f"woocommerce_rest_cannot_{what}")
    assert code(shop.call("GET", WEBHOOKS)) == (403, "woocommerce_rest_cannot_view")
    assert code(shop.call("GET", one)) == (403, "woocommerce_rest_cannot_view")


def signed(shop: Shop, path: str = ORDERS, /, **changes: str | None) -> tuple[int, str]:
    """A request with the signature that the documentation tells how to make."""
    parameters: dict[str, str | None] = {
        "oauth_consumer_key": KEY,
        "oauth_timestamp": str(int(shop.now.timestamp())),
        "oauth_nonce": "once",
        "oauth_signature_method": "HMAC-SHA256",
        "status": "any",
        **changes,
    }
    query = {name: value for name, value in parameters.items() if value is not None}
    text = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items()))
    place = quote(f"{LOOPBACK}{path}", safe="")
    algorithm = hashlib.sha1 if query.get("oauth_signature_method") == "HMAC-SHA1" else "sha256"
    made = hmac.new(
        f"{SECRET}&".encode(), f"GET&{place}&{quote(text, safe='')}".encode(), algorithm
    )
    query.setdefault("oauth_signature", base64.b64encode(made.digest()).decode())
    answer = shop.system.answer(Call(method="GET", path=path, query=query))
    document = json.loads(answer.content)
    return answer.status, document["message"] if isinstance(document, dict) else ""


@pytest.mark.parametrize("method", ["HMAC-SHA1", "HMAC-SHA256"])
def test_a_signed_request_counts_over_http(method: str) -> None:
    assert signed(Shop(LOOPBACK), oauth_signature_method=method)[0] == 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"oauth_nonce": None}, "Missing OAuth parameter oauth_nonce"),
        ({"oauth_timestamp": ""}, "Missing OAuth parameter oauth_timestamp"),
        ({"oauth_consumer_key": "ck_2"}, "Consumer key is invalid."),
        ({"oauth_signature": "bm8="}, "Invalid signature - provided signature does not match."),
        (
            {"oauth_signature_method": "PLAINTEXT"},
            "Invalid signature - signature method is invalid.",
        ),
        ({"oauth_timestamp": "1"}, "Invalid timestamp."),
        ({"oauth_timestamp": "now"}, "Invalid timestamp."),
    ],
)
def test_a_signature_that_is_not_right_is_refused(
    changes: dict[str, str | None], message: str
) -> None:
    assert signed(Shop(LOOPBACK), **changes) == (401, message)


@pytest.mark.parametrize(("seconds", "status"), [(-901, 401), (-900, 200), (900, 200), (901, 401)])
def test_a_signature_is_good_for_a_quarter_of_an_hour(seconds: int, status: int) -> None:
    shop = Shop(LOOPBACK)
    moment = int(shop.now.timestamp()) + seconds

    assert signed(shop, oauth_timestamp=str(moment))[0] == status


def test_a_nonce_is_good_once_in_a_quarter_of_an_hour() -> None:
    shop = Shop(LOOPBACK)

    assert signed(shop)[0] == 200
    shop.now += timedelta(seconds=1)
    assert signed(shop) == (401, "Invalid nonce - nonce has already been used.")
    assert signed(shop, oauth_nonce="twice")[0] == 200
    shop.now += timedelta(minutes=16)
    assert signed(shop, oauth_nonce="thrice")[0] == 200
    assert signed(shop, oauth_nonce="once")[0] == 200


def test_a_page_without_a_name_is_signed_without_a_slash() -> None:
    shop = Shop(LOOPBACK, plain_permalinks=True)

    answered = signed(shop, "", rest_route="/wc/v3/orders", via="wp-json/wc/")

    assert answered[0] == 200


# Where it is asked


def test_without_permalinks_only_the_route_in_the_query_leads_to_the_api() -> None:
    shop = Shop(plain_permalinks=True)

    assert shop.call("GET", ORDERS)[:2] == (404, None)
    assert shop.call("GET", "/")[:2] == (404, None)
    for path in ("/", "/index.php"):
        told = shop.call("GET", path, rest_route="/wc/v3/orders", via="wp-json/wc/")
        assert told[0] == 200


def test_without_permalinks_a_key_counts_where_the_address_has_what_woocommerce_looks_for() -> None:
    refused = Shop(plain_permalinks=True).call("GET", "/", rest_route="/wc/v3/orders")

    assert code(refused) == (401, "woocommerce_rest_cannot_view")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/wp-json/wc/v3/nothing"),
        ("GET", "/wp-json/wc/v9/orders"),
        ("GET", "/wp-json/wp/v2/posts"),
        ("DELETE", ORDERS),
        ("GET", f"{WEBHOOKS}/x"),
    ],
)
def test_what_there_is_not_has_no_route(method: str, path: str) -> None:
    assert code(Shop().call(method, path)) == (404, "rest_no_route")


def test_a_page_that_there_is_not_is_no_json() -> None:
    status, body, answer = Shop().call("GET", "/shop/lamp")

    assert (status, body) == (404, None)
    assert answer.content.startswith(b"<!DOCTYPE html>")


def test_an_outage_answers_everything_and_does_nothing() -> None:
    shop = Shop()
    shop.system.outage = 503

    wanted = {"topic": "order.updated", "delivery_url": RELAY}
    assert shop.call("POST", WEBHOOKS, wanted)[0] == 503
    assert shop.system.webhooks == {}
    assert shop.system.calls == 1


def test_more_requests_than_the_host_lets_through_wait_for_the_next_minute() -> None:
    shop = Shop(throttle=2)

    assert [shop.call("GET", ORDERS)[0] for _ in range(2)] == [200, 200]
    shop.now += timedelta(seconds=20, milliseconds=500)
    status, _, answer = shop.call("GET", ORDERS)
    assert (status, answer.headers["Retry-After"]) == (429, "40")
    assert (shop.system.throttled, shop.system.calls) == (1, 3)
    shop.now += timedelta(seconds=40)
    assert shop.call("GET", ORDERS)[0] == 200


# Webhooks


def test_a_webhook_is_told_without_its_secret() -> None:
    shop = Shop()

    status, made, answer = shop.call(
        "POST",
        WEBHOOKS,
        {"name": "n", "topic": "order.updated", "delivery_url": RELAY, "secret": "whsec"},
    )

    assert status == 201
    assert answer.headers["Location"] == f"{ADDRESS}{WEBHOOKS}/1"
    assert {k: made[k] for k in ("id", "name", "status", "topic", "resource", "event")} == {
        "id": 1,
        "name": "n",
        "status": "active",
        "topic": "order.updated",
        "resource": "order",
        "event": "updated",
    }
    assert made["hooks"] == ["woocommerce_update_order", "woocommerce_order_refunded"]
    assert (made["date_created"], made["date_created_gmt"]) == (
        "2026-11-20T13:00:00",
        "2026-11-20T12:00:00",
    )
    assert "whsec" not in json.dumps(made)
    assert shop.call("GET", f"{WEBHOOKS}/1")[1] == made
    assert shop.call("GET", WEBHOOKS)[1] == [made]


def test_a_webhook_is_active_whatever_status_it_is_made_with() -> None:
    shop = Shop()
    number = shop.register(status="paused")

    assert shop.system.webhooks[number].status == "active"


def test_a_webhook_without_a_name_or_a_secret_gets_some() -> None:
    shop = Shop()
    number = shop.register(name="", secret="")

    kept = shop.system.webhooks[number]
    assert kept.name == "Webhook created on Nov 20, 2026 @ 12:00 PM"
    assert kept.secret == "id1"


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"topic": "order.updated"}, "rest_missing_callback_param"),
        ({"delivery_url": RELAY}, "rest_missing_callback_param"),
        (
            {"topic": "order.paid", "delivery_url": RELAY},
            "woocommerce_rest_shop_webhook_invalid_topic",
        ),
        (
            {"topic": "order.updated", "delivery_url": "ftp://x"},
            "woocommerce_rest_shop_webhook_invalid_delivery_url",
        ),
        (
            {"topic": "order.updated", "delivery_url": RELAY, "status": "asleep"},
            "rest_invalid_param",
        ),
    ],
)
def test_a_webhook_that_cannot_work_is_not_made(body: dict[str, str], refusal: str) -> None:
    shop = Shop()

    assert code(shop.call("POST", WEBHOOKS, body)) == (400, refusal)
    assert shop.system.webhooks == {}


def test_a_body_that_is_no_json_is_refused() -> None:
    answer = Shop().system.answer(
        Call(
            method="POST",
            path=WEBHOOKS,
            headers={"authorization": BASIC, "content-type": "application/json"},
            body=b"{",
        )
    )

    assert (answer.status, json.loads(answer.content)["code"]) == (400, "rest_invalid_json")


def test_a_new_webhook_sends_an_unsigned_ping() -> None:
    shop = Shop()
    number = shop.register()

    (ping,) = shop.sent
    assert (ping.address, ping.body) == (RELAY, f"webhook_id={number}".encode())
    assert ping.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert set(ping.headers) == {"User-Agent", "Content-Type"}
    lower = {name.lower(): value for name, value in ping.headers.items()}
    assert woocommerce.is_ping(lower, ping.body)


def test_a_ping_that_is_not_answered_with_200_comes_again_after_each_delivery() -> None:
    shop = Shop()
    shop.status = 202
    shop.register()

    shop.system.put(order(1), "order.updated")
    shop.status = 200
    shop.system.put(order(1), "order.updated")
    shop.system.put(order(1), "order.updated")

    pings = [delivery.topic == "" for delivery in shop.sent]
    assert pings == [True, False, True, False, True, False]


def test_webhooks_are_listed_by_status_and_in_order() -> None:
    shop = Shop()
    for name in ("b", "c", "a"):
        shop.register(name=name)
        shop.now += timedelta(seconds=1)
    shop.call("PUT", f"{WEBHOOKS}/2", {"status": "paused"})

    def listed(**query: str) -> list[int]:
        return [row["id"] for row in shop.call("GET", WEBHOOKS, **query)[1]]

    assert listed() == [3, 2, 1]
    assert listed(orderby="id", order="asc") == [1, 2, 3]
    assert listed(orderby="title", order="asc") == [3, 1, 2]
    assert listed(status="paused") == [2]
    assert listed(per_page="2", page="2") == [1]
    assert code(shop.call("GET", WEBHOOKS, status="asleep")) == (400, "rest_invalid_param")


def test_a_webhook_can_be_changed_and_a_new_address_is_pinged() -> None:
    shop = Shop()
    number = shop.register()

    changes = {
        "topic": "order.created",
        "delivery_url": f"{RELAY}/new",
        "secret": "other",
        "name": "new",
    }
    status, changed, _ = shop.call("PUT", f"{WEBHOOKS}/{number}", changes)

    assert (status, changed["topic"], changed["name"]) == (200, "order.created", "new")
    assert [ping.address for ping in shop.sent] == [RELAY, f"{RELAY}/new"]
    assert shop.system.webhooks[number].secret == "other"


def test_empty_changes_change_nothing() -> None:
    shop = Shop()
    number = shop.register(name="n")
    before = shop.call("GET", f"{WEBHOOKS}/{number}")[1]

    assert shop.call("PUT", f"{WEBHOOKS}/{number}", {"name": "", "secret": ""})[1] == before


def test_a_webhook_that_there_is_not() -> None:
    shop = Shop()
    one = f"{WEBHOOKS}/7"

    unknown = "woocommerce_rest_shop_webhook_invalid_id"
    assert code(shop.call("GET", one)) == (400, unknown)
    assert code(shop.call("PUT", one, {"name": "x"})) == (400, unknown)
    assert code(shop.call("DELETE", one, force="true")) == (404, unknown)


def test_a_webhook_is_only_deleted_by_force() -> None:
    shop = Shop()
    number = shop.register()
    one = f"{WEBHOOKS}/{number}"

    assert code(shop.call("DELETE", one)) == (501, "woocommerce_rest_trash_not_supported")
    assert shop.call("DELETE", one, force="true")[1]["id"] == number
    assert shop.system.webhooks == {}
    assert shop.register() == number + 1


def test_a_batch_does_what_it_can() -> None:
    shop = Shop()
    first, second = shop.register(), shop.register()

    status, done, _ = shop.call(
        "POST",
        f"{WEBHOOKS}/batch",
        {
            "create": [{"topic": "order.created", "delivery_url": RELAY}, {"topic": "x"}],
            "update": [{"id": first, "status": "paused"}],
            "delete": [second, 99],
        },
    )

    assert status == 200
    assert [row.get("id") for row in done["create"]] == [3, 0]
    assert done["create"][1]["error"]["code"] == "rest_missing_callback_param"
    assert done["update"][0]["status"] == "paused"
    assert [row["id"] for row in done["delete"]] == [second, 0]
    assert sorted(shop.system.webhooks) == [first, 3]
    assert shop.call("POST", f"{WEBHOOKS}/batch", {})[:2] == (200, [])


# Deliveries


def test_a_delivery_has_the_headers_and_the_body_of_a_real_one() -> None:
    shop = Shop()
    number = shop.register()
    document = order(17, payment_url="https://shop.example/å")

    shop.system.put(document, "order.updated")

    delivery = shop.sent[-1]
    assert (delivery.address, delivery.topic, delivery.order_id) == (RELAY, "order.updated", "17")
    assert delivery.body.endswith(rb'"payment_url":"https:\/\/shop.example\/\u00e5"}')
    assert json.loads(delivery.body) == document
    headers = {name.lower(): value for name, value in delivery.headers.items()}
    woocommerce.verify(headers, delivery.body, ["whsec"], datetime.now(UTC))
    assert {
        name: value for name, value in delivery.headers.items() if name[-9:] != "Signature"
    } == {
        "User-Agent": "WooCommerce/11.0.1 Hookshot (WordPress/7.1)",
        "Content-Type": "application/json",
        "X-WC-Webhook-Source": "https://shop.example/",
        "X-WC-Webhook-Topic": "order.updated",
        "X-WC-Webhook-Resource": "order",
        "X-WC-Webhook-Event": "updated",
        "X-WC-Webhook-ID": str(number),
        "X-WC-Webhook-Delivery-ID": delivery.headers["X-WC-Webhook-Delivery-ID"],
    }
    assert len(bytes.fromhex(delivery.headers["X-WC-Webhook-Delivery-ID"])) == 16


REAL = [
    sample
    for sample in load_all()
    if sample.platform == "woocommerce" and b'"line_items"' in sample.body
]


@pytest.mark.parametrize("sample", REAL, ids=lambda sample: sample.name)
def test_an_order_that_was_read_from_a_delivery_makes_the_same_delivery(sample: Sample) -> None:
    """Byte for byte, the very digits of amounts among them."""
    shop = Shop()
    shop.register()

    shop.system.put(parsed(sample), "order.updated")

    assert shop.sent[-1].body == sample.body
    assert {name.lower() for name in shop.sent[-1].headers} == {
        name.lower() for name, _ in sample.headers
    }


def parsed(sample: Sample) -> Document:
    document: Document = json.loads(sample.body, parse_float=Decimal)
    return document


@pytest.mark.parametrize(
    ("secret", "key"), [("a&amp;b&lt;&quot;", 'a&b<"'), ("&amp;lt;", "&lt;"), ("a&copy", "a&copy")]
)
def test_the_key_is_the_secret_without_its_entities(secret: str, key: str) -> None:
    shop = Shop()
    shop.register(secret=secret)

    shop.system.put(order(1), "order.updated")

    delivery = shop.sent[-1]
    headers = {name.lower(): value for name, value in delivery.headers.items()}
    woocommerce.verify(headers, delivery.body, [key], datetime.now(UTC))


def test_deliveries_of_one_second_have_the_same_id() -> None:
    shop = Shop()
    shop.register()
    for number, seconds in ((1, 0), (2, 0), (3, 1)):
        shop.now += timedelta(seconds=seconds)
        shop.system.put(order(number), "order.updated")

    ids = [each.headers["X-WC-Webhook-Delivery-ID"] for each in shop.sent[1:]]

    assert ids[0] == ids[1] != ids[2]


def test_only_active_webhooks_of_the_topic_tell_of_an_order() -> None:
    shop = Shop()
    updated, created, paused = (
        shop.register(topic) for topic in ("order.updated", "order.created", "order.updated")
    )
    shop.call("PUT", f"{WEBHOOKS}/{paused}", {"status": "paused"})
    shop.sent.clear()

    shop.system.put(order(1), "order.created", "order.updated")
    shop.system.put(order(1), "order.updated")
    shop.system.put(order(1))

    told = [int(each.headers["X-WC-Webhook-ID"]) for each in shop.sent]
    assert told == [updated, created, updated]
    assert shop.system.orders == {"1": order(1)}


def test_of_a_deleted_order_only_the_id_is_told() -> None:
    shop = Shop()
    shop.register("order.deleted")

    shop.system.put(order(1, status="trash"), "order.deleted")

    assert shop.sent[-1].body == b'{"id":1}'


@pytest.mark.parametrize("status", [303, 304, 401, 410, 500, None])
def test_the_seventh_failure_in_a_row_disables_a_webhook(status: int | None) -> None:
    shop = Shop()
    number = shop.register()
    webhook = shop.system.webhooks[number]
    shop.status = status

    seen = []
    for _ in range(8):
        shop.system.put(order(1), "order.updated")
        seen.append((webhook.status, webhook.failures))

    assert seen == [("active", n) for n in range(1, 7)] + [("disabled", 6)] * 2
    assert len(shop.sent) == 1 + 7


@pytest.mark.parametrize("status", [200, 201, 202, 204, 301, 302])
def test_a_success_forgets_all_failures(status: int) -> None:
    shop = Shop()
    webhook = shop.system.webhooks[shop.register()]
    shop.status = 500
    for _ in range(6):
        shop.system.put(order(1), "order.updated")

    shop.status = status
    shop.system.put(order(1), "order.updated")

    assert (webhook.status, webhook.failures) == ("active", 0)


def test_making_a_webhook_active_again_forgets_no_failure() -> None:
    shop = Shop()
    number = shop.register()
    webhook = shop.system.webhooks[number]
    shop.status = 500
    for _ in range(7):
        shop.system.put(order(1), "order.updated")

    shop.call("PUT", f"{WEBHOOKS}/{number}", {"status": "active"})
    assert (webhook.status, webhook.failures) == ("active", 6)
    shop.system.put(order(1), "order.updated")
    assert webhook.status == "disabled"


def test_nothing_is_ever_sent_again() -> None:
    shop = Shop()
    shop.register()
    shop.status = 500

    shop.system.put(order(1), "order.updated")

    assert shop.jobs == []
    assert len(shop.sent) == 2


def test_a_deaf_shop_loses_deliveries_and_counts_no_failure() -> None:
    shop = Shop()
    webhook = shop.system.webhooks[shop.register()]
    shop.system.deaf = True
    for _ in range(9):
        shop.system.put(order(1), "order.updated")

    assert len(shop.sent) == 1
    assert (webhook.status, webhook.failures) == ("active", 0)
    assert "1" in shop.system.orders


def test_what_waits_for_cron_is_sent_once_and_as_it_is_by_then() -> None:
    shop = Shop(queue_seconds=60.0)
    shop.register()
    shop.sent.clear()

    shop.system.put(order(1, note="first"), "order.updated")
    shop.system.put(order(1, note="second"), "order.updated")
    assert shop.sent == []
    ((seconds, job),) = shop.jobs
    job()

    assert seconds == 60.0
    assert [json.loads(each.body)["note"] for each in shop.sent] == ["second"]
    shop.system.put(order(1), "order.updated")
    assert len(shop.jobs) == 2


def test_what_waits_for_a_webhook_that_is_deleted_meanwhile_is_not_sent() -> None:
    shop = Shop(queue_seconds=60.0)
    number = shop.register()
    shop.sent.clear()
    shop.system.put(order(1), "order.updated")

    shop.call("DELETE", f"{WEBHOOKS}/{number}", force="true")
    shop.jobs[0][1]()

    assert shop.sent == []
