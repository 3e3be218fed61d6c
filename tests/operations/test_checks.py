"""Every line of `doctor`, on the real local system: when it is right, wrong, or not told."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.cli.orders import posted
from tests.conftest import PATIENCE
from tests.operations.answering import Told, answering
from tests.operations.patients import SECRET, put, spoilt, switch, without_sender

from prisjakt_relay import telemetry
from prisjakt_relay.cli import shop_fields
from prisjakt_relay.errors import SetupError, StorageError
from prisjakt_relay.local import deliveries, project
from prisjakt_relay.local.prisjakt_model import PrisjaktModel
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import (
    checks,
    doctor_page,
    logs,
    shop_checks,
    shop_documents,
    shop_page,
    shops,
    stack_checks,
    statistics,
    trial,
)
from prisjakt_relay.operations.finding import Finding, counted, lasting
from prisjakt_relay.operations.stack import Stack, clock
from prisjakt_relay.outcomes import Outcome
from prisjakt_relay.platform_api import PLATFORM_APIS
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.shop import Mode


@pytest.fixture
def model(local_system: LocalSystem) -> PrisjaktModel:
    assert local_system.model is not None
    return local_system.model


def until(look: Callable[[], Finding], right: bool | None) -> Finding:
    """What was sent takes a moment to show."""
    end = time.monotonic() + PATIENCE
    while (finding := look()).right is not right and time.monotonic() < end:
        time.sleep(0.1)
    assert finding.right is right
    return finding


def shop_findings(stack: Stack, name: str) -> dict[str, Finding]:
    _, shop = checks.sections(stack, name)
    return {finding.name: finding for _, finding in checks.run([shop])}


# All of them


@pytest.mark.parametrize("platform", PLATFORM_APIS)
def test_a_shop_that_works_is_right_in_every_line(
    platform: str, stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system, platform)
    deliver(stack, platform, name)
    until(lambda: shop_checks.last_delivery(stack, name, shops.shop(stack, name)), right=True)

    findings = shop_findings(stack, name)

    advice = findings.pop("reconciliation")
    assert [finding for finding in findings.values() if not finding.right] == []
    assert advice.right is None, "nobody has asked for it"
    assert list(findings) == [
        "document",
        "mode",
        "signature",
        "Prisjakt credentials",
        "pixel",
        "snippet",
        "last delivery",
        "refused deliveries",
        "dead orders",
        "reported by others",
    ]


def deliver(stack: Stack, platform: str, name: str, reason: str = "no_click_id") -> None:
    """An order that nobody of Prisjakt's sent, as the shop system sends it."""
    sample = next(
        each
        for each in deliveries.load_all()
        if each.platform == platform and each.name.endswith("no-click-id")
    )
    by = clock().replace(microsecond=0) - deliveries.RECORDED_UNTIL
    body = sample.moved(by, SECRET).body
    address = stack.webhook(platform, name)
    response = posted(address, body, lambda: sample.signed(body, SECRET, clock()))
    assert response.json()["reason"] == reason


def test_the_stack_comes_first_then_every_shop(stack: Stack, local_system: LocalSystem) -> None:
    name = put(local_system)

    sections = checks.sections(stack, None)

    assert [section.shop for section in sections] == [None, *shops.names(stack)]
    assert name in [section.shop for section in sections]


def test_a_shop_that_is_not_there_is_told(stack: Stack) -> None:
    with pytest.raises(SetupError, match="there is no shop nobody in the stack local"):
        checks.sections(stack, "nobody")


def test_a_stack_without_shops_is_told_how_to_make_one(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shops, "names", lambda _: [])

    (_, section) = checks.sections(stack, None)
    ((_, finding),) = checks.run([section])

    assert finding.right is None
    assert f"`{stack.command('shop', 'add', 'SHOP')}`" in finding.remedy


def test_shops_that_may_not_be_listed_are_no_reason_to_give_up(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_: Stack) -> list[str]:
        raise SetupError("these AWS credentials may not do this")

    monkeypatch.setattr(shops, "names", forbidden)

    (_, section) = checks.sections(stack, None)

    ((_, finding),) = checks.run([section])
    assert finding.right is None
    assert finding.found == "not told: these AWS credentials may not do this"


def test_a_check_that_may_not_be_made_does_not_end_the_others() -> None:
    def forbidden() -> list[Finding]:
        raise StorageError("AWS does not answer")

    right = Finding("second", True, "fine")
    section = checks.Section(None, "stack", [("first", forbidden), ("second", lambda: [right])])

    findings = [finding for _, finding in checks.run([section])]

    assert findings == [Finding("first", None, "not told: AWS does not answer"), right]


