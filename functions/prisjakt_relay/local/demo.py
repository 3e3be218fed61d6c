"""The demo: sample deliveries through the real system, and what Prisjakt holds in the end."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import urllib3
from rich import box
from rich.console import Console
from rich.table import Table

from prisjakt_relay.local import deliveries
from prisjakt_relay.local.deliveries import RECORDED_UNTIL, Delivery
from prisjakt_relay.local.system import LocalSystem, sample_shops

STORY: Final = (
    ("shopify", "canned-test", "Shopify's test notification"),
    ("shopify", "orders-create-paid", "a purchase that came from Prisjakt"),
    ("shopify", "orders-paid-same-order", "the same order on a second topic"),
    ("shopify", "orders-create-paid", "the first delivery once more"),
    ("shopify", "orders-create-no-click-id", "a purchase that did not"),
    ("shopify", "forged", "a forgery"),
    ("shopify", "orders-create-test-purchase", "a test with a bare UUID"),
    ("woocommerce", "9.8.1-ping", "the ping on saving the webhook"),
    ("woocommerce", "9.8.1-block-checkout-updated", "a purchase that came from Prisjakt"),
    ("woocommerce", "9.8.1-block-checkout-created", "the same order on a second topic"),
    ("woocommerce", "9.8.1-block-checkout-created", "the same delivery once more"),
    ("woocommerce", "made-no-click-id", "a purchase that did not"),
    ("woocommerce", "made-forged", "a forgery"),
    ("woocommerce", "made-test-purchase", "a test with a bare UUID"),
)

# Orders of which the relay hears nothing, and the topics that should have told it.
LOST: Final = (
    ("shopify", "orders-create-paid", "orders/create"),
    ("woocommerce", "made-purchase-paid", "order.created"),
)

TIME_SCALE: Final = 0.05  # nobody wants to watch a wait of ten seconds
TITLES: Final = {"shopify": "Shopify", "woocommerce": "WooCommerce"}

_ANSWER_SECONDS: Final = 30
_SETTLE_SECONDS: Final = 30
_LINES_SECONDS: Final = 5
_COLOURS: Final = {"queued": "green", "ignored": "yellow"}


@dataclass(slots=True)
class Result:
    """What was sent and answered, and what Prisjakt holds, beside what it should hold."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    recovered: list[dict[str, Any]] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)
    owed: list[dict[str, Any]] = field(default_factory=list)
    queue_is_empty: bool = False

    @property
    def is_right(self) -> bool:
        return (
            self.queue_is_empty
            and all(answer["right"] for answer in self.answers)
            and len(self.recovered) == len(LOST)
            and self.held == self.owed
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "right": self.is_right,
            "answers": self.answers,
            "recovered": self.recovered,
            "held": self.held,
            "owed": self.owed,
        }


def run(port: int, console: Console) -> Result:
    """Start the system, send the story, wait until nothing is queued any more."""
    progress = Console(stderr=True, quiet=console.quiet)
    shops = sample_shops()
    by = datetime.now(UTC).replace(microsecond=0) - RECORDED_UNTIL
    sent: list[Delivery] = []
    for platform, name, _ in STORY:
        sample = deliveries.load(platform, name)
        forged = sample.expected["status"] == 401
        secret = None if forged else shops[sample.shop]["signing_secrets"][0]
        sent.append(sample.moved(by, secret))

    lost = [_another(deliveries.load(*sample).moved(by, None)) for *sample, _ in LOST]
    lines: list[Mapping[str, Any]] = []

    result = Result(owed=_owed([*sent, *lost]))
    with progress.status("Building the functions, starting AWS and Prisjakt on this machine…"):
        system = LocalSystem(port=port, shops=shops, time_scale=TIME_SCALE, on_line=lines.append)
    with system:
        console.print(
            "\n[bold]shop system → HTTP API → receiver → queue → sender → Prisjakt[/bold]"
            "\nThe template's own resources and the built functions, all on this machine.\n"
        )
        with progress.status("Sending webhooks…"):
            result.answers = [
                _send(system.address, delivery, told)
                for delivery, (_, _, told) in zip(sent, STORY, strict=True)
            ]
        console.print(_answers_table(result))
        with progress.status("Losing two webhooks, and reconciling…"):
            for order, (*_, topic) in zip(lost, LOST, strict=True):
                system.ask_for_reconciling(order.shop)
                _lose(system, order, topic)
            system.reconcile()
            result.recovered = _recovered(lines, [order.shop for order in lost])
        console.print(_recovered_table(result))
        with progress.status("Waiting until the queue is empty…"):
            result.queue_is_empty = _is_settled(system)
        result.held = _held(system)
    console.print(_held_table(result))
    _print_verdict(console, result)
    return result


def _send(address: str, delivery: Delivery, told: str) -> dict[str, Any]:
    began = time.monotonic()
    response = urllib3.request(
        "POST",
        address + delivery.path,
        body=delivery.body,
        headers=dict(delivery.headers),
        retries=False,
        timeout=_ANSWER_SECONDS,
    )
    body = response.json()
    expected = delivery.expected
    return {
        "platform": delivery.platform,
        "delivery": delivery.name,
        "told": told,
        "status": response.status,
        "outcome": body.get("outcome") or "refused",
        "reason": body.get("reason"),
        "order_id": body.get("order_id"),
        "milliseconds": round((time.monotonic() - began) * 1000),
        "right": response.status == expected["status"]
        and (expected["answer"] is None or body == expected["answer"]),
    }


