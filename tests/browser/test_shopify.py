"""On Shopify the click id goes onto the cart: once, politely, and never without consent."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.browser.site import CartAnswer, Request, Storefront
from tests.browser.visitor import CLICK, DAY, OTHER, Visitor, now

UPDATE = "/cart/update.js"
# Shopify's own script: the consent API is there once it was asked for, and a while later.
SHOPIFY = """
window.choice = CHOICE;
window.Shopify = {
  routes: { root: 'ROOT' },
  loadFeatures(features, done) {
    witness.features = features;
    setTimeout(() => {
      Shopify.customerPrivacy = { marketingAllowed: () => window.choice };
      done();
    });
  },
};
window.answer = (yes) => {
  window.choice = yes;
  const detail = { marketingAllowed: yes };
  document.dispatchEvent(new CustomEvent('visitorConsentCollected', { detail }));
};
window.updateAttributes = (attributes, promise = Promise.resolve({ userErrors: [] })) => {
  const event = new Event('shopify:cart:attributes-update', { bubbles: true });
  document.body.dispatchEvent(Object.assign(event, { attributes, promise }));
};
"""
FAILURES: list[CartAnswer] = ["conflict", "challenge", "error", "page"]

each_failure = pytest.mark.parametrize("failure", FAILURES)


def theme(choice: str = "true", root: str = "/") -> Storefront:
    """A theme with both snippets, and what the visitor has chosen before."""
    return Storefront(
        consent="required",
        snippets=("shopify", "capture"),
        before=SHOPIFY.replace("CHOICE", choice).replace("ROOT", root),
    )


def browse(visitor: Visitor, path: str = "/", shop: Storefront | None = None) -> None:
    """Look at a page until it is quiet."""
    visitor.visit(path, shop=shop or theme())
    visitor.settle()


def written(visitor: Visitor) -> list[str]:
    """The click ids that were written to the cart, in order."""
    return [value_of(request) for request in visitor.site.asked(UPDATE)]


def value_of(request: Request) -> str:
    (value,) = json.loads(request.body)["attributes"].values()
    assert isinstance(value, str)
    return value


def test_a_landing_and_many_pages_are_one_write(visitor: Visitor) -> None:
    browse(visitor, f"/?pjclid={CLICK}")
    for path in ("/products/shoes", "/cart", f"/?pjclid={CLICK}", "/products/socks"):
        browse(visitor, path)

    assert written(visitor) == [CLICK]


def test_a_landing_with_a_cart_is_one_write(visitor: Visitor) -> None:
    visitor.plant(f"cart={visitor.site.cart_token}; path=/")
    browse(visitor, f"/?pjclid={CLICK}")
    browse(visitor)

    assert written(visitor) == [CLICK]


def test_the_write_is_what_the_ajax_api_asks_for(visitor: Visitor) -> None:
    """https://shopify.dev/docs/api/ajax/reference/cart"""
    browse(visitor, f"/?pjclid={CLICK}")

    (request,) = visitor.site.asked(UPDATE)
    assert request.method == "POST"
    assert request.path == UPDATE
    assert request.query == ""
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {"attributes": {"pjclid": CLICK}}
    assert not [name for name in request.headers if name.startswith("x-")]


def test_the_write_goes_under_the_locales_root(visitor: Visitor) -> None:
    browse(visitor, f"/sv/?pjclid={CLICK}", theme(root="/sv/"))

    assert [request.path for request in visitor.site.asked(UPDATE)] == [f"/sv{UPDATE}"]


def test_the_consent_api_is_asked_for(visitor: Visitor) -> None:
    browse(visitor)

    assert visitor.run("witness.features") == [{"name": "consent-tracking-api", "version": "0.1"}]


