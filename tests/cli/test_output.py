"""What people and machines read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from prisjakt_relay.cli import output
from prisjakt_relay.cli.options import interval
from prisjakt_relay.errors import SetupError

NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Paid:
    amount: Decimal
    at: datetime


def test_money_and_times_are_exact_texts() -> None:
    told = json.loads(output.as_json({"paid": Paid(Decimal("1299.00"), NOW), "on": NOW.date()}))

    assert told == {
        "paid": {"amount": "1299.00", "at": "2026-11-21T10:30:00.000Z"},
        "on": "2026-11-21",
    }


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_array_that_comes_piece_by_piece_is_one_document(
    count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    output.print_json_array({"n": n} for n in range(count))

    assert json.loads(capsys.readouterr().out) == [{"n": n} for n in range(count)]


def test_what_a_shop_wrote_is_never_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    table = output.table("Title", "a", "b")
    output.row(table, "[red]x[/red]", "[/]")

    output.show(table)

    assert "[red]x[/red]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-1, "0.0 s"), (0.42, "0.4 s"), (59, "59 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h")],
)
def test_an_age_is_one_figure(seconds: float, told: str) -> None:
    assert output.age(timedelta(seconds=seconds)) == told


def test_nobody_is_asked_where_nobody_is() -> None:
    assert output.confirmed("Sure?", yes=True)
    with pytest.raises(SetupError, match="add --yes"):
        output.confirmed("Sure?", yes=False)


def test_days_are_whole_days_in_utc_the_last_one_included() -> None:
    assert interval("2026-11-01", "2026-11-02", days=30, now=NOW) == (
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 11, 3, tzinfo=UTC),
    )


def test_without_dates_it_is_the_last_days_with_today_until_now() -> None:
    assert interval(None, None, days=30, now=NOW) == (datetime(2026, 10, 23, tzinfo=UTC), NOW)
    assert interval(None, "2026-11-30", days=1, now=NOW) == (
        datetime(2026, 11, 21, tzinfo=UTC),
        NOW,
    )


def test_times_may_have_a_zone() -> None:
    since, until = interval("2026-11-20T01:00+01:00", "2026-11-20T12:00:00Z", days=1, now=NOW)

    assert (since, until) == (
        datetime(2026, 11, 20, tzinfo=UTC),
        datetime(2026, 11, 20, 12, tzinfo=UTC),
    )
    assert since.date() == date(2026, 11, 20)
