"""The tutorial is followed to the letter, in a copy of the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from tests.docs.pages import ROOT, text_of

PAGE: Final = text_of("docs/contribute.md")
PLATFORMS: Final = "functions/prisjakt_relay/platforms/__init__.py"
MARKERS: Final = "tests/privacy/test_markers.py"
CONTRACT: Final = "tests/platforms/test_contract.py"
COPIED: Final = ("functions/prisjakt_relay", "events", "tests", "docs", "snippet/dist")


def block(mark: str) -> str:
    """The code behind a mark on the page."""
    (found,) = re.findall(rf"<!-- {mark} -->\n.*?```python\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tutorial")
    for path in COPIED:
        ignored = shutil.ignore_patterns("__pycache__", "local-artifacts")
        shutil.copytree(ROOT / path, folder / path, ignore=ignored)
    for name in ("pyproject.toml", "template.yaml", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own page
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": f"{folder / 'functions'}:{folder}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def run_tests(folder: Path, *paths: str) -> subprocess.CompletedProcess[str]:
    return python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths)


def add(file: Path, before: str, addition: str) -> None:
    text = file.read_text("utf-8")
    assert text.count(before) == 1, before
    file.write_text(text.replace(before, f"{before}{addition}"), "utf-8")


def test_every_step_of_the_tutorial_does_what_it_says(copy: Path) -> None:
    """From the first file to a platform that keeps the contract, in the form that is wanted."""
    kiosk, oddities = "functions/prisjakt_relay/platforms/kiosk.py", "tests/platforms/test_kiosk.py"

    (copy / kiosk).write_text(block(f"file: {kiosk}"), "utf-8")
    listed = copy / PLATFORMS
    add(listed, "import custom,", " kiosk,")
    add(listed, '    "custom": custom.PLATFORM,\n', block("line of PLATFORMS"))
    lacking = run_tests(copy, CONTRACT)
    assert lacking.returncode == 1, lacking.stderr
    assert "test_every_platform_has_samples_of_what_matters" in lacking.stdout

    script = copy / "once.py"
    script.write_text(block("run once"), "utf-8")
    assert python(copy, str(script)).returncode == 0
    script.unlink()
    done = run_tests(copy, CONTRACT)
    assert done.returncode == 0, done.stdout
    assert (
        "kiosk/made-returned"
        in python(copy, "-m", "pytest", "--collect-only", "-q", CONTRACT).stdout
    )

    (copy / oddities).write_text(block(f"file: {oddities}"), "utf-8")
    covered = ["--cov=prisjakt_relay.platforms.kiosk", "--cov-branch", "--cov-report=term-missing"]
    at_last = run_tests(copy, CONTRACT, oddities, *covered)
    assert at_last.returncode == 0, at_last.stdout

    markers = copy / MARKERS
    add(markers, '        "state": "read: whether it is paid",\n    },\n', block("entry of READ"))
    add(markers, "HEADERS: Final = {\n", '    "x-kiosk-event",\n    "x-kiosk-signature",\n')
    known = run_tests(copy, MARKERS, "-k", "nothing_is_spared")
    assert known.returncode == 0, known.stdout

    for tool in (["check"], ["format", "--check"]):
        checked = python(copy, "-m", "ruff", *tool, kiosk, oddities)
        assert checked.returncode == 0, checked.stdout
