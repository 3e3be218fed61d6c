"""What every platform owes, shown with all of `events/`."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prisjakt_relay.errors import ShopDocumentError, SignatureError
from prisjakt_relay.intake import Decision, decide
from prisjakt_relay.local.deliveries import Delivery, load_all
from prisjakt_relay.platforms import PLATFORMS
from prisjakt_relay.platforms.interface import PING, Headers, Platform
from prisjakt_relay.shop import Shop

MARKER = "Zebra-Crossing"
NOW = datetime(2026, 11, 21, tzinfo=UTC)  # the samples' own

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


def secret_of(platform: Platform, text: str) -> str:
    """The text if the platform can sign with it, otherwise one that it makes of the text."""
    try:
        platform.sign(b"", text, NOW)
    except ShopDocumentError:
        return platform.new_secret(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return text


def signature_header(platform: Platform) -> str:
    """The one that another secret changes."""
    first, second = (platform.sign(b"", secret_of(platform, text), NOW) for text in ("a", "b"))
    (name,) = [name for name in first if first[name] != second[name]]
    return name


def verify(sample: Delivery, shop: Shop, **changed: Any) -> None:
    platform = PLATFORMS[sample.platform]
    headers = changed.get("headers", headers_of(sample))
    secrets = changed.get("secrets", shop.signing_secrets)
    platform.verify(headers, changed.get("body", sample.body), secrets, NOW)


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
    if decision.privacy is not None:
        answer = {"outcome": "accepted", "request": decision.privacy.name}
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
    platform, headers = PLATFORMS[sample.platform], headers_of(sample)
    if platform.is_ping(headers, sample.body):  # before the signature, so there must be none
        with pytest.raises(SignatureError):
            verify(sample, shops[sample.shop])
        return
    verify(sample, shops[sample.shop])
    assert platform.topic(headers, json.loads(sample.body)) == PING


@each(SIGNED)
def test_any_of_several_secrets_may_match(sample: Delivery, shops: dict[str, Shop]) -> None:
    for secret in shops[sample.shop].signing_secrets:
        platform = PLATFORMS[sample.platform]
        headers = {**headers_of(sample), **platform.sign(sample.body, secret, NOW)}
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
    secret, other = secret_of(platform, "secret"), secret_of(platform, "other")
    right = platform.sign(b"{}", secret, NOW)

    with pytest.raises(SignatureError):
        platform.verify({**right, header: spoil(right[header])}, b"{}", [secret, other], NOW)


@every_platform
def test_a_missing_signature_is_refused(platform: Platform) -> None:
    secret = secret_of(platform, "secret")
    right = platform.sign(b"{}", secret, NOW)

    platform.verify(right, b"{}", [secret], NOW)
    without = [{name: right[name] for name in right if name != missing} for missing in right]
    for headers in (*without, {}, {"authorization": "Basic c2VjcmV0"}):
        with pytest.raises(SignatureError):
            platform.verify(headers, b"{}", [secret], NOW)


@each(SIGNED)
def test_a_signature_by_another_key_is_refused(sample: Delivery, shops: dict[str, Shop]) -> None:
    platform = PLATFORMS[sample.platform]
    another = secret_of(platform, "another")
    headers = {**headers_of(sample), **platform.sign(sample.body, another, NOW)}

    with pytest.raises(SignatureError):
        verify(sample, shops[sample.shop], headers=headers)


@every_platform
@settings(deadline=None)
@given(body=st.binary(), secret=st.text(min_size=1))
def test_what_is_signed_is_verified(platform: Platform, body: bytes, secret: str) -> None:
    secrets = ["another", secret_of(platform, secret)]
    signed: Headers = platform.sign(body, secrets[1], NOW)

    platform.verify(signed, body, secrets, NOW)
    with pytest.raises(SignatureError):
        platform.verify(signed, body + b"0", secrets, NOW)


@every_platform
@settings(deadline=None)
@given(secret=st.text())
def test_a_secret_that_cannot_be_used_is_told_before_and_never_crashes_a_delivery(
    platform: Platform, secret: str
) -> None:
    """Whoever may write shop documents may write anything into them."""
    try:
        platform.sign(b"{}", secret, NOW)
    except ShopDocumentError:
        assert platform.secret_problem(secret)
    with pytest.raises(SignatureError):
        platform.verify({signature_header(platform): "v1,AA=="}, b"{}", [secret], NOW)


@every_platform
def test_a_made_secret_has_no_problem_and_is_another_for_other_bytes(platform: Platform) -> None:
    made = [platform.new_secret(bytes([number]) * 32) for number in range(3)]

    assert len(set(made)) == 3
    assert [platform.secret_problem(secret) for secret in made] == [None, None, None]


@every_platform
def test_what_doctor_sends_is_nobodys_topic(platform: Platform) -> None:
    document = {"id": 90_000_000_000_001, "type": "prisjakt-relay.doctor"}

    assert platform.topic(platform.probe, document) not in {PING, *platform.topics}


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
    assert len(spared) < max(13, len(list(strings(order))) / 3)  # a body may hold little else
