"""How commands speak: tables and progress for people, JSON for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from prisjakt_relay.errors import SetupError


def out() -> Console:
    """Standard output, where answers go."""
    return Console(highlight=False, soft_wrap=False)


def err() -> Console:
    """Standard error, where progress, questions and hints go."""
    return Console(stderr=True, highlight=False)


def show(*parts: RenderableType) -> None:
    for part in parts:
        out().print(part, markup=False) if isinstance(part, str) else out().print(part)


def hint(text: str) -> None:
    """A line for people that is no part of the answer."""
    err().print(Text(text, "dim"), soft_wrap=True)


def table(title: str, *columns: str, right: Iterable[str] = ()) -> Table:
    """An empty table in the style of all of them; cells are `Text` or plain, never markup."""
    made = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for column in columns:
        made.add_column(Text(column), justify="right" if column in right else "left")
    return made


def row(made: Table, *cells: object, style: str | None = None) -> None:
    """Add a row; what is no `Text` is shown as it is, never read as markup."""
    made.add_row(
        *(
            cell if isinstance(cell, Text) else Text("" if cell is None else str(cell))
            for cell in cells
        ),
        style=style,
    )


def mark(right: bool | None) -> Text:
    """✓, ✗, or a dot for what could not be told."""
    if right is None:
        return Text("·", "yellow")
    return Text("✓", "green") if right else Text("✗", "red")


def moment(when: datetime | None) -> str:
    """`2026-11-21 10:31:06`, in UTC."""
    return "" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def age(duration: timedelta) -> str:
    """`12 s`, `5 min`, `3 h`, `2 d`: one figure is enough to see how long."""
    seconds = max(0.0, duration.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def progress() -> Progress:
    """Bars on standard error, silent where that is no terminal."""
    console = err()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def as_json(value: Any) -> str:
    """One JSON document. Money and times are texts: exact, whatever reads them."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain)


def print_json(value: Any) -> None:
    sys.stdout.write(as_json(value) + "\n")


def print_json_array(values: Iterable[Any]) -> None:
    """One JSON array, written as its elements come: memory stays flat."""
    empty = True
    for value in values:
        sys.stdout.write(
            ("[" if empty else ",") + "\n" + json.dumps(value, ensure_ascii=False, default=_plain)
        )
        empty = False
    sys.stdout.write("[]\n" if empty else "\n]\n")


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def confirmed(question: str, *, yes: bool) -> bool:
    """Whether to go on; raises `SetupError` where nobody can be asked."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise SetupError(f"{question} Nobody can be asked here: add --yes to do it.")
    return typer.confirm(question, err=True)
