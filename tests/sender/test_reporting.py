"""The sender's rules, with Prisjakt, queue and table simulated in this process, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samtranslator.yaml_helper import yaml_parse
from tests.sender.world import (
    BARE_CLICK_ID,
    CLICK_ID,
    FUNCTION_SECONDS,
    PIXELS,
    START,
    VISIBILITY,
    Killed,
    Trouble,
    World,
    conversion,
)

from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import AwsError, Problem, StorageError
from prisjakt_relay.ledger import LAST_FIRST_REPORT, LEASE, Facts, Status
from prisjakt_relay.local import project
from prisjakt_relay.local.prisjakt_model import Answer, Call, Fault
from prisjakt_relay.outcomes import DeathReason, Outcome
from prisjakt_relay.platforms import shop_from
from prisjakt_relay.queues import LONGEST_STAY, MOST_RECEIVES
from prisjakt_relay.sender.reporting import BUSY_WAIT, report
from prisjakt_relay.sender.sending import (
    ENOUGH_TIME,
    FIRST_WAIT,
    GATHERED,
    UNSENT_WAIT,
    gathered,
)
from prisjakt_relay.shop import Shop, Shops
from prisjakt_relay.transport import CONNECT_SECONDS, READ_SECONDS

FOR_EVER = 10**6


def status(code: int, *, times: int = 1, **more: Any) -> Fault:
    return Fault(kind="status", status=code, times=times, **more)


def only(world: World, order_id: str = "1001") -> Decimal:
    """The amount of the one event of an order."""
    (event,) = world.events(order_id)
    return event.amount


def about(world: World, order_id: str = "1001") -> dict[str, Any]:
    """The fields of the last line about an order."""
    return [one.fields for one in world.lines if one.fields.get("order_id") == order_id][-1]


# Time


def test_the_times_fit_into_each_other() -> None:
    """Connecting and reading end before the time for a call, that before the lease and so on."""
    resources = yaml_parse((project.root() / "template.yaml").read_text("utf-8"))["Resources"]
    function = timedelta(seconds=resources["SenderFunction"]["Properties"]["Timeout"])
    visibility = timedelta(seconds=resources["ConversionQueue"]["Properties"]["VisibilityTimeout"])
    call = timedelta(seconds=CONNECT_SECONDS + READ_SECONDS)

    assert (CONNECT_SECONDS, READ_SECONDS) == (2, 8)
    assert timedelta(seconds=12) == ENOUGH_TIME
    assert timedelta(seconds=75) == LEASE
    assert call < ENOUGH_TIME < function < LEASE < visibility
    assert (function.total_seconds(), visibility) == (FUNCTION_SECONDS, VISIBILITY)


def test_a_batch_with_no_time_left_goes_back_untouched(world: World) -> None:
    ids = world.add(conversion(order_id="1"), conversion(order_id="2"))

    unsettled = world.round(seconds=11.9)

    assert unsettled == ids
    assert world.outside.calls == ["queue", "queue"]
    assert world.queue.postponed == [UNSENT_WAIT, UNSENT_WAIT]
    assert about(world, "1")["cause"] == "no time left in this round"


def test_a_call_starts_while_there_is_just_enough_time(world: World) -> None:
    world.add(conversion())

    assert world.round(seconds=12.0) == []
    assert only(world) == Decimal("996.50")


def test_no_call_starts_when_the_table_has_used_up_the_time(world: World) -> None:
    """The lease is given back, as if nothing had been tried: nothing has."""
    world.outside.seconds = {"get": 2.0, "put": 1.0}
    ids = world.add(conversion())

    assert world.round(seconds=14.0) == ids
    assert "post" not in world.outside.calls
    record = world.record()
    assert (record.token, record.tries, record.first_try_at) == (None, 0, None)

    world.run()
    assert world.outcomes()[-1] == Outcome.REPORTED


def test_the_rest_of_a_batch_goes_back_when_its_time_is_over(world: World) -> None:
    world.outside.seconds = {"post": 7.0}
    ids = world.add(*(conversion(order_id=str(number)) for number in range(10)))

    unsettled = world.round()

    assert unsettled == ids[7:]
    assert len(world.model.events) == 7
    assert len(world.store.records()) == 7


def test_after_two_time_outs_in_a_row_the_rest_goes_back_untouched(world: World) -> None:
    world.model.faults.append(Fault(kind="hang", seconds=20, times=2))
    ids = world.add(*(conversion(order_id=str(number)) for number in range(6)))

    unsettled = world.round()

    assert unsettled == ids
    assert len(world.transport.requests) == 2
    assert len(world.store.records()) == 2
    assert world.queue.postponed[2:] == [FIRST_WAIT / 2] * 4  # not at once: nobody is there


@pytest.mark.parametrize(
    "answer",
    [
        None,
        status(400),
        status(401),
        status(409),
        status(429),
        status(503),
        Fault(kind="cut_before"),
    ],
    ids=["201", "400", "401", "409", "429", "503", "cut"],
)
def test_an_answer_between_two_time_outs_shows_that_prisjakt_is_there(
    answer: Fault | None, world: World
) -> None:
    hang = Fault(kind="hang", seconds=20)
    world.model.faults += [
        replace(hang, external_event_id="0"),
        *([] if answer is None else [replace(answer, external_event_id="1")]),
        replace(hang, external_event_id="2"),
    ]
    shops = ("alfa", "beta", "alfa", "alfa")  # a 429 is for one client only
    world.add(*(conversion(order_id=str(n), shop=shop) for n, shop in enumerate(shops)))

    world.round()

    assert len(world.transport.requests) == 4
    assert only(world, "3") == Decimal("996.50")


# First reports


def test_a_purchase_is_reported_and_written_down(world: World) -> None:
    world.add(conversion())

    assert world.round() == []

    (event,) = world.events()
    assert (event.pixel_id, event.event_name) == (PIXELS["alfa"], "purchase")
    assert (event.signed_click_id, event.event_time) == (CLICK_ID, conversion().event_time)
    assert (event.amount, event.currency, event.number_of_items) == (Decimal("996.50"), "SEK", 3)
    record = world.record()
    assert (record.status, record.certain, record.tries) == (Status.REPORTED, True, 0)
    assert record.reported == record.settled == record.wanted == Facts.of(conversion())
    assert record.token is None
    assert world.ledger.last_success("alfa", correction=False) == START
    assert world.outcomes() == [Outcome.REPORTED]


def test_the_event_is_named_by_the_orders_reference(world: World) -> None:
    world.add(conversion(order_reference="SE-1001"))

    world.run()

    assert only(world, "SE-1001") == Decimal("996.50")


@pytest.mark.parametrize("click_id", [CLICK_ID, BARE_CLICK_ID])
def test_a_test_purchase_is_reported_as_one(click_id: str, world: World) -> None:
    world.add(conversion(event_name="test-purchase", click_id=click_id))

    world.run()

    (event,) = world.events()
    assert (event.event_name, event.signed_click_id) == ("test-purchase", click_id)


def test_a_test_does_not_stand_in_the_way_of_a_purchase(world: World) -> None:
    world.add(conversion(event_name="test-purchase"), conversion(order_reference="SE-1001"))

    world.run()

    assert sorted(event.event_name for event in world.model.events.values()) == [
        "purchase",
        "test-purchase",
    ]
    assert len(world.store.records()) == 2


CREDENTIALS = {"prisjakt_client_id": "shop-1", "prisjakt_client_secret": "hush-hush"}


@pytest.mark.parametrize(
    ("choices", "pair"),
    [
        ({}, (None, None)),
        (CREDENTIALS, (None, None)),
        (CREDENTIALS | {"prisjakt_auth": "oauth"}, (None, None)),
        (CREDENTIALS | {"prisjakt_auth": "headers"}, (b"shop-1", b"hush-hush")),
    ],
)
def test_a_first_report_carries_the_header_pair_if_the_shop_says_so_and_never_a_token(
    choices: dict[str, str], pair: tuple[bytes | None, bytes | None], world: World
) -> None:
    world.documents["alfa"] |= choices
    world.add(conversion())

    world.run()

    (request,) = world.transport.requests
    headers = request.headers
    assert (headers.get("client-id"), headers.get("client-secret")) == pair
    assert "authorization" not in headers


@pytest.mark.parametrize("copies", [1, 2, 100])
@pytest.mark.parametrize("most", [1, 10])
def test_any_number_of_deliveries_is_one_event(copies: int, most: int, world: World) -> None:
    world.add(*(conversion() for _ in range(copies)))

    world.run(most=most)

    assert only(world) == Decimal("996.50")
    assert world.outcomes()[0] == Outcome.REPORTED
    assert set(world.outcomes()[1:]) <= {Outcome.DUPLICATE}
    assert len(world.transport.requests) == 1


def test_messages_of_one_order_in_one_batch_are_one_report_of_the_newest(world: World) -> None:
    world.add(
        conversion(revision=1, amount=Decimal("1.00")),
        conversion(revision=3, amount=Decimal("3.00")),
        conversion(revision=2, amount=Decimal("2.00")),
    )

    assert world.round() == []
    assert only(world) == Decimal("3.00")
    assert len(world.transport.requests) == 1


def test_only_the_newest_message_of_an_order_has_to_wait(world: World) -> None:
    world.model.faults.append(status(503))
    _, newest, _ = world.add(conversion(revision=1), conversion(revision=3), conversion(revision=2))

    assert world.round() == [newest]


def test_messages_in_two_currencies_speak_for_themselves(world: World) -> None:
    """The first one freezes the currency; a figure in another one cannot correct it."""
    world.add(conversion(revision=1), conversion(revision=2, currency="EUR"))

    assert world.round() == []
    (event,) = world.events()
    assert event.currency == "SEK"
    assert world.outcomes() == [Outcome.REPORTED, Outcome.NOT_CORRECTABLE]


def test_a_change_after_the_report_is_visible_as_not_correctable(world: World) -> None:
    world.add(conversion(revision=1))
    world.run()

    world.add(conversion(revision=2, amount=Decimal("5.00")))
    world.run()

    assert only(world) == Decimal("996.50")
    assert world.record().status is Status.NOT_CORRECTABLE
    assert world.outcomes() == [Outcome.REPORTED, Outcome.NOT_CORRECTABLE]


def test_an_order_that_was_void_before_any_report_is_not_reported_by_a_late_message(
    world: World,
) -> None:
    world.add(conversion(revision=2, void=True))
    world.run()
    world.add(conversion(revision=1))
    world.run()

    assert world.events() == []
    assert world.outcomes() == [Outcome.NOTHING_TO_REPORT, Outcome.SUPERSEDED]


def test_exactly_the_messages_that_are_not_settled_are_returned(world: World) -> None:
    world.model.faults += [
        status(503, external_event_id="slow"),
        status(400, external_event_id="wrong"),
        Fault(kind="cut_after", external_event_id="cut"),
    ]
    fine, slow, wrong, cut, foreign = world.add(
        conversion(order_id="fine"),
        conversion(order_id="slow"),
        conversion(order_id="wrong"),
        conversion(order_id="cut"),
        conversion(order_id="foreign", shop="nobody"),
    )
    garbage = world.queue.add("{}")

    unsettled = world.round()

    assert sorted(unsettled) == [slow, cut, foreign]
    assert set(world.queue.waiting) == {slow, cut, foreign}
    assert {fine, wrong, garbage}.isdisjoint(unsettled)


# Answers

SOON_OR_LATE = {
    "500": status(500),
    "503 with a page": status(503, body="<html>"),
    "408": status(408),
    "425": status(425),
    "401": status(401),
    "403": status(403),
    "404": status(404),
    "405": status(405),
    "redirect": status(302, headers={"Location": "https://example.test/"}),
    "429": status(429),
    "429 with a duration": status(429, headers={"X-RateLimit-Reset": "90000"}),
    "429 with a point in time": status(429, headers={"X-RateLimit-Reset": "1795219290000"}),
    "429 with Retry-After": status(429, headers={"Retry-After": "90"}),
    "429 with a date": status(429, headers={"Retry-After": "Sat, 21 Nov 2026 00:01:30 GMT"}),
    "hangs for long": Fault(kind="hang", seconds=20),
    "hangs a little": Fault(kind="hang", seconds=5),
    "cut before": Fault(kind="cut_before"),
    "cut after": Fault(kind="cut_after"),
}


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("name", SOON_OR_LATE)
def test_whatever_goes_wrong_for_a_while_there_is_one_event(
    name: str, times: int, world: World
) -> None:
    world.model.faults.append(replace(SOON_OR_LATE[name], times=times))
    world.add(conversion())

    world.run()

    assert only(world) == Decimal("996.50")
    record = world.record()
    assert (record.status, record.token) == (Status.REPORTED, None)
    assert record.reported == Facts.of(conversion())
    assert world.outcomes()[-1] == Outcome.REPORTED


@pytest.mark.parametrize(
    ("name", "certain"),
    [
        ("cut before", True),
        ("cut after", False),
        ("hangs for long", False),
        ("503 with a page", True),
        ("401", True),
    ],
)
def test_facts_are_certain_if_our_own_try_was_accepted(
    name: str, certain: bool, world: World
) -> None:
    world.model.faults.append(replace(SOON_OR_LATE[name]))
    world.add(conversion())

    world.run()

    assert world.record().certain is certain


def test_while_prisjakt_refuses_connections_orders_wait(world: World) -> None:
    world.transport.refusing = True
    (message,) = world.add(conversion())

    assert world.round() == [message]
    record = world.record()
    assert (record.tries, record.refusals, record.uncertain) == (1, 0, False)
    assert about(world)["cause"] == "NotAnsweredError"

    world.transport.refusing = False
    world.run()
    assert only(world) == Decimal("996.50")


def test_an_event_that_somebody_else_reported_is_left_as_it_is(world: World) -> None:
    world.add(conversion(amount=Decimal("1.00")))
    world.run()
    world.store.items.clear()

    world.add(conversion())
    world.run()

    assert only(world) == Decimal("1.00")
    assert world.record().status is Status.ALREADY_AT_PRISJAKT
    assert world.outcomes()[-1] == Outcome.ALREADY_AT_PRISJAKT
    assert world.ledger.last_success("alfa", correction=False) == START  # the set-up is in order


def test_a_conflict_after_a_refused_connection_is_somebody_elses_event(world: World) -> None:
    world.transport.refusing = True
    world.add(conversion())
    world.round()
    world.transport.refusing = False
    world.model.faults.append(status(409))

    world.run()

    assert world.record().status is Status.ALREADY_AT_PRISJAKT


FIELD_ERRORS = {
    "title": "Request validation failed",
    "status": 400,
    "detail": "Request contains invalid fields: signed_click_id",
    "field_errors": {"signed_click_id": {"message": "is not known", "value": CLICK_ID}},
    "context": {"request-id": "request-1"},
}


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_rejected_order_is_dead_with_the_reasons_and_others_are_not(
    code: int, world: World
) -> None:
    world.model.faults.append(
        status(code, times=FOR_EVER, external_event_id="1001", body=FIELD_ERRORS)
    )
    world.add(conversion(), conversion(order_id="1002"))

    assert world.round() == []

    record = world.record()
    assert (record.status, record.death, record.dead_since) == (
        Status.DEAD,
        DeathReason.REJECTED,
        START,
    )
    assert record.answer == Problem(
        code,
        "Request validation failed",
        "Request contains invalid fields: signed_click_id",
        {"signed_click_id": "is not known"},
        "request-1",
    )
    assert only(world, "1002") == Decimal("996.50")
    assert about(world) == {
        "outcome": Outcome.DEAD,
        "platform": "shopify",
        "shop": "alfa",
        "order_id": "1001",
        "tries": 0,
        "reason": DeathReason.REJECTED,
        "answer_status": code,
        "answer_title": "Request validation failed",
        "answer_fields": ["signed_click_id"],
        "answer_request_id": "request-1",
    }


def test_a_dead_order_is_not_sent_again_until_it_changes(world: World) -> None:
    world.model.faults.append(status(400))
    world.add(conversion(revision=1))
    world.run()
    world.add(conversion(revision=1), conversion(revision=2))
    world.run()
    assert (world.record().status, len(world.transport.requests)) == (Status.DEAD, 1)

    world.add(conversion(revision=3, amount=Decimal("5.00")))
    world.run()

    assert only(world) == Decimal("5.00")
    assert (world.record().status, world.record().death) == (Status.REPORTED, None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": Decimal("999999999.50")}, "amount"),
        ({"click_id": BARE_CLICK_ID}, "signed_click_id"),
    ],
)
def test_an_event_beyond_a_documented_limit_is_dead_without_being_sent(
    changes: dict[str, Any], field: str, world: World
) -> None:
    world.add(conversion(**changes))

    world.run()

    assert world.transport.requests == []
    record = world.record()
    assert (record.status, record.death) == (Status.DEAD, DeathReason.REJECTED)
    assert list(record.answer.field_errors) == [field]
    assert about(world)["answer_fields"] == [field]


def test_an_order_of_long_ago_holds_up_nobody(world: World) -> None:
    """No receiver queues one; but a date with a short year must not end the function either."""
    world.add(conversion(event_time=START.replace(year=999)), conversion(order_id="1002"))

    world.run()

    assert world.record().event_time == "0999-11-21T00:00:00Z"
    assert only(world, "1002") == Decimal("996.50")


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_broken_set_up_kills_no_order(code: int, world: World) -> None:
    """Nothing of the shop gets through: it is the shop's set-up, and mended some day."""
    world.model.faults.append(status(code, times=12, pixel_id=PIXELS["alfa"]))
    world.add(conversion(order_id="1"), conversion(order_id="2"))
    world.add(conversion(order_id="3", shop="beta", platform="woocommerce"))

    world.run()

    assert [only(world, number) for number in "123"] == [Decimal("996.50")] * 3
    assert world.outcomes("1").count("set_up_refused") >= 4
    assert {line.fields["shop"] for line in world.lines if line.event == "set_up_refused"} == {
        "alfa"
    }


