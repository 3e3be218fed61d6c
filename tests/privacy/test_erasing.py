"""What the sender forgets, and that nothing brings it back: in virtual time, with every race."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sender.world import (
    CLICK_ID,
    CREDENTIALS,
    PIXELS,
    START,
    Killed,
    MemoryStore,
    Trouble,
    World,
    conversion,
)

from prisjakt_relay import ledger as rules
from prisjakt_relay.conversion import AHEAD, PURCHASE, TEST_PURCHASE
from prisjakt_relay.erasure import Erasure
from prisjakt_relay.errors import Problem, StorageError
from prisjakt_relay.ledger import DEAD_KEPT, KEPT, Claim, Ledger, Record, Status, claimed
from prisjakt_relay.local.prisjakt_model import Fault
from prisjakt_relay.outcomes import DeathReason, Outcome
from prisjakt_relay.sender.erasing import SECOND_LOOK, SLICE
from prisjakt_relay.sender.sending import UNCLAIMED

REFERENCE = "SE-secret-1001"
PERSONAL = (CLICK_ID, CLICK_ID.partition("_")[0], REFERENCE, "996.5", "2026-11-20T23:30")
REJECTION = Fault(
    kind="status", status=400, times=9, body={"title": "No", "detail": f"odd {REFERENCE}"}
)


@pytest.fixture
def world() -> World:
    return World()


def purchase(**changes: Any) -> Any:
    return conversion(**({"order_reference": REFERENCE} | changes))


def wish(*order_ids: str, **changes: Any) -> Erasure:
    fields: dict[str, Any] = {"platform": "shopify", "shop": "alfa", "received_at": START}
    return Erasure(**(fields | {"order_ids": order_ids} | changes))


def whole_shop(world: World, shop: str = "alfa") -> Erasure:
    return wish(shop=shop, received_at=world.clock(), whole_shop=True)


def erase(world: World, *wishes: Erasure) -> None:
    """At once, without the second look."""
    for each in wishes:
        world.queue.add(each.to_message())
    assert world.round() == []


def record(world: World, order_id: str = "1001", shop: str = "alfa") -> Record:
    """Of the purchase; an erasure leaves one of a test purchase beside it."""
    return rules.from_item(world.store.items[rules.key(shop, order_id, PURCHASE)])


def status(world: World, order_id: str = "1001") -> Status:
    return record(world, order_id).status


def of_orders(world: World) -> str:
    """The table's items about orders, as text."""
    return repr([item for key, item in world.store.items.items() if key.startswith("order#")])


def dead(world: World) -> None:
    world.model.faults.append(replace(REJECTION))


def waiting(world: World) -> None:
    world.model.faults.append(Fault(kind="status", status=503, times=1))


STATES: dict[str, Callable[[World], None]] = {
    "reported": lambda _: None,
    "dead": dead,
    "waiting": waiting,
}


@pytest.mark.parametrize("state", STATES)
def test_nothing_of_an_erased_order_is_left_but_that_it_was_erased(
    state: str, world: World
) -> None:
    """Neither click id nor reference, amount, time of purchase, nor Prisjakt's answer."""
    STATES[state](world)
    world.add(purchase())
    world.round()
    before = record(world)
    assert before.status == state
    assert all(word in of_orders(world) for word in PERSONAL[:4])

    erase(world, wish("1001"))

    after = record(world)
    assert after.status is Status.ERASED
    assert (after.key, after.expires_at) == (before.key, before.expires_at)
    assert after.version == before.version + 1
    text = of_orders(world)
    assert [word for word in PERSONAL if word in text] == []
    items = [item for key, item in world.store.items.items() if key.startswith("order#")]
    assert all("shop_day" not in item and "dead_shop" not in item for item in items)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("changes", [{}, {"revision": 2**53 - 2, "amount": Decimal(7)}])
def test_no_later_message_reports_or_corrects_an_erased_order(
    state: str, changes: dict[str, Any], world: World
) -> None:
    world.documents["alfa"] |= CREDENTIALS
    STATES[state](world)
    world.add(purchase())
    world.round()
    erase(world, wish("1001"))
    world.model.faults.clear()
    before, requests = dict(world.model.events), len(world.transport.requests)

    world.add(purchase(**changes))
    world.run()

    assert world.outcomes()[-1] == Outcome.ERASED
    assert world.model.events == before
    assert len(world.transport.requests) == requests
    assert record(world).status is Status.ERASED


