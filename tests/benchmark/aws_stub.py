"""Stands in on loopback for what the functions call of Secrets Manager, SQS and DynamoDB."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from tests.benchmark.loopback import LoopbackHandler, LoopbackServer

from prisjakt_relay.errors import AwsError

_DYNAMODB: Final = "DynamoDB_20120810."


class Table(Protocol):
    """What is behind a table's name: `tests.simulation.dynamodb.DynamoDb`, for one."""

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The answer's JSON; raises `AwsError`."""


class AwsStub(LoopbackServer):
    """Answers from the given secrets and tables, and keeps the messages it was sent."""

    def __init__(
        self, secrets: Mapping[str, str], tables: Mapping[str, Table] | None = None
    ) -> None:
        super().__init__(_Handler)
        self.secrets = secrets
        self.tables = tables or {}
        self.table_lock = threading.Lock()
        self.sent: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def queue_url(self) -> str:
        return f"{self.url}/000000000000/queue"


class _Handler(LoopbackHandler):
    server: AwsStub

    def do_POST(self) -> None:  # noqa: N802
        request = json.loads(self.read_body())
        target = self.headers.get("X-Amz-Target", "")
        operation = _OPERATIONS.get(target)
        if operation is not None:
            status, document = operation(self.server, request)
        elif target.startswith(_DYNAMODB):
            status, document = _call_table(self.server, target.removeprefix(_DYNAMODB), request)
        else:
            status, document = 400, _error("UnknownOperationException", target)
        self.answer(
            status,
            document,
            {
                "Content-Type": self.headers.get("Content-Type", "application/x-amz-json-1.1"),
                "x-amzn-RequestId": str(uuid.uuid4()),
            },
        )


_Answer = tuple[int, dict[str, Any]]


def _get_secret_value(stub: AwsStub, request: dict[str, Any]) -> _Answer:
    name = request["SecretId"]
    if name not in stub.secrets:
        return 400, _error("ResourceNotFoundException", "no such secret")
    return 200, {
        "ARN": f"arn:aws:secretsmanager:eu-north-1:000000000000:secret:{name}-000000",
        "Name": name,
        "VersionId": str(uuid.UUID(int=1)),
        "VersionStages": ["AWSCURRENT"],
        "SecretString": stub.secrets[name],
        "CreatedDate": int(time.time()),
    }


def _send_message(stub: AwsStub, request: dict[str, Any]) -> _Answer:
    stub.sent.append(request)
    digest = hashlib.md5(request["MessageBody"].encode(), usedforsecurity=False)
    return 200, {"MessageId": str(uuid.uuid4()), "MD5OfMessageBody": digest.hexdigest()}


def _call_table(stub: AwsStub, operation: str, request: dict[str, Any]) -> _Answer:
    table = stub.tables.get(request["TableName"])
    if table is None:
        return 400, _table_error("ResourceNotFoundException", "Requested resource not found")
    with stub.table_lock:
        try:
            return 200, table.call(operation, request)
        except AwsError as error:
            return 400, {**_table_error(error.code, "The conditional request failed"), **error.body}


def _table_error(kind: str, message: str) -> dict[str, Any]:
    return _error(f"com.amazonaws.dynamodb.v20120810#{kind}", message)


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"__type": kind, "message": message}


_OPERATIONS: Mapping[str, Callable[[AwsStub, dict[str, Any]], _Answer]] = {
    "secretsmanager.GetSecretValue": _get_secret_value,
    "AmazonSQS.SendMessage": _send_message,
}
