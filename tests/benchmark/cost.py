"""What the relay costs on AWS, beside a textbook pair of functions: counted, then priced.

Both run as Lambda runs them on recorded deliveries; what they call, write and log is counted
(`counting`) and priced without any free tier (`prices`); `spending` says what is assumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.table import Table
from tests.benchmark import builds, surroundings
from tests.benchmark.cost_runs import (
    LIFE,
    Plan,
    access_line,
    logged,
    measure,
    waits,
)
from tests.benchmark.counting import (
    CountingAws,
    CountingPrisjakt,
    indexes_of,
    log_bytes,
    observe,
)
from tests.benchmark.figures import Bench, Figure, Section
from tests.benchmark.idempotency_table import IdempotencyTable
from tests.benchmark.prices import ELSEWHERE, PRICES, REGION, Item
from tests.benchmark.runtime_api import Function, Runtime
from tests.benchmark.spending import (
    FEWEST_POLLERS,
    MILLION,
    MONTH,
    POLLERS,
    Design,
    Machine,
    Spent,
    by_cause,
    by_service,
    dollars,
    plus,
    times,
)
from tests.benchmark.surroundings import LEDGER, shop_document
from tests.benchmark.template import Stack, deployed
from tests.simulation.dynamodb import DynamoDb

from prisjakt_relay.shop import Shops
from prisjakt_relay.telemetry import AGES

RECONCILER_SECONDS: Final = 5.0  # of an hourly run for a shop whose API answers in half a second
# The textbook as its samples are: SAM's default architecture, active tracing, Lambda's own lines as
# text (the default), no access log, no alarms, no batching window; and each function's memory ours.
TEXTBOOK_DOCUMENT_KEPT: Final = 300.0  # its max_age
PLATFORM_LINES: Final = (
    "START RequestId: 8b9e1c1e-6a63-4a21-9dd2-2f6bdbb9c4f1 Version: $LATEST",
    "END RequestId: 8b9e1c1e-6a63-4a21-9dd2-2f6bdbb9c4f1",
    "REPORT RequestId: 8b9e1c1e-6a63-4a21-9dd2-2f6bdbb9c4f1\tDuration: 12.34 ms\t"
    "Billed Duration: 13 ms\tMemory Size: 512 MB\tMax Memory Used: 101 MB\t\n"
    "XRAY TraceId: 1-6740c1a3-0f1e2d3c4b5a69788796a5b4\tSegmentId: 0f1e2d3c4b5a6978\t"
    "Sampled: true\t\n",
)

VOLUMES: Final = (1_000, 10_000, 100_000, 1_000_000)  # orders a month
SMALL_SHOP: Final = 10_000
DELIVERIES_OF_AN_ORDER: Final = len(LIFE)


@dataclass(frozen=True, slots=True)
class FixedBill:
    """What a month costs whatever happens."""

    spent: Spent
    optional: Spent  # with the reconciler switched on for the shop


@dataclass(frozen=True, slots=True)
class Findings:
    ours: Design
    ours_without_credentials: Design
    textbook: Design
    alarms: int
    optional_alarms: int  # which the template has only if they are switched on
    reconciler_off: Spent
    reconciler_machine: Machine

    @property
    def textbook_untraced(self) -> Design:
        """With Lambda's active tracing off; its code still calls the tracer."""
        return replace(self.textbook, name="textbook without traces", traced=False)

    @property
    def designs(self) -> tuple[Design, ...]:
        return (self.ours, self.ours_without_credentials, self.textbook, self.textbook_untraced)

    def fixed(self, orders: float) -> FixedBill:
        deliveries = DELIVERIES_OF_AN_ORDER * orders
        spent = plus(
            {("alarms", Item.ALARM): self.alarms},
            {("shop document kept", Item.SECRET): 1},
            self.ours.metrics(deliveries, tuple(LIFE)),
            self.ours.polling(),
            self.reconciler_off,
        )
        runs = MONTH / 3600
        optional: Spent = {
            ("access to the shop's API kept", Item.SECRET): 1,
            ("the reconciler's metrics", Item.METRIC): len(AGES),
            ("alarms of the reconciler", Item.ALARM): self.optional_alarms,
            ("the reconciler's runs", Item.SECRET_READ): 2 * runs,
        }
        running = self.reconciler_machine.spent("the reconciler", runs * RECONCILER_SECONDS)
        return FixedBill(spent, plus(optional, running))

    def month(self, orders: float) -> dict[str, float]:
        used = self.ours.month(DELIVERIES_OF_AN_ORDER * orders, tuple(LIFE))
        parts = {
            "fixed": dollars(self.fixed(orders).spent),
            "used": dollars(used),
            "stored": dollars(self.ours.storage(orders)),
        }
        return {**parts, "total": sum(parts.values())}


