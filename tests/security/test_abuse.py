"""Abuse of webhooks, against the receiver as it answers: real deliveries, real shop documents.

After OWASP's advice for who takes webhooks: signature before anything else, over the raw bytes and
in constant time; replays without effect; nothing fetched, nothing trusted that is not signed;
bounded sizes; answers that tell an attacker nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import tracemalloc
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from tests.security import hostile
from tests.security.fuzzing import (
    NOW,
    PLAIN_SIGNATURES,
    Surroundings,
    Watched,
    hmac_by_hand,
    signed,
)

from prisjakt_relay import intake, ledger
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.intake import BODY_LIMIT
from prisjakt_relay.local.deliveries import Delivery
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.receiver.webhook import Answer

PAID = {"shopify": "orders-create-paid", "woocommerce": "made-purchase-paid"}
BOTH = pytest.mark.parametrize("platform", PAID)


@pytest.fixture
def relay() -> Surroundings:
    return Surroundings()


def paid(relay: Surroundings, platform: str) -> Delivery:
    return relay.named(platform, PAID[platform])


def changed(sample: Delivery, **changes: Any) -> bytes:
    return json.dumps(json.loads(sample.body) | changes).encode()


def orders(relay: Surroundings) -> list[Conversion]:
    return [each for each in relay.queued if isinstance(each, Conversion)]


# Forged


def forgeries(header: str, sample: Delivery, secret: str) -> dict[str, Mapping[str, str]]:
    right = hmac_by_hand(sample.body, secret)
    digest = base64.b64decode(right)
    return {
        "nothing": {},
        "empty": {header: ""},
        "blanks": {header: "   "},
        "none": {header: "none"},
        "of nothing": {header: hmac_by_hand(b"", secret)},
        "with no key": {header: hmac_by_hand(sample.body, "")},
        "of a plain hash": {
            header: base64.b64encode(hashlib.sha256(sample.body).digest()).decode()
        },
        "of key and body": {
            header: base64.b64encode(
                hashlib.sha256(secret.encode() + sample.body).digest()
            ).decode()
        },
        "in hex": {header: digest.hex()},
        "with its method": {header: f"sha256={right}"},
        "safe for addresses": {header: base64.urlsafe_b64encode(digest).decode() + "-"},
        "twice": {header: f"{right},{right}"},
        "in other letters": {header: right.swapcase()},
        "in full-width letters": {header: "".join(chr(ord(sign) + 0xFEE0) for sign in right)},
        "with a zero byte": {header: right + "\0"},
        "with a zero width": {header: "\u200b" + right},
        "in half characters": {header: "\ud800" * 44},
        "in a header of another name": {header + "-2": right},
        "in the other platform's header": {
            name: right for name in PLAIN_SIGNATURES.values() if name != header
        },
    }


@BOTH
def test_no_forgery_is_taken_and_all_get_the_same_answer(
    platform: str, relay: Surroundings
) -> None:
    sample = paid(relay, platform)
    header, secret = PLAIN_SIGNATURES[platform], relay.shops[sample.shop].signing_secrets[0]
    kept = {k: v for k, v in sample.headers if k.lower() != header}
    answers: list[Answer] = []

    for forged in forgeries(header, sample, secret).values():
        answers.append(relay.post(platform, sample.shop, {**kept, **forged}, sample.body))

    assert relay.queued == []
    assert answers[0].status == 401
    assert answers.count(answers[0]) == len(answers)
    assert secret not in json.dumps([answers[0].body, relay.lines])
    assert all(
        set(line) <= {"message", "outcome", "platform", "shop", "problem"} for line in relay.lines
    )


@BOTH
def test_what_a_shop_signs_is_worth_nothing_at_another_shop(
    platform: str, relay: Surroundings
) -> None:
    """Each address has its own secrets: one shop cannot report in another's name."""
    sample = paid(relay, platform)
    relay.documents["victim"] = {
        **relay.documents[sample.shop],
        "signing_secrets": ["the victim's own"],
    }

    given = relay.deliver(sample, shop="victim")

    assert (given.status, relay.queued) == (401, [])


