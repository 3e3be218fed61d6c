"""Shop documents as an operator writes them: checked, added, changed, removed."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from prisjakt_relay.errors import RelayError, SetupError, ShopDocumentError, StorageError
from prisjakt_relay.operations import shops
from prisjakt_relay.operations.stack import Stack, told_clearly
from prisjakt_relay.platforms import PLATFORMS, shop_from
from prisjakt_relay.shop import NO_SUCH_SECRET, Shop, parse, unknown_fields

FIELDS: Final = tuple(field.name for field in fields(Shop))
FLAGS: Final[Mapping[str, str]] = {field: f"--{field.replace('_', '-')}" for field in FIELDS} | {
    "signing_secrets": "--signing-secret",
    "excluded_sources": "--excluded-source",
}
REQUIRED: Final = ("platform", "pixel_id", "signing_secrets")
DESCRIPTION: Final = "Shop document of prisjakt-relay"
RECOVERY_DAYS: Final = 7

_SECRET: Final = frozenset({"signing_secrets", "prisjakt_client_secret"})
_STAND_IN: Final[Mapping[str, Any]] = {
    "platform": next(iter(PLATFORMS)),
    "pixel_id": "00000000-0000-4000-8000-000000000000",
    "signing_secrets": ["stand-in"],
}
THERE_IS_ONE: Final = frozenset({"ResourceExistsException", "InvalidRequestException"})
_LONGEST_SECRET: Final = 1_024


@dataclass(frozen=True)
class Change:
    """What counts for one field, before and after."""

    field: str
    before: Any
    after: Any


def read(text: str) -> dict[str, Any]:
    """A whole document from a file, with fields that this version knows."""
    try:
        document = parse(text)
    except ShopDocumentError as error:
        raise SetupError(str(error)) from None
    _refuse_unknown(document, "correct the name or leave it out")
    return {name: value for name, value in document.items() if value is not None}


def check(document: Mapping[str, Any]) -> Shop:
    """The shop that the document describes; raises `SetupError` with the field and the remedy."""
    _refuse_unknown(document, "remove it with `shop set SHOP --unset FIELD`")
    try:
        return shop_from(document)
    except ShopDocumentError as error:
        raise SetupError(str(error)) from None


def check_so_far(document: Mapping[str, Any]) -> None:
    """Check the fields that are there, as if the missing ones were right."""
    complete = {**_STAND_IN, **document}
    for one, other in (
        ("prisjakt_client_id", "prisjakt_client_secret"),
        ("prisjakt_client_secret", "prisjakt_client_id"),
    ):
        if one in document:
            complete.setdefault(other, "stand-in")
    shop = check(complete)
    if "platform" in document:
        _check_new(shop, document)


def _check_new(shop: Shop, given: Mapping[str, Any]) -> None:
    """Refuse what the functions would take, but no delivery could ever match."""
    if "signing_secrets" in given:
        check_signing_secrets(shop.platform, shop.signing_secrets)
    if "domain" in given and shop.domain is not None:
        problem = PLATFORMS[shop.platform].domain_problem(shop.domain)
        if problem is not None:
            raise SetupError(f"domain: {problem}")


def check_signing_secrets(platform: str, values: Iterable[str]) -> None:
    """Refuse new secrets that the platform would not sign with; never says what they are."""
    for value in values:
        if len(value.encode()) > _LONGEST_SECRET:
            raise SetupError(
                f"signing_secrets: one is longer than {_LONGEST_SECRET:,} bytes; paste the secret "
                "alone"
            )
        if (problem := PLATFORMS[platform].secret_problem(value)) is not None:
            raise SetupError(f"signing_secrets: {problem}")


def makes_secret(platform: str) -> bool:
    """Whether a shop's signing secret is ours to make, and not the shop system's."""
    return PLATFORMS[platform].guide.secret is None


def generated_secret(platform: str) -> str:
    """A signing secret that the platform takes as it is."""
    return PLATFORMS[platform].new_secret(secrets.token_bytes(32))


def fingerprint(secret: str) -> str:
    """What a secret is called where it must not be shown."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def is_secret(field: str) -> bool:
    """An unknown field, too: it may be a misspelt one of the secrets."""
    return field in _SECRET or field not in FIELDS


def masked(field: str, value: Any, *, revealed: bool = False) -> Any:
    """The value; in place of each secret its fingerprint and length, and itself if `revealed`."""
    if not is_secret(field) or value is None:
        return value
    if isinstance(value, list | tuple):
        return [masked(field, secret, revealed=revealed) for secret in value]
    return disguised(str(value), revealed=revealed)


def disguised(secret: str, *, revealed: bool) -> dict[str, Any]:
    """What tells one secret from another without saying it, and it itself if `revealed`."""
    shown = {"fingerprint": fingerprint(secret), "characters": len(secret)}
    return shown | ({"secret": secret} if revealed else {})


def effective(document: Mapping[str, Any]) -> dict[str, Any]:
    """Every field with what counts for it; of an unusable document, those that are written."""
    unknown = {name: document[name] for name in unknown_fields(document)}
    try:
        return asdict(shop_from(document)) | unknown
    except ShopDocumentError:
        return {name: document[name] for name in FIELDS if name in document} | unknown


def problem(document: Mapping[str, Any]) -> str | None:
    """What is wrong with a document, if anything is."""
    try:
        check(document)
    except SetupError as error:
        return str(error)
    return None


def require_unused(stack: Stack, name: str) -> None:
    """Raises `SetupError` if there is a shop of that name."""
    found = _described(stack, name)
    if found is not None and not found.get("DeletedDate"):
        raise _exists(stack, name)


