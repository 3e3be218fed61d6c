"""The queue message: what it holds, what is read back, and what is refused by its field's name."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prisjakt_relay.conversion import (
    CURRENCIES,
    VERSION,
    Conversion,
    is_click_id,
    is_test_click_id,
    utc_text,
)
from prisjakt_relay.errors import MessageError
from prisjakt_relay.local import project

UUID = "239cd31f-9d43-4cb4-b8dc-2057fe18c289"
SIGNED = f"{UUID}_1b05fa7f1c34d125"

CONVERSION = Conversion(
    platform="shopify",
    shop="demo",
    order_id="6204817342681",
    order_reference="SE-1001",
    event_name="purchase",
    event_time=datetime(2026, 11, 20, 23, 12, 31, tzinfo=UTC),
    amount=Decimal("1666.30"),
    currency="SEK",
    number_of_items=3,
    click_id=SIGNED,
    void=False,
    revision=1795216353000,
    received_at=datetime(2026, 11, 20, 23, 12, 34, 567000, tzinfo=UTC),
)
MESSAGE = {
    "version": 1,
    "platform": "shopify",
    "shop": "demo",
    "order_id": "6204817342681",
    "order_reference": "SE-1001",
    "event_name": "purchase",
    "event_time": "2026-11-20T23:12:31Z",
    "amount": "1666.30",
    "currency": "SEK",
    "number_of_items": 3,
    "click_id": SIGNED,
    "void": False,
    "revision": 1795216353000,
    "received_at": "2026-11-20T23:12:34.567+00:00",
}

QUEUED = sorted((project.root() / "events" / "queue").glob("conversion-*.json"))

zones = st.builds(
    timezone, st.builds(timedelta, minutes=st.integers(min_value=-23 * 60, max_value=23 * 60))
)
moments = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001  # the zone is drawn apart
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=zones,
)
uuids = st.from_regex(
    r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-4[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}",
    fullmatch=True,
)
signed_click_ids = st.builds(
    "{}_{}".format, uuids, st.from_regex(r"[0-9A-Za-z]{16}", fullmatch=True)
)
names = st.text(min_size=1, max_size=255)
conversions = st.builds(
    Conversion,
    platform=names,
    shop=names,
    order_id=names,
    order_reference=st.text(min_size=1, max_size=100),
    event_name=st.sampled_from(["purchase", "test-purchase"]),
    event_time=moments.map(lambda moment: moment.replace(microsecond=0)),
    amount=st.sampled_from([0, 1, 2]).flatmap(
        lambda places: st.decimals(0, 999_999_999, places=places, allow_nan=False)
    ),
    currency=st.sampled_from(sorted(CURRENCIES)),
    number_of_items=st.integers(0, 999_999_999),
    click_id=signed_click_ids | uuids,
    void=st.booleans(),
    revision=st.integers(0, 2**53 - 1),
    received_at=moments.map(
        lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    ),
)


def message(**changes: Any) -> str:
    return json.dumps(MESSAGE | changes)


def test_a_message_has_exactly_the_documented_fields() -> None:
    assert json.loads(CONVERSION.to_message()) == MESSAGE


def test_a_message_of_this_version_is_read() -> None:
    assert Conversion.from_message(message()) == CONVERSION


@settings(deadline=None)
@given(conversion=conversions)
def test_what_was_written_is_read_back(conversion: Conversion) -> None:
    assert Conversion.from_message(conversion.to_message()) == conversion


def test_times_are_read_as_utc() -> None:
    read = Conversion.from_message(message(event_time="2026-11-21T00:12:31+01:00"))

    assert read.event_time == CONVERSION.event_time
    assert read.event_time.tzinfo is UTC


def test_a_large_amount_is_written_in_full() -> None:
    """An exponent would be valid JSON text and an amount that nobody reads."""
    written = replace(CONVERSION, amount=Decimal("9E+8")).to_message()

    assert json.loads(written)["amount"] == "900000000"


def test_fields_of_a_newer_version_are_left_alone() -> None:
    newer = message(version=2, coupon="NEW", lines=[{"sku": "1"}])

    assert Conversion.from_message(newer) == CONVERSION


@pytest.mark.parametrize("path", QUEUED, ids=lambda path: path.stem)
def test_every_message_ever_queued_stays_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    read = Conversion.from_message(text)

    assert json.loads(read.to_message()).keys() >= json.loads(text).keys()


def test_a_message_of_every_version_is_kept() -> None:
    versions = {json.loads(path.read_text(encoding="utf-8"))["version"] for path in QUEUED}

    assert versions == set(range(1, VERSION + 1))


@pytest.mark.parametrize("field", MESSAGE)
def test_a_missing_field_is_named(field: str) -> None:
    rest = {name: value for name, value in MESSAGE.items() if name != field}

    with pytest.raises(MessageError, match=rf"queue message: {field} is missing") as caught:
        Conversion.from_message(json.dumps(rest))

    assert caught.value.field == field


MALFORMED: dict[str, list[Any]] = {
    "version": [0, -1, 1.0, "1", True],
    "platform": ["", "x" * 256, 7],
    "shop": ["", "x" * 256, ["demo"]],
    "order_id": ["", "9" * 256, 6204817342681],
    "order_reference": ["", "x" * 101, 1001],
    "event_name": ["", "Purchase", "refund", ["purchase"]],
    "event_time": [
        "",
        "yesterday",
        "2026-11-20T23:12:31",
        "2026-13-20T23:12:31Z",
        "0001-01-01T00:00:00+14:00",
        1795216351,
    ],
    "amount": ["", "-1.00", "1.005", "1e3", "1,50", ".5", "5.", "1000000000", "NaN", "٣", 12.5],
    "currency": ["", "sek", "USD", ["SEK"], {"SEK": 1}],
    "number_of_items": [-1, 1_000_000_000, 1.5, "3", True],
    "click_id": ["", UUID[:-1], f"{SIGNED}0", f" {SIGNED}", 7],
    "void": [0, 1, "false"],
    "revision": [-1, 2**53, 1.5, "1", False],
    "received_at": ["", "2026-11-20", "2026-11-20T23:12:34.567", 0],
}


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in MALFORMED.items() for value in [*values, None, {}, []]],
)
def test_a_malformed_field_is_named(field: str, value: object) -> None:
    with pytest.raises(MessageError) as caught:
        Conversion.from_message(message(**{field: value}))

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, "x" * 255) for name in ("platform", "shop", "order_id")),
        ("order_reference", "x" * 100),
        ("amount", "999999999"),
        ("number_of_items", 999_999_999),
        ("number_of_items", 0),
        ("revision", 2**53 - 1),
        ("revision", 0),
    ],
)
def test_a_field_may_go_to_its_limit(field: str, value: object) -> None:
    written = json.loads(Conversion.from_message(message(**{field: value})).to_message())

    assert written[field] == value


def test_every_field_has_malformed_examples() -> None:
    assert list(MALFORMED) == list(MESSAGE)


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "null", "[]", '"text"', "7", "[" * 100_000, '{"a":' * 100_000, "\ud800"],
    ids=lambda text: text[:5],
)
def test_what_is_no_json_object_is_named_body(text: str) -> None:
    with pytest.raises(MessageError) as caught:
        Conversion.from_message(text)

    assert caught.value.field == "body"


@settings(deadline=None)
@given(text=st.text(st.characters()))
def test_rubbish_is_a_message_error_and_nothing_else(text: str) -> None:
    with pytest.raises(MessageError):
        Conversion.from_message(text)


@settings(deadline=None)
@given(click_id=signed_click_ids)
def test_a_v4_uuid_with_sixteen_letters_or_digits_is_a_click_id(click_id: str) -> None:
    assert is_click_id(click_id)
    assert not is_test_click_id(click_id)


@settings(deadline=None)
@given(value=st.uuids())
def test_a_bare_uuid_of_any_version_is_a_click_id_of_a_test(value: object) -> None:
    for text in (str(value), str(value).upper()):
        assert is_click_id(text)
        assert is_test_click_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        UUID.replace("-", ""),
        UUID[:-1],
        f"{{{UUID}}}",
        f"{UUID}_",
        f"{UUID}_1b05fa7f1c34d12",
        f"{UUID}_1b05fa7f1c34d1250",
        f"{UUID}-1b05fa7f1c34d125",
        f"{UUID}_1b05fa7f1c34d12!",
        f"{UUID}_1b05fa7f1c34d12å",
        f"{SIGNED}\n",
        f"{UUID}\n",
        f" {SIGNED}",
        "239cd31f-9d43-1cb4-b8dc-2057fe18c289_1b05fa7f1c34d125",
        "239cd31f-9d43-4cb4-c8dc-2057fe18c289_1b05fa7f1c34d125",
        "239cd31f-9d43-4cb4-b8dc-2057fe18c28٣_1b05fa7f1c34d125",
    ],
)
def test_anything_else_is_no_click_id(text: str) -> None:
    assert not is_click_id(text)


@settings(deadline=None)
@given(moment=moments)
def test_a_moment_is_written_in_utc_with_whole_seconds(moment: datetime) -> None:
    text = utc_text(moment)

    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == moment.astimezone(UTC).replace(microsecond=0)
