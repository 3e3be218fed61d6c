"""The sample deliveries of `events/`, and how to move them to another day."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from prisjakt_relay.local import project
from prisjakt_relay.platforms import PLATFORMS

RECORDED_UNTIL: Final = datetime(2026, 11, 21, tzinfo=UTC)  # every sample is a little older

_TIME: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook as it was sent, and what the relay owes for it."""

    platform: str
    name: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    expected: dict[str, Any]

    @property
    def path(self) -> str:
        return str(self.expected["path"])

    @property
    def shop(self) -> str:
        return self.path.rsplit("/", 1)[1]

    def moved(self, by: timedelta, secret: str | None) -> Delivery:
        """The same delivery at another time, signed anew where a secret is given."""
        body = _TIME.sub(lambda found: _shifted(found[0], by), self.body)
        now = RECORDED_UNTIL + by
        headers = self.headers if secret is None else self.signed(body, secret, now)
        expected = dict(self.expected)
        if (conversion := expected["conversion"]) is not None:
            moment = datetime.fromisoformat(conversion["event_time"]) + by
            expected["conversion"] = conversion | {
                "event_time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "revision": conversion["revision"] + by // timedelta(milliseconds=1),
            }
        return replace(self, headers=headers, body=body, expected=expected)

    def signed(self, body: bytes, secret: str, now: datetime) -> tuple[tuple[str, str], ...]:
        """The delivery's headers with the signature that fits another body."""
        fresh = PLATFORMS[self.platform].sign(body, secret, now)
        return tuple((name, fresh.get(name.lower(), value)) for name, value in self.headers)


def _shifted(moment: bytes, by: timedelta) -> bytes:
    return (datetime.fromisoformat(moment.decode()) + by).isoformat().encode()


def load(platform: str, name: str) -> Delivery:
    folder = project.root() / "events" / platform
    return Delivery(
        platform=platform,
        name=name,
        headers=tuple(
            (key, value) for key, value in json.loads((folder / f"{name}.headers.json").read_text())
        ),
        body=(folder / f"{name}.body").read_bytes(),
        expected=json.loads((folder / f"{name}.expected.json").read_text()),
    )


def load_all() -> Iterator[Delivery]:
    """Every sample, platform by platform."""
    for platform in PLATFORMS:
        folder: Path = project.root() / "events" / platform
        for file in sorted(folder.glob("*.body")):
            yield load(platform, file.stem)
