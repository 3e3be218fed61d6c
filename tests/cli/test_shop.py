"""A shop from the first question to its removal, as a developer at a terminal and as a script."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import pty
import select
import subprocess
import sys
import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from tests.cli.calling import Called, call, local
from tests.conftest import LOCAL_PORT

from prisjakt_relay.cli.shop_fields import OPTIONS
from prisjakt_relay.local.deliveries import load
from prisjakt_relay.local.system import LocalSystem
from prisjakt_relay.operations.shop_documents import fingerprint
from prisjakt_relay.platforms import shop_from
from prisjakt_relay.shop import Shop

PIXEL = "52907745-7672-470e-a803-a2f8feb52944"
SHOPIFY: dict[str, Any] = {
    "platform": "shopify",
    "pixel_id": PIXEL,
    "signing_secrets": ["not-to-be-seen"],
    "prisjakt_client_id": "client",
    "prisjakt_client_secret": "neither-is-this",
}
FLAGS = ("--platform", "shopify", "--pixel-id", PIXEL)


@pytest.fixture
def name() -> str:
    return f"shop-{uuid.uuid4()}"


@pytest.fixture
def written(local_system: LocalSystem, name: str) -> str:
    """The name of a shop with that document of Shopify's."""
    local_system.aws.put_shop(name, SHOPIFY)
    return name


def document(system: LocalSystem, name: str) -> dict[str, Any]:
    secrets = system.aws.client("secretsmanager")
    read = secrets.get_secret_value(SecretId=f"local/shops/{name}")
    return dict(json.loads(read["SecretString"]))


def versions(system: LocalSystem, name: str) -> int:
    secrets = system.aws.client("secretsmanager")
    return len(secrets.describe_secret(SecretId=f"local/shops/{name}")["VersionIdsToStages"])


def typed(*arguments: str, answers: Sequence[str]) -> Called:
    """What happens in a terminal, where each answer is typed after its question."""
    master, terminal = pty.openpty()
    program = "from prisjakt_relay.cli.app import main; main()"
    where = ("--local", "--port", str(LOCAL_PORT))
    asked = b""
    with subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-c", program, *arguments, *where],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # no other terminal to turn to
    ) as process:
        os.close(terminal)
        assert process.stderr is not None
        for answer in answers:
            while not asked.rstrip(b" ").endswith(b":"):
                assert select.select([process.stderr], [], [], 60)[0], asked
                read = os.read(process.stderr.fileno(), 4096)
                assert read, asked
                asked += read
            os.write(master, answer.encode() + b"\n")
            asked += b"\n"
        out, rest = process.communicate(timeout=60)
    os.close(master)
    return Called(process.returncode, out.decode(), (asked + rest).decode())


def deliver(address: str, secret: str) -> tuple[int, dict[str, Any]]:
    """Send a WooCommerce order without a click id, signed with that secret."""
    sample = load("woocommerce", "11.0.1-partial-refund").moved(timedelta(), secret)
    where = urlsplit(address)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=30)
    try:
        connection.request("POST", where.path, sample.body, dict(sample.headers))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_every_field_has_an_option() -> None:
    assert list(OPTIONS) == [field.name for field in dataclasses.fields(Shop)]


def test_what_is_printed_is_all_that_a_shop_needs(local_system: LocalSystem, name: str) -> None:
    """The address and the secret, pasted, make deliveries that are accepted."""
    added = local("shop", "add", name, "--platform", "woocommerce", "--pixel-id", PIXEL, "--json")

    assert added.code == 0
    assert added.json["webhooks"]["topics"] == ["Order updated", "Order created"]
    assert added.json["webhooks"]["settings"] == {"status": "active", "API version": "v3"}
    secret = added.json["signing_secret"]
    assert document(local_system, name)["signing_secrets"] == [secret]
    status, answer = deliver(added.json["webhooks"]["address"], secret)
    assert (status, answer["reason"]) == (200, "no_click_id")
    assert deliver(added.json["webhooks"]["address"], secret[::-1])[0] == 401


