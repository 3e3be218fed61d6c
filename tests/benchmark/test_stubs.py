"""The stubs behave as the libraries of the textbook expect of AWS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
)
from botocore.exceptions import ClientError
from tests.benchmark.aws_stub import AwsStub
from tests.benchmark.idempotency_table import IdempotencyTable


@pytest.fixture
def table() -> IdempotencyTable:
    return IdempotencyTable()


@pytest.fixture
def dynamodb(table: IdempotencyTable) -> Iterator[Any]:
    with AwsStub({}, {"idempotency": table}) as aws:
        client = boto3.client(
            "dynamodb",
            endpoint_url=aws.url,
            region_name="eu-north-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        yield client
        client.close()


def layer(dynamodb: Any) -> tuple[IdempotencyConfig, DynamoDBPersistenceLayer]:
    config = IdempotencyConfig(event_key_jmespath="order_id", raise_on_no_idempotency_key=True)
    config.register_lambda_context(Context())  # type: ignore[arg-type]  # reads no more
    return config, DynamoDBPersistenceLayer("idempotency", boto3_client=dynamodb)


class Context:
    """Powertools reads how long an order may stay in progress from it."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def test_powertools_runs_an_order_once(dynamodb: Any, table: IdempotencyTable) -> None:
    config, persistence = layer(dynamodb)
    runs = []

    @idempotent_function(  # type: ignore[untyped-decorator]  # has no types
        data_keyword_argument="order", config=config, persistence_store=persistence
    )
    def report(order: dict[str, str]) -> str:
        runs.append(order)
        return f"reported {len(runs)}"

    assert [report(order={"order_id": id_}) for id_ in ("1", "1", "2")] == [
        "reported 1",
        "reported 1",
        "reported 2",
    ]
    assert {item["status"]["S"] for item in table.items.values()} == {"COMPLETED"}


def test_powertools_takes_back_an_order_that_failed(dynamodb: Any, table: IdempotencyTable) -> None:
    config, persistence = layer(dynamodb)

    @idempotent_function(  # type: ignore[untyped-decorator]  # has no types
        data_keyword_argument="order", config=config, persistence_store=persistence
    )
    def report(order: dict[str, str]) -> None:
        (item,) = table.items.values()
        assert item["status"]["S"] == "INPROGRESS"
        with pytest.raises(IdempotencyAlreadyInProgressError):
            report(order=order)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        report(order={"order_id": "1"})

    assert table.items == {}


def test_an_unknown_table_is_no_table(dynamodb: Any) -> None:
    with pytest.raises(ClientError) as refused:
        dynamodb.get_item(TableName="another", Key={"id": {"S": "1"}})

    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"
