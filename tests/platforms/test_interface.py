"""The signature that Shopify and WooCommerce share, and the order of payment states."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prisjakt_relay.errors import SignatureError
from prisjakt_relay.platforms.interface import PaymentState, hmac_sha256, verify_hmac

BODY = b'{"id":1}'


def test_the_signature_is_that_of_rfc_4231() -> None:
    """Its second test case, so that the relay is not only in agreement with itself."""
    expected = bytes.fromhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")

    signature = hmac_sha256(b"what do ya want for nothing?", "Jefe")

    assert signature == base64.b64encode(expected).decode()


def test_the_secret_is_signed_with_as_utf_8() -> None:
    assert hmac_sha256(BODY, "hemligå") == "+CbK2HA8h8PInvjgQDu5wgrY0u3C2diwSmMPJpk9bI4="


def test_space_around_a_signature_is_no_part_of_it() -> None:
    verify_hmac(f" {hmac_sha256(BODY, 'secret')}\t", BODY, ["secret"])

    with pytest.raises(SignatureError):
        verify_hmac(f" {hmac_sha256(BODY, 'other')}\t", BODY, ["secret"])


def test_without_secrets_no_signature_is_right() -> None:
    with pytest.raises(SignatureError):
        verify_hmac(hmac_sha256(BODY, ""), BODY, [])


def test_every_secret_is_compared_even_after_a_match() -> None:
    """Otherwise the time of the answer tells which of a shop's secrets is in use."""
    compared = []

    def secrets() -> Iterator[str]:
        for secret in ("first", "second", "third"):
            compared.append(secret)
            yield secret

    verify_hmac(hmac_sha256(BODY, "first"), BODY, secrets())

    assert compared == ["first", "second", "third"]


@settings(deadline=None)
@given(signature=st.none() | st.text(st.characters()))
def test_a_signature_of_any_characters_is_refused_as_such(signature: str | None) -> None:
    with pytest.raises(SignatureError):
        verify_hmac(signature, BODY, ["secret", "other"])


def test_a_payment_state_is_above_all_that_are_less_sure() -> None:
    assert sorted(PaymentState) == [
        PaymentState.VOID,
        PaymentState.DRAFT,
        PaymentState.PENDING,
        PaymentState.SECURED,
        PaymentState.PAID,
    ]
