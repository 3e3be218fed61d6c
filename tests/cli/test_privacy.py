"""The command `privacy`, as an operator uses it who answers a customer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cli.calling import local
from tests.cli.orders import SECRET, asked_until, credentials, deliver, new_shop, posted
from tests.conftest import PATIENCE
from tests.operations.dying import SAMPLE

from prisjakt_relay.conversion import OLDEST, PURCHASE, utc_text
from prisjakt_relay.erasure import of_orders, of_shop
from prisjakt_relay.ledger import DEAD_KEPT, LAST_FIRST_REPORT, key, to_item
from prisjakt_relay.local.deliveries import load
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import dead_orders, ledger_items, privacy, shops
from prisjakt_relay.operations.stack import Stack, clock

CLICK_ID = "a70a2d14-b4f3-4ead-9644-f96e8279e5ca"


def reported(system: LocalSystem, shop: str, **changes: Any) -> str:
    order_id = deliver(system, shop, **changes)
    asked_until(
        lambda told: [each["status"] for each in told["ledger"]] == ["reported"],
        "order",
        shop,
        order_id,
    )
    return order_id


def shown_until(condition: Callable[[Any], bool], *arguments: str) -> Any:
    end = time.monotonic() + PATIENCE
    while True:
        called = local("privacy", "show", *arguments, "--json")
        assert called.code == 0, called.err
        if condition(called.json["orders"]):
            return called.json["orders"]
        assert time.monotonic() < end, called.out
        time.sleep(0.2)


def sets_aside(stack: Stack, shop: str, body: str) -> None:
    sqs, url = stack.client("sqs"), stack.outputs["DeadLettersUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=shop)


def stuck_erasure(stack: Stack, shop: str, *order_ids: str) -> None:
    (wish,) = of_orders(order_ids, "shopify", shop, clock())
    sets_aside(stack, shop, wish.to_message())


def stuck_order(stack: Stack, shop: str, order_id: str, reference: str) -> None:
    now = clock().isoformat()
    ids = {"shop": shop, "order_id": order_id, "order_reference": reference}
    sets_aside(stack, shop, json.dumps(SAMPLE | ids | {"event_time": now, "received_at": now}))


def sends_request(system: LocalSystem, shop: str, sample: str, **changes: Any) -> None:
    delivery = load("shopify", sample)
    body = json.dumps(json.loads(delivery.body) | changes).encode()
    address = f"{system.address}/webhooks/shopify/{shop}"
    answer = posted(address, body, lambda: delivery.signed(body, SECRET, datetime.now(UTC)))
    assert answer.status == 200


def erased(shop: str, *arguments: str) -> Any:
    called = local("privacy", "erase", shop, *arguments, "--yes", "--json")
    assert called.code == 0, called.err
    return called.json


def test_everything_of_an_order_is_shown_as_it_is_held(local_system: LocalSystem) -> None:
    """The click id whole, with its signature: a customer may ask for all of it."""
    shop, pixel_id = new_shop(local_system, **credentials())
    order_id = reported(local_system, shop)

    (told,) = shown_until(lambda orders: orders[0]["log_lines"]["number"] == 2, shop, order_id)

    (item,) = told["ledger"]
    assert item["click_id"] == f"{CLICK_ID}_c3d717ebf3b80680"
    assert (item["pixel_id"], item["reported"]["amount"]) == (pixel_id, "1666.30")
    assert "token" not in item
    assert told["dead_letters"] == []
    assert [event["external_event_id"] for event in told["prisjakt"]["events"]] == [order_id]
    assert told["erased"] is False


def test_people_read_it_in_80_columns(local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system, **credentials())
    order_id = reported(local_system, shop)

    called = local("privacy", "show", shop, order_id, width=80)

    assert (called.code, called.err) == (0, "")
    assert max(map(len, called.out.splitlines())) <= 80
    for part in (f"Order {order_id}", "In the ledger", "click_id", "At Prisjakt", "Log lines"):
        assert part in called.out


def test_an_order_is_found_by_its_reference_too(local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system, order_reference="SE-{id}")
    order_id = reported(local_system, shop)

    named = (shop, f"SE-{order_id}", order_id)
    told = shown_until(lambda orders: orders[0]["log_lines"]["number"] == 2, *named)

    assert [each["order"] for each in told] == [order_id]
    assert f"Order {order_id} (SE-{order_id})" in local("privacy", "show", *named).out


def test_by_the_number_that_a_customer_sees_the_order_itself_is_erased(
    local_system: LocalSystem,
) -> None:
    shop, _ = new_shop(local_system, order_reference="{name}")
    order_id, other = reported(local_system, shop, name="#77"), reported(local_system, shop)

    called = local("privacy", "erase", shop, "#77", stdin="y\n", asked=True)

    assert called.code == 0
    assert f"Erase for good 1 order of shop {shop}: {order_id} (#77)?" in called.err
    assert "no id or reference" not in called.err
    assert f"1 order of shop {shop}: {order_id} (#77). That takes a moment." in called.out
    shown_until(lambda orders: orders[0]["erased"], shop, order_id)
    (told,) = local("privacy", "show", shop, other, "--json").json["orders"]
    assert told["erased"] is False


def test_an_order_that_was_erased_is_found_by_a_reference_that_holds_its_id(
    local_system: LocalSystem,
) -> None:
    shop, _ = new_shop(local_system, order_reference="SE-{id}")
    order_id = reported(local_system, shop)

    assert erased(shop, f"SE-{order_id}")["orders"] == [order_id]

    (told,) = shown_until(lambda orders: orders[0]["erased"], shop, f"SE-{order_id}")
    assert told["order"] == order_id


@pytest.mark.parametrize(
    ("pattern", "given", "order_id", "taken"),
    [
        ("{id}", "1001", "1001", "the shop system's id of an order, not the number that"),
        ("{name}", "4711", "4711", "the shop system's id of an order, not the number that"),
        ("SE-{id}", "SE-1001", "1001", "the reference of order 1001"),
    ],
)
def test_what_an_unknown_name_is_taken_for_is_said_before_anything_is_erased(
    pattern: str, given: str, order_id: str, taken: str, local_system: LocalSystem
) -> None:
    shop, _ = new_shop(local_system, order_reference=pattern)
    known = reported(local_system, shop)

    asked = local("privacy", "erase", shop, given, known, stdin="n\n", asked=True)

    assert asked.code == 1
    hint = f"{given} is no id or reference that the relay knows: it is taken as {taken}"
    assert asked.err.startswith(hint)
    assert asked.err.count("no id or reference") == 1
    assert hint in local("privacy", "show", shop, given).err
    told = erased(shop, given, known)
    assert (told["orders"], told["unknown"]) == ([order_id, known], [given])


@pytest.mark.parametrize(
    ("choices", "given"),
    [
        ({}, "#4711"),
        ({"order_reference": "{name}"}, "#4711"),
        ({"order_reference": "SE-{id}"}, "SE-A1"),
        ({"platform": "woocommerce"}, "A1"),
        ({"platform": "custom"}, "anna@example.com"),
    ],
)
def test_an_unknown_name_that_can_be_no_id_is_refused(
    choices: dict[str, str], given: str, local_system: LocalSystem
) -> None:
    """Most likely the number that the customer told: nothing would be erased."""
    shop, _ = new_shop(local_system, **choices)

    refused = [
        local("privacy", "erase", shop, given, "1001", *more) for more in ([], ["--yes"], ["--id"])
    ]
    shown = local("privacy", "show", shop, given)

    for called in refused:
        assert (called.code, called.out) == (2, "")
        assert f"the relay knows no order {given}, and the shop's system makes no" in called.err
        assert "1001" not in called.err
    assert "Nothing is held of it." in shown.out
    assert (shown.code, shown.err.count(f"no order {given}, and")) == (0, 1)
    assert "as in the address of the order in its admin" in shown.err


def test_a_name_that_two_orders_have_is_refused_unless_it_is_said_to_be_an_id(
    local_system: LocalSystem,
) -> None:
    shop, _ = new_shop(local_system, order_reference="{name}")
    one = reported(local_system, shop, name="#1")
    other = reported(local_system, shop, name=one)

    for command in (["erase", "--yes"], ["show"]):
        called = local("privacy", command[0], shop, one, *command[1:])
        assert (called.code, called.out) == (2, "")
        assert f"{one} is the id or the reference of 2 orders of {shop}, {one} and {other}: " in (
            called.err
        )
        assert "add --id" in called.err

    (told,) = local("privacy", "show", shop, one, "--id", "--json").json["orders"]
    assert (told["order"], told["ledger"][0]["external_id"]) == (one, "#1")
    assert erased(shop, one, "--id")["orders"] == [one]
    shown_until(lambda orders: orders[0]["erased"], shop, one, "--id")
    (told,) = local("privacy", "show", shop, other, "--json").json["orders"]
    assert told["erased"] is False


def test_a_reference_that_only_a_stuck_message_has_is_known(
    local_system: LocalSystem, stack: Stack
) -> None:
    """And what is shown of an order is never a message about another one with its id as number."""
    shop, _ = new_shop(local_system, order_reference="{name}")
    stuck_order(stack, shop, "5712", "#9")
    stuck_order(stack, shop, "5713", "5714")
    stuck_erasure(stack, shop, "5714")

    (told,) = shown_until(lambda orders: orders[0]["dead_letters"], shop, "#9")

    assert told["order"] == "5712"
    (told,) = local("privacy", "show", shop, "5714", "--id", "--json").json["orders"]
    assert [each["message"]["kind"] for each in told["dead_letters"]] == ["erasure"]
    asked = local("privacy", "erase", shop, "#9", "5713", stdin="n\n", asked=True)
    assert f"Erase for good 2 orders of shop {shop}: 5712 (#9), 5713?" in asked.err
    assert "no id or reference" not in asked.err
    drop = ("dead", "drop", shop, "5712", "5713", "--reason", "undelivered", "--yes")
    assert local(*drop).code == 0
    assert local("dead", "resend", shop, "--reason", "undelivered", "--yes").code == 0


def test_of_many_orders_the_question_names_the_first(local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system)
    orders = [str(number) for number in range(1, 13)]

    asked = local("privacy", "erase", shop, *orders, stdin="n\n", asked=True)

    assert f"12 orders of shop {shop}: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, and 2 more?" in asked.err


def test_of_an_unknown_order_nothing_is_held(local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system)

    called = local("privacy", "show", shop, "4711")

    assert called.code == 0
    assert "Nothing is held of it." in called.out


def test_a_request_for_data_is_among_the_lines_of_each_order_that_it_names(
    local_system: LocalSystem,
) -> None:
    shop, _ = new_shop(local_system, order_reference="SE-{id}")
    order_id = reported(local_system, shop)
    sends_request(
        local_system, shop, "customers-data-request", orders_requested=[4711, int(order_id)]
    )

    (told,) = shown_until(lambda orders: orders[0]["log_lines"]["number"] == 1, shop, "4711")
    shown_until(lambda orders: orders[0]["log_lines"]["number"] == 3, shop, f"SE-{order_id}")

    assert told["log_lines"]["first"] == told["log_lines"]["last"]
    called = local("privacy", "show", shop, "4711")
    assert "Log lines with its id: 1, from" in called.out
    assert "no id or reference" not in called.err
    (none,) = local("privacy", "show", shop, "4712", "--json").json["orders"]
    assert none["log_lines"]["number"] == 0


def test_a_stuck_request_to_erase_is_shown_without_the_other_orders_that_it_names(
    local_system: LocalSystem, stack: Stack
) -> None:
    shop, _ = new_shop(local_system)
    order_id = reported(local_system, shop)
    (told,) = local("privacy", "show", shop, order_id, "--json").json["orders"]
    item = told["ledger"][0]
    stuck_erasure(stack, shop, "another-customers", order_id)

    (told,) = shown_until(lambda orders: orders[0]["dead_letters"], shop, order_id)

    (letter,) = told["dead_letters"]
    assert set(letter) == {"message_id", "sent_at", "message"}
    assert set(letter["message"]) == {"kind", "received_at", "order_ids"}
    assert (letter["message"]["kind"], letter["message"]["order_ids"]) == ("erasure", [order_id])
    assert told["ledger"] == [item]
    shown = local("privacy", "show", shop, order_id).out
    assert "In the queue DeadLetters" in shown
    assert "another-customers" not in shown + repr(told)
    assert local("dead", "resend", shop, order_id, "--yes").code == 0


def test_a_stuck_request_to_erase_the_whole_shop_is_about_each_order(
    local_system: LocalSystem, stack: Stack
) -> None:
    shop, _ = new_shop(local_system)
    sets_aside(stack, shop, of_shop("shopify", shop, clock()).to_message())

    (told,) = shown_until(lambda orders: orders[0]["dead_letters"], shop, "4711")

    (letter,) = told["dead_letters"]
    assert letter["message"]["whole_shop"] is True
    assert "order_ids" not in letter["message"]
    assert local("dead", "resend", shop, "--reason", "undelivered", "--yes").code == 0


def test_a_stuck_message_of_an_order_is_shown_whole(
    local_system: LocalSystem, stack: Stack
) -> None:
    shop, _ = new_shop(local_system)
    stuck_order(stack, shop, "4711", "4711")

    (told,) = shown_until(lambda orders: orders[0]["dead_letters"], shop, "4711")

    (letter,) = told["dead_letters"]
    assert letter["message"]["click_id"] == SAMPLE["click_id"]
    assert local("dead", "drop", shop, "4711", "--reason", "undelivered", "--yes").code == 0


@pytest.mark.parametrize("command", ["show", "erase"])
def test_a_shop_that_is_not_there_and_left_nothing_is_a_wrong_call(
    command: str, local_system: LocalSystem
) -> None:
    assert local_system.address
    yes = ["--yes"] if command == "erase" else []

    called = local("privacy", command, "no-such-shop", "4711", *yes)

    assert called.code == 2
    assert "there is no shop no-such-shop" in called.err


def test_erasing_all_of_a_shop_that_never_was_is_a_wrong_call(local_system: LocalSystem) -> None:
    assert local_system.address

    called = local("privacy", "erase", "no-such-shop", "--all", "--yes")

    assert called.code == 2
    assert "there is no shop no-such-shop" in called.err


def test_orders_of_a_shop_that_was_removed_are_shown_and_erased(local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system)
    order_id = reported(local_system, shop)
    assert local("shop", "remove", shop, "--yes").code == 0

    (told,) = local("privacy", "show", shop, order_id, "--json").json["orders"]
    assert told["ledger"][0]["status"] == "reported"
    called = local("privacy", "erase", shop, order_id, "--yes", "--json")

    assert called.json == {
        "shop": shop,
        "all": False,
        "orders": [order_id],
        "unknown": [],
        "queued": True,
    }
    shown_until(lambda orders: orders[0]["erased"], shop, order_id)


def test_all_of_a_shop_that_was_removed_is_erased(local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system)
    orders = [reported(local_system, shop) for _ in range(2)]
    assert local("shop", "remove", shop, "--yes").code == 0

    assert local("privacy", "erase", shop, "--all", "--yes").code == 0

    for told in shown_until(lambda found: all(one["erased"] for one in found), shop, *orders):
        assert CLICK_ID not in repr(told)


def test_an_erased_order_says_so_wherever_it_is_asked_for(local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system, **credentials())
    order_id = reported(local_system, shop)
    assert local("privacy", "erase", shop, order_id, "--yes").code == 0
    shown_until(lambda orders: orders[0]["erased"], shop, order_id)

    order = local("order", shop, order_id)

    assert order.code == 0
    assert "was erased on request on" in order.out
    assert "What Prisjakt holds was not asked for" in order.out
    assert "At Prisjakt: nothing" not in order.out
    assert "It was erased" in local("privacy", "show", shop, order_id).out
    for text in (order.out, local("order", shop, order_id, "--json").out):
        assert CLICK_ID not in text


@pytest.mark.parametrize("answer", ["n\n", None])
def test_nothing_is_erased_without_a_yes(answer: str | None, local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system)
    order_id = reported(local_system, shop)

    called = local("privacy", "erase", shop, order_id, stdin=answer or "", asked=answer is not None)

    assert called.code == (2 if answer is None else 1)
    assert f"Erase for good 1 order of shop {shop}: {order_id}?" in called.err
    (told,) = local("privacy", "show", shop, order_id, "--json").json["orders"]
    assert told["erased"] is False


@pytest.mark.parametrize("arguments", [[], ["4711", "--all"]])
def test_orders_or_all_of_them_one_has_to_be_said(
    arguments: list[str], local_system: LocalSystem
) -> None:
    shop, _ = new_shop(local_system)

    called = local("privacy", "erase", shop, *arguments, "--yes")

    assert called.code == 2
    assert "name the orders to erase, or say --all" in called.err


def test_unknown_orders_take_no_walk_where_references_are_ids(
    local_system: LocalSystem, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A customer's orders are mostly unknown to the relay: each would take hundreds of reads."""
    shop, _ = new_shop(local_system)
    monkeypatch.setattr(ledger_items, "of_day", lambda *_, **__: pytest.fail("a walk"))

    found, _ = privacy.named(stack, shop, ["1", "2", "3"])

    assert [(each.order_id, each.known) for each in found] == [
        ("1", False),
        ("2", False),
        ("3", False),
    ]


