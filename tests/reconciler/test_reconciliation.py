"""Where an order is, by shop and ledger; and whether what Prisjakt holds agrees."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.sender.world import CREDENTIALS, PIXELS, START, conversion

from prisjakt_relay import ledger
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import Problem
from prisjakt_relay.ledger import KEPT, Record, Status, claimed
from prisjakt_relay.local.deliveries import Delivery, load_all
from prisjakt_relay.local.system import sample_shops
from prisjakt_relay.outcomes import DeathReason, Reason
from prisjakt_relay.platforms import shop_from
from prisjakt_relay.prisjakt.models import Event, EventData
from prisjakt_relay.reconciler.reconciliation import (
    BACKFILLED,
    LOST,
    NO_MESSAGE,
    Disagreement,
    EventsOfOrders,
    Mismatch,
    Standing,
    Verdict,
    standing,
    verdicts,
)
from prisjakt_relay.shop import Shop

SECOND = timedelta(seconds=1)
DOCUMENT = {"platform": "shopify", "pixel_id": PIXELS["alfa"], "signing_secrets": ["hush-hush"]}
WITHOUT_CREDENTIALS = shop_from(DOCUMENT)
CORRECTING = shop_from(DOCUMENT | CREDENTIALS)
UNCORRECTED = shop_from(DOCUMENT | CREDENTIALS | {"corrections": False})
SHOPS = [WITHOUT_CREDENTIALS, CORRECTING, UNCORRECTED]


def order(revision: int = 5, **changes: Any) -> Conversion:
    return conversion(revision=revision, **changes)


def void(revision: int = 5, **changes: Any) -> Conversion:
    return order(revision, void=True, amount=Decimal(0), number_of_items=0, **changes)


def corrects(shop: Shop) -> bool:
    return shop.corrections and shop.has_credentials


def claim(
    one: Conversion, record: Record | None = None, *, corrects: bool = False, now: datetime = START
) -> Record:
    """The record after a message, with the lease where there is something to send."""
    return claimed(
        record, one, pixel_id=PIXELS["alfa"], corrects=corrects, now=now, token="mine"
    ).record


def waiting() -> Record:
    return ledger.failed(claim(order()), Problem(status=503), stored=False, refused=False)


def uncertain() -> Record:
    return ledger.failed(claim(order()), Problem(status=503), stored=True, refused=False)


def reported(one: Conversion | None = None, *, certain: bool = True) -> Record:
    record = claim(one or order())
    return ledger.reported(record, record.wanted, certain=certain)


def already_there() -> Record:
    record = claim(order())
    return ledger.already_at_prisjakt(record, record.wanted)


def not_correctable() -> Record:
    """Reported, then changed at a shop that cannot correct."""
    return claim(order(amount=Decimal("1.00")), reported(order(4)))


def correction_refused() -> Record:
    record = claim(order(amount=Decimal("1.00")), reported(order(4)), corrects=True)
    return ledger.correction_refused(record, record.wanted, Problem(status=400))


def dead() -> Record:
    record = claim(order())
    return ledger.dead(record, record.wanted, DeathReason.REJECTED, Problem(status=400), START)


def erased() -> Record:
    record = claim(order())
    return ledger.erased(
        record,
        platform=record.platform,
        shop=record.shop,
        order_id=record.order_id,
        event_name=record.event_name,
        now=START,
    )


def dropped() -> Record:
    return ledger.dropped(dead(), START)


CHANGED = order(amount=Decimal("1.00"))  # what `not_correctable` and `correction_refused` hold
EUROS = order(currency="EUR")
NEWER = order(6, amount=Decimal("2.00"))
NEWER_EUROS = order(6, amount=Decimal("2.00"), currency="EUR")

RECORDS: dict[str, tuple[Callable[[], Record], Conversion]] = {
    "leased": (lambda: claim(order()), order()),
    "waiting": (waiting, order()),
    "uncertain": (uncertain, order()),
    "reported": (reported, order()),
    "already_at_prisjakt": (already_there, order()),
    "not_correctable": (not_correctable, CHANGED),
    "correction_refused": (correction_refused, CHANGED),
    "nothing_to_report": (lambda: claim(void()), void()),
    "dead": (dead, order()),
    "dropped": (dropped, order()),
}
"""Of each status at least one, and the order as the record has it; but of an erased one, which says
nothing of the order."""

every_record = pytest.mark.parametrize("name", RECORDS)
every_shop = pytest.mark.parametrize("shop", SHOPS, ids=["bare", "correcting", "uncorrected"])


def test_these_records_are_of_every_status() -> None:
    assert {make().status for make, _ in RECORDS.values()} == set(Status) - {Status.ERASED}


@pytest.mark.parametrize("shop", SHOPS, ids=["bare", "correcting", "uncorrected"])
@pytest.mark.parametrize("one", [order(), NEWER, NEWER_EUROS, void(), order(0)])
def test_an_erased_order_is_neither_missed_nor_outdated_whatever_the_shop_says(
    one: Conversion, shop: Shop
) -> None:
    """Or the reconciler would put it on the queue every hour."""
    assert standing(one, erased(), shop, START) is Standing.ERASED
    assert Standing.ERASED not in BACKFILLED
    assert standing(one, erased(), shop, erased().expires_at) is Standing.MISSED


@every_shop
def test_an_order_that_the_ledger_does_not_know_is_missed(shop: Shop) -> None:
    assert standing(order(), None, shop, START) is Standing.MISSED


@every_record
def test_what_the_ledger_has_forgotten_is_missed(name: str) -> None:
    """The table removes an item some time after its end, not at once."""
    record = RECORDS[name][0]()

    before, then = record.expires_at - SECOND, record.expires_at
    assert standing(order(), record, CORRECTING, before) is not Standing.MISSED
    assert standing(order(), record, CORRECTING, then) is Standing.MISSED
    assert then == START + KEPT


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("leased", Standing.WAITING),
        ("waiting", Standing.WAITING),
        ("uncertain", Standing.WAITING),
        ("reported", Standing.REPORTED),
        ("already_at_prisjakt", Standing.ALREADY_AT_PRISJAKT),
        ("not_correctable", Standing.NOT_CORRECTABLE),
        ("correction_refused", Standing.CORRECTION_REFUSED),
        ("nothing_to_report", Standing.NOTHING_TO_REPORT),
        ("dead", Standing.DEAD),
        ("dropped", Standing.DROPPED),
    ],
)
@pytest.mark.parametrize("older", [0, 1], ids=["same", "older"])
def test_what_the_ledger_knows_is_as_it_says(name: str, expected: Standing, older: int) -> None:
    """Also if the shop's API still shows an older state than the newest webhook told."""
    make, as_it_is = RECORDS[name]
    known = replace(as_it_is, revision=as_it_is.revision - older)

    assert standing(known, make(), WITHOUT_CREDENTIALS, START) is expected


