"""Measures the receiver's start as a fresh Lambda process, beside a textbook one's."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import builds
from aws_stub import AwsStub
from deliveries import todays_event
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from runtime_api import Function, FunctionError, Lifetime, Runtime, process_environment, run

EVENTS: Final = builds.ROOT / "events"
STACK: Final = "bench"
SHOP: Final = "demo-shopify"
OUR_MODULE: Final = "prisjakt_relay.receiver.app"
IMPORT_RUNS: Final = 5
IMPORTS_SHOWN: Final = 10

EMPTY: Final = "empty handler"
OURS: Final = "ours, no click id"
OURS_QUEUED: Final = "ours, click id"
TEXTBOOK: Final = "textbook, no click id"
TEXTBOOK_QUEUED: Final = "textbook, click id"
PLAIN: Final = "textbook without bytecode, no click id"
PLAIN_QUEUED: Final = "textbook without bytecode, click id"


@dataclass(frozen=True)
class Case:
    """A function, one delivery, and what must come of it."""

    name: str
    function: Function
    event: Mapping[str, Any]
    answer: Mapping[str, str]
    messages: int


@dataclass(frozen=True)
class Target:
    """How long one case may take in parts of another."""

    name: str
    case: str
    beside: str
    at_most: float


TARGETS: Final = (
    Target("no click id, both with bytecode", OURS, TEXTBOOK, 0.45),
    Target("click id, both with bytecode", OURS_QUEUED, TEXTBOOK_QUEUED, 0.6),
    Target("no click id, textbook as `sam build` leaves it", OURS, PLAIN, 0.3),
)


@dataclass(frozen=True)
class Figures:
    """Milliseconds of one case over all runs."""

    median: float
    minimum: float
    iqr: float
    all: tuple[float, ...]


@dataclass(frozen=True)
class Times:
    """What was measured of one case."""

    init: Figures
    first: Figures
    total: Figures


@dataclass(frozen=True)
class Ratio:
    """A target and what was measured for it; the quartiles are those of the single rounds."""

    name: str
    at_most: float
    ratio: float
    quartiles: tuple[float, float]

    @property
    def met(self) -> bool:
        return self.ratio <= self.at_most


@dataclass(frozen=True)
class Import:
    """What one module took to import, in milliseconds, with and without those it imports."""

    module: str
    cumulative: float
    own: float


class WrongAnswerError(Exception):
    """A receiver did not do its work, so its times mean nothing."""


def main() -> int:
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else 120)
    load = os.getloadavg()[0]
    if load > 1:
        console.print(f"[yellow]The load average is {load:.1f}: read the figures with care.")
    try:
        python = builds.find_python(options.python)
        with console.status("Building the artifacts"):
            runtime = builds.build_runtime(python)
            artifacts = builds.build_artifacts(python)
        document = json.loads((EVENTS / "shops.json").read_bytes())[SHOP]
        with AwsStub({f"{STACK}/shops/{SHOP}": json.dumps(document)}) as aws:
            cases = _cases(artifacts, aws, document)
            lifetimes = _measure(cases, aws, runtime, options.runs, console)
            ours = next(case.function for case in cases if case.name == OURS)
            imports = _heaviest_imports(ours, runtime)
    except (builds.BuildError, FunctionError, WrongAnswerError) as error:
        console.print(f"[red]{type(error).__name__}[/]", end=": ")
        console.print(str(error), markup=False, highlight=False)
        return 2
    times = {name: _times(of_case) for name, of_case in lifetimes.items()}
    ratios = [_ratio(target, times) for target in TARGETS]
    console.print(_times_table(times, options.runs), _ratios_table(ratios), _imports_table(imports))
    if options.json:
        versions = builds.versions(runtime.folder, artifacts.ours, artifacts.textbook)
        _write_json(options.json, python, load, versions, times, ratios, imports)
    return 0 if all(ratio.met for ratio in ratios) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog="Status 1: a target was missed.")
    parser.add_argument("--runs", type=int, default=11, help="processes per case (%(default)s)")
    parser.add_argument("--python", type=Path, help="the runtime's interpreter (found by itself)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    if options.runs < 2:
        parser.error("quartiles need --runs 2 or more")
    return options


def _cases(
    artifacts: builds.Artifacts, aws: AwsStub, document: Mapping[str, Any]
) -> tuple[Case, ...]:
    environment = {
        "STACK_NAME": STACK,
        "QUEUE_URL": aws.queue_url,
        "POWERTOOLS_SERVICE_NAME": "receiver",
        "POWERTOOLS_METRICS_NAMESPACE": "PrisjaktRelay",
        "LOG_LEVEL": "INFO",
        "AWS_ENDPOINT_URL": aws.url,
    }
    secret = document["signing_secrets"][0]
    shopify = EVENTS / "shopify"
    without = todays_event(shopify / "orders-create-no-click-id", SHOP, secret)
    carrying = todays_event(shopify / "orders-create-paid", SHOP, secret)

    empty = Function("empty.handler", artifacts.empty, environment)
    ours = Function(f"{OUR_MODULE}.handler", artifacts.ours, environment)
    textbook = Function("app.handler", artifacts.textbook, environment)
    plain = Function("app.handler", artifacts.textbook_plain, environment)
    ignored = {"outcome": "ignored"}
    queued = {"outcome": "queued"}
    return (
        Case(EMPTY, empty, without, {}, 0),
        Case(OURS, ours, without, {**ignored, "reason": "no_click_id"}, 0),
        Case(OURS_QUEUED, ours, carrying, queued, 1),
        Case(TEXTBOOK, textbook, without, ignored, 0),
        Case(TEXTBOOK_QUEUED, textbook, carrying, queued, 1),
        Case(PLAIN, plain, without, ignored, 0),
        Case(PLAIN_QUEUED, plain, carrying, queued, 1),
    )


def _measure(
    cases: Sequence[Case], aws: AwsStub, runtime: Runtime, runs: int, console: Console
) -> dict[str, list[Lifetime]]:
    """Round after round through all cases, so that the machine's moods strike all alike."""
    lifetimes: dict[str, list[Lifetime]] = {case.name: [] for case in cases}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    # Refreshed by hand: its thread would take part in the measurement.
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        task = progress.add_task("Reading the files once", total=(runs + 1) * len(cases))
        for round_number in range(runs + 1):
            for case in cases:
                lifetime = _live(case, aws, runtime)
                if round_number > 0:
                    lifetimes[case.name].append(lifetime)
                progress.update(task, advance=1, description=f"Round {round_number} of {runs}")
                progress.refresh()
    return lifetimes


