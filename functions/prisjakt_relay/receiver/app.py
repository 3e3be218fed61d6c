"""Entry point of the receiver: API Gateway HTTP API, payload format 2.0."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any, Protocol

from prisjakt_relay import aws
from prisjakt_relay.platforms import EXCLUDED_SOURCES
from prisjakt_relay.queues import Sendable, enqueue
from prisjakt_relay.receiver.settings import from_environment
from prisjakt_relay.receiver.webhook import Ports, Request, answer
from prisjakt_relay.shop import Shops, secrets_reader
from prisjakt_relay.telemetry import Telemetry


class Context(Protocol):
    """What the relay reads of the Lambda context."""

    aws_request_id: str


def clock() -> datetime:
    return datetime.now(UTC)


settings = from_environment()
telemetry = Telemetry("receiver", settings.stack, clock)
sqs = aws.Service("sqs")


def to_queue(wish: Sendable, deadline: datetime) -> None:
    enqueue(
        wish,
        sqs=sqs,
        queue_url=settings.queue_url,
        deadline=deadline,
        clock=clock,
        sleep=time.sleep,
    )


ports = Ports(
    shops=Shops(
        secrets_reader(
            aws.Service("secretsmanager"), f"{settings.stack}/shops/", clock=clock, sleep=time.sleep
        ),
        clock=clock,
        alarm=telemetry.alarm,
        scale=settings.time_scale,
        platforms=EXCLUDED_SOURCES,
    ),
    enqueue=to_queue,
    clock=clock,
    emit=telemetry.emit,
)


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    telemetry.request(context.aws_request_id)
    parameters = event.get("pathParameters") or {}
    given = answer(
        Request(
            platform=parameters.get("platform", ""),
            shop=parameters.get("shop", ""),
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            body=raw_body(event),
        ),
        ports,
    )
    return {
        "statusCode": given.status,
        "headers": {"content-type": "application/json", **given.headers},
        "body": json.dumps(given.body),
    }


def raw_body(event: dict[str, Any]) -> bytes:
    """The bytes that were sent; they are what is signed."""
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:  # of which binascii.Error is one
        return b""  # no signature fits it
