"""`reconcile` and `backfill`, as a terminal and a script use them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from tests.cli.calling import Called, local
from tests.cli.orders import credentials, model, new_shop
from tests.conftest import LOCAL_PORT, PATIENCE
from tests.operations.shop_orders import (
    HOURS,
    PagedApi,
    ShopWithOrders,
    moment_of,
    paged,
    shop_with_orders,
)

from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import PlatformBusyError
from prisjakt_relay.local.deliveries import RECORDED_UNTIL, load
from prisjakt_relay.local.shop_system import ShopSystem
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import backfilling, platform_access
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.platform_api.interface import Page

SAMPLES = {
    "shopify": ("orders-create-paid", "orders/create"),
    "woocommerce": ("made-purchase-paid", "order.created"),
}
_ids = count(7_400_000_000_001)
Give = Callable[[PagedApi], None]


@pytest.fixture
def shop(local_system: LocalSystem, stack: Stack) -> ShopWithOrders:
    return shop_with_orders(local_system, stack)


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Give:
    """Every shop's system has this API, which lets us wait two seconds first."""

    def given(api: PagedApi) -> None:
        def connected(*_: object, on_wait: Callable[[float], None]) -> PagedApi:
            on_wait(2.0)
            return api

        monkeypatch.setattr(platform_access, "api", connected)

    return given


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[Conversion]:
    """What is put on the queue, which no sender sees."""
    taken: list[Conversion] = []
    monkeypatch.setattr(backfilling, "enqueue", lambda conversion, **_: taken.append(conversion))
    return taken


def said(called: Called) -> str:
    return " ".join(called.out.split())


# The whole way


def system_of(system: LocalSystem, shop: str) -> ShopSystem:
    """The simulated shop system, which the local system makes within moments."""
    end = time.monotonic() + PATIENCE
    while (found := system.shop_systems.of(shop)) is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def place(system: LocalSystem, shop: str, platform: str) -> str:
    """An order of ten minutes ago, with the deliveries that the shop's system makes."""
    sample, topic = SAMPLES[platform]
    delivery = load(platform, sample)
    by = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10) - RECORDED_UNTIL
    order: dict[str, Any] = json.loads(delivery.moved(by, None).body) | {"id": next(_ids)}
    assert system.shop_systems.put(shop, order, topic)
    return str(order["id"])


def repeated_until_well(*command: str) -> Called:
    """A sender takes a moment."""
    end = time.monotonic() + PATIENCE
    while True:
        called = local(*command)
        if called.code == 0 or time.monotonic() > end:
            return called
        assert called.code == 1, called
        time.sleep(0.2)


@pytest.mark.parametrize("platform", sorted(SAMPLES))
def test_a_delivery_that_was_lost_is_found_and_sent_and_nothing_is_left(
    local_system: LocalSystem, platform: str
) -> None:
    shop, pixel_id = new_shop(local_system, platform=platform, **credentials())
    system = system_of(local_system, shop)
    delivered = place(local_system, shop, platform)
    system.deaf = True
    lost = place(local_system, shop, platform)
    where = f"--local --port {LOCAL_PORT}"

    end = time.monotonic() + PATIENCE
    while local("reconcile", shop, "--json").json["in_ledger"] == 0:
        assert time.monotonic() < end
        time.sleep(0.2)
    found = local("reconcile", shop, width=200)
    assert found.code == 1
    assert f"`prisjakt-relay backfill {shop} --from " in found.out
    assert where in found.out
    (difference,) = local("reconcile", shop, "--json").json["differences"]
    assert (difference["kind"], difference["order_id"]) == ("missed", lost)

    planned = local("backfill", shop, "--dry-run", "--json").json
    assert ([each["order_id"] for each in planned["lost"]], planned["queued"]) == ([lost], 0)
    sent = local("backfill", shop, "--yes")
    assert sent.code == 0
    assert sent.out.endswith("1 order put on the queue.\n")
    assert "counts as lost until a sender has taken it up" in sent.err

    well = repeated_until_well("reconcile", shop, "--json")
    assert well.code == 0, well
    assert [(each["standing"], each["orders"]) for each in well.json["counts"]] == [("reported", 2)]
    assert (well.json["at_prisjakt"], well.json["not_compared"]) == (2, "")
    events = [e for e in list(model(local_system).events.values()) if e.pixel_id == pixel_id]
    assert {event.external_event_id for event in events} == {delivered, lost}
    assert len(events) == 2
    assert local("backfill", shop, "--yes").out == "Nothing to send of 2 orders.\n"


