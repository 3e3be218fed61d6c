"""The dashboard: valid, complete, and laid out as an order travels."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import pytest
from tests.alarms.deployed import TEMPLATE, not_deployed

from prisjakt_relay import telemetry

OWN = {*telemetry.METRICS.values(), telemetry.WAITING_AGE, *telemetry.AGES.values()}
# Of AWS' own metrics, those that its documentation names; and what their dimension is the name of.
OF_AWS = {
    "AWS/ApiGateway": ({"Count", "4xx", "5xx"}, "ApiId", "AWS::Serverless::HttpApi"),
    "AWS/Lambda": (
        {"Duration", "Errors", "Invocations", "Throttles"},
        "FunctionName",
        "AWS::Serverless::Function",
    ),
    "AWS/SQS": (
        {"ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"},
        "QueueName",
        "AWS::SQS::Queue",
    ),
}
STAGES = ["1 Arrives", "2 Verified", "3 Waits", "4 Reported", "5 Looked after"]
WIDTH = 24

Widget = dict[str, Any]


def widgets(reconciler_alarms: str = "on") -> list[Widget]:
    """Those of the body as CloudWatch gets it."""
    stack, resolver = not_deployed({"ReconcilerAlarms": reconciler_alarms, "Dashboard": "on"})
    text, variables = TEMPLATE["Resources"]["FlowDashboard"]["Properties"]["DashboardBody"][
        "Fn::Sub"
    ]
    chosen = {name: stack._resolved(value) for name, value in variables.items()}
    body: dict[str, list[Widget]] = json.loads(resolver.of({"Fn::Sub": [text, chosen]}))
    return body["widgets"]


def of_kind(kind: str) -> list[Widget]:
    return [each for each in widgets() if each["type"] == kind]


@pytest.mark.parametrize("setting", ["on", "off"])
def test_every_alarm_that_there_is_stands_in_the_top_row(setting: str) -> None:
    stack, _ = not_deployed({"ReconcilerAlarms": setting})
    (status,) = (each for each in widgets(setting) if each["type"] == "alarm")

    assert (status["x"], status["y"], status["width"]) == (0, 0, WIDTH)
    assert status["properties"]["alarms"] == [
        f"arn:{name}"
        for name, resource in stack.resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]


def test_no_widget_lies_on_another_or_out_of_bounds() -> None:
    for one in widgets():
        assert one["x"] >= 0
        assert one["x"] + one["width"] <= WIDTH
    for one, other in combinations(widgets(), 2):
        beside = (
            one["x"] + one["width"] <= other["x"]
            or other["x"] + other["width"] <= one["x"]
            or one["y"] + one["height"] <= other["y"]
            or other["y"] + other["height"] <= one["y"]
        )
        assert beside, (one, other)


def test_the_stages_go_from_left_to_right_and_each_widget_is_in_one() -> None:
    headings = of_kind("text")
    starts = [each["x"] for each in headings]

    assert [each["properties"]["markdown"].removeprefix("### ") for each in headings] == STAGES
    assert starts == sorted(set(starts))
    flow = [each for each in widgets() if each["type"] != "alarm"]
    assert [each["x"] for each in flow] == sorted(each["x"] for each in flow)
    assert {each["x"] for each in flow} == set(starts)


def test_every_metric_exists_with_its_dimension() -> None:
    shown = [metric for each in of_kind("metric") for metric in each["properties"]["metrics"]]

    assert shown
    for namespace, name, dimension, value, *_ in shown:
        if namespace == telemetry.NAMESPACE:
            assert (name in OWN, dimension, value) == (True, "stack", "relay")
        else:
            names, expected, kind = OF_AWS[namespace]
            assert (name in names, dimension) == (True, expected)
            assert TEMPLATE["Resources"][value]["Type"] == kind


def test_every_metric_of_the_relays_that_is_shown_is_one_that_an_alarm_watches() -> None:
    stack, _ = not_deployed({"ReconcilerAlarms": "on"})
    watched = {each["MetricName"] for each in stack.of_type("AWS::CloudWatch::Alarm")}
    shown = {
        metric[1]
        for each in of_kind("metric")
        for metric in each["properties"]["metrics"]
        if metric[0] == telemetry.NAMESPACE
    }

    assert shown <= watched


def test_questions_to_the_logs_go_to_logs_of_the_template() -> None:
    queries = [each["properties"]["query"] for each in of_kind("log")]

    assert [query.split("'")[1] for query in queries] == ["ReceiverLog", "SenderLog"]
    for query in queries:
        assert "ispresent(outcome) | stats count(*)" in query


def test_it_is_there_only_if_somebody_asks_and_says_what_it_costs() -> None:
    parameter = TEMPLATE["Parameters"]["Dashboard"]

    assert TEMPLATE["Resources"]["FlowDashboard"]["Condition"] == "HasDashboard"
    assert TEMPLATE["Outputs"]["DashboardAddress"]["Condition"] == "HasDashboard"
    assert parameter["Default"] == "off"
    assert "3 USD a month" in parameter["Description"]
