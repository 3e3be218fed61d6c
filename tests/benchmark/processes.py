"""Processor time and memory of running processes, by the part they play. Needs Linux."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HANDLERS: Final = ("receiver", "sender", "reconciler")
GROWTH_SHARE: Final = 0.02
GROWTH_BYTES: Final = 1_000_000

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_NAMED_BY: Final = b"AWS_LAMBDA_FUNCTION_NAME="
_EMBEDDED_AWS: Final = b"prisjakt_relay.local.embedded_aws"


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment; `cpu` in seconds since its start."""

    pid: int
    role: str
    cpu: float
    rss: int


def sample(roots: Mapping[int, str]) -> list[Sample]:
    """These processes by the roles given, and everything that they started."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: list[Sample] = []
    todo = list(roots.items())
    while todo:
        pid, role = todo.pop()
        role = roots.get(pid) or _role(pid) or role
        todo += [(child, f"started by {role}") for child in children.get(pid, ())]
        try:
            found.append(Sample(pid, role, _cpu(pid), _rss(pid)))
        except (OSError, ValueError, IndexError):
            continue  # it has just ended
    return found


def cpu_by_role(before: Sequence[Sample], after: Sequence[Sample]) -> dict[str, float]:
    """Seconds of processor time between the two; that of a process that ended is not known."""
    spent: dict[str, float] = {}
    earlier = {each.pid: each.cpu for each in before}
    for each in after:
        spent[each.role] = spent.get(each.role, 0.0) + each.cpu - earlier.get(each.pid, 0.0)
    return spent


@dataclass(frozen=True, slots=True)
class Memory:
    """How one process's memory went after the warm-up, in bytes; `grown` from the mean of the
    first third to that of the last, `kept` what the runtime's client has kept of trace ids
    meanwhile, which no handler can help."""

    pid: int
    role: str
    start: int
    end: int
    most: int
    grown: float
    per_hour: float
    samples: int
    kept: float = 0.0

    @property
    def is_handler(self) -> bool:
        return self.role in HANDLERS

    @property
    def flat(self) -> bool:
        return self.grown - self.kept < max(GROWTH_SHARE * self.start, GROWTH_BYTES)


def memory(
    taken: Sequence[tuple[float, Sequence[Sample]]],
    warm_up: float,
    kept: Mapping[int, float] | None = None,
) -> list[Memory]:
    """Per process, from samples with their seconds; the first `warm_up` seconds of each left out.

    `kept` are the bytes a second that the process of a number keeps of trace ids. Fewer than six
    samples say nothing.
    """
    courses: dict[tuple[str, int], list[tuple[float, int]]] = {}
    for moment, samples in taken:
        for each in samples:
            courses.setdefault((each.role, each.pid), []).append((moment, each.rss))
    return [
        _memory(pid, role, warm, (kept or {}).get(pid, 0.0))
        for (role, pid), course in sorted(courses.items())
        if len(warm := [point for point in course if point[0] - course[0][0] >= warm_up]) >= 6
    ]


def _memory(pid: int, role: str, course: Sequence[tuple[float, int]], kept: float) -> Memory:
    moments = [moment for moment, _ in course]
    sizes = [size for _, size in course]
    third = len(sizes) // 3

    def gone_up(values: Sequence[float]) -> float:
        return statistics.fmean(values[-third:]) - statistics.fmean(values[:third])

    slope = statistics.linear_regression(moments, sizes).slope
    return Memory(
        pid=pid,
        role=role,
        start=sizes[0],
        end=sizes[-1],
        most=max(sizes),
        grown=gone_up(sizes),
        per_hour=slope * 3600,
        samples=len(sizes),
        kept=kept * gone_up(moments),
    )


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                yield int(folder.name), int(_stat(int(folder.name))[1])
            except (OSError, ValueError, IndexError):
                continue  # it has just ended


def _stat(pid: int) -> list[str]:
    """From the third field on: the second is the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()


def _cpu(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text("utf-8").split()[1]) * _PAGE


def _role(pid: int) -> str | None:
    """A function's process is told by the name that Lambda gives it."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    if _EMBEDDED_AWS in arguments:
        return "embedded AWS"
    for variable in variables:
        if variable.startswith(_NAMED_BY):
            name = variable.removeprefix(_NAMED_BY).decode().lower()
            return next((role for role in HANDLERS if role in name), None)
    return None
