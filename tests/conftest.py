"""What all tests share: a fixed moment, the sample deliveries, and shops to send them to."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Timer
from typing import Final
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.loaders import create_loader
from hypothesis import HealthCheck, settings

from prisjakt_relay import aws
from prisjakt_relay.local.aws import EmbeddedAws
from prisjakt_relay.local.deliveries import Delivery, load_all
from prisjakt_relay.local.system import LocalSystem, sample_shops
from prisjakt_relay.operations.stack import Stack, find_local
from prisjakt_relay.platforms import shop_from
from prisjakt_relay.shop import Shop

NOW = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)  # every sample delivery is a little older
PATIENCE: Final = 300.0  # seconds for what always comes, on a machine with much else to do

_SYSTEMS: Final = ("shared", "privacy", "storefront", "front", "command")
_PROCESSES: Final = 780  # so that all ports are below those that the operating system gives out


def ports(system: str) -> int:
    """The first of three ports in a row, which no other system has, nor any of another test run."""
    return 20_001 + (os.getpid() % _PROCESSES * len(_SYSTEMS) + _SYSTEMS.index(system)) * 3


LOCAL_PORT: Final = ports("shared")

settings.register_profile(  # a busy machine is no finding
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


@contextmanager
def watched(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Killed at the end; and before, if the test waits for it and it has nothing to say."""
    watchdog = Timer(PATIENCE, process.kill)
    watchdog.daemon = True
    watchdog.start()
    with process:
        try:
            yield process
        finally:
            watchdog.cancel()
            process.kill()


@pytest.fixture
def now() -> datetime:
    """The moment at which tests happen, unless they move it."""
    return NOW


@pytest.fixture(scope="session")
def shops() -> dict[str, Shop]:
    """The shops of the sample deliveries, by name."""
    return {name: shop_from(document) for name, document in sample_shops().items()}


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


@contextmanager
def patient_functions() -> Iterator[None]:
    """They wait for AWS as long as a busy machine takes to answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aws, "CONNECT_SECONDS", PATIENCE)
        patch.setattr(aws, "READ_SECONDS", PATIENCE)
        yield


@pytest.fixture(scope="module")
def patient_aws(embedded_aws: EmbeddedAws) -> Iterator[EmbeddedAws]:
    """The same, for tests of the functions, which are not about how long it takes."""
    with patient_functions():
        yield embedded_aws


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
        stop_schedules(running)
        yield running


def stop_schedules(system: LocalSystem) -> None:
    """The reconciler runs when a test says so, and at no other time."""
    events = system.aws.client("events")
    for rule in events.list_rules()["Rules"]:
        events.disable_rule(Name=rule["Name"])


@pytest.fixture(scope="session")
def stack(local_system: LocalSystem) -> Stack:
    """That system's stack, as the command line finds it."""
    return find_local(urlsplit(local_system.address).port or LOCAL_PORT)
