"""Runs receiver and sender on recorded deliveries, and says what each invocation costs."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.benchmark import surroundings
from tests.benchmark.counting import (
    HTTP_UNIT,
    STORAGE_OVERHEAD,
    CountingAws,
    CountingPrisjakt,
    Course,
    Index,
    Model,
    Step,
    carried,
    item_size,
    log_bytes,
    metrics_in,
    observe,
    units,
)
from tests.benchmark.deliveries import SIGNATURE, signature, sqs_record, todays_event
from tests.benchmark.prices import Item
from tests.benchmark.runtime_api import Function, Runtime, WrongAnswerError
from tests.benchmark.spending import (
    ANSWER_HEAD,
    COMPRESSED,
    DYNAMODB_SECONDS,
    GB,
    MOST_RECEIVED,
    PRISJAKT_SECONDS,
    SECRETS_SECONDS,
    SQS_SECONDS,
    Design,
    Invocation,
    Machine,
    Spent,
    plus,
    times,
)
from tests.benchmark.surroundings import LEDGER, SHOP, SHOPIFY, secret_name

RECORDED_ORDER: Final = "6204817342681"
LIFE: Final = {
    "create": "orders-create-paid",
    "paid": "orders-paid-same-order",
    "refund": "orders-updated-partial-refund",
}
DELIVERIES: Final = {"plain": "orders-create-no-click-id", **LIFE}
BATCHES: Final = (10, 100)
WARM_UP: Final = 5


def delivery(name: str, number: int, minute: int, secret: str) -> dict[str, Any]:
    """The recorded delivery for the order of this number, changed so many minutes after it."""
    event = todays_event(SHOPIFY / name, SHOP, secret)
    today = json.loads(event["body"])["created_at"]
    made = datetime.now(UTC) - timedelta(minutes=30)
    order = str(int(RECORDED_ORDER) + number)
    changed = _moment(made + timedelta(minutes=minute))
    body = event["body"].replace(RECORDED_ORDER, order).replace(today, _moment(made))
    body = body.replace(f'"updated_at":"{_moment(made)}"', f'"updated_at":"{changed}"')
    headers = {
        **event["headers"],
        SIGNATURE: signature(body.encode(), secret),
        "x-shopify-order-id": order,
        "content-length": str(len(body.encode())),
    }
    return {**event, "body": body, "headers": headers}


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def sqs_event(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    now = time.time()
    records = [
        sqs_record(
            message["MessageBody"],
            message_id=f"00000000-0000-4000-8000-{number:012}",
            receipt="A" * 400,
            sent_at=now,
            received_at=now,
            group=message.get("MessageGroupId", ""),
        )
        for number, message in enumerate(messages)
    ]
    return {"Records": records}


def access_line(form: str) -> str:
    """A line of the HTTP API's access log, filled in as for a delivery that went well."""
    filled = {
        "requestId": "Bq3XkhYcFiAEMxw=",
        "routeKey": "POST /webhooks/{platform}/{shop}",
        "path": f"/webhooks/shopify/{SHOP}",
        "status": "200",
        "responseLatency": "12",
    }
    return re.sub(r"\$context\.([\w.]+)", lambda found: filled.get(found[1], "-"), form)


