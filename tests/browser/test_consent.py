"""Before somebody has said yes nothing is stored; after somebody has taken it back nothing is left.

In Shopify's Customer Privacy API (https://shopify.dev/docs/api/customer-privacy) nobody asked means
no; in the WP Consent API as well. Without either nobody has said anything.
"""

from __future__ import annotations

import pytest
from tests.browser.site import Storefront
from tests.browser.visitor import CLICK, DAY, OTHER, Visitor, cookies_of, now

FIELD = "<input name=pjclid>"
WAITING = Storefront(consent="required", body=FIELD)

# Each gives the page `answer(yes)`, which is what a banner calls.
SHOPIFY = """
window.Shopify = { customerPrivacy: { marketingAllowed: () => window.choice } };
window.answer = (yes) => {
  window.choice = yes;
  const detail = { marketingAllowed: yes };
  document.dispatchEvent(new CustomEvent('visitorConsentCollected', { detail }));
};
"""
WORDPRESS = """
window.wp_has_consent = (category) => category === 'marketing' && window.choice;
window.answer = (yes) => {
  window.choice = yes;
  const detail = { marketing: yes ? 'allow' : 'deny' };
  document.dispatchEvent(new CustomEvent('wp_listen_for_consent_change', { detail }));
};
"""
OWN = "window.answer = (yes) => yes ? pjclid.grant() : pjclid.revoke();"
BANNERS = {"shopify": SHOPIFY, "wordpress": WORDPRESS, "own": OWN}

each_banner = pytest.mark.parametrize("banner", BANNERS)


def shop_with(banner: str, choice: str = "") -> Storefront:
    """A shop with a banner, in which a visitor perhaps has chosen before."""
    before = f"window.choice = false; {BANNERS[banner]} {choice}"
    return Storefront(consent="required", body=FIELD, before=before)


@pytest.mark.parametrize("consent", ["required", None, "", "None", "optional"])
def test_nothing_is_stored_while_nobody_has_answered(visitor: Visitor, consent: str | None) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=WAITING, consent=consent)

    assert visitor.id is None
    assert visitor.left_behind == {}
    assert visitor.fields == [""]
    assert visitor.events == ["waiting"]


@each_banner
def test_nothing_is_stored_before_the_banner_is_answered(visitor: Visitor, banner: str) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=shop_with(banner))

    assert visitor.id is None
    assert visitor.left_behind == {}
    assert visitor.events == ["waiting"]


def test_waiting_is_said_once(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=WAITING)

    for _ in range(3):
        visitor.run("pjclid.get()")
        visitor.run("history.pushState({}, '', location.href)")

    assert visitor.events == ["waiting"]


def test_without_an_id_nobody_waits(visitor: Visitor) -> None:
    visitor.visit("/", shop=WAITING)

    visitor.run("pjclid.grant()")
    visitor.run("pjclid.revoke()")

    assert visitor.events == []
    assert visitor.left_behind == {}


@each_banner
def test_a_yes_on_the_landing_page_stores_the_click_with_its_time(
    visitor: Visitor, banner: str
) -> None:
    at = now()
    visitor.visit(f"/?pjclid={CLICK}", shop=shop_with(banner), clock=at)

    visitor.run("answer(true)")

    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.events == ["waiting", "captured"]
    assert visitor.fields == [CLICK]
    assert visitor.id == CLICK


def test_a_late_yes_does_not_change_the_clicks_time(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=WAITING)
    landed = now()
    visitor.run("void (Date.now = () => new Date().getTime() + 3_600_000)")

    visitor.run("pjclid.grant()")

    (at,) = (int(pair.partition("=")[2]) for pair in visitor.stored if "_at=" in pair)
    assert landed - 5000 < at <= landed


@each_banner
def test_a_no_stores_nothing(visitor: Visitor, banner: str) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=shop_with(banner))

    visitor.run("answer(false)")

    assert visitor.id is None
    assert visitor.left_behind == {}
    assert visitor.fields == [""]
    assert "captured" not in visitor.events


