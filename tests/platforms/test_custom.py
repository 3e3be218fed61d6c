"""Orders from a shop's own backend: the signature, the body, and the schema that describes it."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types

from prisjakt_relay.errors import ShopDocumentError, SignatureError, UnreadableError
from prisjakt_relay.intake import Decision, decide
from prisjakt_relay.local import deliveries, project
from prisjakt_relay.outcomes import Reason
from prisjakt_relay.platforms import custom, shop_from
from prisjakt_relay.platforms.interface import Headers, PaymentState
from prisjakt_relay.shop import AmountChoice, Shop

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SECRET = custom.new_secret(bytes(range(32)))
CLICK_ID = "7d0c9a52-3f16-4b8e-9a41-5c2f8e6b1d07_4f9b2c7e1a8d5063"
FULL: dict[str, Any] = json.loads(deliveries.load("custom", "made-purchase-paid").body)
SCHEMA: dict[str, Any] = json.loads((project.root() / "docs/custom.schema.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)

# The vector of the specification's own libraries.
VECTOR_SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_BODY = b'{"test": 2432232314}'
VECTOR_NOW = datetime.fromtimestamp(1614265330, UTC)
VECTOR = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def shop_of(**choices: Any) -> Shop:
    return shop_from(
        {
            "platform": "custom",
            "pixel_id": "c1d5b0a9-6e27-4f83-92ab-7d40e5f8136c",
            "signing_secrets": [SECRET],
            **choices,
        }
    )


def decided(document: Any, **choices: Any) -> Decision:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decide(custom.PLATFORM, "mine", shop_of(**choices), {}, body, NOW)


# The signature


@pytest.mark.parametrize("prefix", ["", "whsec_"])
def test_the_vector_of_the_specification_is_verified(prefix: str) -> None:
    custom.verify(VECTOR, VECTOR_BODY, [prefix + VECTOR_SECRET], VECTOR_NOW)


def test_there_is_no_landing_page_to_fall_back_on() -> None:
    assert custom.landing_page({"landing_page": "https://a.example/?pjclid=x"}) == []


def test_one_right_signature_among_others_is_enough() -> None:
    wrong = "Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
    right = VECTOR["webhook-signature"]
    several = VECTOR | {"webhook-signature": f"v1,{wrong} v1a,{wrong} v2,{wrong} {right}"}

    custom.verify(several, VECTOR_BODY, ["other", VECTOR_SECRET], VECTOR_NOW)


def test_a_right_signature_under_another_version_is_none() -> None:
    for version in ("v2", "v1a", "v10"):
        signature = VECTOR["webhook-signature"].replace("v1", version)
        with pytest.raises(SignatureError):
            custom.verify(
                VECTOR | {"webhook-signature": signature}, VECTOR_BODY, [VECTOR_SECRET], VECTOR_NOW
            )


@pytest.mark.parametrize("seconds", [-300, -299.5, 0, 299.5, 300])
def test_clocks_may_differ_by_five_minutes(seconds: float) -> None:
    signed = custom.sign(b"{}", SECRET, NOW)

    custom.verify(signed, b"{}", [SECRET], NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [-86_400, -301, -300.001, 300.001, 301, 86_400])
def test_beyond_that_a_right_signature_is_refused(seconds: float) -> None:
    """Else whoever has seen a delivery could repeat it for ever."""
    signed = custom.sign(b"{}", SECRET, NOW)

    with pytest.raises(SignatureError) as refused:
        custom.verify(signed, b"{}", [SECRET], NOW + timedelta(seconds=seconds))

    assert refused.value.problem == custom.TIMESTAMP


def test_of_a_forgery_nothing_is_said_of_its_time() -> None:
    signed = custom.sign(b"{}", SECRET, NOW)

    with pytest.raises(SignatureError) as refused:
        custom.verify(signed, b"{ }", [SECRET], NOW + timedelta(days=1))

    assert refused.value.problem is None


@pytest.mark.parametrize("header", VECTOR)
@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "a.b",
        "v1,",
        "v1",
        ",",
        "v1,=",
        "1614265330.0",
        "-1614265330",
        "+1614265330",
        " 1614265330",
        "1614265330 ",
        "16142653300",
        "٣",
        "99999999999999999999",
        "1e9",
        "\ud800",
        "\0",
        "x" * 100_000,
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=  v1,AA==",
        "v1,g0hM9SsE-OTPJTGt_tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ],
)
def test_whatever_a_header_holds_is_refused_as_a_wrong_signature(header: str, value: str) -> None:
    with pytest.raises(SignatureError):
        custom.verify(VECTOR | {header: value}, VECTOR_BODY, [VECTOR_SECRET], VECTOR_NOW)


@given(
    headers=st.dictionaries(st.sampled_from(sorted(VECTOR)), st.text()),
    body=st.binary(),
    secrets=st.lists(st.text() | st.just(SECRET), max_size=3),
)
def test_nothing_that_is_made_up_is_verified_or_crashes(
    headers: dict[str, str], body: bytes, secrets: list[str]
) -> None:
    with pytest.raises(SignatureError):
        custom.verify(headers, body, secrets, NOW)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "letters",
        "with blanks in it!!!",
        "ümläüte",
        "\ud800",
        base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        base64.b64encode(bytes(32)).decode().rstrip("="),
        "whsec_whsec_" + base64.b64encode(bytes(32)).decode(),
    ],
)
def test_a_secret_that_is_no_key_is_told_and_signs_nothing(secret: str) -> None:
    """With an empty key anybody could sign."""
    assert "24 random bytes" in str(custom.secret_problem(secret))
    with pytest.raises(ShopDocumentError, match=r"^signing_secrets: one cannot be used; use the"):
        custom.sign(b"{}", secret, NOW)
    forged = custom.sign(b"{}", SECRET, NOW)
    forged = {**forged, "webhook-signature": _signed_with(b"", forged)}
    with pytest.raises(SignatureError):
        custom.verify(forged, b"{}", [secret], NOW)
    custom.verify(custom.sign(b"{}", SECRET, NOW), b"{}", [secret, SECRET], NOW)


def _signed_with(key: bytes, headers: Headers) -> str:
    right = custom._signature(key, headers["webhook-id"], headers["webhook-timestamp"], b"{}")
    return f"v1,{right.decode()}"


def test_a_body_that_is_sent_again_has_the_same_id() -> None:
    first, second = (custom.sign(b"{}", SECRET, NOW + timedelta(hours=n)) for n in range(2))

    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-signature"] != second["webhook-signature"]
    assert custom.sign(b"{ }", SECRET, NOW)["webhook-id"] != first["webhook-id"]


# The body


@pytest.mark.parametrize(
    ("choice", "gross", "net"),
    [
        ("total", "1249.00", "849.00"),
        ("total_excl_tax", "999.20", "679.20"),
        ("goods", "1200.00", "815.69"),
        ("goods_excl_tax", "960.00", "652.55"),
    ],
)
def test_each_amount_is_net_of_what_was_given_back(choice: str, gross: str, net: str) -> None:
    order = custom.normalise(
        FULL | {"refunded": "400.00", "refunded_tax": "80.00"}, shop_of(amount=choice)
    )

    assert (order.gross, order.net) == (Decimal(gross), Decimal(net))


def test_the_tax_of_a_refund_is_in_proportion_where_it_is_not_given() -> None:
    order = custom.normalise(
        FULL | {"total": "1000", "total_tax": "200", "refunded": "250"},
        shop_of(amount="total_excl_tax"),
    )

    assert (order.gross, order.net) == (Decimal(800), Decimal(600))


@pytest.mark.parametrize(
    ("choice", "field"),
    [("total_excl_tax", "total_tax"), ("goods", "goods"), ("goods_excl_tax", "goods_tax")],
)
def test_an_amount_that_the_shop_asks_for_has_to_be_there(choice: str, field: str) -> None:
    """Nothing is made up: without the tax the whole total would be reported."""
    without = {name: FULL[name] for name in FULL if name != field}

    decision = decided(without, amount=choice)

    assert decision.reason is Reason.UNREADABLE
    assert str(decision.problem).startswith(f"{field}: ")
    assert decided(without, amount="total").conversion is not None


@pytest.mark.parametrize("state", list(PaymentState))
def test_each_state_is_read(state: PaymentState) -> None:
    assert custom.normalise(FULL | {"state": state.name.lower()}, shop_of()).state is state


@pytest.mark.parametrize("kind", [None, "order", "order.created", "order.payment.captured"])
def test_an_order_may_say_so(kind: str | None) -> None:
    assert decided(FULL | {"type": kind}).conversion is not None


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("ping", Reason.PING),
        ("orders", Reason.TOPIC),
        ("customer.created", Reason.TOPIC),
        ("", Reason.TOPIC),
        ("Order", Reason.TOPIC),
        (1, Reason.UNREADABLE),
        ([], Reason.UNREADABLE),
        (True, Reason.UNREADABLE),
    ],
)
def test_what_is_no_order_is_told_apart(kind: Any, reason: Reason) -> None:
    assert decided(FULL | {"type": kind}).reason is reason


def test_a_ping_is_answered_whatever_the_mode() -> None:
    for mode in ("live", "test", "off"):
        assert decided({"type": "ping"}, mode=mode).reason is Reason.PING


@pytest.mark.parametrize("given", ["SO-1", "0", "a.b_c:d-e", 7, "9" * 64, str(CLICK_ID)])
def test_an_id_is_a_number_or_a_short_word(given: object) -> None:
    decision = decided(FULL | {"id": given})

    assert decision.conversion is not None
    assert decision.conversion.order_id == decision.conversion.order_reference == str(given)


@pytest.mark.parametrize(
    "given",
    [None, "", 0, -1, 1.5, True, [], {}, "a" * 65, "a b", "a#b", "a/b", "x@y.example", "-a", "ä"],
)
def test_anything_else_is_no_id(given: object) -> None:
    """No address of anybody's, and nothing that would end a key of the table."""
    decision = decided(FULL | {"id": given})

    assert decision == Decision(reason=Reason.UNREADABLE, problem="id: is missing or not an id")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, Reason.NO_CLICK_ID),
        ("", Reason.NO_CLICK_ID),
        ("no id", Reason.INVALID_CLICK_ID),
        (5, Reason.INVALID_CLICK_ID),
        ([CLICK_ID], Reason.INVALID_CLICK_ID),
    ],
)
def test_without_a_click_id_nothing_is_reported(given: object, reason: Reason) -> None:
    assert decided(FULL | {"click_id": given}).reason is reason


