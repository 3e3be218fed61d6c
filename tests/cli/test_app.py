"""Every command, whatever is in its way: one clear sentence, the remedy, and an exit code."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, Final

import botocore.endpoint
import pytest
from tests.cli.calling import Called, call
from tests.conftest import LOCAL_PORT, PATIENCE, watched
from typer.main import get_command

from prisjakt_relay.cli import app as program
from prisjakt_relay.cli.app import app
from prisjakt_relay.local import project
from prisjakt_relay.local.aws import REGION
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import stack

PAGE: Final = (project.root() / "docs" / "command-line.md").read_text("utf-8")
NO_SUCH_SHOP: Final = "no-such-shop"
WITHOUT_AWS: Final = frozenset({"demo", "local", "snippet"})  # as their examples call them
NEEDS_NO_SHOP: Final = frozenset({"shop add", "shop list", "doctor", "dead list", "dead resend"})
NEEDS_AWS_ONLY: Final = frozenset({"uninstall"})  # there is nothing of the local system to remove


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its words."""
    for name, child in command.commands.items():
        words = f"{path} {name}".strip()
        if hasattr(child, "commands"):
            yield from leaves(child, words)
        else:
            yield words, child


COMMANDS: Final[Mapping[str, Any]] = dict(leaves(get_command(app)))
ON_STACK: Final = sorted(set(COMMANDS) - WITHOUT_AWS)


def example(words: str) -> str:
    """The one example of a command's help."""
    found = re.findall(r"^ *Example: (.+)$", COMMANDS[words].help, re.MULTILINE)
    assert len(found) == 1, f"{words} needs one example"
    return str(found[0])


def arguments(words: str) -> list[str]:
    """What the example gives to the program, without what the shell does with its output."""
    line = example(words).partition(" > ")[0].partition(" | ")
    (name, *rest) = shlex.split(line[2] or line[0])
    assert name == "prisjakt-relay"
    return rest


def one_sentence(called: Called) -> str:
    """What was said of an error, which must be all that was said."""
    (line,) = called.err.splitlines()
    assert line.startswith("error: ")
    assert "Traceback" not in line
    return line


# Help


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_every_command_says_what_it_does_with_one_example_that_can_be_called(words: str) -> None:
    command = COMMANDS[words]
    given = arguments(words)

    assert re.match(r"[A-Z][^\n]+\.\n", command.help)
    assert given[: len(words.split())] == words.split()
    command.make_context(words, given[len(words.split()) :])  # its options are those it has


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_every_command_has_json_and_says_so_in_the_same_way(words: str) -> None:
    names = {name for parameter in COMMANDS[words].params for name in parameter.opts}

    assert "--json" in names


@pytest.mark.parametrize("words", ON_STACK)
def test_every_command_on_a_stack_finds_it_in_the_same_way(words: str) -> None:
    names = {name for parameter in COMMANDS[words].params for name in parameter.opts}

    assert {"--stack", "--region", "--profile", "--local", "--port"} <= names


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_the_page_names_every_command_with_its_sentence_and_its_example(words: str) -> None:
    sentence = COMMANDS[words].help.splitlines()[0]

    assert f"`prisjakt-relay {words}" in PAGE
    assert sentence in PAGE
    assert example(words) in PAGE


def test_the_page_names_no_command_that_is_not_there() -> None:
    named = re.findall(r"^\| `prisjakt-relay ([a-z -]+?)(?: [A-Z\[].*)?`", PAGE, re.MULTILINE)

    assert sorted(named) == sorted(COMMANDS)


def test_every_exit_code_is_explained() -> None:
    for code in (0, 1, 2, 3, program.INTERRUPTED, program.READER_GONE):
        assert f"| {code} |" in PAGE
        assert re.search(rf"\b{code} ", str(app.info.epilog))


