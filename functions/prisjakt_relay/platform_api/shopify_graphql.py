"""GraphQL as Shopify wants to be asked: with a token that is valid, and no faster than allowed.

https://shopify.dev/docs/api/admin-graphql, https://shopify.dev/docs/api/usage/limits
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NoReturn

from requests import Session

from prisjakt_relay.errors import (
    PlatformAccessError,
    PlatformApiError,
    PlatformBusyError,
    PlatformRefusedError,
)
from prisjakt_relay.platform_api.access import Access
from prisjakt_relay.platform_api.asking import (
    FIRST_WAIT,
    LONGEST_WAIT,
    MOST_ATTEMPTS,
    Answered,
    Asking,
)
from prisjakt_relay.platform_api.interface import Wait

VERSION: Final = "2026-07"
RIGHT: Final = "read_orders"

_TOKEN: Final = re.compile("[!-~]{1,1024}")
_WORD: Final = re.compile("[A-Za-z0-9_]{1,64}")
_RIGHT_WORD: Final = re.compile("(?:read|write)_[a-z_]{1,40}")
_MARGIN: Final = 0.05  # seconds: a bucket that is a hair short would refuse
_LONGEST_TOKEN_MARGIN: Final = 300.0
_UNTOLD_TOKEN_LIFE: Final = 3600.0
_STRUGGLING: Final = frozenset({"INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT"})

_REMEDIES: Final = {
    401: "does not accept the access token; give a valid one, or client_id and client_secret",
    402: "has frozen the store; settle its bill with Shopify",
    403: f"does not let the app in; install it in the store, with the right {RIGHT}",
    404: f"has no store with API {VERSION} there; correct the address",
    423: "has locked the store; ask Shopify's support why",
}


class TooDearError(Exception):
    """A query that costs more than one query may; smaller ones cost less."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an answer, and where it is; what is not as documented is refused by its place."""

    value: Any
    path: str = ""

    def of(self, name: str) -> Part:
        if not isinstance(self.value, dict):
            self.refuse("an object")
        return Part(self.value.get(name), f"{self.path}.{name}" if self.path else name)

    def has(self) -> bool:
        return self.value is not None

    def text(self) -> str:
        if not isinstance(self.value, str):
            self.refuse("a text")
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            self.refuse("true or false")
        return self.value

    def number(self) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            self.refuse("a whole number")
        return self.value

    def rows(self) -> list[Part]:
        if not isinstance(self.value, list):
            self.refuse("a list")
        return [Part(value, self.path) for value in self.value]

    def moment(self) -> datetime:
        try:
            return _aware(datetime.fromisoformat(self.text())).astimezone(UTC)
        except (ValueError, OverflowError):
            self.refuse("a time")

    def matched(self, pattern: re.Pattern[str], kind: str) -> re.Match[str]:
        found = pattern.fullmatch(self.text())
        if found is None:
            self.refuse(kind)
        return found

    def refuse(self, kind: str) -> NoReturn:
        raise PlatformRefusedError(
            f"Shopify's answer is not as documented: {self.path or 'its body'} is not {kind}; "
            "look for a newer version of the relay"
        )


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(moment)
    return moment


class _Bucket:
    """What queries may cost now, as far as Shopify's last answer told."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._costs: dict[str, dict[int, float]] = {}
        self._level = self._rate = 0.0
        self._most: float | None = None
        self._told_at: datetime | None = None

    def learn(self, query: str, size: int, told: object) -> None:
        """`told` is an answer's `extensions.cost`, whatever that is."""
        cost = told if isinstance(told, dict) else {}
        status = cost.get("throttleStatus")
        status = status if isinstance(status, dict) else {}
        requested = _points(cost.get("requestedQueryCost"))
        most, level, rate = (
            _points(status.get(name))
            for name in ("maximumAvailable", "currentlyAvailable", "restoreRate")
        )
        if requested is not None:
            self._costs.setdefault(query, {})[size] = requested
        if most and level is not None and rate:
            self._most, self._level, self._rate = most, level, rate
            self._told_at = self._clock()

    def lack(self, query: str, size: int) -> float:
        """The seconds until it can pay for the query; none for one of which nothing is known."""
        cost = self._cost(query, size)
        if cost is None or self._told_at is None:
            return 0.0
        passed = (self._clock() - self._told_at).total_seconds()
        lacking = cost - self._level - self._rate * passed
        return min(lacking / self._rate + _MARGIN, LONGEST_WAIT) if lacking > 0 else 0.0

    def never_pays(self, query: str, size: int) -> bool:
        cost = self._cost(query, size)
        return cost is not None and self._most is not None and cost > self._most

    def _cost(self, query: str, size: int) -> float | None:
        """As told for this size, or else for the next larger one."""
        costs = self._costs.get(query, {})
        return costs.get(min((told for told in costs if told >= size), default=-1))


def _points(value: object) -> float | None:
    if isinstance(value, int | Decimal) and not isinstance(value, bool) and 0 <= value < 10**9:
        return float(value)
    return None


