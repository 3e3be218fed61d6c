"""`make fuzz`: many hostile inputs on all cores, or the one that broke a promise once more."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from tests.security import bugs, fuzzing
from tests.security.fuzzing import Found

CONSOLE: Final = Console(soft_wrap=True, highlight=False, markup=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.security", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many inputs")
    parser.add_argument("--seed", type=int, default=0, help="of the whole run")
    parser.add_argument("--input", type=int, help="this input alone, with where it breaks")
    parser.add_argument("--bug", choices=list(bugs.BUGS), help="plant this bug in the relay")
    parser.add_argument("--bugs", action="store_true", help="plant each bug, one after the other")
    parser.add_argument("--json", type=Path, help="write the sum to this file")
    options = parser.parse_args()
    if options.input is not None:
        return _one(options.seed, options.input, options.bug)
    if options.bugs:
        return _bugs(options.seed, options.inputs, options.json)
    return _many(options.seed, options.inputs, options.bug, options.json)


def _one(seed: int, number: int, bug: str | None) -> int:
    with bugs.planted(bug):
        try:
            CONSOLE.print(fuzzing.one(seed, number))
        except Exception:  # whatever it is, it is to be seen
            CONSOLE.print(traceback.format_exc())
            return 1
    return 0


def _many(seed: int, inputs: int, bug: str | None, file: Path | None) -> int:
    begun = time.monotonic()
    try:
        outcomes, found = _run(seed, inputs, bug)
    except KeyboardInterrupt:
        CONSOLE.print("interrupted")
        return 130
    seconds = time.monotonic() - begun
    done = outcomes.total() + bool(found)
    if file:
        _write(
            file,
            {
                "seed": seed,
                "inputs": done,
                "seconds": round(seconds, 1),
                "outcomes": dict(sorted(outcomes.items())),
                "found": vars(found) if found else None,
            },
        )
    table = Table("what became of them", box=None, pad_edge=False)
    table.add_column("inputs", justify="right")
    for outcome, count in sorted(outcomes.items()):
        table.add_row(outcome, f"{count:,}")
    CONSOLE.print(table)
    if found:
        CONSOLE.print(f"input {found.number} ({found.target}) broke a promise: {found.what}")
        again = f"python -m tests.security --seed {seed} --input {found.number}"
        CONSOLE.print(f"once more: {again}{f' --bug {bug}' if bug else ''}")
        return 1
    CONSOLE.print(
        f"{done:,} inputs in {seconds:.1f} s ({done / max(seconds, 1e-9):,.0f} a second), "
        f"seed {seed}: every promise kept"
    )
    return 0


def _run(seed: int, inputs: int, bug: str | None) -> tuple[Counter[str], Found | None]:
    outcomes: Counter[str] = Counter()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,  # which would be a thread, at the moment of a fork
    ) as progress:
        task = progress.add_task(bug or "inputs", total=inputs)
        for each in fuzzing.sums(seed, range(inputs), bug):
            outcomes += each.outcomes
            progress.update(task, advance=each.inputs, refresh=True)
            if each.found:
                return outcomes, each.found
    return outcomes, None


def _bugs(seed: int, inputs: int, file: Path | None) -> int:
    """Which input finds each planted bug first."""
    table = Table("planted bug", "what the relay does then", box=None, pad_edge=False)
    table.add_column("found by input", justify="right")
    table.add_column("by")
    first: dict[str, Any] = {}
    for name in bugs.BUGS:
        _, found = _run(seed, inputs, name)
        first[name] = vars(found) if found else None
        number = f"{found.number:,}" if found else "not found"
        table.add_row(name, bugs.about(name), number, found.target if found else "")
    CONSOLE.print(table)
    if file:
        _write(file, first)
    return any(each is None for each in first.values())


def _write(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
