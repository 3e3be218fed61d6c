"""What goes to Prisjakt, with the limits that its pages document, and what it answers.

https://developer.prisjakt.nu/docs/apis/rest/click-api/create-event
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AliasPath,
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


class _Answer(BaseModel):
    """Taken as it comes: more members than documented are no harm. Built when first needed."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", coerce_numbers_to_str=True, defer_build=True
    )


def _utc(moment: datetime) -> datetime:
    """In UTC, which all of Prisjakt's times are."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("no time that can be told in UTC") from None


UtcTime = Annotated[datetime, AfterValidator(_utc)]


class EventData(_Answer):
    """What was bought."""

    amount: Decimal
    currency: str
    number_of_items: int | None = None


class Event(_Answer):
    """A stored event; `click_id` is without its signature."""

    id: str
    click_id: str
    external_event_id: str | None = None
    event_name: str
    event_time: UtcTime
    data: EventData


class Pixel(_Answer):
    """A shop's pixel."""

    id: str
    enabled: bool


class CurrencyTotal(_Answer):
    """Number and sum of the purchases in one currency."""

    currency: str
    number_of_events: int
    total_amount: Decimal


class DayTotal(CurrencyTotal):
    """The same for one day, which begins and ends in `time_zone`."""

    date: date
    time_zone: str = "Europe/Stockholm"


class PurchaseSummary(_Answer):
    """Purchases by day and in total; currencies are not converted into one another."""

    per_day: tuple[DayTotal, ...] = ()
    summaries: tuple[CurrencyTotal, ...] = ()


class Purchase(_Answer):
    """The purchase of a conversion."""

    id: str
    timestamp: UtcTime
    amount: Decimal
    currency: str
    number_of_items: int | None = Field(default=None, validation_alias="numberOfItems")


class Product(_Answer):
    """A product as Prisjakt lists it."""

    id: str | None = None
    name: str | None = None


class Forwarding(_Answer):
    """The click of a conversion: where a visitor was sent, and from which product."""

    url: str | None = None
    timestamp: UtcTime | None = None
    product: Product | None = None
    offer_id: str | None = Field(default=None, validation_alias="offerId")


class Conversion(_Answer):
    """A purchase, and the click that led to it."""

    purchase: Purchase
    forwarding: Forwarding


class ClickShop(_Answer):
    """The shop that a visitor was sent to."""

    id: str | None = None
    market: str | None = None


class ClickLocation(_Answer):
    """Where a visitor was sent."""

    url: str | None = None
    shop: ClickShop | None = None
    product_id: str | None = None
    price_id: str | None = None
    offer_id: str | None = None
    location_type: str | None = None
    expert_id: str | None = None


class ClickRequest(_Answer):
    """Where a visitor came from."""

    id: str | None = None
    original_url: str | None = None
    market: str | None = None
    bot_score: Decimal | None = None
    widget_id: str | None = Field(default=None, validation_alias=AliasPath("widget", "id"))
    partner_id: str | None = Field(default=None, validation_alias=AliasPath("partner", "id"))
    device_type: str | None = Field(default=None, validation_alias=AliasPath("device", "type"))
    client_id: str | None = Field(default=None, validation_alias=AliasPath("client", "id"))


class Click(_Answer):
    """A click on Prisjakt that sent a visitor to the shop."""

    id: str
    forwarded_date: UtcTime
    invoicing_segment_id: str | None = Field(
        default=None, validation_alias=AliasPath("invoicing", "segment", "id")
    )
    location: ClickLocation
    request: ClickRequest


class Client(_Answer):
    """Who asks: `admin`, `shop_user` and `event_publisher` are the roles."""

    id: str
    roles: tuple[str, ...] = ()


class Reference(_Answer):
    """Something that is known by its id."""

    id: str


class Shop(_Answer):
    """A shop with its clients and pixels, by their ids."""

    id: int
    clients: tuple[Reference, ...] = ()
    pixels: tuple[Reference, ...] = ()