# Measuring one design


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to run, and how it is deployed."""

    name: str
    receiver: tuple[str, Path]  # handler, artifact
    sender: tuple[str, Path]
    machines: Mapping[str, Machine]  # of receiver and sender
    document: Mapping[str, Any]
    model: Model
    indexes: Sequence[Index]
    variables: Mapping[str, Mapping[str, str]]  # of receiver and sender
    platform_lines: tuple[str, ...]  # that Lambda itself logs for each invocation,
    api_lines: tuple[str, ...]  # and the HTTP API for each request
    pollers: int
    document_kept: float
    traced: bool


def measure(plan: Plan, runtime: Runtime, orders: int) -> Design:
    """Run receiver and sender on the lives of so many orders."""
    secrets = {secret_name(): json.dumps(plan.document)}
    with (
        CountingPrisjakt() as prisjakt,
        CountingAws(secrets, LEDGER, plan.model, plan.indexes) as aws,
    ):
        environment = surroundings.environment(
            aws=aws.url,
            queue=aws.queue_url,
            prisjakt=prisjakt.url,
            tokens=prisjakt.token_url,
            allowance=1_000_000,  # a run is quicker than any month
        )

        def function(part: str, code: tuple[str, Path]) -> Function:
            named = {"POWERTOOLS_SERVICE_NAME": part}
            return Function(*code, {**plan.variables[part], **named, **environment})

        secret = plan.document["signing_secrets"][0]
        to_receive = [
            (kind, partial(delivery, name, number, minute, secret))
            for number in range(orders)
            for minute, (kind, name) in enumerate(DELIVERIES.items())
        ]
        receiving = observe(
            function("receiver", plan.receiver),
            runtime,
            aws,
            prisjakt,
            [make for _, make in to_receive],
        )
        _check(plan.name, receiving, lambda answer: answer["statusCode"] == 200)
        messages = _messages(aws.sent, orders)

        to_send = [
            *(
                (kind, partial(sqs_event, [messages[kind][n]]))
                for n in range(orders)
                for kind in LIFE
            ),
            *(
                (str(size), partial(sqs_event, _copies(messages["create"][0], size, size * turn)))
                for size in BATCHES
                for turn in range(1, 4)
            ),
        ]
        sending = observe(
            function("sender", plan.sender), runtime, aws, prisjakt, [make for _, make in to_send]
        )
        _check(plan.name, sending, lambda answer: not answer["batchItemFailures"])
        stored = [item for item in plan.model.items.values() if "status" in item]
    from_queue = partial(_received_from_queue, message=messages["create"][0])
    received = _invocations(
        plan, "receiver", [kind for kind, _ in to_receive], receiving, _received_over_http
    )
    sent = _invocations(plan, "sender", [kind for kind, _ in to_send], sending, from_queue)
    return Design(
        name=plan.name,
        received=received,
        sent=sent,
        cold_receiver=_cold(plan, "receiver", receiving, "plain", received, _received_over_http),
        cold_sender=_cold(plan, "sender", sending, "create", sent, from_queue),
        machines=plan.machines,
        pollers=plan.pollers,
        document_kept=plan.document_kept,
        traced=plan.traced,
        stored=statistics.fmean(item_size(item) + STORAGE_OVERHEAD for item in stored),
        indexed=statistics.fmean(
            sum(
                item_size(entry) + STORAGE_OVERHEAD
                for index in plan.indexes
                if (entry := index.entry(item)) is not None
            )
            for item in stored
        ),
    )


def _check(name: str, course: Course, right: Callable[[Any], bool]) -> None:
    for step in course.steps:
        if not right(step.response):
            raise WrongAnswerError(f"{name}: {step.response}\n" + "\n".join(step.lines))


def _messages(sent: Sequence[Mapping[str, Any]], orders: int) -> dict[str, list[Mapping[str, Any]]]:
    """What the receiver queued, by the step of the order's life; the closing event queued again."""
    if len(sent) != len(LIFE) * orders + 1:
        raise WrongAnswerError(f"{len(sent)} messages for {orders} orders of {len(LIFE)} steps")
    return {
        kind: [sent[number * len(LIFE) + n] for number in range(orders)]
        for n, kind in enumerate(LIFE)
    }


def _copies(message: Mapping[str, Any], count: int, first: int) -> list[Mapping[str, Any]]:
    """The same purchase for other orders."""
    return [
        {**message, "MessageBody": message["MessageBody"].replace(RECORDED_ORDER, str(number))}
        for number in range(10**12 + first * 10**4, 10**12 + first * 10**4 + count)
    ]


