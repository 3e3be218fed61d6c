"""The functions' artifacts for this host, by the same recipe that `sam build` follows."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from uv import find_uv_bin

from prisjakt_relay.errors import SetupError
from prisjakt_relay.local import project

FUNCTIONS: Final = ("ReceiverFunction", "SenderFunction", "ReconcilerFunction")

_RECIPE: Final = (
    "functions/Makefile",
    "requirements/receiver.txt",
    "requirements/sender.txt",
    "requirements/reconciler.txt",
)
_NEVER_DEPLOYED: Final = ("cli", "local", "operations")


def build() -> dict[str, Path]:
    """Folder by logical id. Built anew when a source or a locked requirement has changed."""
    kept = project.cache() / "local"
    folder = kept / _digest()
    if not folder.is_dir():
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept) as scratch:
            for function in FUNCTIONS:
                _make(function, Path(scratch) / "artifacts" / function)
            try:
                (Path(scratch) / "artifacts").rename(folder)
            except OSError:
                if not folder.is_dir():  # else somebody built the same at the same time
                    raise
        for old in kept.iterdir():
            if old != folder and not old.name.startswith("tmp"):
                shutil.rmtree(old, ignore_errors=True)
    return {function: folder / function for function in FUNCTIONS}


def _digest() -> str:
    digest = hashlib.sha256(f"{sys.version} {platform.machine()}".encode())
    for base, files in ((project.root(), _RECIPE), (project.package(), _deployed())):
        for file in files:
            digest.update(f"{file}\0".encode())
            digest.update((base / file).read_bytes())
    return digest.hexdigest()[:16]


def _deployed() -> list[Path]:
    """What the recipe may take of the package."""
    package = project.package()
    files = sorted(file.relative_to(package) for file in package.rglob("*.py"))
    return [file for file in files if file.parts[0] not in _NEVER_DEPLOYED]


def _make(function: str, target: Path) -> None:
    root = project.root()
    command = [
        "make",
        "--silent",
        f"build-{function}",
        f"ARTIFACTS_DIR={target}",
        f"ROOT={root}",
        f"SOURCE={project.package()}",
        f"UV={find_uv_bin()}",
        f"PYTHON={sys.executable}",
        f"PYTHON_VERSION={sys.version_info.major}.{sys.version_info.minor}",
        "PLATFORM=",
    ]
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(  # noqa: S603  # our own recipe
        command,
        cwd=root / "functions",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SetupError(f"building {function} failed: {done.stderr.strip()[-800:]}")
