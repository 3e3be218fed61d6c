"""What earlier versions left behind, this one goes on with: messages, items, shop documents.

`ledger-items/VERSION` is what that version wrote, by `record_items.py`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.cli.calling import local
from tests.reconciler.world import World as ReconcilerWorld
from tests.reconciler.world import order
from tests.release import record_items
from tests.sender.world import CREDENTIALS, PIXELS, START, World, conversion

from prisjakt_relay.conversion import Conversion
from prisjakt_relay.erasure import Erasure
from prisjakt_relay.ledger import Status, from_item, to_item
from prisjakt_relay.local import project
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.rate_limit import RateLimit
from prisjakt_relay.shop import from_document, unknown_fields

HERE = Path(__file__).parent
QUEUE = project.root() / "events" / "queue"
FILES = sorted((HERE / "ledger-items").glob("*/*.json"))
ORDERS = [file for file in FILES if file.name.startswith("order-")]
ERASED = [file for file in FILES if file.name.startswith("erased-")]
QUEUED = ("order-held", "order-paused")
NEVER_SENT = ("order-nothing-to-report", "order-dead", "order-given-up", *QUEUED)
HOURS = timedelta(hours=2)


def each_file(folder: Path, pattern: str) -> pytest.MarkDecorator:
    """The test of one file, for all of them."""
    return pytest.mark.parametrize("file", sorted(folder.glob(pattern)), ids=lambda file: file.stem)


def name_of(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


def read(file: Path) -> dict[str, Any]:
    item: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return item


def of_kind(name: str) -> list[Path]:
    return [file for file in FILES if file.stem == name]


@pytest.fixture
def world() -> World:
    """A sender whose shop has credentials, two hours after the items were written."""
    world = World()
    world.documents["alfa"] |= CREDENTIALS
    return world


@pytest.fixture(scope="module")
def written() -> dict[str, dict[str, Any]]:
    """What this version writes, of every kind."""
    return dict(record_items.recorded())


def test_there_is_an_item_of_every_kind(written: dict[str, dict[str, Any]]) -> None:
    """A kind that this version writes and no fixture has would be forgotten by the next."""
    kinds = set(written)

    for version in {file.parent for file in FILES}:
        assert {file.stem for file in FILES if file.parent == version} <= kinds
    assert {file.stem for file in FILES} == kinds


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_this_version_still_writes_what_an_earlier_one_wrote(
    file: Path, written: dict[str, dict[str, Any]]
) -> None:
    """The earlier one may be rolled back to: it must find all that it reads."""
    assert set(read(file)) <= set(written[file.stem])


@pytest.mark.parametrize("file", ORDERS, ids=name_of)
def test_the_sender_goes_on_with_an_order(file: Path, world: World) -> None:
    """Whatever became of it, its next change makes it one event, with the latest facts."""
    if file.stem not in NEVER_SENT:
        world.add(conversion())
        world.run()
    item = read(file)
    if "token" in item:
        item["token"] = "of a sender that is no more"
    world.store.items = {item["id"]: item}
    world.clock.now = START + HOURS

    newest = conversion().revision + 3_600_000
    world.add(conversion(revision=newest, amount=Decimal("700.00"), number_of_items=2))
    world.run()

    (event,) = world.events()
    assert (event.amount, event.number_of_items) == (Decimal("700.00"), 2)
    assert world.record().status is Status.REPORTED


@pytest.mark.parametrize("file", ORDERS, ids=name_of)
def test_the_same_message_once_more_reports_nothing_twice(file: Path, world: World) -> None:
    """The queue delivers what the earlier version settled, or was at when it ended."""
    if file.stem not in NEVER_SENT:
        world.add(conversion())
        world.run()
    events = len(world.events())
    item = read(file)
    if "token" in item:
        item["token"] = "of a sender that is no more"
    world.store.items = {item["id"]: item}
    world.clock.now = START + HOURS

    world.add(conversion(void=file.stem == "order-nothing-to-report"))
    world.run()

    assert len(world.events()) == (1 if file.stem in QUEUED else events)
    assert world.record().token is None


@pytest.mark.parametrize("file", ERASED, ids=name_of)
def test_an_erased_order_stays_erased(file: Path, world: World) -> None:
    item = read(file)
    world.store.items[item["id"]] = item
    world.clock.now = START + HOURS

    world.add(conversion(revision=conversion().revision + 3_600_000, amount=Decimal("700.00")))
    world.run()

    assert world.events() == []
    assert world.record().status is Status.ERASED


@pytest.mark.parametrize("file", of_kind("shop-erased"), ids=name_of)
def test_what_a_shop_wants_forgotten_stays_so(file: Path, world: World) -> None:
    """Its message waited since before the request, and the ledger never heard of it."""
    item = read(file)
    world.store.items[item["id"]] = item
    world.clock.now = START + HOURS

    world.add(conversion())
    world.run()

    assert world.events() == []


@pytest.mark.parametrize("file", [*ORDERS, *ERASED], ids=name_of)
def test_an_order_reads_and_writes_without_loss(file: Path) -> None:
    item = read(file)
    written = to_item(from_item(item))

    assert {name: written[name] for name in item} == item


@pytest.mark.parametrize("file", of_kind("rate-paused"), ids=name_of)
def test_a_pause_that_prisjakt_asked_for_outlives_the_upgrade(file: Path, world: World) -> None:
    item = read(file)
    world.store.items[item["id"]] = item

    turn = RateLimit(world.store, 10_000).reserve(PIXELS["alfa"], "alfa", START)

    assert turn is not None
    assert turn >= START + timedelta(seconds=1500)


@pytest.mark.parametrize("file", of_kind("rate-held"), ids=name_of)
def test_a_line_that_has_formed_is_not_overtaken(file: Path, world: World) -> None:
    item = read(file)
    world.store.items[item["id"]] = item
    limit = RateLimit(world.store, 1)

    turn = limit.reserve(PIXELS["alfa"], "alfa", START)

    assert turn is not None
    assert turn >= START + timedelta(hours=1)


@pytest.mark.parametrize("file", of_kind("shop-successes"), ids=name_of)
def test_what_succeeded_for_a_shop_is_known(file: Path, world: World) -> None:
    item = read(file)
    world.store.items[item["id"]] = item

    for correction in (False, True):
        assert world.ledger.last_success("alfa", correction=correction) is not None


def test_the_reconciler_goes_on_where_the_earlier_version_was() -> None:
    for progress in of_kind("reconciled-progress"):
        world = ReconcilerWorld()
        for item in (read(progress), read(progress.parent / "reconciled-shops.json")):
            world.store.items[item["id"]] = item
        world.clock.now = START + HOURS
        world.sell("alfa", order("1009", START + timedelta(hours=1)))

        lines = world.run()

        since = next(line.fields["since"] for line in lines if line.event == "reconciled")
        assert datetime.fromisoformat(since) < START
        assert [one.order_id for one in world.queued] == ["1009"]
        assert "reconcile_gap" not in [line.event for line in lines]


def test_the_reconciler_knows_the_earlier_versions_orders() -> None:
    """What is in the ledger is not found again as lost."""
    for file in of_kind("order-reported"):
        world = ReconcilerWorld()
        item = read(file)
        facts = {"amount": "1666.30", "items": 3}
        for name in ("wanted", "settled", "reported"):
            item[name] = item[name] | facts
        world.store.items[item["id"]] = item
        world.sell("alfa", order("1001", START - HOURS))

        lines = world.run()

        assert "recovered" not in [line.event for line in lines]


def test_the_commands_read_every_order(local_system: LocalSystem, stack: Stack) -> None:
    """Items as they are, but of today, or the table would drop what is long past its end."""
    ends = int((datetime.now(UTC) + timedelta(days=60)).timestamp())
    document = {"platform": "shopify", "pixel_id": PIXELS["alfa"], "signing_secrets": ["hush"]}
    statuses = {}
    for file in ORDERS:
        shop = f"of-{file.parent.name.replace('.', '-')}-{file.stem}"
        item = read(file)
        day = item["event_time"][:10]
        item |= {"id": f"order#{shop}#1001#purchase", "shop": shop, "expires_at": ends}
        item["shop_day"] = f"{shop}#{day}"
        if "dead_shop" in item:
            item["dead_shop"] = shop
        local_system.aws.put_shop(shop, document)
        assert stack.store.put(item, previous=None)
        called = local("order", shop, "1001", "--json")
        statuses[file] = called.json["ledger"][0]["status"]
        dead = local("dead", "list", shop, "--json")
        assert ("1001" in dead.out) is ("dead_shop" in item), file

    assert statuses == {file: read(file)["status"] for file in ORDERS}


@each_file(QUEUE, "conversion-*.json")
def test_every_version_of_a_message_is_reported(file: Path, world: World) -> None:
    message = Conversion.from_message(file.read_text("utf-8"))
    world.documents[message.shop] = world.documents["alfa"] | {"platform": message.platform}
    world.clock.now = message.received_at

    world.queue.add(file.read_text("utf-8"))
    world.run()

    (event,) = world.events(message.order_reference)
    assert event.amount == message.amount


@each_file(QUEUE, "erasure-*.json")
def test_every_version_of_an_erasure_is_carried_out(file: Path, world: World) -> None:
    wish = Erasure.from_message(file.read_text("utf-8"))
    world.documents[wish.shop] = world.documents["alfa"]
    world.add(conversion(shop=wish.shop, order_id=wish.order_ids[0]))
    world.run()

    world.queue.add(file.read_text("utf-8"))
    world.run()

    records = [one for one in world.store.records() if one.shop == wish.shop]
    assert {one.order_id for one in records} == set(wish.order_ids)
    assert {one.status for one in records} == {Status.ERASED}


@each_file(HERE, "shops-*.json")
def test_every_shop_document_of_an_earlier_version_is_read(file: Path) -> None:
    for name, document in json.loads(file.read_text("utf-8")).items():
        shop = from_document(document)

        assert unknown_fields(document) == [], name
        assert shop.pixel_id == document["pixel_id"]
        assert list(shop.signing_secrets) == document["signing_secrets"]
