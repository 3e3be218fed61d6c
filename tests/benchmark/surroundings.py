"""What every measured function is told of its surroundings, and the shop that sends to it."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.benchmark import builds

STACK: Final = "prisjakt-relay"
SHOP: Final = "demo-shopify"
LEDGER: Final = "ledger"
DEAD_LETTERS: Final = "dead-letters"
SHOPIFY: Final = builds.ROOT / "events" / "shopify"


def shop_document() -> dict[str, Any]:
    """The one that the recorded deliveries were made for."""
    document: dict[str, Any] = json.loads((builds.ROOT / "events" / "shops.json").read_bytes())
    found: dict[str, Any] = document[SHOP]
    return found


def secret_name(shop: str = SHOP) -> str:
    return f"{STACK}/shops/{shop}"


def environment(
    *, aws: str, queue: str, prisjakt: str, tokens: str, table: str = LEDGER, allowance: int = 10000
) -> dict[str, str]:
    """The variables of a function, for ours and for the textbook's; `queue` is its address."""
    return {
        "AWS_ENDPOINT_URL": aws,
        "DEAD_LETTERS_URL": f"{queue}-{DEAD_LETTERS}",
        "HOURLY_ALLOWANCE": str(allowance),
        "LOG_LEVEL": "INFO",
        "POWERTOOLS_METRICS_NAMESPACE": "PrisjaktRelay",
        "PRISJAKT_TOKEN_URL": tokens,
        "PRISJAKT_URL": prisjakt,
        "QUEUE_URL": queue,
        "STACK_NAME": STACK,
        "TABLE_NAME": table,
        "WEBHOOK_ADDRESS": "https://example.invalid/webhooks",
    }
