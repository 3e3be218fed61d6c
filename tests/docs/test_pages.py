"""The pages are held to the code: what they list is all there is, what they point at exists."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import pytest
from samtranslator.yaml_helper import yaml_parse
from tests.docs import pages
from tests.docs.pages import PAGES, ROOT, first_cells, name_of, section, text_of
from typer.main import get_command

from prisjakt_relay.cli.app import app
from prisjakt_relay.outcomes import Outcome, Reason, Received
from prisjakt_relay.platforms import EXCLUDED_SOURCES, PLATFORMS
from prisjakt_relay.shop import Shop

README: Final = text_of("README.md")
MAKEFILE: Final = text_of("Makefile")
CI: Final = text_of(".ci/run")
TEMPLATE: Final[dict[str, Any]] = yaml_parse(text_of("template.yaml"))
UNTOLD: Final = {Received.UNSIGNED, Received.UNKNOWN, Received.UNAVAILABLE}  # a status tells

every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)

# `make` targets that `.ci/run` does not run, each with the reason.
NOT_IN_CI: Final = {
    "bench": "measures for minutes on a quiet machine",
    "bench-orders": "measures for minutes on a quiet machine",
    "bench-reconcile": "measures for minutes on a quiet machine",
    "campaign": "runs for half an hour; its worlds are those of tests/simulation",
    "demo": "test-wheel runs the same demo, from the wheel",
    "deploy": "needs an AWS account; validate and test-artifacts check what it deploys",
    "fuzz": "a million inputs; tests/security throws some of them",
    "fuzz-bugs": "minutes; tests/security finds some of the bugs",
    "hooks": "changes the checkout of who calls it",
    "licences": "writes a page, which a test compares",
    "load": "needs a quiet machine",
    "load-test": "needs a quiet machine",
    "local": "runs until Ctrl-C; tests/cli/test_local.py runs it",
    "lock": "takes newer versions",
    "many-shops": "minutes; tests/benchmark runs fewer shops",
    "outages": "minutes; tests/simulation lives through some of them",
    "picture": "draws pictures",
    "proof": "writes the figures of hours into a page",
    "release": "test-release makes it first",
    "sbom": "made for a release; tests/release checks what is in it",
    "simulate": "its worlds are those of tests/simulation",
    "simulate-bugs": "a quarter of an hour; tests/simulation finds some of the bugs",
    "sizes": "fetches other projects' scripts",
    "snippet": "test-snippet checks that it would change nothing",
    "soak": "runs for an hour",
}


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for link in pages.links(text):
        if link.startswith("https://"):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if fragment:
            assert fragment in pages.anchors(target.read_text("utf-8")), link


@every_page
def test_every_page_of_the_docs_can_be_reached_from_the_readme(page: Path) -> None:
    assert page.name == "README.md" or f"]({name_of(page)})" in README


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def made(text: str) -> set[str]:
    """The targets that a page has somebody make."""
    in_blocks = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    inline = re.findall(r"(?:^ {4}|`)make ([a-z][a-z-]*)", pages.prose(text), re.MULTILINE)
    return {*inline, *re.findall(r"^make ([a-z][a-z-]*)", in_blocks, re.MULTILINE)}


def test_the_readme_says_what_was_proved() -> None:
    proof: dict[str, Any] = json.loads(text_of("docs/proof.json"))

    assert f"[{proof['campaign']['worlds']:,} worlds](docs/proof.md)" in README
    assert f"{len(proof['bugs']['bugs'])} planted bugs" in README
    assert (proof["campaign"]["broken"], proof["bugs"]["broken"]) == (None, [])
    assert len({figures["code"] for figures in proof.values()}) == 1


@every_page
def test_every_make_target_exists_and_is_run_or_has_a_reason(page: Path) -> None:
    for target in made(page.read_text("utf-8")):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target
        runs = re.search(rf"^\s*make {target}$", CI, re.MULTILINE) is not None
        assert runs != (target in NOT_IN_CI), target


def test_every_reason_belongs_to_a_target_that_a_page_names() -> None:
    named = set().union(*(made(page.read_text("utf-8")) for page in PAGES))

    assert set(NOT_IN_CI) <= named


@every_page
def test_every_file_that_is_named_exists(page: Path) -> None:
    """Those with a folder; `<…>` stands for a name."""
    text = pages.prose(page.read_text("utf-8"))
    folders = "functions|tests|events|platforms|platform_api|docs|snippet|requirements|sbom"
    for path in re.findall(rf"`((?:{folders})/[\w./-]+)`", text):
        if path in MADE:
            continue
        places = (ROOT / path, ROOT / "functions" / "prisjakt_relay" / path)
        assert any(place.exists() for place in places), path


MADE: Final = {
    "snippet/dist",
    "functions/prisjakt_relay/platforms/kiosk.py",  # the tutorial's
    "tests/platforms/test_kiosk.py",
    "sbom/",  # the archive's
}


@every_page
def test_every_parameter_and_output_that_is_named_exists(page: Path) -> None:
    text = pages.prose(page.read_text("utf-8"))
    known = {*TEMPLATE["Parameters"], *TEMPLATE["Outputs"], *TEMPLATE["Resources"]}
    for name in re.findall(r"`([A-Z][a-z]+[A-Za-z]*)=[\w@.]+`", text):
        assert name in TEMPLATE["Parameters"], name
    for name in re.findall(r"outputs? `(\w+)`", text):
        assert name in TEMPLATE["Outputs"], name
    for name in re.findall(r"parameters? `(\w+)`", text):
        assert name in TEMPLATE["Parameters"], name
    of_resources = r"`((?!Describe|Delete)(?:[A-Z][a-z]+)+(?:Alarm|Group|Table|Queue))`"
    for name in re.findall(of_resources, text):
        assert name in known, name


def test_every_reason_and_every_outcome_is_explained() -> None:
    words = first_cells(section(text_of("docs/operate.md"), "## What became of an order"))

    assert words == {*Reason, *Outcome, *Received} - UNTOLD


def test_every_field_of_the_shop_document_is_explained() -> None:
    page = text_of("docs/shop-document.md")

    assert first_cells(section(page, "## Fields")) == {field.name for field in fields(Shop)}
    for platform in PLATFORMS:
        assert f"`{platform}`" in section(page, "## Fields")
    for sources in EXCLUDED_SOURCES.values():
        for source in sources:
            assert f'"{source}"' in page


def test_every_command_has_a_task() -> None:
    """It is in a page besides the list of all."""
    tasks = "".join(text_of(name_of(page)) for page in PAGES if page.name != "command-line.md")
    for command in get_command(app).commands:  # type: ignore[attr-defined]  # it is a group
        assert f"prisjakt-relay {command}" in tasks or f"make {command}" in tasks, command
