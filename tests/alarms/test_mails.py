"""One mail for each trouble, however long it lasts: what counts is how often an alarm begins.

The alarms are the template's own. What they would hear is the sender's, in a world where four days
pass at once, or comes as often as the relay and the platforms try again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from random import Random
from typing import Final

import pytest
from tests.alarms import evaluation
from tests.alarms.deployed import WITH_ALL_ALARMS, alarms, not_deployed
from tests.alarms.evaluation import DAY, HOUR, MINUTE, Alarm, Metric, Sample, State
from tests.sender.world import START, World, conversion

from prisjakt_relay import telemetry
from prisjakt_relay.local.prisjakt_model import Fault
from prisjakt_relay.local.shopify_system import FIRST_RETRY, RETRIES
from prisjakt_relay.reconciler.hourly import OVERDUE

LASTS: Final = timedelta(days=4)
BEGAN: Final = START.timestamp()
ENDED: Final = BEGAN + LASTS.total_seconds()

ALARMS: Final[Mapping[str, Alarm]] = {
    alarm.name.removesuffix("Alarm"): alarm for alarm in alarms(*not_deployed(WITH_ALL_ALARMS))
}


@pytest.fixture(params=[0, evaluation.LOOKED_FURTHER_BACK], autouse=True)
def looked_back(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS does not promise how far; nothing here may depend on it."""
    monkeypatch.setattr(evaluation, "LOOKED_FURTHER_BACK", request.param)


def mails(alarm: Alarm, samples: list[Sample]) -> int:
    over = samples[-1].moment + 2 * DAY
    return sum(change.acts for change in alarm.changes(samples, BEGAN - HOUR, over))


def of_one_period(alarm: Alarm) -> Alarm:
    """As it would be if it did not wait for the trouble to come back."""
    return replace(alarm, evaluated=1, to_alarm=1)


# What the sender says


@dataclass(frozen=True, slots=True)
class Trouble:
    bring: Callable[[World], None]
    alarms: frozenset[str]


def _refused(world: World) -> None:
    world.model.faults.append(Fault(kind="status", status=404, times=10**6))


def _removed(world: World) -> None:
    del world.documents["alfa"]


def _unusable(world: World) -> None:
    world.documents["alfa"]["mode"] = "sometimes"


def _unanswered(world: World) -> None:
    world.secrets_away = True


def _away(world: World) -> None:
    world.model.faults.append(Fault(kind="status", status=503, times=10**6))


TROUBLES: Final = {
    "an order that Prisjakt refuses": Trouble(_refused, frozenset({"SetUpFaults", "WaitingAge"})),
    "a shop that was removed": Trouble(_removed, frozenset({"SetUpFaults", "WaitingAge"})),
    "a document that cannot be used": Trouble(
        _unusable, frozenset({"ShopDocumentFaults", "WaitingAge"})
    ),
    "a document that cannot be read": Trouble(
        _unanswered, frozenset({"ShopDocumentFaults", "WaitingAge"})
    ),
    "Prisjakt that is away": Trouble(_away, frozenset({"WaitingAge"})),
}


def four_days(world: World, random: Random) -> None:
    """Of an order that waits, and of the few that come meanwhile; two thirds of a day each."""
    world.ports = replace(world.ports, random=random.random)
    for number in range(6):
        came = START + number * timedelta(hours=16)
        one = conversion(order_id=str(number + 1), event_time=came, received_at=came)
        world.queue.add(one.to_message(), after=(came - START).total_seconds())
    while (
        soonest := min(each.visible_at for each in world.queue.waiting.values())
    ) < START + LASTS:
        world.clock.now = max(world.clock.now, soonest)
        world.round()


class Told(World):
    """Remembers when each line was written."""

    def __init__(self) -> None:
        self.told: list[tuple[float, str, float | None]] = []
        super().__init__()

    def _emit(self, event: str, *, age: float | None = None, **fields: object) -> None:
        self.told.append((self.clock().timestamp(), event, age))
        super()._emit(event, age=age, **fields)


def heard(world: Told) -> Mapping[str, list[Sample]]:
    """The relay's own metrics, by their names; each line's moment is that of its round."""
    samples: defaultdict[str, list[Sample]] = defaultdict(list)
    for moment, event, age in world.told:
        if name := telemetry.METRICS.get(event):
            samples[name].append(Sample(moment, 1))
        if age is not None:
            samples[telemetry.WAITING_AGE].append(Sample(moment, age))
    return samples


