"""What is locked, for what, and under which licence."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol, cast

from prisjakt_relay.local import project

ROOT: Final = project.root()
FUNCTIONS: Final = ("receiver", "sender", "reconciler")
OURSELVES: Final = "prisjakt-relay"

_PACKAGE: Final = re.compile(r"([a-z0-9-]+)==(\S+)(?: ; (.*?))? \\")
_HASH: Final = re.compile(r"    --hash=sha256:([0-9a-f]{64})")
_PARENT: Final = re.compile(r"    #(?: via)?  ? ?([a-z0-9-]+)(?: \(pyproject\.toml(?::[a-z]+)?\))?")

# As its metadata has it: SPDX' identifier. What a package says as an expression is taken as it is.
_NAMES: Final[Mapping[str, str]] = {
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 2-Clause License": "BSD-2-Clause",
    "GNU LGPL v3+": "LGPL-3.0-or-later",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "PSFL": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "ZPL 2.1": "ZPL-2.1",
}
# Where the metadata is too vague or missing, the licence's own text was read.
_READ: Final[Mapping[str, str]] = {
    "colorama": "BSD-3-Clause",  # for Windows only, so that it may not be installed here
    "itsdangerous": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "mpmath": "BSD-3-Clause",
    "nodeenv": "BSD-3-Clause",
    "pysocks": "BSD-3-Clause",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "pywin32": "PSF-2.0",  # for Windows only
    "sympy": "BSD-3-Clause",
}
_VAGUE: Final = frozenset({"BSD", "UNKNOWN"})
_EXPRESSION: Final = re.compile(r"[A-Za-z0-9.-]+(?: (?:AND|OR) [A-Za-z0-9.-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One locked package; `parents` are the packages that need it."""

    name: str
    version: str
    marker: str = ""
    hashes: tuple[str, ...] = ()
    parents: frozenset[str] = frozenset()

    @property
    def licence(self) -> str:
        return licence(self.name)


def locked(group: str) -> list[Package]:
    """The packages of a file in `requirements/`."""
    return read((ROOT / "requirements" / f"{group}.txt").read_text("utf-8"))


def read(text: str) -> list[Package]:
    """A locked file: each package's line is followed by its hashes and by who needs it."""
    found: list[tuple[re.Match[str], list[str], set[str]]] = []
    for line in text.splitlines():
        if head := _PACKAGE.fullmatch(line):
            found.append((head, [], set()))
        elif hash_ := _HASH.match(line):
            found[-1][1].append(hash_[1])
        elif (parent := _PARENT.fullmatch(line)) and parent[1] != "via":
            found[-1][2].add(parent[1])
    return [
        Package(
            name=head[1],
            version=head[2],
            marker=head[3] or "",
            hashes=tuple(hashes),
            parents=frozenset(parents),
        )
        for head, hashes, parents in found
    ]


def tool() -> list[Package]:
    """What the wheel asks for with its extra `local`, and what that needs."""
    wanted = asked_for("tool")
    everything = locked("dev")
    while more := {
        each.name for each in everything if each.parents & wanted and each.name not in wanted
    }:
        wanted |= more
    return [each for each in everything if each.name in wanted]


@cache
def _project() -> Mapping[str, Mapping[str, list[str]]]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    local = document["project"]["optional-dependencies"]["local"]
    tool_ = document["project"]["dependencies"] + local
    return {"groups": document["dependency-groups"] | {"tool": tool_}}


def asked_for(group: str) -> set[str]:
    """The names that pyproject.toml itself has in a group, or for the `tool`."""
    return _names(_project()["groups"][group])


def _names(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[\[<>=~! ]", each, maxsplit=1)[0].lower() for each in requirements}


def licence(name: str) -> str:
    """SPDX' expression for it; raises `LookupError` if there is no telling."""
    return _READ.get(name) or _said(name, importlib.metadata.metadata(name))


class Metadata(Protocol):
    """What is read of a package's own metadata."""

    def get_all(self, name: str, failobj: list[str]) -> list[str]: ...


def _said(name: str, metadata: object) -> str:
    said = cast("Metadata", metadata)
    classifiers = said.get_all("Classifier", [])
    texts: list[str] = [
        *said.get_all("License-Expression", []),
        *said.get_all("License", []),
        *(each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")),
    ]
    for text in texts:
        if text in _NAMES:
            return _NAMES[text]
        if _EXPRESSION.fullmatch(text) and text not in _VAGUE:
            return text
    raise LookupError(f"{name}: its metadata names no licence that is known here; read its text")
