"""`make many-shops`: 500 shops in one stack, ten of them in trouble. Does it stay their own?

`python -m tests.benchmark.many_shops [--shops 500] [--json FILE]`. The relay's own code on a
virtual clock, as in tests/simulation, with the template's settings: the same day twice, without
trouble and with it. What is in memory is measured in processes of its own. Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar, cast

from requests import Response
from requests.exceptions import ReadTimeout
from rich.table import Table
from tests.benchmark.output import head, new_console, write_json
from tests.benchmark.prices import PRICES, Item
from tests.simulation import checks
from tests.simulation.fibres import START
from tests.simulation.reconciling import Lane, Reconciling, address_of
from tests.simulation.settings import Setting
from tests.simulation.shops import Order, Shop, life, uuid
from tests.simulation.sqs import Queue, Waiting
from tests.simulation.troubles import Phase, Troubles
from tests.simulation.world import Process, World

from prisjakt_relay.conversion import PURCHASE
from prisjakt_relay.errors import AwsError
from prisjakt_relay.ledger import from_item, key
from prisjakt_relay.local import project
from prisjakt_relay.local.shop_system import ShopSystem
from prisjakt_relay.platform_api import PLATFORM_APIS
from prisjakt_relay.platform_api.access import Access
from prisjakt_relay.platform_api.interface import PlatformApi
from prisjakt_relay.shop import Shop as ShopDocument
from prisjakt_relay.shop import Shops
from prisjakt_relay.tables import plain_item

HOUR: Final = timedelta(hours=1)
HOURS: Final = 6  # in which orders come
ORDERS: Final = 12  # of each shop in that time: 1,440 a month
FLOOD: Final = 2_000  # orders of one shop within ten minutes,
BACKLOG: Final = 1_000  # or while Prisjakt refuses them
TROUBLE: Final = (START + HOUR, START + 4 * HOUR)
MONTH_HOURS: Final = 730
NOISY_SHARE: Final = 0.1
NOISY_MESSAGES: Final = 30
HANGING: Final = 3  # shops whose own API does not answer
SHOPIFY: Final = "shopify"
# What the others may wait for longer than without the ten: some seconds, since they share senders.
ALLOWED: Final = 30.0

P = TypeVar("P", bound=Process)

# Of the first shops: the kind of Prisjakt's trouble, or what is done in `_in_trouble`.
TROUBLES: Final[Mapping[str, str]] = {
    "a flood, with credentials": "",
    "a flood, without credentials": "",
    "a backlog after hours of refusals": "500",
    "Prisjakt asks the client to pause (429)": "429",
    "the pixel is refused (403)": "403",
    "the credentials are refused (401)": "token 401",
    "no answer within 8 s": "hang",
    "the connection is cut": "cut after",
    "a document that is no JSON": "",
    "no document": "",
}
NAMES: Final = tuple(TROUBLES)


@dataclass(kw_only=True)
class TroubledShop(Shop):
    """A shop whose document cannot be read in the hours of trouble; `missing`: is not there."""

    missing: bool = False

    def document(self, now: datetime) -> str:
        whole = super().document(now)
        if now >= TROUBLE[1]:
            return whole
        if self.missing:
            raise AwsError("GetSecretValue", "ResourceNotFoundException")
        return whole[:20]


class FairQueue(Queue):
    """A fair queue: who has a tenth of what is in flight, and 30 messages, comes after the others.

    AWS counts the share of processing time, too, which is left out: that would only help.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues-detailed.html
    """

    def poll(self) -> None:
        world = self._world
        now = world.time.now
        if self.senders >= self.most_senders:
            return
        in_flight: Counter[str] = Counter()
        visible: list[Waiting] = []
        for one in self.waiting.values():
            if one.visible_at <= now:
                visible.append(one)
            elif one.receives:
                in_flight[_group(one)] += 1
        if not visible:
            return
        most = max(NOISY_MESSAGES, NOISY_SHARE * in_flight.total())
        noisy = {group for group, number in in_flight.items() if number >= most}
        visible.sort(key=lambda one: _group(one) in noisy)  # and else as they came
        batch = [self._received(one) for one in visible[: self.batch]]
        messages = [one for one in batch if one is not None]
        self.senders += 1
        world.invoke(messages)
        if len(visible) > self.batch:
            world.time.after(0.05, self.poll)


def _group(message: Waiting) -> str:
    """Its message group, which is the shop."""
    return _shop_in(message.body)


@cache
def _shop_in(body: str) -> str:
    return str(json.loads(body)["shop"])


class ShopApis(Reconciling):
    """The shops' own APIs, all well but some of the last ones, which do not answer for hours."""

    def __init__(self, world: World, hanging: Sequence[str]) -> None:
        super().__init__(world)
        self.share, self.phases, self.index_lag = 0.0, [], 0.0
        self.hanging = frozenset(hanging)
        self.visits: defaultdict[int, set[str]] = defaultdict(set)
        self.seconds: list[float] = []
        self._put_off: defaultdict[str, set[datetime]] = defaultdict(set)
        self._left_over: set[datetime] = set()

    def _system(self, shop: Shop) -> ShopSystem:
        """As shops have it: Shopify's standard plan, a host that takes a request a second."""
        given = self.random
        self.random = cast("Random", _Usual())
        try:
            return super()._system(shop)
        finally:
            self.random = given

    def api(self, name: str, document: ShopDocument) -> PlatformApi:
        self.visits[self.runs].add(name)
        if name not in self.hanging or self.world.time.now >= TROUBLE[1]:
            return super().api(name, document)
        return PLATFORM_APIS[document.platform](
            Access(
                address=address_of(self.world.by_name[name]),
                client_id="app",
                client_secret="hush",
                consumer_key="ck",
                consumer_secret="cs",
            ),
            HangingLane(self, self.world.by_name[name]),
            clock=self.world.time,
            wait=self.world.spend,
        )

    def _emit(self, event: str, *, age: float | None = None, **fields: Any) -> None:
        if event == "reconcile_put_off":
            self._put_off[fields["shop"]].add(self._began[-1])
        super()._emit(event, age=age, **fields)

    def _note_gap(self, shop: str, *told: str) -> None:
        self._left_over = self._put_off[shop]
        super()._note_gap(shop, *told)

    def _may_fail(self, begun: datetime) -> bool:
        """For a shop there may also have been no time left."""
        return begun < TROUBLE[1] or begun in self._left_over or super()._may_fail(begun)


