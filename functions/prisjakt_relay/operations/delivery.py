"""A signed webhook to the deployed address, as the shop system would send it, and its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from prisjakt_relay.errors import SignatureError, UnavailableError, UnknownShopError
from prisjakt_relay.operations.stack import Stack, clock
from prisjakt_relay.operations.web import Reply, Silence, ask
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.shop import Shop

SECONDS: Final = 30.0  # API Gateway itself gives up after 29
_LIMIT: Final = 64 * 1024
_THROTTLED: Final = 429


@dataclass(frozen=True, slots=True)
class Taken:
    """Accepted by the receiver: its answer, and after how many seconds."""

    outcome: str
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Refused:
    """Not accepted: what came instead, and what to do about it."""

    found: str
    remedy: str
    seconds: float | None = None
    status: int | None = None


def send(
    stack: Stack, name: str, shop: Shop, secret: str, headers: Mapping[str, str], body: bytes
) -> Taken | Refused:
    """Sign the body with this secret and send it. Header names are in lower case."""
    signature = PLATFORMS[shop.platform].sign(body, secret, clock())
    reply = ask(
        "POST",
        stack.webhook(shop.platform, name),
        headers={"content-type": "application/json", **headers, **signature},
        body=body,
        seconds=SECONDS,
        limit=_LIMIT,
    )
    if isinstance(reply, Silence):
        return Refused(reply.found, reply.remedy)
    said = _document(reply.body)
    if reply.status == 200 and "outcome" in said:
        return Taken(str(said["outcome"]), str(said.get("reason", "")), reply.seconds)
    found, remedy = _told(stack, name, shop, reply, str(said.get("title", "")))
    return Refused(found, remedy, reply.seconds, reply.status)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _told(stack: Stack, name: str, shop: Shop, reply: Reply, title: str) -> tuple[str, str]:
    """What an answer that is no success means: of the receiver if it has one of its titles, of
    API Gateway otherwise."""
    if title == SignatureError.title:
        return (
            "401: the deployed function does not take the signature",
            "it reads a changed shop document within 30 s: try again; if it stays, this address "
            "is another stack's: look at --stack and --region",
        )
    if title == UnknownShopError.title:
        return (
            f"404: the deployed function knows no {shop.platform} shop {name}",
            "it finds a new shop within a minute: try again; if it stays, this address is another "
            "stack's: look at --stack and --region",
        )
    if title == UnavailableError.title:
        return (
            "503: the receiver cannot read the shop document or reach the queue",
            f"`{stack.command('doctor', name)}` finds an unusable document; else try again, and "
            f"look at the end of the log {stack.outputs['ReceiverLogGroup']}",
        )
    if reply.status == _THROTTLED:
        return (
            "429: the HTTP API lets nothing more through just now",
            "try again in a minute; deploy with a higher RequestsPerSecond if that happens often",
        )
    if reply.status in (403, 404):
        return (
            f"{reply.status}: there is no relay at {stack.webhook_address}",
            "deploy the stack again",
        )
    if reply.status >= 500:
        return (
            f"{reply.status}: the receiver crashed, or took too long",
            f"look at the end of the log {stack.outputs['ReceiverLogGroup']}, then deploy again",
        )
    return (
        f"{reply.status}: that is not the answer of a relay",
        "something stands in between: look at proxies, and deploy the stack again",
    )
