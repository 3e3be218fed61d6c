"""A command that is told to be typed means the stack that it was told for."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from prisjakt_relay.operations.command_line import LOCAL_PORT, STACK_NAME, STACK_VARIABLE, command


@pytest.mark.parametrize(
    ("where", "options"),
    [
        ({}, ""),
        ({"stack": STACK_NAME}, ""),
        ({"stack": "other"}, " --stack other"),
        ({"region": "eu-west-1"}, " --region eu-west-1"),
        ({"stack": "other", "profile": "a b"}, " --stack other --profile 'a b'"),
        ({"stack": "local", "local_port": LOCAL_PORT}, " --local"),
        ({"stack": "local", "local_port": 9000}, " --local --port 9000"),
    ],
)
def test_a_command_has_the_options_that_lead_to_its_stack(
    where: dict[str, Any], options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(STACK_VARIABLE, raising=False)

    assert command("doctor", "a-shop", **where) == f"prisjakt-relay doctor a-shop{options}"


def test_the_default_is_said_where_another_one_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STACK_VARIABLE, "other")

    assert command("doctor") == f"prisjakt-relay doctor --stack {STACK_NAME}"


def test_a_word_that_a_shell_would_change_is_quoted() -> None:
    words = ("order", "a-shop", "#1001; echo 'no'")

    assert shlex.split(command(*words)) == ["prisjakt-relay", *words]
