"""A shop's orders beside the ledger and beside what Prisjakt holds: every difference by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from time import sleep
from typing import Final, NamedTuple

from prisjakt_relay.conversion import OLDEST, PURCHASE, Conversion
from prisjakt_relay.errors import HeldError, PrisjaktError, SetupError, StorageError
from prisjakt_relay.intake import EPOCH
from prisjakt_relay.ledger import Facts, Record, Status
from prisjakt_relay.operations import ledger_items, prisjakt_access, shops
from prisjakt_relay.operations.explanations import (
    DISAGREEMENTS,
    STANDINGS,
    Explanation,
    said,
)
from prisjakt_relay.operations.finding import counted, money
from prisjakt_relay.operations.stack import Stack, told_clearly
from prisjakt_relay.outcomes import Reason
from prisjakt_relay.platform_api.interface import Moment, PlatformApi
from prisjakt_relay.prisjakt.models import Event
from prisjakt_relay.reconciler.reconciliation import (
    BACKFILLED,
    Disagreement,
    EventsOfOrders,
    Mismatch,
    Records,
    Standing,
    Verdict,
    verdicts,
)
from prisjakt_relay.shop import Shop
from prisjakt_relay.tables import MOST_AT_ONCE, records_of

FRESH: Final = timedelta(seconds=30)  # somebody waits for the answer, and looks again if need be
ON_ITS_WAY: Final = "on_its_way"
"""An order that changed a moment ago: its webhook may not have come yet."""


class Unmatched(StrEnum):
    """What the other sides have and the shop has not."""

    DELETED = "deleted_in_shop"
    NO_ORDER = "of_no_order"


Kind = Standing | Disagreement | Unmatched

DIFFERENT: Final = BACKFILLED | {
    Standing.DEAD,
    Standing.NOT_CORRECTABLE,
    Standing.CORRECTION_REFUSED,
}
"""Where an order is if somebody has to do something about it."""

_OWN: Final[Mapping[str, Explanation]] = {
    Unmatched.DELETED: Explanation(
        "Prisjakt counts it or soon will, and the shop system has no such order any more",
        "if it was no purchase after all, ask Prisjakt to take it back",
    ),
    Unmatched.NO_ORDER: Explanation(
        "Prisjakt holds a purchase that is of no order that the relay reports",
        "look for a browser pixel, or for something else that reports with this pixel",
    ),
    ON_ITS_WAY: Explanation(
        f"it changed less than {FRESH.seconds} s ago: its webhook may still come"
    ),
}
EXPLANATIONS: Final = dict[str, Explanation](
    [*STANDINGS.items(), *DISAGREEMENTS.items(), *_OWN.items()]
)
"""Of each word for where an order is, and for each kind of difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it should be. `found` says what; `ordered_at` is when the order was
    made, as far as anybody knows it. An event of no order has no `order_id`."""

    kind: Kind
    order_id: str | None
    order_reference: str
    ordered_at: datetime
    found: str
    remedy: str = ""


class Count(NamedTuple):
    """How many of the shop's orders are there. `reason` is there for what is ignored."""

    standing: str
    reason: Reason | None
    orders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What the comparison came to. The counts add up to `orders`.

    `in_ledger` are the ledger's orders of the interval, `at_prisjakt` the purchases that Prisjakt
    showed. `not_compared` and `not_searched` say why Prisjakt was not asked, and why purchases of
    no order were not looked for.
    """

    shop: str
    since: datetime
    until: datetime
    orders: int
    counts: tuple[Count, ...]
    differences: tuple[Difference, ...]
    in_ledger: int
    at_prisjakt: int
    not_compared: str = ""
    not_searched: str = ""


def _nothing(_: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who hears how many more events, orders and days have been read."""

    on_events: Callable[[int], None] = _nothing
    on_orders: Callable[[int], None] = _nothing
    on_days: Callable[[int], None] = _nothing


def within_reach(since: datetime, until: datetime, now: datetime) -> datetime:
    """Where an interval begins if it has to: with the first whole day on which no order is too old
    to be reported, since shop systems do not show older ones to everybody.

    Raises `SetupError` if nothing is left of it.
    """
    first = datetime.combine((now - OLDEST).date() + timedelta(days=1), time(), UTC)
    if until <= first:
        raise SetupError(
            f"orders of before {first:%Y-%m-%d} are too old to be reported: choose later days"
        )
    return max(since, first)


def records(stack: Stack) -> Records:
    """The ledger's records of many keys at once."""

    def found(keys: Sequence[str]) -> Mapping[str, Record]:
        with told_clearly():
            return records_of(stack.store, keys)

    return found


