"""What both Prisjakt's client and the shop systems' read of an answer in the same way."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from prisjakt_relay.transport import retry_after

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1.5", 1.5),
        ("-3", -3.0),
        ("inf", math.inf),
        ("Sat, 21 Nov 2026 00:00:45 GMT", 45.0),
        ("Sat, 21 Nov 2026 01:00:45 +0100", 45.0),
        ("Sat, 21 Nov 2026 00:00:45 -0000", 45.0),  # which says that nobody knows the zone
        ("Fri, 20 Nov 2026 23:59:15 GMT", -45.0),
    ],
)
def test_a_wait_is_asked_for_by_number_or_by_date(value: str, seconds: float) -> None:
    assert retry_after({"Retry-After": value}, NOW) == seconds


@pytest.mark.parametrize("headers", [{}, {"Retry-After": ""}, {"Retry-After": "soon"}])
def test_no_wait_is_read_out_of_a_missing_or_strange_header(headers: dict[str, str]) -> None:
    assert retry_after(headers, NOW) is None


def test_what_is_no_number_stays_none() -> None:
    """Nothing is longer or shorter than it: a caller's own bounds hold."""
    wait = retry_after({"Retry-After": "nan"}, NOW)

    assert wait is not None
    assert max(1.0, wait) == 1.0
