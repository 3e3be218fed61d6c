"""The ledger: what was reported of every order, so that nothing is reported twice.

One item per shop, order and event name. All decisions are pure functions from a record to the
next record; the store is only asked for two things, a read and a write on condition that nobody
else wrote in between. So the rules can be proved without a table, and hold with any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Protocol

from prisjakt_relay.conversion import OLDEST, Conversion, utc_text
from prisjakt_relay.errors import Problem, StorageError
from prisjakt_relay.outcomes import DeathReason, Outcome

KEPT: Final = timedelta(days=90)
DEAD_KEPT: Final = timedelta(days=180)
LEASE: Final = timedelta(seconds=75)
LAST_FIRST_REPORT: Final = timedelta(days=29)  # Prisjakt forgets an event id after 30
# An order of any day since then may be here: as old as one may be when it comes, tried for as long
# as Prisjakt may take it, dead, and dead once more after it was given up; today and tomorrow.
FURTHEST: Final = OLDEST + LAST_FIRST_REPORT + 2 * DEAD_KEPT + timedelta(days=2)
LATE: Final = timedelta(minutes=5)  # after which a write that timed out is no longer under way
SHOWN: Final = timedelta(days=1)
CONTENTIONS: Final = 20
BY_DAY: Final = "orders-by-day"
DEAD: Final = "dead-orders"
_SUCCESSES: Final = {False: "last_success_at", True: "last_correction_at"}
_ERASED_UNTIL: Final = "erased_until"
_NO_TIME: Final = "1970-01-01T00:00:00Z"


class Status(StrEnum):
    WAITING = "waiting"
    REPORTED = "reported"
    ALREADY_AT_PRISJAKT = "already_at_prisjakt"
    NOT_CORRECTABLE = "not_correctable"
    CORRECTION_REFUSED = "correction_refused"
    NOTHING_TO_REPORT = "nothing_to_report"
    DEAD = "dead"
    ERASED = "erased"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What may still change of an order."""

    revision: int
    void: bool
    amount: Decimal
    items: int

    @classmethod
    def of(cls, conversion: Conversion) -> Facts:
        return cls(
            revision=conversion.revision,
            void=conversion.void,
            amount=conversion.amount,
            items=conversion.number_of_items,
        )

    def rank(self) -> tuple[int, bool, Decimal, int]:
        """The highest wins. Revisions may be whole seconds: at a tie the smaller claim does."""
        return (self.revision, self.void, -self.amount, -self.items)

    def says(self, other: Facts | None) -> bool:
        """The same to Prisjakt, whatever the revision."""
        return other is not None and (self.void, self.amount, self.items) == (
            other.void,
            other.amount,
            other.items,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One order in the ledger.

    Shop to click_id are frozen as soon as a try may have been stored. `settled` are the facts that
    an outcome was found for, `reported` those that Prisjakt holds; `certain` is False while a later
    try may have stored others. `uncertain` means that some try may have been stored without our
    knowing, `anothers` that the event was there before our first try. Nothing is written before
    `not_before`. `shown_at` is when a read last showed the event. `alone` is set when a batch was
    refused, maybe because of this order. Tries and refusals are counted from `trying_since` on,
    which a change of the order resets. `reported_at` is when Prisjakt first acknowledged the event,
    `corrections` how often what it holds was changed since. A dead order that somebody has given up
    is `dropped_at` some time; one that is to be tried again has no `settled` any more.
    """

    shop: str
    platform: str
    order_id: str
    event_name: str
    pixel_id: str
    external_id: str
    currency: str
    event_time: str
    click_id: str
    received_at: datetime
    wanted: Facts
    updated_at: datetime
    expires_at: datetime
    status: Status = Status.WAITING
    version: int = 0
    settled: Facts | None = None
    reported: Facts | None = None
    certain: bool = True
    uncertain: bool = False
    anothers: bool = False
    token: str | None = None
    leased_until: datetime | None = None
    not_before: datetime | None = None
    alone: bool = False
    shown_at: datetime | None = None
    first_try_at: datetime | None = None
    trying_since: datetime | None = None
    tries: int = 0
    refusals: int = 0
    death: DeathReason | None = None
    dead_since: datetime | None = None
    answer: Problem = field(default_factory=Problem)
    reported_at: datetime | None = None
    corrections: int = 0
    dropped_at: datetime | None = None

    @property
    def key(self) -> str:
        return key(self.shop, self.order_id, self.event_name)


def key(shop: str, order_id: str, event_name: str) -> str:
    return f"order#{shop}#{order_id}#{event_name}"


def shop_day(shop: str, day: str) -> str:
    """Hash key of the index `orders-by-day`: the orders that a shop took on a day in UTC."""
    return f"{shop}#{day}"


def is_listed_as_dead(record: Record) -> bool:
    return record.status is Status.DEAD and record.dropped_at is None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a message may do now: send `record.wanted`, wait until `until`, or nothing more.

    `waited` says that the order has stood in line for the right to send.
    """

    record: Record
    outcome: Outcome | None = None
    until: datetime | None = None
    waited: bool = False


def claimed(
    record: Record | None,
    conversion: Conversion,
    *,
    pixel_id: str,
    corrects: bool,
    now: datetime,
    token: str,
    lease: timedelta = LEASE,
    late: timedelta = LATE,
) -> Claim:
    """Merge the message into what is wanted, then take the lease if there is something to send.

    `corrects` says whether what Prisjakt holds can be changed: the shop wants it, and has
    credentials.
    """
    facts = Facts.of(conversion)
    if record is None or record.expires_at <= now:
        record = _new(conversion, facts, pixel_id, now)
        return _next_step(record, now, token, lease, corrects=corrects)
    if record.status is Status.ERASED:
        return Claim(record, Outcome.ERASED)
    if facts.rank() < record.wanted.rank():
        return Claim(record, Outcome.SUPERSEDED)
    busy_until = record.leased_until if (record.leased_until or now) > now else None
    if record.token is not None and busy_until is None:
        record = _killed(record, late)
    if busy_until is None and not record.uncertain and not is_at_prisjakt(record):
        record = _named_anew(record, conversion, pixel_id)
    elif record.currency != conversion.currency and not facts.void:
        # A figure in another currency says nothing about the frozen one.
        return Claim(record, None if busy_until else Outcome.NOT_CORRECTABLE, busy_until)
    record = replace(record, wanted=facts)
    if busy_until is not None:
        return Claim(record, until=busy_until)
    return _next_step(record, now, token, lease, corrects=corrects)


def _killed(record: Record, late: timedelta) -> Record:
    """Its sender never came back: what it sent may be there, or still be under way."""
    ended = record.leased_until
    return replace(
        _released(record),
        uncertain=True,
        certain=False,
        not_before=ended + late if ended else None,
    )


def _named_anew(record: Record, conversion: Conversion, pixel_id: str) -> Record:
    """While Prisjakt cannot have the order, the newest message and set-up say how to name it."""
    return replace(
        record,
        pixel_id=pixel_id,
        external_id=conversion.order_reference,
        currency=conversion.currency,
        event_time=utc_text(conversion.event_time),
        click_id=conversion.click_id,
    )


def _new(conversion: Conversion, facts: Facts, pixel_id: str, now: datetime) -> Record:
    return Record(
        shop=conversion.shop,
        platform=conversion.platform,
        order_id=conversion.order_id,
        event_name=conversion.event_name,
        pixel_id=pixel_id,
        external_id=conversion.order_reference,
        currency=conversion.currency,
        event_time=utc_text(conversion.event_time),
        click_id=conversion.click_id,
        received_at=conversion.received_at,
        wanted=facts,
        updated_at=now,
        expires_at=now + KEPT,
    )


def _next_step(
    record: Record, now: datetime, token: str, lease: timedelta, *, corrects: bool
) -> Claim:
    wanted = record.wanted
    known = record.certain or not corrects  # else what is there has to be made sure of
    if record.reported is not None and wanted.says(record.reported) and known:
        return Claim(_back_to_reported(record), Outcome.DUPLICATE)
    mended = corrects and (record.status is Status.NOT_CORRECTABLE or not known)
    if record.settled is not None and wanted.says(record.settled) and not mended:
        return Claim(record, Outcome.DUPLICATE)
    if record.death is DeathReason.EXPIRED and record.settled is not None:
        return Claim(record, Outcome.DUPLICATE)
    if is_correction(record):
        if not corrects:
            return Claim(not_correctable(record, wanted), Outcome.NOT_CORRECTABLE)
    elif wanted.void:
        return Claim(nothing_to_report(record, wanted), Outcome.NOTHING_TO_REPORT)
    elif record.first_try_at is not None and now - record.first_try_at > LAST_FIRST_REPORT:
        return Claim(dead(record, wanted, DeathReason.EXPIRED, record.answer, now), Outcome.DEAD)
    if record.not_before is not None and record.not_before > now:
        return Claim(record, until=record.not_before)
    if record.settled is not None:  # it has changed since: a fresh start
        record = replace(record, tries=0, refusals=0, trying_since=None, alone=False)
    leased = replace(
        _alive(record),
        status=Status.WAITING,
        settled=None,
        token=token,
        leased_until=now + lease,
        not_before=None,
        first_try_at=record.first_try_at or now,
        trying_since=record.trying_since or now,
    )
    return Claim(leased, waited=record.not_before is not None)


def is_at_prisjakt(record: Record) -> bool:
    """An event of the order is known to be there, ours or another's: never POST it again."""
    return record.reported is not None or record.anothers


def is_correction(record: Record) -> bool:
    """What is wanted can only be a change of something that is there, or may be."""
    return is_at_prisjakt(record) or (record.wanted.void and record.uncertain)


def needs_proof(record: Record, now: datetime) -> bool:
    """A correction might insert an event, unless a read shows it: nobody acknowledged it to us, or
    it is so long ago that Prisjakt may have forgotten it. A read is good for a while, since the
    write after it may have to wait its turn."""
    if record.shown_at is not None and now - record.shown_at < SHOWN:
        return False
    forgotten = record.first_try_at is not None and now - record.first_try_at > LAST_FIRST_REPORT
    return record.reported is None or forgotten


def _back_to_reported(record: Record) -> Record:
    """An order that was changed and changed back is no longer outstanding."""
    return replace(_alive(record), status=Status.REPORTED, settled=record.reported, alone=False)


def reported(record: Record, sent: Facts, *, certain: bool) -> Record:
    return replace(
        _alive(record), status=Status.REPORTED, settled=sent, reported=sent, certain=certain
    )


def already_at_prisjakt(record: Record, sent: Facts) -> Record:
    return replace(
        _released(record), status=Status.ALREADY_AT_PRISJAKT, settled=sent, anothers=True
    )


def not_correctable(record: Record, sent: Facts) -> Record:
    return replace(_alive(record), status=Status.NOT_CORRECTABLE, settled=sent)


def correction_refused(record: Record, sent: Facts, answer: Problem) -> Record:
    """Prisjakt keeps what it has, and does not want the change."""
    return replace(_released(record), status=Status.CORRECTION_REFUSED, settled=sent, answer=answer)


def nothing_to_report(record: Record, sent: Facts) -> Record:
    """Void, and not at Prisjakt: should it come back to life, it is as if it had never been."""
    return replace(
        _alive(record),
        status=Status.NOTHING_TO_REPORT,
        settled=sent,
        uncertain=False,
        certain=True,
        first_try_at=None,
        trying_since=None,
    )


def failed(
    record: Record,
    answer: Problem,
    *,
    stored: bool,
    refused: bool,
    not_before: datetime | None = None,
) -> Record:
    """A try without success. `stored`: Prisjakt may have kept it all the same. `refused`: it was
    refused while the shop's other orders got through."""
    return replace(
        _released(record),
        tries=record.tries + 1,
        refusals=record.refusals + (1 if refused else 0),
        uncertain=record.uncertain or stored,
        certain=record.certain and not stored,
        not_before=not_before,
        answer=answer,
    )


def dead(record: Record, sent: Facts, death: DeathReason, answer: Problem, now: datetime) -> Record:
    return replace(
        _alive(record),
        status=Status.DEAD,
        death=death,
        dead_since=now,
        settled=sent,
        answer=answer,
    )


def erased(
    record: Record | None,
    *,
    platform: str,
    shop: str,
    order_id: str,
    event_name: str,
    now: datetime,
) -> Record:
    """What stays of an order that is to be forgotten: that nothing more is reported of it, for as
    long as a message about it could come. Its facts are those that supersede every other."""
    alive = record is not None and record.expires_at > now
    return Record(
        shop=shop,
        platform=platform,
        order_id=order_id,
        event_name=event_name,
        pixel_id="",
        external_id="",
        currency="",
        event_time=_NO_TIME,
        click_id="",
        received_at=now,
        wanted=Facts(revision=2**53 - 1, void=True, amount=Decimal(0), items=0),
        updated_at=now,
        expires_at=record.expires_at if record is not None and alive else now + KEPT,
        status=Status.ERASED,
        version=(record.version if record else 0) + 1,
    )


def may_be_there(record: Record, now: datetime) -> bool:
    """Whether reporting it anew might make a second event: a try may have been stored, and so long
    ago that Prisjakt may have forgotten its id."""
    tried = record.first_try_at
    return record.uncertain and tried is not None and now - tried > LAST_FIRST_REPORT


def resent(record: Record, *, proven: bool = False) -> Record:
    """A dead order that the next message may try again. It stays in the list of the dead until a
    sender takes it up, so that none is lost in between. `proven`: no try of ours was stored, or
    somebody takes the risk that one was."""
    unstored = proven or not record.uncertain
    return replace(
        record,
        settled=None,
        not_before=None,
        tries=0,
        refusals=0,
        trying_since=None,
        alone=False,
        dropped_at=None,
        uncertain=not unstored,
        first_try_at=None if unstored else record.first_try_at,
    )


def dropped(record: Record, now: datetime) -> Record:
    """A dead order that nobody wants to see any more. A change of the order still tries it."""
    return replace(record, settled=record.settled or record.wanted, dropped_at=now)


def untouched(record: Record, *, not_before: datetime | None = None, alone: bool = False) -> Record:
    """Give the lease back: nothing was sent, or nothing that was stored. If the claim was the first
    try, there was none; but earlier facts of the order may have been tried."""
    earlier = record.first_try_at != record.trying_since
    tried = record.tries or record.uncertain or is_at_prisjakt(record) or earlier
    return replace(
        _released(record),
        not_before=not_before,
        alone=record.alone or alone,
        first_try_at=record.first_try_at if tried else None,
        trying_since=record.trying_since if record.tries else None,
    )


def _released(record: Record) -> Record:
    return replace(record, token=None, leased_until=None)


def _alive(record: Record) -> Record:
    """Nobody works on it, and what it may have died of is over."""
    return replace(_released(record), death=None, dead_since=None, dropped_at=None)


Condition = tuple[str, str, str | int]


class Store(Protocol):
    """The table. Raises `StorageError` when it does not answer."""

    def get(self, item_key: str) -> Mapping[str, Any] | None:
        """The item, read consistently."""

    def put(self, item: Mapping[str, Any], *, previous: int | None) -> bool:
        """Write the item if its `version` in the table is still `previous` (None: no item)."""

    def update(
        self,
        item_key: str,
        values: Mapping[str, str | int],
        *,
        add: Mapping[str, int],
        only_if: Sequence[Condition],
    ) -> tuple[bool, Mapping[str, Any]]:
        """Set `values` and add to numbers in one write, if every (name, `<`, `<=` or `>=`, value)
        holds; an attribute that is not there is below everything. Returns whether it did, and the
        item as it then is."""

    def listed(self, index: str, value: str, received_until: str) -> Iterator[str]:
        """The keys of the items that an index lists under a value, of those that were received
        until then, read a page at a time."""


class Ledger:
    """Records in a store, with leases; every change is made on the newest version or not at all."""

    def __init__(self, store: Store, *, lease: timedelta = LEASE, late: timedelta = LATE) -> None:
        self.late = late
        self._store = store
        self._lease = lease

    def claim(
        self,
        conversion: Conversion,
        *,
        pixel_id: str,
        corrects: bool,
        now: datetime,
        token: str,
    ) -> Claim:
        """Merge, and take the lease if there is something to send."""
        for _ in range(CONTENTIONS):
            before = self._get(key(conversion.shop, conversion.order_id, conversion.event_name))
            if before is not None and before.token == token:
                return Claim(before)  # written by a call whose answer was lost
            claim = claimed(
                before,
                conversion,
                pixel_id=pixel_id,
                corrects=corrects,
                now=now,
                token=token,
                lease=self._lease,
                late=self.late,
            )
            if claim.record == before:
                return claim
            after = self._written(claim.record, before, now)
            if after is not None:
                return replace(claim, record=after)
        raise StorageError("the ledger item is contended")

    def settle(self, record: Record, change: Change, now: datetime) -> Record | None:
        """Apply what came of a try, if the lease is still ours; None if it is not."""
        before: Record | None = record  # as it was claimed: mostly nobody wrote since
        for _ in range(CONTENTIONS):
            if before is None or before.token != record.token:
                return None
            after = self._written(change(before), before, now)
            if after is not None:
                return after
            before = self._get(record.key)
        raise StorageError("the ledger item is contended")

    def get(self, item_key: str) -> Record | None:
        """The record as it is, read consistently."""
        return self._get(item_key)

    def amend(self, record: Record, after: Record, now: datetime) -> Record | None:
        """Write what somebody decided about a record that nobody is working on; None if it is no
        longer the one that was looked at."""
        return self._written(after, record, now)

    def last_success(self, shop: str, *, correction: bool) -> datetime | None:
        """When a report or a correction of this shop last succeeded, if one has within 90 days."""
        item = self._store.get(f"shop#{shop}") or {}
        return _moment(item.get(_SUCCESSES[correction]))

    def note_success(self, shop: str, now: datetime, *, correction: bool) -> None:
        """Only ever moves forward."""
        name, moment = _SUCCESSES[correction], moment_text(now)
        self._store.update(
            f"shop#{shop}",
            {name: moment, "expires_at": _seconds(now + KEPT)},
            add={},
            only_if=[(name, "<", moment)],
        )

    def erase(
        self,
        *,
        platform: str,
        shop: str,
        order_id: str,
        event_name: str,
        now: datetime,
        until: datetime | None = None,
    ) -> bool:
        """Put what `erased` leaves in the place of the item, or of none: whoever holds its lease
        loses it, and a first claim that is under way finds it. False if nothing was left to do, or
        if the relay first heard of the order after `until`."""
        item_key = key(shop, order_id, event_name)
        for _ in range(CONTENTIONS):
            before = self._get(item_key)
            if before is not None and before.status is Status.ERASED and before.expires_at > now:
                return False
            if before is not None and until is not None and before.received_at > until:
                return False
            after = erased(
                before,
                platform=platform,
                shop=shop,
                order_id=order_id,
                event_name=event_name,
                now=now,
            )
            if self._put(to_item(after), before):
                return True
        raise StorageError("the ledger item is contended")

    def orders_of_day(self, shop: str, day: date, until: datetime) -> Iterator[str]:
        """The keys of the orders that a shop took on a day in UTC, of those that were heard of
        until then. A change takes a moment to show; so it does for the dead ones."""
        return self._store.listed(BY_DAY, shop_day(shop, day.isoformat()), moment_text(until))

    def dead_orders(self, shop: str, until: datetime) -> Iterator[str]:
        return self._store.listed(DEAD, shop, moment_text(until))

    def erased_until(self, shop: str) -> datetime | None:
        """Messages that were received until then are of orders that the shop wants forgotten."""
        item = self._store.get(f"shop#{shop}") or {}
        return _moment(item.get(_ERASED_UNTIL))

    def note_erasure(self, shop: str, until: datetime, now: datetime) -> None:
        """Only ever moves forward."""
        moment = moment_text(until)
        self._store.update(
            f"shop#{shop}",
            {_ERASED_UNTIL: moment, "expires_at": _seconds(now + KEPT)},
            add={},
            only_if=[(_ERASED_UNTIL, "<", moment)],
        )

    def _get(self, item_key: str) -> Record | None:
        item = self._store.get(item_key)
        return from_item(item) if item else None

    def _written(self, record: Record, before: Record | None, now: datetime) -> Record | None:
        """The record as written, None if somebody else wrote in between."""
        kept = DEAD_KEPT if record.status is Status.DEAD else KEPT
        held = before.reported if before else None
        first = held is None and record.reported is not None
        changed = (
            record.reported is not None and held is not None and not record.reported.says(held)
        )
        after = replace(
            record,
            reported_at=now if first else record.reported_at,
            corrections=record.corrections + (1 if changed else 0),
            version=(before.version if before else 0) + 1,
            updated_at=now,
            expires_at=now + kept,
        )
        return after if self._put(to_item(after), before) else None

    def _put(self, item: Mapping[str, Any], before: Record | None) -> bool:
        if self._store.put(item, previous=before.version if before else None):
            return True
        # A first attempt whose answer was lost looks like a lost race.
        return self._store.get(item["id"]) == item


class Change(Protocol):
    """A step from the record as it is to the record as it should be."""

    def __call__(self, record: Record, /) -> Record: ...


def to_item(record: Record) -> dict[str, Any]:
    """The record as the table keeps it; absent values are left out, decimals are texts.

    An erased order is in no index. A sender that is older than erasures knows no such status: it
    reads that there is nothing to report, and its rules supersede whatever comes.
    """
    is_erased = record.status is Status.ERASED
    item: dict[str, Any] = {
        "id": record.key,
        "shop_day": None if is_erased else shop_day(record.shop, record.event_time[:10]),
        "version": record.version,
        "status": str(Status.NOTHING_TO_REPORT if is_erased else record.status),
        "erased": is_erased or None,
        "shop": record.shop,
        "platform": record.platform,
        "order_id": record.order_id,
        "event_name": record.event_name,
        "pixel_id": record.pixel_id,
        "external_id": record.external_id,
        "currency": record.currency,
        "event_time": record.event_time,
        "click_id": record.click_id,
        "received_at": _text(record.received_at),
        "wanted": _facts_item(record.wanted),
        "settled": _facts_item(record.settled) if record.settled else None,
        "reported": _facts_item(record.reported) if record.reported else None,
        "certain": record.certain,
        "uncertain": record.uncertain,
        "anothers": record.anothers,
        "token": record.token,
        "leased_until": _text(record.leased_until),
        "not_before": _text(record.not_before),
        "alone": record.alone or None,
        "shown_at": _text(record.shown_at),
        "first_try_at": _text(record.first_try_at),
        "trying_since": _text(record.trying_since),
        "tries": record.tries,
        "refusals": record.refusals,
        "death": str(record.death) if record.death else None,
        "dead_shop": record.shop if is_listed_as_dead(record) else None,
        "dead_since": _text(record.dead_since),
        "answer": _answer_item(record.answer) if record.answer != Problem() else None,
        "reported_at": _text(record.reported_at),
        "corrections": record.corrections or None,
        "dropped_at": _text(record.dropped_at),
        "updated_at": _text(record.updated_at),
        "expires_at": _seconds(record.expires_at),
    }
    return {name: value for name, value in item.items() if value is not None}


def from_item(item: Mapping[str, Any]) -> Record:
    answer = item.get("answer") or {}
    return Record(
        shop=item["shop"],
        platform=item["platform"],
        order_id=item["order_id"],
        event_name=item["event_name"],
        pixel_id=item["pixel_id"],
        external_id=item["external_id"],
        currency=item["currency"],
        event_time=item["event_time"],
        click_id=item["click_id"],
        received_at=datetime.fromisoformat(item["received_at"]),
        wanted=_facts(item["wanted"]),
        updated_at=datetime.fromisoformat(item["updated_at"]),
        expires_at=datetime.fromtimestamp(int(item["expires_at"]), UTC),
        status=Status.ERASED if item.get("erased") else Status(item["status"]),
        version=int(item["version"]),
        settled=_facts(item["settled"]) if "settled" in item else None,
        reported=_facts(item["reported"]) if "reported" in item else None,
        certain=item["certain"],
        uncertain=item["uncertain"],
        anothers=item.get("anothers", _was_anothers(item)),
        token=item.get("token"),
        leased_until=_moment(item.get("leased_until")),
        not_before=_moment(item.get("not_before")),
        alone=item.get("alone", False),
        shown_at=_moment(item.get("shown_at")),
        first_try_at=_moment(item.get("first_try_at")),
        trying_since=_moment(item.get("trying_since")),
        tries=int(item["tries"]),
        refusals=int(item["refusals"]),
        death=DeathReason(item["death"]) if "death" in item else None,
        dead_since=_moment(item.get("dead_since")),
        answer=Problem(
            status=int(answer["status"]) if "status" in answer else None,
            title=answer.get("title", ""),
            detail=answer.get("detail", ""),
            field_errors=answer.get("field_errors", {}),
            request_id=answer.get("request_id", ""),
        ),
        reported_at=_moment(item.get("reported_at")),
        corrections=int(item.get("corrections", 0)),
        dropped_at=_moment(item.get("dropped_at")),
    )


def _was_anothers(item: Mapping[str, Any]) -> bool:
    """Items of version 0.1 say so by their status alone."""
    not_ours = item["status"] == Status.NOT_CORRECTABLE and not item["uncertain"]
    return item["status"] == Status.ALREADY_AT_PRISJAKT or (not_ours and "reported" not in item)


def _facts_item(facts: Facts) -> dict[str, Any]:
    return {
        "revision": facts.revision,
        "void": facts.void,
        "amount": format(facts.amount, "f"),
        "items": facts.items,
    }


def _facts(item: Mapping[str, Any]) -> Facts:
    return Facts(
        revision=int(item["revision"]),
        void=item["void"],
        amount=Decimal(item["amount"]),
        items=int(item["items"]),
    )


def _answer_item(answer: Problem) -> dict[str, Any]:
    item = {
        "status": answer.status,
        "title": answer.title,
        "detail": answer.detail,
        "field_errors": dict(answer.field_errors),
        "request_id": answer.request_id,
    }
    return {name: value for name, value in item.items() if value}


def moment_text(moment: datetime) -> str:
    """A moment as items hold it: the later one is the greater text."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _text(moment: datetime | None) -> str | None:
    return moment_text(moment) if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
