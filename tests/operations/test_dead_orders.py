"""Dead orders are found, tried again and given up, against the real functions on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cli.orders import credentials
from tests.operations.dying import DyingShop, dying_shop, letters, wait_for

from prisjakt_relay import ledger
from prisjakt_relay.erasure import of_orders, of_shop
from prisjakt_relay.errors import HeldError, PrisjaktError, Problem, SetupError, TokenError
from prisjakt_relay.local.prisjakt_model import Fault
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import dead_orders
from prisjakt_relay.operations.dead_orders import (
    OF_MESSAGES,
    Dropping,
    Letter,
    Plan,
    Reason,
    Resending,
    Result,
    Selection,
    Step,
)
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.outcomes import DeathReason

LONG_AGO = timedelta(days=40)
Make = Callable[..., DyingShop]


@pytest.fixture(scope="module")
def make(local_system: LocalSystem, stack: Stack) -> Iterator[Make]:
    def made(**fields: Any) -> DyingShop:
        return dying_shop(local_system, stack, **fields)

    yield made
    stack.client("sqs").purge_queue(QueueUrl=stack.outputs["DeadLettersUrl"])


def found(shop: DyingShop, **chosen: Any) -> list[dead_orders.Dead]:
    return list(dead_orders.find(shop.stack, Selection(shop=shop.name, **chosen)).dead)


def order_ids(shop: DyingShop, **chosen: Any) -> list[str]:
    orders = [
        each.conversion if isinstance(each, Letter) else each for each in found(shop, **chosen)
    ]
    return [order.order_id for order in orders if order is not None]


def carried_out(
    work: Resending | Dropping, shop: DyingShop, **chosen: Any
) -> list[tuple[Step, Result]]:
    plans = [work.plan(dead) for dead in found(shop, **chosen)]
    done: list[tuple[Step, Result]] = []

    def note(plan: Plan, result: Result, _: str) -> None:
        done.append((plan.step, result))

    dead_orders.carry_out(shop.stack, plans, work.do, note)
    return done


def test_refused_orders_are_reported_once_each_after_the_cause_is_mended(make: Make) -> None:
    shop = make()
    fault = shop.refused()
    for order_id in ("1", "2"):
        shop.send(shop.message(order_id))
    wait_for(lambda: len(found(shop)) == 2, "two dead orders")
    assert {dead_orders.reason_of(dead) for dead in found(shop)} == {Reason.REJECTED}

    shop.is_mended(fault)
    assert carried_out(Resending(shop.stack), shop) == [(Step.RESEND, Result.SENT)] * 2

    wait_for(lambda: shop.is_reported("1") and shop.is_reported("2"), "both reported")
    assert sorted(str(event.external_event_id) for event in shop.events()) == ["1", "2"]
    assert found(shop) == []


def test_what_is_still_refused_is_dead_again_with_the_new_answer(make: Make) -> None:
    shop = make()
    record = shop.dies()
    shop.refused()

    carried_out(Resending(shop.stack), shop)

    wait_for(lambda: shop.record(record.order_id).answer.request_id == "r-1", "a new answer")
    again = shop.record(record.order_id)
    assert again.status is ledger.Status.DEAD
    assert again.dead_since is not None
    assert record.dead_since is not None
    assert again.dead_since > record.dead_since


def test_a_resend_that_ended_before_the_queue_had_it_is_listed_and_can_be_repeated(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make()
    record = shop.dies()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dead_orders, "_send", interrupted)
        with pytest.raises(KeyboardInterrupt):
            carried_out(Resending(shop.stack), shop)
    (dead,) = found(shop)
    assert not isinstance(dead, Letter)
    assert dead_orders.is_resent(dead)

    assert carried_out(Resending(shop.stack), shop) == [(Step.RESEND, Result.SENT)]
    wait_for(lambda: shop.is_reported(record.order_id), "reported")
    assert len(shop.events()) == 1


def test_an_order_sent_twice_is_one_event(make: Make) -> None:
    shop = make()
    record = shop.dies()
    work = Resending(shop.stack)
    for _ in range(2):
        dead_orders._send(shop.stack, dead_orders._conversion(record).to_message(), shop.name)
        carried_out(work, shop)

    wait_for(lambda: shop.is_reported(record.order_id), "reported")
    assert len(shop.events()) == 1


def test_a_record_that_changed_meanwhile_is_left_alone(make: Make) -> None:
    shop = make()
    seen = shop.dies()
    now = datetime.now(UTC)
    assert shop.stack.ledger.amend(seen, ledger.dropped(seen, now), now) is not None

    assert Resending(shop.stack).do(seen) == (Result.CHANGED, "")
    assert Dropping(shop.stack, deletes=()).do(seen) == (Result.CHANGED, "")
    assert shop.events() == []


def test_orders_are_chosen_by_shop_order_reference_reason_and_time(make: Make) -> None:
    shop, other = make(), make()
    now = datetime.now(UTC)
    old = shop.dies(DeathReason.EXPIRED, since=now - timedelta(days=3))
    new = shop.dies(since=now - timedelta(days=1), order_reference="SE-7")
    foreign = other.dies()
    stuck = shop.message("stuck")
    letter = shop.gets_stuck(stuck)

    assert order_ids(shop) == ["stuck", new.order_id, old.order_id]
    assert order_ids(shop, reasons=frozenset({Reason.EXPIRED})) == [old.order_id]
    assert order_ids(shop, reasons=frozenset({Reason.UNDELIVERED})) == ["stuck"]
    assert order_ids(shop, since=now - timedelta(days=2)) == ["stuck", new.order_id]
    assert order_ids(shop, until=now - timedelta(days=2)) == [old.order_id]
    assert order_ids(shop, order_ids=frozenset({"SE-7"})) == [new.order_id]
    everywhere = dead_orders.find(shop.stack, Selection()).dead
    shops = [each.shop for each in everywhere if not isinstance(each, Letter)]
    assert {shop.name, other.name} <= set(shops)
    assert foreign.order_id not in order_ids(shop)
    assert letter in letters(shop.stack), "it was given back"


def test_many_come_page_by_page_newest_first(make: Make) -> None:
    shop = make()
    now = datetime.now(UTC)
    for n in range(120):
        shop.dies(since=now - timedelta(minutes=n))

    moments = [dead_orders.since(dead) for dead in found(shop)]
    assert len(moments) == 120
    assert moments == sorted(moments, reverse=True)


def test_a_shop_that_is_not_there_is_named_but_what_it_left_is_found(make: Make) -> None:
    shop = make()
    with pytest.raises(SetupError, match="there is no shop nowhere"):
        list(dead_orders.find(shop.stack, Selection(shop="nowhere")).dead)
    with pytest.raises(SetupError, match="use 1 to 64"):
        dead_orders.find(shop.stack, Selection(shop="No Shop"))

    removed = replace(shop, name=f"{shop.name}-removed")
    removed.dies()
    (plan,) = map(Resending(shop.stack).plan, found(removed))
    assert plan.step is Step.NO_SHOP
    assert "there is no shop" in plan.remedy


def test_expired_without_an_uncertain_try_is_sent_again(make: Make) -> None:
    shop = make()
    record = shop.dies(DeathReason.EXPIRED, tried=LONG_AGO)

    assert carried_out(Resending(shop.stack), shop) == [(Step.RESEND, Result.SENT)]

    wait_for(lambda: shop.is_reported(record.order_id), "reported")
    assert len(shop.events()) == 1


def test_expired_and_uncertain_needs_credentials_or_force(make: Make) -> None:
    shop = make()
    record = shop.dies(DeathReason.EXPIRED, tried=LONG_AGO, uncertain=True)
    (plan,) = map(Resending(shop.stack).plan, found(shop))
    assert plan.step is Step.NEEDS_PROOF
    assert "--force" in plan.remedy
    assert carried_out(Resending(shop.stack), shop) == []
    assert shop.record(record.order_id) == record

    forced = carried_out(Resending(shop.stack, force=True), shop)

    assert forced == [(Step.RESEND, Result.SENT)]
    wait_for(lambda: shop.is_reported(record.order_id), "reported")
    assert len(shop.events()) == 1


def test_an_expired_order_that_prisjakt_does_not_show_is_sent_again(make: Make) -> None:
    shop = make(**credentials())
    record = shop.dies(DeathReason.EXPIRED, tried=LONG_AGO, uncertain=True)

    assert carried_out(Resending(shop.stack), shop) == [(Step.READ_FIRST, Result.SENT)]

    wait_for(lambda: shop.is_reported(record.order_id), "reported")
    assert len(shop.events()) == 1


def dies_though_prisjakt_has_it(shop: DyingShop, order_id: str) -> tuple[str, ledger.Facts]:
    """The order's time, and what it has become since Prisjakt took it: twice as dear."""
    shop.send(shop.message(order_id, amount="10.00", revision=1))
    wait_for(lambda: len(shop.events()) == 1, "an event")
    wait_for(lambda: shop.is_reported(order_id), "reported")
    reported = shop.record(order_id)
    wanted = replace(reported.wanted, amount=reported.wanted.amount * 2)
    dead = replace(
        ledger.dead(reported, wanted, DeathReason.EXPIRED, reported.answer, datetime.now(UTC)),
        wanted=wanted,
        reported=None,
        reported_at=None,
        uncertain=True,
        first_try_at=datetime.now(UTC) - LONG_AGO,
        version=reported.version + 1,
    )
    assert shop.stack.store.put(ledger.to_item(dead), previous=reported.version)
    return reported.event_time, wanted


