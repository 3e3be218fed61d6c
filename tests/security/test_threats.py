"""The page of threats: every row has its test, and every test that it names is there."""

from __future__ import annotations

import ast
import functools
import re

import pytest
from tests.security import bugs

from prisjakt_relay.local import project

PAGE = (project.root() / "docs" / "threats.md").read_text("utf-8")
ROWS = re.findall(r"^\| ([A-Z]\d+) \| (.*) \|$", PAGE, re.MULTILINE)
NOT_OURS = "AWS's own: "  # why a row has no test


@functools.cache
def functions_of(path: str) -> frozenset[str]:
    """`name` or `Class::name` of every test of a file."""
    tree = ast.parse((project.root() / path).read_text("utf-8"))
    found = {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
    for each in tree.body:
        if isinstance(each, ast.ClassDef):
            found |= {
                f"{each.name}::{one.name}" for one in each.body if isinstance(one, ast.FunctionDef)
            }
    return frozenset(found)


def test_there_are_threats() -> None:
    names = [name for name, _ in ROWS]

    assert len(names) > 40
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[name for name, _ in ROWS])
def test_every_threat_has_a_kind_a_defence_and_a_test_that_is_there(name: str, row: str) -> None:
    kind, threat, defence, tests = row.split(" | ")

    assert kind in "STRIDE", name
    assert threat
    assert defence
    if tests.startswith(NOT_OURS):
        return
    named = re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", tests)
    assert named, f"{name} has no test and no reason for none"
    assert len(named) == tests.count("`") / 2, f"{name}: {tests}"
    for path, test in named:
        assert test in functions_of(path), f"{name}: {path}::{test}"


def test_every_letter_of_stride_is_thought_of() -> None:
    assert {row[0] for _, row in ROWS} == set("STRIDE")


def test_every_planted_bug_is_on_the_page() -> None:
    named = re.findall(r"^\| `([a-z-]+)` \| (.*?) \|", PAGE, re.MULTILINE)

    assert named == [(name, bugs.about(name)) for name in bugs.BUGS]
