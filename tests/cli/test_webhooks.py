"""`webhooks`: a shop's, seen and put in order through its simulated shop system."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from tests.cli.calling import local
from tests.conftest import LOCAL_PORT
from tests.operations.patients import SECRET, put
from tests.operations.shop_servers import Served, served

from prisjakt_relay.cli.shop_api import tell_wait
from prisjakt_relay.errors import PlatformBusyError
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import platform_access
from prisjakt_relay.platform_api.interface import Webhook
from prisjakt_relay.platform_api.woocommerce import WooCommerceApi
from prisjakt_relay.platforms import shop_from

TOPICS = {
    "shopify": ["orders/updated", "orders/create", "orders/cancelled"],
    "woocommerce": ["order.updated", "order.created"],
}
WHERE = f"--local --port {LOCAL_PORT}"


@pytest.fixture
def shop(local_system: LocalSystem) -> Iterator[Served]:
    """A WooCommerce shop without any webhook."""
    with served(local_system) as made:
        yield made


@pytest.fixture
def whole(shop: Served) -> Served:
    """The same with its webhooks."""
    assert local("webhooks", "register", shop.name).code == 0
    return shop


def api(shop: Served) -> WooCommerceApi:
    document = {"platform": "woocommerce", "pixel_id": "0" * 8 + "-0000" * 3 + "-" + "0" * 12}
    way = platform_access.check(shop.access, "woocommerce")
    connected = platform_access.connected(shop_from(document | {"signing_secrets": ["s"]}), way)
    assert isinstance(connected, WooCommerceApi)
    return connected


def states(name: str) -> dict[str, str]:
    """By topic, in which state its webhooks are."""
    listed = local("webhooks", "list", name, "--json").json["webhooks"]
    found: dict[str, list[str]] = {}
    for each in listed:
        found.setdefault(each["topic"], []).append(each["state"])
    return {topic: ", ".join(each) for topic, each in found.items()}


def secrets(shop: Served) -> set[str]:
    return {each.secret for each in shop.system.webhooks.values()}


# list


@pytest.mark.parametrize("platform", TOPICS)
def test_what_is_missing_is_listed_made_and_then_alive(
    platform: str, local_system: LocalSystem
) -> None:
    with served(local_system, platform) as shop:
        before = local("webhooks", "list", shop.name)
        dry = local("webhooks", "register", shop.name, "--dry-run")
        still = states(shop.name)
        made = local("webhooks", "register", shop.name)
        after = local("webhooks", "list", shop.name)
        again = local("webhooks", "register", shop.name)

    topics = TOPICS[platform]
    assert (before.code, dry.code, made.code, after.code, again.code) == (1, 0, 0, 0, 0)
    assert before.out.count("✗") == len(topics)
    remedy = f"`prisjakt-relay webhooks register {shop.name} {WHERE}`"
    assert f"missing: nothing delivers this topic: {remedy}" in before.out
    assert dry.out.splitlines() == [f"would register {topic}" for topic in topics]
    assert still == dict.fromkeys(topics, "missing")
    assert re.findall(r"registered (\S+) \(\d+\)", made.out) == topics
    assert after.out.count("✓") == len(topics)
    assert shop.webhook_address in after.out.split()
    assert again.out == "Nothing to do.\n"


def test_the_list_is_json_too(whole: Served) -> None:
    local("webhooks", "remove", whole.name, "--id", "1", "--yes")

    listed = local("webhooks", "list", whole.name, "--json")

    assert listed.code == 1
    assert listed.json == {
        "shop": whole.name,
        "address": whole.webhook_address,
        "in_order": False,
        "webhooks": [
            {
                "state": "missing",
                "topic": "order.updated",
                "id": None,
                "address": None,
                "problems": [],
                "remedy": "missing: nothing delivers this topic: "
                f"`prisjakt-relay webhooks register {whole.name} {WHERE}`",
            },
            {
                "state": "alive",
                "topic": "order.created",
                "id": "2",
                "address": whole.webhook_address,
                "problems": [],
                "remedy": None,
            },
        ],
    }


def test_others_are_listed_with_where_they_lead_and_left_alone(whole: Served) -> None:
    elsewhere = "https://old-relay.example/webhooks/woocommerce/other"
    api(whole).create_webhook("order.updated", elsewhere, "s")
    api(whole).create_webhook("order.deleted", whole.webhook_address, "s")
    api(whole).create_webhook("order.created", "https://books.example/hook", "s")

    listed = local("webhooks", "list", whole.name, width=160)
    repaired = local("webhooks", "repair", whole.name)

    assert listed.code == 0
    assert f"to {elsewhere}" in listed.out
    assert "books.example" not in listed.out
    assert f"`prisjakt-relay webhooks remove {whole.name} --id 3 {WHERE}`" in listed.out
    assert f"`prisjakt-relay webhooks remove {whole.name} --id 4 {WHERE}`" in listed.out
    assert repaired.out == "Nothing to do.\n"
    assert states(whole.name) == {
        "order.updated": "alive, foreign",
        "order.created": "alive",
        "order.deleted": "extra",
    }


@pytest.mark.parametrize(("platform", "is_told"), [("shopify", True), ("woocommerce", False)])
def test_what_shopifys_admin_made_is_said_to_be_unseen(
    platform: str, is_told: bool, local_system: LocalSystem
) -> None:
    with served(local_system, platform) as shop:
        none = local("webhooks", "list", shop.name)
        local("webhooks", "register", shop.name)
        some = local("webhooks", "list", shop.name)

    assert none.err.count("in the Shopify admin cannot be seen") == is_told
    assert "cannot be seen" not in some.err


def test_nothing_is_cut_off_in_a_narrow_terminal(whole: Served) -> None:
    listed = local("webhooks", "list", whole.name, width=60)

    assert "…" not in listed.out
    assert whole.webhook_address in listed.out.split()


# repair


def disable(shop: Served, webhook_id: int = 1) -> None:
    shop.system.webhooks[webhook_id].status = "disabled"


def test_a_disabled_webhook_is_replaced(whole: Served) -> None:
    disable(whole)
    broken = local("webhooks", "list", whole.name)
    registered = local("webhooks", "register", whole.name)
    dry = local("webhooks", "repair", whole.name, "--dry-run")
    repaired = local("webhooks", "repair", whole.name)
    again = local("webhooks", "repair", whole.name)

    remedy = f"`prisjakt-relay webhooks repair {whole.name} {WHERE}`"
    assert broken.code == 1
    assert "is disabled" in broken.out
    assert f"broken: it delivers nothing that can be used: {remedy}" in broken.out
    assert (registered.code, registered.out) == (1, "Nothing to do.\n")
    assert remedy in registered.err
    assert dry.out == "would replace order.updated (1, is disabled)\n"
    assert repaired.out == "replaced order.updated (3)\n"
    assert again.out == "Nothing to do.\n"
    assert list(whole.system.webhooks) == [2, 3]
    assert states(whole.name) == dict.fromkeys(TOPICS["woocommerce"], "alive")


def test_doubles_end_and_what_is_missing_is_made(whole: Served) -> None:
    api(whole).create_webhook("order.created", whole.webhook_address, SECRET)
    local("webhooks", "remove", whole.name, "--id", "1", "--yes")
    before = states(whole.name)

    dry = local("webhooks", "repair", whole.name, "--dry-run", "--json")
    repaired = local("webhooks", "repair", whole.name, "--json")

    assert before == {"order.updated": "missing", "order.created": "alive, doubled"}
    work = [("order.updated", "register"), ("order.created", "remove")]
    for called, dry_run in ((dry, True), (repaired, False)):
        told = called.json
        assert (told["shop"], told["dry_run"]) == (whole.name, dry_run)
        assert [(each["topic"], each["work"]) for each in told["webhooks"]] == work
    assert states(whole.name) == dict.fromkeys(TOPICS["woocommerce"], "alive")
    assert 2 not in whole.system.webhooks, "the newer one stays: it may have the newer secret"


def test_what_is_optional_is_registered_but_no_fault(whole: Served) -> None:
    """The first topic tells of every change, the others only sooner."""
    local("webhooks", "remove", whole.name, "--id", "2", "--yes")

    listed = local("webhooks", "list", whole.name)
    repaired = local("webhooks", "repair", whole.name)
    registered = local("webhooks", "register", whole.name)

    assert listed.code == 0
    assert "not needed while the first one is alive" in listed.out
    assert repaired.out == "Nothing to do.\n"
    assert registered.out == "registered order.created (3)\n"


def test_a_new_signing_secret_counts_when_all_are_renewed(whole: Served) -> None:
    """A rotation without a gap: the newest secret is the one that stays."""
    assert secrets(whole) == {SECRET}
    local("shop", "signing-secret", "add", whole.name, "--signing-secret", "newSecret2")

    usual = local("webhooks", "repair", whole.name)
    dry = local("webhooks", "repair", whole.name, "--renew", "--dry-run")
    before = secrets(whole)
    renewed = local("webhooks", "repair", whole.name, "--renew")

    assert usual.out == "Nothing to do.\n"
    assert dry.out == "would replace order.updated (1)\nwould replace order.created (2)\n"
    assert before == {SECRET}
    assert renewed.code == 0
    assert secrets(whole) == {"newSecret2"}
    assert states(whole.name) == dict.fromkeys(TOPICS["woocommerce"], "alive")


def test_what_interrupts_tells_how_far_it_came(
    whole: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = WooCommerceApi.replace_webhook
    asked: list[str] = []

    def once(self: WooCommerceApi, webhook: Webhook, address: str, secret: str) -> Webhook:
        if asked:
            raise PlatformBusyError("the shop's server does not answer: HTTP 503; try again later")
        asked.append(webhook.id)
        return replace(self, webhook, address, secret)

    monkeypatch.setattr(WooCommerceApi, "replace_webhook", once)

    called = local("webhooks", "repair", whole.name, "--renew")

    assert (called.code, called.out) == (3, "replaced order.updated (3)\n")
    assert "1 of 2 done. Run it again to go on.\n" in called.err
    assert "error: the shop's server does not answer" in called.err


@pytest.mark.parametrize("verb", ["register", "repair"])
def test_no_shopify_webhook_is_made_whose_deliveries_would_be_refused(
    verb: str, local_system: LocalSystem
) -> None:
    with served(local_system, "shopify", signing_secrets=["another"]) as shop:
        refused = local("webhooks", verb, shop.name)
        local("shop", "signing-secret", "add", shop.name, "--signing-secret", "-", stdin=SECRET)
        accepted = local("webhooks", verb, shop.name)

    assert (refused.code, refused.out) == (2, "")
    add = f"shop signing-secret add {shop.name} --signing-secret - {WHERE}"
    assert "would refuse these webhooks with 401" in refused.err
    assert f"`prisjakt-relay {add}`" in refused.err
    assert SECRET not in refused.err
    assert accepted.code == 0


# remove


def test_all_that_lead_here_are_removed_and_no_others(whole: Served) -> None:
    api(whole).create_webhook("order.updated", "https://old-relay.example/webhooks/a/b", "s")
    api(whole).create_webhook("order.deleted", whole.webhook_address, "s")

    unasked = local("webhooks", "remove", whole.name)
    declined = local("webhooks", "remove", whole.name, stdin="n\n", asked=True)
    dry = local("webhooks", "remove", whole.name, "--dry-run")
    before = sorted(whole.system.webhooks)
    removed = local("webhooks", "remove", whole.name, "--yes")
    again = local("webhooks", "remove", whole.name, "--yes")

    assert unasked.code == 2
    assert "Remove these 3 webhooks? Nobody can be asked here: add --yes" in unasked.err
    assert declined.code == 1
    assert "Nothing was removed." in declined.err
    assert dry.code == 0
    assert before == [1, 2, 3, 4]
    assert removed.out.endswith("3 removed.\n")
    assert sorted(whole.system.webhooks) == [3]
    assert (again.code, again.out) == (0, "Nothing to remove.\n")


def test_any_one_is_removed_by_its_id(whole: Served) -> None:
    api(whole).create_webhook("order.updated", "https://books.example/hook", "s")

    unknown = local("webhooks", "remove", whole.name, "--id", "77", "--yes")
    removed = local("webhooks", "remove", whole.name, "--id", "3", "--yes", "--json")

    assert unknown.code == 2
    assert f"shop {whole.name} has no webhook 77 that can be seen" in unknown.err
    assert removed.json == {
        "shop": whole.name,
        "dry_run": False,
        "webhooks": [
            {
                "topic": "order.updated",
                "id": "3",
                "address": "https://books.example/hook",
                "problems": [],
                "done": True,
            }
        ],
    }
    assert sorted(whole.system.webhooks) == [1, 2]


def test_shopifys_long_ids_need_not_be_typed(local_system: LocalSystem) -> None:
    with served(local_system, "shopify") as shop:
        local("webhooks", "register", shop.name)
        listed = local("webhooks", "list", shop.name, "--json").json["webhooks"]
        number = listed[0]["id"].rpartition("/")[2]

        removed = local("webhooks", "remove", shop.name, "--id", number, "--yes")

        assert removed.code == 0
        assert states(shop.name)[listed[0]["topic"]] == "missing"


# What may be in the way


@pytest.mark.parametrize("verb", ["list", "register", "repair", "remove"])
def test_a_shop_whose_api_nobody_can_get_into_is_told(verb: str, local_system: LocalSystem) -> None:
    name = put(local_system)

    called = local("webhooks", verb, name)

    assert (called.code, called.out) == (2, "")
    assert called.err == (
        f"error: nobody has said how to get into shop {name}'s own API: run "
        f"`prisjakt-relay shop api set {name} {WHERE}`\n"
    )


def test_a_key_that_the_shop_refuses_is_told(shop: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop.system, "answer", refusing(shop.system.answer))

    called = local("webhooks", "list", shop.name)

    assert (called.code, called.out) == (2, "")
    assert called.err.startswith("error: ")
    assert called.err.count("\n") == 1
    assert "cs_1" not in called.err


def refusing(answer: Callable[..., object]) -> Callable[..., object]:
    """As if the key had been taken back."""

    def without_key(call: object) -> object:
        object.__setattr__(call, "headers", {})
        object.__setattr__(call, "query", {})
        return answer(call)

    return without_key


def test_waiting_for_a_busy_server_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    tell_wait(0.4)
    tell_wait(12.0)

    assert capsys.readouterr().err == "The shop's server is busy, or away: asking again in 12 s.\n"