def test_a_success_before_the_first_try_says_nothing_about_this_order(world: World) -> None:
    world.add(conversion(order_id="1"))
    world.run()
    world.clock.advance(1)
    world.model.faults.append(status(403, times=5))

    world.add(conversion(order_id="2"))
    world.run()

    assert world.outcomes("2") == ["set_up_refused"] * 5 + [Outcome.REPORTED]


@pytest.mark.parametrize("code", [401, 403, 404])
@pytest.mark.parametrize("together", [True, False])
def test_an_order_that_alone_is_refused_is_dead_at_the_third_time(
    code: int, together: bool, world: World
) -> None:
    """Others of its shop got through since its first try, so it is the order's own fault."""
    world.model.faults.append(
        status(code, times=FOR_EVER, external_event_id="1001", body={"title": "Unknown click"})
    )
    world.add(conversion(order_id="1002"), conversion()) if together else world.add(conversion())
    world.round()
    if not together:
        world.add(conversion(order_id="1002"))
    world.run()

    record = world.record()
    assert (record.death, record.tries) == (DeathReason.REFUSED, 2)
    assert record.answer == Problem(code, "Unknown click")
    assert len(world.transport.requests) == 4
    assert only(world, "1002") == Decimal("996.50")
    assert world.outcomes().count(Outcome.DEAD) == 1
    assert about(world)["reason"] is DeathReason.REFUSED


