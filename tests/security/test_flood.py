"""The price of a flood, and that its assumptions are those of the code."""

from __future__ import annotations

import base64
import json

import pytest
from tests.benchmark.template import Stack, deployed
from tests.security import flood
from tests.security.flood import DAY, FLOODS, Flood
from tests.security.fuzzing import SOMEBODYS, Surroundings, signed

from prisjakt_relay.local import project
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.shop import Shops

EACH = pytest.mark.parametrize("each", FLOODS, ids=lambda each: each.name)


def test_the_documented_prices_are_those_of_the_table() -> None:
    text = (project.root() / "docs" / "threats.md").read_text("utf-8")

    for row in flood.rows(deployed()):
        assert row in text


@EACH
def test_half_the_throttle_is_half_the_price(each: Flood) -> None:
    """But for the senders and the reads, which have bounds of their own."""
    usual = each.dollars(deployed(), DAY)
    half = each.dollars(Stack({"RequestsPerSecond": 25, "RequestBurst": 100}), DAY)

    assert half < usual
    if each.signed and not each.click_ids:
        assert half == pytest.approx(usual / 2)


@EACH
def test_a_burst_is_paid_once(each: Flood) -> None:
    with_burst = each.dollars(Stack({"RequestBurst": 5_000}), DAY)

    assert with_burst - each.dollars(deployed(), DAY) < 0.5


def test_only_what_is_signed_reaches_queue_and_table() -> None:
    """Whoever does not know a secret pays with requests alone."""
    forged, mad = FLOODS[0], FLOODS[-1]

    assert forged.dollars(deployed(), DAY) < 10
    assert not forged.click_ids
    assert mad.dollars(deployed(), DAY) > forged.dollars(deployed(), DAY)


@pytest.mark.parametrize("platform", list(PLATFORMS))
@pytest.mark.parametrize("is_signed", [True, False])
def test_an_answer_and_its_line_are_as_short_as_assumed(platform: str, is_signed: bool) -> None:
    around = Surroundings()
    sample = next(each for each in around.samples if each.platform == platform)
    secret = around.shops[sample.shop].signing_secrets[0] if is_signed else SOMEBODYS
    headers = {name.lower(): value for name, value in sample.headers}
    headers |= signed(PLATFORMS[platform], sample.body, secret)

    given, lines = around.receiver.handle(
        {
            "headers": headers,
            "pathParameters": {"platform": platform, "shop": sample.shop},
            "body": base64.b64encode(sample.body).decode(),
            "isBase64Encoded": True,
        }
    )

    assert given["statusCode"] == (200 if is_signed else 401)
    assert len(json.dumps(given)) + 180 < flood.ANSWER
    assert [len(line.encode()) + 26 < flood.LINE for line in lines] == [True]


def test_documents_are_read_as_seldom_as_assumed() -> None:
    assert Shops.UNKNOWN_READS.total_seconds() >= 1 / flood.READS_A_SECOND
    assert Shops.FORCED.total_seconds() >= flood.READ_AGAIN
    assert Shops.FRESH > Shops.FORCED
