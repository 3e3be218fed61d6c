"""The AWS of a pool of Lambda processes: secrets, a table, a queue that feeds the sender.

The queue does what the relay relies on: a message is hidden from when it is received, comes back
when it was not settled, and goes when it was.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from __future__ import annotations

import heapq
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.benchmark.deliveries import sqs_record
from tests.benchmark.loop_http import Conversation, Request
from tests.benchmark.surroundings import DEAD_LETTERS
from tests.benchmark.template import Stack
from tests.simulation.dynamodb import DynamoDb

from prisjakt_relay.errors import AwsError

QUEUE: Final = "queue"


@dataclass(slots=True)
class Message:
    """Moments are seconds since 1970."""

    id: str
    body: str
    sent_at: float
    visible_at: float
    group: str = ""
    receives: int = 0
    first_received_at: float = 0.0

    def __lt__(self, other: Message) -> bool:
        return self.visible_at < other.visible_at

    def record(self) -> dict[str, Any]:
        """As the event source mapping hands it over."""
        return sqs_record(
            self.body,
            message_id=self.id,
            receipt=self.id,
            sent_at=self.sent_at,
            received_at=self.first_received_at,
            receives=self.receives,
            group=self.group,
        )


@dataclass(frozen=True, slots=True)
class Feeding:
    """The queue and its event source mapping, as the template has them; in seconds."""

    visibility: float
    batch: int
    window: float

    @classmethod
    def of(cls, stack: Stack) -> Feeding:
        (mapping,) = stack.of_type("AWS::Lambda::EventSourceMapping")
        return cls(
            visibility=float(stack.properties("ConversionQueue")["VisibilityTimeout"]),
            batch=int(mapping["BatchSize"]),
            window=float(mapping["MaximumBatchingWindowInSeconds"]),
        )


class Queue:
    """Messages that wait, and those that are in hand."""

    def __init__(self, now: Callable[[], float], feeding: Feeding) -> None:
        self.dead_letters: list[str] = []
        self._now = now
        self._feeding = feeding
        self._visible: list[Message] = []
        self._received: dict[str, Message] = {}

    def __len__(self) -> int:
        return len(self._visible) + len(self._received)

    def send(self, body: str, delay: float = 0.0, group: str = "") -> str:
        now = self._now()
        message = Message(str(uuid.uuid4()), body, now, now + delay, group)
        heapq.heappush(self._visible, message)
        return message.id

    def receive(self, *, window: float | None = None) -> list[Message]:
        """A batch: a full one, or what there is once the first has waited for the window."""
        now, most = self._now(), self._feeding.batch
        window = self._feeding.window if window is None else window
        if not self._visible:
            return []
        first = self._visible[0].visible_at
        if first > now or (len(self._visible) < most and now - first < window):
            return []
        batch: list[Message] = []
        while self._visible and len(batch) < most and self._visible[0].visible_at <= now:
            message = heapq.heappop(self._visible)
            message.receives += 1
            message.first_received_at = message.first_received_at or now
            message.visible_at = now + self._feeding.visibility
            self._received[message.id] = message
            batch.append(message)
        return batch

    def hide(self, receipt: str, seconds: float) -> bool:
        message = self._received.get(receipt)
        if message is None:
            return False
        message.visible_at = self._now() + seconds
        return True

    def settle(self, batch: Iterable[Message], unsettled: frozenset[str]) -> None:
        for message in batch:
            del self._received[message.id]
            if message.id in unsettled:
                heapq.heappush(self._visible, message)


class Aws:
    """Answers the calls of the functions."""

    def __init__(
        self, secrets: Mapping[str, str], now: Callable[[], float], feeding: Feeding
    ) -> None:
        self.queue = Queue(now, feeding)
        self.table = DynamoDb(now)
        self.calls: dict[str, int] = {}
        self._secrets = secrets

    def call(self, target: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The answer's JSON; raises `AwsError`."""
        self.calls[target] = self.calls.get(target, 0) + 1
        service, _, operation = target.partition(".")
        if service.startswith("DynamoDB"):
            return self.table.call(operation, parameters)
        if operation == "SendMessage":
            return self._send(parameters)
        if operation == "ChangeMessageVisibility":
            seconds = float(parameters["VisibilityTimeout"])
            if not self.queue.hide(parameters["ReceiptHandle"], seconds):
                raise AwsError(operation, "ReceiptHandleIsInvalid")
            return {}
        if operation == "GetSecretValue":
            name = parameters["SecretId"]
            if name not in self._secrets:
                raise AwsError(operation, "ResourceNotFoundException")
            return {"Name": name, "SecretString": self._secrets[name]}
        raise AwsError(operation, "UnknownOperationException")

    def _send(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        body = parameters["MessageBody"]
        if parameters["QueueUrl"].endswith(DEAD_LETTERS):
            self.queue.dead_letters.append(body)
            return {"MessageId": str(uuid.uuid4())}
        delay, group = parameters.get("DelaySeconds", 0), parameters.get("MessageGroupId", "")
        return {"MessageId": self.queue.send(body, delay, group)}


class AwsConversation(Conversation):
    """One connection of an AWS client."""

    def __init__(self, aws: Aws) -> None:
        super().__init__()
        self._aws = aws

    def asked(self, request: Request) -> None:
        try:
            status = 200
            answer = self._aws.call(request.header(b"x-amz-target"), json.loads(request.body))
        except AwsError as error:
            status, answer = 400, {"__type": error.code, "message": str(error), **error.body}
        headers = {"content-type": request.header(b"content-type")}
        self.answer(status, json.dumps(answer).encode(), headers)
