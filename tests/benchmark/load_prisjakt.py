"""The simulated Prisjakt of a load run: notes how often each order was reported to it.

`python -m tests.benchmark.load_prisjakt`, started by `tests.benchmark.load` for the local system;
a pool of Lambda processes has it in its own process. Prisjakt's own key (pixel and external id)
would hide an order that is reported again, so what is counted is what was asked of it.
"""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import requests
from flask import Flask, Response
from pydantic import TypeAdapter
from tests.benchmark.load_figures import AtPrisjakt

from prisjakt_relay.local.exchange import Answer, Call
from prisjakt_relay.local.prisjakt_model import PrisjaktModel, route
from prisjakt_relay.local.prisjakt_server import PrisjaktServer, create_app, serve

# Stored, stored or replaced, and refused since it is there already.
_REPORTS: Final[Mapping[str, frozenset[int]]] = {
    "create-event": frozenset({201, 409}),
    "create-events": frozenset({204}),
}
_FOUND_PATH: Final = "/_load/found"
_FOUND: Final = TypeAdapter(tuple[AtPrisjakt, ...])


@dataclass(frozen=True, slots=True)
class _Reported:
    external_event_id: str


_ONE: Final = TypeAdapter(_Reported)
_SEVERAL: Final = TypeAdapter(tuple[_Reported, ...])


class CountingModel(PrisjaktModel):
    """Counts how often an order was created, or would have been but for its key; a PATCH counts
    for each order in it."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: datetime.now(UTC), new_id=lambda: str(uuid.uuid4()))
        self._reports: Counter[tuple[str, str]] = Counter()

    def answer(self, call: Call) -> Answer:
        answer = super().answer(call)
        operation, ids = route(call) or (None, {})
        if operation is not None and answer.status in _REPORTS.get(operation.name, ()):
            several = operation.name == "create-events"
            each_reported = (
                _SEVERAL.validate_json(call.body) if several else (_ONE.validate_json(call.body),)
            )
            pixel = ids["pixel_id"]
            self._reports.update((pixel, each.external_event_id) for each in each_reported)
        return answer

    def found(self) -> tuple[AtPrisjakt, ...]:
        return tuple(
            AtPrisjakt(order, event.amount, self._reports[event.pixel_id, order])
            for event in self.events.values()
            if (order := event.external_event_id) is not None
        )


def serve_counting(model: CountingModel) -> PrisjaktServer:
    app: Flask = create_app(model)

    @app.get(_FOUND_PATH)
    def found() -> Response:
        return Response(_FOUND.dump_json(model.found()), mimetype="application/json")

    return serve(app, 0)


def found_at(address: str) -> tuple[AtPrisjakt, ...]:
    """What the server at this address holds."""
    answer = requests.get(f"{address}{_FOUND_PATH}", timeout=60)
    answer.raise_for_status()
    return _FOUND.validate_json(answer.content)


def main() -> None:
    """Serve until the one that started this closes its standard input."""
    server = serve_counting(CountingModel())
    try:
        sys.stdout.write(f"{server.address} {server.base_address}\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        server.close()


if __name__ == "__main__":
    main()
