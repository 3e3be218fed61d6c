"""Deliveries that never arrive, and the reconciler that finds their orders by the shops' own APIs.

It has a randomness of its own, so that a world is the same with and without it as far as can be.
"""

from __future__ import annotations

import json
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from requests import Response
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ReadTimeout
from tests.platform_api.shop_session import ShopSession
from tests.simulation.environments import Environment
from tests.simulation.fibres import START, Killed
from tests.simulation.prisjakt import HOST, Road
from tests.simulation.shops import Shop, Step
from tests.simulation.troubles import AWS

from prisjakt_relay import aws, queues
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import HeldError, StorageError
from prisjakt_relay.local.exchange import Answer
from prisjakt_relay.local.shop_system import ShopSystem
from prisjakt_relay.local.shopify_system import ShopifySystem
from prisjakt_relay.local.woocommerce_system import WooCommerceSystem
from prisjakt_relay.platform_api import PLATFORM_APIS
from prisjakt_relay.platform_api.access import Access
from prisjakt_relay.platform_api.interface import PlatformApi
from prisjakt_relay.platforms import EXCLUDED_SOURCES
from prisjakt_relay.prisjakt.auth import Tokens, credentials_of
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.rate_limit import RateLimit
from prisjakt_relay.reconciler.hourly import LONGEST_GAP, MARGIN, Ports, reconcile
from prisjakt_relay.reconciler.progress import ProgressBook
from prisjakt_relay.shop import Shop as ShopDocument
from prisjakt_relay.shop import Shops
from prisjakt_relay.tables import DynamoStore, records_of

if TYPE_CHECKING:
    from tests.simulation.world import World

HOUR: Final = timedelta(hours=1)
RUN_SECONDS: Final = 900.0
AFTER: Final = 3  # runs after a change; where nothing has changed, there is nothing to find
IDLE: Final = 24  # hours after which a run is made though there is nothing to find
ENDS_RUNS: Final = ("kill", "kill sender", *AWS)
CRIES: Final = frozenset({"not_at_prisjakt", "differs_at_prisjakt", "twice_at_prisjakt"})


@dataclass(frozen=True)
class Phase:
    """A time in which requests to the shops' own APIs fail."""

    kind: str
    start: datetime
    end: datetime
    chance: float


