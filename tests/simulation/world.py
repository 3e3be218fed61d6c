"""One seed, one world: shops that send webhooks, the relay's own code, AWS, and Prisjakt."""

from __future__ import annotations

import json
import traceback
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, Final, Protocol, TypeVar

from tests.simulation.dynamodb import DynamoDb
from tests.simulation.environments import WAYS, Environment, Model, Release
from tests.simulation.fibres import START, Fibre, Killed, Time
from tests.simulation.prisjakt import HOST
from tests.simulation.reconciling import Reconciling
from tests.simulation.settings import Setting, drawn
from tests.simulation.shops import Order, Shop, Step
from tests.simulation.sqs import Queue
from tests.simulation.telling import Listening, Telling

from prisjakt_relay import queues
from prisjakt_relay.errors import AwsError
from prisjakt_relay.ledger import LAST_FIRST_REPORT, Ledger
from prisjakt_relay.local.prisjakt_model import Answer, Call, PrisjaktModel, to_json
from prisjakt_relay.outcomes import Outcome
from prisjakt_relay.platforms import EXCLUDED_SOURCES, PLATFORMS
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
SHOPIFY_RETRIES: Final = (60, 300, 600, 1200, 1800, 2700, 3600, 3900)  # eight in four hours

UNDER_WAY: Final = timedelta(seconds=10)
AT_WORK: Final = timedelta(minutes=2)  # from a look at the clock or a document to what follows it
TABLE_TROUBLES: Final = tuple(f"dynamodb {way}" for way in WAYS)
SILENCES: Final = ("kill", "kill sender", *TABLE_TROUBLES)  # of who should tell of a pause
SECRETS_TROUBLES: Final = tuple(f"secretsmanager {way}" for way in WAYS)
ROLL_OUT: Final = 600.0  # seconds in which processes of both releases start
# How long a shop is kept waiting at most, by a process that has started already.
WAITS: Final = {"shopify": timedelta(seconds=4), "woocommerce": timedelta(seconds=15)}
HANGS_UP: Final = timedelta(seconds=5)

Name = tuple[str, str]  # pixel and external id


class Process(Protocol):
    @property
    def environment(self) -> Environment: ...


P = TypeVar("P", bound=Process)


class Receiver:
    """A receiver's process. It answers in one go, on a clock of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._spent = timedelta(0)
        self._start = timedelta(seconds=world.random.uniform(0.2, 1.2))
        self.environment = Environment(world, self._spend, now=lambda: world.time.now + self._spent)
        sqs = self.environment.service("sqs")
        clock = self.environment.clock
        self._ports = webhook.Ports(
            shops=Shops(
                self.environment.read,
                clock=clock,
                alarm=world.alarm,
                platforms=EXCLUDED_SOURCES,
            ),
            enqueue=lambda conversion, deadline: queues.enqueue(
                conversion,
                sqs=sqs,
                queue_url="queue",
                deadline=deadline,
                clock=clock,
                sleep=self._spend,
            ),
            clock=clock,
            emit=world.emit,
        )

    def answer(self, request: webhook.Request) -> webhook.Answer:
        """May raise `Killed`."""
        self._spent, start = self._start, self._start
        self._start = timedelta(0)
        given = webhook.answer(request, self._ports)
        if self._spent > WAITS[request.platform] + start:
            self._world.violated(f"{request.platform} waited {self._spent} for {given.body}")
        if request.platform == "shopify" and self._spent > HANGS_UP:
            self._world.violated(f"Shopify hung up after {self._spent}, a start of {start} in it")
        return given

    def _spend(self, seconds: float) -> None:
        self._spent += timedelta(seconds=seconds)
        self._world.may_kill()


class Sender:
    """A sender's process, with what it keeps from one invocation to the next."""

    def __init__(self, world: World) -> None:
        self.environment = environment = Environment(world, world.spend, now=world.time)
        road = Listening(world)
        clock = environment.clock

        def read(name: str, deadline: datetime) -> str:
            if world.is_locked(name):
                raise AwsError("GetSecretValue", "AccessDeniedException")
            return environment.read(name, deadline)

        shops = Shops(read, clock=clock, alarm=world.alarm, unknown_reads=timedelta(0))
        self.ports = Ports(
            shops=shops,
            ledger=Ledger(environment.store),
            rate_limit=RateLimit(environment.store, world.allowance),
            prisjakt=PrisjaktClient(
                f"{HOST}/click-conversion",
                road,
                clock=clock,
                tokens=Tokens(f"{HOST}/oauth2/token", road, clock=clock),
            ),
            queue=ConversionQueue(environment.service("sqs"), "queue", "dead-letters"),
            clock=clock,
            random=world.random.random,
            new_token=world.new_id,
            emit=world.emit,
        )


