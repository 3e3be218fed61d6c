"""The sender's rules for erasures: what is known of orders goes, that they are erased stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

from prisjakt_relay.conversion import AHEAD, PURCHASE, TEST_PURCHASE
from prisjakt_relay.erasure import KIND, Erasure
from prisjakt_relay.errors import MessageError, StorageError
from prisjakt_relay.ledger import FURTHEST
from prisjakt_relay.outcomes import Outcome
from prisjakt_relay.queues import LONGEST_DELAY, Message
from prisjakt_relay.sender.sending import (
    ENOUGH_TIME,
    UNCLAIMED,
    UNSENT_WAIT,
    Ports,
    Sending,
    Wait,
    put_off,
    stored_later,
)

SLICE: Final = timedelta(seconds=20)  # of one round; the rest of its time is for orders
SECOND_LOOK: Final = UNCLAIMED + timedelta(minutes=5)  # after the request
_DAY: Final = timedelta(days=1)

Unread = tuple[Message, MessageError]


class _Interrupted(Exception):  # noqa: N818  # control flow inside this module, never an error
    """The slice is over; `left` is what the next message has to do."""

    def __init__(self, left: Erasure) -> None:
        self.left = left


def erase(
    unread: Iterable[Unread], sending: Sending, ports: Ports
) -> tuple[list[str], list[Unread]]:
    """Do what is an erasure; returns the ids of those that come back, and what is none.

    Each can be done twice, or be cut off anywhere: what is erased already takes one read.
    """
    unsettled: list[str] = []
    unreadable: list[Unread] = []
    end = min(ports.clock() + SLICE, sending.deadline - ENOUGH_TIME)
    for message, error in unread:
        try:
            wish = Erasure.from_message(message.body)
        except MessageError as why:
            unreadable.append((message, error if why.field == "kind" else why))
            continue
        if not _done(message, wish, end, sending, ports):
            unsettled.append(message.id)
    return unsettled, unreadable


def _done(message: Message, wish: Erasure, end: datetime, sending: Sending, ports: Ports) -> bool:
    """Whether the message can go: all is erased, or another message knows what is left."""
    now = ports.clock()
    due = wish.received_at + SECOND_LOOK * ports.scale
    if wish.second and now < due:
        wait = Wait((due - now).total_seconds(), "its turn has not come")
        return _comes_back(message, wish, wait, ports)
    if (away := sending.storage_is_away(message)) is not None:
        return _comes_back(message, wish, away, ports)
    work = _Work(wish, end, ports)
    left: Erasure | None = None
    seconds = UNSENT_WAIT * ports.scale
    try:
        work.do()
        if wish.whole_shop and not wish.second:
            left = replace(wish, from_day=None, second=True)
            seconds = LONGEST_DELAY * ports.scale
    except _Interrupted as interrupted:
        left = interrupted.left
        if left == wish and not work.erased:
            wait = Wait(seconds, "no time left in this round")
            return _comes_back(message, wish, wait, ports)
    except StorageError as error:
        wait = sending.storage_failed(message, f"storage: {error}")
        return _comes_back(message, wish, wait, ports)
    sending.storage_failures = 0
    if left is not None:
        copy = replace(message, body=left.to_message())
        if not ports.queue.renew(copy, wish.shop, seconds):
            return _comes_back(message, wish, stored_later(message, ports, "queue"), ports)
    ports.emit(
        Outcome.ERASED,
        outcome=Outcome.ERASED,
        platform=wish.platform,
        shop=wish.shop,
        items=work.erased,
        whole_shop=wish.whole_shop or None,
        goes_on=True if left is not None else None,
    )
    return True


def _comes_back(message: Message, wish: Erasure, wait: Wait, ports: Ports) -> bool:
    """Make it wait; True if a fresh copy waits instead."""
    ports.emit(
        Outcome.WAITING,
        outcome=Outcome.WAITING,
        cause=wait.cause,
        kind=KIND,
        seconds=round(wait.seconds, 1),
        age=None if wish.second else (ports.clock() - wish.received_at).total_seconds(),
        platform=wish.platform,
        shop=wish.shop,
        receives=message.receives,
    )
    return put_off(message, wish.shop, wait.seconds, ports)


class _Work:
    """One slice of an erasure; counts the items that it erased."""

    def __init__(self, wish: Erasure, end: datetime, ports: Ports) -> None:
        self.erased = 0
        self._wish = wish
        self._end = end
        self._ports = ports

    def do(self) -> None:
        """Raises `_Interrupted` at the end of the slice, and `StorageError`."""
        if self._wish.whole_shop:
            self._shop()
        else:
            self._orders(self._wish.order_ids)

    def _orders(self, order_ids: Sequence[str]) -> None:
        for number, order_id in enumerate(order_ids):
            if self._ports.clock() >= self._end:
                raise _Interrupted(replace(self._wish, order_ids=tuple(order_ids[number:])))
            # Also what the ledger does not know: its message may be on the way.
            for event_name in (PURCHASE, TEST_PURCHASE):
                self._order(order_id, event_name)

    def _shop(self) -> None:
        """The dead ones, then day by day. What is erased leaves both lists."""
        wish, ledger = self._wish, self._ports.ledger
        if wish.from_day is None:
            ledger.note_erasure(wish.shop, wish.received_at, self._ports.clock())
            self._items(ledger.dead_orders(wish.shop, wish.received_at), None)
        for day in self._days(wish):
            if self._ports.clock() >= self._end:
                raise _Interrupted(replace(wish, from_day=day))
            self._items(ledger.orders_of_day(wish.shop, day, wish.received_at), day)

    def _days(self, wish: Erasure) -> Iterator[date]:
        """From where a shop's clock that is ahead may be, backwards."""
        day = wish.from_day or (wish.received_at + AHEAD).date()
        last = (wish.received_at - FURTHEST).date()
        while day >= last:
            yield day
            day -= _DAY

    def _items(self, item_keys: Iterable[str], day: date | None) -> None:
        for item_key in item_keys:
            if self._ports.clock() >= self._end:
                raise _Interrupted(replace(self._wish, from_day=day))
            order_id, _, event_name = item_key.removeprefix(f"order#{self._wish.shop}#").rpartition(
                "#"
            )
            self._order(order_id, event_name)

    def _order(self, order_id: str, event_name: str) -> None:
        wish = self._wish
        self.erased += self._ports.ledger.erase(
            platform=wish.platform,
            shop=wish.shop,
            order_id=order_id,
            event_name=event_name,
            now=self._ports.clock(),
            until=wish.received_at if wish.whole_shop else None,
        )
