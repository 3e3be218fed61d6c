"""Whether a page of the shop has the snippet that keeps the click id until the order."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urljoin, urlsplit

from prisjakt_relay.local.built_snippet import parts
from prisjakt_relay.operations.finding import Finding
from prisjakt_relay.operations.web import LOOPBACK, Reply, Silence, ask

NAME: Final = "snippet"
REDIRECTS: Final = 5
SECONDS: Final = 10.0
LIMIT: Final = 2 * 1024 * 1024

_PLUGIN: Final = re.compile(r"/plugins/prisjakt-relay/assets/capture[.-]")
_FILE: Final = re.compile(r"capture-\d+\.\d+\.\d+(?:\.min)?\.js")
_INLINE: Final = re.compile(r"""["'`]pjclid:["'`]""")
_CART: Final = re.compile(r"shopify-\d+\.\d+\.\d+(?:\.min)?\.js|pjclid:captured")
_GUARDED: Final = frozenset({401, 403, 429, 503})


def look(address: str, platform: str, snippet: str) -> Finding:
    """Get the page, as a visitor without scripts would, and look for the script's marks."""
    seen: list[str] = []
    while len(seen) <= REDIRECTS:
        if not _is_safe(address):
            return Finding(
                NAME,
                None,
                f"not looked at: {_short(address)} is no https address",
                "name another page with --page",
            )
        seen.append(address)
        reply = ask("GET", address, headers={"accept": "text/html"}, seconds=SECONDS, limit=LIMIT)
        if isinstance(reply, Silence):
            return Finding(NAME, None, f"not looked at: {reply.found}", reply.remedy)
        target = reply.headers.get("location")
        if not 300 <= reply.status < 400 or target is None:
            return _judged(reply, address, platform, snippet)
        address = _joined(address, target)
    return Finding(
        NAME,
        None,
        f"not looked at: {_short(seen[0])} redirects more than {REDIRECTS} times",
        "name another page with --page",
    )


def _joined(address: str, target: str) -> str:
    try:
        return urljoin(address, target)
    except ValueError:
        return target


def _is_safe(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def _judged(reply: Reply, address: str, platform: str, snippet: str) -> Finding:
    where = _short(address)
    if urlsplit(address).path.rstrip("/").endswith("/password"):
        return Finding(
            NAME,
            None,
            f"{where} asks for the store's password",
            "look again when the store is open, or paste the page's address after --page",
        )
    if reply.status in _GUARDED:
        return Finding(
            NAME,
            None,
            f"{where} is not shown to programs ({reply.status})",
            "open it in a browser and look for prisjakt-relay or capture- in its source",
        )
    if not 200 <= reply.status < 300:
        return Finding(
            NAME, None, f"{where} answered {reply.status}", "name another page with --page"
        )
    return _searched(reply.body.decode("utf-8", "replace"), where, platform, snippet)


def _searched(text: str, where: str, platform: str, snippet: str) -> Finding:
    if _PLUGIN.search(text):
        return Finding(NAME, True, f"the plug-in's script is on {where}")
    found = _FILE.search(text)
    if found is None and not _INLINE.search(text):
        return Finding(
            NAME,
            False,
            f"not on {where}",
            f"put in what `{snippet}` prints; if something loads it later "
            "(a tag manager), open the page with /?pjclid= and a UUID and look for that cookie",
        )
    if "shopify" in parts(platform) and not _CART.search(text):
        return Finding(
            NAME,
            False,
            f"on {where}, but without the part that writes the click id to the cart",
            f"put in what `{snippet}` prints, all of it",
        )
    way = found.group() if found else "inline"
    return Finding(NAME, True, f"on {where} ({way})")


def _short(address: str) -> str:
    """Without a query, which may hold anything."""
    return address.partition("?")[0].partition("#")[0][:100]
