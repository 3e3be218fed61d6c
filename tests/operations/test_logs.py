"""Log lines through Logs Insights, as the embedded AWS and the real one answer."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from prisjakt_relay.errors import SetupError, StorageError
from prisjakt_relay.local.aws import EmbeddedAws
from prisjakt_relay.operations import logs
from prisjakt_relay.operations.stack import LOCAL_REGION, Stack

GROUPS = ("ReceiverLogGroup", "SenderLogGroup")
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)

Write = Callable[..., None]


@pytest.fixture
def stack(embedded_aws: EmbeddedAws) -> Stack:
    """A stack of which there is nothing but two log groups."""
    name = f"logs-{uuid.uuid4()}"
    groups = {group: f"/aws/lambda/{name}-{group}" for group in GROUPS}
    for group in groups.values():
        client = embedded_aws.client("logs")
        client.create_log_group(logGroupName=group)
        client.create_log_stream(logGroupName=group, logStreamName="one")
    return Stack(
        name=name,
        status="CREATE_COMPLETE",
        region=LOCAL_REGION,
        outputs=groups,
        parameters={},
        webhook_address="",
        session=boto3.Session("test", "test", region_name=LOCAL_REGION),
        endpoint=embedded_aws.endpoint,
    )


@pytest.fixture
def write(stack: Stack, embedded_aws: EmbeddedAws) -> Write:
    def written(*events: tuple[int, Any], group: str = "ReceiverLogGroup") -> None:
        """Each so many milliseconds after START; what is no text becomes JSON."""
        start = int(START.timestamp() * 1000)
        embedded_aws.client("logs").put_log_events(
            logGroupName=stack.outputs[group],
            logStreamName="one",
            logEvents=[
                {
                    "timestamp": start + milliseconds,
                    "message": line if isinstance(line, str) else json.dumps(line),
                }
                for milliseconds, line in events
            ],
        )

    return written


def found(
    stack: Stack,
    fields: dict[str, str],
    first: float = 0,
    last: float = 3_600_000,
    **more: Any,
) -> list[Any]:
    since, until = (START + timedelta(milliseconds=each) for each in (first, last))
    return [line["n"] for line in logs.lines(stack, fields, since, until, **more)]


def numbered(numbers: Sequence[int], **fields: Any) -> list[tuple[int, Any]]:
    return [(number, {"n": number, **fields}) for number in numbers]


def test_lines_of_both_functions_come_oldest_first(stack: Stack, write: Write) -> None:
    write(*numbered([3, 7, 900_000], shop="a"))
    write(*numbered([1, 5, 600_000], shop="a"), group="SenderLogGroup")

    assert found(stack, {"shop": "a"}) == [1, 3, 5, 7, 600_000, 900_000]
    assert found(stack, {"shop": "a"}, groups=("SenderLogGroup",)) == [1, 5, 600_000]


def test_a_line_tells_when_it_was_written(stack: Stack, write: Write) -> None:
    write((1_234, {"shop": "a"}))

    (line,) = logs.lines(stack, {"shop": "a"}, START, START + timedelta(minutes=1))

    assert line["at"] == START + timedelta(milliseconds=1_234)


@pytest.mark.parametrize("most", [2, 3, 7, 50])
def test_more_lines_than_a_query_answers_come_all_and_once(
    stack: Stack, write: Write, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Also where an interval's half ends between two milliseconds."""
    numbers = [each * 1_501 for each in range(40)]
    write(*numbered(numbers, shop="a"))
    monkeypatch.setattr(logs, "MOST", most)

    assert found(stack, {"shop": "a"}, 0, 60_041.001) == numbers


