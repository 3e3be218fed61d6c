"""Runs inside the warm process: CPU time per webhook of the receiver's handler, and of the floor.

It is handed a plan on standard input, as JSON, and answers with nanoseconds on standard error:
what the handler logs goes to standard output. See `tests.benchmark.warm`.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import urllib3

from prisjakt_relay import aws
from prisjakt_relay.receiver.app import handler


class Context:
    """What the runtime's client hands over, as far as the handler reads it."""

    aws_request_id = "8f1b7a52-3c5e-4f0e-9d1a-benchmark00"


class Answer:
    """SQS has taken the message."""

    status = 200
    data = json.dumps(
        {
            "MessageId": "e95a3f4c-9f3c-4b5a-8d7f-2f1f6d0a1b2c",
            "MD5OfMessageBody": "d41d8cd98f00b204e9800998ecf8427e",
        }
    ).encode()


def main() -> None:
    plan = json.load(sys.stdin)
    results: dict[str, list[float]] = {}
    context = Context()
    queued: str = plan["queued"]
    calls: dict[str, Callable[[], object]] = {}
    for name, event in plan["events"].items():
        calls[f"floor, {name}"] = floor(event, plan["secret"])
        calls[f"handler, {name}"] = webhook(event, context)
        check(handler(event, context), plan["outcomes"][name])  # the first one reads the document

    def without_sending() -> None:
        with replaced(urllib3.PoolManager, "request", lambda *_, **__: Answer()):
            measure(f"without sending, {queued}", calls[f"handler, {queued}"])

    def own_code() -> None:
        """Without the signature and all else that is botocore's, too."""
        with replaced(aws.Service, "call", lambda *_: {}):
            measure(f"own code, {queued}", calls[f"handler, {queued}"])

    def measure(name: str, call: Callable[[], object]) -> None:
        results.setdefault(name, []).append(cpu_time(call, plan["calls"]))

    for _ in range(plan["rounds"] + 1):
        for name, call in calls.items():
            measure(name, call)
        without_sending()
        own_code()
    json.dump({name: values[1:] for name, values in results.items()}, sys.stderr)


@contextmanager
def replaced(owner: type, name: str, stand_in: Callable[..., object]) -> Iterator[None]:
    real = getattr(owner, name)
    setattr(owner, name, stand_in)
    try:
        yield
    finally:
        setattr(owner, name, real)


def webhook(event: dict[str, Any], context: Context) -> Callable[[], object]:
    return lambda: handler(event, context)


def floor(event: dict[str, Any], secret: str) -> Callable[[], object]:
    """The least that a receiver can do: check the signature, read the order."""
    key, body = secret.encode(), event["body"].encode()

    def least() -> object:
        base64.b64encode(hmac.digest(key, body, hashlib.sha256))
        return json.loads(body)

    return least


def cpu_time(call: Callable[[], object], calls: int) -> float:
    """Of the process, in nanoseconds per call."""
    started = time.process_time_ns()
    for _ in range(calls):
        call()
    return (time.process_time_ns() - started) / calls


def check(answer: dict[str, Any], outcome: str) -> None:
    given = json.loads(answer["body"])
    if answer["statusCode"] != 200 or given["outcome"] != outcome:
        raise SystemExit(f"{outcome} was expected: {answer}")


if __name__ == "__main__":
    main()
