"""OWASP's API Security Top 10 of 2023, one class for each: https://owasp.org/API-Security/

What other tests show already is named in `docs/threats.md` and not repeated here.
"""

from __future__ import annotations

import json
import socket
from dataclasses import fields
from typing import Any

import pytest
from tests.benchmark.template import Stack, deployed
from tests.security import hostile
from tests.security.fuzzing import NOW, Surroundings, Watched, signed

from prisjakt_relay import intake
from prisjakt_relay.conversion import Conversion
from prisjakt_relay.environment import prisjakt_address
from prisjakt_relay.errors import SetupError, ShopDocumentError, SignatureError
from prisjakt_relay.local import project
from prisjakt_relay.local.aws import expand
from prisjakt_relay.local.deliveries import Delivery
from prisjakt_relay.outcomes import Reason
from prisjakt_relay.platform_api import access
from prisjakt_relay.platforms import PLATFORMS, shop_from

SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # good for every platform
PAID = {"shopify": "orders-create-paid", "woocommerce": "made-purchase-paid"}
BOTH = pytest.mark.parametrize("platform", PAID)


@pytest.fixture
def relay() -> Surroundings:
    return Surroundings()


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    found: dict[str, Any] = expand((project.root() / "template.yaml").read_text("utf-8"))[
        "Resources"
    ]
    return found


def paid(relay: Surroundings, platform: str) -> Delivery:
    return relay.named(platform, PAID[platform])


def changed(sample: Delivery, **changes: Any) -> bytes:
    return json.dumps(json.loads(sample.body) | changes).encode()


class TestBrokenObjectLevelAuthorization:
    """API1: an address names a shop; whoever asks has to have that shop's secret."""

    @BOTH
    def test_every_shop_s_address_takes_its_own_secret_only(
        self, platform: str, relay: Surroundings
    ) -> None:
        sample = paid(relay, platform)
        for name in ("one", "two", "three"):
            relay.documents[name] = {
                **relay.documents[sample.shop],
                "signing_secrets": [f"secret-of-{name}"],
            }

        statuses = {
            (shop, secret): relay.deliver(sample, shop=shop, secret=f"secret-of-{secret}").status
            for shop in ("one", "two", "three")
            for secret in ("one", "two", "three")
        }

        assert statuses == {
            (shop, secret): 200 if shop == secret else 401 for shop, secret in statuses
        }
        assert [wish.shop for wish in relay.queued] == ["one", "two", "three"]

    @BOTH
    def test_an_answer_tells_of_no_order_but_the_one_that_was_sent(
        self, platform: str, relay: Surroundings
    ) -> None:
        """There is no way to ask for what is known of an order, or whether it is known."""
        sample = paid(relay, platform)

        first, again = relay.deliver(sample), relay.deliver(sample)

        assert first == again


class TestBrokenAuthentication:
    """API2: see also `test_abuse`, and every bit of every signature in `test_fuzz`."""

    @BOTH
    def test_no_document_can_be_without_a_secret(self, platform: str) -> None:
        for secrets in (None, [], [""], ["  "], "text", [None]):
            document = {
                "platform": platform,
                "pixel_id": hostile.UUID,
                "signing_secrets": secrets,
            }
            with pytest.raises(ShopDocumentError, match="signing_secrets"):
                shop_from(document)

    @BOTH
    def test_a_shop_that_is_off_still_wants_a_signature(
        self, platform: str, relay: Surroundings
    ) -> None:
        sample = paid(relay, platform)
        relay.documents[sample.shop]["mode"] = "off"

        assert relay.deliver(sample, secret="wrong").status == 401
        assert relay.deliver(sample).body["reason"] == "off"

    @BOTH
    def test_only_a_ping_needs_no_signature_and_it_does_nothing(
        self, platform: str, relay: Surroundings
    ) -> None:
        sample = paid(relay, platform)

        given = relay.post(platform, sample.shop, {}, b"webhook_id=1")

        assert given.status == (200 if platform == "woocommerce" else 401)
        assert given.body.get("reason") in (None, Reason.PING)
        assert relay.queued == []


