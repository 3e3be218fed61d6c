"""Draws the demo for the README: `make picture`."""

from __future__ import annotations

import io
import re

from rich.console import Console

from prisjakt_relay.local import demo, project

WIDTH = 96


def main() -> None:
    console = Console(record=True, width=WIDTH, force_terminal=True, file=io.StringIO())
    demo.run(8787, console)
    drawn = console.export_svg(title="make demo", unique_id="demo")
    without_remote_fonts = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    (project.root() / "docs" / "demo.svg").write_text(without_remote_fonts, "utf-8")


if __name__ == "__main__":
    main()
