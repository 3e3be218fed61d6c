"""The template is read as it is deployed: nothing is left for a figure to trip over."""

from __future__ import annotations

import json

import pytest
from tests.benchmark.builds import RECEIVER, SENDER
from tests.benchmark.template import Stack, deployed


def test_no_condition_and_no_parameter_is_left_open() -> None:
    for name, resource in deployed().resources.items():
        text = json.dumps(resource)
        assert "Fn::If" not in text, name
        assert "AWS::NoValue" not in text, name
        assert not any(f'"Ref": "{each}"' in text for each in ("LogLevel", "SenderBatchSize"))


def test_what_is_off_is_not_there_and_comes_when_it_is_on() -> None:
    assert "WebhookApiLog" not in deployed().resources
    assert "WebhookApiLog" in Stack({"AccessLog": "on"}).resources


def test_a_parameter_that_the_template_does_not_have_is_no_parameter() -> None:
    """Else a figure would go on with the default when a parameter is renamed."""
    with pytest.raises(ValueError, match="AcessLog"):
        Stack({"AcessLog": "on"})


def test_a_function_has_the_variables_that_it_has_on_lambda() -> None:
    receiver = deployed().variables(RECEIVER)

    assert receiver["AWS_LAMBDA_LOG_FORMAT"] == "JSON"
    assert receiver["POWERTOOLS_LOG_LEVEL"] == receiver["AWS_LAMBDA_LOG_LEVEL"] == "INFO"
    assert "QUEUE_URL" not in receiver  # another resource's
    assert deployed().variables(SENDER)["HOURLY_ALLOWANCE"].isdigit()
