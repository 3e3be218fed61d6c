"""The arithmetic of a bill: what single invocations cost, and what a month of them adds up to.

What cannot be counted is assumed here, each with its reason, and the same for both designs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.benchmark.prices import PRICES, Item

ATTRIBUTED: Final = 0.1  # of deliveries, as the target has it; they carry a click id
MONTH: Final = 730 * 3600.0  # seconds, as AWS reckons a month
GB: Final = 1e9  # the dearer reading: where AWS means 2^30, it is 7 % less

SQS_SECONDS: Final = 0.020  # AWS speaks of tens of milliseconds in the service's FAQ
DYNAMODB_SECONDS: Final = 0.005  # "single-digit milliseconds"
SECRETS_SECONDS: Final = 0.020  # as SQS; nothing is promised
PRISJAKT_SECONDS: Final = 0.200  # an HTTPS API on another network, connection not always open
VCPU: Final = 1769  # MB at which Lambda gives one whole vCPU; less memory, less of it
# This machine's core is taken for a vCPU. Short calls may be throttled less than by share.

COLD_SHARE: Final = 0.01  # of invocations, at the least: AWS says "typically under 1 %"
KEPT_WARM: Final = 300.0  # seconds that an idle environment surely lives; AWS promises nothing
LONG_POLL: Final = 20.0  # seconds; the longest that SQS knows, and what Lambda's pollers use
POLLERS: Final = 5  # of an event source mapping with a maximum concurrency
FEWEST_POLLERS: Final = 2  # without one, when there is little to do
MOST_RECEIVED: Final = 10  # messages in one answer of SQS
COMPRESSED: Final = 0.2  # of log data when stored, as in the example of the price page
LEDGER_MONTHS: Final = 3  # items end after 90 days
ANSWER_HEAD: Final = 180  # bytes of status line and headers that the HTTP API adds to an answer
SAMPLED: Final = 0.05  # of requests beyond the first of each second that X-Ray samples


MILLION: Final = 1_000_000

Spent = dict[tuple[str, Item], float]


def plus(*parts: Mapping[tuple[str, Item], float]) -> Spent:
    whole: Spent = {}
    for part in parts:
        for line, amount in part.items():
            whole[line] = whole.get(line, 0.0) + amount
    return whole


def times(number: float, spent: Mapping[tuple[str, Item], float]) -> Spent:
    return {line: number * amount for line, amount in spent.items()}


def dollars(spent: Mapping[tuple[str, Item], float]) -> float:
    return sum(amount * PRICES[item].each for (_, item), amount in spent.items())


def by_service(spent: Spent) -> dict[str, float]:
    return _grouped(spent, lambda _, item: PRICES[item].service)


def by_cause(spent: Spent) -> dict[str, float]:
    return _grouped(spent, lambda cause, _: cause)


def _grouped(spent: Spent, name: Callable[[str, Item], str]) -> dict[str, float]:
    groups: dict[str, float] = {}
    for (cause, item), amount in spent.items():
        group = name(cause, item)
        groups[group] = groups.get(group, 0.0) + amount * PRICES[item].each
    return dict(sorted(groups.items(), key=lambda group: -group[1]))


@dataclass(frozen=True, slots=True)
class Machine:
    """How Lambda charges a function's time."""

    memory: int
    gb_second: Item

    def seconds(self, cpu: float, waits: float) -> float:
        """Billed for this much processor time of a whole vCPU, and this much waiting."""
        return math.ceil((cpu * max(1.0, VCPU / self.memory) + waits) * 1000) / 1000

    def spent(self, function: str, seconds: float) -> Spent:
        return {(f"{function}: time", self.gb_second): seconds * self.memory / 1024}


