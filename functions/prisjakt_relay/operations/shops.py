"""The shops of a stack: their documents in Secrets Manager, as an operator reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from botocore.exceptions import ClientError

from prisjakt_relay.errors import SetupError, ShopDocumentError
from prisjakt_relay.operations.stack import Stack, told_clearly
from prisjakt_relay.platforms import shop_from
from prisjakt_relay.shop import NO_SUCH_SECRET, SHOP_NAME, Shop, parse

NAME_RULE: Final = "use 1 to 64 of a-z, 0-9 and -"


class NoShopError(SetupError):
    """There is no shop of that name, or can be none."""


class UnusableError(SetupError):
    """There is a shop, but its document cannot be used."""

    def __init__(self, name: str, problem: ShopDocumentError) -> None:
        super().__init__(f"the document of shop {name} cannot be used: {problem}")
        self.problem = problem


def secret_id(stack: Stack, name: str) -> str:
    """The name of a shop's secret; raises `NoShopError` for a name that no shop can have."""
    if not SHOP_NAME.fullmatch(name):
        raise NoShopError(f"shop name {name!r}: {NAME_RULE}")
    return f"{stack.name}/shops/{name}"


def names(stack: Stack) -> list[str]:
    """Every shop of the stack, by name."""
    prefix = f"{stack.name}/shops/"
    with told_clearly():
        pages = stack.client("secretsmanager").get_paginator("list_secrets")
        found = [
            str(secret["Name"])
            for page in pages.paginate(Filters=[{"Key": "name", "Values": [prefix]}])
            for secret in page["SecretList"]
        ]
    return sorted(name.removeprefix(prefix) for name in found if name.startswith(prefix))


@contextmanager
def existing(stack: Stack, name: str) -> Iterator[None]:
    """Around calls about a shop's secret: where there is none, `NoShopError` says so."""
    with told_clearly():
        try:
            yield
        except ClientError as error:
            if error.response["Error"]["Code"] not in NO_SUCH_SECRET:
                raise
            raise missing(stack, name) from None


def missing(stack: Stack, name: str) -> NoShopError:
    return NoShopError(
        f"there is no shop {name} in the stack {stack.name} ({stack.region}): "
        f"`{stack.command('shop', 'list')}` shows those there are, "
        f"`{stack.command('shop', 'add', name)}` makes one"
    )


def document(stack: Stack, name: str) -> dict[str, Any]:
    """The document as it was written; raises `NoShopError` or `UnusableError`."""
    wanted = secret_id(stack, name)
    with existing(stack, name):
        answer = stack.client("secretsmanager").get_secret_value(SecretId=wanted)
    try:
        return parse(str(answer.get("SecretString", "")))
    except ShopDocumentError as error:
        raise UnusableError(name, error) from None


def shop(stack: Stack, name: str) -> Shop:
    """The checked document; raises `NoShopError` or `UnusableError`."""
    return checked(name, document(stack, name))


def checked(name: str, written: Mapping[str, Any]) -> Shop:
    try:
        return shop_from(written)
    except ShopDocumentError as error:
        raise UnusableError(name, error) from None


def each(stack: Stack) -> Iterator[tuple[str, Shop | SetupError]]:
    """Every shop with its document, or with what is wrong with that."""
    for name in names(stack):
        try:
            yield name, shop(stack, name)
        except SetupError as error:
            yield name, error


def reference_space(shop: Shop) -> tuple[str, str]:
    """Within which Prisjakt takes orders of the same reference for one."""
    return shop.pixel_id.lower(), shop.order_reference
