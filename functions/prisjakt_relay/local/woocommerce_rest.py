"""What WordPress' REST API and WooCommerce's keys do for every route: who asks, what for, and JSON.

It follows the classes WC_REST_Authentication and WP_REST_Request.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, unquote

from prisjakt_relay.local.exchange import Answer, Call

_NONCE_WINDOW: Final = 15 * 60
_TIME: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}(:\d{2})?)?"
)
_MARKED: Final = re.compile(r'"\\u0000([0-9.E+-]+)\\u0000"')
_OAUTH: Final = (
    "oauth_consumer_key",
    "oauth_timestamp",
    "oauth_nonce",
    "oauth_signature",
    "oauth_signature_method",
)


class RestError(Exception):
    def __init__(self, status: int, code: str, message: str, **data: object) -> None:
        self.status = status
        self.document = {"code": code, "message": message, "data": {"status": status, **data}}


@dataclass(frozen=True)
class HtmlAnswer(Answer):
    """Something that is not the REST API answers."""

    @property
    def content(self) -> bytes:
        return f"<!DOCTYPE html><title>{self.status}</title><p>{self.body}</p>".encode()


@dataclass(frozen=True)
class JsonAnswer(Answer):
    """What WordPress prints."""

    @property
    def content(self) -> bytes:
        return php_json(self.body).encode()


class Authentication:
    """Whether a request shows the shop's one key, in whichever way.

    `is_https`: whether WordPress knows that it is reached by https, without which it looks at
    signatures only.
    """

    def __init__(
        self,
        address: str,
        *,
        clock: Callable[[], datetime],
        consumer_key: str,
        consumer_secret: str,
        is_https: bool,
        drops_authorization: bool,
    ) -> None:
        self._address = address
        self._clock = clock
        self._key = consumer_key
        self._secret = consumer_secret
        self._is_https = is_https
        self._drops_authorization = drops_authorization
        self._nonces: dict[int, str] = {}

    def knows(self, call: Call, route: str) -> bool:
        """Raises `RestError` for a key that is shown wrongly; one that is unknown is nobody's."""
        # Before 11.1 the test was for this text, anywhere in the address.
        in_path = call.path.startswith("/wp-json/wc/")
        if not route.startswith("/wc/") or not (
            in_path or any("wp-json/wc/" in value for value in call.query.values())
        ):
            return False
        return (self._is_https and self._basic(call)) or self._oauth(call)

    def _basic(self, call: Call) -> bool:
        key, secret = call.query.get("consumer_key"), call.query.get("consumer_secret")
        if not key or not secret:
            key, secret = self._header(call)
        if key != self._key:
            return False
        if secret != self._secret:
            raise unauthenticated("Consumer secret is invalid.")
        return True

    def _header(self, call: Call) -> tuple[str, str]:
        scheme, _, value = call.headers.get("authorization", "").partition(" ")
        if self._drops_authorization or scheme.lower() != "basic":
            return "", ""
        try:
            key, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return key, secret

    def _oauth(self, call: Call) -> bool:
        given = [name for name in _OAUTH if call.query.get(name)]
        if not given:
            return False
        if missing := [name for name in _OAUTH if name not in given]:
            raise RestError(
                401,
                "woocommerce_rest_authentication_missing_parameter",
                f"Missing OAuth parameter {', '.join(missing)}",
            )
        if call.query["oauth_consumer_key"] != self._key:
            raise unauthenticated("Consumer key is invalid.")
        self._check_signature(call)
        self._check_nonce(call.query["oauth_timestamp"], call.query["oauth_nonce"])
        return True

    def _check_signature(self, call: Call) -> None:
        method = call.query["oauth_signature_method"]
        if method not in ("HMAC-SHA1", "HMAC-SHA256"):
            raise unauthenticated("Invalid signature - signature method is invalid.")
        scheme = "https" if self._is_https else "http"
        home = f"{scheme}://{self._address.partition('://')[2]}"
        path = call.path.lstrip("/")
        page = f"{home}/{path}" if path else home  # a page without a name has no slash either
        signed = sorted((k, v) for k, v in call.query.items() if k != "oauth_signature")
        pairs = (f"{_raw(name)}={_raw(value)}" for name, value in signed)
        text = f"{call.method.upper()}&{_raw(page)}&{'%26'.join(map(_raw, pairs))}"
        expected = base64.b64encode(
            hmac.digest(
                f"{self._secret}&".encode(), text.encode(), method.removeprefix("HMAC-").lower()
            )
        ).decode()
        if unquote(call.query["oauth_signature"].replace(" ", "+")) != expected:
            raise unauthenticated("Invalid signature - provided signature does not match.")

    def _check_nonce(self, timestamp: str, nonce: str) -> None:
        now = int(self._clock().timestamp())
        moment = int(timestamp) if timestamp.isdecimal() else 0
        if abs(moment - now) > _NONCE_WINDOW:
            raise unauthenticated("Invalid timestamp.")
        if nonce in self._nonces.values():
            raise unauthenticated("Invalid nonce - nonce has already been used.")
        self._nonces[moment] = nonce
        self._nonces = {k: v for k, v in self._nonces.items() if k >= now - _NONCE_WINDOW}


