"""The two shops of the demo storefront: their goods, carts and orders, without HTTP of their own.

Everything is held in memory, the oldest forgotten first.
"""

from __future__ import annotations

import json
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from random import Random, SystemRandom
from threading import RLock
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from prisjakt_relay.conversion import is_click_id
from prisjakt_relay.intake import assess
from prisjakt_relay.local import deliveries
from prisjakt_relay.local import storefront_orders as orders
from prisjakt_relay.local.prisjakt_model import Event, PrisjaktModel
from prisjakt_relay.local.shop_system import Delivery
from prisjakt_relay.local.shop_systems import Heard, ShopSystems
from prisjakt_relay.local.storefront_orders import Line, Product, Purchase
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.shop import Shop
from prisjakt_relay.telemetry import AGES

KEPT: Final = 1_000  # carts, visits and orders, each
LINES_SHOWN: Final = 50
EVENTS_SHOWN: Final = 200
MOST_OF_A_PRODUCT: Final = 99
MOST_ATTRIBUTES: Final = 250  # Shopify's own limit
LONGEST_ATTRIBUTE: Final = 1_000  # its name and its value, each

_WOOCOMMERCE_DOMAIN: Final = "demo-woocommerce.example"
LOST: Final = "lost"  # on its way
UNSENT: Final = "unsent"  # by a shop system without such a webhook
_LINE_FIELDS: Final = (
    "service",
    "message",
    "shop",
    "order_id",
    "reason",
    "cause",
    "standing",
    "topic",
    "problem",
    "answer_title",
)

T = TypeVar("T")

