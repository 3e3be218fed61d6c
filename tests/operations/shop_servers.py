"""Simulated shop systems on loopback, for shops of the shared local system."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.operations.patients import SECRET, put

from prisjakt_relay.local.exchange import Call
from prisjakt_relay.local.shop_system import Delivery, ShopSystem
from prisjakt_relay.local.shopify_system import ShopifySystem
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.local.woocommerce_system import WooCommerceSystem

CREDENTIALS = {
    "shopify": {"client_id": "app", "client_secret": SECRET},
    "woocommerce": {"consumer_key": "ck_1", "consumer_secret": "cs_1"},
}


@dataclass
class Served:
    """A shop of the relay, its system, and where that is; `deliveries` are what it sent."""

    name: str
    platform: str
    address: str
    system: Any
    webhook_address: str
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def access(self) -> dict[str, str]:
        return {"address": self.address, **CREDENTIALS[self.platform]}


@contextmanager
def served(
    local: LocalSystem, platform: str = "woocommerce", *, has_access: bool = True, **document: Any
) -> Iterator[Served]:
    """A new shop with a system of its own, whose webhooks reach nobody."""
    name = put(local, platform, **document)
    with serving() as (address, takes):
        deliveries: list[Delivery] = []

        def send(delivery: Delivery) -> int:
            deliveries.append(delivery)
            return 200

        ids = itertools.count(1)
        made: ShopSystem
        if platform == "shopify":
            made = ShopifySystem(
                "shop.myshopify.com",
                clock=now,
                new_id=lambda: str(next(ids)),
                send=send,
                later=never,
                client_id="app",
                client_secret=SECRET,
            )
        else:
            made = WooCommerceSystem(
                address,
                clock=now,
                new_id=lambda: str(next(ids)),
                send=send,
                later=never,
                consumer_key="ck_1",
                consumer_secret="cs_1",
            )
        takes(made)
        webhook_address = f"{local.address}/webhooks/{platform}/{name}"
        shop = Served(name, platform, address, made, webhook_address, deliveries)
        if has_access:
            put_access(local, name, shop.access)
        yield shop


def put_access(local: LocalSystem, name: str, document: Any) -> None:
    """Write a shop's second document, as somebody would by hand."""
    local.aws.client("secretsmanager").create_secret(
        Name=f"local/platform-api/{name}",
        SecretString=document if isinstance(document, str) else json.dumps(document),
    )


def now() -> datetime:
    return datetime.now(UTC)


def never(_seconds: float, _work: Callable[[], None]) -> None:
    """Nothing is tried again."""


@contextmanager
def serving() -> Iterator[tuple[str, Callable[[ShopSystem], None]]]:
    """An address, and what puts a shop system there."""
    systems: list[ShopSystem] = []
    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            call = Call(
                method=self.command,
                path=parts.path,
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(int(self.headers.get("content-length") or 0)),
                origin=f"http://{self.headers['host']}",
            )
            with lock:
                answer = systems[0].answer(call)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def do_POST(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing to say."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", systems.append
        finally:
            server.shutdown()