def test_two_stores_with_one_app_secret_are_told_apart_by_their_domain(
    relay: Surroundings,
) -> None:
    """Shopify signs for all stores of an app alike. Without `domain` there is nothing to tell them
    apart by, which is why `doctor` asks for it."""
    sample = paid(relay, "shopify")
    host = dict(sample.headers)["X-Shopify-Shop-Domain"]
    for name, domain in (("own", host), ("other", "other.myshopify.com"), ("any", None)):
        relay.documents[name] = {**relay.documents[sample.shop], "domain": domain}

    given = {name: relay.deliver(sample, shop=name).body for name in ("own", "other", "any")}

    assert given["own"]["outcome"] == given["any"]["outcome"] == "queued"
    assert given["other"]["reason"] == "source"


def test_a_webhook_of_one_platform_is_none_of_the_others(relay: Surroundings) -> None:
    """Rightly signed with the shop's secret, but in the other platform's words."""
    sample = paid(relay, "shopify")
    secret = relay.shops["demo-woocommerce"].signing_secrets[0]
    headers = {**dict(sample.headers), **signed(PLATFORMS["woocommerce"], sample.body, secret)}

    own = relay.post("woocommerce", "demo-woocommerce", headers, sample.body)
    crossed = relay.post("woocommerce", sample.shop, headers, sample.body)

    assert own.body == {
        "outcome": "ignored",
        "reason": "topic",
        "order_id": str(json.loads(sample.body)["id"]),
    }
    assert crossed.status == 404
    assert relay.queued == []


# Replayed


@BOTH
def test_a_replay_is_the_same_wish_for_the_same_order(platform: str, relay: Surroundings) -> None:
    """The ledger settles all but one: nothing in a replay makes it another order."""
    sample = paid(relay, platform)

    for _ in range(50):
        assert relay.deliver(sample).status == 200

    made = orders(relay)
    assert len(made) == 50
    assert len({ledger.key(each.shop, each.order_id, each.event_name) for each in made}) == 1
    assert len({each.to_message() for each in made}) == 1


@BOTH
def test_headers_that_are_not_signed_make_a_replay_no_other_order(
    platform: str, relay: Surroundings
) -> None:
    """Delivery ids, times and hosts in headers are not covered by these signatures."""
    sample = paid(relay, platform)
    relay.deliver(sample)
    for name in (
        "x-shopify-webhook-id",
        "x-shopify-event-id",
        "x-shopify-triggered-at",
        "x-wc-webhook-delivery-id",
        "x-wc-webhook-id",
    ):
        relay.deliver(sample, headers={name: "9" * 20})

    assert len({each.to_message() for each in orders(relay)}) == 1


@BOTH
def test_a_replay_after_two_months_is_too_old(platform: str, relay: Surroundings) -> None:
    """Whoever recorded it: the ledger remembers the order for 90 days, and no longer."""
    sample = paid(relay, platform)
    relay.now = NOW + timedelta(days=61)

    assert relay.deliver(sample).body["reason"] == "too_old"
    assert relay.queued == []


# Too much


