"""How long each function takes from nothing to its first answer, beside the textbook's.

Every process is the runtime's own client behind a Runtime API on loopback. The receivers get one
delivery; the senders one message of the queue, the one that the receiver beside them has sent.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.table import Table
from tests.benchmark import builds, surroundings
from tests.benchmark.aws_stub import AwsStub
from tests.benchmark.deliveries import sqs_record, todays_event
from tests.benchmark.figures import Bench, Figure, Section
from tests.benchmark.idempotency_table import IdempotencyTable
from tests.benchmark.prisjakt_stub import PrisjaktStub
from tests.benchmark.runtime_api import (
    Function,
    Lifetime,
    Runtime,
    WrongAnswerError,
    process_environment,
    run,
)
from tests.benchmark.surroundings import LEDGER, SHOP, SHOPIFY, secret_name, shop_document
from tests.benchmark.template import deployed
from tests.simulation.dynamodb import DynamoDb

IDEMPOTENCY: Final = "idempotency"
RECEIVER: Final = "prisjakt_relay.receiver.app"
SENDER: Final = "prisjakt_relay.sender.app"
IMPORT_RUNS: Final = 5
IMPORTS_SHOWN: Final = 10

EMPTY: Final = "empty handler"
OURS: Final = "receiver, no click id"
OURS_QUEUED: Final = "receiver, click id"
OURS_SENT: Final = "sender"
TEXTBOOK: Final = "textbook receiver, no click id"
TEXTBOOK_QUEUED: Final = "textbook receiver, click id"
TEXTBOOK_SENT: Final = "textbook sender"
PLAIN: Final = "textbook receiver without bytecode, no click id"
PLAIN_QUEUED: Final = "textbook receiver without bytecode, click id"
PLAIN_SENT: Final = "textbook sender without bytecode"


@dataclass(frozen=True)
class Case:
    """A function, one event, and what must come of it."""

    name: str
    function: Function
    event: Mapping[str, Any]
    answer: Mapping[str, object]
    messages: int = 0
    reports: int = 0


@dataclass(frozen=True)
class Target:
    """How long one case may take in parts of another."""

    case: str
    beside: str
    at_most: float
    key: str | None = None


TARGETS: Final = (
    Target(OURS, TEXTBOOK, 0.40, "receiver_init_ratio"),
    Target(OURS_QUEUED, TEXTBOOK_QUEUED, 0.55, "receiver_queue_init_ratio"),
    Target(OURS_SENT, TEXTBOOK_SENT, 0.65, "sender_init_ratio"),
    Target(OURS, PLAIN, 0.20, "receiver_init_ratio_plain"),
    Target(OURS_QUEUED, PLAIN_QUEUED, 0.30),
    Target(OURS_SENT, PLAIN_SENT, 0.35),
)


@dataclass(frozen=True)
class Spread:
    """Milliseconds of one case over all runs."""

    median: float
    minimum: float
    iqr: float
    all: tuple[float, ...]


@dataclass(frozen=True)
class Times:
    """What was measured of one case."""

    init: Spread
    first: Spread
    total: Spread


@dataclass(frozen=True)
class Import:
    """What one module took to import, in milliseconds, with and without those it imports."""

    module: str
    cumulative: float
    own: float


class Surroundings:
    """What the functions reach: AWS with its tables, and Prisjakt."""

    def __init__(self) -> None:
        self.document = shop_document()
        self.ledger = DynamoDb(time.time)
        self.idempotency = IdempotencyTable()
        self.aws = AwsStub(
            {secret_name(): json.dumps(self.document)},
            {LEDGER: self.ledger, IDEMPOTENCY: self.idempotency},
        )
        self.prisjakt = PrisjaktStub()

    def forget_orders(self) -> None:
        """As after another order: what the ledger keeps beside the orders stays."""
        self.aws.sent.clear()
        self.prisjakt.events.clear()
        self.idempotency.items.clear()
        for key in [key for key in self.ledger.items if key.startswith("order#")]:
            del self.ledger.items[key]


def figures(bench: Bench) -> Section:
    runtime = builds.build_runtime(bench.python)
    around = Surroundings()
    with around.aws, around.prisjakt:
        cases = _cases(bench.python, around, runtime)
        lifetimes = _measure(cases, around, runtime, bench)
    functions = {case.name: case.function for case in cases}
    imports = {
        RECEIVER: _heaviest_imports(functions[OURS], RECEIVER, runtime, bench),
        SENDER: _heaviest_imports(functions[OURS_SENT], SENDER, runtime, bench),
    }
    times = {name: _times(of_case) for name, of_case in lifetimes.items()}
    return Section(
        figures=[_figure(target, times) for target in TARGETS],
        tables=[
            _times_table(times, bench.runs),
            *(_imports_table(module, heaviest) for module, heaviest in imports.items()),
        ],
        details={
            "times_ms": {name: asdict(of_case) for name, of_case in times.items()},
            "quartiles_of_ratios": {
                f"{target.case} / {target.beside}": _quartiles(target, times) for target in TARGETS
            },
            "imports_ms": {
                module: [asdict(each) for each in heaviest] for module, heaviest in imports.items()
            },
        },
    )


def _cases(python: Path, around: Surroundings, runtime: Runtime) -> tuple[Case, ...]:
    environment = surroundings.environment(
        aws=around.aws.url,
        queue=around.aws.queue_url,
        prisjakt=around.prisjakt.url,
        tokens=f"{around.prisjakt.url}/oauth2/token",
    )
    secret = around.document["signing_secrets"][0]
    without = todays_event(SHOPIFY / "orders-create-no-click-id", SHOP, secret)
    carrying = todays_event(SHOPIFY / "orders-create-paid", SHOP, secret)

    def ours(name: str, handler: str) -> Function:
        variables = {**deployed().variables(name), **environment}
        return Function(handler, builds.build_function(name, python), variables)

    def textbooks(handler: str, artifact: Path) -> Function:
        # The idempotency layer of the libraries has a table of its own.
        named = {"TABLE_NAME": IDEMPOTENCY, "POWERTOOLS_SERVICE_NAME": "benchmark"}
        return Function(handler, artifact, {**environment, **named})

    empty = Function("empty.handler", builds.build_empty(python), environment)
    receiver = ours(builds.RECEIVER, f"{RECEIVER}.handler")
    sender = ours(builds.SENDER, f"{SENDER}.handler")
    textbook = textbooks("app.handler", builds.build_textbook("app", python))
    plain = textbooks("app.handler", builds.build_textbook_plain("app", python))
    textbook_sender = textbooks("sender.handler", builds.build_textbook("sender", python))
    plain_sender = textbooks("sender.handler", builds.build_textbook_plain("sender", python))

    ignored = {"outcome": "ignored"}
    queued = {"outcome": "queued"}
    settled: Mapping[str, object] = {"batchItemFailures": []}
    receivers = (
        Case(EMPTY, empty, without, {}),
        Case(OURS, receiver, without, {**ignored, "reason": "no_click_id"}),
        Case(OURS_QUEUED, receiver, carrying, queued, messages=1),
        Case(TEXTBOOK, textbook, without, ignored),
        Case(TEXTBOOK_QUEUED, textbook, carrying, queued, messages=1),
        Case(PLAIN, plain, without, ignored),
        Case(PLAIN_QUEUED, plain, carrying, queued, messages=1),
    )
    by_name = {case.name: case for case in receivers}
    message = _message_of(by_name[OURS_QUEUED], around, runtime)
    textbooks_message = _message_of(by_name[TEXTBOOK_QUEUED], around, runtime)
    return (
        *receivers,
        Case(OURS_SENT, sender, message, settled, reports=1),
        Case(TEXTBOOK_SENT, textbook_sender, textbooks_message, settled, reports=1),
        Case(PLAIN_SENT, plain_sender, textbooks_message, settled, reports=1),
    )


def _message_of(receiver: Case, around: Surroundings, runtime: Runtime) -> dict[str, Any]:
    """The event that Lambda makes of what this receiver sends."""
    _live(receiver, around, runtime)
    sent, now = around.aws.sent[0], time.time()
    record = sqs_record(
        sent["MessageBody"],
        message_id=str(uuid.uuid4()),
        receipt=uuid.uuid4().hex,
        sent_at=now,
        received_at=now,
        group=sent["MessageGroupId"],
    )
    return {"Records": [record]}


def _measure(
    cases: Sequence[Case], around: Surroundings, runtime: Runtime, bench: Bench
) -> dict[str, list[Lifetime]]:
    """Round after round through all cases, so that the machine's moods strike all alike.

    The first round reads the files into memory and does not count.
    """
    lifetimes: dict[str, list[Lifetime]] = {case.name: [] for case in cases}
    rounds = [(number, case) for number in range(bench.runs + 1) for case in cases]
    for number, case in bench.track(rounds, "Starts of processes"):
        lifetime = _live(case, around, runtime)
        if number > 0:
            lifetimes[case.name].append(lifetime)
    return lifetimes


def _live(case: Case, around: Surroundings, runtime: Runtime) -> Lifetime:
    around.forget_orders()
    lifetime = run(case.function, runtime, [case.event])
    response = lifetime.responses[0]
    answer = json.loads(response.get("body", "{}")) if "statusCode" in response else response
    right = response.get("statusCode", 200) == 200 and case.answer.items() <= answer.items()
    messages, reports = len(around.aws.sent), len(around.prisjakt.events)
    if not right or (messages, reports) != (case.messages, case.reports):
        raise WrongAnswerError(
            f"{case.name}: {response}, {messages} messages sent, {reports} purchases reported\n"
            f"{lifetime.output}"
        )
    return lifetime


def _heaviest_imports(
    function: Function, module: str, runtime: Runtime, bench: Bench
) -> list[Import]:
    """What the handler's module imports beyond what the runtime's client has loaded already."""
    code = f"import awslambdaric.__main__; import {module}"
    own: dict[str, list[int]] = {}
    cumulative: dict[str, list[int]] = {}
    for _ in bench.track(range(IMPORT_RUNS), f"Imports of {module}"):
        done = subprocess.run(  # noqa: S603
            [str(runtime.python), "-X", "importtime", "-c", code],
            cwd=function.artifact,
            env=process_environment(function, runtime, "127.0.0.1:9"),
            capture_output=True,
            text=True,
            check=True,
        )
        lines = re.findall(r"^import time: +(\d+) \| +(\d+) \| +(\S+)$", done.stderr, re.MULTILINE)
        names = [name for _, _, name in lines]
        for own_time, cumulative_time, name in lines[names.index("awslambdaric.__main__") + 1 :]:
            own.setdefault(name, []).append(int(own_time))
            cumulative.setdefault(name, []).append(int(cumulative_time))
    imports = [
        Import(name, statistics.median(cumulative[name]) / 1e3, statistics.median(own[name]) / 1e3)
        for name in own
    ]
    return sorted(imports, key=lambda each: each.cumulative, reverse=True)


def _times(lifetimes: Sequence[Lifetime]) -> Times:
    def spread(of: Callable[[Lifetime], float]) -> Spread:
        values = [of(life) for life in lifetimes]
        lower, middle, upper = statistics.quantiles(values, n=4, method="inclusive")
        return Spread(median=middle, minimum=min(values), iqr=upper - lower, all=tuple(values))

    return Times(
        init=spread(lambda life: life.init),
        first=spread(lambda life: life.first),
        total=spread(lambda life: life.init + life.first),
    )


def _figure(target: Target, times: Mapping[str, Times]) -> Figure:
    return Figure(
        name=f"start of the {target.case}",
        ours=times[target.case].total.median,
        unit="ms",
        key=target.key,
        yardstick=times[target.beside].total.median,
        yardstick_name=target.beside,
        target_ratio=target.at_most,
    )


def _quartiles(target: Target, times: Mapping[str, Times]) -> tuple[float, float]:
    """Of the ratios of the single rounds."""
    ours, beside = times[target.case].total.all, times[target.beside].total.all
    rounds = [mine / other for mine, other in zip(ours, beside, strict=True)]
    lower, _, upper = statistics.quantiles(rounds, n=4, method="inclusive")
    return lower, upper


def _times_table(times: Mapping[str, Times], runs: int) -> Table:
    table = Table(title=f"Start of a fresh process, ms, {runs} runs each", title_justify="left")
    table.add_column("case")
    for part in ("init", "first call", "both"):
        table.add_column(f"{part}\nmedian", justify="right", style="bold")
        table.add_column("\nmin", justify="right")
        table.add_column("\nIQR", justify="right")
    for name, of_case in times.items():
        cells = [
            f"{value:.0f}"
            for part in (of_case.init, of_case.first, of_case.total)
            for value in (part.median, part.minimum, part.iqr)
        ]
        table.add_row(name, *cells)
    return table


def _imports_table(module: str, imports: Sequence[Import]) -> Table:
    title = f"Heaviest imports of {module}, ms (tracing slows them)"
    table = Table(title=title, title_justify="left")
    table.add_column("module")
    table.add_column("cumulative", justify="right")
    table.add_column("own", justify="right")
    for each in imports[:IMPORTS_SHOWN]:
        table.add_row(each.module, f"{each.cumulative:.1f}", f"{each.own:.1f}")
    return table
