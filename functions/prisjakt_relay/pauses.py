"""Pauses per client: after a 429 nobody sends for that client, over all senders."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from prisjakt_relay.errors import StorageError
from prisjakt_relay.ledger import CONTENTIONS, Store

FIRST: Final = timedelta(seconds=60)
LONGEST: Final = timedelta(hours=1)
MEMORY: Final = timedelta(hours=2)  # a 429 this long after the last one starts from FIRST again


class Pauses:
    """One table item per client. `scale` shortens only the waits that the relay itself chooses."""

    def __init__(self, store: Store, *, scale: float = 1.0) -> None:
        self._store = store
        self._scale = scale

    def until(self, client: str, now: datetime) -> datetime | None:
        """The end of the client's pause, if it is in one."""
        item = self._store.get(f"pause#{client}")
        if item is None:
            return None
        end = datetime.fromisoformat(item["until"])
        return end if end > now else None

    def start(self, client: str, asked: float | None, now: datetime) -> datetime:
        """Pause for as long as Prisjakt asked, in seconds; else 60 s, doubling up to an hour."""
        for _ in range(CONTENTIONS):
            end = self._started(client, asked, now)
            if end is not None:
                return end
        raise StorageError("the pause item is contended")

    def _started(self, client: str, asked: float | None, now: datetime) -> datetime | None:
        item = self._store.get(f"pause#{client}")
        before = datetime.fromisoformat(item["until"]) if item else now - MEMORY
        strikes = int(item["strikes"]) if item and now - before < MEMORY else 0
        if before <= now:  # else it answers a request that was under way when the pause began
            strikes += 1
        if asked is None:
            wait = min(FIRST * (1 << min(strikes - 1, 10)), LONGEST) * self._scale
        else:
            wait = timedelta(seconds=asked)
        end = max(now + wait, before)
        version = int(item["version"]) if item else None
        written = self._store.put(
            {
                "id": f"pause#{client}",
                "version": (version or 0) + 1,
                "until": end.isoformat(timespec="milliseconds"),
                "strikes": strikes,
                "expires_at": int((end + MEMORY).timestamp()) + 1,
            },
            previous=version,
        )
        return end if written else None
