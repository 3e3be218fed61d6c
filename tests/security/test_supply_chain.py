"""Where code comes from: locked, by hash, a week old; and what CI may do."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from prisjakt_relay.local import project

ROOT = project.root()
LOCKED = sorted((ROOT / "requirements").glob("*.txt"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def requirements(path: Path) -> list[str]:
    """Each with its options, on one line."""
    text = path.read_text("utf-8").replace("\\\n", " ")
    return [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]


@pytest.mark.parametrize("path", LOCKED, ids=lambda path: path.stem)
def test_every_dependency_is_one_version_with_its_hashes(path: Path) -> None:
    """So that no other file of the same name, from wherever, can take its place: neither a changed
    release nor a package of that name on another registry."""
    found = requirements(path)

    assert found
    for line in found:
        assert re.match(r"[A-Za-z0-9._-]+==[^ ;]+ ", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line), line
        for elsewhere in ("--index-url", "--extra-index-url", "--find-links", "://", " -e "):
            assert elsewhere not in line, line


# What is installed without hashes: the end of the line, and how SECURITY.md names it.
UNHASHED: Final = {
    "--from aws-sam-cli==$(SAM_VERSION) sam": "`aws-sam-cli`",
    '--constraint requirements/dev.txt "$$(echo build/wheel/*.whl)[local]"': "`make test-wheel`",
}
OURSELVES: Final = "--no-deps --no-build-isolation --python $(BIN)/python --editable ."


def installations(path: str) -> list[str]:
    """Every line that fetches packages of Python, each on one line."""
    text = (ROOT / path).read_text("utf-8").replace("\\\n", " ")
    fetching = r"\bpip3? (install|sync|download)|\buvx\b|\buv\"? (tool|run|add|sync)\b|\bpipx\b"
    return [line.strip() for line in text.splitlines() if re.search(fetching, line)]


@pytest.mark.parametrize("path", ["Makefile", ".ci/run", "functions/Makefile"])
def test_hashes_are_asked_for_wherever_something_is_installed(path: str) -> None:
    """What is excepted is named on the page."""
    security = (ROOT / "SECURITY.md").read_text("utf-8")

    for line in installations(path):
        if "--require-hashes" in line or line.endswith(OURSELVES):
            continue
        named = [name for end, name in UNHASHED.items() if line.endswith(end)]
        assert named, line
        assert named[0] in security


def test_no_exception_is_left_over() -> None:
    lines = installations("Makefile")

    for end in (*UNHASHED, OURSELVES):
        assert any(line.endswith(end) for line in lines), end


def test_functions_and_what_installs_the_rest_run_no_code_to_be_built() -> None:
    """To build a package would fetch what builds it, without hashes."""
    (first,) = [line for line in installations("Makefile") if "requirements/uv.txt" in line]
    (deployed,) = installations("functions/Makefile")

    for line in (first, deployed):
        assert "--only-binary :all:" in line


def test_what_installs_the_rest_is_locked_once() -> None:
    """Else the first installation would be undone by the second."""
    (first,) = requirements(ROOT / "requirements" / "uv.txt")

    assert first in requirements(ROOT / "requirements" / "dev.txt")


def test_a_new_release_waits_a_week() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

    assert settings["tool"]["uv"]["exclude-newer"] == "7 days"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_ci_runs_actions_of_one_commit_and_may_do_next_to_nothing(path: Path) -> None:
    """A tag can be moved, a commit cannot; who takes over a step gets no right to write."""
    text = path.read_text("utf-8")
    used = re.findall(r"uses: *(\S+)", text)

    assert used
    assert all(re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", each) for each in used), used
    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    assert "pull_request_target" not in text
    assert not re.search(r"(contents|packages|id-token|actions): write", text)
    assert "${{ github.event" not in text, "what others write is no part of a script"


def test_the_pages_of_reports_run_no_script_and_escape_all_they_show() -> None:
    folder = ROOT / "functions" / "prisjakt_relay" / "operations" / "pages"
    base = (folder / "base.html").read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', base)

    assert policy is not None
    assert policy[1].startswith("default-src 'none';")
    assert "script-src" not in policy[1]
    for page in folder.glob("*.html"):
        text = page.read_text("utf-8")
        assert re.search(r"\|\s*safe\b", text) is None, page.name
        assert "autoescape false" not in text, page.name
        assert "<script" not in text, page.name
