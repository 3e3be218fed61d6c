"""Offers signed webhooks to an address by schedule, over a bounded number of connections.

`python -m tests.benchmark.load_generator JSON`, started by `tests.benchmark.load`; a process of
its own, so that nothing else holds it up. How late it was itself is in its result.
"""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter
from tests.benchmark.load_lines import Line, Result, Teller, tell
from tests.benchmark.load_orders import Orders
from tests.benchmark.offering import Offering, Plan, offer

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSING: Final = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_PAUSE: Final = 0.1  # before a refused connection is tried again
_NOT_HTTP: Final = 502


@dataclass(frozen=True, slots=True)
class Configuration:
    """What this process is started with."""

    port: int
    connections: int
    warm_up: Plan
    plan: Plan
    result: Path


CONFIGURATION: Final = TypeAdapter(Configuration)


class Answer:
    """One HTTP answer as its bytes come in."""

    def __init__(self) -> None:
        self._received = b""

    def add(self, data: bytes) -> tuple[int, bool] | None:
        """Its status and whether the connection ends, once it is whole."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.") or length is None:
            return _NOT_HTTP, True
        if len(body) < int(length[1]):
            return None
        return int(head[9:12]), _CLOSING.search(head) is not None


class Generator:
    """Keeps the connections open, and hands those that are free to the offering."""

    def __init__(self, configuration: Configuration) -> None:
        self.orders = Orders()
        for plan in (configuration.warm_up, configuration.plan):
            self.orders.sign(plan.numbers)
        self.offering = Offering(configuration.warm_up)
        self._configuration = configuration
        self._opening: set[asyncio.Task[None]] = set()
        self._ended = False

    async def run(self) -> Result:
        for _ in range(self._configuration.connections):
            self.open()
        await offer(self.offering, lambda _: None)
        warm_up = self.offering
        self.offering = Offering(self._configuration.plan)
        self.offering.take_over(warm_up)
        tell(Line("offering"))
        await offer(self.offering, Teller())
        tell(Line("offered"))
        self._ended = True
        return Result(
            tries=tuple(self.offering.tries),
            warm_up=tuple(warm_up.tries),
            lags=tuple(self.offering.lags),
        )

    def open(self) -> None:
        task = asyncio.get_running_loop().create_task(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._ended:
            try:
                await loop.create_connection(
                    lambda: Connection(self), "127.0.0.1", self._configuration.port
                )
            except OSError:
                await asyncio.sleep(_PAUSE)
            else:
                return


class Connection(asyncio.Protocol):
    """One connection: one delivery at a time, kept open between them."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._answer = Answer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._generator.offering.admit(self)

    def begin(self, number: int) -> None:
        if self._transport is not None:
            self._transport.write(self._generator.orders.request(number))

    def abandon(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        answer = self._answer.add(data)
        if answer is None or self._transport is None:
            return
        self._answer = Answer()
        status, closing = answer
        offering = self._generator.offering
        offering.answered(self, status)
        if closing:
            self._transport.close()
        elif not self._transport.is_closing():
            offering.admit(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._generator.offering.withdraw(self)
        self._generator.open()


def main() -> None:
    configuration = CONFIGURATION.validate_json(sys.argv[1])
    generator = Generator(configuration)
    gc.freeze()
    gc.disable()  # nothing here is cyclic, and a collection would be lateness of ours
    asyncio.run(generator.run()).write(configuration.result)


if __name__ == "__main__":
    main()
