"""Browsers and a shop that start once, and a visitor without a past for each test."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from tests.browser.browsers import ENGINES, Browser
from tests.browser.site import Site, serve
from tests.browser.visitor import Visitor

NUMBERS = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--browsers",
        default="chromium",
        help=f"engines to test in, separated by commas: {', '.join(ENGINES)}",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test runs in every engine that was asked for."""
    if "browser" in metafunc.fixturenames:
        names = metafunc.config.getoption("browsers").split(",")
        if unknown := set(names) - set(ENGINES):
            raise pytest.UsageError(f"--browsers: no such engine: {', '.join(sorted(unknown))}")
        metafunc.parametrize("browser", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A running browser; one that was asked for and is not installed is an error."""
    with ENGINES[request.param]() as running:
        yield running


@pytest.fixture(scope="session")
def shop() -> Iterator[Site]:
    """The shop, of all tests."""
    with serve() as site:
        yield site


@pytest.fixture
def site(shop: Site) -> Site:
    """The shop as it was before the first visitor."""
    shop.reset()
    return shop


@pytest.fixture
def visitor(browser: Browser, site: Site) -> Iterator[Visitor]:
    """Somebody new to the shop, which has a new domain: every name under localhost is this machine.

    A test in which a page had any error has failed.
    """
    visitor = Visitor(browser, site, f"shop-{next(NUMBERS)}.localhost")
    yield visitor
    site.released.set()
    assert visitor.leave() == []
