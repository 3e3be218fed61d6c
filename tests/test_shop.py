"""The shop document: every field, and the cache that stands between it and Secrets Manager."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from prisjakt_relay import aws
from prisjakt_relay.aws import ATTEMPT
from prisjakt_relay.errors import (
    AwsError,
    ShopDocumentError,
    StorageError,
    UnavailableError,
    UnknownShopError,
)
from prisjakt_relay.platforms import EXCLUDED_SOURCES, shop_from
from prisjakt_relay.shop import (
    SHOP_NAME,
    Auth,
    Shop,
    Shops,
    parse,
    secrets_reader,
    unknown_fields,
)

PIXEL = "36746cdf-cf62-4dff-bc5b-fb2df41ecb4d"
SECRET = "shpss-9f2a"
CLIENT_SECRET = "client-7c1e"
CREDENTIALS = {"prisjakt_client_id": "client", "prisjakt_client_secret": CLIENT_SECRET}


def document(**changes: Any) -> dict[str, Any]:
    """The shortest document, with changes."""
    return {"platform": "shopify", "pixel_id": PIXEL, "signing_secrets": [SECRET], **changes}


# Fields


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("mode", "live"),
        ("domain", None),
        ("prisjakt_client_id", None),
        ("prisjakt_client_secret", None),
        ("prisjakt_auth", "oauth"),
        ("report_when", "secured"),
        ("amount", "total"),
        ("currency", "shop"),
        ("order_reference", "{id}"),
        ("corrections", True),
        ("landing_page_fallback", False),
        ("excluded_sources", ("pos", "subscription_contract*")),
    ],
)
def test_a_field_that_is_left_out_has_its_default(name: str, default: object) -> None:
    """JSON's null counts as left out."""
    assert getattr(shop_from(document()), name) == default
    assert shop_from(document(**{name: None})) == shop_from(document())


def test_a_shop_made_in_code_has_the_defaults_of_a_document() -> None:
    made = Shop(platform="shopify", pixel_id=PIXEL, signing_secrets=(SECRET,))

    assert made == replace(shop_from(document()), excluded_sources=())


def test_the_sources_left_out_by_default_depend_on_the_platform() -> None:
    assert shop_from(document(platform="woocommerce")).excluded_sources == ("subscription",)


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("platform", "shopify", "shopify"),
        ("platform", "woocommerce", "woocommerce"),
        ("platform", " shopify\n", "shopify"),
        ("pixel_id", PIXEL.upper(), PIXEL.upper()),
        ("pixel_id", f" {PIXEL}\n", PIXEL),
        ("signing_secrets", ["one"], ("one",)),
        ("signing_secrets", ["new", "old"], ("new", "old")),
        ("signing_secrets", ["pasted\n"], ("pasted",)),
        ("mode", "live", "live"),
        ("mode", "test", "test"),
        ("mode", "off", "off"),
        ("domain", "demo.myshopify.com", "demo.myshopify.com"),
        ("domain", "Shop.Example", "shop.example"),
        ("domain", "localhost", "localhost"),
        ("domain", "xn--blbr-roah.example", "xn--blbr-roah.example"),
        ("prisjakt_auth", "oauth", "oauth"),
        ("report_when", "placed", "placed"),
        ("report_when", "secured", "secured"),
        ("report_when", "paid", "paid"),
        ("amount", "total", "total"),
        ("amount", "total_excl_tax", "total_excl_tax"),
        ("amount", "goods", "goods"),
        ("amount", "goods_excl_tax", "goods_excl_tax"),
        ("currency", "shop", "shop"),
        ("currency", "presentment", "presentment"),
        ("order_reference", "{id}", "{id}"),
        ("order_reference", "{number}", "{number}"),
        ("order_reference", "{name}", "{name}"),
        ("order_reference", "SE-{number}/{id}", "SE-{number}/{id}"),
        ("order_reference", "{{{id}}}", "{{{id}}}"),
        ("corrections", False, False),
        ("corrections", True, True),
        ("landing_page_fallback", True, True),
        ("landing_page_fallback", False, False),
        ("excluded_sources", [], ()),
        ("excluded_sources", ["pos", "draft*"], ("pos", "draft*")),
    ],
)
def test_a_field_takes_what_is_documented(name: str, given: object, kept: object) -> None:
    assert getattr(shop_from(document(**{name: given})), name) == kept


