"""One HTTP request in, one answer out; the receiver without Lambda and without AWS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from prisjakt_relay.aws import ATTEMPT
from prisjakt_relay.erasure import of_orders, of_shop
from prisjakt_relay.errors import (
    RequestError,
    SignatureError,
    StorageError,
    UnavailableError,
    UnknownShopError,
)
from prisjakt_relay.intake import decide
from prisjakt_relay.outcomes import Reason, Received
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.platforms.interface import Headers, Platform, PrivacyRequest, Wish
from prisjakt_relay.queues import Sendable
from prisjakt_relay.shop import SHOP_NAME, Shop, Shops
from prisjakt_relay.telemetry import Emit

RETRY_AFTER_SECONDS = 30
MOST_NAMED: Final = 100  # orders of a request for data, in its line


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` have lower-case names; `body` is the bytes as they were sent."""

    platform: str
    shop: str
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ports:
    """What the receiver needs of the outside. `enqueue` raises `StorageError` when it fails."""

    shops: Shops
    enqueue: Callable[[Sendable, datetime], None]
    clock: Callable[[], datetime]
    emit: Emit


def answer(request: Request, ports: Ports) -> Answer:
    """Verify, decide, queue. Every cause of a refusal gets the same answer and one log line."""
    now = ports.clock()
    platform = PLATFORMS.get(request.platform)
    possible = SHOP_NAME.fullmatch(request.shop) is not None
    problem: str | None = None
    try:
        if platform is None or not possible:
            raise UnknownShopError
        return _take(request, platform, now, ports)
    except SignatureError as error:
        outcome, given = Received.UNSIGNED, _problem(error)
        problem = error.problem
    except UnknownShopError as error:
        outcome, given = Received.UNKNOWN, _problem(error)
    except UnavailableError as error:
        retry_after = {"retry-after": str(RETRY_AFTER_SECONDS)}
        outcome, given = Received.UNAVAILABLE, _problem(error, retry_after)
        problem = str(error.__cause__ or "the shop document is too old")
    ports.emit(
        outcome,
        outcome=outcome,
        platform=platform.name if platform else None,
        shop=request.shop if possible else None,
        problem=problem,
    )
    return given


def _take(request: Request, platform: Platform, now: datetime, ports: Ports) -> Answer:
    deadline = now + platform.answer_within
    document_by = deadline - ATTEMPT  # or the queue would keep the shop waiting
    shop = ports.shops.get(request.shop, document_by)
    if shop.platform != platform.name:
        raise UnknownShopError
    if platform.is_ping(request.headers, request.body):
        ports.emit(
            Received.IGNORED,
            outcome=Received.IGNORED,
            reason=Reason.PING,
            platform=platform.name,
            shop=request.shop,
        )
        return Answer(200, {"outcome": Received.IGNORED, "reason": Reason.PING})
    shop = _verified(request, platform, shop, now, document_by, ports)

    decision = decide(platform, request.shop, shop, request.headers, request.body, now)
    if (asked := decision.privacy) is not None:
        if decision.reason is not None:
            return _refuse(asked, decision.reason, decision.problem, request, ports)
        return _accept(asked, platform, request.shop, now, deadline, ports)
    line: dict[str, Any] = {
        "platform": platform.name,
        "shop": request.shop,
        "order_id": decision.order_id,
    }
    if decision.conversion is None:
        ports.emit(
            _event(decision.reason, decision.problem),
            outcome=Received.IGNORED,
            reason=decision.reason,
            problem=decision.problem,
            **line,
        )
        body = {"outcome": Received.IGNORED, "reason": decision.reason}
        return Answer(200, body | ({"order_id": decision.order_id} if decision.order_id else {}))
    try:
        ports.enqueue(decision.conversion, deadline)
    except StorageError as error:
        raise UnavailableError from error
    ports.emit(
        Received.QUEUED,
        outcome=Received.QUEUED,
        void=decision.conversion.void,
        revision=decision.conversion.revision,
        **line,
    )
    return Answer(
        200,
        {
            "outcome": Received.QUEUED,
            "order_id": decision.order_id,
            "order_reference": decision.conversion.order_reference,
        },
    )


def _accept(
    asked: PrivacyRequest,
    platform: Platform,
    shop: str,
    now: datetime,
    deadline: datetime,
    ports: Ports,
) -> Answer:
    """Queue what is to be erased. What is asked for to be shown is for an operator to answer."""
    event: str = Received.ACCEPTED
    named: tuple[str, ...] | None = None
    if asked.wish is Wish.DATA:
        event, named = "data_requested", asked.order_ids[:MOST_NAMED]
    else:
        try:
            if asked.wish is Wish.ERASE_SHOP:
                ports.enqueue(of_shop(platform.name, shop, now), deadline)
            for wish in of_orders(asked.order_ids, platform.name, shop, now):
                ports.enqueue(wish, deadline)
        except StorageError as error:  # what is on the queue by then does no harm a second time
            raise UnavailableError from error
    ports.emit(
        event,
        outcome=Received.ACCEPTED,
        request=asked.name,
        orders=len(asked.order_ids),
        order_ids=named,
        platform=platform.name,
        shop=shop,
    )
    return Answer(200, {"outcome": Received.ACCEPTED, "request": asked.name})


def _refuse(
    asked: PrivacyRequest, reason: Reason, problem: str | None, request: Request, ports: Ports
) -> Answer:
    """What of it somebody has to do by hand is in the line."""
    ports.emit(
        "request_refused",
        outcome=Received.IGNORED,
        reason=reason,
        problem=problem,
        request=asked.name,
        orders=len(asked.order_ids),
        order_ids=asked.order_ids[:MOST_NAMED],
        platform=request.platform,
        shop=request.shop,
    )
    return Answer(200, {"outcome": Received.IGNORED, "reason": reason})


def _verified(
    request: Request,
    platform: Platform,
    shop: Shop,
    now: datetime,
    deadline: datetime,
    ports: Ports,
) -> Shop:
    try:
        platform.verify(request.headers, request.body, shop.signing_secrets, now)
    except SignatureError:
        newer = ports.shops.fresh(request.shop, now, deadline)
        if newer is None or newer.platform != platform.name:
            raise
        platform.verify(request.headers, request.body, newer.signing_secrets, now)
        return newer
    return shop


def _event(reason: Reason | None, problem: str | None) -> str:
    """What is counted: an unreadable delivery and a foreign store are for somebody to look at."""
    if reason is Reason.UNREADABLE:
        return "unreadable"
    if reason is Reason.SOURCE and problem is not None:
        return "foreign_source"
    return Received.IGNORED


def _problem(error: RequestError, headers: Mapping[str, str] | None = None) -> Answer:
    """RFC 9457."""
    return Answer(
        error.http_status,
        {
            "type": "about:blank",
            "title": error.title,
            "status": error.http_status,
            "detail": error.detail,
        },
        {"content-type": "application/problem+json", **(headers or {})},
    )
