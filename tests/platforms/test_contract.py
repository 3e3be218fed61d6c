"""What every platform owes, shown with all of `events/`."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prisjakt_relay.errors import SignatureError
from prisjakt_relay.intake import Decision, decide
from prisjakt_relay.local.deliveries import Delivery, load_all
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.platforms.interface import Headers, Platform
from prisjakt_relay.shop import Shop

MARKER = "Zebra-Crossing"

SAMPLES = list(load_all())
PINGS = [
    s for s in SAMPLES if s.expected["answer"] and s.expected["answer"].get("reason") == "ping"
]
FORGED = [s for s in SAMPLES if s.expected["status"] == 401]
SIGNED = [s for s in SAMPLES if s not in PINGS and s not in FORGED]
ACCEPTED = [s for s in SIGNED if s.expected["conversion"] is not None]


def each(samples: list[Delivery]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sample", samples, ids=lambda s: f"{s.platform}/{s.name}")


every_platform = pytest.mark.parametrize("platform", PLATFORMS.values(), ids=PLATFORMS)


def headers_of(sample: Delivery) -> dict[str, str]:
    return {name.lower(): value for name, value in sample.headers}


def signature_header(platform: Platform) -> str:
    (name,) = platform.sign(b"", "secret")
    return name


def verify(sample: Delivery, shop: Shop, **changed: Any) -> None:
    platform = PLATFORMS[sample.platform]
    headers = changed.get("headers", headers_of(sample))
    secrets = changed.get("secrets", shop.signing_secrets)
    platform.verify(headers, changed.get("body", sample.body), secrets)


def decided(sample: Delivery, shop: Shop, now: datetime, body: bytes | None = None) -> Decision:
    body = sample.body if body is None else body
    platform = PLATFORMS[sample.platform]
    return decide(platform, sample.shop, shop, headers_of(sample), body, now)


def facts(decision: Decision) -> dict[str, Any] | None:
    """The message without the time of its arrival, as `expected.json` has it."""
    if decision.conversion is None:
        return None
    message: dict[str, Any] = json.loads(decision.conversion.to_message())
    del message["received_at"]
    return message


def test_a_platform_is_listed_under_its_own_name() -> None:
    assert {name: platform.name for name, platform in PLATFORMS.items()} == {
        name: name for name in PLATFORMS
    }


@every_platform
def test_every_platform_has_samples_of_what_matters(platform: Platform) -> None:
    """A platform without deliveries to show would pass every other test of this file."""

    def of(samples: list[Delivery]) -> list[Delivery]:
        return [sample for sample in samples if sample.platform == platform.name]

    assert of(ACCEPTED)
    assert of(FORGED)
    assert [sample for sample in of(ACCEPTED) if sample.expected["conversion"]["void"]]
    assert {"no_click_id", "payment_pending", "topic"} <= {
        sample.expected["answer"].get("reason") for sample in of(SIGNED)
    }


@each(SIGNED)
def test_a_sample_is_verified_and_gives_what_is_expected(
    sample: Delivery, shops: dict[str, Shop], now: datetime
) -> None:
    shop = shops[sample.shop]

    verify(sample, shop)
    decision = decided(sample, shop, now)

    answer: dict[str, Any] = {"outcome": "ignored", "reason": decision.reason}
    if decision.conversion is not None:
        reference = decision.conversion.order_reference
        answer = {"outcome": "queued", "order_reference": reference}
    if decision.order_id is not None:
        answer["order_id"] = decision.order_id
    assert answer == sample.expected["answer"]
    assert facts(decision) == sample.expected["conversion"]
    assert not PLATFORMS[sample.platform].is_ping(headers_of(sample), sample.body)


@each(ACCEPTED)
def test_a_conversion_carries_the_moment_of_its_arrival(
    sample: Delivery, shops: dict[str, Shop], now: datetime
) -> None:
    conversion = decided(sample, shops[sample.shop], now).conversion

    assert conversion is not None
    assert conversion.received_at == now


@each(FORGED)
def test_a_forged_sample_is_refused(sample: Delivery, shops: dict[str, Shop]) -> None:
    with pytest.raises(SignatureError):
        verify(sample, shops[sample.shop])


@each(PINGS)
def test_a_ping_is_told_from_a_delivery(sample: Delivery, shops: dict[str, Shop]) -> None:
    assert PLATFORMS[sample.platform].is_ping(headers_of(sample), sample.body)
    with pytest.raises(SignatureError):
        verify(sample, shops[sample.shop])


@each(SIGNED)
def test_any_of_several_secrets_may_match(sample: Delivery, shops: dict[str, Shop]) -> None:
    for secret in shops[sample.shop].signing_secrets:
        platform = PLATFORMS[sample.platform]
        headers = {**headers_of(sample), **platform.sign(sample.body, secret)}
        for secrets in ([secret, "b", "c"], ["a", secret, "c"], ["a", "b", secret]):
            verify(sample, shops[sample.shop], headers=headers, secrets=secrets)
        with pytest.raises(SignatureError):
            verify(sample, shops[sample.shop], headers=headers, secrets=["a", "b", f"{secret} "])


CHANGED: dict[str, Callable[[bytes], bytes]] = {
    "longer": lambda body: body + b" ",
    "shorter": lambda body: body[:-1],
    "empty": lambda _: b"",
    "one bit": lambda body: bytes([body[0] ^ 1]) + body[1:],
    "parsed and written anew": lambda body: json.dumps(json.loads(body), indent=1).encode(),
}


@each(SIGNED)
@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_a_changed_body_is_refused(
    sample: Delivery, change: Callable[[bytes], bytes], shops: dict[str, Shop]
) -> None:
    with pytest.raises(SignatureError):
        verify(sample, shops[sample.shop], body=change(sample.body))


SPOILT: dict[str, Callable[[str], str]] = {
    "empty": lambda _: "",
    "blank": lambda _: "  ",
    "latin-1": lambda signature: f"{signature[:-1]}\xe9",
    "escaped byte": lambda signature: f"{signature[:-1]}\udce9",
    "lone surrogate": lambda signature: f"{signature[:-1]}\ud800",
    "astral": lambda signature: f"{signature[:-1]}\U0001f512",
    "null": lambda signature: f"{signature}\0",
    "no base64": lambda _: "%%%",
    "truncated": lambda signature: signature[:-4],
    "without padding": lambda signature: signature.rstrip("="),
    "twice": lambda signature: f"{signature}, {signature}",
    "labelled": lambda signature: f"sha256={signature}",
    "other letter case": lambda signature: signature.swapcase(),
    "very long": lambda signature: signature * 10_000,
}


@every_platform
@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_signature_is_refused_as_such(
    platform: Platform, spoil: Callable[[str], str]
) -> None:
    header = signature_header(platform)
    right = platform.sign(b"{}", "secret")[header]

    with pytest.raises(SignatureError):
        platform.verify({header: spoil(right)}, b"{}", ["secret", "other"])


@every_platform
def test_a_missing_signature_is_refused(platform: Platform) -> None:
    for headers in ({}, {"authorization": "Basic c2VjcmV0"}):
        with pytest.raises(SignatureError):
            platform.verify(headers, b"{}", ["secret"])


@each(SIGNED)
def test_a_signature_by_another_key_is_refused(sample: Delivery, shops: dict[str, Shop]) -> None:
    platform = PLATFORMS[sample.platform]
    headers = {**headers_of(sample), **platform.sign(sample.body, "another")}

    with pytest.raises(SignatureError):
        verify(sample, shops[sample.shop], headers=headers)


@every_platform
@settings(deadline=None)
@given(body=st.binary(), secret=st.text(min_size=1))
def test_what_is_signed_is_verified(platform: Platform, body: bytes, secret: str) -> None:
    signed: Headers = platform.sign(body, secret)

    platform.verify(signed, body, ["another", secret])
    with pytest.raises(SignatureError):
        platform.verify(signed, body + b"0", ["another", secret])


def with_unknown_fields(value: Any) -> Any:
    if isinstance(value, dict):
        known = {key: with_unknown_fields(part) for key, part in value.items()}
        return {"a_new_field": {"amount": "1.00"}, **known, "another_one": [None, 1, "x"]}
    return [with_unknown_fields(part) for part in value] if isinstance(value, list) else value


@each(SIGNED)
def test_fields_that_nobody_knows_yet_change_nothing(
    sample: Delivery, shops: dict[str, Shop], now: datetime
) -> None:
    body = json.dumps(with_unknown_fields(json.loads(sample.body))).encode()

    assert decided(sample, shops[sample.shop], now, body) == decided(
        sample, shops[sample.shop], now
    )


@every_platform
def test_deliveries_of_one_order_are_about_the_same_event(
    platform: Platform, shops: dict[str, Shop], now: datetime
) -> None:
    """Whatever the topic, the state of the order and the time of arrival."""
    orders = defaultdict(list)
    for number, sample in enumerate(s for s in ACCEPTED if s.platform == platform.name):
        later = now + timedelta(hours=number)
        conversion = decided(sample, shops[sample.shop], later).conversion
        assert conversion is not None
        orders[sample.shop, conversion.order_id].append(
            (conversion.order_reference, conversion.event_time, conversion.click_id)
        )

    assert max(map(len, orders.values())) > 1
    assert [len(set(events)) for events in orders.values()] == [1] * len(orders)


def marked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: marked(part) for key, part in value.items()}
    if isinstance(value, list):
        return [marked(part) for part in value]
    return f"{MARKER} {value}" if isinstance(value, str) else value


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)
    elif isinstance(value, str):
        yield value


@each(ACCEPTED)
def test_nothing_personal_passes(sample: Delivery, shops: dict[str, Shop], now: datetime) -> None:
    """Every text that the order can spare is marked, whole branches first; none gets through."""
    order = json.loads(sample.body)
    branches: list[tuple[Any, Any]] = [(order, key) for key in order]
    while branches:
        holder, key = branches.pop()
        before = holder[key]
        holder[key] = marked(before)
        decision = decided(sample, shops[sample.shop], now, json.dumps(order).encode())

        assert MARKER not in str(decision)
        if facts(decision) == sample.expected["conversion"]:
            continue
        holder[key] = before
        if isinstance(before, dict):
            branches += [(before, part) for part in before]
        elif isinstance(before, list):
            branches += [(before, part) for part in range(len(before))]

    spared = [text for text in strings(order) if not text.startswith(MARKER)]
    assert len(spared) < 40
    assert len(spared) < len(list(strings(order))) / 3
