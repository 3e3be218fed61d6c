"""What a command costs that runs as a person runs it, in a process of its own. Needs Linux."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# What the system would say of an ended child counts what its parent had when it forked.
_COMMAND_LINE: Final = """
import atexit, pathlib, sys
noted, status = pathlib.Path(sys.argv.pop(1)), pathlib.Path("/proc/self/status")
atexit.register(lambda: noted.write_text(status.read_text()))
from prisjakt_relay.cli.app import main
main()
"""


@dataclass(frozen=True, slots=True)
class Measured:
    command: str
    orders: int
    seconds: float
    megabytes: float


def free_port() -> int:
    """The first port of a local system whose AWS, two above it, nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port - 2


def measure(command: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak memory of the command line in a process of its own."""
    with tempfile.NamedTemporaryFile() as noted:
        program = [sys.executable, "-c", _COMMAND_LINE, noted.name, *command]
        start = time.perf_counter()
        subprocess.run(  # noqa: S603  # our own interpreter
            program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True
        )
        seconds = time.perf_counter() - start
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(noted.name).read_text("utf-8"))
    return seconds, int(peak) / 1024
