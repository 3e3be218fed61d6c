"""No secret in what is logged, raised, printed or shown: runs with secrets that would be noticed.

Each place in which a secret can be has its own mark; whatever comes out is searched for all.
"""

from __future__ import annotations

import io
import json
import logging
import re
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.cli.calling import Called, local
from tests.cli.orders import asked_until, deliver, outcomes
from tests.security import hostile
from tests.security.fuzzing import Surroundings, signed

from prisjakt_relay.errors import RelayError
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.platform_api import PLATFORM_APIS, access
from prisjakt_relay.platform_api.interface import Moment
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.prisjakt.auth import HeaderPair, OAuth, Tokens
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.prisjakt.models import PurchaseEvent
from prisjakt_relay.telemetry import Telemetry
from prisjakt_relay.transport import session

NOW = datetime(2026, 11, 21, tzinfo=UTC)
# Letters and digits, since WooCommerce keeps no others; 32 bytes in base64 for other platforms.
MARKS = {
    "signing secret": "MarkSigning1MarkSigning1MarkSigning1MarkSign",
    "older signing secret": "MarkSigning2MarkSigning2MarkSigning2MarkSign",
    "Prisjakt's client secret": "MarkPrisjaktClientSecret",
    "access token of Prisjakt": "MarkPrisjaktAccessToken",
    "client secret of an app": "MarkShopifyClientSecret",
    "access token of an app": "shpat_MarkShopifyAccessToken",
    "consumer key": "ck_MarkConsumerKey",
    "consumer secret": "cs_MarkConsumerSecret",
}


def told(text: str) -> list[str]:
    """Which secrets are in it."""
    return [place for place, mark in MARKS.items() if mark in text]


