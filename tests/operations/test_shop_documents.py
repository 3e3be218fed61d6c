"""What may be written into a shop document, and how it gets into Secrets Manager."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from prisjakt_relay.errors import SetupError, StorageError
from prisjakt_relay.local.aws import REGION, EmbeddedAws
from prisjakt_relay.operations import shop_documents, shops
from prisjakt_relay.operations.shop_documents import makes_secret
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.platforms import PLATFORMS

PIXEL = "52907745-7672-470e-a803-a2f8feb52944"
SHOPIFY: dict[str, Any] = {
    "platform": "shopify",
    "pixel_id": PIXEL,
    "signing_secrets": ["first-secret"],
}
WOOCOMMERCE = SHOPIFY | {"platform": "woocommerce", "signing_secrets": ["firstsecret"]}


@pytest.fixture
def name() -> str:
    return f"shop-{uuid.uuid4()}"


@pytest.fixture
def stack(embedded_aws: EmbeddedAws) -> Stack:
    """A stack as far as its secrets are concerned."""
    return Stack(
        name="documents",
        status="CREATE_COMPLETE",
        region=REGION,
        outputs={},
        parameters={},
        webhook_address="https://relay.example/webhooks",
        session=boto3.Session("test", "test", region_name=REGION),
        endpoint=embedded_aws.endpoint,
    )


def refusal(document: dict[str, Any]) -> str:
    with pytest.raises(SetupError) as refused:
        shop_documents.check_so_far(document)
    return str(refused.value)


def test_a_document_is_checked_as_far_as_it_goes() -> None:
    shop_documents.check_so_far({})
    shop_documents.check_so_far({"prisjakt_client_id": "client"})
    shop_documents.check_so_far({"prisjakt_client_secret": "secret"})
    assert refusal({"pixel_id": "12"}).startswith("pixel_id: is not a UUID; paste it from ")
    assert refusal({"mode": "on"}) == "mode: is unknown; choose one of live, test, off"


@pytest.mark.parametrize("secret", ["with-dash", "a&b", "spaß", "two words"])
def test_woocommerce_keeps_letters_and_digits_only(secret: str) -> None:
    told = refusal(WOOCOMMERCE | {"signing_secrets": [secret]})

    assert told.startswith("signing_secrets: use letters and digits only; WooCommerce rewrites")
    assert secret not in told
    shop_documents.check_so_far(SHOPIFY | {"signing_secrets": [secret]})


def test_an_access_token_signs_nothing() -> None:
    told = refusal(SHOPIFY | {"signing_secrets": ["shpat_0123456789"]})

    assert "access token" in told
    assert "0123456789" not in told


@pytest.mark.parametrize("platform", ["shopify", "woocommerce"])
def test_what_is_too_long_for_a_signing_secret_is_refused_by_name(platform: str) -> None:
    document = SHOPIFY | {"platform": platform, "signing_secrets": ["first"]}

    told = refusal(document | {"signing_secrets": ["fine", "x" * 1_025]})

    assert told == "signing_secrets: one is longer than 1,024 bytes; paste the secret alone"
    shop_documents.check_so_far(document | {"signing_secrets": ["x" * 1_024]})
    with pytest.raises(SetupError, match=r"^signing_secrets: one is longer"):
        shop_documents.with_secret(document, "å" * 513)


def test_shopify_signs_as_myshopify_com_whatever_customers_see() -> None:
    assert refusal(SHOPIFY | {"domain": "Shop.Example"}).startswith("domain: shop.example is not ")
    assert refusal(SHOPIFY | {"domain": "myshopify.com.example"}).startswith("domain: ")
    with pytest.raises(SetupError, match=r"^domain: .* ends with \.myshopify\.com"):
        shop_documents.changed(SHOPIFY, {"domain": "shop.example"}, ())
    shop_documents.check_so_far(SHOPIFY | {"domain": "A-Shop.MyShopify.com"})
    shop_documents.check_so_far(WOOCOMMERCE | {"domain": "shop.example"})
    shop_documents.check_so_far({"domain": "shop.example"})


def test_an_old_domain_does_not_stand_in_the_way() -> None:
    public = SHOPIFY | {"domain": "shop.example"}

    assert shop_documents.changed(public, {"mode": "off"}, ()) == public | {"mode": "off"}
    assert shop_documents.changed(public, {}, ["domain"]) == SHOPIFY


@pytest.mark.parametrize("platform", [each for each in PLATFORMS if makes_secret(each)])
def test_a_generated_secret_is_one_that_the_platform_takes(platform: str) -> None:
    secrets = {shop_documents.generated_secret(platform) for _ in range(20)}

    assert len(secrets) == 20
    assert all(len(secret) >= 43 for secret in secrets)
    shop_documents.check_signing_secrets(platform, secrets)


def test_unknown_fields_are_refused_by_name() -> None:
    with pytest.raises(SetupError, match=r"^pixelid: not known to this version; correct the name"):
        shop_documents.read(json.dumps(SHOPIFY | {"pixelid": PIXEL}))
    with pytest.raises(SetupError, match=r"^document: is not JSON; write one JSON object$"):
        shop_documents.read("{")


def test_null_in_a_document_is_the_same_as_nothing() -> None:
    assert shop_documents.read(json.dumps(SHOPIFY | {"domain": None})) == SHOPIFY


def test_a_shop_keeps_its_platform() -> None:
    with pytest.raises(SetupError, match=r"^platform: a shop keeps the one it has"):
        shop_documents.changed(SHOPIFY, {"platform": "woocommerce"}, ())


def test_a_platform_that_is_not_even_a_text_can_be_mended() -> None:
    broken = SHOPIFY | {"platform": ["shopify"]}

    assert shop_documents.changed(broken, {"platform": "shopify"}, ()) == SHOPIFY


def test_a_secret_that_is_given_in_place_of_its_fingerprint_is_not_repeated() -> None:
    with pytest.raises(SetupError) as refused:
        shop_documents.without_secret(SHOPIFY, "first-secret")

    assert "first-secret" not in str(refused.value)
    assert shop_documents.fingerprint("first-secret") in str(refused.value)


def test_a_change_can_mend_a_document_that_cannot_be_used() -> None:
    broken = {"pixel_id": "?", "signing_secrets": ["secret"], "moed": "live"}

    mended = shop_documents.changed(broken, {"platform": "shopify", "pixel_id": PIXEL}, ["moed"])

    assert mended == {"platform": "shopify", "pixel_id": PIXEL, "signing_secrets": ["secret"]}


def test_an_old_secret_that_would_be_refused_today_does_not_stand_in_the_way() -> None:
    odd = WOOCOMMERCE | {"signing_secrets": ["with-dash"]}

    assert shop_documents.changed(odd, {"mode": "off"}, ()) == odd | {"mode": "off"}
    with pytest.raises(SetupError, match="letters and digits only"):
        shop_documents.with_secret(odd, "another-dash")


def test_changes_tell_what_counts_before_and_after() -> None:
    after = shop_documents.changed(SHOPIFY | {"domain": "a.example"}, {"mode": "off"}, ["domain"])

    changes = shop_documents.changes(SHOPIFY | {"domain": "a.example"}, after)

    assert [(each.field, each.before, each.after) for each in changes] == [
        ("mode", "live", "off"),
        ("domain", "a.example", None),
    ]
    assert shop_documents.changes(SHOPIFY, dict(SHOPIFY)) == []


def test_a_fingerprint_stands_for_a_secret() -> None:
    digest = hashlib.sha256(b"first-secret").hexdigest()

    assert shop_documents.masked("signing_secrets", ["first-secret"]) == [
        {"fingerprint": digest[:8], "characters": 12}
    ]
    assert shop_documents.masked("prisjakt_client_secret", None) is None
    assert shop_documents.masked("signing_secrets", ("x",), revealed=True)[0]["secret"] == "x"


def test_a_misspelt_field_is_kept_secret_too() -> None:
    assert "hush" not in str(shop_documents.masked("signing_secret", "hush"))
    assert shop_documents.masked("pixel_id", PIXEL) == PIXEL


def test_a_secret_is_added_once_and_the_last_one_stays() -> None:
    both = shop_documents.with_secret(SHOPIFY, "second-secret")
    first = shop_documents.fingerprint("first-secret")

    assert both["signing_secrets"] == ["first-secret", "second-secret"]
    assert shop_documents.with_secret(both, "second-secret") == both
    left = shop_documents.without_secret(both, first.upper())
    assert left["signing_secrets"] == ["second-secret"]
    with pytest.raises(SetupError, match=r"^no signing secret has that fingerprint: there is "):
        shop_documents.without_secret(left, first)
    with pytest.raises(SetupError, match=r"^the last signing secret stays: add another"):
        shop_documents.without_secret(left, shop_documents.fingerprint("second-secret"))


def test_what_is_added_can_be_read(stack: Stack, name: str) -> None:
    shop_documents.add(stack, name, SHOPIFY)

    assert shops.document(stack, name) == SHOPIFY
    assert name in shops.names(stack)


def test_a_shop_is_added_only_once(stack: Stack, name: str) -> None:
    shop_documents.add(stack, name, SHOPIFY)

    with pytest.raises(SetupError, match="already: change it with `prisjakt-relay shop set"):
        shop_documents.require_unused(stack, name)
    with pytest.raises(SetupError, match="already: change it with `prisjakt-relay shop set"):
        shop_documents.add(stack, name, WOOCOMMERCE)
    assert shops.document(stack, name) == SHOPIFY


def test_a_removed_shop_can_be_added_again(stack: Stack, name: str) -> None:
    """Its name stays taken for days: the new document takes the old one's place."""
    shop_documents.add(stack, name, SHOPIFY)
    kept_until = shop_documents.remove(stack, name, now=False)

    assert kept_until is not None
    assert name not in shops.names(stack)
    assert not shop_documents.is_there(stack, name)
    shop_documents.require_unused(stack, name)
    shop_documents.add(stack, name, WOOCOMMERCE)
    assert shops.document(stack, name) == WOOCOMMERCE