def find(python: Path, orders: int, track: Callable[[Sequence[Plan]], Iterable[Plan]]) -> Findings:
    """Build, run and count both designs, ours with credentials and without."""
    runtime, stack = builds.build_runtime(python), deployed()
    document = shop_document()
    with_credentials = {
        **document,
        "prisjakt_client_id": "0123456789abcdef",
        "prisjakt_client_secret": "s" * 48,
    }
    (mapping,) = stack.of_type("AWS::Lambda::EventSourceMapping")
    (ledger,) = stack.of_type("AWS::DynamoDB::Table")
    names = {
        "receiver": builds.RECEIVER,
        "sender": builds.SENDER,
        "reconciler": builds.RECONCILER,
    }
    settings = {part: stack.properties(name) for part, name in names.items()}
    machines = {
        part: Machine(each["MemorySize"], Item.LAMBDA_ARM) for part, each in settings.items()
    }
    quiet = all(each["LoggingConfig"]["SystemLogLevel"] == "WARN" for each in settings.values())

    receiver = builds.build_function(builds.RECEIVER, python)
    sender = builds.build_function(builds.SENDER, python)

    def ours(name: str, shop: Mapping[str, Any]) -> Plan:
        return Plan(
            name=name,
            receiver=("prisjakt_relay.receiver.app.handler", receiver),
            sender=("prisjakt_relay.sender.app.handler", sender),
            machines=machines,
            document=shop,
            model=DynamoDb(time.time),
            indexes=indexes_of(ledger),
            variables={part: stack.variables(name) for part, name in names.items()},
            platform_lines=() if quiet else PLATFORM_LINES,
            api_lines=access_lines(stack),
            pollers=POLLERS if "ScalingConfig" in mapping else FEWEST_POLLERS,
            document_kept=Shops.FRESH.total_seconds(),
            traced=False,
        )

    textbook = Plan(
        name="textbook",
        receiver=("app.handler", builds.build_textbook_plain("app", python)),
        sender=("sender.handler", builds.build_textbook_plain("sender", python)),
        machines={
            part: Machine(machine.memory, Item.LAMBDA_X86) for part, machine in machines.items()
        },
        document=document,
        model=IdempotencyTable(),
        indexes=(),
        variables={part: {"AWS_LAMBDA_LOG_FORMAT": "Text"} for part in machines},
        platform_lines=PLATFORM_LINES,
        api_lines=(),
        pollers=FEWEST_POLLERS,
        document_kept=TEXTBOOK_DOCUMENT_KEPT,
        traced=True,
    )
    plans = (ours("with credentials", with_credentials), ours("without", document), textbook)
    measured = [measure(plan, runtime, orders) for plan in track(plans)]
    reconciler = Function(
        "prisjakt_relay.reconciler.app.handler",
        builds.build_function(builds.RECONCILER, python),
        stack.variables(builds.RECONCILER),
    )
    alarms = alarms_of(stack)
    return Findings(
        ours=measured[0],
        ours_without_credentials=measured[1],
        textbook=measured[2],
        alarms=alarms,
        optional_alarms=alarms_of(Stack({"ReconcilerAlarms": "on"})) - alarms,
        reconciler_off=_reconciler(reconciler, runtime, machines["reconciler"]),
        reconciler_machine=machines["reconciler"],
    )


def access_lines(stack: Stack) -> tuple[str, ...]:
    """What the HTTP API logs of each request: nothing, unless the template has it on."""
    (stage,) = stack.of_type("AWS::ApiGatewayV2::Stage")
    settings = stage.get("AccessLogSettings")
    return (access_line(settings["Format"]),) if settings else ()


def alarms_of(stack: Stack) -> int:
    return len(stack.of_type("AWS::CloudWatch::Alarm"))


