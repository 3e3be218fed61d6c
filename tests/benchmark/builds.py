"""Collects under build/benchmark/ what the measured processes run.

Each process that measures has a folder of its own there, which goes when it ends: two may run
beside each other. What was built once is not built again.
"""

from __future__ import annotations

import atexit
import functools
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from tests.benchmark.runtime_api import Runtime

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
ALL_BUILDS: Final = ROOT / "build" / "benchmark"
BUILD: Final = ALL_BUILDS / str(os.getpid())
TEXTBOOK: Final = HERE / "textbook"
PYTHON_VERSION: Final = "3.13"
PLATFORM: Final = f"{platform.machine()}-manylinux2014"
RUNTIME: Final = "runtime"
RECEIVER: Final = "ReceiverFunction"
SENDER: Final = "SenderFunction"
RECONCILER: Final = "ReconcilerFunction"

_REQUIREMENTS: Final[Mapping[str, str]] = {"app": "requirements", "sender": "sender-requirements"}


class BuildError(Exception):
    """Something could not be built, and why."""


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


@functools.cache
def build_runtime(python: Path) -> Runtime:
    """An interpreter with empty site-packages, and what Lambda adds, compiled as it is there."""
    folder = new_folder(RUNTIME)
    install(["awslambdaric", "boto3"], folder, python)
    compile_all(folder, python)
    environment = new_folder("python")
    _run([str(python), "-m", "venv", "--without-pip", str(environment)])
    return Runtime(environment / "bin" / "python", folder)


@functools.cache
def build_function(name: str, python: Path) -> Path:
    """One of the template's functions, by the recipe that `sam build` follows."""
    folder = new_folder(name)
    tools = f"{Path(sys.executable).parent}{os.pathsep}{python.parent}"
    _run(
        [
            "make",
            "-C",
            "functions",
            f"build-{name}",
            f"ARTIFACTS_DIR={folder}",
            f"PYTHON_VERSION={python_version(python)}",
            f"PLATFORM={PLATFORM}",
        ],
        {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
    )
    return _with_bytecode(folder, python)


@functools.cache
def build_textbook_plain(module: str, python: Path) -> Path:
    """The textbook's `app` (its receiver) or `sender`, as `sam build` leaves it."""
    folder = new_folder(f"textbook-{module}-plain")
    install(["--requirement", str(TEXTBOOK / f"{_REQUIREMENTS[module]}.in")], folder, python)
    shutil.copy(TEXTBOOK / f"{module}.py", folder)
    return _without_bytecode(folder)


@functools.cache
def build_textbook(module: str, python: Path) -> Path:
    """The same with bytecode."""
    folder = new_folder(f"textbook-{module}")
    shutil.copytree(build_textbook_plain(module, python), folder, dirs_exist_ok=True)
    compile_all(folder, python)
    return _with_bytecode(folder, python)


@functools.cache
def build_empty(python: Path) -> Path:
    folder = new_folder("empty")
    shutil.copy(HERE / "empty.py", folder)
    compile_all(folder, python)
    return _with_bytecode(folder, python)


def versions() -> dict[str, str]:
    """The packages of the runtime and of our functions, as far as this process has built them."""
    folders = [str(BUILD / name) for name in (RUNTIME, RECEIVER, SENDER)]
    found = distributions(path=folders)
    return dict(sorted((package.metadata["Name"], package.version) for package in found))


def install(what: list[str], folder: Path, python: Path) -> None:
    """Packages, without bytecode."""
    # The versions that the project is locked to, so that only the code differs.
    locked = ROOT / "requirements" / "dev.txt"
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--only-binary", ":all:"]
    options = ["--python", str(python), "--target", str(folder), "--constraint", str(locked)]
    _run([*command, *options, *what])


def compile_all(folder: Path, python: Path) -> None:
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


def new_folder(name: str) -> Path:
    folder = _own_folder() / name
    folder.mkdir()
    return folder


@functools.cache
def _own_folder() -> Path:
    for folder in left_behind(ALL_BUILDS):
        shutil.rmtree(folder, ignore_errors=True)
    BUILD.mkdir(parents=True)
    atexit.register(shutil.rmtree, BUILD, ignore_errors=True)
    return BUILD


def left_behind(builds: Path) -> list[Path]:
    """Folders of processes that were ended before they could clear up, or that had our number."""
    if not builds.is_dir():
        return []
    numbered = [folder for folder in builds.iterdir() if folder.name.isdigit()]
    return [each for each in numbered if int(each.name) == os.getpid() or not _lives(each.name)]


def _lives(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


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
