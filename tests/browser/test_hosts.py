"""One cookie for every host of the shop, and Secure where it can be."""

from __future__ import annotations

import pytest
from tests.browser.visitor import CLICK, DAY, OTHER, Visitor, cookies_of, now

HOSTS = ["", "www", "checkout", "de.www"]


@pytest.mark.parametrize("landing", HOSTS)
def test_an_id_that_landed_anywhere_is_read_everywhere(visitor: Visitor, landing: str) -> None:
    at = now()
    visitor.visit(f"/?pjclid={CLICK}", at=landing, clock=at)

    for host in HOSTS:
        visitor.visit("/", at=host)

        assert visitor.id == CLICK
        assert visitor.stored == cookies_of(CLICK, at)
        assert visitor.events == []


@pytest.mark.parametrize("landing", ["", "www", "checkout"])
def test_the_cookie_is_the_bare_domains(visitor: Visitor, landing: str) -> None:
    visitor.visit(f"/?pjclid={CLICK}", at=landing)

    assert {cookie.domain for cookie in visitor.jar.values()} == {f".{visitor.host()}"}


@pytest.mark.parametrize("scope", ["", "; domain=www.{host}", "; domain={host}"])
def test_a_stale_cookie_is_replaced_wherever_it_was_set(visitor: Visitor, scope: str) -> None:
    """A narrower cookie would hide the wider one, or be sent beside it."""
    rest = f"; path=/; max-age=3600{scope.format(host=visitor.host())}"
    visitor.plant(f"pjclid={OTHER}{rest}", f"pjclid_at={now() - DAY}{rest}", at="www")
    at = now()

    visitor.visit(f"/?pjclid={CLICK}", at="www", clock=at)

    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.id == CLICK
    assert {cookie.domain for cookie in visitor.jar.values()} == {f".{visitor.host()}"}


def test_a_stale_cookie_of_the_bare_host_goes_too(visitor: Visitor) -> None:
    visitor.plant(f"pjclid={OTHER}; path=/; max-age=3600")
    at = now()

    visitor.visit(f"/?pjclid={CLICK}", clock=at)

    assert visitor.stored == cookies_of(CLICK, at)


def test_a_withdrawal_on_one_host_counts_on_all(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", at="checkout", consent="required", before=YES)
    assert visitor.id == CLICK

    visitor.visit("/", at="www", consent="required", before=YES)
    visitor.run("pjclid.revoke()")

    assert visitor.stored == []
    for host in HOSTS:
        visitor.visit("/", at=host)
        assert visitor.left_behind == {}


def test_a_withdrawal_erases_cookies_of_every_width(visitor: Visitor) -> None:
    rest = "path=/; max-age=3600"
    visitor.plant(f"pjclid={OTHER}; {rest}", at="www")
    visitor.plant(f"pjclid={OTHER}; {rest}; domain={visitor.host()}", at="www")
    visitor.visit("/", at="www", consent="required", before=YES)

    visitor.run("pjclid.revoke()")

    assert visitor.stored == []


@pytest.mark.parametrize("at", ["", "www"])
def test_over_https_the_cookies_are_secure(visitor: Visitor, at: str) -> None:
    visitor.visit(f"/?pjclid={CLICK}", at=at, scheme="https")

    assert visitor.id == CLICK
    assert visitor.events == ["captured"]
    assert all(cookie.secure for cookie in visitor.jar.values())
    assert {cookie.domain for cookie in visitor.jar.values()} == {f".{visitor.host()}"}


def test_over_https_later_pages_and_hosts_read_it(visitor: Visitor) -> None:
    at = now()
    visitor.visit(f"/?pjclid={CLICK}", scheme="https", clock=at)

    visitor.visit("/", at="checkout", scheme="https")

    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.events == []


def test_over_https_a_withdrawal_erases(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", scheme="https", consent="required", before=YES)

    visitor.run("pjclid.revoke()")

    assert visitor.left_behind == {}


YES = "window.wp_has_consent = () => true;"


@pytest.mark.parametrize("landing", ["/", f"/?pjclid={CLICK}"])
def test_what_another_tab_has_stored_is_seen(visitor: Visitor, landing: str) -> None:
    visitor.visit(landing, body="<input name=pjclid>")
    rest = f"; path=/; domain={visitor.host()}; max-age=99999"
    visitor.run(f"void (document.cookie = 'pjclid={OTHER}{rest}')")
    visitor.run(f"void (document.cookie = 'pjclid_at={now()}{rest}')")

    assert visitor.id == OTHER
    assert visitor.fields == [OTHER]


def test_what_another_tab_has_erased_is_gone(visitor: Visitor) -> None:
    """Consent was withdrawn there; a page that comes back from the browser's cache is alike."""
    visitor.visit(f"/?pjclid={CLICK}", body="<input name=pjclid>")
    rest = f"; path=/; domain={visitor.host()}; max-age=0"
    visitor.run(f"void (document.cookie = 'pjclid={rest}')")
    visitor.run(f"void (document.cookie = 'pjclid_at={rest}')")

    assert visitor.id is None
    assert visitor.fields == [""]
    assert visitor.left_behind == {}
