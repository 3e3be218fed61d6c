"""What is said of webhooks, and what is done about them."""

from __future__ import annotations

import pytest
from tests.operations.elsewhere import WHERE, commands, stack_elsewhere
from tests.platform_api.api_double import ApiDouble
from typer.main import get_command

from prisjakt_relay.cli.app import app
from prisjakt_relay.operations import webhooks
from prisjakt_relay.operations.webhooks import MEANINGS, REMEDIES, WORK, ShopWebhooks
from prisjakt_relay.platform_api.access import Access
from prisjakt_relay.platform_api.interface import Webhook
from prisjakt_relay.platform_api.subscriptions import IN_ORDER, Finding, State
from prisjakt_relay.platforms import shop_from

ADDRESS = "https://relay.example/webhooks/shopify/my-shop"
DOCUMENT = {
    "platform": "shopify",
    "pixel_id": "36746cdf-cf62-4dff-bc5b-fb2df41ecb4d",
    "signing_secrets": ["old", "new"],
}


def shop(*hooks: Webhook, sees_all: bool = True) -> ShopWebhooks:
    return ShopWebhooks(
        stack_elsewhere(),
        "my-shop",
        shop_from(DOCUMENT),
        Access(address="https://a.myshopify.com", access_token="shpat_1"),
        ApiDouble(hooks=list(hooks), sees_all=sees_all),
    )


def finding(state: State, *problems: str) -> Finding:
    if state in (State.MISSING, State.OPTIONAL):
        return Finding("orders/create", state)
    webhook = Webhook(
        id="gid://shopify/WebhookSubscription/12",
        topic="orders/create",
        address=ADDRESS,
        problems=problems,
    )
    return Finding("orders/create", state, webhook)


ALL = [finding(state) for state in State]


@pytest.mark.parametrize("state", State)
def test_every_state_is_explained_with_a_command_for_this_stack(state: State) -> None:
    remedy = shop().remedy(finding(state))

    assert MEANINGS[state]
    assert bool(remedy) is (state in REMEDIES)
    assert [WHERE in command for command in commands(remedy)] == [True] * bool(remedy)
    assert ("--id 12 " in remedy) is (state in (State.EXTRA, State.FOREIGN))


def test_every_remedy_is_a_command_that_there_is() -> None:
    group = get_command(app).commands["webhooks"]  # type: ignore[attr-defined]  # a group

    assert {words[0] for words in REMEDIES.values()} == {"webhooks"}
    assert {words[1] for words in REMEDIES.values()} <= set(group.commands)
    assert {state for state in State if state not in IN_ORDER} <= set(WORK) & set(REMEDIES)


def test_who_registers_adds_and_who_repairs_mends() -> None:
    added = [each.state for each in webhooks.missing(ALL)]
    mended = [each.state for each in webhooks.in_need(ALL, renew=False)]
    renewed = [each.state for each in webhooks.in_need(ALL, renew=True)]

    assert added == [State.MISSING, State.OPTIONAL]
    assert mended == [State.MISSING, State.BROKEN, State.DOUBLED]
    assert renewed == [State.BROKEN, State.MISSING, State.BROKEN, State.DOUBLED]
    assert len(webhooks.ours(ALL)) == 4, "neither what is not there nor another relay's"
    assert [each.state for each in webhooks.wrong(ALL)] == mended


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (finding(State.MISSING), "orders/create is missing"),
        (finding(State.DOUBLED), "orders/create is doubled"),
        (finding(State.BROKEN, "is paused", "has a filter"), "orders/create is paused and has a f"),
        (finding(State.BROKEN), "orders/create is broken"),
    ],
)
def test_a_finding_is_told_in_words(found: Finding, told: str) -> None:
    assert webhooks.told(found).startswith(told)


def test_the_newest_secret_is_the_one_to_sign_with() -> None:
    whole = shop()

    done = list(whole.carry_out(whole.findings()))

    assert isinstance(whole.api, ApiDouble)
    assert [change[-1] for change in whole.api.changes] == ["new"] * len(done) == ["new"] * 2
    assert {state.state for state in whole.findings()} == {State.ALIVE}


@pytest.mark.parametrize(
    ("found", "sees_all", "none"),
    [
        ([finding(State.MISSING), finding(State.FOREIGN)], False, True),
        ([finding(State.MISSING), finding(State.FOREIGN)], True, False),
        ([finding(State.ALIVE)], False, False),
    ],
)
def test_what_cannot_be_seen_is_known(found: list[Finding], sees_all: bool, none: bool) -> None:
    assert shop(sees_all=sees_all).none_is_ours(found) is none