def reconcile(
    stack: Stack,
    name: str,
    shop: Shop,
    api: PlatformApi,
    since: datetime,
    until: datetime,
    *,
    now: datetime,
    listener: Listener = Listener(),
    wait: Callable[[float], None] = sleep,
) -> Reconciliation:
    """Compare the orders that were made in the interval.

    Prisjakt is read first and the ledger last: what was settled before is in all of them, and what
    changes meanwhile is no difference. `wait` waits so many seconds for a turn with Prisjakt.
    """
    return _Comparison(stack, name, shop, since, until, now, listener, wait).with_orders_of(api)


class _Comparison:
    """Kept in memory are events, ids and differences: never the orders themselves."""

    def __init__(
        self,
        stack: Stack,
        name: str,
        shop: Shop,
        since: datetime,
        until: datetime,
        now: datetime,
        listener: Listener,
        wait: Callable[[float], None],
    ) -> None:
        self._stack = stack
        self._name = name
        self._shop = shop
        self._since = since.replace(microsecond=0)  # Prisjakt has whole seconds of an order's time
        self._until = until
        self._now = now
        self._settled = now - FRESH
        self._listener = listener
        self._wait = wait
        self._records = records(stack)
        self._order_ids: set[str] = set()
        self._seen_keys: set[str] = set()
        self._references: set[str] = set()
        self._orders = self._in_ledger = self._at_prisjakt = 0
        self._counts: Counter[tuple[str, Reason | None]] = Counter()
        self._differences: list[Difference] = []

    def with_orders_of(self, api: PlatformApi) -> Reconciliation:
        events, not_compared = self._events()
        for page in api.orders(self._since, self._until, by=Moment.CREATED):
            for verdict in verdicts(page.orders, self._name, self._shop, self._records, self._now):
                self._take(verdict, events)
            self._listener.on_orders(len(page.orders))
        for part in self._unseen_keys():
            for record in self._records(part).values():
                self._look_at(record, events)
        not_searched = "" if events is None else self._search(events)
        return Reconciliation(
            shop=self._name,
            since=self._since,
            until=self._until,
            orders=self._orders,
            counts=tuple(
                Count(standing, reason, number)
                for (standing, reason), number in sorted(
                    self._counts.items(), key=lambda each: (-each[1], each[0])
                )
            ),
            differences=self._with_remedies(),
            in_ledger=self._in_ledger,
            at_prisjakt=self._at_prisjakt,
            not_compared=not_compared,
            not_searched=not_searched,
        )

    def _events(self) -> tuple[EventsOfOrders | None, str]:
        """What Prisjakt holds, or why nobody knows that."""
        what = f"pixel {self._shop.pixel_id}"
        try:
            client = prisjakt_access.client(self._stack, self._name, self._shop, wait=self._wait)
            with prisjakt_access.told_by_prisjakt(self._stack, self._name, what):
                events = client.events(
                    self._shop.pixel_id, self._since, self._until, event_name=PURCHASE
                )
                return EventsOfOrders(self._counted(events)), ""
        except (HeldError, PrisjaktError, SetupError, StorageError) as error:
            self._at_prisjakt = 0
            return None, str(error)

    def _counted(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            self._at_prisjakt += 1
            self._listener.on_events(1)
            yield event

    def _take(self, verdict: Verdict, events: EventsOfOrders | None) -> None:
        """One order of the shop; a page may have one that an earlier page had."""
        if verdict.order_id in self._order_ids:
            return
        if verdict.order_id is not None:
            self._order_ids.add(verdict.order_id)
        self._orders += 1
        conversion = verdict.conversion
        if conversion is None:
            self._counts[verdict.standing, verdict.reason] += 1
            return
        self._references.add(conversion.order_reference)
        if verdict.is_lost and self._is_fresh(conversion):
            self._counts[ON_ITS_WAY, None] += 1
        else:
            self._counts[verdict.standing, None] += 1
            if verdict.standing in DIFFERENT:
                self._note(verdict.standing, *_named(verdict, conversion))
        if verdict.record is not None:
            self._look_at(verdict.record, events)

    def _is_fresh(self, conversion: Conversion) -> bool:
        return EPOCH + timedelta(milliseconds=conversion.revision) > self._settled

    def _unseen_keys(self) -> Iterator[list[str]]:
        """The orders of the interval that the ledger lists and that were not seen with the shop's,
        so many at a time as can be read at once. The list itself has only a part of each."""
        unseen: list[str] = []
        for day in ledger_items.days(self._since, self._until):
            for item in ledger_items.of_day(self._stack, self._name, day):
                if self._since <= datetime.fromisoformat(item["event_time"]) < self._until:
                    self._in_ledger += 1
                    self._references.add(item["external_id"])
                    if item["id"] not in self._seen_keys:
                        unseen.append(item["id"])
                if len(unseen) == MOST_AT_ONCE:
                    yield unseen
                    unseen = []
            self._listener.on_days(1)
        if unseen:
            yield unseen

    def _look_at(self, record: Record, events: EventsOfOrders | None) -> None:
        self._seen_keys.add(record.key)
        if record.updated_at > self._settled:
            return
        if record.order_id not in self._order_ids and _is_counted(record):
            self._note(Unmatched.DELETED, *_known(record), _state(record))
        if events is not None and record.pixel_id == self._shop.pixel_id:
            mismatch = events.mismatch(record)
            if mismatch is not None:
                self._note(mismatch.disagreement, *_known(record), _seen(mismatch))

    def _note(
        self, kind: Kind, order_id: str | None, reference: str, ordered_at: datetime, found: str
    ) -> None:
        self._differences.append(
            Difference(
                kind=kind,
                order_id=order_id,
                order_reference=reference,
                ordered_at=ordered_at,
                found=found,
            )
        )

    def _search(self, events: EventsOfOrders) -> str:
        """Note purchases of no order; or say why that cannot be told."""
        pixel_id = self._shop.pixel_id.lower()
        # A shop whose document cannot be used reports nothing: its pixel does not matter.
        sharing = [
            other
            for other, shop in shops.each(self._stack)
            if other != self._name and isinstance(shop, Shop) and shop.pixel_id.lower() == pixel_id
        ]
        if sharing:
            return f"the same pixel is that of shop {', '.join(sharing)}, too"
        for event in events.others(self._references):
            if self._since <= event.event_time < min(self._until, self._settled):
                found = f"event {event.id}: {_figures(event)}"
                reference = str(event.external_event_id)
                self._note(Unmatched.NO_ORDER, None, reference, event.event_time, found)
        return ""

    def _with_remedies(self) -> tuple[Difference, ...]:
        """By kind and time. All that was lost has one remedy, for the days of all of it."""
        days = [each.ordered_at for each in self._differences if each.kind in BACKFILLED]
        first_day, last_day = (
            (f"{min(days):%Y-%m-%d}", f"{max(days):%Y-%m-%d}") if days else ("", "")
        )
        made = []
        for each in sorted(self._differences, key=lambda each: (each.kind, each.ordered_at)):
            explanation = EXPLANATIONS[each.kind].on(
                self._stack,
                self._name,
                each.order_id or each.order_reference,
                first_day=first_day,
                last_day=last_day,
            )
            made.append(replace(each, remedy=explanation.remedy))
        return tuple(made)


def _is_counted(record: Record) -> bool:
    """Whether Prisjakt holds a sum for it, or may. Test purchases count for nothing there, those of
    `prisjakt-relay test` among them, which no shop system ever had."""
    if record.event_name != PURCHASE:
        return False
    if record.reported is not None:
        return not record.reported.void
    return record.anothers or record.uncertain or record.status is Status.WAITING


# In words


def _named(verdict: Verdict, conversion: Conversion) -> tuple[str, str, datetime, str]:
    """With the reference of the ledger, under which Prisjakt knows the order; else the shop's."""
    reference = verdict.record.external_id if verdict.record else conversion.order_reference
    found = _found(verdict, conversion)
    return conversion.order_id, reference, conversion.event_time, found


def _known(record: Record) -> tuple[str, str, datetime]:
    return record.order_id, record.external_id, datetime.fromisoformat(record.event_time)


def _found(verdict: Verdict, conversion: Conversion) -> str:
    now = _worth(Facts.of(conversion), conversion.currency)
    record = verdict.record
    if record is None:
        return now
    if verdict.standing is Standing.STUCK:
        return f"{now}, waiting since {record.updated_at:%Y-%m-%d %H:%M} UTC"
    if verdict.standing is Standing.DEAD:
        return f"{record.death}: {said(record.answer)}"
    known = record.reported or record.wanted
    found = f"{now} in the shop, {_worth(known, record.currency)} in the ledger"
    if verdict.standing is Standing.CORRECTION_REFUSED:
        return f"{found}: {said(record.answer)}"
    return found


def _state(record: Record) -> str:
    return f"{record.status}, {_worth(record.reported or record.wanted, record.currency)}"


def _seen(mismatch: Mismatch) -> str:
    record, events = mismatch.record, mismatch.events
    reported = _worth(record.reported or record.wanted, record.currency)
    if not events:
        when = f" on {record.reported_at:%Y-%m-%d %H:%M} UTC" if record.reported_at else ""
        return f"{reported}, taken{when}"
    there = "; ".join(f"event {event.id}: {_figures(event)}" for event in events)
    return f"{reported} was reported; {there}"


def _worth(facts: Facts, currency: str) -> str:
    return "cancelled" if facts.void else _sum(facts.amount, currency, facts.items)


def _figures(event: Event) -> str:
    return _sum(event.data.amount, event.data.currency, event.data.number_of_items)


def _sum(amount: Decimal, currency: str, items: int | None) -> str:
    """`996.50 SEK, 3 items`"""
    number = "" if items is None else f", {counted(items, 'item')}"
    return f"{money(amount)} {currency}{number}"