@pytest.mark.usefixtures("local_system")
def test_what_to_paste_where_can_be_copied(name: str) -> None:
    added = local(
        "shop", "add", name, *FLAGS, "--signing-secret", "pasted", "--mode", "test", width=60
    )

    lines = [line.strip() for line in added.out.splitlines()]
    where = f"--local --port {LOCAL_PORT}"
    assert added.code == 0
    assert f"http://127.0.0.1:{LOCAL_PORT}/webhooks/shopify/{name}" in lines
    assert "one webhook each for Order creation, Order update, Order cancellation" in lines
    assert f"prisjakt-relay snippet {name} {where}" in lines
    assert f"prisjakt-relay test {name} {where}" in lines
    assert f"prisjakt-relay shop set {name} --mode live {where}" in lines
    assert "pasted" not in added.out + added.err


def test_a_script_gives_secrets_on_standard_input(local_system: LocalSystem, name: str) -> None:
    secrets = ("--signing-secret", "-", "--prisjakt-client-secret", "-")

    added = local(
        *("shop", "add", name, *FLAGS, *secrets, "--prisjakt-client-id", "me"),
        *("--corrections", "off", "--excluded-source", ""),
        stdin="one\ntwo\n",
    )

    assert added.code == 0
    assert document(local_system, name) == {
        "platform": "shopify",
        "pixel_id": PIXEL,
        "signing_secrets": ["one"],
        "prisjakt_client_id": "me",
        "prisjakt_client_secret": "two",
        "corrections": False,
        "excluded_sources": [],
    }


