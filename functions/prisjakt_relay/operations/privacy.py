"""Privacy requests: everything that the relay holds of some orders, and having it erased."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import Any, Final

from prisjakt_relay.conversion import PURCHASE, TEST_PURCHASE
from prisjakt_relay.erasure import Erasure, of_orders, of_shop
from prisjakt_relay.errors import SetupError, UnreadableError
from prisjakt_relay.ledger import Status, from_item, key
from prisjakt_relay.operations import dead_orders, ledger_items, logs, order_life, shops
from prisjakt_relay.operations.dead_orders import Letter, Selection
from prisjakt_relay.operations.order_life import Holding
from prisjakt_relay.operations.stack import Stack, clock, told_clearly
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.platforms.shopify import PRIVACY
from prisjakt_relay.queues import enqueue
from prisjakt_relay.shop import Shop

_SEND_FOR: Final = timedelta(seconds=10)
_OF_THE_SENDER: Final = ("token", "leased_until")  # says nothing of an order
_AHEAD: Final = timedelta(minutes=1)  # of this machine's clock
_OF_CUSTOMERS: Final = tuple(request for request, (_, field) in PRIVACY.items() if field)


@dataclass(frozen=True, kw_only=True)
class Named:
    """An order as it was named, and the id that this is taken to mean; `known` if the ledger or a
    stuck message has it, `possible` if it is that or can be an id in the shop's system."""

    given: str
    order_id: str
    known: bool
    possible: bool = True

    def __str__(self) -> str:
        return self.order_id + (f" ({self.given})" if self.given != self.order_id else "")


@dataclass(frozen=True, kw_only=True)
class Logged:
    """The lines that name an order; they hold its id and nothing else of it."""

    lines: int
    first: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Held:
    """All that is known of one order. `items` are as the ledger has them."""

    order: Named
    items: tuple[Mapping[str, Any], ...]
    messages: tuple[Letter, ...]
    logged: Logged
    holding: Holding

    @property
    def is_nothing(self) -> bool:
        held = (self.items, self.messages, self.logged.lines, self.holding.events)
        return not any(held)

    @property
    def is_erased(self) -> bool:
        """The ledger knows nothing of it but that."""
        records = [from_item(item) for item in self.items]
        return bool(records) and all(record.status is Status.ERASED for record in records)


def held(
    stack: Stack, name: str, orders: Sequence[str], since: datetime, *, by_id: bool = False
) -> tuple[list[Held], int]:
    """What the relay holds of each order, named as in `named`, and about how many messages were not
    looked at; log lines from `since` on.

    Raises `SetupError` as `named` does, and for a shop that is not there and has left nothing of
    these orders.
    """
    shop, (letters, more) = _shop(stack, name), _letters(stack, name)
    meant = _named(stack, name, shop, letters, orders, by_id=by_id)
    requests = _requests(stack, name, since)
    found = [_held(stack, name, shop, each, letters, requests, since) for each in meant]
    if isinstance(shop, SetupError) and all(each.is_nothing for each in found):
        raise shop
    return found, more


def _shop(stack: Stack, name: str) -> Shop | SetupError:
    try:
        return shops.shop(stack, name)
    except SetupError as error:
        return error


def _letters(stack: Stack, name: str) -> tuple[list[Letter], int]:
    return dead_orders.letters(stack, Selection(shop=name))


def _platforms_of(letters: Iterable[Letter]) -> Iterator[str]:
    for letter in letters:
        yield from (each.platform for each in (letter.conversion, letter.erasure) if each)


def _is_about(letter: Letter, order_id: str) -> bool:
    """By its id alone: its reference may be another order's id."""
    if letter.erasure is not None:
        return letter.erasure.whole_shop or order_id in letter.erasure.order_ids
    return letter.conversion is not None and letter.conversion.order_id == order_id


def _held(
    stack: Stack,
    name: str,
    shop: Shop | SetupError,
    order: Named,
    letters: Sequence[Letter],
    requests: Sequence[logs.Line],
    since: datetime,
) -> Held:
    with told_clearly():
        items = [
            item
            for event_name in (PURCHASE, TEST_PURCHASE)
            if (item := stack.store.get(key(name, order.order_id, event_name))) is not None
        ]
    records = tuple(from_item(item) for item in items)
    return Held(
        order=order,
        items=tuple(
            {field: value for field, value in item.items() if field not in _OF_THE_SENDER}
            for item in items
        ),
        messages=tuple(each for each in letters if _is_about(each, order.order_id)),
        logged=_logged(stack, name, order.order_id, since, requests),
        holding=Holding()
        if isinstance(shop, SetupError)
        else order_life.holding(stack, name, shop, records),
    )


