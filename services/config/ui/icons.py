"""Icons: strokes on a grid of 24, drawn in the colour of the text beside them. They never speak alone."""

from __future__ import annotations

import tomllib
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
    return Markup('<svg class="icon" viewBox="0 0 24 24" focusable="false" {}><path d="{}"/></svg>').format(
        told, escape(stroke)
    )


def known_icon(name: str) -> bool:
    """Whether an icon of this name is drawn."""
    return name in _strokes()
