"""The shop document: a shop's choices and secrets; checked, read from Secrets Manager, cached."""

from __future__ import annotations

import json
import re
import string
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol, TypeGuard, TypeVar

from prisjakt_relay import aws
from prisjakt_relay.errors import (
    AwsError,
    ShopDocumentError,
    StorageError,
    UnavailableError,
    UnknownShopError,
)

SHOP_NAME: Final = re.compile(r"[a-z0-9-]{1,64}")

# Gone, or marked for deletion: either way there is no such shop any more.
NO_SUCH_SECRET: Final = frozenset({"ResourceNotFoundException", "InvalidRequestException"})

_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_HOST: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,62})?\.)*[a-z0-9](?:[a-z0-9-]{0,62})?")

E = TypeVar("E", bound=StrEnum)


class Mode(StrEnum):
    LIVE = "live"
    TEST = "test"
    OFF = "off"


class Auth(StrEnum):
    OAUTH = "oauth"
    HEADERS = "headers"


class ReportWhen(StrEnum):
    PLACED = "placed"
    SECURED = "secured"
    PAID = "paid"


class AmountChoice(StrEnum):
    TOTAL = "total"
    TOTAL_EXCL_TAX = "total_excl_tax"
    GOODS = "goods"
    GOODS_EXCL_TAX = "goods_excl_tax"


class CurrencyChoice(StrEnum):
    SHOP = "shop"
    PRESENTMENT = "presentment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """One shop's document; docs/shop-document.md explains each field. `repr` holds no secret."""

    platform: str
    pixel_id: str
    signing_secrets: tuple[str, ...] = field(repr=False)
    mode: Mode = Mode.LIVE
    domain: str | None = None
    prisjakt_client_id: str | None = None
    prisjakt_client_secret: str | None = field(default=None, repr=False)
    prisjakt_auth: Auth = Auth.OAUTH
    report_when: ReportWhen = ReportWhen.SECURED
    amount: AmountChoice = AmountChoice.TOTAL
    currency: CurrencyChoice = CurrencyChoice.SHOP
    order_reference: str = "{id}"
    corrections: bool = True
    landing_page_fallback: bool = False
    excluded_sources: tuple[str, ...] = ()

    @property
    def client(self) -> str:
        """Whom Prisjakt counts requests for: the client id, or the pixel where there is none."""
        return self.prisjakt_client_id or self.pixel_id

    @property
    def has_credentials(self) -> bool:
        return self.prisjakt_client_id is not None


def unknown_fields(document: Mapping[str, Any]) -> list[str]:
    """Fields that this version does not know: a newer tool's, or a misspelling."""
    return sorted(set(document) - {known.name for known in fields(Shop)})


