"""The simulated Prisjakt Click & Conversion API: the rules of developer.prisjakt.nu, without I/O.

It restates those rules and imports none of the relay's, so that the two can disagree. What the
pages leave open is decided against the sender, and said where it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from functools import reduce
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from prisjakt_relay.local.exchange import Answer, Call, to_json
from prisjakt_relay.local.prisjakt_exchange import Fault, ProblemError
from prisjakt_relay.local.prisjakt_records import Click, Event, Shop
from prisjakt_relay.local.prisjakt_rules import (
    BATCH_RULES,
    CLIENT_RULES,
    EVENT_OPTIONAL,
    INTERVAL_RULES,
    LIST_OPTIONAL,
    LIST_RULES,
    PAGE_RULES,
    PIXEL_ID_RULES,
    PIXEL_RULES,
    SHOP_ID_RULES,
    UNPARSEABLE,
    Errors,
    check,
    event_rules,
    instant,
    invalid,
    json_body,
    json_object,
    parse,
    validate,
)

__all__ = [
    "BASE_PATH",
    "DUPLICATE_WINDOW",
    "LARGEST_BATCH",
    "OPERATIONS",
    "TOKEN_PATH",
    "Answer",
    "Call",
    "Click",
    "Event",
    "Fault",
    "Operation",
    "PrisjaktModel",
    "ProblemError",
    "Shop",
    "route",
    "to_json",
]

BASE_PATH: Final = "/click-conversion"
TOKEN_PATH: Final = "/oauth2/token"  # noqa: S105

DUPLICATE_WINDOW: Final = timedelta(days=30)
LONGEST_INTERVAL: Final = timedelta(days=60)
RATE_WINDOW: Final = timedelta(hours=1)
TOKEN_LIFETIME: Final = timedelta(seconds=86_399)
LARGEST_BATCH: Final = 1000  # no size is stated

_ANY_CLIENT: Final = ""  # instead of a role: none is stated
_USUAL_ROLES: Final = frozenset({"shop_user"})
_TIME_ZONE: Final = "Europe/Stockholm"  # as in the only sample
_LAST_DAY: Final = datetime(9999, 12, 31, tzinfo=UTC)
_EXACT: Final = Context(prec=1000)


class PrisjaktModel:
    """The state of the simulated API; not safe for threads, which is the shell's affair.

    `clients` maps client ids to secrets; without it any pair of id and secret is taken. A client
    that `roles` does not name is a `shop_user`. With `any_pixel` pixels and shops nobody made
    spring up at first use. An event is shown and replaced for as long as it is `kept`; `events`
    has it for ever, and the duplicate rule remembers it.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        any_pixel: bool = True,
        pixels: Iterable[str] = (),
        shops: Mapping[int, Shop] | None = None,
        clients: Mapping[str, str] | None = None,
        roles: Mapping[str, Collection[str]] | None = None,
        hourly_limit: int = 10_000,
        token_lifetime: timedelta = TOKEN_LIFETIME,
        kept: timedelta | None = None,
    ) -> None:
        self.clock = clock
        self.new_id = new_id
        self.any_pixel = any_pixel
        self.pixels = {pixel_id.lower() for pixel_id in pixels}
        self.disabled_pixels: set[str] = set()
        self.shops = dict(shops or {})
        for shop in self.shops.values():
            self.pixels.update(pixel_id.lower() for pixel_id in shop.pixels)
        self.clients = clients
        self.roles = roles
        self.hourly_limit = hourly_limit
        self.token_lifetime = token_lifetime
        self.kept = kept
        self.events: dict[str, Event] = {}
        self.clicks: dict[str, Click] = {}
        self.faults: list[Fault] = []
        self._clicks_of_events: dict[str, Click] = {}
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
            found = route(call)
            if found is None:
                raise ProblemError(404, "Not found", f"There is no {call.method} {call.path}")
            operation, ids = found
            fault = self._take_fault(operation, call, ids)
            if (told := fault.instead()) is not None:
                headers.clear()  # a fault says all there is to say
            answer = told or self._perform(operation, call, ids)
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
        """Drop every event, and with it every duplicate to come and the clicks it told of."""
        self.events.clear()
        self._latest.clear()
        self._clicks_of_events.clear()

    def expire_tokens(self) -> None:
        """Refuse every token issued so far from now on."""
        self._tokens.clear()

    def _count(self, call: Call, headers: dict[str, str]) -> None:
        """Count the call against its client, else (the pages are silent) its pixel's address.

        The window starts with the first call. Its reset is told as the milliseconds that remain:
        the text calls it a point in time, the only sample is a duration.
        """
        key = call.headers.get("client-id") or self.client_of(call) or call.path.lower()
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

    def client_of(self, call: Call) -> str | None:
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

    def _perform(self, operation: Operation, call: Call, ids: Mapping[str, str]) -> Answer:
        if operation.role is not None:
            self._require_client(call, operation.role)
        return operation.perform(self, call, ids)

    def _require_client(self, call: Call, role: str) -> None:
        client_id = self.client_of(call)
        if client_id is None:
            raise ProblemError(401, "Unauthorized", "Valid client credentials are required")
        if role != _ANY_CLIENT and role not in self._roles_of(client_id):
            raise ProblemError(403, "Forbidden", f"The client ID must have the {role} role")

    def _roles_of(self, client_id: str) -> Collection[str]:
        return _USUAL_ROLES if self.roles is None else self.roles.get(client_id, _USUAL_ROLES)

    def _pixel(self, ids: Mapping[str, str]) -> str:
        """The id in the path, if there is such a pixel."""
        pixel_id = ids["pixel_id"]
        validate(ids, PIXEL_ID_RULES)
        if self.any_pixel:
            self.pixels.add(pixel_id)
        if pixel_id not in self.pixels:
            raise _not_found("pixel", pixel_id)
        return pixel_id

    def _enabled_pixel(self, ids: Mapping[str, str]) -> str:
        """What a disabled pixel does with events is open: here it takes none."""
        pixel_id = self._pixel(ids)
        if pixel_id in self.disabled_pixels:
            raise ProblemError(403, "Forbidden", f"The pixel with ID {pixel_id} is disabled")
        return pixel_id

    def _shop(self, ids: Mapping[str, str]) -> tuple[int, Shop]:
        """The id in the path and the shop that has it; a malformed one is a wrong field."""
        validate(ids, SHOP_ID_RULES)
        shop_id = int(ids["shop_id"])
        if self.any_pixel:
            self.shops.setdefault(shop_id, Shop())
        if shop_id not in self.shops:
            raise _not_found("shop", shop_id)
        return shop_id, self.shops[shop_id]

    def _create_event(self, call: Call, ids: Mapping[str, str]) -> Answer:
        pixel_id = self._enabled_pixel(ids)
        body = json_object(call)
        validate(body, event_rules(body), EVENT_OPTIONAL)
        event = self._event(pixel_id, body)
        self._refuse_duplicate(event)
        self._store(event)
        return Answer(201)

    def _create_events(self, call: Call, ids: Mapping[str, str]) -> Answer:
        """Open is what one bad element does to the others: here nothing is stored."""
        pixel_id = self._enabled_pixel(ids)
        body = json_body(call)
        if not (isinstance(body, list) and body):
            raise invalid({"body": ("must be an array of at least one event", body)})
        if len(body) > LARGEST_BATCH:
            raise ProblemError(413, "Content Too Large", f"At most {LARGEST_BATCH} events at once")
        errors: Errors = {}
        for index, element in enumerate(body):
            if isinstance(element, dict):
                errors |= check(element, BATCH_RULES, EVENT_OPTIONAL, f"[{index}].")
            else:
                errors[f"[{index}]"] = ("must be an object", element)
        if errors:
            raise invalid(errors)
        for element in body:
            self._upsert(self._event(pixel_id, element))
        return Answer(204)

    def _event(self, pixel_id: str, body: Mapping[str, Any]) -> Event:
        data, now = body["data"], self.clock()
        return Event(
            id=self.new_id(),
            pixel_id=pixel_id,
            signed_click_id=body["signed_click_id"],
            external_event_id=body.get("external_event_id"),
            event_name=body["event_name"],
            event_time=instant(body["event_time"]) if "event_time" in body else now,
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

    def _upsert(self, event: Event) -> None:
        """Which fields an update replaces is open: here all, so what is left out is lost.

        Receipt stays the first one, for the duplicate rule and for how long the event is kept.
        """
        earlier = self._latest.get((event.pixel_id, event.external_event_id))
        if earlier and self._is_kept(earlier):
            event = replace(event, id=earlier.id, received_at=earlier.received_at)
        self._store(event)

    def _store(self, event: Event) -> None:
        self.events[event.id] = event
        if event.external_event_id is not None:
            self._latest[event.pixel_id, event.external_event_id] = event
        click_id = event.click_id.lower()
        if click_id not in self._clicks_of_events:
            # When the visitor came is not known; not after the event, at least.
            click = Click(id=click_id, forwarded_at=event.event_time)
            self._clicks_of_events[click_id] = click

    def _is_kept(self, event: Event) -> bool:
        return self.kept is None or self.clock() - event.received_at < self.kept

    def _get_events(self, call: Call, ids: Mapping[str, str]) -> Answer:
        pixel_id = self._pixel(ids)
        validate(call.query, LIST_RULES, LIST_OPTIONAL)
        found = self._events_between(call, pixel_id, call.query.get("event_name"))
        return _page(call, found, Event.element)

    def _events_between(self, call: Call, pixel_id: str, name: str | None) -> list[Event]:
        """The events of the interval asked for, newest first."""
        start, end = instant(call.query["from"]), instant(call.query["to"])
        if not timedelta(0) <= end - start <= LONGEST_INTERVAL:
            message = "must not be before from, nor more than 60 days after it"
            raise invalid({"to": (message, call.query["to"])})
        found = [
            event
            for event in reversed(self.events.values())
            if event.pixel_id == pixel_id
            and start <= event.event_time <= end
            and name in (None, event.event_name)
            and self._is_kept(event)
        ]
        found.sort(key=lambda event: event.event_time, reverse=True)
        return found

    def _get_event(self, _: Call, ids: Mapping[str, str]) -> Answer:
        event = self.events.get(ids["event_id"])
        if event is None or not self._is_kept(event):
            raise _not_found("event", ids["event_id"])
        return Answer(200, body=event.element())

    def _get_pixel(self, _: Call, ids: Mapping[str, str]) -> Answer:
        return Answer(200, body=self._pixel_element(self._pixel(ids)))

    def _pixel_element(self, pixel_id: str) -> dict[str, object]:
        return {"id": pixel_id, "enabled": pixel_id not in self.disabled_pixels}

    def _update_pixel(self, call: Call, ids: Mapping[str, str]) -> Answer:
        pixel_id, body = self._pixel(ids), json_object(call)
        validate(body, PIXEL_RULES, PIXEL_RULES)
        if "enabled" in body:
            change = self.disabled_pixels.discard if body["enabled"] else self.disabled_pixels.add
            change(pixel_id)
        return Answer(204)

    def _get_purchase_summary(self, call: Call, ids: Mapping[str, str]) -> Answer:
        """Purchases only, since it speaks of those; by date, then by currency."""
        pixel_id = self._pixel(ids)
        validate(call.query, INTERVAL_RULES)
        per_day: dict[tuple[str, str], list[Decimal]] = {}
        summaries: dict[str, list[Decimal]] = {}
        zone = ZoneInfo(_TIME_ZONE)
        for event in self._events_between(call, pixel_id, "purchase"):
            day = min(event.event_time, _LAST_DAY).astimezone(zone).date().isoformat()
            per_day.setdefault((day, event.currency), []).append(event.amount)
            summaries.setdefault(event.currency, []).append(event.amount)
        body = {
            "per_day": [
                {
                    **_total(amounts),
                    "time_zone": _TIME_ZONE,
                    "date": day,
                    "currency": currency,
                }
                for (day, currency), amounts in sorted(per_day.items())
            ],
            "summaries": [
                {**_total(amounts), "currency": currency}
                for currency, amounts in sorted(summaries.items())
            ],
        }
        return Answer(200, body=body)

    def _get_conversions(self, call: Call, ids: Mapping[str, str]) -> Answer:
        """No longest interval is stated here: it is taken to be that of the events."""
        pixel_id = self._pixel(ids)
        validate(call.query, PAGE_RULES, LIST_OPTIONAL)
        found = self._events_between(call, pixel_id, "purchase")
        return _page(call, found, self._conversion)

    def _conversion(self, event: Event) -> dict[str, object]:
        click = self._click(event.click_id.lower())
        return {"purchase": event.purchase(), "forwarding": click.forwarding()}

    def _get_click(self, _: Call, ids: Mapping[str, str]) -> Answer:
        return Answer(200, body=self._click(ids["click_id"]).element())

    def _click(self, click_id: str) -> Click:
        click = self.clicks.get(click_id) or self._clicks_of_events.get(click_id)
        if click is None:
            raise _not_found("click", click_id)
        return click

    def _get_client(self, _: Call, ids: Mapping[str, str]) -> Answer:
        client_id = ids["client_id"]
        if self.clients is not None and client_id not in self.clients:
            raise _not_found("client", client_id)
        return Answer(200, body={"id": client_id, "roles": sorted(self._roles_of(client_id))})

    def _create_shop_client(self, call: Call, ids: Mapping[str, str]) -> Answer:
        """Which clients conflict is open: here those with equal roles. The secret is not told."""
        shop_id, shop = self._shop(ids)
        body = json_object(call)
        validate(body, CLIENT_RULES)
        roles = frozenset(body["roles"])
        if any(roles == frozenset(self._roles_of(client_id)) for client_id in shop.clients):
            raise ProblemError(409, "Client already exists", "The shop has a client of these roles")
        client_id = self.new_id()
        self.roles = {**(self.roles or {}), client_id: roles}
        if self.clients is not None:
            self.clients = {**self.clients, client_id: self.new_id()}
        self.shops[shop_id] = replace(shop, clients=(*shop.clients, client_id))
        return Answer(201, body={"id": client_id, "roles": sorted(roles)})

    def _create_shop_pixel(self, _: Call, ids: Mapping[str, str]) -> Answer:
        """What conflicts is open: here a shop has one pixel."""
        shop_id, shop = self._shop(ids)
        if shop.pixels:
            raise ProblemError(409, "Pixel already exists", f"Shop {shop_id} has a pixel")
        pixel_id = self.new_id().lower()
        self.pixels.add(pixel_id)
        self.shops[shop_id] = replace(shop, pixels=(pixel_id,))
        return Answer(201, body=self._pixel_element(pixel_id))

    def _get_shop_pixels(self, _: Call, ids: Mapping[str, str]) -> Answer:
        shop = self._shop(ids)[1]
        pixels = [self._pixel_element(pixel_id.lower()) for pixel_id in shop.pixels]
        return Answer(200, body=pixels)

    def _get_shop(self, _: Call, ids: Mapping[str, str]) -> Answer:
        shop_id, shop = self._shop(ids)
        body = {
            "id": shop_id,
            "clients": [{"id": client_id} for client_id in shop.clients],
            "pixels": [{"id": pixel_id.lower()} for pixel_id in shop.pixels],
        }
        return Answer(200, body=body)

    def _issue_token(self, call: Call, _: Mapping[str, str]) -> Answer:
        """RFC 6749, section 4.4; the token is opaque here, where the real one is a JWT."""
        form = dict(parse_qsl(call.body.decode("latin-1")))
        client_id = form.get("client_id", "")
        if form.get("grant_type") != "client_credentials":
            return Answer(400, body={"error": "unsupported_grant_type"})
        if not self._knows(client_id, form.get("client_secret", "")):
            return Answer(401, body={"error": "invalid_client"})
        token, lifetime = self.new_id(), int(self.token_lifetime.total_seconds())
        self._tokens[token] = client_id, self.clock() + self.token_lifetime
        body = {"access_token": token, "expires_in": lifetime, "scope": "", "token_type": "bearer"}
        return Answer(200, {"Cache-Control": "no-store"}, body)


@dataclass(frozen=True)
class Operation:
    """One row of the API: its documented name, its address, whom it serves, what it does.

    `role` is the one that its client must have, empty for any client, None for anybody.
    """

    name: str
    method: str
    path: str
    role: str | None
    perform: Callable[[PrisjaktModel, Call, Mapping[str, str]], Answer]


_PIXEL: Final = f"{BASE_PATH}/pixels/{{pixel_id}}"
_EVENTS: Final = f"{_PIXEL}/events"
_SHOP: Final = f"{BASE_PATH}/shops/{{shop_id}}"
_M: Final = PrisjaktModel
OPERATIONS: Final = (
    Operation("create-event", "POST", _EVENTS, None, _M._create_event),
    Operation("create-events", "PATCH", _EVENTS, "shop_user", _M._create_events),
    Operation("get-events", "GET", _EVENTS, "shop_user", _M._get_events),
    Operation("token", "POST", TOKEN_PATH, None, _M._issue_token),
    Operation("get-event", "GET", f"{BASE_PATH}/events/{{event_id}}", "shop_user", _M._get_event),
    Operation("get-pixel", "GET", _PIXEL, "shop_user", _M._get_pixel),
    Operation("update-pixel", "PATCH", _PIXEL, "shop_user", _M._update_pixel),
    Operation(
        "get-purchase-summary",
        "GET",
        f"{_PIXEL}/purchase-summary",
        "shop_user",
        _M._get_purchase_summary,
    ),
    Operation("get-conversions", "GET", f"{_PIXEL}/conversions", _ANY_CLIENT, _M._get_conversions),
    Operation("get-click", "GET", f"{BASE_PATH}/clicks/{{click_id}}", "shop_user", _M._get_click),
    Operation(
        "get-client", "GET", f"{BASE_PATH}/clients/{{client_id}}", _ANY_CLIENT, _M._get_client
    ),
    Operation("create-shop-client", "POST", f"{_SHOP}/clients", "admin", _M._create_shop_client),
    Operation("create-shop-pixel", "POST", f"{_SHOP}/pixels", "shop_user", _M._create_shop_pixel),
    Operation("get-shop-pixels", "GET", f"{_SHOP}/pixels", "shop_user", _M._get_shop_pixels),
    Operation("get-shop", "GET", _SHOP, "shop_user", _M._get_shop),
)
_ROUTES: Final = tuple(
    (each.method, re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", each.path)), each)
    for each in OPERATIONS
)
_NO_FAULT: Final = Fault(kind="hang")


def route(call: Call) -> tuple[Operation, dict[str, str]] | None:
    """The operation and the ids in its path; UUIDs come in either case, clients' ids do not."""
    for method, pattern, operation in _ROUTES:
        if method == call.method and (found := pattern.fullmatch(call.path)):
            ids = found.groupdict()
            return operation, {k: v if k == "client_id" else v.lower() for k, v in ids.items()}
    return None


def _not_found(kind: str, which: object) -> ProblemError:
    title = f"{kind.capitalize()} not found"
    return ProblemError(404, title, f"A {kind} with ID {which} could not be found")


def _total(amounts: list[Decimal]) -> dict[str, object]:
    return {"total_amount": reduce(_EXACT.add, amounts), "number_of_events": len(amounts)}


def _page(call: Call, found: list[Event], show: Callable[[Event], object]) -> Answer:
    page, per_page = int(call.query.get("page", 1)), int(call.query.get("per_page", 100))
    shown = found[(page - 1) * per_page : page * per_page]
    headers = _link(call, page, last=-(-len(found) // per_page))
    return Answer(200, headers, [show(event) for event in shown])


def _link(call: Call, page: int, last: int) -> dict[str, str]:
    """The link header, which repeats the whole question; none if one page holds everything."""
    pages = {"first": 1, "last": last, "prev": min(page - 1, last), "next": page + 1}
    links = [
        f'<{call.origin}{call.path}?{urlencode({**call.query, "page": number})}>; rel="{relation}"'
        for relation, number in pages.items()
        if 1 <= number <= last
    ]
    return {"link": ", ".join(links)} if last > 1 else {}


def _external_ids(body: bytes) -> list[str]:
    try:
        content = parse(body)
    except UNPARSEABLE:
        return []
    elements = content if isinstance(content, list) else [content]
    return [str(each.get("external_event_id")) for each in elements if isinstance(each, dict)]
