"""Counts what AWS would charge for while the real functions run: units, requests, bytes, time.

The functions run as Lambda runs them, against stubs that keep the books. The rules are AWS':
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol, overload

from tests.benchmark.aws_stub import AwsStub
from tests.benchmark.loopback import LoopbackHandler, LoopbackServer
from tests.benchmark.prices import Item
from tests.benchmark.runtime_api import Function, FunctionError, Runtime, run

from prisjakt_relay.errors import AwsError
from prisjakt_relay.tables import CONDITION_FAILED

KILOBYTE: Final = 1024
CHUNK: Final = 64 * KILOBYTE
HTTP_UNIT: Final = 512 * KILOBYTE
EVENT_OVERHEAD: Final = 26  # bytes that CloudWatch adds to each log event
STORAGE_OVERHEAD: Final = 100  # bytes that DynamoDB adds to each stored item, also in an index

TableItem = Mapping[str, Mapping[str, Any]]
Usage = Counter[tuple[str, Item]]  # what for, and how many units of what

_PROBE: Final = Path(__file__).with_name("probe.py")
_MARK: Final = "#probe"
_JSON: Final = {"Content-Type": "application/json"}
_TOKEN_PATH: Final = "/token"


def units(size: int, unit: int) -> int:
    """How many units something of this size takes; at least one."""
    return max(1, math.ceil(size / unit))


def item_size(item: TableItem) -> int:
    """Bytes of an item as DynamoDB counts them."""
    return sum(_name_size(name) + _value_size(value) for name, value in item.items())


def _name_size(name: str) -> int:
    return len(name.encode())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        digits = content.lstrip("-").replace(".", "").strip("0")
        return math.ceil(len(digits) / 2) + 1
    if kind in ("BOOL", "NULL"):
        return 1
    if kind == "M":
        return 3 + sum(1 + _name_size(n) + _value_size(v) for n, v in content.items())
    raise ValueError(f"a type of value that the ledger does not use: {kind}")


@dataclass(frozen=True, slots=True)
class Index:
    """A global secondary index; `attributes` are what it holds beside the keys, None for all."""

    name: str
    keys: tuple[str, ...]
    attributes: frozenset[str] | None

    def entry(self, item: TableItem | None, table_key: str = "id") -> TableItem | None:
        """What of the item is in the index, if it is there at all."""
        if item is None or any(key not in item for key in self.keys):
            return None
        held = self.attributes
        kept = {table_key, *self.keys, *(item if held is None else held)}
        return {name: value for name, value in item.items() if name in kept}

    def write_units(self, old: TableItem | None, new: TableItem | None) -> int:
        """An entry that is made, changed or removed is one write; one that gets another key two."""
        before, after = self.entry(old), self.entry(new)
        if before == after:
            return 0
        sizes = [units(item_size(each), KILOBYTE) for each in (before, after) if each is not None]
        if before is None or after is None:
            return sizes[0]
        moved = any(before[key] != after[key] for key in self.keys)
        return sum(sizes) if moved else max(sizes)


def indexes_of(table: Mapping[str, Any]) -> tuple[Index, ...]:
    """The indexes of a table's properties in the template."""
    return tuple(
        Index(
            each["IndexName"],
            tuple(key["AttributeName"] for key in each["KeySchema"]),
            _projected(each["Projection"]),
        )
        for each in table.get("GlobalSecondaryIndexes", ())
    )


def _projected(projection: Mapping[str, Any]) -> frozenset[str] | None:
    if projection["ProjectionType"] == "ALL":
        return None
    return frozenset(projection.get("NonKeyAttributes", ()))


class Model(Protocol):
    """A model of a table with the hash key `id`."""

    items: dict[str, Any]

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The answer's JSON; raises `AwsError`."""


@dataclass(slots=True)
class Books:
    """What was used so far, and how often each AWS service was called."""

    usage: Usage = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)

    def copy(self) -> Books:
        return Books(self.usage.copy(), self.calls.copy())

    def since(self, before: Books) -> Books:
        return Books(self.usage - before.usage, self.calls - before.calls)