@cache
def four_days_of(trouble: str, seed: int) -> Mapping[str, list[Sample]]:
    world = Told()
    TROUBLES[trouble].bring(world)
    four_days(world, Random(seed))  # noqa: S311  # no secret
    return heard(world)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("trouble", TROUBLES)
def test_four_days_of_a_trouble_are_one_mail_of_each_alarm(trouble: str, seed: int) -> None:
    samples = four_days_of(trouble, seed)

    told = {
        name: mails(alarm, samples[alarm.metric.name])
        for name, alarm in ALARMS.items()
        if alarm.metric.namespace == telemetry.NAMESPACE and alarm.metric.name in samples
    }
    assert {name: number for name, number in told.items() if number} == dict.fromkeys(
        TROUBLES[trouble].alarms, 1
    )


def test_it_is_the_periods_that_make_it_one() -> None:
    samples = four_days_of("an order that Prisjakt refuses", 1)["SetUpFaults"]

    assert mails(of_one_period(ALARMS["SetUpFaults"]), samples) > 10


# What comes as often as others try again


def every(seconds: float) -> list[Sample]:
    number = int((ENDED - BEGAN) / seconds)
    return [Sample(BEGAN + HOUR + n * seconds, 1) for n in range(number)]


def crashing(seconds: float) -> list[Sample]:
    """After the last crash the function works: AWS counts no error then, which is a figure too."""
    return [*every(seconds), *(Sample(ENDED + n * HOUR, 0) for n in range(1, 48))]


def sent_again_by_shopify() -> list[Sample]:
    """One order, as often as Shopify sends what is not taken."""
    return [Sample(BEGAN + HOUR + FIRST_RETRY * (2**n - 1), 1) for n in range(RETRIES + 1)]


TURN: Final = OVERDUE.total_seconds() + HOUR  # a shop's, among so many that they take turns
RETURNING: Final[Mapping[str, list[Sample]]] = {
    "ReceiverErrors": sent_again_by_shopify(),
    "Unreadable": every(20 * HOUR),
    "BrokenWebhooks": every(TURN),
    "Mismatches": every(20 * HOUR),
    "ReconcileGaps": every(TURN),
}
# These count by themselves, within what is longer than from one time to the next.
ANYWAY: Final[Mapping[str, list[Sample]]] = {
    "SenderErrors": crashing(7 * MINUTE),
    "ReconcileFaults": every(HOUR + 40),
    "ReconcilerErrors": crashing(HOUR + 40),
}


@pytest.mark.parametrize("name", RETURNING)
def test_what_comes_back_is_told_once(name: str) -> None:
    alarm, samples = ALARMS[name], RETURNING[name]

    assert mails(alarm, samples) == 1
    assert mails(of_one_period(alarm), samples) != 1


@pytest.mark.parametrize("name", ANYWAY)
def test_what_comes_back_soon_is_told_once_anyway(name: str) -> None:
    assert mails(ALARMS[name], ANYWAY[name]) == 1


@pytest.mark.parametrize("name", RETURNING)
def test_a_second_trouble_after_the_first_is_over_is_told_again(name: str) -> None:
    first = RETURNING[name]
    second = [Sample(each.moment + 3 * DAY + ENDED - BEGAN, each.value) for each in first]

    assert mails(ALARMS[name], [*first, *second]) == 2


def test_a_sender_that_nobody_calls_is_told_once_and_after_three_hours() -> None:
    """The queue's own metric comes every minute, for as long as there is something in it."""
    alarm = ALARMS["SenderIdle"]
    samples = [Sample(BEGAN + n * MINUTE, 2) for n in range(LASTS // timedelta(minutes=1))]

    changes = alarm.changes(samples, BEGAN - HOUR, ENDED + DAY)
    (begun,) = [each for each in changes if each.acts]

    assert begun.state is State.ALARM
    assert BEGAN + 2 * HOUR < begun.moment <= BEGAN + 3 * HOUR + MINUTE


def test_a_sender_that_has_taken_all_once_in_an_hour_is_none_that_nobody_calls() -> None:
    alarm = ALARMS["SenderIdle"]
    samples = [
        Sample(BEGAN + n * MINUTE, 0 if n % 50 == 0 else 100)
        for n in range(LASTS // timedelta(minutes=1))
    ]

    assert mails(alarm, samples) == 0


def test_the_metrics_of_the_two_queues_are_two() -> None:
    def queue(metric: Metric) -> tuple[str, str]:
        ((_, name),) = metric.dimensions
        return metric.name, name

    assert queue(ALARMS["SenderIdle"].metric) != queue(ALARMS["DeadLetters"].metric)
