"""The hourly allowance and the pause of each client, over all senders and tools.

A slot limiter on one table item (the generic cell rate algorithm, as in ATM Forum TM 4.0, annex
4.4.3): `tat` is the moment at which all requests so far would have gone if each took one step.
A request goes while that is at most a few steps ahead. Because requests are spread evenly, every
sliding hour holds at most the allowance, and nearly all of it while work waits.

Who is refused gets a place in line, one per request and shop, and comes back then: tens of
thousands may wait without asking in vain. All moments are microseconds since 1970.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Final

from prisjakt_relay.errors import StorageError
from prisjakt_relay.ledger import CONTENTIONS, Store

HOUR: Final = timedelta(hours=1)
STEADY: Final = 0.985  # share of the allowance that goes evenly,
AT_ONCE: Final = 0.008  # and that may go at once; the rest is for what is under way for a while
TARDINESS: Final = timedelta(seconds=5)  # of who comes at its turn, or the next is sent back
REMEMBERED: Final = 2_000  # clients; to have forgotten one costs one write that is refused

FIRST_PAUSE: Final = timedelta(seconds=60)
LONGEST_PAUSE: Final = timedelta(hours=1)
MEMORY: Final = timedelta(hours=2)  # a 429 this long after the last pause starts from the first
_KEPT: Final = timedelta(days=2)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class RateLimit:
    """At most `allowance` requests in any hour for each client.

    `scale` shortens only what the relay itself chooses: the hour, and pauses that Prisjakt did not
    ask for.
    """

    def __init__(self, store: Store, allowance: int, *, scale: float = 1.0) -> None:
        self._store = store
        self._scale = scale
        self._step = math.ceil(HOUR * scale / timedelta(microseconds=1) / (STEADY * allowance))
        at_once = (max(1, int(AT_ONCE * allowance)) - 1) * self._step
        self._ahead = max(at_once, _micros_of(TARDINESS * scale))
        self._seen: dict[str, int] = {}

    def reserve(
        self, client: str, shop: str, now: datetime, *, waited: bool = False
    ) -> datetime | None:
        """Take the right to one request now (None), or else a place in line: when to come back.

        Who has `waited` goes before who comes new, so that a line moves on; unless that one is so
        late that a turn would be lost.
        """
        moment = _micros(now)
        key, line = _key(client), f"line#{shop}"
        in_turn = [] if waited else [(line, "<=", moment)]
        busy = self._seen.get(client, 0) >= moment
        for _ in range(CONTENTIONS):
            if busy:
                within = [("tat", ">=", moment), ("tat", "<=", moment + self._ahead)]
                granted, item = self._store.update(
                    key, self._expiry(now), add={"tat": self._step}, only_if=[*within, *in_turn]
                )
            else:
                granted, item = self._store.update(
                    key,
                    {"tat": moment + self._step, **self._expiry(now)},
                    add={},
                    only_if=[("tat", "<", moment)],
                )
            tat = self._saw(client, int(item.get("tat", 0)))
            if granted:
                return None
            busy = tat >= moment
            behind = not waited and item.get(line, 0) > moment
            if tat > moment + self._ahead or (busy and behind):
                return self._place(key, line, max(tat - self._ahead, moment), now)
        raise StorageError("the rate limit is contended")

    def _place(self, key: str, line: str, free: int, now: datetime) -> datetime:
        """The end of the shop's line, which begins when the next request may go."""
        for _ in range(CONTENTIONS):
            joined, item = self._store.update(
                key, self._expiry(now), add={line: self._step}, only_if=[(line, ">=", free)]
            )
            if not joined:
                joined, item = self._store.update(
                    key,
                    {line: free + self._step, **self._expiry(now)},
                    add={},
                    only_if=[(line, "<", free)],
                )
            if joined:
                return _moment(int(item[line]) - self._step)
        raise StorageError("the rate limit is contended")

    def pause(self, client: str, asked: float | None, now: datetime) -> datetime:
        """After a 429: nobody sends for as long as Prisjakt asked, in seconds; else for 60 s,
        doubling up to an hour. Returns when the pause ends."""
        key, moment = _key(client), _micros(now)
        for _ in range(CONTENTIONS):
            item = self._store.get(key) or {}
            before = int(item.get("paused_until", 0))
            strikes = int(item.get("strikes", 0)) if moment - before < _micros_of(MEMORY) else 0
            if before <= moment:  # else it answers a request that was under way when it began
                strikes += 1
            if asked is None:
                wait = min(FIRST_PAUSE * (1 << min(strikes - 1, 10)), LONGEST_PAUSE) * self._scale
            else:
                wait = timedelta(seconds=asked)
            end = moment + _micros_of(wait)
            if end <= before:
                return _moment(before)
            tat = max(end + self._ahead, int(item.get("tat", 0)))
            paused, _ = self._store.update(
                key,
                {
                    "paused_until": end,
                    "strikes": strikes,
                    "tat": tat,
                    **self._expiry(_moment(end)),
                },
                add={},
                only_if=[("paused_until", "<=", before), ("tat", "<=", tat)],
            )
            if paused:
                self._saw(client, tat)
                return _moment(end)
        raise StorageError("the rate limit is contended")

    def _saw(self, client: str, tat: int) -> int:
        if client not in self._seen and len(self._seen) >= REMEMBERED:
            self._seen.clear()
        self._seen[client] = tat
        return tat

    def _expiry(self, now: datetime) -> dict[str, int]:
        """Far beyond the hour that counts; whoever sends or waits puts it off."""
        return {"expires_at": int((now + _KEPT).timestamp())}


def _key(client: str) -> str:
    return f"rate#{client}"


def _micros(moment: datetime) -> int:
    return _micros_of(moment - _EPOCH)


def _micros_of(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
