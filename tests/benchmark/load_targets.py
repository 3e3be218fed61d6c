"""What load is offered to: the local system as a person starts it, or a pool of Lambda processes.

Each runs in processes of its own, with a process of its own that offers the load; the local system
is told of a Prisjakt that counts.
"""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter
from tests.benchmark import builds, lambda_pool, load_generator
from tests.benchmark.lambda_aws import Feeding
from tests.benchmark.load_lines import Line, Result
from tests.benchmark.load_orders import SHOP, shop_document
from tests.benchmark.load_prisjakt import found_at
from tests.benchmark.offering import Plan
from tests.benchmark.processes import Sample, sample
from tests.benchmark.template import deployed
from tests.benchmark.trace_ids import kept_per_call
from tests.operations.measuring import free_port

from prisjakt_relay.operations.queue_messages import COUNTS, number
from prisjakt_relay.operations.stack import Stack, find_local

_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.5
_QUIET_LOOKS: Final = 6  # what a shop gave up waiting for may still be under way to the queue
_SAID: Final = 3_000


class LoadError(Exception):
    """A process of the run failed, and what it said."""


@dataclass(frozen=True)
class Run:
    """What is to be run. The deliveries of `warm_up` come before those of `plan`."""

    plan: Plan
    warm_up: Plan
    connections: int
    processes: int
    python: Path | None
    drain_seconds: float
    sample_seconds: float = 10.0
    beside: bool = False


@dataclass
class Watched:
    """What was seen of a run: samples when the schedule began and when its last delivery had come,
    and now and then between, with their seconds. `kept_per_second` are the bytes that the process
    of a number kept of trace ids."""

    result: Result
    before: list[Sample]
    after: list[Sample]
    samples: list[tuple[float, list[Sample]]] = field(default_factory=list)
    kept_per_second: Mapping[int, float] = field(default_factory=dict)
    offered_seconds: float = 0.0
    left_over: int = 0


Show = Callable[[str, Line], None]


def run_local(run: Run, show: Show) -> Watched:
    """Against `prisjakt-relay local`; the backlog is what its queue still holds afterwards."""
    port = free_port()
    with (
        tempfile.TemporaryDirectory() as scratch,
        _counting_prisjakt() as (prisjakt, address, base_address),
        _local_system(port, Path(scratch), base_address) as system,
    ):
        file = Path(scratch) / "result.json"
        configuration = load_generator.Configuration(
            port=port,
            connections=run.connections,
            warm_up=run.warm_up,
            plan=run.plan,
            result=file,
        )
        text = load_generator.CONFIGURATION.dump_json(configuration).decode()
        with _child("tests.benchmark.load_generator", text) as child:
            roles = {
                system.pid: "front",
                prisjakt.pid: "simulated Prisjakt",
                child.pid: "generator",
            }
            watched = _watch(child, roles, run, show)
            result = Result.read(file)
        stack = find_local(port)
        backlog = _waiting(stack)
        began = time.monotonic()
        left = _drain(stack, run.drain_seconds, show)
        watched.left_over = left
        watched.result = replace(
            result,
            events=found_at(address),
            backlog=backlog,
            drain_seconds=max(0.0, time.monotonic() - began - _QUIET_LOOKS * _LOOK_SECONDS),
        )
        return watched


def run_lambda(run: Run, show: Show) -> Watched:
    """Against processes of the functions as they are built for Lambda."""
    show("building the functions", Line("ready"))
    python = builds.find_python(run.python)
    runtime = builds.build_runtime(python)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "result.json"
        configuration = lambda_pool.Configuration(
            python=runtime.python,
            runtime=runtime.folder,
            receiver=builds.build_function(builds.RECEIVER, python),
            sender=builds.build_function(builds.SENDER, python),
            variables={
                "receiver": deployed().variables(builds.RECEIVER),
                "sender": deployed().variables(builds.SENDER),
            },
            feeding=Feeding.of(deployed()),
            processes=run.processes,
            beside=run.beside,
            drain_seconds=run.drain_seconds,
            warm_up=run.warm_up,
            plan=run.plan,
            result=file,
        )
        text = lambda_pool.CONFIGURATION.dump_json(configuration).decode()
        with _child("tests.benchmark.lambda_pool", text) as child:
            roles = {child.pid: "generator, Runtime API, AWS and Prisjakt"}
            watched = _watch(child, roles, run, show)
        watched.result = Result.read(file)
        watched.left_over = watched.result.left_over
        a_call = kept_per_call(runtime.python)
        watched.kept_per_second = {
            pid: a_call * count / watched.offered_seconds
            for pid, count in watched.result.trace_ids.items()
        }
        return watched


