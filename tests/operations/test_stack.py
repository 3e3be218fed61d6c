"""The stack is found, or it is said why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.conftest import LOCAL_PORT
from tests.operations.stacks import await_made

from prisjakt_relay.errors import SetupError
from prisjakt_relay.local.aws import REGION, EmbeddedAws
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import stack

QUEUE = {"Queue": {"Type": "AWS::SQS::Queue"}}


@pytest.fixture
def aws(embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> EmbeddedAws:
    """An AWS account, as the environment of a terminal says."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", embedded_aws.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", REGION)
    return embedded_aws


def create(aws: EmbeddedAws, name: str, outputs: Mapping[str, Any]) -> None:
    aws.client("cloudformation").create_stack(
        StackName=name, TemplateBody=json.dumps({"Resources": QUEUE, "Outputs": outputs})
    )
    await_made(aws, name)


def test_the_local_stack_has_its_own_address_and_everything_else_of_the_template(
    local_system: LocalSystem,
) -> None:
    found = stack.find_local(LOCAL_PORT)

    assert found.webhook("shopify", "my-shop") == f"{local_system.address}/webhooks/shopify/my-shop"
    assert dict(found.outputs) == local_system.outputs
    assert found.parameters["HourlyAllowance"] == "10000"
    assert found.ledger.get("order#nobody#1#purchase") is None
    assert found.command("doctor") == f"prisjakt-relay doctor --local --port {LOCAL_PORT}"


def test_a_local_system_that_is_not_there_is_told_with_the_port_to_start_it_at() -> None:
    with pytest.raises(SetupError, match="start it with `prisjakt-relay local --port 65533`"):
        stack.find_local(65_533)


def test_a_stack_is_found_as_the_aws_cli_would(aws: EmbeddedAws) -> None:
    create(aws, "found-a", {name: {"Value": name.lower()} for name in stack.OUTPUTS})

    found = stack.find("found-a")

    assert (found.name, found.region) == ("found-a", REGION)
    assert found.webhook("woocommerce", "my-shop") == "webhookaddress/woocommerce/my-shop"
    assert found.service("sqs").call("ListQueues", {}) is not None


def test_the_region_that_is_given_goes_before_the_environment(
    aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(aws, "found-b", {name: {"Value": "x"} for name in stack.OUTPUTS})
    monkeypatch.setenv("AWS_REGION", "us-east-1")

    found = stack.find("found-b", region=REGION)
    assert found.region == REGION
    assert found.command("shop", "list") == (
        f"prisjakt-relay shop list --stack found-b --region {REGION}"
    )
    with pytest.raises(SetupError, match="there is no stack found-b in us-east-1: name it"):
        stack.find("found-b")


def test_a_stack_of_something_else_is_told(aws: EmbeddedAws) -> None:
    create(aws, "found-c", {"Elsewhere": {"Value": "x"}})

    with pytest.raises(SetupError, match="no output WebhookAddress: it is not a relay"):
        stack.find("found-c")


def test_a_stack_without_outputs_is_told_with_its_status(aws: EmbeddedAws) -> None:
    create(aws, "found-d", {})

    with pytest.raises(SetupError, match=r"found-d is not usable \(CREATE_COMPLETE\): deploy it"):
        stack.find("found-d")


def test_nothing_secret_of_the_session_is_printed(aws: EmbeddedAws) -> None:
    create(aws, "found-e", {name: {"Value": "x"} for name in stack.OUTPUTS})

    assert "session" not in repr(stack.find("found-e"))
