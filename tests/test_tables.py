"""The ledger's store over the wire: reads, conditional writes, and what a failing table raises."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast

import pytest
import urllib3
from tests.sender.cloud import create_ledger, environment_of
from tests.sender.world import START, Clock, conversion

from prisjakt_relay import aws
from prisjakt_relay.errors import AwsError, Problem, StorageError
from prisjakt_relay.ledger import Ledger, Record, dead, reported, to_item
from prisjakt_relay.local.aws import EmbeddedAws
from prisjakt_relay.outcomes import DeathReason
from prisjakt_relay.tables import BUDGET, MOST_AT_ONCE, UNPROCESSED_PAUSE, DynamoStore


@pytest.fixture
def environment(embedded_aws: EmbeddedAws) -> dict[str, str]:
    return environment_of(embedded_aws)


@pytest.fixture
def dynamodb(environment: dict[str, str]) -> Iterator[aws.Service]:
    with urllib3.PoolManager(retries=False) as pool:
        yield aws.Service("dynamodb", environment=environment, pool=pool)


@pytest.fixture
def table(dynamodb: aws.Service) -> str:
    """A fresh table as the template describes it."""
    name = f"ledger-{uuid.uuid4()}"
    create_ledger(dynamodb, name)
    return name


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(dynamodb: aws.Service, table: str, clock: Clock) -> DynamoStore:
    return DynamoStore(dynamodb, table, clock=clock, sleep=clock.advance)


def item(version: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": "order#alfa#1001#purchase", "version": version, **more}


def test_what_is_not_there_is_none(store: DynamoStore) -> None:
    assert store.get("order#alfa#1001#purchase") is None


def test_a_new_item_is_written_once(store: DynamoStore) -> None:
    assert store.put(item(note="first"), previous=None)
    assert not store.put(item(note="second"), previous=None)

    assert store.get("order#alfa#1001#purchase") == item(note="first")


def test_an_item_is_replaced_by_who_knows_its_version(store: DynamoStore) -> None:
    store.put(item(1, note="first", old=True), previous=None)

    assert store.put(item(2, note="second"), previous=1)
    assert not store.put(item(2, note="third"), previous=1)
    assert store.get("order#alfa#1001#purchase") == item(2, note="second")


def test_what_is_not_there_has_no_version(store: DynamoStore) -> None:
    assert not store.put(item(2), previous=1)
    assert store.get("order#alfa#1001#purchase") is None


def test_texts_numbers_flags_and_maps_come_back_as_they_were(store: DynamoStore) -> None:
    values: dict[str, Any] = {
        "text": 'Å \U0001f6d2 "quoted"',
        "empty": "",
        "number": 2**53 - 1,
        "negative": -1,
        "yes": True,
        "no": False,
        "map": {"text": "a", "number": 0, "yes": True, "map": {"deep": "er"}, "empty": {}},
    }

    store.put(item(**values), previous=None)

    found = store.get("order#alfa#1001#purchase")
    assert found == item(**values)
    assert found is not None
    assert (type(found["yes"]), type(found["number"])) == (bool, int)


def test_a_ledger_record_comes_back_as_it_was(store: DynamoStore) -> None:
    ledger = Ledger(store)
    claim = ledger.claim(conversion(), pixel_id="pixel", corrects=False, now=START, token="one")
    answer = Problem(400, "No", "Not so", {"data.amount": "is too much"}, "request-1")

    def fill(record: Record) -> Record:
        full = reported(record, record.wanted, certain=False)
        return dead(full, record.wanted, DeathReason.REJECTED, answer, START)

    after = ledger.settle(claim.record, fill, START)

    assert after is not None
    assert store.get(after.key) == to_item(after)


def test_dead_orders_are_in_the_index_of_dead_orders(
    store: DynamoStore, dynamodb: aws.Service, table: str
) -> None:
    ledger = Ledger(store)
    alive = ledger.claim(
        conversion(order_id="1"), pixel_id="p", corrects=False, now=START, token="a"
    ).record
    doomed = ledger.claim(
        conversion(order_id="2"), pixel_id="p", corrects=False, now=START, token="b"
    ).record
    ledger.settle(
        doomed, lambda r: dead(r, r.wanted, DeathReason.REFUSED, Problem(403), START), START
    )

    found = dynamodb.call("Scan", {"TableName": table, "IndexName": "dead-orders"})["Items"]

    assert alive.key != doomed.key
    assert [one["id"] for one in found] == [{"S": doomed.key}]


# Changes on conditions

KEY = "rate#client"


def test_a_change_of_what_is_not_there_makes_it(store: DynamoStore) -> None:
    written = store.update(KEY, {"a": 1, "b": "two"}, add={}, only_if=[("a", "<", 5)])

    assert written == (True, {"id": KEY, "a": 1, "b": "two"})
    assert store.get(KEY) == written[1]


def test_a_change_sets_and_adds_at_once_and_leaves_the_rest(store: DynamoStore) -> None:
    store.update(KEY, {"a": 1, "b": 10, "c": "kept"}, add={}, only_if=[("a", "<", 5)])

    written = store.update(
        KEY, {"a": 2, "d": "new"}, add={"b": 5}, only_if=[("a", ">=", 1), ("b", "<=", 10)]
    )

    assert written == (True, {"id": KEY, "a": 2, "b": 15, "c": "kept", "d": "new"})
    assert store.get(KEY) == written[1]


def test_a_refused_change_returns_what_is_there(store: DynamoStore) -> None:
    _, before = store.update(KEY, {"a": 1, "b": "two"}, add={}, only_if=[("a", "<", 5)])

    assert store.update(KEY, {"b": "x"}, add={"a": 1}, only_if=[("a", ">=", 2)]) == (False, before)
    assert store.get(KEY) == before


def test_all_conditions_have_to_hold(store: DynamoStore) -> None:
    store.update(KEY, {"a": 1, "b": 1}, add={}, only_if=[("a", "<", 5)])

    holds, fails = ("a", "<=", 1), ("b", ">=", 2)
    assert not store.update(KEY, {"c": 1}, add={}, only_if=[holds, fails])[0]
    assert not store.update(KEY, {"c": 1}, add={}, only_if=[fails, holds])[0]
    assert store.update(KEY, {"c": 1}, add={}, only_if=[holds, holds])[0]


@pytest.mark.parametrize(("comparison", "holds"), [("<", True), ("<=", True), (">=", False)])
@pytest.mark.parametrize("there", [True, False])
def test_what_is_not_there_is_below_everything(
    comparison: str, holds: bool, there: bool, store: DynamoStore
) -> None:
    """Of an attribute of an item, and of an item."""
    if there:
        store.update(KEY, {"a": 1}, add={}, only_if=[("a", "<", 5)])
    before = store.get(KEY)

    done, after = store.update(KEY, {"b": 1}, add={}, only_if=[("absent", comparison, -(10**15))])

    assert done is holds
    assert after == ({"id": KEY, **(before or {}), "b": 1} if holds else before or {})


@pytest.mark.parametrize(
    ("comparison", "below", "same", "above"),
    [("<", True, False, False), ("<=", True, True, False), (">=", False, True, True)],
)
@pytest.mark.parametrize(
    "values",
    [
        (9, 10, 11),
        (1_795_219_199_999_999, 1_795_219_200_000_000, 1_795_219_200_000_001),
        (
            "2026-11-20T23:59:59.999+00:00",
            "2026-11-21T00:00:00.000+00:00",
            "2026-11-21T00:00:00.001+00:00",
        ),
    ],
    ids=["numbers", "microseconds", "texts"],
)
def test_numbers_and_texts_are_compared(
    comparison: str,
    below: bool,
    same: bool,
    above: bool,
    values: tuple[int | str, int | str, int | str],
    store: DynamoStore,
) -> None:
    held = []
    for number, value in enumerate(values):
        key = f"{KEY}{number}"
        store.update(key, {"a": value}, add={}, only_if=[("a", "<", 0)])
        held.append(store.update(key, {"b": 1}, add={}, only_if=[("a", comparison, values[1])])[0])

    assert held == [below, same, above]


@pytest.mark.parametrize("name", ["line#alfa", "line#a-b.c/d", "#0", ":0", "status", "line#Å"])
def test_a_name_can_have_any_characters(name: str, store: DynamoStore) -> None:
    """`status` is one of DynamoDB's own words, the others are signs of its expressions."""
    assert store.update(KEY, {name: 1}, add={}, only_if=[(name, "<", 1)])[0]
    assert not store.update(KEY, {"a": 1}, add={name: 2}, only_if=[(name, ">=", 2)])[0]

    written = store.update(KEY, {"a": 1}, add={name: 2}, only_if=[(name, ">=", 1)])

    assert written == (True, {"id": KEY, "a": 1, name: 3})


