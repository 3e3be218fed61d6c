"""Each operation: the request that is documented, and a value or one error for what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import responses
from requests import PreparedRequest, Session
from tests.prisjakt.world import OAUTH, PAIR, PIXEL, SECRET, SHOP, event, now, numbered
from tests.sender.world import BARE_CLICK_ID, CLICK_ID, START

from prisjakt_relay.errors import (
    AnswerError,
    ConflictError,
    NotAnsweredError,
    PrisjaktError,
    RateLimitedError,
    RefusedError,
    RejectedError,
    SetupError,
)
from prisjakt_relay.prisjakt.answers import Created
from prisjakt_relay.prisjakt.auth import TOKEN_URL, Credentials, Tokens
from prisjakt_relay.prisjakt.client import BASE_URL, FORMER_BASE_URL, PrisjaktClient
from prisjakt_relay.prisjakt.models import (
    Click,
    ClickLocation,
    ClickRequest,
    ClickShop,
    Client,
    Conversion,
    CurrencyTotal,
    DayTotal,
    Event,
    EventData,
    Forwarding,
    Pixel,
    Product,
    Purchase,
    PurchaseSummary,
    Reference,
    Shop,
)

END = START
BEGIN = START - timedelta(days=30)
INTERVAL = {"from": "2026-10-22T00:00:00Z", "to": "2026-11-21T00:00:00Z"}
ID = "52907745-7672-470e-a803-a2f8feb52944"
CLIENT_ID = "lb4xiAVZZWkXiYxfxa146e4tbkYa702P"
UNTOUCHED = object()

# As the reference prints them, with values where it prints only types.
EVENT = {
    "id": ID,
    "click_id": ID,
    "external_event_id": "2jclyrr-kgvz82",
    "event_name": "purchase",
    "event_time": "2019-08-24T14:15:22Z",
    "data": {"number_of_items": 4, "currency": "EUR", "amount": 122.95},
}
SUMMARY = {
    "per_day": [
        {
            "total_amount": 125455.45,
            "time_zone": "Europe/Stockholm",
            "number_of_events": 253,
            "date": "2023-01-02",
            "currency": "EUR",
        }
    ],
    "summaries": [{"total_amount": 125455.45, "number_of_events": 253, "currency": "EUR"}],
}
CONVERSION = {
    "purchase": {
        "timestamp": "2019-08-24T14:15:22.250Z",
        "numberOfItems": 4,
        "id": "2jclyrr-kgvz82",
        "currency": "EUR",
        "amount": 0.1,
    },
    "forwarding": {
        "url": "https://shop.test/",
        "timestamp": "2019-08-23T14:15:22Z",
        "product": {"name": "Lamp", "id": "77"},
        "offerId": "88",
    },
}
CLICK = {
    "id": ID,
    "forwarded_date": "2021-09-01T12:00:00.000Z",
    "invoicing": {"segment": {"id": "122"}},
    "location": {
        "url": "https://shop.test/",
        "shop": {"market": "GB", "id": "9"},
        "product_id": "77",
        "price_id": "66",
        "offer_id": "88",
        "location_type": "SHOP_OFFER_PAGE",
        "expert_id": "55",
    },
    "request": {
        "widget": {"id": "best-offers_aa3cdf98fd"},
        "partner": {"id": "1510"},
        "original_url": "https://pricespy.test/",
        "market": "GB",
        "device": {"type": "DESKTOP"},
        "client": {"id": "1337"},
        "bot_score": 0.1,
        "id": ID,
    },
}

THE_EVENT = Event(
    id=ID,
    click_id=ID,
    external_event_id="2jclyrr-kgvz82",
    event_name="purchase",
    event_time=datetime(2019, 8, 24, 14, 15, 22, tzinfo=UTC),
    data=EventData(number_of_items=4, currency="EUR", amount=Decimal("122.95")),
)
THE_TOTAL = {
    "currency": "EUR",
    "number_of_events": 253,
    "total_amount": Decimal("125455.45"),
}
THE_CONVERSION = Conversion(
    purchase=Purchase.model_validate(
        {
            "timestamp": datetime(2019, 8, 24, 14, 15, 22, 250_000, tzinfo=UTC),
            "numberOfItems": 4,
            "id": "2jclyrr-kgvz82",
            "currency": "EUR",
            "amount": Decimal("0.1"),
        }
    ),
    forwarding=Forwarding.model_validate(
        {
            "url": "https://shop.test/",
            "timestamp": datetime(2019, 8, 23, 14, 15, 22, tzinfo=UTC),
            "product": Product(name="Lamp", id="77"),
            "offerId": "88",
        }
    ),
)


@dataclass(frozen=True)
class Case:
    """An operation as the pages have it."""

    name: str
    call: Callable[[PrisjaktClient], object]
    method: str
    path: str
    answer: object
    value: object = None
    status: int = 200
    query: dict[str, str] | None = None
    body: object = UNTOUCHED
    open: bool = False

    def __str__(self) -> str:
        return self.name


CASES = [
    Case(
        "create-event",
        lambda client: client.create_event(PIXEL, event()),
        "POST",
        f"/pixels/{PIXEL}/events",
        None,
        status=201,
        body=json.loads(event().to_json()),
        open=True,
    ),
    Case(
        "create-events",
        lambda client: client.create_or_update_events(
            PIXEL, [event(), event(external_event_id="2")]
        ),
        "PATCH",
        f"/pixels/{PIXEL}/events",
        None,
        status=204,
        body=[json.loads(each.to_json()) for each in (event(), event(external_event_id="2"))],
    ),
    Case(
        "get-events",
        lambda client: list(client.events(PIXEL, BEGIN, END)),
        "GET",
        f"/pixels/{PIXEL}/events",
        [EVENT],
        [THE_EVENT],
        query=INTERVAL,
    ),
    Case(
        "get-events, tests",
        lambda client: list(client.events(PIXEL, BEGIN, END, event_name="test-purchase")),
        "GET",
        f"/pixels/{PIXEL}/events",
        [],
        [],
        query=INTERVAL | {"event_name": "test-purchase"},
    ),
    Case(
        "get-event",
        lambda client: client.event(ID),
        "GET",
        f"/events/{ID}",
        EVENT,
        THE_EVENT,
    ),
    Case(
        "get-pixel",
        lambda client: client.pixel(PIXEL),
        "GET",
        f"/pixels/{PIXEL}",
        {"id": ID, "enabled": True},
        Pixel(id=ID, enabled=True),
    ),
    Case(
        "update-pixel",
        lambda client: client.update_pixel(PIXEL, enabled=False),
        "PATCH",
        f"/pixels/{PIXEL}",
        None,
        status=204,
        body={"enabled": False},
    ),
    Case(
        "get-purchase-summary",
        lambda client: client.purchase_summary(PIXEL, BEGIN, END),
        "GET",
        f"/pixels/{PIXEL}/purchase-summary",
        SUMMARY,
        PurchaseSummary(
            per_day=(DayTotal(date=date(2023, 1, 2), time_zone="Europe/Stockholm", **THE_TOTAL),),
            summaries=(CurrencyTotal(**THE_TOTAL),),
        ),
        query=INTERVAL,
    ),
    Case(
        "get-conversions",
        lambda client: list(client.conversions(PIXEL, BEGIN, END)),
        "GET",
        f"/pixels/{PIXEL}/conversions",
        [CONVERSION],
        [THE_CONVERSION],
        query=INTERVAL,
    ),
    Case(
        "get-click",
        lambda client: client.click(CLICK_ID),
        "GET",
        f"/clicks/{BARE_CLICK_ID}",
        CLICK,
        Click.model_construct(
            id=ID,
            forwarded_date=datetime(2021, 9, 1, 12, tzinfo=UTC),
            invoicing_segment_id="122",
            location=ClickLocation(
                url="https://shop.test/",
                shop=ClickShop(id="9", market="GB"),
                product_id="77",
                price_id="66",
                offer_id="88",
                location_type="SHOP_OFFER_PAGE",
                expert_id="55",
            ),
            request=ClickRequest.model_construct(
                id=ID,
                original_url="https://pricespy.test/",
                market="GB",
                bot_score=Decimal("0.1"),
                widget_id="best-offers_aa3cdf98fd",
                partner_id="1510",
                device_type="DESKTOP",
                client_id="1337",
            ),
        ),
    ),
    Case(
        "get-client",
        lambda client: client.client(CLIENT_ID),
        "GET",
        f"/clients/{CLIENT_ID}",
        {"id": CLIENT_ID, "roles": ["admin"]},
        Client(id=CLIENT_ID, roles=("admin",)),
    ),
    Case(
        "create-shop-client",
        lambda client: client.create_client(SHOP, ["shop_user", "event_publisher"]),
        "POST",
        f"/shops/{SHOP}/clients",
        {"id": CLIENT_ID, "anything": [1]},
        Created({"id": CLIENT_ID, "anything": [1]}),
        status=201,
        body={"roles": ["event_publisher", "shop_user"]},
    ),
    Case(
        "create-shop-pixel",
        lambda client: client.create_pixel(SHOP),
        "POST",
        f"/shops/{SHOP}/pixels",
        None,
        Created({}),
        status=201,
    ),
    Case(
        "get-shop-pixels",
        lambda client: client.pixels(SHOP),
        "GET",
        f"/shops/{SHOP}/pixels",
        [{"id": ID, "enabled": True}],
        [Pixel(id=ID, enabled=True)],
    ),
    Case(
        "get-shop",
        lambda client: client.shop(SHOP),
        "GET",
        f"/shops/{SHOP}",
        {"id": SHOP, "clients": [{"id": CLIENT_ID}], "pixels": [{"id": ID}]},
        Shop(id=SHOP, clients=(Reference(id=CLIENT_ID),), pixels=(Reference(id=ID),)),
    ),
]
READS = [case for case in CASES if case.method == "GET"]
WITH_CREDENTIALS = [case for case in CASES if not case.open]


@pytest.fixture
def outside() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(TOKEN_URL, json={"access_token": "first", "expires_in": 86_399})
        yield mock


def client_of(
    http: Session, credentials: Credentials | None = PAIR, base: str = BASE_URL
) -> PrisjaktClient:
    tokens = Tokens(TOKEN_URL, http, clock=now)
    return PrisjaktClient(base, http, clock=now, tokens=tokens, credentials=credentials)


def answer(outside: responses.RequestsMock, case: Case, base: str = BASE_URL, **how: Any) -> None:
    ordinary = {"status": case.status} | ({} if case.answer is None else {"json": case.answer})
    outside.add(case.method, base + case.path, **(how or ordinary))


def requests_of(outside: responses.RequestsMock) -> list[PreparedRequest]:
    """Those to the API."""
    requests = [call.request for call in outside.calls]
    return [request for request in requests if request.url != TOKEN_URL]


def headers_of(request: PreparedRequest) -> dict[str, str]:
    headers: dict[str, Any] = {name.lower(): value for name, value in request.headers.items()}
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in headers.items()
    }


def remaining(client: PrisjaktClient) -> int | None:
    return None if client.rate is None else client.rate.remaining


# The request


@pytest.mark.parametrize("base", [BASE_URL, FORMER_BASE_URL])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_operation_is_the_documented_one(
    case: Case, base: str, http: Session, outside: responses.RequestsMock
) -> None:
    answer(outside, case, base)

    value = case.call(client_of(http, base=base))

    (request,) = requests_of(outside)
    address = urlsplit(str(request.url))
    headers = headers_of(request)
    assert value == case.value
    assert request.method == case.method
    assert f"{address.scheme}://{address.netloc}{address.path}" == base + case.path
    assert dict(parse_qsl(address.query)) == (case.query or {})
    assert headers["accept"] == "application/json"
    if case.body is UNTOUCHED:
        assert request.body is None
        assert "content-type" not in headers
    else:
        assert json.loads(request.body or b"") == case.body
        assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_header_pair_goes_with_every_request(
    case: Case, http: Session, outside: responses.RequestsMock
) -> None:
    answer(outside, case)

    case.call(client_of(http, PAIR))

    (request,) = [call.request for call in outside.calls]
    headers = headers_of(request)
    assert (headers["client-id"], headers["client-secret"]) == ("shop-1", SECRET)
    assert "authorization" not in headers


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_token_goes_with_every_request_but_the_one_that_needs_none(
    case: Case, http: Session, outside: responses.RequestsMock
) -> None:
    answer(outside, case)

    case.call(client_of(http, OAUTH))

    (request,) = requests_of(outside)
    headers = headers_of(request)
    assert headers.get("authorization") == (None if case.open else "Bearer first")
    assert len(outside.calls) == (1 if case.open else 2)
    assert not {"client-id", "client-secret"} & set(headers)


@pytest.mark.parametrize("case", WITH_CREDENTIALS, ids=str)
def test_missing_credentials_are_a_matter_of_the_set_up(
    case: Case, http: Session, outside: responses.RequestsMock
) -> None:
    with pytest.raises(SetupError, match="give the client an OAuth or a HeaderPair"):
        case.call(client_of(http, None))
    with pytest.raises(SetupError, match="give the client a Tokens"):
        case.call(PrisjaktClient(BASE_URL, http, clock=now, credentials=OAUTH))

    assert len(outside.calls) == 0


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_request_is_announced(
    case: Case, http: Session, outside: responses.RequestsMock
) -> None:
    """With whether it counts against the allowance, which a request for a token does not."""
    answer(outside, case)
    heard: list[bool] = []

    case.call(client_of(http).using(OAUTH, heard.append))

    assert heard == ([True] if case.open else [False, True])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_announced_request_can_be_stopped(
    case: Case, http: Session, outside: responses.RequestsMock
) -> None:
    def stop(counts: bool) -> None:
        if counts:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        case.call(client_of(http).using(OAUTH, stop))
    assert requests_of(outside) == []


# Refusals


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RejectedError),
        (401, RefusedError),
        (403, RefusedError),
        (404, RefusedError),
        (409, ConflictError),
        (429, RateLimitedError),
        (503, NotAnsweredError),
    ],
)
@pytest.mark.parametrize("credentials", [PAIR, OAUTH], ids=["pair", "oauth"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_refusal_is_one_error(
    case: Case,
    credentials: Credentials,
    status: int,
    kind: type[PrisjaktError],
    http: Session,
    outside: responses.RequestsMock,
) -> None:
    body = {"title": "No", "status": status, "detail": "Not now", "context": {"request_id": "7"}}
    answer(outside, case, status=status, json=body, headers={"X-RateLimit-Reset": "600000"})

    with pytest.raises(PrisjaktError) as raised:
        case.call(client_of(http, credentials))

    error = raised.value
    assert type(error) is kind
    assert (error.problem.status, error.problem.title) == (status, "No")
    assert (error.problem.detail, error.problem.request_id) == ("Not now", "7")
    assert SECRET not in f"{error} {error!r} {vars(error)}"
    if isinstance(error, RateLimitedError):
        assert error.wait == 600
    again = status == 401 and credentials is OAUTH and not case.open
    assert len(requests_of(outside)) == (2 if again else 1)


@pytest.mark.parametrize("case", WITH_CREDENTIALS, ids=str)
def test_a_refused_token_is_renewed_once(
    case: Case, http: Session, outside: responses.RequestsMock
) -> None:
    outside.post(TOKEN_URL, json={"access_token": "second", "expires_in": 86_399})
    answer(outside, case, status=401)
    answer(outside, case)
    heard: list[bool] = []

    value = case.call(client_of(http).using(OAUTH, heard.append))

    assert value == case.value
    assert heard == [False, True, False, True]
    assert [headers_of(request)["authorization"] for request in requests_of(outside)] == [
        "Bearer first",
        "Bearer second",
    ]


# Answers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome</html>",
        b"null",
        b"7",
        b'"fine"',
        b"{}",
        b'{"id": {}}',
        b"[{}]",
        b"[null]",
        b"[[]]",
        b"[" * 100_000,
        b'{"id": 1e99999999999999999999}',
        b'{"id": ' + b"9" * 5000 + b"}",
        b"\xff\xfe",
        b'{"per_day": 7}',
        b'{"per_day": [{"date": "soon"}]}',
    ],
    ids=range(16),
)
@pytest.mark.parametrize(
    "case", [case for case in READS if case.name != "get-purchase-summary"], ids=str
)
def test_an_answer_that_is_not_as_documented_is_an_error_of_its_own(
    case: Case, body: bytes, http: Session, outside: responses.RequestsMock
) -> None:
    answer(outside, case, body=body)

    with pytest.raises(AnswerError, match=r"^200: the answer is not as documented$") as raised:
        case.call(client_of(http))

    assert raised.value.problem.detail


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"id": None}, "Event id: "),
        ({"event_time": "yesterday"}, "Event event_time: "),
        ({"event_time": "0001-01-01T00:00:00+14:00"}, "Event event_time: "),
        ({"data": {"currency": "EUR"}}, "Event data.amount: "),
        ({"data": {"currency": "EUR", "amount": "hush-hush"}}, "Event data.amount: "),
        ({"data": {"currency": "EUR", "amount": float("nan")}}, "Event data.amount: "),
    ],
)
def test_the_error_says_where_and_not_what(
    changes: dict[str, object], place: str, http: Session, outside: responses.RequestsMock
) -> None:
    outside.get(f"{BASE_URL}/events/{ID}", json=EVENT | changes)

    with pytest.raises(AnswerError) as raised:
        client_of(http).event(ID)

    assert raised.value.problem.detail.startswith(place)
    assert SECRET not in raised.value.problem.detail


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"id": "x", "more": 1}', "x"),
        (b'{"id": 7}', None),
        (b"[]", None),
        (b"", None),
        (b"{", None),
    ],
)
def test_what_was_created_exists_whatever_the_answer_says(
    body: bytes, value: str | None, http: Session, outside: responses.RequestsMock
) -> None:
    outside.post(f"{BASE_URL}/shops/{SHOP}/pixels", status=201, body=body)

    assert client_of(http).create_pixel(SHOP).id == value


def test_the_answer_to_a_creation_is_not_printed() -> None:
    assert repr(Created({"client_secret": SECRET})) == "Created()"


def test_money_keeps_every_digit(http: Session, outside: responses.RequestsMock) -> None:
    amount = "12345678901234567890.10"
    body = json.dumps(EVENT).replace("122.95", amount)
    outside.get(f"{BASE_URL}/events/{ID}", body=body)

    assert str(client_of(http).event(ID).data.amount) == amount


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("2019-08-24T14:15:22.5Z", datetime(2019, 8, 24, 14, 15, 22, 500_000, UTC)),
        ("2019-08-24T16:15:22+02:00", datetime(2019, 8, 24, 14, 15, 22, 0, UTC)),
        ("2019-08-24T14:15:22", datetime(2019, 8, 24, 14, 15, 22, 0, UTC)),
    ],
)
def test_times_are_in_utc(
    told: str, expected: datetime, http: Session, outside: responses.RequestsMock
) -> None:
    outside.get(f"{BASE_URL}/events/{ID}", json=EVENT | {"event_time": told})

    moment = client_of(http).event(ID).event_time

    assert (moment, moment.utcoffset()) == (expected, timedelta(0))


def test_what_an_answer_may_leave_out_is_none(
    http: Session, outside: responses.RequestsMock
) -> None:
    brief = {"currency": "SEK", "amount": 7}
    outside.get(
        f"{BASE_URL}/events/{ID}",
        json={"id": 7, "click_id": ID, "event_name": "purchase", "event_time": START.isoformat()}
        | {"data": brief},
    )
    outside.get(
        f"{BASE_URL}/pixels/{PIXEL}/conversions",
        json=[{"purchase": brief | {"id": "1", "timestamp": START.isoformat()}, "forwarding": {}}],
    )
    outside.get(
        f"{BASE_URL}/clicks/{ID}",
        json={"id": ID, "forwarded_date": START.isoformat(), "location": {}, "request": {}},
    )
    outside.get(f"{BASE_URL}/pixels/{PIXEL}/purchase-summary", json={})
    outside.get(f"{BASE_URL}/shops/1", json={"id": 1})
    client = client_of(http)

    seen = client.event(ID)
    (pair,) = client.conversions(PIXEL, BEGIN, END)
    click = client.click(ID)

    assert (seen.id, seen.external_event_id, seen.data.number_of_items) == ("7", None, None)
    assert (pair.forwarding.product, pair.forwarding.offer_id) == (None, None)
    assert pair.purchase.number_of_items is None
    assert (click.invoicing_segment_id, click.location.shop) == (None, None)
    assert (click.request.device_type, click.request.bot_score) == (None, None)
    assert client.purchase_summary(PIXEL, BEGIN, END) == PurchaseSummary()
    assert client.shop(1).pixels == ()


def test_the_allowance_is_read_from_every_answer(
    http: Session, outside: responses.RequestsMock
) -> None:
    limits = {"X-RateLimit-Limit": "10000", "X-RateLimit-Remaining": "9"}
    outside.get(f"{BASE_URL}/events/{ID}", json=EVENT, headers=limits)
    outside.get(
        f"{BASE_URL}/events/{ID}", status=404, headers=limits | {"X-RateLimit-Remaining": "8"}
    )
    outside.get(f"{BASE_URL}/events/{ID}", json=EVENT)
    client = client_of(http)
    assert remaining(client) is None

    client.event(ID)
    assert remaining(client) == 9
    with pytest.raises(RefusedError):
        client.event(ID)
    assert remaining(client) == 8
    client.event(ID)
    assert remaining(client) == 8
    assert remaining(client.using(OAUTH)) is None


# Arguments


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda client: client.create_event("7", event()), "pixel_id: expected a UUID"),
        (lambda client: client.pixel(""), "pixel_id: expected a UUID"),
        (lambda client: client.pixel(f"{ID}/events"), "pixel_id: expected a UUID"),
        (lambda client: client.pixel(f"{ID}\n"), "pixel_id: expected a UUID"),
        (lambda client: client.update_pixel("..", enabled=True), "pixel_id: expected a UUID"),
        (lambda client: client.events("x", BEGIN, END), "pixel_id: expected a UUID"),
        (lambda client: client.conversions("x", BEGIN, END), "pixel_id: expected a UUID"),
        (lambda client: client.purchase_summary("x", BEGIN, END), "pixel_id: expected a UUID"),
        (lambda client: client.create_or_update_events("x", [event()]), "pixel_id: expected"),
        (lambda client: client.create_or_update_events(ID, []), "events: expected 1 to 100"),
        (
            lambda client: client.create_or_update_events(ID, [event()] * 101),
            "events: expected 1 to 100, got 101",
        ),
        (lambda client: client.event("1001"), "event_id: expected a UUID"),
        (lambda client: client.click("1001"), "click_id: expected a UUID, with or without"),
        (lambda client: client.click(f"{CLICK_ID}0"), "click_id: expected a UUID"),
        (lambda client: client.client(""), "client_id: expected the id of a client"),
        (lambda client: client.client(".."), "client_id: expected the id of a client"),
        (lambda client: client.shop(0), "shop_id: expected a number from 1 to 999999"),
        (lambda client: client.pixels(1_000_000), "shop_id: expected a number"),
        (lambda client: client.create_pixel(True), "shop_id: expected a number"),
        (lambda client: client.shop("123456"), "shop_id: expected a number"),
        (lambda client: client.create_client(-1, ["shop_user"]), "shop_id: expected a number"),
        (lambda client: client.create_client(1, []), "roles: expected some of event_publisher"),
        (lambda client: client.create_client(1, ["admin"]), "roles: expected some of"),
        (lambda client: client.create_client(1, "shop_user"), "roles: expected some of"),
    ],
)
def test_an_argument_that_cannot_be_sent_is_named(
    call: Callable[[PrisjaktClient], object],
    message: str,
    http: Session,
    outside: responses.RequestsMock,
) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        call(client_of(http))

    assert len(outside.calls) == 0


NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001


@pytest.mark.parametrize("method", ["events", "conversions", "purchase_summary"])
@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (NAIVE, END, "start: expected a time with a time zone"),
        (BEGIN, NAIVE, "end: expected a time with a time zone"),
        (END, BEGIN, "end: expected a time that is not before the start"),
    ],
)
def test_an_interval_that_cannot_be_asked_for_is_refused_at_once(
    method: str, start: datetime, end: datetime, message: str, http: Session
) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        getattr(client_of(http), method)(PIXEL, start, end)


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (datetime(2026, 11, 1, tzinfo=timezone(timedelta(hours=2))), "2026-10-31T22:00:00Z"),
        (datetime(2026, 11, 1, 0, 0, 0, 250_000, UTC), "2026-11-01T00:00:00.250Z"),
        (datetime(2026, 11, 1, 0, 0, 0, 250_999, UTC), "2026-11-01T00:00:00.250Z"),
    ],
)
def test_the_start_is_told_in_utc_and_never_later_than_it_is(
    start: datetime, told: str, http: Session, outside: responses.RequestsMock
) -> None:
    outside.get(f"{BASE_URL}/pixels/{PIXEL}/events", json=[])

    assert list(client_of(http).events(PIXEL, start, END)) == []

    assert dict(parse_qsl(urlsplit(str(outside.calls[0].request.url)).query))["from"] == told


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (datetime(2026, 11, 1, 0, 0, 0, 250_001, UTC), "2026-11-01T00:00:00.251Z"),
        (datetime(2026, 11, 1, 0, 0, 0, 999_001, UTC), "2026-11-01T00:00:01Z"),
    ],
)
def test_the_end_is_never_told_earlier_than_it_is(
    end: datetime, told: str, http: Session, outside: responses.RequestsMock
) -> None:
    outside.get(f"{BASE_URL}/pixels/{PIXEL}/events", json=[])

    assert list(client_of(http).events(PIXEL, BEGIN, end)) == []

    assert dict(parse_qsl(urlsplit(str(outside.calls[0].request.url)).query))["to"] == told


def test_a_client_id_is_one_part_of_the_path(
    http: Session, outside: responses.RequestsMock
) -> None:
    outside.get(f"{BASE_URL}/clients/a%2F..%3Fb%20%C3%A5", json={"id": "a/..?b å"})

    assert client_of(http).client("a/..?b å").id == "a/..?b å"


@pytest.mark.parametrize("click_id", [CLICK_ID, BARE_CLICK_ID])
def test_a_click_is_asked_for_without_its_signature(
    click_id: str, http: Session, outside: responses.RequestsMock
) -> None:
    outside.get(f"{BASE_URL}/clicks/{BARE_CLICK_ID}", json=CLICK)

    assert client_of(http).click(click_id).id == ID


# Pages


def pages(outside: responses.RequestsMock, *listings: tuple[list[int], str]) -> None:
    """The events of each page in turn, and its link header."""
    for ids, link in listings:
        outside.get(
            f"{BASE_URL}/pixels/{PIXEL}/events",
            json=[EVENT | {"id": numbered(number)} for number in ids],
            headers={"link": link} if link else {},
        )


def listed(http: Session) -> list[int]:
    found = client_of(http).events(PIXEL, BEGIN, END, event_name="purchase")
    return [int(each.id[-4:], 16) for each in found]


def next_page(query: str, host: str = "https://dev-api.pj.nu/click-conversion") -> str:
    return f'<{host}/pixels/{PIXEL}/events?page=1>; rel="first", <{host}/x?{query}>; rel="next"'


def test_pages_are_followed_by_their_query_but_not_to_their_host(
    http: Session, outside: responses.RequestsMock
) -> None:
    pages(
        outside,
        ([4, 3], next_page("page=2&from=2026-10-22T00%3A00%3A00Z&per_page=2")),
        ([2, 1], next_page("page=3", "https://evil.test:8080/elsewhere")),
        ([0], '<https://x.test/?page=2>; rel="prev"'),
    )

    assert listed(http) == [4, 3, 2, 1, 0]
    addresses = [urlsplit(str(request.url)) for request in requests_of(outside)]
    assert {f"{each.scheme}://{each.netloc}{each.path}" for each in addresses} == {
        f"{BASE_URL}/pixels/{PIXEL}/events"
    }
    first = INTERVAL | {"event_name": "purchase"}
    assert [dict(parse_qsl(each.query)) for each in addresses] == [
        first,
        first | {"page": "2", "per_page": "2"},
        first | {"page": "3", "per_page": "2"},
    ]


@pytest.mark.parametrize(
    "link",
    [
        next_page(""),
        next_page("page=2"),
        "<>; rel=next",
        "<http://[>; rel=next",
        "rubbish",
        ";,;,<",
        next_page("page=2#page=3"),
    ],
)
def test_a_page_is_never_asked_for_twice(
    link: str, http: Session, outside: responses.RequestsMock
) -> None:
    pages(outside, ([2, 1], link), ([0], link), ([9], ""))

    assert listed(http) in ([2, 1], [2, 1, 0])


def test_an_empty_page_is_the_last(http: Session, outside: responses.RequestsMock) -> None:
    pages(outside, ([2], next_page("page=2")), ([], next_page("page=3")), ([1], ""))

    assert listed(http) == [2]


def test_an_event_that_moved_to_the_next_page_comes_once(
    http: Session, outside: responses.RequestsMock
) -> None:
    pages(outside, ([3, 2], next_page("page=2")), ([3, 2], next_page("page=3")), ([2, 1], ""))

    assert listed(http) == [3, 2, 1]


def test_nothing_is_asked_before_it_is_wanted(
    http: Session, outside: responses.RequestsMock
) -> None:
    pages(outside, ([3, 2], next_page("page=2")), ([1], ""))

    found = client_of(http).events(PIXEL, BEGIN, END)
    assert len(outside.calls) == 0
    next(found)
    next(found)
    assert len(outside.calls) == 1
