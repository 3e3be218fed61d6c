"""A shop's second document, and its system's own API by means of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from prisjakt_relay.errors import (
    PlatformBusyError,
    SetupError,
    ShopDocumentError,
    StorageError,
)
from prisjakt_relay.operations import shop_documents, shops
from prisjakt_relay.operations.shop_documents import Change
from prisjakt_relay.operations.stack import Stack, clock, told_clearly
from prisjakt_relay.platform_api import PLATFORM_APIS, access
from prisjakt_relay.platform_api.access import CREDENTIALS, FIELDS, Access
from prisjakt_relay.platform_api.interface import PlatformApi
from prisjakt_relay.shop import NO_SUCH_SECRET, Shop, parse
from prisjakt_relay.transport import session

LONGEST_WAIT: Final = 600.0  # seconds that a shop's server may make somebody wait at once
DESCRIPTION: Final = "Access to a shop system's API, for prisjakt-relay"

# Where the credentials are made, in the words of the pages.
SOURCES: Final[Mapping[str, str]] = {
    "shopify": "In the Dev Dashboard of your own organisation, make an app with the scope "
    "read_orders, release it and install it in the store: its settings have a client id and a "
    "client secret.",
    "woocommerce": "In WooCommerce, Settings, Advanced, REST API, add a key for an administrator, "
    "with the permissions Read/Write: it shows a consumer key and a consumer secret once.",
}
WRITE: Final = "write"  # what WooCommerce calls the right that only webhooks need

# Where a right that is missing is given.
_RIGHTS: Final[Mapping[str, str]] = {
    "shopify": "give it to the app, release that version, and accept it in the store",
    "woocommerce": "make a key with the permissions Read/Write, for an administrator",
}
_NO_SECRET: Final = frozenset({"address", "public_address", "client_id"})
# How each kind of credential begins, and what it was taken for.
_BEGINNINGS: Final[Mapping[str, tuple[str, str]]] = {
    "client_secret": ("shpat_", "an access token"),
    "access_token": ("shpss_", "a client secret"),
    "consumer_key": ("cs_", "a consumer secret"),
    "consumer_secret": ("ck_", "a consumer key"),
}


class UnusableError(SetupError):
    """There is a document, but nothing of it can be read."""


def secret_id(stack: Stack, name: str) -> str:
    """The name of the secret; raises `NoShopError` for a name that no shop can have."""
    shops.secret_id(stack, name)
    return f"{stack.name}/platform-api/{name}"


def document(stack: Stack, name: str) -> dict[str, Any] | None:
    """The document as it was written, None if there is none; raises `UnusableError`."""
    wanted = secret_id(stack, name)
    with told_clearly():
        try:
            answer = stack.client("secretsmanager").get_secret_value(SecretId=wanted)
        except ClientError as error:
            if error.response["Error"]["Code"] not in NO_SUCH_SECRET:
                raise
            return None
    try:
        return parse(str(answer.get("SecretString", "")))
    except ShopDocumentError as error:
        raise UnusableError(_cannot_be_used(stack, name, error)) from None


def checked(stack: Stack, name: str, shop: Shop, written: Mapping[str, Any] | None) -> Access:
    """Raises `SetupError` if there is no access, or none that can be used."""
    require_api(name, shop)
    if written is None:
        remedy = stack.command("shop", "api", "set", name)
        raise SetupError(f"nobody has said how to get into shop {name}'s own API: run `{remedy}`")
    try:
        way = access.from_document(written, shop.platform)
    except ShopDocumentError as error:
        raise SetupError(_cannot_be_used(stack, name, error)) from None
    if (other := access.other_store(way, shop)) is not None:
        raise SetupError(
            f"domain: shop {name} is the store {other}, and the access to its API is another's: "
            f"run `{stack.command('shop', 'api', 'set', name)}`, or change the domain with "
            f"`{stack.command('shop', 'set', name, '--domain', 'HOST')}`"
        )
    return way


def has_api(platform: str) -> bool:
    return platform in PLATFORM_APIS


def require_api(name: str, shop: Shop) -> None:
    """Raises `SetupError` if the shop's system has no API that the relay knows."""
    if not has_api(shop.platform):
        raise SetupError(f"shop {name}: {access.without_api(shop.platform)}")


def _cannot_be_used(stack: Stack, name: str, error: ShopDocumentError) -> str:
    remedy = stack.command("shop", "api", "set", name)
    return f"the access to shop {name}'s own API cannot be used: {error}; run `{remedy}`"


def problem(written: Mapping[str, Any], platform: str) -> str | None:
    """What is wrong with a document, if anything is."""
    if unknown := access.unknown_fields(written):
        return f"{', '.join(unknown)}: not known to this version"
    try:
        access.from_document(written, platform)
    except ShopDocumentError as error:
        return str(error)
    return None


def changed(before: Mapping[str, Any], given: Mapping[str, Any], platform: str) -> dict[str, Any]:
    """The document with other values; new credentials of one kind take the place of another kind's.

    An empty value takes a field out.
    """
    sets = CREDENTIALS[platform]
    replaced = {
        name
        for one in sets
        for name in one
        if any(each in given for other in sets if other != one for each in other)
    }
    kept = {name: before[name] for name in FIELDS if name in before and name not in replaced}
    return {name: value for name, value in (kept | dict(given)).items() if value}


def check(given: Mapping[str, Any], platform: str) -> Access:
    """The access that a document describes; raises `SetupError` with the field and the remedy."""
    _refuse_mistaken(given)
    try:
        return access.from_document(given, platform)
    except ShopDocumentError as error:
        raise SetupError(str(error)) from None


