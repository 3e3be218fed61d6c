"""Very many worlds: what they add up to, kept in a file so that an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tests.benchmark import output
from tests.simulation import troubles
from tests.simulation.running import Result

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = (
    "functions/prisjakt_relay",
    "requirements",
    "tests/platform_api",
    "tests/simulation",
)
# What a kind of trouble is of; a kind that is in none of these is by itself.
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Prisjakt": troubles.PRISJAKT,
    "AWS": troubles.AWS,
}


@dataclass
class Tally:
    """The sum over the worlds from `first` on. `struck` counts by kind and by group how often it
    happened to a call, an answer or a process, `worlds_struck` in how many worlds."""

    first: int = 0
    worlds: int = 0
    seconds: float = 0.0
    invocations: int = 0
    requests: int = 0
    lost: int = 0
    worlds_with_losses: int = 0
    recovered: int = 0
    worlds_with_deployments: int = 0
    worlds_with_skewed_clocks: int = 0
    struck: dict[str, int] = field(default_factory=dict)
    worlds_struck: dict[str, int] = field(default_factory=dict)

    @property
    def next_seed(self) -> int:
        return self.first + self.worlds

    def add(self, result: Result) -> None:
        self.worlds += 1
        self.invocations += result.invocations
        self.requests += result.requests
        self.lost += result.lost
        self.worlds_with_losses += result.lost > 0
        self.recovered += result.recovered
        self.worlds_with_deployments += result.releases > 1
        self.worlds_with_skewed_clocks += result.skewed
        groups = {
            group: sum(result.struck.get(kind, 0) for kind in kinds)
            for group, kinds in GROUPS.items()
        }
        for name, times in (*result.struck.items(), *groups.items()):
            if times:
                self.struck[name] = self.struck.get(name, 0) + times
                self.worlds_struck[name] = self.worlds_struck.get(name, 0) + 1


class State:
    """A tally in a file, good for the code that it was made with."""

    def __init__(self, file: Path, code: str) -> None:
        self._file = file
        self._code = code

    def load(self, first: int) -> Tally:
        """Where the same worlds of the same code were left; an empty tally otherwise."""
        try:
            kept = json.loads(self._file.read_bytes())
            tally = Tally(**kept["tally"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # none, or a damaged one
            return Tally(first)
        return tally if kept["code"] == self._code and tally.first == first else Tally(first)

    def save(self, tally: Tally) -> None:
        """In one step, so that an interruption leaves the old state or the new one."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        half = self._file.with_suffix(".tmp")
        half.write_text(json.dumps({"code": self._code, "tally": asdict(tally)}), encoding="utf-8")
        half.replace(self._file)


def origin(load: float) -> dict[str, object]:
    """When, of what and on what worlds were lived through, and by which code."""
    return {**output.origin(Path(sys.executable), load), "code": fingerprint()}


def fingerprint(root: Path = ROOT, sources: Iterable[str] = SOURCES) -> str:
    """Of all code that a world runs: other code makes other worlds."""
    digest = hashlib.sha256(sys.version.encode())
    for source in sources:
        for file in sorted((root / source).rglob("*")):
            if file.suffix in (".py", ".txt"):
                digest.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
