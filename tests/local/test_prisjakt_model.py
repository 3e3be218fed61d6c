"""What the simulated Prisjakt API accepts, refuses, lists, counts and spoils, without a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from requests.utils import parse_header_links

from prisjakt_relay.local.prisjakt_model import (
    LARGEST_BATCH,
    OPERATIONS,
    Answer,
    Call,
    Click,
    Fault,
    Operation,
    PrisjaktModel,
    Shop,
    to_json,
)

PIXEL = "5c034de4-8e86-4d16-9fd1-20cfec6c97e4"
OTHER_PIXEL = "52907745-7672-470e-a803-a2f8feb52944"
UUID = "239cd31f-9d43-4cb4-b8dc-2057fe18c289"
CLICK = f"{UUID}_1b05fa7f1c34d125"
UUID_V1 = "6fa459ea-ee8a-11ca-894e-db77e160355e"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAIR = {"client-id": "shop", "client-secret": "secret"}
ADMIN = {"client-id": "admin", "client-secret": "secret"}
PUBLISHER = {"client-id": "publisher", "client-secret": "secret"}
SHOP = 123456
SPRING = {"from": "2026-02-15T00:00:00Z", "to": "2026-04-15T00:00:00Z"}
JSON_TYPE = {"content-type": "application/json"}
BY_NAME = {operation.name: operation for operation in OPERATIONS}
OF_THE_API = [operation for operation in OPERATIONS if operation.name != "token"]
FOR_CLIENTS = [operation for operation in OPERATIONS if operation.role is not None]
FOR_A_ROLE = [operation for operation in OPERATIONS if operation.role]
WITH_AN_ID = [operation for operation in OPERATIONS if "{" in operation.path]
ABSENT = object()


class Clock:
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def build(clock: Clock) -> Callable[..., PrisjaktModel]:
    numbers = count(1)

    def build(**settings: Any) -> PrisjaktModel:
        return PrisjaktModel(clock=clock, new_id=lambda: f"id-{next(numbers)}", **settings)

    return build


@pytest.fixture
def model(build: Callable[..., PrisjaktModel]) -> PrisjaktModel:
    return build()


def event(**changes: object) -> dict[str, Any]:
    """A purchase that is taken, with some members changed, `data__x` reaching into its data."""
    body: dict[str, Any] = {
        "event_name": "purchase",
        "event_time": "2026-03-01T11:30:00Z",
        "external_event_id": "order-1",
        "data": {"amount": Decimal("122.95"), "currency": "EUR", "number_of_items": 4},
        "signed_click_id": CLICK,
    }
    for name, value in changes.items():
        *outer, member = name.split("__")
        members = body[outer[0]] if outer else body
        if value is ABSENT:
            del members[member]
        else:
            members[member] = value
    return body


def post(
    model: PrisjaktModel,
    body: object,
    *,
    pixel: str = PIXEL,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    return model.answer(
        Call(
            method="POST",
            path=f"/click-conversion/pixels/{pixel}/events",
            headers={"content-type": "application/json", **(headers or {})},
            body=body if isinstance(body, bytes) else to_json(body).encode(),
        )
    )


def get(
    model: PrisjaktModel,
    query: Mapping[str, str] | None = None,
    *,
    pixel: str = PIXEL,
    headers: Mapping[str, str] = PAIR,
) -> Answer:
    return model.answer(
        Call(
            method="GET",
            path=f"/click-conversion/pixels/{pixel}/events",
            query={**SPRING, **(query or {})},
            headers=headers,
        )
    )


def by_name(operation: Operation) -> str:
    return operation.name


def ask(
    model: PrisjaktModel,
    name: str,
    body: object = None,
    *,
    query: Mapping[str, str] = SPRING,
    headers: Mapping[str, str] = PAIR,
    **ids: Any,
) -> Answer:
    """Call an operation by its name; the ids in its path are those of things that are there."""
    operation = BY_NAME[name]
    known = {
        "pixel_id": PIXEL,
        "event_id": "id-1",
        "click_id": UUID,
        "client_id": "shop",
        "shop_id": SHOP,
    }
    return model.answer(
        Call(
            method=operation.method,
            path=operation.path.format(**(known | ids)),
            query=query,
            headers={**JSON_TYPE, **headers},
            body=body if isinstance(body, bytes) else to_json(body).encode(),
        )
    )


def ask_well(
    model: PrisjaktModel,
    operation: Operation,
    headers: Mapping[str, str] | None = None,
    **ids: Any,
) -> Answer:
    """Call an operation with what it wants, by default as a client that may."""
    form = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": "secret"}
    bodies: dict[str, object] = {
        "create-event": event(),
        "create-events": [event()],
        "token": urlencode(form).encode(),
        "update-pixel": {"enabled": True},
        "create-shop-client": {"roles": ["shop_user"]},
    }
    if headers is None:
        headers = ADMIN if operation.role == "admin" else PAIR
    return ask(model, operation.name, bodies.get(operation.name), headers=headers, **ids)


@pytest.fixture
def strict(build: Callable[..., PrisjaktModel]) -> PrisjaktModel:
    """Nothing springs up here: one pixel with one event, a shop without pixel, three clients."""
    model = build(
        any_pixel=False,
        pixels=[PIXEL],
        shops={SHOP: Shop()},
        clients={"shop": "secret", "admin": "secret", "publisher": "secret"},
        roles={"admin": {"admin"}, "publisher": {"event_publisher"}},
    )
    assert post(model, event(external_event_id="seed")).status == 201
    return model


def follow(model: PrisjaktModel, link: str) -> Answer:
    address = urlsplit(link)
    query = dict(parse_qsl(address.query))
    return model.answer(Call(method="GET", path=address.path, query=query, headers=PAIR))


def token(model: PrisjaktModel, **changes: str) -> Answer:
    form = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": "secret"}
    return model.answer(
        Call(
            method="POST",
            path="/oauth2/token",
            headers={"content-type": "application/x-www-form-urlencoded"},
            body=urlencode(form | changes).encode(),
        )
    )


def elements(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200
    found: list[dict[str, Any]] = json.loads(answer.content, parse_float=Decimal)
    return found


def ids(answer: Answer) -> list[str]:
    return [element["external_event_id"] for element in elements(answer)]


def problem(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.content, parse_float=Decimal)
    return found


def links(answer: Answer) -> dict[str, str]:
    return {link["rel"]: link["url"] for link in parse_header_links(answer.headers["link"])}


def test_a_purchase_is_stored_and_answered_201_without_a_body(model: PrisjaktModel) -> None:
    """Nothing is documented to come back, so nothing does."""
    answer = post(model, event())

    assert (answer.status, answer.content, answer.hang, answer.cut) == (201, b"", 0, False)
    assert "Content-Type" not in answer.headers
    assert elements(get(model)) == [
        {
            "id": "id-1",
            "click_id": UUID,
            "external_event_id": "order-1",
            "event_name": "purchase",
            "event_time": "2026-03-01T11:30:00Z",
            "data": {"number_of_items": 4, "currency": "EUR", "amount": Decimal("122.95")},
        }
    ]


def test_a_purchase_needs_neither_reference_nor_time_nor_items(model: PrisjaktModel) -> None:
    """What was not given stays away from the list; the time is that of receipt."""
    body = event(external_event_id=ABSENT, event_time=ABSENT, data__number_of_items=ABSENT)

    assert [post(model, body).status for _ in range(2)] == [201, 201]
    assert elements(get(model))[0] == {
        "id": "id-2",
        "click_id": UUID,
        "event_name": "purchase",
        "event_time": "2026-03-01T12:00:00Z",
        "data": {"currency": "EUR", "amount": Decimal("122.95")},
    }


@pytest.mark.parametrize(
    "amount", ["122.90", "0.1", "0", "999999999", "1234", "33.333333333333333"]
)
def test_an_amount_keeps_its_digits(model: PrisjaktModel, amount: str) -> None:
    """No binary fraction ever touches an amount."""
    post(model, event(data__amount=Decimal(amount)))

    assert f'"amount":{amount}}}'.encode() in get(model).content
    assert next(iter(model.events.values())).amount == Decimal(amount)


@pytest.mark.parametrize(
    "changes",
    [
        {"event_time": "2026-03-01T11:30:00.987Z"},
        {"event_time": "2024-02-29T23:59:59Z"},
        {"external_event_id": "x"},
        {"external_event_id": "å" * 99 + "\n"},
        {"data__amount": 0},
        {"data__amount": Decimal("999999999.0")},
        {"data__number_of_items": 0},
        {"data__number_of_items": 999_999_999},
        {"data__number_of_items": Decimal("4.0")},
        {"signed_click_id": CLICK.upper()},
        {"event_name": "test-purchase"},
        {"event_name": "test-purchase", "signed_click_id": UUID},
        {"event_name": "test-purchase", "signed_click_id": UUID_V1},
        {"something": "else"},
        *({"data__currency": currency} for currency in ["DKK", "EUR", "GBP", "NOK", "NZD", "SEK"]),
    ],
)
def test_whatever_the_field_rules_allow_is_taken(
    model: PrisjaktModel, changes: dict[str, object]
) -> None:
    """The edges of every rule are inside."""
    assert post(model, event(**changes)).status == 201


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("event_name", value) for value in [ABSENT, None, "refund", "Purchase", 1, ["purchase"]]),
        *(
            ("event_time", value)
            for value in [
                None,
                1_772_364_600,
                "2026-03-01",
                "2026-03-01T11:30Z",
                "2026-03-01 11:30:00Z",
                "2026-03-01T11:30:00",
                "2026-03-01T11:30:00+00:00",
                "2026-02-30T11:30:00Z",
                "2026-03-01T25:30:00Z",
            ]
        ),
        *(("external_event_id", value) for value in [None, 17, "", "x" * 101]),
        *(("data", value) for value in [ABSENT, None, [], "122.95"]),
        *(
            ("data.amount", value)
            for value in [ABSENT, None, "122.95", True, -1, Decimal("-0.01"), 1_000_000_000]
        ),
        ("data.amount", Decimal("999999999.01")),
        *(("data.currency", value) for value in [ABSENT, None, "USD", "sek", "", 752]),
        *(
            ("data.number_of_items", value)
            for value in [None, "4", False, -1, Decimal("1.5"), 1_000_000_000]
        ),
        *(
            ("signed_click_id", value)
            for value in [
                ABSENT,
                None,
                UUID,
                f"{UUID}_",
                CLICK + "0",
                CLICK[:-1],
                CLICK + "\n",
                f"{UUID}-1b05fa7f1c34d125",
                f"{UUID}_1b05fa7f1c34d12å",
                f"{UUID_V1}_1b05fa7f1c34d125",
            ]
        ),
    ],
)
def test_a_field_against_its_rule_is_named_with_its_value(
    model: PrisjaktModel, field: str, value: object
) -> None:
    """400 in the one error format, with the field, the reason, the value; nothing is stored."""
    answer = post(model, event(**{field.replace(".", "__"): value}))

    found = problem(answer)
    assert answer.status == found["status"] == 400
    assert answer.headers["Content-Type"] == "application/json"
    assert field in found["detail"]
    assert found["field_errors"][field]["message"]
    assert found["field_errors"][field]["value"] == (None if value is ABSENT else value)
    assert found["context"]["request-id"].startswith("id-")
    assert not model.events


def test_every_wrong_field_is_named_at_once(model: PrisjaktModel) -> None:
    """A sender learns all of it from one refusal."""
    answer = post(model, event(data__currency="USD", data__amount=-1, signed_click_id="x"))

    assert set(problem(answer)["field_errors"]) == {
        "data.currency",
        "data.amount",
        "signed_click_id",
    }


@pytest.mark.parametrize("click_id", ["", "abc", f"{UUID}_short", UUID[:-1]])
def test_a_test_purchase_needs_at_least_a_uuid(model: PrisjaktModel, click_id: str) -> None:
    """Any UUID will do for it, any text will not."""
    answer = post(model, event(event_name="test-purchase", signed_click_id=click_id))

    assert set(problem(answer)["field_errors"]) == {"signed_click_id"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[" * 100_000, b'{"data": {"amount": 1e99999999999999999999}}', b"[]"],
)
def test_a_body_that_is_no_json_object_is_refused(model: PrisjaktModel, body: bytes) -> None:
    """Rubbish in, one refusal out."""
    answer = post(model, body)

    assert answer.status == 400
    assert "body" in problem(answer)["field_errors"]


def test_an_amount_that_json_does_not_know_is_refused(model: PrisjaktModel) -> None:
    """Python's parser would take NaN."""
    body = to_json(event()).replace("122.95", "NaN").encode()

    assert set(problem(post(model, body))["field_errors"]) == {"data.amount"}


