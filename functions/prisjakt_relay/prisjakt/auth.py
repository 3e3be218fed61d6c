"""Credentials, and the tokens that are got with them.

https://developer.prisjakt.nu/docs/sections/getting-started/calling-an-api
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final, TypeAlias

from requests import Session
from requests.exceptions import RequestException, Timeout

from prisjakt_relay.errors import Problem, TokenError
from prisjakt_relay.shop import Auth, Shop
from prisjakt_relay.transport import (
    CONNECT_SECONDS,
    READ_SECONDS,
    exchange,
    read_short,
    text,
)

TOKEN_URL: Final = "https://auth.pj.nu/oauth2/token"  # noqa: S105

CLIENTS: Final = 1_000  # a token is a kB or two; who is dropped asks for one anew

_LONGEST_MARGIN: Final = 60.0
_UNTOLD_LIFE: Final = 300.0
_LONGEST_LIFE: Final = 86_400.0
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")  # what a header can carry


@dataclass(frozen=True, slots=True)
class HeaderPair:
    """The credentials of the older pages, sent with every request."""

    client_id: str
    client_secret: str = field(repr=False)

    def headers(self) -> dict[str, str]:
        return {"client-id": self.client_id, "client-secret": self.client_secret}


@dataclass(frozen=True, slots=True)
class OAuth:
    """The credentials of the current pages: good for tokens, which go with the requests."""

    client_id: str
    client_secret: str = field(repr=False)


Credentials: TypeAlias = HeaderPair | OAuth

Before: TypeAlias = Callable[[bool], None]
"""Called right before every HTTP request, with whether it counts against the API's allowance.

It may raise to stop the request; what it raises passes through.
"""


Limited: TypeAlias = Callable[[float | None], None]
"""Called when Prisjakt says 429, with the seconds of pause that it asks for, if it does; the error
is raised after it."""


def nothing(_counts: bool) -> None:
    """The `Before` of those who need none."""


@dataclass(slots=True)
class _Entry:
    """What is known of one client; `lock` is held by whoever asks for its token."""

    lock: Lock = field(default_factory=Lock)
    token: str = field(default="", repr=False)
    ends: datetime | None = None
    answers: int = 0
    error: TokenError | None = None


class Tokens:
    """Access tokens, kept until shortly before their end. Meant to be shared by threads.

    Only for so many clients, those that were asked for last: a secret that was rotated would stay
    for ever.
    """

    def __init__(
        self,
        token_url: str,
        session: Session,
        *,
        clock: Callable[[], datetime],
        timeout: tuple[float, float] = (CONNECT_SECONDS, READ_SECONDS),
    ) -> None:
        self._token_url = token_url
        self._session = session
        self._clock = clock
        self._timeout = timeout
        self._entries: OrderedDict[OAuth, _Entry] = OrderedDict()
        self._entries_lock = Lock()

    def get(self, credentials: OAuth, before: Before = nothing) -> str:
        """A token, asked for only if none is at hand; raises `TokenError`.

        Who waits for somebody else's request gets its outcome, also if that is an error.
        """
        entry = self._entry(credentials)
        answers = entry.answers
        with entry.lock:
            if entry.ends is not None and self._clock() < entry.ends:
                return entry.token
            if entry.error is not None and entry.answers != answers:
                raise TokenError(entry.error.problem, timed_out=entry.error.timed_out)
            before(False)
            asked = self._clock()
            try:
                entry.token, life = self._ask(credentials)
            except TokenError as error:
                entry.error = error
                raise
            else:
                entry.error = None
                entry.ends = asked + timedelta(seconds=life - min(_LONGEST_MARGIN, life / 10))
                return entry.token
            finally:
                entry.answers += 1

    def forget(self, credentials: OAuth, token: str) -> None:
        """Drop a token that was refused, unless a newer one has taken its place."""
        entry = self._entries.get(credentials)
        if entry is None:
            return
        with entry.lock:
            if entry.token == token:
                entry.token, entry.ends = "", None

    def _entry(self, credentials: OAuth) -> _Entry:
        with self._entries_lock:
            entry = self._entries.setdefault(credentials, _Entry())
            self._entries.move_to_end(credentials)
            if len(self._entries) > CLIENTS:
                self._entries.popitem(last=False)
            return entry

    def _ask(self, credentials: OAuth) -> tuple[str, float]:
        """RFC 6749, section 4.4: the token, and its life in seconds."""
        form = {
            "grant_type": "client_credentials",
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret,
        }
        try:
            response = exchange(
                self._session,
                "POST",
                self._token_url,
                data={name: value.encode(errors="replace") for name, value in form.items()},
                headers={"accept": "application/json"},
                timeout=self._timeout,
            )
        except RequestException as error:
            problem = Problem(title=type(error).__name__)
            raise TokenError(problem, timed_out=isinstance(error, Timeout)) from error
        fields = _fields(read_short(response))
        status = response.status_code
        if not 200 <= status < 300:
            problem = Problem(
                status, text(fields.get("error")), text(fields.get("error_description"))
            )
            raise TokenError(problem)
        token = fields.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise TokenError(Problem(status, "no usable access_token in the answer"))
        return token, _life(fields.get("expires_in"))


def _fields(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _life(expires_in: object) -> float:
    """Seconds, at most a day; a few minutes if the answer does not say."""
    try:
        seconds = float(str(expires_in))
    except ValueError:
        return _UNTOLD_LIFE
    return min(seconds, _LONGEST_LIFE) if seconds > 0 else _UNTOLD_LIFE


def credentials_of(shop: Shop) -> Credentials | None:
    """How the shop shows who it is, if it has something to show. `create_event` takes no token: a
    first report needs none, and must not wait for one."""
    if shop.prisjakt_client_id is None:
        return None
    kind = HeaderPair if shop.prisjakt_auth is Auth.HEADERS else OAuth
    return kind(shop.prisjakt_client_id, shop.prisjakt_client_secret or "")
