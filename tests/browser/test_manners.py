"""A guest on somebody else's page: it leaves no trace but the one it is there for."""

from __future__ import annotations

import pytest
from tests.browser.site import Load
from tests.browser.visitor import CLICK, Visitor, cookies_of, now

SNIPPETS = [("capture",), ("capture", "shopify")]


@pytest.mark.parametrize("snippets", SNIPPETS)
def test_there_is_one_global(visitor: Visitor, snippets: tuple[str, ...]) -> None:
    visitor.visit(f"/?pjclid={CLICK}", snippets=snippets)
    visitor.settle()

    added = visitor.run(
        "Object.getOwnPropertyNames(window).filter((name) => !witness.globals.includes(name))"
    )

    assert added == ["pjclid"]


def test_the_global_has_four_functions(visitor: Visitor) -> None:
    visitor.visit("/")

    assert visitor.run("Object.keys(pjclid).sort()") == ["clear", "get", "grant", "revoke"]


@pytest.mark.parametrize("snippets", SNIPPETS)
def test_nothing_of_the_page_is_replaced_but_two_functions_of_the_history(
    visitor: Visitor, snippets: tuple[str, ...]
) -> None:
    names = """
        const table = new Map();
        for (const owner of [window, document, history, localStorage, Element.prototype,
            Document.prototype, EventTarget.prototype, Object.prototype, Array.prototype])
          for (const name of Object.getOwnPropertyNames(owner)) {
            const { value, get, set } = Object.getOwnPropertyDescriptor(owner, name);
            if (typeof (value ?? get) == 'function') table.set(owner, [...table.get(owner) ?? [],
              [name, value, get, set]]);
          }
    """
    visitor.visit(
        "/", snippets=snippets, before=f"witness.table = (() => {{ {names} return table; }})();"
    )
    visitor.settle()

    changed = visitor.do(
        f"{names} const changed = [];"
        "for (const [owner, rows] of table) for (const [name, ...now] of rows) {"
        " const [, ...old] = witness.table.get(owner)?.find(([other]) => other == name) ?? [];"
        " if (old.some((part, index) => part !== now[index]) || !old.length) changed.push(name); }"
        "return changed.sort();"
    )

    assert changed == ["pushState", "replaceState"]


@pytest.mark.parametrize("load", ["defer", "async", "inline"])
def test_it_works_however_it_is_loaded(visitor: Visitor, load: Load) -> None:
    at = now()

    visitor.visit(f"/?pjclid={CLICK}", load=load, clock=at, body="<input name=pjclid>")

    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.events == ["captured"]
    assert visitor.fields == [CLICK]


@pytest.mark.parametrize("load", ["defer", "async", "inline"])
def test_loaded_twice_it_does_no_harm(visitor: Visitor, load: Load) -> None:
    at = now()

    visitor.visit(f"/?pjclid={CLICK}", load=load, snippets=("capture", "capture"), clock=at)

    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.events == ["captured"]
    visitor.run("history.pushState({}, '', '/next')")
    assert visitor.id == CLICK
    assert visitor.run("location.pathname") == "/next"


def test_loaded_twice_it_still_heeds_a_withdrawal(visitor: Visitor) -> None:
    visitor.visit(
        f"/?pjclid={CLICK}",
        consent="required",
        snippets=("capture", "capture"),
        before="window.wp_has_consent = () => true;",
    )

    visitor.run("pjclid.revoke()")
    visitor.run("history.pushState({}, '', '/next')")

    assert visitor.id is None
    assert visitor.stored == []


def test_it_asks_the_shop_nothing(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}")
    visitor.settle()

    assert {request.path for request in visitor.site.requests} == {"/", "/capture.js"}
    assert visitor.run("witness.fetches") == []
