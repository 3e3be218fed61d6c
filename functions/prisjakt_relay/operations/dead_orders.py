"""Orders that will not be reported without help: found, tried again, or given up.

Most are items of the ledger. The queue `DeadLetters` holds the few messages that crash the sender,
belong to no shop, or cannot be read.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from prisjakt_relay import aws, ledger
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.erasure import Erasure
from prisjakt_relay.errors import (
    MessageError,
    PrisjaktError,
    SetupError,
    StorageError,
)
from prisjakt_relay.ledger import Record, Status
from prisjakt_relay.operations import ledger_items, prisjakt_access, queue_messages, shops
from prisjakt_relay.operations.ledger_items import known_records
from prisjakt_relay.operations.order_life import id_of_reference
from prisjakt_relay.operations.stack import Stack, clock, told_clearly
from prisjakt_relay.outcomes import DeathReason
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.sender.sending import shows
from prisjakt_relay.shop import Shop

MOST_LETTERS: Final = 1_000
_PAGE: Final = 100  # records at a time, of each shop
_BATCH: Final = 10  # messages at a time, which is all that SQS gives
_PEEK_SECONDS: Final = 60
_HOLD_SECONDS: Final = 600
_SEND_FOR: Final = timedelta(seconds=10)
_TAKEN_UP_IN: Final = timedelta(minutes=5)


class Reason(StrEnum):
    """Why nothing happens to an order: the ledger's reasons, and those of messages."""

    REJECTED = "rejected"
    REFUSED = "refused"
    EXPIRED = "expired"
    UNDELIVERED = "undelivered"
    UNREADABLE = "unreadable"


