"""WooCommerce's REST API against a simulated shop: nothing lost, nothing told that is secret."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, pairwise, product
from typing import Any
from urllib.parse import unquote

import pytest
from requests import Response
from tests.platform_api.shop_session import ShopSession

from prisjakt_relay.errors import (
    PlatformAccessError,
    PlatformApiError,
    PlatformBusyError,
    PlatformRefusedError,
)
from prisjakt_relay.intake import assess
from prisjakt_relay.local.deliveries import Delivery, load_all
from prisjakt_relay.local.exchange import Answer, Call
from prisjakt_relay.local.shop_system import ShopSystem
from prisjakt_relay.local.woocommerce_system import WooCommerceSystem
from prisjakt_relay.platform_api.access import Access
from prisjakt_relay.platform_api.interface import Moment, Page, PlatformApi, Webhook
from prisjakt_relay.platform_api.woocommerce import ORDER_FIELDS, WooCommerceApi, signature_base
from prisjakt_relay.platforms import shop_from, woocommerce
from prisjakt_relay.platforms.interface import Document
from prisjakt_relay.shop import AmountChoice, Shop

ADDRESS = "https://shop.example"
LOOPBACK = "http://127.0.0.1:8080/shop"
RELAY = "https://relay.example/webhooks/woocommerce/shop"
KEY = "ck_0123456789abcdef"
SECRET = "cs_hush/hush+hush="
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)  # a Friday
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)

OF_ORDERS = [
    sample
    for sample in load_all()
    if sample.platform == "woocommerce" and b'"line_items"' in sample.body
]


class Clock:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = NOON + HOUR
        self.waits: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)


class World:
    """One shop, the way to it, and its API."""

    def __init__(self, address: str = ADDRESS, **settings: Any) -> None:
        self.clock = Clock()
        ids = count(1)
        self.system = WooCommerceSystem(
            address,
            clock=self.clock,
            new_id=lambda: f"id{next(ids)}",
            send=lambda _: 200,
            later=lambda _seconds, action: action(),
            consumer_key=KEY,
            consumer_secret=SECRET,
            **settings,
        )
        self.session = ShopSession(self.system, address)
        self.api = self.connect(address)

    def connect(self, address: str = ADDRESS, **credentials: str) -> WooCommerceApi:
        pair = {"consumer_key": KEY, "consumer_secret": SECRET} | credentials
        return WooCommerceApi(
            Access(address=address, **pair), self.session, clock=self.clock, wait=self.clock.wait
        )

    def fill(self, moments: Iterable[datetime], **more: Any) -> None:
        for number, moment in enumerate(moments, 1):
            self.system.put(order(number, moment, **more))

    def pages(
        self,
        since: datetime = NOON,
        until: datetime = NOON + HOUR,
        by: Moment = Moment.UPDATED,
    ) -> list[Page]:
        return list(self.api.orders(since, until, by=by))

    def ids(
        self,
        since: datetime = NOON,
        until: datetime = NOON + HOUR,
        by: Moment = Moment.UPDATED,
    ) -> list[int]:
        return [each["id"] for page in self.pages(since, until, by) for each in page.orders]


def order(number: int, moment: datetime, **more: Any) -> Document:
    wire = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return {
        "id": number,
        "number": str(number),
        "status": "processing",
        "currency": "SEK",
        "total": "100.00",
        "date_created_gmt": wire,
        "date_modified_gmt": wire,
        "billing": {"email": "somebody@example.com"},
        "meta_data": [],
        "line_items": [],
        **more,
    }


def parsed(sample: Delivery) -> Document:
    document: Document = json.loads(sample.body, parse_float=Decimal)
    return document


def shop(**choices: object) -> Shop:
    return shop_from(
        {
            "platform": "woocommerce",
            "pixel_id": "717d5a6d-ccc5-4c29-808c-9eda931d42ca",
            "signing_secrets": ["secret"],
            **choices,
        }
    )


# An order comes as a webhook would tell of it


@pytest.mark.parametrize("address", [ADDRESS, LOOPBACK])
@pytest.mark.parametrize("sample", OF_ORDERS, ids=lambda sample: sample.name)
def test_an_order_is_read_as_the_webhook_tells_it(
    sample: Delivery, address: str, now: datetime
) -> None:
    told = parsed(sample)
    world = World(address)
    world.system.put(told)

    (read,) = (each for page in world.pages(now - 2 * HOUR, now) for each in page.orders)

    assert read == {field: told[field] for field in ORDER_FIELDS if field in told}
    for amount, when, fallback in product(
        AmountChoice, ("placed", "secured", "paid"), (False, True)
    ):
        choices = shop(amount=amount, report_when=when, landing_page_fallback=fallback)
        decisions = [
            assess(woocommerce.PLATFORM, "shop", choices, document, now)
            for document in (read, told)
        ]
        assert decisions[0] == decisions[1]


def test_orders_of_every_kind_are_among_the_samples() -> None:
    assert len(OF_ORDERS) >= 15
    assert {parsed(sample)["status"] for sample in OF_ORDERS} >= {
        "checkout-draft",
        "on-hold",
        "processing",
        "cancelled",
        "refunded",
    }


class Reader(dict[str, Any]):
    """An order that remembers which of its fields somebody asked for."""

    def __init__(self, document: Document) -> None:
        super().__init__(document)
        self.read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)


def test_what_is_asked_for_is_exactly_what_the_platform_reads() -> None:
    read: set[str] = set()
    for status in ("processing", "packad"):
        reader = Reader(order(17, NOON, status=status))
        woocommerce.order_id(reader)
        woocommerce.source(reader)
        woocommerce.click_ids(reader)
        woocommerce.landing_page(reader)
        for amount in AmountChoice:
            woocommerce.normalise(reader, shop(amount=amount))
        read |= reader.read

    assert set(ORDER_FIELDS) == read
    assert len(ORDER_FIELDS) == len(read)


def test_nothing_personal_travels() -> None:
    world = World()
    world.fill([NOON])

    ((read,),) = (page.orders for page in world.pages())

    assert "billing" not in read
    assert world.session.calls[0].query["_fields"].split(",") == list(ORDER_FIELDS)


# Paging


@pytest.mark.parametrize("by", Moment)
@pytest.mark.parametrize("knows_modified", [True, False])
@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 200, 250, 500])
def test_every_order_comes_once_and_the_oldest_first(
    size: int, knows_modified: bool, by: Moment
) -> None:
    world = World(knows_modified=knows_modified)
    world.fill(NOON + n * 3 * SECOND for n in range(size))

    assert world.ids(by=by) == list(range(1, size + 1))
    pages = world.pages(by=by)
    assert pages[-1].complete_until == NOON + HOUR
    for page, later in pairwise(pages):
        moments = [moment_of(each) for each in later.orders]
        assert all(moment >= page.complete_until for moment in moments) or not moments
        assert page.complete_until <= later.complete_until


def moment_of(document: Document) -> datetime:
    return datetime.fromisoformat(document["date_modified_gmt"]).replace(tzinfo=UTC)


def test_a_thousand_orders_cost_little_more_than_ten_requests() -> None:
    world = World()
    world.fill(NOON + n * 3 * SECOND for n in range(1000))

    assert len(world.ids()) == 1000
    assert world.system.calls <= 12


def test_the_interval_begins_with_its_first_moment_and_ends_before_its_last() -> None:
    world = World()
    world.fill(NOON + seconds * SECOND for seconds in (-1, 0, 1, 59, 60, 61))

    assert world.ids(NOON, NOON + 60 * SECOND) == [2, 3, 4]
    half = timedelta(milliseconds=500)
    assert world.ids(NOON + half, NOON + 60 * SECOND + half) == [3, 4, 5]
    assert world.ids(NOON + half, NOON + 60 * SECOND) == [3, 4]


@pytest.mark.parametrize("length", [timedelta(0), -HOUR])
def test_an_empty_interval_is_one_empty_page_and_no_request(length: timedelta) -> None:
    world = World()
    world.fill([NOON])

    assert world.pages(NOON, NOON + length) == [Page((), NOON + length)]
    assert world.system.calls == 0


def test_an_interval_without_orders_is_one_empty_page() -> None:
    assert World().pages() == [Page((), NOON + HOUR)]


@pytest.mark.parametrize("knows_modified", [True, False])
@pytest.mark.parametrize("size", [100, 101, 350])
def test_more_orders_of_one_second_than_a_page_holds(size: int, knows_modified: bool) -> None:
    """A bulk edit: the second that they share cannot be told apart by time."""
    world = World(knows_modified=knows_modified)
    moments = [NOON + 5 * SECOND] * size + [NOON + 6 * SECOND] * 3
    world.fill([NOON, *moments])

    read = world.ids()

    assert set(read) == set(range(1, size + 5))
    assert world.ids(NOON + 5 * SECOND, NOON + 6 * SECOND) != []
    assert read[-3:] == [size + 2, size + 3, size + 4]


class Busy(ShopSession):
    """A way to a shop where something happens before each request."""

    def __init__(self, system: ShopSystem, address: str, happens: Callable[[], None]) -> None:
        super().__init__(system, address)
        self.happens = happens

    def request(self, method: str, url: str, **rest: Any) -> Response:  # type: ignore[override]
        self.happens()
        return super().request(method, url, **rest)


@pytest.mark.parametrize("knows_modified", [True, False])
@pytest.mark.parametrize("step", [0 * SECOND, SECOND / 50, 3 * SECOND])
def test_nothing_is_skipped_when_orders_change_meanwhile(
    step: timedelta, knows_modified: bool
) -> None:
    """Who changes leaves the interval, and is read at the next turn; nobody else may go with it."""
    world = World(knows_modified=knows_modified)
    world.fill(NOON + n * step for n in range(1000))
    left = iter(range(1, 1000, 7))
    changed: set[int] = set()

    def change() -> None:
        for number in (next(left, 0) for _ in range(9)):
            if number:
                changed.add(number)
                world.system.put(order(number, NOON + 2 * HOUR))

    world.session = Busy(world.system, ADDRESS, change)
    world.api = world.connect()

    read = set(world.ids())

    assert changed
    assert set(range(1, 1001)) - changed <= read
    again = world.ids(NOON + HOUR, NOON + 3 * HOUR)
    assert changed <= set(again)


def test_an_order_that_changes_while_the_answer_is_written_leads_nobody_astray() -> None:
    """It stands in its old place with its new moment, the last of a page for instance."""
    world = World()
    world.fill(NOON + n * SECOND for n in range(250))
    first = [order(n + 1, NOON + n * SECOND) for n in range(99)]
    raced = order(100, NOON + 2 * HOUR)
    world.session.answers = [page_of([*first, raced], pages=3)]

    assert set(world.ids()) >= set(range(1, 251)) - {100}


def page_of(orders: list[Document], pages: int | None = 1) -> Answer:
    headers = {} if pages is None else {"X-WP-TotalPages": str(pages)}
    return Answer(200, headers, orders)


def test_orders_that_the_key_may_not_see_do_not_end_the_reading() -> None:
    """WooCommerce leaves them out of a page and counts them nevertheless."""
    world = World()
    world.fill(NOON + n * SECOND for n in range(250))
    shown = [order(n + 1, NOON + n * SECOND) for n in range(50)]
    world.session.answers = [page_of(shown, pages=3)]

    assert world.ids() == list(range(1, 251))


def test_a_page_of_nothing_but_hidden_orders_does_not_end_the_reading() -> None:
    world = World()
    world.fill(NOON + n * SECOND for n in range(250))
    world.session.answers = [page_of([], pages=3)]

    assert world.ids() == list(range(1, 251))


def test_a_shop_whose_plug_in_sorts_as_it_likes_is_read_all_the_same() -> None:
    world = World()
    world.fill(NOON + n * SECOND for n in range(250))
    shuffled = [order(n + 1, NOON + n * SECOND) for n in range(100)]
    world.session.answers = [page_of(shuffled[::-1], pages=3)]

    assert world.ids() == list(range(1, 251))


def test_a_shop_that_cannot_sort_is_asked_for_it_once() -> None:
    world = World(knows_modified=False)
    world.fill([NOON])

    assert world.ids() == [1]
    assert world.ids() == [1]
    assert [call.query["orderby"] for call in world.session.calls] == ["modified", "id", "id"]


def test_without_the_header_of_pages_a_full_page_has_another_after_it() -> None:
    world = World()
    rows = [order(n + 1, NOON + n * SECOND) for n in range(150)]
    world.session.answers = [page_of(rows[:100], pages=None), page_of(rows[99:], pages=None)]

    assert world.ids() == list(range(1, 151))


def test_without_the_header_of_pages_a_full_second_cannot_be_read() -> None:
    world = World()
    rows = [order(n + 1, NOON) for n in range(100)]
    world.session.answers = [page_of(rows, pages=None)] * 2

    with pytest.raises(PlatformRefusedError, match="X-WP-TotalPages"):
        world.ids()


def test_a_shop_that_ignores_the_interval_is_found_out() -> None:
    world = World()
    world.session.answers = [page_of([order(1, NOON - HOUR)])]

    with pytest.raises(PlatformRefusedError, match=r"WooCommerce to 5\.8"):
        world.ids()


SPRING = datetime(2027, 3, 28, tzinfo=UTC)  # at 2:00 clocks in Stockholm go to 3:00


@pytest.mark.parametrize("knows_modified", [True, False])
@pytest.mark.parametrize("zone", ["Europe/London", "Europe/Stockholm", "Europe/Helsinki", "UTC"])
@pytest.mark.parametrize("size", [50, 600])
def test_nothing_is_lost_in_the_night_when_summer_time_begins(
    size: int, zone: str, knows_modified: bool
) -> None:
    """WordPress takes a UTC time that the shop's clocks skip for one an hour later."""
    world = World(time_zone=zone, knows_modified=knows_modified)
    begin, end = SPRING - HOUR, SPRING + 6 * HOUR
    step = (end - begin) / size
    moments = [begin + n * step for n in range(size)]
    world.fill(moments)

    assert set(world.ids(begin, end)) == set(range(1, size + 1))
    for hours in (1.5, 2.25, 3.5):
        since, until = SPRING + hours * HOUR, SPRING + (hours + 0.3) * HOUR
        wanted = {
            n + 1
            for n, moment in enumerate(moments)
            if since <= moment.replace(microsecond=0) < until
        }
        assert set(world.ids(since, until)) == wanted


