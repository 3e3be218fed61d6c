"""The ledger's promises: merged by revision, one lease at a time, nothing reported twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samtranslator.yaml_helper import yaml_parse
from tests.sender.world import BARE_CLICK_ID, CLICK_ID, PIXELS, START, MemoryStore, conversion

from prisjakt_relay import ledger as rules
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import Problem, StorageError
from prisjakt_relay.ledger import (
    CONTENTIONS,
    DEAD_KEPT,
    KEPT,
    LAST_FIRST_REPORT,
    LATE,
    LEASE,
    Change,
    Claim,
    Facts,
    Ledger,
    Record,
    Status,
    claimed,
    from_item,
    to_item,
)
from prisjakt_relay.local import project
from prisjakt_relay.outcomes import DeathReason, Outcome

PIXEL = PIXELS["alfa"]
LEDGER_TABLE = yaml_parse((project.root() / "template.yaml").read_text("utf-8"))["Resources"][
    "Ledger"
]["Properties"]
MILLISECOND = timedelta(milliseconds=1)
facts = Facts.of
REFUSAL = Problem(status=400, title="No", field_errors={"data.amount": "is too much"})


def message(revision: int = 1, amount: str = "10.00", items: int = 1, **more: Any) -> Conversion:
    return conversion(
        revision=revision, amount=Decimal(amount), number_of_items=items, void=False, **more
    )


def void(revision: int = 1, amount: str = "0.00", items: int = 0) -> Conversion:
    return conversion(revision=revision, amount=Decimal(amount), number_of_items=items, void=True)


def claim(
    record: Record | None,
    one: Conversion,
    now: datetime = START,
    by: str = "mine",
    *,
    corrects: bool = False,
) -> Claim:
    return claimed(record, one, pixel_id=PIXEL, corrects=corrects, now=now, token=by)


def granted(claim: Claim) -> Record:
    """The record of a claim that may send."""
    assert (claim.outcome, claim.until) == (None, None)
    assert claim.record.token is not None
    return claim.record


def settled(one: Conversion, change: Callable[[Record], Record]) -> Record:
    """A record on which one try was made, with what came of it."""
    return change(granted(claim(None, one)))


def report(record: Record) -> Record:
    return rules.reported(record, record.wanted, certain=True)


def find_there(record: Record) -> Record:
    return rules.already_at_prisjakt(record, record.wanted)


def fail(record: Record, *, stored: bool = False, refused: bool = False) -> Record:
    return rules.failed(record, Problem(status=503), stored=stored, refused=refused)


def bury(record: Record, now: datetime = START) -> Record:
    return rules.dead(record, record.wanted, DeathReason.REJECTED, REFUSAL, now)


# Merging


BY_RANK = [  # the highest last
    message(1, "1.00", 9),
    message(2, "30.00", 3),
    message(2, "20.00", 3),
    message(2, "20.00", 2),
    void(2, "30.00", 3),
    void(2, "0.00", 0),
    message(3, "99.00", 9),
]


@pytest.mark.parametrize("lower", range(len(BY_RANK) - 1))
def test_the_higher_revision_wins_then_void_then_less_money_then_fewer_items(lower: int) -> None:
    assert facts(BY_RANK[lower]).rank() < facts(BY_RANK[lower + 1]).rank()


@pytest.mark.parametrize("order", list(permutations(BY_RANK[1:5])))
def test_at_one_revision_the_order_of_arrival_does_not_matter(order: list[Conversion]) -> None:
    record: Record | None = None
    for one in order:
        record = claim(record, one).record

    assert record is not None
    assert record.wanted == facts(BY_RANK[4])


def test_an_older_message_is_superseded_even_if_nothing_is_reported_yet() -> None:
    record = settled(message(2), fail)

    assert claim(record, message(1)) == Claim(record, Outcome.SUPERSEDED)


def test_an_older_message_is_superseded_while_another_sender_has_the_lease() -> None:
    record = granted(claim(None, message(2)))

    assert claim(record, message(1)) == Claim(record, Outcome.SUPERSEDED)


def test_what_was_reported_is_a_duplicate() -> None:
    record = settled(message(), report)

    assert claim(record, message()) == Claim(record, Outcome.DUPLICATE)


def test_a_newer_revision_with_the_same_facts_is_a_duplicate_but_counts_as_the_newest() -> None:
    record = settled(message(1), report)

    again = claim(record, message(2))

    assert again.outcome is Outcome.DUPLICATE
    assert again.record == replace(record, wanted=facts(message(2)))


NAMES = ("pixel_id", "external_id", "currency", "event_time", "click_id")


def claimed_after_every_setting_changed(record: Record) -> Record:
    changed = message(
        2,
        order_reference="SE-1001",
        event_time=START,
        click_id=CLICK_ID.replace("239cd31f", "55555555"),
        received_at=START,
    )
    return granted(
        claimed(record, changed, pixel_id=PIXELS["beta"], corrects=False, now=START, token="t")
    )


def test_what_a_try_may_have_stored_stays_frozen() -> None:
    """Under another name the order could be there twice."""
    record = settled(message(1), partial(fail, stored=True))

    again = claimed_after_every_setting_changed(record)

    assert [getattr(again, name) for name in NAMES] == [getattr(record, name) for name in NAMES]
    assert again.wanted.revision == 2


@pytest.mark.parametrize("change", [fail, partial(fail, refused=True), rules.untouched])
def test_while_prisjakt_cannot_have_it_the_newest_set_up_counts(
    change: Callable[[Record], Record],
) -> None:
    """A shop that corrects its pixel id saves the orders that wait for it."""
    record = settled(message(1), change)

    again = claimed_after_every_setting_changed(record)

    assert (again.pixel_id, again.external_id) == (PIXELS["beta"], "SE-1001")
    assert again.click_id.startswith("55555555")
    assert again.received_at == record.received_at


def test_a_waiting_order_takes_the_currency_of_its_newest_message() -> None:
    record = settled(message(1), fail)

    again = granted(claim(record, message(2, currency="EUR")))

    assert (again.currency, again.wanted.revision) == ("EUR", 2)


def test_a_figure_in_another_currency_waits_while_another_sender_has_the_lease() -> None:
    record = granted(claim(None, message(1)))

    other = claim(record, message(2, currency="EUR"), by="other")

    assert other == Claim(record, until=START + LEASE)


def test_a_figure_in_another_currency_changes_nothing() -> None:
    record = settled(message(1), report)

    assert claim(record, message(2, currency="EUR")) == Claim(record, Outcome.NOT_CORRECTABLE)


def test_a_void_order_is_void_in_every_currency() -> None:
    record = settled(message(1), partial(fail, stored=True))

    again = claim(record, replace(void(2), currency="EUR"))

    assert again.outcome is Outcome.NOT_CORRECTABLE
    assert (again.record.currency, again.record.wanted) == ("SEK", facts(void(2)))


# Leases


def test_the_first_claimer_gets_a_lease() -> None:
    record = granted(claim(None, message()))

    assert (record.token, record.leased_until) == ("mine", START + LEASE)
    assert (record.status, record.first_try_at) == (Status.WAITING, START)
    assert not record.uncertain


def test_the_second_claimer_waits_until_the_lease_ends_and_its_facts_are_kept() -> None:
    record = granted(claim(None, message(1)))

    second = claim(record, message(2), now=START + LEASE - MILLISECOND, by="other")

    assert (second.outcome, second.until) == (None, START + LEASE)
    assert second.record == replace(record, wanted=facts(message(2)))


def test_after_an_expired_lease_nobody_knows_whether_the_event_was_stored() -> None:
    record = granted(claim(None, message()))

    taken = granted(claim(record, message(), now=START + LEASE + LATE, by="other"))

    assert (taken.token, taken.uncertain) == ("other", True)
    assert taken.leased_until == START + LEASE + LATE + LEASE
    assert taken.first_try_at == START


def test_what_a_killed_sender_sent_may_still_be_under_way_for_five_minutes() -> None:
    """Its PATCH must not overtake the next one."""
    record = granted(claim(None, message(1)))

    waiting = claim(record, message(2), now=START + LEASE, by="other")

    assert waiting.until == START + LEASE + LATE
    assert (waiting.record.token, waiting.record.wanted) == (None, facts(message(2)))


def test_the_length_of_a_lease_is_the_ledgers() -> None:
    ledger = Ledger(MemoryStore(), lease=timedelta(seconds=12))

    claim = ledger.claim(message(), pixel_id=PIXEL, corrects=False, now=START, token="mine")

    assert claim.record.leased_until == START + timedelta(seconds=12)


# What comes of a try


def test_a_report_settles_the_facts_that_were_sent() -> None:
    record = replace(granted(claim(None, message(1))), wanted=facts(message(2, "5.00")))

    after = rules.reported(record, facts(message(1)), certain=False)

    assert (after.status, after.certain) == (Status.REPORTED, False)
    assert after.reported == after.settled == facts(message(1))
    assert after.wanted == facts(message(2, "5.00"))
    assert (after.token, after.leased_until) == (None, None)


def test_a_failed_try_is_counted_with_its_answer() -> None:
    record = granted(claim(None, message()))

    once = rules.failed(record, Problem(status=503), stored=False, refused=False)
    twice = rules.failed(once, Problem(status=401), stored=False, refused=True)

    assert (once.tries, once.refusals, once.answer) == (1, 0, Problem(status=503))
    assert (twice.tries, twice.refusals, twice.answer) == (2, 1, Problem(status=401))
    assert (once.token, once.leased_until, once.status) == (None, None, Status.WAITING)


def test_a_try_that_may_have_been_stored_stays_uncertain() -> None:
    record = granted(claim(None, message()))

    stored = fail(record, stored=True)

    assert not fail(record).uncertain
    assert stored.uncertain
    assert fail(stored).uncertain


def test_a_lease_given_back_leaves_no_trace_of_a_try() -> None:
    record = rules.untouched(granted(claim(None, message())))

    assert (record.token, record.leased_until, record.first_try_at) == (None, None, None)
    assert (record.tries, record.uncertain, record.status) == (0, False, Status.WAITING)


@pytest.mark.parametrize(
    "earlier", [fail, partial(fail, stored=True), lambda r: replace(rules.untouched(r), tries=1)]
)
def test_a_lease_given_back_keeps_the_time_of_an_earlier_try(
    earlier: Callable[[Record], Record],
) -> None:
    record = replace(settled(message(), earlier), first_try_at=START)

    again = granted(claim(record, message(), now=START + timedelta(hours=1)))

    assert rules.untouched(again).first_try_at == START


def test_a_lease_given_back_keeps_the_time_of_a_try_of_earlier_facts() -> None:
    """They were refused; the 29 days of the order are counted from there all the same."""
    record = settled(message(), bury)
    tried = record.first_try_at

    again = granted(claim(record, message(2, "5.00"), now=START + timedelta(hours=1)))

    assert tried is not None
    assert rules.untouched(again).first_try_at == tried


def test_a_killed_try_counts_as_a_first_try() -> None:
    record = granted(claim(None, message()))

    taken = granted(claim(record, message(), now=START + LEASE + LATE, by="other"))

    assert (taken.tries, rules.untouched(taken).first_try_at) == (0, START)


# Void and changed orders


def test_an_order_that_is_void_before_any_report_has_nothing_to_report() -> None:
    first = claim(None, void(2))

    assert (first.outcome, first.record.status) == (
        Outcome.NOTHING_TO_REPORT,
        Status.NOTHING_TO_REPORT,
    )
    assert first.record.token is None
    assert claim(first.record, message(1)).outcome is Outcome.SUPERSEDED
    assert claim(first.record, void(2)) == Claim(first.record, Outcome.DUPLICATE)


def test_an_order_that_comes_back_from_void_is_reported() -> None:
    record = claim(None, void(1)).record

    again = granted(claim(record, message(2)))

    assert (again.status, again.settled, again.wanted) == (Status.WAITING, None, facts(message(2)))


def test_a_void_order_whose_try_may_have_been_stored_is_outstanding() -> None:
    record = settled(message(1), partial(fail, stored=True))

    now_void = claim(record, void(2))

    assert now_void.outcome is Outcome.NOT_CORRECTABLE
    assert granted(claim(now_void.record, message(3))).wanted == facts(message(3))


def test_a_void_order_is_not_dead_any_more() -> None:
    record = settled(message(1), bury)

    after = claim(record, void(2)).record

    assert (after.status, after.death, after.dead_since) == (Status.NOTHING_TO_REPORT, None, None)


@pytest.mark.parametrize("change", [message(2, "5.00"), message(2, items=0), void(2)])
def test_a_change_after_the_report_is_not_correctable_and_back_again(change: Conversion) -> None:
    record = settled(message(1), report)

    changed = claim(record, change)
    repeated = claim(changed.record, change)
    back = claim(changed.record, message(3))

    assert (changed.outcome, changed.record.status) == (
        Outcome.NOT_CORRECTABLE,
        Status.NOT_CORRECTABLE,
    )
    assert changed.record.reported == facts(message(1))
    assert repeated == Claim(changed.record, Outcome.DUPLICATE)
    assert (back.outcome, back.record.status) == (Outcome.DUPLICATE, Status.REPORTED)
    assert back.record.settled == back.record.reported


def test_an_event_that_another_reported_is_never_posted_again() -> None:
    """Whatever becomes of the order: after thirty days Prisjakt would take it a second time."""
    record = settled(message(1), find_there)
    assert record.status is Status.ALREADY_AT_PRISJAKT
    assert claim(record, message(1)).outcome is Outcome.DUPLICATE

    for change in (message(2, "5.00"), message(3, "7.00"), void(4), message(5)):
        after = claim(record, change, now=START + timedelta(days=20))

        assert (after.outcome, after.record.token) == (Outcome.NOT_CORRECTABLE, None)
        record = after.record


# Dead orders


def test_a_dead_order_keeps_the_reason_and_the_answer() -> None:
    record = settled(message(), bury)

    assert (record.status, record.death, record.dead_since) == (
        Status.DEAD,
        DeathReason.REJECTED,
        START,
    )
    assert (record.answer, record.token) == (REFUSAL, None)


def test_a_dead_order_stays_dead_while_its_facts_are_the_same() -> None:
    record = settled(message(1), bury)

    again = claim(record, message(2))

    assert (again.outcome, again.record.status) == (Outcome.DUPLICATE, Status.DEAD)


def test_a_dead_order_with_other_facts_is_tried_again() -> None:
    record = settled(message(1), bury)

    again = granted(claim(record, message(2, "5.00")))

    assert (again.status, again.death, again.dead_since) == (Status.WAITING, None, None)


def test_no_first_report_is_made_later_than_29_days_after_its_first_try() -> None:
    record = settled(message(1), fail)
    last_moment = START + LAST_FIRST_REPORT

    granted(claim(record, message(1), now=last_moment))
    late = claim(record, message(1), now=last_moment + MILLISECOND)

    assert timedelta(days=29) == LAST_FIRST_REPORT
    assert (late.outcome, late.record.death) == (Outcome.DEAD, DeathReason.EXPIRED)
    assert (late.record.answer, late.record.token) == (record.answer, None)


def test_an_expired_order_is_never_tried_again() -> None:
    record = settled(message(1), fail)
    now = START + LAST_FIRST_REPORT + MILLISECOND
    expired = claim(record, message(1), now=now).record

    again = claim(expired, message(2, "5.00"), now=now)

    assert (again.outcome, again.record.status) == (Outcome.DUPLICATE, Status.DEAD)
    assert claim(again.record, void(3), now=now).outcome is Outcome.DUPLICATE


# What an operator decides about dead orders


def expired(*, stored: bool) -> tuple[Record, datetime]:
    """An order whose time to be reported is over, and when it is."""
    record = settled(message(1), partial(fail, stored=stored))
    now = START + LAST_FIRST_REPORT + MILLISECOND
    return claim(record, message(1), now=now).record, now


def test_a_resent_order_is_tried_again_with_the_same_facts() -> None:
    record = rules.resent(settled(message(1), bury))

    again = granted(claim(record, message(1)))

    assert (again.status, again.death, again.dead_since) == (Status.WAITING, None, None)
    assert (again.tries, again.first_try_at) == (0, START)


def test_a_resent_order_is_listed_as_dead_until_a_sender_takes_it_up() -> None:
    """So that one whose message was never sent is not lost."""
    record = rules.resent(settled(message(1), bury))

    assert to_item(record)["dead_shop"] == record.shop
    assert "dead_shop" not in to_item(granted(claim(record, message(1))))


def test_an_expired_order_of_which_nothing_was_stored_is_reported_when_it_is_resent() -> None:
    record, now = expired(stored=False)

    again = granted(claim(rules.resent(record), message(1), now=now))

    assert not rules.may_be_there(record, now)
    assert again.first_try_at == now


def test_an_expired_order_that_may_have_been_stored_needs_a_proof() -> None:
    """Prisjakt may have it, and may have forgotten its id: a POST could make a second event."""
    record, now = expired(stored=True)

    without = claim(rules.resent(record), message(1), now=now)
    with_proof = claim(rules.resent(record, proven=True), message(1), now=now)

    assert rules.may_be_there(record, now)
    assert (without.outcome, without.record.death) == (Outcome.DEAD, DeathReason.EXPIRED)
    assert granted(with_proof).first_try_at == now


def test_an_order_that_may_have_been_stored_lately_is_resent_under_the_same_name() -> None:
    """Prisjakt still knows its id, and refuses a second event."""
    failed = settled(message(1), partial(fail, stored=True))
    record = bury(granted(claim(failed, message(1))))

    again = granted(claim(rules.resent(record), message(1, order_reference="another")))

    assert not rules.may_be_there(record, START)
    assert (again.uncertain, again.external_id) == (True, record.external_id)


def test_a_dropped_order_leaves_the_list_and_a_change_of_the_order_still_tries_it() -> None:
    record = rules.dropped(settled(message(1), bury), START)

    same = claim(record, message(2))
    changed = granted(claim(record, message(2, "5.00")))

    assert "dead_shop" not in to_item(record)
    assert (same.outcome, same.record.dropped_at) == (Outcome.DUPLICATE, START)
    assert changed.dropped_at is None
    assert to_item(bury(changed))["dead_shop"] == record.shop


def test_an_order_that_was_resent_and_then_dropped_is_not_reported_by_the_message_under_way() -> (
    None
):
    record = rules.dropped(rules.resent(settled(message(1), bury)), START)

    assert claim(record, message(1)).outcome is Outcome.DUPLICATE


def test_a_dead_order_that_turns_out_to_be_at_prisjakt_can_be_corrected() -> None:
    record, now = expired(stored=True)

    there = rules.reported(record, record.wanted, certain=False)

    assert granted(claim(there, message(2, "5.00"), now=now, corrects=True)).wanted.amount == 5


def test_a_dropped_order_that_becomes_void_is_forgotten_as_dead() -> None:
    record = rules.dropped(settled(message(1), bury), START)

    after = claim(record, void(2)).record

    assert (after.status, after.death, after.dropped_at) == (Status.NOTHING_TO_REPORT, None, None)


@pytest.mark.parametrize("corrects", [True, False])
def test_a_resent_order_that_prisjakt_shows_is_never_posted_again(corrects: bool) -> None:
    """It stays listed as dead until a sender has made sure of its facts, or need not."""
    record, now = expired(stored=True)
    shown = replace(
        record, settled=None, reported=record.wanted, certain=False, shown_at=now, tries=0
    )

    again = claim(shown, message(1), now=now, corrects=corrects)

    assert to_item(shown)["dead_shop"] == record.shop
    assert "dead_shop" not in to_item(again.record)
    assert again.record.death is None
    if corrects:
        assert rules.is_correction(granted(again))
    else:
        assert (again.outcome, again.record.status) == (Outcome.DUPLICATE, Status.REPORTED)


def test_a_shown_order_that_changed_is_corrected_once_the_shop_corrects() -> None:
    """It is dead no more, so that nothing keeps it from being mended later."""
    record, now = expired(stored=True)
    shown = replace(record, settled=None, reported=record.wanted, certain=False, shown_at=now)

    without = claim(shown, message(2, "5.00"), now=now)
    later = claim(without.record, message(2, "5.00"), now=now, corrects=True)

    assert (without.outcome, without.record.death) == (Outcome.NOT_CORRECTABLE, None)
    assert granted(later).wanted.amount == 5


def test_a_decision_about_another_version_than_the_one_looked_at_is_refused() -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    record = ledger.claim(message(1), pixel_id=PIXEL, corrects=False, now=START, token="a").record
    dead = ledger.settle(record, bury, START)
    assert dead is not None
    ledger.claim(message(2, "5.00"), pixel_id=PIXEL, corrects=False, now=START, token="b")

    assert ledger.amend(dead, rules.dropped(dead, START), START) is None
    assert from_item(store.items[KEY]).token == "b"


def test_the_first_report_and_every_change_of_it_are_told_apart() -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    later = START + timedelta(hours=1)
    seen = []
    for one, now in [
        (message(1), START),
        (message(2, "5.00"), later),
        (message(3, "5.00"), later),
        (void(4), later),
    ]:
        claim = ledger.claim(one, pixel_id=PIXEL, corrects=True, now=now, token=str(now))
        if claim.outcome is None:
            ledger.settle(claim.record, report, now)
        record = ledger.get(KEY)
        assert record is not None
        seen.append((record.reported_at, record.corrections))

    assert seen == [(START, 0), (START, 1), (START, 1), (START, 2)]


# Items that have ended


@pytest.mark.parametrize("gone_by", [timedelta(), timedelta(days=2)])
def test_an_item_past_its_time_counts_as_gone_though_it_is_still_there(gone_by: timedelta) -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    first = ledger.claim(message(5), pixel_id=PIXEL, corrects=False, now=START, token="one")
    ledger.settle(first.record, report, START)

    late = ledger.claim(
        message(1), pixel_id=PIXEL, corrects=False, now=START + KEPT + gone_by, token="two"
    )

    assert granted(late).wanted == facts(message(1))
    assert late.record.version == 3
    assert len(store.items) == 1


# The store


@pytest.mark.parametrize(
    ("change", "kept"), [(report, KEPT), (find_there, KEPT), (fail, KEPT), (bury, DEAD_KEPT)]
)
def test_items_end_90_days_after_the_last_change_and_dead_ones_after_180(
    change: Change, kept: timedelta
) -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    later = START + timedelta(days=1)
    record = ledger.claim(message(), pixel_id=PIXEL, corrects=False, now=START, token="mine").record

    after = ledger.settle(record, change, later)

    assert (timedelta(days=90), timedelta(days=180)) == (KEPT, DEAD_KEPT)
    assert record.expires_at == START + KEPT
    assert after is not None
    assert (after.expires_at, after.updated_at) == (later + kept, later)
    assert store.items[record.key]["expires_at"] == int((later + kept).timestamp())


def test_a_claim_that_changes_nothing_writes_nothing() -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    record = ledger.claim(message(), pixel_id=PIXEL, corrects=False, now=START, token="mine").record
    ledger.settle(record, report, START)
    before = dict(store.items)

    again = ledger.claim(
        message(), pixel_id=PIXEL, corrects=False, now=START + timedelta(days=1), token="other"
    )

    assert again.outcome is Outcome.DUPLICATE
    assert store.items == before


def test_settling_needs_the_token_of_the_claim() -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    first = ledger.claim(message(), pixel_id=PIXEL, corrects=False, now=START, token="first").record
    second = ledger.claim(
        message(), pixel_id=PIXEL, corrects=False, now=START + LEASE + LATE, token="second"
    ).record
    before = dict(store.items)

    assert ledger.settle(first, report, START + LEASE) is None
    assert store.items == before
    assert ledger.settle(second, report, START + LEASE) is not None
    assert ledger.settle(second, fail, START + LEASE) is None


def test_settling_what_is_gone_does_nothing() -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    record = ledger.claim(message(), pixel_id=PIXEL, corrects=False, now=START, token="mine").record
    store.items.clear()

    assert ledger.settle(record, report, START) is None
    assert store.items == {}


def test_settling_keeps_anything_newer_that_was_merged_meanwhile() -> None:
    ledger = Ledger(MemoryStore())
    record = ledger.claim(
        message(1), pixel_id=PIXEL, corrects=False, now=START, token="mine"
    ).record
    newer = ledger.claim(
        message(2, "5.00"), pixel_id=PIXEL, corrects=False, now=START, token="other"
    )

    after = ledger.settle(record, partial(rules.reported, sent=record.wanted, certain=True), START)

    assert newer.until is not None
    assert after is not None
    assert after.reported == facts(message(1))
    assert after.wanted == facts(message(2, "5.00"))
    outcome = ledger.claim(
        message(2, "5.00"), pixel_id=PIXEL, corrects=False, now=START, token="t"
    ).outcome
    assert outcome is Outcome.NOT_CORRECTABLE


class Interrupted(MemoryStore):
    """A store in which others write just before, or just after, the next write."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Callable[[], object]] = []
        self.after: list[Callable[[], object]] = []
        self.lose_answer = False

    def put(self, item: Mapping[str, Any], *, previous: int | None) -> bool:
        while self.before:
            self.before.pop()()
        lost, self.lose_answer = self.lose_answer, False
        written = super().put(item, previous=previous)
        while self.after:
            self.after.pop()()
        return written and not lost


