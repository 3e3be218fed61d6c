"""Shopify's GraphQL Admin API: https://shopify.dev/docs/api/admin-graphql"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, cast
from urllib.parse import urlsplit

from requests import Session

from prisjakt_relay.errors import PlatformRefusedError
from prisjakt_relay.platform_api.access import Access
from prisjakt_relay.platform_api.interface import Moment, Page, Wait, Webhook
from prisjakt_relay.platform_api.shopify_graphql import RIGHT, Graphql, Part, TooDearError
from prisjakt_relay.platforms import shopify
from prisjakt_relay.platforms.interface import Document
from prisjakt_relay.transport import text

# What platforms/shopify.py reads. Top-level fields, and one level below `line_items`: deeper paths
# are not documented. Without `updated_at`, deliveries whose bodies are equal would be dropped.
WEBHOOK_FIELDS: Final = (
    "id",
    "name",
    "order_number",
    "created_at",
    "updated_at",
    "cancelled_at",
    "test",
    "source_name",
    "financial_status",
    "currency",
    "presentment_currency",
    "total_price",
    "total_price_set",
    "current_total_price",
    "current_total_price_set",
    "total_tax",
    "total_tax_set",
    "current_total_tax",
    "current_total_tax_set",
    "subtotal_price",
    "subtotal_price_set",
    "taxes_included",
    "note_attributes",
    "landing_site",
    "line_items.quantity",
    "line_items.current_quantity",
    "line_items.gift_card",
    "line_items.price",
    "line_items.price_set",
    "line_items.tax_lines",
    "line_items.discount_allocations",
)

LONGEST_PAGING: Final = 20_000  # orders: Shopify refuses to page beyond 25,000

_ORDER_TOPICS: Final = "ORDERS_"
_ORDER_ID: Final = re.compile("gid://shopify/Order/([1-9][0-9]{0,38})")
_AMOUNT: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,12})?")
# A change of the last minutes may be newer than the place at which the order was sorted.
_SETTLED: Final = timedelta(minutes=5)
_SECOND: Final = timedelta(seconds=1)
_TICK: Final = timedelta(microseconds=1)

# Of ISO 4217, as the webhooks write amounts.
_NO_DECIMALS: Final = re.compile("BIF|CLP|DJF|GNF|ISK|JPY|KMF|KRW|PYG|RWF|UGX|VND|VUV|XAF|XOF|XPF")
_THREE_DECIMALS: Final = re.compile("BHD|IQD|JOD|KWD|LYD|OMR|TND")


# How each part of an answer is written in a webhook's body, under the name that it has there.
_Write = Callable[[Part, str], Document]


def _text(part: Part, name: str) -> Document:
    return {name: part.text()}


def _flag(part: Part, name: str) -> Document:
    return {name: part.flag()}


def _number(part: Part, name: str) -> Document:
    return {name: part.number()}


def _time(part: Part, name: str) -> Document:
    part.moment()
    return {name: part.value}


def _word(part: Part, name: str) -> Document:
    return {name: part.text().lower()}


def _id(part: Part, name: str) -> Document:
    return {name: int(part.matched(_ORDER_ID, "an order's id")[1])}


def _money(part: Part, name: str) -> Document:
    bag = {f"{where}_money": _amount(part.of(f"{where}Money")) for where in ("shop", "presentment")}
    return {name: bag["shop_money"]["amount"], f"{name}_set": bag}


def _amount(money: Part) -> dict[str, str]:
    """With the currency's decimals, as webhooks have them: the API leaves zeros out."""
    currency = money.of("currencyCode").text()
    amount = Decimal(money.of("amount").matched(_AMOUNT, "an amount")[0])
    decimals = 0 if _NO_DECIMALS.fullmatch(currency) else 2
    if _THREE_DECIMALS.fullmatch(currency):
        decimals = 3
    exact = amount.normalize()
    if -cast("int", exact.as_tuple().exponent) <= decimals:
        return {"amount": f"{exact:.{decimals}f}", "currency_code": currency}
    return {"amount": f"{exact:f}", "currency_code": currency}


