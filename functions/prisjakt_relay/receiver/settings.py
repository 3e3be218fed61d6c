"""The receiver's environment, checked at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from prisjakt_relay.environment import required, time_scale


@dataclass(frozen=True, slots=True)
class Settings:
    stack: str
    queue_url: str
    time_scale: float


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    return Settings(
        stack=required(environment, "STACK_NAME"),
        queue_url=required(environment, "QUEUE_URL"),
        time_scale=time_scale(environment),
    )
