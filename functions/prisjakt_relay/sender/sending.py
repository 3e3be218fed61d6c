"""The sender's rules: which request carries an order, and what to do with each answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zlib import crc32

from pydantic import ValidationError

from prisjakt_relay import ledger
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import (
    ConflictError,
    HeldError,
    NotAnsweredError,
    PrisjaktError,
    Problem,
    RateLimitedError,
    RefusedError,
    RejectedError,
    StorageError,
    TokenError,
)
from prisjakt_relay.ledger import Change, Ledger, Record
from prisjakt_relay.outcomes import DeathReason, Outcome
from prisjakt_relay.prisjakt.auth import credentials_of
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.prisjakt.models import Event, PurchaseEvent
from prisjakt_relay.queues import LONGEST_WAIT as LONGEST_HIDDEN
from prisjakt_relay.queues import ConversionQueue, Message
from prisjakt_relay.rate_limit import RateLimit
from prisjakt_relay.shop import Shop, Shops

if TYPE_CHECKING:
    from prisjakt_relay.telemetry import Emit  # whose logger the command line does without

FIRST_WAIT: Final = 30.0
SLOW_WAIT: Final = 300.0  # for what only the shop can mend
LONGEST_WAIT: Final = 3600.0
GATHERED: Final = 300.0  # who waits longer comes back together with others of the client
UNSENT_WAIT: Final = 5.0
ENOUGH_TIME: Final = timedelta(seconds=12)  # connect 2 s + read 8 s, and time to write it down
TIME_TO_SETTLE: Final = timedelta(milliseconds=20)  # more for each further order of a batch
TIME_OUTS_IN_A_ROW: Final = 2
STORAGE_FAILURES_IN_A_ROW: Final = 2
UNANSWERED_IN_A_ROW: Final = 5
TRIES: Final = 3  # that end with a refusal before an order is given up,
OWN_REFUSALS: Final = 2  # the last of them while the shop's other orders got through
BATCH: Final = 100
UNAUTHORISED: Final = 401
TOO_LARGE: Final = 413
EXTRA_REQUESTS: Final = 16  # to find what is wrong with a batch
UNCLAIMED: Final = timedelta(hours=1)  # after which it is asked whether the shop is forgotten
NEARBY: Final = timedelta(hours=1)  # within which a browser's time of an order is of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything that the rules need of the outside."""

    shops: Shops
    ledger: Ledger
    rate_limit: RateLimit
    prisjakt: PrisjaktClient
    queue: ConversionQueue
    clock: Callable[[], datetime]
    random: Callable[[], float]
    new_token: Callable[[], str]
    emit: Emit
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    """The newest message about an order, among those at hand."""

    message: Message
    conversion: Conversion


@dataclass(frozen=True, slots=True)
class Wait:
    """The order has to come back after so many seconds. `cause` is for the log."""

    seconds: float
    cause: str
    event: str = Outcome.WAITING
    answer: Problem = field(default_factory=Problem)
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Try:
    """An order whose lease is ours."""

    order: Order
    record: Record
    shop: Shop
    corrects: bool
    waited: bool

    @property
    def is_correction(self) -> bool:
        return ledger.is_correction(self.record)


Result = tuple[Order, Wait | None]
T = TypeVar("T")


