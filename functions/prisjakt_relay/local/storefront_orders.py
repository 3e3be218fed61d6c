"""The orders of the demo storefront, told as Shopify and WooCommerce tell of theirs; no I/O.

Every body starts from a sample of `events/` and has all its fields; what this shop decides is put
in their place. The buyer stays the invented one of the samples.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

Document = dict[str, Any]

CURRENCY: Final = "SEK"
SHIPPING: Final = Decimal("49.00")
_TAX_IN_PRICES: Final = Decimal("0.2")  # 25 % on top is a fifth of what is paid
_CENT: Final = Decimal("0.01")
_ZONE: Final = ZoneInfo("Europe/Stockholm")
_TOKEN_LETTERS: Final = string.ascii_letters + string.digits
_ATTRIBUTION: Final = "_wc_order_attribution_"
_SESSION_ENTRY: Final = f"{_ATTRIBUTION}session_entry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Something to buy; `price` includes VAT, `id` is what carts know it by."""

    id: int
    handle: str
    name: str
    variant: str
    about: str
    sku: str
    price: Decimal


@dataclass(frozen=True, slots=True)
class Line:
    """One product in a cart."""

    product: Product
    quantity: int

    @property
    def total(self) -> Decimal:
        return self.product.price * self.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What was bought: all that both platforms need to know."""

    id: int
    number: int
    token: str
    placed_at: datetime
    lines: tuple[Line, ...]
    paid: bool = True

    @property
    def goods(self) -> Decimal:
        return goods(self.lines)

    @property
    def total(self) -> Decimal:
        return self.goods + SHIPPING

    @property
    def tax(self) -> Decimal:
        return sum((tax_in(line.total) for line in self.lines), tax_in(SHIPPING))


def goods(lines: Sequence[Line]) -> Decimal:
    return sum((line.total for line in lines), Decimal("0.00"))


def tax_in(gross: Decimal) -> Decimal:
    """The VAT in an amount that includes it."""
    return (gross * _TAX_IN_PRICES).quantize(_CENT, ROUND_HALF_UP)


def click_id(random: Random, *, signed: bool) -> str:
    """What Prisjakt appends to a link; without its signature it marks a test."""
    bare = new_uuid(random)
    return f"{bare}_{random.getrandbits(64):016x}" if signed else bare


def new_uuid(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=4))


def new_token(random: Random, length: int = 24) -> str:
    return "".join(random.choices(_TOKEN_LETTERS, k=length))


def shopify_order(
    sample: Document,
    purchase: Purchase,
    *,
    cart_token: str,
    attributes: Mapping[str, str],
    landing_site: str | None,
) -> Document:
    """The order as `orders/create` tells of it, seconds after it was placed."""
    order = deepcopy(sample)
    moment = _local(purchase.placed_at)
    order |= {
        "id": purchase.id,
        "admin_graphql_api_id": f"gid://shopify/Order/{purchase.id}",
        "cart_token": cart_token,
        "checkout_token": purchase.token[::-1],
        "confirmation_number": purchase.token[:9].upper(),
        "created_at": moment,
        "discount_applications": [],
        "discount_codes": [],
        "financial_status": "paid" if purchase.paid else "pending",
        "landing_site": landing_site,
        "line_items": [
            _shopify_line(sample["line_items"][0], purchase, index, line)
            for index, line in enumerate(purchase.lines)
        ],
        "name": f"#{purchase.number}",
        "note_attributes": [{"name": name, "value": value} for name, value in attributes.items()],
        "number": purchase.number - 1000,
        "order_number": purchase.number,
        "order_status_url": f"https://demo-shopify.example/orders/{purchase.token}",
        "payment_gateway_names": ["shopify_payments" if purchase.paid else "Invoice"],
        "processed_at": moment,
        "referring_site": "https://www.prisjakt.nu/" if "pjclid=" in (landing_site or "") else "",
        "token": purchase.token,
        "total_weight": 0,
        "updated_at": moment,
    }
    nothing = Decimal("0.00")
    for field, amount in {
        "current_subtotal_price": purchase.goods,
        "current_total_discounts": nothing,
        "current_total_price": purchase.total,
        "current_total_tax": purchase.tax,
        "subtotal_price": purchase.goods,
        "total_discounts": nothing,
        "total_line_items_price": purchase.goods,
        "total_price": purchase.total,
        "total_tax": purchase.tax,
    }.items():
        _put_money(order, field, amount)
    order["total_outstanding"] = _plain(nothing if purchase.paid else purchase.total)
    order["total_shipping_price_set"] = order["current_shipping_price_set"] = _both(SHIPPING)
    _put_money(order["tax_lines"][0], "price", purchase.tax)
    shipping = order["shipping_lines"][0]
    for field in ("price", "discounted_price"):
        _put_money(shipping, field, SHIPPING)
    shipping["current_discounted_price_set"] = _both(SHIPPING)
    _put_money(shipping["tax_lines"][0], "price", tax_in(SHIPPING))
    return order


def _shopify_line(sample: Document, purchase: Purchase, index: int, line: Line) -> Document:
    made = deepcopy(sample)
    product = line.product
    line_id = purchase.id * 10 + index
    made |= {
        "id": line_id,
        "admin_graphql_api_id": f"gid://shopify/LineItem/{line_id}",
        "current_quantity": line.quantity,
        "discount_allocations": [],
        "fulfillable_quantity": line.quantity,
        "grams": 0,
        "name": f"{product.name} - {product.variant}",
        "product_id": product.id - 1,
        "quantity": line.quantity,
        "sku": product.sku,
        "title": product.name,
        "variant_id": product.id,
        "variant_title": product.variant,
    }
    _put_money(made, "price", product.price)
    _put_money(made["tax_lines"][0], "price", tax_in(line.total))
    return made


def shopify_paid(order: Document, now: datetime) -> Document:
    """The same order once its invoice is paid, as `orders/updated` tells."""
    return deepcopy(order) | {
        "financial_status": "paid",
        "total_outstanding": "0.00",
        "updated_at": _local(_later(order["updated_at"], now)),
    }


def shopify_cancelled(order: Document, now: datetime) -> Document:
    """The same order cancelled and all of it given back, as `orders/cancelled` tells."""
    moment = _local(_later(order["updated_at"], now))
    was_paid = order["financial_status"] == "paid"
    cancelled = deepcopy(order) | {
        "cancel_reason": "customer",
        "cancelled_at": moment,
        "closed_at": moment,
        "financial_status": "refunded" if was_paid else "voided",
        "total_outstanding": "0.00",
        "updated_at": moment,
    }
    for field in ("current_subtotal_price", "current_total_price", "current_total_tax"):
        _put_money(cancelled, field, Decimal("0.00"))
    cancelled["current_shipping_price_set"] = _both(Decimal("0.00"))
    for line in cancelled["line_items"]:
        line |= {"current_quantity": 0, "fulfillable_quantity": 0}
    return cancelled


def woocommerce_order(
    sample: Document,
    purchase: Purchase,
    *,
    address: str,
    click_id: str | None,
    session_entry: str | None,
) -> Document:
    """The order as `order.created` tells of it; `address` is the shop's own, with a slash.

    `click_id` is what the shop put on the order, `session_entry` what WooCommerce's own order
    attribution did; None stands for a visitor who did not consent to it.
    """
    order = deepcopy(sample)
    local, gmt = _naive(purchase.placed_at, _ZONE), _naive(purchase.placed_at, UTC)
    tax = purchase.tax - tax_in(SHIPPING)
    metadata = {"is_vat_exempt": "no"}
    if session_entry is not None:
        metadata |= {f"{_ATTRIBUTION}source_type": "typein", _SESSION_ENTRY: session_entry}
    if click_id is not None:
        metadata["pjclid"] = click_id
    order |= {
        "id": purchase.id,
        "number": str(purchase.number),
        "status": "processing" if purchase.paid else "on-hold",
        "date_created": local,
        "date_modified": local,
        "date_paid": local if purchase.paid else None,
        "date_created_gmt": gmt,
        "date_modified_gmt": gmt,
        "date_paid_gmt": gmt if purchase.paid else None,
        "shipping_total": _plain(SHIPPING - tax_in(SHIPPING)),
        "shipping_tax": _plain(tax_in(SHIPPING)),
        "cart_tax": _plain(tax),
        "total": _plain(purchase.total),
        "total_tax": _plain(purchase.tax),
        "order_key": f"wc_order_{purchase.token[:13]}",
        "payment_method": "swish" if purchase.paid else "bacs",
        "payment_method_title": "Swish" if purchase.paid else "Bank transfer",
        "transaction_id": f"demo-{purchase.id}" if purchase.paid else "",
        "created_via": "checkout",
        "cart_hash": purchase.token[-8:],
        "meta_data": _metadata(purchase.id * 100, metadata),
        "line_items": [
            _woocommerce_line(sample["line_items"][0], purchase.id * 10 + index, line)
            for index, line in enumerate(purchase.lines)
        ],
        "payment_url": f"{address}checkout/order-pay/{purchase.id}/",
        "needs_payment": False,
        "_links": {"self": [{"href": f"{address}wp-json/wc/v3/orders/{purchase.id}"}]},
    }
    order["tax_lines"][0] |= {
        "tax_total": _plain(tax),
        "shipping_tax_total": _plain(tax_in(SHIPPING)),
    }
    order["shipping_lines"][0] |= {
        "total": order["shipping_total"],
        "total_tax": order["shipping_tax"],
        "taxes": [{"id": 1, "total": order["shipping_tax"], "subtotal": ""}],
        "meta_data": [],
    }
    return order


def _metadata(first_id: int, values: Mapping[str, str]) -> list[Document]:
    return [
        {"id": first_id + index, "key": key, "value": value}
        for index, (key, value) in enumerate(values.items())
    ]


def _woocommerce_line(sample: Document, line_id: int, line: Line) -> Document:
    tax = tax_in(line.total)
    net = line.total - tax
    return deepcopy(sample) | {
        "id": line_id,
        "name": line.product.name,
        "product_id": line.product.id,
        "quantity": line.quantity,
        "subtotal": _plain(net),
        "subtotal_tax": _plain(tax),
        "total": _plain(net),
        "total_tax": _plain(tax),
        "taxes": [{"id": 1, "total": _plain(tax), "subtotal": _plain(tax)}],
        "sku": line.product.sku,
        "price": float(net / line.quantity),  # a number in WooCommerce's own bodies, too
    }


def woocommerce_paid(order: Document, now: datetime) -> Document:
    """The same order once the bank transfer is there, as `order.updated` tells."""
    moment = _later(order["date_modified_gmt"], now)
    return _modified(order, moment) | {
        "status": "processing",
        "date_paid": _naive(moment, _ZONE),
        "date_paid_gmt": _naive(moment, UTC),
    }


def woocommerce_cancelled(order: Document, now: datetime) -> Document:
    """The same order cancelled, as `order.updated` tells: the total stays, the status says it."""
    return _modified(order, _later(order["date_modified_gmt"], now)) | {"status": "cancelled"}


def _modified(order: Document, moment: datetime) -> Document:
    return deepcopy(order) | {
        "date_modified": _naive(moment, _ZONE),
        "date_modified_gmt": _naive(moment, UTC),
    }


def _later(moment: str, now: datetime) -> datetime:
    """Now, or a second after the last change: of two changes in one second the relay takes one."""
    last = datetime.fromisoformat(moment)
    if last.tzinfo is None:
        last = last.replace(tzinfo=UTC)
    return max(now, last + timedelta(seconds=1))


def _local(moment: datetime) -> str:
    return moment.astimezone(_ZONE).isoformat(timespec="seconds")


def _naive(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).replace(tzinfo=None).isoformat(timespec="seconds")


def _plain(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _both(amount: Decimal) -> Document:
    money = {"amount": _plain(amount), "currency_code": CURRENCY}
    return {"shop_money": money, "presentment_money": dict(money)}


def _put_money(row: Document, field: str, amount: Decimal) -> None:
    row[field], row[f"{field}_set"] = _plain(amount), _both(amount)
