"""A run of the reconciler: what it finds, what it tells, and what interruptions cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
from tests.platform_api.api_double import ApiDouble
from tests.reconciler.world import ADDRESS, World, order
from tests.sender.world import CLICK_ID, CREDENTIALS, PIXELS, START, Killed, Line, Trouble

from prisjakt_relay.errors import (
    AwsError,
    PlatformAccessError,
    PlatformBusyError,
    PlatformRefusedError,
    StorageError,
)
from prisjakt_relay.local.prisjakt_model import Fault
from prisjakt_relay.platform_api.interface import Moment, Webhook
from prisjakt_relay.reconciler.hourly import (
    CUT_OFF,
    ENOUGH_TIME,
    LONGEST_GAP,
    MARGIN,
    NO_TIME,
    OVERDUE,
    OVERLAP,
)
from prisjakt_relay.reconciler.progress import FIRST_LOOK, Progress

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
UNTIL = START - MARGIN

TEST_CLICK = "239cd31f-9d43-4cb4-b8dc-2057fe18c289"


def told(lines: Iterable[Line], event: str) -> list[dict[str, Any]]:
    """The fields of each line of one kind."""
    return [line.fields for line in lines if line.event == event]


def events_of(lines: Iterable[Line], shop: str = "alfa") -> list[str]:
    return [line.event for line in lines if line.fields["shop"] == shop]


SOUND = ["order_silence", "click_silence", "reconciled"]


# What was missed


def test_an_order_that_never_arrived_is_reported_and_the_second_run_finds_nothing(
    world: World,
) -> None:
    world.sell("alfa", order("1001", START - HOUR))

    first = world.run()

    assert [each.order_id for each in world.queued] == ["1001"]
    assert told(first, "recovered") == [
        {
            "shop": "alfa",
            "platform": "shopify",
            "order_id": "1001",
            "outcome": "recovered",
            "standing": "missed",
            "void": False,
            "revision": (START - HOUR).timestamp() * 1000,
        }
    ]
    world.sender.run()
    assert len(world.sender.events("1001")) == 1

    world.clock.now = START + HOUR - MINUTE  # still within the overlap
    second = world.run()

    assert told(second, "recovered") == []
    assert len(world.queued) == 1
    assert len(world.sender.events("1001")) == 1


def test_what_arrived_is_not_queued_again(world: World) -> None:
    world.deliver("alfa", order("1001", START - HOUR))
    world.sell("alfa", order("1002", START - HOUR, click_id=None))

    lines = world.run()

    assert world.queued == []
    assert events_of(lines) == SOUND
    (summary,) = [one for one in told(lines, "reconciled") if one["shop"] == "alfa"]
    assert summary == {
        "shop": "alfa",
        "since": (START - FIRST_LOOK - OVERLAP).isoformat(),
        "until": UNTIL.isoformat(),
        "orders": 2,
        "recovered": 0,
        "mismatches": 0,
    }


def test_a_change_of_which_no_webhook_told_is_recovered(world: World) -> None:
    world.deliver("alfa", order("1001", START - HOUR))
    world.sell(
        "alfa",
        order("1001", START - HOUR)
        | {
            "updated_at": (START - 10 * MINUTE).isoformat(),
            "financial_status": "voided",
            "cancelled_at": (START - 10 * MINUTE).isoformat(),
        },
    )

    lines = world.run()

    (found,) = told(lines, "recovered")
    assert (found["standing"], found["void"]) == ("outdated", True)
    world.sender.run()
    (event,) = world.sender.events("1001")
    assert event.amount == 0


def test_an_order_that_was_only_touched_is_made_known_without_a_word(world: World) -> None:
    """Nothing was lost, and yet an older delivery that is late must not count as the newest."""
    world.deliver("alfa", order("1001", START - HOUR))
    touched = START - 10 * MINUTE
    world.sell("alfa", order("1001", START - HOUR) | {"updated_at": touched.isoformat()})

    first = world.run()
    world.sender.run()
    world.clock.now = START + HOUR - 20 * MINUTE  # the order is still within the overlap
    second = world.run()

    assert (events_of(first), events_of(second)) == (SOUND, SOUND)
    assert [each.revision for each in world.queued] == [touched.timestamp() * 1000]
    assert world.sender.record().wanted.revision == touched.timestamp() * 1000
    assert world.sender.outcomes() == ["reported", "duplicate"]


def test_an_order_of_the_last_two_minutes_is_left_to_its_webhook(world: World) -> None:
    world.sell("alfa", order("1001", UNTIL), order("1002", UNTIL - SECOND))

    world.run()

    assert [each.order_id for each in world.queued] == ["1002"]


def test_the_margin_shrinks_with_the_local_systems_time(world: World) -> None:
    world.sell("alfa", order("1001", START - 4 * SECOND))

    world.run(scale=0.01)

    assert [each.order_id for each in world.queued] == ["1001"]


def test_an_order_that_cannot_be_read_is_told_with_its_field(world: World) -> None:
    """It carries a click id, and would otherwise be lost without a word."""
    world.sell("alfa", order("1001", START - HOUR, total_price="much", current_total_price="much"))

    lines = world.run()

    (line,) = told(lines, "unreadable")
    assert (line["shop"], line["platform"], line["order_id"]) == ("alfa", "shopify", "1001")
    assert "price" in line["problem"]
    assert events_of(lines)[1:] == SOUND


# How far


@pytest.mark.parametrize("late", [timedelta(0), HOUR])
def test_the_first_run_looks_at_two_days(world: World, late: timedelta) -> None:
    """Without a word of a gap, though it comes up to an hour after the shop is put on the list."""
    world.clock.now += late
    lines = world.run()

    first = world.apis["alfa"].asked[0]
    assert first == (START - FIRST_LOOK - OVERLAP, UNTIL + late, Moment.UPDATED)
    assert told(lines, "reconcile_gap") == []


def test_the_first_run_writes_how_far_it_came(world: World) -> None:
    world.run()

    assert world.progress() == Progress(
        cursor=UNTIL,
        reach=UNTIL,
        last_order_at=START,
        last_click_at=START,
        ran_at=START,
        has_webhooks=True,
    )


def test_the_next_run_begins_an_hour_before_the_end_of_the_last(world: World) -> None:
    world.run()
    world.clock.now += HOUR

    world.run()

    assert world.apis["alfa"].asked[1][:2] == (UNTIL - OVERLAP, UNTIL + HOUR)
    assert world.progress().cursor == UNTIL + HOUR


def test_a_cursor_of_the_future_does_no_harm(world: World) -> None:
    """A clock that was wrong for a while."""
    world.book.put("alfa", Progress(cursor=START + DAY))

    world.run()

    assert world.apis["alfa"].asked[0][:2] == (UNTIL - OVERLAP, UNTIL)


@pytest.mark.parametrize("late", [LONGEST_GAP - OVERLAP + MINUTE, LONGEST_GAP])
def test_up_to_two_days_are_made_up_for(world: World, late: timedelta) -> None:
    world.book.put("alfa", Progress(cursor=UNTIL - late))

    lines = world.run()

    assert world.apis["alfa"].asked[0][:2] == (UNTIL - LONGEST_GAP, UNTIL)
    assert events_of(lines) == ["reconciled"]


def test_a_longer_gap_is_told_and_what_follows_it_is_looked_at(world: World) -> None:
    cursor = UNTIL - LONGEST_GAP - SECOND
    world.book.put("alfa", Progress(cursor=cursor))
    world.sell("alfa", order("1001", UNTIL - LONGEST_GAP))

    lines = world.run()

    assert told(lines, "reconcile_gap") == [
        {
            "shop": "alfa",
            "since": cursor.isoformat(),
            "until": (UNTIL - LONGEST_GAP).isoformat(),
            "problem": "nobody has looked at the changes of this time; backfill it",
        }
    ]
    assert [each.order_id for each in world.queued] == ["1001"]
    world.clock.now += HOUR
    assert told(world.run(), "reconcile_gap") == []


def test_a_first_run_that_comes_days_late_tells_what_nobody_has_looked_at(world: World) -> None:
    """Nothing was read since the shop was put on the list: every run ended before it could."""
    world.apis["alfa"].before_page = fail_at(1, PlatformBusyError("its server is ill"))
    world.run()
    world.clock.now += DAY
    world.apis["alfa"].before_page = lambda _: None

    lines = world.run()

    (gap,) = told(lines, "reconcile_gap")
    assert (gap["shop"], gap["since"]) == ("alfa", (START - FIRST_LOOK).isoformat())
    assert gap["until"] == (world.clock.now - MARGIN - LONGEST_GAP).isoformat()
    world.clock.now += HOUR
    assert told(world.run(), "reconcile_gap") == []


# Interruptions


def orders_of_a_day(number: int) -> list[dict[str, Any]]:
    return [order(str(1001 + n), START - DAY + n * MINUTE) for n in range(number)]


def moments(number: int) -> list[str]:
    return [each["updated_at"] for each in orders_of_a_day(number)]


def fail_at(number: int, error: BaseException) -> Callable[[int], None]:
    def before_page(page: int) -> None:
        if page == number:
            raise error

    return before_page


@pytest.mark.parametrize(
    "error",
    [
        PlatformBusyError("the shop's server does not answer"),
        PlatformAccessError("the token is not accepted"),
        PlatformRefusedError("orders: not as documented"),
    ],
)
def test_the_cursor_moves_page_by_page_and_the_next_run_goes_on(
    world: World, error: Exception
) -> None:
    api = world.only("alfa")
    api.page_size = 2
    world.sell("alfa", *orders_of_a_day(5))
    api.before_page = fail_at(3, error)

    lines = world.run()

    assert events_of(lines) == ["recovered"] * 4 + ["reconcile_failed"]
    assert told(lines, "reconcile_failed") == [{"shop": "alfa", "problem": str(error)}]
    assert world.progress().cursor == START - DAY + 3 * MINUTE
    assert (world.progress().ran_at, world.progress().problem) == (START, str(error))

    api.before_page = lambda _: None
    world.sender.run()
    lines = world.run()

    assert api.asked[1][0] == START - DAY + 3 * MINUTE
    assert [each.order_id for each in world.queued] == ["1001", "1002", "1003", "1004", "1005"]
    assert world.progress().problem == ""


def test_runs_that_are_cut_off_get_on_all_the_same(world: World) -> None:
    """However many orders changed in an hour: the overlap alone is not all that a run does."""
    api = world.only("alfa")
    api.page_size = 2
    world.run()
    first = UNTIL + MINUTE
    world.sell("alfa", *(order(str(1001 + n), first + n * MINUTE) for n in range(20)))
    for _ in range(12):
        world.clock.now += HOUR
        api.before_page = fail_at(5, PlatformBusyError("no time is left"))
        world.run()
        world.sender.run()

    assert world.progress().cursor == world.clock.now - MARGIN
    assert {each.order_id for each in world.queued} == {str(1001 + n) for n in range(20)}


def test_a_run_that_is_cut_off_within_the_last_hour_leaves_the_overlap_to_the_next(
    world: World,
) -> None:
    """What was not to be seen yet at the time is looked for once more."""
    api = world.only("alfa")
    world.run()
    world.clock.now += HOUR
    api.page_size = 1
    world.sell("alfa", order("1001", UNTIL + MINUTE), order("1002", UNTIL + 2 * MINUTE))
    api.before_page = fail_at(2, PlatformBusyError("no time is left"))
    world.run()
    reach = world.clock.now - MARGIN
    cut_off_at = world.progress().cursor
    assert cut_off_at is not None
    assert cut_off_at < reach
    api.before_page = lambda _: None
    world.clock.now += HOUR

    world.run()

    assert api.asked[-1][0] == min(cut_off_at, reach - OVERLAP)


def test_a_queue_that_fails_in_the_middle_of_a_page_loses_nothing(world: World) -> None:
    api = world.only("alfa")
    api.page_size = 3
    world.sell("alfa", *orders_of_a_day(6))
    world.queue_fails_after = 4

    lines = world.run()

    assert told(lines, "reconcile_failed") == [
        {"shop": "alfa", "problem": "SendMessage: nobody there"}
    ]
    assert world.progress().cursor == START - DAY + 2 * MINUTE  # the second page is not done

    world.queue_fails_after = None
    world.sender.run()
    world.run()
    world.sender.run()

    assert {len(world.sender.events(str(1001 + n))) for n in range(6)} == {1}


def test_a_table_that_fails_while_records_are_read_stops_the_shop_only(world: World) -> None:
    world.sell("alfa", order("1001", START - HOUR))
    reads = iter(range(100))

    def before_page(_: int) -> None:
        if next(reads) == 0:
            world.sender.outside.trouble = Trouble(
                StorageError("BatchGetItem: ReadTimeout"), 1, 1, kinds=("get",)
            )

    world.apis["alfa"].before_page = before_page

    lines = world.run()

    assert events_of(lines) == ["reconcile_failed"]
    assert events_of(lines, "beta") == SOUND
    assert world.queued == []


def test_a_problem_that_cannot_be_noted_is_told_all_the_same(world: World) -> None:
    def before_page(_: int) -> None:
        world.sender.outside.trouble = Trouble(
            AwsError("GetItem", "ThrottlingException"), 1, 1, kinds=("get",)
        )
        raise PlatformBusyError("the shop's server does not answer")

    world.only("alfa").before_page = before_page

    lines = world.run()

    assert [line["problem"] for line in told(lines, "reconcile_failed")] == [
        "the shop's server does not answer",
        "GetItem: ThrottlingException",
    ]


def test_a_shop_at_which_the_function_was_killed_comes_last_the_next_time(world: World) -> None:
    """Else its orders would be looked at every hour, and nobody else's."""
    world.apis["alfa"].before_page = fail_at(1, Killed())

    with pytest.raises(Killed):
        world.run()
    assert world.progress().problem == CUT_OFF
    world.clock.now += HOUR
    with pytest.raises(Killed):
        world.run()

    assert len(world.apis["beta"].asked) == 1
    assert world.progress("beta").problem == ""


