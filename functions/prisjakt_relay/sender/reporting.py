"""The sender's rules: what to do with a batch of messages, and with each answer of Prisjakt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from pydantic import ValidationError

from prisjakt_relay import ledger
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import (
    ConflictError,
    MessageError,
    NotAnsweredError,
    PrisjaktError,
    Problem,
    RateLimitedError,
    RefusedError,
    RejectedError,
    StorageError,
    UnavailableError,
    UnknownShopError,
)
from prisjakt_relay.ledger import Change, Facts, Ledger, Record
from prisjakt_relay.outcomes import DeathReason, Outcome
from prisjakt_relay.pauses import Pauses
from prisjakt_relay.prisjakt.client import HeaderPair, PrisjaktClient
from prisjakt_relay.prisjakt.models import PurchaseEvent
from prisjakt_relay.queues import ConversionQueue, Message
from prisjakt_relay.shop import Auth, Shop, Shops
from prisjakt_relay.telemetry import Emit

FIRST_WAIT: Final = 30.0
SLOW_WAIT: Final = 300.0  # for what only the shop can mend
LONGEST_WAIT: Final = 3600.0
UNSENT_WAIT: Final = 5.0
BUSY_WAIT: Final = 10.0  # a try is over long before its lease is
ENOUGH_TIME: Final = timedelta(seconds=12)  # connect 2 s + read 8 s, and time to write it down
TIME_OUTS_IN_A_ROW: Final = 2
TRIES: Final = 3  # that end with a refusal before an order is given up,
OWN_REFUSALS: Final = 2  # the last of them while the shop's other orders got through


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything that the rules need of the outside."""

    shops: Shops
    ledger: Ledger
    pauses: Pauses
    prisjakt: PrisjaktClient
    queue: ConversionQueue
    clock: Callable[[], datetime]
    random: Callable[[], float]
    new_token: Callable[[], str]
    emit: Emit
    scale: float = 1.0


