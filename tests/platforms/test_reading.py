"""Single values of an order: read as what they are, or refused by the field's name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prisjakt_relay.conversion import CURRENCIES
from prisjakt_relay.errors import UnreadableError
from prisjakt_relay.platforms import reading
from prisjakt_relay.shop import CurrencyChoice

CLICK = "239cd31f-9d43-4cb4-b8dc-2057fe18c289_1b05fa7f1c34d125"

Reader = Callable[[dict[str, Any], str], Any]


class Absent:
    """Stands for a member that is not there; its name is the same in every process."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()

MOST = Decimal(10) ** 12


def order(value: object) -> dict[str, Any]:
    return {} if value is ABSENT else {"field": value}


GOOD: list[tuple[Reader, object, object]] = [
    (reading.identifier, 1, "1"),
    (reading.identifier, 820982911946154508, "820982911946154508"),
    (reading.identifier, "6204817342681", "6204817342681"),
    (reading.identifier, 10**40 - 1, "9" * 40),
    (reading.text, ABSENT, ""),
    (reading.text, None, ""),
    (reading.text, "", ""),
    (reading.text, "#1001 é 🛒", "#1001 é 🛒"),
    (reading.text, 1001, "1001"),
    (reading.text, -7, "-7"),
    (reading.flag, ABSENT, False),
    (reading.flag, None, False),
    (reading.flag, False, False),
    (reading.flag, True, True),
    (reading.decimal, "1666.30", Decimal("1666.30")),
    (reading.decimal, "-399.00", Decimal("-399.00")),
    (reading.decimal, "+5", Decimal(5)),
    (reading.decimal, "007.50", Decimal("7.50")),
    (reading.decimal, 902, Decimal(902)),
    (reading.decimal, Decimal("14.950000000000001"), Decimal("14.950000000000")),
    (reading.decimal, Decimal("1e-1000000"), Decimal(0)),
    (reading.decimal, "0." + "1" * 100_000, Decimal("0.111111111111")),
    (reading.decimal, "1" + "0" * 100_000, MOST),
    (reading.decimal, -(10**4000), -MOST),
    (reading.decimal, Decimal("1e400"), MOST),
    (reading.decimal, Decimal("-1e1000000"), -MOST),
    (reading.decimal, Decimal("1e999999999999999999"), MOST),
    (reading.rows, ABSENT, []),
    (reading.rows, None, []),
    (reading.rows, [], []),
    (reading.rows, [{}, {"id": 1}], [{}, {"id": 1}]),
    (reading.currency, "SEK", "SEK"),
    (reading.currency, "XYZ", "XYZ"),
    (reading.instant, "2026-11-21T00:12:31+01:00", datetime(2026, 11, 20, 23, 12, 31, tzinfo=UTC)),
    (reading.instant, "2026-11-20T23:12:31Z", datetime(2026, 11, 20, 23, 12, 31, tzinfo=UTC)),
    (
        reading.instant,
        "2026-11-20T23:12:31.987654321Z",
        datetime(2026, 11, 20, 23, 12, 31, 987654, tzinfo=UTC),
    ),
]

