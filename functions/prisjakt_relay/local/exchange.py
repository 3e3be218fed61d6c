"""One HTTP request to something simulated, and its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, kw_only=True)
class Call:
    """One HTTP request; header names in lower case, query values decoded. `origin` is what it was
    addressed to: scheme, host and port."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    origin: str = "https://server.example"


@dataclass(frozen=True)
class Answer:
    """What to send back: after `hang` seconds, or, with `cut`, a closed connection instead."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: object | None = None
    hang: float = 0.0
    cut: bool = False

    @property
    def content(self) -> bytes:
        return b"" if self.body is None else to_json(self.body).encode()


def to_json(value: object) -> str:
    """JSON in which a Decimal is a number with the very digits it has."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{to_json(k)}:{to_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value)