@dataclass(slots=True)
class Sending:
    """The requests of one invocation, and what is known only within it."""

    ports: Ports
    deadline: datetime
    succeeded: dict[tuple[str, bool], datetime] = field(default_factory=dict)
    once_more: list[Order] = field(default_factory=list)
    storage_failures: int = 0  # in a row
    without_document: set[str] = field(default_factory=set)  # shops that were asked for in vain
    _erased_until: dict[str, datetime | None] = field(default_factory=dict)
    _time_outs: int = 0
    _unanswered: int = 0
    _extra: int = 0
    _no_batches: dict[str, PrisjaktError] = field(default_factory=dict)

    def together(self, tries: Sequence[Try]) -> Iterator[Result]:
        """Send what was claimed: in batches where that can be, else one by one."""
        batches: defaultdict[tuple[str, str], list[Try]] = defaultdict(list)
        singles: list[Try] = []
        now = self.ports.clock()
        for one in tries:
            proof = one.is_correction and ledger.needs_proof(one.record, now)
            if len(tries) == 1 or one.record.alone or proof:
                singles.append(one)
            else:
                batches[one.shop.client, one.record.pixel_id].append(one)
        for batch in batches.values():
            for start in range(0, len(batch), BATCH):
                part = batch[start : start + BATCH]
                yield from self._batch(part) if len(part) > 1 else self._single(part[0])
        for one in singles:
            yield from self._single(one)

    def over(self, order: Order, shop: Shop | None) -> Wait | None:
        """Why nothing more may be sent in this round, if so."""
        if self._time_outs >= TIME_OUTS_IN_A_ROW or self._unanswered >= UNANSWERED_IN_A_ROW:
            seconds = jittered(_growing(order.message), self.ports)
            return Wait(gathered(seconds, shop, self.ports), "Prisjakt does not answer")
        if self.ports.clock() + ENOUGH_TIME > self.deadline:
            return Wait(UNSENT_WAIT * self.ports.scale, "no time left in this round")
        return None

    def storage_is_away(self, message: Message) -> Wait | None:
        """Why nothing more is asked of AWS in this round, if so: each failure takes seconds, and a
        whole batch of them would outlast the function. A lease that is left ends by itself."""
        if self.storage_failures < STORAGE_FAILURES_IN_A_ROW:
            return None
        return stored_later(message, self.ports, "storage does not answer")

    def storage_failed(self, message: Message, cause: str) -> Wait:
        """Count it, for whoever comes next in this round."""
        self.storage_failures += 1
        return stored_later(message, self.ports, cause)

    def is_to_be_forgotten(self, order: Order, shop: Shop | None, now: datetime) -> bool:
        """Whether the whole shop was erased after this message came. The ledger has an answer of
        its own for each order that it knows, and a second look of the erasure finds what is claimed
        within the hour: only for what waited longer is the shop's own item read. Where the shop has
        no document any more, its orders do not come as far as the ledger."""
        one = order.conversion
        if now - one.received_at <= UNCLAIMED * self.ports.scale:
            return False
        if one.shop not in self._erased_until:
            self._erased_until[one.shop] = self.ports.ledger.erased_until(one.shop)
        until = self._erased_until[one.shop]
        if until is not None and one.received_at <= until:
            return True
        if shop is not None:
            return False
        record = self.ports.ledger.get(ledger.key(one.shop, one.order_id, one.event_name))
        return record is not None and record.status is ledger.Status.ERASED

    # One request, whatever it carries

    def _call(self, tries: Sequence[Try], operation: Callable[[PrisjaktClient], T]) -> T:
        """Make the request if it may go now; raises `HeldError` or `PrisjaktError` otherwise."""
        client = self.ports.prisjakt.using(
            credentials_of(tries[0].shop), partial(self._before, tries)
        )
        try:
            result = operation(client)
        except RateLimitedError as error:
            self._time_outs = self._unanswered = 0
            raise self._paused(tries[0].shop.client, error) from error
        except PrisjaktError as error:
            timed_out = isinstance(error, NotAnsweredError | TokenError) and error.timed_out
            self._time_outs = self._time_outs + 1 if timed_out else 0
            unanswered = isinstance(error, NotAnsweredError)
            self._unanswered = self._unanswered + 1 if unanswered else 0
            raise
        self._time_outs = self._unanswered = 0
        return result

    def _paused(self, client: str, error: RateLimitedError) -> HeldError:
        """Nobody sends for that client until then, and this was no try."""
        now = self.ports.clock()
        try:
            return HeldError("rate limit", self.ports.rate_limit.pause(client, error.wait, now))
        except StorageError:
            return HeldError("rate limit", now + timedelta(seconds=FIRST_WAIT * self.ports.scale))

    def _before(self, tries: Sequence[Try], counts: bool) -> None:
        now = self.ports.clock()
        if now + ENOUGH_TIME + TIME_TO_SETTLE * (len(tries) - 1) > self.deadline:
            raise HeldError("no time left in this round")
        if self.over(tries[0].order, tries[0].shop) is not None:
            raise HeldError("Prisjakt does not answer")
        if not counts:
            return
        shop = tries[0].shop
        waited = any(one.waited for one in tries)
        try:
            turn = self.ports.rate_limit.reserve(
                shop.client, tries[0].record.shop, now, waited=waited
            )
        except StorageError as error:
            raise HeldError(f"storage: {error}") from error
        if turn is not None:
            raise HeldError("rate limit", turn)

    # A single order

    def _single(self, one: Try) -> Iterator[Result]:
        yield from self._settling(one, self._correct if one.is_correction else self._report)

    def _report(self, one: Try) -> Wait | None:
        """POST a first report."""
        record, sent = one.record, one.record.wanted
        try:
            event = _event(record)
            self._call([one], lambda client: client.create_event(record.pixel_id, event))
        except ValidationError as error:
            return self._invalid(one, error)
        except ConflictError:
            self._succeeded(one, correction=False)
            if not record.uncertain:
                return self._settled(one, partial(ledger.already_at_prisjakt, sent=sent))
            wait = self._settled(one, partial(ledger.reported, sent=sent, certain=False))
            if wait is None and one.corrects:
                self.once_more.append(one.order)  # a PATCH makes sure of the facts
                return None
            return wait
        except (PrisjaktError, HeldError) as error:
            return self._unsuccessful(one, error)
        self._succeeded(one, correction=False)
        return self._settled(one, partial(ledger.reported, sent=sent, certain=True))

    def _correct(self, one: Try) -> Wait | None:
        """PATCH what is there, after a read where only that shows that something is."""
        record, sent = one.record, one.record.wanted
        try:
            event = _event(record)
            if (known := self._no_batches.get(one.shop.client)) is not None:
                raise known
            if ledger.needs_proof(record, self.ports.clock()):
                if not self._call([one], lambda client: shows(client, record)):
                    gone = ledger.not_correctable
                    if sent.void and not ledger.is_at_prisjakt(record):
                        gone = ledger.nothing_to_report
                    return self._settled(one, partial(gone, sent=sent))
                one = replace(one, record=replace(record, shown_at=self.ports.clock()))
            self._call(
                [one],
                lambda client: client.create_or_update_events(record.pixel_id, [event]),
            )
        except ValidationError as error:
            return self._invalid(one, error)
        except (PrisjaktError, HeldError) as error:
            return self._unsuccessful(one, error)
        self._succeeded(one, correction=True)
        return self._settled(
            one, partial(ledger.reported, sent=sent, certain=True), outcome=Outcome.CORRECTED
        )

    # Several orders of one pixel

    def _batch(self, batch: Sequence[Try]) -> Iterator[Result]:
        """PATCH them all at once, or find out what is in the way."""
        valid: list[Try] = []
        for one in batch:
            try:
                _event(one.record)
            except ValidationError as invalid:
                yield from self._settling(one, partial(self._invalid, error=invalid))
            else:
                valid.append(one)
        if len(valid) < 2:
            for one in valid:
                yield from self._single(one)
            return
        known = self._no_batches.get(valid[0].shop.client)
        error = known or self._patched(valid)
        if error is None:
            yield from self._stored(valid)
        elif isinstance(error, HeldError) or not _is_about_the_batch(error):
            yield from self._without_batches(valid, error)
        else:
            yield from self._halved(valid, error)

    def _patched(self, tries: Sequence[Try]) -> PrisjaktError | HeldError | None:
        events = [_event(one.record) for one in tries]
        pixel_id = tries[0].record.pixel_id
        try:
            self._call(tries, lambda client: client.create_or_update_events(pixel_id, events))
        except (PrisjaktError, HeldError) as error:
            return error
        for one in tries:
            self._succeeded(one, correction=True)
        return None

    def _stored(self, tries: Iterable[Try]) -> Iterator[Result]:
        for one in tries:
            sent = one.record.wanted
            outcome = Outcome.CORRECTED if one.is_correction else Outcome.REPORTED
            yield from self._settling(
                one,
                partial(
                    self._settled,
                    change=partial(ledger.reported, sent=sent, certain=True),
                    outcome=outcome,
                ),
            )

    def _halved(self, tries: Sequence[Try], error: PrisjaktError) -> Iterator[Result]:
        """Something in this batch is refused. If both halves are, and that may be the set-up's
        fault, it is the batch as such."""
        middle = len(tries) // 2
        halves = tries[:middle], tries[middle:]
        answers = [self._searched(halves[0])]
        certainly_bad = answers == [None] and isinstance(error, RejectedError)
        if certainly_bad and len(halves[1]) > 1 and error.problem.status != TOO_LARGE:
            answers.append(error)
        else:
            answers.append(self._searched(halves[1]))
        if all(isinstance(answer, RefusedError) for answer in answers):
            yield from self._without_batches(tries, error)
            return
        for half, answer in zip(halves, answers, strict=True):
            if answer is None:
                yield from self._stored(half)
            elif isinstance(answer, HeldError) and self._extra >= EXTRA_REQUESTS:
                yield from self._put_off(half)
            elif isinstance(answer, HeldError) or not _is_about_the_batch(answer):
                yield from self._without_batches([_in_doubt(one) for one in half], answer)
            elif len(half) == 1:
                yield from self._settling(half[0], partial(self._unsuccessful, error=answer))
            else:
                yield from self._halved(half, answer)

    def _searched(self, tries: Sequence[Try]) -> PrisjaktError | HeldError | None:
        if self._extra >= EXTRA_REQUESTS:
            return HeldError("in doubt")
        self._extra += 1
        return self._patched(tries)

    def _put_off(self, tries: Iterable[Try]) -> Iterator[Result]:
        """Enough of searching: each of these goes alone next time."""
        for one in tries:
            wait = Wait(UNSENT_WAIT * self.ports.scale, "a batch with it was refused")
            change = partial(ledger.untouched, alone=True)
            in_doubt = _in_doubt(one)
            yield from self._settling(in_doubt, partial(self._released, change=change, wait=wait))

    def _without_batches(
        self, tries: Sequence[Try], error: PrisjaktError | HeldError
    ) -> Iterator[Result]:
        """Credentials, token endpoint or PATCH fail: first reports need none of them."""
        answered = isinstance(error, NotAnsweredError) and error.problem.status is not None
        failing = answered or isinstance(error, TokenError | RefusedError)
        if failing and isinstance(error, PrisjaktError):
            self._no_batches[tries[0].shop.client] = error
        for one in tries:
            if failing and not one.is_correction:
                yield from self._single(_in_doubt(one) if answered else one)
            else:
                yield from self._settling(one, partial(self._unsuccessful, error=error))

    # What came of it

    def _settling(self, one: Try, settle: Callable[[Try], Wait | None]) -> Iterator[Result]:
        wait = self.storage_is_away(one.order.message)
        if wait is None:
            try:
                wait = settle(one)
                self.storage_failures = 0
            except StorageError as error:
                wait = self.storage_failed(one.order.message, f"storage: {error}")
        yield one.order, wait

    def _succeeded(self, one: Try, *, correction: bool) -> None:
        self.succeeded[one.record.shop, correction] = self.ports.clock()

    def _settled(self, one: Try, change: Change, outcome: Outcome | None = None) -> Wait | None:
        after = self._settle(one, change)
        if after is None:  # the lease ran out: whoever has it now finds the event there
            return Wait(jittered(FIRST_WAIT, self.ports), "the lease was lost")
        emit_outcome(outcome or Outcome(after.status), after, self.ports)
        return None

    def _released(self, one: Try, change: Change, wait: Wait) -> Wait:
        self._settle(one, change)
        return wait

    def _settle(self, one: Try, change: Change) -> Record | None:
        """Write it down, and what became uncertain on the way to it."""

        def with_doubt(record: Record) -> Record:
            uncertain = record.uncertain or one.record.uncertain
            return change(replace(record, uncertain=uncertain, shown_at=one.record.shown_at))

        return self.ports.ledger.settle(one.record, with_doubt, self.ports.clock())

    def _invalid(self, one: Try, error: ValidationError) -> Wait | None:
        problem = Problem(
            title="The event breaks a documented limit and was not sent",
            field_errors={".".join(map(str, e["loc"])): e["msg"] for e in error.errors()},
        )
        return self._rejected(one, problem)

    def _rejected(self, one: Try, problem: Problem) -> Wait | None:
        sent = one.record.wanted
        if one.is_correction:
            change: Change = partial(ledger.correction_refused, sent=sent, answer=problem)
            return self._settled(one, change)
        return self._bury(one, DeathReason.REJECTED, problem)

    def _bury(self, one: Try, death: DeathReason, problem: Problem) -> Wait | None:
        now = self.ports.clock()
        change = partial(ledger.dead, sent=one.record.wanted, death=death, answer=problem, now=now)
        return self._settled(one, change)

    def _unsuccessful(self, one: Try, error: PrisjaktError | HeldError) -> Wait | None:
        """What the answer means for this order."""
        if isinstance(error, HeldError):
            return self._held(one, error)
        if isinstance(error, RejectedError):
            return self._rejected(one, error.problem)
        if isinstance(error, RefusedError):
            return self._refused(one, error)
        if isinstance(error, TokenError) and error.problem.status in (400, 401, 403):
            return self._failed(one, error, SLOW_WAIT, event="set_up_refused")
        return self._failed(one, error, FIRST_WAIT)

    def _held(self, one: Try, error: HeldError) -> Wait:
        """Nothing was sent: it is no try, and the order keeps its place in line."""
        now = self.ports.clock()
        wait = self.over(one.order, one.shop) or Wait(UNSENT_WAIT * self.ports.scale, error.cause)
        if error.until is not None:
            wait = Wait(until_turn((error.until - now).total_seconds(), self.ports), error.cause)
        kept = now if one.waited else None  # it need not stand in line again
        change = partial(ledger.untouched, not_before=error.until or kept)
        return self._released(one, change, wait)

    def _refused(self, one: Try, error: RefusedError) -> Wait | None:
        """401, 403, 404: the shop's set-up, unless other orders of the shop get through."""
        record, correction = one.record, one.is_correction
        since = record.trying_since or self.ports.clock()
        success = self.succeeded.get((record.shop, correction)) or self.ports.ledger.last_success(
            record.shop, correction=correction
        )
        about_us = correction and error.problem.status == UNAUTHORISED
        own = success is not None and success >= since and not about_us
        if own and record.refusals + 1 >= OWN_REFUSALS and record.tries + 1 >= TRIES:
            if correction:
                return self._rejected(one, error.problem)
            return self._bury(one, DeathReason.REFUSED, error.problem)
        event = Outcome.WAITING if own else "set_up_refused"
        return self._failed(one, error, SLOW_WAIT, own=own, event=event)

    def _failed(
        self,
        one: Try,
        error: PrisjaktError,
        first_wait: float,
        *,
        own: bool = False,
        event: str = Outcome.WAITING,
    ) -> Wait:
        record, now = one.record, self.ports.clock()
        stored = isinstance(error, NotAnsweredError) and error.sent
        seconds = jittered(first_wait * 2 ** min(record.tries, 20), self.ports)
        not_before = None
        if isinstance(error, NotAnsweredError) and error.sent and error.timed_out:
            not_before = now + self.ports.ledger.late  # it may still be under way
            seconds = max(seconds, self.ports.ledger.late.total_seconds())
        seconds = gathered(seconds, one.shop, self.ports)
        change = partial(
            ledger.failed,
            answer=error.problem,
            stored=stored,
            refused=own,
            not_before=not_before,
        )
        wait = Wait(seconds, type(error).__name__, event=event, answer=error.problem)
        return self._released(one, change, wait)


