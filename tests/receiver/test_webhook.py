"""From an HTTP request to its answer: every row of the documented table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from prisjakt_relay import aws
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.erasure import Erasure
from prisjakt_relay.errors import AwsError, StorageError, UnknownShopError
from prisjakt_relay.intake import BODY_LIMIT, Decision
from prisjakt_relay.local.deliveries import Delivery, load_all
from prisjakt_relay.local.system import sample_shops
from prisjakt_relay.outcomes import Reason
from prisjakt_relay.platforms import EXCLUDED_SOURCES, PLATFORMS
from prisjakt_relay.queues import Sendable, enqueue
from prisjakt_relay.receiver import webhook
from prisjakt_relay.receiver.webhook import Answer, Ports, Request, answer
from prisjakt_relay.shop import Shop, Shops, secrets_reader

PROBLEM = {"content-type": "application/problem+json"}

UNSIGNED = Answer(
    401,
    {
        "type": "about:blank",
        "title": "Signature not accepted",
        "status": 401,
        "detail": "The delivery is not signed with a signing secret of this shop.",
    },
    PROBLEM,
)
UNKNOWN = Answer(
    404,
    {
        "type": "about:blank",
        "title": "Not found",
        "status": 404,
        "detail": "There is no such webhook address. Compare it with the one of the shop's set-up.",
    },
    PROBLEM,
)
UNAVAILABLE = Answer(
    503,
    {
        "type": "about:blank",
        "title": "Try again later",
        "status": 503,
        "detail": "The delivery was not accepted. Send it again.",
    },
    PROBLEM | {"retry-after": "30"},
)

SHOPS = {"shopify": "demo-shopify", "woocommerce": "demo-woocommerce"}
PAID = {
    "shopify": "shopify/orders-create-paid",
    "woocommerce": "woocommerce/made-purchase-paid",
}
SIGNATURES = {"shopify": "x-shopify-hmac-sha256", "woocommerce": "x-wc-webhook-signature"}
BOTH = pytest.mark.parametrize("platform", ["shopify", "woocommerce"])

Line = tuple[str, dict[str, Any]]


@dataclass
class Relay:
    """The receiver with its surroundings in memory."""

    now: datetime
    samples: Mapping[str, Delivery]
    documents: dict[str, dict[str, Any]] = field(default_factory=sample_shops)
    secrets_fail: bool = False
    queue_fails: bool = False
    reads: list[str] = field(default_factory=list)
    queued: list[Conversion] = field(default_factory=list)
    to_erase: list[Erasure] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        shops = Shops(
            self._read,
            clock=lambda: self.now,
            alarm=lambda trouble, shop, **_: self.alarms.append(f"{trouble} {shop}"),
            platforms=EXCLUDED_SOURCES,
        )
        self.ports = Ports(
            shops=shops, enqueue=self._enqueue, clock=lambda: self.now, emit=self._emit
        )

    def _read(self, name: str, deadline: datetime) -> str:
        assert deadline > self.now
        self.reads.append(name)
        if self.secrets_fail:
            raise StorageError("GetSecretValue: ReadTimeoutError")
        if name not in self.documents:
            raise UnknownShopError
        return json.dumps(self.documents[name])

    def _enqueue(self, wish: Sendable, deadline: datetime) -> None:
        assert deadline > self.now
        if self.queue_fails:
            raise StorageError("SendMessage: ReadTimeoutError")
        if isinstance(wish, Conversion):
            self.queued.append(wish)
        else:
            assert isinstance(wish, Erasure)
            self.to_erase.append(wish)

    def _emit(self, event: str, *, age: float | None = None, **fields: Any) -> None:
        assert age is None
        self.lines.append((event, {k: v for k, v in fields.items() if v is not None}))

    def post(self, platform: str, shop: str, headers: Mapping[str, str], body: bytes) -> Answer:
        return answer(Request(platform, shop, headers, body), self.ports)

    def deliver(
        self, platform: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """The paid sample order, or parts of it, to its own shop."""
        sample = self.samples[PAID[platform]]
        return self.post(
            platform,
            sample.shop,
            lower(sample) if headers is None else headers,
            sample.body if body is None else body,
        )

    def deliver_changed(
        self, platform: str, headers: Mapping[str, str] | None = None, **changes: Any
    ) -> Answer:
        """The paid sample order with changes, rightly signed."""
        body = json.dumps(json.loads(self.samples[PAID[platform]].body) | changes).encode()
        return self.deliver_signed(platform, body, headers)

    def deliver_signed(
        self, platform: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> Answer:
        secret = self.documents[SHOPS[platform]]["signing_secrets"][0]
        sample = lower(self.samples[PAID[platform]])
        signed = {**sample, **(headers or {}), **PLATFORMS[platform].sign(body, secret, self.now)}
        return self.post(platform, SHOPS[platform], signed, body)


def lower(sample: Delivery) -> dict[str, str]:
    return {name.lower(): value for name, value in sample.headers}


@pytest.fixture
def relay(now: datetime, samples: dict[str, Delivery]) -> Relay:
    return Relay(now, samples)


# 200


@pytest.mark.parametrize("sample", list(load_all()), ids=lambda s: f"{s.platform}/{s.name}")
def test_each_sample_delivery_gets_the_answer_written_beside_it(
    sample: Delivery, relay: Relay
) -> None:
    given = relay.post(sample.platform, sample.shop, lower(sample), sample.body)

    assert given.status == sample.expected["status"]
    if sample.expected["answer"] is not None:
        assert json.loads(json.dumps(given.body)) == sample.expected["answer"]
        assert given.headers == {}
    messages = [json.loads(conversion.to_message()) for conversion in relay.queued]
    received = "2026-11-21T00:00:00.000+00:00"
    wanted = sample.expected["conversion"]
    assert messages == ([wanted | {"received_at": received}] if wanted else [])
    assert len(relay.lines) == 1
    assert relay.reads == [sample.shop]


@BOTH
def test_a_queued_order_is_answered_with_its_id_and_reference(platform: str, relay: Relay) -> None:
    relay.documents[SHOPS[platform]]["order_reference"] = "SE-{id}"
    order_id = relay.samples[PAID[platform]].expected["answer"]["order_id"]

    assert relay.deliver(platform) == Answer(
        200, {"outcome": "queued", "order_id": order_id, "order_reference": f"SE-{order_id}"}
    )


@BOTH
def test_an_order_without_click_id_touches_nothing_but_the_cached_document(
    platform: str, relay: Relay
) -> None:
    relay.queue_fails = True
    relay.documents[SHOPS[platform]]["landing_page_fallback"] = False
    relay.deliver(platform, headers={})  # fills the cache
    reads = len(relay.reads)

    given = relay.deliver_changed(platform, id=77, note_attributes=[], meta_data=[])

    assert given == Answer(200, {"outcome": "ignored", "reason": "no_click_id", "order_id": "77"})
    assert len(relay.reads) == reads


@BOTH
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null", b" " * (BODY_LIMIT + 1)])
def test_a_signed_body_that_is_no_order_is_taken_and_told(
    platform: str, body: bytes, relay: Relay
) -> None:
    """Sent again it would be the same; so 200, without an order id where there is none."""
    given = relay.deliver_signed(platform, body)

    assert given == Answer(200, {"outcome": "ignored", "reason": "unreadable"})
    assert relay.queued == []
    assert relay.lines[0][0] == "unreadable"


@BOTH
def test_a_shop_that_is_off_is_answered_with_the_order_id(platform: str, relay: Relay) -> None:
    relay.documents[SHOPS[platform]]["mode"] = "off"

    assert relay.deliver_changed(platform, id=77) == Answer(
        200, {"outcome": "ignored", "reason": "off", "order_id": "77"}
    )


PING = b"webhook_id=42"


@pytest.mark.parametrize("mode", ["live", "off"])
def test_an_unsigned_ping_of_a_known_shop_is_welcome(mode: str, relay: Relay) -> None:
    """WooCommerce sends it when a webhook is saved, and disables the webhook unless it gets 200."""
    relay.documents["demo-woocommerce"]["mode"] = mode
    given = relay.post("woocommerce", "demo-woocommerce", {}, PING)

    assert given == Answer(200, {"outcome": "ignored", "reason": "ping"})
    assert relay.queued == []


@pytest.mark.parametrize(
    ("platform", "shop", "headers", "body", "expected"),
    [
        ("woocommerce", "stranger", {}, PING, UNKNOWN),
        ("woocommerce", "demo-shopify", {}, PING, UNKNOWN),
        ("woocommerce", "demo-woocommerce", {"x-wc-webhook-signature": "x"}, PING, UNSIGNED),
        ("woocommerce", "demo-woocommerce", {"x-wc-webhook-signature": ""}, PING, UNSIGNED),
        ("woocommerce", "demo-woocommerce", {}, b"webhook_id=x", UNSIGNED),
        ("woocommerce", "demo-woocommerce", {}, b"webhook_id=42&a=1", UNSIGNED),
        ("woocommerce", "demo-woocommerce", {}, b"webhook_id=42\n", UNSIGNED),
        ("woocommerce", "demo-woocommerce", {}, b"", UNSIGNED),
        ("shopify", "demo-shopify", {}, PING, UNSIGNED),
    ],
)
def test_nothing_else_passes_for_a_ping(
    platform: str,
    shop: str,
    headers: dict[str, str],
    body: bytes,
    expected: Answer,
    relay: Relay,
) -> None:
    assert relay.post(platform, shop, headers, body) == expected


# 401


def unsigned(*, signature: str | None = None, body: bytes | None = None) -> Callable[..., Answer]:
    def deliver(relay: Relay, platform: str) -> Answer:
        headers = lower(relay.samples[PAID[platform]])
        del headers[SIGNATURES[platform]]
        if signature is not None:
            headers[SIGNATURES[platform]] = signature
        return relay.deliver(platform, headers, body)

    return deliver


def with_changed_body(relay: Relay, platform: str) -> Answer:
    return relay.deliver(platform, body=relay.samples[PAID[platform]].body + b" ")


def with_the_body_written_anew(relay: Relay, platform: str) -> Answer:
    """The same JSON in other bytes."""
    return relay.deliver(
        platform, body=json.dumps(json.loads(relay.samples[PAID[platform]].body)).encode()
    )


def with_a_foreign_secret(relay: Relay, platform: str) -> Answer:
    body = relay.samples[PAID[platform]].body
    signature = PLATFORMS[platform].sign(body, "foreign", relay.now)
    headers = lower(relay.samples[PAID[platform]]) | dict(signature)
    return relay.deliver(platform, headers)


def with_the_other_platform_s_header(relay: Relay, platform: str) -> Answer:
    other = SIGNATURES["woocommerce" if platform == "shopify" else "shopify"]
    headers = lower(relay.samples[PAID[platform]])
    headers[other] = headers.pop(SIGNATURES[platform])
    return relay.deliver(platform, headers)


def with_an_endless_body(relay: Relay, platform: str) -> Answer:
    return relay.deliver(platform, body=b"x" * (BODY_LIMIT + 1))


FORGERIES = [
    unsigned(),
    unsigned(signature=""),
    unsigned(signature=" "),
    unsigned(signature="x"),
    unsigned(signature="é€\udce9"),
    unsigned(signature="=" * 44),
    unsigned(signature="A" * 100_000),
    unsigned(body=b""),
    unsigned(body=b"{"),
    unsigned(signature="x", body=b"\xff\x00"),
    with_changed_body,
    with_the_body_written_anew,
    with_a_foreign_secret,
    with_the_other_platform_s_header,
    with_an_endless_body,
]


@BOTH
@pytest.mark.parametrize("forge", FORGERIES)
@pytest.mark.parametrize("mode", ["live", "off"])
def test_every_cause_of_a_401_gets_the_same_answer(
    platform: str, forge: Callable[[Relay, str], Answer], mode: str, relay: Relay
) -> None:
    relay.documents[SHOPS[platform]]["mode"] = mode

    assert forge(relay, platform) == UNSIGNED

    assert relay.queued == []
    assert relay.lines == [
        ("unsigned", {"outcome": "unsigned", "platform": platform, "shop": SHOPS[platform]})
    ]


@BOTH
def test_what_is_not_verified_is_not_looked_into(
    platform: str, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is decided on are the very bytes whose signature is right."""
    bodies: list[bytes] = []

    def decide(
        _platform: object, _name: str, _shop: Shop, _headers: object, body: bytes, _now: datetime
    ) -> Decision:
        bodies.append(body)
        return Decision(reason=Reason.TOPIC)

    monkeypatch.setattr(webhook, "decide", decide)
    for forge in FORGERIES:
        forge(relay, platform)
    assert bodies == []

    relay.deliver(platform)
    assert bodies == [relay.samples[PAID[platform]].body]