@every_record
@every_shop
@pytest.mark.parametrize("newer", [NEWER, void(6)], ids=["changed", "void"])
def test_a_newer_state_than_the_ledgers_is_outdated(
    name: str, shop: Shop, newer: Conversion
) -> None:
    make, as_it_is = RECORDS[name]
    if as_it_is.void and newer.void:
        newer = order(6)

    assert standing(newer, make(), shop, START) is Standing.OUTDATED


def test_at_one_revision_the_smaller_claim_is_the_newer_state() -> None:
    """Revisions may be whole seconds."""
    assert standing(void(), reported(), CORRECTING, START) is Standing.OUTDATED
    assert standing(order(), reported(void()), CORRECTING, START) is Standing.REPORTED


@every_record
def test_a_newer_revision_that_says_the_same_is_nothing_new(name: str) -> None:
    """Shop systems touch an order without changing what is reported of it, and tell nobody."""
    make, as_it_is = RECORDS[name]
    touched = replace(as_it_is, revision=as_it_is.revision + 1)

    assert standing(touched, make(), WITHOUT_CREDENTIALS, START) not in LOST


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("leased", Standing.OUTDATED),
        ("waiting", Standing.OUTDATED),
        ("nothing_to_report", Standing.OUTDATED),
        ("dead", Standing.OUTDATED),
        ("dropped", Standing.OUTDATED),
        ("uncertain", Standing.NOT_CORRECTABLE),
        ("reported", Standing.NOT_CORRECTABLE),
        ("already_at_prisjakt", Standing.NOT_CORRECTABLE),
        ("not_correctable", Standing.NOT_CORRECTABLE),
        ("correction_refused", Standing.NOT_CORRECTABLE),
    ],
)
@pytest.mark.parametrize("newer", [NEWER_EUROS, replace(EUROS, revision=6)])
def test_a_figure_in_another_currency_corrects_nothing_that_may_be_at_prisjakt(
    name: str, expected: Standing, newer: Conversion
) -> None:
    assert standing(newer, RECORDS[name][0](), CORRECTING, START) is expected


