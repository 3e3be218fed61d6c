"""DynamoDB as the relay calls it: JSON requests on a table whose hash key is `id`.

It understands the expressions that `DynamoStore` writes and no others. `test_models.py` compares it
with the embedded AWS, call by call.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from prisjakt_relay.errors import AwsError
from prisjakt_relay.tables import CONDITION_FAILED

MOST_KEYS: Final = 100  # in one request for many items

Item = dict[str, dict[str, Any]]  # attribute name to {type: value}, as it is on the wire

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ABSENT: Final = re.compile(r"attribute_not_exists\((#?\w+)\)")
_COMPARED: Final = re.compile(r"(#?\w+) (=|<=?|>=?) (:\w+)")
_EITHER: Final = re.compile(r"\((.+) OR (.+)\)")
_ADDED: Final = re.compile(r"(#\w+) = \1 \+ (:\w+)")
_SET: Final = re.compile(r"(#\w+) = (:\w+)")


class DynamoDb:
    """One table. `now` is in seconds since 1970; an item is deleted `ttl_lag` after it expires.

    `leaves` says how many of so many keys a batch does not process.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        ttl_lag: float = 0.0,
        leaves: Callable[[int], int] = lambda _: 0,
    ) -> None:
        self.items: dict[str, Item] = {}
        self._now = now
        self._ttl_lag = ttl_lag
        self._leaves = leaves

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The answer's JSON, as `aws.Service.call` gives it; raises `AwsError`."""
        return _OPERATIONS[operation](self, parameters)

    def item(self, item_key: str) -> Item | None:
        item = self.items.get(item_key)
        if item is None:
            return None
        expires_at = item.get("expires_at")
        if expires_at is not None and int(expires_at["N"]) + self._ttl_lag < self._now():
            del self.items[item_key]
            return None
        return item

    def _get(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        assert parameters["ConsistentRead"], "an item may be read as it no longer is"
        item = self.item(parameters["Key"]["id"]["S"])
        return {} if item is None else {"Item": item}

    def _get_many(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        ((table, asked),) = parameters["RequestItems"].items()
        keys = [each["id"]["S"] for each in asked["Keys"]]
        if not 0 < len(keys) <= MOST_KEYS or len({*keys}) < len(keys):
            raise AwsError("BatchGetItem", "ValidationException")
        done = len(keys) - self._leaves(len(keys))
        found = [item for item in map(self.item, keys[:done]) if item]
        left = {table: {**asked, "Keys": asked["Keys"][done:]}} if done < len(keys) else {}
        return {"Responses": {table: found}, "UnprocessedKeys": left}

    def _put(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        item = parameters["Item"]
        item_key = item["id"]["S"]
        self._require("PutItem", self.item(item_key), parameters)
        self.items[item_key] = dict(item)
        return {}

    def _update(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        item_key = parameters["Key"]["id"]["S"]
        old = self.item(item_key)
        self._require("UpdateItem", old, parameters)
        names, values = _names(parameters), parameters["ExpressionAttributeValues"]
        item = dict(old or parameters["Key"])
        for name, value, is_added in _changes(parameters["UpdateExpression"]):
            if is_added and names[name] not in item:
                raise AwsError("UpdateItem", "ValidationException")
            before = int(item[names[name]]["N"]) if is_added else 0
            given = values[value]
            item[names[name]] = {"N": str(before + int(given["N"]))} if is_added else given
        self.items[item_key] = item
        return {"Attributes": item}

    def _require(self, operation: str, item: Item | None, parameters: Mapping[str, Any]) -> None:
        names, values = _names(parameters), parameters.get("ExpressionAttributeValues", {})
        if all(
            any(_holds(item or {}, names, values, each) for each in either)
            for either in _terms(parameters["ConditionExpression"])
        ):
            return
        told = parameters.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        raise AwsError(operation, CONDITION_FAILED, {"Item": item} if told and item else {})


_OPERATIONS: Final[Mapping[str, Callable[[DynamoDb, Mapping[str, Any]], dict[str, Any]]]] = {
    "GetItem": DynamoDb._get,
    "BatchGetItem": DynamoDb._get_many,
    "PutItem": DynamoDb._put,
    "UpdateItem": DynamoDb._update,
}

Term = tuple[str, str, str]  # name, comparison, value; the comparison is empty for "is not there"


@cache
def _terms(expression: str) -> tuple[tuple[Term, ...], ...]:
    """Terms that are joined by OR, joined by AND."""
    return tuple(
        tuple(_term(each) for each in (either.groups() if either else (part,)))
        for part in expression.split(" AND ")
        for either in [_EITHER.fullmatch(part)]
    )


def _term(text: str) -> Term:
    absent = _ABSENT.fullmatch(text)
    if absent:
        return absent[1], "", ""
    compared = _COMPARED.fullmatch(text)
    assert compared, f"an expression that the relay does not write: {text}"
    return compared[1], compared[2], compared[3]


@cache
def _changes(expression: str) -> tuple[tuple[str, str, bool], ...]:
    """Name, value, and whether the value is added to what is there."""
    changes = []
    for part in expression.removeprefix("SET ").split(", "):
        added = _ADDED.fullmatch(part)
        change = added or _SET.fullmatch(part)
        assert change, f"an expression that the relay does not write: {part}"
        changes.append((change[1], change[2], added is not None))
    return tuple(changes)


def _names(parameters: Mapping[str, Any]) -> Mapping[str, str]:
    names: Mapping[str, str] = parameters.get("ExpressionAttributeNames", {})
    return names


def _holds(
    item: Item, names: Mapping[str, str], values: Mapping[str, dict[str, Any]], term: Term
) -> bool:
    name, comparison, value = term
    held = item.get(names.get(name, name))
    if not comparison:
        return held is None
    ((kind, given),) = values[value].items()
    if held is None or kind not in held:  # nothing compares with another type
        return False
    sides = (held[kind], given)
    left, right = map(int, sides) if kind == "N" else sides
    return _COMPARISONS[comparison](left, right)