def test_a_run_ends_before_its_time_and_the_next_goes_on(world: World) -> None:
    api = world.only("alfa")
    api.page_size = 1
    world.sell("alfa", *orders_of_a_day(5))
    api.before_page = lambda _: world.clock.advance(100)

    lines = world.run(ENOUGH_TIME.total_seconds() + 200)

    # After two pages there is enough time left, after three there is not.
    assert [each.order_id for each in world.queued] == ["1001", "1002", "1003"]
    (line,) = told(lines, "reconcile_failed")
    assert line["problem"] == "there was more than fits one run; the next one goes on"
    assert world.progress().cursor == START - DAY + 2 * MINUTE


def test_the_last_page_is_the_end_however_late_it_is(world: World) -> None:
    api = world.only("alfa")
    world.sell("alfa", *orders_of_a_day(1))
    api.before_page = lambda _: world.clock.advance(200)

    lines = world.run(ENOUGH_TIME.total_seconds() + 100)

    assert told(lines, "reconcile_failed") == []
    assert told(lines, "reconciled") != []


# Several shops


def test_the_shop_that_has_waited_longest_goes_first(world: World) -> None:
    order_of_shops: list[str] = []
    world.sender.documents["gamma"] = world.sender.documents["alfa"]
    world.apis["gamma"] = ApiDouble(hooks=[])
    world.book.add("gamma", START)
    world.book.put("alfa", Progress(ran_at=START - HOUR))
    world.book.put("beta", Progress(ran_at=START - 2 * HOUR))
    for name, api in world.apis.items():
        api.before_page = lambda _, name=name: order_of_shops.append(name)  # type: ignore[misc]

    world.run()

    assert order_of_shops == ["gamma", "beta", "alfa"]  # gamma never ran