def test_many_changes_at_once_are_all_made(
    environment: dict[str, str], table: str, clock: Clock
) -> None:
    def add(_: int) -> None:
        with urllib3.PoolManager(retries=False) as pool:
            service = aws.Service("dynamodb", environment=environment, pool=pool)
            store = DynamoStore(service, table, clock=clock, sleep=clock.advance)
            for _ in range(10):
                assert store.update(KEY, {"b": 1}, add={"a": 1}, only_if=[("a", ">=", 0)])[0]

    with urllib3.PoolManager(retries=False) as pool:
        service = aws.Service("dynamodb", environment=environment, pool=pool)
        store = DynamoStore(service, table, clock=clock, sleep=clock.advance)
        store.update(KEY, {"a": 0}, add={}, only_if=[("a", "<", 0)])
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(add, range(8)))

        assert store.get(KEY) == {"id": KEY, "a": 80, "b": 1}


# Many items at once


def keys_of(number: int) -> list[str]:
    return [f"order#alfa#{1001 + n}#purchase" for n in range(number)]


class Batches:
    """Stands in for DynamoDB: of each batch it does as many keys as `does` says next, or all."""

    def __init__(self, does: Iterable[int] = ()) -> None:
        self.asked: list[list[str]] = []
        self._does = iter(does)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        assert operation == "BatchGetItem"
        ((table, request),) = parameters["RequestItems"].items()
        assert request["ConsistentRead"] is True
        keys = [each["id"]["S"] for each in request["Keys"]]
        self.asked.append(keys)
        done = next(self._does, len(keys))
        left = [{"id": {"S": each}} for each in keys[done:]]
        answer: dict[str, Any] = {
            "Responses": {table: [{"id": {"S": each}} for each in keys[:done]]} if done else {}
        }
        return answer | {"UnprocessedKeys": {table: {"Keys": left}} if left else {}}