def test_refusals_from_before_the_shop_got_through_do_not_count_against_the_order(
    world: World,
) -> None:
    world.model.faults += [
        status(403, times=3, pixel_id=PIXELS["alfa"]),
        status(403, times=FOR_EVER, external_event_id="1001"),
    ]
    world.add(conversion())
    for _ in range(3):
        world.round()
        world.clock.advance(3600)
    world.add(conversion(order_id="1002"))
    world.round()
    assert world.record().status is Status.WAITING

    world.run()

    assert world.outcomes() == ["set_up_refused"] * 4 + [Outcome.WAITING, Outcome.DEAD]
    assert (world.record().tries, world.record().refusals) == (5, 1)


def test_a_corrected_pixel_id_saves_the_orders_that_wait(world: World) -> None:
    world.model.faults.append(status(404, times=2, pixel_id=PIXELS["alfa"]))
    world.add(conversion(order_id="1"))
    world.round()
    world.documents["alfa"]["pixel_id"] = PIXELS["beta"]
    world.ports = world.process()
    world.run()

    (event,) = world.events("1")
    assert event.pixel_id == PIXELS["beta"]


def test_an_order_is_not_reported_for_the_first_time_after_29_days(world: World) -> None:
    world.model.faults.append(Fault(kind="cut_after", times=FOR_EVER))
    world.add(conversion())
    world.round()
    world.model.faults.clear()

    world.clock.advance((LAST_FIRST_REPORT + timedelta(milliseconds=1)).total_seconds())
    world.run()

    assert len(world.transport.requests) == 1
    assert (world.record().death, world.outcomes()[-1]) == (DeathReason.EXPIRED, Outcome.DEAD)


