"""`shop api`: how to get into a shop system's own API, set, shown and removed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from prisjakt_relay.cli import output
from prisjakt_relay.cli.options import Json, ShopName, WithSecrets, Yes, on_stack
from prisjakt_relay.cli.shop_fields import (
    Option,
    Question,
    ask,
    plain,
    secret_value,
    with_options,
)
from prisjakt_relay.errors import PlatformApiError, PlatformBusyError, SetupError

if TYPE_CHECKING:
    from prisjakt_relay.operations.shop_documents import Change
    from prisjakt_relay.operations.stack import Stack
    from prisjakt_relay.platform_api.access import Access
    from prisjakt_relay.shop import Shop

HIDDEN: Final = "•••"

OPTIONS: Final[Mapping[str, Option]] = {
    "address": Option(
        "--address",
        "URL",
        "Where the API is: https://STORE.myshopify.com, or WordPress' own address; default: that "
        "of the shop's domain.",
    ),
    "public_address": Option(
        "--public-address", "URL", "Where customers go, if that is another one; '' for none."
    ),
    "client_id": Option("--client-id", "ID", "Shopify: that of your app."),
    "client_secret": Option(
        "--client-secret", "SECRET", "Its secret; '-' reads a line of standard input."
    ),
    "access_token": Option(
        "--access-token", "TOKEN", "Shopify: instead of these two; '-' as above."
    ),
    "consumer_key": Option(
        "--consumer-key", "KEY", "WooCommerce: of a key with Read/Write; '-' as above."
    ),
    "consumer_secret": Option("--consumer-secret", "SECRET", "Its secret; '-' as above."),
}


def add_commands(shop: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, help="Access to the shop system's own API, which reconciling needs."
    )
    group.command("set")(set_access)
    group.command("show")(show)
    group.command("remove")(remove)
    shop.add_typer(group, name="api")


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were given; `-` is read from standard input."""
    values: dict[str, Any] = {}
    for field, text in given.items():
        if text is None:
            continue
        flag = OPTIONS[field].flag
        if field in ("address", "public_address"):
            values[field] = _with_scheme(text)
        else:
            values[field] = secret_value(flag, text)
    return values


def _with_scheme(text: str) -> str:
    """As people write it: mostly without https://."""
    address = text.strip()
    return address if not address or "://" in address else f"https://{address}"


