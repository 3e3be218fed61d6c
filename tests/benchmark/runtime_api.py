"""Runs a function as a fresh process behind a Lambda Runtime API on loopback and times it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from tests.benchmark.loopback import LoopbackHandler, LoopbackServer

TIMEOUT = 60.0
REGION = "eu-north-1"


@dataclass(frozen=True)
class Function:
    """What Lambda knows of a function: its handler, its unpacked artifact, its own environment."""

    handler: str
    artifact: Path
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Runtime:
    """What Lambda brings: the interpreter, and a folder with awslambdaric and boto3."""

    python: Path
    folder: Path


@dataclass(frozen=True)
class Lifetime:
    """One process from its start to its end; times are milliseconds."""

    init: float
    first: float
    later: tuple[float, ...]
    responses: tuple[Any, ...]
    output: str
    exit_code: int


class FunctionError(Exception):
    """The process failed to start, failed in an invocation, or fell silent."""


class WrongAnswerError(FunctionError):
    """A function did not do its work, so its times and its cost mean nothing."""


class _Report(NamedTuple):
    kind: Literal["next", "response", "error", "init/error", "end"]
    at: int
    body: bytes = b""


class _Handler(LoopbackHandler):
    server: _RuntimeApi

    def do_GET(self) -> None:  # noqa: N802
        self.server.reports.put(_Report("next", time.perf_counter_ns()))
        event = self.server.events.get()
        if event is None:
            self.close_connection = True
            return
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": str(uuid.uuid4()),
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + TIMEOUT) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": (
                f"arn:aws:lambda:{REGION}:000000000000:function:benchmark"
            ),
            "Lambda-Runtime-Trace-Id": (
                f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};"
                f"Parent={uuid.uuid4().hex[:16]};Sampled=1"
            ),
        }
        self.server.handed_over_at = time.perf_counter_ns()
        self.answer(200, event, headers)

    def do_POST(self) -> None:  # noqa: N802
        body = self.read_body()
        at = time.perf_counter_ns()
        self.answer(202, {"status": "OK"}, {"Content-Type": "application/json"})
        if self.path.endswith("/response"):
            self.server.reports.put(_Report("response", at, body))
        elif self.path.endswith("/init/error"):
            self.server.reports.put(_Report("init/error", at, body))
        else:
            self.server.reports.put(_Report("error", at, body))


class _RuntimeApi(LoopbackServer):
    def __init__(self) -> None:
        super().__init__(_Handler)
        self.events: queue.SimpleQueue[object | None] = queue.SimpleQueue()
        self.reports: queue.SimpleQueue[_Report] = queue.SimpleQueue()
        self.handed_over_at = 0

    def expect(self, kind: Literal["next", "response"]) -> _Report:
        """The process's next report, if it is of this kind."""
        try:
            report = self.reports.get(timeout=TIMEOUT)
        except queue.Empty:
            raise FunctionError(f"no {kind} within {TIMEOUT:.0f} s") from None
        if report.kind != kind:
            raise FunctionError(f"{report.kind} instead of {kind}: {_error_text(report.body)}")
        return report


def run(function: Function, runtime: Runtime, events: Sequence[object]) -> Lifetime:
    """Starts the function, hands it the events one after another, and ends it as Lambda does."""
    invocations: list[float] = []
    responses: list[Any] = []
    with _RuntimeApi() as api, tempfile.TemporaryFile() as output:
        command = [str(runtime.python), "-m", "awslambdaric", function.handler]
        environment = process_environment(function, runtime, api.address)
        spawned_at = time.perf_counter_ns()
        process = subprocess.Popen(  # noqa: S603
            command,
            cwd=function.artifact,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        watcher = threading.Thread(target=_report_end, args=(process, api))
        watcher.start()
        try:
            init = _milliseconds(spawned_at, api.expect("next").at)
            for event in events:
                api.events.put(event)
                response = api.expect("response")
                invocations.append(_milliseconds(api.handed_over_at, response.at))
                responses.append(json.loads(response.body))
                api.expect("next")
        except FunctionError as error:
            raise FunctionError(f"{function.handler}: {error}\n{_text(output)}") from None
        finally:
            process.kill()
            watcher.join()
            api.events.put(None)
        return Lifetime(
            init=init,
            first=invocations[0],
            later=tuple(invocations[1:]),
            responses=tuple(responses),
            output=_text(output),
            exit_code=process.returncode,
        )


def process_environment(function: Function, runtime: Runtime, api_address: str) -> dict[str, str]:
    """The variables that Lambda sets, and the function's own; nothing of the caller's."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "HOME": os.devnull,
        "PYTHONPATH": f"{function.artifact}:{runtime.folder}",
        # Lambda's folders are read-only; this makes ours so, for root too.
        "PYTHONDONTWRITEBYTECODE": "1",
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": str(function.artifact),
        "LAMBDA_RUNTIME_DIR": str(runtime.folder),
        "AWS_LAMBDA_RUNTIME_API": api_address,
        "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/benchmark",
        "AWS_LAMBDA_LOG_STREAM_NAME": "benchmark",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_SESSION_TOKEN": "benchmark",
        **function.environment,
    }


def _report_end(process: subprocess.Popen[bytes], api: _RuntimeApi) -> None:
    code = process.wait()
    api.reports.put(_Report("end", time.perf_counter_ns(), f"exit code {code}".encode()))


def _milliseconds(start: int, end: int) -> float:
    return (end - start) / 1e6


def _error_text(body: bytes) -> str:
    try:
        error = json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
    trace = "".join(error.get("stackTrace") or ())
    return f"{error.get('errorType')}: {error.get('errorMessage')}\n{trace}".rstrip()


def _text(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode(errors="replace")