@BOTH
def test_any_of_a_shop_s_secrets_may_have_signed(platform: str, relay: Relay) -> None:
    secret = relay.documents[SHOPS[platform]]["signing_secrets"][0]
    relay.documents[SHOPS[platform]]["signing_secrets"] = ["new", secret]

    assert relay.deliver(platform).status == 200


@BOTH
def test_a_rotated_secret_works_at_once(platform: str, relay: Relay) -> None:
    """With all else that the new document says."""
    good = relay.documents[SHOPS[platform]]
    relay.documents[SHOPS[platform]] = good | {"signing_secrets": ["old"]}
    assert relay.deliver(platform) == UNSIGNED
    relay.documents[SHOPS[platform]] = good | {"order_reference": "new-{id}"}
    relay.now += timedelta(seconds=1)

    given = relay.deliver(platform)

    assert given.status == 200
    assert given.body["order_reference"].startswith("new-")
    assert relay.queued[0].order_reference == given.body["order_reference"]


@BOTH
def test_forgeries_cost_one_read_in_30_seconds(platform: str, relay: Relay) -> None:
    relay.deliver(platform)
    for _ in range(29):
        relay.now += timedelta(seconds=1)
        assert with_changed_body(relay, platform) == UNSIGNED

    assert len(relay.reads) == 2


