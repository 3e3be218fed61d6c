"""Options that several commands have, each written once."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

import typer

from prisjakt_relay.errors import SetupError
from prisjakt_relay.operations.command_line import LOCAL_PORT, STACK_NAME, STACK_VARIABLE

if TYPE_CHECKING:
    from prisjakt_relay.operations.stack import Stack

_ORDER_LIMIT: Final = 255  # characters, as the relay takes them
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)

WHERE: Final = "Where the relay is"

ShopName = Annotated[str, typer.Argument(metavar="SHOP", help="The shop's name.")]
Json = Annotated[bool, typer.Option("--json", help="For machines: JSON on standard output.")]
WithSecrets = Annotated[
    bool, typer.Option("--secrets", help="Print the secrets instead of their fingerprints.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="DATE", help="First day (UTC), 2026-11-01, or a time."),
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="DATE", help="Last day (UTC), included, or a time; default: now."),
]

StackName = Annotated[
    str,
    typer.Option(
        "--stack",
        envvar=STACK_VARIABLE,
        help="The stack's name.",
        rich_help_panel=WHERE,
    ),
]
Region = Annotated[
    str | None,
    typer.Option("--region", help="AWS region; default: as the AWS CLI.", rich_help_panel=WHERE),
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", help="AWS profile; default: as the AWS CLI.", rich_help_panel=WHERE),
]
Local = Annotated[
    bool,
    typer.Option("--local", help="The local system on this machine.", rich_help_panel=WHERE),
]
Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=1024,
        max=65533,
        help=f"The local system's port; default: {LOCAL_PORT}.",
        rich_help_panel=WHERE,
    ),
]


def order_id(text: str) -> str:
    """An argument that is an order's id or reference."""
    if not 1 <= len(text) <= _ORDER_LIMIT:
        raise SetupError(
            f"an order's id or reference has 1 to {_ORDER_LIMIT} characters, this one has "
            f"{len(text):,}: copy it again"
        )
    return text


def signature_of(command: Callable[..., None]) -> inspect.Signature:
    """With its annotations evaluated; `Stack` is known to the type checker only."""
    names = vars(sys.modules[command.__module__]) | {"Stack": Any}
    return inspect.signature(command, globals=names, eval_str=True)


@dataclass(frozen=True)
class Where:
    """Where a command is to find the relay. Nothing is asked before `stack` is called."""

    stack_name: str
    region: str | None
    profile: str | None
    local: bool
    port: int | None

    def stack(self) -> Stack:
        from prisjakt_relay.operations import stack

        if not self.local:
            if self.port is not None:
                raise SetupError("--port is the local system's: add --local, or leave it out")
            return stack.find(self.stack_name, region=self.region, profile=self.profile)
        if self.region or self.profile:
            raise SetupError("--local has neither region nor profile: leave them out")
        return stack.find_local(self.port or LOCAL_PORT)


def on_stack(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where the relay is; its first argument is the `Stack`."""
    return _located(command, Where.stack)


def on_stack_if_needed(command: Callable[..., None]) -> Callable[..., None]:
    """The same options; the first argument is the `Where`, so that AWS is asked only if needed."""
    return _located(command, lambda where: where)


def _located(command: Callable[..., None], found: Callable[[Where], Any]) -> Callable[..., None]:
    (first, *own) = inspect.signature(command).parameters.values()
    kinds = get_type_hints(  # all but the first's: its type need not be imported for the help
        SimpleNamespace(__annotations__={p.name: p.annotation for p in own}),
        inspect.unwrap(command).__globals__,
        include_extras=True,
    )
    options = {
        "stack_name": (StackName, STACK_NAME),
        "region": (Region, None),
        "profile": (Profile, None),
        "local": (Local, False),
        "port": (Port, None),
    }
    parameters = [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=kinds[p.name]) for p in own
    ] + [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in options.items()
    ]

    @functools.wraps(command)
    def with_where(**arguments: Any) -> None:
        where = Where(**{name: arguments.pop(name) for name in options})
        command(**{first.name: found(where)}, **arguments)

    with_where.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer
    with_where.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    return with_where


def interval(
    first: str | None, last: str | None, *, days: int, now: datetime
) -> tuple[datetime, datetime]:
    """`--from` and `--to` as moments: whole days in UTC, the last one included.

    Without `--from` the interval is that many days, today included; its end is never after `now`.
    """
    until = now if last is None else min(_moment("--to", last, end=True), now)
    if first is not None:
        since = _moment("--from", first)
    else:
        since = datetime.combine(until.date() - timedelta(days=days - 1), time(), UTC)
    if since >= until:
        if last is None:
            raise SetupError(f"--from {first!r}: that is yet to come; write an earlier day")
        raise SetupError("--from is not before --to: exchange them, or leave one out")
    return since, until


def _moment(option: str, text: str, *, end: bool = False) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if end and len(text) <= len("2026-11-01"):
            moment += timedelta(days=1)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise SetupError(f"{option} {text!r}: write a day like 2026-11-01") from None
    if moment < _EARLIEST:
        raise SetupError(f"{option} {text!r}: nothing is known of that time; write a later day")
    return moment