def test_a_body_must_be_declared_as_json(model: PrisjaktModel) -> None:
    """With or without a charset."""
    form = post(model, event(), headers={"content-type": "application/x-www-form-urlencoded"})
    charset = post(model, event(), headers={"content-type": "Application/JSON; charset=utf-8"})

    assert set(problem(form)["field_errors"]) == {"content-type"}
    assert charset.status == 201


def test_a_pixel_nobody_made_is_not_found_when_pixels_are_given(
    build: Callable[..., PrisjaktModel],
) -> None:
    """Ids are compared without regard to case."""
    model = build(any_pixel=False, pixels=[PIXEL])

    assert post(model, event(), pixel=PIXEL.upper()).status == 201
    assert post(model, event(), pixel=OTHER_PIXEL).status == 404
    assert get(model, pixel=OTHER_PIXEL).status == 404
    assert ids(get(model)) == ["order-1"]


def test_any_pixel_is_made_on_first_use_unless_told_otherwise(model: PrisjaktModel) -> None:
    """The local system need not be told which pixels its shops have."""
    assert elements(get(model, pixel=OTHER_PIXEL)) == []
    assert model.pixels == {OTHER_PIXEL}


@pytest.mark.parametrize("pixel", ["alfa", UUID_V1, PIXEL + "0"])
def test_a_pixel_id_must_be_a_v4_uuid(model: PrisjaktModel, pixel: str) -> None:
    """A malformed id is a wrong field, not an unknown pixel."""
    answer = post(model, event(), pixel=pixel)

    assert answer.status == 400
    assert set(problem(answer)["field_errors"]) == {"pixel_id"}


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", f"/click-conversion/pixels/{PIXEL}/events"), ("GET", "/click-conversion/nothing")],
)
def test_an_operation_that_does_not_exist_is_not_found(
    model: PrisjaktModel, method: str, path: str
) -> None:
    """Deleting is not documented, so it cannot be relied on by mistake."""
    answer = model.answer(Call(method=method, path=path, headers=PAIR))

    assert answer.status == problem(answer)["status"] == 404
    assert "X-RateLimit-Limit" in answer.headers