def test_credentials_come_in_pairs() -> None:
    shop = shop_from(document(**CREDENTIALS, prisjakt_auth="headers"))

    assert (shop.prisjakt_client_id, shop.prisjakt_client_secret) == ("client", CLIENT_SECRET)
    assert shop.prisjakt_auth is Auth.HEADERS


def test_requests_are_counted_by_client_or_else_by_pixel() -> None:
    assert shop_from(document(**CREDENTIALS)).client == "client"
    assert shop_from(document()).client == PIXEL


NO_TEXTS: list[object] = ["", " \n", 7, 1.5, True, [], {}, ["x"], "half \ud83d"]
NO_CHOICES: list[object] = [*NO_TEXTS, "Live", "live ", "nothing"]
NO_FLAGS: list[object] = [0, 1, "true", "", [], {}]
NO_LISTS: list[object] = ["pos", "", 7, True, {}, [7], [None], [["pos"]], [""], ["pos", " "]]

BAD_VALUES: list[tuple[str, object]] = [
    ("platform", None),
    *(("platform", value) for value in [*NO_TEXTS, "magento", "Shopify"]),
    ("pixel_id", None),
    *(("pixel_id", value) for value in [*NO_TEXTS, "pixel", PIXEL[:-1], PIXEL.replace("-", "")]),
    ("signing_secrets", None),
    *(("signing_secrets", value) for value in [*NO_LISTS, [], [SECRET, ""], ["half \ud83d"]]),
    *(
        (name, value)
        for name in ("mode", "prisjakt_auth", "report_when", "amount", "currency")
        for value in NO_CHOICES
    ),
    *(("domain", value) for value in NO_TEXTS),
    ("domain", "https://shop.example"),
    ("domain", "shop.example/path"),
    ("domain", "shop.example:443"),
    ("domain", "user@shop.example"),
    ("domain", "two words.example"),
    ("domain", "-shop.example"),
    ("domain", "shop..example"),
    ("domain", ".example"),
    ("domain", "a" * 64 + ".example"),
    *(("prisjakt_client_id", value) for value in NO_TEXTS),
    *(("prisjakt_client_secret", value) for value in NO_TEXTS),
    ("prisjakt_auth", "headers"),  # without credentials
    *(("order_reference", value) for value in NO_TEXTS),
    ("order_reference", "order"),
    ("order_reference", "{}"),
    ("order_reference", "{0}"),
    ("order_reference", "{email}"),
    ("order_reference", "{id}-{email}"),
    ("order_reference", "{id.__class__}"),
    ("order_reference", "{id[0]}"),
    ("order_reference", "{id!r}"),
    ("order_reference", "{id:>100}"),
    ("order_reference", "{id"),
    ("order_reference", "id}"),
    ("order_reference", "{{id}}"),
    *((name, value) for name in ("corrections", "landing_page_fallback") for value in NO_FLAGS),
    *(("excluded_sources", value) for value in NO_LISTS),
]


@pytest.mark.parametrize(("name", "value"), BAD_VALUES)
def test_a_bad_value_is_refused_with_the_field_and_a_remedy(name: str, value: object) -> None:
    with pytest.raises(ShopDocumentError) as refused:
        shop_from(document(**{name: value}))

    assert refused.value.field == name
    problem, _, remedy = str(refused.value).partition("; ")
    assert problem.startswith(f"{name}: ")
    assert remedy.strip()


@pytest.mark.parametrize("name", ["platform", "pixel_id", "signing_secrets"])
@pytest.mark.parametrize("how", ["absent", "null"])
def test_a_required_field_that_is_left_out_is_missing(name: str, how: str) -> None:
    short = document(**{name: None})
    if how == "absent":
        del short[name]

    with pytest.raises(ShopDocumentError, match=f"^{name}: is missing; "):
        shop_from(short)