def test_an_outage_of_more_than_a_week_ends_with_one_event(world: World) -> None:
    world.random = 1.0
    world.add(conversion())
    world.model.faults.append(status(503, times=10 * 24))

    world.run(rounds=300)

    assert only(world) == Decimal("996.50")
    assert world.clock() - START > LONGEST_STAY
    assert world.queue.renewed == [("alfa", 3600.0)]


# Rate limits


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60),
        ({"X-RateLimit-Reset": "600000"}, 600),
        ({"X-RateLimit-Reset": "1795219500000"}, 300),
        ({"X-RateLimit-Reset": "1795219500"}, 300),
        ({"Retry-After": "45"}, 45),
        ({"X-RateLimit-Reset": "99999999999999"}, 3600),
        ({"X-RateLimit-Reset": "-5"}, 60),
    ],
)
def test_after_a_429_nobody_sends_for_that_client_until_the_reset(
    headers: dict[str, str], seconds: float, world: World
) -> None:
    world.model.faults.append(status(429, headers=headers))
    ids = world.add(*(conversion(order_id=str(number)) for number in range(3)))
    world.add(conversion(order_id="other", shop="beta", platform="woocommerce"))

    assert world.round() == ids
    assert only(world, "other") == Decimal("996.50")
    assert len(world.transport.requests) == 2

    another_sender = world.process()
    world.clock.advance(seconds - 1)
    late = world.add(conversion(order_id="late"))
    deadline = world.clock() + timedelta(seconds=60)
    assert report(world.queue.receive(10), another_sender, deadline) == late
    assert len(world.transport.requests) == 2

    world.run()
    assert len(world.model.events) == 5
    assert len(world.transport.requests) == 6


def test_a_rate_limit_is_not_a_try(world: World) -> None:
    world.model.faults.append(status(429))
    world.add(conversion())

    world.round()

    record = world.record()
    assert (record.tries, record.first_try_at, record.token) == (0, None, None)
    assert not record.uncertain
    assert about(world)["cause"] == "rate limit"


def test_a_client_is_whom_prisjakt_counts_for(world: World) -> None:
    """Two shops with one client id are in one pause; without credentials the pixel counts."""
    world.documents["alfa"] |= CREDENTIALS
    world.documents["beta"] |= CREDENTIALS
    world.model.faults.append(status(429))
    ids = world.add(conversion(order_id="1"), conversion(order_id="2", shop="beta"))

    assert world.round() == ids
    assert len(world.transport.requests) == 1


def test_pauses_double_while_prisjakt_gives_no_hint(world: World) -> None:
    world.random = 0.0
    world.model.faults.append(status(429, times=8))
    world.add(conversion())

    world.run()

    assert world.queue.postponed == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert only(world) == Decimal("996.50")


def test_a_pause_that_is_over_within_the_round_is_over(world: World) -> None:
    world.outside.seconds = {"post": 3.0}
    world.model.faults.append(status(429, headers={"Retry-After": "2"}))
    limited, _, _ = world.add(*(conversion(order_id=number) for number in "123"))
    world.outside.seconds |= {"get": 1.0}

    assert world.round() == [limited]
    assert len(world.model.events) == 2


def test_an_allowance_that_is_used_up_delays_and_loses_nothing(world: World) -> None:
    world.model.hourly_limit = 5
    world.add(*(conversion(order_id=str(number)) for number in range(12)))

    world.run()

    assert len(world.model.events) == 12
    assert timedelta(hours=2) < world.clock() - START < timedelta(hours=3)


def test_a_cancellation_that_comes_during_a_pause_is_known_before_anything_is_sent(
    world: World,
) -> None:
    """Whichever message is taken first afterwards: what is wanted is merged while they wait."""
    world.model.faults.append(status(429, headers={"Retry-After": "600"}))
    world.add(conversion(order_id="1"))
    world.round()
    world.add(conversion(order_id="2", revision=1))
    world.add(conversion(order_id="2", revision=2, void=True, amount=Decimal(0)))
    world.run()

    assert world.events("2") == []
    assert Outcome.NOTHING_TO_REPORT in world.outcomes("2")


def test_a_duplicate_is_settled_even_during_a_pause(world: World) -> None:
    world.add(conversion())
    world.run()
    world.model.faults.append(status(429))
    world.add(conversion(order_id="1002"))
    world.round()

    world.add(conversion())

    assert world.round() == []
    assert world.outcomes()[-1] == Outcome.DUPLICATE


