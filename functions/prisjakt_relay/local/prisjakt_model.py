"""The simulated Prisjakt Click & Conversion API: the rules of developer.prisjakt.nu, without I/O.

It restates those rules and imports none of the relay's, so that the two can disagree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlencode

BASE_PATH: Final = "/click-conversion"
TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105

DUPLICATE_WINDOW: Final = timedelta(days=30)
LONGEST_INTERVAL: Final = timedelta(days=60)
RATE_WINDOW: Final = timedelta(hours=1)
TOKEN_LIFETIME: Final = timedelta(seconds=86_399)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One HTTP request; header names in lower case, query values decoded."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    origin: str = "https://api.pj.nu"


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


@dataclass(kw_only=True)
class Fault:
    """A rule that spoils the next `times` calls it matches; by default it concerns the writes.

    `status` answers as told and does nothing else; `cut_before` closes the connection unheard;
    `cut_after` and `hang` do what was asked, then close it or answer late. `seconds` delays any of
    them. `operation` and `external_event_id` are exact or a glob.
    """

    kind: Literal["status", "hang", "cut_before", "cut_after"]
    times: int = 1
    operation: str = "create-event*"
    pixel_id: str | None = None
    external_event_id: str | None = None
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: object | None = None
    seconds: float = 0.0

    def matches(self, operation: str, pixel_id: str, external_ids: Iterable[str]) -> bool:
        wanted = self.external_event_id
        return (
            fnmatchcase(operation, self.operation)
            and (self.pixel_id is None or self.pixel_id.lower() == pixel_id)
            and (wanted is None or any(i == wanted or fnmatchcase(i, wanted) for i in external_ids))
        )

    def instead(self) -> Answer | None:
        """The answer for which nothing is done, if the fault is of such a kind."""
        if self.kind == "status":
            return Answer(self.status, dict(self.headers), self.body)
        return Answer(0) if self.kind == "cut_before" else None


@dataclass(frozen=True, kw_only=True)
class Event:
    """A stored event."""

    id: str
    pixel_id: str
    signed_click_id: str
    external_event_id: str | None
    event_name: str
    event_time: datetime
    amount: Decimal
    currency: str
    number_of_items: int | None
    received_at: datetime

    def element(self) -> dict[str, object]:
        """As the API shows it; what was not given is left out."""
        items = {} if self.number_of_items is None else {"number_of_items": self.number_of_items}
        element = {
            "id": self.id,
            "click_id": self.signed_click_id.partition("_")[0],
            "external_event_id": self.external_event_id,
            "event_name": self.event_name,
            "event_time": _time_text(self.event_time),
            "data": {**items, "currency": self.currency, "amount": self.amount},
        }
        return {name: value for name, value in element.items() if value is not None}

    def record(self) -> dict[str, object]:
        """As the simulation shows it: with what the API keeps to itself."""
        return {
            **self.element(),
            "pixel_id": self.pixel_id,
            "signed_click_id": self.signed_click_id,
            "received_at": _time_text(self.received_at),
        }


class ProblemError(Exception):
    """A refusal in the API's one error format, which is said to follow RFC 7807."""

    def __init__(self, status: int, title: str, detail: str, **members: object) -> None:
        super().__init__(title)
        self.status = status
        self.body = {"title": title, "status": status, "detail": detail, **members}


