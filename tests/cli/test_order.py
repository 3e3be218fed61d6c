"""The life of an order as it is told, from a delivery to what Prisjakt holds."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.cli.calling import local
from tests.cli.orders import asked_until, credentials, deliver, model, new_shop, outcomes
from tests.conftest import NOW

from prisjakt_relay.cli.order import _runs
from prisjakt_relay.local.deliveries import load
from prisjakt_relay.local.prisjakt_model import Fault
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations.explanations import OUTCOMES, REASONS
from prisjakt_relay.operations.order_life import Entry
from prisjakt_relay.outcomes import Outcome, Reason


def happened(told: Any) -> list[tuple[str, str]]:
    """By whom and what, in no order: the embedded AWS gives all lines of a call the time at which
    it ended, and the receiver's may end after the sender's."""
    return sorted((entry["by"], entry["outcome"]) for entry in told["timeline"])


def test_a_reported_order_is_told_from_its_delivery_to_what_prisjakt_holds(
    local_system: LocalSystem,
) -> None:
    shop, pixel_id = new_shop(local_system, **credentials())
    order_id = deliver(local_system, shop)

    called = asked_until(lambda told: "reported" in outcomes(told), "order", shop, order_id)

    told = called.json
    assert happened(told) == [("receiver", "queued"), ("sender", "reported")]
    (record,) = told["ledger"]
    assert record["status"] == "reported"
    assert record["reference"] == order_id
    assert record["pixel_id"] == pixel_id
    assert record["reported"]["amount"] == record["wanted"]["amount"] == "1666.30"
    assert record["certain"] is True
    (event,) = told["prisjakt"]["events"]
    assert event["external_event_id"] == order_id
    assert told["closing"] == "Prisjakt has it: 1,666.30 SEK for 3 items. Nothing to do."


def test_people_read_it_in_80_columns(local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system, **credentials())
    order_id = deliver(local_system, shop)
    asked_until(lambda told: "reported" in outcomes(told), "order", shop, order_id)

    called = local("order", shop, order_id, width=80)

    assert called.code == 0
    assert called.err == ""
    assert max(map(len, called.out.splitlines())) <= 80
    for part in ("queued", "reported", "1,666.30 SEK for 3 items", "At Prisjakt now", "UTC"):
        assert part in called.out
    assert called.out.endswith("Prisjakt has it: 1,666.30 SEK for 3 items. Nothing to do.\n")


@pytest.mark.parametrize(
    "command",
    [("order", "a-shop"), ("dead", "show", "a-shop"), ("dead", "resend", "a-shop", "21", "--yes")],
)
@pytest.mark.parametrize("order_id", ["", "9" * 256, "9" * 3_000])
@pytest.mark.usefixtures("local_system")
def test_what_can_be_no_order_is_refused_unasked(command: tuple[str, ...], order_id: str) -> None:
    refused = local(*command, order_id)

    assert refused.code == 2
    assert refused.out == ""
    assert refused.err == (
        "error: an order's id or reference has 1 to 255 characters, this one has "
        f"{len(order_id):,}: copy it again\n"
    )


def test_the_longest_id_is_asked_for(local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system)

    called = local("order", shop, "9" * 255)

    assert called.code == 1
    assert called.out.startswith("Nothing about")


def test_the_signature_of_a_click_id_is_not_printed(local_system: LocalSystem) -> None:
    """Whoever has it can report purchases for that click."""
    shop, _ = new_shop(local_system)
    order_id = deliver(local_system, shop)
    told = asked_until(lambda told: "reported" in outcomes(told), "order", shop, order_id)
    conversion = load("shopify", "orders-create-paid").expected["conversion"]
    uuid, _, signature = conversion["click_id"].partition("_")

    for text in (told.out, local("order", shop, order_id).out):
        assert uuid in text
        assert signature not in text


def test_an_order_is_found_by_a_reference_that_does_not_hold_its_id(
    local_system: LocalSystem,
) -> None:
    shop, _ = new_shop(local_system, order_reference="SE-{number}")
    order_id = deliver(local_system, shop, order_number=70_123)
    asked_until(lambda told: bool(told["ledger"]), "order", shop, order_id)

    called = local("order", shop, "SE-70123", "--json")

    assert called.code == 0
    assert called.json["order"] == order_id
    assert called.json["ledger"][0]["reference"] == "SE-70123"
    assert (
        f"Order {order_id} of shop {shop}, reference SE-70123"
        in local("order", shop, "SE-70123").out
    )


def test_an_ignored_order_is_told_with_its_reason_and_the_remedy(
    local_system: LocalSystem,
) -> None:
    """Only the logs know of it; a reference that holds the id leads there too."""
    shop, _ = new_shop(local_system, order_reference="SE-{id}")
    order_id = deliver(local_system, shop, "orders-create-no-click-id")
    asked_until(lambda told: "ignored" in outcomes(told), "order", shop, order_id)

    called = local("order", shop, f"SE-{order_id}", "--json")

    explained = REASONS[Reason.NO_CLICK_ID]
    (entry,) = called.json["timeline"]
    assert (entry["reason"], entry["meaning"]) == ("no_click_id", explained.meaning)
    assert called.json["ledger"] == []
    assert explained.meaning in called.json["closing"]
    assert explained.remedy in called.json["closing"]


def test_a_correction_is_part_of_the_life(local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system, **credentials())
    order_id = deliver(local_system, shop)
    asked_until(lambda told: "reported" in outcomes(told), "order", shop, order_id)
    deliver(
        local_system,
        shop,
        id=int(order_id),
        later=timedelta(minutes=1),
        cancelled_at="2026-11-21T00:00:00Z",
    )

    called = asked_until(lambda told: "corrected" in outcomes(told), "order", shop, order_id)

    told = called.json
    assert sorted(outcomes(told)) == ["corrected", "queued", "queued", "reported"]
    assert [entry["outcome"] for entry in told["timeline"] if entry["void"]] == ["queued"]
    assert told["ledger"][0]["corrections"] == 1
    assert [event["data"]["amount"] for event in told["prisjakt"]["events"]] == ["0.00"]
    assert told["closing"].startswith("Prisjakt has it with amount 0")


def test_without_credentials_a_change_cannot_follow_and_it_says_what_to_do(
    local_system: LocalSystem,
) -> None:
    shop, _ = new_shop(local_system)
    order_id = deliver(local_system, shop)
    asked_until(lambda told: "reported" in outcomes(told), "order", shop, order_id)
    deliver(
        local_system,
        shop,
        id=int(order_id),
        later=timedelta(minutes=1),
        cancelled_at="2026-11-21T00:00:00Z",
    )

    told = asked_until(
        lambda told: "not_correctable" in outcomes(told), "order", shop, order_id
    ).json

    assert told["prisjakt"] == {"asked": False, "problem": None, "events": []}
    assert f"prisjakt-relay shop set {shop} --prisjakt-client-id" in told["closing"]
    assert "reading it needs the shop's credentials" in local("order", shop, order_id).out


def test_waiting_is_told_with_its_cause_and_answer_and_waits_in_a_row_are_one_line(
    local_system: LocalSystem,
) -> None:
    shop, pixel_id = new_shop(local_system)
    away = Fault(kind="status", status=503, times=10**6, pixel_id=pixel_id, body={"title": "Away"})
    model(local_system).faults.append(away)
    order_id = deliver(local_system, shop)

    told = asked_until(
        lambda told: outcomes(told).count("waiting") > 2 and "right now" not in told["closing"],
        "order",
        shop,
        order_id,
    ).json
    people = local("order", shop, order_id).out
    model(local_system).faults.remove(away)

    waits = [entry for entry in told["timeline"] if entry["outcome"] == "waiting"]
    assert {(wait["answer_status"], wait["answer_title"]) for wait in waits} == {(503, "Away")}
    assert all(wait["seconds"] >= 0 for wait in waits)
    assert told["closing"].startswith(
        "It may be at Prisjakt already, but that is not certain: Prisjakt gave no usable answer "
        "(503 Away). The relay tries again by itself"
    )
    # The status, and one line of the timeline; or two, if the receiver's is between them.
    assert people.count("waiting ") in (2, 3)
    assert " times until " in people
    asked_until(lambda told: "reported" in outcomes(told), "order", shop, order_id)


def test_only_waits_in_a_row_that_say_the_same_are_one_line() -> None:
    def entry(second: int, outcome: Outcome, status: int | None = None) -> Entry:
        at = NOW + timedelta(seconds=second)
        return Entry(
            at=at,
            by="sender",
            outcome=outcome,
            explanation=OUTCOMES[outcome],
            answer_status=status,
        )

    entries = [
        *(entry(second, Outcome.WAITING, 503) for second in range(3)),
        *(entry(second, Outcome.WAITING, 500) for second in range(3, 5)),
        *(entry(second, Outcome.REPORTED) for second in range(5, 7)),
    ]

    runs = [(first.at, last.at, times) for first, last, times in _runs(entries)]

    moments = [each.at for each in entries]
    assert runs == [
        (moments[0], moments[2], 3),
        (moments[3], moments[4], 2),
        (moments[5], moments[5], 1),
        (moments[6], moments[6], 1),
    ]


def test_a_dead_order_is_told_with_prisjakts_words_and_the_way_back(
    local_system: LocalSystem,
) -> None:
    shop, pixel_id = new_shop(local_system)
    refusal = {
        "title": "Request validation failed",
        "status": 400,
        "field_errors": {"data.amount": {"message": "too odd", "value": "1666.3"}},
    }
    model(local_system).faults.append(
        Fault(kind="status", status=400, pixel_id=pixel_id, body=refusal)
    )
    order_id = deliver(local_system, shop)

    told = asked_until(lambda told: "dead" in outcomes(told), "order", shop, order_id).json

    assert told["ledger"][0]["death"] == "rejected"
    assert told["ledger"][0]["answer"]["field_errors"] == {"data.amount": "too odd"}
    assert "(400 Request validation failed; data.amount: too odd)" in told["closing"]
    assert "prisjakt-relay dead resend" in told["closing"]


def test_an_order_that_nobody_knows_is_exit_1_with_the_likely_causes(
    local_system: LocalSystem,
) -> None:
    shop, _ = new_shop(local_system)
    refused_id = deliver(local_system, shop, secret="another")

    called = local("order", shop, refused_id, "--json")

    assert called.code == 1
    assert called.json["order"] is None
    assert called.json["refused"] == {"unsigned": 1, "unknown": 0, "unavailable": 0}
    people = local("order", shop, "SE-0", "--days", "7")
    assert people.code == 1
    flat = " ".join(people.out.split())
    assert "Nothing about SE-0 in the logs of 7 days, nor in the ledger" in flat
    assert f"prisjakt-relay doctor {shop}" in flat
    assert "1 unsigned" in flat


def test_an_order_of_another_shop_is_not_shown(local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system)
    other, _ = new_shop(local_system)
    order_id = deliver(local_system, shop)
    asked_until(lambda told: "reported" in outcomes(told), "order", shop, order_id)

    assert local("order", other, order_id).code == 1


def test_all_else_is_shown_when_prisjakt_does_not_answer(local_system: LocalSystem) -> None:
    shop, pixel_id = new_shop(local_system, **credentials())
    order_id = deliver(local_system, shop)
    asked_until(lambda told: "reported" in outcomes(told), "order", shop, order_id)
    model(local_system).faults.append(
        Fault(kind="status", status=503, operation="get-events", pixel_id=pixel_id)
    )

    called = local("order", shop, order_id)

    assert called.code == 3
    assert "What Prisjakt holds could not be read: Prisjakt does not answer (503)" in called.out
    assert called.out.endswith("Prisjakt has it: 1,666.30 SEK for 3 items. Nothing to do.\n")


def test_an_event_that_prisjakt_no_longer_shows_is_said_to_be_gone(
    local_system: LocalSystem,
) -> None:
    shop, pixel_id = new_shop(local_system, **credentials())
    order_id = deliver(local_system, shop)
    asked_until(lambda told: "reported" in outcomes(told), "order", shop, order_id)
    events = model(local_system).events
    for event in [event for event in events.values() if event.pixel_id == pixel_id]:
        del events[event.id]

    called = local("order", shop, order_id)

    assert "nothing with this reference" in called.out
    assert "acknowledged it but does not show it now" in called.out


def test_a_test_purchase_is_called_one(local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system, mode="test", **credentials())
    order_id = deliver(local_system, shop)

    told = asked_until(lambda told: "reported" in outcomes(told), "order", shop, order_id).json

    assert told["ledger"][0]["event_name"] == "test-purchase"
    assert told["closing"].startswith("Prisjakt has it as a test (1,666.30 SEK for 3 items)")


@pytest.mark.usefixtures("local_system")
def test_a_shop_that_is_not_there_is_a_wrong_call() -> None:
    called = local("order", "nowhere", "1")

    assert called.code == 2
    assert "there is no shop nowhere" in called.err
    assert called.out == ""


def test_json_is_one_document_with_exact_money_and_utc(local_system: LocalSystem) -> None:
    shop, _ = new_shop(local_system)
    order_id = deliver(local_system, shop)

    called = asked_until(lambda told: "reported" in outcomes(told), "order", shop, order_id)

    told = json.loads(called.out)
    assert all(entry["at"].endswith("Z") for entry in told["timeline"])
    assert isinstance(told["ledger"][0]["wanted"]["amount"], str)
    assert not {"token", "leased_until", "version"} & set(told["ledger"][0])
