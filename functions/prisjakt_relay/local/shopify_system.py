"""A simulated Shopify store: its Admin API, and the webhooks of the one app that is installed.

https://shopify.dev/docs/api/admin-graphql, https://shopify.dev/docs/apps/build/webhooks. What the
pages leave open is decided against the relay, and said where it is.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    execute_sync,
    parse,
    validate,
)

from prisjakt_relay.local.exchange import Answer, Call, to_json
from prisjakt_relay.local.shop_system import Delivery, Later, Send
from prisjakt_relay.local.shopify_schema import (
    Costs,
    LineNode,
    OrderNode,
    fields_of,
    instant,
    make_schema,
    order_id,
)
from prisjakt_relay.platforms import shopify
from prisjakt_relay.platforms.interface import Document

MOST_COST: Final = 1000
MOST_ROWS: Final = 250
RETRIES: Final = 8
FIRST_RETRY: Final = 56.0  # seconds, doubled each time: the eighth is just before four hours
MOST_FAILURES: Final = 8
TOKEN_LIFE: Final = timedelta(seconds=86_399)

_TOKEN_PATH: Final = "/admin/oauth/access_token"  # noqa: S105  # where it is had
_GRAPHQL_PATH: Final = re.compile(r"/admin/api/20[0-9]{2}-(?:01|04|07|10)/graphql\.json")
_TERM: Final = re.compile(
    r"(created_at|updated_at):(>=|<=|>|<)(?:'([^']*)'|\"([^\"]*)\")(?:\s+(?:AND\s+)?|$)"
)
_HEADERS: Final = {"Content-Type": "application/json; charset=utf-8"}
_COMPARISONS: Final[Mapping[str, Callable[[datetime, datetime], bool]]] = {
    ">=": lambda one, other: one >= other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
}


@dataclass
class Subscription:
    """A webhook; `failures` are those since its last success."""

    id: str
    topic: str
    uri: str
    format: str = "JSON"
    includeFields: Sequence[str] = ()  # noqa: N815  # the schema's name
    filter: str | None = None
    failures: int = 0


@dataclass(frozen=True)
class _Moments:
    body: Document
    created_at: datetime
    updated_at: datetime


class ShopifySystem:
    """One store with one app; see `ShopSystem`. Without a `bucket_size` nothing is throttled.

    `calls` counts the API's calls, and `throttled` those that were refused for their cost.
    """

    def __init__(
        self,
        domain: str,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        send: Send,
        later: Later,
        client_id: str,
        client_secret: str,
        access_token: str | None = None,
        scopes: Collection[str] = ("read_orders",),
        bucket_size: float | None = None,
        restore_rate: float = 100.0,
        most_paged: int = 25_000,
    ) -> None:
        self.domain = domain
        self.orders: dict[str, Document] = {}
        self.deaf = False
        self.outage: int | None = None
        self.scopes = set(scopes)
        self.subscriptions: dict[str, Subscription] = {}
        self.calls = 0
        self.throttled = 0
        self.spent = 0.0
        self._clock = clock
        self._new_id = new_id
        self._send = send
        self._later = later
        self._client_id = client_id
        self._client_secret = client_secret
        self._access_token = access_token
        self._tokens: dict[str, datetime] = {}
        self._bucket_size = bucket_size
        self._restore_rate = restore_rate
        self._level = bucket_size or 0.0
        self._level_at = clock()
        self._most_paged = most_paged
        self._moments: dict[str, _Moments] = {}
        self._numbers = 1_000_000_000  # tests put some in themselves, with smaller ones

    def put(self, order: Document, *topics: str) -> None:
        body = dict(order)
        self.orders[str(body["id"])] = body
        for topic in topics:
            for subscription in list(self.subscriptions.values()):
                if _topic(subscription) == topic:
                    self._deliver(subscription, body)

    def answer(self, call: Call) -> Answer:
        self.calls += 1
        if self.outage is not None:
            return Answer(self.outage, _HEADERS, {"errors": "Unavailable"})
        if call.path == _TOKEN_PATH and call.method == "POST":
            return self._token(call)
        if call.method != "POST" or not _GRAPHQL_PATH.fullmatch(call.path):
            return Answer(404, _HEADERS, {"errors": "Not Found"})
        if not self._is_valid(call.headers.get("x-shopify-access-token", "")):
            text = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            return Answer(401, _HEADERS, {"errors": text})
        try:
            request = json.loads(call.body)
            query, variables = str(request["query"]), dict(request.get("variables") or {})
        except (ValueError, KeyError, TypeError):
            return Answer(400, _HEADERS, {"errors": {"query": "Required parameter missing"}})
        return Answer(200, _HEADERS, self._graphql(query, variables))

    def revoke_tokens(self) -> None:
        """As when the app's client secret is changed."""
        self._tokens.clear()

    # Tokens

    def _token(self, call: Call) -> Answer:
        form = dict(parse_qsl(call.body.decode()))
        if form.get("grant_type") != "client_credentials":
            return Answer(400, _HEADERS, {"error": "invalid_request"})
        if form.get("client_id") != self._client_id:
            return Answer(400, _HEADERS, {"error": "application_cannot_be_found"})
        if form.get("client_secret") != self._client_secret:
            return Answer(400, _HEADERS, {"error": "invalid_client"})
        token = f"shpat_{self._new_id()}"
        self._tokens[token] = self._clock() + TOKEN_LIFE
        body = {
            "access_token": token,
            "scope": ",".join(sorted(self.scopes)),
            "expires_in": int(TOKEN_LIFE.total_seconds()),
        }
        return Answer(200, _HEADERS, body)

    def _is_valid(self, token: str) -> bool:
        if self._access_token is not None and token == self._access_token:
            return True
        return token in self._tokens and self._clock() < self._tokens[token]

    # GraphQL

    def _graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        document = _parsed(query)
        if isinstance(document, list):
            return {"errors": [_formatted(error) for error in document]}
        operation = cast("OperationDefinitionNode", document.definitions[0])
        costs = Costs(_schema(), operation, variables)
        requested = costs.requested()
        if requested > MOST_COST:
            text = (
                f"Query cost is {requested}, which exceeds the single query max cost limit "
                f"({MOST_COST})."
            )
            code = {"code": "MAX_COST_EXCEEDED", "cost": requested, "maxCost": MOST_COST}
            return {"errors": [{"message": text, "extensions": code}]}
        self._restore()
        if self._bucket_size is not None and requested > self._level:
            self.throttled += 1
            code = {"code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/limits"}
            return {
                "errors": [{"message": "Throttled", "extensions": code}],
                "extensions": {"cost": self._cost(requested, None)},
            }
        result = execute_sync(_schema(), document, root_value=self, variable_values=variables)
        actual = min(requested, costs.actual(result.data or {}))
        self.spent += actual
        self._level -= actual
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [_formatted(error) for error in result.errors]
        return {**answer, "extensions": {"cost": self._cost(requested, actual)}}

    def _restore(self) -> None:
        now = self._clock()
        restored = self._restore_rate * (now - self._level_at).total_seconds()
        self._level = min(self._bucket_size or 0.0, self._level + restored)
        self._level_at = now

    def _cost(self, requested: int, actual: int | None) -> dict[str, Any]:
        unlimited = self._bucket_size is None
        return {
            "requestedQueryCost": requested,
            "actualQueryCost": actual,
            "throttleStatus": {
                "maximumAvailable": 20_000.0 if unlimited else self._bucket_size,
                "currentlyAvailable": 20_000 if unlimited else int(self._level),
                "restoreRate": self._restore_rate,
            },
        }

    # What the root's fields say.

    def _installation(self, _: GraphQLResolveInfo) -> dict[str, Any]:
        scopes = sorted(self.scopes)
        return {"accessScopes": [{"handle": each, "description": each} for each in scopes]}

    def _node(self, _: GraphQLResolveInfo, id: str) -> object:
        if id in self.subscriptions:
            return self.subscriptions[id]
        body = self.orders.get(id.removeprefix("gid://shopify/Order/"))
        if body is None or order_id(body) != id:
            return None
        self._require("read_orders", "order")
        return OrderNode(body)

    def _nodes(self, info: GraphQLResolveInfo, ids: list[str]) -> list[object]:
        if len(ids) > MOST_ROWS:
            raise GraphQLError(f"The input array size of {len(ids)} is greater than the maximum")
        return [self._node(info, each) for each in ids]

    def _require(self, scope: str, field: str) -> None:
        if not {scope, scope.replace("read_", "write_")} & self.scopes:
            access = f"`{scope}` access scope."
            raise GraphQLError(
                f"Access denied for {field} field. Required access: {access}",
                extensions={"code": "ACCESS_DENIED", "requiredAccess": access},
            )

    def _orders(
        self,
        _: GraphQLResolveInfo,
        *,
        first: int | None = None,
        after: str | None = None,
        reverse: bool,
        sortKey: str,  # noqa: N803  # the schema's name
        query: str | None = None,
    ) -> dict[str, Any]:
        """A cursor is a value of the sort key and an id: what changes does not shift what follows.

        How an order is filtered and sorted is what it is now; a cursor of another order of sorting
        is refused.
        """
        self._require("read_orders", "orders")
        key = sortKey.lower()
        if key not in ("created_at", "updated_at"):
            raise GraphQLError(f"sorting by {sortKey} is not simulated")
        terms = _terms(query or "")
        found = [
            (getattr(moments, key), int(moments.body["id"]), moments.body)
            for moments in self._known()
            if all(holds(moments) for holds in terms)
        ]
        found.sort(key=lambda row: row[:2], reverse=reverse)
        paged = 0
        if after is not None:
            sort, value, last, paged = _cursor(after)
            if sort != sortKey:
                raise GraphQLError("Invalid cursor for current pagination sort.")
            place = (datetime.fromisoformat(value), last)
            found = [row for row in found if (row[:2] < place if reverse else row[:2] > place)]
        most = _first(first)
        if paged + most > self._most_paged:
            raise GraphQLError(f"Pagination is limited to {self._most_paged} objects")
        page = found[:most]
        return _connection(
            [OrderNode(row[2]) for row in page],
            [
                _encoded(sortKey, row[0].isoformat(), row[1], paged + number)
                for number, row in enumerate(page, 1)
            ],
            more=len(found) > len(page),
        )

    def _known(self) -> list[_Moments]:
        """The orders with their moments, read once per body: tests put bodies in themselves."""
        for key, body in self.orders.items():
            known = self._moments.get(key)
            if known is None or known.body is not body:
                created = body["created_at"]
                updated = body.get("updated_at") or created
                self._moments[key] = _Moments(body, instant(created), instant(updated))
        return [self._moments[key] for key in self.orders]

    # Webhooks

    def _subscriptions(
        self, _: GraphQLResolveInfo, first: int | None = None, after: str | None = None
    ) -> dict[str, Any]:
        rows = list(self.subscriptions.values())
        begin = _cursor(after)[3] if after is not None else 0
        page = rows[begin : begin + _first(first)]
        cursors = [_encoded("ID", "", 0, begin + number) for number in range(1, len(page) + 1)]
        return _connection(page, cursors, more=begin + len(page) < len(rows))

    def _create(
        self,
        _: GraphQLResolveInfo,
        topic: str,
        webhookSubscription: dict[str, Any],  # noqa: N803  # the schema's name
    ) -> dict[str, Any]:
        if topic.startswith("ORDERS_") and not self.scopes & {"read_orders", "write_orders"}:
            return _refused("You cannot create a webhook subscription with the specified topic")
        self._numbers += 1
        made = Subscription(f"gid://shopify/WebhookSubscription/{self._numbers}", topic, "")
        return self._changed(made, webhookSubscription)

    def _update(
        self,
        _: GraphQLResolveInfo,
        id: str,
        webhookSubscription: dict[str, Any],  # noqa: N803  # the schema's name
    ) -> dict[str, Any]:
        subscription = self.subscriptions.get(id)
        if subscription is None:
            return _refused("Webhook subscription does not exist")
        return self._changed(subscription, webhookSubscription)

    def _changed(self, old: Subscription, wanted: dict[str, Any]) -> dict[str, Any]:
        new = replace(old, **{**wanted, "format": wanted.get("format") or old.format})
        if not new.uri.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            return _refused("Address is invalid")
        for other in self.subscriptions.values():
            if other.id != new.id and (other.topic, other.uri) == (new.topic, new.uri):
                return _refused("Address for this topic has already been taken")
        self.subscriptions[new.id] = new
        return {"userErrors": [], "webhookSubscription": new}

    def _delete(
        self,
        _: GraphQLResolveInfo,
        id: str,
    ) -> dict[str, Any]:
        if self.subscriptions.pop(id, None) is None:
            return {"userErrors": [_user_error("Webhook subscription does not exist")]}
        return {"userErrors": [], "deletedWebhookSubscriptionId": id}

    def _deliver(self, subscription: Subscription, order: Document) -> None:
        body = to_json(_cut(order, subscription.includeFields)).encode()
        now = self._clock()
        headers = {
            "content-type": "application/json",
            "user-agent": "Shopify-Captain-Hook",
            "x-shopify-api-version": "2026-07",
            "x-shopify-event-id": self._new_id(),
            "x-shopify-order-id": str(order["id"]),
            "x-shopify-shop-domain": self.domain,
            "x-shopify-topic": _topic(subscription),
            "x-shopify-triggered-at": now.isoformat(),
            "x-shopify-webhook-id": self._new_id(),
            **shopify.sign(body, self._client_secret, now),
        }
        delivery = Delivery(
            address=subscription.uri,
            topic=_topic(subscription),
            order_id=str(order["id"]),
            headers=headers,
            body=body,
        )
        self._attempt(subscription.id, delivery, 0)

    def _attempt(self, subscription_id: str, delivery: Delivery, retries: int) -> None:
        """Every attempt counts as a failure of its subscription: of the ways to read "eight
        consecutive failures" the one by which it is gone the soonest."""
        if self.deaf or subscription_id not in self.subscriptions:
            return
        status = self._send(delivery)
        subscription = self.subscriptions.get(subscription_id)
        if subscription is None:
            return
        if status is not None and 200 <= status < 300:
            subscription.failures = 0
            return
        subscription.failures += 1
        if subscription.failures >= MOST_FAILURES:
            del self.subscriptions[subscription_id]
        elif retries < RETRIES:
            again = FIRST_RETRY * 2**retries
            self._later(again, lambda: self._attempt(subscription_id, delivery, retries + 1))