def test_every_right_that_is_needed_is_on_the_page() -> None:
    """Whoever grants exactly these is not surprised."""
    own = {
        "get_paginator",
        "get_credentials",
        "get_frozen_credentials",
        "get_many",
        "get_template",
    }
    sources = "".join(file.read_text("utf-8") for file in Path(stack.__file__).parent.glob("*.py"))
    verbs = "create|delete|describe|get|list|put|restore|start|stop"
    methods = set(re.findall(rf'(?<=[."])((?:{verbs})_[a-z_]+)', sources)) - own
    plain = set(
        re.findall(r'"(Query|Scan|[A-Z][a-z]+Messages?(?:Visibility)?)(?:Batch)?"', sources)
    )
    actions = {"".join(map(str.capitalize, name.split("_"))) for name in methods - {"get_nowait"}}

    assert {"DescribeStacks", "GetSecretValue", "ListStackResources"} <= actions
    assert {"Query", "SendMessage", "ReceiveMessage"} <= plain
    for action in actions | plain | {"BatchGetItem", "GetItem", "PutItem", "UpdateItem"}:
        assert re.search(rf"\b{action}\b", PAGE), action


# What may be in the way


@pytest.mark.parametrize("words", sorted(set(ON_STACK) - NEEDS_NO_SHOP - NEEDS_AWS_ONLY))
@pytest.mark.usefixtures("local_system")
def test_a_wrong_shop_is_told(words: str) -> None:
    given = [NO_SUCH_SHOP if each == "my-shop" else each for each in arguments(words)]
    assert NO_SUCH_SHOP in given

    called = call(*given, "--local", "--port", str(LOCAL_PORT), stdin="secret\n")

    assert (called.code, called.out) == (2, "")
    assert f"there is no shop {NO_SUCH_SHOP} in the stack local" in one_sentence(called)
    assert "`prisjakt-relay shop list --local --port" in called.err


@pytest.mark.parametrize("words", ON_STACK)
def test_a_local_system_that_does_not_run_is_told(words: str) -> None:
    called = call(*arguments(words), "--local", "--port", "1024")

    assert (called.code, called.out) == (2, "")
    if words not in NEEDS_AWS_ONLY:
        assert "no local system at port 1024: start it with" in one_sentence(called)


@pytest.fixture
def own_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No set-up of the person who runs the tests."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return monkeypatch


