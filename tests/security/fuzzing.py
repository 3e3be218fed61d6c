"""Fuzzing: hostile inputs against the real functions, and what must hold for every answer.

Targets, in turn: `verify` of every platform, `answer` with rightly signed bodies, the receiver's
handler with events of the HTTP API, the reading of queue messages.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib
import io
import json
import logging
import multiprocessing
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from types import ModuleType, SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from tests.security import bugs, hostile

from prisjakt_relay.conversion import (
    AMOUNT_LIMIT,
    CURRENCIES,
    ITEMS_LIMIT,
    REFERENCE_LIMIT,
    Conversion,
    is_click_id,
)
from prisjakt_relay.erasure import Erasure
from prisjakt_relay.errors import MessageError, SignatureError, UnknownShopError
from prisjakt_relay.local import project
from prisjakt_relay.local.deliveries import Delivery, load_all
from prisjakt_relay.local.system import sample_shops
from prisjakt_relay.outcomes import Reason, Received
from prisjakt_relay.platforms import EXCLUDED_SOURCES, PLATFORMS, shop_from
from prisjakt_relay.platforms.interface import Headers, Platform
from prisjakt_relay.queues import Message, Sendable
from prisjakt_relay.receiver.webhook import Answer, Ports, Request, answer
from prisjakt_relay.shop import SHOP_NAME, Shops

NOW: Final = datetime(2026, 11, 21, tzinfo=UTC)  # every sample delivery is a little older
TARGETS: Final = ("verify", "answer", "handler", "message")
SOMEBODYS: Final = "c29tZWJvZHkgZWxzZSdzIHNlY3JldCwgb2YgYSBnb29kIGxlbmd0aA=="
LENGTH: Final = 1_000  # inputs that a process takes at a time

# Where a signature stands alone in a header, and is made of the body and nothing else.
PLAIN_SIGNATURES: Final[Mapping[str, str]] = {
    "shopify": "x-shopify-hmac-sha256",
    "woocommerce": "x-wc-webhook-signature",
}

_PROBLEMS: Final = {
    401: "Signature not accepted",
    404: "Not found",
    503: "Try again later",
}
# A field's path and one of our own sentences: nothing else may be said of a body.
_PROBLEM: Final = re.compile(
    r"domain|webhook-timestamp|[a-z_]+(?:\[\])?(?:\.[a-z_]+(?:\[\])?)*: [a-zA-Z0-9 ,:;]+"
)
_REQUEST: Final = re.compile(r"[a-z_]+[/.][a-z_]+")
_ORDER_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._:-]{0,63}")
_LINE_FIELDS: Final = frozenset(
    {"outcome", "reason", "problem", "platform", "shop", "order_id", "void", "revision"}
    | {"request", "orders", "order_ids"}  # of a privacy request
)
_FUNCTION_FIELDS: Final = frozenset(
    {"message", "level", "timestamp", "service", "request_id", "stack", "_aws"}
    | {"Unreadable", "SetUpFaults", "SignatureFailures", "DataRequests"}
)
_MESSAGE_FIELDS: Final = 14


class BrokenError(AssertionError):
    """A promise that an input broke."""


def promise(kept: bool, what: str, seen: object = "") -> None:
    if not kept:
        raise BrokenError(f"{what}: {seen!r:.300}")


def hmac_by_hand(body: bytes, secret: str | bytes) -> str:
    """RFC 2104 over SHA-256, written out: what the relay computes must come out here too."""
    key = secret if isinstance(secret, bytes) else secret.encode("utf-8", "surrogatepass")
    key = (hashlib.sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + body).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()
    return base64.b64encode(outer).decode()


def is_right(platform: Platform, headers: Headers, body: bytes, secrets: tuple[str, ...]) -> bool:
    """Whether one of the secrets signed that, by each platform's specification."""
    if platform.name in PLAIN_SIGNATURES:
        given = headers.get(PLAIN_SIGNATURES[platform.name], "").strip()
        return given in {hmac_by_hand(body, secret) for secret in secrets}
    head = f"{headers.get('webhook-id', '')}.{headers.get('webhook-timestamp', '')}."
    text = head.encode("utf-8", "surrogatepass") + body
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
    signatures = {f"v1,{hmac_by_hand(text, key)}" for key in keys}
    return not signatures.isdisjoint(headers.get("webhook-signature", "").split(" "))


