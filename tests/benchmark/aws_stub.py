"""Stands in for Secrets Manager's GetSecretValue and SQS's SendMessage on loopback."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from loopback import LoopbackHandler, LoopbackServer


class AwsStub(LoopbackServer):
    """Answers from the given secrets and keeps the messages it was sent."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        super().__init__(_Handler)
        self.secrets = secrets
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
        if operation is None:
            status, document = 400, _error("UnknownOperationException", target)
        else:
            status, document = operation(self.server, request)
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


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"__type": kind, "message": message}


_OPERATIONS: Mapping[str, Callable[[AwsStub, dict[str, Any]], _Answer]] = {
    "secretsmanager.GetSecretValue": _get_secret_value,
    "AmazonSQS.SendMessage": _send_message,
}