def test_a_pause_and_the_lease_of_another_sender_are_waited_for(world: World) -> None:
    world.ledger.claim(
        conversion(), pixel_id=PIXELS["alfa"], corrects=False, now=world.clock(), token="other"
    )
    world.ports.rate_limit.pause(PIXELS["alfa"], 600.0, world.clock())
    (message,) = world.add(conversion())

    assert world.round() == [message]
    assert world.record().token == "other"
    assert about(world)["cause"] == "another sender has it"


# Waiting


@pytest.mark.parametrize(
    ("fault", "first"),
    [(status(503), 30.0), (Fault(kind="cut_before"), 30.0), (status(403), 300.0)],
)
@pytest.mark.parametrize("random", [0.0, 0.5, 1.0])
def test_waits_grow_from_the_first_to_an_hour_with_full_jitter(
    fault: Fault, first: float, random: float, world: World
) -> None:
    world.random = random
    world.model.faults.append(replace(fault, times=10))
    world.add(conversion())

    world.run()

    assert world.queue.postponed == [random * min(first * 2**n, 3600) for n in range(10)]
    assert [line.fields["seconds"] for line in world.lines[:-1]] == world.queue.postponed


def shop_with(**fields: Any) -> Shop:
    return shop_from({"platform": "shopify", "pixel_id": PIXELS["alfa"], **fields})


def test_who_waits_long_comes_back_together_with_others_of_the_client(world: World) -> None:
    """After an outage a backlog shares requests. Another client has moments of its own."""
    ends: dict[str, set[float]] = {"shop-1": set(), "shop-2": set()}
    for client, moments in ends.items():
        credentials = {"prisjakt_client_id": client, "prisjakt_client_secret": "hush"}
        shop = shop_with(signing_secrets=["s"], **credentials)
        for late in range(0, 600, 37):
            world.clock.now = START + timedelta(seconds=late)
            for seconds in (GATHERED, 1000.5, 3600.0):
                wait = gathered(seconds, shop, world.ports)
                assert seconds - GATHERED <= wait <= seconds + GATHERED
                assert wait <= 3600
                moments.add(round((world.clock().timestamp() + wait) % GATHERED, 3) % GATHERED)

    assert [len(moments) for moments in ends.values()] == [1, 1]
    assert ends["shop-1"] != ends["shop-2"]


def test_who_cannot_share_a_request_comes_back_by_itself(world: World) -> None:
    """Without credentials every order is a request of its own: together they would be a rush."""
    shop = shop_with(signing_secrets=["s"])

    assert gathered(1000.5, shop, world.ports) == 1000.5
    assert gathered(1000.5, None, world.ports) == 1000.5


def test_a_short_wait_is_not_made_longer(world: World) -> None:
    shop = shop_with(signing_secrets=["s"], **CREDENTIALS)

    assert gathered(GATHERED - 0.1, shop, world.ports) == GATHERED - 0.1


def test_a_table_that_goes_away_after_the_report_does_not_outlast_the_function(
    world: World,
) -> None:
    """What was sent and not written down is found at Prisjakt by who comes next."""
    world.documents["alfa"] |= CREDENTIALS
    world.add(*(conversion(order_id=str(n)) for n in range(20)))
    world.outside.trouble = Trouble(StorageError("PutItem: gone"), 21, 40, kinds=("put",))

    world.round(most=20)
    assert world.outside.calls.count("put") == 22

    world.outside.trouble = None
    world.run(most=20)
    assert len(world.model.events) == 20
    assert {record.status for record in world.store.records()} == {Status.REPORTED}


class Documents:
    """Secrets Manager, which has its troubles with some shops."""

    def __init__(self, world: World, *troubles: tuple[str, StorageError]) -> None:
        self._world = world
        self._troubles = dict(troubles)
        self.reads: list[str] = []
        shops = Shops(self.read, clock=world.clock, alarm=lambda *_, **__: None)
        world.ports = replace(world.ports, shops=shops)

    def read(self, name: str, _: datetime) -> str:
        self.reads.append(name)
        if name in self._troubles:
            raise self._troubles[name]
        return json.dumps(self._world.documents[name])


def test_documents_that_cannot_be_read_do_not_outlast_the_function(world: World) -> None:
    """Each is tried for seconds: a second shop whose document is not answered ends the round."""
    names = [f"shop-{n // 2}" for n in range(20)]
    messages = world.add(*(conversion(shop=name, order_id=str(n)) for n, name in enumerate(names)))
    documents = Documents(world, *((name, StorageError("GetSecretValue")) for name in names))

    assert world.round(most=20) == messages
    assert documents.reads == ["shop-0", "shop-1"]


@pytest.mark.parametrize(
    "trouble",
    [
        StorageError("GetSecretValue: ReadTimeoutError"),
        AwsError("GetSecretValue", "DecryptionFailure"),
        AwsError("GetSecretValue", "AccessDeniedException"),
    ],
)
def test_a_document_that_cannot_be_read_holds_up_its_own_shop_only(
    trouble: StorageError, world: World
) -> None:
    held = world.add(*(conversion(shop="beta", order_id=str(n)) for n in range(5)))
    world.add(*(conversion(order_id=str(n)) for n in range(10, 15)))
    documents = Documents(world, ("beta", trouble))

    assert world.round(most=20) == held
    assert sorted(documents.reads) == ["alfa", "beta"]
    assert len(world.model.events) == 5
    causes = {line.fields["cause"] for line in world.lines if "cause" in line.fields}
    assert causes == {"shop document not available"}


def test_documents_that_are_refused_one_by_one_do_not_end_a_round(world: World) -> None:
    """An answer comes at once, and says nothing of the next shop."""
    refused = ("beta", "gamma", "delta")
    held = world.add(*(conversion(shop=name, order_id=name) for name in refused))
    world.add(conversion(order_id="1"))
    Documents(world, *((name, AwsError("GetSecretValue", "DecryptionFailure")) for name in refused))

    assert world.round(most=20) == held
    assert len(world.model.events) == 1


def test_the_local_system_shortens_our_own_waits_only(world: World) -> None:
    world.random = 1.0
    world.ports = world.process(scale=0.01)
    world.model.faults += [
        status(503, external_event_id="1"),
        status(429, external_event_id="2", headers={"Retry-After": "100"}),
    ]
    world.add(conversion(order_id="1"), conversion(order_id="2"))

    world.round()

    assert world.queue.postponed == [0.3, 100.0]


