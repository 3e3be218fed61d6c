"""`make outages`: long outages with the deployed settings: what was lost, given up, twice, late.

`python -m tests.simulation.outages [--json FILE] [NAME ...]`
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Final

from rich.console import Console
from rich.table import Table
from tests.benchmark import output
from tests.simulation import campaign, checks
from tests.simulation.fibres import START
from tests.simulation.settings import Setting
from tests.simulation.shops import Order, Shop, life, uuid
from tests.simulation.troubles import Phase, Troubles
from tests.simulation.world import HOUR, World

from prisjakt_relay.conversion import PURCHASE
from prisjakt_relay.ledger import LAST_FIRST_REPORT, Record, Status, from_item, key
from prisjakt_relay.outcomes import DeathReason
from prisjakt_relay.tables import plain_item

BEFORE: Final = 1800  # seconds before it from which orders come
AFTER: Final = timedelta(hours=6)  # for which the stray troubles go on
MOST_STEPS: Final = 10**9
BEGIN: Final = START + timedelta(hours=1)
SPELL: Final = timedelta(minutes=20)
SPELLS_A_DAY: Final = timedelta(days=1) // SPELL
SEED: Final = 1
TABLE_COLUMNS: Final = 120
# Prisjakt stores the event, and nobody hears of it.
UNHEARD: Final = ("cut after", "hang", "500 stored")
# Besides: senders that are killed, deliveries that come again since their answer was lost, answers
# of Prisjakt that come late, and requests that it does when nobody waits for it any more.
STRAY: Final[Mapping[str, float]] = {
    "kill sender": 0.002,
    "twice": 0.1,
    "slow": 0.1,
    "hang": 0.05,
}


@dataclass(frozen=True, kw_only=True)
class Outage:
    """`orders` of each shop come meanwhile. The `kinds` of trouble strike one after the other, the
    `unheard` ones at the beginning, at the end, and for a while each day. The `stray` ones strike
    all along and a while after, with their chance, and SQS delivers the share `doubles` of its
    messages twice. In a `plain` one orders are paid at once and never change."""

    what: str
    length: timedelta
    orders: int
    allowance: int
    kinds: tuple[str, ...] = ("unreachable", "500")
    unheard: tuple[str, ...] = UNHEARD
    stray: Mapping[str, float] = field(default_factory=lambda: STRAY)
    doubles: float = 0.05
    shops: int = 2
    plain: bool = False
    reconciles: bool = False

    @property
    def end(self) -> datetime:
        return BEGIN + self.length


OUTAGES: Final[Mapping[str, Outage]] = {
    "prisjakt-3-days": Outage(
        what="Prisjakt away",
        length=timedelta(hours=75, minutes=35),
        orders=600,
        allowance=60,
    ),
    "prisjakt-13-days": Outage(
        what="Prisjakt away",
        length=timedelta(days=13),
        orders=300,
        allowance=30,
    ),
    "prisjakt-28-days": Outage(
        what="Prisjakt away",
        length=timedelta(days=28),
        orders=150,
        allowance=15,
    ),
    # For longer than the ids are known at Prisjakt: who was tried on the first days is given up.
    "prisjakt-31-days": Outage(
        what="Prisjakt away",
        length=timedelta(days=31),
        orders=150,
        allowance=15,
    ),
    # A thousand orders of one shop with credentials: how many requests carry them?
    "backlog": Outage(
        what="Prisjakt away, one shop",
        length=timedelta(days=1),
        orders=1000,
        allowance=10_000,
        unheard=(),
        stray={},
        doubles=0.0,
        shops=1,
        plain=True,
    ),
    "sqs-1-hour": Outage(
        what="SQS away",
        length=HOUR,
        orders=200,
        allowance=10_000,
        kinds=("sqs away",),
        unheard=(),
        reconciles=True,
    ),
    "dynamodb-6-hours": Outage(
        what="DynamoDB away",
        length=timedelta(hours=6),
        orders=200,
        allowance=10_000,
        kinds=("dynamodb away",),
        unheard=(),
        reconciles=True,
    ),
    "secrets-6-hours": Outage(
        what="Secrets Manager away",
        length=timedelta(hours=6),
        orders=200,
        allowance=10_000,
        kinds=("secretsmanager away",),
        unheard=(),
        reconciles=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class GivenUp:
    """An order that is dead in the ledger: for what reason, and how many hours after the beginning
    of the outage it was first tried."""

    shop: str
    order_id: str
    reason: str | None
    first_tried_hours: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it.

    `due` orders had to be reported in the end. Those that were `lost` are neither at Prisjakt nor
    among the dead. `repeats` is how often the relay told of an order what it knew to be
    acknowledged, `events_per_order` how many events the order with the most of them has there.
    `refused` deliveries were not taken by the receiver, `recovered` orders found by the
    reconciler. `struck` is how often the trouble did. `drained_hours` is from the end of the outage
    to the first report of the last order that did not change after it, `busiest_hour` the most
    requests of one client in any sliding hour.
    """

    name: str
    due: int
    lost: int
    given_up: tuple[GivenUp, ...]
    repeats: int
    events_per_order: int
    refused: int
    recovered: int
    drained_hours: float
    busiest_hour: int
    requests_to_drain: int
    violations: tuple[str, ...]
    struck: Mapping[str, int]
    seconds: float

    @property
    def is_kept(self) -> bool:
        broken = self.lost or self.repeats or self.events_per_order != 1 or self.violations
        return not broken and all(self.struck.values())


