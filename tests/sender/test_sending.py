"""Corrections and batches: with credentials, what Prisjakt holds follows the order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from tests.sender.world import (
    BARE_CLICK_ID,
    CLICK_ID,
    CREDENTIALS,
    PIXELS,
    Killed,
    Trouble,
    World,
    conversion,
)

from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import StorageError
from prisjakt_relay.ledger import LAST_FIRST_REPORT, LATE, Status
from prisjakt_relay.local.prisjakt_model import Fault
from prisjakt_relay.outcomes import DeathReason, Outcome
from prisjakt_relay.sender.sending import EXTRA_REQUESTS, FIRST_WAIT, SLOW_WAIT, UNANSWERED_IN_A_ROW

BATCHES = "create-events"
FOR_EVER = 10**6
NOTHING: tuple[Decimal, int | None] = (Decimal(0), 0)


@pytest.fixture
def world() -> World:
    """A world in which both shops have credentials of their own."""
    made = World()
    for name, document in made.documents.items():
        document |= CREDENTIALS | {"prisjakt_client_id": name}
    return made


def status(code: int, *, times: int = 1, **more: Any) -> Fault:
    return Fault(kind="status", status=code, times=times, **more)


def orders(number: int, **more: Any) -> list[Conversion]:
    return [conversion(order_id=str(n), **more) for n in range(number)]


def changed(revision: int, amount: str, items: int = 1, **more: Any) -> Conversion:
    first = conversion().revision
    return conversion(
        revision=first + revision, amount=Decimal(amount), number_of_items=items, **more
    )


def cancelled(revision: int, **more: Any) -> Conversion:
    return changed(revision, "0", 0, void=True, **more)


def held(world: World, reference: str = "1001") -> tuple[Decimal, int | None]:
    """Amount and items of the one event of an order."""
    (event,) = world.events(reference)
    return event.amount, event.number_of_items


def writes(world: World) -> list[tuple[str, int]]:
    """Method and number of events of every write, in order."""
    found = []
    for request in world.transport.requests:
        if request.method in ("POST", "PATCH") and "/pixels/" in str(request.url):
            body = json.loads(request.body or b"[]")
            found.append((str(request.method), len(body) if isinstance(body, list) else 1))
    return found


def about(world: World, order_id: str = "1001") -> dict[str, Any]:
    return [one.fields for one in world.lines if one.fields.get("order_id") == order_id][-1]


# Corrections


LIFE = {
    "edit": changed(1, "1200.00", 4),
    "part refund": changed(2, "900.00", 3),
    "cancellation": cancelled(3),
    "taken back": changed(4, "880.00", 2),
}


@pytest.mark.parametrize("last", range(1, len(LIFE) + 1))
def test_what_prisjakt_holds_follows_the_order(last: int, world: World) -> None:
    for one in [conversion(), *list(LIFE.values())[:last]]:
        world.add(one)
        world.run()

    newest = list(LIFE.values())[last - 1]
    assert held(world) == (newest.amount, newest.number_of_items)
    assert world.record().status is Status.REPORTED
    assert world.outcomes() == [Outcome.REPORTED, *[Outcome.CORRECTED] * last]


@pytest.mark.parametrize("order", list(permutations([conversion(), *list(LIFE.values())[:3]])))
@pytest.mark.parametrize("most", [1, 2, 10])
def test_in_every_order_of_arrival_the_end_is_the_same(
    order: Sequence[Conversion], most: int, world: World
) -> None:
    """Cancelled in the end: nothing, or an event of nothing if it was reported before."""
    for one in order:
        world.add(one)
    world.run(most=most)

    for event in world.events():
        assert (event.amount, event.number_of_items) == NOTHING
    assert len(world.events()) <= 1
    assert world.record().wanted.void
    expected = Status.REPORTED if world.events() else Status.NOTHING_TO_REPORT
    assert world.record().status is expected


@pytest.mark.parametrize("order", list(permutations([conversion(), LIFE["edit"], cancelled(0)])))
def test_a_cancellation_that_is_taken_back_ends_at_the_newest_amount(
    order: Sequence[Conversion], world: World
) -> None:
    for one in order:
        world.add(one)
        world.run()

    assert held(world) == (LIFE["edit"].amount, 4)


def test_a_correction_is_a_patch_with_the_whole_event_and_a_token(world: World) -> None:
    world.add(conversion())
    world.run()
    world.add(LIFE["edit"])
    world.run()

    request = world.transport.requests[-1]
    sent: dict[str, Any] = dict(request.headers)
    assert (request.method, sent["authorization"][:7]) == ("PATCH", b"Bearer ")
    assert json.loads(request.body or b"") == [
        {
            "event_name": "purchase",
            "event_time": "2026-11-20T23:30:00Z",
            "external_event_id": "1001",
            "data": {"amount": 1200, "currency": "SEK", "number_of_items": 4},
            "signed_click_id": CLICK_ID,
        }
    ]
    assert "authorization" not in world.transport.requests[0].headers


def test_with_the_header_pair_everything_carries_it(world: World) -> None:
    world.documents["alfa"]["prisjakt_auth"] = "headers"
    world.add(conversion())
    world.run()
    world.add(LIFE["edit"])
    world.run()

    names: set[Any] = {r.headers["client-id"] for r in world.transport.requests}
    assert names == {b"alfa"}
    assert held(world) == (Decimal("1200.00"), 4)


@pytest.mark.parametrize("without", ["credentials", "corrections"])
def test_where_nothing_can_be_corrected_that_is_visible(without: str, world: World) -> None:
    if without == "credentials":
        for name in CREDENTIALS:
            del world.documents["alfa"][name]
    else:
        world.documents["alfa"]["corrections"] = False
    world.add(conversion())
    world.run()
    world.add(LIFE["part refund"])
    world.run()

    assert held(world) == (Decimal("996.50"), 3)
    assert world.record().status is Status.NOT_CORRECTABLE
    assert world.outcomes() == [Outcome.REPORTED, Outcome.NOT_CORRECTABLE]


def test_with_credentials_at_last_the_next_message_corrects_the_order(world: World) -> None:
    full = world.documents["alfa"]
    world.documents["alfa"] = {k: v for k, v in full.items() if k not in CREDENTIALS}
    for one in (conversion(), LIFE["part refund"]):
        world.add(one)
        world.run()

    world.documents["alfa"] = full
    world.ports = world.process()
    world.add(LIFE["part refund"])
    world.run()

    assert held(world) == (Decimal("900.00"), 3)
    assert world.record().status is Status.REPORTED


def test_a_test_purchase_is_never_corrected_and_never_in_a_batch(world: World) -> None:
    test: dict[str, Any] = {"event_name": "test-purchase", "click_id": BARE_CLICK_ID}
    world.add(*(replace(one, **test) for one in orders(3)))
    world.run()
    assert writes(world) == [("POST", 1)] * 3

    world.add(replace(LIFE["edit"], **test, order_id="1", order_reference="1"))
    world.run()

    assert held(world, "1") == (Decimal("996.50"), 3)
    assert world.record("1").status is Status.NOT_CORRECTABLE


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_correction_that_prisjakt_refuses_is_not_dead(code: int, world: World) -> None:
    world.add(conversion())
    world.run()
    world.model.faults.append(status(code, operation=BATCHES, body={"title": "Amount is 0"}))
    world.add(cancelled(1))
    world.run()

    record = world.record()
    assert (record.status, record.death) == (Status.CORRECTION_REFUSED, None)
    assert record.answer.title == "Amount is 0"
    assert held(world) == (Decimal("996.50"), 3)
    assert about(world)["answer_title"] == "Amount is 0"

    world.add(cancelled(1))
    world.run()
    assert world.outcomes()[-1] == Outcome.DUPLICATE
    world.add(changed(2, "100.00"))
    world.run()
    assert held(world) == (Decimal("100.00"), 1)


def test_a_correction_beyond_a_documented_limit_is_refused_without_being_sent(
    world: World,
) -> None:
    world.add(conversion())
    world.run()
    world.store.items[world.record().key]["click_id"] = "no click id"
    world.add(LIFE["edit"])
    world.run()

    assert world.record().status is Status.CORRECTION_REFUSED
    assert set(world.record().answer.field_errors) == {"signed_click_id"}
    assert writes(world) == [("POST", 1)]


def test_a_conflict_after_a_try_of_ours_is_settled_by_a_patch(world: World) -> None:
    """The first try may have stored other facts than those that are wanted now."""
    world.model.faults.append(Fault(kind="cut_after"))
    world.add(conversion())
    world.round()
    world.add(LIFE["edit"])
    world.run()

    assert held(world) == (Decimal("1200.00"), 4)
    assert world.record().certain
    assert [method for method, _ in writes(world)] == ["POST", "POST", "PATCH"]
    assert world.outcomes()[-2:] == [Outcome.CORRECTED, Outcome.SUPERSEDED]


def test_if_that_patch_fails_it_waits(world: World) -> None:
    world.model.faults += [
        Fault(kind="cut_after", operation="create-event"),
        status(503, operation=BATCHES),
    ]
    world.add(conversion())
    world.run()

    assert world.record().certain
    assert [method for method, _ in writes(world)] == ["POST", "POST", "PATCH", "PATCH"]


def test_after_a_write_that_timed_out_the_next_waits_and_is_sent_even_if_nothing_changed(
    world: World,
) -> None:
    """The late write would overtake it; and what it stored is not what is wanted."""
    world.add(conversion())
    world.run()
    world.model.faults.append(Fault(kind="hang", seconds=20, operation=BATCHES))
    world.add(LIFE["edit"])
    world.round()
    assert not world.record().certain
    end = world.clock() + LATE
    world.add(replace(conversion(), revision=LIFE["edit"].revision + 1))  # changed back

    world.round()
    assert len(writes(world)) == 2
    world.run()

    assert world.clock() >= end - timedelta(seconds=20)
    assert held(world) == (Decimal("996.50"), 3)
    assert [method for method, _ in writes(world)] == ["POST", "PATCH", "PATCH"]


def test_a_void_order_that_may_have_been_reported_is_looked_for(world: World) -> None:
    """It is not there: no event of nothing is made."""
    world.model.faults.append(Fault(kind="cut_before"))
    world.add(conversion())
    world.round()
    world.add(cancelled(1))
    world.run()

    assert world.events() == []
    assert world.record().status is Status.NOTHING_TO_REPORT
    assert [r.method for r in world.transport.requests] == ["POST", "POST", "GET"]


def test_a_void_order_that_was_looked_for_in_vain_may_come_back_to_life_much_later(
    world: World,
) -> None:
    """Nothing of it is there, so that a first report is safe however late."""
    world.model.faults.append(Fault(kind="cut_before"))
    world.add(conversion())
    world.round()
    world.add(cancelled(1))
    world.run()
    world.clock.advance(timedelta(days=37).total_seconds())
    world.ports = world.process()

    world.add(changed(2, "50.00"))
    world.run()

    assert held(world) == (Decimal("50.00"), 1)


def test_a_void_order_that_was_reported_without_our_knowing_is_corrected(world: World) -> None:
    world.model.faults.append(Fault(kind="cut_after"))
    world.add(conversion())
    world.round()
    world.add(cancelled(1))
    world.run()

    assert held(world) == NOTHING
    assert world.record().status is Status.REPORTED


@pytest.mark.parametrize("click_id", [CLICK_ID, CLICK_ID.replace("2", "3")])
def test_an_event_of_a_browser_is_corrected_if_it_is_of_the_same_click(
    click_id: str, world: World
) -> None:
    """Two shops with one reference pattern do not correct each other's orders."""
    world.add(conversion(click_id=click_id, amount=Decimal("1.00")))
    world.run()
    world.store.items.clear()
    world.add(conversion())
    world.run()
    assert world.record().status is Status.ALREADY_AT_PRISJAKT

    world.add(LIFE["edit"])
    world.run()

    if click_id == CLICK_ID:
        assert held(world) == (Decimal("1200.00"), 4)
        assert world.record().status is Status.REPORTED
    else:
        assert held(world) == (Decimal("1.00"), 3)
        assert world.record().status is Status.NOT_CORRECTABLE


