"""Prisjakt on behalf of a shop: credentials, allowance, and its errors as sentences."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.cli.orders import credentials, model, new_shop
from tests.operations.elsewhere import WHERE, commands, stack_elsewhere

from prisjakt_relay.errors import (
    AnswerError,
    ConflictError,
    HeldError,
    NotAnsweredError,
    PrisjaktError,
    Problem,
    RateLimitedError,
    RefusedError,
    RejectedError,
    SetupError,
    TokenError,
)
from prisjakt_relay.local.prisjakt_model import Fault
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import shops
from prisjakt_relay.operations.prisjakt_access import client, told, told_by_prisjakt
from prisjakt_relay.operations.stack import Stack

NAME = "lamps"
FIELDS = {"to": "too late"}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TokenError(Problem(401, "invalid_client")), "credentials of shop lamps (401 invalid_cl"),
        (TokenError(Problem(400, "invalid_client", "Gone")), "(400 invalid_client, Gone)"),
        (RefusedError(Problem(401, "Unauthorized")), "relay shop set lamps --prisjakt-client-id"),
        (RefusedError(Problem(403, "Forbidden", "No")), "(403 Forbidden, No): its client needs"),
        (RefusedError(Problem(404, "Pixel not found")), "Prisjakt has no pixel 1: is the id right"),
    ],
)
def test_what_the_shop_can_mend_is_a_matter_of_set_up(error: PrisjaktError, words: str) -> None:
    clear = told(stack_elsewhere(), error, NAME, "pixel 1")

    assert isinstance(clear, SetupError)
    assert clear.exit_code == 2
    assert words in str(clear)
    assert [each for each in commands(str(clear)) if not each.endswith(WHERE)] == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TokenError(Problem(503, "Away")), "token address gives no token (503 Away): try again"),
        (TokenError(Problem(title="ConnectTimeout")), "no token (ConnectTimeout)"),
        (RateLimitedError(Problem(429), 90.4), "try again in 90 s"),
        (RateLimitedError(Problem(429), None), "try again in a minute"),
        (NotAnsweredError(Problem(503), sent=True), "does not answer (503): try again later"),
        (
            NotAnsweredError(Problem(title="ConnectionError"), sent=False),
            "does not answer (ConnectionError): check the network and try again",
        ),
        (NotAnsweredError(Problem(), sent=True), "(no word of why)"),
        (AnswerError(Problem(200, "odd", "Event id: missing")), "(200 odd, Event id: missing)"),
        (RejectedError(Problem(400, "No", field_errors=FIELDS)), "(400 No; to: too late)"),
        (ConflictError(Problem(409, "Exists")), "does not accept the request (409 Exists)"),
    ],
)
def test_what_may_work_later_is_exit_3(error: PrisjaktError, words: str) -> None:
    clear = told(stack_elsewhere(), error, NAME, "pixel 1")

    assert clear is error
    assert clear.exit_code == 3
    assert words in str(clear)


def test_an_argument_that_cannot_be_sent_is_a_wrong_call() -> None:
    words = "click_id: expected a UUID; copy it anew"
    asking = told_by_prisjakt(stack_elsewhere(), NAME, "click x")
    with pytest.raises(SetupError, match=words), asking:
        raise ValueError("click_id: expected a UUID")


def test_errors_of_others_pass_through() -> None:
    with pytest.raises(HeldError), told_by_prisjakt(stack_elsewhere(), NAME, "pixel 1"):
        raise HeldError("later")


def test_a_shop_without_credentials_is_told_where_they_are(
    local_system: LocalSystem, stack: Stack
) -> None:
    shop, _ = new_shop(local_system)

    with pytest.raises(SetupError, match="Business Center") as raised:
        client(stack, shop, shops.shop(stack, shop))

    assert f"prisjakt-relay shop set {shop} --prisjakt-client-id" in str(raised.value)


@pytest.mark.parametrize("auth", ["oauth", "headers"])
def test_either_kind_of_credentials_works(
    local_system: LocalSystem, stack: Stack, auth: str
) -> None:
    shop, pixel_id = new_shop(local_system, prisjakt_auth=auth, **credentials())

    asked = client(stack, shop, shops.shop(stack, shop))

    assert asked.pixel(pixel_id).enabled


def test_a_tool_keeps_to_the_allowance_that_it_shares_with_the_senders(
    local_system: LocalSystem, stack: Stack
) -> None:
    shop, pixel_id = new_shop(
        local_system, prisjakt_client_id="a-busy-client", prisjakt_client_secret="s"
    )
    short = replace(stack, parameters={**stack.parameters, "HourlyAllowance": "1"})
    asked = client(short, shop, shops.shop(stack, shop))
    asked.pixel(pixel_id)

    with pytest.raises(HeldError, match="are used up: try again at") as raised:
        asked.pixel(pixel_id)

    assert raised.value.exit_code == 3
    assert raised.value.until is not None
    assert raised.value.until > datetime.now(UTC)


def test_a_pause_that_a_tool_is_asked_for_is_every_senders(
    local_system: LocalSystem, stack: Stack
) -> None:
    """Whoever of a client hears 429 tells the others."""
    shop, pixel_id = new_shop(
        local_system, prisjakt_client_id="a-paused-client", prisjakt_client_secret="s"
    )
    asked = client(stack, shop, shops.shop(stack, shop))
    model(local_system).faults.append(
        Fault(
            kind="status",
            operation="*",
            pixel_id=pixel_id,
            status=429,
            headers={"Retry-After": "900"},
        )
    )

    with pytest.raises(RateLimitedError):
        asked.pixel(pixel_id)

    turn = stack.rate_limit.reserve("a-paused-client", shop, datetime.now(UTC))
    assert turn is not None
    assert turn - datetime.now(UTC) > timedelta(minutes=14)


def test_a_token_is_no_request_of_the_allowance(local_system: LocalSystem, stack: Stack) -> None:
    shop, pixel_id = new_shop(
        local_system, prisjakt_client_id="a-client-of-one", prisjakt_client_secret="s"
    )
    short = replace(stack, parameters={**stack.parameters, "HourlyAllowance": "1"})

    assert client(short, shop, shops.shop(stack, shop)).pixel(pixel_id).enabled


def test_a_wrong_secret_reads_well(local_system: LocalSystem, stack: Stack) -> None:
    shop, pixel_id = new_shop(local_system, **credentials())
    asked = client(stack, shop, shops.shop(stack, shop))
    model(local_system).faults.append(
        Fault(kind="status", status=401, operation="token", body={"error": "invalid_client"})
    )

    with pytest.raises(SetupError) as raised, told_by_prisjakt(stack, shop, f"pixel {pixel_id}"):
        asked.pixel(pixel_id)

    assert str(raised.value).startswith(
        f"Prisjakt does not accept the credentials of shop {shop} (401 invalid_client): "
    )
    assert "not-so-secret" not in str(raised.value)
