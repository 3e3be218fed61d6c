"""The list of shops and how far each is: kept in the ledger's table, whoever else writes there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from tests.sender.world import START, MemoryStore

from prisjakt_relay.errors import StorageError
from prisjakt_relay.ledger import CONTENTIONS
from prisjakt_relay.reconciler.progress import FIRST_LOOK, Progress, ProgressBook

DAY = timedelta(days=1)
FULL = Progress(
    cursor=START,
    reach=START + timedelta(minutes=1),
    last_order_at=START - timedelta(minutes=1),
    last_click_at=START - timedelta(days=1, milliseconds=1),
    ran_at=START + timedelta(minutes=2),
    problem="the shop's server does not answer",
    has_webhooks=True,
)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def book(store: MemoryStore) -> ProgressBook:
    return ProgressBook(store)


class Contended(MemoryStore):
    """Somebody else writes right after each of the first `times` reads."""

    def __init__(self, other: Callable[[MemoryStore], object], times: int) -> None:
        super().__init__()
        self._other = other
        self._times = times

    def get(self, item_key: str) -> Mapping[str, Any] | None:
        item = super().get(item_key)
        if self._times > 0:
            self._times -= 1
            quiet = MemoryStore()
            quiet.items = self.items
            self._other(quiet)
        return item


def flicker(quiet: MemoryStore) -> None:
    """Put a shop on the list, or take it off if it is there."""
    book = ProgressBook(quiet)
    assert book.add("beta", START) or book.remove("beta")


# The list


def test_at_first_no_shop_is_on_the_list(book: ProgressBook) -> None:
    assert book.shops() == ()


def test_shops_are_put_on_the_list_and_taken_off_it(book: ProgressBook) -> None:
    assert book.add("beta", START)
    assert book.add("alfa", START)
    assert book.shops() == ("alfa", "beta")

    assert book.remove("beta")
    assert book.shops() == ("alfa",)


def test_a_shop_that_is_put_on_the_list_again_begins_anew(book: ProgressBook) -> None:
    """While it was off the list nobody was to look: that is no gap, and tells of no silence."""
    book.add("alfa", START)
    book.put("alfa", FULL)

    book.remove("alfa")
    assert book.get("alfa") == FULL
    added = START + DAY
    book.add("alfa", added)
    assert book.get("alfa") == Progress(
        cursor=added - FIRST_LOOK, last_order_at=added, last_click_at=added
    )


def test_a_shop_that_is_on_the_list_already_goes_on_where_it_was(book: ProgressBook) -> None:
    book.add("alfa", START)
    book.put("alfa", FULL)

    book.add("alfa", START)

    assert book.get("alfa") == FULL


@pytest.mark.parametrize("on", [True, False])
def test_what_is_so_already_is_not_written(
    on: bool, book: ProgressBook, store: MemoryStore
) -> None:
    book.add("alfa", START)
    before = dict(store.items)

    assert not (book.add("alfa", START + DAY) if on else book.remove("beta"))
    assert store.items == before


def test_to_take_a_shop_off_a_list_that_nobody_has_begun_changes_nothing(
    book: ProgressBook, store: MemoryStore
) -> None:
    assert not book.remove("alfa")
    assert store.items == {}


def test_two_people_who_change_the_list_at_once_both_do() -> None:
    store = Contended(lambda quiet: ProgressBook(quiet).add("beta", START), times=1)

    assert ProgressBook(store).add("alfa", START)
    assert ProgressBook(store).shops() == ("alfa", "beta")


def test_a_list_that_never_comes_to_rest_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match=r"^reconciled-shops is contended$"):
        ProgressBook(Contended(flicker, times=CONTENTIONS)).add("alfa", START)


def test_one_change_fewer_and_it_is_written() -> None:
    assert ProgressBook(Contended(flicker, times=CONTENTIONS - 1)).add("alfa", START)


# Progress


def test_of_a_shop_that_was_never_reconciled_nothing_is_known(book: ProgressBook) -> None:
    assert book.get("alfa") == Progress()


def test_progress_comes_back_as_it_was_written(book: ProgressBook) -> None:
    book.put("alfa", FULL)

    assert book.get("alfa") == FULL
    assert all(getattr(FULL, field.name) for field in fields(Progress))
    assert book.get("beta") == Progress()


def test_what_is_not_known_any_more_is_gone(book: ProgressBook) -> None:
    book.put("alfa", FULL)
    book.put("alfa", Progress(cursor=START))

    assert book.get("alfa") == Progress(cursor=START)


def test_a_run_writes_over_what_another_wrote_meanwhile() -> None:
    """Cursors of two runs differ by little, and what lies between is looked at again."""
    store = Contended(
        lambda quiet: ProgressBook(quiet).put("alfa", Progress(problem="busy")), times=1
    )

    ProgressBook(store).put("alfa", FULL)

    assert ProgressBook(store).get("alfa") == FULL


def test_the_list_and_progress_do_not_meet(book: ProgressBook) -> None:
    book.add("alfa", START)
    book.put("alfa", FULL)
    book.add("beta", START)

    assert book.shops() == ("alfa", "beta")
    assert book.get("alfa") == FULL


def test_nothing_of_it_ever_expires(book: ProgressBook, store: MemoryStore) -> None:
    """The table forgets items that have `expires_at`."""
    book.add("alfa", START)
    book.put("alfa", FULL)

    assert len(store.items) == 2
    assert not any("expires_at" in item for item in store.items.values())
