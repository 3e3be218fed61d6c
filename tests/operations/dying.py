"""Makes shops with dead orders and stuck messages in the shared local system."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from tests.conftest import PATIENCE

from prisjakt_relay import ledger
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import Problem
from prisjakt_relay.ledger import Facts, Record
from prisjakt_relay.local import project
from prisjakt_relay.local.prisjakt_model import Event, Fault
from prisjakt_relay.local.system import LocalSystem, sample_shops
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.outcomes import DeathReason

REFUSAL = Problem(
    status=400, title="Not valid", detail="See fields", field_errors={"data.amount": "odd"}
)
SAMPLE = json.loads((project.root() / "events" / "queue" / "conversion-1.json").read_text())

_ids = count(9_000_000_000_001)


@dataclass(frozen=True)
class DyingShop:
    """One shop of the local system whose orders can be made to die."""

    system: LocalSystem
    stack: Stack
    name: str
    pixel_id: str

    def message(self, order_id: str = "", **changes: Any) -> str:
        """What the receiver would queue for a new order of today."""
        order_id = order_id or str(next(_ids))
        now = datetime.now(UTC).replace(microsecond=0)
        moments = {"event_time": now.isoformat(), "received_at": now.isoformat()}
        ids = {"shop": self.name, "order_id": order_id, "order_reference": order_id}
        return json.dumps(SAMPLE | moments | ids | changes)

    def dies(
        self,
        death: DeathReason = DeathReason.REJECTED,
        *,
        since: datetime | None = None,
        tried: timedelta = timedelta(hours=1),
        uncertain: bool = False,
        **changes: Any,
    ) -> Record:
        """An order that is dead in the ledger, as the sender would have written it."""
        conversion = Conversion.from_message(self.message(**changes))
        since = (since or datetime.now(UTC)).replace(microsecond=0)
        facts = Facts.of(conversion)
        record = ledger.claimed(
            None, conversion, pixel_id=self.pixel_id, corrects=False, now=since, token="t"
        ).record
        record = replace(record, first_try_at=since - tried, uncertain=uncertain, version=1)
        record = ledger.dead(record, facts, death, REFUSAL, since)
        assert self.stack.store.put(ledger.to_item(record), previous=None)
        return record

    def send(self, body: str) -> None:
        self._send(self.stack.outputs["QueueUrl"], body)

    def gets_stuck(self, body: str) -> str:
        """The id of a message in `DeadLetters`."""
        return self._send(self.stack.outputs["DeadLettersUrl"], body)

    def _send(self, url: str, body: str) -> str:
        answer = self.system.aws.client("sqs").send_message(
            QueueUrl=url, MessageBody=body, MessageGroupId=self.name
        )
        return str(answer["MessageId"])

    def refused(self) -> Fault:
        """Prisjakt refuses everything of this shop until the fault is removed."""
        fault = Fault(
            kind="status",
            times=10**6,
            pixel_id=self.pixel_id,
            status=400,
            body={
                "title": "Request validation failed",
                "status": 400,
                "field_errors": {"data.amount": {"message": "too odd", "value": "1666.3"}},
                "context": {"request-id": "r-1"},
            },
        )
        assert self.system.model is not None
        self.system.model.faults.append(fault)
        return fault

    def is_mended(self, fault: Fault) -> None:
        assert self.system.model is not None
        self.system.model.faults.remove(fault)

    def events(self) -> list[Event]:
        assert self.system.model is not None
        return [e for e in list(self.system.model.events.values()) if e.pixel_id == self.pixel_id]

    def record(self, order_id: str) -> Record:
        record = self.stack.ledger.get(ledger.key(self.name, order_id, "purchase"))
        assert record is not None
        return record

    def is_reported(self, order_id: str) -> bool:
        return self.record(order_id).status is ledger.Status.REPORTED


def dying_shop(system: LocalSystem, stack: Stack, **fields: Any) -> DyingShop:
    """A new shop; with `credentials()` it can read back and correct."""
    name, pixel_id = f"dead-{uuid.uuid4().hex[:8]}", str(uuid.uuid4())
    document = sample_shops()["demo-woocommerce"] | {"pixel_id": pixel_id}
    for field in ("prisjakt_client_id", "prisjakt_client_secret"):
        document.pop(field, None)
    system.aws.put_shop(name, document | fields)
    return DyingShop(system, stack, name, pixel_id)


def letters(stack: Stack) -> list[str]:
    """The ids of the messages that anybody can receive from `DeadLetters` now; they stay there."""
    sqs, url = stack.client("sqs"), stack.outputs["DeadLettersUrl"]
    found: list[Any] = []
    while batch := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=30
    ).get("Messages"):
        found += batch
    for each in found:
        sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=each["ReceiptHandle"], VisibilityTimeout=0
        )
    return [str(each["MessageId"]) for each in found]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.05)
