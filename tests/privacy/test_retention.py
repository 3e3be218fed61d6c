"""docs/privacy.md is held to template and code: every time, field, address and command."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse
from typer.main import get_command

from prisjakt_relay import ledger, queues, rate_limit
from prisjakt_relay.cli.app import app
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.local import project
from prisjakt_relay.operations import shop_documents
from prisjakt_relay.receiver.webhook import MOST_NAMED
from prisjakt_relay.sender import erasing

ROOT = project.root()
PAGE = (ROOT / "docs" / "privacy.md").read_text("utf-8")
TEMPLATE: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))
RESOURCES = TEMPLATE["Resources"]
DAY = timedelta(days=1)


def section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def rows(heading: str) -> dict[str, list[str]]:
    """The cells of a section's table by their first."""
    lines = [line for line in section(heading).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {first: rest for first, *rest in cells}


def days(cell: str) -> list[int]:
    return [int(number) for number in re.findall(r"\b(\d+) days?\b", cell)]


def of_queue(name: str) -> int:
    return int(RESOURCES[name]["Properties"]["MessageRetentionPeriod"]) // 86_400


def script_days() -> int:
    """What the script adds to the moment of the click, in milliseconds."""
    source = (ROOT / "snippet" / "capture.js").read_text("utf-8")
    (number,) = set(re.findall(r"\bat \+ (\d+e\d)\b", source))
    return int(float(number)) // 86_400_000


TIMES = {
    "message on the queue": [of_queue("ConversionQueue")],
    "waiting order": [ledger.LAST_FIRST_REPORT // DAY],
    "message in `DeadLetters`": [of_queue("DeadLetters")],
    "ledger item": [ledger.KEPT // DAY],
    "ledger item of a dead order": [ledger.DEAD_KEPT // DAY],
    "what an erasure leaves": [ledger.KEPT // DAY],
    "hourly allowance per client": [rate_limit._KEPT // DAY],
    "log lines": [TEMPLATE["Parameters"]["LogRetentionDays"]["Default"]],
    "shop document (secrets, no customer's data)": [shop_documents.RECOVERY_DAYS],
    "Prisjakt": [30],
    "cookie `pjclid` of the script": [script_days()],
    "backup of the ledger (point-in-time recovery)": [35],
    "click id on the order": [],
}


def test_every_row_of_the_table_is_compared() -> None:
    assert set(rows("How long")) == set(TIMES)


@pytest.mark.parametrize("what", TIMES)
def test_every_time_in_the_table_is_that_of_template_or_code(what: str) -> None:
    assert days(rows("How long")[what][0]) == TIMES[what]


def test_the_other_times_of_the_page_hold_too() -> None:
    longest = queues.LONGEST_WAIT // timedelta(hours=1)
    minutes = erasing.SECOND_LOOK // timedelta(minutes=1)
    works = " ".join(section("How an erasure works").split())

    assert f"after {queues.LONGEST_STAY // DAY} days" in rows("How long")["message on the queue"][1]
    assert f"within {longest} hours" in works
    assert f"after {minutes} minutes" in works
    assert f"parts of {erasing.SLICE // timedelta(seconds=1)} seconds" in works
    assert f"({MOST_NAMED} at most" in section("Shopify's requests")
    recovery = RESOURCES["Ledger"]["Properties"]["PointInTimeRecoverySpecification"]
    assert recovery == {"PointInTimeRecoveryEnabled": True}  # AWS keeps 35 days unless told less


def test_logs_are_kept_as_long_as_the_parameter_says_and_no_table_for_ever() -> None:
    logs = [each for each in RESOURCES.values() if each["Type"] == "AWS::Logs::LogGroup"]

    assert logs
    kept = [each["Properties"]["RetentionInDays"] for each in logs]
    assert kept == [{"Ref": "LogRetentionDays"}] * len(kept)
    assert RESOURCES["Ledger"]["Properties"]["TimeToLiveSpecification"]["Enabled"] is True


WORDS = {
    "platform": None,
    "shop": None,
    "order_id": "order id",
    "order_reference": "order reference",
    "event_name": None,
    "event_time": "time of purchase",
    "amount": "amount",
    "currency": "currency",
    "number_of_items": "number of items",
    "click_id": "click id",
    "void": "void",
    "revision": "last change",
    "received_at": "received",
}
"""What the page calls each field of the queue's message; None says nothing of an order."""


def test_the_page_names_all_that_a_message_carries() -> None:
    table = " ".join(rows("What is processed"))

    assert set(WORDS) == {field.name for field in fields(Conversion)}
    assert [word for word in WORDS.values() if word and word not in table] == []


def test_every_address_outside_aws_is_named() -> None:
    hosts = {
        re.sub(r"^https://([^/]+).*", r"\1", str(TEMPLATE["Parameters"][name]["Default"]))
        for name in ("PrisjaktUrl", "PrisjaktTokenUrl")
    }

    assert hosts == set(re.findall(r"`([a-z]+\.pj\.nu)`", section("Where, and who receives it")))


def test_every_service_of_aws_that_holds_data_is_named() -> None:
    used = {each["Type"].split("::")[1] for each in RESOURCES.values()}
    names = {
        "Serverless": "Lambda",
        "Lambda": "Lambda",
        "SQS": "SQS",
        "DynamoDB": "DynamoDB",
        "Logs": "CloudWatch",
        "CloudWatch": "CloudWatch",
        "SNS": "SNS",
        "IAM": None,
    }

    assert used <= set(names)
    text = section("Where, and who receives it")
    assert [name for name in names.values() if name and name not in text] == []


def test_every_command_of_the_page_exists() -> None:
    groups = get_command(app).commands  # type: ignore[attr-defined]  # it is a group

    for group, command in set(re.findall(r"prisjakt-relay (\w+) (\w+)", PAGE)):
        assert command in groups[group].commands


def test_the_answers_of_the_page_are_those_of_the_samples() -> None:
    for name in ("customers-redact", "shop-redact", "customers-data-request"):
        text = (ROOT / "events" / "shopify" / f"{name}.expected.json").read_text("utf-8")
        answer = json.loads(text)["answer"]
        assert f"`{answer['request']}`" in rows("Shopify's requests")
        assert answer["outcome"] == "accepted"