class CountedTable:
    """A table whose calls are put down under the kind of item: its key up to the `#`."""

    def __init__(self, model: Model, indexes: Sequence[Index], books: Books) -> None:
        self._model = model
        self._indexes = indexes
        self._books = books

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if operation not in ("GetItem", "PutItem", "UpdateItem"):
            raise AwsError(operation, "UnknownOperationException")
        if operation == "GetItem" and not parameters.get("ConsistentRead"):
            raise ValueError("an eventually consistent read costs half a unit: count it so")
        self._books.calls["dynamodb"] += 1
        usage = self._books.usage
        holder = parameters["Item"] if operation == "PutItem" else parameters["Key"]
        key = holder["id"]["S"]
        kind = key.partition("#")[0]
        old = self._model.items.get(key)
        try:
            answer = self._model.call(operation, parameters)
        except AwsError as error:
            if error.code == CONDITION_FAILED:  # charged as if it had been written
                usage[f"table: {kind}, refused", Item.WRITE_UNIT] += _written(old)
            raise
        new = self._model.items.get(key)
        if operation == "GetItem":
            usage[f"table: {kind}", Item.READ_UNIT] += units(item_size(new or {}), 4 * KILOBYTE)
            return answer
        usage[f"table: {kind}", Item.WRITE_UNIT] += _written(old, new)
        for index in self._indexes:
            if written := index.write_units(old, new):
                usage[f"index: {index.name}", Item.WRITE_UNIT] += written
        return answer


def _written(*items: TableItem | None) -> int:
    """The larger of what was there and what is there now."""
    return max(units(item_size(item or {}), KILOBYTE) for item in items)


class _CountedSecrets(dict[str, str]):
    def __init__(self, secrets: Mapping[str, str], books: Books) -> None:
        super().__init__(secrets)
        self._books = books

    def __getitem__(self, name: str) -> str:
        self._books.calls["secretsmanager"] += 1
        self._books.usage["shop document", Item.SECRET_READ] += 1
        return super().__getitem__(name)


class _CountedMessages(list[dict[str, Any]]):
    def __init__(self, books: Books) -> None:
        super().__init__()
        self._books = books

    def append(self, message: dict[str, Any]) -> None:
        super().append(message)
        self._books.calls["sqs"] += 1
        self._books.usage.update(carried("queue: send", [message]))


def carried(cause: str, messages: Sequence[Mapping[str, Any]]) -> Usage:
    """What one request costs that carries these messages, as they were sent."""
    size = units(sum(len(str(each["MessageBody"]).encode()) for each in messages), CHUNK)
    usage: Usage = Counter({(cause, Item.SQS_REQUEST): size})
    if any("MessageGroupId" in each for each in messages):
        usage[cause, Item.SQS_FAIR] = size
    return usage


class CountingAws(AwsStub):
    """The stub of AWS, with one table, that keeps `books`."""

    def __init__(
        self, secrets: Mapping[str, str], table: str, model: Model, indexes: Sequence[Index]
    ) -> None:
        self.books = Books()
        counted = CountedTable(model, indexes, self.books)
        super().__init__(_CountedSecrets(secrets, self.books), {table: counted})
        self.sent = _CountedMessages(self.books)


class CountingPrisjakt(LoopbackServer):
    """Stores whatever it is told and gives tokens: method, path and size of each request."""

    def __init__(self) -> None:
        super().__init__(_PrisjaktHandler)
        self.requests: list[tuple[str, str, int]] = []

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def token_url(self) -> str:
        return f"{self.url}{_TOKEN_PATH}"


class _PrisjaktHandler(LoopbackHandler):
    server: CountingPrisjakt

    def do_POST(self) -> None:  # noqa: N802
        self._take()
        if self.path == _TOKEN_PATH:
            token = {"access_token": "t" * 800, "token_type": "Bearer", "expires_in": 3600}
            self.answer(200, token, _JSON)
        else:
            self.answer(201, {}, _JSON)

    def do_PATCH(self) -> None:  # noqa: N802
        self._take()
        self.answer(200, {}, _JSON)

    def _take(self) -> None:
        head = len(self.requestline) + len(str(self.headers))
        self.server.requests.append((self.command, self.path, head + len(self.read_body())))