class TestBrokenObjectPropertyLevelAuthorization:
    """API3: what a body says beside the order's facts changes nothing."""

    @BOTH
    def test_a_body_cannot_choose_what_the_relay_decides(
        self, platform: str, relay: Surroundings
    ) -> None:
        sample = paid(relay, platform)
        relay.deliver(sample)
        names = {each.name for each in fields(Conversion)} - {"order_id"}
        names |= {"version", "kind", "mode", "pixel_id", "signing_secrets", "report_when"}
        names |= {"prisjakt_client_id", "status_code", "__class__", "__proto__", "constructor"}
        own = json.loads(sample.body)

        relay.deliver(sample, changed(sample, **dict.fromkeys(names - own.keys(), "elsewhere")))

        one, other = relay.queued
        assert one.to_message() == other.to_message()

    @BOTH
    def test_of_an_order_its_fourteen_facts_go_on_and_nothing_else(
        self, platform: str, relay: Surroundings
    ) -> None:
        sample = paid(relay, platform)
        body = changed(sample, **{hostile.CANARY: hostile.CANARY, "note": hostile.CANARY})

        relay.deliver(sample, body)

        (wish,) = relay.queued
        assert hostile.CANARY not in wish.to_message()
        assert len(json.loads(wish.to_message())) == len(fields(Conversion)) + 1


