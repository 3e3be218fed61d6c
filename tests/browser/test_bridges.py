"""The bridges to consent banners, as the documentation prints them, with stand-ins of the banners.

A stand-in has a `choose(answer)` that does what the banner does when a visitor answers, and a
`load(answer)` for what it does on a later page, where the answer is known from before.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.browser.visitor import CLICK, OTHER, Visitor

PAGE = (Path(__file__).parents[2] / "docs" / "snippet.md").read_text("utf-8")
BRIDGES = dict(re.findall(r"<!-- bridge: (\w+) -->.+?```html\n(.+?)```", PAGE, re.DOTALL))

BANNERS = {
    "cookiebot": """
        window.Cookiebot = { hasResponse: false, consent: { marketing: false } };
        const say = (answer, ...names) => {
          if (answer !== undefined) Cookiebot.hasResponse = true;
          Cookiebot.consent.marketing = answer === true;
          for (const name of names) dispatchEvent(new Event(name));
        };
        window.load = (answer) => say(answer, 'CookiebotOnConsentReady');
        window.choose = (answer) =>
          say(answer, `CookiebotOn${answer ? 'Accept' : 'Decline'}`, 'CookiebotOnConsentReady');
    """,
    "cookieinformation": """
        let given = false;
        window.CookieInformation = {
          getConsentGivenFor: (name) => name === 'cookie_cat_marketing' && given,
        };
        window.choose = (answer) => {
          given = answer;
          dispatchEvent(new Event('CookieInformationConsentGiven'));
        };
        window.load = (answer) => { if (answer !== undefined) choose(answer); };
    """,
    "cookieyes": """
        const tell = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
        window.load = (answer) => {
          const known = {
            activeLaw: 'gdpr',
            categories: { necessary: true, advertisement: answer === true },
            isUserActionCompleted: answer !== undefined,
          };
          window.getCkyConsent = () => known;
          tell('cookieyes_banner_load', known);
        };
        window.choose = (answer) => tell('cookieyes_consent_update', answer
          ? { accepted: ['necessary', 'advertisement'], rejected: [] }
          : { accepted: ['necessary'], rejected: ['advertisement'] });
    """,
    "onetrust": """
        window.choose = window.load = (answer) => {
          const detail = answer ? ['C0001', 'C0004'] : ['C0001'];
          window.OnetrustActiveGroups = `,${detail.join(',')},`;
          dispatchEvent(new CustomEvent('OneTrustGroupsUpdated', { detail }));
        };
    """,
    "tcf": """
        let listener;
        window.__tcfapi = (command, version, callback) => { listener = callback; };
        const tell = (eventStatus, answer) => listener({
          eventStatus,
          gdprApplies: true,
          purpose: { consents: { 1: true, 7: answer === true } },
        }, true);
        window.choose = (answer) => tell('useractioncomplete', answer);
        window.load = (answer) => tell(answer === undefined ? 'cmpuishown' : 'tcloaded', answer);
    """,
}
each_banner = pytest.mark.parametrize("banner", sorted(BANNERS))


def visit(visitor: Visitor, path: str, banner: str, first: str = "") -> None:
    visitor.visit(
        path,
        consent="required",
        load="inline",
        before=f"{{ {BANNERS[banner]} }} {first}",
        body=BRIDGES[banner],
    )


def test_every_bridge_is_tried() -> None:
    assert set(BRIDGES) == set(BANNERS)


@each_banner
def test_a_yes_crosses_the_bridge(visitor: Visitor, banner: str) -> None:
    visit(visitor, f"/?pjclid={CLICK}", banner)
    visitor.run("load()")
    assert visitor.stored == []

    visitor.run("choose(true)")

    assert visitor.id == CLICK
    assert len(visitor.stored) == 2


@each_banner
def test_a_no_crosses_the_bridge(visitor: Visitor, banner: str) -> None:
    visit(visitor, f"/?pjclid={CLICK}", banner)
    visitor.run("load()")

    visitor.run("choose(false)")

    assert visitor.id is None
    assert visitor.left_behind == {}


@each_banner
def test_an_answer_from_before_holds_on_the_next_page(visitor: Visitor, banner: str) -> None:
    visit(visitor, f"/?pjclid={CLICK}", banner)
    visitor.run("choose(true)")

    visit(visitor, f"/?pjclid={OTHER}", banner)
    visitor.run("load(true)")

    assert visitor.id == OTHER


@pytest.mark.parametrize("banner", sorted(set(BANNERS) - {"tcf"}))  # which tells whoever asks
@pytest.mark.parametrize("answer", ["true", "false"])
def test_a_banner_that_was_there_first_is_asked(visitor: Visitor, banner: str, answer: str) -> None:
    visit(visitor, f"/?pjclid={CLICK}", banner, first=f"load({answer});")

    assert visitor.id == (CLICK if answer == "true" else None)


@each_banner
def test_a_withdrawal_crosses_the_bridge(visitor: Visitor, banner: str) -> None:
    visit(visitor, f"/?pjclid={CLICK}", banner)
    visitor.run("choose(true)")
    visit(visitor, "/", banner)
    visitor.run("load(true)")

    visitor.run("choose(false)")

    assert visitor.id is None
    assert visitor.left_behind == {}


def test_where_the_gdpr_does_not_apply_nobody_needs_to_answer(visitor: Visitor) -> None:
    visitor.visit(
        f"/?pjclid={CLICK}",
        consent="required",
        load="inline",
        before="window.__tcfapi = (command, version, callback) =>"
        " callback({ eventStatus: 'tcloaded', gdprApplies: false }, true);",
        body=BRIDGES["tcf"],
    )

    assert visitor.id == CLICK
