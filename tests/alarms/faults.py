"""Everything that somebody has to look at, brought about in a running system, and a calm day."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Event, Thread
from typing import Any, Final

import urllib3
from tests.alarms.watching import Watch, wait_for

from prisjakt_relay.local import project
from prisjakt_relay.local.deliveries import RECORDED_UNTIL, load
from prisjakt_relay.local.prisjakt_model import Fault, PrisjaktModel
from prisjakt_relay.local.shop_system import ShopSystem
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.local.woocommerce_system import DISABLED, WooCommerceSystem
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.reconciler.progress import Progress, ProgressBook

SECRET: Final = "alarms-secret"
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
_STALLED: Final = 3  # attempts, each as long as the relay waits for AWS
_SAMPLES: Final = {"shopify": "orders-create-paid", "woocommerce": "made-purchase-paid"}
_TOPICS: Final = {
    "shopify": ("orders/create", "orders/updated"),
    "woocommerce": ("order.created", "order.updated"),
}

_numbers = count(6_300_000_000_001)


@dataclass(frozen=True, slots=True)
class Scene:
    """A running system, and who watches it."""

    system: LocalSystem
    relay: Stack
    watch: Watch

    @property
    def model(self) -> PrisjaktModel:
        assert self.system.model is not None
        return self.system.model

    @property
    def book(self) -> ProgressBook:
        return ProgressBook(self.relay.store)

    def shop(self, platform: str = "shopify", **choices: Any) -> str:
        """A shop that nobody else uses."""
        name = f"alarms-{uuid.uuid4().hex[:10]}"
        document = {
            "platform": platform,
            "pixel_id": str(uuid.uuid4()),
            "signing_secrets": [SECRET],
        }
        self.system.aws.put_shop(name, document | choices)
        return name

    def shop_with_credentials(self, platform: str = "shopify", **choices: Any) -> str:
        client = {"prisjakt_client_id": uuid.uuid4().hex, "prisjakt_client_secret": "not-so-secret"}
        return self.shop(platform, **client, **choices)

    def order(self, platform: str = "shopify", **changes: Any) -> dict[str, Any]:
        """A new one of today, last changed a few seconds ago."""
        now = datetime.now(UTC).replace(microsecond=0)
        sample = load(platform, _SAMPLES[platform])
        moment = (now - timedelta(seconds=5)).replace(tzinfo=None).isoformat()
        changed = (
            {"updated_at": f"{moment}Z"} if platform == "shopify" else {"date_modified_gmt": moment}
        )
        order: dict[str, Any] = json.loads(sample.moved(now - RECORDED_UNTIL, None).body)
        return order | {"id": next(_numbers)} | changed | changes

    def deliver(
        self,
        shop: str,
        platform: str = "shopify",
        *,
        body: bytes | None = None,
        secret: str = SECRET,
        headers: Mapping[str, str] | None = None,
        **changes: Any,
    ) -> tuple[int, Any]:
        """Status and answer. Without a body it is a new order."""
        if body is None:
            body = json.dumps(self.order(platform, **changes)).encode()
        signed = load(platform, _SAMPLES[platform]).signed(body, secret, datetime.now(UTC))
        sent = {name.lower(): value for name, value in signed} | dict(headers or {})
        return self.watch.post(f"/webhooks/{platform}/{shop}", body, sent.items())

    def take(self, shop: str, platform: str = "shopify", **more: Any) -> str:
        """The id of an order that the relay has queued."""
        status, answer = self.deliver(shop, platform, **more)
        assert (status, answer["outcome"]) == (200, "queued")
        return str(answer["order_id"])

    def put_on_the_queue(self, body: str) -> None:
        self.system.aws.client("sqs").send_message(
            QueueUrl=self.system.outputs["QueueUrl"], MessageBody=body, MessageGroupId="any"
        )

    def said(self, event: str, number: int = 1) -> None:
        wait_for(lambda: len(self.watch.said(event)) >= number, f"{number} lines {event!r}")

    def drained(self) -> None:
        wait_for(self.watch.queue_is_empty, "an empty queue")

    def emptied(self) -> None:
        """What waits is given up."""
        for queue in ("QueueUrl", "DeadLettersUrl"):
            self.system.aws.client("sqs").purge_queue(QueueUrl=self.system.outputs[queue])
        self.drained()

    @contextmanager
    def prisjakt_says(self, shop: str, status: int, times: int) -> Iterator[None]:
        fault = Fault(kind="status", status=status, times=times, pixel_id=self.pixel_of(shop))
        self.model.faults.append(fault)
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):
                self.model.faults.remove(fault)

    def pixel_of(self, shop: str) -> str:
        secret = self.system.aws.client("secretsmanager").get_secret_value(
            SecretId=f"local/shops/{shop}"
        )
        return str(json.loads(secret["SecretString"])["pixel_id"])

    @contextmanager
    def setting(self, function: str, **changed: str) -> Iterator[None]:
        """A function with other settings; it starts anew, and so it does afterwards."""
        lambdas, name = self.system.aws.client("lambda"), self.watch.names[function]
        found = lambdas.get_function_configuration(FunctionName=name)
        before = found["Environment"]["Variables"]
        try:
            self._configured(function, before | changed)
            yield
        finally:
            self._configured(function, before)

    def _configured(self, function: str, variables: Mapping[str, str]) -> None:
        self.system.aws.client("lambda").update_function_configuration(
            FunctionName=self.watch.names[function], Environment={"Variables": dict(variables)}
        )

    @contextmanager
    def sender_off(self) -> Iterator[None]:
        """Nobody hands it what is on the queue."""
        self._calls_the_sender(False)
        try:
            yield
        finally:
            self._calls_the_sender(True)

    def _calls_the_sender(self, works: bool) -> None:
        lambdas, mapping = self.system.aws.client("lambda"), self.watch.names["SenderEvents"]
        lambdas.update_event_source_mapping(UUID=mapping, Enabled=works)
        wanted = "Enabled" if works else "Disabled"
        wait_for(
            lambda: lambdas.get_event_source_mapping(UUID=mapping)["State"] == wanted,
            f"a mapping that is {wanted.lower()}",
        )

    def crash(self, function: str) -> None:
        """Let it run with what it cannot start with."""
        answer = self.system.aws.client("lambda").invoke(
            FunctionName=self.watch.names[function], Payload=b'{"Records": []}'
        )
        assert "FunctionError" in answer

    @contextmanager
    def reconciled(self, platform: str = "shopify", **choices: Any) -> Iterator[str]:
        """A shop that is on the reconciler's list."""
        name = self.shop_with_credentials(platform, **choices)
        self.system_of(name)  # it is made when somebody asks for it, with access for the relay
        self.book.add(name, datetime.now(UTC))
        try:
            yield name
        finally:
            self.book.remove(name)

    def system_of(self, shop: str) -> ShopSystem:
        systems = self.system.shop_systems
        wait_for(lambda: systems.of(shop), "the shop's own system, which hears of new shops late")
        found = systems.of(shop)
        assert found is not None
        return found

    def buy(self, shop: str, platform: str = "shopify") -> None:
        """An order in the shop's own system, which tells of it as well as it can."""
        assert self.system.shop_systems.put(shop, self.order(platform), *_TOPICS[platform])

    def reconcile_until(self, event: str, number: int = 1) -> None:
        def found() -> bool:
            self.system.reconcile()
            return len(self.watch.said(event)) >= number

        wait_for(found, f"{number} lines {event!r} of the reconciler")