class PrisjaktModel:
    """The state of the simulated API; not safe for threads, which is the shell's affair.

    `clients` maps client ids to secrets; without it any pair of id and secret is taken.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        any_pixel: bool = True,
        pixels: Iterable[str] = (),
        clients: Mapping[str, str] | None = None,
        hourly_limit: int = 10_000,
    ) -> None:
        self.clock = clock
        self.new_id = new_id
        self.any_pixel = any_pixel
        self.pixels = {pixel_id.lower() for pixel_id in pixels}
        self.clients = clients
        self.hourly_limit = hourly_limit
        self.events: dict[str, Event] = {}
        self.faults: list[Fault] = []
        self._latest: dict[tuple[str, str | None], Event] = {}
        self._tokens: dict[str, tuple[str, datetime]] = {}
        self._windows: dict[str, tuple[datetime, int]] = {}

    def answer(self, call: Call) -> Answer:
        """Take one call: rate limit, then faults, then credentials, then the operation itself."""
        headers: dict[str, str] = {}
        fault = _NO_FAULT
        try:
            if call.path != TOKEN_PATH:
                self._count(call, headers)
            operation, ids = _route(call)
            fault = self._take_fault(operation, call, ids)
            if (told := fault.instead()) is not None:
                headers.clear()  # a fault says all there is to say
            answer = told or operation.perform(self, call, ids)
        except ProblemError as problem:
            body = {**problem.body, "context": {"request-id": self.new_id()}}
            answer = Answer(problem.status, body=body)
        if answer.body is not None:
            headers["Content-Type"] = "application/json"
        return replace(
            answer,
            headers=headers | answer.headers,
            hang=fault.seconds,
            cut=fault.kind.startswith("cut"),
        )

    def forget(self) -> None:
        """Drop every event, and with it every duplicate to come."""
        self.events.clear()
        self._latest.clear()

    def _count(self, call: Call, headers: dict[str, str]) -> None:
        """Count the call against its client, else (the pages are silent) its pixel's address.

        The window starts with the first call. Its reset is told as the milliseconds that remain:
        the text calls it a point in time, the only sample is a duration.
        """
        key = call.headers.get("client-id") or self._client(call) or call.path.lower()
        now = self.clock()
        started, used = self._windows.get(key, (now, 0))
        if now - started >= RATE_WINDOW:
            started, used = now, 0
        self._windows[key] = started, used + 1
        headers["X-RateLimit-Limit"] = str(self.hourly_limit)
        headers["X-RateLimit-Remaining"] = str(max(0, self.hourly_limit - used - 1))
        left = started + RATE_WINDOW - now
        headers["X-RateLimit-Reset"] = str(-(-left // timedelta(milliseconds=1)))
        if used >= self.hourly_limit:
            raise ProblemError(429, "Too Many Requests", "Please wait until the rate limit resets")

    def _take_fault(self, operation: Operation, call: Call, ids: Mapping[str, str]) -> Fault:
        external_ids = _external_ids(call.body) if self.faults else []
        for fault in self.faults:
            if fault.matches(operation.name, ids.get("pixel_id", ""), external_ids):
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return _NO_FAULT

    def _client(self, call: Call) -> str | None:
        """The client that the bearer token, or else the older header pair, proves."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            client_id, ends = self._tokens.get(token, ("", self.clock()))
            return client_id if self.clock() < ends else None
        client_id = call.headers.get("client-id", "")
        return client_id if self._knows(client_id, call.headers.get("client-secret", "")) else None

    def _knows(self, client_id: str, secret: str) -> bool:
        known = secret if self.clients is None else self.clients.get(client_id)
        return bool(client_id and secret) and secret == known

    def _require_client(self, call: Call) -> None:
        if self._client(call) is None:
            raise ProblemError(401, "Unauthorized", "Valid client credentials are required")

    def _require_pixel(self, pixel_id: str) -> None:
        _validate({"pixel_id": pixel_id}, _PIXEL_RULES)
        if self.any_pixel:
            self.pixels.add(pixel_id)
        if pixel_id not in self.pixels:
            detail = f"A pixel with ID {pixel_id} could not be found"
            raise ProblemError(404, "Pixel not found", detail)

    def _create_event(self, call: Call, ids: Mapping[str, str]) -> Answer:
        self._require_pixel(ids["pixel_id"])
        event = self._read_event(ids["pixel_id"], _json_body(call))
        self._refuse_duplicate(event)
        self._store(event)
        return Answer(201)

    def _read_event(self, pixel_id: str, body: Any) -> Event:
        if not isinstance(body, dict):
            raise _invalid({"body": ("must be an object", body)})
        click_rule = _CLICK_RULES.get(str(body.get("event_name")), _CLICK_RULES["purchase"])
        _validate(body, {**_EVENT_RULES, "signed_click_id": click_rule}, _EVENT_OPTIONAL)
        data, now = body["data"], self.clock()
        return Event(
            id=self.new_id(),
            pixel_id=pixel_id,
            signed_click_id=body["signed_click_id"],
            external_event_id=body.get("external_event_id"),
            event_name=body["event_name"],
            event_time=_instant(body["event_time"]) if "event_time" in body else now,
            amount=Decimal(data["amount"]),
            currency=data["currency"],
            number_of_items=int(data["number_of_items"]) if "number_of_items" in data else None,
            received_at=now,
        )

    def _refuse_duplicate(self, event: Event) -> None:
        """The pages leave open what is compared: here all events of one pixel, by receipt.

        Tests and purchases share the ids, which is the stricter reading for a sender.
        """
        earlier = self._latest.get((event.pixel_id, event.external_event_id))
        if earlier and event.received_at - earlier.received_at < DUPLICATE_WINDOW:
            detail = f"An event with external event ID {event.external_event_id} already exists"
            raise ProblemError(409, "Event already exists", detail)

    def _store(self, event: Event) -> None:
        self.events[event.id] = event
        if event.external_event_id is not None:
            self._latest[event.pixel_id, event.external_event_id] = event

    def _get_events(self, call: Call, ids: Mapping[str, str]) -> Answer:
        self._require_client(call)
        self._require_pixel(ids["pixel_id"])
        _validate(call.query, _LIST_RULES, _LIST_OPTIONAL)
        start, end = _instant(call.query["from"]), _instant(call.query["to"])
        if not timedelta(0) <= end - start <= LONGEST_INTERVAL:
            message = "must not be before from, nor more than 60 days after it"
            raise _invalid({"to": (message, call.query["to"])})
        found = [
            event
            for event in reversed(self.events.values())
            if event.pixel_id == ids["pixel_id"]
            and start <= event.event_time <= end
            and event.event_name == call.query.get("event_name", event.event_name)
        ]
        found.sort(key=lambda event: event.event_time, reverse=True)
        page, per_page = int(call.query.get("page", 1)), int(call.query.get("per_page", 100))
        shown = found[(page - 1) * per_page : page * per_page]
        headers = _link(call, page, last=-(-len(found) // per_page))
        return Answer(200, headers, [event.element() for event in shown])

    def _issue_token(self, call: Call, _: Mapping[str, str]) -> Answer:
        """RFC 6749, section 4.4; the token is opaque here, where the real one is a JWT."""
        form = dict(parse_qsl(call.body.decode("latin-1")))
        client_id = form.get("client_id", "")
        if form.get("grant_type") != "client_credentials":
            return Answer(400, body={"error": "unsupported_grant_type"})
        if not self._knows(client_id, form.get("client_secret", "")):
            return Answer(401, body={"error": "invalid_client"})
        token, lifetime = self.new_id(), int(TOKEN_LIFETIME.total_seconds())
        self._tokens[token] = client_id, self.clock() + TOKEN_LIFETIME
        body = {"access_token": token, "expires_in": lifetime, "scope": "", "token_type": "bearer"}
        return Answer(200, {"Cache-Control": "no-store"}, body)


@dataclass(frozen=True)
class Operation:
    """One row of the API: its documented name, its address, what it does."""

    name: str
    method: str
    path: str
    perform: Callable[[PrisjaktModel, Call, Mapping[str, str]], Answer]


_EVENTS_PATH: Final = f"{BASE_PATH}/pixels/(?P<pixel_id>[^/]+)/events"
OPERATIONS: Final = (
    Operation("create-event", "POST", _EVENTS_PATH, PrisjaktModel._create_event),
    Operation("get-events", "GET", _EVENTS_PATH, PrisjaktModel._get_events),
    Operation("token", "POST", TOKEN_PATH, PrisjaktModel._issue_token),
)
_NO_FAULT: Final = Fault(kind="hang")


def _route(call: Call) -> tuple[Operation, dict[str, str]]:
    """The operation and the ids in its path, lower-cased: UUIDs come in either case."""
    for operation in OPERATIONS:
        found = re.fullmatch(operation.path, call.path)
        if found and operation.method == call.method:
            return operation, {name: text.lower() for name, text in found.groupdict().items()}
    raise ProblemError(404, "Not found", f"There is no {call.method} {call.path}")


Rule = tuple[str, Callable[[Any], bool]]


def _pattern(message: str, pattern: str) -> Rule:
    return message, lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value))