def test_a_whole_document_and_what_differs(
    local_system: LocalSystem, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(SHOPIFY | {"mode": "live"}), "utf-8")

    from_file = local("shop", "add", name, "--document", str(file), "--mode", "test")
    from_input = local("shop", "add", f"{name}-2", "--document", "-", stdin=json.dumps(SHOPIFY))

    assert (from_file.code, from_input.code) == (0, 0)
    assert document(local_system, name) == SHOPIFY | {"mode": "test"}
    assert document(local_system, f"{name}-2") == SHOPIFY


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "platform: is missing; give it with --platform"),
        (FLAGS[:2], "pixel_id: is missing; give it with --pixel-id"),
        (FLAGS, "signing_secrets: is missing; give it with --signing-secret"),
        ((*FLAGS, "--signing-secret", "-"), "--signing-secret: is empty; '-' takes a line of"),
        (("--pixel-id", "12"), "pixel_id: is not a UUID; paste it from Business Center"),
        (("--domain", "https://a.example/"), "domain: is not a host name; write it without"),
        (("--domain", ""), "--domain: is empty; leave it out, or take it back with `shop set"),
        (("--mode", "on"), "mode: is unknown; choose one of live, test, off"),
        (("--corrections", "yes"), "--corrections 'yes': write on or off"),
        (("--order-reference", "SE"), "order_reference: is no usable pattern; use one or more of"),
        ((*FLAGS, "--signing-secret", "s", "--prisjakt-client-id", "a"), "prisjakt_client_secret"),
        (("--document", "-"), "document: is not JSON; write one JSON object"),
        (("--document", "/nowhere.json"), "/nowhere.json: No such file or directory"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_remedy(
    local_system: LocalSystem, name: str, arguments: tuple[str, ...], told: str
) -> None:
    refused = local("shop", "add", name, *arguments)

    assert refused.code == 2
    assert refused.err.startswith(f"error: {told}")
    assert refused.out == ""
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        document(local_system, name)


@pytest.mark.parametrize("system", ["shopify", "woocommerce", "other"])
@pytest.mark.usefixtures("local_system")
def test_no_shop_is_called_what_snippet_takes_for_a_system(system: str) -> None:
    refused = local("shop", "add", system, *FLAGS, "--signing-secret", "s")

    assert refused.code == 2
    assert refused.err.startswith(f"error: shop name '{system}': means a system in `snippet`")
    assert system not in {shop["shop"] for shop in local("shop", "list", "--json").json}


@pytest.mark.usefixtures("local_system")
def test_shops_whose_orders_prisjakt_may_take_for_one_are_told_of(name: str) -> None:
    pixel = str(uuid.uuid4())
    flags = ("--platform", "woocommerce", "--pixel-id", pixel)

    first = local("shop", "add", f"{name}-a", *flags)
    second = local("shop", "add", f"{name}-b", *flags[:-1], pixel.upper())
    mended = local("shop", "set", f"{name}-b", "--order-reference", "B-{id}")
    third = local("shop", "add", f"{name}-c", *flags, "--order-reference", "C-{id}")
    spoilt = local("shop", "set", f"{name}-c", "--unset", "order-reference")
    unrelated = local("shop", "set", f"{name}-c", "--mode", "off")

    shared = "shares its pixel and its order_reference with"
    assert {each.code for each in (first, second, mended, third, spoilt, unrelated)} == {0}
    assert f"{name}-b {shared} {name}-a:" in second.err
    assert f"shop set {name}-b --order-reference '{name}-b-{{id}}'" in second.err
    assert f"{name}-c {shared} {name}-a:" in spoilt.err
    for each in (first, mended, third, unrelated):
        assert shared not in each.err


def test_an_existing_shop_is_left_alone(local_system: LocalSystem, written: str) -> None:
    refused = local("shop", "add", written, *FLAGS, "--signing-secret", "other")

    assert refused.code == 2
    where = f"--local --port {LOCAL_PORT}"
    assert f"`prisjakt-relay shop set {written} --FIELD VALUE {where}`" in refused.err
    assert document(local_system, written) == SHOPIFY


def test_a_terminal_asks_until_the_answer_can_be_used(local_system: LocalSystem, name: str) -> None:
    added = typed(
        *("shop", "add", name),
        answers=[
            *("magento", "shopify"),
            *("12", PIXEL),
            *("", "pasted secret"),
            *("shop.example", "a-shop.myshopify.com"),
            *("client", "hidden secret"),
            "",
        ],
    )

    assert added.code == 0
    assert document(local_system, name) == {
        "platform": "shopify",
        "pixel_id": PIXEL,
        "signing_secrets": ["pasted secret"],
        "domain": "a-shop.myshopify.com",
        "prisjakt_client_id": "client",
        "prisjakt_client_secret": "hidden secret",
        "mode": "test",
    }
    assert "platform: is unknown; name one of shopify, woocommerce, custom\n" in added.err
    assert "pixel_id: is not a UUID; paste it from Business Center\n" in added.err
    assert "Its ….myshopify.com domain (Enter: any): " in added.err
    assert "give the one that ends with .myshopify.com, in Settings, Domains\n" in added.err
    assert "secret\n" not in added.out


def test_what_was_given_is_not_asked_for(local_system: LocalSystem, name: str) -> None:
    added = typed(
        *("shop", "add", name, "--platform", "woocommerce", "--mode", "off", "--domain", "a.se"),
        answers=[PIXEL, ""],
    )

    assert added.code == 0
    assert "domain (Enter" not in added.err
    made = document(local_system, name)
    assert (made["mode"], made["domain"], made["pixel_id"]) == ("off", "a.se", PIXEL)
    assert f"    {made['signing_secrets'][0]}\n" in added.out


def test_interrupted_questions_leave_nothing(local_system: LocalSystem, name: str) -> None:
    added = typed("shop", "add", name, answers=["shopify", "\x04"])

    assert added.code == 130
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        document(local_system, name)


def test_shops_are_listed_with_what_matters(local_system: LocalSystem, name: str) -> None:
    local_system.aws.put_shop(f"{name}-a", SHOPIFY | {"domain": "a.example"})
    local_system.aws.put_shop(f"{name}-b", {k: SHOPIFY[k] for k in list(SHOPIFY)[:3]})
    local_system.aws.put_shop(f"{name}-c", SHOPIFY | {"corrections": False, "mode": "off"})

    listed = local("shop", "list")
    rows = {shop["shop"]: shop for shop in local("shop", "list", "--json").json}

    assert rows[f"{name}-a"] == {
        "shop": f"{name}-a",
        "platform": "shopify",
        "mode": "live",
        "pixel_id": PIXEL,
        "report_when": "secured",
        "corrects": "yes",
        "domain": "a.example",
        "reconcile": False,
        "problem": None,
    }
    assert rows[f"{name}-b"]["corrects"] == "no"
    assert (rows[f"{name}-c"]["corrects"], rows[f"{name}-c"]["mode"]) == ("off", "off")
    assert PIXEL[:8] in listed.out
    assert "not-to-be-seen" not in listed.out + json.dumps(rows)


@pytest.mark.usefixtures("local_system")
def test_a_listed_name_stays_in_one_piece_at_80_columns() -> None:
    name, domain = f"shop-{uuid.uuid4().hex[:16]}", "the-name-of-my-own-shop.example"
    local("shop", "add", name, *FLAGS[:1], "woocommerce", *FLAGS[2:], "--domain", domain)

    listed = local("shop", "list", width=80)

    lines = listed.out.splitlines()
    (row,) = (line for line in lines if name in line)
    assert row.split() == [name, "woocommerce", "live", PIXEL[:8], "secured", "no"]
    below = lines[lines.index(row) + 1]
    assert domain[:20] in below
    assert max(len(row), len(below)) <= 80


def test_a_document_that_cannot_be_used_is_shown_and_mended(
    local_system: LocalSystem, name: str
) -> None:
    local_system.aws.put_shop(name, SHOPIFY | {"pixel_id": "typo", "signing_secret": "misspelt"})
    try:
        listed, shown = local("shop", "list"), local("shop", "show", name)
        row = {shop["shop"]: shop for shop in local("shop", "list", "--json").json}[name]
    finally:
        mended = local("shop", "set", name, "--pixel-id", PIXEL, "--unset", "signing_secret")

    problem = f"the document of shop {name} cannot be used: pixel_id: is not a UUID"
    assert listed.code == shown.code == 1
    assert problem in listed.out
    assert row["problem"].startswith(problem)
    assert row["platform"] is None
    assert "typo" in shown.out
    assert "signing_secret: not known to this version" in shown.err
    assert mended.code == 0
    assert "misspelt" not in shown.out + mended.out
    assert document(local_system, name) == SHOPIFY


@pytest.mark.usefixtures("local_system")
def test_secrets_are_shown_only_if_asked_for(written: str) -> None:
    shown, revealed = local("shop", "show", written), local("shop", "show", written, "--secrets")
    as_json = local("shop", "show", written, "--json")

    for text in (shown.out, as_json.out):
        assert "not-to-be-seen" not in text
        assert "neither-is-this" not in text
        assert fingerprint("not-to-be-seen") in text
    assert "not-to-be-seen" in revealed.out
    assert "neither-is-this" in revealed.out
    told = as_json.json
    assert told["signing_secrets"] == [
        {"fingerprint": fingerprint("not-to-be-seen"), "characters": 14}
    ]
    assert told["report_when"] == "secured"
    assert "report_when" in told["defaults"]
    assert "pixel_id" not in told["defaults"]
    assert told["webhooks"]["address"].endswith(f"/webhooks/shopify/{written}")


def test_set_shows_what_changes_and_writes_it(local_system: LocalSystem, written: str) -> None:
    arguments = ("shop", "set", written, "--mode", "test", "--prisjakt-client-secret", "changed")

    changed = local(*arguments)
    again = local(*arguments)

    lines = [line.split() for line in changed.out.splitlines()]
    assert changed.code == again.code == 0
    assert ["mode", "live", "(default)", "test"] in lines
    assert ["prisjakt_client_secret", "•••", "•••"] in lines
    assert "within five minutes" in changed.err
    assert "nothing was written" in again.out
    assert again.err == ""
    new = {"mode": "test", "prisjakt_client_secret": "changed"}
    assert document(local_system, written) == SHOPIFY | new
    assert versions(local_system, written) == 2


def test_unset_goes_back_to_the_default(local_system: LocalSystem, written: str) -> None:
    local("shop", "set", written, "--excluded-source", "pos", "--mode", "off")

    told = local(
        *("shop", "set", written, "--json"),
        *("--unset", "mode", "--unset", "excluded-source"),
        *("--unset", "prisjakt_client_id", "--unset", "prisjakt-client-secret"),
    )

    assert {"field": "mode", "before": "off", "after": "live"} in told.json["changes"]
    assert document(local_system, written) == {k: SHOPIFY[k] for k in list(SHOPIFY)[:3]}
    shop_from(document(local_system, written))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "nothing to set: name a field, like `prisjakt-relay shop set"),
        (("--platform", "woocommerce"), "platform: a shop keeps the one it has"),
        (("--unset", "pixel-id"), "--unset pixel_id: it is required; give it another value"),
        (("--unset", "colour"), "--unset colour: is no field; use one of platform, pixel_id"),
        (("--unset", "mode", "--mode", "off"), "--unset mode: it is given a value, too"),
        (("--unset", "prisjakt_client_id"), "prisjakt_client_id: is missing; give both"),
        (("--domain", " "), "--domain: is empty; leave it out, or take it back with"),
        (("--pixel-id", ""), "pixel_id: is not a text; paste it from Business Center"),
        (("--mode", "sometimes"), "mode: is unknown; choose one of live, test, off"),
    ],
)
def test_a_change_that_cannot_be_used_is_not_written(
    local_system: LocalSystem, written: str, arguments: tuple[str, ...], told: str
) -> None:
    refused = local("shop", "set", written, *arguments)

    assert refused.code == 2
    assert refused.err.startswith(f"error: {told}")
    assert document(local_system, written) == SHOPIFY


