"""`make sbom`: bills of materials (CycloneDX) of the deployed functions and of the tool.

`python -m tests.release.bill_of_materials [--out FOLDER]`. The same commit makes the same bytes.
"""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from tests.benchmark.output import commit
from tests.release.packages import FUNCTIONS, OURSELVES, ROOT, Package, asked_for, locked, tool
from tests.release.sources import commit_time

from prisjakt_relay import __version__

# So that a bill's number follows from what it says, instead of from chance.
_NUMBERS: Final = uuid.UUID("0d9a7be0-5a9e-4f0e-9b52-3f1f3e5d7c11")


def bills(made_at: datetime) -> dict[str, str]:
    """File name to JSON: one of what is deployed, one of what runs on the operator's machine."""
    deployed: dict[tuple[str, str], tuple[Package, list[str]]] = {}
    for function in FUNCTIONS:
        for package in locked(function):
            key = package.name, package.version
            known, functions = deployed.get(key, (package, []))
            needed = replace(known, parents=known.parents | package.parents)
            deployed[key] = needed, [*functions, function]
    direct = {name for function in FUNCTIONS for name in asked_for(function)}
    runs_in = {package.name: functions for package, functions in deployed.values()}
    return {
        "functions.cdx.json": _bill(
            f"{OURSELVES}-functions",
            [package for package, _ in deployed.values()],
            direct,
            made_at,
            runs_in,
        ),
        "tool.cdx.json": _bill(OURSELVES, tool(), asked_for("tool"), made_at, {}),
    }


def _bill(
    name: str,
    packages: Iterable[Package],
    direct: set[str],
    made_at: datetime,
    runs_in: Mapping[str, list[str]],
) -> str:
    ours = Component(
        name=name,
        version=__version__,
        type=ComponentType.APPLICATION,
        bom_ref=f"{name}@{__version__}",
        licenses=[LicenseFactory().make_from_string("MIT")],
        properties=[Property(name=f"{OURSELVES}:commit", value=commit())],
    )
    packages = sorted(packages, key=lambda each: (each.name, each.version))
    components = {each: _component(each, runs_in.get(each.name, [])) for each in packages}
    content = f"{name} {__version__} {[(each.name, each.version) for each in packages]}"
    bom = Bom(
        components=components.values(),
        serial_number=uuid.uuid5(_NUMBERS, content),
        metadata=BomMetaData(component=ours, timestamp=made_at),
    )
    bom.register_dependency(ours, [components[each] for each in packages if each.name in direct])
    for parent in packages:
        needed = [components[each] for each in packages if parent.name in each.parents]
        bom.register_dependency(components[parent], needed)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _component(package: Package, functions: list[str]) -> Component:
    """Its hashes are those of every file that the lock allows: each platform takes one of them."""
    properties = [Property(name=f"{OURSELVES}:runs-in", value=each) for each in functions]
    if package.marker:
        properties.append(Property(name=f"{OURSELVES}:marker", value=package.marker))
    properties += [
        Property(name=f"{OURSELVES}:locked-sha256", value=each)
        for each in (package.hashes if len(package.hashes) > 1 else ())
    ]
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{package.name}@{package.version}",
        purl=PackageURL("pypi", name=package.name, version=package.version),
        licenses=[LicenseFactory().make_from_string(package.licence)],
        hashes=[
            HashType(alg=HashAlgorithm.SHA_256, content=each)
            for each in (package.hashes if len(package.hashes) == 1 else ())
        ],
        properties=properties,
    )


def write(folder: Path, made_at: datetime) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, text in bills(made_at).items():
        (folder / name).write_text(text, encoding="utf-8")
        files.append(folder / name)
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "sbom")
    made_at = datetime.fromtimestamp(commit_time(), UTC)
    for file in write(parser.parse_args().out, made_at):
        print(file)  # noqa: T201


if __name__ == "__main__":
    main()