def test_every_field_has_its_bad_values() -> None:
    assert {name for name, _ in BAD_VALUES} == {known.name for known in fields(Shop)}


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("prisjakt_client_id", "prisjakt_client_secret"),
        ("prisjakt_client_secret", "prisjakt_client_id"),
    ],
)
def test_half_a_pair_of_credentials_is_refused(given: str, missing: str) -> None:
    with pytest.raises(ShopDocumentError, match=r"; give both credentials or neither$") as refused:
        shop_from(document(**{given: CREDENTIALS[given]}))

    assert refused.value.field == missing


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"text"',
        "7",
        "'{}'",
        "[" * 100_000,
        "9" * 5_000,
    ],
)
def test_a_secret_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ShopDocumentError, match=r"^document: .*; write one JSON object$"):
        shop_from(parse(text))


def test_a_secret_is_one_json_object() -> None:
    assert parse(' {"platform": "shopify"}\n') == {"platform": "shopify"}


def test_unknown_fields_are_named_and_do_no_harm() -> None:
    """Deployed functions go on without them: a newer tool may have written them."""
    extended = document(colour="red", Mode="off")

    assert shop_from(extended) == shop_from(document())
    assert unknown_fields(extended) == ["Mode", "colour"]
    assert unknown_fields(document(**CREDENTIALS)) == []


def test_secrets_are_not_shown_with_the_shop() -> None:
    shop = shop_from(document(**CREDENTIALS))

    for shown in (repr(shop), str(shop), f"{shop}", repr([shop]), repr({"shop": shop})):
        assert SECRET not in shown
        assert CLIENT_SECRET not in shown
        assert PIXEL in shown


MARKER = "do not show this"


@pytest.mark.parametrize("name", [known.name for known in fields(Shop)])
@pytest.mark.parametrize("value", [MARKER, [MARKER, 7], {"x": MARKER}], ids=["text", "list", "map"])
def test_errors_name_fields_and_never_values(name: str, value: object) -> None:
    """A secret may have been pasted into the wrong field."""
    with pytest.raises(ShopDocumentError) as refused:
        shop_from(document(**{name: value}))

    assert MARKER not in _shown(refused.value)
    assert SECRET not in _shown(refused.value)


def test_the_error_of_a_document_cut_short_does_not_quote_it() -> None:
    with pytest.raises(ShopDocumentError) as refused:
        parse(json.dumps(document(**CREDENTIALS))[:-1])

    assert SECRET not in _shown(refused.value)
    assert CLIENT_SECRET not in _shown(refused.value)


def _shown(error: BaseException) -> str:
    return repr(error) + str(error) + "".join(traceback.format_exception(error))


@pytest.mark.parametrize("name", ["a", "demo-shop-2", "0", "-", "x" * 64])
def test_a_shop_s_name_is_made_of_small_letters_digits_and_hyphens(name: str) -> None:
    assert SHOP_NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["", "Demo", "x" * 65, "a_b", "a/b", "a.b", "å", "a\n", "a b"])
def test_nothing_else_is_a_shop_s_name(name: str) -> None:
    assert not SHOP_NAME.fullmatch(name)


# The cache


@dataclass
class Secrets:
    """Secrets Manager: a text for each shop, until it is down."""

    texts: dict[str, str]
    reads: list[str] = field(default_factory=list)
    deadlines: list[datetime] = field(default_factory=list)
    down: bool = False

    def read(self, name: str, deadline: datetime) -> str:
        self.reads.append(name)
        self.deadlines.append(deadline)
        if self.down:
            raise StorageError("GetSecretValue: ReadTimeoutError")
        if name not in self.texts:
            raise UnknownShopError
        return self.texts[name]


@dataclass
class Cache:
    """Shops, with a hand on everything around them."""

    now: datetime
    scale: float = 1.0
    secrets: Secrets = field(default_factory=lambda: Secrets({"demo": json.dumps(document())}))
    alarms: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shops = Shops(
            self.secrets.read,
            clock=lambda: self.now,
            alarm=self._alarm,
            scale=self.scale,
            platforms=EXCLUDED_SOURCES,
        )

    def _alarm(self, trouble: str, shop: str, **details: Any) -> None:
        self.alarms.append((trouble, shop, details))

    def get(self, name: str = "demo", after: float = 0) -> Shop:
        self.now += timedelta(seconds=after)
        return self.shops.get(name, self.now + timedelta(seconds=3))

    def fresh(self, name: str = "demo", after: float = 0) -> Shop | None:
        self.now += timedelta(seconds=after)
        return self.shops.fresh(name, self.now, self.now + timedelta(seconds=3))

    def put(self, name: str = "demo", **changes: Any) -> Shop:
        self.secrets.texts[name] = json.dumps(document(**changes))
        return shop_from(document(**changes))

    def spoil(self, how: str) -> None:
        """Make the next reads fail: Secrets Manager is away, or the document is unusable."""
        if how == "down":
            self.secrets.down = True
        else:
            self.secrets.texts["demo"] = how

    def mend(self) -> None:
        self.secrets.down = False
        self.secrets.texts["demo"] = json.dumps(document(mode="test"))

    def unknown(self, name: str, after: float = 0) -> bool:
        try:
            self.get(name, after)
        except UnknownShopError:
            return True
        return False


