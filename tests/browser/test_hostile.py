"""Anybody can write a link to the shop: only a click id of the right form is taken from it."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.browser.visitor import BARE, CLICK, MONTH, Visitor, now

SHARED = Path(__file__).parents[2] / "snippet" / "woocommerce" / "tests" / "click_ids.json"
MILLISECONDS = 50
UUID, _, SUFFIX = CLICK.partition("_")

# As they stand in the address. No `&` and no `#`: what follows them is another parameter.
HOSTILE = {
    "nothing": "",
    "a domain of its own": f"{CLICK};domain=evil.example",
    "a domain in codes": f"{CLICK}%3Bdomain=evil.example",
    "a path": f"{CLICK};path=/checkout",
    "an end": f"{CLICK}%3B%20max-age=0",
    "a second cookie": f"{CLICK},%20session=stolen",
    "a line break": f"{CLICK}%0D%0ASet-Cookie:%20session=stolen",
    "a line feed at the end": f"{CLICK}%0A",
    "a line feed in front": f"%0A{CLICK}",
    "a null byte": f"{CLICK}%00",
    "a broken code": f"{CLICK}%",
    "half a code": "%2",
    "a code of no character": "%FF%FE",
    "a code of half a character": f"{CLICK}%E0%A4",
    "a code that needs no code": f"{UUID}%5F{SUFFIX}",
    "ten kilobytes": "a" * 10_000,
    "ten kilobytes behind an id": CLICK + "0" * 10_000,
    "ten kilobytes of underscores": UUID + "_" * 10_000,
    "a script": "<script>alert(1)</script>",
    "a script in codes": "%3Cscript%3Ealert(1)%3C/script%3E",
    "markup behind an id": f'{CLICK}"><img%20src=x%20onerror=alert(1)>',
    "a UUID of version 1": "6fa459ea-ee8a-11ca-894e-db77e160355e",
    "version 1 with a suffix": f"6fa459ea-ee8a-11ca-894e-db77e160355e_{SUFFIX}",
    "a UUID of version 7": "018f4e2a-7b1c-7def-8abc-0123456789ab",
    "a variant that is none": "239cd31f-9d43-4cb4-c8dc-2057fe18c289",
    "a UUID without hyphens": UUID.replace("-", ""),
    "a UUID in braces": f"%7B{UUID}%7D",
    "a UUID that is too short": UUID[:-1],
    "a UUID that is too long": f"{UUID}0",
    "a letter beyond f": f"g{CLICK[1:]}",
    "a suffix of 15": CLICK[:-1],
    "a suffix of 17": f"{CLICK}0",
    "no suffix behind the underscore": f"{UUID}_",
    "two suffixes": f"{CLICK}_{SUFFIX}",
    "a hyphen in the suffix": f"{UUID}_1b05fa7f-c34d125",
    "a suffix without a UUID": f"_{SUFFIX}",
    "letters beyond ASCII": quote(f"{UUID}_åäöåäöåäöåäöåäöå"),
    "letters beyond ASCII, as they are": f"{UUID}_åäöåäöåäöåäöåäöå",
    "a sign that lower case makes a k": quote(f"{UUID}_1b05fa7f1c34d12\u212a"),
    "digits of another script": quote(f"{UUID}_" + "\u0661" * 16),
    "a space in front": f"%20{CLICK}",
    "a plus in front": f"+{CLICK}",
    "a space behind": f"{CLICK}%20",
    "quotation marks": f"%22{CLICK}%22",
    "a list": f"{CLICK},{CLICK}",
    "another name inside": f"pjclid={CLICK}",
    "a prototype": "__proto__",
    "words of no id": "undefined",
}


# Everything that ASCII has: only letters beyond it are encoded, which a browser would do anyway.
KEPT = "".join(map(chr, range(33, 127)))


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_but_a_click_id_is_taken(visitor: Visitor, value: str) -> None:
    for mark in "?#":
        visitor.visit(f"/{mark}pjclid={quote(value, safe=KEPT)}", body="<input name=pjclid>")

        assert visitor.id is None
        assert visitor.events == []
        assert visitor.fields == [""]
        assert visitor.left_behind == {}
        assert visitor.writes == []


@pytest.mark.parametrize("name", ["pjclid[]", "pjclid%20", "pjclid%5B%5D", "%70jclid"])
def test_names_that_some_servers_read_alike_are_not_the_parameters(
    visitor: Visitor, name: str
) -> None:
    visitor.visit(f"/?{name}={CLICK}")

    assert visitor.id is None
    assert visitor.left_behind == {}


@pytest.mark.parametrize("mark", ["?", "#"])
@pytest.mark.parametrize(
    "unit",
    ["pjclid=", "&pjclid=", f"&pjclid={UUID}_", f"&pjclid={UUID}_{SUFFIX}0", "?pjclid=#pjclid="],
)
def test_ten_kilobytes_of_beginnings_cost_no_time(visitor: Visitor, unit: str, mark: str) -> None:
    """The best of a few readings: a busy machine says nothing about the snippet."""
    visitor.visit(f"/{mark}{unit * (10_000 // len(unit))}")

    spent = visitor.do(
        "return [1, 2, 3, 4, 5].map(() => {"
        " const start = performance.now(); pjclid.get(); return performance.now() - start; });"
    )

    assert min(spent) < MILLISECONDS
    assert visitor.id is None
    assert visitor.left_behind == {}


def test_a_hostile_value_leaves_a_stored_click_alone(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={BARE}")
    stored = visitor.stored

    visitor.visit(f"/?pjclid={CLICK}%3Bdomain=evil.example")

    assert visitor.stored == stored
    assert visitor.id == BARE
    assert visitor.events == []


@pytest.mark.parametrize("value", [f"{CLICK};domain=evil", "<b>", "__proto__", 7, None, [], {}])
def test_nothing_but_a_click_id_is_taken_from_prisjakts_own_script(
    visitor: Visitor, value: object
) -> None:
    visitor.plant(pjpixel_conversion={"clickId": value, "expires": now() + MONTH})

    visitor.visit("/")

    assert visitor.id is None
    assert visitor.stored == []


def test_click_ids_are_what_the_plugin_takes_for_click_ids(visitor: Visitor) -> None:
    """One list for both, so that they never disagree."""
    cases = json.loads(SHARED.read_text("utf-8"))
    assert {case["valid"] for case in cases} == {True, False}
    visitor.visit("/")

    taken = visitor.do(
        f"return {json.dumps([case['value'] for case in cases])}.map((value) => {{"
        " history.replaceState({}, '', '/?pjclid=' + encodeURIComponent(value));"
        " const id = pjclid.get(); pjclid.clear(); return id; });"
    )

    assert taken == [case["value"] if case["valid"] else "" for case in cases]
