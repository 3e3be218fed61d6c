"""An order that is reported again shows, though Prisjakt's own key hides it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from tests.benchmark.load_orders import PIXEL, click_id
from tests.benchmark.load_prisjakt import CountingModel

from prisjakt_relay.local.exchange import Call
from prisjakt_relay.local.prisjakt_model import BASE_PATH

PATH = f"{BASE_PATH}/pixels/{PIXEL}/events"


def event(order: str) -> dict[str, object]:
    return {
        "event_name": "purchase",
        "event_time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "external_event_id": order,
        "data": {"amount": 10, "currency": "SEK", "number_of_items": 1},
        "signed_click_id": click_id(0),
    }


def ask(
    model: CountingModel,
    method: str,
    content: object,
    credentials: Mapping[str, str] | None = None,
) -> int:
    headers = {"content-type": "application/json", **(credentials or {})}
    body = json.dumps(content).encode()
    return model.answer(Call(method=method, path=PATH, headers=headers, body=body)).status


def post(model: CountingModel, order: str) -> int:
    return ask(model, "POST", event(order))


def patch(model: CountingModel, *orders: str) -> int:
    credentials = {"client-id": "load", "client-secret": "load"}
    return ask(model, "PATCH", [event(order) for order in orders], credentials)


def reports(model: CountingModel) -> dict[str, int]:
    return {each.external_id: each.reports for each in model.found()}


def test_each_order_of_a_batch_is_counted_once() -> None:
    model = CountingModel()

    assert patch(model, "1", "2") == 204
    assert post(model, "3") == 201
    assert reports(model) == {"1": 1, "2": 1, "3": 1}


def test_an_order_that_is_created_again_is_counted_though_it_is_refused() -> None:
    model = CountingModel()

    assert [post(model, "1"), post(model, "1")] == [201, 409]
    assert reports(model) == {"1": 2}


def test_an_order_that_is_sent_again_in_a_batch_is_counted_though_it_replaces_itself() -> None:
    model = CountingModel()

    assert [patch(model, "1", "2"), patch(model, "2", "3")] == [204, 204]
    assert reports(model) == {"1": 1, "2": 2, "3": 1}


def test_what_was_not_carried_out_is_no_report() -> None:
    model = CountingModel()

    assert ask(model, "POST", {"external_event_id": "1"}) == 400
    assert post(model, "1") == 201
    assert reports(model) == {"1": 1}