def _live(case: Case, aws: AwsStub, runtime: Runtime) -> Lifetime:
    aws.sent.clear()
    lifetime = run(case.function, runtime, [case.event])
    response = lifetime.responses[0]
    answer = json.loads(response.get("body", "{}"))
    right = response["statusCode"] == 200 and case.answer.items() <= answer.items()
    if not right or len(aws.sent) != case.messages:
        raise WrongAnswerError(
            f"{case.name}: {response}, {len(aws.sent)} messages sent\n{lifetime.output}"
        )
    return lifetime


def _heaviest_imports(function: Function, runtime: Runtime) -> list[Import]:
    """What the handler's module imports beyond what the runtime's client has loaded already."""
    code = f"import awslambdaric.__main__; import {OUR_MODULE}"
    own: dict[str, list[int]] = {}
    cumulative: dict[str, list[int]] = {}
    for _ in range(IMPORT_RUNS):
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
    return sorted(imports, key=lambda module: module.cumulative, reverse=True)


def _times(lifetimes: Sequence[Lifetime]) -> Times:
    return Times(
        init=_figures([life.init for life in lifetimes]),
        first=_figures([life.first for life in lifetimes]),
        total=_figures([life.init + life.first for life in lifetimes]),
    )


def _figures(values: Sequence[float]) -> Figures:
    lower, middle, upper = statistics.quantiles(values, n=4, method="inclusive")
    return Figures(median=middle, minimum=min(values), iqr=upper - lower, all=tuple(values))


def _ratio(target: Target, times: Mapping[str, Times]) -> Ratio:
    ours, beside = times[target.case].total, times[target.beside].total
    rounds = [mine / other for mine, other in zip(ours.all, beside.all, strict=True)]
    lower, _, upper = statistics.quantiles(rounds, n=4, method="inclusive")
    return Ratio(target.name, target.at_most, ours.median / beside.median, (lower, upper))


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


def _ratios_table(ratios: Sequence[Ratio]) -> Table:
    table = Table(title="Ours in parts of the textbook's, init + first call", title_justify="left")
    table.add_column("case")
    for heading in ("ratio", "quartiles", "target"):
        table.add_column(heading, justify="right")
    for ratio in ratios:
        lower, upper = ratio.quartiles
        colour = "green" if ratio.met else "red"
        table.add_row(
            ratio.name,
            f"[{colour}]{ratio.ratio:.2f}",
            f"{lower:.2f} to {upper:.2f}",
            f"at most {ratio.at_most}",
        )
    return table


def _imports_table(imports: Sequence[Import]) -> Table:
    title = f"Heaviest imports of {OUR_MODULE}, ms (tracing slows them)"
    table = Table(title=title, title_justify="left")
    table.add_column("module")
    table.add_column("cumulative", justify="right")
    table.add_column("own", justify="right")
    for module in imports[:IMPORTS_SHOWN]:
        table.add_row(module.module, f"{module.cumulative:.1f}", f"{module.own:.1f}")
    return table


def _write_json(
    file: Path,
    python: Path,
    load: float,
    versions: Mapping[str, str],
    times: Mapping[str, Times],
    ratios: Sequence[Ratio],
    imports: Sequence[Import],
) -> None:
    document = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": builds.python_version(python),
        "machine": {"architecture": platform.machine(), "cores": os.cpu_count(), "load": load},
        "versions": versions,
        "times_ms": {name: asdict(of_case) for name, of_case in times.items()},
        "ratios": [{**asdict(ratio), "met": ratio.met} for ratio in ratios],
        "imports_ms": [asdict(module) for module in imports],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
