"""The checks of `doctor` that concern one shop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, Final

from prisjakt_relay.errors import (
    HeldError,
    PlatformAccessError,
    PlatformBusyError,
    PlatformRefusedError,
    PrisjaktError,
    RelayError,
    SetupError,
    ShopDocumentError,
)
from prisjakt_relay.operations import (
    ledger_items,
    logs,
    platform_access,
    prisjakt_access,
    shop_page,
    shops,
    trial,
    webhooks,
)
from prisjakt_relay.operations.delivery import Refused, send
from prisjakt_relay.operations.explanations import REASONS
from prisjakt_relay.operations.finding import Check, Finding, counted, lasting
from prisjakt_relay.operations.platform_access import has_api
from prisjakt_relay.operations.prisjakt_access import ROLE
from prisjakt_relay.operations.shop_documents import FLAGS, makes_secret
from prisjakt_relay.operations.stack import Stack, clock
from prisjakt_relay.outcomes import Outcome, Reason, Received
from prisjakt_relay.platform_api import access
from prisjakt_relay.platform_api.subscriptions import State, examined
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.reconciler.progress import ProgressBook
from prisjakt_relay.shop import Mode, Shop, unknown_fields

SILENT: Final = timedelta(days=7)
SHARE: Final = 0.05  # of orders that Prisjakt had before us: more is no chance
FEW: Final = 3

_PROBE: Final = "prisjakt-relay.doctor"  # for those whose topic is in the body
_WITHOUT_ORDER: Final = (Reason.PING, Reason.TEST_DELIVERY)
_UNSIGNED: Final = 401
_DAY: Final = timedelta(days=1)
_LINES: Final = 1_000
_LONGEST_WAIT: Final = 4.0  # seconds that a busy shop system is waited for at once
_OVERDUE: Final = timedelta(hours=3)  # of a function that runs every hour


def checks(stack: Stack, name: str, page: str | None = None) -> list[tuple[str, Check]]:
    """All of a shop's, or only that its document is unusable; raises `NoShopError` where there is
    no such shop, and other errors where its document cannot be read now."""
    shop, findings = document(stack, name)
    made: list[tuple[str, Check]] = [("document", lambda: findings)]
    if shop is None:
        return made
    return [
        *made,
        ("mode", lambda: [mode(stack, name, shop)]),
        ("signature", partial(signatures, stack, name, shop)),
        ("Prisjakt credentials", partial(prisjakt, stack, name, shop)),
        ("snippet", lambda: [snippet(stack, name, shop, page)]),
        *(
            [
                ("webhooks", lambda: registered(stack, name, shop)),
                ("reconciliation", lambda: [reconciliation(stack, name)]),
            ]
            if has_api(shop.platform)
            else []
        ),
        ("last delivery", lambda: [last_delivery(stack, name, shop)]),
        ("refused deliveries", lambda: [refused(stack, name, shop)]),
        ("dead orders", lambda: [dead(stack, name)]),
        ("reported by others", lambda: [already_there(stack, name)]),
    ]


def document(stack: Stack, name: str) -> tuple[Shop | None, list[Finding]]:
    """The document, if it can be used, and what there is to say of it."""
    try:
        written = shops.document(stack, name)
        shop = shops.checked(name, written)
    except shops.UnusableError as error:
        return None, [_unusable(stack, name, error.problem)]
    if unknown := unknown_fields(written):
        without = stack.command("shop", "set", name, *(f"--unset={each}" for each in unknown))
        return shop, [
            Finding(
                "document",
                False,
                f"has fields that nobody reads: {', '.join(unknown)}",
                f"take it out with `{without}`, and give the right field its value; the functions "
                "go on without it, but raise an alarm",
            )
        ]
    return shop, [Finding("document", True, f"{shop.platform}, pixel {shop.pixel_id}")]


def _unusable(stack: Stack, name: str, problem: ShopDocumentError) -> Finding:
    found, _, remedy = str(problem).rpartition("; ")
    if problem.field in FLAGS:
        way = f"`{stack.command('shop', 'set', name, FLAGS[problem.field], 'VALUE')}`"
    else:  # nothing in it can be read
        remove, add = (stack.command("shop", verb, name) for verb in ("remove", "add"))
        way = f"`{remove}`, then `{add}`"
    return Finding("document", False, found, f"{remedy}: {way}")


def mode(stack: Stack, name: str, shop: Shop) -> Finding:
    """Live, or a reminder that it is not."""
    live = f"when all is tried: `{stack.command('shop', 'set', name, '--mode', 'live')}`"
    if shop.mode is Mode.TEST:
        return Finding("mode", None, "test: every order is a test-purchase", live)
    if shop.mode is Mode.OFF:
        return Finding("mode", None, "off: nothing is reported", live)
    return Finding("mode", True, "live")


def signatures(stack: Stack, name: str, shop: Shop) -> list[Finding]:
    """Whether the deployed function is reached and takes what each signing secret signs.

    The delivery has a topic that no shop system has, so it is ignored; its id tells it apart.
    """
    findings: list[Finding] = []
    number = len(shop.signing_secrets)
    for position, secret in enumerate(shop.signing_secrets, 1):
        title = "signature" if number == 1 else f"signature {position} of {number}"
        body = json.dumps({"id": int(trial.sample_id(clock())), "type": _PROBE}).encode()
        try:
            answer = send(stack, name, shop, secret, PLATFORMS[shop.platform].probe, body)
        except ShopDocumentError as error:
            findings.append(_unfit(stack, name, title, error))
            continue
        if isinstance(answer, Refused):
            findings.append(Finding(title, False, answer.found, answer.remedy))
            if answer.status != _UNSIGNED:
                break  # it would be the same again
        elif answer.outcome != Received.IGNORED or answer.reason not in (Reason.TOPIC, Reason.OFF):
            findings.append(
                Finding(title, False, f"answered {answer.outcome}", "deploy the stack again")
            )
        else:
            milliseconds = round(answer.seconds * 1000)
            found = f"made, sent and found right in {milliseconds} ms"
            findings.append(Finding(title, True, found))
    return findings


def _unfit(stack: Stack, name: str, title: str, error: ShopDocumentError) -> Finding:
    """Of a secret that nothing can be signed with: the command line would not have taken it."""
    add = stack.command("shop", "signing-secret", "add", name)
    return Finding(title, False, str(error), f"`{add}` adds another; then remove this one")


def prisjakt(stack: Stack, name: str, shop: Shop) -> list[Finding]:
    """Whether Prisjakt knows the credentials, what they may do, and whether the pixel is on."""
    if not shop.has_credentials:
        return [
            Finding(
                "Prisjakt credentials",
                None,
                "none: purchases are reported, but neither corrected nor read back, and nobody "
                "can look at the pixel",
                "get them in Business Center, Integrations, then "
                + prisjakt_access.set_credentials(stack, name),
            )
        ]
    client = prisjakt_access.client(stack, name, shop)
    credentials, are_refused = _credentials(stack, client, name, shop)
    if are_refused:
        return [credentials]
    return [credentials, _pixel(stack, client, name, shop)]


def _credentials(
    stack: Stack, client: PrisjaktClient, name: str, shop: Shop
) -> tuple[Finding, bool]:
    """The finding, and whether Prisjakt refuses them, so that asking for more is no use."""
    title, client_id = "Prisjakt credentials", shop.prisjakt_client_id or ""
    try:
        roles = client.client(client_id).roles
    except (PrisjaktError, HeldError) as error:
        finding = _not_answered(stack, title, error, name, f"client {client_id}")
        return finding, finding.right is False
    has = ", ".join(roles) or "none"
    if ROLE in roles:
        return Finding(title, True, f"{client_id}, roles: {has}"), False
    lacking = Finding(
        title,
        False,
        f"{client_id} lacks the role {ROLE} (roles: {has})",
        "ask Prisjakt for a client with that role, or make one in Business Center, Integrations",
    )
    return lacking, False


def _pixel(stack: Stack, client: PrisjaktClient, name: str, shop: Shop) -> Finding:
    title = "pixel"
    try:
        enabled = client.pixel(shop.pixel_id).enabled
    except (PrisjaktError, HeldError) as error:
        return _not_answered(stack, title, error, name, f"pixel {shop.pixel_id}")
    if enabled:
        return Finding(title, True, "enabled")
    return Finding(
        title,
        False,
        f"{shop.pixel_id} is disabled: Prisjakt takes no purchases",
        "enable it in Business Center, Conversion Tracking",
    )


def _not_answered(
    stack: Stack, title: str, error: PrisjaktError | HeldError, name: str, what: str
) -> Finding:
    """Wrong where somebody can mend it, otherwise not told."""
    told: RelayError = error
    if isinstance(error, PrisjaktError):
        told = prisjakt_access.told(stack, error, name, what)
    found, _, remedy = str(told).rpartition(": ")
    return Finding(title, False if isinstance(told, SetupError) else None, found, remedy)


def snippet(stack: Stack, name: str, shop: Shop, page: str | None) -> Finding:
    """Whether the shop's page has it: the page asked for, else the front page of its storefront."""
    if page is None and stack.local_port is not None:
        page = f"http://127.0.0.1:{stack.local_port}/{shop.platform}/"
    if page is None:
        page = _storefront(stack, name, shop)
    if page is None:
        return Finding(
            "snippet",
            None,
            "not looked for: the shop document has no domain",
            "name a page of the shop with --page",
        )
    return shop_page.look(page, shop.platform, stack.command("snippet", name))


