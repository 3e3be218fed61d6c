"""Bugs that the fuzzer has to find: each is put into the relay while inputs run."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from decimal import Decimal
from typing import Any, Final
from unittest.mock import patch

from prisjakt_relay import conversion, intake
from prisjakt_relay.errors import UnreadableError
from prisjakt_relay.platforms import custom, interface, reading


def _half_a_signature() -> AbstractContextManager[object]:
    """A signature counts as soon as most of it is right."""
    real = hmac.compare_digest

    def compare(given: bytes, right: bytes) -> bool:
        return real(given[:40], right[:40])

    return patch.object(hmac, "compare_digest", compare)


def _unsigned_body() -> AbstractContextManager[object]:
    """What is signed is a message's id and its time, and not its body."""
    real = custom._signature

    def of_the_head(key: bytes, message_id: str, seconds: str, body: bytes) -> bytes:  # noqa: ARG001
        return real(key, message_id, seconds, b"")

    return patch.object(custom, "_signature", of_the_head)


def _tidied_body() -> AbstractContextManager[object]:
    """What is signed is the body without the white space around it."""
    real = interface.hmac_sha256

    def tidied(body: bytes, secret: str) -> str:
        return real(body.strip(), secret)

    return patch.object(interface, "hmac_sha256", tidied)


def _telling_values() -> AbstractContextManager[object]:
    """The log says what stands in a field that cannot be read."""

    def text(document: dict[str, Any], field: str) -> str:
        value = document.get(field)
        if value is not None and not isinstance(value, str | int):
            raise UnreadableError(field, f"is not a text but {value}")
        return "" if value is None else str(value)

    return patch.object(reading, "text", text)


def _depth_forgotten() -> AbstractContextManager[object]:
    """A body that is nested too deeply stops the function."""

    def document(body: bytes) -> dict[str, Any]:
        try:
            parsed = json.loads(body, parse_float=Decimal)
        except ValueError:
            raise UnreadableError("body", "is not JSON") from None
        if not isinstance(parsed, dict):
            raise UnreadableError("body", "is not an object")
        return parsed

    return patch.object(intake, "_document", document)


def _half_characters() -> AbstractContextManager[object]:
    """A queue message may hold what no table can store."""

    def any_text(value: object) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= 100:
            raise TypeError
        return value

    return patch.multiple(conversion, _text=any_text, _reference=any_text)


def _unbounded_amounts() -> AbstractContextManager[object]:
    """Figures are reckoned with however large they are."""

    def decimal(document: dict[str, Any], field: str, path: str = "") -> Decimal:
        value = document.get(field)
        try:
            return Decimal(value)  # type: ignore[arg-type]  # TypeError is caught
        except (TypeError, ValueError, ArithmeticError):
            raise UnreadableError(f"{path}{field}", "is missing or not a number") from None

    return patch.object(reading, "decimal", decimal)


BUGS: Final[Mapping[str, Callable[[], AbstractContextManager[object]]]] = {
    "half-a-signature": _half_a_signature,
    "unsigned-body": _unsigned_body,
    "tidied-body": _tidied_body,
    "telling-values": _telling_values,
    "depth-forgotten": _depth_forgotten,
    "half-characters": _half_characters,
    "unbounded-amounts": _unbounded_amounts,
}


def about(name: str) -> str:
    return (BUGS[name].__doc__ or "").strip()


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    with BUGS[name]() if name else nullcontext():
        yield
