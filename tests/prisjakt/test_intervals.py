"""Intervals of any length: nothing is lost at a seam, nothing comes twice, sums are exact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests import Session
from tests.prisjakt.world import PAIR, PIXEL, Recorder, now
from tests.sender.world import START

from prisjakt_relay.local.prisjakt_model import Call
from prisjakt_relay.local.prisjakt_model import Event as Stored
from prisjakt_relay.local.prisjakt_server import create_app, serve
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.prisjakt.intervals import (
    LONGEST_INTERVAL,
    Totals,
    parts,
    stockholm,
    whole_days,
)
from prisjakt_relay.prisjakt.models import CurrencyTotal, DayTotal, PurchaseSummary

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
MILLISECOND = timedelta(milliseconds=1)
MICROSECOND = timedelta(microseconds=1)
STOCKHOLM = stockholm()

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
SPANS = st.timedeltas(timedelta(0), timedelta(days=800))


class WithoutEnd(Recorder):
    """Takes the end of an interval as no part of it."""

    def _events_between(self, call: Call, pixel_id: str, name: str | None) -> list[Stored]:
        end = datetime.fromisoformat(call.query["to"])
        found = super()._events_between(call, pixel_id, name)
        return [event for event in found if event.event_time != end]


@pytest.fixture(params=[Recorder, WithoutEnd], ids=["with end", "without end"])
def model(request: pytest.FixtureRequest) -> Recorder:
    """Nobody says whether an event at the very end of an interval is in it."""
    kind: type[Recorder] = request.param
    return kind()


@pytest.fixture
def client(model: Recorder, http: Session) -> Iterator[PrisjaktClient]:
    with closing(serve(create_app(model), 0)) as server:
        yield PrisjaktClient(server.base_address, http, clock=now, credentials=PAIR)


# Cutting


@given(MOMENTS, SPANS)
def test_parts_are_the_interval_newest_first(start: datetime, span: timedelta) -> None:
    for cut in (parts, whole_days):
        found = list(cut(start, start + span))

        assert (found[-1][0], found[0][1]) == (start, start + span)
        assert all(newer[0] == older[1] for newer, older in pairwise(found))
        assert all(timedelta(0) <= end - begin <= LONGEST_INTERVAL for begin, end in found)


@given(MOMENTS, SPANS)
def test_days_are_cut_at_midnight_in_stockholm(start: datetime, span: timedelta) -> None:
    seams = [begin for begin, _ in whole_days(start, start + span)][:-1]

    assert {seam.astimezone(STOCKHOLM).time().isoformat() for seam in seams} <= {"00:00:00"}


@pytest.mark.parametrize(
    ("span", "number"),
    [
        (timedelta(0), 1),
        (60 * DAY, 1),
        (60 * DAY + MILLISECOND, 2),
        (120 * DAY, 2),
        (120 * DAY + MILLISECOND, 3),
    ],
)
def test_no_more_parts_than_needed(span: timedelta, number: int) -> None:
    assert len(list(parts(START - span, START))) == number


# Events and conversions


@pytest.mark.parametrize("method", ["events", "conversions"])
def test_events_around_the_seams_come_once_each_newest_first(
    method: str, client: PrisjaktClient, model: Recorder
) -> None:
    start = START - 150 * DAY
    seams = (START - 60 * DAY, START - 120 * DAY)
    moments = [seam + shift for seam in seams for shift in (-MILLISECOND, 0 * SECOND, MILLISECOND)]
    expected = [model.store(moment) for moment in [start, *sorted(moments), START - SECOND]]
    model.store(start - MILLISECOND)

    found = list(getattr(client, method)(PIXEL, start, START))

    ids = [each.id if method == "events" else each.purchase.id for each in found]
    assert ids == expected[::-1]
    assert len(model.calls) == 3


def test_an_event_in_the_last_millisecond_is_there(client: PrisjaktClient, model: Recorder) -> None:
    first = model.store(START)
    second = model.store(START + 250 * MICROSECOND)

    found = client.events(PIXEL, START, START + 250 * MICROSECOND)

    assert [each.id for each in found] == [second, first]


def test_pages_of_several_parts_come_whole(client: PrisjaktClient, model: Recorder) -> None:
    expected = [model.store(START - 119 * DAY + number * 6 * SECOND * 600) for number in range(470)]

    found = [each.id for each in client.events(PIXEL, START - 119 * DAY, START)]

    assert found == expected[::-1]


# Summaries


def test_a_long_summary_is_that_of_the_events(client: PrisjaktClient, model: Recorder) -> None:
    """Around midnights in Stockholm, also where the clock changes, and around those of UTC."""
    start, end = datetime(2026, 1, 15, 12, tzinfo=UTC), datetime(2026, 11, 20, 12, tzinfo=UTC)
    expected: dict[tuple[date, str], list[Decimal]] = {}
    days = [datetime(2026, 1, 16, tzinfo=STOCKHOLM) + number * DAY for number in range(308)]
    for number, midnight in enumerate(days):
        for shift in (-MILLISECOND, timedelta(0), MILLISECOND, timedelta(hours=1, minutes=30)):
            moment = midnight.astimezone(UTC) + shift
            amount, currency = f"{number}.{number % 100:02}", ("SEK", "EUR")[number % 2]
            model.store(moment, amount=amount, currency=currency)
            key = (moment.astimezone(STOCKHOLM).date(), currency)
            expected.setdefault(key, []).append(Decimal(amount))

    summary = client.purchase_summary(PIXEL, start, end)

    assert len(model.calls) == 6
    assert {
        (row.date, row.currency): (row.number_of_events, row.total_amount)
        for row in summary.per_day
    } == {key: (len(amounts), sum(amounts)) for key, amounts in expected.items()}
    assert [(row.date, row.currency) for row in summary.per_day] == sorted(expected)
    for total in summary.summaries:
        rows = [row for row in summary.per_day if row.currency == total.currency]
        assert total.number_of_events == sum(row.number_of_events for row in rows)
        assert total.total_amount == sum(row.total_amount for row in rows)
    assert [total.currency for total in summary.summaries] == ["EUR", "SEK"]


def day(day_of_month: int, number: int, amount: str, zone: str = "Europe/Stockholm") -> DayTotal:
    return DayTotal(
        date=date(2026, 9, day_of_month),
        currency="SEK",
        number_of_events=number,
        total_amount=Decimal(amount),
        time_zone=zone,
    )


def total(number: int, amount: str) -> CurrencyTotal:
    return CurrencyTotal(currency="SEK", number_of_events=number, total_amount=Decimal(amount))


def test_the_day_at_a_seam_is_the_newer_parts() -> None:
    totals, seam = Totals(), datetime(2026, 9, 2, tzinfo=STOCKHOLM)

    totals.add(PurchaseSummary(per_day=(day(2, 3, "0.3"),), summaries=(total(3, "0.3"),)), seam)
    totals.add(
        PurchaseSummary(
            per_day=(day(1, 1, "0.10"), day(2, 1, "0.1")), summaries=(total(2, "0.20"),)
        ),
        seam - DAY,
    )

    assert totals.summary() == PurchaseSummary(
        per_day=(day(1, 1, "0.1"), day(2, 3, "0.3")), summaries=(total(4, "0.4"),)
    )


def test_days_of_another_zone_are_added_up() -> None:
    """They are cut by the seam, so both parts have some of them."""
    totals, seam = Totals(), datetime(2026, 9, 2, tzinfo=STOCKHOLM)

    for moment in (seam, seam - DAY):
        part = PurchaseSummary(
            per_day=(day(2, 1, "0.1", "Pacific/Auckland"),), summaries=(total(1, "0.1"),)
        )
        totals.add(part, moment)

    assert totals.summary() == PurchaseSummary(
        per_day=(day(2, 2, "0.2", "Pacific/Auckland"),), summaries=(total(2, "0.2"),)
    )
