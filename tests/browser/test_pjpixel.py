"""Prisjakt's own script may have kept a click: it is used, and never changed."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from tests.browser.visitor import BARE, CLICK, DAY, MONTH, OTHER, Visitor, cookies_of, now

PIXEL = "5c034de4-8e86-4d16-9fd1-20cfec6c97e4"
KEY = "pjpixel_conversion"


def entry(click_id: object, expires: object) -> str:
    return json.dumps({"clickId": click_id, "pixelId": PIXEL, "expires": expires})


def iso(at: int) -> str:
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def kept(visitor: Visitor) -> str | None:
    value = visitor.run(f"localStorage.getItem('{KEY}')")
    assert value is None or isinstance(value, str)
    return value


@pytest.mark.parametrize("form", [iso, int])
@pytest.mark.parametrize("click_id", [CLICK, BARE])
def test_its_click_is_taken_with_its_time(visitor: Visitor, form: type[int], click_id: str) -> None:
    at = now() - 3 * DAY
    text = entry(click_id, form(at + MONTH))
    visitor.plant(pjpixel_conversion=text)

    visitor.visit("/", body="<input name=pjclid>")

    assert visitor.id == click_id
    assert visitor.fields == [click_id]
    assert visitor.stored == cookies_of(click_id, at)
    assert visitor.events == ["captured"]
    assert kept(visitor) == text


@pytest.mark.parametrize(
    "text",
    [
        entry(CLICK, iso(now() - DAY)),
        entry(CLICK, now() - DAY),
        entry(CLICK[:-1], iso(now() + DAY)),
        entry(None, iso(now() + DAY)),
        json.dumps({"expires": iso(now() + DAY)}),
        "null",
        "7",
        "[]",
        '"text"',
        "{",
        "",
        CLICK,
        "undefined",
    ],
)
def test_what_is_no_click_or_too_old_is_left_alone(visitor: Visitor, text: str) -> None:
    visitor.plant(pjpixel_conversion=text)

    visitor.visit("/")

    assert visitor.id is None
    assert visitor.stored == []
    assert visitor.events == []
    assert kept(visitor) == text


@pytest.mark.parametrize("expires", [None, "soon", "", {}, True])
def test_an_end_that_is_none_does_no_harm(visitor: Visitor, expires: object) -> None:
    text = entry(OTHER, expires)
    visitor.plant(pjpixel_conversion=text)
    visitor.visit("/")
    at = now()

    visitor.visit(f"/?pjclid={CLICK}", clock=at)

    assert visitor.stored == cookies_of(CLICK, at)
    assert kept(visitor) == text


def test_the_own_cookie_wins(visitor: Visitor) -> None:
    at = now() - 5 * DAY
    visitor.plant_click(CLICK, at)
    visitor.plant(pjpixel_conversion=entry(OTHER, iso(now() + 29 * DAY)))

    visitor.visit("/")

    assert visitor.id == CLICK
    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.events == []


def test_a_new_landing_wins(visitor: Visitor) -> None:
    visitor.plant(pjpixel_conversion=entry(OTHER, iso(now() + 29 * DAY)))
    at = now()

    visitor.visit(f"/?pjclid={CLICK}", clock=at)

    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.events == ["captured"]


def test_its_click_needs_consent_too(visitor: Visitor) -> None:
    at = now() - DAY
    text = entry(CLICK, at + MONTH)
    visitor.plant(pjpixel_conversion=text)
    visitor.visit("/", consent="required")
    assert visitor.run("pjclid.get()") == ""
    assert visitor.left_behind == {"local": [KEY]}
    assert visitor.events == []  # without consent it is not even looked into

    visitor.run("pjclid.grant()")

    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.events == ["captured"]
    assert kept(visitor) == text


@pytest.mark.parametrize("call", ["revoke", "clear"])
def test_its_entry_outlives_a_withdrawal(visitor: Visitor, call: str) -> None:
    text = entry(CLICK, now() + DAY)
    visitor.plant(pjpixel_conversion=text)
    visitor.visit("/")

    visitor.run(f"pjclid.{call}()")

    assert visitor.id is None
    assert visitor.stored == []
    assert kept(visitor) == text
