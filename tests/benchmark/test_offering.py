"""Deliveries come by schedule whatever becomes of them, and a shop's patience has an end."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from tests.benchmark.offering import BROKEN, TIMED_OUT, TURNED_AWAY, Offering, Plan, Try


@dataclass
class Hands:
    """A clock that is set by hand, and slots that do nothing by themselves."""

    now: float = 1000.0

    def clock(self) -> float:
        return self.now

    def offering(self, plan: Plan) -> Offering:
        offering = Offering(plan, self.clock)
        offering.start()
        return offering


@dataclass(eq=False)
class Process:
    """A slot."""

    begun: list[int] = field(default_factory=list)
    abandoned: int = 0

    def begin(self, number: int) -> None:
        self.begun.append(number)

    def abandon(self) -> None:
        self.abandoned += 1


@pytest.fixture
def hands() -> Hands:
    return Hands()


def _rounded(tries: list[Try]) -> list[Try]:
    return [each._replace(seconds=round(each.seconds, 6), at=round(each.at, 6)) for each in tries]


def test_a_delivery_is_due_by_its_place_in_the_schedule(hands: Hands) -> None:
    """Not by when the one before it was answered."""
    offering, slots = hands.offering(Plan(rate=10, count=4, first=7)), [Process() for _ in "1234"]
    for slot in slots:
        offering.admit(slot)

    hands.now += 0.25
    wait = offering.arrive()

    assert sorted(number for slot in slots for number in slot.begun) == [7, 8, 9]
    assert wait == pytest.approx(0.05)
    assert offering.lags == pytest.approx([0.25, 0.15, 0.05])


def test_time_counts_from_when_a_delivery_was_due_and_not_from_when_it_was_sent(
    hands: Hands,
) -> None:
    """A generator that is late, or has nobody to send to, does not make the answers look quick."""
    offering, slot = hands.offering(Plan(rate=10, count=2)), Process()
    hands.now += 0.3
    offering.arrive()
    hands.now += 1.0
    offering.admit(slot)
    hands.now += 0.2

    offering.answered(slot, 200)

    assert _rounded(offering.tries) == [Try(0, 1, 200, 1.5, 1.5)]


def test_what_waited_longest_goes_first(hands: Hands) -> None:
    offering, slot = hands.offering(Plan(rate=100, count=3)), Process()
    hands.now += 1
    offering.arrive()

    for _ in range(3):
        offering.admit(slot)
        offering.answered(slot, 200)

    assert slot.begun == [0, 1, 2]
    assert offering.undecided == 0


def test_more_than_the_bound_is_turned_away_at_once(hands: Hands) -> None:
    offering = hands.offering(Plan(rate=100, count=5, in_hand=3, waits=()))
    offering.admit(Process())
    hands.now += 1

    offering.arrive()

    assert offering.in_hand == 3
    assert [(each.number, each.status) for each in offering.tries] == [
        (3, TURNED_AWAY),
        (4, TURNED_AWAY),
    ]


def test_a_shop_gives_up_after_five_seconds_whether_the_delivery_was_sent_or_waits(
    hands: Hands,
) -> None:
    offering, slot = hands.offering(Plan(rate=1, count=3, waits=())), Process()
    offering.admit(slot)
    hands.now += 2.0
    offering.arrive()

    hands.now += 4.0
    offering.expire()

    assert [(each.number, each.status) for each in offering.tries] == [
        (0, TIMED_OUT),
        (1, TIMED_OUT),
    ]
    assert slot.abandoned == 1
    assert offering.in_hand == 1


def test_an_answer_that_nobody_waits_for_any_more_does_not_count(hands: Hands) -> None:
    offering, slot = hands.offering(Plan(rate=1, count=1, waits=())), Process()
    offering.admit(slot)
    offering.arrive()
    hands.now += 5.0
    offering.expire()

    offering.answered(slot, 200)

    assert [each.status for each in offering.tries] == [TIMED_OUT]
    assert offering.undecided == 0


def test_what_was_not_taken_comes_again_after_each_wait_and_then_no_more(hands: Hands) -> None:
    offering, slot = hands.offering(Plan(rate=1, count=1, waits=(10.0, 30.0))), Process()
    for elapsed in (0.0, 10.0, 30.0):
        offering.admit(slot)
        hands.now += elapsed - 0.01
        offering.arrive()
        assert not elapsed or offering.in_hand == 0
        hands.now += 0.01
        offering.arrive()
        offering.answered(slot, 503)

    hands.now += 3600
    offering.arrive()

    assert [(each.attempt, each.status) for each in offering.tries] == [
        (1, 503),
        (2, 503),
        (3, 503),
    ]
    assert offering.undecided == 0


def test_a_second_try_has_its_own_time(hands: Hands) -> None:
    """It counts from when it was due, or the wait before it would be held against the system."""
    offering, slot = hands.offering(Plan(rate=1, count=1, waits=(10.0,))), Process()
    offering.admit(slot)
    offering.arrive()
    offering.answered(slot, 503)
    offering.admit(slot)
    hands.now += 10.5
    offering.arrive()
    hands.now += 0.25

    offering.answered(slot, 200)

    assert _rounded(offering.tries)[1] == Try(0, 2, 200, 0.75, 10.75)


def test_what_was_taken_does_not_come_again(hands: Hands) -> None:
    offering, slot = hands.offering(Plan(rate=1, count=1)), Process()
    offering.admit(slot)
    offering.arrive()
    offering.answered(slot, 200)

    hands.now += 3600
    offering.arrive()

    assert slot.begun == [0]


def test_a_connection_that_ends_takes_its_delivery_with_it(hands: Hands) -> None:
    offering, slot, idle = hands.offering(Plan(rate=10, count=2, waits=())), Process(), Process()
    offering.admit(slot)
    offering.arrive()
    offering.admit(idle)

    offering.withdraw(slot)
    offering.withdraw(idle)
    hands.now += 0.1
    offering.arrive()

    assert [each.status for each in offering.tries] == [BROKEN]
    assert idle.begun == []


def test_the_slots_of_the_warm_up_go_on(hands: Hands) -> None:
    first, slot = hands.offering(Plan(rate=1, count=1)), Process()
    first.admit(slot)
    first.arrive()
    first.answered(slot, 200)
    first.admit(slot)

    second = Offering(Plan(rate=1, count=1, first=1), hands.clock)
    second.start()
    second.take_over(first)
    second.arrive()

    assert slot.begun == [0, 1]


@pytest.mark.parametrize(("tries", "waits"), [(1, ()), (2, (10.0,)), (3, (10.0, 30.0))])
def test_the_number_of_tries_bounds_the_waits(tries: int, waits: tuple[float, ...]) -> None:
    assert Plan.waits_of(tries) == waits
