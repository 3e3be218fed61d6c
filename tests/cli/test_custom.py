"""A shop with a backend of its own, from the first command to the purchase at Prisjakt."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.cli.calling import local
from tests.cli.orders import asked_until
from tests.conftest import PATIENCE

from prisjakt_relay.local import deliveries, project
from prisjakt_relay.local.prisjakt_model import Event
from prisjakt_relay.local.system import LocalSystem

PAGE = (project.root() / "docs" / "custom.md").read_text("utf-8")

# How each example on the page is run, and under which name.
EXAMPLES: dict[str, tuple[Sequence[str], str]] = {
    "python": ([sys.executable], "send.py"),
    "php": (["php"], "send.php"),
    "javascript": (["node"], "send.mjs"),
}


class Shop:
    """A custom shop of the shared local system, as `shop add` made it."""

    def __init__(self, system: LocalSystem) -> None:
        self.system = system
        self.name = f"custom-{uuid.uuid4()}"
        self.pixel_id = str(uuid.uuid4())
        added = local(
            *("shop", "add", self.name, "--platform", "custom", "--pixel-id", self.pixel_id),
            *("--mode", "live", "--json"),
        )
        assert added.code == 0, added.err
        self.added: dict[str, Any] = added.json
        self.secret = str(self.added["signing_secret"])
        self.address = str(self.added["webhooks"]["address"])

    def events(self, number: int = 1) -> list[Event]:
        """What Prisjakt holds of the shop, once it is that many."""
        assert self.system.model is not None
        end = time.monotonic() + PATIENCE
        while True:
            events = list(self.system.model.events.values())
            held = [event for event in events if event.pixel_id == self.pixel_id]
            if len(held) >= number or time.monotonic() > end:
                return held
            time.sleep(0.1)

    def send(self, language: str, body: bytes, folder: Path, **environment: str) -> str:
        """What the example on the page prints."""
        program, name = EXAMPLES[language]
        (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
        file = folder / name
        file.write_text(text, "utf-8")
        known = {"RELAY_ADDRESS": self.address, "RELAY_SECRET": self.secret}
        done = subprocess.run(  # noqa: S603  # our own page
            [*program, str(file)],
            input=body,
            env={"PATH": os.environ["PATH"], **known, **environment},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert done.stderr == b""
        return done.stdout.decode()


@pytest.fixture
def shop(local_system: LocalSystem) -> Shop:
    return Shop(local_system)


def order(**changes: Any) -> bytes:
    """The sample order, placed just now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    body: dict[str, Any] = json.loads(deliveries.load("custom", "made-purchase-paid").body)
    return json.dumps(body | {"created_at": now, "updated_at": now} | changes).encode()


# The page's examples


def test_the_same_order_by_every_example_is_one_purchase(shop: Shop, tmp_path: Path) -> None:
    body = order()

    answers = [shop.send(language, body, tmp_path) for language in EXAMPLES]

    taken = {"outcome": "queued", "order_id": "SO-100731", "order_reference": "SO-100731"}
    assert [json.loads(answer.removeprefix("200 ")) for answer in answers] == [taken] * 3
    asked_until(
        lambda told: [entry["by"] for entry in told["timeline"]].count("sender") == len(answers),
        *("order", shop.name, "SO-100731"),
    )
    (event,) = shop.events()
    assert (event.external_event_id, event.amount) == ("SO-100731", Decimal(1249))


@pytest.mark.parametrize("language", EXAMPLES)
def test_each_example_says_what_was_ignored_and_what_was_refused(
    language: str, shop: Shop, tmp_path: Path
) -> None:
    ping = shop.send(language, b'{"type":"ping"}', tmp_path)
    beyond_ascii = shop.send(language, order(click_id=None, source="Grüße, 你好"), tmp_path)
    forged = shop.send(language, order(), tmp_path, RELAY_SECRET=shop.secret.swapcase())

    assert ping.startswith("200 ")
    assert json.loads(ping[4:]) == {"outcome": "ignored", "reason": "ping"}
    assert json.loads(beyond_ascii[4:])["reason"] == "no_click_id"
    assert forged.startswith("401 ")


@pytest.mark.parametrize("language", EXAMPLES)
def test_each_example_is_short(language: str) -> None:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)

    assert len(text.splitlines()) <= 25
    assert max(map(len, text.splitlines())) <= 100


