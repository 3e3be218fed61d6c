"""What a platform supplies: pure functions over headers and bytes, and over the parsed order."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Any

from prisjakt_relay.errors import SignatureError
from prisjakt_relay.shop import Shop

Headers = Mapping[str, str]  # lower-case names
Document = dict[str, Any]  # the JSON object in the body
Sign = Callable[[bytes, str], Headers]
Verify = Callable[[Headers, bytes, Iterable[str]], None]


class PaymentState(IntEnum):
    """How sure the money is; ordered, so that a shop's choice is a threshold. VOID is apart."""

    DRAFT = 0
    PENDING = 1
    SECURED = 2
    PAID = 3
    VOID = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order in the relay's words. `gross` is the chosen amount as ordered, `net` as of now."""

    number: str
    name: str
    created_at: datetime
    updated_at: datetime
    state: PaymentState
    test: bool
    currency: str
    gross: Decimal
    net: Decimal
    number_of_items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One shop system. `answer_within` is how long it waits for an answer, with a margin."""

    name: str
    answer_within: timedelta
    topics: frozenset[str]
    sign: Sign
    verify: Verify
    is_ping: Callable[[Headers, bytes], bool]
    topic: Callable[[Headers], str]
    host: Callable[[Headers], str | None]
    order_id: Callable[[Document], str]
    is_test_delivery: Callable[[Headers, Document], bool]
    source: Callable[[Document], str]
    click_ids: Callable[[Document], list[object]]
    landing_page: Callable[[Document], list[str]]
    normalise: Callable[[Document, Shop], Order]


def hmac_sha256(body: bytes, secret: str) -> str:
    """Base64 of the HMAC-SHA256 of the raw body: how Shopify and WooCommerce sign."""
    return base64.b64encode(
        hmac.digest(secret.encode("utf-8", "surrogatepass"), body, "sha256")
    ).decode("ascii")


def verify_hmac(signature: str | None, body: bytes, secrets: Iterable[str]) -> None:
    """Raise `SignatureError`, and nothing else, unless one of the secrets makes the signature.

    Compares bytes, in constant time, with every secret: neither which secret matched nor how far
    a forgery came can be told from the time it takes.
    """
    given = (signature or "").strip().encode("utf-8", "surrogatepass")
    matches = 0
    for secret in secrets:
        matches |= hmac.compare_digest(given, hmac_sha256(body, secret).encode("ascii"))
    if not matches:
        raise SignatureError


def hmac_signing(header: str) -> tuple[Sign, Verify]:
    """`sign` and `verify` of a platform whose signature stands alone in one header."""

    def sign(body: bytes, secret: str) -> Headers:
        return {header: hmac_sha256(body, secret)}

    def verify(headers: Headers, body: bytes, secrets: Iterable[str]) -> None:
        verify_hmac(headers.get(header), body, secrets)

    return sign, verify
