"""What the sections of the benchmark hand back, and what they are handed.

A section is a module of this package with one function, `figures(bench: Bench) -> Section`, that
measures and prints nothing. It goes into `SECTIONS` of `tests.benchmark.__main__`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.console import RenderableType
from rich.progress import Progress
from rich.table import Table

T = TypeVar("T")


@dataclass(frozen=True)
class Bench:
    """The runtime's interpreter, how many times a noisy thing is measured, and the progress bars.

    The bars are drawn by hand: a thread that draws them would take part in the measurement.
    """

    python: Path
    runs: int
    progress: Progress

    def track(self, items: Sequence[T], description: str) -> Iterator[T]:
        """The items, one after the other, with a bar that goes on at each."""
        task = self.progress.add_task(description, total=len(items))
        self.progress.refresh()
        for item in items:
            yield item
            self.progress.update(task, advance=1)
            self.progress.refresh()
        self.progress.remove_task(task)


@dataclass(frozen=True)
class Figure:
    """One number, what it is held against, and how much it may be at most.

    `target` is the most that `ours` may be, `target_ratio` the most that ours may be in parts of
    the yardstick. A figure with a `key` stands under it at the top of the JSON document.
    """

    name: str
    ours: float
    unit: str
    key: str | None = None
    yardstick: float | None = None
    yardstick_name: str = ""
    target: float | None = None
    target_ratio: float | None = None

    @property
    def ratio(self) -> float | None:
        return None if self.yardstick is None else self.ours / self.yardstick

    @property
    def value(self) -> float:
        """What stands under the key: the ratio where the target is one, else our number."""
        if self.target_ratio is None or self.ratio is None:
            return self.ours
        return self.ratio

    @property
    def met(self) -> bool | None:
        """None where there is no target."""
        held = [self.ours <= self.target] if self.target is not None else []
        if self.target_ratio is not None:
            # What cannot be held against its yardstick has not met its target.
            held.append(self.ratio is not None and self.ratio <= self.target_ratio)
        return all(held) if held else None

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


@dataclass(frozen=True)
class Section:
    """Figures for the one table, tables of their details, and the details as JSON."""

    figures: Sequence[Figure]
    tables: Sequence[RenderableType] = ()
    details: Mapping[str, object] = field(default_factory=dict)


def missed(figures: Sequence[Figure]) -> list[Figure]:
    return [figure for figure in figures if figure.met is False]


def table(figures: Sequence[Figure]) -> Table:
    shown = Table(title="All figures", title_justify="left")
    shown.add_column("figure")
    for heading in ("ours", "yardstick", "ratio", "target"):
        shown.add_column(heading, justify="right")
    shown.add_column("met")
    for figure in figures:
        beside = figure.yardstick
        shown.add_row(
            figure.name,
            f"{number(figure.ours)} {figure.unit}".rstrip(),
            "" if beside is None else f"{number(beside)} {figure.yardstick_name}".rstrip(),
            "" if figure.ratio is None else f"{figure.ratio:.2f}",
            target(figure),
            {None: "", True: "[green]yes", False: "[red]no"}[figure.met],
        )
    return shown


def told(figure: Figure) -> str:
    """One line: the figure, what it is held against, and what it should be."""
    beside = "" if figure.ratio is None else f", {figure.ratio:.2f} of {figure.yardstick_name}"
    ours = f"{number(figure.ours)} {figure.unit}".rstrip()
    return f"{figure.name}: {ours}{beside}; {target(figure)}"


def number(value: float) -> str:
    """As many digits as mean something to a reader."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 0.1:
        return f"{value:.2g}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def target(figure: Figure) -> str:
    """What it is held to, in words."""
    parts = [] if figure.target is None else [f"≤ {number(figure.target)} {figure.unit}".rstrip()]
    if figure.target_ratio is not None:
        parts.append(f"ratio ≤ {figure.target_ratio:.2f}")
    return ", ".join(parts)
