"""The ledger's store in DynamoDB: items of texts, numbers, flags and maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from prisjakt_relay import aws
from prisjakt_relay.errors import AwsError, StorageError
from prisjakt_relay.ledger import BY_DAY, DEAD, Condition, Record, from_item

CONDITION_FAILED: Final = "ConditionalCheckFailedException"
BUDGET: Final = timedelta(seconds=3)  # for one read or write with all its attempts
MOST_AT_ONCE: Final = 100  # keys, as DynamoDB has it
UNPROCESSED_PAUSE: Final = 0.2  # seconds, when DynamoDB did not do all of a batch
_KEYS: Final = {BY_DAY: "shop_day", DEAD: "dead_shop"}  # of the indexes
_PAGE: Final = 500  # keys, which are read in one go


class DynamoStore:
    """`ledger.Store` on one table with the hash key `id`."""

    def __init__(
        self,
        dynamodb: aws.Service,
        table: str,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock
        self._sleep = sleep

    def get(self, item_key: str) -> Mapping[str, Any] | None:
        answer = self._call("GetItem", {"Key": {"id": {"S": item_key}}, "ConsistentRead": True})
        item = answer.get("Item")
        return None if item is None else plain_item(item)

    def get_many(self, item_keys: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The items of these keys, as far as they are there, read consistently; in no order."""
        keys = list(dict.fromkeys(item_keys))
        give_up: datetime | None = None
        while keys:
            asked, keys = keys[:MOST_AT_ONCE], keys[MOST_AT_ONCE:]
            wanted = [{"id": {"S": each}} for each in asked]
            answer = self._until(
                "BatchGetItem",
                {"RequestItems": {self._table: {"Keys": wanted, "ConsistentRead": True}}},
            )
            left = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            now = self._clock()
            give_up = None if len(left) < len(asked) else give_up or now + BUDGET
            if give_up is not None and now >= give_up:
                raise StorageError("BatchGetItem: no key was read; the table is too busy")
            yield from map(plain_item, answer["Responses"].get(self._table, []))
            if left:
                self._sleep(UNPROCESSED_PAUSE)
                keys = [each["id"]["S"] for each in left] + keys

    def put(self, item: Mapping[str, Any], *, previous: int | None) -> bool:
        parameters: dict[str, Any] = {
            "Item": {name: _typed(value) for name, value in item.items()},
            "ConditionExpression": "attribute_not_exists(id)",
        }
        if previous is not None:
            parameters["ConditionExpression"] = "version = :previous"
            parameters["ExpressionAttributeValues"] = {":previous": {"N": str(previous)}}
        try:
            self._call("PutItem", parameters)
        except AwsError as error:
            if error.code == CONDITION_FAILED:
                return False
            raise
        return True

    def update(
        self,
        item_key: str,
        values: Mapping[str, str | int],
        *,
        add: Mapping[str, int],
        only_if: Sequence[Condition],
    ) -> tuple[bool, Mapping[str, Any]]:
        names = {f"#{n}": name for n, name in enumerate([*values, *add])}
        settings = {f":{n}": value for n, value in enumerate([*values.values(), *add.values()])}
        changes = [
            f"#{n} = #{n} + :{n}" if n >= len(values) else f"#{n} = :{n}" for n in range(len(names))
        ]
        conditions = []
        for n, (name, comparison, value) in enumerate(only_if):
            names[f"#c{n}"], settings[f":c{n}"] = name, value
            holds = f"#c{n} {comparison} :c{n}"
            # What is not there is below everything; DynamoDB says that no comparison holds for it.
            below = comparison in ("<", "<=")
            conditions.append(f"(attribute_not_exists(#c{n}) OR {holds})" if below else holds)
        try:
            answer = self._call(
                "UpdateItem",
                {
                    "Key": {"id": {"S": item_key}},
                    "UpdateExpression": f"SET {', '.join(changes)}",
                    "ConditionExpression": " AND ".join(conditions),
                    "ExpressionAttributeNames": names,
                    "ExpressionAttributeValues": {k: _typed(v) for k, v in settings.items()},
                    "ReturnValues": "ALL_NEW",
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                },
            )
        except AwsError as error:
            if error.code == CONDITION_FAILED:
                return False, plain_item(error.body.get("Item", {}))
            raise
        return True, plain_item(answer["Attributes"])

    def listed(self, index: str, value: str, received_until: str) -> Iterator[str]:
        question: dict[str, Any] = {
            "IndexName": index,
            "KeyConditionExpression": "#key = :value",
            "ExpressionAttributeNames": {"#key": _KEYS[index]},
            "FilterExpression": "received_at <= :until",
            "ExpressionAttributeValues": {":value": {"S": value}, ":until": {"S": received_until}},
            "ProjectionExpression": "id",
            "Limit": _PAGE,
        }
        while True:
            page = self._call("Query", question)
            for item in page["Items"]:
                yield item["id"]["S"]
            if not (last := page.get("LastEvaluatedKey")):
                return
            question["ExclusiveStartKey"] = last

    def _call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._until(operation, {**parameters, "TableName": self._table})

    def _until(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return aws.until(
            self._clock() + BUDGET,
            lambda: self._dynamodb.call(operation, parameters),
            clock=self._clock,
            sleep=self._sleep,
            final=frozenset({CONDITION_FAILED}),
        )


def records_of(store: DynamoStore, item_keys: Sequence[str]) -> dict[str, Record]:
    """The ledger's records of these keys, as far as they are there."""
    return {record.key: record for record in map(from_item, store.get_many(item_keys))}


def _typed(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": value}
    return {"M": {name: _typed(part) for name, part in value.items()}}


def plain_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item without DynamoDB's types: what `ledger.from_item` takes."""
    return {name: _plain(value) for name, value in item.items()}


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "N":
        return int(content)
    if kind == "M":
        return {name: _plain(part) for name, part in content.items()}
    return content
