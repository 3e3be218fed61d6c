"""The day of many shops, with few: the trouble of some stays their own, and is found if not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.benchmark import many_shops
from tests.benchmark.many_shops import (
    NAMES,
    TROUBLES,
    Day,
    FairQueue,
    Memory,
    Report,
    day,
    memory,
    table,
)
from tests.benchmark.output import new_console
from tests.simulation.fibres import START
from tests.simulation.sqs import Waiting

SHOPS = len(TROUBLES) + 6


@pytest.fixture(scope="module", autouse=True)
def smaller() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(many_shops, "FLOOD", 150)
        patch.setattr(many_shops, "BACKLOG", 60)
        patch.setattr(many_shops, "ORDERS", 4)
        yield


@pytest.fixture(scope="module")
def quiet() -> Day:
    return day(SHOPS, troubled=False)


@pytest.fixture(scope="module")
def troubled() -> Day:
    return day(SHOPS, troubled=True)


def test_the_trouble_of_ten_shops_stays_their_own(quiet: Day, troubled: Day) -> None:
    for each in (quiet, troubled):
        assert (each.others, each.unreported, each.violations) == (6, 0, ())
        assert each.runs_until_all == 1
    assert troubled.p99 < quiet.p99 + many_shops.ALLOWED
    assert troubled.requests_per_hour > quiet.requests_per_hour


def report_of(quiet: Day, troubled: Day, **changes: Any) -> Report:
    one = Memory(function="sender", started=40.0, full=40.5, reads_at_start=0)
    given: dict[str, Any] = {
        "shops": SHOPS,
        "quiet": quiet,
        "troubled": troubled,
        "memory": (one,),
        "secrets_month": 6.4,
        "reads_month": 0.1,
        "most_reads_month": 3.5,
    }
    return Report(**given | changes)


def test_what_is_not_as_it_should_be_is_a_fault(quiet: Day, troubled: Day) -> None:
    assert report_of(quiet, quiet).faults == []
    for wrong in (
        {"unreported": 1},
        {"violations": ("reported twice",)},
        {"p99": quiet.p99 + 60},
        {"runs_until_all": 9},
    ):
        assert report_of(quiet, replace(quiet, **cast("dict[str, Any]", wrong))).faults, wrong
    heavy = Memory(function="sender", started=40.0, full=90.0, reads_at_start=3)
    assert len(report_of(quiet, troubled, memory=(heavy,)).faults) == 2


def test_the_table_shows_both_days(quiet: Day, troubled: Day) -> None:
    console = new_console()
    with console.capture() as shown:
        console.print(table(report_of(quiet, troubled)))

    assert "time to report, 99 of 100" in shown.get()
    assert "secrets, a month" in shown.get()


@pytest.mark.parametrize("function", ["receiver", "sender"])
def test_documents_take_little_memory_and_none_is_read_at_the_start(function: str) -> None:
    measured = memory(function, 50)

    assert measured.reads_at_start == 0
    assert measured.full - measured.started < 10


def test_each_trouble_has_a_name_of_its_own() -> None:
    assert len(NAMES) == len(set(NAMES)) == 10


def test_a_fair_queue_hands_over_quiet_shops_first() -> None:
    """30 messages in flight, and a tenth of all: then the others come first."""
    invoked: list[list[str]] = []
    world = SimpleNamespace(
        time=SimpleNamespace(now=START, after=lambda *_: None, at=lambda *_: None),
        setting=SimpleNamespace(
            event_sources=[SimpleNamespace(senders=1, batch=3, window=0.0)],
            doubles=0.0,
            first_receives=0,
        ),
        random=SimpleNamespace(random=lambda: 0.5),
        invoke=lambda messages: invoked.append([message.id for message in messages]),
        strikes=lambda _: False,
    )
    queue = FairQueue(cast("Any", world))
    shops = Counter({"loud": 33, "quiet": 2})
    for shop, number in shops.items():
        for each in range(number):
            message = Waiting(f"{shop}-{each}", f'{{"shop":"{shop}"}}', START, START)
            if shop == "loud" and each < 30:
                message.receives, message.visible_at = 1, START + timedelta(minutes=6)
            queue.waiting[message.id] = message

    queue.poll()

    assert invoked == [["quiet-0", "quiet-1", "loud-30"]]