def test_a_message_that_waits_is_dropped(world: World) -> None:
    waiting(world)
    world.add(purchase())
    world.round()
    erase(world, wish("1001"))

    world.run()

    assert world.outcomes() == [Outcome.WAITING, Outcome.ERASED]
    assert world.events(REFERENCE) == []


def test_an_order_is_erased_before_its_message_is_looked_at(world: World) -> None:
    """Both in one batch, the message first; nobody had heard of the order before."""
    world.add(purchase())
    erase(world, wish("1001"))

    assert world.transport.requests == []
    assert world.outcomes() == [Outcome.ERASED]


def test_an_order_that_the_ledger_does_not_know_is_kept_out_of_it(world: World) -> None:
    """Its message may be on the way; as a purchase and as a test purchase."""
    erase(world, wish("1001"))

    for event_name in (PURCHASE, TEST_PURCHASE):
        item = world.store.items[rules.key("alfa", "1001", event_name)]
        assert rules.from_item(item).status is Status.ERASED
        assert rules.from_item(item).expires_at == START + KEPT


def test_erasing_twice_changes_nothing(world: World) -> None:
    world.add(purchase())
    world.round()
    erase(world, wish("1001"))
    before = of_orders(world)
    world.clock.advance(3_600)

    erase(world, wish("1001"))

    assert of_orders(world) == before
    assert [line.fields["items"] for line in world.lines if "items" in line.fields] == [2, 0]


def test_other_orders_and_other_shops_stay(world: World) -> None:
    world.add(purchase(), purchase(order_id="1002", order_reference="2"), purchase(shop="beta"))
    world.round()

    erase(world, wish("1001"))

    assert status(world) is Status.ERASED
    assert record(world, "1002").status is Status.REPORTED
    assert record(world, shop="beta").status is Status.REPORTED


def test_a_tombstone_that_has_expired_counts_as_none() -> None:
    tombstone = tombstone_of(None)

    again = claim(tombstone, now=tombstone.expires_at)

    assert again.record.status is Status.WAITING
    assert again.record.token is not None


def test_a_dead_order_is_forgotten_when_it_would_have_been(world: World) -> None:
    dead(world)
    world.add(purchase())
    world.round()

    erase(world, wish("1001"))

    assert record(world).expires_at == START + DEAD_KEPT


# An older sender


def tombstone_of(before: Record | None) -> Record:
    return rules.erased(
        before, platform="shopify", shop="alfa", order_id="1001", event_name=PURCHASE, now=START
    )


def claim(before: Record | None, **changes: Any) -> Claim:
    fields: dict[str, Any] = {"pixel_id": PIXELS["alfa"], "corrects": True, "now": START}
    return claimed(before, purchase(revision=2**53 - 2), token="mine", **(fields | changes))


def test_a_sender_that_is_older_than_erasures_reports_nothing_of_an_erased_order() -> None:
    """It reads the item without the flag, by fields that it knows, and finds it superseded."""
    item = rules.to_item(tombstone_of(claim(None).record))
    old = {name: value for name, value in item.items() if name != "erased"}
    as_read = rules.from_item(old)

    assert as_read.status is Status.NOTHING_TO_REPORT
    assert claim(as_read).outcome is Outcome.SUPERSEDED


# Races


def erase_now(store: MemoryStore) -> None:
    Ledger(store).erase(
        platform="shopify", shop="alfa", order_id="1001", event_name=PURCHASE, now=START
    )


class Interrupting(MemoryStore):
    """Somebody erases the order right before call number `at` of a ledger."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._left = at
        self.struck = False

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.struck = True
            erase_now(self)

    def get(self, item_key: str) -> Any:
        self._count()
        return super().get(item_key)

    def put(self, item: Any, *, previous: int | None) -> bool:
        self._count()
        return super().put(item, previous=previous)


def reported_in_full(store: MemoryStore) -> Record | None:
    """Claim and settle, as a sender does; what the settling left."""
    ledger = Ledger(store)
    got = ledger.claim(purchase(), pixel_id="p", corrects=True, now=START, token="mine")
    if got.outcome is not None:
        assert got.outcome is Outcome.ERASED
        return None
    change = partial(rules.reported, sent=got.record.wanted, certain=True)
    return ledger.settle(got.record, change, START)


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
@pytest.mark.parametrize("at", range(1, 6))
def test_a_claim_or_a_settling_under_way_never_brings_it_back(at: int, known: bool) -> None:
    """Whichever call of the sender's an erasure falls between, the order ends erased."""
    store = Interrupting(0)
    if known:
        first = Ledger(store).claim(
            purchase(revision=1), pixel_id="p", corrects=True, now=START, token="first"
        )
        Ledger(store).settle(first.record, rules.untouched, START)
    store._left = at

    after = reported_in_full(store)

    if store.struck:
        left = rules.from_item(store.items[rules.key("alfa", "1001", PURCHASE)])
        assert (left.status, after) == (Status.ERASED, None)
    else:
        assert after is not None


