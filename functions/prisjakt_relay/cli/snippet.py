"""`snippet`: what a shop puts into its pages so that the click id gets onto orders."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from enum import StrEnum
from typing import Annotated

import typer

from prisjakt_relay.cli.options import Json, Where, on_stack_if_needed
from prisjakt_relay.cli.output import hint, print_json
from prisjakt_relay.errors import SetupError
from prisjakt_relay.local import project
from prisjakt_relay.local.built_snippet import built, parts


class System(StrEnum):
    """What runs the shop; `other` is for everything that reads the cookie or the form field."""

    SHOPIFY = "shopify"
    WOOCOMMERCE = "woocommerce"
    OTHER = "other"


class Consent(StrEnum):
    """Who decides that the click id may be stored: the visitor, or the shop for everybody."""

    REQUIRED = "required"
    NONE = "none"


def add_commands(app: typer.Typer) -> None:
    app.command()(snippet)


@on_stack_if_needed
def snippet(
    where: Where,
    shop: Annotated[
        str,
        typer.Argument(
            metavar="SHOP",
            help="A shop's name, or what runs the shop, which needs no AWS: "
            f"{', '.join(System)} (anything else).",
        ),
    ] = System.OTHER,
    consent: Annotated[
        Consent, typer.Option(help="'none' stores the click id at once: the shop's own decision.")
    ] = Consent.REQUIRED,
    src: Annotated[
        str | None,
        typer.Option(
            help="Folder of the shop's own that has the files of snippet/dist; "
            "default: the script inline, which needs no request."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the tag that keeps the click id until the order.

    Example: prisjakt-relay snippet shopify > prisjakt-relay.liquid
    """
    system = _system(shop) or _system_of(shop, where)
    texts = scripts(system)
    tag = _tag(system, consent, src, texts)
    if as_json:
        files = {
            name: {"bytes": len(text.encode()), "integrity": integrity(text)}
            for name, text in texts.items()
        }
        print_json({"system": system, "consent": consent, "tag": tag, "files": files})
        return
    sys.stdout.write(f"{tag}\n")
    hint(_where_to_put(system))


def _system_of(name: str, where: Where) -> System:
    from prisjakt_relay.operations import shops

    try:
        return _system(shops.shop(where.stack(), name).platform) or System.OTHER
    except SetupError as error:
        raise SetupError(f"{name} is none of {', '.join(System)}, and as a shop: {error}") from None


def _system(name: str) -> System | None:
    return System(name) if name in set(System) else None


def _where_to_put(system: System) -> str:
    if system is System.SHOPIFY:
        return (
            "Theme code editor: add a snippet called prisjakt-relay, paste this into it, and put "
            "{% render 'prisjakt-relay' %} before </head> in layout/theme.liquid."
        )
    if system is System.WOOCOMMERCE:
        return (
            f"The plugin in {project.root() / 'snippet/woocommerce/prisjakt-relay'} does this and "
            "puts the id on the order. Without it, paste this into the head of every page, and see "
            "docs/snippet.md for the order."
        )
    return "Paste this into the head of every page, before what fills in forms."


def scripts(system: System) -> dict[str, str]:
    """File name to text, in the order in which a page needs them."""
    return dict(_text(part) for part in parts(system))


def integrity(text: str) -> str:
    """For the `integrity` attribute: https://www.w3.org/TR/sri/"""
    return "sha384-" + base64.b64encode(hashlib.sha384(text.encode()).digest()).decode()


def _text(part: str) -> tuple[str, str]:
    found = built(part)
    if len(found) != 1:
        raise SetupError(f"snippet/dist has not exactly one {part} script; run make snippet")
    return found[0].name, found[0].read_text("utf-8")


def _tag(system: System, consent: Consent, src: str | None, texts: dict[str, str]) -> str:
    attribute = f'data-consent="{consent}"'
    if src is not None:
        return "\n".join(_external(_folder(src), *part, attribute) for part in texts.items())
    if system is System.SHOPIFY:
        liquid = (project.root() / "snippet/shopify/prisjakt-relay.liquid").read_text("utf-8")
        return liquid.rstrip("\n").replace("default: 'required'", f"default: '{consent}'")
    return f"<script {attribute}>\n" + "\n".join(texts.values()) + "\n</script>"


def _external(folder: str, name: str, text: str, attribute: str) -> str:
    settings = f" {attribute}" if name.startswith("capture") else ""
    return (
        f'<script defer src="{folder}{name}" integrity="{integrity(text)}" '
        f'crossorigin="anonymous"{settings}></script>'
    )


def _folder(src: str) -> str:
    """The folder's address with a slash at its end; only what needs no escaping in HTML."""
    if not re.fullmatch(r"https://[\w.:-]+(?:/[\w./~%@+-]*)?|/(?!/)[\w./~%@+-]*", src):
        raise SetupError(f"--src {src}: give the https address of a folder, or a path from /")
    return src.rstrip("/") + "/"
