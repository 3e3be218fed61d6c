"""What Prisjakt holds, as a shop's operator reads it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.cli.calling import local
from tests.cli.orders import credentials, model, new_shop
from tests.operations.patients import spoilt

from prisjakt_relay.local.prisjakt_model import Fault
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.prisjakt.client import PrisjaktClient
from prisjakt_relay.prisjakt.models import PurchaseEvent
from prisjakt_relay.transport import session

CLICK = "239cd31f-9d43-4cb4-b8dc-2057fe18c289"
NOW = datetime.now(UTC).replace(microsecond=0)
VIEWS = (("events",), ("summary",), ("conversions",), ("pixel",), ("client",))


def report(system: LocalSystem, pixel_id: str, reference: str, amount: str, **more: Any) -> None:
    values: dict[str, Any] = {
        "event_name": "purchase",
        "event_time": NOW - timedelta(hours=1),
        "external_event_id": reference,
        "amount": Decimal(amount),
        "currency": "SEK",
        "number_of_items": 3,
        "signed_click_id": f"{CLICK}_1b05fa7f1c34d125",
    }
    prisjakt = PrisjaktClient(system.prisjakt_url, session(), clock=lambda: NOW)
    prisjakt.create_event(pixel_id, PurchaseEvent(**values | more))


@pytest.fixture
def shop(local_system: LocalSystem) -> str:
    """A shop with three events, of which two are purchases of this month."""
    name, pixel_id = new_shop(local_system, **credentials())
    report(local_system, pixel_id, "SE-1", "996.50")
    report(local_system, pixel_id, "SE-2", "100", event_time=NOW - timedelta(days=2))
    report(local_system, pixel_id, "T-1", "1", event_name="test-purchase")
    report(local_system, pixel_id, "SE-0", "5", event_time=NOW - timedelta(days=50))
    return name


def references(*arguments: str) -> list[str]:
    called = local("prisjakt", "events", *arguments, "--json")
    assert called.code == 0, called.err
    return sorted(event["external_event_id"] for event in called.json)


def test_events_are_those_of_30_days_unless_told_otherwise(shop: str) -> None:
    first, last = (NOW - timedelta(days=55)).date(), (NOW - timedelta(days=45)).date()

    assert references(shop) == ["SE-1", "SE-2", "T-1"]
    assert references(shop, "--from", str(first)) == ["SE-0", "SE-1", "SE-2", "T-1"]
    assert references(shop, "--from", str(first), "--to", str(last)) == ["SE-0"]


def test_events_can_be_chosen_by_name_and_reference(shop: str) -> None:
    assert references(shop, "--name", "test-purchase") == ["T-1"]
    assert references(shop, "--name", "purchase") == ["SE-1", "SE-2"]
    assert references(shop, "--reference", "SE-2") == ["SE-2"]
    assert references(shop, "--reference", "SE-3") == []


def test_events_in_json_have_exact_money_and_utc(shop: str) -> None:
    (event,) = local("prisjakt", "events", shop, "--reference", "SE-1", "--json").json

    assert event["data"] == {"amount": "996.50", "currency": "SEK", "number_of_items": 3}
    assert event["event_time"].endswith("Z")
    assert event["click_id"] == CLICK


@pytest.mark.parametrize(
    ("view", "parts"),
    [
        ("events", ("SE-1", "996.50 SEK", "T-1  test-purchase", "Time (UTC)")),
        ("summary", ("Stockholm", "996.50 SEK", "1,096.50 SEK", "Total")),
        ("conversions", ("996.50 SEK", "Product 1001", "Click (UTC)")),
    ],
)
def test_tables_fit_into_80_columns(shop: str, view: str, parts: tuple[str, ...]) -> None:
    called = local("prisjakt", view, shop, width=80)

    assert (called.code, called.err) == (0, "")
    assert max(map(len, called.out.splitlines())) <= 80
    assert [part for part in parts if part not in called.out] == []


@pytest.mark.parametrize(
    ("view", "what"),
    [("events", "event"), ("summary", "purchase"), ("conversions", "conversion")],
)
def test_nothing_is_said_to_be_nothing(local_system: LocalSystem, view: str, what: str) -> None:
    name, _ = new_shop(local_system, **credentials())

    called = local("prisjakt", view, name, "--from", "2026-01-01", "--to", "2026-01-01")

    assert called.code == 0
    expected = f"No {what} of {name} from 2026-01-01 00:00 to 2026-01-02 00:00 UTC."
    assert " ".join(called.out.split()) == expected


def test_one_event_is_shown_by_its_id(shop: str) -> None:
    (listed,) = local("prisjakt", "events", shop, "--reference", "SE-1", "--json").json

    called = local("prisjakt", "event", shop, listed["id"], width=80)

    assert called.code == 0
    for part in (listed["id"], "SE-1", "996.50 SEK", CLICK):
        assert part in called.out
    assert local("prisjakt", "event", shop, listed["id"], "--json").json == listed


def test_the_summary_adds_up(shop: str) -> None:
    told = local("prisjakt", "summary", shop, "--json").json

    assert told["summaries"] == [
        {"currency": "SEK", "number_of_events": 2, "total_amount": "1096.50"}
    ]
    assert {day["time_zone"] for day in told["per_day"]} == {"Europe/Stockholm"}
    assert sum(Decimal(day["total_amount"]) for day in told["per_day"]) == Decimal("1096.5")


def test_conversions_pair_purchases_with_clicks(shop: str) -> None:
    told = local("prisjakt", "conversions", shop, "--json").json

    assert sorted(each["purchase"]["amount"] for each in told) == ["100.00", "996.50"]
    assert {each["forwarding"]["product"]["id"] for each in told} == {"1001"}


def test_the_click_behind_a_click_id_is_shown_signed_or_not(shop: str) -> None:
    for click_id in (CLICK, f"{CLICK}_1b05fa7f1c34d125"):
        called = local("prisjakt", "click", shop, click_id, width=80)
        assert called.code == 0
        assert f"Click {CLICK}" in called.out
        assert "https://shop.example/products/1" in called.out
    assert (
        local("prisjakt", "click", shop, CLICK, "--json").json["location"]["product_id"] == "1001"
    )


def test_the_pixel_is_switched_off_and_on_when_told_to(local_system: LocalSystem) -> None:
    name, pixel_id = new_shop(local_system, **credentials())

    assert "is enabled" in local("prisjakt", "pixel", name).out
    off = local("prisjakt", "pixel", name, "--disable", "--yes")
    assert off.code == 0
    assert "is disabled: Prisjakt takes no events for it" in off.out
    assert pixel_id in model(local_system).disabled_pixels
    on = local("prisjakt", "pixel", name, "--enable", "--yes", "--json")
    assert on.json == {"id": pixel_id, "enabled": True}
    assert pixel_id not in model(local_system).disabled_pixels


def test_nothing_is_switched_where_nobody_can_be_asked(local_system: LocalSystem) -> None:
    name, pixel_id = new_shop(local_system, **credentials())

    called = local("prisjakt", "pixel", name, "--disable")

    assert called.code == 2
    assert "add --yes" in called.err
    assert pixel_id not in model(local_system).disabled_pixels


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_somebody_at_a_terminal_decides_about_the_pixel(
    local_system: LocalSystem, answer: str, code: int
) -> None:
    name, pixel_id = new_shop(local_system, **credentials())

    called = local("prisjakt", "pixel", name, "--disable", stdin=f"{answer}\n", asked=True)

    assert called.code == code
    assert (pixel_id in model(local_system).disabled_pixels) is (answer == "y")


def test_a_pixel_that_is_already_so_needs_no_asking(local_system: LocalSystem) -> None:
    name, pixel_id = new_shop(local_system, **credentials())

    with spoilt(local_system, pixel_id, kind="status", status=500, operation="update-pixel"):
        called = local("prisjakt", "pixel", name, "--enable")

    assert called.code == 0
    assert "is enabled" in called.out


def test_the_roles_of_the_credentials_are_shown(
    local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = credentials()
    client = own["prisjakt_client_id"]
    name, _ = new_shop(local_system, **own)

    good = local("prisjakt", "client", name)
    monkeypatch.setattr(model(local_system), "roles", {client: {"event_publisher"}})
    poor = local("prisjakt", "client", name)
    machine = local("prisjakt", "client", name, "--json")

    assert good.code == 0
    assert f"Client {client} of {name} has the roles: shop_user" in good.out
    assert poor.code == machine.code == 1
    assert "has the roles: event_publisher" in poor.out
    assert "need the role shop_user: ask Prisjakt for it" in poor.err
    assert machine.json == {"id": client, "roles": ["event_publisher"]}


# What goes wrong


@pytest.mark.parametrize("view", VIEWS)
def test_a_shop_without_credentials_is_told_how_to_get_them(
    local_system: LocalSystem, view: tuple[str, ...]
) -> None:
    name, _ = new_shop(local_system)

    called = local("prisjakt", *view, name)

    assert called.code == 2
    assert f"shop {name} has no Prisjakt credentials" in called.err
    assert called.out == ""


@pytest.mark.parametrize("view", VIEWS)
def test_a_wrong_client_secret_is_said_to_be_wrong(
    local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch, view: tuple[str, ...]
) -> None:
    own = credentials()
    name, _ = new_shop(local_system, **own)
    another = {own["prisjakt_client_id"]: "another"}
    monkeypatch.setattr(model(local_system), "clients", another)

    called = local("prisjakt", *view, name)

    assert called.code == 2
    assert f"does not accept the credentials of shop {name} (401 invalid_client)" in called.err
    assert "not-so-secret" not in called.err
    assert called.out == ""


def test_a_missing_role_is_named(
    local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = credentials()
    name, _ = new_shop(local_system, **own)
    roles = {own["prisjakt_client_id"]: {"event_publisher"}}
    monkeypatch.setattr(model(local_system), "roles", roles)

    called = local("prisjakt", "events", name)

    assert called.code == 2
    assert "its client needs the role shop_user" in called.err
    assert f"prisjakt-relay prisjakt client {name}" in called.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("event", "{}", str(uuid.uuid4())), "Prisjakt has no event "),
        (("click", "{}", str(uuid.uuid4())), "Prisjakt has no click "),
        (("event", "{}", "SE-1"), "event_id: expected a UUID"),
        (("click", "{}", "abc"), "click_id: expected a UUID"),
        (("events", "{}", "--name", "sale"), "--name 'sale': choose purchase or test-purchase"),
        (("events", "{}", "--from", "soon"), "--from 'soon': write a day like"),
        (("summary", "{}", "--from", "2026-02-02", "--to", "2026-01-01"), "not before --to"),
        (("events", "nowhere"), "there is no shop nowhere"),
        (("events", "No Name"), "shop name 'No Name'"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_exit_2(
    shop: str, arguments: tuple[str, ...], words: str
) -> None:
    called = local("prisjakt", *(part.format(shop) for part in arguments))

    assert called.code == 2
    assert words in called.err
    assert called.err.count("\n") == 1
    assert called.out == ""


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(kind="status", status=503, body={"title": "Away"}), "does not answer (503 Away)"),
        (Fault(kind="cut_before"), "does not answer ("),
        (
            Fault(kind="status", status=429, headers={"Retry-After": "60"}),
            "takes no more requests from this client for now: try again in 60 s",
        ),
        (Fault(kind="status", status=200, body={"no": "list"}), "not as it documents"),
        (Fault(kind="status", status=400, body={"title": "No"}), "does not accept the request"),
    ],
)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_prisjakt_that_does_not_answer_is_one_sentence_and_exit_3(
    local_system: LocalSystem, fault: Fault, words: str, form: tuple[str, ...]
) -> None:
    name, pixel_id = new_shop(local_system, **credentials())
    model(local_system).faults.append(
        Fault(
            kind=fault.kind,
            status=fault.status,
            headers=fault.headers,
            body=fault.body,
            operation="get-events",
            pixel_id=pixel_id,
        )
    )

    called = local("prisjakt", "events", name, *form)

    assert called.code == 3
    assert words in called.err
    assert called.err.count("\n") == 1
    assert called.out == ""
