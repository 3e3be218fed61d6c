"""The client: one method per operation; an answer is a value, or one of a few errors.

https://developer.prisjakt.nu/docs/apis/rest/click-api/click-api
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from pydantic import BaseModel
from requests import Response, Session
from requests.exceptions import InvalidHeader, RequestException

from prisjakt_relay.conversion import is_click_id, is_test_click_id
from prisjakt_relay.errors import RateLimitedError, RefusedError, SetupError
from prisjakt_relay.prisjakt.answers import (
    Created,
    Rate,
    created,
    many,
    no_answer,
    one,
    rate,
    refused,
)
from prisjakt_relay.prisjakt.auth import (
    Before,
    Credentials,
    HeaderPair,
    Limited,
    Tokens,
    nothing,
)
from prisjakt_relay.prisjakt.intervals import (
    Totals,
    bounds,
    interval,
    parts,
    whole_days,
)
from prisjakt_relay.prisjakt.models import (
    Click,
    Client,
    Conversion,
    Event,
    Pixel,
    PurchaseSummary,
    Shop,
)
from prisjakt_relay.transport import (
    CONNECT_SECONDS,
    READ_SECONDS,
    exchange,
    read_short,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from prisjakt_relay.prisjakt.models import PurchaseEvent

BASE_URL: Final = "https://api.pj.nu/click-conversion"
FORMER_BASE_URL: Final = "https://api.schibsted.com/prisjakt/click"

BATCH_LIMIT: Final = 100

_ROLES: Final = frozenset({"event_publisher", "shop_user"})
_SHOP_LIMIT: Final = 999_999

M = TypeVar("M", bound=BaseModel)


class PrisjaktClient:
    """Requests to one base address. Follows no redirects, repeats nothing but a 401, verifies TLS.

    Every method raises a `PrisjaktError` for what is no success, a `ValueError` for an argument
    that cannot be sent, and a `SetupError` where credentials are needed and none are given.
    """

    def __init__(
        self,
        base_url: str,
        session: Session,
        *,
        clock: Callable[[], datetime],
        tokens: Tokens | None = None,
        credentials: Credentials | None = None,
        before: Before = nothing,
        timeout: tuple[float, float] = (CONNECT_SECONDS, READ_SECONDS),
    ) -> None:
        self.rate: Rate | None = None
        self._base_url = base_url.rstrip("/")
        self._session = session
        self._clock = clock
        self._tokens = tokens
        self._credentials = credentials
        self._before = before
        self._limited: Limited | None = None
        self._timeout = timeout

    def using(
        self,
        credentials: Credentials | None,
        before: Before = nothing,
        limited: Limited | None = None,
    ) -> PrisjaktClient:
        """The same client with other credentials: connections and tokens are shared."""
        other = copy.copy(self)
        other.rate, other._credentials, other._before = None, credentials, before
        other._limited = limited
        return other

    def create_event(self, pixel_id: str, event: PurchaseEvent) -> None:
        """POST one event: returns if Prisjakt stored it.

        Needs no credentials, and never waits for a token; a header pair is sent along.
        """
        pair = self._credentials if isinstance(self._credentials, HeaderPair) else None
        path = f"/pixels/{_uuid('pixel_id', pixel_id)}/events"
        read_short(self._ask("POST", path, pair.headers() if pair else {}, event.to_json()))

    def create_or_update_events(self, pixel_id: str, events: Sequence[PurchaseEvent]) -> None:
        """PATCH 1 to 100 events: one with a known external id takes the place of the stored one."""
        if not 1 <= len(events) <= BATCH_LIMIT:
            raise ValueError(f"events: expected 1 to {BATCH_LIMIT}, got {len(events)}")
        body = b"[" + b",".join(event.to_json() for event in events) + b"]"
        read_short(
            self._authorised("PATCH", f"/pixels/{_uuid('pixel_id', pixel_id)}/events", body=body)
        )

    def events(
        self, pixel_id: str, start: datetime, end: datetime, *, event_name: str | None = None
    ) -> Iterator[Event]:
        """All events of an interval of any length, newest first, each once."""
        path = f"/pixels/{_uuid('pixel_id', pixel_id)}/events"
        query = {} if event_name is None else {"event_name": event_name}
        pages = self._pages(Event, path, parts(*interval(start, end)), query)
        return _unique(pages, lambda event: event.id)

    def conversions(self, pixel_id: str, start: datetime, end: datetime) -> Iterator[Conversion]:
        """All purchases of an interval with the clicks that led to them, in the order answered."""
        path = f"/pixels/{_uuid('pixel_id', pixel_id)}/conversions"
        pages = self._pages(Conversion, path, parts(*interval(start, end)), {})
        return _unique(pages, lambda each: (each.purchase.id, each.purchase.timestamp))

    def purchase_summary(self, pixel_id: str, start: datetime, end: datetime) -> PurchaseSummary:
        """Numbers and sums of an interval of any length, per day of Stockholm and in total."""
        path = f"/pixels/{_uuid('pixel_id', pixel_id)}/purchase-summary"
        totals = Totals()
        for part in whole_days(*interval(start, end)):
            response = self._authorised("GET", path, query=bounds(*part))
            totals.add(one(PurchaseSummary, response), part[0])
        return totals.summary()

    def event(self, event_id: str) -> Event:
        return self._get(Event, f"/events/{_uuid('event_id', event_id)}")

    def click(self, click_id: str) -> Click:
        """The click behind a click id, signed or not."""
        if not is_click_id(click_id):
            raise ValueError("click_id: expected a UUID, with or without its signature")
        return self._get(Click, f"/clicks/{click_id.partition('_')[0]}")

    def pixel(self, pixel_id: str) -> Pixel:
        return self._get(Pixel, f"/pixels/{_uuid('pixel_id', pixel_id)}")

    def update_pixel(self, pixel_id: str, *, enabled: bool) -> None:
        body = json.dumps({"enabled": enabled}).encode()
        read_short(self._authorised("PATCH", f"/pixels/{_uuid('pixel_id', pixel_id)}", body=body))

    def client(self, client_id: str) -> Client:
        if client_id in ("", ".", ".."):
            raise ValueError("client_id: expected the id of a client")
        return self._get(Client, f"/clients/{quote(client_id, safe='', errors='replace')}")

    def create_client(self, shop_id: int, roles: Collection[str]) -> Created:
        """A new client of a shop; only an `admin` may ask for it."""
        if not roles or not _ROLES.issuperset(roles):
            raise ValueError(f"roles: expected some of {', '.join(sorted(_ROLES))}")
        body = json.dumps({"roles": sorted(roles)}).encode()
        return created(self._authorised("POST", f"/shops/{_shop(shop_id)}/clients", body=body))

    def create_pixel(self, shop_id: int) -> Created:
        return created(self._authorised("POST", f"/shops/{_shop(shop_id)}/pixels"))

    def pixels(self, shop_id: int) -> list[Pixel]:
        return many(Pixel, self._authorised("GET", f"/shops/{_shop(shop_id)}/pixels"))

    def shop(self, shop_id: int) -> Shop:
        return self._get(Shop, f"/shops/{_shop(shop_id)}")

    def _get(self, model: type[M], path: str) -> M:
        return one(model, self._authorised("GET", path))

    def _pages(
        self,
        model: type[M],
        path: str,
        intervals: Iterator[tuple[datetime, datetime]],
        query: Mapping[str, str],
    ) -> Iterator[M]:
        """Follow the links to each next page, by their query alone: the host is ours to say."""
        for part in intervals:
            asked: list[dict[str, str]] = []
            wanted = {**bounds(*part), **query}
            while wanted not in asked:
                asked.append(wanted)
                response = self._authorised("GET", path, query=wanted)
                elements = many(model, response)
                yield from elements
                link = response.links.get("next")
                if link is None or not elements:
                    break
                wanted = wanted | dict(parse_qsl(link["url"].partition("?")[2].partition("#")[0]))

    def _authorised(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """Ask with credentials; a token that is refused is renewed once."""
        if query:
            path += f"?{urlencode(query)}"
        credentials, tokens = self._credentials, self._tokens
        if credentials is None:
            raise SetupError(
                "Prisjakt wants credentials for this: give the client an OAuth or a HeaderPair "
                "with the id and secret from Business Center, Integrations."
            )
        if isinstance(credentials, HeaderPair):
            return self._ask(method, path, credentials.headers(), body)
        if tokens is None:
            raise SetupError("OAuth credentials need tokens: give the client a Tokens.")
        token = tokens.get(credentials, self._before)
        try:
            return self._ask(method, path, _bearer(token), body)
        except RefusedError as error:
            if error.problem.status != 401:
                raise
        tokens.forget(credentials, token)
        token = tokens.get(credentials, self._before)
        return self._ask(method, path, _bearer(token), body)

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        """One request; the answer's body is still to be read if it is a success."""
        self._before(True)
        content = {} if body is None else {"content-type": "application/json"}
        try:
            response = exchange(
                self._session,
                method,
                self._base_url + path,
                data=body,
                headers={"accept": "application/json", **content, **headers},
                timeout=self._timeout,
            )
        except InvalidHeader as error:
            raise no_answer(error) from None  # its text shows the header
        except RequestException as error:
            raise no_answer(error) from error
        now = self._clock()
        self.rate = rate(response.headers, now) or self.rate
        refusal = refused(response, now)
        if isinstance(refusal, RateLimitedError) and self._limited is not None:
            self._limited(refusal.wait)
        if refusal is not None:
            raise refusal
        return response


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _uuid(name: str, value: str) -> str:
    if not is_test_click_id(value):
        raise ValueError(f"{name}: expected a UUID")
    return value


def _shop(shop_id: int) -> int:
    if type(shop_id) is not int or not 1 <= shop_id <= _SHOP_LIMIT:
        raise ValueError(f"shop_id: expected a number from 1 to {_SHOP_LIMIT}")
    return shop_id


def _unique(elements: Iterator[M], key: Callable[[M], object]) -> Iterator[M]:
    seen: set[object] = set()
    for element in elements:
        if (identity := key(element)) not in seen:
            seen.add(identity)
            yield element
