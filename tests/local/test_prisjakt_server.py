"""The simulated Prisjakt API as a client meets it: over HTTP, on the loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
import requests
from tests.conftest import PATIENCE

from prisjakt_relay.local import prisjakt_server
from prisjakt_relay.local.prisjakt_model import PrisjaktModel
from prisjakt_relay.local.prisjakt_server import PrisjaktServer, create_app, serve

PIXEL = "5c034de4-8e86-4d16-9fd1-20cfec6c97e4"
PAIR = {"client-id": "shop", "client-secret": "secret"}
INTERVAL = {"from": "2026-02-15T00:00:00Z", "to": "2026-04-15T00:00:00Z"}


@pytest.fixture
def model() -> PrisjaktModel:
    numbers = count(1)
    return PrisjaktModel(
        clock=lambda: datetime(2026, 3, 1, 12, tzinfo=UTC), new_id=lambda: f"id-{next(numbers)}"
    )


@pytest.fixture
def server(model: PrisjaktModel) -> Iterator[PrisjaktServer]:
    server = serve(create_app(model), 0)
    yield server
    server.close()


def event(reference: str = "order-1") -> dict[str, object]:
    return {
        "event_name": "purchase",
        "external_event_id": reference,
        "data": {"amount": 122.95, "currency": "EUR", "number_of_items": 4},
        "signed_click_id": "239cd31f-9d43-4cb4-b8dc-2057fe18c289_1b05fa7f1c34d125",
    }


def post(
    server: PrisjaktServer, reference: str = "order-1", timeout: float = PATIENCE
) -> requests.Response:
    address = f"{server.base_address}/pixels/{PIXEL}/events"
    return requests.post(address, json=event(reference), timeout=timeout)


def stored(server: PrisjaktServer) -> list[dict[str, Any]]:
    answer = requests.get(f"{server.address}/_simulated/events", timeout=PATIENCE)
    assert answer.status_code == 200
    records: list[dict[str, Any]] = answer.json()
    return records


def spoil(server: PrisjaktServer, *faults: dict[str, object]) -> requests.Response:
    return requests.post(f"{server.address}/_simulated/faults", json=faults, timeout=PATIENCE)


def test_an_event_is_posted_and_read_back_with_a_token(server: PrisjaktServer) -> None:
    """The documented round: POST, 201, token, GET."""
    posted = post(server)
    form = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": "secret"}
    token = requests.post(server.token_address, data=form, timeout=PATIENCE).json()["access_token"]
    answer = requests.get(
        f"{server.base_address}/pixels/{PIXEL}/events",
        params={**INTERVAL, "event_name": "purchase"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=PATIENCE,
    )

    assert (posted.status_code, posted.content) == (201, b"")
    assert "Content-Type" not in posted.headers
    assert posted.headers["X-RateLimit-Limit"] == "10000"
    assert answer.headers["Content-Type"] == "application/json"
    assert [element["external_event_id"] for element in answer.json()] == ["order-1"]


def test_links_lead_back_to_this_server(server: PrisjaktServer) -> None:
    """A client can follow them as they are."""
    for number in range(3):
        post(server, str(number))

    address: str | None = f"{server.base_address}/pixels/{PIXEL}/events?per_page=1"
    seen, query = [], INTERVAL
    while address:
        answer = requests.get(address, params=query, headers=PAIR, timeout=PATIENCE)
        seen += [element["external_event_id"] for element in answer.json()]
        address, query = answer.links.get("next", {}).get("url"), {}

    assert seen == ["2", "1", "0"]


def test_a_refusal_is_a_problem_in_json(server: PrisjaktServer) -> None:
    """Paths outside the API are refused in the same form."""
    answer = requests.get(f"{server.base_address}/pixels/{PIXEL}/events", timeout=PATIENCE)
    nothing = requests.put(f"{server.address}//nothing", timeout=PATIENCE)

    assert (answer.status_code, answer.json()["status"]) == (401, 401)
    assert (nothing.status_code, nothing.json()["status"]) == (404, 404)


def test_what_is_stored_can_be_seen_and_forgotten(server: PrisjaktServer) -> None:
    """With more than the API shows, and without credentials."""
    post(server)
    record = stored(server)[0]
    forgotten = requests.delete(f"{server.address}/_simulated/events", timeout=PATIENCE)

    assert record["pixel_id"] == PIXEL
    assert record["signed_click_id"] == event()["signed_click_id"]
    assert record["received_at"] == "2026-03-01T12:00:00Z"
    assert record["data"]["amount"] == 122.95
    assert forgotten.status_code == 204
    assert stored(server) == []
    assert post(server).status_code == 201


def test_of_many_equal_events_at_once_one_is_stored(server: PrisjaktServer) -> None:
    """The model takes one call at a time."""
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: post(server).status_code, range(24)))

    assert sorted(statuses) == [201] + [409] * 23


def test_a_status_fault_comes_over_the_wire(server: PrisjaktServer) -> None:
    """With its headers and its body, then never again."""
    added = spoil(
        server,
        {
            "kind": "status",
            "status": 502,
            "headers": {"Retry-After": "9"},
            "body": {"title": "Bad Gateway"},
        },
    )
    answer = post(server)

    assert added.status_code == 204
    assert (answer.status_code, answer.json()) == (502, {"title": "Bad Gateway"})
    assert answer.headers["Retry-After"] == "9"
    assert stored(server) == []
    assert post(server).status_code == 201


def test_a_cut_before_closes_the_connection_and_stores_nothing(server: PrisjaktServer) -> None:
    """Only for the event it names."""
    spoil(server, {"kind": "cut_before", "external_event_id": "order-*"})

    assert post(server, "other").status_code == 201
    with pytest.raises(requests.ConnectionError):
        post(server)
    assert [record["external_event_id"] for record in stored(server)] == ["other"]


def test_a_cut_after_closes_the_connection_with_the_event_stored(server: PrisjaktServer) -> None:
    """The next try conflicts."""
    spoil(server, {"kind": "cut_after", "pixel_id": PIXEL})

    with pytest.raises(requests.ConnectionError):
        post(server)
    assert len(stored(server)) == 1
    assert post(server).status_code == 409


def test_a_short_hang_is_answered_in_the_end(server: PrisjaktServer) -> None:
    """A patient client gets the true answer."""
    spoil(server, {"kind": "hang", "seconds": 0.01})

    assert post(server).status_code == 201


def test_a_hang_outlasts_the_client_and_ends_with_the_server(model: PrisjaktModel) -> None:
    """An hour of it leaves no thread behind; meanwhile others are served."""
    before = set(threading.enumerate())
    server = serve(create_app(model), 0)
    spoil(server, {"kind": "hang", "seconds": 3600, "external_event_id": "order-1"})

    with pytest.raises(requests.ReadTimeout):
        post(server, timeout=1)
    assert post(server, "other").status_code == 201
    hanging = set(threading.enumerate()) - before
    server.close()

    assert len(hanging) >= 2
    assert not any(thread.is_alive() for thread in hanging)
    assert {stored.external_event_id for stored in model.events.values()} == {"order-1", "other"}


@pytest.mark.parametrize(
    "faults",
    [
        [{"kind": "explode"}],
        [{"kind": "hang", "secondz": 1}],
        [{"kind": "status", "status": "high"}],
        [{}],
        {"kind": "hang"},
        "rubbish",
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(server: PrisjaktServer, faults: object) -> None:
    """A misspelt rule would otherwise let a test pass for nothing."""
    address = f"{server.address}/_simulated/faults"
    answer = requests.post(address, json=faults, timeout=PATIENCE)

    assert answer.status_code == 400
    assert answer.json()
    assert post(server).status_code == 201


def test_faults_can_be_taken_back(server: PrisjaktServer) -> None:
    """An outage that lasts until it is over."""
    spoil(server, {"kind": "status", "times": 1_000_000})
    down = post(server)
    requests.delete(f"{server.address}/_simulated/faults", timeout=PATIENCE)

    assert (down.status_code, post(server).status_code) == (503, 201)


def control(server: PrisjaktServer, method: str, what: str, **body: Any) -> requests.Response:
    address = f"{server.address}/_simulated/{what}"
    return requests.request(method, address, timeout=PATIENCE, **body)


def token(server: PrisjaktServer) -> dict[str, str]:
    form = {"grant_type": "client_credentials", "client_id": "shop", "client_secret": "secret"}
    answer = requests.post(server.token_address, data=form, timeout=PATIENCE)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def listed(server: PrisjaktServer, headers: dict[str, str]) -> int:
    address = f"{server.base_address}/pixels/{PIXEL}/events"
    return requests.get(address, params=INTERVAL, headers=headers, timeout=PATIENCE).status_code


def test_events_are_corrected_in_an_array(server: PrisjaktServer) -> None:
    """PATCH comes through, and 204 has neither a body nor a type."""
    post(server)
    corrected = {**event(), "data": {"amount": 1, "currency": "EUR"}}
    answer = requests.patch(
        f"{server.base_address}/pixels/{PIXEL}/events",
        json=[corrected],
        headers=token(server),
        timeout=PATIENCE,
    )

    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert [record["data"]["amount"] for record in stored(server)] == [1]


def test_clients_are_set_and_anybody_let_in_again(server: PrisjaktServer) -> None:
    """A role that is not told is that of a shop user."""
    clients = {"shop": {"secret": "new"}, "press": {"secret": "s", "roles": ["event_publisher"]}}
    press = {"client-id": "press", "client-secret": "s"}

    assert control(server, "PUT", "clients", json=clients).status_code == 204
    assert listed(server, PAIR) == 401
    assert listed(server, {**PAIR, "client-secret": "new"}) == 200
    assert listed(server, press) == 403

    assert control(server, "PUT", "clients", data="null").status_code == 204
    assert [listed(server, pair) for pair in (PAIR, press)] == [200, 200]


def test_tokens_can_be_made_to_expire(server: PrisjaktServer) -> None:
    """Those issued so far."""
    first = token(server)
    assert listed(server, first) == 200

    assert control(server, "DELETE", "tokens").status_code == 204
    assert listed(server, first) == 401
    assert listed(server, token(server)) == 200


def test_the_limit_can_be_set(server: PrisjaktServer) -> None:
    """At once, for the hour that runs too."""
    post(server)

    assert control(server, "PUT", "limit", json={"hourly": 2}).status_code == 204
    assert [post(server, str(number)).status_code for number in range(2)] == [201, 429]


@pytest.mark.parametrize(
    ("what", "body"),
    [
        *(
            ("clients", body)
            for body in [
                "",
                "rubbish",
                "[]",
                '{"shop": "secret"}',
                '{"shop": {}}',
                '{"shop": {"secret": ""}}',
                '{"": {"secret": "s"}}',
                '{"shop": {"secret": "s", "role": "admin"}}',
                '{"shop": {"secret": "s", "roles": ["owner"]}}',
            ]
        ),
        *(
            ("limit", body)
            for body in [
                "",
                "null",
                "{}",
                "10",
                '{"hourly": -1}',
                '{"hourly": "10"}',
                '{"hourly": true}',
                '{"hourly": 1, "daily": 2}',
            ]
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(
    server: PrisjaktServer, what: str, body: str
) -> None:
    """With what is wrong about it, and nothing changes."""
    answer = control(server, "PUT", what, data=body)

    assert answer.status_code == 400
    assert all(problem["msg"] for problem in answer.json())
    assert listed(server, PAIR) == 200


def test_every_request_is_remembered_in_order_with_its_outcome(server: PrisjaktServer) -> None:
    """Without bodies and secrets; those to the simulation itself do not count."""
    bearer = token(server)
    post(server)
    post(server)
    listed(server, bearer)
    listed(server, {})
    requests.get(f"{server.address}/nothing", headers=PAIR, timeout=PATIENCE)
    stored(server)

    events = f"/click-conversion/pixels/{PIXEL}/events"
    asked = control(server, "GET", "requests").json()
    names = ("method", "path", "operation", "status", "client")
    assert [tuple(one[name] for name in names) for one in asked] == [
        ("POST", "/oauth2/token", "token", 200, None),
        ("POST", events, "create-event", 201, None),
        ("POST", events, "create-event", 409, None),
        ("GET", events, "get-events", 200, "shop"),
        ("GET", events, "get-events", 401, None),
        ("GET", "/nothing", None, 404, "shop"),
    ]
    assert {len(one) for one in asked} == {len(names)}


def test_a_request_whose_connection_is_cut_has_no_status(server: PrisjaktServer) -> None:
    """None came to the client, whatever was done."""
    spoil(server, {"kind": "cut_before"}, {"kind": "cut_after"}, {"kind": "status", "status": 502})
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            post(server)
    post(server)

    asked = control(server, "GET", "requests").json()
    assert [one["status"] for one in asked] == [None, None, 502]


def test_remembered_requests_can_be_forgotten(server: PrisjaktServer) -> None:
    """A second trial starts as the first did."""
    post(server)

    assert control(server, "DELETE", "requests").status_code == 204
    assert control(server, "GET", "requests").json() == []


def test_the_last_ten_thousand_requests_are_remembered(
    model: PrisjaktModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that runs for days does not grow by them; three will do here."""
    assert prisjakt_server.REQUESTS_KEPT == 10_000
    monkeypatch.setattr(prisjakt_server, "REQUESTS_KEPT", 3)
    client = create_app(model).test_client()
    for number in range(5):
        client.get(f"/{number}")

    asked = client.get("/_simulated/requests").json
    assert asked is not None
    assert [one["path"] for one in asked] == ["/2", "/3", "/4"]


def test_a_closed_server_leaves_its_port_to_the_next(model: PrisjaktModel) -> None:
    """Closing twice does no harm, and the same app can be served again, hangs and all."""
    app = create_app(model)
    first = serve(app, 0)
    port = int(first.address.rpartition(":")[2])
    first.close()
    first.close()

    second = serve(app, port)
    spoil(second, {"kind": "hang", "seconds": 3600})
    with pytest.raises(requests.ReadTimeout):
        post(second, timeout=1)
    second.close()


def test_a_port_in_use_is_an_error_and_not_the_end_of_the_process(model: PrisjaktModel) -> None:
    """The caller decides what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve(create_app(model), taken.getsockname()[1])


def test_a_served_call_writes_nothing(
    server: PrisjaktServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither a line per request nor a traceback for a cut connection."""
    spoil(server, {"kind": "cut_after"})
    with pytest.raises(requests.ConnectionError):
        post(server)
    post(server)
    server.close()

    assert capfd.readouterr() == ("", "")
