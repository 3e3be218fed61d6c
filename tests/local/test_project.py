"""Where the project finds its own files, and what it needs for the local system."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from prisjakt_relay.errors import SetupError
from prisjakt_relay.local import project


def test_in_a_checkout_everything_is_where_everybody_sees_it() -> None:
    root = project.root()

    assert root == Path(__file__).parents[2]
    assert project.cache() == root / "build"
    assert project.package() == root / "functions" / "prisjakt_relay"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's folder where there is no checkout."""
    package = tmp_path / "site-packages" / "prisjakt_relay"
    package.mkdir(parents=True)
    monkeypatch.setattr(project, "package", lambda: package)
    return package


def test_elsewhere_it_is_a_folder_of_the_package(installed: Path) -> None:
    with pytest.raises(SetupError, match=r"has no template\.yaml: install prisjakt-relay anew"):
        project.root()

    (installed / "project").mkdir()
    (installed / "project" / "template.yaml").touch()

    assert project.root() == installed / "project"


@pytest.mark.parametrize(
    ("system", "variable", "kept"),
    [
        ("linux", "/somewhere", "/somewhere/prisjakt-relay"),
        ("linux", "", "/home/me/.cache/prisjakt-relay"),
        ("darwin", "", "/home/me/Library/Caches/prisjakt-relay"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_what_takes_long_is_kept_in_the_users_cache(
    system: str, variable: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setenv("XDG_CACHE_HOME", variable)
    monkeypatch.setenv("HOME", "/home/me")

    assert project.cache() == Path(kept)


def test_a_module_of_every_requirement_of_the_extra_is_looked_for() -> None:
    settings = tomllib.loads((project.root() / "pyproject.toml").read_text("utf-8"))
    wanted = {
        re.split("[>=<]", requirement)[0]
        for requirement in settings["project"]["optional-dependencies"]["local"]
    }
    distributions = packages_distributions()
    found = [
        {name.lower().replace("_", "-") for name in distributions[module]}
        for module in project.LOCAL_MODULES
    ]

    assert len(found) == len(wanted)
    for requirement in wanted:
        assert any(requirement in names for names in found), requirement


def test_all_that_is_missing_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flask", None)
    monkeypatch.setitem(sys.modules, "waitress", None)

    with pytest.raises(SetupError) as caught:
        project.require_local_extra()

    assert str(caught.value) == (
        "the local system needs flask, waitress: pip install 'prisjakt-relay[local]'"
    )


def test_without_make_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(SetupError, match="needs make, which builds the functions: apt install"):
        project.require_local_extra()
