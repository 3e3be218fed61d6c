"""A simulated WooCommerce: its orders, its webhooks, and the REST API that tells of both.

It follows the released plug-in (classes WC_REST_Orders_Controller, WC_REST_Webhooks_Controller,
WC_Webhook) and imports nothing of the relay's client.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo

from prisjakt_relay.local.exchange import Answer, Call
from prisjakt_relay.local.shop_system import Delivery, Later, Send
from prisjakt_relay.local.woocommerce_rest import (
    Authentication,
    HtmlAnswer,
    JsonAnswer,
    Reading,
    RestError,
    parameters_of,
    php_json,
    unauthenticated,
)
from prisjakt_relay.platforms.interface import Document

VERSION: Final = "11.0.1"
USER_AGENT: Final = f"WooCommerce/{VERSION} Hookshot (WordPress/7.1)"

ACTIVE: Final = "active"
DISABLED: Final = "disabled"

_FAILURES_BORNE: Final = 5  # woocommerce_max_webhook_delivery_failures
_MINUTE: Final = timedelta(minutes=1)
_LARGEST_PAGE: Final = 100
_STATUSES: Final = (
    "any",
    "trash",
    "pending",
    "processing",
    "on-hold",
    "completed",
    "cancelled",
    "refunded",
    "failed",
    "checkout-draft",
)
_NOT_ANY: Final = frozenset({"trash", "auto-draft"})
_ORDER_BY: Final = ("date", "id", "include", "title", "slug", "modified")
_BOUNDS: Final = {
    "date_created": ("after", "before"),
    "date_modified": ("modified_after", "modified_before"),
}
_GMT: Final = {column: f"{column}_gmt" for column in _BOUNDS}
_TOPIC: Final = re.compile(
    r"(coupon|customer|order|product)\.(created|updated|deleted|restored)|action\.[a-z_]+"
)
# What WordPress takes out of a secret before it signs with it.
_ENTITIES: Final = {
    "&lt;": "<",
    "&#060;": "<",
    "&gt;": ">",
    "&#062;": ">",
    "&amp;": "&",
    "&#038;": "&",
    "&#38;": "&",
    "&quot;": '"',
    "&#039;": "'",
    "&#x27;": "'",
}
_ENTITY: Final = re.compile("|".join(_ENTITIES))


_Result = tuple[int, dict[str, str], object]
"""Status, further headers and document of an answer."""


@dataclass(kw_only=True)
class RegisteredWebhook:
    """What WooCommerce keeps of a webhook; `failures` in a row, `pending` until a ping gets 200."""

    id: int
    name: str
    topic: str
    delivery_url: str
    secret: str
    created_at: datetime
    modified_at: datetime
    status: str = ACTIVE
    failures: int = 0
    pending: bool = True
    waiting: set[str] = field(default_factory=set)


class WooCommerceSystem:
    """One shop at `address`; not safe for threads.

    `throttle` is how many requests its host lets through in a minute. A delivery is made at once,
    or waits `queue_seconds` for WordPress' cron; what then is sent is the order as it is by then.
    `knows_modified`: whether orders can be sorted by it. `behind_proxy`: WordPress does not know
    that it is reached by https; `forces_https`: it takes itself for https, whatever it is.
    """

    def __init__(
        self,
        address: str,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        send: Send,
        later: Later,
        consumer_key: str,
        consumer_secret: str,
        permissions: str = "read_write",
        throttle: int | None = None,
        knows_modified: bool = True,
        plain_permalinks: bool = False,
        drops_authorization: bool = False,
        behind_proxy: bool = False,
        forces_https: bool = False,
        time_zone: str = "Europe/Stockholm",
        queue_seconds: float = 0.0,
    ) -> None:
        self.address = address.rstrip("/")
        self.orders: dict[str, Document] = {}
        self.webhooks: dict[int, RegisteredWebhook] = {}
        self.deaf = False
        self.outage: int | None = None
        self.calls = 0
        self.throttled = 0
        self.manages = True  # whether the key's user may manage WooCommerce
        self.permissions = permissions
        self._clock = clock
        self._new_id = new_id
        self._send = send
        self._later = later
        self._throttle = throttle
        self._knows_modified = knows_modified
        self._plain_permalinks = plain_permalinks
        self._zone = ZoneInfo(time_zone)
        self._queue_seconds = queue_seconds
        is_https = forces_https or (self.address.startswith("https://") and not behind_proxy)
        self._authentication = Authentication(
            self.address,
            clock=clock,
            consumer_key=consumer_key,
            consumer_secret=consumer_secret,
            is_https=is_https,
            drops_authorization=drops_authorization,
        )
        self._minute: tuple[datetime, int] | None = None
        self._last_webhook = 0

    # Orders and deliveries

    def put(self, order: Document, *topics: str) -> None:
        """Keep an order as it is now, and send what the webhooks of these topics want."""
        order_id = str(order["id"])
        self.orders[order_id] = order
        for webhook in list(self.webhooks.values()):
            if webhook.status != ACTIVE or webhook.topic not in topics:
                continue
            if not self._queue_seconds:
                self._deliver(webhook, order_id)
            elif order_id not in webhook.waiting:
                webhook.waiting.add(order_id)
                self._later(self._queue_seconds, self._job(webhook, order_id))

    def _job(self, webhook: RegisteredWebhook, order_id: str) -> Callable[[], None]:
        def run() -> None:
            webhook.waiting.discard(order_id)
            if self.webhooks.get(webhook.id) is webhook:
                self._deliver(webhook, order_id)

        return run

    def _deliver(self, webhook: RegisteredWebhook, order_id: str) -> None:
        if self.deaf:
            return
        resource, _, event = webhook.topic.partition(".")
        document: object = self.orders[order_id]
        if event == "deleted":
            document = {"id": int(order_id)}
        body = php_json(document).encode()
        now = self._clock()
        status = self._send(
            Delivery(
                address=webhook.delivery_url,
                topic=webhook.topic,
                order_id=order_id,
                headers={
                    "User-Agent": USER_AGENT,
                    "Content-Type": "application/json",
                    "X-WC-Webhook-Source": f"{self.address}/",
                    "X-WC-Webhook-Topic": webhook.topic,
                    "X-WC-Webhook-Resource": resource,
                    "X-WC-Webhook-Event": event,
                    "X-WC-Webhook-Signature": _signature(webhook.secret, body),
                    "X-WC-Webhook-ID": str(webhook.id),
                    # The same for all deliveries of a second, as in WooCommerce.
                    "X-WC-Webhook-Delivery-ID": hashlib.md5(
                        f"{self.address} {webhook.id}{int(now.timestamp())}".encode(),
                        usedforsecurity=False,
                    ).hexdigest(),
                },
                body=body,
            )
        )
        if status is not None and 200 <= status < 303:
            webhook.failures = 0
        elif webhook.failures > _FAILURES_BORNE:
            webhook.status = DISABLED
        else:
            webhook.failures += 1
        self._save(webhook)

    def _save(self, webhook: RegisteredWebhook) -> None:
        """Whatever saves a webhook whose ping was not answered with 200 sends another one."""
        webhook.modified_at = self._clock()
        if webhook.status == ACTIVE and webhook.pending:
            self._ping(webhook)

    def _ping(self, webhook: RegisteredWebhook) -> None:
        status = self._send(
            Delivery(
                address=webhook.delivery_url,
                topic="",
                order_id="",
                headers={
                    "User-Agent": USER_AGENT,
                    "Content-Type": "application/x-www-form-urlencoded",
                },
                body=f"webhook_id={webhook.id}".encode(),
            )
        )
        webhook.pending = status != 200

    # The REST API

    def answer(self, call: Call) -> Answer:
        """The API: its path begins where the shop's address ends."""
        self.calls += 1
        if self.outage is not None:
            return HtmlAnswer(self.outage, body="The server is not there.")
        if (wait := self._wait()) is not None:
            self.throttled += 1
            return HtmlAnswer(429, {"Retry-After": str(wait)}, "Too many requests.")
        route = self._route(call)
        if route is None:
            return HtmlAnswer(404, body="There is no such page.")
        headers = {"Content-Type": "application/json; charset=UTF-8"}
        try:
            status, more_headers, document = self._answer(call, route)
        except RestError as error:
            status, more_headers, document = error.status, {}, error.document
        return JsonAnswer(status, headers | more_headers, document)

    def _wait(self) -> int | None:
        """How long until the host lets a request through again, in whole seconds."""
        if self._throttle is None:
            return None
        now = self._clock()
        began, count = self._minute or (now, 0)
        if now - began >= _MINUTE:
            began, count = now, 0
        if count >= self._throttle:
            return math.ceil((began + _MINUTE - now).total_seconds())
        self._minute = began, count + 1
        return None

    def _route(self, call: Call) -> str | None:
        """Where in the API; None if it is a page of the shop that was asked for."""
        if call.path.startswith("/wp-json/") and not self._plain_permalinks:
            return call.path.removeprefix("/wp-json")
        if call.path in ("", "/", "/index.php"):
            return call.query.get("rest_route")
        return None

    def _answer(self, call: Call, route: str) -> _Result:
        known = self._authentication.knows(call, route)
        if known:
            self._check_permissions(call.method)
        for pattern, methods in _ROUTES:
            found = re.fullmatch(pattern, route)
            if found is not None and call.method in methods:
                parameters = parameters_of(call)
                perform = methods[call.method]
                return perform(self, parameters, known, *map(int, found.groups()))
        raise RestError(
            404, "rest_no_route", "No route was found matching the URL and request method."
        )

    def _check_permissions(self, method: str) -> None:
        need = "read" if method in ("GET", "HEAD") else "write"
        if self.permissions not in (need, "read_write"):
            raise unauthenticated(f"The API key provided does not have {need} permissions.")

    def _require(self, known: bool, what: str, message: str) -> None:
        if not (known and self.manages):
            raise RestError(403 if known else 401, f"woocommerce_rest_cannot_{what}", message)

    # Orders

    def _list_orders(self, parameters: Mapping[str, Any], known: bool) -> _Result:
        orderings = _ORDER_BY if self._knows_modified else _ORDER_BY[:-1]
        reading = Reading(parameters)
        page = reading.number("page", 1, None)
        per_page = reading.number("per_page", 10, _LARGEST_PAGE)
        orderby = reading.choice("orderby", "date", orderings)
        order = reading.choice("order", "desc", ("asc", "desc"))
        statuses = [
            reading.choice("status", "any", _STATUSES, each)
            for each in str(parameters.get("status", "any")).split(",")
        ]
        gmt = reading.flag("dates_are_gmt")
        bounds = [
            (column, self._bound(reading.time(after)), self._bound(reading.time(before)))
            for column, (after, before) in _BOUNDS.items()
            if after in parameters or before in parameters
        ]
        reading.done()
        self._require(known, "view", "Sorry, you cannot list resources.")
        found = [
            each
            for each in self.orders.values()
            if _has_status(each, statuses) and _is_inside(each, bounds, gmt)
        ]
        column = {"date": "date_created", "modified": "date_modified"}.get(orderby)

        def place(each: Document) -> tuple[str, int]:
            return _moment(each, column, gmt) if column else "", int(each["id"])

        found.sort(key=place, reverse=order == "desc")
        return self._listed(found, page, per_page, parameters)

    def _bound(self, moment: datetime | None) -> str | None:
        """As WP_Date_Query reads a time: in the shop's time zone, whatever it is compared with."""
        if moment is None:
            return None
        read = moment if moment.tzinfo else moment.replace(tzinfo=self._zone)
        # By way of UTC: what the shop's clocks never show becomes an hour later, as in PHP.
        local = read.astimezone(UTC).astimezone(self._zone)
        return local.strftime("%Y-%m-%dT%H:%M:%S")

    def _listed(
        self, rows: list[Document], page: int, per_page: int, parameters: Mapping[str, Any]
    ) -> _Result:
        shown = rows[(page - 1) * per_page : page * per_page]
        if fields := parameters.get("_fields"):
            wanted = [name.strip() for name in str(fields).split(",")]
            shown = [{name: row[name] for name in wanted if name in row} for row in shown]
        headers = {
            "X-WP-Total": str(len(rows)),
            "X-WP-TotalPages": str(math.ceil(len(rows) / per_page)),
        }
        return 200, headers, shown

    # Webhooks

    def _list_webhooks(self, parameters: Mapping[str, Any], known: bool) -> _Result:
        reading = Reading(parameters)
        page = reading.number("page", 1, None)
        per_page = reading.number("per_page", 10, _LARGEST_PAGE)
        order = reading.choice("order", "desc", ("asc", "desc"))
        orderby = reading.choice("orderby", "date", ("date", "id", "title"))
        status = reading.choice("status", "all", ("all", ACTIVE, "paused", DISABLED))
        reading.done()
        self._require(known, "view", "Sorry, you cannot list resources.")

        def place(each: RegisteredWebhook) -> Any:
            return {"date": each.created_at, "id": each.id, "title": each.name}[orderby]

        found = sorted(self.webhooks.values(), key=place, reverse=order == "desc")
        rows = [self._document(each) for each in found if status in ("all", each.status)]
        return self._listed(rows, page, per_page, parameters)

    def _create_webhook(self, parameters: Mapping[str, Any], known: bool) -> _Result:
        reading = Reading(parameters)
        reading.require("topic", "delivery_url")
        reading.choice("status", ACTIVE, (ACTIVE, "paused", DISABLED))
        reading.done()
        self._require(known, "create", "Sorry, you are not allowed to create resources.")
        now = self._clock()
        webhook = RegisteredWebhook(
            id=self._last_webhook + 1,
            name=str(parameters.get("name") or f"Webhook created on {now:%b %d, %Y @ %I:%M %p}"),
            topic=_topic(parameters["topic"]),
            delivery_url=_delivery_url(parameters["delivery_url"]),
            secret=str(parameters.get("secret") or self._new_id()),
            created_at=now,
            modified_at=now,
        )
        self._last_webhook = webhook.id
        self.webhooks[webhook.id] = webhook
        document = self._document(webhook)
        self._ping(webhook)
        location = f"{self.address}/wp-json/wc/v3/webhooks/{webhook.id}"
        return 201, {"Location": location}, document

    def _update_webhook(
        self, parameters: Mapping[str, Any], known: bool, webhook_id: int
    ) -> _Result:
        """Making one active again leaves its failures counted."""
        reading = Reading(parameters)
        status = reading.choice("status", "", (ACTIVE, "paused", DISABLED))
        reading.done()
        self._require(known, "edit", "Sorry, you are not allowed to edit this resource.")
        webhook = self._webhook(webhook_id, 400)
        if parameters.get("topic"):
            webhook.topic = _topic(parameters["topic"])
        if parameters.get("delivery_url"):
            address = _delivery_url(parameters["delivery_url"])
            webhook.pending = webhook.pending or address != webhook.delivery_url
            webhook.delivery_url = address
        webhook.secret = str(parameters.get("secret") or webhook.secret)
        webhook.name = str(parameters.get("name") or webhook.name)
        webhook.status = status or webhook.status
        self._save(webhook)
        return 200, {}, self._document(webhook)

    def _show_webhook(
        self, _parameters: Mapping[str, Any], known: bool, webhook_id: int
    ) -> _Result:
        self._require(known, "view", "Sorry, you cannot view this resource.")
        return 200, {}, self._document(self._webhook(webhook_id, 400))

    def _delete_webhook(
        self, parameters: Mapping[str, Any], known: bool, webhook_id: int
    ) -> _Result:
        reading = Reading(parameters)
        force = reading.flag("force")
        reading.done()
        self._require(known, "delete", "Sorry, you are not allowed to delete this resource.")
        if not force:
            raise RestError(
                501, "woocommerce_rest_trash_not_supported", "Webhooks do not support trashing."
            )
        webhook = self._webhook(webhook_id, 404)
        del self.webhooks[webhook_id]
        return 200, {}, self._document(webhook)

    def _batch_webhooks(self, parameters: Mapping[str, Any], known: bool) -> _Result:
        """Each row succeeds or fails alone; nothing asked is nothing done."""
        self._require(
            known, "batch", "Sorry, you are not allowed to batch manipulate this resource."
        )
        done: dict[str, list[object]] = {}
        for name, perform in (
            ("create", self._create_webhook),
            ("update", lambda row, known: self._update_webhook(row, known, int(row["id"]))),
            (
                "delete",
                lambda row, known: self._delete_webhook({"force": True}, known, int(row)),
            ),
        ):
            for row in parameters.get(name, ()):
                try:
                    result: object = perform(row, known)[2]
                except RestError as error:
                    result = {"id": 0, "error": error.document}
                done.setdefault(name, []).append(result)
        return 200, {}, done or []

    def _webhook(self, webhook_id: int, status: int) -> RegisteredWebhook:
        webhook = self.webhooks.get(webhook_id)
        if webhook is None:
            raise RestError(status, "woocommerce_rest_shop_webhook_invalid_id", "Invalid ID.")
        return webhook

    def _document(self, webhook: RegisteredWebhook) -> Document:
        resource, _, event = webhook.topic.partition(".")
        place = f"{self.address}/wp-json/wc/v3/webhooks"
        return {
            "id": webhook.id,
            "name": webhook.name,
            "status": webhook.status,
            "topic": webhook.topic,
            "resource": resource,
            "event": event,
            "hooks": list(_HOOKS.get(webhook.topic, ())),
            "delivery_url": webhook.delivery_url,
            "date_created": self._local(webhook.created_at),
            "date_created_gmt": _gmt(webhook.created_at),
            "date_modified": self._local(webhook.modified_at),
            "date_modified_gmt": _gmt(webhook.modified_at),
            "_links": {
                "self": [{"href": f"{place}/{webhook.id}"}],
                "collection": [{"href": place}],
            },
        }

    def _local(self, moment: datetime) -> str:
        return moment.astimezone(self._zone).strftime("%Y-%m-%dT%H:%M:%S")


