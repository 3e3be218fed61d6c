"""How CloudWatch decides about an alarm, as far as its documentation tells.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html,
…/alarm-evaluation-window.html, …/alarms-and-missing-data.html, …/percentiles-with-low-samples.html
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
# How many periods more than it evaluates CloudWatch looks at, so that some may be missing. AWS
# says that it depends on the period, and how many it is in its examples: as many as here.
LOOKED_FURTHER_BACK: Final = 2

_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_STATISTICS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "Average": lambda values: sum(values) / len(values),
    "Maximum": max,
    "Minimum": min,
    "SampleCount": len,
    "Sum": sum,
}


class State(StrEnum):
    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class Missing(StrEnum):
    """What a period without data counts as."""

    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


@dataclass(frozen=True, slots=True)
class Metric:
    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True, order=True)
class Sample:
    """A value that was measured; `moment` is in seconds since 1970."""

    moment: float
    value: float


Samples = Mapping[Metric, Sequence[Sample]]


@dataclass(frozen=True, slots=True)
class Change:
    """An alarm that went into another state, and whether that does anything."""

    moment: float
    state: State
    acts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """`evaluated` periods are looked at; as many as `to_alarm` of them make the alarm."""

    name: str
    metric: Metric
    statistic: str
    period: int
    evaluated: int
    to_alarm: int
    threshold: float
    comparison: str
    missing: Missing
    ignores_few: bool
    acts_on: frozenset[State]

    def __post_init__(self) -> None:
        """Raises `ValueError` for what CloudWatch would not take."""
        longest = 7 * DAY if self.period >= HOUR else DAY
        if self.period * self.evaluated > longest:
            raise ValueError(f"{self.name} looks back further than CloudWatch does")
        if not 1 <= self.to_alarm <= self.evaluated:
            raise ValueError(f"{self.name} wants more periods than it evaluates")
        if self.comparison not in _COMPARISONS or (
            self.statistic not in _STATISTICS and _percentile(self.statistic) is None
        ):
            raise ValueError(f"{self.name} compares or counts in a way that is not known here")

    @property
    def every(self) -> int:
        """Seconds from one evaluation to the next; longer than a day, it is hourly."""
        return HOUR if self.period * self.evaluated > DAY else MINUTE

    def state(self, samples: Sequence[Sample], at: float, before: State) -> State:
        """The state at a moment, of samples in the order of time."""
        points = self._points(samples, at)
        few = self.ignores_few and self._has_few(samples, at)
        return before if few else self.state_of(points, before)

    def _points(self, samples: Sequence[Sample], at: float) -> list[bool | None]:
        """Whether each period breaches, the oldest first; None where there are no data.

        The window slides: its periods end at the moment of the evaluation, and not on the clock.
        """
        ends = [at - n * self.period for n in range(self.evaluated + LOOKED_FURTHER_BACK + 1)]
        borders = [bisect_left(samples, Sample(end, -math.inf)) for end in reversed(ends)]
        return [
            self._breaches([each.value for each in samples[first:last]]) if last > first else None
            for first, last in pairwise(borders)
        ]

    def _breaches(self, values: Sequence[float]) -> bool:
        part = _percentile(self.statistic)
        if part is None:
            value = _STATISTICS[self.statistic](values)
        else:
            value = sorted(values)[math.ceil(part * len(values)) - 1]
        return _COMPARISONS[self.comparison](value, self.threshold)

    def _has_few(self, samples: Sequence[Sample], at: float) -> bool:
        part = _percentile(self.statistic)
        if part is None:
            return False
        since = at - self.evaluated * self.period
        number = sum(1 for each in samples if since <= each.moment < at)
        return number < 10 / (1 - part if part >= 0.5 else part) - 1e-9

    def state_of(self, points: Sequence[bool | None], before: State) -> State:
        """What the periods that were looked at come to: AWS' two tables, and its text about them.

        Periods without data are filled in only if there are too few others, even from further back.
        """
        real = [point for point in points if point is not None]
        breaching = sum(real[-self.evaluated :])
        filled = self.evaluated - len(real)
        if filled > 0 and self.missing is Missing.BREACHING:
            breaching += filled
        if breaching >= self.to_alarm:
            return State.ALARM
        if filled <= 0 or self.missing in (Missing.BREACHING, Missing.NOT_BREACHING):
            return State.OK
        if not all(real):
            return State.OK
        if self.missing is Missing.IGNORE:
            return before
        oldest = max((age for age, point in enumerate(reversed(points), 1) if point), default=0)
        return State.ALARM if oldest >= self.to_alarm else State.INSUFFICIENT_DATA

    def changes(self, samples: Sequence[Sample], since: float, until: float) -> Iterator[Change]:
        """Every change of a new alarm's state between two moments."""
        ordered = sorted(samples)
        state = State.INSUFFICIENT_DATA
        moment = math.ceil(since / self.every) * self.every
        while moment <= until:
            new = self.state(ordered, moment, state)
            if new is not state:
                yield Change(moment, new, new in self.acts_on)
                state = new
            moment += self.every


def speaking(alarms: Sequence[Alarm], samples: Samples, since: float, until: float) -> set[str]:
    """The names of the alarms that tell somebody something between two moments."""
    return {
        alarm.name
        for alarm in alarms
        for change in alarm.changes(samples.get(alarm.metric, ()), since, until)
        if change.acts
    }


def alarm_of(name: str, properties: Mapping[str, Any]) -> Alarm:
    """The alarm of a template's resource, whose references are resolved."""
    evaluated = int(properties["EvaluationPeriods"])
    acting = {
        State.ALARM: "AlarmActions",
        State.OK: "OKActions",
        State.INSUFFICIENT_DATA: "InsufficientDataActions",
    }
    return Alarm(
        name=name,
        metric=Metric(
            properties["Namespace"],
            properties["MetricName"],
            frozenset((each["Name"], each["Value"]) for each in properties["Dimensions"]),
        ),
        statistic=properties.get("ExtendedStatistic") or properties["Statistic"],
        period=int(properties["Period"]),
        evaluated=evaluated,
        to_alarm=int(properties.get("DatapointsToAlarm", evaluated)),
        threshold=float(properties["Threshold"]),
        comparison=properties["ComparisonOperator"],
        missing=Missing(properties.get("TreatMissingData", "missing")),
        ignores_few=properties.get("EvaluateLowSampleCountPercentile") == "ignore",
        acts_on=frozenset(state for state, field in acting.items() if properties.get(field)),
    )


def _percentile(statistic: str) -> float | None:
    """0.99 of `p99`."""
    digits = statistic.removeprefix("p")
    if digits == statistic or not digits.replace(".", "", 1).isdigit():
        return None
    return float(digits) / 100
