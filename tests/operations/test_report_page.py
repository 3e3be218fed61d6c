"""The page says what the terminal says, and needs nothing but itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import boto3
import pytest
from tests.operations.elsewhere import stack_elsewhere

from prisjakt_relay.cli.report import print_tables
from prisjakt_relay.ledger import Status
from prisjakt_relay.operations import figures, report_page
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.operations.statistics import (
    UP_TO,
    Corrections,
    DayOfPurchases,
    Ignored,
    OrdersByOutcome,
    Statistics,
    Step,
    Times,
)

UNTIL = datetime(2026, 11, 22, tzinfo=UTC)
STACK = Stack(
    name="relay",
    status="CREATE_COMPLETE",
    region="eu-north-1",
    outputs={},
    parameters={},
    webhook_address="",
    session=boto3.Session("test", "test", region_name="eu-north-1"),
)


def times(*orders: int) -> Times:
    steps = tuple(Step(most, number) for most, number in zip((*UP_TO, None), orders, strict=True))
    return Times(
        sum(orders), timedelta(seconds=8.2), timedelta(minutes=4), timedelta(hours=30), steps
    )


def statistics(*, days: int = 30, **changes: Any) -> Statistics:
    since = UNTIL - timedelta(days=days)
    purchases = tuple(
        DayOfPurchases(since.date() + timedelta(days=n), currency, n + 1, Decimal(n) * 1000, n % 2)
        for n in range(days)
        for currency in ("EUR", "SEK")
    )
    values: dict[str, Any] = {
        "shop": "my-shop",
        "since": since,
        "until": UNTIL,
        "orders": 1_234,
        "test_purchases": 3,
        "days": purchases,
        "outcomes": (
            OrdersByOutcome(Status.REPORTED, None, 1_200, 3),
            OrdersByOutcome(Status.DEAD, "expired", 34, 0),
        ),
        "order_to_report": times(900, 200, 50, 40, 6, 3, 1),
        "arrival_to_report": times(1_100, 90, 5, 3, 1, 1, 0),
        "corrections": Corrections(77, 88, 15),
        "already_at_prisjakt": 12,
        "already_at_prisjakt_share": 12 / 1_234,
        "ignored": (Ignored("no_click_id", 4_321, 2_109), Ignored("ping", 2, 0)),
        "ignored_since": since,
        "ledger_complete_since": since,
    }
    return Statistics(**(values | changes))


def nothing(**changes: Any) -> Statistics:
    none: dict[str, Any] = {"orders": 0, "test_purchases": 0, "days": (), "outcomes": ()}
    unmeasured = Times(0, None, None, None, ())
    none |= {"order_to_report": unmeasured, "arrival_to_report": unmeasured, "ignored": ()}
    none |= {"corrections": Corrections(0, 0, 0), "already_at_prisjakt_share": None}
    return replace(statistics(), **(none | changes))


def page(found: Statistics) -> str:
    return report_page.page(found, STACK, UNTIL)


class Reader(HTMLParser):
    """The cells of a page's tables, its visible text, and what it would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.text = ""
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.bars: list[str] = []
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        if tag in {"td", "th"}:
            self.cells.append("")
        names = {"src", "href", "srcset", "action", "data", "xlink:href", "poster"}
        self.addresses += [str(value) for name, value in attrs if name in names]

    def handle_endtag(self, tag: str) -> None:
        self.text += " "
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open[-1:] == ["title"] and "svg" in self._open:
            self.bars.append(data)
        if {"td", "th"} & set(self._open[-1:]):
            self.cells[-1] += data


def rows(found: Statistics) -> Iterator[tuple[str, ...]]:
    """Every row of every table, heads included."""
    for section in figures.sections(found):
        for table in section.tables:
            yield tuple(column.name for column in table.columns)
            yield from table.rows


