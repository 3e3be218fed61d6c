"""Orders from a shop's own backend: a small body of our own, which docs/custom.md describes, signed
as https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md says.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from prisjakt_relay.errors import ShopDocumentError, SignatureError, UnreadableError
from prisjakt_relay.platforms import reading
from prisjakt_relay.platforms.interface import (
    Document,
    Guide,
    Headers,
    Order,
    PaymentState,
    Platform,
    Trial,
    Webhooks,
)
from prisjakt_relay.shop import AmountChoice, Shop

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
TOLERANCE: Final = timedelta(minutes=5)
PREFIX: Final = "whsec_"
SHORTEST_KEY: Final = 24  # bytes; an empty key would let anybody sign

ORDER: Final = "order"

_MESSAGE_ID: Final = re.compile(r"[^.\s]{1,256}")  # a dot would end it, and begin the timestamp
_SECONDS: Final = re.compile(r"[0-9]{1,10}")
_SIGNATURES: Final = re.compile(r"v[0-9]+[a-z]*,[0-9A-Za-z+/=]+(?: v[0-9]+[a-z]*,[0-9A-Za-z+/=]+)*")
_ORDER_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._:-]{0,63}")  # no e-mail address, no blanks

_REMEDY: Final = (
    "use the base64 of 24 random bytes or more, with or without whsec_ before it, or let the relay "
    "make one"
)

STATES: Final = {state.name.lower(): state for state in PaymentState}


def sign(body: bytes, secret: str, now: datetime) -> Headers:
    """The id is the body's, so that it stays the same however often that is sent."""
    key = _key(secret)
    if key is None:
        raise ShopDocumentError("signing_secrets", f"one cannot be used; {_REMEDY}")
    message_id, seconds = f"msg_{hashlib.sha256(body).hexdigest()[:32]}", str(int(now.timestamp()))
    signature = _signature(key, message_id, seconds, body).decode()
    return {ID: message_id, TIMESTAMP: seconds, SIGNATURE: f"v1,{signature}"}


def verify(headers: Headers, body: bytes, secrets: Iterable[str], now: datetime) -> None:
    """One of the signatures by one of the secrets, and not older or newer than the tolerance.

    Every secret is compared with every signature, in constant time. Signatures of other versions
    are let pass, as the specification asks.
    """
    message_id, seconds = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    given = headers.get(SIGNATURE, "")
    if not (
        _MESSAGE_ID.fullmatch(message_id)
        and _SECONDS.fullmatch(seconds)
        and _SIGNATURES.fullmatch(given)
    ):
        raise SignatureError
    versions = [each.split(",") for each in given.split(" ")]
    signatures = [signature.encode() for version, signature in versions if version == "v1"]
    matches = 0
    for key in filter(None, map(_key, secrets)):
        right = _signature(key, message_id, seconds, body)
        for signature in signatures:
            matches |= hmac.compare_digest(signature, right)
    if not matches:
        raise SignatureError
    if abs(now - datetime.fromtimestamp(int(seconds), UTC)) > TOLERANCE:
        raise SignatureError(TIMESTAMP)


def _signature(key: bytes, message_id: str, seconds: str, body: bytes) -> bytes:
    signed = f"{message_id}.{seconds}.".encode("utf-8", "surrogatepass") + body
    return base64.b64encode(hmac.digest(key, signed, "sha256"))


def _key(secret: str) -> bytes | None:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        return None
    return key if len(key) >= SHORTEST_KEY else None


def is_ping(headers: Headers, body: bytes) -> bool:  # noqa: ARG001  # its ping is signed
    return False


def topic(headers: Headers, document: Document) -> str:  # noqa: ARG001  # it is in the body
    """`order` without a type, too; of one that is no text `order_id` tells. `ping` is `PING`."""
    kind = document.get("type")
    if not isinstance(kind, str) or kind.startswith(f"{ORDER}."):
        return ORDER
    return kind


def host(headers: Headers) -> str | None:  # noqa: ARG001  # each shop has its own secret
    return None


