"""`reconcile` and `backfill`: whether every order got where it should, and sending what did not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from prisjakt_relay.cli.options import From, Json, ShopName, To, Yes, interval, on_stack
from prisjakt_relay.cli.output import hint

if TYPE_CHECKING:
    from datetime import datetime

    from prisjakt_relay.operations.stack import Stack

_DAYS: Final = 7  # without --from


def add_commands(app: typer.Typer) -> None:
    app.command()(reconcile)
    app.command()(backfill)


@on_stack
def reconcile(
    stack: Stack,
    shop: ShopName,
    first: From = None,
    last: To = None,
    as_json: Json = False,
) -> None:
    """Compare a shop's orders with the ledger and with what Prisjakt holds; by default of 7 days.

    Example: prisjakt-relay reconcile my-shop --from 2026-11-01 --to 2026-11-14
    """
    from prisjakt_relay.cli import reconcile_output
    from prisjakt_relay.operations import shops
    from prisjakt_relay.operations.stack import clock

    now = clock()
    since, until = interval(first, last, days=_DAYS, now=now)
    document = shops.shop(stack, shop)
    since = _within_reach(since, until, now)
    reconcile_output.compare(stack, shop, document, since, until, now, as_json=as_json)


@on_stack
def backfill(
    stack: Stack,
    shop: ShopName,
    first: From = None,
    last: To = None,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Begin anew, wherever an interrupted run came to."),
    ] = False,
    yes: Yes = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be sent.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send what was missed of a shop's orders, by default of 7 days; safe to repeat.

    Example: prisjakt-relay backfill my-shop --from 2026-11-01 --to 2026-11-14 --dry-run
    """
    from prisjakt_relay.cli import reconcile_output
    from prisjakt_relay.operations import shops
    from prisjakt_relay.operations.stack import clock

    now = clock()
    since, until = interval(first, last, days=_DAYS, now=now)
    document = shops.shop(stack, shop)
    since = _within_reach(since, until, now)
    work = reconcile_output.Backfill(
        stack, shop, document, since, until, now, restart=restart, as_json=as_json
    )
    work.go(yes=yes, dry_run=dry_run)


def _within_reach(since: datetime, until: datetime, now: datetime) -> datetime:
    from prisjakt_relay.operations.reconciling import within_reach

    first = within_reach(since, until, now)
    if first > since:
        hint(f"Orders of before {first:%Y-%m-%d} are left out: they are too old to be reported.")
    return first
