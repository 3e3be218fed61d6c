"""The whole path: real template, functions as built, queue, table, under the roles' own policies.

Time-outs and 401s take a while even when waits are divided by 100, so all orders of a test are
sent first and waited for together.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, permutations
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError
from tests.conftest import PATIENCE

from prisjakt_relay.local import project
from prisjakt_relay.local.deliveries import RECORDED_UNTIL, Delivery
from prisjakt_relay.local.prisjakt_model import Answer, Call, Fault
from prisjakt_relay.local.shop_system import ShopSystem
from prisjakt_relay.local.shop_systems import Heard
from prisjakt_relay.local.system import LocalSystem, sample_shops
from prisjakt_relay.operations import webhooks
from prisjakt_relay.operations.stack import Stack, find_local
from prisjakt_relay.reconciler.progress import ProgressBook

PORT = 18_831 + os.getpid() % 380 * 3  # two runs at the same time do not meet

Lines = list[dict[str, Any]]
CREDENTIALS = {"prisjakt_client_id": "shop-1", "prisjakt_client_secret": "not-so-secret"}
MARKERS = ("Testsson", "test@example", "Testgatan", "0701234567", "Kaffebryggare")


@pytest.fixture(scope="module")
def lines() -> Lines:
    """What the functions logged, as the local system read it."""
    return []


@pytest.fixture(scope="module")
def pixels() -> dict[str, str]:
    """The pixel of each shop, which is how Prisjakt tells them apart."""
    return {}


@pytest.fixture(scope="module")
def system(lines: Lines, pixels: dict[str, str]) -> Iterator[LocalSystem]:
    shops: dict[str, Any] = sample_shops()
    for name in ("away", "waiting", "changing", "spoilt", "lossy-shopify"):
        shops[name] = shops["demo-shopify"] | CREDENTIALS | {"pixel_id": str(uuid.uuid4())}
    for name in ("lossy-woocommerce", "failing-woocommerce", "watched-woocommerce"):
        shops[name] = shops["demo-woocommerce"] | CREDENTIALS | {"pixel_id": str(uuid.uuid4())}
    pixels.update({name: shop["pixel_id"] for name, shop in shops.items()})
    for fault in FAULTS:
        shops[f"fault-{fault}"] = shops["demo-shopify"] | {"pixel_id": str(uuid.uuid4())}
    with LocalSystem(
        port=PORT,
        shops=shops,
        time_scale=0.01,
        enforce_iam=True,
        on_line=lambda line: lines.append(dict(line)),
    ) as running:
        events = running.aws.client("events")
        for rule in events.list_rules()["Rules"]:
            events.disable_rule(Name=rule["Name"])  # the reconciler runs when a test says so
        yield running


@pytest.fixture(scope="module")
def relay(system: LocalSystem) -> Stack:
    """The stack as the command line finds it."""
    assert system.address.endswith(f":{PORT}")
    return find_local(PORT)


@pytest.fixture
def post(system: LocalSystem) -> Callable[..., tuple[int, Any]]:
    def send(
        path: str, body: bytes, headers: dict[str, str] | list[tuple[str, str]]
    ) -> tuple[int, Any]:
        response = urllib3.request(
            "POST",
            system.address + path,
            body=body,
            headers=urllib3.HTTPHeaderDict(headers),
            retries=False,
            timeout=30,
        )
        return response.status, response.json()

    return send


FAULTS: dict[str, Fault] = {
    "500": Fault(kind="status", status=500, times=2),
    "503": Fault(kind="status", status=503, times=3, body={"title": "Away", "status": 503}),
    "429-bare": Fault(kind="status", status=429, times=2),
    "429-reset": Fault(
        kind="status",
        status=429,
        headers={
            "X-RateLimit-Limit": "10000",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": "1500",
        },
    ),
    "429-retry-after": Fault(kind="status", status=429, headers={"Retry-After": "1"}),
    "401": Fault(kind="status", status=401),
    "403": Fault(kind="status", status=403),
    "404": Fault(kind="status", status=404),
    "redirect": Fault(kind="status", status=302, headers={"Location": "https://example.test/"}),
    "hang": Fault(kind="hang", seconds=20),
    "cut-before": Fault(kind="cut_before", times=2),
    "cut-after": Fault(kind="cut_after"),
}

_ids = count(7_000_000_000_001)


def fresh(sample: Delivery, **changes: Any) -> tuple[str, bytes]:
    """A new order in the shape of a sample, of today: its id and its body."""
    by = datetime.now(UTC).replace(microsecond=0) - RECORDED_UNTIL
    order = json.loads(sample.moved(by, None).body)
    order["id"] = next(_ids)
    order |= changes
    return str(order["id"]), json.dumps(order).encode()


def signed(sample: Delivery, body: bytes, secret: str | None = None) -> dict[str, str]:
    own = sample_shops()[sample.shop]["signing_secrets"][0]
    return dict(sample.signed(body, secret or own, datetime.now(UTC)))


def held(system: LocalSystem, order_id: str) -> list[Any]:
    assert system.model is not None
    return [
        event for event in list(system.model.events.values()) if event.external_event_id == order_id
    ]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.1)


def queue_is_empty(system: LocalSystem) -> bool:
    answer = system.aws.client("sqs").get_queue_attributes(
        QueueUrl=system.outputs["QueueUrl"], AttributeNames=["All"]
    )
    attributes = answer["Attributes"]
    return not any(
        int(attributes.get(f"ApproximateNumberOfMessages{kind}", 0))
        for kind in ("", "NotVisible", "Delayed")
    )


def ledger_item(system: LocalSystem, shop: str, order_id: str) -> dict[str, Any]:
    answer = system.aws.client("dynamodb").get_item(
        TableName=system.outputs["LedgerTable"],
        Key={"id": {"S": f"order#{shop}#{order_id}#purchase"}},
        ConsistentRead=True,
    )
    return dict(answer.get("Item", {}))


def test_every_sample_gets_its_answer_and_prisjakt_gets_what_was_queued(
    system: LocalSystem, post: Callable[..., tuple[int, Any]], samples: dict[str, Delivery]
) -> None:
    """What Prisjakt holds for the sample shops is exactly what the samples' conversions say."""
    by = datetime.now(UTC).replace(microsecond=0) - RECORDED_UNTIL
    shops = sample_shops()
    owed: dict[tuple[str, str], dict[str, Any]] = {}
    for sample in samples.values():
        expected = sample.expected
        if expected["answer"] and expected["answer"]["outcome"] == "accepted":
            continue  # it would have the others forgotten: tests/privacy
        secret = None if expected["status"] == 401 else shops[sample.shop]["signing_secrets"][0]
        moved = sample.moved(by, secret)
        status, answer = post(moved.path, moved.body, list(moved.headers))
        assert (sample.name, status) == (sample.name, expected["status"])
        if expected["answer"] is not None:
            assert (sample.name, answer) == (sample.name, expected["answer"])
        if (conversion := moved.expected["conversion"]) is not None:
            owed.setdefault((sample.shop, conversion["order_id"]), conversion)

    wait_for(lambda: queue_is_empty(system), "an empty queue")
    for (shop, order_id), conversion in owed.items():
        item = ledger_item(system, shop, order_id)
        events = held(system, conversion["order_reference"])
        assert len(events) == (0 if "reported" not in item and item else 1), conversion
        for event in events:
            assert event.event_name == conversion["event_name"]
            assert event.event_time.isoformat() == conversion["event_time"].replace("Z", "+00:00")
            assert event.signed_click_id == conversion["click_id"]
            assert event.currency == conversion["currency"]
            assert event.pixel_id == shops[shop]["pixel_id"]


