"""What the relay asks of a shop system's own API: its orders, and its webhooks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from requests import Session

from prisjakt_relay.platform_api.access import Access
from prisjakt_relay.platforms.interface import Document

Wait = Callable[[float], None]
"""Wait so many seconds, or raise `PlatformBusyError` where nobody can wait for so long."""


class Moment(StrEnum):
    """Which of an order's moments an interval is of."""

    CREATED = "created"
    UPDATED = "updated"


@dataclass(frozen=True, slots=True)
class Page:
    """Some orders as the platform's webhooks would tell of them, as far as intake reads them.

    An order that carries no click id may have no more than what says so. No order of the
    interval that is older than `complete_until` is still to come.
    """

    orders: tuple[Document, ...]
    complete_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One registered webhook; `topic` is in the words of its deliveries' header.

    `problems` are what keeps it from doing its work, each a part of a sentence: "is disabled".
    """

    id: str
    topic: str
    address: str
    problems: tuple[str, ...] = ()


class PlatformApi(Protocol):
    """One shop's own API. Every call raises a `PlatformApiError` for what is no success."""

    topics: tuple[str, ...]
    """The topics that a shop should have a webhook of; the first tells of every change."""

    sees_all: bool
    """Whether `webhooks` has also those that somebody made by hand."""

    def orders(self, since: datetime, until: datetime, *, by: Moment) -> Iterator[Page]:
        """The orders that were created or last updated from `since` on and before `until`, oldest
        first; each as it is now, and each at least once."""

    def check(self) -> Collection[str]:
        """Ask for as little as possible, to see whether the credentials are good; returns the
        rights that are missing, in the platform's words."""

    def webhooks(self) -> list[Webhook]:
        """All that the credentials may see, of order topics, whoever made them."""

    def create_webhook(self, topic: str, address: str, secret: str) -> Webhook:
        """Register one. Where the platform signs with a secret of its own, `secret` is ignored."""

    def replace_webhook(self, webhook: Webhook, address: str, secret: str) -> Webhook:
        """One of the same topic in its place, as it should be."""

    def remove_webhook(self, webhook: Webhook) -> None:
        """Take it away; one that is gone already is no error."""


class Connect(Protocol):
    """Makes the API of one shop. `landing_pages`: orders are wanted with the address at which
    their visit began."""

    def __call__(
        self,
        access: Access,
        http: Session,
        *,
        clock: Callable[[], datetime],
        wait: Wait,
        landing_pages: bool = False,
    ) -> PlatformApi: ...