@pytest.fixture
def interrupted() -> Interrupted:
    return Interrupted()


KEY = rules.key("alfa", "1001", "purchase")


def test_a_claim_that_loses_a_race_is_made_again_on_the_newest_version(
    interrupted: Interrupted,
) -> None:
    ledger = Ledger(interrupted)
    interrupted.before.append(
        partial(ledger.claim, message(2), pixel_id=PIXEL, corrects=False, now=START, token="rival")
    )

    outcome = ledger.claim(
        message(1), pixel_id=PIXEL, corrects=False, now=START, token="mine"
    ).outcome

    assert outcome is Outcome.SUPERSEDED
    assert interrupted.items[KEY]["token"] == "rival"


def test_settling_that_loses_a_race_is_made_again_on_the_newest_version(
    interrupted: Interrupted,
) -> None:
    ledger = Ledger(interrupted)
    record = ledger.claim(
        message(1), pixel_id=PIXEL, corrects=False, now=START, token="mine"
    ).record
    interrupted.before.append(
        partial(ledger.claim, message(2), pixel_id=PIXEL, corrects=False, now=START, token="rival")
    )

    after = ledger.settle(record, report, START)

    assert after is not None
    assert after.wanted == facts(message(2))
    assert from_item(interrupted.items[KEY]) == after


