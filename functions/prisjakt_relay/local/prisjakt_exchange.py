"""Faults of the simulated Prisjakt API, and its refusals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from prisjakt_relay.local.exchange import Answer


@dataclass(kw_only=True)
class Fault:
    """A rule that spoils the next `times` calls it matches; by default it concerns the writes.

    `status` answers as told and does nothing else; `cut_before` closes the connection unheard;
    `cut_after` and `hang` do what was asked, then close it or answer late. `seconds` delays any of
    them. `operation` and `external_event_id` are exact or a glob.
    """

    kind: Literal["status", "hang", "cut_before", "cut_after"]
    times: int = 1
    operation: str = "create-event*"
    pixel_id: str | None = None
    external_event_id: str | None = None
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: object | None = None
    seconds: float = 0.0

    def matches(self, operation: str, pixel_id: str, external_ids: Iterable[str]) -> bool:
        wanted = self.external_event_id
        return (
            fnmatchcase(operation, self.operation)
            and (self.pixel_id is None or self.pixel_id.lower() == pixel_id)
            and (wanted is None or any(i == wanted or fnmatchcase(i, wanted) for i in external_ids))
        )

    def instead(self) -> Answer | None:
        """The answer for which nothing is done, if the fault is of such a kind."""
        if self.kind == "status":
            return Answer(self.status, dict(self.headers), self.body)
        return Answer(0) if self.kind == "cut_before" else None


class ProblemError(Exception):
    """A refusal in the API's one error format, which is said to follow RFC 7807."""

    def __init__(self, status: int, title: str, detail: str, **members: object) -> None:
        super().__init__(title)
        self.status = status
        self.body = {"title": title, "status": status, "detail": detail, **members}
