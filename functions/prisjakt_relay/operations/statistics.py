"""What became of a shop's orders in an interval, counted from the ledger and the receiver's log.

Items are counted as they are read and forgotten: memory does not grow with the number of orders.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from prisjakt_relay.conversion import TEST_PURCHASE
from prisjakt_relay.ledger import KEPT, Status
from prisjakt_relay.operations import ledger_items, logs
from prisjakt_relay.operations.stack import Stack, clock
from prisjakt_relay.operations.threads import threads
from prisjakt_relay.operations.trial import is_sample
from prisjakt_relay.outcomes import Received

UP_TO: Final = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(days=1),
)
"""The steps of the histograms; what took longer comes after the last."""

_AT_ONCE: Final = 2  # pages in memory, each of 1 MB at most; more of them are hardly faster
_FINEST: Final = 0.001  # seconds
_GROWTH: Final = math.log(1.02)  # each class of durations is 2 % wide


@dataclass(frozen=True, slots=True)
class DayOfPurchases:
    """What Prisjakt holds of the orders of one day in UTC; `taken_back` ones are not purchases."""

    day: date
    currency: str
    purchases: int
    amount: Decimal
    taken_back: int


@dataclass(frozen=True, slots=True)
class OrdersByOutcome:
    outcome: str
    death: str | None
    orders: int
    test_purchases: int


@dataclass(frozen=True, slots=True)
class Step:
    """How many orders took so long; `up_to` is None for the rest."""

    up_to: timedelta | None
    orders: int


@dataclass(frozen=True, slots=True)
class Times:
    """How long orders took. Median and 95th percentile are right to 1 %."""

    orders: int
    median: timedelta | None
    percentile_95: timedelta | None
    longest: timedelta | None
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Corrections:
    """How many reported orders were changed at Prisjakt later, and how often in sum."""

    orders: int
    changes: int
    taken_back: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """Signed deliveries of the shop system that were not queued, and of how many orders."""

    reason: str
    deliveries: int
    orders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Test purchases are counted in `test_purchases` and in `outcomes`, and nowhere else."""

    shop: str
    since: datetime
    until: datetime
    orders: int
    test_purchases: int
    days: tuple[DayOfPurchases, ...]
    outcomes: tuple[OrdersByOutcome, ...]
    order_to_report: Times
    arrival_to_report: Times
    corrections: Corrections
    already_at_prisjakt: int
    already_at_prisjakt_share: float | None
    ignored: tuple[Ignored, ...]
    ignored_since: datetime | None
    ledger_complete_since: datetime


def read(
    stack: Stack,
    shop: str,
    since: datetime,
    until: datetime,
    *,
    on_day: Callable[[int, int], None] = lambda _done, _all: None,
    on_lines: Callable[[int], None] = lambda _: None,
) -> Statistics:
    """Count the orders that were made, and the deliveries that were ignored, in the interval.

    `on_day` hears how many days of how many are read, `on_lines` how many log lines each query
    found.
    """
    tally = Tally()
    now = clock()
    days = list(ledger_items.days(max(since, now - timedelta(days=ledger_items.DAYS_KEPT)), until))
    with threads(_AT_ONCE) as pool:
        work = [pool.submit(_read_day, stack, shop, day, since, until) for day in days]
        for done, finished in enumerate(as_completed(work), 1):
            tally.merge(finished.result())
            on_day(done, len(days))
    logged_since = max(since, now - timedelta(days=int(stack.parameters["LogRetentionDays"])))
    ignored = (
        _read_ignored(stack, shop, logged_since, until, on_lines) if logged_since < until else ()
    )
    return tally.statistics(
        shop=shop,
        since=since,
        until=until,
        ignored=ignored,
        ignored_since=logged_since if logged_since < until else None,
        ledger_complete_since=max(since, now - KEPT),
    )


def _read_day(stack: Stack, shop: str, day: date, since: datetime, until: datetime) -> Tally:
    tally = Tally()
    for item in ledger_items.of_day(stack, shop, day):
        made_at = datetime.fromisoformat(item["event_time"])
        if since <= made_at < until:
            tally.add(item, made_at)
    return tally


def _read_ignored(
    stack: Stack, shop: str, since: datetime, until: datetime, on_lines: Callable[[int], None]
) -> tuple[Ignored, ...]:
    deliveries: Counter[str] = Counter()
    orders: dict[str, set[int]] = {}
    for line in logs.lines(
        stack,
        {"service": "receiver", "shop": shop, "outcome": Received.IGNORED},
        since,
        until,
        groups=("ReceiverLogGroup",),
        on_page=on_lines,
    ):
        order_id = line.get("order_id")
        if is_sample(str(order_id)):
            continue
        reason = str(line.get("reason"))
        deliveries[reason] += 1
        if order_id:
            orders.setdefault(reason, set()).add(hash(order_id))  # a tenth of the text's memory
    return tuple(
        Ignored(reason, count, len(orders.get(reason, ())))
        for reason, count in deliveries.most_common()
    )