# The command line


def test_a_shop_is_added_with_a_secret_and_told_what_to_build(shop: Shop) -> None:
    assert re.fullmatch(r"whsec_[0-9A-Za-z+/]{43}=", shop.secret)
    assert shop.address.endswith(f"/webhooks/custom/{shop.name}")
    assert "docs/custom.md" in shop.added["webhooks"]["where"]
    shown = local("shop", "show", shop.name, width=200)
    assert shown.code == 0
    assert shop.address in shown.out
    assert shop.secret not in shown.out


@pytest.mark.usefixtures("local_system")
def test_nothing_is_told_of_an_api_that_there_is_not() -> None:
    added = local(
        *("shop", "add", f"custom-{uuid.uuid4()}", "--platform", "custom"),
        *("--pixel-id", str(uuid.uuid4())),
    )

    assert added.code == 0
    assert "whsec_" in added.out
    assert "shop api set" not in added.out
    assert "webhooks register" not in added.out


@pytest.mark.usefixtures("local_system")
@pytest.mark.parametrize("secret", ["hush-hush", "whsec_", "c2hvcnQ=", "whsec_c2hvcnQ="])
def test_a_secret_that_nothing_can_be_signed_with_is_refused(secret: str) -> None:
    refused = local(
        *("shop", "add", f"custom-{uuid.uuid4()}", "--platform", "custom"),
        *("--pixel-id", str(uuid.uuid4()), "--signing-secret", secret),
    )

    assert refused.code == 2
    assert "signing_secrets: use the base64 of 24 random bytes or more" in refused.err
    assert secret not in refused.err.replace("whsec_ before", "")


def test_a_secret_is_rotated_without_a_gap(shop: Shop, tmp_path: Path) -> None:
    added = local("shop", "signing-secret", "add", shop.name, "--json")
    newer = str(added.json["signing_secret"])

    assert added.code == 0
    ping = b'{"type":"ping"}'
    assert shop.send("python", ping, tmp_path).startswith("200 ")
    assert shop.send("python", ping, tmp_path, RELAY_SECRET=newer).startswith("200 ")


def test_a_made_up_order_goes_the_whole_way(shop: Shop) -> None:
    tried = local("test", shop.name)

    assert tried.code == 0, tried.out + tried.err
    (event,) = shop.events()
    assert event.event_name == "test-purchase"


def test_doctor_finds_nothing_wrong_and_asks_for_nothing_that_there_is_not(
    shop: Shop, tmp_path: Path
) -> None:
    shop.send("python", b'{"type":"ping"}', tmp_path)
    looked = local("doctor", shop.name, "--json")

    (section,) = [each for each in looked.json["sections"] if each["shop"] == shop.name]
    findings = {each["name"]: each for each in section["findings"]}
    assert not {"webhooks", "reconciliation"} & set(findings)
    assert findings["signature"]["right"] is True
    assert [each for each in findings.values() if each["right"] is False] == []


def test_the_snippet_of_such_a_shop_is_that_for_any(shop: Shop) -> None:
    printed = local("snippet", shop.name)

    assert printed.code == 0
    assert printed.out == local("snippet", "other").out


@pytest.mark.parametrize(
    "command",
    [
        ("shop", "api", "set", "SHOP", "--address", "https://shop.example"),
        ("shop", "api", "show", "SHOP"),
        ("shop", "set", "SHOP", "--reconcile", "on"),
        ("webhooks", "list", "SHOP"),
        ("webhooks", "register", "SHOP"),
        ("webhooks", "repair", "SHOP"),
        ("reconcile", "SHOP"),
        ("backfill", "SHOP", "--from", "TODAY"),
    ],
    ids=" ".join,
)
def test_what_needs_an_api_says_in_one_sentence_that_there_is_none(
    command: tuple[str, ...], shop: Shop
) -> None:
    stands_for = {"SHOP": shop.name, "TODAY": datetime.now(UTC).date().isoformat()}
    refused = local(*(stands_for.get(word, word) for word in command))

    assert refused.code == 2
    assert refused.out == ""
    assert "".join(refused.err.split()) == "".join(
        f"error: shop {shop.name}: custom has no API of its own that the relay could ask: its shop "
        "system has to send each order again until it is answered 200".split()
    )