def parse(text: str) -> dict[str, Any]:
    """The JSON object in a secret."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ShopDocumentError("document", "is not JSON; write one JSON object") from None
    if not isinstance(document, dict):
        raise ShopDocumentError("document", "is not an object; write one JSON object")
    return document


def from_document(
    document: Mapping[str, Any], platforms: Mapping[str, tuple[str, ...]] | None = None
) -> Shop:
    """Check every known field; raises `ShopDocumentError` with the field and the remedy.

    `platforms` are those that are known, with the sources that each excludes by default. Without
    them any is taken: who sends reports asks no platform for anything.
    """
    remedy = f"name one of {', '.join(platforms)}" if platforms else "name the shop's"
    platform = _text(document, "platform", remedy)
    if platforms is not None and platform not in platforms:
        raise ShopDocumentError("platform", f"is unknown; {remedy}")
    pixel_id = _text(document, "pixel_id", "paste it from Business Center, Conversion Tracking")
    if not _UUID.fullmatch(pixel_id):
        raise ShopDocumentError("pixel_id", "is not a UUID; paste it from Business Center")
    client_id = _optional_text(document, "prisjakt_client_id")
    client_secret = _optional_text(document, "prisjakt_client_secret")
    if (client_id is None) != (client_secret is None):
        missing = "prisjakt_client_id" if client_id is None else "prisjakt_client_secret"
        raise ShopDocumentError(missing, "is missing; give both credentials or neither")
    auth = _choice(document, "prisjakt_auth", Auth.OAUTH)
    if auth is Auth.HEADERS and client_id is None:
        raise ShopDocumentError(
            "prisjakt_auth",
            '"headers" needs credentials; give prisjakt_client_id and prisjakt_client_secret',
        )
    return Shop(
        platform=platform,
        pixel_id=pixel_id,
        signing_secrets=_texts(document, "signing_secrets", at_least=1),
        mode=_choice(document, "mode", Mode.LIVE),
        domain=_domain(document),
        prisjakt_client_id=client_id,
        prisjakt_client_secret=client_secret,
        prisjakt_auth=auth,
        report_when=_choice(document, "report_when", ReportWhen.SECURED),
        amount=_choice(document, "amount", AmountChoice.TOTAL),
        currency=_choice(document, "currency", CurrencyChoice.SHOP),
        order_reference=_pattern(document),
        corrections=_flag(document, "corrections", default=True),
        landing_page_fallback=_flag(document, "landing_page_fallback", default=False),
        excluded_sources=(
            (platforms or {}).get(platform, ())
            if document.get("excluded_sources") is None
            else _texts(document, "excluded_sources", at_least=0)
        ),
    )


def _text(document: Mapping[str, Any], name: str, remedy: str) -> str:
    value = document.get(name)
    if value is None:
        raise ShopDocumentError(name, f"is missing; {remedy}")
    if not _is_text(value):
        raise ShopDocumentError(name, f"is not a text; {remedy}")
    return value.strip()


def _is_text(value: object) -> TypeGuard[str]:
    """Something to read, without half characters, which no key and no request can hold."""
    return isinstance(value, str) and bool(value.strip()) and not _LONE_SURROGATE.search(value)


def _optional_text(document: Mapping[str, Any], name: str) -> str | None:
    if document.get(name) is None:
        return None
    return _text(document, name, "give a text or leave the field out")


def _texts(document: Mapping[str, Any], name: str, *, at_least: int) -> tuple[str, ...]:
    values = document.get(name)
    if values is None:
        raise ShopDocumentError(name, "is missing; give a list of texts")
    if not isinstance(values, list) or not all(map(_is_text, values)):
        raise ShopDocumentError(name, "is not a list of texts; give one, also for a single text")
    if len(values) < at_least:
        raise ShopDocumentError(name, f"is empty; give at least {at_least}")
    return tuple(value.strip() for value in values)


def _flag(document: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = document.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ShopDocumentError(name, "is not true or false; write it without quotes")
    return value


def _choice(document: Mapping[str, Any], name: str, default: E) -> E:
    value = document.get(name)
    if value is None:
        return default
    try:
        return type(default)(value)
    except ValueError:
        choices = ", ".join(type(default))
        raise ShopDocumentError(name, f"is unknown; choose one of {choices}") from None


def _domain(document: Mapping[str, Any]) -> str | None:
    value = _optional_text(document, "domain")
    if value is None:
        return None
    if not _HOST.fullmatch(value.lower()):
        raise ShopDocumentError("domain", "is not a host name; write it without https:// or path")
    return value.lower()


def _pattern(document: Mapping[str, Any]) -> str:
    pattern = _optional_text(document, "order_reference")
    if pattern is None:
        return "{id}"
    try:
        parts = [part[1:] for part in string.Formatter().parse(pattern) if part[1] is not None]
    except ValueError:
        parts = []
    if not parts or any(
        part not in (("id", "", None), ("number", "", None), ("name", "", None)) for part in parts
    ):
        raise ShopDocumentError(
            "order_reference", "is no usable pattern; use one or more of {id}, {number}, {name}"
        )
    return pattern


def secrets_reader(
    service: aws.Service,
    prefix: str,
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> Callable[[str, datetime], str]:
    """`read(name, deadline)` for `Shops`: one secret per shop, under one prefix."""

    def read(name: str, deadline: datetime) -> str:
        try:
            answer = aws.until(
                deadline,
                lambda: service.call("GetSecretValue", {"SecretId": f"{prefix}{name}"}),
                clock=clock,
                sleep=sleep,
                final=NO_SUCH_SECRET,
            )
        except AwsError as error:
            if error.code in NO_SUCH_SECRET:
                raise UnknownShopError from error
            raise
        return str(answer.get("SecretString", ""))

    return read


class Alarm(Protocol):
    """Called with a word for the log and the shop's name when somebody should look."""

    def __call__(self, trouble: str, shop: str, **details: Any) -> None: ...


@dataclass(slots=True)
class _Entry:
    shop: Shop
    read_at: datetime
    forced_at: datetime | None = None
    failed_at: datetime | None = None


