"""A sample order through the real receiver, queue and sender, and everything in its way."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.conftest import NOW, PATIENCE
from tests.operations.answering import Told, answering
from tests.operations.patients import SECRET, put, spoilt, without_sender

from prisjakt_relay.conversion import TEST_PURCHASE, is_test_click_id
from prisjakt_relay.errors import SetupError, StorageError
from prisjakt_relay.intake import decide
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import logs, shops, trial
from prisjakt_relay.operations.delivery import Refused, send
from prisjakt_relay.operations.logs import newest
from prisjakt_relay.operations.stack import Stack, clock
from prisjakt_relay.operations.trial import Step
from prisjakt_relay.platforms import PLATFORMS, shop_from
from prisjakt_relay.rate_limit import RateLimit
from prisjakt_relay.shop import AmountChoice, CurrencyChoice, Mode, ReportWhen

PIXEL = "36746cdf-cf62-4dff-bc5b-fb2df41ecb4d"


def tried(stack: Stack, name: str, timeout: float = 60) -> dict[str, Step]:
    steps = list(trial.run(stack, name, timeout=timeout))
    assert all(step.remedy for step in steps if not step.right)
    assert all(step.right for step in steps[:-1])
    return {step.name: step for step in steps}


# The sample


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("domain", [None, "shop.example"])
@pytest.mark.parametrize("pattern", ["{id}", "SE-{number}", "{name}/{id}"])
def test_a_sample_passes_whatever_the_shop_chose(
    platform: str, domain: str | None, pattern: str
) -> None:
    choices = itertools.product(ReportWhen, AmountChoice, CurrencyChoice, ([], ["web"], ["pos"]))
    for report_when, amount, currency, excluded in choices:
        shop = shop_from(
            {
                "platform": platform,
                "pixel_id": PIXEL,
                "signing_secrets": [SECRET],
                "domain": domain,
                "order_reference": pattern,
                "report_when": report_when,
                "amount": amount,
                "currency": currency,
                "excluded_sources": excluded,
            }
        )
        order = trial.sample(shop, NOW)

        decision = decide(PLATFORMS[platform], "a-shop", shop, order.headers, order.body, NOW)

        assert decision.conversion is not None
        assert decision.conversion.event_name == TEST_PURCHASE
        assert decision.conversion.click_id == order.click_id
        assert decision.conversion.event_time == NOW
        assert order.order_id in decision.conversion.order_reference
        assert is_test_click_id(order.click_id)


def test_two_samples_are_never_one_order() -> None:
    shop = shop_from({"platform": "shopify", "pixel_id": PIXEL, "signing_secrets": [SECRET]})

    first = trial.sample(shop, NOW)
    second = trial.sample(shop, NOW.replace(microsecond=1000))

    assert first.order_id != second.order_id
    assert first.click_id != second.click_id


@pytest.mark.parametrize(
    ("order_id", "is_sample"),
    [
        (trial.sample_id(datetime(2026, 11, 21, tzinfo=UTC)), True),
        (trial.sample_id(datetime(2199, 1, 1, tzinfo=UTC)), True),
        ("6204817539289", False),
        ("302", False),
        ("None", False),
    ],
)
def test_a_sample_can_be_told_by_its_id(order_id: str, is_sample: bool) -> None:
    assert trial.is_sample(order_id) is is_sample


# All the way


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_sample_arrives_and_is_read_back(
    platform: str, stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system, platform, domain="shop.example", order_reference="T-{number}")

    steps = tried(stack, name)

    assert list(steps) == ["order", "webhook", "queue", "Prisjakt", "read back"]
    assert all(step.right for step in steps.values())
    assert all(step.seconds is not None and step.seconds >= 0 for step in list(steps.values())[1:])
    assert local_system.model is not None
    pixel_id = shops.shop(stack, name).pixel_id
    (event,) = [e for e in local_system.model.events.values() if e.pixel_id == pixel_id]
    assert event.event_name == TEST_PURCHASE
    assert event.signed_click_id in steps["order"].found
    assert str(event.external_event_id) in steps["order"].found


def test_without_credentials_nothing_is_read_back_but_one_is_told_where_to_look(
    stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system, prisjakt_client_id=None, prisjakt_client_secret=None)

    steps = tried(stack, name)

    assert steps["Prisjakt"].right
    assert steps["read back"].right is None
    assert "Business Center" in steps["read back"].remedy


# What may be in the way


def test_a_shop_that_is_not_there_is_told(stack: Stack) -> None:
    with pytest.raises(SetupError, match="there is no shop nobody in the stack local"):
        list(trial.run(stack, "nobody"))


@pytest.mark.parametrize(
    ("changes", "found", "remedy"),
    [
        ({"mode": "off"}, "lets no order through (off)", "--mode test"),
        ({"excluded_sources": ["*"]}, "lets no order through (source)", "--excluded-source"),
        (
            {"order_reference": "{id}" * 10},
            "lets no order through (unreadable)",
            "order_reference: is not of 1 to 100 characters",
        ),
    ],
)
def test_a_document_that_lets_no_order_through_is_told_before_anything_is_sent(
    changes: dict[str, Any], found: str, remedy: str, stack: Stack, local_system: LocalSystem
) -> None:
    steps = tried(stack, put(local_system, **changes))

    assert list(steps) == ["order"]
    assert steps["order"].right is False
    assert found in steps["order"].found
    assert remedy in steps["order"].remedy


def test_a_signature_that_the_function_does_not_take_is_told(
    stack: Stack, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = put(local_system)
    other = replace(shops.shop(stack, name), signing_secrets=("another",))
    monkeypatch.setattr(shops, "shop", lambda *_: other)

    steps = tried(stack, name)

    assert list(steps) == ["order", "webhook"]
    assert steps["webhook"].found == "401: the deployed function does not take the signature"


def test_a_function_that_has_an_older_document_is_told(
    stack: Stack, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = put(local_system, mode="off")
    newer = replace(shops.shop(stack, name), mode=Mode.TEST)
    monkeypatch.setattr(shops, "shop", lambda *_: newer)

    steps = tried(stack, name)

    assert steps["webhook"].found == "the receiver ignored it (off)"
    assert "try again in 5 minutes" in steps["webhook"].remedy


def test_a_pixel_that_takes_nothing_is_told_without_waiting_for_the_end(
    stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system)
    pixel_id = shops.shop(stack, name).pixel_id
    assert local_system.model is not None
    local_system.model.disabled_pixels.add(pixel_id)

    step = tried(stack, name, timeout=300)["Prisjakt"]

    assert step.right is False
    assert step.found == f"403 Forbidden, The pixel with ID {pixel_id} is disabled"
    assert f"compare pixel_id {pixel_id}" in step.remedy


def test_an_order_that_prisjakt_rejects_is_told_with_its_fields(
    stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system)
    body = {"title": "Not valid", "status": 400, "errors": {}}
    with spoilt(
        local_system, shops.shop(stack, name).pixel_id, kind="status", status=400, body=body
    ):
        step = tried(stack, name)["Prisjakt"]

    assert step.right is False
    assert step.found.startswith("400 Not valid")
    assert f"`prisjakt-relay dead show {name} 9" in step.remedy


def test_a_reference_that_prisjakt_has_already_is_told(
    stack: Stack, local_system: LocalSystem
) -> None:
    name = put(local_system)
    with spoilt(local_system, shops.shop(stack, name).pixel_id, kind="status", status=409):
        step = tried(stack, name)["Prisjakt"]

    assert step.right is False
    assert step.found.startswith("409: it has an event with the id 9")
    assert "order_reference" in step.remedy


@dataclass
class UntilTheSenderSpeaks:
    """Stands in for `time`: it is up once the sender has told of the shop's order, however long
    that takes it."""

    stack: Stack
    shop: str
    told: bool = False
    end: float = field(default_factory=lambda: time.monotonic() + PATIENCE)

    def monotonic(self) -> float:
        before, self.told = self.told, self._has_told()
        assert time.monotonic() < self.end
        return self.end if before else 0.0

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def _has_told(self) -> bool:
        since = clock() - timedelta(minutes=10)
        fields = {"shop": self.shop}
        return newest(self.stack, fields, since, groups=("SenderLogGroup",)) is not None


def test_a_prisjakt_that_does_not_answer_in_time_is_told(
    stack: Stack, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = put(local_system)
    monkeypatch.setattr(trial, "time", UntilTheSenderSpeaks(stack, name))
    pixel_id = shops.shop(stack, name).pixel_id
    with spoilt(local_system, pixel_id, kind="status", status=503, times=1000):
        step = tried(stack, name, timeout=8)["Prisjakt"]

    assert step.right is False
    assert step.found.startswith("after 8 s: 503")
    assert "goes on trying by itself" in step.remedy


def test_the_cause_of_a_wait_is_what_the_sender_says(
    stack: Stack, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = put(local_system)
    monkeypatch.setattr(trial, "time", UntilTheSenderSpeaks(stack, name))
    pixel_id = shops.shop(stack, name).pixel_id
    headers = {"Retry-After": "3000"}
    with spoilt(local_system, pixel_id, kind="status", status=429, headers=headers, times=1000):
        step = tried(stack, name, timeout=4)["Prisjakt"]

    assert step.right is False
    assert step.found.startswith("after 4 s: the order waits: ")


def test_logs_that_cannot_be_read_hide_only_the_cause(
    stack: Stack, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StorageError("StartQuery: no answer")

    monkeypatch.setattr(logs, "newest", away)
    name = put(local_system)
    monkeypatch.setattr(trial, "time", UntilTheSenderSpeaks(stack, name))
    pixel_id = shops.shop(stack, name).pixel_id
    headers = {"Retry-After": "3000"}
    with spoilt(local_system, pixel_id, kind="status", status=429, headers=headers, times=1000):
        step = tried(stack, name, timeout=4)["Prisjakt"]

    assert step.right is False
    assert step.found == "after 4 s: the sender is at it"


def test_a_sender_that_takes_nothing_is_told(stack: Stack, local_system: LocalSystem) -> None:
    name = put(local_system)

    with without_sender(stack):
        step = tried(stack, name, timeout=1)["queue"]

    assert step.right is False
    assert step.found == "after 1 s: the sender has not taken it from the queue"
    assert f"`{stack.command('doctor', name)}`" in step.remedy


def test_what_prisjakt_does_not_show_is_told(
    stack: Stack, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "_READ_BACK_SECONDS", 0)
    name = put(local_system)
    pixel_id = shops.shop(stack, name).pixel_id
    with spoilt(local_system, pixel_id, kind="status", operation="get-events", status=200, body=[]):
        step = tried(stack, name)["read back"]

    assert step.right is False
    assert step.found == "Prisjakt took the order, but does not show it yet"


def test_without_a_turn_at_prisjakt_nothing_is_read_back(
    stack: Stack, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RateLimit, "reserve", lambda *_: NOW)

    step = tried(stack, put(local_system))["read back"]

    assert step.right is None
    assert step.found.startswith("not checked: this hour's requests to Prisjakt are used up")
    assert "Business Center" in step.remedy


def test_credentials_that_read_nothing_are_told(stack: Stack, local_system: LocalSystem) -> None:
    name = put(local_system)
    pixel_id = shops.shop(stack, name).pixel_id
    body = {"title": "Forbidden", "status": 403}
    with spoilt(
        local_system, pixel_id, kind="status", operation="get-events", status=403, body=body
    ):
        step = tried(stack, name)["read back"]

    assert step.right is False
    assert "403 Forbidden" in step.found
    assert step.remedy == f"`{stack.command('doctor', name)}` checks the credentials"


# What may answer instead of the receiver


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (Told(401, json.dumps({"title": "Signature not accepted"}).encode()), "401: the deployed"),
        (
            Told(404, json.dumps({"title": "Not found"}).encode()),
            "404: the deployed function knows",
        ),
        (Told(404, b'{"message":"Not Found"}'), "404: there is no relay at"),
        (Told(403, b'{"message":"Forbidden"}'), "403: there is no relay at"),
        (Told(429, b'{"message":"Too Many Requests"}'), "429: the HTTP API lets nothing more"),
        (Told(500, b'{"message":"Internal Server Error"}'), "500: the receiver crashed"),
        (Told(503, b'{"message":"Service Unavailable"}'), "503: the receiver crashed"),
        (Told(503, json.dumps({"title": "Try again later"}).encode()), "503: the receiver cannot"),
        (Told(200, b"<html>Welcome"), "200: that is not the answer of a relay"),
        (Told(200, b"[]"), "200: that is not the answer of a relay"),
        (Told(302, b"", {"location": "/elsewhere"}), "302: that is not the answer of a relay"),
        (Told(0), "127.0.0.1 broke off"),
    ],
)
def test_every_answer_that_is_no_success_is_told_with_a_remedy(
    told: Told, found: str, stack: Stack
) -> None:
    shop = shop_from({"platform": "shopify", "pixel_id": PIXEL, "signing_secrets": [SECRET]})

    with answering({"/webhooks/shopify/a-shop": told}) as address:
        elsewhere = replace(stack, webhook_address=f"{address}/webhooks")
        answer = send(elsewhere, "a-shop", shop, SECRET, {}, b"{}")

    assert isinstance(answer, Refused)
    assert answer.found.startswith(found)
    assert answer.remedy


def test_an_address_where_nobody_listens_is_told(stack: Stack) -> None:
    shop = shop_from({"platform": "shopify", "pixel_id": PIXEL, "signing_secrets": [SECRET]})
    elsewhere = replace(stack, webhook_address="http://127.0.0.1:9/webhooks")

    answer = send(elsewhere, "a-shop", shop, SECRET, {}, b"{}")

    assert isinstance(answer, Refused)
    assert answer.found == "127.0.0.1 takes no connection"
    assert "firewall" in answer.remedy