@pytest.mark.parametrize("one", [message(), void()])
def test_a_claim_whose_answer_was_lost_is_the_same_claim(
    one: Conversion, interrupted: Interrupted
) -> None:
    """Another attempt then finds its own condition broken: that must not look like a rival."""
    ledger = Ledger(interrupted)
    interrupted.lose_answer = True

    claim = ledger.claim(one, pixel_id=PIXEL, corrects=False, now=START, token="mine")

    assert claim == replace(
        claimed(None, one, pixel_id=PIXEL, corrects=False, now=START, token="mine"),
        record=from_item(interrupted.items[KEY]),
    )


def test_a_claim_whose_answer_was_lost_is_the_same_claim_with_newer_facts_merged_into_it(
    interrupted: Interrupted,
) -> None:
    ledger = Ledger(interrupted)
    interrupted.lose_answer = True
    interrupted.after.append(
        partial(ledger.claim, message(2), pixel_id=PIXEL, corrects=False, now=START, token="other")
    )

    record = granted(
        ledger.claim(message(1), pixel_id=PIXEL, corrects=False, now=START, token="mine")
    )

    assert (record.token, record.wanted) == ("mine", facts(message(2)))


def test_settling_whose_answer_was_lost_is_settled(interrupted: Interrupted) -> None:
    ledger = Ledger(interrupted)
    record = ledger.claim(message(), pixel_id=PIXEL, corrects=False, now=START, token="mine").record
    interrupted.lose_answer = True

    after = ledger.settle(record, report, START)

    assert after is not None
    assert from_item(interrupted.items[KEY]) == after
    assert after.status is Status.REPORTED


