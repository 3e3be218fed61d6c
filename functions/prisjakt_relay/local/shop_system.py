"""A simulated shop system as far as the relay knows one: orders, webhooks, an API; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from prisjakt_relay.local.exchange import Answer, Call
from prisjakt_relay.platforms.interface import Document


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One request that a webhook makes."""

    address: str
    topic: str
    order_id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Send = Callable[[Delivery], int | None]
"""Make the request; its answer's status, or None if there is none."""

Later = Callable[[float, Callable[[], None]], object]
"""Do something after so many seconds."""


class ShopSystem(Protocol):
    """One shop. What goes wrong is asked for: `deaf` keeps deliveries from leaving, as if its own
    queue had lost them; `outage` answers every API call with that status, and does nothing."""

    orders: dict[str, Document]
    """By id, each as it is now and as a webhook would tell of it."""

    deaf: bool
    outage: int | None

    def put(self, order: Document, *topics: str) -> None:
        """Keep an order as it is now, and send what the webhooks of these topics want."""

    def answer(self, call: Call) -> Answer:
        """The API: its path begins where the shop's address ends."""