# reconcile


def test_a_comparison_says_where_every_order_is_and_exits_with_0_if_all_is_well(
    shop: ShopWithOrders, give: Give
) -> None:
    order = shop.order()
    shop.is_shown(shop.knows(order))
    give(paged(order, *(shop.order(note_attributes=[]) for _ in range(2))))

    called = local("reconcile", shop.name)

    assert called.code == 0
    words = said(called)
    assert "2 ignored: no_click_id there is no click id on it" in words
    assert "1 reported Prisjakt has it" in words
    assert "3 in the shop" in words
    assert "In the ledger: 1 order of these days." in words
    assert "At Prisjakt: 1 purchase of these days." in words
    assert words.endswith("No differences.")
    assert called.err == "The shop's server is busy, or away: asking again in 2 s.\n"


def test_what_changed_just_now_is_not_judged_which_is_told(
    shop: ShopWithOrders, give: Give
) -> None:
    give(paged(shop.order(timedelta(seconds=5))))

    called = local("reconcile", shop.name)

    assert called.code == 0
    assert "1 on_its_way" in said(called)
    assert called.err.endswith("1 order is too fresh to be judged: run it again in a minute.\n")


def test_a_command_to_copy_is_not_broken(shop: ShopWithOrders, give: Give) -> None:
    missed = shop.order()
    give(paged(missed))
    day = f"{moment_of(missed):%Y-%m-%d}"

    called = local("reconcile", shop.name, width=40)

    command = f"`prisjakt-relay backfill {shop.name} --from {day} --to {day} "
    assert any(line.startswith(f"→ {command}") for line in called.out.splitlines())


def test_differences_are_told_by_kind_with_what_to_do(shop: ShopWithOrders, give: Give) -> None:
    missed = shop.order(order_number=1001)
    gone = [shop.knows(shop.order()), shop.knows(shop.order())]
    shop.has_event("stranger", shop.now - HOURS, "7.00")
    for record in gone:
        shop.is_shown(record)
    give(paged(missed))

    called = local("reconcile", shop.name, width=250)

    assert called.code == 1
    words = said(called)
    assert "1 missed: it is to be reported" in words
    assert "2 deleted_in_shop: Prisjakt counts it" in words
    assert "→ if it was no purchase after all" in words
    assert "(stranger)" in words
    assert "→ look for a browser pixel" in words
    assert words.endswith("4 differences.")


def test_where_each_order_has_a_remedy_of_its_own_the_command_is_shown_once(
    shop: ShopWithOrders, give: Give
) -> None:
    orders = [shop.order(), shop.order()]
    for order in orders:
        shop.knows(order)
    give(paged(*orders))

    called = local("reconcile", shop.name, width=250)
    told = local("reconcile", shop.name, "--json")

    assert "2 not_at_prisjakt" in called.out
    assert called.out.count(f"`prisjakt-relay order {shop.name} ORDER --local") == 1
    for order, difference in zip(orders, told.json["differences"], strict=True):
        assert f"order {shop.name} {order['id']} --local" in difference["remedy"]


def test_a_terminal_sees_twenty_of_a_kind_and_a_machine_all(
    shop: ShopWithOrders, give: Give
) -> None:
    orders = [shop.order() for _ in range(22)]
    give(paged(*orders, at_once=10))

    called = local("reconcile", shop.name)
    told = local("reconcile", shop.name, "--json")

    assert sum(str(order["id"]) in called.out for order in orders) == 20
    assert "… and 2 more: --json has all." in called.out
    assert {each["order_id"] for each in told.json["differences"]} == {
        str(order["id"]) for order in orders
    }


