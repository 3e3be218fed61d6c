"""The sender's environment, checked at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from prisjakt_relay.environment import required, time_scale
from prisjakt_relay.errors import SetupError


@dataclass(frozen=True, slots=True)
class Settings:
    stack: str
    table: str
    queue_url: str
    dead_letters_url: str
    prisjakt_url: str
    time_scale: float


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    url = required(environment, "PRISJAKT_URL")
    if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise SetupError("PRISJAKT_URL is not an https address; credentials go there")
    return Settings(
        stack=required(environment, "STACK_NAME"),
        table=required(environment, "TABLE_NAME"),
        queue_url=required(environment, "QUEUE_URL"),
        dead_letters_url=required(environment, "DEAD_LETTERS_URL"),
        prisjakt_url=url,
        time_scale=time_scale(environment),
    )