def test_an_external_id_conflicts_for_thirty_days_after_its_receipt(
    model: PrisjaktModel, clock: Clock
) -> None:
    """The window counts from receipt, not from the event's own time, and ends to the second."""
    assert post(model, event(event_time="2020-01-01T00:00:00Z")).status == 201

    clock.advance(days=30, milliseconds=-1)
    late = post(model, event(data__amount=1))
    clock.advance(milliseconds=1)
    later = post(model, event(data__amount=2))
    again = post(model, event(data__amount=3))

    assert [late.status, later.status, again.status] == [409, 201, 409]
    assert problem(late)["status"] == 409
    assert [stored.amount for stored in model.events.values()] == [Decimal("122.95"), 2]


def test_a_refused_event_does_not_use_up_its_external_id(model: PrisjaktModel) -> None:
    """Only what is stored can conflict."""
    assert post(model, event(data__currency="USD")).status == 400
    assert post(model, event()).status == 201


def test_external_ids_are_told_apart_per_pixel_and_shared_by_tests_and_purchases(
    model: PrisjaktModel,
) -> None:
    """The documentation leaves this open."""
    assert post(model, event(event_name="test-purchase")).status == 201
    assert post(model, event()).status == 409
    assert post(model, event(), pixel=OTHER_PIXEL).status == 201


def test_forgetting_the_events_forgets_the_duplicates(model: PrisjaktModel) -> None:
    """A second trial starts as the first did."""
    post(model, event())
    model.forget()

    assert elements(get(model)) == []
    assert post(model, event()).status == 201


def test_events_are_listed_newest_first_and_the_later_received_first_among_equals(
    model: PrisjaktModel,
) -> None:
    """By the event's own time."""
    for reference, minute in [("b", 20), ("a", 10), ("d", 30), ("c", 20)]:
        time = f"2026-03-01T11:{minute}:00Z"
        post(model, event(external_event_id=reference, event_time=time))

    assert ids(get(model)) == ["d", "c", "b", "a"]


def test_events_are_listed_from_and_to_the_very_moments_asked_for(model: PrisjaktModel) -> None:
    """Both ends belong to the interval."""
    for second in range(4):
        body = event(external_event_id=str(second), event_time=f"2026-03-01T11:00:0{second}Z")
        post(model, body)

    answer = get(model, {"from": "2026-03-01T11:00:01Z", "to": "2026-03-01T11:00:02.000Z"})

    assert ids(answer) == ["2", "1"]


def test_events_are_listed_by_name_if_asked(model: PrisjaktModel) -> None:
    """Without the filter tests are listed too."""
    post(model, event())
    test = event(event_name="test-purchase", external_event_id="test-1", signed_click_id=UUID)
    post(model, test)

    assert ids(get(model)) == ["test-1", "order-1"]
    assert ids(get(model, {"event_name": "test-purchase"})) == ["test-1"]
    assert ids(get(model, {"event_name": "purchase"})) == ["order-1"]


def test_pages_link_to_each_other_and_repeat_the_question(model: PrisjaktModel) -> None:
    """Every event is seen once on the way through `next`, and `prev` leads back the same way."""
    for number in range(7):
        body = event(external_event_id=str(number), event_time=f"2026-03-01T11:00:0{number}Z")
        post(model, body)

    first = get(model, {"per_page": "3", "event_name": "purchase"})
    second = follow(model, links(first)["next"])
    third = follow(model, links(second)["next"])

    assert [ids(page) for page in (first, second, third)] == [
        ["6", "5", "4"],
        ["3", "2", "1"],
        ["0"],
    ]
    assert [set(links(page)) for page in (first, second, third)] == [
        {"first", "last", "next"},
        {"first", "last", "prev", "next"},
        {"first", "last", "prev"},
    ]
    assert follow(model, links(third)["prev"]).content == second.content
    assert follow(model, links(third)["first"]).content == first.content
    assert follow(model, links(first)["last"]).headers["link"] == third.headers["link"]
    assert links(third)["first"] == (
        f"https://server.example/click-conversion/pixels/{PIXEL}/events"
        "?from=2026-02-15T00%3A00%3A00Z&to=2026-04-15T00%3A00%3A00Z"
        "&per_page=3&event_name=purchase&page=1"
    )


def test_one_page_has_no_links(model: PrisjaktModel) -> None:
    """A hundred events fit on one page, the default."""
    for number in range(100):
        post(model, event(external_event_id=str(number)))
    assert "link" not in get(model).headers

    post(model, event(external_event_id="one more"))
    assert len(elements(get(model))) == 100
    assert ids(get(model, {"page": "2"})) == ["0"]


def test_a_page_beyond_the_last_is_empty_and_leads_back(model: PrisjaktModel) -> None:
    """Data shifts between pages, so this is no error."""
    for number in range(2):
        post(model, event(external_event_id=str(number)))

    answer = get(model, {"per_page": "1", "page": "9"})

    assert elements(answer) == []
    assert links(answer)["prev"].endswith("page=2")
    assert "next" not in links(answer)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("from", "to") for value in ["", "2026-03-01", "yesterday"]),
        *(("page", value) for value in ["0", "-1", "1.5", "x", ""]),
        *(("per_page", value) for value in ["0", "101", "1e1"]),
        ("event_name", "refund"),
        ("to", "2026-02-14T23:59:59Z"),
    ],
)
def test_a_question_against_the_rules_is_refused(
    model: PrisjaktModel, name: str, value: str
) -> None:
    """With the field named, as for events."""
    answer = get(model, {name: value})

    assert answer.status == 400
    assert problem(answer)["field_errors"][name]["value"] == value


def test_an_interval_is_required(model: PrisjaktModel) -> None:
    """Both ends of it."""
    path = f"/click-conversion/pixels/{PIXEL}/events"
    answer = model.answer(Call(method="GET", path=path, headers=PAIR))

    assert set(problem(answer)["field_errors"]) == {"from", "to"}


def test_an_interval_holds_sixty_days_and_no_second_more(model: PrisjaktModel) -> None:
    """The documented maximum."""
    whole = get(model, {"from": "2026-01-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"})
    longer = get(model, {"from": "2026-01-01T00:00:00Z", "to": "2026-03-02T00:00:01Z"})

    assert whole.status == 200
    assert set(problem(longer)["field_errors"]) == {"to"}