def test_known_orders_take_no_walk_where_no_reference_can_be_their_id(
    local_system: LocalSystem, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, _ = new_shop(local_system, order_reference="SE-{id}")
    order_id = reported(local_system, shop)
    monkeypatch.setattr(ledger_items, "of_day", lambda *_, **__: pytest.fail("a walk"))

    for given in (order_id, f"SE-{order_id}"):
        (found,), _ = privacy.named(stack, shop, [given])
        assert (found.order_id, found.known) == (order_id, True)
    (found,), _ = privacy.named(stack, shop, ["SE-1"], by_id=True)
    assert (found.order_id, found.known) == ("SE-1", False)


@pytest.mark.parametrize("pattern", ["SE-{id}", "{id}"])
def test_a_reference_of_an_earlier_pattern_is_found(
    pattern: str, local_system: LocalSystem, stack: Stack
) -> None:
    shop, _ = new_shop(local_system, order_reference="{name}")
    order_id = reported(local_system, shop, name="#78")
    document = json.loads(
        stack.client("secretsmanager").get_secret_value(SecretId=f"{stack.name}/shops/{shop}")[
            "SecretString"
        ]
    )
    local_system.aws.put_shop(shop, document | {"order_reference": pattern})

    assert erased(shop, "#78")["orders"] == [order_id]

    shown_until(lambda orders: orders[0]["erased"], shop, order_id)


def test_what_the_ledger_keeps_longest_is_found_by_its_reference(
    local_system: LocalSystem, stack: Stack
) -> None:
    """As old as an order may be when it comes, given up by the relay and then by somebody."""
    shop, _ = new_shop(local_system, order_reference="{name}")
    order_id = reported(local_system, shop, name="#79")
    record = stack.ledger.get(key(shop, order_id, PURCHASE))
    assert record is not None
    made = clock() - OLDEST - LAST_FIRST_REPORT - 2 * DEAD_KEPT
    item = to_item(replace(record, event_time=utc_text(made), version=record.version + 1))
    assert stack.store.put(item, previous=record.version)

    (found,), _ = privacy.named(stack, shop, ["#79"])

    assert (found.order_id, found.known) == (order_id, True)


@pytest.mark.parametrize("what", ["5712", "--all"])
def test_of_a_shop_that_was_removed_a_stuck_message_says_what_its_system_was(
    what: str, local_system: LocalSystem, stack: Stack
) -> None:
    shop, _ = new_shop(local_system, platform="woocommerce")
    stuck_order(stack, shop, "5712", "5712")
    stuck_order(stack, shop, "5713", "5713")
    document = {"SecretId": f"{stack.name}/shops/{shop}", "ForceDeleteWithoutRecovery": True}
    stack.client("secretsmanager").delete_secret(**document)

    if what == "--all":
        assert privacy.erasure_of_shop(stack, shop).platform == SAMPLE["platform"]
    else:
        (wish,) = privacy.erasures_of_orders(stack, shop, [what])
        assert wish.platform == SAMPLE["platform"]
        with pytest.raises(shops.NoShopError):
            privacy.erasures_of_orders(stack, shop, ["4711"])
        found, _ = privacy.named(stack, shop, ["5713", "#5714"])
        assert [each.possible for each in found] == [True, False]

    drop = ("dead", "drop", shop, "5712", "5713", "--reason", "undelivered", "--yes")
    assert local(*drop).code == 0


def test_it_is_said_that_not_all_messages_were_looked_at(
    local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, _ = new_shop(local_system)
    monkeypatch.setattr(dead_orders, "letters", lambda *_: ([], 7))

    shown = local("privacy", "show", shop, "4711", "--json")
    asked = local("privacy", "erase", shop, "4711", stdin="n\n", asked=True)

    said = "About 7 more messages of the queue DeadLetters were not looked at."
    assert said in shown.err
    assert said in asked.err


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"date": "Sat, 21 Nov 2026 23:45:29 GMT"}, datetime(2026, 11, 21, 23, 45, 30, tzinfo=UTC)),
        ({"date": "soon"}, None),
        ({}, None),
    ],
)
def test_the_time_of_an_answer_is_read_from_it(
    headers: dict[str, str], told: datetime | None
) -> None:
    assert privacy.told_time(headers) == told


def test_a_whole_shop_is_erased_up_to_now_by_the_clock_of_aws(
    local_system: LocalSystem, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a laptop's that is slow, the last orders would be spared."""
    shop, _ = new_shop(local_system)
    began = clock()
    monkeypatch.setattr(privacy, "clock", lambda: began - timedelta(minutes=10))

    wish = privacy.erasure_of_shop(stack, shop)

    assert began <= wish.received_at <= clock() + timedelta(seconds=1)