@cache
def _schema() -> GraphQLSchema:
    """One for all systems: the root's fields ask the system that they are executed for."""
    schema = make_schema()
    resolvers: dict[tuple[str, str], Callable[..., object]] = {
        ("QueryRoot", "currentAppInstallation"): ShopifySystem._installation,
        ("QueryRoot", "node"): ShopifySystem._node,
        ("QueryRoot", "nodes"): ShopifySystem._nodes,
        ("QueryRoot", "order"): ShopifySystem._node,
        ("QueryRoot", "orders"): ShopifySystem._orders,
        ("QueryRoot", "webhookSubscription"): ShopifySystem._node,
        ("QueryRoot", "webhookSubscriptions"): ShopifySystem._subscriptions,
        ("Mutation", "webhookSubscriptionCreate"): ShopifySystem._create,
        ("Mutation", "webhookSubscriptionUpdate"): ShopifySystem._update,
        ("Mutation", "webhookSubscriptionDelete"): ShopifySystem._delete,
        ("Order", "lineItems"): _lines,
    }
    for (kind, name), resolve in resolvers.items():
        fields_of(schema, kind)[name].resolve = resolve
    return schema


@lru_cache(256)
def _parsed(query: str) -> DocumentNode | list[GraphQLError]:
    """Parsed, or what is wrong with it."""
    try:
        document = parse(query)
    except GraphQLError as error:
        return [error]
    return validate(_schema(), document) or document


