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
    Guide,
    Headers,
    Order,
    PaymentState,
    Platform,
    PrivacyRequest,
    Trial,
    Webhooks,
    Wish,
    hmac_signing,
)
from prisjakt_relay.shop import AmountChoice, Shop

SIGNATURE: Final = "x-shopify-hmac-sha256"
CANNED_ORDER_ID: Final = "820982911946154508"
ATTRIBUTES: Final = ("pjclid", "_pjclid", "__pjclid")

# https://shopify.dev/docs/apps/build/compliance/privacy-law-compliance: what each asks for, and the
# field with the ids of the customer's orders.
PRIVACY: Final = {
    "customers/data_request": (Wish.DATA, "orders_requested"),
    "customers/redact": (Wish.ERASE_ORDERS, "orders_to_redact"),
    "shop/redact": (Wish.ERASE_SHOP, None),
}
ABOUT_A_CUSTOMER: Final = frozenset(
    {"customer", "data_request", *(field for _, field in PRIVACY.values() if field)}
)

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


def topic(headers: Headers, order: Document) -> str:  # noqa: ARG001  # it is in a header
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


def privacy(headers: Headers, document: Document) -> PrivacyRequest | None:
    """Of the body nothing is read but the shop and the ids of the orders; a customer may have none.

    The topic is in a header, which no signature covers: a body that is about something else must
    not pass for a request, so the shop that the body names is required, and a request about one
    customer is none about a whole shop.
    """
    name = topic(headers, document)
    if name not in PRIVACY:
        return None
    wish, field = PRIVACY[name]
    shop = reading.text(document, "shop_domain").strip().lower()
    if not shop:
        raise UnreadableError("shop_domain", "is missing")
    if wish is Wish.ERASE_SHOP and (about := ABOUT_A_CUSTOMER & document.keys()):
        raise UnreadableError(min(about), "is there, in a request about the whole shop")
    ids = reading.identifiers(document, field) if field else []
    return PrivacyRequest(name=name, wish=wish, host=shop, order_ids=tuple(ids))


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


def renew(order: Document, headers: dict[str, str], trial: Trial) -> None:
    moment = trial.moment.isoformat(timespec="seconds")
    order |= {
        "id": int(trial.order_id),
        "admin_graphql_api_id": f"gid://shopify/Order/{trial.order_id}",
        "order_number": int(trial.order_id),
        "name": f"#{trial.order_id}",
        "source_name": trial.source,
        "created_at": moment,
        "processed_at": moment,
        "updated_at": moment,
        "landing_site": f"/?pjclid={trial.click_id}",
        "note_attributes": [{"name": "pjclid", "value": trial.click_id}],
    }
    headers["x-shopify-order-id"] = trial.order_id
    headers.pop("x-shopify-shop-domain")
    if trial.domain is not None:
        headers["x-shopify-shop-domain"] = trial.domain


def secret_problem(secret: str) -> str | None:
    if not secret.startswith("shpat_"):
        return None
    return (
        "that is an access token, which signs nothing; paste the secret at the end of Settings, "
        "Notifications, Webhooks, or the app's client secret"
    )


def domain_problem(domain: str) -> str | None:
    if domain.endswith(".myshopify.com"):
        return None
    return (
        f"{domain} is not what Shopify calls the store in its webhooks; give the one that ends "
        "with .myshopify.com, in Settings, Domains"
    )


GUIDE: Final = Guide(
    webhooks=Webhooks(
        where="Shopify admin, Settings, Notifications, Webhooks",
        topics=("Order creation", "Order update", "Order cancellation"),
        settings={"format": "JSON", "API version": "the newest"},
    ),
    secret="Signing secret, at the end of Settings, Notifications, Webhooks (not shown)",  # noqa: S106
    domain="Its ….myshopify.com domain (Enter: any)",
    host="STORE.myshopify.com",
    names="its ….myshopify.com domain",
)

PLATFORM: Final = Platform(
    name="shopify",
    answer_within=timedelta(seconds=3.7),  # Shopify waits 5 s
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
    privacy=privacy,
    excluded_sources=("pos", "subscription_contract*"),
    renew=renew,
    sample="orders-create-test-purchase",
    guide=GUIDE,
    secret_problem=secret_problem,
    domain_problem=domain_problem,
    probe={"x-shopify-topic": "prisjakt-relay/doctor"},
)