@pytest.mark.usefixtures("local_system")
def test_nothing_is_cut_off_in_a_narrow_terminal(written: str) -> None:
    secret = "0123456789abcdef" * 4
    local("shop", "set", written, "--signing-secret", secret)

    shown = local("shop", "show", written, "--secrets", width=60)
    changed = local("shop", "set", written, "--pixel-id", PIXEL.upper(), width=60)

    assert secret in "".join(shown.out.split())
    assert "…" not in shown.out + changed.out


@pytest.mark.usefixtures("local_system")
def test_what_is_reported_already_keeps_its_reference(written: str) -> None:
    live = local("shop", "set", written, "--order-reference", "SE-{number}")
    local("shop", "set", written, "--mode", "test")
    safe = local("shop", "set", written, "--order-reference", "NO-{number}")

    assert "reported already keep their order_reference" in live.err
    assert "reported already" not in safe.err


def test_a_secret_is_rotated_without_a_gap(local_system: LocalSystem, name: str) -> None:
    made = local("shop", "add", name, "--platform", "woocommerce", "--pixel-id", PIXEL, "--json")
    first, address = made.json["signing_secret"], made.json["webhooks"]["address"]

    added = local("shop", "signing-secret", "add", name, "--json")
    second = added.json["signing_secret"]
    both = [deliver(address, secret)[0] for secret in (second, first)]
    removed = local("shop", "signing-secret", "remove", name, fingerprint(first), "--json")
    again = local("shop", "signing-secret", "remove", name, fingerprint(first))
    last = local("shop", "signing-secret", "remove", name, fingerprint(second))

    assert both == [200, 200]
    assert added.json["fingerprint"] == fingerprint(second)
    assert (added.code, removed.code, again.code, last.code) == (0, 0, 2, 2)
    assert f"there is {fingerprint(second)}" in again.err
    assert "the last signing secret stays" in last.err
    assert document(local_system, name)["signing_secrets"] == [second]
    assert removed.json == {
        "shop": name,
        "removed": fingerprint(first),
        "left": [fingerprint(second)],
    }
    for told in (removed, again, last):
        assert first not in told.out + told.err


