"""Prisjakt's API on behalf of a shop, within the allowance that senders and tools share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from prisjakt_relay.errors import (
    AnswerError,
    HeldError,
    NotAnsweredError,
    PrisjaktError,
    RateLimitedError,
    RelayError,
    SetupError,
    TokenError,
)
from prisjakt_relay.operations.explanations import said
from prisjakt_relay.operations.stack import Stack, clock, told_clearly
from prisjakt_relay.prisjakt.auth import Tokens, credentials_of
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.shop import Shop
from prisjakt_relay.transport import session

LONGEST_WAIT: Final = timedelta(seconds=60)  # for one request's turn
ROLE: Final = "shop_user"  # what reading and correcting need


def client(
    stack: Stack, name: str, shop: Shop, *, wait: Callable[[float], None] | None = None
) -> PrisjaktClient:
    """A client with the shop's credentials; raises `SetupError` if it has none.

    Its requests take their turns like the senders': `HeldError` says when the next one is. With
    `wait` they wait so many seconds for a turn that comes soon, as they do not go all at once.
    """
    credentials = credentials_of(shop)
    if credentials is None:
        raise SetupError(
            f"shop {name} has no Prisjakt credentials, and reading needs them: get them in "
            f"Business Center, Integrations, then {set_credentials(stack, name)}"
        )

    def take_turn(counts: bool) -> None:
        if not counts:
            return
        began = clock()
        with told_clearly():
            turn = stack.rate_limit.reserve(shop.client, name, began)
            while turn is not None and wait is not None and turn - began <= LONGEST_WAIT:
                wait(max(0.0, (turn - clock()).total_seconds()))
                turn = stack.rate_limit.reserve(shop.client, name, clock(), waited=True)
        if turn is not None:
            raise HeldError(
                f"this hour's requests to Prisjakt are used up: try again at {turn:%H:%M:%S} UTC",
                turn,
            )

    def pause(asked: float | None) -> None:
        with told_clearly():
            stack.rate_limit.pause(shop.client, asked, clock())

    http = session()
    tokens = Tokens(stack.parameters["PrisjaktTokenUrl"], http, clock=clock)
    bare = PrisjaktClient(stack.parameters["PrisjaktUrl"], http, clock=clock, tokens=tokens)
    return bare.using(credentials, take_turn, pause)


@contextmanager
def told_by_prisjakt(stack: Stack, name: str, what: str) -> Iterator[None]:
    """Prisjakt's errors leave with a sentence and a remedy each. `what` was asked for."""
    try:
        yield
    except PrisjaktError as error:
        raise told(stack, error, name, what) from error
    except ValueError as error:  # an argument that the client does not even send
        raise SetupError(f"{error}; copy it anew") from None


def told(stack: Stack, error: PrisjaktError, name: str, what: str) -> RelayError:
    """`SetupError` for what the caller can mend, otherwise the error itself in better words."""
    why, status = said(error.problem), error.problem.status
    if isinstance(error, TokenError) and status in (400, 401, 403):
        return SetupError(_wrong_credentials(stack, name, why))
    if status == 401:
        return SetupError(_wrong_credentials(stack, name, why))
    if status == 403:
        return SetupError(
            f"Prisjakt does not let shop {name} do this ({why}): its client needs the role "
            f"{ROLE}, which Prisjakt gives; `{stack.command('prisjakt', 'client', name)}` shows "
            "what it has"
        )
    if status == 404:
        return SetupError(f"Prisjakt has no {what}: is the id right, and is it this shop's?")
    error.args = (_for_now(error, why),)
    return error


def _for_now(error: PrisjaktError, why: str) -> str:
    if isinstance(error, TokenError):
        return f"Prisjakt's token address gives no token ({why}): try again later"
    if isinstance(error, RateLimitedError):
        wait = f"in {error.wait:.0f} s" if error.wait else "in a minute"
        return f"Prisjakt takes no more requests from this client for now: try again {wait}"
    if isinstance(error, NotAnsweredError):
        remedy = "try again later" if error.problem.status else "check the network and try again"
        return f"Prisjakt does not answer ({why}): {remedy}"
    if isinstance(error, AnswerError):
        return f"Prisjakt answered, but not as it documents ({why}): try a newer prisjakt-relay"
    return f"Prisjakt does not accept the request ({why})"


def _wrong_credentials(stack: Stack, name: str, why: str) -> str:
    return (
        f"Prisjakt does not accept the credentials of shop {name} ({why}): copy them anew from "
        f"Business Center, Integrations, then {set_credentials(stack, name)}"
    )


def set_credentials(stack: Stack, name: str) -> str:
    """The command that gives a shop its credentials, as part of a sentence."""
    credentials = ("--prisjakt-client-id", "ID", "--prisjakt-client-secret", "-")
    return f"`{stack.command('shop', 'set', name, *credentials)}`"
