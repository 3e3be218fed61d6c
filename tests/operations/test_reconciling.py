"""A shop's orders beside the ledger and Prisjakt: what agrees, and each thing that does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.operations.elsewhere import commands
from tests.operations.patients import spoilt
from tests.operations.shop_orders import (
    HOURS,
    PagedApi,
    ShopWithOrders,
    is_reported,
    moment_of,
    paged,
    shop_with_orders,
)

from prisjakt_relay import ledger
from prisjakt_relay.errors import PlatformBusyError, Problem, SetupError
from prisjakt_relay.ledger import Facts, Record
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations.reconciling import (
    Difference,
    Listener,
    Reconciliation,
    reconcile,
    within_reach,
)
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.outcomes import DeathReason
from prisjakt_relay.platform_api.interface import Moment, Page
from prisjakt_relay.rate_limit import RateLimit

Make = Callable[..., ShopWithOrders]
DAYS = timedelta(days=1)
A_MOMENT = timedelta(seconds=10)
NOW = datetime(2026, 11, 21, 10, 31, 6, 123_456, tzinfo=UTC)


@pytest.fixture
def make(local_system: LocalSystem, stack: Stack) -> Make:
    def made(**choices: Any) -> ShopWithOrders:
        return shop_with_orders(local_system, stack, **choices)

    return made


def compared(shop: ShopWithOrders, api: PagedApi, **options: Any) -> Reconciliation:
    return reconcile(
        shop.stack,
        shop.name,
        shop.shop,
        api,
        shop.now - 7 * DAYS,
        shop.now,
        now=shop.now,
        **options,
    )


def counts(found: Reconciliation) -> dict[str, int]:
    return {
        f"{each.standing} {each.reason}" if each.reason else each.standing: each.orders
        for each in found.counts
    }


def only(found: Reconciliation) -> Difference:
    (difference,) = found.differences
    return difference


def reported_and_shown(shop: ShopWithOrders, order: dict[str, Any]) -> Record:
    record = shop.knows(order)
    shop.is_shown(record)
    return record


# The interval


@pytest.mark.parametrize(
    ("since", "begins"),
    [
        (NOW - 7 * DAYS, NOW - 7 * DAYS),
        (datetime(2026, 9, 23, tzinfo=UTC), datetime(2026, 9, 23, tzinfo=UTC)),
        (NOW - 60 * DAYS, datetime(2026, 9, 23, tzinfo=UTC)),
        (datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 9, 23, tzinfo=UTC)),
    ],
)
def test_an_interval_begins_where_no_order_is_too_old(since: datetime, begins: datetime) -> None:
    assert within_reach(since, NOW, NOW) == begins
    assert timedelta(0) < NOW - begins < 60 * DAYS


def test_an_interval_of_which_nothing_is_left_is_told() -> None:
    end = datetime(2026, 9, 23, tzinfo=UTC)
    with pytest.raises(SetupError, match="orders of before 2026-09-23 are too old"):
        within_reach(end - DAYS, end, NOW)


# What agrees


def test_orders_add_up_and_nothing_differs(make: Make) -> None:
    shop = make()
    known, cancelled = shop.order(), shop.order(5 * HOURS, cancelled_at="2026-11-20T10:00:00Z")
    orders = [known, cancelled, *(shop.order(note_attributes=[]) for _ in range(3))]
    reported_and_shown(shop, known)
    shop.knows(cancelled, ledger.nothing_to_report)
    api = paged(*orders)
    read: list[int] = []
    days: list[int] = []
    events: list[int] = []

    found = compared(
        shop,
        api,
        listener=Listener(on_orders=read.append, on_days=days.append, on_events=events.append),
    )

    assert found.differences == ()
    assert counts(found) == {"ignored no_click_id": 3, "nothing_to_report": 1, "reported": 1}
    assert [each.orders for each in found.counts] == [3, 1, 1]
    assert (found.orders, found.in_ledger, found.at_prisjakt) == (5, 2, 1)
    assert (found.not_compared, found.not_searched) == ("", "")
    assert api.asked == [(found.since, found.until, Moment.CREATED)]
    assert (sum(read), sum(days), sum(events)) == (5, 8, 1)


def test_an_order_that_comes_twice_counts_once_but_what_has_no_id_each_time(make: Make) -> None:
    shop = make(prisjakt_client_id=None, prisjakt_client_secret=None)
    again = shop.order(note_attributes=[])
    nameless = [shop.order(id=None), shop.order(id=None)]

    found = compared(shop, paged(again, *nameless, again, at_once=3))

    assert counts(found) == {"ignored unreadable": 2, "ignored no_click_id": 1}
    assert found.orders == 3


def test_what_changed_a_moment_ago_is_on_its_way(make: Make) -> None:
    shop = make()
    new, changed = shop.order(A_MOMENT), shop.order(changed=A_MOMENT, current_total_price="5.00")
    record = shop.knows(shop.order(id=changed["id"]))
    shop.is_shown(record)
    deleted = shop.knows(shop.order(), updated=A_MOMENT)
    shop.has_event("too-new", shop.now - A_MOMENT, "1.00")

    found = compared(shop, paged(new, changed))

    assert counts(found) == {"on_its_way": 2}
    assert found.differences == ()
    assert found.in_ledger == 2
    assert deleted.order_id not in (str(new["id"]), str(changed["id"]))


# What the queue was never told


def test_lost_orders_are_named_with_one_remedy_for_all_their_days(make: Make) -> None:
    shop = make(order_reference="SE-{id}")
    missed = shop.order(5 * DAYS)
    outdated = shop.order(3 * DAYS, changed=HOURS, current_total_price="10.00")
    shop.is_shown(shop.knows(shop.order(3 * DAYS, id=outdated["id"])))
    stuck = shop.order(2 * DAYS)
    shop.knows(stuck, lambda record, _: record, updated=DAYS + HOURS)
    waiting = shop.order(2 * DAYS)
    shop.knows(waiting, lambda record, _: record, updated=23 * HOURS)

    found = compared(shop, paged(missed, outdated, stuck, waiting))

    assert counts(found) == {"missed": 1, "outdated": 1, "stuck": 1, "waiting": 1}
    assert [each.kind for each in found.differences] == ["missed", "outdated", "stuck"]
    assert [each.order_id for each in found.differences] == [
        str(order["id"]) for order in (missed, outdated, stuck)
    ]
    assert found.differences[0].order_reference == f"SE-{missed['id']}"
    assert found.differences[0].ordered_at == moment_of(missed)
    (remedy,) = {each.remedy for each in found.differences}
    first, last = moment_of(missed), moment_of(stuck)
    (command,) = commands(remedy)
    assert f"backfill {shop.name} --from {first:%Y-%m-%d} --to {last:%Y-%m-%d}" in command
    assert found.differences[0].found == "1,666.30 SEK, 3 items"
    assert found.differences[1].found == (
        "10.00 SEK, 3 items in the shop, 1,666.30 SEK, 3 items in the ledger"
    )
    since = shop.now - DAYS - HOURS
    assert found.differences[2].found == (
        f"1,666.30 SEK, 3 items, waiting since {since:%Y-%m-%d %H:%M} UTC"
    )


def test_a_reference_is_that_of_the_ledger_where_the_shop_has_changed_its_mind(make: Make) -> None:
    shop = make()
    order = shop.order(changed=HOURS, cancelled_at="2026-11-20T10:00:00Z")
    record = shop.knows(shop.order(id=order["id"]), external_id="as-it-was")
    shop.is_shown(record)

    difference = only(compared(shop, paged(order)))

    assert (difference.kind, difference.order_reference) == ("outdated", "as-it-was")
    assert difference.found == "cancelled in the shop, 1,666.30 SEK, 3 items in the ledger"


# What somebody has to decide


def test_dead_and_uncorrectable_orders_are_named_with_their_remedies(make: Make) -> None:
    shop = make(corrections=False)
    answer = Problem(status=400, title="Not valid")
    dead, stays, refused, dropped = (shop.order() for _ in range(4))

    def dies(record: Record, facts: Facts) -> Record:
        return ledger.dead(record, facts, DeathReason.REJECTED, answer, record.updated_at)

    def is_refused(record: Record, facts: Facts) -> Record:
        reported = is_reported(record, replace(facts, items=4))
        return ledger.correction_refused(reported, facts, answer)

    shop.knows(dead, dies)
    shop.knows(stays, lambda record, facts: ledger.not_correctable(record, facts))
    shop.knows(refused, is_refused)
    shop.knows(dropped, lambda record, facts: ledger.dropped(dies(record, facts), shop.now))

    found = compared(shop, paged(dead, stays, refused, dropped))

    assert counts(found) == {
        "correction_refused": 1,
        "dead": 1,
        "dropped": 1,
        "not_correctable": 1,
    }
    told = {str(each.kind): each for each in found.differences}
    assert "dropped" not in told
    assert told["dead"].found == "rejected: 400 Not valid"
    (command,) = commands(told["dead"].remedy)
    assert command.startswith(f"prisjakt-relay dead show {shop.name} {dead['id']}")
    assert "--corrections on" in told["not_correctable"].remedy
    assert told["correction_refused"].found.endswith("4 items in the ledger: 400 Not valid")
    assert told["correction_refused"].remedy == "ask Prisjakt about its answer"


# What the shop has not


def test_what_the_shop_has_deleted_is_named_if_prisjakt_counts_it(make: Make) -> None:
    shop = make()
    reported = shop.knows(shop.order())
    waiting = shop.knows(shop.order(4 * HOURS), lambda record, _: record)
    taken_back = shop.knows(
        shop.order(), lambda record, facts: is_reported(record, replace(facts, void=True))
    )
    shop.is_shown(taken_back)
    shop.knows(shop.order(), ledger.nothing_to_report)
    shop.knows(
        shop.order(),
        lambda record, facts: ledger.dead(
            record, facts, DeathReason.REFUSED, Problem(), record.updated_at
        ),
    )
    shop.knows(shop.order(test=True))  # it counts for nothing at Prisjakt
    shop.knows(shop.order(8 * DAYS))
    shop.is_shown(reported)

    found = compared(shop, PagedApi(pages=[Page((), shop.now)]))

    assert (found.orders, found.counts, found.in_ledger) == (0, (), 6)
    assert [(each.kind, each.order_id) for each in found.differences] == [
        ("deleted_in_shop", waiting.order_id),
        ("deleted_in_shop", reported.order_id),
    ]
    assert found.differences[0].found == "waiting, 1,666.30 SEK, 3 items"
    assert (
        found.differences[0].remedy
        == "if it was no purchase after all, ask Prisjakt to take it back"
    )


def test_more_deleted_orders_than_are_read_at_once_are_all_named(make: Make) -> None:
    shop = make(prisjakt_client_id=None, prisjakt_client_secret=None)
    for _ in range(101):
        shop.knows(shop.order())

    found = compared(shop, PagedApi())

    assert len({each.order_id for each in found.differences}) == 101


def test_an_order_that_was_reported_before_it_was_ignored_is_no_difference(make: Make) -> None:
    shop = make(corrections=False)
    order = shop.order()
    reported_and_shown(shop, order)
    cancelled = order | {"cancelled_at": "2026-11-20T10:00:00Z"}

    found = compared(shop, paged(cancelled))

    assert counts(found) == {"ignored cancelled": 1}
    assert found.differences == ()


# Prisjakt


def test_what_prisjakt_holds_otherwise_is_named(make: Make) -> None:
    shop = make()
    absent, other, twice = shop.order(5 * HOURS), shop.order(4 * HOURS), shop.order()
    gone = shop.knows(absent)
    record = shop.knows(other)
    shop.has_event(record.external_id, moment_of(other), "1.00")
    doubled = reported_and_shown(shop, twice)
    shop.is_shown(doubled)

    found = compared(shop, paged(absent, other, twice))

    told = {str(each.kind): each for each in found.differences}
    assert set(told) == {"not_at_prisjakt", "differs_at_prisjakt", "twice_at_prisjakt"}
    taken = shop.now - HOURS
    assert told["not_at_prisjakt"].order_id == gone.order_id
    assert told["not_at_prisjakt"].found == (
        f"1,666.30 SEK, 3 items, taken on {taken:%Y-%m-%d %H:%M} UTC"
    )
    (command,) = commands(told["not_at_prisjakt"].remedy)
    assert command.startswith(f"prisjakt-relay order {shop.name} {gone.order_id}")
    assert told["differs_at_prisjakt"].found.startswith("1,666.30 SEK, 3 items was reported; event")
    assert told["differs_at_prisjakt"].found.endswith(": 1.00 SEK, 3 items")
    assert told["twice_at_prisjakt"].found.count("event ") == 2


def test_an_order_of_another_pixel_is_not_looked_for_at_this_one(make: Make) -> None:
    shop = make()
    order = shop.order()
    shop.knows(order, pixel_id="52907745-7672-470e-a803-a2f8feb52944")

    assert compared(shop, paged(order)).differences == ()


def test_a_purchase_of_no_order_is_named(make: Make) -> None:
    shop = make()
    order = shop.order()
    reported_and_shown(shop, order)
    shop.has_event("stranger", shop.now - HOURS, "7.00")

    difference = only(compared(shop, paged(order)))

    assert (difference.kind, difference.order_id) == ("of_no_order", None)
    assert difference.order_reference == "stranger"
    assert difference.ordered_at == shop.now - HOURS
    assert difference.found.endswith(": 7.00 SEK, 3 items")
    assert difference.remedy.startswith("look for a browser pixel")


def test_purchases_of_no_order_are_not_looked_for_where_shops_share_a_pixel(make: Make) -> None:
    shop = make()
    other = make(pixel_id=shop.pixel_id.upper())
    shop.has_event("of-the-other", shop.now - HOURS, "7.00")

    found = compared(shop, PagedApi())

    assert found.differences == ()
    assert found.not_searched == f"the same pixel is that of shop {other.name}, too"


def test_without_credentials_prisjakt_is_not_asked_and_the_remedy_is_told(make: Make) -> None:
    shop = make(prisjakt_client_id=None, prisjakt_client_secret=None)
    order = shop.order()
    shop.knows(order)

    found = compared(shop, paged(order))

    assert found.differences == ()
    assert "has no Prisjakt credentials" in found.not_compared
    assert f"shop set {shop.name} --prisjakt-client-id" in commands(found.not_compared)[0]


def test_a_prisjakt_that_fails_is_told_and_the_rest_is_compared(
    make: Make, local_system: LocalSystem
) -> None:
    shop = make()
    missed = shop.order()
    shop.has_event("stranger", shop.now - HOURS, "7.00")

    with spoilt(local_system, shop.pixel_id, kind="status", operation="*", times=9):
        found = compared(shop, paged(missed))

    assert only(found).kind == "missed"
    assert found.not_compared.startswith("Prisjakt does not answer")
    assert found.at_prisjakt == 0


def test_an_allowance_that_is_used_up_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make()
    turn = shop.now + HOURS
    monkeypatch.setattr(RateLimit, "reserve", lambda *_: turn)

    found = compared(shop, PagedApi())

    assert found.not_compared == (
        f"this hour's requests to Prisjakt are used up: try again at {turn:%H:%M:%S} UTC"
    )


def test_a_turn_that_comes_soon_is_waited_for(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = make()
    order = shop.order()
    reported_and_shown(shop, order)

    def reserve(*_: object, waited: bool = False) -> datetime | None:
        return None if waited else datetime.now(UTC) + 30 * timedelta(seconds=1)

    monkeypatch.setattr(RateLimit, "reserve", reserve)
    waits: list[float] = []

    found = compared(shop, paged(order), wait=waits.append)

    assert (found.not_compared, found.at_prisjakt) == ("", 1)
    assert len(waits) == 1
    assert 20 < waits[0] <= 30


def test_a_shop_system_that_fails_ends_the_comparison(make: Make) -> None:
    shop = make()
    api = PagedApi(pages=[Page((), shop.now)], failure=PlatformBusyError("later"))

    with pytest.raises(PlatformBusyError, match="later"):
        compared(shop, api)