def test_a_source_that_the_shop_excludes_is_ignored() -> None:
    assert decided(FULL | {"source": "pos"}).conversion is not None
    assert decided(FULL | {"source": "pos"}, excluded_sources=["pos"]).reason is Reason.SOURCE


def test_a_test_is_a_test() -> None:
    conversion = decided(FULL | {"test": True}).conversion

    assert conversion is not None
    assert conversion.event_name == "test-purchase"


def test_the_reference_may_be_the_customers_number() -> None:
    conversion = decided(FULL, order_reference="SE-{number}").conversion

    assert conversion is not None
    assert conversion.order_reference == "SE-100731"


# The schema

_moments = st.datetimes(
    min_value=datetime(2026, 9, 25),  # noqa: DTZ001  # hypothesis adds the offset
    max_value=datetime(2026, 11, 19),  # noqa: DTZ001
    timezones=st.integers(-12 * 60, 14 * 60).map(
        lambda minutes: timezone(timedelta(minutes=minutes))
    ),
).map(lambda moment: moment.isoformat().replace("+00:00", "Z"))
_amounts = st.from_regex(SCHEMA["$defs"]["amount"]["pattern"].replace("$", r"\Z"), fullmatch=True)
_texts = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=64)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "type": st.just("order") | st.from_regex(r"order\.[a-z.]{1,20}", fullmatch=True),
    "id": st.from_regex(r"[0-9A-Za-z][0-9A-Za-z._:-]{0,63}", fullmatch=True)
    | st.integers(1, 2**53 - 1),
    "number": _texts,
    "created_at": _moments,
    "updated_at": _moments,
    "state": st.sampled_from(SCHEMA["properties"]["state"]["enum"]),
    "test": st.booleans(),
    "currency": st.from_regex(r"[A-Z]{3}", fullmatch=True),
    "items": st.integers(0, 999_999_999),
    "click_id": st.just(CLICK_ID),
    "source": _texts,
    **dict.fromkeys(
        ["total", "total_tax", "goods", "goods_tax", "refunded", "refunded_tax"], _amounts
    ),
}
REQUIRED = SCHEMA["required"]
_orders = st.fixed_dictionaries(
    {name: _FIELDS[name] for name in REQUIRED},
    optional={name: _FIELDS[name] for name in _FIELDS if name not in REQUIRED},
)