def _topic(subscription: Subscription) -> str:
    return subscription.topic.lower().replace("_", "/", 1)


def _cut(order: Document, fields: Sequence[str]) -> Document:
    """What `includeFields` leaves: "name", or "rows.name" of an object or of each in a list."""
    if not fields:
        return order
    below: dict[str, list[str]] = {}
    for field in fields:
        name, _, rest = field.partition(".")
        below.setdefault(name, []).extend([rest] if rest else [])
    whole = {field for field in fields if "." not in field}
    kept: Document = {}
    for name, value in order.items():
        if name in whole:
            kept[name] = value
        elif name in below and isinstance(value, list):
            kept[name] = [_cut(row, below[name]) for row in value]
        elif name in below and isinstance(value, dict):
            kept[name] = _cut(value, below[name])
    return kept


def _terms(query: str) -> list[Callable[[_Moments], bool]]:
    """Shopify's search syntax, as far as it is about moments; other terms are without effect."""

    def term(name: str, comparison: str, value: str) -> Callable[[_Moments], bool]:
        compare, moment = _COMPARISONS[comparison], instant(value)
        return lambda moments: compare(getattr(moments, name), moment)

    return [
        term(name, comparison, single or double)
        for name, comparison, single, double in _TERM.findall(query)
    ]


