"""Processes of the functions: each with a clock, a release and AWS clients of its own.

AWS fails by service and in four ways: away (nothing is done, and nobody answers), throttled
(nothing is done, and an error says so), slow (done, maybe too late to be heard), lost (done, but
not heard).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from prisjakt_relay import aws
from prisjakt_relay.errors import AwsError, StorageError
from prisjakt_relay.shop import secrets_reader
from prisjakt_relay.tables import DynamoStore

if TYPE_CHECKING:
    from tests.simulation.world import World

SERVICES: Final = ("sqs", "dynamodb", "secretsmanager")
WAYS: Final = ("away", "throttled", "slow", "lost")
THROTTLED: Final = {
    "sqs": "RequestThrottled",
    "dynamodb": "ProvisionedThroughputExceededException",
    "secretsmanager": "ThrottlingException",
}
SLOWEST: Final = 1.6  # seconds, above what the relay waits for
ORDERS: Final = "order#"
ADDED_LATER: Final = frozenset({"shop_day", "reported_at", "corrections", "dropped_at"})


@dataclass(frozen=True)
class Release:
    """What is different in the messages and items of another version of the functions."""

    name: str
    without: frozenset[str] = frozenset()  # attributes that it does not know
    adds: str = ""  # an attribute and a message field that only it knows
    version: int = 1


EARLIER: Final = Release("earlier", without=ADDED_LATER)
THIS: Final = Release("this")
NEXT: Final = Release("next", adds="from_the_future", version=2)
HISTORIES: Final = (
    *((THIS,),) * 5,
    (EARLIER, THIS),
    (THIS, NEXT),
    (EARLIER, THIS, EARLIER, THIS),  # rolled back, and on again
    (EARLIER, NEXT, THIS),
)


class Model(Protocol):
    """One AWS service."""

    def call(self, operation: str, parameters: Mapping[str, Any], /) -> dict[str, Any]: ...


class Environment:
    """One process. `spend` lets time pass for whatever runs in it, and may kill it."""

    def __init__(
        self, world: World, spend: Callable[[float], None], *, now: Callable[[], datetime]
    ) -> None:
        self.world = world
        self.spend = spend
        self.release = world.release()
        self._skew = timedelta(seconds=world.random.uniform(-1, 1) * world.setting.skew)
        self._now = now
        self.store = DynamoStore(
            self.service("dynamodb"), "ledger", clock=self.clock, sleep=self.spend
        )
        self.read = secrets_reader(
            self.service("secretsmanager"), "shops/", clock=self.clock, sleep=self.spend
        )

    def clock(self) -> datetime:
        return self._now() + self._skew

    def service(self, name: str) -> aws.Service:
        model = Compatible(self.world.models[name], self.release)
        return cast("aws.Service", _Service(name, model, self))


class _Service:
    """`aws.Service` with all that may happen on the way."""

    def __init__(self, name: str, model: Model, environment: Environment) -> None:
        self._name = name
        self._model = model
        self._environment = environment
        self._kinds = {way: f"{name} {way}" for way in WAYS}

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        world, spend = self._environment.world, self._environment.spend
        random = world.random
        spend(random.uniform(0.001, 0.01))
        if world.strikes(self._kinds["away"]):
            spend(random.uniform(0.0, aws.CONNECT_SECONDS + aws.READ_SECONDS))
            raise StorageError(f"{operation}: nobody there")
        if world.strikes(self._kinds["throttled"]):
            raise AwsError(operation, THROTTLED[self._name])
        took = random.uniform(0.1, SLOWEST) if world.strikes(self._kinds["slow"]) else 0.0
        try:
            answer = self._model.call(operation, parameters)
        except AwsError as error:
            if error.code == "ValidationException":  # which is our mistake, and no trouble of AWS'
                world.violated(f"{operation}: {error.code} for {parameters}")
            raise
        spend(min(took, aws.READ_SECONDS) or random.uniform(0.001, 0.01))
        if took > aws.READ_SECONDS or world.strikes(self._kinds["lost"]):
            raise StorageError(f"{operation}: answer lost")
        return answer


class Compatible:
    """Messages and items as that release writes and reads them."""

    def __init__(self, model: Model, release: Release) -> None:
        self._model = model
        self._release = release
        self._wrote: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if self._release is THIS:
            return self._model.call(operation, parameters)
        if operation == "SendMessage":
            parameters = {**parameters, "MessageBody": self._message(parameters["MessageBody"])}
        elif operation == "PutItem" and parameters["Item"]["id"]["S"].startswith(ORDERS):
            parameters = {**parameters, "Item": self._written(parameters["Item"])}
        answer = self._model.call(operation, parameters)
        if operation == "GetItem" and "Item" in answer:
            return {"Item": self._read(answer["Item"])}
        if operation == "BatchGetItem":
            read = {
                t: [self._read(one) for one in found] for t, found in answer["Responses"].items()
            }
            return {**answer, "Responses": read}
        return answer

    def _message(self, body: str) -> str:
        if not self._release.adds:
            return body
        message = json.loads(body) | {self._release.adds: "?", "version": self._release.version}
        return json.dumps(message)

    def _written(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        stored = {name: it for name, it in item.items() if name not in self._release.without}
        if self._release.adds:
            stored[self._release.adds] = {"S": "?"}
        self._wrote[item["id"]["S"]] = stored, item
        return stored

    def _read(self, item: Mapping[str, Any]) -> Mapping[str, Any]:
        stored, whole = self._wrote.get(item["id"]["S"], ({}, {}))
        if item == stored:  # it compares what it wrote with what it reads
            return whole
        unknown = {*self._release.without, self._release.adds}
        return {name: value for name, value in item.items() if name not in unknown}