def add(stack: Stack, name: str, document: Mapping[str, Any]) -> None:
    """Write a new shop's document; raises `SetupError` if there is a shop of that name."""
    wanted, text = shops.secret_id(stack, name), _text(document)
    with told_clearly():
        try:
            stack.client("secretsmanager").create_secret(
                Name=wanted, SecretString=text, Description=DESCRIPTION
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in THERE_IS_ONE:
                raise
            require_unused(stack, name)
            _add_again(stack, name, text)


def changed(
    before: Mapping[str, Any], given: Mapping[str, Any], unset: Iterable[str]
) -> dict[str, Any]:
    """The document with other values, checked; raises `SetupError` if it could not be used."""
    gone = frozenset(unset)
    after = {name: value for name, value in before.items() if name not in gone} | dict(given)
    shop = check(after)
    others = [each for each in PLATFORMS if each != shop.platform]
    if before.get("platform") in others:  # a list: a wrong one may be of any kind
        raise SetupError(
            "platform: a shop keeps the one it has; add the other one under another name"
        )
    _check_new(shop, given)
    return after


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """What is written differently, in the order of the fields."""
    was, will_be = effective(before), effective(after)
    return [
        Change(name, was.get(name), will_be.get(name))
        for name in {**dict.fromkeys(FIELDS), **before}
        if before.get(name) != after.get(name)
    ]


def write(stack: Stack, name: str, document: Mapping[str, Any]) -> None:
    """Replace the document of a shop, in one call."""
    wanted = shops.secret_id(stack, name)
    with shops.existing(stack, name):
        stack.client("secretsmanager").put_secret_value(
            SecretId=wanted, SecretString=_text(document)
        )


def is_there(stack: Stack, name: str) -> bool:
    """Whether there is something to remove; False if it is removed already, but kept for a while.

    Raises `SetupError` if there is nothing at all.
    """
    found = _described(stack, name)
    if found is None:
        raise shops.missing(stack, name)
    return not found.get("DeletedDate")


def remove(stack: Stack, name: str, *, now: bool) -> datetime | None:
    """Remove the shop; returns until when its document can be brought back."""
    wanted = shops.secret_id(stack, name)
    how: dict[str, Any] = {"RecoveryWindowInDays": RECOVERY_DAYS}
    if now:
        how = {"ForceDeleteWithoutRecovery": True}
    with shops.existing(stack, name):
        answer = stack.client("secretsmanager").delete_secret(SecretId=wanted, **how)
    return None if now else answer["DeletionDate"]


def with_secret(document: Mapping[str, Any], secret: str) -> dict[str, Any]:
    """The document with one more signing secret, checked; the same if it has that one."""
    shop = check(document)
    if secret in shop.signing_secrets:
        return dict(document)
    return changed(document, {"signing_secrets": [*shop.signing_secrets, secret]}, ())


def without_secret(document: Mapping[str, Any], wanted: str) -> dict[str, Any]:
    """The document without the signing secret of that fingerprint; never without any."""
    shop = check(document)
    kept = [secret for secret in shop.signing_secrets if fingerprint(secret) != wanted.lower()]
    if len(kept) == len(shop.signing_secrets):
        there = ", ".join(map(fingerprint, shop.signing_secrets))
        raise SetupError(f"no signing secret has that fingerprint: there is {there}")
    if not kept:
        raise SetupError(
            "the last signing secret stays: add another with `shop signing-secret add` first"
        )
    return {**document, "signing_secrets": kept}


def _refuse_unknown(document: Mapping[str, Any], remedy: str) -> None:
    if unknown := unknown_fields(document):
        raise SetupError(f"{', '.join(unknown)}: not known to this version; {remedy}")


def _text(document: Mapping[str, Any]) -> str:
    known = {name: document[name] for name in FIELDS if name in document}
    return json.dumps(known, indent=2)


def _described(stack: Stack, name: str) -> Mapping[str, Any] | None:
    wanted = shops.secret_id(stack, name)
    with told_clearly():
        try:
            found = stack.client("secretsmanager").describe_secret(SecretId=wanted)
        except ClientError as error:
            if error.response["Error"]["Code"] not in NO_SUCH_SECRET:
                raise
            return None
    return dict(found)


def _exists(stack: Stack, name: str) -> SetupError:
    return SetupError(
        f"there is a shop {name} in the stack {stack.name} already: change it with "
        f"`{stack.command('shop', 'set', name, '--FIELD', 'VALUE')}`, or choose another name"
    )


def _add_again(stack: Stack, name: str, text: str) -> None:
    """A removed shop's secret is kept for days, and its name with it: take that over."""
    secret_id, client = shops.secret_id(stack, name), stack.client("secretsmanager")
    try:
        client.restore_secret(SecretId=secret_id)
        client.put_secret_value(SecretId=secret_id, SecretString=text)
    except BaseException as error:  # the old document must not come back, not even on Ctrl-C
        _remove_again(stack, name)
        if isinstance(error, ClientError) and error.response["Error"]["Code"] in NO_SUCH_SECRET:
            raise StorageError(
                f"shop {name} is just being removed for good: try again in a minute"
            ) from None
        raise


def _remove_again(stack: Stack, name: str) -> None:
    """Raises `StorageError` if a document that was restored may have come to stay."""
    try:
        remove(stack, name, now=False)
    except RelayError as error:
        with suppress(RelayError):
            found = _described(stack, name)
            if found is None or found.get("DeletedDate"):
                return
        raise StorageError(
            f"the removed document of shop {name} may count again, and removing it anew failed: "
            f"run `{stack.command('shop', 'remove', name)}`"
        ) from error