def _reconciler(function: Function, runtime: Runtime, machine: Machine) -> Spent:
    """A month of hourly runs for no shop, each a cold start."""
    with (
        CountingPrisjakt() as prisjakt,
        CountingAws({}, LEDGER, DynamoDb(time.time), ()) as aws,
    ):
        environment = surroundings.environment(
            aws=aws.url, queue=aws.queue_url, prisjakt=prisjakt.url, tokens=prisjakt.token_url
        )
        function = replace(function, environment={**function.environment, **environment})
        course = observe(function, runtime, aws, prisjakt, [dict])
    (run,) = course.steps
    once = plus(
        {("the reconciler's schedule", Item.SCHEDULED): 1},
        {("the reconciler, off", Item.LAMBDA_REQUEST): 1},
        machine.spent("the reconciler, off", machine.seconds(course.init + run.cpu, waits(run))),
        run.books.usage,
        logged("the reconciler, off", run.log_bytes),
    )
    return times(MONTH / 3600, once)


def figures(bench: Bench) -> Section:
    """Dollars: per million deliveries and orders, per month of a small shop, and how both grow."""

    def track(plans: Sequence[Plan]) -> Iterable[Plan]:
        return bench.track(plans, "Counting what AWS would charge for")

    return section(find(bench.python, max(30, bench.runs), track))


def section(found: Findings) -> Section:
    ours, beside = found.ours, found.textbook
    million, its_million = ours.million_deliveries(), beside.million_deliveries()
    whole = tuple(LIFE)
    fixed = found.fixed(SMALL_SHOP)
    return Section(
        figures=[
            Figure(
                "AWS, a million deliveries, a tenth with a click id",
                dollars(million),
                "$",
                key="dollars_per_million_deliveries",
                yardstick=dollars(its_million),
                yardstick_name="textbook",
                target=1.75,
            ),
            Figure(
                f"The same, {len(whole)} of an order's life each",
                dollars(ours.month(MILLION, whole)),
                "$",
                yardstick=dollars(beside.month(MILLION, whole)),
                yardstick_name="textbook",
            ),
            *(
                Figure(
                    f"AWS, a million orders with a click id, {_deliveries(life)} each",
                    dollars(ours.million_orders(life)),
                    "$",
                    yardstick=dollars(beside.million_orders(life)),
                    yardstick_name="textbook",
                )
                for life in (("create",), whole)
            ),
            Figure(
                f"AWS, a month of {SMALL_SHOP:,} orders, fixed part",
                dollars(fixed.spent),
                "$",
                key="dollars_fixed_per_month",
                target=2.0,
            ),
            Figure(
                f"AWS, a month of {SMALL_SHOP:,} orders, all",
                found.month(SMALL_SHOP)["total"],
                "$",
                key="dollars_per_month",
            ),
        ],
        tables=[
            _beside_table(found),
            _causes_table("Where the dollars of a million deliveries go", million),
            _orders_table(found),
            _causes_table(f"Fixed, a month of {SMALL_SHOP:,} orders", fixed.spent),
            _causes_table("On top for a shop that is reconciled", fixed.optional),
            _growth_table(found),
            _snapstart_table(found),
            _invocations_table(found),
            _prices_table(),
        ],
        details=_details(found),
    )


def _deliveries(life: Sequence[str]) -> str:
    return "1 delivery" if len(life) == 1 else f"{len(life)} deliveries"


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _beside_table(found: Findings) -> Table:
    designs = (found.ours, found.textbook, found.textbook_untraced)
    names = ("ours", "textbook", "textbook\nwithout traces")
    table = _table("A million deliveries by service, $", "service", *names)
    spent = [each.million_deliveries() for each in designs]
    services = [by_service(each) for each in spent]
    for service in dict.fromkeys(name for each in reversed(services) for name in each):
        table.add_row(service, *(f"{each.get(service, 0):.3f}" for each in services))
    table.add_row("[bold]all", *(f"[bold]{dollars(each):.3f}" for each in spent))
    return table


def _causes_table(title: str, spent: Spent) -> Table:
    table = _table(f"{title}, $", "cause", "dollars")
    for cause, amount in by_cause(spent).items():
        table.add_row(cause, f"{amount:.4f}")
    table.add_row("[bold]all", f"[bold]{dollars(spent):.4f}")
    return table


def _orders_table(found: Findings) -> Table:
    table = _table(
        "A million orders with a click id, $",
        "deliveries each",
        "with credentials",
        "without",
        "textbook",
        "textbook\nwithout traces",
    )
    for title, life in (
        ("1: created and paid at once", ("create",)),
        ("2: then a second one that says nothing new", ("create", "paid")),
        ("3: the third says nothing new, either", ("create", "paid", "paid")),
        ("3: the third is a partial refund (the textbook does not report it)", tuple(LIFE)),
    ):
        orders = (each.million_orders(life) for each in found.designs)
        table.add_row(title, *(f"{dollars(spent):.2f}" for spent in orders))
    return table


