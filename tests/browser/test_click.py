"""A click is kept for thirty days, from the address it came in."""

from __future__ import annotations

import pytest
from tests.browser.browsers import Cookie
from tests.browser.visitor import BARE, CLICK, DAY, MONTH, OTHER, Visitor, cookies_of, now

SECONDS = 2  # of doubt between the clocks of test and browser, and the jar's whole seconds


def ends(cookie: Cookie, at: int, *, since: int) -> bool:
    """Whether a cookie ends thirty days after a click, to the time that the visit has taken: a
    browser counts from when it gets the cookie."""
    assert cookie.expires is not None
    late = cookie.expires - (at + MONTH) / 1000
    return -SECONDS <= late <= (now() - since) / 1000 + SECONDS


def test_a_landing_is_stored_with_its_time(visitor: Visitor) -> None:
    at = now()

    visitor.visit(f"/?pjclid={CLICK}", clock=at)

    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.id == CLICK
    assert visitor.events == ["captured"]


def test_cookies_are_for_the_whole_site_for_thirty_days(visitor: Visitor) -> None:
    at = now()
    visitor.visit(f"/deep/down?pjclid={CLICK}")

    assert set(visitor.jar) == {"pjclid", "pjclid_at"}
    for cookie in visitor.jar.values():
        assert cookie.domain == f".{visitor.host()}"
        assert cookie.path == "/"
        assert cookie.same_site == "Lax"
        assert not cookie.secure
        assert ends(cookie, at, since=at)


@pytest.mark.parametrize("click_id", [CLICK, OTHER, BARE, CLICK.upper(), BARE.upper()])
def test_an_id_is_kept_letter_for_letter(visitor: Visitor, click_id: str) -> None:
    visitor.visit(f"/?pjclid={click_id}")

    assert visitor.id == click_id
    assert f"pjclid={click_id}" in visitor.stored


@pytest.mark.parametrize(
    "address",
    [
        f"/?pjclid={CLICK}",
        f"/?q=shoes&pjclid={CLICK}",
        f"/?pjclid={CLICK}&utm_source=prisjakt",
        f"/?pjclid={CLICK}#reviews",
        f"/?&&pjclid={CLICK}&",
        f"/#pjclid={CLICK}",
        f"/#/x?pjclid={CLICK}",
        f"/#/x?a=1&pjclid={CLICK}",
        f"/?q=shoes#pjclid={CLICK}",
        f"/?pjclid=&pjclid={CLICK}",
    ],
)
def test_an_id_is_found_wherever_the_address_has_it(visitor: Visitor, address: str) -> None:
    visitor.visit(address)

    assert visitor.id == CLICK
    assert visitor.events == ["captured"]


@pytest.mark.parametrize(
    "address",
    [
        f"/?pjclid={OTHER}&pjclid={CLICK}",
        f"/?pjclid={OTHER}#pjclid={CLICK}",
        f"/?pjclid={OTHER}#/x?pjclid={CLICK}",
        f"/?pjclid={CLICK}&pjclid=rubbish",
        f"/?pjclid={OTHER}&pjclid={CLICK}#pjclid=",
    ],
)
def test_of_several_ids_the_last_valid_one_counts(visitor: Visitor, address: str) -> None:
    visitor.visit(address)

    assert visitor.id == CLICK
    assert visitor.events == ["captured"]


@pytest.mark.parametrize(
    "address",
    [
        f"/?xpjclid={CLICK}",
        f"/?pjclid_at={CLICK}",
        f"/pjclid={CLICK}",
        f"/?q=pjclid={CLICK}",
        "/?pjclid",
        "/",
    ],
)
def test_what_only_looks_like_the_parameter_is_none(visitor: Visitor, address: str) -> None:
    visitor.visit(address)

    assert visitor.id is None
    assert visitor.left_behind == {}
    assert visitor.events == []


def test_without_a_click_there_is_no_id(visitor: Visitor) -> None:
    visitor.visit("/")

    assert visitor.run("pjclid.get()") == ""