def order_id(order: Document) -> str:
    if not isinstance(order.get("type"), str | None):
        raise UnreadableError("type", "is not a text")
    value = order.get("id")
    if isinstance(value, str) and _ORDER_ID.fullmatch(value):
        return value
    return reading.identifier(order, "id")


def is_test_delivery(headers: Headers, order: Document) -> bool:  # noqa: ARG001  # it has none
    return False


def source(order: Document) -> str:
    return reading.text(order, "source")


def click_ids(order: Document) -> list[object]:
    """Null says that there is none; a backend that forgets the field would report nothing."""
    if "click_id" not in order:
        raise UnreadableError("click_id", "is missing; null says that there is none")
    return [order["click_id"]] if order["click_id"] not in (None, "") else []


def landing_page(order: Document) -> list[str]:  # noqa: ARG001  # it knows its own click id
    return []


def normalise(order: Document, shop: Shop) -> Order:
    number = reading.text(order, "number")
    gross, net = _amounts(order, shop.amount)
    return Order(
        number=number,
        name=number,
        created_at=reading.instant(order, "created_at"),
        updated_at=reading.instant(order, "updated_at"),
        state=_state(order),
        test=reading.flag(order, "test"),
        currency=reading.currency(order, "currency"),
        gross=gross,
        net=net,
        number_of_items=reading.items([reading.decimal(order, "items")], "items"),
    )


def _state(order: Document) -> PaymentState:
    state = STATES.get(reading.text(order, "state"))
    if state is None:
        raise UnreadableError("state", f"is missing or none of {', '.join(STATES)}")
    return state


def _amounts(order: Document, choice: AmountChoice) -> tuple[Decimal, Decimal]:
    """The chosen amount before and after what was given back."""
    total = reading.decimal(order, "total")
    refunded = _or_nothing(order, "refunded")
    net = total - refunded
    if choice is AmountChoice.TOTAL:
        return reading.cents(total), reading.cents(net)
    if choice is AmountChoice.TOTAL_EXCL_TAX:
        tax = reading.decimal(order, "total_tax")
        refunded_tax = (
            reading.decimal(order, "refunded_tax")
            if reading.has(order, "refunded_tax")
            else reading.share(tax, refunded, total)
        )
        return reading.cents(total - tax), reading.cents(net - (tax - refunded_tax))
    goods = reading.decimal(order, "goods")
    if choice is AmountChoice.GOODS_EXCL_TAX:
        goods -= reading.decimal(order, "goods_tax")
    return reading.cents(goods), reading.cents(reading.share(goods, net, total))


def _or_nothing(order: Document, field: str) -> Decimal:
    return reading.decimal(order, field) if reading.has(order, field) else Decimal(0)


def renew(order: Document, headers: dict[str, str], trial: Trial) -> None:  # noqa: ARG001
    moment = trial.moment.isoformat(timespec="seconds")
    order |= {
        "id": trial.order_id,
        "number": trial.order_id,
        "created_at": moment,
        "updated_at": moment,
        "source": trial.source,
        "click_id": trial.click_id,
    }


def new_secret(random: bytes) -> str:
    return PREFIX + base64.b64encode(random).decode()


def secret_problem(secret: str) -> str | None:
    return None if _key(secret) else _REMEDY


GUIDE: Final = Guide(
    webhooks=Webhooks(
        where="Your own backend (docs/custom.md has it in Python, PHP and JavaScript)",
        topics=("an order that is placed", "paid", "changed", "cancelled"),
        settings={"body": "as docs/custom.schema.json", "signature": "Standard Webhooks"},
    ),
)

PLATFORM: Final = Platform(
    name="custom",
    answer_within=timedelta(seconds=8),  # the documentation asks to wait 15 s
    topics=frozenset({ORDER}),
    sign=sign,
    verify=verify,
    is_ping=is_ping,
    topic=topic,
    host=host,
    order_id=order_id,
    is_test_delivery=is_test_delivery,
    source=source,
    click_ids=click_ids,
    landing_page=landing_page,
    normalise=normalise,
    renew=renew,
    guide=GUIDE,
    new_secret=new_secret,
    secret_problem=secret_problem,
)