def _refuse(what: str, message: str) -> NoReturn:
    raise RestError(400, f"woocommerce_rest_shop_webhook_invalid_{what}", message)


def _topic(value: object) -> str:
    topic = str(value)
    if not _TOPIC.fullmatch(topic.lower()):
        _refuse("topic", "Webhook topic is required and must be valid.")
    return topic


def _delivery_url(value: object) -> str:
    address = str(value)
    if not address.startswith(("http://", "https://")):
        _refuse(
            "delivery_url",
            "Webhook delivery URL must be a valid URL starting with http:// or https://.",
        )
    return address


def _has_status(order: Document, wanted: list[str]) -> bool:
    status = order.get("status", "")
    return status in wanted or ("any" in wanted and status not in _NOT_ANY)


def _is_inside(
    order: Document, bounds: list[tuple[str, str | None, str | None]], gmt: bool
) -> bool:
    for column, after, before in bounds:
        moment = _moment(order, column, gmt)
        if (after is not None and moment <= after) or (before is not None and before <= moment):
            return False
    return True


def _moment(order: Document, column: str, gmt: bool) -> str:
    """A sparse order was changed last when it was made, and by a clock that shows UTC."""
    moment = None if gmt else order.get(column)
    return str(moment or order.get(_GMT[column]) or order.get("date_created_gmt") or "")