Bring = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What brings it about, and the alarms that it raises: these, and no other."""

    bring: Bring
    alarms: frozenset[str]
    within: timedelta = timedelta(hours=26)


TROUBLES: dict[str, Trouble] = {}


def raises(*alarms: str, within: timedelta = timedelta(hours=26)) -> Callable[[Bring], Bring]:
    """The trouble's name is the function's."""

    def registered(bring: Bring) -> Bring:
        names = frozenset(f"{alarm}Alarm" for alarm in alarms)
        TROUBLES[bring.__name__] = Trouble(bring, names, within)
        return bring

    return registered


# Receiver


@raises("SignatureFailures")
def three_forged_deliveries_in_a_day(scene: Scene) -> None:
    shop = scene.shop()
    for hour in (0, 9, 18):
        with scene.watch.act(hour * HOUR):
            assert scene.deliver(shop, secret="another")[0] == 401


@raises("ShopDocumentFaults")
def a_field_that_nobody_knows(scene: Scene) -> None:
    shop = scene.shop(colour="blue")
    with scene.watch.act():
        scene.take(shop)
        scene.drained()


@raises("ShopDocumentFaults", "ReceiverErrors")
def an_unusable_shop_document(scene: Scene) -> None:
    shop = scene.shop(mode="sometimes")
    with scene.watch.act():
        assert scene.deliver(shop)[0] == 503


@raises("ReceiverErrors")
def no_queue_to_put_orders_on(scene: Scene) -> None:
    shop = scene.shop()
    with scene.watch.act(), scene.setting("ReceiverFunction", QUEUE_URL="http://127.0.0.1/gone"):
        assert scene.deliver(shop)[0] == 503


@raises("ReceiverErrors")
def a_receiver_that_crashes(scene: Scene) -> None:
    shop = scene.shop()
    with scene.watch.act(), scene.setting("ReceiverFunction", STACK_NAME=""):
        assert scene.deliver(shop)[0] >= 500


@raises("ReceiverSlow")
def a_slow_queue_for_most_of_an_hour(scene: Scene) -> None:
    """Deliveries are taken all the same: WooCommerce waits."""
    shop = scene.shop("woocommerce")
    with SlowAws(scene.system.aws.endpoint) as slow:
        for minutes in (0, 20, 40):
            with (
                scene.watch.act(timedelta(minutes=minutes)),
                scene.setting("ReceiverFunction", AWS_ENDPOINT_URL=slow.address),
            ):
                slow.stall(_STALLED)
                scene.take(shop, "woocommerce")
                scene.drained()


@raises("Unreadable")
def a_signed_delivery_that_is_no_order(scene: Scene) -> None:
    shop = scene.shop()
    with scene.watch.act():
        status, answer = scene.deliver(shop, body=b'{"id": {"no": "id"}}')
        assert (status, answer["reason"]) == (200, "unreadable")


@raises("SetUpFaults")
def a_second_store_with_the_same_secret(scene: Scene) -> None:
    shop = scene.shop(domain="the-first-store.myshopify.com")
    with scene.watch.act():
        status, answer = scene.deliver(shop)
        assert (status, answer["reason"]) == (200, "source")


@raises("DataRequests")
def a_request_to_forget_a_shop_that_names_no_domain(scene: Scene) -> None:
    shop = scene.shop()
    body = {"shop_id": 1, "shop_domain": "demo-shop.myshopify.com"}
    with scene.watch.act():
        status, _ = scene.deliver(
            shop, body=json.dumps(body).encode(), headers={"x-shopify-topic": "shop/redact"}
        )
        assert status == 200
        scene.said("request_refused")


@raises("DataRequests")
def a_customer_asks_for_their_data(scene: Scene) -> None:
    shop = scene.shop()
    body = {"shop_id": 1, "shop_domain": "demo-shop.myshopify.com", "orders_requested": [7001]}
    body |= {"customer": {"id": 2}, "data_request": {"id": 3}}
    with scene.watch.act():
        status, _ = scene.deliver(
            shop,
            body=json.dumps(body).encode(),
            headers={"x-shopify-topic": "customers/data_request"},
        )
        assert status == 200
        scene.said("data_requested")


@raises("Silence", within=5 * DAY)
def no_delivery_for_days_after_there_were_some(scene: Scene) -> None:
    shop = scene.shop()
    with scene.watch.act():
        scene.take(shop)
        scene.drained()


# Sender


@raises("SetUpFaults")
def a_pixel_that_prisjakt_does_not_know(scene: Scene) -> None:
    shop = scene.shop()
    with scene.watch.act(), scene.prisjakt_says(shop, 404, times=10**6):
        scene.take(shop)
        scene.said("set_up_refused")
        scene.emptied()


@raises("WaitingAge")
def prisjakt_is_away_for_seven_hours(scene: Scene) -> None:
    """The order came seven hours ago, and Prisjakt is still away."""
    shop = scene.shop()
    sample = json.loads((project.root() / "events" / "queue" / "conversion-1.json").read_text())
    order_id = str(next(_numbers))
    received = (datetime.now(UTC) - 7 * HOUR).isoformat()
    message = sample | {"shop": shop, "order_id": order_id, "order_reference": order_id}
    with scene.watch.act(), scene.prisjakt_says(shop, 503, times=1):
        scene.put_on_the_queue(json.dumps(message | {"received_at": received}))
        scene.said("waiting")
        scene.drained()


@raises("DeadOrders")
def an_order_that_prisjakt_calls_wrong(scene: Scene) -> None:
    shop = scene.shop()
    with scene.watch.act(), scene.prisjakt_says(shop, 400, times=10**6):
        scene.take(shop)
        scene.said("dead")
        scene.drained()


@raises("SenderErrors")
def a_sender_that_cannot_start(scene: Scene) -> None:
    with scene.watch.act(), scene.setting("SenderFunction", TABLE_NAME=""):
        for _ in range(3):
            scene.crash("SenderFunction")


@raises("SenderIdle")
def a_queue_that_nobody_takes_orders_from(scene: Scene) -> None:
    shop = scene.shop()
    with scene.sender_off():
        with scene.watch.act():
            scene.take(shop)
        for hour in (1, 2):
            with scene.watch.act(hour * HOUR):
                assert scene.watch.queued("ConversionQueue")


@raises("DeadLetters", "Unreadable")
def a_message_that_is_not_the_relays(scene: Scene) -> None:
    with scene.watch.act():
        scene.put_on_the_queue('{"version": 1}')
        wait_for(lambda: scene.watch.queued("DeadLetters"), "the message set aside")
        scene.drained()


# Reconciler


@raises("Recovered")
def ten_deliveries_that_never_arrive(scene: Scene) -> None:
    with scene.watch.act(), scene.reconciled() as shop:
        scene.system_of(shop).deaf = True
        for _ in range(10):
            scene.buy(shop)
        scene.reconcile_until("recovered", 10)
        scene.drained()


@raises("BrokenWebhooks")
def a_webhook_that_is_disabled(scene: Scene) -> None:
    with scene.watch.act(), scene.reconciled("woocommerce") as shop:
        woocommerce = scene.system_of(shop)
        assert isinstance(woocommerce, WooCommerceSystem)
        for webhook in woocommerce.webhooks.values():
            webhook.status = DISABLED
        scene.reconcile_until("webhook_broken")


@raises("Mismatches")
def other_figures_at_prisjakt(scene: Scene) -> None:
    with scene.watch.act(), scene.reconciled() as shop:
        scene.buy(shop)
        scene.said("reported")
        pixel_id = scene.pixel_of(shop)
        for key, event in list(scene.model.events.items()):
            if event.pixel_id == pixel_id:
                scene.model.events[key] = replace(event, amount=Decimal(1))
        scene.reconcile_until("differs_at_prisjakt")


@raises("ReconcileFaults")
def a_shops_api_that_refuses_for_hours(scene: Scene) -> None:
    with scene.reconciled() as shop:
        scene.system_of(shop).outage = 401
        for hour in range(3):
            with scene.watch.act(hour * HOUR):
                scene.system.reconcile()
                scene.said("reconcile_failed")


@raises("ReconcileGaps")
def a_reconciler_that_was_off_for_three_days(scene: Scene) -> None:
    with scene.watch.act(), scene.reconciled() as shop:
        then = datetime.now(UTC) - 3 * DAY
        scene.book.put(shop, _progress(cursor=then, order=then, click=then))
        scene.reconcile_until("reconcile_gap")


@raises("ClickSilence")
def a_snippet_that_is_gone(scene: Scene) -> None:
    with scene.watch.act(), scene.reconciled() as shop:
        now = datetime.now(UTC)
        scene.book.put(shop, _progress(cursor=now - HOUR, order=now - HOUR, click=now - 8 * DAY))
        scene.reconcile_until("click_silence")


@raises("OrderSilence", "ClickSilence")
def a_shop_that_sells_nothing(scene: Scene) -> None:
    with scene.watch.act(), scene.reconciled() as shop:
        then = datetime.now(UTC) - 8 * DAY
        scene.book.put(shop, _progress(cursor=datetime.now(UTC) - HOUR, order=then, click=then))
        scene.reconcile_until("order_silence")


@raises("ReconcilerErrors")
def a_reconciler_that_cannot_start(scene: Scene) -> None:
    for hour in range(2):
        with scene.watch.act(hour * HOUR), scene.setting("ReconcilerFunction", TABLE_NAME=""):
            scene.crash("ReconcilerFunction")


def _progress(*, cursor: datetime, order: datetime, click: datetime) -> Progress:
    return Progress(
        cursor=cursor,
        reach=cursor,
        last_order_at=order,
        last_click_at=click,
        has_webhooks=True,
    )


# A day on which nobody has to look


def a_calm_day(scene: Scene) -> None:
    """Each of these happens in a healthy shop: nobody is to be woken for it."""
    watch = scene.watch
    shop = scene.shop_with_credentials()
    with watch.act(1 * HOUR):  # two orders of the night, after a long pause: a cold start
        with scene.setting("ReceiverFunction"):
            scene.take(shop)
        scene.take(scene.shop("woocommerce"), "woocommerce")
        scene.drained()
    with watch.act(3 * HOUR):  # somebody has found the address
        assert scene.deliver(shop, secret="guessed")[0] == 401
        assert watch.post("/webhooks/shopify/admin", b"{}", [])[0] == 404
    with watch.act(6 * HOUR):  # Shopify's test notification
        sample = load("shopify", "canned-test")
        headers = {name.lower(): value for name, value in sample.headers}
        scene.deliver(shop, body=sample.body, headers=_unsigned(headers))
    with watch.act(9 * HOUR), scene.prisjakt_says(shop, 503, times=1):
        scene.take(shop)
        scene.said("waiting")
        scene.drained()
    with watch.act(12 * HOUR):  # a customer pays, and thinks again
        order = scene.order()
        for changes in ({}, {"financial_status": "refunded", "cancelled_at": order["updated_at"]}):
            scene.deliver(shop, body=json.dumps(order | changes).encode())
        scene.drained()
    with watch.act(15 * HOUR):
        assert scene.deliver(shop, secret="guessed")[0] == 401
    with scene.reconciled() as reconciled:
        with watch.act(18 * HOUR):  # one delivery is lost, and found
            scene.system_of(reconciled).deaf = True
            scene.buy(reconciled)
            scene.reconcile_until("recovered")
            scene.drained()
        with watch.act(20 * HOUR):  # the shop's server is away for one run
            scene.system_of(reconciled).outage = 401
            scene.system.reconcile()
            scene.said("reconcile_failed")
        with watch.act(21 * HOUR):
            scene.system_of(reconciled).outage = None
            scene.reconcile_until("reconciled")


def _unsigned(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if "hmac" not in name}


class SlowAws:
    """Stands before the embedded AWS, and leaves the next requests to the queue unanswered."""

    def __init__(self, endpoint: str) -> None:
        over = Event()
        pool = urllib3.PoolManager(retries=False)
        stalled: list[None] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if "SQS" in self.headers.get("x-amz-target", "") and stalled:
                    stalled.pop()
                    over.wait()
                    return
                answer = pool.request("POST", endpoint, body=body, headers=dict(self.headers))
                self.send_response(answer.status)
                for name in ("content-type", "x-amz-crc32"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.send_header("content-length", str(len(answer.data)))
                self.end_headers()
                self.wfile.write(answer.data)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._over = over
        self._stalled = stalled
        self._pool = pool
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, name="slow aws", daemon=True)

    def stall(self, requests: int) -> None:
        self._stalled.extend([None] * requests)

    def __enter__(self) -> SlowAws:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._pool.clear()
