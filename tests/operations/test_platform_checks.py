"""What `doctor` says of a shop's webhooks and of reconciling, on simulated shop systems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.operations.patients import SECRET, put
from tests.operations.shop_servers import Served, put_access, served

from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import checks, shop_checks, shop_page, shops, webhooks
from prisjakt_relay.operations.finding import Finding
from prisjakt_relay.operations.stack import Stack, clock
from prisjakt_relay.platform_api import PLATFORM_APIS
from prisjakt_relay.reconciler.progress import Progress, ProgressBook


def registered(stack: Stack, name: str) -> list[Finding]:
    return shop_checks.registered(stack, name, shops.shop(stack, name))


def register(stack: Stack, name: str) -> None:
    shop = webhooks.of_shop(stack, name)
    assert list(shop.carry_out(shop.findings()))


@pytest.fixture
def woocommerce(stack: Stack, local_system: LocalSystem) -> Iterator[Served]:
    """A shop whose webhooks are registered."""
    with served(local_system) as shop:
        register(stack, shop.name)
        yield shop


# Webhooks


@pytest.mark.parametrize("platform", PLATFORM_APIS)
def test_webhooks_that_are_alive_are_right(
    platform: str, stack: Stack, local_system: LocalSystem
) -> None:
    with served(local_system, platform) as shop:
        register(stack, shop.name)
        (finding,) = registered(stack, shop.name)
        names = [name for name, _ in checks.sections(stack, shop.name)[1].checks]

    first = {"shopify": "orders/updated", "woocommerce": "order.updated"}[platform]
    assert finding.right is True
    assert finding.found.startswith(f"alive: {first}, ")
    assert {"webhooks", "reconciliation"} <= set(names)


def test_a_shop_without_access_has_no_such_line(stack: Stack, local_system: LocalSystem) -> None:
    assert registered(stack, put(local_system)) == []


def test_a_webhook_that_is_disabled_or_missing_is_wrong(stack: Stack, woocommerce: Served) -> None:
    woocommerce.system.webhooks[1].status = "disabled"
    (disabled,) = registered(stack, woocommerce.name)
    woocommerce.system.webhooks.clear()
    (missing,) = registered(stack, woocommerce.name)

    repair = f"put them in order with `{stack.command('webhooks', 'repair', woocommerce.name)}`"
    assert (disabled.right, disabled.found) == (False, "order.updated is disabled")
    assert (missing.right, missing.found) == (
        False,
        "order.updated is missing, order.created is missing",
    )
    assert disabled.remedy == missing.remedy == repair


def test_what_shopify_does_not_show_is_no_fault_until_it_was_there(
    stack: Stack, local_system: LocalSystem
) -> None:
    """Shopify deletes a subscription after failures; those of its admin it never shows."""
    with served(local_system, "shopify") as shop:
        (unseen,) = registered(stack, shop.name)
        ProgressBook(stack.store).put(shop.name, Progress(has_webhooks=True))
        (deleted,) = registered(stack, shop.name)

    assert unseen.right is None
    assert "those of Shopify's admin cannot be seen" in unseen.found
    assert f"`{stack.command('webhooks', 'register', shop.name)}`" in unseen.remedy
    assert deleted.right is False
    assert deleted.found.startswith("orders/updated is missing")


def test_webhooks_that_sign_in_vain_are_wrong(stack: Stack, local_system: LocalSystem) -> None:
    with served(local_system, "shopify", signing_secrets=["another"]) as shop:
        register(stack, shop.name)
        (finding,) = registered(stack, shop.name)

    assert finding.right is False
    assert "which the shop does not accept" in finding.found
    assert f"signing-secret add {shop.name} --signing-secret -" in finding.remedy
    assert SECRET not in finding.found + finding.remedy


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ("{", "cannot be used: document: is not JSON"),
        ({"address": "https://shop.example"}, "the access to the shop's own API: consumer_key: is"),
        ({"adress": "https://shop.example"}, "own API: adress: not known to this version"),
    ],
)
def test_access_that_cannot_be_used_is_wrong(
    document: object, found: str, stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system, "woocommerce")
    put_access(local_system, name, document)

    (finding,) = registered(stack, name)

    assert finding.right is False
    assert found in finding.found
    assert finding.remedy == f"give access with `{stack.command('shop', 'api', 'set', name)}`"


def test_a_key_that_is_refused_is_wrong_and_a_busy_server_is_not(
    stack: Stack, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(local_system, has_access=False) as shop:
        put_access(local_system, shop.name, shop.access | {"consumer_secret": "cs_other"})
        (refused,) = registered(stack, shop.name)
        shop.system.outage = 503
        monkeypatch.setattr(shop_checks, "_LONGEST_WAIT", 0.5)
        (busy,) = registered(stack, shop.name)
        shop.system.outage = 418
        (broken,) = registered(stack, shop.name)

    assert (refused.right, busy.right, broken.right) == (False, None, False)
    assert "`prisjakt-relay shop api set " in refused.remedy
    assert busy.found.startswith("not looked at: ")
    assert "cs_other" not in str([refused, busy, broken])


# Reconciling


def test_reconciling_that_is_off_is_advised(stack: Stack, woocommerce: Served) -> None:
    with_access = shop_checks.reconciliation(stack, woocommerce.name)
    without = shop_checks.reconciliation(stack, "nobody")

    switch = stack.command("shop", "set", woocommerce.name, "--reconcile", "on")
    assert (with_access.right, with_access.remedy) == (None, f"switch it on with `{switch}`")
    assert without.right is None
    assert without.remedy.startswith("give access with `prisjakt-relay shop api set nobody")


@pytest.mark.parametrize(
    ("progress", "right", "found"),
    [
        ({}, None, "on, has not run yet"),
        ({"minutes": 20}, True, "on, last run 20 min ago"),
        ({"minutes": 20, "problem": "it is ill"}, False, "failed 20 min ago: it is ill"),
        ({"minutes": 240}, False, "on, but has not run for 4 h"),
    ],
)
def test_reconciling_is_right_while_it_runs(
    progress: dict[str, Any], right: bool | None, found: str, stack: Stack, woocommerce: Served
) -> None:
    book = ProgressBook(stack.store)
    book.add(woocommerce.name, clock())
    if progress:
        ran_at = clock() - timedelta(minutes=progress["minutes"])
        problem = progress.get("problem", "")
        book.put(woocommerce.name, Progress(ran_at=ran_at, problem=problem))

    finding = shop_checks.reconciliation(stack, woocommerce.name)

    book.remove(woocommerce.name)
    assert (finding.right, finding.found) == (right, found)
    assert bool(finding.remedy) is not (right is True)


def test_reconciling_without_its_alarms_is_told(stack: Stack, woocommerce: Served) -> None:
    """They cost money, so a stack has them only if it is told to."""
    book = ProgressBook(stack.store)
    book.add(woocommerce.name, clock())
    book.put(woocommerce.name, Progress(ran_at=clock() - timedelta(minutes=20)))
    silent = replace(stack, parameters={**stack.parameters, "ReconcilerAlarms": "off"})

    finding = shop_checks.reconciliation(silent, woocommerce.name)

    book.remove(woocommerce.name)
    assert finding.right is None
    assert finding.found == "on, last run 20 min ago; its alarms are off"
    assert finding.remedy == "deploy with the parameter ReconcilerAlarms=on"


def test_reconciling_without_access_is_wrong(stack: Stack, local_system: LocalSystem) -> None:
    name = put(local_system)
    book = ProgressBook(stack.store)
    book.add(name, clock())

    finding = shop_checks.reconciliation(stack, name)

    book.remove(name)
    assert finding.right is False
    assert finding.remedy == f"give access with `{stack.command('shop', 'api', 'set', name)}`"


# The snippet


@pytest.mark.parametrize(
    ("document", "page"),
    [
        ({"public_address": "https://www.shop.example/sv"}, "https://www.shop.example/sv/"),
        ({}, "https://wordpress.example/"),
        ({"consumer_key": ""}, "https://domain.example/"),
        (None, "https://domain.example/"),
    ],
)
def test_the_snippet_is_looked_for_where_customers_go(
    document: dict[str, str] | None,
    page: str,
    stack: Stack,
    local_system: LocalSystem,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = put(local_system, "woocommerce", domain="domain.example")
    if document is not None:
        whole = {
            "address": "https://wordpress.example",
            "consumer_key": "ck_1",
            "consumer_secret": "cs_1",
        }
        put_access(local_system, name, whole | document)
    looked_at: list[str] = []
    monkeypatch.setattr(shop_page, "look", lambda page, *_: looked_at.append(page))

    deployed = replace(stack, local_port=None)
    shop_checks.snippet(deployed, name, shops.shop(stack, name), None)
    shop_checks.snippet(deployed, name, shops.shop(stack, name), "https://other.example/")

    assert looked_at == [page, "https://other.example/"]
