"""Every outcome and every reason has its words."""

from __future__ import annotations

from enum import StrEnum
from itertools import chain

import pytest
from tests.operations.elsewhere import WHERE, commands, stack_elsewhere

from prisjakt_relay.errors import PrisjaktError, Problem
from prisjakt_relay.operations.explanations import (
    DEATHS,
    DELIVERIES,
    DISAGREEMENTS,
    NOTHING,
    OUTCOMES,
    REASONS,
    RECONCILED,
    STANDINGS,
    STUCK_ERASURE,
    Explanation,
    cause,
    said,
)
from prisjakt_relay.operations.reconciling import DIFFERENT, EXPLANATIONS, ON_ITS_WAY, Unmatched
from prisjakt_relay.outcomes import DeathReason, Outcome, Reason, Received, Reconciled
from prisjakt_relay.reconciler.reconciliation import Disagreement, Standing

ALL = [
    *REASONS.values(),
    *DELIVERIES.values(),
    *OUTCOMES.values(),
    *RECONCILED.values(),
    *DEATHS.values(),
    *EXPLANATIONS.values(),
    STUCK_ERASURE,
]


@pytest.mark.parametrize(
    ("members", "explained"),
    [
        (Reason, set(REASONS)),
        (Received, set(DELIVERIES)),
        (Outcome, set(OUTCOMES)),
        (Reconciled, set(RECONCILED)),
        (DeathReason, set(DEATHS)),
        (Standing, set(STANDINGS)),
        (Disagreement, set(DISAGREEMENTS)),
    ],
)
def test_every_member_is_explained(members: type[StrEnum], explained: set[StrEnum]) -> None:
    assert set(members) == explained


def test_every_word_of_a_comparison_is_explained_and_every_difference_has_a_remedy() -> None:
    kinds = {*DIFFERENT, *Disagreement, *Unmatched}

    assert set(EXPLANATIONS) == {*Standing, *Disagreement, *Unmatched, ON_ITS_WAY}
    assert [kind for kind in kinds if EXPLANATIONS[kind].remedy == NOTHING] == []


@pytest.mark.parametrize("explanation", ALL)
def test_explanations_are_parts_of_sentences(explanation: Explanation) -> None:
    for text in explanation:
        assert text
        assert text == text.strip()
        assert not text.endswith(".")


def test_no_name_of_a_class_is_shown_as_a_cause() -> None:
    """A sender that waits after an error of Prisjakt names it by its class."""
    held_back = {"RateLimitedError", "RejectedError"}  # a pause by itself, and no wait at all
    names = {error.__name__ for error in PrisjaktError.__subclasses__()} - held_back

    assert names
    assert [name for name in names if cause(name) == name] == []
    assert cause("its turn has not come") == "its turn has not come"


def test_remedies_name_commands_whole() -> None:
    commands = list(chain.from_iterable(each.remedy.split("`")[1::2] for each in ALL))

    assert "prisjakt-relay dead resend SHOP ORDER" in commands
    assert "prisjakt-relay shop set SHOP --corrections on" in commands


def test_commands_are_filled_in_for_an_order_of_a_stack() -> None:
    for explanation in ALL:
        filled = explanation.on(
            stack_elsewhere(), "lamps", "17", first_day="2026-11-01", last_day="2026-11-02"
        )
        typed = commands(filled.remedy)

        assert filled.meaning == explanation.meaning
        assert len(typed) == len(commands(explanation.remedy))
        assert [each for each in typed if not each.endswith(WHERE)] == []
        assert not {"SHOP", "ORDER", "FIRST_DAY", "LAST_DAY"} & {
            word for each in typed for word in each.split()
        }


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (Problem(), "no word of why"),
        (Problem(503), "503"),
        (Problem(title="ConnectTimeout"), "ConnectTimeout"),
        (Problem(400, "Not valid", "See fields"), "400 Not valid, See fields"),
        (Problem(400, "No", field_errors={"b": "odd", "a": "even"}), "400 No; a: even, b: odd"),
        (Problem(field_errors={"a": "odd"}), "a: odd"),
    ],
)
def test_an_answer_of_prisjakts_is_one_phrase(problem: Problem, words: str) -> None:
    assert said(problem) == words
