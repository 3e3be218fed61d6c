"""How long the snippet takes a page on load, in Chromium: `python -m tests.browser.load_cost`.

Each figure is the median of fresh page loads, each with the snippet inline between two readings of
the page's clock.
"""

from __future__ import annotations

import argparse
import json
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table
from tests.browser.browsers import Browser, chromium
from tests.browser.site import Site, Storefront, serve
from tests.browser.visitor import CLICK, Visitor

LOADS = 51
YES = "window.wp_has_consent = () => true;"
SHOP = Storefront(load="inline", consent="required", before=YES, body="<input name=pjclid>")


def without_id(browser: Browser, site: Site, number: int) -> Visitor:
    visitor = Visitor(browser, site, f"without-{number}.localhost")
    visitor.visit("/", shop=SHOP)
    return visitor


def returning(browser: Browser, site: Site, number: int) -> Visitor:
    visitor = Visitor(browser, site, f"returning-{number}.localhost")
    visitor.visit(f"/?pjclid={CLICK}", shop=SHOP)
    visitor.visit("/", shop=SHOP)
    return visitor


def landing(browser: Browser, site: Site, number: int) -> Visitor:
    visitor = Visitor(browser, site, f"landing-{number}.localhost")
    visitor.visit(f"/?pjclid={CLICK}", shop=SHOP)
    return visitor


VISITS = {"no id": without_id, "returning with id and consent": returning, "landing": landing}


def measure(loads: int) -> dict[str, list[float]]:
    """Milliseconds of every load, by kind of visit."""
    with serve() as site, chromium() as browser:
        return {
            name: [visit(browser, site, number).run("witness.evaluated") for number in range(loads)]
            for name, visit in VISITS.items()
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.load_cost", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--loads", type=int, default=LOADS, help="page loads of each kind")
    arguments = parser.parse_args()

    figures = {
        name: {"median_ms": median(times), "p90_ms": quantiles(times, n=10)[-1]}
        for name, times in measure(arguments.loads).items()
    }
    if arguments.json:
        print(json.dumps({"loads": arguments.loads, "visits": figures}, indent=2))  # noqa: T201
        return
    table = Table("visit", title=f"Evaluation on load, {arguments.loads} fresh pages each")
    for column in ("median, ms", "90 % below, ms"):
        table.add_column(column, justify="right")
    for name, figure in figures.items():
        table.add_row(name, *(f"{value:.2f}" for value in figure.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