def _storefront(stack: Stack, name: str, shop: Shop) -> str | None:
    with suppress(RelayError):  # the check of the webhooks says what is wrong
        written = platform_access.document(stack, name)
        if written is not None:
            return f"{access.from_document(written, shop.platform).storefront}/"
    return None if shop.domain is None else f"https://{shop.domain}/"


def registered(stack: Stack, name: str, shop: Shop) -> list[Finding]:
    """Whether the shop system has the webhooks, and sends them; nothing without its API."""
    title = "webhooks"
    set_access = f"give access with `{stack.command('shop', 'api', 'set', name)}`"
    try:
        written = platform_access.document(stack, name)
    except platform_access.UnusableError as error:
        return [Finding(title, False, str(error), set_access)]
    if written is None:
        return []
    if (problem := platform_access.problem(written, shop.platform)) is not None:
        return [Finding(title, False, f"the access to the shop's own API: {problem}", set_access)]
    way = platform_access.check(written, shop.platform)
    api = platform_access.connected(shop, way, longest=_LONGEST_WAIT)
    address = stack.webhook(shop.platform, name)
    try:
        found = examined(api.webhooks(), api.topics, address)
    except PlatformBusyError as error:
        return [Finding(title, None, f"not looked at: {error}")]
    except PlatformAccessError as error:
        return [Finding(title, False, str(error), set_access)]
    except PlatformRefusedError as error:
        return [Finding(title, False, str(error))]
    ours = webhooks.ours(found)
    had_any = bool(ours) or ProgressBook(stack.store).get(name).has_webhooks
    if not api.sees_all and not had_any:
        return [
            Finding(
                title,
                None,
                "none that the app registered; those of Shopify's admin cannot be seen",
                f"`{stack.command('webhooks', 'register', name)}` makes webhooks that can be "
                "watched and repaired; then delete those of the admin",
            )
        ]
    if ours and platform_access.signs_in_vain(shop, way):
        return [
            Finding(
                title,
                False,
                "signed with the app's client secret, which the shop does not accept",
                platform_access.accepting_remedy(stack, name),
            )
        ]
    if wrong := webhooks.wrong(found):
        told = ", ".join(map(webhooks.told, wrong))
        repair = stack.command("webhooks", "repair", name)
        return [Finding(title, False, told, f"put them in order with `{repair}`")]
    alive = ", ".join(each.topic for each in found if each.state is State.ALIVE)
    return [Finding(title, True, f"alive: {alive}")]


