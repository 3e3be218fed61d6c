"""The receiver's environment: all of it checked at start."""

from __future__ import annotations

import pytest

from prisjakt_relay.errors import SetupError
from prisjakt_relay.receiver.settings import Settings, from_environment

ENVIRONMENT = {"STACK_NAME": "relay", "QUEUE_URL": "https://sqs.example/1/queue"}


def test_settings_come_from_the_environment() -> None:
    assert from_environment(ENVIRONMENT) == Settings("relay", "https://sqs.example/1/queue", 1.0)


def test_the_process_s_own_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (ENVIRONMENT | {"TIME_SCALE": "0.5"}).items():
        monkeypatch.setenv(name, value)

    assert from_environment() == Settings("relay", "https://sqs.example/1/queue", 0.5)


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_there_is_no_default_for_what_the_template_sets(name: str) -> None:
    with pytest.raises(SetupError, match=f"^{name} is not set"):
        from_environment({k: v for k, v in ENVIRONMENT.items() if k != name})


def test_an_unusable_scale_is_refused() -> None:
    with pytest.raises(SetupError, match=r"^TIME_SCALE"):
        from_environment(ENVIRONMENT | {"TIME_SCALE": "soon"})
