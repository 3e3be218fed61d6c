"""The front of the local system, where it is not merely a way through to the embedded AWS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

import pytest
from tests.conftest import PATIENCE, ports

from prisjakt_relay.local.front import Front

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PORT = ports("front")
NOBODY = 9  # the discard port, where nothing listens


def pages(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("content-type", "text/plain")])
    return [environ["PATH_INFO"].encode()]


@pytest.fixture
def front() -> Iterator[Front]:
    """Closed at the end, if the test has not done so."""
    front = Front(PORT, "127.0.0.1", NOBODY, "", pages=pages)
    yield front
    front.close()


@pytest.fixture
def connection(front: Front) -> Iterator[HTTPConnection]:  # noqa: ARG001
    with closing(HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE)) as connection:
        yield connection


def asked(connection: HTTPConnection, path: str) -> tuple[int, bytes]:
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read()


@pytest.mark.parametrize("path", ["/", "/shopify/", "/webhooksy", "/prisjakt.json"])
def test_pages_are_the_storefronts(connection: HTTPConnection, path: str) -> None:
    assert asked(connection, path) == (200, path.encode())


@pytest.mark.parametrize("path", ["/webhooks", "/webhooks/shopify/my-shop"])
def test_webhooks_are_not(connection: HTTPConnection, path: str) -> None:
    """Here nobody is behind the front, which it says as API Gateway does."""
    assert asked(connection, path) == (503, b'{"message":"Service Unavailable"}')


def test_a_closed_front_leaves_no_connection_that_hangs(
    front: Front, connection: HTTPConnection
) -> None:
    assert asked(connection, "/") == (200, b"/")

    front.close()

    with pytest.raises((HTTPException, ConnectionError)):
        asked(connection, "/")
