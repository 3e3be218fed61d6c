"""Offers deliveries by schedule, whatever becomes of the earlier ones, and notes every try.

The loop is open: a delivery is due when its turn comes, and its time counts from that moment,
not from when somebody was free to take it. A shop that waits longer than its patience gives up,
and sends the delivery again later.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

TIMED_OUT: Final = 0
TURNED_AWAY: Final = -1  # more were in hand than the bound
BROKEN: Final = -2  # the connection ended before the answer

ACCEPTED: Final = 200
PATIENCE: Final = 5.0  # Shopify's: https://shopify.dev/docs/apps/build/webhooks
SHORTENED_WAITS: Final = (10.0, 30.0)  # Shopify tries 8 times again, within 4 hours

_LONGEST_NAP: Final = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """How many deliveries come, from which number on, how fast, and how patient the shop is.

    `in_hand` is the most that are sent or wait to be sent at a time; `waits` are the seconds
    before the second try, the third, and so on.
    """

    rate: float
    count: int
    first: int = 0
    in_hand: int = 256
    patience: float = PATIENCE
    waits: tuple[float, ...] = SHORTENED_WAITS

    @staticmethod
    def waits_of(tries: int) -> tuple[float, ...]:
        """So that there are at most so many tries."""
        return SHORTENED_WAITS[: tries - 1]

    @property
    def seconds(self) -> float:
        return self.count / self.rate

    @property
    def numbers(self) -> range:
        return range(self.first, self.first + self.count)


class Try(NamedTuple):
    """One try of one delivery; `seconds` from when it was due, `at` seconds after the start."""

    number: int
    attempt: int
    status: int
    seconds: float
    at: float


class Slot(Protocol):
    """What takes one delivery at a time: a connection, a process."""

    def begin(self, number: int) -> None: ...

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""


class _Work(NamedTuple):
    due: float
    number: int
    attempt: int


class Offering:
    """The deliveries of one plan, and the slots that take them."""

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.perf_counter) -> None:
        self.plan = plan
        self.tries: list[Try] = []
        self.lags: list[float] = []
        self.begun = 0
        self.undecided = plan.count
        self._clock = clock
        self._start = 0.0
        self._again: list[_Work] = []
        self._waiting: deque[_Work] = deque()
        self._busy: dict[Slot, _Work] = {}
        self._idle: list[Slot] = []

    @property
    def in_hand(self) -> int:
        return len(self._busy) + len(self._waiting)

    def start(self) -> None:
        self._start = self._clock()

    def take_over(self, other: Offering) -> None:
        """The slots of one that is over."""
        while other._idle:
            self.admit(other._idle.pop())

    def admit(self, slot: Slot) -> None:
        """A slot is free."""
        if self._waiting:
            self._hand_over(slot, self._waiting.popleft())
        else:
            self._idle.append(slot)

    def withdraw(self, slot: Slot) -> None:
        """A slot is gone, and with it what it had in hand."""
        if slot in self._idle:
            self._idle.remove(slot)
        self.answered(slot, BROKEN)

    def arrive(self) -> float:
        """Send what is due; returns the seconds until something is due again."""
        now = self._now()
        while (moment := self._next()) is not None and moment <= now:
            self._come(self._take(), now)
            now = self._now()
        return _LONGEST_NAP if moment is None else min(_LONGEST_NAP, moment - now)

    def answered(self, slot: Slot, status: int) -> None:
        work = self._busy.pop(slot, None)
        if work is not None:
            self._note(work, status)

    def expire(self) -> None:
        """Give up what has taken longer than the shop's patience."""
        latest = self._now() - self.plan.patience
        for slot, work in list(self._busy.items()):
            if work.due <= latest:
                del self._busy[slot]
                self._note(work, TIMED_OUT)
                slot.abandon()
        for work in [work for work in self._waiting if work.due <= latest]:
            self._waiting.remove(work)
            self._note(work, TIMED_OUT)

    def _now(self) -> float:
        return self._clock() - self._start

    def _next(self) -> float | None:
        """When the next one is due: a first try by its place in the schedule, or another's."""
        first = self.begun / self.plan.rate if self.begun < self.plan.count else None
        again = self._again[0].due if self._again else None
        return min((each for each in (first, again) if each is not None), default=None)

    def _take(self) -> _Work:
        due = self.begun / self.plan.rate
        if self.begun < self.plan.count and not (self._again and self._again[0].due < due):
            work = _Work(due, self.plan.first + self.begun, 1)
            self.begun += 1
            return work
        return heapq.heappop(self._again)

    def _come(self, work: _Work, now: float) -> None:
        self.lags.append(now - work.due)
        if self._idle:
            self._hand_over(self._idle.pop(), work)
        elif self.in_hand < self.plan.in_hand:
            self._waiting.append(work)
        else:
            self._note(work, TURNED_AWAY)

    def _hand_over(self, slot: Slot, work: _Work) -> None:
        self._busy[slot] = work
        slot.begin(work.number)

    def _note(self, work: _Work, status: int) -> None:
        now = self._now()
        self.tries.append(Try(work.number, work.attempt, status, now - work.due, now))
        if status != ACCEPTED and work.attempt <= len(self.plan.waits):
            due = now + self.plan.waits[work.attempt - 1]
            heapq.heappush(self._again, _Work(due, work.number, work.attempt + 1))
        else:
            self.undecided -= 1


async def offer(offering: Offering, report: Callable[[Offering], None]) -> None:
    """Until every delivery is taken or given up."""
    offering.start()
    looked_at = 0.0
    while offering.undecided:
        nap = offering.arrive()
        if (now := time.perf_counter()) - looked_at >= _LONGEST_NAP:
            looked_at = now
            offering.expire()
            report(offering)
        await asyncio.sleep(max(0.0, nap))