def test_woocommerces_webhooks_are_to_be_renewed_with_a_new_secret(
    local_system: LocalSystem, name: str
) -> None:
    document = SHOPIFY | {"platform": "woocommerce", "signing_secrets": ["letters1"]}
    local_system.aws.put_shop(name, document)

    added = local("shop", "signing-secret", "add", name, "--signing-secret", "letters2")

    renew = f"prisjakt-relay webhooks repair {name} --renew --local --port {LOCAL_PORT}"
    assert f"into its webhooks: {renew}\n" in added.err


def test_shopifys_new_secret_is_given_or_asked_for(local_system: LocalSystem, written: str) -> None:
    command = ("shop", "signing-secret", "add", written)

    refused = local(*command)
    given = local(*command, "--signing-secret", "-", stdin="second secret\n")
    again = local(*command, "--signing-secret", "-", stdin="second secret\n")
    asked = typed(*command, answers=["third secret"])

    assert refused.code == 2
    assert "signing_secrets: is missing; give it with --signing-secret" in refused.err
    assert (given.code, again.code, asked.code) == (0, 0, 0)
    assert f"signing-secret remove {written} {fingerprint('not-to-be-seen')}" in given.err
    assert "nothing was written" in again.out
    assert "webhooks repair" not in given.err
    assert document(local_system, written)["signing_secrets"] == [
        "not-to-be-seen",
        "second secret",
        "third secret",
    ]


