"""The ledger's items as its indexes list them, a page in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeVar

from prisjakt_relay import ledger
from prisjakt_relay.conversion import AHEAD, PURCHASE, TEST_PURCHASE
from prisjakt_relay.ledger import FURTHEST, Record, key, shop_day
from prisjakt_relay.operations.stack import Stack, clock, told_clearly
from prisjakt_relay.operations.threads import threads
from prisjakt_relay.tables import plain_item

BY_DAY: Final = ledger.BY_DAY
DEAD: Final = ledger.DEAD
DAYS_KEPT: Final = FURTHEST.days
_DAYS_AT_ONCE: Final = 8

T = TypeVar("T")


def pages(stack: Stack, operation: str, question: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every answer to a `Query` or `Scan` of the ledger's table."""
    parameters = {"TableName": stack.outputs["LedgerTable"], **question}
    while True:
        with told_clearly():
            page = stack.dynamodb.call(operation, parameters)
        yield page
        if not (last := page.get("LastEvaluatedKey")):
            return
        parameters["ExclusiveStartKey"] = last


def items(stack: Stack, operation: str, question: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What is on those pages."""
    for page in pages(stack, operation, question):
        yield from map(plain_item, page["Items"])


def days(since: datetime, until: datetime) -> Iterator[date]:
    """The days in UTC of which the interval has a part."""
    day = since.astimezone(UTC).date()
    while datetime.combine(day, time(), UTC) < until:
        yield day
        day += timedelta(days=1)


def of_day(
    stack: Stack, shop: str, day: date, *, reference: str | None = None
) -> Iterator[dict[str, Any]]:
    """The orders that a shop took on a day in UTC, newest first; only those of the reference."""
    values = {":day": {"S": shop_day(shop, day.isoformat())}}
    question: dict[str, Any] = {
        "IndexName": BY_DAY,
        "KeyConditionExpression": "shop_day = :day",
        "ExpressionAttributeValues": values,
        "ScanIndexForward": False,
    }
    if reference is not None:
        question["FilterExpression"] = "external_id = :reference"
        values[":reference"] = {"S": reference}
    return items(stack, "Query", question)


def of_each_day(stack: Stack, read: Callable[[date], T]) -> Iterator[T]:
    """What `read` finds for each day that the ledger may have orders of, the newest first.

    That is hundreds of queries. Where nobody asks for more, those that have not begun are not made.
    """
    newest = (clock() + AHEAD).date()
    stack.dynamodb  # noqa: B018  # one for all threads, made before there are any
    with threads(_DAYS_AT_ONCE) as pool:
        yield from pool.map(read, (newest - timedelta(days=back) for back in range(DAYS_KEPT)))


def known_records(stack: Stack, shop: str, order_id: str) -> tuple[Record, ...]:
    """What the ledger has of an order id, dead or not: a purchase, a test purchase, or both."""
    with told_clearly():
        both = [stack.ledger.get(key(shop, order_id, name)) for name in (PURCHASE, TEST_PURCHASE)]
    return tuple(record for record in both if record is not None)