def test_a_claim_that_nobody_heard_of_is_open_again_after_its_lease(
    interrupted: Interrupted,
) -> None:
    """Written, but reported as failed to the end: the order waits no longer than the lease."""
    ledger = Ledger(interrupted)

    def fail_after_writing() -> None:
        raise StorageError("PutItem: ReadTimeoutError")

    interrupted.after.append(fail_after_writing)
    with pytest.raises(StorageError):
        ledger.claim(message(), pixel_id=PIXEL, corrects=False, now=START, token="mine")

    assert (
        ledger.claim(message(), pixel_id=PIXEL, corrects=False, now=START, token="next").until
        == START + LEASE
    )
    record = granted(
        ledger.claim(
            message(), pixel_id=PIXEL, corrects=False, now=START + LEASE + LATE, token="next"
        )
    )
    assert record.uncertain


class Contended(MemoryStore):
    """A store in which somebody else is always faster, once told so."""

    puts = 0
    contended = True

    def put(self, item: Mapping[str, Any], *, previous: int | None) -> bool:
        self.puts += 1
        return not self.contended and super().put(item, previous=previous)


def test_a_claim_gives_up_on_an_item_that_others_keep_changing() -> None:
    store = Contended()

    with pytest.raises(StorageError, match="contended"):
        Ledger(store).claim(message(), pixel_id=PIXEL, corrects=False, now=START, token="mine")

    assert store.puts == CONTENTIONS