@each_banner
def test_a_yes_after_a_no_on_the_same_page_counts(visitor: Visitor, banner: str) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=shop_with(banner))

    visitor.run("answer(false)")
    visitor.run("answer(true)")

    assert visitor.id == CLICK
    assert visitor.events[-1] == "captured"
    assert len(visitor.stored) == 2


@each_banner
def test_a_withdrawal_erases_and_blanks(visitor: Visitor, banner: str) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=shop_with(banner))
    visitor.run("answer(true)")

    visitor.run("answer(false)")

    assert visitor.stored == []
    assert visitor.left_behind == {}
    assert visitor.fields == [""]
    assert visitor.events == ["waiting", "captured", "cleared"]
    assert visitor.id is None


@each_banner
def test_a_yes_after_a_withdrawal_stores_again(visitor: Visitor, banner: str) -> None:
    at = now()
    visitor.visit(f"/?pjclid={CLICK}", shop=shop_with(banner), clock=at)

    for yes in ("true", "false", "true"):
        visitor.run(f"answer({yes})")

    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.fields == [CLICK]
    assert visitor.events == ["waiting", "captured", "cleared", "captured"]


@each_banner
def test_a_withdrawal_on_a_later_page_erases(visitor: Visitor, banner: str) -> None:
    visitor.plant_click(CLICK, now() - DAY)
    visitor.visit("/", shop=shop_with(banner, "choice = true;"))

    visitor.run("answer(false)")

    assert visitor.stored == []
    assert visitor.events == ["cleared"]
    visitor.visit("/", shop=WAITING)
    assert visitor.id is None


def test_a_withdrawal_erases_the_servers_cookie_too(visitor: Visitor) -> None:
    visitor.plant(f"pjclid={CLICK}; path=/; domain={visitor.host()}; max-age=3600")
    visitor.visit("/", shop=WAITING)

    visitor.run("pjclid.revoke()")

    assert visitor.stored == []
    assert visitor.events == ["cleared"]


@pytest.mark.parametrize("banner", ["shopify", "wordpress"])
def test_a_visitor_who_has_said_no_is_left_without_cookies(visitor: Visitor, banner: str) -> None:
    visitor.plant_click(CLICK, now() - DAY)

    visitor.visit("/", shop=shop_with(banner))

    assert visitor.stored == []
    assert visitor.id is None
    assert visitor.fields == [""]


@pytest.mark.parametrize("banner", ["shopify", "wordpress"])
def test_a_visitor_who_has_said_yes_is_kept_at_once(visitor: Visitor, banner: str) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=shop_with(banner, "choice = true;"))

    assert visitor.id == CLICK
    assert visitor.events == ["captured"]
    visitor.visit("/", shop=shop_with(banner, "choice = true;"))
    assert visitor.id == CLICK
    assert visitor.events == []


def test_an_id_that_nobody_consented_to_is_gone_with_its_page(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=WAITING)

    visitor.visit("/shoes", shop=WAITING)
    visitor.run("pjclid.grant()")

    assert visitor.id is None
    assert visitor.left_behind == {}
    assert visitor.events == []


@each_banner
def test_a_banner_that_loads_after_the_script_is_heard(visitor: Visitor, banner: str) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=WAITING)
    visitor.do(f"window.choice = false; {BANNERS[banner]}")

    visitor.run("answer(true)")

    assert visitor.events[0] == "waiting"
    assert visitor.events[-1] == "captured"
    assert len(visitor.stored) == 2


def test_a_library_that_appears_without_an_event_is_asked_with_the_id(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=WAITING)
    visitor.do("window.wp_has_consent = () => true;")

    assert visitor.id == CLICK
    assert visitor.events == ["waiting", "captured"]