def test_findings_come_in_the_order_of_the_checks_whatever_takes_longest() -> None:
    def slow() -> list[Finding]:
        time.sleep(0.2)
        return [Finding("slow", True, ""), Finding("slower", True, "")]

    fast = ("fast", lambda: [Finding("fast", True, "")])
    parts = [
        checks.Section(None, "stack", [("slow", slow), fast]),
        checks.Section("a", "shop a", [fast]),
    ]

    found = [(part.title, finding.name) for part, finding in checks.run(parts)]

    assert found == [("stack", "slow"), ("stack", "slower"), ("stack", "fast"), ("shop a", "fast")]


def test_a_defect_of_a_check_is_not_swallowed() -> None:
    def broken() -> list[Finding]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(checks.run([checks.Section(None, "stack", [("broken", broken)])]))


# The stack


@pytest.mark.parametrize(
    ("status", "right"),
    [
        ("CREATE_COMPLETE", True),
        ("UPDATE_COMPLETE", True),
        ("UPDATE_IN_PROGRESS", None),
        ("UPDATE_ROLLBACK_COMPLETE", False),
        ("UPDATE_ROLLBACK_FAILED", False),
    ],
)
def test_the_status_is_that_of_the_last_deployment(
    status: str, right: bool | None, stack: Stack
) -> None:
    finding = stack_checks.status(replace(stack, status=status))

    assert finding.right is right
    assert status in finding.found
    assert right is not False or "--region eu-north-1 --stack-name local`" in finding.remedy


@pytest.mark.parametrize("logical_id", ["ReceiverFunction", "SenderFunction"])
def test_a_function_is_active(logical_id: str, stack: Stack) -> None:
    assert stack_checks.function(stack, "it", logical_id) == [Finding("it", True, "active")]


