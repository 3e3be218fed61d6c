"""How the command line is called: what counts where a caller says nothing, and whole commands."""

from __future__ import annotations

import os
import shlex
from typing import Final

PROGRAM: Final = "prisjakt-relay"
STACK_NAME: Final = "prisjakt-relay"
STACK_VARIABLE: Final = "PRISJAKT_RELAY_STACK"
LOCAL_PORT: Final = 8787
DAYS: Final = 30  # without --from
TRIAL_SECONDS: Final = 60.0


def command(
    *words: str,
    stack: str = STACK_NAME,
    region: str | None = None,
    profile: str | None = None,
    local_port: int | None = None,
) -> str:
    """One of ours as it is to be typed, for that stack and no other."""
    where: list[str] = []
    if local_port is not None:
        where = ["--local", *(["--port", str(local_port)] if local_port != LOCAL_PORT else [])]
    else:
        if stack != STACK_NAME or STACK_VARIABLE in os.environ:
            where += ["--stack", stack]
        if region is not None:
            where += ["--region", region]
        if profile is not None:
            where += ["--profile", profile]
    return shlex.join([PROGRAM, *words, *where])
