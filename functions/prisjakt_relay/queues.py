"""The queue: send a conversion or an erasure, make a message wait, put it on anew, set it aside."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from prisjakt_relay import aws
from prisjakt_relay.errors import StorageError

LONGEST_WAIT: Final = timedelta(hours=11)  # SQS ends a visibility time-out after 12 h in all
LONGEST_DELAY: Final = 900
MOST_RECEIVES: Final = 300
LONGEST_STAY: Final = timedelta(days=7)


class Sendable(Protocol):
    """A conversion or an erasure."""

    @property
    def shop(self) -> str: ...

    def to_message(self) -> str: ...


def enqueue(
    wish: Sendable,
    *,
    sqs: aws.Service,
    queue_url: str,
    deadline: datetime,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> None:
    """Send it, in its shop's message group: one shop's flood must not hold up another's orders."""
    message = {
        "QueueUrl": queue_url,
        "MessageBody": wish.to_message(),
        "MessageGroupId": wish.shop,
    }
    aws.until(deadline, lambda: sqs.call("SendMessage", message), clock=clock, sleep=sleep)


@dataclass(frozen=True, slots=True)
class Message:
    """One message as the event source mapping hands it over."""

    id: str
    receipt: str
    body: str
    receives: int
    sent_at: datetime

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Message:
        attributes = record["attributes"]
        return cls(
            id=record["messageId"],
            receipt=record["receiptHandle"],
            body=record["body"],
            receives=int(attributes["ApproximateReceiveCount"]),
            sent_at=datetime.fromtimestamp(int(attributes["SentTimestamp"]) / 1000, UTC),
        )

    def is_worn(self, now: datetime) -> bool:
        """Near the queue's own limits: a fresh copy has them all before it."""
        return self.receives >= MOST_RECEIVES or now - self.sent_at >= LONGEST_STAY


class ConversionQueue:
    """What the sender does with messages that it does not settle."""

    def __init__(self, sqs: aws.Service, queue_url: str, dead_letters_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._dead_letters_url = dead_letters_url

    def postpone(self, message: Message, seconds: float) -> None:
        """Hide it for so long. If that fails it comes back earlier, which does no harm."""
        with suppress(StorageError):
            self._sqs.call(
                "ChangeMessageVisibility",
                {
                    "QueueUrl": self._queue_url,
                    "ReceiptHandle": message.receipt,
                    "VisibilityTimeout": _whole_seconds(seconds, LONGEST_WAIT.total_seconds()),
                },
            )

    def renew(self, message: Message, group: str, seconds: float) -> bool:
        """Send a copy that waits; True if the copy is safe, so that this one can go."""
        return self._send(
            self._queue_url,
            message.body,
            group,
            DelaySeconds=_whole_seconds(seconds, LONGEST_DELAY),
        )

    def set_aside(self, message: Message) -> bool:
        """Put what nobody can read into the queue `DeadLetters`; True if it is safe there."""
        return self._send(self._dead_letters_url, message.body, "unreadable")

    def _send(self, url: str, body: str, group: str, **options: int) -> bool:
        message = {"QueueUrl": url, "MessageBody": body, "MessageGroupId": group, **options}
        try:
            self._sqs.call("SendMessage", message)
        except StorageError:
            return False
        return True


def _whole_seconds(seconds: float, most: float) -> int:
    return max(1, math.ceil(min(seconds, most)))
