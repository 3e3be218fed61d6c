"""Turns a recorded Shopify delivery into the event that Lambda would get for it today."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_TIMESTAMP = re.compile(rb'(?<=")\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)(?=")')


def todays_event(recorded: Path, shop: str, secret: str) -> dict[str, Any]:
    """The delivery in API Gateway's payload format 2.0: all dates today's, signed anew.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
    """
    now = datetime.now(UTC)
    body = recorded.with_suffix(".body").read_bytes()
    body = _TIMESTAMP.sub(now.strftime("%Y-%m-%dT%H:%M:%SZ").encode(), body)
    pairs = json.loads(recorded.with_suffix(".headers.json").read_bytes())
    headers = {name.lower(): value for name, value in pairs}
    digest = hmac.digest(secret.encode(), body, hashlib.sha256)
    headers["x-shopify-hmac-sha256"] = base64.b64encode(digest).decode()
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