@pytest.fixture
def cache(now: datetime) -> Cache:
    return Cache(now)


TROUBLES = pytest.mark.parametrize(
    "trouble", ["down", "", "{", '{"platform": "magento"}'], ids=["down", "empty", "cut", "wrong"]
)
MINUTE, HOUR = 60, 3600
FRESH, STALE, RETRY, FORCED, UNKNOWN = 5 * MINUTE, 24 * HOUR, 10, 30, 60


def test_a_document_is_kept_for_five_minutes(cache: Cache) -> None:
    first = cache.get()
    changed = cache.put(mode="off")

    assert cache.get(after=FRESH - 1) == first
    assert cache.secrets.reads == ["demo"]
    assert cache.get(after=1) == changed
    assert cache.get(after=FRESH - 1) == changed
    assert cache.secrets.reads == ["demo", "demo"]
    assert cache.alarms == []


def test_reads_end_before_the_deadline_of_the_request(cache: Cache) -> None:
    cache.get()
    cache.get(after=FRESH)
    cache.fresh(after=1)

    seconds = [
        (deadline - cache.secrets.deadlines[0]).seconds for deadline in cache.secrets.deadlines
    ]
    assert seconds == [0, FRESH, FRESH + 1]


def test_each_shop_has_its_own_document(cache: Cache) -> None:
    other = cache.put("other", mode="test")

    assert cache.get("demo") == shop_from(document())
    assert cache.get("other") == other


@TROUBLES
def test_the_old_document_serves_for_a_day_while_no_new_one_can_be_had(
    trouble: str, cache: Cache
) -> None:
    shop = cache.get()
    cache.spoil(trouble)

    assert cache.get(after=FRESH) == shop
    assert cache.get(after=STALE - FRESH - 1) == shop
    assert [(alarm, name) for alarm, name, _ in cache.alarms] == [
        ("shop_document_stale", "demo")
    ] * 2
    with pytest.raises(UnavailableError):
        cache.get(after=1)
    assert cache.alarms[-1][:2] == ("shop_document_unusable", "demo")


def test_the_alarm_tells_the_problem_without_the_document(cache: Cache) -> None:
    cache.get()
    cache.spoil(json.dumps(document(mode=MARKER, signing_secrets=[MARKER])))
    cache.get(after=FRESH)

    ((_, _, details),) = cache.alarms
    assert details["problem"].startswith("mode: is unknown; ")
    assert MARKER not in repr(details)


@TROUBLES
def test_while_the_document_is_old_it_is_asked_for_every_ten_seconds(
    trouble: str, cache: Cache
) -> None:
    cache.get()
    cache.spoil(trouble)
    cache.get(after=FRESH)
    reads, alarms = len(cache.secrets.reads), len(cache.alarms)

    cache.get()
    cache.get(after=RETRY - 1)
    assert (len(cache.secrets.reads), len(cache.alarms)) == (reads, alarms)
    cache.get(after=1)
    assert (len(cache.secrets.reads), len(cache.alarms)) == (reads + 1, alarms + 1)
    cache.mend()
    assert cache.get(after=RETRY - 1).mode == "live"
    assert cache.get(after=1).mode == "test"


def test_after_a_day_it_is_still_asked_for_every_ten_seconds(cache: Cache) -> None:
    """Refusals in between cost no read, and the first read that works ends them."""
    cache.get()
    cache.spoil("down")
    with pytest.raises(UnavailableError):
        cache.get(after=STALE)
    reads = len(cache.secrets.reads)
    with pytest.raises(UnavailableError):
        cache.get(after=RETRY - 1)
    assert len(cache.secrets.reads) == reads

    cache.mend()
    assert cache.get(after=1).mode == "test"


