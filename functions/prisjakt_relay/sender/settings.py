"""The sender's environment, checked at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from prisjakt_relay.environment import required, time_scale
from prisjakt_relay.errors import SetupError


@dataclass(frozen=True, slots=True)
class Settings:
    stack: str
    table: str
    queue_url: str
    dead_letters_url: str
    prisjakt_url: str
    token_url: str
    hourly_allowance: int
    time_scale: float


def prisjakt_address(text: str) -> str:
    """The base address, refused if it is not https: credentials may go there."""
    try:
        scheme, host = urlsplit(text).scheme, urlsplit(text).hostname
    except ValueError:  # half of an IPv6 address, for example
        scheme, host = "", None
    loopback = scheme == "http" and host in ("127.0.0.1", "localhost")
    if not host or not (scheme == "https" or loopback):
        raise SetupError(f"Prisjakt's address {text!r} is not an https address; correct it")
    return text.rstrip("/")


def from_environment(environment: Mapping[str, str] = os.environ) -> Settings:
    return Settings(
        stack=required(environment, "STACK_NAME"),
        table=required(environment, "TABLE_NAME"),
        queue_url=required(environment, "QUEUE_URL"),
        dead_letters_url=required(environment, "DEAD_LETTERS_URL"),
        prisjakt_url=prisjakt_address(required(environment, "PRISJAKT_URL")),
        token_url=prisjakt_address(required(environment, "PRISJAKT_TOKEN_URL")),
        hourly_allowance=_allowance(required(environment, "HOURLY_ALLOWANCE")),
        time_scale=time_scale(environment),
    )


def _allowance(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise SetupError(f"HOURLY_ALLOWANCE {text!r} is not a whole number from 1; correct it")
    return int(text)