@every_record
def test_a_shop_that_chooses_another_currency_changes_no_order(name: str) -> None:
    make, as_it_is = RECORDS[name]
    euros = replace(as_it_is, currency="EUR")

    assert standing(euros, make(), CORRECTING, START) not in LOST


@pytest.mark.parametrize("name", ["uncertain", "reported", "already_at_prisjakt"])
def test_a_void_order_is_void_in_any_currency(name: str) -> None:
    gone = void(6, currency="EUR")

    assert standing(gone, RECORDS[name][0](), CORRECTING, START) is Standing.OUTDATED


# What was in the way and is no longer


@pytest.mark.parametrize(
    ("shop", "expected"),
    [
        (WITHOUT_CREDENTIALS, Standing.NOT_CORRECTABLE),
        (UNCORRECTED, Standing.NOT_CORRECTABLE),
        (CORRECTING, Standing.CORRECTABLE),
    ],
)
def test_what_could_not_be_corrected_is_outdated_once_it_can(
    shop: Shop, expected: Standing
) -> None:
    assert standing(CHANGED, not_correctable(), shop, START) is expected


def test_what_could_not_be_corrected_for_its_currency_stays_so() -> None:
    euros = replace(CHANGED, currency="EUR")

    assert standing(euros, not_correctable(), CORRECTING, START) is Standing.NOT_CORRECTABLE


@pytest.mark.parametrize(
    ("shop", "expected"),
    [
        (WITHOUT_CREDENTIALS, Standing.REPORTED),
        (UNCORRECTED, Standing.REPORTED),
        (CORRECTING, Standing.CORRECTABLE),
    ],
)
def test_what_may_differ_at_prisjakt_is_outdated_once_it_can_be_made_sure_of(
    shop: Shop, expected: Standing
) -> None:
    assert standing(order(), reported(certain=False), shop, START) is expected


# Waiting for too long


@pytest.mark.parametrize("name", ["leased", "waiting", "uncertain"])
def test_an_order_of_which_no_message_can_be_left_is_stuck(name: str) -> None:
    record = RECORDS[name][0]()

    assert standing(order(), record, CORRECTING, START + NO_MESSAGE) is Standing.WAITING
    assert standing(order(), record, CORRECTING, START + NO_MESSAGE + SECOND) is Standing.STUCK


def test_an_order_that_may_not_go_yet_is_not_stuck() -> None:
    """A line before Prisjakt may be longer than a day."""
    turn = START + timedelta(days=2)
    record = ledger.untouched(claim(order()), not_before=turn)

    assert standing(order(), record, CORRECTING, turn + NO_MESSAGE) is Standing.WAITING
    assert standing(order(), record, CORRECTING, turn + NO_MESSAGE + SECOND) is Standing.STUCK


def test_a_turn_in_the_past_makes_nothing_stuck() -> None:
    record = replace(waiting(), not_before=START - NO_MESSAGE)

    assert standing(order(), record, CORRECTING, START + NO_MESSAGE) is Standing.WAITING


# The sender agrees


@every_record
@every_shop
@pytest.mark.parametrize(
    "newest",
    [order(4), order(), order(6), NEWER, NEWER_EUROS, CHANGED, void(), void(6), EUROS],
)
def test_a_message_about_what_is_lost_is_not_in_vain(
    name: str, shop: Shop, newest: Conversion
) -> None:
    """Whatever is queued anew, the sender does something about it, or learns of it."""
    record = RECORDS[name][0]()
    if standing(newest, record, shop, START) not in LOST:
        return
    now = START + ledger.LEASE + timedelta(minutes=10)

    after = claim(newest, record, corrects=corrects(shop), now=now)

    assert after != record


@every_record
@every_shop
@pytest.mark.parametrize("newest", [order(4), order(), NEWER_EUROS, CHANGED, void(), EUROS])
def test_nothing_is_lost_twice(name: str, shop: Shop, newest: Conversion) -> None:
    """Once a sender has had the message, the next comparison finds nothing, or a wait."""
    record = RECORDS[name][0]()
    now = START + ledger.LEASE + timedelta(minutes=10)

    after = claim(newest, record, corrects=corrects(shop), now=now)

    assert standing(newest, after, shop, now) not in LOST


# Verdicts


def no_records(_: Sequence[str]) -> Mapping[str, Record]:
    raise AssertionError("the ledger was asked")


@dataclass
class Records:
    """Records by key; keeps what was asked for."""

    held: Mapping[str, Record]
    asked: list[list[str]]

    def __call__(self, keys: Sequence[str]) -> Mapping[str, Record]:
        self.asked.append(list(keys))
        return {key: self.held[key] for key in keys if key in self.held}


