"""The sender's round: what to do with a batch of messages, and what becomes of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from prisjakt_relay import ledger
from prisjakt_relay.conversion import PURCHASE, Conversion
from prisjakt_relay.errors import (
    AwsError,
    MessageError,
    StorageError,
    UnavailableError,
    UnknownShopError,
)
from prisjakt_relay.ledger import Facts
from prisjakt_relay.outcomes import Outcome
from prisjakt_relay.queues import Message
from prisjakt_relay.sender.erasing import erase
from prisjakt_relay.sender.sending import (
    LONGEST_WAIT,
    Order,
    Ports,
    Result,
    Sending,
    Try,
    Wait,
    answer_fields,
    emit_erased,
    emit_outcome,
    jittered,
    put_off,
    stored_later,
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
    readable, unsettled = _read(messages, sending, ports)
    for order, wait in _results(readable, sending, ports):
        if wait is not None and not _comes_back(order, wait, ports):
            unsettled.append(order.message.id)
    for (shop, correction), moment in sending.succeeded.items():
        with suppress(StorageError):  # the next success writes it again
            ports.ledger.note_success(shop, moment, correction=correction)
    return unsettled


def _read(
    messages: Iterable[Message], sending: Sending, ports: Ports
) -> tuple[list[Order], list[str]]:
    """Orders, and the ids of messages that are not: of erasures that are not at their end, and of
    what is neither readable nor set aside safely. What is to be erased is, before anything is sent.
    """
    readable: list[Order] = []
    others: list[tuple[Message, MessageError]] = []
    for message in messages:
        try:
            readable.append(Order(message, Conversion.from_message(message.body)))
        except MessageError as error:
            others.append((message, error))
    unsettled, unreadable = erase(others, sending, ports)
    for message, why in unreadable:
        ports.emit(Outcome.UNREADABLE, message_id=message.id, field=why.field)
        if not ports.queue.set_aside(message):
            unsettled.append(message.id)
    return readable, unsettled


def _results(readable: Iterable[Order], sending: Sending, ports: Ports) -> Iterable[Result]:
    """What goes together first, for it saves requests; then order by order."""
    together: list[Try] = []
    alone: list[Order] = []
    for order in _newest(readable):
        shop = _shop(order, sending, ports)
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
            claim = _claim(order, _shop(order, sending, ports), sending, ports)
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


def _shop(order: Order, sending: Sending, ports: Ports) -> Shop | Wait:
    now = ports.clock()
    if (wait := sending.storage_is_away(order.message)) is not None:
        return wait
    name, cause = order.conversion.shop, "shop document not available"
    if name in sending.without_document:
        return stored_later(order.message, ports, cause)
    try:
        return ports.shops.get(name, now)
    except UnknownShopError:
        old = now - order.conversion.received_at > ledger.LAST_FIRST_REPORT
        seconds = jittered(LONGEST_WAIT, ports)
        return Wait(seconds, "unknown shop", event="set_up_refused", hopeless=old)
    except UnavailableError as error:
        sending.without_document.add(name)
        reason = error.__cause__
        if isinstance(reason, StorageError) and not isinstance(reason, AwsError):
            return sending.storage_failed(order.message, cause)
        return stored_later(
            order.message, ports, cause
        )  # that was answered, and concerns this shop


def _goes_together(order: Order, shop: Shop) -> bool:
    """A test purchase is for people who watch it arrive: it is reported by itself, by POST."""
    return shop.has_credentials and order.conversion.event_name == PURCHASE


def _claim(order: Order, shop: Shop | Wait, sending: Sending, ports: Ports) -> Try | Wait | None:
    """The right to send the order, a reason to wait, or None when nothing is left to do."""
    now = ports.clock()
    found = shop if isinstance(shop, Shop) else None
    if (wait := sending.over(order, found)) is not None:
        return wait
    if (wait := sending.storage_is_away(order.message)) is not None:
        return wait
    try:
        if sending.is_to_be_forgotten(order, found, now):
            _forget(order.conversion, now, ports)
            return None
    except StorageError as error:
        return sending.storage_failed(order.message, f"storage: {error}")
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
        return sending.storage_failed(order.message, f"storage: {error}")
    sending.storage_failures = 0
    if claim.outcome is not None:
        emit_outcome(claim.outcome, claim.record, ports)
        return None
    if claim.until is not None:
        left = (claim.until - now).total_seconds()
        if claim.record.token is None:
            return Wait(until_turn(left, ports), "its turn has not come")
        return Wait(min(left, BUSY_WAIT * ports.scale), "another sender has it")
    return Try(order, claim.record, shop, corrects=corrects, waited=claim.waited)


def _forget(conversion: Conversion, now: datetime, ports: Ports) -> None:
    """Its next revision must not be reported either."""
    ports.ledger.erase(
        platform=conversion.platform,
        shop=conversion.shop,
        order_id=conversion.order_id,
        event_name=conversion.event_name,
        now=now,
    )
    emit_erased(conversion, ports)


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
    return put_off(message, conversion.shop, wait.seconds, ports)
