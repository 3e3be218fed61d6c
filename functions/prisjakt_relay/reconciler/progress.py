"""Which shops are reconciled and how far: items of the ledger's table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from prisjakt_relay.errors import StorageError
from prisjakt_relay.ledger import CONTENTIONS, Store, moment_text

LIST: Final = "reconciled-shops"
FIRST_LOOK: Final = timedelta(hours=46)  # back; a first run that comes in time reads all of it

Changed = Callable[[Mapping[str, Any] | None], dict[str, Any] | None]
"""What becomes of an item, if there is one; None to leave it as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a shop is: every change of its orders before `cursor` has been looked at, in a run
    that wanted to come to `reach`.

    `last_order_at` and `last_click_at` are when an order last changed, and when one that carries a
    click id did. `ran_at` is the last run, `problem` why it ended early, if it did. `has_webhooks`:
    some of ours were seen by the shop's API.
    """

    cursor: datetime | None = None
    reach: datetime | None = None
    last_order_at: datetime | None = None
    last_click_at: datetime | None = None
    ran_at: datetime | None = None
    problem: str = ""
    has_webhooks: bool = False


class ProgressBook:
    """The list of shops, which people change, and each one's progress, which the function does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def shops(self) -> tuple[str, ...]:
        item = self._store.get(LIST)
        return tuple(sorted(item["shops"])) if item else ()

    def add(self, shop: str, now: datetime) -> bool:
        """Put the shop on the list; returns whether it was not on it.

        It begins anew, with the last days' orders: that nobody looked while it was off the list is
        neither gap nor silence.
        """
        added = self._listed(shop, on=True)
        if added:
            beginning = Progress(cursor=now - FIRST_LOOK, last_order_at=now, last_click_at=now)
            self.put(shop, beginning)
        return added

    def remove(self, shop: str) -> bool:
        """Take the shop off the list; returns whether it was on it."""
        return self._listed(shop, on=False)

    def _listed(self, shop: str, *, on: bool) -> bool:
        def changed(item: Mapping[str, Any] | None) -> dict[str, Any] | None:
            shops = dict(item["shops"]) if item else {}
            if (shop in shops) is on:
                return None
            if on:
                shops[shop] = True
            else:
                del shops[shop]
            return {"shops": shops}

        return amend(self._store, LIST, changed)

    def get(self, shop: str) -> Progress:
        item = self._store.get(_key(shop)) or {}
        return Progress(
            cursor=_moment(item, "cursor"),
            reach=_moment(item, "reach"),
            last_order_at=_moment(item, "last_order_at"),
            last_click_at=_moment(item, "last_click_at"),
            ran_at=_moment(item, "ran_at"),
            problem=item.get("problem", ""),
            has_webhooks=item.get("has_webhooks", False),
        )

    def put(self, shop: str, progress: Progress) -> None:
        moments = {
            "cursor": progress.cursor,
            "reach": progress.reach,
            "last_order_at": progress.last_order_at,
            "last_click_at": progress.last_click_at,
            "ran_at": progress.ran_at,
        }
        texts = {name: moment_text(moment) for name, moment in moments.items() if moment}
        others = {"problem": progress.problem, "has_webhooks": progress.has_webhooks}
        amend(self._store, _key(shop), lambda _: {**texts, **others})


def amend(store: Store, key: str, changed: Changed, *, by: str = "") -> bool:
    """Write what becomes of an item, on its newest version; False if it stays as it is. `by` says
    who else may be writing it."""
    for _ in range(CONTENTIONS):
        item = store.get(key)
        after = changed(item)
        if after is None:
            return False
        version = None if item is None else int(item["version"])
        if store.put({"id": key, "version": (version or 0) + 1, **after}, previous=version):
            return True
    raise StorageError(f"{key} is contended" + (f": {by}" if by else ""))


def _key(shop: str) -> str:
    return f"reconciled#{shop}"


def _moment(item: Mapping[str, Any], name: str) -> datetime | None:
    text = item.get(name)
    return datetime.fromisoformat(text) if text else None
