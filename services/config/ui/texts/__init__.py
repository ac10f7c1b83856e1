"""Every string that a person sees: `en/<page>.toml`, asked for as `page.key`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import escape

_FOLDER = Path(__file__).parent
_ONE, _OTHER = "one", "other"


@cache
def catalogue(language: str = "en") -> dict[str, str]:
    """Key → text. A text with a singular has two keys: `….one` and `….other`."""
    found: dict[str, str] = {}
    for path in sorted((_FOLDER / language).glob("*.toml")):
        found |= _flat(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))
    return found


def t(key: str, **values: Any) -> str:
    """The text of a key with `{name}` filled in; `n` chooses between one and other. An unknown key is a KeyError.

    Where a value is Markup the text is Markup too, and all else in it is escaped.
    """
    texts = catalogue()
    if "n" in values and key not in texts:
        key = f"{key}.{_ONE if values['n'] == 1 else _OTHER}"
    text = texts[key]
    if any(hasattr(value, "__html__") for value in values.values()):
        return escape(text).format(**values)
    return text.format(**values) if values else text


def known(key: str) -> bool:
    """Whether there is a text of this key."""
    return key in catalogue()


def _flat(prefix: str, table: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in table.items():
        key = f"{prefix}.{name}"
        found |= _flat(key, value) if isinstance(value, dict) else {key: str(value)}
    return found
