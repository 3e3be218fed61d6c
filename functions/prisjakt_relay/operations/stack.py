"""A deployed stack: found by name, with what its template gave out."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from http.client import HTTPException
from threading import Lock
from typing import Any, Final
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from prisjakt_relay.errors import SetupError, StorageError
from prisjakt_relay.ledger import Ledger
from prisjakt_relay.operations.aws_errors import told
from prisjakt_relay.operations.command_line import LOCAL_PORT, command
from prisjakt_relay.operations.plain_calls import PlainCalls
from prisjakt_relay.rate_limit import RateLimit
from prisjakt_relay.tables import DynamoStore

LOCAL_NAME: Final = "local"
LOCAL_REGION: Final = "eu-north-1"

OUTPUTS: Final = (
    "WebhookAddress",
    "QueueUrl",
    "DeadLettersUrl",
    "LedgerTable",
    "ReceiverLogGroup",
    "SenderLogGroup",
)
_STACK_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}|arn:[\w:/-]+")
_ALIVE: Final = ("_COMPLETE", "_IN_PROGRESS")
_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 30
_making = Lock()  # clients may be shared by threads, but a session makes only one at a time


def clock() -> datetime:
    return datetime.now(UTC)


@contextmanager
def told_clearly() -> Iterator[None]:
    """AWS's errors leave as errors of the relay, each with its remedy."""
    try:
        yield
    except (BotoCoreError, ClientError, ResponseParserError, StorageError) as error:
        raise told(error) from error


@dataclass(frozen=True)
class Stack:
    """One deployed relay, and the ways to its parts. `webhook_address` ends with `/webhooks`.

    `asked_region` and `profile` are those that it was found with, where a caller named them.
    """

    name: str
    status: str
    region: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    webhook_address: str
    session: boto3.Session = field(repr=False, compare=False)
    endpoint: str | None = None
    local_port: int | None = None
    asked_region: str | None = None
    profile: str | None = None

    def client(self, service: str) -> Any:
        """A boto3 client; its errors are told by `told_clearly`."""
        return connect(self.session, service, self.endpoint)

    def service(self, name: str) -> PlainCalls:
        """The plain JSON way of the functions, at the address that boto3 would ask."""
        return PlainCalls(name, self.session, str(self.client(name).meta.endpoint_url))

    @cached_property
    def dynamodb(self) -> PlainCalls:
        return self.service("dynamodb")

    @cached_property
    def sqs(self) -> PlainCalls:
        return self.service("sqs")

    @cached_property
    def store(self) -> DynamoStore:
        return DynamoStore(
            self.dynamodb, self.outputs["LedgerTable"], clock=clock, sleep=time.sleep
        )

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.store)

    @cached_property
    def rate_limit(self) -> RateLimit:
        """The senders' own: a tool's requests to Prisjakt count like theirs."""
        return RateLimit(self.store, int(self.parameters["HourlyAllowance"]))

    @cached_property
    def resources(self) -> list[dict[str, Any]]:
        """What CloudFormation keeps of each resource, asked for once."""
        return resources_of(self.client("cloudformation"), self.name)

    def webhook(self, platform: str, shop: str) -> str:
        """Where that shop's webhooks go."""
        return f"{self.webhook_address}/{platform}/{shop}"

    def command(self, *words: str) -> str:
        """A command of ours for this stack, to be copied; sentences have it in backquotes."""
        return command(
            *words,
            stack=self.name,
            region=self.asked_region,
            profile=self.profile,
            local_port=self.local_port,
        )


def session_of(*, region: str | None, profile: str | None) -> boto3.Session:
    """Region and credentials as the AWS CLI finds them."""
    return boto3.Session(
        profile_name=profile, region_name=region or os.environ.get("AWS_REGION") or None
    )


def find(name: str, *, region: str | None = None, profile: str | None = None) -> Stack:
    """The stack in AWS, with region and credentials as the AWS CLI finds them.

    Raises `SetupError` where there is none, or none that can be used.
    """
    if not _STACK_NAME.fullmatch(name):
        raise SetupError(f"--stack {name!r}: a stack's name has letters, digits and -")
    with told_clearly():
        session = session_of(region=region, profile=profile)
        cloudformation = connect(session, "cloudformation")
        try:
            (found,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise SetupError(
                f"there is no stack {name} in {session.region_name}: name it with --stack, "
                "its region with --region; `make deploy` makes one"
            ) from None
    stack = _stack(found, session, str(session.region_name))
    return replace(stack, asked_region=region, profile=profile)


def find_local(port: int) -> Stack:
    """The stack of the local system whose webhooks arrive at `port`."""
    endpoint = f"http://127.0.0.1:{port + 2}"
    try:
        with build_opener(ProxyHandler({})).open(f"{endpoint}/_ministack/health", timeout=5):
            pass
    except (URLError, OSError, HTTPException):
        raise SetupError(
            f"no local system at port {port}: start it with `{_starting(port)}`, "
            "or name its port with --port"
        ) from None
    session = boto3.Session("test", "test", region_name=LOCAL_REGION)
    with told_clearly():
        cloudformation = connect(session, "cloudformation", endpoint)
        (found,) = cloudformation.describe_stacks(StackName=LOCAL_NAME)["Stacks"]
    return _stack(found, session, LOCAL_REGION, endpoint=endpoint, local_port=port)


def _starting(port: int) -> str:
    return command("local", *(["--port", str(port)] if port != LOCAL_PORT else []))


def _stack(
    found: Mapping[str, Any],
    session: boto3.Session,
    region: str,
    *,
    endpoint: str | None = None,
    local_port: int | None = None,
) -> Stack:
    name, status = str(found["StackName"]), str(found["StackStatus"])
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    if missing := [output for output in OUTPUTS if output not in outputs]:
        if status.endswith(_ALIVE) and outputs:
            raise SetupError(
                f"the stack {name} has no output {missing[0]}: it is not a relay, or an older "
                "one; name another with --stack, or deploy again"
            )
        remedy = "wait until it is done" if status == "CREATE_IN_PROGRESS" else "deploy it again"
        raise SetupError(f"the stack {name} is not usable ({status}): {remedy}")
    address = outputs["WebhookAddress"]
    if local_port is not None:
        address = f"http://127.0.0.1:{local_port}/webhooks"
    return Stack(
        name=name,
        status=status,
        region=region,
        outputs=outputs,
        parameters={
            each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])
        },
        webhook_address=address,
        session=session,
        endpoint=endpoint,
        local_port=local_port,
    )


def resources_of(cloudformation: Any, name: str) -> list[dict[str, Any]]:
    """The summaries of a stack's resources."""
    pages = cloudformation.get_paginator("list_stack_resources")
    return [
        each for page in pages.paginate(StackName=name) for each in page["StackResourceSummaries"]
    ]


def connect(session: boto3.Session, service: str, endpoint: str | None = None) -> Any:
    """A client that does not wait for ever."""
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 3},
        proxies={} if endpoint else None,
    )
    try:
        with _making:
            return session.client(service, endpoint_url=endpoint, config=config)
    except ValueError as error:  # an endpoint that is none, credentials that are no JSON
        raise SetupError(f"the AWS configuration cannot be used: {error}") from error
