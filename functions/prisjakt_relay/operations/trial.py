"""A sample order sent through the deployed relay, followed until Prisjakt shows it.

Its bare UUID instead of a click id makes it a `test-purchase`, which counts for nothing. Its id is
a 9 and the time in milliseconds: far from the ids that shop systems give.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from prisjakt_relay import ledger
from prisjakt_relay.conversion import TEST_PURCHASE, Conversion
from prisjakt_relay.errors import HeldError, PrisjaktError, RelayError, StorageError
from prisjakt_relay.intake import decide, is_excluded
from prisjakt_relay.ledger import Record, Status
from prisjakt_relay.local import deliveries
from prisjakt_relay.operations import logs, prisjakt_access, shops
from prisjakt_relay.operations.command_line import TRIAL_SECONDS
from prisjakt_relay.operations.delivery import Refused, send
from prisjakt_relay.operations.explanations import said
from prisjakt_relay.operations.finding import money
from prisjakt_relay.operations.stack import Stack, clock, told_clearly
from prisjakt_relay.outcomes import Reason, Received
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.platforms.interface import Trial
from prisjakt_relay.sender.sending import events_near
from prisjakt_relay.shop import Shop

_POLL_SECONDS: Final = 0.3
_READ_BACK_SECONDS: Final = 10.0
_READ_BACK_POLL_SECONDS: Final = 1.0
_SOURCES: Final = ("web", "store-api", "prisjakt-relay")  # the first that is not excluded
_SAMPLE_ID: Final = re.compile(r"9\d{13}")
_SET_UP: Final = frozenset({401, 403, 404})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One leg of the way. `right` is None for what could not be told."""

    name: str
    right: bool | None
    found: str
    remedy: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An order that nobody placed, as the shop system would send it."""

    order_id: str
    click_id: str
    headers: dict[str, str]
    body: bytes


def sample_id(now: datetime) -> str:
    return f"9{round(now.timestamp() * 1000)}"


def is_sample(order_id: str) -> bool:
    """Whether an order id is one of those made here."""
    return _SAMPLE_ID.fullmatch(order_id) is not None


def sample(shop: Shop, now: datetime) -> Sample:
    """A paid order of this moment; what it says of a person is made up."""
    platform = PLATFORMS[shop.platform]
    delivery = deliveries.load(shop.platform, platform.sample)
    by = now.replace(microsecond=0) - deliveries.RECORDED_UNTIL
    order = json.loads(delivery.moved(by, None).body)
    order_id, click_id = sample_id(now), str(uuid.uuid4())
    headers = {name.lower(): value for name, value in delivery.headers}
    trial = Trial(
        order_id=order_id,
        click_id=click_id,
        moment=now,
        source=_source(shop),
        domain=shop.domain,
    )
    platform.renew(order, headers, trial)
    return Sample(
        order_id=order_id,
        click_id=click_id,
        headers=headers,
        body=json.dumps(order, ensure_ascii=False).encode(),
    )


def _source(shop: Shop) -> str:
    allowed = (source for source in _SOURCES if not is_excluded(source, shop))
    return next(allowed, _SOURCES[0])


def run(stack: Stack, name: str, *, timeout: float = TRIAL_SECONDS) -> Iterator[Step]:
    """Each step as it happens; the last one is wrong if the order did not arrive."""
    shop = shops.shop(stack, name)
    now = clock()
    order = sample(shop, now)
    conversion = _expected(stack, name, shop, order, now)
    if isinstance(conversion, Step):
        yield conversion
        return
    yield Step(
        name="order",
        right=True,
        found=f"made up: id {order.order_id} (9 and the time in ms)"
        + _named(conversion)
        + f", {money(conversion.amount)} {conversion.currency}, click id {order.click_id}",
    )
    webhook = _delivered(stack, name, shop, order)
    yield webhook
    if not webhook.right:
        return
    arrived = False
    for step in _followed(stack, conversion, timeout):
        yield step
        arrived = step.name == "Prisjakt" and step.right is True
    if arrived:
        yield _read_back(stack, name, shop, conversion)


def _named(conversion: Conversion) -> str:
    reference = conversion.order_reference
    return "" if reference == conversion.order_id else f", reported as {reference}"


def _expected(
    stack: Stack, name: str, shop: Shop, order: Sample, now: datetime
) -> Conversion | Step:
    """What the receiver will make of it, by the very rules that it has."""
    platform = PLATFORMS[shop.platform]
    decision = decide(platform, name, shop, order.headers, order.body, now)
    if decision.conversion is not None:
        return decision.conversion
    if decision.reason is Reason.OFF:
        on = stack.command("shop", "set", name, "--mode", "test")
        remedy = f"the shop is off: `{on}` lets tests through"
    elif decision.reason is Reason.SOURCE:
        narrower = stack.command("shop", "set", name, "--excluded-source", "SOURCE")
        remedy = f"its excluded_sources leave no order: narrow them with `{narrower}`"
    else:
        remedy = f"change the shop document: {decision.problem or decision.reason}"
    return Step(
        name="order",
        right=False,
        found=f"the shop document lets no order through ({decision.reason})",
        remedy=remedy,
    )


def _delivered(stack: Stack, name: str, shop: Shop, order: Sample) -> Step:
    answer = send(stack, name, shop, shop.signing_secrets[0], order.headers, order.body)
    if isinstance(answer, Refused):
        return Step(
            name="webhook",
            right=False,
            found=answer.found,
            remedy=answer.remedy,
            seconds=answer.seconds,
        )
    if answer.outcome != Received.QUEUED:
        return Step(
            name="webhook",
            right=False,
            found=f"the receiver ignored it ({answer.reason})",
            remedy="it may still hold the shop document as it was: try again in 5 minutes",
            seconds=answer.seconds,
        )
    return Step(
        name="webhook", right=True, found="200, verified and queued", seconds=answer.seconds
    )


def _followed(stack: Stack, conversion: Conversion, timeout: float) -> Iterator[Step]:
    """The order in the ledger: taken from the queue, then answered by Prisjakt."""
    key = ledger.key(conversion.shop, conversion.order_id, TEST_PURCHASE)
    end = time.monotonic() + timeout
    taken = False
    record = None
    while True:
        with told_clearly():
            record = stack.ledger.get(key)
        if record is not None and record.first_try_at is not None and not taken:
            taken = True
            yield Step(
                name="queue",
                right=True,
                found="taken up by the sender",
                seconds=_between(record.received_at, record.first_try_at),
            )
        if record is not None and (step := _answered(stack, record)) is not None:
            yield step
            return
        if time.monotonic() >= end:
            yield _late(stack, conversion, record, timeout)
            return
        time.sleep(_POLL_SECONDS)


def _between(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())


def _answered(stack: Stack, record: Record) -> Step | None:
    """What Prisjakt said, once it is settled, or once it is plain that trying again is no help."""
    if record.status is Status.REPORTED:
        seconds = (
            _between(record.first_try_at, record.reported_at)
            if record.first_try_at and record.reported_at
            else None
        )
        return Step(
            name="Prisjakt", right=True, found="201, took the test-purchase", seconds=seconds
        )
    if record.status is Status.ALREADY_AT_PRISJAKT:
        return Step(
            name="Prisjakt",
            right=False,
            found=f"409: it has an event with the id {record.external_id} already",
            remedy="make the pattern order_reference of this shop unlike that of any other",
        )
    if record.status is Status.DEAD or (record.tries and record.answer.status in _SET_UP):
        return Step(
            name="Prisjakt",
            right=False,
            found=said(record.answer),
            remedy=_remedy(stack, record),
        )
    return None


def _remedy(stack: Stack, record: Record) -> str:
    if record.answer.status in _SET_UP:
        return (
            f"compare pixel_id {record.pixel_id} with the one in Business Center, Conversion "
            "Tracking, and see there that it is enabled"
        )
    return (
        f"`{stack.command('dead', 'show', record.shop, record.order_id)}` shows it all; "
        "change what it names, then test again"
    )


def _late(stack: Stack, conversion: Conversion, record: Record | None, timeout: float) -> Step:
    """It has not come through in time: what is known of why."""
    line, doctor = _last_line(stack, conversion), stack.command("doctor", conversion.shop)
    if record is not None and record.tries:
        found = said(record.answer)
        remedy = "Prisjakt has trouble; the sender goes on trying by itself"
    elif line:
        found, remedy = f"the order waits: {line}", f"`{doctor}` shows what it may be"
    elif record is not None:
        found, remedy = "the sender is at it", "look again with a longer --timeout"
    else:
        found = "the sender has not taken it from the queue"
        remedy = f"`{doctor}` shows whether it runs"
    return Step(
        name="queue" if record is None else "Prisjakt",
        right=False,
        found=f"after {timeout:g} s: {found}",
        remedy=remedy,
        seconds=timeout,
    )


def _last_line(stack: Stack, conversion: Conversion) -> str:
    """Why the sender let it wait, in its own words, if it has said so."""
    fields = {"shop": conversion.shop, "order_id": conversion.order_id}
    since = conversion.received_at - timedelta(minutes=1)
    try:
        line = logs.newest(stack, fields, since, groups=("SenderLogGroup",))
    except RelayError:
        return ""
    return str((line or {}).get("cause", ""))


def _read_back(stack: Stack, name: str, shop: Shop, conversion: Conversion) -> Step:
    """Whether Prisjakt shows the event to those who ask with the shop's credentials."""
    look = f"look for {conversion.order_reference} in Business Center, Conversion Tracking"
    if not shop.has_credentials:
        return Step(
            name="read back",
            right=None,
            found="not checked: the shop has no Prisjakt credentials",
            remedy=look,
        )
    began = time.monotonic()
    try:
        client = prisjakt_access.client(stack, name, shop)
        while True:
            events = events_near(
                client, shop.pixel_id, conversion.event_time, event_name=TEST_PURCHASE
            )
            shown = any(event.external_event_id == conversion.order_reference for event in events)
            seconds = time.monotonic() - began
            if shown:
                return Step(
                    name="read back",
                    right=True,
                    found=f"Prisjakt shows {conversion.order_reference}",
                    seconds=seconds,
                )
            if seconds >= _READ_BACK_SECONDS:
                break
            time.sleep(_READ_BACK_POLL_SECONDS)
    except (HeldError, StorageError) as error:
        return Step(name="read back", right=None, found=f"not checked: {error}", remedy=look)
    except PrisjaktError as error:
        told = prisjakt_access.told(stack, error, name, f"pixel {shop.pixel_id}")
        return Step(
            name="read back",
            right=False,
            found=f"not shown: {told}",
            remedy=f"`{stack.command('doctor', name)}` checks the credentials",
            seconds=time.monotonic() - began,
        )
    return Step(
        name="read back",
        right=False,
        found="Prisjakt took the order, but does not show it yet",
        remedy=look,
        seconds=seconds,
    )
