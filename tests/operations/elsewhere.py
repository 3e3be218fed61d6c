"""A relay that is not the default one, whose commands have to say so."""

from __future__ import annotations

import re

import boto3

from prisjakt_relay.local.aws import REGION
from prisjakt_relay.operations.stack import Stack

WHERE = "--stack elsewhere"
_COMMAND = re.compile(r"`(prisjakt-relay [^`]+)`")


def stack_elsewhere() -> Stack:
    """For what asks AWS nothing."""
    return Stack(
        name="elsewhere",
        status="CREATE_COMPLETE",
        region=REGION,
        outputs={},
        parameters={},
        webhook_address="https://relay.example/webhooks",
        session=boto3.Session("test", "test", region_name=REGION),
    )


def commands(text: str) -> list[str]:
    """Those of ours that it tells to type, however its lines are broken."""
    return _COMMAND.findall(" ".join(text.split()))
