"""Running seeds: one, or many on all cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.simulation import bugs, checks
from tests.simulation.reconciling import Reconciling
from tests.simulation.shops import Shop
from tests.simulation.world import World

CHUNK: Final = 10


@dataclass(frozen=True)
class Result:
    seed: int
    violations: tuple[str, ...]
    requests: int = 0
    invocations: int = 0
    lost: int = 0
    recovered: int = 0


def world_of(seed: int, bug: str | None = None, *, reconciles: bool = True) -> World:
    """The world of a seed after all has happened, its violations included."""
    with bugs.planted(bug):
        world = World(seed, reconciles=reconciles)
        world.run()
    if not world.violations:
        for what in checks.violations(world):
            world.violated(what)
    return world


def result(seed: int, bug: str | None = None) -> Result:
    world = world_of(seed, bug)
    reconciling = world.reconciling
    return Result(
        seed,
        tuple(world.violations),
        world.requests,
        world.invocations,
        lost=reconciling.lost if reconciling else 0,
        recovered=reconciling.recovered if reconciling else 0,
    )


def results(seeds: Sequence[int], bug: str | None = None) -> Iterator[Result]:
    """In the order of the seeds, from as many processes as there are cores."""
    processes = len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("fork")
    with context.Pool(processes) as pool:
        yield from pool.imap(partial(result, bug=bug), seeds, chunksize=CHUNK)


def timeline(world: World) -> str:
    """What there was, and what happened: time, actor, what."""
    about = [f"seed {world.seed}, allowance {world.allowance} per hour and client"]
    about += [
        f"up to {world.queue.most_senders} senders, batches of {world.queue.batch}",
        *(_shop(shop) for shop in world.shops),
        *(_reconciler(world.reconciling) if world.reconciling else ()),
        *(
            f"{phase.start:%d %H:%M:%S} - {phase.end:%d %H:%M:%S} {phase.kind} "
            f"({phase.chance:.0%}{', ' + phase.shop if phase.shop else ''})"
            for phase in world.troubles.phases
        ),
    ]
    lines = [
        f"{moment:%d %H:%M:%S.%f} {actor:<10} {text % values}"
        for moment, actor, text, values in world.lines
    ]
    return "\n".join([*about, "", *lines, "", *world.violations])


def _reconciler(reconciling: Reconciling) -> Iterator[str]:
    yield f"{reconciling.share:.0%} of the deliveries are lost, the reconciler runs every hour"
    for phase in reconciling.phases:
        yield (
            f"{phase.start:%d %H:%M:%S} - {phase.end:%d %H:%M:%S} the shops' APIs: {phase.kind} "
            f"({phase.chance:.0%})"
        )


def _shop(shop: Shop) -> str:
    orders = [
        f"{order.id}{' poison' * order.poison}{' browser' * order.browser}" for order in shop.orders
    ]
    change = f", {shop.change} at {shop.changes_at:%d %H:%M:%S}" if shop.change else ""
    return (
        f"{shop.name}: {shop.platform}, client {shop.client_id} ({shop.auth}), "
        f"corrections {shop.corrections}, when {shop.report_when}, orders {orders}{change}"
    )
