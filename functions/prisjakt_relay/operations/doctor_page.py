"""The findings of `doctor` as one page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from prisjakt_relay.operations.finding import Finding
from prisjakt_relay.operations.page import render
from prisjakt_relay.operations.stack import Stack


def page(
    stack: Stack,
    shop: str | None,
    sections: Sequence[tuple[str, Sequence[Finding]]],
    made_at: datetime,
) -> str:
    """The same lines as in the terminal, and how many there are of each kind."""
    rights = [finding.right for _, findings in sections for finding in findings]
    return render(
        "doctor.html",
        stack=stack,
        shop=shop,
        made_at=made_at,
        sections=[
            (title, [_shown(finding) for finding in findings]) for title, findings in sections
        ],
        right=rights.count(True),
        wrong=rights.count(False),
        open=rights.count(None),
    )


def _shown(finding: Finding) -> dict[str, object]:
    """Its remedy in parts, those between backquotes being commands."""
    return {
        "name": finding.name,
        "kind": {True: "right", False: "wrong", None: "open"}[finding.right],
        "found": finding.found,
        "remedy": finding.remedy.split("`"),
    }
