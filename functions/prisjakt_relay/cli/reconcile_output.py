"""How a comparison and a backfill look, for people and machines, and how they are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.text import Text

from prisjakt_relay.cli import output
from prisjakt_relay.cli.shop_api import tell_wait
from prisjakt_relay.errors import RelayError
from prisjakt_relay.operations import backfilling, platform_access, reconciling
from prisjakt_relay.operations.backfilling import BackfillBook, Lost, Portion
from prisjakt_relay.operations.explanations import REASONS
from prisjakt_relay.operations.finding import counted, money, spanning
from prisjakt_relay.operations.reconciling import (
    EXPLANATIONS,
    ON_ITS_WAY,
    Count,
    Difference,
    Listener,
    Reconciliation,
)
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.reconciler.reconciliation import BACKFILLED, Standing
from prisjakt_relay.shop import Shop

SHOWN: Final = 20  # of a kind, for people
_STILL_QUEUED: Final = "What is on the queue counts as lost until a sender has taken it up."


class _Bar:
    """One line of progress, which says when the shop's server makes us wait."""

    def __init__(self, bars: Progress, title: str) -> None:
        self._bars = bars
        self._title = title
        self._task: TaskID = bars.add_task(title, total=None)

    def advance(self, number: int) -> None:
        self._bars.update(self._task, description=self._title, advance=number)

    def wait(self, seconds: float) -> None:
        if self._bars.disable:
            tell_wait(seconds)
        waiting = f"{self._title} (the shop's server asks us to wait {seconds:.0f} s)"
        self._bars.update(self._task, description=waiting)


def _order(order_id: str | None, reference: str) -> str:
    if order_id is None:
        return f"({reference})"
    return order_id + (f" ({reference})" if reference != order_id else "")


# Comparing


def compare(
    stack: Stack,
    name: str,
    shop: Shop,
    since: datetime,
    until: datetime,
    now: datetime,
    *,
    as_json: bool,
) -> None:
    """Compare, and say what came of it; ends with 1 if there is a difference."""
    with output.progress() as bars:
        events, orders, days = (
            _Bar(bars, title) for title in ("purchases read", "orders read", "days of the ledger")
        )
        found = reconciling.reconcile(
            stack,
            name,
            shop,
            platform_access.api(stack, name, shop, on_wait=orders.wait),
            since,
            until,
            now=now,
            listener=Listener(
                on_events=events.advance, on_orders=orders.advance, on_days=days.advance
            ),
        )
    if as_json:
        output.print_json(_as_json(found))
    else:
        _print(stack, found)
    if found.differences:
        raise typer.Exit(1)


def _as_json(found: Reconciliation) -> dict[str, Any]:
    told = asdict(found)
    told["counts"] = [count._asdict() for count in found.counts]
    return told


def _print(stack: Stack, found: Reconciliation) -> None:
    output.show(
        Text(f"{found.shop}, orders of {spanning(found.since, found.until)}", "bold"),
    )
    counts = output.table("", "Orders", "Where they are", "What that means", right=["Orders"])
    for count in found.counts:
        output.row(counts, f"{count.orders:,}", _where(count), _meaning(count))
    counts.add_section()
    output.row(counts, f"{found.orders:,}", "in the shop", style="bold")
    output.show(counts)
    output.show(f"In the ledger: {counted(found.in_ledger, 'order')} of these days.")
    if found.not_compared:
        _show_to_copy(f"Not compared with Prisjakt: {found.not_compared}.")
    else:
        output.show(f"At Prisjakt: {counted(found.at_prisjakt, 'purchase')} of these days.")
    if found.not_searched:
        output.show(f"Not searched for purchases of no order: {found.not_searched}.")
    for kind, differences in groupby(found.differences, lambda each: each.kind):
        _print_differences(stack, found.shop, kind, list(differences))
    total = len(found.differences)
    output.show(f"\n{counted(total, 'difference')}." if total else "\nNo differences.")
    if late := sum(count.orders for count in found.counts if count.standing == ON_ITS_WAY):
        those = "1 order is" if late == 1 else f"{late:,} orders are"
        output.hint(f"{those} too fresh to be judged: run it again in a minute.")


def _show_to_copy(text: str) -> None:
    """A line with a command in it, which must not be broken."""
    output.out().print(text, markup=False, soft_wrap=True)


def _where(count: Count) -> str:
    return f"{count.standing}: {count.reason}" if count.reason else count.standing


def _meaning(count: Count) -> str:
    return (REASONS[count.reason] if count.reason else EXPLANATIONS[count.standing]).meaning


def _print_differences(
    stack: Stack, name: str, kind: reconciling.Kind, differences: list[Difference]
) -> None:
    meaning = EXPLANATIONS[kind].meaning
    output.show(Text(f"\n{len(differences):,} {kind}: {meaning}", "bold"))
    table = output.table("", "Order", "Ordered (UTC)", "What is there")
    table.columns[1].no_wrap = True
    for each in differences[:SHOWN]:
        order = _order(each.order_id, each.order_reference)
        output.row(table, order, output.minute(each.ordered_at), each.found)
    output.show(table)
    if len(differences) > SHOWN:
        output.show(f"… and {len(differences) - SHOWN:,} more: --json has all.")
    remedies = {each.remedy for each in differences}
    if len(remedies) > 1:  # each names its own order
        remedies = {EXPLANATIONS[kind].on(stack, name, "ORDER").remedy}
    _show_to_copy(f"→ {remedies.pop()}")
    if kind in BACKFILLED:
        output.show(Text(_STILL_QUEUED, "dim"))


