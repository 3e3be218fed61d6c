"""What an answer means: a value, or one of a few errors."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from requests import Response
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ConnectTimeout, RequestException, Timeout
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as BodyTimeout

from prisjakt_relay.errors import (
    AnswerError,
    ConflictError,
    NotAnsweredError,
    PrisjaktError,
    Problem,
    RateLimitedError,
    RefusedError,
    RejectedError,
)
from prisjakt_relay.transport import read, read_short, retry_after, text

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_PAUSE: Final = 3600.0  # the allowance is by the hour: no answer can mean more
SHORTEST_PAUSE: Final = 1.0  # less would be another unit or another clock, and hammering
_POINT_IN_TIME_MS: Final = 10**11  # as a duration three years, as a point in time 1973
_POINT_IN_TIME_SECONDS: Final = 10**9  # as a duration in ms eleven days, as a point in time 2001
_FIELDS_LIMIT: Final = 20
_ANSWER_LIMIT: Final = 16 * 1024 * 1024

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Rate:
    """The allowance of the hour, what is left of it, and in how many seconds it is renewed."""

    limit: int
    remaining: int
    reset_seconds: float | None


@dataclass(frozen=True, slots=True)
class Created:
    """The answer to a creation, whose members are not documented; a new client's secret is one."""

    members: Mapping[str, object] = field(repr=False)

    @property
    def id(self) -> str | None:
        value = self.members.get("id")
        return value if isinstance(value, str) else None


def refused(response: Response, now: datetime) -> PrisjaktError | None:
    """What the answer is if it is no success, whose body is left to be read."""
    success = 200 <= response.status_code < 300
    body = None if success else _parse(read_short(response))
    return refusal(response.status_code, response.headers, body, now)


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
    waits = (_reset(headers, now), retry_after(headers, now))
    asked = [wait for wait in waits if wait is not None and wait >= SHORTEST_PAUSE]  # nor a NaN
    return min(max(asked), LONGEST_PAUSE) if asked else None


def rate(headers: Mapping[str, str], now: datetime) -> Rate | None:
    """The allowance, if the headers tell it in numbers."""
    try:
        limit, remaining = (int(headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining"))
    except (KeyError, ValueError):
        return None
    reset = _reset(headers, now)
    if reset is None or math.isnan(reset):
        return Rate(limit, remaining, None)
    return Rate(limit, remaining, min(max(reset, 0.0), LONGEST_PAUSE))


def _reset(headers: Mapping[str, str], now: datetime) -> float | None:
    try:
        reset = float(headers["X-RateLimit-Reset"])
    except (KeyError, ValueError):
        return None
    if reset >= _POINT_IN_TIME_MS:
        return reset / 1000 - now.timestamp()
    if reset >= _POINT_IN_TIME_SECONDS:
        return reset - now.timestamp()
    return reset / 1000


def no_answer(error: RequestException) -> NotAnsweredError:
    problem = Problem(title=type(error).__name__)
    if isinstance(error, ConnectTimeout):
        return NotAnsweredError(problem, sent=False, timed_out=True)
    cause = error.args[0] if isinstance(error, RequestsConnectionError) and error.args else None
    if isinstance(error, Timeout):
        return NotAnsweredError(problem, sent=True, timed_out=True)
    connected = not isinstance(getattr(cause, "reason", None), NewConnectionError)
    return NotAnsweredError(problem, sent=connected)


def one(model: type[M], response: Response) -> M:
    """The answer as that model; raises `AnswerError` if it is something else."""
    return _build(model, response, _answer(response))


def many(model: type[M], response: Response) -> list[M]:
    answer = _answer(response)
    if not isinstance(answer, list):
        raise _undocumented(response, "expected an array")
    return [_build(model, response, element) for element in answer]


def created(response: Response) -> Created:
    """Whatever came: the thing exists, also if its description got lost."""
    return Created(_members(_parse(read_short(response))))


def _build(model: type[M], response: Response, value: object) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        problem = _undocumented(response, f"{model.__name__} {place}: {first['msg']}")
    raise problem


def _answer(response: Response) -> object:
    try:
        body = read(response, _ANSWER_LIMIT)
    except (HTTPError, OSError) as error:
        problem = Problem(title=type(error).__name__)
        late = isinstance(error, TimeoutError | BodyTimeout)
        raise NotAnsweredError(problem, sent=True, timed_out=late) from error
    value = _parse(body)
    if value is None:
        raise _undocumented(response, "expected JSON of at most 16 MiB")
    return value


def _undocumented(response: Response, detail: str) -> AnswerError:
    return AnswerError(Problem(response.status_code, "the answer is not as documented", detail))


def _parse(body: bytes) -> object:
    """Money keeps its digits: no number passes through a float."""
    try:
        value: object = json.loads(body, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return value


def _problem(status: int, body: object) -> Problem:
    """RFC 7807 as Prisjakt writes it; tolerant, and cut to a length that fits a log line."""
    fields = _members(body)
    context = _members(fields.get("context"))
    errors = list(_members(fields.get("field_errors")).items())[:_FIELDS_LIMIT]
    return Problem(
        status=status,
        title=text(fields.get("title")),
        detail=text(fields.get("detail")),
        field_errors={text(name) or "event": _message(error) for name, error in errors},
        request_id=text(context.get("request-id") or context.get("request_id")),
    )


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _message(error: object) -> str:
    return text(error.get("message") if isinstance(error, dict) else error)
