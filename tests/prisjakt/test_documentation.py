"""The page on the client is held to the code: its examples run, its table is complete."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from tests.prisjakt.world import SHOP, Recorder

from prisjakt_relay.local.prisjakt_model import OPERATIONS, Shop
from prisjakt_relay.local.prisjakt_server import PrisjaktServer
from prisjakt_relay.prisjakt import auth
from prisjakt_relay.prisjakt import client as client_module
from prisjakt_relay.prisjakt.client import PrisjaktClient

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "prisjakt-client.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(python|text)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = [code for kind, code in BLOCKS if kind == "python"]
OUTPUT = "".join(code for kind, code in BLOCKS if kind == "text")
ROWS = re.findall(r"^\| `([\w-]+)` \| `(\w+)` \|.*\| `(\w+)` \|$", PAGE, re.MULTILINE)
METHODS = {
    name
    for name, member in inspect.getmembers(PrisjaktClient, inspect.isfunction)
    if not name.startswith("_") and name != "using"
}


@pytest.fixture
def model() -> Recorder:
    return Recorder(
        clients={
            "your-client-id": "your-client-secret",
            "admins-client-id": "admins-client-secret",
        },
        roles={"admins-client-id": ["admin"]},
        shops={SHOP: Shop(clients=("your-client-id",))},
    )


def test_the_examples_do_what_they_say(
    server: PrisjaktServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client_module, "BASE_URL", server.base_address)
    monkeypatch.setattr(auth, "TOKEN_URL", server.token_address)
    names: dict[str, Any] = {}

    for example in EXAMPLES:
        exec(compile(example, "docs/prisjakt-client.md", "exec"), names)  # noqa: S102

    names["http"].close()
    assert capsys.readouterr().out == OUTPUT


def test_every_operation_and_every_method_is_listed() -> None:
    assert {operation for operation, _, _ in ROWS} == {
        operation.name for operation in OPERATIONS
    } - {"token"}
    assert {method for _, method, _ in ROWS} == METHODS


def test_every_method_has_an_example() -> None:
    called = set(re.findall(r"\b(?:client|admin)\.(\w+)\(", "".join(EXAMPLES)))

    assert called - {"using"} == METHODS


def test_every_test_that_is_named_exists() -> None:
    written = "".join(path.read_text("utf-8") for path in HERE.glob("test_*.py"))

    for name in re.findall(r"`(test_\w+)`", PAGE):
        assert f"def {name}(" in written
