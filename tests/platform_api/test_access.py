"""The document that says where a shop system's API is, and how to get in."""

from __future__ import annotations

from typing import Any

import pytest

from prisjakt_relay.errors import ShopDocumentError
from prisjakt_relay.platform_api import PLATFORM_APIS
from prisjakt_relay.platform_api.access import (
    CREDENTIALS,
    FIELDS,
    Access,
    from_document,
    unknown_fields,
)
from prisjakt_relay.platforms import PLATFORMS

STORE = "https://demo.myshopify.com"
KEYS = {"consumer_key": "ck_1", "consumer_secret": "cs_1"}
APP = {"client_id": "app", "client_secret": "hush-hush"}


def test_every_api_is_a_platforms_and_has_credentials() -> None:
    assert set(PLATFORM_APIS) == set(CREDENTIALS)
    assert set(PLATFORM_APIS) <= set(PLATFORMS)


@pytest.mark.parametrize("credentials", [APP, {"access_token": "shpat_1"}])
def test_shopify_takes_an_app_or_a_token(credentials: dict[str, str]) -> None:
    access = from_document({"address": f"{STORE}/", **credentials}, "shopify")

    assert access == Access(address=STORE, **credentials)
    assert access.storefront == STORE


def test_woocommerce_takes_a_key() -> None:
    document = {
        "address": "https://shop.example/blog",
        "public_address": "https://www.shop.example/",
        **KEYS,
    }
    access = from_document(document, "woocommerce")

    assert (access.address, access.storefront) == (
        "https://shop.example/blog",
        "https://www.shop.example",
    )


def test_what_was_pasted_with_blanks_around_it_is_taken_without() -> None:
    access = from_document({"address": f" {STORE} ", "access_token": " shpat_1 "}, "shopify")

    assert (access.address, access.access_token) == (STORE, "shpat_1")


@pytest.mark.parametrize("address", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:1"])
@pytest.mark.parametrize(("platform", "credentials"), [("shopify", APP), ("woocommerce", KEYS)])
def test_on_loopback_no_encryption_is_needed(
    address: str, platform: str, credentials: dict[str, str]
) -> None:
    assert from_document({"address": address, **credentials}, platform).address == address


@pytest.mark.parametrize(
    "address",
    [
        "http://demo.myshopify.com",
        "demo.myshopify.com",
        "https://",
        "https://[",
        "https://demo.myshopify.com:port",
        "https://demo.myshopify.com:0",
        "https://demo.myshopify.com:99999",
        "https://demo shop.example",
        "ftp://demo.myshopify.com",
        "http://127.0.0.1.example",
    ],
)
@pytest.mark.parametrize("field", ["address", "public_address"])
def test_credentials_go_to_encrypted_addresses_only(address: str, field: str) -> None:
    document = {"address": STORE, **APP, field: address}

    with pytest.raises(ShopDocumentError, match=f"{field}: is not an https address") as raised:
        from_document(document, "shopify")
    assert raised.value.field == field


@pytest.mark.parametrize(
    "address",
    [
        "https://name:word@demo.myshopify.com",
        "https://:word@demo.myshopify.com",
        "https://@demo.myshopify.com",
        "https://demo.myshopify.com?x=y",
        "https://demo.myshopify.com#x",
    ],
)
@pytest.mark.parametrize("field", ["address", "public_address"])
def test_an_address_has_nothing_in_it_that_is_no_address(address: str, field: str) -> None:
    """What is wrong with it is told, and an error repeats it later."""
    document = {"address": STORE, **APP, field: address}

    with pytest.raises(ShopDocumentError, match=f"{field}: has a user, a query or a fragment"):
        from_document(document, "shopify")


@pytest.mark.parametrize(
    "address",
    [
        "https://shop.example",
        "https://demo.myshopify.com.example",
        "https://myshopify.com",
        "https://demo.myshopify.com/admin",
    ],
)
def test_shopifys_address_is_the_stores_own(address: str) -> None:
    with pytest.raises(ShopDocumentError, match=r"not the store's own; give https://STORE"):
        from_document({"address": address, **APP}, "shopify")


def test_shopifys_public_address_is_any() -> None:
    document = {"address": STORE, "public_address": "https://shop.example", **APP}

    assert from_document(document, "shopify").storefront == "https://shop.example"


@pytest.mark.parametrize(
    ("platform", "changes", "message"),
    [
        ("shopify", {}, "client_id: is missing; give client_id and client_secret or access_token"),
        ("shopify", {"client_id": "a"}, "client_secret: is missing; give client_id and client_se"),
        ("shopify", {"client_secret": "a"}, "client_id: is missing"),
        (
            "shopify",
            {**APP, "access_token": "a"},
            "access_token: is given beside other credentials",
        ),
        ("shopify", {**APP, "consumer_key": "a"}, "consumer_key: is not shopify's; remove it"),
        ("woocommerce", {}, "consumer_key: is missing; give consumer_key and consumer_secret"),
        ("woocommerce", {"consumer_key": "a"}, "consumer_secret: is missing"),
        ("woocommerce", {**KEYS, "client_id": "a"}, "client_id: is not woocommerce's; remove it"),
        ("woocommerce", {**KEYS, "address": None}, "address: is missing; give one like"),
        ("shopify", {**APP, "address": None}, "address: is missing; give https://STORE"),
        ("shopify", {**APP, "client_id": 5}, "client_id: is not a text"),
        ("shopify", {**APP, "client_id": " "}, "client_id: is not a text"),
        ("shopify", {"access_token": "a\nb"}, "access_token: is not a text"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(
    platform: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ShopDocumentError, match=message):
        from_document({"address": STORE, **changes}, platform)


def test_a_platform_without_an_api_has_no_access() -> None:
    with pytest.raises(ShopDocumentError, match="platform: another has no API of its own"):
        from_document({"address": STORE, **KEYS}, "another")


def test_fields_that_are_unknown_are_told() -> None:
    document = dict.fromkeys([*FIELDS, "adress", "token"], "x")

    assert unknown_fields(document) == ["adress", "token"]


def test_secrets_stay_out_of_what_is_printed() -> None:
    secrets = {name: f"hush-{name}" for name in FIELDS if name not in ("address", "public_address")}
    shown = repr(Access(address=STORE, **secrets))

    assert [name for name in secrets if f"hush-{name}" in shown] == ["client_id"]
