"""The client: a request exactly as documented, and one of a few errors for whatever comes back."""

from __future__ import annotations

import io
import json
import socket
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread
from traceback import format_exception
from typing import Any

import pytest
import responses
from hypothesis import given
from hypothesis import strategies as st
from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter
from requests.exceptions import ChunkedEncodingError, ConnectTimeout, ReadTimeout, SSLError
from requests.exceptions import ConnectionError as RequestsConnectionError
from tests.conftest import PATIENCE
from tests.prisjakt.world import PAIR, PIXEL, SECRET, Recorder, event, now
from tests.sender.world import BARE_CLICK_ID
from urllib3 import HTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import MaxRetryError, NameResolutionError

from prisjakt_relay.errors import (
    ConflictError,
    NotAnsweredError,
    PrisjaktError,
    Problem,
    RateLimitedError,
    RejectedError,
)
from prisjakt_relay.local.prisjakt_model import Fault
from prisjakt_relay.local.prisjakt_server import PrisjaktServer
from prisjakt_relay.prisjakt.auth import HeaderPair
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.transport import CONNECT_SECONDS, READ_SECONDS, session

BASE = "https://api.pj.test/click-conversion"
ADDRESS = f"{BASE}/pixels/{PIXEL}/events"


@pytest.fixture
def elsewhere(http: Session) -> PrisjaktClient:
    """A client of an address that nobody but `responses` answers for."""
    return PrisjaktClient(BASE, http, clock=now)


def error_of(client: PrisjaktClient, **changes: Any) -> PrisjaktError:
    with pytest.raises(PrisjaktError) as raised:
        client.create_event(PIXEL, event(**changes))
    return raised.value


def not_answered(client: PrisjaktClient) -> tuple[bool, bool]:
    """Whether the request may have arrived, and whether it timed out."""
    error = error_of(client)
    assert isinstance(error, NotAnsweredError)
    return error.sent, error.timed_out


# The request

ORDINARY = {
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "user-agent",
}


def test_an_event_is_posted_as_documented(client: PrisjaktClient, model: Recorder) -> None:
    client.create_event(PIXEL, event())

    (call,) = model.calls
    (stored,) = model.events.values()
    assert (call.method, call.path) == ("POST", f"/click-conversion/pixels/{PIXEL}/events")
    assert call.query == {}
    assert call.body == event().to_json()
    assert (call.headers["accept"], call.headers["content-type"]) == ("application/json",) * 2
    assert set(call.headers) == ORDINARY
    assert (stored.external_event_id, stored.amount) == ("1001", Decimal("996.50"))


def test_the_header_pair_is_sent_only_when_it_is_given(
    client: PrisjaktClient, model: Recorder
) -> None:
    client.using(PAIR).create_event(PIXEL, event())
    client.create_event(PIXEL, event(external_event_id="1002"))

    first, second = model.calls
    assert (first.headers["client-id"], first.headers["client-secret"]) == ("shop-1", "hush-hush")
    assert set(first.headers) == ORDINARY | {"client-id", "client-secret"}
    assert set(second.headers) == ORDINARY


def test_a_test_purchase_takes_a_bare_uuid(client: PrisjaktClient, model: Recorder) -> None:
    client.create_event(PIXEL, event(event_name="test-purchase", signed_click_id=BARE_CLICK_ID))

    (stored,) = model.events.values()
    assert (stored.event_name, stored.signed_click_id) == ("test-purchase", BARE_CLICK_ID)


def test_credentials_in_any_script_make_a_request(client: PrisjaktClient, model: Recorder) -> None:
    """Prisjakt refuses them; nothing breaks off before."""
    client.using(HeaderPair("Kündin", "hemlig \U0001f6d2\ud800")).create_event(PIXEL, event())

    (call,) = model.calls
    assert call.headers["client-id"].encode("latin-1").decode() == "Kündin"


def test_credentials_with_a_line_break_are_an_error_of_the_client(
    client: PrisjaktClient, model: Recorder
) -> None:
    with pytest.raises(NotAnsweredError, match="InvalidHeader"):
        client.using(HeaderPair("shop\n1", "hush-hush")).create_event(PIXEL, event())

    assert model.calls == []


def test_a_slash_at_the_end_of_the_address_does_not_matter(
    server: PrisjaktServer, http: Session, model: Recorder
) -> None:
    client = PrisjaktClient(f"{server.base_address}/", http, clock=now)

    client.create_event(PIXEL, event())

    assert [call.path for call in model.calls] == [f"/click-conversion/pixels/{PIXEL}/events"]


