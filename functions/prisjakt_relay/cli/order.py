"""`order`: the life of one order, and why it is or is not at Prisjakt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from prisjakt_relay.cli.options import Json, ShopName, on_stack, order_id
from prisjakt_relay.cli.output import (
    moment,
    print_json,
    progress,
    row,
    show,
    table,
)
from prisjakt_relay.operations.finding import lasting, money

if TYPE_CHECKING:
    from rich.table import Table

    from prisjakt_relay.errors import Problem
    from prisjakt_relay.ledger import Facts, Record
    from prisjakt_relay.operations.order_life import Entry, Holding, Life
    from prisjakt_relay.operations.stack import Stack
    from prisjakt_relay.prisjakt.models import Event
    from prisjakt_relay.shop import Shop


def add_commands(app: typer.Typer) -> None:
    app.command()(order)


@on_stack
def order(
    stack: Stack,
    shop: ShopName,
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="ID|REFERENCE",
            help="The shop system's id of the order, or its reference.",
            parser=order_id,
        ),
    ],
    days: Annotated[
        int, typer.Option(min=1, max=731, help="How far back to look in the logs.")
    ] = 30,
    as_json: Json = False,
) -> None:
    """Show the life of one order, and why it is or is not at Prisjakt.

    Example: prisjakt-relay order my-shop 5712345678901
    """
    from prisjakt_relay.operations import ledger_items, order_closing, order_life, shops
    from prisjakt_relay.operations.stack import clock

    now = clock()
    since = now - timedelta(days=days)
    document = shops.shop(stack, shop)
    with progress() as bar:
        task = bar.add_task("Reading logs and ledger", total=None)

        def on_day() -> None:
            total = ledger_items.DAYS_KEPT
            bar.update(task, description="Looking through the days", total=total, advance=1)

        life = order_life.found(stack, shop, document, wanted, since, now, on_day=on_day)
        refused = order_life.refused_deliveries(stack, shop, since, now) if life is None else {}
    if life is None:
        _not_found(stack, shop, wanted, days, refused, as_json=as_json)
        raise typer.Exit(1)
    closing = order_closing.closing(stack, life, document, now)
    if as_json:
        print_json(_as_json(stack, life, closing))
    else:
        _show(life, document, closing, days)
    if life.holding.error is not None:
        raise typer.Exit(life.holding.error.exit_code)


def _not_found(
    stack: Stack, shop: str, wanted: str, days: int, refused: Mapping[str, int], *, as_json: bool
) -> None:
    sentence = (
        f"Nothing about {wanted} in the logs of {days} days, nor in the ledger: most likely its "
        f"webhook was never sent or was refused (`{stack.command('doctor', shop)}` finds out); "
        "an order that was ignored is known by its id only, not by its reference."
    )
    if counts := ", ".join(f"{number} {outcome}" for outcome, number in refused.items() if number):
        sentence += (
            f" Deliveries of the shop that were turned away in these days: {counts}; whose they "
            "were is not known."
        )
    if as_json:
        print_json({"shop": shop, "order": None, "refused": refused, "closing": sentence})
    else:
        show(Text(sentence))


# For people


def _show(life: Life, shop: Shop, closing: str, days: int) -> None:
    references = sorted({record.external_id for record in life.records} - {life.order_id, ""})
    known_as = f", reference {' and '.join(references)}" if references else ""
    show(Text(f"Order {life.order_id} of shop {life.shop}{known_as}", "bold"), "")
    if life.entries:
        show(_timeline(life.entries))
    else:
        show(f"Nothing in the logs of {days} days.", "")
    for record in life.records:
        show(_ledger(record))
    if life.records:
        _show_holding(life.holding, shop)
    show(Text(closing, "bold"))


def _timeline(entries: Sequence[Entry]) -> Table:
    made = table("What happened", "Time (UTC)", "What", "Details")
    for first, last, times in _runs(entries):
        repeated = f" ({times} times until {moment(last.at)})" if times > 1 else ""
        row(made, moment(first.at), last.outcome, _details(last) + repeated)
    return made


def _runs(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry, int]]:
    """First, last and number of entries in a row that say the same."""
    first, times = entries[0], 1
    for one, following in zip(entries, [*entries[1:], None], strict=True):
        if following is not None and following.repeats(one):
            times += 1
            continue
        yield first, one, times
        if following is not None:
            first, times = following, 1


def _details(entry: Entry) -> str:
    waits = None if entry.seconds is None else timedelta(seconds=entry.seconds)
    said = [str(entry.answer_status or ""), entry.answer_title or "", *entry.answer_fields]
    answer = " ".join(part for part in said if part)
    parts = [
        f"{entry.reason}: {entry.explanation.meaning}"
        if entry.reason
        else entry.explanation.meaning,
        "it is void" if entry.void else "",
        f"problem: {entry.problem}" if entry.problem else "",
        f"answer: {answer}" if answer else "",
        f"again in {lasting(waits)}" if waits is not None else "",
        f"after {entry.tries} tries without success" if entry.tries else "",
    ]
    return "; ".join(part for part in parts if part)


def _ledger(record: Record) -> Table:
    made = table(f"In the ledger, as {record.event_name}", "", "")
    made.show_header = False
    for name, value in _known(record):
        if value:
            row(made, name, value)
    return made


def _known(record: Record) -> Iterator[tuple[str, str]]:
    from prisjakt_relay.ledger import Status
    from prisjakt_relay.operations.order_closing import facts_text

    def facts(known: Facts | None) -> str:
        return "" if known is None else facts_text(known, record.currency)

    yield "Status", record.status
    if record.status is Status.ERASED:
        yield "Erased", _utc(record.updated_at)
        yield "Forgotten", _utc(record.expires_at)
        return
    yield "Ordered", _utc(datetime.fromisoformat(record.event_time))
    yield "Reported", facts(record.reported)
    yield "Wanted", "" if record.wanted.says(record.reported) else facts(record.wanted)
    yield "First reported", _utc(record.reported_at)
    yield "Corrections", str(record.corrections or "")
    yield "Certain", "" if record.certain else "no: a later try may have been stored"
    yield "Tries that failed", str(record.tries or "")
    yield "Last bad answer", _answer(record.answer)
    yield "Waiting until", _utc(record.not_before)
    yield "Dead", f"{record.death}, {_utc(record.dead_since)}" if record.death else ""
    yield "Given up", _utc(record.dropped_at)
    yield "Click id", record.click_id.partition("_")[0]
    yield "Pixel", record.pixel_id
    yield "Last change", _utc(record.updated_at)
    yield "Forgotten", _utc(record.expires_at)


def _answer(answer: Problem) -> str:
    from prisjakt_relay.errors import Problem
    from prisjakt_relay.operations.explanations import said

    if answer == Problem():
        return ""
    return said(answer) + (f"; request {answer.request_id}" if answer.request_id else "")


def _utc(when: datetime | None) -> str:
    return f"{moment(when)} UTC" if when else ""


def _show_holding(holding: Holding, shop: Shop) -> None:
    if holding.error is not None:
        show(Text(f"What Prisjakt holds could not be read: {holding.error}", "yellow"), "")
    elif not shop.has_credentials:
        show("What Prisjakt holds is not known: reading it needs the shop's credentials.", "")
    elif not holding.asked:
        show("What Prisjakt holds was not asked for: nothing is left to look for it by.", "")
    elif not holding.events:
        show("At Prisjakt: nothing with this reference around that time.", "")
    for event in holding.events:
        show(_event(event))


def _event(event: Event) -> Table:
    made = table(f"At Prisjakt now, as {event.event_name}", "", "")
    made.show_header = False
    items = "" if event.data.number_of_items is None else str(event.data.number_of_items)
    for name, value in (
        ("Event id", event.id),
        ("Reference", event.external_event_id or ""),
        ("Time", _utc(event.event_time)),
        ("Amount", f"{money(event.data.amount)} {event.data.currency}"),
        ("Items", items),
        ("Click id", event.click_id),
    ):
        row(made, name, value)
    return made


# For machines


def _as_json(stack: Stack, life: Life, closing: str) -> dict[str, Any]:
    return {
        "shop": life.shop,
        "order": life.order_id,
        "timeline": [_entry_as_json(stack, life, entry) for entry in life.entries],
        "ledger": [_record_as_json(record) for record in life.records],
        "prisjakt": {
            "asked": life.holding.asked,
            "problem": str(life.holding.error) if life.holding.error else None,
            "events": [event.model_dump() for event in life.holding.events],
        },
        "closing": closing,
    }


def _entry_as_json(stack: Stack, life: Life, entry: Entry) -> dict[str, Any]:
    values = {
        each.name: getattr(entry, each.name) for each in fields(entry) if each.name != "explanation"
    }
    meaning, remedy = entry.explanation.on(stack, life.shop, life.order_id)
    return {**values, "meaning": meaning, "remedy": remedy}


def _record_as_json(record: Record) -> dict[str, Any]:
    """Without the lease, which is the senders' own, and without the click id's signature."""
    kept = {
        each.name: getattr(record, each.name)
        for each in fields(record)
        if each.name not in {"shop", "order_id", "version", "token", "leased_until", "external_id"}
    }
    return {
        "reference": record.external_id,
        **kept,
        "click_id": record.click_id.partition("_")[0],
        "answer": asdict(record.answer),
    }