def test_one_shops_failure_does_not_stop_the_others(world: World) -> None:
    world.apis["alfa"].before_page = fail_at(1, PlatformAccessError("not with this token"))
    world.sell("beta", order("2001", START - HOUR))

    lines = world.run()

    assert events_of(lines, "alfa") == ["reconcile_failed"]
    assert [each.shop for each in world.queued] == ["beta"]
    assert "reconciled" in events_of(lines, "beta")


def test_a_shop_for_which_no_time_is_left_is_the_next_runs_first(world: World) -> None:
    world.apis["alfa"].before_page = lambda _: world.clock.advance(700)
    world.book.put("alfa", Progress(cursor=UNTIL))  # before its name, and never run

    lines = world.run(ENOUGH_TIME.total_seconds() + 600)

    assert told(lines, "reconcile_put_off") == [{"shop": "beta", "problem": NO_TIME}]
    assert world.apis["beta"].asked == []
    assert world.progress("beta").ran_at is None

    world.run(ENOUGH_TIME.total_seconds() + 600)

    assert len(world.apis["beta"].asked) == 1


@pytest.mark.parametrize(
    ("ago", "event"),
    [(None, "put_off"), (OVERDUE, "put_off"), (OVERDUE + SECOND, "failed")],
)
def test_many_shops_take_turns_and_only_who_is_overdue_is_a_fault(
    ago: timedelta | None, event: str, world: World
) -> None:
    ran_at = None if ago is None else START - ago
    world.book.put("alfa", Progress(cursor=UNTIL, ran_at=ran_at))
    world.only("alfa")

    lines = world.run(ENOUGH_TIME.total_seconds() - 1)

    assert events_of(lines) == [f"reconcile_{event}"]