def outcome(name: str, outage: Outage, *, seed: int = SEED) -> Outcome:
    """Live through the outage, and count."""
    begun = time.monotonic()
    world = World(seed, setting=setting(outage, Random(f"{name} {seed}")))  # noqa: S311
    if world.reconciling is not None:  # which loses deliveries and has troubles of its own
        world.reconciling.share, world.reconciling.phases = 0.0, []
    before_end: list[int] = []
    world.time.at(outage.end, lambda: before_end.append(world.requests))
    world.run()
    events = Counter(
        (event.pixel_id, event.external_event_id) for event in world.model.events.values()
    )
    given_up: list[GivenUp] = []
    lost = due = 0
    last = outage.end
    for shop in world.shops:
        for order in shop.orders:
            item = world.table.items.get(key(shop.name, order.id, PURCHASE))
            record = from_item(plain_item(item)) if item else None
            dead = record is not None and record.status is Status.DEAD
            due += is_due(order)
            lost += is_due(order) and not events[shop.pixel_id, order.id] and not dead
            if record is None:
                continue
            if dead:
                given_up.append(_given_up(record))
            if record.reported_at and order.steps[-1].moment < outage.end:
                last = max(last, record.reported_at)
    return Outcome(
        name=name,
        due=due,
        lost=lost,
        given_up=tuple(given_up),
        repeats=world.telling.repeats,
        events_per_order=max(events.values(), default=0),
        refused=world.refused,
        recovered=world.reconciling.recovered if world.reconciling else 0,
        drained_hours=(last - outage.end) / HOUR,
        busiest_hour=world.busiest,
        requests_to_drain=world.requests - (before_end or [world.requests])[0],
        violations=(
            *world.violations,
            *checks.violations(world),
            *_premature(given_up, outage),
        ),
        struck={
            kind: world.troubles.struck[kind]
            for kind in (*outage.kinds, *outage.unheard, *outage.stray)
        },
        seconds=time.monotonic() - begun,
    )


def _given_up(record: Record) -> GivenUp:
    tried = record.first_try_at or record.received_at
    return GivenUp(
        shop=record.shop,
        order_id=record.order_id,
        reason=record.death and str(record.death),
        first_tried_hours=(tried - BEGIN) / HOUR,
    )


def _premature(given_up: Sequence[GivenUp], outage: Outage) -> Iterator[str]:
    """An outage is no reason to give anything up, but for its length."""
    over = (outage.length + AFTER - LAST_FIRST_REPORT) / HOUR
    for each in given_up:
        if each.reason != DeathReason.EXPIRED or each.first_tried_hours > over:
            yield f"given up without cause: {each}"


def outcome_of(name: str, seed: int) -> Outcome:
    """The same of an outage in the list, in another world."""
    return outcome(name, OUTAGES[name], seed=seed)


def is_due(order: Order) -> bool:
    """Whether Prisjakt has to know of it in the end."""
    newest = max(order.steps, key=lambda step: step.rank)
    return order.eligible and newest.reportable and not newest.void


