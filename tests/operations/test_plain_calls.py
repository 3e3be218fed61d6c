"""Plain calls from an operator's machine: renewed credentials, the proxy, passing failures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import boto3
import pytest
from botocore.credentials import Credentials

from prisjakt_relay.errors import AwsError, SetupError, StorageError
from prisjakt_relay.operations.plain_calls import PlainCalls

REGION = "eu-north-1"


class Answering(BaseHTTPRequestHandler):
    """An AWS that gives the answers it was told, then `{}`, and notes who asked for what."""

    answers: ClassVar[list[tuple[int, dict[str, Any]]]] = []
    asked: ClassVar[list[tuple[str, str]]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        signed = self.headers["authorization"] + self.headers.get("x-amz-security-token", "")
        self.asked.append((self.path, signed))
        status, body = self.answers.pop(0) if self.answers else (200, {})
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to say."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Answering, "answers", [])
    monkeypatch.setattr(Answering, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def calls(endpoint: str, session: boto3.Session | None = None) -> tuple[PlainCalls, list[float]]:
    slept: list[float] = []
    own = session or boto3.Session("key-1", "secret", region_name=REGION)
    return PlainCalls("dynamodb", own, endpoint, sleep=slept.append), slept


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalServerError", "503"])
def test_a_passing_failure_is_waited_out(server: str, code: str) -> None:
    Answering.answers += [(400, {"__type": f"x#{code}"}), (200, {"Items": []})]
    dynamodb, slept = calls(server)

    assert dynamodb.call("Query", {}) == {"Items": []}
    assert len(slept) == 1


def test_a_failure_that_stays_is_told_after_four_attempts(server: str) -> None:
    Answering.answers += [(400, {"__type": "x#ThrottlingException"})] * 9
    dynamodb, slept = calls(server)

    with pytest.raises(AwsError, match="ThrottlingException"):
        dynamodb.call("Query", {})
    assert (len(Answering.asked), len(slept)) == (4, 3)


@pytest.mark.parametrize("code", ["ConditionalCheckFailedException", "AccessDeniedException"])
def test_an_answer_that_stays_the_same_is_asked_for_once(server: str, code: str) -> None:
    Answering.answers += [(400, {"__type": f"x#{code}"})]
    dynamodb, slept = calls(server)

    with pytest.raises(AwsError, match=code):
        dynamodb.call("PutItem", {})
    assert (len(Answering.asked), slept) == (1, [])


def test_nobody_there_is_told_after_the_last_attempt() -> None:
    dynamodb, slept = calls("http://127.0.0.1:9")

    with pytest.raises(StorageError, match="Query: NewConnectionError"):
        dynamodb.call("Query", {})
    assert len(slept) == 3


def test_credentials_that_were_renewed_are_used(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long piece of work outlives the hour that a sign-in is good for."""
    session = boto3.Session("key-1", "secret", region_name=REGION)
    dynamodb, _ = calls(server, session)
    dynamodb.call("Query", {})
    fresh = Credentials("key-2", "secret", "token-2")
    monkeypatch.setattr(session, "get_credentials", lambda: fresh)

    dynamodb.call("Query", {})

    (_, first), (_, second) = Answering.asked
    assert "Credential=key-1/" in first
    assert "Credential=key-2/" in second
    assert second.endswith("token-2")


def test_no_credentials_are_told(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    session = boto3.Session("key-1", "secret", region_name=REGION)
    monkeypatch.setattr(session, "get_credentials", lambda: None)

    with pytest.raises(SetupError, match="no AWS credentials: run"):
        calls(server, session)


def test_the_machines_proxy_is_used(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server)
    dynamodb, _ = calls("http://dynamodb.example")

    dynamodb.call("Query", {})

    assert [path for path, _ in Answering.asked] == ["http://dynamodb.example/"]


def test_own_authorities_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/no/such/bundle.pem")
    dynamodb, _ = calls("https://127.0.0.1:9")

    with pytest.raises((StorageError, OSError)):
        dynamodb.call("Query", {})
    assert dynamodb._connections.connection_pool_kw["ca_certs"] == "/no/such/bundle.pem"
