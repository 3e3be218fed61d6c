"""Settings that several functions read: usable, or an error that names the variable."""

from __future__ import annotations

import pytest

from prisjakt_relay.environment import (
    hourly_allowance,
    prisjakt_address,
    required,
    time_scale,
)
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
    assert prisjakt_address(address) == read


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
def test_credentials_go_nowhere_else(address: str) -> None:
    with pytest.raises(SetupError, match=r"is not an https address; correct it$"):
        prisjakt_address(address)


def test_an_allowance_is_a_whole_number() -> None:
    assert hourly_allowance({"HOURLY_ALLOWANCE": " 10000 "}) == 10_000


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "\N{SUPERSCRIPT TWO}", "1_000"])
def test_an_allowance_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SetupError, match=r"^HOURLY_ALLOWANCE .* whole number from 1"):
        hourly_allowance({"HOURLY_ALLOWANCE": text})
