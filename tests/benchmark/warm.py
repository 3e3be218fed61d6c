"""What the receiver costs once it is warm: its CPU time per webhook, in parts of a floor.

The floor is what no receiver can do without: HMAC-SHA256 and base64 of the body, and `json.loads`.
The bodies are those of the sample orders, with two line items more, since the samples are 10 kB
and the orders of shops about 13.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

from rich.table import Table
from tests.benchmark import builds, surroundings
from tests.benchmark.aws_stub import AwsStub
from tests.benchmark.deliveries import todays_event
from tests.benchmark.figures import Bench, Figure, Section
from tests.benchmark.runtime_api import (
    Function,
    FunctionError,
    WrongAnswerError,
    process_environment,
)
from tests.benchmark.surroundings import SHOP, SHOPIFY, secret_name, shop_document
from tests.benchmark.template import deployed

MORE_ITEMS: Final = 2
CALLS: Final = 500  # at a time; a round is one time of each
CHECKS: Final = 1  # calls that send a message and are not measured
NOBODY: Final = "127.0.0.1:9"
NOWHERE: Final = f"http://{NOBODY}"

IGNORED: Final = "no click id"
QUEUED: Final = "click id"


def figures(bench: Bench) -> Section:
    runtime = builds.build_runtime(bench.python)
    artifact = builds.build_function(builds.RECEIVER, bench.python)
    document = shop_document()
    secret = document["signing_secrets"][0]
    recorded = {IGNORED: "orders-create-no-click-id", QUEUED: "orders-create-paid"}
    events = {
        name: todays_event(SHOPIFY / delivery, SHOP, secret, more_items=MORE_ITEMS)
        for name, delivery in recorded.items()
    }
    plan = {
        "events": events,
        "outcomes": {IGNORED: "ignored", QUEUED: "queued"},
        "queued": QUEUED,
        "secret": secret,
        "calls": CALLS,
        "rounds": bench.runs,
    }
    with AwsStub({secret_name(): json.dumps(document)}) as aws:
        environment = {
            **deployed().variables(builds.RECEIVER),
            **surroundings.environment(
                aws=aws.url, queue=aws.queue_url, prisjakt=NOWHERE, tokens=NOWHERE
            ),
        }
        function = Function("warm_process", artifact, environment)
        for _ in bench.track(range(1), "Calls of the warm receiver"):
            done = subprocess.run(  # noqa: S603
                [str(runtime.python), "-P", str(builds.HERE / "warm_process.py")],
                cwd=artifact,
                env=process_environment(function, runtime, NOBODY),
                input=json.dumps(plan),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
    if done.returncode != 0:
        raise FunctionError(f"the warm receiver failed\n{done.stderr}")
    messages = len(aws.sent)
    if messages != CALLS * (bench.runs + 1) + CHECKS:
        raise WrongAnswerError(f"the warm receiver has sent {messages} messages")
    measured: Mapping[str, Sequence[float]] = json.loads(done.stderr)
    sizes = {name: len(event["body"].encode()) for name, event in events.items()}
    return Section(
        figures=[
            _figure(IGNORED, "handler", measured, 1.5, "receiver_warm_ratio"),
            _figure(QUEUED, "handler", measured, 3.0, "receiver_queue_warm_ratio"),
            _figure(QUEUED, "without sending", measured),
            _figure(QUEUED, "own code", measured),
        ],
        tables=[_table(measured, sizes)],
        details={
            "cpu_ns_per_call": measured,
            "calls_at_a_time": CALLS,
            "body_bytes": sizes,
        },
    )


def _figure(
    delivery: str,
    what: str,
    measured: Mapping[str, Sequence[float]],
    target: float | None = None,
    key: str | None = None,
) -> Figure:
    names = {
        "handler": "receiver",
        "without sending": "receiver, all but the sending to SQS",
        "own code": "receiver without the call to SQS",
    }
    return Figure(
        name=f"warm {names[what]}, {delivery}",
        ours=_microseconds(measured[f"{what}, {delivery}"]),
        unit="µs",
        key=key,
        yardstick=_microseconds(measured[f"floor, {delivery}"]),
        yardstick_name="signature and json.loads",
        target_ratio=target,
    )


def _microseconds(nanoseconds: Sequence[float]) -> float:
    return statistics.median(nanoseconds) / 1e3


def _table(measured: Mapping[str, Sequence[float]], sizes: Mapping[str, int]) -> Table:
    title = f"CPU time per webhook, µs, means of {CALLS} calls"
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    for heading in ("median", "min", "IQR", "bytes"):
        table.add_column(heading, justify="right")
    for name, values in measured.items():
        lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
        cells = [_microseconds(values), min(values) / 1e3, (upper - lower) / 1e3]
        size = next(size for delivery, size in sizes.items() if name.endswith(f", {delivery}"))
        table.add_row(name, *(f"{cell:.0f}" for cell in cells), f"{size:,}")
    return table
