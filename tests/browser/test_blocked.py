"""Where nothing can be stored, the id lives on this page, and the page lives on as well."""

from __future__ import annotations

import pytest
from tests.browser.site import Cookies, Storefront
from tests.browser.visitor import CLICK, Visitor

FIELD = "<input name=pjclid>"
SANDBOX = (("Content-Security-Policy", "sandbox allow-scripts"),)


def test_without_cookies_the_id_lives_on_this_page(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", cookies="ignore", body=FIELD)

    assert [visitor.id, visitor.id] == [CLICK, CLICK]
    assert visitor.fields == [CLICK]
    assert visitor.events == ["captured"]


def test_in_a_sandbox_there_is_no_id_and_no_error(visitor: Visitor) -> None:
    """Here the browser itself throws at every access to cookies and storage."""
    visitor.visit(f"/?pjclid={CLICK}", headers=SANDBOX)

    assert visitor.run("location.origin && origin") == "null"
    assert visitor.id is None


def test_a_sandboxed_frame_has_no_uncaught_error(visitor: Visitor) -> None:
    visitor.site.others["/frame"] = Storefront(
        before="addEventListener('load', () => parent.postMessage(witness.errors, '*'));"
    )
    visitor.visit(
        "/",
        before="addEventListener('message', (event) => witness.inside = event.data);",
        body=f'<iframe sandbox="allow-scripts" src="/frame?pjclid={CLICK}"></iframe>',
    )

    visitor.until("witness.inside")

    assert visitor.run("witness.inside") == []


@pytest.mark.parametrize("cookies", ["throw", "ignore"])
@pytest.mark.parametrize("consent", ["none", "required"])
def test_without_cookies_nothing_fails(visitor: Visitor, consent: str, cookies: Cookies) -> None:
    """Uncaught exceptions and console errors fail a test by themselves."""
    visitor.visit(
        f"/?pjclid={CLICK}", consent=consent, cookies=cookies, body=f"<form>{FIELD}</form>"
    )

    for call in ("get", "grant", "get", "revoke", "get", "clear", "get"):
        visitor.run(f"pjclid.{call}()")
    visitor.run("history.pushState({}, '', '/next')")
    visitor.run("document.dispatchEvent(new Event('visitorConsentCollected'))")

    assert visitor.id is None
    assert visitor.fields == [""]


def test_without_cookies_a_withdrawal_is_heeded(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", consent="required", cookies="ignore", body=FIELD)
    granted = visitor.run("(pjclid.grant(), pjclid.get())")

    visitor.run("pjclid.revoke()")

    assert granted == CLICK
    assert visitor.id is None
    assert visitor.fields == [""]


def test_without_local_storage_the_cookie_still_works(visitor: Visitor) -> None:
    no_storage = (
        "Object.defineProperty(window, 'localStorage', { get() {"
        " throw new DOMException('no storage here', 'SecurityError'); } });"
    )

    visitor.visit(f"/?pjclid={CLICK}", before=no_storage)

    assert visitor.id == CLICK
    assert visitor.events == ["captured"]
    assert set(visitor.jar) == {"pjclid", "pjclid_at"}


@pytest.mark.parametrize(
    "api",
    [
        "window.Shopify = { customerPrivacy: { marketingAllowed() { throw new Error('no'); } } };",
        "window.wp_has_consent = () => { throw new Error('no'); };",
        "window.Shopify = null;",
        "window.Shopify = { customerPrivacy: null };",
        "window.Shopify = { customerPrivacy: { marketingAllowed: true } };",
        "window.wp_has_consent = 'yes';",
    ],
)
def test_a_broken_consent_library_reaches_nobody(visitor: Visitor, api: str) -> None:
    visitor.visit(f"/?pjclid={CLICK}", consent="required", before=api)

    assert visitor.id is None
    assert visitor.left_behind == {}
    assert visitor.run("pjclid.get()") == ""