@given(st.integers(1, 8), st.sampled_from(["get", "put", "post", "queue"]), st.booleans())
def test_wherever_a_sender_is_killed_while_it_erases_the_order_ends_erased(
    first: int, kind: str, after: bool
) -> None:
    world = World()
    waiting(world)
    world.add(purchase())
    world.round()
    world.queue.add(wish("1001").to_message())
    world.outside.trouble = Trouble(Killed(), first, first, after=after, kinds=(kind,))

    world.run()

    assert status(world) is Status.ERASED
    assert [word for word in PERSONAL if word in of_orders(world)] == []


def test_the_lease_of_a_sender_at_work_is_lost_and_its_message_dropped(world: World) -> None:
    """Prisjakt takes the order while it is erased: the ledger does not hear of it any more."""
    real = world.model.answer

    def answer(call: Any) -> Any:
        erase_now(world.store)
        return real(call)

    world.model.answer = answer  # type: ignore[method-assign]
    world.add(purchase())

    world.run()

    assert world.outcomes() == [Outcome.WAITING, Outcome.ERASED]
    assert status(world) is Status.ERASED
    assert len(world.transport.requests) == 1


def test_a_contended_item_is_told_as_a_failure_of_storage() -> None:
    class Contended(MemoryStore):
        def put(self, *_: Any, **__: Any) -> bool:
            return False

    with pytest.raises(StorageError, match="contended"):
        erase_now(Contended())


def test_a_write_whose_answer_was_lost_counts_as_done() -> None:
    class Forgetful(MemoryStore):
        def put(self, item: Any, *, previous: int | None) -> bool:
            super().put(item, previous=previous)
            return False

    store = Forgetful()

    erase_now(store)

    assert store.items[rules.key("alfa", "1001", PURCHASE)]["erased"] is True


# What AWS may do


def test_while_the_table_is_away_an_erasure_waits_and_then_is_done(world: World) -> None:
    world.add(purchase())
    world.round()
    away = ("get", "put", "update", "query")
    world.outside.trouble = Trouble(StorageError("away"), 1, 5, kinds=away)
    ids = [world.queue.add(wish("1001").to_message()) for _ in range(4)]

    assert world.round() == ids
    waits = [line for line in world.lines if line.event == Outcome.WAITING]
    assert {line.fields["kind"] for line in waits} == {"erasure"}
    assert [line.fields["cause"] for line in waits] == [
        "storage: away",
        "storage: away",
        "storage does not answer",
        "storage does not answer",
    ]
    world.run()

    assert status(world) is Status.ERASED


def test_a_worn_message_goes_on_as_a_fresh_copy(world: World) -> None:
    world.outside.trouble = Trouble(StorageError("away"), 1, 1, kinds=("get",))
    world.queue.add(wish("1001").to_message(), receives=300)

    assert world.round() == []
    assert [group for group, _ in world.queue.renewed] == ["alfa"]
    world.run()

    assert status(world) is Status.ERASED


def test_what_is_no_erasure_either_is_set_aside(world: World) -> None:
    spoilt = json.loads(wish("1001").to_message()) | {"order_ids": 7}
    bodies = ['{"version": 1}', json.dumps(spoilt)]
    for body in bodies:
        world.queue.add(body)

    world.run()

    assert world.queue.set_aside_bodies == bodies
    fields = [line.fields["field"] for line in world.lines if line.event == Outcome.UNREADABLE]
    assert fields == ["platform", "order_ids"]


def test_a_long_list_is_done_in_slices_and_orders_have_their_time(world: World) -> None:
    """An erasure takes a part of a round only; what is left goes on the queue."""
    world.outside.seconds = {"get": 0.5, "put": 0.5}
    ids = [str(number) for number in range(2_000, 2_030)]
    world.queue.add(wish(*ids).to_message())
    world.add(purchase())

    world.round()

    (left,) = [Erasure.from_message(one.message.body) for one in world.queue.waiting.values()]
    took = (SLICE.total_seconds() + 2) / 2  # seconds, two for each order
    assert 30 - took <= len(left.order_ids) < 30
    assert record(world).status is Status.REPORTED
    world.run()
    assert {status(world, order_id) for order_id in ids} == {Status.ERASED}


