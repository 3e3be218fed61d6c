"""`prisjakt-relay`: every command, and how errors leave it."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.text import Text

from prisjakt_relay import __version__
from prisjakt_relay.cli import local, snippet
from prisjakt_relay.errors import RelayError

app = typer.Typer(
    name="prisjakt-relay",
    help="Reports the purchases that came from Prisjakt, exactly once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
local.add_commands(app)
snippet.add_commands(app)


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
    """Exit codes: 0 done, 1 not as it should be, 2 wrong call or set-up, 130 interrupted."""
    try:
        app()
    except RelayError as error:
        text = Text.assemble(("error: ", "red"), str(error))
        Console(stderr=True).print(text, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
