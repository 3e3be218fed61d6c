"""The local system: the deployed system as it is, on loopback, with a Prisjakt of its own."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, Self
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from prisjakt_relay.aws import Service
from prisjakt_relay.environment import prisjakt_address
from prisjakt_relay.errors import SetupError, ShopDocumentError
from prisjakt_relay.local import artifacts, project
from prisjakt_relay.local.aws import STACK, EmbeddedAws
from prisjakt_relay.local.front import Front
from prisjakt_relay.local.prisjakt_model import TOKEN_PATH, PrisjaktModel
from prisjakt_relay.local.prisjakt_server import create_app, serve
from prisjakt_relay.local.relay_shops import RelayShops
from prisjakt_relay.local.shop_systems import FOLDER, ShopSystems, deliver
from prisjakt_relay.local.shop_systems_server import create_app as create_shop_systems
from prisjakt_relay.local.storefront import create_storefront
from prisjakt_relay.local.storefront_shops import Storefront
from prisjakt_relay.platforms import shop_from
from prisjakt_relay.prisjakt.auth import TOKEN_URL
from prisjakt_relay.reconciler.progress import ProgressBook
from prisjakt_relay.shop import SHOP_NAME, unknown_fields
from prisjakt_relay.tables import DynamoStore

Line = Mapping[str, Any]

_POLL_SECONDS: Final = 0.2
_OVERLAP_MS: Final = 5_000  # a line may be stamped before one that was read earlier


def read_shops(text: str) -> dict[str, dict[str, Any]]:
    """Shop documents by shop name; stricter than the deployed functions, which go on."""
    try:
        shops = json.loads(text)
    except ValueError as error:
        raise SetupError(f"the shops file is not JSON: {error}") from None
    if not isinstance(shops, dict) or not shops:
        raise SetupError("the shops file needs one JSON object, shop name to shop document")
    for name, document in shops.items():
        if not SHOP_NAME.fullmatch(name):
            raise SetupError(f"shop name {name!r}: use 1 to 64 of a-z, 0-9 and -")
        if not isinstance(document, dict):
            raise SetupError(f"shop {name}: the document is not an object")
        try:
            shop_from(document)
        except ShopDocumentError as error:
            raise SetupError(f"shop {name}: {error}") from None
        if unknown := unknown_fields(document):
            raise SetupError(f"shop {name}: {unknown[0]}: is not a field; correct or remove it")
    return shops


class LocalSystem:
    """Everything on loopback: front on `port`, Prisjakt on `port` + 1, AWS on `port` + 2.

    The front takes webhooks, shows the demo storefront, and serves the APIs of the shops' systems.
    """

    def __init__(
        self,
        *,
        port: int,
        shops: Mapping[str, Mapping[str, Any]],
        prisjakt_url: str | None = None,
        time_scale: float = 1.0,
        on_line: Callable[[Line], None] = lambda _: None,
        enforce_iam: bool = False,
    ) -> None:
        if prisjakt_url is not None:
            prisjakt_url = prisjakt_address(prisjakt_url)
        _require_free(port, port + 2, *([] if prisjakt_url else [port + 1]))
        self.address = f"http://127.0.0.1:{port}"
        self.model: PrisjaktModel | None = None
        self._closers: list[Callable[[], None]] = []
        self._stopped = Event()
        try:
            if prisjakt_url is None:
                self.model = PrisjaktModel(
                    clock=lambda: datetime.now(UTC), new_id=lambda: str(uuid.uuid4())
                )
                prisjakt = serve(create_app(self.model), port + 1)
                self._closers.append(prisjakt.close)
                prisjakt_url = prisjakt.base_address
            self.prisjakt_url = prisjakt_url
            functions = artifacts.build()
            self.aws = EmbeddedAws(port + 2, enforce_iam=enforce_iam)
            self._closers.append(self.aws.close)
            for name, document in shops.items():
                self.aws.put_shop(name, document)
            self.outputs = self.aws.deploy(
                project.root() / "template.yaml",
                functions,
                parameters={
                    "ReconcilerAlarms": "on",
                    "PrisjaktUrl": prisjakt_url,
                    "PrisjaktTokenUrl": _token_address(prisjakt_url),
                },
                time_scale=time_scale,
                webhook_address=f"{self.address}/webhooks",
            )
            relay_shops = RelayShops(self.aws.client("secretsmanager"), shops)
            self.shop_systems = ShopSystems(
                relay_shops,
                address=self.address,
                deliver=deliver,
                give_access=self.aws.give_access,
                time_scale=time_scale,
            )
            self._closers.append(self.shop_systems.close)
            self.shop_systems.follow_the_relay()
            storefront = Storefront(
                relay_shops,
                systems=self.shop_systems,
                model=self.model,
                prisjakt_url=prisjakt_url,
            )
            self._closers.append(storefront.close)
            front = Front(
                port,
                "127.0.0.1",
                port + 2,
                self.aws.webhooks_path(),
                pages=DispatcherMiddleware(
                    create_storefront(storefront), {FOLDER: create_shop_systems(self.shop_systems)}
                ),
            )
            self._closers.append(front.close)
            self._follow(storefront.on_line, on_line)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask_for_reconciling(self, name: str) -> None:
        """Put a shop on the reconciler's list."""
        dynamodb = Service("dynamodb", environment=self.aws.environment)
        store = DynamoStore(
            dynamodb,
            self.outputs["LedgerTable"],
            clock=lambda: datetime.now(UTC),
            sleep=time.sleep,
        )
        ProgressBook(store).add(name, datetime.now(UTC))

    def reconcile(self) -> None:
        """Run the reconciler now, as its schedule does, and wait until it is done."""
        resource = self.aws.client("cloudformation").describe_stack_resource(
            StackName=STACK, LogicalResourceId="ReconcilerFunction"
        )
        answer = self.aws.client("lambda").invoke(
            FunctionName=resource["StackResourceDetail"]["PhysicalResourceId"], Payload=b"{}"
        )
        if "FunctionError" in answer:
            raise SetupError(f"the reconciler failed: {answer['Payload'].read().decode()}")

    def _follow(self, *listeners: Callable[[Line], None]) -> None:
        groups = [self.outputs[f"{each}LogGroup"] for each in ("Receiver", "Sender", "Reconciler")]
        thread = Thread(
            target=self._read_logs_while_there, args=(groups, listeners), name="logs", daemon=True
        )
        thread.start()
        self._closers.append(lambda: thread.join(5))

    def _read_logs_while_there(self, *where: Any) -> None:
        with suppress(ClientError):  # a stack that was deleted has no logs
            self._read_logs(*where)

    def _read_logs(self, groups: list[str], listeners: Iterable[Callable[[Line], None]]) -> None:
        logs = self.aws.client("logs")
        seen: dict[str, int] = {}  # every line names its request, so that no two are the same
        since = 0
        last = False
        while not last:
            last = self._stopped.wait(_POLL_SECONDS)
            for group in groups:
                page = logs.filter_log_events(logGroupName=group, startTime=since)
                for event in page["events"]:
                    message = event["message"]
                    if message in seen:
                        continue
                    seen[message] = event["timestamp"]
                    if (line := parsed_line(message)) is not None:
                        for on_line in listeners:
                            on_line(line)
            since = max(0, *seen.values()) - _OVERLAP_MS if seen else 0
            seen = {message: moment for message, moment in seen.items() if moment >= since}

    def close(self) -> None:
        self._stopped.set()
        for closer in reversed(self._closers):
            closer()
        self._closers.clear()


def _token_address(prisjakt_url: str) -> str:
    """Where a Prisjakt of somebody's own gives tokens: on the same host, unless it is the real."""
    parts = urlsplit(prisjakt_url)
    if parts.hostname not in ("127.0.0.1", "localhost"):
        return TOKEN_URL
    return f"{parts.scheme}://{parts.netloc}{TOKEN_PATH}"


def parsed_line(message: str) -> Line | None:
    """A line that a function logged, or None for what Lambda itself says."""
    try:
        line = json.loads(message)
    except ValueError:
        return None
    return line if isinstance(line, dict) and "service" in line else None


def _require_free(*ports: int) -> None:
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise SetupError(f"port {port} is taken; choose another with --port") from None


def sample_shops() -> dict[str, dict[str, Any]]:
    """The shops of the sample deliveries."""
    return read_shops(Path(project.root() / "events" / "shops.json").read_text("utf-8"))
