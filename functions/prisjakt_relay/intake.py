"""From a verified body and the shop's choices to a conversion, or to the reason for none."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final, NoReturn

from prisjakt_relay.conversion import (
    AHEAD,
    AMOUNT_LIMIT,
    CURRENCIES,
    OLDEST,
    PURCHASE,
    REFERENCE_LIMIT,
    TEST_PURCHASE,
    Conversion,
    is_click_id,
    is_test_click_id,
)
from prisjakt_relay.errors import UnreadableError
from prisjakt_relay.outcomes import Reason
from prisjakt_relay.platforms.interface import (
    PING,
    Document,
    Headers,
    Order,
    PaymentState,
    Platform,
    PrivacyRequest,
    Wish,
)
from prisjakt_relay.shop import Mode, ReportWhen, Shop

BODY_LIMIT: Final = 1024 * 1024
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")  # what drives a terminal, and names no order

THRESHOLDS: Final = {
    ReportWhen.PLACED: PaymentState.PENDING,
    ReportWhen.SECURED: PaymentState.SECURED,
    ReportWhen.PAID: PaymentState.PAID,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A conversion, or a privacy request; or the reason for neither, which a request may have too.
    `problem` is for the log and names fields only."""

    order_id: str | None = None
    conversion: Conversion | None = None
    privacy: PrivacyRequest | None = None
    reason: Reason | None = None
    problem: str | None = None


class _Ignored(Exception):  # noqa: N818  # control flow inside this module, never an error
    def __init__(self, reason: Reason, problem: str | None = None) -> None:
        self.reason = reason
        self.problem = problem


def decide(
    platform: Platform, name: str, shop: Shop, headers: Headers, body: bytes, now: datetime
) -> Decision:
    """What to do with a delivery whose signature is right. Never raises for what a body holds."""
    order_id: str | None = None
    try:
        document: Document | UnreadableError = _document(body)
    except UnreadableError as error:
        document = error
    try:
        if not isinstance(document, UnreadableError):
            order_id = _order_id_if_any(platform, document)
        topic = platform.topic(headers, {} if isinstance(document, UnreadableError) else document)
        if topic == PING:
            raise _Ignored(Reason.PING)
        # A shop that reports nothing any more may still have to forget what it reported.
        if (privacy := _privacy(platform, headers, document)) is not None:
            return _of_request(privacy, shop)
        if shop.mode is Mode.OFF:
            raise _Ignored(Reason.OFF)
        if topic not in platform.topics:
            raise _Ignored(Reason.TOPIC)
        if isinstance(document, UnreadableError):
            raise document
        order_id = platform.order_id(document)
        if platform.is_test_delivery(headers, document):
            raise _Ignored(Reason.TEST_DELIVERY)
        _require_own_host(platform, shop, headers)
        conversion = _conversion(platform, name, shop, document, order_id, now)
        return Decision(order_id=order_id, conversion=conversion)
    except (_Ignored, UnreadableError) as cause:
        return _no_conversion(order_id, cause)


def assess(
    platform: Platform, name: str, shop: Shop, document: Document, now: datetime
) -> Decision:
    """What to do with an order, wherever it comes from. Never raises for what it holds."""
    order_id: str | None = None
    try:
        order_id = platform.order_id(document)
        if shop.mode is Mode.OFF:
            raise _Ignored(Reason.OFF)
        conversion = _conversion(platform, name, shop, document, order_id, now)
        return Decision(order_id=order_id, conversion=conversion)
    except (_Ignored, UnreadableError) as cause:
        return _no_conversion(order_id, cause)


def _privacy(
    platform: Platform, headers: Headers, document: Document | UnreadableError
) -> PrivacyRequest | None:
    if not isinstance(document, UnreadableError):
        return platform.privacy(headers, document)
    try:
        platform.privacy(headers, {})
    except UnreadableError:  # it is one, and what it asks for cannot be read
        raise document from None
    return None


def _of_request(asked: PrivacyRequest, shop: Shop) -> Decision:
    """An app's secret signs for all its stores, and its requests have one address: a whole shop is
    forgotten only if the signed text names it, and the shop document does too."""
    problem = None
    if shop.domain is None and asked.wish is Wish.ERASE_SHOP:
        problem = "domain: is missing in the shop document"
    elif shop.domain not in (None, asked.host):
        problem = "domain: another store asks"
    return Decision(privacy=asked, reason=Reason.SOURCE if problem else None, problem=problem)