@pytest.fixture
def emptied(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The stack has lost all its resources."""
    monkeypatch.setattr(stack_checks, "_resources", lambda _: {})
    return stack


def test_what_is_not_in_the_stack_is_gone(emptied: Stack) -> None:
    findings = [
        *stack_checks.function(emptied, "sender", "SenderFunction"),
        stack_checks.queue_to_sender(emptied),
        *stack_checks.alarms(emptied),
        stack_checks.listeners(emptied),
    ]

    assert [finding.right for finding in findings] == [False] * 4
    assert {finding.remedy for finding in findings} == {"deploy the stack again"}


def test_what_somebody_deleted_is_gone(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {"type": "", "id": "00000000-0000-0000-0000-000000000000"}
    monkeypatch.setattr(
        stack_checks, "_resources", lambda _: {"SenderFunction": lost, "SenderEvents": lost}
    )

    (function,) = stack_checks.function(stack, "sender", "SenderFunction")
    mapping = stack_checks.queue_to_sender(stack)

    assert function == Finding("sender", False, f"{lost['id']} is gone", "deploy the stack again")
    assert mapping.right is False
    assert mapping.found == f"{lost['id']} is gone"


def test_shops_that_share_a_pixel_and_a_pattern_are_told_of(
    stack: Stack, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixel_id = str(uuid.uuid4())
    first, second, third = (
        put(local_system, "woocommerce", pixel_id=pixel_id, **changes)
        for changes in ({}, {}, {"order_reference": "C-{id}"})
    )
    looked_at = {first, second, third, "gone-meanwhile"}
    monkeypatch.setattr(shops, "names", lambda _: sorted(looked_at))

    (shared,) = stack_checks.order_references(stack)
    looked_at.remove(first)
    (alone,) = stack_checks.order_references(stack)

    names = sorted([first, second])
    assert shared.right is None
    assert shared.found.startswith(f"{', '.join(names)} share a pixel and a pattern")
    assert f"shop set {names[1]} --order-reference" in shared.remedy
    assert alone == Finding("order references", True, "no two shops share a pixel and a pattern")


class Answering:
    """A client of AWS whose every call has one answer."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def __getattr__(self, _: str) -> Callable[..., dict[str, Any]]:
        return lambda **_: self._answer


@pytest.mark.parametrize(
    ("answer", "right", "found"),
    [
        ({"State": "Failed", "StateReason": "no role"}, False, "failed: no role"),
        (
            {"State": "Active", "LastUpdateStatus": "Failed", "LastUpdateStatusReason": "no key"},
            False,
            "failed: no key",
        ),
        ({"State": "Pending"}, None, "is being made: look again in a minute"),
        ({"State": "Inactive"}, True, "inactive"),
    ],
)
def test_the_state_of_a_function_is_told(
    answer: dict[str, Any],
    right: bool | None,
    found: str,
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resources = {"SenderFunction": {"type": "", "id": "sender"}}
    monkeypatch.setattr(stack_checks, "_resources", lambda _: resources)
    monkeypatch.setattr(Stack, "client", lambda *_: Answering(answer))

    (finding,) = stack_checks.function(stack, "sender", "SenderFunction")

    assert (finding.right, finding.found) == (right, found)


def test_a_queue_that_is_handed_to_nobody_is_wrong(stack: Stack) -> None:
    assert stack_checks.queue_to_sender(stack) == Finding("queue to sender", True, "enabled")
    with without_sender(stack):
        finding = stack_checks.queue_to_sender(stack)

    assert finding.right is False
    assert finding.found == "disabled: orders are queued, but not reported"
    assert f"--uuid {switch(stack, enabled=True)} --enabled" in finding.remedy


def test_orders_that_wait_are_counted(
    stack: Stack, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: stack_checks.waiting(stack), right=True)
    with without_sender(stack):
        list(trial.run(stack, put(local_system), timeout=0.1))
        usual = stack_checks.waiting(stack)
        monkeypatch.setattr(stack_checks, "_waiting_age", lambda _: timedelta(minutes=5))
        slow = stack_checks.waiting(stack)
        monkeypatch.setattr(stack_checks, "_waiting_age", lambda _: timedelta(hours=7))
        stuck = stack_checks.waiting(stack)

    assert [finding.right for finding in (usual, slow, stuck)] == [True, True, False]
    assert "in the queue, none of which had to be put off lately" in usual.found
    assert slow.found.endswith("the longest wait in the last 3 h was 5 min")
    assert stack.outputs["SenderLogGroup"] in stuck.remedy


def test_the_age_of_waiting_orders_is_the_metric_of_the_functions(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {"Datapoints": [{"Maximum": 60.0}, {"Maximum": 90.0}]}
    monkeypatch.setattr(stack_checks, "_messages", lambda *_: 2)
    monkeypatch.setattr(Stack, "client", lambda *_: Answering(points))

    finding = stack_checks.waiting(stack)

    assert finding.found == "2 messages in the queue; the longest wait in the last 3 h was 90 s"
    assert stack_checks.NAMESPACE == telemetry.NAMESPACE
    assert stack_checks.WAITING_AGE == telemetry.WAITING_AGE


def test_dead_letters_are_wrong(stack: Stack) -> None:
    sqs, queue = stack.client("sqs"), stack.outputs["DeadLettersUrl"]
    sqs.purge_queue(QueueUrl=queue)
    none = stack_checks.dead_letters(stack)
    sqs.send_message(QueueUrl=queue, MessageBody="nobody can read this")

    finding = stack_checks.dead_letters(stack)

    sqs.purge_queue(QueueUrl=queue)
    assert none == Finding("dead letters", True, "none")
    assert finding.right is False
    assert finding.found == "1 message that the sender could not work on"
    assert f"`{stack.command('dead', 'list')}`" in finding.remedy


def test_deliveries_that_stopped_are_a_hint_on_aws_only(stack: Stack) -> None:
    """Nobody evaluates the alarms of the local system, where all are without data."""
    (hint,) = (
        each for each in stack_checks.alarms(replace(stack, local_port=None)) if each.right is None
    )

    assert hint.found.startswith("SilenceAlarm has no data")
    assert "`prisjakt-relay webhooks list SHOP --stack local --region eu-north-1`" in hint.remedy
    assert all(each.right is not None for each in stack_checks.alarms(stack))


def test_an_alarm_that_is_raised_says_what_to_do(stack: Stack) -> None:
    cloudwatch = stack.client("cloudwatch")
    (resource,) = stack.client("cloudformation").describe_stack_resources(
        StackName=stack.name, LogicalResourceId="SenderErrorsAlarm"
    )["StackResources"]
    name = resource["PhysicalResourceId"]
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")

    findings = stack_checks.alarms(stack)

    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a test")
    (finding,) = [each for each in findings if each.found.startswith("SenderErrorsAlarm for ")]
    assert finding.right is False
    assert finding.remedy.startswith("The sender crashed three times")
    assert not any("SenderErrors" in each.found for each in stack_checks.alarms(stack))


class Listed:
    """A client of AWS whose pages hold these subscriptions."""

    def __init__(self, *arns: str) -> None:
        self._subscriptions = [{"SubscriptionArn": arn} for arn in arns]

    def get_paginator(self, _: str) -> Listed:
        return self

    def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
        yield {"Subscriptions": self._subscriptions}


@pytest.mark.parametrize(
    ("arns", "right", "found"),
    [
        (["arn:aws:sns:eu-north-1:1:alarms:2"], True, "1 subscriber"),
        (["PendingConfirmation"], False, "nobody hears the alarms: the address has not been"),
        ([], None, "nobody hears the alarms"),
    ],
)
def test_somebody_hears_the_alarms(
    arns: list[str],
    right: bool | None,
    found: str,
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resources = {"AlarmTopic": {"type": "", "id": "arn:aws:sns:eu-north-1:1:alarms"}}
    monkeypatch.setattr(stack_checks, "_resources", lambda _: resources)
    monkeypatch.setattr(Stack, "client", lambda *_: Listed(*arns))

    finding = stack_checks.listeners(stack)

    assert finding.right is right
    assert finding.found.startswith(found)


def test_nobody_hears_the_alarms_of_the_local_system(stack: Stack) -> None:
    finding = stack_checks.listeners(stack)

    assert finding.right is None
    assert "AlarmEmail" in finding.remedy


# The shop document


@pytest.mark.parametrize(
    ("changes", "found", "remedy", "flag"),
    [
        (
            {"pixel_id": "no"},
            "pixel_id: is not a UUID",
            "paste it from Business Center",
            "--pixel-id",
        ),
        (
            {"signing_secrets": None},
            "signing_secrets: is missing",
            "give a list of texts",
            "--signing-secret",
        ),
    ],
)
def test_a_document_that_cannot_be_used_is_the_only_line_of_its_shop(
    changes: dict[str, Any],
    found: str,
    remedy: str,
    flag: str,
    stack: Stack,
    local_system: LocalSystem,
) -> None:
    name = put(local_system, **changes)

    findings = shop_findings(stack, name)

    assert list(findings) == ["document"]
    mend = stack.command("shop", "set", name, flag, "VALUE")
    assert findings["document"] == Finding("document", False, found, f"{remedy}: `{mend}`")


def test_a_field_is_given_by_the_option_that_the_command_has() -> None:
    flags = {field: option.flag for field, option in shop_fields.OPTIONS.items()}

    assert flags == shop_documents.FLAGS


SLOW = ClientError({"Error": {"Code": "ThrottlingException"}}, "GetSecretValue")
FORBIDDEN = ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (SLOW, "not told: AWS did not do it (GetSecretValue: ThrottlingException)"),
        (FORBIDDEN, "not told: these AWS credentials may not do this (GetSecretValue)"),
    ],
)
def test_a_document_that_cannot_be_read_now_is_no_fault_of_it_and_ends_no_other_shop(
    error: ClientError,
    found: str,
    stack: Stack,
    local_system: LocalSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held, free = put(local_system), put(local_system)
    client = stack.client("secretsmanager")
    read = client.get_secret_value

    def refused(**asked: str) -> Any:
        if asked["SecretId"].endswith(held):
            raise error
        return read(**asked)

    client.get_secret_value = refused
    monkeypatch.setattr(shops, "names", lambda _: [held, free])
    with monkeypatch.context() as patch:
        patch.setattr(Stack, "client", lambda *_: client)
        _, one, other = checks.sections(stack, None)
        _, alone = checks.sections(stack, held)

    for section in (one, alone):
        ((_, finding),) = checks.run([section])
        assert (finding.name, finding.right) == ("document", None)
        assert finding.found.startswith(found)
    assert other.shop == free
    assert len(other.checks) > 1


def test_a_shop_that_is_removed_while_doctor_looks_ends_no_other(
    stack: Stack, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shops, "names", lambda _: ["removed-just-now", put(local_system)])

    _, gone, there = checks.sections(stack, None)

    ((_, finding),) = checks.run([gone])
    assert finding.right is None
    assert finding.found.startswith("not told: there is no shop removed-just-now")
    assert len(there.checks) > 1


def test_a_document_that_is_not_json_is_told(stack: Stack, local_system: LocalSystem) -> None:
    name = put(local_system)
    stack.client("secretsmanager").put_secret_value(
        SecretId=shops.secret_id(stack, name), SecretString="{"
    )

    finding = shop_findings(stack, name)["document"]

    assert finding.right is False
    assert "is not JSON" in finding.found
    remove, add = (stack.command("shop", verb, name) for verb in ("remove", "add"))
    assert finding.remedy == f"write one JSON object: `{remove}`, then `{add}`"


def test_a_field_that_nobody_reads_is_told(stack: Stack, local_system: LocalSystem) -> None:
    finding = shop_findings(stack, put(local_system, curency="shop"))["document"]

    assert finding.right is False
    assert finding.found == "has fields that nobody reads: curency"


@pytest.mark.parametrize(("mode", "right"), [("live", True), ("test", None), ("off", None)])
def test_a_mode_that_is_not_live_is_remembered(
    mode: str, right: bool | None, stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system, mode=mode)

    finding = shop_checks.mode(stack, name, shops.shop(stack, name))

    assert finding.right is right
    assert finding.found.startswith(mode)
    live = stack.command("shop", "set", name, "--mode", "live")
    assert right or f"`{live}`" in finding.remedy


# Reachability and signature


@pytest.mark.parametrize("mode", ["live", "off"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_signing_secret_is_tried(
    platform: str, mode: str, stack: Stack, local_system: LocalSystem
) -> None:
    secrets = [PLATFORMS[platform].new_secret(bytes([number]) * 32) for number in range(2)]
    name = put(local_system, platform, mode=mode, signing_secrets=secrets)

    findings = shop_checks.signatures(stack, name, shops.shop(stack, name))

    assert [(each.name, each.right) for each in findings] == [
        ("signature 1 of 2", True),
        ("signature 2 of 2", True),
    ]


def test_a_secret_that_the_function_does_not_have_is_wrong_and_refused_deliveries_show(
    stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system)
    shop = shops.shop(stack, name)
    before = shop_checks.refused(stack, name, shop)
    other = replace(shop, signing_secrets=("another", SECRET))

    wrong, right = shop_checks.signatures(stack, name, other)

    assert before == Finding("refused deliveries", True, "none in 24 h")
    assert (wrong.right, right.right) == (False, True)
    assert wrong.found.startswith("401: ")
    refused = until(lambda: shop_checks.refused(stack, name, shop), right=False)
    assert f"`{stack.command('shop', 'show', name, '--secrets')}`" in refused.remedy
    assert "--renew" not in refused.remedy
    of_woocommerce = shop_checks.refused(stack, name, replace(shop, platform="woocommerce"))
    renew = stack.command("webhooks", "repair", name, "--renew")
    assert f"`{renew}` makes the webhooks anew" in of_woocommerce.remedy


def test_a_clock_that_is_wrong_is_not_taken_for_a_wrong_secret(
    stack: Stack, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = put(local_system)
    line = {"at": datetime.now(UTC) - timedelta(hours=2), "problem": "webhook-timestamp"}
    monkeypatch.setattr(logs, "newest", lambda *_: line)

    finding = shop_checks.refused(stack, name, shops.shop(stack, name))

    assert not finding.right
    assert "rightly signed, but its webhook-timestamp is more than five minutes" in finding.found
    assert finding.found.endswith("or somebody sends a recorded delivery again")
    assert finding.remedy.startswith("set the clock")


def test_an_address_that_is_not_there_is_tried_once(
    stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system, signing_secrets=["one1", "two2"])

    (finding,) = shop_checks.signatures(stack, f"{name}-not", shops.shop(stack, name))

    assert finding.right is False
    assert finding.found.startswith("404: the deployed function knows no shopify shop")


def test_an_answer_that_no_relay_gives_is_wrong(stack: Stack, local_system: LocalSystem) -> None:
    name = put(local_system)
    told = Told(200, json.dumps({"outcome": "queued"}).encode())

    with answering({f"/webhooks/shopify/{name}": told}) as address:
        elsewhere = replace(stack, webhook_address=f"{address}/webhooks")
        (finding,) = shop_checks.signatures(elsewhere, name, shops.shop(stack, name))

    assert (finding.right, finding.found) == (False, "answered queued")


# Prisjakt


def prisjakt(stack: Stack, name: str) -> list[Finding]:
    return shop_checks.prisjakt(stack, name, shops.shop(stack, name))


def test_a_shop_without_credentials_is_told_what_it_misses(
    stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system, prisjakt_client_id=None, prisjakt_client_secret=None)

    (finding,) = prisjakt(stack, name)

    assert finding.right is None
    assert "neither corrected nor read back" in finding.found
    assert "--prisjakt-client-id" in finding.remedy


@pytest.mark.parametrize("auth", ["oauth", "headers"])
def test_credentials_that_prisjakt_refuses_are_wrong(
    auth: str,
    stack: Stack,
    local_system: LocalSystem,
    model: PrisjaktModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = put(local_system, prisjakt_auth=auth)
    monkeypatch.setattr(model, "clients", {})

    (finding,) = prisjakt(stack, name)

    assert finding.right is False
    assert f"Prisjakt does not accept the credentials of shop {name}" in finding.found
    assert f"`prisjakt-relay shop set {name} --prisjakt-client-id" in finding.remedy


def test_a_client_without_the_role_is_wrong(
    stack: Stack, local_system: LocalSystem, model: PrisjaktModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = put(local_system)
    monkeypatch.setattr(model, "roles", {f"client-{name}": {"event_publisher"}})

    credentials, pixel = prisjakt(stack, name)

    assert credentials.right is False
    assert credentials.found.endswith("lacks the role shop_user (roles: event_publisher)")
    assert pixel.right is False


def test_a_disabled_pixel_is_wrong(
    stack: Stack, local_system: LocalSystem, model: PrisjaktModel
) -> None:
    name = put(local_system)
    pixel_id = shops.shop(stack, name).pixel_id
    model.disabled_pixels.add(pixel_id)

    credentials, pixel = prisjakt(stack, name)

    assert credentials.right
    assert pixel.right is False
    assert pixel.found == f"{pixel_id} is disabled: Prisjakt takes no purchases"
    assert "Business Center" in pixel.remedy


def test_a_pixel_that_prisjakt_does_not_have_is_wrong(
    stack: Stack, local_system: LocalSystem, model: PrisjaktModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = put(local_system)
    monkeypatch.setattr(model, "any_pixel", False)

    _, pixel = prisjakt(stack, name)

    assert pixel.right is False
    assert pixel.found == f"Prisjakt has no pixel {shops.shop(stack, name).pixel_id}"
    assert "is the id right" in pixel.remedy


def test_a_prisjakt_that_does_not_answer_is_no_fault_of_the_shop(
    stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system)
    nowhere = {"PrisjaktUrl": "http://127.0.0.1:9", "PrisjaktTokenUrl": "http://127.0.0.1:9"}
    elsewhere = replace(stack, parameters={**stack.parameters, **nowhere})

    findings = prisjakt(elsewhere, name)

    assert [finding.right for finding in findings] == [None, None]


# The snippet


def looked(answers: dict[str, Told], path: str = "/", platform: str = "woocommerce") -> Finding:
    with answering(answers) as address:
        return shop_page.look(address + path, platform, "prisjakt-relay snippet my-shop")


LIQUID = (project.root() / "snippet/shopify/prisjakt-relay.liquid").read_bytes()
CAPTURE = next((project.root() / "snippet/dist").glob("capture-*.js")).read_bytes()


@pytest.mark.parametrize(
    ("platform", "body", "found"),
    [
        ("shopify", LIQUID, "(inline)"),
        ("woocommerce", b"<script>" + CAPTURE + b"</script>", "(inline)"),
        ("woocommerce", b'<script src="/js/capture-1.0.0.js">', "(capture-1.0.0.js)"),
        (
            "woocommerce",
            b'<script src="/wp-content/plugins/prisjakt-relay/assets/capture.js?ver=1.0.0">',
            "the plug-in's script is on",
        ),
        (
            "shopify",
            b'<script src="/shopify-1.0.0.js"></script><script src="/capture-1.0.0.js">',
            "(capture-1.0.0.js)",
        ),
    ],
)
def test_the_snippet_is_found_however_it_got_there(platform: str, body: bytes, found: str) -> None:
    finding = looked({"/": Told(200, body)}, platform=platform)

    assert finding.right is True
    assert found in finding.found


def test_a_page_without_the_snippet_is_wrong() -> None:
    finding = looked({"/": Told(200, b"<html>pjpixel and capture.js</html>")})

    assert finding.right is False
    assert "`prisjakt-relay snippet my-shop`" in finding.remedy


def test_half_of_shopifys_snippet_is_wrong() -> None:
    body = b"<script>" + CAPTURE + b"</script>"

    finding = looked({"/": Told(200, body)}, platform="shopify")

    assert finding.right is False
    assert "without the part that writes the click id to the cart" in finding.found


def test_redirects_are_followed_to_the_page() -> None:
    answers = {
        "/": Told(301, b"", {"location": "/sv"}),
        "/sv": Told(302, b"", {"location": "/sv/?a=b"}),
        "/sv/": Told(200, b"capture-1.0.0.js"),
    }

    finding = looked(answers, path="/?secret=1")

    assert finding.right is True
    assert "/sv/ (capture-1.0.0.js)" in finding.found


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (Told(302, b"", {"location": "/password"}), "/password asks for the store's password"),
        (Told(302, b"", {"location": "/"}), "redirects more than 5 times"),
        (Told(302, b"", {"location": "http://shop.example/"}), "http://shop.example/ is no https"),
        (Told(302, b"", {"location": "file:///etc/passwd"}), "is no https address"),
        (Told(302, b"", {"location": "https://[half/"}), "is no https address"),
        (Told(403, b"capture-1.0.0.js"), "is not shown to programs (403)"),
        (Told(503), "is not shown to programs (503)"),
        (Told(404), "answered 404"),
        (Told(500), "answered 500"),
        (Told(304), "answered 304"),
        (Told(0), "127.0.0.1 broke off"),
    ],
)
def test_a_page_that_cannot_be_read_is_not_told(told: Told, found: str) -> None:
    finding = looked({"/": told, "/password": Told(200, b"<form>")})

    assert finding.right is None
    assert found in finding.found
    assert finding.remedy


def test_no_more_of_a_page_is_read_than_a_page_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop_page, "LIMIT", 1_000)

    finding = looked({"/": Told(200, b" " * 1_000 + b"capture-1.0.0.js")})

    assert finding.right is False


def test_an_address_that_is_none_is_not_told() -> None:
    assert shop_page.look("shop.example", "shopify", "my-shop").right is None


def test_a_shop_without_a_domain_is_told_to_name_a_page(
    stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system)
    deployed = replace(stack, local_port=None)

    finding = shop_checks.snippet(deployed, name, shops.shop(stack, name), None)

    assert finding.right is None
    assert "--page" in finding.remedy


def test_the_front_page_is_that_of_the_domain(
    stack: Stack, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = put(local_system, domain="shop.example")
    shop, looked_at = shops.shop(stack, name), []
    monkeypatch.setattr(shop_page, "look", lambda *given: looked_at.append(given))

    shop_checks.snippet(replace(stack, local_port=None), name, shop, None)
    shop_checks.snippet(stack, name, shop, "https://www.shop.example/sv")

    assert looked_at == [
        ("https://shop.example/", "shopify", f"prisjakt-relay snippet {name} --stack local"),
        ("https://www.shop.example/sv", "shopify", stack.command("snippet", name)),
    ]


# What came of late


@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.OFF])
def test_what_test_and_doctor_send_is_no_delivery_of_the_shops(
    mode: Mode, stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system, mode=mode)
    shop = shops.shop(stack, name)
    list(trial.run(stack, name))
    shop_checks.signatures(stack, name, shop)
    shop_checks.signatures(stack, name, shop)
    since = clock() - timedelta(hours=1)
    until(
        lambda: Finding(
            "", len(logs.recent(stack, {"shop": name}, since, most=10)) >= 2, "both are there"
        ),
        right=True,
    )

    finding = shop_checks.last_delivery(stack, name, shop)
    report = statistics.read(stack, name, since, clock() + timedelta(minutes=1))

    assert finding.found == "none in 7 days"
    assert stack.webhook("shopify", name) in finding.remedy
    assert report.ignored_since is not None
    assert report.ignored == ()


def test_a_shop_that_names_itself_otherwise_than_its_document_is_wrong(
    stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system, domain="shop.example")
    shop = shops.shop(stack, name)
    deliver(stack, "shopify", name, reason="source")

    finding = until(lambda: shop_checks.last_delivery(stack, name, shop), right=False)

    assert finding.found.endswith(
        " ago (source), and not reported: it names another store than shop.example"
    )
    assert "--domain STORE.myshopify.com" in finding.remedy


QUEUED = {"outcome": "queued", "order_id": "1"}
UNREADABLE = {"outcome": "ignored", "reason": "unreadable", "problem": "code: is there"}
FOREIGN = {"outcome": "ignored", "reason": "source", "problem": "domain", "order_id": "1"}
EXCLUDED = {"outcome": "ignored", "reason": "source", "problem": None, "order_id": "1"}
PING = {"outcome": "ignored", "reason": "ping"}
NOTIFICATION = {"outcome": "ignored", "reason": "test_delivery", "order_id": "820982911946154508"}


@pytest.mark.parametrize(
    ("newest_first", "right", "found"),
    [
        ([QUEUED, FOREIGN, UNREADABLE], True, "0 s ago (queued)"),
        ([EXCLUDED], True, "0 s ago (source)"),
        ([PING], True, "0 s ago (ping)"),
        ([NOTIFICATION, QUEUED], True, "0 s ago (test_delivery)"),
        ([NOTIFICATION, PING, FOREIGN, QUEUED], False, "it names another store than shop.example"),
        ([UNREADABLE, QUEUED], False, "0 s ago (unreadable), and not reported: code: is there"),
    ],
)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_last_order_tells_whether_orders_get_lost(
    platform: str,
    newest_first: list[dict[str, Any]],
    right: bool,
    found: str,
    stack: Stack,
    local_system: LocalSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = shops.shop(stack, put(local_system, platform, domain="shop.example"))
    lines = [line | {"at": clock()} for line in newest_first]
    monkeypatch.setattr(logs, "recent", lambda *_, **__: lines)

    finding = shop_checks.last_delivery(stack, "my-shop", shop)

    assert finding.right is right
    assert finding.found.endswith(found)
    assert bool(finding.remedy) is not right


@pytest.mark.parametrize(
    ("mode", "kept", "last", "right", "found"),
    [
        (Mode.LIVE, 30, 12, False, "none in 7 days: the last one 12 d ago"),
        (Mode.TEST, 30, 12, None, "none in 7 days: the last one 12 d ago"),
        (Mode.LIVE, 30, None, None, "none in 7 days"),
        (Mode.LIVE, 5, 12, None, "none in 7 days"),
    ],
)
def test_silence_is_wrong_where_there_were_deliveries_before(
    mode: Mode,
    kept: int,
    last: int | None,
    right: bool | None,
    found: str,
    stack: Stack,
    local_system: LocalSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    briefly = replace(stack, parameters={**stack.parameters, "LogRetentionDays": str(kept)})
    shop = shops.shop(stack, put(local_system, mode=mode))
    at = None if last is None else clock() - timedelta(days=last)

    def recent(_: Stack, __: object, since: datetime, *, most: int) -> list[dict[str, Any]]:
        return [QUEUED | {"at": at}][:most] if at is not None and since <= at else []

    monkeypatch.setattr(logs, "recent", recent)

    finding = shop_checks.last_delivery(briefly, "my-shop", shop)

    assert (finding.right, finding.found) == (right, found)
    assert finding.remedy.startswith("look at the shop's webhooks: ")


def test_a_shop_in_test_mode_need_not_have_sent_anything(
    stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system, "woocommerce", mode=Mode.TEST)

    finding = shop_checks.last_delivery(stack, name, shops.shop(stack, name))

    assert finding.right is None
    assert "Order updated, Order created, active" in finding.remedy


def test_dead_orders_are_wrong(stack: Stack, local_system: LocalSystem) -> None:
    name = put(local_system)
    none = shop_checks.dead(stack, name)
    with spoilt(local_system, shops.shop(stack, name).pixel_id, kind="status", status=400):
        list(trial.run(stack, name))

    finding = shop_checks.dead(stack, name)

    assert none == Finding("dead orders", True, "none")
    assert finding.right is False
    assert finding.found == "1 order will not be reported without help"
    assert finding.remedy == f"`{stack.command('dead', 'list', name)}` says why"


def test_orders_that_prisjakt_had_already_are_wrong(
    stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system)
    pixel_id = shops.shop(stack, name).pixel_id
    with spoilt(local_system, pixel_id, kind="status", status=409, times=3):
        for _ in range(3):
            list(trial.run(stack, name))

    finding = until(lambda: shop_checks.already_there(stack, name), right=False)

    assert finding.found == "3 orders in 7 days (100%) were at Prisjakt already"
    assert "browser pixel" in finding.remedy
    assert "order_reference" in finding.remedy


@pytest.mark.parametrize(
    ("others", "ours", "right", "found"),
    [
        (0, 0, True, "none in 7 days"),
        (1, 0, True, "1 order in 7 days"),
        (2, 0, True, "2 orders in 7 days"),
        (3, 56, False, "3 orders in 7 days (5%) were at Prisjakt already"),
        (3, 57, True, "3 orders in 7 days, not more than 5%"),
        (10, 100_000, True, "10 orders in 7 days, not more than 5%"),
    ],
)
def test_a_few_orders_of_others_are_chance(
    others: int,
    ours: int,
    right: bool,
    found: str,
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = {Outcome.ALREADY_AT_PRISJAKT: others, Outcome.REPORTED: ours}

    def lines(_: Stack, fields: dict[str, Any], *__: datetime, **___: Any) -> Iterator[Any]:
        yield from ({} for _ in range(numbers[fields["message"]]))

    monkeypatch.setattr(logs, "lines", lines)

    finding = shop_checks.already_there(stack, "my-shop")

    assert (finding.right, finding.found) == (right, found)


# Words and the page


def test_figures_are_told_in_words() -> None:
    assert [counted(n, "order") for n in (0, 1, 2000)] == ["0 orders", "1 order", "2,000 orders"]
    assert counted(2, "shop system credentials") == "2 shop system credentials"
    assert [
        lasting(timedelta(**each))
        for each in (
            {"seconds": -1},
            {"seconds": 119},
            {"minutes": 119},
            {"hours": 47},
            {"days": 3},
        )
    ] == ["0 s", "119 s", "119 min", "47 h", "3 d"]


def test_the_page_has_the_same_lines_and_is_escaped(stack: Stack) -> None:
    findings = [
        Finding("mode", True, "live"),
        Finding("pixel", False, "<b>off</b>", "run `prisjakt-relay shop set a` & look"),
        Finding("snippet", None, "not looked for"),
    ]

    page = doctor_page.page(stack, "a", [("shop a", findings)], datetime(2026, 11, 21, tzinfo=UTC))

    assert "<title>Something is not as it should be</title>" in page
    assert '<li class="wrong">\n<b>pixel</b> &lt;b&gt;off&lt;/b&gt;' in page
    assert "run <code>prisjakt-relay shop set a</code> &amp; look" in page
    lines = page.partition("<main>")[2]
    assert lines.count('<p class="remedy">') == 1
    assert lines.count("<li class=") == 3
    assert "2026-11-21 00:00 UTC" in page
    assert "All is as it should be" in doctor_page.page(stack, None, [], clock())
