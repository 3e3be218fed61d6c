"""The arithmetic of the bill: AWS' rules for units, and that nothing is left off it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.benchmark import cost, cost_runs, spending
from tests.benchmark.counting import (
    CHUNK,
    EVENT_OVERHEAD,
    HTTP_UNIT,
    KILOBYTE,
    Books,
    CountedTable,
    Course,
    Index,
    Step,
    carried,
    indexes_of,
    item_size,
    log_bytes,
    metrics_in,
    units,
)
from tests.benchmark.prices import ACTIONS, PRICES, RESOURCES, Item
from tests.benchmark.spending import MILLION, Design, Invocation, Machine
from tests.benchmark.template import Stack, deployed
from tests.simulation.dynamodb import DynamoDb

from prisjakt_relay.errors import AwsError
from prisjakt_relay.platforms import shopify
from prisjakt_relay.queues import Message

BY_DAY = Index("by-day", ("shop_day", "event_time"), frozenset({"status"}))
DEAD = Index("dead", ("dead_shop",), None)


def text(value: str) -> dict[str, Any]:
    return {"S": value}


def order(**attributes: str) -> dict[str, dict[str, Any]]:
    """An item of the ledger, in the index by day."""
    given = {"id": "order#a#1", "shop_day": "a#1", "event_time": "t", "status": "waiting"}
    return {name: text(value) for name, value in {**given, **attributes}.items()}


@pytest.fixture(scope="module")
def resources() -> Mapping[str, Any]:
    """With everything switched on that a shop may want."""
    return Stack({"AccessLog": "on", "ReconcilerAlarms": "on"}).resources


# Units


@pytest.mark.parametrize(
    ("size", "unit", "expected"),
    [
        (0, KILOBYTE, 1),
        (1, KILOBYTE, 1),
        (1024, KILOBYTE, 1),
        (1025, KILOBYTE, 2),
        (65_536, CHUNK, 1),
        (65_537, CHUNK, 2),
        (512 * 1024 + 1, HTTP_UNIT, 2),
    ],
)
def test_what_is_begun_is_a_whole_unit(size: int, unit: int, expected: int) -> None:
    assert units(size, unit) == expected


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "kök"}, 4),
        ({"N": "1"}, 2),
        ({"N": "1795280523976"}, 8),
        ({"N": "-12.50"}, 3),
        ({"N": "1000"}, 2),
        ({"BOOL": False}, 1),
        ({"M": {}}, 3),
        ({"M": {"n": {"N": "12"}, "s": {"S": "ab"}}}, 3 + (1 + 1 + 2) + (1 + 1 + 2)),
    ],
)
def test_an_item_is_as_large_as_dynamodb_says(value: Mapping[str, Any], size: int) -> None:
    """Names and values in UTF-8, two digits a byte, three bytes for a map and one for each part."""
    assert item_size({"name": value}) == 4 + size


def test_a_type_that_was_never_measured_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="SS"):
        item_size({"name": {"SS": ["a"]}})


# Indexes


def test_an_entry_that_is_made_or_removed_is_one_write() -> None:
    assert BY_DAY.write_units(None, order()) == 1
    assert BY_DAY.write_units(order(), None) == 1
    assert BY_DAY.write_units({"id": text("rate#a")}, None) == 0


def test_only_what_an_index_holds_makes_a_write() -> None:
    assert BY_DAY.write_units(order(), order(token="abc")) == 0
    assert BY_DAY.write_units(order(), order(status="reported")) == 1
    assert DEAD.write_units(order(dead_shop="a"), order(dead_shop="a", token="b")) == 1


def test_an_entry_that_moves_is_two_writes() -> None:
    assert BY_DAY.write_units(order(), order(event_time="u")) == 2


def test_a_sparse_index_costs_nothing_for_items_without_its_key() -> None:
    assert DEAD.write_units(None, order()) == 0
    assert DEAD.write_units(order(), order(status="dead", dead_shop="a")) == 1


def test_a_large_entry_is_several_writes() -> None:
    assert BY_DAY.write_units(order(), order(status="x" * 2000)) == 2
    assert BY_DAY.write_units(order(), order(token="x" * 2000)) == 0


def test_the_indexes_are_those_of_the_template(resources: Mapping[str, Any]) -> None:
    found = {index.name: index for index in indexes_of(resources["Ledger"]["Properties"])}

    assert set(found) == {"dead-orders", "orders-by-day"}
    assert found["dead-orders"].attributes is None
    assert {"status", "reported"} <= (found["orders-by-day"].attributes or set())


# The table's books


def put(table: CountedTable, item: Mapping[str, Any], *, first: bool = True) -> None:
    condition = "attribute_not_exists(id)" if first else "version = :v"
    table.call(
        "PutItem",
        {
            "TableName": "ledger",
            "Item": item,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {":v": {"N": "1"}},
        },
    )


def test_writes_count_on_the_table_and_on_its_indexes() -> None:
    books = Books()
    table = CountedTable(DynamoDb(lambda: 0.0), [BY_DAY, DEAD], books)

    put(table, {**order(), "version": {"N": "1"}})
    put(table, {**order(status="reported", more="x" * 1500), "version": {"N": "2"}}, first=False)

    assert books.calls == {"dynamodb": 2}
    assert books.usage == {
        ("table: order", Item.WRITE_UNIT): 1 + 2,
        ("index: by-day", Item.WRITE_UNIT): 1 + 1,
    }


def test_a_refused_write_is_charged() -> None:
    books = Books()
    table = CountedTable(DynamoDb(lambda: 0.0), [BY_DAY], books)
    put(table, order(more="x" * 1500))

    with pytest.raises(AwsError):
        put(table, order())

    assert books.usage["table: order, refused", Item.WRITE_UNIT] == 2


def test_reads_count_by_four_kilobytes_and_a_miss_counts_too() -> None:
    books = Books()
    table = CountedTable(DynamoDb(lambda: 0.0), [], books)
    put(table, order(more="x" * 5000))
    read = {"TableName": "ledger", "ConsistentRead": True}

    table.call("GetItem", {**read, "Key": {"id": text("order#a#1")}})
    table.call("GetItem", {**read, "Key": {"id": text("shop#a")}})

    assert books.usage["table: order", Item.READ_UNIT] == 2
    assert books.usage["table: shop", Item.READ_UNIT] == 1


def test_what_is_not_understood_is_not_counted_as_nothing() -> None:
    table = CountedTable(DynamoDb(lambda: 0.0), [], Books())

    with pytest.raises(AwsError):
        table.call("TransactWriteItems", {})
    with pytest.raises(ValueError, match="half a unit"):
        table.call("GetItem", {"Key": {"id": text("order#a#1")}})


# Queue and log


def test_a_message_of_a_group_costs_its_surcharge() -> None:
    plain, grouped = {"MessageBody": "x"}, {"MessageBody": "x", "MessageGroupId": "shop"}

    assert carried("send", [plain]) == {("send", Item.SQS_REQUEST): 1}
    assert carried("send", [grouped]) == {("send", Item.SQS_REQUEST): 1, ("send", Item.SQS_FAIR): 1}
    large = {"MessageBody": "x" * 40_000}
    assert carried("receive", [large, large])["receive", Item.SQS_REQUEST] == 2


def test_a_log_event_is_its_bytes_and_some_more() -> None:
    assert log_bytes(["å", "ab"]) == 2 + 2 + 2 * EVENT_OVERHEAD


def test_metrics_are_told_apart_by_their_dimensions() -> None:
    def line(stack: str) -> str:
        return (
            f'{{"stack":"{stack}","Queued":1,"_aws":{{"CloudWatchMetrics":[{{"Namespace":"N",'
            '"Dimensions":[["stack"]],"Metrics":[{"Name":"Queued"}]}]}}'
        )

    assert metrics_in([line("a"), line("a"), line("b"), "no JSON", "{}"]) == {
        ("N", "Queued", "a"),
        ("N", "Queued", "b"),
    }


def test_the_access_log_is_off_and_costs_nothing() -> None:
    assert len(deployed().of_type("AWS::ApiGatewayV2::Stage")) == 1
    assert cost.access_lines(deployed()) == ()


def test_the_access_log_that_is_on_is_filled_in_as_the_template_has_it() -> None:
    (line,) = cost.access_lines(Stack({"AccessLog": "on"}))

    assert "$context" not in line
    assert '"200"' in line


def test_alarms_that_are_switched_on_are_counted() -> None:
    assert 0 < cost.alarms_of(deployed()) < cost.alarms_of(Stack({"ReconcilerAlarms": "on"}))


def step(cpu: float, *, reports: int = 1, **calls: int) -> Step:
    """An invocation; each call is one to Secrets Manager."""
    usage = Counter({("shop document", Item.SECRET_READ): calls.get("secretsmanager", 0)})
    books = Books(usage, Counter(calls))
    return Step(books, cpu, (), {"body": ""}, (("POST", "/", 500),) * reports)


def test_nothing_of_the_first_invocation_falls_out_of_the_bill() -> None:
    """The token that is asked for, the document that is read, and every other call."""
    plan = cost_runs.Plan(
        name="a design",
        receiver=("", Path()),
        sender=("", Path()),
        machines={"sender": Machine(512, Item.LAMBDA_ARM)},
        document={},
        model=DynamoDb(lambda: 0.0),
        indexes=(),
        variables={},
        platform_lines=(),
        api_lines=(),
        pollers=5,
        document_kept=300.0,
        traced=False,
    )
    first, later = step(0.05, reports=2, secretsmanager=1, dynamodb=3), step(0.01, dynamodb=2)
    course = Course(0.1, (first, *(later,) * 10))

    def around(_: str, each: Step) -> dict[tuple[str, Item], float]:
        return {("reports", Item.DATA_OUT): float(sum(size for *_, size in each.reports))}

    warm = cost_runs._invocations(plan, "sender", ["create"] * 11, course, around)
    cold = cost_runs._cold(plan, "sender", course, "create", warm, around)

    assert cold["reports", Item.DATA_OUT] == 500
    assert cold["shop document", Item.SECRET_READ] == 1
    assert ("sender: requests", Item.LAMBDA_REQUEST) not in cold
    more = (0.1 + 0.05 - 0.01) * 1769 / 512
    waits = spending.PRISJAKT_SECONDS + spending.SECRETS_SECONDS + spending.DYNAMODB_SECONDS
    assert cold["sender: time", Item.LAMBDA_ARM] == pytest.approx((more + waits) / 2, abs=0.001)


def test_the_deliveries_of_an_order_are_signed_and_follow_each_other() -> None:
    """Else the receiver would refuse them, or the sender take the later one for the earlier."""
    secret = "a secret"
    created, paid = (
        cost_runs.delivery(cost_runs.LIFE[kind], 7, minute, secret)
        for minute, kind in ((1, "create"), (2, "paid"))
    )
    orders = [json.loads(event["body"]) for event in (created, paid)]

    now = datetime.now(UTC)
    for event in (created, paid):
        shopify.PLATFORM.verify(event["headers"], event["body"].encode(), (secret,), now)
    assert {str(each["id"]) for each in orders} == {str(int(cost_runs.RECORDED_ORDER) + 7)}
    assert orders[0]["created_at"] == orders[1]["created_at"]
    assert orders[0]["updated_at"] < orders[1]["updated_at"]


def test_messages_reach_the_sender_as_sqs_hands_them_over() -> None:
    event = cost_runs.sqs_event([{"MessageBody": "a"}, {"MessageBody": "b"}])
    messages = [Message.from_record(record) for record in event["Records"]]

    assert [message.body for message in messages] == ["a", "b"]
    assert len({message.id for message in messages}) == 2


# Nothing is left off the bill


def test_every_price_has_its_source() -> None:
    assert set(PRICES) == set(Item)
    for price in PRICES.values():
        assert price.dollars > 0
        assert price.per >= 1
        assert price.page.startswith("https://aws.amazon.com/")
        assert price.source


def test_every_resource_of_the_template_is_priced(resources: Mapping[str, Any]) -> None:
    """A new type of resource fails here until somebody has said what it costs."""
    assert {resource["Type"] for resource in resources.values()} <= set(RESOURCES)


def test_every_call_that_the_functions_may_make_is_priced(resources: Mapping[str, Any]) -> None:
    allowed: set[str] = set()
    for resource in resources.values():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"]["Policies"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    action = statement["Action"]
                    allowed |= set(action) if isinstance(action, list) else {action}

    assert allowed
    assert allowed <= set(ACTIONS)


# Time and months


def test_time_is_billed_by_the_millisecond_and_by_the_share_of_a_processor() -> None:
    small = Machine(512, Item.LAMBDA_ARM)

    assert small.seconds(0.001, 0.0) == 0.004  # 3.455 ms
    assert small.seconds(0.0, 0.2) == 0.2
    assert Machine(4096, Item.LAMBDA_ARM).seconds(0.001, 0.0) == 0.001
    assert small.spent("f", 2.0) == {("f: time", Item.LAMBDA_ARM): 1.0}


def test_rare_invocations_are_cold_and_frequent_ones_mostly_not() -> None:
    assert spending.cold_share(10) > 0.99
    assert spending.cold_share(1_000_000) == spending.COLD_SHARE
    assert spending.cold_share(0) == 0


def test_x_ray_samples_nearly_all_of_a_little_and_a_part_of_much() -> None:
    assert spending.sampled_share(1_000) > 0.99
    assert spending.sampled_share(1e9) < 0.06


def invocation(dollars: float, *metrics: str) -> Invocation:
    """One that costs so many dollars in requests to the HTTP API."""
    return Invocation(
        spent={("it", Item.HTTP_REQUEST): dollars / PRICES[Item.HTTP_REQUEST].each},
        seconds=0.01,
        cpu=0.001,
        log_bytes=100,
        metrics=frozenset({("N", name) for name in metrics}),
    )


@pytest.fixture
def design() -> Design:
    steps = {"create": 2.0, "paid": 0.5, "refund": 4.0}
    return Design(
        name="a design",
        received={
            "plain": invocation(1.0, "Ignored"),
            **{kind: invocation(1.0, "Queued") for kind in steps},
        },
        sent={kind: invocation(price, "Reported") for kind, price in steps.items()},
        cold_receiver={},
        cold_sender={},
        machines=dict.fromkeys(("receiver", "sender"), Machine(512, Item.LAMBDA_ARM)),
        pollers=5,
        document_kept=300.0,
        traced=False,
        stored=900.0,
        indexed=400.0,
    )


def without_documents(spent: Mapping[tuple[str, Item], float]) -> float:
    kept = {line: amount for line, amount in spent.items() if line[0] != "shop document"}
    return spending.dollars(kept)


def test_a_tenth_of_the_deliveries_goes_all_the_way(design: Design) -> None:
    assert math.isclose(without_documents(design.million_deliveries()), 900_000 + 100_000 * 3)


def test_a_document_is_read_again_when_it_is_too_old(design: Design) -> None:
    """By each function: the receiver has ten times as many invocations as the sender."""
    reads = design.month(MILLION, ("create",))["shop document", Item.SECRET_READ]

    a_month = 730 * 3600
    assert reads == pytest.approx(a_month / (300 + 2.628) + a_month / (300 + 26.28))
    assert not design.month(0, ("create",)).get(("shop document", Item.SECRET_READ))


def test_an_order_of_three_deliveries_takes_three_of_them(design: Design) -> None:
    month = design.month(3_000, ("create", "paid", "refund"))

    assert math.isclose(without_documents(month), 2_700 + 100 * (3.0 + 1.5 + 5.0))


def test_a_million_orders_are_all_with_a_click_id(design: Design) -> None:
    once = design.million_orders(("create",))
    assert math.isclose(without_documents(once), 3_000_000)
    assert math.isclose(without_documents(design.million_orders(("create", "paid"))), 4_500_000)
    reads = once["shop document", Item.SECRET_READ]
    assert reads == pytest.approx(2 * 730 * 3600 / (300 + 2.628))


def test_an_empty_queue_is_asked_three_times_a_minute_by_each_poller(design: Design) -> None:
    assert design.polling() == {("polling an empty queue", Item.SQS_REQUEST): 5 * 3 * 60 * 730}


def test_a_metric_costs_by_the_hours_that_have_data(design: Design) -> None:
    (busy,) = design.metrics(10_000_000, ("create",)).values()
    (quiet,) = design.metrics(73, ("create",)).values()

    assert math.isclose(busy, 3)
    assert math.isclose(quiet, (1 - math.exp(-0.09)) + 2 * (1 - math.exp(-0.01)))


def test_the_ledger_holds_three_months_of_orders(design: Design) -> None:
    storage = design.storage(1_000_000)

    assert storage["storage", Item.TABLE_STORAGE] == pytest.approx(300_000 * 1_300 / 1e9)
    assert storage["storage", Item.TABLE_BACKUP] == pytest.approx(300_000 * 900 / 1e9)


def test_parts_of_a_bill_add_up() -> None:
    one = {("a", Item.WRITE_UNIT): 2.0, ("b", Item.READ_UNIT): 1.0}
    whole = spending.plus(one, spending.times(3, {("a", Item.WRITE_UNIT): 1.0}))

    assert whole == {("a", Item.WRITE_UNIT): 5.0, ("b", Item.READ_UNIT): 1.0}
    assert set(spending.by_service(whole)) == {"DynamoDB"}
    assert math.isclose(sum(spending.by_cause(whole).values()), spending.dollars(whole))


def test_the_section_has_its_figures_and_its_tables(design: Design) -> None:
    """Rendered, so that no cell is missing; `Counter`s of units are as good as fractions."""
    section = cost.section(
        cost.Findings(
            ours=design,
            ours_without_credentials=design,
            textbook=design,
            alarms=18,
            optional_alarms=2,
            reconciler_off=dict(Counter({("off", Item.LAMBDA_REQUEST): 730})),
            reconciler_machine=Machine(512, Item.LAMBDA_ARM),
        )
    )
    by_key = {figure.key: figure for figure in section.figures if figure.key}
    console = Console(record=True, width=200, quiet=True)
    console.print(*section.tables)

    assert by_key["dollars_per_million_deliveries"].yardstick_name == "textbook"
    fixed = by_key["dollars_fixed_per_month"].ours
    metrics = spending.dollars(design.metrics(30_000, tuple(cost_runs.LIFE)))
    polling = 657_000 * PRICES[Item.SQS_REQUEST].each
    assert fixed == pytest.approx(18 * 0.10 + 0.40 + metrics + polling + 730 * 0.20 / 1e6)
    assert set(section.details) >= {"prices", "growth", "fixed"}
    beside = section.details["million_deliveries"]
    assert isinstance(beside, dict)
    assert "textbook without traces" in beside
    assert section.details["million_lines_of_access_log"] == pytest.approx(0.11, rel=0.2)
