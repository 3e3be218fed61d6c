"""DynamoDB as Powertools' idempotency layer calls it: one table, its four calls, its conditions.

Conditions are evaluated as DynamoDB does it: nothing compares with what is not there, AND binds
tighter than OR. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from prisjakt_relay.errors import AwsError
from prisjakt_relay.tables import CONDITION_FAILED

Item = dict[str, dict[str, Any]]

_TOKEN: Final = re.compile(r"\s*([#:\w]+|[()]|<>|[<>]=?|=)")
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_KEY: Final = "id"


class IdempotencyTable:
    """One table with the hash key `id`."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if operation == "PutItem":
            return self._put(parameters)
        key = parameters["Key"][_KEY]["S"]
        item = self.items.get(key)
        if operation == "GetItem":
            return {} if item is None else {"Item": item}
        if operation == "DeleteItem":
            self.items.pop(key, None)
            return {}
        if operation == "UpdateItem":
            self.items[key] = {**parameters["Key"], **(item or {}), **_changes(parameters)}
            return {}
        raise AwsError(operation, "UnknownOperationException")

    def _put(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        key = parameters["Item"][_KEY]["S"]
        item = self.items.get(key)
        condition = parameters.get("ConditionExpression")
        if condition and not _Condition(condition, parameters, item or {}).holds():
            told = parameters.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            raise AwsError("PutItem", CONDITION_FAILED, {"Item": item} if told and item else {})
        self.items[key] = parameters["Item"]
        return {}


class _Condition:
    """Reads a condition from left to right against one item."""

    def __init__(self, text: str, parameters: Mapping[str, Any], item: Item) -> None:
        self._tokens: list[str] = _TOKEN.findall(text)
        self._names: Mapping[str, str] = parameters.get("ExpressionAttributeNames", {})
        self._values: Item = parameters.get("ExpressionAttributeValues", {})
        self._item = item

    def holds(self) -> bool:
        result = self._either()
        if self._tokens:
            raise ValueError(f"not understood: {' '.join(self._tokens)}")
        return result

    def _either(self) -> bool:
        result = self._all()
        while self._is_next("OR"):
            result |= self._all()
        return result

    def _all(self) -> bool:
        result = self._one()
        while self._is_next("AND"):
            result &= self._one()
        return result

    def _one(self) -> bool:
        if self._is_next("("):
            result = self._either()
            self._take(")")
            return result
        first = self._take()
        if first in ("attribute_exists", "attribute_not_exists"):
            self._take("(")
            is_there = self._names.get(name := self._take(), name) in self._item
            self._take(")")
            return is_there == (first == "attribute_exists")
        comparison = _COMPARISONS[self._take()]
        left, right = self._item.get(self._names.get(first, first)), self._values[self._take()]
        if left is None or left.keys() != right.keys():
            return False
        ((kind, held),), ((_, given),) = left.items(), right.items()
        return comparison(Decimal(held), Decimal(given)) if kind == "N" else comparison(held, given)

    def _is_next(self, token: str) -> bool:
        if self._tokens[:1] != [token]:
            return False
        self._tokens.pop(0)
        return True

    def _take(self, expected: str | None = None) -> str:
        token = self._tokens.pop(0)
        if expected is not None and token != expected:
            raise ValueError(f"{token} instead of {expected}")
        return token


def _changes(parameters: Mapping[str, Any]) -> Item:
    names, values = parameters["ExpressionAttributeNames"], parameters["ExpressionAttributeValues"]
    parts = parameters["UpdateExpression"].removeprefix("SET ").split(",")
    pairs = [part.strip().partition(" = ") for part in parts]
    return {names[name]: values[value] for name, _, value in pairs}
