"""Measures what the relay's load, cost and cold start are held to: `python -m tests.benchmark`."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tests.benchmark import backlog, builds, clients, cost, figures, output, sizes, start, warm
from tests.benchmark.figures import Bench, Section
from tests.benchmark.runtime_api import FunctionError

SECTIONS: Final[Mapping[str, Callable[[Bench], Section]]] = {
    "start": start.figures,
    "warm": warm.figures,
    "clients": clients.figures,
    "sizes": sizes.figures,
    "cost": cost.figures,
    "backlog": backlog.figures,
}
WHOLE: Final = builds.ROOT / "build" / "bench.json"
BUSY: Final = 1.0  # load average from which another's work shows in the figures


# What says enough by itself; of anything else the way to it is printed, too.
EXPECTED: Final = (builds.BuildError, FunctionError, backlog.BrokenPromiseError)


def main() -> int:
    options = _options()
    console = output.new_console()
    load = os.getloadavg()[0]
    if load > BUSY:
        console.print(f"[yellow]The load average is {load:.1f}: read the figures with care.")
    try:
        python = builds.find_python(options.python)
    except builds.BuildError as error:
        console.print(output.error_text(error), markup=False, highlight=False)
        return 2
    sections, failed = _measure(options.only or list(SECTIONS), python, options.runs, console)
    all_figures = [figure for section in sections.values() for figure in section.figures]
    if all_figures:
        console.print(figures.table(all_figures))
    for section in sections.values():
        for details in section.tables:
            console.print(details)
    file = options.json or (None if options.only else WHOLE)
    if file is not None:
        output.write_json(
            file,
            {
                **{each.key: each.value for each in all_figures if each.key is not None},
                **output.head(python, load),
                "failed": failed,
                "details": {
                    "figures": [each.to_json() for each in all_figures],
                    **{name: section.details for name, section in sections.items()},
                },
            },
        )
    missed = figures.missed(all_figures)
    for figure in missed:
        console.print(f"[red]Missed:[/] {figures.told(figure)}")
    for name, text in failed.items():
        console.print(f"[red]Not measured:[/] {name}:", end=" ")
        console.print(text, markup=False, highlight=False)
    if failed:
        return 2
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmark",
        description=__doc__,
        epilog="Status 1: a target was missed; 2: something could not be measured.",
    )
    parser.add_argument("--runs", type=int, default=21, help="of what is noisy (%(default)s)")
    parser.add_argument(
        "--only", action="append", choices=list(SECTIONS), help="one section; may be repeated"
    )
    parser.add_argument("--python", type=Path, help="the runtime's interpreter (found by itself)")
    parser.add_argument(
        "--json",
        type=Path,
        help="write all figures to this file (build/bench.json, if all sections are run)",
    )
    options = parser.parse_args()
    if options.runs < 2:
        parser.error("quartiles need --runs 2 or more")
    return options


def _measure(
    names: Sequence[str], python: Path, runs: int, console: Console
) -> tuple[dict[str, Section], dict[str, str]]:
    """The sections, and of those that failed why: one does not take the others with it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    sections: dict[str, Section] = {}
    failed: dict[str, str] = {}
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        bench = Bench(python, runs, progress)
        for name in bench.track(list(dict.fromkeys(names)), "Sections"):
            started = time.monotonic()
            try:
                sections[name] = SECTIONS[name](bench)
            except EXPECTED as error:
                failed[name] = output.error_text(error)
            except Exception:
                failed[name] = traceback.format_exc()
            console.print(f"[dim]{name}: {time.monotonic() - started:.0f} s")
    return sections, failed


if __name__ == "__main__":
    sys.exit(main())
