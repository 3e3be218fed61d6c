"""The life of one order: what the logs, the ledger and Prisjakt know of it, and what that means."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Final

from prisjakt_relay.errors import HeldError, PrisjaktError, RelayError, SetupError, StorageError
from prisjakt_relay.ledger import Record, Status
from prisjakt_relay.operations import ledger_items, logs, prisjakt_access
from prisjakt_relay.operations.explanations import (
    DELIVERIES,
    OUTCOMES,
    REASONS,
    RECONCILED,
    Explanation,
    cause,
)
from prisjakt_relay.operations.ledger_items import known_records
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.operations.threads import threads
from prisjakt_relay.outcomes import Outcome, Reason, Received, Reconciled
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.prisjakt.models import Event
from prisjakt_relay.sender.sending import events_near
from prisjakt_relay.shop import Shop

MOST_REFUSED: Final = 10_000  # deliveries; more need no exact figure
_DAYS_AT_ONCE: Final = 8
_AHEAD: Final = timedelta(minutes=1)  # of this machine's clock
_REFUSED: Final = (Received.UNSIGNED, Received.UNKNOWN, Received.UNAVAILABLE)
SENDER: Final = "sender"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line that a function wrote about the order."""

    at: datetime
    by: str
    outcome: str
    explanation: Explanation
    reason: str | None = None
    problem: str | None = None
    cause: str | None = None
    seconds: float | None = None
    tries: int | None = None
    void: bool = False
    answer_status: int | None = None
    answer_title: str | None = None
    answer_fields: tuple[str, ...] = ()

    def repeats(self, other: Entry) -> bool:
        """Says nothing new, but that it is waiting still."""
        return self.outcome == other.outcome == Outcome.WAITING and (
            self.cause,
            self.answer_status,
            self.answer_title,
        ) == (other.cause, other.answer_status, other.answer_title)


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What Prisjakt answered when it was asked for the order's events, if it was asked."""

    asked: bool = False
    events: tuple[Event, ...] = ()
    error: RelayError | None = None


@dataclass(frozen=True, kw_only=True)
class Life:
    """All that is known of an order, the entries oldest first."""

    shop: str
    order_id: str
    entries: tuple[Entry, ...] = ()
    records: tuple[Record, ...] = ()
    holding: Holding = field(default_factory=Holding)


def found(
    stack: Stack,
    name: str,
    shop: Shop,
    wanted: str,
    since: datetime,
    now: datetime,
    *,
    on_day: Callable[[], None] = lambda: None,
) -> Life | None:
    """The life of the order with this id or, if there is none, with this reference.

    Log lines are looked for from `since` on. `on_day` is called after each day that is searched
    for the reference.
    """
    candidates = list(dict.fromkeys([wanted, *ids_in(shop.order_reference, wanted)]))
    for order_id in candidates:
        if records := known_records(stack, name, order_id):
            entries = _entries(stack, name, order_id, since, now)
            return _life(stack, name, shop, order_id, entries, records)
    for order_id in candidates:
        if entries := _entries(stack, name, order_id, since, now):
            return _life(stack, name, shop, order_id, entries, ())
    other = id_of_reference(stack, name, wanted, now, on_day=on_day)
    if other is None:
        return None
    entries = _entries(stack, name, other, since, now)
    return _life(stack, name, shop, other, entries, known_records(stack, name, other))


def refused_deliveries(
    stack: Stack, name: str, since: datetime, now: datetime
) -> Mapping[str, int]:
    """How many deliveries of the shop were turned away: nobody knows whose they were."""
    counts = {}
    for outcome in _REFUSED:
        refused = logs.lines(
            stack, {"shop": name, "outcome": outcome}, since, now, groups=("ReceiverLogGroup",)
        )
        counts[str(outcome)] = sum(1 for _ in islice(refused, MOST_REFUSED))
    return counts


