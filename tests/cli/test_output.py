"""What people and machines read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeElapsedColumn

from prisjakt_relay.cli import output
from prisjakt_relay.cli.options import interval
from prisjakt_relay.errors import SetupError

NOT_COUNTING = (TextColumn, BarColumn, TimeElapsedColumn)
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


@pytest.mark.parametrize(
    ("amount", "text"),
    [("1298", "1298.00"), ("996.5", "996.50"), ("1E+3", "1000.00"), ("0.125", "0.125")],
)
def test_money_has_two_decimals_or_more_where_there_are_more(amount: str, text: str) -> None:
    assert json.loads(output.as_json(Decimal(amount))) == text


@pytest.mark.parametrize(
    ("completed", "total", "text"),
    [(0, None, ""), (4_321, None, "4,321"), (0, 14, "0/14"), (14, 14, "14/14")],
)
def test_progress_counts_to_a_total_only_where_there_is_one(
    completed: int, total: int | None, text: str
) -> None:
    with output.progress() as progress:
        progress.add_task("Reading", completed=completed, total=total)
        (task,) = progress.tasks
        columns = [each for each in progress.columns if isinstance(each, ProgressColumn)]
        shown = [str(each.render(task)) for each in columns if not isinstance(each, NOT_COUNTING)]

    assert shown == [text]


@pytest.mark.parametrize("width", [80, 60, 40])
def test_figures_are_never_cut_or_broken(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    figures = ["Purchases", "Amount", "Taken back", "Mean"]
    table = output.table("", "Currency", *figures, right=figures)
    cells = ("SEK", "1,234", "1,234,567.00", "12", "1,298.00")
    output.row(table, *cells)

    output.show(table)

    lines = capsys.readouterr().out.splitlines()
    assert list(cells) in [line.split() for line in lines]
    assert "…" not in "".join(lines)


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


# What would drive a terminal


EVIL = "#1\x1b[2J\x1b]0;x\x07\x9b31m\x7f\r\x08"


def test_what_drives_a_terminal_is_shown_and_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of orders and answers of others come from elsewhere."""
    made = output.table(EVIL, EVIL)
    output.row(made, EVIL)

    output.show(made, EVIL)
    output.hint(EVIL)

    said = "".join(capsys.readouterr())
    assert "␛[2J" in said
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", said)


def test_json_holds_no_sign_that_drives_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """And is the same text for whoever reads it."""
    output.print_json({"name": EVIL})
    output.print_json_array([{"name": EVIL}])

    said = capsys.readouterr().out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", said)
    one, other = said.split("}\n", 1)
    assert json.loads(one + "}")["name"] == json.loads(other)[0]["name"] == EVIL