def setting(outage: Outage, random: Random) -> Setting:
    """Two shops: with credentials, whose events go in batches, and without."""
    return Setting(
        shops=[_shop(number, outage, random) for number in range(outage.shops)],
        troubles=Troubles(random, _phases(outage)),
        allowance=outage.allowance,
        doubles=outage.doubles,
        reconciles=outage.reconciles,
        steps=MOST_STEPS,
        is_told=False,
    )


def _phases(outage: Outage) -> Iterator[Phase]:
    spells = -(-outage.length // SPELL)
    for kind, group in groupby(range(spells), lambda number: _kind(outage, number, spells)):
        numbers = list(group)
        end = min(BEGIN + SPELL * (numbers[-1] + 1), outage.end)
        yield Phase(kind, BEGIN + SPELL * numbers[0], end, 1.0)
    for kind, chance in outage.stray.items():
        yield Phase(kind, BEGIN, outage.end + AFTER, chance)


def _kind(outage: Outage, number: int, spells: int) -> str:
    """What strikes in one of the outage's spells."""
    unheard = outage.unheard
    left = spells - 1 - number
    if min(number, left) < len(unheard):
        return unheard[min(number, left)]
    if unheard and number % SPELLS_A_DAY == SPELLS_A_DAY // 2:
        return unheard[number // SPELLS_A_DAY % len(unheard)]
    return outage.kinds[number * len(outage.kinds) // spells]


def _shop(number: int, outage: Outage, random: Random) -> Shop:
    has_credentials = number == 0
    shop = Shop(
        name=f"shop-{number}",
        platform="shopify" if has_credentials else "woocommerce",
        pixel_id=uuid(random),
        secret=f"secret{number}",
        client_id="client" if has_credentials else None,
        auth="oauth",
        corrections=True,
        report_when="secured",
    )
    begin = int((BEGIN - START).total_seconds())
    for each in range(outage.orders):
        order = Order(
            id=str(1001 + each), click_id=f"{uuid(random)}_1b05fa7f1c34d125", source="web"
        )
        moment = begin + random.randrange(-BEFORE, int(outage.length.total_seconds()))
        order.steps = life(random, shop, order, moment)
        while outage.plain and not order.steps[0].reportable:
            order.steps = life(random, shop, order, moment)
        if outage.plain:
            del order.steps[1:]
        shop.orders.append(order)
    return shop


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.simulation.outages", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(OUTAGES)}")
    parser.add_argument("--json", type=Path, help="write what came of each to this file")
    options = parser.parse_args()
    unknown = set(options.names) - set(OUTAGES)
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such outage; choose from {', '.join(OUTAGES)}")
    console = Console(width=None if sys.stdout.isatty() else TABLE_COLUMNS)
    origin = campaign.origin(os.getloadavg()[0])
    outcomes = []
    for name in options.names or OUTAGES:
        with console.status(f"{name}: an outage of {OUTAGES[name].length}"):
            outcomes.append(outcome(name, OUTAGES[name]))
    console.print(_table(outcomes))
    for each in outcomes:
        for violation in each.violations:
            console.print(f"{each.name}: {violation}", markup=False)
    broken = [each.name for each in outcomes if not each.is_kept]
    if options.json:
        lived = [_document(each) for each in outcomes]
        document = {**origin, "first": SEED, "worlds": len(lived), "broken": broken}
        output.write_json(options.json, {**document, "outages": lived})
    return 1 if broken else 0


def _document(each: Outcome) -> dict[str, object]:
    outage = OUTAGES[each.name]
    about = {
        "what": outage.what,
        "length_seconds": outage.length.total_seconds(),
        "allowance": outage.allowance,
    }
    return about | asdict(each)


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table("outage", "of what")
    headings = (
        "due",
        "lost",
        "given\nup",
        "told\ntwice",
        "events\nper order",
        "refused\ndeliveries",
    )
    more = (
        "found by the\nreconciler",
        "drained\nafter, h",
        "busiest hour,\nof allowance",
        "seconds",
    )
    for heading in (*headings, *more):
        table.add_column(heading, justify="right")
    for each in outcomes:
        outage = OUTAGES[each.name]
        counts = (each.due, each.lost, len(each.given_up), each.repeats, each.events_per_order)
        table.add_row(
            str(outage.length).removesuffix(", 0:00:00"),
            outage.what,
            *map(str, (*counts, each.refused, each.recovered)),
            f"{each.drained_hours:.1f}",
            f"{each.busiest_hour} of {outage.allowance}",
            f"{each.seconds:.0f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