def test_a_list_without_shops_is_a_short_run(world: World) -> None:
    for name in world.book.shops():
        world.book.remove(name)

    assert world.run() == []


def test_a_shop_that_was_removed_is_told_with_the_remedy(world: World) -> None:
    del world.sender.documents["alfa"]

    lines = world.run()

    assert told(lines, "reconcile_failed") == [
        {"shop": "alfa", "problem": "there is no such shop any more; take it off the list"}
    ]
    assert events_of(lines, "beta") == SOUND


def test_a_shop_whose_document_cannot_be_read_is_told(world: World) -> None:
    world.sender.secrets_away = True

    lines = world.run()

    assert told(lines, "reconcile_failed") == [
        {"shop": name, "problem": "the shop's document cannot be read or used"}
        for name in ("alfa", "beta")
    ]


def test_a_shop_without_access_is_told_why(world: World) -> None:
    del world.apis["alfa"]

    lines = world.run()

    assert told(lines, "reconcile_failed") == [
        {"shop": "alfa", "problem": "no way into the shopify shop"}
    ]


# Webhooks


def hook(id_: str, topic: str, **more: Any) -> Webhook:
    return Webhook(**{"id": id_, "topic": topic, "address": f"{ADDRESS}/shopify/alfa", **more})


@pytest.mark.parametrize(
    ("hooks", "event", "fields"),
    [
        (
            [hook("1", "orders/create")],
            "webhook_broken",
            {"topic": "orders/updated", "state": "missing", "problem": None},
        ),
        (
            [
                hook("1", "orders/create"),
                hook("2", "orders/updated", problems=("is disabled", "is not JSON")),
            ],
            "webhook_broken",
            {"topic": "orders/updated", "state": "broken", "problem": "is disabled, is not JSON"},
        ),
        (
            [
                hook("1", "orders/create"),
                hook("2", "orders/updated"),
                hook("3", "orders/updated"),
            ],
            "webhook_doubled",
            {"topic": "orders/updated", "state": "doubled", "problem": None},
        ),
    ],
)
def test_a_webhook_that_is_not_as_it_should_be_is_told_and_left_alone(
    world: World, hooks: list[Webhook], event: str, fields: dict[str, Any]
) -> None:
    api = world.apis["alfa"]
    api.hooks = hooks

    lines = world.run()

    assert told(lines, event) == [{"shop": "alfa", **fields}]
    assert events_of(lines) == [event, *SOUND]
    assert api.changes == []