OF_MESSAGES: Final = frozenset({Reason.UNDELIVERED, Reason.UNREADABLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message of `DeadLetters`: what is known of it, never what it says if nobody can read it."""

    id: str
    receipt: str
    body: str
    sent_at: datetime
    receives: int
    conversion: Conversion | None
    erasure: Erasure | None = None

    @property
    def size(self) -> int:
        return len(self.body.encode())


Dead = Record | Letter


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which of them; what is not said takes all."""

    shop: str | None = None
    order_ids: frozenset[str] = frozenset()
    reasons: frozenset[Reason] = frozenset()
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, dead: Dead) -> bool:
        order = dead if isinstance(dead, Record) else dead.conversion or dead.erasure
        return (
            (self.shop is None or (order is not None and order.shop == self.shop))
            and (not self.order_ids or not self.order_ids.isdisjoint(ids(dead)))
            and (not self.reasons or reason_of(dead) in self.reasons)
            and (self.since is None or since(dead) >= self.since)
            and (self.until is None or since(dead) < self.until)
        )


class Found(NamedTuple):
    """Newest first; `more_letters` is about how many messages were not looked at."""

    dead: Iterator[Dead]
    more_letters: int


def reason_of(dead: Dead) -> Reason:
    if isinstance(dead, Record):
        return Reason(str(dead.death))
    return Reason.UNDELIVERED if dead.conversion or dead.erasure else Reason.UNREADABLE


def since(dead: Dead) -> datetime:
    """When it died; of a message, when it was put on a queue."""
    if isinstance(dead, Letter):
        return dead.sent_at
    return dead.dead_since or dead.updated_at


def is_resent(record: Record) -> bool:
    """It is on the queue again, or was about to be, and no sender has taken it up yet."""
    return record.settled is None


def is_overdue(record: Record, now: datetime) -> bool:
    """It was resent, but so long ago that its message may never have come to the queue."""
    return is_resent(record) and now - record.updated_at > _TAKEN_UP_IN


def ids(dead: Dead) -> frozenset[str]:
    if isinstance(dead, Record):
        return frozenset({dead.order_id, dead.external_id})
    if dead.erasure is not None:
        return frozenset(dead.erasure.order_ids)
    one = dead.conversion
    return frozenset() if one is None else frozenset({one.order_id, one.order_reference})


# Looking


def find(stack: Stack, chosen: Selection) -> Found:
    """All that are chosen, read as they are asked for.

    Raises `SetupError` for a shop that is not there and has left nothing.
    """
    if chosen.shop is not None:
        shops.secret_id(stack, chosen.shop)  # whether it can be a name
    if chosen.reasons and not chosen.reasons & OF_MESSAGES:
        return Found(_merged(stack, chosen, []), 0)
    mine, more = letters(stack, chosen)
    return Found(_merged(stack, chosen, mine), more)


def letters(stack: Stack, chosen: Selection) -> tuple[list[Letter], int]:
    """The messages that are chosen, newest first, and about how many were not looked at."""
    found, more = _peek(stack)
    return sorted(filter(chosen.takes, found), key=since, reverse=True), more


def _merged(stack: Stack, chosen: Selection, letters: Sequence[Letter]) -> Iterator[Dead]:
    nothing = True
    both: tuple[Iterable[Dead], ...] = (records(stack, chosen), letters)
    for dead in heapq.merge(*both, key=since, reverse=True):
        nothing = False
        yield dead
    if nothing and chosen.shop is not None:
        shops.document(stack, chosen.shop)


def records(stack: Stack, chosen: Selection) -> Iterator[Record]:
    """The dead orders of the ledger, newest first; a page of each shop is in memory."""
    if chosen.reasons and chosen.reasons <= OF_MESSAGES:
        return iter(())
    names = _shops_with_dead(stack) if chosen.shop is None else [chosen.shop]
    return heapq.merge(*(_of_shop(stack, name, chosen) for name in names), key=since, reverse=True)


def one(stack: Stack, shop: str, order: str) -> Dead:
    """The dead order of that id or reference, even if it was dropped.

    Raises `SetupError` if there is none; it says what else became of the order.
    """
    known = known_records(stack, shop, order)
    for record in known:
        if record.status is Status.DEAD:
            return record
    for dead in find(stack, Selection(shop=shop, order_ids=frozenset({order}))).dead:
        return dead
    known = known or _of_reference(stack, shop, order)
    for record in known:
        if record.status is Status.DEAD:
            return record
    if known:
        raise SetupError(
            f"order {order} of {shop} is not dead but {known[0].status}: "
            f"`{stack.command('order', shop, order)}` tells the whole story"
        )
    raise unknown(stack, shop, [order])


def unknown(stack: Stack, shop: str, orders: Iterable[str]) -> SetupError:
    return SetupError(
        f"there is no dead order {', '.join(orders)} of {shop}: "
        f"`{stack.command('dead', 'list', shop)}` shows all"
    )


class Named(NamedTuple):
    """Orders that were named and are not listed: those to work on all the same, what became of
    others, and names that the ledger does not know."""

    more: list[Record]
    others: dict[str, Record]
    unknown: list[str]


def named(stack: Stack, chosen: Selection, listed: Iterable[Dead], *, dropped: bool) -> Named:
    """Looks them up: the index may not have one yet, or it was dropped, which counts if `dropped`
    does."""
    more: dict[str, Record] = {}
    result = Named([], {}, [])
    for order in sorted(chosen.order_ids - {each for dead in listed for each in ids(dead)}):
        shop = str(chosen.shop)
        known = known_records(stack, shop, order) or _of_reference(stack, shop, order)
        if not known:
            result.unknown.append(order)
            continue
        to_do = [
            each
            for each in known
            if each.status is Status.DEAD
            and (dropped or each.dropped_at is None)
            and chosen.takes(each)
        ]
        if to_do:
            more |= {record.key: record for record in to_do}
        else:
            result.others[order] = known[0]
    result.more.extend(more.values())
    return result


def _of_reference(stack: Stack, shop: str, reference: str) -> tuple[Record, ...]:
    order_id = id_of_reference(stack, shop, reference, clock())
    return () if order_id is None else known_records(stack, shop, order_id)


def _shops_with_dead(stack: Stack) -> list[str]:
    """By the index, since a shop that was removed may have left some."""
    question = {"IndexName": ledger_items.DEAD, "ProjectionExpression": "dead_shop"}
    return sorted({item["dead_shop"] for item in ledger_items.items(stack, "Scan", question)})


def _of_shop(stack: Stack, shop: str, chosen: Selection) -> Iterator[Record]:
    values = {":shop": {"S": shop}}
    condition = "dead_shop = :shop"
    if chosen.since is not None:
        condition += " AND dead_since >= :since"
        values[":since"] = {"S": ledger.moment_text(chosen.since)}
    question = {
        "IndexName": ledger_items.DEAD,
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values,
        "ScanIndexForward": False,
        "Limit": _PAGE,
    }
    found = ledger_items.items(stack, "Query", question)
    return filter(chosen.takes, map(ledger.from_item, found))


# The queue DeadLetters


def _peek(stack: Stack) -> tuple[list[Letter], int]:
    """The messages, given back at once, and about how many more there are.

    A queue that counts none is not asked for any: that would take a second each time.
    """
    if not _number_of_letters(stack):
        return [], 0
    with _held(stack, _PEEK_SECONDS, lambda found: len(found) >= MOST_LETTERS) as found:
        more = _number_of_letters(stack) - len(found) if len(found) >= MOST_LETTERS else 0
        return list(found.values()), max(0, more)


@contextmanager
def _held(
    stack: Stack, seconds: int, enough: Callable[[Mapping[str, Letter]], bool]
) -> Iterator[dict[str, Letter]]:
    """Messages by id, hidden from others for so long at most; what is left in it is given back."""
    found: dict[str, Letter] = {}
    try:
        while not enough(found):
            fresh = {each.id: each for each in _receive(stack, seconds)}
            if not fresh.keys() - found.keys():
                break
            found |= fresh
        yield found
    finally:
        _give_back(stack, list(found.values()))


def _receive(stack: Stack, seconds: int) -> list[Letter]:
    """Some of them; none only if there are none, for a question that waits asks every server."""
    answer = _sqs(
        stack,
        "ReceiveMessage",
        {
            "MaxNumberOfMessages": _BATCH,
            "VisibilityTimeout": seconds,
            "WaitTimeSeconds": 1,
            "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount"],
        },
    )
    return [_letter(message) for message in answer.get("Messages") or []]


