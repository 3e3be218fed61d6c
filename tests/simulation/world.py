"""One seed, one world: shops that send webhooks, the relay's own code, AWS, and Prisjakt."""

from __future__ import annotations

import traceback
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, cast

from tests.simulation.cloud import Queue, Table
from tests.simulation.fibres import START, Fibre, Killed, Time
from tests.simulation.prisjakt import HOST, Road
from tests.simulation.reconciling import Reconciling
from tests.simulation.shops import Order, Shop, Step, shops
from tests.simulation.troubles import Troubles

from prisjakt_relay import aws, queues
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import StorageError
from prisjakt_relay.ledger import Ledger
from prisjakt_relay.local.prisjakt_model import Answer, Call, PrisjaktModel, to_json
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.prisjakt.auth import Tokens
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.queues import ConversionQueue, Message
from prisjakt_relay.rate_limit import RateLimit
from prisjakt_relay.receiver import webhook
from prisjakt_relay.sender import reporting
from prisjakt_relay.sender.sending import Ports
from prisjakt_relay.shop import Shops

FUNCTION_SECONDS: Final = 60.0
HOUR: Final = timedelta(hours=1)
GRACE: Final = timedelta(days=8)  # after the last trouble and the last delivery
MOST_READS: Final = 30
MOST_STEPS: Final = 200_000
SHOPIFY_RETRIES: Final = (60, 300, 600, 1200, 1800, 2700, 3600, 3900)  # eight in four hours

Name = tuple[str, str]  # pixel and external id


