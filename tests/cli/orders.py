"""Shops and orders of a test's own in the shared local system."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

import urllib3
from tests.cli.calling import Called, local
from tests.conftest import PATIENCE

from prisjakt_relay.local.deliveries import RECORDED_UNTIL, load
from prisjakt_relay.local.prisjakt_model import PrisjaktModel
from prisjakt_relay.local.system import LocalSystem

SECRET: Final = "orders-secret"
Headers = Callable[[], Iterable[tuple[str, str]]]  # signed at the time of the call
_numbers = count(8_100_000_000_001)


def credentials() -> dict[str, str]:
    """Those of a client that nobody else is: its allowance, and a pause that Prisjakt asks of it,
    are its own."""
    client = f"client-{uuid.uuid4().hex[:12]}"
    return {"prisjakt_client_id": client, "prisjakt_client_secret": "not-so-secret"}


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
    address = f"{system.address}/webhooks/shopify/{shop}"
    response = posted(address, body, lambda: delivery.signed(body, secret, datetime.now(UTC)))
    assert response.status in (200, 401)
    return str(json.loads(body)["id"])


def posted(address: str, body: bytes, headers: Headers) -> urllib3.BaseHTTPResponse:
    """What a delivery is answered in the end: as shop systems do, it is sent again, with headers of
    that time, while the relay says 503."""
    end = time.monotonic() + PATIENCE
    while True:
        answer = urllib3.request(
            "POST",
            address,
            body=body,
            headers=urllib3.HTTPHeaderDict(headers()),
            retries=False,
            timeout=30,
        )
        if answer.status != 503 or time.monotonic() > end:
            return answer
        time.sleep(0.2)


def asked_until(condition: Callable[[Any], bool], *arguments: str) -> Called:
    """What a command says as soon as its JSON is as wanted: functions take a moment."""
    end = time.monotonic() + PATIENCE
    while True:
        called = local(*arguments, "--json")
        if called.code in (0, 3) and condition(called.json):
            return called
        assert time.monotonic() < end, f"{arguments}: {called.out}{called.err}"
        time.sleep(0.2)


def outcomes(told: Any) -> list[str]:
    return [entry["outcome"] for entry in told["timeline"]]