def _signature(secret: str, body: bytes) -> str:
    key = _ENTITY.sub(lambda found: _ENTITIES[found[0]], secret).encode()
    return base64.b64encode(hmac.digest(key, body, "sha256")).decode()


def _gmt(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


_HOOKS: Final = {
    "order.created": ("woocommerce_new_order",),
    "order.updated": ("woocommerce_update_order", "woocommerce_order_refunded"),
    "order.deleted": ("wp_trash_post", "woocommerce_trash_order"),
    "order.restored": ("untrashed_post", "woocommerce_untrash_order"),
}

_System = WooCommerceSystem
_ROUTES: Final[tuple[tuple[str, dict[str, Callable[..., _Result]]], ...]] = (
    (r"/wc/v3/orders", {"GET": _System._list_orders}),
    (
        r"/wc/v3/webhooks",
        {"GET": _System._list_webhooks, "POST": _System._create_webhook},
    ),
    (
        r"/wc/v3/webhooks/batch",
        dict.fromkeys(("POST", "PUT", "PATCH"), _System._batch_webhooks),
    ),
    (
        r"/wc/v3/webhooks/([0-9]{1,18})",
        {
            "GET": _System._show_webhook,
            **dict.fromkeys(("POST", "PUT", "PATCH"), _System._update_webhook),
            "DELETE": _System._delete_webhook,
        },
    ),
)
