"""Bugs that the simulation has to find: each is put into the relay while a world runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, cast
from unittest.mock import patch

from tests.simulation.dynamodb import DynamoDb
from tests.simulation.fibres import START

from prisjakt_relay import aws, ledger, queues
from prisjakt_relay.conversion import VERSION, Conversion
from prisjakt_relay.errors import MessageError, PrisjaktError, RejectedError, StorageError
from prisjakt_relay.ledger import Claim, Facts, Ledger, Record
from prisjakt_relay.prisjakt import answers
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.queues import ConversionQueue, Message
from prisjakt_relay.rate_limit import RateLimit
from prisjakt_relay.receiver import webhook
from prisjakt_relay.reconciler import hourly, reconciliation
from prisjakt_relay.reconciler.progress import Progress, ProgressBook
from prisjakt_relay.reconciler.reconciliation import Standing, Verdict
from prisjakt_relay.sender import reporting, sending
from prisjakt_relay.sender.sending import Order, Ports, Result, Sending, Try, Wait
from prisjakt_relay.shop import Shop
from prisjakt_relay.tables import DynamoStore


def _no_lease() -> AbstractContextManager[object]:
    """Who comes second does not see that somebody is at it."""
    real = ledger.claimed

    def claimed(record: Record | None, *args: Any, **options: Any) -> Claim:
        if record is not None:
            record = replace(record, token=None, leased_until=None)
        return real(record, *args, **options)

    return patch.object(ledger, "claimed", claimed)


def _settle_before_send() -> AbstractContextManager[object]:
    """What is not sent in the end counts as reported."""
    real = Sending._call

    def call(
        self: Sending, tries: Sequence[Try], operation: Callable[[PrisjaktClient], object]
    ) -> object:
        for one in tries:
            self._settle(one, partial(ledger.reported, sent=one.record.wanted, certain=True))
        return real(self, tries, operation)

    return patch.object(Sending, "_call", call)


def _conflict_is_failure() -> AbstractContextManager[object]:
    """An event that is there already is taken for a refused one."""
    return patch.object(answers, "ConflictError", RejectedError)


def _revision_ignored() -> AbstractContextManager[object]:
    """Whatever comes last counts."""

    def rank(_: Facts) -> int:
        return 0

    return patch.object(Facts, "rank", rank)


def _receive_count_kills() -> AbstractContextManager[object]:
    """Nobody waits longer than five receives."""
    real = reporting._comes_back

    def comes_back(order: Order, wait: Wait, ports: Ports) -> bool:
        return real(order, wait, ports) or order.message.receives >= 5

    return patch.object(reporting, "_comes_back", comes_back)


def _batch_settled_on_400() -> AbstractContextManager[object]:
    """One bad event, and the whole batch is done with."""
    real = Sending._halved

    def halved(self: Sending, tries: Sequence[Try], error: PrisjaktError) -> Iterator[Result]:
        return self._stored(tries) if isinstance(error, RejectedError) else real(self, tries, error)

    return patch.object(Sending, "_halved", halved)


def _queue_failure_ignored() -> AbstractContextManager[object]:
    """The reconciler goes on as if what it found were on the queue."""
    real = hourly.Run._recover

    def recover(self: hourly.Run, *found: Any) -> None:
        with suppress(StorageError):
            real(self, *found)

    return patch.object(hourly.Run, "_recover", recover)


@contextmanager
def _known_is_enough() -> Iterator[None]:
    """The reconciler is content with any state that the ledger has of an order."""
    real = reconciliation.standing

    def standing(conversion: Conversion, record: Record | None, *rest: Any) -> Standing:
        return real(conversion, record, *rest) if record is None else Standing.REPORTED

    with (
        patch.object(reconciliation, "standing", standing),
        patch.object(Verdict, "is_touched", property(lambda _: False)),
    ):
        yield


def _without_overlap() -> AbstractContextManager[object]:
    """The reconciler reads on from its cursor, as if nothing could have been late or skipped."""
    return patch.object(hourly, "OVERLAP", timedelta(0))


def _short_lease() -> AbstractContextManager[object]:
    """A lease ends while its sender is still at work."""
    return _default(Ledger.__init__, lease=timedelta(seconds=2))


def _time_outs_are_over() -> AbstractContextManager[object]:
    """What was not answered in time is taken for not done, and sent again at once."""
    return _default(Ledger.__init__, late=timedelta(0))


def _default(function: Callable[..., object], **values: object) -> AbstractContextManager[object]:
    return patch.dict(cast("dict[str, object]", function.__kwdefaults__), values)


def _acknowledged_unqueued() -> AbstractContextManager[object]:
    """The receiver says 200 though the queue did not take the order."""
    real = queues.enqueue

    def enqueue(*args: Any, **options: Any) -> None:
        with suppress(StorageError):
            real(*args, **options)

    return patch.object(queues, "enqueue", enqueue)


def _limit_per_process() -> AbstractContextManager[object]:
    """Each sender counts its own requests only."""
    real = RateLimit.__init__

    def init(self: RateLimit, _: DynamoStore, *args: Any, **options: Any) -> None:
        own = cast("aws.Service", DynamoDb(lambda: 0.0))
        table = DynamoStore(own, "own", clock=lambda: START, sleep=lambda _: None)
        real(self, table, *args, **options)

    return patch.object(RateLimit, "__init__", init)


def _pause_ignored() -> AbstractContextManager[object]:
    """After a 429 only the order that met it waits."""

    def pause(_: RateLimit, _client: str, asked: float | None, now: datetime) -> datetime:
        return now + timedelta(seconds=asked or 60)

    return patch.object(RateLimit, "pause", pause)


def _uncertainty_forgotten() -> AbstractContextManager[object]:
    """A try that failed is taken for one that had no effect."""
    real = ledger.failed

    def failed(record: Record, *args: Any, **options: Any) -> Record:
        return real(record, *args, **options | {"stored": False})

    return patch.object(ledger, "failed", failed)


def _unanswered_write_is_done() -> AbstractContextManager[object]:
    """A write to the ledger that got no answer counts as made."""
    real = DynamoStore.put

    def put(self: DynamoStore, item: Mapping[str, Any], *, previous: int | None) -> bool:
        try:
            return real(self, item, previous=previous)
        except StorageError:
            return True

    return patch.object(DynamoStore, "put", put)


def _never_put_on_anew() -> AbstractContextManager[object]:
    """Messages are left to the queue's own limits: 14 days, a thousand receives."""
    return patch.object(Message, "is_worn", lambda *_: False)