def test_terminal_and_page_show_the_same_figures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    found = statistics()

    print_tables(stack_elsewhere(), found)

    lines = {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    assert {" ".join(" ".join(row).split()) for row in rows(found)} <= lines
    assert Reader(page(found)).cells == [cell for row in rows(found) for cell in row]


def test_every_kind_of_figure_is_there() -> None:
    text = " ".join(Reader(page(statistics())).text.split())

    for figure in (
        "Orders of 2026-10-23 to 2026-11-21 UTC",
        "930 purchases at Prisjakt",
        "435,000.00 EUR",
        "8.2 s from order to report (median)",
        "1.0% already at Prisjakt",
        "2026-11-21 30 29,000.00 1",
        "dead: too late 34 2.8% 0",
        "from the order 1,200 8.2 s 4 min 30.0 h",
        "longer 1 0",
        "changes in sum 88",
        "no_click_id 4,321 2,109",
        "midnight in Stockholm",
    ):
        assert figure in text


def test_each_bar_tells_its_value() -> None:
    bars = Reader(page(statistics(days=2))).bars

    for bar in ("20 Nov: 1", "21 Nov: 2", "21 Nov: 1,000.00", "reported: 1,200", "longer: 1"):
        assert bars.count(bar) >= 2, bar  # the chart for wide pages and that for phones


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    html = page(statistics())
    read = Reader(html)

    assert read.addresses == ["data:,"]
    assert {"script", "img", "iframe", "object", "embed", "base", "form"}.isdisjoint(read.tags)
    assert re.findall(r"https?:|//\w|url\(|@import|\bon\w+=", html) == []
    assert "default-src 'none'" in html


def test_every_chart_is_drawn_for_wide_pages_and_for_phones() -> None:
    html = page(statistics())

    assert html.count("<svg") == 2 * html.count("<figure>") == 2 * 5
    assert html.count('role="img" aria-label=') == html.count("<svg")


def test_a_long_interval_has_bars_that_can_be_told_apart() -> None:
    found = statistics(days=365)
    bars = [bar for bar in Reader(page(found)).bars if bar.startswith("22 Nov: ")]

    assert "Purchases per 4 days" in page(found)
    assert "22 Nov: 10" in bars  # 1 + 2 + 3 + 4 purchases of the first four days
    drawn = [bar for bar in Reader(page(found)).bars if re.match(r"\d+ \w{3}: ", bar)]
    assert len(drawn) <= 100 * 8


def test_days_without_purchases_have_their_place() -> None:
    found = replace(
        statistics(), days=(DayOfPurchases(date(2026, 11, 19), "SEK", 3, Decimal(300), 0),)
    )

    bars = Reader(page(found)).bars

    assert {"23 Oct: 0", "18 Nov: 0", "19 Nov: 3", "20 Nov: 0", "21 Nov: 0"} <= set(bars)
    assert len([bar for bar in bars if re.fullmatch(r"\d+ \w{3}: \d+", bar)]) == 2 * 30


def test_days_that_the_ledger_has_forgotten_have_no_bar() -> None:
    since = datetime(2026, 11, 20, tzinfo=UTC)
    day = DayOfPurchases(date(2026, 11, 21), "SEK", 3, Decimal(300), 0)

    found = replace(statistics(days=365), days=(day,), ledger_complete_since=since)
    bars = Reader(page(found)).bars

    assert {bar for bar in bars if re.fullmatch(r"\d+ \w{3}: \d+", bar)} == {
        "20 Nov: 0",
        "21 Nov: 3",
    }


def test_an_empty_interval_gets_friendly_words_and_no_empty_chart() -> None:
    html = page(nothing())

    assert "No order with a click id of Prisjakt" in Reader(html).text
    assert "No delivery was ignored" in Reader(html).text
    assert "<svg" not in html
    assert "<table" not in html


def test_an_interval_with_test_purchases_only_has_no_empty_chart_either() -> None:
    outcomes = (OrdersByOutcome(Status.REPORTED, None, 0, 2),)
    html = page(nothing(test_purchases=2, outcomes=outcomes))

    assert "<svg" not in html
    assert Reader(html).cells[-4:] == ["all", "0", "", "2"]


def test_orders_that_were_all_taken_back_are_in_the_table_and_in_no_chart() -> None:
    taken_back = DayOfPurchases(date(2026, 11, 19), "SEK", 0, Decimal(), 2)
    html = page(nothing(orders=2, days=(taken_back,)))

    assert "<svg" not in html
    assert " ".join(Reader(html).text.split()).count("0 0.00 2") == 2


def test_it_is_said_what_ledger_and_log_cannot_know() -> None:
    later = UNTIL - timedelta(days=3)
    text = Reader(page(statistics(ignored_since=later, ledger_complete_since=later))).text

    assert "before 2026-11-19 figures may be too low" in text
    assert "counted from 2026-11-19 00:00 UTC on" in text


def test_without_any_log_nothing_is_said_of_ignored_deliveries() -> None:
    assert "Ignored" not in Reader(page(statistics(ignored=(), ignored_since=None))).text


def test_what_a_newer_relay_wrote_is_shown_as_it_is_and_escaped() -> None:
    html = page(
        statistics(
            outcomes=(OrdersByOutcome("<b>new</b>", None, 3, 0),),
            ignored=(Ignored("<i>new</i>", 1, 1),),
        )
    )

    assert "<b>new</b>" in Reader(html).cells
    assert "<i>new</i>" in Reader(html).cells
    assert "<b>new" not in html
    assert "<i>new" not in html


@pytest.mark.parametrize(
    ("taken", "words"),
    [
        (timedelta(seconds=0.04), "0.0 s"),
        (timedelta(seconds=9.5), "9.5 s"),
        (timedelta(seconds=119), "119 s"),
        (timedelta(minutes=2), "2 min"),
        (timedelta(minutes=119), "119 min"),
        (timedelta(hours=47), "47.0 h"),
        (timedelta(days=2, hours=12), "2.5 d"),
    ],
)
def test_durations_in_words(taken: timedelta, words: str) -> None:
    assert figures.duration(taken) == words
