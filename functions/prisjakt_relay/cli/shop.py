"""`shop`: the shops of a relay, added, shown, changed and removed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from prisjakt_relay.cli import output, shop_api
from prisjakt_relay.cli.options import Json, ShopName, WithSecrets, Yes, on_stack
from prisjakt_relay.cli.shop_fields import (
    asked_signing_secret,
    completed,
    plain,
    read_document,
    secret_value,
    switch,
    to_unset,
    with_fields,
)
from prisjakt_relay.cli.snippet import System
from prisjakt_relay.errors import SetupError

if TYPE_CHECKING:
    from rich.table import Table

    from prisjakt_relay.operations.shop_documents import Change
    from prisjakt_relay.operations.stack import Stack
    from prisjakt_relay.platforms.interface import Webhooks
    from prisjakt_relay.reconciler.progress import Progress
    from prisjakt_relay.shop import Shop

LISTED: Final = (
    "shop",
    "platform",
    "mode",
    "pixel_id",
    "report_when",
    "corrects",
    "domain",
    "reconcile",
    "problem",
)
RECONCILE: Final = "reconcile"
TAKEN_UP: Final = "The functions take it up within five minutes."


def add_commands(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="The shops of a relay and their documents.")
    group.command("add")(add)
    group.command("list")(list_shops)
    group.command("show")(show)
    group.command("set")(set_fields)
    group.command("remove")(remove)
    signing = typer.Typer(no_args_is_help=True, help="Rotate what webhooks are signed with.")
    signing.command("add")(add_signing_secret)
    signing.command("remove")(remove_signing_secret)
    group.add_typer(signing, name="signing-secret")
    shop_api.add_commands(group)
    app.add_typer(group, name="shop")


@on_stack
@with_fields
def add(
    stack: Stack,
    name: ShopName,
    given: Mapping[str, Any],
    document: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A whole document as JSON; '-': standard input; other options override it.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Add a shop: asks for what it needs, tells what to paste where.

    Example: prisjakt-relay shop add my-shop
    """
    from prisjakt_relay.operations import shop_documents
    from prisjakt_relay.platforms import PLATFORMS

    if name in set(System):
        raise SetupError(f"shop name {name!r}: means a system in `snippet`; choose another name")
    shop_documents.require_unused(stack, name)
    wanted = {**read_document(document), **given}
    shop_documents.check_so_far(wanted)
    wanted = completed(wanted)
    generated = None
    if "signing_secrets" not in wanted:
        generated = shop_documents.generated_secret(wanted["platform"])
        wanted["signing_secrets"] = [generated]
    shop = shop_documents.check(wanted)
    _warn_of_twins(stack, name, shop)
    shop_documents.add(stack, name, wanted)
    webhooks = PLATFORMS[shop.platform].guide.webhooks
    if as_json:
        output.print_json(
            {
                "shop": name,
                "platform": shop.platform,
                "mode": shop.mode,
                "webhooks": _webhooks(stack, name, shop.platform, webhooks),
                "signing_secret": generated,
                "next": [
                    stack.command("snippet", name),
                    stack.command("test", name),
                ],
            }
        )
        return
    _tell_set_up(stack, name, shop, webhooks, generated)


@on_stack
def list_shops(stack: Stack, as_json: Json = False) -> None:
    """List the shops, with what matters of their documents.

    Example: prisjakt-relay shop list
    """
    from prisjakt_relay.operations import shops
    from prisjakt_relay.reconciler.progress import ProgressBook

    with output.progress() as progress:
        found = list(progress.track(shops.each(stack), description="Reading"))
    problems = [str(shop) for _, shop in found if isinstance(shop, SetupError)]
    reconciled = ProgressBook(stack.store).shops()
    if as_json:
        output.print_json([_listed(name, shop, name in reconciled) for name, shop in found])
    elif not found:
        output.hint(f"no shops yet: {stack.command('shop', 'add', 'SHOP')}")
    else:
        output.show(_shop_table(found, reconciled))
        _print(*problems)
    if problems:
        raise typer.Exit(1)