@pytest.mark.parametrize("kept", [None, timedelta(days=30)])
def test_after_29_days_a_correction_needs_a_read_that_shows_the_event(
    kept: timedelta | None, world: World
) -> None:
    """A PATCH of what Prisjakt has forgotten would insert it."""
    world.model.kept = kept
    world.add(conversion())
    world.run()
    world.clock.advance((LAST_FIRST_REPORT + timedelta(days=2)).total_seconds())
    world.ports = world.process()
    world.add(LIFE["edit"])
    world.run()

    assert len(world.events()) == 1
    if kept is None:
        assert held(world) == (Decimal("1200.00"), 4)
    else:
        assert world.record().status is Status.NOT_CORRECTABLE
        assert held(world) == (Decimal("996.50"), 3)
    assert "GET" in {r.method for r in world.transport.requests}


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_correction_waits_for_the_set_up_and_first_reports_do_not(
    code: int, world: World
) -> None:
    """Credentials revoked: reports succeed all the time, and say nothing about corrections."""
    world.add(conversion())
    world.run()
    world.model.faults.append(status(code, times=12, operation=BATCHES))
    world.add(LIFE["edit"])
    world.round()
    assert world.lines[-1].event == "set_up_refused"
    for n in range(6):
        world.add(conversion(order_id=f"new-{n}"))
        world.round()
        world.clock.advance(SLOW_WAIT)
    assert all(world.events(f"new-{n}") for n in range(6))

    world.run()

    assert held(world) == (Decimal("1200.00"), 4)