def test_a_hundred_deliveries_at_once_on_two_topics_are_one_event(
    system: LocalSystem, post: Callable[..., tuple[int, Any]], samples: dict[str, Delivery]
) -> None:
    sample = samples["woocommerce/made-purchase-paid"]
    order_id, body = fresh(sample)
    headers = signed(sample, body)
    other = headers | {"X-WC-Webhook-Topic": "order.created"}

    with ThreadPoolExecutor(24) as pool:
        answers = list(
            pool.map(lambda n: post(sample.path, body, headers if n % 2 else other), range(100))
        )

    assert {status for status, _ in answers} == {200}
    assert {answer["outcome"] for _, answer in answers} == {"queued"}
    wait_for(lambda: queue_is_empty(system), "an empty queue")
    (event,) = held(system, order_id)
    assert str(event.amount) == "1745"
    assert event.number_of_items == 4


def test_every_fault_of_prisjakt_ends_with_one_event(
    system: LocalSystem, post: Callable[..., tuple[int, Any]], samples: dict[str, Delivery]
) -> None:
    """Errors, refusals, time-outs, cuts before and after it was stored: one event in the end."""
    sample = samples["shopify/orders-create-paid"]
    assert system.model is not None
    orders: dict[str, str] = {}
    for name, fault in FAULTS.items():
        order_id, body = fresh(sample)
        system.model.faults.append(
            Fault(
                kind=fault.kind,
                times=fault.times,
                external_event_id=order_id,
                status=fault.status,
                headers=fault.headers,
                body=fault.body,
                seconds=fault.seconds,
            )
        )
        status, answer = post(f"/webhooks/shopify/fault-{name}", body, signed(sample, body))
        assert (status, answer["outcome"]) == (200, "queued")
        orders[name] = order_id

    wait_for(
        lambda: all(
            ledger_item(system, f"fault-{name}", order_id).get("status", {}).get("S") == "reported"
            for name, order_id in orders.items()
        ),
        "all orders reported",
    )
    assert {
        name: len(held(system, order_id)) for name, order_id in orders.items()
    } == dict.fromkeys(orders, 1)