def _first(first: int | None) -> int:
    if first is None:
        raise GraphQLError("you must provide one of first or last")
    if not 0 < first <= MOST_ROWS:
        raise GraphQLError(f"first must be from 1 to {MOST_ROWS}")
    return first


def _lines(
    node: OrderNode, _: GraphQLResolveInfo, first: int | None = None, after: str | None = None
) -> dict[str, Any]:
    rows = node.body.get("line_items") or []
    begin = _cursor(after)[3] if after is not None else 0
    page = rows[begin : begin + _first(first)]
    lines = [LineNode(row, node.body, number) for number, row in enumerate(page, begin)]
    cursors = [_encoded("ID", "", 0, begin + number) for number in range(1, len(page) + 1)]
    return _connection(lines, cursors, more=begin + len(page) < len(rows))


def _connection(nodes: Sequence[object], cursors: list[str], *, more: bool) -> dict[str, Any]:
    return {
        "nodes": nodes,
        "edges": [
            {"node": node, "cursor": cursor} for node, cursor in zip(nodes, cursors, strict=True)
        ],
        "pageInfo": {"hasNextPage": more, "endCursor": cursors[-1] if cursors else None},
    }


def _encoded(sort: str, value: str, last: int, paged: int) -> str:
    return base64.b64encode(json.dumps([sort, value, last, paged]).encode()).decode()


def _cursor(cursor: str) -> tuple[str, str, int, int]:
    try:
        sort, value, last, paged = json.loads(base64.b64decode(cursor, validate=True))
    except (ValueError, TypeError):
        raise GraphQLError("Invalid cursor.") from None
    return sort, value, last, paged


def _refused(message: str) -> dict[str, Any]:
    return {"userErrors": [_user_error(message)], "webhookSubscription": None}


def _user_error(message: str) -> dict[str, Any]:
    return {"field": ["webhookSubscription"], "message": message}


def _formatted(error: GraphQLError) -> dict[str, Any]:
    formatted: dict[str, Any] = dict(error.formatted)
    if error.message.startswith("Cannot query field"):
        formatted["extensions"] = {"code": "undefinedField"}
    return formatted
