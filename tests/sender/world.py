"""The sender's surroundings without a network: clock, table, queue, and Prisjakt in this process.

Every call to the outside passes one gate, `Outside`, which counts it and can spoil it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl

from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ReadTimeout
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import StorageError, UnknownShopError
from prisjakt_relay.ledger import LATE, Condition, Ledger, Record, from_item
from prisjakt_relay.local.exchange import response_of
from prisjakt_relay.local.prisjakt_model import Answer, Call, Event, PrisjaktModel
from prisjakt_relay.platforms import EXCLUDED_SOURCES
from prisjakt_relay.prisjakt.auth import Tokens
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.queues import ConversionQueue, Message
from prisjakt_relay.rate_limit import RateLimit
from prisjakt_relay.sender.reporting import report
from prisjakt_relay.sender.sending import Ports
from prisjakt_relay.shop import Shops

START = datetime(2026, 11, 21, tzinfo=UTC)
VISIBILITY = timedelta(seconds=360)
FUNCTION_SECONDS = 60.0

CLICK_ID = "239cd31f-9d43-4cb4-b8dc-2057fe18c289_1b05fa7f1c34d125"
BARE_CLICK_ID = "239cd31f-9d43-4cb4-b8dc-2057fe18c289"
TOKEN_URL = "https://prisjakt.test/oauth2/token"
CREDENTIALS = {"prisjakt_client_id": "shop-1", "prisjakt_client_secret": "hush-hush-too"}
PIXELS = {
    "alfa": "36746cdf-cf62-4dff-bc5b-fb2df41ecb4d",
    "beta": "717d5a6d-ccc5-4c29-808c-9eda931d42ca",
}


def conversion(**changes: Any) -> Conversion:
    """A purchase of the shop `alfa`, half an hour old; the reference follows the order id."""
    fields: dict[str, Any] = {
        "platform": "shopify",
        "shop": "alfa",
        "order_id": "1001",
        "event_name": "purchase",
        "event_time": START - timedelta(minutes=30),
        "amount": Decimal("996.50"),
        "currency": "SEK",
        "number_of_items": 3,
        "click_id": CLICK_ID,
        "void": False,
        "revision": 1_795_218_564_000,
        "received_at": START - timedelta(minutes=29),
        **changes,
    }
    return Conversion(**{"order_reference": fields["order_id"], **fields})


class Killed(BaseException):
    """The function ends here, whatever it was doing."""


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Trouble:
    """Raises `error` at calls number `first` to `last`, before or after they had their effect."""

    error: BaseException
    first: int
    last: int
    after: bool = False
    kinds: Collection[str] = ("get", "put", "update", "post", "queue")
    seen: int = 0

    def strikes(self, kind: str) -> bool:
        self.seen += kind in self.kinds
        return kind in self.kinds and self.first <= self.seen <= self.last


class Outside:
    """The gate to everything that is not the sender's own code."""

    def __init__(self, clock: Clock) -> None:
        self.calls: list[str] = []
        self.trouble: Trouble | None = None
        self.seconds: dict[str, float] = {}
        self._clock = clock

    @contextmanager
    def call(self, kind: str) -> Iterator[None]:
        self.calls.append(kind)
        self._clock.advance(self.seconds.get(kind, 0.0))
        trouble = self.trouble if self.trouble and self.trouble.strikes(kind) else None
        if trouble and not trouble.after:
            raise trouble.error
        yield
        if trouble:
            raise trouble.error


class MemoryStore:
    """The table: one version condition, under a lock."""

    def __init__(self, outside: Outside | None = None) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self._outside = outside or Outside(Clock())
        self._lock = Lock()

    def get(self, item_key: str) -> Mapping[str, Any] | None:
        with self._outside.call("get"), self._lock:
            return deepcopy(self.items.get(item_key))

    def put(self, item: Mapping[str, Any], *, previous: int | None) -> bool:
        with self._outside.call("put"), self._lock:
            current = self.items.get(item["id"])
            if (current and current["version"]) != previous:
                return False
            self.items[item["id"]] = deepcopy(dict(item))
            return True

    def update(
        self,
        item_key: str,
        values: Mapping[str, str | int],
        *,
        add: Mapping[str, int],
        only_if: Sequence[Condition],
    ) -> tuple[bool, Mapping[str, Any]]:
        with self._outside.call("update"), self._lock:
            item = self.items.get(item_key, {"id": item_key})
            done, after = updated(item, values, add, only_if)
            if done:
                self.items[item_key] = after
            return done, after

    def listed(self, index: str, value: str, received_until: str) -> Iterator[str]:
        """What is erased under way stays listed for now, as in the table."""
        with self._outside.call("query"), self._lock:
            name = {"orders-by-day": "shop_day", "dead-orders": "dead_shop"}[index]
            found = [
                key
                for key, item in self.items.items()
                if item.get(name) == value and item["received_at"] <= received_until
            ]
        yield from found

    def records(self) -> list[Record]:
        return [from_item(item) for name, item in self.items.items() if name.startswith("order#")]


