"""Bugs that the simulation has to find: each is put into the relay while a world runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final
from unittest.mock import patch

from prisjakt_relay import ledger
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import PrisjaktError, RejectedError, StorageError
from prisjakt_relay.ledger import Claim, Facts, Record
from prisjakt_relay.prisjakt import answers
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.reconciler import hourly, reconciliation
from prisjakt_relay.reconciler.reconciliation import Standing, Verdict
from prisjakt_relay.sender import reporting
from prisjakt_relay.sender.sending import Order, Ports, Result, Sending, Try, Wait


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
}


@contextmanager
def planted(bug: str | None) -> Iterator[None]:
    """With that bug in the relay, or with none."""
    with BUGS[bug]() if bug else nullcontext():
        yield
