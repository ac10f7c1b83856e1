"""Texts as people write them, in the one form in which they are kept and compared."""

from __future__ import annotations

import unicodedata
from typing import Literal

_MOST_OF_ONE = 4
"""Of so many characters at most one is made."""


def composed(text: str, longest: int, form: Literal["NFC", "NFKC"] = "NFC") -> str:
    """The text in NFC, or as it is where that would be longer than `longest`, too.

    The time goes with the square of the marks upon one letter: half a megabyte of them takes minutes.
    """
    return text if len(text) > _MOST_OF_ONE * longest else unicodedata.normalize(form, text)