def jittered(seconds: float, ports: Ports) -> float:
    """Full jitter, so that what failed together does not come back together; but see `gathered`."""
    return ports.random() * min(seconds, LONGEST_WAIT) * ports.scale


def gathered(seconds: float, shop: Shop | None, ports: Ports) -> float:
    """A longer wait ends at one of the client's own moments, a few in an hour, if its orders can
    share requests: after an outage they do, instead of coming one by one."""
    period = GATHERED * ports.scale
    if shop is None or not shop.has_credentials or seconds < period:
        return seconds
    seconds = min(seconds, LONGEST_WAIT * ports.scale - period)
    ends = ports.clock().timestamp() + seconds - crc32(shop.client.encode()) % period
    return seconds - ends % period + period


def stored_later(message: Message, ports: Ports, cause: str) -> Wait:
    """AWS has trouble: come back soon, but ask less and less often."""
    return Wait(jittered(min(_growing(message), SLOW_WAIT), ports), cause)


def _growing(message: Message) -> float:
    """Seconds that double with every receive: what kept it from being tried is not counted."""
    return FIRST_WAIT * 2.0 ** min(message.receives - 1, 7)


def put_off(message: Message, group: str, seconds: float, ports: Ports) -> bool:
    """Make it wait; True if a fresh copy waits instead, so that this message can go."""
    if message.is_worn(ports.clock()) and ports.queue.renew(message, group, seconds):
        return True
    ports.queue.postpone(message, seconds)
    return False