@pytest.mark.parametrize("sees_all", [True, False])
def test_one_webhook_that_tells_of_every_change_is_enough(world: World, sees_all: bool) -> None:
    api = world.apis["alfa"]
    api.hooks, api.sees_all = [hook("1", "orders/updated")], sees_all

    assert events_of(world.run()) == SOUND


def test_webhooks_that_the_api_may_not_show_are_not_said_to_be_missing(world: World) -> None:
    """Those that somebody made by hand, where the API shows only what it made itself."""
    api = world.apis["alfa"]
    api.hooks, api.sees_all = [], False

    lines = world.run()

    assert events_of(lines) == ["webhooks_unseen", *SOUND]
    assert not world.progress().has_webhooks


@pytest.mark.parametrize("problems", [(), ("is disabled",)])
def test_webhooks_that_were_seen_once_and_are_gone_are_missing(
    world: World, problems: tuple[str, ...]
) -> None:
    """A shop system deletes those that fail for long enough."""
    api = world.apis["alfa"]
    api.hooks, api.sees_all = [hook("1", "orders/updated", problems=problems)], False
    world.run()
    api.hooks = []
    world.clock.now += HOUR

    lines = world.run()

    assert [(each["topic"], each["state"]) for each in told(lines, "webhook_broken")] == [
        ("orders/updated", "missing"),
        ("orders/create", "missing"),
    ]


