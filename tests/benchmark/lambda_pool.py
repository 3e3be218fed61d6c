"""Offers webhooks to a pool of real Lambda processes by schedule, what they queue to one sender.

`python -m tests.benchmark.lambda_pool JSON`, started by `tests.benchmark.load`. One thread is the
schedule, Lambda's Runtime API for all processes, and their AWS; the simulated Prisjakt has threads
of its own. A process is what takes deliveries: one at a time, as on Lambda. There is one sender,
where the template allows two and more: the queue empties no slower on AWS.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pydantic import TypeAdapter, ValidationError
from tests.benchmark.lambda_aws import QUEUE, Aws, AwsConversation, Feeding, Message
from tests.benchmark.load_lines import Line, Result, Teller, tell
from tests.benchmark.load_orders import SHOP, Orders, shop_document
from tests.benchmark.load_prisjakt import CountingModel, serve_counting
from tests.benchmark.loop_http import Conversation, Request
from tests.benchmark.offering import Offering, Plan, offer
from tests.benchmark.runtime_api import Function, Runtime, process_environment
from tests.benchmark.surroundings import environment, secret_name
from tests.benchmark.trace_ids import new_trace_id

from prisjakt_relay.local.prisjakt_server import PrisjaktServer

_RECEIVER_SECONDS: Final = 20
_SENDER_SECONDS: Final = 60
_START_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.1
_TOLD_EVERY: Final = 0.5
_FAILED: Final = 502
_OUTPUT_SHOWN: Final = 2_000


@dataclass(frozen=True, slots=True)
class Configuration:
    """What this process is started with. `beside` feeds the sender while the schedule runs;
    without it the sender begins when that is over. `variables` and `feeding` are the template's,
    the former by role."""

    python: Path
    runtime: Path
    receiver: Path
    sender: Path
    variables: Mapping[str, Mapping[str, str]]
    feeding: Feeding
    processes: int
    beside: bool
    drain_seconds: float
    warm_up: Plan
    plan: Plan
    result: Path


CONFIGURATION: Final = TypeAdapter(Configuration)


class PoolError(Exception):
    """A Lambda process did not start, or ended; or what feeds the sender did."""


@dataclass(frozen=True, slots=True)
class _Answered:
    statusCode: int  # noqa: N815  # the HTTP API's own name


@dataclass(frozen=True, slots=True)
class _Failure:
    itemIdentifier: str  # noqa: N815  # the event source mapping's own name


@dataclass(frozen=True, slots=True)
class _Settled:
    batchItemFailures: tuple[_Failure, ...]  # noqa: N815  # the event source mapping's own name


_ANSWERED: Final = TypeAdapter(_Answered)
_SETTLED: Final = TypeAdapter(_Settled)


class RuntimeConversation(Conversation):
    """A connection to the Runtime API. A process keeps one, and asks for an event on it when it
    is free."""

    seconds: float

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.handed_over = 0

    def asked(self, request: Request) -> None:
        if request.method == b"GET":
            self.free()
            return
        self.answer(202, b'{"status":"OK"}', {"content-type": "application/json"})
        kind = request.path.rsplit(b"/", 1)[1]
        if request.path.endswith(b"/init/error"):
            self.pool.failed(request.body)
        else:
            self.done(request.body if kind == b"response" else None)

    def hand_over(self, event: bytes) -> None:
        self.handed_over += 1
        deadline = int((time.time() + self.seconds) * 1000)
        self.answer(
            200,
            event,
            {
                "content-type": "application/json",
                "lambda-runtime-aws-request-id": str(uuid.uuid4()),
                "lambda-runtime-deadline-ms": str(deadline),
                "lambda-runtime-invoked-function-arn": (
                    "arn:aws:lambda:eu-north-1:000000000000:function:load"
                ),
                "lambda-runtime-trace-id": new_trace_id(),
            },
        )

    def free(self) -> None:
        raise NotImplementedError

    def done(self, response: bytes | None) -> None:
        raise NotImplementedError


class ReceiverProcess(RuntimeConversation):
    """A slot of the offering."""

    seconds = _RECEIVER_SECONDS

    def free(self) -> None:
        self.pool.offering.admit(self)

    def begin(self, number: int) -> None:
        self.hand_over(self.pool.orders.event(number))

    def abandon(self) -> None:
        """It works on: Lambda does not stop a function because its caller went away."""

    def done(self, response: bytes | None) -> None:
        self.pool.offering.answered(self, _status(response))


class SenderProcess(RuntimeConversation):
    """Gets whatever the queue has."""

    seconds = _SENDER_SECONDS

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._batch: list[Message] = []

    def free(self) -> None:
        self.pool.idle_senders.append(self)

    def take(self, batch: list[Message]) -> None:
        self._batch = batch
        self.hand_over(json.dumps({"Records": [each.record() for each in batch]}).encode())

    def done(self, response: bytes | None) -> None:
        batch, self._batch = self._batch, []
        self.pool.aws.queue.settle(batch, _unsettled(response, batch))


def _status(response: bytes | None) -> int:
    try:
        return _FAILED if response is None else _ANSWERED.validate_json(response).statusCode
    except ValidationError:
        return _FAILED


def _unsettled(response: bytes | None, batch: list[Message]) -> frozenset[str]:
    """An invocation that failed has settled nothing."""
    if response is not None:
        try:
            settled = _SETTLED.validate_json(response)
        except ValidationError:
            pass
        else:
            return frozenset(each.itemIdentifier for each in settled.batchItemFailures)
    return frozenset(each.id for each in batch)


class Pool:
    """The processes, what they are handed, and what came of it."""

    def __init__(self, configuration: Configuration, model: CountingModel) -> None:
        self.orders = Orders()
        for plan in (configuration.warm_up, configuration.plan):
            self.orders.sign(plan.numbers)
        self.offering = Offering(configuration.warm_up)
        secrets = {secret_name(SHOP): json.dumps(shop_document())}
        self.aws = Aws(secrets, time.time, configuration.feeding)
        self.idle_senders: list[SenderProcess] = []
        self._configuration = configuration
        self._model = model
        self._failure: str | None = None
        self._processes: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
        self._conversations: dict[int, list[RuntimeConversation]] = {}  # by number of process
        self._mapping: asyncio.Task[None] | None = None

    def failed(self, error: bytes) -> None:
        self._failure = error.decode(errors="replace")

    async def run(self, prisjakt: PrisjaktServer) -> Result:
        variables = await self._serve_aws(prisjakt)
        with self._ending():
            for _ in range(self._configuration.processes):
                await self._start("receiver", variables)
            await offer(self.offering, self._watch)
            warm_up, self.offering = self.offering, Offering(self._configuration.plan)
            self.offering.take_over(warm_up)
            if self._configuration.beside:
                await self._start("sender", variables)
                self.begin_feeding()
            before = self._trace_ids()
            tell(Line("offering"))
            teller = Teller()
            await offer(self.offering, lambda each: self._watch(each, teller))
            tell(Line("offered", waiting=len(self.aws.queue)))
            backlog = len(self.aws.queue)
            handed_over = self._trace_ids()
            if not self._configuration.beside:
                await self._start("sender", variables)
                self.begin_feeding()
            began = time.perf_counter()
            await self._drain()
            drained = time.perf_counter() - began
            tell(Line("drained"))
        return Result(
            tries=tuple(self.offering.tries),
            warm_up=tuple(warm_up.tries),
            lags=tuple(self.offering.lags),
            events=self._model.found(),
            backlog=backlog,
            drain_seconds=drained,
            left_over=len(self.aws.queue),
            trace_ids={pid: count - before.get(pid, 0) for pid, count in handed_over.items()},
        )

    def _trace_ids(self) -> dict[int, int]:
        return {
            pid: sum(each.handed_over for each in conversations)
            for pid, conversations in self._conversations.items()
        }

    async def _serve_aws(self, prisjakt: PrisjaktServer) -> Mapping[str, str]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: AwsConversation(self.aws), "127.0.0.1", 0)
        url = f"http://{_address(server)}"
        return environment(
            aws=url,
            queue=f"{url}/000000000000/{QUEUE}",
            prisjakt=prisjakt.base_address,
            tokens=prisjakt.token_address,
        )

    async def _start(self, role: str, variables: Mapping[str, str]) -> None:
        kind = ReceiverProcess if role == "receiver" else SenderProcess
        artifact = getattr(self._configuration, role)
        loop = asyncio.get_running_loop()
        conversations: list[RuntimeConversation] = []

        def converse() -> RuntimeConversation:
            conversations.append(kind(self))
            return conversations[-1]

        api = await loop.create_server(converse, "127.0.0.1", 0)
        function = Function(
            f"prisjakt_relay.{role}.app.handler",
            artifact,
            {
                **self._configuration.variables[role],
                **variables,
                "AWS_LAMBDA_FUNCTION_NAME": role,
            },
        )
        runtime = Runtime(self._configuration.python, self._configuration.runtime)
        output = tempfile.TemporaryFile()  # noqa: SIM115  # closed with its process
        process = subprocess.Popen(  # noqa: S603  # our own artifact
            [str(runtime.python), "-m", "awslambdaric", function.handler],
            cwd=artifact,
            env=process_environment(function, runtime, _address(api)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        self._processes.append((process, output))
        self._conversations[process.pid] = conversations

    @contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self._mapping is not None:
                self._mapping.cancel()
            for process, output in self._processes:
                process.kill()
                process.wait()
                output.close()

    def _watch(self, offering: Offering, teller: Teller | None = None) -> None:
        """A process that is gone takes the run with it, and so does what feeds the sender."""
        if self._mapping is not None and self._mapping.done():
            raise PoolError(f"nothing feeds the sender any more: {self._mapping.exception()!r}")
        for process, output in self._processes:
            if self._failure is not None or process.poll() is not None:
                output.seek(0)
                said = output.read()[-_OUTPUT_SHOWN:].decode(errors="replace")
                raise PoolError(f"a Lambda process ended: {self._failure or ''}\n{said}")
        if teller is not None:
            teller(offering, len(self.aws.queue))

    def begin_feeding(self) -> None:
        self._mapping = asyncio.create_task(self._feed())

    async def _feed(self) -> None:
        """The event source mapping."""
        while True:
            while self.idle_senders and (batch := self.aws.queue.receive()):
                self.idle_senders.pop().take(batch)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _drain(self) -> None:
        told_at = 0.0
        end = time.perf_counter() + self._configuration.drain_seconds
        while len(self.aws.queue) and time.perf_counter() < end:
            self._watch(self.offering)
            if (now := time.perf_counter()) - told_at >= _TOLD_EVERY:
                told_at = now
                tell(Line("offered", waiting=len(self.aws.queue)))
            await asyncio.sleep(_LOOK_SECONDS)


def _address(server: asyncio.Server) -> str:
    host, port = server.sockets[0].getsockname()
    return f"{host}:{port}"


def main() -> None:
    configuration = CONFIGURATION.validate_json(sys.argv[1])
    model = CountingModel()
    prisjakt = serve_counting(model)
    try:
        pool = Pool(configuration, model)
        gc.freeze()
        result = asyncio.run(pool.run(prisjakt))
    except PoolError as error:
        sys.exit(str(error))
    finally:
        prisjakt.close()
    result.write(configuration.result)


if __name__ == "__main__":
    main()
