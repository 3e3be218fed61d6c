"""The relay's shops as the embedded AWS has them now, for what shows them or sells for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from prisjakt_relay.errors import ShopDocumentError
from prisjakt_relay.local.aws import STACK
from prisjakt_relay.platforms import shop_from
from prisjakt_relay.shop import Shop, parse

_FRESH_SECONDS: Final = 1.0
_MOST_AT_ONCE: Final = 20  # BatchGetSecretValue takes no more
_PREFIX: Final = f"{STACK}/shops/"


class RelayShops:
    """Calling it gives shop name to shop, read again when that is a second old.

    Shops added since the start come first, the newest before the others; then those of the start
    in their order. A document that cannot be used is left out: the relay takes no orders for it.
    """

    def __init__(
        self,
        secrets: Any,
        at_start: Iterable[str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secrets = secrets
        self._at_start = tuple(at_start)
        self._clock = clock
        self._lock = Lock()
        self._known: Mapping[str, Shop] = {}
        self._read_at: float | None = None

    def __call__(self) -> Mapping[str, Shop]:
        with self._lock:
            if self._read_at is None or self._clock() - self._read_at >= _FRESH_SECONDS:
                with suppress(BotoCoreError, ClientError):  # then what was known stays
                    self._known = dict(self._read())
                self._read_at = self._clock()
            return self._known

    def _read(self) -> Iterator[tuple[str, Shop]]:
        order = self._names()
        documents: dict[str, str] = {}
        for first in range(0, len(order), _MOST_AT_ONCE):
            answer = self._secrets.batch_get_secret_value(
                SecretIdList=[_PREFIX + name for name in order[first : first + _MOST_AT_ONCE]]
            )
            documents |= {
                secret["Name"].removeprefix(_PREFIX): secret.get("SecretString", "")
                for secret in answer["SecretValues"]
            }
        for name in order:
            try:
                yield name, shop_from(parse(documents.get(name, "")))
            except ShopDocumentError:
                continue

    def _names(self) -> list[str]:
        pages = self._secrets.get_paginator("list_secrets").paginate(
            Filters=[{"Key": "name", "Values": [_PREFIX]}]
        )
        created = {
            secret["Name"].removeprefix(_PREFIX): secret["CreatedDate"]
            for page in pages
            for secret in page["SecretList"]
            if secret["Name"].startswith(_PREFIX)
        }
        added = [name for name in created if name not in self._at_start]
        added.sort(key=lambda name: (created[name], name), reverse=True)
        return added + [name for name in self._at_start if name in created]