def id_of_reference(
    stack: Stack,
    name: str,
    reference: str,
    now: datetime,
    *,
    on_day: Callable[[], None] = lambda: None,
) -> str | None:
    """The id of the newest order in the ledger that has this reference."""
    days = [now.date() + timedelta(days=1 - back) for back in range(ledger_items.DAYS_KEPT)]
    stack.dynamodb  # noqa: B018  # one for all threads, made before there are any
    with threads(_DAYS_AT_ONCE) as pool:
        for start in range(0, len(days), _DAYS_AT_ONCE):
            part = days[start : start + _DAYS_AT_ONCE]
            for order_id in pool.map(lambda day: _on_day(stack, name, day, reference), part):
                if order_id is not None:
                    return order_id
                on_day()
    return None


def _on_day(stack: Stack, name: str, day: date, reference: str) -> str | None:
    newest = next(ledger_items.of_day(stack, name, day, reference=reference), None)
    if newest is None:
        return None
    return id_in(name, str(newest["id"]))


def id_in(name: str, item_key: str) -> str:
    """The order's id in the key of its item."""
    return item_key.removeprefix(f"order#{name}#").rpartition("#")[0]


def ids_in(pattern: str, reference: str) -> Iterator[str]:
    """The order id within a reference, where the shop's pattern is made of nothing else."""
    expression = ""
    for text, part, _, _ in string.Formatter().parse(pattern):
        expression += re.escape(text)
        if part is None:
            continue
        if part != "id":
            return
        expression += "(?P=id)" if "(?P<id>" in expression else "(?P<id>.+)"
    if match := re.fullmatch(expression, reference):
        yield match["id"]


def _entries(
    stack: Stack, name: str, order_id: str, since: datetime, now: datetime
) -> tuple[Entry, ...]:
    lines = logs.lines(stack, {"shop": name, "order_id": order_id}, since, now + _AHEAD)
    found = [_entry(line) for line in lines if "outcome" in line]
    return tuple(sorted(found, key=lambda entry: (entry.at, entry.by == SENDER)))


def _entry(line: logs.Line) -> Entry:
    return Entry(
        at=line["at"],
        by=str(line.get("service", "")),
        outcome=str(line["outcome"]),
        explanation=_explained(line),
        reason=line.get("reason"),
        problem=line.get("problem"),
        cause=line.get("cause"),
        seconds=line.get("seconds"),
        tries=line.get("tries"),
        void=line.get("void") is True,
        answer_status=line.get("answer_status"),
        answer_title=line.get("answer_title"),
        answer_fields=tuple(line.get("answer_fields") or ()),
    )


def _explained(line: logs.Line) -> Explanation:
    """An older or newer relay may have words that this one does not know."""
    outcome, reason = line["outcome"], line.get("reason")
    if reason in list(Reason):
        return REASONS[Reason(reason)]
    if outcome in list(Reconciled):
        return RECONCILED[Reconciled(outcome)]
    if outcome == Outcome.WAITING:
        return Explanation(cause(str(line.get("cause", ""))))
    if line.get("service") == SENDER and outcome in list(Outcome):
        return OUTCOMES[Outcome(outcome)]
    if outcome in list(Received):
        return DELIVERIES[Received(outcome)]
    return Explanation(str(outcome))


# What Prisjakt holds


def _life(
    stack: Stack,
    name: str,
    shop: Shop,
    order_id: str,
    entries: tuple[Entry, ...],
    records: tuple[Record, ...],
) -> Life:
    held = holding(stack, name, shop, records)
    return Life(shop=name, order_id=order_id, entries=entries, records=records, holding=held)


def holding(stack: Stack, name: str, shop: Shop, records: tuple[Record, ...]) -> Holding:
    named = [record for record in records if record.status is not Status.ERASED]
    if not named or not shop.has_credentials:
        return Holding()
    try:
        client = prisjakt_access.client(stack, name, shop)
        events = {
            event.id: event
            for record in named
            for event in _events(stack, client, name, record)
            if event.external_event_id == record.external_id
        }
    except (PrisjaktError, HeldError, SetupError, StorageError) as error:
        return Holding(error=error)
    return Holding(asked=True, events=tuple(events.values()))


def _events(stack: Stack, client: PrisjaktClient, name: str, record: Record) -> Iterable[Event]:
    moment = datetime.fromisoformat(record.event_time)
    with prisjakt_access.told_by_prisjakt(stack, name, f"pixel {record.pixel_id}"):
        return list(events_near(client, record.pixel_id, moment))