def _attributes(part: Part, name: str) -> Document:
    return {
        name: [
            {"name": row.of("key").text(), **_or_null(_text)(row.of("value"), "value")}
            for row in part.rows()
        ]
    }


def _taxes(part: Part, name: str) -> Document:
    return {name: [_money(row.of("priceSet"), "price") for row in part.rows()]}


def _discounts(part: Part, name: str) -> Document:
    return {name: [_money(row.of("allocatedAmountSet"), "amount") for row in part.rows()]}


def _landing_page(part: Part, name: str) -> Document:
    """Path and query, as in the webhook; nothing as long as Shopify knows of no visit."""
    for below in ("lastVisit", "landingPage"):
        if part.has():
            part = part.of(below)
    if not part.has():
        return {name: None}
    try:
        address = urlsplit(part.text())
    except ValueError:
        return {name: part.value}
    path = address.path or "/"
    return {name: f"{path}?{address.query}" if address.query else path}


def _or_null(write: _Write, *further: str) -> _Write:
    """`further` are endings of the names that are null with it."""

    def written(part: Part, name: str) -> Document:
        if part.has():
            return write(part, name)
        return dict.fromkeys((name, *(f"{name}{ending}" for ending in further)))

    return written


@dataclass(frozen=True, slots=True)
class _Field:
    """What is asked for as `name`, with what is selected below it, and how it is written."""

    name: str
    write: _Write
    below: str = ""


_Fields = Mapping[str, _Field]

_IN_MONEY: Final = "{shopMoney{amount currencyCode}presentmentMoney{amount currencyCode}}"
_OPTIONAL_MONEY: Final = _or_null(_money, "_set")

_SHORT: Final[_Fields] = {
    "id": _Field("id", _id),
    "created_at": _Field("createdAt", _time),
    "updated_at": _Field("updatedAt", _time),
    "source_name": _Field("sourceName", _or_null(_text)),
    "note_attributes": _Field("customAttributes", _attributes, "{key value}"),
}
_LANDING_PAGE: Final[_Fields] = {
    "landing_site": _Field("customerJourneySummary", _landing_page, "{lastVisit{landingPage}}"),
}
_FULL: Final[_Fields] = {
    **_SHORT,
    "name": _Field("name", _text),
    "order_number": _Field("number", _number),
    "cancelled_at": _Field("cancelledAt", _or_null(_time)),
    "test": _Field("test", _flag),
    "financial_status": _Field("displayFinancialStatus", _or_null(_word)),
    "currency": _Field("currencyCode", _text),
    "presentment_currency": _Field("presentmentCurrencyCode", _text),
    "total_price": _Field("totalPriceSet", _money, _IN_MONEY),
    "current_total_price": _Field("currentTotalPriceSet", _money, _IN_MONEY),
    "total_tax": _Field("totalTaxSet", _OPTIONAL_MONEY, _IN_MONEY),
    "current_total_tax": _Field("currentTotalTaxSet", _money, _IN_MONEY),
    "subtotal_price": _Field("subtotalPriceSet", _OPTIONAL_MONEY, _IN_MONEY),
    "taxes_included": _Field("taxesIncluded", _flag),
}
_LINE: Final[_Fields] = {
    "quantity": _Field("quantity", _number),
    "current_quantity": _Field("currentQuantity", _number),
    "gift_card": _Field("isGiftCard", _flag),
    "price": _Field("originalUnitPriceSet", _money, _IN_MONEY),
    "tax_lines": _Field("taxLines", _taxes, f"{{priceSet{_IN_MONEY}}}"),
    "discount_allocations": _Field(
        "discountAllocations", _discounts, f"{{allocatedAmountSet{_IN_MONEY}}}"
    ),
}


def _selection(fields: _Fields) -> str:
    return " ".join(field.name + field.below for field in fields.values())


def _written(part: Part, fields: _Fields) -> Document:
    document: Document = {}
    for name, field in fields.items():
        document |= field.write(part.of(field.name), name)
    return document


