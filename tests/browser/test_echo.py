"""An id that is out of sight for a moment is not lost.

WebKit's pages read cookies from a cache of their own. What a page changes is there at once; but the
process that keeps the cookies then tells of each change again, one by one. Between the echo of an
erasure and that of what was set afterwards the page does not see the cookie. The echoes come when
they like, mostly in no time, so that here the page stands in for them, in every engine.
"""

from __future__ import annotations

import pytest
from tests.browser.visitor import CLICK, DAY, OTHER, Visitor, cookies_of, now

FIELD = "<input name=pjclid>"
# `witness.gone`: the cookies that were there and were erased, in order, even if set again since.
# From `pageshow` on the cookies of HIDDEN are out of sight; the snippet listens after this.
OUT_OF_SIGHT = """
{
  const jar = Object.getOwnPropertyDescriptor(Document.prototype, 'cookie');
  const pairs = () => jar.get.call(document).split('; ');
  const has = (name) => pairs().some((pair) => pair.startsWith(name + '='));
  witness.gone = [];
  witness.hidden = [];
  Object.defineProperty(Document.prototype, 'cookie', {
    configurable: true,
    enumerable: true,
    get() {
      return pairs().filter((pair) => !witness.hidden.includes(pair.split('=')[0])).join('; ');
    },
    set(text) {
      const [name] = text.split('=');
      const there = has(name);
      jar.set.call(this, text);
      if (there && !has(name)) witness.gone.push(name);
    },
  });
  addEventListener('pageshow', () => witness.hidden = HIDDEN, true);
}
"""

each_visit = pytest.mark.parametrize("visit", ["landing", "landing, twice", "return", "new click"])


def come(visitor: Visitor, visit: str, hidden: str) -> list[str]:
    """Visit a page on which cookies are hidden as soon as it is shown; what is to be stored."""
    at = now()
    path = f"/?pjclid={CLICK}"
    if visit == "return":
        path, at = "/", at - DAY
        visitor.plant_click(CLICK, at)
    if visit == "new click":
        visitor.plant_click(OTHER, at - DAY)
    visitor.visit(
        path,
        snippets=("capture",) * (2 if visit == "landing, twice" else 1),
        before=OUT_OF_SIGHT.replace("HIDDEN", hidden),
        body=FIELD,
        clock=None if visit == "return" else at,
    )
    return cookies_of(CLICK, at)


@each_visit
@pytest.mark.parametrize("echoes", [1, 2])
def test_the_echo_of_an_erasure_does_not_hide_the_id(
    visitor: Visitor, visit: str, echoes: int
) -> None:
    """What is written anew is written over, since nobody knows who looks meanwhile."""
    stored = come(visitor, visit, f"witness.gone.slice(0, {echoes})")

    assert visitor.id == CLICK
    assert visitor.fields == [CLICK]
    visitor.run("void (witness.hidden = [])")
    assert visitor.stored == stored
    assert visitor.id == CLICK
    assert visitor.events == ([] if visit == "return" else ["captured"])


@each_visit
def test_an_id_that_was_out_of_sight_comes_back(visitor: Visitor, visit: str) -> None:
    stored = come(visitor, visit, "['pjclid']")
    assert visitor.run("pjclid.get()") == ""

    visitor.run("void (witness.hidden = [])")

    assert visitor.stored == stored
    assert visitor.id == CLICK
    assert visitor.fields == [CLICK]
    assert visitor.stored == stored
    assert visitor.events == ([] if visit == "return" else ["captured"])
