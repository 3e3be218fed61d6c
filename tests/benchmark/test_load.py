"""What a load run is held to, and what it says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.benchmark.load import Outcome
from tests.benchmark.load_figures import Answers, Comparison, answers
from tests.benchmark.load_targets import Run
from tests.benchmark.offering import Plan, Try

PLAN = Plan(rate=10, count=10, waits=())
CLEAN = Comparison((), (), (), (), right=1, unheard=0, turned_away=0)


def outcome(target: str, taken: int, comparison: Comparison = CLEAN) -> Outcome:
    statuses = [200] * taken + [503] * (PLAN.count - taken)
    tries = [Try(number, 1, status, 0.01, 0.1) for number, status in enumerate(statuses)]
    given: Answers = answers(PLAN, tries)
    run = Run(PLAN, PLAN, 1, 1, Path(), 1.0)
    return Outcome(target, run, given, comparison, (0, 0, 0), {}, 1.0, 0, 0.0, 0)


@pytest.mark.parametrize("target", ["local", "lambda"])
def test_a_run_that_took_all_is_without_fault(target: str) -> None:
    given = outcome(target, 10)

    assert given.faults == []
    assert given.summary == "all 10 were taken, and none is lost"


def test_lambda_has_to_take_every_delivery() -> None:
    assert outcome("lambda", 7).faults == ["3 deliveries were never taken"]


def test_the_local_system_says_how_many_it_never_took() -> None:
    given = outcome("local", 7)

    assert given.faults == []
    assert given.summary == ("none that was taken is lost; 3 of 10 were never taken (70.0 % were)")


@pytest.mark.parametrize("target", ["local", "lambda"])
def test_a_lost_order_is_a_fault_wherever_it_is_lost(target: str) -> None:
    given = outcome(target, 10, replace(CLEAN, lost=("7",)))

    assert given.faults == ["1 taken and lost, e.g. 7"]


def test_a_system_that_takes_nothing_has_not_passed() -> None:
    assert "no delivery was taken" in outcome("local", 0).faults