@BOTH
def test_a_body_over_a_mebibyte_is_not_parsed(
    platform: str, relay: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = paid(relay, platform)
    body = changed(sample, note="x" * BODY_LIMIT)

    def forbidden(_: str) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr(intake, "_decode", forbidden)

    assert relay.deliver(sample, body).body == {"outcome": "ignored", "reason": "unreadable"}
    assert relay.deliver(sample, body, secret="wrong").status == 401


HUGE = {
    "arrays in arrays": b'{"id":1,"a":' + b"[" * 400_000,
    "arrays in arrays, closed": b'{"id":1,"a":' + b"[" * 400_000 + b"]" * 400_000 + b"}",
    "objects in objects": b'{"a":' * 150_000,
    "a whole number": b'{"id":' + b"9" * 900_000 + b"}",
    "a broken number": b'{"id":0.' + b"9" * 900_000 + b"}",
    "an exponent": b'{"id":1e' + b"9" * 900_000 + b"}",
    "a text": b'{"id":"' + b"9" * 900_000 + b'"}',
    "blanks": b" " * 900_000,
    "many fields": b"{" + b",".join(b'"%d":0' % n for n in range(80_000)) + b"}",
    "one field many times": b"{" + b",".join(b'"id":0' for _ in range(120_000)) + b"}",
    "many attributes": b'{"id":1,"note_attributes":['
    + b",".join(b'{"name":"pjclid"}' for _ in range(40_000))
    + b"]}",
}


@BOTH
@pytest.mark.parametrize("body", HUGE.values(), ids=list(HUGE))
def test_a_huge_body_is_answered_and_its_memory_is_bounded(
    platform: str, body: bytes, relay: Surroundings
) -> None:
    """Not more than the function has, after its own 100 MB."""
    assert len(body) <= BODY_LIMIT
    sample = paid(relay, platform)
    tracemalloc.start()
    try:
        given = relay.deliver(sample, body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert given.status == 200
    assert given.body["outcome"] == "ignored"
    assert peak < 200 * 1024 * 1024


def test_names_that_would_collide_do_not() -> None:
    """Hash flooding: Python's hashes of texts are keyed anew in each process, unless told not to.
    Only texts are keys in JSON."""
    assert sys.flags.hash_randomization == 1
    document = intake._document(b'{"1":0,"9223372036854775808":0,"18446744073709551617":0}')
    assert all(isinstance(key, str) for key in document)


# Tricks with signs


@BOTH
@pytest.mark.parametrize(
    "order_id",
    [
        "\u0661\u0662\u0663",
        "\uff11\uff12\uff13",
        "12\u200b3",
        "\u202e321",
        " 123",
        "123\n",
        "0123",
        "+123",
        "1e3",
        "1_000",
        "123\x00",
        "123\x1b[2J",
        "../123",
        "123#shop",
        True,
        -1,
        0,
        1.0,
        1e300,
        10**40,
        [1],
        {"id": 1},
    ],
)
def test_an_order_id_is_plain_digits(platform: str, order_id: object, relay: Surroundings) -> None:
    """What does not look like an id is none: it stands in keys, logs and answers."""
    sample = paid(relay, platform)

    given = relay.deliver(sample, changed(sample, id=order_id))

    assert given.body == {"outcome": "ignored", "reason": "unreadable"}
    assert relay.lines[-1]["problem"] == "id: is missing or not an id"
    assert relay.queued == []


@BOTH
@pytest.mark.parametrize("sign", ["\x00", "\x1b[2J", "\x07", "\r\n", "\x7f", "\x9b31m"])
def test_what_drives_a_terminal_is_no_part_of_a_reference(
    platform: str, sign: str, relay: Surroundings
) -> None:
    """A shop can put its orders' names into references; people see those on their screens."""
    sample = paid(relay, platform)
    relay.documents[sample.shop]["order_reference"] = "{name}-{number}"
    given = relay.deliver(
        sample, changed(sample, name=f"#1{sign}", number=f"1{sign}", order_number=1)
    )

    assert given.body["reason"] == "unreadable"
    assert relay.lines[-1]["problem"] == "order_reference: has control characters in it"
    assert relay.queued == []


@BOTH
def test_names_of_other_scripts_are_fine(platform: str, relay: Surroundings) -> None:
    sample = paid(relay, platform)
    relay.documents[sample.shop]["order_reference"] = "{name}"

    given = relay.deliver(
        sample, changed(sample, name="Beställning-注文-1", number="Beställning-注文-1")
    )

    assert given.body["order_reference"] == "Beställning-注文-1"


@BOTH
def test_braces_and_percents_in_an_order_are_plain_signs(
    platform: str, relay: Surroundings
) -> None:
    """The pattern is the shop's, the values are not: they are filled in once."""
    sample = paid(relay, platform)
    relay.documents[sample.shop]["order_reference"] = "x-{name}"
    text = "{id.__class__}%s${jndi:x}"

    given = relay.deliver(sample, changed(sample, name=text, number=text))

    assert given.body["order_reference"] == f"x-{text}"


@BOTH
def test_a_header_cannot_break_a_line_or_an_answer(platform: str, relay: Surroundings) -> None:
    """Log injection: what is in a header is compared, never written."""
    sample = paid(relay, platform)
    evil = 'orders/paid\r\n{"message":"reported"}\x1b[2J' + hostile.CANARY

    given = relay.deliver(
        sample,
        headers=dict.fromkeys(
            (
                "x-shopify-topic",
                "x-wc-webhook-topic",
                "x-shopify-shop-domain",
                "x-wc-webhook-source",
                "user-agent",
                "x-forwarded-for",
                "x-request-id",
            ),
            evil,
        ),
    )

    assert given.body["reason"] == "topic"
    assert hostile.CANARY not in json.dumps([relay.lines, given.body, dict(given.headers)])


@pytest.mark.parametrize("platform", ["shopify ", "Shopify", "shopify/..", "", "\uff53hopify"])
def test_a_platform_is_one_of_the_list_letter_by_letter(platform: str, relay: Surroundings) -> None:
    sample = paid(relay, "shopify")

    assert relay.post(platform, sample.shop, dict(sample.headers), sample.body).status == 404
    assert relay.lines[-1].get("platform") is None


@pytest.mark.parametrize(
    "shop",
    ["", "..", "../platform-api/x", "a/b", "A", "a\n", "\uff41", "a" * 65, "a\x00", "\ud800"],
)
def test_a_shop_s_name_leads_to_no_other_secret(shop: str, relay: Surroundings) -> None:
    """Names become names of secrets: what is no name is never looked up."""
    reads: list[str] = []
    relay.documents = Watched(relay.documents, reads)

    assert relay.post("shopify", shop, {}, b"{}").status == 404
    assert reads == []


# Click ids that nobody was given


@BOTH
def test_an_invented_click_id_costs_no_more_than_an_order(
    platform: str, relay: Surroundings
) -> None:
    """Anybody can invent an id in the right form, open the shop with it and buy: only Prisjakt can
    tell. It is reported once, and what Prisjakt refuses is dead after the third try."""
    sample = paid(relay, platform)
    body = sample.body.replace(_click_id(sample).encode(), hostile.CLICK_ID.encode())

    assert relay.deliver(sample, body).body["outcome"] == "queued"
    (made,) = orders(relay)
    assert made.click_id == hostile.CLICK_ID


def _click_id(sample: Delivery) -> str:
    return str(sample.expected["conversion"]["click_id"])


@BOTH
@pytest.mark.parametrize(
    "click_id",
    [
        hostile.CLICK_ID + "x",
        hostile.CLICK_ID[:-1],
        hostile.CLICK_ID.replace("-41d3", "-11d3"),
        hostile.CLICK_ID + "\u0661",
        "<script>alert(1)</script>",
        "' OR 1=1 --",
        "\x1b]0;x\x07",
        {"$ne": ""},
        [hostile.CLICK_ID],
        1,
    ],
)
def test_what_is_no_click_id_goes_nowhere(
    platform: str, click_id: object, relay: Surroundings
) -> None:
    """Customers choose it: it comes from the address of a page."""
    sample = paid(relay, platform)
    field, name = ("note_attributes", "name") if platform == "shopify" else ("meta_data", "key")

    given = relay.deliver(sample, changed(sample, **{field: [{name: "pjclid", "value": click_id}]}))

    assert given.body["reason"] == "invalid_click_id"
    assert relay.queued == []