def _growth_table(found: Findings) -> Table:
    table = _table(
        f"A month, $, by orders; {DELIVERIES_OF_AN_ORDER} deliveries each, a tenth with a click id",
        "orders a month",
        "fixed",
        "used",
        "stored",
        "all",
        "per million deliveries",
        "per 1,000 orders",
    )
    for orders in VOLUMES:
        month = found.month(orders)
        table.add_row(
            f"{orders:,}",
            *(f"{month[part]:.3f}" for part in ("fixed", "used", "stored", "total")),
            f"{month['used'] * MILLION / (DELIVERIES_OF_AN_ORDER * orders):.2f}",
            f"{month['total'] * 1_000 / orders:.3f}",
        )
    return table


def snapstart(machine: Machine) -> tuple[float, float]:
    """Dollars a month to keep one version's snapshot, and for a thousand starts from it."""
    size = machine.memory / 1024
    kept = dollars({("", Item.SNAPSTART_CACHED): size * MONTH})
    return kept, dollars({("", Item.SNAPSTART_RESTORED): 1000 * size})


def _snapstart_table(found: Findings) -> Table:
    """An option that is not taken: it costs more than what it saves."""
    table = _table(
        "SnapStart, not taken, $",
        "function",
        "a month for each published version",
        "1,000 starts with it",
        "1,000 starts without",
    )
    for function, cold in (
        ("receiver", found.ours.cold_receiver),
        ("sender", found.ours.cold_sender),
    ):
        kept, restored = snapstart(found.ours.machines[function])
        table.add_row(function, f"{kept:.2f}", f"{restored:.3f}", f"{1000 * dollars(cold):.3f}")
    return table


def _invocations_table(found: Findings) -> Table:
    table = _table(
        "One warm invocation",
        "what",
        "dollars per million",
        "billed ms",
        "processor ms",
        "bytes logged",
    )
    for design in (found.ours, found.ours_without_credentials, found.textbook):
        for function, kinds in (("receiver", design.received), ("sender", design.sent)):
            for kind, each in kinds.items():
                name = f"batch of {kind}" if kind.isdigit() else kind
                table.add_row(
                    f"{design.name}, {function}, {name}",
                    f"{dollars(each.spent) * MILLION:.2f}",
                    f"{each.seconds * 1000:.0f}",
                    f"{each.cpu * 1000:.2f}",
                    f"{each.log_bytes:.0f}",
                )
    return table


def _prices_table() -> Table:
    table = Table(
        title=f"Prices in {REGION}, no free tier", title_justify="left", caption=ELSEWHERE
    )
    for heading in ("service", "unit", "dollars", "source"):
        table.add_column(heading)
    for price in PRICES.values():
        per = "" if price.per == 1 else f" per {price.per:,}"
        table.add_row(price.service, price.unit, f"{price.dollars:.10g}{per}", price.source)
    return table


def _details(found: Findings) -> dict[str, object]:
    fixed = found.fixed(SMALL_SHOP)
    access_log = log_bytes(access_lines(Stack({"AccessLog": "on"})))
    return {
        "region": REGION,
        "prices": {item.value: asdict(price) for item, price in PRICES.items()},
        "million_deliveries": {
            each.name: {
                "by_service": by_service(each.million_deliveries()),
                "by_cause": by_cause(each.million_deliveries()),
            }
            for each in found.designs
        },
        "million_lines_of_access_log": dollars(logged("access log", MILLION * access_log)),
        "fixed": by_cause(fixed.spent),
        "reconciled": by_cause(fixed.optional),
        "growth": {str(orders): found.month(orders) for orders in VOLUMES},
        "bytes_of_an_order": {"table": found.ours.stored, "indexes": found.ours.indexed},
        "invocations": {
            design.name: {
                function: {
                    kind: {
                        "dollars": dollars(each.spent),
                        "seconds": each.seconds,
                        "cpu": each.cpu,
                        "log_bytes": each.log_bytes,
                        "by_cause": by_cause(each.spent),
                    }
                    for kind, each in kinds.items()
                }
                for function, kinds in (("receiver", design.received), ("sender", design.sent))
            }
            for design in (found.ours, found.ours_without_credentials, found.textbook)
        },
    }