def signed(platform: Platform, body: bytes, secret: str) -> dict[str, str]:
    """The platform's signature headers for this body."""
    return dict(platform.sign(body, secret, NOW))


def accepts(platform: Platform, headers: Headers, body: bytes, secrets: tuple[str, ...]) -> bool:
    try:
        platform.verify(headers, body, secrets, NOW)
    except SignatureError:
        return False
    return True


@functools.cache
def _samples() -> tuple[Delivery, ...]:
    return tuple(load_all())


class Watched(dict[str, dict[str, Any]]):
    """Shop documents that write down which of them were read."""

    def __init__(self, documents: dict[str, dict[str, Any]], reads: list[str]) -> None:
        super().__init__(documents)
        self._reads = reads

    def __contains__(self, name: object) -> bool:
        self._reads.append(str(name))
        return super().__contains__(name)


@dataclass
class Surroundings:
    """What is around the functions: sample shops, deliveries, a queue, a log."""

    now: datetime = NOW
    queued: list[Sendable] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.documents = sample_shops()
        self.shops = {name: shop_from(each) for name, each in self.documents.items()}
        self.samples = [each for each in _samples() if each.shop in self.shops]
        self.messages = [
            path.read_text("utf-8")
            for path in sorted((project.root() / "events" / "queue").glob("*.json"))
        ]
        self.ports = Ports(
            shops=Shops(
                self._read,
                clock=lambda: self.now,
                alarm=lambda *_, **__: None,
                platforms=EXCLUDED_SOURCES,
            ),
            enqueue=lambda wish, _: self.queued.append(wish),
            clock=lambda: self.now,
            emit=self._emit,
        )

    def _read(self, name: str, _: datetime) -> str:
        if name not in self.documents:
            raise UnknownShopError
        return json.dumps(self.documents[name])

    def _emit(self, event: str, *, age: float | None = None, **fields: Any) -> None:
        promise(age is None, "the receiver waits for nothing")
        self.lines.append({"message": event, **fields})

    def sample(self, random: Random) -> Delivery:
        return random.choice(self.samples)

    def named(self, platform: str, name: str) -> Delivery:
        return next(each for each in self.samples if (each.platform, each.name) == (platform, name))

    def post(self, platform: str, shop: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Hand it to the receiver as the HTTP API would; the line and the queue keep what was."""
        lower = {name.lower(): value for name, value in headers.items()}
        return answer(Request(platform, shop, lower, body), self.ports)

    def deliver(
        self,
        sample: Delivery,
        body: bytes | None = None,
        *,
        shop: str | None = None,
        secret: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A delivery, or another body in its place, signed with the shop's secret or this one."""
        raw = sample.body if body is None else body
        key = secret if secret is not None else self.shops[sample.shop].signing_secrets[0]
        lower = {name.lower(): value for name, value in sample.headers}
        signature = signed(PLATFORMS[sample.platform], raw, key)
        return self.post(
            sample.platform, shop or sample.shop, lower | signature | dict(headers or {}), raw
        )

    @functools.cached_property
    def receiver(self) -> Receiver:
        return Receiver(self.ports)


class Receiver:
    """The function's own module and its log, in front of the same shops and queue."""

    def __init__(self, ports: Ports) -> None:
        environment = {
            "AWS_REGION": "eu-north-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "none",
            "STACK_NAME": "stack",
            "QUEUE_URL": "http://127.0.0.1/queue",
            "POWERTOOLS_LOG_LEVEL": "DEBUG",
        }
        name = "prisjakt_relay.receiver.app"
        with patch.dict(os.environ, environment), patch.dict(sys.modules):
            sys.modules.pop(name, None)
            self._app: ModuleType = importlib.import_module(name)
        self.log = io.StringIO()
        (handler,) = logging.getLogger("receiver").handlers
        handler.stream = self.log  # type: ignore[attr-defined]  # a StreamHandler
        vars(self._app)["ports"] = Ports(
            shops=ports.shops,
            enqueue=ports.enqueue,
            clock=ports.clock,
            emit=self._app.telemetry.emit,
        )

    def handle(self, event: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The answer, and the lines that it took."""
        self.log.seek(0)
        self.log.truncate()
        given: dict[str, Any] = self._app.handler(event, SimpleNamespace(aws_request_id="request"))
        return given, self.log.getvalue().splitlines()


# What must hold


def check_conversion(conversion: Conversion) -> None:
    """It is within every limit, and written and read it is the same."""
    text = conversion.to_message()
    promise(text.isascii() and text.isprintable(), "the queue takes plain text", text)
    document = json.loads(text)
    promise(len(document) == _MESSAGE_FIELDS, "a message has its fields only", document)
    again = Conversion.from_message(text)
    promise(again.to_message() == text, "what was written is read back", text)
    promise(0 <= conversion.amount <= AMOUNT_LIMIT, "amounts have limits", conversion.amount)
    promise(
        conversion.amount == conversion.amount.quantize(Decimal("0.01")),
        "no currency has more than two decimals",
        conversion.amount,
    )
    promise(conversion.currency in CURRENCIES, "six currencies", conversion.currency)
    promise(0 <= conversion.number_of_items <= ITEMS_LIMIT, "items", conversion.number_of_items)
    promise(is_click_id(conversion.click_id), "a click id", conversion.click_id)
    promise(
        1 <= len(conversion.order_reference) <= REFERENCE_LIMIT,
        "a reference has a length",
        conversion.order_reference,
    )
    promise(1 <= len(conversion.order_id) <= 255, "an order id has a length", conversion.order_id)
    for text in (conversion.order_id, conversion.order_reference, conversion.shop):
        promise(_storable(text), "a table and an API can hold it", text)


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_erasure(erasure: Erasure) -> None:
    text = erasure.to_message()
    promise(text.isascii() and text.isprintable(), "the queue takes plain text", text)
    promise(Erasure.from_message(text).to_message() == text, "what was written is read back", text)


def check_new(wish: Sendable, delivery: Request) -> None:
    """What the receiver makes of a delivery is stricter than what the sender would read."""
    promise(wish.shop == delivery.shop, "the shop of the address", wish)
    if isinstance(wish, Erasure):
        check_erasure(wish)
        promise(all(map(_ORDER_ID.fullmatch, wish.order_ids)), "ids", wish)
        return
    promise(isinstance(wish, Conversion), "a conversion or an erasure", wish)
    if isinstance(wish, Conversion):
        check_new_conversion(wish, delivery)


def check_new_conversion(conversion: Conversion, delivery: Request) -> None:
    check_conversion(conversion)
    promise(_ORDER_ID.fullmatch(conversion.order_id) is not None, "an id", conversion.order_id)
    promise(conversion.platform == delivery.platform, "the platform of the address")
    promise(
        not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in conversion.order_reference),
        "nothing in a reference drives a terminal",
        conversion.order_reference,
    )
    if conversion.void:
        promise(conversion.amount == 0 == conversion.number_of_items, "void is nothing")
    else:
        promise(conversion.amount > 0, "an amount above nothing", conversion.amount)
    promise(conversion.event_time >= NOW - timedelta(days=60), "not older than sixty days")


@functools.cache
def _secrets() -> tuple[str, ...]:
    return tuple(secret for each in sample_shops().values() for secret in each["signing_secrets"])


def check_line(line: Mapping[str, Any]) -> None:
    """Our own words, the order's id, and names of fields: nothing that a body holds."""
    shop, order_id, named = line.get("shop"), line.get("order_id"), line.get("order_ids") or ()
    text = json.dumps({**line, "order_id": None, "order_ids": None})
    promise(hostile.CANARY not in text, "no value of a body is logged", line)
    promise(not any(secret in text for secret in _secrets()), "no secret is logged", line)
    promise(line.get("outcome") in set(Received), "one of our outcomes", line)
    promise(line.get("reason") in {None, *Reason}, "one of our reasons", line)
    promise(line.get("platform") in {None, *PLATFORMS}, "a platform of ours", line)
    promise(shop is None or SHOP_NAME.fullmatch(shop) is not None, "a shop's name", line)
    promise(order_id is None or _ORDER_ID.fullmatch(order_id) is not None, "an order's id", line)
    request = line.get("request")
    promise(request is None or _REQUEST.fullmatch(request) is not None, "a request's name", line)
    promise(all(map(_ORDER_ID.fullmatch, named)), "ids of orders", line)
    promise(line.get("void") in (None, True, False), "a yes or no", line)
    promise(isinstance(line.get("revision", 0), int | None), "a revision", line)
    problem = line.get("problem")
    if problem is not None:
        promise(isinstance(problem, str), "a sentence", line)
        promise(_PROBLEM.fullmatch(problem) is not None, "a field and our own words", line)


def check_answer(status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    """One of the documented answers."""
    if status == 200:
        outcome = body.get("outcome")
        promise(outcome in ("queued", "ignored", "accepted"), "a documented outcome", body)
        if outcome == "accepted":
            promise(body.keys() == {"outcome", "request"}, "its fields", body)
        elif outcome == "queued":
            promise(body.keys() == {"outcome", "order_id", "order_reference"}, "its fields", body)
        else:
            promise(body.keys() - {"order_id"} == {"outcome", "reason"}, "its fields", body)
            promise(body["reason"] in set(Reason), "a documented reason", body)
        return
    promise(status in _PROBLEMS, "a documented status", status)
    promise(body.keys() == {"type", "title", "status", "detail"}, "a problem document", body)
    promise((body["title"], body["status"]) == (_PROBLEMS[status], status), "the same for all")
    promise(headers["content-type"] == "application/problem+json", "its type", headers)
    promise(("retry-after" in headers) == (status == 503), "when to come again", headers)


# The targets: each makes one input and returns in a word what became of it


def fuzz_verify(random: Random, around: Surroundings) -> str:
    """No signature but the right one is taken, whatever bit of it or of the body differs."""
    platform = random.choice(list(PLATFORMS.values()))
    count = random.choice((1, 1, 2, 3))
    secrets = tuple(_secret(platform, random) for _ in range(count))
    body = around.sample(random).body if random.random() < 0.3 else random.randbytes(40)
    headers = signed(platform, body, random.choice(secrets))
    promise(is_right(platform, headers, body, secrets), "signed as specified", headers)
    promise(accepts(platform, headers, body, secrets), "the right signature is taken")
    kind = random.randrange(5)
    if kind == 0:
        body = hostile.otherwise(body, random)
    elif kind == 1:
        name = random.choice(list(headers))
        headers[name] = hostile.header(headers[name], random)
    elif kind == 2:
        secrets = tuple(_secret(platform, random) for _ in secrets)
    elif kind == 3:
        name = random.choice(list(headers))
        headers[name] = flipped_text(headers[name], random)
    else:
        del headers[random.choice(list(headers))]
    taken = accepts(platform, headers, body, secrets)
    right = is_right(platform, headers, body, secrets)
    promise(right or not taken, "a forgery", headers)
    if platform.name in PLAIN_SIGNATURES:
        promise(taken or not right, "the right one", headers)
    return f"verify {'taken' if taken else 'refused'}"


def _secret(platform: Platform, random: Random) -> str:
    if platform.name in PLAIN_SIGNATURES:
        return random.choice(
            (random.randbytes(16).hex(), random.choice(hostile.TEXTS[2:]), "x" * 99)
        )
    return base64.b64encode(random.randbytes(32)).decode()


def flipped_text(text: str, random: Random) -> str:
    return hostile.flipped(text.encode(), random).decode("latin-1")


def fuzz_answer(random: Random, around: Surroundings) -> str:
    """Whatever a shop signs is answered 200, and what is queued can be reported."""
    sample = around.sample(random)
    body = hostile.mutated(sample.body, random)
    platform = PLATFORMS[sample.platform]
    secret = random.choice(around.shops[sample.shop].signing_secrets)
    headers = {name.lower(): value for name, value in sample.headers}
    for name in [each for each in headers if random.random() < 0.03]:
        headers[name] = hostile.header(headers[name], random)
    headers |= signed(platform, body, secret)
    request = Request(sample.platform, sample.shop, headers, body)
    around.queued.clear()
    around.lines.clear()
    given: Answer = answer(request, around.ports)
    promise(given.status == 200, "signed is answered 200", given)
    check_answer(given.status, given.body, given.headers)
    promise(len(around.lines) == 1, "one line for an outcome", around.lines)
    check_line(around.lines[0])
    promise(around.lines[0].keys() <= _LINE_FIELDS | {"message"}, "the line's fields", around.lines)
    if given.body["outcome"] != "accepted":
        queued = given.body["outcome"] == "queued"
        promise(len(around.queued) == queued, "queued once", around.queued)
    for wish in around.queued:
        check_new(wish, request)
    return f"answer {given.body.get('reason') or given.body['outcome']}"


_SHOPS: Final = (
    "",
    "..",
    "../shops/x",
    "a" * 64,
    "a" * 65,
    "A",
    "demo-shopify\n",
    "demo\uff11",
    "\x00",
    "x/y",
    hostile.CANARY,
    "\ud800",
)


def fuzz_handler(random: Random, around: Surroundings) -> str:
    """Whatever the HTTP API hands over is answered, and only what is signed is looked into."""
    sample = around.sample(random)
    body = hostile.mutated(sample.body, random) if random.random() < 0.3 else sample.body
    platform: Platform | None = PLATFORMS[sample.platform]
    shop = sample.shop
    headers = dict(sample.headers)
    is_signed = random.random() < 0.5
    secret = around.shops[shop].signing_secrets[0] if is_signed else SOMEBODYS
    if platform is not None and (is_signed or random.random() < 0.5):
        headers = {
            k: v for k, v in headers.items() if k.lower() not in signed(platform, b"", secret)
        }
        headers |= {k.title(): v for k, v in signed(platform, body, secret).items()}
    names: dict[str, str] | None = {"platform": sample.platform, "shop": shop}
    if random.random() < 0.15:
        names = random.choice(
            (
                None,
                {},
                {"shop": shop},
                {"platform": sample.platform, "shop": random.choice(_SHOPS)},
                {"platform": random.choice(_SHOPS), "shop": shop},
                {"platform": random.choice(list(PLATFORMS)), "shop": shop},
            )
        )
    in_base64 = random.random() < 0.5
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "POST /webhooks/{platform}/{shop}",
        "rawPath": sample.path,
        "rawQueryString": random.choice(("", "pjclid=" + hostile.CLICK_ID)),
        "cookies": ["a=" + hostile.CANARY],
        "headers": headers,
        "requestContext": {"http": {"method": "POST", "sourceIp": "203.0.113.7"}},
        "pathParameters": names,
        "body": _as_sent(body, random, in_base64=in_base64),
        "isBase64Encoded": in_base64,
    }
    for name in ("headers", "body", "cookies", "pathParameters", "isBase64Encoded"):
        if random.random() < 0.01:
            del event[name]
    if random.random() < 0.1 and "headers" in event:
        event["headers"] = {
            **headers,
            **{random.choice(list(headers)): hostile.header("x", random) for _ in range(3)},
            "X-" + "a" * random.choice((1, 2_000)): hostile.CANARY,
        }
    around.queued.clear()
    given, lines = around.receiver.handle(event)
    promise(given.keys() == {"statusCode", "headers", "body"}, "an answer of Lambda's", given)
    check_answer(given["statusCode"], json.loads(given["body"]), given["headers"])
    promise(given["body"].isascii(), "an answer that can be sent", given)
    promise(len(lines) == 1, "one line for an outcome", lines)
    line = json.loads(lines[0])
    check_line(line)
    promise(line.keys() <= _LINE_FIELDS | _FUNCTION_FIELDS, "the line's fields", line)
    promise(bool(around.queued) <= (given["statusCode"] == 200), "queued is 200", given)
    if not is_signed and body != sample.body:
        promise(not around.queued, "what nobody signed is not queued", given)
    return f"handler {given['statusCode']}"


def _as_sent(body: bytes, random: Random, *, in_base64: bool) -> str:
    if in_base64:
        text = base64.b64encode(body).decode()
        return text if random.random() < 0.95 else hostile.header(text, random)
    return body.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()


def fuzz_message(random: Random, around: Surroundings) -> str:
    """A message is read as something valid, or refused by the name of a field."""
    body = hostile.message(random.choice(around.messages), random)
    record = {
        "messageId": UUID,
        "receiptHandle": "handle",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": str(random.randrange(1, 1_001)),
            "SentTimestamp": str(int(NOW.timestamp() * 1_000) - random.randrange(10**9)),
        },
    }
    message = Message.from_record(record)
    promise(message.body == body, "the message is as it was put")
    message.is_worn(NOW)
    try:
        if '"kind"' in message.body:
            check_erasure(Erasure.from_message(message.body))
            return "message read"
        conversion = Conversion.from_message(message.body)
    except MessageError as error:
        promise(hostile.CANARY not in str(error), "no value is told", str(error))
        promise(re.fullmatch(r"[a-z_]+", error.field) is not None, "a field", error.field)
        return "message refused"
    check_conversion(conversion)
    return "message read"


UUID: Final = hostile.UUID

FUZZERS: Final[Mapping[str, Callable[[Random, Surroundings], str]]] = {
    "verify": fuzz_verify,
    "answer": fuzz_answer,
    "handler": fuzz_handler,
    "message": fuzz_message,
}


@dataclass(frozen=True)
class Found:
    """An input that broke a promise."""

    number: int
    target: str
    what: str


@dataclass(frozen=True)
class Sum:
    """What became of a stretch of inputs."""

    inputs: int
    outcomes: Counter[str]
    found: Found | None = None


@functools.cache
def _around() -> Surroundings:
    return Surroundings()


def one(seed: int, number: int) -> str:
    """The input of this number; raises whatever it breaks."""
    target = TARGETS[number % len(TARGETS)]
    return FUZZERS[target](Random(seed * 2**64 + number), _around())  # noqa: S311  # repeatable


def stretch(seed: int, numbers: range) -> Sum:
    """All inputs of these numbers, up to the first that breaks a promise."""
    outcomes: Counter[str] = Counter()
    for number in numbers:
        try:
            outcomes[one(seed, number)] += 1
        except Exception as error:  # any at all: none is documented to come out
            what = f"{type(error).__name__}: {error}"
            found = Found(number, TARGETS[number % len(TARGETS)], what)
            return Sum(sum(outcomes.values()) + 1, outcomes, found)
    return Sum(len(numbers), outcomes)


def stretches(numbers: range, length: int) -> Iterator[range]:
    for first in range(numbers.start, numbers.stop, length):
        yield range(first, min(first + length, numbers.stop))


def sums(seed: int, numbers: range, bug: str | None = None) -> Iterator[Sum]:
    """In order, from as many processes as there are cores; ends with the first that found one."""
    context = multiprocessing.get_context("fork")
    with context.Pool(len(os.sched_getaffinity(0)), _begin, (bug,)) as pool:
        for each in pool.imap(functools.partial(stretch, seed), stretches(numbers, LENGTH)):
            yield each
            if each.found:
                return


def _begin(bug: str | None) -> None:
    """Interrupts are for the process that waits for this one. A bug stays until the end of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.settrace(None)  # who measures coverage has seen these lines in other tests
    _around()
    _planted.enter_context(bugs.planted(bug))


_planted: Final = ExitStack()
