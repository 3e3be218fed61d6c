"""The events that Lambda gets: for a recorded Shopify delivery, and for a message of the queue."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

_TIMESTAMP: Final = re.compile(rb'(?<=")\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)(?=")')
_ITEMS: Final = b'"line_items":['
SIGNATURE: Final = "x-shopify-hmac-sha256"


def signature(body: bytes, secret: str) -> str:
    """Shopify's: https://shopify.dev/docs/apps/build/webhooks/subscribe/https"""
    return base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()


def todays_event(recorded: Path, shop: str, secret: str, *, more_items: int = 0) -> dict[str, Any]:
    """The delivery in API Gateway's payload format 2.0: all dates today's, signed anew.

    `more_items` makes it that much longer, by line items that are copies of the order's first.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    now = datetime.now(UTC)
    body = recorded.with_suffix(".body").read_bytes()
    if more_items:
        body = body.replace(_ITEMS, _ITEMS + _copies_of_first_item(body, more_items), 1)
    body = _TIMESTAMP.sub(now.strftime("%Y-%m-%dT%H:%M:%SZ").encode(), body)
    pairs = json.loads(recorded.with_suffix(".headers.json").read_bytes())
    headers = {name.lower(): value for name, value in pairs}
    headers[SIGNATURE] = signature(body, secret)
    headers["content-length"] = str(len(body))
    path = f"/webhooks/shopify/{shop}"
    return {
        "version": "2.0",
        "routeKey": "POST /webhooks/{platform}/{shop}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "benchmark",
            "domainName": "benchmark.execute-api.eu-north-1.amazonaws.com",
            "domainPrefix": "benchmark",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": "benchmark",
            "routeKey": "POST /webhooks/{platform}/{shop}",
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "pathParameters": {"platform": "shopify", "shop": shop},
        "body": body.decode(),
        "isBase64Encoded": False,
    }


def sqs_record(
    body: str,
    *,
    message_id: str,
    receipt: str,
    sent_at: float,
    received_at: float,
    receives: int = 1,
    group: str = "",
) -> dict[str, Any]:
    """One message as the event source mapping hands it over; moments in seconds since 1970.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    return {
        "messageId": message_id,
        "receiptHandle": receipt,
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": str(receives),
            "SentTimestamp": str(int(sent_at * 1000)),
            "SenderId": "AROABENCHMARK:receiver",
            "ApproximateFirstReceiveTimestamp": str(int(received_at * 1000)),
            **({"MessageGroupId": group} if group else {}),
        },
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-north-1:000000000000:conversions",
        "awsRegion": "eu-north-1",
    }


def _copies_of_first_item(body: bytes, number: int) -> bytes:
    item = json.loads(body)["line_items"][0]
    copies = ({**item, "id": item["id"] + n} for n in range(1, number + 1))
    texts = (json.dumps(copy, ensure_ascii=False, separators=(",", ":")) for copy in copies)
    # Shopify writes slashes so.
    return "".join(text.replace("/", "\\/") + "," for text in texts).encode()
