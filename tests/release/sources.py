"""The time that everything in a release bears: that of its commit."""

from __future__ import annotations

import os
import subprocess
from typing import Final

from prisjakt_relay.local import project

EARLIEST: Final = 315_532_800  # 1980: a zip knows nothing before


def commit_time() -> int:
    """Seconds since 1970: SOURCE_DATE_EPOCH, else the commit's, else the earliest there is.

    https://reproducible-builds.org/specs/source-date-epoch/
    """
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given.isdigit():
        return max(int(given), EARLIEST)
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "log", "-1", "--format=%ct"],  # noqa: S607
            cwd=project.root(),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return EARLIEST
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip() else EARLIEST
