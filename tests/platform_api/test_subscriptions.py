"""Webhooks: what is to be said of those that are there, and how they become what they should be."""

from __future__ import annotations

import pytest
from tests.platform_api.api_double import ApiDouble

from prisjakt_relay.platform_api.interface import Webhook
from prisjakt_relay.platform_api.subscriptions import (
    IN_ORDER,
    Finding,
    State,
    examined,
    put_in_order,
)

ADDRESS = "https://relay.example/webhooks/shopify/alfa"
TOPICS = ("orders/updated", "orders/create")  # the first tells of every change


def webhook(id_: str, topic: str = "orders/create", **more: object) -> Webhook:
    return Webhook(**{"id": id_, "topic": topic, "address": ADDRESS, **more})  # type: ignore[arg-type]


def test_a_shop_without_webhooks_misses_each_topic() -> None:
    assert examined([], TOPICS, ADDRESS) == (
        Finding("orders/updated", State.MISSING),
        Finding("orders/create", State.MISSING),
    )


def test_where_every_change_is_told_the_other_topics_are_optional() -> None:
    """A shop whose one webhook was made by hand is well set up."""
    updated = webhook("1", "orders/updated")

    assert examined([updated], (*TOPICS, "orders/cancelled"), ADDRESS) == (
        Finding("orders/updated", State.ALIVE, updated),
        Finding("orders/create", State.OPTIONAL),
        Finding("orders/cancelled", State.OPTIONAL),
    )


@pytest.mark.parametrize("problems", [("is disabled",), None])
def test_where_not_every_change_is_told_no_topic_is_optional(
    problems: tuple[str, ...] | None,
) -> None:
    """Nor is the first one where only others are alive."""
    hooks = [webhook("1", "orders/create")]
    if problems:
        hooks.append(webhook("2", "orders/updated", problems=problems))

    findings = examined(hooks, (*TOPICS, "orders/cancelled"), ADDRESS)

    assert [each.state for each in findings] == [
        State.BROKEN if problems else State.MISSING,
        State.ALIVE,
        State.MISSING,
    ]


def test_one_webhook_of_each_topic_is_all_that_is_needed() -> None:
    hooks = [webhook("2", "orders/create"), webhook("1", "orders/updated")]

    assert examined(hooks, TOPICS, ADDRESS) == (
        Finding("orders/updated", State.ALIVE, hooks[1]),
        Finding("orders/create", State.ALIVE, hooks[0]),
    )


@pytest.mark.parametrize(
    "address",
    [
        "https://RELAY.example/webhooks/shopify/alfa",
        "https://relay.example/webhooks/shopify/alfa/",
        " https://relay.example/webhooks/shopify/alfa ",
        "https://relay.example/webhooks/shopify/alfa?source=shop",
    ],
)
def test_an_address_is_ours_however_it_was_written(address: str) -> None:
    ours = webhook("1", address=address)

    assert examined([ours], ["orders/create"], ADDRESS) == (
        Finding("orders/create", State.ALIVE, ours),
    )


@pytest.mark.parametrize(
    "address",
    [
        "https://relay.example/webhooks/shopify/beta",
        "https://relay.example/webhooks/woocommerce/alfa",
        "https://other.example/webhooks/shopify/alfa",
        "https://relay.example:8443/webhooks/shopify/alfa",
    ],
)
def test_another_relays_or_another_shops_webhook_is_foreign_and_no_substitute(
    address: str,
) -> None:
    """In a test system beside the live one, for example."""
    foreign = webhook("1", address=address)

    assert examined([foreign], ["orders/create"], ADDRESS) == (
        Finding("orders/create", State.MISSING),
        Finding("orders/create", State.FOREIGN, foreign),
    )


@pytest.mark.parametrize(
    "address",
    [
        "https://bookkeeping.example/hook",
        "https://bookkeeping.example/webhooks/orders",
        "https://bookkeeping.example/webhooks/shopify/alfa/orders",
        "",
        "https://[::1",
        "arn:aws:events:eu-north-1",
    ],
)
def test_what_goes_to_no_relay_is_left_out(address: str) -> None:
    assert examined([webhook("1", address=address)], [], ADDRESS) == ()


