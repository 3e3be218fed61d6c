"""`uninstall`: take the relay out of the AWS account, and tell what stays and costs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prisjakt_relay.cli.options import Json, Where, Yes, on_stack_if_needed
from prisjakt_relay.cli.output import (
    confirmed,
    err,
    hint,
    print_json,
    progress,
    row,
    show,
    table,
)
from prisjakt_relay.errors import SetupError
from prisjakt_relay.operations.command_line import command

if TYPE_CHECKING:
    from rich.table import Table

    from prisjakt_relay.operations.uninstalling import Inventory, Part, Step, Uninstaller

_GONE = ("DELETE_COMPLETE", "DELETE_SKIPPED")


def add_commands(app: typer.Typer) -> None:
    app.command()(uninstall)


@on_stack_if_needed
def uninstall(
    where: Where,
    with_data: Annotated[
        bool,
        typer.Option(
            "--with-data", help="Also what AWS keeps: ledger, dead letters, shop documents."
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Even if orders wait to be reported: they are lost.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take the relay out of AWS: first tell what goes, what stays, and what that costs.

    Example: prisjakt-relay uninstall --stack prisjakt-relay --with-data
    """
    if where.local:
        raise SetupError("the local system leaves nothing behind: Ctrl-C ends it")
    from prisjakt_relay.operations.finding import counted
    from prisjakt_relay.operations.uninstalling import Uninstaller

    uninstaller = Uninstaller(where.stack_name, region=where.region, profile=where.profile)
    found = uninstaller.inventory()
    if not as_json:
        _tell(found, with_data=with_data)
    if found.waiting and not force:
        raise SetupError(
            f"{counted(found.waiting, 'order')} in the queue would be lost: wait until they are "
            "reported, or add --force"
        )
    _ask(found, with_data=with_data, yes=yes)
    failed = _remove_stack(uninstaller, found) if found.stack_id else []
    removed = with_data and not failed
    problems = _remove_data(uninstaller, found) if removed else {}
    remains = [part for part in found.data if not removed or part in problems]
    if as_json:
        print_json(_document(found, failed, problems, remains))
    else:
        _tell_end(found, failed, problems, remains, where.profile)
    raise typer.Exit(1 if failed or problems else 0)


def _ask(found: Inventory, *, with_data: bool, yes: bool) -> None:
    """For the name always, and once more for the data; nothing is done before all is answered."""
    removes_data = with_data and bool(found.data)
    if yes or not (found.stack_id or removes_data):
        return
    if not sys.stdin.isatty():
        what = f"the stack {found.name}" if found.stack_id else _summary(found.data)
        raise SetupError(
            f"{what} would be removed, and nobody can be asked here: add --yes to do it"
        )
    what = "this stack" if found.stack_id else "the data of this stack"
    if typer.prompt(f"Type {found.name} to remove {what}", err=True) != found.name:
        raise SetupError(f"that is not {found.name}: nothing was removed")
    question = f"Remove its data, for good: {_summary(found.data)}?"
    if removes_data and not confirmed(question, yes=False):
        hint("nothing was removed")
        raise typer.Exit(1)


def _remove_stack(uninstaller: Uninstaller, found: Inventory) -> list[Step]:
    """The steps that failed, the stack's own at the end."""
    failed: list[Step] = []
    with progress() as bar:
        task = bar.add_task("removing the stack", total=sum(found.resources.values()))
        for step in uninstaller.delete_stack(str(found.stack_id)):
            if step.status == "DELETE_FAILED":
                failed.append(step)
            if not step.is_stack:
                done = step.status == "DELETE_COMPLETE"
                bar.update(task, advance=int(done), description=f"{step.resource} {step.status}")
    return failed