def _copy_not_awaited() -> AbstractContextManager[object]:
    """A message goes though its fresh copy may not have come to be."""
    real = ConversionQueue.renew

    def renew(self: ConversionQueue, *args: Any) -> bool:
        return real(self, *args) or True

    return patch.object(ConversionQueue, "renew", renew)


def _newer_messages_refused() -> AbstractContextManager[object]:
    """A sender reads only what its own release writes, and the next one's receiver is first."""
    real = Conversion.from_message

    def from_message(text: str) -> Conversion:
        if json.loads(text)["version"] != VERSION:
            raise MessageError("version")
        return real(text)

    return patch.object(Conversion, "from_message", from_message)


def _batch_deleted_whole() -> AbstractContextManager[object]:
    """What is not settled of a batch is not told to the queue."""
    real = reporting.report

    def report(*args: Any) -> list[str]:
        real(*args)
        return []

    return patch.object(reporting, "report", report)


def _read_not_kept() -> AbstractContextManager[object]:
    """A read before a correction is forgotten before its write has a turn."""
    return patch.object(ledger, "SHOWN", timedelta(0))


def _documents_take_all_time() -> AbstractContextManager[object]:
    """Reading a shop's document may leave no time for the queue, and the shop hangs up."""
    return patch.object(webhook, "ATTEMPT", timedelta(0))


@contextmanager
def _storage_asked_without_end() -> Iterator[None]:
    """While the table is away, every message comes back every few seconds."""

    def soon(_: Message, ports: Ports, cause: str) -> Wait:
        return Wait(sending.jittered(sending.FIRST_WAIT, ports), cause)

    with (
        patch.object(sending, "STORAGE_FAILURES_IN_A_ROW", 10**9),
        patch.object(sending, "stored_later", soon),
        patch.object(reporting, "stored_later", soon),
    ):
        yield


