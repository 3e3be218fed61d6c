"""Trace ids as Lambda hands them out, and what it costs a process to have been handed one.

The runtime's client puts each invocation's into the environment. glibc keeps every text that its
`setenv` ever had, so a process grows with each call, whatever the handler does. How much is
measured: https://sourceware.org/git/?p=glibc.git;a=blob;f=stdlib/setenv.c
"""

from __future__ import annotations

import subprocess
import time
import uuid
from pathlib import Path
from typing import Final

_VARIABLE: Final = "_X_AMZN_TRACE_ID"
_CALLS: Final = 40_000
_PROGRAM: Final = """
import os, sys

def size():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

name, trace_id, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])

def put(first):
    for number in range(first, first + calls):
        os.environ[name] = trace_id[:-8] + format(number, "08x")

put(0)  # until the interpreter has what it needs
before = size()
put(calls)
print((size() - before) / calls)
"""


def new_trace_id() -> str:
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"


def kept_per_call(python: Path) -> float:
    """Bytes by which this interpreter's process grows with every trace id."""
    done = subprocess.run(  # noqa: S603
        [str(python), "-I", "-c", _PROGRAM, _VARIABLE, new_trace_id(), str(_CALLS)],
        capture_output=True,
        text=True,
        check=True,
    )
    return max(0.0, float(done.stdout))