class _Everything(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.stream = io.StringIO()

    def emit(self, record: logging.LogRecord) -> None:
        self.stream.write(f"{self.format(record)} {record.args!r}\n")


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """All that anybody logs at any level, after a function has set up its own log."""
    Telemetry("secrets", "stack", lambda: NOW)
    root, everything = logging.getLogger(), _Everything()
    before = root.level
    root.addHandler(everything)
    root.setLevel(logging.DEBUG)
    try:
        yield everything.stream
    finally:
        root.removeHandler(everything)
        root.setLevel(before)


ANSWERS: dict[str, tuple[int, bytes]] = {
    "nothing": (200, b""),
    "no JSON": (200, b"<html>"),
    "another JSON": (200, b'{"unexpected": [1]}'),
    "a redirect": (302, b""),
    "a bad request": (400, b'{"title":"Bad Request","detail":"no"}'),
    "no access": (401, b'{"error":"invalid_client"}'),
    "not allowed": (403, b"{}"),
    "not found": (404, b"{}"),
    "unprocessable": (422, b'{"errors":{"amount":"no"}}'),
    "too much": (429, b"{}"),
    "a failure": (500, b"Internal Server Error"),
}
EVERY = pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    """A server that gives one answer to all, and what it was told."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("content-length") or 0))
            heard.append(f"{self.path}\n{self.headers}\n{sent!r}")
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def outcome(call: Callable[[], object]) -> str:
    """What comes of it, as somebody would print it."""
    try:
        return repr(call())
    except RelayError as error:
        return f"{error} {error!r} {vars(error)!r} {''.join(traceback.format_exception(error))}"


PURCHASE = PurchaseEvent.model_validate(
    {
        "event_name": "purchase",
        "event_time": NOW,
        "external_event_id": "1001",
        "amount": Decimal("996.50"),
        "currency": "SEK",
        "number_of_items": 3,
        "signed_click_id": hostile.CLICK_ID,
    }
)


@EVERY
@pytest.mark.parametrize("credentials", [HeaderPair, OAuth])
def test_no_answer_of_prisjakt_brings_a_secret_out(
    credentials: type[HeaderPair | OAuth], answer: tuple[int, bytes]
) -> None:
    mark = MARKS["Prisjakt's client secret"]
    with logged() as log, answering(*answer) as (address, heard), session() as http:
        tokens = Tokens(f"{address}/token", http, clock=lambda: NOW)
        own = credentials("client-1", mark)
        client = PrisjaktClient(address, http, clock=lambda: NOW, tokens=tokens).using(own)
        said = [
            outcome(lambda: client.create_event(hostile.UUID, PURCHASE)),
            outcome(lambda: client.create_or_update_events(hostile.UUID, [PURCHASE])),
            outcome(lambda: client.pixel(hostile.UUID)),
            outcome(lambda: list(client.events(hostile.UUID, NOW - timedelta(days=1), NOW))),
            repr([client, tokens, own]),
        ]

    assert any(mark in each for each in heard), "it was sent"
    assert told(" ".join(said)) == []
    assert told(log.getvalue()) == []


def test_an_access_token_of_prisjakt_stays_inside() -> None:
    token = MARKS["access token of Prisjakt"]
    body = json.dumps({"access_token": token, "expires_in": 3600}).encode()
    with logged() as log, answering(200, body) as (address, heard), session() as http:
        tokens = Tokens(f"{address}/token", http, clock=lambda: NOW)
        client = PrisjaktClient(address, http, clock=lambda: NOW, tokens=tokens).using(
            OAuth("client-1", MARKS["Prisjakt's client secret"])
        )
        said = [
            outcome(lambda: client.create_or_update_events(hostile.UUID, [PURCHASE])),
            outcome(lambda: client.pixel(hostile.UUID)),
            repr([client, tokens]),
        ]

    assert any(token in each for each in heard), "it was used"
    assert told(" ".join(said) + log.getvalue()) == []


WAYS = {
    "app": ("shopify", {"client_id": "app", "client_secret": MARKS["client secret of an app"]}),
    "token": ("shopify", {"access_token": MARKS["access token of an app"]}),
    "key": (
        "woocommerce",
        {
            "consumer_key": MARKS["consumer key"],
            "consumer_secret": MARKS["consumer secret"],
        },
    ),
}


@EVERY
@pytest.mark.parametrize(("platform", "credentials"), WAYS.values(), ids=list(WAYS))
def test_no_answer_of_a_shop_system_brings_a_secret_out(
    platform: str, credentials: dict[str, str], answer: tuple[int, bytes]
) -> None:
    with logged() as log, answering(*answer) as (address, heard), session() as http:
        way = access.from_document({"address": address, **credentials}, platform)
        api = PLATFORM_APIS[platform](way, http, clock=lambda: NOW, wait=lambda _: None)
        said = [
            outcome(api.check),
            outcome(api.webhooks),
            outcome(lambda: list(api.orders(NOW - timedelta(days=1), NOW, by=Moment.UPDATED))),
            outcome(
                lambda: api.create_webhook("orders/paid", f"{address}/x", MARKS["signing secret"])
            ),
            repr([api, way]),
        ]

    assert heard
    assert told(" ".join(said)) == []
    assert told(log.getvalue()) == []


def test_a_signing_secret_is_in_no_line_at_debug_and_in_no_answer() -> None:
    """The receiver's own module, with a right and with a wrong signature."""
    around = Surroundings()
    sample = around.named("shopify", "orders-create-paid")
    around.documents[sample.shop]["signing_secrets"] = [
        MARKS["signing secret"],
        MARKS["older signing secret"],
    ]
    receiver = around.receiver
    said: list[str] = []
    with logged() as log:
        for secret in (*list(MARKS.values())[:2], "another"):
            headers = signed(PLATFORMS["shopify"], sample.body, secret)
            given, lines = receiver.handle(
                {
                    "headers": dict(sample.headers) | headers,
                    "pathParameters": {"platform": "shopify", "shop": sample.shop},
                    "body": sample.body.decode(),
                }
            )
            said += [json.dumps(given), *lines]

    assert told(" ".join(said) + log.getvalue()) == []


# The command line, with the whole system behind it


@pytest.fixture(scope="module")
def marked(local_system: LocalSystem) -> dict[str, str]:
    """A shop of each platform, with every secret that it can have."""
    names: dict[str, str] = {}
    for platform, way in (("shopify", WAYS["app"][1]), ("woocommerce", WAYS["key"][1])):
        name = f"marked-{platform}-{uuid.uuid4().hex[:8]}"
        local_system.aws.put_shop(
            name,
            {
                "platform": platform,
                "pixel_id": str(uuid.uuid4()),
                "signing_secrets": [MARKS["signing secret"], MARKS["older signing secret"]],
                "prisjakt_client_id": f"client-{name}",
                "prisjakt_client_secret": MARKS["Prisjakt's client secret"],
            },
        )
        local_system.aws.give_access(
            name,
            {"address": f"{local_system.address}/nobody/{platform}", **way}
            if platform == "woocommerce"
            else {"address": local_system.address, **way},
        )
        names[platform] = name
    return names


COMMANDS = (
    ("shop", "list"),
    ("shop", "show", "SHOP"),
    ("shop", "api", "show", "SHOP"),
    ("webhooks", "list", "SHOP"),
    ("webhooks", "register", "SHOP"),
    ("doctor", "SHOP"),
    ("report",),
    ("dead", "list"),
    ("order", "SHOP", "4711"),
    ("reconcile", "SHOP"),
    ("backfill", "SHOP", "--from", "2026-11-01", "--dry-run"),
    ("snippet", "SHOP"),
    ("shop", "set", "SHOP", "--mode", "test"),
    ("shop", "set", "SHOP", "--prisjakt-auth", "nonsense"),
    ("prisjakt", "pixel", "SHOP"),
    ("nonsense", "SHOP"),
)


@pytest.mark.parametrize("platform", ["shopify", "woocommerce"])
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_prints_a_secret(
    words: tuple[str, ...], more: tuple[str, ...], platform: str, marked: dict[str, str]
) -> None:
    """Not even one that fails; `--secrets` is the only way."""
    with logged() as log:
        called = local(*(marked[platform] if word == "SHOP" else word for word in words), *more)

    assert called.out + called.err, "it says something"
    assert "Traceback" not in called.err
    assert told(called.out + called.err + log.getvalue()) == []


def test_secrets_are_printed_where_they_are_asked_for(marked: dict[str, str]) -> None:
    """Else the tests above would find nothing because nothing is there."""
    shown = _both("shop", "show", marked["shopify"], "--secrets")
    way = _both("shop", "api", "show", marked["woocommerce"], "--secrets")

    assert set(told(shown)) >= {
        "signing secret",
        "older signing secret",
        "Prisjakt's client secret",
    }
    assert set(told(way)) >= {"consumer secret"}


def _both(*words: str) -> str:
    called: Called = local(*words)
    assert called.code == 0
    return called.out + called.err


def test_the_functions_write_no_secret_into_their_logs(
    local_system: LocalSystem, marked: dict[str, str]
) -> None:
    """Receiver, sender and reconciler as they run, an order that is reported and a forgery."""
    name = marked["shopify"]
    order_id = deliver(local_system, name, secret=MARKS["signing secret"])
    asked_until(lambda told: "reported" in outcomes(told), "order", name, order_id)
    deliver(local_system, name, secret="wrong")
    local_system.ask_for_reconciling(name)
    local_system.reconcile()
    logs = local_system.aws.client("logs")

    said = ""
    for group in logs.describe_log_groups()["logGroups"]:
        for page in logs.get_paginator("filter_log_events").paginate(
            logGroupName=group["logGroupName"]
        ):
            said += "\n".join(event["message"] for event in page["events"])

    assert order_id in said
    assert re.search(r'"service": ?"reconciler"', said)
    assert told(said) == []
