"""`make simulate`: many seeds on all cores, or one with its timeline."""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tests.simulation import bugs
from tests.simulation.running import Result, results, timeline, world_of

CONSOLE = Console(soft_wrap=True, highlight=False, markup=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many worlds")
    parser.add_argument("--first", type=int, default=0, help="the first seed of them")
    parser.add_argument("--seed", type=int, help="one world, with its timeline")
    parser.add_argument("--bug", choices=list(bugs.BUGS), help="plant this bug in the relay")
    options = parser.parse_args()
    if options.seed is not None:
        return _one(options.seed, options.bug)
    return _many(range(options.first, options.first + options.seeds), options.bug)


def _one(seed: int, bug: str | None) -> int:
    world = world_of(seed, bug)
    CONSOLE.print(timeline(world))
    CONSOLE.print("every promise kept" if not world.violations else f"broken in seed {seed}")
    return bool(world.violations)


def _many(seeds: range, bug: str | None) -> int:
    begun = time.monotonic()
    done: list[Result] = []
    bad: Result | None = None
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,  # which would be a thread, at the moment of a fork
    ) as progress:
        task = progress.add_task("worlds", total=len(seeds))
        for result in results(seeds, bug):
            done.append(result)
            progress.update(task, advance=1, refresh=len(done) % 20 == 0)
            if result.violations:
                bad = result
                break
        progress.refresh()
    seconds = time.monotonic() - begun
    if bad is not None:
        CONSOLE.print(timeline(world_of(bad.seed, bug)))
        CONSOLE.print(f"broken in seed {bad.seed}, after {len(done)} worlds in {seconds:.1f} s")
        return 1
    invocations = sum(result.invocations for result in done)
    requests = sum(result.requests for result in done)
    lost = [result.lost for result in done if result.lost]
    recovered = sum(result.recovered for result in done)
    CONSOLE.print(
        f"{len(done)} worlds in {seconds:.1f} s ({len(done) / seconds:.0f} per second): "
        f"{invocations} invocations, {requests} requests; in {len(lost)} of them {sum(lost)} "
        f"deliveries lost, {recovered} orders found by the reconciler; every promise kept"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