@BOTH
def test_a_shop_that_moves_to_the_other_platform_verifies_nothing_any_more(
    platform: str, relay: Relay
) -> None:
    """First the new document does not serve the old address, then the address is gone."""
    assert relay.deliver(platform).status == 200
    other = "woocommerce" if platform == "shopify" else "shopify"
    moved = relay.documents[SHOPS[platform]] | {"platform": other, "signing_secrets": ["moved"]}
    relay.documents[SHOPS[platform]] = moved
    relay.now += timedelta(seconds=1)
    sample = relay.samples[PAID[platform]]
    headers = lower(sample) | dict(PLATFORMS[platform].sign(sample.body, "moved", relay.now))

    assert relay.deliver(platform, headers) == UNSIGNED
    assert relay.deliver(platform, headers) == UNKNOWN


@BOTH
def test_a_forgery_for_a_shop_that_is_gone_finds_it_gone(platform: str, relay: Relay) -> None:
    relay.deliver(platform)
    del relay.documents[SHOPS[platform]]
    relay.now += timedelta(seconds=1)

    assert with_changed_body(relay, platform) == UNKNOWN


# 404


@pytest.mark.parametrize(
    ("platform", "shop", "named"),
    [
        ("shopify", "stranger", {"platform": "shopify", "shop": "stranger"}),
        ("woocommerce", "stranger", {"platform": "woocommerce", "shop": "stranger"}),
        ("shopify", "demo-woocommerce", {"platform": "shopify", "shop": "demo-woocommerce"}),
        ("woocommerce", "demo-shopify", {"platform": "woocommerce", "shop": "demo-shopify"}),
        ("magento", "demo-shopify", {"shop": "demo-shopify"}),
        ("Shopify", "demo-shopify", {"shop": "demo-shopify"}),
        ("", "demo-shopify", {"shop": "demo-shopify"}),
        ("shopify\n", "demo-shopify", {"shop": "demo-shopify"}),
        ("shopify", "", {"platform": "shopify"}),
        ("shopify", "Demo-Shopify", {"platform": "shopify"}),
        ("shopify", "demo-shopify\n", {"platform": "shopify"}),
        ("shopify", "demo shopify", {"platform": "shopify"}),
        ("shopify", "demo_shopify", {"platform": "shopify"}),
        ("shopify", "../shops/demo-shopify", {"platform": "shopify"}),
        ("shopify", "démo-shopify", {"platform": "shopify"}),
        ("shopify", "x" * 65, {"platform": "shopify"}),
        ("", "", {}),
    ],
)
def test_every_unknown_address_gets_the_same_answer(
    platform: str, shop: str, named: dict[str, str], relay: Relay
) -> None:
    """Rightly signed or not; and the log holds no text that a stranger can choose freely."""
    sample = relay.samples[PAID["shopify"]]

    assert relay.post(platform, shop, lower(sample), sample.body) == UNKNOWN
    assert relay.post(platform, shop, {}, b"") == UNKNOWN

    assert relay.queued == []
    assert relay.lines == [("unknown", {"outcome": "unknown", **named})] * 2


