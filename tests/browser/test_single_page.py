"""A storefront that never loads a second page, and fields that it renders when it likes."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from tests.browser.visitor import CLICK, DAY, OTHER, Visitor, cookies_of, now


@pytest.mark.parametrize("call", ["pushState", "replaceState"])
def test_an_id_that_is_pushed_is_a_landing(visitor: Visitor, call: str) -> None:
    visitor.visit("/", body="<input name=pjclid>")

    visitor.run(f"history.{call}({{}}, '', '/shoes?pjclid={CLICK}')")

    assert visitor.events == ["captured"]
    assert visitor.fields == [CLICK]
    assert len(visitor.stored) == 2


def test_an_id_in_a_new_fragment_is_a_landing(visitor: Visitor) -> None:
    visitor.visit("/")

    visitor.run(f"void (location.hash = '/shoes?pjclid={CLICK}')")

    visitor.until("witness.events.length")
    assert visitor.events == ["captured"]
    assert visitor.id == CLICK


def test_going_back_to_an_address_with_an_id_is_a_landing(visitor: Visitor) -> None:
    at = now()
    visitor.visit("/", clock=at, snippets=())
    visitor.run(f"history.replaceState({{}}, '', '/?pjclid={CLICK}')")
    visitor.run("history.pushState({}, '', '/shoes')")
    visitor.do(f"await new Promise((go) => {{ {LOAD} }});")
    assert visitor.id is None

    visitor.run("history.back()")

    visitor.until("witness.events.length")
    assert visitor.stored == cookies_of(CLICK, at)


def test_a_pushed_address_without_an_id_changes_nothing(visitor: Visitor) -> None:
    at = now() - DAY
    visitor.visit(f"/?pjclid={CLICK}", clock=at)

    visitor.run("history.pushState({}, '', '/shoes')")

    assert visitor.id == CLICK
    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.events == ["captured"]


def test_a_pushed_id_replaces_the_one_before(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={OTHER}")

    visitor.run(f"history.pushState({{}}, '', '/?pjclid={CLICK}')")
    visitor.run(f"history.pushState({{}}, '', '/shoes?pjclid={CLICK}')")

    assert visitor.id == CLICK
    assert visitor.events == ["captured", "captured"]


def test_while_nobody_answers_a_pushed_id_waits(visitor: Visitor) -> None:
    visitor.visit("/", consent="required")
    visitor.run(f"history.pushState({{}}, '', '/?pjclid={CLICK}')")
    visitor.run("history.pushState({}, '', '/shoes')")

    assert visitor.left_behind == {}
    visitor.run("pjclid.grant()")

    assert visitor.id == CLICK
    assert visitor.events == ["waiting", "captured"]


@pytest.mark.parametrize("call", ["pushState", "replaceState"])
def test_the_history_works_as_before(visitor: Visitor, call: str) -> None:
    visitor.visit("/")

    said = visitor.run(f"history.{call}({{ step: 1 }}, '', '/one') === undefined")

    assert said is True
    assert visitor.run("history.state") == {"step": 1}
    assert visitor.run("location.pathname") == "/one"


def test_the_history_has_no_entry_more_or_less(visitor: Visitor) -> None:
    visitor.visit("/start")
    visitor.run("history.pushState({ step: 1 }, '', '/one')")
    visitor.run("history.pushState({ step: 2 }, '', '/two')")
    visitor.run("history.replaceState({ step: 3 }, '', '/three')")

    visitor.run("history.back()")
    visitor.until("location.pathname == '/one' && history.state.step == 1")
    visitor.run("history.back()")

    visitor.until("location.pathname == '/start' && history.state === null")


def test_the_history_still_refuses_what_it_refuses(visitor: Visitor) -> None:
    visitor.visit("/")

    refused = visitor.do(
        "try { history.pushState({}, '', 'https://other.example/'); }"
        " catch (error) { return error.name; }"
    )

    assert refused == "SecurityError"


def test_the_page_may_leave_out_the_address(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}")

    visitor.run("history.replaceState({ step: 1 }, '')")

    assert visitor.run("location.search") == f"?pjclid={CLICK}"
    assert visitor.events == ["captured"]


def test_a_field_that_is_rendered_later_is_filled_when_it_is_sent(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}")
    visitor.do(
        "document.body.innerHTML ="
        " '<form method=post action=/order><input name=pjclid><input name=size value=42></form>'"
    )

    visitor.run("document.forms[0].requestSubmit()")

    (request,) = visitor.site.wait_for("/order")
    assert parse_qs(request.body) == {"pjclid": [CLICK], "size": ["42"]}


def test_a_field_is_blank_when_it_is_sent_without_consent(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", consent="required")
    visitor.do(
        "document.body.innerHTML ="
        f" '<form method=post action=/order><input name=pjclid value={OTHER}></form>'"
    )

    visitor.run("document.forms[0].requestSubmit()")

    (request,) = visitor.site.wait_for("/order")
    assert request.body == "pjclid="


def test_the_shops_own_handler_sees_the_filled_field(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", body="<form></form>")
    visitor.do(
        "const [form] = document.forms; form.innerHTML = '<input name=pjclid>';"
        "form.onsubmit = (event) => {"
        " event.preventDefault(); witness.sent = new FormData(form).get('pjclid'); };"
        "form.requestSubmit();"
    )

    assert visitor.run("witness.sent") == CLICK


def test_every_field_is_filled_and_no_other(visitor: Visitor) -> None:
    fields = "<input name=pjclid><input name=pjclid_at value=a><input id=pjclid name=b value=c>"

    visitor.visit(f"/?pjclid={CLICK}", body=f"{fields}<form><input type=hidden name=pjclid></form>")

    assert visitor.fields == [CLICK, CLICK]
    others = "['[name=pjclid_at]', '#pjclid'].map((name) => document.querySelector(name).value)"
    assert visitor.run(others) == ["a", "c"]


LOAD = """
  const script = document.createElement('script');
  script.src = '/capture.js';
  script.dataset.consent = 'none';
  script.onload = go;
  document.head.append(script);
"""