def test_an_expired_order_that_prisjakt_shows_is_settled_with_the_newest_facts(make: Make) -> None:
    """It is changed and not sent a second time; later changes of the order are reported too."""
    shop = make(**credentials())
    event_time, wanted = dies_though_prisjakt_has_it(shop, "7")

    assert carried_out(Resending(shop.stack), shop) == [(Step.READ_FIRST, Result.AT_PRISJAKT)]

    wait_for(lambda: [e.amount for e in shop.events()] == [wanted.amount], "corrected")
    wait_for(lambda: shop.record("7").certain, "certain")
    assert found(shop) == []
    settled = shop.record("7")
    assert (settled.status, settled.death, settled.dead_since) == ("reported", None, None)
    shop.send(shop.message("7", amount="5.00", revision=9, event_time=event_time))
    wait_for(lambda: [str(e.amount) for e in shop.events()] == ["5"], "changed later")


def test_an_interrupted_resend_of_what_prisjakt_shows_keeps_the_change(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make(**credentials())
    _, wanted = dies_though_prisjakt_has_it(shop, "8")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dead_orders, "_send", interrupted)
        with pytest.raises(KeyboardInterrupt):
            carried_out(Resending(shop.stack), shop)
    assert [dead.order_id for dead in found(shop) if isinstance(dead, ledger.Record)] == ["8"]

    assert carried_out(Resending(shop.stack), shop) == [(Step.READ_FIRST, Result.AT_PRISJAKT)]
    wait_for(lambda: [e.amount for e in shop.events()] == [wanted.amount], "corrected")
    wait_for(lambda: found(shop) == [], "listed no more")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(kind="status", status=500, operation="get-events"), "does not answer"),
        (Fault(kind="status", status=429, operation="get-events"), "takes no more requests"),
    ],
)
def test_a_prisjakt_that_cannot_be_asked_now_ends_a_run_with_a_remedy(
    make: Make, local_system: LocalSystem, fault: Fault, words: str
) -> None:
    shop = make(**credentials() | {"prisjakt_auth": "headers"})
    records = [shop.dies(DeathReason.EXPIRED, tried=LONG_AGO, uncertain=True) for _ in range(2)]
    assert local_system.model is not None
    fault.pixel_id = shop.pixel_id
    local_system.model.faults.append(fault)

    with pytest.raises(PrisjaktError, match=f"{words}.*try again"):
        carried_out(Resending(shop.stack), shop)

    assert [shop.record(record.order_id) for record in records] == records


