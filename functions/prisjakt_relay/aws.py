"""AWS clients with the relay's own time-outs, and calls that end before a deadline.

botocore without boto3's resource layer: it starts faster, and nothing here needs more.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from prisjakt_relay.errors import StorageError

T = TypeVar("T")

CONNECT_SECONDS: Final = 0.8
READ_SECONDS: Final = 1.0
ATTEMPT: Final = timedelta(seconds=CONNECT_SECONDS + READ_SECONDS)

_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)  # then 0.8 for ever


def client(service: str, *, attempts: int = 1) -> Any:
    """A client whose every attempt ends within `ATTEMPT`. With one attempt, `until` retries."""
    return botocore.session.get_session().create_client(
        service,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": attempts},
        ),
    )


def error_code(error: ClientError) -> str:
    """The service's word for what went wrong, e.g. `ResourceNotFoundException`."""
    return str(error.response.get("Error", {}).get("Code", ""))


def until(
    deadline: datetime,
    call: Callable[[], T],
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    final: frozenset[str] = frozenset(),
) -> T:
    """Call again while another attempt fits before the deadline; then raise `StorageError`.

    An error whose code is in `final` is raised as it is, at once.
    """
    attempt = 0
    while True:
        try:
            return call()
        except ClientError as error:
            if error_code(error) in final:
                raise
            failure = StorageError(f"{error.operation_name}: {error_code(error)}")
        except BotoCoreError as error:
            failure = StorageError(type(error).__name__)
        pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
        if clock() + timedelta(seconds=pause) + ATTEMPT > deadline:
            raise failure
        sleep(pause)
        attempt += 1
