"""The sender's round: what to do with a batch of messages, and what becomes of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from prisjakt_relay import ledger
from prisjakt_relay.conversion import PURCHASE, Conversion
from prisjakt_relay.errors import MessageError, StorageError, UnavailableError, UnknownShopError
from prisjakt_relay.ledger import Facts
from prisjakt_relay.outcomes import Outcome
from prisjakt_relay.queues import Message
from prisjakt_relay.sender.sending import (
    FIRST_WAIT,
    LONGEST_WAIT,
    Order,
    Ports,
    Result,
    Sending,
    Try,
    Wait,
    answer_fields,
    emit_outcome,
    jittered,
    until_turn,
)
from prisjakt_relay.shop import Shop

BUSY_WAIT: Final = 10.0  # a try is over long before its lease is


def report(messages: Sequence[Message], ports: Ports, deadline: datetime) -> list[str]:
    """Work on a whole batch; returns the ids of the messages that are not settled.

    `deadline` is when the function would be killed. Nothing is slept for: what has to wait goes
    back to the queue. Messages of one order are merged: the highest revision speaks for all.
    """
    sending = Sending(ports, deadline)
    readable, unsettled = _read(messages, ports)
    for order, wait in _results(readable, sending, ports):
        if wait is not None and not _comes_back(order, wait, ports):
            unsettled.append(order.message.id)
    for (shop, correction), moment in sending.succeeded.items():
        with suppress(StorageError):  # the next success writes it again
            ports.ledger.note_success(shop, moment, correction=correction)
    return unsettled


def _read(messages: Iterable[Message], ports: Ports) -> tuple[list[Order], list[str]]:
    """Orders, and the ids of messages that are neither readable nor set aside safely."""
    readable: list[Order] = []
    stuck: list[str] = []
    for message in messages:
        try:
            readable.append(Order(message, Conversion.from_message(message.body)))
        except MessageError as error:
            ports.emit(Outcome.UNREADABLE, message_id=message.id, field=error.field)
            if not ports.queue.set_aside(message):
                stuck.append(message.id)
    return readable, stuck


def _results(readable: Iterable[Order], sending: Sending, ports: Ports) -> Iterable[Result]:
    """What goes together first, for it saves requests; then order by order."""
    together: list[Try] = []
    alone: list[Order] = []
    for order in _newest(readable):
        shop = _shop(order, ports)
        if isinstance(shop, Shop) and not _goes_together(order, shop):
            alone.append(order)  # and is not claimed before its time
            continue
        claim = _claim(order, shop, sending, ports)
        if isinstance(claim, Try):
            together.append(claim)
        else:
            yield order, claim
    yield from sending.together(together)
    for orders in (alone, sending.once_more):
        for order in orders:
            claim = _claim(order, _shop(order, ports), sending, ports)
            if isinstance(claim, Try):
                yield from sending.together([claim])
            else:
                yield order, claim


def _newest(readable: Iterable[Order]) -> Iterable[Order]:
    orders: dict[tuple[str, str], Order] = {}
    for order in readable:
        one = order.conversion
        key = ledger.key(one.shop, one.order_id, one.event_name), one.currency
        best = orders.get(key)
        if best is None or Facts.of(one).rank() > Facts.of(best.conversion).rank():
            orders[key] = order
    return orders.values()


def _shop(order: Order, ports: Ports) -> Shop | Wait:
    now = ports.clock()
    try:
        return ports.shops.get(order.conversion.shop, now)
    except UnknownShopError:
        old = now - order.conversion.received_at > ledger.LAST_FIRST_REPORT
        seconds = jittered(LONGEST_WAIT, ports)
        return Wait(seconds, "unknown shop", event="set_up_refused", hopeless=old)
    except UnavailableError:
        return Wait(jittered(FIRST_WAIT, ports), "shop document not available")


def _goes_together(order: Order, shop: Shop) -> bool:
    """A test purchase is for people who watch it arrive: it is reported by itself, by POST."""
    return shop.has_credentials and order.conversion.event_name == PURCHASE


def _claim(order: Order, shop: Shop | Wait, sending: Sending, ports: Ports) -> Try | Wait | None:
    """The right to send the order, a reason to wait, or None when nothing is left to do."""
    now = ports.clock()
    if (wait := sending.over(order)) is not None:
        return wait
    if isinstance(shop, Wait):
        return shop
    corrects = shop.corrections and _goes_together(order, shop)
    try:
        claim = ports.ledger.claim(
            order.conversion,
            pixel_id=shop.pixel_id,
            corrects=corrects,
            now=now,
            token=ports.new_token(),
        )
    except StorageError as error:
        return Wait(jittered(FIRST_WAIT, ports), f"storage: {error}")
    if claim.outcome is not None:
        emit_outcome(claim.outcome, claim.record, ports)
        return None
    if claim.until is not None:
        left = (claim.until - now).total_seconds()
        if claim.record.token is None:
            return Wait(until_turn(left, ports), "its turn has not come")
        return Wait(min(left, BUSY_WAIT * ports.scale), "another sender has it")
    return Try(order, claim.record, shop, corrects=corrects, waited=claim.waited)


def _comes_back(order: Order, wait: Wait, ports: Ports) -> bool:
    """Make the order wait; True if a fresh copy waits instead, so that this message can go."""
    now = ports.clock()
    message, conversion = order.message, order.conversion
    ports.emit(
        wait.event,
        age=(now - conversion.received_at).total_seconds(),
        outcome=Outcome.WAITING,
        cause=wait.cause,
        seconds=round(wait.seconds, 1),
        platform=conversion.platform,
        shop=conversion.shop,
        order_id=conversion.order_id,
        receives=message.receives,
        **answer_fields(wait.answer),
    )
    if wait.hopeless and ports.queue.set_aside(message):
        return True
    if message.is_worn(now) and ports.queue.renew(message, conversion.shop, wait.seconds):
        return True
    ports.queue.postpone(message, wait.seconds)
    return False
