"""One HTTP exchange as Prisjakt, token endpoints and shop systems need it, and reading its body."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Final

from requests import Response, Session
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 8.0
SHORT_BODY: Final = 64 * 1024

_TEXT_LIMIT: Final = 300


def session() -> Session:
    """A session with neither proxies nor credentials of the environment, and without cookies."""
    fresh = Session()
    fresh.trust_env = False
    fresh.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return fresh


def exchange(
    session: Session,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    timeout: tuple[float, float],
    data: bytes | Mapping[str, bytes] | None = None,
) -> Response:
    """Ask once: no redirect is followed, nothing of the body is read yet."""
    return session.request(
        method,
        url,
        data=data,
        # As bytes: a text outside Latin-1 would break off as no RequestException.
        headers={name: value.encode(errors="replace") for name, value in headers.items()},
        timeout=timeout,
        allow_redirects=False,
        hooks={"response": _stay_here},
        stream=True,
    )


def read(response: Response, limit: int) -> bytes:
    """The body, or its first `limit` bytes; raises an `HTTPError` or an `OSError`."""
    try:
        body: bytes = response.raw.read(limit, decode_content=True)
    except (HTTPError, OSError):
        response.close()
        raise
    if len(body) == limit:
        response.close()  # whatever else there is will not be read
    return body


def read_short(response: Response) -> bytes:
    """A body that is good to have: nothing, if it does not come."""
    try:
        return read(response, SHORT_BODY)
    except (HTTPError, OSError):
        return b""


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait in seconds that the header asks for, by number or by date; None if it asks for none.

    As it stands there: it may be negative, infinite, or not a number.
    """
    value = headers.get("Retry-After", "")
    with contextlib.suppress(ValueError):
        return float(value)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        date = parsedate_to_datetime(value)
        return ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()
    return None


def text(value: object) -> str:
    """What was said, cut to a length that fits a log line."""
    if not isinstance(value, str):
        return ""
    return value[:_TEXT_LIMIT].encode(errors="replace").decode()  # lone surrogates cannot be kept


def _stay_here(response: Response, *_: object, **__: object) -> Response:
    """requests parses a redirect's target even if it does not follow it, and breaks off on some."""
    response.headers.pop("Location", None)
    return response
