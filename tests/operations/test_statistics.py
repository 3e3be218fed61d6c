"""Orders and deliveries are counted as they are, and nothing of them is kept."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import boto3
import pytest

from prisjakt_relay.errors import AwsError, SetupError
from prisjakt_relay.ledger import Facts, Record, Status, to_item
from prisjakt_relay.local import project
from prisjakt_relay.local.aws import REGION, EmbeddedAws, expand
from prisjakt_relay.operations import statistics
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.operations.statistics import UP_TO, Durations, Statistics, Tally
from prisjakt_relay.operations.trial import sample_id
from prisjakt_relay.outcomes import DeathReason

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
NOON = TODAY - timedelta(days=2) + timedelta(hours=12)
ORDER = Record(
    shop="set-by-test",
    platform="shopify",
    order_id="1",
    event_name="purchase",
    pixel_id="pixel",
    external_id="reference",
    currency="SEK",
    event_time=NOON.strftime("%Y-%m-%dT%H:%M:%SZ"),
    click_id="click",
    received_at=NOON + timedelta(seconds=30),
    wanted=Facts(revision=1, void=False, amount=Decimal("100.50"), items=1),
    updated_at=NOON,
    expires_at=NOON + timedelta(days=90),
)


@pytest.fixture(scope="module")
def stack(embedded_aws: EmbeddedAws) -> Stack:
    """The template's table and a log, without the rest of it."""
    template = expand((project.root() / "template.yaml").read_text("utf-8"))
    ledger = template["Resources"]["Ledger"]["Properties"]
    names = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    embedded_aws.client("dynamodb").create_table(
        TableName="statistics", **{name: ledger[name] for name in names}
    )
    embedded_aws.client("logs").create_log_group(logGroupName="statistics")
    embedded_aws.client("logs").create_log_stream(
        logGroupName="statistics", logStreamName="receiver"
    )
    return Stack(
        name="statistics",
        status="CREATE_COMPLETE",
        region=REGION,
        outputs={"LedgerTable": "statistics", "ReceiverLogGroup": "statistics"},
        parameters={"LogRetentionDays": "30"},
        webhook_address="",
        session=boto3.Session("test", "test", region_name=REGION),
        endpoint=embedded_aws.endpoint,
    )


@pytest.fixture
def shop(request: pytest.FixtureRequest) -> str:
    """A shop for each test, which share the table."""
    return str(request.node.name).replace("_", "-")[:64]


@pytest.fixture
def put(stack: Stack, shop: str) -> Callable[..., None]:
    def write(order_id: int, **changes: Any) -> None:
        record = replace(ORDER, shop=shop, order_id=str(order_id), **changes)
        assert stack.store.put(to_item(record), previous=None)

    return write


def at(moment: datetime) -> dict[str, Any]:
    return {
        "event_time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "received_at": moment + timedelta(seconds=30),
    }


def reported(amount: str = "100.50", *, void: bool = False, **changes: Any) -> dict[str, Any]:
    facts = Facts(revision=1, void=void, amount=Decimal(amount), items=1)
    return {
        "status": Status.REPORTED,
        "settled": facts,
        "reported": facts,
        "reported_at": NOON + timedelta(seconds=42),
    } | changes


def read(stack: Stack, shop: str, **changes: Any) -> Statistics:
    since, until = TODAY - timedelta(days=29), TODAY + timedelta(days=1)
    return statistics.read(stack, shop, changes.get("since", since), changes.get("until", until))


def test_purchases_are_counted_by_day_and_currency_and_taken_back_ones_apart(
    stack: Stack, shop: str, put: Callable[..., None]
) -> None:
    yesterday = NOON + timedelta(days=1)
    put(1, **reported("100.50"))
    put(2, **reported("0.75"))
    put(3, **reported("20", currency="EUR"))
    put(4, **reported("0", void=True))
    put(5, **reported("7"), **at(yesterday))

    days = read(stack, shop).days

    assert [(d.day, d.currency, d.purchases, d.amount, d.taken_back) for d in days] == [
        (NOON.date(), "EUR", 1, Decimal(20), 0),
        (NOON.date(), "SEK", 2, Decimal("101.25"), 1),
        (yesterday.date(), "SEK", 1, Decimal(7), 0),
    ]


def test_what_prisjakt_holds_counts_even_where_a_change_was_not_passed_on(
    stack: Stack, shop: str, put: Callable[..., None]
) -> None:
    put(1, **reported("80") | {"status": Status.NOT_CORRECTABLE})
    put(2, status=Status.ALREADY_AT_PRISJAKT, settled=ORDER.wanted)
    put(3)

    found = read(stack, shop)

    assert [(day.purchases, day.amount) for day in found.days] == [(1, Decimal(80))]
    assert (found.orders, found.already_at_prisjakt) == (3, 1)
    assert found.already_at_prisjakt_share == pytest.approx(1 / 3)


