"""The client: one method per operation; an answer is a value, or one of a few errors."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final

from requests import Response, Session
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ConnectTimeout, RequestException, Timeout
from urllib3.exceptions import HTTPError, NewConnectionError

from prisjakt_relay.errors import (
    ConflictError,
    NotAnsweredError,
    PrisjaktError,
    Problem,
    RateLimitedError,
    RefusedError,
    RejectedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prisjakt_relay.prisjakt.models import PurchaseEvent

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 8.0

LONGEST_PAUSE: Final = 3600.0  # the allowance is by the hour: no answer can mean more
SHORTEST_PAUSE: Final = 1.0  # less would be another unit or another clock, and hammering
_POINT_IN_TIME_MS: Final = 10**11  # as a duration three years, as a point in time 1973
_POINT_IN_TIME_SECONDS: Final = 10**9  # as a duration in ms eleven days, as a point in time 2001
_TEXT_LIMIT: Final = 300
_FIELDS_LIMIT: Final = 20
_BODY_LIMIT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class HeaderPair:
    """The credentials of the older pages, sent with every request."""

    client_id: str
    client_secret: str

    def headers(self) -> dict[str, str]:
        return {"client-id": self.client_id, "client-secret": self.client_secret}

    def __repr__(self) -> str:
        return f"HeaderPair(client_id={self.client_id!r})"


class PrisjaktClient:
    """Requests to one base address. Never follows redirects, never retries, verifies TLS."""

    def __init__(
        self,
        base_url: str,
        session: Session,
        *,
        clock: Callable[[], datetime],
        timeout: tuple[float, float] = (CONNECT_SECONDS, READ_SECONDS),
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._session = session
        self._clock = clock
        self._timeout = timeout

    def create_event(
        self, pixel_id: str, event: PurchaseEvent, credentials: HeaderPair | None = None
    ) -> None:
        """POST one event: returns if Prisjakt stored it, raises a `PrisjaktError` otherwise.

        Needs no credentials; `credentials` are for shops whose set-up still has the header pair.
        """
        self._request(
            "POST",
            f"/pixels/{pixel_id}/events",
            body=event.to_json(),
            headers=credentials.headers() if credentials else {},
        )

    def _request(
        self, method: str, path: str, *, body: bytes, headers: Mapping[str, str]
    ) -> Response:
        try:
            response = self._session.request(
                method,
                self._base_url + path,
                data=body,
                headers={
                    "accept": "application/json",
                    "content-type": "application/json",
                    # As bytes: a text outside Latin-1 would break off as no RequestException.
                    **{name: value.encode(errors="replace") for name, value in headers.items()},
                },
                timeout=self._timeout,
                allow_redirects=False,
                hooks={"response": _stay_here},
                stream=True,
            )
        except RequestException as error:
            raise _no_answer(error) from error
        refused = refusal(response.status_code, response.headers, _json(response), self._clock())
        if refused is not None:
            raise refused
        return response


def _stay_here(response: Response, *_: object, **__: object) -> Response:
    """requests parses a redirect's target even if it does not follow it, and breaks off on some."""
    response.headers.pop("Location", None)
    return response


def session() -> Session:
    """A session with neither proxies nor credentials of the environment, and without cookies."""
    fresh = Session()
    fresh.trust_env = False
    fresh.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return fresh


def refusal(
    status: int, headers: Mapping[str, str], body: object, now: datetime
) -> PrisjaktError | None:
    """What an answer means: None for success, otherwise the error to raise."""
    if 200 <= status < 300:
        return None
    problem = _problem(status, body)
    if status == 409:
        return ConflictError(problem)
    if status in (400, 413, 422):
        return RejectedError(problem)
    if status == 429:
        return RateLimitedError(problem, pause(headers, now))
    if 400 <= status < 500 and status not in (408, 425):
        return RefusedError(problem)
    return NotAnsweredError(problem, sent=True)


def pause(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait in seconds that the headers ask for, at most an hour; None if they do not.

    `X-RateLimit-Reset` is in milliseconds, by its text a point in time, by its sample a duration:
    the size tells, also a point in time in seconds, which others send. `Retry-After` is in seconds
    or a date. The longer one counts; less than a second, or a moment gone by, asks for nothing.
    """
    waits: list[float] = []
    with contextlib.suppress(KeyError, ValueError):
        reset = float(headers["X-RateLimit-Reset"])
        if reset >= _POINT_IN_TIME_MS:
            waits.append(reset / 1000 - now.timestamp())
        elif reset >= _POINT_IN_TIME_SECONDS:
            waits.append(reset - now.timestamp())
        else:
            waits.append(reset / 1000)
    retry_after = headers.get("Retry-After", "")
    with contextlib.suppress(ValueError):
        waits.append(float(retry_after))
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        date = parsedate_to_datetime(retry_after)
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        waits.append((date - now).total_seconds())
    asked = [wait for wait in waits if wait >= SHORTEST_PAUSE]  # which a NaN is not
    return min(max(asked), LONGEST_PAUSE) if asked else None


def _no_answer(error: RequestException) -> NotAnsweredError:
    problem = Problem(title=type(error).__name__)
    if isinstance(error, ConnectTimeout):
        return NotAnsweredError(problem, sent=False, timed_out=True)
    cause = error.args[0] if isinstance(error, RequestsConnectionError) and error.args else None
    if isinstance(error, Timeout):
        return NotAnsweredError(problem, sent=True, timed_out=True)
    connected = not isinstance(getattr(cause, "reason", None), NewConnectionError)
    return NotAnsweredError(problem, sent=connected)


def _json(response: Response) -> object:
    """The body, if it is short JSON; the status counts even if the body never comes."""
    try:
        body = response.raw.read(_BODY_LIMIT, decode_content=True)
    except (HTTPError, OSError):
        response.close()
        return None
    if len(body) == _BODY_LIMIT:
        response.close()  # whatever else there is will not be read
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _problem(status: int, body: object) -> Problem:
    """RFC 7807 as Prisjakt writes it; tolerant, and cut to a length that fits a log line."""
    fields = _members(body)
    context = _members(fields.get("context"))
    errors = list(_members(fields.get("field_errors")).items())[:_FIELDS_LIMIT]
    return Problem(
        status=status,
        title=_text(fields.get("title")),
        detail=_text(fields.get("detail")),
        field_errors={_text(name) or "event": _message(error) for name, error in errors},
        request_id=_text(context.get("request-id") or context.get("request_id")),
    )


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _message(error: object) -> str:
    return _text(error.get("message") if isinstance(error, dict) else error)


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return value[:_TEXT_LIMIT].encode(errors="replace").decode()  # lone surrogates cannot be kept