def _choice(*choices: str) -> Rule:
    return f"must be one of {', '.join(choices)}", lambda value: value in choices


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return is_number and 0 <= value <= 999_999_999


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(re.fullmatch(_TIME, value) and _instant(value))
    except ValueError:
        return False


_UUID: Final = r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_UUID_V4: Final = r"(?=.{14}4.{4}[89ABab])" + _UUID
_SIGNATURE: Final = r"_[0-9A-Za-z]{16}"
_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z"
_EVENT_NAME: Final = _choice("purchase", "test-purchase")
_UTC_TIME: Final = ("must be an ISO 8601 date and time in UTC", _is_time)

_PIXEL_RULES: Final = {"pixel_id": _pattern("must be a v4 UUID", _UUID_V4)}
_CLICK_RULES: Final = {
    "purchase": _pattern("must be a v4 UUID, _ and 16 characters", _UUID_V4 + _SIGNATURE),
    "test-purchase": _pattern("must be a UUID, signed or not", f"{_UUID}({_SIGNATURE})?"),
}
_EVENT_RULES: Final[dict[str, Rule]] = {
    "event_name": _EVENT_NAME,
    "event_time": _UTC_TIME,
    "external_event_id": _pattern("must be a string of 1 to 100 characters", r"(?s:.{1,100})"),
    "data": ("must be an object", lambda value: isinstance(value, dict)),
    "data.amount": ("must be a number between 0 and 999999999", _is_number),
    "data.currency": _choice("DKK", "EUR", "GBP", "NOK", "NZD", "SEK"),
    "data.number_of_items": (
        "must be a whole number between 0 and 999999999",
        lambda value: _is_number(value) and value == int(value),
    ),
}
_LIST_RULES: Final[dict[str, Rule]] = {
    "from": _UTC_TIME,
    "to": _UTC_TIME,
    "page": _pattern("must be a whole number from 1", "[1-9][0-9]{0,8}"),
    "per_page": _pattern("must be a whole number from 1 to 100", "[1-9][0-9]?|100"),
    "event_name": _EVENT_NAME,
}
_EVENT_OPTIONAL: Final = {"event_time", "external_event_id", "data.number_of_items"}
_LIST_OPTIONAL: Final = {"page", "per_page", "event_name"}
_ABSENT: Final = object()
_UNPARSEABLE: Final = (ValueError, ArithmeticError, RecursionError)


