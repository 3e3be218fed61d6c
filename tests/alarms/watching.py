"""What CloudWatch would measure of the local system.

- The relay's own metrics are those of its log lines, at the moment that each line says.
- `AWS/Lambda`: the runtime's own records, of which each invocation leaves a REPORT line with its
  `Duration`. Other than on AWS, that includes what a cold start takes to begin, so that slowness is
  over- rather than underestimated. An invocation counts as one of the `Errors` if there is a
  traceback in its log, or not one line of the relay's own: each that is not crashed writes one.
- `AWS/ApiGateway`: one sample of `Count`, `4xx` and `5xx` for each answer that a sender of webhooks
  got, whether this test or a simulated shop.
- `AWS/SQS`: the queues' own attributes, at the end of each act.

What happens within an act can be moved to another time of the day, with all its samples.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import pytest
import urllib3
from tests.alarms.deployed import WITH_ALL_ALARMS, Resolver, alarms
from tests.alarms.evaluation import HOUR, Alarm, Metric, Sample, speaking
from tests.benchmark.template import Stack as Template
from tests.conftest import PATIENCE

from prisjakt_relay.local.aws import REGION, STACK
from prisjakt_relay.local.shop_systems import Heard
from prisjakt_relay.local.system import Line, LocalSystem, parsed_line

FUNCTIONS: Final = ("Receiver", "Sender", "Reconciler")
_REPORT: Final = re.compile(r"REPORT RequestId: (\S+)\tDuration: ([0-9.]+) ms")


def wait_for(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.1)


class Watch:
    """All samples of a test, and which alarms they would have raised by the day after."""

    def __init__(self, system: LocalSystem) -> None:
        self._system = system
        aws = system.aws
        found = aws.client("cloudformation").describe_stack_resources(StackName=STACK)
        self.names = {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for each in found["StackResources"]
        } | {"AWS::StackName": STACK, "AWS::Region": REGION}
        template = Template(WITH_ALL_ALARMS)
        self.alarms: list[Alarm] = alarms(template, Resolver(self.names, template.parameters))
        self._logs = aws.client("logs")
        self._sqs = aws.client("sqs")
        self._answers: list[tuple[float, int]] = []
        system.shop_systems.listen(self._hear)
        self.begin()

    def begin(self) -> None:
        """Forget everything."""
        self._samples: defaultdict[Metric, list[Sample]] = defaultdict(list)
        self._began = self._act = time.time()
        self.overloaded = False

    def _hear(self, _: str, __: object, heard: Heard) -> None:
        self._answers.append((time.time(), heard.status))

    def post(self, path: str, body: bytes, headers: Iterable[tuple[str, str]]) -> tuple[int, Any]:
        """A delivery of this test's own."""
        response = urllib3.request(
            "POST",
            self._system.address + path,
            body=body,
            headers=urllib3.HTTPHeaderDict(headers),
            retries=False,
            timeout=40,
        )
        self._answers.append((time.time(), response.status))
        try:
            return response.status, response.json()
        except ValueError:
            return response.status, None

    @contextmanager
    def act(self, later: timedelta = timedelta(0)) -> Iterator[None]:
        """Something that happens, so much `later` than it really does."""
        self._act = time.time()
        self._answers.clear()
        yield
        shift = later.total_seconds()
        for metric, sample in self._measured():
            self._samples[metric].append(Sample(sample.moment + shift, sample.value))

    def lines(self) -> list[Line]:
        """What the functions have logged in this act."""
        messages = (message for each in FUNCTIONS for _, message in self._events(each))
        return [line for message in messages if (line := parsed_line(message)) is not None]

    def said(self, event: str) -> list[Line]:
        return [line for line in self.lines() if line.get("message") == event]

    def queued(self, queue: str, kind: str = "") -> int:
        answer = self._sqs.get_queue_attributes(QueueUrl=self.names[queue], AttributeNames=["All"])
        return int(answer["Attributes"].get(f"ApproximateNumberOfMessages{kind}", 0))

    def queue_is_empty(self) -> bool:
        return not any(
            self.queued("ConversionQueue", kind) for kind in ("", "NotVisible", "Delayed")
        )

    def raised(self, within: timedelta = timedelta(hours=26)) -> set[str]:
        """The alarms that have told somebody something since the beginning and so long after."""
        until = self._began + within.total_seconds()
        return speaking(self.alarms, self._samples, self._began - HOUR, until)

    def _events(self, function: str) -> Iterator[tuple[float, str]]:
        """Moment and text of each line of a function in this act."""
        more: dict[str, str] = {}
        while True:
            page = self._logs.filter_log_events(
                logGroupName=self.names[f"{function}Log"],
                startTime=int(self._act * 1000),
                **more,
            )
            for event in page["events"]:
                yield event["timestamp"] / 1000, event["message"]
            if not page.get("nextToken"):
                return
            more = {"nextToken": page["nextToken"]}

    def _measured(self) -> Iterator[tuple[Metric, Sample]]:
        now = time.time()
        yield from self._by_the_api()
        for function in FUNCTIONS:
            yield from self._by_lambda(function)
        for queue in ("ConversionQueue", "DeadLetters"):
            name = self.names[queue].rpartition("/")[2]
            yield (
                _metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", QueueName=name),
                Sample(now, self.queued(queue)),
            )

    def _by_the_api(self) -> Iterator[tuple[Metric, Sample]]:
        for moment, status in self._answers:
            for name, value in (
                ("Count", 1),
                ("4xx", 400 <= status < 500),
                ("5xx", status >= 500),
            ):
                metric = _metric("AWS/ApiGateway", name, ApiId=self.names["WebhookApi"])
                yield metric, Sample(moment, float(value))

    def _by_lambda(self, function: str) -> Iterator[tuple[Metric, Sample]]:
        events = list(self._events(function))
        lines = [line for _, message in events if (line := parsed_line(message)) is not None]
        for line in lines:
            self.overloaded = self.overloaded or "TimeoutError" in str(line.get("problem"))
            yield from _own(line)
        alive = {line.get("request_id") for line in lines}
        broken = False
        for moment, message in events:
            broken = broken or message.startswith("Traceback")
            if report := _REPORT.match(message):
                error = broken or report[1] not in alive
                for name, value in (
                    ("Invocations", 1.0),
                    ("Duration", float(report[2])),
                    ("Errors", float(error)),
                ):
                    yield self._of_lambda(name, function), Sample(moment, value)
                broken = False

    def _of_lambda(self, name: str, function: str) -> Metric:
        return _metric("AWS/Lambda", name, FunctionName=self.names[f"{function}Function"])


def _metric(namespace: str, name: str, **dimensions: str) -> Metric:
    return Metric(namespace, name, frozenset(dimensions.items()))


def _own(line: Line) -> Iterator[tuple[Metric, Sample]]:
    """The metrics that a line carries, as CloudWatch reads the embedded block."""
    block = line.get("_aws", {"CloudWatchMetrics": []})
    for directive in block["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = {name: line[name] for name in names}
            for metric in directive["Metrics"]:
                yield (
                    _metric(directive["Namespace"], metric["Name"], **dimensions),
                    Sample(block["Timestamp"] / 1000, float(line[metric["Name"]])),
                )
