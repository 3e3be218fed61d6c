"""The evaluator is held to the examples that AWS documents, so that it may judge our alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.alarms.evaluation import (
    DAY,
    HOUR,
    Alarm,
    Metric,
    Missing,
    Sample,
    State,
    alarm_of,
    speaking,
)

OK, ALARM, INSUFFICIENT = State.OK, State.ALARM, State.INSUFFICIENT_DATA
BEFORE = None  # "retain current state"

ANY = Alarm(
    name="any",
    metric=Metric("N", "M", frozenset()),
    statistic="Sum",
    period=300,
    evaluated=3,
    to_alarm=3,
    threshold=1,
    comparison="GreaterThanOrEqualToThreshold",
    missing=Missing.NOT_BREACHING,
    ignores_few=False,
    acts_on=frozenset({State.ALARM}),
)

# As in AWS' tables: the newest on the right; X breaches, 0 does not, - is missing. Then the state
# with missing, ignore, breaching and notBreaching.
THREE_OF_THREE = [
    ("0 - X - X", OK, OK, OK, OK),
    ("0 - - - -", OK, OK, OK, OK),
    ("- - - - -", INSUFFICIENT, BEFORE, ALARM, OK),
    ("0 X X - X", ALARM, ALARM, ALARM, ALARM),
    ("- - X - -", ALARM, BEFORE, ALARM, OK),
]
TWO_OF_THREE = [
    ("0 - X - X", ALARM, ALARM, ALARM, ALARM),
    ("0 0 X 0 X", ALARM, ALARM, ALARM, ALARM),
    ("0 - X - -", OK, OK, ALARM, OK),
    ("- - - - 0", OK, OK, ALARM, OK),
    ("- - - X -", ALARM, BEFORE, ALARM, OK),
]
# The text below the tables: a last breaching period is not yet an alarm.
TOO_EARLY = [("- - - - X", INSUFFICIENT, BEFORE, ALARM, OK)]


@pytest.mark.parametrize("before", list(State))
@pytest.mark.parametrize(
    ("to_alarm", "row"),
    [(3, row) for row in (*THREE_OF_THREE, *TOO_EARLY)] + [(2, row) for row in TWO_OF_THREE],
)
def test_states_are_those_of_the_documented_tables(
    to_alarm: int, row: tuple[str, State | None, State | None, State, State], before: State
) -> None:
    shown, *expected = row
    points = [{"X": True, "0": False, "-": None}[each] for each in shown.split()]

    for missing, state in zip(Missing, expected, strict=True):
        alarm = replace(ANY, to_alarm=to_alarm, missing=missing)
        assert alarm.state_of(points, before) is (before if state is BEFORE else state), missing


def at(*minutes: float, value: float = 1) -> list[Sample]:
    return [Sample(each * 60, value) for each in minutes]


def states(alarm: Alarm, samples: Sequence[Sample], *minutes: float) -> list[State]:
    return [alarm.state(samples, each * 60, OK) for each in minutes]


def test_the_window_slides_with_the_clock_and_not_with_the_period() -> None:
    """Two in five minutes, across a full five minutes of the clock; the window's end is out."""
    alarm = replace(ANY, evaluated=1, to_alarm=1, threshold=2)

    assert states(alarm, at(4, 6), 5, 6, 7, 9, 10) == [OK, OK, ALARM, ALARM, OK]


def test_two_that_are_further_apart_than_the_period_are_never_in_one_window() -> None:
    alarm = replace(ANY, evaluated=1, to_alarm=1, threshold=2, period=DAY)

    assert set(states(alarm, at(0, 24 * 60 + 1), *range(0, 48 * 60, 7))) == {OK}


def test_missing_periods_in_between_are_replaced_by_older_ones() -> None:
    """Three real periods count, if CloudWatch finds them in the five that it looks at."""
    assert states(ANY, at(1, 6, 21), 25) == [ALARM]
    assert states(ANY, at(1, 6, 26), 30) == [OK]


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("Sum", 106),
        ("Maximum", 100),
        ("Minimum", 1),
        ("Average", 26.5),
        ("SampleCount", 4),
        ("p50", 2),
        ("p75", 3),
        ("p99", 100),
    ],
)
def test_a_period_is_one_figure(statistic: str, expected: float) -> None:
    samples = [Sample(60 + n, value) for n, value in enumerate((3, 1, 100, 2))]
    alarm = replace(ANY, statistic=statistic, evaluated=1, to_alarm=1, threshold=expected)

    assert states(alarm, samples, 5) == [ALARM]
    assert states(replace(alarm, threshold=expected + 0.001), samples, 5) == [OK]


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        ("GreaterThanOrEqualToThreshold", [OK, ALARM, ALARM]),
        ("GreaterThanThreshold", [OK, OK, ALARM]),
        ("LessThanThreshold", [ALARM, OK, OK]),
        ("LessThanOrEqualToThreshold", [ALARM, ALARM, OK]),
    ],
)
def test_a_figure_is_compared_with_the_threshold(comparison: str, expected: list[State]) -> None:
    alarm = replace(ANY, evaluated=1, to_alarm=1, threshold=5, comparison=comparison)

    assert [states(alarm, at(1, value=each), 5)[0] for each in (4, 5, 6)] == expected