def test_a_direct_visit_changes_nothing(visitor: Visitor) -> None:
    at = now() - DAY
    visitor.visit(f"/?pjclid={CLICK}", clock=at)

    visitor.visit("/shoes?size=42")

    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.id == CLICK
    assert visitor.events == []


def test_the_last_click_wins(visitor: Visitor) -> None:
    at = now()
    visitor.visit(f"/?pjclid={OTHER}", clock=at - DAY)

    visitor.visit(f"/?pjclid={CLICK}", clock=at)

    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.events == ["captured"]
    assert ends(visitor.jar["pjclid"], at, since=at)


def test_the_same_id_again_is_not_a_new_click(visitor: Visitor) -> None:
    first = now() - DAY
    visitor.visit(f"/?pjclid={CLICK}", clock=first)
    again = now()

    visitor.visit(f"/?pjclid={CLICK}")

    assert visitor.stored == cookies_of(CLICK, first)
    assert visitor.events == []
    assert ends(visitor.jar["pjclid"], first, since=again)


def test_a_visit_on_day_eight_extends_to_the_original_end_only(visitor: Visitor) -> None:
    """Safari ends a script's cookies after seven days, so each page view writes them anew."""
    at = now() - 8 * DAY
    visitor.plant_click(CLICK, at, max_age=DAY)
    again = now()

    visitor.visit("/")

    assert visitor.stored == cookies_of(CLICK, at)
    for cookie in visitor.jar.values():
        assert ends(cookie, at, since=again)


def test_on_day_31_nothing_is_left(visitor: Visitor) -> None:
    visitor.plant_click(CLICK, now() - 31 * DAY)

    visitor.visit("/", body="<input name=pjclid value=old>")

    assert visitor.id is None
    assert visitor.stored == []
    assert visitor.fields == [""]


@pytest.mark.parametrize("time", ["", "NaN", "soon", "-1", "0", "1e400", "%"])
def test_a_spoilt_time_does_no_harm(visitor: Visitor, time: str) -> None:
    """Whatever becomes of that click, the next one is kept."""
    rest = f"path=/; domain={visitor.host()}; max-age=3600"
    visitor.plant(f"pjclid={OTHER}; {rest}", f"pjclid_at={time}; {rest}")
    visitor.visit("/")
    at = now()

    visitor.visit(f"/?pjclid={CLICK}", clock=at)

    assert visitor.stored == cookies_of(CLICK, at)


@pytest.mark.parametrize("value", ["rubbish", "", f"{CLICK}x", "%3Cscript%3E"])
def test_a_spoilt_cookie_is_no_id(visitor: Visitor, value: str) -> None:
    visitor.plant_click(value, now())

    visitor.visit("/")

    assert visitor.id is None
    assert visitor.events == []


@pytest.mark.parametrize("path", ["/", f"/?pjclid={CLICK}"])
def test_the_servers_own_cookie_is_read_and_never_rewritten(visitor: Visitor, path: str) -> None:
    """Set by HTTP it lives for thirty days even in Safari; a script's copy would live for seven."""
    visitor.plant(f"pjclid={CLICK}; path=/; max-age=3600")

    visitor.visit(path)

    assert visitor.id == CLICK
    assert visitor.stored == [f"pjclid={CLICK}"]
    assert visitor.writes == []
    assert visitor.events == []


def test_a_new_click_replaces_the_servers_cookie(visitor: Visitor) -> None:
    visitor.plant(f"pjclid={OTHER}; path=/; max-age=3600")
    at = now()

    visitor.visit(f"/?pjclid={CLICK}", clock=at)

    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.id == CLICK


def test_clear_forgets(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", body="<input name=pjclid>")

    visitor.run("pjclid.clear()")

    assert visitor.stored == []
    assert visitor.events == ["captured", "cleared"]
    assert visitor.id is None
    assert visitor.fields == [""]
    visitor.visit("/")
    assert visitor.id is None


def test_a_listener_is_told_when_the_id_can_be_had(visitor: Visitor) -> None:
    visitor.visit(
        f"/?pjclid={CLICK}",
        before="document.addEventListener('pjclid:captured', () => witness.had = pjclid.get());",
    )

    assert visitor.run("witness.had") == CLICK
    assert visitor.events == ["captured"]
