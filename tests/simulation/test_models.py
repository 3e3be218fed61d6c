"""The simulation's models of AWS do what the embedded AWS does, and what AWS's pages say.

Random sequences of calls go to both sides, and every answer has to be the same. What the embedded
AWS cannot show, or does not do, is in `FACTS`: with AWS's page, its own words as botocore ships
them, and the test that holds the model and the template to it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final, Protocol, cast

import pytest
import urllib3
from botocore.loaders import create_loader
from hypothesis import given, settings
from hypothesis import strategies as st
from samtranslator.yaml_helper import yaml_parse
from tests.sender.cloud import create_ledger, environment_of
from tests.sender.world import Clock, conversion
from tests.simulation import sqs
from tests.simulation.dynamodb import MOST_KEYS, DynamoDb
from tests.simulation.environments import THROTTLED, Model
from tests.simulation.fibres import START, Time
from tests.simulation.settings import DAY, DEPLOYED, EventSource, Setting
from tests.simulation.troubles import Troubles
from tests.simulation.world import FUNCTION_SECONDS, World

from prisjakt_relay import aws, queues
from prisjakt_relay.errors import AwsError, Problem, UnknownShopError
from prisjakt_relay.ledger import (
    KEPT,
    Claim,
    Condition,
    Ledger,
    Record,
    Status,
    dead,
    failed,
    reported,
    untouched,
)
from prisjakt_relay.local import project
from prisjakt_relay.local.aws import EmbeddedAws
from prisjakt_relay.outcomes import DeathReason, Outcome
from prisjakt_relay.queues import ConversionQueue, Message
from prisjakt_relay.rate_limit import RateLimit
from prisjakt_relay.shop import secrets_reader
from prisjakt_relay.tables import BUDGET, DynamoStore

TEMPLATE: Final[dict[str, Any]] = yaml_parse((project.root() / "template.yaml").read_text("utf-8"))
LONG: Final = 900  # seconds that no test lasts
FOR_GOOD: Final = 10_000 * DAY  # as long as the embedded AWS keeps what has expired
SECOND: Final = timedelta(seconds=1)


def properties(resource: str) -> dict[str, Any]:
    found: dict[str, Any] = TEMPLATE["Resources"][resource]["Properties"]
    return found


def default(parameter: str) -> int:
    return int(TEMPLATE["Parameters"][parameter]["Default"])


@pytest.fixture(scope="module")
def service(embedded_aws: EmbeddedAws) -> Iterator[Callable[[str], aws.Service]]:
    with urllib3.PoolManager(retries=False) as pool:
        environment = environment_of(embedded_aws)
        yield lambda name: aws.Service(name, environment=environment, pool=pool)


class Heard:
    """One side, the embedded AWS or a model, and all that it answered."""

    def __init__(self, model: Model) -> None:
        self.answers: list[tuple[str, str, Any]] = []
        self._model = model

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        try:
            answer = self._model.call(operation, parameters)
        except AwsError as error:
            self.answers.append((operation, error.code, error.body.get("Item")))
            raise
        self.answers.append((operation, "", _in_order(answer)))
        return answer


def _in_order(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Items of a batch come in any order."""
    batches = answer.get("Responses", {}).items()
    ordered = {table: sorted(items, key=lambda item: str(item["id"])) for table, items in batches}
    return {**answer, "Responses": ordered} if "Responses" in answer else dict(answer)


# The table


@pytest.fixture(scope="module")
def table(service: Callable[[str], aws.Service]) -> str:
    """The template's table in the embedded AWS; each example takes keys of its own."""
    name = f"ledger-{uuid.uuid4()}"
    create_ledger(service("dynamodb"), name)
    return name


@dataclass
class Side:
    """What the relay has of a table: here the model's, there the embedded AWS's."""

    heard: Heard
    table: str
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.store = DynamoStore(
            cast("aws.Service", self.heard), self.table, clock=self.clock, sleep=self.clock.advance
        )
        self.ledger = Ledger(self.store)
        self.rate_limit = RateLimit(self.store, 300)


@pytest.fixture(scope="module")
def sides(service: Callable[[str], aws.Service], table: str) -> Callable[[], tuple[Side, Side]]:
    def new() -> tuple[Side, Side]:
        clock = Clock()
        model = DynamoDb(lambda: clock.now.timestamp(), ttl_lag=FOR_GOOD)
        return Side(Heard(model), table, clock), Side(Heard(service("dynamodb")), table)

    return new


class Call(Protocol):
    """One thing that the relay does with its store, on keys that begin with `space`."""

    def on(self, store: DynamoStore, space: str) -> object: ...


@dataclass(frozen=True)
class Get:
    key: str

    def on(self, store: DynamoStore, space: str) -> object:
        return store.get(space + self.key)


@dataclass(frozen=True)
class GetMany:
    keys: tuple[str, ...]

    def on(self, store: DynamoStore, space: str) -> object:
        found = store.get_many([space + key for key in self.keys])
        return sorted(found, key=lambda item: str(item["id"]))


@dataclass(frozen=True)
class Put:
    key: str
    item: Mapping[str, Any]
    version: int
    previous: int | None

    def on(self, store: DynamoStore, space: str) -> object:
        item = {**self.item, "id": space + self.key, "version": self.version}
        return store.put(item, previous=self.previous)


@dataclass(frozen=True)
class Update:
    key: str
    values: Mapping[str, str | int]
    add: Mapping[str, int]
    only_if: Sequence[Condition]

    def on(self, store: DynamoStore, space: str) -> object:
        return store.update(space + self.key, self.values, add=self.add, only_if=self.only_if)


def answer(call: Call, store: DynamoStore, space: str) -> object:
    try:
        return call.on(store, space)
    except AwsError as error:
        return error.code


KEYS: Final = ("order#alfa#1", "shop#å")
NUMBERS: Final = ("tat", "status", "version", "line#alfa")  # one is a word of DynamoDB's own
TEXTS: Final = ("note", "last_success_at")

