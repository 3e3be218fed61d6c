"""Whatever the ledger says of an order, one sentence says why and what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.operations.elsewhere import WHERE, commands, stack_elsewhere

from prisjakt_relay.errors import Problem
from prisjakt_relay.ledger import KEPT, Facts, Record, Status
from prisjakt_relay.operations.explanations import DEATHS, DELIVERIES, REASONS, Explanation
from prisjakt_relay.operations.order_closing import closing
from prisjakt_relay.operations.order_life import Entry, Holding, Life
from prisjakt_relay.outcomes import DeathReason, Outcome, Reason, Received
from prisjakt_relay.prisjakt.models import Event
from prisjakt_relay.shop import Shop

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CLICK = "239cd31f-9d43-4cb4-b8dc-2057fe18c289"
NEW = Facts(revision=2, void=False, amount=Decimal("80.00"), items=1)
OLD = Facts(revision=1, void=False, amount=Decimal("100.00"), items=2)
VOID = Facts(revision=3, void=True, amount=Decimal(0), items=0)
SHOP = Shop(platform="shopify", pixel_id="p", signing_secrets=("s",))
WITH_CREDENTIALS = replace(SHOP, prisjakt_client_id="c", prisjakt_client_secret="s")


def record(status: Status, **more: Any) -> Record:
    values: dict[str, Any] = {
        "shop": "lamps",
        "platform": "shopify",
        "order_id": "1",
        "event_name": "purchase",
        "pixel_id": "the-pixel",
        "external_id": "SE-1",
        "currency": "SEK",
        "event_time": "2026-11-21T10:00:00Z",
        "click_id": f"{CLICK}_1b05fa7f1c34d125",
        "received_at": NOW,
        "wanted": OLD,
        "updated_at": NOW,
        "expires_at": NOW + KEPT,
        "status": status,
    }
    return Record(**values | more)


def entry(outcome: str, by: str = "receiver", **more: Any) -> Entry:
    values: dict[str, Any] = {"explanation": Explanation("some words"), "at": NOW}
    return Entry(by=by, outcome=outcome, **values | more)


def event(**more: Any) -> Event:
    values: dict[str, Any] = {
        "id": "e",
        "click_id": CLICK,
        "external_event_id": "SE-1",
        "event_name": "purchase",
        "event_time": NOW,
        "data": {"amount": "100", "currency": "SEK"},
    }
    return Event.model_validate(values | more)


def told(
    *records: Record,
    entries: tuple[Entry, ...] = (),
    shop: Shop = SHOP,
    events: tuple[Event, ...] | None = None,
) -> str:
    holding = Holding() if events is None else Holding(asked=True, events=events)
    life = Life(shop="lamps", order_id="1", entries=entries, records=records, holding=holding)
    return closing(stack_elsewhere(), life, shop, NOW)


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("name", ["purchase", "test-purchase"])
@pytest.mark.parametrize("shop", [SHOP, WITH_CREDENTIALS])
def test_every_status_has_its_sentence(status: Status, name: str, shop: Shop) -> None:
    """Whatever else the record holds: nothing, or everything."""
    bare = record(status, event_name=name)
    full = replace(bare, reported=OLD, settled=OLD, wanted=NEW, answer=Problem(400, "No"))

    for one in (bare, full, replace(full, certain=False), replace(bare, uncertain=True)):
        said = told(one, shop=shop)
        assert said.endswith(".")
        assert "None" not in said
        assert len(said.split()) > 5


@pytest.mark.parametrize(
    ("corrections", "words"), [(0, "2 items. "), (1, "corrected once"), (3, "corrected 3 times")]
)
def test_a_reported_order_needs_nothing(corrections: int, words: str) -> None:
    said = told(record(Status.REPORTED, reported=OLD, corrections=corrections))

    assert said.startswith("Prisjakt has it: 100.00 SEK for 2 items")
    assert words in said
    assert said.endswith("Nothing to do.")


@pytest.mark.parametrize(
    ("held", "shown"),
    [
        (event(), True),
        (event(click_id=CLICK.upper()), True),
        (event(external_event_id="SE-2"), False),
        (event(click_id="265f598d-6914-4ba8-909a-8091c272dc60"), False),
        (event(event_name="test-purchase"), False),
    ],
)
def test_only_the_orders_own_event_counts_as_shown(held: Event, shown: bool) -> None:
    said = told(record(Status.REPORTED, reported=OLD), events=(held,))

    assert ("does not show it now" not in said) is shown


def test_a_report_that_is_not_certain_says_how_to_make_sure() -> None:
    doubtful = record(Status.REPORTED, reported=OLD, certain=False)

    assert "--prisjakt-client-id" in told(doubtful)
    assert "save the order once more" in told(doubtful, shop=WITH_CREDENTIALS)
    off = replace(WITH_CREDENTIALS, corrections=False)
    assert f"`prisjakt-relay shop set lamps --corrections on {WHERE}`" in told(doubtful, shop=off)


def test_a_void_order_that_was_reported_is_there_with_amount_0() -> None:
    said = told(record(Status.REPORTED, reported=VOID, wanted=VOID))

    assert "amount 0" in said


def test_both_events_of_an_order_are_told_apart() -> None:
    """A shop that left mode test may have reported an order twice, as what it was each time."""
    said = told(
        record(Status.REPORTED, reported=OLD),
        record(Status.REPORTED, reported=OLD, event_name="test-purchase"),
    )

    assert said.startswith("As purchase: Prisjakt has it: ")
    assert " As test-purchase: Prisjakt has it as a test" in said


@pytest.mark.parametrize("death", DeathReason)
def test_a_dead_order_names_reason_answer_and_remedy(death: DeathReason) -> None:
    dead = record(
        Status.DEAD, death=death, settled=OLD, answer=Problem(400, "No", field_errors={"x": "odd"})
    )

    said = told(dead)

    assert DEATHS[death].meaning in said
    assert "(400 No; x: odd)" in said
    assert f"`prisjakt-relay dead resend lamps 1 {WHERE}`" in said


@pytest.mark.parametrize(
    ("more", "shop", "words"),
    [
        ({}, SHOP, "Prisjakt cannot have it: a resend is safe."),
        ({"uncertain": True}, SHOP, "or look in Business Center and then use --force."),
        ({"uncertain": True}, WITH_CREDENTIALS, "A resend looks first whether Prisjakt has it."),
        ({"reported": OLD}, SHOP, f"resend lamps 1 {WHERE}`."),
    ],
)
def test_an_expired_order_says_whether_a_resend_is_safe(
    more: dict[str, Any], shop: Shop, words: str
) -> None:
    tried = NOW - timedelta(days=40)
    expired = record(
        Status.DEAD, death=DeathReason.EXPIRED, settled=OLD, first_try_at=tried, **more
    )

    said = told(expired, shop=shop)

    assert said.endswith(words)
    assert f"once the cause is mended, `prisjakt-relay dead resend lamps 1 {WHERE}`." in said


@pytest.mark.parametrize("status", Status)
def test_every_command_is_for_the_orders_own_stack(status: Status) -> None:
    entries = [
        entry(Received.IGNORED, reason=reason, explanation=REASONS[reason]) for reason in Reason
    ]
    texts = [
        told(record(status, settled=settled, death=death, reported=reported, certain=certain))
        for settled in (None, OLD)
        for reported in (None, OLD)
        for death in (None, *DeathReason)
        for certain in (True, False)
    ]
    texts += [told(entries=(each,)) for each in entries]
    texts.append(told(record(status, settled=None, updated_at=NOW - timedelta(days=1))))

    typed = commands(" ".join(texts))

    assert typed
    assert [each for each in typed if not each.endswith(WHERE)] == []


def test_a_dead_order_that_was_dropped_says_when() -> None:
    dead = record(Status.DEAD, death=DeathReason.REJECTED, settled=OLD, dropped_at=NOW)

    assert "was given up on 2026-11-21" in told(dead)


def test_a_dead_order_that_was_resent_is_on_its_way() -> None:
    resent = record(Status.DEAD, death=DeathReason.REJECTED)

    assert "put on the queue anew" in told(resent)
    said = told(replace(resent, updated_at=NOW - timedelta(minutes=6)))
    assert "no sender has taken it up" in said
    assert "dead resend" in said


@pytest.mark.parametrize("dropped_at", [None, NOW])
def test_a_dead_order_that_may_be_at_prisjakt_is_not_said_to_be_missing(
    dropped_at: datetime | None,
) -> None:
    lost = record(
        Status.DEAD,
        death=DeathReason.EXPIRED,
        settled=OLD,
        uncertain=True,
        dropped_at=dropped_at,
    )

    assert told(lost).startswith("It may be at Prisjakt, but that is not certain")
    assert told(lost, events=(event(),)).startswith("It is at Prisjakt, though")
    assert told(replace(lost, reported=OLD)).startswith("It is at Prisjakt, though")
    assert told(lost, events=()).startswith("It is not at Prisjakt")
    assert told(replace(lost, uncertain=False)).startswith("It is not at Prisjakt")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "It is not at Prisjakt yet: "),
        ({"uncertain": True}, "It may be at Prisjakt already"),
        ({"reported": OLD, "wanted": NEW}, "Prisjakt has 100.00 SEK for 2 items, and not yet 80"),
        ({"not_before": NOW + timedelta(hours=1)}, "its turn comes at 2026-11-21 13:00:00 UTC"),
        ({"leased_until": NOW + timedelta(seconds=1)}, "being sent to Prisjakt right now"),
        ({"updated_at": NOW - timedelta(days=1)}, "nothing has happened since 2026-11-20 12:00"),
    ],
)
def test_waiting_says_how_far_it_has_got(more: dict[str, Any], words: str) -> None:
    assert words in told(record(Status.WAITING, **more))


def test_waiting_says_why() -> None:
    waits = (
        entry(Outcome.WAITING, "sender", explanation=Explanation("an old cause")),
        entry(Outcome.WAITING, "sender", explanation=Explanation("the cause")),
    )

    said = told(record(Status.WAITING, answer=Problem(403, "No", "It is off")), entries=waits)

    assert "not at Prisjakt yet: the cause (403 No, It is off)." in said
    assert f"`prisjakt-relay doctor lamps {WHERE}`" in said


@pytest.mark.parametrize("reason", Reason)
def test_an_ignored_order_names_reason_and_remedy(reason: Reason) -> None:
    ignored = entry(Received.IGNORED, reason=reason, explanation=REASONS[reason])

    said = told(entries=(ignored,))

    assert said.startswith(f"It is not at Prisjakt: {REASONS[reason].meaning}. ")
    remedy = REASONS[reason].on(stack_elsewhere(), "lamps", "1").remedy
    assert remedy.removeprefix("nothing") in said
    assert "What to do: nothing" not in said


def test_a_webhook_of_another_topic_does_not_hide_the_reason_before_it() -> None:
    reasons = (Reason.NO_CLICK_ID, Reason.TOPIC)
    ignored = [entry("ignored", reason=each, explanation=REASONS[each]) for each in reasons]

    assert REASONS[Reason.NO_CLICK_ID].meaning in told(entries=tuple(ignored))
    assert REASONS[Reason.TOPIC].meaning in told(entries=tuple(ignored[1:]))


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(seconds=5), "accepted a moment ago"),
        (timedelta(hours=1), f"no sender has taken it up: `prisjakt-relay doctor lamps {WHERE}`"),
        (KEPT + timedelta(days=1), "what became of it is forgotten"),
    ],
)
def test_a_queued_order_that_the_ledger_does_not_have(ago: timedelta, words: str) -> None:
    queued = entry("queued", at=NOW - ago, explanation=DELIVERIES[Received.QUEUED])

    assert words in told(entries=(queued,))


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.WAITING, "It is not at Prisjakt yet: some words. The relay tries again"),
        (Outcome.REPORTED, "the last that was logged of it is: some words."),
    ],
)
def test_an_order_of_which_only_the_senders_lines_are_left(outcome: Outcome, words: str) -> None:
    assert words in told(entries=(entry("queued"), entry(outcome, "sender")))
