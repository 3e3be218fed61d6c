"""`report`, from orders that were really delivered and reported."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.cli.calling import local
from tests.cli.orders import posted
from tests.conftest import PATIENCE

from prisjakt_relay.local.deliveries import RECORDED_UNTIL, Delivery, load
from prisjakt_relay.local.system import LocalSystem, sample_shops

SHOP = "reported-shop"
_ids = count(8_300_000_000_001)


@pytest.fixture(scope="module")
def busy(local_system: LocalSystem) -> str:
    """A shop with a reported purchase, a test purchase, and an order from somewhere else."""
    document = sample_shops()["demo-shopify"] | {"pixel_id": str(uuid.uuid4())}
    local_system.aws.put_shop(SHOP, document)
    sample = load("shopify", "orders-create-paid")
    buy(local_system, sample)
    buy(local_system, sample, test=True)
    buy(local_system, sample, note_attributes=[], attributes=[])
    end = time.monotonic() + PATIENCE
    while outcomes() != {"reported": (1, 1)} or not local("report", SHOP, "--json").json["ignored"]:
        if time.monotonic() > end:
            pytest.fail(f"not reported within {PATIENCE:.0f} s: {local('report', SHOP, '--json')}")
        time.sleep(0.2)
    return SHOP


def buy(system: LocalSystem, sample: Delivery, **changes: Any) -> None:
    by = datetime.now(UTC).replace(microsecond=0) - RECORDED_UNTIL
    order = json.loads(sample.moved(by, None).body) | {"id": next(_ids)} | changes
    body = json.dumps(order).encode()
    secret = sample_shops()["demo-shopify"]["signing_secrets"][0]
    address = f"{system.address}/webhooks/shopify/{SHOP}"
    answer = posted(address, body, lambda: sample.signed(body, secret, datetime.now(UTC)))
    assert answer.status == 200, answer.data


def outcomes() -> dict[str, tuple[int, int]]:
    found = local("report", SHOP, "--json").json["outcomes"]
    return {each["outcome"]: (each["orders"], each["test_purchases"]) for each in found}


def test_json_has_what_the_sender_and_the_receiver_wrote(busy: str) -> None:
    report = local("report", busy, "--json").json

    (day,) = report["days"]
    assert (report["shop"], report["orders"], report["test_purchases"]) == (busy, 1, 1)
    assert (day["purchases"], day["taken_back"]) == (1, 0)
    assert float(day["amount"]) > 0
    assert report["arrival_to_report"]["orders"] == 1
    assert 0 < report["arrival_to_report"]["longest"] < PATIENCE
    assert [(e["reason"], e["deliveries"], e["orders"]) for e in report["ignored"]] == [
        ("no_click_id", 1, 1)
    ]


def test_the_terminal_shows_tables_within_its_width(busy: str) -> None:
    called = local("report", busy, width=80)

    assert called.code == 0
    for title in ("Purchases", "Orders by outcome", "Time to the report", "Ignored deliveries"):
        assert f"\n{title}\n" in called.out
    assert "no_click_id" in called.out
    assert max(map(len, called.out.splitlines())) <= 80


def test_the_page_is_written_and_its_path_printed(busy: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"

    called = local("report", busy, "--out", str(path))

    assert (called.code, called.out) == (0, f"{path}\n")
    assert f"Report: {busy}" in path.read_text("utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_page_and_json_go_together(busy: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"

    called = local("report", busy, "--out", str(path), "--json")

    assert called.json["orders"] == 1
    assert path.is_file()


def test_a_shop_without_orders_gets_friendly_words(local_system: LocalSystem) -> None:
    local_system.aws.put_shop("unvisited", sample_shops()["demo-shopify"])

    called = local("report", "unvisited")

    assert called.code == 0
    assert "No order with a click id of Prisjakt" in called.out


def test_the_interval_is_as_asked(busy: str) -> None:
    today = datetime.now(UTC).date()
    before = (today - timedelta(days=3)).isoformat()

    called = local("report", busy, "--from", before, "--to", before)

    assert called.out.startswith(f"{busy}, orders of {before} to {before} UTC\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody-knows"], "there is no shop nobody-knows"),
        (["no shop"], "use 1 to 64 of a-z"),
        ([SHOP, "--out", "/nowhere/report.html"], "there is no folder /nowhere"),
        ([SHOP, "--from", "yesterday"], "write a day like 2026-11-01"),
    ],
)
@pytest.mark.usefixtures("local_system")
def test_what_cannot_be_is_one_sentence(arguments: list[str], said: str) -> None:
    called = local("report", *arguments)

    assert (called.code, called.out) == (2, "")
    assert said in called.err
    assert called.err.count("\n") == 1
