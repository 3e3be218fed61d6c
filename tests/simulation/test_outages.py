"""Long outages, and what must be true after each: small ones here, the rest is `make outages`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.benchmark import output
from tests.simulation import bugs, outages
from tests.simulation.outages import OUTAGES, STRAY, Outage, Outcome, outcome

from prisjakt_relay.local import prisjakt_model
from prisjakt_relay.outcomes import DeathReason

SMALL = {
    "prisjakt-3-days": replace(OUTAGES["prisjakt-3-days"], orders=40, allowance=10),
    "sqs-1-hour": replace(OUTAGES["sqs-1-hour"], orders=60),
    "dynamodb-6-hours": replace(OUTAGES["dynamodb-6-hours"], orders=60),
    "secrets-6-hours": replace(OUTAGES["secrets-6-hours"], orders=60),
}
# With so much of everything that a bug has its occasion within hours.
SHORT = replace(
    OUTAGES["prisjakt-3-days"],
    length=timedelta(hours=4),
    orders=80,
    allowance=10_000,
    doubles=0.2,
    stray={**STRAY, "hang": 0.4},
)
LONG = replace(OUTAGES["prisjakt-31-days"], orders=20, allowance=4)
WITHIN = 12  # worlds, for what needs a coincidence


@pytest.mark.parametrize("name", SMALL)
def test_an_outage_loses_nothing_and_tells_prisjakt_nothing_twice(name: str) -> None:
    came = outcome(name, SMALL[name])

    assert came.violations == ()
    assert (came.lost, came.given_up, came.repeats, came.events_per_order) == (0, (), 0, 1)
    assert came.due > 20
    assert all(came.struck.values()), came.struck
    assert came.busiest_hour <= SMALL[name].allowance


def test_after_an_outage_the_allowance_is_used() -> None:
    """A backlog of single reports, five hours of the allowance, is gone after little more."""
    name = "prisjakt-3-days"
    clean = replace(SMALL[name], orders=50, plain=True, unheard=(), stray={}, doubles=0.0)

    came = outcome(name, clean)

    assert came.drained_hours < 5.6
    assert came.busiest_hour == 10


@pytest.mark.parametrize("name", ["sqs-1-hour", "secrets-6-hours"])
def test_what_the_receiver_could_not_take_comes_again_or_is_found(name: str) -> None:
    """Shopify sends again for four hours, WooCommerce never: the reconciler finds its orders."""
    came = outcome(name, SMALL[name])

    assert came.refused > 50
    assert came.recovered > 20


def test_without_a_reconciler_an_outage_of_the_queue_loses_what_never_comes_again() -> None:
    """Or else nothing would be proved by the others."""
    outage: Outage = replace(SMALL["sqs-1-hour"], reconciles=False, plain=True)

    came = outcome("sqs-1-hour", outage)

    assert came.lost > 20
    assert came.repeats == 0


def test_a_backlog_of_a_shop_with_credentials_goes_in_few_requests() -> None:
    came = outcome("backlog", replace(OUTAGES["backlog"], orders=120))

    assert (came.lost, came.repeats, came.due) == (0, 0, 120)
    assert came.requests_to_drain < 40


# Longer than Prisjakt knows an id


def test_in_31_days_the_orders_of_the_first_two_are_given_up_by_name() -> None:
    """Those whose first try is over 29 days ago: all are among the dead, none is there twice."""
    came = outcome("prisjakt-31-days", LONG)

    assert came.is_kept, came.violations
    assert came.given_up
    assert {each.reason for each in came.given_up} == {DeathReason.EXPIRED}
    assert all(each.first_tried_hours < 48 + came.drained_hours for each in came.given_up)
    assert came.lost == 0


def test_first_reports_without_an_end_are_seen_in_31_days() -> None:
    with bugs.planted("first-reports-for-ever"):
        came = outcome("prisjakt-31-days", LONG)

    assert came.violations
    assert not came.is_kept


# The columns can be something else


def is_lost(came: Outcome) -> bool:
    return came.lost > 0


def is_told_twice(came: Outcome) -> bool:
    return came.repeats > 0


def breaks_promise(came: Outcome) -> bool:
    """Of those that hold in every world."""
    return bool(came.violations)


@pytest.mark.parametrize(
    ("bug", "shows"),
    [
        ("settle-before-send", is_lost),
        ("short-lease", is_told_twice),  # who has lost it cannot write down what was acknowledged
        ("409-is-failure", is_told_twice),  # when the order changes, and changes back
        ("409-is-failure", breaks_promise),  # given up without cause
        ("no-lease", breaks_promise),  # two senders at once
        ("uncertainty-forgotten", breaks_promise),  # its own event is taken for a browser's
        ("time-outs-are-over", breaks_promise),  # a late request undoes what the ledger is sure of
    ],
)
def test_a_bug_is_seen_in_an_outage(bug: str, shows: Callable[[Outcome], bool]) -> None:
    with bugs.planted(bug):
        came = (outcome("short", SHORT, seed=seed) for seed in range(1, 1 + WITHIN))
        seen = next((each for each in came if shows(each)), None)

    assert seen is not None
    assert not seen.is_kept


def test_without_a_bug_nothing_is_seen_in_it() -> None:
    for seed in range(1, 4):
        came = outcome("short", SHORT, seed=seed)

        assert came.is_kept, (came.repeats, came.events_per_order, came.violations)


def test_a_second_event_of_an_order_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Prisjakt forgot its ids within a minute: nothing that the relay does could help."""
    monkeypatch.setattr(prisjakt_model, "DUPLICATE_WINDOW", timedelta(minutes=1))

    came = outcome("short", SHORT)

    assert came.events_per_order > 1
    assert not came.is_kept


# What is written


def test_what_came_of_it_is_written_with_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[Outcome] = []
    written: dict[Path, Any] = {}
    tiny = replace(SHORT, orders=5, stray={}, unheard=(), plain=True)

    def lived(name: str, outage: Outage) -> Outcome:
        came.append(replace(outcome(name, outage), lost=len(came)))
        return came[-1]

    monkeypatch.setattr(outages, "OUTAGES", {"one": tiny, "other": tiny})
    monkeypatch.setattr(outages, "outcome", lived)
    monkeypatch.setattr(
        output, "write_json", lambda file, document: written.update({file: document})
    )
    monkeypatch.setattr(sys, "argv", ["outages", "--json", str(tmp_path / "outages.json")])

    assert outages.main() == 1

    document = written[tmp_path / "outages.json"]
    assert {"measured_at", "commit", "machine", "python"} <= document.keys()
    assert (document["first"], document["worlds"], document["broken"]) == (1, 2, ["other"])
    about = {"what": tiny.what, "length_seconds": 14_400.0, "allowance": tiny.allowance}
    assert document["outages"] == [about | asdict(each) for each in came]
