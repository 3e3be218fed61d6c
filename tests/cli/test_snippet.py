"""The tag that shops paste, and the files it is made of."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import brotli
import pytest
from tests.cli.calling import local
from typer.testing import CliRunner, Result

from prisjakt_relay.cli.app import app
from prisjakt_relay.cli.options import Where
from prisjakt_relay.errors import SetupError
from prisjakt_relay.local import project
from prisjakt_relay.local.system import LocalSystem, sample_shops

SNIPPET = project.root() / "snippet"
VERSION = json.loads((SNIPPET / "package.json").read_text("utf-8"))["version"]
CAPTURE = SNIPPET / "dist" / f"capture-{VERSION}.js"
SHOPIFY = SNIPPET / "dist" / f"shopify-{VERSION}.js"
LIQUID = SNIPPET / "shopify" / "prisjakt-relay.liquid"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["snippet", *arguments])


def printed(*arguments: str) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(("file", "most"), [(CAPTURE, 750), (SHOPIFY, 550)])
def test_scripts_stay_small(file: Path, most: int) -> None:
    """Every page view of every visitor carries them."""
    assert len(brotli.compress(file.read_bytes())) <= most


def test_the_tag_is_the_built_script_inline() -> None:
    assert printed() == (
        f'<script data-consent="required">\n{CAPTURE.read_text("utf-8")}\n</script>\n'
    )


@pytest.mark.parametrize("system", ["shopify", "woocommerce", "other"])
def test_consent_is_required_unless_the_shop_says_otherwise(system: str) -> None:
    assert "none" not in re.findall(r"data-consent=\"([^\"]*)\"", printed(system, "--src", "/js"))
    assert "default: 'required'" in printed(system) or 'data-consent="required"' in printed(system)


def test_the_shop_may_decide_for_everybody() -> None:
    assert printed("--consent", "none").startswith('<script data-consent="none">\n')
    assert "{{ consent | default: 'none' | escape }}" in printed("shopify", "--consent", "none")


def test_for_shopify_it_is_the_theme_snippet() -> None:
    assert printed("shopify") == LIQUID.read_text("utf-8")


def test_liquid_leaves_the_scripts_as_they_are() -> None:
    """Shopify's template language would take braces in the script for its own."""
    before, script, after = re.split(
        r"\{% raw %\}\n|\n\{% endraw %\}", LIQUID.read_text("utf-8"), maxsplit=2
    )

    assert script == f"{SHOPIFY.read_text('utf-8')}\n{CAPTURE.read_text('utf-8')}"
    assert "{%" not in script
    assert before.rstrip().endswith(
        "<script data-consent=\"{{ consent | default: 'required' | escape }}\">"
    )
    assert after.strip() == "</script>"


@pytest.mark.parametrize("file", [CAPTURE, SHOPIFY])
def test_no_script_ends_its_tag_early(file: Path) -> None:
    assert "</" not in file.read_text("utf-8")


def test_files_of_the_shops_own_carry_their_hashes() -> None:
    first, second = printed("shopify", "--src", "https://shop.example/js/").splitlines()

    for line, file in ((first, SHOPIFY), (second, CAPTURE)):
        digest = base64.b64encode(hashlib.sha384(file.read_bytes()).digest()).decode()
        assert f'src="https://shop.example/js/{file.name}"' in line
        assert f'integrity="sha384-{digest}"' in line
        assert " defer " in line
    assert "data-consent" not in first
    assert second.endswith(' data-consent="required"></script>')


@pytest.mark.parametrize(
    "src",
    [
        "javascript:alert(1)",
        "http://shop.example",
        'https://a"b',
        "js",
        "https://",
        "",
        "https://[shop",
        "https://shop.example/js?v=1",
        "/js#x",
        "//shop.example/js",
    ],
)
def test_an_address_that_is_none_is_refused(src: str) -> None:
    error = call("--src", src).exception

    assert isinstance(error, SetupError)
    assert str(error).startswith(f"--src {src}: ")


def test_for_machines_it_is_json() -> None:
    told = json.loads(printed("shopify", "--json"))

    assert told["tag"] + "\n" == printed("shopify")
    assert set(told["files"]) == {CAPTURE.name, SHOPIFY.name}


@pytest.mark.parametrize(
    ("system", "told"),
    [
        ("shopify", "Theme code editor: add a snippet"),
        ("woocommerce", "The plugin in "),
        ("other", "Paste this into the head of every page"),
    ],
)
def test_where_to_paste_is_told_even_if_the_tag_goes_into_a_file(system: str, told: str) -> None:
    assert call(system).stderr.startswith(told)
    assert call(system, "--json").stderr == ""


def test_source_maps_hold_the_sources() -> None:
    for file, source in ((CAPTURE, "capture.js"), (SHOPIFY, "shopify.js")):
        source_map = json.loads(file.with_name(f"{file.name}.map").read_text("utf-8"))
        assert source_map["sources"] == [source]
        assert source_map["sourcesContent"] == [(SNIPPET / source).read_text("utf-8")]


def test_the_plugin_carries_the_same_script() -> None:
    copy = SNIPPET / "woocommerce" / "prisjakt-relay" / "assets" / "capture.js"

    assert copy.read_bytes() == CAPTURE.read_bytes()


def test_a_shops_name_gives_the_tag_of_its_platform(local_system: LocalSystem) -> None:
    shopify = sample_shops()["demo-shopify"]
    local_system.aws.put_shop("tagged", shopify | {"mode": "off"})

    called = local("snippet", "tagged")

    assert called.code == 0
    assert called.out == printed("shopify")
    local_system.aws.client("secretsmanager").delete_secret(
        SecretId="local/shops/tagged", ForceDeleteWithoutRecovery=True
    )


@pytest.mark.usefixtures("local_system")
def test_a_name_of_no_shop_names_what_there_is() -> None:
    called = local("snippet", "shoppify")

    assert called.code == 2
    assert "shoppify is none of shopify, woocommerce, other, and as a shop: " in called.err


def test_what_runs_the_shop_is_known_without_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Where, "stack", lambda _: pytest.fail("AWS was asked"))

    assert printed("woocommerce") == printed("other") == printed()
