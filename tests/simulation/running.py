"""Running seeds: one, or many on all cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

from tests.simulation import bugs, checks
from tests.simulation.fibres import START
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
    struck: Mapping[str, int] = field(default_factory=dict)
    releases: int = 1
    skewed: bool = False


def world_of(seed: int, bug: str | None = None) -> World:
    """The world of a seed after all has happened, its violations included."""
    with bugs.planted(bug):
        world = World(seed)
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
        struck={kind: times for kind, times in world.troubles.struck.items() if times},
        releases=len(world.setting.history),
        skewed=world.setting.skew > 0,
    )


def results(seeds: Sequence[int], bug: str | None = None) -> Iterator[Result]:
    """In the order of the seeds, from as many processes as there are cores.

    Needs fork: a process that starts anew would take longer than its first worlds.
    """
    context = multiprocessing.get_context("fork")
    with context.Pool(_cores(), _leave_interrupts) as pool:
        yield from pool.imap(partial(result, bug=bug), seeds, chunksize=CHUNK)


def _cores() -> int:
    """That this process may use, where the system says it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _leave_interrupts() -> None:
    """To the process that waits for this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def timeline(world: World) -> str:
    """What there was, and what happened: time, actor, what."""
    about = [f"seed {world.seed}, allowance {world.allowance} per hour and client"]
    about += [
        *(f"{each}" for each in world.setting.event_sources),
        f"clocks up to {world.setting.skew} s off; releases {_releases(world)}",
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


def _releases(world: World) -> str:
    begin = [START + timedelta(seconds=each) for each in (0.0, *world.setting.deployments)]
    both = zip(world.setting.history, begin, strict=True)
    return ", ".join(f"{release.name} from {moment:%d %H:%M:%S}" for release, moment in both)


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