@dataclass(frozen=True, slots=True)
class Step:
    """One invocation: seconds of processor time with the runtime's own part, what it logged and
    answered, and the requests to Prisjakt."""

    books: Books
    cpu: float
    lines: tuple[str, ...]
    response: Any
    reports: tuple[tuple[str, str, int], ...]

    @property
    def log_bytes(self) -> int:
        return log_bytes(self.lines)


@dataclass(frozen=True, slots=True)
class Course:
    """A process from its start on; `init` is its processor time before the first invocation."""

    init: float
    steps: tuple[Step, ...]


def log_bytes(lines: Sequence[str]) -> int:
    return sum(len(line.encode()) + EVENT_OVERHEAD for line in lines)


def metrics_in(lines: Sequence[str]) -> set[tuple[str, ...]]:
    """The custom metrics that these lines make, each with the dimensions that set it apart."""
    found: set[tuple[str, ...]] = set()
    for line in lines:
        with suppress(ValueError):
            logged = json.loads(line)
            for block in logged.get("_aws", {}).get("CloudWatchMetrics", ()):
                for dimensions in block["Dimensions"]:
                    values = [str(logged[name]) for name in dimensions]
                    found |= {
                        (block["Namespace"], metric["Name"], *values) for metric in block["Metrics"]
                    }
    return found


class CourseError(FunctionError):
    """The process did not log what tells its invocations apart."""


def observe(
    function: Function,
    runtime: Runtime,
    aws: CountingAws,
    prisjakt: CountingPrisjakt,
    events: Sequence[Callable[[], object]],
) -> Course:
    """Invoke with one event after the other, each made when its turn comes, and keep the books.

    The last one is sent once more, since an invocation ends where the next begins.
    """
    books: list[Books] = []
    asked: list[int] = []

    def read() -> None:
        books.append(aws.books.copy())
        asked.append(len(prisjakt.requests))

    with tempfile.TemporaryDirectory(prefix="prisjakt-relay-") as folder:
        shutil.copy(_PROBE, folder)
        environment = {
            **function.environment,
            "PYTHONPATH": f"{folder}:{function.artifact}:{runtime.folder}",
            "PROBED": function.handler,
            "PROBE_MARK": _MARK,
        }
        probed = replace(function, handler="probe.handler", environment=environment)
        lifetime = run(probed, runtime, _OneByOne([*events, events[-1]], read))
    marked = [part.partition("\n") for part in lifetime.output.split(f"{_MARK} ")[1:]]
    if len(marked) != len(events) + 1:
        raise CourseError(f"{len(marked)} marks for {len(events) + 1} events\n{lifetime.output}")
    at = [int(moment) / 1e9 for moment, _, _ in marked]
    steps = tuple(
        Step(
            books=books[n + 1].since(books[n]),
            cpu=at[n + 1] - at[n],
            lines=tuple(line for line in marked[n][2].splitlines() if line),
            response=lifetime.responses[n],
            reports=tuple(prisjakt.requests[asked[n] : asked[n + 1]]),
        )
        for n in range(len(events))
    )
    return Course(at[0], steps)


class _OneByOne(Sequence[object]):
    """Events that do not exist before their turn; `read` is called before each."""

    def __init__(self, makers: Sequence[Callable[[], object]], read: Callable[[], None]) -> None:
        self._makers = makers
        self._read = read

    def __iter__(self) -> Iterator[object]:
        for make in self._makers:
            self._read()
            yield make()

    def __len__(self) -> int:
        return len(self._makers)

    @overload
    def __getitem__(self, index: int) -> object: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[object]: ...
    def __getitem__(self, index: int | slice) -> object:
        raise TypeError("these events are made in turn")
