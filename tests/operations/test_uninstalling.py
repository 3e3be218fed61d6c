"""What is found of a relay in an account, and what is taken away."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from botocore import endpoint
from botocore.stub import Stubber
from tests.operations import stacks
from tests.operations.stacks import deploy, left, put_secret, status

from prisjakt_relay.errors import SetupError, StorageError
from prisjakt_relay.local.aws import EmbeddedAws
from prisjakt_relay.operations import platform_access, shop_documents, uninstalling
from prisjakt_relay.operations.uninstalling import RETAINED, Part, Uninstaller

TABLE = {
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
}
LEDGER = TABLE | {
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "dead_shop", "AttributeType": "S"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "dead-orders",
            "KeySchema": [{"AttributeName": "dead_shop", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}
OTHER_KEY = LEDGER | {
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "dead_shop", "AttributeType": "S"},
    ],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
}


@pytest.fixture(autouse=True)
def _account(embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks.use(embedded_aws, monkeypatch)


def uninstaller(name: str) -> Uninstaller:
    return Uninstaller(name, region=None, profile=None)


def delete(name: str, stack_id: str) -> list[uninstalling.Step]:
    return list(uninstaller(name).delete_stack(stack_id, sleep=short_sleep))


def short_sleep(_: float) -> None:
    time.sleep(0.05)


def template() -> dict[str, Any]:
    body: dict[str, Any] = json.loads(stacks.template())
    return body


def test_what_stays_is_what_the_template_retains() -> None:
    resources = template()["Resources"]
    retained = [name for name in resources if resources[name].get("DeletionPolicy") == "Retain"]

    assert sorted(retained) == sorted(RETAINED)


def test_the_template_is_known_by_its_description() -> None:
    assert uninstalling._OURS in template()["Description"]


def test_everything_by_the_stacks_name_is_found(embedded_aws: EmbeddedAws) -> None:
    stack_id = deploy(embedded_aws, "whole", shops=("lamps", "pots"), whole=True)
    put_secret(embedded_aws, "whole/platform-api/lamps")

    found = uninstaller("whole").inventory()

    assert (found.stack_id, found.status) == (stack_id, "CREATE_COMPLETE")
    assert found.resources["AWS::Lambda::Function"] == 3
    assert found.resources["AWS::SQS::Queue"] == 1, "the other one stays"
    assert "AWS::DynamoDB::Table" not in found.resources
    assert sorted((part.kind, part.name) for part in found.data[2:]) == [
        ("shop document", "lamps"),
        ("shop document", "pots"),
        ("shop system credentials", "lamps"),
    ]
    assert [part.kind for part in found.data[:2]] == ["ledger table", "dead-letter queue"]
    assert sum(part.monthly for part in found.data) == Decimal("1.20")


def test_what_only_looks_alike_belongs_to_others(embedded_aws: EmbeddedAws) -> None:
    """Another stack may have a name that begins with this one's."""
    dynamodb, sqs = embedded_aws.client("dynamodb"), embedded_aws.client("sqs")
    for name in ("alike-Ledger-two-Ledger-1AB2", "alike-2-Ledger-1AB2", "alike-Ledger"):
        dynamodb.create_table(TableName=name, **LEDGER)
    sqs.create_queue(QueueName="alike-DeadLetters-two-DeadLetters-1AB2")
    for name in ("alike-2/shops/lamps", "alike/other/lamps", "alike/shops-old/lamps"):
        put_secret(embedded_aws, name)

    with pytest.raises(SetupError, match="there is no stack alike in eu-north-1, and nothing"):
        uninstaller("alike").inventory()

    dynamodb.create_table(TableName="alike-Ledger-1AB2", **LEDGER)
    assert [part.name for part in uninstaller("alike").inventory().data] == ["alike-Ledger-1AB2"]