def test_a_token_reads_events_until_it_ends(model: PrisjaktModel, clock: Clock) -> None:
    """Client credentials as a form in, a bearer token out."""
    answer = token(model)
    body = problem(answer)
    bearer = {"authorization": f"Bearer {body['access_token']}"}

    assert answer.status == 200
    assert body == {
        "access_token": body["access_token"],
        "expires_in": 86_399,
        "scope": "",
        "token_type": "bearer",
    }
    assert answer.headers == {"Content-Type": "application/json", "Cache-Control": "no-store"}
    assert get(model, headers=bearer).status == 200
    clock.advance(seconds=86_398)
    assert get(model, headers=bearer).status == 200
    clock.advance(seconds=1)
    assert get(model, headers=bearer).status == 401


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"grant_type": "password"}, 400),
        ({"client_id": ""}, 401),
        ({"client_id": "other"}, 401),
        ({"client_secret": "guess"}, 401),
        ({"client_secret": ""}, 401),
    ],
)
def test_a_token_is_given_to_known_clients_only(
    build: Callable[..., PrisjaktModel], changes: dict[str, str], status: int
) -> None:
    """With the errors of RFC 6749."""
    answer = token(build(clients={"shop": "secret"}), **changes)

    assert answer.status == status
    assert "error" in problem(answer)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"client-id": "shop"},
        {"client-secret": "secret"},
        {"client-id": "shop", "client-secret": "guess"},
        {"client-id": "other", "client-secret": "secret"},
        {"authorization": "Bearer guess"},
        {"authorization": "Basic c2hvcDpzZWNyZXQ="},
        {**PAIR, "authorization": "Bearer guess"},
    ],
)
def test_reading_needs_credentials(
    build: Callable[..., PrisjaktModel], headers: dict[str, str]
) -> None:
    """Either a token or both halves of the older pair; a wrong token is not outvoted."""
    model = build(clients={"shop": "secret"})

    assert get(model).status == 200
    assert get(model, headers=headers).status == 401
    assert problem(get(model, headers=headers))["context"]["request-id"]


def test_any_pair_of_credentials_will_do_when_no_clients_are_given(model: PrisjaktModel) -> None:
    """But there must be one."""
    assert get(model, headers={"client-id": "a", "client-secret": "b"}).status == 200
    assert get(model, headers={"client-id": "a"}).status == 401


def test_every_answer_tells_the_state_of_the_rate_limit(model: PrisjaktModel, clock: Clock) -> None:
    """Successes and refusals alike; the reset is what is left of the hour, in milliseconds."""
    first = post(model, event(), headers=PAIR)
    clock.advance(minutes=50)
    second = post(model, event(), headers=PAIR)
    third = get(model)

    assert [answer.status for answer in (first, second, third)] == [201, 409, 200]
    assert [answer.headers["X-RateLimit-Limit"] for answer in (first, second)] == ["10000"] * 2
    assert [
        (answer.headers["X-RateLimit-Remaining"], answer.headers["X-RateLimit-Reset"])
        for answer in (first, second, third)
    ] == [("9999", "3600000"), ("9998", "600000"), ("9997", "600000")]


def test_beyond_the_limit_the_answer_is_429_until_the_hour_is_over(
    build: Callable[..., PrisjaktModel], clock: Clock
) -> None:
    """Nothing is stored meanwhile."""
    model = build(hourly_limit=2)
    statuses = [post(model, event(external_event_id=str(n))).status for n in range(3)]
    clock.advance(minutes=59, seconds=59)
    refused = post(model, event(external_event_id="late"))
    clock.advance(seconds=1)
    taken = post(model, event(external_event_id="new hour"))

    assert statuses == [201, 201, 429]
    assert refused.status == problem(refused)["status"] == 429
    assert refused.headers["X-RateLimit-Limit"] == "2"
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert refused.headers["X-RateLimit-Reset"] == "1000"
    assert taken.status == 201
    assert taken.headers["X-RateLimit-Remaining"] == "1"
    assert len(model.events) == 3


def test_clients_have_limits_of_their_own(build: Callable[..., PrisjaktModel]) -> None:
    """A token counts for its client; without one, each pixel counts for itself."""
    model = build(hourly_limit=1)
    bearer = {"authorization": f"Bearer {problem(token(model))['access_token']}"}

    assert get(model, headers=PAIR).status == 200
    assert get(model, headers=bearer).status == 429
    assert get(model, headers={"client-id": "b", "client-secret": "b"}).status == 200
    assert post(model, event()).status == 201
    assert post(model, event(), pixel=PIXEL.upper()).status == 429
    assert post(model, event(), pixel=OTHER_PIXEL).status == 201


def test_a_status_fault_answers_as_told_as_often_as_told(model: PrisjaktModel) -> None:
    """And stores nothing; no header is added to what the test asked for."""
    headers = {"X-RateLimit-Reset": "7", "Retry-After": "9"}
    model.faults.append(
        Fault(kind="status", status=429, headers=headers, body={"title": "No"}, times=2)
    )

    spoilt = [post(model, event()) for _ in range(2)]

    assert [answer.status for answer in spoilt] == [429, 429]
    assert spoilt[0].body == {"title": "No"}
    assert spoilt[0].headers == {
        "Content-Type": "application/json",
        "X-RateLimit-Reset": "7",
        "Retry-After": "9",
    }
    assert not model.events
    assert not model.faults
    assert post(model, event()).status == 201


def test_a_connection_cut_before_stores_nothing(model: PrisjaktModel) -> None:
    """The sender may send again."""
    model.faults.append(Fault(kind="cut_before"))

    assert post(model, event()).cut
    assert not model.events
    assert post(model, event()).status == 201


def test_a_connection_cut_after_has_stored_the_event(model: PrisjaktModel) -> None:
    """The sender cannot tell, and meets a conflict."""
    model.faults.append(Fault(kind="cut_after"))

    assert post(model, event()).cut
    assert len(model.events) == 1
    assert post(model, event()).status == 409


def test_a_hanging_answer_has_stored_the_event_too(model: PrisjaktModel) -> None:
    """It is the true answer, late."""
    model.faults.append(Fault(kind="hang", seconds=30))
    answer = post(model, event())

    assert (answer.status, answer.hang, answer.cut) == (201, 30, False)
    assert len(model.events) == 1


@pytest.mark.parametrize(
    ("match", "spoilt"),
    [
        ({}, ["A-1", "A-2", "B-1", "A[1]"]),
        ({"external_event_id": "A-1"}, ["A-1"]),
        ({"external_event_id": "A-*"}, ["A-1", "A-2"]),
        ({"external_event_id": "A[1]"}, ["A[1]"]),
        ({"pixel_id": PIXEL.upper()}, ["A-1", "A-2", "B-1", "A[1]"]),
        ({"pixel_id": OTHER_PIXEL}, []),
        ({"operation": "create-event"}, ["A-1", "A-2", "B-1", "A[1]"]),
        ({"operation": "get-events"}, []),
    ],
)
def test_a_fault_meets_only_what_it_matches(
    model: PrisjaktModel, match: dict[str, Any], spoilt: list[str]
) -> None:
    """By external id, exact or as a glob, by pixel, by operation."""
    model.faults.append(Fault(kind="status", times=99, **match))
    references = ["A-1", "A-2", "B-1", "A[1]"]

    answers = {name: post(model, event(external_event_id=name)) for name in references}

    assert [name for name, answer in answers.items() if answer.status == 503] == spoilt


