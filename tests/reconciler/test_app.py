"""The reconciler's handler as Lambda starts it: AWS, Prisjakt and shop systems are on loopback."""

from __future__ import annotations

import importlib
import io
import json
import logging
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from threading import Thread
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from tests.sender.cloud import create_ledger, environment_of
from tests.sender.world import CREDENTIALS, PIXELS

from prisjakt_relay import aws, ledger
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import HeldError, RateLimitedError, SetupError, StorageError
from prisjakt_relay.local.aws import EmbeddedAws
from prisjakt_relay.local.deliveries import RECORDED_UNTIL, load
from prisjakt_relay.local.exchange import Call
from prisjakt_relay.local.prisjakt_model import Fault, PrisjaktModel
from prisjakt_relay.local.prisjakt_server import create_app, serve
from prisjakt_relay.local.shop_system import ShopSystem
from prisjakt_relay.local.shopify_system import ShopifySystem
from prisjakt_relay.local.woocommerce_system import WooCommerceSystem
from prisjakt_relay.platforms import shop_from
from prisjakt_relay.reconciler.hourly import NO_TIME
from prisjakt_relay.reconciler.progress import ProgressBook
from prisjakt_relay.tables import DynamoStore

MODULE = "prisjakt_relay.reconciler.app"
KEYS = {"client_id": "app-1", "client_secret": "hush-hush"}
REST_KEYS = {"consumer_key": "ck_1", "consumer_secret": "cs_hush-hush"}
SAMPLES = {
    "alfa": ("shopify", "orders-create-paid"),
    "beta": ("woocommerce", "made-purchase-paid"),
}


BARE = {"platform": "shopify", "pixel_id": PIXELS["alfa"], "signing_secrets": ["one"]}


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Context:
    """What the relay reads of the Lambda context."""

    aws_request_id: str = "request-1"
    milliseconds: int = 900_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@dataclass
class ShopServer:
    """A shop system on loopback, and the calls that it has had."""

    address: str
    system: ShopSystem
    calls: list[Call] = field(default_factory=list)


