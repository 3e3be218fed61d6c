"""The program's first step: even while it loads, Ctrl-C is one sentence."""

from __future__ import annotations

import sys


def main() -> None:
    try:
        from prisjakt_relay.cli.app import main as program
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted: run it again to go on\n")
        sys.exit(130)
    program()


if __name__ == "__main__":
    main()