def test_reads_and_tokens_are_spoilt_only_by_name(model: PrisjaktModel) -> None:
    """A fault without an operation is for the writes, so that a test can still look."""
    model.faults.append(Fault(kind="status"))
    assert (get(model).status, token(model).status) == (200, 200)

    model.faults[:] = [Fault(kind="status", operation=name) for name in ("get-events", "token")]
    assert (get(model).status, token(model).status) == (503, 503)
    assert (get(model).status, token(model).status) == (200, 200)


def test_a_fault_for_an_external_id_passes_over_a_body_it_cannot_read(model: PrisjaktModel) -> None:
    """The refusal stays the ordinary one."""
    model.faults.append(Fault(kind="status", external_event_id="*"))

    assert post(model, b"{").status == 400
    assert len(model.faults) == 1


@pytest.mark.parametrize("operation", OPERATIONS, ids=by_name)
def test_every_operation_succeeds_when_asked_well(
    strict: PrisjaktModel, operation: Operation
) -> None:
    """With the documented status; 204 means that nothing more is said."""
    created = {"create-event", "create-shop-client", "create-shop-pixel"}
    changed = {"create-events", "update-pixel"}

    answer = ask_well(strict, operation)

    assert answer.status == (
        201 if operation.name in created else 204 if operation.name in changed else 200
    )
    assert (answer.body is None) == (operation.name in {*changed, "create-event"})


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer guess"}, {"client-id": "shop"}])
@pytest.mark.parametrize("operation", FOR_CLIENTS, ids=by_name)
def test_every_operation_but_the_first_needs_credentials(
    strict: PrisjaktModel, operation: Operation, headers: dict[str, str]
) -> None:
    """401, and nothing is done."""
    answer = ask_well(strict, operation, headers)

    assert answer.status == problem(answer)["status"] == 401
    assert len(strict.events) == 1
    assert strict.shops == {SHOP: Shop()}


def test_one_event_is_taken_from_anybody(strict: PrisjaktModel) -> None:
    """No credentials, and no harm in wrong ones or a client of the wrong role."""
    for number, headers in enumerate([{}, {"authorization": "Bearer guess"}, PUBLISHER, ADMIN]):
        assert post(strict, event(external_event_id=str(number)), headers=headers).status == 201


@pytest.mark.parametrize("name", ["get-conversions", "get-client"])
def test_where_no_role_is_stated_any_client_is_served(strict: PrisjaktModel, name: str) -> None:
    """Whatever its role."""
    assert [ask(strict, name, headers=one).status for one in (PAIR, ADMIN, PUBLISHER)] == [200] * 3


def test_roles_belong_to_the_client_of_a_token_too(build: Callable[..., PrisjaktModel]) -> None:
    """And can change from one call to the next."""
    model = build()
    bearer = {"authorization": f"Bearer {problem(token(model))['access_token']}"}
    assert get(model, headers=bearer).status == 200

    model.roles = {"shop": ["event_publisher"]}
    assert get(model, headers=bearer).status == 403
    model.roles = {"other": ["event_publisher"]}
    assert get(model, headers=bearer).status == 200


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if "{pixel_id}" in each.path], ids=by_name
)
def test_a_malformed_pixel_id_is_a_wrong_field_everywhere(
    model: PrisjaktModel, operation: Operation
) -> None:
    """Also where no 400 is documented, and also where any pixel would do."""
    answer = ask_well(model, operation, PAIR, pixel_id="alfa")

    assert answer.status == 400
    assert set(problem(answer)["field_errors"]) == {"pixel_id"}
    assert not model.pixels


@pytest.mark.parametrize("shop_id", ["0", "1000000", "-1", "1.0", "alfa", "01"])
@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if "{shop_id}" in each.path], ids=by_name
)
def test_a_shop_id_is_a_whole_number_from_1_to_999999(
    model: PrisjaktModel, operation: Operation, shop_id: str
) -> None:
    """A malformed one is a wrong field."""
    model.roles = {"admin": {"admin"}}
    answer = ask_well(model, operation, shop_id=shop_id)

    assert answer.status == 400
    assert set(problem(answer)["field_errors"]) == {"shop_id"}


@pytest.mark.parametrize("operation", OF_THE_API, ids=by_name)
def test_beyond_the_limit_every_operation_answers_429_and_does_nothing(
    strict: PrisjaktModel, operation: Operation
) -> None:
    """With the three headers, and the same clock for all of them."""
    strict.hourly_limit = 0
    answer = ask_well(strict, operation)

    assert answer.status == problem(answer)["status"] == 429
    assert answer.headers["X-RateLimit-Limit"] == "0"
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert answer.headers["X-RateLimit-Reset"] == "3600000"
    assert len(strict.events) == 1
    assert strict.shops == {SHOP: Shop()}


@pytest.mark.parametrize("headers", [None, {}, {"authorization": "Bearer guess"}])
@pytest.mark.parametrize("operation", OF_THE_API, ids=by_name)
def test_successes_and_refusals_of_every_operation_tell_the_rate(
    strict: PrisjaktModel, operation: Operation, headers: dict[str, str] | None
) -> None:
    """Whoever asks."""
    names = set(ask_well(strict, operation, headers).headers)

    assert names >= {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=by_name)
def test_a_fault_can_hit_every_operation(strict: PrisjaktModel, operation: Operation) -> None:
    """By its documented name, once."""
    strict.faults.append(Fault(kind="status", status=500, operation=operation.name))

    assert ask_well(strict, operation).status == 500
    assert ask_well(strict, operation).status < 300


@pytest.mark.parametrize("operation", OPERATIONS, ids=by_name)
def test_a_fault_for_another_operation_passes_by(
    strict: PrisjaktModel, operation: Operation
) -> None:
    """Names are matched whole."""
    strict.faults += [
        Fault(kind="status", operation=other.name)
        for other in OPERATIONS
        if other.name != operation.name
    ]

    assert ask_well(strict, operation).status < 300
    assert len(strict.faults) == len(OPERATIONS) - 1


def test_a_fault_finds_an_external_id_in_an_array(model: PrisjaktModel) -> None:
    """One of several is enough."""
    model.faults.append(Fault(kind="cut_after", external_event_id="B-*"))

    assert not ask(model, "create-events", [event(external_event_id="A-1")]).cut
    batch = [event(external_event_id=name) for name in ("A-2", "B-1")]
    assert ask(model, "create-events", batch).cut
    assert len(model.events) == 3


def test_several_events_are_stored_at_once(model: PrisjaktModel) -> None:
    """204 without a body; in the order of the array."""
    batch = [event(external_event_id=name) for name in ("a", "b", "c")]
    answer = ask(model, "create-events", batch)

    assert (answer.status, answer.content) == (204, b"")
    assert [stored.external_event_id for stored in model.events.values()] == ["a", "b", "c"]


def test_a_known_external_id_replaces_the_event(model: PrisjaktModel, clock: Clock) -> None:
    """It keeps its id and its place, and loses what the new data leaves out; whatever its age."""
    post(model, event())
    post(model, event(external_event_id="order-2"))
    clock.advance(days=40)
    correction = event(
        data__amount=Decimal("10.5"), data__currency="SEK", data__number_of_items=ABSENT
    )

    assert ask(model, "create-events", [correction]).status == 204

    assert [stored.id for stored in model.events.values()] == ["id-1", "id-2"]
    assert elements(get(model))[1] == {
        "id": "id-1",
        "click_id": UUID,
        "external_event_id": "order-1",
        "event_name": "purchase",
        "event_time": "2026-03-01T11:30:00Z",
        "data": {"currency": "SEK", "amount": Decimal("10.5")},
    }


