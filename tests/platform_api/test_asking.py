"""Asking again: what is asked again, after how long, and what is not."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest
from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse
from urllib3.exceptions import ProtocolError

from prisjakt_relay.errors import PlatformBusyError, PlatformRefusedError
from prisjakt_relay.platform_api.asking import (
    LONGEST_WAIT,
    MOST_ATTEMPTS,
    UNTOLD_WAIT,
    Answered,
    Asking,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
URL = "https://shop.example/api?key=hush"


class _Cut(io.RawIOBase):
    """A body that breaks off."""

    def read(self, _size: int = -1) -> bytes:
        raise ProtocolError("Connection broken")


CUT = "breaks off"  # as a parameter it has to look the same in every process


class Shop(BaseAdapter):
    """Answers with what it is given, one after the other; the last for ever."""

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[PreparedRequest] = []

    def send(self, request: PreparedRequest, **_: Any) -> Response:  # type: ignore[override]
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, headers, body = answer
        response = Response()
        response.status_code = status
        response.url = str(request.url)
        response.headers = CaseInsensitiveDict(headers)
        raw = _Cut() if body is CUT else io.BytesIO(body)
        response.raw = HTTPResponse(raw, preload_content=False)
        return response

    def close(self) -> None:
        pass


def asking(shop: Shop, waits: list[float]) -> Asking:
    session = Session()
    session.mount("https://", shop)
    return Asking(session, clock=lambda: NOW, wait=waits.append)


def ask(*answers: Any, **choices: Any) -> tuple[Answered, list[float], Shop]:
    waits: list[float] = []
    shop = Shop(*answers)
    answered = asking(shop, waits).ask("GET", URL, headers={}, **choices)
    return answered, waits, shop


GOOD = (200, {"X-Pages": "1"}, b'{"total": 12.50}')


def test_an_answer_is_read_as_json_with_the_very_digits_of_its_money() -> None:
    answered, waits, shop = ask(GOOD)

    assert (answered.status, answered.body) == (200, {"total": Decimal("12.50")})
    assert answered.headers["x-pages"] == "1"
    assert waits == []
    assert dict(shop.asked[0].headers)["accept"] in ("application/json", b"application/json")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"Notice: undefined\n{}",
        b"\xff\xfe{",
        b'{"a": 1e999999999999999999999}',
        b"[" * 100_000,
        b"9" * 10_000,
    ],
)
def test_what_is_no_json_is_no_error_here(body: bytes) -> None:
    assert ask((200, {}, body))[0].body is None


def test_a_byte_order_mark_before_the_json_does_no_harm() -> None:
    assert ask((200, {}, b"\xef\xbb\xbf[]"))[0].body == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422])
def test_what_stays_wrong_is_asked_once(status: int) -> None:
    answered, waits, shop = ask((status, {}, b'{"code": "no"}'))

    assert (answered.status, answered.body) == (status, {"code": "no"})
    assert (waits, len(shop.asked)) == ([], 1)


@pytest.mark.parametrize(
    "trouble",
    [
        (408, {}, b""),
        (425, {}, b""),
        (500, {}, b""),
        (503, {}, b""),
        (524, {}, b""),
        (200, {}, CUT),
        RequestsConnectionError("refused"),
        OSError("reset"),
    ],
    ids=str,
)
def test_trouble_is_asked_again_after_longer_and_longer_waits(trouble: Any) -> None:
    answered, waits, shop = ask(trouble, trouble, trouble, GOOD)

    assert answered.status == 200
    assert waits == [1.0, 2.0, 4.0]
    assert len(shop.asked) == 4


def test_who_asks_for_patience_without_saying_how_much_gets_some() -> None:
    """Limits are per minute, often."""
    busy: tuple[int, dict[str, str], bytes] = (429, {}, b"")

    assert ask(busy, busy, GOOD)[1] == [UNTOLD_WAIT, UNTOLD_WAIT]


def test_who_never_answers_is_busy_and_no_address_is_told() -> None:
    waits: list[float] = []
    shop = Shop(RequestsConnectionError(f"Max retries exceeded with url: {URL}"))

    with pytest.raises(PlatformBusyError) as caught:
        asking(shop, waits).ask("GET", URL, headers={})

    assert len(shop.asked) == MOST_ATTEMPTS
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert "ConnectionError" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("asked_for", "waited"),
    [
        ("7", 7.0),
        ("0", 1.0),
        ("-3", 1.0),
        ("999999", LONGEST_WAIT),
        ("inf", LONGEST_WAIT),
        ("nan", 1.0),
        ("soon", UNTOLD_WAIT),
        (format_datetime(NOW + timedelta(seconds=45)), 45.0),
        (format_datetime(NOW - timedelta(seconds=45)), 1.0),
        ("Sat, 21 Nov 2026 00:00:30 -0000", 30.0),
    ],
)
def test_the_server_says_how_long_to_wait(asked_for: str, waited: float) -> None:
    assert ask((429, {"Retry-After": asked_for}, b""), GOOD)[1] == [waited]


@pytest.mark.parametrize(
    "trouble", [(500, {}, b""), (200, {}, CUT), RequestsConnectionError("broken")], ids=str
)
def test_what_may_have_been_done_is_not_done_twice(trouble: Any) -> None:
    waits: list[float] = []
    shop = Shop(trouble, GOOD)

    with pytest.raises(PlatformBusyError):
        asking(shop, waits).ask("POST", URL, headers={}, data=b"{}", safe=False)

    assert (waits, len(shop.asked)) == ([], 1)


@pytest.mark.parametrize(
    "held_back", [(429, {}, b""), (503, {"Retry-After": "2"}, b"")], ids=["429", "503"]
)
def test_what_the_server_held_back_is_done_again_though_it_is_not_safe(held_back: Any) -> None:
    answered, waits, shop = ask(held_back, GOOD, safe=False)

    assert answered.status == 200
    assert len(waits) == 1
    assert len(shop.asked) == 2


def test_an_address_that_is_good_once_is_made_anew_for_each_attempt() -> None:
    made = iter(["https://shop.example/1", "https://shop.example/2"])
    url: Callable[[], str] = lambda: next(made)  # noqa: E731
    shop = Shop((500, {}, b""), GOOD)

    asking(shop, []).ask("GET", url, headers={})

    assert [each.url for each in shop.asked] == ["https://shop.example/1", "https://shop.example/2"]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_credentials_follow_no_redirect(status: int) -> None:
    shop = Shop((status, {"Location": "https://thief.example/?key=hush"}, b""))

    with pytest.raises(PlatformRefusedError, match=f"HTTP {status}") as caught:
        asking(shop, []).ask("GET", URL, headers={})

    assert len(shop.asked) == 1
    assert "thief" not in str(caught.value)


def test_who_cannot_wait_says_so() -> None:
    def no_time(_seconds: float) -> None:
        raise PlatformBusyError("no time left")

    session = Session()
    session.mount("https://", Shop((503, {}, b"")))

    with pytest.raises(PlatformBusyError, match="no time left"):
        Asking(session, clock=lambda: NOW, wait=no_time).ask("GET", URL, headers={})