class _Usual:
    """Of what a world may be given, what is usual: the most generous."""

    def choice(self, given: Sequence[Any]) -> Any:
        return max((each for each in given if each is not None), default=None)

    def random(self) -> float:
        return 0.0


class HangingLane(Lane):
    """The way to an API that takes every connection and never answers."""

    def request(  # type: ignore[override]
        self, method: str, url: str, *, timeout: tuple[float, float], **rest: Any
    ) -> Response:
        del method, url, rest
        self._reconciling.world.spend(timeout[1])
        raise ReadTimeout


class Stack(World):
    """One stack with many shops. Its processes live on, as Lambda's do while there is work."""

    def __init__(self, setting: Setting, hanging: Sequence[str]) -> None:
        super().__init__(1, setting=setting)
        self.queue = FairQueue(self)
        self.secret_reads: Counter[int] = Counter()
        secrets = _CountedSecrets(self, self.models["secretsmanager"].call)
        self.models = {**self.models, "sqs": self.queue, "secretsmanager": secrets}
        self.requests_by_hour: Counter[int] = Counter()
        self.apis = ShopApis(self, hanging)
        self.reconciling = self.apis
        self.apis.plan()

    def count(self, client: str | None) -> None:
        self.requests_by_hour[(self.time.now - START) // HOUR] += 1
        super().count(client)

    def _process(self, idle: list[P], start: Callable[[World], P]) -> tuple[P, bool]:
        return (idle.pop(), False) if idle else (start(self), True)


class _CountedSecrets:
    def __init__(
        self, world: Stack, call: Callable[[str, Mapping[str, Any]], dict[str, Any]]
    ) -> None:
        self._world = world
        self._call = call

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self._world.secret_reads[(self._world.time.now - START) // HOUR] += 1
        return self._call(operation, parameters)


@dataclass(frozen=True, kw_only=True)
class Day:
    """What came of a day: times are in seconds from accepting an order to Prisjakt having it."""

    others: int
    orders: int
    unreported: int
    median: float
    p99: float
    longest: float
    secret_reads_per_hour: int
    requests_per_hour: int
    runs: int
    visited_in_first_run: int
    runs_until_all: int
    violations: tuple[str, ...]
    seconds: float


def day(shops: int, *, troubled: bool) -> Day:
    """Live through it; only the shops beyond the first ten are looked at."""
    begun = time.monotonic()
    random = Random(shops)  # noqa: S311  # the point is that it can be repeated
    many = [_shop(number, random, troubled=troubled) for number in range(shops)]
    phases = [
        Phase(kind, *TROUBLE, 1.0, many[number].name)
        for number, kind in enumerate(TROUBLES.values())
        if troubled and kind
    ]
    hanging = [shop.name for shop in many[-HANGING:]] if troubled else []
    stack = Stack(
        Setting(
            shops=many,
            troubles=Troubles(random, phases),
            allowance=10_000,
            steps=10**9,
            is_told=False,
        ),
        hanging,
    )
    stack.run()
    waits = sorted(_waits(stack, many[len(TROUBLES) :]))
    told = [wait for wait in waits if wait is not math.inf]
    first = min(stack.apis.visits)
    visited: set[str] = set()
    until_all = 0
    for run in sorted(stack.apis.visits):
        visited |= stack.apis.visits[run]
        until_all += 1
        if len(visited) >= shops - (2 if troubled else 0):  # two have no document
            break
    busiest = max(stack.secret_reads.values())
    return Day(
        others=shops - len(TROUBLES),
        orders=len(waits),
        unreported=len(waits) - len(told),
        median=told[len(told) // 2],
        p99=told[math.ceil(len(told) * 0.99) - 1],
        longest=told[-1],
        secret_reads_per_hour=busiest,
        requests_per_hour=max(stack.requests_by_hour.values()),
        runs=stack.apis.runs,
        visited_in_first_run=len(stack.apis.visits[first]),
        runs_until_all=until_all,
        violations=(*stack.violations, *checks.violations(stack)),
        seconds=time.monotonic() - begun,
    )


def _waits(world: World, shops: Sequence[Shop]) -> list[float]:
    waits: list[float] = []
    for shop in shops:
        for order in shop.orders:
            item = world.table.items.get(key(shop.name, order.id, PURCHASE))
            record = from_item(plain_item(item)) if item else None
            if record is None or record.reported_at is None:
                waits.append(math.inf)
            else:
                waits.append((record.reported_at - record.received_at).total_seconds())
    return waits


def _shop(number: int, random: Random, *, troubled: bool) -> Shop:
    """Two in three have credentials. Each order is paid at once and never changes."""
    trouble = NAMES[number] if troubled and number < len(NAMES) else ""
    documentless = trouble in NAMES[-2:]
    has_credentials = number % 3 != 1
    values: dict[str, Any] = {
        "name": f"shop-{number}",
        "platform": (SHOPIFY, "woocommerce")[number % 2],
        "pixel_id": uuid(random),
        "secret": f"secret{number}",
        "client_id": f"client-{number}-" if has_credentials else None,
        "auth": "oauth",
        "corrections": True,
        "report_when": "placed",
    }
    shop = TroubledShop(**values, missing=trouble == NAMES[-1]) if documentless else Shop(**values)
    own = Random(number)  # noqa: S311  # so that the others are the same with and without trouble
    for each in range(ORDERS):
        _add(shop, own, each, own.randrange(0, HOURS * 3600))
    if "flood" in trouble or "backlog" in trouble:
        many, seconds = (FLOOD, 600) if "flood" in trouble else (BACKLOG, 3 * 3600)
        begin = int((TROUBLE[0] - START).total_seconds())
        for each in range(many):
            _add(shop, own, ORDERS + each, begin + own.randrange(seconds))
    return shop


def _add(shop: Shop, random: Random, number: int, begin: int) -> None:
    order = Order(id=str(1001 + number), click_id=f"{uuid(random)}_1b05fa7f1c34d125", source="web")
    order.steps = life(random, shop, order, begin)[:1]
    shop.orders.append(order)


# Memory


@dataclass(frozen=True, kw_only=True)
class Memory:
    """MB of a function's process: after its start, and with the documents of all shops (and the
    tokens of their clients, in the sender)."""

    function: str
    started: float
    full: float
    reads_at_start: int


_PROBE: Final = """
import json, sys, uuid
from datetime import UTC, datetime, timedelta
function, shops = sys.argv[1], int(sys.argv[2])
from prisjakt_relay import shop as shop_module
reads = []
def reader(*_, **__):
    def read(name, deadline):
        reads.append(name)
        return json.dumps({
            "platform": "shopify", "pixel_id": str(uuid.uuid4()),
            "signing_secrets": [uuid.uuid4().hex * 2], "domain": f"{name}.myshopify.com",
            "prisjakt_client_id": uuid.uuid4().hex, "prisjakt_client_secret": uuid.uuid4().hex,
        })
    return read
shop_module.secrets_reader = reader
app = __import__(f"prisjakt_relay.{function}.app", fromlist=["app"])
def rss():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))
started, at_start = rss(), len(reads)
deadline = datetime.now(UTC) + timedelta(hours=1)
for number in range(shops):
    document = app.ports.shops.get(f"shop-{number}", deadline)
    if function == "sender":
        from prisjakt_relay.prisjakt.auth import credentials_of
        tokens = app.ports.prisjakt._tokens
        tokens._ask = lambda _: (uuid.uuid4().hex * 32, 86400.0)
        tokens.get(credentials_of(document))
        app.ports.rate_limit._saw(document.client, 1)
print(json.dumps([started, rss(), at_start]))
"""

_ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_REGION": "eu-north-1",
    "AWS_SECRET_ACCESS_KEY": "test",
    "DEAD_LETTERS_URL": "https://queue.example.test/dead",
    "HOURLY_ALLOWANCE": "10000",
    "POWERTOOLS_LOG_LEVEL": "INFO",
    "PRISJAKT_TOKEN_URL": "https://prisjakt.example.test/token",
    "PRISJAKT_URL": "https://prisjakt.example.test",
    "QUEUE_URL": "https://queue.example.test/queue",
    "STACK_NAME": "test",
    "TABLE_NAME": "table",
}


def memory(function: str, shops: int) -> Memory:
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", _PROBE, function, str(shops)],
        env=_ENVIRONMENT | {"PATH": os.defpath, "PYTHONPATH": str(project.package().parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    started, full, reads = json.loads(done.stdout)
    return Memory(function=function, started=started, full=full, reads_at_start=reads)


# What it says


@dataclass(frozen=True, kw_only=True)
class Report:
    """Both days, the memory, and what the secrets cost a month in USD."""

    shops: int
    quiet: Day
    troubled: Day
    memory: tuple[Memory, ...]
    secrets_month: float
    reads_month: float
    most_reads_month: float

    @property
    def faults(self) -> list[str]:
        found = []
        for name, each in (("without", self.quiet), ("with", self.troubled)):
            if each.unreported:
                found.append(f"{name} trouble, {each.unreported} orders were never reported")
            found += [f"{name} trouble: {what}" for what in each.violations[:5]]
        if self.troubled.p99 > self.quiet.p99 + ALLOWED:
            found.append("the trouble of ten shops holds up the others")
        if self.troubled.runs_until_all > 2:
            found.append("the reconciler needs more than two runs to visit each shop")
        for one in self.memory:
            if one.full - one.started > 0.05 * self.shops:
                found.append(f"the {one.function} takes more than 50 kB a shop")
            if one.reads_at_start:
                found.append(f"the {one.function} reads documents before anybody asks")
        return found


def report(shops: int) -> Report:
    quiet = day(shops, troubled=False)
    troubled = day(shops, troubled=True)
    per_read = PRICES[Item.SECRET_READ].each
    # A process reads a document every five minutes at most; two senders and three receivers.
    most = shops * (HOUR / Shops.FRESH) * 5
    return Report(
        shops=shops,
        quiet=quiet,
        troubled=troubled,
        memory=tuple(memory(function, shops) for function in ("receiver", "sender")),
        secrets_month=shops * PRICES[Item.SECRET].each,
        reads_month=quiet.secret_reads_per_hour * MONTH_HOURS * per_read,
        most_reads_month=most * MONTH_HOURS * per_read,
    )


def table(given: Report) -> Table:
    rows = Table("", "without trouble", f"with {len(TROUBLES)} in trouble")
    quiet, troubled = given.quiet, given.troubled

    def row(what: str, show: Callable[[Day], str]) -> None:
        rows.add_row(what, show(quiet), show(troubled))

    row("the others", lambda each: f"{each.others} shops, {each.orders:,} orders")
    row("never reported", lambda each: str(each.unreported))
    row("time to report, median", lambda each: f"{each.median:.1f} s")
    row("time to report, 99 of 100", lambda each: f"{each.p99:.1f} s")
    row("time to report, longest", lambda each: f"{each.longest:.1f} s")
    row("promises broken", lambda each: str(len(each.violations)))
    row("requests to Prisjakt, busiest hour", lambda each: f"{each.requests_per_hour:,}")
    row("documents read, busiest hour", lambda each: f"{each.secret_reads_per_hour:,}")
    row("shops that the reconciler's first run visits", lambda each: str(each.visited_in_first_run))
    row("its runs until it has visited each", lambda each: str(each.runs_until_all))
    rows.add_section()
    for one in given.memory:
        rows.add_row(
            f"memory of the {one.function}",
            f"{one.started:.0f} MB after its start",
            f"{one.full:.0f} MB with all documents",
        )
        rows.add_row("documents that it reads at its start", str(one.reads_at_start))
    rows.add_row("secrets, a month", f"{given.secrets_month:.0f} USD", "")
    rows.add_row(
        "reading them, a month",
        f"{given.reads_month:.2f} USD as here",
        f"{given.most_reads_month:.0f} USD if all are busy all the time",
    )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shops", type=int, default=500)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    if options.shops < 2 * len(TROUBLES):
        parser.error(f"at least {2 * len(TROUBLES)} shops: {len(TROUBLES)} are in trouble")
    load = os.getloadavg()[0]
    console = new_console()
    with console.status("two days with and without trouble; some minutes"):
        given = report(options.shops)
    console.print(table(given))
    console.print("\nIn trouble: " + "; ".join(TROUBLES) + f"; {HANGING} shops' own APIs hang.")
    for fault in given.faults:
        console.print(fault, markup=False)
    if options.json:
        write_json(options.json, {**head(None, load), **asdict(given), "faults": given.faults})
    return int(bool(given.faults))


if __name__ == "__main__":
    sys.exit(main())
