"""A report's figures in words: the same tables for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from prisjakt_relay.ledger import Status
from prisjakt_relay.operations.explanations import REASONS
from prisjakt_relay.operations.finding import money, spanning
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.operations.statistics import (
    DayOfPurchases,
    OrdersByOutcome,
    Statistics,
    Step,
    Times,
)
from prisjakt_relay.outcomes import DeathReason

DAYS_IN_UTC: Final = (
    "Days are in UTC; Prisjakt's own summary cuts them at midnight in Stockholm, so the figures of "
    "single days can differ."
)

_OUTCOMES: Final = {
    Status.WAITING: "waiting",
    Status.REPORTED: "reported",
    Status.ALREADY_AT_PRISJAKT: "already at Prisjakt",
    Status.NOT_CORRECTABLE: "change not passed on",
    Status.CORRECTION_REFUSED: "change refused",
    Status.NOTHING_TO_REPORT: "nothing to report",
    Status.DEAD: "dead",
    Status.ERASED: "erased",
}
_DEATHS: Final = {
    DeathReason.REJECTED: "dead: rejected",
    DeathReason.REFUSED: "dead: refused",
    DeathReason.EXPIRED: "dead: too late",
}


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    number: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""


_OF_PURCHASES: Final = (Column("Purchases"), Column("Amount"), Column("Taken back"))


@dataclass(frozen=True, slots=True)
class Section:
    """`key` names it for what is drawn beside its tables."""

    key: str
    title: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()


def sections(statistics: Statistics) -> tuple[Section, ...]:
    """What there is to say; a section without figures is left out."""
    made = (
        _purchases(statistics),
        _outcomes(statistics),
        _times(statistics),
        _corrections(statistics),
        _ignored(statistics),
        _days(statistics),
    )
    return tuple(section for section in made if section is not None)


def headlines(statistics: Statistics) -> tuple[tuple[str, str], ...]:
    """The figures that matter most, each with what it is."""
    purchases = sum(day.purchases for day in statistics.days)
    dead = sum(each.orders for each in statistics.outcomes if each.outcome == Status.DEAD)
    share = statistics.already_at_prisjakt_share
    lines = [(count(purchases), "purchases at Prisjakt")]
    lines += [
        (f"{money(total.amount)} {total.currency}", "reported amount")
        for total in totals(statistics)
        if total.purchases
    ]
    if statistics.order_to_report.median is not None:
        lines.append((duration(statistics.order_to_report.median), "from order to report (median)"))
    lines.append((count(dead), "dead orders"))
    if share is not None:
        lines.append((percent(share), "already at Prisjakt"))
    return tuple(lines)


def coverage(statistics: Statistics) -> tuple[str, ...]:
    """What the figures cannot know."""
    if statistics.ledger_complete_since <= statistics.since:
        return ()
    return (
        "The ledger forgets an order 90 days after its last change: before "
        f"{statistics.ledger_complete_since:%Y-%m-%d} figures may be too low.",
    )


def no_orders(stack: Stack, shop: str) -> str:
    return (
        "No order with a click id of Prisjakt was made in this interval. That is normal for a shop "
        "without visitors from Prisjakt in these days; if there were some, "
        f"`{stack.command('doctor', shop)}` finds out where their orders got lost."
    )


def interval(statistics: Statistics) -> str:
    return spanning(statistics.since, statistics.until)


def totals(statistics: Statistics) -> tuple[DayOfPurchases, ...]:
    """One for each currency, over all days."""
    sums: dict[str, DayOfPurchases] = {}
    for day in statistics.days:
        so_far = sums.get(day.currency)
        sums[day.currency] = DayOfPurchases(
            day.day,
            day.currency,
            day.purchases + (so_far.purchases if so_far else 0),
            day.amount + (so_far.amount if so_far else Decimal()),
            day.taken_back + (so_far.taken_back if so_far else 0),
        )
    return tuple(sums[currency] for currency in sorted(sums))


def outcome_name(outcome: OrdersByOutcome) -> str:
    if outcome.death is not None:
        return _named(_DEATHS, outcome.death)
    return _named(_OUTCOMES, outcome.outcome)


def step_name(step: Step) -> str:
    return "longer" if step.up_to is None else f"up to {_whole(step.up_to)}"


def count(number: int) -> str:
    return f"{number:,}"


def percent(share: float) -> str:
    return f"{share:.1%}"


def duration(taken: timedelta | None) -> str:
    """`4.2 s`, `85 s`, `12 min`, `3.5 h`, `2.1 d`"""
    if taken is None:
        return "–"  # noqa: RUF001  # a dash for nothing, as in any table
    seconds = taken.total_seconds()
    for size, unit in ((86_400, "d"), (3_600, "h")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _whole(taken: timedelta) -> str:
    seconds = int(taken.total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _named(names: dict[Status, str] | dict[DeathReason, str], key: str) -> str:
    """A newer relay may have written one that is not known here."""
    return next((text for known, text in names.items() if known == key), key)


def _purchases(statistics: Statistics) -> Section | None:
    if not statistics.days:
        return None
    per_currency = Table(
        (Column("Currency", number=False), *_OF_PURCHASES, Column("Mean")),
        tuple((total.currency, *_day_cells(total), _mean(total)) for total in totals(statistics)),
    )
    notes = (
        "What Prisjakt holds. Taken back: refunded or cancelled after the report; they are no "
        "purchases, and their amount is 0.",
    )
    return Section("purchases", "Purchases", (per_currency,), notes)


def _days(statistics: Statistics) -> Section | None:
    if not statistics.days:
        return None
    tables = (
        Table(
            (Column("Day", number=False), *_OF_PURCHASES),
            tuple(
                (day.day.isoformat(), *_day_cells(day))
                for day in statistics.days
                if day.currency == total.currency
            ),
            title=f"Per day, {total.currency}",
        )
        for total in totals(statistics)
    )
    return Section("days", "Day by day", tuple(tables), (DAYS_IN_UTC,))


def _day_cells(day: DayOfPurchases) -> tuple[str, str, str]:
    return count(day.purchases), money(day.amount), count(day.taken_back)


def _mean(total: DayOfPurchases) -> str:
    return money(total.amount / total.purchases) if total.purchases else "–"  # noqa: RUF001


def _outcomes(statistics: Statistics) -> Section | None:
    if not statistics.outcomes:
        return None
    orders = statistics.orders
    rows = [
        (
            outcome_name(each),
            count(each.orders),
            percent(each.orders / orders) if orders else "–",  # noqa: RUF001
            count(each.test_purchases),
        )
        for each in statistics.outcomes
    ]
    rows.append(("all", count(orders), "", count(statistics.test_purchases)))
    columns = (
        Column("Outcome", number=False),
        Column("Orders"),
        Column("Share"),
        Column("Tests"),
    )
    return Section("outcomes", "Orders by outcome", (Table(columns, tuple(rows)),))


def _times(statistics: Statistics) -> Section | None:
    order, arrival = statistics.order_to_report, statistics.arrival_to_report
    if not order.orders:
        return None
    measures = Table(
        (
            Column("", number=False),
            Column("Orders"),
            Column("Median"),
            Column("95 % within"),
            Column("Longest"),
        ),
        (_measured("from the order", order), _measured("from its arrival here", arrival)),
    )
    steps = Table(
        (Column("Took", number=False), Column("From the order"), Column("From its arrival here")),
        tuple(
            (step_name(one), count(one.orders), count(other.orders))
            for one, other in zip(order.steps, arrival.steps, strict=True)
        ),
        title="How many orders took how long",
    )
    return Section(
        "times",
        "Time to the report",
        (measures, steps),
        (
            "From the order's creation, and from the arrival of the first delivery that was to be "
            "reported, until Prisjakt acknowledged the purchase. The first includes the buyer's "
            "time to pay.",
        ),
    )


def _measured(name: str, times: Times) -> tuple[str, ...]:
    return (
        name,
        count(times.orders),
        duration(times.median),
        duration(times.percentile_95),
        duration(times.longest),
    )


def _corrections(statistics: Statistics) -> Section | None:
    if not statistics.orders:
        return None
    found = statistics.corrections
    rows = (
        ("orders changed after the report", count(found.orders)),
        ("changes in sum", count(found.changes)),
        ("orders taken back in full", count(found.taken_back)),
    )
    table = Table((Column("", number=False), Column("Number")), rows)
    return Section("corrections", "Corrections", (table,))


def _ignored(statistics: Statistics) -> Section | None:
    if statistics.ignored_since is None:
        return None
    columns = (
        Column("Reason", number=False),
        Column("Deliveries"),
        Column("Orders"),
        Column("Meaning", number=False),
    )
    rows = tuple(
        (each.reason, count(each.deliveries), count(each.orders), _meaning(each.reason))
        for each in statistics.ignored
    )
    return Section(
        "ignored",
        "Ignored deliveries",
        (Table(columns, rows),) if rows else (),
        tuple(_ignored_notes(statistics, statistics.ignored_since)),
    )


def _ignored_notes(statistics: Statistics, since: datetime) -> Iterable[str]:
    if not statistics.ignored:
        yield "No delivery was ignored."
    else:
        yield (
            "By the time of the delivery. One order can be delivered often, and be ignored for "
            "different reasons until it is reported."
        )
    if since > statistics.since:
        yield f"The logs are kept for some time only: counted from {since:%Y-%m-%d %H:%M} UTC on."


def _meaning(reason: str) -> str:
    return next((text.meaning for known, text in REASONS.items() if known == reason), "")


def days_between(statistics: Statistics) -> Iterator[date]:
    """Every day of the interval that the ledger still knows, or from which it has a purchase."""
    day = min(statistics.days[0].day, statistics.ledger_complete_since.date())
    last = (statistics.until - timedelta(microseconds=1)).date()
    while day <= last:
        yield day
        day += timedelta(days=1)
