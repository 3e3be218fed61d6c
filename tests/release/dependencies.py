"""`make licences`: writes docs/dependencies.md: what is locked, its licence, why it is there.

`python -m tests.release.dependencies [--check]`
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from typing import Final

from tests.release.packages import FUNCTIONS, OURSELVES, ROOT, Package, asked_for, locked, tool

PAGE: Final = ROOT / "docs" / "dependencies.md"

PERMISSIVE: Final = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CNRI-Python",
        "ISC",
        "MIT",
        "MIT-0",
        "PSF-2.0",
        "ZPL-2.1",
    }
)
# MPL asks for the source of its own files only, which are shipped unchanged as source.
DEPLOYED: Final = PERMISSIVE | {"MPL-2.0"}
# LGPL leaves alone what uses it, as long as one can put another version in its place: it is
# installed beside the tool, not shipped with it.
INSTALLED: Final = DEPLOYED | {"LGPL-3.0-or-later"}

# Why each package that pyproject.toml asks for is there. The others are there for these.
WHY: Final = {
    "aws-lambda-powertools": "the log: one JSON line per outcome",
    "aws-sam-translator": "expands the template for the embedded AWS",
    "awslambdaric": "runs the functions as Lambda does, to measure them",
    "boto3": "AWS for the command line; in Lambda the runtime brings it",
    "brotli": "measures the capture script's size",
    "cfn-lint": "checks the template",
    "cyclonedx-python-lib": "writes the bill of materials",
    "editables": "installs the checkout itself",
    "flask": "the simulated Prisjakt and the demo storefront",
    "graphql-core": "the simulated Shopify Admin API",
    "hatchling": "builds the wheel",
    "hypothesis": "finds inputs that break a property",
    "import-linter": "holds the layers between modules",
    "jsonschema": "holds the schema of own backends' orders to what is read",
    "jinja2": "the pages of reports and of the doctor",
    "markupsafe": "text in those pages",
    "ministack": "the embedded AWS",
    "moto": "AWS within a test's own process",
    "mypy": "checks types",
    "playwright": "drives Chromium in the capture script's tests",
    "pre-commit": "runs the checks before a commit",
    "pydantic": "checks what goes to Prisjakt and what comes back",
    "pygal": "draws the charts of reports",
    "pytest": "runs the tests",
    "pytest-cov": "measures which lines the tests reach",
    "pytest-randomly": "runs the tests in another order each time",
    "pytest-socket": "keeps the tests off the network",
    "pytest-xdist": "runs the tests side by side",
    "pyyaml": "reads the template",
    "requests": "HTTP to Prisjakt and to shop systems",
    "responses": "answers HTTP in unit tests",
    "rich": "tables and colours of the command line",
    "ruff": "lints and formats",
    "selenium": "drives Firefox and WebKit in the capture script's tests",
    "typer": "the command line",
    "types-pyyaml": "types for mypy",
    "types-requests": "types for mypy",
    "urllib3": "HTTP to AWS and between the parts of the local system",
    "uv": "locks and installs",
    "waitress": "serves the local system",
}


WHY_NODE: Final = "terser, which makes the script small, or for it"


def allowed(licence: str, those: frozenset[str]) -> bool:
    """Of alternatives one is enough; of what holds together, all."""
    return any(
        all(part in those for part in choice.split(" AND ")) for choice in licence.split(" OR ")
    )


def page() -> str:
    functions = {(each.name, each.version): each for group in FUNCTIONS for each in locked(group)}
    tools = tool()
    known = {each.name for each in tools}
    others = [each for each in locked("dev") if each.name not in known]
    return (
        "# Dependencies\n\n"
        "What is locked in `requirements/`, under which licence, and why it is there. "
        "`make licences` writes this page from the locked files and\n"
        "from what the installed packages say of themselves; a test compares. "
        "`make sbom` writes the same for machines (CycloneDX).\n\n"
        f"Allowed in what is deployed:\n{_list(DEPLOYED)}.\n"
        f"In what is installed beside it also {_list(INSTALLED - DEPLOYED)}. A test refuses "
        "anything else.\n\n"
        "## Deployed with the functions\n\n"
        "The Lambda runtime brings boto3 and botocore, and to the receiver urllib3: they are not "
        "shipped with it.\n\n"
        + _table(functions.values(), "functions")
        + "\n## Installed with the command line\n\n"
        "`prisjakt-relay` with its extra `local`.\n\n"
        + _table(tools, "tool")
        + "\n## For development\n\n"
        "Never deployed, and not needed to use the tool.\n\n"
        + _table(others, "dev")
        + "\n## To build the capture script\n\n"
        "Locked in `snippet/package-lock.json`; the script itself depends on nothing.\n\n"
        + _rows((name, version, licence, WHY_NODE) for name, version, licence in node())
    )


def node() -> list[tuple[str, str, str]]:
    """Name, version and licence of what builds the capture script."""
    lock = json.loads((ROOT / "snippet" / "package-lock.json").read_text("utf-8"))
    return sorted(
        (path.rpartition("node_modules/")[2], each["version"], each["license"])
        for path, each in lock["packages"].items()
        if path
    )


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _table(packages: Iterable[Package], use: str) -> str:
    direct = (
        {name for group in FUNCTIONS for name in asked_for(group)}
        if use == "functions"
        else asked_for(use)
    )
    packages = sorted(packages, key=lambda each: (each.name, each.version))
    here = {each.name for each in packages}
    return _rows(
        (each.name, each.version, each.licence, _why(each, direct, here)) for each in packages
    )


def _rows(rows: Iterable[tuple[str, str, str, str]]) -> str:
    head = "| Package | Version | Licence | Why |\n| --- | --- | --- | --- |\n"
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _why(package: Package, direct: set[str], here: set[str]) -> str:
    if package.name in direct:
        return WHY[package.name]
    parents = _list(package.parents & here or package.parents - {OURSELVES})
    where = re.search(r"sys_platform == 'win32'", package.marker)
    return f"for {parents}{', on Windows' if where else ''}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it differs")
    text = page()
    if parser.parse_args().check:
        return int(PAGE.read_text("utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