def test_a_rejected_event_is_dead_with_its_field_errors_and_others_go_through(
    system: LocalSystem, post: Callable[..., tuple[int, Any]], samples: dict[str, Delivery]
) -> None:
    sample = samples["shopify/orders-create-paid"]
    assert system.model is not None
    bad, bad_body = fresh(sample)
    good, good_body = fresh(sample)
    system.model.faults.append(
        Fault(
            kind="status",
            times=100,
            external_event_id=bad,
            status=400,
            body={
                "title": "Request validation failed",
                "status": 400,
                "field_errors": {"data.amount": {"message": "too odd", "value": "1666.3"}},
                "context": {"request-id": "r-1"},
            },
        )
    )

    for body in (bad_body, good_body):
        assert post(sample.path, body, signed(sample, body))[0] == 200

    wait_for(lambda: bool(held(system, good)), "the good order reported")
    wait_for(
        lambda: ledger_item(system, sample.shop, bad).get("status", {}).get("S") == "dead",
        "the bad order dead",
    )
    answer = ledger_item(system, sample.shop, bad)["answer"]["M"]
    assert answer["field_errors"] == {"M": {"data.amount": {"S": "too odd"}}}
    assert answer["request_id"] == {"S": "r-1"}
    dead = system.aws.client("dynamodb").query(
        TableName=system.outputs["LedgerTable"],
        IndexName="dead-orders",
        KeyConditionExpression="dead_shop = :shop",
        ExpressionAttributeValues={":shop": {"S": sample.shop}},
    )
    assert [item["order_id"]["S"] for item in dead["Items"]] == [bad]


