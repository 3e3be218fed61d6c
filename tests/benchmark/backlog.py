"""How many requests carry a backlog of a thousand orders, once Prisjakt is back.

The simulator's world with the deployed settings: Prisjakt was away for a day, every order has been
tried many times, and each comes back when its own wait is over. The shop has credentials; without
them every order needs a request of its own.
"""

from __future__ import annotations

import multiprocessing
from functools import partial
from typing import Final

from tests.benchmark.figures import Bench, Figure, Section
from tests.simulation.outages import OUTAGES, outcome_of

OUTAGE: Final = "backlog"
SEEDS: Final = (1, 2, 3, 4)


class BrokenPromiseError(Exception):
    """Orders were lost or reported twice: then the number of requests means nothing."""


def figures(bench: Bench) -> Section:
    """The worst of several worlds."""
    with multiprocessing.get_context("fork").Pool() as pool:
        worlds = pool.imap(partial(outcome_of, OUTAGE), SEEDS)
        came = [next(worlds) for _ in bench.track(SEEDS, "a backlog after a day's outage")]
    for one in came:
        if not one.is_kept:
            raise BrokenPromiseError(f"{one.lost} lost, {one.repeats} told twice; {one.violations}")
    orders = OUTAGES[OUTAGE].orders
    figure = Figure(
        name=f"requests for a backlog of {orders} orders, shop with credentials",
        key="requests_per_1000_backlog",
        ours=max(one.requests_to_drain for one in came),
        unit="requests",
        yardstick=float(orders),
        yardstick_name="one request for each order",
        target=100,
    )
    details = {str(seed): one.requests_to_drain for seed, one in zip(SEEDS, came, strict=True)}
    return Section([figure], details=details)
