"""After a 429 nobody sends for that client, over all senders, until the pause is over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from tests.sender.world import START, MemoryStore

from prisjakt_relay.errors import StorageError
from prisjakt_relay.ledger import CONTENTIONS
from prisjakt_relay.pauses import FIRST, LONGEST, MEMORY, Pauses

MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def pauses(store: MemoryStore) -> Pauses:
    return Pauses(store)


def test_a_client_is_in_no_pause_until_one_starts(pauses: Pauses) -> None:
    assert pauses.until("client", START) is None


def test_a_pause_is_as_long_as_prisjakt_asks(pauses: Pauses) -> None:
    end = pauses.start("client", 600.0, START)

    assert end == START + timedelta(minutes=10)
    assert pauses.until("client", START) == end
    assert pauses.until("client", end - MILLISECOND) == end
    assert pauses.until("client", end) is None


def test_a_pause_is_one_clients_only(pauses: Pauses) -> None:
    pauses.start("client", 600.0, START)

    assert pauses.until("another", START) is None


def test_a_pause_holds_for_every_sender(store: MemoryStore) -> None:
    end = Pauses(store).start("client", 600.0, START)

    assert Pauses(store).until("client", START) == end


def test_without_a_hint_pauses_double_from_a_minute_to_an_hour(pauses: Pauses) -> None:
    now, lengths = START, []
    for _ in range(20):
        end = pauses.start("client", None, now)
        lengths.append(end - now)
        now = end

    assert (timedelta(seconds=60), timedelta(hours=1)) == (FIRST, LONGEST)
    assert lengths[:7] == [timedelta(minutes=minutes) for minutes in (1, 2, 4, 8, 16, 32, 60)]
    assert set(lengths[7:]) == {LONGEST}


@pytest.mark.parametrize(
    ("quiet", "minutes"), [(MEMORY - MILLISECOND, 2), (MEMORY, 1), (10 * MEMORY, 1)]
)
def test_two_quiet_hours_are_a_new_beginning(
    quiet: timedelta, minutes: int, pauses: Pauses
) -> None:
    now = pauses.start("client", None, START) + quiet

    assert pauses.start("client", None, now) == now + timedelta(minutes=minutes)


def test_answers_to_requests_that_were_under_way_do_not_double_a_pause(pauses: Pauses) -> None:
    """Ten senders that hear of the same limit in the same second are one refusal."""
    for _ in range(10):
        end = pauses.start("client", None, START)
        assert end == START + FIRST

    assert pauses.start("client", None, end) == end + 2 * FIRST


def test_a_pause_is_never_made_shorter(pauses: Pauses) -> None:
    end = pauses.start("client", 600.0, START)

    assert pauses.start("client", None, START) == end
    assert pauses.start("client", 5.0, START) == end
    assert pauses.until("client", START) == end
    assert pauses.start("client", 900.0, START) == START + timedelta(minutes=15)


def test_only_waits_of_our_own_choice_are_scaled(store: MemoryStore) -> None:
    pauses = Pauses(store, scale=0.01)

    assert pauses.start("ours", None, START) == START + timedelta(seconds=0.6)
    assert pauses.start("theirs", 600.0, START) == START + timedelta(minutes=10)


def test_the_item_ends_when_the_pause_is_forgotten(store: MemoryStore, pauses: Pauses) -> None:
    first = pauses.start("client", 600.0, START)
    pauses.start("client", 600.0, first)

    (item,) = store.items.values()
    forgotten = first + timedelta(minutes=10) + MEMORY
    assert item == {
        "id": "pause#client",
        "version": 2,
        "until": "2026-11-21T00:20:00.000+00:00",
        "strikes": 2,
        "expires_at": int(forgotten.timestamp()) + 1,
    }


class Contended(MemoryStore):
    """Another sender writes between our read and our write, so many times."""

    def __init__(self, races: int, seconds: float) -> None:
        super().__init__()
        self.races = races
        self.seconds = seconds

    def put(self, item: Mapping[str, Any], *, previous: int | None) -> bool:
        if self.races:
            self.races -= 1
            end = (START + timedelta(seconds=self.seconds)).isoformat()
            super().put({**item, "until": end}, previous=previous)
            return False
        return super().put(item, previous=previous)


@pytest.mark.parametrize(("theirs", "ours"), [(600.0, 60.0), (60.0, 600.0)])
def test_of_two_pauses_at_once_the_longer_one_counts(theirs: float, ours: float) -> None:
    pauses = Pauses(Contended(1, theirs))

    assert pauses.start("client", ours, START) == START + timedelta(minutes=10)
    assert pauses.until("client", START) == START + timedelta(minutes=10)


def test_a_pause_that_never_gets_written_is_an_error_of_the_table() -> None:
    with pytest.raises(StorageError, match="contended"):
        Pauses(Contended(CONTENTIONS, 60.0)).start("client", 60.0, START)
