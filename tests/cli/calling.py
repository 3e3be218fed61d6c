"""Calls the command line as a terminal or a script does, in this process."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import typer
from tests.conftest import LOCAL_PORT

from prisjakt_relay.cli.app import NAME, app, run


@dataclass(frozen=True)
class Called:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@cache
def command_line() -> Any:
    """All commands with their options, which take as long to put together as most calls take."""
    return typer.main.get_command(app)


class Terminal(io.StringIO):
    """Standard input with somebody at it."""

    def isatty(self) -> bool:
        return True


def call(*arguments: str, stdin: str = "", width: int = 120, asked: bool = False) -> Called:
    """Nothing is a terminal, as in a script; but standard input is, if somebody can be asked."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        patch.setattr(sys, "stdin", Terminal(stdin) if asked else io.StringIO(stdin))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(
                lambda: command_line()(list(arguments), prog_name=NAME, standalone_mode=False)
            )
    return Called(code, out.getvalue(), err.getvalue())


def local(*arguments: str, stdin: str = "", width: int = 120, asked: bool = False) -> Called:
    """The same for the shared local system."""
    where = ("--local", "--port", str(LOCAL_PORT))
    return call(*arguments, *where, stdin=stdin, width=width, asked=asked)