_PAGE_INFO: Final = "pageInfo{hasNextPage endCursor}"
_LINES: Final = f"{{nodes{{{_selection(_LINE)}}}{_PAGE_INFO}}}"
_LINES_QUERY: Final = (
    "query($id:ID!,$lines:Int!,$after:String!)"
    f"{{order(id:$id){{lineItems(first:$lines,after:$after){_LINES}}}}}"
)


def _short_query(fields: _Fields) -> str:
    return (
        "query($first:Int!,$after:String,$query:String!,$by:OrderSortKeys!)"
        "{orders(first:$first,after:$after,query:$query,sortKey:$by)"
        f"{{nodes{{{_selection(fields)}}}{_PAGE_INFO}}}}}"
    )


def _full_query(fields: _Fields) -> str:
    return (
        "query($ids:[ID!]!,$lines:Int!){nodes(ids:$ids)"
        f"{{...on Order{{{_selection(fields)} lineItems(first:$lines){_LINES}}}}}}}"
    )


_CHECK_QUERY: Final = "{currentAppInstallation{accessScopes{handle}}}"
_IN_WEBHOOK: Final = "{id topic uri format includeFields filter}"
_IN_CHANGE: Final = f"{{webhookSubscription{_IN_WEBHOOK}userErrors{{field message}}}}"
_WEBHOOKS_QUERY: Final = (
    "query($first:Int!,$after:String){webhookSubscriptions(first:$first,after:$after)"
    f"{{nodes{_IN_WEBHOOK}{_PAGE_INFO}}}}}"
)
_CREATE: Final = (
    "mutation($topic:WebhookSubscriptionTopic!,$wanted:WebhookSubscriptionInput!)"
    f"{{change:webhookSubscriptionCreate(topic:$topic,webhookSubscription:$wanted){_IN_CHANGE}}}"
)
_UPDATE: Final = (
    "mutation($id:ID!,$wanted:WebhookSubscriptionInput!)"
    f"{{change:webhookSubscriptionUpdate(id:$id,webhookSubscription:$wanted){_IN_CHANGE}}}"
)
_DELETE: Final = (
    "mutation($id:ID!){change:webhookSubscriptionDelete(id:$id)"
    "{deletedWebhookSubscriptionId userErrors{field message}}}"
)


