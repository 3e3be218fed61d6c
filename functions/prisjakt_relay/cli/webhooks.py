"""`webhooks`: those of a shop, looked at and put in order through its system's own API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prisjakt_relay.cli import output
from prisjakt_relay.cli.options import Json, ShopName, Yes, on_stack
from prisjakt_relay.cli.shop_api import tell_wait
from prisjakt_relay.errors import RelayError

if TYPE_CHECKING:
    from prisjakt_relay.operations.stack import Stack
    from prisjakt_relay.operations.webhooks import ShopWebhooks
    from prisjakt_relay.platform_api.interface import Webhook
    from prisjakt_relay.platform_api.subscriptions import Finding

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]


def add_commands(app: typer.Typer) -> None:
    group = typer.Typer(
        help="A shop's webhooks, through its system's own API: `shop api set` goes before.",
        no_args_is_help=True,
    )
    group.command("list")(list_)
    group.command()(register)
    group.command()(repair)
    group.command()(remove)
    app.add_typer(group, name="webhooks")


@on_stack
def list_(stack: Stack, name: ShopName, as_json: Json = False) -> None:
    """List a shop's webhooks: those that are missing, disabled, doubled, or another relay's.

    Example: prisjakt-relay webhooks list my-shop
    """
    from prisjakt_relay.operations import webhooks

    shop = _opened(stack, name)
    findings = shop.findings()
    wrong = webhooks.wrong(findings)
    if as_json:
        output.print_json(
            {
                "shop": name,
                "address": shop.address,
                "in_order": not wrong,
                "webhooks": [
                    _finding(each) | {"remedy": shop.remedy(each) or None} for each in findings
                ],
            }
        )
    else:
        _tell_findings(shop, findings)
    _tell_unseen(shop, findings)
    if wrong:
        raise typer.Exit(1)


@on_stack
def register(stack: Stack, name: ShopName, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Register the webhooks that are missing, and leave all others alone.

    Example: prisjakt-relay webhooks register my-shop
    """
    from prisjakt_relay.operations import webhooks

    shop = _opened(stack, name)
    shop.require_accepted_signature()
    findings = shop.findings()
    plan = webhooks.missing(findings)
    _carry_out(shop, plan, dry_run=dry_run, as_json=as_json)
    if not dry_run:
        _tell_unseen(shop, findings)
    if left := [each for each in webhooks.wrong(findings) if each not in plan]:
        for each in left:
            output.hint(shop.remedy(each))
        raise typer.Exit(1)


