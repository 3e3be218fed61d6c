"""A section that fails does not take the others with it, and nothing is measured for no reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.benchmark import __main__ as benchmark
from tests.benchmark import builds
from tests.benchmark.figures import Bench, Figure, Section
from tests.benchmark.runtime_api import FunctionError

FIGURE = Figure("size", 1, "bytes", key="size", target=2)


def good(_: Bench) -> Section:
    return Section([FIGURE])


def failing(_: Bench) -> Section:
    raise FunctionError("the function has ended")


def broken(_: Bench) -> Section:
    raise KeyError("Format")


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where a full run writes to; of three sections two fail."""
    file = tmp_path / "build" / "bench.json"
    monkeypatch.setattr(benchmark, "WHOLE", file)
    sections = {"failing": failing, "broken": broken, "good": good}
    monkeypatch.setattr(benchmark, "SECTIONS", sections)
    monkeypatch.setattr(builds, "find_python", lambda given: given or Path(sys.executable))
    return file


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
    return benchmark.main()


def test_what_was_measured_is_written_though_other_sections_failed(
    whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 2

    document = json.loads(whole.read_bytes())
    assert document["size"] == 1
    assert document["failed"]["failing"] == "FunctionError: the function has ended"
    assert "KeyError: 'Format'" in document["failed"]["broken"]
    assert "Not measured: failing: FunctionError" in capsys.readouterr().out


def test_a_part_of_the_figures_does_not_take_the_place_of_all(
    whole: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run(monkeypatch, "--only", "good") == 0
    assert not whole.exists()

    asked_for = tmp_path / "part.json"
    assert run(monkeypatch, "--only", "good", "--json", str(asked_for)) == 0
    assert json.loads(asked_for.read_bytes())["failed"] == {}


def test_what_ended_processes_have_left_is_removed_and_nobody_elses(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:  # our interpreter
        ended.wait()
    for name in (str(ended.pid), str(os.getppid()), str(os.getpid()), "reports"):
        (tmp_path / name).mkdir()

    left = {folder.name for folder in builds.left_behind(tmp_path)}

    assert left == {str(ended.pid), str(os.getpid())}
    assert builds.left_behind(tmp_path / "nothing") == []
