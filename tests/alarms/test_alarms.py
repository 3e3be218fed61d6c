"""Each trouble raises its alarms and no other, and a calm day raises none: in a running system.

The alarms are the template's own, judged by `evaluation.py` on what `watching.py` measured.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.alarms.evaluation import DAY, HOUR, Missing, State
from tests.alarms.faults import TROUBLES, Bring, Scene, Trouble, a_calm_day
from tests.alarms.watching import Watch

from prisjakt_relay.local.system import LocalSystem, sample_shops
from prisjakt_relay.operations.stack import find_local

PORT = 17_001 + os.getpid() % 580 * 3  # two runs at the same time do not meet
SILENCE = "SilenceAlarm"


@pytest.fixture(scope="module")
def running() -> Iterator[Scene]:
    with LocalSystem(port=PORT, shops=sample_shops(), time_scale=0.01) as system:
        events = system.aws.client("events")
        for rule in events.list_rules()["Rules"]:
            events.disable_rule(Name=rule["Name"])  # the reconciler runs when a test says so
        yield Scene(system, find_local(PORT), Watch(system))


@pytest.fixture
def scene(running: Scene) -> Iterator[Scene]:
    """Nothing is left of another test, nor for the next one."""
    running.watch.begin()
    yield running
    running.model.faults.clear()
    running.emptied()


def brought(scene: Scene, bring: Bring) -> None:
    """Once more if the machine was so busy that the embedded AWS did not answer a function in
    time: that is a trouble that nobody asked for, and is rightly an alarm."""
    for _ in range(3):
        scene.watch.begin()
        bring(scene)
        if not scene.watch.overloaded:
            return
    pytest.fail("this machine is too busy: the embedded AWS does not answer within a second")


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_a_trouble_raises_its_alarms_and_no_other(scene: Scene, trouble: Trouble) -> None:
    brought(scene, trouble.bring)

    assert scene.watch.raised(trouble.within) == trouble.alarms


def test_a_calm_day_raises_none(scene: Scene) -> None:
    """Orders, a test notification, guessed signatures, a cold start, one 503 of Prisjakt's, one
    lost delivery, one failed run of the reconciler."""
    brought(scene, a_calm_day)

    assert scene.watch.raised(timedelta(hours=48)) == set()


def test_every_alarm_has_a_trouble(running: Scene) -> None:
    """Whoever adds an alarm says what raises it."""
    raised = {name for trouble in TROUBLES.values() for name in trouble.alarms}

    assert raised == {alarm.name for alarm in running.watch.alarms}


def test_a_fresh_stack_says_nothing(running: Scene) -> None:
    for alarm in running.watch.alarms:
        assert not any(change.acts for change in alarm.changes([], 0, 10 * DAY)), alarm.name


def test_only_silence_is_heard_in_the_lack_of_data(running: Scene) -> None:
    """All others count what goes wrong, of which there are no data when nothing does."""
    for alarm in running.watch.alarms:
        if alarm.name == SILENCE:
            assert alarm.missing is Missing.MISSING
            assert alarm.acts_on == {State.ALARM, State.INSUFFICIENT_DATA}
            assert alarm.period == HOUR, "so that it is not days later than it says"
        else:
            assert alarm.missing is Missing.NOT_BREACHING, alarm.name
            assert alarm.acts_on == {State.ALARM}, alarm.name