def test_where_the_api_shows_all_none_is_missing_unseen(world: World) -> None:
    world.apis["alfa"].hooks = []

    assert len(told(world.run(), "webhook_broken")) == 2


def test_webhooks_of_others_are_nobodys_business(world: World) -> None:
    world.apis["alfa"].hooks += [
        hook("7", "orders/paid"),
        hook("8", "orders/create", address=f"{ADDRESS}/shopify/beta"),
        hook("9", "orders/create", address="https://bookkeeping.example/"),
    ]

    assert events_of(world.run()) == SOUND


def test_orders_are_recovered_even_if_the_webhooks_cannot_be_listed(world: World) -> None:
    def refuse() -> None:
        raise PlatformAccessError("the token may not see webhooks")

    world.sell("alfa", order("1001", START - HOUR))
    world.apis["alfa"].before_webhooks = refuse

    lines = world.run()

    assert events_of(lines) == ["recovered", "reconcile_failed"]
    assert world.progress().cursor == UNTIL
    assert world.progress().problem == "the token may not see webhooks"


# What Prisjakt holds


def reads_of_prisjakt(world: World) -> list[str]:
    requests = world.sender.transport.requests
    return [str(each.path_url) for each in requests if each.method == "GET"]


def forget(world: World, reference: str) -> None:
    (event,) = world.sender.events(reference)
    del world.sender.model.events[event.id]


def test_an_event_that_prisjakt_does_not_hold_is_told(world: World) -> None:
    world.deliver("alfa", order("1001", START - HOUR), order("1002", START - HOUR))
    forget(world, "1001")

    lines = world.run()

    assert told(lines, "not_at_prisjakt") == [
        {"shop": "alfa", "order_id": "1001", "outcome": "mismatch"}
    ]
    assert told(lines, "reconciled")[0]["mismatches"] == 1
    assert world.queued == []  # somebody has to look


def test_other_figures_at_prisjakt_are_told(world: World) -> None:
    world.deliver("alfa", order("1001", START - HOUR))
    (event,) = world.sender.events("1001")
    object.__setattr__(event, "amount", event.amount + 1)

    assert [line["order_id"] for line in told(world.run(), "differs_at_prisjakt")] == ["1001"]


