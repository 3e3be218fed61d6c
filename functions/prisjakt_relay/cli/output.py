"""How commands speak: tables and progress for people, JSON for machines."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from prisjakt_relay.errors import SetupError

_DECIMALS = 2  # of money, or more where there are more
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed
_ABOVE: Final = re.compile("[\x7f-\x9f]")  # what JSON leaves as it is


class _Quiet(Console):
    """Shows what drives a terminal instead of doing it: orders' names, and whatever Prisjakt, shop
    systems and logs say, come from elsewhere."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or not _CONTROL.search(segment.text):
                yield segment
            else:
                yield Segment(_CONTROL.sub(_shown, segment.text), segment.style)


def _shown(found: re.Match[str]) -> str:
    """`␛` for an escape; what has no such picture is a replacement sign."""
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


class _Counted(ProgressColumn):
    """`3/14`; where nobody knows of how many, only how many there are so far."""

    def render(self, task: Task) -> Text:
        done = f"{task.completed:,.0f}"
        if task.total is None:
            return Text(done if task.completed else "")
        return Text(f"{done}/{task.total:,.0f}")


def out() -> Console:
    """Standard output, where answers go."""
    return _Quiet(highlight=False, soft_wrap=False)


def err() -> Console:
    """Standard error, where progress, questions and hints go."""
    return _Quiet(stderr=True, highlight=False)


def show(*parts: RenderableType) -> None:
    for part in parts:
        if isinstance(part, str):
            out().print(part, markup=False)
        else:
            out().print(part, crop=False)


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
        justify: Literal["left", "right"] = "right" if column in right else "left"
        made.add_column(Text(column), justify=justify, overflow="fold")
    return made


def row(made: Table, *cells: object, style: str | None = None) -> None:
    """Add a row; what is no `Text` is shown as it is, never read as markup."""
    texts = [
        cell if isinstance(cell, Text) else Text("" if cell is None else str(cell))
        for cell in cells
    ]
    for column, text in zip(made.columns, texts, strict=False):
        if column.justify == "right":
            _keep_whole(column, text)
    made.add_row(*texts, style=style)


def _keep_whole(column: Column, text: Text) -> None:
    """A figure is never broken, whatever the terminal's width: half of one is another one."""
    column.min_width = max(column.min_width or 0, text.cell_len)
    column.no_wrap = column.min_width >= cell_len(str(column.header))


def mark(right: bool | None) -> Text:
    """✓, ✗, or a dot for what could not be told."""
    if right is None:
        return Text("·", "yellow")
    return Text("✓", "green") if right else Text("✗", "red")


def moment(when: datetime | None) -> str:
    """`2026-11-21 10:31:06`, in UTC."""
    return "" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def minute(when: datetime | None) -> str:
    """`2026-11-21 10:31`, in UTC."""
    return moment(when)[:-3]


def progress() -> Progress:
    """Bars on standard error, silent where that is no terminal."""
    console = err()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        _Counted(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def as_json(value: Any) -> str:
    """One JSON document. Money and times are texts: exact, whatever reads them."""
    return _ABOVE.sub(_escaped, json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def print_json(value: Any) -> None:
    sys.stdout.write(as_json(value) + "\n")


def print_json_array(values: Iterable[Any]) -> None:
    """One JSON array, written as its elements come: memory stays flat."""
    empty = True
    for value in values:
        text = json.dumps(value, ensure_ascii=False, default=_plain)
        sys.stdout.write(("[" if empty else ",") + "\n" + _ABOVE.sub(_escaped, text))
        empty = False
    sys.stdout.write("[]\n" if empty else "\n]\n")


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        cents = int(value.as_tuple().exponent) > -_DECIMALS  # all of ours are finite
        return format(value, f".{_DECIMALS}f" if cents else "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def confirmed(question: str, *, yes: bool) -> bool:
    """Whether to go on; raises `SetupError` where nobody can be asked."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise SetupError(f"{question} Nobody can be asked here: add --yes to do it.")
    return typer.confirm(question, err=True)
