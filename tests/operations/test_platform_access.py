"""A shop's second document, from its first writing to its removal, and the API by means of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.operations.patients import SECRET, put
from tests.operations.shop_servers import put_access, served

from prisjakt_relay.errors import (
    PlatformAccessError,
    PlatformBusyError,
    SetupError,
    StorageError,
)
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import platform_access, shop_documents, shops
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.platform_api import PLATFORM_APIS, access
from prisjakt_relay.platforms import shop_from
from prisjakt_relay.shop import Shop

WOOCOMMERCE = {
    "address": "https://shop.example",
    "consumer_key": "ck_1",
    "consumer_secret": "cs_1",
}
APP = {"address": "https://a.myshopify.com", "client_id": "app", "client_secret": SECRET}
TOKEN = {"address": "https://a.myshopify.com", "access_token": "shpat_1"}


def shop_of(platform: str, **changes: Any) -> Shop:
    document = {"platform": platform, "pixel_id": str(uuid.uuid4()), "signing_secrets": [SECRET]}
    return shop_from(document | changes)


# The secret


def test_what_is_written_is_read_again_changed_and_gone(stack: Stack) -> None:
    name = f"shop-{uuid.uuid4()}"
    nothing = platform_access.document(stack, name), platform_access.remove(stack, name)

    platform_access.write(stack, name, WOOCOMMERCE)
    first = platform_access.document(stack, name)
    platform_access.write(stack, name, WOOCOMMERCE | {"consumer_key": "ck_2"})
    second = platform_access.document(stack, name)
    removed = platform_access.remove(stack, name), platform_access.remove(stack, name)

    assert nothing == (None, False)
    assert first == WOOCOMMERCE
    assert second == WOOCOMMERCE | {"consumer_key": "ck_2"}
    assert removed == (True, False)
    assert platform_access.document(stack, name) is None


def test_what_somebody_removed_with_a_time_of_grace_is_written_anew(stack: Stack) -> None:
    name = f"shop-{uuid.uuid4()}"
    platform_access.write(stack, name, WOOCOMMERCE)
    stack.client("secretsmanager").delete_secret(
        SecretId=platform_access.secret_id(stack, name), RecoveryWindowInDays=7
    )
    gone = platform_access.document(stack, name)

    platform_access.write(stack, name, WOOCOMMERCE | {"consumer_key": "ck_2"})

    assert gone is None
    assert platform_access.document(stack, name) == WOOCOMMERCE | {"consumer_key": "ck_2"}


class Refusing:
    """Secrets Manager that answers these calls with these errors."""

    def __init__(self, **codes: str) -> None:
        self._codes = codes

    def __getattr__(self, call: str) -> Callable[..., None]:
        def answer(**_: str) -> None:
            if call in self._codes:
                raise ClientError({"Error": {"Code": self._codes[call]}}, call)

        return answer


THERE = "ResourceExistsException"
LEAVING = "InvalidRequestException"
GONE = "ResourceNotFoundException"
DENIED = "AccessDeniedException"


@pytest.mark.parametrize(
    ("codes", "error", "told"),
    [
        (
            {"create_secret": LEAVING, "put_secret_value": LEAVING, "restore_secret": GONE},
            StorageError,
            "the access to shop lamps's own API is just being removed: try again in a minute",
        ),
        (
            {"create_secret": LEAVING, "put_secret_value": LEAVING, "restore_secret": DENIED},
            SetupError,
            r"may not do this \(restore_secret\)",
        ),
        (
            {"create_secret": THERE, "put_secret_value": DENIED},
            SetupError,
            r"may not do this \(put_secret_value\)",
        ),
        ({"create_secret": DENIED}, SetupError, r"may not do this \(create_secret\)"),
    ],
)
def test_a_document_that_cannot_be_written_is_told(
    codes: dict[str, str],
    error: type[Exception],
    told: str,
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Stack, "client", lambda *_: Refusing(**codes))

    with pytest.raises(error, match=told):
        platform_access.write(stack, "lamps", WOOCOMMERCE)


@pytest.mark.parametrize("call", ["get_secret_value", "describe_secret"])
def test_what_aws_refuses_is_told(call: str, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: str) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, call)

    client = stack.client("secretsmanager")
    setattr(client, call, refuse)
    monkeypatch.setattr(Stack, "client", lambda *_: client)
    asked = platform_access.remove if call == "describe_secret" else platform_access.document

    with pytest.raises(SetupError, match="these AWS credentials may not do this"):
        asked(stack, "lamps")


def test_no_name_leads_to_another_secret(stack: Stack) -> None:
    with pytest.raises(shops.NoShopError, match="use 1 to 64 of a-z, 0-9 and -"):
        platform_access.secret_id(stack, "../shops/lamps")


# The document


@pytest.mark.parametrize(
    ("before", "given", "after"),
    [
        ({}, APP, APP),
        (APP, {"client_secret": "new"}, APP | {"client_secret": "new"}),
        (APP, {"access_token": "shpat_1"}, TOKEN),
        (TOKEN, {"client_id": "app", "client_secret": SECRET}, APP),
        (TOKEN | {"public_address": "https://b.example"}, {"public_address": ""}, TOKEN),
        (TOKEN | {"misspelt": "x"}, {}, TOKEN),
        (TOKEN, APP | TOKEN, APP | TOKEN),  # told to be too much
    ],
)
def test_new_credentials_take_the_place_of_another_kind(
    before: dict[str, str], given: dict[str, str], after: dict[str, str]
) -> None:
    changed = platform_access.changed(before, given, "shopify")

    if set(given) >= {"client_id", "access_token"}:
        with pytest.raises(SetupError, match="is given beside other credentials"):
            platform_access.check(changed | given, "shopify")
    else:
        assert changed == after


def test_one_field_at_a_time_can_be_checked() -> None:
    for platform, document in (
        ("shopify", APP),
        ("shopify", TOKEN),
        ("woocommerce", WOOCOMMERCE),
    ):
        so_far: dict[str, str] = {}
        platform_access.check_so_far(so_far, platform)
        for field, value in document.items():
            so_far[field] = value
            platform_access.check_so_far(so_far, platform)
        assert platform_access.problem(so_far, platform) is None


def test_changes_say_what_is_new_and_what_is_gone() -> None:
    found = platform_access.changes(TOKEN | {"misspelt": "x"}, APP)

    assert {change.field: (change.before, change.after) for change in found} == {
        "client_id": (None, "app"),
        "client_secret": (None, SECRET),
        "access_token": ("shpat_1", None),
        "misspelt": ("x", None),
    }


def test_only_what_is_known_to_be_no_secret_is_shown() -> None:
    shown = {
        field for field in (*access.FIELDS, "misspelt") if not platform_access.is_secret(field)
    }

    assert shown == {"address", "public_address", "client_id"}
    assert platform_access.masked("misspelt", "abc") == {
        "fingerprint": shop_documents.fingerprint("abc"),
        "characters": 3,
    }
    assert platform_access.masked("access_token", None) is None


@pytest.mark.parametrize(
    ("platform", "document", "in_vain"),
    [
        ("shopify", APP, False),
        ("shopify", APP | {"client_secret": "other"}, True),
        ("shopify", TOKEN, False),
        ("woocommerce", WOOCOMMERCE, False),
    ],
)
def test_what_shopify_signs_with_has_to_be_accepted(
    platform: str, document: dict[str, str], in_vain: bool
) -> None:
    way = platform_access.check(document, platform)

    assert platform_access.signs_in_vain(shop_of(platform), way) is in_vain


@pytest.mark.parametrize(
    ("platform", "domain", "address", "other"),
    [
        ("shopify", None, "https://a.myshopify.com", None),
        ("shopify", "a.myshopify.com", "https://a.myshopify.com", None),
        ("shopify", "b.myshopify.com", "https://a.myshopify.com", "b.myshopify.com"),
        ("shopify", "b.myshopify.com", "http://127.0.0.1:8787/systems/b", None),
        ("woocommerce", "a.example", "https://b.example", None),
    ],
)
def test_another_store_is_known_by_its_domain(
    platform: str, domain: str | None, address: str, other: str | None
) -> None:
    way = access.Access(address=address)

    assert access.other_store(way, shop_of(platform, domain=domain)) == other


@pytest.mark.parametrize("platform", PLATFORM_APIS)
def test_every_api_says_where_its_credentials_and_rights_come_from(platform: str) -> None:
    assert set(platform_access.SOURCES) == set(PLATFORM_APIS)
    lacking = platform_access.lacks(shop_of(platform), ["read_orders", "a"])
    assert lacking.startswith("lacks the right a, read_orders: ")


# The API


@pytest.mark.parametrize("platform", PLATFORM_APIS)
def test_the_api_of_a_shop_is_its_own(
    platform: str, stack: Stack, local_system: LocalSystem
) -> None:
    with served(local_system, platform) as shop:
        api = platform_access.api(stack, shop.name, shops.shop(stack, shop.name))

        assert list(api.check()) == []
        assert shop.system.calls > 0


def test_a_shop_without_access_is_told(stack: Stack, local_system: LocalSystem) -> None:
    name = put(local_system)
    shop = shops.shop(stack, name)
    remedy = f"`{stack.command('shop', 'api', 'set', name)}`"

    with pytest.raises(SetupError, match="nobody has said how to get into") as none:
        platform_access.api(stack, name, shop)
    put_access(local_system, name, {"address": "https://a.myshopify.com"})
    with pytest.raises(SetupError, match="cannot be used: client_id: is missing") as unusable:
        platform_access.api(stack, name, shop)

    assert remedy in str(none.value)
    assert remedy in str(unusable.value)


def test_a_shop_system_without_an_api_is_told_before_anything_is_asked(stack: Stack) -> None:
    shop = replace(shop_of("shopify"), platform="another")

    with pytest.raises(SetupError, match=r"shop mine: another has no API .* answered 200$"):
        platform_access.api(stack, "mine", shop)


def test_a_busy_server_is_waited_for_but_not_too_long(local_system: LocalSystem) -> None:
    waits: list[float] = []
    told: list[float] = []
    with served(local_system) as shop:
        shop.system.outage = 503
        way = platform_access.check(shop.access, "woocommerce")
        patient = platform_access.connected(
            shop_of("woocommerce"), way, on_wait=told.append, sleep=waits.append
        )
        hasty = platform_access.connected(
            shop_of("woocommerce"), way, longest=3.0, sleep=waits.append
        )

        with pytest.raises(PlatformBusyError, match="does not answer"):
            patient.webhooks()
        patiently, waits[:] = list(waits), []
        with pytest.raises(PlatformBusyError, match=r"too busy: .* 4 s at least; try") as refused:
            hasty.webhooks()
        assert shop.access["address"] in str(refused.value)

    assert told == patiently
    assert patiently[:3] == [1.0, 2.0, 4.0]
    assert waits == [1.0, 2.0]


def test_credentials_that_are_refused_are_told_without_them(local_system: LocalSystem) -> None:
    with served(local_system) as shop:
        wrong = shop.access | {"consumer_secret": "cs_wrong"}
        api = platform_access.connected(
            shop_of("woocommerce"), platform_access.check(wrong, "woocommerce")
        )

        with pytest.raises(PlatformAccessError) as refused:
            api.check()

    assert "cs_wrong" not in str(refused.value)
    assert "ck_1" not in str(refused.value)
