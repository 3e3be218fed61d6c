"""What a process that offers load tells the one that started it: a line of JSON at a time."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from pydantic import TypeAdapter
from tests.benchmark.load_figures import AtPrisjakt
from tests.benchmark.offering import ACCEPTED, Offering, Try

_EVERY_SECONDS: Final = 0.5

State = Literal["ready", "offering", "offered", "drained"]


@dataclass(frozen=True, slots=True)
class Line:
    """`waiting` is the queue's length, where the process has the queue."""

    state: State
    begun: int = 0
    accepted: int = 0
    in_hand: int = 0
    waiting: int = 0

    @classmethod
    def of(cls, text: str) -> Line:
        return _LINE.validate_json(text)


def tell(line: Line) -> None:
    sys.stdout.write(_LINE.dump_json(line).decode() + "\n")
    sys.stdout.flush()


class Teller:
    """Tells how an offering goes on, now and then."""

    def __init__(self) -> None:
        self._told_at = 0.0
        self._counted = 0
        self._accepted = 0

    def __call__(self, offering: Offering, waiting: int = 0) -> None:
        now = time.perf_counter()
        if now - self._told_at < _EVERY_SECONDS:
            return
        self._told_at = now
        for each in offering.tries[self._counted :]:
            self._accepted += each.status == ACCEPTED
        self._counted = len(offering.tries)
        tell(Line("offering", offering.begun, self._accepted, offering.in_hand, waiting))


@dataclass(frozen=True)
class Result:
    """All that the process saw. `warm_up` are the tries before the schedule began, `lags` how late
    the process itself was, in seconds. The others are what it knows of Prisjakt and of the queue:
    its length when the schedule was over, how long it took to empty, what it held at the end; and
    how many trace ids the process of each number was handed while the schedule ran."""

    tries: tuple[Try, ...]
    warm_up: tuple[Try, ...]
    lags: tuple[float, ...]
    events: tuple[AtPrisjakt, ...] = ()
    backlog: int = 0
    drain_seconds: float = 0.0
    left_over: int = 0
    trace_ids: Mapping[int, int] = field(default_factory=dict)

    def write(self, file: Path) -> None:
        file.write_bytes(_RESULT.dump_json(self))

    @classmethod
    def read(cls, file: Path) -> Result:
        return _RESULT.validate_json(file.read_bytes())


_RESULT: Final = TypeAdapter(Result)
_LINE: Final = TypeAdapter(Line)