def until_turn(seconds: float, ports: Ports) -> float:
    """A message can be hidden for eleven hours only: who has to wait longer looks in before that,
    and not all of them at once, which would hold up those whose turn it is."""
    longest = LONGEST_HIDDEN.total_seconds()
    return seconds if seconds <= longest else longest * (1 + ports.random()) / 2


def emit_outcome(outcome: Outcome, record: Record, ports: Ports) -> None:
    said = outcome in (Outcome.DEAD, Outcome.CORRECTION_REFUSED)
    ports.emit(
        outcome,
        outcome=outcome,
        platform=record.platform,
        shop=record.shop,
        order_id=record.order_id,
        tries=record.tries,
        reason=record.death if outcome is Outcome.DEAD else None,
        **(answer_fields(record.answer) if said else {}),
    )


def emit_erased(conversion: Conversion, ports: Ports) -> None:
    """A message that nothing is known of, since that was erased."""
    ports.emit(
        Outcome.ERASED,
        outcome=Outcome.ERASED,
        platform=conversion.platform,
        shop=conversion.shop,
        order_id=conversion.order_id,
    )


def answer_fields(answer: Problem) -> dict[str, Any]:
    """What of Prisjakt's answer is safe to log: names of fields, never their values."""
    return {
        "answer_status": answer.status,
        "answer_title": answer.title or None,
        "answer_fields": sorted(answer.field_errors) or None,
        "answer_request_id": answer.request_id or None,
    }


def _in_doubt(one: Try) -> Try:
    """It may have been stored with the batch that was refused or not answered."""
    return replace(one, record=replace(one.record, uncertain=True))


def _is_about_the_batch(error: PrisjaktError) -> bool:
    """Refused for what is in it, as far as one can tell: smaller ones may be taken."""
    if isinstance(error, RefusedError):
        return error.problem.status in (403, 404)
    return isinstance(error, RejectedError)


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


def events_near(
    client: PrisjaktClient, pixel_id: str, moment: datetime, *, event_name: str | None = None
) -> Iterator[Event]:
    """What Prisjakt holds of about the time of an order."""
    return client.events(pixel_id, moment - NEARBY, moment + NEARBY, event_name=event_name)


def shows(client: PrisjaktClient, record: Record) -> bool:
    """Whether Prisjakt holds the event: same reference, same click, about the same time."""
    moment = datetime.fromisoformat(record.event_time)
    click_id = record.click_id.partition("_")[0].lower()
    return any(
        event.external_event_id == record.external_id and event.click_id.lower() == click_id
        for event in events_near(client, record.pixel_id, moment)
    )
