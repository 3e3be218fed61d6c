"""WooCommerce's REST API: https://developer.woocommerce.com/docs/apis/rest-api/v3/orders/"""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import pairwise
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from requests import Session

from prisjakt_relay import __version__
from prisjakt_relay.errors import PlatformAccessError, PlatformRefusedError, UnreadableError
from prisjakt_relay.platform_api.access import Access
from prisjakt_relay.platform_api.asking import Answered, Asking
from prisjakt_relay.platform_api.interface import Moment, Page, Wait, Webhook
from prisjakt_relay.platforms import reading
from prisjakt_relay.platforms.interface import Document

# What platforms/woocommerce.py reads of an order. Nothing else is asked for, so nobody's name or
# address travels.
ORDER_FIELDS: Final = (
    "id",
    "number",
    "status",
    "currency",
    "created_via",
    "date_created_gmt",
    "date_modified_gmt",
    "date_paid",
    "date_paid_gmt",
    "total",
    "total_tax",
    "line_items",
    "refunds",
    "meta_data",
)

PER_PAGE: Final = 100  # WooCommerce refuses more

_SECOND: Final = timedelta(seconds=1)  # the resolution of WooCommerce's times
_SUNDAY: Final = 6
_NAMESPACE: Final = "/wc/v3"
_STATES: Final = {"disabled": "is disabled", "paused": "is paused"}

# Nobody is logged in: an unknown key, or one that did not arrive.
_ANONYMOUS: Final = re.compile(r"woocommerce_rest_cannot_[a-z]+")
_NO_ROUTE: Final = "rest_no_route"
_INVALID_PARAMETER: Final = "rest_invalid_param"
_KEY_REFUSED: Final = "woocommerce_rest_authentication_error"
_CODE: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_TAG: Final = re.compile(r"<[^<>]*>")
_MESSAGE_LIMIT: Final = 200

Pairs = Sequence[tuple[str, str]]


class _Way(Enum):
    """How the key is shown to WooCommerce."""

    HEADER = "header"
    QUERY = "query"
    SIGNATURE = "signature"


class _Column(NamedTuple):
    """The names that go with one of an order's moments."""

    after: str
    before: str
    orderby: str
    field: str


_COLUMNS: Final = {
    Moment.CREATED: _Column("after", "before", "date", "date_created_gmt"),
    Moment.UPDATED: _Column("modified_after", "modified_before", "modified", "date_modified_gmt"),
}


class _Span(NamedTuple):
    begin: datetime
    end: datetime


class _Dated(NamedTuple):
    moment: datetime
    order_id: str
    order: Document


@dataclass(frozen=True, slots=True)
class _Found:
    """One page of an answer; `pages` is None where the shop does not tell how many there are."""

    orders: list[_Dated]
    more: bool
    pages: int | None


