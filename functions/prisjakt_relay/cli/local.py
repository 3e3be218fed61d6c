"""`local` and `demo`: the whole system on this machine."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer
from rich.console import Console

from prisjakt_relay.errors import SetupError


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
    ] = 8787,
    prisjakt_url: Annotated[
        str | None, typer.Option(help="Base address of another Prisjakt; default: a simulated one.")
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
    from prisjakt_relay.local.system import LocalSystem, read_shops, sample_shops

    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    documents = read_shops(_text(shops)) if shops else sample_shops()
    with Console(stderr=True).status("Building the functions, starting AWS on this machine…"):
        system = LocalSystem(
            port=port,
            shops=documents,
            prisjakt_url=prisjakt_url,
            time_scale=time_scale,
            on_line=_json_line if as_json else _text_line,
        )
    with system:
        _out(f"ready {system.address}")
        stop.wait()


def demo(
    port: Annotated[
        int, typer.Option(min=1024, max=65533, help="First of three free ports.")
    ] = 8787,
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON object.")] = False,
) -> None:
    """Send the sample deliveries through the real system and show what Prisjakt received.

    Example: prisjakt-relay demo
    """
    from prisjakt_relay.local.demo import run

    result = run(port, Console(quiet=as_json))
    if as_json:
        print(json.dumps(result.to_json(), indent=2))
    raise typer.Exit(0 if result.is_right else 1)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"--shops {path}: {error}") from None


def _json_line(line: Mapping[str, Any]) -> None:
    _out(json.dumps({k: v for k, v in line.items() if k != "_aws"}))


def _text_line(line: Mapping[str, Any]) -> None:
    parts = [
        line["timestamp"][11:23],
        f"{line['service']:<8}",
        f"{line['message']:<19}",
        line.get("shop", ""),
        line.get("order_id", ""),
        line.get("reason") or line.get("cause") or "",
        line.get("problem", ""),
    ]
    _out("  ".join(str(part) for part in parts if part))


def _out(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        sys.stderr.close()
        signal.raise_signal(signal.SIGTERM)
