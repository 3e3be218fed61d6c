"""Virtual time, and threads of control that take turns in it: one runs, all others stand still.

The relay's code is synchronous, so each invocation has a thread; a baton of locks hands the turn
over. Who only lets time pass keeps the turn if nothing else is due before.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2026, 11, 21, tzinfo=UTC)


class Killed(BaseException):
    """The function ends here, whatever it was doing."""


class Fibre:
    """A thread that runs one invocation after another, and only when it is its turn."""

    def __init__(self) -> None:
        self.name = ""
        self.deadline = START
        self.doomed = False
        self._work: Callable[[], None] | None = None
        self._turn = threading.Lock()
        self._back = threading.Lock()
        self._turn.acquire()
        self._back.acquire()
        threading.Thread(target=self._run, daemon=True).start()

    def start(self, name: str, deadline: datetime, work: Callable[[], None]) -> None:
        self.name, self.deadline, self.doomed, self._work = name, deadline, False, work

    def resume(self) -> bool:
        """Give it the turn until it pauses or ends; True if it has ended."""
        self._turn.release()
        self._back.acquire()
        return self._work is None

    def pause(self) -> None:
        self._back.release()
        self._turn.acquire()

    def _run(self) -> None:
        while True:
            self._turn.acquire()
            if self._work is not None:
                self._work()
            self._work = None
            self._back.release()


class Time:
    """The clock and what is due."""

    idle: Final[list[Fibre]] = []  # threads outlive their world

    def __init__(self) -> None:
        self.now = START
        self.running: Fibre | None = None
        self.paused: list[Fibre] = []
        self.steps = 0
        self.stopped = False
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._count = 0

    def __call__(self) -> datetime:
        return self.now

    def at(self, moment: datetime, action: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (max(moment, self.now), self._count, action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        self.at(self.now + timedelta(seconds=seconds), action)

    def run(self, until: datetime) -> bool:
        """Do what is due until nothing is; False if something is left then."""
        while self._due:
            if self._due[0][0] > until or self.stopped:
                return False
            self.now, _, action = heapq.heappop(self._due)
            self.steps += 1
            action()
        return True

    def begin(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        """Let an invocation begin now, with so many seconds to live."""
        fibre = self.idle.pop() if self.idle else Fibre()
        fibre.start(name, self.now + timedelta(seconds=seconds), work)
        self._turn(fibre)

    def sleep(self, seconds: float) -> None:
        """Let time pass for the invocation whose turn it is; it may die of it."""
        fibre = self.running
        assert fibre is not None, "only an invocation can wait"
        moment = self.now + timedelta(seconds=seconds)
        late = moment >= fibre.deadline
        if late:
            moment = fibre.deadline
        if self._due and self._due[0][0] <= moment:
            self.paused.append(fibre)
            self.at(moment, lambda: self._turn(fibre))
            fibre.pause()
        else:
            self.now = moment
        if late or fibre.doomed:
            raise Killed("time-out")

    def end(self) -> None:
        """Unwind whoever is left, so that the threads can serve another world."""
        self._due.clear()
        while self.paused:
            fibre = self.paused[-1]
            fibre.doomed = True
            self._turn(fibre)

    def _turn(self, fibre: Fibre) -> None:
        if fibre in self.paused:
            self.paused.remove(fibre)
        self.running = fibre
        ended = fibre.resume()
        self.running = None
        if ended:
            self.idle.append(fibre)
