"""Which shops the demo storefront sees: those that the embedded AWS has now, the newest first."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from prisjakt_relay.local.relay_shops import RelayShops

DOCUMENT = {
    "platform": "shopify",
    "pixel_id": "36746cdf-cf62-4dff-bc5b-fb2df41ecb4d",
    "signing_secrets": ["demoShopifySecret1"],
}
START = datetime(2026, 11, 21, tzinfo=UTC)


class Secrets:
    """Secrets Manager, as far as it is asked here; keeps how often."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[datetime, str]] = {}
        self.asked = 0
        self.gone = False

    def put(self, name: str, document: Any, *, second: int = 0) -> None:
        moment = START + timedelta(seconds=second)
        self.kept[f"local/shops/{name}"] = (moment, json.dumps(document))

    def get_paginator(self, _: str) -> Secrets:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        if self.gone:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
        self.asked += 1
        rows = [{"Name": name, "CreatedDate": made} for name, (made, _) in self.kept.items()]
        return [{"SecretList": rows[:1]}, {"SecretList": rows[1:]}]

    def batch_get_secret_value(self, *, SecretIdList: list[str]) -> dict[str, Any]:  # noqa: N803
        assert len(SecretIdList) <= 20, "AWS takes no more"
        found = [{"Name": name, "SecretString": self.kept[name][1]} for name in SecretIdList]
        return {"SecretValues": found, "Errors": []}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


def test_shops_of_the_start_keep_their_order_and_later_ones_come_first(secrets: Secrets) -> None:
    for second, name in enumerate(("older", "newest", "b", "a")):
        secrets.put(name, DOCUMENT, second=0 if name in "ab" else 10 + second)
    secrets.kept["local/shops-of-others/x"] = (START, json.dumps(DOCUMENT))

    assert list(RelayShops(secrets, ["b", "a"])()) == ["newest", "older", "b", "a"]


def test_they_are_read_again_after_a_second(secrets: Secrets) -> None:
    clock = Clock()
    shops = RelayShops(secrets, [], clock=clock)
    assert dict(shops()) == {}
    secrets.put("mine", DOCUMENT)

    clock.now += 0.9
    assert dict(shops()) == {}
    assert secrets.asked == 1
    clock.now += 0.2
    assert list(shops()) == ["mine"]
    secrets.put("mine", DOCUMENT | {"mode": "off"})
    clock.now += 1.1
    assert shops()["mine"].mode == "off"


def test_more_shops_than_one_answer_holds_are_all_there(secrets: Secrets) -> None:
    for number in range(45):
        secrets.put(f"shop-{number}", DOCUMENT, second=number)

    assert list(RelayShops(secrets, [])()) == [f"shop-{number}" for number in range(44, -1, -1)]


@pytest.mark.parametrize("document", [{"platform": "shopify"}, [], "text", None])
def test_a_document_that_cannot_be_used_is_left_out(secrets: Secrets, document: Any) -> None:
    secrets.put("unusable", document)
    secrets.put("mine", DOCUMENT)

    assert list(RelayShops(secrets, [])()) == ["mine"]


def test_while_aws_does_not_answer_what_was_known_stays(secrets: Secrets) -> None:
    clock = Clock()
    shops = RelayShops(secrets, [], clock=clock)
    secrets.put("mine", DOCUMENT)
    shops()

    secrets.gone = True
    clock.now += 60

    assert list(shops()) == ["mine"]
