"""WooCommerce's order webhooks: https://developer.woocommerce.com/docs/apis/rest-api/v3/webhooks/"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

from prisjakt_relay.errors import UnreadableError
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
    hmac_signing,
)
from prisjakt_relay.shop import AmountChoice, Shop

SIGNATURE: Final = "x-wc-webhook-signature"
META_KEYS: Final = ("pjclid", "_pjclid", "__pjclid")
SESSION_ENTRY: Final = "_wc_order_attribution_session_entry"
RENEWAL: Final = "_subscription_renewal"

_KEPT: Final = re.compile(r"[A-Za-z0-9]+")
_PING: Final = re.compile(rb"webhook_id=[0-9]{1,20}")

STATES: Final = {
    "checkout-draft": PaymentState.DRAFT,
    "auto-draft": PaymentState.DRAFT,
    "trash": PaymentState.DRAFT,
    "pending": PaymentState.PENDING,
    "on-hold": PaymentState.PENDING,
    "completed": PaymentState.PAID,
    "cancelled": PaymentState.VOID,
    "failed": PaymentState.VOID,
    "refunded": PaymentState.VOID,
}


sign, verify = hmac_signing(SIGNATURE)


def is_ping(headers: Headers, body: bytes) -> bool:
    """The unsigned form post that WooCommerce sends when a webhook is saved; it wants a 200."""
    return SIGNATURE not in headers and bool(_PING.fullmatch(body))


def topic(headers: Headers, order: Document) -> str:  # noqa: ARG001  # it is in a header
    return headers.get("x-wc-webhook-topic", "").strip().lower()


def host(headers: Headers) -> str | None:
    try:
        return urlsplit(headers.get("x-wc-webhook-source", "").strip()).hostname
    except ValueError:
        return None


def order_id(order: Document) -> str:
    if "code" in order and "id" not in order:
        raise UnreadableError("code", "is there instead of an order: the shop sent an error")
    return reading.identifier(order, "id")


def is_test_delivery(headers: Headers, order: Document) -> bool:  # noqa: ARG001  # it has none
    return False


def source(order: Document) -> str:
    """What made the order; a renewal says so in its metadata even when another plug-in made it."""
    if any(key == RENEWAL for key, _ in _metadata(order)):
        return "subscription"
    return reading.text(order, "created_via")


def click_ids(order: Document) -> list[object]:
    """What the order's metadata carries, the most trusted key first, the last value first."""
    metadata = [pair for pair in reversed(_metadata(order)) if pair[1] not in (None, "", [], {})]
    return [value for name in META_KEYS for key, value in metadata if key == name]


def landing_page(order: Document) -> list[str]:
    """Click ids in WooCommerce's own order attribution."""
    return [
        click_id
        for key, value in _metadata(order)
        if key == SESSION_ENTRY
        for click_id in reading.click_ids_in_address(value)
    ]


def _metadata(order: Document) -> list[tuple[object, object]]:
    return [(row.get("key"), row.get("value")) for row in reading.rows(order, "meta_data")]


def normalise(order: Document, shop: Shop) -> Order:
    created_at = _gmt(order, "date_created_gmt")
    gross, net = _amounts(order, shop.amount)
    number = reading.text(order, "number")
    return Order(
        number=number,
        name=number,
        created_at=created_at,
        updated_at=(
            _gmt(order, "date_modified_gmt")
            if reading.has(order, "date_modified_gmt")
            else created_at
        ),
        state=_state(order),
        test=False,
        currency=reading.currency(order, "currency"),
        gross=gross,
        net=net,
        number_of_items=reading.items(
            (reading.decimal(line, "quantity", "line_items[].") for line in _lines(order)),
            "line_items[].quantity",
        ),
    )


def _gmt(order: Document, field: str) -> datetime:
    return reading.instant(order, field, naive_is_utc=True)


def _state(order: Document) -> PaymentState:
    status = reading.text(order, "status")
    if status in STATES:
        return STATES[status]
    if reading.has(order, "date_paid_gmt") or reading.has(order, "date_paid"):
        return PaymentState.PAID
    # Cash on delivery and invoices are "processing" long before they are paid. A shop's own
    # status says nothing until a payment date does.
    return PaymentState.SECURED if status == "processing" else PaymentState.PENDING


def _lines(order: Document) -> list[Document]:
    return reading.rows(order, "line_items")


def _amounts(order: Document, choice: AmountChoice) -> tuple[Decimal, Decimal]:
    """The chosen amount as ordered and as of now: `total` never changes, refunds are listed."""
    gross = reading.decimal(order, "total")
    tax = reading.decimal(order, "total_tax") if reading.has(order, "total_tax") else Decimal(0)
    refunded, refunded_tax = Decimal(0), Decimal(0)
    for refund in reading.rows(order, "refunds"):
        amount = abs(reading.decimal(refund, "total", "refunds[]."))
        refunded += amount
        refunded_tax += (
            abs(reading.decimal(refund, "total_tax", "refunds[]."))
            if reading.has(refund, "total_tax")
            else reading.share(tax, amount, gross)
        )
    net = gross - refunded
    if choice is AmountChoice.TOTAL:
        return reading.cents(gross), reading.cents(net)
    if choice is AmountChoice.TOTAL_EXCL_TAX:
        return reading.cents(gross - tax), reading.cents(net - (tax - refunded_tax))
    goods = Decimal(0)
    for line in _lines(order):
        goods += reading.decimal(line, "total", "line_items[].")
        if choice is AmountChoice.GOODS and reading.has(line, "total_tax"):
            goods += reading.decimal(line, "total_tax", "line_items[].")
    return reading.cents(goods), reading.cents(reading.share(goods, net, gross))


def renew(order: Document, headers: dict[str, str], trial: Trial) -> None:
    moment = trial.moment.strftime("%Y-%m-%dT%H:%M:%S")
    dates = ("date_created", "date_modified", "date_paid")
    order |= {"id": int(trial.order_id), "number": trial.order_id, "created_via": trial.source}
    order |= dict.fromkeys(dates, moment) | {f"{date}_gmt": moment for date in dates}
    for row in order["meta_data"]:
        if row["key"] == "pjclid":
            row["value"] = trial.click_id
    headers.pop("x-wc-webhook-source")
    if trial.domain is not None:
        headers["x-wc-webhook-source"] = f"https://{trial.domain}/"


def new_secret(random: bytes) -> str:
    """Of letters and digits, which WooCommerce keeps as they are."""
    return random[:24].hex()


def secret_problem(secret: str) -> str | None:
    if _KEPT.fullmatch(secret):
        return None
    return (
        "use letters and digits only; WooCommerce rewrites other characters without a word, and "
        "signs with what it made of them"
    )


GUIDE: Final = Guide(
    webhooks=Webhooks(
        where="WooCommerce, Settings, Advanced, Webhooks",
        topics=("Order updated", "Order created"),
        settings={"status": "active", "API version": "v3"},
    ),
    domain="The host of its WordPress address, without https:// (Enter: any)",
    names="the host of its WordPress address",
    gives_up="WooCommerce stops sending after a few",
)

PLATFORM: Final = Platform(
    name="woocommerce",
    answer_within=timedelta(seconds=14),  # it waits 60 s and never sends again
    topics=frozenset({"order.created", "order.updated", "order.restored"}),
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
    excluded_sources=("subscription",),
    renew=renew,
    guide=GUIDE,
    new_secret=new_secret,
    secret_problem=secret_problem,
    probe={"x-wc-webhook-topic": "prisjakt-relay.doctor"},
)
