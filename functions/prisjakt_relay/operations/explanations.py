"""Every outcome and reason in plain words: what it means, and what a person can do about it.

Commands are written with SHOP, ORDER, FIRST_DAY and LAST_DAY in the place of names and dates, until
`Explanation.on` fills them in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from prisjakt_relay.errors import Problem
from prisjakt_relay.outcomes import DeathReason, Outcome, Reason, Received, Reconciled
from prisjakt_relay.reconciler.reconciliation import Disagreement, Standing

if TYPE_CHECKING:
    from prisjakt_relay.operations.stack import Stack

NOTHING: Final = "nothing"
_COMMAND: Final = re.compile(r"`prisjakt-relay ([^`]+)`")


class Explanation(NamedTuple):
    """Parts of a sentence: small letters at the start, no full stop at the end."""

    meaning: str
    remedy: str = NOTHING

    def on(
        self, stack: Stack, shop: str, order: str, *, first_day: str = "", last_day: str = ""
    ) -> Explanation:
        """The same, with its commands as they are typed for that order, or for orders of those
        days."""
        names = {"SHOP": shop, "ORDER": order, "FIRST_DAY": first_day, "LAST_DAY": last_day}

        def typed(found: re.Match[str]) -> str:
            return f"`{stack.command(*(names.get(word, word) for word in found[1].split()))}`"

        return self._replace(remedy=_COMMAND.sub(typed, self.remedy))


REASONS: Final[Mapping[Reason, Explanation]] = {
    Reason.PING: Explanation("the shop system asked whether the address works"),
    Reason.OFF: Explanation(
        "the shop's mode is off",
        "switch it on with `prisjakt-relay shop set SHOP --mode live`, or `--mode test`",
    ),
    Reason.TOPIC: Explanation(
        "it is not a topic that carries an order", "nothing, or remove that webhook"
    ),
    Reason.UNREADABLE: Explanation(
        "rightly signed, but not an order that can be read",
        "look at the field that is named; for `code`, let somebody who may read orders make the "
        "webhook, with API version v3",
    ),
    Reason.TEST_DELIVERY: Explanation("the shop system's test notification: it works"),
    Reason.SOURCE: Explanation(
        "a renewal, a till, or another store",
        "if it should be reported, change excluded_sources, or domain where the problem is domain",
    ),
    Reason.NO_CLICK_ID: Explanation(
        "there is no click id on it, so the customer did not come from Prisjakt or did not consent",
        "if you know better, look for pjclid on the order; without it, the snippet is at fault",
    ),
    Reason.INVALID_CLICK_ID: Explanation(
        "what stands on the order as its click id is none", "look at the script that writes it"
    ),
    Reason.TOO_OLD: Explanation("ordered over 60 days ago"),
    Reason.PAYMENT_PENDING: Explanation(
        "the payment is not yet as sure as report_when asks",
        "nothing: the payment sends another webhook",
    ),
    Reason.CANCELLED: Explanation("cancelled or refunded in full, and corrections is off"),
    Reason.UNSUPPORTED_CURRENCY: Explanation(
        "its currency is none of DKK, EUR, GBP, NOK, NZD, SEK",
        "set currency to the other one, if the buyer pays in one of them",
    ),
    Reason.AMOUNT_OUT_OF_RANGE: Explanation("its amount is zero, negative, or over 999,999,999"),
}

RECONCILED: Final[Mapping[Reconciled, Explanation]] = {
    Reconciled.RECOVERED: Explanation(
        "the reconciler found it in the shop, and put it on the queue"
    ),
    Reconciled.MISMATCH: Explanation(
        "Prisjakt did not hold what the relay had reported",
        "`prisjakt-relay reconcile SHOP` says in what they differ",
    ),
}

DELIVERIES: Final[Mapping[Received, Explanation]] = {
    Received.QUEUED: Explanation("accepted: from here on it is the relay's to deliver"),
    Received.IGNORED: Explanation("nothing to report"),
    Received.ACCEPTED: Explanation(
        "a request about personal data",
        "for `customers/data_request`, `prisjakt-relay privacy show SHOP ORDER`; the others are "
        "carried out by themselves",
    ),
    Received.UNSIGNED: Explanation(
        "no signature, or none of the shop's secrets made it",
        "compare the secret in the shop system with signing_secrets",
    ),
    Received.UNKNOWN: Explanation(
        "no such platform or shop", "compare the webhook's address with the shop's"
    ),
    Received.UNAVAILABLE: Explanation(
        "the queue or the shop document was not available, and nothing was accepted",
        "let the shop system send it again",
    ),
}

OUTCOMES: Final[Mapping[Outcome, Explanation]] = {
    Outcome.REPORTED: Explanation("Prisjakt has it"),
    Outcome.CORRECTED: Explanation("Prisjakt has the order's new amount and items"),
    Outcome.CORRECTION_REFUSED: Explanation(
        "Prisjakt does not want the change and keeps what it has", "ask Prisjakt about its answer"
    ),
    Outcome.ALREADY_AT_PRISJAKT: Explanation(
        "Prisjakt had an event of this reference before the relay's first try",
        "look for a browser pixel, or for two shops with one order_reference",
    ),
    Outcome.NOT_CORRECTABLE: Explanation(
        "it changed after it was reported, and cannot be corrected",
        "give the shop its Prisjakt credentials, and `prisjakt-relay shop set SHOP --corrections "
        "on`",
    ),
    Outcome.NOTHING_TO_REPORT: Explanation("cancelled before it was ever reported"),
    Outcome.DUPLICATE: Explanation("nothing new about an order that is settled"),
    Outcome.SUPERSEDED: Explanation("a newer message about the order came first"),
    Outcome.WAITING: Explanation("tried again later by itself"),
    Outcome.DEAD: Explanation(
        "it will not be reported without help", "see `prisjakt-relay dead show SHOP ORDER`"
    ),
    Outcome.ERASED: Explanation(
        "what was known of it was erased on request, and nothing more of it is reported"
    ),
    Outcome.UNREADABLE: Explanation(
        "a message that is not the relay's, set aside in the queue DeadLetters",
        "find out who writes to the queue",
    ),
}

DEATHS: Final[Mapping[DeathReason, Explanation]] = {
    DeathReason.REJECTED: Explanation(
        "Prisjakt calls the event itself wrong",
        "mend what its answer names (the shop's amount or currency, say), then `prisjakt-relay "
        "dead resend SHOP ORDER`, or give it up with `prisjakt-relay dead drop SHOP ORDER`",
    ),
    DeathReason.REFUSED: Explanation(
        "Prisjakt refuses this order while it takes others of the shop: most likely its click id "
        "is forged, or belongs to another shop",
        "nothing but `prisjakt-relay dead drop SHOP ORDER`, unless you know better, or the pixel "
        "was wrong: then mend that, and `prisjakt-relay dead resend SHOP ORDER`",
    ),
    DeathReason.EXPIRED: Explanation(
        "for 29 days no try succeeded, after which Prisjakt could no longer tell a duplicate",
        "once the cause is mended, `prisjakt-relay dead resend SHOP ORDER`",
    ),
}

STUCK_ERASURE: Final = Explanation(
    "a request to erase, which an older sender could not read, or which crashed the sender again "
    "and again",
    "`prisjakt-relay dead resend SHOP --reason undelivered` has it carried out, once the sender is "
    "of this version; it is never dropped",
)

_BACKFILL: Final = "`prisjakt-relay backfill SHOP --from FIRST_DAY --to LAST_DAY`"

STANDINGS: Final[Mapping[Standing, Explanation]] = {
    Standing.IGNORED: Explanation("nothing to report, for the reason that is named"),
    Standing.WAITING: OUTCOMES[Outcome.WAITING],
    Standing.REPORTED: OUTCOMES[Outcome.REPORTED],
    Standing.ALREADY_AT_PRISJAKT: OUTCOMES[Outcome.ALREADY_AT_PRISJAKT],
    Standing.NOT_CORRECTABLE: OUTCOMES[Outcome.NOT_CORRECTABLE],
    Standing.CORRECTION_REFUSED: OUTCOMES[Outcome.CORRECTION_REFUSED],
    Standing.NOTHING_TO_REPORT: OUTCOMES[Outcome.NOTHING_TO_REPORT],
    Standing.DEAD: OUTCOMES[Outcome.DEAD],
    Standing.ERASED: OUTCOMES[Outcome.ERASED],
    Standing.DROPPED: Explanation(
        "dead, and given up by somebody",
        "if it is to be tried after all, `prisjakt-relay dead resend SHOP ORDER`",
    ),
    Standing.MISSED: Explanation("it is to be reported, and no sender has heard of it", _BACKFILL),
    Standing.OUTDATED: Explanation("it has changed, and no sender has heard of that", _BACKFILL),
    Standing.CORRECTABLE: Explanation(
        "it changed when corrections were not possible, and they are now", _BACKFILL
    ),
    Standing.STUCK: Explanation("it waits, but its message must be gone by now", _BACKFILL),
}

DISAGREEMENTS: Final[Mapping[Disagreement, Explanation]] = {
    Disagreement.NOT_THERE: Explanation(
        "Prisjakt took it once, and does not show it now",
        "ask Prisjakt; `prisjakt-relay order SHOP ORDER` tells when it was taken",
    ),
    Disagreement.DIFFERENT: Explanation(
        "Prisjakt holds other figures than those it took from the relay",
        "find out who else reports with this pixel; the order's next change puts it right, if "
        "corrections is on",
    ),
    Disagreement.TWICE: Explanation(
        "Prisjakt holds more than one purchase of this reference",
        "look for a browser pixel, or for two shops with one order_reference, and ask Prisjakt to "
        "take one back",
    ),
}

_CAUSES: Final[Mapping[str, str]] = {
    "AnswerError": "Prisjakt's answer was not as documented",
    "ConflictError": "Prisjakt answered with a conflict",
    "NotAnsweredError": "Prisjakt gave no usable answer",
    "RefusedError": "Prisjakt refused it, for the shop's pixel or credentials or for this click id",
    "TokenError": "Prisjakt's token address refused the shop's credentials, or did not answer",
    "in doubt": "a batch with it was refused",
    "no time left in this round": "the sender had no time left in that round",
    "rate limit": "the hour's allowance of requests was used up",
    "unknown shop": "the shop has no document any more",
}


def cause(word: str) -> str:
    """What the sender gave as the cause of a wait; most of them are plain words already."""
    return _CAUSES.get(word, word)


def said(problem: Problem) -> str:
    """What Prisjakt answered: `400 Not valid, see fields; data.amount: odd`."""
    title = ", ".join(part for part in (problem.title, problem.detail) if part)
    first = " ".join(part for part in (str(problem.status or ""), title) if part)
    fields = ", ".join(f"{name}: {text}" for name, text in sorted(problem.field_errors.items()))
    return "; ".join(part for part in (first, fields) if part) or "no word of why"