@on_stack
@with_options(OPTIONS, _values)
def set_access(
    stack: Stack,
    name: ShopName,
    given: Mapping[str, Any],
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Write it without asking the API first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say how to get into the shop system's own API: asks for what it needs, and tries it.

    Example: prisjakt-relay shop api set my-shop
    """
    from prisjakt_relay.operations import platform_access, shops

    shop = shops.shop(stack, name)
    platform_access.require_api(name, shop)
    try:
        before = platform_access.document(stack, name) or {}
    except platform_access.UnusableError:
        before = {}
    after = platform_access.changed(before, given, shop.platform)
    if "address" not in after and shop.domain is not None:
        after = {"address": f"https://{shop.domain}", **after}
    after = _completed(shop, before, after, anew=not given)
    way = platform_access.check(after, shop.platform)
    lacking = [] if unchecked else _lacking_rights(shop, way, told_sources=not given)
    changes = platform_access.changes(before, after)
    if changes:
        platform_access.write(stack, name, after)
    accepted = not platform_access.signs_in_vain(shop, way)
    if as_json:
        output.print_json(
            {
                "shop": name,
                "changes": [_change(change) for change in changes],
                "checked": not unchecked,
                "missing_rights": lacking,
                "accepts_its_signature": accepted,
            }
        )
    else:
        _tell_changes(name, changes)
        if not unchecked and not lacking:
            output.show(f"The API at {way.address} takes these credentials.")
    _advise(stack, name, shop, way, accepted=accepted)
    if lacking:
        output.hint(f"The access {platform_access.lacks(shop, lacking)}")
        raise typer.Exit(1)


@on_stack
def show(
    stack: Stack,
    name: ShopName,
    with_secrets: WithSecrets = False,
    as_json: Json = False,
) -> None:
    """Show how the relay gets into the shop system's own API.

    Example: prisjakt-relay shop api show my-shop
    """
    from prisjakt_relay.operations import platform_access, shops

    shop = shops.shop(stack, name)
    platform_access.require_api(name, shop)
    written = platform_access.document(stack, name)
    if written is None:
        platform_access.checked(stack, name, shop, written)
    document = written or {}
    problem = platform_access.problem(document, shop.platform)
    told = {
        field: platform_access.masked(field, value, revealed=with_secrets)
        for field, value in document.items()
    }
    if as_json:
        output.print_json({"shop": name, **told, "problem": problem})
    else:
        table = output.table(name, "Field", "Value")
        for field, value in told.items():
            output.row(table, field, plain(value))
        output.show(table)
    if problem:
        remedy = stack.command("shop", "api", "set", name)
        output.err().print(
            f"error: {problem}; run `{remedy}`", style="red", markup=False, soft_wrap=True
        )
        raise typer.Exit(1)


@on_stack
def remove(stack: Stack, name: ShopName, yes: Yes = False, as_json: Json = False) -> None:
    """Forget how to get into the shop system's own API; its orders are then no longer reconciled.

    Example: prisjakt-relay shop api remove my-shop
    """
    from prisjakt_relay.operations import platform_access, shop_documents
    from prisjakt_relay.reconciler.progress import ProgressBook

    shop_documents.is_there(stack, name)
    question = f"Remove the access to the API of {name}, and no longer reconcile its orders?"
    if not output.confirmed(question, yes=yes):
        output.hint("Nothing was removed.")
        raise typer.Exit(1)
    was_on = ProgressBook(stack.store).remove(name)
    was_there = platform_access.remove(stack, name)
    if as_json:
        output.print_json({"shop": name, "removed": was_there, "reconcile_switched_off": was_on})
        return
    output.show(f"The access is removed{' already' if not was_there else ''}.")
    if was_on:
        output.show(f"Reconciling {name} is switched off.")
    if was_there:
        output.hint("Take the credentials back in the shop, too. Its webhooks stay as they are.")


def tell_wait(seconds: float) -> None:
    """Why nothing happens: a short wait needs no words."""
    if seconds >= 1:
        output.hint(f"The shop's server is busy, or away: asking again in {seconds:.0f} s.")


def _completed(
    shop: Shop, before: Mapping[str, Any], document: Mapping[str, Any], *, anew: bool
) -> dict[str, Any]:
    """The document with what it needs, asked for in a terminal; in a terminal where nothing was
    given, with everything asked for."""
    from prisjakt_relay.operations import platform_access

    is_whole = platform_access.problem(document, shop.platform) is None
    if not sys.stdin.isatty():
        if anew:
            output.hint(platform_access.SOURCES[shop.platform])
            raise SetupError(f"nothing to set: give {_wanted(shop.platform)}")
        return dict(document)
    if is_whole and not anew:
        return dict(document)
    output.hint(platform_access.SOURCES[shop.platform])
    answers = {} if anew else dict(document)
    if not anew and "address" not in before:  # the domain's, which is only a proposal
        answers.pop("address", None)
    _ask_for_rest(shop, answers, before, document)
    return answers


def _wanted(platform: str) -> str:
    from prisjakt_relay.platform_api.access import CREDENTIALS

    sets = (" and ".join(OPTIONS[name].flag for name in one) for one in CREDENTIALS[platform])
    return f"--address, and {' or '.join(sets)}"


def _ask_for_rest(
    shop: Shop, answers: dict[str, Any], before: Mapping[str, Any], document: Mapping[str, Any]
) -> None:
    from prisjakt_relay.operations import platform_access

    def check(so_far: Mapping[str, Any]) -> None:
        platform_access.check_so_far(so_far, shop.platform)

    def want(field: str, text: str, otherwise: str | None = None, *, hidden: bool = False) -> None:
        if field not in answers:
            ask(Question(field, text, otherwise, hidden=hidden, read=read(field)), answers, check)

    def read(field: str) -> Any:
        return _with_scheme if "address" in field else str

    proposed = document.get("address")
    where = "STORE.myshopify.com" if shop.platform == "shopify" else "the WordPress address"
    end = f" (Enter: {proposed})" if proposed else ""
    want("address", f"Where the API is, {where}{end}", proposed)
    known = before.get("public_address")
    want(
        "public_address",
        f"Where customers go, if that is another address (Enter: {known or 'no'})",
        known or "",
    )
    if shop.platform == "woocommerce":
        want("consumer_key", "Consumer key, ck_… (not shown)", hidden=True)
        want("consumer_secret", "Consumer secret, cs_… (not shown)", hidden=True)
        return
    if "access_token" not in answers:
        want("client_id", "Client id of your app (Enter: there is only an access token)", "")
    if "client_id" in answers:
        want("client_secret", "Its client secret (not shown)", hidden=True)
    else:
        want("access_token", "Access token (not shown)", hidden=True)


def _lacking_rights(shop: Shop, way: Access, *, told_sources: bool) -> list[str]:
    """Ask the API once; what it says of the credentials is told with where to get others, unless
    that was told before the questions."""
    from prisjakt_relay.operations import platform_access

    api = platform_access.connected(shop, way, on_wait=tell_wait)
    try:
        return sorted(api.check())
    except PlatformApiError as error:
        if isinstance(error, PlatformBusyError):
            output.hint(f"Is this the address of its API? {way.address}")
        elif not told_sources:
            output.hint(platform_access.SOURCES[shop.platform])
        output.hint("Nothing was written; --unchecked writes it all the same.")
        raise


def _tell_changes(name: str, changes: list[Change]) -> None:
    if not changes:
        output.show(f"{name} has these values already: nothing was written.")
        return
    table = output.table(name, "Field", "Before", "After")
    for change in changes:
        told = _change(change)
        output.row(table, change.field, plain(told["before"]), plain(told["after"]))
    output.show(table)


def _change(change: Change) -> dict[str, Any]:
    from prisjakt_relay.operations import platform_access

    if not platform_access.is_secret(change.field):
        return {"field": change.field, "before": change.before, "after": change.after}
    before, after = (value and HIDDEN for value in (change.before, change.after))
    return {"field": change.field, "before": before, "after": after}


def _advise(stack: Stack, name: str, shop: Shop, way: Access, *, accepted: bool) -> None:
    from prisjakt_relay.operations import platform_access
    from prisjakt_relay.platform_api import access
    from prisjakt_relay.reconciler.progress import ProgressBook

    if (other := access.other_store(way, shop)) is not None:
        change = stack.command("shop", "set", name, "--domain", "HOST")
        output.hint(
            f"That is another store than {other}, which the shop's document names: what it sends "
            f"is ignored, and nothing is read from it; `{change}` changes that."
        )
    if not accepted:
        output.hint(
            "Webhooks that this app registers are signed with its client secret, which the shop "
            f"does not accept yet: {platform_access.accepting_remedy(stack, name)}."
        )
    output.hint(f"Its webhooks: {stack.command('webhooks', 'list', name)}")
    if name not in ProgressBook(stack.store).shops():
        look = stack.command("shop", "set", name, "--reconcile", "on")
        output.hint(f"To look every hour for orders that never arrived: {look}")
