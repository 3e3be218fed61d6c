"""A system of its own for the tests of privacy: real template, functions as built, roles enforced,
every line at DEBUG."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.cli.calling import Called, call
from tests.cli.orders import Headers, posted
from tests.conftest import PATIENCE, ports, stop_schedules

from prisjakt_relay.local.prisjakt_model import Answer, Call, PrisjaktModel
from prisjakt_relay.local.system import LocalSystem, sample_shops

PORT = ports("privacy")
CREDENTIALS = {"prisjakt_client_id": "shop-1", "prisjakt_client_secret": "not-so-secret"}
ERASED_SHOPS = ("redacted", "leaving", "by-hand")


@dataclass
class Everything:
    """The whole system, and each place in which something of a delivery might be left."""

    system: LocalSystem
    calls: list[Call] = field(default_factory=list)

    @property
    def model(self) -> PrisjaktModel:
        assert self.system.model is not None
        return self.system.model

    def post(self, path: str, body: bytes, headers: Headers) -> tuple[int, Any]:
        response = posted(self.system.address + path, body, headers)
        return response.status, response.json()

    def cli(self, *arguments: str) -> Called:
        return call(*arguments, "--local", "--port", str(PORT))

    def items(self) -> list[dict[str, Any]]:
        """Every item of the table, by its own key and in no index."""
        pages = self.system.aws.client("dynamodb").get_paginator("scan")
        table = self.system.outputs["LedgerTable"]
        return [item for page in pages.paginate(TableName=table) for item in page["Items"]]

    def item(self, shop: str, order_id: str, event_name: str = "purchase") -> dict[str, Any]:
        key = {"S": f"order#{shop}#{order_id}#{event_name}"}
        return next((item for item in self.items() if item["id"] == key), {})

    def lines(self) -> str:
        """All that the functions logged, whatever wrote it."""
        logs = self.system.aws.client("logs")
        pages = logs.get_paginator("filter_log_events")
        return "\n".join(
            event["message"]
            for name in ("ReceiverLogGroup", "SenderLogGroup", "ReconcilerLogGroup")
            for page in pages.paginate(logGroupName=self.system.outputs[name])
            for event in page["events"]
        )

    def requests(self) -> str:
        """What Prisjakt was asked: paths, queries, headers and bodies."""
        return repr(self.calls)

    def wait_for(self, condition: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                pytest.fail(f"not within {PATIENCE:.0f} s: {what}")
            time.sleep(0.1)

    def queue_is_empty(self) -> bool:
        answer = self.system.aws.client("sqs").get_queue_attributes(
            QueueUrl=self.system.outputs["QueueUrl"], AttributeNames=["All"]
        )["Attributes"]
        kinds = ("", "NotVisible", "Delayed")
        return not any(int(answer.get(f"ApproximateNumberOfMessages{each}", 0)) for each in kinds)

    def listen(self) -> None:
        real = self.model.answer

        def answer(call: Call) -> Answer:
            self.calls.append(call)
            return real(call)

        self.model.answer = answer  # type: ignore[method-assign]

    def log_everything(self) -> None:
        lambdas = self.system.aws.client("lambda")
        for function in lambdas.list_functions()["Functions"]:
            variables = function["Environment"]["Variables"] | {"POWERTOOLS_LOG_LEVEL": "DEBUG"}
            lambdas.update_function_configuration(
                FunctionName=function["FunctionName"], Environment={"Variables": variables}
            )

    def sender(self, *, works: bool) -> None:
        """Switch it off, so that messages stay on the queue, or on again."""
        lambdas = self.system.aws.client("lambda")
        (mapping,) = lambdas.list_event_source_mappings()["EventSourceMappings"]
        lambdas.update_event_source_mapping(UUID=mapping["UUID"], Enabled=works)

    def queued(self) -> list[str]:
        """A copy of each message on the queue."""
        sqs, url = self.system.aws.client("sqs"), self.system.outputs["QueueUrl"]
        bodies: list[str] = []
        taken: list[dict[str, Any]] = []
        while messages := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=60
        ).get("Messages"):
            taken += messages
            bodies += [message["Body"] for message in messages]
        for message in taken:
            sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        return bodies


@pytest.fixture(scope="session")
def everything() -> Iterator[Everything]:
    shops: dict[str, Any] = sample_shops()
    for name in ERASED_SHOPS:
        shops[name] = shops["demo-shopify-app"] | CREDENTIALS | {"pixel_id": str(uuid.uuid4())}
    with LocalSystem(port=PORT, shops=shops, time_scale=0.01, enforce_iam=True) as running:
        stop_schedules(running)
        found = Everything(running)
        found.listen()
        found.log_everything()
        yield found


def as_text(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