class Counted:
    """How many writes a pixel is sent, and of how many events each."""

    def __init__(self, system: LocalSystem, pixel_id: str) -> None:
        assert system.model is not None
        self.sizes: list[int] = []
        self._model = system.model
        self._pixel_id = pixel_id

    def __enter__(self) -> list[int]:
        real = self._model.answer

        def answer(call: Call) -> Answer:
            if self._pixel_id in call.path and call.method in ("POST", "PATCH"):
                body = json.loads(call.body)
                self.sizes.append(len(body) if isinstance(body, list) else 1)
            return real(call)

        self._model.answer = answer  # type: ignore[method-assign]
        return self.sizes

    def __exit__(self, *_: object) -> None:
        del self._model.answer


def at_pixel(system: LocalSystem, pixel_id: str) -> list[Any]:
    assert system.model is not None
    return [event for event in list(system.model.events.values()) if event.pixel_id == pixel_id]


def put_on_the_queue(system: LocalSystem, shop: str, number: int) -> list[str]:
    """Conversions that wait in full batches."""
    message = json.loads((project.root() / "events" / "queue" / "conversion-1.json").read_text())
    ids = [str(next(_ids)) for _ in range(number)]
    for start in range(0, number, 10):
        entries = [
            {
                "Id": one,
                "MessageBody": json.dumps(
                    message | {"shop": shop, "order_id": one, "order_reference": one}
                ),
                "MessageGroupId": shop,
            }
            for one in ids[start : start + 10]
        ]
        system.aws.client("sqs").send_message_batch(
            QueueUrl=system.outputs["QueueUrl"], Entries=entries
        )
    return ids


def test_200_waiting_orders_go_in_a_few_requests(
    system: LocalSystem,
    post: Callable[..., tuple[int, Any]],
    samples: dict[str, Delivery],
    pixels: dict[str, str],
) -> None:
    """Prisjakt is away while they are bought; then each arrives once, in half as many writes at
    most: how many batches it takes depends on how fast this machine is."""
    sample, pixel_id = samples["shopify/orders-create-paid"], pixels["away"]
    assert system.model is not None
    away = Fault(kind="status", status=503, times=10**6, pixel_id=pixel_id)
    system.model.faults.append(away)
    ids = set()
    for _ in range(200):
        order_id, body = fresh(sample)
        assert post("/webhooks/shopify/away", body, signed(sample, body))[0] == 200
        ids.add(order_id)
    with Counted(system, pixel_id) as sizes:
        system.model.faults.remove(away)
        wait_for(lambda: len(at_pixel(system, pixel_id)) >= 200, "200 orders reported")
        wait_for(lambda: queue_is_empty(system), "an empty queue")

    assert len(sizes) <= 100, sizes
    assert sorted(e.external_event_id for e in at_pixel(system, pixel_id)) == sorted(ids)


def test_200_orders_in_full_batches_take_ten_requests_at_most(
    system: LocalSystem, pixels: dict[str, str]
) -> None:
    lambdas = system.aws.client("lambda")
    (mapping,) = lambdas.list_event_source_mappings()["EventSourceMappings"]
    lambdas.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    with Counted(system, pixels["waiting"]) as sizes:
        ids = put_on_the_queue(system, "waiting", 200)
        lambdas.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
        wait_for(lambda: all(held(system, one) for one in ids), "200 orders reported")
        wait_for(lambda: queue_is_empty(system), "an empty queue")

    assert len(sizes) <= 10, sizes
    assert [len(held(system, one)) for one in ids] == [1] * 200


def test_one_bad_event_among_many_is_dead_and_the_others_arrive(
    system: LocalSystem, pixels: dict[str, str]
) -> None:
    assert system.model is not None
    refused = {"title": "No", "status": 400, "field_errors": {"x": {"message": "odd", "value": 1}}}
    bad = str(int(next(_ids)) + 50)  # one of the hundred that follow
    system.model.faults.append(
        Fault(kind="status", status=400, times=10**6, external_event_id=bad, body=refused)
    )
    ids = put_on_the_queue(system, "spoilt", 100)

    wait_for(lambda: len(at_pixel(system, pixels["spoilt"])) >= 99, "99 orders reported")
    wait_for(lambda: queue_is_empty(system), "an empty queue")

    assert sorted(set(ids) - {bad}) == sorted(
        event.external_event_id for event in at_pixel(system, pixels["spoilt"])
    )
    item = ledger_item(system, "spoilt", bad)
    assert item["status"] == {"S": "dead"}
    assert item["answer"]["M"]["field_errors"] == {"M": {"x": {"S": "odd"}}}