def test_a_mended_document_is_fresh_again(cache: Cache) -> None:
    cache.get()
    cache.spoil("down")
    cache.get(after=FRESH)
    cache.mend()
    cache.get(after=RETRY)
    reads, alarms = len(cache.secrets.reads), len(cache.alarms)

    cache.get(after=FRESH - 1)
    assert (len(cache.secrets.reads), len(cache.alarms)) == (reads, alarms)


@TROUBLES
def test_without_any_document_a_shop_is_unavailable(trouble: str, cache: Cache) -> None:
    """Not unknown: the shop system must send again."""
    cache.spoil(trouble)
    with pytest.raises(UnavailableError):
        cache.get()
    ((alarm, name, details),) = cache.alarms
    assert (alarm, name) == ("shop_document_unusable", "demo")
    assert details["problem"]

    cache.mend()
    assert cache.get().mode == "test"


def test_unknown_fields_raise_an_alarm_whenever_they_are_read(cache: Cache) -> None:
    cache.put(colour=MARKER, size="L")

    assert cache.get() == shop_from(document())
    assert cache.alarms == [
        ("shop_document_unknown_fields", "demo", {"fields": ["colour", "size"]})
    ]
    cache.get(after=FRESH - 1)
    assert len(cache.alarms) == 1
    cache.get(after=1)
    assert len(cache.alarms) == 2


# After a failed signature


def test_a_rotated_secret_works_at_once(cache: Cache) -> None:
    cache.get()
    rotated = cache.put(signing_secrets=["new"])

    assert cache.fresh(after=1) == rotated
    assert cache.get() == rotated
    assert cache.secrets.reads == ["demo", "demo"]


def test_an_unchanged_document_is_no_reason_to_check_again(cache: Cache) -> None:
    cache.get()

    assert cache.fresh(after=1) is None
    assert cache.secrets.reads == ["demo", "demo"]


def test_a_forced_read_renews_the_document(cache: Cache) -> None:
    cache.get()
    cache.fresh(after=FRESH - 1)

    cache.get(after=FRESH - 1)
    assert cache.secrets.reads == ["demo", "demo"]


def test_a_shop_s_document_is_forced_once_in_30_seconds(cache: Cache) -> None:
    """Forgeries cost nothing more than that."""
    cache.get()
    cache.fresh(after=1)
    rotated = cache.put(signing_secrets=["new"])

    assert cache.fresh(after=1) is None
    assert cache.fresh(after=FORCED - 2) is None
    assert len(cache.secrets.reads) == 2
    assert cache.fresh(after=1) == rotated


def test_forgeries_for_one_shop_do_not_hold_up_another(cache: Cache) -> None:
    cache.put("other")
    cache.get()
    cache.get("other")
    cache.fresh(after=1)
    rotated = cache.put("other", signing_secrets=["new"])

    assert cache.fresh("other") == rotated


def test_a_document_read_for_this_very_request_is_not_read_again(cache: Cache) -> None:
    arrived = cache.now
    cache.get(after=0.2)

    assert cache.shops.fresh("demo", arrived, arrived + timedelta(seconds=3)) is None
    assert cache.secrets.reads == ["demo"]


def test_nothing_is_forced_for_a_shop_that_is_not_known(cache: Cache) -> None:
    assert cache.fresh("stranger") is None
    assert cache.secrets.reads == []


@TROUBLES
def test_a_forced_read_that_fails_leaves_the_document_as_it_is(trouble: str, cache: Cache) -> None:
    shop = cache.get()
    cache.spoil(trouble)

    assert cache.fresh(after=1) is None
    assert cache.alarms[-1][0] == "shop_document_stale"
    assert cache.get(after=1) == shop


def test_a_forced_read_finds_a_shop_that_is_gone(cache: Cache) -> None:
    cache.get()
    del cache.secrets.texts["demo"]

    with pytest.raises(UnknownShopError):
        cache.fresh(after=1)
    with pytest.raises(UnknownShopError):
        cache.get()


# Unknown shops