def updated(
    item: dict[str, Any],
    values: Mapping[str, str | int],
    add: Mapping[str, int],
    only_if: Sequence[Condition],
) -> tuple[bool, dict[str, Any]]:
    """What `Store.update` makes of an item, and whether it does."""
    if not all(_holds(item.get(name), how, value) for name, how, value in only_if):
        return False, item
    return True, item | dict(values) | {name: item[name] + by for name, by in add.items()}


def _holds(there: Any, comparison: str, value: str | int) -> bool:
    if there is None:
        return comparison != ">="
    return bool({"<": there < value, "<=": there <= value, ">=": there >= value}[comparison])


class Transport(BaseAdapter):
    """Carries requests to the simulated Prisjakt by a function call; hangs take virtual time."""

    def __init__(self, model: PrisjaktModel, clock: Clock, outside: Outside) -> None:
        super().__init__()
        self.requests: list[PreparedRequest] = []
        self.refusing = False
        self._model = model
        self._clock = clock
        self._outside = outside

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        del stream, verify, cert, proxies
        self.requests.append(request)
        with self._outside.call("post"):
            if self.refusing:
                raise _refused(request)
            answer = self._model.answer(_call(request))
        _, read_seconds = timeout
        self._clock.advance(min(answer.hang, read_seconds))
        if answer.hang > read_seconds:
            raise ReadTimeout(request=request)
        if answer.cut:
            raise RequestsConnectionError(ProtocolError("Connection aborted."), request=request)
        return _response(request, answer)

    def close(self) -> None:
        pass


def _refused(request: PreparedRequest) -> RequestsConnectionError:
    host = "prisjakt.test"
    reason = NewConnectionError(HTTPConnection(host), "refused")
    error = MaxRetryError(HTTPConnectionPool(host), request.path_url, reason)
    return RequestsConnectionError(error, request=request)


def _call(request: PreparedRequest) -> Call:
    headers: Mapping[str, str | bytes] = request.headers
    path, _, query = request.path_url.partition("?")
    return Call(
        method=str(request.method),
        path=path,
        query=dict(parse_qsl(query)),
        headers={
            name.lower(): value.decode() if isinstance(value, bytes) else value
            for name, value in headers.items()
        },
        body=request.body.encode() if isinstance(request.body, str) else request.body or b"",
    )


def _response(request: PreparedRequest, answer: Answer) -> Response:
    response = response_of(answer)
    response.request = request
    response.url = str(request.url)
    return response


@dataclass
class Waiting:
    """A message on the queue, and when it can be received next."""

    message: Message
    visible_at: datetime


class Queue(ConversionQueue):
    """The queue and its dead letters; fails where the real one lets failures pass in silence."""

    def __init__(self, clock: Clock, outside: Outside) -> None:
        self.waiting: dict[str, Waiting] = {}
        self.postponed: list[float] = []
        self.renewed: list[tuple[str, float]] = []
        self.set_aside_bodies: list[str] = []
        self.broken = False
        self._clock = clock
        self._outside = outside
        self._ids = count(1)

    def add(self, body: str, *, after: float = 0.0, receives: int = 0) -> str:
        message = Message(
            id=f"message-{next(self._ids)}",
            receipt="receipt",
            body=body,
            receives=receives,
            sent_at=self._clock(),
        )
        self.waiting[message.id] = Waiting(message, self._clock() + timedelta(seconds=after))
        return message.id

    def receive(self, most: int) -> list[Message]:
        now = self._clock()
        visible = [one for one in self.waiting.values() if one.visible_at <= now][:most]
        for one in visible:
            one.message = replace(one.message, receives=one.message.receives + 1)
            one.visible_at = now + VISIBILITY
        return [one.message for one in visible]

    def postpone(self, message: Message, seconds: float) -> None:
        with suppress(StorageError), self._call():
            self.postponed.append(seconds)
            if message.id in self.waiting:
                later = self._clock() + timedelta(seconds=max(1.0, seconds))
                self.waiting[message.id].visible_at = later

    def renew(self, message: Message, group: str, seconds: float) -> bool:
        try:
            with self._call():
                self.add(message.body, after=min(seconds, 900.0))
                self.renewed.append((group, seconds))
        except StorageError:
            return False
        return True

    def set_aside(self, message: Message) -> bool:
        try:
            with self._call():
                self.set_aside_bodies.append(message.body)
        except StorageError:
            return False
        return True

    @contextmanager
    def _call(self) -> Iterator[None]:
        with self._outside.call("queue"):
            if self.broken:
                raise StorageError("the queue is broken")
            yield


