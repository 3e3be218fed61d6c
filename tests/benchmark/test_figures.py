"""A figure is held to its target, and what falls short is found."""

from __future__ import annotations

import pytest
from tests.benchmark.figures import Figure, missed, number, target, told


def figure(
    ours: float,
    *,
    yardstick: float | None = None,
    most: float | None = None,
    most_ratio: float | None = None,
) -> Figure:
    return Figure("f", ours, "ms", yardstick=yardstick, target=most, target_ratio=most_ratio)


@pytest.mark.parametrize(
    ("given", "met"),
    [
        (figure(1), None),
        (figure(1, yardstick=2), None),
        (figure(2, most=2), True),
        (figure(2.01, most=2), False),
        (figure(1, yardstick=2, most_ratio=0.5), True),
        (figure(1.1, yardstick=2, most_ratio=0.5), False),
        (figure(1, yardstick=2, most=0.9, most_ratio=0.5), False),
        (figure(1, yardstick=1.5, most=1, most_ratio=0.5), False),
    ],
)
def test_a_figure_meets_what_it_is_held_to(given: Figure, met: bool | None) -> None:
    assert given.met is met
    assert missed([given]) == ([given] if met is False else [])


def test_a_ratio_without_a_yardstick_is_not_met() -> None:
    """A yardstick that could not be measured must not let anything pass."""
    assert figure(1, most_ratio=100).met is False


def test_the_value_is_the_ratio_where_the_target_is_one() -> None:
    assert figure(1, yardstick=4, most_ratio=0.5).value == 0.25
    assert figure(1, yardstick=4, most=2).value == 1


def test_a_figure_is_told_in_one_line() -> None:
    given = Figure("start", 20, "ms", yardstick=40, yardstick_name="textbook", target_ratio=0.4)

    assert told(given) == "start: 20 ms, 0.50 of textbook; ratio ≤ 0.40"


def test_a_target_is_told_in_words() -> None:
    assert target(figure(1, most=1500)) == "≤ 1,500 ms"
    assert target(figure(1, most=2.5, most_ratio=0.5)) == "≤ 2.50 ms, ratio ≤ 0.50"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.5, "1,234"), (750, "750"), (12.34, "12.3"), (1.234, "1.23"), (0.004, "0.004")],
)
def test_a_number_has_the_digits_that_mean_something(value: float, text: str) -> None:
    assert number(value) == text
