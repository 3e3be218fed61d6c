"""What must be true of a world that has come to rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

from tests.simulation.shops import Order, Shop
from tests.simulation.world import World

from prisjakt_relay.conversion import PURCHASE, Conversion
from prisjakt_relay.ledger import LAST_FIRST_REPORT, Facts, Record, Status, from_item, key
from prisjakt_relay.local.prisjakt_model import Event
from prisjakt_relay.outcomes import DeathReason
from prisjakt_relay.tables import plain_item

YOUNG = timedelta(days=59)  # intake takes no order that is older than 60
OWN_REFUSALS = 2  # after which the rules let an order die


def violations(world: World) -> Iterator[str]:
    """Every broken promise, in words."""
    queue = world.queue
    if queue.waiting:
        yield f"left on the queue: {[one.body for one in queue.waiting.values()]}"
    if queue.dead_letters or queue.lost:
        yield f"dead letters: {queue.dead_letters}, lost: {queue.lost}"
    events: defaultdict[tuple[str, str | None], list[Event]] = defaultdict(list)
    for event in world.model.events.values():
        events[event.pixel_id, event.external_event_id].append(event)
    queued: defaultdict[tuple[str, str], list[Conversion]] = defaultdict(list)
    for body in queue.bodies:
        conversion = Conversion.from_message(body)
        queued[conversion.shop, conversion.order_id].append(conversion)
    for shop in world.shops:
        for order in shop.orders:
            item = world.table.items.get(key(shop.name, order.id, PURCHASE))
            record = from_item(plain_item(item)) if item else None
            at_prisjakt = [e for p in shop.pixel_ids for e in events.pop((p, order.id), [])]
            conversions = queued.pop((shop.name, order.id), [])
            for what in (
                *_of(world, shop, order, record, at_prisjakt, conversions),
                *_completeness(world, shop, order, conversions),
            ):
                shown = [(each.amount, each.number_of_items) for each in at_prisjakt]
                yield f"{shop.name} {order.id}: {what}; at Prisjakt {shown}; ledger {record}"
    if events or queued:
        yield f"nobody's: {events} {queued}"


def _completeness(
    world: World, shop: Shop, order: Order, conversions: list[Conversion]
) -> Iterator[str]:
    """With the reconciler, what an order came to in the end is known, whatever was lost."""
    if world.reconciling is None:
        return
    last = order.steps[-1]
    gaps = world.reconciling.gaps[shop.name]  # which were told, for somebody to look
    if any(since <= last.moment <= until for since, until in gaps):
        return
    young = last.moment - order.steps[0].moment < YOUNG
    if not (order.eligible and last.reportable and young):
        return
    if not conversions:
        yield "nobody has found it"
    elif max(Facts.of(each).rank() for each in conversions) < last.rank:
        yield "nobody has found what it came to"


def _of(
    world: World,
    shop: Shop,
    order: Order,
    record: Record | None,
    events: list[Event],
    conversions: list[Conversion],
) -> Iterator[str]:
    if len(events) > 1:
        yield "reported more than once"
    facts = [Facts.of(each) for each in conversions]
    ranks = {each.rank() for each in facts}
    if not ranks >= {step.rank for step in order.accepted}:
        yield "accepted, but not as it was on the queue"
    if not ranks <= {step.rank for step in order.steps if step.reportable and order.eligible}:
        yield "on the queue is what no delivery said"
    if not facts:
        if record is not None or (events and not order.browser):
            yield "known, but nothing of it was to be reported"
        return
    if record is None:
        yield "not in the ledger"
        return
    newest = max(facts, key=Facts.rank)
    if record.status is Status.WAITING or record.token or record.leased_until:
        yield "the ledger has no outcome, or a lease is left behind"
    elif record.wanted.rank() != newest.rank():
        yield f"the ledger wants {record.wanted}, the newest is {newest}"
    else:
        yield from _outcome(world, shop, order, record, events, facts, newest)


def _outcome(
    world: World,
    shop: Shop,
    order: Order,
    record: Record,
    events: list[Event],
    facts: list[Facts],
    newest: Facts,
) -> Iterator[str]:
    shown = [(event.amount, event.number_of_items) for event in events]
    if record.reported and record.certain and not order.browser:
        said = record.reported.amount, record.reported.items
        if shown != [said]:
            yield f"the ledger is certain of {said}"
    for event in events:
        if event.signed_click_id != order.click_id or event.event_time != order.steps[0].moment:
            yield "under another name"
    if order.browser:
        return
    if order.poison:
        if events:
            yield "poison was stored"
        allowed = {Status.DEAD, Status.NOTHING_TO_REPORT, Status.NOT_CORRECTABLE}
        if record.status not in allowed or (not newest.void and record.status is not Status.DEAD):
            yield "poison has another outcome"
        return
    if record.status in (Status.DEAD, Status.CORRECTION_REFUSED):
        if not _has_cause(world, shop, order, record):
            yield "given up without cause"
        return
    corrects = shop.corrects and not shop.change
    ever = {(each.amount, each.items) for each in facts if shop.change or not each.void}
    latest = {(newest.amount, newest.items)}
    if newest.void and not events:
        expected = {Status.NOTHING_TO_REPORT}
        if not corrects:
            expected.add(Status.NOT_CORRECTABLE)
    elif not events:
        yield "not reported"
        return
    elif corrects:
        expected = {Status.REPORTED}
    else:
        expected = {Status.REPORTED, Status.NOT_CORRECTABLE}
    if events and shown[0] not in (latest if corrects else ever):
        yield f"expected {latest if corrects else ever}"
    if record.status not in expected:
        yield f"expected one of {sorted(expected)}"


def _has_cause(world: World, shop: Shop, order: Order, record: Record) -> bool:
    """Twenty-nine days of tries; or refused more than once, while others of the shop got through
    with the same kind of request."""
    skew = timedelta(seconds=world.setting.skew)
    ended = record.dead_since or record.updated_at
    if record.death is DeathReason.EXPIRED:
        tried = record.first_try_at
        begun = tried is not None and tried >= order.steps[0].moment - skew
        return begun and ended - (tried or ended) > LAST_FIRST_REPORT
    if record.death not in (DeathReason.REFUSED, None) or order.refusals < OWN_REFUSALS:
        return False
    since = record.trying_since or ended
    correction = record.status is Status.CORRECTION_REFUSED
    return any(
        since - skew <= moment <= ended + skew for moment in world.successes[shop.name, correction]
    )