def test_settling_gives_up_on_an_item_that_others_keep_changing() -> None:
    store = Contended()
    store.contended = False
    ledger = Ledger(store)
    record = ledger.claim(message(), pixel_id=PIXEL, corrects=False, now=START, token="mine").record
    store.contended = True

    with pytest.raises(StorageError, match="contended"):
        ledger.settle(record, report, START)

    assert store.puts == 1 + CONTENTIONS


# When a report of the shop last succeeded


def test_the_last_success_of_a_shop_is_kept_for_90_days() -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    assert ledger.last_success("alfa", correction=False) is None

    ledger.note_success("alfa", START, correction=False)
    ledger.note_success("alfa", START + timedelta(hours=1), correction=False)

    assert ledger.last_success("alfa", correction=False) == START + timedelta(hours=1)
    assert ledger.last_success("beta", correction=False) is None
    (item,) = store.items.values()
    assert item["expires_at"] == int((START + timedelta(hours=1) + KEPT).timestamp())


def test_the_last_success_of_a_shop_never_moves_back() -> None:
    ledger = Ledger(MemoryStore())
    ledger.note_success("alfa", START, correction=False)

    ledger.note_success("alfa", START - MILLISECOND, correction=False)

    assert ledger.last_success("alfa", correction=False) == START


