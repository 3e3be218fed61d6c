"""No client sends more than its allowance in any hour, and nearly all of it while work waits."""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.sender.world import START, Clock, MemoryStore, Outside

from prisjakt_relay import rate_limit
from prisjakt_relay.errors import StorageError
from prisjakt_relay.ledger import CONTENTIONS, Condition
from prisjakt_relay.rate_limit import FIRST_PAUSE, HOUR, LONGEST_PAUSE, MEMORY, TARDINESS, RateLimit

MICROSECOND = timedelta(microseconds=1)
MILLISECOND = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
STEP = timedelta(microseconds=3_654_823)  # an hour of 985 requests
BURST = 8  # of an allowance of 1,000
LATEST = timedelta(seconds=10)  # after the grant, a request is at Prisjakt


@pytest.fixture
def outside() -> Outside:
    return Outside(Clock())


@pytest.fixture
def store(outside: Outside) -> MemoryStore:
    return MemoryStore(outside)


@pytest.fixture
def limit(store: MemoryStore) -> RateLimit:
    return RateLimit(store, 1000)


def exhaust(limit: RateLimit, now: datetime = START, shop: str = "alfa") -> datetime:
    """Take all that may go at once; returns the first place in line."""
    for _ in range(100_000):
        place = limit.reserve("client", shop, now)
        if place is not None:
            return place
    raise AssertionError("no limit")


# Requests, and places in line


def test_what_is_remembered_of_clients_is_bounded_and_nothing_depends_on_it(
    limit: RateLimit, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "REMEMBERED", 2)
    others = [f"client-{number}" for number in range(20)]
    place = exhaust(limit)
    for other in others:
        assert limit.reserve(other, "beta", START) is None

    assert len(limit._seen) <= 2
    assert limit.reserve("client", "alfa", START) == place + STEP
    assert len(store.items) == 1 + len(others)


def test_a_few_go_at_once_and_then_one_each_step(limit: RateLimit) -> None:
    granted = [limit.reserve("client", "alfa", START) is None for _ in range(BURST + 1)]
    assert granted == [True] * BURST + [False]

    now = START
    for _ in range(2000):
        now += STEP
        assert limit.reserve("client", "alfa", now - MICROSECOND, waited=True) is not None
        assert limit.reserve("client", "alfa", now, waited=True) is None


def test_what_was_not_used_can_be_used_up_to_the_first_few(limit: RateLimit) -> None:
    exhaust(limit)
    later = START + DAY

    granted = [limit.reserve("client", "alfa", later) is None for _ in range(BURST + 1)]

    assert granted == [True] * BURST + [False]


@pytest.mark.parametrize(
    ("allowance", "at_once"), [(1, 1), (10, 1), (1000, 8), (10_000, 80), (1_000_000, 8000)]
)
def test_of_any_allowance_a_small_share_goes_at_once(
    allowance: int, at_once: int, store: MemoryStore
) -> None:
    limit = RateLimit(store, allowance)

    granted = [limit.reserve("client", "alfa", START) is None for _ in range(at_once + 1)]

    assert granted == [True] * at_once + [False]


@pytest.mark.parametrize("allowance", [1, 10, 1000, 10_000, 1_000_000])
def test_of_any_allowance_the_rest_goes_in_even_steps(allowance: int, store: MemoryStore) -> None:
    limit = RateLimit(store, allowance)
    step = HOUR / (0.985 * allowance)

    first = exhaust(limit)
    second = limit.reserve("client", "alfa", START)

    assert second is not None
    early = TARDINESS if allowance < 250 else timedelta()  # where only one goes at once
    assert START + step <= first + early < START + step + 10_000 * MICROSECOND
    assert step <= second - first <= step + MICROSECOND
    assert limit.reserve("client", "alfa", first, waited=True) is None
    assert limit.reserve("client", "alfa", first, waited=True) is not None


def test_who_is_refused_gets_a_place_one_step_after_the_one_before(limit: RateLimit) -> None:
    places = [exhaust(limit)]
    places += [_refused(limit) for _ in range(1000)]

    assert places[0] == START + STEP
    assert {later - earlier for earlier, later in pairwise(places)} == {STEP}