BAD: list[tuple[Reader, list[object]]] = [
    (
        reading.identifier,
        [ABSENT, None, 0, -1, 10**40, "", "0", "-1", "9" * 41, "1a", "٣", " 1", "1\n", True, []],
    ),
    (reading.text, [True, 1.5, Decimal("1.5"), [], {}, 10**40, "half \ud83d of a character"]),
    (reading.flag, ["true", "", 0, 1, [], {}]),
    (
        reading.decimal,
        [
            *(ABSENT, None, "", " ", "1,50", "1e5", ".5", "5.", "NaN", "Infinity", "0x1", "٣"),
            *("1 000.00", "--1", "1_000", "1.00\n", True, False, [], {}, 1.5),
            *(Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity")),
        ],
    ),
    (reading.rows, ["", "x", 1, {}, {"0": {}}, [None], [[]], ["x"], [{}, 1]]),
    (reading.currency, [ABSENT, None, "", "sek", "SE", "SEKK", "ÅÄÖ", " SEK", "SEK\n", 752, []]),
    (
        reading.instant,
        [
            *(ABSENT, None, "", "now", "2026-11-20T23:12:31", "2026-11-20", "2026-02-30T00:00:00Z"),
            *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", 1795216351, 1.5, True),
            *([], {}),
        ],
    ),
]


@pytest.mark.parametrize(
    ("read", "value", "expected"), GOOD, ids=lambda v: getattr(v, "__name__", repr(v)[:40])
)
def test_a_value_is_read_as_what_it_is(read: Reader, value: object, expected: object) -> None:
    assert read(order(value), "field") == expected


@pytest.mark.parametrize(
    ("read", "value"),
    [(read, value) for read, values in BAD for value in values],
    ids=lambda v: getattr(v, "__name__", repr(v)[:40]),
)
def test_any_other_value_is_refused_by_the_fields_name(read: Reader, value: object) -> None:
    with pytest.raises(UnreadableError, match=r"^field: is [a-z0 -]+$") as caught:
        read(order(value), "field")

    assert caught.value.field == "field"


def test_an_amount_inside_a_row_is_named_with_its_path() -> None:
    with pytest.raises(UnreadableError, match=r"^line_items\[\]\.price: is "):
        reading.decimal({}, "price", "line_items[].")


@settings(deadline=None)
@given(
    amount=st.decimals(-999_999_999, 999_999_999, places=2, allow_nan=False, allow_infinity=False)
)
def test_an_amount_is_the_same_as_text_and_as_a_number(amount: Decimal) -> None:
    assert reading.decimal({"a": format(amount, "f")}, "a") == amount
    assert reading.decimal({"a": amount}, "a") == amount


@settings(deadline=None)
@given(text=st.from_regex(r"[+-]?[0-9]{1,60}(\.[0-9]{1,60})?", fullmatch=True))
def test_whatever_is_read_is_small_enough_to_reckon_with(text: str) -> None:
    """Twelve digits before the point and twelve after it: sums stay exact, nothing overflows."""
    amount = reading.decimal({"a": text}, "a")

    assert abs(amount) <= MOST
    assert abs(amount - max(min(Decimal(text), MOST), -MOST)) <= Decimal("1e-12")


@settings(deadline=None)
@given(
    moment=st.datetimes(
        min_value=datetime(1, 1, 2),  # noqa: DTZ001  # the offset is drawn apart
        max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    ),
    minutes=st.integers(-23 * 60, 23 * 60),
)
def test_a_time_with_any_offset_is_the_right_moment_in_utc(moment: datetime, minutes: int) -> None:
    offset = timedelta(minutes=minutes)
    text = moment.replace(tzinfo=timezone(offset)).isoformat()

    read = reading.instant({"a": text}, "a")

    assert read.tzinfo is UTC
    assert read.replace(tzinfo=None) == moment - offset


@settings(deadline=None)
@given(
    moment=st.datetimes(
        min_value=datetime(1, 1, 2),  # noqa: DTZ001  # naive on purpose
        max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    )
)
def test_a_time_without_offset_is_utc_only_where_the_platform_means_it(moment: datetime) -> None:
    row = {"a": moment.isoformat()}

    assert reading.instant(row, "a", naive_is_utc=True) == moment.replace(tzinfo=UTC)
    with pytest.raises(UnreadableError):
        reading.instant(row, "a")


@pytest.mark.parametrize(
    ("quantities", "count"),
    [
        ([], 0),
        (["0"], 0),
        (["-0"], 0),
        (["1", "2"], 3),
        (["1.5"], 2),
        (["1.5", "1.5"], 3),
        (["0.2", "0.2"], 1),
        (["0.000000000001"], 1),
        (["999999999"], 999_999_999),
    ],
)
def test_a_broken_number_of_items_is_counted_up(quantities: list[str], count: int) -> None:
    assert reading.items(map(Decimal, quantities), "quantity") == count


@pytest.mark.parametrize(
    ("quantities", "problem"),
    [
        (["-1"], "is negative"),
        (["5", "-1"], "is negative"),
        (["1000000000"], "is too large"),
        (["999999999", "0.1"], "is too large"),
        (["1000000000000"] * 3, "is too large"),
    ],
)
def test_an_impossible_number_of_items_is_refused(quantities: list[str], problem: str) -> None:
    with pytest.raises(UnreadableError, match=rf"^quantity: {problem}$"):
        reading.items(map(Decimal, quantities), "quantity")


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [
        ("902", "902"),
        ("902.5", "902.5"),
        ("902.50", "902.50"),
        ("0.004", "0.00"),
        ("0.005", "0.01"),
        ("1.005", "1.01"),
        ("1.0149999", "1.01"),
        ("-0.005", "-0.01"),
        ("999999999999.999", "1000000000000.00"),
    ],
)
def test_an_amount_is_rounded_half_up_to_cents(amount: str, rounded: str) -> None:
    assert str(reading.cents(Decimal(amount))) == rounded


