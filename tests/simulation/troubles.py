"""What goes wrong in a world, when, and how often."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

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
AWS: Final = ("throttled", "lost", "slow aws", "sqs", "secrets", "receiver")
ELSE: Final = ("kill", "twice", "expire tokens")
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

    def __init__(self, random: Random) -> None:
        self._random = random
        self._phases: defaultdict[str, list[Phase]] = defaultdict(list)
        self.phases: list[Phase] = []
        for _ in range(random.choice((0, 1, 2, 3, 4, 5, 6, 8))):
            self._add()
        self.end = max((phase.end for phase in self.phases), default=START)

    def _add(self) -> None:
        random = self._random
        kind = random.choice(random.choice((PRISJAKT, AWS, ELSE, FIRST)))
        start = START + timedelta(seconds=random.uniform(0, 12 * 3600))
        longest = 36 if random.random() < 0.2 else 6
        chance = random.choice((0.1, 0.3, 0.3, 0.7, 1.0))
        if kind == "kill":
            chance = random.choice((0.01, 0.03, 0.1))
        if kind in ("lost", "throttled", "sqs"):
            chance = random.choice((0.02, 0.1, 0.3, 0.9))
        if random.random() < 0.005:
            longest = 24 * 20
        hours = 10 ** random.uniform(-2, 0) * longest
        shop = random.choice((None, None, "shop-0")) if kind in PRISJAKT else None
        phase = Phase(kind, start, start + timedelta(hours=hours), chance, shop)
        self.phases.append(phase)
        self._phases[kind].append(phase)

    def strikes(self, kind: str, now: datetime, shop: str | None = None) -> bool:
        return any(
            phase.start <= now < phase.end
            and (phase.shop is None or phase.shop == shop)
            and self._random.random() < phase.chance
            for phase in self._phases.get(kind, ())
        )

    def has(self, *kinds: str) -> bool:
        return any(kind in self._phases for kind in kinds)