def test_without_a_stack_a_name_alone_does_not_make_it_ours(embedded_aws: EmbeddedAws) -> None:
    """Any program may have a stack of that name, with a resource of that logical id."""
    dynamodb, secrets = embedded_aws.client("dynamodb"), embedded_aws.client("secretsmanager")
    dynamodb.create_table(TableName="billing-Ledger-Ab12", **TABLE)
    dynamodb.create_table(TableName="billing-Ledger-Cd34", **OTHER_KEY)
    embedded_aws.client("sqs").create_queue(QueueName="billing-DeadLetters-Ab12")
    put_secret(embedded_aws, "billing/shops/paypal")

    with pytest.raises(SetupError, match="there is no stack billing"):
        uninstaller("billing").inventory()

    secrets.create_secret(
        Name="billing/shops/lamps", SecretString="{}", Description=shop_documents.DESCRIPTION
    )
    secrets.create_secret(
        Name="billing/platform-api/pots",
        SecretString="{}",
        Description=platform_access.DESCRIPTION,
    )
    names = {part.name for part in uninstaller("billing").inventory().data}
    assert names == {"lamps", "pots"}
    dynamodb.create_table(TableName="billing-Ledger-Ef56", **LEDGER)
    assert sorted(part.name for part in uninstaller("billing").inventory().data) == [
        "billing-DeadLetters-Ab12",
        "billing-Ledger-Ef56",
        "lamps",
        "paypal",
        "pots",
    ]


