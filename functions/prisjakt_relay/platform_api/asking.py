"""Asking a shop's own server: patiently, since it may be small, busy, or throttle."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from requests import Session
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from prisjakt_relay.errors import PlatformBusyError, PlatformRefusedError
from prisjakt_relay.platform_api.interface import Wait
from prisjakt_relay.transport import exchange, read, retry_after

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
MOST_ATTEMPTS: Final = 6
FIRST_WAIT: Final = 1.0  # doubled each time
LONGEST_WAIT: Final = 300.0
UNTOLD_WAIT: Final = 10.0  # after a 429 that does not say for how long
_ANSWER_LIMIT: Final = 64 * 1024 * 1024
_BUSY: Final = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer below 500; `body` is None if it is no JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Asking:
    """Requests to one server. What is too busy is asked again; the server says when, or we do."""

    def __init__(self, http: Session, *, clock: Callable[[], datetime], wait: Wait) -> None:
        self._http = http
        self._clock = clock
        self._wait = wait

    def ask(
        self,
        method: str,
        url: str | Callable[[], str],
        *,
        headers: Mapping[str, str],
        data: bytes | Mapping[str, bytes] | None = None,
        safe: bool = True,
    ) -> Answered:
        """Raises `PlatformBusyError` if there is no answer after several attempts.

        What is not `safe` to do twice is done again only if the server said that it did not. A
        `url` that is good for one attempt is made anew for each.
        """
        pause, attempts = FIRST_WAIT, 0
        while True:
            address = url if isinstance(url, str) else url()
            answered, asked = self._once(method, address, headers, data)
            if isinstance(answered, Answered):
                return answered
            attempts += 1
            if attempts == MOST_ATTEMPTS or not (safe or asked is not None):
                raise PlatformBusyError(
                    f"{urlsplit(address).hostname} does not answer ({answered}): is the address "
                    "right? Else try again later"
                )
            self._wait(min(max(pause, asked or 0.0), LONGEST_WAIT))
            pause *= 2

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: bytes | Mapping[str, bytes] | None,
    ) -> tuple[Answered | str, float | None]:
        """The answer; or what came instead, and the wait in seconds if the server asks for one."""
        try:
            response = exchange(
                self._http,
                method,
                url,
                headers={"accept": "application/json", **headers},
                data=data,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
            )
            content = read(response, _ANSWER_LIMIT)
        except (RequestException, HTTPError, OSError) as error:
            return type(error).__name__, None
        status = response.status_code
        if status in _BUSY or status >= 500:
            asked = retry_after(response.headers, self._clock())
            return f"HTTP {status}", asked if asked is not None or status != 429 else UNTOLD_WAIT
        if 300 <= status < 400:
            raise PlatformRefusedError(
                f"the shop's server sends us elsewhere (HTTP {status}): give the address that it "
                "answers at itself"
            )
        return Answered(status, response.headers, _parsed(content)), None


def _parsed(content: bytes) -> Any:
    """Money keeps its digits: no number passes through a float."""
    try:
        return json.loads(content, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        return None
