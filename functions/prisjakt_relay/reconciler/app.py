"""Entry point of the reconciler: the hourly schedule."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, Protocol

from prisjakt_relay import aws
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import (
    HeldError,
    PlatformAccessError,
    PlatformBusyError,
    StorageError,
    UnknownShopError,
)
from prisjakt_relay.platform_api import PLATFORM_APIS, access
from prisjakt_relay.platform_api.interface import PlatformApi
from prisjakt_relay.platforms import EXCLUDED_SOURCES
from prisjakt_relay.prisjakt.auth import Tokens, credentials_of
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.queues import enqueue
from prisjakt_relay.rate_limit import RateLimit
from prisjakt_relay.reconciler.hourly import Ports, reconcile
from prisjakt_relay.reconciler.progress import ProgressBook
from prisjakt_relay.reconciler.settings import from_environment
from prisjakt_relay.shop import Shop, Shops, parse, secrets_reader
from prisjakt_relay.tables import DynamoStore, records_of
from prisjakt_relay.telemetry import Telemetry
from prisjakt_relay.transport import session

PATIENCE: Final = timedelta(seconds=10)  # with Secrets Manager and the queue
LAST_SECONDS: Final = timedelta(seconds=45)  # of a run: enough for what is asked, not for a wait


class Context(Protocol):
    """What the relay reads of the Lambda context."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


def clock() -> datetime:
    return datetime.now(UTC)


settings = from_environment()
telemetry = Telemetry("reconciler", settings.stack, clock)
store = DynamoStore(aws.Service("dynamodb"), settings.table, clock=clock, sleep=time.sleep)
sqs = aws.Service("sqs")
secrets = aws.Service("secretsmanager")
http = session()
shops = Shops(
    secrets_reader(secrets, f"{settings.stack}/shops/", clock=clock, sleep=time.sleep),
    clock=clock,
    alarm=telemetry.alarm,
    scale=settings.time_scale,
    unknown_reads=timedelta(0),
    platforms=EXCLUDED_SOURCES,
)
read_access = secrets_reader(
    secrets, f"{settings.stack}/platform-api/", clock=clock, sleep=time.sleep
)
rate_limit = RateLimit(store, settings.hourly_allowance, scale=settings.time_scale)
bare_prisjakt = PrisjaktClient(
    settings.prisjakt_url, http, clock=clock, tokens=Tokens(settings.token_url, http, clock=clock)
)


def shop_of(name: str) -> Shop:
    return shops.get(name, clock() + PATIENCE)


def prisjakt_of(name: str, shop: Shop, deadline: datetime) -> PrisjaktClient | None:
    """Its requests take their turns like the senders', and none begins near the end of the run."""
    credentials = credentials_of(shop)
    if credentials is None:
        return None

    def take_turn(counts: bool) -> None:
        if clock() > deadline - LAST_SECONDS:
            raise HeldError("no time was left for Prisjakt; the next run asks again")
        turn = rate_limit.reserve(shop.client, name, clock()) if counts else None
        if turn is not None:
            raise HeldError("this hour's requests to Prisjakt are used up", turn)

    def pause(asked: float | None) -> None:
        with suppress(StorageError):  # then the senders hear it from Prisjakt themselves
            rate_limit.pause(shop.client, asked, clock())

    return bare_prisjakt.using(credentials, take_turn, pause)


def to_queue(conversion: Conversion) -> None:
    enqueue(
        conversion,
        sqs=sqs,
        queue_url=settings.queue_url,
        deadline=clock() + PATIENCE,
        clock=clock,
        sleep=time.sleep,
    )


def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:  # noqa: ARG001  # schedule
    telemetry.request(context.aws_request_id)
    deadline = clock() + timedelta(milliseconds=context.get_remaining_time_in_millis())

    def wait(seconds: float) -> None:
        if clock() + timedelta(seconds=seconds) > deadline - LAST_SECONDS:
            raise PlatformBusyError("the shop's server is too busy for this run; the next goes on")
        time.sleep(seconds)

    def api_of(name: str, shop: Shop) -> PlatformApi:
        if shop.platform not in PLATFORM_APIS:
            raise PlatformAccessError(access.without_api(shop.platform))
        try:
            document = parse(read_access(name, clock() + PATIENCE))
        except UnknownShopError:
            raise PlatformAccessError(
                "nobody has said how to get into the shop's own API; run `shop api set`"
            ) from None
        way = access.from_document(document, shop.platform)
        if (other := access.other_store(way, shop)) is not None:
            raise PlatformAccessError(
                f"the shop is the store {other}, and the access to its API is another's; run "
                "`shop api set`"
            )
        return PLATFORM_APIS[shop.platform](
            way,
            http,
            clock=clock,
            wait=wait,
            landing_pages=shop.landing_page_fallback,
        )

    reconcile(
        Ports(
            book=ProgressBook(store),
            shop=shop_of,
            api=api_of,
            prisjakt=lambda name, shop: prisjakt_of(name, shop, deadline),
            records=partial(records_of, store),
            enqueue=to_queue,
            webhook_address=settings.webhook_address,
            clock=clock,
            emit=telemetry.emit,
            scale=settings.time_scale,
        ),
        deadline,
    )
    return {}