def test_the_schema_is_one_and_describes_every_field_that_is_read() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == set(_FIELDS)
    assert set(FULL) <= set(_FIELDS)


@settings(deadline=None, max_examples=300)
@given(order=_orders)
def test_what_the_schema_accepts_is_read(order: dict[str, Any]) -> None:
    VALIDATOR.validate(order)

    decision = decided(order, report_when="placed")

    assert decision.order_id == str(order["id"])
    assert decision.reason is not Reason.UNREADABLE
    read = custom.normalise(order, shop_of())
    assert read.gross == Decimal(order["total"]).quantize(Decimal("0.01"), "ROUND_HALF_UP")
    assert read.number_of_items == order["items"]
    assert read.state.name.lower() == order["state"]
    assert read.created_at == datetime.fromisoformat(order["created_at"])


@settings(deadline=None)
@given(order=_orders, name=st.sampled_from(REQUIRED))
def test_without_a_required_field_an_order_is_unreadable_and_the_field_is_named(
    order: dict[str, Any], name: str
) -> None:
    del order[name]

    assert not VALIDATOR.is_valid(order)
    decision = decided(order, report_when="placed")
    assert decision.reason is Reason.UNREADABLE
    assert str(decision.problem).startswith(f"{name}: is missing")


WRONG: list[tuple[str, Any]] = [
    ("created_at", "2026-11-20T23:55:31"),
    ("created_at", "2026-11-20"),
    ("updated_at", 1795218931),
    ("updated_at", "yesterday"),
    ("state", "PAID"),
    ("state", "refunded"),
    ("state", 3),
    ("currency", "sek"),
    ("currency", "kr"),
    ("total", "1 249,00"),
    ("total", "1249,00"),
    ("total", "1e3"),
    ("total", None),
    ("total", True),
    ("items", -1),
    ("items", "many"),
    ("items", 1_000_000_000),
    ("items", None),
    ("test", "yes"),
    ("test", 1),
    ("source", ["web"]),
    ("number", {}),
    ("refunded", "a little"),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda value: repr(value)[:30])
def test_what_both_refuse_is_named(name: str, value: Any) -> None:
    wrong = FULL | {name: value}

    assert not VALIDATOR.is_valid(wrong)
    decision = decided(wrong)
    assert decision.reason is Reason.UNREADABLE
    assert str(decision.problem).startswith(f"{name}: ")
    assert repr(value) not in str(decision.problem)


@pytest.mark.parametrize(
    "sample", [s for s in deliveries.load_all() if s.platform == "custom"], ids=lambda s: s.name
)
def test_the_samples_are_as_the_schema_says(sample: deliveries.Delivery) -> None:
    is_order = sample.name not in ("made-ping", "made-other-topic")

    assert VALIDATOR.is_valid(json.loads(sample.body)) is is_order


@settings(deadline=None)
@given(
    document=st.dictionaries(
        st.sampled_from(sorted(_FIELDS)),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([{}]),
    )
)
def test_no_rubbish_crashes_anything(document: dict[str, Any]) -> None:
    for choice in AmountChoice:
        decided(FULL | document, amount=choice)
        decided(document, amount=choice)
    with suppress(UnreadableError):
        custom.normalise(FULL | document, shop_of())
