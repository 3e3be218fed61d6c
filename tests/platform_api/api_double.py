"""A shop's own API as the relay sees one, without any shop system behind it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count

from prisjakt_relay.platform_api.interface import Moment, Page, Webhook
from prisjakt_relay.platforms.interface import Document


@dataclass
class ApiDouble:
    """Holds orders and webhooks; `before_page` is called with each page's number, from 1 on, and
    may raise, as may `before_webhooks`. `changes` are the calls that changed a webhook."""

    orders_by_id: dict[str, Document] = field(default_factory=dict)
    hooks: list[Webhook] = field(default_factory=list)
    page_size: int = 250
    topics: tuple[str, ...] = ("orders/updated", "orders/create")
    sees_all: bool = True
    before_page: Callable[[int], None] = lambda _: None
    before_webhooks: Callable[[], None] = lambda: None
    asked: list[tuple[datetime, datetime, Moment]] = field(default_factory=list)
    changes: list[tuple[str, ...]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(101))

    def put(self, *orders: Document) -> None:
        self.orders_by_id |= {str(order["id"]): order for order in orders}

    def orders(self, since: datetime, until: datetime, *, by: Moment) -> Iterator[Page]:
        self.asked.append((since, until, by))
        dated = [
            (datetime.fromisoformat(order[f"{by}_at"]), order)
            for order in self.orders_by_id.values()
        ]
        found = sorted(
            (each for each in dated if since <= each[0] < until), key=lambda each: each[0]
        )
        starts = range(0, len(found), self.page_size) or [0]
        for number, start in enumerate(starts, 1):
            self.before_page(number)
            part = found[start : start + self.page_size]
            is_last = start + self.page_size >= len(found)
            yield Page(tuple(order for _, order in part), until if is_last else part[-1][0])

    def check(self) -> Collection[str]:
        return ()

    def webhooks(self) -> list[Webhook]:
        self.before_webhooks()
        return list(self.hooks)

    def create_webhook(self, topic: str, address: str, secret: str) -> Webhook:
        self.changes.append(("create", topic, address, secret))
        made = Webhook(id=str(next(self._numbers)), topic=topic, address=address)
        self.hooks.append(made)
        return made

    def replace_webhook(self, webhook: Webhook, address: str, secret: str) -> Webhook:
        self.changes.append(("replace", webhook.id, address, secret))
        made = replace(webhook, id=str(next(self._numbers)), address=address, problems=())
        self.hooks[self.hooks.index(webhook)] = made
        return made

    def remove_webhook(self, webhook: Webhook) -> None:
        self.changes.append(("remove", webhook.id))
        self.hooks.remove(webhook)
