"""Entry point of the sender: the queue's event source mapping, with partial batch answers."""

from __future__ import annotations

import random
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from prisjakt_relay import aws
from prisjakt_relay.ledger import LATE, LEASE, Ledger
from prisjakt_relay.prisjakt.auth import Tokens
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.queues import ConversionQueue, Message
from prisjakt_relay.rate_limit import RateLimit
from prisjakt_relay.sender.reporting import report
from prisjakt_relay.sender.sending import ENOUGH_TIME, Ports
from prisjakt_relay.sender.settings import from_environment
from prisjakt_relay.shop import Shops, secrets_reader
from prisjakt_relay.tables import DynamoStore
from prisjakt_relay.telemetry import Telemetry
from prisjakt_relay.transport import session

SHORTEST_LEASE: Final = ENOUGH_TIME  # a lease must outlive the try that it covers, however scaled


class Context(Protocol):
    """What the relay reads of the Lambda context."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


def clock() -> datetime:
    return datetime.now(UTC)


settings = from_environment()
telemetry = Telemetry("sender", settings.stack, clock)
store = DynamoStore(aws.Service("dynamodb"), settings.table, clock=clock, sleep=time.sleep)
http = session()
ports = Ports(
    shops=Shops(
        secrets_reader(
            aws.Service("secretsmanager"), f"{settings.stack}/shops/", clock=clock, sleep=time.sleep
        ),
        clock=clock,
        alarm=telemetry.alarm,
        scale=settings.time_scale,
        unknown_reads=timedelta(0),  # nobody invents names on our own queue
    ),
    ledger=Ledger(
        store,
        lease=max(LEASE * settings.time_scale, SHORTEST_LEASE),
        late=LATE * settings.time_scale,
    ),
    rate_limit=RateLimit(store, settings.hourly_allowance, scale=settings.time_scale),
    prisjakt=PrisjaktClient(
        settings.prisjakt_url,
        http,
        clock=clock,
        tokens=Tokens(settings.token_url, http, clock=clock),
    ),
    queue=ConversionQueue(aws.Service("sqs"), settings.queue_url, settings.dead_letters_url),
    clock=clock,
    random=random.random,
    new_token=lambda: uuid.uuid4().hex,
    emit=telemetry.emit,
    scale=settings.time_scale,
)


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    telemetry.request(context.aws_request_id)
    deadline = clock() + timedelta(milliseconds=context.get_remaining_time_in_millis())
    messages = [Message.from_record(record) for record in event["Records"]]
    unsettled = report(messages, ports, deadline)
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_ in unsettled]}
