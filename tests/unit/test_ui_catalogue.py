"""The app's texts, icons and files: nothing is missing, nothing is left over, nothing breaks the policy."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from contracts.templates import templates
from services.config.schemas import AUDITED
from services.config.ui.assets import STATIC
from services.config.ui.icons import icon, known_icon
from services.config.ui.texts import catalogue, t

CONFIG = Path(__file__).resolve().parents[2] / "services" / "config"
_CALL = re.compile(r"""\bt\(\s*f?["']([\w.{}-]+)["']\s*(~)?""")
_WORD = re.compile(r"""["']([a-z_0-9]+(?:\.[a-z_0-9{}]+)+\.?)["']""")


@cache
def sources() -> dict[str, str]:
    """Path → text of what is rendered, and of the code that renders it."""
    paths = [*CONFIG.rglob("*.html"), *CONFIG.rglob("*.py")]
    return {str(path.relative_to(CONFIG)): path.read_text(encoding="utf-8") for path in paths}


def pages() -> dict[str, str]:
    return {name: text for name, text in sources().items() if name.endswith(".html")}


def has(key: str) -> bool:
    return key in catalogue() or {f"{key}.one", f"{key}.other"} <= set(catalogue())


def test_every_text_that_is_asked_for_by_its_full_key_is_there() -> None:
    asked = {
        (name, key)
        for name, text in sources().items()
        for key, joined in _CALL.findall(text)
        if not joined and "{" not in key and not key.endswith(".")
    }

    assert {(name, key) for name, key in asked if not has(key)} == set()


def test_every_plural_has_both_forms() -> None:
    singulars = {key.removesuffix(".one") for key in catalogue() if key.endswith(".one")}
    plurals = {key.removesuffix(".other") for key in catalogue() if key.endswith(".other")}

    assert singulars <= plurals


def test_no_text_is_left_over() -> None:
    whole = "\n".join(sources().values())
    prefixes = {
        found.rstrip(".").split("{")[0].rstrip(".")
        for found in _WORD.findall(whole)
        if found.endswith(".") or "{" in found
    }
    named = set(_WORD.findall(whole))

    def used(key: str) -> bool:
        plain = key.removesuffix(".one").removesuffix(".other")
        if key.startswith("done."):
            return f'"{key[5:]}"' in whole or f"'{key[5:]}'" in whole or f"done={key[5:]}" in whole
        return plain in named or any(prefix and plain.startswith(f"{prefix}.") for prefix in prefixes)

    assert [key for key in catalogue() if not used(key)] == []


def test_a_text_with_markup_in_it_escapes_the_rest() -> None:
    from markupsafe import Markup

    told = t("frame.page.of", first=Markup("<b>1</b>"), last="<i>", total=3)

    assert str(told) == "<b>1</b>–&lt;i&gt; of 3"


def test_templates_hold_no_inline_code_or_style() -> None:
    forbidden = re.compile(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|javascript:|\|\s*safe\b", re.IGNORECASE)

    assert {name: found[0] for name, text in pages().items() if (found := forbidden.findall(text))} == {}


def test_no_page_loads_anything_from_elsewhere() -> None:
    loads = re.compile(r"""(?:src|href|action)=["']https?://""")

    assert {name for name, text in pages().items() if loads.search(text)} == set()
    assert {
        path.name
        for path in STATIC.rglob("*.*s")
        if re.search(r"@import|url\(\s*['\"]?http|from ['\"]http", path.read_text())
    } == set()


def test_every_icon_that_is_named_is_drawn() -> None:
    named = {name for text in sources().values() for name in re.findall(r"""\bicon\(["']([\w-]+)["']""", text)}

    assert {name for name in named if not known_icon(name)} == set()


@pytest.mark.parametrize("type", sorted(templates()))
def test_every_template_has_its_icon(type: str) -> None:
    assert known_icon(templates()[type].icon)


def test_an_unknown_icon_draws_something_and_escapes_its_label() -> None:
    drawn = icon("no-such", label='"><script>')

    assert "<path" in drawn
    assert "<script>" not in drawn


def test_no_mark_of_an_unfinished_merge_is_served() -> None:
    served = [*STATIC.rglob("*.js"), *STATIC.rglob("*.css"), *CONFIG.rglob("*.html")]

    marked = [path.name for path in served if re.search(r"^(<{7} |={7}$|>{7} )", path.read_text("utf-8"), re.MULTILINE)]
    assert marked == []


def test_everything_that_is_audited_has_its_words() -> None:
    assert [kind for kind in AUDITED if not has(f"audit.kinds.{kind}") or not has(f"audit.the.{kind}")] == []