def _requests(stack: Stack, name: str, since: datetime) -> list[logs.Line]:
    """The lines about customers' requests, each of which may name many orders."""
    until = clock() + _AHEAD
    return [
        line
        for request in _OF_CUSTOMERS
        for line in logs.lines(
            stack, {"shop": name, "request": request}, since, until, groups=("ReceiverLogGroup",)
        )
    ]


def _logged(
    stack: Stack, name: str, order_id: str, since: datetime, requests: Sequence[logs.Line]
) -> Logged:
    own = logs.lines(stack, {"shop": name, "order_id": order_id}, since, clock() + _AHEAD)
    shared = (line for line in requests if order_id in line.get("order_ids", ()))
    moments = [line["at"] for line in (*own, *shared)]
    if not moments:
        return Logged(lines=0)
    return Logged(lines=len(moments), first=min(moments), last=max(moments))


# Which order is meant


def named(
    stack: Stack, name: str, orders: Sequence[str], *, by_id: bool = False
) -> tuple[list[Named], int]:
    """Each order once, named by the shop system's id or, unless `by_id`, by its reference; and
    about how many messages were not looked at.

    What is neither, as far as is known, is taken for an id: the order's message may be on the way.
    Raises `SetupError` for a name that more than one order has.
    """
    letters, more = _letters(stack, name)
    return _named(stack, name, _shop(stack, name), letters, orders, by_id=by_id), more


def _named(
    stack: Stack,
    name: str,
    shop: Shop | SetupError,
    letters: Sequence[Letter],
    orders: Sequence[str],
    *,
    by_id: bool,
) -> list[Named]:
    pattern = shop.order_reference if isinstance(shop, Shop) and not by_id else ""
    candidates = {given: {given, *order_life.ids_in(pattern, given)} for given in orders}
    records = {
        each: ledger_items.known_records(stack, name, each)
        for each in dict.fromkeys(chain.from_iterable(candidates.values()))
    }
    known = {order_id for letter in letters for order_id in _ids_of(letter)}
    known |= {order_id for order_id, found in records.items() if found}
    ids = {given: each & known for given, each in candidates.items()}
    left = (record.platform for found in records.values() for record in found)
    platform = (
        shop.platform if isinstance(shop, Shop) else next(chain(left, _platforms_of(letters)), None)
    )
    if not by_id:
        _add_references(stack, name, pattern, platform, letters, ids)
    result: dict[str, Named] = {}
    for given, meant in ids.items():
        one = _one(name, pattern, platform, given, meant)
        result.setdefault(one.order_id, one)
    return list(result.values())


def _ids_of(letter: Letter) -> tuple[str, ...]:
    if letter.erasure is not None:
        return letter.erasure.order_ids
    return () if letter.conversion is None else (letter.conversion.order_id,)


def _one(name: str, pattern: str, platform: str | None, given: str, ids: Collection[str]) -> Named:
    if len(ids) > 1:
        raise SetupError(
            f"{given} is the id or the reference of {len(ids)} orders of {name}, "
            f"{' and '.join(sorted(ids))}: name the one that is meant by its id, and add --id"
        )
    order_id = next(iter(ids or order_life.ids_in(pattern, given)), given)
    possible = bool(ids) or _can_be_id(platform, order_id)
    return Named(given=given, order_id=order_id, known=bool(ids), possible=possible)


def _can_be_id(platform: str | None, text: str) -> bool:
    """Anything can, where nobody knows what the shop's system was."""
    known = PLATFORMS.get(platform or "")
    if known is None:
        return True
    try:
        known.order_id({"id": text})
    except UnreadableError:
        return False
    return True