def test_a_replacement_starts_no_new_thirty_days(model: PrisjaktModel, clock: Clock) -> None:
    """The duplicate rule counts from the first receipt."""
    post(model, event())
    clock.advance(days=29)
    ask(model, "create-events", [event()])
    assert post(model, event()).status == 409

    clock.advance(days=1)
    assert post(model, event()).status == 201


def test_of_several_events_with_one_external_id_the_latest_is_replaced(
    model: PrisjaktModel, clock: Clock
) -> None:
    """The one after the duplicate window."""
    post(model, event())
    clock.advance(days=30)
    post(model, event())
    ask(model, "create-events", [event(data__amount=7)])

    assert [stored.amount for stored in model.events.values()] == [Decimal("122.95"), 7]


def test_events_of_an_array_conflict_with_later_single_ones(model: PrisjaktModel) -> None:
    """Both operations know the same events."""
    ask(model, "create-events", [event()])

    assert post(model, event()).status == 409


def test_without_an_external_id_every_repeat_is_another_event(model: PrisjaktModel) -> None:
    """There is nothing to match."""
    batch = [event(external_event_id=ABSENT)] * 2
    assert [ask(model, "create-events", batch).status for _ in range(2)] == [204, 204]

    assert len(model.events) == 4


def test_an_external_id_twice_in_an_array_is_one_event_and_the_last_wins(
    model: PrisjaktModel,
) -> None:
    """As if they had come one after the other."""
    ask(model, "create-events", [event(data__amount=amount) for amount in (1, 2, 3)])

    assert [stored.amount for stored in model.events.values()] == [3]


def test_external_ids_of_another_pixel_are_not_replaced(model: PrisjaktModel) -> None:
    """Each pixel has its own."""
    post(model, event(), pixel=OTHER_PIXEL)
    ask(model, "create-events", [event(data__amount=1)])

    assert [stored.amount for stored in model.events.values()] == [Decimal("122.95"), 1]


def test_one_bad_element_refuses_the_whole_array(model: PrisjaktModel) -> None:
    """Every wrong field of every element is named; nothing is stored."""
    batch = [
        event(external_event_id="a"),
        event(external_event_id="b", data__amount=-1, data__currency="USD"),
        17,
        event(external_event_id="c", signed_click_id=ABSENT),
    ]
    answer = ask(model, "create-events", batch)

    assert answer.status == 400
    assert problem(answer)["field_errors"].keys() == {
        "[1].data.amount",
        "[1].data.currency",
        "[2]",
        "[3].signed_click_id",
    }
    assert problem(answer)["field_errors"]["[1].data.amount"]["value"] == -1
    assert not model.events


def test_a_test_is_refused_in_an_array(model: PrisjaktModel) -> None:
    """The reference of this operation knows purchases only."""
    answer = ask(model, "create-events", [event(), event(event_name="test-purchase")])

    assert problem(answer)["field_errors"].keys() == {"[1].event_name"}
    assert not model.events


@pytest.mark.parametrize("body", [b"", b"{", event(), [], None, "x"])
def test_a_body_that_is_no_array_of_events_is_refused(model: PrisjaktModel, body: object) -> None:
    """An empty one says nothing."""
    answer = ask(model, "create-events", body)

    assert answer.status == 400
    assert set(problem(answer)["field_errors"]) == {"body"}


def test_an_array_holds_a_thousand_events(model: PrisjaktModel) -> None:
    """No size is documented; one more is too large, and nothing of it is stored."""
    batch = [event(external_event_id=str(number)) for number in range(LARGEST_BATCH + 1)]

    assert ask(model, "create-events", batch).status == 413
    assert not model.events
    assert ask(model, "create-events", batch[1:]).status == 204
    assert len(model.events) == 1000


def test_a_disabled_pixel_takes_no_events(model: PrisjaktModel) -> None:
    """403 until it is enabled again; what it has can still be read."""
    post(model, event())
    assert ask(model, "update-pixel", {"enabled": False}, pixel_id=PIXEL.upper()).status == 204

    assert problem(ask(model, "get-pixel")) == {"id": PIXEL, "enabled": False}
    assert post(model, event(external_event_id="order-2")).status == 403
    assert ask(model, "create-events", [event()]).status == 403
    assert ids(get(model)) == ["order-1"]

    ask(model, "update-pixel", {"enabled": True})
    assert post(model, event(external_event_id="order-2")).status == 201


def test_a_pixel_is_enabled_at_first_and_stays_as_it_is_when_nothing_is_asked(
    model: PrisjaktModel,
) -> None:
    """The only field is optional."""
    assert problem(ask(model, "get-pixel")) == {"id": PIXEL, "enabled": True}
    for enabled in (True, False):
        ask(model, "update-pixel", {"enabled": enabled})
        assert ask(model, "update-pixel", {}).status == 204
        assert problem(ask(model, "get-pixel"))["enabled"] is enabled


@pytest.mark.parametrize(
    ("body", "field"),
    [
        *(({"enabled": value}, "enabled") for value in (None, 0, 1, "true")),
        ([], "body"),
        (b"{", "body"),
    ],
)
def test_a_pixel_is_enabled_by_true_and_disabled_by_false(
    model: PrisjaktModel, body: object, field: str
) -> None:
    """And by nothing else."""
    answer = ask(model, "update-pixel", body)

    assert answer.status == 400
    assert set(problem(answer)["field_errors"]) == {field}


def test_an_event_is_found_by_its_id(model: PrisjaktModel) -> None:
    """As the list shows it."""
    post(model, event())

    assert problem(ask(model, "get-event", event_id="ID-1")) == elements(get(model))[0]


def test_an_event_no_longer_kept_still_conflicts(
    build: Callable[..., PrisjaktModel], clock: Clock
) -> None:
    """The duplicate rule has its own thirty days."""
    model = build(kept=timedelta(days=1))
    post(model, event())
    clock.advance(days=2)

    assert post(model, event()).status == 409


def test_a_summary_adds_up_purchases_per_currency_and_per_day_in_stockholm(
    model: PrisjaktModel,
) -> None:
    """Sums are exact; a day there begins at 23 o'clock UTC in winter and at 22 in summer."""
    purchases = [
        ("2026-03-01T22:59:59Z", "0.1", "EUR"),
        ("2026-03-01T23:00:00Z", "0.2", "EUR"),
        ("2026-03-02T10:00:00Z", "33.333333333333333", "EUR"),
        ("2026-03-02T10:00:00Z", "999999999", "SEK"),
        ("2026-04-01T21:59:59Z", "1", "EUR"),
        ("2026-04-01T22:00:00Z", "2", "EUR"),
    ]
    for number, (time, amount, currency) in enumerate(purchases):
        changes = {"event_time": time, "data__amount": Decimal(amount), "data__currency": currency}
        post(model, event(external_event_id=str(number), **changes))

    found = problem(ask(model, "get-purchase-summary"))

    assert [
        (day["date"], day["currency"], day["number_of_events"], str(day["total_amount"]))
        for day in found["per_day"]
    ] == [
        ("2026-03-01", "EUR", 1, "0.1"),
        ("2026-03-02", "EUR", 2, "33.533333333333333"),
        ("2026-03-02", "SEK", 1, "999999999"),
        ("2026-04-01", "EUR", 1, "1"),
        ("2026-04-02", "EUR", 1, "2"),
    ]
    assert {day["time_zone"] for day in found["per_day"]} == {"Europe/Stockholm"}
    assert found["summaries"] == [
        {"total_amount": Decimal("36.633333333333333"), "number_of_events": 5, "currency": "EUR"},
        {"total_amount": 999999999, "number_of_events": 1, "currency": "SEK"},
    ]


