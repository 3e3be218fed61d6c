"""The embedded AWS, in what the local system does there before anything is deployed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prisjakt_relay.errors import SetupError
from prisjakt_relay.local import project
from prisjakt_relay.local.aws import EmbeddedAws, expand

TEMPLATE = (project.root() / "template.yaml").read_text("utf-8")
OURS = {"address": "http://127.0.0.1:8787/systems/x", "client_id": "1", "client_secret": "2"}


def written(aws: EmbeddedAws, name: str) -> Any:
    secret = aws.client("secretsmanager").get_secret_value(SecretId=f"local/platform-api/{name}")
    return json.loads(secret["SecretString"])


def test_access_is_written_and_written_anew(embedded_aws: EmbeddedAws) -> None:
    embedded_aws.give_access("given-twice", OURS)
    assert written(embedded_aws, "given-twice") == OURS

    embedded_aws.give_access("given-twice", OURS | {"client_id": "3"})

    assert written(embedded_aws, "given-twice") == OURS | {"client_id": "3"}


def test_access_that_somebody_has_written_stays(embedded_aws: EmbeddedAws) -> None:
    theirs = json.dumps({"address": "https://theirs.example"})
    secrets = embedded_aws.client("secretsmanager")
    secrets.create_secret(Name="local/platform-api/given-by-others", SecretString=theirs)
    embedded_aws.give_access("given-and-changed", OURS)
    secrets.put_secret_value(SecretId="local/platform-api/given-and-changed", SecretString=theirs)

    for name in ("given-by-others", "given-and-changed"):
        embedded_aws.give_access(name, OURS)
        assert written(embedded_aws, name) == json.loads(theirs)


def test_access_that_somebody_is_removing_is_left_to_them(embedded_aws: EmbeddedAws) -> None:
    secrets = embedded_aws.client("secretsmanager")
    embedded_aws.give_access("given-and-removed", OURS)
    secrets.delete_secret(SecretId="local/platform-api/given-and-removed")

    embedded_aws.give_access("given-and-removed", OURS)

    with pytest.raises(secrets.exceptions.ClientError, match="InvalidRequest"):
        written(embedded_aws, "given-and-removed")


@pytest.mark.parametrize(
    ("time_scale", "schedule"),
    [(1.0, "rate(60 minutes)"), (0.05, "rate(3 minutes)"), (0.001, "rate(1 minute)")],
)
def test_the_reconcilers_hour_is_scaled_as_far_as_schedules_go(
    time_scale: float, schedule: str
) -> None:
    resources = expand(TEMPLATE, time_scale=time_scale)["Resources"]

    rules = [each for each in resources.values() if each["Type"] == "AWS::Events::Rule"]

    assert [rule["Properties"]["ScheduleExpression"] for rule in rules] == [schedule]


def test_another_schedule_is_not_passed_over() -> None:
    with pytest.raises(SetupError, match=r"rate\(2 hours\)"):
        expand(TEMPLATE.replace("rate(1 hour)", "rate(2 hours)"))


def test_webhooks_arrive_where_it_is_said() -> None:
    there = "http://127.0.0.1:8787/webhooks"
    resources = expand(TEMPLATE, webhook_address=there)["Resources"]

    environments = {
        name: each["Properties"]["Environment"]["Variables"]
        for name, each in resources.items()
        if each["Type"] == "AWS::Lambda::Function"
    }

    assert environments["ReconcilerFunction"]["WEBHOOK_ADDRESS"] == there
    assert "WEBHOOK_ADDRESS" not in environments["ReceiverFunction"]
