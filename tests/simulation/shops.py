"""Shops, orders and their lives, as webhooks that the platforms would really send."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tests.simulation.fibres import START

Rank = tuple[int, bool, Decimal, int]


@dataclass(kw_only=True)
class Step:
    """An order as of one change: what a delivery says, and what the relay should make of it."""

    moment: datetime
    body: bytes
    topics: tuple[str, ...]
    reportable: bool  # as money goes
    void: bool
    net: Decimal
    items: int

    @property
    def rank(self) -> Rank:
        revision = int(self.moment.timestamp()) * 1000
        if self.void:
            return (revision, True, Decimal(0), 0)
        return (revision, False, -self.net, -self.items)


@dataclass(kw_only=True)
class Order:
    id: str
    click_id: str | None
    source: str
    poison: bool = False
    browser: bool = False
    steps: list[Step] = field(default_factory=list)
    accepted: list[Step] = field(default_factory=list)
    refusals: int = 0

    @property
    def eligible(self) -> bool:
        return self.click_id is not None and self.source not in ("pos", "subscription")


@dataclass(kw_only=True)
class Shop:
    name: str
    platform: str
    pixel_id: str
    secret: str
    client_id: str | None
    auth: str
    corrections: bool
    report_when: str
    change: str = ""  # what somebody changes of its document,
    changes_at: datetime = START
    new_pixel_id: str = ""
    orders: list[Order] = field(default_factory=list)

    @property
    def pixel_ids(self) -> set[str]:
        return {self.pixel_id, self.new_pixel_id or self.pixel_id}

    @property
    def client(self) -> str:
        return self.client_id or self.pixel_id

    @property
    def corrects(self) -> bool:
        return self.corrections and self.client_id is not None

    def document(self, now: datetime) -> str:
        change = self.change if now >= self.changes_at else ""
        document: dict[str, Any] = {
            "platform": self.platform,
            "pixel_id": self.new_pixel_id if change == "pixel" else self.pixel_id,
            "signing_secrets": [self.secret],
            "corrections": self.corrections,
            "report_when": self.report_when,
        }
        client_id = "client-new" if change == "credentials" else self.client_id
        if client_id is not None and change != "no credentials":
            document |= {
                "prisjakt_client_id": client_id,
                "prisjakt_client_secret": "hush",
                "prisjakt_auth": self.auth,
            }
        return json.dumps(document)


def uuid(random: Random) -> str:
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def shops(random: Random) -> list[Shop]:
    found: list[Shop] = []
    for number in range(random.choice((1, 1, 2, 2, 3))):
        has_credentials = random.random() < 0.7
        shared = found and found[0].client_id and random.random() < 0.3
        client_id = found[0].client_id if shared else f"client-{number}"
        shop = Shop(
            name=f"shop-{number}",
            platform=random.choice(("shopify", "woocommerce")),
            pixel_id=uuid(random),
            secret=f"secret{number}",
            client_id=client_id if has_credentials else None,
            auth=random.choice(("oauth", "oauth", "headers")),
            corrections=random.random() < 0.85,
            report_when=random.choice(("placed", "secured", "secured", "paid")),
        )
        if random.random() < 0.08:
            shop.change = random.choice(("pixel", "credentials", "no credentials"))
            shop.changes_at = START + timedelta(hours=random.uniform(0, 12))
            shop.new_pixel_id = uuid(random) if shop.change == "pixel" else ""
        poisonous = random.random() < 0.2
        rush = random.randrange(0, 8 * 3600) if random.random() < 0.3 else None
        for each in range(random.choice((1, 1, 2, 2, 3, 4, 5, 6))):
            order = Order(
                id=str(1001 + each),
                click_id=f"{uuid(random)}_1b05fa7f1c34d125" if random.random() < 0.93 else None,
                source="web",
                poison=poisonous and random.random() < 0.3,
                browser=random.random() < 0.03 and not shop.change,
            )
            if random.random() < 0.05:
                order.source = "pos" if shop.platform == "shopify" else "subscription"
            begin = random.randrange(0, 8 * 3600)
            if rush is not None:
                begin = rush + random.randrange(0, 60)
            order.steps = life(random, shop, order, begin)
            shop.orders.append(order)
        found.append(shop)
    return found


@dataclass
class _State:
    gross: Decimal
    net: Decimal
    items: int
    left: int
    paid: str
    cancelled: bool = False

    @property
    def refunded(self) -> bool:
        return self.net <= 0


def _money(random: Random) -> Decimal:
    return Decimal(random.randrange(100, 500_000)) / 100


def life(random: Random, shop: Shop, order: Order, begin: int) -> list[Step]:
    """All that happens to an order, from so many seconds after the start on."""
    created = START + timedelta(seconds=begin)
    total, items = _money(random), random.randrange(1, 6)
    paid = random.choice(("pending", "authorized", "paid", "paid"))
    state = _State(total, total, items, items, paid)
    moment = created
    steps = [_step(shop, order, state, created, moment, "create")]
    for _ in range(random.choice((0, 0, 1, 1, 2, 3, 4))):
        is_long_ago = random.random() < 0.03 and not order.browser  # whose event would be forgotten
        if is_long_ago:
            moment += timedelta(days=random.randrange(20, 50))
        elif random.random() < 0.9:
            moment += timedelta(seconds=int(10 ** random.uniform(0, 4.5)))
        change = random.choice(("pay", "pay", "edit", "refund", "all", "cancel", "back", "touch"))
        if is_long_ago and state.cancelled:
            change = "back"
        if change == "pay":
            state.paid = "paid"
        elif change == "edit" and not state.refunded and state.net == state.gross:
            state.gross = state.net = _money(random)
            state.items = state.left = random.randrange(1, 6)
        elif change == "refund" and state.net > 1:
            state.paid = "paid"
            state.net -= (state.net / 3).quantize(Decimal("0.01"))
            state.left = max(1, state.left - 1)
        elif change == "all":
            state.paid, state.net, state.left = "paid", Decimal(0), 0
        elif change == "cancel":
            state.cancelled = True
        elif change == "back":
            state.cancelled = False
        steps.append(_step(shop, order, state, created, moment, change))
    return steps


def _step(
    shop: Shop, order: Order, state: _State, created: datetime, moment: datetime, change: str
) -> Step:
    void = state.cancelled or state.refunded
    level = {"pending": 1, "authorized": 2, "paid": 3}[state.paid]
    needed = {"placed": 1, "secured": 2, "paid": 3}[shop.report_when]
    shopify = shop.platform == "shopify"
    body = (
        _shopify(order, state, created, moment) if shopify else _woo(order, state, created, moment)
    )
    return Step(
        moment=moment,
        body=json.dumps(body).encode(),
        topics=_topics(shopify, change),
        reportable=shop.corrections if void else level >= needed,
        void=void,
        net=state.net,
        items=state.left if shopify else state.items,
    )


def _topics(shopify: bool, change: str) -> tuple[str, ...]:
    if not shopify:
        return ("order.created",) if change == "create" else ("order.updated",)
    extra = {"create": "orders/create", "pay": "orders/paid", "cancel": "orders/cancelled"}
    return (extra[change], "orders/updated") if change in extra else ("orders/updated",)


def _shopify(order: Order, state: _State, created: datetime, moment: datetime) -> dict[str, Any]:
    status = state.paid
    if state.net < state.gross:
        status = "refunded" if state.refunded else "partially_refunded"
    attributes = [{"name": "pjclid", "value": order.click_id}] if order.click_id else []
    return {
        "id": int(order.id),
        "name": f"#{order.id}",
        "order_number": int(order.id),
        "created_at": created.isoformat(),
        "updated_at": moment.isoformat(),
        "cancelled_at": moment.isoformat() if state.cancelled else None,
        "financial_status": status,
        "currency": "SEK",
        "total_price": str(state.gross),
        "current_total_price": str(state.net),
        "source_name": order.source,
        "note_attributes": attributes,
        "line_items": [{"quantity": state.items, "current_quantity": state.left}],
    }


def _woo(order: Order, state: _State, created: datetime, moment: datetime) -> dict[str, Any]:
    status = "processing" if state.paid != "pending" else "pending"
    if state.refunded:
        status = "refunded"
    if state.cancelled:
        status = "cancelled"
    metadata = [{"key": "pjclid", "value": order.click_id}] if order.click_id else []
    refunds = [{"total": str(state.net - state.gross)}] if state.net < state.gross else []
    return {
        "id": int(order.id),
        "number": order.id,
        "status": status,
        "currency": "SEK",
        "total": str(state.gross),
        "date_created_gmt": created.replace(tzinfo=None).isoformat(),
        "date_modified_gmt": moment.replace(tzinfo=None).isoformat(),
        "date_paid_gmt": created.replace(tzinfo=None).isoformat() if state.paid == "paid" else None,
        "created_via": order.source,
        "meta_data": metadata,
        "line_items": [{"quantity": state.items}],
        "refunds": refunds,
    }
