"""What the senders heard Prisjakt acknowledge, and what they sent again all the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from requests import Response
from tests.simulation.prisjakt import HOST, Road

from prisjakt_relay.local.prisjakt_rules import parse

CONFLICT: Final = 409

Name = tuple[str, str]  # pixel and external id
Facts = tuple[object, object]  # amount and number of items


@dataclass(frozen=True)
class Heard:
    """That Prisjakt has an order. `only_that`: not with which facts, as a 409 does not say."""

    facts: Facts
    only_that: bool

    def makes_needless(self, method: str, facts: Facts) -> bool:
        """After a 409 a PATCH makes sure of the facts, while another POST tells nothing new."""
        return self.facts == facts and (method == "POST" or not self.only_that)


class Telling:
    """Counts how often an order was sent though its facts were known to be acknowledged.

    Known is what an invocation heard that lived to write it down: nobody else can know of it.
    """

    def __init__(self) -> None:
        self.repeats = 0
        self._known: dict[Name, Heard] = {}
        self._fresh: defaultdict[str, dict[Name, Heard]] = defaultdict(dict)
        self._held: Counter[str] = Counter()  # repeats of what an invocation has yet to write down

    def sends(self, method: str, events: Mapping[Name, Facts]) -> None:
        for name, facts in events.items():
            known = self._known.get(name)
            if known is not None and known.makes_needless(method, facts):
                self.repeats += 1
            elif known is not None and known.facts != facts:
                del self._known[name]  # from now on it may be otherwise
            for invocation, fresh in self._fresh.items():
                heard = fresh.get(name)
                if heard is not None and heard.makes_needless(method, facts):
                    self._held[invocation] += 1
                elif heard is not None and heard.facts != facts:
                    del fresh[name]

    def hears(self, invocation: str, status: int, events: Mapping[Name, Facts]) -> None:
        if status < 300 or status == CONFLICT:
            for name, facts in events.items():
                self._fresh[invocation][name] = Heard(facts, only_that=status == CONFLICT)

    def ends(self, invocation: str, *, wrote: bool) -> None:
        """`wrote` says whether it could write down what it heard."""
        fresh, held = self._fresh.pop(invocation, {}), self._held.pop(invocation, 0)
        if wrote:
            self._known |= fresh
            self.repeats += held


class Listening(Road):
    """The senders' way to Prisjakt, which notes what they say and what they hear."""

    def request(  # type: ignore[override]
        self, method: str, url: str, *, data: bytes | Mapping[str, bytes] | None = None, **rest: Any
    ) -> Response:
        world = self._world
        events = dict(_events(method, url, data))
        world.telling.sends(method, events)
        response = super().request(method, url, data=data, **rest)
        running = world.time.running
        if running is not None:
            world.telling.hears(running.name, response.status_code, events)
        return response


def _events(
    method: str, url: str, data: bytes | Mapping[str, bytes] | None
) -> Iterator[tuple[Name, Facts]]:
    path = url.removeprefix(HOST).partition("?")[0]
    if method not in ("POST", "PATCH") or not path.endswith("/events"):
        return
    content: Any = parse(data if isinstance(data, bytes) else b"")
    pixel = path.split("/")[3]
    for event in content if isinstance(content, list) else [content]:
        facts = event["data"]["amount"], event["data"]["number_of_items"]
        yield (pixel, event["external_event_id"]), facts
