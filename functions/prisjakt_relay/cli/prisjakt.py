"""`prisjakt …`: what Prisjakt knows, read with a shop's own credentials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from prisjakt_relay.cli.options import From, Json, ShopName, To, Yes, interval, on_stack
from prisjakt_relay.cli.output import (
    confirmed,
    hint,
    mark,
    moment,
    print_json,
    print_json_array,
    row,
    show,
    table,
)
from prisjakt_relay.conversion import PURCHASE, TEST_PURCHASE
from prisjakt_relay.errors import SetupError
from prisjakt_relay.operations.command_line import DAYS
from prisjakt_relay.operations.finding import money

if TYPE_CHECKING:
    from rich.table import Table

    from prisjakt_relay.operations.stack import Stack
    from prisjakt_relay.prisjakt.client import PrisjaktClient
    from prisjakt_relay.prisjakt.models import Click, Conversion, Event, Pixel
    from prisjakt_relay.shop import Shop


EventName = Annotated[
    str | None, typer.Option("--name", help=f"Only {PURCHASE} or only {TEST_PURCHASE}.")
]
Reference = Annotated[
    str | None, typer.Option("--reference", help="Only the order with this reference.")
]


def add_commands(app: typer.Typer) -> None:
    prisjakt = typer.Typer(
        help="What Prisjakt knows, read with the shop's credentials.", no_args_is_help=True
    )
    for command in (events, event, summary, conversions, pixel, click, client):
        prisjakt.command()(command)
    app.add_typer(prisjakt, name="prisjakt")


@on_stack
def events(
    stack: Stack,
    shop: ShopName,
    first: From = None,
    last: To = None,
    name: EventName = None,
    reference: Reference = None,
    as_json: Json = False,
) -> None:
    """List the events that Prisjakt holds, newest first.

    Example: prisjakt-relay prisjakt events my-shop --from 2026-11-01 --name test-purchase
    """
    if name not in (None, PURCHASE, TEST_PURCHASE):
        raise SetupError(f"--name {name!r}: choose {PURCHASE} or {TEST_PURCHASE}")
    since, until = _interval(first, last)
    document, asked = _client(stack, shop)

    def found() -> Iterator[Event]:
        for one in asked.events(document.pixel_id, since, until, event_name=name):
            if reference in (None, one.external_event_id):
                yield one

    with _told(stack, shop, document):
        if as_json:
            print_json_array(one.model_dump() for one in found())
            return
        made = table(_title("Events", shop, since, until), *_EVENT_COLUMNS, right=_RIGHT)
        for one in found():
            _event_row(made, one)
    _show_rows(made, _none("event", shop, since, until))


@on_stack
def event(
    stack: Stack,
    shop: ShopName,
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="Prisjakt's id for it.")],
    as_json: Json = False,
) -> None:
    """Show one event by Prisjakt's id for it.

    Example: prisjakt-relay prisjakt event my-shop 0b7e1f64-5f4f-4c4e-9b0e-5d7d2a3c1f10
    """
    from prisjakt_relay.operations.prisjakt_access import told_by_prisjakt

    _, asked = _client(stack, shop)
    with told_by_prisjakt(stack, shop, f"event {event_id}"):
        one = asked.event(event_id)
    if as_json:
        print_json(one.model_dump())
        return
    _show_fields(
        f"Event {one.id}",
        ("Event", one.event_name),
        ("Reference", one.external_event_id),
        ("Time", _utc(one.event_time)),
        ("Amount", _money(one.data.amount, one.data.currency)),
        ("Items", one.data.number_of_items),
        ("Click id", one.click_id),
    )


@on_stack
def summary(
    stack: Stack, shop: ShopName, first: From = None, last: To = None, as_json: Json = False
) -> None:
    """Show the number and the sum of purchases, per day of Stockholm and in total.

    Example: prisjakt-relay prisjakt summary my-shop --from 2026-11-01
    """
    since, until = _interval(first, last)
    document, asked = _client(stack, shop)
    with _told(stack, shop, document):
        found = asked.purchase_summary(document.pixel_id, since, until)
    if as_json:
        print_json(found.model_dump())
        return
    if not found.per_day and not found.summaries:
        show(Text(_none("purchase", shop, since, until)))
        return
    made = table("", "Day", "Purchases", "Sum", right=("Purchases", "Sum"))
    for day in found.per_day:
        row(made, day.date, day.number_of_events, _money(day.total_amount, day.currency))
    for total in found.summaries:
        amount = _money(total.total_amount, total.currency)
        row(made, "Total", total.number_of_events, amount, style="bold")
    title = f"{_title('Purchases', shop, since, until)}; days are those of Stockholm"
    show(Text(title, "bold"), made)


@on_stack
def conversions(
    stack: Stack, shop: ShopName, first: From = None, last: To = None, as_json: Json = False
) -> None:
    """List purchases with the clicks that led to them.

    Example: prisjakt-relay prisjakt conversions my-shop --from 2026-11-01 --json
    """
    since, until = _interval(first, last)
    document, asked = _client(stack, shop)
    with _told(stack, shop, document):
        found = asked.conversions(document.pixel_id, since, until)
        if as_json:
            print_json_array(one.model_dump() for one in found)
            return
        made = table(_title("Conversions", shop, since, until), *_CONVERSION_COLUMNS, right=_RIGHT)
        for one in found:
            _conversion_row(made, one)
    _show_rows(made, _none("conversion", shop, since, until))


@on_stack
def pixel(
    stack: Stack,
    shop: ShopName,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Switch it on, or off.")
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Show whether the shop's pixel takes events, or switch it on or off.

    Example: prisjakt-relay prisjakt pixel my-shop --enable
    """
    document, asked = _client(stack, shop)
    with _told(stack, shop, document):
        found = asked.pixel(document.pixel_id)
        if enable is not None and enable is not found.enabled:
            if not confirmed(_question(shop, found, enable=enable), yes=yes):
                raise typer.Exit(1)
            asked.update_pixel(document.pixel_id, enabled=enable)
            found = asked.pixel(document.pixel_id)
    if as_json:
        print_json(found.model_dump())
    else:
        on = "enabled" if found.enabled else "disabled: Prisjakt takes no events for it"
        show(Text.assemble(mark(found.enabled), f" Pixel {found.id} of {shop} is {on}"))
    if enable is not None and enable is not found.enabled:
        hint("Prisjakt took the change but does not show it yet: look again in a minute.")
        raise typer.Exit(1)