def batch_store(batches: Batches, clock: Clock) -> DynamoStore:
    return DynamoStore(cast("aws.Service", batches), "ledger", clock=clock, sleep=clock.advance)


def test_many_items_are_read_at_once_as_far_as_they_are_there(store: DynamoStore) -> None:
    """DynamoDB takes a hundred keys in one request, and none of them twice."""
    keys = keys_of(230)
    for key in keys[::50]:
        store.put(item(note="Å") | {"id": key}, previous=None)

    found = list(store.get_many([*keys, *keys[:10]]))

    assert {each["id"] for each in found} == set(keys[::50])
    assert len(found) == 5
    assert {each["note"] for each in found} == {"Å"}
    assert {type(each["version"]) for each in found} == {int}


def test_no_keys_are_no_request(clock: Clock) -> None:
    batches = Batches()

    assert list(batch_store(batches, clock).get_many([])) == []
    assert batches.asked == []


def test_a_batch_is_of_a_hundred_keys(clock: Clock) -> None:
    batches, keys = Batches(), keys_of(201)

    found = list(batch_store(batches, clock).get_many(keys))

    assert [each["id"] for each in found] == keys
    assert [len(each) for each in batches.asked] == [MOST_AT_ONCE, MOST_AT_ONCE, 1]
    assert clock.now == START


