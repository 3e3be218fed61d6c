"""The ledger's store in DynamoDB: items of texts, numbers, flags and maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from prisjakt_relay import aws
from prisjakt_relay.errors import AwsError

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
        return None if item is None else {name: _plain(value) for name, value in item.items()}

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


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "N":
        return int(content)
    if kind == "M":
        return {name: _plain(part) for name, part in content.items()}
    return content
