"""The report's page on narrow screens."""

from __future__ import annotations

import json

import pytest
from tests.browser.browsers import Browser
from tests.browser.site import Site
from tests.operations.test_report_page import page, statistics

from prisjakt_relay.operations.statistics import Ignored
from prisjakt_relay.outcomes import Reason

FRAMED = """new Promise((loaded) => {
  const frame = document.createElement('iframe');
  frame.style.width = '%dpx';
  frame.style.border = 0;
  frame.onload = () => loaded([...frame.contentDocument.querySelectorAll('.table, html')]
    .filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.innerText));
  frame.srcdoc = %s;
  document.body.append(frame);
})"""


@pytest.mark.parametrize("width", [390, 1280])
def test_no_table_is_cut(width: int, browser: Browser, site: Site) -> None:
    html = page(statistics(ignored=tuple(Ignored(reason, 4_321, 2_109) for reason in Reason)))
    browser.open(f"http://report.localhost:{site.port}/")

    cut = browser.run(FRAMED % (width, json.dumps(html)))

    assert cut == []