def reconciliation(stack: Stack, name: str) -> Finding:
    """Whether somebody looks every hour for orders that never arrived, and with what success."""
    title, book = "reconciliation", ProgressBook(stack.store)
    has_access = platform_access.document(stack, name) is not None
    set_access = f"give access with `{stack.command('shop', 'api', 'set', name)}`"
    if name not in book.shops():
        switch = f"switch it on with `{stack.command('shop', 'set', name, '--reconcile', 'on')}`"
        return Finding(
            title,
            None,
            "off: orders whose deliveries get lost are not found",
            switch if has_access else f"{set_access}; then {switch}",
        )
    if not has_access:
        found = "on, but nobody has said how to get into the shop's own API"
        return Finding(title, False, found, set_access)
    progress = book.get(name)
    if progress.ran_at is None:
        return Finding(title, None, "on, has not run yet", "it runs every hour: look again then")
    age = clock() - progress.ran_at
    look = f"the log {stack.outputs.get('ReconcilerLogGroup', 'of the reconciler')} says why"
    if progress.problem:
        return Finding(title, False, f"failed {lasting(age)} ago: {progress.problem}", look)
    if age > _OVERDUE:
        return Finding(title, False, f"on, but has not run for {lasting(age)}", look)
    found = f"on, last run {lasting(age)} ago"
    if stack.parameters.get("ReconcilerAlarms") == "off":
        remedy = "deploy with the parameter ReconcilerAlarms=on"
        return Finding(title, None, f"{found}; its alarms are off", remedy)
    return Finding(title, True, found)