def test_test_purchases_are_no_purchases(stack: Stack, shop: str, put: Callable[..., None]) -> None:
    put(1, **reported())
    put(2, event_name="test-purchase", **reported(corrections=2))

    found = read(stack, shop)

    assert (found.orders, found.test_purchases) == (1, 1)
    assert [day.purchases for day in found.days] == [1]
    assert [(each.orders, each.test_purchases) for each in found.outcomes] == [(1, 1)]
    assert (found.order_to_report.orders, found.corrections.orders) == (1, 0)


def test_orders_are_counted_by_outcome_and_dead_ones_by_reason(
    stack: Stack, shop: str, put: Callable[..., None]
) -> None:
    put(1, **reported())
    put(2, **reported())
    put(3, status=Status.DEAD, death=DeathReason.EXPIRED)
    put(4, status=Status.DEAD, death=DeathReason.REJECTED)
    put(5, status=Status.DEAD, death=DeathReason.REJECTED)
    put(6, status=Status.DEAD, death=DeathReason.REJECTED)

    outcomes = read(stack, shop).outcomes

    assert [(each.outcome, each.death, each.orders) for each in outcomes] == [
        ("dead", "rejected", 3),
        ("reported", None, 2),
        ("dead", "expired", 1),
    ]


def test_times_run_from_the_order_and_from_its_arrival(
    stack: Stack, shop: str, put: Callable[..., None]
) -> None:
    put(1, **reported())  # made, received 30 s later, reported 12 s after that

    found = read(stack, shop)

    assert found.order_to_report.longest == timedelta(seconds=42)
    assert found.arrival_to_report.longest == timedelta(seconds=12)
    assert [step.orders for step in found.order_to_report.steps] == [0, 1, 0, 0, 0, 0, 0]


def test_an_order_of_an_older_relay_that_did_not_note_when_has_no_time(
    stack: Stack, shop: str, put: Callable[..., None]
) -> None:
    put(1, **reported(reported_at=None))

    found = read(stack, shop)

    assert [day.purchases for day in found.days] == [1]
    assert (found.order_to_report.orders, found.order_to_report.median) == (0, None)


def test_corrections_are_counted_by_order_and_in_sum(
    stack: Stack, shop: str, put: Callable[..., None]
) -> None:
    put(1, **reported(corrections=3))
    put(2, **reported("0", void=True, corrections=1))
    put(3, **reported())

    found = read(stack, shop).corrections

    assert (found.orders, found.changes, found.taken_back) == (2, 4, 1)


def test_only_orders_of_the_interval_and_of_the_shop_count(
    stack: Stack, shop: str, put: Callable[..., None]
) -> None:
    put(1, **reported(), **at(NOON - timedelta(seconds=1)))
    put(2, **reported(), **at(NOON))
    put(3, **reported(), **at(NOON + timedelta(hours=1)))

    assert read(stack, shop, since=NOON, until=NOON + timedelta(hours=1)).orders == 1
    assert read(stack, shop, until=NOON).orders == 1
    assert read(stack, "somebody-else").orders == 0


def test_ignored_deliveries_are_counted_by_reason_and_by_order(stack: Stack, shop: str) -> None:
    line = {"service": "receiver", "shop": shop, "outcome": "ignored", "reason": "no_click_id"}
    lines = [
        line | {"order_id": "1"},
        line | {"order_id": "1"},
        line | {"order_id": "2"},
        line | {"reason": "ping"},
        line | {"order_id": "3", "shop": "somebody-else"},
        line | {"order_id": "4", "outcome": "queued"},
        line | {"reason": "topic", "order_id": sample_id(NOON)},  # of `doctor`
        line | {"reason": "off", "order_id": sample_id(NOON)},  # of `test`
    ]
    log(stack, lines)

    found = read(stack, shop).ignored

    assert [(each.reason, each.deliveries, each.orders) for each in found] == [
        ("no_click_id", 3, 2),
        ("ping", 1, 0),
    ]


def log(stack: Stack, lines: Sequence[Mapping[str, Any]]) -> None:
    noon = int(NOON.timestamp() * 1000)
    stack.client("logs").put_log_events(
        logGroupName="statistics",
        logStreamName="receiver",
        logEvents=[{"timestamp": noon, "message": json.dumps(line)} for line in lines],
    )


