"""The shop systems that the relay knows: one line each, in the address under this name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prisjakt_relay.platforms import shopify, woocommerce
from prisjakt_relay.platforms.interface import Platform

PLATFORMS: Final[Mapping[str, Platform]] = {
    "shopify": shopify.PLATFORM,
    "woocommerce": woocommerce.PLATFORM,
}