@pytest.mark.parametrize("zone", ["Europe/Stockholm", "America/New_York", "Pacific/Auckland"])
def test_the_shop_s_time_zone_makes_no_difference(zone: str) -> None:
    world = World(time_zone=zone)
    world.fill(NOON + minutes * 60 * SECOND for minutes in (-90, -30, 0, 30, 59, 60, 90))

    assert world.ids() == [3, 4, 5]


def test_an_order_in_the_trash_is_not_among_them() -> None:
    world = World()
    world.fill([NOON], status="trash")

    assert world.ids() == []


# Who asks


def test_over_https_the_key_is_in_the_header_and_nowhere_else() -> None:
    world = World()
    world.pages()

    (call,) = world.session.calls
    pair = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
    assert call.headers["authorization"] == f"Basic {pair}"
    assert call.headers["user-agent"].startswith("prisjakt-relay/")
    assert not {"consumer_key", "consumer_secret", "oauth_signature"} & set(call.query)


def test_a_server_that_drops_the_header_gets_the_key_in_the_query_from_then_on() -> None:
    world = World(drops_authorization=True)

    world.pages()
    world.pages()

    ways = [
        ("authorization" in call.headers, "consumer_secret" in call.query)
        for call in world.session.calls
    ]
    assert ways == [(True, False), (False, True), (False, True)]


