"""The part of Shopify's GraphQL schema that is simulated, what its fields say, and what they cost.

Types and nullability as in https://shopify.dev/docs/api/admin-graphql/2026-07, costs as in
https://shopify.dev/docs/api/usage/limits. `CurrencyCode` is an enumeration there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, cast

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    get_named_type,
    is_list_type,
    value_from_ast_untyped,
)
from graphql.type import GraphQLNonNull

from prisjakt_relay.platforms.interface import Document

_SDL: Final = """
schema { query: QueryRoot mutation: Mutation }
scalar CurrencyCode
scalar DateTime
scalar Decimal
scalar URL
scalar UnsignedInt64

interface Node { id: ID! }
type PageInfo { hasNextPage: Boolean! endCursor: String }

type QueryRoot {
  currentAppInstallation: AppInstallation!
  node(id: ID!): Node
  nodes(ids: [ID!]!): [Node]!
  order(id: ID!): Order
  orders(
    first: Int, after: String, reverse: Boolean = false,
    sortKey: OrderSortKeys = PROCESSED_AT, query: String
  ): OrderConnection!
  webhookSubscription(id: ID!): WebhookSubscription
  webhookSubscriptions(first: Int, after: String): WebhookSubscriptionConnection!
}
type Mutation {
  webhookSubscriptionCreate(
    topic: WebhookSubscriptionTopic!, webhookSubscription: WebhookSubscriptionInput!
  ): WebhookSubscriptionCreatePayload
  webhookSubscriptionUpdate(
    id: ID!, webhookSubscription: WebhookSubscriptionInput!
  ): WebhookSubscriptionUpdatePayload
  webhookSubscriptionDelete(id: ID!): WebhookSubscriptionDeletePayload
}

type AccessScope { description: String! handle: String! }
type AppInstallation { accessScopes: [AccessScope!]! }

type MoneyV2 { amount: Decimal! currencyCode: CurrencyCode! }
type MoneyBag { presentmentMoney: MoneyV2! shopMoney: MoneyV2! }
type Attribute { key: String! value: String }
type CustomerVisit { landingPage: URL }
type CustomerJourneySummary { firstVisit: CustomerVisit lastVisit: CustomerVisit ready: Boolean! }
type TaxLine { priceSet: MoneyBag! rate: Float title: String! }
type DiscountAllocation { allocatedAmountSet: MoneyBag! }

type LineItem implements Node {
  currentQuantity: Int!
  discountAllocations: [DiscountAllocation!]!
  id: ID!
  isGiftCard: Boolean!
  name: String!
  originalUnitPriceSet: MoneyBag!
  quantity: Int!
  taxLines(first: Int): [TaxLine!]!
}
type LineItemEdge { cursor: String! node: LineItem! }
type LineItemConnection { edges: [LineItemEdge!]! nodes: [LineItem!]! pageInfo: PageInfo! }

enum OrderDisplayFinancialStatus {
  AUTHORIZED EXPIRED PAID PARTIALLY_PAID PARTIALLY_REFUNDED PENDING REFUNDED VOIDED
}
type Order implements Node {
  cancelledAt: DateTime
  createdAt: DateTime!
  currencyCode: CurrencyCode!
  currentTotalPriceSet: MoneyBag!
  currentTotalTaxSet: MoneyBag!
  customAttributes: [Attribute!]!
  customerJourneySummary: CustomerJourneySummary
  displayFinancialStatus: OrderDisplayFinancialStatus
  id: ID!
  legacyResourceId: UnsignedInt64!
  lineItems(first: Int, after: String): LineItemConnection!
  name: String!
  number: Int!
  presentmentCurrencyCode: CurrencyCode!
  sourceName: String
  subtotalPriceSet: MoneyBag
  taxesIncluded: Boolean!
  test: Boolean!
  totalPriceSet: MoneyBag!
  totalTaxSet: MoneyBag
  updatedAt: DateTime!
}
type OrderEdge { cursor: String! node: Order! }
type OrderConnection { edges: [OrderEdge!]! nodes: [Order!]! pageInfo: PageInfo! }
enum OrderSortKeys {
  CREATED_AT CURRENT_TOTAL_PRICE CUSTOMER_NAME DESTINATION FINANCIAL_STATUS FULFILLMENT_STATUS ID
  ORDER_NUMBER PO_NUMBER PROCESSED_AT RELEVANCE TOTAL_ITEMS_QUANTITY TOTAL_PRICE UPDATED_AT
}

