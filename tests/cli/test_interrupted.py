"""Ctrl-C while AWS has taken a question and does not answer it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest
import urllib3
from tests.cli.orders import new_shop

from prisjakt_relay.cli.app import INTERRUPTED
from prisjakt_relay.local.system import LocalSystem

QUERY = "DynamoDB_20120810.Query"
SECONDS = 20  # two thirds of what an answer may take


@contextmanager
def swallowing(endpoint: str, asked: Event) -> Iterator[int]:
    """The port of a local system whose AWS answers everything but queries of the ledger."""
    over = Event()
    aws = urllib3.PoolManager()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.headers.get("x-amz-target") == QUERY:
                asked.set()
                over.wait()
                return
            answer = aws.request(
                self.command, endpoint + self.path, body=body, headers=dict(self.headers)
            )
            self.send_response(answer.status)
            for name in ("content-type", "x-amz-crc32"):
                if value := answer.headers.get(name):
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer.data)))
            self.end_headers()
            self.wfile.write(answer.data)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing to say."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server.server_address[1] - 2
        finally:
            over.set()
            server.shutdown()


@pytest.mark.parametrize("given", [("report",), ("order", "#1001")], ids=lambda given: given[0])
def test_it_ends_at_once(given: tuple[str, ...], local_system: LocalSystem) -> None:
    """Threads that wait for an answer are left behind."""
    command, *order = given
    shop, _ = new_shop(local_system)
    asked = Event()

    with (
        swallowing(local_system.aws.endpoint, asked) as port,
        subprocess.Popen(  # noqa: S603  # our own program
            [
                sys.executable,
                "-c",
                "from prisjakt_relay.cli.app import main; main()",
                command,
                shop,
                *order,
                "--local",
                "--port",
                str(port),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        try:
            if not asked.wait(60):
                process.kill()
                pytest.fail(str(process.communicate()))
            process.send_signal(signal.SIGINT)
            out, told = process.communicate(timeout=SECONDS)
        finally:
            process.kill()

    assert (process.returncode, out) == (INTERRUPTED, "")
    assert told == "error: interrupted: run it again to go on\n"
