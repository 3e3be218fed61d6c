"""Ways to a client of SQS and one of Secrets Manager, and what each costs a fresh process.

Why `prisjakt_relay.aws` signs its requests itself: each way is timed in an interpreter of its own,
with bytecode, from where the runtime's client has imported what it needs.
"""

from __future__ import annotations

import gzip
import json
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from rich.table import Table
from tests.benchmark import builds
from tests.benchmark.aws_stub import AwsStub
from tests.benchmark.figures import Bench, Section
from tests.benchmark.runtime_api import Function, FunctionError, process_environment

RUNS: Final = 9
SECRET: Final = "bench/shops/demo"
OPERATIONS: Final[Mapping[str, str]] = {"sqs": "SendMessage", "secretsmanager": "GetSecretValue"}

_CALLS: Final = """
sqs.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody="{}", MessageGroupId="demo")
secrets.get_secret_value(SecretId=os.environ["SECRET"])
"""
_BOTOCORE: Final = """
import botocore.session
session = botocore.session.get_session()
"""
_BOTOCORE_CLIENTS: Final = """
sqs = session.create_client("sqs")
secrets = session.create_client("secretsmanager")
"""


@dataclass(frozen=True)
class Way:
    """Code that makes the clients, and code that makes one call with each."""

    name: str
    ready: str
    calls: str = ""
    before: str = ""  # what has been imported by then, whichever way is taken
    textbook: bool = False


WAYS: Final = (
    Way(
        "boto3's clients",
        """
import boto3
sqs = boto3.client("sqs")
secrets = boto3.client("secretsmanager")
""",
        _CALLS,
    ),
    Way(
        "boto3's clients, without its resources",
        """
import sys, types
resources = types.ModuleType("boto3.resources.factory")
resources.ResourceFactory = lambda *_: None
sys.modules["boto3.resources.factory"] = resources
import boto3
sqs = boto3.client("sqs")
secrets = boto3.client("secretsmanager")
""",
        _CALLS,
    ),
    Way("botocore's clients", _BOTOCORE + _BOTOCORE_CLIENTS, _CALLS),
    Way(
        "botocore's clients, models trimmed to two operations",
        _BOTOCORE
        + """
from botocore.loaders import Loader
session.register_component(
    "data_loader",
    Loader(
        extra_search_paths=[os.environ["TRIMMED"]],
        include_default_search_paths=False,
        include_default_extras=False,
    ),
)
"""
        + _BOTOCORE_CLIENTS,
        _CALLS,
    ),
    Way(
        "ours: botocore's signer, urllib3",
        """
from prisjakt_relay import aws
sqs = aws.Service("sqs")
secrets = aws.Service("secretsmanager")
""",
        """
sqs.call(
    "SendMessage",
    {"QueueUrl": os.environ["QUEUE_URL"], "MessageBody": "{}", "MessageGroupId": "demo"},
)
secrets.call("GetSecretValue", {"SecretId": os.environ["SECRET"]})
""",
    ),
    Way(
        "Powertools' Tracer, on top of its Logger and our clients",
        """
from aws_lambda_powertools import Tracer
tracer = Tracer()
""",
        before="""
from aws_lambda_powertools import Logger
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
logger = Logger()
""",
        textbook=True,
    ),
)

_PROGRAM: Final = """
import json, os, sys, time
import awslambdaric.__main__
{before}
modules = len(sys.modules)
started = time.perf_counter()
{ready}
ready = time.perf_counter()
modules = len(sys.modules) - modules
{calls}
called = time.perf_counter()
print(json.dumps([(ready - started) * 1e3, (called - ready) * 1e3, modules]))
"""


@dataclass(frozen=True)
class Cost:
    """Of one way, in milliseconds: each run's, and the number of modules that it imports."""

    ready: tuple[float, ...]
    calls: tuple[float, ...]
    modules: int