@on_stack
def repair(
    stack: Stack,
    name: ShopName,
    renew: Annotated[
        bool,
        typer.Option(
            "--renew",
            help="Replace those that are in order as well: a new signing secret counts from then "
            "on.",
        ),
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Put the webhooks in order: make what is missing, replace what is broken, end doubles.

    Example: prisjakt-relay webhooks repair my-shop --dry-run
    """
    from prisjakt_relay.operations import webhooks

    shop = _opened(stack, name)
    shop.require_accepted_signature()
    findings = shop.findings()
    plan = webhooks.in_need(findings, renew=renew)
    _carry_out(shop, plan, dry_run=dry_run, as_json=as_json)
    if not (renew or dry_run) and webhooks.may_share_a_secret(shop.shop, findings):
        all_of_them = stack.command("webhooks", "repair", name, "--renew")
        output.hint(
            "If it was disabled because its signature was refused, the others have the same old "
            f"secret: {all_of_them}"
        )


@on_stack
def remove(
    stack: Stack,
    name: ShopName,
    webhook_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Only this one, whoever made it."),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Remove a shop's webhooks that lead to this relay, or any one by its id.

    Example: prisjakt-relay webhooks remove my-shop --id 12
    """
    from prisjakt_relay.operations import webhooks

    shop = _opened(stack, name)
    plan = webhooks.ours(shop.findings()) if webhook_id is None else [shop.one(webhook_id)]
    if not as_json:
        _tell_removals(plan)
    done: list[Webhook] = []
    if plan and not dry_run:
        question = f"Remove {'this webhook' if len(plan) == 1 else f'these {len(plan)} webhooks'}?"
        if not output.confirmed(question, yes=yes):
            output.hint("Nothing was removed.")
            raise typer.Exit(1)
        for each in _counted(_removed(shop, plan), len(plan)):
            done.append(each)
    if as_json:
        told = [_webhook(each) | {"done": each in done} for each in plan]
        output.print_json({"shop": name, "dry_run": dry_run, "webhooks": told})
    elif done:
        output.show(f"{len(done)} removed.")


def _opened(stack: Stack, name: str) -> ShopWebhooks:
    from prisjakt_relay.operations import webhooks

    return webhooks.of_shop(stack, name, on_wait=tell_wait)


def _removed(shop: ShopWebhooks, plan: Iterable[Webhook]) -> Iterator[Webhook]:
    for each in plan:
        shop.api.remove_webhook(each)
        yield each


def _counted(work: Iterator[Any], number: int) -> Iterator[Any]:
    """The same; how far it came, whatever ends it."""
    done = 0
    try:
        for each in work:
            done += 1
            yield each
    except (KeyboardInterrupt, RelayError):
        output.hint(f"{done} of {number} done. Run it again to go on.")
        raise


def _carry_out(
    shop: ShopWebhooks, plan: Sequence[Finding], *, dry_run: bool, as_json: bool
) -> None:
    """Show what would be done, or do it and tell each as it is done."""
    from prisjakt_relay.operations.webhooks import WORK, short_id

    done: list[Finding] = []
    if dry_run:
        for each in plan if not as_json else ():
            output.show(f"would {WORK[each.state][0]} {each.topic}{_of(each)}")
    else:
        for each in _counted(shop.carry_out(plan), len(plan)):
            done.append(each)
            if not as_json:
                _, verb = WORK[each.state]
                number = f" ({short_id(each.webhook)})" if each.webhook else ""
                output.show(f"{verb} {each.topic}{number}")
    if as_json:
        told = [_finding(each) | {"work": WORK[each.state][0]} for each in (done or plan)]
        output.print_json(
            {
                "shop": shop.name,
                "address": shop.address,
                "dry_run": dry_run,
                "webhooks": told,
            }
        )
    elif not plan:
        output.show("Nothing to do.")


def _of(finding: Finding) -> str:
    """Which one, and what is wrong with it."""
    from prisjakt_relay.operations.webhooks import short_id

    if finding.webhook is None:
        return ""
    return f" ({', '.join([short_id(finding.webhook), *finding.webhook.problems])})"


def _tell_findings(shop: ShopWebhooks, findings: Sequence[Finding]) -> None:
    from prisjakt_relay.operations.webhooks import MEANINGS, short_id
    from prisjakt_relay.platform_api.subscriptions import IN_ORDER, State

    table = output.table(f"Webhooks of {shop.name}", "", "Topic", "State", "Id", "What to know")
    for each in findings:
        webhook = each.webhook
        needs_nothing = each.state in (State.OPTIONAL, State.EXTRA, State.FOREIGN)
        right = None if needs_nothing else each.state in IN_ORDER
        known = list(webhook.problems) if webhook else []
        if each.state is State.OPTIONAL:
            known.append(MEANINGS[each.state])
        if webhook and each.state is State.FOREIGN:
            known.append(f"to {webhook.address}")
        number = short_id(webhook) if webhook else ""
        output.row(table, output.mark(right), each.topic, each.state, number, ", ".join(known))
    output.show(table)
    console = output.out()
    console.print("Their address:", f"  {shop.address}", sep="\n", markup=False, soft_wrap=True)
    for remedy in dict.fromkeys(filter(None, map(shop.remedy, findings))):
        console.print(remedy, markup=False, soft_wrap=True)


def _tell_removals(plan: Sequence[Webhook]) -> None:
    from prisjakt_relay.operations.webhooks import short_id

    if not plan:
        output.show("Nothing to remove.")
        return
    table = output.table("", "Topic", "Id", "Address")
    for each in plan:
        output.row(table, each.topic, short_id(each), each.address)
    output.show(table)


def _tell_unseen(shop: ShopWebhooks, findings: Sequence[Finding]) -> None:
    from prisjakt_relay.operations.webhooks import UNSEEN

    if shop.none_is_ours(findings):
        output.hint(UNSEEN)


def _finding(finding: Finding) -> dict[str, Any]:
    of_webhook = (
        _webhook(finding.webhook)
        if finding.webhook
        else {"topic": finding.topic, "id": None, "address": None, "problems": ()}
    )
    return {"state": finding.state, **of_webhook}


def _webhook(webhook: Webhook) -> dict[str, Any]:
    return {
        "topic": webhook.topic,
        "id": webhook.id,
        "address": webhook.address,
        "problems": webhook.problems,
    }
