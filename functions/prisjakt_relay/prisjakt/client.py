"""The client: one method per operation; an answer is a value, or one of a few errors."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from requests import Response, Session
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ConnectTimeout, RequestException, Timeout
from urllib3.exceptions import NewConnectionError

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
_POINT_IN_TIME_MS: Final = 10**11  # as a duration three years, as a point in time 1973
_TEXT_LIMIT: Final = 300
_FIELDS_LIMIT: Final = 20


@dataclass(frozen=True, slots=True)
class HeaderPair:
    """The credentials of the older pages, sent with every request."""

    client_id: str
    client_secret: str

    def headers(self) -> dict[str, bytes]:
        """As bytes: a text outside Latin-1, pasted by mistake, would not even make a request."""
        return {
            "client-id": self.client_id.encode(errors="replace"),
            "client-secret": self.client_secret.encode(errors="replace"),
        }

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
        self, method: str, path: str, *, body: bytes, headers: Mapping[str, bytes]
    ) -> Response:
        try:
            response = self._session.request(
                method,
                self._base_url + path,
                data=body,
                headers={
                    "accept": "application/json",
                    "content-type": "application/json",
                    **headers,
                },
                timeout=self._timeout,
                allow_redirects=False,
            )
        except RequestException as error:
            raise _no_answer(error) from error
        refused = refusal(response.status_code, response.headers, _json(response), self._clock())
        if refused is not None:
            raise refused
        return response


def session() -> Session:
    """A session that reads neither proxies nor credentials from the environment."""
    fresh = Session()
    fresh.trust_env = False
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
    the size tells. `Retry-After` is in seconds or a date. The longer one counts.
    """
    waits: list[float] = []
    with contextlib.suppress(KeyError, ValueError, OverflowError):
        reset = float(headers["X-RateLimit-Reset"])
        if reset >= _POINT_IN_TIME_MS:
            reset -= now.timestamp() * 1000
        waits.append(reset / 1000)
    retry_after = headers.get("Retry-After", "")
    with contextlib.suppress(ValueError, OverflowError):
        waits.append(float(retry_after))
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        waits.append((parsedate_to_datetime(retry_after).astimezone(UTC) - now).total_seconds())
    finite = [wait for wait in waits if wait >= 0 or wait < 0]  # a NaN is neither
    return min(max(0.0, *finite), LONGEST_PAUSE) if finite else None


def _no_answer(error: RequestException) -> NotAnsweredError:
    problem = Problem(title=type(error).__name__)
    if isinstance(error, ConnectTimeout):
        return NotAnsweredError(problem, sent=False, timed_out=True)
    if isinstance(error, Timeout):
        return NotAnsweredError(problem, sent=True, timed_out=True)
    return NotAnsweredError(problem, sent=not _never_connected(error))


def _never_connected(error: RequestException) -> bool:
    cause = error.args[0] if isinstance(error, RequestsConnectionError) and error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def _json(response: Response) -> object:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _problem(status: int, body: object) -> Problem:
    """RFC 7807 as Prisjakt writes it; tolerant, and cut to a length that fits a log line."""
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    context = fields.get("context")
    context = context if isinstance(context, dict) else {}
    errors = fields.get("field_errors")
    errors = errors if isinstance(errors, dict) else {}
    return Problem(
        status=status,
        title=_text(fields.get("title")),
        detail=_text(fields.get("detail")),
        field_errors={
            _text(name): _text(error.get("message") if isinstance(error, dict) else error)
            for name, error in list(errors.items())[:_FIELDS_LIMIT]
        },
        request_id=_text(context.get("request-id") or context.get("request_id")),
    )


def _text(value: object) -> str:
    return value[:_TEXT_LIMIT] if isinstance(value, str) else ""
