"""Collects under build/benchmark/ what the measured processes run."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from runtime_api import Runtime

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
BUILD: Final = ROOT / "build" / "benchmark"
PYTHON_VERSION: Final = "3.13"
PLATFORM: Final = f"{platform.machine()}-manylinux2014"


class BuildError(Exception):
    """Something could not be built, and why."""


@dataclass(frozen=True)
class Artifacts:
    """The folders that a Lambda process would find as /var/task."""

    empty: Path
    ours: Path
    textbook: Path
    textbook_plain: Path


def find_python(given: Path | None, version: str = PYTHON_VERSION) -> Path:
    """The given interpreter, or one of the Lambda runtime's version, if it really starts."""
    if given is not None:
        if not python_version(given):
            raise BuildError(f"{given} is not a Python that starts")
        return given.absolute()
    prefix = _output(["pyenv", "prefix", version])
    candidates = (
        _output([sys.executable, "-m", "uv", "python", "find", "--no-project", version]),
        f"{prefix}/bin/python" if prefix else "",
        shutil.which(f"python{version}") or "",
    )
    for candidate in candidates:
        if candidate and python_version(Path(candidate)) == version:
            return Path(candidate)
    raise BuildError(f"no Python {version} found; name one with --python")


def python_version(python: Path) -> str:
    """E.g. 3.13, or nothing for what does not start."""
    return _output([str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])


def build_runtime(python: Path) -> Runtime:
    """An interpreter with empty site-packages, and what Lambda adds, compiled as it is there."""
    folder = _anew("runtime")
    _install(["awslambdaric", "boto3"], folder, python)
    _compile(folder, python)
    environment = _anew("python")
    _run([str(python), "-m", "venv", "--without-pip", str(environment)])
    return Runtime(environment / "bin" / "python", folder)


def build_artifacts(python: Path) -> Artifacts:
    """The receiver as deployed, the textbook's with and without bytecode, an empty one."""
    empty = _anew("empty")
    shutil.copy(HERE / "empty.py", empty)
    _compile(empty, python)

    textbook = _anew("textbook")
    _install(["--requirement", str(HERE / "textbook" / "requirements.in")], textbook, python)
    shutil.copy(HERE / "textbook" / "app.py", textbook)
    plain = _anew("textbook-plain")
    shutil.copytree(textbook, plain, dirs_exist_ok=True)
    _compile(textbook, python)

    return Artifacts(
        empty=_with_bytecode(empty, python),
        ours=_with_bytecode(_build_ours(python), python),
        textbook=_with_bytecode(textbook, python),
        textbook_plain=_without_bytecode(plain),
    )


def versions(*folders: Path) -> dict[str, str]:
    """The packages that were installed into these folders."""
    found = distributions(path=[str(folder) for folder in folders])
    return {package.metadata["Name"]: package.version for package in found}


def _build_ours(python: Path) -> Path:
    folder = _anew("ours")
    tools = f"{Path(sys.executable).parent}{os.pathsep}{python.parent}"
    _run(
        [
            "make",
            "-C",
            "functions",
            "build-ReceiverFunction",
            f"ARTIFACTS_DIR={folder}",
            f"PYTHON_VERSION={python_version(python)}",
            f"PLATFORM={PLATFORM}",
        ],
        {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
    )
    return folder


def _install(what: list[str], folder: Path, python: Path) -> None:
    # The versions that the project is locked to, so that only the code differs.
    locked = ROOT / "requirements" / "dev.txt"
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--only-binary", ":all:"]
    options = ["--python", str(python), "--target", str(folder), "--constraint", str(locked)]
    _run([*command, *options, *what])


def _compile(folder: Path, python: Path) -> None:
    command = [str(python), "-m", "compileall", "-q", "-j", "0"]
    _run([*command, "--invalidation-mode", "unchecked-hash", str(folder)])


def _with_bytecode(folder: Path, python: Path) -> Path:
    tag = f"cpython-{python_version(python).replace('.', '')}"
    for source in folder.rglob("*.py"):
        if not (source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc").exists():
            raise BuildError(f"{source.relative_to(BUILD)} has no bytecode of {tag}")
    return folder


def _without_bytecode(folder: Path) -> Path:
    for compiled in folder.rglob("*.pyc"):
        raise BuildError(f"{compiled.relative_to(BUILD)} should not be there")
    return folder


def _anew(name: str) -> Path:
    folder = BUILD / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _run(command: list[str], environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(  # noqa: S603
        command,
        cwd=ROOT,
        env={**os.environ, "UV_PYTHON_DOWNLOADS": "never", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)}\n{done.stdout}{done.stderr}".rstrip())


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            command,
            env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
