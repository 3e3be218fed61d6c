"""`test` and `doctor`: does it work, and if not, what is in the way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prisjakt_relay.cli.options import Json, ShopName, on_stack
from prisjakt_relay.cli.output import err, hint, mark, out, print_json
from prisjakt_relay.operations.command_line import TRIAL_SECONDS

if TYPE_CHECKING:
    from prisjakt_relay.operations.checks import Section
    from prisjakt_relay.operations.finding import Finding
    from prisjakt_relay.operations.stack import Stack

_NAME_WIDTH = 20
_REMEDY_INDENT = 1 + 1 + _NAME_WIDTH + 1
_COPIED_INDENT = 4
_UNBROKEN = re.compile(r"\S*`[^`]*`\S*|\S+")
_QUOTED = re.compile(r"^`([^`]*)`[.,:;]?$")


def add_commands(app: typer.Typer) -> None:
    app.command("test")(on_stack(try_out))
    app.command()(on_stack(doctor))


def try_out(
    stack: Stack,
    shop: ShopName,
    timeout: Annotated[
        float, typer.Option(min=1, max=3600, help="Seconds to wait for Prisjakt's answer.")
    ] = TRIAL_SECONDS,
    as_json: Json = False,
) -> None:
    """Send a sample order all the way to Prisjakt as a test purchase, and time each step.

    Example: prisjakt-relay test my-shop
    """
    from prisjakt_relay.operations import trial

    console = _console(as_json=as_json)
    steps: list[trial.Step] = []
    try:
        with console.status("sending a sample order…") as status:
            for step in trial.run(stack, shop, timeout=timeout):
                steps.append(step)
                status.update("following the order…")
                if not as_json:
                    _tell(console, step.right, step.name, step.found, step.remedy, step.seconds)
    except KeyboardInterrupt:
        if steps:
            hint("The sample order may still arrive as a test-purchase, which counts for nothing.")
        raise
    right = all(step.right is not False for step in steps)
    if as_json:
        print_json({"shop": shop, "right": right, "steps": steps})
    if not right:
        raise typer.Exit(1)


def doctor(
    stack: Stack,
    shop: Annotated[
        str | None, typer.Argument(metavar="SHOP", help="Only this shop; default: all of them.")
    ] = None,
    page: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Where the snippet should be; default: the shop's front page."
        ),
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the same as an HTML page, too."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the stack and its shops, line by line, with the remedy for what is wrong.

    Example: prisjakt-relay doctor my-shop --out doctor.html
    """
    from prisjakt_relay.operations import checks

    if path is not None:
        from prisjakt_relay.operations.page import require_folder

        require_folder(path)
    console = _console(as_json=as_json)
    with console.status("looking…") as status:
        parts = checks.sections(stack, shop, page)
        number = sum(len(part.checks) for part in parts)
        found: list[tuple[Section, list[Finding]]] = [(part, []) for part in parts]
        place = {id(part): findings for part, findings in found}
        for done, (part, finding) in enumerate(checks.run(parts), 1):
            findings = place[id(part)]
            if not as_json:
                if not findings:
                    console.print(Text(part.title, "bold"))
                _tell(console, finding.right, finding.name, finding.found, finding.remedy)
            findings.append(finding)
            status.update(f"{min(done, number)} of {number} checks…")
    _end(stack, shop, found, path, as_json=as_json)


def _end(
    stack: Stack,
    shop: str | None,
    found: list[tuple[Section, list[Finding]]],
    path: Path | None,
    *,
    as_json: bool,
) -> None:
    rights = [finding.right for _, findings in found for finding in findings]
    wrong = rights.count(False)
    if path is not None:
        from prisjakt_relay.operations import doctor_page
        from prisjakt_relay.operations.page import write
        from prisjakt_relay.operations.stack import clock

        lines = [(part.title, findings) for part, findings in found]
        write(doctor_page.page(stack, shop, lines, clock()), path)
    if as_json:
        sections = [{"shop": part.shop, "findings": findings} for part, findings in found]
        print_json({"stack": stack.name, "right": not wrong, "sections": sections})
    else:
        out().print(
            Text.assemble(
                "\n",
                (f"{rights.count(True)} right", "green"),
                ", ",
                (f"{wrong} wrong", "red" if wrong else ""),
                f", {rights.count(None)} for advice or not told",
            )
        )
    if wrong:
        raise typer.Exit(1)


def _console(*, as_json: bool) -> Console:
    """Where progress is shown; lines that belong to the answer are printed in between."""
    return err() if as_json else out()


def _tell(
    console: Console,
    right: bool | None,
    name: str,
    found: str,
    remedy: str,
    seconds: float | None = None,
) -> None:
    line = Table.grid(padding=(0, 1, 0, 0), expand=True)
    line.add_column(width=1)
    line.add_column(width=_NAME_WIDTH)
    line.add_column(ratio=1, overflow="fold")
    line.add_column(justify="right", no_wrap=True)
    line.add_row(mark(right), Text(name), Text(found), Text(_duration(seconds), "dim"))
    console.print(line)
    for text in _remedy_lines(remedy, console.width):
        console.print(Text(text, "yellow"), soft_wrap=True)


def _remedy_lines(remedy: str, width: int) -> Iterator[str]:
    """The remedy below what was found; a command or an address, made to be copied, is never
    broken: where it is too long for that, it has a line of its own."""
    start, line = " " * _REMEDY_INDENT + "→", ""
    for word in _UNBROKEN.findall(remedy):
        if len(start) + len(line) + 1 + len(word) <= width:
            line += f" {word}"
            continue
        if start.strip() or line:
            yield start + line
        start, line = " " * (_REMEDY_INDENT + 1), ""
        if len(start) + 1 + len(word) <= width:
            line = f" {word}"
        else:
            yield " " * _COPIED_INDENT + _QUOTED.sub(r"\1", word)
    if line:
        yield start + line


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