# Items


moments = st.integers(0, 10**12).map(lambda n: START + n * MILLISECOND)
whole_seconds = moments.map(lambda moment: moment.replace(microsecond=0))
names = st.text(min_size=1, max_size=12)
some_facts = st.builds(
    Facts,
    revision=st.integers(0, 2**53 - 1),
    void=st.booleans(),
    amount=st.decimals(0, 999_999_999, places=2),
    items=st.integers(0, 999_999_999),
)
answers = st.builds(
    Problem,
    status=st.none() | st.integers(100, 599),
    title=st.text(max_size=12),
    detail=st.text(max_size=12),
    field_errors=st.dictionaries(names, st.text(max_size=12), max_size=3),
    request_id=st.text(max_size=12),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "shop": names,
    "platform": names,
    "order_id": names,
    "event_name": names,
    "pixel_id": names,
    "external_id": names,
    "currency": names,
    "event_time": names,
    "click_id": names,
    "received_at": moments,
    "wanted": some_facts,
    "updated_at": moments,
    "expires_at": whole_seconds,
    "status": st.sampled_from(Status),
    "version": st.integers(0, 10**6),
    "settled": st.none() | some_facts,
    "reported": st.none() | some_facts,
    "certain": st.booleans(),
    "uncertain": st.booleans(),
    "anothers": st.booleans(),
    "token": st.none() | names,
    "leased_until": st.none() | moments,
    "not_before": st.none() | moments,
    "alone": st.booleans(),
    "shown_at": st.none() | moments,
    "trying_since": st.none() | moments,
    "first_try_at": st.none() | moments,
    "tries": st.integers(0, 10**6),
    "refusals": st.integers(0, 10**6),
    "death": st.none() | st.sampled_from(DeathReason),
    "dead_since": st.none() | moments,
    "answer": answers,
    "reported_at": st.none() | moments,
    "corrections": st.integers(0, 10**6),
    "dropped_at": st.none() | moments,
}
records = st.builds(Record, **FIELDS)


