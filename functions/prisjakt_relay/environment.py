"""Reading settings: what the functions' environments have in common."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from prisjakt_relay.errors import SetupError


def required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise SetupError(f"{name} is not set; deploy with the project's template.yaml")
    return value


def time_scale(environment: Mapping[str, str]) -> float:
    """By how much the local system shortens the waits that the relay chooses; 1 when deployed."""
    text = environment.get("TIME_SCALE", "1")
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale <= 1:
        raise SetupError("TIME_SCALE is not a number above 0 and up to 1; leave it out on AWS")
    return scale


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


def hourly_allowance(environment: Mapping[str, str]) -> int:
    """Most requests to Prisjakt in any hour for one client."""
    text = required(environment, "HOURLY_ALLOWANCE")
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise SetupError(f"HOURLY_ALLOWANCE {text!r} is not a whole number from 1; correct it")
    return int(text)
