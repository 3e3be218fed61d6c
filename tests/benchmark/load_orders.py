"""Signed Shopify deliveries by number: fresh orders, made from two recorded ones."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final, Self

from tests.benchmark.deliveries import SIGNATURE, signature, todays_event
from tests.benchmark.surroundings import SHOPIFY

SHOP: Final = "load"
PIXEL: Final = "5b0c6a0e-6a52-4d6f-9c3c-7a1f0c6f5d11"
SECRET: Final = "loadShopifySecret1"
EVERY: Final = 10  # the tenth order carries a click id
FIRST_ID: Final = 7_000_000_000_000

_CARRYING: Final = SHOPIFY / "orders-create-paid"
_WITHOUT: Final = SHOPIFY / "orders-create-no-click-id"
# How the two were recorded; what replaces them is as long, so that a length once told holds.
_RECORDED_CLICK_ID: Final = b"a70a2d14-b4f3-4ead-9644-f96e8279e5ca_c3d717ebf3b80680"
_RECORDED_AMOUNT: Final = b"1666.30"


def shop_document() -> dict[str, object]:
    """With credentials, so that many orders go to Prisjakt in one request."""
    return {
        "platform": "shopify",
        "pixel_id": PIXEL,
        "signing_secrets": [SECRET],
        "prisjakt_client_id": "load",
        "prisjakt_client_secret": "load",
    }


def carries(number: int) -> bool:
    return number % EVERY == 0


def order_id(number: int) -> str:
    return str(FIRST_ID + number)


def amount(number: int) -> Decimal:
    """Another one for nearly every order, so that a mixed-up one shows."""
    return Decimal(100_000 + number * 7919 % 900_000).scaleb(-2)


def click_id(number: int) -> str:
    digest = hashlib.sha256(str(number).encode()).digest()
    return f"{uuid.UUID(bytes=digest[:16], version=4)}_{digest[16:24].hex()}"


@dataclass(frozen=True, slots=True)
class Template:
    """Bytes with gaps that have names."""

    pieces: tuple[bytes, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, data: bytes, gaps: Mapping[bytes, str]) -> Self:
        """With a gap wherever one of these stands; each must stand somewhere."""
        for given, name in gaps.items():
            if given not in data:
                raise ValueError(f"no {name} in what was recorded")
        parts = re.split(b"(" + b"|".join(map(re.escape, gaps)) + b")", data)
        return cls(tuple(parts[::2]), tuple(gaps[part] for part in parts[1::2]))

    def filled(self, values: Mapping[str, bytes]) -> bytes:
        parts = [self.pieces[0]]
        for name, piece in zip(self.names, self.pieces[1:], strict=True):
            parts += (values[name], piece)
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class _Kind:
    body: Template
    event: Template
    head: Template


@dataclass(slots=True)
class Orders:
    """The deliveries of one run. `sign` them before they are wanted: it takes most of the time."""

    path: str = f"/webhooks/shopify/{SHOP}"
    _signatures: dict[int, bytes] = field(default_factory=dict)
    _carrying: _Kind = field(init=False)
    _without: _Kind = field(init=False)

    def __post_init__(self) -> None:
        gaps = {_RECORDED_CLICK_ID: "click_id", _RECORDED_AMOUNT: "amount"}
        self._carrying = _kind(_CARRYING, gaps, self.path)
        self._without = _kind(_WITHOUT, {}, self.path)

    def sign(self, numbers: range) -> None:
        for number in numbers:
            self._signatures[number] = self._signature(number)

    def body(self, number: int) -> bytes:
        return self._of(number).body.filled(_values(number))

    def request(self, number: int) -> bytes:
        """The HTTP request, whole."""
        values = self._signed(number)
        kind = self._of(number)
        return kind.head.filled(values) + kind.body.filled(values)

    def event(self, number: int) -> bytes:
        """What Lambda hands to the receiver for it, as JSON."""
        return self._of(number).event.filled(self._signed(number))

    def _of(self, number: int) -> _Kind:
        return self._carrying if carries(number) else self._without

    def _signed(self, number: int) -> dict[str, bytes]:
        signature = self._signatures.get(number) or self._signature(number)
        return {**_values(number), "signature": signature}

    def _signature(self, number: int) -> bytes:
        return signature(self.body(number), SECRET).encode()


def _values(number: int) -> dict[str, bytes]:
    values = {"order_id": order_id(number).encode()}
    if carries(number):
        values |= {"click_id": click_id(number).encode(), "amount": str(amount(number)).encode()}
    return values


def _kind(recorded: Path, gaps: Mapping[bytes, str], path: str) -> _Kind:
    event = todays_event(recorded, SHOP, SECRET)
    headers: Mapping[str, str] = event["headers"]
    body = str(event["body"]).encode()
    recorded_id = str(json.loads(body)["id"]).encode()
    gaps = {**gaps, recorded_id: "order_id"}
    signed = {headers[SIGNATURE].encode(): "signature"}
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode()
    return _Kind(
        body=Template.of(body, gaps),
        event=Template.of(json.dumps(event).encode(), {**gaps, **signed}),
        head=Template.of(head, {recorded_id: "order_id", **signed}),
    )
