"""Deliveries that never arrive, and the reconciler that finds their orders by the shops' own APIs.

It has a randomness of its own, so that a world is the same with and without it as far as can be.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from requests import Response
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ReadTimeout
from tests.platform_api.shop_session import ShopSession
from tests.simulation.fibres import START, Killed
from tests.simulation.prisjakt import HOST, Road
from tests.simulation.shops import Shop, Step

from prisjakt_relay import aws, queues
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import HeldError, StorageError
from prisjakt_relay.ledger import Record, from_item
from prisjakt_relay.local.exchange import Answer
from prisjakt_relay.local.shop_system import ShopSystem
from prisjakt_relay.local.shopify_system import ShopifySystem
from prisjakt_relay.local.woocommerce_system import WooCommerceSystem
from prisjakt_relay.platform_api import PLATFORM_APIS
from prisjakt_relay.platform_api.access import Access
from prisjakt_relay.platform_api.interface import PlatformApi
from prisjakt_relay.prisjakt.auth import Tokens, credentials_of
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.rate_limit import RateLimit
from prisjakt_relay.reconciler.hourly import Ports, reconcile
from prisjakt_relay.reconciler.progress import LIST, ProgressBook
from prisjakt_relay.shop import Shop as ShopDocument
from prisjakt_relay.shop import Shops

if TYPE_CHECKING:
    from tests.simulation.world import World

HOUR: Final = timedelta(hours=1)
RUN_SECONDS: Final = 900.0
AFTER: Final = 3  # runs after a change; where nothing has changed, there is nothing to find
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
        self.gaps: set[str] = set()
        self.runs = self.lost = self.recovered = 0
        self._failed = False
        self._planned: set[int] = set()
        self.phases = [self._phase() for _ in range(self.random.choice((0, 0, 1, 2)))]
        self.end = max((phase.end for phase in self.phases), default=START)
        self.systems: dict[str, ShopSystem] = {
            shop.name: self._system(shop) for shop in world.shops
        }

    def _phase(self) -> Phase:
        start = START + timedelta(seconds=self.random.uniform(0, 12 * 3600))
        length = timedelta(hours=10 ** self.random.uniform(-2, 1.3))
        kind = self.random.choice(("500", "429", "hang", "cut"))
        return Phase(kind, start, start + length, self.random.choice((0.1, 0.5, 1.0)))

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
        """A run each hour in which it could find something, and right before."""
        listed = {shop.name: True for shop in self.world.shops}
        self.world.table.items[LIST] = {"id": LIST, "version": 1, "shops": listed}
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
        deadline = world.time.now + timedelta(seconds=RUN_SECONDS)
        self._failed = False

        def work() -> None:
            done = False
            try:
                reconcile(self._ports(), deadline)
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
        road = Road(world, counts_reads=False)
        client = PrisjaktClient(
            f"{HOST}/click-conversion",
            road,
            clock=world.time,
            tokens=Tokens(f"{HOST}/oauth2/token", road, clock=world.time),
        )
        shops = Shops(world.read, clock=world.time, alarm=world.alarm, unknown_reads=timedelta(0))
        limit = RateLimit(world.table, world.allowance)

        def prisjakt(name: str, shop: ShopDocument) -> PrisjaktClient | None:
            credentials = credentials_of(shop)
            if credentials is None:
                return None

            def before(counts: bool) -> None:
                turn = limit.reserve(shop.client, name, world.time()) if counts else None
                if turn is not None:
                    raise HeldError("not yet", turn)

            return client.using(credentials, before)

        return Ports(
            book=ProgressBook(world.table),
            shop=lambda name: shops.get(name, world.time() + timedelta(seconds=10)),
            api=self.api,
            prisjakt=prisjakt,
            records=self._records,
            enqueue=self._enqueue,
            webhook_address="https://relay.test/webhooks",
            clock=world.time,
            emit=self._emit,
        )

    def _records(self, keys: Sequence[str]) -> Mapping[str, Record]:
        found = {each: self.world.table.get(each) for each in keys}
        return {each: from_item(item) for each, item in found.items() if item is not None}

    def _enqueue(self, conversion: Conversion) -> None:
        world = self.world
        queues.enqueue(
            conversion,
            sqs=cast("aws.Service", world.queue),
            queue_url="queue",
            deadline=world.time() + timedelta(seconds=10),
            clock=world.time,
            sleep=world.spend,
        )

    def _emit(self, event: str, *, age: float | None = None, **fields: Any) -> None:
        world = self.world
        world.emit(event, age=age, **fields)
        if event == "recovered":
            self.recovered += 1
        elif event == "reconcile_failed":
            self._failed = True
        elif event == "reconcile_gap":
            self.gaps.add(fields["shop"])
        elif event in CRIES:
            shop = world.by_name[fields["shop"]]
            order = next(one for one in shop.orders if one.id == fields["order_id"])
            if not order.browser and not shop.change:
                world.violated(f"the reconciler cries wolf: {event} {fields}")


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
