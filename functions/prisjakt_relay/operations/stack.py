"""A deployed stack: found by name, with what its template gave out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from threading import Lock
from typing import Any, Final
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import boto3
import urllib3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from prisjakt_relay import aws
from prisjakt_relay.errors import SetupError, StorageError
from prisjakt_relay.ledger import Ledger
from prisjakt_relay.operations.aws_errors import SIGN_IN, told
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
    except (BotoCoreError, ClientError, StorageError) as error:
        raise told(error) from error


@dataclass(frozen=True)
class Stack:
    """One deployed relay, and the ways to its parts. `webhook_address` ends with `/webhooks`."""

    name: str
    status: str
    region: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    webhook_address: str
    session: boto3.Session = field(repr=False, compare=False)
    endpoint: str | None = None
    local_port: int | None = None

    def client(self, service: str) -> Any:
        """A boto3 client; its errors are told by `told_clearly`."""
        return connect(self.session, service, self.endpoint)

    def service(self, name: str) -> aws.Service:
        """The plain JSON way of the functions: much faster where many items are read."""
        credentials = self.session.get_credentials()
        if credentials is None:
            raise SetupError(f"no AWS credentials: {SIGN_IN}")
        keys = credentials.get_frozen_credentials()
        environment = {
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        }
        if keys.token:
            environment["AWS_SESSION_TOKEN"] = keys.token
        if endpoint := self.endpoint or os.environ.get("AWS_ENDPOINT_URL"):
            environment["AWS_ENDPOINT_URL"] = endpoint
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
        pool = urllib3.PoolManager(timeout=timeout, retries=False, maxsize=16)
        return aws.Service(name, environment=environment, pool=pool)

    @cached_property
    def dynamodb(self) -> aws.Service:
        return self.service("dynamodb")

    @cached_property
    def sqs(self) -> aws.Service:
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

    def webhook(self, platform: str, shop: str) -> str:
        """Where that shop's webhooks go."""
        return f"{self.webhook_address}/{platform}/{shop}"


def session_of(*, region: str | None, profile: str | None) -> boto3.Session:
    """Region and credentials as the AWS CLI finds them."""
    return boto3.Session(
        profile_name=profile, region_name=region or os.environ.get("AWS_REGION") or None
    )


def find(name: str, *, region: str | None = None, profile: str | None = None) -> Stack:
    """The stack in AWS, with region and credentials as the AWS CLI finds them.

    Raises `SetupError` where there is none, or none that can be used.
    """
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
    return _stack(found, session, str(session.region_name))


def find_local(port: int) -> Stack:
    """The stack of the local system whose webhooks arrive at `port`."""
    endpoint = f"http://127.0.0.1:{port + 2}"
    try:
        with build_opener(ProxyHandler({})).open(f"{endpoint}/_ministack/health", timeout=5):
            pass
    except (URLError, OSError):
        raise SetupError(
            f"no local system at port {port}: start it with `prisjakt-relay local`, "
            "or name its port with --port"
        ) from None
    session = boto3.Session("test", "test", region_name=LOCAL_REGION)
    with told_clearly():
        cloudformation = connect(session, "cloudformation", endpoint)
        (found,) = cloudformation.describe_stacks(StackName=LOCAL_NAME)["Stacks"]
    return _stack(found, session, LOCAL_REGION, endpoint=endpoint, local_port=port)


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
        raise SetupError(f"the stack {name} is not usable ({status}): deploy it again")
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


def connect(session: boto3.Session, service: str, endpoint: str | None = None) -> Any:
    """A client that does not wait for ever."""
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 3},
        proxies={} if endpoint else None,
    )
    with _making:
        return session.client(service, endpoint_url=endpoint, config=config)