class ShopifyApi:
    """One store, over one HTTP session; see `PlatformApi`."""

    topics: tuple[str, ...] = ("orders/updated", "orders/create", "orders/cancelled")
    sees_all: bool = False

    def __init__(
        self,
        access: Access,
        http: Session,
        *,
        clock: Callable[[], datetime],
        wait: Wait,
        landing_pages: bool = False,
    ) -> None:
        self._graphql = Graphql(access, http, clock, wait)
        self._clock = clock
        further = _LANDING_PAGE if landing_pages else {}
        self._short = {**_SHORT, **further}
        self._full = {**_FULL, **further}
        self._short_query = _short_query(self._short)
        self._full_query = _full_query(self._full)
        # So that one query stays below the 1000 points that it may cost.
        self._sizes = {
            "orders": 240 if landing_pages else 250,
            "full orders": 6,
            "first lines": 10,
            "further lines": 75,
            "webhooks": 100,
        }

    def orders(self, since: datetime, until: datetime, *, by: Moment) -> Iterator[Page]:
        """First briefly, then in full what carries a click id: most orders do not, and a full one
        costs fifty times as much.

        Paging misses nothing while orders change: a cursor stands for a value of the sort key, not
        for a number of orders, so what is skipped was seen. A changed order moves to the end, or,
        later than `until`, out of the interval: then it is the next one's.
        """
        # The API tells whole seconds.
        begin = since.astimezone(UTC).replace(microsecond=0)
        end = (until + _SECOND - _TICK).astimezone(UTC).replace(microsecond=0)
        if until <= since:
            end = begin
        complete, cursor, paged = begin, None, 0
        while begin < end:
            asked = self._clock()
            rows, following = self._orders_page(begin, end, by, cursor)
            documents = [_written(row, self._short) for row in rows]
            moments = [row.of(f"{by}At").moment() for row in rows]
            if moments and min(moments) < begin:
                raise PlatformRefusedError(
                    f"Shopify does not keep to the interval of {by}At that was asked for; look "
                    "for a newer version of the relay"
                )
            orders = self._completed(documents)
            if following is None:
                break
            # The index by which Shopify sorts may be behind, and an order tell of a change that is
            # newer than its place: that alone must not say how far the page goes.
            later_half = moments[len(moments) // 2 :]
            settled = [moment for moment in later_half if moment < asked - _SETTLED]
            complete = max(complete, min(settled, default=complete))
            yield Page(orders, complete)
            cursor, paged = following, paged + len(rows)
            if paged >= LONGEST_PAGING and complete > begin:
                begin, cursor, paged = complete, None, 0
        else:
            orders = ()
        yield Page(orders, until)

    def check(self) -> Collection[str]:
        """What may write orders may read them, and is listed as that only."""
        data = self._graphql.ask(_CHECK_QUERY, {})
        scopes = data.of("currentAppInstallation").of("accessScopes").rows()
        given = {scope.of("handle").text() for scope in scopes}
        return [] if given & {RIGHT, "write_orders"} else [RIGHT]

    def webhooks(self) -> list[Webhook]:
        found: list[Webhook] = []
        cursor: str | None = None
        while True:
            data = self._ask(_WEBHOOKS_QUERY, {"after": cursor}, first="webhooks")
            connection = data.of("webhookSubscriptions")
            found += [
                _webhook(row)
                for row in connection.of("nodes").rows()
                if row.of("topic").text().startswith(_ORDER_TOPICS)
            ]
            cursor = _following(connection, cursor)
            if cursor is None:
                return found

    def create_webhook(self, topic: str, address: str, secret: str) -> Webhook:  # noqa: ARG002
        change = self._graphql.ask(
            _CREATE, {"topic": topic.upper().replace("/", "_"), "wanted": _wanted(address)}
        ).of("change")
        errors = change.of("userErrors").rows()
        if not errors:
            return _webhook(change.of("webhookSubscription"))
        for webhook in self.webhooks():
            if (webhook.topic, webhook.address) == (topic, address):
                return webhook  # made already, perhaps by a call whose answer was lost
        raise _not_done(f"make a webhook of {topic}", errors)

    def replace_webhook(self, webhook: Webhook, address: str, secret: str) -> Webhook:
        change = self._graphql.ask(
            _UPDATE, {"id": webhook.id, "wanted": {**_wanted(address), "filter": None}}
        ).of("change")
        if not change.of("userErrors").rows():
            updated = _webhook(change.of("webhookSubscription"))
            if not updated.problems:
                return updated
        # It is gone, or there is another one already, or it keeps what is wrong with it.
        self.remove_webhook(webhook)
        return self.create_webhook(webhook.topic, address, secret)

    def remove_webhook(self, webhook: Webhook) -> None:
        errors = self._graphql.ask(_DELETE, {"id": webhook.id}).of("change").of("userErrors").rows()
        if errors and any(each.id == webhook.id for each in self.webhooks()):
            raise _not_done("remove the webhook", errors)

    def _orders_page(
        self, begin: datetime, end: datetime, by: Moment, cursor: str | None
    ) -> tuple[list[Part], str | None]:
        search = f"{by}_at:>='{begin:%Y-%m-%dT%H:%M:%SZ}' AND {by}_at:<'{end:%Y-%m-%dT%H:%M:%SZ}'"
        variables = {"after": cursor, "query": search, "by": f"{by}_at".upper()}
        data = self._ask(self._short_query, variables, first="orders")
        connection = data.of("orders")
        return connection.of("nodes").rows(), _following(connection, cursor)

    def _completed(self, orders: Sequence[Document]) -> tuple[Document, ...]:
        """In full what carries a click id. What was deleted in between is left out."""
        ids = [order["id"] for order in orders if self._carries_click_id(order)]
        full: dict[int, Document] = {}
        done = 0
        while done < len(ids):
            variables = {"ids": [_gid(each) for each in ids[done:]]}
            rows = self._ask(
                self._full_query, variables, ids="full orders", lines="first lines"
            ).of("nodes")
            if not rows.rows():
                rows.refuse("as long as the list of ids")
            done += len(rows.rows())
            for row in rows.rows():
                if row.has():
                    document = self._full_document(row)
                    full[document["id"]] = document
        carrying = set(ids)
        return tuple(
            full.get(order["id"], order)
            for order in orders
            if order["id"] not in carrying or order["id"] in full
        )

    def _carries_click_id(self, order: Document) -> bool:
        return bool(shopify.click_ids(order) or shopify.landing_page(order))

    def _full_document(self, row: Part) -> Document:
        """With all its lines. An order that changes while they are read has a newer `updated_at`
        than this document, so that it is read, and counts, once more."""
        document = _written(row, self._full)
        connection = row.of("lineItems")
        lines = [_written(line, _LINE) for line in connection.of("nodes").rows()]
        cursor = _following(connection, None)
        while cursor is not None:
            variables = {"id": _gid(document["id"]), "after": cursor}
            data = self._ask(_LINES_QUERY, variables, lines="further lines")
            if not data.of("order").has():
                break  # deleted by now: what becomes of it no longer matters
            connection = data.of("order").of("lineItems")
            lines += [_written(line, _LINE) for line in connection.of("nodes").rows()]
            cursor = _following(connection, cursor)
        return {**document, "line_items": lines}

    def _ask(self, query: str, variables: Mapping[str, Any], **sizes: str) -> Part:
        """Ask with the `sizes` that are named for some of the variables; a list is cut to it. If
        that is too dear, for less of the first one, and once that is down to one, of the next."""
        while True:
            sized = {
                variable: variables[variable][: self._sizes[name]]
                if variable in variables
                else self._sizes[name]
                for variable, name in sizes.items()
            }
            try:
                return self._graphql.ask(query, {**variables, **sized})
            except TooDearError:
                larger = [name for name in sizes.values() if self._sizes[name] > 1]
                if not larger:
                    raise PlatformRefusedError(
                        "Shopify finds a query too dear, however little it asks for; look for a "
                        "newer version of the relay"
                    ) from None
                self._sizes[larger[0]] //= 2


def _gid(order_id: int) -> str:
    return f"gid://shopify/Order/{order_id}"


def _following(connection: Part, cursor: str | None) -> str | None:
    """The cursor of the next page, if there is one."""
    info = connection.of("pageInfo")
    if not info.of("hasNextPage").flag():
        return None
    following = info.of("endCursor").text()
    if following == cursor:
        info.of("endCursor").refuse("another one on the next page")
    return following


def _wanted(address: str) -> dict[str, Any]:
    return {"uri": address, "format": "JSON", "includeFields": list(WEBHOOK_FIELDS)}


def _webhook(row: Part) -> Webhook:
    included = {field.text() for field in row.of("includeFields").rows()}
    problems = []
    if row.of("format").text() != "JSON":
        problems.append("is not JSON")
    if row.of("filter").value not in (None, ""):
        problems.append("has a filter")
    if included:
        missing = [
            field
            for field in WEBHOOK_FIELDS
            if field not in included and field.partition(".")[0] not in included
        ]
        if missing:
            problems.append(f"leaves out {', '.join(missing)}")
    if not included or included - set(WEBHOOK_FIELDS):
        problems.append("sends more than is needed")
    return Webhook(
        id=row.of("id").text(),
        topic=row.of("topic").text().lower().replace("_", "/", 1),
        address=row.of("uri").text(),
        problems=tuple(problems),
    )


def _not_done(what: str, errors: Sequence[Part]) -> PlatformRefusedError:
    said = "; ".join(text(error.of("message").text()) for error in errors)
    return PlatformRefusedError(
        f"Shopify does not {what}: {said}; correct that, or make it in Shopify's admin"
    )