FOR_THE_DELIVERY = {"ping", "topic", "test_delivery", "unreadable"}  # no matter for an order
SAMPLES = {
    f"{each.platform}/{each.name}": each
    for each in load_all()
    if each.expected["status"] == 200
    and each.expected["answer"].get("reason") not in FOR_THE_DELIVERY
    and each.expected["answer"]["outcome"] != "accepted"
}


def shop_of(sample: Delivery) -> Shop:
    return shop_from(sample_shops()[sample.shop])


def verdict(sample: Delivery, records: Any) -> Verdict:
    (found,) = verdicts(
        [json.loads(sample.body)], sample.shop, shop_of(sample), records, sample_time()
    )
    return found


def sample_time() -> datetime:
    return START  # every sample is a little older


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_an_order_from_the_api_is_decided_as_its_webhook_was(name: str) -> None:
    sample = SAMPLES[name]
    answer = sample.expected["answer"]

    found = verdict(sample, Records({}, []) if sample.expected["conversion"] else no_records)

    assert found.order_id == answer["order_id"]
    assert found.reason == answer.get("reason")
    if sample.expected["conversion"] is None:
        assert (found.standing, found.conversion) == (Standing.IGNORED, None)
        assert not found.is_lost
    else:
        assert found.conversion is not None
        message = json.loads(found.conversion.to_message())
        assert message.pop("received_at")
        assert message == sample.expected["conversion"]
        assert (found.standing, found.record) == (Standing.MISSED, None)
        assert found.is_lost


def test_the_ledger_is_asked_once_for_all_that_carry_a_click_id() -> None:
    paid, none, other = (
        SAMPLES[f"shopify/orders-create-{name}"] for name in ("paid", "no-click-id", "authorized")
    )
    orders = [json.loads(each.body) for each in (paid, none, other)]
    shop = shop_of(paid)
    records = Records({}, [])

    found = verdicts(orders, "demo-shopify", shop, records, START)

    assert records.asked == [
        [
            f"order#demo-shopify#{each.expected['answer']['order_id']}#purchase"
            for each in (paid, other)
        ]
    ]
    assert [each.standing for each in found] == [
        Standing.MISSED,
        Standing.IGNORED,
        Standing.MISSED,
    ]
    assert found[1].reason is Reason.NO_CLICK_ID


@pytest.mark.parametrize("orders", [[], [{"id": 1, "note_attributes": [], "source_name": "web"}]])
def test_nothing_is_read_where_nothing_carries_a_click_id(orders: list[dict[str, Any]]) -> None:
    found = verdicts(orders, "alfa", WITHOUT_CREDENTIALS, no_records, START)

    assert [each.standing for each in found] == [Standing.IGNORED] * len(orders)


def test_an_order_that_cannot_be_read_says_which_field_is_to_blame() -> None:
    body = json.loads(SAMPLES["shopify/orders-create-paid"].body) | {"created_at": "yesterday"}

    (found,) = verdicts([body], "alfa", WITHOUT_CREDENTIALS, no_records, START)

    assert (found.standing, found.reason) == (Standing.IGNORED, Reason.UNREADABLE)
    assert found.order_id == str(body["id"])
    assert (found.problem or "").startswith("created_at")


def test_each_order_meets_its_own_record() -> None:
    """Of one order there are two, once it was first a test and then a purchase."""
    paid = json.loads(SAMPLES["shopify/orders-create-paid"].body)
    test = paid | {"note_attributes": [{"name": "pjclid", "value": CLICKED_FOR_A_TEST}]}
    (missed,) = verdicts([paid], "alfa", WITHOUT_CREDENTIALS, Records({}, []), START)
    assert missed.conversion is not None
    record = reported(missed.conversion)

    found = verdicts(
        [paid, test, paid], "alfa", WITHOUT_CREDENTIALS, Records({record.key: record}, []), START
    )

    assert [(each.standing, each.record) for each in found] == [
        (Standing.REPORTED, record),
        (Standing.MISSED, None),
        (Standing.REPORTED, record),
    ]


CLICKED_FOR_A_TEST = "239cd31f-9d43-4cb4-b8dc-2057fe18c289"


def judged(one: Conversion, record: Record | None) -> Verdict:
    return Verdict(
        order_id=one.order_id,
        standing=standing(one, record, WITHOUT_CREDENTIALS, START),
        conversion=one,
        record=record,
    )