LIFE: dict[str, dict[str, Any]] = {
    "bought": {},
    "edited": {"current_total_price": "1200.00", "updated_at": "+1"},
    "partly refunded": {
        "current_total_price": "700.00",
        "financial_status": "partially_refunded",
        "updated_at": "+2",
    },
    "cancelled": {"cancelled_at": "+3", "updated_at": "+3"},
}


@pytest.mark.parametrize("last", ["partly refunded", "cancelled"])
def test_a_changed_order_ends_at_its_net_amount_in_every_order_of_arrival(
    last: str,
    system: LocalSystem,
    post: Callable[..., tuple[int, Any]],
    samples: dict[str, Delivery],
) -> None:
    sample = samples["shopify/orders-create-paid"]
    changes = list(LIFE)[: list(LIFE).index(last) + 1]
    now = datetime.now(UTC).replace(microsecond=0)
    orders: dict[str, tuple[str, ...]] = {}
    for arrival in permutations(changes[-3:]):
        order_id = str(next(_ids))
        orders[order_id] = arrival
        for name in arrival:
            moved = {
                field: (now + timedelta(minutes=int(value))).isoformat()
                if value.startswith("+")
                else value
                for field, value in LIFE[name].items()
            }
            _, body = fresh(sample, **({"updated_at": now.isoformat()} | moved))
            body = json.dumps(json.loads(body) | {"id": int(order_id)}).encode()
            answer = post("/webhooks/shopify/changing", body, signed(sample, body))
            assert answer[1]["outcome"] == "queued"

    wait_for(lambda: queue_is_empty(system), "an empty queue")
    for order_id, arrival in orders.items():
        events = held(system, order_id)
        amounts = [event.amount for event in events]
        if last == "cancelled":
            assert amounts in ([], [0]), arrival
        else:
            assert amounts == [Decimal("700")], arrival


def test_a_rotated_secret_works_at_once(
    system: LocalSystem, post: Callable[..., tuple[int, Any]], samples: dict[str, Delivery]
) -> None:
    sample = samples["shopify/orders-create-no-click-id"]
    document: dict[str, Any] = sample_shops()[sample.shop] | {"pixel_id": str(uuid.uuid4())}
    path = "/webhooks/shopify/rotated"
    system.aws.put_shop("rotated", document)
    _, body = fresh(sample)
    assert post(path, body, signed(sample, body))[0] == 200

    system.aws.put_shop("rotated", document | {"signing_secrets": ["another", "theNewOne"]})

    assert post(path, body, signed(sample, body, "theNewOne"))[0] == 200


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 200, "unreadable"),
        (b'{"id": 1, "note_attributes": [', 200, "unreadable"),
        (b"[" * 1024 * 1024, 200, "unreadable"),
        (b'{"a":' * 200_000, 200, "unreadable"),
        (b'{"id": 1, "total_price": NaN}', 200, "unreadable"),
        (b"\xff\xfe\x00 not text", 200, "unreadable"),
        (b'{"id": {"no": "id"}}', 200, "unreadable"),
        (b'{"id": 1, "note_attributes": []}' + b" " * 1024 * 1024, 200, "unreadable"),
        (b'{"id": 1, "note_attributes": []}', 200, "no_click_id"),
    ],
    ids=["empty", "truncated", "brackets", "braces", "nan", "no-utf8", "no-id", "large", "bare"],
)
def test_hostile_bodies_rightly_signed_get_the_documented_answer(
    post: Callable[..., tuple[int, Any]],
    samples: dict[str, Delivery],
    body: bytes,
    status: int,
    reason: str,
) -> None:
    sample = samples["shopify/orders-create-paid"]

    answer = post(sample.path, body, signed(sample, body))

    assert (answer[0], answer[1]["reason"]) == (status, reason)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-Shopify-Hmac-Sha256", "")],
        [("X-Shopify-Hmac-Sha256", "sm\xf6rg\xe5s")],
        [("X-Shopify-Hmac-Sha256", "AAAA"), ("X-Shopify-Hmac-Sha256", "BBBB")],
        [("X-Shopify-Hmac-Sha256", "A" * 4000)],
    ],
    ids=["none", "empty", "non-ascii", "two", "long"],
)
def test_signatures_that_are_none_get_the_same_401(
    post: Callable[..., tuple[int, Any]],
    samples: dict[str, Delivery],
    headers: list[tuple[str, str]],
) -> None:
    sample = samples["shopify/orders-create-paid"]

    status, answer = post(
        sample.path, sample.body, [("Content-Type", "application/json"), *headers]
    )

    assert status == 401
    assert answer == {
        "type": "about:blank",
        "title": "Signature not accepted",
        "status": 401,
        "detail": "The delivery is not signed with a signing secret of this shop.",
    }