def _add_references(
    stack: Stack,
    name: str,
    pattern: str,
    platform: str | None,
    letters: Sequence[Letter],
    ids: Mapping[str, set[str]],
) -> None:
    """Add to each name the orders that have it as their reference.

    A walk through the ledger takes hundreds of reads, so there is none where it can find nothing.
    """
    for letter in letters:
        if (one := letter.conversion) is not None and one.order_reference in ids:
            ids[one.order_reference].add(one.order_id)
    wanted = {
        given
        for given, known in ids.items()
        if _may_be_reference(pattern, platform, given, known=bool(known))
    }
    if wanted:
        for reference, order_id in _references_in_ledger(stack, name, wanted):
            ids[reference].add(order_id)


def _may_be_reference(pattern: str, platform: str | None, given: str, *, known: bool) -> bool:
    """Whether an order of today's pattern or, if the name is not `known`, of an earlier one may
    have it. With the pattern `{id}` the customer's orders that the relay never heard of are the
    rule: what can be an id is taken for one."""
    if not pattern or "{number}" in pattern or "{name}" in pattern:
        return True
    return not known and (pattern != "{id}" or not _can_be_id(platform, given))


def _references_in_ledger(
    stack: Stack, name: str, wanted: Collection[str]
) -> Iterator[tuple[str, str]]:
    def of_day(day: date) -> list[tuple[str, str]]:
        return [
            (item["external_id"], order_life.id_in(name, str(item["id"])))
            for item in ledger_items.of_day(stack, name, day)
            if item["external_id"] in wanted
        ]

    return chain.from_iterable(ledger_items.of_each_day(stack, of_day))


# Erasing


def erasures_of_orders(stack: Stack, name: str, order_ids: Sequence[str]) -> list[Erasure]:
    """The messages that have these orders erased.

    Raises `SetupError` for a shop that is not there and has left nothing of these orders.
    """

    def left() -> Iterator[str]:
        for each in order_ids:
            for record in ledger_items.known_records(stack, name, each):
                yield record.platform
        yield from _platforms_of(
            letter
            for letter in _letters(stack, name)[0]
            if any(_is_about(letter, each) for each in order_ids)
        )

    return of_orders(order_ids, _platform(stack, name, left()), name, clock())


def erasure_of_shop(stack: Stack, name: str) -> Erasure:
    """The message that has all of a shop erased; raises `SetupError` if there is no such shop, and
    nothing that one left."""

    def left() -> Iterator[str]:
        yield from _platforms_in_ledger(stack, name)
        yield from _platforms_of(_letters(stack, name)[0])

    return of_shop(_platform(stack, name, left()), name, _time_of_aws(stack))


def _platform(stack: Stack, name: str, left: Iterator[str]) -> str:
    """A shop that was removed may have left orders, which say what its system was."""
    try:
        return shops.shop(stack, name).platform
    except SetupError:
        for platform in left:
            return platform
        raise


def _platforms_in_ledger(stack: Stack, name: str) -> Iterator[str]:
    def of_day(day: date) -> str | None:
        keys = (str(item["id"]) for item in ledger_items.of_day(stack, name, day))
        with told_clearly():
            records = map(stack.ledger.get, keys)
            return next((record.platform for record in records if record is not None), None)

    return filter(None, ledger_items.of_each_day(stack, of_day))


def _time_of_aws(stack: Stack) -> datetime:
    """As the receiver has it, which notes when an order came: by a clock that is slow, the erasure
    of a whole shop would spare what came last."""
    with told_clearly():
        answer = stack.client("sqs").get_queue_attributes(
            QueueUrl=stack.outputs["DeadLettersUrl"], AttributeNames=["QueueArn"]
        )
    return told_time(answer["ResponseMetadata"]["HTTPHeaders"]) or clock()


def told_time(headers: Mapping[str, str]) -> datetime | None:
    """The end of the second in which an answer was made."""
    with suppress(KeyError, ValueError):
        return parsedate_to_datetime(headers["date"]).astimezone(UTC) + timedelta(seconds=1)
    return None


def send(stack: Stack, wishes: Sequence[Erasure]) -> None:
    """Put them on the queue: the sender does the work, as for a request of the shop system."""
    with told_clearly():
        for wish in wishes:
            enqueue(
                wish,
                sqs=stack.sqs,
                queue_url=stack.outputs["QueueUrl"],
                deadline=clock() + _SEND_FOR,
                clock=clock,
                sleep=time.sleep,
            )