def test_what_was_not_compared_is_told_with_the_reason(
    local_system: LocalSystem, stack: Stack, give: Give
) -> None:
    bare = shop_with_orders(
        local_system, stack, prisjakt_client_id=None, prisjakt_client_secret=None
    )
    one = shop_with_orders(local_system, stack)
    other = shop_with_orders(local_system, stack, pixel_id=one.pixel_id)
    give(PagedApi())

    without, sharing = local("reconcile", bare.name), local("reconcile", one.name)

    assert without.code == sharing.code == 0
    assert "Not compared with Prisjakt: shop" in said(without)
    assert "At Prisjakt" not in without.out
    assert (
        f"Not searched for purchases of no order: the same pixel is that of shop {other.name}, too."
        in said(sharing)
    )


def test_the_interval_is_as_asked_as_far_as_orders_can_be_reported(
    shop: ShopWithOrders, give: Give
) -> None:
    api = PagedApi()
    give(api)
    today = datetime.now(UTC).date()
    first, last = today - timedelta(days=9), today - timedelta(days=2)

    whole = local("reconcile", shop.name, "--from", f"{first}", "--to", f"{last}")
    default = local("reconcile", shop.name, "--json")
    cut = local("reconcile", shop.name, "--from", "2026-01-01", "--to", f"{first}T12:30")
    nothing = local("reconcile", shop.name, "--from", "2026-01-01", "--to", "2026-01-02")

    assert whole.out.startswith(f"{shop.name}, orders of {first} to {last} UTC\n")
    assert default.json["since"] == f"{today - timedelta(days=6)}T00:00:00.000Z"
    reached = today - timedelta(days=59)
    assert cut.out.startswith(f"{shop.name}, orders of {reached} to {first} 12:30 UTC\n")
    assert f"Orders of before {reached} are left out" in cut.err
    assert (nothing.code, nothing.out) == (2, "")
    assert "are too old to be reported: choose later days" in nothing.err


def test_a_shop_whose_system_nobody_can_ask_is_told(shop: ShopWithOrders) -> None:
    system_of(shop.system, shop.name)
    platform_access.remove(shop.stack, shop.name)

    for command in (["reconcile"], ["backfill", "--dry-run"], ["backfill", "--yes"]):
        called = local(command[0], shop.name, *command[1:])
        assert (called.code, called.out) == (2, "")
        assert f"`prisjakt-relay shop api set {shop.name} --local" in called.err
        assert called.err.count("\n") <= 2


# backfill


def test_a_backfill_shows_asks_and_sends(
    shop: ShopWithOrders, give: Give, queued: list[Conversion]
) -> None:
    missed, cancelled = shop.order(order_number=1001), shop.order(2 * HOURS)
    shop.knows(cancelled)
    changed = shop.order(2 * HOURS, id=cancelled["id"], changed=HOURS, cancelled_at="2026-11-20")
    give(paged(missed, changed, shop.order(note_attributes=[])))

    nobody = local("backfill", shop.name)
    refused = local("backfill", shop.name, stdin="n\n", asked=True)
    assert (nobody.code, refused.code) == (2, 1)
    assert "Send 2 orders? Nobody can be asked here: add --yes to do it." in nobody.err
    assert queued == []

    sent = local("backfill", shop.name, stdin="y\n", asked=True)

    assert sent.code == 0
    words = said(sent)
    assert "missed 1,666.30 SEK" in words
    assert "outdated cancelled" in words
    assert "Of 3 orders: 1 missed; 1 outdated" in words
    assert words.endswith("2 orders put on the queue.")
    assert {each.order_id for each in queued} == {str(missed["id"]), str(changed["id"])}


def test_a_dry_run_sends_nothing(
    shop: ShopWithOrders, give: Give, queued: list[Conversion]
) -> None:
    orders = [shop.order() for _ in range(21)]
    give(paged(*orders))

    shown = local("backfill", shop.name, "--dry-run")
    told = local("backfill", shop.name, "--dry-run", "--json")

    assert shown.code == told.code == 0
    assert "The first 20 are shown. Of 21 orders: 21 missed" in said(shown)
    assert [each["order_id"] for each in told.json["lost"]] == [str(each["id"]) for each in orders]
    assert told.json["lost"][0] == {
        "standing": "missed",
        "order_id": str(orders[0]["id"]),
        "order_reference": str(orders[0]["id"]),
        "event_name": "purchase",
        "ordered_at": moment_of(orders[0]).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "amount": "1666.30",
        "currency": "SEK",
        "number_of_items": 3,
        "void": False,
    }
    assert (told.json["dry_run"], told.json["orders"], told.json["queued"]) == (True, 21, 0)
    assert queued == []


