"""The fields of a shop document as options and as questions."""

from __future__ import annotations

import functools
import getpass
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from prisjakt_relay.cli import output
from prisjakt_relay.cli.options import signature_of
from prisjakt_relay.errors import SetupError

_FROM_INPUT: Final = "-"
_SWITCH: Final = {"on": True, "off": False}


@dataclass(frozen=True)
class Option:
    """How a field is given on the command line."""

    flag: str
    metavar: str
    help: str
    repeatable: bool = False

    @property
    def annotation(self) -> Any:
        kind: Any = list[str] if self.repeatable else str
        return Annotated[kind | None, typer.Option(self.flag, metavar=self.metavar, help=self.help)]


OPTIONS: Final[Mapping[str, Option]] = {
    "platform": Option(
        "--platform", "NAME", "What runs the shop, such as shopify; a wrong one brings the list."
    ),
    "pixel_id": Option(
        "--pixel-id", "UUID", "From Business Center, Integrations, Conversion Tracking."
    ),
    "signing_secrets": Option(
        "--signing-secret",
        "SECRET",
        "What webhooks are signed with; repeatable; '-' reads a line of standard input.",
        repeatable=True,
    ),
    "mode": Option("--mode", "MODE", "live, test (everything as test purchases) or off."),
    "domain": Option(
        "--domain",
        "HOST",
        "The host that the shop's own webhooks name: its ….myshopify.com domain, or that of its "
        "WordPress address; what others send is ignored.",
    ),
    "prisjakt_client_id": Option(
        "--prisjakt-client-id", "ID", "For corrections: from Business Center, Integrations."
    ),
    "prisjakt_client_secret": Option(
        "--prisjakt-client-secret", "SECRET", "Its secret; '-' reads a line of standard input."
    ),
    "prisjakt_auth": Option("--prisjakt-auth", "WAY", "oauth or headers: how these two are used."),
    "report_when": Option(
        "--report-when", "STATE", "placed, secured or paid: how sure the money has to be."
    ),
    "amount": Option("--amount", "CHOICE", "total, total_excl_tax, goods or goods_excl_tax."),
    "currency": Option("--currency", "CHOICE", "shop, or presentment: the buyer's."),
    "order_reference": Option(
        "--order-reference", "PATTERN", "What Prisjakt calls an order: {id}, {number}, {name}."
    ),
    "corrections": Option("--corrections", "on|off", "Report edits, refunds and cancellations."),
    "landing_page_fallback": Option(
        "--landing-page-fallback",
        "on|off",
        "Take the click id from the landing address: it asks nobody for consent.",
    ),
    "excluded_sources": Option(
        "--excluded-source",
        "SOURCE",
        "Orders of this source are ignored; repeatable; '' for none.",
        repeatable=True,
    ),
}


