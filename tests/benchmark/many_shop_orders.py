"""Times `reconcile` and `backfill` over many orders of a shop, and weighs their memory.

`python -m tests.benchmark.many_shop_orders [--orders 10000] [--with-click 10]`. The commands run as
a person runs them, each in a process of its own, against the local system: each platform's own API
is simulated without throttling, so that what takes time is the relay's and the simulation's. It
fails if one takes too long or too much memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from boto3.dynamodb.types import TypeSerializer  # type: ignore[import-untyped]  # has no types
from rich.table import Table
from tests.benchmark.output import new_console
from tests.operations.measuring import Measured, free_port, measure

from prisjakt_relay.conversion import Conversion
from prisjakt_relay.intake import assess
from prisjakt_relay.ledger import Facts, Record, claimed, reported, to_item
from prisjakt_relay.local.deliveries import load
from prisjakt_relay.local.prisjakt_model import Event
from prisjakt_relay.local.system import LocalSystem, sample_shops
from prisjakt_relay.platforms import PLATFORMS, shop_from
from prisjakt_relay.platforms.interface import Document
from prisjakt_relay.shop import Shop

TARGET_SECONDS: Final = 60
TARGET_MEGABYTES: Final = 200

_SHOPS: Final = {"shopify": "demo-shopify", "woocommerce": "demo-woocommerce"}
_SAMPLES: Final = {"shopify": "orders-create-paid", "woocommerce": "made-purchase-paid"}
_CREDENTIALS: Final = {"prisjakt_client_id": "bench", "prisjakt_client_secret": "not-so-secret"}
_CLICK_ID: Final = "a70a2d14-b4f3-4ead-9644-f96e8279e5ca_c3d717ebf3b80680"
_BATCH: Final = 25  # the most that BatchWriteItem takes
_WRITTEN: Final = timedelta(minutes=5)  # after the order; what is newer may be on its way


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--with-click", type=int, default=10, help="in a hundred")
    given = parser.parse_args()
    results = list(_run(given.orders, given.with_click))
    table = Table("Command", "Orders", "Seconds", "Peak memory, MB", "")
    for each in results:
        table.add_row(
            each.command,
            f"{each.orders:,}",
            f"{each.seconds:.1f}",
            f"{each.megabytes:.0f}",
            "✓" if _is_right(each) else "✗",
        )
    new_console().print(table)
    sys.exit(not all(map(_is_right, results)))


def _is_right(each: Measured) -> bool:
    return each.seconds < TARGET_SECONDS and each.megabytes < TARGET_MEGABYTES


def _run(orders: int, share: int) -> Iterator[Measured]:
    port = free_port()
    documents = {
        name: sample_shops()[name] | _CREDENTIALS | {"pixel_id": str(uuid.uuid4())}
        for name in _SHOPS.values()
    }
    with LocalSystem(port=port, shops=documents) as system:
        for platform, name in _SHOPS.items():
            _fill(system, platform, name, shop_from(documents[name]), orders, share)
            for command in (["reconcile", name], ["backfill", name, "--dry-run"]):
                seconds, megabytes = measure([*command, "--local", "--port", str(port)])
                yield Measured(f"{command[0]}, {platform}", orders, seconds, megabytes)


def _fill(
    system: LocalSystem, platform: str, name: str, shop: Shop, orders: int, share: int
) -> None:
    """The shop's orders of six days, so many in a hundred with a click id: those are in the ledger
    and at Prisjakt, too."""
    now = datetime.now(UTC).replace(microsecond=0)
    span = timedelta(days=6)
    shop_system = system.shop_systems.of(name)
    assert shop_system is not None
    assert system.model is not None
    body = load(platform, _SAMPLES[platform]).body
    items: list[dict[str, Any]] = []
    for number in range(orders):
        made_at = now - span * ((number + 1) / (orders + 1)) - 2 * _WRITTEN
        order = _order(platform, body, number, made_at, with_click=number % 100 < share)
        shop_system.orders[str(order["id"])] = order
        if conversion := assess(PLATFORMS[platform], name, shop, order, now).conversion:
            record = _reported(conversion, shop)
            items.append(to_item(record))
            event = _event(record)
            system.model.events[event.id] = event
    _write(system, items)


def _order(
    platform: str, body: bytes, number: int, made_at: datetime, *, with_click: bool
) -> Document:
    order: Document = json.loads(body) | {"id": 6_304_817_342_681 + number}
    click = [{"id": 1, "name": "pjclid", "key": "pjclid", "value": _CLICK_ID}] if with_click else []
    if platform == "shopify":
        moment = made_at.isoformat(timespec="seconds")
        return order | {"created_at": moment, "updated_at": moment, "note_attributes": click}
    moment = made_at.strftime("%Y-%m-%dT%H:%M:%S")
    dates = ("date_created", "date_modified", "date_paid")
    moments = dict.fromkeys([*dates, *(f"{date}_gmt" for date in dates)], moment)
    return order | moments | {"number": str(order["id"]), "meta_data": click}


def _reported(conversion: Conversion, shop: Shop) -> Record:
    then = conversion.event_time + _WRITTEN
    record = claimed(
        None, conversion, pixel_id=shop.pixel_id, corrects=True, now=then, token="t"
    ).record
    record = reported(record, Facts.of(conversion), certain=True)
    return replace(record, version=1, reported_at=then)


def _event(record: Record) -> Event:
    return Event(
        id=str(uuid.uuid4()),
        pixel_id=record.pixel_id,
        signed_click_id=record.click_id,
        external_event_id=record.external_id,
        event_name=record.event_name,
        event_time=datetime.fromisoformat(record.event_time),
        amount=record.wanted.amount,
        currency=record.currency,
        number_of_items=record.wanted.items,
        received_at=record.updated_at,
    )


def _write(system: LocalSystem, items: list[dict[str, Any]]) -> None:
    serialise, dynamodb = TypeSerializer().serialize, system.aws.client("dynamodb")
    table = system.outputs["LedgerTable"]
    for start in range(0, len(items), _BATCH):
        puts = [
            {"PutRequest": {"Item": {name: serialise(value) for name, value in item.items()}}}
            for item in items[start : start + _BATCH]
        ]
        dynamodb.batch_write_item(RequestItems={table: puts})


if __name__ == "__main__":
    main()
