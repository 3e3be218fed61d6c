"""`dead`: the orders that will not be reported without help."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from prisjakt_relay.cli.options import (
    From,
    Json,
    ShopName,
    To,
    Yes,
    interval,
    on_stack,
    order_id,
)

if TYPE_CHECKING:
    from prisjakt_relay.operations.dead_orders import Selection
    from prisjakt_relay.operations.stack import Stack

_EVER: Final = 3_650  # days


class ReasonChoice(StrEnum):
    """As `operations.dead_orders.Reason`, which help has no time to import."""

    REJECTED = "rejected"
    REFUSED = "refused"
    EXPIRED = "expired"
    UNDELIVERED = "undelivered"
    UNREADABLE = "unreadable"


MaybeShop = Annotated[
    str | None, typer.Argument(metavar="SHOP", help="Only this shop's; default: all shops'.")
]
OrderIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="ORDER", help="Only these: order ids or references.", parser=order_id),
]
Reasons = Annotated[
    list[ReasonChoice] | None,
    typer.Option(
        "--reason",
        metavar="REASON",
        help="Only for this reason; may be repeated. Prisjakt said no to 'rejected' and 'refused', "
        "'expired' waited too long, 'undelivered' and 'unreadable' are messages that got stuck.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]


def add_commands(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Orders that will not be reported without help: see why, try again, give up.",
        no_args_is_help=True,
    )
    group.command("list")(list_)
    group.command()(show)
    group.command()(resend)
    group.command()(drop)
    app.add_typer(group, name="dead")


@on_stack
def list_(
    stack: Stack,
    shop: MaybeShop = None,
    reason: Reasons = None,
    first: From = None,
    last: To = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many, 0 for all.")] = 100,
    as_json: Json = False,
) -> None:
    """List dead orders and stuck messages, newest first.

    Example: prisjakt-relay dead list my-shop --reason rejected
    """
    from prisjakt_relay.cli import dead_output

    chosen = _selection(shop, None, reason, first, last)
    dead_output.print_list(stack, chosen, limit=limit or None, as_json=as_json)


@on_stack
def show(
    stack: Stack,
    shop: ShopName,
    order: Annotated[
        str, typer.Argument(metavar="ORDER", help="Its id or reference.", parser=order_id)
    ],
    as_json: Json = False,
) -> None:
    """Show everything about one dead order, and what to do about it.

    Example: prisjakt-relay dead show my-shop 6001
    """
    from prisjakt_relay.cli import dead_output
    from prisjakt_relay.operations import dead_orders

    dead = dead_orders.one(stack, shop, order)
    dead_output.print_one(stack, dead_orders.Resending(stack).plan(dead), as_json=as_json)


@on_stack
def resend(
    stack: Stack,
    shop: MaybeShop = None,
    orders: OrderIds = None,
    reason: Reasons = None,
    first: From = None,
    last: To = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Do not ask Prisjakt first whether it has an expired order: it may then count it "
            "twice.",
        ),
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Try dead orders again, and put stuck messages back on the queue; safe to repeat.

    Example: prisjakt-relay dead resend my-shop --reason rejected --dry-run
    """
    from prisjakt_relay.cli import dead_output
    from prisjakt_relay.operations import dead_orders

    chosen = _selection(shop, orders, reason, first, last)
    work = dead_orders.Resending(stack, force=force)
    dead_output.carry_out(stack, chosen, work, "resend", yes=yes, dry_run=dry_run, as_json=as_json)


@on_stack
def drop(
    stack: Stack,
    shop: MaybeShop = None,
    orders: OrderIds = None,
    reason: Reasons = None,
    first: From = None,
    last: To = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give dead orders up: they leave the list, and a later change of an order tries it again.

    Example: prisjakt-relay dead drop my-shop 6001 6002
    """
    from prisjakt_relay.cli import dead_output
    from prisjakt_relay.operations import dead_orders

    chosen = _selection(shop, orders, reason, first, last)
    work = dead_orders.Dropping(stack, deletes=chosen.reasons if yes else dead_orders.OF_MESSAGES)
    dead_output.carry_out(stack, chosen, work, "drop", yes=yes, dry_run=dry_run, as_json=as_json)


def _selection(
    shop: str | None,
    orders: list[str] | None,
    reasons: list[ReasonChoice] | None,
    first: str | None,
    last: str | None,
) -> Selection:
    from prisjakt_relay.operations.dead_orders import Reason, Selection
    from prisjakt_relay.operations.stack import clock

    since: datetime | None = None
    until: datetime | None = None
    if first or last:
        since, until = interval(first, last, days=_EVER, now=clock())
    return Selection(
        shop=shop,
        order_ids=frozenset(orders or ()),
        reasons=frozenset(Reason(str(reason)) for reason in reasons or ()),
        since=since,
        until=until if last else None,
    )
