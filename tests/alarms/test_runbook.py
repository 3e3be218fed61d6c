"""What an alarm says, and what the runbook says of it: both can be typed as they are written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from tests.alarms.deployed import TEMPLATE, WITH_ALL_ALARMS, not_deployed
from tests.cli.calling import command_line

from prisjakt_relay.local import project

LONGEST_DESCRIPTION = (
    1024  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
)
LONGEST_FUNCTION = 64
COMMAND = re.compile(r"`(prisjakt-relay [^`]+)`")
PARTS = ("Means", "Lost", "Do", "Ends")
RUNBOOK = (project.root() / "docs" / "alarms.md").read_text("utf-8")
SECTIONS = {
    heading: text
    for section in RUNBOOK.split("\n## ")[1:]
    for heading, _, text in [section.partition("\n")]
}


def descriptions(**pseudo: str) -> dict[str, str]:
    stack, resolver = not_deployed(WITH_ALL_ALARMS, **pseudo)
    return {
        name.removesuffix("Alarm"): resolver.of(resource["Properties"]["AlarmDescription"])
        for name, resource in stack.resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


DESCRIPTIONS = descriptions()


def parsed(command: str) -> Iterator[dict[str, Any]]:
    """The parameters that each level of the real command line takes; nothing is run."""
    level, rest = command_line(), shlex.split(command)
    context = None
    while True:
        context = level.make_context(rest[0], rest[1:], parent=context)
        yield context.params
        if not hasattr(level, "commands"):
            return
        _, level, arguments = level.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        rest = [level.name, *arguments]


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_description_fits_and_says_what_to_run_for_this_stack(name: str) -> None:
    text = DESCRIPTIONS[name]

    assert text.endswith(".")
    assert "$" not in text
    commands = COMMAND.findall(text)
    assert commands
    for command in commands:
        *_, parameters = parsed(command)
        assert parameters["stack_name"] == "relay", command


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_description_fits_with_the_longest_names(name: str) -> None:
    """AWS would refuse the whole deployment. A stack's name goes into its functions'."""
    of_the_stack = "s" * (LONGEST_FUNCTION - len("-reconciler"))
    longest = descriptions(**{"AWS::StackName": of_the_stack, "AWS::Region": "ap-southeast-1"})

    assert len(longest[name]) <= LONGEST_DESCRIPTION


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_has_its_parts_in_order_and_commands_that_exist(name: str) -> None:
    text = SECTIONS[name]

    assert tuple(re.findall(r"^- \*\*(\w+):\*\*", text, re.MULTILINE)) == PARTS
    commands = COMMAND.findall(text)
    assert commands
    for command in commands:
        assert list(parsed(command)), command


def test_every_alarm_has_its_section_in_the_order_of_the_template() -> None:
    assert list(SECTIONS) == list(DESCRIPTIONS)


def test_a_command_that_does_not_exist_is_noticed() -> None:
    for wrong in ("prisjakt-relay dance", "prisjakt-relay doctor --loudly", "prisjakt-relay order"):
        with pytest.raises(Exception, match=r"dance|loudly|SHOP|Missing"):
            list(parsed(wrong))


def test_words_for_the_log_are_words_of_the_log() -> None:
    """Events that a line may have as its message."""
    source = "".join(
        file.read_text("utf-8")
        for file in (project.package()).rglob("*.py")
        if "cli" not in str(file)
    )
    texts = [*DESCRIPTIONS.values(), RUNBOOK]
    words = {word for text in texts for word in re.findall(r"with `([a-z_]+)`", text)}

    assert words
    assert {word for word in words if f'"{word}"' not in source} == set()


def test_silence_is_told_with_its_days() -> None:
    stack, resolver = not_deployed({"SilenceDays": 5})
    properties = resolver.of(stack.properties("SilenceAlarm"))

    assert properties["AlarmDescription"].startswith("For 5 days no delivery")
    assert properties["EvaluationPeriods"] * properties["Period"] == 5 * 24 * 3600


def test_every_number_of_days_that_may_be_chosen_has_its_hours() -> None:
    parameter = TEMPLATE["Parameters"]["SilenceDays"]
    days = range(parameter["MinValue"], parameter["MaxValue"] + 1)

    assert TEMPLATE["Mappings"]["HoursOfDays"] == {str(day): {"Hours": 24 * day} for day in days}


def test_the_price_of_the_alarms_is_said_as_it_is() -> None:
    usual = len(not_deployed({})[0].of_type("AWS::CloudWatch::Alarm"))

    assert (usual, len(DESCRIPTIONS) - usual) == (13, 8)
    assert "1.30 together, 0.80 for those of the reconciler" in RUNBOOK