def test_an_order_that_was_only_just_reported_is_left_to_settle(world: World) -> None:
    """Prisjakt may show it a little later."""
    world.deliver("alfa", order("1001", START - HOUR), at=START + SECOND)
    forget(world, "1001")
    world.clock.now = START + MARGIN

    early = world.run()
    world.clock.now = START + 2 * MARGIN
    late = world.run()

    assert told(early, "not_at_prisjakt") == []
    assert len(told(late, "not_at_prisjakt")) == 1


@pytest.mark.parametrize("created", [START - 3 * DAY, UNTIL + SECOND])
def test_only_what_was_ordered_in_the_interval_is_compared(world: World, created: Any) -> None:
    """The events of other times are not read."""
    one = order("1001", created) | {"updated_at": (START - HOUR).isoformat()}
    world.deliver("alfa", one)
    forget(world, "1001")

    lines = world.run()

    assert events_of(lines) == SOUND
    assert reads_of_prisjakt(world) == []
    assert told(lines, "reconciled")[0]["mismatches"] == 0


def test_what_was_reported_under_another_pixel_is_not_looked_for(world: World) -> None:
    world.deliver("alfa", order("1001", START - HOUR))
    world.sender.documents["alfa"]["pixel_id"] = PIXELS["beta"]
    world.sender.ports = world.sender.process()

    assert events_of(world.run()) == SOUND


def test_what_a_sender_is_working_on_is_not_compared(world: World) -> None:
    world.deliver("alfa", order("1001", START - HOUR))
    forget(world, "1001")
    (record,) = world.store.records()
    world.store.items[record.key]["token"] = "somebody"

    assert events_of(world.run()) == SOUND


def test_what_a_sender_corrects_during_the_run_is_no_mismatch(world: World) -> None:
    """Its record was read before, its event after."""
    world.deliver("alfa", order("1001", START - HOUR))
    forget(world, "1001")
    (record,) = world.store.records()

    def meanwhile() -> None:
        world.store.items[record.key]["version"] += 1

    world.apis["alfa"].before_webhooks = meanwhile

    lines = world.run()

    assert events_of(lines) == SOUND
    assert world.reads == [[record.key], [record.key]]


def test_without_credentials_prisjakt_is_not_asked(world: World) -> None:
    world.deliver("alfa", order("1001", START - HOUR))
    for name in CREDENTIALS:
        del world.sender.documents["alfa"][name]
    world.sender.ports = world.sender.process()
    forget(world, "1001")

    lines = world.run()

    assert events_of(lines) == SOUND
    assert told(lines, "reconciled")[0]["mismatches"] is None
    assert reads_of_prisjakt(world) == []


@pytest.mark.parametrize("known", [True, False])
def test_prisjakt_is_asked_only_if_there_is_something_to_compare(world: World, known: bool) -> None:
    if known:
        world.deliver("alfa", order("1001", START - HOUR))

    lines = world.run()

    assert bool(reads_of_prisjakt(world)) is known
    assert told(lines, "reconciled")[0]["mismatches"] == 0


def test_an_hour_whose_requests_are_used_up_does_no_harm(world: World) -> None:
    world.deliver("alfa", order("1001", START - HOUR))
    world.sell("alfa", order("1002", START - HOUR))
    world.turn = START + MINUTE

    lines = world.run()

    assert events_of(lines) == ["recovered", "not_compared", *SOUND]
    assert told(lines, "not_compared") == [
        {"shop": "alfa", "problem": "this hour's requests to Prisjakt are used up"}
    ]
    assert told(lines, "reconciled")[0]["mismatches"] is None
    assert world.progress().problem == ""


@pytest.mark.parametrize("status", [429, 401, 403, 500])
def test_a_prisjakt_that_refuses_does_no_harm(world: World, status: int) -> None:
    world.deliver("alfa", order("1001", START - HOUR))
    world.sender.model.faults.append(
        Fault(kind="status", operation="get-events", status=status, times=9)
    )

    lines = world.run()

    assert events_of(lines) == ["not_compared", *SOUND]
    assert told(lines, "not_compared")[0]["problem"].startswith(str(status))
    assert world.progress().cursor == UNTIL