def test_wordpress_that_takes_https_for_http_gets_a_signature_from_then_on() -> None:
    world = World(behind_proxy=True)

    world.pages()
    world.pages()

    signed = ["oauth_signature" in call.query for call in world.session.calls]
    assert signed == [False, False, True, True]


@pytest.mark.parametrize("address", [LOOPBACK, "http://localhost"])
@pytest.mark.parametrize("plain_permalinks", [False, True])
def test_over_http_requests_are_signed_and_the_secret_stays_here(
    plain_permalinks: bool, address: str
) -> None:
    world = World(address, plain_permalinks=plain_permalinks)
    world.fill([NOON])

    assert world.ids() == [1]
    made = world.api.create_webhook("order.updated", f"{RELAY}?a=1&b=å", "whsec")
    assert world.api.webhooks() == [made]
    world.api.remove_webhook(made)
    for call in world.session.calls:
        assert call.query["oauth_signature_method"] == "HMAC-SHA256"
        assert "authorization" not in call.headers
        assert SECRET not in repr(call)


def test_wordpress_on_this_machine_may_take_itself_for_https() -> None:
    """As people set it up who have no certificate."""
    world = World(LOOPBACK, forces_https=True)
    world.fill([NOON])

    assert world.ids() == [1]
    world.pages()

    signed = ["oauth_signature" in call.query for call in world.session.calls]
    assert signed == [True, False, False]