def test_the_strategy_for_records_leaves_no_field_at_its_default() -> None:
    assert set(FIELDS) == {one.name for one in fields(Record)}


@given(records)
def test_an_item_holds_the_whole_record(record: Record) -> None:
    item = to_item(record)

    assert from_item(item) == record
    assert item["id"] == f"order#{record.shop}#{record.order_id}#{record.event_name}"


@given(records)
def test_an_item_is_made_of_texts_whole_numbers_flags_and_maps(record: Record) -> None:
    def check(value: object) -> None:
        if isinstance(value, dict):
            assert all(isinstance(name, str) and name for name in value)
            for part in value.values():
                check(part)
        else:
            assert type(value) in (str, int, bool)

    check(to_item(record))


@given(records)
def test_only_dead_orders_are_in_the_index_of_dead_orders(record: Record) -> None:
    dead_shop = to_item(record).get("dead_shop")

    listed = record.status is Status.DEAD and record.dropped_at is None
    assert dead_shop == (record.shop if listed else None)


@given(records)
def test_every_order_is_in_the_index_of_its_shops_day_unless_it_was_erased(record: Record) -> None:
    erased = record.status is Status.ERASED
    listed = None if erased else f"{record.shop}#{record.event_time[:10]}"

    assert to_item(record).get("shop_day") == listed


