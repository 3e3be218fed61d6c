"""How many messages a queue holds, those that are being worked on included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

COUNTS: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def number(answer: Mapping[str, Any]) -> int:
    """By the answer to `GetQueueAttributes` of those counts."""
    return sum(int(count) for count in answer["Attributes"].values())