def _letter(message: Mapping[str, Any]) -> Letter:
    conversion, erasure = None, None
    with suppress(MessageError):
        conversion = Conversion.from_message(message["Body"])
    if conversion is None:
        with suppress(MessageError):
            erasure = Erasure.from_message(message["Body"])
    attributes = message["Attributes"]
    return Letter(
        id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        sent_at=datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC),
        receives=int(attributes["ApproximateReceiveCount"]),
        conversion=conversion,
        erasure=erasure,
    )


def _give_back(stack: Stack, letters: Sequence[Letter]) -> None:
    """Show them to others again. Should that fail, they come back by themselves."""
    for start in range(0, len(letters), _BATCH):
        entries = [
            {"Id": str(n), "ReceiptHandle": letter.receipt, "VisibilityTimeout": 0}
            for n, letter in enumerate(letters[start : start + _BATCH])
        ]
        with suppress(StorageError):
            _sqs(stack, "ChangeMessageVisibilityBatch", {"Entries": entries})


def _number_of_letters(stack: Stack) -> int:
    answer = _sqs(stack, "GetQueueAttributes", {"AttributeNames": queue_messages.COUNTS})
    return queue_messages.number(answer)


def _delete(stack: Stack, letter: Letter) -> None:
    _sqs(stack, "DeleteMessage", {"ReceiptHandle": letter.receipt})


