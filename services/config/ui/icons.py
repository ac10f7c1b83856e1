"""Icons: strokes on a grid of 24, drawn in the colour of the text beside them. They never speak alone."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from markupsafe import Markup, escape


@cache
def _strokes() -> dict[str, str]:
    found: dict[str, str] = tomllib.loads((Path(__file__).parent / "icons.toml").read_text(encoding="utf-8"))
    return found


def icon(name: str, label: str = "") -> Markup:
    """An icon as SVG. Without a label it is hidden from screen readers; an unknown name draws a document."""
    stroke = _strokes().get(name, _strokes()["document"])
    told = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="icon" viewBox="0 0 24 24" {}><path d="{}"/></svg>').format(told, escape(stroke))


def icon_symbols(names: Iterable[str]) -> Markup:
    """Icons that stand in a page many times, drawn once and not seen; `icon_again` puts one somewhere."""
    drawn = Markup('<symbol id="icon-{}" viewBox="0 0 24 24"><path d="{}"/></symbol>')
    found = Markup("").join(drawn.format(name, _strokes().get(name, _strokes()["document"])) for name in names)
    return Markup('<svg class="symbols" aria-hidden="true" width="0" height="0">{}</svg>').format(found)


def icon_again(name: str) -> Markup:
    """An icon of `icon_symbols`, without a label."""
    return Markup('<svg class="icon" aria-hidden="true"><use href="#icon-{}"/></svg>').format(name)


def known_icon(name: str) -> bool:
    """Whether an icon of this name is drawn."""
    return name in _strokes()