class Reconciling:
    """The share of deliveries that is lost in a world, and the runs of its reconciler."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = Random(f"{world.seed} reconciler")  # noqa: S311
        self.share = self.random.choice((0.0, 0.02, 0.1, 0.3, 1.0))
        self.index_lag = self.random.choice((0.0, 0.0, 60.0, 2400.0))
        self._shown: dict[tuple[str, str], int] = {}
        self.gaps: defaultdict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
        self._began: list[datetime] = []
        self.runs = self.lost = self.recovered = 0
        self._failed = False
        self._planned: set[int] = set()
        self.phases = [self._phase() for _ in range(self.random.choice((0, 0, 1, 2)))]
        self.phases += self._days_away(Random(f"{world.seed} days away"))  # noqa: S311
        self.end = max((phase.end for phase in self.phases), default=START)
        self.systems: dict[str, ShopSystem] = {
            shop.name: self._system(shop) for shop in world.shops
        }

    def _phase(self) -> Phase:
        start = START + timedelta(seconds=self.random.uniform(0, 12 * 3600))
        length = timedelta(hours=10 ** self.random.uniform(-2, 1.3))
        kind = self.random.choice(("500", "429", "hang", "cut"))
        return Phase(kind, start, start + length, self.random.choice((0.1, 0.5, 1.0)))

    def _days_away(self, random: Random) -> list[Phase]:
        """Now and then a shop's API is away from the start, for longer than a run looks back."""
        if random.random() >= 0.05:
            return []
        end = START + LONGEST_GAP + timedelta(hours=random.uniform(0, 24))
        return [Phase("500", START, end, 1.0)]

    def strikes(self, kind: str) -> bool:
        now = self.world.time.now
        return any(
            phase.kind == kind and phase.start <= now < phase.end
            for phase in self.phases
            if self.random.random() < phase.chance
        )

    def loses(self) -> bool:
        """Whether the next delivery never leaves the shop."""
        is_lost = self.random.random() < self.share
        self.lost += is_lost
        return is_lost

    def _system(self, shop: Shop) -> ShopSystem:
        address = address_of(shop)
        ids = iter(range(1, 10**9))

        def new_id() -> str:
            return str(next(ids))

        if shop.platform == "shopify":
            return ShopifySystem(
                urlsplit(address).netloc,
                clock=self.world.time,
                new_id=new_id,
                send=lambda _: None,
                later=lambda _seconds, _action: None,
                client_id="app",
                client_secret="hush",
                bucket_size=self.random.choice((None, 100.0, 2000.0)),
                restore_rate=self.random.choice((5.0, 100.0)),
            )
        return WooCommerceSystem(
            address,
            clock=self.world.time,
            new_id=new_id,
            send=lambda _: None,
            later=lambda _seconds, _action: None,
            consumer_key="ck",
            consumer_secret="cs",
            throttle=self.random.choice((None, 10, 60)),
            knows_modified=self.random.random() < 0.8,
        )

    def api(self, name: str, document: ShopDocument) -> PlatformApi:
        shop = self.world.by_name[name]
        return PLATFORM_APIS[document.platform](
            Access(
                address=address_of(shop),
                client_id="app",
                client_secret="hush",
                consumer_key="ck",
                consumer_secret="cs",
            ),
            Lane(self, shop),
            clock=self.world.time,
            wait=self.world.spend,
        )

    # When

    def plan(self) -> None:
        """A run each hour in which it could find something, and right before. In between one a day,
        which is enough for the cursor to be never further back than an hourly run's would be when
        a run fails; and one before trouble that lasts."""
        table = cast("aws.Service", self.world.table)
        store = DynamoStore(table, "ledger", clock=self.world.time, sleep=self.world.spend)
        book = ProgressBook(store)
        for shop in self.world.shops:
            for order in shop.orders:
                for number, step in enumerate(order.steps):
                    late = timedelta(seconds=self.random.uniform(0, self.index_lag))
                    self.world.time.at(
                        step.moment + late, self._change(shop, order.id, number, step)
                    )
                    hour = (step.moment - START) // HOUR
                    for each in range(hour, hour + 1 + AFTER):
                        self._plan(each)
        hours = sorted(self._planned | set(self._before_trouble(min(self._planned))))
        for one, other in pairwise(hours):
            for each in range(one, other, IDLE):
                self._plan(each)
        for shop in self.world.shops:  # right before anything happens to their orders
            book.add(shop.name, START + hours[0] * HOUR)

    def _before_trouble(self, first: int) -> Iterator[int]:
        """The last hour before any trouble that takes up more than the idle hours leave."""
        shortest = LONGEST_GAP - IDLE * HOUR
        spans = [(phase.start, phase.end) for phase in self.phases]
        spans += [(phase.start, phase.end) for phase in self.world.troubles.phases]
        for start, end in spans:
            hour = (start - START) // HOUR
            if end - start > shortest and first <= hour <= max(self._planned):
                yield hour

    def _plan(self, hour: int) -> None:
        if hour not in self._planned:
            self._planned.add(hour)
            self.world.time.at(START + hour * HOUR, lambda: self._run(hour))

    def _change(self, shop: Shop, order_id: str, number: int, step: Step) -> Callable[[], None]:
        """The API knows of it from now on: a while after it happened, by its own time."""

        def change() -> None:
            if number > self._shown.get((shop.name, order_id), -1):
                self._shown[shop.name, order_id] = number
                self.systems[shop.name].put(json.loads(step.body))

        return change

    def _run(self, hour: int) -> None:
        world = self.world
        self.runs += 1
        self._began.append(world.time.now)
        deadline = world.time.now + timedelta(seconds=RUN_SECONDS)
        self._failed = False

        def work() -> None:
            done = False
            try:
                ports = self._ports()
                reconcile(ports, ports.clock() + (deadline - world.time.now))
                done = True
            except Killed:
                world.log("is dead")
            except StorageError as error:  # the list could not be read
                world.log("ends: %s", error)
            except Exception:  # whatever else it is, it is a finding
                world.violated(traceback.format_exc())
            if not done or self._failed:
                world.time.at(world.time.now, lambda: self._plan(hour + 1))

        world.time.begin(f"reconciler {self.runs}", RUN_SECONDS, work)

    # With what

    def _ports(self) -> Ports:
        world = self.world
        environment = Environment(world, world.spend, now=world.time)
        clock, sqs = environment.clock, environment.service("sqs")
        road = Road(world, counts_reads=False)
        client = PrisjaktClient(
            f"{HOST}/click-conversion",
            road,
            clock=clock,
            tokens=Tokens(f"{HOST}/oauth2/token", road, clock=clock),
        )
        shops = Shops(
            environment.read,
            clock=clock,
            alarm=world.alarm,
            unknown_reads=timedelta(0),
            platforms=EXCLUDED_SOURCES,
        )
        limit = RateLimit(environment.store, world.allowance)

        def prisjakt(name: str, shop: ShopDocument) -> PrisjaktClient | None:
            credentials = credentials_of(shop)
            if credentials is None:
                return None

            def before(counts: bool) -> None:
                turn = limit.reserve(shop.client, name, clock()) if counts else None
                if turn is not None:
                    raise HeldError("not yet", turn)

            def pause(asked: float | None) -> None:
                with suppress(StorageError):
                    limit.pause(shop.client, asked, clock())

            return client.using(credentials, before, pause)

        def enqueue(conversion: Conversion) -> None:
            queues.enqueue(
                conversion,
                sqs=sqs,
                queue_url="queue",
                deadline=clock() + timedelta(seconds=10),
                clock=clock,
                sleep=world.spend,
            )

        return Ports(
            book=ProgressBook(environment.store),
            shop=lambda name: shops.get(name, clock() + timedelta(seconds=10)),
            api=self.api,
            prisjakt=prisjakt,
            records=lambda keys: records_of(environment.store, keys),
            enqueue=enqueue,
            webhook_address="https://relay.test/webhooks",
            clock=clock,
            emit=self._emit,
        )

    def _emit(self, event: str, *, age: float | None = None, **fields: Any) -> None:
        world = self.world
        world.emit(event, age=age, **fields)
        if event == "recovered":
            self.recovered += 1
        elif event == "reconcile_failed":
            self._failed = True
        elif event == "reconcile_gap":
            self._note_gap(fields["shop"], fields["since"], fields["until"])
        elif event in CRIES:
            shop = world.by_name[fields["shop"]]
            order = next(one for one in shop.orders if one.id == fields["order_id"])
            if not order.browser and not shop.change:
                world.violated(f"the reconciler cries wolf: {event} {fields}")

    def _note_gap(self, shop: str, *told: str) -> None:
        """What nobody has looked at. There is no such time unless every run since has failed."""
        since, until = map(datetime.fromisoformat, told)
        self.gaps[shop].append((since, until))
        late = MARGIN + timedelta(seconds=2 * self.world.setting.skew)
        before = [begun for begun in self._began[:-1] if begun > since + late]
        if not before or not all(map(self._may_fail, before)):
            self.world.violated(f"{shop}: a gap from {since} to {until}, and nothing was away")

    def _may_fail(self, begun: datetime) -> bool:
        """Whether a run of that time met with trouble at the shop, in AWS or of its own process."""
        end = begun + timedelta(seconds=RUN_SECONDS)
        at_shop = any(phase.start < end and begun < phase.end for phase in self.phases)
        return at_shop or self.world.troubles.are_on(ENDS_RUNS, begun, end)


def address_of(shop: Shop) -> str:
    host = "myshopify.com" if shop.platform == "shopify" else "example"
    return f"https://{shop.name}.{host}"


class Lane(ShopSession):
    """The way to a shop's own API, in virtual time, with what happens to requests."""

    def __init__(self, reconciling: Reconciling, shop: Shop) -> None:
        super().__init__(reconciling.systems[shop.name], address_of(shop))
        self._reconciling = reconciling

    def request(  # type: ignore[override]
        self, method: str, url: str, *, timeout: tuple[float, float], **rest: Any
    ) -> Response:
        reconciling = self._reconciling
        reconciling.world.spend(reconciling.random.uniform(0.05, 0.5))
        if reconciling.strikes("hang"):
            reconciling.world.spend(timeout[1])
            raise ReadTimeout
        if reconciling.strikes("cut"):
            raise RequestsConnectionError
        if reconciling.strikes("500"):
            self.answers.append(Answer(reconciling.random.choice((500, 502, 503, 504))))
        elif reconciling.strikes("429"):
            wait = reconciling.random.randrange(60)
            self.answers.append(Answer(429, {"Retry-After": str(wait)}))
        return super().request(method, url, **rest)
