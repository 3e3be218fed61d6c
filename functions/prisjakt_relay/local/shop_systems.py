"""The shop systems of the local system: one for each of the relay's shops, kept by name."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random, SystemRandom
from threading import RLock, Timer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import urllib3
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter

from prisjakt_relay.local.exchange import Answer, Call, response_of
from prisjakt_relay.local.shop_system import Delivery, Later, Send, ShopSystem
from prisjakt_relay.local.shopify_system import ShopifySystem
from prisjakt_relay.local.woocommerce_system import WooCommerceSystem
from prisjakt_relay.platform_api import PLATFORM_APIS, access
from prisjakt_relay.platform_api.subscriptions import examined, put_in_order
from prisjakt_relay.platforms.interface import Document
from prisjakt_relay.shop import Shop
from prisjakt_relay.transport import session

FOLDER: Final = "/systems"

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_DELIVERY_SECONDS: Final = 35  # the front gives up before
_LIKELY_TAKEN: Final = 200


@dataclass(frozen=True, slots=True)
class Heard:
    """What the relay said to a delivery; status 0 if it could not be reached."""

    status: int
    body: Mapping[str, Any]


Deliver = Callable[[Delivery], Heard]
Listener = Callable[[str, Delivery, Heard], None]
"""Hears of each delivery of a shop, with its answer."""


@dataclass(slots=True)
class _Kept:
    """A shop's system. `lock` is held while it works: its calls come from several threads."""

    system: ShopSystem
    platform: str
    secret: str
    lock: RLock = field(default_factory=RLock)


class ShopSystems:
    """Made when they are first needed, with their webhooks registered at the relay's address.

    `shops` gives the relay's as they are now, `give_access` keeps a shop's second document unless
    somebody else has written one. `time_scale` shortens the waits before a delivery is tried again.
    """

    def __init__(
        self,
        shops: Callable[[], Mapping[str, Shop]],
        *,
        address: str,
        deliver: Deliver,
        give_access: Callable[[str, Mapping[str, str]], None],
        time_scale: float = 1.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Random | None = None,
    ) -> None:
        self.deliver = deliver
        self._shops = shops
        self._address = address
        self._give_access = give_access
        self._time_scale = time_scale
        self._clock = clock
        self._random = random or SystemRandom()
        self._kept: dict[str, _Kept] = {}
        self._making = RLock()
        self._listeners: list[Listener] = []
        self._timers: set[Timer] = set()
        self._is_closed = False

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def of(self, name: str) -> ShopSystem | None:
        """The system of one of the relay's shops, None if the relay has no such shop, or it has a
        system without an API."""
        kept = self._of(name)
        return None if kept is None else kept.system

    def put(self, name: str, order: Document, *topics: str) -> bool:
        """Keep an order and send what the webhooks want; False if there is no such shop."""
        kept = self._of(name)
        if kept is None:
            return False
        with kept.lock:
            kept.system.put(order, *topics)
        return True

    def answer(self, name: str, call: Call) -> Answer | None:
        """What the API of the shop's system says, None if there is no such shop."""
        kept = self._of(name)
        if kept is None:
            return None
        with kept.lock:
            return kept.system.answer(call)

    def follow_the_relay(self) -> None:
        """A system for each shop that the relay has now, and none for those that it had."""
        shops = self._shops()
        with self._making:
            for name in self._kept.keys() - shops.keys():
                del self._kept[name]
        for name in shops:
            self._of(name)

    def close(self) -> None:
        with self._making:
            self._is_closed = True
            timers = list(self._timers)
        for timer in timers:
            timer.cancel()

    def _of(self, name: str) -> _Kept | None:
        shop = self._shops().get(name)
        if shop is None or shop.platform not in _SYSTEMS:
            return None
        with self._making:
            kept = self._kept.get(name)
            if kept is None or not _fits(kept, shop):
                made = self._made(name, shop)
                if kept is not None and kept.platform == made.platform:
                    made.system.orders.update(kept.system.orders)
                self._kept[name] = kept = made
            return kept

    def _made(self, name: str, shop: Shop) -> _Kept:
        """Registering its webhooks delivers nothing: pings would each take WooCommerce a while."""
        secret = _newest(shop)
        lock = RLock()
        is_ready = False

        def send(delivery: Delivery) -> int | None:
            if not is_ready:
                return _LIKELY_TAKEN
            heard = self.deliver(delivery)
            for listener in self._listeners:
                listener(name, delivery, heard)
            return heard.status or None

        def later(seconds: float, work: Callable[[], None]) -> None:
            self._after(seconds, lock, work)

        address = f"{self._address}{FOLDER}/{name}"
        make = _SYSTEMS[shop.platform]
        system, credentials = make(name, shop, address, self._clock, self._random, send, later)
        document = {
            "address": address,
            "public_address": f"{self._address}/{shop.platform}",  # the demo storefront's
            **credentials,
        }
        self._register(name, shop, system, document, secret)
        self._give_access(name, document)
        is_ready = True
        return _Kept(system, shop.platform, secret, lock)

    def _register(
        self,
        name: str,
        shop: Shop,
        system: ShopSystem,
        document: Mapping[str, str],
        secret: str,
    ) -> None:
        """Through its API, as the command line does."""
        way = access.from_document(document, shop.platform)
        http = session()
        http.mount(f"{way.address}/", _Inside(system, way.address))
        api = PLATFORM_APIS[shop.platform](way, http, clock=self._clock, wait=lambda _: None)
        where = f"{self._address}/webhooks/{shop.platform}/{name}"
        for _ in put_in_order(api, examined((), api.topics, where), where, secret):
            continue

    def _after(self, seconds: float, lock: RLock, work: Callable[[], None]) -> None:
        def do() -> None:
            self._timers.discard(timer)
            with lock:
                work()

        timer = Timer(seconds * self._time_scale, do)
        timer.daemon = True
        with self._making:
            if self._is_closed:
                return
            self._timers.add(timer)
        timer.start()


