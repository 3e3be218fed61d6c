"""What the commands of this package print on, and the head of the JSON documents they write."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from tests.benchmark import builds

WIDTH: Final = 130  # where the output is no terminal


def new_console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH)


def error_text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def head(python: Path | None, load: float) -> dict[str, object]:
    """When, of what and on what it was measured, and with which packages."""
    return {**origin(python, load), "versions": builds.versions()}


def origin(python: Path | None, load: float) -> dict[str, object]:
    """When, of what and on what it was measured; `load` is the machine's load average before."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": {
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
            "system": platform.system(),
            "load": load,
        },
        "python": None if python is None else builds.python_version(python),
    }


def write_json(file: Path, document: Mapping[str, object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=2, default=str) + "\n", encoding="utf-8")


def commit() -> str:
    """What is measured or made; marked where the working copy is not what is committed."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return "unknown"
    return f"{commit}-dirty" if _git("status", "--porcelain") else commit


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "--no-optional-locks", *arguments],  # noqa: S607
            cwd=builds.ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
