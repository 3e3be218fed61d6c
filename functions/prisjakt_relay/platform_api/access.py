"""The second document of a shop: where its system's own API is, and how to get in.

JSON in Secrets Manager under `<stack>/platform-api/<shop>`. The receiver may not read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final
from urllib.parse import urlsplit

from prisjakt_relay.errors import ShopDocumentError
from prisjakt_relay.shop import Shop

_SHOPIFY_HOST: Final = ".myshopify.com"
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_HOST: Final = re.compile(r"[\w.:-]+")  # also one with letters of its own language

# Of each platform: sets of credentials, one of which has to be there.
CREDENTIALS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "shopify": (("client_id", "client_secret"), ("access_token",)),
    "woocommerce": (("consumer_key", "consumer_secret"),),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """`address` is where the API is: Shopify's `https://….myshopify.com`, WordPress' own address.
    `public_address` is where customers go, if that is another one."""

    address: str
    public_address: str | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)
    consumer_key: str | None = field(default=None, repr=False)
    consumer_secret: str | None = field(default=None, repr=False)

    @property
    def storefront(self) -> str:
        return self.public_address or self.address


FIELDS: Final = tuple(field.name for field in fields(Access))


def without_api(platform: str) -> str:
    """Why there is nothing to get into, with what takes the place of looking for lost orders."""
    return (
        f"{platform} has no API of its own that the relay could ask: its shop system has to send "
        "each order again until it is answered 200"
    )


def unknown_fields(document: Mapping[str, Any]) -> list[str]:
    return sorted(set(document) - set(FIELDS))


def from_document(document: Mapping[str, Any], platform: str) -> Access:
    """Check every known field; raises `ShopDocumentError` with the field and the remedy."""
    if platform not in CREDENTIALS:
        raise ShopDocumentError("platform", f"{without_api(platform)}; remove this document")
    texts = {name: _text(document, name) for name in FIELDS}
    sets = CREDENTIALS[platform]
    for name in FIELDS:
        wanted = name in ("address", "public_address") or any(name in one for one in sets)
        if texts[name] is not None and not wanted:
            raise ShopDocumentError(name, f"is not {platform}'s; remove it")
    given = [one for one in sets if any(texts[name] is not None for name in one)]
    if len(given) != 1:
        choices = " or ".join(" and ".join(one) for one in sets)
        problem = "is missing" if not given else "is given beside other credentials"
        raise ShopDocumentError(sets[-1 if given else 0][0], f"{problem}; give {choices}")
    for name in given[0]:
        if texts[name] is None:
            raise ShopDocumentError(name, f"is missing; give {' and '.join(given[0])}")
    address = texts["address"]
    if address is None:
        raise ShopDocumentError("address", f"is missing; give {_example(platform)}")
    public = texts["public_address"]
    return Access(
        address=_address("address", address, platform),
        public_address=None if public is None else _address("public_address", public, None),
        client_id=texts["client_id"],
        client_secret=texts["client_secret"],
        access_token=texts["access_token"],
        consumer_key=texts["consumer_key"],
        consumer_secret=texts["consumer_secret"],
    )


def other_store(way: Access, shop: Shop) -> str | None:
    """The store that the shop's document names, if the API is another one's: one app's secret
    signs for several stores of Shopify."""
    if shop.platform != "shopify" or shop.domain is None:
        return None
    host = urlsplit(way.address).hostname or ""
    return shop.domain if host.endswith(_SHOPIFY_HOST) and host != shop.domain else None


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ShopDocumentError(name, "is not a text; paste it again, or leave the field out")
    return value.strip()


def _address(name: str, value: str, platform: str | None) -> str:
    """Without a slash at the end. Credentials go there, so it has to be https, or loopback."""
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    loopback = parts.scheme == "http" and host in _LOOPBACK
    usable = _HOST.fullmatch(host) and (parts.scheme == "https" or loopback) and port != 0
    if not usable:
        raise ShopDocumentError(name, f"is not an https address; give {_example(platform)}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ShopDocumentError(
            name, f"has a user, a query or a fragment in it; give {_example(platform)}"
        )
    is_bare = host.endswith(_SHOPIFY_HOST) and parts.path in ("", "/")
    if platform == "shopify" and not loopback and not is_bare:
        raise ShopDocumentError(name, f"is not the store's own; give {_example(platform)}")
    return value.rstrip("/")


def _example(platform: str | None) -> str:
    if platform == "shopify":
        return "https://STORE.myshopify.com, as in Settings, Domains"
    return "one like https://shop.example"