@dataclass(slots=True)
class Durations:
    """Durations in classes that are 2 % wide: as many as orders of magnitude, not as orders."""

    steps: list[int] = field(default_factory=lambda: [0] * (len(UP_TO) + 1))
    classes: Counter[int] = field(default_factory=Counter)
    longest: timedelta = timedelta()

    def add(self, duration: timedelta) -> None:
        duration = max(duration, timedelta())  # two machines' clocks may differ
        self.steps[bisect_left(UP_TO, duration)] += 1
        fine = max(duration.total_seconds(), _FINEST) / _FINEST
        self.classes[int(math.log(fine) / _GROWTH)] += 1
        self.longest = max(self.longest, duration)

    def merge(self, other: Durations) -> None:
        self.steps = [mine + its for mine, its in zip(self.steps, other.steps, strict=True)]
        self.classes += other.classes
        self.longest = max(self.longest, other.longest)

    def times(self) -> Times:
        orders = sum(self.steps)
        return Times(
            orders=orders,
            median=self._at(math.ceil(orders * 0.5)),
            percentile_95=self._at(math.ceil(orders * 0.95)),
            longest=self.longest if orders else None,
            steps=tuple(map(Step, (*UP_TO, None), self.steps)),
        )

    def _at(self, rank: int) -> timedelta | None:
        """About what the one of this rank took, the shortest being the first."""
        seen = 0
        for number, count in sorted(self.classes.items()):
            seen += count
            if seen >= rank:
                middle = _FINEST * math.exp((number + 0.5) * _GROWTH)
                return min(timedelta(seconds=middle), self.longest)
        return None


@dataclass(slots=True)
class Tally:
    """Running counts; those of several days are merged."""

    test_purchases: int = 0
    purchases: Counter[tuple[str, str]] = field(default_factory=Counter)
    amounts: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    taken_back: Counter[tuple[str, str]] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    test_outcomes: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    order_to_report: Durations = field(default_factory=Durations)
    arrival_to_report: Durations = field(default_factory=Durations)
    corrected: int = 0
    changes: int = 0

    def add(self, item: Mapping[str, Any], made_at: datetime) -> None:
        outcome = (item["status"], item.get("death"))
        if item["id"].endswith(f"#{TEST_PURCHASE}"):
            self.test_purchases += 1
            self.test_outcomes[outcome] += 1
            return
        self.outcomes[outcome] += 1
        if changes := item.get("corrections"):
            self.corrected += 1
            self.changes += changes
        if reported_at := item.get("reported_at"):
            moment = datetime.fromisoformat(reported_at)
            self.order_to_report.add(moment - made_at)
            self.arrival_to_report.add(moment - datetime.fromisoformat(item["received_at"]))
        if reported := item.get("reported"):
            self._add_reported((item["event_time"][:10], item["currency"]), reported)

    def _add_reported(self, key: tuple[str, str], reported: Mapping[str, Any]) -> None:
        if reported["void"]:
            self.taken_back[key] += 1
            return
        self.purchases[key] += 1
        self.amounts[key] = self.amounts.get(key, Decimal()) + Decimal(reported["amount"])

    def merge(self, other: Tally) -> None:
        self.test_purchases += other.test_purchases
        self.purchases += other.purchases
        for key, amount in other.amounts.items():
            self.amounts[key] = self.amounts.get(key, Decimal()) + amount
        self.taken_back += other.taken_back
        self.outcomes += other.outcomes
        self.test_outcomes += other.test_outcomes
        self.order_to_report.merge(other.order_to_report)
        self.arrival_to_report.merge(other.arrival_to_report)
        self.corrected += other.corrected
        self.changes += other.changes

    def statistics(
        self,
        *,
        shop: str,
        since: datetime,
        until: datetime,
        ignored: tuple[Ignored, ...],
        ignored_since: datetime | None,
        ledger_complete_since: datetime,
    ) -> Statistics:
        orders = self.outcomes.total()
        already = self.outcomes[Status.ALREADY_AT_PRISJAKT, None]
        return Statistics(
            shop=shop,
            since=since,
            until=until,
            orders=orders,
            test_purchases=self.test_purchases,
            days=tuple(
                DayOfPurchases(
                    day=date.fromisoformat(day),
                    currency=currency,
                    purchases=self.purchases[day, currency],
                    amount=self.amounts.get((day, currency), Decimal()),
                    taken_back=self.taken_back[day, currency],
                )
                for day, currency in sorted(self.purchases.keys() | self.taken_back.keys())
            ),
            outcomes=self._by_outcome(),
            order_to_report=self.order_to_report.times(),
            arrival_to_report=self.arrival_to_report.times(),
            corrections=Corrections(self.corrected, self.changes, self.taken_back.total()),
            already_at_prisjakt=already,
            already_at_prisjakt_share=already / orders if orders else None,
            ignored=ignored,
            ignored_since=ignored_since,
            ledger_complete_since=ledger_complete_since,
        )

    def _by_outcome(self) -> tuple[OrdersByOutcome, ...]:
        """Most frequent first."""
        found = [
            OrdersByOutcome(*outcome, self.outcomes[outcome], self.test_outcomes[outcome])
            for outcome in self.outcomes.keys() | self.test_outcomes.keys()
        ]
        return tuple(
            sorted(found, key=lambda o: (-o.orders, -o.test_purchases, o.outcome, o.death or ""))
        )
