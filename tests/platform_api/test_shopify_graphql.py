"""Tokens, the cost limit, and what becomes of Shopify's errors."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from tests.platform_api.shopify_store import (
    CLIENT_SECRET,
    START,
    TOKEN,
    Store,
    clicked,
    order,
)

from prisjakt_relay.errors import (
    PlatformAccessError,
    PlatformApiError,
    PlatformBusyError,
    PlatformRefusedError,
)
from prisjakt_relay.local.exchange import Answer
from prisjakt_relay.local.shopify_system import TOKEN_LIFE
from prisjakt_relay.platform_api.interface import Moment

TOKEN_PATH = "/admin/oauth/access_token"
QUERY_PATH = "/admin/api/2026-07/graphql.json"
SCOPES = {"data": {"currentAppInstallation": {"accessScopes": [{"handle": "read_orders"}]}}}


def paths(store: Store) -> list[str]:
    return [call.path for call in store.session.calls]


def test_a_token_that_is_given_is_used() -> None:
    store = Store()

    assert list(store.api().check()) == []
    assert paths(store) == [QUERY_PATH]
    assert store.session.calls[0].headers["x-shopify-access-token"] == TOKEN


def test_without_one_the_client_asks_for_a_token_once() -> None:
    store = Store()
    api = store.own_api()
    api.check()
    api.check()

    assert paths(store) == [TOKEN_PATH, QUERY_PATH, QUERY_PATH]
    assert parse_qs(store.session.calls[0].body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["client"],
        "client_secret": [CLIENT_SECRET],
    }


def test_a_token_is_renewed_shortly_before_its_end() -> None:
    store = Store()
    api = store.own_api()
    api.check()
    store.now += TOKEN_LIFE - timedelta(minutes=5, seconds=1)
    api.check()
    store.now += timedelta(seconds=1)
    api.check()

    assert paths(store).count(TOKEN_PATH) == 2


@pytest.mark.parametrize(
    ("told", "kept_for"), [(None, 3240), ("soon", 3240), (0, 3240), (100, 90), (10**12, 3240)]
)
def test_a_token_of_another_life_is_kept_for_most_of_it(told: object, kept_for: int) -> None:
    store = Store()
    store.session.answers = [
        Answer(200, body={"access_token": TOKEN, **({} if told is None else {"expires_in": told})})
    ]
    api = store.own_api()
    api.check()
    store.now += timedelta(seconds=kept_for - 1)
    api.check()
    assert paths(store).count(TOKEN_PATH) == 1
    store.now += timedelta(seconds=400)
    api.check()

    assert paths(store).count(TOKEN_PATH) == 2


def test_a_token_that_was_revoked_is_renewed_once() -> None:
    store = Store()
    api = store.own_api()
    api.check()
    store.system.revoke_tokens()

    assert list(api.check()) == []
    assert paths(store)[-3:] == [QUERY_PATH, TOKEN_PATH, QUERY_PATH]


def test_a_token_that_is_refused_twice_is_an_error() -> None:
    store = Store()
    store.session.answers = [
        Answer(200, body={"access_token": "one", "expires_in": 100}),
        Answer(401),
        Answer(200, body={"access_token": "two", "expires_in": 100}),
        Answer(401),
    ]
    with pytest.raises(PlatformAccessError, match="does not accept the access token"):
        store.own_api().check()


def test_a_token_that_was_given_is_not_renewed() -> None:
    store = Store()

    with pytest.raises(PlatformAccessError, match="does not accept the access token"):
        store.api(access_token="another").check()
    assert paths(store) == [QUERY_PATH]


@pytest.mark.parametrize(
    ("client_id", "client_secret"),
    [("client", "wrong\ud800"), ("else", CLIENT_SECRET)],
)
def test_wrong_client_credentials_are_an_error_that_does_not_tell_them(
    client_id: str, client_secret: str
) -> None:
    with pytest.raises(PlatformAccessError, match="client_id and client_secret") as raised:
        Store().api(client_id=client_id, client_secret=client_secret).check()
    assert client_secret not in str(raised.value)


@pytest.mark.parametrize("token", [None, "", "two words", "line\n", "t\u00f6ken", 5, "x" * 2000])
def test_a_token_that_cannot_be_one_is_refused(token: object) -> None:
    store = Store()
    store.session.answers = [Answer(200, body={"access_token": token, "expires_in": 100})]

    with pytest.raises(PlatformRefusedError, match="access_token is not a t"):
        store.own_api().check()


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, PlatformAccessError, "access token"),
        (402, PlatformAccessError, "frozen"),
        (403, PlatformAccessError, "read_orders"),
        (404, PlatformAccessError, "2026-07"),
        (423, PlatformAccessError, "locked"),
        (400, PlatformRefusedError, "HTTP 400"),
        (422, PlatformRefusedError, "HTTP 422"),
        (302, PlatformRefusedError, "HTTP 302"),
        (503, PlatformBusyError, "HTTP 503"),
    ],
)
def test_every_status_is_an_error_with_its_remedy(
    status: int, kind: type[PlatformApiError], words: str
) -> None:
    store = Store()
    store.system.outage = status

    with pytest.raises(kind, match=words) as raised:
        store.api().check()
    assert "; " in str(raised.value) or ": " in str(raised.value)
    assert TOKEN not in str(raised.value)


def failed(code: object = None, **row: Any) -> Answer:
    extensions = {} if code is None else {"extensions": {"code": code}}
    return Answer(200, body={"data": None, "errors": [{"message": "no", **extensions, **row}]})


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (
            failed("ACCESS_DENIED", path=["orders", "nodes", 3, "customerJourneySummary"]),
            PlatformAccessError,
            r"read orders\.nodes\.customerJourneySummary; give the app the right read_orders,",
        ),
        (
            failed("ACCESS_DENIED", message="needs `read_all_orders` or `read_products`"),
            PlatformAccessError,
            "something that it does not name; give the app the right read_all_orders or read_prod",
        ),
        (failed("SHOP_INACTIVE"), PlatformAccessError, "inactive"),
        (
            failed("undefinedField", path=["query", "orders"]),
            PlatformRefusedError,
            r"query\.orders",
        ),
        (failed("bad word"), PlatformRefusedError, r"\(no code\)"),
        (failed(), PlatformRefusedError, r"\(no code\)"),
        (failed(5, path=[1, "no name"]), PlatformRefusedError, "does not name"),
        (Answer(200, body={"errors": "text"}), PlatformRefusedError, r"\(no code\)"),
        (Answer(200, body={"errors": ["text"]}), PlatformRefusedError, r"\(no code\)"),
        (Answer(200, body={"errors": [{"extensions": []}]}), PlatformRefusedError, "no code"),
    ],
)
def test_every_error_in_an_answer_is_told_with_its_remedy(
    answer: Answer, kind: type[PlatformApiError], words: str
) -> None:
    store = Store()
    store.session.answers = [answer]

    with pytest.raises(kind, match=words):
        store.api().check()
    assert store.waits == []


@pytest.mark.parametrize("body", [None, "text", [], 5, {"data": None}, {"data": []}])
def test_an_answer_without_data_is_refused(body: object) -> None:
    store = Store()
    store.session.answers = [Answer(200, body=body)]

    with pytest.raises(PlatformRefusedError, match="not as documented"):
        store.api().check()


def test_shopifys_own_failures_are_waited_for() -> None:
    store = Store()
    store.session.answers = [failed("INTERNAL_SERVER_ERROR"), failed("TIMEOUT")]

    assert list(store.api().check()) == []
    assert store.waits == [1.0, 2.0]


def test_failures_that_do_not_end_are_left_for_later() -> None:
    store = Store()
    store.session.answers = [failed("INTERNAL_SERVER_ERROR")] * 10

    with pytest.raises(PlatformBusyError, match="try again later"):
        store.api().check()
    assert len(store.session.calls) == 6


def throttled(
    requested: object, level: object, most: object = 2000.0, rate: object = 100
) -> Answer:
    answer = failed("THROTTLED")
    status = {"maximumAvailable": most, "currentlyAvailable": level, "restoreRate": rate}
    cost = {"requestedQueryCost": requested, "throttleStatus": status}
    assert isinstance(answer.body, dict)
    return Answer(200, body={**answer.body, "extensions": {"cost": cost}})


def test_a_refusal_for_cost_is_waited_out_by_what_it_says() -> None:
    store = Store()
    store.session.answers = [throttled(752, 652), throttled(752, 702)]

    assert list(store.api().check()) == []
    assert store.waits == [pytest.approx(1.05), pytest.approx(0.55)]


@pytest.mark.parametrize(
    "answer",
    [
        failed("THROTTLED"),
        throttled(None, None, None, None),
        throttled(5, 1000),  # could pay, and yet
        throttled("5", -1),
        throttled(5, 1, most=0),
        throttled(5, 1, rate=0),
        throttled(True, 1),
    ],
)
def test_a_refusal_for_cost_that_does_not_say_when_is_waited_out_patiently(answer: Answer) -> None:
    store = Store()
    store.session.answers = [answer] * 12

    assert list(store.api().check()) == []
    assert store.waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


@pytest.mark.parametrize("cost", ["text", [], {"throttleStatus": 5}, {"requestedQueryCost": []}])
def test_a_cost_that_is_none_changes_nothing(cost: object) -> None:
    store = Store()
    store.session.answers = [Answer(200, body={**SCOPES, "extensions": {"cost": cost}})]

    api = store.api()
    assert list(api.check()) == list(api.check()) == []
    assert store.waits == []


def test_no_wait_is_longer_than_the_longest() -> None:
    store = Store()
    store.session.answers = [throttled(1000, 0, rate=1)]

    assert list(store.api().check()) == []
    assert store.waits == [300.0]


def test_who_cannot_wait_is_told_so() -> None:
    store = Store(bucket_size=600.0)
    store.put(*(order(number) for number in range(1, 600)))

    def never(seconds: float) -> None:
        raise PlatformBusyError(f"no time for {seconds} seconds")

    store.wait = never  # type: ignore[method-assign]
    with pytest.raises(PlatformBusyError, match="no time"):
        store.read()


def test_what_the_bucket_can_never_pay_for_is_asked_for_in_smaller_pages() -> None:
    store = Store(bucket_size=150.0, restore_rate=50.0)
    store.put(*(clicked(number) for number in range(1, 11)))

    assert store.read_ids() == list(range(1, 11))


@pytest.mark.parametrize(("bucket_size", "restore_rate"), [(2000.0, 100.0), (1000.0, 50.0)])
def test_the_client_keeps_to_the_limit_and_loses_no_time(
    bucket_size: float, restore_rate: float
) -> None:
    store = Store(bucket_size=bucket_size, restore_rate=restore_rate)
    lines = [{"quantity": 1, "price": "1.00"}] * 3
    store.put(
        *(
            (clicked if number % 10 == 0 else order)(
                number, START + timedelta(seconds=number), line_items=lines
            )
            for number in range(1, 2501)
        )
    )

    assert len(store.read()) == 2500
    shortest = (store.system.spent - bucket_size) / restore_rate
    assert shortest > 50
    assert shortest <= sum(store.waits) <= 1.1 * shortest
    # Nothing is known of a query that was never asked: once for each of the two.
    assert store.system.throttled <= 2


def test_a_bucket_that_others_drink_from_is_shared() -> None:
    store = Store(bucket_size=1000.0)
    store.put(*(order(number, START + timedelta(seconds=number)) for number in range(1, 1501)))
    one, other = store.api(), store.api()
    pages = [api.orders(START, store.now, by=Moment.UPDATED) for api in (one, other)]

    for first, second in zip(*pages, strict=True):
        assert first.orders == second.orders
    assert store.system.throttled <= store.system.calls / 2
