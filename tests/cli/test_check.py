"""`test` and `doctor` as a person or a script calls them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.calling import local
from tests.conftest import LOCAL_PORT, PATIENCE, watched
from tests.operations.patients import put, spoilt, without_sender

from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations import checks, shops, trial
from prisjakt_relay.operations.finding import Finding
from prisjakt_relay.operations.stack import find_local

PROGRAM = "from prisjakt_relay.cli.app import main; main()"
PATIENT = (  # waits for a page for longer than a test waits for it
    f"from prisjakt_relay.operations import shop_page; shop_page.SECONDS = 600; {PROGRAM}"
)


def process(*given: str, program: str = PROGRAM) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-c", program, *given, "--local", "--port", str(LOCAL_PORT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "80"},
    )


# test


@pytest.mark.parametrize("width", [80, 120])
def test_each_step_of_a_sample_is_told(width: int, local_system: LocalSystem) -> None:
    name = put(local_system)

    called = local("test", name, width=width)

    lines = [line for line in called.out.splitlines() if line[0] in "✓✗·"]
    assert (called.code, called.err) == (0, "")
    assert [line.split("  ")[0] for line in lines] == [
        "✓ order",
        "✓ webhook",
        "✓ queue",
        "✓ Prisjakt",
        "✓ read back",
    ]
    assert all(line.rstrip().endswith(" s") or line.endswith("ms") for line in lines[1:])
    assert all(len(line) <= width for line in called.out.splitlines())


def test_a_sample_that_is_refused_is_told_with_its_remedy(local_system: LocalSystem) -> None:
    name = put(local_system)

    with spoilt(
        local_system, pixel(name), kind="status", status=400, body={"title": "Not [b]valid[/b]"}
    ):
        called = local("test", name)

    assert called.code == 1
    assert "✗ Prisjakt" in called.out
    assert "400 Not [b]valid[/b]" in called.out
    assert f"\n    prisjakt-relay dead show {name} " in called.out


def pixel(name: str) -> str:
    return shops.shop(find_local(LOCAL_PORT), name).pixel_id


def test_the_steps_are_json_too(local_system: LocalSystem) -> None:
    name = put(local_system)

    called = local("test", name, "--json")

    assert (called.code, called.err) == (0, "")
    assert called.json["shop"] == name
    assert called.json["right"] is True
    assert [step["name"] for step in called.json["steps"]][-1] == "read back"
    assert all(set(step) == FIELDS for step in called.json["steps"])


FIELDS = {"name", "right", "found", "remedy", "seconds"}


def test_what_goes_wrong_is_json_too(local_system: LocalSystem) -> None:
    called = local("test", put(local_system, mode="off"), "--json")

    assert called.code == 1
    assert called.json["right"] is False
    assert called.json["steps"][0]["remedy"].startswith("the shop is off")


def test_a_wait_ends_after_the_time_given(local_system: LocalSystem) -> None:
    name = put(local_system)

    with without_sender(find_local(LOCAL_PORT)):
        called = local("test", name, "--timeout", "1")

    assert called.code == 1
    assert "after 1 s: the sender has not taken it" in called.out


def test_ctrl_c_says_what_becomes_of_the_sample(local_system: LocalSystem) -> None:
    name = put(local_system)

    with (
        without_sender(find_local(LOCAL_PORT)),
        watched(process("test", name, "--timeout", "300")) as running,
    ):
        assert running.stdout is not None
        said = b""
        while b"webhook" not in said and (more := os.read(running.stdout.fileno(), 4096)):
            said += more
        running.send_signal(signal.SIGINT)
        _, told = running.communicate()

    assert b"webhook" in said
    assert running.returncode == 130
    assert "may still arrive as a test-purchase" in told
    assert "Traceback" not in told


def test_ctrl_c_before_anything_was_sent_says_nothing_of_a_sample(
    local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(trial, "run", interrupted)

    called = local("test", put(local_system))

    assert (called.code, called.out) == (130, "")
    assert "sample" not in called.err


# doctor


def test_the_stack_and_the_shop_are_told_line_by_line(local_system: LocalSystem) -> None:
    name = put(local_system, mode="test")

    called = local("doctor", name, width=80)

    lines = called.out.splitlines()
    assert called.err == ""
    assert lines[0] == "stack local (eu-north-1)"
    assert f"shop {name}" in lines
    assert "✓ queue to sender      enabled" in [line.rstrip() for line in lines]
    assert lines.index(f"shop {name}") > lines.index(lines[0])
    assert all(len(line) <= 80 or re.match(r" {4}\S", line) for line in lines)
    assert f"    prisjakt-relay shop set {name} --mode live --local --port {LOCAL_PORT}" in lines
    assert called.code == (1 if any(line.startswith("✗") for line in lines) else 0)
    assert " right, " in lines[-1]
    assert " wrong, " in lines[-1]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_what_is_to_be_copied_is_never_broken(
    width: int, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert local_system.address
    command = "prisjakt-relay shop set my-shop --prisjakt-client-id ID --prisjakt-client-secret -"
    address = "https://a1b2c3d4e5.execute-api.eu-north-1.amazonaws.com/webhooks/shopify/my-shop"
    remedy = f"get them in Business Center, then `{command}`; or look at the webhook to {address}"
    finding = Finding("mode", None, "found", remedy)
    section = checks.Section(None, "stack", [("mode", lambda: [finding])])
    monkeypatch.setattr(checks, "sections", lambda *_: [section])

    lines = local("doctor", width=width).out.splitlines()

    assert sum(command in line for line in lines) == 1
    assert sum(address in line for line in lines) == 1
    for line in lines:
        assert len(line) <= width or line in (f"    {command}", f"    {address}")
    told = re.sub(r"[`;]", "", " ".join(" ".join(lines).split()))
    assert f"→ {remedy.replace('`', '').replace(';', '')} " in told


@pytest.mark.parametrize(("right", "code"), [(True, 0), (None, 0), (False, 1)])
def test_only_what_is_wrong_ends_with_an_error(
    right: bool | None, code: int, local_system: LocalSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = put(local_system)
    finding = Finding("mode", right, "found [red]this[/red]", "do that")
    section = checks.Section(name, f"shop {name}", [("mode", lambda: [finding])])
    monkeypatch.setattr(checks, "sections", lambda *_: [section])

    text, machine = local("doctor"), local("doctor", "--json")

    assert (text.code, machine.code) == (code, code)
    assert "found [red]this[/red]" in text.out
    assert "→ do that" in text.out
    assert machine.json == {
        "stack": "local",
        "right": right is not False,
        "sections": [
            {
                "shop": name,
                "findings": [
                    {
                        "name": "mode",
                        "right": right,
                        "found": "found [red]this[/red]",
                        "remedy": "do that",
                    }
                ],
            }
        ],
    }


def test_a_document_that_cannot_be_used_is_a_line_not_an_end(local_system: LocalSystem) -> None:
    name = put(local_system, pixel_id="no")

    called = local("doctor", name, "--json")

    assert called.code == 1
    assert called.json["sections"][1]["findings"][0]["right"] is False


def test_the_same_lines_are_written_as_a_page(local_system: LocalSystem, tmp_path: Path) -> None:
    name, path = put(local_system), tmp_path / "doctor.html"

    called = local("doctor", name, "--json", "--out", str(path))

    page = path.read_text("utf-8")
    findings = [each for section in called.json["sections"] for each in section["findings"]]
    assert page.partition("<main>")[2].count("<li class=") == len(findings)
    assert f"<h2>shop {name}</h2>" in page
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_that_cannot_be_written_is_told_before_anything_is_looked_at(
    local_system: LocalSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "sections", None)

    called = local("doctor", put(local_system), "--out", str(tmp_path / "no" / "doctor.html"))

    assert (called.code, called.out) == (2, "")
    assert "there is no folder" in called.err


@pytest.mark.usefixtures("local_system")
def test_a_shop_that_is_not_there_is_told() -> None:
    for words in (["test"], ["doctor"]):
        called = local(*words, "nobody")

        assert (called.code, called.out) == (2, "")
        assert "there is no shop nobody in the stack local" in called.err


def test_another_page_is_looked_at(local_system: LocalSystem) -> None:
    page = f"{local_system.address}/prisjakt/"

    called = local("doctor", put(local_system), "--page", page, "--json")

    findings = {each["name"]: each for each in called.json["sections"][1]["findings"]}
    assert findings["snippet"]["right"] is not True
    assert page in findings["snippet"]["found"]


def test_ctrl_c_does_not_wait_for_what_does_not_answer(local_system: LocalSystem) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE)
        page = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        given = ("doctor", put(local_system), "--json", "--page", page)
        with watched(process(*given, program=PATIENT)) as running:
            connection, _ = silent.accept()  # it has asked, and waits
            with connection:
                running.send_signal(signal.SIGINT)
                out, told = running.communicate()

    assert (running.returncode, out) == (130, "")
    assert told.strip() == "error: interrupted: run it again to go on"


def test_a_reader_that_goes_away_is_no_error(local_system: LocalSystem) -> None:
    running = process("doctor", put(local_system))
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()

    told = running.stderr.read()
    running.stderr.close()

    assert told == ""
    assert running.wait(60) == 141
