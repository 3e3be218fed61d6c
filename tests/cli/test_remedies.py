"""What a command tells to type next is for the stack that it looked at, never for another one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.cli.calling import Called, local
from tests.conftest import LOCAL_PORT
from tests.operations.dying import DyingShop, dying_shop

from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import stack as stacks
from prisjakt_relay.outcomes import DeathReason

COMMAND = re.compile(r"prisjakt-relay [a-z][^`\n<]*")
LONG_AGO = timedelta(days=40)


@pytest.fixture(scope="module")
def shop(local_system: LocalSystem) -> Iterator[DyingShop]:
    """Much is wrong with it."""
    stack = stacks.find_local(LOCAL_PORT)
    sick = dying_shop(local_system, stack, mode="off", curency="shop")
    sick.dies(order_id="11")
    sick.dies(DeathReason.REFUSED, order_id="12")
    sick.dies(DeathReason.EXPIRED, order_id="13", tried=LONG_AGO, uncertain=True)
    sick.gets_stuck(sick.message("14"))
    sick.gets_stuck("unreadable")
    yield sick
    stack.client("sqs").purge_queue(QueueUrl=stack.outputs["DeadLettersUrl"])


@pytest.fixture(scope="module")
def unusable(local_system: LocalSystem) -> Iterator[str]:
    """The name of a shop whose document cannot be used."""
    name = f"unusable-{uuid.uuid4()}"
    local_system.aws.put_shop(name, {"platform": "shopify"})
    yield name
    local_system.aws.client("secretsmanager").delete_secret(
        SecretId=f"local/shops/{name}", ForceDeleteWithoutRecovery=True
    )


@pytest.fixture
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local system passes for a stack in AWS whose name is not the default."""
    stack = replace(stacks.find_local(LOCAL_PORT), local_port=None, asked_region="eu-north-1")
    monkeypatch.setattr(stacks, "find_local", lambda _: stack)


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize(
    ("command", "least"),
    [
        ("doctor SHOP", 3),
        ("doctor SHOP --out doctor.html", 3),
        ("doctor UNUSABLE", 1),
        ("doctor nobody", 2),
        ("test SHOP", 1),
        ("order SHOP 11", 2),
        ("order SHOP 12", 2),
        ("order SHOP 13 --json", 2),
        ("order SHOP 15", 1),
        ("dead list SHOP", 1),
        ("dead list", 1),
        ("dead show SHOP 11", 2),
        ("dead show SHOP 12", 2),
        ("dead show SHOP 13", 2),
        ("dead show SHOP 14", 2),
        ("dead show SHOP 15", 1),
        ("dead drop SHOP 15 --yes", 1),
        ("dead resend SHOP 13 --dry-run", 1),
        ("reconcile SHOP", 1),
        ("backfill SHOP --dry-run", 1),
        ("prisjakt summary SHOP", 1),
        ("report SHOP --from 2026-01-01 --to 2026-01-02", 1),
        ("shop show nobody", 2),
        ("shop set SHOP", 1),
        ("shop add SHOP --platform shopify", 1),
        ("shop api show SHOP", 1),
        ("webhooks list SHOP", 1),
        ("webhooks list nobody", 2),
    ],
)
def test_every_command_in_a_remedy_is_for_the_same_stack(
    command: str,
    least: int,
    shop: DyingShop,
    unusable: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"SHOP": shop.name, "UNUSABLE": unusable}

    called = local(*(names.get(word, word) for word in command.split()), width=500)

    typed = said(called, tmp_path)
    assert len(typed) >= least, called
    assert [each for each in typed if "--stack local --region eu-north-1" not in each] == []


def said(called: Called, folder: Path) -> list[str]:
    """Every command that it told, in the terminal or on the page it wrote."""
    pages = [page.read_text("utf-8") for page in folder.glob("*.html")]
    return COMMAND.findall("\n".join([called.out, called.err, *pages]))
