"""The web SDK as it is served: small, made from the catalogue, typed; and parcels, as it sends them."""

from __future__ import annotations

import gzip
import re
from hashlib import sha256
from pathlib import Path

import pytest

from contracts.signals import KINDS
from contracts.signals.web import method_of, snippet, web_kinds
from services.ingestion import sdk
from services.ingestion.bodies import Body
from services.ingestion.parcels import Parcel, read_parcel
from services.ingestion.refusals import Refusal

DOCUMENT = Path(__file__).parents[2] / "docs/web-sdk.md"
NOT_ES5 = re.compile(r"=>|\.\.\.\w|\b(?:let|const|class|await)\b|`|\{ ?\w+(?:, \w+)* ?\}")
"""Arrow functions, spreads, block-scoped names, templates, and objects of names alone."""


def test_the_script_is_at_most_6_kb_as_gzip() -> None:
    assert len(sdk.packed()) <= 6_000
    assert gzip.decompress(sdk.packed()).decode() == sdk.script()


def test_every_kind_that_the_web_may_send_has_a_method_of_its_own() -> None:
    methods = {method_of(kind) for kind in web_kinds()}

    assert len(methods) == len(web_kinds())
    assert {"addToCart", "removeFromCart", "clearCart", "replaceCart", "purchaseCart", "viewProduct"} <= methods
    assert {kind.name for kind in KINDS} - {kind.name for kind in web_kinds()} == {
        *("order/ship", "order/deliver", "order/delay", "order/return", "app/install", "app/uninstall"),
    }
    for kind in web_kinds():
        assert f'"{method_of(kind)}":"{kind.name}"' in sdk.script()
        assert f"  {method_of(kind)}(data" in sdk.types()


def test_no_method_of_a_kind_hides_one_of_the_sdk() -> None:
    own = set(re.findall(r"^  (\w+)\(", sdk.types().partition("// methods")[0], re.MULTILINE)) - {
        method_of(kind) for kind in web_kinds()
    }

    assert {"setApiKey", "identify", "setConsent", "debug", "track", "reset", "flush"} <= own


def test_the_version_is_of_this_very_script_and_nothing_in_it_is_left_to_fill_in() -> None:
    without = sdk.script().rstrip("\n").replace(sdk.version(), "__VERSION__")

    assert sdk.version() == sha256(without.encode()).hexdigest()[:12]
    assert "__" not in sdk.script()


def test_the_snippet_cannot_be_left_by_a_strange_key() -> None:
    text = snippet("https://signals.example.com", 'pk_"</script>')

    assert text.count("</script>") == 2


def test_tag_manager_takes_the_snippet_and_the_recipe_which_are_es5() -> None:
    recipe = re.findall(r"<script>.*?</script>", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)

    assert len(recipe) == 2
    for text in (snippet("https://signals.example.com", "pk_1"), *recipe):
        assert NOT_ES5.search(re.sub(r"\{\{[^}]*\}\}|//.*", "", text)) is None


def test_the_documented_lines_are_those_that_the_app_shows() -> None:
    shown = snippet("https://signals.example.com", "pk_1").replace("pk_1", "pk_…")

    assert shown in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "value", [None, [], "text", {}, {"key": "pk_1"}, {"key": "pk_1", "signals": {}}, {"signals": None}, 7]
)
def test_what_is_no_parcel_is_refused_as_such(value: object) -> None:
    refusal = read_parcel(Body(value, clean=True))

    assert isinstance(refusal, Refusal)
    assert refusal.status == 415


@pytest.mark.parametrize("key", [None, "", 7, ["pk_1"]])
def test_a_parcel_without_a_key_is_not_authenticated(key: object) -> None:
    refusal = read_parcel(Body({"key": key, "signals": []}, clean=True))

    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.code) == (401, "missing_key")


def test_the_clock_of_the_parcel_is_that_of_each_signal_without_its_own() -> None:
    signals = [{"id": "1"}, {"id": "2", "sentAt": "own"}, "no signal", {"id": "3", "sentAt": None}]

    parcel = read_parcel(Body({"key": "pk_1", "sentAt": "now", "signals": signals}, clean=False))

    assert isinstance(parcel, Parcel)
    assert parcel.body == Body(
        [{"id": "1", "sentAt": "now"}, {"id": "2", "sentAt": "own"}, "no signal", {"id": "3", "sentAt": "now"}],
        clean=False,
    )
