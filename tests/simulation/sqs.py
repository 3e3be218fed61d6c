"""SQS as the relay sees it: the queue, its dead letters, and the event source mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from prisjakt_relay.errors import AwsError
from prisjakt_relay.queues import Message

if TYPE_CHECKING:
    from tests.simulation.settings import EventSource
    from tests.simulation.world import World

VISIBILITY: Final = timedelta(seconds=360)
RETENTION: Final = timedelta(days=14)
LONGEST_VISIBILITY: Final = timedelta(hours=12)
LONGEST_DELAY: Final = 900  # seconds
MOST_RECEIVES: Final = 1000


@dataclass(slots=True)
class Waiting:
    """A message on the queue."""

    id: str
    body: str
    sent_at: datetime
    visible_at: datetime
    receives: int = 0
    receipt: int = 0
    received_at: datetime | None = None


class Queue:
    """The queue, its dead letters, and the event source mapping that feeds the senders.

    Delivers at least once: a receipt may leave the message visible, a deletion may be undone.
    """

    def __init__(self, world: World) -> None:
        self.deploy(world.setting.event_sources[0])
        self.waiting: dict[str, Waiting] = {}
        self.dead_letters: list[str] = []
        self.lost: list[str] = []
        self.bodies: list[str] = []
        self.senders = 0
        self.doubles = world.setting.doubles
        self.first_receives = world.setting.first_receives
        self._world = world
        self._random = world.random
        self._ids = 0
        self._receipts = 0

    def deploy(self, source: EventSource) -> None:
        self.most_senders = source.senders
        self.batch = source.batch
        self.window = source.window

    # What the relay calls

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if operation == "ChangeMessageVisibility":
            self._change(parameters["ReceiptHandle"], parameters["VisibilityTimeout"])
        elif parameters["QueueUrl"] == "dead-letters":
            self.dead_letters.append(parameters["MessageBody"])
        else:
            delay = parameters.get("DelaySeconds", 0)
            if delay > LONGEST_DELAY:
                raise AwsError("SendMessage", "InvalidParameterValue")
            is_copy = "DelaySeconds" in parameters
            self.send(parameters["MessageBody"], delay, 0 if is_copy else self.first_receives)
        return {}

    def send(self, body: str, delay: float = 0.0, receives: int = 0) -> None:
        self._ids += 1
        now = self._world.time.now
        self.bodies.append(body)
        message = Waiting(f"m{self._ids}", body, now, now, receives)
        self.waiting[message.id] = message
        self._world.log("queue: %s %s", message.id, body)
        self._show(message, now + timedelta(seconds=delay))

    def _change(self, receipt: str, seconds: int) -> None:
        name, _, number = receipt.partition("/")
        message, now = self.waiting.get(name), self._world.time.now
        if message is None or message.received_at is None:
            raise AwsError("ChangeMessageVisibility", "InvalidParameterValue")
        later = now + timedelta(seconds=seconds)
        if later - message.received_at > LONGEST_VISIBILITY:
            self._world.violated(f"{message.id} was to be hidden for over 12 h in all")
            raise AwsError("ChangeMessageVisibility", "InvalidParameterValue")
        if message.receipt == int(number) and message.visible_at > now:
            self._show(message, later)
        elif self._random.random() < 0.5:  # stale, or seen again: AWS may refuse, or do nothing
            raise AwsError("ChangeMessageVisibility", "ReceiptHandleIsInvalid")

    # The event source mapping

    def _show(self, message: Waiting, moment: datetime) -> None:
        message.visible_at = moment
        wait = timedelta(seconds=self._random.random() * self.window)
        self._world.time.at(moment + wait, self.poll)

    def poll(self) -> None:
        now = self._world.time.now
        if self.senders >= self.most_senders:
            return
        if self._world.troubles.happens("sqs away", now):
            self._world.time.steps -= 1  # asking in vain for weeks is no step of the relay's
            self._world.time.after(self._random.uniform(1, 20), self.poll)
            return
        visible = [one for one in self.waiting.values() if one.visible_at <= now]
        if not visible:
            return
        if self._random.random() < 0.3:
            self._random.shuffle(visible)
        batch = [self._received(one) for one in visible[: self.batch]]
        messages = [one for one in batch if one is not None]
        if messages:
            self.senders += 1
            self._world.invoke(messages)
        if len(visible) > self.batch:
            self._world.time.after(0.05, self.poll)

    def _received(self, message: Waiting) -> Message | None:
        now = self._world.time.now
        if now - message.sent_at > RETENTION:
            self.lost.append(message.body)
            del self.waiting[message.id]
            return None
        message.receives += 1
        if message.receives > MOST_RECEIVES:
            self.dead_letters.append(message.body)
            del self.waiting[message.id]
            return None
        self._receipts += 1
        message.receipt, message.received_at = self._receipts, now
        twice = self._random.random() < self.doubles
        self._show(message, now + (timedelta(seconds=1) if twice else VISIBILITY))
        return Message(
            id=message.id,
            receipt=f"{message.id}/{message.receipt}",
            body=message.body,
            receives=message.receives,
            sent_at=message.sent_at,
        )

    def answered(self, messages: Sequence[Message], unsettled: Sequence[str] | None) -> None:
        """A partial batch answer, or None for an invocation that failed: nothing is deleted."""
        self.senders -= 1
        if self._world.strikes("sqs away"):  # then nothing is deleted either
            unsettled = None
        for message in messages:
            if unsettled is None or message.id in unsettled:
                continue
            found = self.waiting.get(message.id)
            if found is None:
                continue
            is_stale = message.receipt != f"{found.id}/{found.receipt}"
            if is_stale and self._random.random() < 0.5:
                continue  # deleting by an old receipt may do nothing
            del self.waiting[message.id]
            if self._random.random() < self.doubles:
                self.waiting[message.id] = found
                self._show(found, self._world.time.now + timedelta(seconds=30))
        self.poll()