@pytest.mark.parametrize(
    ("platform", "shop"), [("magento", "demo-shopify"), ("shopify", "Demo"), ("shopify", "")]
)
def test_an_address_that_cannot_exist_costs_no_read(platform: str, shop: str, relay: Relay) -> None:
    relay.post(platform, shop, {}, b"")

    assert relay.reads == []


def test_unknown_and_unsigned_problems_have_the_form_of_rfc_9457() -> None:
    for given in (UNSIGNED, UNKNOWN, UNAVAILABLE):
        assert given.headers["content-type"] == "application/problem+json"
        assert given.body["status"] == given.status
        assert given.body.keys() == {"type", "title", "status", "detail"}


# 503


@BOTH
def test_without_the_queue_nothing_is_accepted(platform: str, relay: Relay) -> None:
    relay.queue_fails = True

    assert relay.deliver(platform) == UNAVAILABLE

    assert relay.lines == [
        (
            "unavailable",
            {
                "outcome": "unavailable",
                "platform": platform,
                "shop": SHOPS[platform],
                "problem": "SendMessage: ReadTimeoutError",
            },
        )
    ]
    relay.queue_fails = False
    assert relay.deliver(platform).status == 200


@BOTH
@pytest.mark.parametrize("trouble", ["away", "unusable"])
def test_without_the_shop_s_document_nothing_is_accepted(
    platform: str, trouble: str, relay: Relay
) -> None:
    relay.secrets_fail = trouble == "away"
    if trouble == "unusable":
        relay.documents[SHOPS[platform]]["mode"] = "unheard of"

    assert relay.deliver(platform) == UNAVAILABLE
    assert relay.post(platform, SHOPS[platform], {}, b"") == UNAVAILABLE

    assert relay.queued == []
    assert relay.lines[0] == (
        "unavailable",
        {
            "outcome": "unavailable",
            "platform": platform,
            "shop": SHOPS[platform],
            "problem": {
                "away": "GetSecretValue: ReadTimeoutError",
                "unusable": "mode: is unknown; choose one of live, test, off",
            }[trouble],
        },
    )
    assert relay.alarms[0] == f"shop_document_unusable {SHOPS[platform]}"


