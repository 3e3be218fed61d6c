"""A shop's webhooks through its system's own API: what is found, and what puts it in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from prisjakt_relay.errors import SetupError
from prisjakt_relay.operations import platform_access, shops
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.platform_api.access import Access
from prisjakt_relay.platform_api.interface import PlatformApi, Webhook
from prisjakt_relay.platform_api.subscriptions import (
    IN_ORDER,
    Finding,
    State,
    examined,
    put_in_order,
)
from prisjakt_relay.shop import Shop

MEANINGS: Final[Mapping[State, str]] = {
    State.ALIVE: "it delivers",
    State.MISSING: "nothing delivers this topic",
    State.OPTIONAL: "not there, and not needed while the first one is alive",
    State.BROKEN: "it delivers nothing that can be used",
    State.DOUBLED: "another one delivers the same, so each order arrives twice",
    State.EXTRA: "it delivers what the relay ignores; this takes it away",
    State.FOREIGN: "it delivers to another relay or as another shop; if nobody needs it",
}
# Commands, in which SHOP and ID stand for the shop and the webhook.
REMEDIES: Final[Mapping[State, tuple[str, ...]]] = {
    State.MISSING: ("webhooks", "register", "SHOP"),
    State.BROKEN: ("webhooks", "repair", "SHOP"),
    State.DOUBLED: ("webhooks", "repair", "SHOP"),
    State.EXTRA: ("webhooks", "remove", "SHOP", "--id", "ID"),
    State.FOREIGN: ("webhooks", "remove", "SHOP", "--id", "ID"),
}
# What is done about a finding, before and after.
WORK: Final[Mapping[State, tuple[str, str]]] = {
    State.MISSING: ("register", "registered"),
    State.OPTIONAL: ("register", "registered"),
    State.BROKEN: ("replace", "replaced"),
    State.DOUBLED: ("remove", "removed"),
}
UNSEEN: Final = (
    "Webhooks that somebody made in the Shopify admin cannot be seen through the API: where there "
    "are any for the same topics, delete them there once these are registered."
)

_OURS: Final = frozenset({State.ALIVE, State.BROKEN, State.DOUBLED, State.EXTRA})


@dataclass(frozen=True)
class ShopWebhooks:
    """The webhooks of one shop, and the address at which this relay takes them."""

    stack: Stack
    name: str
    shop: Shop
    way: Access
    api: PlatformApi

    @property
    def address(self) -> str:
        return self.stack.webhook(self.shop.platform, self.name)

    @property
    def secret(self) -> str:
        """The newest: in a rotation, the older ones are on their way out."""
        return self.shop.signing_secrets[-1]

    def findings(self) -> tuple[Finding, ...]:
        return examined(self.api.webhooks(), self.api.topics, self.address)

    def require_accepted_signature(self) -> None:
        """Raises `SetupError` if what is made here would deliver in vain."""
        if platform_access.signs_in_vain(self.shop, self.way):
            raise SetupError(
                f"shop {self.name} would refuse these webhooks with 401: Shopify signs them with "
                "the app's client secret, which is none of its signing secrets; "
                + platform_access.accepting_remedy(self.stack, self.name)
            )

    def carry_out(self, plan: Sequence[Finding]) -> Iterator[Finding]:
        """Do what is planned; each is told when it is done."""
        return put_in_order(self.api, plan, self.address, self.secret)

    def one(self, wanted: str) -> Webhook:
        """Any that the credentials may see, by its id; raises `SetupError` if there is none."""
        for webhook in self.api.webhooks():
            if wanted in (webhook.id, short_id(webhook)):
                return webhook
        raise SetupError(
            f"shop {self.name} has no webhook {wanted} that can be seen: "
            f"`{self.stack.command('webhooks', 'list', self.name)}` shows those of relays"
        )

    def remedy(self, finding: Finding) -> str:
        """What this state means and the command that changes it; empty if nothing has to."""
        if finding.state not in REMEDIES:
            return ""
        words = {"SHOP": self.name, "ID": short_id(finding.webhook) if finding.webhook else ""}
        command = (words.get(word, word) for word in REMEDIES[finding.state])
        return f"{finding.state}: {MEANINGS[finding.state]}: `{self.stack.command(*command)}`"

    def none_is_ours(self, findings: Sequence[Finding]) -> bool:
        """Whether there may be some of Shopify's admin, which nobody can see from here."""
        return not self.api.sees_all and not ours(findings)


def of_shop(
    stack: Stack,
    name: str,
    *,
    on_wait: Callable[[float], None] = lambda _: None,
) -> ShopWebhooks:
    """Raises `SetupError` if there is no such shop, or no access to its API."""
    shop = shops.shop(stack, name)
    way = platform_access.checked(stack, name, shop, platform_access.document(stack, name))
    return ShopWebhooks(
        stack, name, shop, way, platform_access.connected(shop, way, on_wait=on_wait)
    )


def missing(findings: Sequence[Finding]) -> list[Finding]:
    """What registering does something about."""
    return [each for each in findings if each.state in (State.MISSING, State.OPTIONAL)]


def in_need(findings: Sequence[Finding], *, renew: bool) -> list[Finding]:
    """What repairing does something about; with `renew`, whatever is alive as well."""
    renewed = {State.ALIVE: State.BROKEN} if renew else {}
    wanted = [replace(each, state=renewed.get(each.state, each.state)) for each in findings]
    return [each for each in wanted if each.state in WORK and each.state is not State.OPTIONAL]


def may_share_a_secret(shop: Shop, findings: Sequence[Finding]) -> bool:
    """Whether one was broken while another is alive, which may come to the same: WooCommerce's
    webhooks have a secret each, which nobody can read."""
    return shop.platform == "woocommerce" and {State.BROKEN, State.ALIVE} <= {
        each.state for each in findings
    }


def ours(findings: Sequence[Finding]) -> list[Webhook]:
    """All that deliver to this relay as this shop."""
    return [each.webhook for each in findings if each.webhook and each.state in _OURS]


def wrong(findings: Sequence[Finding]) -> list[Finding]:
    return [each for each in findings if each.state not in IN_ORDER]


def told(finding: Finding) -> str:
    """A part of a sentence: "orders/create is missing"."""
    problems = " and ".join(finding.webhook.problems) if finding.webhook else ""
    if finding.state is State.BROKEN and problems:
        return f"{finding.topic} {problems}"
    return f"{finding.topic} is {finding.state}"


def short_id(webhook: Webhook) -> str:
    """The number at the end of an id."""
    return webhook.id.rsplit("/", 1)[-1]