@pytest.mark.parametrize(("left", "wait"), [(75.0, BUSY_WAIT), (10.0, 10.0), (4.0, 4.0)])
def test_while_another_sender_has_the_order_this_one_waits(
    left: float, wait: float, world: World
) -> None:
    world.ledger.claim(
        conversion(), pixel_id=PIXELS["alfa"], corrects=False, now=world.clock(), token="other"
    )
    world.clock.advance(75.0 - left)
    (message,) = world.add(conversion())

    assert world.round() == [message]
    assert world.queue.postponed == [wait]
    assert world.transport.requests == []
    assert about(world)["cause"] == "another sender has it"


def test_a_try_whose_lease_was_lost_settles_nothing(world: World) -> None:
    """It comes back, and finds what the other sender made of it."""
    world.outside.seconds = {"post": 376.0}
    (message,) = world.add(conversion())
    taken_over = world.model.answer

    def answer(call: Call) -> Answer:
        world.ledger.claim(
            conversion(), pixel_id=PIXELS["alfa"], corrects=False, now=world.clock(), token="other"
        )
        return taken_over(call)

    world.model.answer = answer  # type: ignore[method-assign]
    assert world.round(seconds=400.0) == [message]
    assert about(world)["cause"] == "the lease was lost"
    assert world.record().token == "other"

    world.model.answer = taken_over  # type: ignore[method-assign]
    world.outside.seconds = {}
    world.run()
    assert only(world) == Decimal("996.50")
    assert world.record().status is Status.REPORTED


def test_a_line_says_how_old_a_waiting_order_is(world: World) -> None:
    world.model.faults.append(status(503, body={"title": "Away", "status": 503}))
    world.add(conversion())

    world.round()

    (line,) = world.lines
    assert (line.event, line.age) == (Outcome.WAITING, 29 * 60)
    assert line.fields == {
        "outcome": Outcome.WAITING,
        "cause": "NotAnsweredError",
        "seconds": 15.0,
        "platform": "shopify",
        "shop": "alfa",
        "order_id": "1001",
        "receives": 1,
        "answer_status": 503,
        "answer_title": "Away",
        "answer_fields": None,
        "answer_request_id": None,
    }


# The queue's own limits


def wear_out(world: World, *, by_age: bool) -> str:
    (message,) = world.add(conversion(), receives=0 if by_age else MOST_RECEIVES - 1)
    if by_age:
        world.clock.advance(LONGEST_STAY.total_seconds())
    return message


@pytest.mark.parametrize("by_age", [True, False])
def test_a_worn_message_that_has_to_wait_is_put_on_anew(by_age: bool, world: World) -> None:
    world.random = 1.0
    message = wear_out(world, by_age=by_age)
    world.model.faults.append(status(503))

    assert world.round() == []

    assert world.queue.renewed == [("alfa", 30.0)]
    (copy,) = world.queue.waiting.values()
    assert copy.message.id != message
    assert (copy.message.body, copy.message.receives) == (conversion().to_message(), 0)
    world.run()
    assert only(world) == Decimal("996.50")


@pytest.mark.parametrize("by_age", [True, False])
def test_a_worn_message_stays_if_it_cannot_be_put_on_anew(by_age: bool, world: World) -> None:
    message = wear_out(world, by_age=by_age)
    world.model.faults.append(status(503))
    world.queue.broken = True

    assert world.round() == [message]
    assert set(world.queue.waiting) == {message}
    assert world.queue.renewed == []


def test_a_worn_message_that_is_settled_just_goes(world: World) -> None:
    wear_out(world, by_age=False)

    assert world.round() == []
    assert world.queue.waiting == {}
    assert world.queue.renewed == []


@pytest.mark.parametrize(
    ("body", "field"), [("{}", "version"), ("no JSON", "body"), ("[" * 10_000, "body")]
)
def test_what_cannot_be_read_is_set_aside(body: str, field: str, world: World) -> None:
    message = world.queue.add(body)
    world.add(conversion())

    assert world.round() == []

    assert world.queue.set_aside_bodies == [body]
    assert only(world) == Decimal("996.50")
    line = world.lines[0]
    assert (line.event, line.fields) == (
        Outcome.UNREADABLE,
        {"message_id": message, "field": field},
    )


def test_what_cannot_be_read_stays_if_it_cannot_be_set_aside(world: World) -> None:
    message = world.queue.add("{}")
    world.add(conversion())
    world.queue.broken = True

    assert world.round() == [message]
    assert world.queue.set_aside_bodies == []

    world.queue.broken = False
    world.run()
    assert world.queue.set_aside_bodies == ["{}"]


# Shop documents


def test_an_unknown_shop_waits_for_its_document(world: World) -> None:
    world.random = 1.0
    document = world.documents.pop("alfa")
    world.add(conversion(), conversion(order_id="1002", shop="beta"))

    world.round()

    assert world.queue.postponed == [3600.0]
    assert (about(world)["cause"], world.outcomes()) == ("unknown shop", ["set_up_refused"])
    assert only(world, "1002") == Decimal("996.50")

    world.documents["alfa"] = document
    world.run()
    assert only(world) == Decimal("996.50")


@pytest.mark.parametrize("away", [True, False])
def test_a_shop_document_that_cannot_be_had_or_used_holds_up_its_shop_only(
    away: bool, world: World
) -> None:
    world.random = 1.0
    world.add(conversion(order_id="1002", shop="beta"))
    world.run()
    good = world.documents["alfa"]
    world.documents["alfa"] = {"platform": "shopify"}
    world.secrets_away = away
    (message,) = world.add(conversion())
    world.add(conversion(order_id="1003", shop="beta"))

    assert world.round() == [message]

    assert world.queue.postponed == [30.0]
    assert about(world)["cause"] == "shop document not available"
    assert "shop_document_unusable" in [line.event for line in world.lines]
    assert only(world, "1003") == Decimal("996.50")

    world.documents["alfa"], world.secrets_away = good, False
    world.run()
    assert only(world) == Decimal("996.50")