def test_an_unknown_name_is_remembered_for_a_minute(cache: Cache) -> None:
    assert cache.unknown("stranger")
    assert cache.unknown("stranger", after=UNKNOWN - 1)
    assert cache.secrets.reads == ["stranger"]
    assert cache.unknown("stranger", after=1)
    assert cache.secrets.reads == ["stranger", "stranger"]
    assert cache.alarms == []


def test_a_shop_that_is_set_up_after_its_first_delivery_is_found(cache: Cache) -> None:
    assert cache.unknown("new")
    shop = cache.put("new")

    assert cache.get("new", after=UNKNOWN) == shop
    assert cache.get("new") == shop
    assert cache.secrets.reads == ["new", "new"]


def test_unknown_names_cost_one_read_a_second_all_together(cache: Cache) -> None:
    """A minute of a hundred invented names a second: ten at once, and then one a second."""
    for number in range(6_000):
        assert cache.unknown(f"stranger-{number}", after=0.01)

    assert len(cache.secrets.reads) == Shops.UNKNOWN_READS_AT_ONCE + 59


def test_a_stray_scanner_does_not_stand_in_the_way_of_a_shops_first_delivery(cache: Cache) -> None:
    for number in range(Shops.UNKNOWN_READS_AT_ONCE - 1):
        assert cache.unknown(f"stranger-{number}")

    assert cache.get() == shop_from(document())


