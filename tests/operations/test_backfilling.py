"""What was lost goes to the queue, page by page, and an interrupted run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from tests.cli.orders import asked_until, outcomes
from tests.conftest import NOW
from tests.operations.shop_orders import (
    HOURS,
    PagedApi,
    ShopWithOrders,
    moment_of,
    paged,
    shop_with_orders,
)

from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import PlatformBusyError, StorageError
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import backfilling
from prisjakt_relay.operations.backfilling import (
    BackfillBook,
    Interruption,
    Portion,
    carry_out,
    portions,
)
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.platform_api.interface import Moment, Page

DAYS = timedelta(days=1)


@pytest.fixture
def shop(local_system: LocalSystem, stack: Stack) -> ShopWithOrders:
    return shop_with_orders(local_system, stack)


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[Conversion]:
    """What is put on the queue, which no sender sees."""
    taken: list[Conversion] = []

    def take(conversion: Conversion, **_: Any) -> None:
        taken.append(conversion)

    monkeypatch.setattr(backfilling, "enqueue", take)
    return taken


def read(shop: ShopWithOrders, api: PagedApi) -> list[Portion]:
    since = shop.now - 7 * DAYS
    found = portions(shop.stack, shop.name, shop.shop, api, since, shop.now, now=shop.now)
    return list(found)


def ids(portion: Portion) -> list[str]:
    return [lost.conversion.order_id for lost in portion.lost]


def send(
    shop: ShopWithOrders, work: list[Portion], on_sent: Callable[[Portion], None] = lambda _: None
) -> None:
    carry_out(shop.stack, shop.name, work, shop.now - 7 * DAYS, shop.now, on_sent=on_sent)


def test_each_page_tells_what_of_it_was_lost_and_why(shop: ShopWithOrders) -> None:
    known, missed, foreign = shop.order(9 * HOURS), shop.order(), shop.order(note_attributes=[])
    shop.knows(known)
    waits = shop.order(2 * DAYS)
    shop.knows(waits, lambda record, _: record, updated=2 * DAYS)
    api = paged(known, missed, waits, foreign)

    first, second = read(shop, api)

    assert (first.orders, first.complete_until) == (2, moment_of(missed))
    assert [(each.standing, each.conversion) for each in first.lost] == [
        ("missed", shop.conversion(missed))
    ]
    assert (second.orders, [each.standing for each in second.lost]) == (2, ["stuck"])
    assert api.asked == [(shop.now - 7 * DAYS, shop.now, Moment.CREATED)]


def test_an_order_that_comes_twice_is_lost_once(shop: ShopWithOrders) -> None:
    order = shop.order()

    found = read(shop, paged(order, order, order))

    assert [ids(portion) for portion in found] == [[str(order["id"])], []]


def test_where_nothing_is_left_of_an_interval_nobody_is_asked(shop: ShopWithOrders) -> None:
    api = paged(shop.order())

    found = portions(shop.stack, shop.name, shop.shop, api, shop.now, shop.now, now=shop.now)

    assert list(found) == []
    assert api.asked == []


def test_everything_lost_is_queued_and_nothing_is_left_to_go_on_with(
    shop: ShopWithOrders, queued: list[Conversion]
) -> None:
    orders = [shop.order(age * HOURS) for age in (5, 4, 3)]
    told: list[tuple[Portion, Interruption | None]] = []
    book = BackfillBook(shop.stack.store)
    work = read(shop, paged(*orders))

    send(shop, work, lambda portion: told.append((portion, book.get(shop.name))))

    assert sorted(each.order_id for each in queued) == [str(order["id"]) for order in orders]
    assert [portion for portion, _ in told] == work
    since = shop.now - 7 * DAYS
    assert [run for _, run in told] == [
        Interruption(since, shop.now, moment_of(orders[1])),
        Interruption(since, shop.now, moment_of(orders[2])),
    ]
    assert book.get(shop.name) is None
    item = shop.stack.store.get(f"backfill#{shop.name}")
    assert item is not None
    assert "since" not in item
    assert abs(item["expires_at"] - shop.now.timestamp()) < 3600


def test_what_was_put_on_the_queue_is_reported_and_found_no_more(shop: ShopWithOrders) -> None:
    """By the sender of the local system. The second order is behind the first on the queue, and
    behind what else there may be of it."""
    orders = [shop.order(), shop.order()]
    for order in orders:
        send(shop, read(shop, paged(order)))
    ids = [str(order["id"]) for order in orders]
    model = shop.system.model
    assert model is not None

    for each in ids:
        asked_until(lambda told: "reported" in outcomes(told), "order", shop.name, each)

    assert not any(each.lost for each in read(shop, paged(*orders)))
    events = [event for event in list(model.events.values()) if event.pixel_id == shop.pixel_id]
    assert sorted(str(event.external_event_id) for event in events) == sorted(ids)


def test_a_run_whose_shop_system_fails_is_kept_as_far_as_it_came(
    shop: ShopWithOrders, queued: list[Conversion]
) -> None:
    order = shop.order()
    api = PagedApi(pages=[Page((order,), moment_of(order))], failure=PlatformBusyError("later"))
    since = shop.now - 7 * DAYS
    work = portions(shop.stack, shop.name, shop.shop, api, since, shop.now, now=shop.now)

    with pytest.raises(PlatformBusyError, match="later"):
        carry_out(shop.stack, shop.name, work, since, shop.now, on_sent=lambda _: None)

    assert [each.order_id for each in queued] == [str(order["id"])]
    assert BackfillBook(shop.stack.store).get(shop.name) == Interruption(
        since, shop.now, moment_of(order)
    )


def test_a_page_that_is_not_wholly_queued_does_not_count(
    shop: ShopWithOrders, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [shop.order(age * HOURS) for age in (6, 5, 4)]
    bad = orders[-1]

    def take(conversion: Conversion, **_: Any) -> None:
        if conversion.order_id == str(bad["id"]):
            raise StorageError("the queue does not answer")

    monkeypatch.setattr(backfilling, "enqueue", take)

    with pytest.raises(StorageError, match="the queue does not answer"):
        send(shop, read(shop, paged(*orders)))

    kept = BackfillBook(shop.stack.store).get(shop.name)
    assert kept == Interruption(shop.now - 7 * DAYS, shop.now, moment_of(orders[1]))


def test_a_run_is_continued_by_one_that_begins_the_same_and_ends_no_earlier(
    shop: ShopWithOrders,
) -> None:
    since, until = shop.now - DAYS, shop.now
    run = Interruption(since, until, until)

    assert run.is_continued_by(since, until)
    assert run.is_continued_by(since, until + HOURS)
    assert not run.is_continued_by(since, until - HOURS)
    assert not run.is_continued_by(since - HOURS, until)
    assert not run.is_continued_by(since + HOURS, until)


def test_the_book_takes_what_was_written_last_and_forgets_only_what_is_there(
    shop: ShopWithOrders,
) -> None:
    book = BackfillBook(shop.stack.store)
    book.clear(shop.name)
    assert shop.stack.store.get(f"backfill#{shop.name}") is None

    runs = [
        Interruption(shop.now - days * DAYS, shop.now, shop.now - timedelta(microseconds=days))
        for days in (1, 2)
    ]
    for run in runs:
        book.put(shop.name, run)
        assert book.get(shop.name) == run


def test_a_book_in_which_others_write_without_end_gives_up() -> None:
    class Contended:
        def get(self, item_key: str) -> Mapping[str, Any] | None:
            return {"id": item_key, "version": 7}

        def put(self, item: Mapping[str, Any], *, previous: int | None) -> bool:
            assert (item["version"], previous) == (8, 7)
            return False

        def update(self, *_: object, **__: object) -> tuple[bool, Mapping[str, Any]]:
            raise NotImplementedError

        def listed(self, index: str, value: str, received_until: str) -> Iterator[str]:
            raise NotImplementedError

    with pytest.raises(StorageError, match="another backfill of this shop is running"):
        BackfillBook(Contended()).put("lamps", Interruption(NOW, NOW, NOW))
