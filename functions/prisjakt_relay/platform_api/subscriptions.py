"""Which webhooks a shop has, which it should have, and how the one becomes the other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from prisjakt_relay.platform_api.interface import PlatformApi, Webhook
from prisjakt_relay.platforms import PLATFORMS


class State(StrEnum):
    ALIVE = "alive"
    MISSING = "missing"
    OPTIONAL = "optional"  # missing, while one that tells of every change is alive
    BROKEN = "broken"  # disabled, paused, or set up so that deliveries would be of no use
    DOUBLED = "doubled"
    EXTRA = "extra"  # ours, of a topic that is not needed: left alone
    FOREIGN = "foreign"  # another relay's, or another shop's: left alone


_RELAYS_PATH: Final = re.compile(rf"/webhooks/(?:{'|'.join(PLATFORMS)})/[a-z0-9-]{{1,64}}\Z")

IN_ORDER: Final = frozenset({State.ALIVE, State.OPTIONAL, State.EXTRA, State.FOREIGN})


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of a topic, or of one webhook."""

    topic: str
    state: State
    webhook: Webhook | None = None


def examined(
    webhooks: Sequence[Webhook], topics: Sequence[str], address: str
) -> tuple[Finding, ...]:
    """One finding for each topic, and one for each further webhook of a relay. The first topic is
    the one that tells of every change.

    What goes to neither this relay nor one like it is somebody else's business, and left out.
    """
    ours = [each for each in webhooks if _same(each.address, address)]
    findings: list[Finding] = []
    for topic in topics:
        of_topic = sorted(
            (each for each in ours if each.topic == topic),
            key=lambda each: (not each.problems, _age(each)),
            reverse=True,  # of two that work the newer stays: it may have the newer secret
        )
        if not of_topic:
            covered = any(each.state is State.ALIVE for each in findings[:1])
            findings.append(Finding(topic, State.OPTIONAL if covered else State.MISSING))
            continue
        best, *others = of_topic
        findings.append(Finding(topic, State.BROKEN if best.problems else State.ALIVE, best))
        findings += [Finding(topic, State.DOUBLED, each) for each in others]
    findings += [Finding(w.topic, State.EXTRA, w) for w in ours if w.topic not in topics]
    findings += [
        Finding(each.topic, State.FOREIGN, each)
        for each in webhooks
        if each not in ours and _is_a_relays(each.address)
    ]
    return tuple(findings)


def put_in_order(
    api: PlatformApi, findings: Sequence[Finding], address: str, secret: str
) -> Iterator[Finding]:
    """Make what is missing, replace what is broken, remove what is there twice; each is told when
    it is done. Safe to do again after any interruption."""
    for finding in findings:
        webhook = finding.webhook
        if finding.state in (State.MISSING, State.OPTIONAL):
            made = api.create_webhook(finding.topic, address, secret)
        elif finding.state is State.BROKEN and webhook is not None:
            made = api.replace_webhook(webhook, address, secret)
        elif finding.state is State.DOUBLED and webhook is not None:
            api.remove_webhook(webhook)
            made = webhook
        else:
            continue
        yield Finding(finding.topic, finding.state, made)


def _same(one: str, other: str) -> bool:
    return _normal(one) == _normal(other)


def _normal(address: str) -> tuple[str, str]:
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return "", address
    return parts.netloc.lower(), parts.path.rstrip("/")


def _is_a_relays(address: str) -> bool:
    return _RELAYS_PATH.search(_normal(address)[1]) is not None


def _age(webhook: Webhook) -> tuple[int, str]:
    """The oldest is the least: ids are numbers that grow, or end with one."""
    return len(webhook.id), webhook.id
