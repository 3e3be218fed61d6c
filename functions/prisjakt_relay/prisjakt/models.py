"""What goes to Prisjakt, with the limits that its pages document.

https://developer.prisjakt.nu/docs/apis/rest/click-api/create-event
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from prisjakt_relay.conversion import (
    AMOUNT_LIMIT,
    ITEMS_LIMIT,
    PURCHASE,
    REFERENCE_LIMIT,
    is_click_id,
    is_test_click_id,
    utc_text,
)

Amount = Annotated[Decimal, Field(ge=0, le=AMOUNT_LIMIT, decimal_places=2, allow_inf_nan=False)]


class PurchaseEvent(BaseModel):
    """One event; building it checks the documented limits (`pydantic.ValidationError`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    event_name: Literal["purchase", "test-purchase"]
    event_time: AwareDatetime
    external_event_id: Annotated[str, Field(min_length=1, max_length=REFERENCE_LIMIT)]
    amount: Amount
    currency: Literal["DKK", "EUR", "GBP", "NOK", "NZD", "SEK"]
    number_of_items: Annotated[int, Field(ge=0, le=ITEMS_LIMIT)]
    signed_click_id: str

    @field_validator("signed_click_id")
    @classmethod
    def _check_click_id(cls, click_id: str, info: ValidationInfo) -> str:
        """A purchase needs the signed id; a test takes the bare UUID too."""
        purchase = info.data.get("event_name") == PURCHASE
        if not is_click_id(click_id) or (purchase and is_test_click_id(click_id)):
            raise ValueError("does not fit the event name")
        return click_id

    def to_json(self) -> bytes:
        """The request body. `float` is exact here: at most eleven digits, two of them decimals."""
        return json.dumps(
            {
                "event_name": self.event_name,
                "event_time": utc_text(self.event_time),
                "external_event_id": self.external_event_id,
                "data": {
                    "amount": _number(self.amount),
                    "currency": self.currency,
                    "number_of_items": self.number_of_items,
                },
                "signed_click_id": self.signed_click_id,
            },
            separators=(",", ":"),
        ).encode()


def _number(amount: Decimal) -> int | float:
    return int(amount) if amount == amount.to_integral_value() else float(amount)