def test_unknown_platforms_and_shops_get_the_same_404(
    post: Callable[..., tuple[int, Any]],
) -> None:
    answers = [
        post(path, b"{}", {})
        for path in (
            "/webhooks/magento/demo-shopify",
            "/webhooks/shopify/nobody",
            "/webhooks/woocommerce/demo-shopify",
            "/webhooks/shopify/UPPER",
        )
    ]

    assert answers[0][0] == 404
    assert answers.count(answers[0]) == len(answers)


def test_the_receivers_role_cannot_read_the_ledger_and_the_senders_cannot_write_secrets(
    system: LocalSystem,
) -> None:
    """Least privilege as deployed: what a role does not need is refused."""
    roles = {
        role["RoleName"].split("-")[1]: role["Arn"]
        for role in system.aws.client("iam").list_roles()["Roles"]
    }

    def assumed(role: str, service: str) -> Any:
        credentials = system.aws.client("sts").assume_role(
            RoleArn=roles[role], RoleSessionName="test"
        )["Credentials"]
        return system.aws.client(service, credentials)

    with pytest.raises(ClientError, match="AccessDenied"):
        assumed("ReceiverRole", "dynamodb").get_item(
            TableName=system.outputs["LedgerTable"], Key={"id": {"S": "x"}}
        )
    with pytest.raises(ClientError, match="AccessDenied"):
        assumed("SenderRole", "secretsmanager").put_secret_value(
            SecretId="local/shops/demo-shopify", SecretString="{}"
        )


def test_an_unreadable_message_is_set_aside(system: LocalSystem) -> None:
    sqs = system.aws.client("sqs")
    sqs.send_message(QueueUrl=system.outputs["QueueUrl"], MessageBody='{"version": 1}')

    def set_aside() -> list[Any]:
        answer = sqs.receive_message(
            QueueUrl=system.outputs["DeadLettersUrl"], VisibilityTimeout=0, WaitTimeSeconds=1
        )
        return list(answer.get("Messages", []))

    wait_for(lambda: bool(set_aside()), "the message set aside")
    assert {message["Body"] for message in set_aside()} == {'{"version": 1}'}


def test_messages_of_every_version_are_still_reported(system: LocalSystem) -> None:
    files = sorted((project.root() / "events" / "queue").glob("conversion-*.json"))
    assert files
    for file in files:
        order_id = str(next(_ids))
        message = json.loads(file.read_text()) | {"order_id": order_id, "order_reference": order_id}
        system.aws.client("sqs").send_message(
            QueueUrl=system.outputs["QueueUrl"],
            MessageBody=json.dumps(message),
            MessageGroupId=message["shop"],
        )
        wait_for(lambda order_id=order_id: bool(held(system, order_id)), file.name)  # type: ignore[misc]