def test_a_correction_that_alone_is_refused_is_given_up(world: World) -> None:
    world.add(*orders(2))
    world.run()
    world.model.faults.append(status(403, times=FOR_EVER, operation=BATCHES, external_event_id="0"))
    world.add(changed(1, "5.00", order_id="0"))
    for revision in range(1, 12):
        world.add(changed(revision, f"{revision}.00", order_id="1"))
        world.round(most=1)
        world.round(most=1)
        world.clock.advance(3 * SLOW_WAIT)
    world.run()

    assert world.record("0").status is Status.CORRECTION_REFUSED
    assert held(world, "1") == (Decimal("11.00"), 1)


# Tokens


def test_without_a_token_only_corrections_wait(world: World) -> None:
    world.add(*orders(3))
    world.run()
    world.model.faults.append(status(503, times=2, operation="token"))
    world.ports = world.process()
    sent = len(writes(world))
    world.add(
        changed(1, "5.00", order_id="0"),
        changed(1, "6.00", order_id="1"),
        conversion(order_id="new-1"),
        conversion(order_id="new-2"),
    )

    world.round()

    assert writes(world)[sent:] == [("POST", 1)] * 2
    assert world.events("new-1")
    world.run()
    assert held(world, "0") == (Decimal("5.00"), 1)
    assert held(world, "1") == (Decimal("6.00"), 1)