def test_orders_of_a_shop_that_is_gone_are_set_aside_after_a_month(world: World) -> None:
    del world.documents["alfa"]
    world.add(conversion(order_id="1"))
    world.round()
    assert world.queue.set_aside_bodies == []

    # It was received 29 minutes before.
    world.clock.now = START + LAST_FIRST_REPORT - timedelta(minutes=29)
    world.round()
    assert world.queue.set_aside_bodies == []

    world.clock.advance(3600)
    world.queue.broken = True
    assert len(world.round()) == 1

    world.clock.advance(3600)
    world.queue.broken = False
    world.round()
    assert world.queue.set_aside_bodies == [conversion(order_id="1").to_message()]
    assert world.queue.waiting == {}


# Every trouble at every point


@dataclass(frozen=True)
class Scenario:
    """How a world is set up, and which orders must in the end be reported or dead."""

    prepare: Callable[[World], None]
    reported: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    unreadable: int = 0


def one_purchase(world: World) -> None:
    world.add(conversion())


def several_purchases(world: World) -> None:
    world.add(conversion(), conversion(order_id="1002"), conversion(order_id="1003", shop="beta"))


def duplicates(world: World) -> None:
    world.add(conversion(), conversion(), conversion(revision=1))
    world.queue.add(conversion().to_message(), after=20.0)


def a_change(world: World) -> None:
    world.add(conversion(revision=1))
    world.queue.add(conversion(revision=2, amount=Decimal("5.00")).to_message(), after=20.0)


def a_time_out(world: World) -> None:
    world.model.faults.append(Fault(kind="hang", seconds=20))
    world.add(conversion())


def a_cut(world: World) -> None:
    world.model.faults.append(Fault(kind="cut_after"))
    world.add(conversion())


def an_outage(world: World) -> None:
    world.model.faults.append(status(503, times=2))
    world.add(conversion())


def a_rate_limit(world: World) -> None:
    world.model.faults.append(status(429))
    world.add(conversion(), conversion(order_id="1002"))


def a_rejection(world: World) -> None:
    world.model.faults.append(status(400, times=FOR_EVER, external_event_id="1002"))
    world.add(conversion(), conversion(order_id="1002"))


def a_foreign_click(world: World) -> None:
    world.model.faults.append(status(403, times=FOR_EVER, external_event_id="1002"))
    world.add(conversion(order_id="1002"), conversion())
    # Should it be the note of that success which is lost, the next success makes up for it.
    world.queue.add(conversion(order_id="1003").to_message(), after=7200.0)


def a_worn_message(world: World) -> None:
    world.model.faults.append(status(503))
    world.add(conversion(), receives=MOST_RECEIVES - 1)


def an_unreadable_message(world: World) -> None:
    world.queue.add("{}")
    world.add(conversion())


SCENARIOS = [
    Scenario(one_purchase, ("1001",)),
    Scenario(several_purchases, ("1001", "1002", "1003")),
    Scenario(duplicates, ("1001",)),
    Scenario(a_change, ("1001",)),
    Scenario(a_time_out, ("1001",)),
    Scenario(a_cut, ("1001",)),
    Scenario(an_outage, ("1001",)),
    Scenario(a_rate_limit, ("1001", "1002")),
    Scenario(a_rejection, ("1001",), ("1002",)),
    Scenario(a_foreign_click, ("1001", "1003"), ("1002",)),
    Scenario(a_worn_message, ("1001",)),
    Scenario(an_unreadable_message, ("1001",), unreadable=1),
]


def check(world: World, scenario: Scenario) -> None:
    """One event an order or a reason, nothing lost, and the ledger says what Prisjakt holds."""
    assert world.queue.waiting == {}
    records = {record.order_id: record for record in world.store.records()}
    assert set(records) == {*scenario.reported, *scenario.dead}
    for order_id, record in records.items():
        assert record.token is None
        if order_id in scenario.dead:
            assert record.status is Status.DEAD
            assert world.events(order_id) == []
            continue
        (event,) = world.events(order_id)
        assert record.status in (Status.REPORTED, Status.NOT_CORRECTABLE)
        assert record.reported is not None
        if record.certain:
            assert (record.reported.amount, record.reported.items) == (
                event.amount,
                event.number_of_items,
            )
            outstanding = not record.wanted.says(record.reported)
            assert outstanding == (record.status is Status.NOT_CORRECTABLE)
    assert set(world.queue.set_aside_bodies) == ({"{}"} if scenario.unreadable else set())


def prepared(scenario: Scenario, trouble: Trouble | None = None) -> World:
    world = World()
    scenario.prepare(world)
    world.outside.trouble = trouble
    return world


def length(scenario: Scenario, kinds: tuple[str, ...]) -> int:
    """How many calls to the outside the scenario makes when all goes well."""
    world = prepared(scenario)
    world.run()
    check(world, scenario)
    return sum(kind in kinds for kind in world.outside.calls)


SCENARIO = pytest.mark.parametrize(
    "scenario", SCENARIOS, ids=[one.prepare.__name__ for one in SCENARIOS]
)
AFTER = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@SCENARIO
@AFTER
def test_killed_at_any_call_to_the_outside_there_is_one_event(
    scenario: Scenario, after: bool
) -> None:
    calls = length(scenario, ("get", "put", "post", "queue"))
    for number in range(1, calls + 1):
        world = prepared(scenario, Trouble(Killed(), number, number, after=after))

        world.run()

        check(world, scenario)


@SCENARIO
@AFTER
def test_killed_twice_running_there_is_one_event(scenario: Scenario, after: bool) -> None:
    """The second time at any call of the next attempt."""
    calls = length(scenario, ("get", "put", "post", "queue"))
    for number in range(1, calls + 1):
        world = prepared(scenario, Trouble(Killed(), number, number, after=after))
        world.round()
        world.outside.trouble = Trouble(Killed(), 4, 4, after=after)

        world.run()

        check(world, scenario)


@SCENARIO
@AFTER
@pytest.mark.parametrize("storm", [1, 2, 7])
def test_whenever_the_table_fails_there_is_one_event(
    scenario: Scenario, after: bool, storm: int
) -> None:
    """Nothing is lost and nothing sent twice; once the storm is over everything settles."""
    calls = length(scenario, ("get", "put"))
    for number in range(1, calls + 1):
        trouble = Trouble(
            StorageError("PutItem: ThrottlingException"),
            number,
            number + storm - 1,
            after=after,
            kinds=("get", "put"),
        )
        world = prepared(scenario, trouble)

        world.run()

        check(world, scenario)


