"""How dead orders look, for people and machines, and how work on many of them is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any, Final, Protocol

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prisjakt_relay.cli import output
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.erasure import KIND, Erasure
from prisjakt_relay.errors import RelayError
from prisjakt_relay.ledger import Record, Status, is_at_prisjakt
from prisjakt_relay.operations import dead_orders
from prisjakt_relay.operations.dead_orders import (
    LEFT,
    UNDONE,
    Dead,
    Found,
    Letter,
    Named,
    Plan,
    Reason,
    Result,
    Selection,
    Step,
    caution,
    find,
    is_overdue,
    is_resent,
    reason_of,
    since,
)
from prisjakt_relay.operations.explanations import (
    DEATHS,
    STUCK_ERASURE,
    Explanation,
    said,
)
from prisjakt_relay.operations.finding import counted, money
from prisjakt_relay.operations.stack import Stack, clock
from prisjakt_relay.outcomes import DeathReason

SHOWN: Final = 20  # of a dry run, for people
_NAMED: Final = 3  # orders of a request to erase, for people
_AT_ONCE: Final = 500  # rows of a table: it is in memory until it is printed

_LETTERS: Final = {
    Reason.UNDELIVERED: Explanation(
        "its message crashed the sender again and again, or its shop was unknown for 29 days",
        "see the sender's log or add the shop, then `prisjakt-relay dead resend SHOP ORDER`; or "
        "`prisjakt-relay dead drop SHOP ORDER --reason undelivered`",
    ),
    Reason.UNREADABLE: Explanation(
        "nobody can read the message", "`prisjakt-relay dead drop --reason unreadable`"
    ),
}

_RESENDABLE: Final = {
    Step.RESEND: "yes",
    Step.READ_FIRST: "yes, looks first",
    Step.NEEDS_PROOF: "--force",
    Step.NO_SHOP: "no shop",
    Step.UNREADABLE: "no",
}
_STEPS: Final = {
    Step.RESEND: "resend",
    Step.READ_FIRST: "look, then resend",
    Step.DROP: "drop",
    Step.DELETE: "delete for good",
    Step.NEEDS_PROOF: "leave: no proof",
    Step.NEEDS_REASON: "leave: reason not named",
    Step.NEEDS_RESEND: "leave: to be resent",
    Step.NO_SHOP: "leave: no shop",
    Step.UNREADABLE: "leave: unreadable",
}
_RESULTS: Final = {
    Result.SENT: "put on the queue",
    Result.AT_PRISJAKT: "at Prisjakt already",
    Result.DROPPED: "dropped",
    Result.CHANGED: "left: changed meanwhile",
    Result.NOT_READ: "left: Prisjakt could not be asked",
}


class _Work(Protocol):
    def plan(self, dead: Dead) -> Plan: ...

    def do(self, dead: Dead) -> tuple[Result, str]: ...


def carry_out(
    stack: Stack,
    chosen: Selection,
    work: _Work,
    verb: str,
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show what would be done, ask, do it, and say what came of it."""
    found = find(stack, chosen)
    listed = list(found.dead)
    named = dead_orders.named(stack, chosen, listed, dropped=verb == "resend")
    _tell_others(stack, chosen, named, nothing=not listed)
    plans = [work.plan(dead) for dead in [*listed, *named.more]]
    to_do = [plan for plan in plans if plan.step not in LEFT]
    if not (as_json and (yes or dry_run)):
        _print_plans(plans, verb, output.err() if as_json else output.out())
    done = _Done(as_json=as_json)
    if to_do and not dry_run:
        if not output.confirmed(_question(verb, to_do, plans), yes=yes):
            raise typer.Exit(1)
        with done.telling(len(to_do)):
            dead_orders.carry_out(stack, to_do, work.do, done.note)
    if as_json:
        output.print_json({"dry_run": dry_run, "orders": [done.as_json(plan) for plan in plans]})
    _tell_more(found)
    if not dry_run and (len(to_do) < len(plans) or done.undone or named.unknown):
        raise typer.Exit(1)


def _tell_others(stack: Stack, chosen: Selection, named: Named, *, nothing: bool) -> None:
    """Why orders that were named are not worked on: in a repeat that is well, but some may never
    have been there. Raises `SetupError` if none was."""
    unknown = dead_orders.unknown(stack, str(chosen.shop), named.unknown)
    if named.unknown and nothing and not named.more and not named.others:
        raise unknown
    for order, record in named.others.items():
        dropped = record.status is Status.DEAD and record.dropped_at is not None
        state = "dropped already" if dropped else record.status
        output.hint(f"{order} is not among those chosen: it is {state}")
    if named.unknown:
        output.hint(str(unknown))


def _question(verb: str, to_do: list[Plan], plans: list[Plan]) -> str:
    asked = f"{verb.capitalize()} {len(to_do)} of these {len(plans)}?"
    messages = sum(plan.step is Step.DELETE for plan in to_do)
    if not messages:
        return asked
    gone = f"{counted(messages, 'message')} will be deleted for good"
    return f"{gone}, and the ledger may not know what they say. {asked}"