def test_without_time_an_erasure_goes_back_as_it_is(world: World) -> None:
    (body,) = [wish("1001").to_message()]
    message = world.queue.add(body)

    assert world.round(seconds=11) == [message]
    assert world.queue.renewed == []


def test_when_the_queue_does_not_take_the_rest_the_whole_is_done_again(world: World) -> None:
    world.outside.seconds = {"get": 3.0, "put": 3.0}
    message = world.queue.add(wish(*map(str, range(10))).to_message())
    world.queue.broken = True

    assert world.round() == [message]

    world.queue.broken = False
    world.run()
    assert {status(world, str(order)) for order in range(10)} == {Status.ERASED}


# A whole shop


def test_all_of_a_shop_is_erased_dead_or_alive_whenever_ordered(world: World) -> None:
    """Today's, yesterday's, the oldest that may be there; and nothing of another shop."""
    dead(world)
    world.add(purchase(order_id="dead"))
    world.round()
    world.model.faults.clear()
    given_up = timedelta(days=60 + 29 + 180 + 180)  # ordered, waited, dead, and kept once more
    days = (-AHEAD, timedelta(0), timedelta(days=1), timedelta(days=59), given_up)
    names = [str(number) for number in range(len(days))]
    for name, ago in zip(names, days, strict=True):
        world.add(purchase(order_id=name, event_time=START - ago))
    world.add(purchase(shop="beta"))
    world.round()

    erase(world, whole_shop(world))

    assert {status(world, order_id) for order_id in ("dead", *names)} == {Status.ERASED}
    assert record(world, shop="beta").status is Status.REPORTED


def test_a_big_shop_is_erased_day_by_day_over_several_rounds(world: World) -> None:
    ids = [str(number) for number in range(30)]
    for number, order_id in enumerate(ids):
        world.add(purchase(order_id=order_id, event_time=START - timedelta(days=number)))
    world.round(most=100)
    world.outside.seconds = {"get": 1.0, "put": 1.0}

    world.queue.add(whole_shop(world).to_message())
    world.run()

    lines = [line.fields for line in world.lines if line.fields.get("whole_shop")]
    assert len(lines) > 3
    assert sum(line["items"] for line in lines) == 30
    assert {status(world, order_id) for order_id in ids} == {Status.ERASED}


def test_a_busy_day_is_gone_through_in_several_rounds(world: World) -> None:
    """What is erased is in no index any more, so that the next round goes on with the rest."""
    ids = [str(number) for number in range(30)]
    for order_id in ids:
        world.add(purchase(order_id=order_id))
    world.round(most=100)
    world.outside.seconds = {"get": 1.0, "put": 1.0}

    world.queue.add(whole_shop(world).to_message())
    world.run()

    assert {status(world, order_id) for order_id in ids} == {Status.ERASED}
    counted = [line.fields["items"] for line in world.lines if line.fields.get("whole_shop")]
    assert len(counted) > 2
    assert sum(counted) == len(ids)


def test_what_was_on_its_way_is_found_by_a_second_look(world: World) -> None:
    """Received before the request, claimed right after the first look had passed its day."""
    erase(world, whole_shop(world))
    world.add(purchase(received_at=START - timedelta(seconds=1)))
    world.round()
    assert record(world).status is Status.REPORTED

    world.run()

    assert world.clock() >= START + SECOND_LOOK
    assert status(world) is Status.ERASED


def test_what_came_soon_after_the_request_is_spared_by_both_looks(world: World) -> None:
    """One waits for Prisjakt when the second look passes, one is reported by then."""
    erase(world, whole_shop(world))
    for number, minutes in enumerate((20, 30)):
        moment = START + timedelta(minutes=minutes)
        world.clock.now = moment
        if number:
            waiting(world)
        world.add(purchase(order_id=str(number), received_at=moment, event_time=moment))
        world.round()
    assert (status(world, "0"), status(world, "1")) == (Status.REPORTED, Status.WAITING)

    world.run()

    assert world.clock() >= START + SECOND_LOOK
    assert (status(world, "0"), status(world, "1")) == (Status.REPORTED, Status.REPORTED)