def test_what_was_left_of_a_batch_is_asked_for_again_after_a_pause(clock: Clock) -> None:
    batches, keys = Batches(does=[40, 0, 60]), keys_of(101)

    found = list(batch_store(batches, clock).get_many(keys))

    assert [each["id"] for each in found] == keys
    assert batches.asked == [keys[:100], keys[40:], keys[40:], keys[100:]]
    assert clock.now == START + timedelta(seconds=3 * UNPROCESSED_PAUSE)


def test_a_table_that_does_nothing_of_a_batch_is_given_up(clock: Clock) -> None:
    """Or the function would go on asking until its end."""
    batches = Batches(does=[1, *[0] * 1000])

    with pytest.raises(StorageError, match=r"^BatchGetItem: .* too busy$"):
        list(batch_store(batches, clock).get_many(keys_of(3)))

    assert BUDGET <= clock.now - START < BUDGET + timedelta(seconds=1)


def test_a_table_that_does_a_little_at_a_time_is_not_given_up(clock: Clock) -> None:
    """Nor is one whose reader takes its time with each item."""
    batches, keys = Batches(does=[1, 0] * 4), keys_of(4)
    found = []

    for each in batch_store(batches, clock).get_many(keys):
        found.append(each["id"])
        clock.advance(10)

    assert found == keys


# A table that fails


def test_a_missing_table_is_a_storage_error(dynamodb: aws.Service, clock: Clock) -> None:
    store = DynamoStore(dynamodb, "no-such-table", clock=clock, sleep=clock.advance)

    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        store.get("order#alfa#1001#purchase")
    with pytest.raises(StorageError, match="ResourceNotFoundException"):
        store.put(item(), previous=None)
    with pytest.raises(StorageError, match="ResourceNotFoundException"):
        store.update("rate#client", {"a": 1}, add={}, only_if=[("a", "<", 1)])
    with pytest.raises(StorageError, match="ResourceNotFoundException"):
        list(store.get_many(["order#alfa#1001#purchase"]))


def test_a_table_that_is_away_is_asked_again_within_the_budget(
    environment: dict[str, str], clock: Clock
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    away = environment | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.advance(seconds)

    store = DynamoStore(
        aws.Service("dynamodb", environment=away), "ledger", clock=clock, sleep=sleep
    )

    with pytest.raises(StorageError, match="GetItem"):
        store.get("order#alfa#1001#purchase")

    assert waits
    assert timedelta() < clock.now - START < BUDGET


def test_an_index_is_listed_page_by_page(
    store: DynamoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The orders of a day and the dead ones, of that shop only, heard of until then."""
    monkeypatch.setattr("prisjakt_relay.tables._PAGE", 2)
    days = {"day": "alfa#2026-11-20", "other": "beta#2026-11-20"}
    until = "2026-11-20T12:00:00.000+00:00"
    for number in range(10):
        moment = until if number < 5 else "2026-11-20T12:00:00.001+00:00"
        record = item(event_time="2026-11-20T10:00:00Z", shop_day=days["day"], received_at=moment)
        store.put(record | {"id": f"order#alfa#{number}#purchase"}, previous=None)
    other = item(shop_day=days["other"], event_time="2026-11-20T10:00:00Z")
    dead = item(dead_shop="alfa", dead_since=until, received_at=until)
    store.put(other | {"id": "other"}, previous=None)
    store.put(dead | {"id": "dead"}, previous=None)

    assert sorted(store.listed("orders-by-day", days["day"], until)) == [
        f"order#alfa#{number}#purchase" for number in range(5)
    ]
    assert list(store.listed("dead-orders", "alfa", until)) == ["dead"]
    assert list(store.listed("orders-by-day", "alfa#2026-11-21", until)) == []
