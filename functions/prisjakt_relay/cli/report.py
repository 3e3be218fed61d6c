"""`report`: a shop's purchases, outcomes and times, as tables or as one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prisjakt_relay.cli.options import From, Json, ShopName, To, interval, on_stack
from prisjakt_relay.cli.output import print_json, progress, row, show, table
from prisjakt_relay.operations.command_line import DAYS

if TYPE_CHECKING:
    from datetime import datetime

    from prisjakt_relay.operations.stack import Stack
    from prisjakt_relay.operations.statistics import Statistics

Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Write one self-contained HTML page instead."),
]


def add_commands(app: typer.Typer) -> None:
    app.command()(on_stack(report))


def report(
    stack: Stack,
    shop: ShopName,
    first: From = None,
    last: To = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Show purchases per day, orders by outcome, times and corrections; by default of 30 days.

    Example: prisjakt-relay report my-shop --from 2026-11-01 --out report.html
    """
    from prisjakt_relay.operations import shops
    from prisjakt_relay.operations.stack import clock

    now = clock()
    since, until = interval(first, last, days=DAYS, now=now)
    if out is not None:
        from prisjakt_relay.operations.page import require_folder

        require_folder(out)
    shops.document(stack, shop)  # a name that is not there is most likely a slip
    statistics = _read(stack, shop, since, until)
    if out is not None:
        from prisjakt_relay.operations.page import write
        from prisjakt_relay.operations.report_page import page

        write(page(statistics, stack, now), out)
    if as_json:
        print_json(statistics)
    elif out is not None:
        print(out)
    else:
        print_tables(stack, statistics)


def _read(stack: Stack, shop: str, since: datetime, until: datetime) -> Statistics:
    from prisjakt_relay.operations import statistics

    with progress() as bars:
        days = bars.add_task("days read", total=None)
        lines = bars.add_task("log lines read", total=None, visible=False)
        return statistics.read(
            stack,
            shop,
            since,
            until,
            on_day=lambda done, of: bars.update(days, completed=done, total=of),
            on_lines=lambda found: bars.update(lines, advance=found, visible=True),
        )


def print_tables(stack: Stack, statistics: Statistics) -> None:
    """The page's figures for the terminal."""
    from rich.text import Text

    from prisjakt_relay.operations import figures

    show(Text(f"{statistics.shop}, orders of {figures.interval(statistics)}", "bold"))
    if not statistics.orders and not statistics.test_purchases:
        show(Text(figures.no_orders(stack, statistics.shop)))
    for section in figures.sections(statistics):
        show(Text(f"\n{section.title}", "bold"))
        for each in section.tables:
            names = [column.name for column in each.columns]
            right = [column.name for column in each.columns if column.number]
            made = table(each.title, *names, right=right)
            for cells in each.rows:
                row(made, *cells)
            show(made)
        for note in section.notes:
            show(Text(note, "dim"))
    for note in figures.coverage(statistics):
        show(Text(note, "dim"))