@on_stack
def click(
    stack: Stack,
    shop: ShopName,
    click_id: Annotated[
        str, typer.Argument(metavar="CLICK_ID", help="As in pjclid, signed or not.")
    ],
    as_json: Json = False,
) -> None:
    """Show the click behind a click id.

    Example: prisjakt-relay prisjakt click my-shop 239cd31f-9d43-4cb4-b8dc-2057fe18c289
    """
    from prisjakt_relay.operations.prisjakt_access import told_by_prisjakt

    _, asked = _client(stack, shop)
    with told_by_prisjakt(stack, shop, f"click {click_id}"):
        found = asked.click(click_id)
    if as_json:
        print_json(found.model_dump())
    else:
        _show_click(found)


@on_stack
def client(stack: Stack, shop: ShopName, as_json: Json = False) -> None:
    """Show what the shop's credentials may do at Prisjakt.

    Example: prisjakt-relay prisjakt client my-shop
    """
    from prisjakt_relay.operations.prisjakt_access import ROLE, told_by_prisjakt

    document, asked = _client(stack, shop)
    client_id = document.client
    with told_by_prisjakt(stack, shop, f"client {client_id}"):
        found = asked.client(client_id)
    suffices = ROLE in found.roles
    if as_json:
        print_json(found.model_dump())
    else:
        roles = ", ".join(found.roles) or "none"
        show(Text.assemble(mark(suffices), f" Client {found.id} of {shop} has the roles: {roles}"))
    if not suffices:
        hint(f"Reading and correcting need the role {ROLE}: ask Prisjakt for it.")
        raise typer.Exit(1)


