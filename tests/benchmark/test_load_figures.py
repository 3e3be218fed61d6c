"""What a load run says of itself: no loss goes unseen, and no time looks better than it was."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from tests.benchmark.load_figures import AtPrisjakt, Comparison, answers, compare, percentile
from tests.benchmark.load_orders import amount, carries, order_id
from tests.benchmark.offering import BROKEN, TIMED_OUT, TURNED_AWAY, Plan, Try

NUMBERS = range(100)
CARRYING = [number for number in NUMBERS if carries(number)]


def _event(number: int) -> AtPrisjakt:
    return AtPrisjakt(order_id(number), amount(number))


def _compared(events: list[AtPrisjakt], accepted: frozenset[int] | None = None) -> Comparison:
    return compare(NUMBERS, frozenset(NUMBERS) if accepted is None else accepted, events)


EVENTS = [_event(number) for number in CARRYING]


def test_a_run_in_which_all_came_once_is_clean() -> None:
    found = _compared(EVENTS)

    assert found.faults == []
    assert found.right == len(CARRYING) == 10


def test_an_order_that_was_taken_and_is_not_at_prisjakt_is_lost() -> None:
    found = _compared(EVENTS[1:])

    assert found.lost == (EVENTS[0].external_id,)
    assert found.faults


def test_an_order_that_is_at_prisjakt_twice_is_named() -> None:
    found = _compared([*EVENTS, EVENTS[3]])

    assert found.twice == (EVENTS[3].external_id,)
    assert found.right == 9
    assert found.faults


def test_an_order_that_nobody_heard_of_must_not_be_there_twice_either() -> None:
    found = _compared([*EVENTS, EVENTS[3]], frozenset(NUMBERS) - {CARRYING[3]})

    assert found.twice == (EVENTS[3].external_id,)
    assert found.faults


def test_an_order_that_prisjakts_key_kept_from_being_there_twice_is_named_too() -> None:
    found = _compared([*EVENTS[:3], replace(EVENTS[3], reports=2), *EVENTS[4:]])

    assert found.twice == (EVENTS[3].external_id,)
    assert found.right == 9
    assert found.faults == [f"1 reported twice, e.g. {EVENTS[3].external_id}"]


def test_another_amount_is_named() -> None:
    changed = replace(EVENTS[2], amount=EVENTS[2].amount + Decimal("0.01"))

    found = _compared([*EVENTS[:2], changed, *EVENTS[3:]])

    assert found.wrong_amount == (changed.external_id,)
    assert found.faults


@pytest.mark.parametrize("name", [order_id(1), "1234"], ids=["no click id", "never sent"])
def test_an_event_that_nobody_sent_is_named(name: str) -> None:
    found = _compared([*EVENTS, AtPrisjakt(name, Decimal(1))])

    assert found.strange == (name,)
    assert found.faults


def test_what_was_never_taken_may_be_there_or_not() -> None:
    """The shop gave up waiting; whether the relay went on is not known to it."""
    found = _compared(EVENTS[:-1], frozenset(NUMBERS) - {CARRYING[-1], CARRYING[0]})

    assert found.faults == []
    assert (found.right, found.unheard, found.turned_away) == (8, 1, 1)


def test_amounts_differ_from_order_to_order() -> None:
    """Else a mixed-up one would not show."""
    assert len({amount(number) for number in range(60_000)}) == 60_000
    assert {len(str(amount(number))) for number in range(60_000)} == {7}


@pytest.mark.parametrize(
    ("share", "value"), [(0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100), (0.0, 1)]
)
def test_a_percentile_is_a_value_that_was_measured(share: float, value: int) -> None:
    assert percentile(range(100, 0, -1), share) == value


def test_of_nothing_there_is_no_percentile() -> None:
    assert math.isnan(percentile([], 0.5))


def _tries(statuses: list[int]) -> list[Try]:
    return [
        Try(number, 1, status, number / 1000, number / 10)
        for number, status in enumerate(statuses, start=1)
    ]


def test_answers_are_counted_by_what_became_of_the_tries() -> None:
    plan = Plan(rate=10, count=8, first=1)
    firsts = _tries([200, 200, 429, 503, 502, TIMED_OUT, TURNED_AWAY, BROKEN])
    again = [Try(3, 2, 200, 0.001, 10.0), Try(4, 2, 503, 0.001, 10.0)]

    given = answers(plan, [*firsts, *again])

    assert (given.offered, given.at_first_try, given.accepted, given.given_up) == (8, 2, 3, 5)
    assert (given.refused, given.other_answers) == (3, 1)
    assert (given.timed_out, given.turned_away, given.broken) == (1, 1, 1)
    assert given.tries_again == 2


def test_a_delivery_that_was_not_answered_makes_the_percentile_endless() -> None:
    """Leaving it out would make a system quicker by the deliveries that it drops."""
    plan = Plan(rate=10, count=100, first=1)

    given = answers(plan, _tries([200] * 98 + [TIMED_OUT, TURNED_AWAY]))

    assert given.p50 == pytest.approx(50)
    assert given.p99 == math.inf
    assert given.longest == math.inf


def test_the_rate_is_of_what_was_taken_while_they_came() -> None:
    plan = Plan(rate=10, count=100, first=1)
    tries = [*_tries([200] * 50 + [503] * 50), Try(51, 2, 200, 0.1, 10.5)]

    given = answers(plan, tries)

    assert given.accepted == 51
    assert given.accepted_per_second == pytest.approx(5)


def test_what_was_never_tried_is_given_up() -> None:
    """A generator that ends early does not hide what it did not send."""
    given = answers(Plan(rate=10, count=10, first=1), _tries([200] * 4))

    assert (given.offered, given.given_up) == (4, 6)
    assert given.share_taken == pytest.approx(0.4)