@pytest.mark.parametrize("code", [400, 401, 403])
def test_credentials_that_give_no_token_are_the_shops_set_up(code: int, world: World) -> None:
    world.add(conversion())
    world.run()
    world.model.faults.append(status(code, operation="token", body={"error": "invalid_client"}))
    world.add(LIFE["edit"])

    world.round()

    assert world.lines[-1].event == "set_up_refused"
    assert about(world)["answer_title"] == "invalid_client"
    assert world.record().tries == 1


def test_a_token_that_has_ended_is_renewed_without_anybody_waiting(world: World) -> None:
    world.add(conversion())
    world.run()
    world.add(LIFE["edit"])
    world.run()
    world.model.expire_tokens()
    world.add(LIFE["part refund"])

    assert world.round() == []
    assert held(world) == (Decimal("900.00"), 3)


def test_a_token_endpoint_that_hangs_holds_up_the_round_no_longer_than_two_time_outs(
    world: World,
) -> None:
    world.add(*orders(4))
    world.run()
    world.model.faults.append(Fault(kind="hang", seconds=20, times=FOR_EVER, operation="token"))
    world.ports = world.process()
    world.documents["beta"]["prisjakt_client_id"] = "beta"
    world.add(*(changed(1, "5.00", order_id=str(n)) for n in range(4)))
    start = world.clock()

    world.round()

    assert world.clock() - start <= timedelta(seconds=20)


# Batches


