"""What a platform supplies: pure functions over headers and bytes, and over the parsed order."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any, Final

from prisjakt_relay.errors import SignatureError
from prisjakt_relay.shop import Shop

Headers = Mapping[str, str]  # lower-case names
Document = dict[str, Any]  # the JSON object in the body
Sign = Callable[[bytes, str, datetime], Headers]  # raises ShopDocumentError for an unfit secret
Verify = Callable[[Headers, bytes, Iterable[str], datetime], None]

PING: Final = "ping"  # the topic of a signed delivery that only asks whether the address works


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
class Trial:
    """What makes of a sample delivery an order of this moment that nobody placed."""

    order_id: str
    click_id: str
    moment: datetime
    source: str
    domain: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """What a shop's webhooks have to be, in the words of the pages on which they are made."""

    where: str
    topics: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """How people are led through the set-up of a shop. What is not given fits any system.

    `secret` asks for the signing secret that the shop system has made; without it, the relay makes
    one. `domain` asks for the shop's own host; `host` stands for it in a command, `names` in a
    sentence. `gives_up` says what the shop system does about deliveries that are refused.
    """

    webhooks: Webhooks = Webhooks(
        where="Where the shop system keeps its webhooks",
        topics=("orders that are placed", "changed", "cancelled"),
    )
    secret: str | None = None
    domain: str = "The host of its pages, without https:// (Enter: none)"
    host: str = "HOST"
    names: str = "the host in its webhooks"
    gives_up: str = ""


def _no_problem(_: str) -> str | None:
    return None


class Wish(StrEnum):
    """What a privacy request wants."""

    DATA = "data"
    ERASE_ORDERS = "erase_orders"
    ERASE_SHOP = "erase_shop"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyRequest:
    """What a shop system asks for in the name of a customer, or when a shop has left.

    `name` is the platform's own word for it, `host` the shop that is named in what is signed. Of
    the customer only the ids of the orders are kept.
    """

    name: str
    wish: Wish
    host: str
    order_ids: tuple[str, ...] = ()


def no_privacy_requests(headers: Headers, document: Document) -> PrivacyRequest | None:  # noqa: ARG001
    """For a platform that sends none."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One shop system: what the functions need of it, then what the command line does.

    `answer_within` is how long it waits for an answer, with a margin. `sign` and `verify` are given
    the moment, for signatures that grow old. `is_ping` is about unsigned requests; a signed one has
    the topic `PING`. `excluded_sources` hold where a shop document names none.

    `new_secret` makes a signing secret of 32 random bytes. The problem with a new secret or domain
    is told with the remedy. `probe` are headers that give a delivery a topic of nobody's. `renew`
    turns the order of the delivery `sample` in `events/` into a `Trial`, and its headers with it.
    """

    name: str
    answer_within: timedelta
    topics: frozenset[str]
    sign: Sign
    verify: Verify
    is_ping: Callable[[Headers, bytes], bool]
    topic: Callable[[Headers, Document], str]
    host: Callable[[Headers], str | None]
    order_id: Callable[[Document], str]
    is_test_delivery: Callable[[Headers, Document], bool]
    source: Callable[[Document], str]
    click_ids: Callable[[Document], list[object]]
    landing_page: Callable[[Document], list[str]]
    normalise: Callable[[Document, Shop], Order]
    privacy: Callable[[Headers, Document], PrivacyRequest | None] = no_privacy_requests
    excluded_sources: tuple[str, ...] = ()

    renew: Callable[[Document, dict[str, str], Trial], None]
    sample: str = "made-test-purchase"
    guide: Guide = Guide()  # frozen
    new_secret: Callable[[bytes], str] = bytes.hex
    secret_problem: Callable[[str], str | None] = _no_problem
    domain_problem: Callable[[str], str | None] = _no_problem
    probe: Headers = field(default_factory=dict)


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

    def sign(body: bytes, secret: str, now: datetime) -> Headers:  # noqa: ARG001  # never grows old
        return {header: hmac_sha256(body, secret)}

    def verify(
        headers: Headers,
        body: bytes,
        secrets: Iterable[str],
        now: datetime,  # noqa: ARG001  # never grows old
    ) -> None:
        verify_hmac(headers.get(header), body, secrets)

    return sign, verify
