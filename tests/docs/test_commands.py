"""Every command of the pages is run, or stands in a table with the reason why it is not."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from tests.cli.calling import Called, call, command_line
from tests.conftest import LOCAL_PORT
from tests.docs import pages
from tests.docs.pages import PROGRAM, Command
from tests.docs.world import CLICKS, EVENTS, FINGERPRINTS, ORDERS, SHOPS, World, of_today

from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations.stack import Stack

Names = Callable[[World], dict[str, str]]


@dataclass(frozen=True)
class Way:
    """How a command of the pages is run: about which shop, with which options in place of the
    questions, and how it may end."""

    names: Names = World.new_shop
    answers: tuple[str, ...] = ()
    stdin: str = ""
    codes: tuple[int, ...] = (0,)


_FACTS: Final = ("--pixel-id", str(uuid.uuid4()))

# Command to way; the longest beginning counts.
WAYS: Final[Mapping[str, Way]] = {
    "shop add": Way(World.no_shop, ("--platform", "woocommerce", *_FACTS)),
    "shop add * --platform woocommerce": Way(World.no_shop, _FACTS),
    "shop add * --platform custom": Way(World.no_shop, _FACTS),
    "shop add * --platform shopify": Way(
        World.no_shop, (*_FACTS, "--signing-secret", "-"), stdin="a-secret\n"
    ),
    "shop list": Way(codes=(0, 1)),  # other tests' shops may be unusable
    "shop show": Way(),
    "shop set": Way(),
    "shop set * --prisjakt-client-id": Way(stdin="another-secret\n"),
    "shop remove": Way(answers=("--yes",)),
    "shop signing-secret add": Way(),
    "shop signing-secret remove": Way(),
    "shop api set": Way(answers=("--public-address", "https://shop.example")),
    "shop api show": Way(),
    "shop api remove": Way(answers=("--yes",)),
    "webhooks list": Way(),
    "webhooks register": Way(),
    "webhooks repair": Way(),
    "webhooks remove": Way(answers=("--yes",)),
    "webhooks remove * --id": Way(World.shop_with_webhook, ("--yes",)),
    "snippet": Way(),
    "test": Way(),
    # 1: other tests' dead orders and messages are in the same stack
    "doctor": Way(codes=(0, 1)),
    "order": Way(World.shop_that_sold),
    "report": Way(World.shop_that_sold),
    "reconcile": Way(World.shop_that_sold),
    "backfill": Way(answers=("--yes",)),
    "dead list": Way(World.shop_with_dead),
    "dead show": Way(World.shop_with_dead),
    "dead resend": Way(World.shop_with_dead, ("--yes",)),
    "dead drop": Way(World.shop_with_dead, ("--yes",)),
    "prisjakt": Way(World.shop_that_sold),
    "privacy show": Way(World.shop_that_sold),
    "privacy erase": Way(World.seller, ("--yes",)),
}

# Parsed by the real parser and not run, each with the reason.
NOT_RUN: Final[Mapping[str, str]] = {
    "demo": "make test-wheel runs it",
    "local": "runs until Ctrl-C: tests/cli/test_local.py runs it",
    "uninstall": "there is no stack to take away: tests/cli/test_uninstall.py has some",
}

# Commands that a sentence names, without the shop that they need or what they set.
ONLY_NAMED: Final = {"shop add", "shop set", "shop set SHOP", "dead drop", "dead resend"}

# What is not `prisjakt-relay` nor `make`: the beginning of the line, and where it is tried.
ELSEWHERE: Final[Mapping[str, str]] = {
    "source .venv/bin/activate": "the tests run in that environment",
    ".venv/bin/pytest tests/platforms/test_contract.py": "tests/docs/test_tutorial.py",
    "openssl dgst": "below",
    "sha256sum --check": "tests/release/test_unzipped.py compares the sums",
    "unzip prisjakt-relay-": "make test-release unzips it",
    "cd prisjakt-relay-": "make test-release unzips it",
    "pip install 'aws-sam-cli==": "the version is compared below; make validate runs it",
    "pip install tool/": "tests/release/test_unzipped.py installs it",
    "sam deploy --guided": "needs an AWS account; make test-release validates the template",
    "export AWS_REGION=": "needs a deployed stack; tests/operations/test_stack.py names one",
    "export RELAY_ADDRESS=": "tests/docs/test_custom_page.py",
    "export RELAY_SECRET=": "tests/docs/test_custom_page.py",
    'echo \'{"type":"ping"}\' | python3 send.py': "tests/docs/test_custom_page.py",
    "python3 send.py < order.json": "tests/docs/test_custom_page.py",
}


# What the pages call by several names.
STANDS_FOR: Final = {
    word: words[0] for words in (SHOPS, ORDERS, EVENTS, CLICKS, FINGERPRINTS) for word in words
}


def unique() -> dict[str, Command]:
    """The commands of blocks and sentences by what is run."""
    found: dict[str, Command] = {}
    for command in (*pages.in_blocks(), *pages.inline()):
        if pages.is_ours(command.line) and not command.output:  # the story's: test_story.py
            line = " ".join(STANDS_FOR.get(word, word) for word in given(command.line))
            found.setdefault(line, command)
    return found


def given(line: str) -> list[str]:
    """The arguments; what is in brackets is given, of alternatives the first one is."""
    line = re.sub(r"\\\|\w+", "", line)
    line = re.sub(r"[\[\]]|\.\.\.", "", line)
    for words in pages.shell_words(line).parts:
        if words[0].rpartition("/")[2] == PROGRAM:
            return [word for word in words[1:] if word != "--local"]
    raise AssertionError(line)


def words_of(arguments: list[str]) -> str:
    """The command that is called, as the parser finds it."""
    command, words = command_line(), []
    for word in arguments:
        if not hasattr(command, "commands") or word not in command.commands:
            break
        command = command.commands[word]
        words.append(word)
    assert not hasattr(command, "commands"), f"no command: {' '.join(arguments)}"
    return " ".join(words)


def way_of(arguments: list[str]) -> Way | None:
    """That with the longest beginning; `*` is any word."""
    line = " ".join(arguments)
    found = [
        beginning
        for beginning in WAYS
        if re.match(re.escape(beginning).replace(r"\*", r"\S+") + r"( |$)", line)
    ]
    return WAYS[max(found, key=len)] if found else None


COMMANDS: Final = unique()
NAMED: Final = {line for line in COMMANDS if line in ONLY_NAMED}
RUN: Final = sorted(
    line for line in COMMANDS if line not in NAMED and words_of(line.split()) not in NOT_RUN
)


@pytest.fixture(scope="module")
def world(local_system: LocalSystem, stack: Stack) -> World:
    return World(local_system, stack)


def option_values(arguments: list[str], folder: Path) -> list[str]:
    """What the pages call ID, HOST and so on, and files of their own."""
    values = {
        "--pixel-id": str(uuid.uuid4()),
        "--prisjakt-client-id": f"client-{uuid.uuid4().hex[:12]}",
        "--domain": "shop.example",
    }
    done = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        if before == "--out":
            done.append(str(folder / word))
        else:
            done.append(values.get(before, word))
    return done


@pytest.mark.parametrize("line", RUN)
def test_a_command_does_what_it_is_there_for(line: str, world: World, tmp_path: Path) -> None:
    arguments = line.split()
    way = way_of(arguments)
    assert way is not None, f"{COMMANDS[line].page}: no way to run `{line}`"
    names = way.names(world)
    arguments = option_values(arguments, tmp_path)
    arguments = [of_today(names.get(word, word)) for word in arguments]
    where = [] if arguments in STANDALONE else ["--local", "--port", str(LOCAL_PORT)]

    called = call(*arguments, *way.answers, *where, stdin=way.stdin)

    assert called.code in way.codes, (line, called)
    assert called.out
    if "--json" in arguments:
        assert called.json is not None


STANDALONE: Final = (
    ["snippet"],
    ["snippet", "shopify"],
    ["snippet", "--src", "https://shop.example/js"],
)


@pytest.mark.parametrize("line", sorted(set(COMMANDS) - set(RUN) - NAMED))
def test_a_command_that_is_not_run_is_one_for_the_parser(line: str) -> None:
    arguments = line.split()
    words = words_of(arguments)
    command = command_line()
    for word in words.split():
        command = command.commands[word]

    command.make_context(words, arguments[len(words.split()) :])


def test_no_way_and_no_reason_is_left_over() -> None:
    used = {way_of(line.split()) for line in RUN}
    lines = [" ".join(pages.without_comment(c.line).split()) for c in pages.in_blocks()]

    assert used == set(WAYS.values())
    assert {words_of(line.split()) for line in set(COMMANDS) - set(RUN) - NAMED} == set(NOT_RUN)
    assert NAMED == ONLY_NAMED
    for beginning in ELSEWHERE:
        assert any(line.startswith(beginning) for line in lines), beginning


def test_every_other_line_has_its_place() -> None:
    for command in pages.in_blocks():
        if pages.is_ours(command.line) or command.line.startswith("make "):
            continue
        assert any(command.line.startswith(each) for each in ELSEWHERE), command


def test_the_signature_of_a_sample_is_made_as_the_page_says() -> None:
    (command,) = [c for c in pages.in_blocks() if c.line.startswith("openssl")]
    (path,) = re.findall(r"\S+\.body", command.line)
    headers = json.loads((pages.ROOT / path.replace(".body", ".headers.json")).read_text())
    secret = json.loads(pages.text_of("events/shops.json"))["demo-shopify"]["signing_secrets"][0]

    done = subprocess.run(  # noqa: S602  # our own page
        command.line,
        shell=True,
        cwd=pages.ROOT,
        env={"SECRET": secret, "PATH": "/usr/bin:/bin:/usr/local/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert base64.b64decode(done.stdout)
    assert ["X-Shopify-Hmac-SHA256".lower(), done.stdout.strip()] in [
        [name.lower(), value] for name, value in headers
    ]


def test_the_page_names_the_version_of_sam_that_is_tried() -> None:
    (tried,) = re.findall(r"^SAM_VERSION := (\S+)$", pages.text_of("Makefile"), re.MULTILINE)

    assert f"aws-sam-cli=={tried}'" in pages.text_of("docs/deploy.md")


# The dialogues, in their order


@dataclass
class Story:
    """What the pages tell in dialogues: one shop, from its first command on."""

    world: World
    names: dict[str, str]
    lost: str = ""

    def before(self, words: str) -> None:
        """What somebody does between two commands."""
        shop = self.names["SHOP"]
        if words == "order":
            self.names["529552"] = self.world.sells(shop)
        if words == "reconcile" and not self.lost:
            self.world.shop_system(shop).deaf = True
            self.lost = self.world.places(shop)
        elif words == "reconcile":
            self.world.shop_system(shop).deaf = False
            self.world.is_settled(shop, self.lost)


def generalised(text: str) -> str:
    """Without what differs from day to day: figures, ids, and how wide the window is."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{40,}\b", "#", text)
    text = re.sub(r"\d[\d.,:-]*( m?s\b)?", "#", text)
    text = text.replace("# items", "# item")
    return re.sub(r"[\s─]+", " ", text).strip()