def _refused(limit: RateLimit, now: datetime = START, shop: str = "alfa") -> datetime:
    place = limit.reserve("client", shop, now)
    assert place is not None
    return place


def test_who_comes_back_in_turn_is_let_through(limit: RateLimit) -> None:
    places = [exhaust(limit), *(_refused(limit) for _ in range(1000))]

    assert all(limit.reserve("client", "alfa", place, waited=True) is None for place in places)


def test_who_comes_new_goes_behind_the_line_while_who_waited_goes_on(limit: RateLimit) -> None:
    places = [exhaust(limit), _refused(limit), _refused(limit)]

    assert _refused(limit, places[0]) == places[-1] + STEP
    assert limit.reserve("client", "alfa", places[0], waited=True) is None


def test_the_line_is_over_one_step_after_its_last_place(limit: RateLimit) -> None:
    last = exhaust(limit)
    much_is_free = last + STEP - MICROSECOND

    assert limit.reserve("client", "alfa", much_is_free) == last + STEP
    assert limit.reserve("client", "alfa", last + 2 * STEP) is None


def test_who_comes_back_too_late_or_too_early_gets_another_place(limit: RateLimit) -> None:
    place = exhaust(limit)
    early = limit.reserve("client", "alfa", place - MICROSECOND, waited=True)

    assert early == place + STEP
    assert limit.reserve("client", "alfa", place + DAY, waited=True) is None


def test_each_shop_of_a_client_has_a_line_of_its_own(limit: RateLimit) -> None:
    exhaust(limit)
    for _ in range(1000):
        _refused(limit)

    assert _refused(limit, shop="beta") == START + STEP
    assert limit.reserve("client", "beta", START + STEP, waited=True) is None
    assert limit.reserve("client", "beta", START + 4 * STEP) is None  # a free slot, and no line


def test_another_client_does_not_notice(limit: RateLimit) -> None:
    exhaust(limit)

    granted = [limit.reserve("another", "alfa", START) is None for _ in range(BURST + 1)]

    assert granted == [True] * BURST + [False]


def test_scale_shortens_the_hour(store: MemoryStore) -> None:
    limit = RateLimit(store, 1000, scale=0.01)
    first, second = exhaust(limit), _refused(limit)

    assert second - first == timedelta(microseconds=math.ceil(36_000_000 / 985))
    assert first - START == second - first


def test_the_item_is_kept_for_two_days_after_its_last_use(
    limit: RateLimit, store: MemoryStore
) -> None:
    def expiry() -> timedelta:
        return timedelta(seconds=store.items["rate#client"]["expires_at"] - START.timestamp())

    limit.reserve("client", "alfa", START)
    assert expiry() == 2 * DAY
    exhaust(limit, START + SECOND)
    assert expiry() == 2 * DAY + SECOND
    _refused(limit, START + 2 * SECOND)
    assert expiry() == 2 * DAY + 2 * SECOND
    limit.pause("client", 600.0, START)
    assert expiry() == 2 * DAY + 10 * MINUTE


# Reads and writes


def test_the_first_request_is_one_write(limit: RateLimit, outside: Outside) -> None:
    limit.reserve("client", "alfa", START)

    assert outside.calls == ["update"]


def test_a_request_while_others_go_is_one_write_and_no_read(
    limit: RateLimit, outside: Outside
) -> None:
    for _ in range(BURST):
        outside.calls.clear()
        assert limit.reserve("client", "alfa", START) is None
        assert outside.calls == ["update"]


def test_a_sender_that_knows_nothing_needs_two_writes(
    limit: RateLimit, store: MemoryStore, outside: Outside
) -> None:
    limit.reserve("client", "alfa", START)
    outside.calls.clear()

    assert RateLimit(store, 1000).reserve("client", "alfa", START) is None
    assert outside.calls == ["update", "update"]


def test_a_request_after_a_quiet_time_is_one_write(limit: RateLimit, outside: Outside) -> None:
    limit.reserve("client", "alfa", START)
    outside.calls.clear()

    assert limit.reserve("client", "alfa", START + DAY) is None
    assert outside.calls == ["update"]


