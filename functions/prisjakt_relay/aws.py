"""The few AWS calls that the functions make: signed JSON requests that end before a deadline.

Signing is botocore's and HTTP is urllib3's, both of which the Lambda runtime brings. botocore's
own clients are left alone: making one reads service models and imports a documentation system,
which costs more than everything else in a cold start together (`tests/benchmark`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from prisjakt_relay.errors import AwsError, SetupError, StorageError

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

T = TypeVar("T")

CONNECT_SECONDS: Final = 0.8
READ_SECONDS: Final = 1.0
ATTEMPT: Final = timedelta(seconds=CONNECT_SECONDS + READ_SECONDS)

_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)  # then 0.8 for ever

# https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html: name of the target, version
_PROTOCOLS: Final = {
    "dynamodb": ("DynamoDB_20120810", "1.0"),
    "secretsmanager": ("secretsmanager", "1.1"),
    "sqs": ("AmazonSQS", "1.0"),
}

_SUFFIXES: Final = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}


class _Credentials(NamedTuple):
    """What botocore's signer reads; its own class would import the whole credentials chain."""

    access_key: str
    secret_key: str
    token: str | None


class Service:
    """One AWS service: `call` an operation with its parameters, get the answer's JSON.

    Raises `AwsError` for an answer that is an error, `StorageError` for none at all.
    """

    def __init__(
        self,
        name: str,
        *,
        environment: Mapping[str, str] = os.environ,
        pool: urllib3.PoolManager | None = None,
    ) -> None:
        self._target, version = _PROTOCOLS[name]
        self._content_type = f"application/x-amz-json-{version}"
        try:
            region = environment["AWS_REGION"]
            credentials = _Credentials(
                environment["AWS_ACCESS_KEY_ID"],
                environment["AWS_SECRET_ACCESS_KEY"],
                environment.get("AWS_SESSION_TOKEN"),
            )
        except KeyError as missing:
            raise SetupError(f"{missing.args[0]} is not set; Lambda sets it") from None
        suffix = _SUFFIXES.get(region.partition("-")[0], "amazonaws.com")
        endpoint = environment.get("AWS_ENDPOINT_URL", f"https://{name}.{region}.{suffix}")
        self._url = endpoint.rstrip("/") + "/"
        self._auth = SigV4Auth(cast("ReadOnlyCredentials", credentials), name, region)
        self._pool = pool or urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS), retries=False
        )

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        request = AWSRequest(
            "POST",
            self._url,
            data=json.dumps(parameters).encode(),
            headers={
                "content-type": self._content_type,
                "x-amz-target": f"{self._target}.{operation}",
            },
        )
        self._auth.add_auth(request)
        try:
            answer = self._pool.request(
                "POST", self._url, body=request.data, headers=dict(request.headers.items())
            )
        except urllib3.exceptions.HTTPError as error:
            raise StorageError(f"{operation}: {type(error).__name__}") from error
        body = _json(answer.data)
        if answer.status != 200:
            raise AwsError(operation, _error_code(body) or str(answer.status), body)
        return body


def _json(data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _error_code(body: Mapping[str, Any]) -> str:
    """`ResourceNotFoundException` of `com.amazonaws.x#ResourceNotFoundException`."""
    return str(body.get("__type", "")).rsplit("#", 1)[-1].split(":", 1)[0]


def until(
    deadline: datetime,
    call: Callable[[], T],
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    final: frozenset[str] = frozenset(),
) -> T:
    """Call again while another attempt fits before the deadline; then raise the `StorageError`.

    An `AwsError` whose code is in `final` is raised at once.
    """
    attempt = 0
    while True:
        try:
            return call()
        except StorageError as error:
            pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
            if isinstance(error, AwsError) and error.code in final:
                raise
            if clock() + timedelta(seconds=pause) + ATTEMPT > deadline:
                raise
        sleep(pause)
        attempt += 1