SAMPLES = {"shopify": "shopify/orders-create-paid", "woocommerce": "woocommerce/made-purchase-paid"}
TOPICS = {
    "shopify": ("orders/create", "orders/updated"),
    "woocommerce": ("order.created", "order.updated"),
}


def shop_system(system: LocalSystem, name: str) -> ShopSystem:
    found = system.shop_systems.of(name)
    assert found is not None
    return found


def bought(system: LocalSystem, name: str, samples: dict[str, Delivery]) -> str:
    """A new order in a shop's system, which sends its webhooks as well as it can; its id."""
    platform = name.rpartition("-")[2]
    moment = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=3)
    text = moment.isoformat(timespec="seconds")
    changes = {"updated_at": f"{text}Z"} if platform == "shopify" else {"date_modified_gmt": text}
    order_id, body = fresh(samples[SAMPLES[platform]], **changes)
    shop_system(system, name).put(json.loads(body), *TOPICS[platform])
    return order_id


def reconciled(system: LocalSystem, lines: Lines, name: str) -> Lines:
    """What the reconciler says of a shop in a run of its own."""
    before = len(said(lines, name))
    system.reconcile()
    ends = ("reconciled", "reconcile_failed")
    wait_for(
        lambda: any(line["message"] in ends for line in said(lines, name)[before:]),
        f"the run's last line about {name}",
    )
    return said(lines, name)[before:]


def said(lines: Lines, name: str) -> Lines:
    return [line for line in lines if (line["service"], line.get("shop")) == ("reconciler", name)]


def of_event(run: Lines, message: str) -> Lines:
    return [line for line in run if line["message"] == message]


@pytest.mark.parametrize("name", ["lossy-shopify", "lossy-woocommerce"])
def test_a_lost_delivery_is_found_and_sent_within_one_cycle_and_only_once(
    name: str,
    system: LocalSystem,
    relay: Stack,
    samples: dict[str, Delivery],
    lines: Lines,
    pixels: dict[str, str],
) -> None:
    ProgressBook(relay.store).add(name, datetime.now(UTC))
    arrived = bought(system, name, samples)
    shop_system(system, name).deaf = True
    lost = bought(system, name, samples)
    wait_for(lambda: len(held(system, arrived)) == 1, "the order that was not lost")
    assert held(system, lost) == []

    first = reconciled(system, lines, name)
    wait_for(lambda: len(held(system, lost)) == 1, "the lost order")
    wait_for(lambda: queue_is_empty(system), "an empty queue")
    second = reconciled(system, lines, name)

    (found,) = of_event(first, "recovered")
    assert (found["order_id"], found["standing"]) == (lost, "missed")
    assert [of_event(run, "reconciled")[0]["recovered"] for run in (first, second)] == [1, 0]
    assert [of_event(run, "reconciled")[0]["orders"] for run in (first, second)] == [2, 2]
    assert of_event(first + second, "webhook_broken") == []
    wait_for(lambda: queue_is_empty(system), "an empty queue")
    events = at_pixel(system, pixels[name])
    assert sorted(event.external_event_id for event in events) == sorted((arrived, lost))