@on_stack
def show(
    stack: Stack,
    name: ShopName,
    with_secrets: WithSecrets = False,
    as_json: Json = False,
) -> None:
    """Show a shop's document, defaults included, and where its webhooks go.

    Example: prisjakt-relay shop show my-shop
    """
    from prisjakt_relay.operations import shop_documents, shops
    from prisjakt_relay.platforms import PLATFORMS
    from prisjakt_relay.reconciler.progress import ProgressBook

    document = shops.document(stack, name)
    book = ProgressBook(stack.store)
    is_reconciled, progress = name in book.shops(), book.get(name)
    fields = shop_documents.effective(document)
    problem = shop_documents.problem(document)
    platform = str(document.get("platform"))
    webhooks = PLATFORMS[platform].guide.webhooks if platform in PLATFORMS else None
    if as_json:
        output.print_json(
            {
                "shop": name,
                **{
                    field: shop_documents.masked(field, value, revealed=with_secrets)
                    for field, value in fields.items()
                },
                "defaults": [field for field in fields if field not in document],
                "reconcile": {
                    "on": is_reconciled,
                    "ran_at": progress.ran_at,
                    "complete_until": progress.cursor,
                    "problem": progress.problem or None,
                },
                "webhooks": webhooks and _webhooks(stack, name, platform, webhooks),
                "problem": problem,
            }
        )
    else:
        table = output.table(name, "Field", "Value")
        table.columns[1].overflow = "fold"
        for field, value in fields.items():
            told = shop_documents.masked(field, value, revealed=with_secrets)
            output.row(table, field, _cell(field, told, document))
        output.row(table, RECONCILE, _reconciled(is_reconciled, progress))
        output.show(table)
        if webhooks:
            _tell_webhooks(stack, name, platform, webhooks)
    if problem:
        output.err().print(f"error: {problem}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1)


@on_stack
@with_fields
def set_fields(
    stack: Stack,
    name: ShopName,
    given: Mapping[str, Any],
    unset: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help="Back to its default; repeatable."),
    ] = None,
    reconcile: Annotated[
        str | None,
        typer.Option(
            metavar="on|off",
            help="Look every hour for orders that never arrived; `shop api set` goes before.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Change fields of a shop's document, and show what changes.

    Example: prisjakt-relay shop set my-shop --mode live
    """
    from prisjakt_relay.operations import shop_documents, shops
    from prisjakt_relay.operations.stack import clock
    from prisjakt_relay.reconciler.progress import ProgressBook

    wanted = None if reconcile is None else switch("--reconcile", reconcile)
    if not given and not unset and wanted is None:
        raise SetupError(
            "nothing to set: name a field, like "
            f"`{stack.command('shop', 'set', name, '--mode', 'live')}`; --help shows them all"
        )
    before = after = shops.document(stack, name)
    if given or unset:
        after = shop_documents.changed(before, given, to_unset(unset or [], before, given))
    changes = shop_documents.changes(before, after)
    switched: list[Change] = []
    if wanted is not None and wanted != (name in ProgressBook(stack.store).shops()):
        if wanted:
            _require_reconcilable(stack, name, shop_documents.check(after))
        switched.append(shop_documents.Change(RECONCILE, not wanted, wanted))
    if not as_json:
        _tell_changes(name, before, after, [*changes, *switched])
    if changes:
        _warn(stack, name, before, changes)
        if any(change.field in ("pixel_id", "order_reference") for change in changes):
            _warn_of_twins(stack, name, shop_documents.check(after))
        shop_documents.write(stack, name, after)
        output.hint(f"Written. {TAKEN_UP}")
    book = ProgressBook(stack.store)
    if switched and (book.add(name, clock()) if wanted else book.remove(name)):
        output.hint(
            "The reconciler's next run, within an hour, begins with the last two days."
            if wanted
            else "From now on nobody looks for orders that never arrive."
        )
        if wanted and stack.parameters.get("ReconcilerAlarms") == "off":
            output.hint("Its alarms are off: deploy with the parameter ReconcilerAlarms=on.")
    if as_json:
        told = [_change(change) for change in [*changes, *switched]]
        output.print_json({"shop": name, "changes": told})


@on_stack
def remove(
    stack: Stack,
    name: ShopName,
    yes: Yes = False,
    now: Annotated[
        bool, typer.Option("--now", help="For good, instead of after seven days.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove a shop: its webhooks are answered 404 from then on.

    Example: prisjakt-relay shop remove my-shop
    """
    from prisjakt_relay.operations import platform_access, shop_documents, shops
    from prisjakt_relay.reconciler.progress import ProgressBook

    kept_until = None
    is_to_go = shop_documents.is_there(stack, name) or now
    if is_to_go:
        output.hint(
            f"Within five minutes, webhooks of {name} are answered 404 and nothing is reported "
            "for it any more. What waits is kept trying for 29 days, in case the shop comes back. "
            "The access to its own API, if there is any, goes for good; before that, "
            f"`{stack.command('webhooks', 'remove', name)}` can take its webhooks away. "
            "Requests to forget customers or the shop are answered 404, too: "
            f"`{stack.command('privacy', 'erase', name, '--all')}` does that, before or after."
        )
        if not output.confirmed(f"Remove shop {name} from the stack {stack.name}?", yes=yes):
            output.hint("Nothing was removed.")
            raise typer.Exit(1)
    # What belongs to the shop goes before it: if this is interrupted, the next call finds the rest.
    ProgressBook(stack.store).remove(name)
    platform_access.remove(stack, name)
    if is_to_go:
        kept_until = shop_documents.remove(stack, name, now=now)
        told = f"{name} is removed."
    else:
        told = f"{name} is removed already; --now does it for good."
    if as_json:
        output.print_json({"shop": name, "removed": True, "kept_until": kept_until})
        return
    output.show(told)
    if kept_until and stack.local_port is not None:
        _print(f"`{stack.command('shop', 'add', name)}` takes the name back.")
    elif kept_until:
        _print(
            f"Its document is kept until {output.moment(kept_until)} UTC. To bring it back: aws "
            f"secretsmanager restore-secret --secret-id {shops.secret_id(stack, name)} "
            f"--region {stack.region}"
        )
    output.hint("Delete its webhooks in the shop, too, as far as they are still there.")


@on_stack
def add_signing_secret(
    stack: Stack,
    name: ShopName,
    secret: Annotated[
        str | None,
        typer.Option(
            "--signing-secret",
            metavar="SECRET",
            help="The new one; '-' reads a line of standard input; default: asked for where the "
            "shop system gives it (Shopify), made otherwise.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Accept one more signing secret, beside those there are: the first step of a rotation.

    Example: prisjakt-relay shop signing-secret add my-shop
    """
    from prisjakt_relay.operations import platform_access, shop_documents, shops
    from prisjakt_relay.platforms import PLATFORMS

    document = shops.document(stack, name)
    shop = shop_documents.check(document)
    question = PLATFORMS[shop.platform].guide.secret
    generated = None
    if secret is None and question is None:
        generated = secret = shop_documents.generated_secret(shop.platform)
    elif secret is None:
        secret = asked_signing_secret(shop.platform, question or "")
    else:
        secret = secret_value("--signing-secret", secret)
    after = shop_documents.with_secret(document, secret)
    is_new = after != document
    if is_new:
        shop_documents.write(stack, name, after)
    fingerprint = shop_documents.fingerprint(secret)
    if as_json:
        output.print_json(
            {
                "shop": name,
                "fingerprint": fingerprint,
                "added": is_new,
                "signing_secret": generated,
            }
        )
        return
    if not is_new:
        output.show(f"{name} accepts {fingerprint} already: nothing was written.")
        return
    output.show(f"{name} accepts signing secret {fingerprint} from now on, and the older ones.")
    if generated:
        _print("\nPut it into every webhook in the shop:\n", f"  {generated}\n")
    if question is None and platform_access.has_api(shop.platform):
        renew = stack.command("webhooks", "repair", name, "--renew")
        output.hint(f"With access to its API, this puts it into its webhooks: {renew}")
    for older in shop.signing_secrets:
        words = ("shop", "signing-secret", "remove", name, shop_documents.fingerprint(older))
        output.hint(f"Once nothing is signed with the older one: {stack.command(*words)}")


@on_stack
def remove_signing_secret(
    stack: Stack,
    name: ShopName,
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help="What `shop show` calls it.")
    ],
    as_json: Json = False,
) -> None:
    """Accept a signing secret no more: the last step of a rotation.

    Example: prisjakt-relay shop signing-secret remove my-shop 1f3c9a07
    """
    from prisjakt_relay.operations import shop_documents, shops

    after = shop_documents.without_secret(shops.document(stack, name), fingerprint)
    shop_documents.write(stack, name, after)
    if as_json:
        left = [shop_documents.fingerprint(secret) for secret in after["signing_secrets"]]
        output.print_json({"shop": name, "removed": fingerprint, "left": left})
        return
    output.show(f"{name} no longer accepts {fingerprint}. {TAKEN_UP}")


def _print(*texts: str) -> None:
    """Lines that must not be broken: they are made to be copied."""
    for text in texts:
        output.out().print(text, markup=False, soft_wrap=True)


def _webhooks(stack: Stack, name: str, platform: str, webhooks: Webhooks) -> dict[str, Any]:
    return {
        "address": stack.webhook(platform, name),
        "where": webhooks.where,
        "topics": webhooks.topics,
        "settings": webhooks.settings,
    }


def _tell_webhooks(stack: Stack, name: str, platform: str, webhooks: Webhooks) -> None:
    settings = ", ".join(f"{what} {value}" for what, value in webhooks.settings.items())
    _print(
        f"{webhooks.where}:",
        f"  one webhook each for {', '.join(webhooks.topics)}",
        f"  {settings}",
        "  address",
        f"    {stack.webhook(platform, name)}",
    )


def _tell_set_up(
    stack: Stack, name: str, shop: Shop, webhooks: Webhooks, generated: str | None
) -> None:
    from prisjakt_relay.operations import platform_access

    _print(f"{name} is added, in mode {shop.mode}. What is left to do:", "")
    _tell_webhooks(stack, name, shop.platform, webhooks)
    if generated:
        _print("  secret", f"    {generated}")
    if platform_access.has_api(shop.platform):
        _print(
            "Or let the relay make them, through the shop system's own API:",
            f"    {stack.command('shop', 'api', 'set', name)}",
            f"    {stack.command('webhooks', 'register', name)}",
        )
    _print(
        "",
        "The tag for the shop's pages:",
        f"    {stack.command('snippet', name)}",
        "Try it, from a signed order to Prisjakt:",
        f"    {stack.command('test', name)}",
    )
    if shop.mode != "live":
        _print(
            "Then report for real:", f"    {stack.command('shop', 'set', name, '--mode', 'live')}"
        )


def _require_reconcilable(stack: Stack, name: str, shop: Shop) -> None:
    from prisjakt_relay.operations import platform_access

    if "ReconcilerLogGroup" not in stack.outputs:
        raise SetupError(f"the stack {stack.name} is older and has no reconciler: deploy it again")
    platform_access.require_reading(stack, name, shop)


def _reconciled(is_on: bool, progress: Progress) -> str:
    if not is_on:
        return "off"
    if progress.ran_at is None:
        return "on, has not run yet"
    ran = f"on, last run {output.moment(progress.ran_at)} UTC"
    return f"{ran}: {progress.problem}" if progress.problem else ran


def _shop_table(
    found: Iterable[tuple[str, Shop | SetupError]], reconciled: Collection[str]
) -> Table:
    from rich.text import Text

    table = output.table("", "Shop", "Platform", "Mode", "Pixel", "Reports", "Corrects")
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.no_wrap = True
    for name, shop in found:
        if isinstance(shop, SetupError):
            output.row(table, name, "cannot be used", style="red")
            continue
        pixel, reports, corrects = shop.pixel_id[:8], shop.report_when, _corrects(shop)
        more = filter(None, (shop.domain, "reconciled" if name in reconciled else None))
        what = Text(name).append("".join(f"\n{each}" for each in more), "dim")
        output.row(table, what, shop.platform, shop.mode, pixel, reports, corrects)
    return table


def _listed(name: str, shop: Shop | SetupError, is_reconciled: bool) -> dict[str, Any]:
    if isinstance(shop, SetupError):
        known = {"shop": name, "reconcile": is_reconciled, "problem": str(shop)}
        return dict.fromkeys(LISTED) | known
    return {
        "shop": name,
        "platform": shop.platform,
        "mode": shop.mode,
        "pixel_id": shop.pixel_id,
        "report_when": shop.report_when,
        "corrects": _corrects(shop),
        "domain": shop.domain,
        "reconcile": is_reconciled,
        "problem": None,
    }


def _corrects(shop: Shop) -> str:
    if not shop.corrections:
        return "off"
    return "yes" if shop.has_credentials else "no"


def _tell_changes(
    name: str, before: Mapping[str, Any], after: Mapping[str, Any], changes: Sequence[Change]
) -> None:
    if not changes:
        output.show(f"{name} has these values already: nothing was written.")
        return
    table = output.table(name, "Field", "Before", "After")
    for column in table.columns[1:]:
        column.overflow = "fold"
    for change in changes:
        field, told = change.field, _change(change)
        output.row(
            table, field, _cell(field, told["before"], before), _cell(field, told["after"], after)
        )
    output.show(table)


def _cell(field: str, value: Any, document: Mapping[str, Any]) -> str:
    """A field's value; marked where the document leaves it to the default."""
    text = plain(value)
    is_default = field not in document and field != RECONCILE
    return f"{text} (default)" if text and is_default else text


def _change(change: Change) -> dict[str, Any]:
    from prisjakt_relay.operations import shop_documents

    if change.field == RECONCILE or not shop_documents.is_secret(change.field):
        return {"field": change.field, "before": change.before, "after": change.after}
    before, after = (value and shop_api.HIDDEN for value in (change.before, change.after))
    return {"field": change.field, "before": before, "after": after}


def _warn(stack: Stack, name: str, before: Mapping[str, Any], changes: Sequence[Change]) -> None:
    changed = {change.field for change in changes}
    if before.get("mode", "live") == "live" and (
        kept := [field for field in ("pixel_id", "order_reference") if field in changed]
    ):
        output.hint(f"Orders that were reported already keep their {' and '.join(kept)}.")
    if "signing_secrets" in changed:
        rotate = stack.command("shop", "signing-secret", "add", name)
        output.hint(f"Only these signing secrets count from now on; to rotate one: {rotate}")


def _warn_of_twins(stack: Stack, name: str, shop: Shop) -> None:
    from prisjakt_relay.operations import shops

    with output.progress() as progress:
        others = progress.track(shops.each(stack), description="Comparing with the other shops")
        twins = [
            other
            for other, found in others
            if other != name
            and not isinstance(found, SetupError)
            and shops.reference_space(found) == shops.reference_space(shop)
        ]
    if twins:
        output.hint(
            f"{name} shares its pixel and its order_reference with {', '.join(twins)}: to "
            "Prisjakt, orders of the same reference are one. Give each shop a pattern of its own: "
            + stack.command("shop", "set", name, "--order-reference", f"{name}-{{id}}")
        )
