"""Taking a stack away: what goes with it, what AWS keeps of it and what that costs, the removal.

The stack goes first. Then, where that is wanted, the data, which outlive it on purpose.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from prisjakt_relay.errors import SetupError, StorageError
from prisjakt_relay.operations import (
    ledger_items,
    platform_access,
    queue_messages,
    shop_documents,
)
from prisjakt_relay.operations.aws_errors import told
from prisjakt_relay.operations.stack import (
    clock,
    connect,
    resources_of,
    session_of,
    told_clearly,
)

RETAINED: Final = ("Ledger", "DeadLetters")  # the template's `DeletionPolicy: Retain`

# List prices in USD, of us-east-1; the other regions' are close to them.
SECRET_A_MONTH: Final = Decimal("0.40")
GIGABYTE_A_MONTH: Final = Decimal("0.25") + Decimal("0.20")  # storage, point-in-time recovery
_GIGABYTE: Final = 1024**3

LEDGER: Final = "ledger table"
DEAD_LETTERS: Final = "dead-letter queue"
_SECRETS: Final = {"shops": "shop document", "platform-api": "shop system credentials"}
_DESCRIPTIONS: Final = (shop_documents.DESCRIPTION, platform_access.DESCRIPTION)

_OURS: Final = "(prisjakt-relay)"  # in the template's description
_GONE: Final = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
    }
)
_IN_THE_WAY: Final = "ValidationException"  # AWS names the setting, a deletion protection
_DELETED: Final = "DELETE_COMPLETE"
_ENDS: Final = (_DELETED, "DELETE_FAILED")
_FIRST_POLL_SECONDS: Final = 0.25
_POLL_SECONDS: Final = 3.0
_LONGEST: Final = timedelta(minutes=30)

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Part:
    """Something with a price that stays when the stack goes."""

    kind: str
    name: str
    id: str
    items: int | None = None
    size: int | None = None  # in bytes
    messages: int | None = None
    monthly: Decimal = Decimal("0.00")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is of a relay; without `stack_id` its stack is gone already."""

    name: str
    region: str
    stack_id: str | None
    status: str
    resources: Mapping[str, int]
    waiting: int
    data: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What CloudFormation says of one resource, or of the stack itself."""

    resource: str
    kind: str
    status: str
    reason: str
    is_stack: bool


class Uninstaller:
    """One stack's name in one region, with everything that goes by it."""

    def __init__(self, name: str, *, region: str | None, profile: str | None) -> None:
        with told_clearly():
            self._session = session_of(region=region, profile=profile)
            self._clients: dict[str, Any] = {}
            self._cloudformation = self._client("cloudformation")
        self.name = name
        self.region = str(self._session.region_name)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = connect(self._session, service)
        return self._clients[service]

    def inventory(self) -> Inventory:
        """Everything there is. Raises `SetupError` if that is nothing, or not a relay's."""
        with told_clearly():
            stack = self._living()
            resources = resources_of(self._cloudformation, self.name) if stack else []
            tables = list(self._tables(resources))
            ours = bool(stack or tables)  # else what has its name may be anybody's
            found = Inventory(
                name=self.name,
                region=self.region,
                stack_id=stack["StackId"] if stack else None,
                status=stack["StackStatus"] if stack else "",
                resources=Counter(
                    str(each["ResourceType"])
                    for each in resources
                    if each["LogicalResourceId"] not in RETAINED
                    and each["ResourceStatus"] != _DELETED
                ),
                waiting=self._waiting(resources),
                data=(*tables, *self._queues(resources, ours), *self._secrets(ours)),
            )
        if found.stack_id is None and not found.data:
            raise SetupError(
                f"there is no stack {self.name} in {self.region}, and nothing that one left "
                "behind: name it with --stack, its region with --region"
            )
        return found

    def _living(self) -> dict[str, Any] | None:
        """The stack; of an ARN the name is kept, by which the data are found."""
        stack = self._stack(self.name)
        if stack is None:
            return None
        self.name = str(stack["StackName"])
        if stack["StackStatus"] != _DELETED:
            return stack
        if self._stack(self.name) is not None:
            raise SetupError(
                f"that stack {self.name} is gone, but there is a newer one of its name: to remove "
                f"that one, say --stack {self.name}"
            )
        return None

    def _stack(self, name: str) -> dict[str, Any] | None:
        try:
            (stack,) = self._cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            return None
        if _OURS not in stack.get("Description", ""):
            raise SetupError(f"the stack {name} is not a relay: name another with --stack")
        if stack.get("EnableTerminationProtection"):
            raise SetupError(
                f"the stack {name} is protected from deletion: `aws cloudformation "
                f"update-termination-protection --no-enable-termination-protection --stack-name "
                f"{name}` ends that"
            )
        return dict(stack)

    def _waiting(self, resources: list[dict[str, Any]]) -> int:
        """How many orders are in the queue, those being worked on included."""
        return sum(self._messages(url) or 0 for url in _ids(resources, "ConversionQueue"))

    def _messages(self, url: str) -> int | None:
        """None if the queue is gone."""
        sqs = self._client("sqs")
        answer = _unless_gone(
            partial(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=queue_messages.COUNTS)
        )
        return answer and queue_messages.number(answer)

    def _is_named(self, name: str, role: str) -> bool:
        """As CloudFormation names what it makes: stack, logical id, a random end."""
        return re.fullmatch(rf"{re.escape(self.name)}-{role}-[A-Za-z0-9]+", name) is not None

    def _tables(self, resources: list[dict[str, Any]]) -> Iterator[Part]:
        """The stack's own, and those that earlier stacks of its name have left."""
        dynamodb = self._client("dynamodb")
        own = _ids(resources, "Ledger")
        listed = [
            str(name)
            for page in dynamodb.get_paginator("list_tables").paginate()
            for name in page["TableNames"]
            if self._is_named(name, "Ledger")
        ]
        for name in dict.fromkeys([*own, *listed]):
            answer = _unless_gone(partial(dynamodb.describe_table, TableName=name))
            if answer is None or answer["Table"]["TableStatus"] == "DELETING":
                continue
            table = answer["Table"]
            if name not in own and not _is_ledger(table):
                continue
            size = table.get("TableSizeBytes", 0) + sum(
                index.get("IndexSizeBytes") or 0
                for index in table.get("GlobalSecondaryIndexes", ())
            )
            yield Part(
                kind=LEDGER,
                name=name,
                id=name,
                items=table.get("ItemCount", 0),
                size=size,
                monthly=_cents(GIGABYTE_A_MONTH * size / _GIGABYTE),
            )

    def _queues(self, resources: list[dict[str, Any]], ours: bool) -> Iterator[Part]:
        """The stack's own, whose name AWS may have shortened, and those of earlier ones."""
        if not ours:
            return
        pages = self._client("sqs").get_paginator("list_queues")
        listed = [
            str(url)
            for page in pages.paginate(QueueNamePrefix=f"{self.name}-DeadLetters-"[:80])
            for url in page.get("QueueUrls", ())
            if self._is_named(_queue_name(url), "DeadLetters")
        ]
        own = {_queue_name(url): url for url in _ids(resources, "DeadLetters")}
        for name, url in (own | {_queue_name(url): url for url in listed}).items():
            messages = self._messages(url)
            if messages is not None:
                yield Part(DEAD_LETTERS, name, url, messages=messages)

    def _secrets(self, ours: bool) -> Iterator[Part]:
        pages = self._client("secretsmanager").get_paginator("list_secrets")
        for page in pages.paginate(Filters=[{"Key": "name", "Values": [f"{self.name}/"]}]):
            for secret in page["SecretList"]:
                stack, _, path = str(secret["Name"]).partition("/")
                kind = _SECRETS.get(path.partition("/")[0])
                known = ours or secret.get("Description") in _DESCRIPTIONS
                if stack == self.name and kind is not None and known:
                    name = path.partition("/")[2]
                    yield Part(kind, name, secret["Name"], monthly=SECRET_A_MONTH)

    def delete_stack(
        self, stack_id: str, *, sleep: Callable[[float], None] = time.sleep
    ) -> Iterator[Step]:
        """Delete it and tell each step, until it is gone or cannot go.

        Whoever stops listening stops nothing: AWS goes on.
        """
        with told_clearly():
            before = self._events(stack_id, since=None)
            newest = before[-1]["EventId"] if before else None
            if before and (last := _step(before[-1], stack_id)).status == _DELETED:
                yield last
                return
            try:
                self._cloudformation.delete_stack(StackName=stack_id)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ValidationError":
                    raise
                raise SetupError(
                    f"the stack {self.name} cannot go now: {_message(error)}"
                ) from None
        end, pause = clock() + _LONGEST, _FIRST_POLL_SECONDS
        while clock() < end:
            sleep(pause)
            pause = min(2 * pause, _POLL_SECONDS)
            with told_clearly():
                events = self._events(stack_id, since=newest)
            for event in events:
                newest = event["EventId"]
                step = _step(event, stack_id)
                yield step
                if step.is_stack and step.status in _ENDS:
                    return
        raise StorageError(f"the stack {self.name} is still going: run it again to go on")

    def _events(self, stack_id: str, *, since: str | None) -> list[dict[str, Any]]:
        """Those after the event `since`, the oldest first."""
        found: list[dict[str, Any]] = []
        pages = self._cloudformation.get_paginator("describe_stack_events")
        for page in pages.paginate(StackName=stack_id):
            for event in page["StackEvents"]:
                if event["EventId"] == since:
                    return found[::-1]
                found.append(event)
        return found[::-1]

    def remove(self, part: Part) -> str | None:
        """Remove it for good; what was wrong, if it is still there."""
        try:
            _unless_gone(self._removal(part))
        except ClientError as error:
            clear = told(error)
            names_it = error.response["Error"]["Code"] == _IN_THE_WAY
            return _message(error) if names_it or not isinstance(clear, SetupError) else str(clear)
        except BotoCoreError as error:
            return str(told(error))
        return None

    def _removal(self, part: Part) -> Callable[[], object]:
        if part.kind == LEDGER:
            return partial(self._client("dynamodb").delete_table, TableName=part.id)
        if part.kind == DEAD_LETTERS:
            return partial(self._client("sqs").delete_queue, QueueUrl=part.id)
        return partial(
            self._client("secretsmanager").delete_secret,
            SecretId=part.id,
            ForceDeleteWithoutRecovery=True,  # else a new shop could not have its name for a while
        )


def _ids(resources: list[dict[str, Any]], logical_id: str) -> list[str]:
    return [
        str(each["PhysicalResourceId"])
        for each in resources
        if each["LogicalResourceId"] == logical_id and each.get("PhysicalResourceId")
    ]


def _is_ledger(table: Mapping[str, Any]) -> bool:
    """Another program's table may have a name like ours, but not this key and this index."""
    indexes = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", ())}
    hash_keys = [key["AttributeName"] for key in table["KeySchema"] if key["KeyType"] == "HASH"]
    return hash_keys == ["id"] and ledger_items.DEAD in indexes


def _queue_name(url: str) -> str:
    return url.rsplit("/", 1)[1]


def _unless_gone(call: Callable[[], _Value]) -> _Value | None:
    try:
        return call()
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise
        return None


def _step(event: Mapping[str, Any], stack_id: str) -> Step:
    return Step(
        resource=event["LogicalResourceId"],
        kind=event["ResourceType"],
        status=event["ResourceStatus"],
        reason=event.get("ResourceStatusReason", ""),
        is_stack=event.get("PhysicalResourceId") == stack_id,
    )


def _message(error: ClientError) -> str:
    return str(error.response["Error"].get("Message") or error.response["Error"]["Code"])


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)