class WooCommerceApi:
    """One shop's REST API, with a consumer key that may read and write.

    `new_nonce` makes what a signed request must not share with another.
    """

    topics: tuple[str, ...] = ("order.updated", "order.created")
    sees_all: bool = True

    def __init__(
        self,
        access: Access,
        http: Session,
        *,
        clock: Callable[[], datetime],
        wait: Wait,
        landing_pages: bool = False,  # noqa: ARG002  # orders carry it anyway, in their metadata
        new_nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._address = access.address
        self._key = access.consumer_key or ""
        self._secret = access.consumer_secret or ""
        self._asking = Asking(http, clock=clock, wait=wait)
        self._clock = clock
        self._new_nonce = new_nonce
        self._unsortable: set[str] = set()
        self._plain: bool | None = None  # not known yet
        # WooCommerce looks at a key in the header or in the query only over https. The header may
        # be lost on the way to PHP; and WordPress behind a proxy may not know that it is https, or
        # on this machine take itself for https.
        self._is_https = self._address.startswith("https://")
        self._ways: tuple[_Way, ...] = (
            (_Way.HEADER, _Way.QUERY, _Way.SIGNATURE)
            if self._is_https
            else (_Way.SIGNATURE, _Way.HEADER)
        )

    def orders(self, since: datetime, until: datetime, *, by: Moment) -> Iterator[Page]:
        """The orders of the interval, which should be over, oldest first.

        Paging by number would skip orders: one that changes leaves its place, and all behind it
        move up. So the next page begins at the last second of the one before, whose orders are
        known by their ids. What changes meanwhile comes again, at the end.
        """
        column = _COLUMNS[by]
        begin, end = _whole_second(since), _whole_second(until)
        known: set[tuple[datetime, str]] = set()
        while begin < end:
            start, stop = _span(begin).begin, end
            found = self._sorted(column, _Span(start, end))
            if found is not None:
                fresh = tuple(
                    each.order
                    for each in found.orders
                    if each.moment >= begin and each[:2] not in known
                )
                if not found.more:
                    yield Page(fresh, until)
                    return
                last = _span(found.orders[-1].moment)
                if last.begin > start:
                    yield Page(fresh, last.begin)
                    begin = last.begin
                    known = {each[:2] for each in found.orders if each.moment >= begin}
                    continue
                stop = min(last.end, end)
            for page in self._halves(column, _Span(begin, stop)):
                yield Page(page.orders, min(page.complete_until, until))
            begin, known = stop, set()
        yield Page((), until)

    def _sorted(self, column: _Column, interval: _Span) -> _Found | None:
        """The first page of an interval by time; None if the shop cannot tell which that is."""
        if column.orderby in self._unsortable:
            return None
        answered = self._page(column, interval, column.orderby, 1)
        if _refuses(answered, "orderby"):
            self._unsortable.add(column.orderby)
            return None
        found = self._found(answered, column, interval, 1)
        # An order that changes while WooCommerce writes its answer tells of a moment that is past
        # the interval, whatever its place.
        inside = [each for each in found.orders if each.moment < interval.end]
        if any(one.moment > other.moment for one, other in pairwise(inside)):
            return None  # a plug-in sorts as it likes
        return _Found(inside, found.more, found.pages) if inside or not found.more else None

    def _halves(self, column: _Column, interval: _Span) -> Iterator[Page]:
        """The orders of an interval, by halving it until each part fits one page.

        It needs no sorting by time, but up to twice the requests.
        """
        found = self._part(column, interval, 1)
        if not found.more:
            yield _page_of(found, interval, interval.end)
            return
        middle = _between(interval)
        if middle is not None:
            yield from self._halves(column, _Span(interval.begin, middle))
            yield from self._halves(column, _Span(middle, interval.end))
            return
        if found.pages is None:
            raise PlatformRefusedError(
                "the shop's answer lacks the header X-WP-TotalPages: something between the relay "
                "and WordPress takes it away; let it pass"
            )
        # From the last page to the first: an order that changes leaves the interval, and what
        # moves up for it goes to a page that is still to come.
        for number in range(found.pages, 0, -1):
            part = self._part(column, interval, number)
            yield _page_of(part, interval, interval.begin if number > 1 else interval.end)

    def _part(self, column: _Column, interval: _Span, number: int) -> _Found:
        answered = self._page(column, interval, "id", number)
        return self._found(answered, column, interval, number)

    def _page(self, column: _Column, interval: _Span, orderby: str, number: int) -> Answered:
        return self._answered(
            "GET",
            "/orders",
            [
                ("status", "any"),
                # UTC has to be told without saying so: WordPress turns a time that has an offset
                # into the shop's own, and compares it with UTC nevertheless.
                ("dates_are_gmt", "true"),
                (column.after, _wire(_span(interval.begin).begin - _SECOND)),  # both are exclusive
                (column.before, _wire(interval.end)),
                ("orderby", orderby),
                ("order", "asc"),
                ("per_page", str(PER_PAGE)),
                ("page", str(number)),
                ("_fields", ",".join(ORDER_FIELDS)),
            ],
        )

    def _found(self, answered: Answered, column: _Column, interval: _Span, number: int) -> _Found:
        orders = [_dated(order, column) for order in _rows(self._success(answered))]
        if any(each.moment < _span(interval.begin).begin for each in orders):
            raise PlatformRefusedError(
                "the shop answers with orders outside the interval that was asked for: "
                "update WooCommerce to 5.8 or later"
            )
        pages = _pages(answered)
        # Orders that the key may not see are left out of a page, but it counts them.
        more = len(orders) >= PER_PAGE if pages is None else number < pages
        return _Found(orders, more, pages)

    def check(self) -> Collection[str]:
        """Read one order and one webhook, and write nothing at all, which a read-only key may not.

        Whether its user may see every order cannot be known.
        """
        for path in ("/orders", "/webhooks"):
            _rows(self._json("GET", path, [("per_page", "1"), ("_fields", "id")]))
        answered = self._answered("POST", "/webhooks/batch", body={})
        if answered.status == 401 and _code(answered) == _KEY_REFUSED:
            return ("write",)
        self._success(answered)
        return ()

    def webhooks(self) -> list[Webhook]:
        found: dict[str, Webhook] = {}
        page, more = 0, True
        while more:
            page += 1
            answered = self._answered(
                "GET",
                "/webhooks",
                [
                    ("status", "all"),
                    ("orderby", "id"),
                    ("order", "asc"),
                    ("per_page", str(PER_PAGE)),
                    ("page", str(page)),
                ],
            )
            rows = _rows(self._success(answered))
            found |= {each.id: each for each in map(_webhook, rows)}
            told = _pages(answered)
            more = len(rows) >= PER_PAGE if told is None else page < told and bool(rows)
        return [each for each in found.values() if each.topic.startswith("order.")]

    def create_webhook(self, topic: str, address: str, secret: str) -> Webhook:
        """One of API version 3, which is the one that is asked to make it."""
        wanted = {
            "name": f"Prisjakt: {topic}",
            "topic": topic,
            "delivery_url": address,
            "secret": secret,
            "status": "active",
        }
        made = self._json("POST", "/webhooks", body=wanted, safe=False)
        if not isinstance(made, dict):
            raise _undocumented("a webhook")
        return _webhook(made)

    def replace_webhook(self, webhook: Webhook, address: str, secret: str) -> Webhook:
        """A new one: WooCommerce would not reset the failures that it has counted of the old."""
        made = self.create_webhook(webhook.topic, address, secret)
        self.remove_webhook(webhook)
        return made

    def remove_webhook(self, webhook: Webhook) -> None:
        answered = self._answered(
            "DELETE", f"/webhooks/{quote(webhook.id, safe='')}", [("force", "true")]
        )
        if answered.status == 404 and _code(answered) not in ("", _NO_ROUTE):
            return
        self._success(answered)

    def _json(
        self,
        method: str,
        path: str,
        parameters: Pairs = (),
        body: Document | None = None,
        *,
        safe: bool = True,
    ) -> Any:
        return self._success(self._answered(method, path, parameters, body, safe=safe))

    def _answered(
        self,
        method: str,
        path: str,
        parameters: Pairs = (),
        body: Document | None = None,
        *,
        safe: bool = True,
    ) -> Answered:
        """What the shop answers, once it is known where and how it wants to be asked."""
        first, *others = self._ways
        answered = refused = self._asked(method, path, parameters, body, first, safe=safe)
        for way in others:
            code = _code(answered)
            is_unsigned = first is _Way.SIGNATURE and code == _KEY_REFUSED
            if answered.status != 401 or not (is_unsigned or _ANONYMOUS.fullmatch(code)):
                break
            answered = self._asked(method, path, parameters, body, way, safe=safe)
            if answered.status < 400:
                self._ways = (way,)
            elif is_unsigned:
                return refused  # which says more than that nobody has come
        return answered

    def _asked(
        self,
        method: str,
        path: str,
        parameters: Pairs,
        body: Document | None,
        way: _Way,
        *,
        safe: bool,
    ) -> Answered:
        headers = {"user-agent": f"prisjakt-relay/{__version__}"}
        if way is _Way.HEADER:
            pair = base64.b64encode(f"{self._key}:{self._secret}".encode())
            headers["authorization"] = f"Basic {pair.decode()}"
        if body is not None:
            headers["content-type"] = "application/json"

        def ask(*, plain: bool) -> Answered:
            return self._asking.ask(
                method,
                lambda: self._url(method, path, parameters, way, plain=plain),
                headers=headers,
                data=None if body is None else json.dumps(body).encode(),
                safe=safe,
            )

        answered = ask(plain=self._plain or False)
        if self._plain is None:
            # Without permalinks WordPress, or the server before it, says that there is no such
            # page; or shows the shop's front page. What writes may have been done by then.
            elsewhere = answered.status == 404 or (answered.status == 200 and method == "GET")
            if _is_wordpress(answered):
                self._plain = False
            elif elsewhere and _is_wordpress(other := ask(plain=True)):
                self._plain = True
                return other
        return answered

    def _url(self, method: str, path: str, parameters: Pairs, way: _Way, *, plain: bool) -> str:
        """A new one for every attempt: a signature is good for one request."""
        place = "/index.php" if plain else f"/wp-json{_NAMESPACE}{path}"
        pairs = [*parameters]
        if plain:
            # Before 11.1 a key counts only where the address has "wp-json/wc/" in it, anywhere.
            pairs += [("rest_route", f"{_NAMESPACE}{path}"), ("for", "wp-json/wc/")]
        if way is _Way.QUERY:
            pairs += [("consumer_key", self._key), ("consumer_secret", self._secret)]
        if way is _Way.SIGNATURE:
            pairs += [
                ("oauth_consumer_key", self._key),
                ("oauth_nonce", self._new_nonce()),
                ("oauth_signature_method", "HMAC-SHA256"),
                ("oauth_timestamp", str(int(self._clock().timestamp()))),
            ]
            # Who signs at an https address does so because WordPress takes it for http.
            signed = "http://" + self._address.partition("://")[2] + place
            pairs.append(("oauth_signature", self._signature(method, signed, pairs)))
        query = [f"{_encoded(name)}={quote(value, safe='/')}" for name, value in pairs]
        return f"{self._address}{place}?{'&'.join(query)}"

    def _signature(self, method: str, address: str, parameters: Pairs) -> str:
        key = f"{self._secret}&".encode()  # there is no token, whose secret would come after it
        text = signature_base(method, address, parameters).encode()
        return base64.b64encode(hmac.digest(key, text, "sha256")).decode()

    def _success(self, answered: Answered) -> Any:
        """The JSON of an answer; every other answer is an error that says what to do."""
        status, code = answered.status, _code(answered)
        if status < 300:
            if answered.body is not None:
                return answered.body
            raise PlatformRefusedError(
                f"the shop answers with something else than JSON (HTTP {status}): let requests to "
                f"{self._address}/wp-json past its cache and its security plug-in, and do not let "
                "PHP print its notices"
            )
        if status == 404 and code in ("", _NO_ROUTE):
            raise PlatformAccessError(
                f"there is no WooCommerce at {self._address} (HTTP 404): give WordPress' own "
                "address, as in Settings, General, and see that WooCommerce is active"
            )
        if not code:
            raise PlatformRefusedError(
                f"the shop's server answers before WooCommerce does (HTTP {status}): let requests "
                f"to {self._address}/wp-json past its firewall, its security plug-in, and any "
                "password for the whole site"
            )
        said = f"{code} (HTTP {status}){self._words(answered.body)}"
        if status in (401, 403):
            raise PlatformAccessError(f"WooCommerce refuses the key, {said}; {self._remedy()}")
        raise PlatformRefusedError(f"WooCommerce refuses the request, {said}")

    def _remedy(self) -> str:
        remedy = "give a key with the permission Read/Write, of an administrator or a shop manager"
        if not self._is_https:
            remedy += (
                f"; over http, {self._address} has to be the very Site Address in Settings, "
                "General, and both clocks have to be right"
            )
        return remedy

    def _words(self, body: Document) -> str:
        """WooCommerce's own message in short, in the shop's language; neither key nor secret."""
        message = body.get("message")
        if not isinstance(message, str):
            return ""
        for hidden in (self._secret, self._key):
            message = message.replace(hidden, "…") if hidden else message
        words = " ".join(_TAG.sub(" ", message).split())
        shown = "".join(each for each in words if each.isprintable())
        shown = shown[:_MESSAGE_LIMIT].rstrip(".")
        return f": {shown}" if shown else ""


def signature_base(method: str, address: str, parameters: Pairs) -> str:
    """What an OAuth 1.0a signature is made of: https://www.rfc-editor.org/rfc/rfc5849#section-3.4.1

    WooCommerce makes the same of it as long as names need no encoding.
    """
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in parameters)
    normalised = "&".join(f"{name}={value}" for name, value in pairs)
    return "&".join((method, _encoded(address), _encoded(normalised)))


