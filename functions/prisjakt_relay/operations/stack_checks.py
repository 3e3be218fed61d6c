"""The checks of `doctor` that concern the whole stack, whatever its shops."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

from botocore.exceptions import ClientError

from prisjakt_relay.operations import queue_messages, shops
from prisjakt_relay.operations.finding import Check, Finding, counted, lasting
from prisjakt_relay.operations.stack import Stack, clock
from prisjakt_relay.shop import Shop

# As in telemetry.py, whose logger the command line does without.
NAMESPACE: Final = "PrisjaktRelay"
WAITING_AGE: Final = "WaitingAge"

_DEPLOY: Final = "deploy the stack again"
_LOOKED_BACK: Final = timedelta(hours=3)
_TOO_LONG: Final = timedelta(hours=6)  # as the alarm has it


def checks(stack: Stack) -> list[tuple[str, Check]]:
    """In the order in which an order travels."""
    return [
        ("status", lambda: [status(stack)]),
        ("receiver", partial(function, stack, "receiver", "ReceiverFunction")),
        ("sender", partial(function, stack, "sender", "SenderFunction")),
        ("reconciler", partial(function, stack, "reconciler", "ReconcilerFunction")),
        ("queue to sender", lambda: [queue_to_sender(stack)]),
        ("waiting orders", lambda: [waiting(stack)]),
        ("dead letters", lambda: [dead_letters(stack)]),
        ("alarms", lambda: alarms(stack)),
        ("alarm e-mail", lambda: [listeners(stack)]),
        ("order references", lambda: order_references(stack)),
    ]


def status(stack: Stack) -> Finding:
    """What CloudFormation says of the last deployment."""
    if stack.status.endswith(("ROLLBACK_COMPLETE", "FAILED")):
        return Finding(
            "status",
            False,
            f"{stack.status}: the last deployment failed",
            f"`aws cloudformation describe-stack-events --region {stack.region} "
            f"--stack-name {stack.name}` says why; then {_DEPLOY}",
        )
    if stack.status.endswith("IN_PROGRESS"):
        return Finding("status", None, f"{stack.status}: look again when that is done")
    return Finding("status", True, stack.status)


def function(stack: Stack, name: str, logical_id: str) -> list[Finding]:
    """Whether a function is there, and ready."""
    found = _resources(stack).get(logical_id)
    if found is None:
        return [_missing(name, logical_id)]
    try:
        answer = stack.client("lambda").get_function_configuration(FunctionName=found["id"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return [_missing(name, found["id"])]
    if "Failed" in (answer.get("State"), answer.get("LastUpdateStatus")):
        reason = answer.get("StateReason") or answer.get("LastUpdateStatusReason") or "no reason"
        return [Finding(name, False, f"failed: {reason}", _DEPLOY)]
    state = str(answer.get("State", "there"))
    if state == "Pending":
        return [Finding(name, None, "is being made: look again in a minute")]
    return [Finding(name, True, state.lower())]


def _missing(name: str, what: str) -> Finding:
    return Finding(name, False, f"{what} is gone", _DEPLOY)


def queue_to_sender(stack: Stack) -> Finding:
    """Whether AWS hands the queue's messages to the sender."""
    name = "queue to sender"
    mapping = _resources(stack).get("SenderEvents")
    if mapping is None:
        return _missing(name, "SenderEvents")
    try:
        answer = stack.client("lambda").get_event_source_mapping(UUID=mapping["id"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return _missing(name, mapping["id"])
    state = str(answer["State"])
    if state == "Enabled":
        return Finding(name, True, "enabled")
    if state.startswith("Disabl"):
        return Finding(
            name,
            False,
            f"{state.lower()}: orders are queued, but not reported",
            f"`aws lambda update-event-source-mapping --region {stack.region} "
            f"--uuid {mapping['id']} --enabled`",
        )
    return Finding(name, None, f"{state.lower()}: look again in a minute")


def waiting(stack: Stack) -> Finding:
    """Orders on their way, and how long the slowest of late has waited."""
    number = _messages(stack, stack.outputs["QueueUrl"])
    if not number:
        return Finding("waiting orders", True, "none")
    found = f"{counted(number, 'message')} in the queue"
    age = _waiting_age(stack)
    if age is None:
        return Finding("waiting orders", True, f"{found}, none of which had to be put off lately")
    found += f"; the longest wait in the last 3 h was {lasting(age)}"
    if age < _TOO_LONG:
        return Finding("waiting orders", True, found)
    return Finding(
        "waiting orders",
        False,
        found,
        f'the lines with "waiting" in the log {stack.outputs["SenderLogGroup"]} say for what '
        "(`cause`), and which shop's they are",
    )


def _waiting_age(stack: Stack) -> timedelta | None:
    now = clock()
    answer = stack.client("cloudwatch").get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName=WAITING_AGE,
        Dimensions=[{"Name": "stack", "Value": stack.name}],
        StartTime=now - _LOOKED_BACK,
        EndTime=now,
        Period=300,
        Statistics=["Maximum"],
    )
    ages = [point["Maximum"] for point in answer["Datapoints"]]
    return timedelta(seconds=max(ages)) if ages else None


def dead_letters(stack: Stack) -> Finding:
    """What crashed the sender, or what nobody can read."""
    number = _messages(stack, stack.outputs["DeadLettersUrl"])
    if not number:
        return Finding("dead letters", True, "none")
    return Finding(
        "dead letters",
        False,
        f"{counted(number, 'message')} that the sender could not work on",
        f"`{stack.command('dead', 'list')}` shows them, "
        f"`{stack.command('dead', 'resend')}` puts the readable ones back",
    )


def _messages(stack: Stack, queue: str) -> int:
    answer = stack.client("sqs").get_queue_attributes(
        QueueUrl=queue, AttributeNames=queue_messages.COUNTS
    )
    return queue_messages.number(answer)


def alarms(stack: Stack) -> list[Finding]:
    """Every alarm that is raised; its description says what to do."""
    names = {
        found["id"]: logical_id
        for logical_id, found in _resources(stack).items()
        if found["type"] == "AWS::CloudWatch::Alarm"
    }
    if not names:
        return [Finding("alarms", False, "the stack has none", _DEPLOY)]
    answer = stack.client("cloudwatch").describe_alarms(AlarmNames=sorted(names), MaxRecords=100)
    raised = [alarm for alarm in answer["MetricAlarms"] if alarm["StateValue"] == "ALARM"]
    silent = [
        _silent(alarm, names[alarm["AlarmName"]])
        for alarm in answer["MetricAlarms"]
        if alarm["StateValue"] == "INSUFFICIENT_DATA"
        and alarm.get("InsufficientDataActions")
        and stack.local_port is None  # where nobody evaluates them
    ]
    if not raised:
        return [Finding("alarms", True, f"none of {len(names)} is raised"), *silent]
    return [*(_raised(alarm, names[alarm["AlarmName"]]) for alarm in raised), *silent]


def _raised(alarm: Mapping[str, Any], logical_id: str) -> Finding:
    since = clock() - alarm["StateUpdatedTimestamp"]
    return Finding(
        "alarms",
        False,
        f"{logical_id} for {lasting(since)}",
        str(alarm.get("AlarmDescription", "")) or "look at its metric",
    )


def _silent(alarm: Mapping[str, Any], logical_id: str) -> Finding:
    """To CloudWatch, what stopped and what never began are the same."""
    return Finding(
        "alarms",
        None,
        f"{logical_id} has no data: deliveries have stopped, or none has come yet",
        str(alarm.get("AlarmDescription", "")) or "look at its metric",
    )


def listeners(stack: Stack) -> Finding:
    """Whether somebody hears the alarms."""
    name = "alarm e-mail"
    topic = _resources(stack).get("AlarmTopic")
    if topic is None:
        return _missing(name, "AlarmTopic")
    pages = stack.client("sns").get_paginator("list_subscriptions_by_topic")
    states = [
        str(subscription["SubscriptionArn"])
        for page in pages.paginate(TopicArn=topic["id"])
        for subscription in page["Subscriptions"]
    ]
    confirmed = sum(state.startswith("arn:") for state in states)
    if confirmed:
        return Finding(name, True, f"{counted(confirmed, 'subscriber')}")
    if states:
        return Finding(
            name,
            False,
            "nobody hears the alarms: the address has not been confirmed",
            "follow the link in the message that AWS sent there; deploy again for another one",
        )
    return Finding(
        name, None, "nobody hears the alarms", "deploy with the parameter AlarmEmail=ADDRESS"
    )


def order_references(stack: Stack) -> list[Finding]:
    """Shops whose orders Prisjakt may take for one another's."""
    spaces: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for name, shop in shops.each(stack):
        if isinstance(shop, Shop):
            spaces[shops.reference_space(shop)].append(name)
    sharing = [names for names in spaces.values() if len(names) > 1]
    if not sharing:
        return [Finding("order references", True, "no two shops share a pixel and a pattern")]
    return [_shared(stack, names) for names in sharing]


def _shared(stack: Stack, names: list[str]) -> Finding:
    last = names[-1]
    change = stack.command("shop", "set", last, "--order-reference", f"{last}-{{id}}")
    return Finding(
        "order references",
        None,
        f"{', '.join(names)} share a pixel and a pattern: to Prisjakt, orders of the same "
        "reference are one",
        f"give each a pattern of its own: `{change}`",
    )


def _resources(stack: Stack) -> dict[str, dict[str, str]]:
    """Type and physical id, by logical id."""
    return {
        resource["LogicalResourceId"]: {
            "type": resource["ResourceType"],
            "id": resource.get("PhysicalResourceId", ""),
        }
        for resource in stack.resources
    }
