"""What all tests share: a fixed moment, the sample deliveries, and shops to send them to."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.loaders import create_loader

from prisjakt_relay.local.aws import EmbeddedAws
from prisjakt_relay.local.deliveries import Delivery, load_all
from prisjakt_relay.local.system import LocalSystem, sample_shops
from prisjakt_relay.operations.stack import Stack, find_local
from prisjakt_relay.shop import Shop, from_document

LOCAL_PORT = 20_001 + os.getpid() % 4_000 * 3  # two runs at the same time do not meet
NOW = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)  # every sample delivery is a little older


@pytest.fixture
def now() -> datetime:
    """The moment at which tests happen, unless they move it."""
    return NOW


@pytest.fixture(scope="session")
def shops() -> dict[str, Shop]:
    """The shops of the sample deliveries, by name."""
    return {name: from_document(document) for name, document in sample_shops().items()}


@pytest.fixture(scope="session")
def samples() -> dict[str, Delivery]:
    """Every sample delivery, as `platform/name`."""
    return {f"{sample.platform}/{sample.name}": sample for sample in load_all()}


@pytest.fixture(scope="session")
def embedded_aws() -> Iterator[EmbeddedAws]:
    """An AWS on loopback, shared by all tests that need one: each makes what it uses."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with EmbeddedAws(port) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def service_models() -> Iterator[None]:
    """Read once, and not once per session that somebody makes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(create_loader))
        yield


@pytest.fixture(scope="session")
def local_system() -> Iterator[LocalSystem]:
    """The whole system, shared by all tests of the command line: each makes the shops it uses."""
    with LocalSystem(port=LOCAL_PORT, shops=sample_shops(), time_scale=0.05) as running:
        yield running


@pytest.fixture(scope="session")
def stack(local_system: LocalSystem) -> Stack:
    """That system's stack, as the command line finds it."""
    return find_local(urlsplit(local_system.address).port or LOCAL_PORT)
