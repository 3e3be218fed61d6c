"""`privacy`: what the relay holds of a customer's orders, and having it erased."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from prisjakt_relay.cli.options import Json, ShopName, Yes, on_stack, order_id
from prisjakt_relay.errors import SetupError

if TYPE_CHECKING:
    from prisjakt_relay.operations.dead_orders import Letter
    from prisjakt_relay.operations.privacy import Held, Named
    from prisjakt_relay.operations.stack import Stack

Orders = Annotated[
    list[str], typer.Argument(metavar="ORDER", help="Order ids or references.", parser=order_id)
]
MaybeOrders = Annotated[
    list[str] | None,
    typer.Argument(metavar="ORDER", help="Order ids or references.", parser=order_id),
]
ById = Annotated[
    bool, typer.Option("--id", help="Each ORDER is the shop system's id, and never a reference.")
]

_MOST_NAMED: Final = 10  # orders, in one sentence


def add_commands(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Requests of customers about their data: what is held of an order, and erasing it.",
        no_args_is_help=True,
    )
    group.command()(show)
    group.command()(erase)
    app.add_typer(group, name="privacy")


@on_stack
def show(
    stack: Stack, shop: ShopName, orders: Orders, by_id: ById = False, as_json: Json = False
) -> None:
    """Show everything that the relay holds of some orders, for a customer who asks for it.

    Example: prisjakt-relay privacy show my-shop 5712345678901 5712345678902 --json
    """
    from prisjakt_relay.cli.output import hint, print_json
    from prisjakt_relay.operations import privacy
    from prisjakt_relay.operations.stack import clock

    since = clock() - timedelta(days=int(stack.parameters["LogRetentionDays"]))
    found, more_letters = privacy.held(stack, shop, orders, since, by_id=by_id)
    if as_json:
        print_json({"shop": shop, "orders": [_as_json(each) for each in found]})
    else:
        for each in found:
            _show(each)
    for each in found:
        if each.is_nothing and not each.order.known:
            hint(_unknown(each.order))
    _tell_more(more_letters)
    errors = [each.holding.error for each in found if each.holding.error is not None]
    if errors:
        raise typer.Exit(errors[0].exit_code)


@on_stack
def erase(
    stack: Stack,
    shop: ShopName,
    orders: MaybeOrders = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every order of the shop, instead of some.")
    ] = False,
    by_id: ById = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Have the relay forget orders, for good: nothing more of them is reported or corrected.

    Example: prisjakt-relay privacy erase my-shop 5712345678901
    """
    from prisjakt_relay.cli.output import confirmed, hint, print_json
    from prisjakt_relay.cli.output import show as tell
    from prisjakt_relay.operations import privacy

    if bool(orders) == everything:
        raise SetupError("name the orders to erase, or say --all: one of the two")
    named: list[Named] = []
    if everything:
        wishes = [privacy.erasure_of_shop(stack, shop)]
        what = f"everything of shop {shop}"
    else:
        named, more_letters = privacy.named(stack, shop, orders or [], by_id=by_id)
        _tell_more(more_letters)
        if impossible := [each for each in named if not each.possible]:
            raise SetupError(_impossible(impossible))
        wishes = privacy.erasures_of_orders(stack, shop, [each.order_id for each in named])
        what = _these(named, shop)
    unknown = [each for each in named if not each.known]
    for each in unknown:
        hint(_unknown(each))
    if not confirmed(f"Erase for good {what}?", yes=yes):
        hint("nothing is erased")
        raise typer.Exit(1)
    privacy.send(stack, wishes)
    if as_json:
        print_json(
            {
                "shop": shop,
                "all": everything,
                "orders": [each.order_id for each in named],
                "unknown": [each.given for each in unknown],
                "queued": True,
            }
        )
        return
    tell(f"The sender erases {what}. That takes a moment.")
    hint(
        "What Prisjakt holds is for Prisjakt to erase; messages in the queue DeadLetters go after "
        "14 days, log lines and backups after their own time (docs/privacy.md)."
    )


