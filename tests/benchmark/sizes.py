"""What the two scripts weigh on the wire, beside a script that reads and writes cookies."""

from __future__ import annotations

import re
from typing import Final

import brotli
from tests.benchmark import builds
from tests.benchmark.figures import Bench, Figure, Section

# The limits that `tests/cli/test_snippet.py` holds them to.
LIMITS: Final = {"capture": 750, "shopify": 550}
KEYS: Final = {"capture": "snippet_core_brotli", "shopify": "snippet_shopify_brotli"}
YARDSTICK: Final = "js-cookie"

_ROW: Final = re.compile(rf"^\| ({YARDSTICK} [\d.]+) \| \d+ \| \d+ \| (\d+) \|", re.MULTILINE)


def figures(_bench: Bench) -> Section:
    yardstick = _ROW.search((builds.ROOT / "docs" / "snippet.md").read_text("utf-8"))
    if yardstick is None:
        raise builds.BuildError(f"docs/snippet.md has no size of {YARDSTICK}; run `make sizes`")
    sizes = {script: _size(script) for script in KEYS}
    return Section(
        figures=[
            Figure(
                name=f"{script}.js, Brotli",
                ours=size,
                unit="bytes",
                key=KEYS[script],
                yardstick=int(yardstick[2]),
                yardstick_name=yardstick[1],
                target=LIMITS[script],
            )
            for script, size in sizes.items()
        ],
        details={"brotli_bytes": sizes},
    )


def _size(script: str) -> int:
    (file,) = (builds.ROOT / "snippet" / "dist").glob(f"{script}-*.js")
    return len(brotli.compress(file.read_bytes()))