def figures(bench: Bench) -> Section:
    runtime = builds.build_runtime(bench.python)
    receiver = builds.build_function(builds.RECEIVER, bench.python)
    textbook = builds.build_textbook("app", bench.python)
    trimmed = _trimmed_models(runtime.folder, builds.new_folder("trimmed-models"))
    measured: dict[str, list[tuple[float, float, int]]] = {way.name: [] for way in WAYS}
    with AwsStub({SECRET: "{}"}) as aws:
        environment = {
            "AWS_ENDPOINT_URL": aws.url,
            "QUEUE_URL": aws.queue_url,
            "SECRET": SECRET,
            "TRIMMED": str(trimmed),
            # A client of botocore's would look for a configuration in the home folder.
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }
        rounds = [(number, way) for number in range(RUNS + 1) for way in WAYS]
        for number, way in bench.track(rounds, "Ways to AWS clients"):
            aws.sent.clear()
            function = Function("clients", textbook if way.textbook else receiver, environment)
            program = _PROGRAM.format(before=way.before, ready=way.ready, calls=way.calls)
            done = subprocess.run(  # noqa: S603
                [str(runtime.python), "-c", program],
                cwd=function.artifact,
                env=process_environment(function, runtime, "127.0.0.1:9"),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0 or len(aws.sent) != bool(way.calls):
                raise FunctionError(f"{way.name}: {len(aws.sent)} messages sent\n{done.stderr}")
            if number > 0:
                measured[way.name].append(tuple(json.loads(done.stdout)))
    costs = {name: _cost(runs) for name, runs in measured.items()}
    return Section(
        figures=(),
        tables=[_table(costs)],
        details={"clients_ms": {name: asdict(cost) for name, cost in costs.items()}},
    )


def _cost(runs: Sequence[tuple[float, float, int]]) -> Cost:
    ready, calls, modules = zip(*runs, strict=True)
    return Cost(ready, calls, modules[0])


def _trimmed_models(runtime: Path, folder: Path) -> Path:
    """botocore's data folder with two services of one operation each."""
    data = runtime / "botocore" / "data"
    for name in ("_retry", "partitions", "sdk-default-configuration"):
        (folder / f"{name}.json").write_bytes((data / f"{name}.json").read_bytes())
    endpoints = json.loads((data / "endpoints.json").read_bytes())
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in OPERATIONS if name in services}
    (folder / "endpoints.json").write_text(json.dumps(endpoints))
    for service, operation in OPERATIONS.items():
        version = max(each.name for each in (data / service).iterdir())
        into = folder / service / version
        into.mkdir(parents=True)
        rules = _read_gzip(data / service / version / "endpoint-rule-set-1.json.gz")
        (into / "endpoint-rule-set-1.json").write_text(json.dumps(rules))
        model = _read_gzip(data / service / version / "service-2.json.gz")
        (into / "service-2.json").write_text(json.dumps(_with_one_operation(model, operation)))
    return folder


def _read_gzip(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(gzip.decompress(file.read_bytes()))
    return document


def _with_one_operation(model: dict[str, Any], operation: str) -> dict[str, Any]:
    """The model with all shapes that the operation reaches, and no others."""
    shapes, kept = model["shapes"], {}
    left = list(_shape_names(model["operations"][operation]))
    while left:
        name = left.pop()
        if name not in kept:
            kept[name] = shapes[name]
            left.extend(_shape_names(shapes[name]))
    operations = {operation: model["operations"][operation]}
    return {**model, "operations": operations, "shapes": kept}


def _shape_names(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("shape"), str):
            yield node["shape"]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _shape_names(part)


def _table(costs: Mapping[str, Cost]) -> Table:
    title = f"Getting ready to call SQS and Secrets Manager, ms, medians of {RUNS} fresh processes"
    table = Table(title=title, title_justify="left")
    table.add_column("way")
    for heading in ("ready", "first calls", "both", "modules"):
        table.add_column(heading, justify="right")
    for name, cost in costs.items():
        both = [ready + calls for ready, calls in zip(cost.ready, cost.calls, strict=True)]
        medians = [statistics.median(each) for each in (cost.ready, cost.calls, both)]
        table.add_row(name, *(f"{median:.0f}" for median in medians), str(cost.modules))
    return table
