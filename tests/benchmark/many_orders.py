"""Times `report` and `dead list` over many orders, and shows that their memory stays flat.

`python -m tests.benchmark.many_orders [--orders 100000]`. The commands run as a person runs them,
each in a process of its own, against an embedded AWS with the template's table, queues and logs.
It fails if one takes too long, or more memory for many orders than for a few.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.table import Table
from tests.benchmark.output import new_console
from tests.operations.measuring import Measured, free_port, measure
from tests.operations.past_orders import DAYS, seed

from prisjakt_relay.local import project
from prisjakt_relay.local.aws import STACK, EmbeddedAws, expand
from prisjakt_relay.local.system import sample_shops

SHOP: Final = "busy"
FEWER: Final = 10_000
TARGET_SECONDS: Final = 10
FLAT: Final = 1.5  # times the memory for fewer orders

_CREATED: Final = frozenset({"AWS::DynamoDB::Table", "AWS::Logs::LogGroup", "AWS::SQS::Queue"})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--orders", type=int, default=100_000)
    most: int = parser.parse_args().orders
    results = [each for orders in sorted({min(FEWER, most), most}) for each in _run(orders)]
    wrong = _wrong(results)
    table = Table("Command", "Orders", "Seconds", "Peak memory, MB", "")
    for each in results:
        table.add_row(
            each.command,
            f"{each.orders:,}",
            f"{each.seconds:.1f}",
            f"{each.megabytes:.0f}",
            "✗" if each in wrong else "✓",
        )
    new_console().print(table)
    sys.exit(bool(wrong))


def _wrong(results: Sequence[Measured]) -> list[Measured]:
    """Those that took too long, or whose memory grew with the orders."""
    least: dict[str, float] = {}
    for each in results:
        least[each.command] = min(each.megabytes, least.get(each.command, math.inf))
    return [
        each
        for each in results
        if each.seconds >= TARGET_SECONDS or each.megabytes > FLAT * least[each.command]
    ]


def _run(orders: int) -> Iterator[Measured]:
    port = free_port()
    since = f"{datetime.now(UTC) - timedelta(days=DAYS):%Y-%m-%d}"
    with EmbeddedAws(port + 2) as aws, tempfile.TemporaryDirectory() as folder:
        seed(aws, _create(aws), orders, SHOP)
        report = ["report", SHOP, "--from", since]
        for name, command in (
            ("report", report),
            ("report --out", [*report, "--out", str(Path(folder) / "report.html")]),
            ("dead list", ["dead", "list", SHOP]),
            ("dead list --json", ["dead", "list", SHOP, "--limit", "0", "--json"]),
        ):
            seconds, megabytes = measure([*command, "--local", "--port", str(port)])
            yield Measured(name, orders, seconds, megabytes)


def _create(aws: EmbeddedAws) -> str:
    """The part of the template that holds data, as its stack; returns the table's name."""
    template = expand((project.root() / "template.yaml").read_text("utf-8"))
    resources = {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] in _CREATED
    }
    outputs = {
        name: output
        for name, output in template["Outputs"].items()
        if output["Value"].get("Ref") in resources
    }
    outputs["WebhookAddress"] = {"Value": "https://relay.example/webhooks"}
    template |= {"Resources": resources, "Outputs": outputs}
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(template))
    while True:
        (stack,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
        if stack["StackStatus"] == "CREATE_COMPLETE":
            break
        if not stack["StackStatus"].endswith("IN_PROGRESS"):
            raise SystemExit(f"the template could not be created: {stack['StackStatus']}")
        time.sleep(0.1)
    aws.put_shop(SHOP, sample_shops()["demo-shopify"])
    return next(
        str(each["OutputValue"]) for each in stack["Outputs"] if each["OutputKey"] == "LedgerTable"
    )


if __name__ == "__main__":
    main()
