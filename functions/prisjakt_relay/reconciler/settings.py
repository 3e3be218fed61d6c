"""The reconciler's environment, checked at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from prisjakt_relay.environment import (
    hourly_allowance,
    prisjakt_address,
    required,
    time_scale,
)


@dataclass(frozen=True, slots=True)
class Settings:
    stack: str
    table: str
    queue_url: str
    webhook_address: str
    prisjakt_url: str
    token_url: str
    hourly_allowance: int
    time_scale: float


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    return Settings(
        stack=required(environment, "STACK_NAME"),
        table=required(environment, "TABLE_NAME"),
        queue_url=required(environment, "QUEUE_URL"),
        webhook_address=required(environment, "WEBHOOK_ADDRESS"),
        prisjakt_url=prisjakt_address(required(environment, "PRISJAKT_URL")),
        token_url=prisjakt_address(required(environment, "PRISJAKT_TOKEN_URL")),
        hourly_allowance=hourly_allowance(environment),
        time_scale=time_scale(environment),
    )
