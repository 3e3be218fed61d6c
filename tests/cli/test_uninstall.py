"""`uninstall`: tells before it acts, asks, and says what stays."""

from __future__ import annotations

import pytest
from tests.cli.calling import Called, call
from tests.operations import stacks
from tests.operations.stacks import deploy, left, status

from prisjakt_relay.local.aws import REGION, EmbeddedAws
from prisjakt_relay.operations.uninstalling import Part, Uninstaller

KEPT = {"tables": 1, "queues": 1, "secrets": 1}
NOTHING = {"tables": 0, "queues": 0, "secrets": 0}


@pytest.fixture(autouse=True)
def _account(embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks.use(embedded_aws, monkeypatch)


def uninstall(name: str, *arguments: str, width: int = 120) -> Called:
    return call("uninstall", "--stack", name, *arguments, width=width)


def typed(name: str, *arguments: str, answers: str) -> Called:
    """The same by somebody who can be asked."""
    return call("uninstall", "--stack", name, *arguments, stdin=answers, asked=True)


def test_it_tells_what_goes_and_what_stays_and_can_be_repeated(embedded_aws: EmbeddedAws) -> None:
    deploy(embedded_aws, "relay-a", shops=("lamps",), whole=True)

    first = uninstall("relay-a", "--yes", width=80)
    assert first.code == 0, first.err
    for told in (
        "The stack relay-a in eu-north-1 (CREATE_COMPLETE) goes",
        "Lambda Function",
        "relay-a-DeadLetters-",
        "0 items, 0.0 MB",
        "0.40",
        "The stack relay-a is gone.",
    ):
        assert told in first.out
    assert "1 ledger table, 1 dead-letter queue, 1 shop document" in " ".join(first.out.split())
    again = f"uninstall --with-data --stack relay-a --region {REGION}"
    assert f"`prisjakt-relay {again}`" in " ".join(first.err.split())
    assert all(len(line) <= 80 for line in first.out.splitlines())
    assert status(embedded_aws, "relay-a") == "gone"
    assert left(embedded_aws, "relay-a") == KEPT

    second = uninstall("relay-a", "--yes")
    assert second.code == 0
    assert "is gone already" in second.out
    assert left(embedded_aws, "relay-a") == KEPT

    third = uninstall("relay-a", "--yes", "--with-data")
    assert third.code == 0
    assert "Nothing of it is left." in third.out
    assert left(embedded_aws, "relay-a") == NOTHING

    fourth = uninstall("relay-a", "--yes", "--with-data")
    assert fourth.code == 2
    assert fourth.err.startswith("error: there is no stack relay-a in eu-north-1")


def test_for_machines_it_is_one_document(embedded_aws: EmbeddedAws) -> None:
    deploy(embedded_aws, "relay-b", shops=("lamps",))

    kept = uninstall("relay-b", "--yes", "--json").json
    removed = uninstall("relay-b", "--yes", "--json", "--with-data").json

    assert kept["gone"] is True
    assert kept["resources"]["AWS::SQS::Queue"] == 1
    assert kept["usd_a_month"] == "0.40"
    assert [part["kind"] for part in kept["remains"]] == [
        "ledger table",
        "dead-letter queue",
        "shop document",
    ]
    assert (kept["removed"], kept["failed"]) == ([], [])
    assert (removed["removed"], removed["remains"]) == (kept["remains"], [])


def test_without_a_terminal_it_needs_yes(embedded_aws: EmbeddedAws) -> None:
    deploy(embedded_aws, "relay-c")

    called = call("uninstall", "--stack", "relay-c", stdin="relay-c\n")

    assert called.code == 2
    assert "goes, its logs included" in called.out, "it can be looked at without harm"
    assert "add --yes" in called.err
    assert status(embedded_aws, "relay-c") == "CREATE_COMPLETE"


def test_the_stacks_name_is_typed_in_full(embedded_aws: EmbeddedAws) -> None:
    deploy(embedded_aws, "relay-d")

    for name in ("y", "relay", "RELAY-D"):
        called = typed("relay-d", answers=f"{name}\n")
        assert called.code == 2
        assert "nothing was removed" in called.err
    assert status(embedded_aws, "relay-d") == "CREATE_COMPLETE"

    assert typed("relay-d", answers="relay-d\n").code == 0
    assert status(embedded_aws, "relay-d") == "gone"


def test_the_data_are_asked_for_before_anything_goes(embedded_aws: EmbeddedAws) -> None:
    deploy(embedded_aws, "relay-e", shops=("lamps",))

    no = typed("relay-e", "--with-data", answers="relay-e\nn\n")
    assert no.code == 1
    assert status(embedded_aws, "relay-e") == "CREATE_COMPLETE"

    assert typed("relay-e", "--with-data", answers="relay-e\ny\n").code == 0
    assert status(embedded_aws, "relay-e") == "gone"
    assert left(embedded_aws, "relay-e") == NOTHING


def test_the_name_is_typed_for_the_data_of_a_stack_that_is_gone(embedded_aws: EmbeddedAws) -> None:
    deploy(embedded_aws, "relay-i", shops=("lamps",))
    assert uninstall("relay-i", "--yes").code == 0

    assert uninstall("relay-i").code == 0, "nothing would be removed, so nothing is asked"
    for answers, code in (("y\n", 2), ("relay-i\nn\n", 1)):
        refused = typed("relay-i", "--with-data", answers=answers)
        assert refused.code == code
        assert "nothing was removed" in refused.err
        assert left(embedded_aws, "relay-i") == KEPT

    assert typed("relay-i", "--with-data", answers="relay-i\ny\n").code == 0
    assert left(embedded_aws, "relay-i") == NOTHING


def test_without_a_terminal_the_data_of_a_stack_that_is_gone_need_yes(
    embedded_aws: EmbeddedAws,
) -> None:
    deploy(embedded_aws, "relay-j", shops=("lamps",))
    assert uninstall("relay-j", "--yes").code == 0

    called = uninstall("relay-j", "--with-data")

    assert called.code == 2
    assert "1 shop document would be removed" in called.err
    assert "add --yes" in called.err
    assert left(embedded_aws, "relay-j") == KEPT


def test_an_interrupted_removal_of_the_data_can_be_repeated(
    embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has no sign of its own is known by the ledger, which therefore goes last."""
    deploy(embedded_aws, "relay-k", shops=("lamps", "pots"))
    remove = Uninstaller.remove
    removed: list[str] = []

    def refused(self: Uninstaller, part: Part) -> str | None:
        return "not now" if part.name == "lamps" else remove(self, part)

    def interrupted(self: Uninstaller, part: Part) -> str | None:
        if removed:
            raise KeyboardInterrupt
        removed.append(part.kind)
        return remove(self, part)

    with monkeypatch.context() as patched:
        patched.setattr(Uninstaller, "remove", interrupted)
        assert uninstall("relay-k", "--yes", "--with-data").code == 130
        patched.setattr(Uninstaller, "remove", refused)
        problems = uninstall("relay-k", "--yes", "--with-data", "--json").json["failed"]
    assert removed == ["dead-letter queue"]
    assert [problem["reason"].partition(",")[0] for problem in problems] == ["not now", "stays"]
    assert left(embedded_aws, "relay-k") == {"tables": 1, "queues": 0, "secrets": 1}

    assert uninstall("relay-k", "--yes", "--with-data").code == 0
    assert left(embedded_aws, "relay-k") == NOTHING


def test_waiting_orders_are_not_lost_without_force(embedded_aws: EmbeddedAws) -> None:
    deploy(embedded_aws, "relay-f")
    stacks.put_into_queue(embedded_aws, "relay-f")

    refused = uninstall("relay-f", "--yes")
    assert refused.code == 2
    assert "1 order in the queue would be lost" in refused.err
    assert status(embedded_aws, "relay-f") == "CREATE_COMPLETE"

    assert uninstall("relay-f", "--yes", "--force").code == 0
    assert status(embedded_aws, "relay-f") == "gone"


def test_what_does_not_go_is_told_and_the_data_wait(embedded_aws: EmbeddedAws) -> None:
    deploy(embedded_aws, "relay-g", shops=("lamps",), stays="somebody-else")

    called = uninstall("relay-g", "--yes", "--with-data")
    assert called.code == 1
    assert "User: " in called.err
    assert "is not gone" in called.out
    assert left(embedded_aws, "relay-g") == KEPT

    stacks.let_go(embedded_aws, "somebody-else")
    again = uninstall("relay-g", "--yes", "--with-data")
    assert again.code == 0, again.err
    assert left(embedded_aws, "relay-g") == NOTHING


def test_data_that_do_not_go_are_told(embedded_aws: EmbeddedAws) -> None:
    deploy(embedded_aws, "relay-h", shops=("lamps",))
    dynamodb = embedded_aws.client("dynamodb")
    table = stacks.resource(embedded_aws, "relay-h", "Ledger")
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)

    called = uninstall("relay-h", "--yes", "--with-data", "--json")

    assert called.code == 1
    assert [part["name"] for part in called.json["remains"]] == [table]
    assert [problem["name"] for problem in called.json["failed"]] == [table]
    assert left(embedded_aws, "relay-h") == {"tables": 1, "queues": 0, "secrets": 0}


def test_the_local_system_is_not_uninstalled() -> None:
    called = call("uninstall", "--local")

    assert called.code == 2
    assert "Ctrl-C" in called.err


def test_without_credentials_it_says_how_to_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")

    called = uninstall("relay")

    assert called.code == 2
    assert "no AWS credentials" in called.err
