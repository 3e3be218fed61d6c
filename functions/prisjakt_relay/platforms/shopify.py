"""Shopify's order webhooks: https://shopify.dev/docs/apps/build/webhooks and the Order resource."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from prisjakt_relay.errors import UnreadableError
from prisjakt_relay.platforms import reading
from prisjakt_relay.platforms.interface import (
    Document,
    Headers,
    Order,
    PaymentState,
    Platform,
    hmac_signing,
)
from prisjakt_relay.shop import AmountChoice, Shop

SIGNATURE: Final = "x-shopify-hmac-sha256"
CANNED_ORDER_ID: Final = "820982911946154508"
ATTRIBUTES: Final = ("pjclid", "_pjclid", "__pjclid")

# "expired", absent and any word that Shopify may add later: not known to be paid.
STATES: Final = {
    "pending": PaymentState.PENDING,
    "authorized": PaymentState.SECURED,
    "partially_paid": PaymentState.SECURED,
    "paid": PaymentState.PAID,
    "partially_refunded": PaymentState.PAID,
    "voided": PaymentState.VOID,
    "refunded": PaymentState.VOID,
}


sign, verify = hmac_signing(SIGNATURE)


def is_ping(headers: Headers, body: bytes) -> bool:  # noqa: ARG001  # Shopify sends none
    return False


def topic(headers: Headers) -> str:
    return headers.get("x-shopify-topic", "").strip().lower()


def host(headers: Headers) -> str | None:
    return headers.get("x-shopify-shop-domain", "").strip().lower() or None


def order_id(order: Document) -> str:
    return reading.identifier(order, "id")


def is_test_delivery(headers: Headers, order: Document) -> bool:
    """Shopify's canned notification, which a shop sends to see whether the address works."""
    if str(order.get("id")) == CANNED_ORDER_ID:
        return True
    told = headers.get("x-shopify-test", "").strip().lower() == "true"
    return told and order.get("test") is True and not click_ids(order)


def source(order: Document) -> str:
    return reading.text(order, "source_name")


def click_ids(order: Document) -> list[object]:
    """What the cart attributes carry, the most trusted name first, the last value first."""
    attributes = order.get("note_attributes")
    if attributes is None:
        return []
    if not isinstance(attributes, list):
        raise UnreadableError("note_attributes", "is not a list")
    rows = [row for row in reversed(attributes) if isinstance(row, dict)]
    return [
        row.get("value")
        for name in ATTRIBUTES
        for row in rows
        if row.get("name") == name and row.get("value") not in (None, "")
    ]


def landing_page(order: Document) -> list[str]:
    return reading.click_ids_in_address(order.get("landing_site"))


def normalise(order: Document, shop: Shop) -> Order:
    created_at = reading.instant(order, "created_at")
    own = reading.currency(order, "currency")
    bought = reading.currency(order, "presentment_currency") if _presented(order) else own
    presentment = bought != own and reading.takes_presentment(shop.currency, own, bought)
    money = _Money(order, presentment)
    gross, net = _amounts(order, money, shop.amount)
    return Order(
        number=reading.text(order, "order_number"),
        name=reading.text(order, "name"),
        created_at=created_at,
        updated_at=(
            reading.instant(order, "updated_at") if reading.has(order, "updated_at") else created_at
        ),
        state=_state(order),
        test=reading.flag(order, "test"),
        currency=bought if presentment else own,
        gross=gross,
        net=net,
        number_of_items=reading.items(_quantities(order), "line_items[].current_quantity"),
    )


def _presented(order: Document) -> bool:
    return reading.has(order, "presentment_currency")


def _state(order: Document) -> PaymentState:
    if reading.has(order, "cancelled_at"):
        return PaymentState.VOID
    return STATES.get(reading.text(order, "financial_status"), PaymentState.PENDING)


def _quantities(order: Document) -> Iterable[Decimal]:
    for line in reading.rows(order, "line_items"):
        field = "current_quantity" if reading.has(line, "current_quantity") else "quantity"
        yield reading.decimal(line, field, "line_items[].")


class _Money:
    """Amounts in the shop's or the buyer's currency: `field`, or `field_set.presentment_money`."""

    def __init__(self, order: Document, presentment: bool) -> None:
        self._order = order
        self._presentment = presentment

    def of(self, row: dict[str, Any], field: str, path: str = "") -> Decimal:
        if not self._presentment:
            return reading.decimal(row, field, path)
        bag = row.get(f"{field}_set")
        money = bag.get("presentment_money") if isinstance(bag, dict) else None
        if not isinstance(money, dict):
            raise UnreadableError(f"{path}{field}_set.presentment_money", "is missing")
        return reading.decimal(money, "amount", f"{path}{field}_set.presentment_money.")

    def total(self, field: str) -> Decimal:
        return self.of(self._order, field)

    def optional(self, field: str) -> Decimal | None:
        if not reading.has(self._order, f"{field}_set" if self._presentment else field):
            return None
        return self.total(field)


def _amounts(order: Document, money: _Money, choice: AmountChoice) -> tuple[Decimal, Decimal]:
    """The chosen amount as ordered and as of now (edits, returns and refunds taken off)."""
    gross = money.total("total_price")
    current = money.optional("current_total_price")
    net = gross if current is None else current
    if choice is AmountChoice.TOTAL:
        return reading.cents(gross), reading.cents(net)
    if choice is AmountChoice.TOTAL_EXCL_TAX:
        tax = money.optional("total_tax") or Decimal(0)  # null in old bodies
        net_tax = money.optional("current_total_tax")
        if net_tax is None:
            net_tax = reading.share(tax, net, gross)
        return reading.cents(gross - tax), reading.cents(net - net_tax)
    goods = _goods(order, money, with_tax=choice is AmountChoice.GOODS)
    return reading.cents(goods), reading.cents(reading.share(goods, net, gross))


def _goods(order: Document, money: _Money, *, with_tax: bool) -> Decimal:
    """What the lines cost after discounts; gift cards are money, not goods.

    `subtotal_price` has no shipping and no tips, and has VAT in it if `taxes_included`.
    """
    goods = money.total("subtotal_price")
    tax = Decimal(0)
    for line in reading.rows(order, "line_items"):
        if line.get("gift_card") is True:
            quantity = reading.decimal(line, "quantity", "line_items[].")
            goods -= money.of(line, "price", "line_items[].") * quantity
            for discount in reading.rows(line, "discount_allocations"):
                goods += money.of(discount, "amount", "line_items[].discount_allocations[].")
            continue
        for part in reading.rows(line, "tax_lines"):
            tax += money.of(part, "price", "line_items[].tax_lines[].")
    included = reading.flag(order, "taxes_included")
    if with_tax == included:
        return goods
    return goods + tax if with_tax else goods - tax


PLATFORM: Final = Platform(
    name="shopify",
    answer_within=timedelta(seconds=3.6),  # Shopify waits 5 s
    topics=frozenset({"orders/create", "orders/paid", "orders/updated", "orders/cancelled"}),
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
)
