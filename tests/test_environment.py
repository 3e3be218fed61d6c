"""Settings that both functions read: present, or an error that names the variable."""

from __future__ import annotations

import pytest

from prisjakt_relay.environment import required, time_scale
from prisjakt_relay.errors import SetupError


def test_a_setting_is_read_without_the_white_space_around_it() -> None:
    assert required({"QUEUE_URL": " https://queue \n"}, "QUEUE_URL") == "https://queue"


@pytest.mark.parametrize("environment", [{}, {"QUEUE_URL": ""}, {"QUEUE_URL": " \t"}])
def test_a_missing_setting_is_named_with_the_remedy(environment: dict[str, str]) -> None:
    with pytest.raises(SetupError, match=r"^QUEUE_URL is not set; deploy with .*template\.yaml$"):
        required(environment, "QUEUE_URL")


@pytest.mark.parametrize(
    ("environment", "scale"),
    [({}, 1.0), ({"TIME_SCALE": "1"}, 1.0), ({"TIME_SCALE": "0.01"}, 0.01)],
)
def test_waits_are_shortened_only_where_the_environment_says_so(
    environment: dict[str, str], scale: float
) -> None:
    assert time_scale(environment) == scale


@pytest.mark.parametrize("text", ["", "0", "-0.5", "1.01", "nan", "inf", "fast", "1,5"])
def test_an_unusable_scale_stops_the_function(text: str) -> None:
    with pytest.raises(SetupError, match=r"^TIME_SCALE is not .*; leave it out on AWS$"):
        time_scale({"TIME_SCALE": text})