def test_what_a_stack_says_it_has_is_found_whatever_its_name(
    embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CloudFormation shortens names: a queue's has 80 characters at most, a stack's 128."""
    deploy(embedded_aws, "shortened")
    monkeypatch.setattr(Uninstaller, "_is_named", lambda *_: False)

    assert [part.name for part in uninstaller("shortened").inventory().data] == [
        stacks.resource(embedded_aws, "shortened", "Ledger"),
        stacks.resource(embedded_aws, "shortened", "DeadLetters").rsplit("/", 1)[1],
    ]


def test_by_its_arn_a_stack_is_found_with_its_data(embedded_aws: EmbeddedAws) -> None:
    stack_id = deploy(embedded_aws, "by-arn", shops=("lamps",))

    found = uninstaller(stack_id).inventory()

    assert (found.name, found.stack_id) == ("by-arn", stack_id)
    assert found == uninstaller("by-arn").inventory()
    assert len(found.data) == 3


def test_the_arn_of_a_stack_that_is_gone_is_not_its_successors(
    embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS knows it by its ARN for months, when its name may be another's."""
    stack_id = deploy(embedded_aws, "succeeded")
    delete("succeeded", stack_id)

    found = uninstaller(stack_id).inventory()
    assert (found.name, found.stack_id, len(found.data)) == ("succeeded", None, 2)

    gone = uninstaller(stack_id)._stack(stack_id)
    deploy(embedded_aws, "succeeded")
    by_name = Uninstaller._stack
    monkeypatch.setattr(
        Uninstaller,
        "_stack",
        lambda self, name: gone if name == stack_id else by_name(self, name),
    )
    with pytest.raises(SetupError, match="there is a newer one of its name"):
        uninstaller(stack_id).inventory()


def test_a_large_table_costs_by_its_size() -> None:
    gigabytes = uninstalling._GIGABYTE * 10

    assert uninstalling._cents(uninstalling.GIGABYTE_A_MONTH * gigabytes / 1024**3) == Decimal(
        "4.50"
    )


def test_another_stack_is_refused(embedded_aws: EmbeddedAws) -> None:
    deploy(embedded_aws, "foreign", description="Somebody else's.")

    with pytest.raises(SetupError, match="the stack foreign is not a relay"):
        uninstaller("foreign").inventory()


def test_a_protected_stack_is_refused_with_the_remedy(embedded_aws: EmbeddedAws) -> None:
    deploy(embedded_aws, "guarded")
    embedded_aws.client("cloudformation").update_termination_protection(
        StackName="guarded", EnableTerminationProtection=True
    )

    with pytest.raises(SetupError, match="no-enable-termination-protection"):
        uninstaller("guarded").inventory()


def test_a_stack_goes_step_by_step_and_its_data_stay(embedded_aws: EmbeddedAws) -> None:
    stack_id = deploy(embedded_aws, "goes", shops=("lamps",))

    steps = delete("goes", stack_id)

    assert steps[-1].is_stack
    assert steps[-1].status == "DELETE_COMPLETE"
    gone = {step.resource for step in steps if step.status == "DELETE_COMPLETE"}
    assert gone == {"AlarmTopic", "ConversionQueue", "SenderLog", "goes"}
    assert {step.resource for step in steps if step.status == "DELETE_SKIPPED"} == set(RETAINED)
    assert status(embedded_aws, "goes") == "gone"
    assert left(embedded_aws, "goes") == {"tables": 1, "queues": 1, "secrets": 1}


def test_of_a_stack_that_is_gone_the_data_are_found_and_removed(embedded_aws: EmbeddedAws) -> None:
    stack_id = deploy(embedded_aws, "gone", shops=("lamps",))
    delete("gone", stack_id)
    found = uninstaller("gone").inventory()

    assert (found.stack_id, found.resources, found.waiting) == (None, {}, 0)
    assert [uninstaller("gone").remove(part) for part in found.data] == [None] * 3
    assert left(embedded_aws, "gone") == {"tables": 0, "queues": 0, "secrets": 0}
    assert [uninstaller("gone").remove(part) for part in found.data] == [None] * 3, "once more"


def test_deleting_what_is_just_gone_ends_at_once(embedded_aws: EmbeddedAws) -> None:
    """Somebody else may have been faster."""
    stack_id = deploy(embedded_aws, "twice")
    delete("twice", stack_id)

    (step,) = delete("twice", stack_id)

    assert (step.is_stack, step.status) == (True, "DELETE_COMPLETE")


def test_a_resource_that_does_not_go_is_named_with_its_reason(embedded_aws: EmbeddedAws) -> None:
    stack_id = deploy(embedded_aws, "stuck", stays="somebody")

    steps = delete("stuck", stack_id)

    failed = [step for step in steps if step.status == "DELETE_FAILED"]
    assert [step.resource for step in failed] == ["User", "stuck"]
    assert failed[0].reason
    stacks.let_go(embedded_aws, "somebody")
    assert delete("stuck", stack_id)[-1].status == "DELETE_COMPLETE", "a run again goes on"


def test_a_stack_that_cannot_go_now_says_why() -> None:
    one = uninstaller("busy-elsewhere")
    with Stubber(one._cloudformation) as aws:
        aws.add_response("describe_stack_events", {"StackEvents": []})
        aws.add_client_error("delete_stack", "ValidationError", "it is being updated")

        with pytest.raises(SetupError, match="cannot go now: it is being updated"):
            list(one.delete_stack("its-id", sleep=short_sleep))


def test_a_stack_that_takes_too_long_goes_on_by_itself(
    embedded_aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack_id = deploy(embedded_aws, "slow")
    with monkeypatch.context() as patch:
        patch.setattr(uninstalling, "_LONGEST", timedelta(0))
        with pytest.raises(StorageError, match="slow is still going: run it again to go on"):
            delete("slow", stack_id)

    assert delete("slow", stack_id)[-1].status == "DELETE_COMPLETE"


def test_a_network_that_goes_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(endpoint.time, "sleep", lambda _: None)  # between attempts

    problem = uninstaller("away").remove(Part("ledger table", "a-table", "a-table"))

    assert problem is not None
    assert problem.startswith("AWS does not answer at http://127.0.0.1:9")


def test_orders_in_the_queue_are_counted(embedded_aws: EmbeddedAws) -> None:
    deploy(embedded_aws, "busy")
    for _ in range(3):
        stacks.put_into_queue(embedded_aws, "busy")

    assert uninstaller("busy").inventory().waiting == 3


def test_what_cannot_be_removed_says_why(embedded_aws: EmbeddedAws) -> None:
    name = "kept-Ledger-1AB2"
    embedded_aws.client("dynamodb").create_table(
        TableName=name, DeletionProtectionEnabled=True, **TABLE
    )

    problem = uninstaller("kept").remove(Part("ledger table", name, name))

    assert problem is not None
    assert "deletion protection" in problem.lower()