def _require_own_host(platform: Platform, shop: Shop, headers: Headers) -> None:
    host = platform.host(headers)
    if shop.domain is not None and host not in (None, shop.domain):
        raise _Ignored(Reason.SOURCE, "domain")


def _no_conversion(order_id: str | None, cause: _Ignored | UnreadableError) -> Decision:
    if isinstance(cause, UnreadableError):
        return Decision(order_id=order_id, reason=Reason.UNREADABLE, problem=str(cause))
    return Decision(order_id=order_id, reason=cause.reason, problem=cause.problem)


def is_excluded(source: str, shop: Shop) -> bool:
    """Whether the shop reports nothing of this source: a till, a subscription."""
    return any(fnmatchcase(source, pattern) for pattern in shop.excluded_sources)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and the infinities, which are not JSON


_decode: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant).decode


def _document(body: bytes) -> Document:
    if len(body) > BODY_LIMIT:
        raise UnreadableError("body", "is larger than 1 MiB")
    try:
        document: Any = _decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except (ValueError, ArithmeticError, RecursionError):
        raise UnreadableError("body", "is not JSON") from None
    if not isinstance(document, dict):
        raise UnreadableError("body", "is not an object")
    return document


def _order_id_if_any(platform: Platform, document: Document) -> str | None:
    try:
        return platform.order_id(document)
    except UnreadableError:
        return None


def _conversion(
    platform: Platform, name: str, shop: Shop, document: Document, order_id: str, now: datetime
) -> Conversion:
    if is_excluded(platform.source(document), shop):
        raise _Ignored(Reason.SOURCE)
    click_id = _click_id(platform, shop, document)

    order = platform.normalise(document, shop)
    reference = _reference(shop.order_reference, order_id, order)
    if now - order.created_at > OLDEST:
        raise _Ignored(Reason.TOO_OLD)
    if max(order.created_at, order.updated_at) - now > AHEAD:
        raise UnreadableError("created_at", "or when it was changed is over a day in the future")
    void = order.state is PaymentState.VOID or order.net <= 0 < order.gross
    if not void and order.state < THRESHOLDS[shop.report_when]:
        raise _Ignored(Reason.PAYMENT_PENDING)
    if void and not shop.corrections:
        raise _Ignored(Reason.CANCELLED)
    if order.currency not in CURRENCIES:
        raise _Ignored(Reason.UNSUPPORTED_CURRENCY)
    if not void and not 0 < order.net <= AMOUNT_LIMIT:
        raise _Ignored(Reason.AMOUNT_OUT_OF_RANGE)

    test = order.test or shop.mode is Mode.TEST or is_test_click_id(click_id)
    return Conversion(
        platform=platform.name,
        shop=name,
        order_id=order_id,
        order_reference=reference,
        event_name=TEST_PURCHASE if test else PURCHASE,
        event_time=order.created_at,
        amount=Decimal(0) if void else order.net,
        currency=order.currency,
        number_of_items=0 if void else order.number_of_items,
        click_id=click_id,
        void=void,
        revision=max(0, (order.updated_at - EPOCH) // timedelta(milliseconds=1)),
        received_at=now,
    )


def _click_id(platform: Platform, shop: Shop, document: Document) -> str:
    candidates = platform.click_ids(document)
    if not candidates and shop.landing_page_fallback:
        candidates = list(reversed(platform.landing_page(document)))
    for candidate in candidates:
        if isinstance(candidate, str) and is_click_id(candidate.strip()):
            return candidate.strip()
    raise _Ignored(Reason.INVALID_CLICK_ID if candidates else Reason.NO_CLICK_ID)


def _reference(pattern: str, order_id: str, order: Order) -> str:
    for name, value in (("number", order.number), ("name", order.name)):
        if not value and f"{{{name}}}" in pattern:
            raise UnreadableError(name, "is missing, and order_reference needs it")
    reference = pattern.format(id=order_id, number=order.number, name=order.name)
    if not 1 <= len(reference) <= REFERENCE_LIMIT:
        raise UnreadableError("order_reference", "is not of 1 to 100 characters")
    if CONTROL.search(reference):
        raise UnreadableError("order_reference", "has control characters in it")
    return reference