def stable_lines(output: str) -> list[str]:
    lines = [generalised(line) for line in output.splitlines()]
    return [line for line in lines if line and line != "…"]


def test_the_dialogues_happen_as_they_are_told(world: World) -> None:
    """Every line of what the pages show is there, in its order."""
    story = Story(world, world.no_shop())
    told = [command for command in pages.in_blocks() if command.output]
    assert len(told) >= 7
    for command in told:
        arguments = given(command.line)
        story.before(words_of(arguments))
        arguments = [of_today(story.names.get(word, word)) for word in arguments]
        stdin = "any-secret\n" if command.line.startswith("echo any-secret |") else ""

        called = call(*arguments, "--local", "--port", str(LOCAL_PORT), stdin=stdin, width=120)

        compare(command, called, story.names)


def compare(command: Command, called: Called, names: Mapping[str, str]) -> None:
    shown = command.output
    for word in ("my-shop", "529552"):
        shown = shown.replace(word, names.get(word, word))
    shown = shown.replace("--local", f"--local --port {LOCAL_PORT}")
    shown = shown.replace("8787", str(LOCAL_PORT))
    wrong = "difference." in command.output
    assert called.code == int(wrong), called
    here = generalised(called.out + called.err)
    for line in stable_lines(shown):
        assert line in here, (command.line, line, called.out)
