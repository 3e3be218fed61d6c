"""What stands in for AWS around the Lambda processes must not lose or double anything itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.benchmark.lambda_aws import Aws, Feeding, Message, Queue
from tests.benchmark.lambda_pool import Configuration, Pool, PoolError, _status, _unsettled
from tests.benchmark.load_prisjakt import CountingModel
from tests.benchmark.loop_http import Requests
from tests.benchmark.offering import Plan
from tests.benchmark.template import deployed

from prisjakt_relay.errors import AwsError

FEEDING = Feeding(visibility=360.0, batch=100, window=5.0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> Queue:
    return Queue(clock, FEEDING)


def _bodies(batch: list[Message]) -> list[str]:
    return [message.body for message in batch]


def test_a_full_batch_goes_at_once(queue: Queue) -> None:
    for number in range(FEEDING.batch + 1):
        queue.send(str(number))

    assert len(queue.receive()) == FEEDING.batch
    assert queue.receive() == []


def test_fewer_wait_for_the_window(queue: Queue, clock: Clock) -> None:
    queue.send("one")
    clock.now += FEEDING.window - 0.1
    assert queue.receive() == []

    clock.now += 0.1
    assert _bodies(queue.receive()) == ["one"]


def test_what_is_in_hand_is_hidden_and_still_counts(queue: Queue) -> None:
    queue.send("one")
    queue.receive(window=0)

    assert queue.receive(window=0) == []
    assert len(queue) == 1


def test_what_was_settled_is_gone_and_the_rest_comes_back(queue: Queue, clock: Clock) -> None:
    for body in ("settled", "not"):
        queue.send(body)
    batch = queue.receive(window=0)

    queue.settle(batch, frozenset({batch[1].id}))

    assert len(queue) == 1
    assert queue.receive(window=0) == []
    clock.now += FEEDING.visibility
    (again,) = queue.receive(window=0)
    assert (again.body, again.receives) == ("not", 2)


def test_a_message_waits_as_long_as_it_was_told(queue: Queue, clock: Clock) -> None:
    queue.send("one")
    (message,) = batch = queue.receive(window=0)
    assert queue.hide(message.id, 30)
    queue.settle(batch, frozenset({message.id}))

    clock.now += 29
    assert queue.receive(window=0) == []
    clock.now += 1
    assert _bodies(queue.receive(window=0)) == ["one"]


def test_a_receipt_that_nobody_has_hides_nothing(queue: Queue) -> None:
    assert not queue.hide("nobody's", 30)


def test_a_delayed_message_comes_later(queue: Queue, clock: Clock) -> None:
    queue.send("one", delay=60)
    assert queue.receive(window=0) == []
    clock.now += 60
    assert _bodies(queue.receive(window=0)) == ["one"]


def test_secrets_and_messages_go_by_their_names(clock: Clock) -> None:
    aws = Aws({"load/shops/load": "{}"}, clock, FEEDING)

    assert aws.call("secretsmanager.GetSecretValue", {"SecretId": "load/shops/load"}) == {
        "Name": "load/shops/load",
        "SecretString": "{}",
    }
    aws.call("AmazonSQS.SendMessage", {"QueueUrl": "http://aws/queue", "MessageBody": "one"})
    aws.call("AmazonSQS.SendMessage", {"QueueUrl": "http://aws/dead-letters", "MessageBody": "two"})
    assert (len(aws.queue), aws.queue.dead_letters) == (1, ["two"])


@pytest.mark.parametrize(
    ("target", "parameters"),
    [
        ("secretsmanager.GetSecretValue", {"SecretId": "another"}),
        ("AmazonSQS.ChangeMessageVisibility", {"ReceiptHandle": "no", "VisibilityTimeout": 1}),
        ("AmazonSQS.PurgeQueue", {}),
    ],
)
def test_what_it_does_not_know_is_an_error(
    clock: Clock, target: str, parameters: Mapping[str, object]
) -> None:
    with pytest.raises(AwsError):
        Aws({}, clock, FEEDING).call(target, parameters)


def test_requests_come_whole_however_they_are_cut() -> None:
    first = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    sent = first + b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
    requests = Requests()

    found = [request for byte in sent for request in requests.add(bytes([byte]))]

    assert [(each.method, each.path, each.body) for each in found] == [
        (b"POST", b"/a", b"abc"),
        (b"GET", b"/b", b""),
    ]
    assert found == Requests().add(sent)
    assert found[0].header(b"host") == "x"
    assert found[0].header(b"x-amz-target") == ""


def test_a_body_in_chunks_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(ValueError, match="chunks"):
        Requests().add(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize("response", [None, b"null", b"not JSON", b"{}"])
def test_a_receiver_that_failed_has_taken_nothing(response: bytes | None) -> None:
    assert _status(response) == 502


def test_a_receivers_answer_is_its_status() -> None:
    assert _status(b'{"statusCode":503,"headers":{},"body":"{}"}') == 503


def test_a_sender_that_failed_has_settled_nothing(queue: Queue) -> None:
    queue.send("one")
    batch = queue.receive(window=0)

    assert _unsettled(None, batch) == _unsettled(b"null", batch) == {batch[0].id}


def test_a_sender_names_what_it_has_not_settled() -> None:
    response = json.dumps({"batchItemFailures": [{"itemIdentifier": "m1"}]}).encode()

    assert _unsettled(response, []) == {"m1"}


def test_the_queue_is_the_templates() -> None:
    feeding = Feeding.of(deployed())
    parameters = deployed().parameters

    assert feeding.visibility == deployed().properties("ConversionQueue")["VisibilityTimeout"]
    assert feeding.batch == parameters["SenderBatchSize"]
    assert feeding.window == parameters["SenderBatchWindow"]


def test_a_message_tells_the_sender_when_it_was_first_received(queue: Queue, clock: Clock) -> None:
    queue.send("one", group="shop")
    clock.now += FEEDING.window
    (message,) = batch = queue.receive()
    queue.settle(batch, frozenset({message.id}))
    clock.now += FEEDING.visibility
    (again,) = queue.receive(window=0)

    attributes = again.record()["attributes"]

    assert attributes["SentTimestamp"] == "1000000"
    assert attributes["ApproximateFirstReceiveTimestamp"] == "1005000"
    assert attributes["MessageGroupId"] == "shop"


def test_a_run_ends_at_once_when_nothing_feeds_the_sender_any_more() -> None:
    """Else it would wait for the queue to empty until its time is up."""
    nowhere, plan = Path("nowhere"), Plan(rate=1, count=1)
    configuration = Configuration(
        *(nowhere,) * 4, {}, FEEDING, 0, True, 1800.0, plan, plan, nowhere
    )
    pool = Pool(configuration, CountingModel())
    pool.idle_senders.append(None)  # type: ignore[arg-type]  # no sender: the feeding breaks on it

    async def scenario() -> None:
        pool.begin_feeding()
        pool._watch(pool.offering)
        for _ in range(FEEDING.batch):
            pool.aws.queue.send("one")
        await asyncio.sleep(0)
        await pool._drain()

    with pytest.raises(PoolError, match="NoneType"):
        asyncio.run(scenario())