class Graphql:
    """Queries to one store: with a token that is valid, and no faster than Shopify allows."""

    def __init__(
        self, access: Access, http: Session, clock: Callable[[], datetime], wait: Wait
    ) -> None:
        self._access = access
        self._asking = Asking(http, clock=clock, wait=wait)
        self._clock = clock
        self._wait = wait
        self._bucket = _Bucket(clock)
        self._token = ""
        self._token_ends: datetime | None = None

    def ask(self, query: str, variables: Mapping[str, Any]) -> Part:
        """The answer's `data`. All queries and mutations here may be sent twice."""
        data = json.dumps({"query": query, "variables": variables}).encode()
        kind = (query, _size(variables))
        pause, failures = FIRST_WAIT, 0
        while True:
            lack = self._bucket.lack(*kind)
            if lack:
                self._wait(lack)
            answer = self._answer(data)
            extensions = answer.of("extensions")
            if extensions.has():
                self._bucket.learn(*kind, extensions.of("cost").value)
            errors = _Errors(answer.of("errors").value)
            if not errors.given:
                return answer.of("data")
            if "MAX_COST_EXCEEDED" in errors.codes:
                raise TooDearError
            if "THROTTLED" in errors.codes:
                if self._bucket.never_pays(*kind):
                    raise TooDearError
                if self._bucket.lack(*kind):
                    continue
            elif errors.codes & _STRUGGLING:
                failures += 1
                if failures == MOST_ATTEMPTS:
                    raise PlatformBusyError(
                        "Shopify fails to answer although it is there; try again later"
                    )
            else:
                raise errors.as_error()
            self._wait(pause)
            pause = min(2 * pause, LONGEST_WAIT)

    def _answer(self, data: bytes) -> Part:
        answered = self._post(data)
        if answered.status == 401 and self._access.access_token is None:
            self._token_ends = None  # revoked before its time, for instance with a new secret
            answered = self._post(data)
        if answered.status in _REMEDIES:
            raise PlatformAccessError(f"Shopify {_REMEDIES[answered.status]}")
        if not 200 <= answered.status < 300:
            raise PlatformRefusedError(
                f"Shopify refuses a query (HTTP {answered.status}); look for a newer version of "
                "the relay"
            )
        return Part(answered.body)

    def _post(self, data: bytes) -> Answered:
        headers = {
            "content-type": "application/json",
            "x-shopify-access-token": self._access.access_token or self._own_token(),
        }
        url = f"{self._access.address}/admin/api/{VERSION}/graphql.json"
        return self._asking.ask("POST", url, headers=headers, data=data)

    def _own_token(self) -> str:
        """By the client credentials grant; kept until shortly before its end."""
        asked_at = self._clock()
        if self._token_ends is not None and asked_at < self._token_ends:
            return self._token
        form = {
            "grant_type": "client_credentials",
            "client_id": self._access.client_id or "",
            "client_secret": self._access.client_secret or "",
        }
        answered = self._asking.ask(
            "POST",
            f"{self._access.address}/admin/oauth/access_token",
            headers={},
            data={name: value.encode(errors="replace") for name, value in form.items()},
        )
        if not 200 <= answered.status < 300:
            raise PlatformAccessError(
                f"Shopify gives no access token (HTTP {answered.status}); give the client_id and "
                "client_secret of an app of your own organisation that is installed in this store, "
                "and this store's address"
            )
        answer = Part(answered.body)
        self._token = answer.of("access_token").matched(_TOKEN, "a token")[0]
        life = _points(answer.of("expires_in").value) or _UNTOLD_TOKEN_LIFE
        margin = min(_LONGEST_TOKEN_MARGIN, life / 10)
        self._token_ends = asked_at + timedelta(seconds=life - margin)
        return self._token


def _size(variables: Mapping[str, Any]) -> int:
    """What the costs of one query grow with."""
    sizes = [len(v) if isinstance(v, list) else v for v in variables.values()]
    return math.prod(size for size in sizes if isinstance(size, int))


class _Errors:
    """The `errors` of an answer. Shopify answers with a text in place of the list, too."""

    def __init__(self, value: object) -> None:
        self.given = value not in (None, [])
        rows = value if isinstance(value, list) else []
        self._rows = [row for row in rows if isinstance(row, dict)]
        self.codes = {
            code
            for row in self._rows
            if isinstance(row.get("extensions"), dict)
            and isinstance(code := row["extensions"].get("code"), str)
        }

    def as_error(self) -> PlatformApiError:
        """Says what it is about in words of the schema only: messages may repeat values."""
        if "SHOP_INACTIVE" in self.codes:
            return PlatformAccessError("Shopify says that the store is inactive; open it again")
        if "ACCESS_DENIED" in self.codes:
            rights = {
                right
                for row in self._rows
                for right in _RIGHT_WORD.findall(f"{row.get('message')} {row.get('extensions')}")
            }
            return PlatformAccessError(
                f"Shopify does not let the app read {self._where()}; give the app the right "
                f"{' or '.join(sorted(rights)) or RIGHT}, and install it again"
            )
        codes = ", ".join(sorted(filter(_WORD.fullmatch, self.codes))) or "no code"
        return PlatformRefusedError(
            f"Shopify refuses a query ({codes}) because of {self._where()}; look for a newer "
            "version of the relay"
        )

    def _where(self) -> str:
        paths = [row.get("path") for row in self._rows]
        places = [
            ".".join(step for step in path if isinstance(step, str) and _WORD.fullmatch(step))
            for path in paths
            if isinstance(path, list)
        ]
        return next(filter(None, places), "something that it does not name")
