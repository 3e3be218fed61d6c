"""The report as one page: charts drawn once for wide pages and once for phones.

The charts are pygal's; of its drawing only the shapes and texts are kept. Scripts, styles and
addresses go, so that the page's own colours hold in light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from xml.etree import ElementTree

import pygal
from markupsafe import Markup
from pygal.style import Style

from prisjakt_relay.operations import figures
from prisjakt_relay.operations.finding import money
from prisjakt_relay.operations.page import render
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.operations.statistics import DayOfPurchases, Statistics

_MOST_BARS: Final = 100
_WIDE: Final = (960, 300)
_NARROW: Final = (360, 260)
_LINE: Final = 34  # height of a line of horizontal bars
_MARGIN: Final = 28
_MOST_STEPS: Final = 4
_TEXT: Final = 12  # as in the page's style
_LABELS: Final = {_WIDE: 10, _NARROW: 4}  # so many days can be written below a chart


@dataclass(frozen=True, slots=True)
class Chart:
    """`legend` is each series' name and the number of its colour; one series needs none."""

    title: str
    legend: tuple[tuple[str, int], ...]
    wide: Markup
    narrow: Markup


def page(statistics: Statistics, stack: Stack, made_at: datetime) -> str:
    """The whole page; it needs nothing else to be read."""
    sections = figures.sections(statistics)
    charts = {section.key: _CHARTS.get(section.key, _none)(statistics) for section in sections}
    orders = statistics.orders + statistics.test_purchases
    return render(
        "report.html",
        stack=stack,
        shop=statistics.shop,
        made_at=made_at,
        interval=figures.interval(statistics),
        empty="" if orders else figures.no_orders(stack, statistics.shop),
        headlines=figures.headlines(statistics),
        coverage=figures.coverage(statistics),
        sections=sections,
        charts=charts,
    )


def _none(_: Statistics) -> tuple[Chart, ...]:
    return ()


def _purchases(statistics: Statistics) -> tuple[Chart, ...]:
    currencies = [each.currency for each in figures.totals(statistics) if each.purchases]
    if not currencies:
        return ()
    bars = _grouped(list(figures.days_between(statistics)))
    first = {day: group[0] for group in bars for day in group}
    starts = [group[0] for group in bars]
    step = len(bars[0])
    each = "day" if step == 1 else f"{step} days"

    def series(currency: str, value: Callable[[DayOfPurchases], Any], zero: Any) -> list[Any]:
        sums = dict.fromkeys(starts, zero)
        for day in statistics.days:
            if day.currency == currency:
                sums[first[day.day]] += value(day)
        return list(sums.values())

    counts = {currency: series(currency, lambda day: day.purchases, 0) for currency in currencies}
    charts = [_by_day(f"Purchases per {each}", starts, counts, figures.count)]
    for number, currency in enumerate(currencies):
        amounts = {currency: series(currency, lambda day: day.amount, Decimal())}
        title = f"Amount per {each}, {currency}"
        charts.append(_by_day(title, starts, amounts, money, colour=number))
    return tuple(charts)


