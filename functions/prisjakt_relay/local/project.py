"""Where the project's own files are: the template, the sample deliveries, the artifacts' recipe."""

from __future__ import annotations

from pathlib import Path

from prisjakt_relay.errors import SetupError


def root() -> Path:
    """The checkout that this package runs from."""
    folder = Path(__file__).resolve().parents[3]
    if not (folder / "template.yaml").is_file():
        raise SetupError("the local system needs the project's checkout; clone it and run make")
    return folder