def test_what_waits_together_goes_together(world: World) -> None:
    world.add(*orders(100))

    assert world.round(most=100) == []

    assert writes(world) == [("PATCH", 100)]
    assert len(world.model.events) == 100
    assert {record.status for record in world.store.records()} == {Status.REPORTED}
    assert [line.event for line in world.lines] == [Outcome.REPORTED] * 100


def test_200_orders_of_full_batches_take_two_requests(world: World) -> None:
    world.add(*orders(200))

    world.run(most=100)

    assert writes(world) == [("PATCH", 100)] * 2
    assert len(world.model.events) == 200


def test_more_than_a_batch_may_come_at_once(world: World) -> None:
    world.add(*orders(201))

    world.round(most=300)

    assert writes(world) == [("PATCH", 100), ("PATCH", 100), ("POST", 1)]


def test_one_order_alone_is_reported_without_a_token(world: World) -> None:
    world.add(conversion())
    world.run()

    assert writes(world) == [("POST", 1)]
    assert "authorization" not in world.transport.requests[0].headers


def test_reports_and_corrections_of_a_pixel_share_a_batch_and_pixels_do_not(world: World) -> None:
    world.add(conversion())
    world.run()
    world.add(LIFE["edit"], *orders(2), *orders(2, shop="beta"))
    world.round()

    assert writes(world)[1:] == [("PATCH", 3), ("PATCH", 2)]
    assert held(world) == (Decimal("1200.00"), 4)
    assert about(world)["outcome"] == Outcome.CORRECTED


def test_shops_without_credentials_report_one_by_one(world: World) -> None:
    for name in CREDENTIALS:
        del world.documents["alfa"][name]
    world.add(*orders(5))
    world.run()

    assert writes(world) == [("POST", 1)] * 5


BAD = {
    "title": "Request validation failed",
    "status": 400,
    "field_errors": {"[0].data.amount": {"message": "too odd", "value": 1}},
}


@pytest.mark.parametrize("bad", [0, 1, 49, 50, 77, 99])
@pytest.mark.parametrize("code", [400, 422])
def test_one_bad_event_among_a_hundred_is_found_and_the_others_arrive(
    code: int, bad: int, world: World
) -> None:
    world.model.faults.append(status(code, times=FOR_EVER, external_event_id=str(bad), body=BAD))
    world.add(*orders(100))

    assert world.round(most=100) == []

    assert len(world.model.events) == 99
    assert len(world.transport.requests) - 1 <= 1 + EXTRA_REQUESTS  # one is for the token
    record = world.record(str(bad))
    assert (record.status, record.death) == (Status.DEAD, DeathReason.REJECTED)
    assert record.answer.field_errors == {"[0].data.amount": "too odd"}


@pytest.mark.parametrize("code", [403, 404, 413])
def test_a_batch_that_is_refused_for_one_order_is_halved(code: int, world: World) -> None:
    world.model.faults.append(status(code, times=FOR_EVER, external_event_id="13"))
    world.add(*orders(100))

    world.round(most=100)

    assert len(world.model.events) == 99
    assert len(world.transport.requests) - 1 <= 1 + EXTRA_REQUESTS


def test_when_too_many_are_bad_the_rest_goes_alone_next_time(world: World) -> None:
    bad = {str(n) for n in range(0, 100, 9)}
    for one in bad:
        world.model.faults.append(status(400, times=FOR_EVER, external_event_id=one))
    world.add(*orders(100))

    unsettled = world.round(most=100)

    assert len(writes(world)) == 1 + EXTRA_REQUESTS
    assert unsettled
    assert {r.alone for r in world.store.records() if r.status is Status.WAITING} == {True}
    world.run(most=100)
    assert len(world.model.events) == 100 - len(bad)
    dead = {r.order_id for r in world.store.records() if r.status is Status.DEAD}
    assert dead == bad
    assert {r.status for r in world.store.records()} == {Status.REPORTED, Status.DEAD}


@pytest.mark.parametrize("fault", [status(503), Fault(kind="hang", seconds=20), status(429)])
def test_trouble_while_a_bad_order_is_searched_for_loses_nothing(
    fault: Fault, world: World
) -> None:
    world.model.faults += [
        status(400, operation=BATCHES, external_event_id="7"),
        replace(fault, operation=BATCHES, external_event_id="1"),
        status(400, times=FOR_EVER, external_event_id="7"),
    ]
    world.add(*orders(10))
    world.run()

    assert len(world.model.events) == 9
    assert world.record("7").death is DeathReason.REJECTED


