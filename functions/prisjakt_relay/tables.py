"""The ledger's store in DynamoDB: items of texts, numbers, flags and maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from prisjakt_relay import aws
from prisjakt_relay.errors import AwsError
from prisjakt_relay.ledger import Condition

CONDITION_FAILED: Final = "ConditionalCheckFailedException"
BUDGET: Final = timedelta(seconds=3)  # for one read or write with all its attempts


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

    def _call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        parameters["TableName"] = self._table
        return aws.until(
            self._clock() + BUDGET,
            lambda: self._dynamodb.call(operation, parameters),
            clock=self._clock,
            sleep=self._sleep,
            final=frozenset({CONDITION_FAILED}),
        )


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
