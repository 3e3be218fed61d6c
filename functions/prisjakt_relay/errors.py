"""Every error of the relay.

RelayError
├── SetupError                  a setting of the function or of the command line; stops it at start
├── ShopDocumentError           a field of a shop's document; names the field and the remedy
├── MessageError                a queue message that cannot be read; names the field
├── UnreadableError             a signed delivery that is no order; names the field only
├── RequestError                http_status: what the sender of a webhook is told
│   ├── SignatureError          401, the same answer for every cause
│   ├── UnknownShopError        404, the same for an unknown platform and an unknown shop
│   └── UnavailableError        503, nothing was accepted
├── StorageError                queue, table or secrets did not answer: the same call may work later
│   └── AwsError                they answered with an error; `code` says which
├── PlatformApiError            the shop system's own API did not do what was asked
│   ├── PlatformAccessError     not these credentials, or not with these rights
│   ├── PlatformRefusedError    the request itself, for ever; or an answer that is not as documented
│   └── PlatformBusyError       throttled, 5xx, time-outs, broken connections: later
├── HeldError                   the relay's own rules hold a request back; nothing was sent
└── PrisjaktError               Prisjakt did not do what was asked
    ├── RejectedError           400, 413, 422: the request itself, for ever
    ├── ConflictError           409: an event with this external id exists, or a pixel
    ├── RefusedError            401, 403, 404 and other 4xx: the set-up, or this order's click id
    ├── RateLimitedError        429: nobody sends for this client for a while
    ├── NotAnsweredError        5xx, time-outs, broken connections: later; may have been stored
    ├── TokenError              no access token, hence nothing was sent
    └── AnswerError             done, but the answer is not as documented
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar


class RelayError(Exception):
    """The root: catching it catches everything that the relay raises on purpose.

    `exit_code` is what the command line ends with: 2 for what the caller can mend, 3 for what may
    work later.
    """

    exit_code: ClassVar[int] = 2


class SetupError(RelayError):
    """A missing or unusable setting; the message names it and the remedy."""


class ShopDocumentError(RelayError):
    """A shop's document that cannot be used; `str()` reads "field: problem; remedy"."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class MessageError(RelayError):
    """A queue message without a readable conversion."""

    def __init__(self, field: str) -> None:
        super().__init__(f"queue message: {field} is missing or malformed")
        self.field = field


class UnreadableError(RelayError):
    """A signed delivery that is no order; `field` is safe to log, values never are."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class RequestError(RelayError):
    """What the HTTP answer says; deliberately without the cause."""

    http_status: ClassVar[int]
    title: ClassVar[str]
    detail: ClassVar[str]


class SignatureError(RequestError):
    """No signature, or one that none of the shop's secrets makes."""

    http_status = 401
    title = "Signature not accepted"
    detail = "The delivery is not signed with a signing secret of this shop."

    def __init__(self, problem: str | None = None) -> None:
        """`problem` is for the log, never for the answer."""
        super().__init__()
        self.problem = problem


class UnknownShopError(RequestError):
    """A platform or a shop that this relay does not know."""

    http_status = 404
    title = "Not found"
    detail = "There is no such webhook address. Compare it with the one of the shop's set-up."


class UnavailableError(RequestError):
    """The relay cannot accept anything for this shop right now."""

    http_status = 503
    title = "Try again later"
    detail = "The delivery was not accepted. Send it again."


class StorageError(RelayError):
    """An AWS call that failed for now."""

    exit_code = 3


class AwsError(StorageError):
    """AWS answered with an error; `code` is its word for it, e.g. `ThrottlingException`.

    `body` is the whole answer, which may hold an item: never log it.
    """

    def __init__(self, operation: str, code: str, body: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{operation}: {code}")
        self.code = code
        self.body = body or {}


class PlatformApiError(RelayError):
    """The shop system's own API did not do what was asked; the message holds no secret."""


class PlatformAccessError(PlatformApiError):
    """Not these credentials, not with these rights, or no such shop."""


class PlatformRefusedError(PlatformApiError):
    """The request is wrong and stays wrong, or the answer is not as documented."""


class PlatformBusyError(PlatformApiError):
    """No answer for now: too many requests, a failure of the shop's server, a broken connection."""

    exit_code = 3


class HeldError(RelayError):
    """A request that may not go now, for a `cause`; `until` is the moment from which it may, where
    it has to wait its turn."""

    exit_code = 3

    def __init__(self, cause: str, until: datetime | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.until = until


@dataclass(frozen=True, slots=True)
class Problem:
    """What Prisjakt said of a refused request (RFC 7807, fields as far as they were there)."""

    status: int | None = None
    title: str = ""
    detail: str = ""
    field_errors: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""


class PrisjaktError(RelayError):
    """Prisjakt did not do what was asked."""

    exit_code = 3

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status or 'no answer'}: {problem.title}")
        self.problem = problem


class RejectedError(PrisjaktError):
    """The request is wrong and stays wrong."""


class ConflictError(PrisjaktError):
    """There is one already: an event of this external id in the last 30 days, or a shop's pixel."""


class RefusedError(PrisjaktError):
    """Not this client, not this pixel, or not this click."""


class RateLimitedError(PrisjaktError):
    """Too many requests; `wait` is what the answer's headers ask for, in seconds, if they do."""

    def __init__(self, problem: Problem, wait: float | None) -> None:
        super().__init__(problem)
        self.wait = wait


class NotAnsweredError(PrisjaktError):
    """No usable answer. `sent` says whether the request may have arrived."""

    def __init__(self, problem: Problem, *, sent: bool, timed_out: bool = False) -> None:
        super().__init__(problem)
        self.sent = sent
        self.timed_out = timed_out


class TokenError(PrisjaktError):
    """No access token: nothing was sent. `problem` is what the token endpoint said, if it did."""

    def __init__(self, problem: Problem, *, timed_out: bool = False) -> None:
        super().__init__(problem)
        self.timed_out = timed_out


class AnswerError(PrisjaktError):
    """Answered with success, but not as documented; the problem's detail says where."""
