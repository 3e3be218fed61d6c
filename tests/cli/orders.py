"""Shops and orders of a test's own in the shared local system."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

import urllib3
from tests.cli.calling import Called, local

from prisjakt_relay.local.deliveries import RECORDED_UNTIL, load
from prisjakt_relay.local.prisjakt_model import PrisjaktModel
from prisjakt_relay.local.system import LocalSystem

SECRET: Final = "orders-secret"
CREDENTIALS: Final = {"prisjakt_client_id": "orders", "prisjakt_client_secret": "not-so-secret"}
_SECONDS: Final = 30.0

_numbers = count(8_100_000_000_001)


def new_shop(system: LocalSystem, **choices: Any) -> tuple[str, str]:
    """A shop that nobody else uses: its name and its pixel."""
    name, pixel_id = f"orders-{uuid.uuid4().hex[:12]}", str(uuid.uuid4())
    document = {"platform": "shopify", "pixel_id": pixel_id, "signing_secrets": [SECRET]}
    system.aws.put_shop(name, document | choices)
    return name, pixel_id


def model(system: LocalSystem) -> PrisjaktModel:
    assert system.model is not None
    return system.model


def deliver(
    system: LocalSystem,
    shop: str,
    sample: str = "orders-create-paid",
    *,
    secret: str = SECRET,
    later: timedelta = timedelta(0),
    **changes: Any,
) -> str:
    """Send an order of today in the shape of a sample, changed so much `later`; returns its id."""
    delivery = load("shopify", sample)
    order = json.loads(delivery.body) | {"id": next(_numbers)}
    now = datetime.now(UTC).replace(microsecond=0)
    moved = json.loads(delivery.moved(now - RECORDED_UNTIL, None).body)
    order |= {name: moved[name] for name in ("created_at", "updated_at")}
    order["updated_at"] = (datetime.fromisoformat(order["updated_at"]) + later).isoformat()
    body = json.dumps(order | changes).encode()
    response = urllib3.request(
        "POST",
        f"{system.address}/webhooks/shopify/{shop}",
        body=body,
        headers=urllib3.HTTPHeaderDict(delivery.signed(body, secret)),
        retries=False,
        timeout=30,
    )
    assert response.status in (200, 401)
    return str(json.loads(body)["id"])


def asked_until(condition: Callable[[Any], bool], *arguments: str) -> Called:
    """What a command says as soon as its JSON is as wanted: functions take a moment."""
    end = time.monotonic() + _SECONDS
    while True:
        called = local(*arguments, "--json")
        if called.code in (0, 3) and condition(called.json):
            return called
        assert time.monotonic() < end, f"{arguments}: {called.out}{called.err}"
        time.sleep(0.2)


def outcomes(told: Any) -> list[str]:
    return [entry["outcome"] for entry in told["timeline"]]
