"""The command `dead`, as a terminal and a script use it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.cli.calling import local
from tests.cli.orders import credentials
from tests.conftest import LOCAL_PORT
from tests.operations.dying import DyingShop, dying_shop, wait_for

from prisjakt_relay import ledger
from prisjakt_relay.cli.dead import ReasonChoice
from prisjakt_relay.erasure import of_orders, of_shop
from prisjakt_relay.errors import HeldError
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import dead_orders
from prisjakt_relay.operations.stack import find_local
from prisjakt_relay.outcomes import DeathReason

LONG_AGO = timedelta(days=40)
MARKER = "Anna Testsson, Testgatan 1"
Make = Callable[..., DyingShop]


@pytest.fixture(scope="module")
def make(local_system: LocalSystem) -> Iterator[Make]:
    stack = find_local(LOCAL_PORT)

    def made(**fields: Any) -> DyingShop:
        return dying_shop(local_system, stack, **fields)

    yield made
    stack.client("sqs").purge_queue(QueueUrl=stack.outputs["DeadLettersUrl"])


def test_the_list_says_why_and_what_a_resend_would_do(make: Make) -> None:
    shop = make()
    shop.dies(order_id="11", order_reference="SE-11")
    shop.dies(DeathReason.EXPIRED, order_id="12", tried=LONG_AGO, uncertain=True)

    listed = local("dead", "list", shop.name)

    assert listed.code == 0
    assert "11 (SE-11)" in listed.out
    assert "rejected: 400 Not valid, See fields; data.amount: odd" in " ".join(listed.out.split())
    assert "--force" in listed.out
    assert "give the shop Prisjakt credentials" in listed.err


def test_the_list_as_json_ends_at_its_limit_and_says_so(make: Make) -> None:
    shop = make()
    now = datetime.now(UTC)
    for n in range(3):
        shop.dies(order_id=f"{n}", since=now - timedelta(hours=n))

    listed = local("dead", "list", shop.name, "--limit", "2", "--json")
    assert [each["order_id"] for each in listed.json] == ["0", "1"]
    assert listed.json[0]["answer"]["field_errors"] == {"data.amount": "odd"}
    assert "--limit 0" in listed.err
    everything = local("dead", "list", shop.name, "--limit", "0", "--json")
    assert [each["order_id"] for each in everything.json] == ["0", "1", "2"]
    assert everything.err == ""


def test_an_empty_list_says_so(make: Make) -> None:
    shop = make()
    assert local("dead", "list", shop.name).out == f"No dead orders of {shop.name}.\n"
    assert local("dead", "list", shop.name, "--json").json == []


@pytest.mark.usefixtures("local_system")
def test_a_wrong_shop_ends_every_command_with_one_sentence() -> None:
    for command in (["list"], ["show", "1"], ["resend", "--yes"], ["drop", "--yes"]):
        called = local("dead", command[0], "nowhere", *command[1:])
        assert (called.code, called.out) == (2, "")
        assert called.err.startswith("error: there is no ")
        assert called.err.count("\n") == 1


def test_one_order_is_shown_with_everything_and_the_remedy(make: Make) -> None:
    shop = make()
    shop.dies(DeathReason.EXPIRED, order_id="21", tried=LONG_AGO)
    shop.gets_stuck(shop.message("22"))

    shown = local("dead", "show", shop.name, "21", width=80)
    words = " ".join(shown.out.split())
    assert "data.amount: odd" in words
    assert "996.50 SEK, 3 items" in words
    assert "Prisjakt cannot have it: a resend is safe." in words
    assert f"`prisjakt-relay dead resend {shop.name} 21 --local --port {LOCAL_PORT}`" in words
    told = local("dead", "show", shop.name, "21", "--json").json
    assert (told["reason"], told["step"], told["amount"]) == ("expired", "resend", "996.50")
    assert "Tries before" not in words
    stuck = local("dead", "show", shop.name, "22")
    assert "crashed the sender" in stuck.out
    assert local("dead", "show", shop.name, "22", "--json").json["reason"] == "undelivered"


def test_one_order_is_shown_with_times_in_utc_and_its_earlier_tries(make: Make) -> None:
    shop = make()
    record = shop.dies(order_id="25", tried=LONG_AGO)
    tried = replace(record, wanted=replace(record.wanted, items=1), tries=2, refusals=1, version=2)
    assert shop.stack.store.put(ledger.to_item(tried), previous=1)

    words = " ".join(local("dead", "show", shop.name, "25", width=80).out.split())

    assert "996.50 SEK, 1 item " in words
    assert "Tries before the last 2 without success, 1 of them refused" in words
    made_at = datetime.fromisoformat(record.event_time)
    assert f"Event purchase at {made_at:%Y-%m-%d %H:%M:%S} UTC" in words
    for what, when in (
        ("Dead since", record.dead_since),
        ("Received", record.received_at),
        ("First try", record.first_try_at),
    ):
        assert f"{what} {when:%Y-%m-%d %H:%M:%S} UTC" in words


def test_a_dead_order_is_shown_without_the_signature_of_its_click_id(make: Make) -> None:
    shop = make()
    click_id = str(uuid.uuid4())
    shop.dies(order_id="23", click_id=f"{click_id}_0123456789abcdef")

    shown = local("dead", "show", shop.name, "23", width=200)
    told = local("dead", "show", shop.name, "23", "--json")

    assert click_id in shown.out
    assert told.json["click_id"] == click_id
    assert "0123456789abcdef" not in shown.out + told.out


def test_what_was_dropped_or_resent_says_so_when_shown(make: Make) -> None:
    shop = make()
    shop.dies(order_id="31")
    resent = shop.dies(order_id="32")
    now = datetime.now(UTC)
    assert shop.stack.ledger.amend(resent, ledger.resent(resent), now) is not None
    assert local("dead", "drop", shop.name, "31", "--yes").code == 0

    assert "Dropped" in local("dead", "show", shop.name, "31").out
    assert "no sender has taken it up" in local("dead", "show", shop.name, "32").out
    listed = local("dead", "list", shop.name, "--json").json
    assert [(each["order_id"], each["resent"]) for each in listed] == [("32", True)]
    assert "resent" in local("dead", "list", shop.name).out


def test_a_dry_run_changes_nothing(make: Make) -> None:
    shop = make()
    record = shop.dies(order_id="41")

    for command in ("resend", "drop"):
        dry = local("dead", command, shop.name, "--dry-run")
        assert (dry.code, f"1 {command}" in dry.out) == (0, True)
        told = local("dead", command, shop.name, "--dry-run", "--json").json
        assert told["dry_run"] is True
        assert [each["step"] for each in told["orders"]] == [command]
    assert shop.record("41") == record
    assert shop.events() == []


def test_nobody_to_ask_means_that_nothing_happens(make: Make) -> None:
    shop = make()
    record = shop.dies(order_id="42")

    asked = local("dead", "resend", shop.name)

    assert asked.code == 2
    assert "add --yes" in asked.err
    assert shop.record("42") == record


def test_an_answer_of_no_means_that_nothing_happens(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make()
    record = shop.dies(order_id="43")
    monkeypatch.setattr("prisjakt_relay.cli.output.confirmed", lambda *_, **__: False)

    assert local("dead", "drop", shop.name).code == 1
    assert shop.record("43") == record


def test_a_resend_reports_each_once_and_a_repeat_has_nothing_to_do(make: Make) -> None:
    shop = make()
    for order_id in ("51", "52"):
        shop.dies(order_id=order_id)
    shop.gets_stuck(shop.message("53"))

    done = local("dead", "resend", shop.name, "--yes", "--json")

    assert done.code == 0
    assert {each["order_id"]: each["result"] for each in done.json["orders"]} == {
        "51": "sent",
        "52": "sent",
        "53": "sent",
    }
    wait_for(lambda: len(shop.events()) == 3, "three events")
    wait_for(lambda: shop.is_reported("51") and shop.is_reported("52"), "settled")
    again = local("dead", "resend", shop.name, "51", "--yes")
    assert (again.code, again.out) == (0, "Nothing to resend.\n")
    assert "51 is not among those chosen: it is reported" in again.err
    unknown = local("dead", "resend", shop.name, "50", "--yes")
    assert (unknown.code, "no dead order 50" in unknown.err) == (2, True)


def test_ctrl_c_says_how_far_it_came_and_the_next_run_goes_on(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make()
    for order_id in ("61", "62", "63"):
        shop.dies(order_id=order_id)
    send, calls = dead_orders._send, iter(range(10))

    def interrupted(*arguments: Any) -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt
        send(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(dead_orders, "_send", interrupted)
        called = local("dead", "resend", shop.name, "--yes")
    assert called.code == 130
    assert "1 of 3 done. Run it again to go on." in called.err
    assert "Traceback" not in called.err

    assert local("dead", "resend", shop.name, "--yes").code == 0
    wait_for(lambda: len(shop.events()) == 3, "three events")
    assert {str(e.external_event_id) for e in shop.events()} == {"61", "62", "63"}
    assert local("dead", "list", shop.name, "--json").json == []


def test_what_is_left_undone_ends_with_exit_code_1_and_the_remedy(make: Make) -> None:
    shop = make()
    shop.dies(order_id="71")
    shop.dies(DeathReason.EXPIRED, order_id="72", tried=LONG_AGO, uncertain=True)

    done = local("dead", "resend", shop.name, "--yes")

    assert done.code == 1
    assert "1 put on the queue" in done.out
    assert "left alone: Prisjakt may have it" in done.err
    forced = local("dead", "resend", shop.name, "72", "--force", "--yes", "--json")
    assert (forced.code, forced.json["orders"][0]["result"]) == (0, "sent")
    wait_for(lambda: len(shop.events()) == 2, "both events")


def test_credentials_decide_what_happens_to_an_uncertain_order(make: Make) -> None:
    shop = make(**credentials())
    shop.send(shop.message("81"))
    wait_for(lambda: len(shop.events()) == 1, "an event")
    there = shop.events()[0].event_time.isoformat()
    shop.dies(
        DeathReason.EXPIRED,
        order_id="81x",
        order_reference="81",
        event_time=there,
        tried=LONG_AGO,
        uncertain=True,
    )
    shop.dies(DeathReason.EXPIRED, order_id="82", tried=LONG_AGO, uncertain=True)

    assert "yes, looks first" in local("dead", "list", shop.name).out
    done = local("dead", "resend", shop.name, "--yes", "--json")

    assert done.code == 0
    results = {each["order_id"]: each["result"] for each in done.json["orders"]}
    assert results == {"81x": "at_prisjakt", "82": "sent"}
    wait_for(lambda: len(shop.events()) == 2, "one more event")
    wait_for(lambda: shop.is_reported("82"), "reported")
    assert sorted(str(e.external_event_id) for e in shop.events()) == ["81", "82"]


def test_an_order_that_was_dropped_is_resent_when_it_is_named(make: Make) -> None:
    shop = make()
    shop.dies(order_id="85")
    assert local("dead", "drop", shop.name, "85", "--yes").code == 0
    again = local("dead", "drop", shop.name, "85", "--yes")
    assert (again.code, "85 is not among those chosen: it is dropped already" in again.err) == (
        0,
        True,
    )
    assert local("dead", "resend", shop.name, "--yes").out == "Nothing to resend.\n"

    assert local("dead", "resend", shop.name, "85", "--yes").code == 0

    wait_for(lambda: shop.is_reported("85"), "reported")
    assert len(shop.events()) == 1


def test_a_repeat_with_some_done_and_some_misspelt_does_the_rest(make: Make) -> None:
    shop = make()
    shop.dies(order_id="86", order_reference="SE-86")
    shop.dies(order_id="87", order_reference="SE-87")
    assert local("dead", "drop", shop.name, "SE-86", "--yes").code == 0

    again = local("dead", "drop", shop.name, "SE-86", "SE-87", "--yes")
    assert (again.code, "1 dropped" in again.out) == (0, True)
    assert "SE-86 is not among those chosen: it is dropped already" in again.err
    misspelt = local("dead", "drop", shop.name, "SE-8", "SE-87", "--yes")
    assert (misspelt.code, misspelt.out) == (1, "Nothing to drop.\n")
    assert f"there is no dead order SE-8 of {shop.name}" in misspelt.err

    assert local("dead", "resend", shop.name, "SE-86", "86", "--yes", "--json").code == 0
    wait_for(lambda: shop.is_reported("86"), "reported")
    assert len(shop.events()) == 1


def test_a_dead_order_that_the_index_does_not_show_yet_is_taken_by_name(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make()
    shop.dies(order_id="88")
    shop.dies(DeathReason.REFUSED, order_id="89")
    monkeypatch.setattr(dead_orders, "records", lambda *_: iter(()))

    done = local("dead", "drop", shop.name, "88", "89", "--reason", "rejected", "--yes", "--json")
    assert [each["order_id"] for each in done.json["orders"]] == ["88"]
    assert "89 is not among those chosen: it is dead" in done.err
    assert shop.record("88").dropped_at is not None


def test_an_order_that_was_dropped_and_then_cancelled_is_not_resent(make: Make) -> None:
    shop = make()
    record = shop.dies(order_id="90")
    now = datetime.now(UTC)
    dropped = ledger.dropped(record, now)
    void = replace(dropped, status=ledger.Status.NOTHING_TO_REPORT, death=None, dead_since=None)
    assert shop.stack.ledger.amend(record, void, now) is not None

    named = local("dead", "resend", shop.name, "90", "--yes")
    assert (named.code, named.out) == (0, "Nothing to resend.\n")
    assert "90 is not among those chosen: it is nothing_to_report" in named.err


def test_a_message_is_deleted_only_with_its_reason_and_the_question_says_so(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make()
    shop.gets_stuck(shop.message("95"))
    shop.dies(order_id="96")
    asked: list[str] = []

    def refuse(question: str, **_: Any) -> bool:
        asked.append(question)
        return False

    with monkeypatch.context() as patch:
        patch.setattr("prisjakt_relay.cli.output.confirmed", refuse)
        assert local("dead", "drop", shop.name).code == 1
    assert "1 message will be deleted for good" in asked[0]

    kept = local("dead", "drop", shop.name, "--yes", "--json")
    assert kept.code == 1
    steps = {each["order_id"]: each["step"] for each in kept.json["orders"]}
    assert steps == {"95": "needs_reason", "96": "drop"}
    left = local("dead", "drop", shop.name, "--yes")
    assert (left.code, "say --reason undelivered" in left.err) == (1, True)
    assert local("dead", "drop", shop.name, "--reason", "undelivered", "--yes").code == 0
    assert local("dead", "list", shop.name, "--json").json == []


@pytest.mark.parametrize(
    ("order_ids", "column"),
    [(("101",), "101"), (("101", "102", "103", "104"), "101, 102, 103, …"), ((), "whole shop")],
)
def test_a_stuck_request_to_erase_is_shown_as_what_it_is_and_is_not_dropped(
    order_ids: tuple[str, ...], column: str, make: Make
) -> None:
    shop = make()
    now = datetime.now(UTC)
    wishes = of_orders(order_ids, "woocommerce", shop.name, now)
    (wish,) = wishes or [of_shop("woocommerce", shop.name, now)]
    shop.gets_stuck(wish.to_message())

    listed = local("dead", "list", shop.name, width=160)
    (told,) = local("dead", "list", shop.name, "--json").json

    assert column in listed.out
    assert shop.name in listed.out
    assert told["kind"] == "erasure"
    assert told["order_ids"] == list(order_ids)
    assert told["whole_shop"] is not bool(order_ids)
    assert (told["shop"], told["reason"], told["step"]) == (shop.name, "undelivered", "resend")
    resend = f"prisjakt-relay dead resend {shop.name} --reason undelivered"
    if order_ids:
        words = " ".join(local("dead", "show", shop.name, "101").out.split())
        assert f"Order {column} " in words
        assert "undelivered: a request to erase" in words
        assert f"`{resend} --local --port {LOCAL_PORT}` has it carried out" in words
    dropped = local("dead", "drop", shop.name, "--reason", "undelivered", "--yes", width=160)
    assert (dropped.code, "leave: to be resent" in dropped.out) == (1, True)
    assert "left alone: a request to erase is never dropped" in dropped.err
    assert local(*resend.split()[1:], "--yes").code == 0
    assert local("dead", "list", shop.name, "--json").json == []


def test_what_was_resent_long_ago_is_to_be_resent_again(make: Make) -> None:
    shop = make()
    record = shop.dies(order_id="97")
    long_ago = datetime.now(UTC) - timedelta(minutes=6)
    assert shop.stack.ledger.amend(record, ledger.resent(record), long_ago) is not None

    assert "resend it again" in " ".join(local("dead", "show", shop.name, "97").out.split())


def test_every_reason_can_be_chosen() -> None:
    assert [*map(str, ReasonChoice)] == [*map(str, dead_orders.Reason)]


def test_a_used_up_allowance_ends_a_run_with_its_sentence(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make(**credentials())
    shop.dies(DeathReason.EXPIRED, order_id="91", tried=LONG_AGO, uncertain=True)

    def used_up(*_: object) -> bool:
        raise HeldError("this hour's requests to Prisjakt are used up: try again at 12:00:00 UTC")

    with monkeypatch.context() as patch:
        patch.setattr(dead_orders, "shows", used_up)
        called = local("dead", "resend", shop.name, "--yes")
    assert called.code == HeldError.exit_code
    assert "0 of 1 done" in called.err
    assert "try again at 12:00:00 UTC" in called.err


def test_the_body_of_an_unreadable_message_is_never_shown_and_deleted_only_by_name(
    make: Make,
) -> None:
    stuck = make().gets_stuck(MARKER)

    listed = local("dead", "list", "--reason", "unreadable", "--json")
    (told,) = [each for each in listed.json if each["message_id"] == stuck]
    assert told["bytes"] == len(MARKER)
    kept = local("dead", "drop", "--from", "2026-01-01", "--reason", "undelivered", "--dry-run")
    assert stuck[:8] not in kept.out
    table = local("dead", "list", "--reason", "unreadable")
    assert stuck[:8] in table.out
    assert "Anna" not in listed.out + listed.err + table.out + table.err

    dropped = local("dead", "drop", "--reason", "unreadable", "--yes", "--json")
    assert dropped.code == 0
    assert "dropped" in {each["result"] for each in dropped.json["orders"]}
    left = local("dead", "list", "--reason", "unreadable", "--json").json
    assert stuck not in [each["message_id"] for each in left]
