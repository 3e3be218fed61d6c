"""The way to a simulated shop system: a session whose requests are function calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from requests import Response, Session
from requests.exceptions import ConnectionError as RequestsConnectionError

from prisjakt_relay.local.exchange import Answer, Call, response_of
from prisjakt_relay.local.shop_system import ShopSystem


class ShopSession(Session):
    """Leads from `address` to the shop system that is there, and nowhere else.

    `calls` are all that were made, and `given` what was answered; what is in `answers` is given
    first, instead of the shop system's own answer.
    """

    def __init__(self, system: ShopSystem, address: str) -> None:
        # Not calling `Session.__init__` saves two adapters that nobody uses.
        self._system = system
        self._address = address.rstrip("/")
        self.calls: list[Call] = []
        self.answers: list[Answer] = []
        self.given: list[Answer] = []

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        data: bytes | Mapping[str, bytes] | None = None,
        headers: Mapping[str, bytes] | None = None,
        **_rest: Any,
    ) -> Response:
        assert url.startswith(f"{self._address}/"), f"the request leaves for {url}"
        parts = urlsplit(url.removeprefix(self._address))
        call = Call(
            method=method,
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value.decode() for name, value in (headers or {}).items()},
            body=urlencode(data).encode() if isinstance(data, Mapping) else data or b"",
            origin=self._address,
        )
        self.calls.append(call)
        self.given.append(self.answers.pop(0) if self.answers else self._system.answer(call))
        if self.given[-1].cut:
            raise RequestsConnectionError("Connection aborted.")
        return response_of(self.given[-1])