def _validate(
    given: Mapping[str, Any], rules: Mapping[str, Rule], optional: Collection[str] = ()
) -> None:
    """Hold every field, dotted where nested, against its rule, and refuse with all that fail."""
    errors: dict[str, tuple[str, object]] = {}
    for name, (message, holds) in rules.items():
        value = _at(given, name)
        if value is _ABSENT and name not in optional:
            errors[name] = ("is required", None)
        elif value is not _ABSENT and not holds(value):
            errors[name] = (message, value)
    if errors:
        raise _invalid(errors)


def _at(given: object, name: str) -> object:
    for part in name.split("."):
        given = given.get(part, _ABSENT) if isinstance(given, Mapping) else _ABSENT
    return given


def _invalid(errors: Mapping[str, tuple[str, object]]) -> ProblemError:
    return ProblemError(
        400,
        "Request validation failed",
        f"Request contains invalid fields: {', '.join(errors)}. See field_errors for more details.",
        field_errors={
            name: {"message": text, "value": bad} for name, (text, bad) in errors.items()
        },
    )


def _link(call: Call, page: int, last: int) -> dict[str, str]:
    """The link header, which repeats the whole question; none if one page holds everything."""
    pages = {"first": 1, "last": last, "prev": min(page - 1, last), "next": page + 1}
    links = [
        f'<{call.origin}{call.path}?{urlencode({**call.query, "page": number})}>; rel="{relation}"'
        for relation, number in pages.items()
        if 1 <= number <= last
    ]
    return {"link": ", ".join(links)} if last > 1 else {}


def _json_body(call: Call) -> Any:
    media_type = call.headers.get("content-type", "")
    if media_type.partition(";")[0].strip().lower() != "application/json":
        raise _invalid({"content-type": ("must be application/json", media_type)})
    try:
        return _parse(call.body)
    except _UNPARSEABLE:
        raise _invalid({"body": ("must be JSON", None)}) from None


def _parse(body: bytes) -> Any:
    return json.loads(body, parse_float=Decimal, parse_constant=str)


def _external_ids(body: bytes) -> list[str]:
    try:
        content = _parse(body)
    except _UNPARSEABLE:
        return []
    elements = content if isinstance(content, list) else [content]
    return [str(each.get("external_event_id")) for each in elements if isinstance(each, dict)]


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _time_text(moment: datetime) -> str:
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).removesuffix("+00:00") + "Z"


def to_json(value: object) -> str:
    """JSON in which a Decimal is a number with the very digits it has."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{to_json(k)}:{to_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value)
