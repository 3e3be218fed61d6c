"""What `doctor` looks at: many small checks, run side by side, told in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final

from prisjakt_relay.errors import RelayError
from prisjakt_relay.operations import shop_checks, shops, stack_checks
from prisjakt_relay.operations.finding import Check, Finding
from prisjakt_relay.operations.stack import Stack, told_clearly

_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Section:
    """The checks of the stack, or those of one shop."""

    shop: str | None
    title: str
    checks: Sequence[tuple[str, Check]]


def sections(stack: Stack, shop: str | None, page: str | None = None) -> list[Section]:
    """The stack, then this shop or all of them; raises `NoShopError` where there is no such shop.

    `page` is where the snippet should be; by default the front page of the shop's domain.
    """
    if shop is not None:
        return [_stack_section(stack), _shop_section(stack, shop, page)]
    try:
        names = shops.names(stack)
    except RelayError as error:
        return [_stack_section(stack), _one(_not_told("shops", error))]
    if not names:
        remedy = f"`{stack.command('shop', 'add', 'SHOP')}` makes one"
        return [_stack_section(stack), _one(Finding("shops", None, "there is none yet", remedy))]
    return [_stack_section(stack), *(_listed_section(stack, name, page) for name in names)]


def run(parts: Sequence[Section]) -> Iterator[tuple[Section, Finding]]:
    """Every finding, in the order of the sections and of their checks."""
    futures = iter(_started([check for part in parts for check in part.checks]))
    for part in parts:
        for _ in part.checks:
            for finding in next(futures).result():
                yield part, finding


def _stack_section(stack: Stack) -> Section:
    return Section(None, f"stack {stack.name} ({stack.region})", stack_checks.checks(stack))


def _shop_section(stack: Stack, name: str, page: str | None) -> Section:
    try:
        checks = shop_checks.checks(stack, name, page)
    except shops.NoShopError:
        raise
    except RelayError as error:
        return _without_document(name, error)
    return Section(name, f"shop {name}", checks)


def _listed_section(stack: Stack, name: str, page: str | None) -> Section:
    """Also if the shop was removed since it was listed."""
    try:
        return _shop_section(stack, name, page)
    except shops.NoShopError as error:
        return _without_document(name, error)


def _without_document(name: str, error: RelayError) -> Section:
    """Nothing else can be told of a shop whose document could not be read."""
    finding = _not_told("document", error)
    return Section(name, f"shop {name}", [(finding.name, lambda: [finding])])


def _one(finding: Finding) -> Section:
    return Section(None, finding.name, [(finding.name, lambda: [finding])])


def _started(checks: Iterable[tuple[str, Check]]) -> list[Future[list[Finding]]]:
    """Each in turn by a few threads, which an interrupted program does not wait for."""
    tasks: SimpleQueue[tuple[str, Check, Future[list[Finding]]]] = SimpleQueue()
    futures: list[Future[list[Finding]]] = []
    for name, check in checks:
        futures.append(Future())
        tasks.put((name, check, futures[-1]))

    def work() -> None:
        while True:
            try:
                name, check, future = tasks.get_nowait()
            except Empty:
                return
            try:
                future.set_result(_carefully(name, check))
            except Exception as error:
                future.set_exception(error)

    for _ in range(_AT_ONCE):
        Thread(target=work, name="doctor", daemon=True).start()
    return futures


def _carefully(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """What one check may not do or cannot reach is no reason to give up the others."""
    try:
        with told_clearly():
            return check()
    except RelayError as error:
        return [_not_told(name, error)]


def _not_told(name: str, error: RelayError) -> Finding:
    return Finding(name, None, f"not told: {error}")
