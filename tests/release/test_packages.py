"""What is locked is known: in the bills of materials, on the page, and its licence is allowed."""

from __future__ import annotations

import importlib.metadata
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from tests.release import bill_of_materials, dependencies, packages
from tests.release.packages import FUNCTIONS, Package, locked, tool

MADE_AT = datetime(2026, 11, 21, tzinfo=UTC)
GROUPS = (*FUNCTIONS, "dev")


@pytest.fixture(scope="module")
def bills() -> dict[str, Any]:
    return {
        name.partition(".")[0]: json.loads(text)
        for name, text in bill_of_materials.bills(MADE_AT).items()
    }


def names(listed: list[Package]) -> set[tuple[str, str]]:
    return {(package.name, package.version) for package in listed}


def test_a_locked_file_is_read_whole() -> None:
    for group in GROUPS:
        text = (packages.ROOT / "requirements" / f"{group}.txt").read_text("utf-8")
        listed = packages.read(text)

        assert len(listed) == len(re.findall(r"^\S+==", text, re.MULTILINE))
        assert sum(len(each.hashes) for each in listed) == text.count("--hash=sha256:")
        assert all(each.parents for each in listed)


def test_who_needs_a_package_is_read() -> None:
    (one,) = packages.read(
        "colorama==0.4.6 ; sys_platform == 'win32' \\\n"
        f"    --hash=sha256:{'0' * 64} \\\n"
        f"    --hash=sha256:{'1' * 64}\n"
        "    # via\n"
        "    #   -c requirements/dev.txt\n"
        "    #   pytest\n"
        "    #   prisjakt-relay (pyproject.toml)\n"
    )

    assert (one.name, one.marker, len(one.hashes)) == ("colorama", "sys_platform == 'win32'", 2)
    assert one.parents == {"pytest", "prisjakt-relay"}
    (other,) = packages.read("idna==3.20 \\\n    # via requests\n")
    assert other.parents == {"requests"}


def test_the_bill_of_the_functions_is_what_is_locked_for_them(bills: dict[str, Any]) -> None:
    listed = {(each["name"], each["version"]) for each in bills["functions"]["components"]}

    assert listed == set().union(*(names(locked(group)) for group in FUNCTIONS))


def test_the_bill_of_the_tool_is_what_the_wheel_asks_for(bills: dict[str, Any]) -> None:
    listed = {(each["name"], each["version"]) for each in bills["tool"]["components"]}

    assert listed == names(tool())
    assert {"boto3", "botocore", "ministack", "typer"} <= {name for name, _ in listed}
    assert not {"pytest", "moto", "mypy"} & {name for name, _ in listed}


def test_every_component_says_licence_origin_and_hashes(bills: dict[str, Any]) -> None:
    for bill in bills.values():
        for each in bill["components"]:
            assert each["licenses"], each
            assert each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}"
            allowed = [p for p in each.get("properties", []) if p["name"].endswith("locked-sha256")]
            assert each.get("hashes") or allowed, each


def test_every_component_is_needed_by_something(bills: dict[str, Any]) -> None:
    for bill in bills.values():
        needed = {ref for each in bill["dependencies"] for ref in each.get("dependsOn", [])}
        assert needed >= {each["bom-ref"] for each in bill["components"]}


def test_what_a_component_needs_is_what_the_locks_of_all_functions_say(
    bills: dict[str, Any],
) -> None:
    needed: dict[str, set[str]] = {}
    for package in (each for function in FUNCTIONS for each in locked(function)):
        for parent in package.parents:
            needed.setdefault(parent, set()).add(f"{package.name}@{package.version}")

    found = {
        each["ref"].partition("@")[0]: set(each.get("dependsOn", []))
        for each in bills["functions"]["dependencies"]
    }

    assert {name: found[name] for name in found if name in needed} == {
        name: needed[name] for name in found if name in needed
    }
    assert found["pydantic"] >= {ref for ref in needed["pydantic"] if "pydantic-core" in ref}


@pytest.mark.parametrize("name", ["functions", "tool"])
def test_the_bill_is_valid_and_the_same_every_time(name: str) -> None:
    file = f"{name}.cdx.json"
    text = bill_of_materials.bills(MADE_AT)[file]

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert bill_of_materials.bills(MADE_AT)[file] == text


def test_the_page_lists_what_is_locked() -> None:
    assert dependencies.PAGE.read_text("utf-8") == dependencies.page(), "run `make licences`"


def test_what_is_deployed_is_under_a_licence_that_is_allowed() -> None:
    for group in FUNCTIONS:
        for each in locked(group):
            assert dependencies.allowed(each.licence, dependencies.DEPLOYED), each


def test_what_is_installed_is_under_a_licence_that_is_allowed() -> None:
    for each in locked("dev"):
        assert dependencies.allowed(each.licence, dependencies.INSTALLED), each
    for name, _, licence in dependencies.node():
        assert dependencies.allowed(licence, dependencies.INSTALLED), name


@pytest.mark.parametrize(
    ("licence", "is_allowed"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND PSF-2.0", True),
        ("MIT AND GPL-3.0-only", False),
        ("AGPL-3.0-only", False),
        ("GPL-2.0-only OR AGPL-3.0-only", False),
    ],
)
def test_of_alternatives_one_is_enough(licence: str, is_allowed: bool) -> None:
    assert dependencies.allowed(licence, dependencies.DEPLOYED) is is_allowed


class Vague:
    """Metadata that says next to nothing."""

    def get_all(self, name: str, failobj: list[str]) -> list[str]:
        return {"License": ["BSD"], "Classifier": ["License :: OSI Approved"]}.get(name, failobj)


def test_a_licence_that_nobody_can_tell_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _: Vague())

    with pytest.raises(LookupError, match="names no licence"):
        packages.licence("vague")


def test_every_direct_dependency_has_a_reason_and_no_reason_is_left_over() -> None:
    asked = set().union(*(packages.asked_for(group) for group in (*GROUPS, "tool")))

    assert set(dependencies.WHY) == asked


@pytest.mark.parametrize("group", GROUPS)
def test_locked_files_name_no_registry(group: str) -> None:
    text = (packages.ROOT / "requirements" / f"{group}.txt").read_text("utf-8")

    assert "://" not in text
    assert "index-url" not in text