def test_an_interrupted_adding_does_not_bring_the_old_document_back(
    stack: Stack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop_documents.add(stack, name, SHOPIFY)
    shop_documents.remove(stack, name, now=False)
    client = stack.client("secretsmanager")

    def interrupted(**_: Any) -> None:
        raise KeyboardInterrupt

    client.put_secret_value = interrupted
    monkeypatch.setattr(Stack, "client", lambda *_: client)
    with pytest.raises(KeyboardInterrupt):
        shop_documents.add(stack, name, WOOCOMMERCE)

    monkeypatch.undo()
    assert not shop_documents.is_there(stack, name)
    with pytest.raises(SetupError, match=r"^there is no shop"):
        shops.document(stack, name)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ReadTimeoutError(endpoint_url="x")])
def test_a_restoring_whose_answer_was_lost_does_not_bring_the_old_document_back(
    stack: Stack, name: str, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    shop_documents.add(stack, name, SHOPIFY)
    shop_documents.remove(stack, name, now=False)
    client = stack.client("secretsmanager")
    restore = client.restore_secret

    def lost(**parameters: Any) -> None:
        restore(**parameters)
        raise error

    client.restore_secret = lost
    monkeypatch.setattr(Stack, "client", lambda *_: client)
    with pytest.raises((KeyboardInterrupt, StorageError)):
        shop_documents.add(stack, name, WOOCOMMERCE)

    monkeypatch.undo()
    assert not shop_documents.is_there(stack, name)


def test_an_old_document_that_could_not_be_removed_again_is_told(
    stack: Stack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop_documents.add(stack, name, SHOPIFY)
    shop_documents.remove(stack, name, now=False)
    client = stack.client("secretsmanager")

    def unreachable(**_: Any) -> None:
        raise ReadTimeoutError(endpoint_url="x")

    client.put_secret_value = client.delete_secret = unreachable
    monkeypatch.setattr(Stack, "client", lambda *_: client)
    with pytest.raises(StorageError, match=f"may count again.* shop remove {name}"):
        shop_documents.add(stack, name, WOOCOMMERCE)


def test_a_refusal_to_restore_is_told_as_what_it_is(
    stack: Stack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop_documents.add(stack, name, SHOPIFY)
    shop_documents.remove(stack, name, now=False)
    client = stack.client("secretsmanager")

    def refused(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "RestoreSecret")

    client.restore_secret = client.delete_secret = refused
    monkeypatch.setattr(Stack, "client", lambda *_: client)
    with pytest.raises(SetupError, match="RestoreSecret"):
        shop_documents.add(stack, name, WOOCOMMERCE)


def test_a_name_that_is_just_set_free_can_be_taken_in_a_minute(
    stack: Stack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets Manager removes for good behind the scenes, and refuses the name until it has."""
    client = stack.client("secretsmanager")

    def refused(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "InvalidRequestException"}}, "CreateSecret")

    client.create_secret = refused
    monkeypatch.setattr(Stack, "client", lambda *_: client)
    with pytest.raises(StorageError, match="is just being removed for good: try again"):
        shop_documents.add(stack, name, SHOPIFY)


def test_removed_for_good_is_gone(stack: Stack, name: str) -> None:
    shop_documents.add(stack, name, SHOPIFY)
    shop_documents.remove(stack, name, now=False)

    assert shop_documents.remove(stack, name, now=True) is None
    with pytest.raises(SetupError, match=r"^there is no shop"):
        shop_documents.is_there(stack, name)


def test_writing_needs_a_shop(stack: Stack, name: str) -> None:
    with pytest.raises(SetupError, match=r"^there is no shop"):
        shop_documents.write(stack, name, SHOPIFY)
    with pytest.raises(SetupError, match=r"use 1 to 64 of a-z, 0-9 and -$"):
        shop_documents.add(stack, "My Shop", SHOPIFY)
