"""Reading settings: what both functions' environments have in common."""

from __future__ import annotations

from collections.abc import Mapping

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
