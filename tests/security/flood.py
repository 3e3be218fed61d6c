"""What a flood can cost at most, while the HTTP API's throttle lets through what it may.

Counted upwards: what cannot be known is taken at its worst, each with its reason. Requests beyond
the throttle get 429 from API Gateway itself, which does not charge for them:
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-pricing.html
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tests.benchmark.prices import PRICES, Item
from tests.benchmark.spending import DYNAMODB_SECONDS, GB, MONTH
from tests.benchmark.template import Stack

DAY: Final = 24 * 3600.0

KB: Final = 1024
METERED: Final = 512 * KB  # of a request to the HTTP API
LARGEST: Final = 10 * 1024 * KB  # that the HTTP API takes
# That most webhooks are below. An answer is below 1 KB with its head.
USUAL: Final = 64 * KB
ANSWER: Final = KB

# Of a warm receiver, `make bench` counts 1 to 2 ms; of a thousand invocations ten start anew.
SECONDS: Final = 0.010
# Ten megabytes never reach the function (Lambda takes 6), six of them take it this long.
LARGEST_SECONDS: Final = 0.5
# A line of the receiver or the sender, CloudWatch's 26 bytes for each among them.
LINE: Final = KB
# Environments that work side by side: 50 a second for 10 ms each need one.
ENVIRONMENTS: Final = 4
# Each reads one unknown name a second at most, and a known shop's document in so many seconds.
READS_A_SECOND: Final = 1.0
READ_AGAIN: Final = 30.0
MANY_SHOPS: Final = 500

# One order in the table, with its entries in the indexes, which are kept for three months.
ITEM: Final = 2 * KB
MONTHS_KEPT: Final = 3


@dataclass(frozen=True, slots=True)
class Flood:
    """So many requests a second, for so many seconds, after as many at once as may be."""

    name: str
    size: int
    signed: bool
    click_ids: bool = False
    shops: int = 1  # whose names are known

    def dollars(self, stack: Stack, seconds: float) -> float:
        parameters = stack.parameters
        requests: float = parameters["RequestsPerSecond"] * seconds + parameters["RequestBurst"]
        parts = [self._receiver(stack, requests, seconds)]
        if self.click_ids:
            parts += [self._queue(requests), self._senders(stack, seconds), _table(requests)]
        return sum(parts)

    def _receiver(self, stack: Stack, requests: float, seconds: float) -> float:
        memory: float = stack.properties("ReceiverFunction")["MemorySize"] / 1024
        held = SECONDS if self.size <= USUAL else LARGEST_SECONDS
        each = max(READS_A_SECOND, self.shops / READ_AGAIN)
        reads = 0.0 if self.signed else min(requests, ENVIRONMENTS * each * seconds)
        return (
            requests * math.ceil(self.size / METERED) * PRICES[Item.HTTP_REQUEST].each
            + requests * PRICES[Item.LAMBDA_REQUEST].each
            + requests * held * memory * PRICES[Item.LAMBDA_ARM].each
            + requests * LINE / GB * PRICES[Item.LOG_INGESTED].each
            + requests * ANSWER / GB * PRICES[Item.DATA_OUT].each
            + reads * PRICES[Item.SECRET_READ].each
        )

    def _queue(self, requests: float) -> float:
        return requests * (PRICES[Item.SQS_REQUEST].each + PRICES[Item.SQS_FAIR].each)

    def _senders(self, stack: Stack, seconds: float) -> float:
        """All of them never idle, and never slower than the table answers: each pass of a message
        is two writes at least, and three requests to the queue at most. Ours to a client's
        allowance and Prisjakt's own limits only make it less."""
        senders: int = stack.parameters["SenderConcurrency"]
        memory: float = stack.properties("SenderFunction")["MemorySize"] / 1024
        writes = senders * seconds / DYNAMODB_SECONDS
        passes = writes / 2
        return (
            senders * seconds * memory * PRICES[Item.LAMBDA_ARM].each
            + senders * seconds * PRICES[Item.LAMBDA_REQUEST].each
            + writes * PRICES[Item.WRITE_UNIT].each
            + 3 * passes * (PRICES[Item.SQS_REQUEST].each + PRICES[Item.SQS_FAIR].each)
            + passes * LINE / GB * PRICES[Item.LOG_INGESTED].each
            + passes * 2 * KB / GB * PRICES[Item.DATA_OUT].each
        )


def _table(requests: float) -> float:
    kept = requests * ITEM / GB
    a_month = PRICES[Item.TABLE_STORAGE].each + PRICES[Item.TABLE_BACKUP].each
    return kept * a_month * MONTHS_KEPT


FLOODS: Final = (
    Flood("forged, of usual size", USUAL, signed=False),
    Flood("forged, in the names of 500 shops", USUAL, signed=False, shops=MANY_SHOPS),
    Flood("forged, each of 10 MB", LARGEST, signed=False),
    Flood("rightly signed, without click ids", USUAL, signed=True),
    Flood("rightly signed, each a new order with a click id", USUAL, signed=True, click_ids=True),
)


def rows(stack: Stack) -> list[str]:
    """The table of `docs/threats.md`."""
    return [
        f"| {flood.name} | {flood.dollars(stack, DAY):,.0f} | {flood.dollars(stack, MONTH):,.0f} |"
        for flood in FLOODS
    ]
