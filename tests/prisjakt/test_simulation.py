"""The client and the simulated Prisjakt: what one writes the other reads, and who may do what."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from decimal import Decimal

import pytest
from requests import Session
from tests.conftest import PATIENCE
from tests.prisjakt.world import OAUTH, PAIR, PIXEL, SECRET, SHOP, Recorder, event, now
from tests.sender.world import BARE_CLICK_ID, CLICK_ID, START, Clock

from prisjakt_relay.errors import (
    ConflictError,
    NotAnsweredError,
    PrisjaktError,
    RateLimitedError,
    RefusedError,
    RejectedError,
    TokenError,
)
from prisjakt_relay.local.prisjakt_model import Answer, Call, Fault, Shop
from prisjakt_relay.local.prisjakt_server import PrisjaktServer, create_app, serve
from prisjakt_relay.prisjakt.answers import Rate
from prisjakt_relay.prisjakt.auth import Credentials, HeaderPair, OAuth, Tokens
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.prisjakt.models import Pixel

BEGIN, END = START - timedelta(days=7), START
ROLES = {"admin": {"admin"}, "user": {"shop_user"}, "publisher": {"event_publisher"}}
OTHER = "717d5a6d-ccc5-4c29-808c-9eda931d42ca"


@pytest.fixture
def model() -> Recorder:
    return Recorder(
        clients=dict.fromkeys(["shop-1", *ROLES], SECRET),
        roles=ROLES,
        any_pixel=False,
        pixels=[PIXEL],
        shops={SHOP: Shop(clients=("shop-1",)), 1: Shop(pixels=(PIXEL,))},
    )


def client_at(
    server: PrisjaktServer,
    http: Session,
    credentials: Credentials | None = None,
) -> PrisjaktClient:
    tokens = Tokens(server.token_address, http, clock=now, timeout=(PATIENCE, PATIENCE))
    return PrisjaktClient(
        server.base_address,
        http,
        clock=now,
        tokens=tokens,
        credentials=credentials,
        timeout=(PATIENCE, PATIENCE),
    )


@pytest.fixture(params=[PAIR, OAUTH], ids=["pair", "oauth"])
def client(request: pytest.FixtureRequest, server: PrisjaktServer, http: Session) -> PrisjaktClient:
    return client_at(server, http, request.param)


# Round trips


def test_an_event_that_was_created_can_be_read(client: PrisjaktClient) -> None:
    client.create_event(PIXEL, event())

    (listed,) = client.events(PIXEL, BEGIN, END)

    assert listed == client.event(listed.id)
    assert (listed.external_event_id, listed.click_id) == ("1001", BARE_CLICK_ID)
    assert listed.event_time == event().event_time
    assert (listed.data.amount, listed.data.currency) == (Decimal("996.5"), "SEK")
    assert listed.data.number_of_items == 3


def test_an_event_can_be_corrected(client: PrisjaktClient) -> None:
    client.create_event(PIXEL, event())

    client.create_or_update_events(
        PIXEL, [event(amount=Decimal("0.01")), event(external_event_id="1002")]
    )

    listed = {each.external_event_id: each for each in client.events(PIXEL, BEGIN, END)}
    assert {name: each.data.amount for name, each in listed.items()} == {
        "1001": Decimal("0.01"),
        "1002": Decimal("996.5"),
    }


def test_tests_are_listed_by_their_name(client: PrisjaktClient) -> None:
    client.create_event(PIXEL, event(event_name="test-purchase", signed_click_id=BARE_CLICK_ID))
    client.create_event(PIXEL, event(external_event_id="1002"))

    (listed,) = client.events(PIXEL, BEGIN, END, event_name="test-purchase")

    assert (listed.event_name, listed.external_event_id) == ("test-purchase", "1001")


def test_a_conversion_pairs_a_purchase_with_its_click(client: PrisjaktClient) -> None:
    client.create_event(PIXEL, event())

    (pair,) = client.conversions(PIXEL, BEGIN, END)
    click = client.click(CLICK_ID)

    assert (pair.purchase.amount, pair.purchase.number_of_items) == (Decimal("996.5"), 3)
    assert pair.purchase.timestamp == event().event_time
    assert (pair.forwarding.url, pair.forwarding.offer_id) == (
        click.location.url,
        click.location.offer_id,
    )
    assert pair.forwarding.product is not None
    assert pair.forwarding.product.id == click.location.product_id
    assert click.id == BARE_CLICK_ID
    assert (click.request.device_type, click.request.bot_score) == ("DESKTOP", Decimal(0))


def test_the_summary_counts_by_day_and_currency(client: PrisjaktClient) -> None:
    client.create_event(PIXEL, event())
    client.create_event(PIXEL, event(external_event_id="2", currency="EUR"))
    client.create_event(PIXEL, event(external_event_id="3", amount=Decimal("0.10")))

    summary = client.purchase_summary(PIXEL, BEGIN, END)

    assert [
        (row.date.isoformat(), row.currency, row.number_of_events, row.total_amount)
        for row in summary.per_day
    ] == [("2026-11-21", "EUR", 1, Decimal("996.5")), ("2026-11-21", "SEK", 2, Decimal("996.6"))]
    assert [total.total_amount for total in summary.summaries] == [
        Decimal("996.5"),
        Decimal("996.6"),
    ]


def test_a_pixel_can_be_switched_off_and_on(client: PrisjaktClient) -> None:
    for enabled in (False, True):
        client.update_pixel(PIXEL, enabled=enabled)

        assert client.pixel(PIXEL) == Pixel(id=PIXEL, enabled=enabled)


def test_a_shop_has_one_pixel(client: PrisjaktClient) -> None:
    assert client.pixels(SHOP) == []

    created = client.create_pixel(SHOP)
    with pytest.raises(ConflictError):
        client.create_pixel(SHOP)

    assert created.id is not None
    assert client.pixels(SHOP) == [Pixel(id=created.id, enabled=True)]
    shop = client.shop(SHOP)
    assert (shop.id, [pixel.id for pixel in shop.pixels]) == (SHOP, [created.id])
    assert [each.id for each in shop.clients] == ["shop-1"]


def test_an_admin_creates_clients(client: PrisjaktClient) -> None:
    admin = client.using(OAuth("admin", SECRET))

    created = admin.create_client(SHOP, {"event_publisher"})

    assert created.id is not None
    assert admin.client(created.id).roles == ("event_publisher",)
    with pytest.raises(ConflictError):
        admin.create_client(SHOP, {"event_publisher"})


# Who may do what

OPERATIONS: dict[str, tuple[Callable[[PrisjaktClient], object], str]] = {
    "create-event": (lambda client: client.create_event(PIXEL, event()), "anybody"),
    "create-events": (lambda client: client.create_or_update_events(PIXEL, [event()]), "user"),
    "get-events": (lambda client: list(client.events(PIXEL, BEGIN, END)), "user"),
    "get-event": (lambda client: client.event(OTHER), "user"),
    "get-pixel": (lambda client: client.pixel(PIXEL), "user"),
    "update-pixel": (lambda client: client.update_pixel(PIXEL, enabled=True), "user"),
    "get-purchase-summary": (lambda client: client.purchase_summary(PIXEL, BEGIN, END), "user"),
    "get-conversions": (lambda client: list(client.conversions(PIXEL, BEGIN, END)), "any client"),
    "get-click": (lambda client: client.click(OTHER), "user"),
    "get-client": (lambda client: client.client("user"), "any client"),
    "create-shop-client": (lambda client: client.create_client(SHOP, ["event_publisher"]), "admin"),
    "create-shop-pixel": (lambda client: client.create_pixel(SHOP), "user"),
    "get-shop-pixels": (lambda client: client.pixels(SHOP), "user"),
    "get-shop": (lambda client: client.shop(SHOP), "user"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_wants_its_role(
    operation: str, server: PrisjaktServer, http: Session, model: Recorder
) -> None:
    call, wanted = OPERATIONS[operation]

    for role in ROLES:
        for credentials in (HeaderPair(role, SECRET), OAuth(role, SECRET)):
            model.forget()
            status: int | None = None
            try:
                call(client_at(server, http, credentials))
            except PrisjaktError as error:
                status = error.problem.status

            allowed = wanted in ("anybody", "any client", role)
            assert (status != 403) is allowed
            assert status in (None, 403, 404, 409)  # some have their effect only once


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_wrong_secret_opens_nothing(
    operation: str, server: PrisjaktServer, http: Session
) -> None:
    """Nor is it told to anybody. One event needs no client, so that it is taken all the same."""
    call, wanted = OPERATIONS[operation]
    if wanted == "anybody":
        call(client_at(server, http, HeaderPair("user", "wrong")))
        return

    with pytest.raises(RefusedError) as refused:
        call(client_at(server, http, HeaderPair("user", "wrong")))
    with pytest.raises(TokenError) as without:
        call(client_at(server, http, OAuth("user", "wrong")))

    assert refused.value.problem.status == 401
    assert (without.value.problem.status, without.value.problem.title) == (401, "invalid_client")
    assert "wrong" not in f"{refused.value!r} {without.value!r} {vars(without.value)}"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_goes_wrong_is_told_and_over_next_time(
    operation: str, client: PrisjaktClient, model: Recorder
) -> None:
    call, wanted = OPERATIONS[operation]
    client = client.using(OAuth("admin", SECRET)) if wanted == "admin" else client

    for status, kind in ((404, RefusedError), (429, RateLimitedError), (503, NotAnsweredError)):
        model.faults.append(Fault(kind="status", operation=operation, status=status))
        with pytest.raises(kind):
            call(client)

    if operation not in ("get-event", "get-click"):
        call(client)


def test_a_pixel_that_nobody_made_is_not_found(client: PrisjaktClient) -> None:
    with pytest.raises(RefusedError, match="404: Pixel not found"):
        client.pixel(OTHER)


def test_a_bad_event_spoils_its_batch(client: PrisjaktClient, model: Recorder) -> None:
    bad = event(event_name="test-purchase", external_event_id="2")

    with pytest.raises(RejectedError) as rejected:
        client.create_or_update_events(PIXEL, [event(), bad])

    assert list(rejected.value.problem.field_errors) == ["[1].event_name"]
    assert model.events == {}


# Tokens


def test_one_token_does_for_everything(
    server: PrisjaktServer, http: Session, model: Recorder
) -> None:
    client = client_at(server, http, OAUTH)

    client.pixel(PIXEL)
    client.using(OAUTH).shop(SHOP)
    client.using(OAUTH).create_event(PIXEL, event())

    assert [call.path for call in model.calls].count("/oauth2/token") == 1
    assert "authorization" not in model.calls[-1].headers


def test_a_token_that_was_withdrawn_is_renewed(
    server: PrisjaktServer, http: Session, model: Recorder
) -> None:
    client = client_at(server, http, OAUTH)
    client.pixel(PIXEL)
    model.expire_tokens()

    assert client.pixel(PIXEL).enabled
    assert [call.path.rpartition("/")[2] for call in model.calls] == [
        "token",
        PIXEL,
        PIXEL,
        "token",
        PIXEL,
    ]


def test_a_token_that_was_withdrawn_is_renewed_once_for_all(
    server: PrisjaktServer, http: Session, model: Recorder
) -> None:
    client = client_at(server, http, OAUTH)
    client.pixel(PIXEL)
    model.expire_tokens()
    model.calls.clear()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(client.pixel, [PIXEL] * 8))

    assert found == [Pixel(id=PIXEL, enabled=True)] * 8
    assert [call.path for call in model.calls].count("/oauth2/token") == 1


def test_a_second_401_is_a_refusal(server: PrisjaktServer, http: Session, model: Recorder) -> None:
    client = client_at(server, http, OAUTH)
    model.faults.append(Fault(kind="status", operation="get-pixel", status=401, times=2))

    with pytest.raises(RefusedError, match="401"):
        client.pixel(PIXEL)

    assert len(model.calls) == 4
    assert client.pixel(PIXEL).enabled


def test_a_token_is_renewed_before_prisjakt_refuses_it(http: Session) -> None:
    clock = Clock()
    model = Recorder(clock=clock, token_lifetime=timedelta(minutes=20))
    with closing(serve(create_app(model), 0)) as server:
        tokens = Tokens(server.token_address, http, clock=clock)
        client = PrisjaktClient(
            server.base_address, http, clock=clock, tokens=tokens, credentials=OAUTH
        )
        for _ in range(60):
            client.pixel(PIXEL)
            clock.advance(60)

    paths = [call.path for call in model.calls]
    assert len(paths) == 60 + paths.count("/oauth2/token")
    assert paths.count("/oauth2/token") == 4


def test_without_a_token_nothing_is_sent(
    server: PrisjaktServer, http: Session, model: Recorder
) -> None:
    model.faults.append(Fault(kind="status", operation="token", status=503))
    client = client_at(server, http, OAUTH)

    with pytest.raises(TokenError, match="503"):
        client.pixel(PIXEL)

    assert [call.path for call in model.calls] == ["/oauth2/token"]


# Pages


class Busy(Recorder):
    """Has another purchase after every answer."""

    def answer(self, call: Call) -> Answer:
        answer = super().answer(call)
        if call.method == "GET":
            self.store(self.clock() - timedelta(minutes=1))
        return answer


@pytest.mark.parametrize("method", ["events", "conversions"])
def test_events_that_arrive_between_pages_disturb_nothing(method: str, http: Session) -> None:
    model = Busy()
    stored = [model.store(START - timedelta(hours=1 + number)) for number in range(350)]
    with closing(serve(create_app(model), 0)) as server:
        client = client_at(server, http, PAIR)
        found = list(getattr(client, method)(PIXEL, START - timedelta(days=30), START))

    ids = [each.id if method == "events" else each.purchase.id for each in found]
    assert len(ids) == len(set(ids))
    assert [each for each in ids if each in set(stored)] == stored
    assert len(model.calls) == 4


# The allowance


def test_the_allowance_is_told(client: PrisjaktClient) -> None:
    client.pixel(PIXEL)
    client.pixel(PIXEL)

    assert client.rate == Rate(limit=10_000, remaining=9_998, reset_seconds=3600)


def test_the_allowance_ends(client: PrisjaktClient, model: Recorder) -> None:
    model.hourly_limit = 1
    client.pixel(PIXEL)

    with pytest.raises(RateLimitedError) as raised:
        client.pixel(PIXEL)

    assert raised.value.wait == 3600
    assert client.rate == Rate(limit=1, remaining=0, reset_seconds=3600)


# What is printed


def test_nothing_secret_is_printed(server: PrisjaktServer, http: Session) -> None:
    for credentials in (PAIR, OAUTH):
        client = client_at(server, http, credentials)
        client.pixel(PIXEL)

        assert SECRET not in f"{client!r} {client} {vars(client)}"
