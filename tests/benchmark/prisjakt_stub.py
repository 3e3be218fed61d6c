"""Stands in for Prisjakt on loopback: stores each event that is created, and says so at once."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any, Final

from tests.benchmark.loopback import LoopbackHandler, LoopbackServer

_EVENTS: Final = re.compile(r"/pixels/[0-9a-f-]{36}/events")
_FIELDS: Final = {"event_name", "event_time", "external_event_id", "data", "signed_click_id"}


class PrisjaktStub(LoopbackServer):
    """Keeps what was reported, and has no rules of its own."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.events: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://{self.address}"


class _Handler(LoopbackHandler):
    server: PrisjaktStub

    def do_POST(self) -> None:  # noqa: N802
        event = json.loads(self.read_body())
        headers = {"Content-Type": "application/json", "X-Request-Id": str(uuid.uuid4())}
        if _EVENTS.fullmatch(self.path) is None or event.keys() != _FIELDS:
            self.answer(400, {"title": "Bad Request", "status": 400}, headers)
            return
        self.server.events.append(event)
        self.answer(201, {}, headers)