@every_record
def test_an_order_that_was_touched_says_the_same_at_a_newer_revision(name: str) -> None:
    """The ledger has to learn of it, or an older word that is late would count as the newest."""
    make, as_it_is = RECORDS[name]

    later = judged(replace(as_it_is, revision=as_it_is.revision + 1), make())
    same = judged(as_it_is, make())
    earlier = judged(replace(as_it_is, revision=as_it_is.revision - 1), make())

    assert [each.is_touched for each in (later, same, earlier)] == [True, False, False]


@every_record
def test_what_was_touched_is_so_only_until_the_sender_has_had_it(name: str) -> None:
    make, as_it_is = RECORDS[name]
    touched = replace(as_it_is, revision=as_it_is.revision + 1)

    after = claim(touched, make(), now=START + ledger.LEASE + timedelta(minutes=10))

    assert not judged(touched, after).is_touched


@pytest.mark.parametrize(
    ("one", "record"),
    [
        (order(), None),  # missed
        (NEWER, reported()),  # outdated
        (NEWER_EUROS, reported()),  # left alone by the sender
        (replace(EUROS, revision=6), reported()),
    ],
)
def test_what_is_lost_or_in_another_currency_was_not_just_touched(
    one: Conversion, record: Record | None
) -> None:
    assert not judged(one, record).is_touched


def test_what_is_ignored_was_not_touched() -> None:
    assert not Verdict(order_id="1001", standing=Standing.IGNORED, reason=Reason.SOURCE).is_touched


# What Prisjakt holds


def event(**changes: Any) -> Event:
    one = order()
    fields: dict[str, Any] = {
        "id": "event-1",
        "click_id": "click",
        "external_event_id": one.order_reference,
        "event_name": "purchase",
        "event_time": one.event_time,
        "data": data(),
    }
    return Event(**fields | changes)


def data(**changes: Any) -> EventData:
    one = order()
    fields = {
        "amount": one.amount,
        "currency": one.currency,
        "number_of_items": one.number_of_items,
    }
    return EventData(**fields | changes)


@pytest.mark.parametrize(
    "there",
    [
        event(),
        event(data=data(number_of_items=None)),
        event(data=data(amount=Decimal("996.500"))),
    ],
)
def test_an_event_that_says_what_was_reported_is_no_mismatch(there: Event) -> None:
    assert EventsOfOrders([there]).mismatch(reported()) is None


@pytest.mark.parametrize(
    "events",
    [
        [],
        [event(external_event_id="1002")],
        [event(external_event_id=None)],
        [event(event_name="test-purchase")],
    ],
)
def test_an_event_that_is_not_there_is_a_mismatch(events: list[Event]) -> None:
    record = reported()

    assert EventsOfOrders(events).mismatch(record) == Mismatch(record, Disagreement.NOT_THERE, ())


@pytest.mark.parametrize(
    "there",
    [
        event(data=data(amount=Decimal("996.51"))),
        event(data=data(currency="EUR")),
        event(data=data(number_of_items=2)),
        event(data=data(number_of_items=0)),
    ],
)
def test_other_figures_are_a_mismatch(there: Event) -> None:
    record = reported()

    assert EventsOfOrders([there]).mismatch(record) == Mismatch(
        record, Disagreement.DIFFERENT, (there,)
    )


def test_an_order_that_is_there_twice_is_a_mismatch_whatever_it_says() -> None:
    record, events = reported(), (event(id="event-1"), event(id="event-2"))

    assert EventsOfOrders(events).mismatch(record) == Mismatch(record, Disagreement.TWICE, events)


def test_a_void_order_is_there_with_nothing_in_it() -> None:
    record = claim(void(6), reported(), corrects=True)
    record = ledger.reported(record, record.wanted, certain=True)

    empty = event(data=data(amount=Decimal(0), number_of_items=0))
    assert EventsOfOrders([empty]).mismatch(record) is None
    assert EventsOfOrders([event()]).mismatch(record) == Mismatch(
        record, Disagreement.DIFFERENT, (event(),)
    )


@pytest.mark.parametrize(
    "record",
    [
        waiting(),
        already_there(),
        reported(certain=False),
        reported(order(event_name="test-purchase")),
        dead(),
    ],
)
def test_what_the_ledger_is_not_sure_of_is_no_mismatch(record: Record) -> None:
    assert EventsOfOrders([]).mismatch(record) is None


def test_events_of_other_names_are_told_apart() -> None:
    others = [event(id="2", external_event_id="SE-1"), event(id="3", external_event_id="SE-1")]
    held = EventsOfOrders([event(), *others, event(external_event_id=None)])

    assert list(held.others(["1001"])) == others
    assert list(held.others(["1001", "SE-1"])) == []