def _pause_for_oneself() -> AbstractContextManager[object]:
    """A 429 that the reconciler hears is not told to the senders."""
    real = PrisjaktClient.using

    def using(self: PrisjaktClient, *args: Any) -> PrisjaktClient:
        return real(self, *args[:2])

    return patch.object(PrisjaktClient, "using", using)


def _gap_untold() -> AbstractContextManager[object]:
    """After a shop was put on the list no run could read for days, and nobody says so."""
    real = ProgressBook.put

    def put(self: ProgressBook, shop: str, progress: Progress) -> None:
        real(self, shop, progress if progress.ran_at else replace(progress, cursor=None))

    return patch.object(ProgressBook, "put", put)


def _looks_back_a_minute() -> AbstractContextManager[object]:
    """The reconciler skips all but the last minute, and tells that it did."""
    return patch.object(hourly, "LONGEST_GAP", timedelta(minutes=1))


def _set_up_kills() -> AbstractContextManager[object]:
    """Refused orders are given up though none of the shop gets through."""

    def last_success(*_: object, correction: bool) -> datetime:
        del correction
        return datetime.max.replace(tzinfo=UTC)

    return patch.object(Ledger, "last_success", last_success)


def _first_reports_for_ever() -> AbstractContextManager[object]:
    """An order is reported when Prisjakt may have forgotten an earlier try."""
    return patch.object(ledger, "LAST_FIRST_REPORT", timedelta(days=4000))


def _one_document_ends_all() -> AbstractContextManager[object]:
    """Each order of a shop whose document cannot be read counts as a failure of all storage."""
    real = reporting._shop

    def shop(order: Order, sending: Sending, ports: Ports) -> Shop | Wait:
        found = real(order, sending, ports)
        if isinstance(found, Wait):
            sending.storage_failures += 1
        return found

    return patch.object(reporting, "_shop", shop)


# Those that were really in the relay once, and the simulation found them.
FOUND: Final[Mapping[str, Callable[[], AbstractContextManager[object]]]] = {
    "read-not-kept": _read_not_kept,
    "documents-take-all-time": _documents_take_all_time,
    "storage-asked-without-end": _storage_asked_without_end,
    "pause-for-oneself": _pause_for_oneself,
    "gap-untold": _gap_untold,
}

BUGS: Final[Mapping[str, Callable[[], AbstractContextManager[object]]]] = {
    "no-lease": _no_lease,
    "settle-before-send": _settle_before_send,
    "409-is-failure": _conflict_is_failure,
    "revision-ignored": _revision_ignored,
    "receive-count-kills": _receive_count_kills,
    "batch-settled-on-400": _batch_settled_on_400,
    "queue-failure-ignored": _queue_failure_ignored,
    "known-is-enough": _known_is_enough,
    "without-overlap": _without_overlap,
    "short-lease": _short_lease,
    "time-outs-are-over": _time_outs_are_over,
    "acknowledged-unqueued": _acknowledged_unqueued,
    "limit-per-process": _limit_per_process,
    "pause-ignored": _pause_ignored,
    "uncertainty-forgotten": _uncertainty_forgotten,
    "unanswered-write-is-done": _unanswered_write_is_done,
    "never-put-on-anew": _never_put_on_anew,
    "copy-not-awaited": _copy_not_awaited,
    "newer-messages-refused": _newer_messages_refused,
    "batch-deleted-whole": _batch_deleted_whole,
    "looks-back-a-minute": _looks_back_a_minute,
    "set-up-kills": _set_up_kills,
    "first-reports-for-ever": _first_reports_for_ever,
    "one-document-ends-all": _one_document_ends_all,
    **FOUND,
}


@contextmanager
def planted(bug: str | None) -> Iterator[None]:
    """With that bug in the relay, or with none."""
    with BUGS[bug]() if bug else nullcontext():
        yield


def about(bug: str) -> str:
    """What the relay does wrong then, in a sentence."""
    return (BUGS[bug].__doc__ or "").strip()