def _received_over_http(kind: str, step: Step) -> Spent:
    answer = len(step.response["body"].encode()) + ANSWER_HEAD
    body = (SHOPIFY / f"{DELIVERIES[kind]}.body").stat().st_size
    return {
        ("HTTP API", Item.HTTP_REQUEST): units(body, HTTP_UNIT),
        ("answers", Item.DATA_OUT): answer / GB,
    }


def _received_from_queue(kind: str, step: Step, *, message: Mapping[str, Any]) -> Spent:
    """Received and deleted in as few requests as SQS allows; and what was sent to Prisjakt."""
    size = int(kind) if kind.isdigit() else 1
    batches = [min(MOST_RECEIVED, size - start) for start in range(0, size, MOST_RECEIVED)]
    reported = sum(bytes_sent for _, _, bytes_sent in step.reports)
    return plus(
        *(carried("queue: receive", [message] * batch) for batch in batches),
        times(len(batches), carried("queue: delete", [{**message, "MessageBody": ""}])),
        {("reports", Item.DATA_OUT): reported / GB},
    )


def waits(step: Step) -> float:
    calls = step.books.calls
    return (
        calls["sqs"] * SQS_SECONDS
        + calls["dynamodb"] * DYNAMODB_SECONDS
        + calls["secretsmanager"] * SECRETS_SECONDS
        + len(step.reports) * PRISJAKT_SECONDS
    )


def logged(cause: str, size: float) -> Spent:
    """Taken in, and kept for a month."""
    return {
        (cause, Item.LOG_INGESTED): size / GB,
        (cause, Item.LOG_STORED): size * COMPRESSED / GB,
    }


def _invocations(
    plan: Plan,
    function: str,
    kinds: Sequence[str],
    course: Course,
    around: Callable[[str, Step], Spent],
) -> dict[str, Invocation]:
    by_kind: dict[str, list[Step]] = {}
    for kind, step in list(zip(kinds, course.steps, strict=True))[WARM_UP:]:
        by_kind.setdefault(kind, []).append(step)
    return {
        kind: _invocation(plan, function, steps, [around(kind, step) for step in steps])
        for kind, steps in by_kind.items()
    }


def _invocation(
    plan: Plan, function: str, steps: Sequence[Step], around: Sequence[Spent]
) -> Invocation:
    cpu = statistics.median(step.cpu for step in steps)
    seconds = plan.machines[function].seconds(cpu, statistics.fmean(map(waits, steps)))
    own = statistics.fmean(step.log_bytes for step in steps)
    api_lines = plan.api_lines if function == "receiver" else ()
    counted = plus(*(step.books.usage for step in steps), *around)
    spent = plus(
        {(f"{function}: requests", Item.LAMBDA_REQUEST): 1},
        plan.machines[function].spent(function, seconds),
        logged(f"{function}: own log lines", own),
        logged("Lambda's own log lines", log_bytes(plan.platform_lines)),
        logged("access log", log_bytes(api_lines)),
        times(1 / len(steps), counted),
    )
    return Invocation(
        spent=_without_nothing(spent),
        seconds=seconds,
        cpu=cpu,
        log_bytes=own,
        metrics=frozenset().union(*(metrics_in(step.lines) for step in steps)),
    )


def _cold(
    plan: Plan,
    function: str,
    course: Course,
    kind: str,
    warm: Mapping[str, Invocation],
    around: Callable[[str, Step], Spent],
) -> Spent:
    """What the first invocation of a process costs beyond a warm one of its kind: its start, and
    whatever it does that the later ones need not do again."""
    first = course.steps[0]
    started = replace(first, cpu=course.init + first.cpu)
    whole = _invocation(plan, function, [started], [around(kind, first)]).spent
    return _without_nothing(plus(whole, times(-1, warm[kind].spent)))


def _without_nothing(spent: Spent) -> Spent:
    return {line: amount for line, amount in spent.items() if amount}