def _another(sample: Delivery) -> Delivery:
    """An order like the sample's with an id of its own."""
    order, conversion = json.loads(sample.body), sample.expected["conversion"]
    order["id"] += 100
    ids = {"order_id": str(order["id"]), "order_reference": str(order["id"])}
    return replace(
        sample,
        body=json.dumps(order).encode(),
        expected=sample.expected | {"conversion": conversion | ids},
    )


def _lose(system: LocalSystem, order: Delivery, topic: str) -> None:
    """Place the order in the shop's system, whose webhook gets lost on its way."""
    shop_system = system.shop_systems.of(order.shop)
    if shop_system is not None:
        shop_system.deaf = True
        shop_system.put(json.loads(order.body), topic)
        shop_system.deaf = False


def _recovered(lines: Iterable[Mapping[str, Any]], shops: list[str]) -> list[dict[str, Any]]:
    """What the reconciler found, once it has told of all these shops."""
    end = time.monotonic() + _LINES_SECONDS
    told: list[Mapping[str, Any]] = []
    while time.monotonic() < end:
        told = [line for line in list(lines) if line["service"] == "reconciler"]
        if {line.get("shop") for line in told if line["message"] == "reconciled"} >= set(shops):
            break
        time.sleep(0.05)
    return [
        {name: line[name] for name in ("platform", "shop", "order_id", "standing")}
        for line in told
        if line["message"] == "recovered"
    ]


def _is_settled(system: LocalSystem) -> bool:
    sqs = system.aws.client("sqs")
    end = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < end:
        answer = sqs.get_queue_attributes(
            QueueUrl=system.outputs["QueueUrl"],
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",
            ],
        )
        if not any(int(count) for count in answer["Attributes"].values()):
            return True
        time.sleep(0.1)
    return False


def _owed(sent: list[Delivery]) -> list[dict[str, Any]]:
    """One event per order, whatever the number of deliveries."""
    owed: dict[str, dict[str, Any]] = {}
    for delivery in sent:
        if (conversion := delivery.expected["conversion"]) is not None:
            owed[conversion["order_reference"]] = {
                "external_event_id": conversion["order_reference"],
                "event_name": conversion["event_name"],
                "event_time": conversion["event_time"],
                "amount": _plain(conversion["amount"]),
                "currency": conversion["currency"],
                "number_of_items": conversion["number_of_items"],
                "signed_click_id": conversion["click_id"],
            }
    return sorted(owed.values(), key=lambda event: str(event["external_event_id"]))


def _held(system: LocalSystem) -> list[dict[str, Any]]:
    if system.model is None:
        return []
    held = [
        {
            "external_event_id": event.external_event_id,
            "event_name": event.event_name,
            "event_time": event.event_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "amount": _plain(event.amount),
            "currency": event.currency,
            "number_of_items": event.number_of_items,
            "signed_click_id": event.signed_click_id,
        }
        for event in system.model.events.values()
    ]
    return sorted(held, key=lambda event: str(event["external_event_id"]))


def _plain(amount: Decimal | str) -> str:
    return f"{Decimal(amount):.2f}"


def _table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
    )
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=True)
    return table


def _mark(right: bool) -> str:
    return "[green]✓[/green]" if right else "[red]✗[/red]"


def _answers_table(result: Result) -> Table:
    table = _table(
        "What the relay answered", "", "what was sent", "", "outcome", "ms", right=("ms",)
    )
    platform = ""
    for answer in result.answers:
        if answer["platform"] != platform:
            platform = answer["platform"]
            table.add_row("", f"[bold]{TITLES[platform]}[/bold]")
        outcome = answer["outcome"]
        colour = _COLOURS.get(outcome, "red")
        reason = f" ({answer['reason']})" if answer["reason"] else ""
        table.add_row(
            _mark(answer["right"]),
            answer["told"],
            str(answer["status"]),
            f"[{colour}]{outcome}[/{colour}]{reason}",
            str(answer["milliseconds"]),
        )
    return table


def _recovered_table(result: Result) -> Table:
    table = _table("Two webhooks are lost; what the reconciler finds", "", "shop", "order", "")
    owed = {event["external_event_id"] for event in result.owed}
    for each in result.recovered:
        table.add_row(
            _mark(each["order_id"] in owed),
            each["shop"],
            each["order_id"],
            f"[green]recovered[/green] ({each['standing']})",
        )
    return table


def _held_table(result: Result) -> Table:
    table = _table(
        "What Prisjakt now holds",
        "",
        "order",
        "event",
        "time (UTC)",
        "amount",
        "items",
        "click id",
        right=("amount", "items"),
    )
    for event in result.held:
        colour = "green" if event["event_name"] == "purchase" else "cyan"
        table.add_row(
            _mark(event in result.owed and result.held.count(event) == 1),
            event["external_event_id"],
            f"[{colour}]{event['event_name']}[/{colour}]",
            event["event_time"][5:16].replace("T", " "),
            f"{event['amount']} {event['currency']}",
            str(event["number_of_items"]),
            f"{event['signed_click_id'][:8]}…",
        )
    return table


def _print_verdict(console: Console, result: Result) -> None:
    queued = sum(answer["outcome"] == "queued" for answer in result.answers)
    orders = Counter(event["event_name"] for event in result.held)
    console.print(
        f"\n{len(result.answers)} webhooks, {queued} queued, {len(result.recovered)} recovered. "
        f"Prisjakt has {orders['purchase']} purchases, {orders['test-purchase']} test purchases."
    )
    if result.is_right:
        console.print("[bold green]Exactly right: each order once, and nothing else.[/bold green]")
        return
    for event in result.owed:
        if event not in result.held:
            console.print(f"[red]missing:[/red] {event['external_event_id']}")
    if not result.queue_is_empty:
        console.print("[red]the queue is not empty[/red]")
    console.print("[bold red]Not as it should be.[/bold red]")
