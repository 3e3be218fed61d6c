"""What a load run came to: how it was answered, and whether anything was lost or came twice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from tests.benchmark.load_orders import amount, carries, order_id
from tests.benchmark.offering import ACCEPTED, BROKEN, TIMED_OUT, TURNED_AWAY, Plan, Try

REFUSALS: Final = (429, 503)


def percentile(values: Iterable[float], share: float) -> float:
    """The least value that at least this share of all does not exceed; nan for none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


@dataclass(frozen=True)
class Answers:
    """Deliveries and their tries; times are milliseconds from when the first try was due.

    An unanswered first try counts as endless, so that it cannot make the others look quick.
    """

    offered: int
    at_first_try: int
    accepted: int
    given_up: int
    refused: int
    other_answers: int
    timed_out: int
    turned_away: int
    broken: int
    tries_again: int
    offered_per_second: float
    accepted_per_second: float
    p50: float
    p99: float
    longest: float

    @property
    def share_taken(self) -> float:
        return self.accepted / (self.accepted + self.given_up)


def answers(plan: Plan, tries: Sequence[Try]) -> Answers:
    firsts = [each for each in tries if each.attempt == 1]
    accepted = {each.number for each in tries if each.status == ACCEPTED}
    statuses = Counter(each.status for each in tries)
    times = [each.seconds * 1e3 if each.status > 0 else math.inf for each in firsts]
    in_window = sum(each.status == ACCEPTED and each.at <= plan.seconds for each in tries)
    told = {ACCEPTED, *REFUSALS, TIMED_OUT, TURNED_AWAY, BROKEN}
    return Answers(
        offered=len(firsts),
        at_first_try=sum(each.status == ACCEPTED for each in firsts),
        accepted=len(accepted),
        given_up=plan.count - len(accepted),
        refused=sum(statuses[status] for status in REFUSALS),
        other_answers=sum(count for status, count in statuses.items() if status not in told),
        timed_out=statuses[TIMED_OUT],
        turned_away=statuses[TURNED_AWAY],
        broken=statuses[BROKEN],
        tries_again=len(tries) - len(firsts),
        offered_per_second=len(firsts) / plan.seconds,
        accepted_per_second=in_window / plan.seconds,
        p50=percentile(times, 0.5),
        p99=percentile(times, 0.99),
        longest=max(times, default=math.nan),
    )


@dataclass(frozen=True)
class AtPrisjakt:
    """One event as Prisjakt has it, and how often it was reported there."""

    external_id: str
    amount: Decimal
    reports: int = 1


@dataclass(frozen=True)
class Comparison:
    """Orders by what became of them; the first four must be empty.

    `twice` were reported more than once, whether or not Prisjakt's key kept them from being there
    twice. `unheard` came to Prisjakt though the shop never heard that they were taken: it had
    given up waiting. `turned_away` were never taken, and are not there.
    """

    lost: tuple[str, ...]
    twice: tuple[str, ...]
    wrong_amount: tuple[str, ...]
    strange: tuple[str, ...]
    right: int
    unheard: int
    turned_away: int

    @property
    def wrong(self) -> dict[str, tuple[str, ...]]:
        """The four that must be empty, in words."""
        return {
            "taken and lost": self.lost,
            "reported twice": self.twice,
            "there with another amount": self.wrong_amount,
            "there, but sent by nobody": self.strange,
        }

    @property
    def faults(self) -> list[str]:
        return [
            f"{len(orders):,} {what}, e.g. {orders[0]}"
            for what, orders in self.wrong.items()
            if orders
        ]


def compare(
    numbers: Iterable[int], accepted: frozenset[int], events: Iterable[AtPrisjakt]
) -> Comparison:
    """What was offered and what was taken, beside what Prisjakt has."""
    there: dict[str, list[Decimal]] = {}
    reports: Counter[str] = Counter()
    for event in events:
        there.setdefault(event.external_id, []).append(event.amount)
        reports[event.external_id] += event.reports
    due = {order_id(number): number for number in numbers if carries(number)}
    taken = {name for name, number in due.items() if number in accepted}
    return Comparison(
        lost=tuple(sorted(taken - there.keys())),
        twice=tuple(sorted(name for name, count in reports.items() if count > 1)),
        wrong_amount=tuple(sorted(_differing(due, there))),
        strange=tuple(sorted(there.keys() - due.keys())),
        right=sum(there.get(name) == [amount(due[name])] and reports[name] == 1 for name in taken),
        unheard=len((due.keys() - taken) & there.keys()),
        turned_away=len(due.keys() - taken - there.keys()),
    )


def _differing(due: Mapping[str, int], there: Mapping[str, Sequence[Decimal]]) -> Iterable[str]:
    for name, number in due.items():
        if any(each != amount(number) for each in there.get(name, ())):
            yield name
