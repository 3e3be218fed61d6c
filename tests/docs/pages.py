"""The pages that people read, taken apart: links, names, code blocks, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prisjakt_relay.local import project

ROOT: Final = project.root()
PAGES: Final = (
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    ROOT / "events" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
)
PROGRAM: Final = "prisjakt-relay"

_BLOCK: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INDENTED: Final = re.compile(r"^ {4}(make .+)$", re.MULTILINE)
_INLINE: Final = re.compile(rf"`({PROGRAM} [^`]+)`")
_LINK: Final = re.compile(r"\]\(([^)]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: str
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A line for a shell, and what the page shows of its output."""

    page: str
    line: str
    output: str = ""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def prose(text: str) -> str:
    """A page without its blocks."""
    return _BLOCK.sub("", text)


def links(text: str) -> list[str]:
    return sorted(set(_LINK.findall(prose(text))))


def anchors(text: str) -> set[str]:
    """What the hosting platforms make of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", each.lower()).replace(" ", "-") for each in headings}


def section(text: str, heading: str) -> str:
    return text.split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]


def first_cells(text: str) -> set[str]:
    """Every `word` in the first column of tables."""
    rows = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def blocks(name: str) -> list[Block]:
    return [
        Block(name, language, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))
        for indent, language, text in _BLOCK.findall(text_of(name))
    ]


def in_blocks() -> Iterator[Command]:
    """Every line for a shell, as somebody would paste it."""
    for page in map(name_of, PAGES):
        for block in blocks(page):
            if block.language == "sh":
                for line in block.text.replace("\\\n", " ").splitlines():
                    if words := without_comment(line):
                        yield Command(page, words)
            elif block.language == "console":
                yield from dialogue(block)
        for line in _INDENTED.findall(prose(text_of(page))):
            yield Command(page, without_comment(line))


def inline() -> Iterator[Command]:
    """Every whole command in a sentence or a table."""
    for page in map(name_of, PAGES):
        for line in _INLINE.findall(prose(text_of(page))):
            yield Command(page, " ".join(line.split()))


def dialogue(block: Block) -> Iterator[Command]:
    """Commands behind `$`, each with what follows it."""
    for part in re.split(r"^\$ ", block.text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        yield Command(block.page, without_comment(line), output)


def without_comment(line: str) -> str:
    return " ".join(re.sub(r"(^| +)# .*$", "", line).split())


def is_ours(line: str) -> bool:
    return any(
        words[:1] in ([PROGRAM], [f".venv/bin/{PROGRAM}"]) for words in shell_words(line).parts
    )


@dataclass(frozen=True)
class Pipeline:
    """The programs of a line, without where their output goes."""

    parts: list[list[str]]


def shell_words(line: str) -> Pipeline:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|>")
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if word == "|":
            parts.append([])
        elif word == ">":
            next(words)
        else:
            parts[-1].append(word)
    return Pipeline(parts)