def _remove_data(uninstaller: Uninstaller, found: Inventory) -> dict[Part, str]:
    """What could not be removed, and why. The ledger goes last, since the rest is known by it."""
    from prisjakt_relay.operations.uninstalling import LEDGER

    problems: dict[Part, str] = {}
    with progress() as bar:
        in_order = sorted(found.data, key=lambda part: part.kind == LEDGER)
        for part in bar.track(in_order, description="removing the data"):
            if part.kind == LEDGER and any(other.kind != LEDGER for other in problems):
                problems[part] = "stays, so that a run again finds what else is still there"
                continue
            problem = uninstaller.remove(part)
            if problem is not None:
                problems[part] = problem
    return problems


def _tell(found: Inventory, *, with_data: bool) -> None:
    if found.stack_id is None:
        show(f"The stack {found.name} in {found.region} is gone already.")
    else:
        goes = table("", "resources", "", right=("",))
        for kind, number in sorted(found.resources.items()):
            row(goes, kind.removeprefix("AWS::").replace("::", " "), number)
        show(
            f"The stack {found.name} in {found.region} ({found.status}) goes, its logs included:",
            goes,
        )
    if found.data:
        verb = "goes too" if with_data else "stays, unless --with-data is given"
        show(f"What AWS keeps of it {verb}:", _data_table(found))


def _data_table(found: Inventory) -> Table:
    made = table("", "what", "name", "holds about", "USD a month", right=("USD a month",))
    made.columns[1].overflow = "fold"
    for part in found.data:
        row(made, part.kind, part.name, _holds(part), part.monthly)
    row(made, "together", "", "", _monthly(found.data), style="bold")
    return made


def _holds(part: Part) -> str:
    from prisjakt_relay.operations.finding import counted

    if part.messages is not None:
        return counted(part.messages, "message")
    if part.items is not None:
        return f"{counted(part.items, 'item')}, {(part.size or 0) / 1e6:.1f} MB"
    return ""


def _tell_end(
    found: Inventory,
    failed: list[Step],
    problems: dict[Part, str],
    remains: list[Part],
    profile: str | None,
) -> None:
    for step in failed:
        err().print(f"{step.resource}: {step.reason or step.status}", markup=False, style="red")
    for part, problem in problems.items():
        err().print(f"{part.kind} {part.name}: {problem}", markup=False, style="red")
    if failed:
        show(f"The stack {found.name} is not gone: mend what is named above, then run it again.")
        return
    if found.stack_id:
        show(f"The stack {found.name} is gone.")
        hint(
            "Remove its webhooks in the shop systems, and the tag or plugin from their pages. "
            "The bucket of `sam deploy` (aws-sam-cli-managed-default) is SAM's own, and stays."
        )
    if not remains:
        show("Nothing of it is left.")
        hint("AWS keeps a backup of a removed table for 35 days, at no cost.")
        return
    show(f"What stays: {_summary(remains)}, about {_monthly(remains)} USD a month.")
    if not problems:
        again = command(
            "uninstall", "--with-data", stack=found.name, region=found.region, profile=profile
        )
        hint(f"`{again}` removes that too.")


def _document(
    found: Inventory, failed: list[Step], problems: dict[Part, str], remains: list[Part]
) -> dict[str, Any]:
    return {
        "stack": found.name,
        "region": found.region,
        "gone": not failed,
        "resources": found.resources,
        "removed": [part for part in found.data if part not in remains],
        "remains": remains,
        "usd_a_month": _monthly(remains),
        "failed": [
            *({"name": step.resource, "reason": step.reason} for step in failed),
            *({"name": part.name, "reason": reason} for part, reason in problems.items()),
        ],
    }


def _monthly(parts: Iterable[Part]) -> Decimal:
    return sum((part.monthly for part in parts), Decimal("0.00"))


def _summary(parts: Sequence[Part]) -> str:
    from prisjakt_relay.operations.finding import counted

    kinds = list(dict.fromkeys(part.kind for part in parts))
    return ", ".join(counted(sum(part.kind == kind for part in parts), kind) for kind in kinds)
