"""Hostile inputs in bulk, and bugs that they have to find."""

from __future__ import annotations

import json
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.security import bugs, fuzzing, hostile
from tests.security.fuzzing import PLAIN_SIGNATURES, accepts, hmac_by_hand, signed

from prisjakt_relay.conversion import Conversion
from prisjakt_relay.errors import MessageError
from prisjakt_relay.platforms import PLATFORMS

INPUTS = 100_000
SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # good for every platform
AROUND = fuzzing.Surroundings()
ALL = pytest.mark.parametrize("platform", list(PLATFORMS))


def test_a_hundred_thousand_hostile_inputs_break_no_promise() -> None:
    """`make fuzz` goes on to a million."""
    outcomes: Counter[str] = Counter()

    for each in fuzzing.sums(0, range(INPUTS)):
        assert each.found is None
        outcomes += each.outcomes

    assert outcomes.total() == INPUTS
    # The inputs are hostile, but not hopeless: every way through the functions is taken.
    assert set(outcomes) >= {
        "verify taken",
        "verify refused",
        "answer queued",
        "answer unreadable",
        "answer no_click_id",
        "answer invalid_click_id",
        "answer amount_out_of_range",
        "handler 200",
        "handler 401",
        "handler 404",
        "message read",
        "message refused",
    }


@pytest.mark.parametrize("bug", bugs.BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    """A fuzzer that finds nothing proves little."""
    found = [each.found for each in fuzzing.sums(0, range(40_000), bug) if each.found]

    assert len(found) == 1
    assert fuzzing.one(0, found[0].number), "without the bug the same input breaks nothing"


def test_the_same_number_is_the_same_input() -> None:
    """So that what was found can be looked at."""
    one, again = (hostile.mutated(b'{"id": 1, "name": "x"}', Random(7)) for _ in range(2))  # noqa: S311

    assert one == again


# Every bit of a signature and of what it signs


@ALL
def test_a_body_changed_in_any_bit_is_refused(platform: str) -> None:
    body = b'{"id":4711,"total":"99.00","currency":"SEK"}'
    headers = signed(PLATFORMS[platform], body, SECRET)
    assert accepts(PLATFORMS[platform], headers, body, (SECRET,))

    for bit in range(len(body) * 8):
        changed = bytearray(body)
        changed[bit // 8] ^= 1 << bit % 8
        assert not accepts(PLATFORMS[platform], headers, bytes(changed), (SECRET,)), bit


@ALL
def test_a_signature_changed_in_any_bit_is_refused(platform: str) -> None:
    """Also in the bits that base64 does not need: there is one right signature, not four."""
    body = b'{"id":4711}'
    headers = signed(PLATFORMS[platform], body, SECRET)

    for name, value in headers.items():
        for bit in range(len(value) * 8):
            changed = bytearray(value.encode())
            changed[bit // 8] ^= 1 << bit % 8
            forged = {**headers, name: changed.decode("latin-1")}
            assert not accepts(PLATFORMS[platform], forged, body, (SECRET,)), (name, bit)


@ALL
def test_a_signature_cut_short_or_made_longer_is_refused(platform: str) -> None:
    body = b'{"id":4711}'
    headers = signed(PLATFORMS[platform], body, SECRET)

    for name, value in headers.items():
        for other in (*(value[:end] for end in range(len(value))), value + "=", value + "A"):
            forged = {**headers, name: other}
            assert not accepts(PLATFORMS[platform], forged, body, (SECRET,)), (name, other)


@pytest.mark.parametrize("platform", PLAIN_SIGNATURES)
@given(body=st.binary(max_size=300), secret=st.text(min_size=1, max_size=200))
def test_signatures_are_hmac_sha256_and_nothing_else(
    platform: str, body: bytes, secret: str
) -> None:
    """Worked out a second time, from RFC 2104."""
    assert signed(PLATFORMS[platform], body, secret) == {
        PLAIN_SIGNATURES[platform]: hmac_by_hand(body, secret)
    }


@pytest.mark.parametrize("platform", PLAIN_SIGNATURES)
@given(header=st.text(max_size=100), body=st.binary(max_size=100))
def test_no_text_is_taken_for_a_signature(platform: str, header: str, body: bytes) -> None:
    taken = accepts(PLATFORMS[platform], {PLAIN_SIGNATURES[platform]: header}, body, (SECRET,))

    assert taken == (header.strip() == hmac_by_hand(body, SECRET))


# Queue messages


@settings(max_examples=300)
@given(random=st.randoms(use_true_random=False))
def test_a_message_is_valid_or_refused(random: Random) -> None:
    text = random.choice(AROUND.messages)
    try:
        conversion = Conversion.from_message(hostile.message(text, random))
    except MessageError:
        return
    fuzzing.check_conversion(conversion)


@pytest.mark.parametrize("field", ["platform", "shop", "order_id", "order_reference"])
@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\udc00\ud800"])
def test_half_a_character_in_a_message_is_refused_by_name(field: str, text: str) -> None:
    """The table would refuse it, again and again: the message would never be settled."""
    message = json.loads(_conversion_message()) | {field: text}

    with pytest.raises(MessageError) as refused:
        Conversion.from_message(json.dumps(message))

    assert refused.value.field == field


def _conversion_message() -> str:
    return next(each for each in AROUND.messages if '"click_id"' in each)
