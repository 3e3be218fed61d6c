"""Tokens: one request for all who need one, and a new one before the old one ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import Any
from urllib.parse import parse_qsl

import pytest
import responses
from requests import Session
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ConnectTimeout, ReadTimeout
from tests.conftest import PATIENCE
from tests.prisjakt.world import OAUTH, PAIR, SECRET, Recorder, now
from tests.sender.world import Clock

from prisjakt_relay.errors import Problem, TokenError
from prisjakt_relay.local.prisjakt_model import Fault
from prisjakt_relay.local.prisjakt_server import PrisjaktServer, create_app, serve
from prisjakt_relay.prisjakt import auth
from prisjakt_relay.prisjakt.auth import TOKEN_URL, Credentials, OAuth, Tokens

ELSEWHERE = "https://auth.pj.test/oauth2/token"
THREADS = 8


@pytest.fixture
def tokens(server: PrisjaktServer, http: Session) -> Tokens:
    return Tokens(server.token_address, http, clock=now, timeout=(PATIENCE, PATIENCE))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def elsewhere(http: Session, clock: Clock) -> Iterator[Tokens]:
    """Tokens of an address that nobody but `responses` answers for."""
    with responses.mock:
        yield Tokens(ELSEWHERE, http, clock=clock)


def token_error(tokens: Tokens) -> TokenError:
    with pytest.raises(TokenError) as raised:
        tokens.get(OAUTH)
    return raised.value


def all_at_once(work: Callable[[], str]) -> list[str | Exception]:
    """What became of it in each of eight threads."""
    barrier = Barrier(THREADS)

    def one() -> str | Exception:
        barrier.wait()
        try:
            return work()
        except TokenError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        return [future.result() for future in [pool.submit(one) for _ in range(THREADS)]]


def test_the_token_endpoint_is_the_documented_one() -> None:
    assert TOKEN_URL == "https://auth.pj.nu/oauth2/token"


def test_a_token_is_asked_for_as_documented(tokens: Tokens, model: Recorder) -> None:
    token = tokens.get(OAUTH)

    (call,) = model.calls
    assert token
    assert (call.method, call.path, call.query) == ("POST", "/oauth2/token", {})
    assert call.headers["content-type"] == "application/x-www-form-urlencoded"
    assert not {"authorization", "client-id", "client-secret"} & set(call.headers)
    assert dict(parse_qsl(call.body.decode())) == {
        "grant_type": "client_credentials",
        "client_id": "shop-1",
        "client_secret": SECRET,
    }


def test_credentials_of_any_script_are_sent(tokens: Tokens, model: Recorder) -> None:
    tokens.get(OAuth("Kündin & Co", "hemlig=\U0001f6d2\ud800"))

    form = dict(parse_qsl(model.calls[0].body.decode()))
    assert (form["client_id"], form["client_secret"]) == ("Kündin & Co", "hemlig=\U0001f6d2?")


def test_a_token_is_kept_for_each_client_and_secret(tokens: Tokens, model: Recorder) -> None:
    others = (OAUTH, OAuth("shop-1", "rotated"), OAuth("shop-2", SECRET))

    first = [tokens.get(each) for each in others]
    again = [tokens.get(OAuth(each.client_id, each.client_secret)) for each in others]

    assert first == again
    assert len(set(first)) == len(model.calls) == 3


def test_of_many_clients_the_tokens_of_those_that_asked_last_are_kept(
    tokens: Tokens, model: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets are rotated for years; a process does not keep what they were good for."""
    monkeypatch.setattr(auth, "CLIENTS", 2)
    one, two, three = (OAuth(f"client-{number}", "hush") for number in range(3))
    kept = {each: tokens.get(each) for each in (one, two)}
    tokens.get(one)
    tokens.get(three)
    asked = len(model.calls)

    assert tokens.get(one) == kept[one]
    assert len(model.calls) == asked
    assert tokens.get(two) != kept[two]
    tokens.forget(three, "long gone")  # which is nobody's trouble


def test_the_caller_hears_of_the_request_and_only_of_that(tokens: Tokens) -> None:
    heard: list[bool] = []

    tokens.get(OAUTH, heard.append)
    tokens.get(OAUTH, heard.append)

    assert heard == [False]


def test_the_caller_can_stop_the_request(tokens: Tokens, model: Recorder) -> None:
    def stop(_counts: bool) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tokens.get(OAUTH, stop)
    assert model.calls == []

    assert tokens.get(OAUTH)


@pytest.mark.parametrize(
    ("expires_in", "kept"),
    [
        (86_399, 86_339),
        (600, 540),
        (599, 539.1),
        (100, 90),
        ("600", 540),
        (1, 0.9),
        (10**9, 86_340),
        (float("inf"), 86_340),
        (0, 270),
        (-5, 270),
        ("soon", 270),
        (None, 270),
        (float("nan"), 270),
        ([600], 270),
    ],
)
def test_a_token_is_renewed_shortly_before_its_end(
    expires_in: object, kept: float, elsewhere: Tokens, clock: Clock
) -> None:
    """A tenth of its life, at most a minute; a few minutes where the answer says no life."""
    for token in ("first", "second"):
        responses.post(ELSEWHERE, json={"access_token": token, "expires_in": expires_in})

    assert elsewhere.get(OAUTH) == "first"
    clock.advance(kept - 0.05)
    assert elsewhere.get(OAUTH) == "first"
    clock.advance(0.05)
    assert elsewhere.get(OAUTH) == "second"


