"""Hostile inputs, made from real deliveries: one random generator in, one input out."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

CANARY: Final = "cAnArY"  # in every text that is put in: whoever repeats it gives a body away
_RAW: Final = re.compile(r'"<raw (\d+)>"')
_KEY: Final = "<key>"  # of a field that is to be there twice

UUID: Final = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
CLICK_ID: Final = f"{UUID}_Ab3dEf6hIj9kLm2n"

# What no JSON encoder writes: put into the text in the place of a marker.
RAW: Final = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999999999",
    "-1e999999999",
    "1e-999999999",
    "9" * 5_000,
    "0." + "1" * 5_000,
    "-0",
    "-0.0",
    "1E+2",
    "01",
    ".5",
    "0x10",
    "'single'",
    "undefined",
    "[" * 100_000,
    "[" * 2_000 + "]" * 2_000,
    '{"a":' * 2_000 + "1" + "}" * 2_000,
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\u0000"',
    '"\\x"',
    '"\t"',
)

TEXTS: Final = (
    "",
    " ",
    CANARY,
    f"{CANARY}\x00",
    f"{CANARY}\x1b[2J\x1b]0;{CANARY}\x07",
    f'{CANARY}\n{{"message":"reported"}}',
    f"{CANARY}\r\nSet-Cookie: a=b",
    f"{CANARY}\ud800",
    f"\u202e{CANARY}\u2066",
    f"{CANARY}\u2028",
    f"<script>{CANARY}</script>",
    f"{{id}}{{name}}{CANARY}",
    "{0.__class__}{name.__init__.__globals__}",
    "%s%n%(x)s",
    "=1+1",
    "../../" + CANARY,
    CANARY * 50,
    CANARY * 2_000,
    "\u0661\u0662\u0663",  # digits, but not ASCII's
    "\uff11\uff12",
    "1_000",
    "1e5",
    "+1",
    "1,5",
    "0x10",
    "NaN",
    "-0",
    "0",
    "-1.00",
    "999999999.00",
    "1000000000",
    "9" * 40,
    "9" * 41,
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-11-20T10:00:00",
    "2026-11-20T10:00:00.123456+00:00",
    "2026-W47-5",
    "2026-11-20",
    "20261120T100000Z",
    "SEK",
    "sek",
    "SE\u212a",  # the kelvin sign, which is a k in lower case
    "XXX",
    "paid",
    "refunded",
    "pjclid",
    UUID,
    CLICK_ID,
    CLICK_ID + "\n",
    CLICK_ID + "x",
    f"https://shop.example/?pjclid={CLICK_ID}",
    "https://[" + CANARY,
    "820982911946154508",
)

NUMBERS: Final = (0, 1, -1, 2**53, 2**63, 10**39, 10**40, -(10**40), 10**400, 1.5, -0.0, 1e300)

# Fields that the relay reads somewhere: hit more often than their share of an order.
READ: Final = (
    "id",
    "name",
    "number",
    "order_number",
    "currency",
    "presentment_currency",
    "created_at",
    "updated_at",
    "cancelled_at",
    "date_created_gmt",
    "date_modified_gmt",
    "date_paid_gmt",
    "financial_status",
    "status",
    "state",
    "test",
    "total",
    "total_tax",
    "total_price",
    "current_total_price",
    "total_price_set",
    "subtotal_price",
    "line_items",
    "items",
    "refunds",
    "note_attributes",
    "meta_data",
    "click_id",
    "landing_site",
    "source_name",
    "created_via",
    "code",
    "type",
)


def value(random: Random) -> Any:
    """A JSON value, a marker for what JSON cannot say among them."""
    kind = random.randrange(10)
    if kind < 5:
        return random.choice(TEXTS)
    if kind < 7:
        return random.choice(NUMBERS)
    if kind == 7:
        return f"<raw {random.randrange(len(RAW))}>"
    if kind == 8:
        return random.choice((None, True, False, [], {}, [None], [[]], [{}]))
    return {random.choice((*READ, CANARY)): random.choice(TEXTS) for _ in range(3)}


def _place(document: Any, random: Random) -> tuple[Any, Any] | None:
    """Some container in it, and a key or an index there."""
    here: Any = document
    while True:
        if isinstance(here, dict) and here:
            known = [key for key in READ if key in here] if random.random() < 0.5 else []
            key: Any = random.choice(known or list(here))
        elif isinstance(here, list) and here:
            key = random.randrange(len(here))
        else:
            return None
        inner = here[key]
        if isinstance(inner, dict | list) and inner and random.random() < 0.6:
            here = inner
            continue
        return here, key


def _change(document: Any, random: Random) -> None:
    found = _place(document, random)
    if found is None:
        return
    here, key = found
    kind = random.randrange(8)
    if kind == 0:
        del here[key]
    elif kind == 1 and isinstance(here, dict):
        here[_KEY + key] = value(random)  # there twice, and the second one counts
    elif kind == 2 and isinstance(here, list):
        here.extend(here[:20] * random.choice((1, 2, 5)))
    elif kind == 3 and isinstance(here, dict):
        here[random.choice((*READ, CANARY, "__proto__", ""))] = value(random)
    elif kind == 4:
        here[key] = [here[key]]
    elif kind == 5 and isinstance(here[key], str):
        here[key] += random.choice(TEXTS)
    else:
        here[key] = value(random)


def as_text(document: Any) -> str:
    """JSON with what JSON cannot say."""
    text = json.dumps(document, separators=(",", ":")).replace(f'"{_KEY}', '"')
    return _RAW.sub(lambda found: RAW[int(found[1])], text)


def _rewritten(body: bytes, random: Random) -> bytes:
    try:
        document = json.loads(body)
    except ValueError:
        return _spoilt(body, random)
    for _ in range(random.choice((1, 1, 2, 3, 6))):
        _change(document, random)
    text = as_text(document)
    encoding = random.choice(("utf-8",) * 12 + ("utf-16", "utf-8-sig", "utf-32-le"))
    return text.encode(encoding, "surrogatepass")


def flipped(data: bytes, random: Random, bits: int = 1) -> bytes:
    changed = bytearray(data)
    for _ in range(bits):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _spoilt(body: bytes, random: Random) -> bytes:
    kind = random.randrange(6)
    at = random.randrange(len(body) + 1)
    if kind == 0:
        return flipped(body, random, random.choice((1, 2, 8)))
    if kind == 1:
        return body[:at]
    if kind == 2:
        return body[:at] + random.randbytes(random.choice((1, 4, 64))) + body[at:]
    if kind == 3:
        return body[:at] + body[: random.randrange(200)] + body[at:]
    if kind == 4:
        return random.choice((b"\xef\xbb\xbf", b"\xff\xfe", b" ", b"\x00", b"\n")) + body
    return random.choice(RAW).encode()


def mutated(body: bytes, random: Random) -> bytes:
    """A body that differs: mostly still JSON, with something wrong in it."""
    return _rewritten(body, random) if random.random() < 0.85 else _spoilt(body, random)


def otherwise(data: bytes, random: Random) -> bytes:
    """Bytes that differ from these in any way, be it a space at the end."""
    while True:
        kind = random.randrange(5)
        at = random.randrange(len(data) + 1)
        if kind == 0:
            changed = data + random.choice((b" ", b"\n", b"\x00", b"="))
        elif kind == 1:
            changed = random.choice((b" ", b"\n", b"\xef\xbb\xbf")) + data
        elif kind == 2:
            changed = data[:at]
        elif kind == 3:
            changed = data[:at] + random.randbytes(1) + data[at:]
        else:
            changed = flipped(data, random)
        if changed != data:
            return changed


def header(text: str, random: Random) -> str:
    """A header's value with something wrong in it, as the HTTP API hands values on."""
    kinds: Sequence[Callable[[], str]] = (
        lambda: text[:-1],
        lambda: text + random.choice("=A ,\u00e9"),
        lambda: text.swapcase(),
        lambda: f"{text},{text}",
        lambda: flipped(text.encode(), random).decode("latin-1"),
        lambda: base64.urlsafe_b64encode(random.randbytes(32)).decode(),
        lambda: random.randbytes(32).hex(),
        lambda: random.choice(TEXTS),
        lambda: "",
    )
    return random.choice(kinds)()


def message(text: str, random: Random) -> str:
    """A queue message with something wrong in it."""
    if random.random() < 0.15:
        return _spoilt(text.encode(), random).decode("utf-8", "surrogateescape")
    document = json.loads(text)
    for _ in range(random.choice((1, 1, 2, 4))):
        _change(document, random)
    return as_text(document)