class Reading:
    """A request's parameters, checked as its route declares them; `done` refuses the bad ones."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters
        self._problems: dict[str, tuple[str, str]] = {}
        self._missing: list[str] = []

    def require(self, *names: str) -> None:
        self._missing += [name for name in names if name not in self._parameters]

    def number(self, name: str, default: int, largest: int | None) -> int:
        text = str(self._parameters.get(name, default))
        value = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
        if value >= 1 and (largest is None or value <= largest):
            return value
        bounds = "greater than or equal to 1"
        if largest is not None:
            bounds = f"between 1 (inclusive) and {largest} (inclusive)"
        self._problems[name] = ("rest_out_of_bounds", f"{name} must be {bounds}")
        return default

    def choice(
        self, name: str, default: str, choices: Iterable[str], value: str | None = None
    ) -> str:
        value = str(self._parameters.get(name, default)) if value is None else value
        if value != default and value not in choices:
            listed = ", ".join(choices)
            self._problems[name] = ("rest_not_in_enum", f"{name} is not one of {listed}.")
        return value

    def flag(self, name: str) -> bool:
        value = str(self._parameters.get(name, "false")).lower()
        if value not in ("true", "1", "false", "0", ""):
            self._problems[name] = ("rest_invalid_type", f"{name} is not of type boolean.")
        return value in ("true", "1")

    def time(self, name: str) -> datetime | None:
        value = self._parameters.get(name)
        if value is None:
            return None
        if _TIME.fullmatch(str(value)):
            with contextlib.suppress(ValueError):
                return datetime.fromisoformat(str(value).upper())
        self._problems[name] = ("rest_invalid_date", "Invalid date.")
        return None

    def done(self) -> None:
        if self._missing:
            raise RestError(
                400,
                "rest_missing_callback_param",
                f"Missing parameter(s): {', '.join(self._missing)}",
                params=self._missing,
            )
        if self._problems:
            raise RestError(
                400,
                "rest_invalid_param",
                f"Invalid parameter(s): {', '.join(self._problems)}",
                params={name: message for name, (_, message) in self._problems.items()},
                details={
                    name: {"code": code, "message": message, "data": None}
                    for name, (code, message) in self._problems.items()
                },
            )


def parameters_of(call: Call) -> dict[str, Any]:
    """What the body says counts more than what the query says."""
    parameters: dict[str, Any] = dict(call.query)
    if call.body and "json" in call.headers.get("content-type", ""):
        try:
            body = json.loads(call.body)
        except ValueError:
            raise RestError(400, "rest_invalid_json", "Invalid JSON body passed.") from None
        parameters |= body if isinstance(body, dict) else {}
    return parameters


def unauthenticated(message: str) -> RestError:
    return RestError(401, "woocommerce_rest_authentication_error", message)


def php_json(value: object) -> str:
    """Compact, plain ASCII, slashes escaped; a Decimal is a number with the very digits it has."""
    text = json.dumps(value, separators=(",", ":"), default=_marked)
    return _MARKED.sub(r"\1", text).replace("/", "\\/")


def _marked(value: object) -> str:
    """The standard encoder is fast, and knows no Decimal."""
    if not isinstance(value, Decimal):
        raise TypeError(f"an order holds a {type(value).__name__}")
    return f"\0{value}\0"


def _raw(text: str) -> str:
    return quote(text, safe="")