@contextmanager
def served(make: Callable[[str], ShopSystem]) -> Iterator[ShopServer]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            call = Call(
                method=self.command,
                path=path,
                query=dict(parse_qsl(query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
                origin=shop.address,
            )
            shop.calls.append(call)
            answer = shop.system.answer(call)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = handle_any  # noqa: N815  # the library's names

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        shop = ShopServer(address, make(address))
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield shop
        server.shutdown()
        thread.join(5)


@pytest.fixture
def shopify() -> Iterator[ShopServer]:
    numbers = count(1)
    with served(
        lambda address: ShopifySystem(
            address.removeprefix("http://"),
            clock=now,
            new_id=lambda: str(next(numbers)),
            send=lambda _: None,
            later=lambda _seconds, _what: None,
            client_id=KEYS["client_id"],
            client_secret=KEYS["client_secret"],
        )
    ) as shop:
        yield shop


@pytest.fixture
def woocommerce() -> Iterator[ShopServer]:
    numbers = count(1)
    with served(
        lambda address: WooCommerceSystem(
            address,
            clock=now,
            new_id=lambda: str(next(numbers)),
            send=lambda _: None,
            later=lambda _seconds, _what: None,
            consumer_key=REST_KEYS["consumer_key"],
            consumer_secret=REST_KEYS["consumer_secret"],
        )
    ) as shop:
        yield shop


@pytest.fixture
def model() -> PrisjaktModel:
    numbers = count(1)
    return PrisjaktModel(clock=now, new_id=lambda: f"event-{next(numbers)}")


@dataclass(frozen=True)
class Place:
    """A stack of its own: the environment of its reconciler, and clients to look into it."""

    environment: dict[str, str]
    sqs: aws.Service
    secrets: aws.Service
    store: DynamoStore

    def write(self, name: str, document: dict[str, Any]) -> None:
        self.secrets.call(
            "CreateSecret",
            {
                "Name": f"{self.environment['STACK_NAME']}/{name}",
                "SecretString": json.dumps(document),
                "ClientRequestToken": str(uuid.uuid4()),
            },
        )

    def queued(self) -> list[Conversion]:
        queue = {"QueueUrl": self.environment["QUEUE_URL"], "MaxNumberOfMessages": 10}
        messages = self.sqs.call("ReceiveMessage", queue).get("Messages", [])
        return [Conversion.from_message(message["Body"]) for message in messages]

    def report(self, conversion: Conversion) -> None:
        """What a sender leaves behind that did its work half an hour ago."""
        then = now() - timedelta(minutes=30)
        kept = ledger.Ledger(self.store)
        claim = kept.claim(
            conversion,
            pixel_id=PIXELS[conversion.shop],
            corrects=False,
            now=then,
            token="mine",
        )
        kept.settle(
            claim.record, lambda each: ledger.reported(each, each.wanted, certain=True), then
        )


@pytest.fixture
def place(
    patient_aws: EmbeddedAws,
    model: PrisjaktModel,
    shopify: ShopServer,
    woocommerce: ShopServer,
) -> Iterator[Place]:
    """With the shops `alfa` and `beta`, on the list, each with one order that nobody told of."""
    stack = f"stack-{uuid.uuid4()}"
    environment = environment_of(patient_aws)
    sqs, dynamodb, secrets = (
        aws.Service(name, environment=environment) for name in ("sqs", "dynamodb", "secretsmanager")
    )
    create_ledger(dynamodb, f"{stack}-ledger")
    with closing(serve(create_app(model), 0)) as server:
        found = Place(
            environment
            | {
                "STACK_NAME": stack,
                "TABLE_NAME": f"{stack}-ledger",
                "QUEUE_URL": sqs.call("CreateQueue", {"QueueName": f"{stack}-q"})["QueueUrl"],
                "WEBHOOK_ADDRESS": "https://relay.example/webhooks",
                "PRISJAKT_URL": server.base_address,
                "PRISJAKT_TOKEN_URL": server.token_address,
                "HOURLY_ALLOWANCE": "10000",
            },
            sqs,
            secrets,
            DynamoStore(dynamodb, f"{stack}-ledger", clock=now, sleep=lambda _: None),
        )
        for name, keys, shop in (
            ("alfa", KEYS, shopify),
            ("beta", REST_KEYS, woocommerce),
        ):
            platform, sample = SAMPLES[name]
            document = {"platform": platform, "pixel_id": PIXELS[name], "signing_secrets": ["one"]}
            found.write(f"shops/{name}", document | CREDENTIALS)
            found.write(f"platform-api/{name}", {"address": shop.address, **keys})
            ProgressBook(found.store).add(name, now())
            since = timedelta(seconds=(now() - RECORDED_UNTIL) // timedelta(seconds=1))
            shop.system.put(json.loads(load(platform, sample).moved(since, None).body))
        yield found


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def start(
    place: Place, output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., ModuleType]]:
    """Import the entry point afresh, as a cold start does, with a logger that writes here."""

    def start(**changes: str | None) -> ModuleType:
        for name, value in (place.environment | changes).items():
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)
        monkeypatch.delitem(logging.Logger.manager.loggerDict, "reconciler", raising=False)
        with redirect_stdout(output):
            return importlib.import_module(MODULE)

    sys.modules.pop(MODULE, None)
    yield start
    sys.modules.pop(MODULE, None)


def lines(output: io.StringIO, event: str | None = None) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in output.getvalue().splitlines()]
    return [line for line in found if event in (None, line["message"])]


def test_what_libraries_would_write_at_debug_is_not_written(
    start: Callable[..., ModuleType], caplog: pytest.LogCaptureFixture
) -> None:
    """Addresses may have WooCommerce's key in their query; requests to AWS have a session token."""
    for library in ("botocore", "urllib3"):
        logging.getLogger(library).setLevel(logging.NOTSET)
    caplog.set_level(logging.DEBUG)

    module = start()
    caplog.clear()  # until here, what else runs in this process may write
    module.handler({}, Context())

    written = [each for each in caplog.records if each.name.startswith(("botocore", "urllib3"))]
    assert not [each for each in written if each.levelno == logging.DEBUG]


