"""Memory is flat or it is not, and processor time belongs to somebody."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.benchmark.processes import Memory, Sample, cpu_by_role, memory, sample
from tests.benchmark.trace_ids import kept_per_call
from tests.conftest import PATIENCE

MB = 1_000_000


def _taken(sizes: list[float], role: str = "receiver") -> list[tuple[float, list[Sample]]]:
    """A sample every ten seconds; sizes in MB."""
    return [
        (10.0 * turn, [Sample(7, role, 0.0, round(size * MB))]) for turn, size in enumerate(sizes)
    ]


def _of(sizes: list[float], role: str = "receiver", warm_up: float = 0) -> Memory:
    (found,) = memory(_taken(sizes, role), warm_up)
    return found


def test_a_process_that_stays_as_it_is_is_flat() -> None:
    found = _of([60.0, 60.2, 60.1, 60.0, 60.2, 60.1])

    assert found.flat
    assert abs(found.grown) < 0.1 * MB


def test_a_leak_is_seen() -> None:
    """0.1 MB every ten seconds is 36 MB an hour."""
    found = _of([60 + 0.1 * turn for turn in range(60)])

    assert not found.flat
    assert found.per_hour == pytest.approx(36 * MB)
    assert found.grown == pytest.approx(4 * MB)


@pytest.mark.parametrize(
    ("start", "growth", "flat"),
    [(20, 0.9, True), (20, 1.1, False), (100, 1.9, True), (100, 2.1, False)],
)
def test_two_per_cent_or_a_megabyte_is_still_flat(start: float, growth: float, flat: bool) -> None:
    assert _of([start] * 3 + [start + growth] * 3).flat is flat


def test_trace_ids_that_the_runtimes_client_keeps_are_no_leak_of_the_handlers() -> None:
    """Of 4 MB between the first third and the last, 3.2 are theirs; of 8 as many."""
    kept = {7: 0.008 * MB}

    (found,) = memory(_taken([60 + 0.1 * turn for turn in range(60)]), 0, kept)
    (leaking,) = memory(_taken([60 + 0.2 * turn for turn in range(60)]), 0, kept)

    assert found.kept == leaking.kept == pytest.approx(3.2 * MB)
    assert found.flat
    assert not leaking.flat


def test_what_a_trace_id_costs_is_measured() -> None:
    """Two of glibc's blocks at least, where it is glibc; the text alone is longer than 40 bytes."""
    assert 40 < kept_per_call(Path(sys.executable)) < 400


def test_what_a_process_takes_while_it_warms_up_does_not_count() -> None:
    course = [20.0, 40.0, 60.0, *[60.5] * 12]

    assert not _of(course).flat
    assert _of(course, warm_up=30).flat


def test_every_process_has_a_warm_up_of_its_own() -> None:
    """One that starts late is not held to be growing for it."""
    late = [(moment, samples) for moment, samples in _taken([0.0] * 10 + [20, 40, *[60.0] * 8])]

    (found,) = memory(late[10:], 20)

    assert found.start == 60 * MB


def test_one_that_was_hardly_seen_is_not_judged() -> None:
    assert memory(_taken([60.0] * 5), 0) == []


def test_only_handlers_are_judged() -> None:
    assert _of([60.0] * 6, "sender").is_handler
    assert not _of([60.0] * 6, "embedded AWS").is_handler


def test_processor_time_is_summed_by_role() -> None:
    before = [Sample(1, "receiver", 2.0, 0), Sample(2, "sender", 1.0, 0)]
    after = [
        Sample(1, "receiver", 5.0, 0),
        Sample(3, "receiver", 0.5, 0),
        Sample(2, "sender", 1.0, 0),
    ]

    assert cpu_by_role(before, after) == {"receiver": 3.5, "sender": 0.0}


def test_a_function_is_told_by_its_name() -> None:
    """Whoever started it, and whatever else that one started."""
    name = {"AWS_LAMBDA_FUNCTION_NAME": "local-SenderFunction-ABC"}
    code = "import sys; sys.stdin.read()"
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    with (
        subprocess.Popen(  # noqa: S603  # our own interpreter
            command, stdin=pipe, env={**os.environ, **name}
        ) as function,
        subprocess.Popen(command, stdin=pipe) as other,  # noqa: S603
    ):
        roles = {each.pid: each.role for each in _sampled({function.pid, other.pid})}
        for process in (function, other):
            process.communicate()

    assert roles[function.pid] == "sender"
    assert roles[other.pid] == "started by us"
    assert roles[os.getpid()] == "us"


def _sampled(wanted: set[int]) -> list[Sample]:
    """Once the children have become what they are to be."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = sample({os.getpid(): "us"})
        if wanted <= {each.pid for each in found} and any(each.role == "sender" for each in found):
            return found
    raise AssertionError("the processes did not start")
