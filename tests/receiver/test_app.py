"""The receiver as Lambda runs it: API Gateway's events in, answers out, an AWS behind it."""

from __future__ import annotations

import base64
import importlib
import io
import json
import logging
import socket
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from prisjakt_relay.aws import Service
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import SetupError
from prisjakt_relay.local.aws import EmbeddedAws
from prisjakt_relay.local.deliveries import Delivery
from prisjakt_relay.local.system import sample_shops
from prisjakt_relay.platforms import PLATFORMS

SIGNATURES = ("x-shopify-hmac-sha256", "x-wc-webhook-signature")
MODULE = "prisjakt_relay.receiver.app"
CREDENTIALS = {
    "AWS_REGION": "eu-north-1",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
    "AWS_SESSION_TOKEN": "session-token",
}
SHOPIFY = "shopify/orders-create-paid"
WOOCOMMERCE = "woocommerce/made-purchase-paid"
BOTH = pytest.mark.parametrize("name", [SHOPIFY, WOOCOMMERCE])


class Clock:
    """What the module takes for the time: it moves when the module sleeps."""

    def __init__(self, now: datetime) -> None:
        self.moment = now

    def now(self, zone: tzinfo) -> datetime:
        return self.moment.astimezone(zone)

    def sleep(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class Stack:
    """A queue and the sample shops in the embedded AWS, under a name of their own."""

    name: str
    endpoint: str
    queue_url: str
    sqs: Service

    def received(self) -> list[dict[str, Any]]:
        answer = self.sqs.call(
            "ReceiveMessage",
            {"QueueUrl": self.queue_url, "AttributeNames": ["All"], "MaxNumberOfMessages": 10},
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages


@pytest.fixture(scope="module")
def stack(patient_aws: EmbeddedAws) -> Stack:
    environment = CREDENTIALS | {"AWS_ENDPOINT_URL": patient_aws.endpoint}
    name = f"stack-{uuid.uuid4()}"
    secrets = Service("secretsmanager", environment=environment)
    for shop, document in sample_shops().items():
        secrets.call(
            "CreateSecret",
            {
                "Name": f"{name}/shops/{shop}",
                "SecretString": json.dumps(document),
                "ClientRequestToken": str(uuid.uuid4()),
            },
        )
    sqs = Service("sqs", environment=environment)
    queue_url = sqs.call("CreateQueue", {"QueueName": name})["QueueUrl"]
    return Stack(name, patient_aws.endpoint, queue_url, sqs)


@pytest.fixture
def queue(stack: Stack) -> Iterator[Stack]:
    """The stack, with an empty queue at the end."""
    yield stack
    stack.sqs.call("PurgeQueue", {"QueueUrl": stack.queue_url})


@dataclass
class Receiver:
    """The freshly imported module, its time and its log."""

    app: ModuleType
    clock: Clock
    log: io.StringIO

    def handle(self, event: dict[str, Any], request_id: str = "request-1") -> dict[str, Any]:
        answer: dict[str, Any] = self.app.handler(event, SimpleNamespace(aws_request_id=request_id))
        assert answer.keys() == {"statusCode", "headers", "body"}
        assert isinstance(answer["body"], str)
        return answer

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@pytest.fixture
def environment(queue: Stack) -> dict[str, str]:
    """What Lambda and the template set."""
    return CREDENTIALS | {
        "AWS_ENDPOINT_URL": queue.endpoint,
        "STACK_NAME": queue.name,
        "QUEUE_URL": queue.queue_url,
    }


@pytest.fixture
def receiver(
    environment: dict[str, str], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> Receiver:
    clock = Clock(now)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    app = imported(environment, monkeypatch)
    monkeypatch.setattr(app, "datetime", clock)
    (handler,) = logging.getLogger("receiver").handlers
    monkeypatch.setattr(handler, "stream", io.StringIO())
    return Receiver(app, clock, handler.stream)  # type: ignore[attr-defined]  # a StreamHandler


def imported(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in ("AWS_SESSION_TOKEN", "TIME_SCALE", "STACK_NAME", "QUEUE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, MODULE, ModuleType(MODULE))  # forgotten after the test
    del sys.modules[MODULE]
    return importlib.import_module(MODULE)


def event(
    sample: Delivery,
    *,
    in_base64: bool = False,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Payload format 2.0, as the HTTP API makes it of a delivery; header names in lower case."""
    raw = sample.body if body is None else body
    platform, shop = sample.path.split("/")[2:]
    sent = {name.lower(): value for name, value in sample.headers}
    return {
        "version": "2.0",
        "routeKey": "POST /webhooks/{platform}/{shop}",
        "rawPath": sample.path,
        "rawQueryString": "",
        "headers": {"content-length": str(len(raw)), **sent, **(headers or {})},
        "requestContext": {"http": {"method": "POST", "sourceIp": "203.0.113.7"}},
        "pathParameters": {"platform": platform, "shop": shop},
        "body": base64.b64encode(raw).decode() if in_base64 else raw.decode(),
        "isBase64Encoded": in_base64,
    } | changes


def metrics(line: dict[str, Any]) -> dict[str, int]:
    """The counts in a line's metric block, which names values that are there; none without one."""
    if "_aws" not in line:
        return {}
    ((directive,), timestamp) = (line["_aws"]["CloudWatchMetrics"], line["_aws"]["Timestamp"])
    assert isinstance(timestamp, int)
    assert directive["Namespace"] == "PrisjaktRelay"
    assert directive["Dimensions"] == [["stack"]]
    assert line["stack"].startswith("stack-")
    assert all(metric["Unit"] == "Count" for metric in directive["Metrics"])
    return {metric["Name"]: line[metric["Name"]] for metric in directive["Metrics"]}


# The path of a delivery


@BOTH
@pytest.mark.parametrize("in_base64", [False, True])
def test_an_order_is_queued_and_its_message_can_be_read(
    name: str,
    in_base64: bool,
    receiver: Receiver,
    queue: Stack,
    samples: dict[str, Delivery],
    now: datetime,
) -> None:
    sample = samples[name]

    answer = receiver.handle(event(sample, in_base64=in_base64))

    assert answer["statusCode"] == 200
    assert answer["headers"] == {"content-type": "application/json"}
    assert json.loads(answer["body"]) == sample.expected["answer"]
    (message,) = queue.received()
    assert message["Attributes"]["MessageGroupId"] == sample.shop
    conversion = Conversion.from_message(message["Body"])
    assert conversion.received_at == now
    assert json.loads(message["Body"]) == sample.expected["conversion"] | {
        "received_at": "2026-11-21T00:00:00.000+00:00"
    }


@BOTH
def test_an_order_without_a_click_id_is_not_queued(
    name: str, receiver: Receiver, queue: Stack, samples: dict[str, Delivery]
) -> None:
    sample = samples[name]
    body = json.dumps({"id": 77}).encode()
    secret = sample_shops()[sample.shop]["signing_secrets"][0]
    signed = dict(PLATFORMS[sample.platform].sign(body, secret, datetime.now(UTC)))

    answer = receiver.handle(event(sample, body=body, headers=signed))

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {
        "outcome": "ignored",
        "reason": "no_click_id",
        "order_id": "77",
    }
    assert queue.received() == []


@BOTH
def test_a_forged_order_is_a_problem(
    name: str, receiver: Receiver, queue: Stack, samples: dict[str, Delivery]
) -> None:
    answer = receiver.handle(event(samples[name], body=samples[name].body + b" "))

    assert answer["statusCode"] == 401
    assert answer["headers"] == {"content-type": "application/problem+json"}
    assert json.loads(answer["body"])["status"] == 401
    assert queue.received() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"pathParameters": {"platform": "shopify", "shop": "stranger"}},
        {"pathParameters": {"platform": "magento", "shop": "demo-shopify"}},
        {"pathParameters": {"platform": "shopify", "shop": "demo-woocommerce"}},
        {"pathParameters": {"platform": "shopify"}},
        {"pathParameters": {}},
        {"pathParameters": None},
    ],
)
def test_an_unknown_address_is_a_problem(
    changes: dict[str, Any], receiver: Receiver, queue: Stack, samples: dict[str, Delivery]
) -> None:
    answer = receiver.handle(event(samples[SHOPIFY], **changes))

    assert answer["statusCode"] == 404
    assert answer["headers"] == {"content-type": "application/problem+json"}
    assert json.loads(answer["body"])["title"] == "Not found"
    assert queue.received() == []


@pytest.mark.parametrize(("name", "seconds"), [(SHOPIFY, 4), (WOOCOMMERCE, 15)])
@pytest.mark.parametrize("trouble", ["queue", "secrets"])
def test_when_aws_fails_nothing_is_accepted(
    name: str,
    seconds: float,
    trouble: str,
    environment: dict[str, str],
    samples: dict[str, Delivery],
    now: datetime,
    request: pytest.FixtureRequest,
) -> None:
    """The queue is gone, or Secrets Manager refuses connections; in time for the shop system."""
    if trouble == "queue":
        environment["QUEUE_URL"] += "-gone"
    else:
        with socket.create_server(("127.0.0.1", 0)) as free:
            environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{free.getsockname()[1]}"
    receiver: Receiver = request.getfixturevalue("receiver")

    answer = receiver.handle(event(samples[name]))

    assert answer["statusCode"] == 503
    assert answer["headers"] == {"content-type": "application/problem+json", "retry-after": "30"}
    assert json.loads(answer["body"])["title"] == "Try again later"
    # Tried again, since only pauses between tries move this clock.
    assert timedelta(0) < receiver.clock.moment - now <= timedelta(seconds=seconds)
    assert receiver.lines()[-1]["message"] == "unavailable"
    assert metrics(receiver.lines()[-1]) == {}, "the HTTP API counts it"


# The event


def test_header_names_may_come_in_any_case(
    receiver: Receiver, samples: dict[str, Delivery]
) -> None:
    sample = samples[SHOPIFY]
    upper = {name.upper(): value for name, value in sample.headers}

    assert receiver.handle(event(sample) | {"headers": upper})["statusCode"] == 200


@pytest.mark.parametrize("in_base64", [False, True])
def test_text_beyond_ascii_is_signed_as_it_was_sent(
    in_base64: bool, receiver: Receiver, queue: Stack, samples: dict[str, Delivery]
) -> None:
    sample = samples[SHOPIFY]
    order = json.loads(sample.body) | {"note": "Grüße, 你好, \U0001f600"}
    body = json.dumps(order, ensure_ascii=False).encode()
    signed = dict(PLATFORMS["shopify"].sign(body, "demoShopifySecret1", datetime.now(UTC)))

    answer = receiver.handle(event(sample, body=body, headers=signed, in_base64=in_base64))

    assert answer["statusCode"] == 200
    assert len(queue.received()) == 1


def test_bytes_that_are_no_text_are_signed_as_they_were_sent(
    receiver: Receiver, samples: dict[str, Delivery]
) -> None:
    body = b"\xff\xfe\x00{}"
    signed = dict(PLATFORMS["shopify"].sign(body, "demoShopifySecret1", datetime.now(UTC)))

    answer = receiver.handle(event(samples[SHOPIFY], body=body, headers=signed, in_base64=True))

    assert json.loads(answer["body"]) == {"outcome": "ignored", "reason": "unreadable"}


@pytest.mark.parametrize("body", ["=", "not base64", "YQ", "YQ==\n", "é", "\ud800"])
def test_a_body_that_is_no_base64_fits_no_signature(
    body: str, receiver: Receiver, samples: dict[str, Delivery]
) -> None:
    answer = receiver.handle(event(samples[SHOPIFY], in_base64=True) | {"body": body})

    assert answer["statusCode"] == 401


@pytest.mark.parametrize("missing", ["headers", "body", "isBase64Encoded"])
@pytest.mark.parametrize("how", ["absent", "null"])
def test_what_is_missing_is_empty(
    missing: str, how: str, receiver: Receiver, samples: dict[str, Delivery]
) -> None:
    """The HTTP API leaves out what is empty."""
    received = event(samples[SHOPIFY])
    if how == "null":
        received[missing] = None
    else:
        del received[missing]

    expected = 200 if missing == "isBase64Encoded" else 401
    assert receiver.handle(received)["statusCode"] == expected


def test_an_empty_event_is_an_unknown_address(receiver: Receiver) -> None:
    assert receiver.handle({})["statusCode"] == 404


def test_half_a_character_in_a_text_body_is_no_crash(
    receiver: Receiver, samples: dict[str, Delivery]
) -> None:
    received = event(samples[SHOPIFY]) | {"body": '{"note": "\ud83d"}'}

    assert receiver.handle(received)["statusCode"] == 401


def test_the_ping_of_a_new_webhook_is_answered(
    receiver: Receiver, samples: dict[str, Delivery]
) -> None:
    """A form post, which the HTTP API hands over in base64."""
    answer = receiver.handle(event(samples["woocommerce/9.8.1-ping"], in_base64=True))

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {"outcome": "ignored", "reason": "ping"}


# The log


def test_each_delivery_is_one_line_and_a_metric_only_if_an_alarm_counts_it(
    receiver: Receiver, samples: dict[str, Delivery], now: datetime
) -> None:
    receiver.handle(event(samples[SHOPIFY]), "first")
    receiver.handle(event(samples[WOOCOMMERCE], body=b"{}"), "second")
    receiver.handle(event(samples[SHOPIFY], pathParameters=None), "third")
    receiver.handle(event(samples["shopify/orders-create-no-click-id"]), "fourth")

    lines = receiver.lines()
    assert [line["request_id"] for line in lines] == ["first", "second", "third", "fourth"]
    assert [metrics(line) for line in lines] == [{}, {"SignatureFailures": 1}, {}, {}]
    assert lines[1]["_aws"]["Timestamp"] == now.timestamp() * 1000
    assert {line["service"] for line in lines} == {"receiver"}
    assert lines[0]["order_id"] == "6204817342681"
    assert lines[3]["reason"] == "no_click_id"


def test_no_secret_click_id_or_person_is_ever_written(
    receiver: Receiver, samples: dict[str, Delivery], capfd: pytest.CaptureFixture[str]
) -> None:
    """Not to the log, not to the streams: for all samples, as they are, forged, and cut."""
    for sample in samples.values():
        receiver.handle(event(sample, in_base64=True))
        receiver.handle(event(sample, in_base64=True, body=sample.body[:-1]))
        receiver.handle(event(sample, pathParameters=None, in_base64=True))

    captured = capfd.readouterr()
    written = receiver.log.getvalue() + captured.out + captured.err
    assert receiver.log.getvalue().count("\n") == 3 * len(samples)
    private = {"Testsson", "Testgatan", "test@example", "wJalrXUtnFEMI", "session-token"}
    for shop in sample_shops().values():
        private |= set(shop["signing_secrets"])
    for sample in samples.values():
        private |= {value for name, value in sample.headers if name.lower() in SIGNATURES}
        if (conversion := sample.expected["conversion"]) is not None:
            private.add(conversion["click_id"])
    assert {found for found in private if found in written} == set()


def test_an_unusable_document_is_an_alarm_without_its_content(
    receiver: Receiver, queue: Stack, samples: dict[str, Delivery]
) -> None:
    secrets = Service(
        "secretsmanager", environment=CREDENTIALS | {"AWS_ENDPOINT_URL": queue.endpoint}
    )
    shop = f"broken-{uuid.uuid4()}"
    broken = sample_shops()["demo-shopify"] | {"mode": "secret-in-the-wrong-place"}
    secrets.call(
        "CreateSecret",
        {
            "Name": f"{queue.name}/shops/{shop}",
            "SecretString": json.dumps(broken),
            "ClientRequestToken": str(uuid.uuid4()),
        },
    )

    path = {"platform": "shopify", "shop": shop}
    answer = receiver.handle(event(samples[SHOPIFY], pathParameters=path))

    assert answer["statusCode"] == 503
    alarm, outcome = receiver.lines()
    assert metrics(alarm) == {"ShopDocumentFaults": 1}
    assert (alarm["shop"], alarm["problem"]) == (
        shop,
        "mode: is unknown; choose one of live, test, off",
    )
    assert metrics(outcome) == {}
    assert "secret-in-the-wrong-place" not in receiver.log.getvalue()


# The start


@pytest.mark.parametrize("missing", ["STACK_NAME", "QUEUE_URL"])
def test_a_missing_setting_stops_the_function_at_start(
    missing: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del environment[missing]

    with pytest.raises(SetupError, match=f"^{missing} is not set"):
        imported(environment, monkeypatch)


def test_the_start_asks_nobody(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that starts while AWS is away is ready when it is back."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{free.getsockname()[1]}"

    assert callable(imported(environment, monkeypatch).handler)