def test_a_table_that_fails_when_mismatches_are_looked_at_again_does_no_harm(world: World) -> None:
    world.deliver("alfa", order("1001", START - HOUR))
    forget(world, "1001")

    def trouble() -> None:
        world.sender.outside.trouble = Trouble(
            StorageError("BatchGetItem: ReadTimeout"), 1, 1, kinds=("get",)
        )

    world.apis["alfa"].before_webhooks = trouble

    lines = world.run()

    assert events_of(lines) == ["not_compared", *SOUND]


# Silence


def ages(lines: Iterable[Line]) -> dict[str, float | None]:
    found = (line for line in lines if line.fields["shop"] == "alfa")
    return {line.event: line.age for line in found if line.event.endswith("_silence")}


def test_silence_is_counted_from_when_a_shop_is_put_on_the_list(world: World) -> None:
    world.run()
    world.clock.now += 3 * DAY
    lines = world.run()

    assert ages(lines) == {
        "order_silence": (3 * DAY).total_seconds(),
        "click_silence": (3 * DAY).total_seconds(),
    }


@pytest.mark.parametrize(
    ("click_id", "more", "heard"),
    [
        (CLICK_ID, {}, True),
        (TEST_CLICK, {}, True),
        ("spoilt", {}, True),  # the snippet is there
        (CLICK_ID, {"financial_status": "pending"}, True),
        (None, {}, False),
        (CLICK_ID, {"source_name": "pos"}, False),
    ],
)
def test_an_order_with_a_click_id_ends_the_silence_of_clicks(
    world: World, click_id: str | None, more: dict[str, Any], heard: bool
) -> None:
    world.run()
    world.clock.now += DAY
    world.sell("alfa", order("1001", START + HOUR, click_id=click_id, **more))

    silence = ages(world.run())

    assert silence["order_silence"] == MARGIN.total_seconds()
    assert silence["click_silence"] == (MARGIN if heard else DAY).total_seconds()


def test_a_shop_that_is_off_is_not_silent(world: World) -> None:
    """Nobody looks for click ids there."""
    world.run()
    world.sender.documents["alfa"]["mode"] = "off"
    world.clock.now += DAY
    world.sell("alfa", order("1001", world.clock.now - HOUR))

    assert ages(world.run())["click_silence"] == MARGIN.total_seconds()


def test_of_a_shop_with_an_old_cursor_alone_no_silence_is_known(world: World) -> None:
    world.book.put("alfa", Progress(cursor=UNTIL))

    assert ages(world.run()) == {}


def test_a_run_that_fails_says_nothing_of_silence(world: World) -> None:
    world.apis["alfa"].before_page = fail_at(1, PlatformBusyError("busy"))

    assert ages(world.run()) == {}


# What is told


SECRETS = ("hush-hush", CLICK_ID, "Testsson", "test@example", "Testgatan", "0701234567")


def test_nothing_secret_or_personal_is_told_or_kept(world: World) -> None:
    """Neither in a line nor in the table: at most an order's id."""
    world.deliver("alfa", order("1001", START - HOUR))
    forget(world, "1001")
    world.deliver("alfa", order("1003", START - HOUR))
    world.sell(
        "alfa",
        order("1002", START - HOUR),
        order("1004", START - HOUR, total_price="Testsson", current_total_price="Testsson"),
        order("1005", START - HOUR, created_at="test@example"),
    )
    world.apis["alfa"].hooks = []
    world.apis["beta"].before_page = fail_at(1, PlatformBusyError("busy"))
    text = json.dumps(world.apis["alfa"].orders_by_id["1002"])
    assert any(each in text for each in SECRETS)

    lines = world.run()

    kinds = Counter(line.event for line in lines)
    assert set(kinds) == {
        "recovered",
        "unreadable",
        "webhook_broken",
        "not_at_prisjakt",
        "reconcile_failed",
        *SOUND,
    }
    kept = [item for name, item in world.store.items.items() if name.startswith("reconcile")]
    said = json.dumps([[line.fields for line in lines], kept], default=str)
    assert not [each for each in SECRETS if each in said]
