"""Why an order is, or is not, at Prisjakt, and what to do about it: in plain words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from prisjakt_relay.conversion import TEST_PURCHASE
from prisjakt_relay.ledger import KEPT, Facts, Record, Status, is_at_prisjakt
from prisjakt_relay.operations.dead_orders import caution, is_overdue, is_resent, resend_step
from prisjakt_relay.operations.explanations import DEATHS, NOTHING, OUTCOMES, Explanation, said
from prisjakt_relay.operations.finding import money
from prisjakt_relay.operations.order_life import SENDER, Entry, Life
from prisjakt_relay.operations.prisjakt_access import set_credentials
from prisjakt_relay.operations.stack import Stack
from prisjakt_relay.outcomes import Outcome, Reason, Received
from prisjakt_relay.prisjakt.models import Event
from prisjakt_relay.shop import Shop

_SOON: Final = timedelta(minutes=5)
_STUCK: Final = timedelta(hours=12)  # no wait is longer


def closing(stack: Stack, life: Life, shop: Shop, now: datetime) -> str:
    """Why the order is, or is not, at Prisjakt, and what to do about it."""
    if not life.records:
        return _without_record(stack, life, now)
    sentences = [_Closing(stack, record, life, shop, now).sentence() for record in life.records]
    if len(sentences) == 1:
        return sentences[0]
    return " ".join(
        f"As {record.event_name}: {sentence}"
        for record, sentence in zip(life.records, sentences, strict=True)
    )


def _without_record(stack: Stack, life: Life, now: datetime) -> str:
    sent = [entry for entry in life.entries if entry.by == SENDER]
    if sent:
        return _only_logged(stack, life, sent[-1])
    queued = [entry for entry in life.entries if entry.outcome == Received.QUEUED]
    if queued:
        at = queued[-1].at
        if now - at < _SOON:
            return "It was accepted a moment ago and is on its way: look again in a minute."
        if now - at > KEPT:
            return (
                f"It was accepted on {at:%Y-%m-%d}, and what became of it is forgotten: the "
                f"ledger keeps {KEPT.days} days."
            )
        return (
            "It was accepted, but no sender has taken it up: "
            f"`{stack.command('doctor', life.shop)}` looks at queue and sender."
        )
    telling = [entry for entry in life.entries if entry.reason != Reason.TOPIC] or life.entries
    explanation = telling[-1].explanation.on(stack, life.shop, life.order_id)
    return f"It is not at Prisjakt: {_with_remedy(explanation)}"


def _with_remedy(explanation: Explanation, answer: str = "") -> str:
    meaning, remedy = explanation
    if remedy.startswith(NOTHING):
        return f"{meaning}{answer}. {remedy.replace(NOTHING, 'Nothing to do', 1)}."
    return f"{meaning}{answer}. What to do: {remedy}."


def _only_logged(stack: Stack, life: Life, last: Entry) -> str:
    if last.outcome == Outcome.WAITING:
        return (
            f"It is not at Prisjakt yet: {last.explanation.meaning}. The relay tries again by "
            f"itself; `{stack.command('doctor', life.shop)}` looks for what is in its way."
        )
    return (
        "The ledger has forgotten it, as it does some time after the last change; the last that "
        f"was logged of it is: {last.explanation.meaning}."
    )


def facts_text(facts: Facts, currency: str) -> str:
    """`1,666.30 SEK for 4 items`"""
    items = "1 item" if facts.items == 1 else f"{facts.items} items"
    void = ", void" if facts.void else ""
    return f"{money(facts.amount)} {currency} for {items}{void}"


def is_of(event: Event, record: Record) -> bool:
    """The event that the relay reported, or would have: same name, reference and click."""
    click_id = record.click_id.partition("_")[0].lower()
    return (event.event_name, event.external_event_id, event.click_id.lower()) == (
        record.event_name,
        record.external_id,
        click_id,
    )


@dataclass(frozen=True)
class _Closing:
    stack: Stack
    record: Record
    life: Life
    shop: Shop
    now: datetime

    def sentence(self) -> str:
        record = self.record
        if record.leased_until is not None and record.leased_until > self.now:
            return "It is being sent to Prisjakt right now: look again in a minute."
        return _CLOSINGS[record.status](self)

    @property
    def _at_prisjakt(self) -> str:
        facts = self.record.reported
        return "something" if facts is None else facts_text(facts, self.record.currency)

    @property
    def _wanted(self) -> str:
        return facts_text(self.record.wanted, self.record.currency)

    @property
    def _answer(self) -> str:
        """In brackets, if there was one."""
        answer = self.record.answer
        return "" if answer.status is None else f" ({said(answer)})"

    @property
    def _is_shown(self) -> bool:
        return any(is_of(event, self.record) for event in self.life.holding.events)

    def _reported(self) -> str:
        record = self.record
        if self.life.holding.asked and not self._is_shown:
            return (
                "Prisjakt acknowledged it but does not show it now: ask Prisjakt, naming the pixel "
                f"{record.pixel_id} and the reference {record.external_id}."
            )
        if not record.certain:
            return (
                "Prisjakt has it, but a later try may have changed amount or items there: "
                f"{self._mend()}."
            )
        if record.event_name == TEST_PURCHASE:
            return (
                f"Prisjakt has it as a test ({self._at_prisjakt}), which counts for nothing: its "
                "click id is a bare UUID, it is a test order, or the shop's mode is test."
            )
        if record.reported is not None and record.reported.void:
            return (
                "Prisjakt has it with amount 0, because it was cancelled or refunded in full: "
                "nothing to do."
            )
        changed = f", corrected {record.corrections} times" if record.corrections > 1 else ""
        changed = changed or (", corrected once" if record.corrections else "")
        return f"Prisjakt has it: {self._at_prisjakt}{changed}. Nothing to do."

    def _already_at_prisjakt(self) -> str:
        explained = OUTCOMES[Outcome.ALREADY_AT_PRISJAKT]
        return (
            f"It is at Prisjakt, but not from here: {explained.meaning}, so there is one event "
            f"and not two. If that one is not this order's, {explained.remedy}."
        )

    def _not_correctable(self) -> str:
        if self.record.event_name == TEST_PURCHASE:
            return f"Prisjakt has it as a test: {self._at_prisjakt}. Tests are never corrected."
        return (
            f"Prisjakt has {self._at_prisjakt}, not what the order is now ({self._wanted}): "
            f"{self._mend()}."
        )

    def _mend(self) -> str:
        """How what Prisjakt holds can be made right."""
        again = "then save the order once more in the shop system"
        if not self.shop.has_credentials:
            return (
                "corrections need the shop's Prisjakt credentials; add them with "
                f"{set_credentials(self.stack, self.life.shop)}, {again}"
            )
        if not self.shop.corrections:
            on = self.stack.command("shop", "set", self.life.shop, "--corrections", "on")
            return f"corrections are off: `{on}`, {again}"
        return "save the order once more in the shop system, and the relay makes sure of it"

    def _correction_refused(self) -> str:
        return (
            f"Prisjakt has {self._at_prisjakt} and refused to make it {self._wanted}"
            f"{self._answer}: ask Prisjakt, if the difference matters."
        )

    def _nothing_to_report(self) -> str:
        return (
            "It is not at Prisjakt, and rightly so: it was cancelled or refunded in full before it "
            "was ever reported. Nothing to do."
        )

    def _waiting(self) -> str:
        record, doctor = self.record, f"`{self.stack.command('doctor', self.life.shop)}`"
        what = "It is not at Prisjakt yet"
        if record.reported is not None:
            what = f"Prisjakt has {self._at_prisjakt}, and not yet {self._wanted}"
        elif record.uncertain:
            what = "It may be at Prisjakt already, but that is not certain"
        if record.not_before is not None and record.not_before > self.now:
            return (
                f"{what}: its turn comes at {record.not_before:%Y-%m-%d %H:%M:%S} UTC. Nothing to "
                "do but wait."
            )
        if self.now - record.updated_at > _STUCK:
            return (
                f"{what}, and nothing has happened since {record.updated_at:%Y-%m-%d %H:%M} UTC: "
                f"run {doctor}, or save the order once more in the shop system."
            )
        waits = [entry for entry in self.life.entries if entry.outcome == Outcome.WAITING]
        why = waits[-1].explanation.meaning if waits else "the last try did not succeed"
        remedy = f"The relay tries again by itself; {doctor} looks for what is in its way."
        return f"{what}: {why}{self._answer}. {remedy}"

    def _dead(self) -> str:
        record = self.record
        if is_overdue(record, self.now):
            return (
                f"It was dead and resent on {record.updated_at:%Y-%m-%d %H:%M} UTC, but no sender "
                f"has taken it up. What to do: `{self._resend}` again; it is safe."
            )
        if is_resent(record):
            return "It was dead, and has been put on the queue anew: look again in a minute."
        why = DEATHS[record.death] if record.death else OUTCOMES[Outcome.DEAD]
        why = why.on(self.stack, record.shop, record.order_id)
        if record.dropped_at is not None:
            day = f"{record.dropped_at:%Y-%m-%d}"
            return f"{self._where}, and was given up on {day}: {why.meaning}."
        told = f"{self._where}: {_with_remedy(why, self._answer)}"
        if self._is_shown:
            return told
        step = resend_step(record, self.shop, self.now)
        return f"{told} {caution(self.stack, record, step)}".strip()

    @property
    def _resend(self) -> str:
        return self.stack.command("dead", "resend", self.record.shop, self.record.order_id)

    def _erased(self) -> str:
        return (
            f"What was known of it was erased on request on {self.record.updated_at:%Y-%m-%d}. "
            "Nothing more of it is reported; what Prisjakt holds of it is for Prisjakt to erase."
        )

    @property
    def _where(self) -> str:
        """What is known of a dead order; a try of it may have been stored without a word."""
        if self._is_shown or is_at_prisjakt(self.record):
            return "It is at Prisjakt, though no try was answered so"
        if self.record.uncertain and not self.life.holding.asked:
            return "It may be at Prisjakt, but that is not certain"
        return "It is not at Prisjakt"


_CLOSINGS: Final[Mapping[Status, Callable[[_Closing], str]]] = {
    Status.WAITING: _Closing._waiting,
    Status.REPORTED: _Closing._reported,
    Status.ALREADY_AT_PRISJAKT: _Closing._already_at_prisjakt,
    Status.NOT_CORRECTABLE: _Closing._not_correctable,
    Status.CORRECTION_REFUSED: _Closing._correction_refused,
    Status.NOTHING_TO_REPORT: _Closing._nothing_to_report,
    Status.DEAD: _Closing._dead,
    Status.ERASED: _Closing._erased,
}
