"""The least HTTP server that a Lambda process and an AWS client are content with, in one thread.

The one of `loopback.py` has a thread per connection, which at a thousand calls a second would take
more of a core than what is measured.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class Request(NamedTuple):
    """`head` is everything before the body, as it came."""

    method: bytes
    path: bytes
    head: bytes
    body: bytes

    def header(self, name: bytes) -> str:
        found = re.search(rb"\r\n" + re.escape(name) + rb": *([^\r]*)", self.head, re.IGNORECASE)
        return found[1].decode() if found else ""


class Requests:
    """Requests as their bytes come in."""

    def __init__(self) -> None:
        self._received = b""

    def add(self, data: bytes) -> list[Request]:
        """Those that are whole now."""
        self._received += data
        whole = []
        while (request := self._take()) is not None:
            whole.append(request)
        return whole

    def _take(self) -> Request | None:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self._received[: end + 2]
        if _CHUNKED.search(head):
            raise ValueError("a body in chunks: not understood here")
        found = _LENGTH.search(head)
        start, length = end + 4, int(found[1]) if found else 0
        if len(self._received) < start + length:
            return None
        body = self._received[start : start + length]
        self._received = self._received[start + length :]
        method, path, _ = head.split(b" ", 2)
        return Request(method, path, head, body)


class Conversation(asyncio.Protocol):
    """One connection; `asked` gets each request and may `answer` at once or later."""

    def __init__(self) -> None:
        self._requests = Requests()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        for request in self._requests.add(data):
            self.asked(request)

    def asked(self, request: Request) -> None:
        raise NotImplementedError

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        lines = [f"HTTP/1.1 {status} Answer", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if self._transport is not None:
            self._transport.write("\r\n".join([*lines, "", ""]).encode() + body)