class Receiver:
    """The receiver's process. It is answered for in one go, on a clock of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._spent = timedelta(0)
        self._ports = webhook.Ports(
            shops=Shops(self._document, clock=self._clock, alarm=world.alarm),
            enqueue=self._enqueue,
            clock=self._clock,
            emit=world.emit,
        )

    def answer(self, request: webhook.Request) -> webhook.Answer:
        self._spent = timedelta(0)
        return webhook.answer(request, self._ports)

    def _clock(self) -> datetime:
        return self._world.time.now + self._spent

    def _sleep(self, seconds: float) -> None:
        self._spent += timedelta(seconds=seconds)

    def _document(self, name: str, deadline: datetime) -> str:
        del deadline
        return self._world.document(name)

    def _enqueue(self, conversion: Conversion, deadline: datetime) -> None:
        queues.enqueue(
            conversion,
            sqs=cast("aws.Service", self),
            queue_url="queue",
            deadline=deadline,
            clock=self._clock,
            sleep=self._sleep,
        )

    def call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        strikes = self._world.strikes("receiver")
        if not strikes or self._world.random.random() < 0.3:
            self._world.queue.perform(operation, parameters)
        if strikes:
            self._sleep(self._world.random.uniform(0.1, 1.8))
            raise StorageError("SendMessage: nobody there")
        return {}


class World:
    """Everything that is in one seed."""

    def __init__(self, seed: int, *, reconciles: bool = True) -> None:
        self.seed = seed
        self.random = Random(seed)  # noqa: S311  # the point is that it can be repeated
        self.time = Time()
        self.lines: list[tuple[datetime, str, str, tuple[Any, ...]]] = []
        self.violations: list[str] = []
        self.troubles = Troubles(self.random)
        self.shops = shops(self.random)
        self.by_name = {shop.name: shop for shop in self.shops}
        self.by_pixel = {pixel: shop for shop in self.shops for pixel in shop.pixel_ids}
        self.orders: dict[Name, Order] = {
            (pixel, order.id): order
            for shop in self.shops
            for order in shop.orders
            for pixel in shop.pixel_ids
        }
        self.allowance = self.random.choice((3, 5, 20, 60, 300, 10_000, 10_000))
        self.writing: dict[Name, Fibre] = {}
        self.requests = 0
        self._reads: defaultdict[str, int] = defaultdict(int)
        self._sent: defaultdict[str, deque[datetime]] = defaultdict(deque)
        self.table = Table(self)
        self.queue = Queue(self)
        self._ids = 0
        self.model = PrisjaktModel(
            clock=self.time,
            new_id=self._new_id,
            hourly_limit=10**9,
            token_lifetime=timedelta(seconds=self.random.choice((86_399, 86_399, 900))),
        )
        self._processes: list[Ports] = []
        self._receiver = Receiver(self)
        self.invocations = 0
        self.last_delivery = START
        self.reconciling = Reconciling(self) if reconciles else None
        self._plan()

    def run(self) -> None:
        """Until the queue is empty and nothing more comes, or something is wrong."""
        end = max(self.troubles.end, self.last_delivery) + GRACE
        if self.reconciling is not None:
            end = max(end, self.reconciling.end + GRACE)
        try:
            if not self.time.run(end) and not self.violations:
                left = [one.body for one in self.queue.waiting.values()]
                self.violated(f"still not at rest at {end}: {left}")
        finally:
            self.time.end()

    # What is noted

    def log(self, text: str, *values: object) -> None:
        running = self.time.running
        self.lines.append((self.time.now, running.name if running else "", text, values))

    def violated(self, what: str) -> None:
        self.log("VIOLATION: %s", what)
        self.violations.append(what)
        self.time.stopped = True

    def emit(self, event: str, *, age: float | None = None, **fields: Any) -> None:
        del age
        self.log("  log: %s %s", event, fields)

    def alarm(self, trouble: str, shop: str, **details: Any) -> None:
        self.log("  alarm: %s %s %s", trouble, shop, details)

    def count(self, client: str | None) -> None:
        """A request has arrived at Prisjakt; whose is not known while a shop changes."""
        self.requests += 1
        if client is None:
            return
        sent, now = self._sent[client], self.time.now
        while sent and now - sent[0] >= HOUR:
            sent.popleft()
        sent.append(now)
        if len(sent) > self.allowance:
            self.violated(f"{len(sent)} requests of {client} in an hour, {self.allowance} allowed")

    def note_refusal(self, names: Sequence[Name]) -> None:
        for name in names:
            self.orders[name].refusals += 1

    def is_poison(self, name: Name) -> bool:
        return self.orders[name].poison

    # Calls of an invocation to the outside

    def strikes(self, kind: str) -> bool:
        return self.troubles.strikes(kind, self.time.now)

    def spend(self, seconds: float) -> None:
        self.time.sleep(seconds)
        if self.strikes("kill"):
            self.log("killed")
            raise Killed

    def before(self, kind: str) -> None:
        slow = self.strikes("slow aws")
        self.spend(self.random.uniform(0.5, 2.0) if slow else self.random.uniform(0.001, 0.01))
        if self.strikes("sqs" if kind == "sqs" else "throttled"):
            self.log("    %s: not done", kind)
            self.spend(self.random.uniform(0.0, 3.0))
            raise StorageError(f"{kind}: nobody there")

    def after(self, kind: str) -> None:
        self.spend(self.random.uniform(0.001, 0.01))
        if self.strikes("lost"):
            self.log("    %s: done, but its answer is lost", kind)
            self.spend(self.random.uniform(0.0, 3.0))
            raise StorageError(f"{kind}: answer lost")

    def repeats(self) -> bool:
        """The answer to a write was lost, and the same is asked again by the adapter."""
        return self.strikes("lost") and self.random.random() < 0.5

    def document(self, name: str) -> str:
        if self.strikes("secrets"):
            raise StorageError("GetSecretValue: nobody there")
        return self.by_name[name].document(self.time.now)

    def read(self, name: str, deadline: datetime) -> str:
        del deadline
        self.spend(self.random.uniform(0.005, 0.05))
        return self.document(name)

    # Prisjakt

    def _new_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"

    def shop_of(self, call: Call, pixel: str) -> Shop:
        if pixel:
            return self.by_pixel[pixel]
        known = (s for s in self.shops if s.client_id and s.client_id.encode() in call.body)
        return next(known, self.shops[0])

    def effect(self, call: Call) -> Answer:
        before = len(self.model.events)
        answer = self.model.answer(call)
        if call.method != "GET":
            self.log("    Prisjakt: %s", answer.status)
        for event in list(self.model.events.values())[before:]:
            if event.amount == 0:
                self.violated(f"{event.external_event_id} came to Prisjakt with nothing bought")
        return answer

    def note_read(self, pixel: str, *, again: bool) -> None:
        """A read is there to let a write follow."""
        self._reads[pixel] = self._reads[pixel] + 1 if again else 0
        if self._reads[pixel] > MOST_READS:
            self.violated(
                f"{MOST_READS} reads of {self.by_pixel[pixel].name}, and no write follows"
            )

    def late_effect(self, call: Call) -> None:
        self.log("Prisjakt does late: %s %s", call.method, call.body)
        self.effect(call)

    # The sender

    def invoke(self, messages: Sequence[Message]) -> None:
        self.invocations += 1
        cold = not self._processes or self.random.random() < 0.1
        process = self._process() if cold else self._processes.pop()
        deadline = self.time.now + timedelta(seconds=FUNCTION_SECONDS)

        def work() -> None:
            unsettled: list[str] | None = None
            self.log("begins with %s", [(each.id, each.receives) for each in messages])
            try:
                if cold:
                    self.spend(self.random.uniform(0.3, 1.5))
                unsettled = reporting.report(messages, process, deadline)
                self._processes.append(process)
            except Killed as killed:
                self.log("is dead %s", killed)
            except Exception:  # whatever it is, it is a finding
                self.violated(traceback.format_exc())
            self.log("ends, not settled: %s", unsettled)
            self.time.at(self.time.now, lambda: self.queue.answered(messages, unsettled))

        if self.time.steps > MOST_STEPS:
            self.violated("this never ends")
        self.time.begin(f"sender {self.invocations}", FUNCTION_SECONDS, work)

    def _process(self) -> Ports:
        road = Road(self)
        return Ports(
            shops=Shops(self.read, clock=self.time, alarm=self.alarm, unknown_reads=timedelta(0)),
            ledger=Ledger(self.table),
            rate_limit=RateLimit(self.table, self.allowance),
            prisjakt=PrisjaktClient(
                f"{HOST}/click-conversion",
                road,
                clock=self.time,
                tokens=Tokens(f"{HOST}/oauth2/token", road, clock=self.time),
            ),
            queue=ConversionQueue(cast("aws.Service", self.queue), "queue", "dead-letters"),
            clock=self.time,
            random=self.random.random,
            new_token=self._new_id,
            emit=self.emit,
        )

    # What the shops do

    def _plan(self) -> None:
        for phase in self.troubles.phases:
            if phase.kind == "expire tokens":
                self.time.at(phase.start, self.model.expire_tokens)
        for shop in self.shops:
            for order in shop.orders:
                self._plan_order(shop, order)
        if self.reconciling is not None:
            self.reconciling.plan()

    def _plan_order(self, shop: Shop, order: Order) -> None:
        for step in order.steps:
            for topic in step.topics:
                for _ in range(1 + (self.random.random() < 0.1)):
                    late = 10 ** self.random.uniform(-1, 4 if self.random.random() < 0.2 else 1.5)
                    moment = step.moment + timedelta(seconds=late)
                    self.time.at(moment, self._delivery(shop, order, step, topic))
                    self.last_delivery = max(self.last_delivery, moment + timedelta(hours=5))
        if order.browser and order.click_id:
            moment = order.steps[0].moment + timedelta(seconds=self.random.uniform(0, 60))
            self.time.at(moment, lambda: self._browser(shop, order))

    def _browser(self, shop: Shop, order: Order) -> None:
        """A pixel in the visitor's browser reports the same order."""
        step = order.steps[0]
        body = {
            "event_name": "purchase",
            "event_time": step.moment.isoformat().replace("+00:00", "Z"),
            "external_event_id": order.id,
            "data": {"amount": step.net, "currency": "SEK", "number_of_items": step.items},
            "signed_click_id": order.click_id,
        }
        self.effect(
            Call(
                method="POST",
                path=f"/click-conversion/pixels/{shop.pixel_id}/events",
                headers={"content-type": "application/json"},
                body=to_json(body).encode(),
            )
        )

    def _delivery(
        self, shop: Shop, order: Order, step: Step, topic: str, attempt: int = 0
    ) -> Callable[[], None]:
        return lambda: self._deliver(shop, order, step, topic, attempt)

    def _deliver(self, shop: Shop, order: Order, step: Step, topic: str, attempt: int) -> None:
        if not attempt and self.reconciling is not None and self.reconciling.loses():
            self.log("%s %s %s: never leaves the shop", shop.name, order.id, topic)
            return
        platform = PLATFORMS[shop.platform]
        name = "x-shopify-topic" if shop.platform == "shopify" else "x-wc-webhook-topic"
        headers = {name: topic, **platform.sign(step.body, shop.secret)}
        if self.random.random() < 0.05:
            self._receiver = Receiver(self)
        request = webhook.Request(shop.platform, shop.name, headers, step.body)
        answer = self._receiver.answer(request)
        self.log("%s %s %s: %s", shop.name, order.id, topic, answer.body)
        if answer.status == 200:
            queued = answer.body["outcome"] == "queued"
            old = self.time.now - order.steps[0].moment > timedelta(days=59)
            if queued != (order.eligible and step.reportable) and not old:
                self.violated(f"{shop.name} {order.id}: {answer.body}")
            if queued:
                order.accepted.append(step)
        heard = answer.status == 200 and not self.strikes("twice")
        if shop.platform == "shopify" and not heard and attempt < len(SHOPIFY_RETRIES):
            retry = self._delivery(shop, order, step, topic, attempt + 1)
            self.time.after(SHOPIFY_RETRIES[attempt], retry)