class Capture(BaseAdapter):
    """Says 201 to everything, and keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[PreparedRequest] = []
        self.options: dict[str, Any] = {}

    def send(self, request: PreparedRequest, *_: Any, **options: Any) -> Response:
        self.requests.append(request)
        self.options = options
        response = Response()
        response.status_code = 201
        response.raw = HTTPResponse(io.BytesIO(), preload_content=False)
        return response

    def close(self) -> None:
        pass


def capturing() -> tuple[PrisjaktClient, Capture]:
    http, capture = session(), Capture()
    http.mount("https://", capture)
    return PrisjaktClient(BASE, http, clock=now), capture


@given(
    st.decimals(0, 999_999_999, places=2),
    st.text(min_size=1, max_size=100),
    st.integers(0, 999_999_999),
)
def test_figures_and_texts_arrive_exactly(amount: Decimal, reference: str, items: int) -> None:
    client, capture = capturing()

    client.create_event(
        PIXEL, event(amount=amount, external_event_id=reference, number_of_items=items)
    )

    body = capture.requests[0].body
    assert isinstance(body, bytes)
    sent = json.loads(body, parse_float=Decimal)
    assert sent["data"]["amount"] == amount
    assert sent["external_event_id"] == reference
    assert sent["data"]["number_of_items"] == items


def test_a_call_is_short_and_verified_and_by_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    client, capture = capturing()

    client.create_event(PIXEL, event())

    assert (CONNECT_SECONDS, READ_SECONDS) == (2.0, 8.0)
    assert capture.options["timeout"] == (CONNECT_SECONDS, READ_SECONDS)
    assert capture.options["verify"] is True
    assert not capture.options["proxies"]


def test_proxies_and_passwords_of_the_environment_are_left_alone(
    client: PrisjaktClient, model: Recorder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login anybody password anything\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    client.create_event(PIXEL, event())

    assert [set(call.headers) for call in model.calls] == [ORDINARY]


def test_cookies_are_not_kept(client: PrisjaktClient, model: Recorder) -> None:
    model.faults.append(Fault(kind="status", headers={"Set-Cookie": "shop=alfa; Path=/"}))
    error_of(client)

    client.create_event(PIXEL, event())

    assert [set(call.headers) for call in model.calls] == [ORDINARY, ORDINARY]


# Answers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(
    status: int, client: PrisjaktClient, server: PrisjaktServer, model: Recorder
) -> None:
    model.faults.append(
        Fault(
            kind="status", status=status, headers={"Location": f"{server.address}/somewhere/else"}
        )
    )

    assert not_answered(client) == (True, False)
    assert len(model.calls) == 1


def test_a_second_report_is_a_conflict(client: PrisjaktClient, model: Recorder) -> None:
    client.create_event(PIXEL, event())

    error = error_of(client)

    assert isinstance(error, ConflictError)
    assert error.problem.status == 409
    assert error.problem.title == "Event already exists"
    assert error.problem.request_id.startswith("00000000-")
    assert len(model.events) == 1


def test_a_rejection_names_the_fields(client: PrisjaktClient, model: Recorder) -> None:
    body = {
        "title": "Request validation failed",
        "status": 400,
        "detail": "See field_errors",
        "field_errors": {"data.amount": {"message": "is too much", "value": 1}},
        "context": {"request-id": "request-1"},
    }
    model.faults.append(Fault(kind="status", status=400, body=body))

    error = error_of(client)

    assert isinstance(error, RejectedError)
    assert str(error) == "400: Request validation failed"
    assert error.problem == Problem(
        400,
        "Request validation failed",
        "See field_errors",
        {"data.amount": "is too much"},
        "request-1",
    )


BLANK = Problem(status=400)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", BLANK),
        (b"<html><title>Bad Request</title></html>", BLANK),
        (b"<" * 3_000_000, BLANK),
        (b"[" * 100_000, BLANK),
        (b"\xff\xfe\x00\xd8", BLANK),
        (b'{"title": "cut of', BLANK),
        (b"null", BLANK),
        (b"7", BLANK),
        (b'"No"', BLANK),
        (b'[{"title": "No"}]', BLANK),
        (b'{"title": 7, "detail": ["a"], "context": [], "field_errors": true}', BLANK),
        (b'{"title": NaN, "status": "400"}', BLANK),
        ('{"title": "Nej, inte så"}'.encode(), Problem(400, "Nej, inte så")),
        ('{"title": "Nej"}'.encode("utf-16"), Problem(400, "Nej")),
        (b'{"title": "' + b"x" * 3_000_000 + b'"}', BLANK),
        (b'{"title": "' + b"x" * 60_000 + b'"}', Problem(400, "x" * 300)),
        (rb'{"title": "half \ud800"}', Problem(400, "half ?")),
        (b'{"detail": "' + b"x" * 301 + b'"}', Problem(400, "", "x" * 300)),
    ],
    ids=range(18),
)
@responses.activate
def test_a_body_of_any_kind_is_put_up_with(
    body: bytes, expected: Problem, elsewhere: PrisjaktClient
) -> None:
    responses.post(ADDRESS, status=400, body=body, content_type="application/octet-stream")

    error = error_of(elsewhere)

    assert isinstance(error, RejectedError)
    assert error.problem == expected


# No answer


def test_a_refused_connection_was_not_sent(http: Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert not_answered(PrisjaktClient(f"http://127.0.0.1:{port}", http, clock=now)) == (
        False,
        False,
    )


NOBODY = MaxRetryError(
    HTTPConnectionPool("x"),
    "/",
    NameResolutionError("x", HTTPConnection("x"), socket.gaierror()),
)


@pytest.mark.parametrize(
    ("error", "sent", "timed_out"),
    [
        (ConnectTimeout(), False, True),
        (RequestsConnectionError(NOBODY), False, False),
        (ReadTimeout(), True, True),
        (RequestsConnectionError("Connection aborted."), True, False),
        (RequestsConnectionError(), True, False),
        (ChunkedEncodingError("Connection broken"), True, False),
        (SSLError("certificate verify failed"), True, False),
    ],
)
@responses.activate
def test_a_broken_call_tells_whether_the_event_may_have_arrived(
    error: Exception, sent: bool, timed_out: bool, elsewhere: PrisjaktClient
) -> None:
    responses.post(ADDRESS, body=error)

    assert not_answered(elsewhere) == (sent, timed_out)


@pytest.mark.parametrize(
    ("fault", "stored"),
    [(Fault(kind="cut_before"), 0), (Fault(kind="cut_after"), 1)],
    ids=["before", "after"],
)
def test_a_connection_that_is_cut_may_have_been_heard(
    fault: Fault, stored: int, client: PrisjaktClient, model: Recorder
) -> None:
    model.faults.append(fault)

    assert not_answered(client) == (True, False)
    assert len(model.events) == stored


def test_an_answer_that_does_not_come_is_a_time_out(
    server: PrisjaktServer, http: Session, model: Recorder
) -> None:
    model.faults.append(Fault(kind="hang", seconds=30))
    client = PrisjaktClient(server.base_address, http, clock=now, timeout=(PATIENCE, 1))

    assert not_answered(client) == (True, True)
    assert len(model.events) == 1


@pytest.mark.parametrize("status", [201, 409, 503])
def test_an_answer_that_stops_in_the_middle_counts_by_its_status(
    status: int, http: Session
) -> None:
    """Whatever the body would have said, the event is there, or it is not."""
    done = Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def stall() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(f"HTTP/1.1 {status} So\r\nContent-Length: 9\r\n\r\n{{".encode())
                done.wait(PATIENCE)

        thread = Thread(target=stall)
        thread.start()
        port = listener.getsockname()[1]
        client = PrisjaktClient(f"http://127.0.0.1:{port}", http, clock=now, timeout=(PATIENCE, 1))
        raised: type[Exception] | None = None
        try:
            client.create_event(PIXEL, event())
        except PrisjaktError as error:
            raised = type(error)
        done.set()
        thread.join()

    assert raised == {201: None, 409: ConflictError, 503: NotAnsweredError}[status]


@pytest.mark.parametrize("location", ["http://[", "https://x.test/\xff\xfe", "//" * 2000])
def test_a_redirect_to_nowhere_is_no_answer(location: str, http: Session) -> None:
    """Redirects are not followed, but their target is read all the same."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def redirect() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                head = f"HTTP/1.1 302 Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
                connection.sendall(head.encode("latin-1"))

        thread = Thread(target=redirect)
        thread.start()
        port = listener.getsockname()[1]
        client = PrisjaktClient(
            f"http://127.0.0.1:{port}", http, clock=now, timeout=(PATIENCE, PATIENCE)
        )
        answer = not_answered(client)
        thread.join()

    assert answer == (True, False)