def test_a_message_without_news_changes_nothing_of_what_the_index_by_day_holds() -> None:
    """Every change of it costs a write."""
    (index,) = [
        index
        for index in LEDGER_TABLE["GlobalSecondaryIndexes"]
        if index["IndexName"] == "orders-by-day"
    ]
    projected = {"id", "shop_day", "event_time", *index["Projection"]["NonKeyAttributes"]}
    record = settled(message(1), report)

    after = claim(record, message(2)).record

    assert after.wanted != record.wanted
    before_item, after_item = to_item(record), to_item(after)
    assert {name: before_item.get(name) for name in projected} == {
        name: after_item.get(name) for name in projected
    }


# Any order of arrival, any interleaving


versions = st.lists(
    st.builds(
        conversion,
        revision=st.integers(1, 3),
        void=st.booleans(),
        amount=st.sampled_from([Decimal("10.00"), Decimal("20.00")]),
        number_of_items=st.integers(0, 2),
        order_reference=st.sampled_from(["1001", "SE-1001"]),
        click_id=st.sampled_from([CLICK_ID, BARE_CLICK_ID]),
    ),
    min_size=1,
    max_size=5,
)
CHANGES: dict[str, Change] = {
    "report": report,
    "find_there": find_there,
    "fail": fail,
    "perhaps_store": partial(fail, stored=True),
    "refuse": partial(fail, refused=True),
    "bury": bury,
    "untouched": rules.untouched,
}
steps = st.lists(
    st.one_of(
        st.tuples(st.just("deliver"), st.integers(0, 4)),
        st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, 4)),
        st.tuples(st.just("kill"), st.integers(0, 4)),
        st.tuples(st.sampled_from(["resend", "drop"]), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([1, 30, 75])),
    ),
    max_size=25,
)


@given(versions, steps)
def test_however_messages_and_senders_interleave_the_ledger_is_right(
    versions: list[Conversion], steps: list[tuple[str, int]]
) -> None:
    """The newest facts are wanted, in one item, with one lease at a time and nothing sent twice."""
    store = MemoryStore()
    ledger = Ledger(store)
    now = START
    delivered: list[Conversion] = []
    tries: list[Record] = []
    names: set[tuple[str, str, str]] = set()  # under which the event may have been stored
    at_prisjakt = False

    for number, (step, argument) in enumerate(steps):
        if step == "wait":
            now += timedelta(seconds=argument)
        elif step in ("resend", "drop"):
            seen = ledger.get(KEY)
            if seen is not None and seen.status is Status.DEAD:
                decided = rules.resent(seen) if step == "resend" else rules.dropped(seen, now)
                ledger.amend(seen, decided, now)
        elif step == "deliver":
            one = versions[argument % len(versions)]
            delivered.append(one)
            claim = ledger.claim(
                one, pixel_id=f"pixel-{number}", corrects=False, now=now, token=f"t{number}"
            )
            if claim.outcome is None and claim.until is None:
                assert not at_prisjakt
                assert not [t for t in tries if t.leased_until and t.leased_until > now]
                tries.append(claim.record)
        elif tries:
            ended = tries.pop(argument % len(tries))
            if step in ("report", "find_there", "perhaps_store", "kill"):
                names.add((ended.pixel_id, ended.external_id, ended.click_id))
            if step != "kill":
                overtaken = from_item(store.items[KEY]).token != ended.token
                after = ledger.settle(ended, CHANGES[step], now)
                assert (after is None) == overtaken
                at_prisjakt |= after is not None and step in ("report", "find_there")

        if delivered:
            (item,) = store.items.values()
            record = from_item(item)
            assert record.wanted == max(map(facts, delivered), key=Facts.rank)
            assert len(names) <= 1