# Backfilling


class Backfill:
    """One run, from what an interrupted one left on."""

    def __init__(
        self,
        stack: Stack,
        name: str,
        shop: Shop,
        since: datetime,
        until: datetime,
        now: datetime,
        *,
        restart: bool,
        as_json: bool,
    ) -> None:
        self._stack, self._name, self._shop = stack, name, shop
        self._since, self._until, self._now = since, until, now
        self._as_json = as_json
        earlier = None if restart else BackfillBook(stack.store).get(name)
        goes_on = (
            earlier is not None
            and earlier.is_continued_by(since, until)
            and earlier.complete_until > since
        )
        self._continued = earlier.complete_until if earlier and goes_on else None
        self._orders = self._queued = 0
        self._counts: Counter[Standing] = Counter()
        self._kept: list[Lost] = []

    def go(self, *, yes: bool, dry_run: bool) -> None:
        """Show what would be sent, ask, send it; where nobody has to be asked, as it is read."""
        if self._continued:
            output.hint(
                f"An interrupted run came as far as {output.moment(self._continued)} UTC: this one "
                "goes on from there. --restart begins anew."
            )
        if yes and not dry_run:
            with self._reading() as portions:
                self._send(portions)
            if not self._as_json:
                self._show(output.out())
        else:
            with self._reading() as portions:
                plan = list(portions)
            if not (self._as_json and dry_run):
                self._show(output.err() if self._as_json else output.out())
            if not dry_run:
                self._send_if_wanted(plan)
        self._end(dry_run=dry_run)

    def _send_if_wanted(self, plan: list[Portion]) -> None:
        if self._counts and not output.confirmed(
            f"Send {counted(self._lost, 'order')}?", yes=False
        ):
            raise typer.Exit(1)
        with output.progress() as bars:
            bar = _Bar(bars, "orders sent")
            self._send(plan, lambda portion: bar.advance(len(portion.lost)))

    @property
    def _lost(self) -> int:
        return self._counts.total()

    @contextmanager
    def _reading(self) -> Iterator[Iterator[Portion]]:
        with output.progress() as bars:
            bar = _Bar(bars, "orders read")
            api = platform_access.api(self._stack, self._name, self._shop, on_wait=bar.wait)
            since = self._continued or self._since
            portions = backfilling.portions(
                self._stack, self._name, self._shop, api, since, self._until, now=self._now
            )
            yield self._noted(portions, bar)

    def _noted(self, portions: Iterator[Portion], bar: _Bar) -> Iterator[Portion]:
        for portion in portions:
            self._orders += portion.orders
            self._counts.update(lost.standing for lost in portion.lost)
            room = None if self._as_json else max(0, SHOWN - len(self._kept))
            self._kept += portion.lost[:room]
            bar.advance(portion.orders)
            yield portion

    def _send(
        self, portions: Iterable[Portion], on_sent: Callable[[Portion], None] = lambda _: None
    ) -> None:
        def sent(portion: Portion) -> None:
            self._queued += len(portion.lost)
            on_sent(portion)

        try:
            backfilling.carry_out(
                self._stack, self._name, portions, self._since, self._until, on_sent=sent
            )
        except (KeyboardInterrupt, RelayError):
            output.hint(f"{counted(self._queued, 'order')} put on the queue so far.")
            raise

    def _show(self, console: Console) -> None:
        if not self._counts:
            console.print(f"Nothing to send of {counted(self._orders, 'order')}.")
            return
        table = output.table("", "Order", "Ordered (UTC)", "Why", "What it says")
        table.columns[1].no_wrap = True
        for standing, order in self._kept[:SHOWN]:
            worth = f"{money(order.amount)} {order.currency}"
            output.row(
                table,
                _order(order.order_id, order.order_reference),
                output.minute(order.event_time),
                standing,
                "cancelled" if order.void else worth,
            )
        console.print(table)
        counts = "; ".join(f"{number:,} {standing}" for standing, number in self._counts.items())
        first = f"The first {SHOWN} are shown. " if self._lost > SHOWN else ""
        console.print(f"{first}Of {counted(self._orders, 'order')}: {counts}")

    def _end(self, *, dry_run: bool) -> None:
        if self._as_json:
            output.print_json(
                {
                    "shop": self._name,
                    "since": self._since,
                    "until": self._until,
                    "continued_from": self._continued,
                    "dry_run": dry_run,
                    "orders": self._orders,
                    "lost": [_lost_as_json(each) for each in self._kept],
                    "queued": self._queued,
                }
            )
        elif not dry_run and self._queued:
            output.show(f"{counted(self._queued, 'order')} put on the queue.")
        if self._queued:
            output.hint(_STILL_QUEUED)


def _lost_as_json(lost: Lost) -> dict[str, Any]:
    order = lost.conversion
    return {
        "standing": lost.standing,
        "order_id": order.order_id,
        "order_reference": order.order_reference,
        "event_name": order.event_name,
        "ordered_at": order.event_time,
        "amount": order.amount,
        "currency": order.currency,
        "number_of_items": order.number_of_items,
        "void": order.void,
    }
