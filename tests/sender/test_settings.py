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


def test_an_unusable_scale_is_refused() -> None:
    with pytest.raises(SetupError, match=r"^TIME_SCALE"):
        from_environment(ENVIRONMENT | {"TIME_SCALE": "2"})


@pytest.mark.parametrize(
    ("address", "read"),
    [
        ("https://api.pj.nu/click-conversion/", "https://api.pj.nu/click-conversion"),
        ("https://api.pj.nu:8443", "https://api.pj.nu:8443"),
        ("http://127.0.0.1:8788/click-conversion", "http://127.0.0.1:8788/click-conversion"),
        ("http://localhost:8788", "http://localhost:8788"),
    ],
)
def test_prisjakt_has_an_https_address_or_one_on_this_machine(address: str, read: str) -> None:
    assert from_environment(ENVIRONMENT | {"PRISJAKT_URL": address}).prisjakt_url == read


@pytest.mark.parametrize(
    "address",
    [
        "http://api.pj.nu/click-conversion",
        "http://127.0.0.1.pj.test/",
        "http://127.0.0.1:80@pj.test/",
        "http://localhost.pj.test:80/",
        "ftp://127.0.0.1/",
        "api.pj.nu/click-conversion",
        "https://",
        "https:///click-conversion",
        "https://[::1",
        "yes",
    ],
)
@pytest.mark.parametrize("name", ["PRISJAKT_URL", "PRISJAKT_TOKEN_URL"])
def test_credentials_go_nowhere_else(name: str, address: str) -> None:
    with pytest.raises(SetupError, match="is not an https address"):
        from_environment(ENVIRONMENT | {name: address})


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "\N{SUPERSCRIPT TWO}", "1_000"])
def test_an_allowance_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SetupError, match=r"^HOURLY_ALLOWANCE .* whole number from 1"):
        from_environment(ENVIRONMENT | {"HOURLY_ALLOWANCE": text})
