"""The README is held to the code: what it lists is all there is, and what it points at exists."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse
from typer.main import get_command

from prisjakt_relay.cli.app import app
from prisjakt_relay.local import project
from prisjakt_relay.outcomes import Outcome, Reason, Received
from prisjakt_relay.shop import DEFAULT_EXCLUDED_SOURCES, Shop

ROOT = project.root()
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def first_cells(heading: str) -> set[str]:
    """Every `word` in the first column of the tables under a heading."""
    section = README.split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def test_every_reason_and_every_outcome_is_explained() -> None:
    words = first_cells("## What became of an order")

    assert words == {*Reason, *Outcome, Received.QUEUED, Received.IGNORED}


def test_every_field_of_the_shop_document_is_explained() -> None:
    assert first_cells("## Shop document") == {field.name for field in fields(Shop)}
    for sources in DEFAULT_EXCLUDED_SOURCES.values():
        for source in sources:
            assert f'"{source}"' in README


def test_every_parameter_of_the_template_is_explained() -> None:
    template = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))

    assert first_cells("## Deploy") == set(template["Parameters"])


def test_outputs_that_the_readme_names_exist() -> None:
    template = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))

    for output in ("WebhookAddress", "LedgerTable", "ReceiverLogGroup", "SenderLogGroup"):
        assert output in README
        assert output in template["Outputs"]


def test_every_command_is_named() -> None:
    for command in get_command(app).commands:  # type: ignore[attr-defined]  # it is a group
        assert f"prisjakt-relay {command}" in README or f"make {command}" in README


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)))
)
def test_every_make_target_that_is_named_exists(target: str) -> None:
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "link"),
    [
        (page, link)
        for page in PAGES
        for link in sorted(set(re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8"))))
        if not link.startswith("https://")
    ],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_every_link_leads_somewhere(page: Path, link: str) -> None:
    path, _, fragment = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists()
    if fragment:
        headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
        assert fragment in {
            re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings
        }


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:functions|tests|events|platforms)/[\w./]+)`", README)))
)
def test_every_file_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).exists() or (ROOT / "functions/prisjakt_relay" / path).exists()
