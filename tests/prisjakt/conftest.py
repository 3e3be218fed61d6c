"""A simulated Prisjakt over HTTP, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from requests import Session
from tests.conftest import PATIENCE
from tests.prisjakt.world import Recorder, now

from prisjakt_relay.local.prisjakt_server import PrisjaktServer, create_app, serve
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.transport import session


@pytest.fixture
def model() -> Recorder:
    return Recorder()


@pytest.fixture
def server(model: Recorder) -> Iterator[PrisjaktServer]:
    with closing(serve(create_app(model), 0)) as running:
        yield running


@pytest.fixture
def http() -> Iterator[Session]:
    with session() as fresh:
        yield fresh


@pytest.fixture
def client(server: PrisjaktServer, http: Session) -> PrisjaktClient:
    return PrisjaktClient(server.base_address, http, clock=now, timeout=(PATIENCE, PATIENCE))
