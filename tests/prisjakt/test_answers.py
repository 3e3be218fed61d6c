"""What an answer means, whatever it looks like."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import timedelta
from email.utils import format_datetime
from threading import Event, Thread

import pytest
import responses
from hypothesis import given
from hypothesis import strategies as st
from requests import Session
from tests.conftest import PATIENCE
from tests.prisjakt.world import PAIR, PIXEL, SHOP, now
from tests.sender.world import START

from prisjakt_relay.errors import (
    AnswerError,
    ConflictError,
    NotAnsweredError,
    PrisjaktError,
    Problem,
    RateLimitedError,
    RefusedError,
    RejectedError,
)
from prisjakt_relay.prisjakt.answers import LONGEST_PAUSE, Rate, pause, rate, refusal
from prisjakt_relay.prisjakt.client import PrisjaktClient

# Refusals


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_2xx_is_a_success(status: int) -> None:
    assert refusal(status, {}, None, START) is None


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        (RejectedError, [400, 413, 422]),
        (ConflictError, [409]),
        (RefusedError, [401, 402, 403, 404, 405, 406, 410, 411, 415, 418, 451, 499]),
        (RateLimitedError, [429]),
        (NotAnsweredError, [300, 301, 302, 303, 304, 307, 308, 408, 425]),
        (NotAnsweredError, [500, 501, 502, 503, 504, 507, 520, 529, 599]),
    ],
)
def test_each_status_is_one_error(kind: type[PrisjaktError], statuses: list[int]) -> None:
    for status in statuses:
        error = refusal(status, {}, None, START)

        assert type(error) is kind
        assert error.problem == Problem(status=status)


@pytest.mark.parametrize("status", [302, 408, 500, 503])
def test_an_answer_that_says_nothing_leaves_open_whether_the_event_was_stored(status: int) -> None:
    error = refusal(status, {}, None, START)

    assert isinstance(error, NotAnsweredError)
    assert (error.sent, error.timed_out) == (True, False)


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"request-id": "a"}, "a"),
        ({"request_id": "b"}, "b"),
        ({"request-id": "a", "request_id": "b"}, "a"),
        ({"request-id": "", "request_id": "b"}, "b"),
        ({"request-id": 7}, ""),
        ({}, ""),
        ("request-1", ""),
        (None, ""),
    ],
)
def test_the_request_id_has_either_name(context: object, expected: str) -> None:
    error = refusal(400, {}, {"context": context}, START)

    assert error is not None
    assert error.problem.request_id == expected


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ({"a": {"message": "no", "value": "secret"}}, {"a": "no"}),
        ({"a": "no"}, {"a": "no"}),
        ({"a": {"value": "secret"}}, {"a": ""}),
        ({"a": ["no"], "b": None, "c": 1}, {"a": "", "b": "", "c": ""}),
        ({"": {"message": "no"}}, {"event": "no"}),
        ({"a" * 301: "b" * 301}, {"a" * 300: "b" * 300}),
        ({f"{n:03}": "no" for n in range(50)}, {f"{n:03}": "no" for n in range(20)}),
        (["a"], {}),
        ("a", {}),
        (None, {}),
    ],
)
def test_field_errors_of_any_shape_are_read_and_cut(
    errors: object, expected: Mapping[str, str]
) -> None:
    """A name is never empty, since a table could not hold it; a value is never read."""
    error = refusal(400, {}, {"field_errors": errors}, START)

    assert error is not None
    assert error.problem.field_errors == expected


# How long to wait

EPOCH = START.timestamp()


def after(seconds: float, zone: str = "GMT") -> str:
    moment = START + timedelta(seconds=seconds)
    return format_datetime(moment, usegmt=True).replace("GMT", zone)


@pytest.mark.parametrize(
    ("reset", "retry_after", "expected"),
    [
        # neither, or nothing that can be read
        (None, None, None),
        ("", "", None),
        ("soon", "later", None),
        ("NaN", "nan", None),
        ("12:30", "Fri, 99 Nov 2026 00:00:00 GMT", None),
        (None, "Sat, 21 Nov 99999999999999999999 00:00:00 GMT", None),
        # a duration in milliseconds
        ("600000", None, 600),
        ("1500", None, 1.5),
        ("1000", None, 1),
        ("6e5", None, 600),
        (" 600000 ", None, 600),
        ("3600000", None, 3600),
        ("999999999", None, LONGEST_PAUSE),
        # a point in time in milliseconds, or in seconds
        (f"{(EPOCH + 90) * 1000:.0f}", None, 90),
        (f"{(EPOCH + 7200) * 1000:.0f}", None, LONGEST_PAUSE),
        (f"{(EPOCH - 1) * 1000:.0f}", None, None),
        (f"{EPOCH + 90:.0f}", None, 90),
        (f"{EPOCH + 7200:.0f}", None, LONGEST_PAUSE),
        (f"{EPOCH - 1:.0f}", None, None),
        ("100000000000", None, None),
        ("1000000000", None, None),
        # nothing to rely on: no time at all, or less than a second, which may be another unit
        ("0", None, None),
        ("999", None, None),
        ("60", None, None),
        ("-600000", None, None),
        ("-inf", None, None),
        ("inf", None, LONGEST_PAUSE),
        ("9" * 400, None, LONGEST_PAUSE),
        # Retry-After: seconds or a date
        (None, "120", 120),
        (None, "1", 1),
        (None, "0", None),
        (None, "-5", None),
        (None, "7200", LONGEST_PAUSE),
        (None, "inf", LONGEST_PAUSE),
        (None, after(120), 120),
        (None, after(120, "-0000"), 120),
        (None, after(120, "+0100"), None),
        (None, after(-120), None),
        (None, after(86_400), LONGEST_PAUSE),
        # both: the longer one
        ("600000", "120", 600),
        ("60000", "120", 120),
        ("-1", "120", 120),
        ("600000", "soon", 600),
        ("soon", "120", 120),
    ],
)
def test_the_wait_that_the_headers_ask_for(
    reset: str | None, retry_after: str | None, expected: float | None
) -> None:
    given = {"X-RateLimit-Reset": reset, "Retry-After": retry_after}
    headers = {name: value for name, value in given.items() if value is not None}

    assert pause(headers, START) == (expected if expected is None else pytest.approx(expected))


@given(st.text(), st.text())
def test_no_header_is_too_strange_to_be_read(reset: str, retry_after: str) -> None:
    wait = pause({"X-RateLimit-Reset": reset, "Retry-After": retry_after}, START)

    assert wait is None or 1 <= wait <= LONGEST_PAUSE


@given(st.integers(-(10**13), 10**13))
def test_the_wait_is_never_longer_than_an_hour(reset: int) -> None:
    wait = pause({"X-RateLimit-Reset": str(reset)}, START)

    assert wait is None or 1 <= wait <= LONGEST_PAUSE == 3600


# The allowance


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "expected"),
    [
        ("10000", "9999", "600000", Rate(10_000, 9_999, 600)),
        ("10000", "0", "500", Rate(10_000, 0, 0.5)),
        (" 10000 ", "0", f"{(EPOCH + 90) * 1000:.0f}", Rate(10_000, 0, 90)),
        ("10000", "0", f"{EPOCH + 90:.0f}", Rate(10_000, 0, 90)),
        ("10000", "0", f"{EPOCH - 90:.0f}", Rate(10_000, 0, 0)),
        ("10000", "0", "-1", Rate(10_000, 0, 0)),
        ("10000", "0", "inf", Rate(10_000, 0, LONGEST_PAUSE)),
        ("10000", "0", "nan", Rate(10_000, 0, None)),
        ("10000", "0", "soon", Rate(10_000, 0, None)),
        ("10000", "0", None, Rate(10_000, 0, None)),
        ("many", "0", "600000", None),
        ("10000", "1.5", "600000", None),
        ("10000", "9" * 5000, "600000", None),
        ("", "0", "600000", None),
        (None, "0", "600000", None),
        ("10000", None, "600000", None),
        (None, None, None, None),
    ],
)
def test_the_allowance_is_read_if_it_can_be(
    limit: str | None, remaining: str | None, reset: str | None, expected: Rate | None
) -> None:
    given = {"Limit": limit, "Remaining": remaining, "Reset": reset}
    headers = {f"X-RateLimit-{name}": text for name, text in given.items() if text is not None}

    assert rate(headers, START) == expected


@given(st.text(), st.text(), st.text())
def test_no_allowance_is_too_strange_to_be_read(limit: str, remaining: str, reset: str) -> None:
    names = ("Limit", "Remaining", "Reset")
    told = dict(zip(names, (limit, remaining, reset), strict=True))

    found = rate({f"X-RateLimit-{name}": text for name, text in told.items()}, START)

    assert found is None or 0 <= (found.reset_seconds or 0) <= LONGEST_PAUSE


# Bodies of a success


def pixels_of(http: Session, base: str) -> int:
    client = PrisjaktClient(base, http, clock=now, credentials=PAIR, timeout=(PATIENCE, 1))
    return len(client.pixels(SHOP))


@pytest.mark.parametrize(
    ("size", "fits"), [(64 * 1024 + 1, True), (16 * 1024**2, True), (16 * 1024**2 + 1, False)]
)
@responses.activate
def test_an_answer_may_be_long_but_not_endless(size: int, fits: bool, http: Session) -> None:
    body = f'[{{"id": "{PIXEL}", "enabled": true}}]'.encode()
    responses.get(f"https://api.pj.test/shops/{SHOP}/pixels", body=body.rjust(size))

    if fits:
        assert pixels_of(http, "https://api.pj.test") == 1
    else:
        with pytest.raises(AnswerError):
            pixels_of(http, "https://api.pj.test")


@pytest.mark.parametrize("waits", [True, False], ids=["stalled", "cut off"])
def test_an_answer_that_stops_in_the_middle_can_be_asked_for_again(
    waits: bool, http: Session
) -> None:
    done = Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def stop() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[")
                if waits:
                    done.wait(PATIENCE)

        thread = Thread(target=stop)
        thread.start()
        with pytest.raises(NotAnsweredError) as raised:
            pixels_of(http, f"http://127.0.0.1:{listener.getsockname()[1]}")
        done.set()
        thread.join()

    assert (raised.value.sent, raised.value.timed_out) == (True, waits)