class TestUnrestrictedResourceConsumption:
    """API4: bounds on rate, size, reads and memory; what a flood costs is in `test_flood`."""

    def test_the_throttle_can_be_lowered_and_not_switched_off(self) -> None:
        parameters = Stack().parameters

        assert 1 <= parameters["RequestsPerSecond"] <= 100
        assert 1 <= parameters["RequestBurst"] <= 1_000

    def test_no_function_can_hang_for_ever(self) -> None:
        for name in ("ReceiverFunction", "SenderFunction", "ReconcilerFunction"):
            assert 0 < deployed().properties(name)["Timeout"] <= 900

    def test_invented_shops_cost_one_read_a_second(self, relay: Surroundings) -> None:
        """All together: ten at once, then the answer comes without asking anybody."""
        reads: list[str] = []
        relay.documents = Watched(relay.documents, reads)

        for number in range(5_000):
            assert relay.post("shopify", f"invented-{number}", {}, b"{}").status == 404

        assert len(reads) <= 11

    @BOTH
    def test_forgeries_are_refused_before_they_are_parsed(
        self, platform: str, relay: Surroundings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def forbidden(_: str) -> None:
            raise AssertionError("it was parsed")

        monkeypatch.setattr(intake, "_decode", forbidden)
        sample = paid(relay, platform)

        assert relay.deliver(sample, secret="wrong").status == 401


class TestBrokenFunctionLevelAuthorization:
    """API5: one function is reachable, for one thing; nothing is administered over HTTP."""

    def test_there_is_one_route_and_it_takes_one_method(self, resources: dict[str, Any]) -> None:
        routes = [
            each["Properties"]["RouteKey"]
            for each in resources.values()
            if each["Type"] == "AWS::ApiGatewayV2::Route"
        ]

        assert routes == ["POST /webhooks/{platform}/{shop}"]

    def test_only_the_receiver_is_reachable_from_outside(self, resources: dict[str, Any]) -> None:
        principals = {
            (each["Properties"]["FunctionName"]["Ref"], each["Properties"]["Principal"])
            for each in resources.values()
            if each["Type"] == "AWS::Lambda::Permission"
        }

        assert {name for name, who in principals if who == "apigateway.amazonaws.com"} == {
            "ReceiverFunction"
        }
        assert not [each for each in resources.values() if each["Type"] == "AWS::Lambda::Url"]


class TestUnrestrictedAccessToSensitiveBusinessFlows:
    """API6: the flow is money: a reported purchase is paid for by somebody."""

    @BOTH
    def test_one_order_is_one_purchase_however_often_it_is_told(
        self, platform: str, relay: Surroundings
    ) -> None:
        sample = paid(relay, platform)

        for number in range(20):
            relay.deliver(sample, headers={"x-request-id": str(number)})

        assert len({wish.to_message() for wish in relay.queued}) == 1

    @BOTH
    @pytest.mark.parametrize("amount", ["-1.00", "0.00", "1000000000.00", "1e30", "NaN"])
    def test_no_purchase_is_of_an_impossible_amount(
        self, platform: str, amount: str, relay: Surroundings
    ) -> None:
        sample = paid(relay, platform)
        names = ("total_price", "current_total_price", "total")

        given = relay.deliver(sample, changed(sample, **dict.fromkeys(names, amount)))

        assert given.body["reason"] in ("amount_out_of_range", "unreadable")
        assert relay.queued == []


class TestServerSideRequestForgery:
    """API7: no address out of a delivery is ever asked."""

    @BOTH
    def test_nothing_is_fetched_for_a_delivery(
        self, platform: str, relay: Surroundings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def forbidden(*_: object, **__: object) -> None:
            raise AssertionError("somebody was asked")

        monkeypatch.setattr(socket, "getaddrinfo", forbidden)
        monkeypatch.setattr(socket.socket, "connect", forbidden)
        sample = paid(relay, platform)
        address = f"http://169.254.169.254/latest/meta-data/?pjclid={hostile.CLICK_ID}"
        names = ("landing_site", "referring_site", "order_status_url", "_links", "payment_url")

        given = relay.deliver(
            sample,
            changed(sample, **dict.fromkeys(names, address)),
            headers=dict.fromkeys(("x-forwarded-host", "referer", "origin"), address),
        )

        assert given.status == 200

    @pytest.mark.parametrize(
        "address",
        [
            "http://169.254.169.254/latest/meta-data/",
            "http://shop.example",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_",
            "ftp://shop.example",
            "https://",
            "//shop.example",
            "https://shop.example@evil.example",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "http://127.1/",
            "http://[::ffff:169.254.169.254]/",
            "http://2130706433/",
        ],
    )
    def test_credentials_go_to_https_or_this_machine(self, address: str) -> None:
        """To shop systems; Prisjakt's addresses are settings, and just as strict."""
        way = {"address": address, "consumer_key": "ck", "consumer_secret": "cs"}
        with pytest.raises(ShopDocumentError, match="address"):
            access.from_document(way, "woocommerce")
        if "@" not in address:
            with pytest.raises(SetupError):
                prisjakt_address(address)

    def test_the_template_takes_https_addresses_only(self) -> None:
        """`http` for loopback alone, where the local system is; a function has nobody there."""
        parameters = expand((project.root() / "template.yaml").read_text("utf-8"))["Parameters"]

        for name in ("PrisjaktUrl", "PrisjaktTokenUrl"):
            assert parameters[name]["Default"].startswith("https://")
            assert parameters[name]["AllowedPattern"].startswith(
                "^(https://|http://(127[.]0[.]0[.]1"
            )


class TestSecurityMisconfiguration:
    """API8: answers that tell nothing, no page of another origin, everything encrypted."""

    @BOTH
    def test_every_failure_is_a_problem_document_without_its_cause(
        self, platform: str, relay: Surroundings
    ) -> None:
        sample = paid(relay, platform)
        relay.documents["broken"] = {"platform": platform, "pixel_id": hostile.CANARY}

        unusable = relay.deliver(sample, shop="broken")
        unsigned = relay.deliver(sample, secret="wrong")
        unknown = relay.deliver(sample, shop="unknown")

        assert [each.status for each in (unusable, unsigned, unknown)] == [503, 401, 404]
        for each in (unusable, unsigned, unknown):
            assert each.headers["content-type"] == "application/problem+json"
            assert each.body.keys() == {"type", "title", "status", "detail"}
            text = json.dumps([each.body, dict(each.headers)])
            for telling in (hostile.CANARY, "Traceback", "Error", "prisjakt_relay", "Python"):
                assert telling not in text

    def test_no_page_of_another_origin_is_let_in(self, resources: dict[str, Any]) -> None:
        (api,) = (
            each["Properties"]
            for each in resources.values()
            if each["Type"] == "AWS::ApiGatewayV2::Api"
        )

        assert "CorsConfiguration" not in api

    def test_queues_are_encrypted_at_rest(self, resources: dict[str, Any]) -> None:
        for each in resources.values():
            if each["Type"] == "AWS::SQS::Queue":
                assert each["Properties"]["SqsManagedSseEnabled"] is True


class TestImproperInventoryManagement:
    """API9: what there is, is in the template; an older address is no address."""

    @pytest.mark.parametrize("platform", ["", "v1", "magento", "shopify2", "test", "admin"])
    def test_what_is_no_platform_is_not_found(self, platform: str, relay: Surroundings) -> None:
        assert relay.post(platform, "demo-shopify", {}, b"{}").status == 404

    def test_every_platform_of_the_list_verifies(self) -> None:
        """None can be added that takes whatever comes."""
        for platform in PLATFORMS.values():
            headers = signed(platform, b"{}", SECRET)
            assert headers
            for changes in ({}, dict.fromkeys(headers, "")):
                with pytest.raises(SignatureError):
                    platform.verify(changes, b"{}", [SECRET], NOW)


class TestUnsafeConsumptionOfApis:
    """API10: what Prisjakt and shop systems answer is no more trusted than what is delivered."""

    def test_an_order_that_was_fetched_passes_the_same_rules(self, relay: Surroundings) -> None:
        """The reconciler's orders go through the code that webhooks go through."""
        sample = paid(relay, "shopify")
        document = json.loads(changed(sample, id="../1", name="\x1b[2J"))

        decision = intake.assess(
            PLATFORMS["shopify"], sample.shop, relay.shops[sample.shop], document, NOW
        )

        assert (decision.conversion, decision.reason) == (None, Reason.UNREADABLE)
