"""What a world begins with: drawn from its seed, or made for a purpose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from tests.simulation.environments import HISTORIES, THIS, Release
from tests.simulation.fibres import START
from tests.simulation.shops import Shop, shops
from tests.simulation.troubles import Phase, Troubles

from prisjakt_relay.ledger import LAST_FIRST_REPORT

DAY: Final = 86_400.0
FEW: Final = 7  # orders; with more a world in which Prisjakt is away takes too long
PRISJAKT_AWAY: Final = 0.004  # of the worlds with few orders
LOCKED: Final = 0.03  # of the worlds with several shops


@dataclass(frozen=True)
class EventSource:
    """The event source mapping: senders at once, messages in a batch, seconds to gather them."""

    senders: int
    batch: int
    window: float


@dataclass(frozen=True)
class Locked:
    """The senders may not read the document of this shop."""

    shop: str
    start: datetime
    end: datetime


# As the template has it.
DEPLOYED: Final = EventSource(senders=2, batch=100, window=5.0)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """`skew` is by how many seconds the processes' clocks are off at most, `deployments` are the
    moments in seconds at which each release of `history` but the first begins. `doubles` is the
    share of messages that the queue delivers twice; those of the receiver come with
    `first_receives`, as if they had waited for long.
    `steps` are the most that may happen. `is_told` says whether the world's story is kept."""

    shops: list[Shop]
    troubles: Troubles
    allowance: int
    event_sources: tuple[EventSource, ...] = (DEPLOYED,)
    token_life: timedelta = timedelta(seconds=86_399)
    locked: Locked | None = None
    skew: float = 0.0
    history: tuple[Release, ...] = (THIS,)
    deployments: tuple[float, ...] = ()
    doubles: float = 0.0
    first_receives: int = 0
    ttl_lag: float = DAY
    reconciles: bool = False
    steps: int = 200_000
    is_told: bool = True


def drawn(seed: int, random: Random, *, reconciles: bool) -> Setting:
    """What is rare has a randomness of its own, so that all other worlds are as without it."""
    history = random.choice(HISTORIES)
    there = shops(random)
    troubles = Troubles.drawn(random)
    rare = Random(f"{seed} Prisjakt away")  # noqa: S311
    orders = sum(len(shop.orders) for shop in there)
    if orders <= FEW and rare.random() < PRISJAKT_AWAY:
        troubles = Troubles(random, [*troubles.phases, _prisjakt_away(rare)])
    setting = Setting(
        shops=there,
        troubles=troubles,
        allowance=random.choice((3, 5, 20, 60, 300, 10_000, 10_000)),
        event_sources=tuple(_event_source(random) for _ in history),
        token_life=timedelta(seconds=random.choice((86_399, 86_399, 900))),
        skew=random.choice((0.0, 0.0, 0.0, 0.5, 3.0)),
        history=history,
        deployments=tuple(sorted(random.uniform(0, DAY / 2) for _ in history[1:])),
        doubles=random.choice((0.0, 0.01, 0.05)),
        first_receives=random.choice((0,) * 12 + (285, 295)),
        ttl_lag=random.uniform(0, 2 * DAY),
        reconciles=reconciles,
    )
    rare = Random(f"{seed} locked")  # noqa: S311
    if len(there) > 1 and rare.random() < LOCKED:
        return _locked(setting, rare, random)
    return setting


def _locked(setting: Setting, rare: Random, random: Random) -> Setting:
    """There is no other trouble, and one sender, whose batches have orders of several shops: the
    other shops have nothing to wait for."""
    start = START + timedelta(seconds=rare.uniform(0, DAY / 4))
    end = start + timedelta(seconds=rare.uniform(DAY / 12, DAY / 2))
    locked = Locked(rare.choice(setting.shops).name, start, end)
    return replace(
        setting,
        locked=locked,
        troubles=Troubles(random, []),
        allowance=max(setting.allowance, 10_000),
        event_sources=(EventSource(senders=1, batch=100, window=60.0),) * len(setting.history),
        doubles=0.0,
    )


def _prisjakt_away(random: Random) -> Phase:
    """For about as long as the rules try to report an order."""
    start = START + timedelta(seconds=random.uniform(0, DAY / 4))
    length = LAST_FIRST_REPORT + timedelta(days=random.uniform(-1, 4))
    return Phase(random.choice(("unreachable", "500", "500 stored")), start, start + length, 1.0)


def _event_source(random: Random) -> EventSource:
    """Not all of these can be set in AWS; but with what can be set, all of them can happen."""
    return EventSource(
        senders=random.choice((1, 2, 2, 3, 5, 10)),
        batch=random.choice((10, 10, 100)),
        window=random.choice((0.2, 0.2, 5.0, 60.0)),
    )