@dataclass
class Line:
    """One line of the log."""

    event: str
    age: float | None
    fields: dict[str, Any] = field(default_factory=dict)


class World:
    """One sender with everything around it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.outside = Outside(self.clock)
        self.store = MemoryStore(self.outside)
        self.ledger = Ledger(self.store)
        self.queue = Queue(self.clock, self.outside)
        ids = count(1)
        self.model = PrisjaktModel(clock=self.clock, new_id=lambda: f"event-{next(ids)}")
        self.transport = Transport(self.model, self.clock, self.outside)
        self.documents: dict[str, dict[str, Any]] = {
            shop: {"platform": "shopify", "pixel_id": pixel, "signing_secrets": ["hush-hush"]}
            for shop, pixel in PIXELS.items()
        }
        self.secrets_away = False
        self.allowance = 10_000
        self.random = 0.5
        self.lines: list[Line] = []
        self._tokens = count(1)
        self.ports = self.process()

    def process(self, *, scale: float = 1.0) -> Ports:
        """A freshly started sender: nothing is cached."""
        session = Session()
        session.trust_env = False
        session.mount("https://", self.transport)
        return Ports(
            shops=Shops(
                self._document,
                clock=self.clock,
                alarm=self._alarm,
                scale=scale,
                unknown_reads=timedelta(0),
                platforms=EXCLUDED_SOURCES,  # the reconciler's worlds read through this, too
            ),
            ledger=Ledger(self.store, late=LATE * scale),
            rate_limit=RateLimit(self.store, self.allowance, scale=scale),
            prisjakt=PrisjaktClient(
                "https://prisjakt.test/click-conversion",
                session,
                clock=self.clock,
                tokens=Tokens(TOKEN_URL, session, clock=self.clock),
            ),
            queue=self.queue,
            clock=self.clock,
            random=lambda: self.random,
            new_token=lambda: f"token-{next(self._tokens)}",
            emit=self._emit,
            scale=scale,
        )

    def _document(self, name: str, deadline: datetime) -> str:
        del deadline
        if self.secrets_away:
            raise StorageError("GetSecretValue: nobody there")
        if name not in self.documents:
            raise UnknownShopError
        return json.dumps(self.documents[name])

    def _emit(self, event: str, *, age: float | None = None, **fields: Any) -> None:
        self.lines.append(Line(event, age, fields))

    def _alarm(self, trouble: str, shop: str, **details: Any) -> None:
        self._emit(trouble, shop=shop, **details)

    def add(self, *conversions: Conversion, receives: int = 0) -> list[str]:
        """Put conversions on the queue; returns the ids of their messages."""
        return [self.queue.add(one.to_message(), receives=receives) for one in conversions]

    def round(self, *, most: int = 10, seconds: float = FUNCTION_SECONDS) -> list[str]:
        """One invocation with what is visible; what it settles is deleted. Returns the rest."""
        messages = self.queue.receive(most)
        deadline = self.clock() + timedelta(seconds=seconds)
        try:
            unsettled = report(messages, self.ports, deadline)
        except Killed:
            self.ports = self.process()
            return [message.id for message in messages]
        for message in messages:
            if message.id not in unsettled:
                del self.queue.waiting[message.id]
        return unsettled

    def run(self, *, rounds: int = 200, most: int = 10) -> None:
        """Go on, from one visible message to the next, until the queue is empty."""
        for _ in range(rounds):
            if not self.queue.waiting:
                return
            next_at = min(one.visible_at for one in self.queue.waiting.values())
            self.clock.now = max(self.clock.now, next_at)
            self.round(most=most)
        left = [one.message.body for one in self.queue.waiting.values()]
        raise AssertionError(f"not settled after {rounds} rounds: {left}")

    def record(self, order_id: str = "1001", shop: str = "alfa") -> Record:
        (found,) = [
            one for one in self.store.records() if (one.order_id, one.shop) == (order_id, shop)
        ]
        return found

    def events(self, reference: str = "1001") -> list[Event]:
        """What the simulated Prisjakt holds under an external id."""
        return [e for e in self.model.events.values() if e.external_event_id == reference]

    def outcomes(self, order_id: str = "1001") -> list[str]:
        """The first word of each line about an order."""
        return [line.event for line in self.lines if line.fields.get("order_id") == order_id]
