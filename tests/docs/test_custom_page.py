"""What a new user sends from the page on backends of their own, and what is answered."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types
from tests.cli.test_custom import Shop
from tests.docs import pages

from prisjakt_relay.local.system import LocalSystem

NAME: Final = "docs/custom.md"
SCHEMA: Final[dict[str, Any]] = json.loads(pages.text_of("docs/custom.schema.json"))


def in_language(language: str) -> list[str]:
    return [block.text for block in pages.blocks(NAME) if block.language == language]


def test_the_smallest_order_is_valid_and_has_nothing_to_leave_out() -> None:
    (smallest,) = map(json.loads, in_language("json"))

    Draft202012Validator(SCHEMA).validate(smallest)
    assert set(smallest) == set(SCHEMA["required"])


def test_what_the_page_sends_is_answered_as_it_shows(
    local_system: LocalSystem, tmp_path: Path
) -> None:
    """The order with the time of now, as the page asks."""
    shop = Shop(local_system)
    (ping,) = re.findall(r"echo '(.+)' \| python3 send.py", pages.text_of(NAME))
    (smallest,) = in_language("json")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    order, dates = re.subn(r'(?<=_at": ")[^"]+', now, smallest)
    assert dates == 2

    answers = [shop.send("python", body.encode(), tmp_path) for body in (ping, order)]

    assert answers == in_language("text")
    (event,) = shop.events()
    assert event.event_name == "test-purchase"  # in mode `live`: the click id is a bare UUID