def test_a_new_cart_gets_the_id_once(visitor: Visitor) -> None:
    """After an order the visitor has another cart, without attributes."""
    browse(visitor, f"/?pjclid={CLICK}")
    visitor.site.cart_token = "Z2NwLWV1cm9wZQ%3Fkey%3D77"
    visitor.run(f"document.cookie = 'cart={visitor.site.cart_token}; path=/'")

    for _ in range(3):
        browse(visitor)

    assert written(visitor) == [CLICK, CLICK]


def test_a_new_id_is_written_once(visitor: Visitor) -> None:
    browse(visitor, f"/?pjclid={OTHER}")
    for path in (f"/?pjclid={CLICK}", "/", "/cart"):
        browse(visitor, path)

    assert written(visitor) == [OTHER, CLICK]


def test_an_id_that_is_pushed_is_written(visitor: Visitor) -> None:
    browse(visitor)
    visitor.run(f"history.pushState({{}}, '', '/?pjclid={CLICK}')")
    visitor.settle()

    assert written(visitor) == [CLICK]


def test_an_older_id_is_written_where_the_cart_has_none(visitor: Visitor) -> None:
    visitor.plant_click(CLICK, now() - DAY)
    browse(visitor)
    browse(visitor)

    assert written(visitor) == [CLICK]


def test_without_an_id_nothing_is_written(visitor: Visitor) -> None:
    browse(visitor)
    visitor.run("answer(false)")
    visitor.run("answer(true)")
    visitor.settle()

    assert written(visitor) == []
    assert visitor.left_behind == {}


@pytest.mark.parametrize("choice", ["false", "undefined"])
def test_before_consent_nothing_is_written_or_stored(visitor: Visitor, choice: str) -> None:
    browse(visitor, f"/?pjclid={CLICK}", theme(choice))

    assert written(visitor) == []
    assert visitor.left_behind == {}


def test_after_a_no_nothing_is_written(visitor: Visitor) -> None:
    browse(visitor, f"/?pjclid={CLICK}", theme("false"))
    visitor.run("answer(false)")
    visitor.settle()
    browse(visitor, shop=theme("false"))

    assert written(visitor) == []
    assert visitor.left_behind == {}


def test_after_a_yes_the_id_is_written(visitor: Visitor) -> None:
    browse(visitor, f"/?pjclid={CLICK}", theme("false"))
    visitor.run("answer(true)")
    visitor.settle()
    browse(visitor)

    assert written(visitor) == [CLICK]


def test_a_shop_that_needs_no_consent_writes_at_once(visitor: Visitor) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=theme("false"), consent="none")
    visitor.settle()

    assert written(visitor) == [CLICK]


def test_a_withdrawal_blanks_once(visitor: Visitor) -> None:
    browse(visitor, f"/?pjclid={CLICK}")
    visitor.run("answer(false)")
    visitor.settle()
    for _ in range(2):
        browse(visitor, shop=theme("false"))

    assert written(visitor) == [CLICK, ""]


def test_a_withdrawal_on_a_later_page_blanks_once(visitor: Visitor) -> None:
    browse(visitor, f"/?pjclid={CLICK}")
    browse(visitor)
    visitor.run("answer(false)")
    visitor.settle()
    browse(visitor, shop=theme("false"))

    assert written(visitor) == [CLICK, ""]


def test_a_withdrawal_before_the_page_blanks_once(visitor: Visitor) -> None:
    """In the checkout, say, where the theme does not run."""
    browse(visitor, f"/?pjclid={CLICK}")
    for _ in range(3):
        browse(visitor, shop=theme("false"))

    assert written(visitor) == [CLICK, ""]


def test_a_yes_after_a_withdrawal_writes_again(visitor: Visitor) -> None:
    browse(visitor, f"/?pjclid={CLICK}")
    for yes in ("false", "true"):
        visitor.run(f"answer({yes})")
        visitor.settle()
    browse(visitor)

    assert written(visitor) == [CLICK, "", CLICK]


