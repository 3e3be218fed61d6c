"""The ledger's store in DynamoDB: items of texts, numbers, flags and maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from prisjakt_relay import aws
from prisjakt_relay.errors import StorageError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoStore:
    """`ledger.Store` on one table with the hash key `id`."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def get(self, item_key: str) -> Mapping[str, Any] | None:
        try:
            answer = self._client.get_item(
                TableName=self._table, Key={"id": {"S": item_key}}, ConsistentRead=True
            )
        except (ClientError, BotoCoreError) as error:
            raise _failure(error) from error
        item = answer.get("Item")
        return None if item is None else {name: _plain(value) for name, value in item.items()}

    def put(self, item: Mapping[str, Any], *, previous: int | None) -> bool:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        if previous is not None:
            condition = {
                "ConditionExpression": "version = :previous",
                "ExpressionAttributeValues": {":previous": {"N": str(previous)}},
            }
        try:
            self._client.put_item(
                TableName=self._table,
                Item={name: _typed(value) for name, value in item.items()},
                **condition,
            )
        except ClientError as error:
            if aws.error_code(error) == "ConditionalCheckFailedException":
                return False
            raise _failure(error) from error
        except BotoCoreError as error:
            raise _failure(error) from error
        return True


def _failure(error: ClientError | BotoCoreError) -> StorageError:
    code = aws.error_code(error) if isinstance(error, ClientError) else type(error).__name__
    return StorageError(f"table: {code}")


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
