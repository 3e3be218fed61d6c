"""Orders of the last three months in a ledger, the same ones every time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from boto3.dynamodb.types import TypeSerializer  # type: ignore[import-untyped]  # has no types
from rich.console import Console
from rich.progress import track

from prisjakt_relay.conversion import PURCHASE, TEST_PURCHASE, utc_text
from prisjakt_relay.errors import Problem
from prisjakt_relay.ledger import DEAD_KEPT, KEPT, Facts, Record, Status, to_item
from prisjakt_relay.local.aws import EmbeddedAws
from prisjakt_relay.outcomes import DeathReason

DAYS: Final = 90

_BATCH: Final = 25  # the most that BatchWriteItem takes
_WRITERS: Final = 4
_IN_A_HUNDRED: Final = {  # how often an order ends like this
    Status.REPORTED: 93,
    Status.ALREADY_AT_PRISJAKT: 3,
    Status.NOTHING_TO_REPORT: 1,
    Status.WAITING: 1,
    Status.NOT_CORRECTABLE: 1,
    Status.DEAD: 1,
}


def seed(aws: EmbeddedAws, table: str, orders: int, shop: str) -> None:
    """Put so many orders of the last days into the table, evenly spread."""
    now = datetime.now(UTC).replace(microsecond=0)
    chance = random.Random(1)  # noqa: S311  # the same orders every time
    serialise = TypeSerializer().serialize
    dynamodb = aws.client("dynamodb")

    def write(numbers: Sequence[int]) -> None:
        items = [to_item(_order(number, orders, shop, now, chance)) for number in numbers]
        puts = [
            {"PutRequest": {"Item": {name: serialise(value) for name, value in item.items()}}}
            for item in items
        ]
        dynamodb.batch_write_item(RequestItems={table: puts})

    batches = [range(orders)[start : start + _BATCH] for start in range(0, orders, _BATCH)]
    with ThreadPoolExecutor(_WRITERS) as pool:
        work = pool.map(write, batches)
        for _ in track(
            work,
            f"writing {orders:,} orders",
            total=len(batches),
            console=Console(stderr=True),
        ):
            pass


def _order(number: int, orders: int, shop: str, now: datetime, chance: random.Random) -> Record:
    made_at = now - timedelta(days=DAYS) * ((number + 1) / (orders + 1))
    paid_after = timedelta(seconds=chance.lognormvariate(3, 1.5))
    reported_after = timedelta(seconds=chance.lognormvariate(0.5, 1.5))
    received_at = made_at + paid_after
    status = list(_IN_A_HUNDRED)[_nth(number % 100)]
    corrections = int(chance.random() < 0.06)
    facts = Facts(
        revision=int(received_at.timestamp() * 1000),
        void=corrections == 1 and chance.random() < 0.5,
        amount=Decimal(chance.randrange(4_900, 900_000)).scaleb(-2),
        items=chance.randrange(1, 5),
    )
    is_reported = status in {Status.REPORTED, Status.NOT_CORRECTABLE}
    is_dead = status is Status.DEAD
    order_id = str(6_204_817_342_681 + number)
    return Record(
        shop=shop,
        platform="shopify",
        order_id=order_id,
        event_name=TEST_PURCHASE if number % 1000 == 0 else PURCHASE,
        pixel_id="52907745-7672-470e-a803-a2f8feb52944",
        external_id=f"SE-{number}",
        currency=chance.choices(["SEK", "NOK", "EUR"], [6, 2, 1])[0],
        event_time=utc_text(made_at),
        click_id="f3b1c2d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d_ABCDEFGHijklmnop",
        received_at=received_at,
        wanted=facts,
        updated_at=received_at + reported_after,
        expires_at=now + (DEAD_KEPT if is_dead else KEPT),
        status=status,
        version=2,
        settled=None if status is Status.WAITING else facts,
        reported=facts if is_reported else None,
        first_try_at=received_at,
        trying_since=received_at,
        tries=1,
        death=chance.choice(list(DeathReason)) if is_dead else None,
        dead_since=received_at if is_dead else None,
        answer=_refusal() if is_dead else Problem(),
        reported_at=received_at + reported_after if is_reported else None,
        corrections=corrections if is_reported else 0,
    )


def _nth(percent: int) -> int:
    """Which outcome it is, when outcomes stand one after the other by their share."""
    for index, share in enumerate(_IN_A_HUNDRED.values()):
        percent -= share
        if percent < 0:
            return index
    raise AssertionError("the shares are less than a hundred")


def _refusal() -> Problem:
    return Problem(
        400, "Validation failed", "The event is not valid", {"click_id": "unknown click"}, "req-1"
    )