def test_what_came_after_the_request_is_spared_even_if_it_was_listed(world: World) -> None:
    """What an index shows may be older than the item."""
    world.add(purchase())
    world.round()
    before = record(world).received_at - timedelta(seconds=1)

    assert not world.ledger.erase(
        platform="shopify",
        shop="alfa",
        order_id="1001",
        event_name=PURCHASE,
        now=world.clock(),
        until=before,
    )
    assert status(world) is Status.REPORTED


def test_what_is_spared_does_not_hold_up_the_rest(world: World) -> None:
    """More than a round can read, on a day before that of the order that is to be erased."""
    world.add(purchase(order_id="old", event_time=START - timedelta(days=3)))
    world.round()
    asked = whole_shop(world)
    world.clock.advance(60)
    for number in range(60):
        world.add(conversion(order_id=str(number), received_at=world.clock()))
    world.round(most=100)
    world.outside.seconds = {"get": 1.0, "put": 1.0}

    world.queue.add(asked.to_message())
    world.run()

    assert status(world, "old") is Status.ERASED
    assert {status(world, str(number)) for number in range(60)} == {Status.REPORTED}


def test_what_comes_after_the_request_is_a_new_beginning(world: World) -> None:
    """Somebody who comes back to the relay: its new orders are reported."""
    erase(world, whole_shop(world))
    world.clock.advance(2 * UNCLAIMED.total_seconds())
    received = world.clock() - UNCLAIMED - timedelta(minutes=1)
    world.add(purchase(received_at=received, event_time=received))
    world.round()

    assert record(world).status is Status.REPORTED


@pytest.mark.parametrize("known", [True, False], ids=["with document", "without"])
def test_what_waited_for_long_without_a_claim_is_dropped(known: bool, world: World) -> None:
    """Prisjakt or the shop's document was away: the ledger never heard of the order."""
    if not known:
        del world.documents["alfa"]
    erase(world, whole_shop(world))
    world.clock.advance(3 * UNCLAIMED.total_seconds())

    world.add(purchase(), purchase(order_id="1002"))
    world.run()

    assert world.outcomes() == [Outcome.ERASED]
    assert world.outcomes("1002") == [Outcome.ERASED]
    assert world.transport.requests == []


def test_what_was_dropped_is_not_reported_by_its_next_revision(world: World) -> None:
    erase(world, whole_shop(world))
    world.clock.advance(3 * UNCLAIMED.total_seconds())
    world.add(purchase())
    world.round()

    world.add(purchase(received_at=world.clock(), revision=purchase().revision + 1))
    world.run()

    assert status(world) is Status.ERASED
    assert world.events(REFERENCE) == []


def test_an_erased_order_of_a_shop_without_document_is_dropped_too(world: World) -> None:
    del world.documents["alfa"]
    erase(world, wish("1001"))
    world.clock.advance(2 * UNCLAIMED.total_seconds())

    world.add(purchase())
    world.round()

    assert world.outcomes() == [Outcome.ERASED]


def test_the_table_away_at_that_question_makes_an_order_wait(world: World) -> None:
    world.outside.trouble = Trouble(StorageError("away"), 1, 1, kinds=("get",))
    world.add(purchase(received_at=START - 2 * UNCLAIMED))

    world.run()

    assert world.outcomes() == [Outcome.WAITING, Outcome.REPORTED]


def test_a_fresh_order_costs_no_read_more(world: World) -> None:
    world.add(purchase())
    world.round()

    assert world.outside.calls.count("get") == 1


def test_a_later_request_moves_the_shops_mark_and_an_earlier_one_does_not(world: World) -> None:
    ledger = Ledger(world.store)
    later, earlier = START + timedelta(hours=1), START - timedelta(hours=1)

    assert ledger.erased_until("alfa") is None
    for moment in (START, earlier):
        ledger.note_erasure("alfa", moment, START)
        assert ledger.erased_until("alfa") == START
    ledger.note_erasure("alfa", later, START)

    assert ledger.erased_until("alfa") == later


def test_a_dead_order_that_is_resent_while_it_is_erased_stays_erased(world: World) -> None:
    """The operator's write was decided on what is no longer there."""
    dead(world)
    world.add(purchase())
    world.round()
    seen = record(world)
    assert seen.death is DeathReason.REJECTED

    erase(world, wish("1001"))

    assert Ledger(world.store).amend(seen, rules.resent(seen), START) is None
    assert status(world) is Status.ERASED
    assert record(world).answer == Problem()