def test_a_webhook_with_a_problem_is_broken() -> None:
    disabled = webhook("1", problems=("is disabled",))

    assert examined([disabled], ["orders/create"], ADDRESS) == (
        Finding("orders/create", State.BROKEN, disabled),
    )


def test_of_several_the_newest_that_works_stays() -> None:
    """It may have the newer secret. Ids are numbers, of which the longer is the greater."""
    disabled = webhook("7", problems=("is disabled",))
    hooks = [webhook("10"), disabled, webhook("9")]

    assert examined(hooks, ["orders/create"], ADDRESS) == (
        Finding("orders/create", State.ALIVE, hooks[0]),
        Finding("orders/create", State.DOUBLED, hooks[2]),
        Finding("orders/create", State.DOUBLED, disabled),
    )


def test_ours_of_a_topic_that_is_not_needed_is_extra() -> None:
    extra = webhook("1", "orders/paid")

    assert examined([extra], [], ADDRESS) == (Finding("orders/paid", State.EXTRA, extra),)


def test_what_is_alive_or_left_alone_is_in_order() -> None:
    assert set(State) - IN_ORDER == {State.MISSING, State.BROKEN, State.DOUBLED}


# Putting in order


def mixed() -> ApiDouble:
    """One of everything: alive and doubled, broken, optional, extra, foreign, somebody else's."""
    return ApiDouble(
        topics=("orders/create", "orders/updated", "orders/cancelled"),
        hooks=[
            webhook("1"),
            webhook("2"),
            webhook("3", "orders/updated", problems=("is disabled",)),
            webhook("4", "orders/paid"),
            webhook("5", address="https://relay.example/webhooks/shopify/beta"),
            webhook("6", address="https://bookkeeping.example/hook"),
        ],
    )


def mended(api: ApiDouble) -> list[Finding]:
    findings = examined(api.webhooks(), api.topics, ADDRESS)
    return list(put_in_order(api, findings, ADDRESS, "hush-hush"))


@pytest.mark.parametrize("hooks", [[], [webhook("1", "orders/updated")]])
def test_every_topic_gets_a_webhook_also_an_optional_one(hooks: list[Webhook]) -> None:
    api = ApiDouble(hooks=list(hooks))

    done = mended(api)

    assert {each.topic for each in api.hooks} == set(api.topics)
    assert len(done) == len(api.topics) - len(hooks)
    assert mended(api) == []


def test_what_is_missing_is_made_what_is_broken_replaced_and_a_double_removed() -> None:
    api = mixed()

    done = mended(api)

    assert [(each.topic, each.state, each.webhook and each.webhook.id) for each in done] == [
        ("orders/create", State.DOUBLED, "1"),
        ("orders/updated", State.BROKEN, "101"),
        ("orders/cancelled", State.OPTIONAL, "102"),
    ]
    assert api.changes == [
        ("remove", "1"),
        ("replace", "3", ADDRESS, "hush-hush"),
        ("create", "orders/cancelled", ADDRESS, "hush-hush"),
    ]
    assert [each.id for each in api.hooks] == ["2", "101", "4", "5", "6", "102"]


def test_what_is_in_order_stays_as_it_is() -> None:
    api = mixed()
    mended(api)
    api.changes.clear()

    assert mended(api) == []
    assert api.changes == []
    assert {each.state for each in examined(api.webhooks(), api.topics, ADDRESS)} == {
        State.ALIVE,
        State.EXTRA,
        State.FOREIGN,
    }


@pytest.mark.parametrize("done", [0, 1, 2])
def test_an_interruption_costs_nothing(done: int) -> None:
    """Each is told when it is done, so that one may stop there and begin again later."""
    whole, interrupted = mixed(), mixed()
    mended(whole)

    steps = put_in_order(
        interrupted,
        examined(interrupted.webhooks(), interrupted.topics, ADDRESS),
        ADDRESS,
        "hush-hush",
    )
    for _ in range(done):
        next(steps)
    assert len(interrupted.changes) == done
    mended(interrupted)

    assert len(interrupted.changes) == 3
    assert {(each.topic, each.problems) for each in interrupted.hooks} == {
        (each.topic, each.problems) for each in whole.hooks
    }