def _grouped(days: Sequence[date]) -> list[Sequence[date]]:
    """As many bars as can be told apart, each of one or of several days."""
    step = -(-len(days) // _MOST_BARS)
    return [days[start : start + step] for start in range(0, len(days), step)]


def _by_day(
    title: str,
    days: Sequence[date],
    series: Mapping[str, Sequence[Any]],
    words: Callable[[Any], str],
    *,
    colour: int = 0,
) -> Chart:
    def draw(size: tuple[int, int]) -> Markup:
        chart = pygal.StackedBar(**_options(size, words))
        chart.x_labels = [f"{day.day} {day:%b}" for day in days]
        chart.show_minor_x_labels = False
        chart.x_labels_major = chart.x_labels[:: -(-len(days) // _LABELS[size])]
        for name, values in series.items():
            chart.add(name, values)
        chart.y_labels = _steps(max(map(sum, zip(*series.values(), strict=True))))
        return _inline(chart, title, colour)

    return Chart(title, _legend(tuple(series)), draw(_WIDE), draw(_NARROW))


def _outcomes(statistics: Statistics) -> tuple[Chart, ...]:
    outcomes = [each for each in statistics.outcomes if each.orders]
    if not outcomes:
        return ()
    names = [figures.outcome_name(each) for each in outcomes]
    return (_across("Orders by outcome", names, {"Orders": [each.orders for each in outcomes]}),)


def _times(statistics: Statistics) -> tuple[Chart, ...]:
    steps = statistics.order_to_report.steps
    return (
        _across(
            "Orders by the time to their report",
            [figures.step_name(step) for step in steps],
            {
                "from the order": [step.orders for step in steps],
                "from its arrival here": [
                    step.orders for step in statistics.arrival_to_report.steps
                ],
            },
        ),
    )


def _across(title: str, names: Sequence[str], series: Mapping[str, Sequence[int]]) -> Chart:
    """Horizontal bars: their names can be long."""

    def draw(width: int) -> Markup:
        height = _MARGIN + _LINE * len(names)
        chart = pygal.HorizontalBar(**_options((width, height), figures.count))
        chart.x_labels = names[::-1]  # pygal begins at the bottom
        for name, values in series.items():
            chart.add(name, values[::-1])
        chart.y_labels = _steps(max(map(max, series.values())))
        return _inline(chart, title)

    return Chart(title, _legend(tuple(series)), draw(_WIDE[0]), draw(_NARROW[0]))


def _legend(names: Sequence[str]) -> tuple[tuple[str, int], ...]:
    return tuple((name, number) for number, name in enumerate(names)) if len(names) > 1 else ()


_CHARTS: Final[Mapping[str, Callable[[Statistics], tuple[Chart, ...]]]] = {
    "purchases": _purchases,
    "outcomes": _outcomes,
    "times": _times,
}


def _steps(highest: Decimal | int) -> list[dict[str, Any]]:
    """Round whole numbers from 0 to the highest value or a little above it."""
    step = next(
        factor * 10**power
        for power in range(20)
        for factor in (1, 2, 5)
        if factor * 10**power * _MOST_STEPS >= highest
    )
    steps = range(0, math.ceil(highest / step) * step + 1, step)
    return [{"value": value, "label": figures.count(value)} for value in steps]


def _options(size: tuple[int, int], words: Callable[[Any], str]) -> dict[str, Any]:
    width, height = size
    return {
        "width": width,
        "height": height,
        "explicit_size": False,
        "js": [],
        "css": [],
        "style": Style(label_font_size=_TEXT, major_label_font_size=_TEXT),
        "margin": 4,
        "spacing": 8,
        "show_legend": False,
        "truncate_label": -1,
        "formatter": words,
    }


def _inline(chart: Any, title: str, colour: int = 0) -> Markup:
    """pygal's drawing as SVG for the middle of a page, with a text on each bar for pointers."""
    drawing = ElementTree.fromstring(chart.render())  # noqa: S314  # our own, and no comments
    for element in drawing.iter():
        element.tag = element.tag.rpartition("}")[2]
    for parent in list(drawing.iter()):
        parent.attrib.pop("id", None)
        for child in list(parent):
            if _is_left_out(child):
                parent.remove(child)
        _tell_value(parent)
    drawing.set("role", "img")
    drawing.set("aria-label", title)
    drawing.set("class", f"chart first-{colour}")
    return Markup(ElementTree.tostring(drawing, encoding="unicode"))  # noqa: S704  # escaped there


def _is_left_out(element: ElementTree.Element) -> bool:
    names = element.get("class", "")
    return element.tag in {"defs", "script", "style", "title"} or names.endswith(
        ("tooltip-overlay", "text-overlay", "background")
    )


def _tell_value(element: ElementTree.Element) -> None:
    """A bar's descriptions, which pygal's script would read, as the title that browsers show."""
    described = {each.get("class"): each.text or "" for each in element.findall("desc")}
    if not described:
        return
    for each in element.findall("desc"):
        element.remove(each)
    label = described.get("x_label", "")
    title = ElementTree.SubElement(element, "title")
    title.text = f"{label}: {described.get('value', '')}"
