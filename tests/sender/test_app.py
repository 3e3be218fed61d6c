"""The sender's handler as Lambda starts it, with an AWS and a Prisjakt on loopback."""

from __future__ import annotations

import importlib
import io
import json
import logging
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from types import ModuleType
from typing import Any

import pytest
from tests.sender.cloud import create_ledger, environment_of
from tests.sender.world import PIXELS, START, conversion

from prisjakt_relay import aws
from prisjakt_relay.errors import SetupError
from prisjakt_relay.ledger import LEASE
from prisjakt_relay.local.aws import EmbeddedAws
from prisjakt_relay.local.prisjakt_model import Fault, PrisjaktModel
from prisjakt_relay.local.prisjakt_server import create_app, serve
from prisjakt_relay.sender.sending import ENOUGH_TIME

MODULE = "prisjakt_relay.sender.app"
DOCUMENT = {
    "platform": "shopify",
    "pixel_id": PIXELS["alfa"],
    "signing_secrets": ["hush-hush"],
}


@dataclass(frozen=True)
class Context:
    """What the relay reads of the Lambda context."""

    aws_request_id: str = "request-1"
    milliseconds: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@dataclass(frozen=True)
class Place:
    """A stack of its own: the environment of its sender, and clients to look into it."""

    environment: dict[str, str]
    sqs: aws.Service
    dynamodb: aws.Service

    def receive(self, *bodies: str) -> dict[str, Any]:
        """The event that Lambda makes of messages that were sent to the queue."""
        queue = {"QueueUrl": self.environment["QUEUE_URL"]}
        for body in bodies:
            self.sqs.call("SendMessage", queue | {"MessageBody": body, "MessageGroupId": "alfa"})
        answer = self.sqs.call(
            "ReceiveMessage", queue | {"MaxNumberOfMessages": 10, "AttributeNames": ["All"]}
        )
        return {
            "Records": [
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": message["Attributes"],
                }
                for message in answer["Messages"]
            ]
        }

    def ledger_item(self, order_id: str = "1001") -> dict[str, Any] | None:
        key = {"id": {"S": f"order#alfa#{order_id}#purchase"}}
        answer = self.dynamodb.call(
            "GetItem", {"TableName": self.environment["TABLE_NAME"], "Key": key}
        )
        item: dict[str, Any] | None = answer.get("Item")
        return item

    def dead_letters(self) -> list[str]:
        queue = {"QueueUrl": self.environment["DEAD_LETTERS_URL"]}
        return [one["Body"] for one in self.sqs.call("ReceiveMessage", queue).get("Messages", [])]


@pytest.fixture
def model() -> PrisjaktModel:
    numbers = count(1)
    return PrisjaktModel(clock=lambda: START, new_id=lambda: f"event-{next(numbers)}")


@pytest.fixture
def place(patient_aws: EmbeddedAws, model: PrisjaktModel) -> Iterator[Place]:
    stack = f"stack-{uuid.uuid4()}"
    environment = environment_of(patient_aws)
    sqs = aws.Service("sqs", environment=environment)
    dynamodb = aws.Service("dynamodb", environment=environment)
    create_ledger(dynamodb, f"{stack}-ledger")
    aws.Service("secretsmanager", environment=environment).call(
        "CreateSecret",
        {
            "Name": f"{stack}/shops/alfa",
            "SecretString": json.dumps(DOCUMENT),
            "ClientRequestToken": str(uuid.uuid4()),
        },
    )
    with closing(serve(create_app(model), 0)) as server:
        yield Place(
            environment
            | {
                "STACK_NAME": stack,
                "TABLE_NAME": f"{stack}-ledger",
                "QUEUE_URL": sqs.call("CreateQueue", {"QueueName": f"{stack}-q"})["QueueUrl"],
                "DEAD_LETTERS_URL": sqs.call("CreateQueue", {"QueueName": f"{stack}-d"})[
                    "QueueUrl"
                ],
                "PRISJAKT_URL": server.base_address,
                "PRISJAKT_TOKEN_URL": server.token_address,
                "HOURLY_ALLOWANCE": "10000",
            },
            sqs,
            dynamodb,
        )


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
        monkeypatch.delitem(logging.Logger.manager.loggerDict, "sender", raising=False)
        with redirect_stdout(output):
            return importlib.import_module(MODULE)

    sys.modules.pop(MODULE, None)
    yield start
    sys.modules.pop(MODULE, None)