def test_removing_says_what_it_means_and_can_be_taken_back(
    local_system: LocalSystem, written: str
) -> None:
    unasked = local("shop", "remove", written)
    declined = typed("shop", "remove", written, answers=["n"])
    assert document(local_system, written) == SHOPIFY

    removed = local("shop", "remove", written, "--yes")
    again = local("shop", "remove", written, "--yes", "--json")
    for_good = local("shop", "remove", written, "--yes", "--now")
    nothing = local("shop", "remove", written, "--yes")

    assert unasked.code == 2
    assert "add --yes to do it" in unasked.err
    assert declined.code == 1
    assert "Nothing was removed." in declined.err
    assert (removed.code, again.code, for_good.code, nothing.code) == (0, 0, 0, 2)
    assert "answered 404" in removed.err
    where = f"--local --port {LOCAL_PORT}"
    assert f"`prisjakt-relay shop add {written} {where}` takes the name back." in removed.out
    assert "aws " not in removed.out
    assert again.json == {"shop": written, "removed": True, "kept_until": None}
    assert "there is no shop" in nothing.err


@pytest.mark.parametrize(
    "command",
    [
        ("show", "nobody"),
        ("set", "nobody", "--mode", "off"),
        ("remove", "nobody", "--yes"),
        ("signing-secret", "add", "nobody"),
        ("signing-secret", "remove", "nobody", "00000000"),
    ],
)
@pytest.mark.usefixtures("local_system")
def test_a_wrong_name_is_told_in_one_sentence(command: tuple[str, ...]) -> None:
    unknown = local("shop", *command)
    impossible = local("shop", *(word.replace("nobody", "No Body") for word in command))

    assert unknown.code == impossible.code == 2
    assert unknown.err.startswith("error: there is no shop nobody in the stack local (eu-north-1):")
    assert unknown.err.count("\n") == 1
    assert impossible.err == "error: shop name 'No Body': use 1 to 64 of a-z, 0-9 and -\n"


@pytest.mark.parametrize(
    "words",
    [
        ("add",),
        ("list",),
        ("show",),
        ("set",),
        ("remove",),
        ("signing-secret", "add"),
        ("signing-secret", "remove"),
    ],
)
def test_every_command_has_an_example(words: tuple[str, ...]) -> None:
    told = call("shop", *words, "--help", width=80)

    assert told.code == 0
    assert f"Example: prisjakt-relay shop {' '.join(words)}" in told.out
