"""The queue: what is sent, with which parameters, and what a failure means."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from prisjakt_relay import aws
from prisjakt_relay.conversion import PURCHASE, Conversion
from prisjakt_relay.errors import AwsError, StorageError
from prisjakt_relay.queues import ConversionQueue, Message, enqueue

QUEUE = "https://sqs.example/1/conversions"
DEAD_LETTERS = "https://sqs.example/1/dead-letters"
NOW = datetime(2026, 11, 21, tzinfo=UTC)

FAILURES = [
    AwsError("SendMessage", "ThrottlingException"),
    StorageError("SendMessage: TimeoutError"),
]


class Sqs(aws.Service):
    """Notes the calls; fails with the given errors first."""

    def __init__(self, *errors: StorageError) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._errors = list(errors)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append((operation, dict(parameters)))
        if self._errors:
            raise self._errors.pop(0)
        return {}


def conversion() -> Conversion:
    return Conversion(
        platform="shopify",
        shop="demo",
        order_id="1",
        order_reference="SE-1",
        event_name=PURCHASE,
        event_time=NOW,
        amount=Decimal("10.50"),
        currency="SEK",
        number_of_items=1,
        click_id="a70a2d14-b4f3-4ead-9644-f96e8279e5ca_c3d717ebf3b80680",
        void=False,
        revision=1,
        received_at=NOW,
    )


def message(*, receives: int = 1, sent_at: datetime = NOW) -> Message:
    return Message(id="m", receipt="receipt", body="body", receives=receives, sent_at=sent_at)


def test_a_conversion_is_sent_in_its_shop_s_message_group() -> None:
    sqs = Sqs()

    enqueue(
        conversion(),
        sqs=sqs,
        queue_url=QUEUE,
        deadline=NOW + timedelta(seconds=3),
        clock=lambda: NOW,
        sleep=lambda _: None,
    )

    ((operation, sent),) = sqs.calls
    assert operation == "SendMessage"
    assert Conversion.from_message(sent.pop("MessageBody")) == conversion()
    assert sent == {"QueueUrl": QUEUE, "MessageGroupId": "demo"}


def test_sending_is_tried_again_while_there_is_time() -> None:
    sqs, pauses = Sqs(*FAILURES), list[float]()

    enqueue(
        conversion(),
        sqs=sqs,
        queue_url=QUEUE,
        deadline=NOW + timedelta(seconds=3),
        clock=lambda: NOW,
        sleep=pauses.append,
    )

    assert len(sqs.calls) == 3
    assert len({repr(call) for call in sqs.calls}) == 1
    assert pauses == sorted(pauses)
    assert len(pauses) == 2


@pytest.mark.parametrize("failure", FAILURES)
def test_a_conversion_that_could_not_be_sent_is_an_error(failure: StorageError) -> None:
    with pytest.raises(StorageError) as raised:
        enqueue(
            conversion(),
            sqs=Sqs(failure),
            queue_url=QUEUE,
            deadline=NOW,
            clock=lambda: NOW,
            sleep=lambda _: None,
        )

    assert raised.value is failure


def test_a_message_is_what_the_event_source_mapping_hands_over() -> None:
    record = {
        "messageId": "19dd0b57-b21e-4ac1-bd88-01bbb068cb78",
        "receiptHandle": "MessageReceiptHandle",
        "body": '{"version":1}',
        "attributes": {
            "ApproximateReceiveCount": "17",
            "SentTimestamp": "1795219200123",
            "SenderId": "123456789012",
            "MessageGroupId": "demo",
        },
        "messageAttributes": {},
        "md5OfBody": "7b270e59b47ff90a553787216d55d91d",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-north-1:123456789012:conversions",
        "awsRegion": "eu-north-1",
    }

    assert Message.from_record(record) == Message(
        id="19dd0b57-b21e-4ac1-bd88-01bbb068cb78",
        receipt="MessageReceiptHandle",
        body='{"version":1}',
        receives=17,
        sent_at=datetime(2026, 11, 21, 0, 0, 0, 123_000, tzinfo=UTC),
    )


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("receives", "age", "worn"),
    [
        (1, timedelta(0), False),
        (299, timedelta(days=7) - SECOND, False),
        (300, timedelta(0), True),
        (301, timedelta(0), True),
        (1, timedelta(days=7), True),
        (1, timedelta(days=7) + SECOND, True),
    ],
)
def test_a_message_is_worn_at_300_receives_or_after_7_days(
    receives: int, age: timedelta, worn: bool
) -> None:
    assert message(receives=receives, sent_at=NOW - age).is_worn(NOW) is worn


@pytest.mark.parametrize(
    ("seconds", "timeout"),
    [
        (-5, 1),
        (0, 1),
        (0.2, 1),
        (1, 1),
        (30.01, 31),
        (3600, 3600),
        (11 * 3600, 11 * 3600),
        (11 * 3600 + 0.5, 11 * 3600),
        (10**9, 11 * 3600),
        (float("inf"), 11 * 3600),
    ],
)
def test_a_message_waits_by_its_visibility_up_to_11_hours(seconds: float, timeout: int) -> None:
    sqs = Sqs()

    ConversionQueue(sqs, QUEUE, DEAD_LETTERS).postpone(message(), seconds)

    assert sqs.calls == [
        (
            "ChangeMessageVisibility",
            {"QueueUrl": QUEUE, "ReceiptHandle": "receipt", "VisibilityTimeout": timeout},
        )
    ]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_message_that_could_not_be_postponed_is_no_error(failure: StorageError) -> None:
    """It comes back earlier, which does no harm; so one try is enough."""
    sqs = Sqs(failure)

    ConversionQueue(sqs, QUEUE, DEAD_LETTERS).postpone(message(), 30)

    assert len(sqs.calls) == 1


@pytest.mark.parametrize(
    ("seconds", "delay"), [(-1, 1), (0, 1), (0.2, 1), (30.01, 31), (900, 900), (901, 900)]
)
def test_a_copy_is_delayed_by_up_to_15_minutes(seconds: float, delay: int) -> None:
    sqs = Sqs()

    assert ConversionQueue(sqs, QUEUE, DEAD_LETTERS).renew(message(), "demo", seconds)

    assert sqs.calls == [
        (
            "SendMessage",
            {
                "QueueUrl": QUEUE,
                "MessageBody": "body",
                "MessageGroupId": "demo",
                "DelaySeconds": delay,
            },
        )
    ]


def test_what_nobody_can_read_goes_to_the_dead_letters() -> None:
    sqs = Sqs()

    assert ConversionQueue(sqs, QUEUE, DEAD_LETTERS).set_aside(message())

    assert sqs.calls == [
        (
            "SendMessage",
            {"QueueUrl": DEAD_LETTERS, "MessageBody": "body", "MessageGroupId": "unreadable"},
        )
    ]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_copy_that_is_not_safe_is_reported_as_such(failure: StorageError) -> None:
    """The sender must keep the original then."""
    assert not ConversionQueue(Sqs(failure), QUEUE, DEAD_LETTERS).renew(message(), "demo", 30)
    assert not ConversionQueue(Sqs(failure), QUEUE, DEAD_LETTERS).set_aside(message())
