"""The shop systems that the relay knows: one line each, in the address under this name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from prisjakt_relay.platforms import custom, shopify, woocommerce
from prisjakt_relay.platforms.interface import Platform
from prisjakt_relay.shop import Shop, from_document

PLATFORMS: Final[Mapping[str, Platform]] = {
    "shopify": shopify.PLATFORM,
    "woocommerce": woocommerce.PLATFORM,
    "custom": custom.PLATFORM,
}

EXCLUDED_SOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    name: platform.excluded_sources for name, platform in PLATFORMS.items()
}


def shop_from(document: Mapping[str, Any]) -> Shop:
    """The shop that a document describes, with its platform's defaults; `shop.from_document`."""
    return from_document(document, EXCLUDED_SOURCES)