def _newest(shop: Shop) -> str:
    """In a rotation, the older ones are on their way out."""
    return shop.signing_secrets[-1]


def _fits(kept: _Kept, shop: Shop) -> bool:
    """Whether the system is still this shop's.

    Shopify signs with the app's secret: if it is none of the shop's any more, somebody has renewed
    it at Shopify too. WooCommerce's webhooks keep the secret that they were registered with.
    """
    if kept.platform != shop.platform:
        return False
    return shop.platform != "shopify" or kept.secret in shop.signing_secrets


_Made = tuple[ShopSystem, dict[str, str]]


def _shopify(
    name: str,
    shop: Shop,
    address: str,  # noqa: ARG001  # Shopify's API is where its caller has found it
    clock: Callable[[], datetime],
    random: Random,
    send: Send,
    later: Later,
) -> _Made:
    """Its app's secret is the shop's signing secret, so that the relay takes its deliveries."""
    client_id, client_secret = f"{random.getrandbits(128):032x}", _newest(shop)
    system = ShopifySystem(
        shop.domain or f"{name}.myshopify.com",
        clock=clock,
        new_id=_new_id,
        send=send,
        later=later,
        client_id=client_id,
        client_secret=client_secret,
    )
    return system, {"client_id": client_id, "client_secret": client_secret}


def _woocommerce(
    name: str,  # noqa: ARG001  # WooCommerce is its own server
    shop: Shop,
    address: str,
    clock: Callable[[], datetime],
    random: Random,
    send: Send,
    later: Later,
) -> _Made:
    key, secret = (f"{kind}_{random.getrandbits(160):040x}" for kind in ("ck", "cs"))

    def send_as_the_shop(delivery: Delivery) -> int | None:
        """Deliveries name the shop's own address; its API is here all the same."""
        if shop.domain is None:
            return send(delivery)
        own = {"X-WC-Webhook-Source": f"https://{shop.domain}/"}
        return send(replace(delivery, headers={**delivery.headers, **own}))

    system = WooCommerceSystem(
        address,
        clock=clock,
        new_id=_new_id,
        send=send_as_the_shop,
        later=later,
        consumer_key=key,
        consumer_secret=secret,
    )
    return system, {"consumer_key": key, "consumer_secret": secret}


_SYSTEMS: Final = {"shopify": _shopify, "woocommerce": _woocommerce}  # no other has an API


def _new_id() -> str:
    return str(uuid.uuid4())


class _Inside(BaseAdapter):
    """Leads requests to a shop system in this process."""

    def __init__(self, system: ShopSystem, address: str) -> None:
        super().__init__()
        self._system = system
        self._address = address

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        parts = urlsplit((request.url or "").removeprefix(self._address))
        body = request.body or b""
        answer = self._system.answer(
            Call(
                method=request.method or "",
                path=parts.path,
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers={
                    _text(name).lower(): _text(value) for name, value in request.headers.items()
                },
                body=body.encode() if isinstance(body, str) else body,
                origin=self._address,
            )
        )
        return response_of(answer)

    def close(self) -> None:
        """Nothing is open."""


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def deliver(delivery: Delivery) -> Heard:
    """Make the request as a shop system does; none leaves this machine."""
    if urlsplit(delivery.address).hostname not in _LOOPBACK:
        return Heard(0, {"title": "no answer: its address is not on this machine"})
    try:
        response = urllib3.request(
            "POST",
            delivery.address,
            body=delivery.body,
            headers=dict(delivery.headers),
            retries=False,
            timeout=_DELIVERY_SECONDS,
        )
    except urllib3.exceptions.HTTPError as error:
        return Heard(0, {"title": f"no answer: {type(error).__name__}"})
    try:
        body = response.json()
    except ValueError:
        body = None
    return Heard(
        response.status, body if isinstance(body, dict) else {"title": "not an answer of ours"}
    )