def test_a_token_address_that_does_not_answer_is_no_matter_of_permission(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make(**credentials())
    shop.dies(DeathReason.EXPIRED, tried=LONG_AGO, uncertain=True)

    def no_token(*_: object) -> None:
        raise TokenError(Problem(title="ConnectionError"))

    monkeypatch.setattr(dead_orders, "shows", no_token)
    with pytest.raises(TokenError, match=r"gives no token .*: try again later"):
        carried_out(Resending(shop.stack), shop)


def test_credentials_that_prisjakt_refuses_are_asked_with_once_and_nothing_is_sent(
    make: Make, local_system: LocalSystem
) -> None:
    shop = make(**credentials() | {"prisjakt_auth": "headers"})
    records = [shop.dies(DeathReason.EXPIRED, tried=LONG_AGO, uncertain=True) for _ in range(3)]
    assert local_system.model is not None
    fault = Fault(
        kind="status", status=403, operation="get-events", times=10, pixel_id=shop.pixel_id
    )
    local_system.model.faults.append(fault)

    work = Resending(shop.stack)
    done = carried_out(work, shop)
    _, why = work.do(records[0])

    local_system.model.faults.remove(fault)
    assert done == [(Step.READ_FIRST, Result.NOT_READ)] * 3
    assert "needs the role shop_user" in why
    assert fault.times == 9
    assert [shop.record(record.order_id) for record in records] == records


def test_the_rate_limit_ends_a_run_and_the_next_one_goes_on(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make(**credentials())
    for _ in range(2):
        shop.dies(DeathReason.EXPIRED, tried=LONG_AGO, uncertain=True)
    turn = datetime.now(UTC) + timedelta(minutes=5)
    turns = iter([None, turn])
    monkeypatch.setattr(
        type(shop.stack.rate_limit), "reserve", lambda *_: next(turns), raising=True
    )
    with pytest.raises(HeldError, match="try again at"):
        carried_out(Resending(shop.stack), shop)
    monkeypatch.undo()

    wait_for(lambda: len(shop.events()) == 1, "the first reported")
    wait_for(lambda: len(found(shop)) == 1, "one left")
    carried_out(Resending(shop.stack), shop)
    wait_for(lambda: len(shop.events()) == 2, "both reported")


def test_what_is_dropped_leaves_the_list_and_a_change_of_the_order_tries_it_again(
    make: Make,
) -> None:
    shop = make()
    record = shop.dies()
    assert carried_out(Dropping(shop.stack, deletes=()), shop) == [(Step.DROP, Result.DROPPED)]
    assert found(shop) == []
    assert shop.record(record.order_id).answer == record.answer
    shown = dead_orders.one(shop.stack, shop.name, record.order_id)
    assert not isinstance(shown, Letter)
    assert shown.dropped_at is not None

    shop.send(shop.message(record.order_id, amount="1.00", revision=record.wanted.revision + 1))
    wait_for(lambda: shop.is_reported(record.order_id), "reported")


def test_what_was_resent_and_then_dropped_is_not_reported(make: Make) -> None:
    """Its message may still be on the queue."""
    shop = make()
    record = shop.dies()
    now = datetime.now(UTC)
    assert shop.stack.ledger.amend(record, ledger.resent(record), now) is not None
    carried_out(Dropping(shop.stack, deletes=()), shop)

    shop.send(dead_orders._conversion(record).to_message())
    marker = shop.message("marker")
    shop.send(marker)
    wait_for(lambda: len(shop.events()) == 1, "the marker")
    assert shop.events()[0].external_event_id == "marker"
    assert shop.record(record.order_id).status is ledger.Status.DEAD


def test_a_stuck_message_that_can_be_read_is_put_back_on_the_queue(make: Make) -> None:
    shop = make()
    stuck = shop.gets_stuck(shop.message("5"))

    assert carried_out(Resending(shop.stack), shop) == [(Step.RESEND, Result.SENT)]

    wait_for(lambda: len(shop.events()) == 1, "reported")
    assert stuck not in letters(shop.stack)


def test_a_stuck_message_that_was_sent_but_not_deleted_is_sent_again_without_harm(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make()
    stuck = shop.gets_stuck(shop.message("5"))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dead_orders, "_delete", interrupted)
        with pytest.raises(KeyboardInterrupt):
            carried_out(Resending(shop.stack), shop)
    assert stuck in letters(shop.stack), "it was given back"
    assert carried_out(Resending(shop.stack), shop) == [(Step.RESEND, Result.SENT)]

    shop.send(shop.message("marker"))
    wait_for(lambda: len(shop.events()) == 2, "reported")
    assert stuck not in letters(shop.stack)
    assert {str(e.external_event_id) for e in shop.events()} == {"5", "marker"}


def test_a_stuck_message_that_somebody_else_took_is_told(make: Make) -> None:
    shop = make()
    shop.gets_stuck(shop.message("5"))
    work = Dropping(shop.stack, deletes=OF_MESSAGES)
    plans = [work.plan(dead) for dead in found(shop)]
    assert carried_out(work, shop) == [(Step.DELETE, Result.DROPPED)]

    done: list[Result] = []
    dead_orders.carry_out(shop.stack, plans, work.do, lambda _, result, __: done.append(result))
    assert done == [Result.CHANGED]


@pytest.mark.parametrize("reason", dead_orders.OF_MESSAGES)
def test_only_messages_whose_reason_is_named_are_deleted(make: Make, reason: Reason) -> None:
    shop = make()
    body = shop.message("5") if reason is Reason.UNDELIVERED else "Anna Testsson, Testgatan 1"
    stuck = shop.gets_stuck(body)
    (letter,) = [
        each
        for each in dead_orders.find(shop.stack, Selection(reasons=frozenset({reason}))).dead
        if isinstance(each, Letter) and each.id == stuck
    ]

    plan = Dropping(shop.stack, deletes=OF_MESSAGES - {reason}).plan(letter)
    assert (plan.step, f"--reason {reason}" in plan.remedy) == (Step.NEEDS_REASON, True)
    assert Dropping(shop.stack, deletes={reason}).plan(letter).step is Step.DELETE


def test_what_nobody_can_read_is_deleted_only_by_name(make: Make) -> None:
    shop = make()
    stuck = shop.gets_stuck("Anna Testsson, Testgatan 1")
    unreadable = Selection(reasons=frozenset({Reason.UNREADABLE}))

    def mine() -> list[Letter]:
        every = dead_orders.find(shop.stack, unreadable).dead
        return [each for each in every if isinstance(each, Letter) and each.id == stuck]

    (letter,) = mine()
    assert letter.size == 26
    assert Resending(shop.stack).plan(letter).step is Step.UNREADABLE
    work = Dropping(shop.stack, deletes={Reason.UNREADABLE})
    dead_orders.carry_out(shop.stack, [work.plan(letter)], work.do, lambda *_: None)

    assert mine() == []
    assert stuck not in letters(shop.stack)


def test_a_request_to_erase_is_never_deleted_and_a_resend_carries_it_out(make: Make) -> None:
    shop = make()
    now = datetime.now(UTC)
    (some,) = of_orders(["1", "2"], "woocommerce", shop.name, now)
    stuck = {shop.gets_stuck(each.to_message()) for each in (some, of_shop("w", shop.name, now))}
    dropping = Dropping(shop.stack, deletes=OF_MESSAGES)

    plans = [dropping.plan(dead) for dead in found(shop)]

    assert [plan.step for plan in plans] == [Step.NEEDS_RESEND] * 2
    resend = shop.stack.command("dead", "resend", shop.name, "--reason", "undelivered")
    assert {resend in plan.remedy for plan in plans} == {True}
    assert carried_out(dropping, shop) == []
    assert stuck <= {*letters(shop.stack)}
    chosen = {"reasons": frozenset({Reason.UNDELIVERED})}
    assert carried_out(Resending(shop.stack), shop, **chosen) == [(Step.RESEND, Result.SENT)] * 2
    erased = ledger.key(shop.name, "1", "purchase")
    wait_for(lambda: shop.stack.ledger.get(erased) is not None, "erased")
    assert shop.record("1").status is ledger.Status.ERASED
    assert not stuck & {*letters(shop.stack)}


def test_more_messages_than_are_looked_at_are_counted(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make()
    for n in range(15):
        shop.gets_stuck(shop.message(f"{n}"))
    monkeypatch.setattr(dead_orders, "MOST_LETTERS", 5)

    dead, more = dead_orders.find(shop.stack, Selection())
    assert more >= 5
    assert sum(isinstance(each, Letter) for each in dead) >= 5

    monkeypatch.undo()
    plans = [Dropping(shop.stack, deletes=OF_MESSAGES).plan(dead) for dead in found(shop)]
    monkeypatch.setattr(dead_orders, "MOST_LETTERS", 5)
    done: list[Result] = []
    work = Dropping(shop.stack, deletes=OF_MESSAGES)
    dead_orders.carry_out(shop.stack, plans, work.do, lambda _, result, __: done.append(result))
    assert len(done) == 15
    assert Result.CHANGED in done, "what was not at hand is left for the next run"

    monkeypatch.undo()
    carried_out(work, shop)
    assert found(shop) == []


def test_one_order_is_found_by_id_or_reference_or_its_state_is_told(make: Make) -> None:
    shop = make()
    record = shop.dies(order_reference="NO-1")
    shop.send(shop.message("alive"))
    shop.gets_stuck(shop.message("stuck"))
    wait_for(lambda: len(shop.events()) == 1, "reported")
    wait_for(lambda: shop.is_reported("alive"), "reported")

    assert dead_orders.one(shop.stack, shop.name, record.order_id) == record
    assert dead_orders.one(shop.stack, shop.name, "NO-1") == record
    carried_out(Dropping(shop.stack, deletes=()), shop, order_ids=frozenset({"NO-1"}))
    assert dead_orders.one(shop.stack, shop.name, "NO-1") == shop.record(record.order_id)
    assert isinstance(dead_orders.one(shop.stack, shop.name, "stuck"), Letter)
    with pytest.raises(SetupError, match="is not dead but reported"):
        dead_orders.one(shop.stack, shop.name, "alive")
    with pytest.raises(SetupError, match="there is no dead order 0"):
        dead_orders.one(shop.stack, shop.name, "0")
