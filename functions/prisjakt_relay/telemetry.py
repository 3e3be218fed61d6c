"""The log: one JSON line per outcome, which carries its own metrics.

The line holds a CloudWatch embedded-metric block, so an outcome costs one line and no call:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
Only the dimension `stack` is used; which shop and which reason is in the line's other fields.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

NAMESPACE: Final = "PrisjaktRelay"

# What alarms count, the reconciler's among them, which a stack may do without; and nothing else:
# each metric costs a shop 0.30 USD a month. How many orders were queued, ignored or reported is in
# the log and in the ledger; what answers 5xx is counted by the HTTP API, crashes included.
METRICS: Final[Mapping[str, str]] = {
    "unsigned": "SignatureFailures",
    "unreadable": "Unreadable",
    "dead": "DeadOrders",
    "set_up_refused": "SetUpFaults",
    "foreign_source": "SetUpFaults",
    "shop_document_unusable": "ShopDocumentFaults",
    "shop_document_stale": "ShopDocumentFaults",
    "shop_document_unknown_fields": "ShopDocumentFaults",
    "data_requested": "DataRequests",
    "request_refused": "DataRequests",
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


class _Line(LambdaPowertoolsFormatter):
    """A record whose message is the line's fields. The library's own way to a line reads the
    message as JSON, looks for a traceback and a trace, and takes as long as reading an order."""

    def format(self, record: logging.LogRecord) -> str:
        if not isinstance(record.msg, dict):
            return super().format(record)
        line = {name: value for name, value in self.log_format.items() if value is not None}
        line["level"] = record.levelname
        moment = datetime.fromtimestamp(record.created, UTC)
        line["timestamp"] = moment.isoformat(timespec="milliseconds")
        line.update(record.msg)
        return _encode(line)


_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


class Telemetry:
    """Lines for one function, in the stack's name."""

    def __init__(self, function: str, stack: str, clock: Callable[[], datetime]) -> None:
        self._logger = Logger(service=function, location=None, logger_formatter=_Line())
        for library in _TALKATIVE:
            logging.getLogger(library).setLevel(logging.INFO)
        self._stack = stack
        self._clock = clock

    def request(self, request_id: str) -> None:
        """Name the Lambda request in every line until the next one."""
        self._logger.append_keys(request_id=request_id)

    def emit(self, event: str, *, age: float | None = None, **fields: Any) -> None:
        line: dict[str, Any] = {"message": event}
        line.update((name, value) for name, value in fields.items() if value is not None)
        metrics: list[dict[str, str]] = []
        if name := METRICS.get(event):
            line[name] = 1
            metrics.append({"Name": name, "Unit": "Count"})
        if age is not None:
            name = AGES.get(event, WAITING_AGE)
            line[name] = round(age, 3)
            metrics.append({"Name": name, "Unit": "Seconds"})
        if metrics:
            line["stack"] = self._stack
            line["_aws"] = {
                "Timestamp": int(self._clock().timestamp() * 1000),
                "CloudWatchMetrics": [
                    {"Namespace": NAMESPACE, "Dimensions": [["stack"]], "Metrics": metrics}
                ],
            }
        self._logger.info(line)

    def alarm(self, trouble: str, shop: str, **details: Any) -> None:
        """A trouble that somebody has to look at: `shop.Alarm`."""
        self.emit(trouble, shop=shop, **details)