def test_what_may_have_been_stored_with_a_refused_batch_is_ours(world: World) -> None:
    """Whether a refused batch is stored in part is not documented."""
    for n in range(0, 100, 9):
        world.model.faults.append(status(400, times=FOR_EVER, external_event_id=str(n)))
    world.add(*orders(100))
    world.round(most=100)

    assert all(r.uncertain for r in world.store.records() if r.alone)


def test_what_was_refused_with_a_batch_and_then_held_up_has_been_tried(world: World) -> None:
    """The allowance is used up before it is known which order was in the way."""
    world.allowance = 1
    world.ports = world.process()
    world.model.faults.append(status(400, times=FOR_EVER, external_event_id="1"))
    world.add(*orders(4))
    world.round()

    assert {line.fields["cause"] for line in world.lines[-4:]} == {"rate limit"}
    records = world.store.records()
    assert {(r.uncertain, r.first_try_at is None, r.tries) for r in records} == {(True, False, 0)}


@pytest.mark.parametrize("bad", [["0"], ["0", "1"], ["0", "1", "2"]])
def test_an_event_beyond_a_documented_limit_does_not_spoil_its_batch(
    bad: list[str], world: World
) -> None:
    world.add(*orders(3))
    world.run()
    for order_id in bad:
        world.store.items[world.record(order_id).key]["click_id"] = "no click id"
    world.add(*(changed(1, "5.00", order_id=str(n)) for n in range(3)))
    world.run()

    refused = {r.order_id for r in world.store.records() if r.status is Status.CORRECTION_REFUSED}
    assert sorted(refused) == bad
    assert [held(world, str(n))[0] for n in range(len(bad), 3)] == [Decimal(5)] * (3 - len(bad))


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        (status(401, times=2, operation=BATCHES), 5),
        (status(403, times=3, operation=BATCHES), 6),
        (status(500, operation=BATCHES), 4),
        (status(503, operation=BATCHES), 4),
        (status(401, operation="token"), 3),
        (status(503, operation="token"), 3),
    ],
    ids=["401", "403", "500", "503", "token 401", "token 503"],
)
def test_where_batches_fail_first_reports_of_the_round_go_alone(
    fault: Fault, requests: int, world: World
) -> None:
    world.model.faults.append(fault)
    world.add(*orders(3))

    assert world.round() == []

    assert writes(world)[-3:] == [("POST", 1)] * 3
    assert len(writes(world)) == requests
    assert len(world.model.events) == 3


def test_a_batch_that_was_stored_before_the_connection_was_cut_is_sent_again(world: World) -> None:
    world.model.faults.append(Fault(kind="cut_after", operation=BATCHES))
    world.add(*orders(5))
    world.run()

    assert len(world.model.events) == 5
    assert writes(world)[:1] == [("PATCH", 5)]
    assert {r.status for r in world.store.records()} == {Status.REPORTED}


def test_a_batch_that_was_stored_before_a_server_error_makes_no_event_anothers(
    world: World,
) -> None:
    """Each goes alone at once, is refused as known, and a PATCH makes sure."""
    world.add(*orders(3))
    real = world.model.answer

    def broken(call: Any) -> Any:
        answer = real(call)
        return replace(answer, status=500, body={}) if call.method == "PATCH" else answer

    world.model.answer = broken  # type: ignore[method-assign]
    world.round()
    world.model.answer = real  # type: ignore[method-assign]
    world.run()

    assert len(world.model.events) == 3
    assert {(r.status, r.certain) for r in world.store.records()} == {(Status.REPORTED, True)}


def test_a_batch_that_timed_out_waits_five_minutes(world: World) -> None:
    world.model.faults.append(Fault(kind="hang", seconds=20, operation=BATCHES))
    world.add(*orders(3))
    world.round()

    assert {r.not_before for r in world.store.records()} == {world.clock() + LATE}
    world.run()
    assert len(world.model.events) == 3
    assert {r.status for r in world.store.records()} == {Status.REPORTED}


