"""Intervals longer than Prisjakt answers at once: cut into parts, whose summaries are added up."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar
from zoneinfo import ZoneInfo

from prisjakt_relay.prisjakt.models import CurrencyTotal, DayTotal, PurchaseSummary

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_INTERVAL: Final = timedelta(days=60)
DAYS_OF: Final = "Europe/Stockholm"  # where the summary's days begin and end

K = TypeVar("K")


def interval(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """In UTC, and widened to whole milliseconds, the finest that Prisjakt's samples show."""
    for name, moment in (("start", start), ("end", end)):
        if moment.utcoffset() is None:
            raise ValueError(f"{name}: expected a time with a time zone")
    if end < start:
        raise ValueError("end: expected a time that is not before the start")
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    start -= timedelta(microseconds=start.microsecond % 1000)
    end += timedelta(microseconds=-end.microsecond % 1000)
    return start, end


def parts(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Newest first. Neighbours share a moment, since nobody says whether ends are included."""
    while end - start > LONGEST_INTERVAL:
        yield end - LONGEST_INTERVAL, end
        end -= LONGEST_INTERVAL
    yield start, end


def whole_days(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """As `parts`, cut where a day begins in Stockholm."""
    while end - start > LONGEST_INTERVAL:
        day = (end - LONGEST_INTERVAL).astimezone(stockholm()).date() + timedelta(days=1)
        seam = datetime.combine(day, time(), stockholm()).astimezone(UTC)
        yield seam, end
        end = seam
    yield start, end


def stockholm() -> ZoneInfo:
    return ZoneInfo(DAYS_OF)  # not at import: reporting needs no zones, nor a system that has them


def bounds(start: datetime, end: datetime) -> dict[str, str]:
    return {"from": _moment(start), "to": _moment(end)}


def _moment(moment: datetime) -> str:
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).removesuffix("+00:00") + "Z"


class Totals:
    """Summaries of neighbouring parts, added up."""

    def __init__(self) -> None:
        self._first_day = date.max
        self._days: dict[tuple[date, str, str], tuple[int, Decimal]] = {}
        self._sums: dict[str, tuple[int, Decimal]] = {}

    def add(self, part: PurchaseSummary, start: datetime) -> None:
        """Add the next older part, which begins at `start`.

        The day that begins where it ends is left to the newer part, which has the whole of it: it
        is here too if Prisjakt counts what happens at the very end of an interval.
        """
        for total in part.summaries:
            self._add(self._sums, total.currency, total, 1)
        for row in part.per_day:
            if row.time_zone == DAYS_OF and row.date >= self._first_day:
                self._add(self._sums, row.currency, row, -1)
            else:
                self._add(self._days, (row.date, row.currency, row.time_zone), row, 1)
        self._first_day = start.astimezone(stockholm()).date()

    @staticmethod
    def _add(totals: dict[K, tuple[int, Decimal]], key: K, more: CurrencyTotal, sign: int) -> None:
        number, amount = totals.get(key, (0, Decimal(0)))
        totals[key] = (
            number + sign * more.number_of_events,
            amount + sign * more.total_amount,
        )

    def summary(self) -> PurchaseSummary:
        """Everything that was added, by date and currency."""
        return PurchaseSummary(
            per_day=tuple(
                DayTotal(
                    date=day,
                    currency=currency,
                    time_zone=zone,
                    number_of_events=number,
                    total_amount=amount,
                )
                for (day, currency, zone), (number, amount) in sorted(self._days.items())
            ),
            summaries=tuple(
                CurrencyTotal(currency=currency, number_of_events=number, total_amount=amount)
                for currency, (number, amount) in sorted(self._sums.items())
            ),
        )
