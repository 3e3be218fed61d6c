"""Offers webhooks by schedule: how they are answered, and that none that was taken is lost.

    python -m tests.benchmark.load [--target local|lambda|both] [--rate 1000] [--seconds 60]
    python -m tests.benchmark.load --soak 30 [--target local|lambda|both] [--rate 20]

`local` is the system of `prisjakt-relay local`, `lambda` a pool of the functions' own Lambda
processes without an emulated AWS between them and the load. `lambda` has to take every delivery;
`local` is offered more than it can take, and says how many it never took. Needs Linux, and a
machine that does nothing else. The status is 1 if an order that was taken is lost, was reported
twice or with another amount, if `lambda` has not taken all, if the queue did not drain, or if a
handler's memory was not flat; and 2 if something could not be measured.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from tests.benchmark import builds, output
from tests.benchmark.load_figures import Answers, Comparison, answers, compare, percentile
from tests.benchmark.load_lines import Line
from tests.benchmark.load_targets import LoadError, Run, Show, Watched, run_lambda, run_local
from tests.benchmark.offering import ACCEPTED, Plan
from tests.benchmark.processes import HANDLERS, Memory, cpu_by_role, memory

from prisjakt_relay.errors import RelayError

RATE: Final = 1000.0
SOAK_RATE: Final = 20.0
SECONDS: Final = 60.0
WARM_UP_SECONDS: Final = 180.0
SAMPLES_AT_LEAST: Final = 24
# So few that even a slow system answers the last of them before the shop gives up; the pool's are
# only to be held up by a hiccup.
IN_HAND: Final[Mapping[str, int]] = {"local": 128, "lambda": 1000}

TARGETS: Final[Mapping[str, Callable[[Run, Show], Watched]]] = {
    "local": run_local,
    "lambda": run_lambda,
}
TAKES_ALL: Final = frozenset({"lambda"})


@dataclass(frozen=True)
class Outcome:
    """One run, judged; memory only after a soak."""

    target: str
    run: Run
    answers: Answers
    comparison: Comparison
    lags: tuple[float, float, float]
    cpu: Mapping[str, float]
    seconds: float
    backlog: int
    drain_seconds: float
    left_over: int
    memory: tuple[Memory, ...] | None = None

    @property
    def faults(self) -> list[str]:
        """What makes the status 1."""
        found = self.comparison.faults
        if self.target in TAKES_ALL and self.answers.given_up:
            found.append(f"{self.answers.given_up:,} deliveries were never taken")
        if self.left_over:
            found.append(f"{self.left_over} messages left in the queue")
        if not self.answers.accepted:
            found.append("no delivery was taken")
        return found + self._growth()

    @property
    def summary(self) -> str:
        """What became of the deliveries, for a run without faults."""
        given = self.answers
        if not given.given_up:
            return f"all {given.accepted:,} were taken, and none is lost"
        count = given.accepted + given.given_up
        return (
            f"none that was taken is lost; {given.given_up:,} of {count:,} were never taken"
            f" ({100 * given.share_taken:.1f} % were)"
        )

    def _growth(self) -> list[str]:
        if self.memory is None:
            return []
        judged = {each.role for each in self.memory}
        missing = [role for role in HANDLERS[:2] if role not in judged]
        return [
            *(f"the memory of no {role} was seen for long enough" for role in missing),
            *(
                f"the memory of {each.role} {each.pid} grew by {each.grown / 1e6:.1f} MB,"
                f" {each.kept / 1e6:.1f} MB of it trace ids"
                for each in self.memory
                if each.is_handler and not each.flat
            ),
        ]


def main() -> int:
    options = _options()
    console = output.new_console()
    load = os.getloadavg()[0]
    names = list(TARGETS) if options.target == "both" else [options.target]
    try:
        # The local system runs its functions on this interpreter.
        python = builds.find_python(options.python) if "lambda" in names else Path(sys.executable)
    except builds.BuildError as error:
        console.print(output.error_text(error), markup=False, highlight=False)
        return 2
    outcomes: list[Outcome] = []
    failed: dict[str, str] = {}
    for name in names:
        try:
            outcome = _measure(name, python, options, console)
        except (LoadError, builds.BuildError, RelayError) as error:
            failed[name] = output.error_text(error)
        except Exception:
            failed[name] = traceback.format_exc()
        else:
            outcomes.append(outcome)
            console.print(*_tables(outcome))
    if options.json:
        output.write_json(
            options.json,
            {
                **output.head(python, load),
                "failed": failed,
                "runs": [_document(outcome) for outcome in outcomes],
            },
        )
    for outcome in outcomes:
        for fault in outcome.faults:
            console.print(f"[red]{outcome.target}: {fault}")
        if not outcome.comparison.faults and outcome.answers.accepted:
            console.print(f"{outcome.target}: {outcome.summary}")
    for name, text in failed.items():
        console.print(f"[red]Not measured:[/] {name}:", end=" ")
        console.print(text, markup=False, highlight=False)
    if failed:
        return 2
    return 1 if any(outcome.faults for outcome in outcomes) else 0


def _options() -> argparse.Namespace:
    first, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--target", choices=[*TARGETS, "both"], help="default: both, one after the other")
    add("--rate", type=float, help=f"webhooks a second ({RATE:g}; {SOAK_RATE:g} in a soak)")
    add("--seconds", type=float, default=SECONDS, help="how long they come (%(default)g)")
    add("--soak", type=float, metavar="MINUTES", help="so long, and watch the memory")
    add("--connections", type=int, default=64, help="most at a time, of local (%(default)s)")
    add("--processes", type=int, default=2, help="receivers, of lambda (%(default)s)")
    add("--in-hand", type=int, help="most sent or waiting to be (local 128, lambda 1000)")
    add("--tries", type=int, default=3, choices=(1, 2, 3), help="of each (%(default)s)")
    add("--drain", type=float, default=1800.0, help="most seconds to empty the queue (%(default)g)")
    add("--python", type=Path, help="the Lambda runtime's interpreter (found by itself)")
    add("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    options.target = options.target or "both"
    options.rate = options.rate or (SOAK_RATE if options.soak else RATE)
    if options.soak:
        options.seconds = options.soak * 60
    return options


def _measure(name: str, python: Path, options: argparse.Namespace, console: Console) -> Outcome:
    plan = Plan(
        rate=options.rate,
        count=round(options.rate * options.seconds),
        in_hand=options.in_hand or IN_HAND[name],
        waits=Plan.waits_of(options.tries),
    )
    # Slow, for a process of the embedded AWS takes seconds to start; and long enough for each of
    # the pool's to have its caches full.
    rate = 10.0 if name == "local" else 100.0
    run = Run(
        plan=plan,
        warm_up=Plan(rate=rate, count=int(rate) * 5, first=plan.count, waits=plan.waits),
        connections=options.connections,
        processes=options.processes,
        python=python,
        drain_seconds=options.drain,
        sample_seconds=min(10.0, plan.seconds / SAMPLES_AT_LEAST),
        beside=bool(options.soak),
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, auto_refresh=False) as progress:
        task = progress.add_task(f"{name}: starting", total=plan.count, said="")
        progress.refresh()
        watched = TARGETS[name](run, lambda what, line: _show(progress, task, name, what, line))
        progress.update(task, description=f"{name}: done", said="")
    return _judged(name, run, watched, soak=bool(options.soak))


def _show(progress: Progress, task: TaskID, name: str, what: str, line: Line) -> None:
    said = f"{line.accepted:,} taken, {line.in_hand} in hand" if line.begun else ""
    if line.waiting:
        said += f" {line.waiting:,} in the queue"
    progress.update(task, description=f"{name}: {what}", said=said)
    if line.begun:
        progress.update(task, completed=line.begun)
    progress.refresh()


def _judged(name: str, run: Run, watched: Watched, *, soak: bool) -> Outcome:
    result = watched.result
    tries = (*result.tries, *result.warm_up)
    numbers = (*run.plan.numbers, *run.warm_up.numbers)
    accepted = frozenset(each.number for each in tries if each.status == ACCEPTED)
    lags = [lag * 1e3 for lag in result.lags]
    return Outcome(
        target=name,
        run=run,
        answers=answers(run.plan, result.tries),
        comparison=compare(numbers, accepted, result.events),
        lags=(percentile(lags, 0.5), percentile(lags, 0.99), max(lags, default=math.nan)),
        cpu=cpu_by_role(watched.before, watched.after),
        seconds=watched.offered_seconds,
        backlog=result.backlog,
        drain_seconds=result.drain_seconds,
        left_over=watched.left_over,
        memory=_memory(run, watched) if soak else None,
    )


def _memory(run: Run, watched: Watched) -> tuple[Memory, ...]:
    warm_up = min(WARM_UP_SECONDS, run.plan.seconds / 5)
    return tuple(memory(watched.samples, warm_up, watched.kept_per_second))


def _tables(outcome: Outcome) -> Iterable[Table]:
    yield _answers_table(outcome)
    yield _orders_table(outcome)
    yield _cpu_table(outcome)
    if outcome.memory is not None:
        yield _memory_table(outcome.memory)


def _answers_table(outcome: Outcome) -> Table:
    given, plan = outcome.answers, outcome.run.plan
    table = Table(
        title=f"{outcome.target}: {plan.rate:,.0f} webhooks/s for {plan.seconds:,.0f} s",
        title_justify="left",
        show_header=False,
    )
    table.add_column()
    table.add_column(justify="right")
    for name, count in (
        ("offered", given.offered),
        ("answered 200 at the first try", given.at_first_try),
        ("answered 200 at any try", given.accepted),
        ("never taken: given up", given.given_up),
        ("tries: refused (429, 503)", given.refused),
        ("tries: other answers", given.other_answers),
        (f"tries: no answer in {plan.patience:g} s", given.timed_out),
        (f"tries: turned away, {plan.in_hand} in hand", given.turned_away),
        ("tries: connection broken", given.broken),
        ("tries again", given.tries_again),
    ):
        table.add_row(name, f"{count:,}")
    table.add_section()
    table.add_row("taken, of all", f"{100 * given.share_taken:.1f} %")
    table.add_row("offered a second", f"{given.offered_per_second:,.0f}")
    table.add_row("answered 200 a second meanwhile", f"{given.accepted_per_second:,.0f}")
    for name, value in (("p50", given.p50), ("p99", given.p99), ("longest", given.longest)):
        table.add_row(f"{name} from when it was due", _milliseconds(value))
    late = " / ".join(f"{lag:.1f}" for lag in outcome.lags)
    table.add_row("the generator's own lateness, p50 / p99 / most", f"{late} ms")
    return table


def _orders_table(outcome: Outcome) -> Table:
    found = outcome.comparison
    table = Table(
        title=f"{outcome.target}: orders with a click id, at Prisjakt",
        title_justify="left",
        show_header=False,
    )
    table.add_column()
    table.add_column(justify="right")
    for name, bad, count in (
        ("taken, and reported once with its amount", False, found.right),
        *((what, True, len(orders)) for what, orders in found.wrong.items()),
        ("there, though the shop heard of no 200", False, found.unheard),
        ("never taken, not there", False, found.turned_away),
    ):
        table.add_row(name, f"[red]{count:,}" if bad and count else f"{count:,}")
    table.add_section()
    table.add_row("in the queue when all was offered", f"{outcome.backlog:,}")
    table.add_row("seconds until it was empty", f"{outcome.drain_seconds:.1f}")
    table.add_row("left in it", f"{outcome.left_over:,}")
    return table


def _cpu_table(outcome: Outcome) -> Table:
    table = Table(title=f"{outcome.target}: processor time while they came", title_justify="left")
    table.add_column("process")
    for heading in ("seconds", "% of a core", "ms for each taken"):
        table.add_column(heading, justify="right")
    taken = max(1.0, outcome.answers.accepted_per_second * outcome.run.plan.seconds)
    for role, seconds in sorted(outcome.cpu.items(), key=lambda item: -item[1]):
        share = 100 * seconds / outcome.seconds
        table.add_row(role, f"{seconds:.1f}", f"{share:.0f}", f"{seconds / taken * 1e3:.2f}")
    total = sum(outcome.cpu.values())
    table.add_section()
    table.add_row(
        f"all, of {os.cpu_count()} cores",
        f"{total:.1f}",
        f"{100 * total / outcome.seconds:.0f}",
        f"{total / taken * 1e3:.2f}",
    )
    return table


def _memory_table(found: Sequence[Memory]) -> Table:
    table = Table(title="Memory after the warm-up, MB", title_justify="left")
    table.add_column("process")
    grown = ("last third\nless the first", "of it\ntrace ids")
    for heading in ("start", "end", "most", *grown, "an hour"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for each in found:
        verdict = "keeps what it is sent" if not each.is_handler else "flat" if each.flat else "✗"
        table.add_row(
            f"{each.role} ({each.pid})",
            *(f"{size / 1e6:.1f}" for size in (each.start, each.end, each.most)),
            f"{each.grown / 1e6:+.2f}",
            f"{each.kept / 1e6:.2f}",
            f"{each.per_hour / 1e6:+.2f}",
            verdict,
        )
    return table


def _milliseconds(value: float) -> str:
    return f"{value:,.1f} ms" if math.isfinite(value) else "never"


def _document(outcome: Outcome) -> dict[str, object]:
    given = {
        name: value if not isinstance(value, float) or math.isfinite(value) else None
        for name, value in asdict(outcome.answers).items()
    }
    return {
        "target": outcome.target,
        "plan": asdict(outcome.run.plan),
        "connections": outcome.run.connections,
        "processes": outcome.run.processes,
        "answers": given,
        "orders": asdict(outcome.comparison),
        "generator_lateness_ms": outcome.lags,
        "cpu_seconds": outcome.cpu,
        "seconds": outcome.seconds,
        "backlog": outcome.backlog,
        "drain_seconds": outcome.drain_seconds,
        "left_over": outcome.left_over,
        "memory": None
        if outcome.memory is None
        else [{**asdict(each), "flat": each.flat} for each in outcome.memory],
        "faults": outcome.faults,
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