# Asking


def _interval(first: str | None, last: str | None) -> tuple[datetime, datetime]:
    from prisjakt_relay.operations.stack import clock

    return interval(first, last, days=DAYS, now=clock())


def _client(stack: Stack, name: str) -> tuple[Shop, PrisjaktClient]:
    from prisjakt_relay.operations import prisjakt_access, shops

    document = shops.shop(stack, name)
    return document, prisjakt_access.client(stack, name, document)


def _told(stack: Stack, name: str, document: Shop) -> AbstractContextManager[None]:
    from prisjakt_relay.operations.prisjakt_access import told_by_prisjakt

    return told_by_prisjakt(stack, name, f"pixel {document.pixel_id}")


def _question(shop: str, found: Pixel, *, enable: bool) -> str:
    if enable:
        return f"Switch on the pixel {found.id} of {shop}?"
    return (
        f"Switch off the pixel {found.id} of {shop}? Prisjakt then takes no purchase of the shop, "
        "from the relay or from browsers."
    )


# For people

_EVENT_COLUMNS: Final = ("Time (UTC)", "Reference, event id", "Amount", "Items")
_CONVERSION_COLUMNS: Final = ("Purchase (UTC)", "Product", "Amount", "Items", "Click (UTC)")
_RIGHT: Final = ("Amount", "Items")


def _title(what: str, shop: str, since: datetime, until: datetime) -> str:
    return f"{what} of {shop}, {_minute(since)} to {_minute(until)} UTC"


def _none(what: str, shop: str, since: datetime, until: datetime) -> str:
    return f"No {what} of {shop} from {_minute(since)} to {_minute(until)} UTC."


def _event_row(made: Table, one: Event) -> None:
    """The id stands below the reference: side by side they need a very wide terminal."""
    test = "" if one.event_name == PURCHASE else f"  {one.event_name}"
    name = Text.assemble(one.external_event_id or "no reference", test, "\n", (one.id, "dim"))
    data = one.data
    row(
        made,
        _minute(one.event_time),
        name,
        _money(data.amount, data.currency),
        data.number_of_items,
    )


def _conversion_row(made: Table, one: Conversion) -> None:
    bought, product = one.purchase, one.forwarding.product
    row(
        made,
        _minute(bought.timestamp),
        (product.name or product.id) if product else one.forwarding.url,
        _money(bought.amount, bought.currency),
        bought.number_of_items,
        _minute(one.forwarding.timestamp),
    )


def _show_click(found: Click) -> None:
    place, origin = found.location, found.request
    _show_fields(
        f"Click {found.id}",
        ("Sent to the shop", _utc(found.forwarded_date)),
        ("To", place.url),
        ("Shop", place.shop and " ".join(filter(None, (place.shop.id, place.shop.market)))),
        ("Product", place.product_id),
        ("Offer", place.offer_id),
        ("Kind of place", place.location_type),
        ("From", origin.original_url),
        ("Device", origin.device_type),
        ("Widget", origin.widget_id),
        ("Partner", origin.partner_id),
        ("Bot score", origin.bot_score),
    )


def _show_fields(title: str, *members: tuple[str, object]) -> None:
    made = table(title, "", "")
    made.show_header = False
    for name, value in members:
        if value is not None:
            row(made, name, value)
    show(made)


def _show_rows(made: Table, none: str) -> None:
    show(made if made.row_count else Text(none))


def _money(amount: Decimal, currency: str) -> str:
    return f"{money(amount)} {currency}"


def _minute(when: datetime | None) -> str:
    return moment(when)[:16]


def _utc(when: datetime) -> str:
    return f"{moment(when)} UTC"
