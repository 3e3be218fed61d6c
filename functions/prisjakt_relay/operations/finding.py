"""What a check found, and the words for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `right` is None for what could not be told, or is only advice."""

    name: str
    right: bool | None
    found: str
    remedy: str = ""


Check: TypeAlias = Callable[[], list[Finding]]


def counted(number: int, thing: str) -> str:
    """`1 order`, `2 orders`, `2 credentials`."""
    return f"{number:,} {thing}" + ("" if number == 1 or thing.endswith("s") else "s")


def money(amount: Decimal) -> str:
    """`1,298.00`"""
    return f"{amount:,.2f}"


def lasting(duration: timedelta) -> str:
    """`40 s`, `5 min`, `3 h`, `2 d`."""
    seconds = max(0.0, duration.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def spanning(since: datetime, until: datetime) -> str:
    """`2026-11-14 to 2026-11-20 UTC`: whole days as days, else moments."""
    last = until - timedelta(days=1) if _is_midnight(until) else until
    return f"{_edge(since)} to {_edge(last)} UTC"


def _edge(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if _is_midnight(moment) else f"{moment:%Y-%m-%d %H:%M}"


def _is_midnight(moment: datetime) -> bool:
    return moment.time() == time()