@dataclass(frozen=True, slots=True)
class Invocation:
    """One kind of invocation when warm: what it costs all in all, and which metrics it makes."""

    spent: Spent
    seconds: float
    cpu: float
    log_bytes: float
    metrics: frozenset[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Design:
    """One way to build it: what each delivery costs in the receiver, each message in the sender."""

    name: str
    received: Mapping[str, Invocation]  # plain, create, paid, refund
    sent: Mapping[str, Invocation]  # create, paid, refund, and batches by their size
    cold_receiver: Spent
    cold_sender: Spent
    machines: Mapping[str, Machine]
    pollers: int
    document_kept: float  # seconds that a function takes a shop document for fresh
    traced: bool
    stored: float  # bytes of an order in the table,
    indexed: float  # and in its indexes

    def million_deliveries(self) -> Spent:
        """A million in a month, a tenth with a click id, each of these a purchase to report."""
        return self.month(MILLION, ("create",))

    def month(self, deliveries: float, life: Sequence[str]) -> Spent:
        """What is used for so many deliveries in a month. Messages are sent one by one, which is
        the dearest: batches are for backlogs and for more than a message in some seconds."""
        carrying = ATTRIBUTED * deliveries
        orders = carrying / len(life)
        plain = times(deliveries - carrying, self.received["plain"].spent)
        return plus(
            plain,
            *(times(orders, self.order_step(step)) for step in life),
            times(deliveries * cold_share(deliveries), self.cold_receiver),
            times(carrying * cold_share(carrying), self.cold_sender),
            self._document_reads(deliveries),
            self._document_reads(carrying),
            self._traces(deliveries, sampled_share(deliveries)),
        )

    def order_step(self, step: str) -> Spent:
        return plus(self.received[step].spent, self.sent[step].spent)

    def million_orders(self, life: Sequence[str]) -> Spent:
        """A million orders with a click id; cold starts and traces as in a month of a million."""
        deliveries = len(life) * MILLION
        return plus(
            *(times(MILLION, self.order_step(step)) for step in life),
            times(deliveries * COLD_SHARE, plus(self.cold_receiver, self.cold_sender)),
            times(2, self._document_reads(deliveries)),  # the receiver's and the sender's
            self._traces(deliveries, sampled_share(MILLION)),
        )

    def _document_reads(self, invocations: float) -> Spent:
        """By the first invocation after a document has become too old, in one environment."""
        if not invocations:
            return {}
        between = self.document_kept + MONTH / invocations
        return {("shop document", Item.SECRET_READ): MONTH / between}

    def _traces(self, deliveries: float, share: float) -> Spent:
        """One trace goes through both functions."""
        return {("traces", Item.TRACE): deliveries * share} if self.traced else {}

    def storage(self, orders: float) -> Spent:
        """In the month in which as many items end as are made."""
        items = ATTRIBUTED * orders * LEDGER_MONTHS
        return {
            ("storage", Item.TABLE_STORAGE): items * (self.stored + self.indexed) / GB,
            ("storage", Item.TABLE_BACKUP): items * self.stored / GB,
        }

    def polling(self) -> Spent:
        return {("polling an empty queue", Item.SQS_REQUEST): self.pollers * MONTH / LONG_POLL}

    def metrics(self, deliveries: float, life: Sequence[str]) -> Spent:
        """A metric costs by the hours in which it has data."""
        an_hour = deliveries * 3600 / MONTH
        rates = {("receiver", "plain"): (1 - ATTRIBUTED) * an_hour}
        for step in life:
            rates["receiver", step] = rates["sender", step] = ATTRIBUTED * an_hour / len(life)
        per_metric: dict[tuple[str, ...], float] = {}
        for (function, kind), rate in rates.items():
            kinds = self.received if function == "receiver" else self.sent
            for metric in kinds[kind].metrics:
                per_metric[metric] = per_metric.get(metric, 0.0) + rate
        hours = sum(1 - math.exp(-rate) for rate in per_metric.values())
        return {("custom metrics", Item.METRIC): hours}


def cold_share(invocations: float) -> float:
    """Of so many invocations in a month, evenly spread by chance."""
    if not invocations:
        return 0.0
    return max(COLD_SHARE, math.exp(-KEPT_WARM * invocations / MONTH))


def sampled_share(requests: float) -> float:
    """X-Ray's default: the first request of each second, and some of the others."""
    a_second = requests / MONTH
    first = -math.expm1(-a_second) / a_second if a_second else 1.0
    return first + SAMPLED * (1 - first)