def _watch(child: subprocess.Popen[str], roles: Mapping[int, str], run: Run, show: Show) -> Watched:
    """Follow the child to its end, and take samples of all processes on the way."""
    lines: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(child, lines), daemon=True).start()
    before: list[Sample] = []
    after: list[Sample] = []
    samples: list[tuple[float, list[Sample]]] = []
    began = 0.0
    offered_seconds = 0.0
    while True:
        try:
            line = lines.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            line = Line("ready")
        if line is None:
            break
        now = time.monotonic()
        if line.state == "offering" and not before:
            before, began = sample(roles), now
        if not after and (line.begun >= run.plan.count or line.state == "offered"):
            after, offered_seconds = sample(roles), now - began
        due = len(samples) * run.sample_seconds
        if before and not after and now - began >= due:  # what comes later is the retries' time
            samples.append((now - began, sample(roles)))
        if line.state != "ready":
            show({"offering": "offering", "offered": "draining"}.get(line.state, ""), line)
    if child.wait() != 0:
        raise LoadError(f"what offers the load ended with status {child.returncode}")
    return Watched(Result((), (), ()), before, after, samples, offered_seconds=offered_seconds)


def _read(child: subprocess.Popen[str], lines: queue.SimpleQueue[Line | None]) -> None:
    try:
        if child.stdout is not None:
            for text in child.stdout:
                lines.put(Line.of(text))
    finally:
        lines.put(None)  # else whoever waits for the next line waits for ever


@contextmanager
def _child(module: str, configuration: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", module, configuration]
    child = subprocess.Popen(  # noqa: S603  # our own interpreter
        command, cwd=builds.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    with child:
        try:
            yield child
        finally:
            _end(child, signal.SIGINT)  # it ends what it has started


@contextmanager
def _counting_prisjakt() -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Its process, its address, and the base address of its API."""
    server = subprocess.Popen(  # our own interpreter
        [sys.executable, "-m", "tests.benchmark.load_prisjakt"],
        cwd=builds.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        try:
            line = server.stdout.readline().split() if server.stdout is not None else []
            if len(line) != 2:
                raise LoadError("the simulated Prisjakt did not start")
            yield server, line[0], line[1]
        finally:
            _end(server, signal.SIGTERM)


@contextmanager
def _local_system(port: int, scratch: Path, prisjakt_url: str) -> Iterator[subprocess.Popen[bytes]]:
    shops = scratch / "shops.json"
    shops.write_bytes(TypeAdapter(dict[str, object]).dump_json({SHOP: shop_document()}))
    said = scratch / "system.log"
    command: Sequence[str | Path] = [
        *(Path(sys.executable).with_name("prisjakt-relay"), "local"),
        *("--port", str(port), "--shops", shops, "--prisjakt-url", prisjakt_url),
    ]
    with said.open("wb") as output:
        system = subprocess.Popen(  # noqa: S603  # our own command
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        end = time.monotonic() + _START_SECONDS
        while b"\nready http" not in b"\n" + said.read_bytes():
            if system.poll() is not None or time.monotonic() > end:
                text = said.read_text("utf-8", errors="replace")[-_SAID:]
                raise LoadError(f"the local system did not start:\n{text}")
            time.sleep(_LOOK_SECONDS)
        yield system
    finally:
        _end(system, signal.SIGINT)


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes], how: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _waiting(stack: Stack) -> int:
    asked = {"QueueUrl": stack.outputs["QueueUrl"], "AttributeNames": COUNTS}
    return number(stack.sqs.call("GetQueueAttributes", asked))


def _drain(stack: Stack, most_seconds: float, show: Show) -> int:
    """Until the queue is empty for a while; returns how many it still holds at the end."""
    end = time.monotonic() + most_seconds
    left = quiet = 0
    while quiet < _QUIET_LOOKS and time.monotonic() < end:
        left = _waiting(stack)
        quiet = 0 if left else quiet + 1
        show("draining", Line("offered", waiting=left))
        time.sleep(_LOOK_SECONDS)
    return left