def test_a_refusal_is_two_writes_once_there_is_a_line(limit: RateLimit, outside: Outside) -> None:
    exhaust(limit)
    outside.calls.clear()

    _refused(limit)

    assert outside.calls == ["update", "update"]


# Several senders at once


class Interleaved(MemoryStore):
    """Before each write, the next sender does all that it has to do."""

    def __init__(self) -> None:
        super().__init__()
        self.next: list[Callable[[], None]] = []

    def update(
        self,
        item_key: str,
        values: Mapping[str, str | int],
        *,
        add: Mapping[str, int],
        only_if: Sequence[Condition],
    ) -> tuple[bool, Mapping[str, Any]]:
        if self.next:
            self.next.pop()()
        return super().update(item_key, values, add=add, only_if=only_if)


@pytest.mark.parametrize("rounds", [1, 3, 8])
@pytest.mark.parametrize("allowance", [1, 250, 500, 1000])
def test_eight_senders_between_each_others_writes_share_what_there_is(
    allowance: int, rounds: int
) -> None:
    store = Interleaved()
    senders = [RateLimit(store, allowance) for _ in range(8)]
    answers: list[datetime | None] = []

    def ask(sender: RateLimit) -> None:
        answers.append(sender.reserve("client", "alfa", START))

    store.next = [lambda sender=sender: ask(sender) for sender in senders * rounds]  # type: ignore[misc]
    while store.next:
        store.next.pop()()

    places = [place for place in answers if place is not None]
    assert len(answers) == 8 * rounds
    assert answers.count(None) == min(max(1, allowance * 8 // 1000), 8 * rounds)
    assert len(set(places)) == len(places)
    assert all(place > START for place in places)


class Refusing(MemoryStore):
    """Somebody else is always faster: writes with such a condition never succeed."""

    def __init__(self, attribute: str, comparisons: str = "< <= >=") -> None:
        super().__init__()
        self.refused = 0
        self._never = [(attribute, comparison) for comparison in comparisons.split()]

    def update(
        self,
        item_key: str,
        values: Mapping[str, str | int],
        *,
        add: Mapping[str, int],
        only_if: Sequence[Condition],
    ) -> tuple[bool, Mapping[str, Any]]:
        if any((name, comparison) in self._never for name, comparison, _ in only_if):
            self.refused += 1
            return False, self.items.get(item_key, {})
        return super().update(item_key, values, add=add, only_if=only_if)


def test_a_request_that_is_never_written_is_an_error_of_the_table() -> None:
    store = Refusing("tat")

    with pytest.raises(StorageError, match="contended"):
        RateLimit(store, 1000).reserve("client", "alfa", START)

    assert store.refused == CONTENTIONS


def test_a_place_that_is_never_written_is_an_error_of_the_table() -> None:
    store = Refusing("line#alfa", "< >=")
    limit = RateLimit(store, 1)
    assert limit.reserve("client", "alfa", START) is None

    with pytest.raises(StorageError, match="contended"):
        limit.reserve("client", "alfa", START)

    assert store.refused == 2 * CONTENTIONS


def test_a_pause_that_is_never_written_is_an_error_of_the_table() -> None:
    store = Refusing("paused_until")

    with pytest.raises(StorageError, match="contended"):
        RateLimit(store, 1000).pause("client", 60.0, START)

    assert store.refused == CONTENTIONS


# Pauses


def test_a_pause_is_as_long_as_prisjakt_asks(limit: RateLimit) -> None:
    end = limit.pause("client", 600.0, START)

    assert end == START + 10 * MINUTE
    assert limit.reserve("client", "alfa", START) == end
    assert limit.reserve("client", "beta", end - MICROSECOND, waited=True) == end
    assert limit.reserve("client", "alfa", end, waited=True) is None


@pytest.mark.parametrize("allowance", [1, 10, 1000, 10_000, 1_000_000])
def test_after_a_pause_requests_go_in_even_steps(allowance: int, store: MemoryStore) -> None:
    """The hour before it was too much for Prisjakt: nothing goes at once then."""
    limit = RateLimit(store, allowance)
    limit.reserve("client", "alfa", START)
    end = limit.pause("client", 60.0, START)
    step = timedelta(microseconds=math.ceil(3_600_000_000 / (0.985 * allowance)))

    for number in range(50):
        turn = max(end, START + step - TARDINESS) + number * step
        assert limit.reserve("client", "alfa", turn - MICROSECOND, waited=True) is not None
        assert limit.reserve("client", "alfa", turn, waited=True) is None


def test_places_given_during_a_pause_begin_at_its_end(limit: RateLimit) -> None:
    end = limit.pause("client", 600.0, START)

    places = [_refused(limit, START + number * SECOND) for number in range(100)]

    assert places == [end + number * STEP for number in range(100)]


def test_who_was_in_line_when_a_pause_began_waits_too(limit: RateLimit) -> None:
    places = [exhaust(limit), *(_refused(limit) for _ in range(99))]
    end = limit.pause("client", 600.0, START)

    later = [limit.reserve("client", "alfa", place, waited=True) for place in places]

    assert min(place for place in later if place is not None) == end
    assert None not in later
    assert len(set(later)) == len(later)


def test_a_pause_is_one_clients_only(limit: RateLimit) -> None:
    limit.pause("client", 600.0, START)

    assert limit.reserve("another", "alfa", START) is None


def test_a_pause_holds_for_every_sender(store: MemoryStore) -> None:
    senders = [RateLimit(store, 1000) for _ in range(8)]
    assert [one.reserve("client", "alfa", START) for one in senders] == [None] * BURST

    end = senders[0].pause("client", 600.0, START)

    for one in senders:
        place = one.reserve("client", "alfa", end - MICROSECOND, waited=True)
        assert place is not None
        assert place >= end


def test_without_a_hint_pauses_double_from_a_minute_to_an_hour(limit: RateLimit) -> None:
    now, lengths = START, []
    for _ in range(20):
        end = limit.pause("client", None, now)
        lengths.append(end - now)
        now = end

    assert (timedelta(seconds=60), timedelta(hours=1)) == (FIRST_PAUSE, LONGEST_PAUSE)
    assert lengths[:7] == [minutes * MINUTE for minutes in (1, 2, 4, 8, 16, 32, 60)]
    assert set(lengths[7:]) == {LONGEST_PAUSE}


def test_a_pause_that_was_asked_for_counts_towards_the_next(limit: RateLimit) -> None:
    end = limit.pause("client", 5.0, START)

    assert limit.pause("client", None, end) == end + 2 * MINUTE


@pytest.mark.parametrize(
    ("quiet", "minutes"), [(MEMORY - MICROSECOND, 2), (MEMORY, 1), (10 * MEMORY, 1)]
)
def test_two_quiet_hours_are_a_new_beginning(
    quiet: timedelta, minutes: int, limit: RateLimit
) -> None:
    now = limit.pause("client", None, START) + quiet

    assert timedelta(hours=2) == MEMORY
    assert limit.pause("client", None, now) == now + minutes * MINUTE


def test_requests_in_between_do_not_end_the_memory(limit: RateLimit) -> None:
    end = limit.pause("client", None, START)
    assert limit.reserve("client", "alfa", end) is None

    assert limit.pause("client", None, end + SECOND) == end + SECOND + 2 * MINUTE


def test_answers_to_requests_that_were_under_way_do_not_double_a_pause(limit: RateLimit) -> None:
    """Ten senders that hear of the same limit in the same seconds are one refusal."""
    for number in range(10):
        end = limit.pause("client", None, START + number * SECOND)
        assert end == START + number * SECOND + FIRST_PAUSE

    assert limit.pause("client", None, end) == end + 2 * FIRST_PAUSE


def test_a_pause_is_never_made_shorter(limit: RateLimit) -> None:
    end = limit.pause("client", 600.0, START)

    assert limit.pause("client", None, START) == end
    assert limit.pause("client", 5.0, START) == end
    assert limit.pause("client", 0.0, START) == end
    assert limit.reserve("client", "alfa", end - MICROSECOND) == end
    assert limit.pause("client", 900.0, START) == START + 15 * MINUTE


def test_a_pause_takes_back_nothing_that_was_used(limit: RateLimit) -> None:
    place = exhaust(limit)

    assert limit.pause("client", 0.001, START) == START + MILLISECOND

    assert limit.reserve("client", "alfa", place - MICROSECOND, waited=True) is not None
    assert limit.reserve("client", "alfa", place, waited=True) is None


def test_only_pauses_of_our_own_choice_are_scaled(store: MemoryStore) -> None:
    limit = RateLimit(store, 1000, scale=0.01)

    assert limit.pause("ours", None, START) == START + timedelta(seconds=0.6)
    assert limit.pause("theirs", 600.0, START) == START + 10 * MINUTE


@pytest.mark.parametrize(("theirs", "ours"), [(600.0, 60.0), (60.0, 600.0)])
def test_of_two_pauses_at_once_the_longer_one_counts(theirs: float, ours: float) -> None:
    store = Interleaved()
    another = RateLimit(store, 1000)
    store.next = [lambda: void(another.pause("client", theirs, START))]
    limit = RateLimit(store, 1000)

    assert limit.pause("client", ours, START) == START + 10 * MINUTE
    assert limit.reserve("client", "alfa", START) == START + 10 * MINUTE


def test_two_first_refusals_at_once_are_one(limit: RateLimit) -> None:
    store = Interleaved()
    another, limit = RateLimit(store, 1000), RateLimit(store, 1000)
    store.next = [lambda: void(another.pause("client", None, START))]

    assert limit.pause("client", None, START + SECOND) == START + SECOND + FIRST_PAUSE


def test_a_request_between_a_pauses_read_and_write_counts(store: MemoryStore) -> None:
    store = Interleaved()
    another, limit = RateLimit(store, 10), RateLimit(store, 10)
    store.next = [lambda: void(another.reserve("client", "alfa", START))]

    end = limit.pause("client", 1.0, START)

    assert end == START + SECOND
    assert limit.reserve("client", "alfa", end, waited=True) is not None


def void(_: object) -> None:
    """What a callback answers is of no interest."""


# In any hour


@dataclass(frozen=True)
class Flood:
    """Some time after the one before: so many hours' worth of requests, at so many times the
    even pace, of who has waited or who has not."""

    quiet: float
    hours: float
    pace: float
    waited: bool


floods = st.builds(
    Flood,
    quiet=st.floats(0, 4000),
    hours=st.floats(0, 1.3),
    pace=st.sampled_from([0.5, 1.0, 1.01, 1.5, 3.0, 1e9]) | st.floats(0.1, 10),
    waited=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(allowance=st.integers(1, 300) | st.integers(1, 5000), pattern=st.lists(floods, max_size=3))
@example(allowance=5000, pattern=[Flood(0, 0.1, 1e9, True), Flood(0, 2.5, 1.1, True)])
@example(allowance=1000, pattern=[Flood(0, 0.1, 1e9, True), Flood(0, 2.5, 1.1, True)])
@example(allowance=125, pattern=[Flood(0, 1, 1e9, False), Flood(30, 3, 7.3, True)])
@example(allowance=2, pattern=[Flood(0, 5, 1e9, False), Flood(1, 100, 11.7, True)])
@example(allowance=1, pattern=[Flood(0, 5, 1e9, False), Flood(1, 100, 11.7, True)])
def test_no_hour_ever_has_more_than_the_allowance(allowance: int, pattern: list[Flood]) -> None:
    """A request that is under way for a while may move into the next hour."""
    store = MemoryStore()
    senders = [RateLimit(store, allowance) for _ in range(3)]
    granted: list[datetime] = []
    now = START
    for flood in pattern:
        now += timedelta(seconds=flood.quiet)
        for number in range(1 + int(flood.hours * allowance)):
            sender = senders[number % 3]
            if sender.reserve("client", "alfa", now, waited=flood.waited) is None:
                granted.append(now)
            now += HOUR / (flood.pace * allowance)

    after = granted[allowance:]
    assert all(late - early > HOUR + LATEST for early, late in zip(granted, after, strict=False))


# Tens of thousands in line


@dataclass(frozen=True)
class Arrival:
    """An order, and when it is received in seconds since `START`."""

    when: float
    client: str = "client"
    shop: str = "alfa"


@dataclass
class Line:
    """Eight senders and a queue on a virtual clock.

    An order that is refused comes back at its place, as exactly as the queue can say it; if that
    is further off than the queue can hide a message, it looks at its place in between. A sender
    gathers up to `batch` orders for `window` seconds; those of a shop share a request.
    """

    arrivals: Sequence[Arrival]
    batch: int = 1
    window: float = 0.0
    through: list[float] = field(default_factory=list)
    requests: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    HIDDEN: ClassVar = 11 * 3600.0
    LOOK: ClassVar = 0.02
    JITTER: ClassVar = 3.0

    def run(self, allowance: int) -> None:
        """Until all orders are through."""
        store = MemoryStore()
        senders = [(0.0, n, RateLimit(store, allowance)) for n in range(8)]
        chance = random.Random(allowance)  # noqa: S311
        places: list[float | None] = [None] * len(self.arrivals)
        self.through = [math.inf] * len(self.arrivals)
        queue = [(one.when, number) for number, one in enumerate(self.arrivals)]
        heapq.heapify(queue)
        while queue:
            free, n, limit = senders[0]
            now, numbers = self._received(queue, max(queue[0][0], free))
            heapq.heapreplace(senders, (now + self.LOOK, n, limit))
            together: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
            for number in numbers:
                if (places[number] or 0.0) <= now:
                    one = self.arrivals[number]
                    together[one.client, one.shop].append(number)
            for (client, shop), some in together.items():
                waited = any(places[number] is not None for number in some)
                turn = limit.reserve(client, shop, moment(now), waited=waited)
                if turn is None:
                    self.requests[client].append(now)
                for number in some:
                    self.through[number] = now if turn is None else math.inf
                    places[number] = None if turn is None else (turn - START).total_seconds()
            for number in numbers:
                if (place := places[number]) is not None:
                    wait = math.ceil(place - now) + self.JITTER * chance.random()
                    if wait > self.HIDDEN:  # as the sender does: not all at once
                        wait = self.HIDDEN * (1 + chance.random()) / 2
                    heapq.heappush(queue, (now + wait, number))

    def _received(self, queue: list[tuple[float, int]], now: float) -> tuple[float, list[int]]:
        last = now
        numbers: list[int] = []
        while queue and len(numbers) < self.batch and queue[0][0] <= now + self.window:
            due, number = heapq.heappop(queue)
            numbers.append(number)
            last = max(now, due)
        return (last if len(numbers) == self.batch else now + self.window), numbers

    def slowest(self, client: str, shop: str) -> float:
        """Seconds from arrival to request."""
        times = zip(self.through, self.arrivals, strict=True)
        return max(t - one.when for t, one in times if (one.client, one.shop) == (client, shop))


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def fewest_and_most(moments: Sequence[float]) -> tuple[int, int]:
    """In any hour between the first request and the last."""
    ends = [bisect_right(moments, one + 3600.0) for one in moments]
    full = [(first, end) for first, end in enumerate(ends) if end < len(moments)]
    # The fewest are in an hour that begins just after a request.
    return min(end - first - 1 for first, end in full), max(end - first for first, end in full)


@pytest.fixture(scope="module")
def flooded() -> Line:
    """60,000 orders of one shop at once, and for two days every now and then one of others."""
    others = [
        Arrival(2917.3 * number, client, shop)
        for number in range(1, 61)
        for client, shop in (("client", "beta"), ("another", "gamma"))
    ]
    line = Line([Arrival(0.0)] * 60_000 + others)
    line.run(1000)
    return line


def test_of_60000_orders_in_line_every_hour_takes_what_is_allowed(flooded: Line) -> None:
    fewest, most = fewest_and_most(flooded.requests["client"])

    assert len(flooded.requests["client"]) == 60_060
    assert fewest >= 980
    assert most <= 1000


def test_another_shop_does_not_wait_behind_60000_orders(flooded: Line) -> None:
    assert flooded.slowest("client", "beta") < 60


def test_another_client_does_not_wait_at_all(flooded: Line) -> None:
    assert flooded.slowest("another", "gamma") < 1


def test_60000_orders_in_full_batches_are_through_within_an_hour() -> None:
    line = Line([Arrival(0.0)] * 60_000, batch=100, window=5.0)
    line.run(1000)

    assert max(line.through) < 3600
    assert len(line.requests["client"]) <= 1000
