"""`local` as a person runs it: from the first line to the end, however that comes."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import IO

import pytest
import urllib3
from tests.cli.calling import call
from tests.conftest import PATIENCE, ports, watched

from prisjakt_relay.cli.local import _Lines
from prisjakt_relay.local import deliveries
from prisjakt_relay.local.system import LocalSystem

PORT = ports("command")

MINE = {
    "platform": "woocommerce",
    "pixel_id": "6e1a8a0e-6b5b-4f0b-9c0b-3a51f6a6a001",
    "signing_secrets": ["secretOfMine"],
    "prisjakt_client_id": "any",
    "prisjakt_client_secret": "whatever",
}


def started(*arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """`local` in a process of its own, as a shell in the background starts it."""
    process = subprocess.Popen(  # noqa: S603  # our own program
        [
            sys.executable,
            "-c",
            "from prisjakt_relay.cli.app import main; main()",
            "local",
            "--port",
            str(PORT),
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return watched(process)


def out(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and what it said on standard error."""
    assert process.stderr is not None
    code = process.wait()
    return code, process.stderr.read()


def send(platform: str, name: str) -> int:
    sample = deliveries.load(platform, name)
    answer = urllib3.request(
        "POST",
        f"http://127.0.0.1:{PORT}{sample.path}",
        body=sample.body,
        headers=dict(sample.headers),
        retries=False,
    )
    return answer.status


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def until(is_so: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_it_tells_of_every_outcome_and_ends_cleanly() -> None:
    with started("--json") as process:
        assert out(process).readline() == f"ready http://127.0.0.1:{PORT}\n", ended(process)
        assert send("woocommerce", "9.8.1-ping") == 200
        line = json.loads(out(process).readline())
        process.send_signal(signal.SIGINT)

        assert ended(process) == (0, "")

    assert (line["message"], line["reason"]) == ("ignored", "ping")
    assert all(is_free(port) for port in (PORT, PORT + 1, PORT + 2))


def test_what_the_reconciler_found_is_told_in_a_line_each_and_its_measures_are_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = _Lines(as_json=False)
    line = {"service": "reconciler", "timestamp": "2026-11-21 14:27:30,175+0000", "shop": "mine"}
    lines.write(line | {"message": "recovered", "order_id": "17", "standing": "missed"})
    lines.write(line | {"message": "click_silence", "ClickSilence": 7.5})
    lines.write(line | {"message": "webhook_broken", "topic": "order.created", "problem": "is off"})
    lines.write(line | {"message": "reconciled", "orders": 3, "recovered": 1})

    assert [" ".join(row.split()) for row in capsys.readouterr().out.splitlines()] == [
        "14:27:30,175 reconciler recovered mine 17 missed",
        "14:27:30,175 reconciler webhook_broken mine order.created is off",
        "14:27:30,175 reconciler reconciled mine 1 recovered of 3",
    ]


def test_it_ends_when_nobody_reads_any_more() -> None:
    with started() as process:
        out(process).readline()
        out(process).close()
        send("woocommerce", "9.8.1-ping")

        assert ended(process) == (141, "")

    assert is_free(PORT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_it_starts_it_leaves_nothing(number: signal.Signals) -> None:
    with started() as process:
        assert until(lambda: not is_free(PORT + 1)), "the simulated Prisjakt is there first"
        process.send_signal(number)

        code, told = ended(process)

    assert (code, told) == (130, "error: interrupted: run it again to go on\n")
    assert all(is_free(port) for port in (PORT, PORT + 1, PORT + 2))


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", PORT)):
        called = call("local", "--port", str(PORT))

    assert called.code == 2
    assert f"port {PORT} is taken" in called.err


def test_a_shops_file_that_is_none_is_named() -> None:
    called = call("local", "--shops", "/nowhere.json")

    assert called.code == 2
    assert "--shops /nowhere.json" in called.err


def test_a_shop_added_later_is_sold_for_corrected_and_named(local_system: LocalSystem) -> None:
    """Its pixel and its credentials need nothing done at the simulated Prisjakt."""
    name = "z-added-while-it-runs"
    local_system.aws.put_shop(name, MINE)
    model = local_system.model
    assert model is not None
    address = local_system.address
    assert until(lambda: f"<code>{name}</code>" in page(f"{address}/woocommerce/"))
    assert f"<code>{name}</code>" in page(f"{address}/")

    token = buy(address)

    def held() -> list[Decimal]:
        return [
            event.amount
            for event in list(model.events.values())
            if event.pixel_id == MINE["pixel_id"]
        ]

    assert until(lambda: held() == [Decimal("1298.00")]), held()
    browser().request("POST", f"{address}/orders/{token}/cancel", redirect=False)
    assert until(lambda: held() == [Decimal(0)]), held()
    delete_shop(local_system, name)
    assert until(lambda: f"<code>{name}</code>" not in page(f"{address}/"))


def browser() -> urllib3.PoolManager:
    return urllib3.PoolManager(retries=False)


def page(address: str) -> str:
    return browser().request("GET", address).data.decode()


def buy(address: str) -> str:
    """Come from Prisjakt, put a kettle into the cart, order; the order's token."""
    http, root = browser(), f"{address}/woocommerce"
    landing = http.request(
        "POST", f"{address}/enter/woocommerce", fields={"visit": "listing"}, redirect=False
    ).headers["Location"]
    click_id = landing.partition("pjclid=")[2]
    added = http.request(
        "POST", f"{root}/cart", fields={"add-to-cart": "201"}, redirect=False
    ).headers
    session = re.findall(r"shop_session=[^;]+", str(added))[0]
    thanks = http.request(
        "POST",
        f"{root}/checkout",
        fields={"pjclid": click_id},
        headers={"Cookie": session},
        redirect=False,
    ).headers["Location"]
    return str(thanks.rsplit("/", 1)[1])


def delete_shop(system: LocalSystem, name: str) -> None:
    system.aws.client("secretsmanager").delete_secret(
        SecretId=f"local/shops/{name}", ForceDeleteWithoutRecovery=True
    )