class Secrets:
    """Secrets Manager with the shops' documents."""

    def __init__(self, world: World) -> None:
        self._world = world

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        assert operation == "GetSecretValue"
        shop = self._world.by_name.get(parameters["SecretId"].removeprefix("shops/"))
        if shop is None:
            raise AwsError(operation, "ResourceNotFoundException")
        return {"SecretString": shop.document(self._world.time.now)}


class World:
    """Everything that is in one seed."""

    def __init__(
        self, seed: int, *, reconciles: bool | None = None, setting: Setting | None = None
    ) -> None:
        self.seed = seed
        self.random = Random(seed)  # noqa: S311  # the point is that it can be repeated
        self.time = Time()
        self.lines: list[tuple[datetime, str, str, tuple[Any, ...]]] = []
        self.violations: list[str] = []
        # A reconciler costs as much as all the rest, so most worlds do without.
        with_reconciler = seed % 3 == 0 if reconciles is None else reconciles
        self.setting = setting or drawn(seed, self.random, reconciles=with_reconciler)
        self.troubles = self.setting.troubles
        self.shops = self.setting.shops
        self.by_name = {shop.name: shop for shop in self.shops}
        self.by_pixel = {pixel: shop for shop in self.shops for pixel in shop.pixel_ids}
        self.orders: dict[Name, Order] = {
            (pixel, order.id): order
            for shop in self.shops
            for order in shop.orders
            for pixel in shop.pixel_ids
        }
        self.allowance = self.setting.allowance
        self.writing: dict[Name, Fibre] = {}
        self.requests = 0
        self.busiest = 0
        self.refused = 0
        self.telling = Telling()
        self.successes: defaultdict[tuple[str, bool], list[datetime]] = defaultdict(list)
        self._first_tries: dict[Name, datetime] = {}
        self._stored: set[Name] = set()
        self._reads: defaultdict[str, int] = defaultdict(int)
        self._pauses: dict[str, tuple[datetime, datetime]] = {}
        self._sent: defaultdict[str, deque[datetime]] = defaultdict(deque)
        self.table = DynamoDb(
            lambda: self.time.now.timestamp(), ttl_lag=self.setting.ttl_lag, leaves=self._left
        )
        self.queue = Queue(self)
        self.models: Mapping[str, Model] = {
            "sqs": self.queue,
            "dynamodb": self.table,
            "secretsmanager": Secrets(self),
        }
        self._ids = 0
        self.model = PrisjaktModel(
            clock=self.time,
            new_id=self.new_id,
            hourly_limit=10**9,
            token_lifetime=self.setting.token_life,
        )
        self._senders: list[Sender] = []
        self._receivers: list[Receiver] = []
        self.invocations = 0
        self.last_delivery = START
        self.reconciling = Reconciling(self) if self.setting.reconciles else None
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
        if not self.setting.is_told:
            return
        running = self.time.running
        self.lines.append((self.time.now, running.name if running else "", text, values))

    def violated(self, what: str) -> None:
        self.log("VIOLATION: %s", what)
        self.violations.append(what)
        self.time.stopped = True

    def emit(self, event: str, *, age: float | None = None, **fields: Any) -> None:
        del age
        self.log("  log: %s %s", event, fields)
        if self.setting.locked and fields.get("outcome") is Outcome.WAITING:
            self._note_wait(self.setting.locked.shop, **fields)

    def alarm(self, trouble: str, shop: str, **details: Any) -> None:
        self.log("  alarm: %s %s %s", trouble, shop, details)

    def note_pause(self, client: str | None, seconds: float) -> None:
        """Prisjakt has asked a client to be quiet. What was under way then may still come.

        Left out is a pause right after which a process was killed or a call to the table failed: it
        may have been the one that was to tell the others.
        """
        if client is None:
            return
        now = self.time.now
        end = now + timedelta(seconds=seconds) - UNDER_WAY
        if not self.troubles.are_on(SILENCES, now, now + UNDER_WAY):
            self._begin_pause(client, now, end)
            return
        before = self._silences()

        def told() -> None:
            if self._silences() == before:
                self._begin_pause(client, now, end)

        self.time.at(now + UNDER_WAY, told)

    def _silences(self) -> int:
        return sum(self.troubles.struck[kind] for kind in SILENCES)

    def _begin_pause(self, client: str, now: datetime, end: datetime) -> None:
        begin, before = self._pauses.get(client, (now, now))
        if before > now + UNDER_WAY:  # one pause within another
            self._pauses[client] = begin, max(before, end)
        else:
            self._pauses[client] = now + UNDER_WAY, end

    def count(self, client: str | None) -> None:
        """A request has arrived at Prisjakt; see `client_of` for when nobody can say whose."""
        self.requests += 1
        if client is None:
            return
        begin, end = self._pauses.get(client, (START, START))
        if begin < self.time.now < end:
            self.violated(f"{client} sends in the pause that Prisjakt asked for, until {end}")
        sent, now = self._sent[client], self.time.now
        while sent and now - sent[0] >= HOUR:
            sent.popleft()
        sent.append(now)
        self.busiest = max(self.busiest, len(sent))
        if len(sent) > self.allowance:
            self.violated(f"{len(sent)} requests of {client} in an hour, {self.allowance} allowed")

    def client_of(self, call: Call, shop: Shop) -> str | None:
        """Whose allowance a request takes: that of the client that it proves to be from, else of
        the shop's, as its document has it.

        Left out is what proves nothing right after the document named another client: some
        processes still have the earlier one, for a day if no document can be read.
        """
        proven = self.model.client_of(call)
        if proven is not None or not shop.change:
            return proven or shop.client
        now = self.time.now
        read_in_time = not self.troubles.are_on(SECRETS_TROUBLES, now - Shops.STALE, now)
        since = now - AT_WORK - (Shops.FRESH if read_in_time else Shops.STALE)
        clients = {_client(shop, moment) for moment in (since, now)}
        return clients.pop() if len(clients) == 1 else None

    def note_success(self, shop: str, *, correction: bool) -> None:
        """A sender has heard that an event of the shop is there."""
        self.successes[shop, correction].append(self.time.now)

    def note_tries(self, names: Sequence[Name], *, inserts: bool) -> None:
        """A request with these orders sets out. An order that was void for a while may have been
        done with, and begun anew."""
        now = self.time.now
        for name in names:
            first = self._first_tries.setdefault(name, now)
            is_late = now - first > LAST_FIRST_REPORT + AT_WORK
            was_void = is_late and any(step.void for step in self.orders[name].steps)
            if is_late and not was_void and (inserts or name not in self._stored):
                self.violated(f"a first report of {name}, which was first tried at {first}")

    def _note_wait(self, locked: str, *, shop: str, cause: str, **_: object) -> None:
        """Only one shop's document cannot be read: no order of another shop waits for anything."""
        poisoned = any(order.poison for order in self.by_name[shop].orders)
        if shop != locked and not poisoned:
            self.violated(f"{shop} waits for the document of {locked}: {cause}")

    def is_locked(self, shop: str) -> bool:
        locked = self.setting.locked
        return (
            locked is not None
            and shop == locked.shop
            and locked.start <= self.time.now < locked.end
        )

    def note_refusal(self, names: Sequence[Name]) -> None:
        for name in names:
            self.orders[name].refusals += 1

    def is_poison(self, name: Name) -> bool:
        return self.orders[name].poison

    # Calls of an invocation to the outside

    def strikes(self, kind: str) -> bool:
        return self.troubles.strikes(kind, self.time.now)

    def spend(self, seconds: float) -> None:
        """Of an invocation that is no receiver's."""
        self.time.sleep(seconds)
        if self.strikes("kill sender"):
            self.log("killed")
            raise Killed
        self.may_kill()

    def may_kill(self) -> None:
        if self.strikes("kill"):
            self.log("killed")
            raise Killed

    def _left(self, number: int) -> int:
        """How many keys of a batch DynamoDB does not process."""
        return self.random.randint(0, number) if self.random.random() < 0.1 else 0

    # Processes

    def release(self) -> Release:
        """What a process that starts now is made of; while a deployment goes on, either."""
        begun, done = self._deployed(), self._deployed(ROLL_OUT)
        return self.setting.history[self.random.choice((begun, done)) if begun != done else begun]

    def _process(self, idle: list[P], start: Callable[[World], P]) -> tuple[P, bool]:
        """One that waits for work, unless it has ended, or a deployment ended it; or a new one."""
        left = self.setting.history[self._deployed(ROLL_OUT) :]
        while idle and self.random.random() > 0.1:
            process = idle.pop(self.random.randrange(len(idle)))
            if process.environment.release in left:
                return process, False
        return start(self), True

    def _deployed(self, ago: float = 0.0) -> int:
        """How many deployments had begun so many seconds ago."""
        seconds = (self.time.now - START).total_seconds()
        return sum(seconds >= each + ago for each in self.setting.deployments)

    # Prisjakt

    def new_id(self) -> str:
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
            self._stored.add((event.pixel_id, event.external_event_id or ""))
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
        process, is_cold = self._process(self._senders, Sender)
        begun = self.time.now
        deadline = begun + timedelta(seconds=FUNCTION_SECONDS)
        name = f"sender {self.invocations}"

        def left() -> timedelta:
            """What Lambda says of the time that remains."""
            return deadline - self.time.now

        def work() -> None:
            unsettled: list[str] | None = None
            self.log("begins with %s", [(each.id, each.receives) for each in messages])
            try:
                if is_cold:
                    self.spend(self.random.uniform(0.3, 1.5))
                ports = process.ports
                unsettled = reporting.report(messages, ports, ports.clock() + left())
                self._senders.append(process)
            except Killed as killed:
                self.log("is dead %s", killed)
            except Exception:  # whatever it is, it is a finding
                self.violated(traceback.format_exc())
            self.log("ends, not settled: %s", unsettled)
            storage_failed = self.troubles.are_on(TABLE_TROUBLES, begun, self.time.now)
            self.telling.ends(name, wrote=unsettled is not None and not storage_failed)
            self.time.at(self.time.now, lambda: self.queue.answered(messages, unsettled))

        if self.time.steps > self.setting.steps:
            self.violated("this never ends")
        self.time.begin(name, FUNCTION_SECONDS, work)

    # What the shops do

    def _plan(self) -> None:
        for number, moment in enumerate(self.setting.deployments, 1):
            self.time.at(
                START + timedelta(seconds=moment),
                partial(self.queue.deploy, self.setting.event_sources[number]),
            )
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
        headers = {name: topic, **platform.sign(step.body, shop.secret, self.time.now)}
        request = webhook.Request(shop.platform, shop.name, headers, step.body)
        answer = self._answered(request)
        self.log("%s %s %s: %s", shop.name, order.id, topic, answer and answer.body)
        if answer is not None and answer.status == 200:
            queued = answer.body["outcome"] == "queued"
            old = self.time.now - order.steps[0].moment > timedelta(days=59)
            if queued != (order.eligible and step.reportable) and not old:
                self.violated(f"{shop.name} {order.id}: {answer.body}")
            if queued:
                order.accepted.append(step)
        self.refused += answer is None or answer.status != 200
        heard = answer is not None and answer.status == 200 and not self.strikes("twice")
        if shop.platform == "shopify" and not heard and attempt < len(SHOPIFY_RETRIES):
            retry = self._delivery(shop, order, step, topic, attempt + 1)
            self.time.after(SHOPIFY_RETRIES[attempt], retry)

    def _answered(self, request: webhook.Request) -> webhook.Answer | None:
        """What the shop hears; nothing from a process that dies."""
        process, _ = self._process(self._receivers, Receiver)
        try:
            answer = process.answer(request)
        except Killed:
            return None
        self._receivers.append(process)
        return answer


def _client(shop: Shop, moment: datetime) -> str:
    document = json.loads(shop.document(moment))
    return str(document.get("prisjakt_client_id") or document["pixel_id"])
