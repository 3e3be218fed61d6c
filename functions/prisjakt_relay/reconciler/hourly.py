"""One run of the function: every shop on the list, for as long as there is time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from prisjakt_relay.conversion import PURCHASE, Conversion
from prisjakt_relay.errors import (
    HeldError,
    PlatformBusyError,
    PrisjaktError,
    RelayError,
    StorageError,
    UnavailableError,
    UnknownShopError,
)
from prisjakt_relay.ledger import Record
from prisjakt_relay.outcomes import Reason, Reconciled
from prisjakt_relay.platform_api.interface import Moment, PlatformApi
from prisjakt_relay.platform_api.subscriptions import IN_ORDER, State, examined
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.reconciler.progress import Progress, ProgressBook
from prisjakt_relay.reconciler.reconciliation import (
    EventsOfOrders,
    Records,
    Standing,
    Verdict,
    verdicts,
)
from prisjakt_relay.shop import Shop
from prisjakt_relay.telemetry import Emit

OVERLAP: Final = timedelta(hours=1)  # what a search index or a slow clock may have held back
LONGEST_GAP: Final = timedelta(hours=48)
MARGIN: Final = timedelta(minutes=5)  # a webhook that is on its way is not lost
ENOUGH_TIME: Final = timedelta(seconds=60)  # to begin with a shop
OVERDUE: Final = timedelta(hours=3)  # for who is put off: many shops take turns, without an alarm
CUT_OFF: Final = "the last run was cut off; the next one goes on where it was"
NO_TIME: Final = "no time was left; the next run begins with it"
# Where a shop is off, nobody looks for a click id: that is no silence.
_WITHOUT_CLICK: Final = frozenset({Reason.SOURCE, Reason.NO_CLICK_ID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the reconciler needs of the outside.

    `api` and `prisjakt` give a shop's own; the latter None where it has no credentials. `enqueue`
    raises `StorageError` when it fails.
    """

    book: ProgressBook
    shop: Callable[[str], Shop]
    api: Callable[[str, Shop], PlatformApi]
    prisjakt: Callable[[str, Shop], PrisjaktClient | None]
    records: Records
    enqueue: Callable[[Conversion], None]
    webhook_address: str
    clock: Callable[[], datetime]
    emit: Emit
    scale: float = 1.0


def reconcile(ports: Ports, deadline: datetime) -> None:
    """Go through the list, the shop that has waited longest first; never raises for one of them."""
    waiting = [(name, ports.book.get(name)) for name in ports.book.shops()]
    waiting.sort(key=lambda each: each[1].ran_at.timestamp() if each[1].ran_at else 0.0)
    for name, progress in waiting:
        if deadline - ports.clock() < ENOUGH_TIME:
            late = progress.ran_at is not None and ports.clock() - progress.ran_at > OVERDUE
            event = "reconcile_failed" if late else "reconcile_put_off"
            ports.emit(event, shop=name, problem=NO_TIME)
            continue
        try:
            Run(name, progress, ports, deadline).go()
        except RelayError as error:
            problem = _problem(error)
            ports.emit("reconcile_failed", shop=name, problem=problem)
            _note(ports, name, problem)


def _problem(error: RelayError) -> str:
    """What the reader of the log needs; those errors are made not to tell a caller from outside."""
    if isinstance(error, UnknownShopError):
        return "there is no such shop any more; take it off the list"
    if isinstance(error, UnavailableError):
        return "the shop's document cannot be read or used"
    return str(error)


def _note(ports: Ports, name: str, problem: str) -> None:
    try:
        progress = ports.book.get(name)
        ports.book.put(name, replace(progress, ran_at=ports.clock(), problem=problem))
    except StorageError as error:
        ports.emit("reconcile_failed", shop=name, problem=str(error))