def last_delivery(stack: Stack, name: str, shop: Shop) -> Finding:
    """When the shop system last sent an order: not what `test` and `doctor` sent."""
    lines = _deliveries(stack, name, clock() - SILENT)
    if not lines:
        return _silence(stack, name, shop)
    order = next((line for line in lines if line.get("reason") not in _WITHOUT_ORDER), lines[0])
    if (loss := _loss(stack, name, shop, order)) is not None:
        found, remedy = loss
        found = f"{_ago(order)} ({order['reason']}), and not reported: {found}"
        return Finding("last delivery", False, found, remedy)
    what = str(lines[0].get("reason") or lines[0]["outcome"])
    return Finding("last delivery", True, f"{_ago(lines[0])} ({what})")


def _silence(stack: Stack, name: str, shop: Shop) -> Finding:
    """Wrong where there were deliveries before; a new shop may just not have sold anything."""
    kept = timedelta(days=int(stack.parameters["LogRetentionDays"]))
    before = _deliveries(stack, name, clock() - kept) if kept > SILENT else []
    topics = ", ".join(PLATFORMS[shop.platform].guide.webhooks.topics)
    return Finding(
        "last delivery",
        False if before and shop.mode is Mode.LIVE else None,
        "none in 7 days" + (f": the last one {_ago(before[0])}" if before else ""),
        f"look at the shop's webhooks: {topics}, active, to {stack.webhook(shop.platform, name)}",
    )


def _loss(stack: Stack, name: str, shop: Shop, line: Mapping[str, Any]) -> tuple[str, str] | None:
    """Of a delivery that was most likely meant to be reported: why it was not, and what to do."""
    reason, problem = line.get("reason"), line.get("problem")
    if reason == Reason.UNREADABLE:
        return str(problem), REASONS[Reason.UNREADABLE].remedy
    if reason != Reason.SOURCE or problem != "domain" or shop.domain is None:
        return None
    guide = PLATFORMS[shop.platform].guide
    right = stack.command("shop", "set", name, "--domain", guide.host)
    return (
        f"it names another store than {shop.domain}",
        f"the shop names itself by {guide.names}: `{right}`, and the next order tells; if another "
        "store sent it, take this address out of that store's webhooks",
    )


