"""`make release`: dist/prisjakt-relay-VERSION.zip, which `sam deploy --guided` takes as it is.

`python -m tests.release.archive [--artifacts FOLDER] [--out FOLDER]`. The same commit makes the
same bytes: every file bears the commit's time, and they stand in the order of their names.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.benchmark.output import commit
from tests.release.bill_of_materials import bills
from tests.release.sources import commit_time
from uv import find_uv_bin

from prisjakt_relay import __version__
from prisjakt_relay.local import project
from prisjakt_relay.local.artifacts import FUNCTIONS

ROOT: Final = project.root()
NAME: Final = f"prisjakt-relay-{__version__}"
SUMS: Final = "SHA256SUMS"

_FUNCTION: Final = re.compile(
    r"^  (?P<name>\w+):\n"
    r"    Type: AWS::Serverless::Function\n"
    r"    Metadata:\n"
    r"      BuildMethod: makefile\n"
    r"    Properties:\n",
    re.MULTILINE,
)
_PACKAGED: Final = (
    r"  \g<name>:"
    "\n"
    r"    Type: AWS::Serverless::Function"
    "\n"
    r"    Properties:"
    "\n"
    r"      CodeUri: functions/\g<name>/"
    "\n"
)
_LINK: Final = re.compile(r"!?\[([^\]]+)\]\((?!https://)[^)]+\)")
_PLUGIN: Final = "snippet/woocommerce/prisjakt-relay"

Files = Mapping[str, bytes]


def packaged(template: str) -> str:
    """The template with the built functions in place of the recipe that builds them."""
    text, number = _FUNCTION.subn(_PACKAGED, template)
    if number != len(FUNCTIONS):
        raise SystemExit(f"template.yaml: {number} functions can be packaged, not {len(FUNCTIONS)}")
    return text


def contents(artifacts: Mapping[str, Path], wheel: Path, made_at: datetime) -> dict[str, bytes]:
    """Every file of the archive by its path, checksums included."""
    files: dict[str, bytes] = {
        "template.yaml": packaged(_text("template.yaml")).encode(),
        "README.md": readme().encode(),
        "CHANGELOG.md": _bytes("CHANGELOG.md"),
        "LICENSE": _bytes("LICENSE"),
        f"tool/{wheel.name}": wheel.read_bytes(),
        "snippet/prisjakt-relay.liquid": _bytes("snippet/shopify/prisjakt-relay.liquid"),
        "snippet/prisjakt-relay-woocommerce.zip": zipped(_tree(ROOT / _PLUGIN), made_at),
    }
    files |= {f"sbom/{name}": text.encode() for name, text in bills(made_at).items()}
    for script in sorted((ROOT / "snippet" / "dist").glob("*.js")):
        files[f"snippet/{script.name}"] = script.read_bytes()
    for function, folder in artifacts.items():
        tree = _tree(folder, prefix=f"functions/{function}")
        files |= {path.removeprefix("./"): content for path, content in tree.items()}
    files[SUMS] = sums(files).encode()
    return files


def sums(files: Files) -> str:
    """As `sha256sum --check` reads it."""
    return "".join(
        f"{hashlib.sha256(content).hexdigest()}  {path}\n"
        for path, content in sorted(files.items())
    )


def zipped(files: Files, made_at: datetime) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, content in sorted(files.items()):
            entry = zipfile.ZipInfo(path, made_at.timetuple()[:6])
            entry.create_system = 3  # Unix, whatever this is made on
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


def readme() -> str:
    """What it is, and how this archive is deployed: from README.md and docs/deploy.md."""
    what = _text("README.md").partition("\n```mermaid")[0]
    page = _text("docs/deploy.md")
    how = "\n".join(
        _section(page, heading) for heading in ("## From the release archive", "## The dialogue")
    )
    alone = _LINK.sub(r"\1", f"{what}\n{how}")  # the pages that they lead to are not in here
    return f"{alone.rstrip()}\n"


def _section(page: str, heading: str) -> str:
    found = re.search(rf"^{heading}\n.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"docs/deploy.md has no section {heading!r}")
    return found[0]


def _tree(folder: Path, prefix: str = "") -> dict[str, bytes]:
    prefix = prefix or folder.name
    return {
        f"{prefix}/{file.relative_to(folder).as_posix()}": file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def _bytes(path: str) -> bytes:
    return (ROOT / path).read_bytes()


def _text(path: str) -> str:
    return _bytes(path).decode("utf-8")


def build_wheel(folder: Path) -> Path:
    """With what is installed here: without a network."""
    command = [find_uv_bin(), "build", "--wheel", "--no-build-isolation", "--offline", "--quiet"]
    subprocess.run(  # noqa: S603  # our own build
        [*command, "--python", sys.executable, "--out-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"SOURCE_DATE_EPOCH": str(commit_time())},
        check=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def write(artifacts: Mapping[str, Path], out: Path) -> Path:
    """The archive, and beside it its checksum."""
    made_at = datetime.fromtimestamp(commit_time(), UTC)
    with tempfile.TemporaryDirectory() as scratch:
        files = contents(artifacts, build_wheel(Path(scratch)), made_at)
    archive = zipped({f"{NAME}/{path}": content for path, content in files.items()}, made_at)
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"{NAME}.zip"
    file.write_bytes(archive)
    (out / SUMS).write_text(sums({file.name: archive}), encoding="utf-8")
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--artifacts", type=Path, default=ROOT / ".aws-sam" / "build")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    folders = {function: options.artifacts / function for function in FUNCTIONS}
    missing = [str(folder) for folder in folders.values() if not folder.is_dir()]
    if missing:
        raise SystemExit(f"{', '.join(missing)}: not there; run `make build` first")
    file = write(folders, options.out)
    made_of = commit()
    print(f"{file} ({file.stat().st_size / 1e6:.1f} MB), commit {made_of}")  # noqa: T201
    if made_of.endswith("-dirty"):
        print("with changes that are not committed: nobody else can make it", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
