"""The sender's environment: all of it checked at start, the address of Prisjakt most of all."""

from __future__ import annotations

import pytest

from prisjakt_relay.errors import SetupError
from prisjakt_relay.sender.settings import Settings, from_environment

ENVIRONMENT = {
    "STACK_NAME": "relay",
    "TABLE_NAME": "ledger",
    "QUEUE_URL": "https://sqs.example/1/queue",
    "DEAD_LETTERS_URL": "https://sqs.example/1/dead-letters",
    "PRISJAKT_URL": "https://api.pj.nu/click-conversion",
    "PRISJAKT_TOKEN_URL": "https://auth.pj.nu/oauth2/token",
    "HOURLY_ALLOWANCE": "10000",
}
SETTINGS = Settings(
    stack="relay",
    table="ledger",
    queue_url="https://sqs.example/1/queue",
    dead_letters_url="https://sqs.example/1/dead-letters",
    prisjakt_url="https://api.pj.nu/click-conversion",
    token_url="https://auth.pj.nu/oauth2/token",
    hourly_allowance=10_000,
    time_scale=1.0,
)


def test_settings_come_from_the_environment() -> None:
    assert from_environment(ENVIRONMENT) == SETTINGS


def test_the_process_s_own_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (ENVIRONMENT | {"TIME_SCALE": "0.5"}).items():
        monkeypatch.setenv(name, value)

    assert from_environment().time_scale == 0.5


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_there_is_no_default_for_what_the_template_sets(name: str) -> None:
    with pytest.raises(SetupError, match=f"^{name} is not set"):
        from_environment({k: v for k, v in ENVIRONMENT.items() if k != name})


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("PRISJAKT_URL", "http://api.pj.nu", "'http://api.pj.nu' is not an https address"),
        ("PRISJAKT_TOKEN_URL", "auth.pj.nu", "'auth.pj.nu' is not an https address"),
        ("HOURLY_ALLOWANCE", "0", "^HOURLY_ALLOWANCE '0'"),
        ("TIME_SCALE", "2", "^TIME_SCALE"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(name: str, value: str, named: str) -> None:
    with pytest.raises(SetupError, match=named):
        from_environment(ENVIRONMENT | {name: value})
