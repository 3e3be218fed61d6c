"""The functions' plain JSON calls from an operator's machine: its proxy, its passing failures.

Where many items are read they are several times faster than boto3's clients.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import boto3
import urllib3

from prisjakt_relay import aws
from prisjakt_relay.errors import AwsError, SetupError, StorageError
from prisjakt_relay.operations.aws_errors import SIGN_IN

_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 30
_PAUSES: Final = (0.2, 0.6, 1.8)
_LONG_ENOUGH: Final = 10.0
_PASSING: Final = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "500",
        "502",
        "503",
        "504",
    }
)


class PlainCalls(aws.Service):
    """`aws.Service` with a person's credentials, which may be renewed while it is used.

    A call that fails for a passing cause is made again, at most three times.
    """

    def __init__(
        self,
        name: str,
        session: boto3.Session,
        endpoint: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._session = session
        self._endpoint = endpoint
        self._sleep = sleep
        self._lock = Lock()
        self._keys: Any = None
        self._connections = _pool(endpoint)
        self._renew()

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        began = time.monotonic()
        for pause in (*_PAUSES, None):
            self._renew()
            try:
                return super().call(operation, parameters)
            except StorageError as error:
                passing = not isinstance(error, AwsError) or error.code in _PASSING
                if pause is None or not passing or time.monotonic() - began > _LONG_ENOUGH:
                    raise
            self._sleep(pause)
        raise AssertionError("the last attempt ends the loop")

    def _renew(self) -> None:
        """Sign with the credentials as they are now; boto3 renews them shortly before their end."""
        credentials = self._session.get_credentials()
        if credentials is None:
            raise SetupError(f"no AWS credentials: {SIGN_IN}")
        with self._lock:
            keys = credentials.get_frozen_credentials()
            if keys == self._keys:
                return
            environment = {
                "AWS_REGION": str(self._session.region_name),
                "AWS_ACCESS_KEY_ID": keys.access_key,
                "AWS_SECRET_ACCESS_KEY": keys.secret_key,
                "AWS_ENDPOINT_URL": self._endpoint,
            }
            if keys.token:
                environment["AWS_SESSION_TOKEN"] = keys.token
            super().__init__(self._name, environment=environment, pool=self._connections)
            self._keys = keys


def _pool(endpoint: str) -> urllib3.PoolManager:
    """Through the proxy and with the authorities that boto3 would use."""
    parts = urlsplit(endpoint)
    options: dict[str, Any] = {
        "timeout": urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
        "retries": False,
        "maxsize": 16,
    }
    if authorities := os.environ.get("AWS_CA_BUNDLE"):
        options["ca_certs"] = authorities
    host = parts.hostname or ""
    proxy = getproxies().get(parts.scheme)
    if proxy is None or host in ("127.0.0.1", "localhost") or proxy_bypass(host):
        return urllib3.PoolManager(**options)
    return urllib3.ProxyManager(proxy, **options)
