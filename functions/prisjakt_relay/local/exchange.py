"""One HTTP request to something simulated, and its answer."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from requests import Response
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse

if TYPE_CHECKING:
    from flask import Request


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


def call_of(request: Request, path: str) -> Call:
    """What a server was asked, on a path of its own."""
    return Call(
        method=request.method,
        path=path,
        query=request.args.to_dict(),
        headers={name.lower(): value for name, value in request.headers},
        body=request.get_data(),
        origin=request.host_url.rstrip("/"),
    )


def response_of(answer: Answer) -> Response:
    """The answer as the client's library hands it over, its body still to be read."""
    response = Response()
    response.status_code = answer.status
    response.headers = CaseInsensitiveDict(answer.headers)
    response.raw = HTTPResponse(io.BytesIO(answer.content), preload_content=False)
    return response


def to_json(value: object) -> str:
    """JSON in which a Decimal is a number with the very digits it has."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{to_json(k)}:{to_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value)