def test_orders_that_never_arrived_are_on_the_queue_after_one_run(
    start: Callable[..., ModuleType], place: Place, output: io.StringIO
) -> None:
    """Of both platforms, through their APIs, as the webhooks would have told of them."""
    answer = start().handler({}, Context())

    assert answer == {}
    queued = {each.shop: each for each in place.queued()}
    for name, (platform, sample) in SAMPLES.items():
        expected = load(platform, sample).expected["conversion"]
        found = queued[name]
        assert (found.platform, found.order_id) == (platform, expected["order_id"])
        assert (str(found.amount), found.currency) == (expected["amount"], expected["currency"])
        assert found.number_of_items == expected["number_of_items"]
        assert found.click_id == expected["click_id"]
        assert (found.event_name, found.void) == (expected["event_name"], expected["void"])
    recovered = lines(output, "recovered")
    assert {(line["shop"], line["order_id"]) for line in recovered} == {
        (each.shop, each.order_id) for each in queued.values()
    }
    for line in recovered:
        assert (line["service"], line["request_id"]) == ("reconciler", "request-1")
        assert line["stack"] == place.environment["STACK_NAME"]
        assert line["Recovered"] == 1
    assert {line["shop"]: line["orders"] for line in lines(output, "reconciled")} == {
        "alfa": 1,
        "beta": 1,
    }


def test_what_was_reported_is_compared_with_what_prisjakt_holds(
    start: Callable[..., ModuleType], place: Place, output: io.StringIO
) -> None:
    app = start()
    app.handler({}, Context())
    for each in place.queued():
        place.report(each)
    output.truncate(0)
    output.seek(0)

    app.handler({}, Context(aws_request_id="request-2"))

    assert place.queued() == []
    assert lines(output, "recovered") == []
    missing = lines(output, "not_at_prisjakt")
    assert {line["shop"] for line in missing} == {"alfa", "beta"}
    assert {line["Mismatches"] for line in missing} == {1}
    assert {line["request_id"] for line in lines(output)} == {"request-2"}
    client = CREDENTIALS["prisjakt_client_id"]
    assert place.store.get(f"rate#{client}") is not None  # its reads took their turns


def test_progress_outlives_the_process(start: Callable[..., ModuleType], place: Place) -> None:
    before = now()

    start().handler({}, Context())

    for name in SAMPLES:
        progress = ProgressBook(place.store).get(name)
        assert progress.ran_at is not None
        assert progress.cursor is not None
        assert before - timedelta(minutes=6) < progress.cursor < progress.ran_at
        assert progress.problem == ""


def test_a_shop_without_access_to_its_api_is_told_the_remedy(
    start: Callable[..., ModuleType], place: Place, output: io.StringIO
) -> None:
    ProgressBook(place.store).add("gamma", now())
    place.write("shops/gamma", BARE)

    start().handler({}, Context())

    (line,) = lines(output, "reconcile_failed")
    assert line["shop"] == "gamma"
    assert line["problem"].endswith("run `shop api set`")
    assert len(lines(output, "reconciled")) == 2


def test_a_platform_without_an_api_cannot_be_reconciled(
    start: Callable[..., ModuleType], place: Place, output: io.StringIO
) -> None:
    ProgressBook(place.store).add("gamma", now())
    place.write("shops/gamma", BARE | {"platform": "custom"})

    start().handler({}, Context())

    (line,) = lines(output, "reconcile_failed")
    assert line["shop"] == "gamma"
    assert "custom" in line["problem"]


def test_access_that_cannot_be_used_names_its_field_and_no_secret(
    start: Callable[..., ModuleType], place: Place, output: io.StringIO
) -> None:
    ProgressBook(place.store).add("gamma", now())
    place.write("shops/gamma", BARE)
    place.write("platform-api/gamma", {"address": "https://shop.example", **KEYS})

    start().handler({}, Context())

    (line,) = lines(output, "reconcile_failed")
    assert line["problem"].startswith("address: ")
    assert "hush-hush" not in output.getvalue()


def test_another_stores_orders_are_not_read(
    start: Callable[..., ModuleType], place: Place, output: io.StringIO
) -> None:
    """One app may be in several stores, and its secret signs for all of them."""
    ProgressBook(place.store).add("gamma", now())
    place.write("shops/gamma", BARE | {"domain": "own.myshopify.com"})
    other = {"address": "https://other.myshopify.com", "access_token": "hush-hush"}
    place.write("platform-api/gamma", other)

    start().handler({}, Context())

    (line,) = lines(output, "reconcile_failed")
    assert "the shop is the store own.myshopify.com" in line["problem"]
    assert "hush-hush" not in output.getvalue()


