"""The plugin's own script: hands the click id to the shop's server, which can keep it longer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.browser.visitor import CLICK, OTHER, Visitor, now

ROUTE = "/wp-json/prisjakt-relay/v1/click"
SCRIPT = Path(__file__).parents[2] / "snippet/woocommerce/prisjakt-relay/assets/woocommerce.js"
BODY = f'<script data-route="{ROUTE}">{SCRIPT.read_text("utf-8")}</script>'


def visit(visitor: Visitor, path: str = "/", **changes: Any) -> None:
    visitor.visit(path, load="inline", body=BODY, **changes)
    visitor.settle()


def handed(visitor: Visitor) -> list[dict[str, Any]]:
    """What the server was told, request by request."""
    return [json.loads(request.body) for request in visitor.site.asked(ROUTE)]


def test_a_landing_is_handed_over_once(visitor: Visitor) -> None:
    at = now()

    visit(visitor, f"/?pjclid={CLICK}", clock=at)
    visit(visitor)
    visit(visitor)

    (told,) = handed(visitor)
    assert told == {"pjclid": CLICK, "at": at, "domain": visitor.host()}
    (request,) = visitor.site.asked(ROUTE)
    assert request.headers["content-type"] == "application/json"


def test_from_a_subdomain_the_widest_domain_is_told(visitor: Visitor) -> None:
    visit(visitor, f"/?pjclid={CLICK}", at="www")

    (told,) = handed(visitor)
    assert told["domain"] == visitor.host()
    assert [pair for pair in visitor.stored if "pjclid_on" in pair] == []


def test_a_new_click_is_handed_over_too(visitor: Visitor) -> None:
    visit(visitor, f"/?pjclid={CLICK}")
    visit(visitor, f"/?pjclid={OTHER}")

    assert [told["pjclid"] for told in handed(visitor)] == [CLICK, OTHER]


@pytest.mark.parametrize("path", ["/", f"/?pjclid={CLICK[:-1]}", "/?pjclid=rubbish"])
def test_without_a_click_id_the_server_hears_nothing(visitor: Visitor, path: str) -> None:
    visit(visitor, path)

    assert handed(visitor) == []


def test_nothing_is_handed_over_before_consent(visitor: Visitor) -> None:
    visit(visitor, f"/?pjclid={CLICK}", consent="required")
    assert handed(visitor) == []

    visitor.run("pjclid.grant()")
    visitor.settle()

    assert [told["pjclid"] for told in handed(visitor)] == [CLICK]


def test_who_declines_is_not_handed_over(visitor: Visitor) -> None:
    visit(visitor, f"/?pjclid={CLICK}", consent="required")

    visitor.run("pjclid.revoke()")
    visitor.settle()

    assert handed(visitor) == []
    assert visitor.left_behind == {}


def test_the_consent_type_of_a_late_banner_is_waited_for(visitor: Visitor) -> None:
    visit(visitor, f"/?pjclid={CLICK}", consent="required")

    visitor.do(
        "window.wp_has_consent = () => true;"
        "document.dispatchEvent(new CustomEvent('wp_consent_type_defined'));"
    )
    visitor.settle()

    assert [told["pjclid"] for told in handed(visitor)] == [CLICK]


def test_a_withdrawal_leaves_nothing_behind(visitor: Visitor) -> None:
    visit(visitor, f"/?pjclid={CLICK}")

    visitor.run("pjclid.revoke()")

    assert visitor.left_behind == {}


def test_a_yes_after_a_no_is_handed_over_again(visitor: Visitor) -> None:
    visit(visitor, f"/?pjclid={CLICK}", consent="required")

    for call in ("grant", "revoke", "grant"):
        visitor.run(f"pjclid.{call}()")
        visitor.settle()

    assert [told["pjclid"] for told in handed(visitor)] == [CLICK, CLICK]


def test_an_answer_that_comes_after_a_withdrawal_changes_nothing(visitor: Visitor) -> None:
    """The server sets its cookie when it answers, whatever was said in between."""
    visit(visitor, f"/?pjclid={CLICK}", consent="required")
    late = (
        "const { fetch: ask } = window;"
        "window.fetch = (...all) => ask(...all).then((answer) => {"
        f"  document.cookie = 'pjclid={CLICK}; path=/; domain={visitor.host()}; max-age=99999';"
        "  return answer; });"
        "pjclid.grant(); pjclid.revoke();"
    )

    visitor.do(late)
    visitor.settle()

    assert handed(visitor) != []
    assert visitor.left_behind == {}


def test_a_cookie_of_the_server_is_not_handed_over_again(visitor: Visitor) -> None:
    visitor.plant(f"pjclid={CLICK}; path=/; domain={visitor.host()}; max-age=99999")

    visit(visitor)

    assert visitor.id == CLICK
    assert handed(visitor) == []
