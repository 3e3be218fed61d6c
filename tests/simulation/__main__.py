"""`make simulate` and its relatives: many seeds on all cores, or one with its timeline."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from tests.benchmark import output
from tests.simulation import bugs, campaign
from tests.simulation.campaign import State, Tally
from tests.simulation.running import Result, results, timeline, world_of

CONSOLE: Final = Console(soft_wrap=True, highlight=False, markup=False)
TABLES: Final = Console(width=None if sys.stdout.isatty() else 110)
SAVED_EVERY: Final = 10.0  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many worlds")
    parser.add_argument("--first", type=int, default=0, help="the first seed of them")
    parser.add_argument("--seed", type=int, help="one world, with its timeline")
    parser.add_argument("--bug", choices=list(bugs.BUGS), help="plant this bug in the relay")
    parser.add_argument("--bugs", action="store_true", help="plant each bug, one after the other")
    parser.add_argument("--state", type=Path, help="keep the state here, and go on from it")
    parser.add_argument("--json", type=Path, help="write the sum of all worlds to this file")
    options = parser.parse_args()
    if options.state and (options.bug or options.bugs):
        parser.error("--state is for worlds without a planted bug")
    if options.seed is not None:
        return _one(options.seed, options.bug)
    if options.bugs:
        return _bugs(options.first, options.seeds, options.json)
    state = State(options.state, campaign.fingerprint()) if options.state else None
    return _many(options.first, options.seeds, options.bug, state, options.json)


def _one(seed: int, bug: str | None) -> int:
    world = world_of(seed, bug)
    CONSOLE.print(timeline(world))
    CONSOLE.print("every promise kept" if not world.violations else f"broken in seed {seed}")
    return bool(world.violations)


def _many(first: int, seeds: int, bug: str | None, state: State | None, file: Path | None) -> int:
    origin = campaign.origin(os.getloadavg()[0])
    tally = state.load(first) if state else Tally(first)
    if tally.worlds:
        CONSOLE.print(f"going on after {tally.worlds} worlds")
    try:
        bad = _run(tally, first + seeds, bug, state)
    except KeyboardInterrupt:
        more = "; the same command goes on from here" if state else ""
        CONSOLE.print(f"interrupted after {tally.worlds} worlds{more}")
        return 130
    if file:
        broken = {"seed": bad.seed, "violations": bad.violations} if bad else None
        output.write_json(file, {**origin, **asdict(tally), "broken": broken})
    if bad is not None:
        CONSOLE.print(timeline(world_of(bad.seed, bug)))
        CONSOLE.print(f"broken in seed {bad.seed}, after {tally.worlds} worlds")
        return 1
    TABLES.print(_troubles(tally))
    CONSOLE.print(
        f"{tally.worlds} worlds in {tally.seconds:.1f} s "
        f"({tally.worlds / max(tally.seconds, 1e-9):.0f} per second): "
        f"{tally.invocations} invocations, {tally.requests} requests; "
        f"{tally.worlds_with_deployments} with deployments, "
        f"{tally.worlds_with_skewed_clocks} with clocks that differ; "
        f"in {tally.worlds_with_losses} of them {tally.lost} deliveries lost, "
        f"{tally.recovered} orders found by the reconciler; every promise kept"
    )
    return 0


def _run(tally: Tally, end: int, bug: str | None, state: State | None) -> Result | None:
    """Goes on to the end or to the first broken promise, and saves the state now and then."""
    before, begun = tally.seconds, time.monotonic()
    saved = begun
    seeds = range(tally.next_seed, max(end, tally.next_seed))
    try:
        with _progress("worlds", tally.worlds, end - tally.first) as advance:
            for result in results(seeds, bug):
                if result.violations:
                    return result
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # no half of a world
                tally.add(result)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
                now = time.monotonic()
                tally.seconds = before + now - begun
                advance()
                if state and now - saved > SAVED_EVERY:
                    state.save(tally)
                    saved = now
    finally:
        if state:
            state.save(tally)
    return None


def _troubles(tally: Tally) -> Table:
    table = Table("trouble", title="What struck", title_justify="left")
    table.add_column("worlds", justify="right")
    table.add_column("times", justify="right")
    for kind, times in sorted(tally.struck.items(), key=_order):
        name = kind if kind not in campaign.GROUPS else f"{kind}, all of it"
        table.add_row(name, f"{tally.worlds_struck[kind]:,}", f"{times:,}")
    return table


def _order(row: tuple[str, int]) -> tuple[bool, str]:
    """The groups first."""
    return row[0] not in campaign.GROUPS, row[0]


def _bugs(first: int, seeds: int, file: Path | None) -> int:
    """Which seed finds each planted bug first."""
    table = Table("planted bug", "what the relay does then", title_justify="left")
    table.add_column("found by seed", justify="right")
    table.add_column("seconds", justify="right")
    origin = campaign.origin(os.getloadavg()[0])
    found: list[dict[str, object]] = []
    missed: list[str] = []
    with (
        suppress(KeyboardInterrupt),  # which ends the list here
        _progress("planted bugs", 0, len(bugs.BUGS)) as advance,
    ):
        for name in bugs.BUGS:
            begun = time.monotonic()
            world = _first_found(range(first, first + seeds), name)
            if world is None:
                missed.append(name)
            found.append(
                {
                    "name": name,
                    "about": bugs.about(name),
                    "seed": world and world.seed,
                    "violations": world.violations[:1] if world else (),
                }
            )
            cell = str(world.seed) if world else "not found"
            table.add_row(name, bugs.about(name), cell, f"{time.monotonic() - begun:.0f}")
            advance()
    TABLES.print(table)
    if file:
        document = {**origin, "first": first, "worlds": seeds, "broken": missed}
        output.write_json(file, {**document, "bugs": found})
    done = len(found) - len(missed)
    CONSOLE.print(f"{done} of {len(bugs.BUGS)} found within {seeds} worlds")
    return done < len(bugs.BUGS)


def _first_found(seeds: Sequence[int], bug: str) -> Result | None:
    return next((each for each in results(seeds, bug) if each.violations), None)


@contextmanager
def _progress(what: str, done: int, total: int) -> Iterator[Advance]:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,  # which would be a thread, at the moment of a fork
    ) as progress:
        yield Advance(progress, progress.add_task(what, total=total, completed=done))
        progress.refresh()


class Advance:
    """One step of the bar; drawn at most a few times a second."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self._drawn = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        is_due = now - self._drawn > 0.3
        self._progress.update(self._task, advance=1, refresh=is_due)
        self._drawn = now if is_due else self._drawn


if __name__ == "__main__":
    sys.exit(main())