@pytest.mark.parametrize(
    ("amount", "part", "whole", "expected"),
    [
        ("100", "50", "100", "50"),
        ("100", "1", "3", "33.33"),
        ("100", "2", "3", "66.67"),
        ("0.05", "1", "2", "0.03"),
        ("10.10", "7", "7", "10.10"),
        ("10.10", "0", "7", "0"),
        ("10.10", "7", "0", "10.10"),
        ("0", "0", "0", "0"),
        ("10", "-1", "4", "-2.5"),
    ],
)
def test_a_share_is_in_proportion_and_all_where_there_is_no_whole(
    amount: str, part: str, whole: str, expected: str
) -> None:
    assert reading.share(Decimal(amount), Decimal(part), Decimal(whole)) == Decimal(expected)


extreme = st.decimals(-(10**12), 10**12, places=12, allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(amount=extreme, part=extreme, whole=extreme)
def test_no_share_is_too_much_to_reckon(amount: Decimal, part: Decimal, whole: Decimal) -> None:
    assert reading.share(amount, part, whole).is_finite()


def test_the_largest_share_is_still_a_number() -> None:
    assert reading.share(Decimal(10) ** 25, MOST, Decimal("1e-12")) > 10**40


@pytest.mark.parametrize(
    ("choice", "shop", "presentment", "taken"),
    [
        ("shop", "SEK", "SEK", "shop"),
        ("shop", "SEK", "EUR", "shop"),
        ("shop", "SEK", "USD", "shop"),
        ("shop", "USD", "EUR", "presentment"),
        ("shop", "USD", "CHF", "shop"),
        ("presentment", "SEK", "SEK", "presentment"),
        ("presentment", "SEK", "EUR", "presentment"),
        ("presentment", "SEK", "USD", "shop"),
        ("presentment", "USD", "EUR", "presentment"),
        ("presentment", "USD", "CHF", "presentment"),
    ],
)
def test_the_chosen_currency_is_taken_unless_only_the_other_is_prisjakts(
    choice: str, shop: str, presentment: str, taken: str
) -> None:
    takes = reading.takes_presentment(CurrencyChoice(choice), shop, presentment)

    assert takes == (taken == "presentment")


def test_prisjakt_takes_six_currencies() -> None:
    assert {"DKK", "EUR", "GBP", "NOK", "NZD", "SEK"} == CURRENCIES


@pytest.mark.parametrize(
    ("address", "found"),
    [
        (f"/?pjclid={CLICK}", [CLICK]),
        (f"https://shop.example/lamp?utm_source=x&pjclid={CLICK}#top", [CLICK]),
        (f"/?pjclid=first&a=b&pjclid={CLICK}", ["first", CLICK]),
        (f"/?pjclid=%22{CLICK}%22", [f'"{CLICK}"']),
        ("/?pjclid=a%20b+c", ["a b c"]),
        ("/?pjclid=", []),
        ("/?pjclid", []),
        ("/?PJCLID=x", []),
        ("/?xpjclid=x", []),
        (f"/#pjclid={CLICK}", []),
        ("/pjclid/x", []),
        ("/", []),
        ("", []),
        (f"https://[/?pjclid={CLICK}", []),
        ("/?" + "a=b&" * 200 + f"pjclid={CLICK}", []),
        ("/?pjclid=\ud800", ["\ud800"]),
        (None, []),
        (7, []),
        ([f"/?pjclid={CLICK}"], []),
        ({"pjclid": CLICK}, []),
    ],
    ids=lambda v: repr(v)[:40],
)
def test_click_ids_are_taken_from_the_query_of_an_address(
    address: object, found: list[str]
) -> None:
    assert reading.click_ids_in_address(address) == found


@settings(deadline=None)
@given(address=st.text(st.characters()))
def test_no_address_is_an_error(address: str) -> None:
    assert isinstance(reading.click_ids_in_address(f"{address}?pjclid={address}"), list)