def test_credentials_revoked_in_the_middle_delay_corrections_only(world: World) -> None:
    world.model.clients = {"alfa": "hush-hush-too"}
    world.add(*orders(4))
    world.round()
    assert writes(world) == [("PATCH", 4)]

    world.model.clients = {}
    world.model.expire_tokens()
    world.add(*(changed(1, "5.00", order_id=str(n)) for n in range(2)), conversion(order_id="new"))
    world.round()

    assert held(world, "new") == (Decimal("996.50"), 3)
    assert held(world, "0") == (Decimal("996.50"), 3)
    world.model.clients = {"alfa": "hush-hush-too"}
    world.run()
    assert held(world, "0") == held(world, "1") == (Decimal("5.00"), 1)


def test_while_prisjakt_does_not_answer_a_round_soon_gives_up(world: World) -> None:
    world.model.faults.append(status(503, times=FOR_EVER))
    ids = world.add(*orders(60))

    assert sorted(world.round(most=60)) == sorted(ids)

    assert len(writes(world)) == UNANSWERED_IN_A_ROW
    untried = [r for r in world.store.records() if r.tries == 0]
    assert len(untried) == 60 - (UNANSWERED_IN_A_ROW - 1)
    assert max(world.queue.postponed) <= FIRST_WAIT


# Rate limit


def test_a_batch_over_the_allowance_waits_as_one(world: World) -> None:
    world.allowance = 1
    world.ports = world.process()
    world.add(*orders(10))
    world.round()
    world.add(*(conversion(order_id=f"more-{n}") for n in range(10)))
    start = world.clock()

    unsettled = world.round()

    assert len(unsettled) == 10
    assert len(set(world.queue.postponed)) == 1
    assert {line.fields["cause"] for line in world.lines[-10:]} == {"rate limit"}
    world.run()
    assert world.clock() - start >= timedelta(hours=1)
    assert writes(world) == [("PATCH", 10)] * 2
    assert {record.tries for record in world.store.records()} == {0}


def test_a_read_before_a_correction_is_not_made_again_when_the_write_has_to_wait(
    world: World,
) -> None:
    """With a small allowance the read would take the turn of the write for ever."""
    world.allowance = 100
    world.ports = world.process()
    world.add(conversion(amount=Decimal("1.00")))
    world.run()
    world.store.items.clear()
    world.add(conversion())
    world.run()
    world.add(LIFE["edit"])
    world.run()

    assert held(world) == (Decimal("1200.00"), 4)
    assert [r.method for r in world.transport.requests].count("GET") == 1


def test_a_message_that_comes_back_before_its_turn_takes_no_slot(world: World) -> None:
    world.allowance = 1
    world.ports = world.process()
    world.add(*orders(2))
    world.round()
    world.add(conversion())
    world.round()
    world.outside.calls.clear()
    world.add(conversion())  # a duplicate, at once

    world.round()

    assert about(world)["cause"] == "its turn has not come"
    assert "update" not in world.outside.calls


def test_who_has_stood_in_line_and_is_sent_back_need_not_stand_there_again(world: World) -> None:
    world.allowance = 1
    world.ports = world.process()
    world.add(conversion(order_id="first"))
    world.run()
    world.add(conversion())
    world.round()
    world.clock.advance(world.queue.postponed[-1])
    world.outside.seconds = {"put": 0.1}

    world.round(seconds=12.05)  # there is time to claim, and none to send

    assert about(world)["cause"] == "no time left in this round"
    assert world.record().not_before is not None
    world.outside.seconds = {}
    world.clock.advance(5)
    assert world.round() == []


def test_who_waits_longer_than_a_message_can_be_hidden_looks_in_at_random(world: World) -> None:
    world.allowance = 1
    world.ports = world.process()
    world.add(*orders(1))
    world.round()
    for n in range(14):
        world.add(conversion(order_id=f"late-{n}"))
        world.round()

    longest = 11 * 3600
    assert world.queue.postponed[-1] == longest * 0.75
    assert max(world.queue.postponed) <= longest