def check_so_far(given: Mapping[str, Any], platform: str) -> None:
    """Check the fields that are there, as if the missing ones were right."""
    address = "https://shop.myshopify.com" if platform == "shopify" else "https://shop.example"
    chosen = [one for one in CREDENTIALS[platform] if any(name in given for name in one)]
    stand_ins = dict.fromkeys((chosen or CREDENTIALS[platform])[0], "stand-in")
    check({"address": address, **stand_ins, **given}, platform)


def _refuse_mistaken(given: Mapping[str, Any]) -> None:
    for name, (beginning, what) in _BEGINNINGS.items():
        if str(given.get(name, "")).startswith(beginning):
            raise SetupError(f"{name}: that is {what}; paste the {name.replace('_', ' ')}")


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """What is written differently, in the order of the fields."""
    names = {**dict.fromkeys(FIELDS), **before}
    return [
        Change(name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]


def is_secret(field: str) -> bool:
    """An unknown field, too: it may be a misspelt one of the secrets."""
    return field not in _NO_SECRET


def masked(field: str, value: Any, *, revealed: bool = False) -> Any:
    """The value; in place of a secret its fingerprint and length, and itself if `revealed`."""
    if not is_secret(field) or value is None:
        return value
    return shop_documents.disguised(str(value), revealed=revealed)


def signs_in_vain(shop: Shop, way: Access) -> bool:
    """Whether webhooks that are made with this access are signed with a secret that the shop's
    document does not have: Shopify signs them with the app's client secret."""
    return way.client_secret is not None and way.client_secret not in shop.signing_secrets


def accepting_remedy(stack: Stack, name: str) -> str:
    """What makes the shop accept the app's signatures, as part of a sentence."""
    add = stack.command("shop", "signing-secret", "add", name, "--signing-secret", "-")
    return f"`{add}` takes the client secret from standard input"


def connected(
    shop: Shop,
    way: Access,
    *,
    on_wait: Callable[[float], None] = lambda _: None,
    longest: float = LONGEST_WAIT,
    sleep: Callable[[float], None] = time.sleep,
) -> PlatformApi:
    """The API; `on_wait` hears of each wait in seconds before it begins. What takes longer than
    `longest` is given up."""

    def wait(seconds: float) -> None:
        if seconds > longest:
            raise PlatformBusyError(
                f"{way.address} does not answer, or is too busy: it would take {seconds:.0f} s at "
                "least; try again later"
            )
        on_wait(seconds)
        sleep(seconds)

    return PLATFORM_APIS[shop.platform](
        way, session(), clock=clock, wait=wait, landing_pages=shop.landing_page_fallback
    )


def api(
    stack: Stack,
    name: str,
    shop: Shop,
    *,
    on_wait: Callable[[float], None] = lambda _: None,
    longest: float = LONGEST_WAIT,
) -> PlatformApi:
    """The API of a shop of the stack."""
    way = checked(stack, name, shop, document(stack, name))
    return connected(shop, way, on_wait=on_wait, longest=longest)


def require_reading(stack: Stack, name: str, shop: Shop) -> None:
    """Ask the API once; raises `SetupError` if its orders cannot be read with this access."""
    lacking = sorted(set(api(stack, name, shop).check()) - {WRITE})
    if lacking:
        raise SetupError(f"the access to shop {name}'s own API {lacks(shop, lacking)}")


def lacks(shop: Shop, rights: Iterable[str]) -> str:
    """The end of a sentence, with the remedy."""
    return f"lacks the right {', '.join(sorted(rights))}: {_RIGHTS[shop.platform]}"


def write(stack: Stack, name: str, given: Mapping[str, Any]) -> None:
    """Write the document, new or in place of the old one."""
    wanted, text = secret_id(stack, name), json.dumps(dict(given), indent=2)
    client = stack.client("secretsmanager")
    with told_clearly():
        try:
            client.create_secret(Name=wanted, SecretString=text, Description=DESCRIPTION)
        except ClientError as error:
            if error.response["Error"]["Code"] not in shop_documents.THERE_IS_ONE:
                raise
            _write_again(client, wanted, text, name)


def _write_again(client: Any, wanted: str, text: str, name: str) -> None:
    """A secret that somebody removed with a time of grace keeps its name: it is taken over."""
    try:
        client.put_secret_value(SecretId=wanted, SecretString=text)
    except ClientError as error:
        if error.response["Error"]["Code"] not in NO_SUCH_SECRET:
            raise
    else:
        return
    try:
        client.restore_secret(SecretId=wanted)
        client.put_secret_value(SecretId=wanted, SecretString=text)
    except ClientError as error:
        if error.response["Error"]["Code"] not in NO_SUCH_SECRET:
            raise
        raise StorageError(
            f"the access to shop {name}'s own API is just being removed: try again in a minute"
        ) from None


def remove(stack: Stack, name: str) -> bool:
    """Remove it for good: it is only credentials; False if there is none."""
    wanted, client = secret_id(stack, name), stack.client("secretsmanager")
    with told_clearly():
        try:
            client.describe_secret(SecretId=wanted)  # deleting by force finds fault with nothing
            client.delete_secret(SecretId=wanted, ForceDeleteWithoutRecovery=True)
        except ClientError as error:
            if error.response["Error"]["Code"] not in NO_SUCH_SECRET:
                raise
            return False
    return True