def _deliveries(stack: Stack, name: str, since: datetime) -> list[logs.Line]:
    lines = logs.recent(stack, {"shop": name, "service": "receiver"}, since, most=_LINES)
    return list(filter(_is_the_shops, lines))


def _ago(line: Mapping[str, Any]) -> str:
    return f"{lasting(clock() - line['at'])} ago"


def _is_the_shops(line: Mapping[str, Any]) -> bool:
    if line.get("outcome") not in (Received.QUEUED, Received.IGNORED):
        return False
    return line.get("reason") != Reason.TOPIC and not trial.is_sample(str(line.get("order_id")))


def refused(stack: Stack, name: str, shop: Shop) -> Finding:
    """Whether somebody sent with another signing secret of late."""
    title = "refused deliveries"
    line = logs.newest(stack, {"shop": name, "message": Received.UNSIGNED}, clock() - _DAY)
    if line is None:
        return Finding(title, True, "none in 24 h")
    last = f"the last one {lasting(clock() - line['at'])} ago"
    if (problem := line.get("problem")) is not None:
        return Finding(
            title,
            False,
            f"{last}: rightly signed, but its {problem} is more than five minutes off: a wrong "
            "clock, or somebody sends a recorded delivery again",
            "set the clock of the shop's system, and let it sign anew each time it sends",
        )
    gives_up, renew = PLATFORMS[shop.platform].guide.gives_up, ""
    stops = f"; {gives_up}" if gives_up else ""
    if has_api(shop.platform) and makes_secret(shop.platform):
        command = stack.command("webhooks", "repair", name, "--renew")
        renew = f", `{command}` makes the webhooks anew with the newest, given access to the API"
    return Finding(
        title,
        False,
        f"{last}: not signed with a secret of the shop{stops}",
        f"compare the shop system's secret: `{stack.command('shop', 'show', name, '--secrets')}`; "
        f"`{stack.command('shop', 'signing-secret', 'add', name)}` adds a second one{renew}",
    )


def dead(stack: Stack, name: str) -> Finding:
    """Orders that will not be reported without help."""
    question = {
        "IndexName": ledger_items.DEAD,
        "Select": "COUNT",
        "KeyConditionExpression": "dead_shop = :shop",
        "ExpressionAttributeValues": {":shop": {"S": name}},
    }
    number = sum(page["Count"] for page in ledger_items.pages(stack, "Query", question))
    if not number:
        return Finding("dead orders", True, "none")
    return Finding(
        "dead orders",
        False,
        f"{counted(number, 'order')} will not be reported without help",
        f"`{stack.command('dead', 'list', name)}` says why",
    )


def already_there(stack: Stack, name: str) -> Finding:
    """How many orders somebody else had reported before us."""
    title = "reported by others"
    others = _count(stack, name, Outcome.ALREADY_AT_PRISJAKT, None)
    if others < FEW:
        found = "none in 7 days" if not others else f"{counted(others, 'order')} in 7 days"
        return Finding(title, True, found)
    # So many of ours would make those of others a chance: no need to count further.
    enough = round(others / SHARE)
    ours = _count(stack, name, Outcome.REPORTED, enough)
    share = others / (others + ours)
    found = f"{counted(others, 'order')} in 7 days"
    if share <= SHARE:
        return Finding(title, True, f"{found}, not more than {SHARE:.0%}")
    return Finding(
        title,
        False,
        f"{found} ({share:.0%}) were at Prisjakt already",
        "does a browser pixel report the same orders? Give the order_reference its event ids, or "
        "take it out; do two shops share a pixel and a pattern? Give each its own order_reference",
    )


def _count(stack: Stack, name: str, outcome: Outcome, enough: int | None) -> int:
    now = clock()
    lines = logs.lines(
        stack,
        {"shop": name, "message": outcome},
        now - SILENT,
        now,
        groups=("SenderLogGroup",),
    )
    return sum(1 for _ in islice(lines, enough))