def test_a_webhook_that_seven_failures_disabled_is_told_of_and_repaired(
    system: LocalSystem,
    relay: Stack,
    samples: dict[str, Delivery],
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the relay cannot be reached, WooCommerce gives up; in the end nothing is missing."""
    name = "failing-woocommerce"
    ProgressBook(relay.store).add(name, datetime.now(UTC))
    with monkeypatch.context() as away:
        away.setattr(system.shop_systems, "deliver", lambda _: Heard(0, {}))
        orders = [bought(system, name, samples) for _ in range(7)]
    orders.append(bought(system, name, samples))
    found = webhooks.of_shop(relay, name)
    assert {each.state for each in found.findings()} == {"broken"}

    first = reconciled(system, lines, name)
    plan = webhooks.in_need(found.findings(), renew=False)
    assert [each.topic for each in found.carry_out(plan)] == [each.topic for each in plan]
    orders.append(bought(system, name, samples))
    wait_for(lambda: all(held(system, each) for each in orders), "every order")
    wait_for(lambda: queue_is_empty(system), "an empty queue")
    second = reconciled(system, lines, name)

    broken = of_event(first, "webhook_broken")
    assert sorted(line["topic"] for line in broken) == ["order.created", "order.updated"]
    assert {line["problem"] for line in broken} == {"is disabled"}
    assert sorted(line["order_id"] for line in of_event(first, "recovered")) == sorted(orders[:8])
    assert of_event(second, "webhook_broken") == of_event(second, "recovered") == []
    assert [len(held(system, each)) for each in orders] == [1] * 9
    received = [line for line in lines if line["service"] == "receiver"]
    assert any(line.get("order_id") == orders[8] for line in received), "it came by webhook"


def test_nothing_personal_and_no_secret_leaves_the_reconciler(
    system: LocalSystem, relay: Stack, samples: dict[str, Delivery], lines: Lines
) -> None:
    name = "watched-woocommerce"
    ProgressBook(relay.store).add(name, datetime.now(UTC))
    shop_system(system, name).deaf = True
    lambdas, sqs = system.aws.client("lambda"), system.aws.client("sqs")
    (mapping,) = lambdas.list_event_source_mappings()["EventSourceMappings"]
    lambdas.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        order_id = bought(system, name, samples)
        kept = json.dumps(shop_system(system, name).orders)
        assert any(marker in kept for marker in MARKERS)
        run = reconciled(system, lines, name)
        queue = sqs.receive_message(
            QueueUrl=system.outputs["QueueUrl"], MaxNumberOfMessages=10, VisibilityTimeout=0
        )
    finally:
        lambdas.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    wait_for(lambda: len(held(system, order_id)) == 1, "the order reported")
    table = system.aws.client("dynamodb").scan(TableName=system.outputs["LedgerTable"])

    written = {"log": run, "queue": queue["Messages"], "table": table["Items"]}
    secret = system.aws.client("secretsmanager").get_secret_value(
        SecretId=f"local/platform-api/{name}"
    )
    access = json.loads(secret["SecretString"])
    for where, content in written.items():
        text = json.dumps(content, default=str)
        assert order_id in text, where
        for private in (*MARKERS, access["consumer_key"], access["consumer_secret"]):
            assert private not in text, where
    assert "_1b05fa7f1c34d125" not in json.dumps(run), "no click id in a log"


def test_no_role_but_the_reconcilers_may_read_how_to_get_into_a_shops_system(
    system: LocalSystem,
) -> None:
    roles = {
        role["RoleName"].split("-")[1]: role["Arn"]
        for role in system.aws.client("iam").list_roles()["Roles"]
    }

    def read_as(role: str) -> Any:
        credentials = system.aws.client("sts").assume_role(
            RoleArn=roles[role], RoleSessionName="test"
        )["Credentials"]
        return system.aws.client("secretsmanager", credentials).get_secret_value(
            SecretId="local/platform-api/demo-shopify"
        )

    for role in ("ReceiverRole", "SenderRole"):
        with pytest.raises(ClientError, match="AccessDenied"):
            read_as(role)
    assert "client_id" in json.loads(read_as("ReconcilerRole")["SecretString"])


def test_the_schedule_leads_to_the_reconciler(system: LocalSystem) -> None:
    """Every hour, here a hundred times as often, but for ministack's shortest interval."""
    events = system.aws.client("events")
    (rule,) = events.list_rules()["Rules"]
    (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]

    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert "ReconcilerFunction" in target["Arn"]
