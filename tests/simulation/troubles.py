"""What goes wrong in a world, when, and how often."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final, Self

from tests.simulation.environments import SERVICES, WAYS
from tests.simulation.fibres import START

PRISJAKT: Final = (
    "500",
    "500 stored",
    "hang",
    "cut before",
    "cut after",
    "unreachable",
    "slow",
    "429",
    "401",
    "403",
    "token 500",
    "token hang",
    "token 401",
)
AWS: Final = tuple(f"{service} {way}" for service in SERVICES for way in WAYS)
ELSE: Final = ("kill", "twice", "expire tokens")
AWS_CHANCES: Final = (0.02, 0.1, 0.3, 0.7, 1.0)
LONGEST_SQS: Final = timedelta(days=6)
FIRST: Final = "500 stored", "hang", "cut after", "kill"  # the most telling ones


@dataclass(frozen=True)
class Phase:
    kind: str
    start: datetime
    end: datetime
    chance: float
    shop: str | None = None


class Troubles:
    """All phases of a world; none lasts beyond `end`."""

    def __init__(self, random: Random, phases: Iterable[Phase]) -> None:
        self._random = random
        self._phases: defaultdict[str, list[Phase]] = defaultdict(list)
        self.struck: Counter[str] = Counter()
        self.phases = list(phases)
        for phase in self.phases:
            self._phases[phase.kind].append(phase)
        self.end = max((phase.end for phase in self.phases), default=START)

    @classmethod
    def drawn(cls, random: Random) -> Self:
        many = random.choice((0, 1, 2, 3, 4, 5, 6, 8))
        return cls(random, [phase for _ in range(many) for phase in _phases(random)])

    def strikes(self, kind: str, now: datetime, shop: str | None = None) -> bool:
        """Whether it happens to a call, an answer or a process, which counts."""
        struck = self.happens(kind, now, shop)
        if struck:
            self.struck[kind] += 1
        return struck

    def happens(self, kind: str, now: datetime, shop: str | None = None) -> bool:
        phases = self._phases.get(kind)
        if phases is None:
            return False
        return any(
            phase.start <= now < phase.end
            and (phase.shop is None or phase.shop == shop)
            and self._random.random() < phase.chance
            for phase in phases
        )

    def are_on(self, kinds: Iterable[str], start: datetime, end: datetime) -> bool:
        """Whether any of these is to be reckoned with at some time between the two."""
        return any(
            phase.start < end and start < phase.end
            for kind in kinds
            for phase in self._phases.get(kind, ())
        )


def _phases(random: Random) -> Iterator[Phase]:
    """One phase; or one of each service at the same time, as when a whole region has trouble."""
    start = START + timedelta(seconds=random.uniform(0, 12 * 3600))
    longest = 36 if random.random() < 0.2 else 6
    if random.random() < 0.005:
        longest = 24 * 20
    end = start + timedelta(hours=10 ** random.uniform(-2, 0) * longest)
    if random.random() < 0.1:
        for service in SERVICES:
            kind = f"{service} {random.choice(WAYS)}"
            yield Phase(kind, start, _end(kind, start, end), random.choice(AWS_CHANCES))
        return
    kind = random.choice(random.choice((PRISJAKT, AWS, ELSE, FIRST)))
    chance = random.choice((0.1, 0.3, 0.3, 0.7, 1.0))
    if kind == "kill":
        chance = random.choice((0.01, 0.03, 0.1))
    if kind in AWS:
        chance = random.choice(AWS_CHANCES)
    shop = random.choice((None, None, "shop-0")) if kind in PRISJAKT else None
    yield Phase(kind, start, _end(kind, start, end), chance, shop)


def _end(kind: str, start: datetime, end: datetime) -> datetime:
    """SQS forgets a message after 14 days, and the relay puts it on anew after 7: if nobody can
    receive for longer than the rest, no consumer can save it."""
    return min(end, start + LONGEST_SQS) if kind.startswith("sqs ") else end
