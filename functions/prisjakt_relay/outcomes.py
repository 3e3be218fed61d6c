"""Every outcome of a delivery and of an order, and every reason for reporting nothing."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a signed delivery was not queued. Checked in this order, the first match wins."""

    PING = "ping"
    OFF = "off"
    TOPIC = "topic"
    UNREADABLE = "unreadable"
    TEST_DELIVERY = "test_delivery"
    SOURCE = "source"
    NO_CLICK_ID = "no_click_id"
    INVALID_CLICK_ID = "invalid_click_id"
    TOO_OLD = "too_old"
    PAYMENT_PENDING = "payment_pending"
    CANCELLED = "cancelled"
    UNSUPPORTED_CURRENCY = "unsupported_currency"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"


class Received(StrEnum):
    """What became of one HTTP request."""

    QUEUED = "queued"
    IGNORED = "ignored"
    ACCEPTED = "accepted"
    UNSIGNED = "unsigned"
    UNKNOWN = "unknown"
    UNAVAILABLE = "unavailable"


class Outcome(StrEnum):
    """What became of one order, or of one message about it, in the sender."""

    REPORTED = "reported"
    CORRECTED = "corrected"
    CORRECTION_REFUSED = "correction_refused"
    ALREADY_AT_PRISJAKT = "already_at_prisjakt"
    NOT_CORRECTABLE = "not_correctable"
    NOTHING_TO_REPORT = "nothing_to_report"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    WAITING = "waiting"
    DEAD = "dead"
    ERASED = "erased"
    UNREADABLE = "unreadable"


class Reconciled(StrEnum):
    """What the reconciler says of one order."""

    RECOVERED = "recovered"
    MISMATCH = "mismatch"


class DeathReason(StrEnum):
    """Why an order will not be reported without help."""

    REJECTED = "rejected"
    REFUSED = "refused"
    EXPIRED = "expired"
