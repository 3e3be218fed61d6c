"""Each request of Shopify's from its signed delivery to the ledger, under the roles' own rights."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from tests.cli.orders import Headers
from tests.privacy.conftest import Everything, as_text

from prisjakt_relay.erasure import Erasure
from prisjakt_relay.local.deliveries import RECORDED_UNTIL, Delivery, load
from prisjakt_relay.local.system import sample_shops

SECRET = sample_shops()["demo-shopify"]["signing_secrets"][0]
CLICK_ID = "a70a2d14-b4f3-4ead-9644-f96e8279e5ca"

_ids = count(7_500_000_000_001)


def bought(everything: Everything, shop: str, **changes: Any) -> str:
    """Deliver an order of now; its id."""
    sample = load("shopify", "orders-create-paid")
    now = datetime.now(UTC).replace(microsecond=0)
    order = json.loads(sample.moved(now - RECORDED_UNTIL, None).body) | {"id": next(_ids)} | changes
    body = json.dumps(order).encode()
    status, answer = everything.post(f"/webhooks/shopify/{shop}", body, signed(sample, body))
    assert (status, answer.get("outcome")) == (200, "queued"), answer
    return str(order["id"])


def asked(everything: Everything, shop: str, name: str, **changes: Any) -> None:
    """Deliver a privacy request."""
    sample = load("shopify", name)
    body = json.dumps(json.loads(sample.body) | changes).encode()
    assert everything.post(f"/webhooks/shopify/{shop}", body, signed(sample, body))[0] == 200


def signed(sample: Delivery, body: bytes) -> Headers:
    return lambda: sample.signed(body, SECRET, datetime.now(UTC))


def reported(everything: Everything, shop: str, **changes: Any) -> str:
    order_id = bought(everything, shop, **changes)
    everything.wait_for(
        lambda: everything.item(shop, order_id).get("status") == {"S": "reported"}, "it reported"
    )
    return order_id


def is_erased(everything: Everything, shop: str, order_id: str) -> bool:
    return "erased" in everything.item(shop, order_id)


def events(everything: Everything, order_id: str) -> list[Any]:
    held = list(everything.model.events.values())
    return [event for event in held if event.external_event_id == order_id]


def test_customers_redact_erases_the_orders_and_a_later_webhook_is_not_reported(
    everything: Everything,
) -> None:
    erased, stays = (reported(everything, "redacted") for _ in range(2))
    unknown = str(next(_ids))

    asked(everything, "redacted", "customers-redact", orders_to_redact=[int(erased), int(unknown)])
    everything.wait_for(lambda: is_erased(everything, "redacted", unknown), "the last one erased")
    before = [event.amount for event in events(everything, erased)]
    for order_id in (erased, unknown):
        bought(
            everything,
            "redacted",
            id=int(order_id),
            updated_at=datetime.now(UTC).isoformat(),
            current_total_price="1.00",
        )
    everything.wait_for(everything.queue_is_empty, "an empty queue")

    assert CLICK_ID not in as_text(everything.item("redacted", erased))
    assert is_erased(everything, "redacted", erased)
    assert [event.amount for event in events(everything, erased)] == before
    assert events(everything, unknown) == []
    assert everything.item("redacted", stays)["status"] == {"S": "reported"}
    told = everything.cli("order", "redacted", erased, "--json").json
    assert "erased" in {entry["outcome"] for entry in told["timeline"]}
    assert "erased on request" in told["closing"]


def test_shop_redact_erases_all_of_the_shop_and_of_no_other(everything: Everything) -> None:
    """With the role's rights on the two indexes; and its message is gone in the end."""
    mine = [reported(everything, "leaving") for _ in range(3)]
    other = reported(everything, "redacted")

    asked(everything, "leaving", "shop-redact")
    everything.wait_for(
        lambda: all(is_erased(everything, "leaving", each) for each in mine), "all erased"
    )
    everything.wait_for(everything.queue_is_empty, "an empty queue, after the second look")

    items = [item for item in everything.items() if item["id"]["S"].startswith("order#leaving#")]
    assert CLICK_ID not in as_text(items)
    assert not is_erased(everything, "redacted", other)
    report = everything.cli("report", "leaving", "--json").json
    assert report["orders"] == 0


def test_a_request_for_data_is_counted_for_the_alarm_and_answered_by_a_command(
    everything: Everything,
) -> None:
    order_id = reported(everything, "redacted")

    asked(everything, "redacted", "customers-data-request", orders_requested=[int(order_id)])

    def asked_for() -> list[dict[str, Any]]:
        return [
            json.loads(each)
            for each in everything.lines().splitlines()
            if '"data_requested"' in each and order_id in each
        ]

    def shown() -> Any:
        (told,) = everything.cli("privacy", "show", "redacted", order_id, "--json").json["orders"]
        return told

    everything.wait_for(asked_for, "its line")
    everything.wait_for(lambda: shown()["log_lines"]["number"] >= 2, "the lines of its order")
    told = shown()
    (item,) = told["ledger"]
    assert [line["DataRequests"] for line in asked_for()] == [1]
    assert item["click_id"].startswith(CLICK_ID)
    assert item["external_id"] == order_id
    assert [event["external_event_id"] for event in told["prisjakt"]["events"]] == [order_id]


@pytest.mark.parametrize("everything_of_it", [False, True], ids=["an order", "all"])
def test_an_operator_erases_by_hand_what_a_request_would(
    everything_of_it: bool, everything: Everything
) -> None:
    order_id = reported(everything, "by-hand")
    what = "--all" if everything_of_it else order_id

    called = everything.cli("privacy", "erase", "by-hand", what, "--yes")

    assert called.code == 0, called.err
    everything.wait_for(lambda: is_erased(everything, "by-hand", order_id), "it erased")
    everything.wait_for(everything.queue_is_empty, "an empty queue")
    shown = everything.cli("privacy", "show", "by-hand", order_id)
    assert "It was erased" in shown.out
    assert CLICK_ID not in shown.out


def test_an_erasure_that_an_older_sender_set_aside_is_put_back(everything: Everything) -> None:
    """It could not read it; `dead resend` puts it on the queue for one that can."""
    order_id = reported(everything, "by-hand")
    wish = Erasure(
        platform="shopify",
        shop="by-hand",
        received_at=datetime.now(UTC),
        order_ids=(order_id,),
    )
    everything.system.aws.client("sqs").send_message(
        QueueUrl=everything.system.outputs["DeadLettersUrl"],
        MessageBody=wish.to_message(),
        MessageGroupId="unreadable",
    )

    called = everything.cli("dead", "resend", "by-hand", order_id, "--yes")

    assert called.code == 0, called.err
    everything.wait_for(lambda: is_erased(everything, "by-hand", order_id), "it erased")