def test_the_time_that_the_answer_took_is_part_of_the_life(http: Session) -> None:
    clock, model = Clock(), Recorder()

    def late(counts: bool) -> None:
        assert not counts

    class Slow(Session):
        def request(self, *args: Any, **options: Any) -> Any:
            answer = http.request(*args, **options)
            clock.advance(86_339)
            return answer

    with closing(serve(create_app(model), 0)) as server:
        tokens = Tokens(server.token_address, Slow(), clock=clock)
        tokens.get(OAUTH, late)
        tokens.get(OAUTH, late)

    assert len(model.calls) == 2


def test_eight_threads_ask_once(tokens: Tokens, model: Recorder) -> None:
    model.faults.append(Fault(kind="hang", operation="token", seconds=1))

    got = all_at_once(lambda: tokens.get(OAUTH))

    assert len(model.calls) == 1
    assert set(got) == {tokens.get(OAUTH)}


def test_eight_threads_are_refused_at_once(tokens: Tokens, model: Recorder) -> None:
    """A token endpoint that is away is not asked by each in turn."""
    body = {"error": "temporarily_unavailable"}
    model.faults.append(Fault(kind="status", operation="token", status=503, body=body, seconds=1))

    got = all_at_once(lambda: tokens.get(OAUTH))

    assert len(model.calls) == 1
    assert {str(each) for each in got} == {"503: temporarily_unavailable"}
    assert len({id(each) for each in got}) == THREADS
    assert tokens.get(OAUTH)


def test_clients_do_not_wait_for_one_another(tokens: Tokens, model: Recorder) -> None:
    model.faults.append(Fault(kind="hang", operation="token", seconds=3))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(tokens.get, OAUTH)
        while not (model.calls or slow.done()):
            pass
        assert tokens.get(OAuth("shop-2", SECRET))
        assert not slow.done()


def test_a_refused_token_is_forgotten(tokens: Tokens, model: Recorder) -> None:
    refused = tokens.get(OAUTH)
    tokens.forget(OAUTH, refused)
    renewed = tokens.get(OAUTH)

    assert renewed != refused
    assert len(model.calls) == 2


def test_a_newer_token_is_not_forgotten_for_an_older_one(tokens: Tokens, model: Recorder) -> None:
    token = tokens.get(OAUTH)

    tokens.forget(OAUTH, "an older one")
    tokens.forget(OAuth("unknown", SECRET), token)

    assert tokens.get(OAUTH) == token
    assert len(model.calls) == 1


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"error": "invalid_client"}, Problem(401, "invalid_client")),
        (
            400,
            {"error": "invalid_request", "error_description": "No such grant", "error_uri": "x"},
            Problem(400, "invalid_request", "No such grant"),
        ),
        (400, {"error": "e" * 301, "error_description": "d" * 301}, ("e" * 300, "d" * 300)),
        (400, {"error": 7, "error_description": ["a"]}, Problem(400)),
        (403, ["no"], Problem(403)),
        (429, None, Problem(429)),
        (500, "Oops", Problem(500)),
        (302, {}, Problem(302)),
    ],
)
def test_a_refusal_is_read_as_oauth_writes_it(
    status: int, body: object, expected: Problem | tuple[str, str], elsewhere: Tokens
) -> None:
    responses.post(ELSEWHERE, status=status, json=body, headers={"Location": "https://x.test/"})

    error = token_error(elsewhere)

    wanted = expected if isinstance(expected, Problem) else Problem(status, *expected)
    assert (error.problem, error.timed_out) == (wanted, False)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome</html>",
        b"[" * 100_000,
        b"null",
        b"[]",
        b"{}",
        b'{"access_token": null}',
        b'{"access_token": 7}',
        b'{"access_token": ""}',
        b'{"access_token": "two words"}',
        b'{"access_token": "two\\r\\nlines: 1"}',
        '{"access_token": "å"}'.encode(),
        b'{"access_token": "' + b"x" * 70_000 + b'"}',
    ],
    ids=range(13),
)
def test_an_answer_without_a_usable_token_is_none(body: bytes, elsewhere: Tokens) -> None:
    responses.post(ELSEWHERE, body=body)

    assert str(token_error(elsewhere)) == "200: no usable access_token in the answer"


@pytest.mark.parametrize(
    ("error", "timed_out"),
    [(ConnectTimeout(), True), (ReadTimeout(), True), (RequestsConnectionError(), False)],
)
def test_no_answer_tells_whether_it_was_a_time_out(
    error: Exception, timed_out: bool, elsewhere: Tokens
) -> None:
    responses.post(ELSEWHERE, body=error)

    raised = token_error(elsewhere)

    assert raised.timed_out is timed_out
    assert str(raised) == f"no answer: {type(error).__name__}"


def test_a_connection_that_is_cut_is_no_token(tokens: Tokens, model: Recorder) -> None:
    model.faults.append(Fault(kind="cut_before", operation="token"))

    assert token_error(tokens).timed_out is False
    assert tokens.get(OAUTH)


@pytest.mark.parametrize("credentials", [PAIR, OAUTH])
def test_a_secret_is_not_in_what_is_printed(credentials: Credentials) -> None:
    assert repr(credentials) == f"{type(credentials).__name__}(client_id='shop-1')"
    assert SECRET not in f"{credentials} {credentials!r} {[credentials]}"


def test_neither_secret_nor_token_is_in_what_tokens_print(tokens: Tokens) -> None:
    token = tokens.get(OAUTH)
    shown = f"{tokens!r} {tokens} {vars(tokens)}"

    assert SECRET not in shown
    assert token not in shown