@BOTH
def test_an_old_document_serves_while_secrets_manager_is_away(platform: str, relay: Relay) -> None:
    relay.deliver(platform)
    relay.secrets_fail = True
    relay.now += timedelta(hours=23)

    assert relay.deliver(platform).status == 200
    assert with_changed_body(relay, platform) == UNSIGNED
    relay.now += timedelta(hours=1)
    assert relay.deliver(platform) == UNAVAILABLE


class Clock:
    """Moves when somebody sleeps or works."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Hanging(aws.Service):
    """Says nothing, after some calls that it answered."""

    def __init__(self, clock: Clock, answers: list[dict[str, Any] | AwsError]) -> None:
        self._clock = clock
        self._answers = answers

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        del parameters
        if self._answers:
            given = self._answers.pop(0)
            if isinstance(given, AwsError):
                raise given
            return given
        self._clock.now += aws.ATTEMPT
        raise StorageError(f"{operation}: ReadTimeoutError")


@pytest.mark.parametrize(("platform", "seconds"), [("shopify", 4), ("woocommerce", 15)])
@pytest.mark.parametrize("silent", ["secrets", "queue", "both", "both in the end"])
def test_it_gives_up_before_the_shop_system_does(
    platform: str, seconds: float, silent: str, now: datetime, samples: dict[str, Delivery]
) -> None:
    """Even if all of AWS is silent, and a document that is due has to be asked for first."""
    clock = Clock(now)
    document = {"SecretString": json.dumps(sample_shops()[SHOPS[platform]])}
    throttled = AwsError("GetSecretValue", "ThrottlingException")
    answers: dict[str, list[dict[str, Any] | AwsError]] = {
        "secrets": [],
        "queue": [document] * 9,
        "both": [document],
        "both in the end": [document, throttled, throttled, throttled],
    }
    secrets = Hanging(clock, answers[silent])
    sleep = clock.sleep
    ports = Ports(
        shops=Shops(
            secrets_reader(secrets, "relay/shops/", clock=clock, sleep=sleep),
            clock=clock,
            alarm=lambda *_, **__: None,
            platforms=EXCLUDED_SOURCES,
        ),
        enqueue=lambda conversion, deadline: enqueue(
            conversion,
            sqs=Hanging(clock, []),
            queue_url="https://sqs.example/1/queue",
            deadline=deadline,
            clock=clock,
            sleep=sleep,
        ),
        clock=clock,
        emit=lambda *_, **__: None,
    )
    sample = samples[PAID[platform]]
    deliver = partial(answer, Request(platform, SHOPS[platform], lower(sample), sample.body), ports)

    if silent.startswith("both"):
        deliver()  # with a document, which is kept
        clock.sleep(300)
    began = clock()

    assert deliver() == UNAVAILABLE
    assert timedelta(seconds=1) < clock() - began <= timedelta(seconds=seconds)


# What is logged


@BOTH
def test_a_queued_order_is_one_line(platform: str, relay: Relay) -> None:
    relay.deliver(platform)

    (conversion,) = relay.queued
    assert relay.lines == [
        (
            "queued",
            {
                "outcome": "queued",
                "platform": platform,
                "shop": SHOPS[platform],
                "order_id": conversion.order_id,
                "void": False,
                "revision": conversion.revision,
            },
        )
    ]


def test_a_ping_is_one_line(relay: Relay) -> None:
    relay.post("woocommerce", "demo-woocommerce", {}, PING)

    assert relay.lines == [
        (
            "ignored",
            {
                "outcome": "ignored",
                "reason": "ping",
                "platform": "woocommerce",
                "shop": "demo-woocommerce",
            },
        )
    ]


@pytest.mark.parametrize(
    ("changes", "event", "reason", "problem"),
    [
        ({"name": 1.5}, "unreadable", "unreadable", "name: is not a text"),
        (
            {"created_at": None},
            "unreadable",
            "unreadable",
            "created_at: is missing or not a time",
        ),
        ({"source_name": "pos"}, "ignored", "source", None),
        ({"note_attributes": []}, "ignored", "no_click_id", None),
        (
            {"currency": "USD", "presentment_currency": "USD"},
            "ignored",
            "unsupported_currency",
            None,
        ),
        ({"financial_status": "pending"}, "ignored", "payment_pending", None),
    ],
)
def test_an_ignored_order_is_one_line_with_the_reason(
    changes: dict[str, Any], event: str, reason: str, problem: str | None, relay: Relay
) -> None:
    """An unreadable one is counted apart: somebody has to look."""
    given = relay.deliver_changed("shopify", **changes)

    assert given.status == 200
    line = {
        "outcome": "ignored",
        "reason": reason,
        "platform": "shopify",
        "shop": "demo-shopify",
        "order_id": "6204817342681",
    }
    assert relay.lines == [(event, line | ({"problem": problem} if problem else {}))]


@BOTH
@pytest.mark.parametrize(
    ("domain", "event"), [("other.example", "foreign_source"), (None, "queued"), ("own", "queued")]
)
def test_another_store_s_order_is_counted_apart(
    platform: str, domain: str | None, event: str, relay: Relay
) -> None:
    """One Shopify app secret signs for several stores; an excluded source is no such thing."""
    own = {
        "shopify": "prisjakt-relay-demo.myshopify.com",
        "woocommerce": "demo-woocommerce.example",
    }
    wanted = own[platform] if domain == "own" else domain
    relay.documents[SHOPS[platform]]["domain"] = wanted

    given = relay.deliver(platform)

    assert [counted for counted, _ in relay.lines] == [event]
    assert (given.body["outcome"] == "queued") == (event == "queued")
    if event == "foreign_source":
        assert given.body["reason"] == "source"
        assert relay.lines[0][1]["outcome"] == "ignored"
        assert own[platform] not in repr(relay.lines)


def test_a_clock_that_is_wrong_is_told_in_the_log_alone(relay: Relay) -> None:
    """Whoever repeats what was sent long ago learns no more than whoever guesses."""
    sample = relay.samples["custom/made-purchase-paid"]
    secret = relay.documents[sample.shop]["signing_secrets"][0]
    late = sample.signed(sample.body, secret, relay.now - timedelta(minutes=6))

    given = relay.post("custom", sample.shop, {k.lower(): v for k, v in late}, sample.body)

    assert given == UNSIGNED
    ((event, line),) = relay.lines
    assert (event, line["problem"]) == ("unsigned", "webhook-timestamp")


MARKER = "Testsson, 4711"  # which no id can hold


@pytest.mark.parametrize("sample", list(load_all()), ids=lambda s: f"{s.platform}/{s.name}")
def test_no_value_of_a_delivery_gets_into_the_log(sample: Delivery, relay: Relay) -> None:
    """Whatever field is broken: the line names it and keeps what was in it to itself."""
    document = json.loads(sample.body) if sample.body.startswith(b"{") else {}
    secret = relay.documents[sample.shop]["signing_secrets"][0]
    headers = {name: f"{value} {MARKER}" for name, value in lower(sample).items()}
    topics = ("x-shopify-topic", "x-wc-webhook-topic")
    headers |= {name: value for name, value in lower(sample).items() if name in topics}

    for name in [None, *document]:
        for value in (MARKER, [MARKER], {MARKER: MARKER}, [{"key": "pjclid", "value": MARKER}]):
            changed = document | {"marker": MARKER} | ({name: value} if name else {})
            body = json.dumps(changed).encode()
            signed = headers | dict(PLATFORMS[sample.platform].sign(body, secret, relay.now))
            given = relay.post(sample.platform, sample.shop, signed, body)
            assert given.status == 200
            assert MARKER not in json.dumps(given.body)
            relay.post(sample.platform, sample.shop, headers, body)

    told = {line["outcome"] for _, line in relay.lines}
    assert "unsigned" in told
    assert told & {"ignored", "accepted"}
    assert MARKER not in repr(relay.lines)
    assert MARKER not in repr(relay.queued)


def test_what_is_personal_in_the_samples_stays_out_of_the_log(relay: Relay) -> None:
    """No text of a body or a header but the order's id, the shop's name and our own words."""
    for sample in relay.samples.values():
        relay.lines.clear()
        relay.post(sample.platform, sample.shop, lower(sample), sample.body)
        words = {value for value in lower(sample).values() if len(value) > 8}
        if sample.body.startswith(b"{"):
            words |= {text for text in texts(json.loads(sample.body)) if len(text) > 8}
        known = {str(line.get("order_id")) for _, line in relay.lines}
        for _, line in relay.lines:  # a privacy request: our word for it, and the orders' ids
            known |= {str(line.get("request")), *line.get("order_ids", ())}
        leaked = {word for word in words - known if word in repr(relay.lines)}
        assert leaked == set()


def texts(value: object) -> set[str]:
    if isinstance(value, dict):
        return set().union(*(texts(part) for part in value.values()))
    if isinstance(value, list):
        return set().union(*(texts(part) for part in value))
    return {str(value)}
