"""Pages that stand alone: one file each, without scripts, that asks the network for nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from prisjakt_relay.errors import SetupError

_FOLDER: Final = Path(__file__).parent / "pages"


def render(template: str, **values: object) -> str:
    """A page of the folder `pages`; whatever is put into it is escaped.

    Every page that extends `base.html` needs `stack` (the `Stack`), `shop` (a name or None) and
    `made_at`, and fills the blocks `title` and `content`.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["moment"] = _moment
    return environment.get_template(template).render(**values)


def require_folder(path: Path) -> None:
    """Raise `SetupError` where no file can be written at this path."""
    if not path.parent.is_dir():
        raise SetupError(f"--out {path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise SetupError(f"--out {path}: that is a folder; name a file in it")


def write(text: str, path: Path) -> None:
    """Write the file whole or not at all; what is no file, a pipe for example, gets it as it is."""
    require_folder(path)
    if path.exists() and not path.is_file():
        path.write_text(text, "utf-8")
        return
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, "utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise SetupError(f"--out {path}: {error.strerror}; name another place") from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _moment(when: datetime | None) -> str:
    """`2026-11-21 10:31 UTC`"""
    return "" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