def test_json_is_all_of_the_answer_whether_somebody_is_asked_or_not(
    shop: ShopWithOrders, give: Give, queued: list[Conversion]
) -> None:
    order = shop.order()
    give(paged(order))

    asked = local("backfill", shop.name, "--json", stdin="y\n", asked=True)
    unasked = local("backfill", shop.name, "--json", "--yes")

    for called in (asked, unasked):
        assert (called.json["dry_run"], called.json["queued"]) == (False, 1)
        assert [each["order_id"] for each in called.json["lost"]] == [str(order["id"])]
    assert "Of 1 order: 1 missed" in asked.err
    assert len(queued) == 2


def test_an_interrupted_backfill_goes_on_where_it_was_unless_it_is_to_begin_anew(
    shop: ShopWithOrders, give: Give, queued: list[Conversion]
) -> None:
    first, second = shop.order(4 * HOURS), shop.order()
    page = Page((first,), moment_of(first))
    broken = PagedApi(pages=[page], failure=PlatformBusyError("the shop's server does not answer"))
    give(broken)

    failed = local("backfill", shop.name, "--yes")
    assert failed.code == 3
    assert "1 order put on the queue so far." in failed.err
    assert "error: the shop's server does not answer" in failed.err

    rest = paged(second)
    give(rest)
    again = local("backfill", shop.name, "--restart", "--dry-run")
    assert "interrupted run" not in again.err
    gone_on = local("backfill", shop.name, "--yes", "--json")

    midnight, behind = broken.asked[0][0], moment_of(first)
    assert [since for since, _, _ in rest.asked] == [midnight, behind]
    assert f"An interrupted run came as far as {behind:%Y-%m-%d %H:%M:%S} UTC" in gone_on.err
    assert gone_on.json["continued_from"] == f"{behind:%Y-%m-%dT%H:%M:%S}.000Z"
    assert [each.order_id for each in queued] == [str(first["id"]), str(second["id"])]
    done = local("backfill", shop.name, "--dry-run")
    assert "interrupted run" not in done.err


def test_a_run_that_was_interrupted_at_its_very_beginning_is_not_mentioned(
    shop: ShopWithOrders, give: Give, queued: list[Conversion]
) -> None:
    order = shop.order()
    midnight = shop.now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=6)
    give(PagedApi(pages=[Page((order,), midnight)], failure=PlatformBusyError("later")))
    failed = local("backfill", shop.name, "--yes")
    give(paged(order))

    again = local("backfill", shop.name, "--dry-run", "--json")

    assert failed.code == 3
    assert len(queued) == 1
    assert "interrupted run" not in again.err
    assert again.json["continued_from"] is None


def test_ctrl_c_says_how_far_it_came(
    shop: ShopWithOrders, give: Give, queued: list[Conversion]
) -> None:
    order = shop.order()
    api = paged(order)
    api.failure = KeyboardInterrupt()
    give(api)

    called = local("backfill", shop.name, "--yes")

    assert called.code == 130
    assert "1 order put on the queue so far.\nerror: interrupted: run it again" in called.err
    assert [each.order_id for each in queued] == [str(order["id"])]


def test_nothing_to_send_is_told_and_ends_what_was_interrupted(
    shop: ShopWithOrders, give: Give, queued: list[Conversion]
) -> None:
    order = shop.order(4 * HOURS)
    give(PagedApi(pages=[Page((order,), moment_of(order))], failure=PlatformBusyError("later")))
    local("backfill", shop.name, "--yes")
    give(paged(shop.order(note_attributes=[])))

    called = local("backfill", shop.name)

    assert (called.code, called.out) == (0, "Nothing to send of 1 order.\n")
    assert "interrupted run" in called.err
    assert "interrupted run" not in local("backfill", shop.name).err
    assert len(queued) == 1
