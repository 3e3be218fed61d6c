"""The version is in one place, and the changelog tells of each."""

from __future__ import annotations

import re

from samtranslator.yaml_helper import yaml_parse

from prisjakt_relay import __version__
from prisjakt_relay.local import project

ROOT = project.root()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
DEPLOY = (ROOT / "docs" / "deploy.md").read_text("utf-8")
HEADINGS = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)


def test_the_changelog_has_a_section_for_this_version() -> None:
    assert any(heading.startswith(f"{__version__} - ") for heading in HEADINGS), HEADINGS


def test_every_released_version_has_a_date() -> None:
    for heading in HEADINGS:
        assert heading == "Unreleased" or re.fullmatch(
            r"\d+\.\d+\.\d+ - 20\d\d-[01]\d-[0-3]\d", heading
        ), heading


def test_versions_stand_newest_first() -> None:
    versions = [
        tuple(int(part) for part in heading.partition(" ")[0].split("."))
        for heading in HEADINGS
        if heading != "Unreleased"
    ]

    assert versions == sorted(set(versions), reverse=True)
    assert "Unreleased" not in HEADINGS[1:]


def test_the_version_stands_nowhere_else() -> None:
    """Neither in pyproject.toml, which reads it, nor in the template."""
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert __version__ not in (ROOT / "template.yaml").read_text("utf-8")


def test_every_parameter_is_on_the_page_with_its_default() -> None:
    """In the order of the dialogue, which is that of the template."""
    parameters = yaml_parse((ROOT / "template.yaml").read_text("utf-8"))["Parameters"]
    table = DEPLOY.partition("\n## Parameters\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (?:`([^`]+)`|none) \| \S", table, re.MULTILINE)

    assert rows == [(name, str(each["Default"])) for name, each in parameters.items()]


def test_the_commands_on_the_page_name_this_version() -> None:
    named = re.findall(r"prisjakt[-_]relay-(\d+\.\d+\.\d+)", DEPLOY)

    assert named
    assert set(named) == {__version__}
