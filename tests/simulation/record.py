"""`make proof`: keeps what the long runs came to, and writes the figures of docs/proof.md from it.

`python -m tests.simulation.record CAMPAIGN BUGS OUTAGES`, the JSON files of those three commands.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.benchmark import output
from tests.simulation import bugs
from tests.simulation.campaign import GROUPS, ROOT
from tests.simulation.outages import OUTAGES

PAGE: Final = ROOT / "docs" / "proof.md"
RECORD: Final = ROOT / "docs" / "proof.json"
PARTS: Final = ("campaign", "bugs", "outages")
NO_ALLOWANCE: Final = 10_000  # so many that it holds nothing up

Document = Mapping[str, Any]


def main(record: Path = RECORD, page: Path = PAGE) -> int:
    parser = argparse.ArgumentParser(prog="tests.simulation.record", description=__doc__)
    for part in PARTS:
        parser.add_argument(part, type=Path, help=f"what the command of the {part} wrote")
    options = parser.parse_args()
    documents = {part: json.loads(getattr(options, part).read_bytes()) for part in PARTS}
    reasons = list(unfit(documents))
    if reasons:
        print(*reasons, sep="\n", file=sys.stderr)  # noqa: T201
        return 1
    written = page_of(page.read_text(encoding="utf-8"), documents)
    output.write_json(record, documents)
    page.write_text(written, encoding="utf-8")
    return 0


def unfit(documents: Mapping[str, Document]) -> Iterator[str]:
    """Why these are no figures for the page: a part that is missing, a promise that was broken."""
    for part in PARTS:
        if documents[part]["broken"]:
            yield f"{part}: broken: {documents[part]['broken']}"
    codes = {documents[part]["code"] for part in PARTS}
    if len(codes) > 1:
        yield f"{', '.join(PARTS)}: not of the same code; run all three again"
    for part in PARTS:
        if documents[part]["commit"].endswith("-dirty"):
            yield f"{part}: of a working copy that nobody else has; commit, and run it again"
    for part, known in (("bugs", set(bugs.BUGS)), ("outages", set(OUTAGES))):
        found = {each["name"] for each in documents[part][part]}
        for name in sorted(found ^ known):
            yield f"{part}: {name} is {'missing' if name in known else 'unknown'}"


def page_of(page: str, documents: Mapping[str, Document]) -> str:
    """The page with the figures between its markers written anew."""
    for part in PARTS:
        begin, end = marker(part), marker(f"end of {part}")
        pattern = f"(?<={re.escape(begin)}\n).*?(?={re.escape(end)}\n)"
        lines = "\n".join(_WRITERS[part](documents[part]))
        page, found = re.subn(pattern, partial(_instead, lines), page, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"{begin} … {end} is there {found} times")
    return page


def _instead(lines: str, _: re.Match[str]) -> str:
    return f"{lines}\n"


def marker(what: str) -> str:
    return f"<!-- {what} -->"


def _origin(document: Document) -> str:
    machine = document["machine"]
    parts = (
        document["measured_at"][:10],
        f"commit {document['commit']}",
        f"Python {document['python']}",
        f"{machine['cores']} cores",
        f"{machine['system']} on {machine['architecture']}",
    )
    return ", ".join(parts)


def _campaign(document: Document) -> Iterator[str]:
    worlds, seconds = document["worlds"], document["seconds"]
    first = document["first"]
    yield (
        f"{worlds:,} worlds (seeds {first:,} to {first + worlds - 1:,}) in {seconds / 60:.0f} "
        f"minutes, {worlds / seconds:.0f} a second, every promise kept."
    )
    yield (
        f"{document['invocations']:,} invocations of the sender, {document['requests']:,} requests "
        f"that reached Prisjakt; {document['worlds_with_deployments']:,} worlds with deployments,"
    )
    yield (
        f"{document['worlds_with_skewed_clocks']:,} with clocks that differ; {document['lost']:,} "
        f"deliveries that never arrived, and {document['recovered']:,} orders that the reconciler "
        "found."
    )
    yield from ("", f"({_origin(document)}.)", "")
    yield from _table("Trouble", "Worlds that it struck", "Times")
    struck = document["struck"]
    for kind in sorted(struck, key=lambda each: (each not in GROUPS, each)):
        name = f"{kind}, all of it" if kind in GROUPS else kind
        yield f"| {name} | {document['worlds_struck'][kind]:,} | {struck[kind]:,} |"


def _bugs(document: Document) -> Iterator[str]:
    yield f"({_origin(document)}.)"
    yield ""
    yield from _table("Bug", "What the relay does then", "Found by seed")
    for each in document["bugs"]:
        yield f"| `{each['name']}` | {each['about']} | {each['seed']} |"


def _outages(document: Document) -> Iterator[str]:
    yield from _table(
        "Outage",
        "Due orders",
        "Lost",
        "Given up",
        "Told twice",
        "Events per order, most",
        "Refused deliveries",
        "Drained after",
        "Busiest hour, of the allowance",
    )
    for each in document["outages"]:
        is_held_up = each["allowance"] < NO_ALLOWANCE
        cells = (
            f"{each['what']} for {spoken(timedelta(seconds=each['length_seconds']))}",
            f"{each['due']:,}",
            f"{each['lost']:,}",
            f"{len(each['given_up']):,}",
            f"{each['repeats']:,}",
            f"{each['events_per_order']:,}",
            f"{each['refused']:,}",
            f"{each['drained_hours']:.1f} h" if is_held_up else "",
            f"{each['busiest_hour']:,} of {each['allowance']:,}",
        )
        yield f"| {' | '.join(cells)} |".replace("|  |", "| |")
    yield from ("", f"({_origin(document)}.)")


def _table(*headings: str) -> Sequence[str]:
    return f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"


def spoken(length: timedelta) -> str:
    """In the units that it has."""
    if not length % timedelta(days=1):
        return _counted(length.days, "day")
    hours, rest = divmod(length, timedelta(hours=1))
    minutes = rest // timedelta(minutes=1)
    return f"{hours} h {minutes} min" if minutes else _counted(hours, "hour")


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' * (number != 1)}"


_WRITERS: Final[Mapping[str, Callable[[Document], Iterator[str]]]] = {
    "campaign": _campaign,
    "bugs": _bugs,
    "outages": _outages,
}


if __name__ == "__main__":
    sys.exit(main())