def test_a_run_without_time_begins_nothing(
    start: Callable[..., ModuleType], place: Place, output: io.StringIO
) -> None:
    start().handler({}, Context(milliseconds=50_000))

    assert [line["problem"] for line in lines(output, "reconcile_put_off")] == [NO_TIME] * 2
    assert place.queued() == []


# Waiting


def test_a_shops_server_that_is_busy_for_a_moment_is_waited_for(
    start: Callable[..., ModuleType],
    place: Place,
    shopify: ShopServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = start()
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        shopify.system.outage = None

    shopify.system.outage = 503
    monkeypatch.setattr(app, "time", SimpleNamespace(sleep=sleep))

    app.handler({}, Context())

    assert len(waits) == 1
    assert {each.shop for each in place.queued()} == {"alfa", "beta"}


def test_nobody_waits_beyond_the_end_of_the_run(
    start: Callable[..., ModuleType],
    shopify: ShopServer,
    output: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The waits double; what is left is for the table, and for one last request."""
    app = start()
    waits: list[float] = []
    shopify.system.outage = 503
    monkeypatch.setattr(app, "time", SimpleNamespace(sleep=waits.append))

    app.handler({}, Context(milliseconds=61_000))

    (line,) = lines(output, "reconcile_failed")
    assert (line["shop"], line["problem"]) == (
        "alfa",
        "the shop's server is too busy for this run; the next goes on",
    )
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_prisjakt_is_not_asked_near_the_end_of_the_run(start: Callable[..., ModuleType]) -> None:
    app = start()
    end = now() + app.LAST_SECONDS
    client = app.prisjakt_of("alfa", app.shop_of("alfa"), end)

    with pytest.raises(HeldError, match="no time was left"):
        list(client.events(PIXELS["alfa"], now() - timedelta(hours=1), now()))


def test_prisjakt_is_asked_in_turn(
    start: Callable[..., ModuleType], place: Place, output: io.StringIO
) -> None:
    """An allowance that senders have used up leaves nothing for a comparison."""
    app = start(HOURLY_ALLOWANCE="1")
    app.handler({}, Context())
    for each in place.queued():
        place.report(each)
    assert app.rate_limit.reserve(CREDENTIALS["prisjakt_client_id"], "alfa", now()) is None

    app.handler({}, Context())

    assert {line["problem"] for line in lines(output, "not_compared")} == {
        "this hour's requests to Prisjakt are used up"
    }
    assert lines(output, "reconcile_failed") == []


LIMITED = Fault(kind="status", operation="get-*", status=429, headers={"Retry-After": "900"})


def test_a_pause_that_prisjakt_asks_for_is_every_senders(
    start: Callable[..., ModuleType], model: PrisjaktModel
) -> None:
    """Whoever of a client hears 429 tells the others."""
    app = start()
    model.faults.append(LIMITED)
    client = app.prisjakt_of("alfa", app.shop_of("alfa"), now() + timedelta(hours=1))

    with pytest.raises(RateLimitedError):
        list(client.events(PIXELS["alfa"], now() - timedelta(hours=1), now()))

    turn = app.rate_limit.reserve(CREDENTIALS["prisjakt_client_id"], "alfa", now())
    assert turn is not None
    assert turn - now() > timedelta(minutes=14)


def test_a_pause_that_cannot_be_written_is_no_failure(
    start: Callable[..., ModuleType], model: PrisjaktModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The senders hear it from Prisjakt themselves."""
    app = start()
    model.faults.append(LIMITED)
    client = app.prisjakt_of("alfa", app.shop_of("alfa"), now() + timedelta(hours=1))

    def pause(*_: object) -> None:
        raise StorageError("UpdateItem: gone")

    monkeypatch.setattr(app.rate_limit, "pause", pause)

    with pytest.raises(RateLimitedError):
        list(client.events(PIXELS["alfa"], now() - timedelta(hours=1), now()))


def test_a_shop_without_credentials_has_no_client(start: Callable[..., ModuleType]) -> None:
    assert start().prisjakt_of("alfa", shop_from(BARE), now()) is None


@pytest.mark.parametrize("name", ["TABLE_NAME", "WEBHOOK_ADDRESS", "AWS_REGION"])
def test_a_missing_setting_stops_the_function_at_its_start(
    name: str, start: Callable[..., ModuleType]
) -> None:
    with pytest.raises(SetupError, match=f"^{name} is not set"):
        start(**{name: None})