def test_lines_of_neighbouring_milliseconds_are_not_lost_at_the_cut(
    stack: Stack, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = list(range(1_990, 2_011))
    write(*numbered(numbers, shop="a"))
    monkeypatch.setattr(logs, "MOST", 20)

    assert found(stack, {"shop": "a"}, 0, 4_000.999) == numbers


def test_each_query_tells_how_many_it_found(
    stack: Stack, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(*numbered(range(0, 60_000, 10_000), shop="a"))
    monkeypatch.setattr(logs, "MOST", 5)
    pages: list[int] = []

    assert len(found(stack, {"shop": "a"}, 0, 60_000, on_page=pages.append)) == 6
    assert pages == [3, 3]


def test_the_bounds_of_the_interval_are_included_and_nothing_beyond(
    stack: Stack, write: Write
) -> None:
    write(*numbered([999, 1_000, 1_001, 1_999, 2_000, 2_001], shop="a"))

    assert found(stack, {"shop": "a"}, 1_000, 2_000) == [1_000, 1_001, 1_999, 2_000]


@pytest.mark.parametrize(
    "value",
    ['say "a"', "a/b", r"a\b", "a|b", "a.b*", "(a)", "#1001", "SE-1 x", "1001å", "a' or 'a"],
)
def test_any_value_is_found_as_it_is(stack: Stack, write: Write, value: str) -> None:
    write(
        (1, json.dumps({"n": 1, "shop": value}, ensure_ascii=False)),
        (2, json.dumps({"n": 2, "shop": value}, ensure_ascii=False, separators=(",", ":"))),
        (3, {"n": 3, "shop": value + "x"}),
        (4, {"n": 4, "other": value}),
        (5, {"n": 5, "other": f'"shop": "{value}"'}),
    )

    assert found(stack, {"shop": value}) == [1, 2]


def test_all_fields_have_to_fit(stack: Stack, write: Write) -> None:
    write(
        (1, {"n": 1, "shop": "a", "order_id": "1"}),
        (2, {"n": 2, "shop": "a", "order_id": "11"}),
        (3, {"n": 3, "shop": "b", "order_id": "1"}),
        (4, {"n": 4, "shop": "x", "inner": {"shop": "a", "order_id": "1"}}),
    )

    assert found(stack, {"shop": "a", "order_id": "1"}) == [1]


def test_what_is_no_line_of_ours_is_passed_over(stack: Stack, write: Write) -> None:
    write(
        (1, 'START RequestId: 1 "shop": "a"'),
        (2, '"shop": "a"'),
        (3, '["shop", {"shop": "a"}]'),
        (4, {"n": 4, "shop": "a"}),
        (5, '{"n": 5, "shop": "a"'),
    )

    assert found(stack, {"shop": "a"}) == [4]


def test_the_newest_line_is_one_or_none(stack: Stack, write: Write) -> None:
    write(*numbered([5, 900_000, 60_000], shop="a"))

    newest = logs.newest(stack, {"shop": "a"}, START)

    assert newest is not None
    assert newest["n"] == 900_000
    assert logs.newest(stack, {"shop": "a"}, START + timedelta(hours=1)) is None
    assert logs.newest(stack, {"shop": "b"}, START) is None


class Stubbed:
    """Logs Insights that answers as told."""

    def __init__(self, *statuses: str, refusal: str | None = None) -> None:
        self.statuses = list(statuses)
        self.refusal = refusal
        self.stopped: list[str] = []

    def start_query(self, **_: Any) -> dict[str, str]:
        if self.refusal is not None:
            raise ClientError(
                {"Error": {"Code": "MalformedQueryException", "Message": self.refusal}},
                "StartQuery",
            )
        return {"queryId": "q"}

    def get_query_results(self, *, queryId: str) -> dict[str, Any]:  # noqa: N803
        status = self.statuses.pop(0)
        if status == "Ctrl-C":
            raise KeyboardInterrupt
        return {"status": status, "results": [], "queryId": queryId}

    def stop_query(self, *, queryId: str) -> None:  # noqa: N803
        self.stopped.append(queryId)


@pytest.fixture
def stubbed(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Callable[[Stubbed], None]:
    monkeypatch.setattr(logs, "_POLL_SECONDS", 0)

    def instead(stub: Stubbed) -> None:
        assert stack.outputs
        monkeypatch.setattr(Stack, "client", lambda *_: stub)

    return instead


def test_a_time_before_the_stack_or_no_longer_kept_has_no_lines(
    stack: Stack, stubbed: Callable[[Stubbed], None]
) -> None:
    """AWS calls such an interval malformed."""
    stubbed(
        Stubbed(
            refusal="Query's end date and time is either before the log groups creation time or "
            "exceeds the log groups log retention settings ([0,79])"
        )
    )

    assert found(stack, {"shop": "a"}) == []


def test_another_refusal_is_an_error(stack: Stack, stubbed: Callable[[Stubbed], None]) -> None:
    stubbed(Stubbed(refusal="unexpected symbol"))

    with pytest.raises(SetupError, match="StartQuery: MalformedQueryException"):
        found(stack, {"shop": "a"})


def test_a_query_is_waited_for(stack: Stack, stubbed: Callable[[Stubbed], None]) -> None:
    stub = Stubbed("Scheduled", "Running", "Running", "Complete")
    stubbed(stub)

    assert found(stack, {"shop": "a"}) == []
    assert stub.statuses == []


def test_a_query_that_fails_is_said_to(stack: Stack, stubbed: Callable[[Stubbed], None]) -> None:
    stubbed(Stubbed("Failed"))

    with pytest.raises(StorageError, match="ended as Failed: try again"):
        found(stack, {"shop": "a"})


def test_a_query_that_takes_too_long_is_given_up(
    stack: Stack, stubbed: Callable[[Stubbed], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stubbed(Stubbed())
    monkeypatch.setattr(logs, "_LONGEST", timedelta(0))

    with pytest.raises(StorageError, match="ask for a shorter interval"):
        found(stack, {"shop": "a"})


def test_ctrl_c_stops_the_query_too(stack: Stack, stubbed: Callable[[Stubbed], None]) -> None:
    """A running query costs money until its end."""
    stub = Stubbed("Running", "Ctrl-C")
    stubbed(stub)

    with pytest.raises(KeyboardInterrupt):
        found(stack, {"shop": "a"})
    assert stub.stopped == ["q"]
