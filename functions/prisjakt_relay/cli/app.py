"""`prisjakt-relay`: every command, and how errors leave it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from typing import Any

import typer
from rich.text import Text

from prisjakt_relay import __version__
from prisjakt_relay.cli import (
    check,
    dead,
    local,
    order,
    output,
    prisjakt,
    privacy,
    reconcile,
    report,
    shop,
    snippet,
    uninstall,
    webhooks,
)
from prisjakt_relay.errors import RelayError, StorageError

NAME = "prisjakt-relay"
INTERRUPTED = 130
READER_GONE = 141  # as a shell tells a program that wrote into a closed pipe

_CANNOT_WRITE = frozenset({errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT, errno.EBADF})
_UsageError: Any = typer.BadParameter.__base__  # typer names its own copy of click's no other way

app = typer.Typer(
    name=NAME,
    help="Reports the purchases that came from Prisjakt, exactly once.",
    epilog=(
        "Exit codes: 0 done, 1 not as it should be, 2 wrong call or set-up, "
        "3 AWS, Prisjakt or the shop system does not answer, 130 interrupted, "
        "141 the reader of a pipe has gone."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (
    snippet,
    shop,
    webhooks,
    check,
    order,
    report,
    reconcile,
    dead,
    prisjakt,
    privacy,
    local,
    uninstall,
):
    commands.add_commands(app)

_PANELS = {
    "Set a shop up": ("snippet", "shop", "webhooks"),
    "See that it works": ("test", "doctor"),
    "Understand": ("order", "report"),
    "Repair": ("reconcile", "backfill", "dead"),
    "What Prisjakt holds": ("prisjakt",),
    "What customers ask for": ("privacy",),
    "On this machine, and the end": ("local", "demo", "uninstall"),
}
_panel_of = {name: panel for panel, names in _PANELS.items() for name in names}
_registered: list[Any] = [*app.registered_commands, *app.registered_groups]
for each in _registered:
    each.rich_help_panel = _panel_of[each.name or each.callback.__name__]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(  # read by its callback
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Options of every command."""


def main() -> None:
    """The program. Whatever goes wrong is one sentence on standard error, and an exit code."""
    _make_streams_usable()
    code = run(lambda: app(prog_name=NAME, standalone_mode=False))
    if code == INTERRUPTED:  # threads that still wait for an answer are not waited for
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _make_streams_usable() -> None:
    """Neither a closed stream nor a terminal that has no ✓ is a reason to end."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def run(command: Callable[[], object]) -> int:
    """The exit code of a command; its error, if any, is told."""
    try:
        code = command()
        if code == INTERRUPTED:  # typer's own word for Ctrl-C
            raise KeyboardInterrupt
        sys.stdout.flush()
    except BrokenPipeError:
        return _without_output(READER_GONE)
    except SystemExit as end:  # rich and typer end with 1 where the reader has gone
        if isinstance(end.__context__, BrokenPipeError):
            return _without_output(READER_GONE)
        raise
    except (KeyboardInterrupt, typer.Abort):
        _tell("interrupted: run it again to go on")
        return INTERRUPTED
    except Exception as error:
        text, exit_code = _expected(error)
        if text is None:
            raise
        if text:
            _tell(text)
        return exit_code
    return code if isinstance(code, int) else 0


def _expected(error: Exception) -> tuple[str | None, int]:
    """What to say of an error, and the exit code; None for a defect."""
    if isinstance(error, _UsageError):
        context = error.ctx
        if not error.format_message():  # called without arguments: its help is on the screen
            return "", 2
        help_ = f"; `{context.command_path} --help` shows how" if context else ""
        text = error.format_message().replace("Value error, ", "").rstrip(".")
        return text + help_, 2
    if "botocore" in sys.modules:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        from prisjakt_relay.operations.aws_errors import told

        if isinstance(error, BotoCoreError | ClientError | ResponseParserError | StorageError):
            error = told(error)
    if isinstance(error, RelayError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}", 2
    if isinstance(error, OSError) and error.errno in _CANNOT_WRITE:
        return f"standard output: {error.strerror}", _without_output(2)
    return None, 1


def _without_output(code: int) -> int:
    """Nobody gets any more of it: not even the interpreter's last flush may complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _tell(text: str) -> None:
    with suppress(OSError):  # nobody listens: the exit code says it
        output.err().print(Text.assemble(("error: ", "red"), text), soft_wrap=True, highlight=False)