def test_a_withdrawal_during_the_write_has_the_last_word(visitor: Visitor) -> None:
    visitor.site.cart_answer = "hang"
    visitor.visit(f"/?pjclid={CLICK}", shop=theme())
    visitor.site.wait_for(UPDATE)
    visitor.run("answer(false)")
    visitor.site.cart_answer = "ok"
    visitor.site.released.set()
    visitor.settle()
    browse(visitor, shop=theme("false"))

    assert written(visitor)[-1] == ""
    assert visitor.id is None


@each_failure
def test_after_a_failure_the_page_does_not_try_again(visitor: Visitor, failure: CartAnswer) -> None:
    visitor.site.cart_answer = failure

    browse(visitor, f"/?pjclid={CLICK}")
    visitor.run("answer(true)")
    visitor.run("document.dispatchEvent(new Event('pjclid:captured', { bubbles: true }))")
    visitor.run("window.dispatchEvent(new Event('pageshow'))")
    visitor.run("history.pushState({}, '', '/next')")
    visitor.settle()

    assert written(visitor) == [CLICK]


@each_failure
def test_after_a_failure_each_page_tries_once_until_it_works(
    visitor: Visitor, failure: CartAnswer
) -> None:
    visitor.site.cart_answer = failure
    browse(visitor, f"/?pjclid={CLICK}")
    browse(visitor)
    assert written(visitor) == [CLICK] * 2

    visitor.site.cart_answer = "ok"
    for _ in range(3):
        browse(visitor)

    assert written(visitor) == [CLICK] * 3


@each_failure
def test_a_blanking_that_failed_is_tried_again_on_the_next_page(
    visitor: Visitor, failure: CartAnswer
) -> None:
    browse(visitor, f"/?pjclid={CLICK}")
    visitor.site.cart_answer = failure
    visitor.run("answer(false)")
    visitor.settle()
    assert written(visitor) == [CLICK, ""]

    visitor.site.cart_answer = "ok"
    for _ in range(2):
        browse(visitor, shop=theme("false"))

    assert written(visitor) == [CLICK, "", ""]


def test_a_write_that_has_no_answer_harms_nothing(visitor: Visitor) -> None:
    visitor.site.cart_answer = "hang"
    visitor.visit(f"/?pjclid={CLICK}", shop=theme())
    visitor.site.wait_for(UPDATE)

    assert visitor.id == CLICK
    assert len(visitor.stored) == 2


def test_an_attribute_that_somebody_wipes_is_added_again_once(visitor: Visitor) -> None:
    browse(visitor, f"/?pjclid={CLICK}")
    for _ in range(3):
        visitor.run("updateAttributes([{ key: 'gift', value: 'yes' }])")
        visitor.settle()

    assert written(visitor) == [CLICK, CLICK]


def test_an_attribute_that_is_wiped_on_the_next_page_is_added_again(visitor: Visitor) -> None:
    browse(visitor, f"/?pjclid={CLICK}")
    for _ in range(2):
        browse(visitor)
        visitor.run("updateAttributes([])")
        visitor.settle()

    assert written(visitor) == [CLICK] * 3


def test_an_update_that_keeps_the_attribute_needs_nothing(visitor: Visitor) -> None:
    browse(visitor, f"/?pjclid={CLICK}")
    visitor.run(f"updateAttributes([{{ key: 'pjclid', value: '{CLICK}' }}])")
    visitor.settle()

    assert written(visitor) == [CLICK]


def test_an_update_that_failed_wiped_nothing(visitor: Visitor) -> None:
    browse(visitor, f"/?pjclid={CLICK}")
    visitor.do("updateAttributes([], (async () => { await 0; throw new Error('no'); })());")
    visitor.settle()

    assert written(visitor) == [CLICK]


def test_without_an_id_nobodys_update_concerns_it(visitor: Visitor) -> None:
    browse(visitor)
    visitor.run("updateAttributes([])")
    visitor.settle()

    assert written(visitor) == []