@dataclass(slots=True)
class _Round:
    """What is known only within one invocation."""

    deadline: datetime
    time_outs: int = 0
    succeeded: dict[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Wait:
    """The order has to come back after so many seconds. `cause` is for the log."""

    seconds: float
    cause: str
    event: str = Outcome.WAITING
    answer: Problem = field(default_factory=Problem)
    hopeless: bool = False


def report(messages: Sequence[Message], ports: Ports, deadline: datetime) -> list[str]:
    """Work on a whole batch; returns the ids of the messages that are not settled.

    `deadline` is when the function would be killed. Nothing is slept for: what has to wait goes
    back to the queue. Messages of one order are merged: the highest revision speaks for all.
    """
    round_ = _Round(deadline)
    readable, unsettled = _read(messages, ports)
    for order in _by_order(readable):
        message, conversion = max(order, key=lambda pair: Facts.of(pair[1]).rank())
        try:
            wait = _settle(conversion, round_, ports)
        except StorageError as error:
            wait = _Wait(_jittered(FIRST_WAIT, ports), f"storage: {error}")
        if wait is not None and not _comes_back(message, conversion, wait, ports):
            unsettled.append(message.id)
    for shop, moment in round_.succeeded.items():
        with suppress(StorageError):  # the next success writes it again
            ports.ledger.note_success(shop, moment)
    return unsettled


def _read(
    messages: Iterable[Message], ports: Ports
) -> tuple[list[tuple[Message, Conversion]], list[str]]:
    """Conversions, and the ids of messages that are neither readable nor set aside safely."""
    readable: list[tuple[Message, Conversion]] = []
    stuck: list[str] = []
    for message in messages:
        try:
            readable.append((message, Conversion.from_message(message.body)))
        except MessageError as error:
            ports.emit(Outcome.UNREADABLE, message_id=message.id, field=error.field)
            if not ports.queue.set_aside(message):
                stuck.append(message.id)
    return readable, stuck


def _by_order(
    readable: Iterable[tuple[Message, Conversion]],
) -> Iterable[list[tuple[Message, Conversion]]]:
    orders: dict[tuple[str, str], list[tuple[Message, Conversion]]] = {}
    for message, conversion in readable:
        item = ledger.key(conversion.shop, conversion.order_id, conversion.event_name)
        orders.setdefault((item, conversion.currency), []).append((message, conversion))
    return orders.values()


def _settle(conversion: Conversion, round_: _Round, ports: Ports) -> _Wait | None:
    """One order, as far as it goes now; None when nothing is left to do."""
    now = ports.clock()
    if now + ENOUGH_TIME > round_.deadline or round_.time_outs >= TIME_OUTS_IN_A_ROW:
        return _unsent(ports)
    try:
        shop = ports.shops.get(conversion.shop, now)
    except UnknownShopError:
        old = now - conversion.received_at > ledger.LAST_FIRST_REPORT
        seconds = _jittered(LONGEST_WAIT, ports)
        return _Wait(seconds, "unknown shop", event="set_up_refused", hopeless=old)
    except UnavailableError:
        return _Wait(_jittered(FIRST_WAIT, ports), "shop document not available")
    pause = ports.pauses.until(shop.client, now)
    claim = ports.ledger.claim(
        conversion,
        pixel_id=shop.pixel_id,
        now=now,
        token=ports.new_token(),
        take=pause is None,
    )
    if claim.outcome is not None:
        _emit_outcome(claim.outcome, claim.record, ports)
        return None
    if claim.until is not None:
        left = (claim.until - now).total_seconds()
        return _Wait(min(left, BUSY_WAIT * ports.scale), "another sender has it")
    if pause is not None:
        return _paused(pause, now, ports)
    if (now := ports.clock()) + ENOUGH_TIME > round_.deadline:  # the table was slow
        ports.ledger.settle(claim.record, ledger.untouched, now)
        return _unsent(ports)
    return _send(claim.record, shop, round_, ports)


def _unsent(ports: Ports) -> _Wait:
    return _Wait(UNSENT_WAIT * ports.scale, "no time left in this round")


def _paused(end: datetime, now: datetime, ports: Ports) -> _Wait:
    """Until the end of the pause, and a little spread out so that not all come at once."""
    spread = ports.random() * UNSENT_WAIT * ports.scale
    return _Wait((end - now).total_seconds() + spread, "rate limit")


def _send(record: Record, shop: Shop, round_: _Round, ports: Ports) -> _Wait | None:
    """POST the order's facts as they are wanted now, and write down what came of it."""
    sent = record.wanted
    try:
        ports.prisjakt.create_event(record.pixel_id, _event(record), _credentials(shop))
    except ValidationError as error:
        problem = Problem(
            title="The event breaks a documented limit and was not sent",
            field_errors={".".join(map(str, e["loc"])): e["msg"] for e in error.errors()},
        )
        return _bury(record, DeathReason.REJECTED, problem, ports)
    except ConflictError:
        round_.time_outs = 0
        round_.succeeded[record.shop] = ports.clock()
        if record.uncertain:
            return _settled(record, partial(_reported, sent=sent, certain=False), ports)
        return _settled(record, partial(ledger.already_at_prisjakt, sent=sent), ports)
    except RejectedError as error:
        round_.time_outs = 0
        return _bury(record, DeathReason.REJECTED, error.problem, ports)
    except RefusedError as error:
        round_.time_outs = 0
        return _refused(record, error.problem, round_, ports)
    except RateLimitedError as error:
        round_.time_outs = 0
        now = ports.clock()
        end = ports.pauses.start(shop.client, error.wait, now)
        ports.ledger.settle(record, ledger.untouched, now)
        return _paused(end, now, ports)
    except NotAnsweredError as error:
        round_.time_outs = round_.time_outs + 1 if error.timed_out else 0
        return _failed(record, error, FIRST_WAIT, ports, stored=error.sent)
    round_.time_outs = 0
    round_.succeeded[record.shop] = ports.clock()
    return _settled(record, partial(_reported, sent=sent, certain=True), ports)


def _event(record: Record) -> PurchaseEvent:
    return PurchaseEvent.model_validate(
        {
            "event_name": record.event_name,
            "event_time": datetime.fromisoformat(record.event_time),
            "external_event_id": record.external_id,
            "amount": record.wanted.amount,
            "currency": record.currency,
            "number_of_items": record.wanted.items,
            "signed_click_id": record.click_id,
        }
    )


def _credentials(shop: Shop) -> HeaderPair | None:
    """The first report is never sent with a token: it needs none, and must not wait for one."""
    if shop.prisjakt_auth is not Auth.HEADERS:
        return None
    return HeaderPair(shop.prisjakt_client_id or "", shop.prisjakt_client_secret or "")


def _refused(record: Record, problem: Problem, round_: _Round, ports: Ports) -> _Wait | None:
    """401, 403, 404: the shop's set-up, unless other orders of the shop get through."""
    since = record.first_try_at or ports.clock()
    success = round_.succeeded.get(record.shop) or ports.ledger.last_success(record.shop)
    own = success is not None and success >= since
    if own and record.refusals + 1 >= OWN_REFUSALS and record.tries + 1 >= TRIES:
        return _bury(record, DeathReason.REFUSED, problem, ports)
    return _failed(
        record,
        RefusedError(problem),
        SLOW_WAIT,
        ports,
        stored=False,
        own=own,
        event=Outcome.WAITING if own else "set_up_refused",
    )


def _failed(
    record: Record,
    error: PrisjaktError,
    first_wait: float,
    ports: Ports,
    *,
    stored: bool,
    own: bool = False,
    event: str = Outcome.WAITING,
) -> _Wait:
    change = partial(
        ledger.failed,
        answer=error.problem,
        stored=stored,
        refused=own,
    )
    ports.ledger.settle(record, change, ports.clock())
    seconds = _jittered(first_wait * 2 ** min(record.tries, 20), ports)
    return _Wait(seconds, type(error).__name__, event=event, answer=error.problem)


def _bury(record: Record, death: DeathReason, problem: Problem, ports: Ports) -> _Wait | None:
    now = ports.clock()
    change = partial(ledger.dead, sent=record.wanted, death=death, answer=problem, now=now)
    return _settled(record, change, ports)


def _reported(record: Record, *, sent: Facts, certain: bool) -> Record:
    return ledger.reported(record, sent, certain=certain)


def _settled(record: Record, change: Change, ports: Ports) -> _Wait | None:
    after = ports.ledger.settle(record, change, ports.clock())
    if after is None:  # the lease ran out: whoever has it now finds the event there
        return _Wait(_jittered(FIRST_WAIT, ports), "the lease was lost")
    _emit_outcome(Outcome(after.status), after, ports)
    return None


def _jittered(seconds: float, ports: Ports) -> float:
    """Full jitter, so that a thousand orders do not come back in the same second."""
    return ports.random() * min(seconds, LONGEST_WAIT) * ports.scale


def _comes_back(message: Message, conversion: Conversion, wait: _Wait, ports: Ports) -> bool:
    """Make the order wait; True if a fresh copy waits instead, so that this message can go."""
    now = ports.clock()
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
        **_answer_fields(wait.answer),
    )
    if wait.hopeless and ports.queue.set_aside(message):
        return True
    if message.is_worn(now) and ports.queue.renew(message, conversion.shop, wait.seconds):
        return True
    ports.queue.postpone(message, wait.seconds)
    return False


def _emit_outcome(outcome: Outcome, record: Record, ports: Ports) -> None:
    ports.emit(
        outcome,
        outcome=outcome,
        platform=record.platform,
        shop=record.shop,
        order_id=record.order_id,
        tries=record.tries,
        reason=record.death if outcome is Outcome.DEAD else None,
        **(_answer_fields(record.answer) if outcome is Outcome.DEAD else {}),
    )


def _answer_fields(answer: Problem) -> dict[str, Any]:
    """What of Prisjakt's answer is safe to log: names of fields, never their values."""
    return {
        "answer_status": answer.status,
        "answer_title": answer.title or None,
        "answer_fields": sorted(answer.field_errors) or None,
        "answer_request_id": answer.request_id or None,
    }