class Run:
    """One shop, once."""

    def __init__(self, name: str, progress: Progress, ports: Ports, deadline: datetime) -> None:
        self._name = name
        self._ports = ports
        self._deadline = deadline
        self._began = ports.clock()
        self._progress = progress
        self._orders = self._recovered = 0

    def go(self) -> None:
        """Find and queue what was missed; then look at the webhooks, and at what Prisjakt holds.

        The cursor moves with each page that is done, so that what interrupts a run costs nothing;
        and a shop at which the function is cut off is not the first of the next run again.
        """
        self._progress = replace(self._progress, ran_at=self._began, problem=CUT_OFF)
        self._ports.book.put(self._name, self._progress)
        shop = self._ports.shop(self._name)
        api = self._ports.api(self._name, shop)
        since, until = self._interval()
        reported: list[Record] = []
        for page in api.orders(since, until, by=Moment.UPDATED):
            seen = verdicts(page.orders, self._name, shop, self._ports.records, self._ports.clock())
            for verdict in seen:
                if verdict.is_lost and verdict.conversion is not None:
                    self._recover(verdict.conversion, verdict.standing)
                elif verdict.reason is Reason.UNREADABLE:
                    self._tell_unreadable(verdict, shop)
                elif verdict.conversion is not None and verdict.is_touched:
                    self._ports.enqueue(verdict.conversion)
                elif verdict.record is not None:
                    reported.append(verdict.record)
            self._orders += len(page.orders)
            self._move(page.complete_until, until, seen)
            if page.complete_until < until and self._deadline - self._ports.clock() < ENOUGH_TIME:
                raise PlatformBusyError("there was more than fits one run; the next one goes on")
        self._look_at_webhooks(api, shop)
        mismatches = self._compare(shop, reported, since, until)
        self._progress = replace(self._progress, problem="")
        self._ports.book.put(self._name, self._progress)
        self._tell_silence()
        self._ports.emit(
            "reconciled",
            shop=self._name,
            since=since.isoformat(),
            until=until.isoformat(),
            orders=self._orders,
            recovered=self._recovered,
            mismatches=mismatches,
        )

    def _interval(self) -> tuple[datetime, datetime]:
        """From the cursor, minus an overlap; not further back than the longest gap. What lies
        before that is told.

        The overlap is for what was not to be seen yet when the cursor was moved. Where the run that
        moved it was cut off, far behind its reach, there is less of that or none: or else a run
        whose time is spent on the overlap alone would never get beyond it.
        """
        scale = self._ports.scale
        until = self._began - MARGIN * scale
        earliest = until - LONGEST_GAP
        cursor = self._progress.cursor or earliest
        if cursor < earliest:
            self._ports.emit(
                "reconcile_gap",
                shop=self._name,
                since=cursor.isoformat(),
                until=earliest.isoformat(),
                problem="nobody has looked at the changes of this time; backfill it",
            )
        reach = self._progress.reach or cursor
        return max(min(cursor, until, min(reach, until) - OVERLAP), earliest), until

    def _recover(self, conversion: Conversion, standing: Standing) -> None:
        self._ports.enqueue(conversion)
        self._recovered += 1
        self._ports.emit(
            "recovered",
            shop=self._name,
            platform=conversion.platform,
            order_id=conversion.order_id,
            outcome=Reconciled.RECOVERED,
            standing=standing,
            void=conversion.void,
            revision=conversion.revision,
        )

    def _tell_unreadable(self, verdict: Verdict, shop: Shop) -> None:
        """It may have to be reported, and nobody but us may have seen it."""
        self._ports.emit(
            "unreadable",
            shop=self._name,
            platform=shop.platform,
            order_id=verdict.order_id,
            problem=verdict.problem,
        )

    def _move(self, complete_until: datetime, until: datetime, seen: Iterable[Verdict]) -> None:
        orders = list(seen)
        progress = self._progress
        cursor = progress.cursor or complete_until
        if complete_until >= cursor:
            cursor, progress = complete_until, replace(progress, reach=until)
        if orders:
            progress = replace(progress, last_order_at=_later(progress.last_order_at, cursor))
        if any(each.reason not in _WITHOUT_CLICK for each in orders):
            progress = replace(progress, last_click_at=_later(progress.last_click_at, cursor))
        self._progress = replace(progress, cursor=cursor)
        self._ports.book.put(self._name, self._progress)

    def _look_at_webhooks(self, api: PlatformApi, shop: Shop) -> None:
        address = f"{self._ports.webhook_address}/{shop.platform}/{self._name}"
        findings = examined(api.webhooks(), api.topics, address)
        if any(each.state in (State.ALIVE, State.BROKEN) for each in findings):
            self._progress = replace(self._progress, has_webhooks=True)
        elif not api.sees_all and not self._progress.has_webhooks:
            self._ports.emit("webhooks_unseen", shop=self._name)  # made by hand, presumably
            return
        for finding in findings:
            if finding.state in IN_ORDER:
                continue
            problems = finding.webhook.problems if finding.webhook else ()
            self._ports.emit(
                "webhook_doubled" if finding.state is State.DOUBLED else "webhook_broken",
                shop=self._name,
                topic=finding.topic,
                state=finding.state,
                problem=", ".join(problems) or None,
            )

    def _compare(
        self, shop: Shop, records: list[Record], since: datetime, until: datetime
    ) -> int | None:
        """How many of the orders that were made in the interval Prisjakt does not hold as it
        should; None if it could not be asked. Only those that have been there for a while count."""
        client = self._ports.prisjakt(self._name, shop)
        settled = self._began - MARGIN * self._ports.scale
        wanted = [
            record
            for record in records
            if record.reported_at is not None
            and record.token is None
            and record.updated_at <= settled
            and record.pixel_id == shop.pixel_id
            and since <= datetime.fromisoformat(record.event_time) < until
        ]
        if client is None or not wanted:
            return None if client is None else 0
        try:
            events = EventsOfOrders(client.events(shop.pixel_id, since, until, event_name=PURCHASE))
            found = [each for record in wanted if (each := events.mismatch(record))]
            if found:  # a sender may have changed both since the record was read
                now = self._ports.records([each.record.key for each in found])
                found = [each for each in found if now.get(each.record.key) == each.record]
        except (HeldError, PrisjaktError, StorageError) as error:
            self._ports.emit("not_compared", shop=self._name, problem=str(error))
            return None
        for each in found:
            self._ports.emit(
                each.disagreement,
                shop=self._name,
                order_id=each.record.order_id,
                outcome=Reconciled.MISMATCH,
            )
        return len(found)

    def _tell_silence(self) -> None:
        """How long no order has changed, and how long none has carried a click id."""
        progress = self._progress
        for event, moment in (
            ("order_silence", progress.last_order_at),
            ("click_silence", progress.last_click_at),
        ):
            if moment is not None:
                self._ports.emit(event, age=(self._began - moment).total_seconds(), shop=self._name)


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)