def test_one_slow_call_in_a_hundred_is_within_the_99th_percentile() -> None:
    alarm = replace(ANY, statistic="p99", evaluated=1, to_alarm=1, threshold=1000)
    fast = [Sample(60, 10)] * 99

    assert states(alarm, [*fast, Sample(61, 3000)], 5) == [OK]
    assert states(alarm, [*fast[:98], *[Sample(61, 3000)] * 2], 5) == [ALARM]


@pytest.mark.parametrize("before", list(State))
def test_too_few_samples_for_a_percentile_change_nothing_where_they_are_ignored(
    before: State,
) -> None:
    """A thousand for p99, as AWS has it."""
    alarm = replace(ANY, statistic="p99", evaluated=1, to_alarm=1, threshold=5, ignores_few=True)
    slow = [Sample(60, 10)]

    assert alarm.state(slow * 999, 300, before) is before
    assert alarm.state(slow * 1000, 300, before) is ALARM
    assert replace(alarm, ignores_few=False).state(slow, 300, before) is ALARM
    assert replace(alarm, statistic="p10").state(slow * 99, 300, before) is before
    assert replace(alarm, statistic="p10").state(slow * 100, 300, before) is ALARM


def test_only_a_change_of_state_acts_and_only_on_what_is_asked_for() -> None:
    """It is over by itself, when CloudWatch no longer finds the period, looking further back."""
    alarm = replace(ANY, evaluated=1, to_alarm=1)

    changes = list(alarm.changes(at(7, 8, 30), 0, HOUR))

    assert [(each.moment / 60, each.state, each.acts) for each in changes] == [
        (0, OK, False),
        (8, ALARM, True),
        (24, OK, False),
        (31, ALARM, True),
        (46, OK, False),
    ]


def test_what_looks_back_longer_than_a_day_is_evaluated_once_an_hour() -> None:
    alarm = replace(ANY, period=HOUR, evaluated=25, to_alarm=1)

    (_, first, *_) = alarm.changes(at(90.5), 0, DAY)

    assert first.moment == 2 * HOUR


def test_a_silence_is_told_once_and_only_after_there_was_something() -> None:
    silence = replace(
        ANY,
        period=HOUR,
        evaluated=48,
        to_alarm=48,
        comparison="LessThanThreshold",
        missing=Missing.MISSING,
        acts_on=frozenset({ALARM, INSUFFICIENT}),
    )

    assert list(silence.changes([], 0, 7 * DAY)) == []
    told = [each for each in silence.changes(at(90), 0, 7 * DAY) if each.acts]
    assert [each.state for each in told] == [INSUFFICIENT]
    assert 2 * DAY < told[0].moment <= 2 * DAY + 5 * HOUR


@pytest.mark.parametrize(
    "impossible",
    [
        {"period": 300, "evaluated": 289},
        {"period": HOUR, "evaluated": 169},
        {"to_alarm": 4},
        {"to_alarm": 0},
        {"comparison": "About"},
        {"statistic": "Median"},
    ],
)
def test_what_cloudwatch_would_not_take_is_refused(impossible: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="any"):
        replace(ANY, **impossible)  # type: ignore[arg-type]  # of several types


def test_an_alarm_is_read_from_its_resource() -> None:
    properties = {
        "Namespace": "AWS/Lambda",
        "MetricName": "Duration",
        "Dimensions": [{"Name": "FunctionName", "Value": "f"}],
        "ExtendedStatistic": "p99",
        "EvaluateLowSampleCountPercentile": "ignore",
        "Period": 300,
        "EvaluationPeriods": "12",
        "Threshold": 3000,
        "ComparisonOperator": "GreaterThanThreshold",
        "InsufficientDataActions": ["topic"],
        "AlarmActions": [],
    }

    alarm = alarm_of("a", properties)

    assert alarm.metric == Metric("AWS/Lambda", "Duration", frozenset({("FunctionName", "f")}))
    assert (alarm.statistic, alarm.period, alarm.evaluated, alarm.to_alarm) == ("p99", 300, 12, 12)
    assert (alarm.missing, alarm.ignores_few) == (Missing.MISSING, True)
    assert alarm.acts_on == {INSUFFICIENT}
    assert alarm_of("a", properties | {"DatapointsToAlarm": 3}).to_alarm == 3


def test_an_alarm_hears_its_own_metric_only() -> None:
    alarm = replace(ANY, evaluated=1, to_alarm=1)
    other = Metric("N", "M", frozenset({("stack", "b")}))

    assert speaking([alarm], {alarm.metric: at(7)}, 0, HOUR) == {"any"}
    assert speaking([alarm], {other: at(7)}, 0, HOUR) == set()