keys = st.sampled_from(KEYS)
comparisons = st.sampled_from(("<", "<=", ">="))
integers = st.integers(-2, 2) | st.sampled_from((10, 9, 1_795_219_200_000_000, -(10**15), 2**53))
texts = st.sampled_from(("", "a", "ab", "B", "å", "\U0001f6d2", "2026-11-21T00:00:00.000+00:00"))
plain = st.recursive(
    integers | texts | st.booleans(),
    lambda parts: st.dictionaries(texts.filter(bool), parts, max_size=2),
    max_leaves=4,
)
numbers_compared = st.tuples(st.sampled_from(NUMBERS), comparisons, integers)
texts_compared = st.tuples(st.sampled_from(TEXTS), comparisons, texts)
mixed = st.tuples(st.sampled_from((*NUMBERS, *TEXTS, "map")), comparisons, integers | texts)
conditions = st.one_of(numbers_compared, numbers_compared, texts_compared, mixed)


@st.composite
def puts(draw: st.DrawFn) -> Put:
    item = {
        **draw(st.dictionaries(st.sampled_from(NUMBERS), integers, max_size=3)),
        **draw(st.dictionaries(st.sampled_from(TEXTS), texts, max_size=2)),
        **draw(st.dictionaries(st.sampled_from(("flag", "map", "answer")), plain, max_size=2)),
    }
    version = draw(st.integers(1, 3))
    return Put(draw(keys), item, version, draw(st.sampled_from((None, None, 1, 2, 3))))


@st.composite
def updates(draw: st.DrawFn) -> Update:
    numbers = draw(st.dictionaries(st.sampled_from(NUMBERS), integers, max_size=3))
    added = draw(st.sets(st.sampled_from(sorted(numbers)))) if numbers else set()
    values: dict[str, str | int] = {
        **{name: value for name, value in numbers.items() if name not in added},
        **draw(st.dictionaries(st.sampled_from(TEXTS), texts, min_size=not numbers, max_size=2)),
    }
    return Update(
        draw(keys),
        values,
        {name: numbers[name] for name in sorted(added)},
        draw(st.lists(conditions, min_size=1, max_size=3)),
    )


calls = st.one_of(
    keys.map(Get),
    st.lists(keys, max_size=4).map(lambda several: GetMany(tuple(several))),
    puts(),
    updates(),
    updates(),
)


@settings(max_examples=100, deadline=None)
@given(sequence=st.lists(calls, max_size=15))
def test_the_table_answers_every_call_of_the_relay_as_the_embedded_aws_does(
    sequence: list[Call], sides: Callable[[], tuple[Side, Side]]
) -> None:
    """Item by item and error by error; also that an addition to what is not there is an error."""
    (model, embedded), space = sides(), f"{uuid.uuid4()}#"

    for call in sequence:
        assert answer(call, model.store, space) == answer(call, embedded.store, space)

    everything = GetMany(KEYS)
    assert answer(everything, model.store, space) == answer(everything, embedded.store, space)
    assert model.heard.answers == embedded.heard.answers
    assert model.clock.now == embedded.clock.now


def test_the_sequences_reach_every_answer(sides: Callable[[], tuple[Side, Side]]) -> None:
    """One by hand, for what the random ones may miss."""
    here, there = "tat", "line#alfa"
    sequence: list[Call] = [
        Update("k", {here: 1}, {}, [(here, "<", 0)]),
        Update("k", {}, {here: 2}, [(here, ">=", 1)]),
        Update("k", {}, {here: 2}, [(here, "<=", 2)]),  # not the case: what is there comes back
        Update("k", {}, {there: 2}, [(here, "<=", 3)]),  # an addition to what is not there
        Update("new", {}, {there: 2}, [(there, ">=", 1)]),  # not the case, and nothing is there
        Update("new", {}, {there: 2}, [(there, "<", 1)]),
        Put("nine", {here: 9}, 1, None),
        Update("nine", {here: 10}, {}, [(here, "<", 10)]),
        Update("nine", {here: 9}, {}, [(here, ">=", 9)]),
        Update("nine", {here: 9}, {}, [(here, "<", 9), (here, ">=", 10)]),
        Put("k", {"answer": {"field_errors": {}, "deep": {"yes": True}}}, 1, None),
        Put("k", {}, 2, 1),
        Put("other", {"answer": {"field_errors": {}, "deep": {"yes": True}}}, 1, None),
        Put("other", {"flag": False}, 2, 1),
        Put("other", {"flag": False}, 2, 1),
        GetMany(("k", "new", "nine", "other")),
    ]
    (model, embedded), space = sides(), f"{uuid.uuid4()}#"

    for call in sequence:
        assert answer(call, model.store, space) == answer(call, embedded.store, space)

    assert model.heard.answers == embedded.heard.answers
    codes = [code for _, code, _ in model.heard.answers]
    assert codes.count("ConditionalCheckFailedException") == 6
    assert codes.count("ValidationException") > 2
    assert [bool(item) for _, code, item in model.heard.answers if code.startswith("C")] == [
        *(True, False, True),  # updates tell what is there,
        *(False, False, False),  # puts do not
    ]


REFUSED: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    "a condition on another type": (
        "UpdateItem",
        {
            "Key": {"id": {"S": "k"}},
            "UpdateExpression": "SET #0 = :0",
            "ConditionExpression": "#c0 >= :c0",
            "ExpressionAttributeNames": {"#0": "a", "#c0": "version"},
            "ExpressionAttributeValues": {":0": {"N": "1"}, ":c0": {"S": "1"}},
        },
    ),
    "an older version": (
        "PutItem",
        {
            "Item": {"id": {"S": "k"}, "version": {"N": "2"}},
            "ConditionExpression": "version = :previous",
            "ExpressionAttributeValues": {":previous": {"N": "7"}},
        },
    ),
    "an item that is there": (
        "PutItem",
        {"Item": {"id": {"S": "k"}}, "ConditionExpression": "attribute_not_exists(id)"},
    ),
}