class _Done:
    """What came of each, as far as it went."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._results: dict[int, tuple[Result, str]] = {}
        self._advance: Callable[[], None] = lambda: None
        self.undone = False

    @contextmanager
    def telling(self, number: int) -> Iterator[None]:
        """A bar while it goes on; how far it came, whatever ends it."""
        try:
            with output.progress() as bar:
                task = bar.add_task("", total=number)
                self._advance = lambda: bar.advance(task)
                yield
        except (KeyboardInterrupt, RelayError):
            output.hint(f"{len(self._results)} of {number} done. Run it again to go on.")
            raise
        if not self._as_json:
            self._print()

    def note(self, plan: Plan, result: Result, why: str) -> None:
        self._results[id(plan)] = result, why
        self.undone = self.undone or result in UNDONE
        self._advance()

    def as_json(self, plan: Plan) -> dict[str, Any]:
        if id(plan) not in self._results:
            return _as_json(plan)
        result, why = self._results[id(plan)]
        return _as_json(plan) | {"result": result} | ({"why": why} if why else {})

    def _print(self) -> None:
        output.show(_counted(_RESULTS[result] for result, _ in self._results.values()))
        for why in sorted({why for _, why in self._results.values() if why}):
            output.hint(why)


# For people


def print_list(stack: Stack, chosen: Selection, *, limit: int | None, as_json: bool) -> None:
    """At most so many of those chosen; memory stays flat, however many there are."""
    found = find(stack, chosen)
    plans = map(dead_orders.Resending(stack).plan, islice(found.dead, limit))
    if as_json:
        output.print_json_array(map(_as_json, plans))
    else:
        _print_tables(plans, chosen.shop)
    if limit and next(found.dead, None) is not None:
        output.hint(f"There are more than these {limit}: --limit 0 shows all.")
    _tell_more(found)


def print_one(stack: Stack, plan: Plan, *, as_json: bool) -> None:
    if as_json:
        output.print_json(_as_json(plan) | _everything(plan.dead))
        return
    shown = output.table("", "", "")
    shown.show_header = False
    for name, value in _described(stack, plan):
        if value:
            output.row(shown, Text(name, "bold"), value)
    output.show(shown)


def _print_tables(plans: Iterator[Plan], shop: str | None) -> None:
    whose = f" of {shop}" if shop else ""
    title = f"Dead orders{whose}"
    remedies: set[str] = set()
    while part := list(islice(plans, _AT_ONCE)):
        output.show(_table(title, part, "Resend?", _resendable))
        remedies |= {plan.remedy for plan in part if plan.remedy}
        title = ""
    for remedy in sorted(remedies):
        output.hint(f"not resent: {remedy}")
    if title:
        output.show(f"No dead orders{whose}.")


def _print_plans(plans: list[Plan], verb: str, console: Console) -> None:
    if not plans:
        console.print(f"Nothing to {verb}.")
        return
    console.print(_table("", plans[:SHOWN], "What to do", lambda plan: _STEPS[plan.step]))
    counts = _counted(_STEPS[plan.step] for plan in plans)
    console.print(f"The first {SHOWN} are shown. All: {counts}" if len(plans) > SHOWN else counts)
    for remedy in sorted({plan.remedy for plan in plans if plan.step in LEFT}):
        output.hint(f"left alone: {remedy}")


def _counted(texts: Iterable[str]) -> str:
    return "; ".join(f"{number} {text}" for text, number in sorted(Counter(texts).items()))


def _table(
    title: str, plans: Iterable[Plan], last: str, of_plan: Callable[[Plan], object]
) -> Table:
    table = output.table(title, "Since (UTC)", "Shop", "Order", "Why", last)
    table.columns[0].no_wrap = True
    for column in table.columns[1:3]:
        column.overflow = "fold"
    table.columns[2].min_width = len("6001234567890")
    for plan in plans:
        dead = plan.dead
        moment = output.minute(since(dead))
        output.row(table, moment, _shop(dead), _order(dead), _why(dead), of_plan(plan))
    return table


def _resendable(plan: Plan) -> str:
    if plan.step not in LEFT and isinstance(plan.dead, Record) and is_resent(plan.dead):
        return "resent"
    return _RESENDABLE[plan.step]


def _order_of(dead: Dead) -> Record | Conversion | Erasure | None:
    return dead.conversion or dead.erasure if isinstance(dead, Letter) else dead


def _shop(dead: Dead) -> str:
    order = _order_of(dead)
    return order.shop if order else ""


def _order(dead: Dead) -> str:
    order = _order_of(dead)
    if order is None:
        return ""
    if isinstance(order, Erasure):
        return _orders(order)
    reference = _reference(order)
    return order.order_id + (f" ({reference})" if reference != order.order_id else "")


def _orders(wish: Erasure) -> str:
    if wish.whole_shop:
        return "whole shop"
    named = ", ".join(wish.order_ids[:_NAMED])
    return f"{named}, …" if len(wish.order_ids) > _NAMED else named


def _reference(order: Record | Conversion) -> str:
    return order.order_reference if isinstance(order, Conversion) else order.external_id


def _why(dead: Dead) -> str:
    """The reason, and what Prisjakt said; of a message, what there is to say."""
    reason = reason_of(dead)
    if isinstance(dead, Letter):
        return f"{reason}: message {dead.id[:8]}, {dead.size} bytes"
    return f"{reason}: {said(dead.answer)}"


def _described(stack: Stack, plan: Plan) -> Iterator[tuple[str, str]]:
    dead = plan.dead
    meaning, remedy = _explained(stack, dead)
    yield "Shop", _shop(dead)
    yield "Order", _order(dead)
    yield "Reason", f"{reason_of(dead)}: {meaning}"
    if isinstance(dead, Letter):
        yield "Message", f"{dead.id}, received {dead.receives} times"
        yield "Queued", _utc(dead.sent_at)
    else:
        yield from _described_record(dead)
    to_do = f"{remedy[:1].upper()}{remedy[1:]}."
    yield "What to do", " ".join(filter(None, (to_do, _then(stack, plan))))


def _explained(stack: Stack, dead: Dead) -> Explanation:
    reason, order = reason_of(dead), _order_of(dead)
    if isinstance(order, Erasure):
        return STUCK_ERASURE.on(stack, order.shop, "")
    explanation = _LETTERS[reason] if reason in _LETTERS else DEATHS[DeathReason(reason)]
    return explanation.on(stack, order.shop if order else "", order.order_id if order else "")


def _described_record(record: Record) -> Iterator[tuple[str, str]]:
    wanted = record.wanted
    yield "Dead since", _utc(record.dead_since)
    if record.dropped_at:
        yield "Dropped", _utc(record.dropped_at)
    elif is_resent(record):
        again = ": resend it again" if is_overdue(record, clock()) else ""
        moment = _utc(record.updated_at)
        yield "Resent", f"{moment}, no sender has taken it up yet{again}"
    yield "Event", f"{record.event_name} at {_utc(datetime.fromisoformat(record.event_time))}"
    void = ", cancelled since" if wanted.void else ""
    amount = f"{money(wanted.amount)} {record.currency}"
    yield "Amount", f"{amount}, {counted(wanted.items, 'item')}{void}"
    yield "Click id", _click_id(record)
    yield "Pixel", record.pixel_id
    yield "Received", _utc(record.received_at)
    yield "First try", _utc(record.first_try_at)
    tries = f"{record.tries:,} without success, {record.refusals:,} of them refused"
    yield "Tries before the last", tries if record.tries else ""
    yield "At Prisjakt", _at_prisjakt(record)
    yield "Prisjakt said", said(record.answer)
    yield "Request id", record.answer.request_id


def _utc(when: datetime | None) -> str:
    return f"{output.moment(when)} UTC" if when else ""


def _at_prisjakt(record: Record) -> str:
    if is_at_prisjakt(record):
        return "yes"
    return "maybe: a try may have been stored" if record.uncertain else "no"


def _click_id(record: Record) -> str:
    """Without its signature, which nobody needs to see."""
    return record.click_id.partition("_")[0]


def _then(stack: Stack, plan: Plan) -> str:
    if plan.step is Step.NO_SHOP:
        return f"{plan.remedy[:1].upper()}{plan.remedy[1:]}."
    return "" if isinstance(plan.dead, Letter) else caution(stack, plan.dead, plan.step)


def _tell_more(found: Found) -> None:
    if found.more_letters:
        output.hint(f"About {found.more_letters} more messages were not looked at.")


# For machines


def _as_json(plan: Plan) -> dict[str, Any]:
    dead, order = plan.dead, _order_of(plan.dead)
    told: dict[str, Any] = {"since": since(dead), "reason": reason_of(dead), "step": plan.step}
    if plan.remedy:
        told["remedy"] = plan.remedy
    if isinstance(order, Erasure):
        told |= {
            "shop": order.shop,
            "kind": KIND,
            "order_ids": order.order_ids,
            "whole_shop": order.whole_shop,
        }
    elif order is not None:
        told |= {
            "shop": order.shop,
            "order_id": order.order_id,
            "order_reference": _reference(order),
            "event_name": order.event_name,
        }
    if isinstance(dead, Letter):
        return told | {"message_id": dead.id, "bytes": dead.size, "receives": dead.receives}
    return told | {
        "resent": is_resent(dead),
        "tries": dead.tries,
        "uncertain": dead.uncertain,
        "answer": dead.answer,
    }


def _everything(dead: Dead) -> dict[str, Any]:
    if isinstance(dead, Letter):
        return {}
    return {
        "platform": dead.platform,
        "pixel_id": dead.pixel_id,
        "click_id": _click_id(dead),
        "event_time": dead.event_time,
        "amount": dead.wanted.amount,
        "currency": dead.currency,
        "number_of_items": dead.wanted.items,
        "void": dead.wanted.void,
        "received_at": dead.received_at,
        "first_try_at": dead.first_try_at,
        "refusals": dead.refusals,
        "dropped_at": dead.dropped_at,
    }