enum WebhookSubscriptionFormat { JSON XML }
enum WebhookSubscriptionTopic {
  APP_UNINSTALLED CUSTOMERS_UPDATE ORDERS_CANCELLED ORDERS_CREATE ORDERS_DELETE ORDERS_EDITED
  ORDERS_FULFILLED ORDERS_PAID ORDERS_PARTIALLY_FULFILLED ORDERS_UPDATED PRODUCTS_UPDATE
  REFUNDS_CREATE
}
type WebhookSubscription implements Node {
  filter: String
  format: WebhookSubscriptionFormat!
  id: ID!
  includeFields: [String!]!
  topic: WebhookSubscriptionTopic!
  uri: String!
}
type WebhookSubscriptionEdge { cursor: String! node: WebhookSubscription! }
type WebhookSubscriptionConnection {
  edges: [WebhookSubscriptionEdge!]! nodes: [WebhookSubscription!]! pageInfo: PageInfo!
}
input WebhookSubscriptionInput {
  filter: String
  format: WebhookSubscriptionFormat
  includeFields: [String!]
  uri: String
}
type UserError { field: [String!] message: String! }
type WebhookSubscriptionCreatePayload {
  userErrors: [UserError!]! webhookSubscription: WebhookSubscription
}
type WebhookSubscriptionUpdatePayload {
  userErrors: [UserError!]! webhookSubscription: WebhookSubscription
}
type WebhookSubscriptionDeletePayload {
  deletedWebhookSubscriptionId: ID userErrors: [UserError!]!
}
"""

_MUTATION_COST: Final = 10
_CONNECTION_COST: Final = 2


@dataclass(frozen=True, slots=True)
class OrderNode:
    """An order as the schema's resolvers get it: the body that a webhook would have."""

    body: Document


@dataclass(frozen=True, slots=True)
class LineNode:
    body: Document
    order: Document
    number: int

    @property
    def made_up_id(self) -> str:
        return f"{self.order['id']}{self.number:04}"


def order_id(body: Document) -> str:
    return f"gid://shopify/Order/{body['id']}"


def instant(value: str) -> datetime:
    """In whole seconds, as the API has them."""
    return datetime.fromisoformat(value).astimezone(UTC).replace(microsecond=0)


def _time(value: str | None) -> str | None:
    return None if value is None else f"{instant(value):%Y-%m-%dT%H:%M:%SZ}"


def _decimal(value: object) -> str:
    """Without the zeros at the end, but for one: "49.00" is "49.0"."""
    amount = f"{Decimal(str(value)).normalize():f}"
    return amount if "." in amount else f"{amount}.0"


def _bag(owner: Document, name: str, order: Document, otherwise: object) -> dict[str, Any]:
    """From the bag of that name, or else from the plain amount."""
    bag = owner.get(f"{name}_set") or {}
    currency = order["currency"]
    amount = owner.get(name)
    plain = {
        "amount": otherwise if amount is None else amount,
        "currency_code": currency,
    }
    return {
        f"{where}Money": {
            "amount": _decimal(money["amount"]),
            "currencyCode": money.get("currency_code", currency),
        }
        for where in ("shop", "presentment")
        for money in [bag.get(f"{where}_money") or plain]
    }


def _order_bag(name: str, otherwise: Callable[[Document], object]) -> Callable[[Document], object]:
    return lambda body: _bag(body, name, body, otherwise(body))


def _journey(body: Document) -> dict[str, Any]:
    """A visit that is known, if there is a page at which it began."""
    page = body.get("landing_site")
    if page is not None and page.startswith("/"):
        page = f"https://shop.example{page}"
    visit = None if page is None else {"landingPage": page}
    return {"ready": True, "firstVisit": visit, "lastVisit": visit}


# Documents may have no more than tests care for: what is missing gets the usual value.
_ORDER: Final[Mapping[str, Callable[[Document], object]]] = {
    "cancelledAt": lambda body: _time(body.get("cancelled_at")),
    "createdAt": lambda body: _time(body["created_at"]),
    "currencyCode": lambda body: body["currency"],
    "currentTotalPriceSet": _order_bag("current_total_price", lambda body: body["total_price"]),
    "currentTotalTaxSet": _order_bag("current_total_tax", lambda body: body.get("total_tax", 0)),
    "customAttributes": lambda body: [
        {"key": row["name"], "value": row.get("value")} for row in body.get("note_attributes") or ()
    ],
    "customerJourneySummary": _journey,
    "displayFinancialStatus": lambda body: (
        None if body.get("financial_status") is None else body["financial_status"].upper()
    ),
    "id": order_id,
    "legacyResourceId": lambda body: str(body["id"]),
    "name": lambda body: body.get("name", f"#{body['id']}"),
    "number": lambda body: body.get("order_number", 1001),
    "presentmentCurrencyCode": lambda body: body.get("presentment_currency") or body["currency"],
    "sourceName": lambda body: body.get("source_name"),
    "subtotalPriceSet": _order_bag("subtotal_price", lambda body: body["total_price"]),
    "taxesIncluded": lambda body: body.get("taxes_included", True),
    "test": lambda body: body.get("test", False),
    "totalPriceSet": _order_bag("total_price", lambda body: body["total_price"]),
    "totalTaxSet": _order_bag("total_tax", lambda _: 0),
    "updatedAt": lambda body: _time(body.get("updated_at") or body["created_at"]),
}