def _encoded(text: str) -> str:
    return quote(text, safe="")


def _whole_second(moment: datetime) -> datetime:
    """The first whole second that is not before it."""
    whole = moment.astimezone(UTC).replace(microsecond=0)
    return whole if whole == moment else whole + _SECOND


def _span(moment: datetime) -> _Span:
    """The shortest interval around a second that WordPress can be asked for.

    That is the second itself, but for the small hours of Sundays: on one of them summer time
    begins, and WordPress takes a time that the shop's clocks never show for one an hour later,
    even where it means UTC.
    """
    midnight = moment.replace(hour=0, minute=0, second=0)
    # One second more, since what follows is asked for as after the last second before it.
    small_hours = _Span(midnight, midnight + timedelta(hours=4, seconds=1))
    if moment.weekday() == _SUNDAY and moment < small_hours.end:
        return small_hours
    return _Span(moment, moment + _SECOND)


def _between(interval: _Span) -> datetime | None:
    """A moment inside, about the middle, at which an interval may begin."""
    middle = _span(interval.begin + (interval.end - interval.begin) // 2 // _SECOND * _SECOND)
    return next((each for each in middle if interval.begin < each < interval.end), None)


def _wire(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _page_of(found: _Found, interval: _Span, complete_until: datetime) -> Page:
    orders = sorted(found.orders, key=lambda each: each.moment)
    inside = [each.order for each in orders if interval.begin <= each.moment < interval.end]
    return Page(tuple(inside), complete_until)


def _dated(order: Document, column: _Column) -> _Dated:
    try:
        return _Dated(
            reading.instant(order, column.field, naive_is_utc=True),
            reading.identifier(order, "id"),
            {name: order[name] for name in ORDER_FIELDS if name in order},
        )
    except UnreadableError as error:
        raise _undocumented(f"an order's {error.field}") from None


def _webhook(row: Document) -> Webhook:
    try:
        status = reading.text(row, "status")
        return Webhook(
            id=reading.identifier(row, "id"),
            topic=reading.text(row, "topic"),
            address=reading.text(row, "delivery_url"),
            problems=() if status == "active" else (_STATES.get(status, "is not active"),),
        )
    except UnreadableError as error:
        raise _undocumented(f"a webhook's {error.field}") from None


def _rows(body: Any) -> list[Document]:
    if not isinstance(body, list) or not all(isinstance(row, dict) for row in body):
        raise _undocumented("a list of objects")
    return body


def _undocumented(what: str) -> PlatformRefusedError:
    return PlatformRefusedError(
        f"WooCommerce's answer is not as documented where {what} should be: see which plug-in "
        "changes its REST API"
    )


def _pages(answered: Answered) -> int | None:
    told = answered.headers.get("X-WP-TotalPages", "")
    return int(told) if re.fullmatch("[0-9]{1,5}", told) else None


def _code(answered: Answered) -> str:
    """WooCommerce's word for what is wrong; "" where something else answers."""
    code = answered.body.get("code") if isinstance(answered.body, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _is_wordpress(answered: Answered) -> bool:
    return bool(_code(answered)) if answered.status >= 400 else answered.body is not None


def _refuses(answered: Answered, parameter: str) -> bool:
    if answered.status != 400 or _code(answered) != _INVALID_PARAMETER:
        return False
    data = answered.body.get("data")
    refused = data.get("params") if isinstance(data, dict) else None
    return isinstance(refused, dict) and parameter in refused
