"""`local` and `demo`: the whole system on this machine."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from prisjakt_relay.cli.output import err, hint, print_json
from prisjakt_relay.errors import SetupError
from prisjakt_relay.operations.command_line import LOCAL_PORT, command

if TYPE_CHECKING:
    from prisjakt_relay.local.system import LocalSystem

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_LOOK_SECONDS: Final = 1.0
_WHY: Final = ("reason", "cause", "standing", "topic")


def add_commands(app: typer.Typer) -> None:
    app.command()(local)
    app.command()(demo)


def local(
    port: Annotated[
        int,
        typer.Option(
            min=1024,
            max=65533,
            help="First of three free ports: webhooks, Prisjakt, AWS.",
        ),
    ] = LOCAL_PORT,
    prisjakt_url: Annotated[
        str | None,
        typer.Option(
            help="Base address of another Prisjakt; default: a simulated one, which has every "
            "pixel, and takes any client id with any secret."
        ),
    ] = None,
    shops: Annotated[
        Path | None,
        typer.Option(help="JSON file, shop name to shop document; default: those of the samples."),
    ] = None,
    time_scale: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=1.0,
            help="Shorten the waits that the relay chooses; 0.01 divides them by 100.",
        ),
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per outcome.")] = False,
) -> None:
    """Run the whole system on this machine until Ctrl-C.

    Example: prisjakt-relay local --port 8787 --shops shops.json
    """
    from prisjakt_relay.local.project import require_local_extra

    require_local_extra()
    from prisjakt_relay.local.system import LocalSystem, read_shops, sample_shops

    for number in _ENDING:
        signal.signal(number, signal.default_int_handler)  # while it starts: stop starting
    documents = read_shops(_text(shops)) if shops else sample_shops()
    lines = _Lines(as_json=as_json)
    with err().status("Building the functions, starting AWS on this machine…"):
        system = LocalSystem(
            port=port,
            shops=documents,
            prisjakt_url=prisjakt_url,
            time_scale=time_scale,
            on_line=lines.write,
        )
    with system:
        for number in _ENDING:
            signal.signal(number, lambda *_: lines.ended.set())
        if sys.stderr.isatty():
            hint(_invitation(system, port))
        lines.print(f"ready {system.address}")
        while not lines.ended.wait(_LOOK_SECONDS):
            system.shop_systems.follow_the_relay()  # shops come and go
    if lines.reader_is_gone:
        raise BrokenPipeError


def demo(
    port: Annotated[
        int, typer.Option(min=1024, max=65533, help="First of three free ports.")
    ] = LOCAL_PORT,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON object.")] = False,
) -> None:
    """Send the sample deliveries through the real system and show what Prisjakt received.

    Example: prisjakt-relay demo
    """
    from prisjakt_relay.local.project import require_local_extra

    require_local_extra()
    from prisjakt_relay.local.demo import run

    result = run(port, Console(quiet=as_json))
    if as_json:
        print_json(result.to_json())
    raise typer.Exit(0 if result.is_right else 1)


class _Lines:
    """Lines on standard output, from any thread, until it ends or nobody reads any more."""

    def __init__(self, *, as_json: bool) -> None:
        self.ended = Event()
        self.reader_is_gone = False
        self._as_json = as_json

    def write(self, line: Mapping[str, Any]) -> None:
        """A line of the functions' logs."""
        from prisjakt_relay.telemetry import AGES

        if self._as_json:
            self.print(json.dumps({k: v for k, v in line.items() if k != "_aws"}))
        elif line["message"] not in AGES:  # of each run, for the metrics
            self.print(_readable(line))

    def print(self, text: str) -> None:
        if self.reader_is_gone:
            return
        try:
            print(text, flush=True)
        except BrokenPipeError:
            self.reader_is_gone = True
            self.ended.set()


def _invitation(system: LocalSystem, port: int) -> str:
    from prisjakt_relay.local.shop_systems import FOLDER

    prisjakt = (
        f"The simulated Prisjakt has every pixel, and takes any client id with any secret: "
        f"{system.prisjakt_url}"
        if system.model
        else f"Reports go to {system.prisjakt_url}"
    )
    return (
        f"Two shops to buy in: {system.address}/\n"
        f"A shop of your own: {command('shop', 'add', 'my-shop', local_port=port)}\n"
        f"Each shop has a simulated shop system: {system.address}{FOLDER}/my-shop\n"
        f"{prisjakt}\n"
        "Ctrl-C ends it, and nothing stays."
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"--shops {path}: {error}") from None


def _readable(line: Mapping[str, Any]) -> str:
    parts = [
        line["timestamp"][11:23],
        f"{line['service']:<10}",
        f"{line['message']:<19}",
        line.get("shop", ""),
        line.get("order_id", ""),
        next((line[name] for name in _WHY if line.get(name)), ""),
        f"{line['recovered']} recovered of {line['orders']}" if "recovered" in line else "",
        line.get("problem", ""),
    ]
    return "  ".join(str(part) for part in parts if part)