@pytest.mark.parametrize("name", ["get-purchase-summary", "get-conversions"])
def test_tests_are_no_purchases_and_other_pixels_and_times_count_elsewhere(
    model: PrisjaktModel, name: str
) -> None:
    """Neither in the summary nor among the conversions."""
    post(model, event(event_name="test-purchase", external_event_id="test"))
    post(model, event(external_event_id="early", event_time="2026-02-14T23:59:59Z"))
    post(model, event(), pixel=OTHER_PIXEL)

    assert ask(model, name).body in ([], {"per_day": [], "summaries": []})


def test_a_summary_can_be_made_of_the_first_and_the_last_days_there_are(
    model: PrisjaktModel,
) -> None:
    """An event's time has no limits, so that of Stockholm must not overflow."""
    for time in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        post(model, event(external_event_id=time, event_time=time))
        found = problem(ask(model, "get-purchase-summary", query={"from": time, "to": time}))
        assert [day["date"] for day in found["per_day"]] == [time[:10]]


@pytest.mark.parametrize("name", ["get-events", "get-purchase-summary", "get-conversions"])
@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({}, {"from", "to"}),
        ({**SPRING, "from": "yesterday"}, {"from"}),
        ({**SPRING, "to": "2026-02-14T00:00:00Z"}, {"to"}),
        ({**SPRING, "to": "2026-04-16T00:00:01Z"}, {"to"}),
    ],
)
def test_every_list_wants_an_interval_of_at_most_sixty_days(
    model: PrisjaktModel, name: str, query: dict[str, str], fields: set[str]
) -> None:
    """Also the conversions, whose page states no maximum."""
    answer = ask(model, name, query=query)

    assert answer.status == 400
    assert set(problem(answer)["field_errors"]) == fields


def test_a_conversion_pairs_a_purchase_with_its_click(model: PrisjaktModel) -> None:
    """In camel case, unlike the events."""
    came = NOON - timedelta(days=2)
    model.clicks[UUID] = Click(
        id=UUID, forwarded_at=came, url="https://shop.test/x", product_id="5", product_name="Hat"
    )
    post(model, event(signed_click_id=CLICK.upper()))

    assert elements(ask(model, "get-conversions")) == [
        {
            "purchase": {
                "timestamp": "2026-03-01T11:30:00Z",
                "numberOfItems": 4,
                "id": "id-1",
                "currency": "EUR",
                "amount": Decimal("122.95"),
            },
            "forwarding": {
                "url": "https://shop.test/x",
                "timestamp": "2026-02-27T12:00:00Z",
                "product": {"name": "Hat", "id": "5"},
                "offerId": "3001",
            },
        }
    ]


def test_a_click_is_known_from_an_event_or_by_being_put_there(model: PrisjaktModel) -> None:
    """By its bare id in either case, never with its signature; in the documented shape."""
    assert ask(model, "get-click").status == 404
    post(model, event())
    model.clicks[OTHER_PIXEL] = Click(id=OTHER_PIXEL, forwarded_at=NOON, market="GB")

    found = problem(ask(model, "get-click", click_id=UUID.upper()))
    put = problem(ask(model, "get-click", click_id=OTHER_PIXEL))

    assert found.keys() == {"id", "forwarded_date", "invoicing", "location", "request"}
    assert (found["id"], found["forwarded_date"]) == (UUID, "2026-03-01T11:30:00.000Z")
    assert (put["forwarded_date"], put["request"]["market"]) == ("2026-03-01T12:00:00.000Z", "GB")
    assert ask(model, "get-click", click_id=CLICK).status == 404


def test_forgetting_the_events_forgets_their_clicks_and_keeps_those_put_there(
    model: PrisjaktModel,
) -> None:
    """A second trial starts as the first did."""
    model.clicks[OTHER_PIXEL] = Click(id=OTHER_PIXEL, forwarded_at=NOON)
    post(model, event())
    model.forget()

    assert ask(model, "get-click").status == 404
    assert ask(model, "get-click", click_id=OTHER_PIXEL).status == 200


def test_a_client_is_shown_with_its_roles(strict: PrisjaktModel) -> None:
    """Its id keeps its case; without a list of clients there is everyone."""
    assert problem(ask(strict, "get-client")) == {"id": "shop", "roles": ["shop_user"]}
    assert problem(ask(strict, "get-client", client_id="admin"))["roles"] == ["admin"]
    assert ask(strict, "get-client", client_id="SHOP").status == 404

    strict.clients = None
    assert problem(ask(strict, "get-client", client_id="New")) == {
        "id": "New",
        "roles": ["shop_user"],
    }


def test_a_shop_gets_one_pixel(strict: PrisjaktModel) -> None:
    """Enabled, listed with the shop, found by its id; a second one conflicts."""
    strict.new_id = OTHER_PIXEL.upper
    assert elements(ask(strict, "get-shop-pixels")) == []

    created = ask(strict, "create-shop-pixel", b"")

    assert created.body == {"id": OTHER_PIXEL, "enabled": True}
    assert elements(ask(strict, "get-shop-pixels")) == [created.body]
    assert ask(strict, "get-pixel", pixel_id=OTHER_PIXEL).body == created.body
    assert post(strict, event(), pixel=OTHER_PIXEL).status == 201
    assert ask(strict, "create-shop-pixel").status == 409
    assert problem(ask(strict, "get-shop")) == {
        "id": SHOP,
        "clients": [],
        "pixels": [{"id": OTHER_PIXEL}],
    }


def test_the_pixels_of_given_shops_are_there(build: Callable[..., PrisjaktModel]) -> None:
    """In either case, and with their state."""
    model = build(any_pixel=False, shops={SHOP: Shop(clients=("shop",), pixels=(PIXEL.upper(),))})
    assert post(model, event()).status == 201
    ask(model, "update-pixel", {"enabled": False})

    assert elements(ask(model, "get-shop-pixels")) == [{"id": PIXEL, "enabled": False}]
    assert problem(ask(model, "get-shop")) == {
        "id": SHOP,
        "clients": [{"id": "shop"}],
        "pixels": [{"id": PIXEL}],
    }
    assert ask(model, "create-shop-pixel").status == 409


def test_shops_spring_up_where_pixels_do(model: PrisjaktModel) -> None:
    """Empty, and to stay."""
    assert problem(ask(model, "get-shop", shop_id=999999)) == {
        "id": 999999,
        "clients": [],
        "pixels": [],
    }
    assert ask(model, "create-shop-pixel").status == 201
    assert ask(model, "create-shop-pixel").status == 409


