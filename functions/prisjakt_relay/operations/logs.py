"""The functions' lines in CloudWatch Logs, read with Logs Insights.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from prisjakt_relay.errors import StorageError
from prisjakt_relay.operations.stack import Stack, clock, told_clearly

Line = Mapping[str, Any]
"""One JSON line of a function; its field `at` is when it was written."""

MOST: Final = 10_000  # that one query answers
_POLL_SECONDS: Final = 0.3
_LONGEST: Final = timedelta(minutes=2)
_SHORTEST: Final = timedelta(seconds=1)
_NO_SUCH_TIME: Final = "log groups creation time or exceeds the log groups log retention"
_RUNNING: Final = frozenset({"Scheduled", "Running"})


def lines(
    stack: Stack,
    fields: Mapping[str, str],
    since: datetime,
    until: datetime,
    *,
    groups: tuple[str, ...] = ("ReceiverLogGroup", "SenderLogGroup", "ReconcilerLogGroup"),
    on_page: Callable[[int], None] = lambda _: None,
) -> Iterator[Line]:
    """Every line of an interval whose fields have these values, oldest first.

    `groups` are outputs of the stack. `on_page` hears how many lines each query found. Queries are
    cut down to about a second: of more lines than one answers in that time, some are missing.
    """
    found, complete = _query(stack, groups, since, until, fields, newest_first=False, most=MOST)
    if complete or until - since <= _SHORTEST:
        on_page(len(found))
        yield from found
        return
    middle = since + (until - since) / 2  # too many for one query
    middle -= timedelta(microseconds=middle.microsecond % 1000)  # lines have whole milliseconds
    before = middle - timedelta(milliseconds=1)
    yield from lines(stack, fields, since, before, groups=groups, on_page=on_page)
    yield from lines(stack, fields, middle, until, groups=groups, on_page=on_page)


def newest(
    stack: Stack,
    fields: Mapping[str, str],
    since: datetime,
    *,
    groups: tuple[str, ...] = ("ReceiverLogGroup",),
) -> Line | None:
    """The last line whose fields have these values, if there is one since then."""
    return next(iter(recent(stack, fields, since, most=1, groups=groups)), None)


def recent(
    stack: Stack,
    fields: Mapping[str, str],
    since: datetime,
    *,
    most: int,
    groups: tuple[str, ...] = ("ReceiverLogGroup",),
) -> list[Line]:
    """The last lines whose fields have these values, newest first."""
    until = clock() + timedelta(minutes=1)
    return _query(stack, groups, since, until, fields, newest_first=True, most=most)[0]


def _query(
    stack: Stack,
    groups: tuple[str, ...],
    since: datetime,
    until: datetime,
    fields: Mapping[str, str],
    *,
    newest_first: bool,
    most: int,
) -> tuple[list[Line], bool]:
    """The lines, and whether that is all of them."""
    stages = ["fields @timestamp, @message"]
    stages += [
        f"filter @message like /{_as_pattern(name, value)}/" for name, value in fields.items()
    ]
    stages += [f"sort @timestamp {'desc' if newest_first else 'asc'}", f"limit {most}"]
    with told_clearly():
        client = stack.client("logs")
        try:
            query = client.start_query(
                # An older stack has no reconciler.
                logGroupNames=[stack.outputs[each] for each in groups if each in stack.outputs],
                startTime=int(since.timestamp()),
                endTime=int(until.timestamp()) + 1,
                queryString=" | ".join(stages),
            )["queryId"]
        except ClientError as error:
            if _NO_SUCH_TIME not in str(error):
                raise
            return [], True  # before the stack was there, or no longer kept
        rows = _rows(client, query)
    found = [
        line
        for line in map(_line, rows)
        if line is not None
        and since <= line["at"] <= until
        and all(str(line.get(name)) == value for name, value in fields.items())
    ]
    return found, len(rows) < most


def _rows(client: Any, query: str) -> list[list[dict[str, str]]]:
    end = clock() + _LONGEST
    complete = False
    try:
        while clock() < end:
            answer = client.get_query_results(queryId=query)
            complete = answer["status"] == "Complete"
            if complete:
                rows: list[list[dict[str, str]]] = answer["results"]
                return rows
            if answer["status"] not in _RUNNING:
                raise StorageError(f"the log query ended as {answer['status']}: try again")
            time.sleep(_POLL_SECONDS)
        raise StorageError("the log query took too long: ask for a shorter interval")
    finally:
        if not complete:  # what runs on is paid for
            with suppress(BotoCoreError, ClientError):
                client.stop_query(queryId=query)


def _as_pattern(name: str, value: str) -> str:
    """A JSON member in the raw line, whatever the spaces. What may mean something to the query, or
    may be written in several ways, is left open: lines are compared once more here."""
    text = re.sub(r"[^A-Za-z0-9_-]", ".{1,12}", value)
    return f'"{name}": ?"{text}"'


def _line(row: list[dict[str, str]]) -> Line | None:
    values = {cell["field"]: cell["value"] for cell in row}
    try:
        line = json.loads(values["@message"])
        moment = datetime.fromisoformat(values["@timestamp"].replace("Z", ""))
    except (KeyError, ValueError):
        return None
    if not isinstance(line, dict):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return line | {"at": moment}