# For people


def _these(named: Sequence[Named], shop: str) -> str:
    from prisjakt_relay.operations.finding import counted

    return f"{counted(len(named), 'order')} of shop {shop}: {_listed(list(map(str, named)))}"


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:_MOST_NAMED])
    if more := len(names) - len(shown):
        shown.append(f"and {more} more")
    return ", ".join(shown)


def _impossible(orders: Sequence[Named]) -> str:
    return (
        f"the relay knows no order {_listed([each.given for each in orders])}, and the shop's "
        "system makes no such ids: name an order by the shop system's id, as in the address of the "
        "order in its admin"
    )


def _tell_more(letters: int) -> None:
    from prisjakt_relay.cli.output import hint

    if letters:
        hint(f"About {letters} more messages of the queue DeadLetters were not looked at.")


def _unknown(order: Named) -> str:
    if not order.possible:
        return _impossible([order])
    if order.order_id == order.given:
        taken = "the shop system's id of an order, not the number that a customer sees"
    else:
        taken = f"the reference of order {order.order_id}"
    return f"{order.given} is no id or reference that the relay knows: it is taken as {taken}"


def _show(held: Held) -> None:
    from prisjakt_relay.cli import output

    output.show(f"Order {held.order}")
    if held.is_nothing:
        output.show("Nothing is held of it.", "")
        return
    for item in held.items:
        made = output.table("In the ledger", "field", "value")
        for name, value in _flat(item):
            output.row(made, name, value)
        output.show(made)
    for letter in held.messages:
        made = output.table("In the queue DeadLetters", "field", "value")
        for name, value in _flat(_letter_as_json(letter, held.order.order_id)):
            output.row(made, name, value)
        output.show(made)
    for event in held.holding.events:
        made = output.table("At Prisjakt", "field", "value")
        for name, value in _flat(event.model_dump()):
            output.row(made, name, value)
        output.show(made)
    if held.logged.lines:
        first, last = output.moment(held.logged.first), output.moment(held.logged.last)
        number = held.logged.lines
        output.show(f"Log lines with its id: {number}, from {first} to {last} UTC.")
    else:
        output.show("Log lines with its id: none.")
    output.show(_about_prisjakt(held), "")


def _about_prisjakt(held: Held) -> str:
    if held.holding.error is not None:
        return f"What Prisjakt holds could not be read: {held.holding.error}"
    if held.holding.asked:
        return "" if held.holding.events else "At Prisjakt: nothing with its reference."
    if held.is_erased:
        return "It was erased: what Prisjakt holds of it can no longer be found from here."
    return "What Prisjakt holds was not read: that needs the shop's credentials and its own item."


def _flat(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, part in value.items():
        if isinstance(part, Mapping):
            yield from _flat(part, f"{path}{name}.")
        elif part is not None:
            yield f"{path}{name}", str(part)


# For machines


def _as_json(held: Held) -> dict[str, Any]:
    return {
        "order": held.order.order_id,
        "erased": held.is_erased,
        "ledger": list(held.items),
        "dead_letters": [_letter_as_json(each, held.order.order_id) for each in held.messages],
        "log_lines": {
            "number": held.logged.lines,
            "first": held.logged.first,
            "last": held.logged.last,
        },
        "prisjakt": {
            "asked": held.holding.asked,
            "problem": str(held.holding.error) if held.holding.error else None,
            "events": [event.model_dump() for event in held.holding.events],
        },
    }


def _letter_as_json(letter: Letter, order_id: str) -> dict[str, Any]:
    """A request to erase without the other orders that it names: they may be another customer's."""
    import json

    from prisjakt_relay.erasure import KIND

    told: dict[str, Any] = {"message_id": letter.id, "sent_at": letter.sent_at}
    if (wish := letter.erasure) is None:
        return told | {"message": json.loads(letter.body)}
    about = {"whole_shop": True} if wish.whole_shop else {"order_ids": [order_id]}
    return told | {"message": {"kind": KIND, "received_at": wish.received_at, **about}}
