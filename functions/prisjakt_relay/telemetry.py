"""The log: one JSON line per outcome, which carries its own metrics.

The line holds a CloudWatch embedded-metric block, so an outcome costs one line and no call:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
Only the dimension `stack` is used; which shop and which reason is in the line's other fields.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from aws_lambda_powertools.logging import Logger

NAMESPACE: Final = "PrisjaktRelay"

# What the alarms and the runbook count.
METRICS: Final[Mapping[str, str]] = {
    "queued": "Queued",
    "ignored": "Ignored",
    "unsigned": "SignatureFailures",
    "unknown": "UnknownShops",
    "unavailable": "Unavailable",
    "unreadable": "Unreadable",
    "foreign_source": "ForeignSources",
    "reported": "Reported",
    "corrected": "Corrected",
    "correction_refused": "CorrectionsRefused",
    "already_at_prisjakt": "AlreadyAtPrisjakt",
    "not_correctable": "NotCorrectable",
    "dead": "DeadOrders",
    "set_up_refused": "SetUpFaults",
    "shop_document_unusable": "ShopDocumentFaults",
    "shop_document_stale": "ShopDocumentFaults",
    "shop_document_unknown_fields": "ShopDocumentFaults",
    "recovered": "Recovered",
    "reconcile_failed": "ReconcileFaults",
    "reconcile_gap": "ReconcileGaps",
    "webhook_broken": "BrokenWebhooks",
    "not_at_prisjakt": "Mismatches",
    "differs_at_prisjakt": "Mismatches",
    "twice_at_prisjakt": "Mismatches",
}
WAITING_AGE: Final = "WaitingAge"
# Asked for every detail, they would write the session token of AWS, and addresses with
# WooCommerce's key in the query.
_TALKATIVE: Final = ("botocore", "urllib3")
# What an age is of, where it is not of an order that waits.
AGES: Final[Mapping[str, str]] = {"order_silence": "OrderSilence", "click_silence": "ClickSilence"}


class Emit(Protocol):
    """Write one line. `event` is an outcome or a trouble; `age` is in seconds."""

    def __call__(self, event: str, *, age: float | None = None, **fields: Any) -> None: ...


class Telemetry:
    """Lines for one function, in the stack's name."""

    def __init__(self, function: str, stack: str, clock: Callable[[], datetime]) -> None:
        self._logger = Logger(service=function, location=None)
        for library in _TALKATIVE:
            logging.getLogger(library).setLevel(logging.INFO)
        self._stack = stack
        self._clock = clock

    def request(self, request_id: str) -> None:
        """Name the Lambda request in every line until the next one."""
        self._logger.append_keys(request_id=request_id)

    def emit(self, event: str, *, age: float | None = None, **fields: Any) -> None:
        extra: dict[str, Any] = {k: v for k, v in fields.items() if v is not None}
        metrics: list[dict[str, str]] = []
        if name := METRICS.get(event):
            extra[name] = 1
            metrics.append({"Name": name, "Unit": "Count"})
        if age is not None:
            name = AGES.get(event, WAITING_AGE)
            extra[name] = round(age, 3)
            metrics.append({"Name": name, "Unit": "Seconds"})
        if metrics:
            extra["stack"] = self._stack
            extra["_aws"] = {
                "Timestamp": int(self._clock().timestamp() * 1000),
                "CloudWatchMetrics": [
                    {"Namespace": NAMESPACE, "Dimensions": [["stack"]], "Metrics": metrics}
                ],
            }
        self._logger.info(event, extra=extra)

    def alarm(self, trouble: str, shop: str, **details: Any) -> None:
        """A trouble that somebody has to look at: `shop.Alarm`."""
        self.emit(trouble, shop=shop, **details)