@pytest.mark.parametrize(("operation", "parameters"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("told", [True, False])
def test_a_refused_write_tells_what_is_there_only_if_it_is_asked_to(
    operation: str,
    parameters: dict[str, Any],
    told: bool,
    service: Callable[[str], aws.Service],
    table: str,
) -> None:
    key, all_old = str(uuid.uuid4()), {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    item = {"id": {"S": key}, "version": {"N": "1"}}
    text = json.dumps({**parameters, "TableName": table, **(all_old if told else {})})
    write = {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(id)"}
    answers = []
    for model in (DynamoDb(lambda: 0.0), service("dynamodb")):
        model.call("PutItem", write)
        with pytest.raises(AwsError) as raised:
            model.call(operation, json.loads(text.replace('"k"', json.dumps(key))))
        answers.append((raised.value.code, raised.value.body.get("Item")))

    assert answers == [("ConditionalCheckFailedException", item if told else None)] * 2


@pytest.mark.parametrize("number", [0, 101, -2], ids=["none", "too many", "one of them twice"])
def test_a_batch_of_too_many_keys_or_of_one_key_twice_is_refused(
    number: int, service: Callable[[str], aws.Service], table: str
) -> None:
    keys = [{"id": {"S": str(max(0, each))}} for each in range(min(number, 0), max(number, 0))]
    for model in (DynamoDb(lambda: 0.0), service("dynamodb")):
        with pytest.raises(AwsError) as raised:
            model.call("BatchGetItem", {"RequestItems": {table: {"Keys": keys}}})
        assert raised.value.code == "ValidationException"


@settings(deadline=None)
@given(left=st.lists(st.integers(0, 100), max_size=10), number=st.integers(0, 250))
def test_many_items_are_read_even_if_batches_are_not_done_as_a_whole(
    left: list[int], number: int
) -> None:
    clock, asked = Clock(), list[int]()

    def leaves(keys: int) -> int:
        asked.append(keys)
        return min(left.pop(), keys) if left else 0

    model = DynamoDb(lambda: 0.0, leaves=leaves)
    store = DynamoStore(cast("aws.Service", model), "ledger", clock=clock, sleep=clock.advance)
    for each in range(0, number, 2):
        store.put({"id": str(each), "version": 1}, previous=None)

    found = [item["id"] for item in store.get_many([str(each) for each in range(number)])]

    assert sorted(found, key=int) == [str(each) for each in range(0, number, 2)]
    assert max(asked, default=0) <= MOST_KEYS


@dataclass(frozen=True)
class Step:
    """What a sender does with the ledger and the rate limit; `seconds` pass before."""

    seconds: float
    what: str
    order: str = "1"
    revision: int = 1
    amount: int = 1
    corrects: bool = True

    def on(self, side: Side, space: str, claims: dict[str, Record]) -> object:
        now = side.clock.now
        if self.what == "claim":
            claim = self._claim(side, space, now)
            claims[self.order] = claim.record
            return claim
        if self.what in SETTLING:
            held = claims.get(self.order)
            settled = SETTLING[self.what]
            return held and side.ledger.settle(held, lambda record: settled(record, now), now)
        if self.what == "note":
            side.ledger.note_success(space, now, correction=self.corrects)
            return side.ledger.last_success(space, correction=self.corrects)
        if self.what == "pause":
            return side.rate_limit.pause(space, self.seconds if self.corrects else None, now)
        return side.rate_limit.reserve(space, self.order, now, waited=self.corrects)

    def _claim(self, side: Side, space: str, now: datetime) -> Claim:
        wanted = conversion(
            shop=space,
            order_id=self.order,
            revision=self.revision,
            amount=Decimal(self.amount),
            void=self.amount == 0,
        )
        token = f"{self.order} {now}"
        return side.ledger.claim(wanted, pixel_id="p", corrects=self.corrects, now=now, token=token)


ANSWER: Final = Problem(400, "No", "Not so", {"data.amount": "is too much"}, "request-1")
SETTLING: Final[Mapping[str, Callable[[Record, datetime], Record]]] = {
    "report": lambda record, _: reported(record, record.wanted, certain=False),
    "fail": lambda record, _: failed(record, ANSWER, stored=True, refused=True),
    "bury": lambda record, now: dead(record, record.wanted, DeathReason.REFUSED, ANSWER, now),
    "give back": lambda record, now: untouched(record, not_before=now + SECOND, alone=True),
}
steps = st.builds(
    Step,
    seconds=st.sampled_from((0.0, 0.001, 1.5, 12.5, 80.0, 400.0, 3600.0, 60 * DAY)),
    what=st.sampled_from(("claim", "claim", *SETTLING, "note", "pause", "reserve", "reserve")),
    order=st.sampled_from(("1", "2")),
    revision=st.integers(1, 3),
    amount=st.integers(0, 2),
    corrects=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(sequence=st.lists(steps, max_size=15))
def test_ledger_and_rate_limit_live_on_the_table_as_on_the_embedded_aws_s(
    sequence: list[Step], sides: Callable[[], tuple[Side, Side]]
) -> None:
    """Also with items that have expired and are still there."""
    both, space = sides(), str(uuid.uuid4())
    results = []
    for side in both:
        claims: dict[str, Record] = {}
        result = []
        for step in sequence:
            side.clock.advance(step.seconds)
            result.append(step.on(side, space, claims))
        results.append(result)

    assert results[0] == results[1]


def is_new(claim: Claim) -> bool:
    """Nothing of an earlier record is left."""
    record = claim.record
    return (
        claim.outcome is None
        and record.version == 1
        and record.reported is None
        and record.first_try_at == record.updated_at
    )


@pytest.mark.parametrize("which", [0, 1], ids=["model", "embedded"])
def test_an_order_whose_item_has_expired_is_new_even_if_the_item_is_still_there(
    which: int, sides: Callable[[], tuple[Side, Side]]
) -> None:
    side, shop = sides()[which], str(uuid.uuid4())
    wanted = conversion(shop=shop)

    def claim(token: str) -> Claim:
        now = side.clock.now
        return side.ledger.claim(wanted, pixel_id="p", corrects=True, now=now, token=token)

    first = claim("one").record
    side.ledger.settle(first, lambda r: reported(r, r.wanted, certain=True), side.clock.now)
    side.clock.advance(KEPT.total_seconds() - 1)
    assert claim("two").outcome is Outcome.DUPLICATE

    side.clock.advance(1)
    there = side.store.get(first.key)
    again = claim("three")

    assert there is not None
    assert there["status"] == Status.REPORTED
    assert again.outcome is None
    assert again.record.reported is None
    assert again.record.first_try_at == side.clock.now
    assert again.record.version == there["version"] + 1


@pytest.mark.parametrize("lag", [0.0, DAY, 2 * DAY])
def test_what_has_expired_goes_from_the_model_after_its_lag(lag: float) -> None:
    """Also between a read and a write: then the order is made anew."""
    clock = Clock()
    model = DynamoDb(lambda: clock.now.timestamp(), ttl_lag=lag)
    side = Side(Heard(model), "ledger", clock)
    wanted = conversion()
    key = side.ledger.claim(wanted, pixel_id="p", corrects=True, now=START, token="a").record.key

    clock.advance(KEPT.total_seconds() + lag)
    before = side.store.get(key)
    clock.advance(1)

    assert before is not None
    assert not side.store.put({**before, "version": 2}, previous=1)
    assert side.store.get(key) is None
    assert is_new(side.ledger.claim(wanted, pixel_id="p", corrects=True, now=clock.now, token="b"))


@pytest.mark.parametrize("waited", [True, False])
def test_a_rate_limit_that_has_expired_limits_nobody(
    waited: bool, sides: Callable[[], tuple[Side, Side]]
) -> None:
    """Neither its last request nor its line nor its pauses, while the item is still there."""
    for side in sides():
        client = str(uuid.uuid4())
        assert side.rate_limit.reserve(client, "alfa", START) is None
        side.rate_limit.pause(client, 60.0, START)
        assert side.rate_limit.reserve(client, "alfa", START) is not None
        later = START + timedelta(days=3)
        side.clock.now = later

        assert side.store.get(f"rate#{client}") is not None
        assert side.rate_limit.reserve(client, "alfa", later, waited=waited) is None
        assert side.rate_limit.pause(client, None, later) == later + timedelta(seconds=60)


# The queue


UNLIKELY: Final = 0.999


class Chance(Random):
    """Does what it is told to."""

    value = UNLIKELY

    def random(self) -> float:
        return self.value


class Stage:
    """What the queue's model has of a world; no trouble, and messages are only collected."""

    def __init__(self, *, doubles: float = 0.0) -> None:
        self.time = Time()
        self.random = Chance(0)
        self.troubles = Troubles(self.random, [])
        self.setting = Setting(shops=[], troubles=self.troubles, allowance=1, doubles=doubles)
        self.batches: list[list[Message]] = []
        self.queue = sqs.Queue(cast("World", self))

    @contextmanager
    def chance(self, value: float) -> Iterator[None]:
        """What AWS's pages leave open goes this way; the first of two, if it is 0."""
        before, self.random.value = self.random.value, value
        yield
        self.random.value = before

    def log(self, text: str, *values: object) -> None: ...

    def violated(self, what: str) -> None: ...

    def strikes(self, kind: str) -> bool:
        del kind
        return False

    def invoke(self, messages: Sequence[Message]) -> None:
        self.batches.append(list(messages))


class Courier:
    """Either queue, as the relay and the event source mapping use it."""

    url = "queue"
    dead_letters_url = "dead-letters"

    def __init__(self, model: Model) -> None:
        self.sqs = model
        self.relay = ConversionQueue(cast("aws.Service", model), self.url, self.dead_letters_url)

    def send(self, body: str, delay: int) -> None:
        message = {"QueueUrl": self.url, "MessageBody": body, "MessageGroupId": "alfa"}
        delayed = {"DelaySeconds": delay} if delay else {}
        self.sqs.call("SendMessage", {**message, **delayed})

    def hide(self, message: Message, seconds: int) -> str:
        """The error's code; empty if there is none."""
        change = {"ReceiptHandle": message.receipt, "VisibilityTimeout": seconds}
        try:
            self.sqs.call("ChangeMessageVisibility", {"QueueUrl": self.url, **change})
        except AwsError as error:
            return error.code
        return ""

    def receive(self, most: int) -> list[Message]:
        raise NotImplementedError

    def answer(self, batch: Sequence[Message], unsettled: Sequence[Message]) -> None:
        """What an invocation returns: the mapping deletes all but the unsettled."""
        raise NotImplementedError

    def dead_letters(self) -> list[str]:
        raise NotImplementedError

    def left(self) -> int:
        """How many messages the queue holds, whoever may see them."""
        raise NotImplementedError


class ModelCourier(Courier):
    def __init__(self) -> None:
        self.stage = Stage()
        self.queue = self.stage.queue
        self.queue.deploy(EventSource(senders=0, batch=0, window=0.0))
        super().__init__(self.queue)

    def receive(self, most: int) -> list[Message]:
        seen = len(self.stage.batches)
        free = self.queue.senders + 1
        self.queue.deploy(EventSource(senders=free, batch=most, window=0.0))
        self.queue.poll()
        self.queue.deploy(EventSource(senders=0, batch=0, window=0.0))
        return [message for batch in self.stage.batches[seen:] for message in batch]

    def answer(self, batch: Sequence[Message], unsettled: Sequence[Message]) -> None:
        with self.stage.chance(0.0):
            self.queue.answered(batch, [message.id for message in unsettled])

    def shows(self, message: Message) -> bool:
        found = self.queue.waiting.get(message.id)
        return found is not None and found.visible_at <= self.stage.time.now

    def dead_letters(self) -> list[str]:
        return sorted(self.queue.dead_letters)

    def left(self) -> int:
        return len(self.queue.waiting)


class EmbeddedCourier(Courier):
    def __init__(self, service: aws.Service, most_receives: int) -> None:
        """The template's queues, but that for the number of receives."""
        name = f"queue-{uuid.uuid4()}"
        self.dead_letters_url = self._created(service, f"{name}-dead", {})
        asked = {"QueueUrl": self.dead_letters_url, "AttributeNames": ["QueueArn"]}
        arn = service.call("GetQueueAttributes", asked)["Attributes"]["QueueArn"]
        redrive = {"deadLetterTargetArn": arn, "maxReceiveCount": most_receives}
        template = properties("ConversionQueue")
        numbers = ("MessageRetentionPeriod", "VisibilityTimeout")
        self.url = self._created(
            service,
            name,
            {each: str(template[each]) for each in numbers}
            | {"RedrivePolicy": json.dumps(redrive)},
        )
        super().__init__(service)

    @staticmethod
    def _created(service: aws.Service, name: str, attributes: dict[str, str]) -> str:
        made = service.call("CreateQueue", {"QueueName": name, "Attributes": attributes})
        return str(made["QueueUrl"])

    def receive(self, most: int) -> list[Message]:
        return [Message.from_record(_record(each)) for each in self._received(self.url, most)]

    def answer(self, batch: Sequence[Message], unsettled: Sequence[Message]) -> None:
        entries = [
            {"Id": str(number), "ReceiptHandle": message.receipt}
            for number, message in enumerate(batch)
            if message not in unsettled
        ]
        if entries:
            self.sqs.call("DeleteMessageBatch", {"QueueUrl": self.url, "Entries": entries})

    def dead_letters(self) -> list[str]:
        return sorted(each["Body"] for each in self._received(self.dead_letters_url, 10))

    def left(self) -> int:
        asked = {"QueueUrl": self.url, "AttributeNames": ["All"]}
        found = self.sqs.call("GetQueueAttributes", asked)["Attributes"]
        states = ("", "NotVisible", "Delayed")
        return sum(int(found[f"ApproximateNumberOfMessages{state}"]) for state in states)

    def delete(self) -> None:
        for url in (self.url, self.dead_letters_url):
            self.sqs.call("DeleteQueue", {"QueueUrl": url})

    def _received(self, url: str, most: int) -> list[dict[str, Any]]:
        asked = {"MaxNumberOfMessages": most, "WaitTimeSeconds": 0, "AttributeNames": ["All"]}
        found: list[dict[str, Any]] = self.sqs.call(
            "ReceiveMessage", {"QueueUrl": url, **asked}
        ).get("Messages", [])
        return found


def _record(message: Mapping[str, Any]) -> dict[str, Any]:
    """As the event source mapping hands it over."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
    }


@contextmanager
def couriers(
    service: Callable[[str], aws.Service], most_receives: int
) -> Iterator[tuple[ModelCourier, EmbeddedCourier]]:
    embedded = EmbeddedCourier(service("sqs"), most_receives)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqs, "MOST_RECEIVES", most_receives)
            yield ModelCourier(), embedded
    finally:
        embedded.delete()


# What AWS answers where a receipt is of no use any more, and nothing happens.
USELESS: Final = {"InvalidParameterValue", "MessageNotInflight", "ReceiptHandleIsInvalid"}

Pair = tuple[Message, Message]  # one receive of a message, here and there


class Both:
    """Both queues in step; every difference that AWS's pages do not leave open is an error."""

    def __init__(self, model: ModelCourier, embedded: EmbeddedCourier) -> None:
        self.model, self.embedded = model, embedded
        self.batches: list[list[Pair]] = []
        self.received: list[Pair] = []
        self.newest: dict[str, Pair] = {}
        self.gone: set[str] = set()
        self._sent = 0

    def send(self, delay: int) -> None:
        self._sent += 1
        for queue in (self.model, self.embedded):
            queue.send(f"message {self._sent}", delay)

    def receive(self, most: int) -> list[str]:
        here, there = (
            sorted(queue.receive(most), key=lambda message: message.body)
            for queue in (self.model, self.embedded)
        )
        assert seen(here) == seen(there)
        batch = list(zip(here, there, strict=True))
        self.received += batch
        self.newest |= {mine.body: (mine, its) for mine, its in batch}
        if batch:
            self.batches.append(batch)
        return [message.body for message in here]

    def hide(self, number: int, seconds: int, *, refuses: bool) -> None:
        """`refuses`: what the model does where the pages leave it open."""
        if not self.received:
            return
        mine, its = pair = self.received[number % len(self.received)]
        if self.newest[mine.body] == pair and self.model.shows(mine):
            return  # the embedded AWS hides it again, which AWS does not
        with self.model.stage.chance(0.0 if refuses else UNLIKELY):
            told = self.model.hide(mine, seconds)
        codes = {told, self.embedded.hide(its, seconds)}
        if mine.body in {*self.gone, *self.model.dead_letters()}:
            assert "" not in codes
        elif self.newest[mine.body] == pair:
            assert codes == {""}
        assert codes <= {"", *USELESS}

    def answer(self, number: int, settled: Sequence[bool]) -> None:
        if not self.batches:
            return
        batch = self.batches.pop(number % len(self.batches))
        unsettled = [pair for place, pair in enumerate(batch) if not settled[place % len(settled)]]
        self.gone |= {
            pair[0].body
            for pair in batch
            if pair not in unsettled and self.newest[pair[0].body] == pair
        }
        self.model.answer([mine for mine, _ in batch], [mine for mine, _ in unsettled])
        self.embedded.answer([its for _, its in batch], [its for _, its in unsettled])

    def set_aside(self, number: int) -> None:
        """The relay's own way to the dead letters."""
        if self.received:
            mine, its = self.received[number % len(self.received)]
            assert self.model.relay.set_aside(mine)
            assert self.embedded.relay.set_aside(its)

    def end(self) -> None:
        while self.receive(10):
            pass
        assert self.model.dead_letters() == self.embedded.dead_letters()
        assert self.model.left() == self.embedded.left()


def seen(messages: Sequence[Message]) -> list[tuple[str, int]]:
    return [(message.body, message.receives) for message in messages]


Action = Callable[[Both], object]
numbers = st.integers(0, 30)
moments = st.sampled_from((0, 0, LONG))
receives = st.integers(1, 10)
actions: st.SearchStrategy[Action] = st.one_of(
    moments.map(lambda delay: lambda both: both.send(delay)),
    receives.map(lambda most: lambda both: both.receive(most)),
    st.tuples(numbers, moments, st.booleans()).map(
        lambda drawn: lambda both: both.hide(drawn[0], drawn[1], refuses=drawn[2])
    ),
    st.tuples(numbers, st.lists(st.booleans(), min_size=1, max_size=3)).map(
        lambda drawn: lambda both: both.answer(*drawn)
    ),
)


@settings(max_examples=100, deadline=None)
@given(sequence=st.lists(actions, max_size=25))
def test_the_queue_shows_and_hides_messages_as_the_embedded_aws_does(
    sequence: list[Action], service: Callable[[str], aws.Service]
) -> None:
    """Who sees which message, for the how manieth time, and whom a stale receipt does no harm."""
    with couriers(service, most_receives=1000) as queues:
        both = Both(*queues)
        for action in sequence:
            action(both)
        both.end()
        assert both.model.dead_letters() == []


@settings(max_examples=40, deadline=None)
@given(
    most_receives=st.integers(1, 3),
    sent=st.integers(1, 4),
    sequence=st.lists(st.tuples(numbers, moments, st.booleans()), max_size=12),
)
def test_a_message_goes_to_the_dead_letters_after_its_last_receive(
    most_receives: int,
    sent: int,
    sequence: list[tuple[int, int, bool]],
    service: Callable[[str], aws.Service],
) -> None:
    """When it would be received once more; and not while it is hidden, nor once it is deleted."""
    with couriers(service, most_receives) as queues:
        both = Both(*queues)
        for _ in range(sent):
            both.send(0)
        for number, seconds, settles in sequence:
            both.receive(10)
            if settles:
                both.answer(number, [seconds == 0, False])
            both.hide(number, seconds, refuses=False)
        both.set_aside(0)
        both.end()


@pytest.mark.parametrize("refuses", [True, False])
def test_a_stale_receipt_does_no_harm(refuses: bool, service: Callable[[str], aws.Service]) -> None:
    """Neither ends nor begins the hiding of a newer receive, and does not delete it either."""
    with couriers(service, most_receives=1000) as queues:
        both = Both(*queues)
        both.send(0)
        assert both.receive(10) == ["message 1"]
        both.hide(0, 0, refuses=refuses)
        assert both.receive(10) == ["message 1"]

        both.hide(0, 0, refuses=refuses)
        assert both.receive(10) == []
        both.hide(1, 0, refuses=refuses)
        both.hide(0, LONG, refuses=refuses)
        both.answer(0, [True])
        assert both.receive(10) == ["message 1"]
        both.hide(2, 0, refuses=refuses)
        both.answer(-1, [True])
        assert both.model.left() == both.embedded.left() == 0


# The queue, in time


def staged(source: EventSource, *, doubles: float = 0.0) -> Stage:
    stage = Stage(doubles=doubles)
    stage.queue.deploy(source)
    return stage


PROMPT: Final = EventSource(senders=10, batch=10, window=0.0)


def received_by(stage: Stage, moment: datetime) -> list[str]:
    """What was handed over until then, since it was last asked."""
    stage.time.run(moment)
    stage.time.now = max(stage.time.now, moment)
    bodies = [message.body for batch in stage.batches for message in batch]
    stage.batches.clear()
    return bodies


def test_a_delayed_message_is_seen_after_its_delay() -> None:
    stage = staged(PROMPT)

    stage.queue.send("now")
    stage.queue.send("later", queues.LONGEST_DELAY)

    later = START + timedelta(seconds=queues.LONGEST_DELAY)
    assert received_by(stage, later - SECOND) == ["now", "now", "now"]
    assert "later" in received_by(stage, later)


def test_a_message_that_is_not_deleted_is_seen_again_after_the_visibility_timeout() -> None:
    stage = staged(PROMPT)
    stage.queue.send("message")

    assert received_by(stage, START) == ["message"]
    assert received_by(stage, START + sqs.VISIBILITY - SECOND) == []
    assert received_by(stage, START + sqs.VISIBILITY) == ["message"]


def test_a_postponed_message_is_seen_when_the_relay_said() -> None:
    """For the time that it was hidden before does not count."""
    stage = staged(PROMPT)
    stage.queue.send("message")
    stage.time.run(START)
    ((message,),) = stage.batches
    stage.batches.clear()
    stage.time.now += 60 * SECOND

    ConversionQueue(cast("aws.Service", stage.queue), "queue", "dead").postpone(message, 3600)

    assert received_by(stage, START + timedelta(seconds=3659)) == []
    assert received_by(stage, START + timedelta(seconds=3660)) == ["message"]


@pytest.mark.parametrize(("seconds", "code"), [(43_140, ""), (43_141, "InvalidParameterValue")])
def test_a_message_is_hidden_for_twelve_hours_at_most_in_all(seconds: int, code: str) -> None:
    """Counted from its receive, a minute ago. The embedded AWS takes any number."""
    courier = ModelCourier()
    courier.send("message", 0)
    (message,) = courier.receive(1)
    courier.stage.time.now += 60 * SECOND

    assert courier.hide(message, seconds) == code


@pytest.mark.parametrize("refuses", [True, False])
def test_who_would_hide_a_message_that_is_seen_again_comes_too_late(refuses: bool) -> None:
    """AWS takes no notice or refuses; the embedded AWS hides it."""
    courier = ModelCourier()
    courier.send("message", 0)
    (message,) = courier.receive(1)
    courier.stage.time.now += sqs.VISIBILITY

    with courier.stage.chance(0.0 if refuses else UNLIKELY):
        assert bool(courier.hide(message, LONG)) is refuses

    assert len(courier.receive(1)) == 1


@pytest.mark.parametrize("deletes", [True, False])
def test_deleting_by_an_old_receipt_may_delete(deletes: bool) -> None:
    """AWS says no more than that it might not."""
    stage = staged(PROMPT)
    stage.queue.send("message")
    stage.time.run(START + sqs.VISIBILITY)
    first, _ = stage.batches

    with stage.chance(UNLIKELY if deletes else 0.0):
        stage.queue.answered(first, [])

    assert len(stage.queue.waiting) == (0 if deletes else 1)


def test_a_message_is_delayed_by_fifteen_minutes_at_most() -> None:
    """The embedded AWS takes any number."""
    courier = ModelCourier()
    courier.send("message", sqs.LONGEST_DELAY)

    with pytest.raises(AwsError, match=r"^SendMessage: InvalidParameterValue$"):
        courier.send("message", sqs.LONGEST_DELAY + 1)

    assert sqs.LONGEST_DELAY == queues.LONGEST_DELAY
    assert courier.left() == 1


def test_the_relay_never_asks_for_more_than_twelve_hours_in_all() -> None:
    """Even at the end of the function's time."""
    courier = ModelCourier()
    courier.send("message", 0)
    (message,) = courier.receive(1)
    courier.stage.time.now += timedelta(seconds=FUNCTION_SECONDS)
    courier.relay.postpone(message, 10**9)

    courier.stage.time.now += queues.LONGEST_WAIT - SECOND
    assert courier.receive(1) == []
    courier.stage.time.now += SECOND
    assert len(courier.receive(1)) == 1
    assert queues.LONGEST_WAIT + timedelta(seconds=FUNCTION_SECONDS) < sqs.LONGEST_VISIBILITY


@pytest.mark.parametrize(("age", "lost"), [(sqs.RETENTION, []), (sqs.RETENTION + SECOND, ["old"])])
def test_a_message_is_lost_after_its_retention(age: timedelta, lost: list[str]) -> None:
    """And the simulation counts it, as a broken promise."""
    courier = ModelCourier()
    courier.send("old", 0)
    courier.stage.time.now += age

    assert [message.body for message in courier.receive(1)] == [*{"old"} - {*lost}]
    assert courier.queue.lost == lost


def test_a_message_may_be_seen_twice_at_once_and_again_after_it_was_deleted() -> None:
    stage = staged(PROMPT, doubles=1.0)
    stage.queue.send("message")
    stage.time.run(START + SECOND)
    (first,), (second,) = stage.batches[:2]

    assert (first.id, first.receives, second.receives) == (second.id, 1, 2)
    assert first.receipt != second.receipt

    stage = staged(PROMPT, doubles=1.0)
    stage.queue.send("message")
    stage.time.run(START)
    (batch,) = stage.batches
    stage.queue.answered(batch, [])
    assert "message" in received_by(stage, START + 31 * SECOND)


def test_a_failed_invocation_deletes_nothing() -> None:
    stage = staged(PROMPT)
    stage.queue.send("message")
    stage.time.run(START)

    stage.queue.answered(stage.batches.pop(), None)

    assert received_by(stage, START + sqs.VISIBILITY - SECOND) == []
    assert received_by(stage, START + sqs.VISIBILITY) == ["message"]


@pytest.mark.parametrize("senders", [1, 2, 5])
def test_the_event_source_mapping_keeps_to_its_numbers(senders: int) -> None:
    """So many messages at once, for so many senders; the rest when one is free."""
    stage = staged(EventSource(senders=senders, batch=3, window=0.0))
    for number in range(20):
        stage.queue.send(str(number))

    stage.time.run(START + SECOND)
    assert [len(batch) for batch in stage.batches] == [3] * senders

    stage.queue.answered(stage.batches[0], [])
    assert len(stage.batches) == senders + 1
    assert len(stage.queue.waiting) == 17


# Secrets


def test_secrets_are_read_as_from_the_embedded_aws(
    embedded_aws: EmbeddedAws, service: Callable[[str], aws.Service]
) -> None:
    world = World(0, reconciles=False)
    space, clock = uuid.uuid4(), Clock()
    client = embedded_aws.client("secretsmanager")
    for shop in world.shops:
        text = shop.document(world.time.now)
        client.create_secret(Name=f"{space}/{shop.name}", SecretString=text)
    here, there = (
        secrets_reader(cast("aws.Service", model), prefix, clock=clock, sleep=clock.advance)
        for model, prefix in (
            (world.models["secretsmanager"], "shops/"),
            (service("secretsmanager"), f"{space}/"),
        )
    )

    deadline = START + timedelta(minutes=1)
    for shop in world.shops:
        assert here(shop.name, deadline) == there(shop.name, deadline)
    for read in (here, there):
        with pytest.raises(UnknownShopError):
            read("nobody", deadline)
    assert clock.now == START


@pytest.mark.parametrize(
    ("deleted", "code"),
    [(False, "ResourceNotFoundException"), (True, "InvalidRequestException")],
)
def test_a_secret_that_is_missing_or_marked_for_deletion_is_no_shop(
    deleted: bool,
    code: str,
    embedded_aws: EmbeddedAws,
    service: Callable[[str], aws.Service],
) -> None:
    name, clock = str(uuid.uuid4()), Clock()
    if deleted:
        client = embedded_aws.client("secretsmanager")
        client.create_secret(Name=name, SecretString="{}")
        client.delete_secret(SecretId=name, RecoveryWindowInDays=7)
    heard = Heard(service("secretsmanager"))
    read = secrets_reader(cast("aws.Service", heard), "", clock=clock, sleep=clock.advance)

    with pytest.raises(UnknownShopError):
        read(name, START + timedelta(minutes=1))

    assert [error for _, error, _ in heard.answers] == [code]


# Documented behaviour


def test_the_model_s_queue_is_the_template_s() -> None:
    queue = properties("ConversionQueue")

    assert timedelta(seconds=queue["VisibilityTimeout"]) == sqs.VISIBILITY
    assert timedelta(seconds=queue["MessageRetentionPeriod"]) == sqs.RETENTION
    assert timedelta(seconds=properties("DeadLetters")["MessageRetentionPeriod"]) == sqs.RETENTION
    assert queue["RedrivePolicy"]["maxReceiveCount"] == sqs.MOST_RECEIVES
    assert "FifoQueue" not in queue


def test_the_model_s_event_source_is_the_template_s() -> None:
    source = properties("SenderEvents")

    assert default("SenderBatchSize") == DEPLOYED.batch
    assert default("SenderBatchWindow") == DEPLOYED.window
    assert default("SenderConcurrency") == DEPLOYED.senders
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (DEPLOYED.batch > 10) <= (DEPLOYED.window >= 1)


def test_a_sender_has_ended_long_before_its_messages_are_seen_again() -> None:
    """Six times its time, plus the time in which a batch is gathered."""
    seconds = properties("SenderFunction")["Timeout"]

    assert seconds == FUNCTION_SECONDS
    assert timedelta(seconds=6 * seconds) <= sqs.VISIBILITY


def test_a_worn_message_is_far_from_the_queue_s_own_limits() -> None:
    """It is put on anew before it goes to the dead letters, or is lost while it waits."""
    assert queues.MOST_RECEIVES * 2 < sqs.MOST_RECEIVES
    assert queues.LONGEST_STAY + queues.LONGEST_WAIT < sqs.RETENTION
    assert timedelta(days=14) == sqs.RETENTION
    assert timedelta(hours=12) == sqs.LONGEST_VISIBILITY


def test_the_model_s_table_is_the_template_s() -> None:
    ledger = properties("Ledger")

    assert ledger["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert ledger["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_a_message_is_far_smaller_than_the_queue_allows() -> None:
    fields = {"order_id": "9" * 200, "order_reference": "9" * 200, "shop": "s" * 64}

    assert len(conversion(**fields).to_message().encode()) * 100 < 1_048_576


@pytest.mark.parametrize("name", THROTTLED)
def test_a_throttled_service_is_called_again(name: str) -> None:
    """By its code in the model, which the service has among its errors or shares with all."""
    shapes = create_loader().load_service_model(name, "service-2")["shapes"]
    failures, pauses = [AwsError("Call", THROTTLED[name])] * 2, list[float]()

    def call() -> str:
        if failures:
            raise failures.pop()
        return "done"

    deadline = START + BUDGET
    assert aws.until(deadline, call, clock=lambda: START, sleep=pauses.append) == "done"
    assert len(pauses) == 2
    assert THROTTLED[name] in {*shapes, "ThrottlingException"}


@dataclass(frozen=True)
class Fact:
    """What AWS says, where; its words in botocore's description of `part`; the test for it."""

    says: str
    page: str
    service: str
    part: tuple[str, ...]
    words: str
    held_by: Callable[..., None]


SQS_API: Final = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference"
LAMBDA_API: Final = "https://docs.aws.amazon.com/lambda/latest/api"
DYNAMODB_API: Final = "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference"
CREATE_QUEUE: Final = ("shapes", "CreateQueueRequest", "members", "Attributes")
CREATE_MAPPING: Final = ("shapes", "CreateEventSourceMappingRequest", "members")

FACTS: Final = (
    Fact(
        "a message is kept for 14 days at most",
        f"{SQS_API}/API_CreateQueue.html",
        "sqs",
        CREATE_QUEUE,
        "to 1,209,600 seconds (14 days)",
        test_a_message_is_lost_after_its_retention,
    ),
    Fact(
        "a message is kept longer than the relay leaves it there",
        f"{SQS_API}/API_DeleteMessage.html",
        "sqs",
        ("operations", "DeleteMessage"),
        "automatically deletes messages left in a queue longer than the retention period",
        test_a_worn_message_is_far_from_the_queue_s_own_limits,
    ),
    Fact(
        "a message is delayed by 15 minutes at most",
        f"{SQS_API}/API_SendMessage.html",
        "sqs",
        ("shapes", "SendMessageRequest", "members", "DelaySeconds"),
        "Valid values: 0 to 900",
        test_a_message_is_delayed_by_fifteen_minutes_at_most,
    ),
    Fact(
        "a message has 1 MiB at most",
        f"{SQS_API}/API_SendMessage.html",
        "sqs",
        ("shapes", "SendMessageRequest", "members", "MessageBody"),
        "The maximum size is 1 MiB or 1,048,576 bytes",
        test_a_message_is_far_smaller_than_the_queue_allows,
    ),
    Fact(
        "a message is hidden for 12 hours at most, and more is refused",
        f"{SQS_API}/API_ChangeMessageVisibility.html",
        "sqs",
        ("operations", "ChangeMessageVisibility"),
        "to a value greater than the maximum time left, Amazon SQS returns an error",
        test_a_message_is_hidden_for_twelve_hours_at_most_in_all,
    ),
    Fact(
        "a changed visibility counts from the change",
        f"{SQS_API}/API_ChangeMessageVisibility.html",
        "sqs",
        ("operations", "ChangeMessageVisibility"),
        "begin to count from the time that you make the ChangeMessageVisibility call",
        test_a_postponed_message_is_seen_when_the_relay_said,
    ),
    Fact(
        "a deleted message may come again",
        f"{SQS_API}/API_DeleteMessage.html",
        "sqs",
        ("operations", "DeleteMessage"),
        "it is possible to receive a message even after you delete it",
        test_a_message_may_be_seen_twice_at_once_and_again_after_it_was_deleted,
    ),
    Fact(
        "deleting by an old receipt may do nothing",
        f"{SQS_API}/API_DeleteMessage.html",
        "sqs",
        ("operations", "DeleteMessage"),
        "the request will succeed, but the message might not be deleted",
        test_deleting_by_an_old_receipt_may_delete,
    ),
    Fact(
        "a batch of keys may be done in part",
        f"{DYNAMODB_API}/API_BatchGetItem.html",
        "dynamodb",
        ("operations", "BatchGetItem"),
        "If a partial result is returned, the operation returns a value for UnprocessedKeys",
        test_many_items_are_read_even_if_batches_are_not_done_as_a_whole,
    ),
    Fact(
        "a batch has 100 keys at most, and each once",
        f"{DYNAMODB_API}/API_BatchGetItem.html",
        "dynamodb",
        ("operations", "BatchGetItem"),
        "ValidationException if the same key is specified multiple times",
        test_a_batch_of_too_many_keys_or_of_one_key_twice_is_refused,
    ),
    Fact(
        "a message goes to the dead letters when it is received more often than allowed",
        f"{SQS_API}/API_CreateQueue.html",
        "sqs",
        CREATE_QUEUE,
        "When the ReceiveCount for a message exceeds the maxReceiveCount",
        test_a_message_goes_to_the_dead_letters_after_its_last_receive,
    ),
    Fact(
        "a batch of more than 10 messages needs a second to gather them",
        f"{LAMBDA_API}/API_CreateEventSourceMapping.html",
        "lambda",
        (*CREATE_MAPPING, "MaximumBatchingWindowInSeconds"),
        "you must set MaximumBatchingWindowInSeconds to at least 1",
        test_the_model_s_event_source_is_the_template_s,
    ),
    Fact(
        "an expired item is mostly gone within two days, and can be read until then",
        f"{DYNAMODB_API}/API_UpdateTimeToLive.html",
        "dynamodb",
        ("operations", "UpdateTimeToLive"),
        "Items that have expired and not been deleted will still show up in reads",
        test_an_order_whose_item_has_expired_is_new_even_if_the_item_is_still_there,
    ),
    Fact(
        "an item has expired when its moment is before now",
        f"{DYNAMODB_API}/API_UpdateTimeToLive.html",
        "dynamodb",
        ("operations", "UpdateTimeToLive"),
        "less than the current time, the item is marked as expired and subsequently deleted",
        test_what_has_expired_goes_from_the_model_after_its_lag,
    ),
)


def described(service: str, part: Sequence[str]) -> str:
    """AWS's description of a part of its API, without its mark-up."""
    found: Any = create_loader().load_service_model(service, "service-2")
    for name in part:
        found = found[name]
    return " ".join(re.sub(r"<[^>]+>", "", found["documentation"]).split())


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.says)
def test_aws_says_so(fact: Fact) -> None:
    """Not the last word, but a new botocore that says something else is noticed."""
    assert fact.words in described(fact.service, fact.part)