Later = Callable[[Callable[[], None]], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """One of the two shops: its addresses, its goods, and the samples that its orders follow.

    `placed`, `paid` and `cancelled` are the topics that tell of it: one each, though Shopify and
    WooCommerce may send several, which all say the same.
    """

    platform: str
    like: str
    name: str
    motto: str
    root: str
    product_folder: str
    products: tuple[Product, ...]
    sample: str
    placed: str
    paid: str
    cancelled: str

    def product_path(self, product: Product) -> str:
        return f"{self.root}{self.product_folder}/{product.handle}"

    def picture(self, product: Product) -> str:
        return f"/static/{product.handle}.svg"


SHOPIFY: Final = House(
    platform="shopify",
    like="Shopify",
    name="Påhitt Ljus",
    motto="Lamps that were never made",
    root="/shopify/",
    product_folder="products",
    products=(
        Product(
            id=47204941272385,
            handle="skrivbordslampa",
            name="Skrivbordslampa Påhitt",
            variant="Svart",
            about="A desk lamp with two joints and a heavy foot. It stays where you leave it.",
            sku="PH-L-01",
            price=Decimal("1299.00"),
        ),
        Product(
            id=47207359134134,
            handle="glodlampa",
            name="Glödlampa Påhitt E27",
            variant="2-pack",
            about="Two bulbs with a warm light, dimmable, for the lamp above and most others.",
            sku="PH-G-27",
            price=Decimal("249.00"),
        ),
        Product(
            id=47200956494328,
            handle="vaggkrok",
            name="Väggkrok Påhitt",
            variant="Mässing",
            about="A brass hook, for the lamp that would rather hang.",
            sku="PH-K-03",
            price=Decimal("129.00"),
        ),
    ),
    sample="orders-create-paid",
    placed="orders/create",
    paid="orders/updated",
    cancelled="orders/cancelled",
)
WOOCOMMERCE: Final = House(
    platform="woocommerce",
    like="WooCommerce",
    name="Påhitt Kök",
    motto="For kitchens that do not exist",
    root="/woocommerce/",
    product_folder="product",
    products=(
        Product(
            id=201,
            handle="vattenkokare",
            name="Vattenkokare Påhitt",
            variant="1,7 l",
            about="A kettle with a spout that pours where you point it, and a quiet switch.",
            sku="PH-201",
            price=Decimal("1249.00"),
        ),
        Product(
            id=202,
            handle="kopp",
            name='Kopp "Blå" & vit',
            variant="2,5 dl",
            about="A cup in two colours. Dishwashers do it no harm.",
            sku="PH-202",
            price=Decimal("149.00"),
        ),
        Product(
            id=203,
            handle="handduk",
            name="Kökshandduk Påhitt",
            variant="50 x 70 cm",
            about="A linen towel with a loop. It dries, and then it dries.",
            sku="PH-203",
            price=Decimal("149.50"),
        ),
    ),
    sample="9.8.1-paid",
    placed="order.created",
    paid="order.updated",
    cancelled="order.updated",
)
HOUSES: Final[Mapping[str, House]] = {house.platform: house for house in (SHOPIFY, WOOCOMMERCE)}


@dataclass(slots=True)
class Cart:
    """A cart; `entry` is where the visit began, which only WooCommerce's session remembers."""

    token: str
    quantities: dict[int, int] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    entry: str = ""

    def lines(self, house: House) -> tuple[Line, ...]:
        return tuple(
            Line(product, self.quantities[product.id])
            for product in house.products
            if self.quantities.get(product.id)
        )


@dataclass(slots=True)
class Sent:
    """A webhook and its answer, which is None until it comes; `missing` says why none will."""

    topic: str
    answer: Heard | None = None
    missing: str | None = None

    @property
    def is_awaited(self) -> bool:
        return self.answer is None and self.missing is None

    def to_json(self) -> dict[str, object]:
        body = self.answer.body if self.answer else {}
        return {
            "topic": self.topic,
            "status": self.answer.status if self.answer else None,
            "outcome": body.get("outcome") or body.get("title") or self.missing,
            "reason": body.get("reason"),
        }


@dataclass(slots=True, kw_only=True)
class Placed:
    """An order as the shop system keeps it: `document` is its newest state."""

    house: House
    shop_name: str
    purchase: Purchase
    document: dict[str, Any]
    click_id: str
    is_paid: bool
    is_cancelled: bool = False
    reference: str = ""
    sent: list[Sent] = field(default_factory=list)


class Storefront:
    """The state of both shops, and what was seen of the relay and of Prisjakt.

    `shops` gives the relay's as they are now; each house sells for the first of its platform, whose
    system keeps the orders and sends the webhooks. `later` runs what a visitor does not wait for:
    a shop system sends after the thank-you page.
    """

    def __init__(
        self,
        shops: Callable[[], Mapping[str, Shop]],
        *,
        systems: ShopSystems,
        model: PrisjaktModel | None,
        prisjakt_url: str,
        later: Later | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Random | None = None,
    ) -> None:
        self._relay_shops = shops
        self._systems = systems
        self._model = model
        self._prisjakt_url = prisjakt_url
        self._worker = None if later else ThreadPoolExecutor(1, thread_name_prefix="storefront")
        self._later = later or self._in_background
        self._clock = clock
        self._random = random or SystemRandom()
        self._samples = {
            platform: deliveries.load(platform, house.sample) for platform, house in HOUSES.items()
        }
        self._turn = RLock()
        self._carts: dict[str, OrderedDict[str, Cart]] = {name: OrderedDict() for name in HOUSES}
        self._placed: OrderedDict[str, Placed] = OrderedDict()
        self._by_id: OrderedDict[tuple[str, str], Placed] = OrderedDict()
        self._corrections: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._said: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._order_ids: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lines: deque[dict[str, str]] = deque(maxlen=LINES_SHOWN)
        self._numbers = dict.fromkeys(HOUSES, 1000)
        systems.listen(self._hear)

    def close(self) -> None:
        if self._worker is not None:
            self._worker.shutdown(wait=False, cancel_futures=True)

    def _in_background(self, work: Callable[[], None]) -> None:
        if self._worker is not None:
            self._worker.submit(work)

    def relay_shop(self, house: House) -> tuple[str, Shop] | None:
        """Whose webhooks a house sends, if the relay has a shop of its platform."""
        for name, shop in self._relay_shops().items():
            if shop.platform == house.platform:
                return name, shop
        return None

    def new_click_id(self, *, signed: bool) -> str:
        with self._turn:
            return orders.click_id(self._random, signed=signed)

    def cart(self, house: House, token: str) -> Cart | None:
        with self._turn:
            return self._carts[house.platform].get(token)

    def cart_or_new(self, house: House, token: str, entry: str = "") -> Cart:
        with self._turn:
            found = self.cart(house, token)
            if found is None:
                token = f"hWN{orders.new_token(self._random, 21)}"
                found = Cart(token, entry=entry)
            _keep(self._carts[house.platform], found.token, found)
            return found

    def put(self, house: House, cart: Cart, product_id: int, quantity: int) -> bool:
        """How many of a product a cart has; False if there is no such product."""
        if all(product.id != product_id for product in house.products):
            return False
        with self._turn:
            if quantity <= 0:
                cart.quantities.pop(product_id, None)
            else:
                cart.quantities[product_id] = min(quantity, MOST_OF_A_PRODUCT)
        return True

    def add(self, house: House, cart: Cart, product_id: int, quantity: int) -> bool:
        with self._turn:
            had = cart.quantities.get(product_id, 0)
            return self.put(house, cart, product_id, had + max(quantity, 0))

    def write_attributes(self, cart: Cart, given: Mapping[str, str]) -> bool:
        """Only the keys given are touched; False, and nothing written, if they are too many."""
        with self._turn:
            written = {**cart.attributes, **given}
            if len(written) > MOST_ATTRIBUTES:
                return False
            if any(len(text) > LONGEST_ATTRIBUTE for pair in given.items() for text in pair):
                return False
            cart.attributes = written
        return True

    def place_at_shopify(
        self, cart: Cart, landing_site: str | None, *, paid: bool
    ) -> Placed | None:
        """Order what is in the cart, with its attributes as they are now; None if it is empty."""
        with self._turn:
            purchase = self._purchase(SHOPIFY, cart, 6_000_000_000_000, 10**12, paid=paid)
            found = self.relay_shop(SHOPIFY)
            if purchase is None or found is None:
                return None
            document = orders.shopify_order(
                _order_of(self._samples["shopify"]),
                purchase,
                cart_token=cart.token,
                attributes=cart.attributes,
                landing_site=landing_site,
            )
            click_id = cart.attributes.get("pjclid", "")
            return self._place(SHOPIFY, found[0], cart, purchase, document, click_id)

    def place_at_woocommerce(
        self, cart: Cart, candidates: Iterable[str], *, consent: bool, paid: bool
    ) -> Placed | None:
        """Order what is in the cart with the first click id that is one; None if it is empty.

        Without consent WooCommerce's own order attribution keeps nothing either.
        """
        with self._turn:
            purchase = self._purchase(WOOCOMMERCE, cart, 100_000, 900_000, paid=paid)
            found = self.relay_shop(WOOCOMMERCE)
            if purchase is None or found is None:
                return None
            click_id = next((each for each in candidates if is_click_id(each)), None)
            domain = found[1].domain
            document = orders.woocommerce_order(
                _order_of(self._samples["woocommerce"]),
                purchase,
                address=f"https://{domain or _WOOCOMMERCE_DOMAIN}/",
                click_id=click_id,
                session_entry=cart.entry if consent and cart.entry else None,
            )
            return self._place(WOOCOMMERCE, found[0], cart, purchase, document, click_id or "")

    def _purchase(
        self, house: House, cart: Cart, first_id: int, ids: int, *, paid: bool
    ) -> Purchase | None:
        lines = cart.lines(house)
        if not lines:
            return None
        order_id = first_id + self._random.randrange(ids)
        self._numbers[house.platform] += 1
        return Purchase(
            id=order_id,
            number=self._numbers[house.platform] if house is SHOPIFY else order_id,
            token=orders.new_token(self._random, 32),
            placed_at=self._clock(),
            lines=lines,
            paid=paid,
        )

    def _place(
        self,
        house: House,
        shop_name: str,
        cart: Cart,
        purchase: Purchase,
        document: dict[str, Any],
        click_id: str,
    ) -> Placed:
        """Keep the order, empty its cart, tell the relay."""
        placed = Placed(
            house=house,
            shop_name=shop_name,
            purchase=purchase,
            document=document,
            click_id=click_id,
            is_paid=purchase.paid,
        )
        _keep(self._placed, purchase.token, placed)
        _keep(self._by_id, (shop_name, str(purchase.id)), placed)
        cart.quantities.clear()
        if house is SHOPIFY:  # its buyer gets a new cart; WooCommerce's visit goes on
            self._carts[house.platform].pop(cart.token, None)
        self._tell(placed, house.placed)
        return placed

    def placed(self, token: str) -> Placed | None:
        with self._turn:
            return self._placed.get(token)

    def pay(self, placed: Placed) -> None:
        """The money arrives later than the order."""
        with self._turn:
            if placed.is_paid or placed.is_cancelled:
                return
            change = orders.shopify_paid if placed.house is SHOPIFY else orders.woocommerce_paid
            placed.document = change(placed.document, self._clock())
            placed.is_paid = True
            self._tell(placed, placed.house.paid)

    def cancel(self, placed: Placed) -> None:
        with self._turn:
            if placed.is_cancelled:
                return
            change = (
                orders.shopify_cancelled
                if placed.house is SHOPIFY
                else orders.woocommerce_cancelled
            )
            placed.document = change(placed.document, self._clock())
            placed.is_cancelled = True
            self._tell(placed, placed.house.cancelled)

    def _tell(self, placed: Placed, topic: str) -> None:
        shop = self._relay_shops().get(placed.shop_name)
        if shop is None:  # removed since the order was placed
            return
        sent = Sent(topic)
        placed.sent.append(sent)
        self._later(partial(self._put, placed, placed.document, sent, shop))

    def _put(self, placed: Placed, document: dict[str, Any], sent: Sent, shop: Shop) -> None:
        """Give the order to its shop's system, which sends it, unless deliveries get lost."""
        self._systems.put(placed.shop_name, document, sent.topic)
        if not sent.is_awaited:
            return
        platform = PLATFORMS[placed.house.platform]
        decision = assess(platform, placed.shop_name, shop, document, self._clock())
        missing = LOST if self.loses(placed.shop_name) else UNSENT
        with self._turn:
            sent.missing = missing
            if decision.conversion is not None:  # the relay may yet find it by itself
                self._refer(placed, decision.conversion.order_reference)

    def _hear(self, shop_name: str, delivery: Delivery, heard: Heard) -> None:
        """What became of a delivery; one that was tried again is another."""
        with self._turn:
            placed = self._by_id.get((shop_name, delivery.order_id))
            if placed is None:
                return
            awaited = (each for each in placed.sent if each.is_awaited)
            sent = next((each for each in awaited if each.topic == delivery.topic), None)
            if sent is None:
                sent = Sent(delivery.topic)
                placed.sent.append(sent)
            sent.answer = heard
            if reference := heard.body.get("order_reference"):
                self._refer(placed, str(reference))

    def _refer(self, placed: Placed, reference: str) -> None:
        placed.reference = reference
        key = (placed.shop_name, placed.reference)
        _keep(self._order_ids, key, str(placed.purchase.id))

    def loses(self, shop_name: str) -> bool:
        """Whether deliveries of a shop get lost on their way."""
        system = self._systems.of(shop_name)
        return system is not None and system.deaf

    def lose(self, house: House, *, on: bool) -> None:
        """From now on, what the house's shop sends gets lost, or arrives again."""
        found = self.relay_shop(house)
        system = self._systems.of(found[0]) if found else None
        if system is not None:
            system.deaf = on

    def on_line(self, line: Mapping[str, Any]) -> None:
        """A line of the functions' logs: the newest are shown, corrections are counted."""
        if line.get("message") in AGES:  # of each run, for the metrics
            return
        with self._turn:
            self._lines.append(
                {"time": str(line.get("timestamp", ""))[11:19]}
                | {name: str(line[name]) for name in _LINE_FIELDS if line.get(name)}
            )
            if line.get("service") == "sender" and line.get("order_id"):
                key = (str(line.get("shop")), str(line["order_id"]))
                _keep(self._said, key, str(line.get("message")))
                if line.get("message") == "corrected":
                    _keep(self._corrections, key, self._corrections.get(key, 0) + 1)

    def order_state(self, placed: Placed) -> dict[str, object]:
        """How far an order has come, for its thank-you page."""
        with self._turn:
            return {
                "sent": [sent.to_json() for sent in placed.sent],
                "held": next(iter(self._held_of(placed)), None),
                "said": self._said.get((placed.shop_name, str(placed.purchase.id))),
                "paid": placed.is_paid,
                "cancelled": placed.is_cancelled,
            }

    def _held_of(self, placed: Placed) -> list[dict[str, object]]:
        shop = self._relay_shops().get(placed.shop_name)
        if self._model is None or shop is None or not placed.reference:
            return []
        return [
            self._row(event)
            for event in list(self._model.events.values())
            if event.external_event_id == placed.reference
            and event.pixel_id.lower() == shop.pixel_id.lower()
        ]

    def received(self) -> dict[str, object]:
        """What Prisjakt holds and what the functions said, newest first."""
        with self._turn:
            events = [] if self._model is None else list(self._model.events.values())
            newest = sorted(events, key=lambda event: event.received_at, reverse=True)
            return {
                "address": self.elsewhere,
                "events": [self._row(event) for event in newest[:EVENTS_SHOWN]],
                "total": len(events),
                "lines": list(reversed(self._lines)),
            }

    @property
    def elsewhere(self) -> str | None:
        """Where reports go, if not to the simulated Prisjakt; without what an address may hide."""
        if self._model is not None:
            return None
        parts = urlsplit(self._prisjakt_url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"

    def _row(self, event: Event) -> dict[str, object]:
        names = [
            name
            for name, shop in self._relay_shops().items()
            if shop.pixel_id.lower() == event.pixel_id.lower()
        ]
        reference = event.external_event_id or ""
        return {
            "id": event.id,
            "event_name": event.event_name,
            "reference": reference,
            "shop": names[0] if names else "",
            "amount": f"{event.amount:.2f}",
            "currency": event.currency,
            "items": event.number_of_items,
            "click_id": event.signed_click_id,
            "event_time": _utc(event.event_time),
            "received_at": _utc(event.received_at),
            "corrections": max((self._corrected(name, reference) for name in names), default=0),
        }

    def _corrected(self, shop_name: str, reference: str) -> int:
        order_id = self._order_ids.get((shop_name, reference), reference)
        return self._corrections.get((shop_name, order_id), 0)


def _order_of(sample: deliveries.Delivery) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(sample.body)
    return document


def _keep(shelf: OrderedDict[Any, T], key: object, value: T) -> None:
    shelf[key] = value
    shelf.move_to_end(key)
    while len(shelf) > KEPT:
        shelf.popitem(last=False)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
