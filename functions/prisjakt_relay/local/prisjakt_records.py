"""What the simulated Prisjakt API keeps: events, clicks, shops."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, kw_only=True)
class Event:
    """A stored event."""

    id: str
    pixel_id: str
    signed_click_id: str
    external_event_id: str | None
    event_name: str
    event_time: datetime
    amount: Decimal
    currency: str
    number_of_items: int | None
    received_at: datetime

    @property
    def click_id(self) -> str:
        return self.signed_click_id.partition("_")[0]

    def element(self) -> dict[str, object]:
        """As the API shows it; what was not given is left out."""
        items = {} if self.number_of_items is None else {"number_of_items": self.number_of_items}
        element = {
            "id": self.id,
            "click_id": self.click_id,
            "external_event_id": self.external_event_id,
            "event_name": self.event_name,
            "event_time": time_text(self.event_time),
            "data": {**items, "currency": self.currency, "amount": self.amount},
        }
        return {name: value for name, value in element.items() if value is not None}

    def purchase(self) -> dict[str, object]:
        """As one half of a conversion, where names are in camel case; the id is the API's own."""
        items = {} if self.number_of_items is None else {"numberOfItems": self.number_of_items}
        return {
            "timestamp": time_text(self.event_time),
            **items,
            "id": self.id,
            "currency": self.currency,
            "amount": self.amount,
        }

    def record(self) -> dict[str, object]:
        """As the simulation shows it: with what the API keeps to itself."""
        return {
            **self.element(),
            "pixel_id": self.pixel_id,
            "signed_click_id": self.signed_click_id,
            "received_at": time_text(self.received_at),
        }


@dataclass(frozen=True, kw_only=True)
class Click:
    """A visitor whom Prisjakt forwarded to the shop; all but the first two are made up."""

    id: str
    forwarded_at: datetime
    url: str = "https://shop.example/products/1"
    market: str = "SE"
    shop_id: str = "1"
    product_id: str = "1001"
    product_name: str = "Product 1001"
    price_id: str = "2001"
    offer_id: str = "3001"

    def element(self) -> dict[str, object]:
        """As the API shows it."""
        return {
            "id": self.id,
            "forwarded_date": self.forwarded_at.isoformat(timespec="milliseconds")[:23] + "Z",
            "invoicing": {"segment": {"id": "122"}},
            "location": {
                "url": self.url,
                "shop": {"market": self.market, "id": self.shop_id},
                "product_id": self.product_id,
                "price_id": self.price_id,
                "offer_id": self.offer_id,
                "location_type": "SHOP_OFFER_PAGE",
                "expert_id": "1",
            },
            "request": {
                "widget": {"id": "best-offers_aa3cdf98fd"},
                "partner": {"id": "1510"},
                "original_url": f"https://www.prisjakt.nu/produkt.php?p={self.product_id}",
                "market": self.market,
                "device": {"type": "DESKTOP"},
                "client": {"id": "1337"},
                "bot_score": 0,
                "id": self.id,
            },
        }

    def forwarding(self) -> dict[str, object]:
        """As one half of a conversion, where names are in camel case."""
        return {
            "url": self.url,
            "timestamp": time_text(self.forwarded_at),
            "product": {"name": self.product_name, "id": self.product_id},
            "offerId": self.offer_id,
        }


@dataclass(frozen=True, kw_only=True)
class Shop:
    """Which clients and pixels a shop has, by id."""

    clients: tuple[str, ...] = ()
    pixels: tuple[str, ...] = ()


def time_text(moment: datetime) -> str:
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).removesuffix("+00:00") + "Z"
