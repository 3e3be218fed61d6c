"""One HTTP request from the operator's machine: the answer, or what is in its way as a sentence."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
    TimeoutError,  # urllib3's own, of which its connect and read time-outs are
)

from prisjakt_relay import __version__

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_CHUNK: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered, as far as it was read, and after how many seconds."""

    status: int
    headers: Mapping[str, str]  # lower-case names
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer: why, and what to do about it."""

    found: str
    remedy: str


def ask(
    method: str,
    address: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    seconds: float,
    limit: int,
) -> Reply | Silence:
    """Ask once. No redirect is followed; at most `limit` bytes are read, `seconds` long."""
    host = urlsplit(address).hostname or ""
    began = time.monotonic()
    try:
        with (
            _pool(address, host, seconds) as pool,
            pool.request(
                method,
                address,
                body=body,
                headers={"user-agent": f"prisjakt-relay/{__version__}", **headers},
                redirect=False,
                retries=False,
                preload_content=False,
            ) as response,
        ):
            content = _content(response, began + seconds, limit)
            return Reply(
                response.status,
                {name.lower(): value for name, value in response.headers.items()},
                content,
                time.monotonic() - began,
            )
    except (HTTPError, OSError) as error:
        return _silence(error, host, seconds)


def _pool(address: str, host: str, seconds: float) -> urllib3.PoolManager:
    """Through the proxy that the machine's environment names, like the AWS CLI."""
    timeout = urllib3.Timeout(total=seconds)
    proxy = getproxies().get(urlsplit(address).scheme)
    if proxy is None or host in LOOPBACK or proxy_bypass(host):
        return urllib3.PoolManager(timeout=timeout)
    return urllib3.ProxyManager(proxy, timeout=timeout)


def _content(response: urllib3.BaseHTTPResponse, end: float, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size < limit and (part := response.read1(_CHUNK)):
        parts.append(part)
        size += len(part)
        if time.monotonic() > end:
            raise TimeoutError
    return b"".join(parts)[:limit]


def _silence(error: Exception, host: str, seconds: float) -> Silence:
    """`error` is urllib3's, or what it lets through."""
    if isinstance(error, ProxyError):
        return Silence("the proxy does not answer", "look at HTTPS_PROXY and NO_PROXY")
    if isinstance(error, NameResolutionError):
        return Silence(
            f"there is no host {host}", "compare the address, and look at the network of here"
        )
    if isinstance(error, SSLError):
        return Silence(
            f"no safe connection to {host} (TLS)",
            "look at this machine's clock and at any proxy in between",
        )
    if isinstance(error, NewConnectionError):
        return Silence(
            f"{host} takes no connection", "look at the network and the firewall, then try again"
        )
    if isinstance(error, TimeoutError):
        return Silence(f"{host} did not answer in {seconds:.0f} s", "try again in a minute")
    if isinstance(error, LocationValueError):
        return Silence("that is no address", "write it with https://")
    return Silence(f"{host} broke off ({type(error).__name__})", "try again in a minute")