def _line_bags(field: str, name: str, inner: str) -> Callable[[LineNode], object]:
    return lambda line: [
        {field: _bag(row, inner, line.order, 0), "rate": row.get("rate"), "title": "VAT"}
        for row in line.body.get(name) or ()
    ]


_LINE: Final[Mapping[str, Callable[[LineNode], object]]] = {
    "currentQuantity": lambda line: line.body.get("current_quantity", line.body["quantity"]),
    "discountAllocations": _line_bags("allocatedAmountSet", "discount_allocations", "amount"),
    "id": lambda line: f"gid://shopify/LineItem/{line.body.get('id') or line.made_up_id}",
    "isGiftCard": lambda line: line.body.get("gift_card", False),
    "name": lambda line: line.body.get("name", ""),
    "originalUnitPriceSet": lambda line: _bag(line.body, "price", line.order, 0),
    "quantity": lambda line: line.body["quantity"],
    "taxLines": _line_bags("priceSet", "tax_lines", "price"),
}


def fields_of(schema: GraphQLSchema, name: str) -> dict[str, GraphQLField]:
    fields: dict[str, GraphQLField] = cast("GraphQLObjectType", schema.type_map[name]).fields
    return fields


def make_schema() -> GraphQLSchema:
    """With what the fields of orders and lines say; the root fields are the system's to fill."""
    schema = build_schema(_SDL)
    for name, say in _ORDER.items():
        fields_of(schema, "Order")[name].resolve = lambda node, _, _say=say: _say(node.body)
    for name, tell in _LINE.items():
        fields_of(schema, "LineItem")[name].resolve = lambda line, _, _tell=tell, **__: _tell(line)
    node = cast("GraphQLInterfaceType", schema.type_map["Node"])
    node.resolve_type = lambda value, *_: (
        "Order" if isinstance(value, OrderNode) else "WebhookSubscription"
    )
    return schema


class Costs:
    """What one operation costs: as `requested` with its variables, and in fact, with its data."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> None:
        self._schema = schema
        self._variables = variables
        self._operation = operation
        self._mutation = operation.operation.value == "mutation"
        self._root = schema.mutation_type if self._mutation else schema.query_type

    def requested(self) -> int:
        return self._of(self._root, self._operation.selection_set, _Unknown())

    def actual(self, data: Mapping[str, Any]) -> int:
        return self._of(self._root, self._operation.selection_set, data)

    def _of(self, kind: Any, selections: SelectionSetNode, data: Any) -> int:
        total, fragments = 0, [0]
        for selection in selections.selections:
            if isinstance(selection, InlineFragmentNode):
                below = self._schema.type_map[selection.type_condition.name.value]
                fragments.append(self._of(below, selection.selection_set, data))
            elif isinstance(selection, FieldNode) and selection.selection_set is not None:
                total += self._of_field(kind, selection, selection.selection_set, data)
        return total + max(fragments)

    def _of_field(self, kind: Any, node: FieldNode, selections: SelectionSetNode, data: Any) -> int:
        field = kind.fields[node.name.value]
        below = get_named_type(field.type)
        value = data.get(node.alias.value if node.alias else node.name.value)
        if self._mutation and kind is self._root:
            return _MUTATION_COST
        if value is None:
            return 0
        if below.name.endswith("Connection"):
            return _CONNECTION_COST + self._of_rows(node, below, selections, value)
        nullable = field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type
        if not is_list_type(nullable):
            return 1 + self._of(below, selections, value)
        ids = self._argument(node, "ids")
        if not isinstance(ids, list):  # a plain list costs what one of its objects does
            rows = value if isinstance(value, list) else [value]
            return 1 + self._of(below, selections, rows[0]) if rows else 0
        rows = value if isinstance(value, list) else [value] * len(ids)
        return sum(1 + self._of(below, selections, row) for row in rows if row is not None)

    def _argument(self, node: FieldNode, name: str) -> object:
        for argument in node.arguments:
            if argument.name.value == name:
                return value_from_ast_untyped(argument.value, dict(self._variables))
        return None

    def _of_rows(self, node: FieldNode, below: Any, selections: SelectionSetNode, data: Any) -> int:
        """Of a connection: its nodes, whether or not they come as edges."""
        asked = self._argument(node, "first")
        first = asked if isinstance(asked, int) else 0
        total = 0
        for selection in selections.selections:
            if not isinstance(selection, FieldNode) or selection.selection_set is None:
                continue
            name = selection.name.value
            if name == "pageInfo":
                continue
            kind = get_named_type(below.fields[name].type)
            rows = data.get(selection.alias.value if selection.alias else name)
            each = 0 if kind.name.endswith("Edge") else 1
            if isinstance(rows, _Unknown):
                total += first * (each + self._of(kind, selection.selection_set, rows))
            else:
                total += sum(each + self._of(kind, selection.selection_set, row) for row in rows)
        return total


class _Unknown:
    """In place of data: everything is there."""

    def get(self, _: str) -> _Unknown:
        return self