def with_options(
    options: Mapping[str, Option], values: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option per field; its argument `given` holds what `values` makes of those
    that were given."""

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        signature = signature_of(command)
        own = [p for name, p in signature.parameters.items() if name != "given"]
        added = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option.annotation
            )
            for name, option in options.items()
        ]

        @functools.wraps(command)
        def with_given(*positional: Any, **arguments: Any) -> None:
            given = {name: arguments.pop(name) for name in options}
            command(*positional, given=values(given), **arguments)

        with_given.__signature__ = signature.replace(  # type: ignore[attr-defined]  # typer reads it
            parameters=[p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + added
        )
        return with_given

    return decorated


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were given, as a document holds them; `-` is read from standard input."""
    from prisjakt_relay.operations import shop_documents

    values: dict[str, Any] = {}
    for field, text in given.items():
        if text is None:
            continue
        flag = OPTIONS[field].flag
        if field in ("corrections", "landing_page_fallback"):
            values[field] = switch(flag, text)
        elif field == "signing_secrets":
            values[field] = [secret_value(flag, secret) for secret in text]
        elif field == "prisjakt_client_secret":
            values[field] = secret_value(flag, text)
        elif field == "excluded_sources":
            values[field] = [] if text == [""] else text
        elif not text.strip() and field not in shop_documents.REQUIRED:
            raise SetupError(
                f"{flag}: is empty; leave it out, or take it back with `shop set SHOP --unset "
                f"{flag.removeprefix('--')}`"
            )
        else:
            values[field] = text.strip()
    return values


with_fields = with_options(OPTIONS, _values)


def switch(flag: str, text: str) -> bool:
    if text not in _SWITCH:
        raise SetupError(f"{flag} {text!r}: write on or off")
    return _SWITCH[text]


def secret_value(flag: str, text: str) -> str:
    if text == _FROM_INPUT:
        text = _hidden(f"{flag}: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not text.strip():
        raise SetupError(f"{flag}: is empty; '-' takes a line of standard input for it")
    return text.strip()


def read_document(file: str | None) -> dict[str, Any]:
    from prisjakt_relay.operations import shop_documents

    if file is None:
        return {}
    try:
        text = sys.stdin.read() if file == _FROM_INPUT else Path(file).read_text("utf-8")
    except UnicodeDecodeError:
        raise SetupError(f"--document {file}: is not text in UTF-8") from None
    return shop_documents.read(text)


def to_unset(
    names: Sequence[str], before: Mapping[str, Any], given: Mapping[str, Any]
) -> list[str]:
    """Fields by their name in the document or that of their option."""
    from prisjakt_relay.operations import shop_documents

    by_flag = {OPTIONS[field].flag.removeprefix("--"): field for field in OPTIONS}
    fields = [by_flag.get(name.removeprefix("--"), name) for name in names]
    for field in fields:
        if field not in OPTIONS and field not in before:
            raise SetupError(f"--unset {field}: is no field; use one of {', '.join(OPTIONS)}")
        if field in shop_documents.REQUIRED:
            raise SetupError(f"--unset {field}: it is required; give it another value instead")
        if field in given:
            raise SetupError(f"--unset {field}: it is given a value, too; leave one of them out")
    return fields


@dataclass(frozen=True)
class Question:
    """What to ask for a field; without an answer it is `otherwise`, or asked again.

    `read` makes of an answer what the document holds. One that is `after` another field is asked
    only where that is given.
    """

    field: str
    text: str
    otherwise: str | None = None
    hidden: bool = False
    after: str | None = None
    read: Callable[[str], Any] = str


def _platform() -> Question:
    from prisjakt_relay.platforms import PLATFORMS

    *others, last = PLATFORMS
    return Question("platform", f"What runs the shop, {', '.join(others)} or {last}")


def _questions(platform: str) -> Iterator[Question]:
    from prisjakt_relay.platforms import PLATFORMS

    guide = PLATFORMS[platform].guide
    yield Question("pixel_id", "Pixel id, from Business Center, Integrations, Conversion Tracking")
    if guide.secret is not None:
        yield _signing_secret(guide.secret)
    yield Question("domain", guide.domain, "")
    yield Question("prisjakt_client_id", "Prisjakt client id, for corrections (Enter: none)", "")
    yield Question(
        "prisjakt_client_secret",
        "Its secret (not shown)",
        hidden=True,
        after="prisjakt_client_id",
    )
    yield Question("mode", "Mode, test, live or off (Enter: test)", "test")


def _signing_secret(text: str) -> Question:
    return Question("signing_secrets", text, hidden=True, read=lambda secret: [secret])


def completed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with what it needs: asked for in a terminal, refused elsewhere."""
    first = [] if "platform" in document else [_platform()]
    missing = first or [
        question
        for question in _questions(document["platform"])
        if question.otherwise is None and _is_open(question, document)
    ]
    if not missing:
        return dict(document)
    if not sys.stdin.isatty():
        field = missing[0].field
        raise SetupError(f"{field}: is missing; give it with {OPTIONS[field].flag}")
    from prisjakt_relay.operations import shop_documents

    answers = dict(document)
    for question in first:
        ask(question, answers, shop_documents.check_so_far)
    for question in _questions(answers["platform"]):
        if _is_open(question, answers):
            ask(question, answers, shop_documents.check_so_far)
    return answers


def _is_open(question: Question, document: Mapping[str, Any]) -> bool:
    return question.field not in document and question.after in (None, *document)


def ask(
    question: Question, answers: dict[str, Any], check: Callable[[Mapping[str, Any]], object]
) -> None:
    """Ask until the answer can be used: `check` raises `SetupError` if not."""
    while True:
        text = _answer(question)
        if not text and question.otherwise == "":
            return
        value = text or question.otherwise
        candidate = {question.field: None if value is None else question.read(value)}
        try:
            check({**answers, **candidate})
        except SetupError as error:
            output.hint(str(error))
            continue
        answers.update(candidate)
        return


def _answer(question: Question) -> str:
    prompt = f"{question.text}: "
    return (_hidden(prompt) if question.hidden else _visible(prompt)).strip()


def _hidden(prompt: str) -> str:
    try:
        return getpass.getpass(prompt, stream=sys.stderr)
    except EOFError:
        raise typer.Abort from None


def _visible(prompt: str) -> str:
    """Like `input`, but the prompt never goes to standard output."""
    print(prompt, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise typer.Abort
    return line


def asked_signing_secret(platform: str, text: str) -> str:
    """The answer to the question of a platform whose secret is not ours to make."""
    if not sys.stdin.isatty():
        raise SetupError("signing_secrets: is missing; give it with --signing-secret")
    from prisjakt_relay.operations import shop_documents

    answers: dict[str, Any] = {"platform": platform}
    ask(_signing_secret(text), answers, shop_documents.check_so_far)
    return str(answers["signing_secrets"][0])


def plain(value: Any) -> str:
    """A field's value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Mapping):
        return str(
            value.get("secret") or f"{value['fingerprint']} ({value['characters']} characters)"
        )
    if isinstance(value, list | tuple):
        separator = "\n" if any(isinstance(each, Mapping) for each in value) else ", "
        return separator.join(map(plain, value)) or "none"
    return str(value)