def test_a_duplicate_takes_no_slot(world: World) -> None:
    world.add(*orders(3))
    world.run()
    world.outside.calls.clear()
    world.add(*orders(3))
    world.run()

    assert world.outside.calls == ["get"] * 3


def test_a_429_to_a_batch_pauses_its_client_once_and_no_other(world: World) -> None:
    world.model.faults.append(
        status(429, headers={"Retry-After": "600"}, pixel_id=PIXELS["alfa"], times=FOR_EVER)
    )
    world.add(*orders(5), *orders(5, shop="beta"))

    world.round()

    assert len(world.model.events) == 5
    assert {r.tries for r in world.store.records()} == {0}
    assert {r.not_before for r in world.store.records() if r.shop == "alfa"} == {
        world.clock() + timedelta(seconds=600)
    }
    world.model.faults.clear()
    world.run()
    assert len(world.model.events) == 10


@pytest.mark.parametrize("which", [1, 2])
def test_a_rate_limit_that_cannot_be_read_holds_the_request_back(which: int, world: World) -> None:
    """The lease is given back; nothing was sent."""
    world.outside.trouble = Trouble(StorageError("gone"), which, which, kinds=("update",))
    if which == 2:
        world.model.faults.append(status(429))  # and then the pause cannot be written
    world.add(conversion())
    world.round()

    assert world.record().token is None
    assert world.record().tries == 0
    world.run()
    assert held(world) == (Decimal("996.50"), 3)


# Trouble in the middle of a batch


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", range(1, 18))
def test_killed_anywhere_in_a_batch_every_order_is_one_event(
    call: int, after: bool, world: World
) -> None:
    world.add(*orders(3))
    world.run()
    world.outside.trouble = Trouble(
        Killed(), call, call, after=after, kinds=("get", "put", "update", "post")
    )
    world.add(*(changed(1, "5.00", order_id=str(n)) for n in range(3)), *orders(5)[3:])
    world.run()

    assert {e.external_event_id: e.amount for e in world.model.events.values()} == {
        "0": 5,
        "1": 5,
        "2": 5,
        "3": Decimal("996.50"),
        "4": Decimal("996.50"),
    }
    assert {r.status for r in world.store.records()} == {Status.REPORTED}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("call", range(1, 14))
def test_a_table_that_fails_in_a_batch_delays_what_it_concerns(
    call: int, after: bool, world: World
) -> None:
    world.outside.trouble = Trouble(
        StorageError("gone"), call, call + 2, after=after, kinds=("get", "put", "update")
    )
    world.add(*orders(4))
    world.run()

    assert len(world.model.events) == 4
    assert {r.status for r in world.store.records()} == {Status.REPORTED}


# What it costs


def test_what_a_conversion_costs_in_calls(world: World) -> None:
    """A read and two writes of the ledger each; a batch shares its slot, request and success."""
    world.add(*orders(100))
    world.round(most=100)

    calls = {kind: world.outside.calls.count(kind) for kind in set(world.outside.calls)}
    assert calls == {"get": 100, "put": 200, "update": 2, "post": 2}


def size(value: object) -> int:
    """What DynamoDB counts, at most: docs.aws.amazon.com, "DynamoDB item sizes and formats"."""
    if isinstance(value, dict):
        return 3 + sum(len(name) + size(part) + 1 for name, part in value.items())
    if isinstance(value, bool):
        return 1
    if isinstance(value, int):
        return 2 + len(str(value)) // 2
    return len(str(value).encode())


def test_a_ledger_item_costs_one_unit_to_write(world: World) -> None:
    """1 KB, with room for the longest reference and a lease."""
    world.add(conversion(order_id="6204817342681", order_reference="R" * 100))
    world.model.faults.append(status(503, body=BAD))
    world.round()
    world.run()

    assert size(world.store.items[world.record("6204817342681").key]) <= 1024


def test_what_single_reports_cost_in_calls(world: World) -> None:
    """Each takes a slot and a request of its own; what is settled costs the queue no call."""
    for name in CREDENTIALS:
        del world.documents["alfa"][name]
    world.add(*orders(10))
    world.round()

    calls = {kind: world.outside.calls.count(kind) for kind in set(world.outside.calls)}
    assert calls == {"get": 10, "put": 20, "update": 11, "post": 10}
