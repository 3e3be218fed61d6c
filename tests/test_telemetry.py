"""The log: one JSON object a line, with a metric block that CloudWatch understands."""

from __future__ import annotations

import io
import json
import logging
from collections import defaultdict
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from prisjakt_relay.outcomes import Outcome, Received
from prisjakt_relay.reconciler.reconciliation import Disagreement
from prisjakt_relay.telemetry import AGES, METRICS, NAMESPACE, WAITING_AGE, Telemetry


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def telemetry(output: io.StringIO, request: pytest.FixtureRequest, now: datetime) -> Telemetry:
    """With a logger of its own, which keeps the standard output that it found when made."""
    with redirect_stdout(output):
        return Telemetry(request.node.name, "relay", lambda: now)


def lines(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def metrics(line: dict[str, Any]) -> dict[str, tuple[float, str]]:
    """Name, value and unit of each metric in a line, checked by the format's specification."""
    assert isinstance(line["_aws"]["Timestamp"], int)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == NAMESPACE
    assert directive["Dimensions"] == [["stack"]]
    assert isinstance(line["stack"], str)
    assert all(isinstance(line[metric["Name"]], int | float) for metric in directive["Metrics"])
    return {
        metric["Name"]: (line[metric["Name"]], metric["Unit"]) for metric in directive["Metrics"]
    }


@pytest.mark.parametrize("event", sorted(METRICS))
def test_an_event_that_somebody_counts_carries_its_metric(
    event: str, telemetry: Telemetry, output: io.StringIO
) -> None:
    telemetry.emit(event, shop="demo")

    (line,) = lines(output)
    assert metrics(line) == {METRICS[event]: (1, "Count")}
    assert line["message"] == event
    assert line["shop"] == "demo"


def test_the_metric_has_the_moment_and_the_stack(
    telemetry: Telemetry, output: io.StringIO, now: datetime
) -> None:
    telemetry.emit("unsigned")

    (line,) = lines(output)
    assert line["_aws"]["Timestamp"] == now.timestamp() * 1000
    assert line["stack"] == "relay"
    assert line["service"] == "test_the_metric_has_the_moment_and_the_stack"
    assert line["level"] == "INFO"


def test_an_event_that_nobody_counts_is_a_plain_line(
    telemetry: Telemetry, output: io.StringIO
) -> None:
    telemetry.emit("superseded", shop="demo")

    (line,) = lines(output)
    assert line["message"] == "superseded"
    assert line["shop"] == "demo"
    assert "_aws" not in line
    assert "stack" not in line


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("waiting", {WAITING_AGE: (75.123, "Seconds")}),
        ("set_up_refused", {"SetUpFaults": (1, "Count"), WAITING_AGE: (75.123, "Seconds")}),
        ("order_silence", {"OrderSilence": (75.123, "Seconds")}),
        ("click_silence", {"ClickSilence": (75.123, "Seconds")}),
    ],
)
def test_a_wait_or_a_silence_carries_its_age(
    event: str,
    expected: dict[str, tuple[float, str]],
    telemetry: Telemetry,
    output: io.StringIO,
) -> None:
    telemetry.emit(event, age=75.1234)

    (line,) = lines(output)
    assert metrics(line) == expected


def test_an_age_of_nothing_is_an_age(telemetry: Telemetry, output: io.StringIO) -> None:
    telemetry.emit("waiting", age=0.0)

    (line,) = lines(output)
    assert metrics(line) == {WAITING_AGE: (0.0, "Seconds")}


def test_fields_without_a_value_are_left_out(telemetry: Telemetry, output: io.StringIO) -> None:
    """False, 0 and the empty text are values."""
    telemetry.emit("queued", order_id=None, reason=None, void=False, revision=0, problem="")

    (line,) = lines(output)
    assert "order_id" not in line
    assert "reason" not in line
    assert (line["void"], line["revision"], line["problem"]) == (False, 0, "")


def test_words_of_the_relay_are_plain_texts(telemetry: Telemetry, output: io.StringIO) -> None:
    telemetry.emit(Received.QUEUED, outcome=Outcome.REPORTED, amount=Decimal("1.50"))

    (line,) = lines(output)
    assert (line["message"], line["outcome"], line["amount"]) == ("queued", "reported", "1.50")


def test_a_line_break_in_a_field_does_not_break_the_line(
    telemetry: Telemetry, output: io.StringIO
) -> None:
    telemetry.emit("ignored", problem='name: "\n{"message":"queued"}')

    (line,) = lines(output)
    assert line["problem"] == 'name: "\n{"message":"queued"}'


def test_every_line_names_its_request_and_no_line_an_earlier_one(
    telemetry: Telemetry, output: io.StringIO
) -> None:
    telemetry.emit("queued")
    telemetry.request("first")
    telemetry.emit("queued")
    telemetry.request("second")
    telemetry.emit("queued", shop="demo")
    telemetry.emit("ignored")

    written = lines(output)
    assert [line.get("request_id") for line in written] == [None, "first", "second", "second"]
    assert "shop" not in written[3]


def test_an_alarm_is_a_counted_line_with_the_shop(
    telemetry: Telemetry, output: io.StringIO
) -> None:
    telemetry.alarm("shop_document_unknown_fields", "demo", fields=["colour"])

    (line,) = lines(output)
    assert metrics(line) == {"ShopDocumentFaults": (1, "Count")}
    assert (line["shop"], line["fields"]) == ("demo", ["colour"])


def test_two_events_share_a_metric_only_where_they_mean_the_same() -> None:
    events = defaultdict(set)
    for event, metric in METRICS.items():
        events[metric].add(event)

    assert [shared for shared in events.values() if len(shared) > 1] == [
        {"set_up_refused", "foreign_source"},
        {"shop_document_unusable", "shop_document_stale", "shop_document_unknown_fields"},
        {"data_requested", "request_refused"},
        {"not_at_prisjakt", "differs_at_prisjakt", "twice_at_prisjakt"},
    ]
    assert not events.keys() & {WAITING_AGE, *AGES.values()}


def test_a_silence_is_counted_by_its_age_alone() -> None:
    """Else it would also count as an order that waits."""
    assert not AGES.keys() & METRICS.keys()
    assert len({WAITING_AGE, *AGES.values()}) == 3


def test_every_disagreement_with_prisjakt_is_counted() -> None:
    assert {METRICS[disagreement] for disagreement in Disagreement} == {"Mismatches"}


@pytest.mark.parametrize("event", sorted({*Received, *Outcome} - METRICS.keys()))
def test_what_goes_well_is_no_metric(event: str, telemetry: Telemetry, output: io.StringIO) -> None:
    """Each metric costs a shop money every month; the line says it all the same."""
    telemetry.emit(event)

    (line,) = lines(output)
    assert line["message"] == event
    assert "_aws" not in line


@pytest.mark.usefixtures("telemetry")
def test_a_line_of_somebody_else_is_left_to_the_library(
    output: io.StringIO, request: pytest.FixtureRequest
) -> None:
    """With its traceback, for example."""
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger(request.node.name).exception("a %s", "surprise")

    (line,) = lines(output)
    assert line["message"] == "a surprise"
    assert "ValueError: no" in line["exception"]


def test_the_moment_of_a_line_is_in_utc_with_milliseconds(
    telemetry: Telemetry, output: io.StringIO
) -> None:
    telemetry.emit("queued")

    (line,) = lines(output)
    moment = datetime.fromisoformat(line["timestamp"])
    assert moment.utcoffset() == timedelta(0)
    assert line["timestamp"] == moment.isoformat(timespec="milliseconds")