def test_a_library_that_appears_before_the_page_is_shown_is_asked_then(visitor: Visitor) -> None:
    """An inline script runs before the library's own, `pageshow` comes after both."""
    visitor.visit(
        f"/?pjclid={CLICK}",
        shop=WAITING,
        load="inline",
        body=f"{FIELD}<script>window.wp_has_consent = () => true;</script>",
    )

    visitor.until("witness.events.includes('captured')")

    assert visitor.events == ["waiting", "captured"]
    assert visitor.fields == [CLICK]


def test_an_older_id_stays_while_a_new_one_waits(visitor: Visitor) -> None:
    older = now() - DAY
    visitor.plant_click(OTHER, older)
    at = now()

    visitor.visit(f"/?pjclid={CLICK}", shop=WAITING, clock=at)

    assert visitor.stored == cookies_of(OTHER, older)
    assert visitor.id == OTHER  # the one consented to, never the new one
    assert visitor.fields == [OTHER]
    assert visitor.events == ["waiting"]

    visitor.run("pjclid.grant()")

    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.id == CLICK
    assert visitor.events == ["waiting", "captured"]


def test_an_older_id_is_all_there_is_when_the_new_one_was_not_consented_to(
    visitor: Visitor,
) -> None:
    older = now() - DAY
    visitor.plant_click(OTHER, older)
    visitor.visit(f"/?pjclid={CLICK}", shop=WAITING)

    visitor.visit("/shoes", shop=WAITING)

    assert visitor.stored == cookies_of(OTHER, older)
    assert visitor.id == OTHER
    assert visitor.fields == [OTHER]


def test_while_nobody_answers_an_older_id_stays_usable(visitor: Visitor) -> None:
    at = now() - DAY
    visitor.plant_click(CLICK, at)

    visitor.visit("/", shop=WAITING)

    assert visitor.id == CLICK
    assert visitor.fields == [CLICK]
    assert visitor.stored == cookies_of(CLICK, at)
    assert visitor.events == []


@pytest.mark.parametrize("banner", ["shopify", "wordpress"])
def test_the_pages_own_no_wins_over_a_librarys_yes(visitor: Visitor, banner: str) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=shop_with(banner, "choice = true;"))

    visitor.run("pjclid.revoke()")
    visitor.run("answer(true)")

    assert visitor.id is None
    assert visitor.stored == []


@pytest.mark.parametrize("banner", ["shopify", "wordpress"])
def test_the_pages_own_yes_wins_over_a_librarys_no(visitor: Visitor, banner: str) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=shop_with(banner))

    visitor.run("pjclid.grant()")
    visitor.run("answer(false)")

    assert visitor.id == CLICK


def test_shopify_is_asked_before_wordpress(visitor: Visitor) -> None:
    both = f"{SHOPIFY} window.choice = false; window.wp_has_consent = () => true;"

    visitor.visit(f"/?pjclid={CLICK}", shop=WAITING, before=both)

    assert visitor.id is None


def test_a_shop_that_needs_no_consent_asks_nobody(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=shop_with("shopify"), consent="none")

    assert visitor.id == CLICK
    assert visitor.events == ["captured"]


def test_a_shop_that_needs_no_consent_still_heeds_a_withdrawal(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", body=FIELD)

    visitor.run("pjclid.revoke()")

    assert visitor.id is None
    assert visitor.left_behind == {}
    assert visitor.fields == [""]


@pytest.mark.parametrize("name", ["captured", "waiting", "cleared"])
def test_the_events_bubble_and_carry_nothing(visitor: Visitor, name: str) -> None:
    """Whoever reads the page's events learns no id from them."""
    note = f"""
        addEventListener('pjclid:{name}', (event) => witness.seen =
          [event.target === document, event.bubbles, event.detail ?? null, pjclid.get()]);
    """
    visitor.visit(f"/?pjclid={CLICK}", shop=WAITING, before=note)

    visitor.run("pjclid.grant()")
    visitor.run("pjclid.revoke()")

    assert visitor.run("witness.seen") == [True, True, None, CLICK if name == "captured" else ""]
    assert visitor.events == ["waiting", "captured", "cleared"]