def test_no_answer_has_a_name_for_the_log(http: Session) -> None:
    client = PrisjaktClient("http://127.0.0.1:1", http, clock=now)

    assert str(error_of(client)) == "no answer: ConnectionError"


# How long to wait


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({"X-RateLimit-Reset": "600000"}, 600), ({"retry-after": "7"}, 7), ({}, None)],
)
@responses.activate
def test_a_rate_limit_carries_its_wait(
    headers: dict[str, str], wait: float | None, elsewhere: PrisjaktClient
) -> None:
    responses.post(ADDRESS, status=429, headers=headers, json={"title": "Too Many Requests"})

    error = error_of(elsewhere)

    assert isinstance(error, RateLimitedError)
    assert error.wait == wait
    assert error.problem.title == "Too Many Requests"


# Secrets


def test_a_secret_is_not_in_what_is_printed() -> None:
    assert repr(PAIR) == "HeaderPair(client_id='shop-1')"
    assert "hush-hush" not in f"{PAIR} {PAIR!r} {[PAIR]}"


@responses.activate
def test_a_secret_is_in_no_error(elsewhere: PrisjaktClient) -> None:
    responses.post(ADDRESS, body=RequestsConnectionError("Connection aborted."))

    with pytest.raises(NotAnsweredError) as raised:
        elsewhere.using(PAIR).create_event(PIXEL, event())

    assert "hush-hush" not in f"{raised.value!r} {raised.value} {raised.value.problem}"


def test_a_secret_that_cannot_be_sent_is_in_no_traceback(elsewhere: PrisjaktClient) -> None:
    """It is quoted by the error that requests raises."""
    client = elsewhere.using(HeaderPair("shop-1", f"{SECRET}\n"))

    with pytest.raises(NotAnsweredError) as raised:
        client.create_event(PIXEL, event())

    assert "InvalidHeader" in str(raised.value)
    assert SECRET not in "".join(format_exception(raised.value))
