"""Writes the items of every kind that this version keeps in its table: fixtures for later versions.

`python -m tests.release.record_items [FOLDER]`, once for a release. They come of the sender's and
the reconciler's own runs, not of a hand; `test_upgrade.py` shows that later versions go on with
them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tests.reconciler.world import World as ReconcilerWorld
from tests.reconciler.world import order
from tests.sender.world import CREDENTIALS, START, Killed, Trouble, World, conversion

from prisjakt_relay import __version__
from prisjakt_relay.conversion import PURCHASE, Conversion
from prisjakt_relay.erasure import Erasure, of_orders, of_shop
from prisjakt_relay.ledger import dropped, key
from prisjakt_relay.local.prisjakt_model import Fault

FOLDER: Final = Path(__file__).parent / "ledger-items" / __version__
REFUSED: Final = {
    "title": "Request validation failed",
    "status": 400,
    "field_errors": {"data.amount": {"message": "is odd"}},
}


def later(**changes: Any) -> Conversion:
    return conversion(revision=conversion().revision + 60_000, **changes)


def claimed(world: World) -> None:
    """A sender died with the lease in its hands."""
    world.add(conversion())
    world.outside.trouble = Trouble(Killed(), 1, 1, kinds=("post",))
    world.round()


def waiting(world: World) -> None:
    """A try was answered 503."""
    world.model.faults.append(Fault(kind="status", status=503, times=1))
    world.add(conversion())
    world.round()


def uncertain(world: World) -> None:
    """A try timed out: it may be there."""
    world.model.faults.append(Fault(kind="hang", seconds=20, times=1))
    world.add(conversion())
    world.round()


def held(world: World) -> None:
    """The allowance is used up: it has a place in line."""
    world.allowance = 1
    world.ports = world.process()
    world.add(conversion(order_id="1000"))
    world.round()
    world.add(conversion())
    world.round()


def reported(world: World) -> None:
    world.add(conversion())
    world.run()


def corrected(world: World) -> None:
    world.documents["alfa"] |= CREDENTIALS
    reported(world)
    world.add(later(amount=Decimal("500.00"), number_of_items=1))
    world.run()


def taken_back(world: World) -> None:
    world.documents["alfa"] |= CREDENTIALS
    reported(world)
    world.add(later(void=True, amount=Decimal(0), number_of_items=0))
    world.run()


def not_correctable(world: World) -> None:
    reported(world)
    world.add(later(amount=Decimal("500.00")))
    world.run()


def correction_refused(world: World) -> None:
    world.documents["alfa"] |= CREDENTIALS
    reported(world)
    world.model.faults.append(Fault(kind="status", status=400, times=9, body=REFUSED))
    world.add(later(amount=Decimal("500.00")))
    world.run()


def already_at_prisjakt(world: World) -> None:
    """A browser's pixel was faster."""
    reported(world)
    for name in [name for name in world.store.items if name.startswith("order#")]:
        del world.store.items[name]
    world.add(conversion())
    world.run()


def nothing_to_report(world: World) -> None:
    world.documents["alfa"] |= CREDENTIALS
    world.add(conversion(void=True))
    world.run()


def dead(world: World) -> None:
    world.model.faults.append(Fault(kind="status", status=400, times=9, body=REFUSED))
    world.add(conversion())
    world.run()


def given_up(world: World) -> None:
    """Dead, and somebody wants to see it no more."""
    dead(world)
    record = world.record()
    after = dropped(record, world.clock() + timedelta(minutes=1))
    assert world.ledger.amend(record, after, world.clock()) is not None


def paused(world: World) -> None:
    """Prisjakt has asked the client for a pause."""
    header = {"X-RateLimit-Reset": "1500000"}
    world.model.faults.append(Fault(kind="status", status=429, times=1, headers=header))
    world.add(conversion())
    world.round()


def known(world: World) -> None:
    """Reported, then erased on request."""
    reported(world)
    erase(world, of_orders(["1001"], "shopify", "alfa", START))


def unheard(world: World) -> None:
    """Erased before a sender had heard of it."""
    erase(world, of_orders(["1001"], "shopify", "alfa", START))


def with_its_shop(world: World) -> None:
    reported(world)
    erase(world, [of_shop("shopify", "alfa", START)])


def erase(world: World, wishes: list[Erasure]) -> None:
    for wish in wishes:
        world.queue.add(wish.to_message())
    world.round()


ORDERS: Final[tuple[Callable[[World], None], ...]] = (
    claimed,
    waiting,
    uncertain,
    held,
    reported,
    corrected,
    taken_back,
    not_correctable,
    correction_refused,
    already_at_prisjakt,
    nothing_to_report,
    dead,
    given_up,
    paused,
)
ERASED: Final[tuple[Callable[[World], None], ...]] = (known, unheard, with_its_shop)


def recorded() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and item of every kind."""
    for make in (*ORDERS, *ERASED):
        world = World()
        make(world)
        kind = "order" if make in ORDERS else "erased"
        item = world.store.items[key("alfa", "1001", PURCHASE)]
        yield f"{kind}-{make.__name__.replace('_', '-')}", item
        if make in (held, paused):
            yield f"rate-{make.__name__}", _of(world.store.items, "rate#")
        if make is corrected:
            yield "shop-successes", _of(world.store.items, "shop#")
        if make is with_its_shop:
            yield "shop-erased", _of(world.store.items, "shop#")
    reconciler = ReconcilerWorld()
    reconciler.sell("alfa", order("1001", START - timedelta(hours=2)))
    reconciler.run()
    yield "reconciled-shops", _of(reconciler.store.items, "reconciled-shops")
    yield "reconciled-progress", _of(reconciler.store.items, "reconciled#alfa")


def _of(items: dict[str, dict[str, Any]], prefix: str) -> dict[str, Any]:
    (found,) = [item for name, item in items.items() if name.startswith(prefix)]
    return found


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, item in recorded():
        text = json.dumps(item, indent=2, ensure_ascii=False) + "\n"
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
