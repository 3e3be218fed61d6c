"""The figures of docs/proof.md are those that were recorded, and say where they come from."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.simulation import record
from tests.simulation.bugs import BUGS, about
from tests.simulation.outages import OUTAGES
from tests.simulation.record import PAGE, PARTS, RECORD, marker, page_of, spoken, unfit

ORIGIN = {
    "measured_at": "2026-11-21T10:00:00+00:00",
    "commit": "0123abc",
    "code": "4711",
    "machine": {"architecture": "x86_64", "cores": 2, "system": "Linux", "load": 0.5},
    "python": "3.13.1",
    "first": 7,
    "worlds": 120,
    "broken": None,
}
BUG = next(iter(BUGS))
OUTAGE = next(iter(OUTAGES))


@pytest.fixture
def documents() -> dict[str, dict[str, Any]]:
    """As the three commands write them."""
    campaign = ORIGIN | {
        "seconds": 60.0,
        "invocations": 2000,
        "requests": 1000,
        "worlds_with_deployments": 50,
        "worlds_with_skewed_clocks": 40,
        "lost": 30,
        "recovered": 20,
        "struck": {"hang": 5678, "429": 9, "Prisjakt": 5687},
        "worlds_struck": {"hang": 12, "429": 3, "Prisjakt": 13},
    }
    found = [
        {"name": name, "about": about(name), "seed": number, "violations": ["left on the queue"]}
        for number, name in enumerate(BUGS)
    ]
    lived = [
        {
            "name": name,
            "what": outage.what,
            "length_seconds": outage.length.total_seconds(),
            "allowance": outage.allowance,
            "due": 1234,
            "lost": 0,
            "given_up": [{}] * 3,
            "repeats": 0,
            "events_per_order": 1,
            "refused": 5,
            "drained_hours": 6.04,
            "busiest_hour": 60,
        }
        for name, outage in OUTAGES.items()
    ]
    return {
        "campaign": campaign,
        "bugs": ORIGIN | {"broken": [], "bugs": found},
        "outages": ORIGIN | {"broken": [], "outages": lived},
    }


@pytest.fixture
def page() -> str:
    return "".join(
        f"before {part}\n{marker(part)}\nold\nfigures\n{marker(f'end of {part}')}\nafter\n"
        for part in PARTS
    )


def test_the_page_says_what_was_recorded() -> None:
    """`make proof` writes both: who changes a figure by hand is found out."""
    text = PAGE.read_text(encoding="utf-8")
    documents = json.loads(RECORD.read_bytes())

    assert list(unfit(documents)) == []
    assert page_of(text, documents) == text


def test_every_figure_comes_from_its_document(
    documents: dict[str, dict[str, Any]], page: str
) -> None:
    written = page_of(page, documents)

    assert "old\nfigures" not in written
    assert written.count("commit 0123abc, Python 3.13.1, 2 cores, Linux on x86_64") == 3
    assert "120 worlds (seeds 7 to 126) in 1 minutes, 2 a second, every promise kept." in written
    groups_first = "| Prisjakt, all of it | 13 | 5,687 |\n| 429 | 3 | 9 |\n| hang | 12 | 5,678 |\n"
    assert groups_first in written
    assert f"| `{BUG}` | {about(BUG)} | 0 |" in written
    outage = "| Prisjakt away for 75 h 35 min | 1,234 | 0 | 3 | 0 | 1 | 5 | 6.0 h | 60 of 60 |"
    assert outage in written
    assert "| SQS away for 1 hour | 1,234 | 0 | 3 | 0 | 1 | 5 | | 60 of 10,000 |" in written
    assert page_of(written, documents) == written


@pytest.mark.parametrize("part", PARTS)
def test_another_figure_makes_another_page(
    part: str, documents: dict[str, dict[str, Any]], page: str
) -> None:
    written = page_of(page, documents)
    documents[part]["commit"] = "4567def"

    assert page_of(page, documents) != written


def test_without_its_markers_a_page_is_not_written(documents: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="is there 0 times"):
        page_of("a page", documents)


def test_a_part_or_a_broken_promise_is_not_recorded(documents: dict[str, dict[str, Any]]) -> None:
    del documents["bugs"]["bugs"][0]
    documents["outages"]["outages"][0]["name"] = "flood"
    documents["campaign"]["broken"] = {"seed": 4711, "violations": ["lost"]}

    assert list(unfit(documents)) == [
        "campaign: broken: {'seed': 4711, 'violations': ['lost']}",
        f"bugs: {BUG} is missing",
        "outages: flood is unknown",
        f"outages: {OUTAGE} is missing",
    ]


def test_figures_of_other_code_or_of_no_commit_are_not_recorded(
    documents: dict[str, dict[str, Any]],
) -> None:
    documents["bugs"]["code"] = "4712"
    documents["outages"]["commit"] = "0123abc-dirty"

    assert list(unfit(documents)) == [
        "campaign, bugs, outages: not of the same code; run all three again",
        "outages: of a working copy that nobody else has; commit, and run it again",
    ]


@pytest.mark.parametrize("broken", [None, {"seed": 1, "violations": ["lost"]}])
def test_the_command_writes_record_and_page_or_neither(
    broken: object,
    documents: dict[str, dict[str, Any]],
    page: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    documents["campaign"]["broken"] = broken
    for part in PARTS:
        (tmp_path / part).write_text(json.dumps(documents[part]), encoding="utf-8")
    file, recorded = tmp_path / "proof.md", tmp_path / "proof.json"
    file.write_text(page, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["record", *(str(tmp_path / part) for part in PARTS)])

    status = record.main(recorded, file)

    assert status == (1 if broken else 0)
    assert file.read_text("utf-8") == (page if broken else page_of(page, documents))
    assert recorded.exists() is (broken is None)
    assert ("campaign: broken" in capsys.readouterr().err) is (broken is not None)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(days=1), "1 day"),
        (timedelta(days=28), "28 days"),
        (timedelta(hours=6), "6 hours"),
        (timedelta(hours=75, minutes=35), "75 h 35 min"),
    ],
)
def test_a_length_is_spoken_in_the_units_that_it_has(length: timedelta, text: str) -> None:
    assert spoken(length) == text