@pytest.fixture
def with_keys(own_aws: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    own_aws.setenv("AWS_ACCESS_KEY_ID", "test")
    own_aws.setenv("AWS_SECRET_ACCESS_KEY", "test")
    own_aws.setenv("AWS_REGION", REGION)
    return own_aws


@pytest.mark.parametrize("words", ON_STACK)
def test_a_wrong_stack_or_region_is_told(
    words: str, with_keys: pytest.MonkeyPatch, local_system: LocalSystem
) -> None:
    with_keys.setenv("AWS_ENDPOINT_URL", local_system.aws.endpoint)

    called = call(*arguments(words), "--stack", "local", "--region", "us-east-1")

    assert (called.code, called.out) == (2, "")
    sentence = one_sentence(called)
    assert sentence.startswith("error: there is no stack local in us-east-1")
    assert "name it with --stack, its region with --region" in sentence


@pytest.mark.parametrize("words", ON_STACK)
def test_no_region_is_told(words: str, with_keys: pytest.MonkeyPatch) -> None:
    with_keys.delenv("AWS_REGION")

    called = call(*arguments(words))

    assert (called.code, called.out) == (2, "")
    assert "no AWS region: give --region" in one_sentence(called)


@pytest.mark.parametrize("words", ON_STACK)
def test_no_credentials_are_told(words: str, own_aws: pytest.MonkeyPatch) -> None:
    own_aws.setenv("AWS_REGION", REGION)

    called = call(*arguments(words))

    assert (called.code, called.out) == (2, "")
    assert "no AWS credentials: run `aws sso login`" in one_sentence(called)


@pytest.mark.parametrize("words", ON_STACK)
def test_a_profile_that_is_not_there_is_told(words: str, own_aws: pytest.MonkeyPatch) -> None:
    own_aws.setenv("AWS_REGION", REGION)

    called = call(*arguments(words), "--profile", "nobody")

    assert (called.code, called.out) == (2, "")
    assert "nobody" in one_sentence(called)
    assert "`aws configure list-profiles`" in called.err


@pytest.mark.parametrize("words", ON_STACK)
def test_no_network_is_told(words: str, with_keys: pytest.MonkeyPatch) -> None:
    with_keys.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with_keys.setattr(botocore.endpoint.time, "sleep", lambda _: None)  # between attempts

    called = call(*arguments(words))

    assert (called.code, called.out) == (3, "")
    assert "AWS does not answer at http://127.0.0.1:9" in one_sentence(called)
    assert "check the network" in called.err


class Refusing(BaseHTTPRequestHandler):
    """An AWS that answers every call with one error."""

    code: ClassVar[str] = "ExpiredToken"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = (
            f"<ErrorResponse><Error><Code>{self.code}</Code><Message>User: x is not authorized to "
            "perform: cloudformation:DescribeStacks on resource: y</Message></Error>"
            "</ErrorResponse>"
        ).encode()
        self.send_response(403)
        self.send_header("content-type", "text/xml")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to say."""


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("words", ON_STACK)
@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("ExpiredToken", "the AWS credentials have expired: run `aws sso login`"),
        ("InvalidClientTokenId", "AWS does not accept these credentials"),
        ("AccessDenied", "may not do this (cloudformation:DescribeStacks): ask for"),
    ],
)
def test_credentials_that_do_not_do_are_told(
    words: str, code: str, told: str, with_keys: pytest.MonkeyPatch, refusing: str
) -> None:
    with_keys.setenv("AWS_ENDPOINT_URL", refusing)
    with_keys.setattr(Refusing, "code", code)

    called = call(*arguments(words))

    assert (called.code, called.out) == (2, "")
    assert told in one_sentence(called)


@pytest.mark.parametrize("words", sorted(set(ON_STACK) - NEEDS_AWS_ONLY))
def test_ctrl_c_is_told_in_one_line(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stack, "find_local", interrupt)

    called = call(*arguments(words), "--local")

    assert (called.code, called.out) == (program.INTERRUPTED, "")
    assert one_sentence(called) == "error: interrupted: run it again to go on"


def test_a_wrong_call_is_told_with_where_help_is() -> None:
    assert "No such command 'shops'" in one_sentence(call("shops"))
    assert "`prisjakt-relay report --help` shows how" in one_sentence(call("report"))
    assert "No such option: --nope" in one_sentence(call("shop", "list", "--nope"))


@pytest.mark.parametrize(
    ("where", "told"),
    [
        (["--port", "8787"], "--port is the local system's: add --local"),
        (["--local", "--region", "eu-north-1"], "--local has neither region nor profile"),
        (["--local", "--profile", "x"], "--local has neither region nor profile"),
        (["--stack", "no stack"], "--stack 'no stack': a stack's name has letters, digits and -"),
        (["--stack", "\xff"], "a stack's name has letters"),
    ],
)
def test_places_that_contradict_each_other_are_told(where: list[str], told: str) -> None:
    """Before anything is asked: what was meant might be another stack."""
    called = call("shop", "list", *where)

    assert (called.code, called.out) == (2, "")
    assert told in one_sentence(called)


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("nonsense", "the AWS configuration cannot be used"),
        ("http://127.0.0.1:9", "AWS does not answer at http://127.0.0.1:9"),
    ],
)
def test_an_endpoint_that_is_none_is_told(
    endpoint: str, told: str, with_keys: pytest.MonkeyPatch
) -> None:
    with_keys.setenv("AWS_ENDPOINT_URL", endpoint)
    with_keys.setattr(botocore.endpoint.time, "sleep", lambda _: None)

    assert told in one_sentence(call("shop", "list"))


def test_something_else_than_aws_is_told(
    with_keys: pytest.MonkeyPatch, local_system: LocalSystem
) -> None:
    """A sign-in page of a network, for example."""
    with_keys.setenv("AWS_ENDPOINT_URL", local_system.address)

    called = call("shop", "list")

    assert called.code == 2
    assert "what answers is not AWS" in one_sentence(called)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--from", "yesterday"], "--from 'yesterday': write a day like 2026-11-01"),
        (["--to", "2026-02-30"], "--to '2026-02-30': write a day like 2026-11-01"),
        (["--from", "2026-11-02", "--to", "2026-11-01"], "--from is not before --to"),
        (["--to", "9999-12-31"], "--to '9999-12-31': write a day like 2026-11-01"),
        (["--from", "0001-01-01"], "--from '0001-01-01': nothing is known of that time"),
        (["--from", "0001-01-01T00:00+14:00"], "write a day like 2026-11-01"),
    ],
)
@pytest.mark.usefixtures("local_system")
def test_a_date_that_is_none_is_told(given: list[str], told: str) -> None:
    where = ["--local", "--port", str(LOCAL_PORT)]

    called = call("report", "demo-shopify", *given, *where)

    assert (called.code, called.out) == (2, "")
    assert told in one_sentence(called)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.usefixtures("local_system")
def test_a_terminal_that_cannot_show_every_sign_gets_the_others(encoding: str) -> None:
    local = ["--local", "--port", str(LOCAL_PORT)]
    with_it = {"env": os.environ | {"PYTHONIOENCODING": encoding}, "encoding": encoding}
    running = process("doctor", *local, **with_it)

    out, said = running.communicate(timeout=60)

    assert said == ""
    assert "CREATE_COMPLETE" in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--version > /dev/full", "error: standard output: No space left on device\n"),
        ("snippet shopify --json > /dev/full", "error: standard output: No space left on device\n"),
        ("snippet shopify --json >&-", ""),
        ("shop add x --local --port 1024 <&-", "error: no local system at port 1024"),
        ("report 2>&-", ""),
    ],
)
def test_streams_that_are_closed_or_full_are_no_reason_for_a_traceback(
    given: str, said: str
) -> None:
    program = f"{shlex.quote(sys.executable)} -m prisjakt_relay.cli.start"

    done = subprocess.run(  # noqa: S602  # our own program
        f"{program} {given}", shell=True, capture_output=True, text=True, check=False
    )

    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == bool(said)
    assert done.returncode == (0 if ">&-" in given and "2>" not in given else 2)


@pytest.mark.parametrize("words", ["", "shop", "shop add", "dead resend", "report", "prisjakt"])
def test_help_loads_nothing_that_only_the_work_needs(words: str) -> None:
    """Completion and help are asked for often."""
    heavy = ["boto3", "botocore", "requests", "jinja2", "pygal", "prisjakt_relay.operations.stack"]
    look = f"""
import atexit, sys
atexit.register(lambda: print([name for name in {heavy} if name in sys.modules]))
from prisjakt_relay.cli.app import main
main()
"""
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-c", look, *words.split(), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"


# As a real process


def process(*given: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-c", "from prisjakt_relay.cli.start import main; main()", *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.mark.parametrize(
    "given",
    [["--help"], ["snippet", "shopify"], ["shop", "list"], ["shop", "list", "--json"]],
    ids=" ".join,
)
@pytest.mark.usefixtures("local_system")
def test_a_reader_that_goes_away_is_no_error(given: list[str]) -> None:
    where = ["--local", "--port", str(LOCAL_PORT)] if given[0] == "shop" else []
    running = process(*given, *where)
    assert running.stdout is not None
    running.stdout.close()  # before anything was written

    assert running.stderr is not None
    said = running.stderr.read()
    running.stderr.close()

    assert said == ""
    assert running.wait(60) == program.READER_GONE


def test_ctrl_c_while_aws_does_not_answer_ends_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE)
        environment = os.environ | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
        }
        with watched(process("shop", "list", env=environment)) as running:
            asked, _ = silent.accept()  # it waits for an answer
            with asked:
                running.send_signal(signal.SIGINT)
                out, said = running.communicate(timeout=30)

    assert (running.returncode, out) == (program.INTERRUPTED, "")
    assert said.strip() == "error: interrupted: run it again to go on"