class Shops:
    """Shop documents, read through and cached; one per process.

    `read(name, deadline)` returns the secret's text, raises `UnknownShopError` where there is none
    and `StorageError` when Secrets Manager does not answer in time. A read that fails is answered
    from the cache for up to a day. Names that turned out unknown are remembered, and all of them
    together cost one read in `unknown_reads`, after a few at once: inventing names costs nothing,
    and a stray scanner does not stand in the way of a shop that is read for the first time.
    `platforms` are as for `from_document`.

    So many documents are kept, those that were asked for last: one is about 2 kB, so that all of
    them are below 5 MB of a function that has 256.
    """

    FRESH: Final = timedelta(minutes=5)
    STALE: Final = timedelta(hours=24)
    FORCED: Final = timedelta(seconds=30)
    UNKNOWN: Final = timedelta(seconds=60)
    UNKNOWN_READS: Final = timedelta(seconds=1)
    UNKNOWN_READS_AT_ONCE: Final = 10
    UNKNOWN_NAMES: Final = 1_000
    KNOWN_NAMES: Final = 2_000
    RETRY: Final = timedelta(seconds=10)

    def __init__(
        self,
        read: Callable[[str, datetime], str],
        *,
        clock: Callable[[], datetime],
        alarm: Alarm,
        scale: float = 1.0,
        unknown_reads: timedelta = UNKNOWN_READS,
        platforms: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._read = read
        self._platforms = platforms
        self._clock = clock
        self._alarm = alarm
        self._scale = scale
        self._unknown_reads = unknown_reads * scale
        self._known: OrderedDict[str, _Entry] = OrderedDict()
        self._unknown: OrderedDict[str, datetime] = OrderedDict()
        self._unknown_reads_until = datetime.min.replace(tzinfo=UTC)  # paid for, one by one

    def get(self, name: str, deadline: datetime) -> Shop:
        """The shop's document, at most five minutes old while Secrets Manager answers.

        Raises `UnknownShopError`, or `UnavailableError` if there is no usable document at all.
        """
        now = self._clock()
        entry = self._known.get(name)
        if entry is None:
            return self._first(name, now, deadline)
        self._known.move_to_end(name)
        if now - entry.read_at < self.FRESH * self._scale:
            return entry.shop
        if entry.failed_at is not None and now - entry.failed_at < self.RETRY * self._scale:
            return self._stale(name, entry, now)
        return self._again(name, entry, now, deadline)

    def fresh(self, name: str, since: datetime, deadline: datetime) -> Shop | None:
        """After a signature that failed: the document if it has changed, None if it has not.

        Reads at most once per shop in 30 seconds, so that nobody can run up a bill with
        forgeries, and not at all if the document was read after `since`, or if there is no time.
        """
        now = self._clock()
        entry = self._known.get(name)
        if entry is None or entry.read_at >= since or now + aws.ATTEMPT > deadline:
            return None
        if entry.forced_at is not None and now - entry.forced_at < self.FORCED * self._scale:
            return None
        entry.forced_at = now
        before = entry.shop
        after = self._again(name, entry, now, deadline)
        return None if after == before else after

    def _first(self, name: str, now: datetime, deadline: datetime) -> Shop:
        remembered = self._unknown.get(name)
        if remembered is not None and now - remembered < self.UNKNOWN * self._scale:
            raise UnknownShopError
        ahead = self._unknown_reads_until - now
        if ahead > self._unknown_reads * (self.UNKNOWN_READS_AT_ONCE - 1):
            raise UnknownShopError
        try:
            shop = self._parsed(name, self._read(name, deadline))
        except UnknownShopError:
            self._unknown_reads_until = max(self._unknown_reads_until, now) + self._unknown_reads
            self._remember_unknown(name, now)
            raise
        except (StorageError, ShopDocumentError) as error:
            self._alarm("shop_document_unusable", name, problem=str(error))
            raise UnavailableError from error
        self._known[name] = _Entry(shop, now)
        if len(self._known) > self.KNOWN_NAMES:
            self._known.popitem(last=False)
        return shop

    def _again(self, name: str, entry: _Entry, now: datetime, deadline: datetime) -> Shop:
        try:
            entry.shop = self._parsed(name, self._read(name, deadline))
        except UnknownShopError:
            del self._known[name]
            self._remember_unknown(name, now)
            raise
        except (StorageError, ShopDocumentError) as error:
            entry.failed_at = now
            self._alarm("shop_document_stale", name, problem=str(error))
            return self._stale(name, entry, now)
        entry.read_at = now
        return entry.shop

    def _stale(self, name: str, entry: _Entry, now: datetime) -> Shop:
        if now - entry.read_at < self.STALE:
            return entry.shop
        self._alarm("shop_document_unusable", name, problem="no fresh document for a day")
        raise UnavailableError

    def _parsed(self, name: str, text: str) -> Shop:
        document = parse(text)
        shop = from_document(document, self._platforms)
        if unknown := unknown_fields(document):
            self._alarm("shop_document_unknown_fields", name, fields=unknown)
        return shop

    def _remember_unknown(self, name: str, now: datetime) -> None:
        self._unknown[name] = now
        self._unknown.move_to_end(name)
        if len(self._unknown) > self.UNKNOWN_NAMES:
            self._unknown.popitem(last=False)