def test_a_wrong_secret_over_http_is_told_as_one() -> None:
    world = World(LOOPBACK)
    api = world.connect(LOOPBACK, consumer_secret="cs_another")

    with pytest.raises(PlatformAccessError, match="woocommerce_rest_authentication_error"):
        api.webhooks()


def test_a_signed_request_that_is_asked_again_is_signed_again() -> None:
    world = World(LOOPBACK)
    world.fill([NOON])
    world.session.answers = [Answer(502), Answer(200, cut=True)]

    assert world.ids() == [1]
    assert len({call.query["oauth_nonce"] for call in world.session.calls}) == 3
    assert len({call.query["oauth_timestamp"] for call in world.session.calls}) == 3


def test_what_is_signed_is_encoded_as_in_rfc_5849() -> None:
    """The example of section 3.4.1.1."""
    parameters = [
        ("b5", "=%3D"),
        ("a3", "a"),
        ("c@", ""),
        ("a2", "r b"),
        ("oauth_consumer_key", "9djdj82h48djs9d2"),
        ("oauth_token", "kkk9d7dh3k39sjv7"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131201"),
        ("oauth_nonce", "7d8f3e4a"),
        ("c2", ""),
        ("a3", "2 q"),
    ]

    assert signature_base("POST", "http://example.com/request", parameters) == (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q"
        "%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D%26oauth_consumer_"
        "key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_m"
        "ethod%3DHMAC-SHA1%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk"
        "9d7dh3k39sjv7"
    )


def test_what_is_signed_makes_the_signature_of_rfc_5849() -> None:
    """The example of section 1.2: the one signature there that can be made again."""
    parameters = [
        ("file", "vacation.jpg"),
        ("size", "original"),
        ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
        ("oauth_token", "nnch734d00sl2jdk"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131202"),
        ("oauth_nonce", "chapoH"),
    ]
    text = signature_base("GET", "http://photos.example.net/photos", parameters)

    made = hmac.digest(b"kd94hf93k423kf44&pfkkdhi9sl3r4s00", text.encode(), "sha1")

    assert base64.b64encode(made).decode() == unquote("MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D")


# Where it is asked


def test_a_shop_without_permalinks_is_found_and_remembered() -> None:
    world = World(plain_permalinks=True)
    world.fill([NOON])

    assert world.ids() == [1]
    assert world.ids() == [1]
    paths = [call.path for call in world.session.calls]
    assert paths == ["/wp-json/wc/v3/orders", "/index.php", "/index.php"]


class Raw(ShopSession):
    """Remembers the addresses as they go over the line."""

    def __init__(self, system: ShopSystem, address: str) -> None:
        super().__init__(system, address)
        self.urls: list[str] = []

    def request(self, method: str, url: str, **rest: Any) -> Response:  # type: ignore[override]
        self.urls.append(url)
        return super().request(method, url, **rest)


def test_without_permalinks_the_address_still_has_what_older_versions_look_for() -> None:
    world = World(plain_permalinks=True)
    world.session = session = Raw(world.system, ADDRESS)
    world.api = world.connect()

    world.pages()

    assert "wp-json/wc/" in session.urls[-1]


def test_a_front_page_instead_of_an_answer_means_that_there_are_no_permalinks() -> None:
    world = World(plain_permalinks=True)
    world.fill([NOON])
    world.session.answers = [Html(200, "<html>Welcome!")]

    assert world.ids() == [1]


class Html(Answer):
    """An answer that is no JSON."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, body=text)

    @property
    def content(self) -> bytes:
        return str(self.body).encode()


def test_what_writes_is_not_sent_again_elsewhere_when_it_may_have_been_done() -> None:
    world = World()
    world.session.answers = [Html(200, "Notice: something\n{}")]

    with pytest.raises(PlatformRefusedError, match="JSON"):
        world.api.create_webhook("order.updated", RELAY, "whsec")

    assert len(world.session.calls) == 1


# What is wrong


@pytest.mark.parametrize("address", [ADDRESS, LOOPBACK])
@pytest.mark.parametrize(
    "wrong", [{"consumer_key": "ck_wrong_hush"}, {"consumer_secret": "cs_wrong_hush"}]
)
def test_a_wrong_key_is_told_with_its_remedy(wrong: dict[str, str], address: str) -> None:
    world = World(address)
    world.api = world.connect(address, **wrong)

    with pytest.raises(PlatformAccessError, match="Read/Write") as caught:
        world.pages()

    assert "woocommerce_rest_authentication_error (HTTP 401): " in str(caught.value)
    assert ("Site Address" in str(caught.value)) is (address == LOOPBACK)
    assert_nothing_secret(caught.value)


def assert_nothing_secret(error: BaseException | None) -> None:
    while error is not None:
        for hidden in (KEY, SECRET, "wrong_hush", "consumer_", "oauth_", "Basic"):
            assert hidden not in f"{error} {error!r}"
        error = error.__context__


def test_no_key_at_all_is_refused_as_any_wrong_one() -> None:
    world = World()
    api = WooCommerceApi(
        Access(address=ADDRESS), world.session, clock=world.clock, wait=world.clock.wait
    )

    with pytest.raises(PlatformAccessError, match="Read/Write"):
        api.check()


def test_a_user_who_may_not_manage_the_shop_is_told() -> None:
    world = World()
    world.system.manages = False

    with pytest.raises(PlatformAccessError, match=r"cannot_view \(HTTP 403\).*shop manager"):
        world.pages()


def test_an_address_without_woocommerce_is_named() -> None:
    world = World()
    nowhere = {"code": "rest_no_route", "message": "No route", "data": {"status": 404}}
    world.session.answers = [Answer(404, body=nowhere)]

    with pytest.raises(PlatformAccessError, match=r"no WooCommerce at https://shop\.example "):
        world.pages()


@pytest.mark.parametrize("answer", [Html(404, "<html>"), Answer(404, body={"error": "Not found"})])
def test_an_address_without_wordpress_is_named(answer: Answer) -> None:
    world = World()
    world.session.answers = [answer] * 2

    with pytest.raises(PlatformAccessError, match=r"no WooCommerce at https://shop\.example "):
        world.pages()


@pytest.mark.parametrize("text", ["", "<html>", "<br />Notice: x in y.php\n[]", "\ufeff\ufeff[]"])
def test_no_json_where_json_should_be_names_what_may_be_in_the_way(text: str) -> None:
    world = World()
    world.pages()
    world.session.answers = [Html(200, text)]

    with pytest.raises(PlatformRefusedError, match=r"than JSON \(HTTP 200\).*cache"):
        world.pages()


@pytest.mark.parametrize("status", [401, 403, 405, 406, 418])
def test_a_server_that_answers_before_woocommerce_is_told(status: int) -> None:
    world = World()
    world.session.answers = [Html(status, "<html>Blocked")]

    with pytest.raises(PlatformRefusedError, match=rf"HTTP {status}\).*firewall"):
        world.pages()


def test_another_refusal_is_told_in_woocommerce_s_own_words() -> None:
    world = World()
    message = f"<b>Invalid</b>\n parameter:\x00 {SECRET} {KEY} {'x' * 500}"
    world.session.answers = [Answer(400, body={"code": "rest_invalid_param", "message": message})]

    with pytest.raises(PlatformRefusedError) as caught:
        world.pages()

    assert str(caught.value).startswith(
        "WooCommerce refuses the request, rest_invalid_param (HTTP 400): Invalid parameter: … … xxx"
    )
    assert len(str(caught.value)) < 300
    assert_nothing_secret(caught.value)


@pytest.mark.parametrize("message", [None, 7, "", "<p></p>", "\ud800"])
def test_a_refusal_without_words_is_told_by_its_code(message: object) -> None:
    world = World()
    world.session.answers = [Answer(410, body={"code": "gone", "message": message})]

    with pytest.raises(PlatformRefusedError) as caught:
        world.pages()

    assert str(caught.value) == "WooCommerce refuses the request, gone (HTTP 410)"


def test_an_outage_is_busy_and_tells_no_address() -> None:
    world = World(drops_authorization=True)
    world.pages()
    world.system.outage = 503

    with pytest.raises(PlatformBusyError, match="HTTP 503") as caught:
        world.pages()

    assert_nothing_secret(caught.value)


GOOD = order(1, NOON)
RUBBISH: list[Any] = [
    None,
    True,
    7,
    "text",
    {},
    {"orders": []},
    [None],
    [[]],
    [7],
    [{}],
    [GOOD | {"id": None}],
    [GOOD | {"id": "x"}],
    [GOOD | {"id": 1.5}],
    [GOOD | {"id": True}],
    [GOOD | {"date_modified_gmt": None}],
    [GOOD | {"date_modified_gmt": "yesterday"}],
    [GOOD | {"date_modified_gmt": 7}],
    [GOOD | {"date_modified_gmt": "0000-00-00T00:00:00"}],
    [GOOD | {"date_modified_gmt": "0001-01-01T00:00:00+14:00"}],
    {"code": "\ud800"},
    {"code": ["x"], "message": {}},
]


def everything(api: PlatformApi) -> list[Callable[[], object]]:
    webhook = Webhook(id="1", topic="order.updated", address=RELAY)
    return [
        lambda: list(api.orders(NOON, NOON + HOUR, by=Moment.UPDATED)),
        api.check,
        api.webhooks,
        lambda: api.create_webhook("order.updated", RELAY, "whsec"),
        lambda: api.replace_webhook(webhook, RELAY, "whsec"),
        lambda: api.remove_webhook(webhook),
    ]


@pytest.mark.parametrize("what", range(5))
@pytest.mark.parametrize("status", [200, 400, 401, 404])
@pytest.mark.parametrize("rubbish", RUBBISH, ids=lambda rubbish: json.dumps(rubbish)[:40])
def test_rubbish_is_nothing_but_an_error_of_the_platform(
    rubbish: Any, status: int, what: int
) -> None:
    world = World()
    world.session.answers = [Answer(status, body=rubbish)] * 9
    error: PlatformApiError | None = None

    try:
        everything(world.api)[what]()
    except PlatformApiError as caught:
        error = caught

    assert_nothing_secret(error)
    # A list of objects may be one of webhooks, none of which is of orders.
    assert error is not None or (status == 200 and what in (1, 2) and isinstance(rubbish, list))


@pytest.mark.parametrize("rubbish", RUBBISH, ids=lambda rubbish: json.dumps(rubbish)[:40])
def test_rubbish_in_orders_that_the_relay_does_not_read_here_is_intake_s_affair(
    rubbish: Any,
) -> None:
    world = World()
    world.fill([NOON], total=rubbish, meta_data=rubbish, line_items=rubbish, refunds=rubbish)

    ((read,),) = (page.orders for page in world.pages())

    assert read["total"] == rubbish
    assert assess(woocommerce.PLATFORM, "shop", shop(), read, NOON).conversion is None


@pytest.mark.parametrize(
    "headers",
    [{"X-WP-TotalPages": told} for told in ("", "-1", "x", "1e3", "9999999999", "\u0663")],
)
def test_a_strange_number_of_pages_is_none(headers: dict[str, str]) -> None:
    world = World()
    world.session.answers = [Answer(200, headers, [GOOD])]

    assert world.ids() == [1]


# Rights


def test_a_good_key_lacks_nothing_and_nothing_is_written() -> None:
    world = World()
    world.fill([NOON])

    assert list(world.api.check()) == []
    assert world.system.webhooks == {}


def test_a_key_that_may_only_read_lacks_write() -> None:
    assert list(World(permissions="read").api.check()) == ["write"]


def test_a_key_that_may_only_write_is_refused() -> None:
    with pytest.raises(PlatformAccessError, match="does not have read permissions"):
        World(permissions="write").api.check()


def test_a_check_reads_as_little_as_possible() -> None:
    world = World()
    world.fill(NOON + n * SECOND for n in range(9))

    world.api.check()

    assert [(call.method, call.path) for call in world.session.calls] == [
        ("GET", "/wp-json/wc/v3/orders"),
        ("GET", "/wp-json/wc/v3/webhooks"),
        ("POST", "/wp-json/wc/v3/webhooks/batch"),
    ]
    assert all(
        (call.query["per_page"], call.query["_fields"]) == ("1", "id")
        for call in world.session.calls[:2]
    )


# Webhooks


def test_a_webhook_is_made_as_it_should_be() -> None:
    world = World()

    made = world.api.create_webhook("order.updated", RELAY, "whsec")

    assert made == Webhook(id="1", topic="order.updated", address=RELAY)
    kept = world.system.webhooks[1]
    assert (kept.topic, kept.delivery_url, kept.secret) == ("order.updated", RELAY, "whsec")
    assert (kept.status, kept.name) == ("active", "Prisjakt: order.updated")
    assert world.api.webhooks() == [made]


def test_making_a_webhook_is_not_tried_twice() -> None:
    world = World()
    world.session.answers = [Answer(504)]

    with pytest.raises(PlatformBusyError):
        world.api.create_webhook("order.updated", RELAY, "whsec")

    assert len(world.session.calls) == 1


def test_topics_are_those_that_tell_of_every_change() -> None:
    assert WooCommerceApi.topics == ("order.updated", "order.created")
    assert set(WooCommerceApi.topics) <= woocommerce.PLATFORM.topics


@pytest.mark.parametrize(
    ("status", "problems"),
    [
        ("active", ()),
        ("disabled", ("is disabled",)),
        ("paused", ("is paused",)),
        ("asleep", ("is not active",)),
    ],
)
def test_what_keeps_a_webhook_from_its_work_is_told(status: str, problems: tuple[str, ...]) -> None:
    world = World()
    world.api.create_webhook("order.updated", RELAY, "whsec")
    world.system.webhooks[1].status = status

    (found,) = world.api.webhooks()

    assert found.problems == problems


@pytest.mark.parametrize("size", [0, 99, 100, 101, 205])
def test_all_webhooks_of_orders_are_found(size: int) -> None:
    world = World()
    for number in range(size):
        topic = "product.updated" if number % 5 == 0 else "order.updated"
        world.api.create_webhook(topic, f"{RELAY}/{number}", "whsec")

    found = world.api.webhooks()

    assert [each.address for each in found] == [f"{RELAY}/{n}" for n in range(size) if n % 5]


def test_webhooks_are_listed_to_the_end_without_the_header_of_pages() -> None:
    world = World()
    rows = [
        {"id": n, "status": "active", "topic": "order.updated", "delivery_url": RELAY}
        for n in range(1, 151)
    ]
    world.session.answers = [page_of(rows[:100], None), page_of(rows[100:], None)]

    assert len(world.api.webhooks()) == 150


def test_a_list_that_says_it_never_ends_ends_with_an_empty_page() -> None:
    world = World()
    world.session.answers = [page_of([], pages=99999)]

    assert world.api.webhooks() == []


def test_a_replaced_webhook_begins_to_count_anew() -> None:
    world = World()
    old = world.api.create_webhook("order.updated", "https://relay.example/old", "old")
    world.system.webhooks[1].failures, world.system.webhooks[1].status = 6, "disabled"

    made = world.api.replace_webhook(old, RELAY, "new")

    assert world.api.webhooks() == [made]
    kept = world.system.webhooks[int(made.id)]
    assert (kept.failures, kept.status, kept.secret) == (0, "active", "new")
    assert (kept.topic, kept.delivery_url) == ("order.updated", RELAY)


def test_nothing_is_taken_away_before_there_is_something_in_its_place() -> None:
    world = World()
    old = world.api.create_webhook("order.updated", RELAY, "old")
    world.session.answers = [Answer(500)]

    with pytest.raises(PlatformBusyError):
        world.api.replace_webhook(old, RELAY, "new")

    assert world.api.webhooks() == [old]


def test_a_webhook_that_is_gone_already_is_no_error() -> None:
    world = World()
    made = world.api.create_webhook("order.updated", RELAY, "whsec")

    world.api.remove_webhook(made)
    world.api.remove_webhook(made)

    assert world.api.webhooks() == []


def test_a_shop_that_is_gone_is_an_error_even_for_removing() -> None:
    world = World()
    world.session.answers = [Html(404, "<html>")] * 2

    with pytest.raises(PlatformAccessError):
        world.api.remove_webhook(Webhook(id="1", topic="order.updated", address=RELAY))


def test_a_key_that_may_not_write_is_told_when_it_should() -> None:
    world = World(permissions="read")

    with pytest.raises(PlatformAccessError, match=r"write permissions.*Read/Write"):
        world.api.create_webhook("order.updated", RELAY, "whsec")


# Patience


def test_a_throttled_shop_is_asked_when_it_says() -> None:
    world = World(throttle=3)
    world.fill(NOON + n * 3 * SECOND for n in range(1000))

    assert world.ids() == list(range(1, 1001))
    assert world.system.throttled <= world.system.calls / 3
    assert sum(world.clock.waits) <= 60 * (world.system.calls - world.system.throttled) / 3
    assert all(seconds == 60.0 for seconds in world.clock.waits)


def test_every_call_of_the_api_names_the_third_version() -> None:
    world = World()
    for step in everything(world.api):
        step()

    assert all(call.path.startswith("/wp-json/wc/v3/") for call in world.session.calls)


def test_a_call_is_what_the_simulation_takes() -> None:
    """The way to the simulation keeps what was asked apart from where."""
    world = World(LOOPBACK)
    world.pages()

    (call,) = world.session.calls
    assert isinstance(call, Call)
    assert call.origin == LOOPBACK
