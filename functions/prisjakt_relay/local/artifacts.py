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

from prisjakt_relay.errors import SetupError
from prisjakt_relay.local import project

FUNCTIONS: Final = ("ReceiverFunction", "SenderFunction")


def build() -> dict[str, Path]:
    """Folder by logical id. Built anew when a source or a locked requirement has changed."""
    root = project.root()
    kept = root / "build" / "local"
    folder = kept / _digest(root)
    if not folder.is_dir():
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept) as scratch:
            for function in FUNCTIONS:
                _make(root, function, Path(scratch) / "artifacts" / function)
            try:
                (Path(scratch) / "artifacts").rename(folder)
            except OSError:
                if not folder.is_dir():  # else somebody built the same at the same time
                    raise
        for old in kept.iterdir():
            if old != folder and not old.name.startswith("tmp"):
                shutil.rmtree(old, ignore_errors=True)
    return {function: folder / function for function in FUNCTIONS}


def _digest(root: Path) -> str:
    digest = hashlib.sha256(f"{sys.version} {platform.machine()}".encode())
    sources = [*(root / "functions").rglob("*.py"), *(root / "requirements").glob("*.txt")]
    for source in sorted([*sources, root / "functions" / "Makefile"]):
        digest.update(f"{source.relative_to(root)}\0".encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _make(root: Path, function: str, target: Path) -> None:
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [
        "make",
        "--silent",
        f"build-{function}",
        f"ARTIFACTS_DIR={target}",
        f"PYTHON={sys.executable}",
        f"PYTHON_VERSION={minor}",
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
