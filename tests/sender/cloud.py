"""What the sender needs of AWS, made in the embedded one under names of its own."""

from __future__ import annotations

from typing import Any

from samtranslator.yaml_helper import yaml_parse

from prisjakt_relay import aws
from prisjakt_relay.local import project
from prisjakt_relay.local.aws import REGION, EmbeddedAws


def environment_of(embedded_aws: EmbeddedAws) -> dict[str, str]:
    """What Lambda sets, for an AWS on loopback."""
    return {
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": embedded_aws.endpoint,
    }


def create_ledger(dynamodb: aws.Service, name: str) -> None:
    """A table as the template describes the ledger."""
    template = yaml_parse((project.root() / "template.yaml").read_text("utf-8"))
    properties: dict[str, Any] = template["Resources"]["Ledger"]["Properties"]
    wanted = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    dynamodb.call("CreateTable", {"TableName": name} | {key: properties[key] for key in wanted})