def test_the_memory_for_unknown_names_is_bounded(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit is forgotten, the oldest first, and read again."""
    assert Shops.UNKNOWN_NAMES == 1_000
    monkeypatch.setattr(Shops, "UNKNOWN_NAMES", 3)
    for name in ("first", "second", "third", "fourth"):
        assert cache.unknown(name, after=1)
    cache.now += timedelta(seconds=1)

    assert all(cache.unknown(name) for name in ("second", "third", "fourth"))
    assert len(cache.secrets.reads) == 4
    assert cache.unknown("first")
    assert cache.secrets.reads[4:] == ["first"]


def test_of_many_shops_those_that_were_asked_for_last_are_kept(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the number of shops, a process that lives for days does not grow with them."""
    monkeypatch.setattr(Shops, "KNOWN_NAMES", 3)
    names = ["one", "two", "three", "four"]
    for name in names:
        cache.put(name)
    for name in ("one", "two", "three", "one", "four"):  # "two" was not asked for in the longest
        cache.get(name)
    cache.secrets.reads.clear()

    for name in ("one", "three", "four"):
        cache.get(name)
    assert cache.secrets.reads == []
    cache.get("two")
    assert cache.secrets.reads == ["two"]


def test_an_unknown_name_that_is_read_again_counts_as_new(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shops, "UNKNOWN_NAMES", 2)
    cache.unknown("first")
    cache.unknown("second", after=UNKNOWN - 1)
    cache.unknown("first", after=1)
    cache.unknown("third", after=1)
    reads = len(cache.secrets.reads)

    assert cache.unknown("first", after=1)
    assert len(cache.secrets.reads) == reads
    assert cache.unknown("second")
    assert len(cache.secrets.reads) == reads + 1


def test_a_flood_of_unknown_names_refuses_no_known_shop(cache: Cache) -> None:
    """Neither while its document is fresh, nor when it is due, nor when it is rotated."""
    shop = cache.get()
    for number in range(1_200):
        assert cache.unknown(f"stranger-{number}", after=0.5)
        assert cache.get() == shop
    assert cache.unknown("last-stranger", after=1)
    rotated = cache.put(signing_secrets=["new"])

    assert cache.fresh(after=0.001) == rotated
    assert cache.secrets.reads.count("demo") == 4
    assert cache.alarms == []


def test_a_shop_whose_secret_is_deleted_becomes_unknown(cache: Cache) -> None:
    """With the next read, and without an alarm: somebody meant it."""
    cache.get()
    del cache.secrets.texts["demo"]

    assert not cache.unknown("demo", after=FRESH - 1)
    assert cache.unknown("demo", after=1)
    assert cache.unknown("demo", after=UNKNOWN - 1)
    assert cache.secrets.reads == ["demo", "demo"]
    assert cache.alarms == []


def test_a_deleted_shop_does_not_hold_up_the_first_delivery_of_another(cache: Cache) -> None:
    cache.get()
    del cache.secrets.texts["demo"]
    other = cache.put("other")
    assert cache.unknown("demo", after=FRESH)

    assert cache.get("other") == other


def test_the_local_system_s_windows_are_shorter(now: datetime) -> None:
    cache = Cache(now, scale=0.01)
    cache.get()
    cache.get(after=FRESH / 100 - 0.1)
    assert len(cache.secrets.reads) == 1
    cache.get(after=0.1)
    assert len(cache.secrets.reads) == 2

    cache.fresh(after=0.01)
    cache.fresh(after=FORCED / 100 - 0.01)
    assert len(cache.secrets.reads) == 3
    cache.fresh(after=0.01)
    assert len(cache.secrets.reads) == 4

    cache.spoil("down")
    cache.get(after=FRESH / 100)
    cache.get(after=RETRY / 100 - 0.01)
    assert len(cache.secrets.reads) == 5
    cache.get(after=0.01)
    assert len(cache.secrets.reads) == 6


def test_the_local_system_forgets_unknown_names_sooner(now: datetime) -> None:
    cache = Cache(now, scale=0.01)
    assert cache.unknown("one")
    assert cache.unknown("one", after=UNKNOWN / 100 - 0.001)
    assert cache.secrets.reads == ["one"]
    assert cache.unknown("one", after=0.001)
    assert cache.secrets.reads == ["one", "one"]
    for number in range(100):
        cache.unknown(f"stranger-{number}", after=0.01)
    assert len(cache.secrets.reads) == 102


# Secrets Manager


@dataclass
class SecretsManager(aws.Service):
    """Gives the answers in turn, the last one for ever; each call takes its time."""

    answers: list[dict[str, Any] | StorageError]
    clock: Callable[[float], None]
    seconds: float = 0.0
    calls: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append((operation, parameters))
        self.clock(self.seconds)
        answer = self.answers[min(len(self.calls), len(self.answers)) - 1]
        if isinstance(answer, StorageError):
            raise answer
        return answer


class Clock:
    """Moves when somebody sleeps or works."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


def read(service: SecretsManager, clock: Clock, seconds: float = 3.6) -> str:
    reader = secrets_reader(service, "relay/shops/", clock=clock, sleep=clock.sleep)
    return reader("demo", clock() + timedelta(seconds=seconds))


def test_a_document_is_the_secret_under_the_stack_s_prefix(clock: Clock) -> None:
    service = SecretsManager([{"Name": "relay/shops/demo", "SecretString": "{}"}], clock.sleep)

    assert read(service, clock) == "{}"
    assert service.calls == [("GetSecretValue", {"SecretId": "relay/shops/demo"})]


def test_a_binary_secret_is_an_unusable_document(clock: Clock) -> None:
    text = read(SecretsManager([{"SecretBinary": "e30="}], clock.sleep), clock)

    with pytest.raises(ShopDocumentError, match=r"^document: "):
        parse(text)


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "InvalidRequestException"])
def test_a_secret_that_is_gone_or_going_is_an_unknown_shop(code: str, clock: Clock) -> None:
    service = SecretsManager([AwsError("GetSecretValue", code)], clock.sleep)

    with pytest.raises(UnknownShopError):
        read(service, clock)
    assert len(service.calls) == 1


@pytest.mark.parametrize(
    "error",
    [
        AwsError("GetSecretValue", "ThrottlingException"),
        AwsError("GetSecretValue", "AccessDeniedException"),
        AwsError("GetSecretValue", "DecryptionFailure"),
        AwsError("GetSecretValue", "500"),
        StorageError("GetSecretValue: ReadTimeoutError"),
    ],
    ids=str,
)
def test_anything_else_is_tried_again_up_to_the_deadline(error: StorageError, clock: Clock) -> None:
    began = clock()
    service = SecretsManager([error], clock.sleep)

    with pytest.raises(StorageError) as raised:
        read(service, clock)

    assert raised.value is error
    assert len(service.calls) > 3
    assert clock() - began <= timedelta(seconds=3.6) - ATTEMPT


def test_a_secret_that_comes_late_is_taken(clock: Clock) -> None:
    throttled = AwsError("GetSecretValue", "ThrottlingException")
    service = SecretsManager([throttled, throttled, {"SecretString": "{}"}], clock.sleep)

    assert read(service, clock) == "{}"
    assert len(service.calls) == 3
