"""AWS as the relay sees it: a table, a queue with its event source mapping, and their failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final

from tests.sender.world import updated

from prisjakt_relay.errors import AwsError
from prisjakt_relay.ledger import Condition
from prisjakt_relay.queues import Message

if TYPE_CHECKING:
    from tests.simulation.world import World

VISIBILITY: Final = timedelta(seconds=360)
RETENTION: Final = timedelta(days=14)
LONGEST_VISIBILITY: Final = timedelta(hours=12)
MOST_RECEIVES: Final = 1000


class Table:
    """`ledger.Store`: conditional writes, throttling, answers lost after the write, a late TTL."""

    def __init__(self, world: World) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self._world = world
        self._ttl_lag = world.random.randrange(0, 48 * 3600)

    def get(self, item_key: str) -> Mapping[str, Any] | None:
        self._world.before("get")
        item = self._there(item_key)
        self._world.after("get")
        return item

    def put(self, item: Mapping[str, Any], *, previous: int | None) -> bool:
        self._world.before("put")
        done = self._put(item, previous)
        self._world.log("    put %s -> %s", item, done)
        if done and self._world.repeats():
            done = self._put(item, previous)
        self._world.after("put")
        return done

    def _put(self, item: Mapping[str, Any], previous: int | None) -> bool:
        current = self._there(item["id"])
        if (current["version"] if current else None) != previous:
            return False
        self.items[item["id"]] = dict(item)
        return True

    def update(
        self,
        item_key: str,
        values: Mapping[str, str | int],
        *,
        add: Mapping[str, int],
        only_if: Sequence[Condition],
    ) -> tuple[bool, Mapping[str, Any]]:
        self._world.before("update")
        answer = self._update(item_key, values, add, only_if)
        if answer[0] and self._world.repeats():
            answer = self._update(item_key, values, add, only_if)
        self._world.after("update")
        return answer

    def _update(
        self,
        item_key: str,
        values: Mapping[str, str | int],
        add: Mapping[str, int],
        only_if: Sequence[Condition],
    ) -> tuple[bool, Mapping[str, Any]]:
        item = self._there(item_key) or {"id": item_key}
        done, after = updated(item, values, add, only_if)
        if done:
            self.items[item_key] = after
        return done, after

    def _there(self, item_key: str) -> dict[str, Any] | None:
        item = self.items.get(item_key)
        if (
            item is not None
            and "expires_at" in item
            and item["expires_at"] + self._ttl_lag < self._world.time.now.timestamp()
        ):
            del self.items[item_key]
            return None
        return item


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
        random = world.random
        self.waiting: dict[str, Waiting] = {}
        self.dead_letters: list[str] = []
        self.lost: list[str] = []
        self.bodies: list[str] = []
        self.senders = 0
        self.most_senders = random.choice((1, 2, 2, 3, 5, 10))
        self.batch = random.choice((10, 10, 100))
        self.window = random.choice((0.2, 0.2, 5.0, 60.0))
        self.doubles = random.choice((0.0, 0.01, 0.05))
        self.first_receives = random.choice((0,) * 12 + (285, 295))
        self._world = world
        self._random: Random = random
        self._ids = 0
        self._receipts = 0

    # What the relay calls, as `aws.Service`

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self._world.before("sqs")
        self.perform(operation, parameters)
        self._world.after("sqs")
        return {}

    def perform(self, operation: str, parameters: Mapping[str, Any]) -> None:
        if operation == "ChangeMessageVisibility":
            self._change(parameters["ReceiptHandle"], parameters["VisibilityTimeout"])
        elif parameters["QueueUrl"] == "dead-letters":
            self.dead_letters.append(parameters["MessageBody"])
        else:
            self.send(parameters["MessageBody"], parameters.get("DelaySeconds", 0))

    def send(self, body: str, delay: float = 0.0) -> None:
        self._ids += 1
        now = self._world.time.now
        self.bodies.append(body)
        message = Waiting(f"m{self._ids}", body, now, now, self.first_receives)
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
            raise AwsError("ChangeMessageVisibility", "InvalidParameterValue")
        if message.receipt == int(number):
            self._show(message, later)
        elif self._random.random() < 0.5:  # stale: the pages leave open what happens
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
        for message in messages:
            if unsettled is None or message.id in unsettled:
                continue
            found = self.waiting.get(message.id)
            if found is None or message.receipt != f"{found.id}/{found.receipt}":
                continue  # deleting by an old receipt does nothing
            del self.waiting[message.id]
            if self._random.random() < self.doubles:
                self.waiting[message.id] = found
                self._show(found, self._world.time.now + timedelta(seconds=30))
        self.poll()