def lines(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_an_order_on_the_queue_is_reported_and_written_down(
    start: Callable[..., ModuleType], place: Place, model: PrisjaktModel, output: io.StringIO
) -> None:
    app = start()

    answer = app.handler(place.receive(conversion().to_message()), Context())

    assert answer == {"batchItemFailures": []}
    (event,) = model.events.values()
    assert (event.external_event_id, event.pixel_id) == ("1001", PIXELS["alfa"])
    item = place.ledger_item()
    assert item is not None
    assert (item["status"], item["external_id"]) == ({"S": "reported"}, {"S": "1001"})
    (line,) = lines(output)
    assert (line["message"], line["order_id"], line["shop"]) == ("reported", "1001", "alfa")
    assert (line["service"], line["request_id"]) == ("sender", "request-1")
    assert "_aws" not in line  # what goes well is not a metric, which would cost


def test_what_is_not_settled_is_returned(
    start: Callable[..., ModuleType], place: Place, model: PrisjaktModel
) -> None:
    model.faults.append(Fault(kind="status", external_event_id="1002"))
    app = start()
    event = place.receive(conversion().to_message(), conversion(order_id="1002").to_message())
    (failing,) = [one["messageId"] for one in event["Records"] if '"1002"' in one["body"]]

    answer = app.handler(event, Context())

    assert answer == {"batchItemFailures": [{"itemIdentifier": failing}]}
    item = place.ledger_item("1002")
    assert item is not None
    assert (item["status"], item["tries"]) == ({"S": "waiting"}, {"N": "1"})


def test_what_cannot_be_read_is_put_into_the_dead_letters(
    start: Callable[..., ModuleType], place: Place, output: io.StringIO
) -> None:
    app = start()

    answer = app.handler(place.receive('{"version":1}'), Context())

    assert answer == {"batchItemFailures": []}
    assert place.dead_letters() == ['{"version":1}']
    assert [(line["message"], line["field"]) for line in lines(output)] == [
        ("unreadable", "platform")
    ]


def test_an_unknown_shop_does_not_hide_a_known_one(
    start: Callable[..., ModuleType], place: Place, model: PrisjaktModel
) -> None:
    """Both documents are read in the same second of a cold start."""
    app = start()
    event = place.receive(conversion(shop="nobody", order_id="1002").to_message())
    event["Records"] += place.receive(conversion().to_message())["Records"]

    answer = app.handler(event, Context())

    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == [
        event["Records"][0]["messageId"]
    ]
    assert [one.external_event_id for one in model.events.values()] == ["1001"]


def test_the_end_of_the_function_is_respected(
    start: Callable[..., ModuleType], place: Place, model: PrisjaktModel
) -> None:
    app = start()
    event = place.receive(conversion().to_message())

    answer = app.handler(event, Context(milliseconds=11_000))

    assert len(answer["batchItemFailures"]) == 1
    assert model.events == {}
    assert place.ledger_item() is None


@pytest.mark.parametrize(
    ("scale", "lease"),
    [("1", LEASE), ("0.5", LEASE / 2), ("0.1", ENOUGH_TIME), ("0.001", ENOUGH_TIME)],
)
def test_a_lease_outlives_the_try_that_it_covers_however_scaled(
    scale: str, lease: timedelta, start: Callable[..., ModuleType]
) -> None:
    ports = start(TIME_SCALE=scale).ports

    claim = ports.ledger.claim(
        conversion(), pixel_id="pixel", corrects=False, now=START, token="mine"
    )

    assert claim.record.leased_until == START + lease
    assert lease >= ENOUGH_TIME


@pytest.mark.parametrize("name", ["TABLE_NAME", "AWS_REGION"])
def test_a_missing_setting_stops_the_function_at_its_start(
    name: str, start: Callable[..., ModuleType]
) -> None:
    with pytest.raises(SetupError, match=f"^{name} is not set"):
        start(**{name: None})
