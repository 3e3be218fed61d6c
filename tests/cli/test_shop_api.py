"""Access to a shop system's own API, and what it makes possible, as people and scripts set it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from tests.cli.calling import call, local
from tests.cli.test_shop import typed
from tests.conftest import LOCAL_PORT
from tests.operations.patients import SECRET, put
from tests.operations.shop_servers import Served, put_access, served

from prisjakt_relay.cli.shop_api import OPTIONS
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import platform_access
from prisjakt_relay.operations import stack as stacks
from prisjakt_relay.operations.shop_documents import fingerprint
from prisjakt_relay.operations.stack import clock, find_local
from prisjakt_relay.platform_api.access import FIELDS
from prisjakt_relay.reconciler.progress import Progress, ProgressBook

WHERE = f"--local --port {LOCAL_PORT}"
SHOPIFY = {"address": "https://a.myshopify.com", "client_id": "app", "client_secret": SECRET}


@pytest.fixture
def woocommerce(local_system: LocalSystem) -> Iterator[Served]:
    """A shop whose system nobody has told the relay of."""
    with served(local_system, has_access=False) as made:
        yield made


@pytest.fixture
def shopify(local_system: LocalSystem) -> Iterator[Served]:
    with served(local_system, "shopify", has_access=False) as made:
        yield made


@pytest.fixture
def book() -> ProgressBook:
    return ProgressBook(find_local(LOCAL_PORT).store)


def written(system: LocalSystem, name: str) -> dict[str, Any] | None:
    secrets, wanted = system.aws.client("secretsmanager"), f"local/platform-api/{name}"
    listed = secrets.list_secrets(Filters=[{"Key": "name", "Values": [wanted]}])["SecretList"]
    if not listed:
        return None
    return dict(json.loads(secrets.get_secret_value(SecretId=wanted)["SecretString"]))


def given(shop: Served) -> list[str]:
    """Its access as options; secrets come by standard input."""
    words: list[str] = []
    for field, value in shop.access.items():
        words += [OPTIONS[field].flag, value if "secret" not in field else "-"]
    return words


# set


def test_every_field_has_an_option() -> None:
    assert tuple(OPTIONS) == FIELDS


@pytest.mark.parametrize("platform", ["shopify", "woocommerce"])
def test_what_is_given_is_tried_and_written(platform: str, local_system: LocalSystem) -> None:
    with served(local_system, platform, has_access=False) as shop:
        secret = shop.access.get("client_secret") or shop.access["consumer_secret"]

        first = local("shop", "api", "set", shop.name, *given(shop), stdin=f"{secret}\n")
        again = local("shop", "api", "set", shop.name, *given(shop), stdin=f"{secret}\n")

        assert (first.code, again.code) == (0, 0)
        assert f"The API at {shop.address} takes these credentials." in first.out
        assert f"prisjakt-relay webhooks list {shop.name} {WHERE}" in first.err
        assert f"prisjakt-relay shop set {shop.name} --reconcile on {WHERE}" in first.err
        assert "nothing was written" in again.out
        assert written(local_system, shop.name) == shop.access
        assert secret not in first.out + first.err + again.out + again.err


def test_it_is_json_too(shopify: Served) -> None:
    called = local("shop", "api", "set", shopify.name, *given(shopify), "--json", stdin=SECRET)

    assert called.code == 0
    assert called.json == {
        "shop": shopify.name,
        "changes": [
            {"field": "address", "before": None, "after": shopify.address},
            {"field": "client_id", "before": None, "after": "app"},
            {"field": "client_secret", "before": None, "after": "•••"},
        ],
        "checked": True,
        "missing_rights": [],
        "accepts_its_signature": True,
    }


def test_wrong_credentials_are_not_written_unless_unchecked(
    local_system: LocalSystem, woocommerce: Served
) -> None:
    words = ("shop", "api", "set", woocommerce.name, "--address", woocommerce.address)
    wrong = (*words, "--consumer-key", "ck_1", "--consumer-secret", "cs_wrong")

    refused = local(*wrong)
    nothing = written(local_system, woocommerce.name)
    forced = local(*wrong, "--unchecked", "--json")

    assert (refused.code, refused.out) == (2, "")
    assert "Settings, Advanced, REST API, add a key" in refused.err
    assert "Nothing was written; --unchecked writes it all the same." in refused.err
    assert "error: WooCommerce refuses the key" in refused.err
    assert "cs_wrong" not in refused.err
    assert nothing is None
    assert (forced.code, forced.json["checked"]) == (0, False)
    kept = written(local_system, woocommerce.name)
    assert kept is not None
    assert kept["consumer_secret"] == "cs_wrong"


def test_a_server_that_does_not_answer_is_told_with_its_address(
    local_system: LocalSystem, woocommerce: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = partial(platform_access.connected, sleep=lambda _: None)
    monkeypatch.setattr(platform_access, "connected", impatient)
    woocommerce.system.outage = 503

    refused = local("shop", "api", "set", woocommerce.name, *given(woocommerce), stdin=SECRET)

    assert refused.code == 3
    assert f"Is this the address of its API? {woocommerce.address}" in refused.err
    assert "Settings, Advanced, REST API" not in refused.err
    assert written(local_system, woocommerce.name) is None


@pytest.mark.parametrize(
    ("platform", "told"),
    [
        ("shopify", "The access lacks the right read_orders: give it to the app, release that"),
        ("woocommerce", "The access lacks the right write: make a key with the permissions Read/"),
    ],
)
def test_rights_that_are_missing_are_told(
    platform: str, told: str, local_system: LocalSystem
) -> None:
    with served(local_system, platform, has_access=False) as shop:
        limit(shop)
        secret = shop.access.get("client_secret") or shop.access["consumer_secret"]

        called = local("shop", "api", "set", shop.name, *given(shop), stdin=secret)

    assert called.code == 1
    assert told in called.err
    assert "takes these credentials" not in called.out
    assert written(local_system, shop.name) == shop.access


def limit(shop: Served) -> None:
    """The credentials are good, but may not do all."""
    if shop.platform == "shopify":
        shop.system.scopes = set()
    else:
        shop.system.permissions = "read"


def test_an_app_whose_signature_the_shop_refuses_is_told(local_system: LocalSystem) -> None:
    with served(local_system, "shopify", has_access=False, signing_secrets=["other"]) as shop:
        words = ("shop", "api", "set", shop.name, *given(shop))
        refused = local(*words, stdin=SECRET)
        in_json = local(*words, "--json", stdin=SECRET)
        local("shop", "signing-secret", "add", shop.name, "--signing-secret", SECRET)
        accepted = local(*words, stdin=SECRET)

    add = f"prisjakt-relay shop signing-secret add {shop.name} --signing-secret - {WHERE}"
    assert refused.code == 0
    assert f"does not accept yet: `{add}` takes the client secret" in refused.err
    assert in_json.json["accepts_its_signature"] is False
    assert "does not accept yet" not in accepted.err


def test_another_store_than_the_documents_is_told(local_system: LocalSystem) -> None:
    name = put(local_system, "shopify", domain="b.myshopify.com")
    words = ("--client-id", "app", "--client-secret", SECRET, "--unchecked")

    other = local("shop", "api", "set", name, "--address", SHOPIFY["address"], *words)
    own = local("shop", "api", "set", name, "--address", "b.myshopify.com", *words)

    assert "That is another store than b.myshopify.com" in other.err
    assert "another store" not in own.err


def test_the_address_is_the_domains_unless_another_is_given(local_system: LocalSystem) -> None:
    name = put(local_system, "shopify", domain="b.myshopify.com")
    words = ("shop", "api", "set", name, "--unchecked")

    local(*words, "--access-token", "-", stdin="shpat_1\n")
    first = written(local_system, name)
    local(*words, "--public-address", "shop.example/")
    second = written(local_system, name)
    local(*words, "--client-id", "app", "--client-secret", SECRET, "--public-address", "")
    third = written(local_system, name)

    address = {"address": "https://b.myshopify.com"}
    assert first == address | {"access_token": "shpat_1"}
    assert second == first | {"public_address": "https://shop.example/"}
    assert third == address | {"client_id": "app", "client_secret": SECRET}


@pytest.mark.parametrize(
    ("platform", "words", "told"),
    [
        ("shopify", [], "nothing to set: give --address, and --client-id and --client-secret or"),
        ("woocommerce", [], "nothing to set: give --address, and --consumer-key and --consumer-s"),
        ("shopify", ["--client-id", "a"], "client_secret: is missing; give client_id and client_"),
        ("shopify", ["--access-token", "shpat_1"], "address: is missing; give https://STORE.mysh"),
        ("shopify", ["--access-token", "-"], "--access-token: is empty; '-' takes a line of"),
        ("shopify", ["--access-token", "shpss_1"], "access_token: that is a client secret; paste"),
        ("shopify", ["--consumer-key", "ck_1"], "consumer_key: is not shopify's; remove it"),
        ("woocommerce", ["--consumer-key", "cs_1"], "consumer_key: that is a consumer secret; pa"),
        ("woocommerce", ["--consumer-secret", "ck_1"], "consumer_secret: that is a consumer key"),
        (
            "shopify",
            ["--client-id", "a", "--client-secret", "shpat_1", "--address", "a.myshopify.com"],
            "client_secret: that is an access token; paste the client secret",
        ),
        (
            "woocommerce",
            ["--consumer-key", "a", "--consumer-secret", "b", "--address", "http://shop.example"],
            "address: is not an https address; give one like https://shop.example",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_remedy(
    platform: str, words: list[str], told: str, local_system: LocalSystem
) -> None:
    name = put(local_system, platform)

    refused = local("shop", "api", "set", name, *words)

    assert refused.code == 2
    assert refused.out == ""
    assert refused.err.splitlines()[-1].startswith(f"error: {told}")
    assert written(local_system, name) is None


def test_a_terminal_asks_for_woocommerces_key(
    local_system: LocalSystem, woocommerce: Served
) -> None:
    called = typed(
        *("shop", "api", "set", woocommerce.name),
        answers=[
            *("http://shop.example", woocommerce.address),
            "www.shop.example",
            *("cs_1", "ck_1"),
            "cs_1",
        ],
    )

    assert called.code == 0
    assert written(local_system, woocommerce.name) == woocommerce.access | {
        "public_address": "https://www.shop.example"
    }
    assert "Settings, Advanced, REST API, add a key for an administrator" in called.err
    assert "address: is not an https address; give one like" in called.err
    assert "consumer_key: that is a consumer secret; paste the consumer key" in called.err


def test_a_terminal_asks_for_shopifys_app_or_its_token(local_system: LocalSystem) -> None:
    name = put(local_system, "shopify", domain="a.myshopify.com")
    words = ("shop", "api", "set", name, "--unchecked")

    app = typed(*words, answers=["", "", "app", "", "the-secret"])
    by_app = written(local_system, name)
    token = typed(*words, answers=["", "", "", "shpat_1"])
    by_token = written(local_system, name)

    assert (app.code, token.code) == (0, 0)
    assert "(Enter: https://a.myshopify.com)" in app.err
    assert "In the Dev Dashboard of your own organisation, make an app" in app.err
    assert "client_secret: is missing" in app.err
    address = {"address": "https://a.myshopify.com"}
    assert by_app == address | {"client_id": "app", "client_secret": "the-secret"}
    assert by_token == address | {"access_token": "shpat_1"}
    assert "the-secret" not in app.out + app.err


def test_a_terminal_asks_only_for_the_rest(local_system: LocalSystem) -> None:
    name = put(local_system, "woocommerce", domain="shop.example")
    words = ("shop", "api", "set", name, "--unchecked")

    called = typed(*words, "--consumer-key", "ck_1", answers=["", "", "cs_1"])
    whole = typed(*words, "--consumer-secret", "cs_2", answers=[])

    assert (called.code, whole.code) == (0, 0)
    assert "Consumer key" not in called.err
    assert written(local_system, name) == {
        "address": "https://shop.example",
        "consumer_key": "ck_1",
        "consumer_secret": "cs_2",
    }


@pytest.mark.parametrize("document", ["{", {"adress": "https://a.myshopify.com"}])
def test_a_document_that_cannot_be_used_is_told_and_mended(
    document: object, local_system: LocalSystem
) -> None:
    name = put(local_system, "shopify")
    put_access(local_system, name, document)

    shown = local("shop", "api", "show", name)
    used = local("webhooks", "list", name)
    mended = local(
        *("shop", "api", "set", name, "--unchecked", "--address", SHOPIFY["address"]),
        *("--client-id", "app", "--client-secret", SECRET),
    )

    remedy = f"run `prisjakt-relay shop api set {name} {WHERE}`"
    assert shown.code == (2 if document == "{" else 1)
    assert remedy in shown.err
    assert used.code == 2
    assert remedy in used.err
    assert mended.code == 0
    assert written(local_system, name) == SHOPIFY


# show, remove


def test_secrets_are_shown_only_if_asked_for(local_system: LocalSystem) -> None:
    name = put(local_system, "shopify")
    put_access(local_system, name, SHOPIFY)

    shown, revealed = (local("shop", "api", "show", name, *more) for more in ([], ["--secrets"]))
    as_json = local("shop", "api", "show", name, "--json")

    assert (shown.code, revealed.code, as_json.code) == (0, 0, 0)
    for text in (shown.out, as_json.out):
        assert SECRET not in text
        assert fingerprint(SECRET) in text
        assert SHOPIFY["address"] in text
    assert SECRET in revealed.out
    assert as_json.json == {
        "shop": name,
        "address": SHOPIFY["address"],
        "client_id": "app",
        "client_secret": {"fingerprint": fingerprint(SECRET), "characters": len(SECRET)},
        "problem": None,
    }


def test_access_that_was_never_given_is_told(local_system: LocalSystem) -> None:
    name = put(local_system)

    shown = local("shop", "api", "show", name)

    assert (shown.code, shown.out) == (2, "")
    assert f"run `prisjakt-relay shop api set {name} {WHERE}`" in shown.err


def test_removing_the_access_ends_reconciling(
    local_system: LocalSystem, book: ProgressBook
) -> None:
    with served(local_system) as shop:
        local("shop", "set", shop.name, "--reconcile", "on")
        before = book.shops()
        declined = local("shop", "api", "remove", shop.name, stdin="n\n", asked=True)
        kept = written(local_system, shop.name)
        unasked = local("shop", "api", "remove", shop.name)

        removed = local("shop", "api", "remove", shop.name, "--yes", "--json")
        again = local("shop", "api", "remove", shop.name, "--yes")
        put_access(local_system, shop.name, shop.access)
        local("shop", "set", shop.name, "--reconcile", "on")
        removed_by_hand = local("shop", "api", "remove", shop.name, "--yes")

    assert shop.name in before
    assert declined.code == 1
    assert kept == shop.access
    assert "add --yes to do it" in unasked.err
    assert removed.json == {"shop": shop.name, "removed": True, "reconcile_switched_off": True}
    assert (again.code, again.out) == (0, "The access is removed already.\n")
    assert removed_by_hand.out == (
        f"The access is removed.\nReconciling {shop.name} is switched off.\n"
    )
    assert written(local_system, shop.name) is None
    assert shop.name not in book.shops()


# Reconciling, and what goes with a shop


def test_reconciling_is_switched_and_shown(local_system: LocalSystem, book: ProgressBook) -> None:
    with served(local_system, domain=f"{uuid.uuid4()}.example") as shop:
        off = local("shop", "show", shop.name)
        on = local("shop", "set", shop.name, "--reconcile", "on", "--mode", "test")
        again = local("shop", "set", shop.name, "--reconcile", "on")
        fresh = local("shop", "show", shop.name)
        ran_at = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
        book.put(shop.name, Progress(cursor=ran_at, ran_at=ran_at, problem="its server is ill"))
        ill = local("shop", "show", shop.name, width=200)
        as_json = local("shop", "show", shop.name, "--json").json["reconcile"]
        listed = local("shop", "list").out.splitlines()
        row = {each["shop"]: each for each in local("shop", "list", "--json").json}[shop.name]
        back = local("shop", "set", shop.name, "--reconcile", "off", "--json")

    def cells(text: str, field: str) -> list[str]:
        (line,) = (line for line in text.splitlines() if line.split()[:1] == [field])
        return line.split()

    assert cells(off.out, "reconcile") == ["reconcile", "off"]
    assert (on.code, again.code) == (0, 0)
    assert cells(on.out, "reconcile") == ["reconcile", "off", "on"]
    assert cells(on.out, "mode") == ["mode", "live", "(default)", "test"]
    assert "within an hour" in on.err
    assert "nothing was written" in again.out
    assert again.err == ""
    assert "on, has not run yet" in fresh.out
    assert "on, last run 2026-11-21 10:00:00 UTC: its server is ill" in ill.out
    assert as_json == {
        "on": True,
        "ran_at": "2026-11-21T10:00:00.000Z",
        "complete_until": "2026-11-21T10:00:00.000Z",
        "problem": "its server is ill",
    }
    below = [line.strip() for line in listed[listed_at(listed, shop.name) :]]
    assert "reconciled" in below[:4]
    assert row["reconcile"] is True
    assert back.json == {
        "shop": shop.name,
        "changes": [{"field": "reconcile", "before": True, "after": False}],
    }
    assert "nobody looks for orders that never arrive" in back.err
    assert shop.name not in book.shops()


def listed_at(lines: list[str], name: str) -> int:
    return next(index for index, line in enumerate(lines) if name[:20] in line)


def test_reconciling_needs_access_that_works(local_system: LocalSystem, book: ProgressBook) -> None:
    without = put(local_system)
    command = ("--reconcile", "on", "--mode", "test")
    with served(local_system, "shopify") as blind, served(local_system) as read_only:
        limit(blind)
        limit(read_only)

        nothing = local("shop", "set", without, *command)
        lacking = local("shop", "set", blind.name, *command)
        enough = local("shop", "set", read_only.name, *command)
        unknown = local("shop", "set", without, "--reconcile", "maybe")

    assert (nothing.code, lacking.code, enough.code, unknown.code) == (2, 2, 0, 2)
    assert f"`prisjakt-relay shop api set {without} {WHERE}`" in nothing.err
    assert "own API lacks the right read_orders: give it to the app" in lacking.err
    assert "--reconcile 'maybe': write on or off" in unknown.err
    assert {without, blind.name}.isdisjoint(book.shops())
    assert local("shop", "show", without, "--json").json["mode"] == "live", "nothing was written"
    local("shop", "set", read_only.name, "--reconcile", "off")


def test_a_shop_that_is_ill_can_still_be_left_alone(
    local_system: LocalSystem, book: ProgressBook
) -> None:
    name = put(local_system, curency="shop")
    book.add(name, clock())

    off = local("shop", "set", name, "--reconcile", "off")
    on = local("shop", "set", name, "--reconcile", "on")

    assert (off.code, on.code) == (0, 2)
    assert "curency: not known to this version" in on.err
    assert name not in book.shops()


def test_an_older_stack_is_told(local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = find_local(LOCAL_PORT)
    older = {name: value for name, value in stack.outputs.items() if "Reconciler" not in name}
    monkeypatch.setattr(stacks, "find_local", lambda _: replace(stack, outputs=older))

    with served(local_system) as shop:
        refused = local("shop", "set", shop.name, "--reconcile", "on")

    assert refused.code == 2
    assert "is older and has no reconciler: deploy it again" in refused.err


def test_what_belongs_to_a_shop_goes_with_it(local_system: LocalSystem, book: ProgressBook) -> None:
    with served(local_system) as shop:
        local("shop", "set", shop.name, "--reconcile", "on")
        before = book.shops()
        declined = local("shop", "remove", shop.name, stdin="n\n", asked=True)
        kept = written(local_system, shop.name)

        removed = local("shop", "remove", shop.name, "--yes")

    assert shop.name in before
    assert (declined.code, kept) == (1, shop.access)
    assert removed.code == 0
    assert f"`prisjakt-relay webhooks remove {shop.name} {WHERE}` can take its" in removed.err
    assert written(local_system, shop.name) is None
    assert shop.name not in book.shops()


@pytest.mark.usefixtures("local_system")
def test_a_new_shop_is_told_the_other_way_to_its_webhooks() -> None:
    name = f"shop-{uuid.uuid4()}"

    words = ("--platform", "woocommerce", "--pixel-id", str(uuid.uuid4()))
    added = local("shop", "add", name, *words, width=60)

    lines = [line.strip() for line in added.out.splitlines()]
    assert f"prisjakt-relay shop api set {name} {WHERE}" in lines
    assert f"prisjakt-relay webhooks register {name} {WHERE}" in lines


@pytest.mark.parametrize("words", ["set", "show", "remove"])
def test_every_command_has_an_example(words: str) -> None:
    told = call("shop", "api", words, "--help", width=80)

    assert told.code == 0
    assert f"Example: prisjakt-relay shop api {words} my-shop" in told.out
