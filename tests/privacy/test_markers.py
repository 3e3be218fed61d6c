"""Every value of every sample delivery is marked, and no mark is found behind the receiver.

Each text and each number of a delivery gets a mark of its own. Only what the relay is known to read
is spared, and the list of that is exact: a field that is read no more, or newly, fails the test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from tests.privacy.conftest import PORT, Everything, as_text

from prisjakt_relay.intake import Decision, decide
from prisjakt_relay.local.deliveries import RECORDED_UNTIL, Delivery, load_all
from prisjakt_relay.local.prisjakt_model import Fault
from prisjakt_relay.local.system import sample_shops
from prisjakt_relay.platforms import PLATFORMS, shop_from

# What is spared, field by field. "kept": it goes to Prisjakt or into the ledger, as docs/privacy.md
# says. "read": it decides something, and is not kept.
READ: Final = {
    "shopify": {
        "id": "kept: the order's id",
        "created_at": "kept: the time of purchase",
        "updated_at": "kept: which message is the newest",
        "currency": "kept",
        "presentment_currency": "kept, where it is the one that is reported",
        "total_price": "kept: the amount, or its proportion",
        "current_total_price": "kept: the amount after edits and refunds",
        "total_price_set.presentment_money.amount": "kept, in the buyer's currency",
        "current_total_price_set.presentment_money.amount": "kept, in the buyer's currency",
        "line_items[].current_quantity": "kept: as a sum",
        "note_attributes[].name": "read: which of them is the click id",
        "note_attributes[].value": "kept: the click id; the others' values are not",
        "landing_site": "kept: the click id in it, if the shop chose that",
        "financial_status": "read: whether it is paid",
        "source_name": "read: a till, a subscription",
        "shop_domain": "read: which store asks",
        "orders_requested[]": "kept: in the line about the request",
        "orders_to_redact[]": "kept: until they are erased",
    },
    "woocommerce": {
        "id": "kept: the order's id",
        "date_created_gmt": "kept: the time of purchase",
        "date_modified_gmt": "kept: which message is the newest",
        "currency": "kept",
        "total": "kept: the amount",
        "total_tax": "read: to take the tax of refunds off",
        "refunds[].total": "kept: in the amount",
        "refunds[].total_tax": "read: the same",
        "line_items[].quantity": "kept: as a sum",
        "meta_data[].key": "read: which of them is the click id",
        "meta_data[].value": "kept: the click id; the others' values are not",
        "status": "read: whether it is paid",
    },
    "custom": {
        "id": "kept: the order's id",
        "type": "read: what the delivery is",
        "click_id": "kept",
        "created_at": "kept: the time of purchase",
        "updated_at": "kept: which message is the newest",
        "currency": "kept",
        "total": "kept: the amount",
        "refunded": "kept: in the amount",
        "items": "kept",
        "state": "read: whether it is paid",
    },
}

# Headers that say what a delivery is, and the signature. All others are marked.
HEADERS: Final = {
    "content-type",
    "x-shopify-topic",
    "x-shopify-hmac-sha256",
    "x-wc-webhook-topic",
    "x-wc-webhook-signature",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
}

_marks: Final = count(1)
_NUMBER: Final = 7_310_000_000_000  # longer than any figure of a sample, and found as text
Path_ = tuple[str | int, ...]


def of_sample(sample: Delivery) -> str:
    return f"{sample.platform}/{sample.name}"


SAMPLES: Final = {
    of_sample(each): each
    for each in load_all()
    if each.expected["status"] == 200 and (each.expected["answer"] or {}).get("reason") != "ping"
}


@dataclass
class Marked:
    """A delivery full of marks, and what was spared."""

    sample: Delivery
    body: bytes
    order_id: str | None
    marks: dict[str, str] = field(default_factory=dict)  # mark -> where it was put
    spared: set[str] = field(default_factory=set)


def leaves(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, (*path, key))
    elif value != "" and type(value) in (str, int, float):
        yield path, value


def put(document: Any, path: Path_, value: Any) -> None:
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


def general(path: Path_) -> str:
    """`line_items[].price`: the same for every line."""
    return re.sub(r"\.(?=\[)", "", ".".join("[]" if type(key) is int else str(key) for key in path))


def decided(sample: Delivery, body: bytes, now: datetime) -> Decision:
    headers = {name.lower(): value for name, value in sample.headers}
    shop = shop_from(sample_shops()[sample.shop])
    return decide(PLATFORMS[sample.platform], sample.shop, shop, headers, body, now)


def marked(sample: Delivery) -> Marked:
    """Mark leaf by leaf, and take back what would change the decision."""
    now = datetime.now(UTC).replace(microsecond=0)
    document = json.loads(sample.moved(now - RECORDED_UNTIL, None).body)
    as_sent = decided(sample, json.dumps(document).encode(), now)
    found = Marked(sample, b"", as_sent.order_id)
    for path, value in list(leaves(document)):
        number = next(_marks)
        mark = f"Mk{number:06d}kM" if isinstance(value, str) else str(_NUMBER + number)
        put(document, path, mark if isinstance(value, str) else int(mark))
        if decided(sample, json.dumps(document).encode(), now) == as_sent:
            found.marks[mark] = f"{of_sample(sample)} {general(path)}"
        else:
            put(document, path, value)
            found.spared.add(general(path))
    found.body = json.dumps(document).encode()
    return found


def sent_headers(one: Marked) -> list[tuple[str, str]]:
    """Signed, with a mark in every header that says nothing of what the delivery is."""
    secret = sample_shops()[one.sample.shop]["signing_secrets"][0]
    headers = []
    for name, value in one.sample.signed(one.body, secret, datetime.now(UTC)):
        if name.lower() not in HEADERS:
            mark = f"Mk{next(_marks):06d}kM"
            one.marks[mark] = f"{of_sample(one.sample)} header {name}"
        headers.append((name, value if name.lower() in HEADERS else mark))
    for name in ("X-Forwarded-For", "Referer", "Cookie"):
        mark = f"Mk{next(_marks):06d}kM"
        one.marks[mark] = f"{of_sample(one.sample)} header {name}"
        headers.append((name, mark))
    return headers


@pytest.fixture(scope="module")
def deliveries() -> list[Marked]:
    """What has others forgotten comes last."""
    every = [marked(sample) for sample in SAMPLES.values()]
    return sorted(every, key=lambda one: "redact" in one.sample.name)


def test_nothing_is_spared_but_what_the_relay_is_known_to_read(deliveries: list[Marked]) -> None:
    """A table with more than is needed would hide what could be left out."""
    spared: dict[str, set[str]] = {}
    for one in deliveries:
        spared.setdefault(one.sample.platform, set()).update(one.spared)

    known = {platform: set(fields) for platform, fields in READ.items()}
    assert spared == known


def test_most_of_a_delivery_is_marked(deliveries: list[Marked]) -> None:
    marks = sum(len(one.marks) for one in deliveries)
    spared = sum(len(one.spared) for one in deliveries)

    assert marks > 10 * spared


def test_no_mark_of_a_delivery_is_found_anywhere_behind_the_receiver(
    deliveries: list[Marked], everything: Everything, tmp_path: Path
) -> None:
    """Queue, table, log at DEBUG, metrics, dead orders, requests to Prisjakt, commands, pages."""
    places: dict[str, str] = {}
    shops = sorted({one.sample.shop for one in deliveries})
    last = [one for one in deliveries if "redact" in one.sample.name]
    orders = sorted({(one.sample.shop, one.order_id) for one in deliveries if one.order_id})
    dying = next(one.order_id for one in deliveries if one.sample.name == "made-purchase-paid")
    everything.model.faults.append(
        Fault(kind="status", times=50, external_event_id=dying, status=400)
    )

    everything.sender(works=False)
    places["answers"] = as_text(
        [delivered(everything, one) for one in deliveries if one not in last]
    )
    places["queue"] = "\n".join(everything.queued())
    everything.sender(works=True)
    everything.wait_for(everything.queue_is_empty, "an empty queue")
    places["table"] = as_text(everything.items())
    assert '"dead"' in places["table"]

    for shop in shops:
        report, doctor = tmp_path / f"{shop}.html", tmp_path / f"{shop}-doctor.html"
        for command in (
            ("report", shop, "--json"),
            ("report", shop, "--out", str(report)),
            ("doctor", shop, "--out", str(doctor)),
            ("dead", "list", shop, "--json"),
        ):
            places[f"{command[0]} {shop} {command[-1]}"] = said(everything, *command)
        places[f"page of {shop}"] = report.read_text("utf-8") + doctor.read_text("utf-8")
    for shop, order_id in orders:
        for words in (["order"], ["privacy", "show"]):
            places[f"{words[0]} {shop} {order_id}"] = said(
                everything, *words, shop, str(order_id), "--json"
            )

    places["answers to privacy requests"] = as_text([delivered(everything, one) for one in last])
    everything.wait_for(everything.queue_is_empty, "an empty queue")
    places["table, erased"] = as_text(everything.items())
    places["log and metrics"] = everything.lines()
    places["requests to Prisjakt"] = everything.requests()

    marks = {mark: where for one in deliveries for mark, where in one.marks.items()}
    leaked = {
        f"{where} is in {place}"
        for place, text in places.items()
        for mark in re.findall(r"Mk\d{6}kM|731\d{10}", text)
        if (where := marks.get(mark)) is not None
    }
    assert leaked == set()
    assert any(f'"order_id": "{dying}"' in text for text in places.values()), "nobody is dead"
    for place in ("queue", "table", "log and metrics", "requests to Prisjakt"):
        assert str(dying) in places[place], place
    secrets = [each for shop in sample_shops().values() for each in shop["signing_secrets"]]
    for secret in (*secrets, "_1b05fa7f1c34d125"):  # nor has the log a click id's signature
        assert secret not in places["log and metrics"]


def delivered(everything: Everything, one: Marked) -> Any:
    status, answer = everything.post(one.sample.path, one.body, lambda: sent_headers(one))
    assert status == 200, of_sample(one.sample)
    assert answer["outcome"] == one.sample.expected["answer"]["outcome"], of_sample(one.sample)
    return answer


def said(everything: Everything, *command: str) -> str:
    called = everything.cli(*command)
    assert called.code in (0, 1), (PORT, command, called.err)
    return called.out + called.err
