"""The shop systems' own APIs: one line each, under the platform's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prisjakt_relay.platform_api import shopify, woocommerce
from prisjakt_relay.platform_api.interface import Connect

PLATFORM_APIS: Final[Mapping[str, Connect]] = {
    "shopify": shopify.ShopifyApi,
    "woocommerce": woocommerce.WooCommerceApi,
}
