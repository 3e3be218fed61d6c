"""The way to the simulated Prisjakt, in virtual time, with everything that happens to requests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

from requests import Response, Session
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ConnectTimeout, ReadTimeout
from tests.simulation.fibres import Fibre, Killed
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from prisjakt_relay.local.exchange import response_of
from prisjakt_relay.local.prisjakt_model import TOKEN_PATH, Answer, Call
from prisjakt_relay.local.prisjakt_rules import parse

if TYPE_CHECKING:
    from tests.simulation.world import World

HOST: Final = "https://prisjakt.test"
LATEST_EFFECT: Final = 240.0  # seconds after the client gave up
UNTOLD: Final = 60.0  # seconds of pause where nothing says how long
CONFLICT: Final = 409
AN_HOUR: Final = 3600.0  # which is the longest pause

_POOL: Final = HTTPConnectionPool("prisjakt.test")
_REFUSED: Final = MaxRetryError(_POOL, "/", NewConnectionError(HTTPConnection("x"), "refused"))


class Road(Session):
    """A session whose requests are function calls. What requests itself does is left out: it would
    take most of the time, and the sender's own tests go through it."""

    def __init__(self, world: World, *, counts_reads: bool = True) -> None:
        # Not calling `Session.__init__` saves two adapters that nobody uses.
        self._world = world
        self._counts_reads = counts_reads

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        data: bytes | Mapping[str, bytes] | None = None,
        headers: Mapping[str, bytes] | None = None,
        timeout: tuple[float, float] = (2.0, 8.0),
        **_rest: Any,
    ) -> Response:
        world = self._world
        path, _, query = url.removeprefix(HOST).partition("?")
        call = Call(
            method=method,
            path=path,
            query=dict(parse_qsl(query)),
            headers={name.lower(): value.decode() for name, value in (headers or {}).items()},
            body=urlencode(data).encode() if isinstance(data, Mapping) else data or b"",
        )
        exchange = Exchange(world, call, timeout, counts_reads=self._counts_reads)
        return response_of(exchange.perform())


class Exchange:
    """One request on its way."""

    def __init__(
        self, world: World, call: Call, timeout: tuple[float, float], *, counts_reads: bool
    ) -> None:
        self.world, self.call = world, call
        self.counts_reads = counts_reads
        self.connect_seconds, self.read_seconds = timeout
        self.is_token = call.path == TOKEN_PATH
        self.pixel: str = "" if self.is_token else call.path.split("/")[3]
        self.events = (
            _events(call) if call.method in ("POST", "PATCH") and not self.is_token else []
        )
        self.orders = [(self.pixel, each["external_event_id"]) for each in self.events]
        shop = world.shop_of(call, self.pixel)
        self.shop = shop.name
        self.client = world.client_of(call, shop)

    def perform(self) -> Answer:
        world, fibre = self.world, self.world.time.running
        assert fibre is not None
        self._begins(fibre)
        world.log(">>> %s %s %s", self.call.method, self.pixel[:4] or "token", self.events)
        try:
            world.spend(world.random.uniform(0.005, 0.08))
            answer = self._sent()
            world.spend(world.random.uniform(0.005, 0.08))
        except (RequestsConnectionError, ReadTimeout) as error:
            world.log("<<< %s", type(error).__name__)
            raise
        except Killed:
            world.log("<<< (nobody there to hear it)")
            raise
        finally:
            self._ends()
        world.log("<<< %s %s", answer.status, answer.headers)
        if self.events and (answer.status < 300 or answer.status == CONFLICT):
            world.note_success(self.shop, correction=self.call.method == "PATCH")
        return answer

    def _begins(self, fibre: Fibre) -> None:
        for order in self.orders:
            other = self.world.writing.get(order)
            if other is not None:
                self.world.violated(f"{other.name} and {fibre.name} write {order} at once")
            self.world.writing[order] = fibre
        self.world.note_tries(self.orders, inserts=self.call.method == "POST")

    def _ends(self) -> None:
        for order in self.orders:
            self.world.writing.pop(order, None)

    def _sent(self) -> Answer:
        world, random = self.world, self.world.random
        if self._strikes("unreachable"):
            if random.random() < 0.5:
                world.spend(self.connect_seconds)
                raise ConnectTimeout(_REFUSED)
            raise RequestsConnectionError(_REFUSED)
        if self.is_token:
            return self._token()
        world.count(self.client)
        if self.call.method != "GET":
            world.note_read(self.pixel, again=False)
        if self._strikes("slow"):
            world.spend(random.uniform(1, self.read_seconds * 0.99))
        if self._strikes("hang"):
            self._hang()
        if self._strikes("cut before"):
            raise RequestsConnectionError(ProtocolError("Connection aborted."))
        for status in ("401", "403"):
            if self._strikes(status):
                world.note_refusal(self.orders)
                return _problem(int(status))
        if self._strikes("429"):
            seconds, headers = _reset(world.time.now, random.randrange(7), random.random())
            world.note_pause(self.client, seconds)
            return Answer(429, headers)
        if self._strikes("500"):
            return _problem(random.choice((500, 502, 503, 504, 408)))
        if any(world.is_poison(order) for order in self.orders):
            return _problem(random.choice((400, 422)))
        answer = world.effect(self.call)
        if self._strikes("500 stored"):
            return _problem(random.choice((500, 502, 503, 504)))
        if self._strikes("cut after"):
            raise RequestsConnectionError(ProtocolError("Connection aborted."))
        if self.call.method == "GET" and self.counts_reads:
            world.note_read(self.pixel, again=True)
        return answer

    def _strikes(self, kind: str) -> bool:
        return self.world.troubles.strikes(kind, self.world.time.now, self.shop)

    def _token(self) -> Answer:
        if self._strikes("token hang"):
            self.world.spend(self.read_seconds)
            raise ReadTimeout
        if self._strikes("token 500"):
            return _problem(503)
        if self._strikes("token 401"):
            return Answer(401, body={"error": "invalid_client"})
        return self.world.effect(self.call)

    def _hang(self) -> None:
        """No answer in time; what was asked is done in time, late, or never."""
        world = self.world
        how = world.random.random()
        if how < 0.7:
            latest = self.read_seconds + (LATEST_EFFECT if how < 0.4 else 0.0)
            seconds = world.random.uniform(0, latest)
            poisoned = any(world.is_poison(order) for order in self.orders)
            if not poisoned:
                world.time.after(seconds, lambda: world.late_effect(self.call))
        world.spend(self.read_seconds)
        raise ReadTimeout


def _events(call: Call) -> list[dict[str, Any]]:
    content: Any = parse(call.body)
    return content if isinstance(content, list) else [content]


def _problem(status: int) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, {"title": f"trouble {status}"})


def _reset(now: datetime, how: int, share: float) -> tuple[float, dict[str, str]]:
    """What a 429 says of its end, in every way that was seen or is conceivable; and the seconds for
    which nobody should send then."""
    seconds = 1 + share * 3000
    ends = (now + timedelta(seconds=seconds)).timestamp()
    return [
        (UNTOLD, {}),
        (seconds, {"X-RateLimit-Reset": str(int(seconds * 1000))}),
        (seconds, {"X-RateLimit-Reset": str(int(ends * 1000))}),
        (seconds, {"X-RateLimit-Reset": str(int(ends))}),
        (seconds, {"Retry-After": str(int(seconds))}),
        (UNTOLD, {"X-RateLimit-Reset": "soon", "Retry-After": "-5"}),
        (AN_HOUR, {"X-RateLimit-Reset": str(10**15)}),
    ][how]
