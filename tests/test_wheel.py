"""The wheel: it has what the command line needs, and nothing else, and works without a checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from prisjakt_relay.local import artifacts, project
from prisjakt_relay.local.project import LOCAL_MODULES

ROOT = project.root()
CARRIED = (
    "template.yaml",
    "events/**/*",
    "functions/Makefile",
    "requirements/receiver.txt",
    "requirements/sender.txt",
    "requirements/reconciler.txt",
    "snippet/dist/*",
    "snippet/shopify/prisjakt-relay.liquid",
    "snippet/woocommerce/prisjakt-relay/**/*",
)
LARGEST = 750_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as for a release, but with what is installed here: without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [find_uv_bin(), "build", "--wheel", "--no-build-isolation", "--offline"]
    subprocess.run(  # noqa: S603  # our own build
        [*command, "--python", sys.executable, "--out-dir", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """A folder with the wheel's files, as in site-packages."""
    folder = wheel.parent / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)  # our own
    return folder


def run(installed: Path, program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Without `site`, hence without the checkout that the tests run from."""
    path = [str(installed), sysconfig.get_path("purelib")]
    return subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {path!r}\n{program}"],
        cwd=installed.parent,
        env=os.environ | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def call(installed: Path, *arguments: str, before: str = "", **environment: str) -> Any:
    program = (
        f"{before}\nsys.argv = ['prisjakt-relay', *{arguments!r}]\n"
        "from prisjakt_relay.cli.app import main\nmain()"
    )
    return run(installed, program, **environment)


WITHOUT_EXTRA = f"sys.modules.update(dict.fromkeys({LOCAL_MODULES!r}))"


def test_it_carries_what_the_command_line_reads_byte_for_byte(installed: Path) -> None:
    carried = installed / "prisjakt_relay" / "project"
    files = [file for pattern in CARRIED for file in ROOT.glob(pattern) if file.is_file()]

    assert len(files) > 100
    for file in files:
        assert (carried / file.relative_to(ROOT)).read_bytes() == file.read_bytes(), file
    assert sum(file.is_file() for file in carried.rglob("*")) == len(files)


def test_it_has_the_whole_package_and_nothing_else(wheel: Path) -> None:
    package = ROOT / "functions"
    sources = {
        str(file.relative_to(package))
        for file in (package / "prisjakt_relay").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    others = names - sources
    (metadata,) = {name.split("/")[0] for name in others if ".dist-info/" in name}

    assert sources <= names
    assert all(name.startswith((f"{metadata}/", "prisjakt_relay/project/")) for name in others)
    assert not [name for name in names if "node_modules" in name or "/tests/" in name]
    assert wheel.stat().st_size < LARGEST


def test_its_files_are_found_without_a_checkout(installed: Path) -> None:
    done = run(installed, "from prisjakt_relay.local import project\nprint(project.root())")

    assert done.stdout == f"{installed / 'prisjakt_relay' / 'project'}\n"


@pytest.mark.parametrize("system", ["shopify", "woocommerce"])
def test_it_prints_the_same_snippet(installed: Path, system: str) -> None:
    done = call(installed, "snippet", system, before=WITHOUT_EXTRA)
    liquid = (ROOT / "snippet" / "shopify" / "prisjakt-relay.liquid").read_text("utf-8")
    script = next((ROOT / "snippet" / "dist").glob("capture-*.js")).read_text("utf-8")

    assert (done.returncode, done.stderr.count("\n")) == (0, 1)  # where to paste it
    assert done.stdout == liquid if system == "shopify" else script in done.stdout


def test_without_the_extra_every_command_is_there(installed: Path) -> None:
    """Only what runs the local system needs more than the command line itself."""
    done = run(
        installed,
        f"{WITHOUT_EXTRA}\n"
        "import importlib, pkgutil\n"
        "from prisjakt_relay import cli, operations\n"
        "for package in (cli, operations):\n"
        "    for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):\n"
        "        print(importlib.import_module(module.name).__name__)",
    )

    assert done.returncode == 0, done.stderr
    assert "prisjakt_relay.operations.prisjakt_access" in done.stdout.splitlines()


@pytest.mark.parametrize("command", ["local", "demo"])
def test_without_the_extra_it_says_how_to_get_it(installed: Path, command: str) -> None:
    done = call(installed, command, before=WITHOUT_EXTRA)

    assert done.returncode == 2
    assert done.stderr == (
        f"error: the local system needs {', '.join(LOCAL_MODULES)}: "
        "pip install 'prisjakt-relay[local]'\n"
    )


def test_it_builds_the_same_functions(installed: Path, tmp_path: Path) -> None:
    done = run(
        installed,
        "import json\nfrom prisjakt_relay.local import artifacts\n"
        "print(json.dumps({name: str(folder) for name, folder in artifacts.build().items()}))",
        XDG_CACHE_HOME=str(tmp_path),
        UV_CACHE_DIR=_uv_cache(),
    )
    assert done.returncode == 0, done.stderr
    built = json.loads(done.stdout)

    for name, folder in artifacts.build().items():
        assert Path(built[name]).is_relative_to(tmp_path)
        assert _files(Path(built[name])) == _files(folder)


def _uv_cache() -> str:
    done = subprocess.run(  # noqa: S603  # ours
        [find_uv_bin(), "cache", "dir"], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def _files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
