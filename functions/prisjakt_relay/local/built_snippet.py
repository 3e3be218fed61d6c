"""The built files of the capture script: which a platform's pages need, and where they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from prisjakt_relay.local import project

_PARTS: Final = {"shopify": ("shopify", "capture")}  # its own part listens from the start


def parts(platform: str) -> tuple[str, ...]:
    """In the order in which a page needs them."""
    return _PARTS.get(platform, ("capture",))


def built(part: str) -> list[Path]:
    """Every built version of a part, the newest last."""
    name = re.compile(rf"{part}-[0-9]+\.[0-9]+\.[0-9]+\.js")
    return sorted(
        (file for file in project.root().glob("snippet/dist/*.js") if name.fullmatch(file.name)),
        key=lambda file: [int(number) for number in re.findall(r"[0-9]+", file.name)],
    )
