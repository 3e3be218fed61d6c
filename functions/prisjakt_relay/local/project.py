"""Where the project's own files are: the template, the sample deliveries, the artifacts' recipe.

In a checkout they are where everybody sees them; the wheel carries them in the package, in a folder
with the same places.
"""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from os import environ
from pathlib import Path
from typing import Final

from prisjakt_relay.errors import SetupError

# A module of each requirement of the extra `local`.
LOCAL_MODULES: Final = (
    "aws_lambda_powertools",
    "flask",
    "graphql",
    "ministack",
    "samtranslator",
    "uv",
    "waitress",
    "yaml",
)


def package() -> Path:
    """The folder of the package `prisjakt_relay`."""
    return Path(__file__).resolve().parents[1]


def checkout() -> Path | None:
    """The checkout that this package runs from, if it does."""
    folder = package().parents[1]
    return folder if (folder / "template.yaml").is_file() else None


def root() -> Path:
    """The checkout, or else the folder of the installed package that stands in for it."""
    folder = checkout() or package() / "project"
    if not (folder / "template.yaml").is_file():
        raise SetupError(f"{folder} has no template.yaml: install prisjakt-relay anew")
    return folder


def cache() -> Path:
    """Where to keep what takes long to make: `build` in a checkout, else the user's own cache."""
    if folder := checkout():
        return folder / "build"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "prisjakt-relay"
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prisjakt-relay"


def require_local_extra() -> None:
    """Raises `SetupError` where something that the local system needs is not installed."""
    missing = [module for module in LOCAL_MODULES if find_spec(module) is None]
    if missing:
        raise SetupError(
            f"the local system needs {', '.join(missing)}: pip install 'prisjakt-relay[local]'"
        )
    if shutil.which("make") is None:
        raise SetupError(
            "the local system needs make, which builds the functions: apt install make, "
            "or on macOS xcode-select --install"
        )
