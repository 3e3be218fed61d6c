"""The release archive, as somebody has it who unzips it: whole, the same every time, deployable.

By default one of the functions as built for this host. RELEASE names the folder of `make release`:
then that one, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import urllib3
from samtranslator.yaml_helper import yaml_parse
from tests.conftest import PATIENCE
from tests.operations.measuring import free_port
from tests.release import archive, sources
from tests.test_artifacts import ENVIRONMENT, HANDLERS, RUNTIME
from uv import find_uv_bin

from prisjakt_relay import __version__
from prisjakt_relay.local import artifacts, project
from prisjakt_relay.local.aws import EmbeddedAws, expand
from prisjakt_relay.local.deliveries import RECORDED_UNTIL, load
from prisjakt_relay.local.prisjakt_model import PrisjaktModel
from prisjakt_relay.local.prisjakt_server import create_app, serve
from prisjakt_relay.local.system import sample_shops

ROOT = project.root()
COMPILED = "*.so"


def made() -> dict[str, Path | None]:
    """The file of each archive; None for this host's, which a fixture makes."""
    files: dict[str, Path | None] = {"host": None}
    if folder := os.environ.get("RELEASE"):
        files["release"] = ROOT / folder / f"{archive.NAME}.zip"
    return files


MADE = made()


@pytest.fixture(scope="module")
def host_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive.write(artifacts.build(), tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def host(host_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unzipped(host_archive, tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="module", params=sorted(MADE))
def folder(
    request: pytest.FixtureRequest, host: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Each archive, unzipped elsewhere."""
    file = MADE[request.param]
    return host if file is None else unzipped(file, tmp_path_factory.mktemp("release"))


def unzipped(file: Path, folder: Path) -> Path:
    with zipfile.ZipFile(file) as opened:
        opened.extractall(folder)  # our own
    return folder / archive.NAME


def test_it_holds_what_its_readme_says(folder: Path) -> None:
    """Nothing of the checkout but what somebody who deploys needs."""
    top = {entry.name for entry in folder.iterdir()}

    assert top == {
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "SHA256SUMS",
        "functions",
        "sbom",
        "snippet",
        "template.yaml",
        "tool",
    }
    assert {entry.name for entry in (folder / "functions").iterdir()} == set(HANDLERS)
    assert [entry.name for entry in (folder / "tool").iterdir()] == [
        f"prisjakt_relay-{__version__}-py3-none-any.whl"
    ]
    readme = (folder / "README.md").read_text("utf-8")
    assert "sam deploy --guided" in readme
    assert f"{archive.NAME}.zip" in readme
    assert not re.search(r"\]\((?!https://)", readme), "a link into the checkout leads nowhere"


def test_every_file_is_in_the_checksums(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text("utf-8").splitlines()
    listed = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    there = {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and file.name != "SHA256SUMS"
    }

    assert listed == there


def test_the_archive_has_a_checksum_beside_it(host_archive: Path) -> None:
    (line,) = (host_archive.parent / "SHA256SUMS").read_text("utf-8").splitlines()

    assert line == f"{hashlib.sha256(host_archive.read_bytes()).hexdigest()}  {host_archive.name}"


def test_one_build_makes_the_same_bytes_twice(host_archive: Path, tmp_path: Path) -> None:
    again = archive.write(artifacts.build(), tmp_path)

    assert again.read_bytes() == host_archive.read_bytes()


def test_a_changed_file_is_another_archive() -> None:
    """Else the comparison above would say nothing."""
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    before = archive.zipped({"a": b"1", "b": b"2"}, moment)

    assert archive.zipped({"b": b"2", "a": b"1"}, moment) == before
    assert archive.zipped({"a": b"1", "b": b"3"}, moment) != before


def test_the_time_of_a_release_is_that_of_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795218564")
    assert sources.commit_time() == 1_795_218_564
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert sources.commit_time() == sources.EARLIEST
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert sources.commit_time() >= sources.EARLIEST


def test_the_template_differs_from_the_checkout_s_in_the_code_alone(folder: Path) -> None:
    """Also in what AWS makes of it: the same resources, parameters and outputs."""
    ours, theirs = (
        yaml_parse((place / "template.yaml").read_text("utf-8")) for place in (ROOT, folder)
    )
    for name in HANDLERS:
        code = theirs["Resources"][name]["Properties"].pop("CodeUri")
        assert (folder / code).is_dir()
        assert "BuildMethod" not in theirs["Resources"][name].get("Metadata", {})
        del ours["Resources"][name]["Metadata"]

    assert theirs == ours
    texts = [(place / "template.yaml").read_text("utf-8") for place in (ROOT, folder)]
    expanded = [expand(text) for text in texts]
    assert expanded[0]["Resources"].keys() == expanded[1]["Resources"].keys()


def test_a_template_whose_functions_cannot_be_found_is_refused() -> None:
    with pytest.raises(SystemExit, match="0 functions can be packaged"):
        archive.packaged("Resources: {}\n")


def python(version: str) -> str:
    """An interpreter of that version, as functions/Makefile finds it."""
    for command in (
        [find_uv_bin(), "python", "find", "--no-project", version],
        ["sh", "-c", f'echo "$(pyenv prefix {version})/bin/python"'],
    ):
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and Path(done.stdout.strip()).is_file():
            return done.stdout.strip()
    raise AssertionError(f"no Python {version}")


@pytest.mark.parametrize("function", HANDLERS)
@pytest.mark.parametrize("which", sorted(MADE))
def test_the_interpreter_of_its_bytecode_imports_each_function(
    which: str, function: str, host: Path, tmp_path: Path
) -> None:
    """Without anything but the archive and the runtime's own packages. What is compiled for arm64
    is replaced by the same versions for this host."""
    file = MADE[which]
    there = unzipped(file, tmp_path / "archive") if file else host
    place = there / "functions" / function
    interpreter = python("3.13") if file else sys.executable
    tag = "cpython-313" if file else sys.implementation.cache_tag
    runtime, fetched = tmp_path / "runtime", tmp_path / "fetched"
    runtime.mkdir()
    site = Path(urllib3.__file__).parents[1]
    for name in RUNTIME:
        (runtime / name).symlink_to(site / name)
    compiled = {library.relative_to(place).parts[0] for library in place.rglob(COMPILED)}
    path = [str(place), str(runtime)]
    if file and compiled:
        command = [find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--no-deps"]
        subprocess.run(  # noqa: S603
            [
                *command,
                "--require-hashes",
                "--only-binary=:all:",
                f"--python={interpreter}",
                f"--target={fetched}",
                f"--requirement={place / 'requirements.txt'}",
            ],
            check=True,
        )
        for each in fetched.iterdir():
            if each.name not in compiled:
                each.rename(tmp_path / each.name)
        path.insert(0, str(fetched))
    done = subprocess.run(  # noqa: S603  # our own program
        [
            interpreter,
            *("-I", "-S", "-B", "-c"),
            f"import sys; sys.path[:0] = {path!r}; import {HANDLERS[function]} as app; "
            "print(app.handler.__name__, app.__cached__)",
        ],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("handler ")
    assert tag in done.stdout


@pytest.fixture(scope="module")
def prisjakt() -> Iterator[tuple[PrisjaktModel, str]]:
    model = PrisjaktModel(clock=lambda: datetime.now(UTC), new_id=lambda: str(uuid.uuid4()))
    server = serve(create_app(model), 0)
    yield model, server.base_address
    server.close()


def test_a_delivery_goes_through_what_was_unzipped(
    host: Path, prisjakt: tuple[PrisjaktModel, str]
) -> None:
    """Its template and its functions, in an embedded AWS: from webhook to Prisjakt."""
    model, address = prisjakt
    with EmbeddedAws(free_port() + 2) as aws:
        sample = load("shopify", "orders-create-paid")
        document = sample_shops()[sample.shop]
        aws.put_shop(sample.shop, document)
        aws.deploy(
            host / "template.yaml",
            {function: host / "functions" / function for function in HANDLERS},
            parameters={"PrisjaktUrl": address},
            time_scale=0.05,
            webhook_address="http://127.0.0.1/webhooks",
        )
        by = datetime.now(UTC).replace(microsecond=0) - RECORDED_UNTIL
        delivery = sample.moved(by, document["signing_secrets"][0])

        answer = urllib3.request(
            "POST",
            aws.endpoint + aws.webhooks_path() + delivery.path,
            body=delivery.body,
            headers=urllib3.HTTPHeaderDict(delivery.headers),
            retries=False,
            timeout=30,
        )
        assert (answer.status, answer.json()["outcome"]) == (200, "queued")

        events = _events(model)
    assert [event["external_event_id"] for event in events] == [answer.json()["order_reference"]]


def _events(model: PrisjaktModel) -> list[dict[str, Any]]:
    end = time.monotonic() + PATIENCE
    while not model.events:
        assert time.monotonic() < end, "nothing came to Prisjakt"
        time.sleep(0.05)
    return [{"external_event_id": each.external_event_id} for each in model.events.values()]


def test_the_bills_of_materials_are_in_it(folder: Path) -> None:
    for name in ("functions", "tool"):
        bill = json.loads((folder / "sbom" / f"{name}.cdx.json").read_text("utf-8"))
        assert bill["metadata"]["component"]["version"] == __version__
