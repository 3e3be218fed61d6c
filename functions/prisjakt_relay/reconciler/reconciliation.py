"""What became of each of a shop's orders, by the ledger; and whether Prisjakt agrees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from prisjakt_relay.conversion import PURCHASE, Conversion
from prisjakt_relay.intake import Decision, assess
from prisjakt_relay.ledger import Facts, Record, Status, is_at_prisjakt, key
from prisjakt_relay.outcomes import Reason
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.platforms.interface import Document
from prisjakt_relay.prisjakt.models import Event
from prisjakt_relay.shop import Shop

NO_MESSAGE: Final = timedelta(hours=24)
"""A message comes up every 11 hours at the latest. If nothing came of it for longer after an order
could have gone, none is left."""

Records = Callable[[Sequence[str]], Mapping[str, Record]]
"""The records of these keys, as far as there are any."""


class Standing(StrEnum):
    """Where an order is. The statuses of the ledger, and what only a comparison can tell."""

    IGNORED = "ignored"
    WAITING = "waiting"
    REPORTED = "reported"
    ALREADY_AT_PRISJAKT = "already_at_prisjakt"
    NOT_CORRECTABLE = "not_correctable"
    CORRECTION_REFUSED = "correction_refused"
    NOTHING_TO_REPORT = "nothing_to_report"
    DEAD = "dead"
    ERASED = "erased"
    DROPPED = "dropped"
    MISSED = "missed"  # to be reported, and nothing is known of it
    OUTDATED = "outdated"  # the ledger knows an older state of it
    STUCK = "stuck"  # waits, but no message of it can be left
    CORRECTABLE = "correctable"  # what it changed to could not be reported, and can be by now


LOST: Final = frozenset({Standing.MISSED, Standing.OUTDATED, Standing.STUCK})
"""What the queue has to be told of anew. What is correctable is not among them: trying once more
may come to the same, which nobody would want every hour."""

BACKFILLED: Final = LOST | {Standing.CORRECTABLE}
"""What somebody may ask to be told anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One order of the shop. `reason` is there if it is ignored, `conversion` if it is not."""

    order_id: str | None
    standing: Standing
    reason: Reason | None = None
    problem: str | None = None
    conversion: Conversion | None = None
    record: Record | None = None

    @property
    def is_lost(self) -> bool:
        return self.standing in LOST

    @property
    def is_touched(self) -> bool:
        """The ledger knows what the order says, but not that it is the newest word: an older one
        that is still on its way would win."""
        if self.conversion is None or self.record is None or self.is_lost:
            return False
        if self.conversion.currency != self.record.currency:
            return False  # which the sender leaves alone
        return self.conversion.revision > self.record.wanted.revision


def verdicts(
    orders: Iterable[Document], name: str, shop: Shop, records: Records, now: datetime
) -> list[Verdict]:
    """Where each of the shop's orders is; all records are asked for at once."""
    platform = PLATFORMS[shop.platform]
    decisions = [assess(platform, name, shop, order, now) for order in orders]
    keys = [_key(each.conversion) for each in decisions if each.conversion is not None]
    found = records(keys) if keys else {}
    return [_verdict(decision, shop, found, now) for decision in decisions]


def _key(conversion: Conversion) -> str:
    return key(conversion.shop, conversion.order_id, conversion.event_name)


def _verdict(decision: Decision, shop: Shop, found: Mapping[str, Record], now: datetime) -> Verdict:
    conversion = decision.conversion
    if conversion is None:
        return Verdict(
            order_id=decision.order_id,
            standing=Standing.IGNORED,
            reason=decision.reason,
            problem=decision.problem,
        )
    record = found.get(_key(conversion))
    return Verdict(
        order_id=conversion.order_id,
        standing=standing(conversion, record, shop, now),
        conversion=conversion,
        record=record,
    )


def standing(conversion: Conversion, record: Record | None, shop: Shop, now: datetime) -> Standing:
    """By what the shop says now and what the ledger holds."""
    if record is None or record.expires_at <= now:
        return Standing.MISSED
    if record.status is Status.ERASED:
        return Standing.ERASED
    facts = Facts.of(conversion)
    # A figure in another currency says nothing about the frozen one: the sender leaves it alone.
    frozen = record.uncertain or is_at_prisjakt(record)
    comparable = facts.void or not frozen or record.currency == conversion.currency
    # Shop systems touch orders for reasons of their own: what says the same is no newer state.
    same = facts.says(record.wanted) and record.currency == conversion.currency
    if facts.rank() > record.wanted.rank() and not same:
        return Standing.OUTDATED if comparable else Standing.NOT_CORRECTABLE
    if record.status is Status.WAITING:
        due = max(record.updated_at, record.not_before or record.updated_at)
        return Standing.STUCK if now - due > NO_MESSAGE else Standing.WAITING
    unsure = record.status is Status.REPORTED and not record.certain
    superseded = facts.rank() < record.wanted.rank()
    if (unsure or record.status is Status.NOT_CORRECTABLE) and comparable and not superseded:
        corrects = shop.corrections and shop.has_credentials
        return Standing.CORRECTABLE if corrects else Standing(record.status)
    if record.status is Status.DEAD and record.dropped_at is not None:
        return Standing.DROPPED
    return Standing(record.status)


class Disagreement(StrEnum):
    """Between the ledger and Prisjakt."""

    NOT_THERE = "not_at_prisjakt"  # acknowledged once, and not among the events
    DIFFERENT = "differs_at_prisjakt"
    TWICE = "twice_at_prisjakt"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A record that Prisjakt's events do not bear out, and those of its name."""

    record: Record
    disagreement: Disagreement
    events: tuple[Event, ...]


class EventsOfOrders:
    """Prisjakt's events of an interval, by external id."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._by_id: dict[str, list[Event]] = {}
        for event in events:
            if event.event_name == PURCHASE and event.external_event_id is not None:
                self._by_id.setdefault(event.external_event_id, []).append(event)

    def mismatch(self, record: Record) -> Mismatch | None:
        """What is wrong with a purchase that the ledger is sure of; None if nothing is."""
        if record.event_name != PURCHASE or record.reported is None or not record.certain:
            return None
        events = tuple(self._by_id.get(record.external_id, ()))
        if not events:
            return Mismatch(record, Disagreement.NOT_THERE, events)
        if len(events) > 1:
            return Mismatch(record, Disagreement.TWICE, events)
        said, there = record.reported, events[0].data
        same = (said.amount, record.currency) == (there.amount, there.currency)
        if not same or there.number_of_items not in (None, said.items):
            return Mismatch(record, Disagreement.DIFFERENT, events)
        return None

    def others(self, external_ids: Iterable[str]) -> Iterator[Event]:
        """The events of other names than these."""
        known = frozenset(external_ids)
        for name, events in self._by_id.items():
            if name not in known:
                yield from events