def test_a_shop_gets_a_client_for_each_set_of_roles(strict: PrisjaktModel) -> None:
    """Shown with its shop and by its id; its secret is not told, but known to the simulation."""

    def create(*roles: str) -> Answer:
        return ask(strict, "create-shop-client", {"roles": list(roles)}, headers=ADMIN)

    both = create("shop_user", "event_publisher")
    answers = [create("event_publisher", "shop_user"), create("event_publisher")]

    assert both.status == 201
    assert problem(both).keys() == {"id", "roles"}
    assert problem(both)["roles"] == ["event_publisher", "shop_user"]
    assert [answer.status for answer in answers] == [409, 201]
    created = [problem(answer)["id"] for answer in (both, answers[1])]
    assert problem(ask(strict, "get-shop"))["clients"] == [{"id": one} for one in created]
    assert strict.clients is not None
    for one, status in zip(created, (200, 403), strict=True):
        pair = {"client-id": one, "client-secret": strict.clients[one]}
        assert get(strict, headers=pair).status == status


@pytest.mark.parametrize(
    "body",
    [
        {},
        *(
            {"roles": roles}
            for roles in [None, [], "shop_user", ["admin"], ["shop_user", 1], ["shop_user"] * 2]
        ),
        {"roles": [["shop_user"]]},
        {"roles": {"shop_user": 1}},
        [],
        b"{",
    ],
)
def test_a_client_can_be_given_only_the_two_roles_of_shops(
    strict: PrisjaktModel, body: object
) -> None:
    """Each at most once, and at least one."""
    answer = ask(strict, "create-shop-client", body, headers=ADMIN)

    assert answer.status == 400
    assert problem(answer)["field_errors"].keys() <= {"roles", "body"}
    assert strict.shops == {SHOP: Shop()}


def test_a_client_made_without_a_list_of_clients_has_its_roles_all_the_same(
    build: Callable[..., PrisjaktModel],
) -> None:
    """Any secret will do for it."""
    model = build(roles={"admin": {"admin"}})
    body = {"roles": ["event_publisher"]}
    created = problem(ask(model, "create-shop-client", body, headers=ADMIN))["id"]

    assert get(model, headers={"client-id": created, "client-secret": "any"}).status == 403
    assert ask(model, "create-shop-client", body, headers=ADMIN).status == 409
    assert model.clients is None


def test_a_token_lives_as_long_as_told(build: Callable[..., PrisjaktModel], clock: Clock) -> None:
    """Which the answer says, and which can change for the tokens to come."""
    model = build(token_lifetime=timedelta(seconds=60))
    first = problem(token(model))
    model.token_lifetime = timedelta(seconds=90)
    second = problem(token(model))
    bearers = [{"authorization": f"Bearer {one['access_token']}"} for one in (first, second)]

    assert (first["expires_in"], second["expires_in"]) == (60, 90)
    clock.advance(seconds=60)
    assert [get(model, headers=bearer).status for bearer in bearers] == [401, 200]


def test_tokens_can_be_made_to_expire_before_their_time(model: PrisjaktModel) -> None:
    """Those issued so far, not those to come."""
    first = {"authorization": f"Bearer {problem(token(model))['access_token']}"}
    model.expire_tokens()
    second = {"authorization": f"Bearer {problem(token(model))['access_token']}"}

    assert get(model, headers=first).status == 401
    assert get(model, headers=second).status == 200


def test_clients_can_change_between_two_calls(strict: PrisjaktModel) -> None:
    """A secret that is replaced is refused from then on."""
    strict.clients = {"shop": "new"}

    assert get(strict).status == 401
    assert get(strict, headers={**PAIR, "client-secret": "new"}).status == 200


@pytest.mark.parametrize("operation", FOR_A_ROLE, ids=by_name)
def test_a_client_of_another_role_is_forbidden(strict: PrisjaktModel, operation: Operation) -> None:
    """Not even an admin may do what a shop user may; nothing is done."""
    others = [PUBLISHER, PAIR if operation.role == "admin" else ADMIN]

    for headers in others:
        answer = ask_well(strict, operation, headers)
        assert answer.status == problem(answer)["status"] == 403
        assert str(operation.role) in problem(answer)["detail"]
    assert len(strict.events) == 1
    assert strict.shops == {SHOP: Shop()}


@pytest.mark.parametrize("operation", WITH_AN_ID, ids=by_name)
def test_what_nobody_made_is_not_found(strict: PrisjaktModel, operation: Operation) -> None:
    """404, with the id in its detail."""
    unknown: dict[str, Any] = {
        "pixel_id": OTHER_PIXEL,
        "event_id": OTHER_PIXEL,
        "click_id": OTHER_PIXEL,
        "client_id": "nobody",
        "shop_id": 7,
    }
    (wanted,) = (str(value) for name, value in unknown.items() if f"{{{name}}}" in operation.path)

    answer = ask_well(strict, operation, **unknown)

    assert answer.status == problem(answer)["status"] == 404
    assert wanted in problem(answer)["detail"]


def test_events_are_shown_and_replaced_only_while_they_are_kept(
    build: Callable[..., PrisjaktModel], clock: Clock
) -> None:
    """Counted from receipt; afterwards the same external id makes another event."""
    model = build(kept=timedelta(days=45))
    post(model, event())
    clock.advance(days=45, milliseconds=-1)
    assert ids(get(model)) == ["order-1"]
    assert ask(model, "get-event").status == 200

    clock.advance(milliseconds=1)
    assert ids(get(model)) == []
    assert ask(model, "get-event").status == 404
    assert elements(ask(model, "get-conversions")) == []
    assert problem(ask(model, "get-purchase-summary"))["summaries"] == []
    ask(model, "create-events", [event(data__amount=1)])
    assert [found["data"]["amount"] for found in elements(get(model))] == [1]
    assert [stored.id for stored in model.events.values()] == ["id-1", *list(model.events)[1:]]
    assert len(model.events) == 2


def test_conversions_come_in_pages(model: PrisjaktModel) -> None:
    """Newest first, linked as events are; what was not given is left out."""
    for number in range(3):
        time = f"2026-03-01T11:00:0{number}Z"
        body = event(external_event_id=str(number), event_time=time, data__number_of_items=ABSENT)
        post(model, body)

    first = ask(model, "get-conversions", query={**SPRING, "per_page": "2"})
    second = follow(model, links(first)["next"])

    assert [found["purchase"]["id"] for found in elements(first)] == ["id-3", "id-2"]
    assert [found["purchase"]["id"] for found in elements(second)] == ["id-1"]
    assert "numberOfItems" not in elements(second)[0]["purchase"]
    assert ask(model, "get-conversions", query={**SPRING, "page": "0"}).status == 400


def test_equal_models_given_equal_calls_answer_equally() -> None:
    """Clock and ids are the only ways in: a simulation can be run again."""

    def run() -> list[bytes]:
        numbers = count(1)
        model = PrisjaktModel(clock=Clock(), new_id=lambda: f"id-{next(numbers)}")
        calls = [event(), event(), event(data__amount=-1)]
        return [*(post(model, body).content for body in calls), get(model).content]

    assert run() == run()