def _sqs(stack: Stack, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    with told_clearly():
        return stack.sqs.call(
            operation, {"QueueUrl": stack.outputs["DeadLettersUrl"], **parameters}
        )


# Deciding


class Step(StrEnum):
    """What is to be done with one; the second half of them is nothing."""

    RESEND = "resend"
    READ_FIRST = "read_first"
    DROP = "drop"
    DELETE = "delete"
    NEEDS_PROOF = "needs_proof"
    NEEDS_REASON = "needs_reason"
    NEEDS_RESEND = "needs_resend"
    NO_SHOP = "no_shop"
    UNREADABLE = "unreadable"


LEFT: Final = frozenset(
    {Step.NEEDS_PROOF, Step.NEEDS_REASON, Step.NEEDS_RESEND, Step.NO_SHOP, Step.UNREADABLE}
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with one, and the remedy where that is nothing."""

    dead: Dead
    step: Step
    remedy: str = ""


def resend_step(record: Record, shop: Shop, now: datetime) -> Step:
    """What a resend has to do so that Prisjakt counts no order twice."""
    if not ledger.may_be_there(record, now):
        return Step.RESEND
    return Step.READ_FIRST if shop.has_credentials else Step.NEEDS_PROOF


def caution(stack: Stack, record: Record, step: Step) -> str:
    """What to know of an order before it is resent, as a sentence; none where that is plain."""
    if step is Step.READ_FIRST:
        return "A resend looks first whether Prisjakt has it."
    if step is Step.NEEDS_PROOF:
        return f"{_proof(stack, record.shop)}."
    expired = record.death is DeathReason.EXPIRED and not ledger.is_at_prisjakt(record)
    if step is Step.RESEND and expired:
        return "Prisjakt cannot have it: a resend is safe."
    return ""


def _proof(stack: Stack, shop: str) -> str:
    return (
        "Prisjakt may have it, and would take it a second time by now: give the shop Prisjakt "
        f"credentials to look ({prisjakt_access.set_credentials(stack, shop)}), or look in "
        "Business Center and then use --force"
    )


def _resend_erasure(stack: Stack, wish: Erasure) -> str:
    resend = stack.command("dead", "resend", wish.shop, "--reason", Reason.UNDELIVERED)
    return f"a request to erase is never dropped: `{resend}` has it carried out"


class Result(StrEnum):
    """What came of it."""

    SENT = "sent"
    AT_PRISJAKT = "at_prisjakt"
    DROPPED = "dropped"
    CHANGED = "changed"
    NOT_READ = "not_read"


UNDONE: Final = frozenset({Result.CHANGED, Result.NOT_READ})
Deed = Callable[[Dead], tuple[Result, str]]
"""Does what was planned for one; the text says why, where that did not work."""


class Resending:
    """Tries dead orders again, each at most once at Prisjakt."""

    def __init__(self, stack: Stack, *, force: bool = False) -> None:
        self._stack = stack
        self._force = force
        self._shops: dict[str, Shop | SetupError] = {}
        self._clients: dict[str, PrisjaktClient] = {}
        self._refusals: dict[tuple[str, str], SetupError] = {}

    def plan(self, dead: Dead) -> Plan:
        if isinstance(dead, Letter) and dead.erasure is not None:
            return Plan(dead, Step.RESEND)  # a shop that was removed may have orders to erase
        order = dead if isinstance(dead, Record) else dead.conversion
        if order is None:
            drop = self._stack.command("dead", "drop", "--reason", Reason.UNREADABLE)
            return Plan(dead, Step.UNREADABLE, f"nobody can read it: `{drop}` deletes it")
        shop = self._shop(order.shop)
        if isinstance(shop, SetupError):
            return Plan(dead, Step.NO_SHOP, str(shop))
        if isinstance(dead, Letter) or self._force:
            return Plan(dead, Step.RESEND)
        step = resend_step(dead, shop, clock())
        if step is Step.NEEDS_PROOF:
            return Plan(dead, step, _proof(self._stack, dead.shop))
        return Plan(dead, step)

    def do(self, dead: Dead) -> tuple[Result, str]:
        """Raises `HeldError` or `PrisjaktError`, with a remedy each, if Prisjakt is not to be asked
        any more."""
        if isinstance(dead, Letter):
            return self._resend_letter(dead)
        proven = ledger.may_be_there(dead, clock())
        if proven and not self._force:
            there = self._is_shown(dead)
            if isinstance(there, SetupError):
                return Result.NOT_READ, str(there)
            if there:
                return self._amend(dead, _found(dead), Result.AT_PRISJAKT)
        return self._amend(dead, ledger.resent(dead, proven=proven), Result.SENT)

    def _amend(self, record: Record, after: Record, result: Result) -> tuple[Result, str]:
        """In this order: what is in the ledger but not on the queue is still listed."""
        with told_clearly():
            amended = self._stack.ledger.amend(record, after, clock())
        if amended is None:
            return Result.CHANGED, ""
        _send(self._stack, _conversion(amended).to_message(), amended.shop)
        return result, ""

    def _resend_letter(self, letter: Letter) -> tuple[Result, str]:
        order = letter.conversion or letter.erasure
        if order is not None:  # as planned
            _send(self._stack, letter.body, order.shop)
        _delete(self._stack, letter)
        return Result.SENT, ""

    def _shop(self, name: str) -> Shop | SetupError:
        if name not in self._shops:
            try:
                self._shops[name] = shops.shop(self._stack, name)
            except SetupError as error:
                self._shops[name] = error
        return self._shops[name]

    def _is_shown(self, record: Record) -> bool | SetupError:
        """Whether Prisjakt has it, or why the shop cannot ask that, which is the same for each of
        its orders."""
        shop, pixel_id = whose = record.shop, record.pixel_id
        if whose in self._refusals:
            return self._refusals[whose]
        client = self._client(shop)
        try:
            return shows(client, record)
        except PrisjaktError as error:
            told = prisjakt_access.told(self._stack, error, shop, f"pixel {pixel_id}")
            if not isinstance(told, SetupError):
                raise told from error
            self._refusals[whose] = told
            return told

    def _client(self, name: str) -> PrisjaktClient:
        if name not in self._clients:
            shop = shops.shop(self._stack, name)
            self._clients[name] = prisjakt_access.client(self._stack, name, shop)
        return self._clients[name]


class Dropping:
    """Gives dead orders up. What is known of them stays in the ledger; a message is gone, and its
    order may never have come as far as the ledger. What somebody asked to be erased is not given
    up."""

    def __init__(self, stack: Stack, *, deletes: Collection[Reason]) -> None:
        """`deletes`: why messages got stuck that may be deleted."""
        self._stack = stack
        self._deletes = deletes

    def plan(self, dead: Dead) -> Plan:
        if isinstance(dead, Record):
            return Plan(dead, Step.DROP)
        if dead.erasure is not None:
            return Plan(dead, Step.NEEDS_RESEND, _resend_erasure(self._stack, dead.erasure))
        reason = reason_of(dead)
        if reason in self._deletes:
            return Plan(dead, Step.DELETE)
        remedy = f"a message is deleted for good, and its order with it: say --reason {reason}"
        return Plan(dead, Step.NEEDS_REASON, remedy)

    def do(self, dead: Dead) -> tuple[Result, str]:
        if isinstance(dead, Letter):
            _delete(self._stack, dead)
            return Result.DROPPED, ""
        now = clock()
        with told_clearly():
            amended = self._stack.ledger.amend(dead, ledger.dropped(dead, now), now)
        return (Result.CHANGED if amended is None else Result.DROPPED), ""


def carry_out(
    stack: Stack, plans: Collection[Plan], do: Deed, told: Callable[[Plan, Result, str], None]
) -> None:
    """Do what is planned, one by one, and tell of each. It can be ended anywhere and run again."""
    to_do = [plan for plan in plans if plan.step not in LEFT]
    letters = {plan.dead.id: plan for plan in to_do if isinstance(plan.dead, Letter)}
    for plan in to_do:
        if isinstance(plan.dead, Record):
            told(plan, *do(plan.dead))
    if not letters:
        return

    def enough(found: Mapping[str, Letter]) -> bool:
        return letters.keys() <= found.keys() or len(found) >= MOST_LETTERS

    with _held(stack, _HOLD_SECONDS, enough) as found:
        for letter_id, plan in letters.items():
            if letter_id not in found:
                told(plan, Result.CHANGED, "")
                continue
            result = do(found[letter_id])
            del found[letter_id]
            told(plan, *result)


def _found(record: Record) -> Record:
    """Prisjakt has it after all; whether with these facts, a correction makes sure of. It stays in
    the list of the dead until a sender takes it up, as every other that is resent."""
    return replace(ledger.resent(record), reported=record.wanted, certain=False, shown_at=clock())


def _conversion(record: Record) -> Conversion:
    """What the order's last message said, as if it came now."""
    return Conversion(
        platform=record.platform,
        shop=record.shop,
        order_id=record.order_id,
        order_reference=record.external_id,
        event_name=record.event_name,
        event_time=datetime.fromisoformat(record.event_time),
        amount=record.wanted.amount,
        currency=record.currency,
        number_of_items=record.wanted.items,
        click_id=record.click_id,
        void=record.wanted.void,
        revision=record.wanted.revision,
        received_at=clock(),
    )


def _send(stack: Stack, body: str, shop: str) -> None:
    message = {
        "QueueUrl": stack.outputs["QueueUrl"],
        "MessageBody": body,
        "MessageGroupId": shop,
    }
    with told_clearly():
        aws.until(
            clock() + _SEND_FOR,
            lambda: stack.sqs.call("SendMessage", message),
            clock=clock,
            sleep=time.sleep,
        )