def test_it_is_said_from_when_on_log_and_ledger_can_tell(stack: Stack, shop: str) -> None:
    briefly = replace(stack, parameters={"LogRetentionDays": "3"})
    long_ago = TODAY - timedelta(days=200)

    recent = read(stack, shop, since=TODAY)
    partly = read(briefly, shop, since=long_ago)
    past = read(briefly, shop, since=long_ago, until=long_ago + timedelta(days=1))

    assert (recent.ignored_since, recent.ledger_complete_since) == (TODAY, TODAY)
    assert partly.ignored_since is not None
    assert timedelta(days=2) < TODAY + timedelta(days=1) - partly.ignored_since < timedelta(days=5)
    assert partly.ledger_complete_since > TODAY - timedelta(days=91)
    assert (past.ignored_since, past.ignored) == (None, ())


class Pages:
    """DynamoDB as the index answers: a page for each call, or an error."""

    def __init__(self, pages: Sequence[Mapping[str, Any]], error: Exception | None = None) -> None:
        self._pages = pages
        self._error = error
        self.asked: list[Mapping[str, Any]] = []

    def call(self, _: str, query: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked.append(dict(query))
        if self._error:
            raise self._error
        return self._pages[len(self.asked) - 1]


def with_pages(stack: Stack, pages: Pages) -> Stack:
    copy = replace(stack)
    copy.__dict__["dynamodb"] = pages
    return copy


def test_every_page_of_a_day_is_read(stack: Stack, shop: str) -> None:
    item = {
        "id": {"S": f"order#{shop}#1#purchase"},
        "status": {"S": "waiting"},
        "event_time": {"S": ORDER.event_time},
    }
    pages = Pages([{"Items": [item], "LastEvaluatedKey": {"id": item["id"]}}, {"Items": [item]}])

    found = read(with_pages(stack, pages), shop, since=NOON, until=NOON + timedelta(hours=1))

    assert found.orders == 2
    assert [query.get("ExclusiveStartKey") for query in pages.asked] == [None, {"id": item["id"]}]


def test_an_error_of_aws_is_told(stack: Stack, shop: str) -> None:
    pages = Pages([], AwsError("Query", "ExpiredTokenException"))

    with pytest.raises(SetupError, match="credentials have expired"):
        read(with_pages(stack, pages), shop, since=TODAY - timedelta(days=365))

    assert pages.asked


def test_progress_tells_the_days(stack: Stack, shop: str) -> None:
    heard: list[tuple[int, int]] = []

    statistics.read(
        stack,
        shop,
        TODAY - timedelta(days=2),
        TODAY + timedelta(hours=1),
        on_day=lambda done, of: heard.append((done, of)),
    )

    assert heard == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("orders", [1, 2, 19, 20, 21, 5_000])
def test_median_and_percentile_are_right_to_one_per_cent(orders: int) -> None:
    chance = random.Random(orders)  # noqa: S311  # the same every time
    seconds = [chance.lognormvariate(3, 3) for _ in range(orders)]
    durations = Durations()
    for each in seconds:
        durations.add(timedelta(seconds=each))

    times = durations.times()

    assert times.median is not None
    assert times.percentile_95 is not None
    ranked = sorted(seconds)
    median, percentile_95 = ranked[(orders + 1) // 2 - 1], ranked[-(-orders * 95 // 100) - 1]
    assert times.median.total_seconds() == pytest.approx(median, rel=0.0101, abs=0.001)
    assert times.percentile_95.total_seconds() == pytest.approx(percentile_95, rel=0.0101)
    assert times.longest == timedelta(seconds=ranked[-1])


@pytest.mark.parametrize("step", range(len(UP_TO)))
def test_a_step_of_the_histogram_holds_its_own_end(step: int) -> None:
    durations = Durations()
    durations.add(UP_TO[step])
    durations.add(UP_TO[step] + timedelta(milliseconds=1))

    steps = [each.orders for each in durations.times().steps]

    assert steps == [int(number in {step, step + 1}) for number in range(len(UP_TO) + 1)]


def test_a_report_before_the_order_is_one_at_once() -> None:
    """The clocks of shop and relay may differ."""
    durations = Durations()
    durations.add(timedelta(seconds=-3))

    times = durations.times()

    assert (times.median, times.longest) == (timedelta(), timedelta())
    assert times.steps[0].orders == 1


def test_memory_does_not_grow_with_the_number_of_orders() -> None:
    tally = Tally()
    facts = {"void": False, "amount": "129.50"}
    half, sizes = 5_000, []

    tracemalloc.start()
    for number in range(2 * half):
        tally.add(
            {
                "id": f"order#shop#{number}#purchase",
                "status": "reported",
                "currency": "SEK",
                "event_time": ORDER.event_time,
                "reported": facts,
                "received_at": NOON.isoformat(),
                "reported_at": (NOON + timedelta(seconds=number % 997)).isoformat(),
            },
            NOON,
        )
        if number % half == half - 1:
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()

    assert sizes[1] - sizes[0] < 60_000  # twelve bytes for each order would be as much
