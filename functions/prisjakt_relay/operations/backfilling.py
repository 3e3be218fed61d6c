"""What a shop's orders of an interval still have to tell goes to the queue, page by page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from prisjakt_relay.conversion import Conversion
from prisjakt_relay.ledger import Store
from prisjakt_relay.operations.reconciling import records
from prisjakt_relay.operations.stack import Stack, clock, told_clearly
from prisjakt_relay.operations.threads import threads
from prisjakt_relay.platform_api.interface import Moment, PlatformApi
from prisjakt_relay.queues import enqueue
from prisjakt_relay.reconciler.progress import amend
from prisjakt_relay.reconciler.reconciliation import BACKFILLED, Standing, verdicts
from prisjakt_relay.shop import Shop

KEPT: Final = timedelta(days=7)  # how far an interrupted run came; later ones have other intervals
_PATIENCE: Final = timedelta(seconds=30)  # with the queue, for one order
_AT_ONCE: Final = 8


class Lost(NamedTuple):
    """An order that the queue has to be told of anew, and why."""

    standing: Standing
    conversion: Conversion


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Some of the shop's orders: how many, which of them are lost, and how far that is complete."""

    orders: int
    lost: tuple[Lost, ...]
    complete_until: datetime


class Interruption(NamedTuple):
    """An earlier run that did not come to its end."""

    since: datetime
    until: datetime
    complete_until: datetime

    def is_continued_by(self, since: datetime, until: datetime) -> bool:
        """Whether all that it did is of this interval, too. Without `--to` an interval's end moves
        on from one run to the next."""
        return since == self.since and self.until <= until


class BackfillBook:
    """How far each shop's last backfill came: an item of the ledger's table."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, shop: str) -> Interruption | None:
        with told_clearly():
            item = self._store.get(_key(shop)) or {}
        if "since" not in item:
            return None
        moments = (item[name] for name in ("since", "until", "complete_until"))
        return Interruption(*map(datetime.fromisoformat, moments))

    def put(self, shop: str, run: Interruption) -> None:
        texts = {name: moment.isoformat() for name, moment in run._asdict().items()}
        self._write(shop, texts, expires_at=clock() + KEPT)

    def clear(self, shop: str) -> None:
        """Nothing is left to go on with. The table itself removes what has expired."""
        if self.get(shop) is not None:
            self._write(shop, {}, expires_at=clock())

    def _write(self, shop: str, texts: dict[str, str], *, expires_at: datetime) -> None:
        """Of two runs at the same time the last one to write counts: what it says is true of it."""
        with told_clearly():
            amend(
                self._store,
                _key(shop),
                lambda _: {"expires_at": int(expires_at.timestamp()), **texts},
                by="another backfill of this shop is running",
            )


def portions(
    stack: Stack,
    name: str,
    shop: Shop,
    api: PlatformApi,
    since: datetime,
    until: datetime,
    *,
    now: datetime,
) -> Iterator[Portion]:
    """The orders that were made in the interval, as the shop's system gives them."""
    if since >= until:  # an earlier run has come to its end
        return
    known = records(stack)
    taken: set[str] = set()  # a page may have an order that an earlier page had
    for page in api.orders(since, until, by=Moment.CREATED):
        lost = {
            verdict.conversion.order_id: Lost(verdict.standing, verdict.conversion)
            for verdict in verdicts(page.orders, name, shop, known, now)
            if verdict.standing in BACKFILLED and verdict.conversion is not None
        }
        yield Portion(
            orders=len(page.orders),
            lost=tuple(each for order_id, each in lost.items() if order_id not in taken),
            complete_until=page.complete_until,
        )
        taken |= lost.keys()


def carry_out(
    stack: Stack,
    name: str,
    work: Iterable[Portion],
    since: datetime,
    until: datetime,
    *,
    on_sent: Callable[[Portion], None],
) -> None:
    """Put all of it on the queue; `on_sent` hears of each portion that is there.

    Ended anywhere, the next run of the same interval goes on behind the last whole portion.
    """
    book, sqs, queue_url = BackfillBook(stack.store), stack.sqs, stack.outputs["QueueUrl"]

    def send(lost: Lost) -> None:
        enqueue(
            lost.conversion,
            sqs=sqs,
            queue_url=queue_url,
            deadline=clock() + _PATIENCE,
            clock=clock,
            sleep=time.sleep,
        )

    with threads(_AT_ONCE) as pool, told_clearly():
        for portion in work:
            for _ in pool.map(send, portion.lost):
                pass
            book.put(name, Interruption(since, until, portion.complete_until))
            on_sent(portion)
    book.clear(name)


def _key(shop: str) -> str:
    return f"backfill#{shop}"