def test_without_consent_a_wiped_attribute_stays_away(visitor: Visitor) -> None:
    browse(visitor, f"/?pjclid={CLICK}")
    visitor.run("answer(false)")
    visitor.settle()
    visitor.run("updateAttributes([])")
    visitor.settle()

    assert written(visitor) == [CLICK, ""]


def test_the_shops_own_call_right_after_landing_goes_out_at_once(visitor: Visitor) -> None:
    visitor.site.cart_answer = "hang"
    visitor.visit(f"/?pjclid={CLICK}", shop=theme())
    visitor.site.wait_for(UPDATE)

    visitor.do(
        "await fetch('/cart/add.js', { method: 'POST', body: JSON.stringify({ id: 42 }),"
        " headers: { 'Content-Type': 'application/json' } })"
    )

    (request,) = visitor.site.asked("/cart/add.js")
    assert request.body == '{"id":42}'
    assert visitor.run("window.fetch === witness.fetch")
    assert not visitor.site.released.is_set()


def test_the_shops_own_form_right_after_landing_goes_out_at_once(visitor: Visitor) -> None:
    visitor.site.cart_answer = "hang"
    visitor.visit(
        f"/?pjclid={CLICK}",
        shop=theme(),
        body="<form method=post action=/cart/add><input name=id value=42></form>",
    )

    visitor.run("document.forms[0].requestSubmit()")

    (request,) = visitor.site.wait_for("/cart/add")
    assert request.body == "id=42"
    assert not visitor.site.released.is_set()


@pytest.mark.parametrize("cookies", ["throw", "ignore"])
def test_with_cookies_blocked_nothing_fails(visitor: Visitor, cookies: str) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=theme(), cookies=cookies)
    visitor.settle()

    assert visitor.id == (CLICK if cookies == "ignore" else None)
    assert len(written(visitor)) <= 1


@pytest.mark.parametrize(
    "shopify",
    [
        "",
        "window.Shopify = {};",
        "window.Shopify = { loadFeatures: (features, done) => done(new Error('no')) };",
        "window.Shopify = { loadFeatures() { throw new Error('no'); } };",
    ],
)
def test_without_a_consent_api_nothing_is_written(visitor: Visitor, shopify: str) -> None:
    visitor.visit(f"/?pjclid={CLICK}", shop=theme(), before=shopify)
    visitor.settle()

    assert written(visitor) == []
    assert visitor.left_behind == {}


def test_shopifys_loader_may_be_a_deferred_script(visitor: Visitor) -> None:
    """As on real storefronts: an inline snippet in the head runs before it is there."""
    shop = theme()
    late = (
        "const { loadFeatures } = Shopify; delete Shopify.loadFeatures;"
        "document.addEventListener('readystatechange',"
        " () => Object.assign(Shopify, { loadFeatures }));"
    )

    browse(visitor, f"/?pjclid={CLICK}", replace(shop, load="inline", before=shop.before + late))

    assert written(visitor) == [CLICK]


def test_a_withdrawal_elsewhere_is_heeded_on_the_next_page(visitor: Visitor) -> None:
    """The consent API may be there, and say no, before any of the snippets runs."""
    browse(visitor, f"/?pjclid={CLICK}")
    there = "Shopify.customerPrivacy = { marketingAllowed: () => false };"
    shop = theme("false")

    browse(visitor, "/", replace(shop, before=shop.before + there))

    assert written(visitor) == [CLICK, ""]


def test_writes_reach_the_cart_one_after_the_other(visitor: Visitor) -> None:
    visitor.site.cart_answer = "hang"
    visitor.visit(f"/?pjclid={CLICK}", shop=theme())
    visitor.site.wait_for(UPDATE)

    for answer in ("false", "true", "false"):
        visitor.run(f"answer({answer})")
    assert written(visitor) == [CLICK]
    visitor.site.cart_answer = "ok"
    visitor.site.released.set()
    visitor.settle()

    assert written(visitor) == [CLICK, "", CLICK, ""]