@SCENARIO
def test_whenever_the_queue_fails_there_is_one_event(scenario: Scenario) -> None:
    calls = length(scenario, ("queue",))
    for number in range(1, calls + 1):
        world = prepared(
            scenario, Trouble(StorageError("timed out"), number, number, kinds=("queue",))
        )

        world.run()

        check(world, scenario)


def test_a_table_that_fails_is_a_cause_in_the_log(world: World) -> None:
    world.random = 1.0
    world.outside.trouble = Trouble(StorageError("GetItem: gone"), 1, 1)
    (message,) = world.add(conversion())

    assert world.round() == [message]
    assert about(world)["cause"] == "storage: GetItem: gone"
    assert world.queue.postponed == [30.0]


def test_two_failures_of_the_table_in_a_row_end_the_round(world: World) -> None:
    """Each is tried for seconds: a whole batch of them would outlast the function."""
    messages = world.add(*(conversion(order_id=str(n)) for n in range(5)))
    world.outside.trouble = Trouble(StorageError("GetItem: gone"), 1, 99, kinds=("get",))

    assert world.round() == messages
    assert world.outside.calls.count("get") == 2
    causes = [line.fields["cause"] for line in world.lines]
    assert causes == ["storage: GetItem: gone"] * 2 + ["storage does not answer"] * 3


def test_messages_that_waited_long_ask_a_table_that_is_away_no_more_often(world: World) -> None:
    """Of them it is asked whether their shop was erased meanwhile."""
    world.add(*(conversion(order_id=str(n), shop=f"shop-{n}") for n in range(5)))
    world.clock.now += timedelta(hours=2)
    world.outside.trouble = Trouble(StorageError("GetItem: gone"), 1, 99, kinds=("get",))

    world.round()

    assert world.outside.calls.count("get") == 2


def test_a_table_that_answers_in_between_does_not_end_the_round(world: World) -> None:
    world.add(*(conversion(order_id=str(n)) for n in range(5)))
    world.outside.trouble = Trouble(StorageError("GetItem: gone"), 1, 1, kinds=("get",))

    world.round()

    assert [world.outcomes(str(n)) for n in range(5)] == [["waiting"], *[["reported"]] * 4]


@pytest.mark.parametrize(("receives", "seconds"), [(0, 30.0), (1, 60.0), (3, 240.0), (50, 300.0)])
def test_the_longer_the_table_is_away_the_less_it_is_asked(
    receives: int, seconds: float, world: World
) -> None:
    world.random = 1.0
    world.outside.trouble = Trouble(StorageError("GetItem: gone"), 1, 99, kinds=("get",))
    world.add(conversion(), receives=receives)

    world.round()

    assert world.queue.postponed == [seconds]


def test_a_success_that_cannot_be_noted_is_still_a_success(world: World) -> None:
    world.add(conversion())
    world.outside.trouble = Trouble(StorageError("gone"), 2, 2, kinds=("update",))

    assert world.round() == []
    assert world.ledger.last_success("alfa", correction=False) is None
    assert world.record().status is Status.REPORTED


events = st.lists(
    st.builds(
        conversion,
        order_id=st.sampled_from(["1", "2"]),
        revision=st.integers(1, 3),
        amount=st.sampled_from([Decimal("10.00"), Decimal("20.00")]),
        void=st.sampled_from([False, False, False, True]),
    ),
    min_size=1,
    max_size=5,
)
faults = st.lists(
    st.builds(
        lambda fault, order_id, times: replace(fault, external_event_id=order_id, times=times),
        st.sampled_from([*SOON_OR_LATE.values(), status(400), status(409)]),
        st.sampled_from(["1", "2", None]),
        st.integers(1, 3),
    ),
    max_size=4,
)
troubles = st.none() | st.builds(
    lambda error, first, length, after: Trouble(error, first, first + length, after=after),
    st.sampled_from([Killed(), StorageError("gone")]),
    st.integers(1, 25),
    st.integers(0, 3),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(
    arrivals=st.lists(st.tuples(events, st.integers(0, 200)), min_size=1, max_size=3),
    faults=faults,
    troubles=st.lists(troubles, max_size=3),
    most=st.sampled_from([1, 2, 10]),
    random=st.floats(0, 1),
)
def test_whatever_happens_no_order_is_reported_twice_and_none_is_forgotten(
    arrivals: list[tuple[list[Conversion], int]],
    faults: list[Fault],
    troubles: list[Trouble | None],
    most: int,
    random: float,
) -> None:
    world = World()
    world.random = random
    world.model.faults += deepcopy(faults)
    sent: list[Conversion] = []
    for number, (conversions, later) in enumerate(arrivals):
        for one in conversions:
            world.queue.add(one.to_message(), after=later)
        sent += conversions
        trouble = troubles[number] if number < len(troubles) else None
        if trouble is not None and isinstance(trouble.error, StorageError):
            trouble = replace(trouble, kinds=("get", "put", "queue"))
        world.outside.trouble = deepcopy(trouble)
        for _ in range(3):
            world.round(most=most)
            world.clock.advance(50)
    world.run(most=most)

    for order_id in {one.order_id for one in sent}:
        record = world.record(order_id)
        newest = max((Facts.of(one) for one in sent if one.order_id == order_id), key=Facts.rank)
        stored = world.events(order_id)
        assert record.wanted == newest
        assert (record.token, len(stored) <= 1) == (None, True)
        assert record.status is not Status.WAITING
        if record.status is Status.REPORTED and record.certain:
            assert [event.amount for event in stored] == [newest.amount]
        if record.status in (Status.NOTHING_TO_REPORT, Status.DEAD) and not record.uncertain:
            assert stored == []


# What is in the log


@pytest.mark.parametrize("name", [*SOON_OR_LATE, "400", "409"])
def test_a_line_names_the_order_and_never_a_secret_or_a_click_id(name: str, world: World) -> None:
    given = {"400": status(400, body=FIELD_ERRORS), "409": status(409)}
    world.model.faults.append(replace((SOON_OR_LATE | given)[name]))
    world.documents["alfa"] |= CREDENTIALS | {"prisjakt_auth": "headers", "newer": "field"}
    world.add(conversion(order_reference="secret-reference"))
    world.queue.add(CLICK_ID)

    world.run()

    text = repr(world.lines)
    assert "'order_id': '1001'" in text
    assert "'field': 'body'" in text
    for never in (CLICK_ID, BARE_CLICK_ID, "hush-hush", "secret-reference", "996.5"):
        assert never not in text
